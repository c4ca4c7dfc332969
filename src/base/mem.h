/* SPDX-License-Identifier: Apache-2.0 */
/* mem.h - the only door to malloc and free.
 *
 * Memory: out of memory on these calls ends the process with a clear text (sizes that a client
 * controls are checked against a limit before they get here).
 * Suspends: never; callable from every thread. Tests: tests/unit/base/test_mem.c */
#ifndef HF_BASE_MEM_H
#define HF_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));   /* not cleared */
void *mem_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull));  /* cleared */
void *mem_calloc(size_t count, size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
void *mem_dup(const void *p, size_t bytes) __attribute__((malloc, returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
void mem_free(void *p); /* NULL is fine */
/* Before the first thread: freed memory goes back to the system at once where it is large, and
 * threads share heaps. For programs that are to stay small rather than be fastest. */
void mem_stay_small(void);
/* Blocks allocated and not freed; counted in debug builds only, 0 in others. */
int64_t mem_live_count(void);

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

#endif
