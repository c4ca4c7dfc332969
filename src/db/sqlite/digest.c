/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - the digest of a SQLite database: all rows of all tables of its migrations.
 *
 * The sum itself is db/digest.c's. Cells are looked at in place; an empty blob comes from SQLite as
 * NULL with a length of 0. */
#include "db/digest.h"

#include "db/sqlite/lite_int.h"

static struct db_value cell_of(sqlite3_stmt *s, int at) {
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        return DB_I(sqlite3_column_int64(s, at));
    case SQLITE_FLOAT:
        return DB_D(sqlite3_column_double(s, at));
    case SQLITE_TEXT:
    case SQLITE_BLOB: {
        bool text = sqlite3_column_type(s, at) == SQLITE_TEXT;
        const void *p = sqlite3_column_blob(s, at); /* of a text: its bytes */
        size_t len = (size_t)sqlite3_column_bytes(s, at);
        return (struct db_value){text ? DB_TEXT : DB_BLOB, {.s = str_n(p ? p : "", len)}};
    }
    default:
        return DB_NIL;
    }
}

static int add_table(struct lite_conn *c, const struct db_table *table, struct db_digest_sum *sum,
                     struct err *err) {
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(c->db, table->scan, -1, 0, &s, NULL) != SQLITE_OK)
        return lite_error(c->db, table->name, err);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        db_digest_row(sum, table->name);
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            struct db_value v = cell_of(s, i);
            db_digest_cell(sum, &v);
        }
        db_digest_row_end(sum);
    }
    int code = rc == SQLITE_DONE ? 0 : lite_error(c->db, table->name, err);
    sqlite3_finalize(s);
    return code;
}

int lite_digest(struct lite_conn *c, char out[DB_DIGEST_LEN + 1], struct err *err) {
    struct db_digest_sum sum;
    char digest[DB_DIGEST_LEN + 1];
    int code = 0;
    db_digest_begin(&sum);
    for (size_t i = 0; code == 0 && i < db_sqlite_table_count; i++)
        code = add_table(c, &db_sqlite_tables[i], &sum, err);
    db_digest_end(&sum, digest);
    if (code == 0)
        memcpy(out, digest, sizeof(digest));
    return code;
}
