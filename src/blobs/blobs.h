/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.h - bytes kept under the SHA-256 of what they are, on local disk or in storage that speaks
 * S3's HTTP API.
 *
 * The same bytes are one blob, however often they are put. Who holds a blob and when it may go is
 * the caller's to know. A blob that was put survives a crash; one that is read is what its name
 * says, or ERR_CORRUPT (whole reads only).
 *
 * Memory: as marked; texts of the options are copied. Errors: ERR_NOT_FOUND, ERR_TOO_LARGE,
 * ERR_UNAVAILABLE (storage away, full, or refusing), ERR_CORRUPT. Suspends: as marked.
 * Tests: tests/unit/blobs/ */
#ifndef HF_BLOBS_BLOBS_H
#define HF_BLOBS_BLOBS_H

#include "base/arena.h"
#include "base/hash.h"
#include "http/client.h"

struct blob_name {
    unsigned char sha256[HASH_SHA256_BYTES];
};
#define BLOB_BYTES_MAX ((size_t)64 << 20)
#define BLOB_NAME_HEX  (2 * HASH_SHA256_BYTES)
struct blob_name blob_name_of(str data);
str blob_name_hex(const struct blob_name *name, struct arena *a);
bool blob_name_parse(str hex, struct blob_name *out); /* 64 lower-case digits */

struct blob_store_options {
    const char *folder; /* local disk; made when it is missing. NULL: S3 */
    str endpoint;       /* "https://s3.eu-central-1.amazonaws.com": https or http, no path */
    str bucket, prefix; /* blobs are {endpoint}/{bucket}/{prefix}{name} */
    str region;         /* empty: us-east-1 */
    str key_id, secret;
    int64_t timeout_us;    /* of a request: 0: 30 s */
    size_t blob_bytes_max; /* 0: BLOB_BYTES_MAX */
};
struct blob_store;
/* client: for S3; must outlive the store. ERR_INVALID names the option that is wrong. */
MUST_CHECK int blob_store_open(struct rt *rt, struct http_client *client,
                               const struct blob_store_options *o, struct blob_store **out,
                               struct err *err);
void blob_store_close(struct blob_store *s); /* NULL is fine; nothing may be under way */

/* Durable when it returns. */
MUST_CHECK MAY_SUSPEND int blob_put(struct blob_store *s, str data, struct blob_name *out,
                                    struct err *err);
/* The part from `from` on, at most `count` bytes of it, and the size of the whole. From beyond the
 * end: ERR_INVALID. The text is the arena's. */
MUST_CHECK MAY_SUSPEND int blob_get(struct blob_store *s, const struct blob_name *name,
                                    uint64_t from, uint64_t count, struct arena *a, str *out,
                                    uint64_t *out_size, struct err *err);
/* What writers that died left half-written a day ago: it is looked for in BLOB_PARTS parts, each by
 * itself. *out_removed: files. A store that has no such thing has no parts. */
#define BLOB_PARTS 256
size_t blob_parts(const struct blob_store *s); /* BLOB_PARTS, or 0 */
MUST_CHECK MAY_SUSPEND int blob_tidy(struct blob_store *s, size_t part, int64_t *out_removed,
                                     struct err *err);
/* 0 also when there is none. */
MUST_CHECK MAY_SUSPEND int blob_delete(struct blob_store *s, const struct blob_name *name,
                                       struct err *err);

#endif
