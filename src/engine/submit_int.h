/* SPDX-License-Identifier: Apache-2.0 */
/* submit_int.h - how a run is accepted, in the parts that one run and a batch of runs share.
 *
 * The order: may_accept, request_read, of_request, context (store/runs.h), context_check, prepare,
 * accept_rows, a commit, let_go. Memory: the run's arena. Suspends: nothing but what is marked. */
#ifndef HF_ENGINE_SUBMIT_INT_H
#define HF_ENGINE_SUBMIT_INT_H

#include "engine/engine_int.h"

/* What a RunCreate asks for besides its graph's matters. */
struct run_request {
    unsigned modes;
    enum multitask_strategy multitask;
    enum on_completion on_completion;
    enum on_disconnect on_disconnect;
    enum if_not_exists if_not_exists;
    int64_t after_us;
    bool stateless;
};

/* request.c: ERR_INVALID names the member that is wrong. */
MUST_CHECK int run_request_read(struct engine *e, const struct run_submit *s,
                                struct run_request *out, struct err *err);
/* Where the run begins: what the request names, or its configuration as libraries have it. */
yyjson_val *run_request_checkpoint(yyjson_val *body);

struct run_merged {
    str metadata;    /* of the run and, from now on, of the thread */
    str under, over; /* the parts of it that come before and after the thread's own */
    str config;      /* of the thread: without the server's own keys */
    str configurable, run_configurable;
    str top; /* config without configurable and metadata */
};

/* secrets.c */
void run_take_token(struct live_run *run, str configurable); /* as its bearer */
str run_without_token(struct arena *a, str object);
str run_without_secrets(struct arena *a, str object); /* of a configuration, or a context */

/* submit.c */
/* Is there room for count more runs? ERR_LIMIT, ERR_UNAVAILABLE. */
MUST_CHECK int engine_may_accept(const struct engine *e, size_t count, struct err *err);
struct live_run *run_of_request(struct engine *e, const struct run_submit *s,
                                const struct run_request *q);
MUST_CHECK int run_context_check(const struct run_submit *s, const struct run_request *q,
                                 struct live_run *run, const struct run_context *ctx,
                                 struct err *err);
/* Fills the row. */
void run_prepare(struct live_run *run, const struct run_submit *s, const struct run_context *ctx,
                 struct run_merged *out);
/* The rows of a new run: the thread's, when there is none, and its own. direct: the one of a thread
 * that is new comes with its begin. */
MUST_CHECK int run_accept_rows(struct live_run *run, const struct run_submit *s,
                               const struct run_context *ctx, const struct run_merged *m,
                               bool direct, struct db_batch *b, struct err *err);
struct log_entry run_queued_entry(const struct live_run *run);
struct thread_merge run_thread_merge(const struct run_context *ctx, const struct run_merged *m);
/* An accepted run goes its way. */
void run_let_go(struct live_run *run, const struct run_request *q);

#endif
