/* SPDX-License-Identifier: Apache-2.0 */
/* writes.h - what tasks wrote of a step that is not over, kept in either layout.
 *
 * A row is one write of a task of the step that follows a checkpoint. Negative numbers are
 * special (as in LangGraph): -1 the task's error, -3 its interrupts, -4 the answers that it got.
 * Rows of the nil task are nobody's: what a command wrote before the step, and, numbered from -5
 * down, which questions got their answers by a run (of the path); the libraries pass over these. A
 * task with other rows than special ones has ended. They go with their checkpoint.
 * Memory: the arena given. Suspends: checkpoint_writes_read.
 * Tests: tests/unit/engine/test_steps.c, tests/integration/run-rows */
#ifndef HF_STORE_WRITES_H
#define HF_STORE_WRITES_H

#include "store/checkpoints.h"

enum write_index {
    WRITE_ERROR = -1,
    WRITE_INTERRUPT = -3,
    WRITE_RESUME = -4,
    WRITE_TAKEN = -5 /* and below */
};
struct checkpoint_write {
    struct id task_id;
    int idx;
    str channel;
    str value; /* JSON: as states show it when read; as it is stored when added */
    str task_path;
};
/* By task and number. Values that cannot be read are left out. */
MUST_CHECK int checkpoint_writes_read(struct store *s, struct id thread_id, str name_space,
                                      struct id checkpoint_id, struct arena *a,
                                      struct checkpoint_write **out, size_t *out_count,
                                      struct err *err);
/* Replaces the row of the same task and number. */
void checkpoint_write_add(struct store *s, struct db_batch *b, struct id thread_id, str name_space,
                          struct id checkpoint_id, const struct checkpoint_write *w);
/* Is it the task's output, or does it tell what became of it? */
static inline bool write_is_output(const struct checkpoint_write *w) {
    return w->idx >= 0 && !str_eq(w->channel, STR("__error__")) &&
           !str_eq(w->channel, STR("__error_source_node__")) &&
           !str_eq(w->channel, STR("__interrupt__")) && !str_eq(w->channel, STR("__resume__"));
}

#endif
