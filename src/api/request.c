/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - parts that many requests have: ids in paths, pages, filters, lists of fields.
 *
 * The forms are those of all SDK versions: numbers and booleans of queries as text, lists as one
 * JSON string, repeated keys or a comma list. An id that is none answers 404 like an unknown one,
 * as the servers we are compatible with do. */
#include <stdarg.h>
#include <stdio.h>

#include "api/api_int.h"
#include "api/runs_int.h"
#include "engine/engine.h"

#define PAGE_LIMIT_MAX   1000
#define PAGE_OFFSET_MAX  INT64_C(1000000000)
#define NAMED_PAGE       20
#define NAMED_PAGE_MAX   100
#define CHANGE_TRIES_MAX 8

static const struct word SORT_ORDER_LIST[] = {{STR("asc"), SORT_ASC}, {STR("desc"), SORT_DESC}};
static const struct word_set SORT_ORDERS = {SORT_ORDER_LIST, ARRAY_COUNT(SORT_ORDER_LIST)};

int api_param_id(struct api_request *r, size_t index, struct id *out, struct err *err,
                 const char *not_found_format, ...) {
    ASSERT(index < r->match.param_count);
    if (id_parse(r->match.params[index], out))
        return 0;
    char text[ERR_MESSAGE_BYTES];
    va_list args;
    va_start(args, not_found_format);
    int len = vsnprintf(text, sizeof(text), not_found_format, args);
    va_end(args);
    ASSERT(len >= 0);
    return err_set(err, ERR_NOT_FOUND, "%s", text);
}

int api_param_assistant(struct api_request *r, size_t index, struct id *out, struct err *err) {
    ASSERT(index < r->match.param_count);
    str name = r->match.params[index];
    if (id_parse(name, out))
        return 0;
    if (!engine_has_graph(r->engine, name))
        return err_set(err, ERR_NOT_FOUND, "Assistant not found");
    *out = assistant_id_of_graph(name);
    return 0;
}

int api_assistant_unknown(str name, struct err *err) {
    return err_set(err, ERR_NOT_FOUND,
                   "No assistant found for \"%.*s\". Make sure the assistant ID is for a valid "
                   "assistant or a valid graph ID.",
                   (int)(name.len < 100 ? name.len : 100), name.p);
}

int api_body_object(struct api_request *r, struct err *err) {
    if (yyjson_is_obj(r->body))
        return 0;
    return err_set(err, ERR_INVALID, "body: must be a JSON object");
}

int api_check_version(struct api_request *r, const char *what, int64_t version, struct err *err) {
    yyjson_val *given = json_get(r->body, "version");
    if (!given || yyjson_is_null(given))
        return 0;
    if (!yyjson_is_int(given))
        return err_set(err, ERR_INVALID, "version: must be an integer");
    return yyjson_get_sint(given) == version
               ? 0
               : err_set(err, ERR_CONFLICT, "The %s is at version %lld", what, (long long)version);
}

int api_change(struct api_request *r, const char *missing, api_change_fn *once, void *row,
               struct err *err) {
    struct id id;
    bool again = true;
    int rc = api_param_id(r, 0, &id, err, "%s", missing);
    for (int i = 0; (rc == 0 || rc == ERR_CONFLICT) && again && i < CHANGE_TRIES_MAX; i++) {
        again = false;
        rc = once(r, id, row, &again, err);
    }
    return rc;
}

int api_named_page(struct api_request *r, str *out_after, int64_t *out_limit, struct err *err) {
    *out_after = http_query_get(&r->query, "after");
    return api_query_int(r, "limit", (struct body_range){1, NAMED_PAGE_MAX, NAMED_PAGE}, out_limit,
                         err);
}

struct page api_page_read(struct body *b, int64_t limit_default) {
    struct body_range limits = {1, PAGE_LIMIT_MAX, limit_default};
    struct body_range offsets = {0, PAGE_OFFSET_MAX, 0};
    return (struct page){
        .limit = body_int(b, "limit", limits),
        .offset = body_int(b, "offset", offsets),
        .order = (enum sort_order)body_enum(b, "sort_order", &SORT_ORDERS, SORT_DESC),
    };
}

str api_filter_read(struct body *b, const char *key) {
    yyjson_val *v = body_object_val(b, key);
    return yyjson_obj_size(v) > 0 ? json_text(b->a, v) : STR_NULL;
}

unsigned api_fields_read(struct body *b, const char *key, const struct word_set *words,
                         unsigned all) {
    yyjson_val *list = body_str_array(b, key), *item;
    size_t i, count;
    unsigned fields = 0;
    yyjson_arr_foreach(list, i, count, item) {
        int value;
        if (word_parse(words, json_str(item), &value))
            fields |= 1u << value;
        else
            body_fault(b, key, "unknown field %.40s", yyjson_get_str(item));
    }
    return fields ? fields : all;
}

int api_query_fields(struct api_request *r, const char *name, const struct word_set *words,
                     unsigned all, unsigned *out, struct err *err) {
    str *list;
    size_t count;
    unsigned fields = 0;
    int rc = http_query_list(r->arena, &r->query, name, true, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int value;
        if (word_parse(words, list[i], &value))
            fields |= 1u << value;
        else
            rc = err_set(err, ERR_INVALID, "%s: unknown field " STR_FMT, name,
                         STR_ARG(str_slice(list[i], 0, 40)));
    }
    *out = fields ? fields : all;
    return rc;
}

int api_query_int(struct api_request *r, const char *name, struct body_range range, int64_t *out,
                  struct err *err) {
    str text = http_query_get(&r->query, name);
    int64_t value = range.fallback;
    if (text.len > 0 && (!str_to_i64(text, &value) || value < range.min || value > range.max))
        return err_set(err, ERR_INVALID, "%s: must be an integer between %lld and %lld", name,
                       (long long)range.min, (long long)range.max);
    *out = value;
    return 0;
}

void api_page_headers(struct api_request *r, const struct page *page, size_t count, bool more) {
    long long end = (long long)page->offset + (long long)count;
    http_reply_header(r->http, STR("X-Pagination-Total"),
                      arena_printf(r->arena, "%lld", end + (more ? 1 : 0)));
    if (more)
        http_reply_header(r->http, STR("X-Pagination-Next"), arena_printf(r->arena, "%lld", end));
}

bool api_cancels_on_disconnect(const struct api_request *r) {
    return !r->who.read_only && http_query_bool(&r->query, "cancel_on_disconnect", false);
}
