/* SPDX-License-Identifier: Apache-2.0 */
/* group_plan.c - which operations of a group share an execution, and in which order those go.
 *
 * Batches are independent of each other unless they are about the same rows: each has its own
 * thread, mostly. So an operation whose statement is for many need not stand behind those of other
 * batches. Operations are put on levels from the end of the group on, each on the lowest that is
 * above all later ones that it must not pass; those of one statement on one level are one call:
 *
 *                            level 2          level 1          level 0
 *   batch 1, a run begins    run_insert 1     begin 1          log 1
 *   batch 2, one that ends   run_finish 2     settle 2         log 2
 *   batch 3, one begins      run_insert 3     begin 3          log 3
 *   calls, in their order    run_insert 1 3   begin 1 3        log 1 2 3
 *                            run_finish 2     settle 2
 *
 * Two operations must keep their order when one of their statements is for many, their statements
 * meet (one changes a table that the other uses: the generator finds that out) and they may be
 * about the same rows. (Two of one statement for many need not: what cannot stand in one call fails
 * there, and runs alone then.) Rows are named by ids: of an operation for many by those parameters
 * that its annotation lists, of others by all their ids. An operation without an id in front, or
 * with a list of ids in a text, is about any row (wild). Statements that are not for many keep the
 * order of submission among themselves.
 *
 * Levels are found by a table of ids: each id has the levels on which it was named, and by which
 * statement. An operation with an expectation whose task runs alone has a call of its own, so that
 * its failure names it. */
#include "db/postgres/pgdb_int.h"

#define MANY_MAX 1024
#define NOWHERE  SIZE_MAX

/* A level on which rows of an id are touched. */
struct mention {
    struct id id;
    enum db_stmt stmt;
    size_t level;
    struct mention *next;
};

struct plan {
    struct arena *arena;
    struct pgdb_planned_call *calls;
    size_t call_count;
    struct mention **table; /* by hash of the id */
    size_t table_mask;
    struct mention *wild;
    size_t (*latest)[PGDB_FORM_COUNT]; /* by statement: its last call, whence back by `before` */
    size_t ordered; /* the level of the last operation that is not for many */
};

const struct db_op *pgdb_op_of(const struct pgdb_op_ref *ref) {
    return &ref->task->batch->ops[ref->op];
}

static bool meet(enum db_stmt a, enum db_stmt b) {
    const struct db_statement *x = &db_catalogue[a], *y = &db_catalogue[b];
    return (a != b || !x->many) && ((x->meets & y->many) || (y->meets & x->many));
}

static bool is_wild(const struct db_op *op) {
    if (op->param_count == 0 || op->params[0].type != DB_ID)
        return true;
    for (size_t p = 0; !db_catalogue[op->stmt].many && p < op->param_count; p++)
        if (op->params[p].type == DB_TEXT && str_starts(op->params[p].s, STR("[")))
            return true; /* perhaps ids */
    return false;
}

static bool names_rows(const struct db_op *op, size_t p) {
    const struct db_statement *s = &db_catalogue[op->stmt];
    return op->params[p].type == DB_ID && (!s->many || (s->keys >> p & 1));
}

static struct mention **chain_of(struct plan *plan, struct id id) {
    uint64_t random; /* the end of an id */
    memcpy(&random, id.b + sizeof(id.b) - sizeof(random), sizeof(random));
    return &plan->table[(random ^ random >> 32) & plan->table_mask];
}

static size_t above(size_t a, size_t level) { return a > level + 1 ? a : level + 1; }

/* Above each operation placed before, so each later one, that it meets. */
static size_t lowest_level(struct plan *plan, const struct db_op *op) {
    size_t level = db_catalogue[op->stmt].many ? 0 : plan->ordered;
    bool wild = is_wild(op);
    for (size_t i = 0; wild && i < plan->call_count; i++)
        if (meet(op->stmt, pgdb_op_of(&plan->calls[i].first->ref)->stmt))
            level = above(level, plan->calls[i].level);
    for (const struct mention *m = plan->wild; m; m = m->next)
        if (meet(op->stmt, m->stmt))
            level = above(level, m->level);
    for (size_t p = 0; !wild && p < op->param_count; p++) {
        if (!names_rows(op, p))
            continue;
        for (const struct mention *m = *chain_of(plan, op->params[p].id); m; m = m->next)
            if (memcmp(m->id.b, op->params[p].id.b, sizeof(m->id.b)) == 0 &&
                meet(op->stmt, m->stmt))
                level = above(level, m->level);
    }
    return level;
}

static void mention(struct plan *plan, struct mention **chain, struct id id, enum db_stmt stmt,
                    size_t level) {
    struct mention *m = ARENA_ARRAY(plan->arena, struct mention, 1);
    *m = (struct mention){.id = id, .stmt = stmt, .level = level, .next = *chain};
    *chain = m;
}

static void note(struct plan *plan, const struct db_op *op, size_t level) {
    if (!db_catalogue[op->stmt].many)
        plan->ordered = level;
    if (is_wild(op)) {
        mention(plan, &plan->wild, ID_NIL, op->stmt, level);
        return;
    }
    for (size_t p = 0; p < op->param_count; p++)
        if (names_rows(op, p))
            mention(plan, chain_of(plan, op->params[p].id), op->params[p].id, op->stmt, level);
}

static bool may_share(const struct pgdb_bound_op *o, const struct db_op *op) {
    const struct db_statement *s = &db_catalogue[op->stmt];
    if (!s->many || is_wild(op))
        return false;
    return op->expect.kind == DB_ANY ||
           (op->expect.kind == DB_CHANGES && s->numbered && !o->ref.task->alone);
}

static size_t call_to_join(const struct plan *plan, const struct db_op *op, size_t level) {
    size_t at = plan->latest[op->stmt][pgdb_form_of(op)];
    while (at != NOWHERE && (plan->calls[at].level != level || plan->calls[at].count == MANY_MAX))
        at = plan->calls[at].before;
    return at;
}

static void place(struct plan *plan, struct pgdb_bound_op *o) {
    const struct db_op *op = pgdb_op_of(&o->ref);
    size_t level = lowest_level(plan, op);
    bool shares = may_share(o, op);
    size_t call = shares ? call_to_join(plan, op, level) : NOWHERE;
    if (call == NOWHERE) {
        call = plan->call_count++;
        plan->calls[call] = (struct pgdb_planned_call){.level = level, .before = NOWHERE};
        if (shares) {
            plan->calls[call].before = plan->latest[op->stmt][pgdb_form_of(op)];
            plan->latest[op->stmt][pgdb_form_of(op)] = call;
        }
    }
    o->next = plan->calls[call].first;
    plan->calls[call].first = o;
    plan->calls[call].count++;
    note(plan, op, level);
}

/* From the highest level on; of one level, those that were placed last go first. */
static const struct pgdb_planned_call *in_order(struct plan *plan) {
    size_t levels = 0, count = 0;
    for (size_t i = 0; i < plan->call_count; i++)
        levels = plan->calls[i].level >= levels ? plan->calls[i].level + 1 : levels;
    struct pgdb_planned_call *out =
        ARENA_ARRAY(plan->arena, struct pgdb_planned_call, plan->call_count + 1);
    size_t *first = ARENA_ARRAY(plan->arena, size_t, levels + 1);
    for (size_t l = 0; l < levels; l++)
        first[l] = NOWHERE;
    for (size_t i = 0; i < plan->call_count; i++) {
        struct pgdb_planned_call *c = &plan->calls[i];
        c->before = first[c->level];
        first[c->level] = i;
    }
    for (size_t l = levels; l-- > 0;)
        for (size_t i = first[l]; i != NOWHERE; i = plan->calls[i].before)
            out[count++] = plan->calls[i];
    return out;
}

size_t pgdb_group_plan(struct arena *a, struct pgdb_bound_op *ops, size_t count,
                       const struct pgdb_planned_call **out) {
    size_t buckets = 64;
    while (buckets < count * 2)
        buckets *= 2;
    struct plan plan = {.arena = a,
                        .calls = ARENA_ARRAY(a, struct pgdb_planned_call, count + 1),
                        .table = ARENA_ARRAY(a, struct mention *, buckets),
                        .table_mask = buckets - 1,
                        .latest = arena_alloc(a, SQL_COUNT * sizeof(*plan.latest))};
    memset(plan.table, 0, buckets * sizeof(*plan.table));
    memset(plan.latest, 0xff, SQL_COUNT * sizeof(*plan.latest)); /* NOWHERE */
    for (size_t i = count; i-- > 0;)
        place(&plan, &ops[i]);
    *out = in_order(&plan);
    return plan.call_count;
}
