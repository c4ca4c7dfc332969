/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast.h - histories: sessions of events, appended, read by cursor, never lost; in a folder, in
 * a file of SQLite or in PostgreSQL.
 *
 * A session is named by its owner (NULL or "": nobody's) and its name. Its events are numbered from
 * 1 without gaps. An append is stored whole or not at all, and is durable when it is answered; an
 * event whose id is there already, with the same content, is acknowledged as a duplicate.
 *
 * Each call has two forms. The plain one blocks until it is done and gives its result through its
 * last but one argument. The one that ends in _async returns at once; `done` is called exactly
 * once, on the handle's own thread, unless the call itself returned an error: then never. It must
 * not block; it may start further calls, their _async form only. What is passed in may go as soon
 * as the call returns.
 *
 * Every result is one object: give it to hf_free(), whatever it points to goes with it. Texts are
 * UTF-8 and end with NUL; times are microseconds since 1970, UTC. A call returns HF_OK or a
 * negative code; `error`, when it is not NULL, is then filled with a text.
 *
 * A handle may be used by any number of threads, and a process may have any number of handles.
 * After fork() the child may not touch the parent's.
 *
 * Structs that are passed in begin with struct_size: set it to sizeof, zero the rest, and what
 * later versions add keeps its meaning. Structs that come out may grow at their ends. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HF_VERSION_MAJOR 0
#define HF_VERSION_MINOR 1
#define HF_VERSION_PATCH 0
#define HF_VERSION_TEXT  "0.1.0"

#define HF_API     __attribute__((visibility("default")))
#define HF_CHECKED HF_API __attribute__((warn_unused_result))

/* --- errors --- */

enum hf_code {
    HF_OK = 0,
    HF_INVALID = -1,   /* the call is wrong; the text says where */
    HF_MALFORMED = -2, /* a JSON text cannot be parsed */
    HF_NOT_FOUND = -3, /* no such session, checkpoint, consumer */
    HF_CONFLICT = -5,  /* an id that is there with another content */
    HF_TOO_LARGE = -6,
    HF_LIMIT = -7,       /* too many calls wait: later */
    HF_UNAVAILABLE = -8, /* in use by another process, full disk, lost database: later */
    HF_TIMEOUT = -9,
    HF_UNSUPPORTED = -13,
    HF_IO = -14,
    HF_CORRUPT = -15, /* what is stored cannot be read */
    HF_CLOSED = -16,  /* hf_stop() or hf_close() came before, or while it waited */
    HF_INTERNAL = -17
};
struct hf_error {
    int code;   /* enum hf_code */
    int system; /* errno or SQLite's code of the cause; 0: none */
    int reserved[2];
    char message[256];
};
HF_API const char *hf_code_name(int code); /* "NOT_FOUND" */
HF_API const char *hf_version(void);       /* of the library, "0.1.0" */

/* --- a handle --- */

struct hf_history;

enum hf_log_level { HF_LOG_DEBUG = 0, HF_LOG_INFO, HF_LOG_WARN, HF_LOG_ERROR };
/* On threads of the handle, several at a time. fields: a JSON object. */
typedef void (*hf_log_fn)(void *ctx, int level, const char *event, const char *message,
                          const char *fields);
struct hf_options {
    size_t struct_size;
    int read_only;         /* file: only: what the folder holds now, beside a process that writes */
    int refuses_when_full; /* an append that finds the queue full is HF_LIMIT and does not wait */
    int64_t interval_us;   /* a group of appends waits for company so long; 0: never */
    size_t queue_count_max; /* events that wait to be stored; 0: 50,000 */
    size_t queue_bytes_max; /* and their bytes; 0: 128 MiB */
    size_t calls_max;       /* calls of the _async form under way; 0: 100,000 */
    size_t calls_bytes_max; /* and the bytes copied for them; 0: 256 MiB */
    hf_log_fn log;          /* NULL: the handle logs nothing */
    void *log_ctx;
    int log_level; /* lowest, enum hf_log_level */
};
/* url: file:FOLDER (made when it is missing), sqlite:FILE, postgres://… as libpq reads it.
 * options may be NULL. A folder or a file has one process that writes to it, and one handle in it:
 * another one is HF_UNAVAILABLE. */
HF_CHECKED int hf_open(const char *url, const struct hf_options *options, struct hf_history **out,
                       struct hf_error *error);
/* From then on each call answers HF_CLOSED, also one that waits for an event; what is being stored
 * is finished. Returns at once, may be called from `done`. */
HF_API void hf_stop(struct hf_history *h);
/* Stops it, waits for every call to be answered, frees it. No call may begin once it has been
 * called. HF_INVALID from `done`: nothing is closed then. NULL is fine. */
HF_API int hf_close(struct hf_history *h);
HF_API const char *hf_kind(const struct hf_history *h); /* "file", "sqlite", "postgres" */

HF_API void hf_free(const void *result); /* NULL is fine; after hf_close(), too */

/* result: what the call's plain form gives, now the callee's; NULL when code is not HF_OK. A number
 * comes as an int64_t. error lives during the call. */
typedef void (*hf_done_fn)(void *ctx, int code, void *result, const struct hf_error *error);

/* --- events --- */

#define HF_NAME_BYTES_MAX    512 /* of owners, sessions, labels, consumers */
#define HF_ID_BYTES_MAX      200 /* of ids, types, sources, trace ids */
#define HF_HEADERS_BYTES_MAX 65536
#define HF_PAYLOAD_BYTES_MAX 16777216
#define HF_APPEND_COUNT_MAX  10000
#define HF_APPEND_BYTES_MAX  67108864
#define HF_PAGE_MAX          1000

enum hf_payload { HF_JSON = 0, HF_BYTES = 1 };

struct hf_event {
    size_t struct_size;  /* the same in all events of an array */
    const char *session; /* NULL: that of the call; out: NULL */
    const char *id;      /* unique in its session; NULL: a new UUIDv7 */
    const char *type;
    const char *source; /* NULL: none, as is trace_id */
    const char *trace_id;
    const char *headers; /* a JSON object of strings; NULL: none */
    int64_t occurred_at; /* 0: when it comes, and then no part of its content */
    int64_t ttl_ms;      /* since occurred_at; 0: for ever */
    int payload_kind;    /* enum hf_payload */
    const void *payload; /* out: NULL when it was not asked for */
    size_t payload_size;
    /* Of events that were read: */
    int64_t seq;
    int64_t stored_at;
};

struct hf_result {
    const char *id;
    int64_t seq;
    int duplicate;
};
struct hf_results {
    size_t count;
    const struct hf_result *const *items; /* in the order of the events */
    size_t duplicates;
};
/* session may be NULL when each event names one. out may be NULL. */
HF_CHECKED int hf_append(struct hf_history *h, const char *owner, const char *session,
                         const struct hf_event *events, size_t count, struct hf_results **out,
                         struct hf_error *error);
HF_CHECKED int hf_append_async(struct hf_history *h, const char *owner, const char *session,
                               const struct hf_event *events, size_t count, hf_done_fn done,
                               void *ctx, struct hf_error *error);
/* An envelope, an array of them, or a line for each:
 * {"id","type","occurredAt","sessionId","source","traceId","ttlMs","headers","payload"} */
HF_CHECKED int hf_append_json(struct hf_history *h, const char *owner, const char *session,
                              const char *text, size_t text_size, struct hf_results **out,
                              struct hf_error *error);
HF_CHECKED int hf_append_json_async(struct hf_history *h, const char *owner, const char *session,
                                    const char *text, size_t text_size, hf_done_fn done, void *ctx,
                                    struct hf_error *error);

/* --- reading --- */

struct hf_position {
    int64_t occurred_at;
    int64_t seq;
};
struct hf_range {
    size_t struct_size;
    int64_t seq_min, seq_max;   /* inclusive; 0: no bound */
    int64_t time_min, time_max; /* of occurred_at: from, and before; 0: no bound */
    int by_time;                /* in the order of occurred_at, not of seq */
    int newest_first;
    int headers_only;                /* no payloads */
    size_t limit;                    /* 0: HF_PAGE_MAX, which is the most */
    const struct hf_position *after; /* `next` of the page before; NULL: from the start */
};
struct hf_page {
    size_t count;
    const struct hf_event *const *events;
    int more;                /* behind the last one there may be others */
    struct hf_position next; /* of the last one */
};
/* range may be NULL: from the first event on. HF_NOT_FOUND: no such session. */
HF_CHECKED int hf_read(struct hf_history *h, const char *owner, const char *session,
                       const struct hf_range *range, struct hf_page **out, struct hf_error *error);
HF_CHECKED int hf_read_async(struct hf_history *h, const char *owner, const char *session,
                             const struct hf_range *range, hf_done_fn done, void *ctx,
                             struct hf_error *error);
/* The same as lines of JSON, an envelope with its "seq" each. */
struct hf_text {
    size_t size;
    const char *text;
    size_t count; /* of lines */
    int more;
    struct hf_position next;
};
HF_CHECKED int hf_read_json(struct hf_history *h, const char *owner, const char *session,
                            const struct hf_range *range, struct hf_text **out,
                            struct hf_error *error);
HF_CHECKED int hf_read_json_async(struct hf_history *h, const char *owner, const char *session,
                                  const struct hf_range *range, hf_done_fn done, void *ctx,
                                  struct hf_error *error);

/* Waits until the session has an event behind after_seq: the number of its last one. HF_TIMEOUT
 * after timeout_ms; negative: never. A session that does not exist yet is waited for. At most 4,096
 * calls of these two wait at a time, others are HF_LIMIT. */
HF_CHECKED int hf_wait(struct hf_history *h, const char *owner, const char *session,
                       int64_t after_seq, int64_t timeout_ms, int64_t *out_last_seq,
                       struct hf_error *error);
HF_CHECKED int hf_wait_async(struct hf_history *h, const char *owner, const char *session,
                             int64_t after_seq, int64_t timeout_ms, hf_done_fn done, void *ctx,
                             struct hf_error *error);
/* Waits, if need be, and reads: the events behind after_seq, up to limit (0: HF_PAGE_MAX). */
HF_CHECKED int hf_follow(struct hf_history *h, const char *owner, const char *session,
                         int64_t after_seq, size_t limit, int64_t timeout_ms, struct hf_page **out,
                         struct hf_error *error);
HF_CHECKED int hf_follow_async(struct hf_history *h, const char *owner, const char *session,
                               int64_t after_seq, size_t limit, int64_t timeout_ms, hf_done_fn done,
                               void *ctx, struct hf_error *error);

/* --- checkpoints --- */

struct hf_checkpoint {
    size_t struct_size;
    const char *id;      /* a UUID; NULL when put: a new one */
    const char *parent;  /* NULL when put: the latest; out: NULL for the first */
    const char *label;   /* NULL: none */
    int64_t seq;         /* position in the session; 0 when put: its last number */
    int payload_kind;    /* enum hf_payload */
    const void *payload; /* out: NULL in lists, and of what was put */
    size_t payload_size;
    int64_t created_at;       /* 0 when put: now */
    unsigned char sha256[32]; /* out: of the payload */
};
struct hf_checkpoints {
    size_t count;
    const struct hf_checkpoint *const *items; /* newest first */
};
/* It is the latest from then on. A session keeps its newest 20, and the latest. */
HF_CHECKED int hf_checkpoint_put(struct hf_history *h, const char *owner, const char *session,
                                 const struct hf_checkpoint *checkpoint, struct hf_checkpoint **out,
                                 struct hf_error *error);
HF_CHECKED int hf_checkpoint_put_async(struct hf_history *h, const char *owner, const char *session,
                                       const struct hf_checkpoint *checkpoint, hf_done_fn done,
                                       void *ctx, struct hf_error *error);
/* id NULL: the latest. */
HF_CHECKED int hf_checkpoint_get(struct hf_history *h, const char *owner, const char *session,
                                 const char *id, struct hf_checkpoint **out,
                                 struct hf_error *error);
HF_CHECKED int hf_checkpoint_get_async(struct hf_history *h, const char *owner, const char *session,
                                       const char *id, hf_done_fn done, void *ctx,
                                       struct hf_error *error);
/* after: an id; NULL: from the newest. limit 0: HF_PAGE_MAX. */
HF_CHECKED int hf_checkpoint_list(struct hf_history *h, const char *owner, const char *session,
                                  const char *after, size_t limit, struct hf_checkpoints **out,
                                  struct hf_error *error);
HF_CHECKED int hf_checkpoint_list_async(struct hf_history *h, const char *owner,
                                        const char *session, const char *after, size_t limit,
                                        hf_done_fn done, void *ctx, struct hf_error *error);
/* An older one counts as the latest again; nothing is removed. */
HF_CHECKED int hf_checkpoint_rollback(struct hf_history *h, const char *owner, const char *session,
                                      const char *id, struct hf_error *error);
HF_CHECKED int hf_checkpoint_rollback_async(struct hf_history *h, const char *owner,
                                            const char *session, const char *id, hf_done_fn done,
                                            void *ctx, struct hf_error *error);

/* --- sessions --- */

struct hf_session {
    const char *name;
    int64_t first_seq, last_seq; /* first_seq == last_seq + 1: it holds no event */
    int64_t payload_bytes;
    int64_t created_at, updated_at;
};
struct hf_sessions {
    size_t count;
    const struct hf_session *const *items; /* by name */
};
HF_CHECKED int hf_session_get(struct hf_history *h, const char *owner, const char *session,
                              struct hf_session **out, struct hf_error *error);
HF_CHECKED int hf_session_get_async(struct hf_history *h, const char *owner, const char *session,
                                    hf_done_fn done, void *ctx, struct hf_error *error);
/* Names greater than after (NULL: all). limit 0: HF_PAGE_MAX. */
HF_CHECKED int hf_session_list(struct hf_history *h, const char *owner, const char *after,
                               size_t limit, struct hf_sessions **out, struct hf_error *error);
HF_CHECKED int hf_session_list_async(struct hf_history *h, const char *owner, const char *after,
                                     size_t limit, hf_done_fn done, void *ctx,
                                     struct hf_error *error);
/* With its events, checkpoints and consumers. */
HF_CHECKED int hf_session_delete(struct hf_history *h, const char *owner, const char *session,
                                 struct hf_error *error);
HF_CHECKED int hf_session_delete_async(struct hf_history *h, const char *owner, const char *session,
                                       hf_done_fn done, void *ctx, struct hf_error *error);

/* --- consumers: durable cursors with names --- */

struct hf_consumer {
    const char *name;
    int64_t acked_seq; /* all up to it are done with */
    int64_t updated_at;
};
struct hf_consumers {
    size_t count;
    const struct hf_consumer *const *items; /* by name */
};
/* Only forward; *out_acked_seq (may be NULL) is where it stands. */
HF_CHECKED int hf_consumer_ack(struct hf_history *h, const char *owner, const char *session,
                               const char *name, int64_t seq, int64_t *out_acked_seq,
                               struct hf_error *error);
HF_CHECKED int hf_consumer_ack_async(struct hf_history *h, const char *owner, const char *session,
                                     const char *name, int64_t seq, hf_done_fn done, void *ctx,
                                     struct hf_error *error);
HF_CHECKED int hf_consumer_list(struct hf_history *h, const char *owner, const char *session,
                                struct hf_consumers **out, struct hf_error *error);
HF_CHECKED int hf_consumer_list_async(struct hf_history *h, const char *owner, const char *session,
                                      hf_done_fn done, void *ctx, struct hf_error *error);
HF_CHECKED int hf_consumer_delete(struct hf_history *h, const char *owner, const char *session,
                                  const char *name, struct hf_error *error);
HF_CHECKED int hf_consumer_delete_async(struct hf_history *h, const char *owner,
                                        const char *session, const char *name, hf_done_fn done,
                                        void *ctx, struct hf_error *error);

/* --- what is kept, and the whole --- */

struct hf_retention {
    size_t struct_size;
    int64_t age_ms_max; /* since it was stored; 0: for ever */
    int64_t count_max;  /* newest events of each session; 0: all */
};
HF_CHECKED int hf_retention_set(struct hf_history *h, const char *owner,
                                const struct hf_retention *retention, struct hf_error *error);
HF_CHECKED int hf_retention_set_async(struct hf_history *h, const char *owner,
                                      const struct hf_retention *retention, hf_done_fn done,
                                      void *ctx, struct hf_error *error);
HF_CHECKED int hf_retention_get(struct hf_history *h, const char *owner, struct hf_retention **out,
                                struct hf_error *error);
HF_CHECKED int hf_retention_get_async(struct hf_history *h, const char *owner, hf_done_fn done,
                                      void *ctx, struct hf_error *error);
/* Removes what is past its time and the bytes of what was deleted, about budget events (0: 1,000)
 * at a time; nobody does it unasked. *out_removed 0: nothing is left to do. */
HF_CHECKED int hf_sweep(struct hf_history *h, size_t budget, int64_t *out_removed,
                        struct hf_error *error);
HF_CHECKED int hf_sweep_async(struct hf_history *h, size_t budget, hf_done_fn done, void *ctx,
                              struct hf_error *error);

struct hf_stats {
    int64_t sessions, events, payload_bytes;           /* -1: not known without counting */
    uint64_t appends, appended_events, flushes, syncs; /* since it was opened */
    size_t queue_count, queue_bytes;                   /* events that wait to be stored */
};
HF_CHECKED int hf_stats(struct hf_history *h, struct hf_stats **out, struct hf_error *error);
HF_CHECKED int hf_stats_async(struct hf_history *h, hf_done_fn done, void *ctx,
                              struct hf_error *error);
/* 32 hex digits over all that is stored but times of storing: equal contents, equal digests, in
 * every kind of store. Reads everything. */
HF_CHECKED int hf_digest(struct hf_history *h, char **out, struct hf_error *error);
HF_CHECKED int hf_digest_async(struct hf_history *h, hf_done_fn done, void *ctx,
                               struct hf_error *error);

#ifdef __cplusplus
}
#endif

#endif
