/* SPDX-License-Identifier: Apache-2.0 */
/* value_int.h - what a result is made of: cells refer to the bytes as the server sent them.
 *
 * Owner: the connection that received it. Memory: bytes, cells and columns live while result()
 * runs. Suspends: never. */
#ifndef HF_PG_VALUE_INT_H
#define HF_PG_VALUE_INT_H

#include "pg/value.h"

struct pg_cell {
    uint32_t at; /* offset into bytes */
    int32_t len; /* -1: NULL */
};

struct pg_result {
    const char *bytes;
    const struct pg_cell *cells; /* row by row */
    const uint32_t *column_oids;
    size_t column_count, row_count;
    int64_t changed;
};

/* Big-endian words at any address. */
static inline uint16_t pg_get16(const char *p) {
    uint16_t v;
    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t pg_get32(const char *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t pg_get64(const char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}
static inline void pg_put16(char *p, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}
static inline void pg_put32(char *p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
static inline void pg_put64(char *p, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}
STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the words above swap always");

/* The elements of an array in binary; the bytes stay where they are. */
MUST_CHECK int pg_array_read(str bytes, struct arena *a, struct pg_elements *out, struct err *err);

#endif
