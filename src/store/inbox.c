/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - rows of the inbox: its sources, and what they brought.
 *
 * The secret of a source is kept as it is, since signatures are made with it. */
#include "store/inbox.h"

#include "model/words.h"

static const struct word STATUS_LIST[] = {
    {STR("kept"), INBOX_KEPT}, {STR("started"), INBOX_STARTED}, {STR("failed"), INBOX_FAILED}};
const struct word_set INBOX_STATUSES = {STATUS_LIST, ARRAY_COUNT(STATUS_LIST)};

/* --- sources --- */

static struct inbox_source source_of_row(const struct db_rows *r, size_t row) {
    int scheme = INBOX_STANDARD;
    (void)word_parse(&INBOX_SCHEMES, db_str(r, row, 3), &scheme); /* the table checks it */
    return (struct inbox_source){.id = db_id(r, row, 0),
                                 .owner = db_str(r, row, 1),
                                 .name = db_str(r, row, 2),
                                 .rule = {.scheme = (enum inbox_scheme)scheme,
                                          .header = db_str(r, row, 4),
                                          .key_header = db_str(r, row, 5),
                                          .secret = db_str(r, row, 6)},
                                 .action = db_str(r, row, 7),
                                 .retention_us = db_int(r, row, 8),
                                 .version = db_int(r, row, 9),
                                 .created_at = db_int(r, row, 10),
                                 .updated_at = db_int(r, row, 11),
                                 .origins = db_str(r, row, 12)};
}

static int source_unknown(int rc, struct err *err) {
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Source not found") : rc;
}

static int name_taken(int rc, struct err *err) {
    return rc == ERR_EXISTS ? err_set(err, rc, "There is a source of this name") : rc;
}

int inbox_source_create(struct store *s, struct inbox_source *h, struct arena *a, struct err *err) {
    struct db_batch b;
    h->version = 1;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_INBOX_SOURCE_INSERT,
                 DB_PARAMS(DB_UUID(h->id), DB_T(h->owner.p ? h->owner : STR("")), DB_T(h->name),
                           DB_T(word_text(&INBOX_SCHEMES, (int)h->rule.scheme)),
                           DB_T(h->rule.header), DB_T(h->rule.key_header), DB_T(h->rule.secret),
                           DB_T(h->action), DB_I(h->retention_us), DB_I(h->created_at),
                           DB_I(INBOX_SOURCE_COUNT_MAX), DB_T(h->origins)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "There can be at most %d sources", INBOX_SOURCE_COUNT_MAX);
    return name_taken(rc, err);
}

int inbox_source_list(struct store *s, const struct principal *who, struct arena *a,
                      struct inbox_source **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_INBOX_SOURCE_LIST,
                DB_PARAMS(DB_T(principal_owner(who)), DB_I(INBOX_SOURCE_COUNT_MAX)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct inbox_source *list = ARENA_ARRAY(a, struct inbox_source, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = source_of_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int inbox_source_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                     struct inbox_source *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_INBOX_SOURCE_GET, who, id, "Source not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = source_of_row(&rows, 0);
    return 0;
}

int inbox_source_update(struct store *s, const struct principal *who, struct inbox_source *h,
                        struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_INBOX_SOURCE_UPDATE,
                 DB_PARAMS(DB_UUID(h->id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_I(h->version), DB_T(h->name),
                           DB_T(word_text(&INBOX_SCHEMES, (int)h->rule.scheme)),
                           DB_T(h->rule.header), DB_T(h->rule.key_header), DB_T(h->rule.secret),
                           DB_T(h->action), DB_I(h->retention_us), DB_I(h->updated_at),
                           DB_T(h->origins)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_CONFLICT)
        return err_set(err, rc, "The source was changed meanwhile");
    h->version += rc == 0;
    return name_taken(rc, err);
}

int inbox_source_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                        struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_INBOX_SOURCE_DELETE,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&b, SQL_INBOX_DROP, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    return source_unknown(db_commit(s->db, &b, err), err);
}

/* --- deliveries --- */

static struct inbox_delivery of_row(const struct db_rows *r, size_t row) {
    int status = INBOX_KEPT;
    (void)word_parse(&INBOX_STATUSES, db_str(r, row, 6), &status); /* the table checks it */
    return (struct inbox_delivery){.id = db_id(r, row, 0),
                                   .source_id = db_id(r, row, 1),
                                   .owner = db_str(r, row, 2),
                                   .key = db_str(r, row, 3),
                                   .digest = db_str(r, row, 4),
                                   .event = db_str(r, row, 5),
                                   .status = (enum inbox_status)status,
                                   .thread_id = db_id(r, row, 7),
                                   .run_id = db_id(r, row, 8),
                                   .error = db_str(r, row, 9),
                                   .received_at = db_int(r, row, 10),
                                   .expires_at = db_int(r, row, 11)};
}

void inbox_put_add(struct db_batch *b, const struct inbox_delivery *d) {
    db_batch_add(b, SQL_INBOX_PUT,
                 DB_PARAMS(DB_UUID(d->id), DB_UUID(d->source_id), DB_T(d->key), DB_T(d->digest),
                           DB_T(d->event), DB_T(word_text(&INBOX_STATUSES, (int)d->status)),
                           db_uuid_or_null(d->thread_id), db_uuid_or_null(d->run_id),
                           DB_T(d->error), DB_I(d->received_at), DB_I(d->expires_at)),
                 DB_EXPECT_CHANGE(ERR_REPEATED));
}

int inbox_put(struct store *s, const struct inbox_delivery *d, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    inbox_put_add(&b, d);
    return db_commit(s->db, &b, err);
}

void inbox_again_add(struct db_batch *b, const struct inbox_delivery *d) {
    db_batch_add(b, SQL_INBOX_AGAIN,
                 DB_PARAMS(DB_UUID(d->id), DB_T(word_text(&INBOX_STATUSES, (int)d->status)),
                           db_uuid_or_null(d->thread_id), db_uuid_or_null(d->run_id),
                           DB_T(d->error)),
                 DB_EXPECT_CHANGE(ERR_REPEATED));
}

int inbox_again(struct store *s, const struct inbox_delivery *d, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    inbox_again_add(&b, d);
    return db_commit(s->db, &b, err);
}

int inbox_find(struct store *s, struct id source_id, str key, int64_t now_us, struct arena *a,
               bool *out_found, struct inbox_delivery *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_INBOX_FIND, DB_PARAMS(DB_UUID(source_id), DB_T(key), DB_I(now_us)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    *out_found = rows.row_count > 0;
    if (*out_found)
        *out = (struct inbox_delivery){.id = db_id(&rows, 0, 0), .digest = db_str(&rows, 0, 1)};
    return 0;
}

int inbox_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
              struct inbox_delivery *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_INBOX_GET, who, id, "Delivery not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = of_row(&rows, 0);
    return 0;
}

int inbox_list(struct store *s, const struct principal *who, const struct inbox_filter *f,
               struct arena *a, struct inbox_delivery **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    struct db_value params[] = {DB_T(principal_owner(who)),
                                DB_UUID(id_is_nil(f->before) ? ID_LAST : f->before), DB_I(f->limit),
                                DB_UUID(f->source_id)};
    bool of_source = !f->failed && !id_is_nil(f->source_id);
    enum db_stmt stmt = f->failed   ? SQL_INBOX_LIST_FAILED
                        : of_source ? SQL_INBOX_LIST_OF_SOURCE
                                    : SQL_INBOX_LIST;
    int rc = db_read(s->db, stmt, params, of_source ? 4 : 3, a, &rows, err);
    if (rc < 0)
        return rc;
    struct inbox_delivery *list = ARENA_ARRAY(a, struct inbox_delivery, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = of_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int inbox_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                 struct err *err) {
    return store_delete_owned(s, SQL_INBOX_DELETE, who, id, "Delivery not found", a, err);
}

int inbox_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_INBOX_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}
