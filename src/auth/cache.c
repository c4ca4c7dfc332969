/* SPDX-License-Identifier: Apache-2.0 */
/* cache.c - a hash map of entries and a list in the order of their use.
 *
 * Invariants: an entry is in both or in neither; the count never passes count_max; an entry that
 * has ended is taken out by the look-up that meets it, others by newer ones. */
#include "auth/cache.h"

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

#define US_PER_S 1000000

struct entry {
    struct list node; /* first: used longest ago */
    struct auth_digest key;
    struct auth_cached value; /* text points behind the entry */
    int64_t until_us;         /* monotonic */
    char bytes[];
};
struct auth_cache {
    struct map map;
    struct list uses;
    size_t count_max;
    int64_t ttl_us;
};

struct auth_cache *auth_cache_new(size_t count_max, int64_t ttl_us) {
    struct auth_cache *c = NEW(struct auth_cache);
    map_init(&c->map);
    list_init(&c->uses);
    c->count_max = count_max;
    c->ttl_us = ttl_us;
    return c;
}

static void drop(struct auth_cache *c, struct entry *e) {
    (void)map_remove(&c->map, auth_digest_view(&e->key)); /* it is e */
    list_remove(&e->node);
    mem_free(e);
}

void auth_cache_clear(struct auth_cache *c) {
    for (struct list *n; (n = list_first(&c->uses)) != NULL;)
        drop(c, LIST_ENTRY(n, struct entry, node));
}

void auth_cache_free(struct auth_cache *c) {
    if (!c)
        return;
    auth_cache_clear(c);
    map_deinit(&c->map);
    mem_free(c);
}

static bool has_ended(int64_t expires_s, int64_t wall_us) {
    return expires_s > 0 && wall_us >= expires_s * US_PER_S;
}

bool auth_cache_get(struct auth_cache *c, const struct auth_digest *key, struct auth_times now,
                    struct arena *a, struct auth_cached *out) {
    struct entry *e = map_get(&c->map, auth_digest_view(key));
    if (!e)
        return false;
    if (now.mono_us >= e->until_us || has_ended(e->value.expires_s, now.wall_us)) {
        drop(c, e);
        return false;
    }
    list_remove(&e->node);
    list_push_back(&c->uses, &e->node);
    *out = e->value;
    out->text = arena_dup(a, e->value.text);
    return true;
}

void auth_cache_put(struct auth_cache *c, const struct auth_digest *key, struct auth_times now,
                    const struct auth_cached *value) {
    struct entry *old = map_get(&c->map, auth_digest_view(key));
    if (old)
        drop(c, old);
    if (c->ttl_us <= 0 || c->count_max == 0 || has_ended(value->expires_s, now.wall_us))
        return;
    if (c->map.count >= c->count_max)
        drop(c, LIST_ENTRY(list_first(&c->uses), struct entry, node));
    struct entry *e = mem_alloc(sizeof(*e) + value->text.len + 1);
    *e = (struct entry){.key = *key, .value = *value, .until_us = now.mono_us + c->ttl_us};
    if (value->text.len)
        memcpy(e->bytes, value->text.p, value->text.len);
    e->bytes[value->text.len] = '\0';
    e->value.text = str_n(e->bytes, value->text.len);
    (void)map_put(&c->map, auth_digest_view(&e->key), e); /* the old one is gone */
    list_push_back(&c->uses, &e->node);
}

size_t auth_cache_count(const struct auth_cache *c) { return c->map.count; }
