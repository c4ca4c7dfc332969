/* SPDX-License-Identifier: Apache-2.0 */
/* lane.h - fibers one at a time, whoever comes first is served first.
 *
 * For databases of tests in simulated time. Begins with lane_init. Waiting is deaf to cancellation,
 * as an operation of the database is. */
#ifndef HF_TESTS_LANE_H
#define HF_TESTS_LANE_H

#include "rt/fiber.h"

struct lane {
    struct list waiting;
    uint64_t next, served;
};
struct lane_waiting {
    struct list node;
    struct fiber *fiber;
};

static inline void lane_init(struct lane *lane) {
    *lane = (struct lane){0};
    list_init(&lane->waiting);
}

static inline void lane_enter(struct lane *lane) {
    struct lane_waiting me = {.fiber = fiber_self()};
    uint64_t ticket = lane->next++;
    if (ticket == lane->served)
        return;
    list_push_back(&lane->waiting, &me.node);
    while (ticket != lane->served)
        fiber_park_shielded();
    list_remove(&me.node);
}

static inline void lane_leave(struct lane *lane) {
    lane->served++;
    if (!list_empty(&lane->waiting))
        fiber_unpark(LIST_ENTRY(list_first(&lane->waiting), struct lane_waiting, node)->fiber);
}

#endif
