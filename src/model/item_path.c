/* SPDX-License-Identifier: Apache-2.0 */
/* item_path.c - finds the places of a store item that are indexed.
 *
 *   path = "$" | step { "." step }      step = name { "[" ("*" | index) "]" } | "*"
 *
 * "*" takes every element or member. An index counts from the end when it is negative. Recursion is
 * as deep as a path has steps, which its length bounds. */
#include "model/item_path.h"

#include <stdio.h>

#define STEPS_MAX 32

/* Takes the next step off; false at the end. *out_index: it stands in brackets. */
static bool step_next(str *rest, str *out, bool *out_index) {
    if (rest->len == 0)
        return false;
    if (rest->p[0] == '[') {
        ptrdiff_t end = str_find_char(*rest, ']');
        *out = end < 0 ? *rest : str_slice(*rest, 1, (size_t)end);
        *out_index = true;
        *rest = end < 0 ? STR("") : str_slice(*rest, (size_t)end + 1, rest->len);
    } else {
        size_t end = 0;
        while (end < rest->len && rest->p[end] != '.' && rest->p[end] != '[')
            end++;
        *out = str_slice(*rest, 0, end);
        *out_index = false;
        *rest = str_slice(*rest, end, rest->len);
    }
    if (rest->len > 1 && rest->p[0] == '.')
        *rest = str_slice(*rest, 1, rest->len);
    return true;
}

int item_path_check(str path, struct err *err) {
    str rest = path, step;
    bool index;
    size_t steps = 0;
    bool good = path.len > 0 && path.len <= ITEM_PATH_BYTES_MAX && path.p[path.len - 1] != '.';
    while (good && step_next(&rest, &step, &index)) {
        int64_t number;
        good = ++steps <= STEPS_MAX && step.len > 0 &&
               (!index || str_eq(step, STR("*")) || str_to_i64(step, &number));
    }
    if (!good)
        return err_set(err, ERR_INVALID, "index: " STR_FMT " is no path such as a.b, a[*].b or $",
                       STR_ARG(str_slice(path, 0, 80)));
    return 0;
}

struct walk {
    struct item_places *out;
};

static void take(struct walk *w, yyjson_val *v) {
    if (v && !yyjson_is_null(v) && w->out->count < ITEM_PLACES_MAX)
        w->out->list[w->out->count++] = (struct item_place){STR_NULL, v};
}

static void walk(struct walk *w, yyjson_val *v, str rest);

static void walk_all(struct walk *w, yyjson_val *v, str rest) {
    yyjson_arr_iter list = yyjson_arr_iter_with(v);
    for (yyjson_val *x; w->out->count < ITEM_PLACES_MAX && (x = yyjson_arr_iter_next(&list));)
        walk(w, x, rest);
    yyjson_obj_iter members = yyjson_obj_iter_with(v);
    for (yyjson_val *k; w->out->count < ITEM_PLACES_MAX && (k = yyjson_obj_iter_next(&members));)
        walk(w, yyjson_obj_iter_get_val(k), rest);
}

static yyjson_val *element(yyjson_val *array, str step) {
    int64_t at = 0, count = (int64_t)yyjson_arr_size(array);
    if (!str_to_i64(step, &at) || at < -count || at >= count)
        return NULL;
    return yyjson_arr_get(array, (size_t)(at < 0 ? at + count : at));
}

static void walk(struct walk *w, yyjson_val *v, str rest) {
    str step;
    bool index;
    if (!v || !step_next(&rest, &step, &index)) {
        take(w, v);
        return;
    }
    if (str_eq(step, STR("*")))
        walk_all(w, v, rest);
    else
        walk(w, index ? element(v, step) : json_get_str(v, step), rest);
}

void item_path_select(struct arena *a, yyjson_val *root, str path, struct item_places *out) {
    struct walk w = {.out = out};
    size_t first = out->count;
    walk(&w, root, str_eq(path, STR("$")) ? STR("") : path);
    for (size_t i = first; i < out->count; i++)
        out->list[i].name = out->count == first + 1
                                ? path
                                : arena_printf(a, STR_FMT ".%zu", STR_ARG(path), i - first);
}

str item_place_text(struct arena *a, yyjson_val *value) {
    return yyjson_is_str(value) ? json_str(value) : json_canonical(a, value);
}
