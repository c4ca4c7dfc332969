/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - one digest over everything that a history holds, read through its port.
 *
 * A chain: each thing's digest goes into the next. Owners, sessions and consumers come in the order
 * of their names, events by number, checkpoints newest first. Times of storing are left out, so
 * that a copy has the digest of its source. */
#include "base/hex.h"
#include "history/port.h"

struct chain {
    struct history *h;
    struct buf b; /* the digest so far, and what comes next */
};

static void add_text(struct chain *c, str s) {
    uint64_t len = s.p ? s.len + 1 : 0;
    buf_append(&c->b, &len, sizeof len);
    buf_str(&c->b, s);
}

static void add_number(struct chain *c, int64_t v) { buf_append(&c->b, &v, sizeof v); }

static void fold(struct chain *c) {
    unsigned char digest[HASH_XXH3_BYTES];
    ASSERT(buf_ok(&c->b));
    hash_xxh3(buf_view(&c->b), digest);
    buf_reset(&c->b);
    buf_append(&c->b, digest, sizeof digest);
}

static int add_events(struct chain *c, const struct history_key *key, struct err *err) {
    struct history_range range = HISTORY_RANGE_ALL(*key);
    struct history_page page;
    range.now_us = INT64_MIN; /* also those past their time, as long as they are there */
    do {
        struct arena a;
        arena_init(&a, 2 * HISTORY_PAYLOAD_BYTES_MAX + 4 * HISTORY_PAGE_BYTES_MAX);
        int rc = history_read(c->h, &range, &a, &page, err);
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            const struct history_event *e = &page.events[i];
            unsigned char digest[HASH_XXH3_BYTES];
            history_event_digest(e, digest);
            add_number(c, e->seq);
            add_text(c, e->id);
            buf_append(&c->b, digest, sizeof digest);
            fold(c);
            range.seq_min = e->seq + 1;
        }
        arena_deinit(&a);
        if (rc < 0)
            return rc;
    } while (page.more);
    return 0;
}

static int add_checkpoints(struct chain *c, const struct history_key *key, struct err *err) {
    struct arena a;
    struct history_checkpoint *list, latest = {0};
    size_t count;
    arena_init(&a, 4 * HISTORY_PAYLOAD_BYTES_MAX);
    int rc = history_checkpoint_list(c->h, key, ID_NIL, HISTORY_PAGE_MAX, &a, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        buf_append(&c->b, list[i].id.b, sizeof list[i].id.b);
        buf_append(&c->b, list[i].parent.b, sizeof list[i].parent.b);
        add_text(c, list[i].label);
        add_number(c, list[i].seq);
        add_number(c, list[i].payload_kind);
        buf_append(&c->b, list[i].digest, sizeof list[i].digest);
        fold(c);
    }
    if (rc == 0 && count > 0)
        rc = history_checkpoint_get(c->h, key, ID_NIL, &a, &latest, err);
    buf_append(&c->b, latest.id.b, sizeof latest.id.b);
    arena_deinit(&a);
    return rc;
}

static int add_consumers(struct chain *c, const struct history_key *key, struct err *err) {
    struct arena a;
    struct history_consumer *list;
    size_t count;
    arena_init(&a, HISTORY_PAGE_BYTES_MAX);
    int rc = history_consumer_list(c->h, key, &a, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        add_text(c, list[i].name);
        add_number(c, list[i].acked_seq);
        fold(c);
    }
    arena_deinit(&a);
    return rc;
}

static int add_session(struct chain *c, str owner, const struct history_session *s,
                       struct err *err) {
    struct history_key key = {owner, s->name};
    add_text(c, owner);
    add_text(c, s->name);
    add_number(c, s->last_seq);
    fold(c);
    int rc = add_events(c, &key, err);
    if (rc == 0)
        rc = add_checkpoints(c, &key, err);
    return rc < 0 ? rc : add_consumers(c, &key, err);
}

static int add_owner(struct chain *c, str owner, struct err *err) {
    char last[HISTORY_NAME_BYTES_MAX];
    str after = STR("");
    size_t count;
    do {
        struct arena a;
        struct history_session *list;
        arena_init(&a, HISTORY_PAGE_BYTES_MAX);
        int rc = history_session_list(c->h, owner, after, HISTORY_PAGE_MAX, &a, &list, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = add_session(c, owner, &list[i], err);
        if (rc == 0 && count > 0) {
            memcpy(last, list[count - 1].name.p, list[count - 1].name.len);
            after = str_n(last, list[count - 1].name.len);
        }
        arena_deinit(&a);
        if (rc < 0)
            return rc;
    } while (count == HISTORY_PAGE_MAX);
    return 0;
}

int history_digest(struct history *h, char out[HISTORY_DIGEST_LEN + 1], struct err *err) {
    struct chain c = {.h = h};
    struct arena a;
    str after = STR_NULL, *owners;
    size_t count;
    int rc;
    buf_init(&c.b, 1u << 20);
    arena_init(&a, 64u << 20);
    do {
        rc = h->vtable->owner_list(h, after, HISTORY_PAGE_MAX, &a, &owners, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = add_owner(&c, owners[i], err);
        if (rc == 0 && count > 0)
            after = owners[count - 1];
    } while (rc == 0 && count == HISTORY_PAGE_MAX);
    if (rc == 0) {
        fold(&c);
        hex_write(c.b.p, HASH_XXH3_BYTES, out);
        out[HISTORY_DIGEST_LEN] = 0;
    }
    buf_deinit(&c.b);
    arena_deinit(&a);
    return rc;
}
