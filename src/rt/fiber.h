/* SPDX-License-Identifier: Apache-2.0 */
/* fiber.h - stackful coroutines on the loop thread: application code written straight.
 *
 * Created with makecontext, switched with _setjmp/_longjmp. Stacks are mapped with a guard page and
 * pooled. A function that may suspend its fiber is declared MAY_SUSPEND and is called only from
 * another such function or a fiber's entry.
 *
 * Parking: fiber_park() sleeps until fiber_unpark(), a deadline or a cancellation. An unpark that
 * arrives while the fiber runs is kept as one permit, so every wait is a loop over its condition.
 * Owner: the runtime; a handle stays valid until the entry function has returned (hold a
 * struct fiber_ref to look at one later). Tests: tests/unit/rt/test_fiber.c */
#ifndef HF_RT_FIBER_H
#define HF_RT_FIBER_H

#include "base/buf.h"
#include "rt/loop.h"

#define MAY_SUSPEND /* marks declarations; checked at run time by fiber_assert_inside() */

struct fiber;
typedef void (*fiber_fn)(void *arg);

/* Starts a fiber in this turn (never inside the call). name must live for ever. NULL with ERR_LIMIT
 * when the limit of live fibers is reached. */
MUST_CHECK struct fiber *fiber_spawn(struct rt *rt, const char *name, fiber_fn fn, void *arg,
                                     struct err *err);
struct fiber *fiber_self(void);      /* NULL outside of fibers */
struct rt *fiber_rt(void);           /* the loop of the current fiber */
void fiber_assert_inside(void);

#define FIBER_NO_DEADLINE INT64_MAX
/* 0 after an unpark, ERR_TIMEOUT past deadline_us (monotonic), ERR_CANCELLED once the fiber is
 * cancelled (also on later calls). */
MAY_SUSPEND int fiber_park(int64_t deadline_us);
/* The same, but deaf to cancellation: for waits that must finish (a commit under way). */
MAY_SUSPEND void fiber_park_shielded(void);
MAY_SUSPEND int fiber_park_shielded_until(int64_t deadline_us); /* 0 or ERR_TIMEOUT */
void fiber_unpark(struct fiber *f);
MAY_SUSPEND int fiber_sleep_us(int64_t us);
MAY_SUSPEND void fiber_sleep_shielded_us(int64_t us);
MAY_SUSPEND void fiber_yield(void);  /* lets other runnable fibers and I/O run */
/* The same when this turn has lasted for long already: between the pieces of long work. Nothing
 * outside of fibers. */
MAY_SUSPEND void fiber_yield_when_late(void);

/* Marks the fiber cancelled and wakes it if it waits unshielded. Idempotent. */
void fiber_cancel(struct fiber *f);
bool fiber_cancelled(void);          /* of the current fiber */

/* A note of a fiber that may have ended since: fiber_ref_get() gives NULL then. */
struct fiber_ref {
    const struct fiber *fiber;
    uint64_t id;
};
struct fiber_ref fiber_ref_of(const struct fiber *f);
struct fiber *fiber_ref_get(struct fiber_ref ref);

/* Condition with waiting fibers (FIFO). A wait returns 0 only for a wake-up of this event. */
struct fiber_event {
    struct list waiters;
};
void fiber_event_init(struct fiber_event *e);
MAY_SUSPEND int fiber_event_wait(struct fiber_event *e, int64_t deadline_us);
void fiber_event_wake_one(struct fiber_event *e);
void fiber_event_wake_all(struct fiber_event *e);

/* Group of child fibers: wait for all, cancel all. The struct must outlive the children. */
struct fiber_group {
    size_t live;
    struct list members;
    struct fiber_event done;
};
void fiber_group_init(struct fiber_group *g);
MUST_CHECK int fiber_group_spawn(struct fiber_group *g, struct rt *rt, const char *name,
                                 fiber_fn fn, void *arg, struct err *err);
void fiber_group_cancel(struct fiber_group *g);
MAY_SUSPEND void fiber_group_wait(struct fiber_group *g); /* shielded */

/* Debug view: JSON array of {id, name, state, age_us, parked_us}. */
void fiber_list(struct rt *rt, struct buf *out);
void fiber_set_limit(struct rt *rt, size_t fibers_max);

#endif
