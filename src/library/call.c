/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - the way of a call: made, posted, run on a fiber, answered.
 *
 *   caller's thread                      the host's thread
 *   library_call_new
 *   … inputs …
 *   library_wait:  post, wait    ─────▶  run on a fiber → gate ─▶ the caller frees the call
 *   library_start: post, return  ─────▶  run on a fiber → end of the turn: done(), freed here
 *
 * `done` is called from the loop's own stack and not the fiber's, which is small.
 *
 * Invariants: nothing of the handle is touched once a gate is open or `done` has returned for the
 * last call, since it may be closed then; counters go down before that. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "library/library_int.h"

#define ARENA_BYTES_MAX (SIZE_MAX / 2) /* what comes in and out is bounded by itself */

/* --- making --- */

struct library_call *library_call_new(struct hf_history *h, library_run_fn run, size_t object_bytes,
                                      bool async) {
    struct library_call *c = NEW(struct library_call);
    c->h = h;
    c->run = run;
    c->async = async;
    arena_init(&c->in, ARENA_BYTES_MAX);
    c->result = mem_zalloc(sizeof *c->result + object_bytes);
    arena_init(&c->result->arena, ARENA_BYTES_MAX);
    if (!h)
        library_fault(c, ERR_INVALID, "h: is required");
    return c;
}

void library_fault(struct library_call *c, int code, const char *format, ...) {
    char text[ERR_MESSAGE_BYTES];
    va_list args;
    if (c->rc < 0)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->rc = err_set(&c->err, code, "%s", text);
}

/* Whether one more, or n more, are still within the limit; then they are counted. */
static bool count_up(_Atomic size_t *count, size_t n, size_t max) {
    size_t before = atomic_fetch_add(count, n);
    if (before <= max && n <= max - before)
        return true;
    atomic_fetch_sub(count, n);
    return false;
}

void library_reserve(struct library_call *c, size_t bytes) {
    if (c->rc < 0 || !c->async)
        return;
    if (!count_up(&c->h->bytes, bytes, c->h->o.calls_bytes_max)) {
        library_fault(c, ERR_LIMIT, "the calls under way hold %zu bytes", c->h->bytes);
        return;
    }
    c->bytes += bytes;
}

/* --- the end --- */

void hf_free(const void *result) {
    if (!result)
        return;
    struct library_result *r =
        CONTAINER_OF((const unsigned char *)result, struct library_result, object);
    arena_deinit(&r->arena);
    mem_free(r);
}

static void release(struct library_call *c) {
    if (c->bytes)
        atomic_fetch_sub(&c->h->bytes, c->bytes);
    if (c->counted && c->base.waits)
        atomic_fetch_sub(&c->h->waits, 1);
    if (c->counted && c->async)
        atomic_fetch_sub(&c->h->calls, 1);
    c->bytes = 0;
    c->counted = false;
}

/* The result is the caller's, or gone. */
static void free_call(struct library_call *c, bool keep_result) {
    if (!keep_result)
        hf_free(c->result->object);
    arena_deinit(&c->in);
    mem_free(c);
}

static int code_of(int rc) {
    switch (rc) {
    case ERR_OK:
    case ERR_INVALID:
    case ERR_MALFORMED:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
    case ERR_LIMIT:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_UNSUPPORTED:
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_CLOSED:
        return rc;
    case ERR_EXISTS:
        return HF_CONFLICT;
    case ERR_CANCELLED: /* only closing cancels */
        return HF_CLOSED;
    default:
        return HF_INTERNAL;
    }
}

int library_error(const struct err *err, int rc, struct hf_error *error) {
    STATIC_ASSERT(sizeof error->message == sizeof err->message, "messages fit");
    int code = code_of(rc);
    if (!error)
        return code;
    *error = (struct hf_error){.code = code};
    if (code == HF_OK)
        return code;
    error->system = err->system;
    const char *text = err->message[0] ? err->message : err_text(rc);
    if (code == HF_CLOSED)
        text = "the history is closed, or was being closed";
    (void)snprintf(error->message, sizeof error->message, "%s", text);
    return code;
}

/* --- on the host --- */

static void answer(struct rt_defer *d) {
    struct library_call *c = CONTAINER_OF(d, struct library_call, answer);
    struct hf_error error;
    int code = library_error(&c->err, c->rc, &error);
    release(c);
    c->done(c->ctx, code, code == HF_OK ? c->result->object : NULL, &error);
    free_call(c, code == HF_OK);
}

static void run(struct rt_call *base, int rc) {
    struct library_call *c = CONTAINER_OF(base, struct library_call, base);
    if (rc < 0)
        library_fault(c, rc, "no fiber could be had");
    else if (rt_host_stops(c->h->host))
        library_fault(c, ERR_CLOSED, "closed");
    else
        c->rc = c->run(c);
    if (c->async) {
        c->answer.fn = answer;
        rt_defer(c->h->rt, &c->answer);
        return;
    }
    release(c);
    rt_gate_open(&c->gate);
}

/* --- posting --- */

static void count(struct library_call *c) {
    if (c->rc < 0)
        return;
    if (c->base.waits && !count_up(&c->h->waits, 1, LIBRARY_WAITS_MAX)) {
        library_fault(c, ERR_LIMIT, "%d calls wait for events", LIBRARY_WAITS_MAX);
        return;
    }
    if (c->async && !count_up(&c->h->calls, 1, c->h->o.calls_max)) {
        if (c->base.waits)
            atomic_fetch_sub(&c->h->waits, 1);
        library_fault(c, ERR_LIMIT, "%zu calls are under way", c->h->o.calls_max);
        return;
    }
    c->counted = true;
}

/* 0: it will run. */
static int post(struct library_call *c) {
    count(c);
    if (c->rc == 0) {
        c->base.run = run;
        int rc = rt_host_post(c->h->host, &c->base);
        if (rc == 0)
            return 0;
        library_fault(c, rc, "closed");
    }
    if (c->h)
        release(c);
    return c->rc;
}

int library_wait(struct library_call *c, void **out, struct hf_error *error) {
    if (out)
        *out = NULL;
    if (c->rc == 0 && rt_host_inside(c->h->host))
        library_fault(
            c, ERR_INVALID,
            "a call that blocks, in the thread that would answer it: use the _async form");
    rt_gate_init(&c->gate);
    if (post(c) < 0)
        rt_gate_open(&c->gate);
    rt_gate_wait(&c->gate);
    int code = library_error(&c->err, c->rc, error);
    bool wanted = code == HF_OK && out != NULL;
    if (wanted)
        *out = c->result->object;
    free_call(c, wanted);
    return code;
}

int library_wait_number(struct library_call *c, int64_t *out, struct hf_error *error) {
    void *number;
    int code = library_wait(c, &number, error);
    if (code == HF_OK && out)
        *out = *(int64_t *)number;
    hf_free(number);
    return code;
}

int library_start(struct library_call *c, hf_done_fn done, void *ctx, struct hf_error *error) {
    c->done = done;
    c->ctx = ctx;
    if (!done)
        library_fault(c, ERR_INVALID, "done: is required");
    if (post(c) == 0)
        return library_error(NULL, 0, error);
    int code = library_error(&c->err, c->rc, error);
    free_call(c, false);
    return code;
}
