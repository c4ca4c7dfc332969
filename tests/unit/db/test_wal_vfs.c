/* SPDX-License-Identifier: Apache-2.0 */
/* test_wal_vfs.c - gathered writes of the log. Goal: what a commit reports is in the file for other
 * connections and after a kill, also when pages spill, are read back and are written again within
 * one transaction. Method: a connection with a tiny cache over the VFS; a second one, without it,
 * reads; a child process that is killed after its commits. */
#include "db/sqlite/wal_vfs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "db/sqlite/conn.h"

struct files {
    char dir[64], path[96];
    struct lite_conn writer;
};

static void open_writer(struct files *f, bool normal) {
    const struct lite_conn_options o = {
        .path = f->path, .cache_bytes = 32 << 10, .synchronous_normal = normal};
    assert_int_equal(lite_conn_open(&f->writer, &o, NULL), 0);
}

static int setup(void **state) {
    struct files *f = NEW(struct files);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-wal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/data.db", f->dir);
    *state = f;
    return lite_library_init(NULL);
}

static int teardown(void **state) {
    struct files *f = *state;
    char path[128];
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
        (void)unlink(path); /* not all are there */
    }
    int rc = rmdir(f->dir);
    mem_free(f);
    return rc;
}

static void run(struct lite_conn *c, const char *sql) {
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(c->db));
}

static int64_t number_of(sqlite3 *db, const char *sql) {
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* As another program would see the file. */
static int64_t seen(const struct files *f, const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    int64_t n = number_of(db, sql);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

static int64_t size_of_log(const struct files *f) {
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s-wal", f->path);
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

#define FILL                                                                              \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "     \
    "INSERT INTO t SELECT i, zeroblob(1000) FROM n"
#define KEEP "INSERT INTO t SELECT coalesce(max(i), 5000) + 1, 'kept' FROM t"
#define INTACT "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"

static void commits_are_in_the_file(void **state) {
    struct files *f = *state;
    open_writer(f, false);
    run(&f->writer, "CREATE TABLE t (i INTEGER PRIMARY KEY, body BLOB)");
    for (int i = 1; i <= 50; i++) {
        char sql[128];
        (void)snprintf(sql, sizeof(sql), "INSERT INTO t VALUES (%d, zeroblob(%d))", i, i * 3000);
        run(&f->writer, sql);
        assert_int_equal(lite_wal_vfs_pending(f->writer.db), 0);
        assert_int_equal(seen(f, "SELECT max(i) FROM t"), i);
    }
    assert_int_equal(seen(f, INTACT), 1);
    lite_conn_close(&f->writer);
    assert_int_equal(seen(f, "SELECT sum(length(body)) FROM t"), 3000 * 50 * 51 / 2);
}

/* The log is really gathered: inside a transaction its end is not in the file yet. */
static void spilled_pages_are_gathered_and_read_back(void **state) {
    struct files *f = *state;
    open_writer(f, false);
    run(&f->writer, "CREATE TABLE t (i INTEGER PRIMARY KEY, body BLOB)");
    run(&f->writer, "BEGIN IMMEDIATE");
    run(&f->writer, FILL);
    size_t pending = lite_wal_vfs_pending(f->writer.db);
    assert_true(pending > 0);
    assert_int_equal(number_of(f->writer.db, "SELECT count(*) FROM t WHERE length(body) = 1000"),
                     2000);
    for (int i = 0; i < 3; i++) { /* frames of this transaction are written again in place */
        run(&f->writer, "UPDATE t SET body = randomblob(1000) WHERE i % 7 = 3");
        assert_int_equal(number_of(f->writer.db, "SELECT count(*) FROM t WHERE body <> "
                                                 "zeroblob(1000)"), 286);
    }
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 0);
    run(&f->writer, "COMMIT");
    assert_int_equal(lite_wal_vfs_pending(f->writer.db), 0);
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 2000);
    assert_int_equal(seen(f, INTACT), 1);
    lite_conn_close(&f->writer);
}

static void rolled_back_pages_leave_nothing(void **state) {
    struct files *f = *state;
    open_writer(f, false);
    run(&f->writer, "CREATE TABLE t (i INTEGER PRIMARY KEY, body BLOB)");
    for (int i = 0; i < 3; i++) {
        run(&f->writer, "BEGIN IMMEDIATE");
        run(&f->writer, FILL);
        run(&f->writer, "ROLLBACK");
        run(&f->writer, KEEP);
    }
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 3);
    run(&f->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(size_of_log(f), 0);
    run(&f->writer, KEEP);
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 4);
    assert_int_equal(seen(f, INTACT), 1);
    lite_conn_close(&f->writer);
}

static void killed_process_keeps_its_commits(void **state) {
    struct files *f = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        open_writer(f, false);
        run(&f->writer, "CREATE TABLE t (i INTEGER PRIMARY KEY, body BLOB)");
        run(&f->writer, FILL);
        run(&f->writer, "BEGIN IMMEDIATE");
        run(&f->writer, "DELETE FROM t WHERE i % 2 = 0");
        raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 2000);
    assert_int_equal(seen(f, INTACT), 1);
}

/* Without a sync at each commit nothing may be held back. */
static void normal_setting_does_not_gather(void **state) {
    struct files *f = *state;
    open_writer(f, true);
    run(&f->writer, "CREATE TABLE t (i INTEGER PRIMARY KEY, body BLOB)");
    run(&f->writer, "BEGIN IMMEDIATE");
    run(&f->writer, FILL);
    assert_int_equal(lite_wal_vfs_pending(f->writer.db), 0);
    run(&f->writer, "COMMIT");
    assert_int_equal(seen(f, "SELECT count(*) FROM t"), 2000);
    lite_conn_close(&f->writer);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(commits_are_in_the_file),
        TEST(spilled_pages_are_gathered_and_read_back),
        TEST(rolled_back_pages_leave_nothing),
        TEST(killed_process_keeps_its_commits),
        TEST(normal_setting_does_not_gather),
    };
    return cmocka_run_group_tests_name("wal_vfs", tests, NULL, NULL);
}
