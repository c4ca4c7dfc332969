/* SPDX-License-Identifier: Apache-2.0 */
/* items.c - the handlers of /store.
 *
 * On the wire a namespace is a list of labels, inside it is the labels joined by '.'. A label is
 * not empty and has no '.', so joining loses nothing. Namespace, key and owner together must fit
 * into a row of a B-tree (PostgreSQL: 2,704 bytes). A missing item is 200 with null, as clients
 * expect; putting and deleting answer 204. */
#include "api/items_int.h"
#include "model/item_path.h"
#include "store/preferences.h"

#define LABELS_MAX          64
#define KEY_BYTES_MAX       1024
#define NAMESPACE_BYTES_MAX 1024
#define QUERY_BYTES_MAX     16384

static str joined(struct arena *a, const str *labels, size_t count) {
    size_t bytes = count;
    for (size_t i = 0; i < count; i++)
        bytes += labels[i].len;
    char *p = arena_alloc(a, bytes + 1);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            p[at++] = '.';
        if (labels[i].len > 0)
            memcpy(p + at, labels[i].p, labels[i].len);
        at += labels[i].len;
    }
    return str_n(p, at);
}

static int labels_join(struct arena *a, const str *labels, size_t count, str *out,
                       struct err *err) {
    if (count > LABELS_MAX)
        return err_set(err, ERR_INVALID, "namespace: at most %d labels", LABELS_MAX);
    str text = joined(a, labels, count);
    if (text.len > NAMESPACE_BYTES_MAX)
        return err_set(err, ERR_INVALID, "namespace: at most %d bytes", NAMESPACE_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        if (labels[i].len == 0 || str_find_char(labels[i], '.') >= 0)
            return err_set(err, ERR_INVALID,
                           "Namespace labels cannot be empty or contain periods. Received: %.*s",
                           (int)(text.len < 150 ? text.len : 150), text.p);
    /* Another runtime writes {a,b} for a.b into the shared table. */
    if (str_starts(text, STR("{")) && str_ends(text, STR("}")))
        return err_set(err, ERR_INVALID, "namespace: cannot begin with { and end with }");
    *out = text;
    return 0;
}

/* The labels of a body's member; "" when it is missing. */
static int labels_read(struct body *b, const char *key, str *out, struct err *err) {
    yyjson_val *list = body_str_array(b, key), *item;
    size_t i, count;
    str *labels = ARENA_ARRAY(b->a, str, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) labels[i] = json_str(item);
    return labels_join(b->a, labels, yyjson_arr_size(list), out, err);
}

static int namespace_required(str name_space, struct err *err) {
    return name_space.len > 0 ? 0 : err_set(err, ERR_INVALID, "namespace: is required");
}

int items_read_key(struct body *b, str *out_namespace, str *out_key, struct err *err) {
    str key = body_str_required(b, "key"), name_space = STR("");
    if (key.len > KEY_BYTES_MAX)
        body_fault(b, "key", "at most %d bytes", KEY_BYTES_MAX);
    int rc = labels_read(b, "namespace", &name_space, err);
    if (rc == 0)
        rc = body_done(b, err);
    if (rc == 0)
        rc = namespace_required(name_space, err);
    if (rc < 0)
        return rc;
    *out_namespace = name_space;
    *out_key = key;
    return 0;
}

/* false: no query finds the item; a list: its paths; null or missing: as the server is set. */
static int read_index(struct body *b, struct item_change *c, struct err *err) {
    yyjson_val *index = body_get(b, "index"), *path;
    size_t i, count = yyjson_arr_size(index);
    c->unindexed = yyjson_is_false(index) || (yyjson_is_arr(index) && count == 0);
    if (index && !yyjson_is_false(index) && !yyjson_is_arr(index))
        body_fault(b, "index", "must be false or a list of paths");
    if (count > ITEM_PATHS_MAX) {
        body_fault(b, "index", "at most %d paths", ITEM_PATHS_MAX);
        return 0;
    }
    str *paths = ARENA_ARRAY(b->a, str, count + 1);
    int rc = 0;
    yyjson_arr_foreach(index, i, count, path) {
        paths[i] = json_str(path);
        rc = item_path_check(paths[i], err);
        if (rc < 0)
            return rc;
    }
    c->paths = paths;
    c->path_count = count;
    return 0;
}

static bool is_reserved(str name_space) {
    return str_eq(name_space, STR("langgraph")) || str_starts(name_space, STR("langgraph."));
}

int items_read_put(const struct store *s, struct body *b, struct item_change *out,
                   struct err *err) {
    struct item_change c = {0};
    yyjson_val *value = body_object_val(b, "value");
    if (!body_get(b, "value"))
        body_fault(b, "value", "is required");
    c.value = json_text(b->a, value);
    /* null: for ever; missing: as the server's options say */
    c.ttl_minutes = body_double(b, "ttl", 0, (double)ITEM_TTL_MINUTES_MAX,
                                body_has(b, "ttl") ? 0 : s->items.ttl_minutes);
    int rc = read_index(b, &c, err);
    if (rc == 0)
        rc = items_read_key(b, &c.name_space, &c.key, err);
    if (rc == 0 && is_reserved(c.name_space)) /* the libraries refuse it, too */
        rc = err_set(err, ERR_INVALID, "Root label for namespace cannot be \"langgraph\"");
    if (rc == 0)
        *out = c;
    return rc;
}

int api_item_put(struct api_request *r, struct err *err) {
    struct body b;
    struct item_change c;
    body_init(&b, r->arena, r->body);
    int rc = items_read_put(r->store, &b, &c, err);
    if (rc == 0)
        rc = item_put(r->store, &r->who, &c, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* "a.b", repeated labels, or a JSON array. */
static int namespace_of_query(struct api_request *r, str *out, struct err *err) {
    str *parts, part, rest;
    size_t count, n = 0;
    int rc = http_query_list(r->arena, &r->query, "namespace", false, &parts, &count, err);
    if (rc < 0)
        return rc;
    str text = joined(r->arena, parts, count);
    str *labels = ARENA_ARRAY(r->arena, str, LABELS_MAX + 2);
    for (rest = text; rest.len > 0 && n <= LABELS_MAX && str_split_next(&rest, '.', &part);)
        labels[n++] = part;
    rc = labels_join(r->arena, labels, n, out, err);
    return rc < 0 ? rc : namespace_required(*out, err);
}

int api_item_get(struct api_request *r, struct err *err) {
    str name_space, key = http_query_get(&r->query, "key");
    struct item item;
    bool found, refresh = http_query_bool(&r->query, "refresh_ttl", !r->store->items.keep_ttl) &&
                          !r->who.read_only;
    int rc = namespace_of_query(r, &name_space, err);
    if (rc == 0 && key.len == 0)
        rc = err_set(err, ERR_INVALID, "key: is required");
    if (rc == 0)
        rc = item_get(r->store, &r->who, name_space, key, refresh, r->arena, &found, &item, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    if (found)
        api_write_item(&w, &item);
    else
        jw_null(&w);
    return api_reply_json(r, 200);
}

int api_item_delete(struct api_request *r, struct err *err) {
    struct body b;
    str name_space, key;
    body_init(&b, r->arena, r->body);
    int rc = items_read_key(&b, &name_space, &key, err);
    if (rc == 0)
        rc = item_delete(r->store, &r->who, name_space, key, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

int items_search(struct api_request *r, struct body *b, struct json_writer *w, struct err *err) {
    str prefix = STR(""), filter = api_filter_read(b, "filter");
    str query = body_str_sized(b, "query", 0, QUERY_BYTES_MAX, STR(""));
    bool refresh = body_bool(b, "refresh_ttl", !r->store->items.keep_ttl) && !r->who.read_only;
    struct page page = api_page_read(b, 10);
    struct item *list;
    size_t count;
    int rc = labels_read(b, "namespace_prefix", &prefix, err);
    if (rc == 0)
        rc = body_done(b, err);
    struct item_query q = {prefix, filter, query, page};
    if (rc == 0 && query.len > 0 && preference_is_namespace(&r->who, prefix))
        rc = err_set(err, ERR_INVALID, "query: preferences are not searched by words");
    if (rc == 0 && query.len > 0)
        rc = (r->store->items.embedder ? item_search_near : item_search_text)(
            r->store, &r->who, &q, r->arena, &list, &count, err);
    else if (rc == 0)
        rc = item_search(r->store, &r->who, prefix, filter, &page, r->arena, &list, &count, err);
    if (rc == 0 && refresh)
        rc = item_refresh(r->store, &r->who, list, count, r->arena, err);
    if (rc < 0)
        return rc;
    jw_object(w);
    jw_key(w, "items");
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        api_write_item(w, &list[i]);
    jw_array_end(w);
    jw_object_end(w);
    return 0;
}

int api_item_search(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct json_writer w = api_json(r);
    int rc = items_search(r, &b, &w, err);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

int items_namespaces(struct api_request *r, struct body *b, struct json_writer *w,
                     struct err *err) {
    str prefix = STR(""), suffix = STR("");
    struct body_range depths = {1, LABELS_MAX, 0};
    int depth = (int)body_int(b, "max_depth", depths);
    struct page page = api_page_read(b, 100);
    str *list;
    size_t count;
    int rc = labels_read(b, "prefix", &prefix, err);
    if (rc == 0)
        rc = labels_read(b, "suffix", &suffix, err);
    if (rc == 0)
        rc = body_done(b, err);
    if (rc == 0)
        rc = item_namespaces(r->store, &r->who, prefix, suffix, depth, &page, r->arena, &list,
                             &count, err);
    if (rc < 0)
        return rc;
    jw_object(w);
    jw_key(w, "namespaces");
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        api_write_labels(w, list[i]);
    jw_array_end(w);
    jw_object_end(w);
    return 0;
}

int api_item_namespaces(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct json_writer w = api_json(r);
    int rc = items_namespaces(r, &b, &w, err);
    return rc < 0 ? rc : api_reply_json(r, 200);
}
