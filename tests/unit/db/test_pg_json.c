/* SPDX-License-Identifier: Apache-2.0 */
/* test_pg_json.c - what passes the ingress (json_parse) can be kept by both databases.
 *
 * Goal: PostgreSQL takes each document that SQLite would keep, as jsonb and as text, and gives back
 * an equal one. Method: documents made at random from a seed, with everything that is known to
 * break JSON columns (NUL, lone surrogates, huge and tiny numbers, many digits, deep nesting, odd
 * keys, twice the same key), written as clients would; HF_TEST_SEED repeats a run. */
#include "../pg/fixture.h"
#include "base/json.h"

#define DOCUMENTS 3000
#define DOCUMENTS_FULL 100000

struct maker {
    uint64_t state;
    struct buf out;
    int budget;
};

static uint64_t next(struct maker *m) { /* splitmix64 */
    uint64_t z = m->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(struct maker *m, size_t n) {
    return (size_t)(next(m) % n);
}

static void make_string(struct maker *m) {
    static const char *const pieces[] = {
        "a", "owner", " ", "\\u0000", "\\ud800", "\\udfff", "\\ud83d\\ude00", "\\ud83d", "\xC3\xA9",
        "\xF0\x9F\x98\x80", "\xE2\x80\xA8", "\\n", "\\\\", "\\\"", "\\/", "\\u001f", "\x7F",
        "\\uffff", "\xEF\xBF\xBF", "'", "$1", "%s", "\xF4\x8F\xBF\xBF", "\\u0001", "\xC2\x80"};
    buf_char(&m->out, '"');
    for (size_t n = below(m, 8); n > 0; n--)
        buf_z(&m->out, pieces[below(m, ARRAY_COUNT(pieces))]);
    buf_char(&m->out, '"');
}

static void make_digits(struct maker *m, size_t count) {
    buf_char(&m->out, (char)('1' + below(m, 9)));
    while (--count > 0)
        buf_char(&m->out, (char)('0' + below(m, 10)));
}

static void make_number(struct maker *m) {
    static const char *const odd[] = {
        "0", "-0", "-0.0", "1e308", "1.7976931348623157e308", "5e-324", "1e-400", "1e400",
        "-1e999999999", "9007199254740993", "18446744073709551615", "18446744073709551616",
        "-9223372036854775809", "0.1", "1E+2", "1e-7"};
    if (below(m, 3) == 0) {
        buf_z(&m->out, odd[below(m, ARRAY_COUNT(odd))]);
        return;
    }
    if (below(m, 2))
        buf_char(&m->out, '-');
    make_digits(m, 1 + below(m, below(m, 20) ? 22 : 320));
    if (below(m, 2)) {
        buf_char(&m->out, '.');
        make_digits(m, 1 + below(m, 20));
    }
}

static void make_value(struct maker *m, int depth) {
    static const char *const words[] = {"null", "true", "false"};
    size_t kind = below(m, depth < 8 && m->budget-- > 0 ? 6 : 3);
    if (kind == 0)
        buf_z(&m->out, words[below(m, 3)]);
    else if (kind == 1)
        make_string(m);
    else if (kind == 2)
        make_number(m);
    else {
        bool object = kind > 3;
        buf_char(&m->out, object ? '{' : '[');
        for (size_t i = 0, n = below(m, 5); i < n; i++) {
            if (i > 0)
                buf_char(&m->out, ',');
            if (object) {
                make_string(m);
                buf_char(&m->out, ':');
            }
            make_value(m, depth + 1);
        }
        buf_char(&m->out, object ? '}' : ']');
    }
}

struct came_back {
    struct arena *a;
    str json, text;
};

static int take(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct came_back *out = w->ctx;
    (void)index;
    (void)err;
    out->json = arena_dup(out->a, pg_cell_text(r, 0, 0));
    out->text = arena_dup(out->a, pg_cell_text(r, 0, 1));
    return 0;
}

/* Numbers come back as decimal digits: 1e308 has many, and minus zero has no sign. */
static bool same(yyjson_val *a, yyjson_val *b) {
    bool number = yyjson_is_num(a) || yyjson_is_raw(a);
    if (number && (yyjson_is_num(b) || yyjson_is_raw(b))) {
        struct arena scratch;
        arena_init(&scratch, 1 << 16);
        double x, y;
        bool read = str_to_double(json_text(&scratch, a), &x) &&
                    str_to_double(json_text(&scratch, b), &y);
        arena_deinit(&scratch);
        return read && x == y;
    }
    if (yyjson_is_arr(a) && yyjson_is_arr(b) && yyjson_arr_size(a) == yyjson_arr_size(b)) {
        size_t i, n;
        yyjson_val *x;
        yyjson_arr_foreach(a, i, n, x) if (!same(x, yyjson_arr_get(b, i))) return false;
        return true;
    }
    if (yyjson_is_obj(a) && yyjson_is_obj(b)) { /* of equal keys the last one counts */
        yyjson_obj_iter it = yyjson_obj_iter_with(a);
        for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
            yyjson_val *y = json_get_str(b, json_str(key));
            if (!y || !same(json_get_str(a, json_str(key)), y))
                return false;
        }
        return true;
    }
    return json_equal(a, b);
}

static void keep_one(struct fixture *f, struct arena *a, str text) {
    yyjson_val *before, *after;
    struct err err = {0};
    int rc = json_parse(a, text, &before, &err);
    if (rc == ERR_INVALID) /* refused: the client hears of it, on either database */
        return;
    assert_int_equal(rc, 0);
    struct came_back back = {.a = a};
    struct pg_param params[] = {pg_jsonb(a, json_text(a, before)), pg_text(json_text(a, before))};
    struct pg_call call = {
        .sql = "SELECT $1::jsonb, $2::text", .params = params, .param_count = ARRAY_COUNT(params)};
    struct pg_work w = {.calls = &call, .call_count = 1, .result = take, .ctx = &back};
    rc = pg_pool_run(f->pool, &w, &err);
    if (rc != 0)
        fail_msg("%s: " STR_FMT, err.message, STR_ARG(json_text(a, before)));
    assert_true(str_eq(back.text, json_text(a, before)));
    assert_int_equal(json_parse(a, back.json, &after, &err), 0);
    if (!same(before, after))
        fail_msg(STR_FMT " became " STR_FMT, STR_ARG(json_text(a, before)), STR_ARG(back.json));
}

static void body(struct fixture *f) {
    const char *seed = getenv("HF_TEST_SEED");
    struct maker m = {.state = 20251125};
    if (seed)
        assert_true(str_to_u64(str_of(seed), &m.state));
    int count = getenv("HF_TEST_FULL") ? DOCUMENTS_FULL : DOCUMENTS;
    struct arena a;
    arena_init(&a, 16 << 20);
    for (int i = 0; i < count; i++) {
        arena_reset(&a);
        buf_init(&m.out, 1 << 20);
        m.budget = 40;
        make_value(&m, 0);
        keep_one(f, &a, buf_view(&m.out));
        buf_deinit(&m.out);
    }
    arena_reset(&a);
    char deep[2 * JSON_DEPTH_MAX];
    memset(deep, '[', JSON_DEPTH_MAX);
    memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    keep_one(f, &a, str_n(deep, sizeof(deep)));
    arena_deinit(&a);
}

static void test_documents(void **state) {
    (void)state;
    fixture_run(body, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_documents)};
    return cmocka_run_group_tests_name("JSON in PostgreSQL", tests, NULL, NULL);
}
