/* SPDX-License-Identifier: Apache-2.0 */
/* projects.c - the handlers of /projects and /settings, and what plans take from them.
 *
 *   the plan says it ─▶ else its project ─▶ else its owner's settings ─▶ else the server's option
 *
 * Settings are any JSON under any name; those whose name begins with "plan." the server reads, so
 * their values are looked at when they are given. A change of a project reads the row, makes the
 * new one and writes it if nobody was faster. */
#include "store/projects.h"
#include "api/plans_int.h"
#include "plans/plans.h"
#include "api/runs_int.h"

#define NAME_BYTES_MAX        PLAN_NAME_BYTES_MAX
#define DESCRIPTION_BYTES_MAX 2000
#define KEY_BYTES_MAX         100
#define VALUE_BYTES_MAX       16384
#define CONCURRENCY           "plan.concurrency"
#define WEBHOOK               "plan.webhook"
#define PROJECT               "plan.project_id"

/* --- what is read of them --- */

static bool is_key(str key) {
    for (size_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-'))
            return false;
    }
    return key.len > 0 && key.len <= KEY_BYTES_MAX;
}

static int wrong(str key, const char *what, struct err *err) {
    return err_set(err, ERR_INVALID, STR_FMT ": %s", STR_ARG(str_slice(key, 0, KEY_BYTES_MAX)),
                   what);
}

static int check_setting(struct api_request *r, str key, yyjson_val *v, bool of_project,
                         struct err *err) {
    int64_t n = yyjson_is_int(v) && !(yyjson_is_uint(v) && yyjson_get_uint(v) > INT32_MAX)
                    ? yyjson_get_sint(v)
                    : 0;
    if (!is_key(key))
        return wrong(key, "a name is of letters, digits, dots, _ and -, at most 100", err);
    if (json_text(r->arena, v).len > VALUE_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a setting has at most %d bytes", VALUE_BYTES_MAX);
    if (str_eq(key, STR(CONCURRENCY)))
        return n >= 1 && n <= PLAN_CONCURRENCY_MAX
                   ? 0
                   : wrong(key, "must be an integer between 1 and 1000", err);
    if (str_eq(key, STR(WEBHOOK)))
        return yyjson_is_str(v) ? run_check_webhook(r, v, err)
                                : wrong(key, "must be an address", err);
    if (str_eq(key, STR(PROJECT)) && !of_project) {
        str text = json_str(v);
        return text.len >= 1 && text.len <= NAME_BYTES_MAX
                   ? 0
                   : wrong(key, "must be a text of 1 to 200 bytes", err);
    }
    return str_starts(key, STR("plan.")) ? wrong(key, "there is no such setting of plans", err) : 0;
}

static yyjson_val *read_value(struct arena *a, str text) {
    yyjson_val *v;
    return text.p && json_parse(a, text, &v, NULL) == 0 ? v : NULL;
}

int api_plan_defaults(struct api_request *r, const struct principal *who, struct plan_asked *asked,
                      struct err *err) {
    struct plan_spec *plan = &asked->plan;
    struct plan_context ctx;
    struct arena *a = r->arena;
    int rc = plan_context_read(r->store, who, plan->project, plans_assistant(), a, &ctx, err);
    if (rc < 0)
        return rc;
    asked->context = ctx.run;
    str usual = plan->project.p ? STR_NULL : json_str(read_value(a, ctx.project));
    if (usual.len)
        plan->project = usual;
    yyjson_val *own = read_value(a, ctx.of_project);
    yyjson_val *n = json_get(own, CONCURRENCY), *webhook = json_get(own, WEBHOOK);
    n = n ? n : read_value(a, ctx.concurrency);
    webhook = webhook ? webhook : read_value(a, ctx.webhook);
    if (!plan->concurrency && n)
        plan->concurrency = (int)yyjson_get_sint(n);
    if (!json_get(asked->body, "webhook"))
        asked->webhook = webhook;
    return 0;
}

/* --- settings --- */

static int reply_settings(struct api_request *r, struct err *err) {
    struct setting *list;
    size_t count;
    int rc = setting_list(r->store, &r->who, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    for (size_t i = 0; i < count; i++) {
        jw_key_str(&w, list[i].key);
        jw_raw(&w, list[i].value);
    }
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_setting_list(struct api_request *r, struct err *err) { return reply_settings(r, err); }

static int reply_setting(struct api_request *r, const struct setting *s) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "key");
    jw_str(&w, s->key);
    jw_key(&w, "value");
    jw_raw(&w, s->value);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_setting_get(struct api_request *r, struct err *err) {
    struct setting s;
    int rc = setting_get(r->store, &r->who, r->match.params[0], r->arena, &s, err);
    return rc < 0 ? rc : reply_setting(r, &s);
}

int api_setting_put(struct api_request *r, struct err *err) {
    yyjson_val *v = json_get(r->body, "value");
    struct setting s = {.key = r->match.params[0]};
    int rc = api_body_object(r, err);
    if (rc == 0 && (!v || yyjson_is_null(v)))
        rc = err_set(err, ERR_INVALID, "value: is required");
    if (rc == 0)
        rc = check_setting(r, s.key, v, false, err);
    if (rc < 0)
        return rc;
    s.value = json_text(r->arena, v);
    rc = setting_change(r->store, &r->who, &s, 1, 0, rt_now_us(fiber_rt()), r->arena, err);
    return rc < 0 ? rc : reply_setting(r, &s);
}

int api_setting_patch(struct api_request *r, struct err *err) {
    yyjson_val *key, *v;
    size_t i, n, count = yyjson_obj_size(r->body);
    int rc = api_body_object(r, err);
    if (rc == 0 && count > SETTING_COUNT_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "at most %d settings are changed at once",
                     SETTING_COUNT_MAX);
    if (rc < 0)
        return rc;
    struct setting *list = ARENA_ARRAY(r->arena, struct setting, count + 1);
    yyjson_obj_foreach(r->body, i, n, key, v) {
        list[i].key = json_str(key);
        if (yyjson_is_null(v))
            continue;
        rc = check_setting(r, list[i].key, v, false, err);
        if (rc < 0)
            return rc;
        list[i].value = json_text(r->arena, v);
    }
    rc = setting_change(r->store, &r->who, list, count, 0, rt_now_us(fiber_rt()), r->arena, err);
    return rc < 0 ? rc : reply_settings(r, err);
}

int api_setting_delete(struct api_request *r, struct err *err) {
    struct setting s = {.key = r->match.params[0]};
    int rc = setting_change(r->store, &r->who, &s, 1, ERR_NOT_FOUND, 0, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- projects --- */

static void write_project(struct json_writer *w, const struct project *p) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, p->id);
    jw_key(w, "name");
    jw_str(w, p->name);
    jw_key(w, "description");
    jw_str(w, p->description);
    jw_key(w, "metadata");
    jw_raw(w, p->metadata);
    jw_key(w, "settings");
    jw_raw(w, p->settings);
    jw_key(w, "version");
    jw_i64(w, p->version);
    jw_key(w, "created_at");
    api_write_time(w, p->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, p->updated_at);
    jw_object_end(w);
}

static int reply_project(struct api_request *r, int status, const struct project *p) {
    struct json_writer w = api_json(r);
    write_project(&w, p);
    return api_reply_json(r, status);
}

static int check_settings(struct api_request *r, yyjson_val *settings, struct err *err) {
    yyjson_val *key, *v;
    size_t i, n;
    if (yyjson_obj_size(settings) > SETTING_COUNT_MAX)
        return err_set(err, ERR_TOO_LARGE, "settings: there can be at most %d", SETTING_COUNT_MAX);
    yyjson_obj_foreach(settings, i, n, key, v) {
        int rc = check_setting(r, json_str(key), v, true, err);
        if (rc < 0) {
            (void)err_context(err, "settings");
            return rc;
        }
    }
    return 0;
}

/* Over what *p says. */
static int read_project(struct api_request *r, struct project *p, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    p->name = body_str_sized(&b, "name", 1, NAME_BYTES_MAX, p->name);
    if (!p->name.p && !body_get(&b, "name"))
        body_fault(&b, "name", "is required");
    p->description = body_str_sized(&b, "description", 0, DESCRIPTION_BYTES_MAX, p->description);
    yyjson_val *metadata = body_object_val(&b, "metadata");
    yyjson_val *settings = body_object_val(&b, "settings");
    if (metadata)
        p->metadata = json_text(r->arena, metadata);
    if (settings)
        p->settings = json_text(r->arena, settings);
    if (p->metadata.len > VALUE_BYTES_MAX)
        body_fault(&b, "metadata", "has at most %d bytes", VALUE_BYTES_MAX);
    if (p->settings.len > VALUE_BYTES_MAX)
        body_fault(&b, "settings", "has at most %d bytes", VALUE_BYTES_MAX);
    int rc = body_done(&b, err);
    return rc < 0 || !settings ? rc : check_settings(r, settings, err);
}

int api_project_create(struct api_request *r, struct err *err) {
    int64_t now = rt_now_us(fiber_rt());
    struct project p = {.id = id_v7(),
                        .owner = r->who.owner,
                        .description = STR(""),
                        .metadata = STR("{}"),
                        .settings = STR("{}"),
                        .created_at = now,
                        .updated_at = now};
    int rc = read_project(r, &p, err);
    if (rc == 0)
        rc = project_create(r->store, &p, r->arena, err);
    return rc < 0 ? rc : reply_project(r, 201, &p);
}

int api_project_list(struct api_request *r, struct err *err) {
    struct project *list;
    size_t count;
    int64_t limit = 0;
    str after;
    int rc = api_named_page(r, &after, &limit, err);
    if (rc == 0)
        rc = project_list(r->store, &r->who, after, limit + 1, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "projects");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_project(&w, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    jw_str(&w, more ? list[count - 1].name : STR_NULL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Project not found");
}

int api_project_get(struct api_request *r, struct err *err) {
    struct project p;
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = project_get(r->store, &r->who, id, r->arena, &p, err);
    return rc < 0 ? rc : reply_project(r, 200, &p);
}

static int change_once(struct api_request *r, struct id id, void *row, bool *out_again,
                       struct err *err) {
    struct project *p = row;
    int rc = project_get(r->store, &r->who, id, r->arena, p, err);
    if (rc == 0)
        rc = api_check_version(r, "project", p->version, err);
    if (rc == 0)
        rc = read_project(r, p, err);
    if (rc < 0)
        return rc;
    p->updated_at = rt_now_us(fiber_rt());
    rc = project_update(r->store, &r->who, p, r->arena, err);
    *out_again = rc == ERR_CONFLICT;
    return rc;
}

int api_project_patch(struct api_request *r, struct err *err) {
    struct project p;
    int rc = api_change(r, "Project not found", change_once, &p, err);
    return rc < 0 ? rc : reply_project(r, 200, &p);
}

int api_project_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = project_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
