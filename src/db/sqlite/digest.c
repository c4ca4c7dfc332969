/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - one number for the contents of all tables.
 *
 * Each row hashes to 128 bits over its table's name and its cells (type, length, bytes; integers
 * and doubles as eight bytes, little end first). The digest is the sum of the rows' hashes, high
 * and low half each modulo 2^64, so the order in which a driver gives rows does not matter and
 * a row that stands twice counts twice. */
#include <endian.h>
#include <stdio.h>
#include <xxhash.h>

#include "db/sqlite/lite_int.h"

static void add_number(XXH3_state_t *state, char type, uint64_t bits) {
    bits = htole64(bits);
    XXH3_128bits_update(state, &type, 1);
    XXH3_128bits_update(state, &bits, sizeof(bits));
}

static void add_cell(XXH3_state_t *state, sqlite3_stmt *s, int at) {
    switch (sqlite3_column_type(s, at)) {
    case SQLITE_INTEGER:
        add_number(state, 'i', (uint64_t)sqlite3_column_int64(s, at));
        return;
    case SQLITE_FLOAT: {
        double d = sqlite3_column_double(s, at);
        uint64_t bits;
        memcpy(&bits, &d, sizeof(bits));
        add_number(state, 'd', bits);
        return;
    }
    case SQLITE_TEXT:
    case SQLITE_BLOB: {
        bool text = sqlite3_column_type(s, at) == SQLITE_TEXT;
        const void *p = sqlite3_column_blob(s, at); /* of a text: its bytes */
        int len = sqlite3_column_bytes(s, at);
        add_number(state, text ? 't' : 'b', (uint64_t)len);
        if (len > 0)
            XXH3_128bits_update(state, p, (size_t)len);
        return;
    }
    default:
        add_number(state, 'n', 0);
    }
}

static int add_table(struct lite_conn *c, const struct db_table *table, XXH3_state_t *state,
                     XXH128_hash_t *sum, struct err *err) {
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(c->db, table->scan, -1, 0, &s, NULL) != SQLITE_OK)
        return lite_error(c->db, table->name, err);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        XXH3_128bits_reset(state);
        XXH3_128bits_update(state, table->name, strlen(table->name) + 1);
        for (int i = 0; i < sqlite3_column_count(s); i++)
            add_cell(state, s, i);
        XXH128_hash_t h = XXH3_128bits_digest(state);
        sum->low64 += h.low64;
        sum->high64 += h.high64;
    }
    int code = rc == SQLITE_DONE ? 0 : lite_error(c->db, table->name, err);
    sqlite3_finalize(s);
    return code;
}

int lite_digest(struct lite_conn *c, char out[DB_DIGEST_LEN + 1], struct err *err) {
    XXH3_state_t *state = XXH3_createState();
    ASSERT(state);
    XXH128_hash_t sum = {0};
    int code = 0;
    for (size_t i = 0; code == 0 && i < db_sqlite_table_count; i++)
        code = add_table(c, &db_sqlite_tables[i], state, &sum, err);
    XXH3_freeState(state);
    if (code == 0)
        (void)snprintf(out, DB_DIGEST_LEN + 1, "%016llx%016llx", (unsigned long long)sum.high64,
                       (unsigned long long)sum.low64);
    return code;
}
