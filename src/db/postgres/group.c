/* SPDX-License-Identifier: Apache-2.0 */
/* group.c - the statements of many batches as one unit of work, and their results back.
 *
 *   waiting tasks ── bind by type ──▶ ops: (task, operation), in order
 *   ops ── group_plan.c ──▶ calls, each an execution of one or more operations; with the witness
 *
 * Operations with the same statement, when its text takes arrays (`-- many`), become one call whose
 * parameters are arrays with an element for each: the server parses, plans and locks once for all
 * of them. Which may share one, and in which order calls go, is group_plan.c's. An operation that
 * stands alone takes the text for one, if there is any, or sends arrays of one. The rows of a call
 * for many say by number to which element they belong; what its batches rely on is checked by the
 * server, whose error names the elements that failed (pgdb_group_failed).
 *
 * The witness moves the number of the writer's row on; see writer.c. It fails the unit as a whole
 * when another incarnation has taken the row. It is a part of the first call, or a call before it
 * where that cannot carry it (texts.c), and behind a pooler: there the planner's settings follow.
 *
 * A group is bounded by tasks, statements and bytes. A task that is marked `alone` is a group. */
#include "base/failpoint.h"
#include "db/postgres/pgdb_int.h"

#define GROUP_TASKS_MAX      512
#define GROUP_STATEMENTS_MAX 4096
#define GROUP_BYTES_MAX      ((size_t)8 << 20)
#define GROUP_ARENA_MAX      ((size_t)1 << 31)
#define OWN_CALLS_MAX        2 /* before those of the tasks */

void pgdb_group_init(struct pgdb_group *g) {
    *g = (struct pgdb_group){0};
    arena_init(&g->arena, GROUP_ARENA_MAX);
}

void pgdb_group_deinit(struct pgdb_group *g) { arena_deinit(&g->arena); }

enum pgdb_form pgdb_form_of(const struct db_op *op) {
    switch (op->expect.kind) {
    case DB_ANY:
        return PGDB_PLAIN;
    case DB_CHANGES:
        return PGDB_CHANGES;
    case DB_NO_ROW:
        return PGDB_NO_ROW;
    }
    UNREACHABLE();
}

/* A text for one execution is cheaper where only one is wanted. */
static bool takes_arrays(const struct db_statement *s, size_t count) {
    return pgdb_only_many(s) || count > 1;
}

static const struct pgdb_text *text_of(const struct pgdb_writer *w, const struct db_op *op) {
    return &w->driver->texts.of[op->stmt][pgdb_form_of(op)];
}

static size_t batch_bytes(const struct db_batch *b) {
    size_t bytes = 0;
    for (size_t i = 0; i < b->count; i++)
        for (size_t p = 0; p < b->ops[i].param_count; p++) {
            const struct db_value *v = &b->ops[i].params[p];
            bytes += v->type == DB_TEXT || v->type == DB_BLOB ? v->s.len : 16;
        }
    return bytes;
}

/* How many tasks from the front make a group, and how many statements they have. */
static size_t count_tasks(const struct list *waiting, size_t *out_statements) {
    size_t tasks = 0, statements = 0, bytes = 0;
    LIST_EACH (waiting, node) {
        const struct pgdb_task *t = PGDB_TASK(node);
        size_t more = batch_bytes(t->batch);
        bool first = tasks == 0;
        if (!first &&
            (t->alone || tasks == GROUP_TASKS_MAX ||
             statements + t->batch->count > GROUP_STATEMENTS_MAX || bytes + more > GROUP_BYTES_MAX))
            break;
        tasks++;
        statements += t->batch->count;
        bytes += more;
        if (t->alone)
            break;
    }
    *out_statements = statements;
    return tasks;
}

static int bind_op(const struct pgdb_writer *w, const struct db_op *op, struct arena *a,
                   struct pg_param *out, struct err *err) {
    const struct pgdb_text *text = text_of(w, op);
    ASSERT(text->sql);
    bool many = pgdb_only_many(&db_catalogue[op->stmt]);
    int failed = FAILPOINT("db.write.statement");
    if (failed < 0)
        return err_set(err, failed, "failpoint db.write.statement");
    for (size_t i = 0; i < op->param_count; i++) {
        uint32_t oid = many ? pg_element_of(text->param_oids[i]) : text->param_oids[i];
        int code = pgdb_bind(a, oid, &op->params[i], &out[i], err);
        if (code < 0)
            return err_context(err, "statement %s, parameter %zu", db_catalogue[op->stmt].name,
                               i + 1),
                   code;
    }
    return 0;
}

/* Appends the task's operations to the group's, or gives it its error. */
static bool bind_task(struct pgdb_writer *w, struct pgdb_task *t, struct pgdb_bound_op *ops,
                      size_t *count) {
    struct pgdb_group *g = &w->unit;
    for (size_t i = 0; i < t->batch->count; i++) {
        struct db_op *op = &t->batch->ops[i];
        struct pg_param *params = ARENA_ARRAY(&g->arena, struct pg_param, op->param_count + 1);
        t->code = bind_op(w, op, &g->arena, params, &t->err);
        if (t->code < 0) {
            t->batch->failed_at = i;
            return false;
        }
        ops[*count + i] = (struct pgdb_bound_op){.ref = {t, i}, .params = params};
        op->changed = PGDB_UNANSWERED;
    }
    *count += t->batch->count;
    return true;
}

static struct pg_param *arrays_of(struct pgdb_group *g, const struct pgdb_text *text,
                                  const struct pgdb_planned_call *call, size_t params) {
    struct pg_param *out = ARENA_ARRAY(&g->arena, struct pg_param, params + 1);
    struct pg_param *column = ARENA_ARRAY(&g->arena, struct pg_param, call->count);
    for (size_t p = 0; p < params; p++) {
        size_t i = 0;
        for (const struct pgdb_bound_op *op = call->first; op; op = op->next)
            column[i++] = op->params[p];
        out[p] = pg_array(&g->arena, pg_element_of(text->param_oids[p]), column, call->count);
    }
    return out;
}

static const struct pg_param *witness_params(struct pgdb_writer *w, const struct pg_param *own,
                                             size_t count) {
    struct pg_param *out =
        ARENA_ARRAY(&w->unit.arena, struct pg_param, count + PGDB_WITNESS_PARAMS);
    if (count)
        memcpy(out, own, count * sizeof(*out));
    out[count] = pg_uuid(w->id);
    out[count + 1] = pg_int8(w->group_no);
    out[count + 2] = pg_int8(w->epoch);
    return out;
}

static void carry_witness(struct pgdb_writer *w, struct pg_call *call, const char *sql) {
    call->sql = sql;
    call->params = witness_params(w, call->params, call->param_count);
    call->param_count += PGDB_WITNESS_PARAMS;
}

static struct pgdb_text *text_of_call(struct pgdb_writer *w, const struct pgdb_planned_call *call) {
    const struct db_op *op = pgdb_op_of(&call->first->ref);
    const struct db_statement *s = &db_catalogue[op->stmt];
    bool beside = takes_arrays(s, call->count) && !pgdb_only_many(s);
    enum pgdb_form form = !beside                         ? pgdb_form_of(op)
                          : op->expect.kind == DB_CHANGES ? PGDB_ARRAYS_CHANGES
                                                          : PGDB_ARRAYS;
    return &w->driver->texts.of[op->stmt][form];
}

static void add_call(struct pgdb_writer *w, const struct pgdb_planned_call *call,
                     size_t *ref_count) {
    struct pgdb_group *g = &w->unit;
    const struct db_op *op = pgdb_op_of(&call->first->ref);
    const struct db_statement *s = &db_catalogue[op->stmt];
    const struct pgdb_text *text = text_of_call(w, call);
    bool arrays = takes_arrays(s, call->count);
    g->spans[g->call_count] = (struct pgdb_call_span){*ref_count, call->count};
    for (const struct pgdb_bound_op *o = call->first; o; o = o->next)
        g->refs[(*ref_count)++] = o->ref;
    g->calls[g->call_count++] = (struct pg_call){
        .name = s->name,
        .sql = text->sql,
        .params = arrays ? arrays_of(g, text, call, op->param_count) : call->first->params,
        .param_count = op->param_count};
}

static void add_own(struct pgdb_group *g, const char *name, enum db_postgres_own own,
                    const struct pg_param *params, size_t param_count) {
    g->spans[g->call_count] = (struct pgdb_call_span){0, 0};
    g->calls[g->call_count++] = (struct pg_call){
        .name = name, .sql = db_postgres_own[own], .params = params, .param_count = param_count};
}

/* The statement that carries the witness; NULL: it is a call of its own. first NULL: there is no
 * other call. */
static const char *add_witness(struct pgdb_writer *w, const struct pgdb_planned_call *first) {
    struct pg_stats s;
    const char *carried = NULL;
    pg_pool_stats(w->driver->pool, &s);
    if (first && !s.unnamed)
        carried = pgdb_text_witnessed(&w->driver->texts, text_of_call(w, first),
                                      pgdb_op_of(&first->first->ref)->param_count);
    if (!carried)
        add_own(&w->unit, "writer_advance", PGDB_WRITER_ADVANCE, witness_params(w, NULL, 0),
                PGDB_WITNESS_PARAMS);
    if (s.unnamed)
        add_own(&w->unit, "group_setup", PGDB_GROUP_SETUP, NULL, 0);
    return carried;
}

static void add_calls(struct pgdb_writer *w, struct pgdb_bound_op *ops, size_t count) {
    struct pgdb_group *g = &w->unit;
    const struct pgdb_planned_call *calls;
    size_t ref_count = 0, call_count = pgdb_group_plan(&g->arena, ops, count, &calls);
    g->call_count = 0;
    const char *carried = add_witness(w, call_count ? &calls[0] : NULL);
    for (size_t i = 0; i < call_count; i++)
        add_call(w, &calls[i], &ref_count);
    if (carried)
        carry_witness(w, &g->calls[0], carried);
    ASSERT(ref_count == count);
}

bool pgdb_group_build(struct pgdb_writer *w, struct list *refused) {
    struct pgdb_group *g = &w->unit;
    size_t statements, count = 0;
    size_t tasks = count_tasks(&w->waiting, &statements);
    arena_reset(&g->arena);
    g->refs = ARENA_ARRAY(&g->arena, struct pgdb_op_ref, statements + 1);
    g->calls = ARENA_ARRAY(&g->arena, struct pg_call, statements + OWN_CALLS_MAX);
    g->spans = ARENA_ARRAY(&g->arena, struct pgdb_call_span, statements + OWN_CALLS_MAX);
    struct pgdb_bound_op *ops = ARENA_ARRAY(&g->arena, struct pgdb_bound_op, statements + 1);
    g->task_count = 0;
    for (size_t i = 0; i < tasks; i++) {
        struct list *node = list_pop_front(&w->waiting);
        struct pgdb_task *t = PGDB_TASK(node);
        t->batch->failed_at = SIZE_MAX;
        if (bind_task(w, t, ops, &count)) {
            list_push_back(&w->group, node);
            g->task_count++;
        } else {
            list_push_back(refused, node);
        }
    }
    g->statement_count = count;
    add_calls(w, ops, count);
    return g->task_count > 0;
}

void pgdb_group_at(const struct pgdb_group *g, size_t call, struct pgdb_task **out_task,
                   size_t *out_op) {
    *out_task = NULL;
    if (call >= g->call_count || g->spans[call].count == 0)
        return;
    const struct pgdb_op_ref *ref = &g->refs[g->spans[call].first];
    *out_task = ref->task;
    *out_op = ref->op;
}

/* The numbers in the server's message: "an expectation does not hold: 2 5". */
bool pgdb_group_failed(const struct pgdb_group *g, size_t call, const char *message) {
    struct pgdb_call_span span = g->spans[call];
    const char *at = strstr(message, PGDB_EXPECTATION_TEXT);
    bool any = false;
    if (span.count < 2 || !at)
        return false;
    at += strlen(PGDB_EXPECTATION_TEXT);
    for (size_t number = 0;; at++) {
        bool digit = *at >= '0' && *at <= '9';
        if (digit && number <= span.count) {
            number = number * 10 + (size_t)(*at - '0');
        } else if (!digit) {
            if (number > 0 && number <= span.count) {
                g->refs[span.first + number - 1].task->alone = true;
                any = true;
            }
            number = 0;
            if (*at != ' ')
                return any;
        }
    }
}

static void take_rows(struct pgdb_op_ref *ref, const struct pg_result *r, size_t row, size_t rows,
                      size_t skip) {
    struct pgdb_task *t = ref->task;
    struct db_op *op = &t->batch->ops[ref->op];
    if (t->code < 0)
        return;
    t->code = pgdb_rows_some(r, row, rows, skip, t->batch->arena, &op->rows, &t->err);
    if (t->code < 0)
        t->batch->failed_at = ref->op;
}

/* Each row is an element's, whose number stands first. */
static void take_numbered(struct pgdb_group *g, struct pgdb_call_span span,
                          const struct pg_result *r) {
    for (size_t row = 0; row < pg_row_count(r); row++) {
        int64_t number = pg_cell_int(r, row, 0);
        if (number < 1 || (uint64_t)number > span.count)
            continue;
        struct pgdb_op_ref *ref = &g->refs[span.first + (size_t)number - 1];
        struct db_op *op = &ref->task->batch->ops[ref->op];
        op->changed = db_catalogue[op->stmt].writes;
        take_rows(ref, r, row, 1, 1);
    }
}

/* A call for many that returns nothing changes a row for each: that is what `-- many` promises. */
void pgdb_group_result(struct pgdb_group *g, size_t call, const struct pg_result *r) {
    struct pgdb_call_span span = g->spans[call];
    for (size_t i = 0; i < span.count; i++) {
        struct pgdb_op_ref *ref = &g->refs[span.first + i];
        struct db_op *op = &ref->task->batch->ops[ref->op];
        const struct db_statement *s = &db_catalogue[op->stmt];
        op->rows = (struct db_rows){0};
        bool arrays = takes_arrays(s, span.count), numbered = arrays && s->numbered;
        op->changed = !s->writes || numbered ? 0 : arrays ? 1 : pg_changed(r);
        if (!arrays)
            take_rows(ref, r, 0, pg_row_count(r), 0);
        else if (numbered && i + 1 == span.count)
            take_numbered(g, span, r);
    }
}
