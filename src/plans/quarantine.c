/* SPDX-License-Identifier: Apache-2.0 */
/* quarantine.c - steps that were cut off while they were executed: counted, and set aside when that
 * happens too often.
 *
 *   running in the rows when a run takes the plan up ─▶ one loss more ─▶ queued again
 *                                       the most that is allowed ─▶ failed, on the list of the dead
 *
 * Whoever takes the plan up cannot know whether the step killed the process or merely was there. So
 * what is left to a step decides how it is executed: one that may be lost but once more executes
 * alone among its like, in this process. What else was there when the process died has come to its
 * end by then, or is still at the same count.
 *
 * A count is durable before the step begins again: in a run that was cut off every step waits for
 * that, not only those that change something outside. A process that ends in order counts nothing:
 * it puts its steps back first. */
#include "plans/plans_int.h"

static int64_t losses_max(const struct coordinator *c) { return c->plans->o.losses_max; }

void coordinator_lost(struct coordinator *c, uint32_t i) {
    struct step *s = &c->steps[i];
    int64_t now = rt_now_us(c->plans->rt);
    s->losses++;
    c->careful = true;
    metric_add(c->plans->metrics.losses, 1);
    if (losses_max(c) > 0 && s->losses >= losses_max(c)) {
        step_set_error(s, arena_printf(c->a,
                                       "quarantined: its execution was cut off %d times, by the "
                                       "end of the process or the loss of its lease",
                                       s->losses));
        s->dies = true;
        s->reason = DEAD_QUARANTINED;
        coordinator_mark(c, i, RUN_STATE_FAILED, now);
        return;
    }
    s->attempt -= s->attempt > s->spent;
    coordinator_mark(c, i, RUN_STATE_QUEUED, now);
}

bool coordinator_holds_back(const struct coordinator *c, uint32_t i) {
    const struct step *s = &c->steps[i];
    return s->losses > 0 && losses_max(c) > 0 && s->losses + 1 >= losses_max(c);
}

void coordinator_let_one(struct coordinator *c) {
    struct plans *p = c->plans;
    size_t kept = 0;
    for (size_t k = 0; k < c->held.count; k++) {
        uint32_t i = c->held.p[k];
        if (c->steps[i].state != RUN_STATE_QUEUED)
            continue; /* it was cancelled meanwhile */
        if (p->alone) {
            c->held.p[kept++] = i;
            continue;
        }
        p->alone = c;
        p->alone_at = i;
        coordinator_enqueue(c, i);
    }
    c->held.count = kept;
}

static void let_go(struct plans *p) {
    size_t at = 0;
    str key;
    void *value;
    p->alone = NULL;
    while (map_next(&p->live, &at, &key, &value)) {
        struct coordinator *other = value;
        if (other->held.count)
            fiber_event_wake_all(&other->wake);
    }
}

void coordinator_alone_over(struct coordinator *c, uint32_t i) {
    if (c->plans->alone == c && c->plans->alone_at == i)
        let_go(c->plans);
}

void coordinator_alone_end(struct coordinator *c) {
    if (c->plans->alone == c)
        let_go(c->plans);
}

void coordinator_put_back(struct coordinator *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        struct step *s = &c->steps[i];
        if (s->state != RUN_STATE_RUNNING || s->offered)
            continue;
        s->attempt -= s->attempt > s->spent;
        coordinator_mark(c, i, RUN_STATE_QUEUED, rt_now_us(c->plans->rt));
    }
}
