/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.c - the words of reducers; sum, product, min, max, and, or, concat, merge over JSON.
 *
 * Integers stay integers while the result fits 64 bits; then, and with any other number, doubles. A
 * new reducer: its word in enum channel_reducer and in REDUCERS, and a case in reduce_values. */
#include "engine/reduce.h"

/* --- the words of channels --- */

struct reducer_word {
    const char *word;
    enum channel_kind kind;
    enum channel_reducer reducer;
};
static const struct reducer_word REDUCERS[] = {
    {"last_value", CHANNEL_LAST_VALUE, 0},
    {"any", CHANNEL_ANY, 0},
    {"messages", CHANNEL_MESSAGES, 0},
    {"append", CHANNEL_LIST, 0},
    {"topic", CHANNEL_TOPIC, 0},
    {"ephemeral", CHANNEL_EPHEMERAL, 0},
    {"sum", CHANNEL_BINARY, REDUCE_SUM},
    {"product", CHANNEL_BINARY, REDUCE_PRODUCT},
    {"min", CHANNEL_BINARY, REDUCE_MIN},
    {"max", CHANNEL_BINARY, REDUCE_MAX},
    {"and", CHANNEL_BINARY, REDUCE_AND},
    {"or", CHANNEL_BINARY, REDUCE_OR},
    {"concat", CHANNEL_BINARY, REDUCE_CONCAT},
    {"merge", CHANNEL_BINARY, REDUCE_MERGE},
};

bool channel_read_reducer(struct channel_def *c, str word) {
    for (size_t i = 0; i < ARRAY_COUNT(REDUCERS); i++) {
        if (!str_eq(word, str_of(REDUCERS[i].word)))
            continue;
        c->kind = REDUCERS[i].kind;
        c->reducer = REDUCERS[i].reducer;
        return true;
    }
    return false;
}

bool channel_fits_initial(const struct channel_def *c, yyjson_val *v) {
    switch (c->kind) {
    case CHANNEL_MESSAGES:
    case CHANNEL_TOPIC:
        return false;
    case CHANNEL_LIST:
        return yyjson_is_arr(v);
    case CHANNEL_BINARY:
        if (c->reducer == REDUCE_AND || c->reducer == REDUCE_OR)
            return yyjson_is_bool(v);
        if (c->reducer == REDUCE_CONCAT)
            return yyjson_is_str(v) || yyjson_is_arr(v);
        return c->reducer == REDUCE_MERGE ? yyjson_is_obj(v) : yyjson_is_num(v);
    default:
        return true;
    }
}

/* --- reducing --- */

static str text_of(struct arena *a, struct buf *b) {
    ASSERT(buf_ok(b));
    str s = arena_dup(a, buf_view(b));
    buf_deinit(b);
    return s;
}

static bool small(yyjson_val *v) {
    return yyjson_is_sint(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX);
}

static bool integers(enum channel_reducer r, int64_t x, int64_t y, int64_t *out) {
    switch (r) {
    case REDUCE_SUM:
        return !__builtin_add_overflow(x, y, out);
    case REDUCE_PRODUCT:
        return !__builtin_mul_overflow(x, y, out);
    case REDUCE_MIN:
        *out = x < y ? x : y;
        return true;
    default:
        *out = x > y ? x : y;
        return true;
    }
}

static double doubles(enum channel_reducer r, double x, double y) {
    switch (r) {
    case REDUCE_SUM:
        return x + y;
    case REDUCE_PRODUCT:
        return x * y;
    case REDUCE_MIN:
        return x < y ? x : y;
    default:
        return x > y ? x : y;
    }
}

static str numbers(struct arena *a, enum channel_reducer r, yyjson_val *x, yyjson_val *y) {
    struct buf b;
    int64_t whole;
    buf_init(&b, 64);
    struct json_writer w = json_writer(&b);
    if (small(x) && small(y) && integers(r, yyjson_get_sint(x), yyjson_get_sint(y), &whole))
        jw_i64(&w, whole);
    else
        jw_double(&w, doubles(r, yyjson_get_num(x), yyjson_get_num(y)));
    return text_of(a, &b);
}

static str joined(struct arena *a, yyjson_val *x, yyjson_val *y) {
    struct buf b;
    size_t i, n;
    yyjson_val *item;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    if (yyjson_is_str(x)) {
        jw_str(&w, arena_printf(a, STR_FMT STR_FMT, STR_ARG(json_str(x)), STR_ARG(json_str(y))));
        return text_of(a, &b);
    }
    jw_array(&w);
    yyjson_arr_foreach(x, i, n, item) jw_val(&w, item);
    yyjson_arr_foreach(y, i, n, item) jw_val(&w, item);
    jw_array_end(&w);
    return text_of(a, &b);
}

int reduce_values(struct arena *a, enum channel_reducer r, yyjson_val *x, yyjson_val *y, str *out,
                  struct err *err) {
    static const char *const operands[] = {"numbers",  "numbers",  "numbers",         "numbers",
                                           "booleans", "booleans", "texts or arrays", "objects"};
    bool fit;
    switch (r) {
    case REDUCE_AND:
    case REDUCE_OR:
        fit = yyjson_is_bool(x) && yyjson_is_bool(y);
        if (fit)
            *out = (r == REDUCE_AND ? yyjson_get_bool(x) && yyjson_get_bool(y)
                                    : yyjson_get_bool(x) || yyjson_get_bool(y))
                       ? STR("true")
                       : STR("false");
        break;
    case REDUCE_CONCAT:
        fit = (yyjson_is_str(x) && yyjson_is_str(y)) || (yyjson_is_arr(x) && yyjson_is_arr(y));
        if (fit)
            *out = joined(a, x, y);
        break;
    case REDUCE_MERGE:
        fit = yyjson_is_obj(x) && yyjson_is_obj(y);
        if (fit)
            *out = json_merge(a, json_text(a, x), json_text(a, y));
        break;
    default:
        fit = yyjson_is_num(x) && yyjson_is_num(y);
        if (fit)
            *out = numbers(a, r, x, y);
        break;
    }
    return fit ? 0 : err_set(err, ERR_INVALID_UPDATE, "its reducer takes %s", operands[r]);
}
