/* SPDX-License-Identifier: Apache-2.0 */
/* items.c - the long-term store.
 *
 * Design: the primary key (owner, namespace, key) serves look-ups, and a prefix of labels is a
 * range of it. Joined by '.', the labels of prefix "a" are "a" itself and everything from "a." up
 * to "a/" ('/' follows '.'); names between "a" and "a." such as "a-b" are excluded by the
 * statement. Expired items are invisible at once and removed by the sweep.
 *
 * One namespace is not here: that of the owner's preferences (preference_items.c).
 *
 * Invariant: a filter that reaches a statement was checked. */
#include "store/items_int.h"

#include <math.h>

#include "base/clock.h"
#include "base/json_filter.h"
#include "store/preferences.h"

#define MINUTE_US         60e6
#define ITEM_COLUMN_COUNT 6
/* A range of more is gone through in the order that is asked for, where an index has that. */
#define ITEMS_SORTED_MAX 1000

void item_from_row(const struct db_rows *r, size_t row, struct item *out) {
    *out = (struct item){
        .name_space = db_str(r, row, 0),
        .key = db_str(r, row, 1),
        .value = db_str(r, row, 2),
        .created_at = db_int(r, row, 3),
        .updated_at = db_int(r, row, 4),
        .expires_at = db_int(r, row, 5),
    };
}

int item_index(struct store *s, struct item_change *list, size_t count, struct arena *a,
               struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = item_words_read(&list[i], a, err);
    return rc < 0 || !s->items.embedder ? rc : item_vectors_make(s, list, count, a, err);
}

int item_put_add(const struct store *s, const struct principal *who, const struct item_change *c,
                 struct db_batch *b, struct err *err) {
    if (!(c->ttl_minutes >= 0 && c->ttl_minutes <= ITEM_TTL_MINUTES_MAX))
        return err_set(err, ERR_INVALID, "ttl: must be a number of minutes between 0 and %lld",
                       (long long)ITEM_TTL_MINUTES_MAX);
    if (preference_is_namespace(who, c->name_space))
        return preference_item_put_add(s, who, c, b, err);
    int64_t now_us = clock_wall_us();
    bool expires = c->ttl_minutes > 0;
    db_batch_add(b, SQL_ITEM_PUT,
                 DB_PARAMS(DB_T(who->owner), DB_T(c->name_space), DB_T(c->key), DB_T(c->value),
                           expires ? DB_I((int64_t)ceil(c->ttl_minutes)) : DB_NIL,
                           expires ? DB_I(now_us + (int64_t)(c->ttl_minutes * MINUTE_US)) : DB_NIL,
                           DB_I(now_us)),
                 DB_EXPECT_NONE);
    item_words_add(who, c, now_us, b);
    if (s->items.embedder)
        item_vectors_add(s, who, c, now_us, b);
    return 0;
}

int item_commit(struct store *s, struct db_batch *b, struct err *err) {
    int rc = db_commit(s->db, b, err);
    return rc < 0 ? preference_item_refused(b, rc, err) : 0;
}

int item_put(struct store *s, const struct principal *who, const struct item_change *c,
             struct arena *a, struct err *err) {
    struct db_batch b;
    struct item_change change = *c;
    db_batch_init(&b, a);
    int rc = preference_is_namespace(who, c->name_space) ? 0 : item_index(s, &change, 1, a, err);
    if (rc == 0)
        rc = item_put_add(s, who, &change, &b, err);
    return rc < 0 ? rc : item_commit(s, &b, err);
}

int item_refresh(struct store *s, const struct principal *who, const struct item *items,
                 size_t count, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < count; i++)
        if (items[i].expires_at != 0)
            db_batch_add(&b, SQL_ITEM_REFRESH,
                         DB_PARAMS(DB_T(who->owner), DB_T(items[i].name_space), DB_T(items[i].key),
                                   DB_I(now_us)),
                         DB_EXPECT_NONE);
    return b.count == 0 ? 0 : db_commit(s->db, &b, err);
}

int item_get(struct store *s, const struct principal *who, str name_space, str key,
             bool refresh_ttl, struct arena *a, bool *found, struct item *out, struct err *err) {
    struct db_rows rows;
    if (preference_is_namespace(who, name_space))
        return preference_item_get(s, who, key, a, found, out, err);
    int rc =
        db_read(s->db, SQL_ITEM_GET,
                DB_PARAMS(DB_T(who->owner), DB_T(name_space), DB_T(key), DB_I(clock_wall_us())), a,
                &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0) {
        *found = false;
        return 0;
    }
    struct item item;
    item_from_row(&rows, 0, &item);
    if (refresh_ttl)
        rc = item_refresh(s, who, &item, 1, a, err);
    if (rc < 0)
        return rc;
    *out = item;
    *found = true;
    return 0;
}

void item_delete_add(const struct principal *who, str name_space, str key, struct db_batch *b) {
    if (preference_is_namespace(who, name_space)) {
        preference_item_delete_add(who, key, b);
        return;
    }
    db_batch_add(b, SQL_ITEM_DELETE, DB_PARAMS(DB_T(who->owner), DB_T(name_space), DB_T(key)),
                 DB_EXPECT_NONE);
}

int item_delete(struct store *s, const struct principal *who, str name_space, str key,
                struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    item_delete_add(who, name_space, key, &b);
    return item_commit(s, &b, err);
}

struct label_range item_label_range(struct arena *a, str prefix) {
    if (prefix.len == 0)
        return (struct label_range){STR(""), STR("\xf4\x8f\xbf\xbf"), STR("")};
    return (struct label_range){prefix, arena_printf(a, STR_FMT "/", STR_ARG(prefix)),
                                arena_printf(a, STR_FMT ".", STR_ARG(prefix))};
}

int item_filter_read(struct arena *a, str text, str *out, struct err *err) {
    yyjson_val *parsed;
    *out = STR("{}");
    if (!text.p)
        return 0;
    int rc = json_parse(a, text, &parsed, err);
    if (rc == 0)
        rc = json_filter_check(parsed, err);
    if (rc == 0)
        *out = json_canonical(a, parsed);
    return rc;
}

/* Of a filter, the members that ask for a value itself: not for a part of it, and by no operator.
 * What meets the filter holds them. */
static str plain_members(struct arena *a, str filter) {
    yyjson_val *parsed = NULL, *key;
    struct buf b;
    if (filter.len <= 2 || json_parse(a, filter, &parsed, NULL) < 0)
        return STR("{}");
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_iter it = yyjson_obj_iter_with(parsed);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        str name = json_str(key);
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        if (yyjson_is_ctn(v) || str_starts(name, STR("$")) || str_find(name, STR(".")) >= 0)
            continue;
        jw_key_str(&w, name);
        jw_val(&w, v);
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

static int search_rows(struct store *s, const struct principal *who, struct label_range range,
                       str filter, const struct page *page, struct arena *a, struct db_rows *rows,
                       struct err *err) {
    static const enum db_stmt all_of[2][2] = {
        {SQL_ITEM_SEARCH_MINE_DESC, SQL_ITEM_SEARCH_MINE_ASC},
        {SQL_ITEM_SEARCH_ALL_DESC, SQL_ITEM_SEARCH_ALL_ASC},
    };
    static const enum db_stmt in_order[2][2] = {
        {SQL_ITEM_SEARCH_WIDE_MINE_DESC, SQL_ITEM_SEARCH_WIDE_MINE_ASC},
        {SQL_ITEM_SEARCH_WIDE_ALL_DESC, SQL_ITEM_SEARCH_WIDE_ALL_ASC},
    };
    const struct db_value params[] = {DB_T(principal_owner_low(who)),
                                      DB_T(range.from),
                                      DB_T(range.below),
                                      DB_T(range.inside),
                                      DB_I(clock_wall_us()),
                                      DB_T(filter),
                                      DB_I(page->limit),
                                      DB_I(page->offset),
                                      DB_T(plain_members(a, filter)),
                                      DB_I(ITEMS_SORTED_MAX + 1)};
    int rc =
        db_read(s->db, all_of[who->all][page->order], params, ARRAY_COUNT(params), a, rows, err);
    if (rc == 0 && rows->row_count > 0 && db_int(rows, 0, ITEM_COLUMN_COUNT) > ITEMS_SORTED_MAX)
        return db_read(s->db, in_order[who->all][page->order], params, ARRAY_COUNT(params) - 1, a,
                       rows, err);
    if (rc == 0 && rows->row_count > 0 && db_is_null(rows, 0, 0))
        rows->row_count = 0;
    return rc;
}

int item_search(struct store *s, const struct principal *who, str prefix, str filter,
                const struct page *page, struct arena *a, struct item **out, size_t *out_count,
                struct err *err) {
    if (preference_is_namespace(who, prefix))
        return preference_item_search(s, who, filter, page, a, out, out_count, err);
    int rc = item_filter_read(a, filter, &filter, err);
    if (rc < 0)
        return rc;
    struct db_rows rows;
    rc = search_rows(s, who, item_label_range(a, prefix), filter, page, a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct item, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        item_from_row(&rows, i, &(*out)[i]);
    *out_count = rows.row_count;
    return 0;
}

/* The labels of the prefix before its first '*'. */
static str literal_head(str prefix) {
    str rest = prefix, label;
    size_t end = 0;
    while (rest.len > 0 && str_split_next(&rest, '.', &label) && !str_eq(label, STR("*")))
        end = (size_t)(label.p - prefix.p) + label.len;
    return str_slice(prefix, 0, end);
}

int item_namespaces(struct store *s, const struct principal *who, str prefix, str suffix,
                    int max_depth, const struct page *page, struct arena *a, str **out,
                    size_t *out_count, struct err *err) {
    struct db_rows rows;
    struct label_range range = item_label_range(a, literal_head(prefix));
    int rc =
        db_read(s->db, who->all ? SQL_ITEM_NAMESPACES_ALL : SQL_ITEM_NAMESPACES_MINE,
                DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(range.from), DB_T(range.below),
                          DB_T(range.inside), DB_I(clock_wall_us()), DB_T(prefix), DB_T(suffix),
                          DB_I(max_depth), DB_I(page->limit), DB_I(page->offset)),
                a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, str, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_str(&rows, i, 0);
    *out_count = rows.row_count;
    return 0;
}

int item_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
               int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ITEM_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}
