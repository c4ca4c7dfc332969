/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_int.h - what the files of A2A share: requests, tasks, how both versions write them.
 *
 * A context is a thread, a task a run: "thread:run". Version 1 has methods in PascalCase, other
 * names of states and roles, and no member `kind`; a request's method says which is spoken.
 * Memory: the arena given. Suspends: as marked. Tests: tests/integration/run-a2a; fuzzed. */
#ifndef HF_API_A2A_INT_H
#define HF_API_A2A_INT_H

#include "api/rpc_int.h"
#include "engine/engine.h"
#include "store/push_configs.h"
#include "store/run_tasks.h"

#define A2A_NO_TASK      (-32001)
#define A2A_NO_CANCEL    (-32002)
#define A2A_NO_PUSH      (-32003)
#define A2A_UNSUPPORTED  (-32004)
#define A2A_NO_CONTENT   (-32005)
#define A2A_NO_CARD      (-32007)
#define A2A_NO_VERSION   (-32009)
#define A2A_PARTS_MAX    1000
#define A2A_HISTORY_MAX  1000
#define A2A_TASK_LEN_MAX 80

/* --- a2a_read.c --- */
struct api_a2a_send {
    struct id thread_id, run_id; /* nil: the message names no context, no task */
    str message_id;
    str text;           /* of the text parts, joined by line breaks; absent: none */
    str content;        /* JSON: a message's content; absent: the message has only data */
    str data;           /* JSON object: the data parts, merged; absent: none */
    yyjson_val *resume; /* [{id, value}, …]; NULL: none */
    str metadata;       /* JSON object; absent: none */
    bool returns_at_once;
    yyjson_val *push; /* who is to be told of the end; NULL: nobody */
    int64_t history; /* messages to show; 0: none */
};
bool api_a2a_send_read(struct arena *a, yyjson_val *params, struct api_a2a_send *out,
                       struct rpc_error *e);
bool api_a2a_task_id_read(str text, struct id *thread_id, struct id *run_id);
int64_t api_a2a_history_read(yyjson_val *params);
/* Is the version of the header A2A-Version one that is spoken? Absent or empty: 0.3. */
bool api_a2a_version_is_known(str version);

/* --- a2a_task.c --- */
enum api_a2a_state {
    A2A_SUBMITTED,
    A2A_WORKING,
    A2A_INPUT_REQUIRED,
    A2A_COMPLETED,
    A2A_CANCELED,
    A2A_FAILED
};
struct api_a2a_task {
    struct id thread_id, run_id;
    enum api_a2a_state state;
    int64_t at_us;
    yyjson_val *values;     /* NULL: none */
    yyjson_val *interrupts; /* [{id, value}, …]; NULL: none */
    str error;              /* of a failed run, for people */
    bool tells;             /* a message began it: others may be told of its end */
};
/* ERR_NOT_FOUND also when the run is another assistant's; assistant_id nil: any. */
MUST_CHECK MAY_SUSPEND int api_a2a_task_load(struct store *s, const struct principal *who,
                                             struct id assistant_id, struct api_a2a_task *task,
                                             struct arena *a, struct err *err);
void api_a2a_task_of_outcome(struct arena *a, const struct run_outcome *o,
                             struct api_a2a_task *task);

/* --- a2a_write.c --- */
struct api_a2a_writer {
    struct json_writer *w;
    struct arena *a;
    bool v1;
    bool bare; /* without artifacts */
};
/* Of either version. */
bool api_a2a_state_parse(str name, enum api_a2a_state *out);
void api_a2a_write_task(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                        int64_t history);
/* What the state itself is; final: nothing follows. */
void api_a2a_write_status_update(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                                 bool final);
struct api_a2a_chunk {
    str artifact_id, text;
    bool append;
};
void api_a2a_write_chunk(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                         const struct api_a2a_chunk *chunk);
/* The whole artifact of a completed task; false: it has none, nothing was written. */
bool api_a2a_write_last_chunk(const struct api_a2a_writer *o, const struct api_a2a_task *t);

/* --- a2a_push.c --- */
str api_a2a_task_name(struct arena *a, struct id thread_id, struct id run_id);
/* Texts point into the value; the task is left to the caller. False: e says what is wrong. */
MUST_CHECK bool api_a2a_push_read(struct api_request *r, yyjson_val *config, bool v1,
                                  struct push_config *out, struct rpc_error *e);
enum api_a2a_push { A2A_PUSH_SET, A2A_PUSH_GET, A2A_PUSH_LIST, A2A_PUSH_DELETE };
struct api_a2a_push_call {
    struct api_request *r;
    yyjson_val *id, *params;
    bool v1;
    struct id assistant_id;
};
/* A method of configurations. ERR_NOT_FOUND: the task, or its configuration. */
MUST_CHECK MAY_SUSPEND int api_a2a_push(const struct api_a2a_push_call *c, enum api_a2a_push what,
                                        struct err *err);

/* --- a2a_list.c: version 1 only --- */
struct api_a2a_list {
    struct run_task_filter filter;
    int64_t history;
    bool artifacts;
};
/* All but the assistant's id. False: e says what is wrong. */
bool api_a2a_list_read(yyjson_val *params, struct api_a2a_list *out, struct rpc_error *e);
MUST_CHECK MAY_SUSPEND int api_a2a_list_reply(struct api_request *r, yyjson_val *id,
                                              const struct api_a2a_list *l, struct err *err);

/* --- a2a_card.c --- */
void api_a2a_write_card(struct api_request *r, struct json_writer *w, const struct assistant *t);
bool api_a2a_has_extended_card(struct api_request *r);

/* --- a2a_stream.c --- */
struct api_a2a_stream;
/* The answer becomes a stream of the run's task; its first event is the task as it is. */
struct api_a2a_stream *api_a2a_stream_open(struct api_request *r, yyjson_val *id, bool v1,
                                           struct id assistant_id, const struct api_a2a_task *task);
void api_a2a_stream_live(struct api_a2a_stream *s); /* a run that has shown nothing yet */
MUST_CHECK MAY_SUSPEND int api_a2a_stream_join(struct api_a2a_stream *s, int64_t first_seq,
                                               struct err *err);

#endif
