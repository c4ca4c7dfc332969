/* SPDX-License-Identifier: Apache-2.0 */
/* plan_work.c - the handlers of /plans/queues and /plans/work: what workers outside ask for.
 *
 * A request brings up to a hundred leases, each judged for itself and answered at its place. When
 * none of them was taken the request is refused, with the code of the first. A repeated request is
 * answered as the first was, without an Idempotency-Key: a lease has one result. */
#include "api/api_int.h"
#include "plans/plans.h"
#include "plans/workers.h"

#define WORKER_BYTES_MAX 200
#define NOTE_BYTES_MAX   2000
#define DATA_BYTES_MAX   4096
#define OUTPUT_BYTES_MAX ((size_t)1 << 20)
#define NOTES_MAX        100
#define WAIT_MAX_S       60
#define LEASE_MAX_S      3600
#define LEASE_DEFAULT_S  30

static struct plans *plans_of(struct api_request *r) { return api_options_of(r->api)->plans; }

static int64_t lease_us(struct body *b) {
    return (int64_t)(body_double(b, "lease", 1, LEASE_MAX_S, LEASE_DEFAULT_S) * 1e6);
}

/* --- claiming --- */

static void write_item(struct json_writer *w, struct arena *a, const struct work_item *item) {
    struct plan_step spec = {.policy = STR("{}")};
    if (plan_step_spec_read(a, item->spec, PLAN_STEPS_MAX, &spec, NULL) < 0)
        spec.policy = STR("{}");
    jw_object(w);
    jw_key(w, "plan_id");
    api_write_id(w, item->row.plan_id);
    jw_key(w, "position");
    jw_i64(w, item->row.position);
    jw_key(w, "token");
    jw_i64(w, item->row.token);
    jw_key(w, "queue");
    jw_str(w, item->row.queue);
    jw_key(w, "name");
    jw_str(w, item->name);
    jw_key(w, "tool");
    jw_str(w, item->tool);
    jw_key(w, "project_id");
    jw_str(w, item->project);
    jw_key(w, "key");
    jw_str(w, item->key);
    jw_key(w, "inputs");
    jw_raw(w, item->inputs);
    jw_key(w, "policy");
    jw_raw(w, spec.policy);
    jw_key(w, "attempt");
    jw_i64(w, item->row.attempt);
    jw_key(w, "max_attempts");
    jw_i64(w, spec.retry.attempts_max);
    api_write_time_member(w, "lease_until", item->row.lease_until);
    api_write_time_member(w, "deadline", item->row.deadline_at);
    jw_object_end(w);
}

int api_plan_work_claim(struct api_request *r, struct err *err) {
    struct plans_claim c = {.lease = {.queue = r->match.params[0]}};
    struct work_item *items;
    size_t count;
    struct body b;
    if (!plans_queue_is_fine(c.lease.queue))
        return err_set(err, ERR_NOT_FOUND, "Queue not found");
    int rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    c.lease.worker = body_str_sized(&b, "worker_id", 1, WORKER_BYTES_MAX, STR_NULL);
    if (!c.lease.worker.p && !body_get(&b, "worker_id"))
        body_fault(&b, "worker_id", "is required");
    c.lease.limit = body_int(&b, "max", (struct body_range){1, PLANS_WORK_MAX, 1});
    c.lease.lease_us = lease_us(&b);
    c.wait_us = (int64_t)(body_double(&b, "wait", 0, WAIT_MAX_S, 0) * 1e6);
    rc = body_done(&b, err);
    if (rc == 0)
        rc = plans_work_claim(plans_of(r), &r->who, &c, r->arena, &items, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "work");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_item(&w, r->arena, &items[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- leases in requests and answers --- */

struct leases {
    yyjson_val *list;
    size_t count;
    struct work_ref *refs;
    struct body *bodies; /* of each, for what else it has */
};

static int read_leases(struct api_request *r, struct leases *out, struct err *err) {
    yyjson_val *item;
    size_t i, n;
    int rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    out->list = json_get(r->body, "work");
    out->count = yyjson_arr_size(out->list);
    if (!yyjson_is_arr(out->list) || out->count == 0 || out->count > PLANS_WORK_MAX)
        return err_set(err, ERR_INVALID, "work: must be an array of 1 to %d leases",
                       PLANS_WORK_MAX);
    out->refs = ARENA_ARRAY(r->arena, struct work_ref, out->count);
    out->bodies = ARENA_ARRAY(r->arena, struct body, out->count);
    yyjson_arr_foreach(out->list, i, n, item) {
        struct body *b = &out->bodies[i];
        body_init(b, r->arena, item);
        out->refs[i] = (struct work_ref){
            .plan_id = body_id_required(b, "plan_id"),
            .position = body_int(b, "position", (struct body_range){0, PLAN_STEPS_MAX, -1}),
            .token = body_int(b, "token", (struct body_range){0, INT64_MAX, -1}),
        };
        if (out->refs[i].position < 0 || out->refs[i].token < 0)
            body_fault(b, "position, token", "are required");
    }
    return 0;
}

static int leases_done(const struct leases *l, struct err *err) {
    for (size_t i = 0; i < l->count; i++) {
        int rc = body_done(&l->bodies[i], err);
        if (rc < 0) {
            (void)err_context(err, "work");
            return rc;
        }
    }
    return 0;
}

static int reply(struct api_request *r, const struct leases *l,
                 const struct plans_work_answer *answers, struct err *err) {
    size_t refused = 0;
    for (size_t i = 0; i < l->count; i++)
        refused += answers[i].code < 0;
    if (refused == l->count)
        return err_set(err, answers[0].code, STR_FMT, STR_ARG(answers[0].error));
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "work");
    jw_array(&w);
    for (size_t i = 0; i < l->count; i++) {
        jw_object(&w);
        jw_key(&w, "plan_id");
        api_write_id(&w, l->refs[i].plan_id);
        jw_key(&w, "position");
        jw_i64(&w, l->refs[i].position);
        jw_key(&w, "token");
        jw_i64(&w, l->refs[i].token);
        jw_key(&w, "status");
        jw_z(&w, answers[i].status);
        if (answers[i].lease_until)
            api_write_time_member(&w, "lease_until", answers[i].lease_until);
        if (answers[i].error.p) {
            jw_key(&w, "error");
            jw_str(&w, answers[i].error);
        }
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static struct plans_work_answer *answers_of(struct api_request *r, const struct leases *l) {
    return ARENA_ARRAY(r->arena, struct plans_work_answer, l->count);
}

/* --- saying something about leases --- */

int api_plan_work_heartbeat(struct api_request *r, struct err *err) {
    struct leases l;
    struct body b;
    int rc = read_leases(r, &l, err);
    if (rc == 0)
        rc = leases_done(&l, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    int64_t lease = lease_us(&b);
    struct plans_work_answer *answers = answers_of(r, &l);
    rc = body_done(&b, err);
    if (rc == 0)
        rc =
            plans_work_extend(plans_of(r), &r->who, l.refs, l.count, lease, r->arena, answers, err);
    return rc < 0 ? rc : reply(r, &l, answers, err);
}

static void read_notes(struct arena *a, struct body *b, struct plans_work_progress *out) {
    yyjson_val *list = body_array(b, "events"), *item;
    size_t i, n, count = yyjson_arr_size(list);
    if (count == 0 || count > NOTES_MAX) {
        body_fault(b, "events", "must be an array of 1 to %d", NOTES_MAX);
        return;
    }
    struct plans_work_note *notes = ARENA_ARRAY(a, struct plans_work_note, count);
    yyjson_arr_foreach(list, i, n, item) {
        struct body note;
        struct err why = {0};
        body_init(&note, a, item);
        notes[i].message = body_str_sized(&note, "message", 1, NOTE_BYTES_MAX, STR_NULL);
        if (!notes[i].message.p)
            body_fault(&note, "message", "is required");
        notes[i].data = body_json(&note, "data", STR_NULL);
        if (notes[i].data.len > DATA_BYTES_MAX)
            body_fault(&note, "data", "is larger than %d bytes", DATA_BYTES_MAX);
        if (body_done(&note, &why) < 0)
            body_fault(b, "events", "%s", why.message);
    }
    out->notes = notes;
    out->count = count;
}

int api_plan_work_events(struct api_request *r, struct err *err) {
    struct leases l;
    int rc = read_leases(r, &l, err);
    if (rc < 0)
        return rc;
    struct plans_work_progress *list = ARENA_ARRAY(r->arena, struct plans_work_progress, l.count);
    struct plans_work_answer *answers = answers_of(r, &l);
    for (size_t i = 0; i < l.count; i++) {
        list[i].ref = l.refs[i];
        read_notes(r->arena, &l.bodies[i], &list[i]);
    }
    rc = leases_done(&l, err);
    if (rc == 0)
        rc = plans_work_tell(plans_of(r), &r->who, list, l.count, r->arena, answers, err);
    return rc < 0 ? rc : reply(r, &l, answers, err);
}

static int finish(struct api_request *r, bool succeeded, struct err *err) {
    struct leases l;
    int rc = read_leases(r, &l, err);
    if (rc < 0)
        return rc;
    struct plans_work_result *results = ARENA_ARRAY(r->arena, struct plans_work_result, l.count);
    struct plans_work_answer *answers = answers_of(r, &l);
    for (size_t i = 0; i < l.count; i++) {
        struct body *b = &l.bodies[i];
        results[i] = (struct plans_work_result){.ref = l.refs[i], .succeeded = succeeded};
        if (succeeded) {
            results[i].output = body_json(b, "output", STR_NULL);
            if (results[i].output.len > OUTPUT_BYTES_MAX)
                body_fault(b, "output", "is larger than 1 MiB");
            continue;
        }
        results[i].error = body_str_sized(b, "error", 1, NOTE_BYTES_MAX, STR_NULL);
        if (!results[i].error.p && !body_get(b, "error"))
            body_fault(b, "error", "is required");
        results[i].retryable = body_bool(b, "retryable", true);
    }
    rc = leases_done(&l, err);
    if (rc == 0)
        rc = plans_work_finish(plans_of(r), &r->who, results, l.count, r->arena, answers, err);
    return rc < 0 ? rc : reply(r, &l, answers, err);
}

int api_plan_work_complete(struct api_request *r, struct err *err) { return finish(r, true, err); }
int api_plan_work_fail(struct api_request *r, struct err *err) { return finish(r, false, err); }
