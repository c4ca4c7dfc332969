/* SPDX-License-Identifier: Apache-2.0 */
/* runs.c - run rows and the thread's side of a run's start and end.
 *
 * `attempt` fences: each claim adds one, and whoever writes for a run names the attempt it acts
 * for; a late writer changes no row and its batch fails with ERR_FENCED. The status of a thread is
 * derived in the statement thread_settle from the live runs that remain, so no thread stays busy
 * without one. */
#include "store/runs.h"

void run_from_row(const struct db_rows *r, size_t row, size_t col, struct run *out) {
    *out = (struct run){
        .status = RUN_ERROR, /* a word of a newer version */
        .id = db_id(r, row, col),
        .thread_id = db_id(r, row, col + 1),
        .assistant_id = db_id(r, row, col + 2),
        .metadata = db_str(r, row, col + 4),
        .kwargs = db_str(r, row, col + 5),
        .multitask_strategy = db_str(r, row, col + 6),
        .attempt = db_int(r, row, col + 7),
        .first_seq = db_int(r, row, col + 8),
        .cancel_reason = db_str(r, row, col + 9),
        .error = db_str(r, row, col + 10),
        .created_at = db_int(r, row, col + 11),
        .updated_at = db_int(r, row, col + 12),
    };
    enum run_status status;
    if (run_status_parse(db_str(r, row, col + 3), &status))
        out->status = status;
}

int run_get(struct store *s, const struct principal *who, struct id thread_id, struct id run_id,
            struct arena *a, struct run *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(
        s->db, SQL_RUN_GET,
        DB_PARAMS(DB_UUID(run_id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Run not found");
    struct run run = {0};
    run_from_row(&rows, 0, 0, &run);
    if (!id_is_nil(thread_id) && !id_eq(run.thread_id, thread_id))
        return err_set(err, ERR_NOT_FOUND, "Run not found");
    *out = run;
    return 0;
}

static void runs_from_rows(const struct db_rows *rows, struct arena *a, struct run **out,
                           size_t *out_count) {
    *out = ARENA_ARRAY(a, struct run, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        run_from_row(rows, i, 0, &(*out)[i]);
    *out_count = rows->row_count;
}

int run_list(struct store *s, const struct principal *who, struct id thread_id,
             const enum run_status *status, const struct page *page, struct arena *a,
             struct run **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_THREAD_VISIBLE,
                     DB_PARAMS(DB_UUID(thread_id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who))),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Thread with ID " STR_FMT " not found",
                       STR_ARG(id_dashed(a, thread_id)));
    str low = status ? run_status_name(*status) : STR("");
    str high = status ? run_status_name(*status) : STR("~");
    rc = db_read(
        s->db, SQL_RUN_PAGE,
        DB_PARAMS(DB_UUID(thread_id), DB_T(low), DB_T(high), DB_I(page->limit), DB_I(page->offset)),
        a, &rows, err);
    if (rc == 0)
        runs_from_rows(&rows, a, out, out_count);
    return rc;
}

int run_list_live(struct store *s, int64_t limit, struct id after, struct arena *a,
                  struct run **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_RUN_PAGE_LIVE, DB_PARAMS(DB_UUID(after), DB_I(limit)), a, &rows, err);
    if (rc == 0)
        runs_from_rows(&rows, a, out, out_count);
    return rc;
}

int run_delete(struct store *s, const struct principal *who, struct id thread_id, struct id run_id,
               struct arena *a, struct err *err) {
    struct run run;
    int rc = run_get(s, who, thread_id, run_id, a, &run, err);
    if (rc < 0)
        return rc;
    if (run.status == RUN_PENDING || run.status == RUN_RUNNING)
        return err_set(err, ERR_CONFLICT, "Cannot delete a run that is pending or running");
    struct db_batch b;
    db_batch_init(&b, a);
    run_delete_add(&b, run.thread_id, run_id);
    return db_commit(s->db, &b, err);
}

int run_context_read(struct store *s, const struct principal *who, struct id assistant_id,
                     struct id thread_id, struct arena *a, struct run_context *out,
                     struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_CONTEXT,
                     DB_PARAMS(DB_UUID(assistant_id), DB_UUID(thread_id),
                               DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    *out = (struct run_context){.has_assistant = !db_is_null(&rows, 0, 0),
                                .has_thread = !db_is_null(&rows, 0, ASSISTANT_COLUMN_COUNT)};
    if (out->has_assistant)
        assistant_from_row(&rows, 0, 0, &out->assistant);
    if (out->has_thread)
        thread_from_row(&rows, 0, ASSISTANT_COLUMN_COUNT, &out->thread);
    out->live_runs = db_int(&rows, 0, ASSISTANT_COLUMN_COUNT + THREAD_COLUMN_COUNT);
    return 0;
}

void run_insert_add(struct db_batch *b, const struct run *run) {
    db_batch_add(b, SQL_RUN_INSERT,
                 DB_PARAMS(DB_UUID(run->id), DB_UUID(run->thread_id), DB_UUID(run->assistant_id),
                           DB_T(run_status_name(run->status)), DB_T(run->metadata),
                           DB_T(run->kwargs), DB_T(run->multitask_strategy), DB_I(run->attempt),
                           DB_I(run->created_at)),
                 DB_EXPECT_NONE);
}

void run_claim_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us) {
    db_batch_add(b, SQL_RUN_CLAIM, DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void run_finish_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status,
                    str error, str cancel_reason, int64_t now_us) {
    db_batch_add(b, SQL_RUN_FINISH,
                 DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_T(run_status_name(status)),
                           DB_T(error), DB_T(cancel_reason), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void run_requeue_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us) {
    db_batch_add(b, SQL_RUN_REQUEUE, DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void run_hand_back_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us) {
    db_batch_add(b, SQL_RUN_HAND_BACK, DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_I(now_us)),
                 DB_EXPECT_NONE);
}

void run_delete_add(struct db_batch *b, struct id thread_id, struct id run_id) {
    db_batch_add(b, SQL_RUN_DELETE, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(b, SQL_RUN_DELETE_EVENTS, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_NONE);
}

void run_rollback_add(struct db_batch *b, struct id thread_id, struct id run_id) {
    db_batch_add(b, SQL_CHECKPOINT_DELETE_RUN, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_NONE);
    db_batch_add(b, SQL_THREAD_CHECKPOINT_RESET, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    db_batch_add(b, SQL_CHECKPOINT_TRIM_LISTS, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    run_delete_add(b, thread_id, run_id);
}

size_t thread_begin_add(struct db_batch *b, struct id thread_id, const struct thread_merge *merge,
                        struct id checkpoint_id, int64_t log_count, int64_t now_us) {
    static const struct thread_merge nothing;
    const struct thread_merge *m = merge ? merge : &nothing;
    struct db_value checkpoint = id_is_nil(checkpoint_id) ? DB_NIL : DB_UUID(checkpoint_id);
    return db_batch_add(b, SQL_THREAD_BEGIN,
                        DB_PARAMS(DB_UUID(thread_id), DB_T(m->read), DB_T(m->metadata),
                                  DB_I(now_us), checkpoint, DB_I(log_count), DB_T(m->config),
                                  DB_T(m->under), DB_T(m->over)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

size_t thread_settle_add(struct db_batch *b, struct id thread_id, enum thread_status otherwise,
                         str interrupts, str error, struct id checkpoint_id, int64_t log_count,
                         int64_t now_us) {
    struct db_value checkpoint = id_is_nil(checkpoint_id) ? DB_NIL : DB_UUID(checkpoint_id);
    return db_batch_add(b, SQL_THREAD_SETTLE,
                        DB_PARAMS(DB_UUID(thread_id), DB_T(thread_status_name(otherwise)),
                                  DB_T(interrupts), DB_T(error), checkpoint, DB_I(now_us),
                                  DB_I(log_count)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

size_t thread_checkpoint_add(struct db_batch *b, struct id thread_id, struct id checkpoint_id,
                             int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_THREAD_CHECKPOINT,
                        DB_PARAMS(DB_UUID(thread_id), DB_UUID(checkpoint_id), DB_I(now_us),
                                  DB_I(log_count)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}
