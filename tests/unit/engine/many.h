/* SPDX-License-Identifier: Apache-2.0 */
/* many.h - several engines in one process, each with its own faulty way to one database in memory,
 * in simulated time: an operation waits for its turn, is done while time stands still, and its
 * answer comes a moment later, so every test goes the same way each time and none takes long. Waits
 * are for states, never for times; a test that lasts PATIENCE_US of simulated time fails.
 * Tests: tests/unit/engine/test_many.c, test_leader.c */
#ifndef HF_TESTS_MANY_H
#define HF_TESTS_MANY_H

#include "engine_fixture.h"

#include "../../support/lane.h"
#include "base/mem.h"
#include "base/rand.h"

#define PEERS       3
#define LEASE_US    400000
#define ANSWER_US   50
#define LOOK_US     1000
#define PATIENCE_US 600000000

/* --- time --- */

static int64_t now_us;
static int64_t read_clock(void) { return now_us; }
static void leap(void *ctx, int64_t mono_us) {
    if (mono_us > *(int64_t *)ctx + PATIENCE_US)
        fail_msg("something is awaited that does not come");
    now_us = mono_us;
}

/* --- a database that others use, too --- */

enum hold { HOLD_NONE, HOLD_NEXT, HOLD_HELD };
struct share {
    struct db db;
    struct db *inner;
    struct lane *door;
    /* The answer to the next operation that begins with the statement waits for the test. */
    enum hold hold;
    enum db_stmt hold_stmt;
    bool no_renewal;        /* of the lease; all else works */
    size_t lists_of_worker; /* how often it was asked which runs a worker has */
};
static struct share *share_of(struct db *db) { return CONTAINER_OF(db, struct share, db); }
static void answer_comes(struct share *s, enum db_stmt stmt) {
    fiber_sleep_shielded_us(ANSWER_US);
    if (s->hold != HOLD_NEXT || stmt != s->hold_stmt)
        return;
    s->hold = HOLD_HELD;
    while (s->hold == HOLD_HELD)
        fiber_sleep_shielded_us(LOOK_US);
}
static int share_commit(struct db *db, struct db_batch *b, struct err *err) {
    struct share *s = share_of(db);
    enum db_stmt first = b->ops[0].stmt;
    if (first == SQL_WORKER_RENEW && s->no_renewal)
        return err_set(err, ERR_UNAVAILABLE, "no renewal");
    lane_enter(s->door);
    int rc = s->inner->vtable->commit(s->inner, b, err);
    lane_leave(s->door);
    answer_comes(s, first);
    return rc;
}
static int share_read(struct db *db, enum db_stmt stmt, const struct db_value *params, size_t count,
                      struct arena *a, struct db_rows *out, struct err *err) {
    struct share *s = share_of(db);
    struct db_rows rows;
    lane_enter(s->door);
    int rc = s->inner->vtable->read(s->inner, stmt, params, count, a, &rows, err);
    lane_leave(s->door);
    s->lists_of_worker += stmt == SQL_RUN_PAGE_MINE;
    answer_comes(s, stmt);
    if (rc == 0)
        *out = rows;
    return rc;
}
static void share_stats(struct db *db, struct db_stats *out) {
    struct db *inner = share_of(db)->inner;
    inner->vtable->stats(inner, out);
}
static void share_close(struct db *db) { mem_free(share_of(db)); }
static const struct db_vtable share_vtable = {.name = "share",
                                              .commit = share_commit,
                                              .read = share_read,
                                              .stats = share_stats,
                                              .close = share_close};
static struct share *share_new(struct db *inner, struct lane *door) {
    struct share *s = NEW(struct share);
    db_init(&s->db, &share_vtable);
    s->db.dialect = inner->dialect;
    s->inner = inner;
    s->door = door;
    return s;
}

/* --- workers --- */

struct many;
struct peer {
    struct many *m;
    struct fx f; /* as the single-engine fixture: engine, store, arena */
    struct share *share;
    bool up;
};
struct many {
    struct rt *rt;
    struct db *db;
    struct lane door;
    struct fx base;
    struct peer peers[PEERS];
    size_t count;
    bool hints;
    void (*body)(struct many *);
};

static void on_hint(void *ctx, str text) {
    struct peer *from = ctx;
    for (size_t i = 0; i < from->m->count; i++)
        if (from->m->peers[i].up)
            engine_hinted(from->m->peers[i].f.engine, text);
}

static void peer_open(struct many *m, struct peer *p) {
    struct engine_options o = {.running_max = 8,
                               .pending_max = 100,
                               .attempts_max = 3,
                               .recursion_limit = 5,
                               .multitask_default = MULTITASK_ENQUEUE,
                               .api_url = "",
                               .shared = true,
                               .lease_us = LEASE_US,
                               .host = "test",
                               .pid = 1};
    struct engine_hints hints = {.send = on_hint, .ctx = p};
    p->m = m;
    p->f = m->base;
    arena_init(&p->f.a, SIZE_MAX / 2);
    p->share = share_new(m->db, &m->door);
    p->f.db = db_fault_wrap(&p->share->db);
    p->f.store.db = p->f.db;
    assert_int_equal(
        engine_open(m->rt, &p->f.store, p->f.registry, &p->f.services, &o, &p->f.engine, NULL), 0);
    if (m->hints) {
        engine_hints_set(p->f.engine, &hints);
        engine_hints_up(p->f.engine, true);
    }
}

static void peer_fault(struct peer *p, enum db_fault_kind kind, int64_t delay_us) {
    db_fault_set(p->f.db, &(struct db_fault_plan){
                              .kind = kind, .code = ERR_UNAVAILABLE, .delay_us = delay_us});
}

static void peer_down(struct peer *p) {
    if (!p->up)
        return;
    peer_fault(p, DB_FAULT_NONE, 0);
    engine_drain(p->f.engine, rt_mono_us(p->m->rt));
    p->up = false;
}

/* Heartbeats tell each that there are others. */
static void all_known(struct many *m) {
    for (size_t i = 0; i < m->count; i++) {
        struct engine_stats s;
        do {
            assert_int_equal(fiber_sleep_us(2000), 0);
            engine_stats(m->peers[i].f.engine, &s);
        } while (s.others != (int64_t)m->count - 1);
    }
}

static void many_fiber(void *arg) {
    struct many *m = arg;
    const char *ids[ARRAY_COUNT(fx_graphs)];
    for (size_t i = 0; i < ARRAY_COUNT(fx_graphs); i++)
        ids[i] = fx_graphs[i].id;
    assert_int_equal(assistant_seed(&m->base.store, ids, ARRAY_COUNT(ids), &m->base.a, NULL), 0);
    for (size_t i = 0; i < m->count; i++) {
        assert_int_equal(engine_start(m->peers[i].f.engine, NULL), 0);
        m->peers[i].up = true;
    }
    all_known(m);
    m->body(m);
    fx_gate_open = true;
    for (size_t i = 0; i < m->count; i++)
        peer_down(&m->peers[i]);
    rt_stop(m->rt);
}

static void many_run(size_t count, bool hints, void (*body)(struct many *)) {
    struct many m = {.count = count, .hints = hints, .body = body};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    fx_gate_open = false;
    lane_init(&m.door);
    now_us = INT64_C(1700000000000000);
    int64_t begin_us = now_us;
    rand_seed(1);
    clock_set_source(read_clock, read_clock);
    assert_int_equal(rt_open(&m.rt, NULL), 0);
    rt_simulate(m.rt, leap, &begin_us);
    assert_int_equal(db_sqlite_open(m.rt, &o, &m.db, NULL), 0);
    m.base = (struct fx){.rt = m.rt, .who = {.owner = STR("")}};
    m.base.db = m.base.store.db = &share_new(m.db, &m.door)->db;
    arena_init(&m.base.a, SIZE_MAX / 2);
    m.base.services = (struct graph_services){.rt = m.rt};
    m.base.registry = registry_new(&m.base.services, &(struct registry_options){60000000, 16});
    for (size_t i = 0; i < ARRAY_COUNT(fx_graphs); i++)
        registry_add(m.base.registry, &fx_graphs[i]);
    for (size_t i = 0; i < count; i++)
        peer_open(&m, &m.peers[i]);
    assert_non_null(fiber_spawn(m.rt, "test", many_fiber, &m, NULL));
    rt_run(m.rt);
    for (size_t i = 0; i < count; i++) {
        engine_close(m.peers[i].f.engine);
        db_close(m.peers[i].f.db);
        arena_deinit(&m.peers[i].f.a);
    }
    registry_free(m.base.registry);
    db_close(m.base.db);
    db_close(m.db);
    rt_close(m.rt);
    arena_deinit(&m.base.a);
    clock_set_source(NULL, NULL);
    rand_seed(0);
}

static void many_both(size_t count, void (*body)(struct many *)) {
    many_run(count, true, body);
    many_run(count, false, body);
}

static void hold_answer(struct peer *p, enum db_stmt stmt) {
    p->share->hold_stmt = stmt;
    p->share->hold = HOLD_NEXT;
}
static void until_held(struct peer *p) {
    while (p->share->hold != HOLD_HELD)
        assert_int_equal(fiber_sleep_us(2000), 0);
}
static void let_answer_go(struct peer *p) { p->share->hold = HOLD_NONE; }

static struct engine_stats stats_of(struct peer *p) {
    struct engine_stats s;
    engine_stats(p->f.engine, &s);
    return s;
}

#endif
