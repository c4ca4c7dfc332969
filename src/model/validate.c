/* SPDX-License-Identifier: Apache-2.0 */
/* validate.c - typed reading of a request body.
 *
 * Design: faults are appended to one struct err as "key: text", joined by "; ", as long as they
 * fit; the first ones win, since the first is what a person reads. Readers never stop the caller,
 * so handlers stay straight-line code. Whole doubles (10.0) count as integers, because some
 * clients' languages know no other numbers; booleans and numbers in strings do not convert.
 * Invariant: a reader returns its fallback, never half a value, whenever it has noted a fault. */
#include "model/validate.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void body_init(struct body *b, struct arena *a, yyjson_val *root) {
    *b = (struct body){.a = a, .root = yyjson_is_obj(root) ? root : NULL};
    if (root && !yyjson_is_obj(root))
        err_set(&b->faults, ERR_INVALID, "body: must be a JSON object");
}

int body_done(const struct body *b, struct err *err) {
    if (b->faults.code == 0)
        return 0;
    return err_set(err, b->faults.code, "%s", b->faults.message);
}

void body_fault(struct body *b, const char *key, const char *format, ...) {
    char text[ERR_MESSAGE_BYTES], joined[ERR_MESSAGE_BYTES * 2];
    va_list args;
    va_start(args, format);
    int written = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ASSERT(written >= 0);
    bool first = b->faults.code == 0;
    int need = snprintf(joined, sizeof(joined), "%s%s%s: %s", first ? "" : b->faults.message,
                        first ? "" : "; ", key, text);
    ASSERT(need >= 0);
    if (!first && need >= ERR_MESSAGE_BYTES)
        return;
    err_set(&b->faults, ERR_INVALID, "%s", joined);
}

bool body_has(const struct body *b, const char *key) { return b->root && json_has(b->root, key); }

yyjson_val *body_get(const struct body *b, const char *key) {
    yyjson_val *v = json_get(b->root, key);
    return v && !yyjson_is_null(v) ? v : NULL;
}

str body_str(struct body *b, const char *key, str fallback) {
    yyjson_val *v = body_get(b, key);
    if (!v)
        return fallback;
    if (yyjson_is_str(v))
        return json_str(v);
    body_fault(b, key, "must be a string");
    return fallback;
}

str body_str_required(struct body *b, const char *key) {
    yyjson_val *v = body_get(b, key);
    if (!v) {
        body_fault(b, key, "is required");
        return STR("");
    }
    if (yyjson_is_str(v) && yyjson_get_len(v) > 0)
        return json_str(v);
    body_fault(b, key, "must be a string that is not empty");
    return STR("");
}

str body_str_sized(struct body *b, const char *key, size_t bytes_min, size_t bytes_max,
                   str fallback) {
    yyjson_val *v = body_get(b, key);
    if (!v)
        return fallback;
    str s = json_str(v);
    if (s.p && s.len >= bytes_min && s.len <= bytes_max)
        return s;
    body_fault(b, key, "must be a string of %zu to %zu bytes", bytes_min, bytes_max);
    return fallback;
}

bool body_id(struct body *b, const char *key, struct id *out) {
    yyjson_val *v = body_get(b, key);
    if (!v)
        return false;
    if (yyjson_is_str(v) && id_parse(json_str(v), out))
        return true;
    body_fault(b, key, "must be a UUID");
    return false;
}

struct id body_id_required(struct body *b, const char *key) {
    struct id id = ID_NIL;
    if (!body_get(b, key)) {
        body_fault(b, key, "is required");
        return ID_NIL;
    }
    return body_id(b, key, &id) ? id : ID_NIL;
}

/* 2^63 as a double is past INT64_MAX, so the upper bound is exclusive. */
static bool whole_number(yyjson_val *v, int64_t *out) {
    if (yyjson_is_sint(v)) {
        *out = yyjson_get_sint(v);
        return true;
    }
    if (yyjson_is_uint(v)) {
        uint64_t u = yyjson_get_uint(v);
        *out = (int64_t)u;
        return u <= INT64_MAX;
    }
    if (!yyjson_is_real(v))
        return false;
    double d = yyjson_get_real(v);
    if (!(d >= -0x1p63 && d < 0x1p63) || floor(d) != d)
        return false;
    *out = (int64_t)d;
    return true;
}

int64_t body_int(struct body *b, const char *key, struct body_range range) {
    yyjson_val *v = body_get(b, key);
    int64_t value;
    if (!v)
        return range.fallback;
    if (whole_number(v, &value) && value >= range.min && value <= range.max)
        return value;
    if (range.max == INT64_MAX && range.min == INT64_MIN)
        body_fault(b, key, "must be an integer");
    else if (range.max == INT64_MAX)
        body_fault(b, key, "must be an integer of at least %lld", (long long)range.min);
    else
        body_fault(b, key, "must be an integer between %lld and %lld", (long long)range.min,
                   (long long)range.max);
    return range.fallback;
}

double body_double(struct body *b, const char *key, double min, double max, double fallback) {
    yyjson_val *v = body_get(b, key);
    if (!v)
        return fallback;
    double value = yyjson_get_num(v);
    if (yyjson_is_num(v) && value >= min && value <= max)
        return value;
    body_fault(b, key, "must be a number between %g and %g", min, max);
    return fallback;
}

bool body_bool(struct body *b, const char *key, bool fallback) {
    yyjson_val *v = body_get(b, key);
    if (!v)
        return fallback;
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v);
    body_fault(b, key, "must be true or false");
    return fallback;
}

yyjson_val *body_object_val(struct body *b, const char *key) {
    yyjson_val *v = body_get(b, key);
    if (!v || yyjson_is_obj(v))
        return v;
    body_fault(b, key, "must be an object");
    return NULL;
}

str body_object(struct body *b, const char *key) {
    yyjson_val *v = body_object_val(b, key);
    return v ? json_text(b->a, v) : STR("{}");
}

yyjson_val *body_array(struct body *b, const char *key) {
    yyjson_val *v = body_get(b, key);
    if (!v || yyjson_is_arr(v))
        return v;
    body_fault(b, key, "must be an array");
    return NULL;
}

yyjson_val *body_str_array(struct body *b, const char *key) {
    yyjson_val *v = body_get(b, key), *item;
    size_t i, count;
    bool valid = !v || yyjson_is_arr(v);
    yyjson_arr_foreach(v, i, count, item) { valid = valid && yyjson_is_str(item); }
    if (valid)
        return v;
    body_fault(b, key, "must be an array of strings");
    return NULL;
}

str body_json(struct body *b, const char *key, str fallback) {
    yyjson_val *v = json_get(b->root, key);
    return v ? json_text(b->a, v) : fallback;
}

int body_enum(struct body *b, const char *key, const struct word_set *words, int fallback) {
    yyjson_val *v = body_get(b, key);
    int value;
    struct err refused = {0};
    if (!v)
        return fallback;
    if (yyjson_is_str(v) && word_parse(words, json_str(v), &value))
        return value;
    (void)word_refuse(words, &refused); /* wanted for its text */
    body_fault(b, key, "%s", refused.message);
    return fallback;
}
