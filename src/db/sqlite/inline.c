/* SPDX-License-Identifier: Apache-2.0 */
/* inline.c - point reads on the loop thread.
 *
 * A look-up by key costs a few microseconds when its pages are in memory; handing it to a thread
 * and back costs five times that in context switches, and they push the loop off its processor. So
 * statements that the catalogue marks as points run here at once, on a read-only connection of the
 * loop's, whose file layer (nowait_vfs.c) never waits for the disk. Whatever goes wrong - a page
 * that is not in memory, a lock that is taken, a result over the bounds, any error - drops the
 * attempt, and a reading thread does it again and gives the answer or the error. So this file adds
 * speed and no behaviour.
 *
 * Each read takes a snapshot of its own. It sees every commit that was answered before, as those
 * of the reading threads do: a commit is published before it is answered. SQLite keeps the pages of
 * the connection as long as nothing was committed in between.
 *
 * Of lists that the catalogue marks as few a look of so many instructions is taken: what is longer
 * goes to a reading thread.
 *
 * So are pages of which few rows are asked for. A page of a hundred rows of 2 kB takes 60 us here
 * and, with the two switches of threads, twice that on another thread; so one at a time runs here.
 * When a reading thread is at work already, or the turn has lasted for long, the others and the
 * clients profit more from the threads. A page that was tried in vain (large rows, a file that is
 * not in memory) was work for nothing: then the next ones are not tried (base/holdoff.h).
 *
 * An attempt that is dropped leaves what it had copied in the caller's arena, its bounds and a row
 * at most. In memory there is one connection, the writer's: nothing runs here. */
#include "base/failpoint.h"
#include "base/log.h"
#include "db/sqlite/lite_int.h"

#define ROW_COUNT_MAX 1000
#define PAGE_ROWS_MAX 128 /* what may be asked for */

/* What a statement may take: bytes from the files and of its result, and instructions of SQLite's
 * machine (a thousand take some ten microseconds); 0: any number. */
struct bounds {
    size_t read_bytes, copy_bytes;
    int ops;
};
static const struct bounds of_point = {(size_t)256 << 10, (size_t)256 << 10, 0};
static const struct bounds of_list = {(size_t)256 << 10, (size_t)256 << 10, 2000};
static const struct bounds of_page = {(size_t)640 << 10, (size_t)512 << 10, 8000};

static bool is_small_page(const struct lite_call *call) {
    int at = db_catalogue[call->stmt].page;
    return at > 0 && call->params[at - 1].type == DB_INT && call->params[at - 1].i <= PAGE_ROWS_MAX;
}

static int prepare_all(struct lite_inline *n, struct err *err) {
    int code = lite_conn_own(&n->conn, LITE_COUNT_OBJECTS, err); /* opens the log */
    for (size_t i = 0; code == 0 && i < SQL_COUNT; i++)
        if ((db_catalogue[i].point || db_catalogue[i].few || db_catalogue[i].page) &&
            db_catalogue[i].sqlite)
            code = lite_conn_prepare(&n->conn, (enum db_stmt)i, err);
    return code;
}

void lite_inline_open(struct lite_inline *n, const struct lite_conn_options *o) {
    struct err err = {0};
    struct lite_conn_options mine = *o;
    if (lite_nowait_init(&n->layer) != SQLITE_OK)
        return;
    n->layer_open = true;
    mine.vfs = n->layer.name;
    mine.never_wait = true;
    int code = lite_conn_open(&n->conn, &mine, &err);
    if (code == 0)
        code = prepare_all(n, &err);
    if (code < 0)
        log_event(LOG_WARN, "db.inline.off", err.message, LOG_INT("code", err.system));
    else if (n->layer.unsupported)
        log_plain(LOG_DEBUG, "db.inline.off", "the file system cannot read without waiting");
    n->layer.may_block = false;
    n->on = code == 0 && !n->layer.unsupported;
}

void lite_inline_close(struct lite_inline *n) {
    if (n->conn.db)
        lite_conn_close(&n->conn);
    n->on = false;
}

void lite_inline_close_files(struct lite_inline *n) {
    if (n->layer_open)
        lite_nowait_deinit(&n->layer);
    n->layer_open = false;
}

static int too_long(void *ctx) {
    (void)ctx;
    return 1;
}

/* SQLite asks whenever the instructions of a statement, over all of its runs, are a multiple of the
 * bound: so they are counted anew. */
static void bound_ops(struct lite_inline *n, enum db_stmt stmt, int ops) {
    (void)sqlite3_stmt_status(n->conn.stmts[stmt], SQLITE_STMTSTATUS_VM_STEP, 1); /* to 0 */
    sqlite3_progress_handler(n->conn.db, ops, ops ? too_long : NULL, NULL);
}

/* Whether a page is to be tried here. */
static bool try_page(struct lite_inline *n, bool busy) {
    return !holdoff_skips(&n->pages) && !busy;
}

/* NULL: not here. */
static const struct bounds *bounds_of(struct lite_inline *n, const struct lite_call *call,
                                      bool busy) {
    const struct db_statement *d = &db_catalogue[call->stmt];
    const struct bounds *b = NULL;
    if (!n->on)
        return NULL;
    if (d->point)
        b = &of_point;
    else if (d->few)
        b = &of_list;
    else if (is_small_page(call) && try_page(n, busy))
        b = &of_page;
    return b && FAILPOINT("db.read") < 0 ? NULL : b;
}

bool lite_inline_read(struct lite_inline *n, const struct lite_call *call, bool busy,
                      struct db_rows *out) {
    const struct bounds *b = bounds_of(n, call, busy);
    if (!b)
        return false;
    struct lite_call bounded = *call;
    bounded.row_count_max = ROW_COUNT_MAX;
    bounded.copy_bytes_max = b->copy_bytes;
    lite_nowait_begin(&n->layer, b->read_bytes);
    bound_ops(n, call->stmt, b->ops);
    bool done = lite_conn_run(&n->conn, &bounded, out, NULL, NULL) == 0;
    if (b == &of_page)
        holdoff_tried(&n->pages, !done);
    if (done) {
        n->reads++;
        metric_add(n->read_count, 1);
        return true;
    }
    n->fallbacks++;
    metric_add(n->fallback_count, 1);
    n->on = !n->layer.unsupported;
    return false;
}
