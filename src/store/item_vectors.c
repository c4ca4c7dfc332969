/* SPDX-License-Identifier: Apache-2.0 */
/* item_vectors.c - search of the long-term store by meaning.
 *
 * Putting: each place of an item that queries look at becomes a vector before the item is stored,
 * and is stored with it. A query becomes a vector, too; then
 *
 *   ids of the vectors within namespace, filter and life    ◀── the database
 *     (more than scan_max: those near the query, by the database's index)
 *   in steps: those that are not in memory are read, the rest is there; cosines on a thread of the
 *   pool; nothing of a step stays pinned
 *   the best ones' items, each once, by its best vector     ◀── the database
 *
 * So the search is exact up to scan_max vectors, and what one may see is decided as in lists. Past
 * it the index says what is near, where there is one (scores are counted here all the same), and
 * else the query is refused. The model's name stands with each vector: those of another model are
 * not compared. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vector.h"
#include "model/item_path.h"
#include "rt/worker.h"
#include "store/items_int.h"

#define STEP_COUNT     2048
#define LOAD_COUNT     256
#define FETCH_MIN      32
#define FETCH_MAX      1000
#define LOAD_BYTES_MAX ((size_t)256 << 20)
#define NEAR_TIMES     4 /* as many vectors as items are wanted: an item may have several */
#define NEAR_MIN       200

/* --- putting --- */

static size_t places_of(const struct item_embedder *e, const struct item_change *c, struct arena *a,
                        struct item_places *places, struct err *err) {
    yyjson_val *root;
    const str *paths = c->path_count ? c->paths : e->paths;
    size_t path_count = c->path_count ? c->path_count : e->path_count;
    places->count = 0;
    if (c->unindexed || json_parse(a, c->value, &root, err) < 0)
        return 0;
    for (size_t i = 0; i < path_count; i++)
        item_path_select(a, root, paths[i], places);
    return places->count;
}

int item_vectors_make(struct store *s, struct item_change *list, size_t count, struct arena *a,
                      struct err *err) {
    const struct item_embedder *e = s->items.embedder;
    struct item_places *places = ARENA_NEW(a, struct item_places);
    VEC(str) texts = {0};
    for (size_t i = 0; i < count; i++) {
        struct item_change *c = &list[i];
        c->vector_count = places_of(e, c, a, places, err);
        c->vectors = ARENA_ARRAY(a, struct item_vector, c->vector_count + 1);
        for (size_t k = 0; k < c->vector_count; k++) {
            c->vectors[k].field = places->list[k].name;
            vec_push(&texts, item_place_text(a, places->list[k].value));
        }
    }
    float *made = NULL;
    int rc = texts.count > 0 ? e->embed(e->ctx, texts.p, texts.count, a, &made, err) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        for (size_t k = 0; k < list[i].vector_count; k++, made += e->dims)
            list[i].vectors[k].v = made;
    vec_deinit(&texts);
    return rc;
}

void item_vectors_add(const struct store *s, const struct principal *who,
                      const struct item_change *c, int64_t now_us, struct db_batch *b) {
    const struct item_embedder *e = s->items.embedder;
    db_batch_add(b, SQL_ITEM_VECTOR_DROP,
                 DB_PARAMS(DB_T(who->owner), DB_T(c->name_space), DB_T(c->key)), DB_EXPECT_NONE);
    for (size_t i = 0; i < c->vector_count; i++) {
        bool again = false; /* two paths may lead to one name */
        for (size_t k = 0; k < i; k++)
            again = again || str_eq(c->vectors[k].field, c->vectors[i].field);
        if (!again)
            db_batch_add(
                b, SQL_ITEM_VECTOR_PUT,
                DB_PARAMS(DB_T(who->owner), DB_T(c->name_space), DB_T(c->key),
                          DB_T(c->vectors[i].field), DB_T(e->model),
                          DB_B(str_n((const char *)c->vectors[i].v, e->dims * sizeof(float))),
                          DB_I(now_us)),
                DB_EXPECT_NONE);
    }
}

/* --- looking --- */

struct hit {
    int64_t id;
    float score;
};

/* Items, best first, each once. */
struct found {
    struct item *items;
    size_t count;
    struct map seen; /* by namespace, key and owner */
};

struct search {
    struct store *s;
    const struct item_embedder *e;
    const struct principal *who;
    struct hit *hits;
    size_t count;
};

/* On a thread of the pool: of a step, whose vectors are pinned. */
struct step {
    const float *query;
    float query_length;
    size_t dims, count;
    struct cached_vector *vectors[STEP_COUNT]; /* NULL: gone meanwhile */
    struct hit *hits;
};

static void step_score(void *arg) {
    struct step *t = arg;
    vector_dot_fn dot = vector_dot_best();
    for (size_t i = 0; i < t->count; i++) {
        const struct cached_vector *v = t->vectors[i];
        float lengths = v ? v->length * t->query_length : 0;
        t->hits[i].score = lengths > 0 ? dot(t->query, v->v, t->dims) / lengths : 0;
    }
}

static str ids_text(struct arena *a, const int64_t *ids, size_t count) {
    struct buf b;
    buf_init(&b, 32 * (count + 1));
    buf_char(&b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_char(&b, ',');
        buf_i64(&b, ids[i]);
    }
    buf_char(&b, ']');
    return arena_take(a, &b);
}

/* Reads vectors that are not in memory; the places of those that are gone stay NULL. */
static int load(struct search *f, struct step *t, const int64_t *ids, const size_t *at,
                size_t count, struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, LOAD_BYTES_MAX);
    int rc = db_read(f->s->db, f->who->all ? SQL_ITEM_VECTOR_LOAD_ALL : SQL_ITEM_VECTOR_LOAD_MINE,
                     DB_PARAMS(DB_T(principal_owner_low(f->who)), DB_T(ids_text(&a, ids, count))),
                     &a, &rows, err);
    for (size_t r = 0; rc == 0 && r < rows.row_count; r++)
        for (size_t i = 0; i < count; i++)
            if (ids[i] == db_int(&rows, r, 0) && !t->vectors[at[i]] &&
                db_str(&rows, r, 1).len == f->e->dims * sizeof(float))
                t->vectors[at[i]] = vector_cache_add(f->e->cache, ids[i], db_str(&rows, r, 1));
    arena_deinit(&a);
    return rc;
}

static int step_run(struct search *f, struct step *t, struct err *err) {
    int64_t missing[LOAD_COUNT];
    size_t places[LOAD_COUNT], n = 0;
    int rc = 0;
    for (size_t i = 0; i < t->count; i++)
        t->vectors[i] = vector_cache_pin(f->e->cache, t->hits[i].id);
    for (size_t i = 0; rc == 0 && i < t->count; i++) {
        if (!t->vectors[i]) {
            missing[n] = t->hits[i].id;
            places[n++] = i;
        }
        if (n == LOAD_COUNT || (n > 0 && i + 1 == t->count)) {
            rc = load(f, t, missing, places, n, err);
            n = 0;
        }
    }
    if (rc == 0 && rt_offload(f->e->rt, step_score, t) < 0)
        rc = err_set(err, ERR_LIMIT, "too much is computed at the moment");
    for (size_t i = 0; i < t->count; i++)
        if (t->vectors[i])
            vector_cache_unpin(f->e->cache, t->vectors[i]);
    return rc;
}

static int by_score(const void *a, const void *b) {
    const struct hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->id < y->id) - (x->id > y->id); /* the newer one first */
}

static int score_all(struct search *f, const float *query, struct err *err) {
    struct step *t = NEW(struct step);
    int rc = 0;
    t->query = query;
    t->dims = f->e->dims;
    t->query_length = vector_length(query, t->dims);
    for (size_t at = 0; rc == 0 && at < f->count; at += STEP_COUNT) {
        t->hits = f->hits + at;
        t->count = f->count - at < STEP_COUNT ? f->count - at : STEP_COUNT;
        rc = step_run(f, t, err);
    }
    mem_free(t);
    if (rc == 0 && f->count > 1)
        qsort(f->hits, f->count, sizeof(*f->hits), by_score);
    return rc;
}

static void take_hits(struct search *f, const struct db_rows *rows, struct arena *a) {
    f->hits = ARENA_ARRAY(a, struct hit, rows->row_count + 1);
    f->count = rows->row_count;
    for (size_t i = 0; i < f->count; i++)
        f->hits[i].id = db_int(rows, i, 0);
}

/* What a query may look at: the parameters that both statements below begin with. */
struct bounds {
    struct label_range range;
    str filter;
    int64_t now_us;
};
#define BOUNDS(f, b)                                                                             \
    DB_T(principal_owner_low((f)->who)), DB_T((b)->range.from), DB_T((b)->range.below),          \
        DB_T((b)->range.inside), DB_I((b)->now_us), DB_T((b)->filter), DB_T((f)->e->model)

/* *out_more: there are more than may be looked at, and none was taken. */
static int read_ids(struct search *f, const struct bounds *b, bool *out_more, struct arena *a,
                    struct err *err) {
    struct db_rows rows;
    int rc = db_read(f->s->db, f->who->all ? SQL_ITEM_VECTOR_IDS_ALL : SQL_ITEM_VECTOR_IDS_MINE,
                     DB_PARAMS(BOUNDS(f, b), DB_I((int64_t)f->e->scan_max + 1)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out_more = rows.row_count > f->e->scan_max;
    if (!*out_more)
        take_hits(f, &rows, a);
    return 0;
}

/* want: items. What the index finds; too few are as bad as none. */
static int read_near(struct search *f, const struct bounds *b, const float *query, size_t want,
                     struct arena *a, struct err *err) {
    struct db_rows rows = {0};
    size_t count = want * NEAR_TIMES > NEAR_MIN ? want * NEAR_TIMES : NEAR_MIN;
    if (count > f->e->scan_max)
        count = f->e->scan_max;
    str vector = str_n((const char *)query, f->e->dims * sizeof(float));
    int rc = 0;
    if (f->s->shared)
        rc = db_read(f->s->db,
                     f->who->all ? SQL_ITEM_VECTOR_NEAR_ALL : SQL_ITEM_VECTOR_NEAR_MINE,
                     DB_PARAMS(BOUNDS(f, b), DB_B(vector), DB_I((int64_t)count)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count < want)
        return err_set(err, ERR_INVALID,
                       "query: there are more than %zu vectors in this namespace%s; a longer "
                       "namespace_prefix or a filter narrows it",
                       f->e->scan_max,
                       rows.row_count > 0 ? ", and their index finds too few" : "");
    take_hits(f, &rows, a);
    return 0;
}

/* The rows of some hits, in the order of the hits, appended; an item that is there already is not
 * appended again. */
static int fetch(struct search *f, size_t from, size_t to, struct arena *a, struct found *out,
                 struct err *err) {
    struct db_rows rows;
    int64_t *ids = ARENA_ARRAY(a, int64_t, to - from + 1);
    for (size_t i = from; i < to; i++)
        ids[i - from] = f->hits[i].id;
    int rc =
        db_read(f->s->db, f->who->all ? SQL_ITEM_OF_VECTORS_ALL : SQL_ITEM_OF_VECTORS_MINE,
                DB_PARAMS(DB_T(principal_owner_low(f->who)), DB_T(ids_text(a, ids, to - from))), a,
                &rows, err);
    for (size_t i = from; rc == 0 && i < to; i++)
        for (size_t r = 0; r < rows.row_count; r++) {
            if (db_int(&rows, r, 6) != f->hits[i].id)
                continue;
            struct item *item = &out->items[out->count];
            item_from_row(&rows, r, item);
            /* A namespace has no end of line, an owner may have what it likes. */
            str name =
                arena_printf(a, STR_FMT "\n%zu " STR_FMT STR_FMT, STR_ARG(item->name_space),
                             item->key.len, STR_ARG(item->key), STR_ARG(db_str(&rows, r, 7)));
            if (map_get(&out->seen, name))
                continue;
            (void)map_put(&out->seen, name, item); /* it is new */
            item->scored = true;
            item->score = (double)f->hits[i].score;
            out->count++;
        }
    return rc;
}

int item_search_near(struct store *s, const struct principal *who, const struct item_query *q,
                     struct arena *a, struct item **out, size_t *out_count, struct err *err) {
    struct search f = {.s = s, .e = s->items.embedder, .who = who};
    struct bounds b = {.range = item_label_range(a, q->prefix), .now_us = clock_wall_us()};
    size_t offset = (size_t)q->page.offset, want = offset + (size_t)q->page.limit;
    bool more = false;
    float *query;
    int rc = item_filter_read(a, q->filter, &b.filter, err);
    if (rc == 0)
        rc = read_ids(&f, &b, &more, a, err);
    if (rc == 0)
        rc = f.e->embed(f.e->ctx, &q->text, 1, a, &query, err);
    if (rc == 0 && more)
        rc = read_near(&f, &b, query, want, a, err);
    if (rc == 0)
        rc = score_all(&f, query, err);
    if (rc < 0)
        return rc;
    if (want > f.count)
        want = f.count;
    struct found found = {.items = ARENA_ARRAY(a, struct item, f.count + 1)};
    map_init(&found.seen);
    for (size_t at = 0, to; rc == 0 && at < f.count && found.count < want; at = to) {
        size_t next = want - found.count;
        next = next > FETCH_MAX ? FETCH_MAX : next < FETCH_MIN ? FETCH_MIN : next;
        to = f.count - at < next ? f.count : at + next;
        rc = fetch(&f, at, to, a, &found, err);
    }
    map_deinit(&found.seen);
    if (rc < 0)
        return rc;
    size_t count = found.count > want ? want : found.count;
    *out = found.items + (offset < count ? offset : count);
    *out_count = offset < count ? count - offset : 0;
    return 0;
}
