/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h - brings a thread's log and its readers together: durable entries after their commit,
 * tokens at once.
 *
 * Every append to a thread's log in this process goes through hub_commit. Fragments (tokens) are
 * shown to live readers as they come, under the id base.k: the k-th fragment after the durable
 * entry `base`; they are written to the log in segments (30 ms or 4 KB) that keep base and first k,
 * so a replay gives the same ids. A fragment that comes while an entry is being committed waits for
 * it: what readers see is the order of the log.
 *
 * A reader is a cursor: it replays the log from where its client left, then goes live. It holds no
 * fiber while live. Memory: per reader a small struct and its renderer; per thread with readers or
 * a live run one topic. Suspends: hub_commit, hub_reader_replay. Tests:
 * tests/unit/engine/test_hub.c, tests/integration (streams cut anywhere) */
#ifndef HF_ENGINE_HUB_H
#define HF_ENGINE_HUB_H

#include "engine/render.h"
#include "engine/state.h"
#include "rt/fiber.h"
#include "store/runs.h"

struct hub;
struct hub_topic;
struct hub_reader;

struct hub *hub_new(struct rt *rt, struct store *store);
/* Called after a commit that put something into the outbox. */
void hub_outbox_set(struct hub *h, void (*grew)(void *ctx), void *ctx);

/* --- logs that other processes append to; see hub_tail.c --- */
struct hub_events {
    void (*committed)(void *ctx, struct id thread_id);               /* by this process */
    void (*ended)(void *ctx, struct id run_id, struct id thread_id); /* by another one */
    void (*fenced)(void *ctx, struct id run_id); /* its fragments were refused */
    void *ctx;
};
/* Starts the tail reader: threads with readers whose run is elsewhere are looked at, by and by. */
MUST_CHECK int hub_tail_start(struct hub *h, const struct hub_events *events, struct err *err);
MAY_SUSPEND void hub_tail_stop(struct hub *h);
/* Somebody says that the thread's log has grown; nil: any. */
void hub_hint(struct hub *h, struct id thread_id);
/* Whether hints come at all: without them the tail reader looks more often. */
void hub_hints_up(struct hub *h, bool up);
struct hub_tail_stats {
    size_t topics, tailed, behind;
    uint64_t polls, fills;
};
void hub_tail_stats(const struct hub *h, struct hub_tail_stats *out);
/* Waits for segments under way; no run is live any more. From then on none is written: tokens that
 * are in none yet are of attempts that are over, or stood where the database was away too long. */
MAY_SUSPEND void hub_settle(struct hub *h);
void hub_free(struct hub *h); /* no topics left */

/* A live run holds its thread's topic. */
struct hub_topic *hub_topic_ref(struct hub *h, struct id thread_id);
void hub_topic_unref(struct hub *h, struct hub_topic *t);
/* The run whose fragments come from now on: they are written only while it has the thread.
 * NULL: it has ended; open: fragments of a run that lost the thread are dropped. */
void hub_topic_hold(struct hub_topic *t, const struct run_hold *hold);
void hub_topic_drop(struct hub_topic *t, struct id run_id);

struct hub_entry {
    struct log_entry entry;
    str values;               /* of a checkpoint, when at hand */
    struct graph_view *state; /* or the state to take them from when a reader wants them */
    bool stored;              /* or neither: a reader that wants them has them from the store */
};
/* Commits the batch with the entries (and the open segment before them) appended to the thread's
 * log; shows them to the readers. */
struct hub_append {
    struct id thread_id;
    struct db_batch *batch;
    const struct hub_entry *entries;
    size_t count;                      /* may be 0 */
    const struct log_counter *counter; /* NULL: a statement of its own */
    bool held; /* the batch is of the run that the topic is held by, and asks for that itself */
    bool told; /* whoever subscribed to the thread's plan wants the run's end, too */
    /* Adds what tells them of the entries, of which there are `count`, by other means; returns the
     * operation, which changed something when somebody is told. May be NULL. */
    size_t (*tell)(void *ctx, struct db_batch *b, int64_t count);
    /* May be NULL. While it is not known whether the batch was stored: go on asking? NULL: for some
     * seconds. After it said no the answer is ERR_UNAVAILABLE and batch->in_doubt. */
    bool (*patient)(void *ctx);
    /* May be NULL: runs once the batch is durable, before anything is shown; must not suspend. */
    void (*after_commit)(void *ctx);
    void *ctx;
};
MUST_CHECK MAY_SUSPEND int hub_commit(struct hub *h, const struct hub_append *append,
                                      struct err *err);
/* Does somebody read the topic's log now, who would miss the end of a thread that goes? */
bool hub_topic_replayed(const struct hub_topic *t);
/* For a batch that deletes the thread of run_id, whose log nobody reads; who begins to meanwhile
 * waits for how it ends: nothing is logged, open fragments are dropped, the entries are shown under
 * the numbers they would have had. */
MUST_CHECK MAY_SUSPEND int hub_commit_gone(struct hub *h, const struct hub_append *append,
                                           struct id run_id, struct err *err);
/* The thread was deleted beside the hub: ends its readers. */
void hub_thread_gone(struct hub *h, struct id thread_id);
/* A token or custom value of a run: JSON object (see render_messages.c), copied. */
void hub_fragment(struct hub *h, struct hub_topic *t, struct id run_id, str json);

/* Where a client left off. Text: seq[.k][-j][~after]: j frames (1 when left out) of the item were
 * received; of a fragment that came late, behind the entry `after` (0: it did not), that one, too.
 */
struct hub_cursor {
    int64_t seq, k, frames, after;
};
#define HUB_CURSOR_TEXT_MAX 96
bool hub_cursor_parse(str text, struct hub_cursor *out);
size_t hub_cursor_write(const struct hub_cursor *c, char out[HUB_CURSOR_TEXT_MAX]);
/* Has who comes back with `last` had the frame `at`? Up to 0: yes; 0: it is the last one. */
int hub_cursor_cmp(const struct hub_cursor *at, const struct hub_cursor *last);

#define HUB_MODES_OF_RUN RENDER_MODES_OF_RUN
struct hub_reader_options {
    struct id thread_id;
    struct id run_id; /* nil: every run of the thread; never ends by itself */
    unsigned modes;   /* HUB_MODES_OF_RUN: and those that each run was started with */
    bool alive;       /* of a replay: the run was not over when first_seq was read */
    bool (*frame)(void *ctx, str event, str data, str id); /* false: gone */
    void (*finished)(void *ctx); /* once, after the run's end was shown; not after a close */
    void *ctx;
};
/* For a run whose first entry is still to come. */
struct hub_reader *hub_reader_live(struct hub *h, const struct hub_reader_options *o);
/* From the log: entries after first_seq are read, those up to the cursor are not shown. room (may
 * be NULL) suspends until the client has taken so much that a frame of `bytes` has room. Returns
 * NULL when the run's end was shown (or the client is gone) already; else the reader is live. */
MAY_SUSPEND int hub_reader_replay(struct hub *h, const struct hub_reader_options *o,
                                  int64_t first_seq, const struct hub_cursor *cursor,
                                  void (*room)(void *ctx, size_t bytes), struct hub_reader **out,
                                  struct err *err);
void hub_reader_close(struct hub_reader *r);
/* Tells every live reader that the server is going: finished() of all. */
void hub_finish_readers(struct hub *h, str error_json);
/* The same for the live readers of one run, whose end will not come. */
void hub_finish_run_readers(struct hub_topic *t, struct id run_id, str error_json);
size_t hub_reader_count(const struct hub *h);

#endif
