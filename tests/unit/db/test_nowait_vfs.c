/* SPDX-License-Identifier: Apache-2.0 */
/* test_nowait_vfs.c - reads that never wait. Goal: what is in memory is read, what is not (or is
 * over the budget) ends the statement with SQLITE_BUSY and leaves the connection usable; the
 * layer's own descriptors do not drop the locks of others. Method: a writer's connection, a reader
 * over the layer, pages pushed out of memory with posix_fadvise; a child process that tries the
 * locks. */
#include "db/sqlite/nowait_vfs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "db/sqlite/conn.h"

struct files {
    char dir[64], path[96], wal[104];
    struct lite_conn writer, reader;
    struct lite_nowait layer;
};

static void run(struct lite_conn *c, const char *sql) {
    if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(c->db));
}

static int try(struct lite_conn *c, const char *sql) {
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL);
}

static void open_reader(struct files *f) {
    assert_int_equal(lite_nowait_init(&f->layer), SQLITE_OK);
    const struct lite_conn_options o = {
        .path = f->path, .read_only = true, .never_wait = true, .vfs = f->layer.name};
    assert_int_equal(lite_conn_open(&f->reader, &o, NULL), 0);
    run(&f->reader, "SELECT count(*) FROM sqlite_schema"); /* opens the log */
    f->layer.may_block = false;
}

static int setup(void **state) {
    struct files *f = NEW(struct files);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-nowait-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/data.db", f->dir);
    (void)snprintf(f->wal, sizeof(f->wal), "%s-wal", f->path);
    *state = f;
    assert_int_equal(lite_library_init(NULL), 0);
    const struct lite_conn_options o = {.path = f->path, .cache_bytes = 1 << 20};
    assert_int_equal(lite_conn_open(&f->writer, &o, NULL), 0);
    run(&f->writer, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)");
    run(&f->writer, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000)"
                    " INSERT INTO t SELECT i, printf('%0900d', i) FROM n");
    open_reader(f);
    if (f->layer.unsupported)
        print_message("this file system cannot read without waiting\n");
    return 0;
}

static int teardown(void **state) {
    struct files *f = *state;
    char path[128];
    static const char *const ends[] = {"", "-wal", "-shm"};
    lite_conn_close(&f->reader);
    lite_conn_close(&f->writer);
    lite_nowait_deinit(&f->layer);
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
        (void)unlink(path); /* not all are there */
    }
    int rc = rmdir(f->dir);
    mem_free(f);
    return rc;
}

static void push_out(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fdatasync(fd), 0); /* what is not written stays in memory */
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(close(fd), 0);
}

static void test_reads_what_is_in_memory(void **state) {
    struct files *f = *state;
    if (f->layer.unsupported)
        skip();
    lite_nowait_begin(&f->layer, 1 << 20);
    run(&f->reader, "SELECT v FROM t WHERE id = 500");
    assert_false(f->layer.refused);
    assert_true(f->layer.budget_bytes < 1 << 20);
    run(&f->writer, "UPDATE t SET v = 'new' WHERE id = 500");
    lite_nowait_begin(&f->layer, 1 << 20);
    run(&f->reader, "SELECT 1 / (v = 'new') FROM t WHERE id = 500");
    assert_false(f->layer.refused);
}

static void test_refuses_over_the_budget(void **state) {
    struct files *f = *state;
    if (f->layer.unsupported)
        skip();
    lite_nowait_begin(&f->layer, 64 << 10);
    assert_int_equal(try(&f->reader, "SELECT count(v || '') FROM t"), SQLITE_BUSY);
    assert_true(f->layer.refused);
    assert_false(f->layer.unsupported);
    lite_nowait_begin(&f->layer, 64 << 10);
    run(&f->reader, "SELECT v FROM t WHERE id = 900");
    assert_false(f->layer.refused);
}

/* Of the log, then of the database. */
static void test_refuses_what_is_not_in_memory(void **state) {
    struct files *f = *state;
    if (f->layer.unsupported)
        skip();
    for (int i = 0; i < 2; i++) {
        push_out(i == 0 ? f->wal : f->path);
        lite_nowait_begin(&f->layer, 1 << 20);
        int rc = try(&f->reader, "SELECT v FROM t WHERE id = 300");
        if (rc == SQLITE_OK) /* this system keeps the pages whatever is advised */
            print_message("the pages stayed in memory\n");
        else
            assert_int_equal(rc, SQLITE_BUSY);
        assert_int_equal(f->layer.refused, rc == SQLITE_BUSY);
        run(&f->writer, "SELECT count(v || '') FROM t"); /* from its cache */
        f->layer.may_block = true;
        run(&f->reader, "SELECT count(v || '') FROM t"); /* fetches */
        f->layer.may_block = false;
        run(&f->writer, "UPDATE t SET v = 'x' WHERE id = 1"); /* drops the reader's pages */
        lite_nowait_begin(&f->layer, 1 << 20);
        run(&f->reader, "SELECT v FROM t WHERE id = 300");
        assert_false(f->layer.refused);
        assert_int_equal(sqlite3_wal_checkpoint_v2(f->writer.db, NULL, SQLITE_CHECKPOINT_TRUNCATE,
                                                   NULL, NULL), SQLITE_OK);
    }
}

/* A lock of the writer that was dropped would let the child's write lock through. */
static bool child_gets_the_file(struct files *f) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(f->path, O_RDWR | O_CLOEXEC);
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &whole) == 0 ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 1;
}

static void test_closing_the_reader_keeps_the_locks(void **state) {
    struct files *f = *state;
    assert_false(child_gets_the_file(f));
    lite_conn_close(&f->reader);
    assert_false(child_gets_the_file(f));
    lite_nowait_deinit(&f->layer); /* too early: this is what must not be done */
    assert_true(child_gets_the_file(f));
    open_reader(f); /* for the teardown */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_what_is_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses_over_the_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refuses_what_is_not_in_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closing_the_reader_keeps_the_locks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
