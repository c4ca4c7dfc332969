/* SPDX-License-Identifier: Apache-2.0 */
/* preference.c - preferences: their keys, what the platform says of them, and which layer wins.
 *
 * What the platform keeps needs no look at the layers: its immutable values are one more layer, the
 * last. So a key is immutable as soon as the server says so, whatever rows there are. */
#include "model/preference.h"

static bool is_key_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool preference_is_key(str key) {
    for (size_t i = 0; i < key.len; i++)
        if (!is_key_char(key.p[i]))
            return false;
    return key.len > 0 && key.len <= PREFERENCE_KEY_BYTES_MAX && !str_eq(key, STR("effective"));
}

static int wrong(str key, const char *what, struct err *err) {
    return err_set(err, ERR_INVALID, STR_FMT ": %s",
                   STR_ARG(str_slice(key, 0, PREFERENCE_KEY_BYTES_MAX)), what);
}

static int check_key(str key, struct err *err) {
    static const char rule[] =
        "a key is of letters, digits, dots, _ and -, at most 100, and not \"effective\"";
    return preference_is_key(key) ? 0 : wrong(key, rule, err);
}

static int check_value(struct arena *a, str key, yyjson_val *value, str *out, struct err *err) {
    if (!value || yyjson_is_null(value))
        return wrong(key, "must have a value; null is none", err);
    str text = json_text(a, value);
    if (text.len > PREFERENCE_VALUE_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, STR_FMT ": a preference has at most %d bytes",
                       STR_ARG(key), PREFERENCE_VALUE_BYTES_MAX);
    *out = text;
    return 0;
}

static bool has_key(str object, str key) {
    struct arena a;
    yyjson_val *v;
    if (object.len <= 2)
        return false;
    arena_init(&a, SIZE_MAX / 2);
    bool found = json_parse(&a, object, &v, NULL) == 0 && json_get_str(v, key);
    arena_deinit(&a);
    return found;
}

bool preference_is_immutable(const struct preference_platform *p, str key) {
    return has_key(p->immutable, key);
}

int preference_check(const struct preference_platform *p, struct arena *a, str key,
                     yyjson_val *value, str *out_value, struct err *err) {
    int rc = check_key(key, err);
    if (rc == 0)
        rc = check_value(a, key, value, out_value, err);
    if (rc == 0 && preference_is_immutable(p, key))
        rc =
            err_set(err, ERR_CONFLICT, STR_FMT ": this preference is the platform's", STR_ARG(key));
    return rc;
}

str preference_effective(const struct preference_platform *p, struct arena *a, const str *layers,
                         size_t count) {
    str all = p->defaults.p ? p->defaults : STR("{}");
    for (size_t i = 0; i < count; i++)
        if (layers[i].len > 2)
            all = json_merge(a, all, layers[i]);
    return p->immutable.len > 2 ? json_merge(a, all, p->immutable) : all;
}

/* --- the platform's --- */

static int read_defaults(struct arena *a, yyjson_val *defaults, struct err *err) {
    size_t i, n;
    yyjson_val *key, *value;
    str text;
    int rc = 0;
    yyjson_obj_foreach(defaults, i, n, key, value) {
        if (rc == 0)
            rc = check_key(json_str(key), err);
        if (rc == 0)
            rc = check_value(a, json_str(key), value, &text, err);
    }
    return rc;
}

/* The members of the defaults that the list names. */
static int read_immutable(struct arena *a, yyjson_val *defaults, yyjson_val *list, str *out,
                          struct err *err) {
    size_t i, n;
    yyjson_val *key;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    int rc = 0;
    jw_object(&w);
    yyjson_arr_foreach(list, i, n, key) {
        yyjson_val *value = json_get_str(defaults, json_str(key));
        if (rc == 0 && !value)
            rc = err_set(err, ERR_INVALID, "immutable[%zu] names no default", i);
        jw_key_str(&w, json_str(key));
        jw_val(&w, value);
    }
    jw_object_end(&w);
    *out = arena_take(a, &b);
    return rc;
}

int preference_platform_read(struct arena *a, str text, struct preference_platform *out,
                             struct err *err) {
    yyjson_val *root, *key, *value;
    size_t i, n;
    int rc = json_parse(a, text, &root, err);
    if (rc < 0)
        return rc;
    yyjson_val *defaults = json_get(root, "defaults"), *list = json_get(root, "immutable");
    if (!yyjson_is_obj(root) || (defaults && !yyjson_is_obj(defaults)) ||
        (list && !yyjson_is_arr(list)))
        return err_set(err, ERR_INVALID,
                       "must be {\"defaults\": {key: value}, \"immutable\": [key]}");
    yyjson_obj_foreach(root, i, n, key, value) {
        if (value != defaults && value != list)
            return wrong(json_str(key), "is not known", err);
    }
    if (yyjson_obj_size(defaults) > PREFERENCE_COUNT_MAX)
        return err_set(err, ERR_INVALID, "defaults: there can be at most %d", PREFERENCE_COUNT_MAX);
    struct preference_platform p = {0};
    rc = read_defaults(a, defaults, err);
    if (rc == 0)
        rc = read_immutable(a, defaults, list, &p.immutable, err);
    if (rc < 0)
        return rc;
    p.defaults = defaults ? json_text(a, defaults) : STR("{}");
    *out = p;
    return 0;
}
