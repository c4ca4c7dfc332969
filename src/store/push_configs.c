/* SPDX-License-Identifier: Apache-2.0 */
/* push_configs.c - rows of those who are told of a task's end.
 *
 * Between a run that ends and a configuration that comes nothing is lost: adding one holds the
 * run's state, so either the end sees it, or the second statement of its own batch sees the end.
 * Token and credentials are kept as they are, since they are sent. */
#include "store/push_configs.h"

static struct push_config from_row(const struct db_rows *r, size_t row) {
    return (struct push_config){.thread_id = db_id(r, row, 0),
                                .run_id = db_id(r, row, 1),
                                .id = db_str(r, row, 2),
                                .owner = db_str(r, row, 3),
                                .v1 = str_eq(db_str(r, row, 4), STR("1.0")),
                                .url = db_str(r, row, 5),
                                .token = db_str(r, row, 6),
                                .scheme = db_str(r, row, 7),
                                .credentials = db_str(r, row, 8)};
}

static struct db_value text(str s) { return DB_T(s.p ? s : STR("")); }

static void put_add(struct db_batch *b, const struct push_config *c, int64_t now_us,
                    struct db_expect expect) {
    db_batch_add(b, SQL_PUSH_CONFIG_PUT,
                 DB_PARAMS(DB_T(c->id), DB_UUID(c->thread_id), DB_UUID(c->run_id), text(c->owner),
                           DB_T(c->v1 ? STR("1.0") : STR("0.3")), DB_T(c->url), text(c->token),
                           text(c->scheme), text(c->credentials), DB_I(now_us),
                           DB_I(PUSH_COUNT_MAX)),
                 expect);
}

void push_config_add(struct db_batch *b, const struct push_config *c, int64_t now_us) {
    put_add(b, c, now_us, DB_EXPECT_NONE);
}

int push_config_put(struct store *s, const struct push_config *c, int64_t now_us, struct arena *a,
                    struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    put_add(&b, c, now_us, DB_EXPECT_CHANGE(ERR_LIMIT));
    db_batch_add(&b, SQL_PUSH_TOLD_LATE,
                 DB_PARAMS(DB_UUID(c->run_id), DB_T(c->id), DB_I(now_us), DB_I(now_us / 1000)),
                 DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "a task has at most %d configurations", PUSH_COUNT_MAX);
    return rc;
}

int push_config_get(struct store *s, struct id run_id, str id, struct arena *a,
                    struct push_config *out, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_PUSH_CONFIG_GET, DB_PARAMS(DB_UUID(run_id), DB_T(id)), a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "Configuration not found");
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int push_config_list(struct store *s, struct id run_id, struct arena *a, struct push_config **out,
                     size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PUSH_CONFIG_LIST, DB_PARAMS(DB_UUID(run_id), DB_I(PUSH_COUNT_MAX)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct push_config, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = from_row(&rows, i);
    *out_count = rows.row_count;
    return 0;
}

int push_config_delete(struct store *s, struct id run_id, str id, struct arena *a,
                       struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PUSH_CONFIG_DELETE, DB_PARAMS(DB_UUID(run_id), DB_T(id)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Configuration not found") : rc;
}

void push_told_add(struct db_batch *b, struct id run_id, int64_t now_us) {
    db_batch_add(b, SQL_PUSH_TOLD, DB_PARAMS(DB_UUID(run_id), DB_I(now_us), DB_I(now_us / 1000)),
                 DB_EXPECT_NONE);
}
