/* SPDX-License-Identifier: Apache-2.0 */
/* turns.c - turns of steps: limits, and who is next.
 *
 *   ready steps of a plan, by tool ─▶ its owner's queue of each tool ─▶ the process
 *     max of the plan                 max of the owner                  max of the tool, of all
 *
 * An owner that waits for a tool has a place in that tool's line: from when it began to wait, or
 * was last served. The first in line, of tools with a turn to give, is served: of its plans' ready
 * steps the one of highest priority, then of the plan that was served longest ago. So between two
 * turns of one owner every other one that waits for the same tool gets one, however many steps
 * anybody has; and who waits for a tool at its limit stands in no other's way. Of the last turn
 * that the process has owners are one line, whatever they wait for, so that many tools are no more
 * turns. Inside of an owner priority decides, and nothing else.
 *
 * Nobody is looked for when no tool that has a turn is waited for. Else all owners that wait are
 * gone through: as many as have steps which the limits hold up. */
#include "plans/turns.h"

#include "base/err.h"
#include "base/mem.h"

struct turns_owner {
    str name; /* heap */
    size_t plans, count;
    struct list node;   /* among those that wait */
    struct list asking; /* its plans that could take a turn */
    uint32_t mask;      /* tools that these have steps for */
    size_t showing[TURN_TOOLS]; /* plans, by tool */
    int64_t place[TURN_TOOLS];  /* in the line of the tool */
    int64_t turn;               /* in that of the process */
};

static bool is_full(size_t count, size_t max) { return max > 0 && count >= max; }

void turns_init(struct turns *t, const struct turns_limits *limits,
                const struct turns_hooks *hooks) {
    *t = (struct turns){.limits = *limits, .hooks = hooks};
    map_init(&t->owners);
    list_init(&t->waiting);
}

void turns_deinit(struct turns *t) { map_deinit(&t->owners); }

/* --- what waits --- */

/* Tells the owner what the plan could take turns for now. */
static void show(struct turns_plan *p) {
    struct turns *t = p->turns;
    struct turns_owner *o = p->owner;
    if (!t)
        return;
    uint32_t now = p->count < p->max ? p->waiting : 0;
    for (size_t i = 0; i < TURN_TOOLS && p->shown != now; i++) {
        uint32_t bit = UINT32_C(1) << i;
        if ((p->shown & bit) == (now & bit))
            continue;
        if (now & bit) {
            if (o->showing[i]++ == 0) {
                o->mask |= bit;
                o->place[i] = ++t->seq;
                t->asking[i]++;
            }
        } else if (--o->showing[i] == 0) {
            o->mask &= ~bit;
            t->asking[i]--;
        }
        p->shown ^= bit;
    }
    if (now && !list_linked(&p->node))
        list_push_back(&o->asking, &p->node);
    else if (!now && list_linked(&p->node))
        list_remove(&p->node);
    if (o->mask && !list_linked(&o->node)) {
        list_push_back(&t->waiting, &o->node);
        o->turn = ++t->seq;
    } else if (!o->mask && list_linked(&o->node)) {
        list_remove(&o->node);
    }
}

void turns_join(struct turns *t, struct turns_plan *p, str owner, size_t max) {
    struct turns_owner *o = map_get(&t->owners, owner);
    if (!o) {
        o = NEW(struct turns_owner);
        o->name = str_n(mem_dup(owner.p ? owner.p : "", owner.len), owner.len);
        list_init(&o->asking);
        map_put(&t->owners, o->name, o);
    }
    o->plans++;
    p->turns = t;
    p->owner = o;
    p->max = max;
    show(p);
}

void turns_close(struct turns_plan *p) {
    p->max = 0;
    show(p);
}

void turns_push(struct turns_plan *p, size_t tool, int64_t rank, uint32_t position) {
    step_heap_push(&p->ready[tool], rank, position);
    p->waiting |= UINT32_C(1) << tool;
    show(p);
}

/* The first that is still to be executed; NULL: there is none any more. */
static const struct step_heap_item *first(struct turns_plan *p, size_t tool) {
    const struct step_heap_item *item;
    struct step_heap_item gone;
    while ((item = step_heap_first(&p->ready[tool])) != NULL) {
        if (!p->turns || p->turns->hooks->wanted(p, item->position))
            return item;
        (void)step_heap_pop(&p->ready[tool], &gone);
    }
    p->waiting &= ~(UINT32_C(1) << tool);
    return NULL;
}

size_t turns_ready(const struct turns_plan *p) {
    size_t count = turns_given(p);
    for (size_t i = 0; i < TURN_TOOLS; i++)
        count += p->ready[i].items.count;
    return count;
}

bool turns_busy(struct turns_plan *p) {
    bool busy = turns_given(p) > 0;
    for (size_t i = 0; i < TURN_TOOLS && !busy; i++)
        busy = first(p, i) != NULL;
    show(p);
    return busy;
}

/* --- giving --- */

/* Tools that have a turn to give, and are waited for. */
static uint32_t open_tools(const struct turns *t) {
    uint32_t open = 0;
    if (is_full(t->count, t->limits.process_max))
        return 0;
    for (size_t i = 0; i < TURN_TOOLS; i++)
        if (t->asking[i] && !is_full(t->tool_count[i], t->limits.tool_max[i]))
            open |= UINT32_C(1) << i;
    return open;
}

struct choice {
    struct turns_owner *owner;
    int64_t *line; /* its place in the line that it is the first of */
};

static bool choose_owner(const struct turns *t, uint32_t open, struct choice *out) {
    int64_t best = INT64_MAX;
    bool last = is_full(t->count + 1, t->limits.process_max);
    for (struct list *n = t->waiting.next; n != &t->waiting; n = n->next) {
        struct turns_owner *o = CONTAINER_OF(n, struct turns_owner, node);
        uint32_t mask = o->mask & open;
        if (!mask || is_full(o->count, t->limits.owner_max))
            continue;
        for (size_t i = 0; mask >> i; i++) {
            int64_t *place = last ? &o->turn : &o->place[i];
            if ((mask >> i & 1) && *place < best) {
                best = *place;
                *out = (struct choice){o, place};
            }
        }
    }
    return best < INT64_MAX;
}

struct found {
    struct turns_plan *plan;
    size_t tool;
    int64_t rank;
};

static bool goes_before(const struct turns_plan *p, int64_t rank, const struct found *than) {
    if (!than->plan)
        return true;
    if (p == than->plan)
        return rank < than->rank;
    int64_t mine = rank >> 32, its = than->rank >> 32;
    return mine != its ? mine < its : p->served < than->plan->served;
}

/* False: what waited was not to be executed any more. */
static bool choose_step(struct turns_owner *o, uint32_t open, struct found *out) {
    *out = (struct found){0};
    for (struct list *n = o->asking.next, *next; n != &o->asking; n = next) {
        struct turns_plan *p = CONTAINER_OF(n, struct turns_plan, node);
        uint32_t mask = p->shown & open;
        next = n->next;
        for (size_t i = 0; mask >> i; i++) {
            const struct step_heap_item *item = mask >> i & 1 ? first(p, i) : NULL;
            if (item && goes_before(p, item->rank, out))
                *out = (struct found){p, i, item->rank};
        }
        show(p); /* may unlink it */
    }
    return out->plan != NULL;
}

static void give(struct turns *t, const struct found *f) {
    struct turns_plan *p = f->plan;
    struct step_heap_item item;
    bool some = step_heap_pop(&p->ready[f->tool], &item);
    ASSERT(some);
    (void)first(p, f->tool);
    if (p->given_at == p->given.count)
        p->given_at = p->given.count = 0;
    vec_push(&p->given, item.position);
    t->count++;
    t->tool_count[f->tool]++;
    p->owner->count++;
    p->owner->turn = p->owner->place[f->tool] = ++t->seq;
    p->count++;
    p->served = t->seq;
    show(p);
    t->hooks->given(p);
}

void turns_give(struct turns *t) {
    struct choice c;
    struct found f;
    for (;;) {
        uint32_t open = open_tools(t);
        if (!open || !choose_owner(t, open, &c))
            return;
        if (!choose_step(c.owner, open, &f))
            continue; /* nothing is shown of it any more */
        *c.line = ++t->seq;
        give(t, &f);
    }
}

bool turns_take(struct turns_plan *p, uint32_t *out) {
    if (!turns_given(p))
        return false;
    *out = p->given.p[p->given_at++];
    return true;
}

static void count_back(struct turns_plan *p, size_t tool) {
    struct turns *t = p->turns;
    ASSERT(t->count && t->tool_count[tool] && p->owner->count && p->count);
    t->count--;
    t->tool_count[tool]--;
    p->owner->count--;
    p->count--;
}

void turns_back(struct turns_plan *p, size_t tool) {
    count_back(p, tool);
    show(p);
}

void turns_leave(struct turns_plan *p) {
    struct turns *t = p->turns;
    struct turns_owner *o = p->owner;
    if (t) {
        ASSERT(p->count == 0);
        p->waiting = 0;
        show(p);
        p->turns = NULL;
        p->owner = NULL;
        if (--o->plans == 0) {
            map_remove(&t->owners, o->name);
            mem_free((void *)o->name.p);
            mem_free(o);
        }
    }
    for (size_t i = 0; i < TURN_TOOLS; i++)
        step_heap_deinit(&p->ready[i]);
    vec_deinit(&p->given);
}
