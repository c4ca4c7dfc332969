/* SPDX-License-Identifier: Apache-2.0 */
/* plan_dead.c - the handlers of /plans/dead: steps that failed for good, done again or taken note
 * of.
 *
 * What is asked of many is asked by filter, at most so many steps at a time; `next` goes on behind
 * them, also behind those that could not be done again yet. */
#include "plans/plans.h"
#include "api/api_int.h"

#define PAGE_MAX  100
#define MANY_MAX  500
#define MANY      50

static struct plans *plans_of(struct api_request *r) { return api_options_of(r->api)->plans; }

static void write_dead(struct json_writer *w, const struct dead_row *d) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, d->id);
    jw_key(w, "plan_id");
    api_write_id(w, d->plan_id);
    jw_key(w, "position");
    jw_i64(w, d->position);
    jw_key(w, "name");
    jw_str(w, d->name);
    jw_key(w, "tool");
    jw_str(w, d->tool);
    jw_key(w, "project_id");
    jw_str(w, d->project);
    jw_key(w, "reason");
    jw_str(w, d->reason);
    jw_key(w, "error");
    jw_str(w, d->error);
    jw_key(w, "attempts");
    jw_i64(w, d->attempt);
    jw_key(w, "losses");
    jw_i64(w, d->losses);
    api_write_time_member(w, "died_at", d->died_at);
    jw_object_end(w);
}

static void write_next(struct json_writer *w, const struct dead_row *list, size_t count,
                       bool more) {
    jw_key(w, "next");
    if (more)
        api_write_id(w, list[count - 1].id);
    else
        jw_null(w);
}

static int read_ids(str plan, str before, struct dead_filter *f, struct err *err) {
    if (plan.len && !id_parse(plan, &f->plan_id))
        return err_set(err, ERR_INVALID, "plan_id: must be the id of a plan run");
    if (before.len && !id_parse(before, &f->before))
        return err_set(err, ERR_INVALID, "before: must be the id of a dead step");
    return 0;
}

int api_plan_dead_list(struct api_request *r, struct err *err) {
    struct dead_row *list;
    size_t count;
    int64_t limit = 0;
    str project = http_query_get(&r->query, "project_id"), tool = http_query_get(&r->query, "tool");
    struct dead_filter f = {.tool = tool.len ? tool : STR_NULL,
                            .project = project.len ? project : STR_NULL};
    int rc = api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, 20}, &limit, err);
    if (rc == 0)
        rc = read_ids(http_query_get(&r->query, "plan_id"), http_query_get(&r->query, "before"),
                      &f, err);
    f.limit = limit + 1;
    if (rc == 0)
        rc = dead_list(r->store, &r->who, &f, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "dead");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_dead(&w, &list[i]);
    jw_array_end(&w);
    write_next(&w, list, count, more);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- one --- */

static void write_rehydrated(struct json_writer *w, const struct plans_rehydrated *p) {
    jw_object(w);
    jw_key(w, "plan_id");
    api_write_id(w, p->plan_id);
    jw_key(w, "run_id");
    api_write_id(w, p->run_id);
    jw_key(w, "dead");
    jw_i64(w, (int64_t)p->dead);
    jw_key(w, "steps");
    jw_i64(w, (int64_t)p->steps);
    jw_object_end(w);
}

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Dead step not found");
}

int api_plan_dead_rehydrate(struct api_request *r, struct err *err) {
    struct plans_rehydrated done;
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = plans_rehydrate(plans_of(r), &r->who, id, r->arena, &done, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_rehydrated(&w, &done);
    return api_reply_json(r, 200);
}

int api_plan_dead_discard(struct api_request *r, struct err *err) {
    struct dead_row row;
    struct id id;
    size_t gone = 0;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = dead_get(r->store, &r->who, id, r->arena, &row, err);
    struct principal owner = {.owner = rc == 0 ? row.owner : STR_NULL};
    if (rc == 0)
        rc = dead_discard(r->store, &owner, &id, 1, r->arena, &gone, err);
    if (rc == 0 && !gone)
        rc = err_set(err, ERR_NOT_FOUND, "Dead step not found");
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- many --- */

static int read_many(struct api_request *r, struct dead_row **out, size_t *out_count,
                     bool *out_more, struct err *err) {
    struct dead_filter f = {0};
    struct body b;
    size_t count = 0;
    body_init(&b, r->arena, r->body);
    f.tool = body_str_sized(&b, "tool", 1, PLAN_NAME_BYTES_MAX, STR_NULL);
    f.project = body_str_sized(&b, "project_id", 1, PLAN_NAME_BYTES_MAX, STR_NULL);
    str plan = body_str(&b, "plan_id", STR_NULL), before = body_str(&b, "before", STR_NULL);
    int64_t limit = body_int(&b, "limit", (struct body_range){1, MANY_MAX, MANY});
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = read_ids(plan, before, &f, err);
    f.limit = limit + 1;
    if (rc == 0)
        rc = dead_list(r->store, &r->who, &f, r->arena, out, &count, err);
    *out_more = (int64_t)count > limit;
    *out_count = count - *out_more;
    return rc;
}

static void write_done(struct json_writer *w, const struct plans_rehydrated *plans, size_t count) {
    size_t dead = 0;
    jw_key(w, "plans");
    jw_array(w);
    for (size_t i = 0; i < count; i++) {
        if (id_is_nil(plans[i].run_id))
            continue;
        write_rehydrated(w, &plans[i]);
        dead += plans[i].dead;
    }
    jw_array_end(w);
    jw_key(w, "dead");
    jw_i64(w, (int64_t)dead);
    jw_key(w, "skipped");
    jw_array(w);
    for (size_t i = 0; i < count; i++) {
        if (!id_is_nil(plans[i].run_id))
            continue;
        jw_object(w);
        jw_key(w, "plan_id");
        api_write_id(w, plans[i].plan_id);
        jw_key(w, "error");
        jw_str(w, plans[i].why);
        jw_object_end(w);
    }
    jw_array_end(w);
}

int api_plan_dead_rehydrate_many(struct api_request *r, struct err *err) {
    struct dead_row *list;
    struct plans_rehydrated *done;
    size_t count, plans;
    bool more;
    int rc = read_many(r, &list, &count, &more, err);
    if (rc == 0)
        rc = plans_rehydrate_many(plans_of(r), &r->who, list, count, r->arena, &done, &plans, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_done(&w, done, plans);
    write_next(&w, list, count, more);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_plan_dead_discard_many(struct api_request *r, struct err *err) {
    struct dead_row *list;
    size_t count, gone = 0;
    bool more;
    int rc = read_many(r, &list, &count, &more, err);
    if (rc < 0)
        return rc;
    struct id *ids = ARENA_ARRAY(r->arena, struct id, count + 1);
    for (size_t i = 0; i < count; i++)
        ids[i] = list[i].id;
    rc = dead_discard(r->store, &r->who, ids, count, r->arena, &gone, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "dead");
    jw_i64(&w, (int64_t)gone);
    write_next(&w, list, count, more);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}
