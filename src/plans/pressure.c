/* SPDX-License-Identifier: Apache-2.0 */
/* pressure.c - how much waits and since when; what is asked for while it is too much is refused.
 *
 *   every second:  ready steps of the plans under way here ─┐   oldest of each
 *                  ready steps of queues of workers (rows) ─┴▶  owner and tool or queue ─▶ late?
 *                  steps of plans that are not over (rows) ──▶  too many?
 *   a request:     looks at what was found then
 *
 * Age is judged by owner and by tool or queue: who lets a queue grow old cannot shut others out,
 * nor himself from what has nothing to do with it. A queue is late when its oldest step has waited
 * longer than the limit, and until the oldest one has waited less than half of that. Both are told
 * once: a line of the log, and when it begins an entry in the log of the plan whose step it is.
 * Steps that only their own plan's `concurrency` holds up do not wait for the server.
 *
 * The number is one of the whole database; between two looks what this process stores is added, so
 * only what other processes store in that second can go beyond. What is being stored during a look
 * may be in what it finds, or not, and is counted twice until the next one; who would be refused
 * for that alone waits for that one, which comes at once.
 *
 * Nobody looks often while nothing waits here and nobody asks, nor when the database is slow to
 * answer. */
#include "plans/pressure.h"

#include <stdio.h>

#include "base/clock.h"
#include "plans/plans_int.h"

#define LOOK_US      1000000
#define LOOK_US_MIN  50000
#define IDLE_LOOK_US 10000000
#define IDLE_US      60000000 /* so long after the last request */
#define REST         5        /* times as long as the database was asked it is not asked */
#define LATE_ROWS    2000     /* ready steps that are looked at when some are late */
#define LATE_MAX     10000    /* queues that are known */
#define PAUSE_MS_MIN 1000
#define PAUSE_MS_MAX 15000
#define FULL_PAUSE_MS 5000
#define SETTLE_LOOKS  3 /* for one request, at most */
#define SETTLE_US     1000000
#define KEY_BYTES_MAX 1024

struct late_queue {
    str key; /* heap */
    size_t owner_len;
    int64_t age_us, round;
    bool late;
};

/* What has just become late; told when the look is over. */
struct edge {
    struct id plan_id, thread_id, run_id; /* thread_id nil: by plan_id and position */
    int64_t position, age_us;
    str name;
};
struct look {
    struct plans *plans;
    struct arena a;
    VEC(struct edge) edges;
    int64_t steps_us, work_us; /* ages of the oldest of all */
    bool work_known;
};

static str name_of(const struct late_queue *q) {
    return str_slice(q->key, q->owner_len + 1, q->key.len);
}

static bool is_of_workers(str name) { return plan_tool_queue(name).p != NULL; }

/* Cut, if it is longer than anything that a server was asked for. */
static str make_key(char out[KEY_BYTES_MAX], str owner, str prefix, str name) {
    int len = snprintf(out, KEY_BYTES_MAX, STR_FMT "\n" STR_FMT STR_FMT,
                       STR_ARG(str_slice(owner, 0, KEY_BYTES_MAX / 2)), STR_ARG(prefix),
                       STR_ARG(name));
    return str_n(out, len < KEY_BYTES_MAX ? (size_t)len : KEY_BYTES_MAX - 1);
}

/* --- what is late --- */

static int64_t limit_us(const struct plans *p) { return p->o.age_max_us; }

static int pause_ms(const struct plans *p, int64_t age_us) {
    int64_t ms = (age_us - limit_us(p)) / 2000;
    return (int)(ms < PAUSE_MS_MIN ? PAUSE_MS_MIN : ms > PAUSE_MS_MAX ? PAUSE_MS_MAX : ms);
}

static void tell(const struct plans *p, const struct late_queue *q) {
    /* No warning: of those only the first in ten seconds is written, whichever queue it is of. */
    log_event(LOG_INFO, "queue.backpressure",
              q->late ? "steps wait too long: plans with more of them are refused"
                      : "steps do not wait too long any more",
              LOG_Z("reason", "age"), LOG_Z("state", q->late ? "on" : "off"),
              LOG_STR("queue", name_of(q)), LOG_STR("owner", str_slice(q->key, 0, q->owner_len)),
              LOG_DOUBLE("ageMs", (double)q->age_us / 1000),
              LOG_DOUBLE("limitMs", (double)limit_us(p) / 1000),
              LOG_INT("delayMs", q->late ? pause_ms(p, q->age_us) : 0));
}

static void turn(struct plans *p, struct late_queue *q, bool late) {
    q->late = late;
    if (late)
        p->pressure.late_count++;
    else
        p->pressure.late_count--;
    metric_set(p->pressure.late_now, (int64_t)p->pressure.late_count);
    if (late)
        metric_add(p->pressure.edges, 1);
    tell(p, q);
}

static void free_queue(struct plans *p, struct late_queue *q) {
    map_remove(&p->pressure.late, q->key);
    mem_free((void *)q->key.p);
    mem_free(q);
}

/* The oldest of a queue. */
static void note(struct look *l, str owner, str prefix, str name, const struct edge *e) {
    struct pressure *x = &l->plans->pressure;
    char text[KEY_BYTES_MAX];
    str key = make_key(text, owner, prefix, name);
    struct late_queue *q = map_get(&x->late, key);
    if (e->age_us <= limit_us(l->plans) / 2)
        return;
    if (!q && x->late.count < LATE_MAX) {
        q = NEW(struct late_queue);
        q->key = str_n(mem_dup(key.p, key.len), key.len);
        q->owner_len = owner.len < KEY_BYTES_MAX / 2 ? owner.len : KEY_BYTES_MAX / 2;
        map_put(&x->late, q->key, q);
    }
    if (!q)
        return;
    q->age_us = q->round == x->round && q->age_us > e->age_us ? q->age_us : e->age_us;
    q->round = x->round;
    if (q->late || e->age_us <= limit_us(l->plans))
        return;
    turn(l->plans, q, true);
    struct edge edge = *e;
    edge.name = arena_dup(&l->a, name_of(q));
    vec_push(&l->edges, edge);
}

static void look_at_plan(struct look *l, struct coordinator *c) {
    const struct turns_plan *t = &c->turns;
    if (c->row.concurrency > 0 && t->count >= t->max)
        return;
    for (size_t i = 0; i < PLAN_TOOL_COUNT; i++) {
        struct edge e = {.plan_id = c->row.id,
                         .thread_id = c->row.thread_id,
                         .run_id = c->ctx->run_id};
        const struct tool *tool = NULL;
        for (size_t k = 0; k < t->ready[i].items.count; k++) {
            uint32_t at = t->ready[i].items.p[k].position;
            const struct step *s = &c->steps[at];
            int64_t age_us = rt_mono_us(l->plans->rt) - s->ready_us;
            if (s->state != RUN_STATE_QUEUED || age_us <= e.age_us)
                continue;
            e.age_us = age_us;
            e.position = at;
            tool = c->tools[at];
        }
        if (!tool)
            continue;
        if (e.age_us > l->steps_us)
            l->steps_us = e.age_us;
        if (limit_us(l->plans))
            note(l, c->row.owner, STR(""), plan_tool_label(tool), &e);
    }
}

static void look_here(struct look *l) {
    void *value;
    str key;
    for (size_t at = 0; map_next(&l->plans->live, &at, &key, &value);)
        look_at_plan(l, value);
}

static int look_at_work(struct look *l, struct err *err) {
    struct plans *p = l->plans;
    struct work_late *list;
    size_t count = 0;
    int64_t since = 0, now = rt_now_us(p->rt);
    int rc = work_oldest(p->store, &l->a, &since, err);
    if (rc < 0)
        return rc;
    l->work_us = since && since < now ? now - since : 0;
    if (limit_us(p) && l->work_us > limit_us(p) / 2)
        rc = work_late(p->store, now - limit_us(p) / 2, LATE_ROWS, &l->a, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct edge e = {.plan_id = list[i].plan_id,
                         .position = list[i].position,
                         .age_us = now - list[i].ready_at};
        note(l, list[i].owner, STR("worker:"), list[i].queue, &e);
    }
    l->work_known = rc == 0;
    return rc;
}

/* Those of which nothing old was found. */
static void let_go(struct look *l) {
    struct pressure *x = &l->plans->pressure;
    struct late_queue **gone = ARENA_ARRAY(&l->a, struct late_queue *, x->late.count + 1);
    size_t count = 0;
    void *value;
    str key;
    for (size_t at = 0; map_next(&x->late, &at, &key, &value);) {
        struct late_queue *q = value;
        if (q->round != x->round && (l->work_known || !is_of_workers(name_of(q))))
            gone[count++] = q;
    }
    for (size_t i = 0; i < count; i++) {
        gone[i]->age_us = 0;
        if (gone[i]->late)
            turn(l->plans, gone[i], false);
        free_queue(l->plans, gone[i]);
    }
}

/* --- how much there is --- */

static int64_t depth(const struct pressure *x) { return x->backlog + x->stored + x->storing; }

static bool has_room(const struct plans *p) {
    return depth(&p->pressure) < p->o.waiting_max - p->o.waiting_max / 10;
}

static void turn_full(struct plans *p, bool full) {
    struct pressure *x = &p->pressure;
    if (x->full == full)
        return;
    x->full = full;
    if (full)
        metric_add(x->edges, 1);
    log_event(LOG_INFO, "queue.backpressure",
              full ? "too many steps wait: plans are refused" : "there is room for steps again",
              LOG_Z("reason", "depth"), LOG_Z("state", full ? "on" : "off"),
              LOG_INT("depth", depth(x)), LOG_INT("limit", p->o.waiting_max));
}

static int look_at_depth(struct look *l, struct err *err) {
    struct plans *p = l->plans;
    struct pressure *x = &p->pressure;
    int64_t found, before = x->stored;
    int rc = plan_backlog(p->store, &l->a, &found, err);
    if (rc < 0)
        return rc;
    x->backlog = found;
    x->stored -= before;
    x->twice = x->stored + x->storing; /* what came meanwhile may be in it, or not */
    if (has_room(p))
        turn_full(p, false);
    return 0;
}

/* --- a look --- */

/* In the log of the plan whose step waits. Of several processes that find a row one tells. */
static int tell_plan(struct look *l, const struct edge *edge, struct err *err) {
    struct plans *p = l->plans;
    struct principal any = {.owner = STR(""), .all = true};
    struct edge e = *edge;
    struct db_batch b;
    db_batch_init(&b, &l->a);
    if (id_is_nil(e.thread_id)) {
        struct work_ref ref = {e.plan_id, e.position, 0};
        struct work_item *items;
        size_t count = 0;
        int rc = work_get(p->store, &any, &ref, 1, &l->a, &items, &count, err);
        if (rc < 0 || count == 0)
            return rc;
        e.thread_id = items[0].thread_id;
        e.run_id = items[0].run_id;
        work_late_tell_add(&b, e.plan_id, e.position, ERR_FENCED);
    }
    struct queue_event event = {e.position, rt_now_us(p->rt), e.age_us / 1000, e.name};
    struct hub_entry entry = {.entry = {.run_id = e.run_id,
                                        .kind = LOG_STEPS,
                                        .at = event.at,
                                        .data = plan_queue_entry(&l->a, &event)}};
    struct hub_append append = {
        .thread_id = e.thread_id, .batch = &b, .entries = &entry, .count = 1};
    int rc = hub_commit(engine_hub(p->engine), &append, err);
    return rc == ERR_FENCED || rc == ERR_NOT_FOUND ? 0 : rc; /* told, or it waits no more */
}

/* Returns how long the database was asked. */
static int64_t look_once(struct plans *p) {
    struct look l = {.plans = p};
    struct err err = {0};
    arena_init(&l.a, SIZE_MAX / 2);
    p->pressure.round++;
    look_here(&l);
    int64_t began_us = clock_mono_us();
    int rc = look_at_work(&l, &err);
    if (rc == 0)
        rc = look_at_depth(&l, &err);
    int64_t took_us = clock_mono_us() - began_us;
    let_go(&l);
    metric_set(p->pressure.age_steps, l.steps_us / 1000);
    metric_set(p->pressure.age_work, l.work_us / 1000);
    metric_set(p->pressure.depth, depth(&p->pressure));
    for (size_t i = 0; rc == 0 && i < l.edges.count && !p->stopping; i++)
        rc = tell_plan(&l, &l.edges.p[i], &err);
    if (rc < 0 && !p->stopping)
        log_event(LOG_WARN, "plan.pressure.failed", err.message, LOG_Z("code", err_name(rc)));
    vec_deinit(&l.edges);
    arena_deinit(&l.a);
    return took_us;
}

static int64_t next_look_us(const struct plans *p, int64_t took_us) {
    const struct pressure *x = &p->pressure;
    bool busy = p->live.count || x->late.count || x->full || x->storing ||
                (x->asked_us && rt_mono_us(p->rt) - x->asked_us < IDLE_US);
    int64_t wait = !busy ? IDLE_LOOK_US : limit_us(p) ? limit_us(p) / 4 : LOOK_US;
    if (busy && wait > LOOK_US)
        wait = LOOK_US;
    if (wait < LOOK_US_MIN)
        wait = LOOK_US_MIN;
    int64_t rest = took_us * REST < IDLE_LOOK_US ? took_us * REST : IDLE_LOOK_US;
    return wait > rest && !x->wanted ? wait : rest;
}

static void pressure_fiber(void *arg) {
    struct plans *p = arg;
    struct pressure *x = &p->pressure;
    while (!p->stopping) {
        x->wanted = false;
        int64_t took_us = look_once(p);
        fiber_event_wake_all(&x->looked);
        int64_t due = rt_mono_us(p->rt) + next_look_us(p, took_us);
        if (!p->stopping)
            (void)fiber_event_wait(&x->wake, due);
    }
    x->runs = false;
    fiber_event_wake_all(&x->wake);
    fiber_event_wake_all(&x->looked);
}

int pressure_start(struct plans *p, struct err *err) {
    p->pressure.runs = true;
    if (fiber_spawn(p->rt, "plans.pressure", pressure_fiber, p, err))
        return 0;
    p->pressure.runs = false;
    return ERR_LIMIT;
}

void pressure_stop(struct plans *p) {
    fiber_event_wake_all(&p->pressure.wake);
    while (p->pressure.runs)
        (void)fiber_event_wait(&p->pressure.wake, FIBER_NO_DEADLINE);
}

void pressure_init(struct plans *p) {
    struct pressure *x = &p->pressure;
    static const char *const edges = "Times that steps began to wait too long, or were too many.";
    static const char *const refused = "Plans refused because too much waits.";
    static const char *const age = "Age of what waits longest, by queue.";
    map_init(&x->late);
    fiber_event_init(&x->wake);
    fiber_event_init(&x->looked);
    x->edges = metric_counter("holdfast_backpressure_total", edges, NULL);
    x->late_now = metric_gauge("holdfast_backpressure_queues",
                               "Queues of steps that have waited too long.", NULL);
    x->refused_age = metric_counter("holdfast_plans_refused_total", refused, "reason=\"age\"");
    x->refused_depth = metric_counter("holdfast_plans_refused_total", refused, "reason=\"depth\"");
    x->age_steps = metric_gauge("queue_oldest_age_ms", age, "topic=\"steps\"");
    x->age_work = metric_gauge("queue_oldest_age_ms", age, "topic=\"work\"");
    x->depth = metric_gauge("holdfast_plan_steps_waiting",
                            "Steps that are not over, of all plans in the database.", NULL);
}

void pressure_deinit(struct plans *p) {
    size_t at = 0;
    void *value;
    str key;
    while (map_next(&p->pressure.late, &at, &key, &value)) {
        struct late_queue *q = value;
        mem_free((void *)q->key.p);
        mem_free(q);
    }
    map_deinit(&p->pressure.late);
}

/* --- who asks --- */

int pressure_tool(struct plans *p, str owner, str tool, struct err *err) {
    struct pressure *x = &p->pressure;
    char text[KEY_BYTES_MAX];
    if (!x->late_count)
        return 0;
    str queue = plan_tool_queue(tool);
    const struct tool *known = plan_tool_find(tool);
    if (!known)
        return 0;
    str key = queue.p ? make_key(text, owner, STR("worker:"), queue)
                      : make_key(text, owner, STR(""), plan_tool_label(known));
    const struct late_queue *q = map_get(&x->late, key);
    if (!q || !q->late)
        return 0;
    metric_add(x->refused_age, 1);
    (void)err_set(err, ERR_LIMIT,
                  "Steps of " STR_FMT " wait for %.1f s already; try again later",
                  STR_ARG(str_slice(name_of(q), 0, 120)), (double)q->age_us / 1e6);
    if (err)
        err->retry_after_ms = pause_ms(p, q->age_us);
    return ERR_LIMIT;
}

static bool fits(const struct plans *p, int64_t known, size_t count) {
    return known + (int64_t)count <= p->o.waiting_max;
}

/* Waits until it is known whether there is room, if that hangs on what may be counted twice. */
static int settle_depth(struct plans *p, size_t count, struct err *err) {
    struct pressure *x = &p->pressure;
    int64_t deadline = rt_mono_us(p->rt) + SETTLE_US;
    for (int i = 0; i < SETTLE_LOOKS; i++) {
        if (fits(p, depth(x), count) || !fits(p, depth(x) - x->twice, count) || !x->runs)
            return 0;
        x->wanted = true;
        fiber_event_wake_all(&x->wake);
        int rc = fiber_event_wait(&x->looked, deadline);
        if (rc == ERR_TIMEOUT)
            return 0;
        if (rc < 0)
            return err_set(err, rc, "Stopped while the steps that wait were counted");
    }
    return 0;
}

int pressure_begin(struct plans *p, size_t count, struct err *err) {
    struct pressure *x = &p->pressure;
    bool idle = !x->asked_us || rt_mono_us(p->rt) - x->asked_us >= IDLE_US;
    x->asked_us = rt_mono_us(p->rt);
    if (idle)
        fiber_event_wake_all(&x->wake);
    int rc = settle_depth(p, count, err);
    if (rc < 0)
        return rc;
    if (fits(p, depth(x), count)) {
        x->storing += (int64_t)count;
        return 0;
    }
    if (!has_room(p)) /* else it is this one that is too large now */
        turn_full(p, true);
    metric_add(x->refused_depth, 1);
    (void)err_set(err, ERR_LIMIT,
                  "Too many steps: %lld wait, %zu more would, and at most %lld may; try later",
                  (long long)depth(x), count, (long long)p->o.waiting_max);
    if (err)
        err->retry_after_ms = FULL_PAUSE_MS;
    return ERR_LIMIT;
}

void pressure_end(struct plans *p, size_t count, bool stored) {
    p->pressure.storing -= (int64_t)count;
    if (stored)
        p->pressure.stored += (int64_t)count;
}

int pressure_plan(struct plans *p, str owner, const struct plan_spec *plan, size_t *out_count,
                  struct err *err) {
    size_t count = 0;
    str last = STR_NULL;
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct plan_step *s = &plan->steps[i];
        if (s->fault.p || s->output.p)
            continue;
        count++;
        if (last.p && str_eq(s->tool, last))
            continue;
        last = s->tool;
        int rc = pressure_tool(p, owner, s->tool, err);
        if (rc < 0)
            return rc;
    }
    *out_count = count;
    return pressure_begin(p, count, err);
}
