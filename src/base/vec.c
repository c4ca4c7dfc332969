/* SPDX-License-Identifier: Apache-2.0 */
/* vec.c - the growth behind vec_push: doubling from 8 items.
 *
 * Appending n items moves each at most twice on average. The caller's macro keeps the types; here
 * are only sizes, checked for overflow because a count may come from outside. */
#include "base/vec.h"

#include "base/err.h"

#define VEC_MIN 8

void *vec_grow(void *p, size_t *cap, size_t need, size_t item_bytes) {
    size_t grown = *cap ? *cap : VEC_MIN;
    while (grown < need) {
        ASSERT(grown <= SIZE_MAX / 2);
        grown *= 2;
    }
    size_t bytes;
    ASSERT(!__builtin_mul_overflow(grown, item_bytes, &bytes));
    p = mem_realloc(p, bytes);
    *cap = grown;
    return p;
}
