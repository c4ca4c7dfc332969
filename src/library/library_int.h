/* SPDX-License-Identifier: Apache-2.0 */
/* library_int.h - a handle and a call of it, inside.
 *
 * A call is made on the caller's thread: its inputs are checked, copied if need be, and it is
 * posted to the host. Its run() is entered on a fiber there. Then it is answered: the gate is
 * opened, or `done` is called by the loop. Faults of the inputs stay in the call (rc, err) until it
 * is posted, which then does not happen; so what takes inputs returns nothing.
 *
 * Memory: a call is heap; inputs in its arena, or the caller's who waits; what comes out lives in
 * the result, an arena with the object that the caller sees. Suspends: run() only. */
#ifndef HF_LIBRARY_LIBRARY_INT_H
#define HF_LIBRARY_LIBRARY_INT_H

#include <holdfast.h>
#include <stdatomic.h>

#include "base/log.h"
#include "library/source.h"
#include "rt/host.h"

#define LIBRARY_WAITS_MAX 4096 /* a fiber each */

struct hf_history {
    struct rt_host *host;
    struct rt *rt; /* of the host */
    struct library_source source;
    struct history *history; /* the source's: the pipeline */
    const char *kind;
    char *url;
    struct hf_options o;
    struct log_sink sink;
    /* Of calls under way: */
    _Atomic size_t calls, bytes, waits; /* of the _async form; their copies; those that wait */
};

struct library_result {
    struct arena arena;
    _Alignas(16) unsigned char object[]; /* what the caller sees */
};

struct library_call;
typedef int (*library_run_fn)(struct library_call *c); /* MAY_SUSPEND; fills c->err */
struct library_call {
    struct rt_call base;
    struct rt_defer answer;
    struct hf_history *h;
    library_run_fn run;
    struct library_result *result;
    struct arena in;
    size_t bytes; /* that count among h->bytes */
    bool async, counted;
    hf_done_fn done;
    void *ctx;
    struct rt_gate gate;
    int rc;
    struct err err;
    /* Inputs, by what the call is. */
    struct history_key key;
    union {
        struct history_append append;
        struct {
            struct history_range range;
            struct history_position after;
        } read;
        struct {
            int64_t after_seq, timeout_ms;
            size_t limit;
        } wait;
        struct history_checkpoint checkpoint;
        struct {
            str name; /* or where a list goes on */
            struct id id;
            int64_t seq;
            size_t limit;
        } named;
        struct history_retention retention;
        size_t budget;
    };
};

/* --- call.c --- */
/* object_bytes of a result; 0: there is none. async: the form. */
struct library_call *library_call_new(struct hf_history *h, library_run_fn run, size_t object_bytes,
                                      bool async);
/* The first fault counts. */
void library_fault(struct library_call *c, int code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Of bytes that will be copied, before they are; ERR_LIMIT among them. */
void library_reserve(struct library_call *c, size_t bytes);
/* Posts it, waits, gives the result (out may be NULL) and frees the call. */
int library_wait(struct library_call *c, void **out, struct hf_error *error);
int library_wait_number(struct library_call *c, int64_t *out, struct hf_error *error);
/* Posts it, or frees it and returns why not. */
int library_start(struct library_call *c, hf_done_fn done, void *ctx, struct hf_error *error);
/* The object of the result. */
static inline void *library_object(struct library_call *c) { return c->result->object; }
/* Fills error (may be NULL), returns the code as the header has it. */
int library_error(const struct err *err, int rc, struct hf_error *error);

/* --- take.c: inputs --- */
/* A text that is there as long as the call; absent: z is NULL. */
str library_text(struct library_call *c, const char *z, size_t bytes_max, const char *what);
void library_take_key(struct library_call *c, const char *owner, const char *session);
/* bytes and size: JSON is parsed and made compact. */
str library_payload(struct library_call *c, int kind, const void *bytes, size_t size,
                    enum history_payload *out_kind);
size_t library_limit(size_t limit); /* 0: HF_PAGE_MAX */
/* A struct that begins with struct_size into one of ours: *out is zeroed, then filled with what the
 * caller's has of it. What it has beyond ours must be zero. min: bytes of the first version. */
MUST_CHECK int library_struct(const void *in, size_t min, void *out, size_t bytes, const char *what,
                              struct err *err);
void library_take_struct(struct library_call *c, const void *in, size_t min, void *out,
                         size_t bytes, const char *what);

/* Bytes of a struct up to and with a member: of its first version, which never changes. */
#define LIBRARY_UP_TO(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

/* --- outputs --- */
const char *library_z(struct arena *a, str s); /* NULL when it is absent */

#endif
