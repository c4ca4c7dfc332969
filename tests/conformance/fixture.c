/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.c - a loop, a database in a folder of its own, and one fiber to test on. */
#include "fixture.h"

#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "pg/pool.h"
#include "rt/loop.h"

#define ARENA_MAX ((size_t)256 << 20)

void fixture_fail(struct fixture *f, const char *format, ...) {
    if (f->failure[0])
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->failure, sizeof(f->failure), format, args);
    va_end(args);
}

static void open_sqlite(struct fixture *f) {
    struct db_sqlite_options o;
    struct err err = {0};
    db_sqlite_options_default(&o);
    if (f->queue_count_max)
        o.queue_count_max = f->queue_count_max;
    o.path = f->in_memory ? NULL : f->path;
    int code = db_sqlite_open(f->rt, &o, &f->db, &err);
    if (code < 0)
        fixture_fail(f, "db_sqlite_open: %s: %s", err_name(code), err.message);
}

/* All rows of our schemas, but not the record of the migrations. */
static const char EMPTY[] =
    "DO $$ DECLARE names text; BEGIN "
    "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO names FROM pg_tables "
    "WHERE schemaname IN ('holdfast', 'langgraph_server', 'public') "
    "AND tablename NOT LIKE '%migrations'; "
    "IF names IS NOT NULL THEN EXECUTE 'TRUNCATE ' || names; END IF; END $$";

static void open_postgres(struct fixture *f) {
    struct db_postgres_options o = f->postgres_options;
    struct err err = {0};
    if (f->queue_count_max)
        o.queue_count_max = f->queue_count_max;
    if (!f->emptied)
        fixture_sql(f, EMPTY);
    f->emptied = true;
    int code = db_postgres_open(f->rt, &o, &f->db, &err);
    if (code < 0)
        fixture_fail(f, "db_postgres_open: %s: %s", err_name(code), err.message);
}

void fixture_open(struct fixture *f) {
    if (f->postgres)
        fixture_on_fiber(f, open_postgres);
    else
        open_sqlite(f);
    if (f->db && f->kind.behind_fault)
        f->db = db_fault_wrap(f->db);
}

void fixture_close_db(struct fixture *f) {
    db_close(f->db);
    f->db = NULL;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fixture_init(struct fixture *f, struct fixture_kind kind) {
    *f = (struct fixture){.kind = kind, .in_memory = kind.in_memory, .postgres = kind.postgres};
    db_postgres_options_default(&f->postgres_options);
    f->postgres_options.pool.url = getenv("HF_TEST_DATABASE_URL");
    if (kind.postgres)
        assert_non_null(f->postgres_options.pool.url);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-db-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/data.db", f->dir);
    arena_init(&f->arena, ARENA_MAX);
    assert_int_equal(rt_open(&f->rt, NULL), 0);
}

static void on_sql_pool_closed(void *ctx) { fiber_unpark(ctx); }

void fixture_sql(struct fixture *f, const char *sql) {
    struct pg_pool_options o;
    struct pg_pool *pool;
    struct err err = {0};
    pg_pool_options_default(&o);
    o.url = getenv("HF_TEST_DATABASE_URL");
    o.connections_max = o.connections_min = 1;
    int code = pg_pool_open(f->rt, &o, &pool, &err);
    if (code < 0) {
        fixture_fail(f, "%s: %s", sql, err.message);
        return;
    }
    code = pg_pool_await(pool, &err);
    if (code == 0)
        code = pg_pool_script(pool, sql, 20000000, &err);
    if (code < 0)
        fixture_fail(f, "%s: %s", sql, err.message);
    pg_pool_close(pool, clock_mono_us() + 1000000, on_sql_pool_closed, fiber_self());
    fiber_park_shielded();
}

void fixture_deinit(struct fixture *f) {
    fixture_close_db(f);
    rt_close(f->rt);
    arena_deinit(&f->arena);
    (void)nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* only disk space is lost */
    if (f->failure[0])
        fail_msg("%s", f->failure);
}

static void fiber_main(void *arg) {
    struct fixture *f = arg;
    f->fn(f);
    rt_stop(f->rt);
}

void fixture_on_fiber(struct fixture *f, fixture_fn fn) {
    f->fn = fn;
    struct fiber *fiber = fiber_spawn(f->rt, "test", fiber_main, f, NULL);
    assert_non_null(fiber);
    rt_run(f->rt);
}

void fixture_run(struct fixture_kind kind, fixture_fn fn) {
    struct fixture f;
    fixture_init(&f, kind);
    fixture_open(&f);
    if (!f.failure[0])
        fixture_on_fiber(&f, fn);
    fixture_deinit(&f);
}

/* --- a program with one history --- */

static fixture_fn main_history;

static void test_sqlite(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){0}, main_history);
}
static void test_sqlite_behind_fault(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.in_memory = true, .behind_fault = true}, main_history);
}
static void test_postgres(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.postgres = true}, main_history);
}

int fixture_main(const char *name, fixture_fn history) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite),
        cmocka_unit_test(test_sqlite_behind_fault),
        cmocka_unit_test(test_postgres),
    };
    main_history = history;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
