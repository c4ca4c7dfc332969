/* SPDX-License-Identifier: Apache-2.0 */
/* dead.c - the list of steps that failed for good.
 *
 * Each filter is a range of an index of a table that holds nothing else, read by keyset: ids are
 * ordered by time. Of one plan it is read whole, which has no more steps than a plan may. */
#include "store/dead.h"

static const struct word REASONS[] = {{{"attempts", 8}, DEAD_ATTEMPTS},
                                      {{"refused", 7}, DEAD_REFUSED},
                                      {{"quarantined", 11}, DEAD_QUARANTINED}};
const struct word_set DEAD_REASON_WORDS = {REASONS, ARRAY_COUNT(REASONS)};

static struct dead_row dead_from_row(const struct db_rows *r, size_t row) {
    return (struct dead_row){
        .id = db_id(r, row, 0),
        .plan_id = db_id(r, row, 1),
        .position = db_int(r, row, 2),
        .owner = db_str(r, row, 3),
        .project = db_str(r, row, 4),
        .tool = db_str(r, row, 5),
        .reason = db_str(r, row, 6),
        .died_at = db_int(r, row, 7),
        .name = db_str(r, row, 8),
        .error = db_str(r, row, 9),
        .attempt = db_int(r, row, 10),
        .losses = db_int(r, row, 11),
    };
}

/* --- writing --- */

void dead_add(struct db_batch *b, struct id plan_id, str owner, str project,
              const struct dead_step *steps, size_t count, int64_t now_us) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "i");
        jw_str(&w, id_hex(b->arena, steps[i].id));
        jw_key(&w, "p");
        jw_i64(&w, steps[i].position);
        jw_key(&w, "t");
        jw_str(&w, steps[i].tool);
        jw_key(&w, "r");
        jw_str(&w, word_text(&DEAD_REASON_WORDS, (int)steps[i].reason));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    db_batch_add(b, SQL_DEAD_INSERT,
                 DB_PARAMS(DB_UUID(plan_id), DB_T(owner.p ? owner : STR("")), DB_T(project),
                           DB_I(now_us), DB_T(arena_take(b->arena, &text))),
                 DB_EXPECT_NONE);
}

void dead_revive_add(struct db_batch *b, struct id plan_id, str positions) {
    db_batch_add(b, SQL_DEAD_REVIVE, DB_PARAMS(DB_UUID(plan_id), DB_T(positions)),
                 DB_EXPECT_NONE);
}

int dead_discard(struct store *s, const struct principal *who, const struct id *ids, size_t count,
                 struct arena *a, size_t *out_count, struct err *err) {
    struct db_batch b;
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        jw_str(&w, id_hex(a, ids[i]));
    jw_array_end(&w);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_DEAD_DISCARD,
                 DB_PARAMS(DB_T(principal_owner(who)), DB_T(arena_take(a, &text))),
                 DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_count = (size_t)b.ops[0].changed;
    return rc;
}

/* --- reading --- */

int dead_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
             struct dead_row *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_DEAD_GET, who, id, "Dead step not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = dead_from_row(&rows, 0);
    return 0;
}

static int read_page(struct store *s, const struct principal *who, const struct dead_filter *f,
                     struct arena *a, struct db_rows *rows, struct err *err) {
    struct db_value owner = DB_T(principal_owner(who));
    struct db_value before = DB_UUID(id_is_nil(f->before) ? ID_LAST : f->before);
    struct db_value tool_low = DB_T(f->tool.p ? f->tool : STR(""));
    struct db_value tool_high = DB_T(f->tool.p ? f->tool : STR_LAST);
    if (!id_is_nil(f->plan_id))
        return db_read(s->db, SQL_DEAD_PAGE_PLAN,
                       DB_PARAMS(DB_UUID(f->plan_id), before, DB_I(f->limit), owner, owner,
                                 tool_low, tool_high, DB_T(f->project.p ? f->project : STR("")),
                                 DB_T(f->project.p ? f->project : STR_LAST)),
                       a, rows, err);
    if (f->project.p)
        return db_read(s->db, SQL_DEAD_PAGE_PROJECT,
                       DB_PARAMS(owner, before, DB_I(f->limit), DB_T(f->project), tool_low,
                                 tool_high),
                       a, rows, err);
    if (f->tool.p)
        return db_read(s->db, SQL_DEAD_PAGE_TOOL,
                       DB_PARAMS(owner, before, DB_I(f->limit), tool_low), a, rows, err);
    return db_read(s->db, SQL_DEAD_PAGE, DB_PARAMS(owner, before, DB_I(f->limit)), a, rows, err);
}

int dead_list(struct store *s, const struct principal *who, const struct dead_filter *f,
              struct arena *a, struct dead_row **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = read_page(s, who, f, a, &rows, err);
    if (rc < 0)
        return rc;
    struct dead_row *list = ARENA_ARRAY(a, struct dead_row, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = dead_from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}
