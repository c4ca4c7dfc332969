/* SPDX-License-Identifier: Apache-2.0 */
/* preference_items.c - preferences as items of the long-term store.
 *
 * To clients of the store, the namespace [owner, "preferences"] is the owner's preferences, not
 * rows of the store's own. A value of the store is an object, a preference any JSON: one that is an
 * object is the item's value itself, any other is {"value": it}. So what a client of the store puts
 * it gets again. There is neither a ttl nor a search for words. */
#include "base/json_filter.h"
#include "store/items_int.h"
#include "store/preferences.h"

static const str LABEL = {".preferences", 12};

bool preference_is_namespace(const struct principal *who, str name_space) {
    str owner = who->owner.len ? who->owner : STR("anonymous");
    return name_space.len == owner.len + LABEL.len && str_starts(name_space, owner) &&
           str_ends(name_space, LABEL);
}

/* {"value": x}, where x is no object, is x. */
static yyjson_val *preference_value(yyjson_val *item) {
    yyjson_val *v = json_get(item, "value");
    return v && yyjson_obj_size(item) == 1 && !yyjson_is_obj(v) ? v : item;
}

static void to_item(const struct preference *p, const struct principal *who, struct arena *a,
                    struct item *out) {
    str owner = who->owner.len ? who->owner : STR("anonymous");
    bool object = p->value.len && p->value.p[0] == '{';
    *out = (struct item){
        .name_space = arena_printf(a, STR_FMT STR_FMT, STR_ARG(owner), STR_ARG(LABEL)),
        .key = p->key,
        .value = object ? p->value : arena_printf(a, "{\"value\":" STR_FMT "}", STR_ARG(p->value)),
        .created_at = p->updated_at,
        .updated_at = p->updated_at};
}

int preference_item_put_add(const struct store *s, const struct principal *who,
                            const struct item_change *c, struct db_batch *b, struct err *err) {
    yyjson_val *item;
    str value;
    int rc = json_parse(b->arena, c->value, &item, err);
    if (rc == 0)
        rc = preference_check(&s->preferences.platform, b->arena, c->key, preference_value(item),
                              &value, err);
    if (rc < 0)
        return rc;
    preference_put_add(b, &(struct preference_actor){.owner = principal_owner(who)}, c->key, value);
    return 0;
}

int preference_item_get(struct store *s, const struct principal *who, str key, struct arena *a,
                        bool *found, struct item *out, struct err *err) {
    struct preference p;
    int rc = preference_get(s, principal_owner(who), key, a, &p, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    err_reset(err);
    *found = rc == 0;
    if (rc == 0)
        to_item(&p, who, a, out);
    return 0;
}

void preference_item_delete_add(const struct principal *who, str key, struct db_batch *b) {
    db_batch_add(b, SQL_PREFERENCE_FIXED, DB_PARAMS(DB_T(principal_owner(who)), DB_T(key)),
                 DB_EXPECT_NO_ROW(ERR_CONFLICT));
    db_batch_add(b, SQL_PREFERENCE_DELETE,
                 DB_PARAMS(DB_T(principal_owner(who)), DB_T(key), DB_I(false)), DB_EXPECT_NONE);
}

int preference_item_refused(const struct db_batch *b, int rc, struct err *err) {
    if (rc != ERR_CONFLICT || b->failed_at >= b->count)
        return rc;
    if (b->ops[b->failed_at].stmt == SQL_PREFERENCE_FIXED)
        return err_set(err, rc, "This preference cannot be changed");
    if (b->ops[b->failed_at].stmt != SQL_PREFERENCE_PUT)
        return rc;
    return err_set(err, rc, "This preference cannot be changed, or there are %d already",
                   PREFERENCE_COUNT_MAX);
}

static int order_of(const struct item *x, const struct item *y, enum sort_order order) {
    if (x->updated_at != y->updated_at)
        return (x->updated_at < y->updated_at) == (order == SORT_ASC) ? -1 : 1;
    return str_cmp(x->key, y->key);
}

/* They are few. */
static void sort(struct item *list, size_t count, enum sort_order order) {
    for (size_t i = 1; i < count; i++) {
        struct item x = list[i];
        size_t at = i;
        for (; at > 0 && order_of(&x, &list[at - 1], order) < 0; at--)
            list[at] = list[at - 1];
        list[at] = x;
    }
}

int preference_item_search(struct store *s, const struct principal *who, str filter,
                           const struct page *page, struct arena *a, struct item **out,
                           size_t *out_count, struct err *err) {
    struct preference *list;
    size_t count, found = 0;
    yyjson_val *condition = NULL, *value;
    int rc = filter.p ? json_parse(a, filter, &condition, err) : 0;
    if (rc == 0 && condition)
        rc = json_filter_check(condition, err);
    if (rc == 0)
        rc = preference_list(s, principal_owner(who), STR_NULL, a, &list, &count, err);
    if (rc < 0)
        return rc;
    struct item *items = ARENA_ARRAY(a, struct item, count + 1);
    for (size_t i = 0; i < count; i++) {
        to_item(&list[i], who, a, &items[found]);
        bool fits = !condition || (json_parse(a, items[found].value, &value, NULL) == 0 &&
                                   json_filter_meets(value, condition));
        found += fits;
    }
    sort(items, found, page->order);
    size_t from = (size_t)page->offset < found ? (size_t)page->offset : found;
    size_t rest = found - from;
    *out = items + from;
    *out_count = (size_t)page->limit < rest ? (size_t)page->limit : rest;
    return 0;
}
