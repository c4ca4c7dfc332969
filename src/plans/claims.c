/* SPDX-License-Identifier: Apache-2.0 */
/* claims.c - how many leases a claim may take, when owners or queues have limits.
 *
 * Leases are counted in the database, so a limit is one of all processes. Claims that have one
 * are looked at one after the other in this process; those that two processes answer in the same
 * moment can both take what was left, so that up to a claim's worth too many are out then.
 *
 * Of a queue at its limit owners are served in turn: who was served last, or came last, leaves
 * what is free to the others who wait for it here, one each. Who waits holds nothing, and is only
 * counted while the request that waits is there. */
#include "plans/plans_int.h"

#define SERVED_MAX 10000 /* owners and queues whose turn is remembered while nobody waits */

struct claim_owner {
    str key; /* heap: queue, line break, owner */
    int64_t turn;
    int64_t seen; /* by the look of this number */
};

static void forget(struct plans *p) {
    size_t at = 0;
    void *value;
    str key;
    while (map_next(&p->claims.owners, &at, &key, &value)) {
        struct claim_owner *o = value;
        mem_free((void *)o->key.p);
        mem_free(o);
    }
    map_deinit(&p->claims.owners);
    map_init(&p->claims.owners);
}

void claims_init(struct plans *p) {
    map_init(&p->claims.owners);
    list_init(&p->claims.waiting);
    fiber_event_init(&p->claims.idle);
}

void claims_deinit(struct plans *p) {
    forget(p);
    map_deinit(&p->claims.owners);
}

bool claims_limited(const struct plans *p, str queue) {
    return p->o.owner_max || plans_queue_max(p, queue);
}

/* --- whose turn it is --- */

static void put_last(struct plans *p, struct arena *a, struct claim_wait *w) {
    struct claims *c = &p->claims;
    str key = arena_printf(a, STR_FMT "\n" STR_FMT, STR_ARG(w->queue), STR_ARG(w->owner));
    struct claim_owner *o = map_get(&c->owners, key);
    if (!o && c->owners.count >= SERVED_MAX && list_empty(&c->waiting))
        forget(p);
    if (!o) {
        o = NEW(struct claim_owner);
        o->key = str_n(mem_dup(key.p, key.len), key.len);
        map_put(&c->owners, o->key, o);
    }
    o->turn = ++c->seq;
}

static struct claim_owner *owner_of(const struct plans *p, struct arena *a,
                                    const struct claim_wait *w) {
    return map_get(&p->claims.owners,
                   arena_printf(a, STR_FMT "\n" STR_FMT, STR_ARG(w->queue), STR_ARG(w->owner)));
}

/* Owners who wait for the queue and go before this one. */
static int64_t others_before(struct plans *p, struct arena *a, const struct claim_wait *me) {
    const struct claim_owner *mine = owner_of(p, a, me);
    int64_t look = ++p->claims.looks, count = 0;
    for (struct list *n = p->claims.waiting.next; n != &p->claims.waiting; n = n->next) {
        const struct claim_wait *w = CONTAINER_OF(n, struct claim_wait, node);
        struct claim_owner *o = w->at;
        if (o == mine || o->seen == look || !str_eq(w->queue, me->queue))
            continue;
        o->seen = look;
        count += !mine || o->turn < mine->turn;
    }
    return count;
}

/* --- claims --- */

int claims_begin(struct plans *p, struct err *err) {
    while (p->claims.busy) {
        int rc = fiber_event_wait(&p->claims.idle, FIBER_NO_DEADLINE);
        if (rc < 0 && !p->claims.busy) /* the turn may have been this one's */
            fiber_event_wake_one(&p->claims.idle);
        if (rc < 0)
            return err_set(err, rc, "the claim was cancelled");
    }
    p->claims.busy = true;
    return 0;
}

void claims_end(struct plans *p) {
    p->claims.busy = false;
    fiber_event_wake_one(&p->claims.idle);
}

int claims_room(struct plans *p, const struct principal *who, struct claim_wait *w, struct arena *a,
                int64_t *limit, struct err *err) {
    struct work_leased leased;
    int64_t of_owner = (int64_t)p->o.owner_max, of_queue = (int64_t)plans_queue_max(p, w->queue);
    int64_t most = of_owner > of_queue ? of_owner : of_queue;
    int rc = work_leased(p->store, who, w->queue, most, a, &leased, err);
    if (rc < 0)
        return rc;
    if (of_owner && *limit > of_owner - leased.of_owner)
        *limit = of_owner - leased.of_owner;
    w->held_up = w->yields = false;
    if (!of_queue || *limit <= 0)
        return 0;
    int64_t left = of_queue - leased.of_queue;
    int64_t mine = left > 0 ? left - others_before(p, a, w) : 0;
    if (mine < *limit)
        *limit = mine;
    w->held_up = mine <= 0;
    w->yields = left > 0 && mine <= 0;
    return 0;
}

void claims_served(struct plans *p, struct arena *a, struct claim_wait *w) {
    if (plans_queue_max(p, w->queue))
        put_last(p, a, w);
}

void claims_wait(struct plans *p, struct arena *a, struct claim_wait *w) {
    if (!w->held_up)
        return;
    w->at = owner_of(p, a, w);
    if (!w->at) {
        put_last(p, a, w);
        w->at = owner_of(p, a, w);
    }
    list_push_back(&p->claims.waiting, &w->node);
    if (w->yields && !w->waited) /* who goes before may not know that there is something */
        fiber_event_wake_all(&p->work_wake);
    w->waited = true;
}

void claims_waited(struct claim_wait *w) {
    if (list_linked(&w->node))
        list_remove(&w->node);
}
