/* SPDX-License-Identifier: Apache-2.0 */
/* state.h - a graph's state in memory: channels, reducers, and what of them is not stored yet.
 *
 * A value channel is a JSON text; a list channel (messages, items) knows which prefix of it stands
 * in the store as which list. Applying writes changes it; state_checkpoint_add writes the
 * difference. Behind the graph's own channels stand hidden ones: one for each join (the names that
 * came) and the sends of the next step, so that a checkpoint holds all that is needed to go on.
 * Memory: the arena given at init, for the state's whole life. Suspends: never.
 * Tests: tests/unit/engine/test_state.c, test_graph.c */
#ifndef HF_ENGINE_STATE_H
#define HF_ENGINE_STATE_H

#include "engine/graph.h"
#include "engine/plan.h"
#include "store/lg_checkpoints.h"

struct state_channel {
    const struct channel_def *def;
    bool present;    /* has it a value? */
    bool written;    /* in the step that is being applied */
    str value, hash; /* no list; hash absent until computed. Of a list: its text, when made */
    bool value_stored;
    struct message *messages; /* CHANNEL_MESSAGES; of other lists only json is set */
    size_t count, cap;
    int64_t list_id;     /* 0: none yet */
    size_t stored_count; /* prefix of messages that stands in the list */
    size_t added_count;  /* … and will, once the batch under way commits */
    bool value_added;
    /* LangGraph's layout: the first items as they are written there, joined by commas. */
    str lc;
    size_t lc_count;
    bool list_added;     /* list_id is set by the commit only */
    bool stored_present; /* LangGraph's layout: the newest checkpoint has a value of it */
};
struct graph_view {
    struct arena *arena;
    const struct graph_def *graph;
    struct state_channel *channels; /* graph->channels, then a join each, then the sends */
    size_t channel_count;
    struct buf *values_json; /* heap, freed with the arena */
    bool values_fresh;       /* no change since it was written */
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
/* The writes of a step stand between begin and end: end clears what lives for one step only. */
void state_step_begin(struct graph_view *s);
MUST_CHECK int state_apply(struct graph_view *s, const struct state_write *w, struct err *err);
void state_step_end(struct graph_view *s);
/* The state as one task sees it that has written, before the others' writes are applied. The copy
 * is good until `s` changes. */
MUST_CHECK int state_with(const struct graph_view *s, const struct state_write *writes,
                          size_t count, struct graph_view *out, struct err *err);
/* An object of channel values; messages in every accepted form. input: of a run (in_input), else
 * of an update. Appends the writes. ERR_INVALID with the position. */
MUST_CHECK int state_read_values(const struct graph_view *s, yyjson_val *values, bool input,
                                 struct state_write **out, size_t *out_count, struct err *err);
/* {"channel": value, …} of the output channels; valid until a call after the next change. */
str state_values_json(struct graph_view *s);
/* The same of all channels, as states show them; as long as the state does not change. */
str state_all_json(const struct graph_view *s);
/* ["name", …] of channels that have a value and are not shown; absent when there are none. */
str state_hidden_names(const struct graph_view *s);

/* Hidden channels. */
struct state_channel *state_sends(struct graph_view *s);
struct state_channel *state_join(struct graph_view *s, size_t index);
void state_set(struct graph_view *s, struct state_channel *c, str value); /* absent: no value */

/* Adds rows for what is not stored, and the checkpoint's. input: of a run, whose checkpoint this is
 * (absent else). edges: the nodes that come next because an edge leads to them. */
void state_checkpoint_add(struct graph_view *s, struct db_batch *b, struct checkpoint *c,
                          const str *edges, size_t edge_count, str input);
/* The batch under way did not commit: the next one begins anew. */
void state_unstage(struct graph_view *s);
/* After that batch committed; without one since the last change nothing is marked. */
void state_mark_stored(struct graph_view *s);

/* state.c, for state_store.c */
struct state_channel *state_channel_of(const struct graph_view *s, str name);
void state_items_push(struct graph_view *s, struct state_channel *c, const struct message *m);
void state_items_write(struct json_writer *w, const struct state_channel *c, size_t from);
static inline bool channel_is_list(const struct channel_def *d) {
    return d->kind == CHANNEL_MESSAGES || d->kind == CHANNEL_LIST ||
           (d->kind == CHANNEL_TOPIC && d->accumulate);
}

#endif
