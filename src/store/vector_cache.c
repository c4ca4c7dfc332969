/* SPDX-License-Identifier: Apache-2.0 */
/* vector_cache.c - vectors of store items in memory, bounded by bytes.
 *
 * An id stands for one vector for good (migration item_vectors), so nothing here can be out of
 * date: what a query has to look at, the database says. The one used longest ago goes first; pinned
 * ones stay, so the bound is passed by what one step of a query pins. */
#include "base/map.h"
#include "base/mem.h"
#include "base/vector.h"
#include "store/items_int.h"

struct vector_cache {
    struct map by_id; /* key: the id's bytes, inside the vector */
    struct list recent;
    size_t bytes, bytes_max, dims;
};

static str key_of(const int64_t *id) { return str_n((const char *)id, sizeof(*id)); }

static size_t bytes_of(size_t dims) { return sizeof(struct cached_vector) + dims * sizeof(float); }

struct vector_cache *vector_cache_new(size_t bytes_max) {
    struct vector_cache *c = NEW(struct vector_cache);
    map_init(&c->by_id);
    list_init(&c->recent);
    c->bytes_max = bytes_max;
    return c;
}

static void drop(struct vector_cache *c, struct cached_vector *v) {
    ASSERT(v->pins == 0);
    (void)map_remove(&c->by_id, key_of(&v->id)); /* it is v */
    list_remove(&v->recent);
    c->bytes -= bytes_of(c->dims);
    mem_free(v);
}

static void shrink(struct vector_cache *c) {
    LIST_EACH (&c->recent, n) {
        struct cached_vector *v = LIST_ENTRY(n, struct cached_vector, recent);
        if (c->bytes <= c->bytes_max)
            break;
        if (v->pins == 0)
            drop(c, v);
    }
}

void vector_cache_free(struct vector_cache *c) {
    if (!c)
        return;
    c->bytes_max = 0;
    shrink(c);
    ASSERT(c->by_id.count == 0);
    map_deinit(&c->by_id);
    mem_free(c);
}

struct cached_vector *vector_cache_pin(struct vector_cache *c, int64_t id) {
    struct cached_vector *v = map_get(&c->by_id, key_of(&id));
    if (!v)
        return NULL;
    v->pins++;
    list_remove(&v->recent);
    list_push_back(&c->recent, &v->recent);
    return v;
}

struct cached_vector *vector_cache_add(struct vector_cache *c, int64_t id, str bytes) {
    struct cached_vector *v = vector_cache_pin(c, id); /* another query may have been faster */
    if (v)
        return v;
    size_t dims = bytes.len / sizeof(float);
    ASSERT(c->dims == 0 || c->dims == dims);
    c->dims = dims;
    v = mem_alloc(bytes_of(dims));
    v->id = id;
    v->pins = 1;
    memcpy(v->v, bytes.p, dims * sizeof(float));
    v->length = vector_length(v->v, dims);
    (void)map_put(&c->by_id, key_of(&v->id), v); /* it was not there */
    list_push_back(&c->recent, &v->recent);
    c->bytes += bytes_of(dims);
    return v;
}

void vector_cache_unpin(struct vector_cache *c, struct cached_vector *v) {
    ASSERT(v->pins > 0);
    v->pins--;
    if (c->bytes > c->bytes_max)
        shrink(c);
}
