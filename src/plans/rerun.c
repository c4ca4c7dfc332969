/* SPDX-License-Identifier: Apache-2.0 */
/* rerun.c - a new plan from the stored steps of another one.
 *
 * Name, tool, inputs and everything else of a step are as they were, unless the request has other
 * inputs for it; keys are those of the new plan, gates open anew. Of a plan that is over, "failed"
 * keeps what succeeded: such a step is done from the beginning, with the output that it had, if its
 * inputs are what they were and all that it waits for is kept, too. */
#include "plans/plans_int.h"

#include "base/hex.h"

/* As it was made: there was something wrong with it, and it never ran. */
static bool is_fault(const struct plan_row *plan, const struct plan_step_row *s) {
    return s->status == RUN_STATE_FAILED && s->attempt == 0 && s->losses == 0 &&
           s->ended_at == plan->created_at;
}

static int read_step(const struct plan_row *plan, const struct plan_step_row *row, size_t count,
                     struct arena *a, struct plan_step *out, struct err *err) {
    *out = (struct plan_step){
        .name = row->name, .tool = row->tool, .inputs = row->inputs, .policy = STR("{}")};
    int rc = plan_step_spec_read(a, row->spec, count, out, err);
    if (rc < 0)
        return rc;
    const char *why = plan_tool_check(row->tool);
    if (is_fault(plan, row))
        out->fault = row->error;
    else if (why)
        out->fault =
            arena_printf(a, "tool: " STR_FMT " %s", STR_ARG(str_slice(row->tool, 0, 60)), why);
    return 0;
}

/* False: there is no such step. */
static bool put_inputs(struct plan_spec *plan, const struct plans_inputs *list, size_t count,
                       struct arena *a) {
    for (size_t i = 0; i < count; i++) {
        if (list[i].position < 0 || (size_t)list[i].position >= plan->step_count)
            return false;
        plan->steps[list[i].position].inputs = json_canonical(a, list[i].inputs);
    }
    return true;
}

/* The plan's own hash, and what was changed of its inputs. */
static str plan_hash(struct arena *a, str old, const struct plan_spec *plan,
                     const struct plan_step_row *rows) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    bool changed = false;
    buf_init(&b, SIZE_MAX / 2);
    buf_str(&b, old);
    for (size_t i = 0; i < plan->step_count; i++) {
        if (str_eq(plan->steps[i].inputs, rows[i].inputs))
            continue;
        changed = true;
        buf_char(&b, '\n');
        buf_u64(&b, i);
        buf_char(&b, '\n');
        buf_str(&b, plan->steps[i].inputs);
    }
    hash_sha256(buf_view(&b), digest);
    buf_deinit(&b);
    return changed ? hex_text(a, digest, sizeof(digest)) : old;
}

static bool may_keep(const struct plan_step *s, const struct plan_step_row *row) {
    return row->status == RUN_STATE_SUCCEEDED && !s->fault.p && str_eq(s->inputs, row->inputs);
}

/* *out_at: count + 1 places in *out; [at[i], at[i + 1]) there wait for step i. */
static void list_waiting(const struct plan_spec *plan, struct arena *a, size_t **out_at,
                         uint32_t **out) {
    size_t count = plan->step_count, total = 0;
    size_t *at = ARENA_ARRAY(a, size_t, count + 2);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < plan->steps[i].depend_count; k++, total++)
            at[plan->steps[i].depends[k] + 2]++;
    for (size_t i = 2; i < count + 2; i++)
        at[i] += at[i - 1];
    uint32_t *list = ARENA_ARRAY(a, uint32_t, total + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < plan->steps[i].depend_count; k++)
            list[at[plan->steps[i].depends[k] + 1]++] = (uint32_t)i;
    *out_at = at;
    *out = list;
}

/* From those that wait for nobody to those that wait for them: each step and each of its
 * dependencies is looked at once. */
static void keep(struct plan_spec *plan, const struct plan_step_row *rows, struct arena *a) {
    size_t count = plan->step_count, *at, head = 0, tail = 0;
    uint32_t *waiting;
    size_t *missing = ARENA_ARRAY(a, size_t, count + 1);
    uint32_t *kept = ARENA_ARRAY(a, uint32_t, count + 1);
    list_waiting(plan, a, &at, &waiting);
    for (size_t i = 0; i < count; i++) {
        missing[i] = plan->steps[i].depend_count;
        if (missing[i] == 0 && may_keep(&plan->steps[i], &rows[i]))
            kept[tail++] = (uint32_t)i;
    }
    while (head < tail) {
        uint32_t i = kept[head++];
        plan->steps[i].output = rows[i].output.p ? rows[i].output : STR("null");
        for (size_t k = at[i]; k < at[i + 1]; k++)
            if (--missing[waiting[k]] == 0 && may_keep(&plan->steps[waiting[k]], &rows[waiting[k]]))
                kept[tail++] = waiting[k];
    }
}

static int make_spec(struct plans *p, const struct principal *who, const struct plan_row *row,
                     const struct plan_step_row *rows, size_t count, const struct plans_rerun *how,
                     struct arena *a, struct plan_spec *out, struct err *err) {
    *out = (struct plan_spec){.goal = row->goal,
                              .project = row->project,
                              .metadata = row->metadata,
                              .concurrency = (int)row->concurrency,
                              .steps = ARENA_ARRAY(a, struct plan_step, count + 1),
                              .step_count = count};
    for (size_t i = 0; i < count; i++) {
        int rc = read_step(row, &rows[i], count, a, &out->steps[i], err);
        if (rc < 0)
            return rc;
    }
    if (!put_inputs(out, how->inputs, how->input_count, a))
        return err_set(err, ERR_INVALID, "inputs: name a step that the plan does not have");
    out->hash = plan_hash(a, row->hash, out, rows);
    for (size_t i = 0; i < count; i++)
        out->fault_count += out->steps[i].fault.p != NULL;
    int rc = plans_prepare(p, who, out, a, err);
    if (rc < 0)
        return rc;
    if (how->from_failed)
        keep(out, rows, a);
    return 0;
}

int plans_rerun(struct plans *p, struct id id, const struct plans_rerun *how,
                struct plans_create *c, struct arena *a, struct plan_spec *spec,
                struct plans_made *out, struct err *err) {
    struct plan_row row;
    struct plan_step_row *rows;
    size_t count;
    int rc = plan_get(p->store, c->who, id, PLAN_STEPS_MAX, a, &row, &rows, &count, err);
    if (rc == 0 && how->from_failed && !run_state_final(row.status))
        rc = err_set(err, ERR_CONFLICT, "The plan run is under way");
    if (rc == 0 && (int64_t)count != row.step_count)
        rc = err_set(err, ERR_CORRUPT, "a plan of %lld steps has %zu", (long long)row.step_count,
                     count);
    if (rc == 0)
        rc = make_spec(p, c->who, &row, rows, count, how, a, spec, err);
    if (rc == 0)
        rc = plan_webhook(p, &row, a, &c->webhook, err);
    if (rc < 0)
        return rc;
    c->plan = spec;
    c->rerun_of = row.id;
    return plans_create(p, c, a, out, err);
}
