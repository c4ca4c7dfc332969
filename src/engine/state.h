/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - a run's state in memory: channels, reducers, and what of them is not stored yet.
 *
 * A value channel is a JSON text; a message channel is a list that knows which prefix of it stands
 * in the store as which list. Applying writes changes it; state_persist_add writes the difference.
 * Memory: the arena given at init, for the state's whole life. Suspends: state_load.
 * Tests: tests/unit/engine/test_state.c */
#ifndef HF_ENGINE_STATE_H
#define HF_ENGINE_STATE_H

#include "engine/graph.h"
#include "store/lg_checkpoints.h"

struct state_channel {
    const struct channel_def *def;
    bool present;    /* has it ever been written? */
    str value, hash; /* CHANNEL_LAST_VALUE; hash absent until computed */
    bool value_stored;
    struct message *messages; /* CHANNEL_MESSAGES */
    size_t count, cap;
    int64_t list_id;     /* 0: none yet */
    size_t stored_count; /* prefix of messages that stands in the list */
    size_t added_count;  /* … and will, once the batch under way commits */
    bool value_added;
    /* LangGraph's layout: the first messages as constructors, joined by commas. */
    str lc;
    size_t lc_count;
    bool list_added; /* list_id is set by the commit only */
};
struct graph_view {
    struct arena *arena;
    const struct graph_def *graph;
    struct state_channel *channels; /* parallel to graph->channels */
    struct buf *values_json;        /* heap, freed with the arena */
    bool values_fresh;              /* no change since it was written */
    enum checkpoint_layout layout;
    /* LangGraph's layout: as of the newest checkpoint, and of the batch under way. */
    struct lg_versions *versions, *versions_added;
};
struct state_write {
    const char *channel;
    bool is_message;
    str value; /* JSON */
    struct message message;
};

void state_init(struct graph_view *s, const struct graph_def *graph, enum checkpoint_layout layout,
                struct arena *a);
/* Takes over the values of a checkpoint (loaded); channels that the graph lacks are dropped.
 * shared: somebody else may append to its lists (the checkpoint is not the thread's newest): then
 * new lists are begun. */
MUST_CHECK int state_take_checkpoint(struct graph_view *s, const struct checkpoint *c, bool shared,
                                     struct err *err);
void state_apply(struct graph_view *s, const struct state_write *w);
/* Input of a run: an object of channel values; messages in every accepted form. Appends the writes.
 * ERR_INVALID with the position. */
MUST_CHECK int state_read_input(const struct graph_view *s, yyjson_val *input,
                                struct state_write **out, size_t *out_count, struct err *err);
/* {"channel": value, …} of the output channels; valid until a call after the next change. */
str state_values_json(struct graph_view *s);
/* Adds rows for what is not stored, and the checkpoint's. next: the nodes of c->next; input: of a
 * run, whose checkpoint this is (absent else). */
void state_checkpoint_add(struct graph_view *s, struct db_batch *b, struct checkpoint *c,
                          const str *next, size_t next_count, str input);
/* The batch under way did not commit: the next one begins anew. */
void state_unstage(struct graph_view *s);
/* After that batch committed; without one since the last change nothing is marked. */
void state_mark_stored(struct graph_view *s);

#endif
