/* SPDX-License-Identifier: Apache-2.0 */
/* api_int.h - what the handlers of the API share: parts of requests, parts of answers.
 *
 * Memory: the request's arena, or the writer's buffer. Suspends: what is marked so. */
#ifndef HF_API_API_INT_H
#define HF_API_API_INT_H

#include "api/api.h"
#include "base/map.h"
#include "model/validate.h"
#include "store/assistants.h"
#include "store/checkpoints.h"
#include "store/idempotency.h"
#include "store/items.h"
#include "store/runs.h"
#include "store/threads.h"

const struct api_options *api_options_of(const struct api *api);
/* What is being worked on: "key\nowner" of requests with an Idempotency-Key, "\n…" of others. */
struct map *api_flights(struct api *api);
void api_inbox_count(struct api *api, bool repeated); /* a delivery was taken */

/* --- request.c: parts of requests --- */
/* limit 1…1000, offset, sort_order of a search body. */
struct page api_page_read(struct body *b, int64_t limit_default);
/* The member's object text; absent when it is missing, null or {}. */
str api_filter_read(struct body *b, const char *key);
/* A list of words as bits (1 << value); `all` when it is missing or empty. */
unsigned api_fields_read(struct body *b, const char *key, const struct word_set *words,
                         unsigned all);
/* The same from a parameter of the query. ERR_INVALID for an unknown word. */
MUST_CHECK int api_query_fields(struct api_request *r, const char *name,
                                const struct word_set *words, unsigned all, unsigned *out,
                                struct err *err);
/* Integer of the query between min and max. */
MUST_CHECK int api_query_int(struct api_request *r, const char *name, struct body_range range,
                             int64_t *out, struct err *err);
/* 409 when the body names another version than that of the row; `what` is in the text. */
MUST_CHECK int api_check_version(struct api_request *r, const char *what, int64_t version,
                                 struct err *err);
/* Changes a row that has a version: `once` reads it, makes the new one and writes it; *out_again:
 * it was changed in between, all is done again. ERR_NOT_FOUND with the text `missing`. */
typedef MAY_SUSPEND int api_change_fn(struct api_request *r, struct id id, void *row,
                                      bool *out_again, struct err *err);
MUST_CHECK MAY_SUSPEND int api_change(struct api_request *r, const char *missing,
                                      api_change_fn *once, void *row, struct err *err);
/* `limit` of a list by name and the name that it goes on after; absent: from its beginning. */
MUST_CHECK int api_named_page(struct api_request *r, str *out_after, int64_t *out_limit,
                              struct err *err);
/* X-Pagination-Total, and X-Pagination-Next when more follow; more: a row comes after the page. */
void api_page_headers(struct api_request *r, const struct page *page, size_t count, bool more);
/* 404 for a name that is neither an assistant nor a graph. */
int api_assistant_unknown(str name, struct err *err);
/* 403 unless the principal may write: for routes where that depends on the body. */
MUST_CHECK int api_may_write(struct api_request *r, struct err *err);
/* The log's line on who did what, when there is to be one. */
void api_audit(const struct api_request *r);
/* What a client is told of a failure; one of the server is logged. */
str api_error_text(struct api_request *r, const struct err *err, int code);

/* --- origin.c --- */
/* May a page from the request's Origin call, whatever it may read? */
bool api_origin_is_fine(struct api_request *r);
/* The same for a WebSocket, which browsers open without asking: as far as answers may be read. */
bool api_socket_origin_is_fine(struct api_request *r);

/* The thread's id, the first path parameter; for what is none the 404 of the next one. */
MUST_CHECK int api_param_thread_id(struct api_request *r, struct id *out, struct err *err);
/* The thread that the first path parameter names; 404 "Thread with ID {id} not found". */
MUST_CHECK MAY_SUSPEND int api_param_thread(struct api_request *r, struct thread *out,
                                            struct err *err);
/* Stops its runs, ends its streams, deletes it. */
MUST_CHECK MAY_SUSPEND int api_thread_remove(struct api_request *r, struct id id, bool busy,
                                             struct err *err);
/* Answers with the thread and its values. */
MAY_SUSPEND int api_reply_thread(struct api_request *r, const struct thread *t, struct err *err);
/* Deletes the thread or its older states; ERR_CONFLICT when a run of it is live. */
MUST_CHECK MAY_SUSPEND int api_thread_prune_one(struct api_request *r, struct id id, int strategy,
                                                struct arena *a, struct err *err);
/* The same for each of them; answers how many there were. Those that are not there, or whose run is
 * live, are left. */
MUST_CHECK MAY_SUSPEND int api_threads_prune(struct api_request *r, const struct id *ids,
                                             size_t count, int strategy, struct err *err);
/* Memory for one object's state, reset for each, so that a list's size is bounded by its answer. */
#define API_STATE_BYTES_MAX (SIZE_MAX / 2)

/* --- thread_state.c, thread_update.c --- */
/* The id in any form of a checkpoint's configuration: a text, {"checkpoint_id"}, or that under
 * "configurable". Nil when there is none. */
struct id api_checkpoint_id_read(struct body *b, const char *key);
str api_checkpoint_ns_read(struct body *b); /* of member "checkpoint"; "" */
struct state_superstep;
MUST_CHECK int api_supersteps_read(struct api_request *r, struct body *b,
                                   struct state_superstep **out, size_t *out_count,
                                   struct err *err);
MUST_CHECK MAY_SUSPEND int api_supersteps_apply(struct api_request *r, const struct thread *t,
                                                const struct state_superstep *steps, size_t count,
                                                struct err *err);

/* --- idempotency.c: answers kept under the request's Idempotency-Key --- */
/* Adds the key to the batch that creates; body is the answer, "" when it is the run's. Nothing
 * when the request has no key. The batch then fails with ERR_REPEATED when the key is in use. */
void api_keyed_add(struct api_request *r, struct db_batch *b, str body, struct id thread_id,
                   struct id run_id);
/* What was stored as the answer: to be sent as it is. Absent: nothing was. */
str api_keyed_answer(const struct api_request *r);
MUST_CHECK int api_keyed_handle(struct api_request *r, str key, api_handler_fn handler,
                                struct map *flights, struct err *err);

/* --- perf.c: what /perf tells besides metrics --- */
#define API_SLOW_MAX 128
struct api_slow {
    int64_t at_us, us; /* wall; how long it took */
    const char *method, *route;
    int status;
    uint8_t trace_id[16]; /* zeroes: none */
};
/* The newest of them, a ring. */
struct api_slow_list {
    struct api_slow items[API_SLOW_MAX];
    uint64_t count; /* ever */
};
bool api_route_waits(const char *route); /* its answers take as long as somebody wants */
const struct api_slow_list *api_slow_requests(const struct api *api);

/* --- encode.c: rows as JSON --- */
void api_write_id(struct json_writer *w, struct id id);
void api_write_id_or_null(struct json_writer *w, struct id id); /* nil: null */
void api_write_time(struct json_writer *w, int64_t wall_us);
void api_write_time_or_null(struct json_writer *w, int64_t wall_us);                 /* 0: null */
void api_write_time_member(struct json_writer *w, const char *key, int64_t wall_us); /* the same */
#define API_MINUTE_US (INT64_C(60) * 1000000)

enum api_assistant_field {
    API_ASSISTANT_ID,
    API_ASSISTANT_GRAPH,
    API_ASSISTANT_NAME,
    API_ASSISTANT_DESCRIPTION,
    API_ASSISTANT_CONFIG,
    API_ASSISTANT_CONTEXT,
    API_ASSISTANT_METADATA,
    API_ASSISTANT_VERSION,
    API_ASSISTANT_CREATED,
    API_ASSISTANT_UPDATED
};
#define API_ASSISTANT_ALL 0x3ffu
extern const struct word_set API_ASSISTANT_FIELDS;
void api_write_assistant(struct json_writer *w, const struct assistant *t, unsigned fields);

enum api_thread_field {
    API_THREAD_ID,
    API_THREAD_CREATED,
    API_THREAD_UPDATED,
    API_THREAD_STATE_UPDATED,
    API_THREAD_METADATA,
    API_THREAD_STATUS,
    API_THREAD_CONFIG,
    API_THREAD_VALUES,
    API_THREAD_INTERRUPTS,
    API_THREAD_ERROR,
    API_THREAD_CONTEXT /* a word of the clients; threads have none */
};
#define API_THREAD_ALL 0x7ffu
extern const struct word_set API_THREAD_FIELDS;
/* values: JSON, absent writes null. extracted: JSON object; absent: no such member. The ttl is
 * written when there is one. */
void api_write_thread(struct json_writer *w, const struct thread *t, str values, str extracted,
                      unsigned fields);

enum api_run_field {
    API_RUN_ID,
    API_RUN_THREAD,
    API_RUN_ASSISTANT,
    API_RUN_CREATED,
    API_RUN_UPDATED,
    API_RUN_STATUS,
    API_RUN_METADATA,
    API_RUN_KWARGS,
    API_RUN_MULTITASK,
    API_RUN_CANCEL_REASON
};
#define API_RUN_ALL 0x3ffu
extern const struct word_set API_RUN_FIELDS;
void api_write_run(struct json_writer *w, const struct run *run, unsigned fields);

/* Where a state is; null for nil. id: of the checkpoint, or of its parent. */
void api_write_checkpoint(struct json_writer *w, const struct checkpoint *c, struct id id);
enum api_state_field {
    API_STATE_VALUES,
    API_STATE_NEXT,
    API_STATE_TASKS,
    API_STATE_METADATA,
    API_STATE_CREATED,
    API_STATE_CHECKPOINT,
    API_STATE_PARENT,
    API_STATE_INTERRUPTS
};
#define API_STATE_ALL 0xffu
extern const struct word_set API_STATE_FIELDS;
/* c NULL: a thread that has no state yet. values: JSON object text. */
void api_write_state(struct json_writer *w, struct arena *a, const struct checkpoint *c, str values,
                     unsigned fields);
void api_write_item(struct json_writer *w, const struct item *item);
void api_write_labels(struct json_writer *w, str joined); /* "a.b" as ["a","b"] */

/* --- thread_extract.c: `extract` of thread searches --- */
#define API_EXTRACT_COUNT_MAX 10
struct api_extract {
    struct {
        str alias, path; /* "values.messages[-1].content" */
    } items[API_EXTRACT_COUNT_MAX];
    size_t count;
    bool values; /* some path begins at the values */
};
void api_extract_read(struct body *b, struct api_extract *out);
/* {"alias": value or null, …} in the arena; absent when nothing is asked for. */
str api_extract_make(struct arena *a, const struct api_extract *x, const struct thread *t,
                     str values);

#endif
