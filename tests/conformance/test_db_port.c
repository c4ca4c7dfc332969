/* SPDX-License-Identifier: Apache-2.0 */
/* test_db_port.c - the contract of db/port.h, over every driver and each behind the fault wrapper.
 *
 * Goal: a batch is durable as a whole or leaves nothing, alone and in a group; values come back as
 * they went; errors have the codes of the contract; equal histories give equal digests everywhere.
 * Method: each test runs on a fiber over a fresh database; the same list runs once per driver. */
#include "fixture.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/mem.h"

#define OWNER        DB_T(STR("tests"))
#define KEY(literal) DB_T(STR(literal))
#define FIBERS       64

/* --- helpers on the test's fiber --- */

static struct db_batch batch(struct fixture *f) {
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    return b;
}

static size_t add_insert(struct db_batch *b, str key, struct db_value value) {
    return db_batch_add(b, SQL_KV_INSERT, DB_PARAMS(OWNER, DB_T(key), value, DB_I(7)),
                        DB_EXPECT_NONE);
}

static size_t add_put(struct db_batch *b, str key, struct db_value value) {
    return db_batch_add(b, SQL_KV_PUT, DB_PARAMS(OWNER, DB_T(key), value, DB_I(7)), DB_EXPECT_NONE);
}

static int put(struct fixture *f, str key, struct db_value value, struct err *err) {
    struct db_batch b = batch(f);
    add_put(&b, key, value);
    return db_commit(f->db, &b, err);
}

static int get(struct fixture *f, str key, struct db_rows *rows, struct err *err) {
    return db_read(f->db, SQL_KV_GET, DB_PARAMS(OWNER, DB_T(key)), &f->arena, rows, err);
}

/* A SQLite file: with reader threads, and reads that are done at once. */
static bool reads_on_loop(const struct fixture *f) { return !f->in_memory && !f->postgres; }

/* -1 when absent. */
static int64_t version_of(struct fixture *f, str key) {
    struct db_rows rows;
    struct err err = {0};
    int code = get(f, key, &rows, &err);
    if (code < 0) {
        fixture_fail(f, "get: %s: %s", err_name(code), err.message);
        return -2;
    }
    return rows.row_count ? db_int(&rows, 0, 1) : -1;
}

static int64_t row_count(struct fixture *f) {
    struct db_rows rows;
    struct err err = {0};
    int code = db_read(f->db, SQL_KV_LIST, DB_PARAMS(OWNER, KEY(""), DB_I(100000)), &f->arena,
                       &rows, &err);
    if (code < 0)
        fixture_fail(f, "list: %s: %s", err_name(code), err.message);
    return code < 0 ? -1 : (int64_t)rows.row_count;
}

/* --- one fiber --- */

static void batch_is_atomic(struct fixture *f) {
    struct err err = {0};
    struct db_batch b = batch(f);
    add_insert(&b, STR("a"), DB_I(1));
    add_insert(&b, STR("b"), DB_I(2));
    add_insert(&b, STR("a"), DB_I(3));
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_EXISTS);
    CHECK_INT(b.failed_at, 2);
    CHECK_THAT(strstr(err.message, "kv_insert") != NULL, "%s", err.message);
    CHECK_INT(row_count(f), 0);
    b = batch(f);
    add_insert(&b, STR("a"), DB_I(1));
    add_insert(&b, STR("b"), DB_I(2));
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    CHECK(b.failed_at == SIZE_MAX);
    CHECK_INT(b.ops[1].changed, 1);
    CHECK_INT(row_count(f), 2);
    b = batch(f);
    CHECK_CODE(db_commit(f->db, &b, &err), 0); /* an empty one is nothing to do */
}

static void expectations_hold(struct fixture *f) {
    struct err err = {0};
    struct db_batch b = batch(f);
    add_put(&b, STR("before"), DB_I(1));
    db_batch_add(&b, SQL_KV_DELETE, DB_PARAMS(OWNER, KEY("none")), DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_NOT_FOUND);
    CHECK_INT(b.failed_at, 1);
    CHECK_INT(row_count(f), 0);

    CHECK_CODE(put(f, STR("k"), DB_I(1), &err), 0);
    b = batch(f);
    db_batch_add(&b, SQL_KV_REPLACE, DB_PARAMS(OWNER, KEY("k"), DB_I(2), DB_I(8), DB_I(1)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    b = batch(f); /* the version has moved on */
    db_batch_add(&b, SQL_KV_REPLACE, DB_PARAMS(OWNER, KEY("k"), DB_I(3), DB_I(9), DB_I(1)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_CONFLICT);
    CHECK_INT(version_of(f, STR("k")), 2);

    b = batch(f);
    add_put(&b, STR("other"), DB_I(1));
    db_batch_add(&b, SQL_KV_GET, DB_PARAMS(OWNER, KEY("k")), DB_EXPECT_NO_ROW(ERR_FENCED));
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_FENCED);
    CHECK_INT(version_of(f, STR("other")), -1);
    b = batch(f); /* a read in a batch sees the batch's own writes, and counts as a change */
    add_put(&b, STR("other"), DB_I(1));
    size_t at = db_batch_add(&b, SQL_KV_GET, DB_PARAMS(OWNER, KEY("other")),
                             DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    CHECK_INT(b.ops[at].rows.row_count, 1);
    CHECK_INT(b.ops[at].changed, 0);
}

static void returning_gives_rows(struct fixture *f) {
    struct err err = {0};
    struct db_batch b = batch(f);
    for (int i = 0; i < 20; i++) /* more than the batch's first array */
        add_put(&b, STR("same"), DB_I(i));
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_INT(b.ops[i].rows.row_count, 1);
        CHECK_INT(b.ops[i].rows.col_count, 1);
        CHECK_INT(db_int(&b.ops[i].rows, 0, 0), i + 1);
        CHECK_INT(b.ops[i].changed, 1);
    }
    b = batch(f); /* nothing returned by what changes nothing */
    size_t at = db_batch_add(&b, SQL_KV_INSERT_MISSING,
                             DB_PARAMS(OWNER, KEY("same"), DB_I(1), DB_I(1)), DB_EXPECT_NONE);
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    CHECK_INT(b.ops[at].changed, 0);
    CHECK_INT(b.ops[at].rows.row_count, 0);
}

/* The column of echo that takes the value. */
static size_t echo_column(const struct db_value *v) {
    switch (v->type) {
    case DB_NULL:
    case DB_INT:
        return 0;
    case DB_REAL:
        return 1;
    case DB_TEXT:
        return 2;
    case DB_BLOB:
        return 3;
    case DB_ID:
        return 4;
    }
    UNREACHABLE();
}

static int echo(struct fixture *f, struct db_value in, size_t col, struct db_rows *rows,
                struct err *err) {
    struct db_value params[6] = {DB_NIL, DB_NIL, DB_NIL, DB_NIL, DB_NIL, DB_NIL};
    params[col] = in;
    return db_read(f->db, SQL_ECHO, params, 6, &f->arena, rows, err);
}

static void check_round_trip(struct fixture *f, struct db_value in, size_t col) {
    struct err err = {0};
    struct db_rows rows = {0};
    CHECK_CODE(echo(f, in, col, &rows, &err), 0);
    CHECK_INT(rows.row_count, 1);
    CHECK_INT(rows.col_count, 6);
    for (size_t i = 0; i < 6; i++)
        CHECK(i == col || db_is_null(&rows, 0, i));
    const struct db_value *out = db_cell(&rows, 0, col);
    if (in.type == DB_ID) {
        CHECK(id_eq(db_id(&rows, 0, col), in.id));
        CHECK_INT(out->s.len, ID_HEX_LEN);
        return;
    }
    CHECK_INT(out->type, in.type);
    if (in.type == DB_INT)
        CHECK_INT(out->i, in.i);
    if (in.type == DB_REAL)
        CHECK(memcmp(&out->d, &in.d, sizeof(in.d)) == 0);
    if (in.type == DB_TEXT || in.type == DB_BLOB) {
        CHECK_INT(out->s.len, in.s.len);
        CHECK(memcmp(out->s.p, in.s.p, in.s.len) == 0);
        CHECK_INT(out->s.p[out->s.len], 0);
    }
}

static void values_round_trip(struct fixture *f) {
    static const char all[] = "\0\x01\xff\xfe tail";
    const struct db_value values[] = {DB_NIL,
                                      DB_I(0),
                                      DB_I(-1),
                                      DB_I(INT64_MAX),
                                      DB_I(INT64_MIN),
                                      DB_D(0.1),
                                      DB_D(-0.0),
                                      DB_D(1e308),
                                      DB_D(5e-324),
                                      DB_T(STR("")),
                                      DB_T(STR("Grüße, 世界 🙂")),
                                      DB_B(STR("")),
                                      DB_B(str_n(all, sizeof(all))),
                                      DB_T(STR("'; DROP TABLE kv; --")),
                                      DB_T(STR("1")),
                                      DB_T(STR("?1 $1 :a")),
                                      DB_UUID(id_v7())};
    static const int64_t times[] = {0,
                                    1,
                                    -1,
                                    INT64_C(1764000000123456),
                                    INT64_C(946684800000000),
                                    INT64_C(253402300799999999),
                                    INT64_MAX};
    struct err err = {0};
    struct db_rows rows;
    for (size_t i = 0; i < ARRAY_COUNT(values) && !f->failure[0]; i++)
        check_round_trip(f, values[i], echo_column(&values[i]));
    for (size_t i = 0; i < ARRAY_COUNT(times) && !f->failure[0]; i++)
        check_round_trip(f, DB_I(times[i]), 5);
    size_t len = (size_t)16 << 20;
    char *big = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    check_round_trip(f, DB_B(str_n(big, len)), 3);
    mem_free(big);
    /* what one of the databases cannot keep in a text */
    int code = echo(f, DB_T(STR("nul\0inside")), 2, &rows, &err);
    CHECK_CODE(code, f->postgres ? ERR_INVALID : 0);
}

/* A text column keeps the wire's spelling in one database and the digits in the other. */
static void ids_come_back(struct fixture *f) {
    struct err err = {0};
    struct db_rows rows;
    struct id id = id_v7();
    struct db_batch b = batch(f);
    db_batch_add(&b, SQL_KV_PUT, DB_PARAMS(DB_UUID(id), DB_UUID(id), DB_T(STR("v")), DB_I(1)),
                 DB_EXPECT_NONE);
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    CHECK_CODE(db_read(f->db, SQL_KV_LIST, DB_PARAMS(DB_UUID(id), KEY(""), DB_I(1)), &f->arena,
                       &rows, &err),
               0);
    CHECK_INT(rows.row_count, 1);
    CHECK(id_eq(db_id(&rows, 0, 0), id));
    CHECK_INT(db_str(&rows, 0, 0).len, f->postgres ? ID_DASHED_LEN : ID_HEX_LEN);
    CHECK(id_is_nil(db_id(&rows, 0, 2))); /* a number is no id */
}

static void constraints_have_codes(struct fixture *f) {
    struct err err = {0};
    CHECK_CODE(put(f, STR("nul\0key"), DB_I(1), &err), ERR_INVALID);
    struct db_batch b = batch(f);
    db_batch_add(&b, SQL_KV_INSERT, DB_PARAMS(DB_NIL, KEY("k"), DB_I(1), DB_I(1)), DB_EXPECT_NONE);
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_INVALID);
    CHECK_INT(b.failed_at, 0);
    CHECK_INT(row_count(f), 0);
}

static void results_respect_the_arena(struct fixture *f) {
    struct err err = {0};
    char *text = arena_zalloc(&f->arena, 40000);
    CHECK_CODE(put(f, STR("k"), DB_B(str_n(text, 40000)), &err), 0);
    struct arena small;
    struct db_rows rows;
    arena_init(&small, 8192);
    int code = db_read(f->db, SQL_KV_GET, DB_PARAMS(OWNER, KEY("k")), &small, &rows, &err);
    arena_deinit(&small);
    CHECK_CODE(code, ERR_TOO_LARGE);
    CHECK_CODE(get(f, STR("k"), &rows, &err), 0); /* the connection is well afterwards */
    CHECK_INT(db_str(&rows, 0, 0).len, 40000);
}

static void many_rows_come_back_in_order(struct fixture *f) {
    struct err err = {0};
    struct db_batch b = batch(f);
    for (int i = 0; i < 3000; i++)
        add_insert(&b, arena_printf(&f->arena, "k%04d", i), DB_T(arena_printf(&f->arena, "%d", i)));
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    struct db_rows rows;
    CHECK_CODE(db_read(f->db, SQL_KV_LIST, DB_PARAMS(OWNER, KEY("k0999"), DB_I(1500)), &f->arena,
                       &rows, &err),
               0);
    CHECK_INT(rows.row_count, 1500);
    for (size_t i = 0; i < 1500; i++)
        CHECK(str_eq(db_str(&rows, i, 1), arena_printf(&f->arena, "%d", (int)i + 1000)));
}

static void reads_see_own_commits(struct fixture *f) {
    struct err err = {0};
    for (int i = 1; i <= 200; i++) {
        CHECK_CODE(put(f, STR("k"), DB_I(i), &err), 0);
        CHECK_INT(version_of(f, STR("k")), i);
    }
}

static void stats_and_ping(struct fixture *f) {
    struct err err = {0};
    struct db_stats before, after;
    db_stats(f->db, &before);
    CHECK_CODE(db_ping(f->db, &err), 0);
    CHECK_CODE(put(f, STR("k"), DB_I(1), &err), 0);
    struct db_batch b = batch(f);
    add_insert(&b, STR("k"), DB_I(1));
    CHECK_CODE(db_commit(f->db, &b, &err), ERR_EXISTS);
    db_stats(f->db, &after);
    CHECK_INT(after.batches - before.batches, 2);
    CHECK_INT(after.commits - before.commits, 1);
    CHECK_INT(after.errors - before.errors, 1);
    CHECK_INT(after.reads - before.reads, 1);
    CHECK_INT(after.write_queue, 0);
    CHECK_INT(after.read_queue, 0);
}

/* --- many fibers --- */

struct job {
    struct fixture *f;
    int index, code;
    int64_t version;
};
struct crowd {
    struct job jobs[FIBERS];
    void (*fn)(struct job *j);
};

static void job_main(void *arg) {
    struct job *j = arg;
    ((struct crowd *)j->f->extra)->fn(j);
}

static void crowd_run(struct fixture *f, struct crowd *c, void (*fn)(struct job *j)) {
    struct fiber_group g;
    struct err err = {0};
    fiber_group_init(&g);
    f->extra = c;
    c->fn = fn;
    for (int i = 0; i < FIBERS; i++) {
        c->jobs[i] = (struct job){.f = f, .index = i};
        int code = fiber_group_spawn(&g, f->rt, "job", job_main, &c->jobs[i], &err);
        if (code < 0)
            fixture_fail(f, "fiber_group_spawn: %s", err.message);
    }
    fiber_group_wait(&g);
}

/* Asked at the same moment, each look-up gets its own rows, or none, or its own error. */
static void job_looks_up(struct job *j) {
    struct arena a, small;
    struct db_rows rows;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    arena_init(&small, 4096);
    for (int round = 0; round < 20 && j->code == 0; round++) {
        int want = (j->index * 7 + round) % FIBERS;
        struct arena *to = want % 9 == 0 ? &small : &a;
        struct db_value key = DB_T(arena_printf(&a, "key%02d", want));
        int code = db_read(j->f->db, SQL_KV_GET, DB_PARAMS(OWNER, key), to, &rows, &err);
        if (want % 9 == 0)
            j->code = code == ERR_TOO_LARGE ? 0 : ERR_INTERNAL;
        else if (want % 5 == 0)
            j->code = code == 0 && rows.row_count == 0 && rows.col_count == 3 ? 0 : ERR_INTERNAL;
        else
            j->code = code == 0 && rows.row_count == 1 && db_str(&rows, 0, 0).len == 8000 &&
                              db_str(&rows, 0, 0).p[0] == 'A' + want
                          ? 0
                          : ERR_INTERNAL;
    }
    arena_deinit(&small);
    arena_deinit(&a);
}

static void look_ups_get_their_own(struct fixture *f) {
    struct err err = {0};
    struct crowd *c = arena_zalloc(&f->arena, sizeof(*c));
    for (int i = 0; i < FIBERS; i++) {
        char *text = arena_zalloc(&f->arena, 8000);
        memset(text, 'A' + i, 8000);
        if (i % 9 == 0 || i % 5 != 0)
            CHECK_CODE(put(f, arena_printf(&f->arena, "key%02d", i), DB_B(str_n(text, 8000)), &err),
                       0);
    }
    crowd_run(f, c, job_looks_up);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c->jobs[i].code == 0, "fiber %d: %s", i, err_name(c->jobs[i].code));
}

/* Every seventh batch fails at its second statement; the others come through. */
static void job_some_fail(struct job *j) {
    struct arena a;
    struct db_batch b;
    arena_init(&a, 1 << 16);
    db_batch_init(&b, &a);
    add_insert(&b, arena_printf(&a, "first%02d", j->index), DB_I(j->index));
    if (j->index % 7 == 3)
        add_insert(&b, STR("taken"), DB_I(1));
    else
        add_insert(&b, arena_printf(&a, "second%02d", j->index), DB_I(j->index));
    size_t at = add_put(&b, STR("shared"), DB_I(j->index));
    j->code = db_commit(j->f->db, &b, NULL);
    j->version = j->code == 0 ? db_int(&b.ops[at].rows, 0, 0) : (int64_t)b.failed_at;
    arena_deinit(&a);
}

static void failing_batch_leaves_its_group_alone(struct fixture *f) {
    struct err err = {0};
    struct crowd c;
    CHECK_CODE(put(f, STR("taken"), DB_I(0), &err), 0);
    for (int round = 0; round < 2; round++) {
#ifdef HF_DEBUG /* so that the others gather behind the first commit */
        CHECK_CODE(failpoint_set(STR("db.commit.before=delay(30)"), &err), 0);
#endif
        struct db_stats before, after;
        db_stats(f->db, &before);
        crowd_run(f, &c, job_some_fail);
        db_stats(f->db, &after);
        CHECK_INT(after.batches - before.batches, FIBERS);
#ifdef HF_DEBUG
        CHECK_CODE(failpoint_set(STR("db.commit.before=off"), &err), 0);
        /* PostgreSQL: the failing one between those before and those after it */
        CHECK_THAT(after.commits - before.commits <= (f->postgres ? 2 * FIBERS / 7 + 4 : 4),
                   "%llu commits", (unsigned long long)(after.commits - before.commits));
#endif
        int64_t version = 0, good = 0;
        for (int i = 0; i < FIBERS; i++) {
            const struct job *j = &c.jobs[i];
            bool fails = i % 7 == 3;
            CHECK_CODE(j->code, fails ? ERR_EXISTS : 0);
            if (fails) {
                CHECK_INT(j->version, 1); /* failed_at */
                continue;
            }
            /* in the order in which they were handed in */
            CHECK_THAT(j->version > version, "%lld after %lld", (long long)j->version,
                       (long long)version);
            version = j->version;
            good++;
        }
        CHECK_INT(row_count(f), 1 + 2 * good + 1);
        struct db_batch b = batch(f);
        for (int i = 0; i < FIBERS; i++) {
            db_batch_add(&b, SQL_KV_DELETE,
                         DB_PARAMS(OWNER, DB_T(arena_printf(&f->arena, "first%02d", i))),
                         DB_EXPECT_NONE);
            db_batch_add(&b, SQL_KV_DELETE,
                         DB_PARAMS(OWNER, DB_T(arena_printf(&f->arena, "second%02d", i))),
                         DB_EXPECT_NONE);
        }
        CHECK_CODE(db_commit(f->db, &b, &err), 0);
    }
}

static void job_counter(struct job *j) {
    struct arena a;
    arena_init(&a, 1 << 16);
    for (int i = 0; i < 8 && j->code == 0; i++) {
        struct db_batch b;
        struct db_rows rows = {0};
        arena_reset(&a);
        db_batch_init(&b, &a);
        size_t at = add_put(&b, STR("counter"), DB_I(j->index));
        j->code = db_commit(j->f->db, &b, NULL);
        if (j->code == 0)
            j->code =
                db_read(j->f->db, SQL_KV_GET, DB_PARAMS(OWNER, KEY("counter")), &a, &rows, NULL);
        /* whoever else has written since: never an older version than one's own */
        if (j->code == 0 && db_int(&rows, 0, 1) < db_int(&b.ops[at].rows, 0, 0))
            j->code = ERR_INTERNAL;
    }
    arena_deinit(&a);
}

static void crowds_read_their_writes(struct fixture *f) {
    struct err err = {0};
    struct crowd c;
    crowd_run(f, &c, job_counter);
    for (int i = 0; i < FIBERS; i++)
        CHECK_CODE(c.jobs[i].code, 0);
    CHECK_INT(version_of(f, STR("counter")), FIBERS * 8);
}

static void job_insert(struct job *j) {
    struct arena a;
    struct db_batch b;
    arena_init(&a, 1 << 16);
    db_batch_init(&b, &a);
    add_insert(&b, arena_printf(&a, "k%02d", j->index), DB_I(j->index));
    j->code = db_commit(j->f->db, &b, NULL);
    arena_deinit(&a);
}

/* Not a point read: a driver may do those at once, without a queue. */
static void job_read(struct job *j) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 1 << 16);
    j->code = db_read(j->f->db, SQL_KV_LIST, DB_PARAMS(OWNER, KEY(""), DB_I(1)), &a, &rows, NULL);
    arena_deinit(&a);
}

static void full_queue_is_refused(struct fixture *f) {
    struct err err = {0};
    struct crowd c;
    int good = 0;
    crowd_run(f, &c, job_insert);
    for (int i = 0; i < FIBERS; i++) {
        good += c.jobs[i].code == 0;
        CHECK_CODE(c.jobs[i].code, i < 4 ? 0 : ERR_LIMIT);
    }
    CHECK_INT(good, 4);
    CHECK_INT(row_count(f), 4);
    crowd_run(f, &c, job_read);
    good = 0;
    for (int i = 0; i < FIBERS; i++) {
        good += c.jobs[i].code == 0;
        CHECK(c.jobs[i].code == 0 || c.jobs[i].code == ERR_LIMIT);
    }
    CHECK_INT(good, reads_on_loop(f) ? 8 : 4); /* two readers with four places each */
}

/* --- point reads on the loop thread --- */

static void point_reads_need_no_thread(struct fixture *f) {
    struct err err = {0};
    struct db_stats before, after;
    CHECK_CODE(put(f, STR("k"), DB_I(1), &err), 0);
    db_stats(f->db, &before);
    for (int i = 0; i < 10; i++) {
        CHECK_CODE(put(f, STR("k"), DB_I(i), &err), 0);
        CHECK_INT(version_of(f, STR("k")), i + 2);
    }
    db_stats(f->db, &after);
    CHECK_INT(after.reads - before.reads, 10);
    CHECK_INT(after.read_fallbacks - before.read_fallbacks, 0);
    /* Where the file system cannot tell, or in memory, there are none. */
    uint64_t count = after.reads_inline - before.reads_inline;
    CHECK_THAT(count == (reads_on_loop(f) ? 10 : 0), "%d of 10", (int)count);
}

/* A value that needs more pages than the loop reads at once. */
static void large_results_go_to_a_thread(struct fixture *f) {
    struct err err = {0};
    struct db_stats before, after;
    struct db_rows rows;
    size_t len = (size_t)1 << 20;
    char *text = mem_alloc(len);
    memset(text, 'x', len);
    int code = put(f, STR("large"), DB_T(str_n(text, len)), &err);
    db_stats(f->db, &before);
    if (code == 0)
        code = get(f, STR("large"), &rows, &err);
    db_stats(f->db, &after);
    bool same = code == 0 && rows.row_count == 1 && str_eq(db_str(&rows, 0, 0), str_n(text, len));
    mem_free(text);
    CHECK_CODE(code, 0);
    CHECK(same);
    CHECK_INT(after.read_fallbacks - before.read_fallbacks, reads_on_loop(f) ? 1 : 0);
    CHECK_INT(after.reads - before.reads, 1);
    CHECK_INT(version_of(f, STR("large")), 1); /* the same row: only its head is needed */
}

static void reads_that_would_block_go_to_a_thread(struct fixture *f) {
    struct err err = {0}, ignored;
    struct db_stats before, after;
    CHECK_CODE(put(f, STR("k"), DB_I(1), &err), 0);
    db_stats(f->db, &before);
    CHECK_CODE(failpoint_set(STR("db.read.nowait=error(14)"), &err), 0);
    int64_t version[3];
    int code = 0;
    for (int i = 0; i < 3 && code == 0; i++) {
        version[i] = version_of(f, STR("k"));
        code = put(f, STR("k"), DB_I(i), &err); /* so that the pages are not kept */
    }
    CHECK_INT(failpoint_set(STR("db.read.nowait=off"), &ignored), 0);
    CHECK_CODE(code, 0);
    for (int i = 0; i < 3; i++)
        CHECK_INT(version[i], i + 1);
    db_stats(f->db, &after);
    CHECK_INT(after.read_fallbacks - before.read_fallbacks, reads_on_loop(f) ? 3 : 0);
    CHECK_INT(after.reads - before.reads, 3);
    CHECK_INT(after.errors, before.errors);
    CHECK_INT(version_of(f, STR("k")), 4); /* and back on the loop */
    db_stats(f->db, &before);
    CHECK_INT(before.reads_inline - after.reads_inline, reads_on_loop(f) ? 1 : 0);
}

/* --- errors on the way --- */

static void lost_commits_are_not_answered(struct fixture *f) {
    struct err err = {0};
    CHECK_CODE(put(f, STR("k"), DB_I(1), &err), 0);
    CHECK_CODE(failpoint_set(STR("db.commit.before=error(14)"), &err), 0);
    struct crowd c;
    crowd_run(f, &c, job_insert);
    CHECK_CODE(failpoint_set(STR("db.commit.before=off"), &err), 0);
    for (int i = 0; i < FIBERS; i++)
        CHECK_CODE(c.jobs[i].code, ERR_IO);
    CHECK_INT(row_count(f), 1);
    CHECK_CODE(failpoint_set(STR("db.write.statement=error(14)@3"), &err), 0);
    struct db_batch b = batch(f);
    for (int i = 0; i < 4; i++)
        add_put(&b, STR("k"), DB_I(i));
    int code = db_commit(f->db, &b, &err);
    struct err ignored;
    CHECK_INT(failpoint_set(STR("db.write.statement=off"), &ignored), 0);
    CHECK_CODE(code, ERR_IO);
    CHECK_INT(b.failed_at, 2);
    CHECK_INT(version_of(f, STR("k")), 1);
    CHECK_CODE(failpoint_set(STR("db.commit.after=error(14)"), &err), 0);
    code = put(f, STR("k"), DB_I(2), &err);
    CHECK_INT(failpoint_set(STR("db.commit.after=off"), &ignored), 0);
    CHECK_CODE(code, ERR_IO); /* the outcome that the caller cannot know */
    CHECK_INT(version_of(f, STR("k")), 2);
    struct db_rows rows;
    CHECK_CODE(failpoint_set(STR("db.read=error(8)"), &err), 0);
    code = get(f, STR("k"), &rows, &err);
    CHECK_INT(failpoint_set(STR("db.read=off"), &ignored), 0);
    CHECK(code < 0);
    CHECK_INT(version_of(f, STR("k")), 2);
}

static int two_puts(struct fixture *f, struct err *err) {
    struct db_batch b = batch(f);
    add_put(&b, STR("one"), DB_I(1));
    add_put(&b, STR("two"), DB_I(2));
    return db_commit(f->db, &b, err);
}

static void faults_do_what_they_say(struct fixture *f) {
    struct err err = {0};
    struct db_rows rows;
    char before[DB_DIGEST_LEN + 1], after[DB_DIGEST_LEN + 1];
    CHECK_CODE(two_puts(f, &err), 0);
    CHECK_CODE(db_digest(f->db, before, &err), 0);
    db_fault_set(f->db, &(struct db_fault_plan){DB_FAULT_FAIL_BEFORE, 2, ERR_IO, 0});
    CHECK_CODE(get(f, STR("one"), &rows, &err), 0);
    CHECK_CODE(two_puts(f, &err), ERR_IO);
    CHECK_INT(db_fault_count(f->db), 2);
    CHECK_CODE(db_digest(f->db, after, &err), 0);
    CHECK(strcmp(before, after) == 0);
    db_fault_set(f->db, &(struct db_fault_plan){DB_FAULT_TEAR, 1, ERR_UNAVAILABLE, 0});
    CHECK_CODE(two_puts(f, &err), ERR_UNAVAILABLE);
    CHECK_CODE(db_digest(f->db, after, &err), 0);
    CHECK(strcmp(before, after) == 0);
    db_fault_set(f->db, &(struct db_fault_plan){DB_FAULT_FAIL_AFTER, 0, ERR_IO, 0});
    CHECK_CODE(two_puts(f, &err), ERR_IO);
    CHECK_CODE(get(f, STR("one"), &rows, &err), ERR_IO);
    CHECK_CODE(db_digest(f->db, after, &err), 0);
    CHECK(strcmp(before, after) != 0);
    db_fault_set(f->db, &(struct db_fault_plan){DB_FAULT_DELAY, 0, 0, 1000});
    CHECK_CODE(two_puts(f, &err), 0);
    db_fault_set(f->db, &(struct db_fault_plan){DB_FAULT_NONE, 0, 0, 0});
    CHECK_INT(version_of(f, STR("two")), 3);
}

/* --- the same history everywhere --- */

static char first_digest[DB_DIGEST_LEN + 1]; /* of the first driver that ran */

static void digests_are_equal(struct fixture *f) {
    struct err err = {0};
    char empty[DB_DIGEST_LEN + 1], full[DB_DIGEST_LEN + 1];
    CHECK_CODE(db_digest(f->db, empty, &err), 0);
    for (int i = 0; i < 100; i++) {
        struct db_batch b = batch(f);
        str key = arena_printf(&f->arena, "key%d", i * 37 % 60);
        add_put(&b, key,
                DB_T(arena_printf(&f->arena, i % 3 ? "value %d" : "{\"b\": %d, \"a\":1}", i)));
        if (i % 5 == 0)
            db_batch_add(&b, SQL_KV_DELETE,
                         DB_PARAMS(OWNER, DB_T(arena_printf(&f->arena, "key%d", i % 60))),
                         DB_EXPECT_NONE);
        if (i % 11 == 0)
            add_insert(&b, key, DB_T(STR(""))); /* fails: the key is there */
        int code = db_commit(f->db, &b, &err);
        CHECK(code == 0 || code == ERR_EXISTS);
    }
    CHECK_CODE(db_digest(f->db, full, &err), 0);
    CHECK(strcmp(empty, full) != 0);
    if (first_digest[0] == '\0')
        memcpy(first_digest, full, sizeof(full));
    CHECK_THAT(strcmp(first_digest, full) == 0, "%s, not %s", full, first_digest);
}

/* --- files --- */

static void leave_rows(struct fixture *f) {
    struct err err = {0};
    CHECK_CODE(put(f, STR("kept"), DB_T(STR("value")), &err), 0);
    CHECK_CODE(put(f, STR("kept"), DB_T(STR("value")), &err), 0);
}

static void find_rows(struct fixture *f) { CHECK_INT(version_of(f, STR("kept")), 2); }

/* --- the list, per driver --- */

static struct fixture_kind kind; /* the driver under test */

#define ON_FIBER(name)                                                                             \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        fixture_run(kind, name);                                                                   \
    }
ON_FIBER(batch_is_atomic)
ON_FIBER(expectations_hold)
ON_FIBER(returning_gives_rows)
ON_FIBER(values_round_trip)
ON_FIBER(ids_come_back)
ON_FIBER(constraints_have_codes)
ON_FIBER(results_respect_the_arena)
ON_FIBER(many_rows_come_back_in_order)
ON_FIBER(reads_see_own_commits)
ON_FIBER(stats_and_ping)
ON_FIBER(failing_batch_leaves_its_group_alone)
ON_FIBER(crowds_read_their_writes)
ON_FIBER(look_ups_get_their_own)
ON_FIBER(digests_are_equal)
ON_FIBER(point_reads_need_no_thread)
ON_FIBER(large_results_go_to_a_thread)

static void test_full_queue_is_refused(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f, kind);
    f.queue_count_max = 4;
    fixture_open(&f);
    fixture_on_fiber(&f, full_queue_is_refused);
    fixture_deinit(&f);
}

static void test_reads_that_would_block_go_to_a_thread(void **state) {
    (void)state;
#ifdef HF_DEBUG
    fixture_run(kind, reads_that_would_block_go_to_a_thread);
#else
    (void)reads_that_would_block_go_to_a_thread;
    skip();
#endif
}

static void test_lost_commits_are_not_answered(void **state) {
    (void)state;
#ifdef HF_DEBUG
    fixture_run(kind, lost_commits_are_not_answered);
#else
    (void)lost_commits_are_not_answered;
    skip();
#endif
}

static void test_faults_do_what_they_say(void **state) {
    (void)state;
    if (!kind.behind_fault)
        skip();
    fixture_run(kind, faults_do_what_they_say);
}

static void second_owner_is_refused(struct fixture *f) {
    struct db *second = NULL;
    struct err err = {0};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = f->path;
    int code = db_sqlite_open(f->rt, &o, &second, &err);
    if (code != ERR_UNAVAILABLE || !strstr(err.message, "another process"))
        fixture_fail(f, "a second owner: %s: %s", err_name(code), err.message);
}

static void test_file_keeps_what_was_committed(void **state) {
    (void)state;
    if (kind.in_memory)
        skip();
    struct fixture f;
    fixture_init(&f, kind);
    fixture_open(&f);
    fixture_on_fiber(&f, leave_rows);
    if (!kind.postgres)
        second_owner_is_refused(&f);
    fixture_close_db(&f);
    fixture_open(&f);
    fixture_on_fiber(&f, find_rows);
    fixture_deinit(&f);
}

/* Kills a process right before or right after COMMIT; its file must show exactly that. */
static void crash_in_child(struct fixture *f, const char *failpoint) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (rt_open(&f->rt, NULL) < 0)
            _exit(1);
        fixture_open(f);
        if (failpoint_set(str_of(failpoint), NULL) < 0)
            _exit(2);
        fixture_on_fiber(f, leave_rows);
        _exit(3);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void find_none(struct fixture *f) { CHECK_INT(version_of(f, STR("kept")), -1); }

static void find_first(struct fixture *f) { CHECK_INT(version_of(f, STR("kept")), 1); }

static void test_crash_windows(void **state) {
    (void)state;
#ifdef HF_DEBUG
    if (kind.in_memory)
        skip();
    static const struct {
        const char *failpoint;
        fixture_fn then;
    } cases[] = {{"db.commit.before=crash", find_none},
                 {"db.write.statement=crash", find_none},
                 {"db.commit.after=crash", find_first},
                 {"db.commit.before=crash@2", find_first}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fixture f;
        fixture_init(&f, kind);
        rt_close(f.rt); /* the child has a loop of its own */
        crash_in_child(&f, cases[i].failpoint);
        assert_int_equal(rt_open(&f.rt, NULL), 0);
        f.emptied = true; /* by the child, which left what it left */
        fixture_open(&f);
        fixture_on_fiber(&f, cases[i].then);
        fixture_deinit(&f);
    }
#else
    (void)crash_in_child;
    (void)find_none;
    (void)find_first;
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch_is_atomic),
        cmocka_unit_test(test_expectations_hold),
        cmocka_unit_test(test_returning_gives_rows),
        cmocka_unit_test(test_values_round_trip),
        cmocka_unit_test(test_ids_come_back),
        cmocka_unit_test(test_constraints_have_codes),
        cmocka_unit_test(test_results_respect_the_arena),
        cmocka_unit_test(test_many_rows_come_back_in_order),
        cmocka_unit_test(test_reads_see_own_commits),
        cmocka_unit_test(test_stats_and_ping),
        cmocka_unit_test(test_failing_batch_leaves_its_group_alone),
        cmocka_unit_test(test_crowds_read_their_writes),
        cmocka_unit_test(test_look_ups_get_their_own),
        cmocka_unit_test(test_digests_are_equal),
        cmocka_unit_test(test_point_reads_need_no_thread),
        cmocka_unit_test(test_large_results_go_to_a_thread),
        cmocka_unit_test(test_reads_that_would_block_go_to_a_thread),
        cmocka_unit_test(test_full_queue_is_refused),
        cmocka_unit_test(test_lost_commits_are_not_answered),
        cmocka_unit_test(test_faults_do_what_they_say),
        cmocka_unit_test(test_file_keeps_what_was_committed),
        cmocka_unit_test(test_crash_windows),
    };
    static const struct {
        const char *name;
        struct fixture_kind kind;
    } drivers[] = {{"sqlite file", {.in_memory = false}},
                   {"sqlite memory", {.in_memory = true}},
                   {"postgres", {.postgres = true}},
                   {"sqlite file behind fault", {.behind_fault = true}},
                   {"sqlite memory behind fault", {.in_memory = true, .behind_fault = true}},
                   {"postgres behind fault", {.postgres = true, .behind_fault = true}}};
    int failed = 0;
    for (size_t i = 0; i < ARRAY_COUNT(drivers); i++) {
        kind = drivers[i].kind;
        failed += cmocka_run_group_tests_name(drivers[i].name, tests, NULL, NULL);
    }
    return failed;
}
