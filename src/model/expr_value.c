/* SPDX-License-Identifier: Apache-2.0 */
/* expr_value.c - the values that expressions work on.
 *
 * A value that came from JSON keeps its yyjson_val and is looked into only where an expression
 * looks; what an expression makes are arrays of values and lists of members. So a projection over
 * a large document copies pointers and not the document.
 *
 * Numbers are whole (64 bits, signed) while they can be, else doubles; an integer beyond 64 bits is
 * a double to functions and keeps its digits where it is only passed on. */
#include "model/expr_int.h"

#include <math.h>

const char *expr_kind_name(enum expr_kind kind) {
    static const char *const names[] = {"null",  "boolean", "number",     "string",
                                        "array", "object",  "expression", "object"};
    return names[kind];
}

static struct expr_value number_of_json(yyjson_val *v) {
    struct expr_value out = {.kind = EXPR_NUMBER, .json = v};
    if (yyjson_is_sint(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX)) {
        out.integer = true;
        out.whole = yyjson_get_sint(v);
        out.real = (double)out.whole;
    } else if (yyjson_is_raw(v)) {
        if (!str_to_double(str_n(yyjson_get_raw(v), yyjson_get_len(v)), &out.real))
            out.real = 0;
    } else {
        out.real = yyjson_get_num(v);
    }
    return out;
}

struct expr_value expr_of_json(yyjson_val *v) {
    struct expr_value out = {.kind = EXPR_NULL, .json = v};
    if (yyjson_is_bool(v)) {
        out.kind = EXPR_BOOL;
        out.boolean = yyjson_get_bool(v);
    } else if (yyjson_is_num(v) || yyjson_is_raw(v)) {
        return number_of_json(v);
    } else if (yyjson_is_str(v)) {
        out.kind = EXPR_STRING;
        out.string = json_str(v);
    } else if (yyjson_is_arr(v)) {
        out.kind = EXPR_ARRAY;
    } else if (yyjson_is_obj(v)) {
        out.kind = EXPR_OBJECT;
    }
    return out;
}

struct expr_value expr_of_str(str s) {
    return (struct expr_value){.kind = EXPR_STRING, .string = s};
}

struct expr_value expr_of_bool(bool v) {
    return (struct expr_value){.kind = EXPR_BOOL, .boolean = v};
}

struct expr_value expr_of_int(int64_t v) {
    return (struct expr_value){.kind = EXPR_NUMBER, .integer = true, .whole = v, .real = (double)v};
}

struct expr_value expr_of_real(double v) {
    if (v == trunc(v) && fabs(v) < 9007199254740992.0)
        return expr_of_int((int64_t)v);
    return (struct expr_value){.kind = EXPR_NUMBER, .real = v};
}

struct expr_value expr_of_items(const struct expr_value *items, size_t count) {
    return (struct expr_value){.kind = EXPR_ARRAY, .items = items, .count = count};
}

struct expr_value expr_of_members(const struct expr_member *members, size_t count) {
    return (struct expr_value){.kind = EXPR_OBJECT, .members = members, .count = count};
}

struct expr_value expr_of_lazy(expr_load_fn load, void *ctx) {
    return (struct expr_value){.kind = EXPR_LAZY, .load = load, .load_ctx = ctx};
}

static struct expr_value loaded(const struct expr_member *m) {
    return m->value.kind == EXPR_LAZY ? m->value.load(m->value.load_ctx, m->key) : m->value;
}

/* --- looking --- */

size_t expr_count(const struct expr_value *v) {
    if (v->kind == EXPR_ARRAY)
        return v->json ? yyjson_arr_size(v->json) : v->count;
    if (v->kind == EXPR_OBJECT)
        return v->json ? yyjson_obj_size(v->json) : v->count;
    return 0;
}

bool expr_is_true(const struct expr_value *v) {
    switch (v->kind) {
    case EXPR_NULL:
        return false;
    case EXPR_BOOL:
        return v->boolean;
    case EXPR_STRING:
        return v->string.len > 0;
    case EXPR_ARRAY:
    case EXPR_OBJECT:
        return expr_count(v) > 0;
    default:
        return true;
    }
}

struct expr_value expr_at(const struct expr_value *array, size_t index) {
    if (array->kind != EXPR_ARRAY || index >= expr_count(array))
        return (struct expr_value){0};
    return array->json ? expr_of_json(yyjson_arr_get(array->json, index)) : array->items[index];
}

struct expr_value expr_member(const struct expr_value *object, str key) {
    if (object->kind != EXPR_OBJECT)
        return (struct expr_value){0};
    if (object->json)
        return expr_of_json(json_get_str(object->json, key));
    for (size_t i = object->count; i > 0; i--)
        if (str_eq(object->members[i - 1].key, key))
            return loaded(&object->members[i - 1]);
    return (struct expr_value){0};
}

int expr_items(struct expr_run *r, const struct expr_value *v, const struct expr_value **out) {
    size_t count = expr_count(v), i, n;
    yyjson_val *item, *key;
    struct expr_value *items;
    int rc = expr_step(r, count);
    if (rc < 0)
        return rc;
    if (v->kind == EXPR_ARRAY && !v->json) {
        *out = v->items;
        return 0;
    }
    rc = expr_alloc(r, count, sizeof(*items), &items);
    if (rc < 0)
        return rc;
    if (v->kind == EXPR_ARRAY) {
        yyjson_arr_foreach(v->json, i, n, item) { items[i] = expr_of_json(item); }
    } else if (v->json) {
        yyjson_obj_foreach(v->json, i, n, key, item) { items[i] = expr_of_json(item); }
    } else {
        for (i = 0; i < count; i++)
            items[i] = loaded(&v->members[i]);
    }
    *out = items;
    return 0;
}

int expr_members(struct expr_run *r, const struct expr_value *v, const struct expr_member **out,
                 size_t *out_count) {
    size_t count = expr_count(v), i, n;
    yyjson_val *item, *key;
    struct expr_member *members;
    int rc = expr_step(r, count);
    if (rc == 0)
        rc = expr_alloc(r, count, sizeof(*members), &members);
    if (rc < 0)
        return rc;
    if (v->json) {
        yyjson_obj_foreach(v->json, i, n, key, item) {
            members[i] = (struct expr_member){json_str(key), expr_of_json(item)};
        }
    } else {
        for (i = 0; i < count; i++)
            members[i] = (struct expr_member){v->members[i].key, loaded(&v->members[i])};
    }
    *out = members;
    *out_count = count;
    return 0;
}

/* --- comparing --- */

static bool equal_items(struct expr_run *r, const struct expr_value *a,
                        const struct expr_value *b) {
    const struct expr_value *x, *y;
    if (expr_count(a) != expr_count(b) || expr_items(r, a, &x) < 0 || expr_items(r, b, &y) < 0)
        return false;
    for (size_t i = 0; i < expr_count(a); i++)
        if (!expr_equal(r, &x[i], &y[i]))
            return false;
    return true;
}

static bool equal_members(struct expr_run *r, const struct expr_value *a,
                          const struct expr_value *b) {
    const struct expr_member *x;
    size_t count;
    if (expr_count(a) != expr_count(b) || expr_members(r, a, &x, &count) < 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (expr_step(r, 1 + count / 8) < 0) /* the look-up goes through the members */
            return false;
        struct expr_value y = expr_member(b, x[i].key);
        /* A member that is null, or none? */
        if (y.kind == EXPR_NULL && b->json && !json_get_str(b->json, x[i].key))
            return false;
        if (!expr_equal(r, &x[i].value, &y))
            return false;
    }
    return true;
}

/* False, too, when a limit is passed: the caller finds that in steps_left. */
bool expr_equal(struct expr_run *r, const struct expr_value *a, const struct expr_value *b) {
    if (a->kind != b->kind || expr_step(r, 1) < 0)
        return false;
    switch (a->kind) {
    case EXPR_NULL:
        return true;
    case EXPR_BOOL:
        return a->boolean == b->boolean;
    case EXPR_NUMBER:
        return a->integer && b->integer ? a->whole == b->whole : a->real == b->real;
    case EXPR_STRING:
        return str_eq(a->string, b->string);
    case EXPR_ARRAY:
        return equal_items(r, a, b);
    case EXPR_OBJECT:
        return equal_members(r, a, b);
    default:
        return false;
    }
}

/* --- writing --- */

static void write_object(struct json_writer *w, const struct expr_value *v) {
    jw_object(w);
    for (size_t i = 0; i < v->count && buf_ok(w->b); i++) {
        struct expr_value member = loaded(&v->members[i]);
        jw_key_str(w, v->members[i].key);
        expr_write(w, &member);
    }
    jw_object_end(w);
}

void expr_write(struct json_writer *w, const struct expr_value *v) {
    if (v->json) {
        jw_val(w, v->json);
        return;
    }
    switch (v->kind) {
    case EXPR_BOOL:
        jw_bool(w, v->boolean);
        break;
    case EXPR_NUMBER:
        if (v->integer)
            jw_i64(w, v->whole);
        else
            jw_double(w, v->real);
        break;
    case EXPR_STRING:
        jw_str(w, v->string.p ? v->string : STR(""));
        break;
    case EXPR_ARRAY:
        jw_array(w);
        for (size_t i = 0; i < v->count && buf_ok(w->b); i++)
            expr_write(w, &v->items[i]);
        jw_array_end(w);
        break;
    case EXPR_OBJECT:
        write_object(w, v);
        break;
    default:
        jw_null(w);
    }
}

int expr_json(struct arena *a, const struct expr_value *v, size_t bytes_max, str *out,
              struct err *err) {
    struct buf b;
    buf_init(&b, bytes_max);
    struct json_writer w = json_writer(&b);
    expr_write(&w, v);
    bool fits = buf_ok(&b);
    if (fits)
        *out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return fits ? 0
                : err_set(err, ERR_TOO_LARGE,
                          "the value of the expression is longer than %zu bytes", bytes_max);
}
