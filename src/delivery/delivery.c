/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.c - the relay's loop: claims what is due, lets it be delivered, writes what came of it.
 *
 *   due ─▶ claimed (due again when the lease is over) ─▶ POST ─▶ 2xx: the row goes
 *    ▲                                                     └──▶ else: due later, or dead
 *    └──────────────────── pause, tripled each time ◀───────────┘
 *
 * The loop sleeps until the next row is due or a commit of this process says that there is one. An
 * answer that was given but could not be written leads to another attempt: at least once. What was
 * taken and has an order claims the next of it in the same batch, so a long series needs no look at
 * all that is due. No host has more than a part of the places: one that does not answer holds up no
 * other. A drain lets attempts under way end for a while and gives the others back without spending
 * them. */
#include "delivery/delivery_int.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "model/webhook_secret.h"

#define CLAIM_MAX       16
#define LOOK_US         (INT64_C(5) * 1000000) /* for rows of other processes */
#define TROUBLE_US      (INT64_C(1) * 1000000) /* the database is away */
#define PAUSE_MAX_US    (INT64_C(6) * 3600 * 1000000)
#define PAUSE_FACTOR    3
#define LEASE_MARGIN_US (INT64_C(5) * 1000000)
#define COUNT_US        2000000 /* between two counts for who scrapes */
#define SWEEP_US        (INT64_C(3600) * 1000000)
#define SWEEP_MAX       1000
#define DEAD_KEEP_US    (INT64_C(30) * 86400 * 1000000)
#define WRITE_TRIES_MAX 5
#define SERIES_MAX      256 /* of one order, then another one has the place */

/* Some deliveries in one memory. */
struct claim {
    struct arena memory;
    int refs;
};
struct job {
    struct list node; /* in relay->live */
    struct delivery_relay *d;
    struct claim *claim;
    struct delivery what;
};

static void claim_unref(struct claim *c) {
    if (--c->refs > 0)
        return;
    arena_deinit(&c->memory);
    mem_free(c);
}

static int64_t pause_us(const struct delivery_relay *d, int64_t attempt) {
    int64_t us = d->o.retry_us;
    for (int64_t i = 1; i < attempt && us < PAUSE_MAX_US; i++)
        us *= PAUSE_FACTOR;
    us = us < PAUSE_MAX_US ? us : PAUSE_MAX_US;
    return us - us / 5 + (int64_t)rand_below((uint64_t)(us / 5 * 2) + 1);
}

/* --- an attempt --- */

static int64_t lease_us(const struct delivery_relay *d) {
    return 4 * d->o.timeout_us + LEASE_MARGIN_US;
}

/* What came of an attempt, and what is next in its order. */
struct outcome {
    int rc;
    struct delivery_failure f;
    struct delivery next;
    bool has_next;
};

static int write_result(const struct job *j, struct outcome *o, bool last, struct arena *a,
                        struct err *err) {
    struct delivery_relay *d = j->d;
    int64_t now = rt_now_us(d->rt);
    o->has_next = false;
    if (o->rc == ERR_CANCELLED || o->rc == ERR_LIMIT)
        return delivery_give_back(d->store, &j->what, o->f.progress,
                                  o->f.due_at > now ? o->f.due_at : now, a, err);
    if (o->rc < 0)
        return delivery_failed(d->store, &j->what, &o->f, now, a, err);
    if (last || j->what.order_key.len == 0)
        return delivery_done(d->store, j->what.id, j->what.attempt, a, err);
    return delivery_done_next(d->store, &j->what, now, lease_us(d), a, &o->next, &o->has_next, err);
}

static void note(const struct job *j, int rc, const struct delivery_failure *f) {
    struct delivery_relay *d = j->d;
    char id[ID_DASHED_LEN];
    id_write_dashed(j->what.id, id);
    if (rc == ERR_CANCELLED || rc == ERR_LIMIT)
        return;
    if (rc == 0)
        metric_observe_us(d->lag, rt_now_us(d->rt) - j->what.created_at);
    metric_add(rc == 0 ? d->delivered : f->dead ? d->dead : d->failed, 1);
    if (rc < 0)
        log_event(LOG_WARN, f->dead ? "delivery.dead" : "delivery.failed",
                  f->dead ? "a delivery was given up" : "a delivery is tried again",
                  LOG_STR("id", str_n(id, sizeof(id))), LOG_STR("kind", j->what.kind),
                  LOG_INT("attempt", j->what.attempt), LOG_STR("cause", f->error),
                  LOG_INT("status", f->http_status));
}

static void attempt(struct job *j, struct outcome *o, bool last, struct arena *a) {
    struct delivery_relay *d = j->d;
    struct err err = {0};
    o->rc = attempt_make(d, &j->what, a, &o->f);
    if (o->rc < 0 && fiber_cancelled())
        o->rc = ERR_CANCELLED;
    bool further = o->f.progress > j->what.progress;
    o->f.dead = o->f.dead || (j->what.attempt >= d->o.attempts_max && !further);
    int64_t due_at = rt_now_us(d->rt) + pause_us(d, further ? 1 : j->what.attempt);
    if (o->rc != ERR_LIMIT && o->rc != ERR_CANCELLED && o->f.due_at < due_at)
        o->f.due_at = due_at;
    note(j, o->rc, &o->f);
    (void)FAILPOINT("delivery.before_result"); /* for crashes: it was taken, nobody wrote it */
    int written = write_result(j, o, last, a, &err);
    for (int i = 1; written < 0 && i < WRITE_TRIES_MAX && !d->stop; i++) {
        (void)fiber_sleep_us(TROUBLE_US);
        written = write_result(j, o, last, a, &err);
    }
    if (written < 0) { /* it is due again when the claim is over */
        o->has_next = false;
        log_event(LOG_WARN, "delivery.write.failed", err.message, LOG_Z("code", err_name(written)));
    }
    const struct parcel_maker *maker = attempt_maker(d, &j->what);
    if (o->rc < 0 && o->f.http_status == 410 && maker && maker->gone)
        maker->gone(maker->ctx, &j->what);
}

static void job_fiber(void *arg) {
    struct job *j = arg;
    struct delivery_relay *d = j->d;
    struct outcome o = {.has_next = true};
    struct arena now, before;
    arena_init(&before, SIZE_MAX / 2);
    for (int n = 1; o.has_next; n++) {
        o = (struct outcome){0};
        arena_init(&now, SIZE_MAX / 2);
        attempt(j, &o, n == SERIES_MAX || d->stop, &now);
        arena_deinit(&before);
        before = now; /* the next one lies there */
        if (o.has_next)
            j->what = o.next;
    }
    arena_deinit(&before);
    list_remove(&j->node);
    claim_unref(j->claim);
    d->under_way--;
    fiber_event_wake_all(&d->wake);
    if (d->under_way == 0)
        fiber_event_wake_all(&d->idle);
}

/* --- the loop --- */

/* "https://example.org:8443" of an address. */
static str host_of(str url) {
    ptrdiff_t scheme = str_find(url, STR("://"));
    size_t at = scheme < 0 ? 0 : (size_t)scheme + 3;
    while (at < url.len && url.p[at] != '/' && url.p[at] != '?' && url.p[at] != '#')
        at++;
    return str_slice(url, 0, at);
}

static bool has_its_share(struct delivery_relay *d, str target) {
    size_t count = 0, share = d->o.concurrency_max / TARGET_SHARE;
    str host = host_of(target);
    LIST_EACH (&d->live, n)
        count += str_eq(host_of(LIST_ENTRY(n, struct job, node)->what.target), host);
    return count >= (share ? share : 1);
}

/* It waits: those of other hosts that are due go first. */
static int put_off(struct delivery_relay *d, const struct delivery *what, struct arena *a,
                   struct err *err) {
    int64_t wait = TROUBLE_US / 2 + (int64_t)rand_below((uint64_t)TROUBLE_US);
    return delivery_give_back(d->store, what, what->progress, rt_now_us(d->rt) + wait, a, err);
}

/* Whether something was claimed. */
static int claim_some(struct delivery_relay *d, size_t *out_count, struct err *err) {
    struct claim *c = NEW(struct claim);
    struct delivery *list;
    size_t room = d->o.concurrency_max - d->under_way;
    c->refs = 1;
    arena_init(&c->memory, SIZE_MAX / 2);
    int rc = delivery_claim(d->store, rt_now_us(d->rt), lease_us(d),
                            (int64_t)(room < CLAIM_MAX ? room : CLAIM_MAX), &c->memory, &list,
                            out_count, err);
    for (size_t i = 0; rc == 0 && i < *out_count; i++) {
        if (has_its_share(d, list[i].target)) {
            rc = put_off(d, &list[i], &c->memory, err);
            continue;
        }
        struct job *j = ARENA_NEW(&c->memory, struct job);
        *j = (struct job){.d = d, .claim = c, .what = list[i]};
        list_push_back(&d->live, &j->node);
        if (fiber_group_spawn(&d->jobs, d->rt, "delivery", job_fiber, j, NULL) < 0) {
            list_remove(&j->node);
            break; /* its claim will be over */
        }
        c->refs++;
        d->under_way++;
    }
    claim_unref(c);
    return rc;
}

static int sweep(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct delivery_relay *d = ctx;
    int64_t deleted = 0;
    int rc = delivery_sweep(d->store, s->now_us - DEAD_KEEP_US, s->rows_max, a, &deleted, err);
    s->rows = deleted;
    s->more = deleted == s->rows_max;
    return rc;
}

void delivery_add_jobs(struct delivery_relay *d, struct jobs *jobs) {
    jobs_add(jobs, &(struct job_spec){JOB_NAME("deliveries.dead"),
                                      .what = "deliveries that were given up 30 days ago",
                                      .every_us = SWEEP_US, .rows_max = SWEEP_MAX, .slice = sweep,
                                      .ctx = d});
}

/* Claims until nothing is due; *out_wait_us: until something may be. */
static int look(struct delivery_relay *d, int64_t *out_wait_us, struct err *err) {
    struct arena a;
    size_t count = 0;
    int rc = 0;
    *out_wait_us = INT64_MAX;
    arena_init(&a, 1 << 20);
    int64_t due = INT64_MAX;
    do {
        if (d->stop || d->under_way >= d->o.concurrency_max) { /* the end of one wakes */
            arena_deinit(&a);
            return 0;
        }
        rc = delivery_next_due(d->store, &a, &due, err);
        if (rc == 0 && due <= rt_now_us(d->rt))
            rc = claim_some(d, &count, err);
        else
            count = 0;
    } while (rc == 0 && count > 0);
    arena_deinit(&a);
    if (due < INT64_MAX)
        *out_wait_us = due - rt_now_us(d->rt) + 1;
    if (*out_wait_us <= 0) /* due, but behind another of its key, or taken just now */
        *out_wait_us = TROUBLE_US;
    if (d->o.shared && *out_wait_us > LOOK_US)
        *out_wait_us = LOOK_US;
    return rc;
}

static void relay_fiber(void *arg) {
    struct delivery_relay *d = arg;
    while (!d->stop) {
        struct err err = {0};
        int64_t wait_us;
        int rc = look(d, &wait_us, &err);
        if (rc < 0) {
            log_event(LOG_WARN, "delivery.look.failed", err.message, LOG_Z("code", err_name(rc)));
            wait_us = TROUBLE_US;
        }
        int64_t now = rt_mono_us(d->rt);
        if (!d->stop)
            (void)fiber_event_wait(&d->wake, wait_us > FIBER_NO_DEADLINE - now ? FIBER_NO_DEADLINE
                                                                               : now + wait_us);
    }
    d->running = false;
    fiber_event_wake_all(&d->idle);
}

void delivery_wake(void *relay) {
    struct delivery_relay *d = relay;
    fiber_event_wake_all(&d->wake);
}

/* --- life --- */

static int read_secrets(struct delivery_relay *d, str text, struct err *err) {
    str part;
    while (str_split_next(&text, ' ', &part)) {
        if (part.len == 0)
            continue;
        if (d->secret_count == SECRETS_MAX ||
            !webhook_secret_read(&d->memory, part, &d->secrets[d->secret_count]))
            return err_set(err, ERR_INVALID,
                           "a webhook secret must be whsec_ and base64, at most %d of them",
                           SECRETS_MAX);
        d->secret_count++;
    }
    return 0;
}

static void copy_options(struct delivery_relay *d, const struct delivery_options *o) {
    struct arena *a = &d->memory;
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, o->header_count + 1);
    d->o = *o;
    d->o.rules.allow = arena_dup(a, o->rules.allow);
    d->o.rules.allowed_domains = arena_dup(a, o->rules.allowed_domains);
    d->o.rules.allowed_ports = arena_dup(a, o->rules.allowed_ports);
    d->o.origin = arena_dup(a, o->origin);
    d->o.secrets = STR_NULL;
    for (size_t i = 0; i < o->header_count; i++)
        headers[i] = (struct http_header){arena_dup(a, o->headers[i].name),
                                          arena_dup(a, o->headers[i].value)};
    d->o.headers = headers;
}

/* The counts of the table are those of the scrape before: reading them takes a fiber. Nobody who
 * scrapes, no reads. */
static void count_fiber(void *arg) {
    struct delivery_relay *d = arg;
    struct delivery_counts counts;
    struct arena a;
    arena_init(&a, 1 << 20);
    if (delivery_counts(d->store, &a, &counts, NULL) == 0) {
        int64_t age_us = counts.due_at > 0 ? rt_now_us(d->rt) - counts.due_at : 0;
        metric_set(d->dead_count, counts.dead);
        metric_set(d->pending_count, counts.pending);
        metric_set(d->oldest_age_ms, age_us > 0 ? age_us / 1000 : 0);
    }
    arena_deinit(&a);
    d->counting = false;
}

static void on_collect(void *arg) {
    struct delivery_relay *d = arg;
    int64_t now = rt_mono_us(d->rt);
    if (!d->running || d->stop || d->counting || now < d->count_due_us)
        return;
    d->count_due_us = now + COUNT_US;
    d->counting = fiber_group_spawn(&d->jobs, d->rt, "delivery.count", count_fiber, d, NULL) == 0;
}

int delivery_open(struct rt *rt, struct http_client *client, struct store *store,
                  const struct delivery_options *o, struct delivery_relay **out, struct err *err) {
    struct delivery_relay *d = NEW(struct delivery_relay);
    d->rt = rt;
    d->client = client;
    d->store = store;
    arena_init(&d->memory, 16 << 20);
    fiber_event_init(&d->wake);
    fiber_event_init(&d->idle);
    fiber_group_init(&d->jobs);
    list_init(&d->live);
    map_init(&d->consents);
    copy_options(d, o);
    int rc = read_secrets(d, o->secrets, err);
    if (rc < 0) {
        delivery_free(d);
        return rc;
    }
    d->delivered =
        metric_counter("holdfast_deliveries_total", "Attempts to deliver a webhook, by outcome.",
                       "outcome=\"delivered\"");
    d->failed = metric_counter("holdfast_deliveries_total",
                               "Attempts to deliver a webhook, by outcome.", "outcome=\"failed\"");
    d->dead = metric_counter("holdfast_deliveries_total",
                             "Attempts to deliver a webhook, by outcome.", "outcome=\"dead\"");
    d->lag = metric_histogram("holdfast_delivery_lag_seconds",
                              "From the commit of what is told to its delivery.", NULL);
    d->dead_count = metric_gauge("dlq_size", "What was given up, by queue; of all processes.",
                                 "topic=\"deliveries\"");
    d->pending_count =
        metric_gauge("queue_depth", "What waits here, by queue.", "topic=\"deliveries\"");
    d->oldest_age_ms = metric_gauge("queue_oldest_age_ms", "Age of what waits longest, by queue.",
                                    "topic=\"deliveries\"");
    metrics_on_collect(on_collect, d);
    *out = d;
    return 0;
}

int delivery_start(struct delivery_relay *d, int port, struct err *err) {
    d->self = arena_printf(&d->memory, "http://127.0.0.1:%d", port);
    d->running = fiber_spawn(d->rt, "delivery.relay", relay_fiber, d, err) != NULL;
    return d->running ? 0 : ERR_LIMIT;
}

void delivery_stop(struct delivery_relay *d, int64_t deadline_us) {
    if (!d)
        return;
    d->stop = true;
    fiber_event_wake_all(&d->wake);
    int rc = 0;
    while ((d->under_way > 0 || d->running) && rc == 0)
        rc = fiber_event_wait(&d->idle, deadline_us);
    fiber_group_cancel(&d->jobs);
    while (d->running)
        (void)fiber_sleep_us(1000);
    fiber_group_cancel(&d->jobs); /* what the loop was just claiming */
    fiber_group_wait(&d->jobs);
}

void delivery_free(struct delivery_relay *d) {
    if (!d)
        return;
    metrics_off_collect(on_collect, d);
    handshake_deinit(d);
    arena_deinit(&d->memory);
    mem_free(d);
}

bool delivery_has_origin(const struct delivery_relay *d) { return d->o.origin.len > 0; }

int delivery_check_target(const struct delivery_relay *d, str url, struct err *err) {
    struct http_url parts;
    if (str_starts(url, STR("/")))
        return rules_allow_self(&d->o.rules)
                   ? 0
                   : err_set(err, ERR_INVALID,
                             "webhook: a relative address leads to this server, which is not "
                             "allowed");
    const char *why = rules_refuse_url(&d->o.rules, url, &parts);
    if (!why && parts.numeric && !rules_allow_address(&d->o.rules, &parts, parts.host))
        why = "the address is a private one, which is not allowed";
    return why ? err_set(err, ERR_INVALID, "webhook: %s", why) : 0;
}
