/* SPDX-License-Identifier: Apache-2.0 */
/* expiry.c - gates whose time is over while no run has their plan; leases of workers.
 *
 * A coordinator looks after those of its plan itself. When its run has ended, waiting, one fiber
 * of each process does: it sleeps until the first gate that it knows of expires, and looks at
 * times for those that a process left which is gone. Deciding is as by anybody else, so of several
 * processes one does it. The clock is the wall's: a gate that expired while nothing ran expires at
 * the start. */
#include "plans/plans_int.h"

#include "base/log.h"

#define LOOK_US  10000000
#define PAUSE_US 1000000 /* after trouble */
#define PAGE     100

void expiry_note(struct plans *p, int64_t at) {
    if (!p->expiry_runs || at >= p->expiry_at)
        return;
    p->expiry_at = at;
    fiber_event_wake_all(&p->expiry_wake);
}

/* out_next: when to look again, by the wall clock. */
static int expire_due(struct plans *p, int64_t *out_next) {
    struct arena a;
    struct err err = {0};
    struct gate_row *rows;
    size_t count = 0;
    int64_t now = rt_now_us(p->rt);
    arena_init(&a, SIZE_MAX / 2);
    int rc = gates_expiring(p->store, PAGE, &a, &rows, &count, &err);
    for (size_t i = 0; rc == 0 && i < count && !p->stopping; i++) {
        if (rows[i].expires_at > now) {
            *out_next = rows[i].expires_at < *out_next ? rows[i].expires_at : *out_next;
            break;
        }
        rc = gate_expire(p, &rows[i], &a, &err);
        if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND)
            rc = 0; /* somebody was faster */
        if (i + 1 == count && count == PAGE)
            *out_next = now; /* there may be more */
    }
    if (rc == 0 && !p->stopping)
        rc = work_expire_due(p, &a, out_next, &err);
    if (rc < 0 && !p->stopping)
        log_event(LOG_WARN, "plan.expiry.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
    return rc;
}

static void expiry_fiber(void *arg) {
    struct plans *p = arg;
    while (!p->stopping) {
        int64_t next = rt_now_us(p->rt) + LOOK_US;
        p->expiry_at = next;
        int rc = expire_due(p, &next);
        if (rc < 0 && next > rt_now_us(p->rt) + PAUSE_US)
            next = rt_now_us(p->rt) + PAUSE_US;
        if (next < p->expiry_at)
            p->expiry_at = next;
        while (!p->stopping && rt_now_us(p->rt) < p->expiry_at) {
            int64_t wait = p->expiry_at - rt_now_us(p->rt);
            (void)fiber_event_wait(&p->expiry_wake, rt_mono_us(p->rt) + wait);
        }
    }
    p->expiry_runs = false;
    fiber_event_wake_all(&p->expiry_wake);
}

int plans_start(struct plans *p, struct err *err) {
    fiber_event_init(&p->expiry_wake);
    p->expiry_runs = true;
    if (fiber_spawn(p->rt, "plans.expiry", expiry_fiber, p, err))
        return pressure_start(p, err);
    p->expiry_runs = false;
    return ERR_LIMIT;
}

void plans_stop(struct plans *p) {
    p->stopping = true;
    fiber_event_wake_all(&p->work_wake);
    if (p->expiry_runs)
        fiber_event_wake_all(&p->expiry_wake);
    while (p->expiry_runs)
        (void)fiber_event_wait(&p->expiry_wake, FIBER_NO_DEADLINE);
    pressure_stop(p);
}
