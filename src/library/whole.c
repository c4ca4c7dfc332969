/* SPDX-License-Identifier: Apache-2.0 */
/* whole.c - what is kept, and the whole store: hf_retention_set(), hf_retention_get(), hf_sweep(),
 * hf_stats(), hf_digest().
 *
 * A sweep is bounded by its budget, so that nobody else waits long for the store. */
#include "base/clock.h"
#include "library/library_int.h"

#define BUDGET_USUAL  1000
#define BUDGET_MAX    1000000
#define RETENTION_MIN LIBRARY_UP_TO(struct hf_retention, count_max)

/* --- retention --- */

static int run_set(struct library_call *c) {
    return history_retention_set(c->h->history, c->key.owner, &c->retention, &c->err);
}

static int run_get(struct library_call *c) {
    struct history_retention r;
    int rc = history_retention_get(c->h->history, c->key.owner, &r, &c->err);
    if (rc == 0)
        *(struct hf_retention *)library_object(c) =
            (struct hf_retention){.struct_size = sizeof(struct hf_retention),
                                  .age_ms_max = r.age_ms_max,
                                  .count_max = r.count_max};
    return rc;
}

static struct library_call *of_owner(struct hf_history *h, const char *owner, library_run_fn run,
                                     size_t object_bytes, bool async) {
    struct library_call *c = library_call_new(h, run, object_bytes, async);
    c->key.owner = library_text(c, owner ? owner : "", HISTORY_NAME_BYTES_MAX, "owner");
    return c;
}

static struct library_call *set(struct hf_history *h, const char *owner,
                                const struct hf_retention *retention, bool async) {
    struct library_call *c = of_owner(h, owner, run_set, 0, async);
    struct hf_retention r;
    library_take_struct(c, retention, RETENTION_MIN, &r, sizeof r, "retention");
    c->retention = (struct history_retention){.age_ms_max = r.age_ms_max, .count_max = r.count_max};
    return c;
}

int hf_retention_set(struct hf_history *h, const char *owner, const struct hf_retention *retention,
                     struct hf_error *error) {
    return library_wait(set(h, owner, retention, false), NULL, error);
}

int hf_retention_set_async(struct hf_history *h, const char *owner,
                           const struct hf_retention *retention, hf_done_fn done, void *ctx,
                           struct hf_error *error) {
    return library_start(set(h, owner, retention, true), done, ctx, error);
}

int hf_retention_get(struct hf_history *h, const char *owner, struct hf_retention **out,
                     struct hf_error *error) {
    return library_wait(of_owner(h, owner, run_get, sizeof **out, false), (void **)out, error);
}

int hf_retention_get_async(struct hf_history *h, const char *owner, hf_done_fn done, void *ctx,
                           struct hf_error *error) {
    return library_start(of_owner(h, owner, run_get, sizeof(struct hf_retention), true), done, ctx,
                         error);
}

/* --- sweeping --- */

static int run_sweep(struct library_call *c) {
    size_t removed = 0;
    int rc = history_sweep(c->h->history, clock_wall_us(), c->budget, &removed, &c->err);
    *(int64_t *)library_object(c) = (int64_t)removed;
    return rc;
}

static struct library_call *sweep(struct hf_history *h, size_t budget, bool async) {
    struct library_call *c = library_call_new(h, run_sweep, sizeof(int64_t), async);
    if (budget > BUDGET_MAX)
        library_fault(c, ERR_INVALID, "budget: at most %d", BUDGET_MAX);
    c->budget = budget ? budget : BUDGET_USUAL;
    return c;
}

int hf_sweep(struct hf_history *h, size_t budget, int64_t *out_removed, struct hf_error *error) {
    return library_wait_number(sweep(h, budget, false), out_removed, error);
}

int hf_sweep_async(struct hf_history *h, size_t budget, hf_done_fn done, void *ctx,
                   struct hf_error *error) {
    return library_start(sweep(h, budget, true), done, ctx, error);
}

/* --- the whole --- */

static int run_stats(struct library_call *c) {
    struct history_stats s;
    int rc = history_stats(c->h->history, &s, &c->err);
    if (rc == 0)
        *(struct hf_stats *)library_object(c) =
            (struct hf_stats){.sessions = s.sessions,
                              .events = s.events,
                              .payload_bytes = s.payload_bytes,
                              .appends = s.appends,
                              .appended_events = s.appended_events,
                              .flushes = s.flushes,
                              .syncs = s.syncs,
                              .queue_count = s.queue_count,
                              .queue_bytes = s.queue_bytes};
    return rc;
}

int hf_stats(struct hf_history *h, struct hf_stats **out, struct hf_error *error) {
    return library_wait(library_call_new(h, run_stats, sizeof **out, false), (void **)out, error);
}

int hf_stats_async(struct hf_history *h, hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(library_call_new(h, run_stats, sizeof(struct hf_stats), true), done, ctx,
                         error);
}

static int run_digest(struct library_call *c) {
    return history_digest(c->h->history, library_object(c), &c->err);
}

int hf_digest(struct hf_history *h, char **out, struct hf_error *error) {
    return library_wait(library_call_new(h, run_digest, HISTORY_DIGEST_LEN + 1, false),
                        (void **)out, error);
}

int hf_digest_async(struct hf_history *h, hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(library_call_new(h, run_digest, HISTORY_DIGEST_LEN + 1, true), done, ctx,
                         error);
}
