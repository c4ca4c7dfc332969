/* SPDX-License-Identifier: Apache-2.0 */
/* plan_work.c - steps of plans that somebody outside does.
 *
 * A claim is one statement: it takes the first of the queue that nobody else is just taking, and
 * counts their tokens on. Everything that is written of a lease names its token. */
#include "store/plan_work.h"

#define WORK_COLUMNS 14

static enum work_status status_of(str word) {
    static const char *const words[] = {"ready", "leased", "done", "over"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (str_eq(word, str_of(words[i])))
            return (enum work_status)i;
    return WORK_OVER; /* the table checks the word */
}

static enum run_state state_of(str word) {
    enum run_state state;
    return run_state_parse(word, &state) ? state : RUN_STATE_FAILED;
}

static struct work_row work_from_row(const struct db_rows *r, size_t row) {
    return (struct work_row){
        .plan_id = db_id(r, row, 0),
        .position = db_int(r, row, 1),
        .owner = db_str(r, row, 2),
        .queue = db_str(r, row, 3),
        .status = status_of(db_str(r, row, 4)),
        .token = db_int(r, row, 5),
        .attempt = db_int(r, row, 6),
        .lost = db_int(r, row, 7),
        .worker = db_str(r, row, 8),
        .claimed_at = db_int(r, row, 9),
        .lease_until = db_int(r, row, 10),
        .deadline_at = db_int(r, row, 11),
        .done_token = db_is_null(r, row, 12) ? -1 : db_int(r, row, 12),
        .done_as = db_str(r, row, 13),
    };
}

static void take_rows(struct arena *a, const struct db_rows *rows, struct work_row **out,
                      size_t *out_count) {
    struct work_row *list = ARENA_ARRAY(a, struct work_row, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = work_from_row(rows, i);
    *out = list;
    *out_count = rows->row_count;
}

/* --- offering --- */

void work_offer_add(struct db_batch *b, struct id plan_id, str owner,
                    const struct work_offer *offers, size_t count, int64_t now_us) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "p");
        jw_i64(&w, offers[i].position);
        jw_key(&w, "q");
        jw_str(&w, offers[i].queue);
        jw_key(&w, "r");
        jw_i64(&w, -offers[i].priority);
        jw_key(&w, "a");
        jw_i64(&w, offers[i].attempt);
        jw_key(&w, "t");
        jw_i64(&w, offers[i].timeout_us);
        jw_key(&w, "l");
        jw_i64(&w, offers[i].losses);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    str rows = arena_take(b->arena, &text);
    db_batch_add(
        b, SQL_WORK_OFFER,
        DB_PARAMS(DB_UUID(plan_id), DB_T(owner.p ? owner : STR("")), DB_I(now_us), DB_T(rows)),
        DB_EXPECT_NONE);
}

void work_close_add(struct db_batch *b, struct id plan_id, const uint32_t *positions,
                    size_t count) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        jw_i64(&w, positions[i]);
    jw_array_end(&w);
    str list = arena_take(b->arena, &text);
    db_batch_add(b, SQL_WORK_CLOSE, DB_PARAMS(DB_UUID(plan_id), DB_T(list)), DB_EXPECT_NONE);
}

void work_end_add(struct db_batch *b, struct id thread_id) {
    db_batch_add(b, SQL_WORK_END, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
}

/* --- leases --- */

int work_any(struct store *s, const struct principal *who, str queue, int64_t now_us,
             struct arena *a, bool *out, struct err *err) {
    struct db_rows rows;
    int rc = who->all ? db_read(s->db, SQL_WORK_ANY_OWNER, DB_PARAMS(DB_T(queue), DB_I(now_us)), a,
                                &rows, err)
                      : db_read(s->db, SQL_WORK_ANY,
                                DB_PARAMS(DB_T(principal_owner(who)), DB_T(queue),
                                          DB_I(now_us)),
                                a, &rows, err);
    if (rc == 0)
        *out = rows.row_count > 0;
    return rc;
}

int work_claim(struct store *s, const struct principal *who, const struct work_lease *lease,
               int64_t now_us, struct arena *a, struct work_ref **out, size_t *out_count,
               struct err *err) {
    struct db_batch b;
    struct db_value now = DB_I(now_us), until = DB_I(now_us + lease->lease_us);
    struct db_value queue = DB_T(lease->queue), worker = DB_T(lease->worker);
    db_batch_init(&b, a);
    if (who->all)
        db_batch_add(&b, SQL_WORK_CLAIM_OWNER,
                     DB_PARAMS(queue, DB_I(lease->limit), now, until, worker), DB_EXPECT_NONE);
    else
        db_batch_add(&b, SQL_WORK_CLAIM,
                     DB_PARAMS(DB_T(principal_owner(who)), queue, now, until, worker,
                               DB_I(lease->limit)),
                     DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    const struct db_rows *rows = &b.ops[0].rows;
    struct work_ref *list = ARENA_ARRAY(a, struct work_ref, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = (struct work_ref){db_id(rows, i, 0), db_int(rows, i, 1), db_int(rows, i, 2)};
    *out = list;
    *out_count = rows->row_count;
    return 0;
}

void work_step_add(struct db_batch *b, const struct work_ref *ref, const struct work_mark *m,
                   int code) {
    db_batch_add(b, SQL_WORK_STEP,
                 DB_PARAMS(DB_UUID(ref->plan_id), DB_I(ref->position), DB_I(ref->token),
                           DB_T(run_state_name(m->status)), DB_I(m->attempt),
                           db_time_or_null(m->started_at), DB_T(m->error)),
                 DB_EXPECT_CHANGE(code));
}

void work_done_add(struct db_batch *b, const struct work_ref *ref, const struct work_result *r,
                   int code) {
    db_batch_add(b, SQL_WORK_DONE,
                 DB_PARAMS(DB_UUID(ref->plan_id), DB_I(ref->position), DB_I(ref->token),
                           DB_T(r->done_as), DB_T(run_state_name(r->outcome)), DB_T(r->output),
                           DB_T(r->error), DB_I(r->lost)),
                 DB_EXPECT_CHANGE(code));
}

void work_again_add(struct db_batch *b, const struct work_ref *ref, const struct work_result *r,
                    int64_t ready_at, int code) {
    db_batch_add(b, SQL_WORK_AGAIN,
                 DB_PARAMS(DB_UUID(ref->plan_id), DB_I(ref->position), DB_I(ref->token),
                           DB_T(r->done_as), DB_I(ready_at), DB_I(r->lost), DB_T(r->error)),
                 DB_EXPECT_CHANGE(code));
}

void work_progress_add(struct db_batch *b, const struct work_ref *ref, size_t count, size_t max,
                       int code) {
    db_batch_add(b, SQL_WORK_PROGRESS,
                 DB_PARAMS(DB_UUID(ref->plan_id), DB_I(ref->position), DB_I(ref->token),
                           DB_I((int64_t)count), DB_I((int64_t)max)),
                 DB_EXPECT_CHANGE(code));
}

int work_extend(struct store *s, const struct work_ref *refs, size_t count, int64_t until,
                struct arena *a, int64_t *out_until, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    for (size_t i = 0; i < count; i++)
        db_batch_add(&b, SQL_WORK_EXTEND,
                     DB_PARAMS(DB_UUID(refs[i].plan_id), DB_I(refs[i].position),
                               DB_I(refs[i].token), DB_I(until)),
                     DB_EXPECT_NONE);
    int rc = count ? db_commit(s->db, &b, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct db_rows *rows = &b.ops[i].rows;
        out_until[i] = rows->row_count ? db_int(rows, 0, 0) : 0;
    }
    return rc;
}

/* --- reading --- */

static str refs_text(struct arena *a, const struct work_ref *refs, size_t count) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "i");
        jw_str(&w, id_hex(a, refs[i].plan_id));
        jw_key(&w, "p");
        jw_i64(&w, refs[i].position);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    return arena_take(a, &text);
}

int work_get(struct store *s, const struct principal *who, const struct work_ref *refs,
             size_t count, struct arena *a, struct work_item **out, size_t *out_count,
             struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_GET,
                     DB_PARAMS(DB_T(refs_text(a, refs, count)), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who))),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct work_item *list = ARENA_ARRAY(a, struct work_item, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct work_item){
            .row = work_from_row(&rows, i),
            .thread_id = db_id(&rows, i, WORK_COLUMNS),
            .run_id = db_id(&rows, i, WORK_COLUMNS + 1),
            .plan_status = state_of(db_str(&rows, i, WORK_COLUMNS + 2)),
            .project = db_str(&rows, i, WORK_COLUMNS + 3),
            .name = db_str(&rows, i, WORK_COLUMNS + 4),
            .tool = db_str(&rows, i, WORK_COLUMNS + 5),
            .inputs = db_str(&rows, i, WORK_COLUMNS + 6),
            .spec = db_str(&rows, i, WORK_COLUMNS + 7),
            .key = db_str(&rows, i, WORK_COLUMNS + 8),
            .spent = db_int(&rows, i, WORK_COLUMNS + 9),
        };
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int work_of_plan(struct store *s, struct id plan_id, struct arena *a, struct work_row **out,
                 size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_OF_PLAN, DB_PARAMS(DB_UUID(plan_id)), a, &rows, err);
    if (rc == 0)
        take_rows(a, &rows, out, out_count);
    return rc;
}

int work_results(struct store *s, struct id plan_id, int64_t limit, struct arena *a,
                 struct work_taken **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_WORK_RESULTS, DB_PARAMS(DB_UUID(plan_id), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct work_taken *list = ARENA_ARRAY(a, struct work_taken, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct work_taken){work_from_row(&rows, i),
                                      {.outcome = state_of(db_str(&rows, i, WORK_COLUMNS)),
                                       .output = db_str(&rows, i, WORK_COLUMNS + 1),
                                       .error = db_str(&rows, i, WORK_COLUMNS + 2)}};
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int work_expiring(struct store *s, int64_t limit, struct arena *a, struct work_row **out,
                  size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_EXPIRING, DB_PARAMS(DB_I(limit)), a, &rows, err);
    if (rc == 0)
        take_rows(a, &rows, out, out_count);
    return rc;
}

int work_oldest(struct store *s, struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_OLDEST, DB_NO_PARAMS, a, &rows, err);
    if (rc == 0)
        *out = rows.row_count ? db_int(&rows, 0, 0) : 0;
    return rc;
}

int work_late(struct store *s, int64_t before, int64_t limit, struct arena *a,
              struct work_late **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_LATE, DB_PARAMS(DB_I(before), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct work_late *list = ARENA_ARRAY(a, struct work_late, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct work_late){.owner = db_str(&rows, i, 0),
                                     .queue = db_str(&rows, i, 1),
                                     .ready_at = db_int(&rows, i, 2),
                                     .plan_id = db_id(&rows, i, 3),
                                     .position = db_int(&rows, i, 4)};
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

void work_late_tell_add(struct db_batch *b, struct id plan_id, int64_t position, int code) {
    db_batch_add(b, SQL_WORK_LATE_TELL, DB_PARAMS(DB_UUID(plan_id), DB_I(position)),
                 DB_EXPECT_CHANGE(code));
}

int work_leased(struct store *s, const struct principal *who, str queue, int64_t limit,
                struct arena *a, struct work_leased *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORK_LEASED,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_T(queue), DB_I(limit)), a, &rows,
                     err);
    if (rc == 0)
        *out = (struct work_leased){db_int(&rows, 0, 0), db_int(&rows, 0, 1)};
    return rc;
}
