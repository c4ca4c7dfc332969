/* SPDX-License-Identifier: Apache-2.0 */
/* vector.h - products of float vectors, by the widest instructions that this processor has.
 *
 * All ways add in the same order, without fused steps, so they give the same bits everywhere.
 * Memory: none; no alignment is asked for. Suspends: never. Tests: tests/unit/base/test_vector.c */
#ifndef HF_BASE_VECTOR_H
#define HF_BASE_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

typedef float (*vector_dot_fn)(const float *a, const float *b, size_t count);
float vector_dot_portable(const float *a, const float *b, size_t count);
/* For many calls: NEON, AVX2 or the portable one. */
vector_dot_fn vector_dot_best(void);
/* Euclidean length. */
float vector_length(const float *a, size_t count);

#endif
