/* SPDX-License-Identifier: Apache-2.0 */
/* spans.c - a run and its tasks as spans.
 *
 *   request that made it ─▶ invoke_agent GRAPH ─▶ node NAME ─▶ what the node does
 *
 * The context of the request is kept in the run's kwargs, so whoever executes the run goes on with
 * the same trace. A run that nobody asked for in a trace (of a cron, say) begins one, whose id
 * follows from the run's. The run's own span has an id that follows from the run's, too, and is
 * sent by the process that stores its end: spans of all attempts, in whatever process, are its
 * children, also when the first process was killed. Spans that were open then are lost. */
#include <stdio.h>

#include "engine/engine_int.h"

void spans_kwargs_write(struct json_writer *w, const struct trace_context *c) {
    char parent[TRACE_PARENT_LEN];
    if (!trace_context_known(c))
        return;
    trace_context_write(c, parent);
    jw_key(w, "traceparent");
    jw_str(w, str_n(parent, sizeof(parent)));
    if (c->state.len == 0)
        return;
    jw_key(w, "tracestate");
    jw_str(w, c->state);
}

void spans_run_read(struct live_run *run) {
    struct tracer *tracer = run->engine->services.tracer;
    struct trace_context c;
    str parent = json_str(json_get(run->kwargs, "traceparent"));
    if (parent.p && trace_context_parse(parent, json_str(json_get(run->kwargs, "tracestate")), &c))
        trace_resume(tracer, &c, &run->trace);
    else
        trace_of_id(tracer, run->row.id, &run->trace);
    run->inside = run->trace;
    if (run->trace.tracer)
        span_id_of(run->row.id, run->inside.context.span_id);
}

void spans_run_end(const struct live_run *run) {
    struct span s;
    uint8_t id[8];
    if (!run->trace.tracer)
        return;
    str graph = run->def ? str_of(run->def->id) : STR("");
    char name[SPAN_NAME_BYTES_MAX];
    int len = snprintf(name, sizeof(name), "invoke_agent " STR_FMT,
                       STR_ARG(str_slice(graph, 0, SPAN_NAME_BYTES_MAX - 16)));
    span_id_of(run->row.id, id);
    span_begin_as(&s, &run->trace, id, run->row.created_at, str_n(name, (size_t)len));
    span_z(&s, "gen_ai.operation.name", "invoke_agent");
    span_str(&s, "gen_ai.agent.name", graph);
    span_id(&s, "gen_ai.agent.id", run->row.assistant_id);
    span_id(&s, "gen_ai.conversation.id", run->row.thread_id);
    span_id(&s, "holdfast.run.id", run->row.id);
    span_int(&s, "holdfast.run.attempt", run->row.attempt);
    span_str(&s, "holdfast.run.status",
             run->interrupted ? STR("interrupted") : run_status_name(run->status));
    if (run->status == RUN_ERROR)
        span_fail(&s, "run_error");
    else if (run->status == RUN_TIMEOUT)
        span_fail(&s, "timeout");
    span_end(&s);
}

void spans_task_begin(struct task *t) {
    char name[SPAN_NAME_BYTES_MAX];
    struct span *s = &t->span;
    const struct trace *under = t->frame->trace;
    if (!under || !under->tracer) {
        span_begin(s, under, SPAN_INTERNAL, STR_NULL);
        return;
    }
    int len = snprintf(name, sizeof(name), "node %.80s", t->node->name);
    span_begin(s, under, SPAN_INTERNAL, str_n(name, (size_t)len));
    span_z(s, "holdfast.graph", t->frame->def->id);
    span_z(s, "holdfast.node", t->node->name);
    span_id(s, "holdfast.task.id", t->id);
    span_id(s, "holdfast.run.id", t->run->row.id);
    span_int(s, "holdfast.step", t->ctx.step);
    span_int(s, "holdfast.attempt", t->ctx.attempt);
    span_int(s, "holdfast.run.attempt", t->run->row.attempt);
}

void spans_task_end(struct task *t) {
    if (t->rc == ERR_INTERRUPTED)
        span_z(&t->span, "holdfast.node.interrupted", "true");
    else if (t->rc < 0)
        span_fail(&t->span, err_name(t->rc));
    span_end(&t->span);
}
