/* SPDX-License-Identifier: Apache-2.0 */
/* thread_copy.c - a copy of a thread.
 *
 * Statements move rows inside the database: nothing of a large thread comes through this process.
 * The last batch makes the copy's row from the source's, under the owner's condition; before it the
 * copy is not there for anybody. Small threads need no other batch.
 *
 *   reserve   the copy's id is among the threads that go after a while (doomed_threads)
 *   parts     each table, PART_ROWS rows at a time, or as many as have PART_BYTES together
 *   finish    one batch: the row; what the source lost or changed meanwhile goes, what it got
 *             since comes; the id is not to go any more. Only keys of the whole are looked at, so
 *             the copy is what the source is at this moment, while the batch moves little.
 *
 * When it stops in between, the parts go: at once if this process lives, else with the periodic
 * work (thread_delete_doomed). A copy that takes longer than COPY_US_MAX is given up before that
 * could happen to it. A copy whose id others know cannot be cut into batches, for its parts would
 * be taken for theirs: it is one batch, and refused from WHOLE_BYTES_MAX on. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "store/thread_ops.h"

#define PART_ROWS       200
#define PART_BYTES      (INT64_C(8) << 20) /* of each table; a larger row is a part by itself */
#define WHOLE_BYTES_MAX (INT64_C(256) << 20)
#define ALL_ROWS        INT32_MAX /* from the start of the table, see the statements */
#define COPY_US_MAX     (INT64_C(3000) * 1000000)
#define DOOM_US         (INT64_C(3600) * 1000000)

/* Rows that refer stand before those that they refer to. named: takes the metadata, too. */
struct table {
    enum db_stmt copy, fit, gone;
    bool named, shared;
};
static const struct table TABLES[] = {
    {SQL_THREAD_COPY_LG_CHECKPOINTS, SQL_THREAD_COPY_FIT_LG_CHECKPOINTS,
     SQL_THREAD_COPY_GONE_LG_CHECKPOINTS, true, true},
    {SQL_THREAD_COPY_CHECKPOINTS, SQL_THREAD_COPY_FIT_CHECKPOINTS, SQL_THREAD_COPY_GONE_CHECKPOINTS,
     true, false},
    {SQL_THREAD_COPY_LG_WRITES, SQL_THREAD_COPY_FIT_LG_WRITES, SQL_THREAD_COPY_GONE_LG_WRITES,
     false, true},
    {SQL_THREAD_COPY_LG_BLOBS, SQL_THREAD_COPY_FIT_LG_BLOBS, SQL_THREAD_COPY_GONE_LG_BLOBS, false,
     true},
    {SQL_THREAD_COPY_VALUES, SQL_THREAD_COPY_FIT_VALUES, SQL_THREAD_COPY_GONE_VALUES, false, false},
    {SQL_THREAD_COPY_LISTS, SQL_THREAD_COPY_FIT_LISTS, SQL_THREAD_COPY_GONE_LISTS, false, false},
    {SQL_THREAD_COPY_WRITES, SQL_THREAD_COPY_FIT_WRITES, SQL_THREAD_COPY_GONE_WRITES, false, false},
};

struct copy {
    struct store *s;
    const struct principal *who;
    struct id source, id;
    str named; /* what is put over metadata that name the thread */
    int64_t until_us;
};

static void table_add(const struct copy *c, const struct table *t, int64_t rows,
                      struct db_expect expect, struct db_batch *b) {
    if (t->named)
        db_batch_add(b, t->copy,
                     DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source), DB_I(rows), DB_T(c->named)),
                     expect);
    else
        db_batch_add(b, t->copy, DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source), DB_I(rows)), expect);
}

/* How many rows the next part has; 0: none is left. */
static int next_rows(const struct copy *c, const struct table *t, struct arena *a, int64_t *out,
                     struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(c->s->db, t->fit,
                DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source), DB_I(PART_ROWS), DB_I(PART_BYTES)), a,
                &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}

static int copy_table(const struct copy *c, const struct table *t, struct err *err) {
    struct arena a;
    int64_t count;
    arena_init(&a, SIZE_MAX / 2);
    int rc = next_rows(c, t, &a, &count, err);
    while (rc == 0 && count > 0) {
        struct db_batch b;
        db_batch_init(&b, &a);
        table_add(c, t, count, DB_EXPECT_NONE, &b);
        rc = db_commit(c->s->db, &b, err);
        if (rc == 0 && clock_wall_us() > c->until_us)
            rc = err_set(err, ERR_TIMEOUT, "the thread is too large to be copied in time");
        if (rc == 0)
            rc = FAILPOINT("store.copy.part");
        arena_reset(&a);
        if (rc == 0)
            rc = next_rows(c, t, &a, &count, err);
    }
    arena_deinit(&a);
    return rc;
}

static int copy_parts(const struct copy *c, struct arena *a, struct err *err) {
    struct db_batch b;
    struct thread t;
    int rc = thread_get(c->s, c->who, c->source, a, &t, err);
    if (rc < 0)
        return rc;
    db_batch_init(&b, a);
    thread_doom_add(&b, c->id, clock_wall_us() + DOOM_US);
    rc = db_commit(c->s->db, &b, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(TABLES); i++)
        if (c->s->shared || !TABLES[i].shared)
            rc = copy_table(c, &TABLES[i], err);
    return rc;
}

static int finish(const struct copy *c, bool parts, struct arena *a, struct err *err) {
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_THREAD_COPY,
                 DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source), DB_T(principal_owner_low(c->who)),
                           DB_T(principal_owner_high(c->who)), DB_T(c->named), DB_I(now)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    for (size_t i = 0; i < ARRAY_COUNT(TABLES); i++) {
        const struct table *t = &TABLES[i];
        if (t->shared && !c->s->shared)
            continue;
        if (parts)
            db_batch_add(&b, t->gone, DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source)),
                         DB_EXPECT_NONE);
        if (parts && t->gone == SQL_THREAD_COPY_GONE_CHECKPOINTS)
            store_add_known(c->s, &b, SQL_THREAD_COPY_LOOSE_WRITES, DB_PARAMS(DB_UUID(c->id)));
        table_add(c, t, ALL_ROWS, DB_EXPECT_NONE, &b);
    }
    if (c->s->shared)
        db_batch_add(&b, SQL_THREAD_COPY_STATES, DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source)),
                     DB_EXPECT_NONE);
    db_batch_add(&b, SQL_SAVED_RUNS_COPY, DB_PARAMS(DB_UUID(c->id), DB_UUID(c->source)),
                 DB_EXPECT_NONE);
    if (parts)
        db_batch_add(&b, SQL_THREAD_UNDOOM, DB_PARAMS(DB_UUID(c->id)), DB_EXPECT_NONE);
    store_ride(c->s, &b, now);
    return db_commit(c->s->db, &b, err);
}

/* What cannot go now goes with the periodic work. */
static void drop_parts(const struct copy *c, struct arena *a) {
    struct db_batch b;
    struct err err = {0};
    db_batch_init(&b, a);
    thread_delete_rest_add(c->s, &b, c->id);
    if (db_commit(c->s->db, &b, &err) < 0)
        log_plain(LOG_WARN, "thread.copy.left", err.message);
}

/* Is it cut into batches? */
static int choose(struct store *s, struct id source, bool fresh, struct arena *a, bool *out_parts,
                  struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_THREAD_COPY_SIZE,
                DB_PARAMS(DB_UUID(source), DB_I(fresh ? PART_ROWS + 1 : ALL_ROWS)), a, &rows, err);
    if (rc < 0)
        return rc;
    int64_t bytes = db_int(&rows, 0, 1);
    *out_parts = fresh && (db_int(&rows, 0, 0) > PART_ROWS || bytes > PART_BYTES);
    if (!fresh && bytes > WHOLE_BYTES_MAX)
        return err_set(
            err, ERR_TOO_LARGE,
            "A thread of more than %lld MB is not copied to an id that is given: let the "
            "server make it (POST /threads/{thread_id}/copy)",
            (long long)(WHOLE_BYTES_MAX >> 20));
    return 0;
}

int thread_copy(struct store *s, const struct principal *who, struct id source, struct id id,
                bool fresh, struct arena *a, struct err *err) {
    struct copy c = {.s = s, .who = who, .source = source, .id = id};
    bool parts = false;
    int rc = choose(s, source, fresh, a, &parts, err);
    c.named = arena_printf(a, "{\"thread_id\":\"" STR_FMT "\"}", STR_ARG(id_dashed(a, id)));
    c.until_us = clock_wall_us() + COPY_US_MAX;
    if (rc == 0 && parts)
        rc = copy_parts(&c, a, err);
    if (rc == 0)
        rc = finish(&c, parts, a, err);
    /* ERR_UNAVAILABLE: it may be there after all */
    if (rc < 0 && parts && rc != ERR_UNAVAILABLE)
        drop_parts(&c, a);
    return rc == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "Thread not found") : rc;
}
