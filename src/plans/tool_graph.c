/* SPDX-License-Identifier: Apache-2.0 */
/* tool_graph.c - the tool "graph": a run of an assistant, its values the step's output.
 *
 *   {"assistant_id", "input": {}, "config": {}, "context": {}}
 *
 * The run belongs to the plan's owner and is durable like any other, on a thread whose id is the
 * step's key. That is how it is found again: a step that is executed once more after a crash waits
 * for the run that its attempt has made, instead of making another one. Who ends the step, or whose
 * time is over, ends the run; a process that only stops leaves it to whoever goes on. So does one
 * that dies: when the step then ends without being executed again, its run is ended as well. */
#include "base/log.h"
#include "base/mem.h"
#include "plans/tools.h"
#include "store/assistants.h"

struct child {
    struct tool_call *call;
    struct principal who;
    struct id thread_id, run_id;
};

/* --- the run --- */

static str run_body(struct tool_call *call, str assistant) {
    static const char *const members[] = {"input", "config", "context"};
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    jw_str(&w, assistant);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        yyjson_val *v = json_get(call->input, members[i]);
        if (!v)
            continue;
        jw_key(&w, members[i]);
        jw_val(&w, v);
    }
    jw_key(&w, "if_not_exists");
    jw_z(&w, "create");
    jw_key(&w, "multitask_strategy");
    jw_z(&w, "reject");
    jw_key(&w, "metadata");
    jw_object(&w);
    jw_key(&w, "plan_id");
    jw_str(&w, id_dashed(call->arena, call->plan_id));
    jw_key(&w, "plan_step");
    jw_i64(&w, call->position);
    jw_key(&w, "plan_attempt");
    jw_i64(&w, call->attempt);
    jw_object_end(&w);
    jw_object_end(&w);
    return arena_take(call->arena, &b);
}

/* The run that this attempt has made before a crash. */
static int find_run(struct child *c, bool *out_found, struct err *err) {
    struct page page = {.limit = 1};
    struct run *runs;
    yyjson_val *metadata;
    size_t count = 0;
    *out_found = false;
    int rc = run_list(engine_store(c->call->tools->engine), &c->who, c->thread_id, NULL, &page,
                      c->call->arena, &runs, &count, err);
    if (rc == ERR_NOT_FOUND) {
        err_reset(err);
        return 0;
    }
    if (rc < 0 || count == 0 || json_parse(c->call->arena, runs[0].metadata, &metadata, NULL) < 0)
        return rc;
    if (yyjson_get_sint(json_get(metadata, "plan_attempt")) == c->call->attempt) {
        c->run_id = runs[0].id;
        *out_found = true;
    }
    return 0;
}

static int make_run(struct child *c, str assistant, struct err *err) {
    struct tool_call *call = c->call;
    struct live_run *live;
    struct run_submit s = {.who = &c->who,
                           .assistant_name = assistant,
                           .thread_id = c->thread_id,
                           .header_configurable = STR("{}"),
                           .bearer = call->node->bearer,
                           .trace = &call->trace->context};
    if (!id_parse(assistant, &s.assistant_id))
        s.assistant_id = assistant_id_of_graph(assistant);
    int rc = json_parse(call->arena, run_body(call, assistant), &s.body, err);
    if (rc == 0)
        rc = engine_submit(call->tools->engine, &s, &live, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND || rc == ERR_INVALID ? ERR_INVALID : rc;
    c->run_id = live_run_id(live);
    live_run_unref(live);
    return 0;
}

/* --- its end --- */

struct ending {
    struct engine *engine;
    struct id thread_id, run_id;
    char *owner;
};

/* The thread's last run, when it is not known which one it was. */
static int find_last(struct ending *e, const struct principal *who, struct err *err) {
    struct page page = {.limit = 1};
    struct arena a;
    struct run *runs;
    size_t count = 0;
    if (!id_is_nil(e->run_id))
        return 0;
    arena_init(&a, 16u << 20);
    int rc = run_list(engine_store(e->engine), who, e->thread_id, NULL, &page, &a, &runs, &count,
                      err);
    if (rc == 0 && count)
        e->run_id = runs[0].id;
    arena_deinit(&a);
    return rc < 0 || count ? rc : err_set(err, ERR_NOT_FOUND, "the thread has no run");
}

static void end_fiber(void *arg) {
    struct ending *e = arg;
    struct principal who = {.owner = str_of(e->owner)};
    struct err err = {0};
    int rc = find_last(e, &who, &err);
    if (rc == 0)
        rc = engine_cancel(e->engine, &who, e->thread_id, e->run_id, CANCEL_INTERRUPT,
                           STR("the step of the plan was ended"), false, &err);
    if (rc < 0 && rc != ERR_CONFLICT && rc != ERR_NOT_FOUND)
        log_event(LOG_WARN, "plan.graph.cancel.failed", err.message,
                  LOG_Z("code", err_name(rc)));
    mem_free(e->owner);
    mem_free(e);
}

/* Whoever asks for it may be cancelled: another fiber does it. run_id nil: the last one. */
static void end_run(const struct plan_tools *tools, str of, struct id thread_id,
                    struct id run_id) {
    struct ending *e = NEW(struct ending);
    struct err err = {0};
    char *owner = mem_alloc(of.len + 1);
    if (of.len)
        memcpy(owner, of.p, of.len);
    owner[of.len] = '\0';
    *e = (struct ending){tools->engine, thread_id, run_id, owner};
    if (fiber_spawn(tools->rt, "plan.graph.cancel", end_fiber, e, &err))
        return;
    log_plain(LOG_WARN, "plan.graph.cancel.failed", err.message);
    mem_free(e->owner);
    mem_free(e);
}

void tool_graph_abandon(const struct plan_tools *tools, str owner, str key) {
    struct id thread_id;
    if (id_parse(key, &thread_id))
        end_run(tools, owner, thread_id, ID_NIL);
}

static int await_run(struct child *c, struct err *err) {
    struct tool_call *call = c->call;
    struct run_outcome outcome;
    int rc = engine_wait(call->tools->engine, c->run_id, NULL, FIBER_NO_DEADLINE, call->arena,
                         &outcome, err);
    if (rc == ERR_CANCELLED && !tool_call_is_handed_over(call))
        end_run(call->tools, c->who.owner, c->thread_id, c->run_id);
    if (rc < 0)
        return rc;
    if (outcome.status == RUN_SUCCESS) {
        call->output = outcome.values;
        return 0;
    }
    yyjson_val *v;
    str text = STR_NULL;
    if (outcome.error.p && json_parse(call->arena, outcome.error, &v, NULL) == 0)
        text = json_str(json_get(v, "message"));
    if (outcome.status == RUN_PENDING) /* this process is about to end */
        return err_set(err, ERR_UNAVAILABLE, "the run goes on elsewhere");
    return err_set(err, outcome.status == RUN_INTERRUPTED ? ERR_INVALID : ERR_INTERNAL,
                   "the run ended with status " STR_FMT "%s" STR_FMT,
                   STR_ARG(run_status_name(outcome.status)), text.len ? ": " : "",
                   STR_ARG(str_slice(text, 0, 150)));
}

int tool_graph(struct tool_call *call, struct err *err) {
    str owner = call->node->owner;
    struct child c = {.call = call, .who = {.owner = owner.p ? owner : STR("")}};
    struct body b;
    bool found;
    body_init(&b, call->arena, call->input);
    str assistant = body_str_required(&b, "assistant_id");
    (void)body_object_val(&b, "config");
    (void)body_object_val(&b, "context");
    int rc = body_done(&b, err);
    if (rc == 0 && !id_parse(call->key, &c.thread_id))
        rc = err_set(err, ERR_CORRUPT, "the key of the step cannot be read");
    if (rc == 0)
        rc = find_run(&c, &found, err);
    if (rc == 0 && !found)
        rc = make_run(&c, assistant, err);
    return rc < 0 ? rc : await_run(&c, err);
}
