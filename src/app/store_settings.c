/* SPDX-License-Identifier: Apache-2.0 */
/* store_settings.c - how the long-term store works, from its options and LANGGRAPH_STORE.
 *
 * LANGGRAPH_STORE is the member `store` of a langgraph.json, as its tools hand it on. What it says
 * counts where the single option is left at its default. Members that are not known are refused:
 * a mistyped one would silently do nothing. */
#include "app/store_settings.h"

#include "model/validate.h"
#include "store/items.h"

#define US_PER_MINUTE 60e6
#define SWEEP_US_MIN  INT64_C(1000000)
#define MINUTES_MAX   ((double)ITEM_TTL_MINUTES_MAX)

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

static int read_document(struct config *c, struct store_settings *out, struct err *err) {
    static const char *const names[] = {"ttl"};
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
    yyjson_val *ttl = body_object_val(&b, "ttl");
    rc = body_done(&b, err);
    return rc == 0 && ttl ? read_ttl(&c->memory, ttl, out, err) : rc;
}

int store_settings(struct config *c, struct store_settings *out, struct err *err) {
    struct store_settings s = {0};
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
    *out = s;
    return 0;
}
