/* SPDX-License-Identifier: Apache-2.0 */
/* item_texts.c - full-text search of the long-term store.
 *
 * Design: the words of an item are stored with the batch that puts it. A question finds the items
 * that have any of its words; how many of them, and how often, makes the score. The words are cut
 * here (model/terms.h), so both databases find the same. In SQLite they wait in the item's row for
 * the index (waiting_words.h). */
#include "base/clock.h"
#include "model/item_path.h"
#include "model/terms.h"
#include "store/items_int.h"
#include "store/waiting_words.h"

#define WORDS_BYTES_MAX ((size_t)TERMS_COUNT_MAX * (TERM_BYTES_MAX + 1))

void item_words_add(const struct principal *who, const struct item_change *c, int64_t now_us,
                    struct db_batch *b) {
    if (c->words.len == 0) {
        db_batch_add(b, SQL_ITEM_TEXT_DROP,
                     DB_PARAMS(DB_T(who->owner), DB_T(c->name_space), DB_T(c->key)),
                     DB_EXPECT_NONE);
        return;
    }
    db_batch_add(b, SQL_ITEM_TEXT_PUT,
                 DB_PARAMS(DB_T(who->owner), DB_T(c->name_space), DB_T(c->key),
                           DB_I((int64_t)c->word_count), DB_T(terms_owner(b->arena, who->owner)),
                           DB_T(c->words), DB_I(now_us)),
                 DB_EXPECT_NONE);
}

int item_words_read(struct item_change *c, struct arena *a, struct err *err) {
    yyjson_val *root;
    struct buf words;
    c->words = STR("");
    c->word_count = 0;
    if (c->unindexed)
        return 0;
    int rc = json_parse(a, c->value, &root, err);
    if (rc < 0)
        return rc;
    buf_init(&words, WORDS_BYTES_MAX);
    struct item_places *places = ARENA_NEW(a, struct item_places);
    for (size_t i = 0; i < c->path_count; i++)
        item_path_select(a, root, c->paths[i], places);
    if (c->path_count == 0)
        c->word_count = terms_write_json(&words, root, 0);
    for (size_t i = 0; i < places->count; i++)
        c->word_count = terms_write_json(&words, places->list[i].value, c->word_count);
    if (words.len > 0)
        c->words = arena_dup(a, buf_view(&words));
    buf_deinit(&words);
    return 0;
}

static const struct waiting_words WAITING = {SQL_ITEM_TEXTS_WAITING, SQL_ITEM_TEXTS_INDEX};

int item_words_index(struct store *s, int64_t limit, struct arena *a, int64_t *out_done,
                     struct err *err) {
    return waiting_words_take(s, &WAITING, limit, a, out_done, err);
}

int item_search_text(struct store *s, const struct principal *who, const struct item_query *q,
                     struct arena *a, struct item **out, size_t *out_count, struct err *err) {
    size_t count;
    str words = terms_query(a, q->text, &count), filter;
    int rc = item_filter_read(a, q->filter, &filter, err);
    if (rc < 0)
        return rc;
    if (count == 0) {
        *out = NULL;
        *out_count = 0;
        return 0;
    }
    struct db_rows rows;
    rc = waiting_words_take_all(s, &WAITING, a, err);
    if (rc < 0)
        return rc;
    struct label_range range = item_label_range(a, q->prefix);
    str owner = who->all ? STR("") : terms_owner(a, who->owner);
    rc = db_read(s->db, who->all ? SQL_ITEM_SEARCH_TEXT_ALL : SQL_ITEM_SEARCH_TEXT_MINE,
                 DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(range.from), DB_T(range.below),
                           DB_T(range.inside), DB_I(clock_wall_us()), DB_T(filter),
                           DB_I(q->page.limit), DB_I(q->page.offset), DB_T(words), DB_T(owner)),
                 a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct item, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++) {
        item_from_row(&rows, i, &(*out)[i]);
        (*out)[i].scored = true;
        (*out)[i].score = db_cell(&rows, i, 6)->type == DB_REAL ? db_cell(&rows, i, 6)->d : 0;
    }
    *out_count = rows.row_count;
    return 0;
}
