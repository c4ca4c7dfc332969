/* SPDX-License-Identifier: Apache-2.0 */
/* chat_int.h - chats: what clients say, what they are shown, and both over a socket or over HTTP.
 *
 * A chat is a thread; a message starts a run on it, and what is shown is made of the frames of its
 * log. Memory: as marked. Suspends: as marked. Tests: tests/integration/run-chat; fuzzed. */
#ifndef HF_API_CHAT_INT_H
#define HF_API_CHAT_INT_H

#include "api/api_int.h"
#include "engine/engine.h"

/* --- chat_message.c: what a client says --- */
#define CHAT_ID_BYTES_MAX 128
enum chat_kind { CHAT_MESSAGE, CHAT_ABORT, CHAT_THINKING, CHAT_INFO, CHAT_PING };
struct chat_message {
    enum chat_kind kind;
    str id; /* the client's name of it; comes back with the answer. Absent: none */
    yyjson_val *root;
    /* of a message: one of both */
    yyjson_val *content; /* a text, or a list of blocks */
    yyjson_val *resume;  /* answers what the chat asks */
    str assistant;       /* absent: the chat's */
    bool cancel;         /* the run, when the socket that started it goes */
    bool has_thread;
    struct id thread_id; /* where it is said: over HTTP */
    struct id run_id;    /* of an abort; nil: every run of the chat */
    str thinking;        /* of a message or a set:thinking; absent: not said */
};
/* Parses a text; everything points into the arena. On an error out->id is what could be read.
 * ERR_MALFORMED, ERR_TOO_LARGE, ERR_INVALID. */
MUST_CHECK int chat_message_parse(struct arena *a, str text, struct chat_message *out,
                                  struct err *err);
/* The same of a value. */
MUST_CHECK int chat_message_read(struct arena *a, yyjson_val *root, struct chat_message *out,
                                 struct err *err);

/* --- chat_events.c: what a client is shown --- */
/* What the reader of the log must show: always all of it, so that ids do not depend on readers. */
#define CHAT_MODES (STREAM_MESSAGES_TUPLE | STREAM_UPDATES | STREAM_LIFECYCLE)

/* Where a reader begins. Text: "" or absent, "0", "now", or an event's id: CURSOR/N, the N-th event
 * of that frame of the log. */
enum chat_from { CHAT_FROM_RUN, CHAT_FROM_FIRST, CHAT_FROM_NOW, CHAT_FROM_BEHIND };
struct chat_since {
    enum chat_from from; /* the newest run, everything, what comes, behind an event */
    struct hub_cursor at;
    int64_t n;
};
MUST_CHECK int chat_since_parse(str text, struct chat_since *out, struct err *err);
/* Where the log has to be read from, so that the events of its runs are whole. */
MUST_CHECK MAY_SUSPEND int chat_since_first(struct store *store, const struct thread *t,
                                            struct chat_since *since, struct arena *a,
                                            int64_t *out_seq, struct err *err);

struct chat_events;
struct chat_events_options {
    struct id thread_id;
    /* type and id stand in the JSON, too. false: gone. */
    bool (*event)(void *ctx, str type, str id, str json);
    void (*ended)(void *ctx, struct id run_id); /* may be NULL: a run was told to be over */
    void *ctx;
};
struct chat_events *chat_events_new(const struct chat_events_options *o);
void chat_events_free(struct chat_events *e);
void chat_events_behind(struct chat_events *e, const struct chat_since *since);
bool chat_events_frame(struct chat_events *e, str event, str data, str id); /* as it comes */

/* --- chat.c: what is done --- */
struct chat_state {
    struct id thread_id;
    str assistant; /* absent: the one that the thread had */
    str thinking;  /* of runs whose message does not say; absent: none */
};
/* Starts a run; the answer (message:ack) is given to acked before anything of the run is shown. */
struct chat_sent {
    struct id run_id;
    void (*acked)(void *ctx, struct api_request *r); /* what was written; must not suspend */
    void *ctx;
};
MUST_CHECK MAY_SUSPEND int chat_send(struct api_request *r, const struct chat_state *chat,
                                     const struct chat_message *m, struct chat_sent *sent,
                                     struct err *err);
/* Writes the answer. ERR_NOT_FOUND, ERR_CONFLICT (it is over) for a run that is named. */
MUST_CHECK MAY_SUSPEND int chat_abort(struct api_request *r, const struct chat_state *chat,
                                      const struct chat_message *m, struct err *err);
/* Writes session:info. id: of who asked for it; absent: nobody did. A thread that is not there, or
 * is not the principal's, is a chat that has not begun: with must_exist ERR_NOT_FOUND. */
MUST_CHECK MAY_SUSPEND int chat_info(struct api_request *r, const struct chat_state *chat, str id,
                                     bool must_exist, struct err *err);
void chat_write_error(struct api_request *r, str id, int code, const struct err *err);

#endif
