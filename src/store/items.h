/* SPDX-License-Identifier: Apache-2.0 */
/* items.h - the long-term store: values by namespace and key, per owner.
 * A namespace is 1…n labels without '.', joined by '.'. Functions that name a key act on the items
 * of who->owner, also for `all`: a key means nothing without its owner. [owner, "preferences"] is
 * the owner's preferences (store/preferences.h). Tests: tests/unit/store/ */
#ifndef HF_STORE_ITEMS_H
#define HF_STORE_ITEMS_H

#include "store/store.h"

struct item {
    str name_space; /* joined by '.' */
    str key, value; /* value: JSON object text */
    int64_t created_at, updated_at;
    int64_t expires_at; /* 0: never */
    bool scored;
    double score; /* how well it fits a query */
};

#define ITEM_TTL_MINUTES_MAX (INT64_C(100) * 366 * 24 * 60)
struct item_change {
    str name_space, key, value;
    double ttl_minutes; /* 0: none; a refresh counts whole minutes, rounded up */
    bool unindexed;     /* no query finds it */
    const str *paths;   /* what queries look at, see model/item_path.h; none: everything */
    size_t path_count;
    str words; /* this and the next: filled in by item_index */
    size_t word_count;
    struct item_vector *vectors;
    size_t vector_count;
};
struct item_vector {
    str field;
    const float *v;
};
/* What item_put does before its batch, for many at once: cuts words, asks the embedder. Suspends
 * when there is one, at most as long as it takes; without its vectors nothing is stored. */
MUST_CHECK int item_index(struct store *s, struct item_change *list, size_t count, struct arena *a,
                          struct err *err);
/* What makes vectors of texts. One for the process; it outlives the store's users. */
struct item_embedder {
    /* MAY_SUSPEND; *out: count vectors of dims floats in the arena. */
    int (*embed)(void *ctx, const str *texts, size_t count, struct arena *a, float **out,
                 struct err *err);
    void *ctx;
    struct rt *rt;
    str model;
    size_t dims;
    const str *paths; /* of items that name none */
    size_t path_count;
    size_t scan_max; /* vectors that one query looks at; more need the database's index */
    struct vector_cache *cache;
};
struct vector_cache *vector_cache_new(size_t bytes_max);
void vector_cache_free(struct vector_cache *c);

MUST_CHECK int item_put(struct store *s, const struct principal *who, const struct item_change *c,
                        struct arena *a, struct err *err);
/* Of a change that item_index has seen. */
MUST_CHECK int item_put_add(const struct store *s, const struct principal *who,
                            const struct item_change *c, struct db_batch *b, struct err *err);
/* Commits puts and deletes. ERR_CONFLICT: a preference among them cannot be changed. */
MUST_CHECK int item_commit(struct store *s, struct db_batch *b, struct err *err);
/* *found tells; expired items are not found. refresh_ttl moves the expiry on. */
MUST_CHECK int item_get(struct store *s, const struct principal *who, str name_space, str key,
                        bool refresh_ttl, struct arena *a, bool *found, struct item *out,
                        struct err *err);
/* Moves on the expiry of items that were found (those that never expire stay). */
MUST_CHECK int item_refresh(struct store *s, const struct principal *who, const struct item *items,
                            size_t count, struct arena *a, struct err *err);
MUST_CHECK int item_delete(struct store *s, const struct principal *who, str name_space, str key,
                           struct arena *a, struct err *err); /* a missing one is no error */
void item_delete_add(const struct principal *who, str name_space, str key, struct db_batch *b);
/* prefix: joined by '.', "" everything. filter: text of a condition, see base/json_filter.h;
 * absent: any. Newest update first. */
MUST_CHECK int item_search(struct store *s, const struct principal *who, str prefix, str filter,
                           const struct page *page, struct arena *a, struct item **out,
                           size_t *out_count, struct err *err);
struct item_query {
    str prefix, filter, text;
    struct page page;
};
/* The items that are near to the text by their vectors; scores are cosines. */
MUST_CHECK int item_search_near(struct store *s, const struct principal *who,
                                const struct item_query *q, struct arena *a, struct item **out,
                                size_t *out_count, struct err *err);
/* Gives the index words of items that wait for it, so many at most; a search gives it all. */
MUST_CHECK int item_words_index(struct store *s, int64_t limit, struct arena *a, int64_t *out_done,
                                struct err *err);
/* The items that have words of the text, best first; scores from 0 to 1. */
MUST_CHECK int item_search_text(struct store *s, const struct principal *who,
                                const struct item_query *q, struct arena *a, struct item **out,
                                size_t *out_count, struct err *err);
/* Distinct namespaces, sorted; prefix and suffix as labels joined by '.', "*" matches one label.
 * max_depth 0: none; deeper ones are cut to it. */
MUST_CHECK int item_namespaces(struct store *s, const struct principal *who, str prefix, str suffix,
                               int max_depth, const struct page *page, struct arena *a, str **out,
                               size_t *out_count, struct err *err);
/* Removes expired ones. */
MUST_CHECK int item_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                          int64_t *out_deleted, struct err *err);

#endif
