/* SPDX-License-Identifier: Apache-2.0 */
/* webhooks.c - rows of webhooks, and the statements that fill the outbox for them.
 *
 * The outbox is filled by the database: it joins the log's newest entries with whoever wants them,
 * so a batch needs to know neither, and a webhook that was made a moment ago by another process
 * misses nothing that is committed later. Its secret is kept as it is, since it signs. */
#include "store/webhooks.h"

#include "model/words.h"

static const struct word MODE_LIST[] = {{STR("batch"), WEBHOOK_BATCH},
                                        {STR("single"), WEBHOOK_SINGLE}};
const struct word_set WEBHOOK_MODES = {MODE_LIST, ARRAY_COUNT(MODE_LIST)};

static struct webhook from_row(const struct db_rows *r, size_t row) {
    int mode = WEBHOOK_BATCH;
    (void)word_parse(&WEBHOOK_MODES, db_str(r, row, 6), &mode); /* the table checks it */
    return (struct webhook){.id = db_id(r, row, 0),
                            .owner = db_str(r, row, 1),
                            .project = db_str(r, row, 2),
                            .url = db_str(r, row, 3),
                            .types = db_str(r, row, 4),
                            .steps = db_int(r, row, 5) != 0,
                            .mode = (enum webhook_mode)mode,
                            .secret = db_str(r, row, 7),
                            .gone = str_eq(db_str(r, row, 8), STR("gone")),
                            .created_at = db_int(r, row, 9),
                            .updated_at = db_int(r, row, 10),
                            .handshake = db_int(r, row, 11) != 0,
                            .rate = db_int(r, row, 12)};
}

static int not_found(int rc, struct err *err) {
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Webhook not found") : rc;
}

int webhook_create(struct store *s, const struct webhook *w, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_WEBHOOK_INSERT,
                 DB_PARAMS(DB_UUID(w->id), DB_T(w->owner.p ? w->owner : STR("")),
                           DB_T(w->project.p ? w->project : STR("")), DB_T(w->url), DB_T(w->types),
                           DB_I(w->steps), DB_T(word_text(&WEBHOOK_MODES, (int)w->mode)),
                           DB_T(w->secret), DB_T(STR("active")), DB_I(w->created_at),
                           DB_I(WEBHOOK_COUNT_MAX), DB_I(w->handshake), DB_I(w->rate)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "There can be at most %d webhooks", WEBHOOK_COUNT_MAX);
    return rc;
}

int webhook_list(struct store *s, const struct principal *who, struct arena *a,
                 struct webhook **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WEBHOOK_LIST,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_I(WEBHOOK_COUNT_MAX)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct webhook *list = ARENA_ARRAY(a, struct webhook, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int webhook_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                struct webhook *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_WEBHOOK_GET, who, id, "Webhook not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = from_row(&rows, 0);
    return 0;
}

int webhook_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                   struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_WEBHOOK_DELETE,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&b, SQL_WEBHOOK_DROP_DELIVERIES, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    return not_found(db_commit(s->db, &b, err), err);
}

static void status_add(struct db_batch *b, const struct principal *who, struct id id, str status,
                       int64_t now_us) {
    db_batch_add(b, SQL_WEBHOOK_STATUS,
                 DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_T(status), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

int webhook_enable(struct store *s, const struct principal *who, struct id id, int64_t now_us,
                   struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    status_add(&b, who, id, STR("active"), now_us);
    return not_found(db_commit(s->db, &b, err), err);
}

int webhook_gone(struct store *s, struct id id, int64_t now_us, struct arena *a, struct err *err) {
    struct db_batch b;
    static const struct principal server = {.all = true};
    db_batch_init(&b, a);
    status_add(&b, &server, id, STR("gone"), now_us);
    db_batch_add(&b, SQL_WEBHOOK_GIVE_UP,
                 DB_PARAMS(DB_UUID(id), DB_T(STR("the receiver is gone")), DB_I(now_us)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

/* --- the outbox --- */

size_t webhook_outbox_add(struct db_batch *b, struct id thread_id, int64_t count,
                          const int64_t kinds[2], int64_t now_us) {
    return db_batch_add(b, SQL_OUTBOX_ADD,
                        DB_PARAMS(DB_UUID(thread_id), DB_I(count), DB_I(kinds[0]), DB_I(kinds[1]),
                                  DB_I(now_us), DB_I(now_us / 1000)),
                        DB_EXPECT_NONE);
}

int webhook_replay(struct store *s, const struct webhook_replay *r, int64_t now_us, struct arena *a,
                   size_t *out_count, int64_t *out_last, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_OUTBOX_REPLAY,
                 DB_PARAMS(DB_UUID(r->webhook), DB_UUID(r->plan), DB_I(r->kind), DB_I(r->after),
                           DB_I(now_us), DB_I(now_us / 1000), DB_I(r->only), DB_I(r->until),
                           DB_I(r->limit)),
                 DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    const struct db_rows *rows = &b.ops[0].rows;
    *out_count = rows->row_count;
    *out_last = 0;
    for (size_t i = 0; i < rows->row_count; i++)
        if (db_int(rows, i, 0) > *out_last)
            *out_last = db_int(rows, i, 0);
    return 0;
}
