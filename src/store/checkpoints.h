/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.h - states of a thread, in either layout.
 *
 * Native: by reference, values by content, lists by segments. A list channel is (list, length) of
 * an append-only list, so a conversation of N turns costs O(N) and every checkpoint of it can still
 * be read. LangGraph's: see store/lg_checkpoints.h. What is read is the same for both.
 * Tests: tests/unit/store/test_lg_checkpoints.c, tests/unit/engine/test_state.c,
 * tests/integration/run-rows */
#ifndef HF_STORE_CHECKPOINTS_H
#define HF_STORE_CHECKPOINTS_H

#include "store/store.h"

struct checkpoint_channel {
    str name;
    bool is_list;
    bool hidden; /* of what is next: no part of the values */
    bool whole; /* LangGraph's layout: value is complete; is_list is false */
    bool made;  /* of others' writes: the checkpoint itself does not have it */
    str value;  /* JSON text; of a list its items joined by ',' without brackets */
    /* Reference: a list's id and length, or the hash of the value. */
    int64_t list_id, count;
    str hash;
    str stored; /* LangGraph's layout: as it is stored, when that is JSON */
};
struct lg_row; /* store/lg_checkpoints.h */
struct checkpoint {
    struct id thread_id, id, parent_id, run_id; /* parent nil: none */
    str name_space;                             /* "" for the root graph */
    int step;
    str source;                /* input, loop, update, fork */
    str channels;              /* JSON of references, as stored */
    str next, tasks, metadata; /* JSON array, array, object */
    int64_t created_at;
    struct lg_row *lg; /* LangGraph's layout, or written by a saver: what was read of it */
    /* filled by checkpoint_load_values, with next and tasks of what others wrote */
    struct checkpoint_channel *values;
    size_t value_count;
};

/* The row without values. id nil: the newest of the root namespace. ERR_NOT_FOUND when none. */
MUST_CHECK int checkpoint_get(struct store *s, struct id thread_id, str name_space, struct id id,
                              struct arena *a, struct checkpoint *out, struct err *err);
/* The newest of the root namespace, which `named` is as far as the thread's row knows; others may
 * write LangGraph's tables, too. */
MUST_CHECK int checkpoint_head(struct store *s, struct id thread_id, struct id named,
                               struct arena *a, struct checkpoint *out, struct err *err);
/* Newest first, before `before` (nil: from the newest), with metadata containment (absent: any). */
MUST_CHECK int checkpoint_list(struct store *s, struct id thread_id, str name_space,
                               struct id before, str metadata, int64_t limit, struct arena *a,
                               struct checkpoint **out, size_t *out_count, struct err *err);
MUST_CHECK int checkpoint_load_values(struct store *s, struct checkpoint *c, struct arena *a,
                                      struct err *err);
/* Is the channel one of those that say what is next? */
bool checkpoint_is_hidden(str channel);
/* {"channel": value, …} of loaded values. */
str checkpoint_values_json(struct arena *a, const struct checkpoint *c);
/* The newest root state of a thread as such a text; absent (p NULL) when it has no checkpoint. */
MUST_CHECK int checkpoint_head_values(struct store *s, struct id thread_id, struct arena *a,
                                      str *out, struct err *err);

/* Statements for a batch. */
void checkpoint_add(struct db_batch *b, const struct checkpoint *c);
void checkpoint_value_add(struct db_batch *b, struct id thread_id, str hash, str value);
void checkpoint_segment_add(struct db_batch *b, struct id thread_id, int64_t list_id, int64_t start,
                            int64_t count, str items);
str checkpoint_hash(struct arena *a, str value); /* 32 hex digits of SHA-256 */

#endif
