/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h - states of threads as clients see them, and changing them without a run.
 * Memory: the arena given. Suspends: all of it. Errors: texts of the API.
 * Tests: tests/unit/engine/test_states.c, tests/integration */
#ifndef HF_ENGINE_INSPECT_H
#define HF_ENGINE_INSPECT_H

#include "engine/engine.h"

/* What a checkpoint shows beside its row: its values, and its tasks with what they wrote (errors,
 * interrupts, results). */
struct state_shown {
    str values, next, tasks; /* JSON */
};
/* Loads the values. graph_id: of the thread, for checkpoints that do not say. live: as it stands
 * now, with what tasks wrote that have ended, which are not next any more; else as the step began.
 */
MUST_CHECK MAY_SUSPEND int engine_state_show(struct engine *e, struct checkpoint *c, str graph_id,
                                             bool live, struct arena *a, struct state_shown *out,
                                             struct err *err);

/* Writes as if a node had made them. Several in one super-step have all a node. */
struct state_update {
    yyjson_val *values;  /* object, null; of as_node "__copy__": null or [[values, node], …] */
    yyjson_val *command; /* {update, goto}; NULL: none */
    str as_node;         /* absent: the node that wrote last */
};
struct state_superstep {
    const struct state_update *updates;
    size_t count;
};
struct state_change {
    const struct thread *thread; /* as it was read for the principal */
    str graph_id;
    struct id checkpoint_id; /* nil: the newest */
    str name_space;          /* "" for the root graph */
    const struct state_superstep *steps;
    size_t count;
};
/* All of it or nothing. ERR_CONFLICT while a run of the thread is live; ERR_INVALID_UPDATE. */
MUST_CHECK MAY_SUSPEND int engine_state_update(struct engine *e, const struct state_change *change,
                                               struct id *out_checkpoint, struct err *err);

#endif
