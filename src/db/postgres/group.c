/* SPDX-License-Identifier: Apache-2.0 */
/* group.c - the statements of many batches as one unit of work, and their results back.
 *
 *   waiting tasks ── bind by type ──▶ refs: (task, operation), in order
 *   refs ── coalesce ──▶ calls: the witness, then one for each span of refs, which are put in the
 *                        order of the calls
 *
 * Operations with the same statement, when its text takes arrays (`-- many`) and none of them
 * expects anything, become one call whose parameters are arrays with an element for each: the
 * server parses, plans and locks once for all of them. They add rows to a thread and return
 * nothing, so they wait for their like in other batches, and go before the first operation that
 * touches those tables (the generator finds that out) and may be about one of their threads. An
 * operation that stands alone sends arrays of one. Operations with an expectation keep a call of
 * their own, so that a failure names the operation.
 *
 * The witness moves the number of the writer's row on; see writer.c. It fails the unit as a whole
 * when another incarnation has taken the row. Behind a pooler the planner's settings follow it.
 *
 * A group is bounded by tasks, statements and bytes. A task that is marked `alone` is a group. */
#include "base/failpoint.h"
#include "db/postgres/pgdb_int.h"

#define GROUP_TASKS_MAX      512
#define GROUP_STATEMENTS_MAX 4096
#define GROUP_BYTES_MAX      ((size_t)8 << 20)
#define GROUP_ARENA_MAX      ((size_t)1 << 31)
#define MANY_MAX             1024
#define WAITING_MAX          256 /* each statement in between looks at all of them */
#define BUCKETS_MAX          8
#define OWN_CALLS_MAX        2 /* before those of the tasks */

void pgdb_group_init(struct pgdb_group *g) {
    *g = (struct pgdb_group){0};
    arena_init(&g->arena, GROUP_ARENA_MAX);
}

void pgdb_group_deinit(struct pgdb_group *g) { arena_deinit(&g->arena); }

static enum pgdb_form form_of(const struct db_op *op) {
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

static const struct pgdb_text *text_of(const struct pgdb_writer *w, const struct db_op *op) {
    return &w->driver->texts.of[op->stmt][form_of(op)];
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

/* An operation with its values as the server takes them. */
struct bound_op {
    struct pgdb_op_ref ref;
    struct pg_param *params;
};

static int bind_op(const struct pgdb_writer *w, const struct db_op *op, struct arena *a,
                   struct pg_param *out, struct err *err) {
    const struct pgdb_text *text = text_of(w, op);
    ASSERT(text->sql);
    bool many = db_catalogue[op->stmt].many;
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
static bool bind_task(struct pgdb_writer *w, struct pgdb_task *t, struct bound_op *ops,
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
        ops[*count + i] = (struct bound_op){{t, i}, params};
        op->changed = PGDB_UNANSWERED;
    }
    *count += t->batch->count;
    return true;
}

static const struct db_op *op_of(const struct pgdb_op_ref *ref) {
    return &ref->task->batch->ops[ref->op];
}

static struct pg_param *arrays_of(struct pgdb_group *g, const struct pgdb_text *text,
                                  const struct bound_op *ops, size_t count, size_t params) {
    struct pg_param *out = ARENA_ARRAY(&g->arena, struct pg_param, params + 1);
    struct pg_param *column = ARENA_ARRAY(&g->arena, struct pg_param, count);
    for (size_t p = 0; p < params; p++) {
        for (size_t i = 0; i < count; i++)
            column[i] = ops[i].params[p];
        out[p] = pg_array(&g->arena, pg_element_of(text->param_oids[p]), column, count);
    }
    return out;
}

/* --- calls ----------------------------------------------------------------------------------- */

/* Operations of one statement for many that wait to be called together. */
struct bucket {
    enum db_stmt stmt;
    size_t count, cap;
    struct bound_op *ops;
};
struct calls {
    struct pgdb_writer *writer;
    struct bucket buckets[BUCKETS_MAX];
    size_t bucket_count, waiting, ref_count;
};

static void add_call(struct calls *c, const struct bound_op *ops, size_t count) {
    struct pgdb_group *g = &c->writer->unit;
    const struct db_op *op = op_of(&ops[0].ref);
    const struct db_statement *s = &db_catalogue[op->stmt];
    const struct pgdb_text *text = text_of(c->writer, op);
    for (size_t i = 0; i < count; i++)
        g->refs[c->ref_count + i] = ops[i].ref;
    g->spans[g->call_count] = (struct pgdb_call_span){c->ref_count, count};
    g->calls[g->call_count++] = (struct pg_call){
        .name = s->name,
        .sql = text->sql,
        .params = s->many ? arrays_of(g, text, ops, count, op->param_count) : ops[0].params,
        .param_count = op->param_count};
    c->ref_count += count;
}

/* Calls a bucket's operations; the bucket is gone then. */
static void empty(struct calls *c, size_t bucket) {
    struct bucket *b = &c->buckets[bucket];
    add_call(c, b->ops, b->count);
    c->waiting -= b->count;
    c->bucket_count--;
    memmove(b, b + 1, (c->bucket_count - bucket) * sizeof(*b));
}

static void empty_all(struct calls *c) {
    while (c->bucket_count > 0)
        empty(c, 0);
}

static bool same_id(const struct db_value *v, struct id id) {
    return v->type == DB_ID && memcmp(v->id.b, id.b, sizeof(id.b)) == 0;
}

/* Is the operation about a thread to which one in the bucket adds rows? Those ids stand first. */
static bool is_about(const struct db_op *op, const struct bucket *b) {
    if (op->param_count == 0 || op->params[0].type != DB_ID)
        return true;
    for (size_t p = 0; p < op->param_count; p++) {
        const struct db_value *v = &op->params[p];
        if (v->type == DB_TEXT && str_starts(v->s, STR("[")))
            return true; /* perhaps ids */
        for (size_t i = 0; v->type == DB_ID && i < b->count; i++)
            if (same_id(&op_of(&b->ops[i].ref)->params[0], v->id))
                return true;
    }
    return false;
}

/* Whatever waits and may not run after this operation goes now. */
static void make_way(struct calls *c, const struct db_op *op) {
    for (size_t i = 0; i < c->bucket_count;) {
        const struct bucket *b = &c->buckets[i];
        if ((db_catalogue[op->stmt].meets & db_catalogue[b->stmt].many) && is_about(op, b))
            empty(c, i);
        else
            i++;
    }
}

static bool can_wait(const struct db_op *op) {
    return db_catalogue[op->stmt].many && op->expect.kind == DB_ANY && op->param_count > 0 &&
           op->params[0].type == DB_ID;
}

static void wait_for_others(struct calls *c, const struct bound_op *op) {
    enum db_stmt stmt = op_of(&op->ref)->stmt;
    struct bucket *b = c->buckets;
    while (b < c->buckets + c->bucket_count && b->stmt != stmt)
        b++;
    if (b == c->buckets + BUCKETS_MAX || b->count == MANY_MAX || c->waiting == WAITING_MAX) {
        empty_all(c);
        b = c->buckets;
    }
    if (b == c->buckets + c->bucket_count) {
        *b = (struct bucket){.stmt = stmt};
        c->bucket_count++;
    }
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        struct bound_op *more = ARENA_ARRAY(&c->writer->unit.arena, struct bound_op, b->cap);
        if (b->count)
            memcpy(more, b->ops, b->count * sizeof(*more));
        b->ops = more;
    }
    b->ops[b->count++] = *op;
    c->waiting++;
}

static void add_calls(struct pgdb_writer *w, const struct bound_op *ops, size_t count) {
    struct calls c = {.writer = w};
    for (size_t i = 0; i < count; i++) {
        const struct db_op *op = op_of(&ops[i].ref);
        if (can_wait(op)) {
            wait_for_others(&c, &ops[i]);
            continue;
        }
        make_way(&c, op);
        add_call(&c, &ops[i], 1);
    }
    empty_all(&c);
    ASSERT(c.ref_count == count);
}

static void add_own(struct pgdb_group *g, const char *name, enum db_postgres_own own,
                    const struct pg_param *params, size_t param_count) {
    g->spans[g->call_count] = (struct pgdb_call_span){0, 0};
    g->calls[g->call_count++] = (struct pg_call){
        .name = name, .sql = db_postgres_own[own], .params = params, .param_count = param_count};
}

static void add_witness(struct pgdb_writer *w) {
    struct pgdb_group *g = &w->unit;
    struct pg_param *params = ARENA_ARRAY(&g->arena, struct pg_param, 3);
    struct pg_stats s;
    pg_pool_stats(w->driver->pool, &s);
    params[0] = pg_uuid(w->id);
    params[1] = pg_int8(w->group_no);
    params[2] = pg_int8(w->epoch);
    g->call_count = 0;
    add_own(g, "writer_advance", PGDB_WRITER_ADVANCE, params, 3);
    if (s.unnamed)
        add_own(g, "group_setup", PGDB_GROUP_SETUP, NULL, 0);
}

bool pgdb_group_build(struct pgdb_writer *w, struct list *refused) {
    struct pgdb_group *g = &w->unit;
    size_t statements, count = 0;
    size_t tasks = count_tasks(&w->waiting, &statements);
    arena_reset(&g->arena);
    g->refs = ARENA_ARRAY(&g->arena, struct pgdb_op_ref, statements + 1);
    g->calls = ARENA_ARRAY(&g->arena, struct pg_call, statements + OWN_CALLS_MAX);
    g->spans = ARENA_ARRAY(&g->arena, struct pgdb_call_span, statements + OWN_CALLS_MAX);
    struct bound_op *ops = ARENA_ARRAY(&g->arena, struct bound_op, statements + 1);
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
    add_witness(w);
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

/* A call for many changes a row for each: that is what `-- many` promises. */
void pgdb_group_result(struct pgdb_group *g, size_t call, const struct pg_result *r) {
    struct pgdb_call_span span = g->spans[call];
    for (size_t i = 0; i < span.count; i++) {
        const struct pgdb_op_ref *ref = &g->refs[span.first + i];
        struct pgdb_task *t = ref->task;
        struct db_op *op = &t->batch->ops[ref->op];
        const struct db_statement *s = &db_catalogue[op->stmt];
        op->rows = (struct db_rows){0};
        op->changed = !s->writes ? 0 : s->many ? 1 : pg_changed(r);
        if (s->many || t->code < 0)
            continue;
        t->code = pgdb_rows(r, t->batch->arena, &op->rows, &t->err);
        if (t->code < 0)
            t->batch->failed_at = ref->op;
    }
}
