/* SPDX-License-Identifier: Apache-2.0 */
/* runs.c - run rows and the thread's side of a run's start and end.
 *
 * The thread's row is the slot: it names the run that executes, its attempt and its worker. A claim
 * takes the slot, each claim adds one to the attempt, and whoever writes for a run names all three
 * in the statement that takes the log numbers: a late writer changes no row and its batch fails
 * with ERR_FENCED. The status of a thread is derived in the statement thread_settle from the live
 * runs that remain, so no thread stays busy without one. */
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
    int rc = store_get_owned(s, SQL_RUN_GET, who, run_id, "Run not found", a, &rows, err);
    if (rc < 0)
        return rc;
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

int run_list_of_worker(struct store *s, struct id worker, struct id after, int64_t limit,
                       struct arena *a, struct run **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_PAGE_MINE,
                     DB_PARAMS(DB_UUID(worker), DB_UUID(after), DB_I(limit)), a, &rows, err);
    if (rc == 0)
        runs_from_rows(&rows, a, out, out_count);
    return rc;
}

int run_live_ids(struct store *s, struct id thread_id, int64_t limit, struct arena *a,
                 struct id **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_RUN_LIVE_IDS, DB_PARAMS(DB_UUID(thread_id), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct id, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_id(&rows, i, 0);
    *out_count = rows.row_count;
    return 0;
}

int run_live_list(struct store *s, const struct principal *who, struct id thread_id,
                  const enum run_status *status, struct id after, int64_t limit, struct arena *a,
                  struct id **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    str low = status ? run_status_name(*status) : STR("pending");
    str high = status ? low : STR("running");
    struct db_value params[] = {DB_T(principal_owner_low(who)),
                                DB_T(principal_owner_high(who)),
                                DB_T(low),
                                DB_T(high),
                                DB_UUID(after),
                                DB_I(limit),
                                DB_UUID(thread_id)};
    bool any = id_is_nil(thread_id);
    int rc = db_read(s->db, any ? SQL_RUN_LIVE_PAGE : SQL_RUN_LIVE_PAGE_THREAD, params,
                     ARRAY_COUNT(params) - any, a, &rows, err);
    if (rc < 0)
        return rc;
    struct id *list = ARENA_ARRAY(a, struct id, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = db_id(&rows, i, 0);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int run_adopt(struct store *s, struct id worker, int64_t now_us, int64_t limit, struct arena *a,
              int64_t *out_count, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_RUN_ADOPT, DB_PARAMS(DB_UUID(worker), DB_I(now_us), DB_I(limit)),
                 DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_count = b.ops[0].changed;
    return rc;
}

int run_place_get(struct store *s, struct id run_id, struct arena *a, struct run_place *out,
                  struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_PLACE, DB_PARAMS(DB_UUID(run_id)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Run not found");
    *out = (struct run_place){
        .thread_id = db_id(&rows, 0, 0),
        .status = RUN_ERROR,
        .attempt = db_int(&rows, 0, 2),
        .worker = db_id(&rows, 0, 3),
        .cancel_reason = db_str(&rows, 0, 5),
        .error = db_str(&rows, 0, 6),
        .seq = db_int(&rows, 0, 7),
        .slot_run = db_id(&rows, 0, 8),
    };
    enum run_status status;
    if (run_status_parse(db_str(&rows, 0, 1), &status))
        out->status = status;
    out->cancel_asked = cancel_action_parse(db_str(&rows, 0, 4), &out->cancel_action);
    return 0;
}

int run_wishes(struct store *s, struct id worker, int64_t limit, struct arena *a,
               struct run_wish **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_ASKED_CANCELS, DB_PARAMS(DB_UUID(worker), DB_I(limit)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct run_wish, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++) {
        (*out)[i] = (struct run_wish){.run_id = db_id(&rows, i, 0), .reason = db_str(&rows, i, 2)};
        if (!cancel_action_parse(db_str(&rows, i, 1), &(*out)[i].action))
            (*out)[i].action = CANCEL_INTERRUPT;
    }
    *out_count = rows.row_count;
    return 0;
}

int run_ask_cancel(struct store *s, struct id run_id, enum cancel_action action, str reason,
                   int64_t now_us, struct arena *a, bool *out_live, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_RUN_ASK_CANCEL,
        DB_PARAMS(DB_UUID(run_id), DB_T(cancel_action_name(action)), DB_T(reason), DB_I(now_us)),
        DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_live = b.ops[0].changed > 0;
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

int run_context_read(struct store *s, const struct principal *who,
                     const struct run_context_key *key, struct arena *a, struct run_context *out,
                     struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_RUN_CONTEXT,
                     DB_PARAMS(DB_UUID(key->assistant_id), DB_UUID(key->thread_id),
                               DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who)),
                               DB_I(key->time_us), DB_UUID(key->run_id)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    size_t rest = ASSISTANT_COLUMN_COUNT + THREAD_COLUMN_COUNT;
    *out = (struct run_context){.has_assistant = !db_is_null(&rows, 0, 0),
                                .has_thread = !db_is_null(&rows, 0, ASSISTANT_COLUMN_COUNT),
                                .slot_run = db_id(&rows, 0, rest),
                                .has_older = db_int(&rows, 0, rest + 1) != 0,
                                .head = db_id(&rows, 0, rest + 2),
                                .preferences = db_str(&rows, 0, rest + 3),
                                .overrides = db_str(&rows, 0, rest + 4),
                                .overrides_until = db_int(&rows, 0, rest + 5)};
    if (out->has_assistant)
        assistant_from_row(&rows, 0, 0, &out->assistant);
    if (out->has_thread)
        thread_from_row(&rows, 0, ASSISTANT_COLUMN_COUNT, &out->thread);
    return 0;
}

void run_context_copy(struct arena *a, const struct run_context *from, struct run_context *out) {
    ASSERT(!from->has_thread);
    struct run_context to = *from;
    struct assistant *s = &to.assistant;
    str *texts[] = {&s->owner,   &s->graph_id, &s->name,         &s->description, &s->config,
                    &s->context, &s->metadata, &to.preferences, &to.overrides};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        *texts[i] = arena_dup(a, *texts[i]);
    *out = to;
}

void run_insert_add(struct db_batch *b, const struct run *run, struct id worker) {
    db_batch_add(b, SQL_RUN_INSERT,
                 DB_PARAMS(DB_UUID(run->id), DB_UUID(run->thread_id), DB_UUID(run->assistant_id),
                           DB_T(run_status_name(run->status)), DB_T(run->metadata),
                           DB_T(run->kwargs), DB_T(run->multitask_strategy), DB_I(run->attempt),
                           DB_I(run->created_at), DB_UUID(worker)),
                 DB_EXPECT_NONE);
}

/* Where there is no statement for all of it, rows are made and changed one after the other. */
static size_t first_in_parts(struct db_batch *b, const struct run_first *f, int64_t log_count,
                             int64_t now_us) {
    struct run run = *f->run;
    struct run_hold hold = {run.thread_id, run.id, run.attempt, f->worker};
    run.status = RUN_RUNNING;
    thread_insert_add(b, f->who, f->thread, now_us);
    run_insert_add(b, &run, f->worker);
    return thread_begin_add(b, &hold, run.created_at, ID_NIL, NULL, f->checkpoint_id, log_count,
                            now_us);
}

size_t run_first_add(struct store *s, struct db_batch *b, const struct run_first *f,
                     int64_t log_count, int64_t now_us) {
    const struct thread_new *t = f->thread;
    const struct run *run = f->run;
    bool ends = t->ttl.us > 0;
    ASSERT(id_eq(t->id, run->thread_id));
    if (!db_knows(s->db, SQL_RUN_FIRST))
        return first_in_parts(b, f, log_count, now_us);
    return db_batch_add(
        b, SQL_RUN_FIRST,
        DB_PARAMS(DB_UUID(t->id), DB_T(f->who->owner), DB_T(store_metadata(b->arena, t->metadata)),
                  DB_T(t->config), DB_I(now_us),
                  ends ? DB_T(prune_strategy_name(t->ttl.strategy)) : DB_NIL,
                  ends ? DB_I(t->ttl.us) : DB_NIL, DB_UUID(run->id), DB_UUID(run->assistant_id),
                  DB_T(run->metadata), DB_T(run->kwargs), DB_T(run->multitask_strategy),
                  DB_I(run->attempt), DB_I(run->created_at), DB_UUID(f->worker), DB_I(log_count),
                  db_uuid_or_null(f->checkpoint_id)),
        DB_EXPECT_NONE);
}

void run_claim_add(struct db_batch *b, const struct run_hold *hold, int64_t attempt,
                   int64_t now_us) {
    db_batch_add(b, SQL_RUN_CLAIM,
                 DB_PARAMS(DB_UUID(hold->run_id), DB_I(attempt), DB_I(hold->attempt), DB_I(now_us),
                           DB_UUID(hold->worker)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void run_finish_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status,
                    str error, str cancel_reason, int64_t now_us) {
    db_batch_add(b, SQL_RUN_FINISH,
                 DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_T(run_status_name(status)),
                           DB_T(error), DB_T(cancel_reason), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void run_still_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status) {
    db_batch_add(b, SQL_RUN_STILL,
                 DB_PARAMS(DB_UUID(run_id), DB_I(attempt), DB_T(run_status_name(status))),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

#define HOLD_PARAMS(hold) DB_UUID((hold)->run_id), DB_I((hold)->attempt), DB_UUID((hold)->worker)

void run_hand_back_add(struct db_batch *b, const struct run_hold *hold, int64_t now_us) {
    db_batch_add(b, SQL_RUN_HAND_BACK,
                 DB_PARAMS(DB_UUID(hold->run_id), DB_I(hold->attempt), DB_I(now_us),
                           DB_UUID(hold->worker), DB_UUID(hold->thread_id)),
                 DB_EXPECT_NONE);
    db_batch_add(b, SQL_THREAD_HAND_BACK, DB_PARAMS(DB_UUID(hold->thread_id), HOLD_PARAMS(hold)),
                 DB_EXPECT_NONE);
}

void run_delete_add(struct db_batch *b, struct id thread_id, struct id run_id) {
    db_batch_add(b, SQL_RUN_DELETE, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(b, SQL_RUN_DELETE_EVENTS, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_NONE);
}

void run_rollback_add(const struct store *s, struct db_batch *b, struct id thread_id,
                      struct id run_id) {
    store_add_known(s, b, SQL_CHECKPOINT_DELETE_RUN_WRITES,
                    DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)));
    db_batch_add(b, SQL_CHECKPOINT_DELETE_RUN, DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id)),
                 DB_EXPECT_NONE);
    db_batch_add(b, SQL_THREAD_CHECKPOINT_RESET, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    db_batch_add(b, SQL_CHECKPOINT_TRIM_LISTS, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    run_delete_add(b, thread_id, run_id);
}

size_t thread_begin_add(struct db_batch *b, const struct run_hold *hold, int64_t run_time_us,
                        struct id head, const struct thread_merge *merge, struct id checkpoint_id,
                        int64_t log_count, int64_t now_us) {
    static const struct thread_merge nothing;
    const struct thread_merge *m = merge ? merge : &nothing;
    return db_batch_add(b, SQL_THREAD_BEGIN,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_T(m->read), DB_T(m->metadata),
                                  DB_I(now_us), db_uuid_or_null(checkpoint_id), DB_I(log_count),
                                  DB_T(m->config), DB_T(m->under), DB_T(m->over), HOLD_PARAMS(hold),
                                  DB_I(run_time_us), db_uuid_or_null(head)),
                        DB_EXPECT_CHANGE(ERR_CONFLICT));
}

bool run_begins_whole(const struct store *s) { return db_knows(s->db, SQL_RUN_BEGIN); }

size_t run_begin_add(struct db_batch *b, const struct run *run, const struct run_hold *hold,
                     struct id head, const struct thread_merge *m, struct id checkpoint_id,
                     int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_RUN_BEGIN,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_I(now_us),
                                  db_uuid_or_null(checkpoint_id), DB_I(log_count), DB_T(m->config),
                                  DB_T(m->under), DB_T(m->over), HOLD_PARAMS(hold),
                                  DB_I(run->created_at), db_uuid_or_null(head),
                                  DB_UUID(run->assistant_id), DB_T(run->metadata),
                                  DB_T(run->kwargs), DB_T(run->multitask_strategy)),
                        DB_EXPECT_CHANGE(ERR_CONFLICT));
}

size_t thread_queue_add(struct db_batch *b, struct id thread_id, const struct thread_merge *m,
                        int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_THREAD_QUEUE,
                        DB_PARAMS(DB_UUID(thread_id), DB_T(m->read), DB_T(m->metadata),
                                  DB_I(now_us), DB_I(log_count), DB_T(m->config), DB_T(m->under),
                                  DB_T(m->over)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

size_t thread_settle_add(struct db_batch *b, const struct run_hold *hold,
                         enum thread_status otherwise, str interrupts, str error,
                         struct id checkpoint_id, int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_THREAD_SETTLE,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_T(thread_status_name(otherwise)),
                                  DB_T(interrupts), DB_T(error), db_uuid_or_null(checkpoint_id),
                                  DB_I(now_us), DB_I(log_count), HOLD_PARAMS(hold)),
                        DB_EXPECT_CHANGE(ERR_FENCED));
}

size_t run_settle_add(struct db_batch *b, const struct run_hold *hold, const struct run_end *end,
                      enum thread_status otherwise, str interrupts, str error,
                      struct id checkpoint_id, int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_RUN_SETTLE,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_T(thread_status_name(otherwise)),
                                  DB_T(interrupts), DB_T(error), db_uuid_or_null(checkpoint_id),
                                  DB_I(now_us), DB_I(log_count), HOLD_PARAMS(hold),
                                  DB_T(run_status_name(end->status)), DB_T(end->error),
                                  DB_T(end->cancel_reason)),
                        DB_EXPECT_CHANGE(ERR_FENCED));
}

void thread_update_add(struct db_batch *b, const struct thread *t, struct id made,
                       enum thread_status status, int64_t now_us) {
    db_batch_add(b, SQL_THREAD_UPDATE_STATE,
                 DB_PARAMS(DB_UUID(t->id), db_uuid_or_null(t->checkpoint_id),
                           db_uuid_or_null(made), DB_T(thread_status_name(status)), DB_I(now_us),
                           DB_I(t->seq)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

size_t thread_checkpoint_add(struct db_batch *b, const struct run_hold *hold,
                             struct id checkpoint_id, int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_THREAD_CHECKPOINT,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_UUID(checkpoint_id), DB_I(now_us),
                                  DB_I(log_count), HOLD_PARAMS(hold)),
                        DB_EXPECT_CHANGE(ERR_FENCED));
}

size_t thread_log_add(struct db_batch *b, const struct run_hold *hold, int64_t log_count) {
    return db_batch_add(b, SQL_LOG_BUMP_RUN,
                        DB_PARAMS(DB_UUID(hold->thread_id), DB_I(log_count), HOLD_PARAMS(hold)),
                        DB_EXPECT_CHANGE(ERR_FENCED));
}

size_t thread_hold_add(struct db_batch *b, const struct run_hold *hold) {
    return db_batch_add(b, SQL_THREAD_HOLD, DB_PARAMS(DB_UUID(hold->thread_id), HOLD_PARAMS(hold)),
                        DB_EXPECT_CHANGE(ERR_FENCED));
}

void thread_delete_held_add(const struct store *s, struct db_batch *b,
                            const struct run_hold *hold) {
    static const struct principal server = {.all = true};
    if (db_knows(s->db, SQL_THREAD_DELETE_HELD)) {
        db_batch_add(b, SQL_THREAD_DELETE_HELD,
                     DB_PARAMS(DB_UUID(hold->thread_id), HOLD_PARAMS(hold)),
                     DB_EXPECT_CHANGE(ERR_FENCED));
        thread_delete_rest_add(s, b, hold->thread_id);
        return;
    }
    (void)thread_hold_add(b, hold);
    thread_delete_add(s, b, &server, hold->thread_id);
}

size_t thread_leave_add(struct db_batch *b, struct id thread_id, struct id run_id, bool asks_void,
                        int64_t log_count, int64_t now_us) {
    return db_batch_add(b, SQL_THREAD_LEAVE,
                        DB_PARAMS(DB_UUID(thread_id), DB_UUID(run_id), DB_I(now_us),
                                  DB_I(log_count), DB_I(asks_void)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}
