/* SPDX-License-Identifier: Apache-2.0 */
/* cache.h - what was found out about a credential, under its SHA-256: the credential itself is not
 * kept, so no memory dump shows it.
 *
 * Bounded; what was used longest ago goes first. An entry ends by its time to live (monotonic) or
 * by its credential's own end (wall clock), whichever comes first.
 * Memory: entries are the cache's; what is found is copied into the arena. Errors: none.
 * Suspends: never. Tests: tests/unit/auth/test_cache.c */
#ifndef HF_AUTH_CACHE_H
#define HF_AUTH_CACHE_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/id.h"

struct auth_digest {
    unsigned char bytes[HASH_SHA256_BYTES];
};
static inline str auth_digest_view(const struct auth_digest *d) {
    return str_n((const char *)d->bytes, sizeof(d->bytes));
}

struct auth_cached {
    int code; /* 0, or the ERR_* that the credential gets */
    str text; /* its owner, or the text of the error */
    bool read_only, graphs, operate;
    struct id session; /* nil: it is none */
    const char *by;    /* a literal, see struct principal */
    int64_t expires_s; /* 0: never */
};

struct auth_times {
    int64_t mono_us, wall_us;
};

struct auth_cache;
struct auth_cache *auth_cache_new(size_t count_max, int64_t ttl_us);
void auth_cache_free(struct auth_cache *c); /* NULL is fine */
bool auth_cache_get(struct auth_cache *c, const struct auth_digest *key, struct auth_times now,
                    struct arena *a, struct auth_cached *out);
/* Replaces. Does nothing when the credential has ended, or with a time to live of 0. */
void auth_cache_put(struct auth_cache *c, const struct auth_digest *key, struct auth_times now,
                    const struct auth_cached *value);
void auth_cache_clear(struct auth_cache *c);
size_t auth_cache_count(const struct auth_cache *c);

#endif
