/* SPDX-License-Identifier: Apache-2.0 */
/* lines.h - cuts a stream of bytes into lines, however it is split.
 *
 * Memory: of one unfinished line, at most bytes_max. Errors: ERR_TOO_LARGE for a longer one, else
 * what the callback returns; then nothing more may be fed. Suspends: never.
 * Tests: tests/unit/runner/test_lines.c; fuzzed */
#ifndef HF_RUNNER_LINES_H
#define HF_RUNNER_LINES_H

#include "base/buf.h"

struct lines {
    struct buf rest;
    size_t bytes_max;
};
/* The line without its end ("\n" or "\r\n"); blank ones are left out. Negative: no more. */
typedef int (*line_fn)(void *ctx, str line, struct err *err);

void lines_init(struct lines *l, size_t bytes_max);
void lines_deinit(struct lines *l);
void lines_reset(struct lines *l);
MUST_CHECK int lines_feed(struct lines *l, str bytes, line_fn fn, void *ctx, struct err *err);

#endif
