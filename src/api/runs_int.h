/* SPDX-License-Identifier: Apache-2.0 */
/* runs_int.h - what the run handlers share: requests, encoding, streams. */
#ifndef HF_API_RUNS_INT_H
#define HF_API_RUNS_INT_H

#include "api/api.h"
#include "engine/engine.h"

/* Content-Location of a run, and Location of what resumes it ("stream", "join"; NULL: none). */
void run_headers(struct api_request *r, const struct run *run, const char *resume);

/* Fills a submission from path, headers and body. thread: the path has a thread. */
MUST_CHECK int run_submit_read(struct api_request *r, bool thread, struct run_submit *out,
                               struct err *err);

/* The same from a RunCreate that is not the request's body; the thread is left to the caller. */
MUST_CHECK MAY_SUSPEND int run_submit_fill(struct api_request *r, yyjson_val *run_create,
                                           struct run_submit *out, struct err *err);

/* May a run, or one that a cron makes, tell this address of its end? NULL: none is given. */
MUST_CHECK int run_check_webhook(struct api_request *r, yyjson_val *webhook, struct err *err);

/* A run that is waited for. */
struct run_wait {
    struct id id;
    struct live_run *live; /* NULL: it executes elsewhere */
    bool cancel;           /* when the client goes */
    /* Writes the answer; NULL: the values, or {"__error__": …}. */
    void (*write)(void *ctx, struct json_writer *w, const struct run_outcome *outcome);
    void *ctx;
};
/* Answers with JSON when the run is over; meanwhile white space keeps the connection alive. */
MUST_CHECK MAY_SUSPEND int run_wait_answer(struct api_request *r, const struct run_wait *run,
                                           struct err *err);

/* stream_mode of runs that are begun by a protocol: whoever joins them later sees all. */
#define RUN_MODES_OF_PROTOCOLS                                                                     \
    "[\"values\",\"updates\",\"messages-tuple\",\"custom\",\"tasks\",\"checkpoints\"]"

/* Cancels what waits and runs on a thread of the principal; how many there were. */
MUST_CHECK MAY_SUSPEND int run_cancel_thread(struct api_request *r, struct id thread_id, str reason,
                                             size_t *out_count, struct err *err);
/* The client whose run it is has gone. One that is over is left; a failure is logged. */
MAY_SUSPEND void run_cancel_disconnected(struct engine *e, struct id run_id);

/* What a stream or a wait that created the run answers to the same request when it comes again. */
MUST_CHECK int run_answer_again(struct api_request *r, struct id thread_id, struct id run_id,
                                struct err *err);
/* GET …/stream and …/join of a run. thread nil: any of the principal's. */
MUST_CHECK int run_join_stream(struct api_request *r, struct id thread_id, struct id run_id,
                               struct err *err);
MUST_CHECK int run_join(struct api_request *r, struct id thread_id, struct id run_id,
                        const char *resume, bool cancel, struct err *err);

/* cancel_on_disconnect of the query; whoever may only read ends no runs. */
bool api_cancels_on_disconnect(const struct api_request *r);

/* The query's `namespace`: graphs of the run whose events are wanted; count 0: all. */
struct run_namespaces {
    str *names;
    size_t count;
};
MUST_CHECK int run_namespaces_read(struct api_request *r, struct run_namespaces *out,
                                   struct err *err);
/* Answers with the events of a run that was just accepted. */
void run_stream_live(struct api_request *r, const struct live_run *run,
                     const struct run_namespaces *wanted);

/* Keys of feedback stand in addresses as they are: letters, digits, _ and -. */
bool run_feedback_key_is_valid(str key);

#endif
