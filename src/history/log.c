/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - the thread's append-only log.
 *
 * One statement moves the counter of the thread's row on by n, then each entry is inserted at
 * counter - (n - 1 - i), so numbers are taken and used in the same transaction: a batch that rolls
 * back takes none, and no two batches can take the same ones. */
#include "history/log.h"

#include "history/parts.h"
#include "store/threads.h"

#define STALE_READS_MAX 4 /* of a page, of which something is deleted meanwhile */

size_t log_append_add(struct db_batch *b, struct id thread_id, const struct log_entry *entries,
                      size_t count, const struct log_counter *counter) {
    ASSERT(count > 0);
    size_t op = counter
                    ? counter->add(counter->ctx, b, (int64_t)count)
                    : db_batch_add(b, SQL_LOG_BUMP,
                                   DB_PARAMS(DB_UUID(thread_id), DB_I((int64_t)count)),
                                   DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    for (size_t i = 0; i < count; i++) {
        const struct log_entry *e = &entries[i];
        str data = e->kind == LOG_TASK ? log_parts_take(b, thread_id, e->data) : e->data;
        db_batch_add(b, SQL_LOG_INSERT,
                     DB_PARAMS(DB_UUID(thread_id), DB_I((int64_t)(count - 1 - i)),
                               DB_UUID(e->run_id), DB_I(e->kind), DB_I(e->at), DB_T(data)),
                     DB_EXPECT_NONE);
    }
    return op;
}

int64_t log_last_seq(const struct db_batch *b, size_t op) {
    ASSERT(op < b->count && b->ops[op].rows.row_count == 1);
    return db_int(&b->ops[op].rows, 0, 0);
}

static void entries_of(const struct db_rows *rows, struct arena *a, struct log_entry **out,
                       size_t *out_count) {
    *out = ARENA_ARRAY(a, struct log_entry, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++) {
        (*out)[i] = (struct log_entry){
            .seq = db_int(rows, i, 0),
            .run_id = db_id(rows, i, 1),
            .kind = (enum log_kind)db_int(rows, i, 2),
            .at = db_int(rows, i, 3),
            .data = db_str(rows, i, 4),
        };
    }
    *out_count = rows->row_count;
}

static int read_page(struct store *s, enum db_stmt stmt, const struct db_value *params,
                     size_t param_count, struct arena *a, struct log_entry **out, size_t *out_count,
                     struct err *err) {
    struct log_entry *entries = NULL;
    struct db_rows rows;
    size_t count = 0;
    bool stale = true;
    for (int i = 0; stale && i < STALE_READS_MAX; i++) {
        int rc = db_read(s->db, stmt, params, param_count, a, &rows, err);
        if (rc < 0)
            return rc;
        entries_of(&rows, a, &entries, &count);
        rc = log_parts_fill(s, params[0].id, entries, count, a, &stale, err);
        if (rc < 0)
            return rc;
    }
    if (stale)
        return err_set(err, ERR_CORRUPT, "an entry of the log refers to a text that is missing");
    *out = entries;
    *out_count = count;
    return 0;
}

int log_read(struct store *s, struct id thread_id, int64_t after, int64_t limit, struct arena *a,
             struct log_entry **out, size_t *out_count, struct err *err) {
    return read_page(s, SQL_LOG_PAGE, DB_PARAMS(DB_UUID(thread_id), DB_I(after), DB_I(limit)), a,
                     out, out_count, err);
}

int log_read_newest(struct store *s, struct id thread_id, int64_t limit, struct arena *a,
                    struct log_entry **out, size_t *out_count, struct err *err) {
    return read_page(s, SQL_LOG_NEWEST, DB_PARAMS(DB_UUID(thread_id), DB_I(limit)), a, out,
                     out_count, err);
}

int log_heads(struct store *s, const struct id *threads, size_t thread_count, struct arena *a,
              struct log_head **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    str ids = thread_ids_json(a, threads, thread_count);
    int rc = db_read(s->db, SQL_LOG_HEADS, DB_PARAMS(DB_T(ids)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct log_head, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = (struct log_head){db_id(&rows, i, 0), db_int(&rows, i, 1)};
    *out_count = rows.row_count;
    return 0;
}

int log_last_start(struct store *s, struct id thread_id, int64_t seq, struct arena *a, int64_t *out,
                   struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_LOG_LAST_OF_KIND,
                     DB_PARAMS(DB_UUID(thread_id), DB_I(seq), DB_I(LOG_START)), a, &rows, err);
    if (rc == 0)
        *out = rows.row_count ? db_int(&rows, 0, 0) - 1 : 0;
    return rc;
}
