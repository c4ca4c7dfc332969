/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.c - what is left of threads, runs and items that other runtimes deleted.
 *
 * They delete rows of the shared tables and know nothing of ours: head, log, states, runs. A walk
 * by key over the heads, a page at a time, looks each one's thread up; another one does so with the
 * runs. What has lost its row goes, unless a run of it is live: that one comes to its end first.
 * Words and vectors are looked at the same way; those of an item that was changed go, too. */
#include "store/orphans.h"

#include "base/mem.h"
#include "store/threads.h"

#define PAGE 1000

static int delete_thread(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ORPHAN_THREAD_DELETE, DB_PARAMS(DB_UUID(id)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    thread_delete_rest_add(s, &b, id);
    return db_commit(s->db, &b, err);
}

static int delete_run(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ORPHAN_RUN_DELETE, DB_PARAMS(DB_UUID(id)), DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(s->db, &b, err);
}

/* A title of a thread that had no head: it never ran here. */
static int delete_conversation(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ORPHAN_CONVERSATION_DELETE, DB_PARAMS(DB_UUID(id)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(s->db, &b, err);
}

static int sweep_page(struct store *s, enum db_stmt page, struct id *at,
                      int (*delete_one)(struct store *s, struct id id, struct arena *a,
                                        struct err *err),
                      struct arena *a, int64_t *removed, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, page, DB_PARAMS(DB_UUID(*at), DB_I(PAGE)), a, &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        bool lost = db_int(&rows, i, 1) != 0;
        *at = db_id(&rows, i, 0);
        if (lost)
            rc = delete_one(s, *at, a, err);
        *removed += lost && rc == 0;
        if (rc == ERR_CONFLICT) {
            err_reset(err);
            rc = 0;
        }
    }
    if (rc == 0 && rows.row_count < PAGE)
        *at = ID_NIL;
    return rc;
}

static void item_set(struct orphans_cursor *at, const struct db_rows *rows, size_t row) {
    for (int i = 0; i < 3; i++) {
        mem_free(at->item[i]);
        at->item[i] = rows ? mem_strdup(db_str(rows, row, (size_t)i).p) : NULL;
    }
}

static int sweep_texts(struct store *s, struct orphans_cursor *at, struct arena *a,
                       int64_t *removed, struct err *err) {
    struct db_rows rows;
    struct db_batch b;
    str after[3];
    for (int i = 0; i < 3; i++)
        after[i] = at->item[i] ? str_of(at->item[i]) : STR("");
    int rc = db_read(s->db, SQL_ORPHAN_ITEM_TEXTS,
                     DB_PARAMS(DB_T(after[0]), DB_T(after[1]), DB_T(after[2]), DB_I(PAGE)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    db_batch_init(&b, a);
    for (size_t i = 0; i < rows.row_count; i++)
        if (db_int(&rows, i, 3))
            db_batch_add(&b, SQL_ORPHAN_ITEM_TEXT_DELETE,
                         DB_PARAMS(DB_T(db_str(&rows, i, 0)), DB_T(db_str(&rows, i, 1)),
                                   DB_T(db_str(&rows, i, 2))),
                         DB_EXPECT_NONE);
    rc = b.count ? db_commit(s->db, &b, err) : 0;
    *removed += rc == 0 ? (int64_t)b.count : 0;
    if (rc == 0)
        item_set(at, rows.row_count < PAGE ? NULL : &rows, rows.row_count - 1);
    return rc;
}

static int sweep_vectors(struct store *s, struct orphans_cursor *at, struct arena *a,
                         int64_t *removed, struct err *err) {
    struct db_rows rows;
    struct db_batch b;
    int rc = db_read(s->db, SQL_ORPHAN_ITEM_VECTORS, DB_PARAMS(DB_I(at->vector), DB_I(PAGE)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    db_batch_init(&b, a);
    for (size_t i = 0; i < rows.row_count; i++)
        if (db_int(&rows, i, 1))
            db_batch_add(&b, SQL_ORPHAN_ITEM_VECTOR_DELETE, DB_PARAMS(DB_I(db_int(&rows, i, 0))),
                         DB_EXPECT_NONE);
    rc = b.count ? db_commit(s->db, &b, err) : 0;
    *removed += rc == 0 ? (int64_t)b.count : 0;
    if (rc == 0)
        at->vector = rows.row_count < PAGE ? 0 : db_int(&rows, PAGE - 1, 0);
    return rc;
}

int orphans_sweep(struct store *s, struct orphans_cursor *at, struct arena *a, int64_t *out_removed,
                  struct err *err) {
    int64_t removed = 0;
    int rc = sweep_page(s, SQL_ORPHAN_THREADS, &at->thread, delete_thread, a, &removed, err);
    if (rc == 0)
        rc = sweep_page(s, SQL_ORPHAN_RUNS, &at->run, delete_run, a, &removed, err);
    if (rc == 0)
        rc = sweep_page(s, SQL_ORPHAN_CONVERSATIONS, &at->conversation, delete_conversation, a,
                        &removed, err);
    if (rc == 0)
        rc = sweep_texts(s, at, a, &removed, err);
    if (rc == 0)
        rc = sweep_vectors(s, at, a, &removed, err);
    *out_removed = removed;
    return rc;
}

void orphans_cursor_deinit(struct orphans_cursor *at) { item_set(at, NULL, 0); }
