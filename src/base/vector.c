/* SPDX-License-Identifier: Apache-2.0 */
/* vector.c - products of float vectors.
 *
 * Design: 32 running sums, number i modulo 32 taking element i; in the end they are added pairwise
 * in a fixed order. That is four registers of AVX2 or eight of NEON, enough to hide the time of
 * an addition; reading memory is the bound from there on. Multiplying and adding stay apart: a
 * fused step rounds once, and the ways would differ in their last bits. */
#include "base/vector.h"

#include <math.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#define UNFUSED
#else
#define UNFUSED __attribute__((optimize("fp-contract=off")))
#endif

#define LANES 32

/* The elements from `done` on, and the sum of the sums. */
UNFUSED static float finish(float sums[LANES], const float *a, const float *b, size_t done,
                            size_t count) {
    for (size_t i = done; i < count; i++)
        sums[i % LANES] += a[i] * b[i];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

UNFUSED float vector_dot_portable(const float *a, const float *b, size_t count) {
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sums[k] += a[i + k] * b[i + k];
    return finish(sums, a, b, i, count);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static float dot_avx2(const float *a, const float *b,
                                                      size_t count) {
    __m256 s0 = _mm256_setzero_ps(), s1 = s0, s2 = s0, s3 = s0;
    float sums[LANES];
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        const float *x = a + i, *y = b + i;
        s0 = _mm256_add_ps(s0, _mm256_mul_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(y)));
        s1 = _mm256_add_ps(s1, _mm256_mul_ps(_mm256_loadu_ps(x + 8), _mm256_loadu_ps(y + 8)));
        s2 = _mm256_add_ps(s2, _mm256_mul_ps(_mm256_loadu_ps(x + 16), _mm256_loadu_ps(y + 16)));
        s3 = _mm256_add_ps(s3, _mm256_mul_ps(_mm256_loadu_ps(x + 24), _mm256_loadu_ps(y + 24)));
    }
    _mm256_storeu_ps(sums, s0);
    _mm256_storeu_ps(sums + 8, s1);
    _mm256_storeu_ps(sums + 16, s2);
    _mm256_storeu_ps(sums + 24, s3);
    return finish(sums, a, b, i, count);
}

vector_dot_fn vector_dot_best(void) {
    return __builtin_cpu_supports("avx2") ? dot_avx2 : vector_dot_portable;
}

#elif defined(__aarch64__)
#include <arm_neon.h>

UNFUSED static float dot_neon(const float *a, const float *b, size_t count) {
    float32x4_t s[LANES / 4];
    float sums[LANES];
    size_t i = 0;
    for (size_t k = 0; k < LANES / 4; k++)
        s[k] = vdupq_n_f32(0);
    for (; i + LANES <= count; i += LANES)
        for (size_t k = 0; k < LANES / 4; k++)
            s[k] = vaddq_f32(s[k], vmulq_f32(vld1q_f32(a + i + 4 * k), vld1q_f32(b + i + 4 * k)));
    for (size_t k = 0; k < LANES / 4; k++)
        vst1q_f32(sums + 4 * k, s[k]);
    return finish(sums, a, b, i, count);
}

vector_dot_fn vector_dot_best(void) { return dot_neon; }

#else
vector_dot_fn vector_dot_best(void) { return vector_dot_portable; }
#endif

float vector_length(const float *a, size_t count) { return sqrtf(vector_dot_best()(a, a, count)); }
