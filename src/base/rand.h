/* SPDX-License-Identifier: Apache-2.0 */
/* rand.h - the only source of randomness: the kernel's, buffered per thread; or, for simulations, a
 * seeded generator. Suspends: never. Tests: tests/unit/base/test_rand.c */
#ifndef HF_BASE_RAND_H
#define HF_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *out, size_t bytes);
uint64_t rand_u64(void);
uint64_t rand_below(uint64_t bound);      /* uniform; bound > 0 */
/* This thread becomes deterministic; 0 returns to the kernel's randomness. */
void rand_seed(uint64_t seed);

#endif
