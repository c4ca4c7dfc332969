/* SPDX-License-Identifier: Apache-2.0 */
/* gather.c - look-ups of many fibers as one execution.
 *
 *   fiber ── look-up ─▶ waiting ─┬─ one waits ──▶ it goes by itself: the statement's own text
 *                                └─ more wait ──▶ one unit: the text for arrays (`-- together`)
 *
 * A look-up by key costs the server mostly its beginning: the executor is set up, locks and a
 * snapshot are taken, a message and a wake-up go each way. So those of one statement that are asked
 * in the same turn, or while UNDER_WAY_MAX executions of it are under way, share one; nobody waits
 * on purpose. A row of the answer carries the number of the look-up that it belongs to.
 *
 * A look-up changes nothing. When a shared execution fails, for whatever reason, each of its
 * look-ups goes by itself, so that none of them meets another's error.
 *
 * Invariants: under_way counts the executions whose end will flush; a look-up in `waiting` has
 * either a flush coming in this turn or such an execution. */
#include "base/clock.h"
#include "base/mem.h"
#include "db/postgres/pgdb_int.h"
#include "db/stmt_log.h"

#define UNDER_WAY_MAX  2
#define TOGETHER_MAX   64 /* one answer, one backend: others want theirs, too */
#define TOGETHER_BYTES ((size_t)1 << 28)

struct pgdb_gather {
    struct pgdb *driver;
    enum db_stmt stmt;
    unsigned under_way;
    struct list waiting; /* of struct lookup */
    struct rt_defer flush;
};

/* On its fiber's stack. */
struct lookup {
    struct list node;
    struct fiber *fiber;
    const struct pg_param *params;
    struct arena *arena;
    struct db_rows *out;
    struct err *err;
    int code;
    enum { WAITS, ALONE, ANSWERED } state;
};

struct together {
    struct pg_work work;
    struct pg_call call;
    struct pgdb_gather *gather;
    struct arena arena;
    size_t count;
    struct lookup *lookups[TOGETHER_MAX];
};

static void flush_later(struct pgdb_gather *g);

static void end(struct lookup *l, int state) {
    l->state = state;
    fiber_unpark(l->fiber);
}

/* --- answers --------------------------------------------------------------------------------- */

/* The rows of each look-up stand together, in the order of their numbers. */
static int on_result(struct pg_work *work, size_t index, const struct pg_result *r,
                     struct err *err) {
    (void)index;
    struct together *t = CONTAINER_OF(work, struct together, work);
    size_t at = 0, rows = pg_row_count(r);
    for (size_t i = 0; i < t->count; i++) {
        struct lookup *l = t->lookups[i];
        size_t first = at;
        while (at < rows && pg_cell_int(r, at, 0) == (int64_t)i + 1)
            at++;
        l->code = pgdb_rows_some(r, first, at - first, 1, l->arena, l->out, l->err);
    }
    return at == rows ? 0 : err_set(err, ERR_INTERNAL, "rows of a shared look-up are out of order");
}

static void on_done(struct pg_work *work) {
    struct together *t = CONTAINER_OF(work, struct together, work);
    struct pgdb_gather *g = t->gather;
    stmt_log(g->driver->options.log_all, t->call.name, t->call.sql, work->run_us,
             (int64_t)t->count);
    for (size_t i = 0; i < t->count; i++)
        end(t->lookups[i], work->code == 0 ? ANSWERED : ALONE);
    g->under_way += work->code == 0 ? 0 : (unsigned)t->count;
    arena_deinit(&t->arena);
    mem_free(t);
    pgdb_gather_leave(g);
}

/* --- going out ------------------------------------------------------------------------------- */

static bool send(struct together *t) {
    struct pgdb_gather *g = t->gather;
    const struct db_statement *s = &db_catalogue[g->stmt];
    const struct pgdb_text *text = &g->driver->texts.of[g->stmt][PGDB_TOGETHER];
    size_t params = (size_t)s->param_count;
    struct pg_param *arrays = ARENA_ARRAY(&t->arena, struct pg_param, params + 1);
    struct pg_param column[TOGETHER_MAX];
    for (size_t p = 0; p < params; p++) {
        for (size_t i = 0; i < t->count; i++)
            column[i] = t->lookups[i]->params[p];
        arrays[p] = pg_array(&t->arena, pg_element_of(text->param_oids[p]), column, t->count);
    }
    t->call = (struct pg_call){
        .name = s->name, .sql = text->sql, .params = arrays, .param_count = params};
    t->work = (struct pg_work){.lane = PG_LANE_READ,
                               .calls = &t->call,
                               .call_count = 1,
                               .result = on_result,
                               .done = on_done};
    return pg_pool_submit(g->driver->pool, &t->work, NULL) == 0;
}

static void go_together(struct pgdb_gather *g) {
    struct together *t = NEW(struct together);
    struct list *node;
    t->gather = g;
    arena_init(&t->arena, TOGETHER_BYTES);
    while (t->count < TOGETHER_MAX && (node = list_pop_front(&g->waiting)))
        t->lookups[t->count++] = LIST_ENTRY(node, struct lookup, node);
    g->under_way++;
    if (send(t))
        return;
    for (size_t i = 0; i < t->count; i++)
        end(t->lookups[i], ALONE);
    g->under_way += (unsigned)t->count - 1;
    arena_deinit(&t->arena);
    mem_free(t);
}

static void flush(struct rt_defer *d) {
    struct pgdb_gather *g = CONTAINER_OF(d, struct pgdb_gather, flush);
    while (!list_empty(&g->waiting) && g->under_way < UNDER_WAY_MAX) {
        struct list *first = list_first(&g->waiting);
        if (first->next != &g->waiting) {
            go_together(g);
            continue;
        }
        list_remove(first);
        g->under_way++;
        end(LIST_ENTRY(first, struct lookup, node), ALONE);
    }
}

static void flush_later(struct pgdb_gather *g) {
    g->flush.fn = flush;
    rt_defer(g->driver->rt, &g->flush);
}

/* --- for the reader -------------------------------------------------------------------------- */

struct pgdb_gather *pgdb_gather_of(struct pgdb *d, enum db_stmt stmt) {
    return d->texts.of[stmt][PGDB_TOGETHER].sql ? &d->gathers[stmt] : NULL;
}

bool pgdb_gather_read(struct pgdb_gather *g, const struct pg_param *params, struct arena *a,
                      struct db_rows *out, int *out_code, struct err *err) {
    struct lookup l = {.fiber = fiber_self(),
                       .params = params,
                       .arena = a,
                       .out = out,
                       .err = err,
                       .state = WAITS};
    list_push_back(&g->waiting, &l.node);
    if (g->under_way < UNDER_WAY_MAX)
        flush_later(g);
    while (l.state == WAITS)
        fiber_park_shielded();
    *out_code = l.code;
    return l.state == ANSWERED;
}

void pgdb_gather_leave(struct pgdb_gather *g) {
    ASSERT(g->under_way > 0);
    g->under_way--;
    if (!list_empty(&g->waiting))
        flush_later(g);
}

void pgdb_gathers_init(struct pgdb *d) {
    d->gathers = mem_calloc(SQL_COUNT, sizeof(*d->gathers));
    for (size_t s = 0; s < SQL_COUNT; s++) {
        d->gathers[s] = (struct pgdb_gather){.driver = d, .stmt = (enum db_stmt)s};
        list_init(&d->gathers[s].waiting);
    }
}

void pgdb_gathers_deinit(struct pgdb *d) {
    for (size_t s = 0; s < SQL_COUNT; s++) {
        ASSERT(list_empty(&d->gathers[s].waiting) && d->gathers[s].under_way == 0);
        if (list_linked(&d->gathers[s].flush.node))
            list_remove(&d->gathers[s].flush.node);
    }
    mem_free(d->gathers);
}
