/* SPDX-License-Identifier: Apache-2.0 */
/* agent_logs.c - rows of agents' logs.
 *
 * Every way of asking is a range of one index, read from the newest on: of a session, of a
 * category, of a level, or all of an owner. What else is asked is looked at row by row, and since
 * few rows may meet it, a list ends after AGENT_LOG_SCAN_MAX rows and says where to go on. Those
 * that do not meet it come without their texts, so that they cost little.
 *
 * A batch of logs is one statement with one parameter, whatever its size. */
#include "store/agent_logs.h"

static const struct word LEVELS[] = {{STR("debug"), AGENT_LOG_DEBUG},
                                     {STR("info"), AGENT_LOG_INFO},
                                     {STR("warn"), AGENT_LOG_WARN},
                                     {STR("error"), AGENT_LOG_ERROR}};
const struct word_set AGENT_LOG_LEVELS = {LEVELS, ARRAY_COUNT(LEVELS)};
static const struct word TIERS[] = {
    {STR("hot"), AGENT_LOG_HOT}, {STR("warm"), AGENT_LOG_WARM}, {STR("cold"), AGENT_LOG_COLD}};
const struct word_set AGENT_LOG_TIERS = {TIERS, ARRAY_COUNT(TIERS)};

static void write_id(struct json_writer *w, struct arena *a, const char *key, struct id id) {
    jw_key(w, key);
    jw_str(w, id_hex(a, id));
}

static void write_log(struct json_writer *w, struct arena *a, const struct agent_log *l) {
    jw_object(w);
    write_id(w, a, "id", l->id);
    write_id(w, a, "session_id", l->session_id);
    jw_key(w, "level");
    jw_str(w, l->level);
    jw_key(w, "category");
    jw_str(w, l->category);
    jw_key(w, "message");
    jw_str(w, l->message);
    jw_key(w, "bytes");
    jw_i64(w, (int64_t)(l->message.len + l->data.len));
    jw_key(w, "at");
    jw_i64(w, l->created_at);
    if (l->data.p) {
        jw_key(w, "data");
        jw_raw(w, l->data);
    }
    jw_object_end(w);
}

void agent_log_put_add(struct db_batch *b, const struct principal *who,
                       const struct agent_log *logs, size_t count) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_log(&w, b->arena, &logs[i]);
    jw_array_end(&w);
    db_batch_add(b, SQL_AGENT_LOG_PUT,
                 DB_PARAMS(DB_T(principal_owner(who)), DB_T(arena_take(b->arena, &text))),
                 DB_EXPECT_NONE);
}

static struct agent_log from_row(const struct db_rows *r, size_t row) {
    return (struct agent_log){
        .id = db_id(r, row, 0),
        .session_id = db_id(r, row, 1),
        .level = db_str(r, row, 2),
        .category = db_str(r, row, 3),
        .tier = db_str(r, row, 4),
        .created_at = db_int(r, row, 5),
        .message = db_str(r, row, 7),
        .data = db_str(r, row, 8),
    };
}

/* Which index, and what it is asked for; *out_left: is anything else asked? */
static enum db_stmt lead_of(const struct agent_log_query *q, struct db_value *out_lead,
                            bool *out_left) {
    int asked = (q->level.p != NULL) + (q->category.p != NULL);
    if (!id_is_nil(q->session_id)) {
        *out_lead = DB_UUID(q->session_id);
        *out_left = asked > 0;
        return SQL_AGENT_LOG_LIST_SESSION;
    }
    *out_left = asked > 1 || (asked > 0 && q->tier.p);
    if (q->category.p || q->level.p) {
        *out_lead = DB_T(q->category.p ? q->category : q->level);
        return q->category.p ? SQL_AGENT_LOG_LIST_BY_CATEGORY : SQL_AGENT_LOG_LIST_BY_LEVEL;
    }
    *out_lead = DB_NIL;
    return SQL_AGENT_LOG_LIST_USER;
}

size_t *agent_log_page(const struct db_rows *rows, const struct agent_log_query *q, int64_t scan,
                       size_t meets, size_t at, struct arena *a, size_t *out_count,
                       struct agent_log_next *next) {
    size_t *page = ARENA_ARRAY(a, size_t, (size_t)q->limit + 1), i = 0;
    *out_count = 0;
    for (; i < rows->row_count && (int64_t)*out_count < q->limit; i++)
        if (db_int(rows, i, meets))
            page[(*out_count)++] = i;
    *next = (struct agent_log_next){.more = i < rows->row_count || (int64_t)rows->row_count == scan,
                                    .at = i > 0 ? db_int(rows, i - 1, at) : 0,
                                    .id = i > 0 ? db_id(rows, i - 1, 0) : ID_NIL};
    return page;
}

int agent_log_list(struct store *s, const struct principal *who, const struct agent_log_query *q,
                   struct arena *a, struct agent_log **out, size_t *out_count,
                   struct agent_log_next *next, struct err *err) {
    struct db_rows rows;
    struct db_value lead;
    bool left;
    enum db_stmt stmt = lead_of(q, &lead, &left);
    int64_t scan = left ? AGENT_LOG_SCAN_MAX : q->limit;
    int rc = db_read(s->db, stmt,
                     DB_PARAMS(DB_T(principal_owner(who)), lead, DB_T(q->tier), DB_T(q->level),
                               DB_T(q->category), DB_I(q->since_us), DB_I(q->below_us),
                               DB_UUID(q->below_id), DB_I(scan)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    size_t *page = agent_log_page(&rows, q, scan, 6, 5, a, out_count, next);
    *out = ARENA_ARRAY(a, struct agent_log, *out_count + 1);
    for (size_t i = 0; i < *out_count; i++)
        (*out)[i] = from_row(&rows, page[i]);
    return 0;
}

int agent_log_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                  struct agent_log *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_AGENT_LOG_GET, who, id, "Log not found", a, &rows, err);
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int agent_log_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                     struct err *err) {
    return store_delete_owned(s, SQL_AGENT_LOG_DELETE, who, id, "Log not found", a, err);
}

int agent_log_delete_session(struct store *s, const struct principal *who, struct id session_id,
                             int64_t limit, struct arena *a, int64_t *out_deleted,
                             bool *out_more, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_AGENT_LOG_DELETE_SESSION,
                 DB_PARAMS(DB_T(principal_owner(who)), DB_UUID(session_id), DB_I(limit)),
                 DB_EXPECT_COUNT);
    db_batch_add(&b, SQL_AGENT_INSIGHT_DELETE_SESSION,
                 DB_PARAMS(DB_T(principal_owner(who)), DB_UUID(session_id), DB_I(limit)),
                 DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    *out_deleted = b.ops[0].changed;
    *out_more = b.ops[0].changed == limit || b.ops[1].changed == limit;
    return 0;
}

int agent_log_counts(struct store *s, const struct principal *who, struct arena *a,
                     struct agent_log_counts *out, struct err *err) {
    struct db_rows rows;
    int tier;
    int rc =
        db_read(s->db, SQL_AGENT_LOG_TIERS, DB_PARAMS(DB_T(principal_owner(who))), a, &rows, err);
    *out = (struct agent_log_counts){0};
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        if (!word_parse(&AGENT_LOG_TIERS, db_str(&rows, i, 0), &tier))
            return err_set(err, ERR_CORRUPT, "a log has a tier that there is none of");
        out->rows[tier] = db_int(&rows, i, 1);
        out->bytes[tier] = db_int(&rows, i, 2);
    }
    return rc;
}

/* In this order, so that one that is old enough for all of it goes in one batch. */
int agent_log_age(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                  int64_t *out_moved, bool *out_more, struct err *err) {
    const struct agent_log_options *o = &s->agent_logs;
    struct db_batch b;
    db_batch_init(&b, a);
    if (o->hot_us > 0)
        db_batch_add(
            &b, SQL_AGENT_LOG_MOVE,
            DB_PARAMS(DB_T(STR("hot")), DB_T(STR("warm")), DB_I(now_us - o->hot_us), DB_I(limit),
                      DB_I(o->insights)),
            DB_EXPECT_COUNT);
    if (o->warm_us > 0)
        db_batch_add(
            &b, SQL_AGENT_LOG_MOVE,
            DB_PARAMS(DB_T(STR("warm")), DB_T(STR("cold")), DB_I(now_us - o->warm_us), DB_I(limit),
                      DB_I(false)),
            DB_EXPECT_COUNT);
    if (o->cold_us > 0)
        db_batch_add(&b, SQL_AGENT_LOG_PURGE, DB_PARAMS(DB_I(now_us - o->cold_us), DB_I(limit)),
                     DB_EXPECT_COUNT);
    if (o->insights_us > 0)
        db_batch_add(&b, SQL_AGENT_INSIGHT_PURGE,
                     DB_PARAMS(DB_I(now_us - o->insights_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = b.count ? db_commit(s->db, &b, err) : 0;
    *out_moved = 0;
    *out_more = false;
    for (size_t i = 0; rc == 0 && i < b.count; i++) {
        *out_moved += b.ops[i].changed;
        *out_more = *out_more || b.ops[i].changed == limit;
    }
    return rc;
}
