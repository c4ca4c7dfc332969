/* SPDX-License-Identifier: Apache-2.0 */
/* submit_many.c - accepts a batch of stateless runs: all of them by one transaction, or none.
 *
 *   read all ─▶ one batch: for each its thread, its row, "queued" in its log ─▶ commit
 *            ─▶ each goes its way through the queue, in the order of the request
 *
 * Every run has a thread that nobody knows yet, so no slot is taken and no log has readers: the
 * entries go past the hub, as another process's would. None begins within the batch, for a begin
 * reads and writes as it likes; the first ones begin right after. While runs are being accepted
 * their slots count them as arriving, so that a drain and the search for strays see them. */
#include "engine/submit_int.h"

/* A commit whose answer was lost: how long it is asked for. */
#define DOUBT_PATIENCE_US 5000000
#define DOUBT_WAIT_US     20000

struct many {
    struct engine *e;
    const struct run_submit *submits;
    struct run_request *requests;
    struct live_run **runs;
    size_t count, entered; /* the first `entered` have their slots */
};

struct queued_row {
    const struct live_run *run;
    const struct thread_merge *merge;
};

static size_t queued_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct queued_row *row = ctx;
    return thread_queue_add(b, row->run->row.thread_id, row->merge, count,
                            rt_now_us(row->run->engine->rt));
}

static void enter(struct many *m, size_t i) {
    struct engine *e = m->e;
    struct live_run *run = run_of_request(e, &m->submits[i], &m->requests[i]);
    e->accepting++;
    list_push_back(&e->arriving, &run->arriving);
    run->slot = slot_take(e, run->row.thread_id);
    run->slot->arriving++;
    run->topic = hub_topic_ref(e->hub, run->row.thread_id);
    m->runs[i] = run;
    m->entered = i + 1;
}

/* They are accepted, or will not be. */
static void leave(struct many *m) {
    for (size_t i = 0; i < m->entered; i++) {
        m->runs[i]->slot->arriving--;
        list_remove(&m->runs[i]->arriving);
        m->e->accepting--;
    }
}

static void give_up(struct many *m) {
    leave(m);
    for (size_t i = 0; i < m->entered; i++) {
        struct live_run *run = m->runs[i];
        struct slot *slot = run->slot;
        run->slot = NULL;
        slot_settle(m->e, slot);
        live_run_unref(run);
        m->runs[i] = NULL;
    }
}

static int add_run(struct many *m, size_t i, struct db_batch *b, struct err *err) {
    const struct run_submit *s = &m->submits[i];
    struct live_run *run = m->runs[i];
    struct run_context ctx;
    struct run_context_key key = {.assistant_id = s->assistant_id,
                                  .thread_id = run->row.thread_id,
                                  .run_id = run->row.id,
                                  .time_us = run->row.created_at};
    int rc = run_context_read(m->e->store, s->who, &key, &run->arena, &ctx, err);
    if (rc == 0)
        rc = run_context_check(s, &m->requests[i], run, &ctx, err);
    if (rc < 0)
        return rc;
    struct run_merged merged;
    run_prepare(run, s, &ctx, &merged);
    rc = run_accept_rows(run, s, &ctx, &merged, false, b, err);
    if (rc < 0)
        return rc;
    struct thread_merge merge = run_thread_merge(&ctx, &merged);
    struct queued_row row = {run, &merge};
    struct log_counter counter = {queued_counter, &row};
    struct log_entry entry = run_queued_entry(run);
    (void)log_append_add(b, run->row.thread_id, &entry, 1, &counter);
    return 0;
}

/* The answer was lost. Its first row tells whether it was stored; until then the same batch is
 * committed again, which cannot succeed twice, for its rows have keys. */
static int settle_doubt(struct many *m, struct db_batch *b, struct err *err) {
    struct engine *e = m->e;
    int64_t until_us = rt_mono_us(e->rt) + DOUBT_PATIENCE_US;
    struct run_place place;
    struct arena a;
    int rc = ERR_UNAVAILABLE;
    do {
        fiber_sleep_shielded_us(DOUBT_WAIT_US);
        arena_init(&a, 1 << 20);
        int found = run_place_get(e->store, m->runs[0]->row.id, &a, &place, NULL);
        arena_deinit(&a);
        if (found == 0)
            return 0;
        if (found == ERR_NOT_FOUND) {
            err_reset(err);
            rc = db_commit(e->store->db, b, err);
            if (rc == 0 || b->committed)
                return 0;
            if (rc != ERR_EXISTS && !b->in_doubt && rc != ERR_UNAVAILABLE && rc != ERR_IO)
                return rc;
        }
    } while (rt_mono_us(e->rt) < until_us);
    engine_look_for_strays(e); /* they may be stored all the same */
    return err_set(err, ERR_UNAVAILABLE, "the database does not tell what it has stored");
}

static int commit(struct many *m, void (*join)(void *ctx, struct db_batch *b), void *ctx,
                  struct err *err) {
    struct arena a;
    struct db_batch b;
    int rc = 0;
    arena_init(&a, RUN_ARENA_BYTES_MAX);
    db_batch_init(&b, &a);
    for (size_t i = 0; rc == 0 && i < m->count; i++) {
        rc = add_run(m, i, &b, err);
        if (rc < 0)
            (void)err_context(err, "run %zu", i);
    }
    if (rc == 0 && join)
        join(ctx, &b);
    if (rc == 0)
        rc = db_commit(m->e->store->db, &b, err);
    if (rc < 0 && b.committed)
        rc = 0;
    else if (rc < 0 && b.in_doubt)
        rc = settle_doubt(m, &b, err);
    arena_deinit(&a);
    return rc;
}

int engine_submit_many(struct engine *e, const struct run_submit *submits, size_t count,
                       void (*join)(void *ctx, struct db_batch *b), void *ctx,
                       struct live_run **out, struct err *err) {
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct many m = {.e = e,
                     .submits = submits,
                     .requests = ARENA_ARRAY(&a, struct run_request, count + 1),
                     .runs = out,
                     .count = count};
    int rc = engine_may_accept(e, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        m.requests[i] = (struct run_request){0};
        rc = run_request_read(e, &submits[i], &m.requests[i], err);
        if (rc < 0)
            (void)err_context(err, "run %zu", i);
    }
    for (size_t i = 0; rc == 0 && i < count; i++)
        enter(&m, i);
    if (rc == 0)
        rc = commit(&m, join, ctx, err);
    if (rc < 0) {
        give_up(&m);
    } else {
        leave(&m);
        for (size_t i = 0; i < count; i++)
            run_let_go(out[i], &m.requests[i]);
    }
    arena_deinit(&a);
    return rc;
}
