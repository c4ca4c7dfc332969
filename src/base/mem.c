/* SPDX-License-Identifier: Apache-2.0 */
/* mem.c - malloc, realloc and free behind one door.
 *
 * Every call either succeeds or ends the process: small allocations fail only when nothing sensible
 * can be done any more, and large ones are checked against limits by their callers. Debug builds
 * count the live blocks, so that tests can ask whether all of them went back. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (256 << 10)

#ifdef HF_DEBUG
/* Process-wide by nature: the heap is. */
static _Atomic int64_t live_count;
#define LIVE_ADD(n) atomic_fetch_add_explicit(&live_count, (n), memory_order_relaxed)
#else
#define LIVE_ADD(n) ((void)0)
#endif

static _Noreturn void mem_exhausted(size_t bytes) {
    fprintf(stderr, "out of memory: %zu bytes could not be allocated\n", bytes);
    fflush(stderr);
    abort();
}

void mem_stay_small(void) {
#ifdef __GLIBC__ /* elsewhere it stays as it is */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, 4 * LARGE_BYTES);
    (void)mallopt(M_ARENA_MAX, 2);
#endif
}

void *mem_alloc(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        mem_exhausted(bytes);
    LIVE_ADD(1);
    return p;
}

void *mem_zalloc(size_t bytes) { return mem_calloc(1, bytes); }

void *mem_calloc(size_t count, size_t bytes) {
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        mem_exhausted(SIZE_MAX);
    void *p = calloc(1, total ? total : 1);
    if (!p)
        mem_exhausted(total);
    LIVE_ADD(1);
    return p;
}

void *mem_realloc(void *p, size_t bytes) {
    if (!p)
        return mem_alloc(bytes);
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        mem_exhausted(bytes);
    return q;
}

void *mem_dup(const void *p, size_t bytes) {
    void *q = mem_alloc(bytes);
    if (bytes)
        memcpy(q, p, bytes);
    return q;
}

char *mem_strdup(const char *s) { return mem_dup(s, strlen(s) + 1); }

void mem_free(void *p) {
    if (!p)
        return;
    LIVE_ADD(-1);
    free(p);
}

int64_t mem_live_count(void) {
#ifdef HF_DEBUG
    return atomic_load_explicit(&live_count, memory_order_relaxed);
#else
    return 0;
#endif
}
