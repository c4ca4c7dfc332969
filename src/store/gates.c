/* SPDX-License-Identifier: Apache-2.0 */
/* gates.c - gates of steps in plans.
 *
 * Opening gates is one statement, whatever their number. The list of an owner's pending gates is
 * one range of the index by owner, status and id; ids are ordered by time, so a page begins behind
 * the last id of the one before. */
#include "store/gates.h"

#define STEP_IS_OVER STR("the step is over")

static struct gate_row gate_from_row(const struct db_rows *r, size_t row) {
    struct gate_row g = {
        .id = db_id(r, row, 0),
        .plan_id = db_id(r, row, 1),
        .position = db_int(r, row, 2),
        .number = db_int(r, row, 3),
        .owner = db_str(r, row, 4),
        .spec = db_str(r, row, 5),
        .status = GATE_FAILED,
        .version = db_int(r, row, 7),
        .evidence = db_str(r, row, 8),
        .actor = db_str(r, row, 9),
        .reason = db_str(r, row, 10),
        .created_at = db_int(r, row, 11),
        .expires_at = db_int(r, row, 12),
        .decided_at = db_int(r, row, 13),
    };
    (void)gate_status_parse(db_str(r, row, 6), &g.status); /* the table checks the word */
    return g;
}

static void take_rows(struct arena *a, const struct db_rows *rows, struct gate_row **out,
                      size_t *out_count) {
    struct gate_row *list = ARENA_ARRAY(a, struct gate_row, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = gate_from_row(rows, i);
    *out = list;
    *out_count = rows->row_count;
}

/* --- writing --- */

void gates_open_add(struct db_batch *b, struct id plan_id, str owner, const struct gate_open *gates,
                    size_t count, int64_t now_us) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "i");
        jw_str(&w, id_hex(b->arena, gates[i].id));
        jw_key(&w, "p");
        jw_i64(&w, gates[i].position);
        jw_key(&w, "n");
        jw_i64(&w, gates[i].number);
        jw_key(&w, "s");
        jw_raw(&w, gates[i].spec);
        if (gates[i].expires_us) {
            jw_key(&w, "e");
            jw_i64(&w, gates[i].expires_us);
        }
        jw_object_end(&w);
    }
    jw_array_end(&w);
    str rows = arena_take(b->arena, &text);
    db_batch_add(
        b, SQL_GATES_INSERT,
        DB_PARAMS(DB_UUID(plan_id), DB_T(owner.p ? owner : STR("")), DB_I(now_us), DB_T(rows)),
        DB_EXPECT_NONE);
}

void gate_write_add(struct db_batch *b, const struct gate_row *row, int code) {
    db_batch_add(b, SQL_GATE_WRITE,
                 DB_PARAMS(DB_UUID(row->id), DB_I(row->version),
                           DB_T(gate_status_name(row->status)), DB_T(row->evidence),
                           DB_T(row->actor), DB_T(row->reason),
                           row->decided_at ? DB_I(row->decided_at) : DB_T(STR_NULL)),
                 DB_EXPECT_CHANGE(code));
}

void gates_close_add(struct db_batch *b, struct id plan_id, int64_t now_us) {
    db_batch_add(b, SQL_GATES_CLOSE, DB_PARAMS(DB_UUID(plan_id), DB_I(now_us), DB_T(STEP_IS_OVER)),
                 DB_EXPECT_NONE);
}

void gates_end_add(struct db_batch *b, struct id thread_id, int64_t now_us) {
    db_batch_add(b, SQL_GATES_END, DB_PARAMS(DB_UUID(thread_id), DB_I(now_us), DB_T(STEP_IS_OVER)),
                 DB_EXPECT_NONE);
}

void gates_forget_add(struct db_batch *b, struct id plan_id, str positions) {
    db_batch_add(b, SQL_GATES_FORGET, DB_PARAMS(DB_UUID(plan_id), DB_T(positions)), DB_EXPECT_NONE);
}

void plan_touch_live_add(struct db_batch *b, struct id plan_id, int code, int64_t now_us) {
    db_batch_add(b, SQL_PLAN_TOUCH_LIVE, DB_PARAMS(DB_UUID(plan_id), DB_I(now_us)),
                 DB_EXPECT_CHANGE(code));
}

/* --- reading --- */

int gate_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
             struct gate_row *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_GATE_GET, who, id, "Gate not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = gate_from_row(&rows, 0);
    return 0;
}

int gate_find(struct store *s, const struct principal *who, struct id plan_id,
              const struct gate_step *step, struct arena *a, struct gate_place *out,
              struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_GATE_FIND,
                     DB_PARAMS(DB_UUID(plan_id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who)), DB_I(step->position),
                               DB_T(step->position < 0 ? step->name : STR_NULL)),
                     a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "Gate not found");
    if (rc < 0)
        return rc;
    *out = (struct gate_place){.plan_status = RUN_STATE_FAILED,
                               .thread_id = db_id(&rows, 0, 6),
                               .step_count = db_int(&rows, 0, 1),
                               .spec = db_str(&rows, 0, 3)};
    (void)run_state_parse(db_str(&rows, 0, 0), &out->plan_status); /* the table checks the word */
    for (size_t i = 0; i < rows.row_count; i++) {
        int64_t number = db_is_null(&rows, i, 4) ? -1 : db_int(&rows, i, 4);
        if (number >= 0 && number < GATES_PER_STEP_MAX &&
            db_int(&rows, i, 2) == db_int(&rows, 0, 2))
            out->ids[number] = db_id(&rows, i, 5);
    }
    return 0;
}

int gate_list(struct store *s, const struct principal *who, const struct gate_filter *f,
              struct arena *a, struct gate_row **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    str low = f->status ? gate_status_name(*f->status) : STR("");
    int rc;
    if (id_is_nil(f->plan_id))
        rc = db_read(
            s->db, SQL_GATE_PAGE,
            DB_PARAMS(DB_T(principal_owner(who)), DB_T(low), DB_UUID(f->after), DB_I(f->limit)), a,
            &rows, err);
    else
        rc = db_read(s->db, SQL_GATES_OF_PLAN,
                     DB_PARAMS(DB_UUID(f->plan_id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who)), DB_UUID(f->after), DB_T(low),
                               DB_T(f->status ? low : STR_LAST), DB_I(f->limit)),
                     a, &rows, err);
    if (rc == 0)
        take_rows(a, &rows, out, out_count);
    return rc;
}

int gates_expiring(struct store *s, int64_t limit, struct arena *a, struct gate_row **out,
                   size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_GATES_EXPIRING, DB_PARAMS(DB_I(limit)), a, &rows, err);
    if (rc == 0)
        take_rows(a, &rows, out, out_count);
    return rc;
}
