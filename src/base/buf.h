/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - growable byte buffer with a mandatory cap.
 *
 * Owner: the struct's holder. Memory: one heap block, doubling. Errors: an append that would pass
 * max_bytes is dropped whole and sets `overflow`, which sticks until reset and drops what follows;
 * check buf_ok() once after a series of appends. Suspends: never.
 * Tests: tests/unit/base/test_buf.c */
#ifndef HF_BASE_BUF_H
#define HF_BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

/* Every block has this many bytes behind cap, so that writers may store whole words at the end. */
#define BUF_SLACK 16

struct buf {
    char *p;
    size_t len, cap, max_bytes;
    bool overflow;
};

void buf_init(struct buf *b, size_t max_bytes); /* no memory taken until first use */
void buf_deinit(struct buf *b);
void buf_reset(struct buf *b);                  /* empty, keep capacity, clear overflow */
struct buf buf_take(struct buf *b);             /* moves the memory out, leaves b empty */
void buf_shrink(struct buf *b);                 /* gives memory back when empty */

char *buf_reserve(struct buf *b, size_t bytes); /* NULL (and overflow) past the cap */
void buf_append(struct buf *b, const void *p, size_t len);
void buf_str(struct buf *b, str s);
void buf_z(struct buf *b, const char *z);
void buf_char(struct buf *b, char c);
void buf_i64(struct buf *b, int64_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_consume(struct buf *b, size_t bytes);  /* drops bytes from the front */

static inline bool buf_ok(const struct buf *b) { return !b->overflow; }
static inline str buf_view(const struct buf *b) { return (str){b->p, b->len}; }

#endif
