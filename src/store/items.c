/* SPDX-License-Identifier: Apache-2.0 */
/* items.c - the long-term store.
 *
 * Design: the primary key (owner, namespace, key) serves look-ups, and a prefix of labels is a
 * range of it. Joined by '.', the labels of prefix "a" are "a" itself and everything from "a." up
 * to "a/" ('/' follows '.'); names between "a" and "a." such as "a-b" are excluded by the
 * statement. Expired items are invisible at once and removed by the sweep.
 *
 * Invariant: a filter that reaches a statement is an object with known operators only. */
#include "store/items.h"

#include "base/clock.h"
#include "base/json.h"

#define MINUTE_US       INT64_C(60000000)
#define TTL_MINUTES_MAX (INT64_C(100) * 366 * 24 * 60)

static void item_from_row(const struct db_rows *r, size_t row, struct item *out) {
    *out = (struct item){
        .name_space = db_str(r, row, 0),
        .key = db_str(r, row, 1),
        .value = db_str(r, row, 2),
        .created_at = db_int(r, row, 3),
        .updated_at = db_int(r, row, 4),
        .expires_at = db_int(r, row, 5),
    };
}

int item_put(struct store *s, const struct principal *who, str name_space, str key, str value,
             int64_t ttl_minutes, struct arena *a, struct err *err) {
    if (ttl_minutes < 0 || ttl_minutes > TTL_MINUTES_MAX)
        return err_set(err, ERR_INVALID, "ttl: must be a number of minutes between 0 and %lld",
                       (long long)TTL_MINUTES_MAX);
    int64_t now_us = clock_wall_us();
    bool expires = ttl_minutes > 0;
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ITEM_PUT,
                 DB_PARAMS(DB_T(who->owner), DB_T(name_space), DB_T(key), DB_T(value),
                           expires ? DB_I(ttl_minutes) : DB_NIL,
                           expires ? DB_I(now_us + ttl_minutes * MINUTE_US) : DB_NIL, DB_I(now_us)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
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

int item_delete(struct store *s, const struct principal *who, str name_space, str key,
                struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ITEM_DELETE, DB_PARAMS(DB_T(who->owner), DB_T(name_space), DB_T(key)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

/* Bounds of the primary key for the labels of a prefix. */
struct label_range {
    str from, below, inside;
};

static struct label_range range_of(struct arena *a, str prefix) {
    if (prefix.len == 0)
        return (struct label_range){STR(""), STR("\xf4\x8f\xbf\xbf"), STR("")};
    return (struct label_range){prefix, arena_printf(a, STR_FMT "/", STR_ARG(prefix)),
                                arena_printf(a, STR_FMT ".", STR_ARG(prefix))};
}

static bool operator_known(str op) {
    static const char *const known[] = {"$eq", "$ne", "$gt", "$gte", "$lt", "$lte"};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (str_eq(op, str_of(known[i])))
            return true;
    return false;
}

/* An object is either one of operators or one of members, at every level that is not an operand. */
static int filter_check(yyjson_val *filter, struct err *err) {
    yyjson_obj_iter it = yyjson_obj_iter_with(filter);
    bool operators = false;
    size_t seen = 0;
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL; seen++) {
        str name = json_str(key);
        bool is_operator = str_starts(name, STR("$"));
        if (is_operator && !operator_known(name))
            return err_set(err, ERR_INVALID, "filter: unknown operator %.*s",
                           (int)(name.len < 64 ? name.len : 64), name.p);
        if (seen > 0 && is_operator != operators)
            return err_set(err, ERR_INVALID, "filter: operators and members cannot be mixed");
        operators = is_operator;
        yyjson_val *inner = yyjson_obj_iter_get_val(key);
        int rc = !is_operator && yyjson_is_obj(inner) ? filter_check(inner, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

int item_search(struct store *s, const struct principal *who, str prefix, str filter,
                const struct page *page, struct arena *a, struct item **out, size_t *out_count,
                struct err *err) {
    yyjson_val *parsed = NULL;
    int rc = filter.p ? json_parse(a, filter, &parsed, err) : 0;
    if (rc < 0)
        return rc;
    if (filter.p && !yyjson_is_obj(parsed))
        return err_set(err, ERR_INVALID, "filter: must be an object");
    rc = filter_check(parsed, err);
    if (rc < 0)
        return rc;
    static const enum db_stmt by[2][2] = {
        {SQL_ITEM_SEARCH_MINE_DESC, SQL_ITEM_SEARCH_MINE_ASC},
        {SQL_ITEM_SEARCH_ALL_DESC, SQL_ITEM_SEARCH_ALL_ASC},
    };
    struct db_rows rows;
    struct label_range range = range_of(a, prefix);
    rc = db_read(s->db, by[who->all][page->order],
                 DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(range.from), DB_T(range.below),
                           DB_T(range.inside), DB_I(clock_wall_us()),
                           DB_T(filter.p ? filter : STR("{}")), DB_I(page->limit),
                           DB_I(page->offset)),
                 a, &rows, err);
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
    struct label_range range = range_of(a, literal_head(prefix));
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

int item_sweep(struct store *s, int64_t now_us, struct arena *a, int64_t *out_deleted,
               struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ITEM_SWEEP, DB_PARAMS(DB_I(now_us)), DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}
