/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.c - exact search: products of vectors a second, against the floor of reading memory.
 *
 * The vectors lie in memory one by one, as in the cache of the store, and are met in an order other
 * than that of their places. Floor: a sum over the same bytes by the compiler's own vectors. Both
 * in turns, the best of the rounds. Prints one line of JSON.
 *
 * usage: bench_vectors [count, default 40000] [dims, default 1536] */
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/vector.h"

#define ROUNDS 7

typedef uint64_t wide __attribute__((vector_size(64), aligned(4)));

static uint64_t read_all(float *const *list, size_t count, size_t dims) {
    wide sum = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k + 16 <= dims; k += 16)
            sum += *(const wide *)(const void *)(list[i] + k);
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

static float dot_all(float *const *list, size_t count, size_t dims, const float *query,
                     vector_dot_fn dot) {
    float best = 0;
    for (size_t i = 0; i < count; i++) {
        float score = dot(query, list[i], dims);
        best = score > best ? score : best;
    }
    return best;
}

static float **vectors_make(size_t count, size_t dims) {
    float **list = mem_alloc(count * sizeof(*list));
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        list[i] = mem_alloc(dims * sizeof(float) + 64);
        for (size_t k = 0; k < dims; k++) {
            state = state * 1664525u + 1013904223u;
            list[i][k] = (float)(int32_t)state / 2147483648.0f;
        }
    }
    for (size_t i = 0; i < count; i++) { /* any order */
        state = state * 1664525u + 1013904223u;
        size_t other = state % count;
        float *v = list[i];
        list[i] = list[other];
        list[other] = v;
    }
    return list;
}

int main(int argc, char **argv) {
    uint64_t count = 40000, dims = 1536, check = 0;
    if ((argc > 1 && !str_to_u64(str_of(argv[1]), &count)) ||
        (argc > 2 && !str_to_u64(str_of(argv[2]), &dims)) || count == 0 || dims == 0)
        return 1;
    float **list = vectors_make(count, dims), best = 0;
    int64_t us[3] = {INT64_MAX, INT64_MAX, INT64_MAX};
    for (int i = 0; i < ROUNDS; i++) {
        int64_t at[4] = {clock_mono_us()};
        check ^= read_all(list, count, dims);
        at[1] = clock_mono_us();
        best += dot_all(list, count, dims, list[0], vector_dot_best());
        at[2] = clock_mono_us();
        best += dot_all(list, count, dims, list[0], vector_dot_portable);
        at[3] = clock_mono_us();
        for (int k = 0; k < 3; k++)
            us[k] = at[k + 1] - at[k] < us[k] ? at[k + 1] - at[k] : us[k];
    }
    double bytes = (double)count * (double)dims * sizeof(float);
    printf("{\"name\": \"vectors\", \"count\": %zu, \"dims\": %zu, \"vectors_per_s\": %.0f, "
           "\"gb_per_s\": %.2f, \"floor_gb_per_s\": %.2f, \"of_floor\": %.2f, "
           "\"portable_gb_per_s\": %.2f, \"check\": \"%08x %.3f\"}\n",
           (size_t)count, (size_t)dims, (double)count / (double)us[1] * 1e6,
           bytes / (double)us[1] / 1e3, bytes / (double)us[0] / 1e3, (double)us[0] / (double)us[1],
           bytes / (double)us[2] / 1e3, (unsigned)check, (double)best);
    for (size_t i = 0; i < count; i++)
        mem_free(list[i]);
    mem_free(list);
    return 0;
}
