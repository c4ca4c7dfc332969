/* SPDX-License-Identifier: Apache-2.0 */
/* notes.c - what happens to batches and steps: lines of the log, spans, the time of attempts.
 *
 *   step.batch.start ─ prepared ─ created ─ complete        one request, one plan
 *   step.create.begin ─ persisted | error                   each of its steps
 *   step.enqueue.event-recorded                             that it is queued is durable
 *   step.enqueue.requested | skipped                        it can begin, or not (yet)
 *   step.enqueue.finalized                                  it stands in its queue
 *   step.execute.start ─ succeeded | failed | timed_out | cancelled | retry | released
 *   run.started | resumed ─ succeeded | failed | cancelled | blocked | released
 *
 * Times are milliseconds. The four of a batch are events of its span, too; the attempt of a step
 * and a run are spans; the others are lines only, since there may be thousands. Names and ids of
 * steps are told, their inputs and outputs never, nor what an error says. */
#include <stdio.h>

#include "base/clock.h"
#include "plans/plans_int.h"

static double ms(int64_t us) { return us > 0 ? (double)us / 1000 : 0; }

/* --- a batch --- */

#define BATCH_NOTE(b, event, message, ...)                                                         \
    do {                                                                                           \
        struct log_field fields_[] = {LOG_STR("runId", str_n(run_, ID_DASHED_LEN)), __VA_ARGS__};  \
        span_event(&(b)->span, event, fields_, ARRAY_COUNT(fields_));                              \
        if (plan_notes_wanted((b)->plans))                                                         \
            log_fields((enum log_level)(b)->plans->o.notes, event, message, fields_,               \
                       ARRAY_COUNT(fields_));                                                      \
    } while (0)

void plan_batch_begin(struct plan_batch *b, struct plans *p, const struct plans_create *c) {
    *b = (struct plan_batch){.plans = p, .c = c};
    span_begin(&b->span, c->trace, SPAN_INTERNAL, STR("plan.create"));
}

enum plan_note_which { NOTE_ALL, NOTE_FAULTY, NOTE_QUEUED };

static void note_steps(const struct plan_batch *b, const char *event, const char *message,
                       enum plan_note_which which) {
    const struct plan_spec *plan = b->c->plan;
    char run_[ID_DASHED_LEN];
    id_write_dashed(b->run_id, run_);
    for (size_t i = 0; plan_notes_wanted(b->plans) && i < plan->step_count; i++) {
        const struct plan_step *s = &plan->steps[i];
        if ((which == NOTE_FAULTY && !s->fault.p) ||
            (which == NOTE_QUEUED && (s->fault.p || s->output.p)))
            continue;
        log_event((enum log_level)b->plans->o.notes, event, message,
                  LOG_STR("runId", str_n(run_, sizeof(run_))), LOG_INT("position", i),
                  LOG_STR("step", s->name), LOG_STR("tool", s->tool));
    }
}

void plan_batch_prepared(struct plan_batch *b, struct id run_id) {
    const struct plan_spec *plan = b->c->plan;
    char run_[ID_DASHED_LEN];
    id_write_dashed(run_id, run_);
    b->run_id = run_id;
    b->joined_us = clock_mono_us();
    BATCH_NOTE(b, "step.batch.start", "the steps of a plan are made",
               LOG_INT("stepCount", plan->step_count));
    note_steps(b, "step.create.begin", "a step is made", NOTE_ALL);
    BATCH_NOTE(b, "step.batch.prepared", "their rows are made",
               LOG_DOUBLE("prepTime", ms(b->joined_us - b->c->received_us)));
}

void plan_batch_end(struct plan_batch *b, int rc) {
    const struct plan_spec *plan = b->c->plan;
    int64_t now = clock_mono_us(), total_us = now - b->c->received_us;
    int64_t durable_us = b->durable_us ? b->durable_us : now;
    char run_[ID_DASHED_LEN];
    id_write_dashed(b->run_id, run_);
    if (rc == 0 && b->joined_us) {
        note_steps(b, "step.create.persisted", "a step is stored", NOTE_ALL);
        note_steps(b, "step.create.error", "a step cannot run as it was given", NOTE_FAULTY);
        note_steps(b, "step.enqueue.event-recorded", "that a step is queued is stored",
                   NOTE_QUEUED);
        BATCH_NOTE(b, "step.batch.created", "the steps of a plan are stored",
                   LOG_DOUBLE("batchTime", ms(durable_us - b->joined_us)),
                   LOG_INT("successCount", plan->step_count - plan->fault_count),
                   LOG_INT("failureCount", plan->fault_count));
        BATCH_NOTE(
            b, "step.batch.complete", "a plan is accepted", LOG_DOUBLE("totalTime", ms(total_us)),
            LOG_DOUBLE("enqueueTime", ms(now - durable_us)), LOG_INT("stepCount", plan->step_count),
            LOG_DOUBLE("throughput",
                       (double)plan->step_count * 1e6 / (double)(total_us > 0 ? total_us : 1)));
    }
    span_id(&b->span, "holdfast.plan.id", b->run_id);
    span_int(&b->span, "holdfast.plan.steps", (int64_t)plan->step_count);
    span_int(&b->span, "holdfast.plan.faults", (int64_t)plan->fault_count);
    if (rc < 0)
        span_fail(&b->span, err_name(rc));
    span_end(&b->span);
}

/* --- steps --- */

static str plan_text(const struct coordinator *c, char out[ID_DASHED_LEN]) {
    id_write_dashed(c->row.id, out);
    return str_n(out, ID_DASHED_LEN);
}

void plan_note_enqueue(const struct coordinator *c, uint32_t position, const char *skipped) {
    char id[ID_DASHED_LEN];
    if (!plan_notes_wanted(c->plans))
        return;
    struct log_field fields[] = {LOG_STR("runId", plan_text(c, id)), LOG_INT("position", position),
                                 LOG_STR("step", c->specs[position].name),
                                 LOG_STR("tool", c->specs[position].tool),
                                 LOG_Z("reason", skipped)};
    log_fields((enum log_level)c->plans->o.notes,
               skipped ? "step.enqueue.skipped" : "step.enqueue.requested",
               skipped ? "a step does not begin" : "a step can begin", fields,
               ARRAY_COUNT(fields) - (skipped ? 0 : 1));
}

void plan_note_recorded(const struct coordinator *c, uint32_t position) {
    char id[ID_DASHED_LEN];
    if (plan_notes_wanted(c->plans))
        log_event((enum log_level)c->plans->o.notes, "step.enqueue.event-recorded",
                  "that a step is queued is stored", LOG_STR("runId", plan_text(c, id)),
                  LOG_INT("position", position), LOG_STR("step", c->specs[position].name),
                  LOG_STR("tool", c->specs[position].tool),
                  LOG_INT("attempt", c->steps[position].attempt));
}

void plan_note_finalized(const struct coordinator *c, uint32_t position) {
    const struct plan_step *spec = &c->specs[position];
    int64_t ready_us = c->steps[position].ready_us;
    char id[ID_DASHED_LEN];
    if (plan_notes_wanted(c->plans))
        log_event((enum log_level)c->plans->o.notes, "step.enqueue.finalized",
                  "a step stands in its queue", LOG_STR("runId", plan_text(c, id)),
                  LOG_INT("position", position), LOG_STR("step", spec->name),
                  LOG_STR("tool", spec->tool),
                  LOG_STR("queue", coordinator_is_work(c, position) ? spec->tool : STR("steps")),
                  LOG_DOUBLE("enqueueTime",
                             ms(ready_us ? rt_mono_us(c->plans->rt) - ready_us : 0)));
}

/* --- runs --- */

void plan_note_run_begin(const struct coordinator *c) {
    bool first = c->ctx->run_attempt <= 1 && id_eq(c->row.id, c->ctx->run_id);
    char id[ID_DASHED_LEN], run[ID_DASHED_LEN];
    if (!plan_notes_wanted(c->plans))
        return;
    id_write_dashed(c->ctx->run_id, run);
    log_event((enum log_level)c->plans->o.notes, first ? "run.started" : "run.resumed",
              "a run has a plan", LOG_STR("runId", plan_text(c, id)),
              LOG_STR("run", str_n(run, sizeof(run))), LOG_INT("attempt", c->ctx->run_attempt),
              LOG_INT("stepCount", c->count));
}

static const char *run_event(enum run_state state) {
    switch (state) {
    case RUN_STATE_SUCCEEDED:
        return "run.succeeded";
    case RUN_STATE_FAILED:
        return "run.failed";
    case RUN_STATE_CANCELLED:
        return "run.cancelled";
    case RUN_STATE_BLOCKED:
        return "run.blocked";
    default:
        return "run.released";
    }
}

void plan_note_run_end(const struct coordinator *c, int64_t us) {
    char id[ID_DASHED_LEN], run[ID_DASHED_LEN];
    if (!plan_notes_wanted(c->plans))
        return;
    id_write_dashed(c->ctx->run_id, run);
    log_event((enum log_level)c->plans->o.notes, run_event(c->row.status), "a run lets a plan go",
              LOG_STR("runId", plan_text(c, id)), LOG_STR("run", str_n(run, sizeof(run))),
              LOG_INT("attempt", c->ctx->run_attempt), LOG_DOUBLE("duration", ms(us)),
              LOG_INT("stepCount", c->count),
              LOG_INT("succeeded", c->final[RUN_STATE_SUCCEEDED]),
              LOG_INT("failed", c->final[RUN_STATE_FAILED]),
              LOG_INT("timedOut", c->final[RUN_STATE_TIMED_OUT]),
              LOG_INT("cancelled", c->final[RUN_STATE_CANCELLED]));
}

void plan_note_run_untold(const struct plans *p, const struct plan_row *row, struct id run_id,
                          enum run_state status) {
    char id[ID_DASHED_LEN], run[ID_DASHED_LEN];
    if (!plan_notes_wanted(p))
        return;
    id_write_dashed(row->id, id);
    id_write_dashed(run_id, run);
    log_event((enum log_level)p->o.notes, run_event(status), "a run ends that had no plan",
              LOG_STR("runId", str_n(id, sizeof(id))), LOG_STR("run", str_n(run, sizeof(run))),
              LOG_INT("stepCount", row->step_count));
}

/* --- attempts --- */

void plan_note_start(struct coordinator *c, uint32_t position, struct span *s) {
    const struct plan_step *spec = &c->specs[position];
    const struct step *step = &c->steps[position];
    int64_t queued_us = step->ready_us ? rt_mono_us(c->plans->rt) - step->ready_us : 0;
    char id[ID_DASHED_LEN], name[SPAN_NAME_BYTES_MAX];
    int len = snprintf(name, sizeof(name), "execute_tool " STR_FMT,
                       STR_ARG(str_slice(spec->tool, 0, 64)));
    span_begin(s, c->ctx->trace, SPAN_INTERNAL, str_n(name, (size_t)len));
    if (span_records(s)) {
        span_z(s, "gen_ai.operation.name", "execute_tool");
        span_str(s, "gen_ai.tool.name", spec->tool);
        span_id(s, "holdfast.plan.id", c->row.id);
        span_id(s, "holdfast.run.id", c->ctx->run_id);
        span_str(s, "holdfast.step.name", spec->name);
        span_int(s, "holdfast.step.position", position);
        span_int(s, "holdfast.step.attempt", step->attempt);
        span_int(s, "holdfast.step.queued_ms", queued_us / 1000);
    }
    if (plan_notes_wanted(c->plans))
        log_event((enum log_level)c->plans->o.notes, "step.execute.start", "a step begins",
                  LOG_STR("runId", plan_text(c, id)), LOG_INT("position", position),
                  LOG_STR("step", spec->name), LOG_STR("tool", spec->tool),
                  LOG_INT("attempt", step->attempt), LOG_DOUBLE("queueTime", ms(queued_us)));
}

/* How an attempt ended, now that it is judged. */
static const char *outcome_of(const struct coordinator *c, const struct step *s) {
    switch (s->state) {
    case RUN_STATE_SUCCEEDED:
        return "succeeded";
    case RUN_STATE_FAILED:
        return "failed";
    case RUN_STATE_TIMED_OUT:
        return "timed_out";
    case RUN_STATE_CANCELLED:
        return "cancelled";
    case RUN_STATE_QUEUED:
        return "retry";
    default:
        return c->stop ? "released" : "retry";
    }
}

/* An attempt that is followed by another one has failed; one that was let go counts nowhere. */
static void observe(struct coordinator *c, uint32_t position, const char *outcome, int64_t us) {
    static const char *const ends[PLAN_TOOL_ENDS] = {"succeeded", "failed", "timed_out",
                                                     "cancelled"};
    const struct tool *tool = c->tools[position];
    bool retried = strcmp(outcome, "retry") == 0;
    for (size_t i = 0; i < PLAN_TOOL_ENDS; i++) {
        struct metric **m = &c->plans->metrics.step_seconds[plan_tool_index(tool)][i];
        if (strcmp(retried ? "failed" : outcome, ends[i]) != 0)
            continue;
        if (!*m)
            *m = metric_histogram("holdfast_plan_step_seconds",
                                  "Of an attempt of a step, by tool and how it ended.",
                                  tool->labels[i]);
        metric_observe_us(*m, us);
    }
}

void plan_note_end(struct coordinator *c, uint32_t position, struct span *s, int64_t us) {
    static const struct {
        const char *outcome, *event;
    } events[] = {{"succeeded", "step.execute.succeeded"}, {"failed", "step.execute.failed"},
                  {"timed_out", "step.execute.timed_out"}, {"cancelled", "step.execute.cancelled"},
                  {"retry", "step.execute.retry"},         {"released", "step.execute.released"}};
    const struct step *step = &c->steps[position];
    const char *outcome = outcome_of(c, step);
    char id[ID_DASHED_LEN];
    if (c->tools[position])
        observe(c, position, outcome, us);
    span_z(s, "holdfast.step.outcome", outcome);
    if (step->state != RUN_STATE_SUCCEEDED)
        span_fail(s, outcome);
    span_end(s);
    if (!plan_notes_wanted(c->plans))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(events); i++)
        if (strcmp(events[i].outcome, outcome) == 0)
            log_event((enum log_level)c->plans->o.notes, events[i].event,
                      "a step's attempt is over", LOG_STR("runId", plan_text(c, id)),
                      LOG_INT("position", position), LOG_STR("step", c->specs[position].name),
                      LOG_STR("tool", c->specs[position].tool), LOG_INT("attempt", step->attempt),
                      LOG_DOUBLE("duration", ms(us)));
}

void plans_note_repeated(const struct plans *p, struct id thread_id) {
    char text[ID_DASHED_LEN];
    id_write_dashed(thread_id, text);
    if (plan_notes_wanted(p))
        log_event((enum log_level)p->o.notes, "step.create.skip", "the steps are there already",
                  LOG_STR("threadId", str_n(text, sizeof(text))), LOG_Z("reason", "repeated"));
}
