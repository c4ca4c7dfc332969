/* SPDX-License-Identifier: Apache-2.0 */
/* api_keys.c - the records of API keys in the key/value table of the server's settings.
 *
 * Design: they are few, written by people, read by digest; a table of their own would say the same
 * as the key/value table does. They stand under a name that no setting has as its owner.
 *
 * Invariant: a revoked key keeps its row, so that the table also tells what there was. */
#include "store/api_keys.h"

#include "base/clock.h"

#define KEYS STR("api_keys")

int api_keys_put(struct store *s, str digest, str record, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_KV_PUT,
                 DB_PARAMS(DB_T(KEYS), DB_T(digest), DB_B(record), DB_I(clock_wall_us())),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int api_keys_get(struct store *s, str digest, struct arena *a, bool *out_found, str *out_record,
                 struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_KV_GET, DB_PARAMS(DB_T(KEYS), DB_T(digest)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out_found = rows.row_count > 0;
    *out_record = *out_found ? db_str(&rows, 0, 0) : STR_NULL;
    return 0;
}

int api_keys_list(struct store *s, str after, int64_t limit, struct arena *a,
                  struct api_key_row **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_KV_LIST, DB_PARAMS(DB_T(KEYS), DB_T(after), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct api_key_row *list = ARENA_ARRAY(a, struct api_key_row, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct api_key_row){db_str(&rows, i, 0), db_str(&rows, i, 1)};
    *out = list;
    *out_count = rows.row_count;
    return 0;
}
