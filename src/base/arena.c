/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - bump allocation in chunks that are freed together.
 *
 * Design: chunks form a stack, the newest on top; at..end is the free space of the newest. A
 * request that does not fit opens a new chunk as large as everything so far (4 KB to 256 KB, or the
 * request itself), so the number of chunks grows with the logarithm of the size. The rest of the
 * old chunk is given up. A reset keeps the only chunk, or opens next time one as large as the
 * several it frees: an arena in a loop soon works without malloc. used_bytes counts what was handed
 * out, rounded to 16, and is what the cap limits.
 *
 * Invariants: at is 16-aligned and at <= end; without a chunk both are NULL. Under ASan everything
 * between at and end is poisoned, and allocations are 16 poisoned bytes apart; code that runs over
 * the end of an allocation is therefore reported as it would be on the heap. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define RED_ZONE ((size_t)16)
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#define RED_ZONE ((size_t)0)
#endif

#define ALIGN ((size_t)16)
#define CHUNK_MIN ((size_t)4096)
#define CHUNK_MAX ((size_t)256 * 1024) /* of growth; a single request may be larger */

struct arena_chunk {
    struct arena_chunk *older;
    size_t bytes; /* of the payload */
    _Alignas(16) char data[];
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

static size_t rounded(size_t bytes) {
    return (bytes + ALIGN - 1) & ~(ALIGN - 1);
}

void arena_init(struct arena *a, size_t cap_bytes) {
    *a = (struct arena){.cap_bytes = cap_bytes};
}

static void chunk_free(struct arena_chunk *chunk) {
    UNPOISON(chunk->data, chunk->bytes);
    mem_free(chunk);
}

static void cleanups_run(struct arena *a) {
    while (a->cleanup) {
        struct arena_cleanup *c = a->cleanup;
        a->cleanup = c->next;
        c->fn(c->arg);
    }
}

static void chunk_open(struct arena *a, struct arena_chunk *chunk) {
    a->chunk = chunk;
    a->at = chunk->data;
    a->end = chunk->data + chunk->bytes;
    POISON(chunk->data, chunk->bytes);
}

/* Frees all chunks; returns how many payload bytes they had. */
static size_t chunks_free(struct arena *a) {
    size_t total = 0;
    for (struct arena_chunk *c = a->chunk, *older; c; c = older) {
        older = c->older;
        total += c->bytes;
        chunk_free(c);
    }
    a->chunk = NULL;
    a->at = a->end = NULL;
    return total;
}

void arena_reset(struct arena *a) {
    cleanups_run(a);
    a->used_bytes = 0;
    if (a->chunk && !a->chunk->older && a->chunk->bytes <= CHUNK_MAX) {
        chunk_open(a, a->chunk);
        return;
    }
    size_t total = chunks_free(a);
    a->first_bytes = total < CHUNK_MAX ? total : CHUNK_MAX;
}

void arena_deinit(struct arena *a) {
    cleanups_run(a);
    (void)chunks_free(a); /* their size matters to a reset only */
    a->used_bytes = 0;
}

static void chunk_add(struct arena *a, size_t need) {
    size_t bytes = a->chunk ? rounded(a->used_bytes) : a->first_bytes;
    if (bytes < CHUNK_MIN - sizeof(struct arena_chunk))
        bytes = CHUNK_MIN - sizeof(struct arena_chunk);
    if (bytes > CHUNK_MAX)
        bytes = CHUNK_MAX;
    if (bytes < need)
        bytes = need;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + bytes);
    chunk->older = a->chunk;
    chunk->bytes = bytes;
    chunk_open(a, chunk);
}

void *arena_try_alloc(struct arena *a, size_t bytes) {
    if (bytes > a->cap_bytes || rounded(bytes) > a->cap_bytes - a->used_bytes)
        return NULL;
    size_t need = rounded(bytes) + RED_ZONE;
    if (need > (size_t)(a->end - a->at) || !a->at)
        chunk_add(a, need);
    char *p = a->at;
    a->at += need;
    a->used_bytes += rounded(bytes);
    UNPOISON(p, bytes);
    return p;
}

void *arena_alloc(struct arena *a, size_t bytes) {
    void *p = arena_try_alloc(a, bytes);
    ASSERT(p != NULL);
    return p;
}

void *arena_zalloc(struct arena *a, size_t bytes) {
    return memset(arena_alloc(a, bytes), 0, bytes);
}

bool arena_try_resize(struct arena *a, void *p, size_t old_bytes, size_t new_bytes) {
    size_t old_size = rounded(old_bytes), size = rounded(new_bytes);
    if (!p || new_bytes > a->cap_bytes || (char *)p + old_size + RED_ZONE != a->at)
        return false;
    if (size > old_size && (size - old_size > (size_t)(a->end - a->at) ||
                            size - old_size > a->cap_bytes - a->used_bytes))
        return false;
    a->at = (char *)p + size + RED_ZONE;
    a->used_bytes += size - old_size;
    POISON(p, (size_t)(a->end - (char *)p));
    UNPOISON(p, new_bytes);
    return true;
}

str arena_dup(struct arena *a, str s) {
    return s.p ? str_n(arena_z(a, s), s.len) : STR_NULL;
}

str arena_take(struct arena *a, struct buf *b) {
    str text = arena_dup(a, buf_view(b));
    buf_deinit(b);
    return text;
}

char *arena_z(struct arena *a, str s) {
    char *p = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

str arena_printf(struct arena *a, const char *format, ...) {
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    ASSERT(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    if ((size_t)n < sizeof small)
        memcpy(p, small, (size_t)n + 1);
    else
        (void)vsnprintf(p, (size_t)n + 1, format, again); /* same arguments, same length */
    va_end(again);
    return str_n(p, (size_t)n);
}

str arena_concat(struct arena *a, const str *parts, size_t count) {
    size_t bytes = 0, at = 0;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    char *p = arena_alloc(a, bytes + 1);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(p + at, parts[i].p, parts[i].len);
        at += parts[i].len;
    }
    p[at] = 0;
    return str_n(p, at);
}

void arena_on_deinit(struct arena *a, void (*fn)(void *), void *arg) {
    struct arena_cleanup *c = arena_alloc(a, sizeof *c);
    c->fn = fn;
    c->arg = arg;
    c->next = a->cleanup;
    a->cleanup = c;
}
