/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - hash map from byte strings to pointers: open addressing, 32-bit tags, linear probing,
 * SipHash-1-3 with a per-process key (keys may be chosen by an attacker).
 *
 * Owner: one thread. Memory: keys are NOT copied, they must live as long as their entry (usually
 * inside the value). Errors: none. Suspends: never. Tests: tests/unit/base/test_map.c */
#ifndef HF_BASE_MAP_H
#define HF_BASE_MAP_H

#include "base/str.h"

struct map_slot;
struct map {
    struct map_slot *slots;
    size_t count, cap; /* cap is a power of two or 0; removal shifts back, no tombstones */
};

void map_init(struct map *m); /* no memory taken until first use */
void map_deinit(struct map *m);
void *map_get(const struct map *m, str key);            /* NULL when absent */
void *map_put(struct map *m, str key, void *value);     /* returns the replaced value or NULL */
void *map_remove(struct map *m, str key);               /* returns the removed value or NULL */
/* Iteration: start with *at = 0; false at the end. No put or remove while iterating. */
bool map_next(const struct map *m, size_t *at, str *out_key, void **out_value);
/* SipHash-1-3 under a key of the caller; for hashes that must not be chosen by an attacker. */
uint64_t map_siphash13(const uint64_t key[2], str s);

#endif
