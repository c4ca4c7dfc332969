/* SPDX-License-Identifier: Apache-2.0 */
/* test_checkpoint.c - copying the log beside the writer. Goal: the log stays bounded while fibers
 * write and read without a pause, whatever the size of its pages, and no row is lost over it; a
 * close leaves no log. Method: several times the log's bound in blobs, by a few fibers, over a real
 * file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "db/sqlite/sqlite.h"
#include "rt/loop.h"

#define FIBERS        4
#define ROWS          800 /* of each fiber */
#define ROW_BYTES     ((size_t)64 << 10)
#define LOG_BYTES_MAX ((int64_t)110 << 20) /* of 200 MiB written; the first copy starts at 32 */

struct world {
    struct rt *rt;
    struct db *db;
    char dir[64], path[96], log_path[104];
    char *row;
    int live, failed;
    int64_t log_bytes_max;
};
struct client {
    struct world *w;
    int index;
};

static int64_t size_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

static bool write_and_read(struct client *c, int i, struct arena *a) {
    struct world *w = c->w;
    struct db_batch b;
    struct db_rows rows;
    db_batch_init(&b, a);
    str owner = arena_printf(a, "fiber%d", c->index), key = arena_printf(a, "%06d", i);
    db_batch_add(&b, SQL_KV_INSERT,
                 DB_PARAMS(DB_T(owner), DB_T(key), DB_B(str_n(w->row, ROW_BYTES)), DB_I(i)),
                 DB_EXPECT_NONE);
    return db_commit(w->db, &b, NULL) == 0 &&
           db_read(w->db, SQL_KV_GET, DB_PARAMS(DB_T(owner), DB_T(key)), a, &rows, NULL) == 0 &&
           rows.row_count == 1 && db_int(&rows, 0, 2) == i;
}

static void client_main(void *arg) {
    struct client *c = arg;
    struct world *w = c->w;
    struct arena a;
    arena_init(&a, 4 * ROW_BYTES);
    for (int i = 0; i < ROWS; i++) {
        arena_reset(&a);
        w->failed += !write_and_read(c, i, &a);
        int64_t bytes = size_of(w->log_path);
        if (bytes > w->log_bytes_max)
            w->log_bytes_max = bytes;
    }
    arena_deinit(&a);
    if (--w->live == 0)
        rt_stop(w->rt);
}

static void bounded_with_pages_of(int64_t page_bytes) {
    struct world w = {.live = FIBERS};
    struct client clients[FIBERS];
    struct db_sqlite_options o;
    (void)snprintf(w.dir, sizeof(w.dir), "/tmp/holdfast-checkpoint-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    (void)snprintf(w.path, sizeof(w.path), "%s/data.db", w.dir);
    (void)snprintf(w.log_path, sizeof(w.log_path), "%s-wal", w.path);
    w.row = mem_zalloc(ROW_BYTES);
    db_sqlite_options_default(&o);
    o.path = w.path;
    o.page_bytes = page_bytes;
    assert_int_equal(rt_open(&w.rt, NULL), 0);
    assert_int_equal(db_sqlite_open(w.rt, &o, &w.db, NULL), 0);
    for (int i = 0; i < FIBERS; i++) {
        clients[i] = (struct client){&w, i};
        assert_non_null(fiber_spawn(w.rt, "client", client_main, &clients[i], NULL));
    }
    rt_run(w.rt);
    db_close(w.db);
    rt_close(w.rt);
    mem_free(w.row);
    int64_t bytes = size_of(w.path), log_left = size_of(w.log_path);
    char lock_path[104];
    (void)snprintf(lock_path, sizeof(lock_path), "%s.lock", w.path);
    assert_int_equal(unlink(w.path) | unlink(lock_path) | rmdir(w.dir), 0);
    assert_int_equal(w.failed, 0);
    assert_true(bytes > (int64_t)(FIBERS * ROWS * ROW_BYTES));
    assert_int_equal(log_left, -1);
    if (w.log_bytes_max > LOG_BYTES_MAX)
        fail_msg("the log has grown to %lld bytes", (long long)w.log_bytes_max);
}

static void log_is_bounded(void **state) {
    (void)state;
    bounded_with_pages_of(0);
}

static void log_of_large_pages_is_bounded(void **state) {
    (void)state;
    bounded_with_pages_of(16384);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(log_is_bounded),
                                       cmocka_unit_test(log_of_large_pages_is_bounded)};
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
