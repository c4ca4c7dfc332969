/* SPDX-License-Identifier: Apache-2.0 */
/* plans.c - the graph "plan", and what is asked of plans from outside.
 *
 * Making a plan is one batch with the run that executes it: thread, run, plan, steps and the log's
 * entries. What it was made of is left to that run. The plan has the id of its first run. A step
 * that is tried again is put back in the batch of another run of the same thread, under the version
 * that was read.
 *
 * A run can come to its end without its coordinator: cancelled before it began, given up after too
 * many attempts. The graph's hook then ends the plan in the same batch. */
#include "plans/plans_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* --- the graph --- */

static const struct channel_def CHANNELS[] = {
    {.name = "goal", .kind = CHANNEL_LAST_VALUE, .in_output = true, .in_input = true},
    {.name = "plan_id", .kind = CHANNEL_LAST_VALUE, .in_output = true},
    {.name = "status", .kind = CHANNEL_LAST_VALUE, .in_output = true},
    {.name = "steps", .kind = CHANNEL_LAST_VALUE, .in_output = true},
};
static const struct graph_edge EDGES[] = {{GRAPH_START, 0, NULL}, {0, GRAPH_END, NULL}};

static void route(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v;
    (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : GRAPH_END);
}

/* What people read of an error. */
static str error_message(struct arena *a, str error) {
    yyjson_val *v;
    if (!error.p || json_parse(a, error, &v, NULL) < 0)
        return STR_NULL;
    return json_str(json_get(v, "message"));
}

static str end_error(struct arena *a, const struct graph_end *end) {
    return run_state_of(end->status) == RUN_STATE_CANCELLED ? STR("the run was cancelled")
                                                            : error_message(a, end->error);
}

static void on_ended(const struct graph_def *g, struct db_batch *b, const struct graph_end *end) {
    (void)g;
    if (end->status == RUN_SUCCESS)
        return;
    plan_end_add(b, end->thread_id, end->run_id, false, run_state_of(end->status),
                 end_error(b->arena, end), end->now_us);
}

/* The plan's end, which no coordinator tells of. */
static int untold(const struct graph_def *g, const struct graph_end *run, struct arena *a,
                  str *out, struct err *err) {
    struct plans *p = (struct plans *)g->nodes[0].data;
    struct plan_row row;
    bool found = false;
    enum run_state status = run_state_of(run->status);
    int rc = plan_of_thread(p->store, run->thread_id, a, &row, &found, err);
    if (rc < 0 || !found || !id_eq(row.run_id, run->run_id) || run_state_final(row.status))
        return rc;
    rc = plan_end_entry(p, &row, status, end_error(a, run), a, out, err);
    if (rc == 0)
        plan_note_run_untold(p, &row, run->run_id, status);
    return rc;
}

/* Attempts before that of the last batch that moved a step. What was executed when an attempt was
 * cut off is counted where it happens, so a step that kills the process uses up itself, and not
 * the run. */
static int progress(const struct graph_def *g, const struct graph_end *run, int64_t *out,
                    struct err *err) {
    struct plans *p = (struct plans *)g->nodes[0].data;
    struct arena a;
    struct plan_row row;
    bool found = false;
    *out = 0;
    if (!p->o.losses_max)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = plan_of_thread(p->store, run->thread_id, &a, &row, &found, err);
    if (rc == 0 && found && id_eq(row.run_id, run->run_id))
        *out = row.attempt;
    arena_deinit(&a);
    return rc;
}

#define STATE_PROPERTIES                                                                    \
    "\"goal\":{\"type\":\"string\"},\"plan_id\":{\"type\":\"string\"},"                     \
    "\"status\":{\"type\":\"string\"},\"steps\":{\"type\":\"object\"}"

static void graph_init(struct plans *p) {
    p->node = (struct node_def){.name = "steps", .run = plan_node, .eager = true, .data = p};
    p->graph = (struct graph_def){
        .id = PLAN_GRAPH,
        .description = "Executes a plan of steps; POST /plans/runs makes one.",
        .channels = CHANNELS,
        .channel_count = ARRAY_COUNT(CHANNELS),
        .nodes = &p->node,
        .node_count = 1,
        .edges = EDGES,
        .edge_count = ARRAY_COUNT(EDGES),
        .route = route,
        .input_schema = "{\"type\":\"object\",\"title\":\"PlanInput\",\"properties\":{"
                        "\"goal\":{\"type\":\"string\"}}}",
        .output_schema = "{\"type\":\"object\",\"title\":\"PlanOutput\",\"properties\":"
                         "{" STATE_PROPERTIES "}}",
        .state_schema = "{\"type\":\"object\",\"title\":\"PlanState\",\"properties\":"
                        "{" STATE_PROPERTIES "}}",
        .config_schema = "{\"type\":\"object\",\"title\":\"PlanConfig\",\"properties\":{}}",
        .context_schema = "{\"type\":\"object\",\"title\":\"PlanContext\",\"properties\":{}}",
        .ended = on_ended,
        .progress = progress,
        .untold = untold,
    };
}

static void metrics_init(struct plans_metrics *m) {
    static const char *const labels[RUN_STATE_COUNT] = {
        [RUN_STATE_SUCCEEDED] = "status=\"succeeded\"",
        [RUN_STATE_FAILED] = "status=\"failed\"",
        [RUN_STATE_CANCELLED] = "status=\"cancelled\"",
        [RUN_STATE_TIMED_OUT] = "status=\"timed_out\"",
    };
    m->created = metric_counter("holdfast_plans_created_total", "Plans made.", NULL);
    m->steps_created = metric_counter("holdfast_plan_steps_created_total", "Steps made.", NULL);
    m->faults = metric_counter("holdfast_plan_step_faults_total",
                               "Steps that cannot run as they were given.", NULL);
    m->retries = metric_counter("holdfast_plan_step_retries_total",
                                "Attempts of steps after a failed one.", NULL);
    m->losses = metric_counter("holdfast_plan_step_losses_total",
                               "Executions of steps that were cut off.", NULL);
    static const char *const reasons[] = {[DEAD_ATTEMPTS] = "reason=\"attempts\"",
                                          [DEAD_REFUSED] = "reason=\"refused\"",
                                          [DEAD_QUARANTINED] = "reason=\"quarantined\""};
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
        m->dead[i] =
            metric_counter("holdfast_plan_dead_total", "Steps that failed for good.", reasons[i]);
    m->queue_depth =
        metric_gauge("queue_depth", "What waits here, by queue.", "topic=\"steps\"");
    static const char *const gates[] = {
        [GATE_PENDING] = "status=\"pending\"",
        [GATE_PASSED] = "status=\"passed\"",
        [GATE_FAILED] = "status=\"failed\"",
        [GATE_WAIVED] = "status=\"waived\"",
    };
    for (size_t i = 0; i < ARRAY_COUNT(gates); i++)
        m->gates[i] = metric_counter("holdfast_plan_gates_total",
                                     "Gates that opened (pending), or were decided.", gates[i]);
    static const char *const work[WORK_EVENT_COUNT] = {
        [WORK_CLAIMED] = "event=\"claimed\"",     [WORK_SUCCEEDED] = "event=\"succeeded\"",
        [WORK_FAILED] = "event=\"failed\"",       [WORK_AGAIN] = "event=\"again\"",
        [WORK_LOST] = "event=\"lost\"",
    };
    for (size_t i = 0; i < WORK_EVENT_COUNT; i++)
        m->work[i] = metric_counter("holdfast_plan_work_total",
                                    "Leases of steps by workers outside, and what came of them.",
                                    work[i]);
    for (size_t i = 0; i < RUN_STATE_COUNT; i++)
        if (labels[i])
            m->steps[i] = metric_counter("holdfast_plan_steps_total",
                                         "Steps that came to an end.", labels[i]);
}

static void on_collect(void *arg) {
    struct plans *p = arg;
    int64_t ready = 0;
    void *value;
    str key;
    for (size_t at = 0; map_next(&p->live, &at, &key, &value);)
        ready += (int64_t)turns_ready(&((const struct coordinator *)value)->turns);
    metric_set(p->metrics.queue_depth, ready);
}

static bool turn_wanted(const struct turns_plan *t, uint32_t position) {
    const struct coordinator *c = CONTAINER_OF(t, struct coordinator, turns);
    return c->steps[position].state == RUN_STATE_QUEUED;
}

static void turn_given(struct turns_plan *t) {
    fiber_event_wake_all(&CONTAINER_OF(t, struct coordinator, turns)->wake);
}

static void limits_init(struct plans *p) {
    static const struct turns_hooks hooks = {turn_wanted, turn_given};
    struct turns_limits limits = {.process_max = p->o.process_max, .owner_max = p->o.owner_max};
    STATIC_ASSERT(PLANS_TOOL_LIMITS == TURN_TOOLS, "a limit for each");
    memcpy(limits.tool_max, p->o.tool_max, sizeof(limits.tool_max));
    turns_init(&p->turns, &limits, &hooks);
}

struct plans *plans_open(struct rt *rt, struct store *store, struct registry *registry,
                         const struct plans_options *o) {
    struct plans *p = NEW(struct plans);
    p->rt = rt;
    p->store = store;
    p->o = *o;
    p->tools.rt = rt;
    map_init(&p->live);
    limits_init(p);
    fiber_event_init(&p->work_wake);
    metrics_init(&p->metrics);
    pressure_init(p);
    claims_init(p);
    metrics_on_collect(on_collect, p);
    graph_init(p);
    registry_add(registry, &p->graph);
    return p;
}

int plans_set_tools(struct plans *p, const struct plan_tools_options *o, struct err *err) {
    p->tools.o = *o;
    return plan_secrets_check(o->secrets, err);
}

void plans_set_artifacts(struct plans *p, struct artifacts *a) { p->tools.artifacts = a; }

void plans_set_engine(struct plans *p, struct engine *e) { p->engine = p->tools.engine = e; }

void plans_free(struct plans *p) {
    if (!p)
        return;
    metrics_off_collect(on_collect, p);
    map_deinit(&p->live);
    turns_deinit(&p->turns);
    pressure_deinit(p);
    claims_deinit(p);
    db_writes_close(p->tools.o.writes);
    mem_free(p);
}

struct id plans_assistant(void) { return assistant_id_of_graph(STR(PLAN_GRAPH)); }

const char *plans_tool_check(str tool) { return plan_tool_check(tool); }

int plans_prepare(struct plans *p, const struct principal *who, struct plan_spec *plan,
                  struct arena *a, struct err *err) {
    size_t gates = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        struct plan_step *s = &plan->steps[i];
        struct err why = {0};
        if (!s->fault.p && str_eq(s->tool, STR("db_write")) &&
            tool_db_write_prepare(&p->tools, principal_owner(who), s, a, &why) < 0) {
            s->fault = arena_dup(a, str_n(why.message, str_utf8_prefix(str_of(why.message))));
            plan->fault_count++;
        }
        gates += s->gate_count;
    }
    return gates <= PLAN_GATES_MAX
               ? 0
               : err_set(err, ERR_TOO_LARGE, "gates: there are %zu; at most %d are taken", gates,
                         PLAN_GATES_MAX);
}

/* --- making --- */

struct plan_run_asked {
    str goal;            /* the run's input; absent: it has none */
    str resume;          /* JSON: it answers with that; absent: it answers nothing */
    yyjson_val *webhook; /* NULL: none */
    bool first;          /* the thread is made with it */
};

static str plan_run_body(struct arena *a, const struct plan_run_asked *asked) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    jw_z(&w, PLAN_GRAPH);
    if (asked->goal.p || asked->resume.p) {
        jw_key(&w, asked->goal.p ? "input" : "command");
        jw_object(&w);
        jw_key(&w, asked->goal.p ? "goal" : "resume");
        if (asked->goal.p)
            jw_str(&w, asked->goal);
        else
            jw_raw(&w, asked->resume);
        jw_object_end(&w);
    }
    jw_key(&w, "durability"); /* the rows of the plan say how far it has come */
    jw_z(&w, "exit");
    jw_key(&w, "stream_mode");
    jw_raw(&w, STR("[\"values\",\"updates\",\"custom\"]"));
    jw_key(&w, "multitask_strategy");
    jw_z(&w, asked->first ? "reject" : "enqueue"); /* its last run may be just ending */
    if (asked->first) {
        jw_key(&w, "if_not_exists");
        jw_z(&w, "create");
    }
    if (asked->webhook) {
        jw_key(&w, "webhook");
        jw_val(&w, asked->webhook);
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

static int plan_submit(struct plans *p, struct run_submit *s, str body, struct arena *a,
                       struct run *out, struct err *err) {
    struct live_run *live;
    s->assistant_name = STR(PLAN_GRAPH);
    s->assistant_id = plans_assistant();
    int rc = json_parse(a, body, &s->body, err);
    if (rc == 0)
        rc = engine_submit(p->engine, s, &live, err);
    if (rc < 0)
        return rc;
    *out = *live_run_row(live);
    live_run_unref(live);
    return 0;
}

/* What a coordinator would read again at once; more than that it reads. */
#define GIVEN_BYTES_MAX ((size_t)256 << 10)

static const void *give_new(void *ctx, struct arena *a) {
    const struct plan_batch *m = ctx;
    return plan_rows_copy(a, &m->rows, GIVEN_BYTES_MAX);
}

static void join_new(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct plan_batch *m = ctx;
    const struct run *row = live_run_row(run);
    struct plan_place place = {.id = row->id,
                               .thread_id = row->thread_id,
                               .run_id = row->id,
                               .rerun_of = m->c->rerun_of,
                               .owner = m->c->who->owner};
    plan_rows_make(b->arena, &place, m->c->plan, rt_now_us(m->plans->rt), &m->rows);
    plan_batch_prepared(m, row->id);
    if (m->c->join_batch)
        m->c->join_batch(m->c->ctx, row->id, row->thread_id, b);
}

static size_t tell_new(void *ctx, struct db_batch *b, int64_t log_count) {
    const struct plan_batch *m = ctx;
    return plan_rows_add(m->plans->store, b, &m->rows, log_count, LOG_STEPS);
}

static void on_durable(void *ctx, struct live_run *run) {
    struct plan_batch *m = ctx;
    (void)run;
    m->durable_us = clock_mono_us();
}

int plans_create(struct plans *p, const struct plans_create *c, struct arena *a,
                 struct plans_made *out, struct err *err) {
    struct plan_batch m;
    struct run row;
    size_t count;
    int rc = pressure_plan(p, principal_owner(c->who), c->plan, &count, err);
    if (rc < 0)
        return rc;
    plan_batch_begin(&m, p, c);
    struct run_submit s = {.who = c->who,
                           .thread_id = id_v7(),
                           .header_configurable = c->header_configurable,
                           .bearer = c->bearer,
                           .accepted = on_durable,
                           .join_batch = join_new,
                           .give = give_new,
                           .tell = tell_new,
                           .context = c->context,
                           .steps = plan_created_entry(a, c->plan),
                           .trace = &m.span.at.context,
                           .ctx = &m};
    struct plan_run_asked asked = {
        .goal = c->plan->goal, .webhook = c->webhook, .first = true};
    rc = plan_submit(p, &s, plan_run_body(a, &asked), a, &row, err);
    plan_batch_end(&m, rc);
    pressure_end(p, count, rc == 0);
    if (rc < 0)
        return rc;
    metric_add(p->metrics.created, 1);
    metric_add(p->metrics.steps_created, (int64_t)c->plan->step_count);
    metric_add(p->metrics.faults, (int64_t)c->plan->fault_count);
    *out = (struct plans_made){row.id, row.thread_id};
    return 0;
}

/* --- more runs --- */

/* The webhook that the plan was made with is told of the end, whichever run comes to it. */
int plan_webhook(struct plans *p, const struct plan_row *row, struct arena *a, yyjson_val **out,
                 struct err *err) {
    struct principal who = {.owner = row->owner, .all = true};
    struct run run;
    yyjson_val *kwargs;
    *out = NULL;
    int rc = run_get(p->store, &who, row->thread_id, row->run_id, a, &run, err);
    if (rc == ERR_NOT_FOUND) { /* deleted: nobody knows any more */
        err_reset(err);
        return 0;
    }
    if (rc == 0)
        rc = json_parse(a, run.kwargs, &kwargs, err);
    if (rc == 0 && !yyjson_is_null(json_get(kwargs, "webhook")))
        *out = json_get(kwargs, "webhook");
    return rc;
}

/* A run that goes on with a plan goes on with its trace: that of its first run. False: it has none,
 * or nobody knows any more. */
static bool plan_trace_of(struct plans *p, const struct plan_row *row, struct arena *a,
                          struct trace_context *out) {
    struct principal who = {.owner = row->owner};
    struct run run;
    yyjson_val *kwargs;
    if (run_get(p->store, &who, row->thread_id, row->id, a, &run, NULL) < 0 ||
        json_parse(a, run.kwargs, &kwargs, NULL) < 0)
        return false;
    return trace_context_parse(json_str(json_get(kwargs, "traceparent")),
                               json_str(json_get(kwargs, "tracestate")), out);
}

int plan_submit_more(struct plans *p, const struct plan_row *row, const struct plan_more *m,
                     struct arena *a, struct id *out_run, struct err *err) {
    struct principal who = {.owner = row->owner};
    struct run run;
    struct trace_context trace;
    struct plan_run_asked asked = {.goal = m->goal, .resume = m->resume};
    int rc = plan_webhook(p, row, a, &asked.webhook, err);
    if (rc < 0)
        return rc;
    struct run_submit s = {.who = &who,
                           .thread_id = row->thread_id,
                           .header_configurable = STR("{}"),
                           .join_batch = m->join,
                           .steps = m->entry,
                           .trace = plan_trace_of(p, row, a, &trace) ? &trace : NULL,
                           .ctx = m->ctx};
    rc = plan_submit(p, &s, plan_run_body(a, &asked), a, &run, err);
    if (rc == 0 && out_run)
        *out_run = run.id;
    return rc;
}
