/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - a text that is read from a file or an address now, and again while the server runs:
 * key sets, files of API keys.
 *
 * The last text that could be used stays in use whatever happens later. Reads are one at a time,
 * whoever asks for them, and at most one per interval: no client can make the server ask more.
 * Owner: src/auth. Memory: from source_new to source_free. Errors: ERR_IO, ERR_UNAVAILABLE,
 * ERR_INVALID from the taker. Suspends: as marked. Tests: tests/unit/auth/test_source.c */
#ifndef HF_AUTH_SOURCE_H
#define HF_AUTH_SOURCE_H

#include "http/client.h"

struct source_options {
    struct rt *rt;
    struct http_client *client;
    struct fiber_group *fibers; /* that reads run in */
    const char *what;           /* "the key set": for texts and logs; lives for ever */
    str location;               /* path, http:// or https:// address */
    size_t bytes_max;
    int64_t interval_us; /* least time between two reads */
    int64_t retry_us;    /* the same while there has been no text yet */
    int64_t age_us;      /* an older text is read again when it is used */
    int64_t timeout_us;  /* of a read */
    /* A new text, not the one already taken. An error leaves the old one in use. */
    int (*take)(void *ctx, str text, struct err *err);
    void *ctx;
};
struct source;
struct source *source_new(const struct source_options *o);
void source_free(struct source *s); /* no read is under way any more; NULL is fine */
bool source_is_url(str location);

/* From the next read on it is there, and that is not too early. */
void source_move(struct source *s, str location);

/* Reads a file and waits for it without suspending: before the loop runs. */
MUST_CHECK int source_load(struct source *s, struct err *err);
/* Reads again, or waits for the read that is under way. ERR_LIMIT: it is too early for another. */
MUST_CHECK MAY_SUSPEND int source_refresh(struct source *s, struct err *err);
/* Starts a read when the text is old; does not wait. */
void source_touch(struct source *s);
bool source_taken(const struct source *s); /* there has been a text */

/* The whole file. ERR_INVALID when it is no regular file, ERR_TOO_LARGE. Blocks. */
MUST_CHECK int source_read_file(const char *path, struct buf *out, struct err *err);

#endif
