/* SPDX-License-Identifier: Apache-2.0 */
/* json_compare.c - equality, containment and the canonical form of JSON values.
 *
 * All of them see an object as a set of members without duplicates (struct json_members). With more
 * than MEMBERS_LINEAR of them the set is indexed by a map, so a comparison stays linear in the size
 * of the documents whatever a client sends; only containment of arrays is quadratic, as its
 * definition asks for any element that fits.
 *
 * They recurse, at most JSON_DEPTH_MAX deep as documents come from json_parse; the frames are kept
 * small (the sets live on the heap) because this runs on fibers. Numbers are equal by value, 1 and
 * 1.0 too, as in Postgres; the canonical text keeps them apart. */
#include "base/json_int.h"

#include <math.h>

#include "base/mem.h"

#define MEMBERS_LINEAR 8

static yyjson_val **member_slot(const struct json_members *m, str key) {
    for (size_t i = 0; i < m->count; i++)
        if (str_eq(json_str(m->keys[i]), key))
            return &m->keys[i];
    return NULL;
}

void json_members_init(struct json_members *m, yyjson_val *obj) {
    *m = (struct json_members){0};
    size_t len = yyjson_obj_size(obj);
    if (len == 0)
        return;
    m->keys = mem_alloc(len * sizeof(yyjson_val *));
    bool indexed = len > MEMBERS_LINEAR;
    yyjson_val *k = unsafe_yyjson_get_first(obj);
    for (size_t i = 0; i < len; i++, k = unsafe_yyjson_get_next(k + 1)) {
        str key = json_str(k);
        yyjson_val **seen = indexed ? map_get(&m->index, key) : member_slot(m, key);
        if (seen) {
            *seen = k;
            continue;
        }
        m->keys[m->count] = k;
        if (indexed)
            (void)map_put(&m->index, key, &m->keys[m->count]); /* a new key replaces nothing */
        m->count++;
    }
}

void json_members_deinit(struct json_members *m) {
    map_deinit(&m->index);
    mem_free(m->keys);
    *m = (struct json_members){0};
}

yyjson_val *json_members_find(const struct json_members *m, str key) {
    yyjson_val **slot = m->index.count ? map_get(&m->index, key) : member_slot(m, key);
    return slot ? *slot + 1 : NULL;
}

static int key_order(const void *a, const void *b) {
    return str_cmp(json_str(*(yyjson_val *const *)a), json_str(*(yyjson_val *const *)b));
}

void json_members_sort(struct json_members *m) {
    map_deinit(&m->index); /* it points at places that change */
    if (m->count > 1)
        qsort(m->keys, m->count, sizeof(yyjson_val *), key_order);
}

static bool int_equals_real(yyjson_val *i, double d) {
    if (yyjson_is_uint(i))
        return d >= 0 && d < 0x1p64 && d == floor(d) && (uint64_t)d == yyjson_get_uint(i);
    return d >= -0x1p63 && d < 0x1p63 && d == floor(d) && (int64_t)d == yyjson_get_sint(i);
}

/* -0 is a signed integer that is not negative. */
static bool int_is_negative(yyjson_val *i) { return yyjson_is_sint(i) && yyjson_get_sint(i) < 0; }

static bool number_equal(yyjson_val *a, yyjson_val *b) {
    if (yyjson_is_real(a) && yyjson_is_real(b))
        return yyjson_get_real(a) == yyjson_get_real(b);
    if (yyjson_is_real(a))
        return int_equals_real(b, yyjson_get_real(a));
    if (yyjson_is_real(b))
        return int_equals_real(a, yyjson_get_real(b));
    return int_is_negative(a) == int_is_negative(b) && yyjson_get_uint(a) == yyjson_get_uint(b);
}

static bool scalar_equal(yyjson_val *a, yyjson_val *b) {
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_NULL:
        return true;
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(a) == yyjson_get_bool(b);
    case YYJSON_TYPE_NUM:
        return number_equal(a, b);
    default: /* strings and raw numbers: by their bytes */
        return str_eq(str_n(a->uni.str, unsafe_yyjson_get_len(a)),
                      str_n(b->uni.str, unsafe_yyjson_get_len(b)));
    }
}

static bool array_equal(yyjson_val *a, yyjson_val *b) {
    size_t len = yyjson_arr_size(a);
    if (len != yyjson_arr_size(b))
        return false;
    yyjson_val *x = unsafe_yyjson_get_first(a), *y = unsafe_yyjson_get_first(b);
    for (; len; len--) {
        if (!json_equal(x, y))
            return false;
        x = unsafe_yyjson_get_next(x);
        y = unsafe_yyjson_get_next(y);
    }
    return true;
}

/* Each member of part is in whole, and fits by `fits`. */
static bool members_within(const struct json_members *whole, const struct json_members *part,
                           bool (*fits)(yyjson_val *whole, yyjson_val *part)) {
    for (size_t i = 0; i < part->count; i++) {
        yyjson_val *v = json_members_find(whole, json_str(part->keys[i]));
        if (!v || !fits(v, part->keys[i] + 1))
            return false;
    }
    return true;
}

static bool object_within(yyjson_val *whole, yyjson_val *part, bool same_count,
                          bool (*fits)(yyjson_val *whole, yyjson_val *part)) {
    struct json_members w, p;
    json_members_init(&w, whole);
    json_members_init(&p, part);
    bool within = (!same_count || w.count == p.count) && members_within(&w, &p, fits);
    json_members_deinit(&w);
    json_members_deinit(&p);
    return within;
}

bool json_equal(yyjson_val *a, yyjson_val *b) {
    if (!a || !b)
        return a == b;
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    if (yyjson_is_obj(a))
        return object_within(a, b, true, json_equal);
    if (yyjson_is_arr(a))
        return array_equal(a, b);
    return scalar_equal(a, b);
}

/* A long double holds every integer of 64 bits and every double. */
static bool number_of(yyjson_val *v, long double *out) {
    double real;
    if (yyjson_is_raw(v)) { /* an integer beyond 64 bits */
        if (!str_to_double(str_n(v->uni.str, unsafe_yyjson_get_len(v)), &real))
            return false;
        *out = real;
        return true;
    }
    if (!yyjson_is_num(v))
        return false;
    *out = yyjson_is_real(v)   ? (long double)yyjson_get_real(v)
           : yyjson_is_sint(v) ? (long double)yyjson_get_sint(v)
                               : (long double)yyjson_get_uint(v);
    return true;
}

bool json_order(yyjson_val *a, yyjson_val *b, int *out) {
    long double x, y;
    if (number_of(a, &x) && number_of(b, &y)) {
        *out = (x > y) - (x < y);
        return true;
    }
    if (!yyjson_is_str(a) || !yyjson_is_str(b))
        return false;
    *out = str_cmp(json_str(a), json_str(b));
    return true;
}

static bool value_contains(yyjson_val *whole, yyjson_val *part);

/* Whether some element of the array equals (scalars) or contains (containers) v. */
static bool array_has(yyjson_val *array, yyjson_val *v) {
    yyjson_val *x = unsafe_yyjson_get_first(array);
    for (size_t left = yyjson_arr_size(array); left; left--, x = unsafe_yyjson_get_next(x))
        if (value_contains(x, v))
            return true;
    return false;
}

static bool value_contains(yyjson_val *whole, yyjson_val *part) {
    if (yyjson_get_type(whole) != yyjson_get_type(part))
        return false;
    if (yyjson_is_obj(whole))
        return object_within(whole, part, false, value_contains);
    if (!yyjson_is_arr(whole))
        return scalar_equal(whole, part);
    yyjson_val *x = unsafe_yyjson_get_first(part);
    for (size_t left = yyjson_arr_size(part); left; left--, x = unsafe_yyjson_get_next(x))
        if (!array_has(whole, x))
            return false;
    return true;
}

bool json_contains(yyjson_val *whole, yyjson_val *part) {
    if (!whole || !part)
        return false;
    /* Postgres' exception: an array contains a bare scalar, at the top level only. */
    if (yyjson_is_arr(whole) && !yyjson_is_ctn(part))
        return array_has(whole, part);
    return value_contains(whole, part);
}

static void canonical_write(struct json_writer *w, yyjson_val *v) {
    if (yyjson_is_arr(v)) {
        jw_array(w);
        yyjson_val *x = unsafe_yyjson_get_first(v);
        for (size_t left = yyjson_arr_size(v); left; left--, x = unsafe_yyjson_get_next(x))
            canonical_write(w, x);
        jw_array_end(w);
    } else if (yyjson_is_obj(v)) {
        struct json_members m;
        json_members_init(&m, v);
        json_members_sort(&m);
        jw_object(w);
        for (size_t i = 0; i < m.count; i++) {
            jw_key_str(w, json_str(m.keys[i]));
            canonical_write(w, m.keys[i] + 1);
        }
        jw_object_end(w);
        json_members_deinit(&m);
    } else {
        jw_val(w, v);
    }
}

void json_write_canonical(struct buf *b, yyjson_val *v) {
    struct json_writer w = json_writer(b);
    canonical_write(&w, v);
}
