/* SPDX-License-Identifier: Apache-2.0 */
/* vec.h - typed growable arrays: VEC(type) declares, vec_push grows by doubling.
 * Memory: heap, by the holder; vec_deinit frees. Suspends: never.
 * Tests: tests/unit/base/test_vec.c */
#ifndef HF_BASE_VEC_H
#define HF_BASE_VEC_H

#include "base/mem.h"

#define VEC(type) \
    struct {      \
        type *p;  \
        size_t count, cap; \
    }
void *vec_grow(void *p, size_t *cap, size_t need, size_t item_bytes); /* internal to the macros */
#define vec_push(v, item)                                                                  \
    do {                                                                                   \
        if ((v)->count == (v)->cap)                                                        \
            (v)->p = vec_grow((v)->p, &(v)->cap, (v)->count + 1, sizeof(*(v)->p));         \
        (v)->p[(v)->count++] = (item);                                                     \
    } while (0)
#define vec_deinit(v)                        \
    do {                                     \
        mem_free((v)->p);                    \
        (v)->p = NULL;                       \
        (v)->count = (v)->cap = 0;           \
    } while (0)

#endif
