/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - what every adapter may rely on: calls are checked here before they reach it.
 *
 * Names and numbers are within their limits, missing ids and times are filled in, the digest of a
 * checkpoint is made when it is put and compared when it is got. */
#include "history/port.h"

#include "base/clock.h"
#include "history/watch.h"

static int check_name(str s, const char *what, bool may_be_empty, struct err *err) {
    if ((s.len == 0 && !may_be_empty) || s.len > HISTORY_NAME_BYTES_MAX)
        return err_set(err, ERR_INVALID, "%s: must have 1 to %d bytes", what,
                       HISTORY_NAME_BYTES_MAX);
    if (!str_is_utf8(s) || (s.len > 0 && memchr(s.p, 0, s.len)))
        return err_set(err, ERR_INVALID, "%s: must be UTF-8 without NUL", what);
    return 0;
}

static int check_key(const struct history_key *key, struct err *err) {
    int rc = check_name(key->owner, "owner", true, err);
    return rc < 0 ? rc : check_name(key->session, "session", false, err);
}

int history_append_check(const struct history_append *a, struct err *err) {
    if (a->count == 0 || a->count > HISTORY_APPEND_COUNT_MAX)
        return err_set(err, ERR_INVALID, "an append takes 1 to %d events",
                       HISTORY_APPEND_COUNT_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        int rc = i == 0 || a->sessions ? check_key(&key, err) : 0;
        if (rc == 0)
            rc = history_event_check(&a->events[i], err);
        if (rc < 0)
            return a->count == 1 ? rc : err_context(err, "event %zu", i);
        bytes += a->events[i].payload.len + a->events[i].headers.len;
    }
    return bytes > HISTORY_APPEND_BYTES_MAX
               ? err_set(err, ERR_TOO_LARGE, "an append takes %u bytes at most",
                         HISTORY_APPEND_BYTES_MAX)
               : 0;
}

void history_append_group(struct history *h, struct history_append *const *appends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        appends[i]->rc = 0;
        err_reset(&appends[i]->err);
    }
    h->vtable->append(h, appends, count);
}

static void tell_watches(struct history *h, const struct history_append *a) {
    for (size_t i = 0; h->watches && i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        if (a->sessions || i + 1 == a->count) /* to one session: the last number says all */
            history_watch_tell(h, &key, a->results[i].seq);
    }
}

int history_append(struct history *h, struct history_append *a, struct err *err) {
    a->rc = history_append_check(a, err);
    if (a->rc < 0)
        return a->rc;
    history_append_group(h, &a, 1);
    if (a->rc == 0)
        tell_watches(h, a);
    if (a->rc < 0 && err)
        *err = a->err;
    return a->rc;
}

int history_read(struct history *h, const struct history_range *range, struct arena *a,
                 struct history_page *out, struct err *err) {
    int rc = check_key(&range->key, err);
    if (rc < 0)
        return rc;
    if (range->limit == 0 || range->limit > HISTORY_PAGE_MAX)
        return err_set(err, ERR_INVALID, "limit: must be 1 to %d", HISTORY_PAGE_MAX);
    struct history_range r = *range;
    if (r.now_us == 0)
        r.now_us = clock_wall_us();
    return h->vtable->read(h, &r, a, out, err);
}

int history_wait(struct history *h, const struct history_key *key, int64_t after_seq,
                 int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    int rc = check_key(key, err);
    return rc < 0 ? rc : h->vtable->wait(h, key, after_seq, deadline_us, out_last_seq, err);
}

int history_checkpoint_put(struct history *h, const struct history_key *key,
                           struct history_checkpoint *c, struct arena *a, struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0 && c->label.p)
        rc = check_name(c->label, "label", false, err);
    if (rc < 0)
        return rc;
    if ((c->payload_kind != HISTORY_JSON && c->payload_kind != HISTORY_BYTES) || !c->payload.p)
        return err_set(err, ERR_INVALID, "payload: is required");
    if (c->payload.len > HISTORY_PAYLOAD_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "payload: at most %u bytes", HISTORY_PAYLOAD_BYTES_MAX);
    if (c->seq < 0)
        return err_set(err, ERR_INVALID, "seq: must not be negative");
    if (id_is_nil(c->id))
        c->id = id_v7();
    if (c->created_at == 0)
        c->created_at = clock_wall_us();
    hash_sha256(c->payload, c->digest);
    return h->vtable->checkpoint_put(h, key, c, a, err);
}

int history_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                           struct arena *a, struct history_checkpoint *out, struct err *err) {
    int rc = check_key(key, err);
    struct history_checkpoint c;
    if (rc == 0)
        rc = h->vtable->checkpoint_get(h, key, id, a, &c, err);
    if (rc < 0)
        return rc;
    unsigned char digest[HASH_SHA256_BYTES];
    hash_sha256(c.payload, digest);
    if (memcmp(digest, c.digest, sizeof digest) != 0)
        return err_set(err, ERR_CORRUPT, "the digest of a checkpoint does not fit");
    *out = c;
    return 0;
}

static int check_limit(size_t limit, struct err *err) {
    return limit > 0 && limit <= HISTORY_PAGE_MAX
               ? 0
               : err_set(err, ERR_INVALID, "limit: must be 1 to %d", HISTORY_PAGE_MAX);
}

int history_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                            size_t limit, struct arena *a, struct history_checkpoint **out,
                            size_t *out_count, struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0)
        rc = check_limit(limit, err);
    return rc < 0 ? rc
                  : h->vtable->checkpoint_list(h, key, after, limit, a, out, out_count, err);
}

int history_checkpoint_rollback(struct history *h, const struct history_key *key, struct id id,
                                struct err *err) {
    int rc = check_key(key, err);
    return rc < 0 ? rc : h->vtable->checkpoint_rollback(h, key, id, err);
}

int history_session_get(struct history *h, const struct history_key *key, struct arena *a,
                        struct history_session *out, struct err *err) {
    int rc = check_key(key, err);
    return rc < 0 ? rc : h->vtable->session_get(h, key, a, out, err);
}

int history_session_list(struct history *h, str owner, str after, size_t limit, struct arena *a,
                         struct history_session **out, size_t *out_count, struct err *err) {
    int rc = check_name(owner, "owner", true, err);
    if (rc == 0)
        rc = check_name(after, "after", true, err);
    if (rc == 0)
        rc = check_limit(limit, err);
    return rc < 0 ? rc : h->vtable->session_list(h, owner, after, limit, a, out, out_count, err);
}

int history_session_delete(struct history *h, const struct history_key *key, struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0)
        rc = h->vtable->session_delete(h, key, err);
    if (rc == 0)
        history_watch_tell_gone(h, key);
    return rc;
}

int history_retention_set(struct history *h, str owner, const struct history_retention *r,
                          struct err *err) {
    int rc = check_name(owner, "owner", true, err);
    if (rc == 0 && (r->age_ms_max < 0 || r->age_ms_max > HISTORY_TTL_MS_MAX || r->count_max < 0))
        rc = err_set(err, ERR_INVALID, "retention: must not be negative, nor over 100 years");
    return rc < 0 ? rc : h->vtable->retention_set(h, owner, r, err);
}

int history_retention_get(struct history *h, str owner, struct history_retention *out,
                          struct err *err) {
    int rc = check_name(owner, "owner", true, err);
    return rc < 0 ? rc : h->vtable->retention_get(h, owner, out, err);
}

int history_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                  struct err *err) {
    ASSERT(budget > 0);
    return h->vtable->sweep(h, now_us, budget, out_removed, err);
}

int history_consumer_ack(struct history *h, const struct history_key *key, str name, int64_t seq,
                         int64_t *out_acked_seq, struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0)
        rc = check_name(name, "consumer", false, err);
    if (rc == 0 && seq < 0)
        rc = err_set(err, ERR_INVALID, "seq: must not be negative");
    return rc < 0 ? rc : h->vtable->consumer_ack(h, key, name, seq, out_acked_seq, err);
}

int history_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                          struct history_consumer **out, size_t *out_count, struct err *err) {
    int rc = check_key(key, err);
    return rc < 0 ? rc : h->vtable->consumer_list(h, key, a, out, out_count, err);
}

int history_consumer_delete(struct history *h, const struct history_key *key, str name,
                            struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0)
        rc = check_name(name, "consumer", false, err);
    return rc < 0 ? rc : h->vtable->consumer_delete(h, key, name, err);
}

int history_stats(struct history *h, struct history_stats *out, struct err *err) {
    return h->vtable->stats(h, out, err);
}

const char *history_name(const struct history *h) { return h->vtable->name; }

void history_close(struct history *h) {
    if (!h)
        return;
    history_watches_free(h);
    h->vtable->close(h);
}
