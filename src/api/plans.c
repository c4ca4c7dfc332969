/* SPDX-License-Identifier: Apache-2.0 */
/* plans.c - the handlers of /plans: making plan runs, reading them, asking something of them.
 *
 * A list pages by keyset: `next` is the cursor of the next page, null on the last. Of a plan run
 * the first steps come with it, in the same query; the others by /steps. A plan run is a run of a
 * thread, too: its stream, its join and its state are those of /threads/{thread_id}. */
#include "plans/plans.h"
#include "api/plans_int.h"
#include "api/runs_int.h"

#define STEPS_SHOWN   100
#define STEPS_MAX     1000
#define PAGE_MAX      100
#define ENTRIES_MAX   100 /* of the log, for a page of events */
#define POSITION_NONE (-1)

static struct plans *plans_of(struct api_request *r) { return api_options_of(r->api)->plans; }

/* --- encoding --- */

static void write_counts(struct json_writer *w, const struct plan_row *p) {
    static const char *const keys[] = {"total",  "faults",    "incomplete", "succeeded",
                                       "failed", "cancelled", "timed_out"};
    const int64_t values[] = {p->step_count, p->fault_count, plan_row_incomplete(p), p->succeeded,
                              p->failed,     p->cancelled,   p->timed_out};
    jw_key(w, "counts");
    jw_object(w);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        jw_key(w, keys[i]);
        jw_i64(w, values[i]);
    }
    jw_object_end(w);
}

static void write_plan(struct json_writer *w, const struct plan_row *p) {
    jw_key(w, "id");
    api_write_id(w, p->id);
    jw_key(w, "thread_id");
    api_write_id(w, p->thread_id);
    jw_key(w, "run_id");
    api_write_id(w, p->run_id);
    jw_key(w, "project_id");
    jw_str(w, p->project);
    jw_key(w, "goal");
    jw_str(w, p->goal);
    jw_key(w, "hash");
    jw_str(w, p->hash);
    jw_key(w, "metadata");
    jw_raw(w, p->metadata);
    jw_key(w, "rerun_of");
    if (id_is_nil(p->rerun_of))
        jw_null(w);
    else
        api_write_id(w, p->rerun_of);
    jw_key(w, "status");
    jw_str(w, run_state_name(p->status));
    write_counts(w, p);
    jw_key(w, "error");
    jw_str(w, p->error);
    api_write_time_member(w, "created_at", p->created_at);
    api_write_time_member(w, "started_at", p->started_at);
    api_write_time_member(w, "ended_at", p->ended_at);
    api_write_time_member(w, "updated_at", p->updated_at);
}

static void write_depends(struct json_writer *w, const struct plan_step *s) {
    jw_key(w, "depends_on");
    jw_array(w);
    for (size_t i = 0; i < s->depend_count; i++)
        jw_i64(w, s->depends[i]);
    jw_array_end(w);
}

static void write_step(struct json_writer *w, struct arena *a, const struct plan_step_row *s) {
    struct plan_step spec = {.policy = STR("{}")};
    if (plan_step_spec_read(a, s->spec, PLAN_STEPS_MAX, &spec, NULL) < 0)
        spec.depend_count = 0;
    jw_object(w);
    jw_key(w, "position");
    jw_i64(w, s->position);
    jw_key(w, "name");
    jw_str(w, s->name);
    jw_key(w, "tool");
    jw_str(w, s->tool);
    jw_key(w, "inputs");
    jw_raw(w, s->inputs);
    jw_key(w, "policy");
    jw_raw(w, spec.policy);
    write_depends(w, &spec);
    jw_key(w, "priority");
    jw_i64(w, spec.priority);
    jw_key(w, "max_attempts");
    jw_i64(w, spec.retry.attempts_max);
    jw_key(w, "timeout");
    jw_double(w, (double)spec.timeout_us / 1e6);
    if (spec.gate_count) {
        jw_key(w, "gates");
        jw_array(w);
        for (size_t i = 0; i < spec.gate_count; i++)
            jw_raw(w, spec.gates[i].text);
        jw_array_end(w);
    }
    jw_key(w, "idempotency_key");
    jw_str(w, s->key);
    jw_key(w, "status");
    jw_str(w, run_state_name(s->status));
    jw_key(w, "attempt");
    jw_i64(w, s->attempt);
    jw_key(w, "losses");
    jw_i64(w, s->losses);
    jw_key(w, "output");
    jw_raw(w, s->output);
    jw_key(w, "error");
    jw_str(w, s->error);
    api_write_time_member(w, "started_at", s->started_at);
    api_write_time_member(w, "ended_at", s->ended_at);
    jw_object_end(w);
}

static void write_steps(struct json_writer *w, struct arena *a, const struct plan_step_row *steps,
                        size_t count, bool more) {
    jw_key(w, "steps");
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        write_step(w, a, &steps[i]);
    jw_array_end(w);
    jw_key(w, "next");
    if (more && count)
        jw_i64(w, steps[count - 1].position);
    else
        jw_null(w);
}

/* --- making --- */

int api_plan_read(struct api_request *r, const struct principal *who, yyjson_val *body,
                  str project, struct plan_asked *out, struct err *err) {
    yyjson_val *name = json_get(body, "template");
    int rc = 0;
    *out = (struct plan_asked){.body = body};
    if (name && !yyjson_is_null(name))
        rc = api_template_fill(r, who, body, &out->body, err);
    if (rc == 0)
        rc = plan_parse(r->arena, out->body, plans_tool_check, &out->plan, err);
    if (rc == 0 && !out->plan.project.p && project.len) {
        if (project.len > PLAN_NAME_BYTES_MAX || !str_is_utf8(project))
            return err_set(err, ERR_INVALID, "x-project-id: must have 1 to %d bytes of UTF-8",
                           PLAN_NAME_BYTES_MAX);
        out->plan.project = project;
    }
    yyjson_val *webhook = json_get(out->body, "webhook");
    out->webhook = yyjson_is_null(webhook) ? NULL : webhook;
    if (rc == 0)
        rc = api_plan_defaults(r, who, out, err);
    if (rc == 0)
        rc = plans_prepare(plans_of(r), who, &out->plan, r->arena, err);
    return rc < 0 ? rc : run_check_webhook(r, out->webhook, err);
}

static int read_plan(struct api_request *r, struct plan_asked *out, struct err *err) {
    int rc = api_body_object(r, err);
    return rc < 0 ? rc
                  : api_plan_read(r, &r->who, r->body,
                                  http_header(r->http, STR("x-project-id")), out, err);
}

/* The counts, and the steps that cannot run. */
static void write_faults(struct json_writer *w, const struct plan_spec *p) {
    jw_key(w, "steps");
    jw_object(w);
    jw_key(w, "total");
    jw_i64(w, (int64_t)p->step_count);
    jw_key(w, "faults");
    jw_i64(w, (int64_t)p->fault_count);
    jw_object_end(w);
    jw_key(w, "faults");
    jw_array(w);
    for (size_t i = 0, shown = 0; i < p->step_count && shown < STEPS_SHOWN; i++) {
        if (!p->steps[i].fault.p)
            continue;
        shown++;
        jw_object(w);
        jw_key(w, "position");
        jw_i64(w, (int64_t)i);
        jw_key(w, "name");
        jw_str(w, p->steps[i].name);
        jw_key(w, "error");
        jw_str(w, p->steps[i].fault);
        jw_object_end(w);
    }
    jw_array_end(w);
}

struct making {
    struct api_request *r;
    const struct plan_spec *plan;
    struct id rerun_of; /* nil: it is made from none */
    str answer;
};

static void write_origin(struct json_writer *w, const struct making *m) {
    int64_t kept = 0;
    for (size_t i = 0; i < m->plan->step_count; i++)
        kept += m->plan->steps[i].output.p != NULL;
    jw_key(w, "rerun_of");
    api_write_id(w, m->rerun_of);
    jw_key(w, "kept");
    jw_i64(w, kept);
}

static void write_made(struct making *m, struct id id, struct id thread_id) {
    struct json_writer w = api_json(m->r);
    jw_object(&w);
    jw_key(&w, "id");
    api_write_id(&w, id);
    jw_key(&w, "run_id");
    api_write_id(&w, id);
    jw_key(&w, "thread_id");
    api_write_id(&w, thread_id);
    jw_key(&w, "status");
    jw_str(&w, run_state_name(RUN_STATE_QUEUED));
    jw_key(&w, "project_id");
    jw_str(&w, m->plan->project.p ? m->plan->project : STR("default"));
    jw_key(&w, "hash");
    jw_str(&w, m->plan->hash);
    write_faults(&w, m->plan);
    if (!id_is_nil(m->rerun_of))
        write_origin(&w, m);
    jw_object_end(&w);
    m->answer = arena_dup(m->r->arena, buf_view(w.b));
}

static void join_batch(void *ctx, struct id id, struct id thread_id, struct db_batch *b) {
    struct making *m = ctx;
    write_made(m, id, thread_id);
    api_keyed_add(m->r, b, m->answer, thread_id, ID_NIL);
}

int api_plan_create(struct api_request *r, struct err *err) {
    struct plan_asked asked;
    struct plans_made made;
    struct making m = {.r = r, .plan = &asked.plan};
    int rc = read_plan(r, &asked, err);
    if (rc < 0)
        return rc;
    struct plans_create c = {.who = &r->who,
                             .plan = &asked.plan,
                             .webhook = asked.webhook,
                             .context = &asked.context,
                             .header_configurable = STR("{}"),
                             .trace = &r->span.at,
                             .received_us = r->http->received_us,
                             .join_batch = join_batch,
                             .ctx = &m};
    rc = plans_create(plans_of(r), &c, r->arena, &made, err);
    return rc < 0 ? rc : api_reply_text(r, 201, m.answer);
}

static void write_waits(struct json_writer *w, const struct plan_spec *p) {
    jw_key(w, "depends_on");
    jw_array(w);
    for (size_t i = 0; i < p->step_count; i++) {
        jw_array(w);
        for (size_t k = 0; k < p->steps[i].depend_count; k++)
            jw_i64(w, p->steps[i].depends[k]);
        jw_array_end(w);
    }
    jw_array_end(w);
    jw_key(w, "order");
    jw_array(w);
    for (size_t i = 0; i < p->step_count; i++)
        jw_i64(w, p->order[i]);
    jw_array_end(w);
}

int api_plan_preview(struct api_request *r, struct err *err) {
    struct plan_asked asked;
    int rc = read_plan(r, &asked, err);
    if (rc < 0)
        return rc;
    const struct plan_spec *p = &asked.plan;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "hash");
    jw_str(&w, p->hash);
    jw_key(&w, "project_id");
    jw_str(&w, p->project.p ? p->project : STR("default"));
    write_faults(&w, p);
    write_waits(&w, p);
    if (asked.body != r->body) {
        jw_key(&w, "plan");
        jw_val(&w, asked.body);
    }
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- once more --- */

static void read_inputs(struct api_request *r, struct body *b, struct plans_rerun *out) {
    yyjson_val *list = body_array(b, "inputs"), *item;
    size_t i, n;
    struct plans_inputs *inputs =
        ARENA_ARRAY(r->arena, struct plans_inputs, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, n, item) {
        yyjson_val *position = json_get(item, "position"), *value = json_get(item, "inputs");
        if (!yyjson_is_uint(position) || yyjson_get_uint(position) > PLAN_STEPS_MAX ||
            !yyjson_is_obj(value)) {
            body_fault(b, "inputs", "must be a list of {position, inputs}");
            return;
        }
        inputs[i] = (struct plans_inputs){yyjson_get_sint(position), value};
    }
    out->inputs = inputs;
    out->input_count = yyjson_arr_size(list);
}

int api_plan_rerun(struct api_request *r, struct err *err) {
    struct plan_spec plan;
    struct plans_made made;
    struct plans_rerun how = {0};
    struct making m = {.r = r, .plan = &plan};
    struct body b;
    body_init(&b, r->arena, r->body);
    str from = body_str(&b, "from", STR("start"));
    how.from_failed = str_eq(from, STR("failed"));
    if (!how.from_failed && !str_eq(from, STR("start")))
        body_fault(&b, "from", "must be one of start, failed");
    read_inputs(r, &b, &how);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = api_param_id(r, 0, &m.rerun_of, err, "Plan run not found");
    if (rc < 0)
        return rc;
    struct plans_create c = {.who = &r->who,
                             .header_configurable = STR("{}"),
                             .trace = &r->span.at,
                             .received_us = r->http->received_us,
                             .join_batch = join_batch,
                             .ctx = &m};
    rc = plans_rerun(plans_of(r), m.rerun_of, &how, &c, r->arena, &plan, &made, err);
    return rc < 0 ? rc : api_reply_text(r, 201, m.answer);
}

/* --- reading --- */

static int query_state(struct api_request *r, enum run_state *out, bool *out_given,
                       struct err *err) {
    str text = http_query_get(&r->query, "status");
    *out_given = text.len > 0;
    if (!text.len || run_state_parse(text, out))
        return 0;
    (void)word_refuse(&RUN_STATE_WORDS, err);
    (void)err_context(err, "status");
    return ERR_INVALID;
}

int api_plan_list(struct api_request *r, struct err *err) {
    struct plan_filter f = {0};
    struct plan_row *list;
    enum run_state status;
    bool given;
    size_t count;
    int64_t limit = 0;
    str project = http_query_get(&r->query, "project_id");
    str before = http_query_get(&r->query, "before");
    int rc = api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, 20}, &limit, err);
    if (rc == 0)
        rc = query_state(r, &status, &given, err);
    if (rc == 0 && before.len && !id_parse(before, &f.before))
        rc = err_set(err, ERR_INVALID, "before: must be the id of a plan run");
    if (rc < 0)
        return rc;
    f.project = project.len ? project : STR_NULL;
    f.status = given ? &status : NULL;
    f.limit = limit + 1;
    rc = plan_list(r->store, &r->who, &f, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "runs");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        write_plan(&w, &list[i]);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_key(&w, "next");
    if (more)
        api_write_id(&w, list[count - 1].id);
    else
        jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Plan run not found");
}

static int reply_plan(struct api_request *r, struct id id, struct err *err) {
    struct plan_row p;
    struct plan_step_row *steps;
    size_t count;
    int rc = plan_get(r->store, &r->who, id, STEPS_SHOWN, r->arena, &p, &steps, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_plan(&w, &p);
    write_steps(&w, r->arena, steps, count, (int64_t)count < p.step_count);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_plan_get(struct api_request *r, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    return rc < 0 ? rc : reply_plan(r, id, err);
}

/* The plan, without steps. */
static int find_plan(struct api_request *r, struct plan_row *out, struct err *err) {
    struct id id;
    struct plan_step_row *steps;
    size_t count;
    int rc = read_id(r, &id, err);
    return rc < 0 ? rc : plan_get(r->store, &r->who, id, 0, r->arena, out, &steps, &count, err);
}

int api_plan_step_list(struct api_request *r, struct err *err) {
    struct plan_row p;
    struct plan_step_row *steps;
    enum run_state status;
    bool given = false;
    size_t count;
    int64_t limit = 0, after = POSITION_NONE;
    int rc = api_query_int(r, "limit", (struct body_range){1, STEPS_MAX, STEPS_SHOWN}, &limit, err);
    if (rc == 0)
        rc = api_query_int(r, "after", (struct body_range){-1, PLAN_STEPS_MAX, POSITION_NONE},
                           &after, err);
    if (rc == 0)
        rc = query_state(r, &status, &given, err);
    if (rc == 0)
        rc = find_plan(r, &p, err);
    if (rc == 0)
        rc = plan_steps(r->store, p.id, after, given ? &status : NULL, limit + 1, r->arena, &steps,
                        &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_steps(&w, r->arena, steps, count - more, more);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static void write_event(struct json_writer *w, struct arena *a, const struct plan_event *e) {
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, arena_printf(a, "%lld.%lld", (long long)e->seq, (long long)e->index));
    jw_key(w, "type");
    bool gate = !id_is_nil(e->gate_id);
    const char *about = gate                ? "gate"
                        : e->queue.p        ? "queue"
                        : e->position < 0   ? "plan"
                                            : "step";
    jw_str(w, arena_printf(a, "%s." STR_FMT, about, STR_ARG(e->status)));
    api_write_time_member(w, "at", e->at);
    if (e->position >= 0) {
        jw_key(w, "position");
        jw_i64(w, e->position);
    }
    if (gate) {
        jw_key(w, "gate_id");
        api_write_id(w, e->gate_id);
        jw_key(w, "gate");
        jw_str(w, e->gate_name);
        jw_key(w, "actor");
        jw_str(w, e->actor);
        jw_key(w, "reason");
        jw_str(w, e->reason);
    } else if (e->queue.p) {
        jw_key(w, "queue");
        jw_str(w, e->queue);
        jw_key(w, "age_ms");
        jw_i64(w, e->age_ms);
    } else if (e->position >= 0) {
        jw_key(w, "attempt");
        jw_i64(w, e->attempt);
    }
    if (e->error.p) {
        jw_key(w, "error");
        jw_str(w, e->error);
    }
    if (e->message.p) {
        jw_key(w, "message");
        jw_str(w, e->message);
        jw_key(w, "data");
        jw_raw(w, e->data);
    }
    jw_object_end(w);
}

int api_plan_events(struct api_request *r, struct err *err) {
    struct plan_row p;
    struct plan_event_row *rows;
    struct plan_event *events;
    size_t count, event_count;
    int64_t after = 0;
    int rc = api_query_int(r, "after", (struct body_range){0, INT64_MAX, 0}, &after, err);
    if (rc == 0)
        rc = find_plan(r, &p, err);
    if (rc == 0)
        rc = plan_events(r->store, p.thread_id, after, LOG_STEPS, ENTRIES_MAX + 1, r->arena, &rows,
                         &count, err);
    if (rc < 0)
        return rc;
    bool more = count > ENTRIES_MAX;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "events");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        rc = plan_events_read(r->arena, &rows[i], &events, &event_count, err);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < event_count; k++)
            write_event(&w, r->arena, &events[k]);
    }
    jw_array_end(&w);
    jw_key(&w, "next");
    if (more)
        jw_i64(&w, rows[count - 1].seq);
    else
        jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- asking --- */

int api_plan_cancel(struct api_request *r, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = plans_cancel(plans_of(r), &r->who, id, r->arena, err);
    return rc < 0 ? rc : reply_plan(r, id, err);
}

static int read_step(struct api_request *r, struct id *out, int64_t *out_position,
                     struct err *err) {
    int rc = read_id(r, out, err);
    if (rc == 0 && !str_to_i64(r->match.params[1], out_position))
        rc = err_set(err, ERR_NOT_FOUND, "Plan run not found");
    return rc;
}

int api_plan_step_cancel(struct api_request *r, struct err *err) {
    struct id id;
    int64_t position;
    int rc = read_step(r, &id, &position, err);
    if (rc == 0)
        rc = plans_cancel_step(plans_of(r), &r->who, id, position, r->arena, err);
    return rc < 0 ? rc : reply_plan(r, id, err);
}

int api_plan_step_retry(struct api_request *r, struct err *err) {
    struct id id, run;
    int64_t position;
    int rc = read_step(r, &id, &position, err);
    if (rc == 0)
        rc = plans_retry_step(plans_of(r), &r->who, id, position, r->arena, &run, err);
    return rc < 0 ? rc : reply_plan(r, id, err);
}
