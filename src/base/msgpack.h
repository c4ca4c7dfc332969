/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack.h - reading MessagePack, one item at a time.
 *
 * Arrays and maps are heads: their members follow as items of their own, and nesting is the
 * caller's business. Memory: texts and bytes point into the input. Errors: ERR_MALFORMED; a count
 * that the rest of the input cannot hold is refused at its head. Suspends: never.
 * Tests: tests/unit/base/test_msgpack.c; fuzzed with the codec above it. */
#ifndef HF_BASE_MSGPACK_H
#define HF_BASE_MSGPACK_H

#include "base/err.h"
#include "base/str.h"

enum msgpack_type {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_INT,   /* fits an int64_t */
    MSGPACK_UINT,  /* above INT64_MAX */
    MSGPACK_FLOAT,
    MSGPACK_STR,
    MSGPACK_BIN,
    MSGPACK_ARRAY, /* count items follow */
    MSGPACK_MAP,   /* count pairs follow */
    MSGPACK_EXT
};
struct msgpack_item {
    enum msgpack_type type;
    union {
        bool flag;
        int64_t i;
        uint64_t u;
        double d;
        uint32_t count;
        str bytes; /* MSGPACK_STR (UTF-8 is not checked), MSGPACK_BIN, MSGPACK_EXT */
    };
    int8_t code; /* MSGPACK_EXT */
};
struct msgpack_reader {
    const unsigned char *at, *end;
};

static inline struct msgpack_reader msgpack_reader(str bytes) {
    const unsigned char *p = (const unsigned char *)(bytes.p ? bytes.p : "");
    return (struct msgpack_reader){p, p + bytes.len};
}
static inline bool msgpack_at_end(const struct msgpack_reader *r) { return r->at == r->end; }
MUST_CHECK int msgpack_next(struct msgpack_reader *r, struct msgpack_item *out, struct err *err);

#endif
