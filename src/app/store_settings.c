/* SPDX-License-Identifier: Apache-2.0 */
/* store_settings.c - how the long-term store works, from its options and LANGGRAPH_STORE; what the
 * platform says of preferences.
 *
 * LANGGRAPH_STORE is the member `store` of a langgraph.json, as its tools hand it on. What it says
 * counts where the single option is left at its default. Members that are not known are refused:
 * a mistyped one would silently do nothing. */
#include "app/store_settings.h"

#include "model/item_path.h"
#include "model/validate.h"
#include "store/items.h"

#define US_PER_MINUTE         60e6
#define SWEEP_US_MIN          INT64_C(1000000)
#define DIMS_MAX              16384
#define DIMS_DEFAULT          1536
#define EMBED_RETRIES         4
#define PREFERENCES_BYTES_MAX ((size_t)1 << 18)
#define MINUTES_MAX           ((double)ITEM_TTL_MINUTES_MAX)

static int known_only(yyjson_val *obj, const char *where, const char *const *names, size_t count,
                      struct err *err) {
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || str_eq(json_str(key), str_of(names[i]));
        if (!known)
            return err_set(err, ERR_INVALID, "%s%.60s is not known", where, yyjson_get_str(key));
    }
    return 0;
}

static int read_ttl(struct arena *a, yyjson_val *ttl, struct store_settings *out, struct err *err) {
    static const char *const names[] = {"default_ttl", "refresh_on_read", "sweep_interval_minutes",
                                        "sweep_limit"};
    struct body b;
    int rc = known_only(ttl, "ttl.", names, ARRAY_COUNT(names), err);
    if (rc < 0)
        return rc;
    body_init(&b, a, ttl);
    out->items.ttl_minutes = body_double(&b, "default_ttl", 0, MINUTES_MAX, 0);
    out->items.keep_ttl = !body_bool(&b, "refresh_on_read", true);
    double minutes = body_double(&b, "sweep_interval_minutes", 0, 1440, 0);
    out->sweep_us = (int64_t)(minutes * US_PER_MINUTE);
    return body_done(&b, err);
}

/* "openai:text-embedding-3-small" */
static int read_model(const struct config *c, str text, struct embeddings_options *out,
                      struct err *err) {
    ptrdiff_t colon = str_find_char(text, ':');
    str provider = colon < 0 ? STR("openai") : str_slice(text, 0, (size_t)colon);
    bool openai = str_eq(provider, STR("openai"));
    if ((!openai && !str_eq(provider, STR("custom"))) ||
        str_slice(text, (size_t)(colon + 1), text.len).len == 0)
        return err_set(err, ERR_INVALID,
                       "index.embed: " STR_FMT " is not openai:MODEL or custom:MODEL",
                       STR_ARG(str_slice(text, 0, 80)));
    out->model = str_slice(text, (size_t)(colon + 1), text.len);
    out->api_key = secret_reveal(openai ? c->openai_api_key : c->custom_api_key);
    out->base_url = c->store_embed_url.len > 0 ? c->store_embed_url : c->openai_base_url;
    return 0;
}

static int read_paths(struct arena *a, yyjson_val *list, struct store_settings *out,
                      struct err *err) {
    size_t i, count = yyjson_arr_size(list);
    yyjson_val *path;
    str *paths = ARENA_ARRAY(a, str, count + 1);
    if (count > ITEM_PATHS_MAX)
        return err_set(err, ERR_INVALID, "index.fields: at most %d paths", ITEM_PATHS_MAX);
    yyjson_arr_foreach(list, i, count, path) {
        paths[i] = json_str(path);
        int rc = item_path_check(paths[i], err);
        if (rc < 0)
            return rc;
    }
    out->paths = paths;
    out->path_count = count;
    return 0;
}

static int read_index(struct config *c, yyjson_val *index, struct store_settings *out,
                      struct err *err) {
    static const char *const names[] = {"embed", "dims", "fields"};
    struct body b;
    int rc = known_only(index, "index.", names, ARRAY_COUNT(names), err);
    if (rc < 0)
        return rc;
    body_init(&b, &c->memory, index);
    struct body_range dims = {1, DIMS_MAX, 0};
    str model = body_str(&b, "embed", STR(""));
    out->embed.dims = (size_t)body_int(&b, "dims", dims);
    yyjson_val *fields = body_str_array(&b, "fields");
    rc = body_done(&b, err);
    if (rc == 0 && model.len > 0 && c->store_embed.len == 0)
        rc = read_model(c, model, &out->embed, err);
    return rc == 0 ? read_paths(&c->memory, fields, out, err) : rc;
}

static int read_embed_options(struct config *c, struct store_settings *s, struct err *err) {
    int rc = c->store_embed.len > 0 ? read_model(c, c->store_embed, &s->embed, err) : 0;
    if (c->store_embed_dims > 0)
        s->embed.dims = (size_t)c->store_embed_dims;
    if (s->embed.dims == 0)
        s->embed.dims = DIMS_DEFAULT;
    s->embed.total_us = c->store_embed_timeout_us;
    s->embed.retries_max = EMBED_RETRIES;
    str rest = c->store_embed_fields, path;
    str *paths = ARENA_ARRAY(&c->memory, str, ITEM_PATHS_MAX + 1);
    size_t count = 0;
    while (rc == 0 && rest.len > 0 && count < ITEM_PATHS_MAX && str_split_next(&rest, ',', &path)) {
        paths[count++] = str_trim(path);
        rc = item_path_check(paths[count - 1], err);
    }
    if (count == 0 && s->path_count == 0)
        paths[count++] = STR("$");
    if (count > 0) {
        s->paths = paths;
        s->path_count = count;
    }
    return rc;
}

static int read_document(struct config *c, struct store_settings *out, struct err *err) {
    static const char *const names[] = {"ttl", "index"};
    yyjson_val *root;
    struct body b;
    int rc = json_parse(&c->memory, c->store, &root, err);
    if (rc == 0 && !yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "must be a JSON object");
    if (rc == 0)
        rc = known_only(root, "", names, ARRAY_COUNT(names), err);
    if (rc < 0)
        return rc;
    body_init(&b, &c->memory, root);
    yyjson_val *ttl = body_object_val(&b, "ttl"), *index = body_object_val(&b, "index");
    rc = body_done(&b, err);
    if (rc == 0 && ttl)
        rc = read_ttl(&c->memory, ttl, out, err);
    return rc == 0 && index ? read_index(c, index, out, err) : rc;
}

static int read_preferences(struct config *c, struct preference_options *out, struct err *err) {
    str text = str_trim(c->preferences);
    *out = (struct preference_options){.override_us = c->preference_override_ttl_us};
    if (!text.len)
        return 0;
    int rc = str_starts(text, STR("{"))
                 ? 0
                 : config_file(&c->memory, text, PREFERENCES_BYTES_MAX, &text, err);
    if (rc == 0)
        rc = preference_platform_read(&c->memory, text, &out->platform, err);
    if (rc < 0)
        (void)err_context(err, "preferences (HOLDFAST_PREFERENCES)");
    return rc;
}

int store_settings(struct config *c, struct store_settings *out, struct err *err) {
    struct store_settings s = {.agent_logs = {.hot_us = c->agent_log_hot_us,
                                              .warm_us = c->agent_log_warm_us,
                                              .cold_us = c->agent_log_cold_us,
                                              .insights = c->log_insight_model.len > 0,
                                              .insights_us = c->log_insight_age_us}};
    int rc = c->store.len > 0 ? read_document(c, &s, err) : 0;
    if (rc < 0) {
        (void)err_context(err, "store (LANGGRAPH_STORE)");
        return rc;
    }
    if (c->store_ttl >= 0)
        s.items.ttl_minutes = (double)c->store_ttl;
    if (c->store_ttl_refresh != CONFIG_REFRESH_AUTO)
        s.items.keep_ttl = c->store_ttl_refresh == CONFIG_REFRESH_OFF;
    if (c->store_sweep_interval_us > 0)
        s.sweep_us = c->store_sweep_interval_us;
    if (s.sweep_us > 0 && s.sweep_us < SWEEP_US_MIN)
        s.sweep_us = SWEEP_US_MIN;
    rc = read_embed_options(c, &s, err);
    if (rc == 0)
        rc = read_preferences(c, &s.preferences, err);
    if (rc == 0)
        *out = s;
    return rc;
}
