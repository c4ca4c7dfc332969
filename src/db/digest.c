/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - one number for the contents of all tables.
 *
 * Each row hashes to 128 bits over its table's name and its cells (type, length, bytes; integers
 * and doubles as eight bytes, little end first). The digest is the sum of the rows' hashes, high
 * and low half each modulo 2^64, so the order in which a driver gives rows does not matter and
 * a row that stands twice counts twice.
 *
 * A text that is a JSON object or array counts in its canonical form (keys sorted, no blanks): one
 * database keeps the text, another the value. */
#include "db/digest.h"

#include <endian.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/json.h"

#define CELL_BYTES_MAX ((size_t)1 << 30)

void db_digest_begin(struct db_digest_sum *d) {
    *d = (struct db_digest_sum){.state = XXH3_createState()};
    ASSERT(d->state);
    arena_init(&d->arena, CELL_BYTES_MAX);
}

void db_digest_row(struct db_digest_sum *d, const char *table) {
    XXH3_128bits_reset(d->state);
    XXH3_128bits_update(d->state, table, strlen(table) + 1);
}

static void add_number(struct db_digest_sum *d, char type, uint64_t bits) {
    bits = htole64(bits);
    XXH3_128bits_update(d->state, &type, 1);
    XXH3_128bits_update(d->state, &bits, sizeof(bits));
}

static void add_bytes(struct db_digest_sum *d, char type, str s) {
    add_number(d, type, s.len);
    if (s.len > 0)
        XXH3_128bits_update(d->state, s.p, s.len);
}

static str canonical(struct db_digest_sum *d, str s) {
    yyjson_val *root;
    if (s.len < 2 || (s.p[0] != '{' && s.p[0] != '['))
        return s;
    arena_reset(&d->arena);
    return json_parse(&d->arena, s, &root, NULL) == 0 ? json_canonical(&d->arena, root) : s;
}

void db_digest_cell(struct db_digest_sum *d, const struct db_value *v) {
    uint64_t bits;
    switch (v->type) {
    case DB_INT:
        add_number(d, 'i', (uint64_t)v->i);
        return;
    case DB_REAL:
        memcpy(&bits, &v->d, sizeof(bits));
        add_number(d, 'd', bits);
        return;
    case DB_TEXT:
        add_bytes(d, 't', canonical(d, v->s));
        return;
    case DB_BLOB:
        add_bytes(d, 'b', v->s);
        return;
    case DB_NULL:
    case DB_ID: /* parameters only */
        add_number(d, 'n', 0);
        return;
    }
    UNREACHABLE();
}

void db_digest_row_end(struct db_digest_sum *d) {
    XXH128_hash_t h = XXH3_128bits_digest(d->state);
    d->low += h.low64;
    d->high += h.high64;
}

void db_digest_end(struct db_digest_sum *d, char out[DB_DIGEST_LEN + 1]) {
    (void)snprintf(out, DB_DIGEST_LEN + 1, "%016llx%016llx", (unsigned long long)d->high,
                   (unsigned long long)d->low);
    XXH3_freeState(d->state);
    arena_deinit(&d->arena);
    *d = (struct db_digest_sum){0};
}
