/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c - JSON Schema for parameters.
 *
 * A place is written as a path ("params.items[2].name") on the way down, into one buffer that is
 * cut back on the way up. */
#include "model/schema.h"

#include "model/words.h"

#define PATH_BYTES_MAX 200

enum type { T_NULL, T_BOOLEAN, T_INTEGER, T_NUMBER, T_STRING, T_ARRAY, T_OBJECT };
static const struct word TYPE_LIST[] = {
    {STR("null"), T_NULL},     {STR("boolean"), T_BOOLEAN}, {STR("integer"), T_INTEGER},
    {STR("number"), T_NUMBER}, {STR("string"), T_STRING},   {STR("array"), T_ARRAY},
    {STR("object"), T_OBJECT}};
static const struct word_set TYPES = {TYPE_LIST, ARRAY_COUNT(TYPE_LIST)};

struct place {
    char text[PATH_BYTES_MAX + 1];
    size_t len;
};

static size_t go(struct place *p, const char *before, str name, const char *behind) {
    size_t was = p->len;
    const str parts[] = {str_of(before), str_slice(name, 0, 60), str_of(behind)};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        for (size_t k = 0; k < parts[i].len && p->len < PATH_BYTES_MAX; k++)
            p->text[p->len++] = parts[i].p[k];
    p->text[p->len] = '\0';
    return was;
}

static void back(struct place *p, size_t was) { p->text[p->len = was] = '\0'; }

/* --- schemas --- */

static int wrong(const struct place *p, struct err *err, str key, const char *what) {
    return err_set(err, ERR_INVALID, "%s." STR_FMT ": %s", p->text,
                   STR_ARG(str_slice(key, 0, 60)), what);
}

static bool type_known(yyjson_val *v) {
    int type;
    return yyjson_is_str(v) && word_parse(&TYPES, json_str(v), &type);
}

static bool types_known(yyjson_val *v) {
    yyjson_val *item;
    size_t i, n;
    if (!yyjson_is_arr(v))
        return type_known(v);
    yyjson_arr_foreach(v, i, n, item) {
        if (!type_known(item))
            return false;
    }
    return yyjson_arr_size(v) > 0;
}

static bool strings(yyjson_val *v) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(v, i, n, item) {
        if (!yyjson_is_str(item))
            return false;
    }
    return yyjson_is_arr(v);
}

static bool among(str key, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (str_eq(key, str_of(list[i])))
            return true;
    return false;
}

static int check(yyjson_val *schema, struct place *p, int depth, struct err *err);

static int check_properties(yyjson_val *v, struct place *p, int depth, struct err *err) {
    yyjson_val *key, *item;
    size_t i, n;
    if (!yyjson_is_obj(v))
        return wrong(p, err, STR("properties"), "must be an object");
    yyjson_obj_foreach(v, i, n, key, item) {
        size_t was = go(p, ".", json_str(key), "");
        int rc = check(item, p, depth + 1, err);
        back(p, was);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_word(str key, yyjson_val *v, struct place *p, int depth, struct err *err) {
    static const char *const notes[] = {"title",  "description", "default", "examples",
                                        "format", "deprecated",  "$schema", "$id"};
    static const char *const numbers[] = {"minimum", "maximum", "exclusiveMinimum",
                                          "exclusiveMaximum"};
    static const char *const counts[] = {"minLength", "maxLength", "minItems", "maxItems"};
    if (among(key, notes, ARRAY_COUNT(notes)) || str_eq(key, STR("const")))
        return 0;
    if (str_eq(key, STR("type")))
        return types_known(v) ? 0 : wrong(p, err, key, "must name types");
    if (str_eq(key, STR("properties")))
        return check_properties(v, p, depth, err);
    if (str_eq(key, STR("items"))) {
        size_t was = go(p, "[]", STR(""), "");
        int rc = check(v, p, depth + 1, err);
        back(p, was);
        return rc;
    }
    if (str_eq(key, STR("required")))
        return strings(v) ? 0 : wrong(p, err, key, "must be a list of names");
    if (str_eq(key, STR("additionalProperties")))
        return yyjson_is_bool(v) ? 0 : wrong(p, err, key, "must be true or false");
    if (str_eq(key, STR("enum")))
        return yyjson_arr_size(v) ? 0 : wrong(p, err, key, "must be a list of values");
    if (among(key, numbers, ARRAY_COUNT(numbers)))
        return yyjson_is_num(v) ? 0 : wrong(p, err, key, "must be a number");
    if (among(key, counts, ARRAY_COUNT(counts)))
        return yyjson_is_uint(v) ? 0 : wrong(p, err, key, "must be a number from 0 on");
    return wrong(p, err, key, "is not a word that is looked at");
}

static int check(yyjson_val *schema, struct place *p, int depth, struct err *err) {
    yyjson_val *key, *item;
    size_t i, n;
    if (!yyjson_is_obj(schema))
        return err_set(err, ERR_INVALID, "%s: a schema is an object", p->text);
    if (depth > SCHEMA_DEPTH_MAX)
        return err_set(err, ERR_INVALID, "%s: is nested more than %d deep", p->text,
                       SCHEMA_DEPTH_MAX);
    yyjson_obj_foreach(schema, i, n, key, item) {
        int rc = check_word(json_str(key), item, p, depth, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int schema_check(yyjson_val *schema, struct err *err) {
    struct place p = {.text = "parameters", .len = 10};
    return check(schema, &p, 0, err);
}

/* --- values --- */

static int unfit(const struct place *p, struct err *err, const char *what, yyjson_val *limit) {
    if (!limit)
        return err_set(err, ERR_INVALID, "%s: %s", p->text, what);
    return err_set(err, ERR_INVALID, "%s: %s %g", p->text, what, yyjson_get_num(limit));
}

static bool has_type(yyjson_val *v, str name) {
    int type = T_NULL;
    (void)word_parse(&TYPES, name, &type); /* it was checked */
    switch ((enum type)type) {
    case T_NULL: return yyjson_is_null(v);
    case T_BOOLEAN: return yyjson_is_bool(v);
    case T_INTEGER:
        return yyjson_is_int(v) ||
               (yyjson_is_real(v) && yyjson_get_real(v) == __builtin_floor(yyjson_get_real(v)));
    case T_NUMBER: return yyjson_is_num(v);
    case T_STRING: return yyjson_is_str(v);
    case T_ARRAY: return yyjson_is_arr(v);
    case T_OBJECT: return yyjson_is_obj(v);
    }
    return false;
}

static bool type_fits(yyjson_val *types, yyjson_val *v) {
    yyjson_val *item;
    size_t i, n;
    if (!types)
        return true;
    if (yyjson_is_str(types))
        return has_type(v, json_str(types));
    yyjson_arr_foreach(types, i, n, item) {
        if (has_type(v, json_str(item)))
            return true;
    }
    return false;
}

static size_t characters(str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static int check_count(yyjson_val *schema, const char *min, const char *max, size_t n,
                       const struct place *p, struct err *err) {
    yyjson_val *low = json_get(schema, min), *high = json_get(schema, max);
    if (low && n < yyjson_get_uint(low))
        return unfit(p, err, "its length must be at least", low);
    if (high && n > yyjson_get_uint(high))
        return unfit(p, err, "its length must be at most", high);
    return 0;
}

static int check_number(yyjson_val *schema, yyjson_val *v, const struct place *p,
                        struct err *err) {
    static const struct {
        const char *key, *text;
        int from, to; /* of the comparison with the limit */
    } rules[] = {{"minimum", "must be at least", 0, 1},
                 {"maximum", "must be at most", -1, 0},
                 {"exclusiveMinimum", "must be more than", 1, 1},
                 {"exclusiveMaximum", "must be less than", -1, -1}};
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        yyjson_val *limit = json_get(schema, rules[i].key);
        int order = 0;
        if (limit && (!json_order(v, limit, &order) || order < rules[i].from ||
                      order > rules[i].to))
            return unfit(p, err, rules[i].text, limit);
    }
    return 0;
}

static int validate(yyjson_val *schema, yyjson_val *v, struct place *p, struct err *err);

static int check_array(yyjson_val *schema, yyjson_val *v, struct place *p, struct err *err) {
    yyjson_val *items = json_get(schema, "items"), *item;
    size_t i, n;
    int rc = check_count(schema, "minItems", "maxItems", yyjson_arr_size(v), p, err);
    if (rc < 0 || !items)
        return rc;
    yyjson_arr_foreach(v, i, n, item) {
        char number[24];
        size_t len = 0, left = i;
        do
            number[sizeof(number) - ++len] = (char)('0' + left % 10);
        while (left /= 10);
        size_t was = go(p, "[", str_n(number + sizeof(number) - len, len), "]");
        rc = validate(items, item, p, err);
        back(p, was);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_object(yyjson_val *schema, yyjson_val *v, struct place *p, struct err *err) {
    yyjson_val *known = json_get(schema, "properties"), *key, *item;
    bool open = !yyjson_is_false(json_get(schema, "additionalProperties"));
    size_t i, n;
    yyjson_arr_foreach(json_get(schema, "required"), i, n, item) {
        if (!json_get_str(v, json_str(item)))
            return err_set(err, ERR_INVALID, "%s." STR_FMT ": is required", p->text,
                           STR_ARG(str_slice(json_str(item), 0, 60)));
    }
    yyjson_obj_foreach(v, i, n, key, item) {
        yyjson_val *of = json_get_str(known, json_str(key));
        size_t was = go(p, ".", json_str(key), "");
        int rc = of      ? validate(of, item, p, err)
                 : !open ? unfit(p, err, "there is no such parameter", NULL)
                         : 0;
        back(p, was);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_one_of(yyjson_val *list, yyjson_val *v) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item) {
        if (json_equal(item, v))
            return true;
    }
    return false;
}

static int validate(yyjson_val *schema, yyjson_val *v, struct place *p, struct err *err) {
    yyjson_val *list = json_get(schema, "enum"), *only = json_get(schema, "const");
    if (!type_fits(json_get(schema, "type"), v))
        return unfit(p, err, "is of another type", NULL);
    if ((list && !is_one_of(list, v)) || (only && !json_equal(only, v)))
        return unfit(p, err, "is none of the values that are allowed", NULL);
    if (yyjson_is_num(v))
        return check_number(schema, v, p, err);
    if (yyjson_is_str(v))
        return check_count(schema, "minLength", "maxLength", characters(json_str(v)), p, err);
    if (yyjson_is_arr(v))
        return check_array(schema, v, p, err);
    return yyjson_is_obj(v) ? check_object(schema, v, p, err) : 0;
}

int schema_validate(yyjson_val *schema, yyjson_val *value, const char *name, struct err *err) {
    struct place p = {.len = 0};
    (void)go(&p, "", str_of(name), "");
    return validate(schema, value, &p, err);
}

str schema_with_defaults(struct arena *a, yyjson_val *schema, str object) {
    struct buf b;
    yyjson_val *key, *item;
    size_t i, n;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(json_get(schema, "properties"), i, n, key, item) {
        yyjson_val *value = json_get(item, "default");
        if (!value)
            continue;
        jw_key_str(&w, json_str(key));
        jw_val(&w, value);
    }
    jw_object_end(&w);
    str text = json_merge(a, arena_dup(a, buf_view(&b)), object);
    buf_deinit(&b);
    return text;
}
