/* SPDX-License-Identifier: Apache-2.0 */
/* runs_many.c - several runs by one request: a batch of stateless ones, cancelling by status or by
 * ids; and what people think of a run.
 *
 * A batch is accepted as a whole or not at all: the first fault of one run, or a queue without room
 * for all, refuses the request and nothing of it is stored (engine/submit_many.c). */
#include "api/api_int.h"
#include "api/runs_int.h"

#define BATCH_COUNT_MAX    1000
#define CANCEL_COUNT_MAX   1000
#define CANCEL_PAGE        200
#define FEEDBACK_BYTES_MAX 65536

/* --- a batch --- */

struct batch {
    struct api_request *r;
    struct live_run **runs;
    size_t count;
};

static void write_runs(const struct batch *b, struct json_writer *w) {
    jw_array(w);
    for (size_t i = 0; i < b->count; i++)
        api_write_run(w, live_run_row(b->runs[i]), API_RUN_ALL);
    jw_array_end(w);
}

/* What the answer will be, kept by the batch that creates the runs. */
static void keep_runs(void *ctx, struct db_batch *b) {
    const struct batch *batch = ctx;
    struct json_writer w = api_json(batch->r);
    write_runs(batch, &w);
    api_keyed_add(batch->r, b, arena_dup(batch->r->arena, buf_view(w.b)), ID_NIL, ID_NIL);
}

int api_run_batch(struct api_request *r, struct err *err) {
    yyjson_val *list = r->body, *item;
    size_t i, n, count = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || count == 0 || count > BATCH_COUNT_MAX)
        return err_set(err, ERR_INVALID, "body: must be an array of 1 to %d runs", BATCH_COUNT_MAX);
    struct run_submit *submits = ARENA_ARRAY(r->arena, struct run_submit, count);
    struct batch batch = {r, ARENA_ARRAY(r->arena, struct live_run *, count), count};
    int rc = 0;
    yyjson_arr_foreach(list, i, n, item) {
        r->body = item;
        rc = run_submit_read(r, false, &submits[i], err);
        if (rc < 0)
            return err_context(err, "run %zu", i);
    }
    rc = engine_submit_many(r->engine, submits, count, r->keyed ? keep_runs : NULL, &batch,
                            batch.runs, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_runs(&batch, &w);
    for (i = 0; i < count; i++)
        live_run_unref(batch.runs[i]);
    return api_reply_json(r, 200);
}

/* --- cancelling --- */

struct cancel {
    enum cancel_action action;
    str reason;
    bool all; /* pending and running ones; else those of `status` */
    bool by_status;
    enum run_status status;
    struct id thread_id; /* nil: any */
    yyjson_val *ids;     /* NULL: any */
    size_t count;        /* of those that were cancelled */
};

static int cancel_read(struct api_request *r, struct cancel *out, struct err *err) {
    str action = http_query_get(&r->query, "action");
    struct body b;
    int rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    str status = body_str(&b, "status", STR_NULL);
    bool has_thread = body_id(&b, "thread_id", &out->thread_id);
    out->ids = body_str_array(&b, "run_ids");
    if (yyjson_arr_size(out->ids) > CANCEL_COUNT_MAX)
        body_fault(&b, "run_ids", "at most %d", CANCEL_COUNT_MAX);
    out->action = CANCEL_INTERRUPT;
    if (action.p && !cancel_action_parse(action, &out->action))
        body_fault(&b, "action", "must be interrupt or rollback");
    out->reason = http_query_get(&r->query, "reason");
    out->by_status = status.p != NULL;
    out->all = str_eq(status, STR("all"));
    if (status.p && !out->all && !str_eq(status, STR("pending")) && !str_eq(status, STR("running")))
        body_fault(&b, "status", "must be pending, running or all");
    out->status = str_eq(status, STR("pending")) ? RUN_PENDING : RUN_RUNNING;
    if (!status.p && (!has_thread || !out->ids))
        body_fault(&b, "status", "is required, or thread_id and run_ids");
    return body_done(&b, err);
}

/* One that ended meanwhile is no error. */
static int cancel_one(struct api_request *r, struct cancel *c, struct id thread_id,
                      struct id run_id, struct err *err) {
    int rc = engine_cancel(r->engine, &r->who, thread_id, run_id, c->action, c->reason, false, err);
    c->count += rc == 0;
    return rc == ERR_CONFLICT ? 0 : rc;
}

/* Those that wait are cancelled before those that run: the end of a running one starts the next of
 * its thread, which would run until its own turn came. */
static int cancel_ids(struct api_request *r, struct cancel *c, struct err *err) {
    yyjson_val *item;
    size_t i, count;
    struct id *ids = ARENA_ARRAY(r->arena, struct id, yyjson_arr_size(c->ids) + 1);
    struct id *running = ARENA_ARRAY(r->arena, struct id, yyjson_arr_size(c->ids) + 1);
    size_t chosen = 0, running_count = 0;
    yyjson_arr_foreach(c->ids, i, count, item) {
        struct run run;
        struct id id;
        if (!id_parse(json_str(item), &id))
            return err_set(err, ERR_INVALID, "run_ids: must be UUIDs");
        int rc = run_get(r->store, &r->who, c->thread_id, id, r->arena, &run, err);
        if (rc < 0)
            return rc;
        if (c->by_status && !c->all && run.status != c->status)
            continue;
        if (run.status == RUN_PENDING)
            ids[chosen++] = id;
        else if (run.status == RUN_RUNNING)
            running[running_count++] = id;
    }
    for (i = 0; i < running_count; i++)
        ids[chosen++] = running[i];
    for (i = 0; i < chosen; i++) {
        int rc = cancel_one(r, c, c->thread_id, ids[i], err);
        if (rc < 0 && rc != ERR_NOT_FOUND) /* deleted meanwhile */
            return rc;
    }
    return 0;
}

/* Those of `status`; NULL: pending and running ones. */
static int cancel_status(struct api_request *r, struct cancel *c,
                         const enum run_status *status, struct err *err) {
    struct id after = ID_NIL, *ids;
    size_t count;
    do {
        int rc = run_live_list(r->store, &r->who, c->thread_id, status, after, CANCEL_PAGE,
                               r->arena, &ids, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            after = ids[i];
            rc = cancel_one(r, c, ID_NIL, ids[i], err);
            if (rc == ERR_NOT_FOUND)
                rc = 0;
        }
        if (rc < 0)
            return rc;
    } while (count == CANCEL_PAGE);
    return 0;
}

/* Those that wait first, as cancel_ids() does. */
static int cancel_all(struct api_request *r, struct cancel *c, struct err *err) {
    enum run_status waiting = RUN_PENDING;
    int rc = cancel_status(r, c, &waiting, err);
    return rc < 0 ? rc : cancel_status(r, c, NULL, err);
}

int run_cancel_thread(struct api_request *r, struct id thread_id, str reason, size_t *out_count,
                      struct err *err) {
    struct cancel c = {.action = CANCEL_INTERRUPT, .reason = reason, .thread_id = thread_id};
    int rc = cancel_all(r, &c, err);
    if (rc == 0)
        *out_count = c.count;
    return rc;
}

int api_runs_cancel(struct api_request *r, struct err *err) {
    struct cancel c = {0};
    int rc = cancel_read(r, &c, err);
    if (rc == 0 && c.ids)
        rc = cancel_ids(r, &c, err);
    else if (rc == 0)
        rc = c.all ? cancel_all(r, &c, err) : cancel_status(r, &c, &c.status, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- feedback --- */

bool run_feedback_key_is_valid(str key) {
    for (size_t i = 0; i < key.len; i++) {
        char c = key.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return key.len > 0 && key.len <= 100;
}

/* Kept as an item of the store, where the owner finds it: namespace feedback, run id. */
int api_run_feedback(struct api_request *r, struct err *err) {
    struct id run_id;
    str key = r->match.params[1];
    struct body b;
    int rc = api_param_id(r, 0, &run_id, err, "Run not found");
    if (rc < 0)
        return rc;
    rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    if (!run_feedback_key_is_valid(key))
        return err_set(err, ERR_INVALID, "key: must be letters, digits, _ and -");
    body_init(&b, r->arena, r->body);
    (void)body_str(&b, "comment", STR_NULL);
    rc = body_done(&b, err);
    str value = json_text(r->arena, r->body);
    if (rc == 0 && value.len > FEEDBACK_BYTES_MAX)
        rc =
            err_set(err, ERR_TOO_LARGE, "The feedback is larger than %d bytes", FEEDBACK_BYTES_MAX);
    str dashed = id_dashed(r->arena, run_id);
    struct item_change change = {.name_space =
                                     arena_printf(r->arena, "feedback." STR_FMT, STR_ARG(dashed)),
                                 .key = key,
                                 .value = value};
    if (rc == 0)
        rc = item_put(r->store, &r->who, &change, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
