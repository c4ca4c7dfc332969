/* SPDX-License-Identifier: Apache-2.0 */
/* crons.c - fires what is due, then sleeps until the next instant.
 *
 *   look ──▶ due: fired by a few fibers at once ──▶ look again
 *    ▲  └──▶ none: sleep until the next instant, LOOK_US, or a change (here, or by a hint)
 *    └────────────────────────────────────────────┘
 *
 * The sleep is bounded because the wall clock may be set, a hint may be lost and another worker may
 * have to take over. A clock that goes back delays what comes next and repeats nothing: the next
 * instant stands in the row and only moves on. A clock that goes ahead makes instants late or
 * missed.
 *
 * A run is made in its owner's name, so what the owner may not use (any more) is refused as if they
 * asked: the instant is then decided without a run, with the reason in its row. What may work later
 * (the database is away, the queue is full) is tried again. */
#include "engine/crons.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_int.h"
#include "engine/zones.h"
#include "model/cron_expr.h"
#include "store/crons.h"

#define LOOK_US         INT64_C(60000000)
#define LOOK_UNHEARD_US INT64_C(5000000) /* changes elsewhere are not heard of */
#define RETRY_US        INT64_C(1000000)
#define DUE_PAGE        100
#define FIRE_FIBERS     8
#define STRANGERS_PAGE  100
#define LEASES_LATE     3 /* until another worker leads */
#define SECOND_US       INT64_C(1000000)

static const char METRIC_HELP[] = "Decided instants of crons";

void crons_open(struct engine *e) {
    struct cron_state *c = &e->crons;
    fiber_event_init(&c->wake);
    c->zones = zones_new(e->rt, e->o.crons.zones_folder ? e->o.crons.zones_folder : ZONES_FOLDER);
    c->runs = metric_counter("holdfast_cron_firings_total", METRIC_HELP, "outcome=\"run\"");
    c->failed = metric_counter("holdfast_cron_firings_total", METRIC_HELP, "outcome=\"failed\"");
    c->missed = metric_counter("holdfast_cron_firings_total", METRIC_HELP, "outcome=\"missed\"");
    c->late = metric_histogram("holdfast_cron_lateness_seconds",
                               "From a cron's instant to the acceptance of its run", NULL);
}

void crons_close(struct engine *e) { zones_free(e->crons.zones); }

void crons_wake(struct engine *e) {
    e->crons.changed = true;
    fiber_event_wake_all(&e->crons.wake);
}

void engine_crons_changed(struct engine *e) {
    crons_wake(e);
    hint_crons(e);
}

int engine_cron_next(struct engine *e, str schedule, str timezone, int64_t after_us,
                     int64_t *out_us, struct err *err) {
    struct cron_expr expr;
    const struct time_zone *zone;
    int64_t next_s;
    int rc = cron_expr_parse(schedule, &expr, err);
    if (rc < 0) {
        (void)err_context(err, "schedule");
        return rc;
    }
    rc = zones_get(e->crons.zones, timezone, &zone, err);
    if (rc < 0) {
        if (rc == ERR_INVALID)
            (void)err_context(err, "timezone");
        return rc;
    }
    int64_t after_s = after_us / SECOND_US - (after_us % SECOND_US < 0);
    rc = cron_expr_next(&expr, zone, after_s, &next_s, err);
    if (rc < 0) {
        (void)err_set(err, ERR_INVALID, "schedule: it never fires");
        return ERR_INVALID;
    }
    *out_us = next_s * SECOND_US;
    return 0;
}

/* --- firing one --- */

struct firing {
    struct engine *e;
    const struct cron *cron;
    int64_t next_us;
};

/* The instant after the one that is decided, or 0. Instants that are missed are left out. */
static int next_of(struct engine *e, const struct cron *c, int64_t late_us, int64_t *out,
                   struct err *err) {
    int64_t oldest_us = rt_now_us(e->rt) - late_us - 1;
    int64_t after_us = c->next_us > oldest_us ? c->next_us : oldest_us;
    int rc = engine_cron_next(e, c->schedule, c->timezone, after_us, out, err);
    if (rc == 0 && c->end_us && *out > c->end_us)
        *out = 0;
    return rc;
}

/* RunCreate of the payload: with the cron's metadata, and what becomes of the thread. */
static int body_of(struct arena *a, const struct cron *c, yyjson_val **out, struct err *err) {
    struct buf b;
    str at = time_iso(a, c->next_us);
    str own = arena_printf(a, "{\"cron_id\":\"" STR_FMT "\",\"cron_scheduled_at\":\"" STR_FMT "\"}",
                           STR_ARG(id_dashed(a, c->id)), STR_ARG(at));
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "metadata");
    jw_raw(&w, json_merge(a, c->metadata, own));
    jw_key(&w, "on_completion");
    jw_z(&w, c->keep ? "keep" : "delete");
    jw_object_end(&w);
    str text = json_merge(a, c->payload, arena_dup(a, buf_view(&b)));
    buf_deinit(&b);
    return json_parse(a, text, out, err);
}

static void join_batch(void *ctx, const struct live_run *run, struct db_batch *b) {
    const struct firing *f = ctx;
    cron_fire_add(b, f->cron, live_run_id(run), STR_NULL, f->next_us, rt_now_us(f->e->rt));
}

/* Decides the instant without a run. */
static int give_up(struct engine *e, const struct cron *c, int64_t next_us, str why,
                   struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    cron_fire_add(&b, c, ID_NIL, why, next_us, rt_now_us(e->rt));
    return db_commit(e->store->db, &b, err);
}

static bool may_work_later(int rc) { return rc == ERR_CANCELLED || err_retryable(rc); }

static int submit(struct firing *f, struct arena *a, struct err *err) {
    const struct cron *c = f->cron;
    struct principal owner = {.owner = c->owner, .by = "cron"};
    struct run_submit s = {.who = &owner,
                           .assistant_id = c->assistant_id,
                           .assistant_name = id_dashed(a, c->assistant_id),
                           .thread_id = c->thread_id,
                           .join_batch = join_batch,
                           .ctx = f};
    int rc = body_of(a, c, &s.body, err);
    if (rc == 0)
        rc = engine_submit(f->e, &s, NULL, err);
    return rc;
}

static void note(const struct cron *c, const char *event, const char *text) {
    char id[ID_DASHED_LEN];
    char at[TIME_ISO_LEN];
    id_write_dashed(c->id, id);
    time_write_iso(c->next_us, at);
    log_event(LOG_WARN, event, text, LOG_STR("cron", str_n(id, sizeof(id))),
              LOG_STR("scheduled_at", str_n(at, sizeof(at))));
}

/* How old an instant may be. Another worker may have to notice first that nobody leads. */
static int64_t late_max(const struct engine *e) {
    int64_t lease_us = e->o.shared ? e->o.lease_us * LEASES_LATE : 0;
    return e->o.crons.late_us > lease_us ? e->o.crons.late_us : lease_us;
}

/* Makes the run, or decides that there is none. */
static int decide(struct firing *f, bool missed, struct arena *a, struct err *err) {
    struct engine *e = f->e;
    const struct cron *c = f->cron;
    struct metric *outcome = missed ? e->crons.missed : e->crons.runs;
    struct err why = {0};
    int rc;
    if (missed) {
        rc = give_up(e, c, f->next_us, STR("missed"), a, err);
    } else {
        rc = submit(f, a, &why);
        if (rc < 0 && rc != ERR_FENCED && !may_work_later(rc)) {
            outcome = e->crons.failed;
            note(c, "cron.failed", why.message);
            rc = give_up(e, c, f->next_us, str_of(why.message), a, err);
        } else if (rc < 0) {
            return err_set(err, rc, "%s", why.message);
        }
    }
    if (rc < 0)
        return rc;
    if (missed)
        note(c, "cron.missed", "nobody was there to fire it");
    metric_add(outcome, 1);
    return 0;
}

/* 0 when the instant is decided, whoever did it. */
static int fire(struct engine *e, const struct cron *c, struct arena *a, struct err *err) {
    int64_t late_max_us = late_max(e), late_us = rt_now_us(e->rt) - c->next_us;
    struct firing f = {.e = e, .cron = c};
    if (!c->enabled || (c->end_us && c->next_us > c->end_us))
        return cron_move_on(e->store, c, 0, a, err);
    int rc = next_of(e, c, late_max_us, &f.next_us, err);
    if (rc < 0 && rc != ERR_INVALID)
        return rc;
    if (rc < 0)
        f.next_us = 0; /* its zone is gone; this instant is still due */
    rc = decide(&f, late_us > late_max_us && e->o.crons.missed == CRONS_MISSED_SKIP, a, err);
    if (rc == ERR_FENCED) /* decided by another worker, or changed meanwhile */
        return cron_move_on(e->store, c, f.next_us, a, err);
    if (rc == 0)
        metric_observe_us(e->crons.late, late_us > 0 ? late_us : 0);
    return rc;
}

/* --- all that are due --- */

struct pass {
    struct engine *e;
    const struct cron *due;
    size_t count, next;
    size_t delayed; /* are still due */
    struct err why; /* of the first of them */
    struct fiber_group group;
};

static void fire_fiber(void *arg) {
    struct pass *p = arg;
    while (p->next < p->count && !p->e->w.stop) {
        const struct cron *c = &p->due[p->next++];
        struct arena a;
        struct err err = {0};
        arena_init(&a, SIZE_MAX / 2);
        if (fire(p->e, c, &a, &err) < 0 && p->delayed++ == 0)
            p->why = err;
        arena_deinit(&a);
    }
}

/* Each is one batch; those of several fibers share a commit. */
static bool fire_all(struct engine *e, const struct cron *due, size_t count) {
    struct pass p = {.e = e, .due = due, .count = count};
    fiber_group_init(&p.group);
    for (size_t i = 1; i < count && i < FIRE_FIBERS; i++)
        if (fiber_group_spawn(&p.group, e->rt, "cron.fire", fire_fiber, &p, NULL) < 0)
            break;
    fire_fiber(&p);
    fiber_group_wait(&p.group);
    if (p.delayed)
        log_event(LOG_WARN, "crons.delayed", p.why.message, LOG_INT("crons", p.delayed));
    return p.delayed == 0;
}

static int adopt_strangers(struct engine *e, struct arena *a, struct err *err) {
    struct cron *list;
    size_t count;
    int rc = cron_list_strangers(e->store, STRANGERS_PAGE, a, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct err why = {0};
        int64_t next_us = list[i].next_us;
        if (next_us == 0) {
            rc = engine_cron_next(e, list[i].schedule, STR_NULL, rt_now_us(e->rt), &next_us, &why);
            if (rc == ERR_INVALID) {
                note(&list[i], "cron.unusable", why.message);
                next_us = rc = 0;
            }
        }
        if (rc == 0 && list[i].end_us && next_us > list[i].end_us)
            next_us = 0;
        if (rc == 0)
            rc = cron_adopt(e->store, list[i].id, next_us, a, err);
    }
    return rc;
}

/* Microseconds until it has to look again. */
static int64_t look(struct engine *e, struct arena *a, struct err *err, int *out_rc) {
    bool unheard = e->o.shared && e->w.others > 0 && !e->w.hints_up;
    int64_t longest = unheard ? LOOK_UNHEARD_US : LOOK_US, next_us = 0;
    struct cron *due;
    size_t count;
    int rc = 0;
    if (rt_mono_us(e->rt) >= e->crons.strangers_due_us) {
        e->crons.strangers_due_us = rt_mono_us(e->rt) + LOOK_US;
        rc = adopt_strangers(e, a, err);
    }
    if (rc == 0)
        rc = cron_list_due(e->store, rt_now_us(e->rt), DUE_PAGE, a, &due, &count, err);
    *out_rc = rc;
    if (rc < 0 || (count && !fire_all(e, due, count)))
        return RETRY_US;
    if (count)
        return 0; /* there may be more */
    rc = cron_next_due(e->store, a, &next_us, err);
    *out_rc = rc;
    if (rc < 0)
        return RETRY_US;
    int64_t wait = next_us ? next_us - clock_wall_us() : longest;
    return wait < 0 ? 0 : wait > longest ? longest : wait + 1000; /* not a moment too early */
}

void crons_fiber(void *arg) {
    struct engine *e = arg;
    struct cron_state *c = &e->crons;
    while (!e->w.stop) {
        int64_t wait = LOOK_US;
        c->changed = false;
        if (engine_is_worker(e) && (!e->o.shared || e->w.leads)) {
            struct arena a;
            struct err err = {0};
            int rc;
            arena_init(&a, SIZE_MAX / 2);
            wait = look(e, &a, &err, &rc);
            arena_deinit(&a);
            if (rc < 0)
                log_event(LOG_WARN, "crons.look.failed", err.message, LOG_Z("code", err_name(rc)));
        }
        if (!e->w.stop && !c->changed)
            (void)fiber_event_wait(&c->wake, rt_mono_us(e->rt) + wait);
    }
    e->helpers--;
}
