/* SPDX-License-Identifier: Apache-2.0 */
/* items_int.h - what the files of the long-term store share.
 * Memory: arenas of the caller. Suspends: never. Tests: through tests/unit/store/ */
#ifndef HF_STORE_ITEMS_INT_H
#define HF_STORE_ITEMS_INT_H

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

#endif
