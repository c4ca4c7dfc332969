/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - bump allocation for one request, one engine step, one batch.
 *
 * Owner: one. Not shared between threads, except that the owner may be suspended while another
 * thread fills it on its behalf. Memory: chunks from mem.h, freed together; under ASan free space
 * is poisoned. Errors: arena_try_alloc returns NULL past the cap; the others treat the cap as a bug
 * of the caller and end the process, so check client-controlled sizes first.
 * Suspends: never. Tests: tests/unit/base/test_arena.c */
#ifndef HF_BASE_ARENA_H
#define HF_BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
    struct arena_chunk *chunk;     /* newest */
    struct arena_cleanup *cleanup; /* run in reverse order by reset and deinit */
    char *at, *end;
    size_t used_bytes, cap_bytes;
    size_t first_bytes; /* size of the next first chunk, learned by reset */
};

void arena_init(struct arena *a, size_t cap_bytes); /* no memory taken until first use */
void arena_deinit(struct arena *a);
void arena_reset(struct arena *a);                  /* keeps a single chunk up to 256 KB */

void *arena_alloc(struct arena *a, size_t bytes) __attribute__((returns_nonnull)); /* 16-aligned */
void *arena_zalloc(struct arena *a, size_t bytes) __attribute__((returns_nonnull));
void *arena_try_alloc(struct arena *a, size_t bytes); /* NULL past the cap */
/* Grows or shrinks the newest allocation where it stands; false when p is not the newest, the chunk
 * is full or the cap is reached (shrinking the newest always works). */
bool arena_try_resize(struct arena *a, void *p, size_t old_bytes, size_t new_bytes);
str arena_dup(struct arena *a, str s);                /* NUL-terminated copy; absent stays absent */
char *arena_z(struct arena *a, str s);                /* NUL-terminated copy, never NULL */
/* The texts one after the other; for long ones, which printf is slow with. */
str arena_concat(struct arena *a, const str *parts, size_t count);
/* The buffer's text; its own memory goes. */
struct buf;
str arena_take(struct arena *a, struct buf *b);
str arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
void arena_on_deinit(struct arena *a, void (*fn)(void *), void *arg);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(count)))

#endif
