/* SPDX-License-Identifier: Apache-2.0 */
/* test_migrate.c - schema versions. Goal: a file is brought forward step by step, a broken step
 * leaves the one before, and files that do not fit are refused with a text that says why. Method:
 * lists of migrations of the test's own over files in a temporary folder; damage through SQLite. */
#include "db/sqlite/migrate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/failpoint.h"
#include "base/mem.h"
#include "db/sqlite/sqlite.h"
#include "rt/loop.h"

static const struct db_migration one_two_three[] = {
    {1, "first", "CREATE TABLE a (x INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);", "hash1"},
    {2, "second", "CREATE TABLE b (x INTEGER REFERENCES a); INSERT INTO b VALUES (1);", "hash2"},
    {3, "third", "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'three';", "hash3"},
};

struct files {
    char dir[64], path[96];
};

static int setup(void **state) {
    struct files *f = NEW(struct files);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-migrate-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/data.db", f->dir);
    *state = f;
    return lite_library_init(NULL);
}

static int teardown(void **state) {
    struct files *f = *state;
    char path[128];
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
        (void)unlink(path); /* not all are there */
    }
    int rc = rmdir(f->dir);
    mem_free(f);
    return rc;
}

static int migrate(const struct files *f, const struct db_migration *list, size_t count,
                   struct err *err) {
    struct lite_conn c;
    const struct lite_conn_options o = {.path = f->path, .cache_bytes = 1 << 20};
    int code = lite_conn_open(&c, &o, err);
    if (code < 0)
        return code;
    code = lite_migrate(&c, list, count, err);
    lite_conn_close(&c);
    return code;
}

static void run_sql(const struct files *f, const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number_of(const struct files *f, const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}
#define VERSION "SELECT coalesce(max(version), 0) FROM schema_migrations"

static void steps_apply_once(void **state) {
    struct files *f = *state;
    struct err err = {0};
    assert_int_equal(migrate(f, one_two_three, 1, &err), 0);
    assert_int_equal(number_of(f, VERSION), 1);
    assert_int_equal(migrate(f, one_two_three, 3, &err), 0);
    assert_int_equal(migrate(f, one_two_three, 3, &err), 0);
    assert_int_equal(number_of(f, VERSION), 3);
    assert_int_equal(number_of(f, "SELECT count(*) FROM a WHERE y = 'three'"), 1);
    assert_int_equal(number_of(f, "SELECT count(*) FROM schema_migrations WHERE applied_at > 0 "
                                  "AND sha256 = 'hash' || version"), 3);
    assert_int_equal(number_of(f, "PRAGMA application_id"), LITE_APPLICATION_ID);
}

static void foreign_keys_come_back_on(void **state) {
    struct files *f = *state;
    struct lite_conn c;
    const struct lite_conn_options o = {.path = f->path, .cache_bytes = 1 << 20};
    assert_int_equal(lite_conn_open(&c, &o, NULL), 0);
    assert_int_equal(lite_migrate(&c, one_two_three, 3, NULL), 0);
    assert_int_equal(sqlite3_exec(c.db, "INSERT INTO b VALUES (99)", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT_FOREIGNKEY);
    assert_int_equal(lite_error(c.db, "insert", NULL), ERR_INVALID);
    lite_conn_close(&c);
}

static void assert_refused(const struct files *f, const struct db_migration *list, size_t count,
                           int code, const char *text) {
    struct err err = {0};
    int got = migrate(f, list, count, &err);
    if (got != code || !strstr(err.message, text))
        fail_msg("%s: %s", err_name(got), err.message);
}

static void newer_schema_is_refused(void **state) {
    struct files *f = *state;
    assert_int_equal(migrate(f, one_two_three, 3, NULL), 0);
    assert_refused(f, one_two_three, 2, ERR_UNSUPPORTED, "version 3 (third)");
    assert_int_equal(number_of(f, VERSION), 3);
}

static void other_history_is_refused(void **state) {
    struct files *f = *state;
    assert_int_equal(migrate(f, one_two_three, 2, NULL), 0);
    struct db_migration changed[3];
    memcpy(changed, one_two_three, sizeof(changed));
    changed[1].sha256 = "other";
    assert_refused(f, changed, 3, ERR_CONFLICT, "migration 2 (second)");
    assert_int_equal(number_of(f, VERSION), 2);
    run_sql(f, "UPDATE schema_migrations SET sha256 = 'tampered' WHERE version = 1");
    assert_refused(f, one_two_three, 3, ERR_CONFLICT, "migration 1 (first)");
    run_sql(f, "DELETE FROM schema_migrations WHERE version = 1");
    assert_refused(f, one_two_three, 3, ERR_CONFLICT, "migration 2 (second)");
}

static void failing_step_leaves_the_one_before(void **state) {
    struct files *f = *state;
    struct db_migration bad[3];
    memcpy(bad, one_two_three, sizeof(bad));
    bad[2].sql = "CREATE TABLE c (x); INSERT INTO c VALUES (1); INSERT INTO nowhere VALUES (1);";
    assert_refused(f, bad, 3, ERR_INTERNAL, "schema migration 3: third");
    assert_int_equal(number_of(f, VERSION), 2);
    assert_int_equal(number_of(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
    bad[2].sql = "INSERT INTO b VALUES (77);"; /* 77 is not in a */
    assert_refused(f, bad, 3, ERR_CORRUPT, "table b");
    assert_int_equal(number_of(f, "SELECT count(*) FROM b"), 1);
    assert_int_equal(migrate(f, one_two_three, 3, NULL), 0);
    assert_int_equal(number_of(f, VERSION), 3);
}

static void interrupted_step_is_done_again(void **state) {
#ifdef HF_DEBUG
    struct files *f = *state;
    assert_int_equal(failpoint_set(STR("db.migrate.commit=error(14)@2"), NULL), 0);
    assert_refused(f, one_two_three, 3, ERR_IO, "schema migration 2");
    assert_int_equal(failpoint_set(STR("db.migrate.commit=off"), NULL), 0);
    assert_int_equal(number_of(f, VERSION), 1);
    assert_int_equal(number_of(f, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'"), 0);
    assert_int_equal(migrate(f, one_two_three, 3, NULL), 0);
    assert_int_equal(number_of(f, VERSION), 3);
#else
    (void)state;
    skip();
#endif
}

static void foreign_files_are_refused(void **state) {
    struct files *f = *state;
    run_sql(f, "CREATE TABLE theirs (x)");
    assert_refused(f, one_two_three, 3, ERR_INVALID, "not one of Holdfast");
    assert_int_equal(number_of(f, "SELECT count(*) FROM sqlite_schema"), 1);
    run_sql(f, "DROP TABLE theirs; PRAGMA application_id = 7");
    assert_refused(f, one_two_three, 3, ERR_INVALID, "not one of Holdfast");
}

static void damaged_file_is_refused(void **state) {
    struct files *f = *state;
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        assert_true(fputs("this is no database ", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_refused(f, one_two_three, 3, ERR_CORRUPT, "not a database");
}

/* The list that is built in, through the driver's front door. */
static void built_in_list_applies(void **state) {
    struct files *f = *state;
    struct rt *rt = NULL;
    struct db *db = NULL;
    struct err err = {0};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = f->path;
    assert_int_equal(rt_open(&rt, &err), 0);
    if (db_sqlite_open(rt, &o, &db, &err) < 0)
        fail_msg("%s", err.message);
    db_close(db);
    assert_int_equal(access(f->path, R_OK), 0);
    assert_int_equal(number_of(f, VERSION), (int64_t)db_sqlite_migration_count);
    run_sql(f, "INSERT INTO schema_migrations VALUES (100000, 'later', 'x', 1)");
    assert_int_equal(db_sqlite_open(rt, &o, &db, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, f->path));
    assert_non_null(strstr(err.message, "newer"));
    o.path = "/nowhere/at/all.db";
    assert_int_equal(db_sqlite_open(rt, &o, &db, &err), ERR_IO);
    assert_non_null(strstr(err.message, o.path));
    rt_close(rt);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(steps_apply_once),
        TEST(foreign_keys_come_back_on),
        TEST(newer_schema_is_refused),
        TEST(other_history_is_refused),
        TEST(failing_step_leaves_the_one_before),
        TEST(interrupted_step_is_done_again),
        TEST(foreign_files_are_refused),
        TEST(damaged_file_is_refused),
        TEST(built_in_list_applies),
    };
    return cmocka_run_group_tests_name("migrate", tests, NULL, NULL);
}
