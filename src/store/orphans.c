/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.c - what is left of threads and runs that other runtimes deleted.
 *
 * They delete rows of the shared tables and know nothing of ours: head, log, states, runs. A walk
 * by key over the heads, a page at a time, looks each one's thread up; another one does so with the
 * runs. What has lost its row goes, unless a run of it is live: that one comes to its end first. */
#include "store/orphans.h"

#include "store/threads.h"

#define PAGE 1000

static int delete_thread(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ORPHAN_THREAD_DELETE, DB_PARAMS(DB_UUID(id)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    thread_delete_rest_add(&b, id);
    return db_commit(s->db, &b, err);
}

static int delete_run(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ORPHAN_RUN_DELETE, DB_PARAMS(DB_UUID(id)), DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(s->db, &b, err);
}

static int sweep_page(struct store *s, enum db_stmt page, struct id *at,
                      int (*delete_one)(struct store *s, struct id id, struct arena *a,
                                        struct err *err),
                      struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, page, DB_PARAMS(DB_UUID(*at), DB_I(PAGE)), a, &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        *at = db_id(&rows, i, 0);
        if (db_int(&rows, i, 1))
            rc = delete_one(s, *at, a, err);
        if (rc == ERR_CONFLICT) {
            err_reset(err);
            rc = 0;
        }
    }
    if (rc == 0 && rows.row_count < PAGE)
        *at = ID_NIL;
    return rc;
}

int orphans_sweep(struct store *s, struct orphans_cursor *at, struct arena *a, struct err *err) {
    int rc = sweep_page(s, SQL_ORPHAN_THREADS, &at->thread, delete_thread, a, err);
    return rc < 0 ? rc : sweep_page(s, SQL_ORPHAN_RUNS, &at->run, delete_run, a, err);
}
