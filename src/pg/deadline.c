/* SPDX-License-Identifier: Apache-2.0 */
/* deadline.c - ends what takes too long: waiting units, and units under way by a cancel request.
 *
 * One timer for all units of a pool: it stands at the earliest deadline that was ever announced and
 * looks at everything when it fires. Most units end long before theirs, so nearly all submissions
 * cost one comparison.
 *
 * The server cancels whatever its process is doing, so only the first unit under way may be
 * cancelled; one behind it waits until it is first. No unit is sent while a request is on its way.
 * PQcancel blocks (it makes a connection), so it runs on the offload pool. A server that does not
 * react within the grace period loses the connection. */
#include "pg/pg_int.h"

#include "base/log.h"

#define RECHECK_US 20000

static void check_at(struct pg_pool *p, int64_t at_us) {
    if (at_us >= p->deadline_at_us)
        return;
    p->deadline_at_us = at_us;
    int64_t after = at_us - rt_mono_us(p->rt);
    rt_timer_start(p->rt, &p->deadline, after > 0 ? after : 0, pg_deadline_check);
}

void pg_deadline_of(struct pg_pool *p, struct pg_work *w) { check_at(p, w->deadline_us); }

/* --- cancel requests ------------------------------------------------------------------------- */

static void cancel_blocking(void *arg) {
    char text[256];
    struct pg_cancel *k = arg;
    (void)PQcancel(k->handle, text, sizeof(text)); /* the grace period covers a failure */
}

static void cancel_fiber(void *arg) {
    struct pg_cancel *k = arg;
    struct pg_pool *p = k->pool;
    if (rt_offload(p->rt, cancel_blocking, k) != 0)
        log_plain(LOG_DEBUG, "pg.cancel", "no thread for a cancel request"); /* as above */
    PQfreeCancel(k->handle);
    if (k->conn) {
        k->conn->cancel = NULL;
        k->conn->cancelled_us = rt_mono_us(p->rt);
    }
    mem_free(k);
    p->operations--;
    pg_pool_dispatch_later(p);
    if (p->state != PG_POOL_OPEN)
        pg_pool_reap_later(p);
}

static void cancel(struct pg_conn *c) {
    struct pg_cancel *k = NEW(struct pg_cancel);
    *k = (struct pg_cancel){c->pool, c, PQgetCancel(c->pq)};
    if (!k->handle || !fiber_spawn(c->pool->rt, "pg_cancel", cancel_fiber, k, NULL)) {
        PQfreeCancel(k->handle);
        mem_free(k);
        return;
    }
    c->pool->operations++;
    c->cancel = k;
}

/* --- what is late ---------------------------------------------------------------------------- */

static bool waited_long(const struct pg_work *w) {
    return w->sent_us - w->submitted_us > (w->deadline_us - w->submitted_us) / 2;
}

/* Returns when to look again. */
static int64_t check_conn(struct pg_conn *c, int64_t now) {
    int64_t next = INT64_MAX;
    bool first = true;
    LIST_EACH (&c->jobs, n) {
        struct pg_work *w = LIST_ENTRY(n, struct pg_work, node);
        int64_t at = w->deadline_us;
        if (at <= now) {
            at = now + RECHECK_US;
            if (now - w->deadline_us >= PG_CANCEL_GRACE_US)
                return INT64_MIN;
            if (first && w->state != PG_WORK_CANCELLED && !c->cancel) {
                w->state = PG_WORK_CANCELLED;
                w->crowded |= waited_long(w);
                cancel(c);
            } else if (w->state == PG_WORK_SENT) {
                w->state = PG_WORK_EXPIRED;
                w->crowded = true;
            }
        }
        next = at < next ? at : next;
        first = false;
    }
    return next;
}

static void expire(struct pg_pool *p, struct pg_work *w) {
    list_remove(&w->node);
    p->waiting--;
    if (p->stats.health == PG_UP) {
        err_set(&w->err, ERR_TIMEOUT, "no connection to the database was free within %lld ms",
                (long long)((rt_mono_us(p->rt) - w->submitted_us) / 1000));
        pg_work_finish(w, ERR_TIMEOUT, PG_NOT_SENT);
        return;
    }
    err_set(&w->err, ERR_UNAVAILABLE, "%s",
            p->last_error.message[0] ? p->last_error.message : "the database is not connected");
    w->err.retry_after_ms = 1000;
    pg_work_finish(w, ERR_UNAVAILABLE, PG_NOT_SENT);
}

static int64_t check_waiting(struct pg_pool *p, struct list *lane, int64_t now) {
    struct list late;
    int64_t next = INT64_MAX;
    list_init(&late);
    LIST_EACH (lane, n) {
        struct pg_work *w = LIST_ENTRY(n, struct pg_work, node);
        int64_t at = w->submitted_us + p->o.acquire_timeout_us;
        at = w->deadline_us < at ? w->deadline_us : at;
        if (at > now) {
            next = at < next ? at : next;
            continue;
        }
        list_remove(n);
        list_push_back(&late, n);
    }
    while (!list_empty(&late))
        expire(p, LIST_ENTRY(list_first(&late), struct pg_work, node));
    return next;
}

void pg_deadline_check(struct rt_timer *t) {
    struct pg_pool *p = CONTAINER_OF(t, struct pg_pool, deadline);
    int64_t now = rt_mono_us(p->rt), next = INT64_MAX;
    struct list *lanes[] = {&p->read, &p->ordered, &p->slow};
    p->deadline_at_us = INT64_MAX;
    for (size_t i = 0; i < 3; i++) {
        int64_t at = check_waiting(p, lanes[i], now);
        next = at < next ? at : next;
    }
    for (bool again = true; again;) { /* closing a connection may close others */
        again = false;
        LIST_EACH (&p->conns, n) {
            struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
            int64_t at = check_conn(c, now);
            if (at == INT64_MIN) {
                struct err err = {0};
                err_set(&err, ERR_TIMEOUT, "the database did not react to a cancel request");
                pg_conn_close(c, &err);
                again = true;
                break;
            }
            next = at < next ? at : next;
        }
    }
    if (next != INT64_MAX)
        check_at(p, next);
}
