/* SPDX-License-Identifier: Apache-2.0 */
/* crons.c - crons and their firings.
 *
 * Invariant: an instant of a cron is decided once. The row (cron, instant) is unique, it is
 * written in the batch that makes the run and moves the cron on, and only for the cron as it was
 * read: a change in between, or another process that was faster, fails the whole batch. Decided
 * instants are kept for a day; a cron never goes back behind the last of them, so older ones are
 * not needed. */
#include "store/crons.h"

#include "base/clock.h"

#define FIRINGS_KEPT_US (INT64_C(86400) * 1000000)

#define SORT(name)                                                                                 \
    { SQL_CRON_SEARCH_##name##_DESC, SQL_CRON_SEARCH_##name##_ASC }
static const enum db_stmt SEARCH[][2] = {
    [CRON_BY_CREATED] = SORT(CREATED), [CRON_BY_UPDATED] = SORT(UPDATED),
    [CRON_BY_ID] = SORT(ID),           [CRON_BY_ASSISTANT] = SORT(ASSISTANT),
    [CRON_BY_THREAD] = SORT(THREAD),   [CRON_BY_NEXT] = SORT(NEXT),
    [CRON_BY_END] = SORT(END),
};
STATIC_ASSERT(SORT_DESC == 0 && SORT_ASC == 1, "the order is an index of the table above");

static int not_found(struct err *err) { return err_set(err, ERR_NOT_FOUND, "Cron not found"); }

static struct cron from_row(const struct db_rows *r, size_t row) {
    return (struct cron){
        .id = db_id(r, row, 0),
        .owner = db_str(r, row, 1),
        .assistant_id = db_id(r, row, 2),
        .thread_id = db_id(r, row, 3),
        .schedule = db_str(r, row, 4),
        .timezone = db_str(r, row, 5),
        .end_us = db_int(r, row, 6),
        .enabled = db_int(r, row, 7) != 0,
        .keep = str_eq(db_str(r, row, 8), STR("keep")),
        .payload = db_str(r, row, 9),
        .metadata = db_str(r, row, 10),
        .next_us = db_int(r, row, 11),
        .fired_us = db_int(r, row, 12),
        .created_at = db_int(r, row, 13),
        .updated_at = db_int(r, row, 14),
    };
}

static void list_from_rows(const struct db_rows *rows, struct arena *a, struct cron **out,
                           size_t *out_count) {
    *out = ARENA_ARRAY(a, struct cron, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        (*out)[i] = from_row(rows, i);
    *out_count = rows->row_count;
}

static struct db_value completed(const struct cron *c) {
    return DB_T(c->keep ? STR("keep") : STR("delete"));
}

int cron_create(struct store *s, const struct principal *who, struct cron *c, int64_t count_max,
                struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    if (id_is_nil(c->id))
        c->id = id_v7();
    c->owner = who->owner;
    c->created_at = c->updated_at = clock_wall_us();
    db_batch_add(&b, SQL_CRON_INSERT,
                 DB_PARAMS(DB_UUID(c->id), DB_T(c->owner), DB_UUID(c->assistant_id),
                           db_uuid_or_null(c->thread_id), DB_T(c->schedule), DB_T(c->timezone),
                           db_time_or_null(c->end_us), DB_I(c->enabled), completed(c),
                           DB_T(c->payload), DB_T(c->metadata), db_time_or_null(c->next_us),
                           DB_I(c->created_at), DB_I(count_max)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    store_ride(s, &b, c->created_at);
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, ERR_LIMIT, "There can be at most %lld crons", (long long)count_max);
    return rc;
}

int cron_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
             struct cron *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_CRON_GET, who, id, "Cron not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = from_row(&rows, 0);
    return 0;
}

int cron_update(struct store *s, const struct principal *who, const struct cron *read,
                struct cron *c, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    int64_t now = clock_wall_us();
    c->updated_at = now > read->updated_at ? now : read->updated_at + 1; /* it names the content */
    db_batch_add(&b, SQL_CRON_UPDATE,
                 DB_PARAMS(DB_UUID(c->id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_I(read->updated_at),
                           DB_UUID(c->assistant_id), DB_T(c->schedule), DB_T(c->timezone),
                           db_time_or_null(c->end_us), DB_I(c->enabled), completed(c),
                           DB_T(c->payload), DB_T(c->metadata), db_time_or_null(c->next_us),
                           DB_I(c->updated_at), db_time_or_null(read->next_us)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(s->db, &b, err);
}

int cron_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_CRON_DELETE,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(err) : rc;
}

static struct db_value enabled_of(const struct cron_filter *f) {
    return f->enabled ? DB_I(*f->enabled) : DB_NIL;
}

int cron_search(struct store *s, const struct principal *who, const struct cron_filter *f,
                const struct page *page, struct arena *a, struct cron **out, size_t *out_count,
                struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SEARCH[f->sort][page->order],
                DB_PARAMS(DB_T(who->owner), db_uuid_or_null(f->assistant_id),
                          db_uuid_or_null(f->thread_id), enabled_of(f),
                          DB_T(f->metadata.p ? f->metadata : STR("{}")),
                          DB_I(page->limit), DB_I(page->offset)),
                a, &rows, err);
    if (rc == 0)
        list_from_rows(&rows, a, out, out_count);
    return rc;
}

int cron_count(struct store *s, const struct principal *who, const struct cron_filter *f,
               struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_CRON_COUNT,
                DB_PARAMS(DB_T(who->owner), db_uuid_or_null(f->assistant_id),
                          db_uuid_or_null(f->thread_id), enabled_of(f),
                          DB_T(f->metadata.p ? f->metadata : STR("{}"))),
                a, &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}

/* --- firing --- */

int cron_list_due(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                  struct cron **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_CRON_DUE, DB_PARAMS(DB_I(now_us), DB_I(limit)), a, &rows, err);
    if (rc == 0)
        list_from_rows(&rows, a, out, out_count);
    return rc;
}

int cron_next_due(struct store *s, struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_CRON_NEXT_DUE, DB_NO_PARAMS, a, &rows, err);
    if (rc == 0)
        *out = rows.row_count ? db_int(&rows, 0, 0) : 0;
    return rc;
}

int cron_list_strangers(struct store *s, int64_t limit, struct arena *a, struct cron **out,
                        size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_CRON_STRANGERS, DB_PARAMS(DB_I(limit)), a, &rows, err);
    if (rc == 0)
        list_from_rows(&rows, a, out, out_count);
    return rc;
}

int cron_adopt(struct store *s, struct id id, int64_t next_us, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_CRON_ADOPT, DB_PARAMS(DB_UUID(id), db_time_or_null(next_us)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

static void advance_add(struct db_batch *b, const struct cron *c, int64_t next_us,
                        struct db_expect expect) {
    db_batch_add(
        b, SQL_CRON_ADVANCE,
        DB_PARAMS(DB_UUID(c->id), DB_I(c->next_us), DB_I(c->updated_at), db_time_or_null(next_us)),
        expect);
}

void cron_fire_add(struct db_batch *b, const struct cron *c, struct id run_id, str error,
                   int64_t next_us, int64_t now_us) {
    db_batch_add(b, SQL_CRON_FIRE,
                 DB_PARAMS(DB_UUID(c->id), DB_I(c->next_us), DB_I(c->updated_at),
                           db_uuid_or_null(run_id), DB_T(error), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
    advance_add(b, c, next_us, DB_EXPECT_CHANGE(ERR_FENCED));
    db_batch_add(b, SQL_CRON_FIRINGS_TRIM,
                 DB_PARAMS(DB_UUID(c->id), DB_I(c->next_us - FIRINGS_KEPT_US)), DB_EXPECT_NONE);
}

int cron_move_on(struct store *s, const struct cron *c, int64_t next_us, struct arena *a,
                 struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    advance_add(&b, c, next_us, DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int cron_firings(struct store *s, struct id id, int64_t limit, struct arena *a,
                 struct cron_firing **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_CRON_FIRINGS_OF, DB_PARAMS(DB_UUID(id), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct cron_firing, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = (struct cron_firing){.scheduled_us = db_int(&rows, i, 0),
                                         .run_id = db_id(&rows, i, 1),
                                         .error = db_str(&rows, i, 2),
                                         .decided_us = db_int(&rows, i, 3)};
    *out_count = rows.row_count;
    return 0;
}
