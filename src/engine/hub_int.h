/* SPDX-License-Identifier: Apache-2.0 */
/* hub_int.h - topics, fragments and readers as hub.c and hub_reader.c share them. */
#ifndef HF_ENGINE_HUB_INT_H
#define HF_ENGINE_HUB_INT_H

#include "base/json.h"
#include "base/map.h"
#include "engine/hub.h"

struct hub {
    struct rt *rt;
    struct store *store;
    struct map topics; /* thread id (16 bytes) → struct hub_topic */
    size_t readers;
    size_t flushes; /* fibers that write segments */
    bool settled;   /* none begins any more */
    struct hub_events events;
    void (*outbox_grew)(void *ctx); /* NULL: nobody is told */
    void *outbox_ctx;
    /* the tail reader; see hub_tail.c */
    bool tailing, tail_stop, hints_up;
    struct fiber_event tail_wake;
    size_t tail_fibers;
    uint64_t tail_polls, tail_fills;
};
struct fragment {
    struct list node;
    struct id run_id;
    int64_t base, k, at;
    size_t len;
    char data[];
};
struct hub_topic {
    struct hub *hub;
    struct id thread_id;
    int refs;
    struct list readers;
    int64_t base, k;     /* last durable entry, fragments shown since */
    int64_t visible_seq; /* last number known to be committed; -1 unknown */
    int64_t shown_seq;   /* last number that the live readers have seen, with all before it */
    bool filling;        /* its readers are being given entries from the log */
    bool lost;           /* there were none to give: whether their runs go on is to be seen */
    bool hinted;         /* somebody appended while its run is here */
    int64_t tail_due_us, tail_wait_us;
    int pending;        /* commits with entries under way */
    struct list open;   /* fragments in no batch yet */
    struct list flying; /* fragments in batches under way, oldest first */
    struct list held;   /* fragments that wait for a pending commit; no ids yet */
    struct fiber_event released; /* they were shown, or wait for nobody's commit */
    size_t open_bytes;
    struct rt_timer flush_timer;
    bool flushing;
    bool held_by_run;     /* hold is set */
    struct run_hold hold; /* of the run that runs here */
    bool gone;            /* the thread was deleted: what was not shown can be shown no more */
    int replays;          /* readers that read its log now */
    bool going;           /* a batch that deletes it is under way: no reader begins */
    struct fiber_event decided; /* that batch has ended */
};
struct hub_reader {
    struct list node; /* in topic->readers while live */
    struct hub *hub;
    struct hub_topic *topic;
    struct hub_reader_options o;
    struct render *render;
    int64_t seq;     /* the last entry seen */
    int64_t shown;   /* and the last of its run */
    int64_t base, k; /* the last fragment seen */
    struct hub_cursor cursor, now;
    struct arena *scratch;                 /* of a replay under way */
    void (*room)(void *ctx, size_t bytes); /* of a replay under way; may be NULL */
    int values_rc; /* why the values of a state could not be read; 0: they could */
    bool seen;     /* something of its run */
    bool lost;     /* entries that it came to read were not there any more */
    bool closed, ended;
    int refs;
};

void hub_flush_due(struct rt_timer *timer);
/* By its row: it has ended, or is gone. */
MUST_CHECK MAY_SUSPEND int hub_run_is_over(struct hub *h, struct id run_id, bool *out,
                                           struct err *err);

/* Fragments in an entry of the log, written and read in order; begins as {0}. See segment.c. */
struct segment {
    str head; /* points into a fragment that was written, or read */
};
void segment_write(struct json_writer *w, struct segment *s, str fragment);
MUST_CHECK int segment_read(struct segment *s, struct arena *a, yyjson_val *kept, str *out,
                            struct err *err);
static inline struct stream_item hub_fragment_item(const struct fragment *f) {
    return (struct stream_item){.kind = LOG_FRAGMENTS,
                                .seq = f->base,
                                .k = f->k,
                                .run_id = f->run_id,
                                .at = f->at,
                                .data = {f->data, f->len}};
}
/* Are the live readers behind what is known to be in the log? */
static inline bool hub_topic_behind(const struct hub_topic *t) {
    return t->filling || (!list_empty(&t->readers) && t->shown_seq < t->visible_seq);
}
void hub_show(struct hub_topic *t, const struct stream_item *item);
int hub_show_segment(struct hub_topic *t, struct hub_reader *r, const struct log_entry *e,
                     struct arena *a, struct err *err);
/* The state of a stored checkpoint; absent when it is gone. */
MUST_CHECK MAY_SUSPEND int hub_values(struct hub *h, struct id thread_id, str name_space,
                                      struct id checkpoint_id, struct arena *a, str *out,
                                      struct err *err);
/* Shows the readers what the log has after shown_seq, up to `upto` at least. */
MUST_CHECK MAY_SUSPEND int hub_topic_fill(struct hub_topic *t, int64_t upto, struct err *err);
void hub_release_held(struct hub_topic *t);
/* The tail reader looks at the topic soon. */
void hub_tail_soon(struct hub_topic *t);
/* Ends a reader that has not ended yet. */
void hub_reader_finish(struct hub_reader *r);
/* Shows an item once; ends the reader at its run's end. */
void hub_reader_show(struct hub_reader *r, const struct stream_item *item);

#endif
