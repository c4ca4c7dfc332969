/* SPDX-License-Identifier: Apache-2.0 */
/* remembered.h - rows that were read a moment ago, for who reads the same again.
 *
 * An entry holds for a time that begins before its read, and only while the version that its
 * reader saw then is the present one. What a version is, the caller says: a number that grows
 * whenever the rows may have become others.
 * Owner: one thread. Memory: bounded; rows and keys are copied, on the way out into an arena.
 * Errors: none. Suspends: never. Tests: tests/unit/store/test_remembered.c */
#ifndef HF_STORE_REMEMBERED_H
#define HF_STORE_REMEMBERED_H

#include "db/port.h"

struct remembered;
struct remembered_options {
    int64_t hold_us;
    size_t count_max; /* entries; the one put first goes first */
    size_t bytes_max; /* of an entry with its key; a larger one is not kept */
};
struct remembered *remembered_new(const struct remembered_options *o);
void remembered_free(struct remembered *r); /* NULL is fine */
bool remembered_get(struct remembered *r, str key, int64_t now_us, uint64_t version,
                    struct arena *a, struct db_rows *out);
/* read_us, version: from before the read. Replaces what the key had. */
void remembered_put(struct remembered *r, str key, int64_t read_us, uint64_t version,
                    const struct db_rows *rows);

#endif
