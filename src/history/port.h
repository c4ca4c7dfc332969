/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - the history port: sessions of events, appended, read by cursor, never lost.
 *
 * A session is named by its owner and its name; it begins with its first event or checkpoint. seq
 * counts from 1 in each session without gaps; events that are gone (deleted, past their time) leave
 * their numbers behind, and a session that was deleted begins at 1 again.
 *
 * An append is all or nothing and durable when it returns. An event whose id its session has
 * already: with the same content it is acknowledged as a duplicate, with its number; with another
 * the append fails with ERR_CONFLICT and stores nothing.
 *
 * Adapters: memory.h and those in folders. pipeline.h wraps any of them and groups the appends of
 * many callers.
 *
 * Memory: what is passed in must live until the call returns; what is read lives in the arena.
 * Errors: ERR_INVALID, ERR_NOT_FOUND, ERR_CONFLICT, ERR_LIMIT (a queue is full), ERR_TOO_LARGE,
 * ERR_UNAVAILABLE (closed, busy, full disk), ERR_IO, ERR_CORRUPT. An error is never an
 * acknowledgement; after ERR_UNAVAILABLE and ERR_IO of an append it may be stored all the same:
 * appending the same events again is safe, and tells.
 * Suspends: all but history_close() and the accessors; shielded from cancellation, but for waits.
 * Tests: tests/conformance/test_history.c: every adapter is held to one suite. */
#ifndef HF_HISTORY_PORT_H
#define HF_HISTORY_PORT_H

#include "base/id.h"
#include "history/event.h"
#include "rt/fiber.h"

struct history;
struct history_watches;

struct history_key {
    str owner; /* may be empty */
    str session;
};

/* --- append --- */

#define HISTORY_APPEND_COUNT_MAX 10000
#define HISTORY_APPEND_BYTES_MAX (64u << 20)
struct history_result {
    int64_t seq;
    bool duplicate;
};
/* One append: to one session, or, with `sessions`, event i to sessions[i] of the owner. */
struct history_append {
    struct history_key key;
    const str *sessions; /* NULL: all to key.session */
    const struct history_event *events;
    size_t count;
    struct history_result *results; /* count of them; valid when rc == 0 */
    int rc;                         /* out */
    struct err err;                 /* out */
};
static inline struct history_key history_key_of(const struct history_append *a, size_t i) {
    return (struct history_key){a->key.owner, a->sessions ? a->sessions[i] : a->key.session};
}
/* Returns a->rc, which it sets. */
MUST_CHECK MAY_SUSPEND int history_append(struct history *h, struct history_append *a,
                                          struct err *err);

/* --- read --- */

#define HISTORY_PAGE_MAX       1000
#define HISTORY_PAGE_BYTES_MAX (4u << 20) /* of payloads; a page ends behind the one that passes */
struct history_position {
    int64_t occurred_at; /* by time only */
    int64_t seq;
};
struct history_range {
    struct history_key key;
    int64_t seq_min, seq_max;   /* inclusive */
    int64_t time_min, time_max; /* of occurred_at: from, and before */
    bool by_time;               /* order by (occurred_at, seq), not by seq */
    bool newest_first;
    const struct history_position *after; /* continue behind this one; NULL: from the start */
    size_t limit;               /* 1 to HISTORY_PAGE_MAX */
    bool payloads;
    int64_t now_us;             /* events past their time are left out */
};
#define HISTORY_RANGE_ALL(k)                                                               \
    ((struct history_range){.key = (k), .seq_min = 1, .seq_max = INT64_MAX,                \
                            .time_min = INT64_MIN, .time_max = INT64_MAX,                  \
                            .limit = HISTORY_PAGE_MAX, .payloads = true})
struct history_page {
    struct history_event *events;
    size_t count;
    bool more; /* behind the last one there may be others */
};
/* ERR_NOT_FOUND: no such session. */
MUST_CHECK MAY_SUSPEND int history_read(struct history *h, const struct history_range *range,
                                        struct arena *a, struct history_page *out, struct err *err);
/* Waits until the session has an event behind after_seq: *out_last_seq. ERR_TIMEOUT past the
 * deadline (monotonic, us); ERR_CANCELLED. A session that does not exist yet is waited for. */
MUST_CHECK MAY_SUSPEND int history_wait(struct history *h, const struct history_key *key,
                                        int64_t after_seq, int64_t deadline_us,
                                        int64_t *out_last_seq, struct err *err);

/* --- checkpoints --- */

#define HISTORY_CHECKPOINTS_KEPT 20 /* the newest of a session, and the one that counts as latest */
struct history_checkpoint {
    struct id id;     /* nil when put: a new UUIDv7 */
    struct id parent; /* nil when put: the latest, if any; out: nil for the first */
    str label;        /* absent or not empty */
    int64_t seq;      /* position in the session; when put: 0 takes the last number */
    enum history_payload payload_kind;
    str payload;
    unsigned char digest[HASH_SHA256_BYTES]; /* out: of the payload */
    int64_t created_at;                      /* wall clock, us; when put: 0 is now */
};
/* Fills c's out members. It is the latest from then on. A parent that does not exist is
 * ERR_NOT_FOUND; an id that exists: the same content changes nothing, another is ERR_CONFLICT. */
MUST_CHECK MAY_SUSPEND int history_checkpoint_put(struct history *h, const struct history_key *key,
                                                  struct history_checkpoint *c, struct arena *a,
                                                  struct err *err);
/* id nil: the latest. ERR_NOT_FOUND; ERR_CORRUPT when the digest does not fit. */
MUST_CHECK MAY_SUSPEND int history_checkpoint_get(struct history *h, const struct history_key *key,
                                                  struct id id, struct arena *a,
                                                  struct history_checkpoint *out, struct err *err);
/* Newest first, without payloads, behind `after` (nil: from the newest). */
MUST_CHECK MAY_SUSPEND int history_checkpoint_list(struct history *h, const struct history_key *key,
                                                   struct id after, size_t limit, struct arena *a,
                                                   struct history_checkpoint **out,
                                                   size_t *out_count, struct err *err);
/* An older one counts as the latest again, and is the parent of the next; nothing is removed. */
MUST_CHECK MAY_SUSPEND int history_checkpoint_rollback(struct history *h,
                                                       const struct history_key *key, struct id id,
                                                       struct err *err);

/* --- sessions --- */

struct history_session {
    str name;
    int64_t first_seq, last_seq; /* first_seq == last_seq + 1: it holds no event */
    int64_t payload_bytes;       /* of the events that it holds */
    int64_t created_at, updated_at;
};
void history_session_write(struct json_writer *w, const struct history_session *s);
MUST_CHECK MAY_SUSPEND int history_session_get(struct history *h, const struct history_key *key,
                                               struct arena *a, struct history_session *out,
                                               struct err *err);
/* Of an owner, by name, those greater than `after` ("": from the start). */
MUST_CHECK MAY_SUSPEND int history_session_list(struct history *h, str owner, str after,
                                                size_t limit, struct arena *a,
                                                struct history_session **out, size_t *out_count,
                                                struct err *err);
/* With all events, checkpoints and consumers. Durable when it returns; the bytes are gone from the
 * files, too, once history_sweep() has had its way. ERR_NOT_FOUND. */
MUST_CHECK MAY_SUSPEND int history_session_delete(struct history *h, const struct history_key *key,
                                                  struct err *err);

/* --- retention --- */

struct history_retention {
    int64_t age_ms_max;  /* since stored_at; 0: for ever */
    int64_t count_max;   /* newest events of each session; 0: all */
};
MUST_CHECK MAY_SUSPEND int history_retention_set(struct history *h, str owner,
                                                 const struct history_retention *r,
                                                 struct err *err);
MUST_CHECK MAY_SUSPEND int history_retention_get(struct history *h, str owner,
                                                 struct history_retention *out, struct err *err);
/* Removes what is past its time and what was deleted, at most about `budget` events at a time;
 * *out_removed of them. 0 removed: nothing is left to do. */
MUST_CHECK MAY_SUSPEND int history_sweep(struct history *h, int64_t now_us, size_t budget,
                                         size_t *out_removed, struct err *err);

/* --- consumers: durable cursors with names --- */

struct history_consumer {
    str name;
    int64_t acked_seq; /* all up to it are done with */
    int64_t updated_at;
};
/* Moves the cursor forward; an older position changes nothing. ERR_INVALID beyond the last number,
 * ERR_NOT_FOUND without the session. *out_acked_seq is where it stands. */
MUST_CHECK MAY_SUSPEND int history_consumer_ack(struct history *h, const struct history_key *key,
                                                str name, int64_t seq, int64_t *out_acked_seq,
                                                struct err *err);
/* By name, of one session; a consumer that never acknowledged is not there. */
MUST_CHECK MAY_SUSPEND int history_consumer_list(struct history *h, const struct history_key *key,
                                                 struct arena *a, struct history_consumer **out,
                                                 size_t *out_count, struct err *err);
/* ERR_NOT_FOUND when there is none. */
MUST_CHECK MAY_SUSPEND int history_consumer_delete(struct history *h, const struct history_key *key,
                                                   str name, struct err *err);

/* --- the whole --- */

struct history_stats {
    int64_t sessions, events, payload_bytes; /* -1: not known without counting */
    uint64_t appends, appended_events, flushes, syncs; /* since it was opened */
    size_t queue_count, queue_bytes;         /* of a pipeline */
};
MUST_CHECK MAY_SUSPEND int history_stats(struct history *h, struct history_stats *out,
                                         struct err *err);
/* Hex digits over all that is stored, but for times of storing: equal contents, equal digests, on
 * every adapter. Reads everything: for tests and `verify`. */
#define HISTORY_DIGEST_LEN 32
MUST_CHECK MAY_SUSPEND int history_digest(struct history *h, char out[HISTORY_DIGEST_LEN + 1],
                                          struct err *err);
const char *history_name(const struct history *h); /* of the adapter: "file", "sqlite", … */
/* No call may be under way. Frees h. */
void history_close(struct history *h);

/* --- for adapters and wrappers: the same calls, checked before they come here --- */

struct history_vtable {
    const char *name;
    /* Each of the appends succeeds or fails for itself (rc, err, results); in order: a later one
     * sees what an earlier one stored; one sync for all of them. One that fails for other reasons
     * than its content (ERR_INVALID, ERR_CONFLICT, ERR_TOO_LARGE) takes those behind it along, so
     * that no later event stands before an earlier one. */
    void (*append)(struct history *h, struct history_append *const *appends, size_t count);
    int (*read)(struct history *h, const struct history_range *range, struct arena *a,
                struct history_page *out, struct err *err);
    int (*wait)(struct history *h, const struct history_key *key, int64_t after_seq,
                int64_t deadline_us, int64_t *out_last_seq, struct err *err);
    int (*checkpoint_put)(struct history *h, const struct history_key *key,
                          struct history_checkpoint *c, struct arena *a, struct err *err);
    int (*checkpoint_get)(struct history *h, const struct history_key *key, struct id id,
                          struct arena *a, struct history_checkpoint *out, struct err *err);
    int (*checkpoint_list)(struct history *h, const struct history_key *key, struct id after,
                           size_t limit, struct arena *a, struct history_checkpoint **out,
                           size_t *out_count, struct err *err);
    int (*checkpoint_rollback)(struct history *h, const struct history_key *key, struct id id,
                               struct err *err);
    int (*session_get)(struct history *h, const struct history_key *key, struct arena *a,
                       struct history_session *out, struct err *err);
    int (*session_list)(struct history *h, str owner, str after, size_t limit, struct arena *a,
                        struct history_session **out, size_t *out_count, struct err *err);
    int (*session_delete)(struct history *h, const struct history_key *key, struct err *err);
    int (*retention_set)(struct history *h, str owner, const struct history_retention *r,
                         struct err *err);
    int (*retention_get)(struct history *h, str owner, struct history_retention *out,
                         struct err *err);
    int (*sweep)(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                 struct err *err);
    int (*consumer_ack)(struct history *h, const struct history_key *key, str name, int64_t seq,
                        int64_t *out_acked_seq, struct err *err);
    int (*consumer_list)(struct history *h, const struct history_key *key, struct arena *a,
                         struct history_consumer **out, size_t *out_count, struct err *err);
    int (*consumer_delete)(struct history *h, const struct history_key *key, str name,
                           struct err *err);
    int (*stats)(struct history *h, struct history_stats *out, struct err *err);
    /* Owners with sessions, in byte order, those greater than `after` (absent: from the start): for
     * the digest and for copies. */
    int (*owner_list)(struct history *h, str after, size_t limit, struct arena *a, str **out,
                      size_t *out_count, struct err *err);
    void (*close)(struct history *h);
};
struct history {
    const struct history_vtable *vtable;
    struct history_watches *watches; /* see watch.h; NULL before the first */
};
/* The group form of history_append(), for wrappers: the appends were checked. */
MAY_SUSPEND void history_append_group(struct history *h, struct history_append *const *appends,
                                      size_t count);
MUST_CHECK int history_append_check(const struct history_append *a, struct err *err);

#endif
