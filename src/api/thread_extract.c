/* SPDX-License-Identifier: Apache-2.0 */
/* thread_extract.c - `extract` of a thread search: parts of threads under names of the client's.
 *
 * A path is a root (values, metadata, config, interrupts) and steps: `.name` a member, `[n]` an
 * item, counted from the end when negative. What a thread does not have is null. Paths are checked
 * when the request is read: a wrong one is told to the client and not answered with nulls. */
#include "api/api_int.h"

#define PATH_BYTES_MAX 512

static bool root_known(str root) {
    return str_eq(root, STR("values")) || str_eq(root, STR("metadata")) ||
           str_eq(root, STR("config")) || str_eq(root, STR("interrupts"));
}

static size_t name_len(str s) {
    size_t len = 0;
    while (len < s.len && s.p[len] != '.' && s.p[len] != '[')
        len++;
    return len;
}

static yyjson_val *item_at(yyjson_val *list, int64_t index) {
    int64_t count = (int64_t)yyjson_arr_size(list);
    if (index < 0)
        index += count;
    return index >= 0 && index < count ? yyjson_arr_get(list, (size_t)index) : NULL;
}

/* Takes one step off *rest; false when it is malformed. With *at NULL only the form counts. */
static bool step(str *rest, yyjson_val **at) {
    if (rest->p[0] == '.') {
        str name = str_slice(*rest, 1, rest->len);
        name.len = name_len(name);
        *rest = str_slice(*rest, 1 + name.len, rest->len);
        *at = json_get_str(*at, name);
        return name.len > 0;
    }
    ptrdiff_t end = str_find_char(*rest, ']');
    int64_t index;
    if (rest->p[0] != '[' || end < 0 || !str_to_i64(str_slice(*rest, 1, (size_t)end), &index) ||
        index < INT32_MIN || index > INT32_MAX)
        return false;
    *at = item_at(*at, index);
    *rest = str_slice(*rest, (size_t)end + 1, rest->len);
    return true;
}

static bool walk(str path, yyjson_val **at) {
    str rest = str_slice(path, name_len(path), path.len);
    while (rest.len > 0)
        if (!step(&rest, at))
            return false;
    return true;
}

void api_extract_read(struct body *b, struct api_extract *out) {
    *out = (struct api_extract){.count = 0};
    yyjson_val *object = body_object_val(b, "extract");
    if (yyjson_obj_size(object) > API_EXTRACT_COUNT_MAX) {
        body_fault(b, "extract", "at most %d paths", API_EXTRACT_COUNT_MAX);
        return;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
        str path = json_str(yyjson_obj_iter_get_val(key));
        yyjson_val *nothing = NULL;
        str root = str_slice(path, 0, name_len(path));
        if (!path.p || path.len > PATH_BYTES_MAX || !root_known(root) || !walk(path, &nothing)) {
            body_fault(b, "extract", "\"%.60s\" must be a path such as values.messages[-1]",
                       yyjson_get_str(key));
            return;
        }
        out->values = out->values || str_eq(root, STR("values"));
        out->items[out->count].alias = json_str(key);
        out->items[out->count++].path = path;
    }
}

static str text_of_root(const struct thread *t, str values, str root) {
    switch (root.p[0]) {
    case 'v':
        return values;
    case 'm':
        return t->metadata;
    case 'c':
        return t->config;
    default:
        return t->interrupts;
    }
}

str api_extract_make(struct arena *a, const struct api_extract *x, const struct thread *t,
                     str values) {
    if (x->count == 0)
        return STR_NULL;
    struct buf b;
    buf_init(&b, API_STATE_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < x->count; i++) {
        str path = x->items[i].path, root = str_slice(path, 0, name_len(path));
        str text = text_of_root(t, values, root);
        yyjson_val *at = NULL;
        if (text.len > 0 && json_parse(a, text, &at, NULL) == 0)
            (void)walk(path, &at); /* its form was checked when it was read */
        jw_key_str(&w, x->items[i].alias);
        jw_val(&w, at);
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}
