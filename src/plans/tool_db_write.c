/* SPDX-License-Identifier: Apache-2.0 */
/* tool_db_write.c - the tool "db_write": rows of a table that the operator has named.
 *
 *   {"target", "table", "operation", "values", "where", "expect_rows"} → {"rows"}
 *
 * db_write.h says what may be written. A step whose operation needs approval gets a manual gate
 * when its plan is made, which nobody can waive; one that comes without it (the configuration is
 * another one by now) is refused. The write and the step's key are one transaction of the target:
 * who executes the step again finds the key, and answers what the first one did. */
#include "base/failpoint.h"
#include "model/plan.h"
#include "plans/db_write.h"
#include "plans/tools.h"

#define GATE_NAME STR("db_write")

static bool is_approval(const struct gate *g) {
    return g->kind == GATE_MANUAL && str_eq(g->name, GATE_NAME) && !g->waivable &&
           !g->waived_on_expiry;
}

static bool has_approval(const struct plan_step *s) {
    for (size_t i = 0; i < s->gate_count; i++)
        if (is_approval(&s->gates[i]))
            return true;
    return false;
}

static int add_approval(struct plan_step *s, const struct db_write *w, str operation,
                        struct arena *a, struct err *err) {
    struct buf b;
    struct gate *gates = ARENA_ARRAY(a, struct gate, s->gate_count + 1);
    if (s->gate_count >= GATES_PER_STEP_MAX)
        return err_set(err, ERR_INVALID, "gates: there is no place for the approval of the write");
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer jw = json_writer(&b);
    jw_object(&jw);
    jw_key(&jw, "kind");
    jw_z(&jw, "manual");
    jw_key(&jw, "name");
    jw_str(&jw, GATE_NAME);
    jw_key(&jw, "prompt");
    jw_str(&jw, arena_printf(a, STR_FMT " " STR_FMT " of " STR_FMT "?", STR_ARG(operation),
                             STR_ARG(w->table->name), STR_ARG(w->target->name)));
    jw_key(&jw, "waivable");
    jw_bool(&jw, false);
    jw_object_end(&jw);
    str text = arena_take(a, &b);
    if (s->gate_count)
        memcpy(gates, s->gates, s->gate_count * sizeof(*gates));
    int rc = gate_read_text(a, text, &gates[s->gate_count], err);
    if (rc < 0)
        return rc;
    s->gates = gates;
    s->gate_count++;
    return 0;
}

int tool_db_write_prepare(const struct plan_tools *tools, str owner, struct plan_step *s,
                          struct arena *a, struct err *err) {
    struct db_write w;
    yyjson_val *input;
    int rc = json_parse(a, s->inputs, &input, err);
    if (rc == 0)
        rc = db_write_read(tools->o.writes, a, owner, input, &w, err);
    if (rc < 0 || !w.needs_approval || has_approval(s))
        return rc;
    return add_approval(s, &w, json_str(json_get(input, "operation")), a, err);
}

int tool_db_write(struct tool_call *call, struct err *err) {
    struct db_write w;
    struct db_foreign_done done = {0};
    str owner = call->node->owner.p ? call->node->owner : STR("");
    int rc = db_write_read(call->tools->o.writes, call->arena, owner, call->input, &w, err);
    if (rc == 0 && w.needs_approval && !has_approval(call->spec))
        rc = err_set(err, ERR_INVALID, "the write needs an approval that the step does not have");
    if (rc < 0)
        return rc;
    w.job.key = call->key;
    w.job.timeout_us = call->spec->timeout_us;
    rc = w.target->db->write(w.target->db, &w.job, call->arena, &done, err);
    if (rc < 0)
        return rc;
    (void)FAILPOINT("plans.db_write.after_commit"); /* for crashes: the write is durable */
    call->output = arena_printf(call->arena, "{\"rows\":%lld}", (long long)done.rows);
    return 0;
}
