/* SPDX-License-Identifier: Apache-2.0 */
/* plan_templates.c - the handlers of /plans/templates, and plans that are made of one.
 *
 *   template (plan with expressions, schema of parameters) ─┐
 *   params ─▶ defaults ─▶ schema ───────────────────────────┴▶ filled ─▶ a plan like any other
 *
 * A plan that was made of a template has its id and version in its metadata, and nothing else of
 * it: a template may be changed or deleted while its plans are under way. A change reads the row,
 * makes the new one and writes it if nobody was faster. */
#include "store/plan_templates.h"
#include "api/plans_int.h"
#include "graphs/fill.h"
#include "model/schema.h"

#define NAME_BYTES_MAX        200
#define DESCRIPTION_BYTES_MAX 2000
#define PLAN_BYTES_MAX        ((size_t)1 << 20)
#define PARAMETERS_BYTES_MAX  65536
#define FILLED_BYTES_MAX      ((size_t)8 << 20)

/* --- making a plan --- */

/* What the body says of the plan goes over what the template says. */
static str overlay(struct api_request *r, yyjson_val *body, const struct plan_template *t,
                   yyjson_val *filled) {
    static const char *const keys[] = {"goal", "project_id", "concurrency", "webhook"};
    struct arena *a = r->arena;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        yyjson_val *v = json_get(body, keys[i]);
        if (!v || yyjson_is_null(v))
            continue;
        jw_key(&w, keys[i]);
        jw_val(&w, v);
    }
    yyjson_val *under = json_get(filled, "metadata"), *over = json_get(body, "metadata");
    str metadata = json_merge(a, yyjson_is_obj(under) ? json_text(a, under) : STR("{}"),
                              yyjson_is_obj(over) ? json_text(a, over) : STR("{}"));
    str from = arena_printf(a, "{\"template_id\":\"" STR_FMT "\",\"template_version\":%lld}",
                            STR_ARG(id_dashed(a, t->id)), (long long)t->version);
    jw_key(&w, "metadata");
    jw_raw(&w, json_merge(a, metadata, from));
    jw_object_end(&w);
    return arena_take(a, &b);
}

/* {"params": {…}} with the defaults, when they fit. */
static int read_params(struct api_request *r, yyjson_val *body, const struct plan_template *t,
                       yyjson_val **out, struct err *err) {
    yyjson_val *given = json_get(body, "params"), *schema, *params;
    str text = STR("{}");
    if (given && !yyjson_is_null(given)) {
        if (!yyjson_is_obj(given))
            return err_set(err, ERR_INVALID, "params: must be an object");
        text = json_text(r->arena, given);
    }
    int rc = json_parse(r->arena, t->parameters, &schema, err);
    if (rc < 0)
        return rc;
    text = schema_with_defaults(r->arena, schema, text);
    rc = json_parse(r->arena, text, &params, err);
    if (rc == 0)
        rc = schema_validate(schema, params, "params", err);
    if (rc == 0)
        *out = params;
    return rc;
}

int api_template_fill(struct api_request *r, const struct principal *who, yyjson_val *body,
                      yyjson_val **out, struct err *err) {
    struct plan_template t;
    yyjson_val *params, *plan, *filled;
    str text, name = json_str(json_get(body, "template"));
    if (!name.len || name.len > NAME_BYTES_MAX)
        return err_set(err, ERR_INVALID, "template: must be the id or the name of one");
    if (json_get(body, "steps"))
        return err_set(err, ERR_INVALID, "steps: are those of the template");
    int rc = plan_template_find(r->store, who, name, r->arena, &t, err);
    if (rc == 0)
        rc = read_params(r, body, &t, &params, err);
    if (rc == 0)
        rc = json_parse(r->arena, t.plan, &plan, err);
    if (rc < 0)
        return rc;
    struct expr_member member = {STR("params"), expr_of_json(params)};
    struct expr_value root = expr_of_members(&member, 1);
    rc = fill(r->arena, plan, &root, FILLED_BYTES_MAX, &text, err);
    if (rc < 0) {
        (void)err_context(err, "template");
        return rc;
    }
    rc = json_parse(r->arena, text, &filled, err);
    return rc < 0 ? rc
                  : json_parse(r->arena, json_merge(r->arena, text, overlay(r, body, &t, filled)),
                               out, err);
}

/* --- encoding --- */

static void write_template(struct json_writer *w, const struct plan_template *t) {
    jw_object(w);
    jw_key(w, "template_id");
    api_write_id(w, t->id);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "description");
    jw_str(w, t->description);
    jw_key(w, "parameters");
    jw_raw(w, t->parameters);
    if (t->plan.p) {
        jw_key(w, "plan");
        jw_raw(w, t->plan);
    }
    jw_key(w, "version");
    jw_i64(w, t->version);
    jw_key(w, "created_at");
    api_write_time(w, t->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, t->updated_at);
    jw_object_end(w);
}

static int reply(struct api_request *r, int status, const struct plan_template *t) {
    struct json_writer w = api_json(r);
    write_template(&w, t);
    return api_reply_json(r, status);
}

/* --- the resource --- */

static void check_plan(struct body *b, yyjson_val *plan) {
    struct err err = {0};
    yyjson_val *steps = json_get(plan, "steps");
    if (!yyjson_is_arr(steps) || yyjson_arr_size(steps) == 0)
        body_fault(b, "plan", "steps: must be a list of at least one step");
    else if (fill_check(b->a, plan, &err) < 0)
        body_fault(b, "plan", "%s", err.message);
}

/* Over what *t says. */
static int read_template(struct api_request *r, struct plan_template *t, struct err *err) {
    struct body b;
    struct err why = {0};
    body_init(&b, r->arena, r->body);
    t->name = body_str_sized(&b, "name", 1, NAME_BYTES_MAX, t->name);
    if (!t->name.p && !body_get(&b, "name"))
        body_fault(&b, "name", "is required");
    t->description = body_str_sized(&b, "description", 0, DESCRIPTION_BYTES_MAX, t->description);
    yyjson_val *plan = body_object_val(&b, "plan");
    yyjson_val *parameters = body_object_val(&b, "parameters");
    if (!plan && !t->plan.p && !body_get(&b, "plan"))
        body_fault(&b, "plan", "is required");
    if (plan) {
        check_plan(&b, plan);
        t->plan = json_text(r->arena, plan);
    }
    if (parameters) {
        if (schema_check(parameters, &why) < 0)
            body_fault(&b, "parameters", "%s", why.message);
        t->parameters = json_text(r->arena, parameters);
    }
    int rc = body_done(&b, err);
    if (rc == 0 && (t->plan.len > PLAN_BYTES_MAX || t->parameters.len > PARAMETERS_BYTES_MAX))
        rc = err_set(err, ERR_TOO_LARGE, "plan has at most %zu bytes, parameters %d",
                     PLAN_BYTES_MAX, PARAMETERS_BYTES_MAX);
    return rc;
}

int api_plan_template_create(struct api_request *r, struct err *err) {
    int64_t now = rt_now_us(fiber_rt());
    struct plan_template t = {.id = id_v7(),
                              .owner = r->who.owner,
                              .description = STR(""),
                              .parameters = STR("{}"),
                              .created_at = now,
                              .updated_at = now};
    int rc = read_template(r, &t, err);
    if (rc == 0)
        rc = plan_template_create(r->store, &t, r->arena, err);
    return rc < 0 ? rc : reply(r, 201, &t);
}

int api_plan_template_list(struct api_request *r, struct err *err) {
    struct plan_template *list;
    size_t count;
    int64_t limit = 0;
    str after;
    int rc = api_named_page(r, &after, &limit, err);
    if (rc == 0)
        rc = plan_template_list(r->store, &r->who, after, limit + 1, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "templates");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_template(&w, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    jw_str(&w, more ? list[count - 1].name : STR_NULL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Template not found");
}

int api_plan_template_get(struct api_request *r, struct err *err) {
    struct plan_template t;
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = plan_template_get(r->store, &r->who, id, r->arena, &t, err);
    return rc < 0 ? rc : reply(r, 200, &t);
}

static int change_once(struct api_request *r, struct id id, void *row, bool *out_again,
                       struct err *err) {
    struct plan_template *t = row;
    int rc = plan_template_get(r->store, &r->who, id, r->arena, t, err);
    if (rc == 0)
        rc = api_check_version(r, "template", t->version, err);
    if (rc == 0)
        rc = read_template(r, t, err);
    if (rc < 0)
        return rc;
    t->updated_at = rt_now_us(fiber_rt());
    rc = plan_template_update(r->store, &r->who, t, r->arena, err);
    *out_again = rc == ERR_CONFLICT;
    return rc;
}

int api_plan_template_patch(struct api_request *r, struct err *err) {
    struct plan_template t;
    int rc = api_change(r, "Template not found", change_once, &t, err);
    return rc < 0 ? rc : reply(r, 200, &t);
}

int api_plan_template_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = plan_template_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
