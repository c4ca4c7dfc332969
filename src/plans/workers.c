/* SPDX-License-Identifier: Apache-2.0 */
/* workers.c - what workers outside ask for: steps to do, and what came of them.
 *
 *   claim     one statement leases the rows; then their steps say "running", with an entry of the
 *             log, and only then they are handed out
 *   finish    for good: the lease's row keeps what came of it, under the plan's version, until the
 *             plan's run takes it; a plan that no run has goes on in another one (decide.c)
 *             once more: step and row are queued again here, the plan's run need not know
 *   expiry    a lease that ends by itself is as one that failed
 *
 * All of it is written under the lease's token, so of two who say something about a lease one does.
 * Statements stand in the order plan, steps, leases, as in the batches of the plan's run. Each plan
 * is a batch of its own; those of several plans share commits. */
#include "plans/plans_int.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/rand.h"

#define TRIES_MAX    16
#define POLL_US      1000000 /* of a claim that waits, for what nobody here tells of */
#define EXPIRING_MAX 100

void work_count(struct plans *p, enum work_event event, size_t count) {
    metric_add(p->metrics.work[event], (int64_t)count);
}

bool plans_queue_is_fine(str queue) { return plan_queue_is_fine(queue); }

static struct work_ref ref_of(const struct work_row *row) {
    return (struct work_ref){row->plan_id, row->position, row->token};
}

/* --- many plans at once --- */

/* Items of one plan lie side by side; each group is written by a fiber of its own. */
struct job {
    struct plans *plans;
    void *ctx;
    int (*write)(struct job *j, struct err *err); /* MAY_SUSPEND */
    size_t first, count;
    int rc;
    struct err err;
};

static void job_fiber(void *arg) {
    struct job *j = arg;
    j->rc = j->write(j, &j->err);
}

/* Runs all; what each came to is in it. */
static void run_jobs(struct plans *p, struct job *jobs, size_t count) {
    struct fiber_group group;
    fiber_group_init(&group);
    for (size_t i = 0; i < count; i++) {
        jobs[i].rc = 0;
        if (count == 1 ||
            fiber_group_spawn(&group, p->rt, "plans.work", job_fiber, &jobs[i], NULL) < 0)
            job_fiber(&jobs[i]);
    }
    fiber_group_wait(&group);
}

static int by_place(const void *left, const void *right) {
    const struct work_item *a = left, *b = right;
    int order = memcmp(a->row.plan_id.b, b->row.plan_id.b, sizeof(a->row.plan_id.b));
    return order ? order
                 : (a->row.position > b->row.position) - (a->row.position < b->row.position);
}

static int append(struct plans *p, const struct work_item *item, struct db_batch *b, str entry,
                  struct err *err) {
    struct hub_entry shown = {
        .entry = {
            .run_id = item->run_id, .kind = LOG_STEPS, .at = rt_now_us(p->rt), .data = entry}};
    struct hub_append append = {
        .thread_id = item->thread_id, .batch = b, .entries = &shown, .count = 1};
    return hub_commit(engine_hub(p->engine), &append, err);
}

/* --- claiming --- */

struct begun {
    struct work_item *items;
    bool *told; /* of each: its step says that it runs */
};

static int begin_some(struct plans *p, struct begun *x, size_t first, size_t count,
                      struct err *err) {
    struct arena a;
    struct db_batch b;
    struct step_event events[EVENTS_PER_ENTRY];
    arena_init(&a, SIZE_MAX / 2);
    db_batch_init(&b, &a);
    for (size_t i = 0; i < count; i++) {
        const struct work_row *row = &x->items[first + i].row;
        struct work_ref ref = ref_of(row);
        struct work_mark mark = {
            .status = RUN_STATE_RUNNING, .attempt = row->attempt, .started_at = row->claimed_at};
        work_step_add(&b, &ref, &mark, ERR_FENCED);
        events[i] = (struct step_event){(uint32_t)row->position, RUN_STATE_RUNNING,
                                        (int)row->attempt, row->claimed_at, STR_NULL};
    }
    int rc = append(p, &x->items[first], &b, plan_steps_entry(&a, events, count), err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        x->told[first + i] = true;
    arena_deinit(&a);
    return rc;
}

/* When one of them is over by now, the others begin for themselves. */
static int begin_job(struct job *j, struct err *err) {
    struct begun *x = j->ctx;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < j->count; at += EVENTS_PER_ENTRY) {
        size_t n = j->count - at < EVENTS_PER_ENTRY ? j->count - at : EVENTS_PER_ENTRY;
        rc = begin_some(j->plans, x, j->first + at, n, err);
        if (rc != ERR_FENCED)
            continue;
        rc = 0;
        for (size_t i = 0; rc == 0 && i < n && n > 1; i++) {
            rc = begin_some(j->plans, x, j->first + at + i, 1, err);
            rc = rc == ERR_FENCED ? 0 : rc;
        }
    }
    return rc;
}

static struct job *jobs_of(struct plans *p, struct arena *a, const struct work_item *items,
                           size_t count, size_t *out_count) {
    struct job *jobs = ARENA_ARRAY(a, struct job, count + 1);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !id_eq(items[i].row.plan_id, items[i - 1].row.plan_id))
            jobs[n++] = (struct job){.plans = p, .first = i};
        jobs[n - 1].count++;
    }
    *out_count = n;
    return jobs;
}

/* Those that are still leased under the token that was given. */
static size_t keep_leased(struct work_item *items, size_t count, const struct work_ref *refs,
                          size_t ref_count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < ref_count; k++)
            if (id_eq(items[i].row.plan_id, refs[k].plan_id) &&
                items[i].row.position == refs[k].position && items[i].row.token == refs[k].token &&
                items[i].row.status == WORK_LEASED) {
                items[kept++] = items[i];
                break;
            }
    return kept;
}

/* Takes leases, as many as limits allow. */
static int take_leases(struct plans *p, const struct principal *who, const struct plans_claim *c,
                       struct claim_wait *w, struct arena *a, struct work_ref **out,
                       size_t *out_count, struct err *err) {
    struct work_lease lease = c->lease;
    bool limited = claims_limited(p, lease.queue);
    *out_count = 0;
    int rc = limited ? claims_begin(p, err) : 0;
    if (rc < 0)
        return rc;
    if (limited)
        rc = claims_room(p, who, w, a, &lease.limit, err);
    if (rc == 0 && lease.limit > 0)
        rc = work_claim(p->store, who, &lease, rt_now_us(p->rt), a, out, out_count, err);
    if (limited && rc == 0 && *out_count)
        claims_served(p, a, w);
    if (limited)
        claims_end(p);
    return rc;
}

static int claim_once(struct plans *p, const struct principal *who, const struct plans_claim *c,
                      struct claim_wait *w, struct arena *a, struct work_item **out,
                      size_t *out_count, struct err *err) {
    struct work_ref *refs;
    size_t ref_count, count, job_count, told = 0;
    bool any = false;
    *out_count = 0;
    w->held_up = false;
    int rc = work_any(p->store, who, c->lease.queue, rt_now_us(p->rt), a, &any, err);
    if (rc < 0 || !any)
        return rc;
    rc = take_leases(p, who, c, w, a, &refs, &ref_count, err);
    if (rc < 0 || ref_count == 0)
        return rc;
    (void)FAILPOINT("plans.work.claimed"); /* for crashes: they are leased */
    rc = work_get(p->store, who, refs, ref_count, a, out, &count, err);
    if (rc < 0)
        return rc;
    count = keep_leased(*out, count, refs, ref_count);
    qsort(*out, count, sizeof(**out), by_place);
    struct begun x = {*out, ARENA_ARRAY(a, bool, count + 1)};
    struct job *jobs = jobs_of(p, a, *out, count, &job_count);
    for (size_t i = 0; i < job_count; i++) {
        jobs[i].ctx = &x;
        jobs[i].write = begin_job;
    }
    run_jobs(p, jobs, job_count);
    for (size_t i = 0; i < count; i++) {
        expiry_note(p, (*out)[i].row.lease_until);
        if (x.told[i])
            (*out)[told++] = (*out)[i];
    }
    work_count(p, WORK_CLAIMED, told);
    *out_count = told;
    for (size_t i = 0; i < job_count && told == 0 && rc == 0; i++)
        if (jobs[i].rc < 0)
            rc = err_set(err, jobs[i].rc, "%s", jobs[i].err.message);
    return rc;
}

int plans_work_claim(struct plans *p, const struct principal *who, const struct plans_claim *c,
                     struct arena *a, struct work_item **out, size_t *out_count, struct err *err) {
    int64_t due = rt_mono_us(p->rt) + c->wait_us;
    int64_t poll = p->o.look_us ? p->o.look_us : POLL_US;
    struct claim_wait w = {.owner = principal_owner(who), .queue = c->lease.queue};
    for (;;) {
        int rc = claim_once(p, who, c, &w, a, out, out_count, err);
        int64_t now = rt_mono_us(p->rt);
        if (rc < 0 || *out_count || now >= due || p->stopping)
            return rc;
        claims_wait(p, a, &w);
        rc = fiber_event_wait(&p->work_wake, due < now + poll ? due : now + poll);
        claims_waited(&w);
        if (rc < 0 && rc != ERR_TIMEOUT)
            return rc;
    }
}

/* --- what becomes of a lease --- */

struct change {
    struct work_ref ref;
    struct plans_work_answer *answer; /* NULL: nobody has asked */
    bool again;
    struct work_result result;
    int64_t ready_at;
    int64_t attempt;
    bool written;
};
struct changing {
    struct work_item *items; /* of the changes, in their order */
    struct change *changes;
};

static void again_add(struct db_batch *b, const struct change *c) {
    struct work_mark mark = {
        .status = RUN_STATE_QUEUED, .attempt = c->attempt, .error = c->result.error};
    work_step_add(b, &c->ref, &mark, ERR_FENCED);
}

/* Queued again, with their entry of the log. */
static int write_again(struct plans *p, struct changing *x, size_t first, size_t count,
                       struct arena *a, struct err *err) {
    struct db_batch b;
    struct step_event *events = ARENA_ARRAY(a, struct step_event, count);
    size_t n = 0;
    db_batch_init(&b, a);
    for (size_t i = first; i < first + count; i++)
        if (x->changes[i].again) {
            const struct change *c = &x->changes[i];
            again_add(&b, c);
            events[n++] = (struct step_event){(uint32_t)c->ref.position, RUN_STATE_QUEUED,
                                              (int)c->attempt, rt_now_us(p->rt), c->result.error};
        }
    for (size_t i = first; i < first + count; i++)
        if (x->changes[i].again)
            work_again_add(&b, &x->changes[i].ref, &x->changes[i].result, x->changes[i].ready_at,
                           ERR_FENCED);
    return n ? append(p, &x->items[first], &b, plan_steps_entry(a, events, n), err) : 0;
}

struct finishing {
    struct changing *x;
    size_t first, count;
};

static void join_done(void *ctx, struct db_batch *b) {
    const struct finishing *f = ctx;
    for (size_t i = f->first; i < f->first + f->count; i++)
        if (!f->x->changes[i].again)
            work_done_add(b, &f->x->changes[i].ref, &f->x->changes[i].result, ERR_FENCED);
}

static int write_done(struct plans *p, struct finishing *f, struct arena *a, struct err *err) {
    struct id plan_id = f->x->changes[f->first].ref.plan_id;
    struct principal any = {.owner = STR(""), .all = true};
    struct plan_row plan;
    struct plan_step_row *steps;
    struct db_batch b;
    size_t count = 0;
    int rc = plan_get(p->store, &any, plan_id, 0, a, &plan, &steps, &count, err);
    if (rc < 0)
        return rc;
    if (plan.status == RUN_STATE_BLOCKED)
        return plan_go_on(p, &(struct plan_go_on){.row = &plan, .join = join_done, .ctx = f}, a,
                          err);
    db_batch_init(&b, a);
    plan_touch_live_add(&b, plan_id, ERR_FENCED, rt_now_us(p->rt));
    join_done(f, &b);
    rc = db_commit(p->store->db, &b, err);
    if (rc == 0)
        coordinator_poke(p, plan_id);
    return rc;
}

static int write_part(struct plans *p, struct changing *x, size_t first, size_t count,
                      struct err *err) {
    struct arena a;
    struct finishing f = {x, first, count};
    size_t again = 0;
    arena_init(&a, SIZE_MAX / 2);
    for (size_t i = first; i < first + count; i++)
        again += x->changes[i].again;
    int rc = FAILPOINT("plans.work.before_commit");
    if (rc < 0)
        rc = err_set(err, rc, "failpoint plans.work.before_commit");
    if (rc == 0 && again)
        rc = write_again(p, x, first, count, &a, err);
    for (size_t i = first; rc == 0 && i < first + count; i++)
        x->changes[i].written = x->changes[i].again;
    if (rc == 0 && again < count)
        rc = write_done(p, &f, &a, err);
    for (size_t i = first; rc == 0 && i < first + count; i++)
        x->changes[i].written = true;
    if (rc == 0)
        (void)FAILPOINT("plans.work.after_commit"); /* for crashes: it is durable */
    arena_deinit(&a);
    return rc;
}

/* Together; when something was changed meanwhile, what is left is read and judged anew. */
static int write_job(struct job *j, struct err *err) {
    int rc = write_part(j->plans, j->ctx, j->first, j->count, err);
    return rc == ERR_FENCED ? 0 : rc;
}

/* items, changes: side by side by plan. What was written is marked so. The result is the first
 * error of a plan; the others are written all the same. */
static int write_changes(struct plans *p, struct changing *x, size_t count, struct arena *a,
                         struct err *err) {
    size_t job_count;
    int rc = 0;
    bool wake = false;
    struct job *jobs = jobs_of(p, a, x->items, count, &job_count);
    for (size_t i = 0; i < job_count; i++) {
        jobs[i].ctx = x;
        jobs[i].write = write_job;
    }
    run_jobs(p, jobs, job_count);
    for (size_t k = 0; k < job_count; k++)
        if (jobs[k].rc < 0 && rc == 0)
            rc = err_set(err, jobs[k].rc, "%s", jobs[k].err.message);
    for (size_t i = 0; i < count; i++) {
        const struct change *c = &x->changes[i];
        if (!c->written)
            continue;
        wake = wake || c->again || claims_limited(p, x->items[i].row.queue);
        work_count(p,
                   c->result.lost                             ? WORK_LOST
                   : c->again                                 ? WORK_AGAIN
                   : c->result.outcome == RUN_STATE_SUCCEEDED ? WORK_SUCCEEDED
                                                              : WORK_FAILED,
                   1);
    }
    if (wake)
        fiber_event_wake_all(&p->work_wake);
    return rc;
}

/* --- judging what a worker says --- */

static str digest_of(struct arena *a, const struct plans_work_result *r) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_z(&b, r->succeeded ? "done\n" : r->retryable ? "again\n" : "failed\n");
    buf_str(&b, r->succeeded ? r->output : r->error);
    hash_sha256(buf_view(&b), digest);
    buf_deinit(&b);
    return hex_text(a, digest, 16);
}

static const char *word_of(str done_as) {
    static const char *const words[] = {"succeeded", "failed", "queued"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (str_starts(done_as, str_of(words[i])))
            return words[i];
    return "failed";
}

static void refuse(struct plans_work_answer *out, int code, const char *status, const char *why) {
    *out = (struct plans_work_answer){.code = code, .status = status, .error = str_of(why)};
}

/* true: the lease is the caller's, and under way. */
static bool is_held(const struct work_item *item, const struct work_ref *ref,
                    struct plans_work_answer *out) {
    if (!item) {
        refuse(out, ERR_NOT_FOUND, "unknown", "Work not found");
        return false;
    }
    if (item->row.token == ref->token && item->row.status == WORK_LEASED)
        return true;
    if (item->row.token == ref->token && item->row.status == WORK_OVER &&
        item->row.done_token != ref->token)
        refuse(out, ERR_CONFLICT, "cancelled", "The step was cancelled");
    else
        refuse(out, ERR_CONFLICT, "lost", "The lease is over: it is another one's, or was ended");
    return false;
}

/* A failed attempt is followed by another one, if there are any left. */
static int plan_change(struct plans *p, const struct work_item *item, enum run_state outcome,
                       bool retryable, str error, struct arena *a, struct change *out,
                       struct err *err) {
    struct plan_step spec = {0};
    int rc = plan_step_spec_read(a, item->spec, PLAN_STEPS_MAX, &spec, err);
    if (rc < 0)
        return rc;
    *out = (struct change){.ref = ref_of(&item->row),
                           .attempt = item->row.attempt,
                           .result = {.outcome = outcome, .error = error}};
    if (outcome == RUN_STATE_SUCCEEDED || !retryable ||
        item->row.attempt - item->spent >= spec.retry.attempts_max)
        return 0;
    out->again = true;
    out->ready_at =
        rt_now_us(p->rt) +
        plan_retry_wait_us(&spec.retry, (int)(item->row.attempt - item->spent), rand_u64());
    return 0;
}

static const struct work_item *item_of(const struct work_item *items, size_t count,
                                       const struct work_ref *ref) {
    for (size_t i = 0; i < count; i++)
        if (id_eq(items[i].row.plan_id, ref->plan_id) && items[i].row.position == ref->position)
            return &items[i];
    return NULL;
}

/* 1: it is to be written; 0: it is answered. */
static int judge(struct plans *p, const struct work_item *item, const struct plans_work_result *r,
                 struct arena *a, struct change *out, struct plans_work_answer *answer,
                 struct err *err) {
    str digest = digest_of(a, r);
    if (item && item->row.done_token == r->ref.token && item->row.done_as.p) {
        if (str_ends(item->row.done_as, digest))
            *answer = (struct plans_work_answer){.status = word_of(item->row.done_as)};
        else
            refuse(answer, ERR_CONFLICT, "refused", "Another result of this lease was told before");
        return 0;
    }
    if (!is_held(item, &r->ref, answer))
        return 0;
    int rc = plan_change(p, item, r->succeeded ? RUN_STATE_SUCCEEDED : RUN_STATE_FAILED,
                         r->retryable, r->succeeded ? STR_NULL : r->error, a, out, err);
    if (rc < 0)
        return rc;
    const char *word = r->succeeded ? "succeeded" : out->again ? "queued" : "failed";
    out->result.output = r->output;
    out->result.done_as = arena_printf(a, "%s " STR_FMT, word, STR_ARG(digest));
    out->answer = answer;
    return 1;
}

/* One look at those that are not answered, and one write. */
static int finish_once(struct plans *p, const struct principal *who,
                       const struct plans_work_result *results, size_t count, struct arena *a,
                       struct plans_work_answer *out, bool *open, struct err *err) {
    struct work_item *items;
    size_t item_count, n = 0;
    struct work_ref *refs = ARENA_ARRAY(a, struct work_ref, count);
    for (size_t i = 0; i < count; i++)
        refs[i] = results[i].ref;
    int rc = work_get(p->store, who, refs, count, a, &items, &item_count, err);
    if (rc < 0)
        return rc;
    qsort(items, item_count, sizeof(*items), by_place);
    struct changing x = {ARENA_ARRAY(a, struct work_item, count + 1),
                         ARENA_ARRAY(a, struct change, count + 1)};
    bool *seen = ARENA_ARRAY(a, bool, count + 1);
    for (size_t k = 0; k < count; k++) /* of nothing */
        if (open[k] && !item_of(items, item_count, &results[k].ref)) {
            (void)is_held(NULL, &results[k].ref, &out[k]);
            open[k] = false;
        }
    for (size_t i = 0; i < item_count; i++) /* in the order of plans */
        for (size_t k = 0; k < count; k++) {
            if (!open[k] || seen[k] || item_of(&items[i], 1, &results[k].ref) == NULL)
                continue;
            seen[k] = true;
            rc = judge(p, &items[i], &results[k], a, &x.changes[n], &out[k], err);
            if (rc < 0)
                return rc;
            open[k] = rc == 1;
            if (rc == 0)
                continue;
            x.items[n++] = items[i];
            break; /* one of each step at a time */
        }
    rc = n ? write_changes(p, &x, n, a, err) : 0;
    for (size_t i = 0; i < n; i++)
        if (x.changes[i].written) {
            size_t k = (size_t)(x.changes[i].answer - out);
            out[k] = (struct plans_work_answer){.status = word_of(x.changes[i].result.done_as)};
            open[k] = false;
        }
    return rc;
}

int plans_work_finish(struct plans *p, const struct principal *who,
                      const struct plans_work_result *results, size_t count, struct arena *a,
                      struct plans_work_answer *out, struct err *err) {
    bool *open = ARENA_ARRAY(a, bool, count + 1);
    size_t left = count;
    for (size_t i = 0; i < count; i++)
        open[i] = true;
    for (int tries = 0; tries < TRIES_MAX && left; tries++) {
        int rc = finish_once(p, who, results, count, a, out, open, err);
        if (rc < 0)
            return rc; /* what was written is answered the same when it is asked again */
        left = 0;
        for (size_t i = 0; i < count; i++)
            left += open[i];
    }
    for (size_t i = 0; i < count; i++)
        if (open[i])
            refuse(&out[i], ERR_CONFLICT, "refused",
                   "Others write the plan at the same time; ask again");
    return 0;
}

/* --- heartbeats --- */

int plans_work_extend(struct plans *p, const struct principal *who, const struct work_ref *refs,
                      size_t count, int64_t lease_us, struct arena *a,
                      struct plans_work_answer *out, struct err *err) {
    struct work_item *items;
    size_t item_count, n = 0;
    struct work_ref *held = ARENA_ARRAY(a, struct work_ref, count + 1);
    size_t *places = ARENA_ARRAY(a, size_t, count + 1);
    int64_t *until = ARENA_ARRAY(a, int64_t, count + 1);
    int rc = work_get(p->store, who, refs, count, a, &items, &item_count, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        const struct work_item *item = item_of(items, item_count, &refs[i]);
        if (is_held(item, &refs[i], &out[i])) {
            places[n] = i;
            held[n++] = refs[i];
        } else if (item) {
            out[i].code = 0; /* the status is what was asked for */
        }
    }
    rc = work_extend(p->store, held, n, rt_now_us(p->rt) + lease_us, a, until, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        out[places[i]] =
            until[i] ? (struct plans_work_answer){.status = "leased", .lease_until = until[i]}
                     : (struct plans_work_answer){.status = "lost"};
        if (until[i])
            expiry_note(p, until[i]);
    }
    return rc;
}

/* --- progress --- */

static int tell_one(struct plans *p, const struct work_item *item,
                    const struct plans_work_progress *list, struct err *err) {
    struct arena a;
    struct db_batch b;
    arena_init(&a, SIZE_MAX / 2);
    struct progress_event *events = ARENA_ARRAY(&a, struct progress_event, list->count);
    for (size_t i = 0; i < list->count; i++)
        events[i] = (struct progress_event){list->ref.position, item->row.attempt, rt_now_us(p->rt),
                                            list->notes[i].message, list->notes[i].data};
    db_batch_init(&b, &a);
    work_progress_add(&b, &list->ref, list->count, PLANS_WORK_PROGRESS_MAX, ERR_FENCED);
    int rc = append(p, item, &b, plan_progress_entry(&a, events, list->count), err);
    arena_deinit(&a);
    return rc;
}

int plans_work_tell(struct plans *p, const struct principal *who,
                    const struct plans_work_progress *list, size_t count, struct arena *a,
                    struct plans_work_answer *out, struct err *err) {
    struct work_item *items;
    size_t item_count;
    struct work_ref *refs = ARENA_ARRAY(a, struct work_ref, count + 1);
    for (size_t i = 0; i < count; i++)
        refs[i] = list[i].ref;
    int rc = work_get(p->store, who, refs, count, a, &items, &item_count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct work_item *item = item_of(items, item_count, &refs[i]);
        if (!is_held(item, &refs[i], &out[i]))
            continue;
        rc = tell_one(p, item, &list[i], err);
        if (rc == 0)
            out[i] = (struct plans_work_answer){.status = "leased",
                                                .lease_until = item->row.lease_until};
        else if (rc == ERR_FENCED)
            refuse(&out[i], ERR_LIMIT, "refused", "The lease has written all that one may");
        rc = rc == ERR_FENCED ? 0 : rc;
    }
    return rc;
}

/* --- leases that end by themselves --- */

/* As of steps that this server executes (quarantine.c). */
static bool is_given_up(const struct plans *p, const struct work_item *item) {
    return p->o.losses_max > 0 && item->row.lost + 1 >= p->o.losses_max;
}

static int expire_change(struct plans *p, const struct work_item *item, struct arena *a,
                         struct change *out, struct err *err) {
    const struct work_row *row = &item->row;
    bool late = row->deadline_at <= rt_now_us(p->rt);
    str worker = str_slice(row->worker, 0, str_utf8_prefix(str_slice(row->worker, 0, 100)));
    str error = late ? arena_printf(a, "it did not end within %g s",
                                    (double)(row->deadline_at - row->claimed_at) / 1e6)
                     : arena_printf(a, "the lease of worker " STR_FMT " is over", STR_ARG(worker));
    int rc = plan_change(p, item, late ? RUN_STATE_TIMED_OUT : RUN_STATE_FAILED, true, error, a,
                         out, err);
    if (rc < 0 || late)
        return rc;
    metric_add(p->metrics.losses, 1);
    out->result.lost = true;
    out->again = !is_given_up(p, item);
    if (!out->again)
        out->result.error = arena_printf(a, "quarantined: its workers fell silent %lld times",
                                         (long long)item->row.lost + 1);
    out->ready_at = rt_now_us(p->rt);
    return 0;
}

static int expire_some(struct plans *p, const struct work_ref *refs, size_t count, struct arena *a,
                       struct err *err) {
    struct principal any = {.owner = STR(""), .all = true};
    struct work_item *items;
    size_t item_count, n = 0;
    int64_t now = rt_now_us(p->rt);
    int rc = work_get(p->store, &any, refs, count, a, &items, &item_count, err);
    if (rc < 0)
        return rc;
    qsort(items, item_count, sizeof(*items), by_place);
    struct changing x = {ARENA_ARRAY(a, struct work_item, item_count + 1),
                         ARENA_ARRAY(a, struct change, item_count + 1)};
    for (size_t i = 0; rc == 0 && i < item_count; i++) {
        if (items[i].row.status != WORK_LEASED || items[i].row.lease_until > now)
            continue;
        rc = expire_change(p, &items[i], a, &x.changes[n], err);
        x.items[n] = items[i];
        n += rc == 0;
    }
    if (rc == 0 && n)
        rc = write_changes(p, &x, n, a, err);
    return rc == ERR_CONFLICT || rc == ERR_NOT_FOUND ? 0 : rc;
}

int work_expire_due(struct plans *p, struct arena *a, int64_t *out_next, struct err *err) {
    struct work_row *rows;
    struct work_ref refs[EXPIRING_MAX];
    size_t count = 0, due = 0;
    int64_t now = rt_now_us(p->rt);
    int rc = work_expiring(p->store, EXPIRING_MAX, a, &rows, &count, err);
    if (rc < 0)
        return rc;
    while (due < count && rows[due].lease_until <= now) {
        refs[due] = ref_of(&rows[due]);
        due++;
    }
    if (due < count && rows[due].lease_until < *out_next)
        *out_next = rows[due].lease_until;
    if (due == EXPIRING_MAX)
        *out_next = now; /* there may be more */
    return due ? expire_some(p, refs, due, a, err) : 0;
}
