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
 * An attempt that is dropped leaves what it had copied in the caller's arena, COPY_BYTES_MAX and a
 * row at most. In memory there is one connection, the writer's: nothing runs here. */
#include "base/failpoint.h"
#include "base/log.h"
#include "db/sqlite/lite_int.h"

#define READ_BYTES_MAX ((size_t)256 << 10) /* from the files, by one statement */
#define COPY_BYTES_MAX ((size_t)256 << 10)
#define ROW_COUNT_MAX  1000
#define LIST_OPS_MAX   2000 /* of SQLite's machine: some tens of microseconds */

static int prepare_all(struct lite_inline *n, struct err *err) {
    int code = lite_conn_own(&n->conn, LITE_COUNT_OBJECTS, err); /* opens the log */
    for (size_t i = 0; code == 0 && i < SQL_COUNT; i++)
        if ((db_catalogue[i].point || db_catalogue[i].few) && db_catalogue[i].sqlite)
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

bool lite_inline_read(struct lite_inline *n, const struct lite_call *call, struct db_rows *out) {
    bool few = db_catalogue[call->stmt].few;
    if (!n->on || !(few || db_catalogue[call->stmt].point) || FAILPOINT("db.read") < 0)
        return false;
    struct lite_call bounded = *call;
    bounded.row_count_max = ROW_COUNT_MAX;
    bounded.copy_bytes_max = COPY_BYTES_MAX;
    lite_nowait_begin(&n->layer, READ_BYTES_MAX);
    sqlite3_progress_handler(n->conn.db, few ? LIST_OPS_MAX : 0, few ? too_long : NULL, NULL);
    if (lite_conn_run(&n->conn, &bounded, out, NULL, NULL) == 0) {
        n->reads++;
        metric_add(n->read_count, 1);
        return true;
    }
    n->fallbacks++;
    metric_add(n->fallback_count, 1);
    n->on = !n->layer.unsupported;
    return false;
}
