/* SPDX-License-Identifier: Apache-2.0 */
/* turns.h - which steps of all plans of a process execute, when there are limits.
 *
 * A plan brings its ready steps; it is given turns, one a step, and gives each back when the step's
 * attempt is over. Limits: turns of the process, of an owner, of a tool, of the plan. turns.c says
 * in which order they are given.
 * Owner: struct plans. Memory: heap, by the holder. Suspends: never.
 * Tests: tests/unit/plans/test_turns.c, tests/integration/run-plan-limits */
#ifndef HF_PLANS_TURNS_H
#define HF_PLANS_TURNS_H

#include "base/list.h"
#include "base/map.h"
#include "base/vec.h"
#include "plans/heap.h"

#define TURN_TOOLS 16 /* kinds of tools; a mask of them has 32 bits */

/* At the same time; 0: any number. */
struct turns_limits {
    size_t process_max, owner_max, tool_max[TURN_TOOLS];
};

struct turns_plan;
struct turns_hooks {
    /* Is this step still to be executed? One that is not is passed over. */
    bool (*wanted)(const struct turns_plan *p, uint32_t position);
    void (*given)(struct turns_plan *p); /* it has turns to take */
};
struct turns {
    struct turns_limits limits;
    const struct turns_hooks *hooks;
    struct map owners;   /* text → struct turns_owner */
    struct list waiting; /* owners with plans that could take a turn */
    size_t count, tool_count[TURN_TOOLS]; /* turns that are out */
    size_t asking[TURN_TOOLS];            /* owners that wait for one of a tool */
    int64_t seq;
};
void turns_init(struct turns *t, const struct turns_limits *limits,
                const struct turns_hooks *hooks);
void turns_deinit(struct turns *t); /* no plan is there any more */

struct turns_owner;
/* Zeroed, it is of no plan and holds ready steps only. */
struct turns_plan {
    struct turns *turns; /* NULL: it has not joined */
    struct turns_owner *owner;
    struct list node; /* among its owner's that could take a turn */
    struct step_heap ready[TURN_TOOLS];
    uint32_t waiting; /* tools of which steps are ready */
    uint32_t shown;   /* those that its owner knows of: none while it has all turns it may have */
    size_t count, max; /* turns that it has */
    int64_t served;
    VEC(uint32_t) given; /* from given_at on: to be taken */
    size_t given_at;
};
/* owner is copied. max: of the plan. */
void turns_join(struct turns *t, struct turns_plan *p, str owner, size_t max);
void turns_close(struct turns_plan *p); /* it is given none any more */
/* When it has given all turns back; also one that never joined. Then turns_give. */
void turns_leave(struct turns_plan *p);
/* The smallest rank first; its upper 32 bits are what plans of one owner are compared by. */
void turns_push(struct turns_plan *p, size_t tool, int64_t rank, uint32_t position);
/* Gives as many turns as there are. */
void turns_give(struct turns *t);
/* A step that the plan was given a turn for. */
static inline size_t turns_given(const struct turns_plan *p) {
    return p->given.count - p->given_at;
}
bool turns_take(struct turns_plan *p, uint32_t *out);
void turns_back(struct turns_plan *p, size_t tool);
/* Ready steps; with those of which something else has become meanwhile. */
size_t turns_ready(const struct turns_plan *p);
/* Is any step ready, or about to begin? Forgets those that are not to be executed any more. */
bool turns_busy(struct turns_plan *p);

#endif
