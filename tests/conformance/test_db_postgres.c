/* SPDX-License-Identifier: Apache-2.0 */
/* test_db_postgres.c - the PostgreSQL driver when its connection is lost.
 *
 * Goal: whatever happens to the connection, an answer is true: success means stored once, an error
 * with neither `committed` nor `in_doubt` means never stored; while the database is back within the
 * bounded wait, commits succeed. Statements for many give the same rows as one at a time.
 * Method: a proxy cuts the connection at every few bytes of a commit, in both directions, or keeps
 * it open without a word; backends are ended by the server and killed; what is stored is read
 * through a second way. */
#include "fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/metrics.h"
#include "db/postgres/postgres.h"
#include "pg/pool.h"
#include "proxy.h"

#define OWNER        DB_T(STR("tests"))
#define KEY(literal) DB_T(STR(literal))
#define FIBERS       64

struct scene {
    struct proxy proxy;
    char url[512];
};

/* "postgresql://user@127.0.0.1:5432/name" through the proxy. */
static void scene_open(struct scene *s) {
    str url = str_of(getenv("HF_TEST_DATABASE_URL"));
    ptrdiff_t at = str_find_char(url, '@'), host_end = -1;
    assert_true(at > 0);
    str rest = str_slice(url, (size_t)at + 1, url.len);
    host_end = str_find_char(rest, ':');
    ptrdiff_t slash = str_find_char(rest, '/');
    assert_true(host_end > 0 && slash > host_end);
    char host[64] = {0};
    memcpy(host, rest.p, (size_t)host_end);
    int64_t port = 0;
    assert_true(str_to_i64(str_slice(rest, (size_t)host_end + 1, (size_t)slash), &port));
    proxy_open(&s->proxy, host, (int)port);
    (void)snprintf(s->url, sizeof(s->url), STR_FMT "@127.0.0.1:%d" STR_FMT, (int)at, url.p,
                   s->proxy.port, STR_ARG(str_slice(rest, (size_t)slash, rest.len)));
}

static void run_scene(fixture_fn fn, size_t connections, int64_t wait_us) {
    struct scene s;
    struct fixture f;
    scene_open(&s);
    fixture_init(&f, (struct fixture_kind){.postgres = true});
    f.extra = &s;
    f.postgres_options.pool.url = s.url;
    f.postgres_options.pool.connections_max = connections;
    f.postgres_options.pool.connections_min = 1;
    f.postgres_options.commit_wait_us = wait_us;
    f.postgres_options.pool.acquire_timeout_us = wait_us;
    fixture_open(&f);
    if (!f.failure[0])
        fixture_on_fiber(&f, fn);
    proxy_set(&s.proxy, PROXY_NONE, false, 0);
    fixture_deinit(&f);
    proxy_close(&s.proxy);
}

static struct proxy *proxy_of(struct fixture *f) { return &((struct scene *)f->extra)->proxy; }

static int64_t version_of(struct fixture *f, str key) {
    struct db_rows rows;
    struct err err = {0};
    int code = db_read(f->db, SQL_KV_GET, DB_PARAMS(OWNER, DB_T(key)), &f->arena, &rows, &err);
    if (code < 0)
        fixture_fail(f, "get: %s: %s", err_name(code), err.message);
    return code < 0 ? -2 : rows.row_count ? db_int(&rows, 0, 1) : -1;
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

/* Inserts rows of which none may be there twice: each succeeds once, whatever happens. */
static void insert_once(struct fixture *f, int round, struct db_batch *b, struct err *err,
                        int *out_code) {
    db_batch_init(b, &f->arena);
    for (int i = 0; i < 3; i++)
        db_batch_add(b, SQL_KV_INSERT,
                     DB_PARAMS(OWNER, DB_T(arena_printf(&f->arena, "r%04d-%d", round, i)),
                               DB_T(STR("value")), DB_I(7)),
                     DB_EXPECT_NONE);
    *out_code = db_commit(f->db, b, err);
}

static void cut_at_every_byte(struct fixture *f, bool of_server, size_t step) {
    struct err err = {0};
    struct db_batch b;
    int code, struck = 0;
    insert_once(f, 0, &b, &err, &code); /* prepares the statements */
    CHECK_CODE(code, 0);
    proxy_set(proxy_of(f), PROXY_NONE, false, 0);
    insert_once(f, 1, &b, &err, &code);
    CHECK_CODE(code, 0);
    size_t bytes = proxy_sent(proxy_of(f), of_server);
    CHECK(bytes > 20);
    int round = 2;
    for (size_t at = 1; at <= bytes + 1 && !f->failure[0]; at += step, round++) {
        proxy_set(proxy_of(f), PROXY_CUT, of_server, at);
        insert_once(f, round, &b, &err, &code);
        CHECK_CODE(code, 0);
        struck += proxy_struck(proxy_of(f));
        proxy_set(proxy_of(f), PROXY_NONE, false, 0);
        CHECK_INT(row_count(f), 3 * (round + 1));
    }
    CHECK_THAT(struck > (int)(bytes / step) - 3, "%d", struck);
}

static void cut_on_the_way_in(struct fixture *f) { cut_at_every_byte(f, false, 7); }

static void cut_on_the_way_out(struct fixture *f) { cut_at_every_byte(f, true, 3); }

/* A batch whose rows are wanted says what became of it, when they are lost. */
static void lost_rows_are_told(struct fixture *f) {
    struct err err = {0};
    int64_t version = 0;
    int lost = 0;
    for (size_t at = 1; at < 120 && !f->failure[0]; at += 2) {
        struct db_batch b;
        if (at > 1)
            proxy_set(proxy_of(f), PROXY_CUT, true, at);
        db_batch_init(&b, &f->arena);
        size_t op = db_batch_add(&b, SQL_KV_PUT, DB_PARAMS(OWNER, KEY("k"), DB_I(1), DB_I(7)),
                                 DB_EXPECT_NONE);
        int code = db_commit(f->db, &b, &err);
        proxy_set(proxy_of(f), PROXY_NONE, false, 0);
        CHECK(code == 0 || (code == ERR_UNAVAILABLE && b.committed && err.retry_after_ms > 0));
        version++; /* stored in either case, once */
        if (code == 0)
            CHECK_INT(db_int(&b.ops[op].rows, 0, 0), version);
        lost += code < 0;
        CHECK_INT(version_of(f, STR("k")), version);
    }
    CHECK(lost > 0);
}

/* So does one whose number of changes is wanted; who does not want it hears that it went well. */
static void lost_counts_are_told(struct fixture *f) {
    struct err err = {0};
    int lost = 0;
    for (size_t at = 1; at < 120 && !f->failure[0]; at += 2) {
        bool counted = at / 2 % 2 == 0;
        struct db_batch b;
        int code;
        insert_once(f, (int)at, &b, &err, &code);
        CHECK_CODE(code, 0);
        proxy_set(proxy_of(f), PROXY_CUT, true, at);
        db_batch_init(&b, &f->arena);
        size_t op = db_batch_add(&b, SQL_WORKER_SWEEP, DB_PARAMS(DB_I(1)),
                                 counted ? DB_EXPECT_COUNT : DB_EXPECT_NONE);
        code = db_commit(f->db, &b, &err);
        proxy_set(proxy_of(f), PROXY_NONE, false, 0);
        CHECK(code == 0 || (counted && code == ERR_UNAVAILABLE && b.committed));
        if (code == 0)
            CHECK_INT(b.ops[op].changed, 0);
        lost += code < 0;
    }
    CHECK(lost > 0);
}

/* The old connection neither ends nor goes on: it holds the writer's row until it is ended. */
static void vanished_host_is_evicted(struct fixture *f) {
    struct err err = {0};
    struct db_batch b;
    int code;
    insert_once(f, 0, &b, &err, &code);
    CHECK_CODE(code, 0);
    proxy_set(proxy_of(f), PROXY_NONE, false, 0);
    insert_once(f, 1, &b, &err, &code);
    CHECK_CODE(code, 0);
    size_t bytes = proxy_sent(proxy_of(f), false);
    int round = 2;
    for (size_t at = bytes / 3; at < bytes && !f->failure[0]; at += bytes / 3, round++) {
        proxy_set(proxy_of(f), PROXY_DEAF, false, at);
        insert_once(f, round, &b, &err, &code);
        CHECK_CODE(code, 0);
        CHECK(proxy_struck(proxy_of(f)));
        CHECK_INT(row_count(f), 3 * (round + 1));
    }
}

/* The database stays away for longer than a call may wait: an honest error, nothing stored, and
 * everything goes on when it is back. */
static void waiting_is_bounded(struct fixture *f) {
    struct err err = {0};
    struct db_batch b;
    struct db_rows rows;
    int code;
    insert_once(f, 0, &b, &err, &code);
    CHECK_CODE(code, 0);
    CHECK(db_health(f->db) == NULL);
    proxy_down(proxy_of(f), true);
    for (int i = 0; i < 1000 && !db_health(f->db); i++)
        (void)fiber_sleep_us(10000); /* what is sent before it has noticed is in doubt */
    CHECK(db_health(f->db) != NULL);
    int64_t start_us = clock_mono_us();
    insert_once(f, 1, &b, &err, &code);
    CHECK_CODE(code, ERR_UNAVAILABLE);
    CHECK(err.retry_after_ms > 0);
    CHECK(!b.committed && !b.in_doubt);
    code = db_read(f->db, SQL_PING, DB_NO_PARAMS, &f->arena, &rows, &err);
    CHECK_CODE(code, ERR_UNAVAILABLE);
    CHECK(err.retry_after_ms > 0);
    CHECK(clock_mono_us() - start_us < 60000000);
    CHECK(db_health(f->db) != NULL);
    CHECK_CODE(db_ping(f->db, &err), ERR_UNAVAILABLE);
    proxy_down(proxy_of(f), false);
    insert_once(f, 1, &b, &err, &code);
    CHECK_CODE(code, 0);
    CHECK_INT(row_count(f), 6);
    CHECK(db_health(f->db) == NULL);
    CHECK_CODE(db_ping(f->db, &err), 0);
}

/* --- many fibers --- */

struct job {
    struct fixture *f;
    int index, code;
    bool committed, in_doubt;
};
struct crowd {
    struct job jobs[FIBERS];
    int rounds;
};

static void job_main(void *arg) {
    struct job *j = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 40 && j->code == 0; round++) {
        struct db_batch b;
        arena_reset(&a);
        db_batch_init(&b, &a);
        db_batch_add(&b, SQL_KV_INSERT,
                     DB_PARAMS(OWNER, DB_T(arena_printf(&a, "j%02d-%02d", j->index, round)),
                               DB_I(round), DB_I(7)),
                     DB_EXPECT_NONE);
        db_batch_add(&b, SQL_KV_DELETE,
                     DB_PARAMS(OWNER, DB_T(arena_printf(&a, "j%02d-%02d", j->index, round - 1))),
                     round ? DB_EXPECT_CHANGE(ERR_CONFLICT) : DB_EXPECT_NONE);
        j->code = db_commit(j->f->db, &b, NULL);
        j->committed = b.committed;
        j->in_doubt = b.in_doubt;
    }
    arena_deinit(&a);
}

static void trouble_main(void *arg) {
    struct fixture *f = arg;
    for (int i = 0; i < 8; i++) {
        (void)fiber_sleep_us(30000);
        fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                       "WHERE application_name = 'holdfast' AND pid <> pg_backend_pid()");
    }
}

/* Each round deletes what the one before has inserted: a lost or doubled commit shows at once. */
static void crowd_survives_terminated_backends(struct fixture *f) {
    struct fiber_group g;
    static struct crowd c;
    struct err err = {0};
    fiber_group_init(&g);
    for (int i = 0; i < FIBERS; i++) {
        c.jobs[i] = (struct job){.f = f, .index = i};
        CHECK_CODE(fiber_group_spawn(&g, f->rt, "job", job_main, &c.jobs[i], &err), 0);
    }
    CHECK_CODE(fiber_group_spawn(&g, f->rt, "trouble", trouble_main, f, &err), 0);
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c.jobs[i].code == 0, "job %d: %s", i, err_name(c.jobs[i].code));
    CHECK_INT(row_count(f), FIBERS);
}

static void reader_main(void *arg) {
    struct job *j = arg;
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 400 && j->code == 0; round++) {
        arena_reset(&a);
        struct db_value key = DB_T(arena_printf(&a, "key%02d", (j->index + round) % FIBERS));
        j->code = db_read(j->f->db, SQL_KV_GET, DB_PARAMS(OWNER, key), &a, &rows, NULL);
        if (j->code == 0 &&
            (rows.row_count != 1 ||
             !str_eq(db_str(&rows, 0, 0), arena_printf(&a, "%d", (j->index + round) % FIBERS))))
            j->code = ERR_INTERNAL;
    }
    arena_deinit(&a);
}

/* Look-ups that share an execution are made again when it is lost. */
static void look_ups_survive_terminated_backends(struct fixture *f) {
    struct fiber_group g;
    static struct crowd c;
    struct err err = {0};
    struct db_batch b;
    fiber_group_init(&g);
    db_batch_init(&b, &f->arena);
    for (int i = 0; i < FIBERS; i++)
        db_batch_add(&b, SQL_KV_INSERT,
                     DB_PARAMS(OWNER, DB_T(arena_printf(&f->arena, "key%02d", i)),
                               DB_T(arena_printf(&f->arena, "%d", i)), DB_I(7)),
                     DB_EXPECT_NONE);
    CHECK_CODE(db_commit(f->db, &b, &err), 0);
    for (int i = 0; i < FIBERS; i++) {
        c.jobs[i] = (struct job){.f = f, .index = i};
        CHECK_CODE(fiber_group_spawn(&g, f->rt, "job", reader_main, &c.jobs[i], &err), 0);
    }
    CHECK_CODE(fiber_group_spawn(&g, f->rt, "trouble", trouble_main, f, &err), 0);
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c.jobs[i].code == 0, "job %d: %s", i, err_name(c.jobs[i].code));
}

/* Of three threads: numbers are taken by one statement, entries added by one for many, which may
 * wait for those of other batches, but never past the next number of their thread. */
static struct id log_thread(int i) {
    struct id id = {.b = {[0] = 0x11, [6] = 0x40, [8] = 0x80, [15] = (uint8_t)(i % 3)}};
    return id;
}

static void log_main(void *arg) {
    struct job *j = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 30 && j->code == 0; round++) {
        struct db_batch b;
        struct id id = log_thread(j->index + round);
        arena_reset(&a);
        db_batch_init(&b, &a);
        size_t bump = db_batch_add(&b, SQL_LOG_BUMP, DB_PARAMS(DB_UUID(id), DB_I(2)),
                                   DB_EXPECT_CHANGE(ERR_NOT_FOUND));
        for (int back = 1; back >= 0; back--)
            db_batch_add(&b, SQL_LOG_INSERT,
                         DB_PARAMS(DB_UUID(id), DB_I(back), DB_UUID(id), DB_I(1), DB_I(7),
                                   DB_T(arena_printf(&a, "%d-%d-%d", j->index, round, back))),
                         DB_EXPECT_NONE);
        j->code = db_commit(j->f->db, &b, NULL);
        if (j->code < 0)
            break;
        struct db_rows rows;
        int64_t seq = db_int(&b.ops[bump].rows, 0, 0);
        j->code = db_read(j->f->db, SQL_LOG_PAGE, DB_PARAMS(DB_UUID(id), DB_I(seq - 2), DB_I(2)),
                          &a, &rows, NULL);
        for (size_t i = 0; i < 2 && j->code == 0; i++) {
            str want = arena_printf(&a, "%d-%d-%d", j->index, round, (int)(1 - i));
            if (rows.row_count != 2 || db_int(&rows, i, 0) != seq - 1 + (int64_t)i ||
                !str_eq(db_str(&rows, i, 4), want))
                j->code = ERR_INTERNAL;
        }
    }
    arena_deinit(&a);
}

static void entries_keep_their_numbers(struct fixture *f) {
    struct fiber_group g;
    static struct crowd c;
    struct err err = {0};
    struct db_stats before, after;
    fiber_group_init(&g);
    for (int i = 0; i < 3; i++)
        fixture_sql(f,
                    arena_printf(&f->arena,
                                 "INSERT INTO langgraph_server.threads (id) VALUES ('" STR_FMT "')",
                                 STR_ARG(id_dashed(&f->arena, log_thread(i))))
                        .p);
    db_stats(f->db, &before);
    for (int i = 0; i < FIBERS; i++) {
        c.jobs[i] = (struct job){.f = f, .index = i};
        CHECK_CODE(fiber_group_spawn(&g, f->rt, "job", log_main, &c.jobs[i], &err), 0);
    }
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c.jobs[i].code == 0, "job %d: %s", i, err_name(c.jobs[i].code));
    db_stats(f->db,
             &after); /* an entry out of turn would meet another's number: groups fall apart */
    CHECK_THAT((after.commits - before.commits) * 3 < after.batches - before.batches, "%llu",
               (unsigned long long)(after.commits - before.commits));
}

/* Runs of many threads begin and end, their statements in shared executions. Each batch has its own
 * outcome: one that relies on what is not so fails alone, by the operation that it was. */
static struct id run_thread(const struct job *j, int round) {
    return (struct id){
        .b = {[0] = 0x12, [1] = (uint8_t)round, [6] = 0x40, [8] = 0x80, [15] = (uint8_t)j->index}};
}

static int begin_run(struct job *j, struct id id, struct id origin, struct arena *a,
                     size_t *out_failed_at, int64_t *out_seq) {
    struct db_batch b;
    struct db_value none = DB_NIL, now = DB_I(7);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_THREAD_INSERT,
                 DB_PARAMS(DB_UUID(id), OWNER, DB_T(STR("{}")), DB_T(STR("{}")), now, none, none),
                 DB_EXPECT_NONE);
    db_batch_add(&b, SQL_RUN_INSERT,
                 DB_PARAMS(DB_UUID(id), DB_UUID(id), DB_UUID(id), DB_T(STR("running")),
                           DB_T(STR("{}")), DB_T(STR("{}")), DB_T(STR("reject")), DB_I(1), now,
                           DB_UUID(log_thread(0))),
                 DB_EXPECT_NONE);
    size_t begin = db_batch_add(&b, SQL_THREAD_BEGIN,
                                DB_PARAMS(DB_UUID(id), none, none, now, none, DB_I(1), none, none,
                                          none, DB_UUID(id), DB_I(1), DB_UUID(log_thread(0)), now,
                                          id_is_nil(origin) ? none : DB_UUID(origin)),
                                DB_EXPECT_CHANGE(ERR_CONFLICT));
    db_batch_add(&b, SQL_LOG_INSERT,
                 DB_PARAMS(DB_UUID(id), DB_I(0), DB_UUID(id), DB_I(1), now, DB_T(STR("{}"))),
                 DB_EXPECT_NONE);
    int code = db_commit(j->f->db, &b, NULL);
    *out_failed_at = b.failed_at;
    *out_seq = code == 0 && b.ops[begin].rows.row_count == 1 && b.ops[0].rows.row_count == 1 &&
                       id_eq(db_id(&b.ops[0].rows, 0, 0), id)
                   ? db_int(&b.ops[begin].rows, 0, 0)
                   : -1;
    return code;
}

static int end_run(struct job *j, struct id id, int64_t attempt, struct arena *a,
                   size_t *out_failed_at) {
    struct db_batch b;
    struct db_value none = DB_NIL, now = DB_I(7);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_RUN_FINISH,
                 DB_PARAMS(DB_UUID(id), DB_I(1), DB_T(STR("success")), none, none, now),
                 DB_EXPECT_CHANGE(ERR_FENCED));
    size_t settle =
        db_batch_add(&b, SQL_THREAD_SETTLE,
                     DB_PARAMS(DB_UUID(id), DB_T(STR("idle")), DB_T(STR("{}")), none, none, now,
                               DB_I(1), DB_UUID(id), DB_I(attempt), DB_UUID(log_thread(0))),
                     DB_EXPECT_CHANGE(ERR_FENCED));
    db_batch_add(&b, SQL_LOG_INSERT,
                 DB_PARAMS(DB_UUID(id), DB_I(0), DB_UUID(id), DB_I(1), now, DB_T(STR("{}"))),
                 DB_EXPECT_NONE);
    int code = db_commit(j->f->db, &b, NULL);
    *out_failed_at = b.failed_at;
    return code == 0 && db_int(&b.ops[settle].rows, 0, 0) != 2 ? ERR_INTERNAL : code;
}

static void run_main(void *arg) {
    struct job *j = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 12 && j->code == 0; round++) {
        struct id id = run_thread(j, round), wrong = log_thread(1);
        bool early = (j->index + round) % 16 == 3, late = (j->index + round) % 16 == 5;
        size_t at = 0;
        int64_t seq = 0;
        arena_reset(&a);
        int code = begin_run(j, id, early ? wrong : ID_NIL, &a, &at, &seq);
        if (early && (code != ERR_CONFLICT || at != 2))
            j->code = ERR_INTERNAL;
        if (!early && (code != 0 || seq != 1))
            j->code = code < 0 ? code : ERR_INTERNAL;
        if (early || j->code < 0)
            continue;
        code = end_run(j, id, late ? 2 : 1, &a, &at);
        if (late ? code != ERR_FENCED || at != 1 : code != 0)
            j->code = code < 0 && !late ? code : ERR_INTERNAL;
    }
    arena_deinit(&a);
}

static void shared_executions_fail_one_by_one(struct fixture *f) {
    struct fiber_group g;
    static struct crowd c;
    struct err err = {0};
    struct db_stats before, after;
    fiber_group_init(&g);
    db_stats(f->db, &before);
    for (int i = 0; i < FIBERS; i++) {
        c.jobs[i] = (struct job){.f = f, .index = i};
        CHECK_CODE(fiber_group_spawn(&g, f->rt, "job", run_main, &c.jobs[i], &err), 0);
    }
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c.jobs[i].code == 0, "job %d: %s", i, err_name(c.jobs[i].code));
    db_stats(f->db, &after);
    CHECK_THAT((after.commits - before.commits) * 2 < after.batches - before.batches, "%llu",
               (unsigned long long)(after.commits - before.commits));
    fixture_sql(f, "SELECT 1 / (count(*) = (SELECT count(*) FROM holdfast.run_states))::int "
                   "FROM langgraph_server.threads WHERE id LIKE '12%'");
    fixture_sql(f, "SELECT 1 / (count(*) = 0)::int FROM holdfast.thread_heads h "
                   "JOIN holdfast.run_states s ON s.run_id = h.thread_id "
                   "WHERE s.live <> (h.run_id IS NOT NULL) OR h.seq <> 2 - s.live::int");
}

/* The writer goes on, with a row of its own again. */
static void removed_writer_is_back(struct fixture *f) {
    struct err err = {0};
    struct db_batch b;
    int code;
    for (int round = 0; round < 3; round++) {
        fixture_sql(f, "DELETE FROM holdfast.writers");
        insert_once(f, 2 * round, &b, &err, &code);
        CHECK_CODE(code, 0);
        insert_once(f, 2 * round + 1, &b, &err, &code);
        CHECK_CODE(code, 0);
        CHECK_INT(row_count(f), 6 * (round + 1));
        fixture_sql(f, "SELECT 1 / count(*) FROM holdfast.writers WHERE group_no > 0");
    }
}

/* A writer that registers takes old rows away, and no others; that of a living one comes back. */
static void old_writers_are_swept(struct fixture *f) {
    struct err err = {0};
    struct db_batch b;
    struct db *another;
    struct db_postgres_options o = f->postgres_options;
    int code;
    fixture_sql(f, "UPDATE holdfast.writers SET created_at = now() - interval '31 days'");
    fixture_sql(f, "INSERT INTO holdfast.writers (id, epoch, group_no, created_at) "
                   "SELECT gen_random_uuid(), 7, 1, now() - i * interval '1 day' "
                   "FROM generate_series(1, 48) i");
    o.pool.unscraped = true;
    CHECK_CODE(db_postgres_open(f->rt, &o, &another, &err), 0);
    db_close(another);
    fixture_sql(f, "SELECT 1 / (count(*) = 29)::int FROM holdfast.writers WHERE epoch = 7");
    fixture_sql(f, "SELECT 1 / (count(*) = 0)::int FROM holdfast.writers WHERE group_no > 1");
    for (int i = 0; i < 2; i++) {
        insert_once(f, i, &b, &err, &code);
        CHECK_CODE(code, 0);
    }
    fixture_sql(f, "SELECT 1 / count(*) FROM holdfast.writers WHERE epoch = 1 AND group_no > 1");
}

static void kill_server_main(void *arg) {
    struct fixture *f = arg;
    struct db_rows rows;
    for (int i = 0; i < 3; i++) {
        (void)fiber_sleep_us(50000);
        if (db_read(f->db, SQL_PING, DB_NO_PARAMS, &f->arena, &rows, NULL) < 0)
            continue;
        /* A killed backend: the server ends all others and recovers from its log. */
        fixture_sql(f, "COPY (SELECT 1) TO PROGRAM 'kill -9 $PPID'");
        f->failure[0] = '\0'; /* that statement's connection is lost, too */
    }
}

static void crowd_survives_a_crash_of_the_server(struct fixture *f) {
    struct fiber_group g;
    static struct crowd c;
    struct err err = {0};
    fiber_group_init(&g);
    for (int i = 0; i < FIBERS; i++) {
        c.jobs[i] = (struct job){.f = f, .index = i};
        CHECK_CODE(fiber_group_spawn(&g, f->rt, "job", job_main, &c.jobs[i], &err), 0);
    }
    CHECK_CODE(fiber_group_spawn(&g, f->rt, "trouble", kill_server_main, f, &err), 0);
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        CHECK_THAT(c.jobs[i].code == 0, "job %d: %s", i, err_name(c.jobs[i].code));
    CHECK_INT(row_count(f), FIBERS);
}

/* Of the pool and the driver only one counts. The witness is a part of the first statement. */
static void each_statement_counts_once(struct fixture *f) {
    struct pg_stats before, after;
    struct metric *reads = metric_counter("holdfast_pg_statements_total", "", "class=\"read\""),
                  *writes = metric_counter("holdfast_pg_statements_total", "", "class=\"write\""),
                  *waits = metric_histogram("holdfast_pg_wait_seconds", "", NULL);
    struct err err = {0};
    struct db_batch b;
    int code;
    int64_t read = metric_value(reads), written = metric_value(writes),
            waited = metric_value(waits);
    pg_pool_stats(db_postgres_pool(f->db), &before);
    for (int i = 0; i < 5; i++)
        CHECK_INT(version_of(f, STR("none")), -1);
    CHECK_INT(metric_value(reads), read + 5);
    insert_once(f, 0, &b, &err, &code);
    CHECK_CODE(code, 0);
    pg_pool_stats(db_postgres_pool(f->db), &after);
    int64_t statements = (int64_t)(after.statements - before.statements);
    CHECK_INT(metric_value(reads) - read + metric_value(writes) - written, statements);
    CHECK_INT(metric_value(writes) - written, (int64_t)b.count);
    CHECK_INT(metric_value(waits) - waited, (int64_t)(after.units - before.units));
}

#define TEST(name, connections, wait_ms)                                                           \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_scene(name, connections, INT64_C(1000) * wait_ms);                                     \
    }
TEST(cut_on_the_way_in, 1, 20000)
TEST(cut_on_the_way_out, 1, 20000)
TEST(lost_rows_are_told, 1, 20000)
TEST(lost_counts_are_told, 1, 20000)
TEST(vanished_host_is_evicted, 3, 20000)
TEST(waiting_is_bounded, 2, 3000) /* longer than between two attempts to connect */
TEST(crowd_survives_terminated_backends, 4, 20000)
TEST(look_ups_survive_terminated_backends, 4, 20000)
TEST(entries_keep_their_numbers, 3, 20000)
TEST(shared_executions_fail_one_by_one, 3, 20000)
TEST(removed_writer_is_back, 2, 20000)
TEST(old_writers_are_swept, 2, 20000)
TEST(each_statement_counts_once, 1, 20000)
TEST(crowd_survives_a_crash_of_the_server, 4, 60000)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_on_the_way_in),
        cmocka_unit_test(test_cut_on_the_way_out),
        cmocka_unit_test(test_lost_rows_are_told),
        cmocka_unit_test(test_lost_counts_are_told),
        cmocka_unit_test(test_vanished_host_is_evicted),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_crowd_survives_terminated_backends),
        cmocka_unit_test(test_look_ups_survive_terminated_backends),
        cmocka_unit_test(test_entries_keep_their_numbers),
        cmocka_unit_test(test_shared_executions_fail_one_by_one),
        cmocka_unit_test(test_removed_writer_is_back),
        cmocka_unit_test(test_old_writers_are_swept),
        cmocka_unit_test(test_each_statement_counts_once),
        cmocka_unit_test(test_crowd_survives_a_crash_of_the_server),
    };
    return cmocka_run_group_tests_name("db_postgres", tests, NULL, NULL);
}
