/* SPDX-License-Identifier: Apache-2.0 */
/* items_int.h - what the files of the long-term store share.
 * Memory: arenas of the caller. Suspends: never. Tests: through tests/unit/store/ */
#ifndef HF_STORE_ITEMS_INT_H
#define HF_STORE_ITEMS_INT_H

#include "base/list.h"
#include "store/items.h"

/* Bounds of the primary key for the labels of a prefix. */
struct label_range {
    str from, below, inside;
};
struct label_range item_label_range(struct arena *a, str prefix);
/* The filter as the databases get it: checked, each member once; "{}" for an absent one. */
MUST_CHECK int item_filter_read(struct arena *a, str text, str *out, struct err *err);
void item_from_row(const struct db_rows *r, size_t row, struct item *out);

/* --- item_texts.c --- */
/* Fills in the words of a change; needs no database. */
MUST_CHECK int item_words_read(struct item_change *c, struct arena *a, struct err *err);
/* Puts them into the index, or takes the item out of it. */
void item_words_add(const struct principal *who, const struct item_change *c, int64_t now_us,
                    struct db_batch *b);

/* --- item_vectors.c; only with an embedder --- */
MUST_CHECK int item_vectors_make(struct store *s, struct item_change *list, size_t count,
                                 struct arena *a, struct err *err);
void item_vectors_add(const struct store *s, const struct principal *who,
                      const struct item_change *c, int64_t now_us, struct db_batch *b);

/* --- vector_cache.c: vectors by their ids, in memory --- */
struct cached_vector {
    struct list recent;
    int64_t id;
    size_t pins; /* not dropped while there are any */
    float length;
    float v[];
};
/* Pinned, or NULL. */
struct cached_vector *vector_cache_pin(struct vector_cache *c, int64_t id);
/* Adds, pinned; bytes: of dims floats, little end first. */
struct cached_vector *vector_cache_add(struct vector_cache *c, int64_t id, str bytes);
void vector_cache_unpin(struct vector_cache *c, struct cached_vector *v);

#endif
