/* SPDX-License-Identifier: Apache-2.0 */
/* pool.c - which connection a unit takes, how many there are, and what happens when they go.
 *
 * READ: a busy connection while its queue is short, else the one with the shortest; when all are
 * busy one more is opened, up to the limit, while the unit is already in a pipeline. The connection
 * of the ORDER lane is used for reads only when there is no other. ORDER: one connection, chosen
 * when the lane is first used and again after it was lost; units go out in the order of submission.
 * SLOW, transactions, copies: a connection that nothing else uses; when none can be opened, the
 * least busy one is reserved and drains first, so that a stream of reads cannot starve them.
 *
 * A unit that no connection takes waits in its lane; lanes are looked at when a unit ends, when a
 * connection comes up, and at the end of a turn. After a failed connect the next one waits for the
 * back-off and goes alone.
 *
 * Connections are freed by reap(), at the end of a turn: a callback may still hold one. */
#include "pg/pg_int.h"

#include "base/log.h"
#include "base/rand.h"

#define BACKOFF_FIRST_US 100000
#define CONNECTING_MAX   4
#define SHORT_LIFE_US    1000000 /* lost so early counts as a connect that failed */
#define PACK_NS          100000  /* quick units share a connection up to so long a queue */
#define PACK_COUNT       4
#define COST_UNKNOWN_NS  200000

static struct pg_work *first_of(const struct list *lane) {
    struct list *n = list_first(lane);
    return n ? LIST_ENTRY(n, struct pg_work, node) : NULL;
}

/* --- choosing -------------------------------------------------------------------------------- */

/* Behind a pooler one unit at a time: when the answer to a unit passes PgBouncer while it has the
 * next one only in part, it gives the server's connection away, and the rest of that unit ends up
 * among the messages of another client (seen with 1.18). */
static bool takes_units(const struct pg_conn *c) {
    const struct pg_pool *p = c->pool;
    size_t load_max = p->stats.unnamed ? p->o.pooled_depth_max : p->o.pipeline_depth_max;
    return c->state == PG_CONN_READY && !c->cancel && c->load < load_max &&
           c->out.len < PG_OUT_BYTES_FULL;
}

static bool is_idle(const struct pg_conn *c) {
    return (c->state == PG_CONN_READY || c->state == PG_CONN_RESERVED) && c->load == 0 &&
           !c->cancel;
}

/* What a unit should take the server. */
static int64_t cost_of(struct pg_pool *p, const struct pg_work *w) {
    int64_t ns = 0;
    for (size_t i = 0; i < w->call_count; i++) {
        const struct pg_stmt *t = p->stats.unnamed ? NULL : pg_statement_of(p, &w->calls[i]);
        ns += t && t->cost_ns ? t->cost_ns : COST_UNKNOWN_NS;
    }
    return ns;
}

/* When a unit that is sent now would begin there, in ns from now, as far as one can know; below
 * zero: at once. What has not moved for long is not trusted. */
static int64_t queue_ns(const struct pg_conn *c) {
    return c->load ? c->backlog_ns + (rt_mono_us(c->pool->rt) - c->moved_us) * 1000 : -1;
}

/* A cost that was learned with one unit at a time is mostly the way there and back: some more units
 * are tried, and the cost falls when they do not need time of their own. */
static bool packs(const struct pg_conn *c, int64_t queue, int64_t cost_ns) {
    return queue + cost_ns <= PACK_NS ||
           (c->load < PACK_COUNT && cost_ns <= PACK_NS * 3 / 2 && queue <= PACK_NS * 10);
}

/* The first busy connection with a short queue, else the one with the shortest: quick units share
 * a pipeline, which spares both sides work, and slow ones get a server process each. */
static struct pg_conn *least_busy(const struct pg_pool *p, int64_t cost_ns, bool with_order) {
    struct pg_conn *best = NULL;
    int64_t best_ns = INT64_MAX;
    LIST_EACH (&p->conns, n) {
        struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (!takes_units(c) || (c == p->order && !with_order))
            continue;
        int64_t ns = queue_ns(c);
        if (ns >= 0 && packs(c, ns, cost_ns))
            return c;
        if (ns < best_ns) {
            best = c;
            best_ns = ns;
        }
    }
    return best;
}

static struct pg_conn *for_read(struct pg_pool *p, const struct pg_work *w) {
    struct pg_conn *c = least_busy(p, w->cost_ns, false);
    if (!c && (p->conn_count <= 1 || p->conn_count == p->o.connections_max))
        c = least_busy(p, w->cost_ns, true);
    return c;
}

static struct pg_conn *for_order(struct pg_pool *p) {
    if (!p->order)
        p->order = least_busy(p, COST_UNKNOWN_NS, true);
    return p->order && takes_units(p->order) ? p->order : NULL;
}

/* One connection is always left to the other lanes, where there is more than one: transactions that
 * wait for a read of their own fiber would otherwise wait for each other. */
static struct pg_conn *for_slow(struct pg_pool *p) {
    struct pg_conn *drain = NULL, *idle = NULL;
    size_t pinned = 0, pinned_max = p->o.connections_max > 1 ? p->o.connections_max - 1 : 1;
    LIST_EACH (&p->conns, n) {
        struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (c->state == PG_CONN_RESERVED && c->load > 0)
            return NULL; /* it comes */
        pinned += c->state == PG_CONN_PINNED;
        if (c == p->order && p->o.connections_max > 1)
            continue;
        if (is_idle(c))
            idle = c; /* the last one: reads take the first ones */
        else if (c->state == PG_CONN_READY && (!drain || c->load < drain->load))
            drain = c;
    }
    if (pinned >= pinned_max)
        return NULL;
    if (!idle && drain && p->conn_count >= p->o.connections_max)
        pg_conn_set_state(drain, PG_CONN_RESERVED);
    return idle;
}

static void unit_goes(struct pg_pool *p, struct pg_conn *c, struct pg_work *w) {
    if (w->kind == PG_KIND_UNIT) /* the rest belongs to a start, and waits for it */
        metric_observe_us(p->m.wait, rt_mono_us(p->rt) - w->submitted_us);
    pg_send(c, w);
}

static struct pg_conn *choose(struct pg_pool *p, const struct pg_work *w) {
    switch (w->lane) {
    case PG_LANE_READ:
        return for_read(p, w);
    case PG_LANE_ORDER:
        return for_order(p);
    case PG_LANE_SLOW:
        return for_slow(p);
    }
    return NULL;
}

static struct list *lane_of(struct pg_pool *p, const struct pg_work *w) {
    return w->lane == PG_LANE_READ ? &p->read : w->lane == PG_LANE_ORDER ? &p->ordered : &p->slow;
}

static void dispatch_lane(struct pg_pool *p, struct list *lane) {
    struct pg_work *w;
    while ((w = first_of(lane))) {
        struct pg_conn *c = choose(p, w);
        if (!c)
            return;
        list_remove(&w->node);
        p->waiting--;
        if (w->lane == PG_LANE_SLOW)
            pg_conn_set_state(c, PG_CONN_PINNED);
        if (w->pinned) {
            c->owner = w->ctx;
            *(struct pg_conn **)c->owner = c;
        }
        unit_goes(p, c, w);
    }
}

static void dispatch(struct pg_pool *p) {
    dispatch_lane(p, &p->slow); /* first: the others leave it nothing */
    dispatch_lane(p, &p->ordered);
    dispatch_lane(p, &p->read);
    if (list_empty(&p->slow)) {
        LIST_EACH (&p->conns, n) {
            struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
            if (c->state == PG_CONN_RESERVED)
                pg_conn_set_state(c, PG_CONN_READY);
        }
    }
    pg_pool_maintain(p);
}

static void on_dispatch(struct rt_defer *d) { dispatch(CONTAINER_OF(d, struct pg_pool, dispatch)); }

void pg_pool_dispatch_later(struct pg_pool *p) {
    if (p->waiting == 0 && p->state == PG_POOL_OPEN)
        return;
    p->dispatch.fn = on_dispatch;
    rt_defer(p->rt, &p->dispatch);
}

void pg_pool_released(struct pg_conn *c) {
    struct pg_pool *p = c->pool;
    if (c->state == PG_CONN_CLOSED)
        return;
    pg_conn_set_state(c, PG_CONN_READY);
    c->idle_since_us = rt_mono_us(p->rt);
    pg_pool_dispatch_later(p);
}

void pg_pool_requeue(struct pg_work *w) {
    struct pg_pool *p = w->pool;
    p->stats.retries++;
    metric_add(p->m.retries, 1);
    w->conn = NULL;
    w->state = PG_WORK_WAITING;
    list_push_front(lane_of(p, w), &w->node);
    p->waiting++;
    pg_deadline_of(p, w);
    pg_pool_dispatch_later(p);
}

/* --- submitting ------------------------------------------------------------------------------ */

static void watch_deadlines(struct pg_pool *p, struct pg_work *w) {
    int64_t acquire = w->submitted_us + p->o.acquire_timeout_us;
    if (acquire < p->deadline_at_us) {
        int64_t deadline = w->deadline_us;
        w->deadline_us = acquire < deadline ? acquire : deadline;
        pg_deadline_of(p, w);
        w->deadline_us = deadline;
    }
}

int pg_pool_submit_kind(struct pg_pool *p, struct pg_work *w, enum pg_kind kind, struct err *err) {
    int rc = pg_send_check(w, err);
    if (rc != 0)
        return rc;
    if (p->state != PG_POOL_OPEN)
        return err_set(err, ERR_UNAVAILABLE, "the database client is shutting down");
    int64_t now = rt_mono_us(p->rt);
    int64_t timeout = w->timeout_us ? w->timeout_us : p->o.statement_timeout_us;
    w->pool = p;
    w->conn = NULL;
    w->kind = (unsigned char)kind;
    w->state = PG_WORK_WAITING;
    w->tries = 0;
    w->unnamed = w->suspect = w->crowded = false;
    w->code = 0;
    w->err = (struct err){0};
    w->sqlstate[0] = '\0';
    w->failed_at = SIZE_MAX;
    w->outcome = PG_NOT_SENT;
    w->submitted_us = now;
    w->sent_us = w->run_us = 0;
    w->deadline_us = timeout > 0 ? now + timeout : INT64_MAX;
    w->cost_ns = w->lane == PG_LANE_READ && kind == PG_KIND_UNIT ? cost_of(p, w) : COST_UNKNOWN_NS;
    struct list *lane = lane_of(p, w);
    struct pg_conn *c = w->lane != PG_LANE_SLOW && list_empty(lane) ? choose(p, w) : NULL;
    if (c) {
        bool grow = p->conn_count < p->o.connections_max && !packs(c, queue_ns(c), w->cost_ns);
        unit_goes(p, c, w);
        pg_deadline_of(p, w);
        if (grow)
            pg_pool_maintain(p);
        return 0;
    }
    if (p->waiting >= p->o.waiting_max)
        return err_set(err, ERR_LIMIT, "%zu units wait for the database", p->waiting);
    list_push_back(lane, &w->node);
    p->waiting++;
    watch_deadlines(p, w);
    pg_pool_dispatch_later(p);
    return 0;
}

int pg_pool_submit(struct pg_pool *p, struct pg_work *w, struct err *err) {
    w->pinned = false;
    ASSERT(w->call_count > 0);
    return pg_pool_submit_kind(p, w, PG_KIND_UNIT, err);
}

/* --- how many -------------------------------------------------------------------------------- */

int64_t pg_pool_backoff_us(const struct pg_pool *p, unsigned failures) {
    int64_t us = BACKOFF_FIRST_US, most = p->o.backoff_us_max > 0 ? p->o.backoff_us_max : us;
    for (unsigned i = 1; i < failures && us < most; i++)
        us *= 2;
    us = us < most ? us : most;
    return us / 2 + (int64_t)rand_below((uint64_t)us / 2 + 1);
}

static void open_one(struct pg_pool *p) {
    struct pg_conn *c = pg_conn_new(p);
    c->ready = pg_pool_conn_ready;
    c->lost = pg_pool_conn_lost;
    list_push_back(&p->conns, &c->node);
    p->conn_count++;
    p->connecting++;
    pg_conn_start(c);
}

/* How many connections would be used now. */
static size_t wanted(const struct pg_pool *p) {
    size_t busy = 0, want;
    LIST_EACH (&p->conns, n) {
        const struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        busy += c->state >= PG_CONN_READY &&
                (c->load > 0 || c->state == PG_CONN_PINNED || c == p->order);
    }
    bool all_busy = busy + p->connecting >= p->conn_count && busy > 0;
    want = busy + all_busy;
    if (!list_empty(&p->read) || !list_empty(&p->slow))
        want += p->waiting;
    if (want == 0 && (p->awaiting || p->waiting))
        want = 1;
    if (want < p->o.connections_min)
        want = p->o.connections_min;
    return want < p->o.connections_max ? want : p->o.connections_max;
}

static void on_retry(struct rt_timer *t) {
    pg_pool_maintain(CONTAINER_OF(t, struct pg_pool, retry));
}

static void on_idle(struct rt_timer *t);

void pg_pool_maintain(struct pg_pool *p) {
    if (p->state != PG_POOL_OPEN || p->retry.slot)
        return;
    size_t want = wanted(p), connecting_max = p->stats.health == PG_DOWN ? 1 : CONNECTING_MAX;
    while (p->conn_count < want && p->connecting < connecting_max)
        open_one(p);
    if (p->o.idle_timeout_us > 0 && p->conn_count > p->o.connections_min && !p->idle.slot)
        rt_timer_start(p->rt, &p->idle, p->o.idle_timeout_us, on_idle);
}

/* Closes what was idle for long; comes again while there is more than the minimum. */
static void on_idle(struct rt_timer *t) {
    struct pg_pool *p = CONTAINER_OF(t, struct pg_pool, idle);
    int64_t now = rt_mono_us(p->rt), next = INT64_MAX;
    LIST_EACH (&p->conns, n) {
        struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (p->conn_count <= p->o.connections_min)
            break;
        int64_t at = c->idle_since_us + p->o.idle_timeout_us;
        if (c->state != PG_CONN_READY || !is_idle(c))
            at = now + p->o.idle_timeout_us;
        else if (at <= now)
            pg_conn_close(c, NULL);
        next = at > now && at < next ? at : next;
    }
    if (p->conn_count > p->o.connections_min && next != INT64_MAX)
        rt_timer_start(p->rt, &p->idle, next - now, on_idle);
}

/* --- coming and going ------------------------------------------------------------------------ */

void pg_pool_conn_ready(struct pg_conn *c) {
    struct pg_pool *p = c->pool;
    p->connecting--;
    if (p->stats.health == PG_DOWN && p->stats.connects)
        log_plain(LOG_INFO, "pg.connected", "the database answers again");
    p->stats.health = PG_UP;
    p->refused = false;
    p->stats.connects++;
    metric_add(p->m.connects, 1);
    c->up_us = c->idle_since_us = rt_mono_us(p->rt);
    fiber_event_wake_all(&p->changed);
    dispatch(p);
}

static bool any_up(const struct pg_pool *p) {
    LIST_EACH (&p->conns, n)
        if (LIST_ENTRY(n, struct pg_conn, node)->state >= PG_CONN_READY)
            return true;
    return false;
}

void pg_pool_conn_lost(struct pg_conn *c, const struct err *why) {
    struct pg_pool *p = c->pool;
    bool never_up = c->up_us == 0;
    bool served = c->idle_since_us > c->up_us; /* then the next attempt need not wait */
    bool soon = never_up || (!served && rt_mono_us(p->rt) - c->up_us < SHORT_LIFE_US);
    list_remove(&c->node);
    list_push_back(&p->dead, &c->node);
    p->conn_count--;
    p->connecting -= never_up;
    if (p->order == c)
        p->order = NULL;
    if (c->owner)
        *(struct pg_conn **)c->owner = NULL;
    if (why && p->state == PG_POOL_OPEN) {
        p->last_error = *why;
        p->stats.connect_failures += never_up;
        metric_add(p->m.connect_failures, never_up);
        p->failures = soon ? p->failures + 1 : 0;
        if (soon)
            rt_timer_start(p->rt, &p->retry, pg_pool_backoff_us(p, p->failures), on_retry);
        if (!any_up(p))
            p->stats.health = PG_DOWN;
        log_event(LOG_WARN, never_up ? "pg.connect.failed" : "pg.lost",
                  never_up ? "no connection to the database" : "a connection to the database ended",
                  LOG_Z("error", why->message));
    }
    fiber_event_wake_all(&p->changed);
    pg_pool_reap_later(p);
    p->dispatch.fn = on_dispatch;
    rt_defer(p->rt, &p->dispatch);
}
