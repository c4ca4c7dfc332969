/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what goes in comes out, byte for byte, and the server understands it as what it is: JSON of
 * every kind is JSON there and never a string of JSON. Method: round trips, and the server's own
 * functions (jsonb_typeof, array_length, octet_length, md5) as the second opinion. */
#include "fixture.h"

#include "base/hash.h"
#include "base/rand.h"

static int run1(struct fixture *f, struct pg_work *w, const struct pg_call *call,
                int (*result)(struct pg_work *, size_t, const struct pg_result *, struct err *),
                void *ctx) {
    struct err err = {0};
    *w = (struct pg_work){.calls = call, .call_count = 1, .result = result, .ctx = ctx};
    int rc = pg_pool_run(f->pool, w, &err);
    if (rc != 0)
        print_error("%s: %s\n", call->sql, err.message);
    return rc;
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void json_kinds(struct fixture *f) {
    static const struct {
        const char *json, *type, *back;
    } table[] = {
        {"{\"a\": 1}", "object", NULL},
        {"[]", "array", NULL},
        {"[1, null, \"x\", {\"b\": [true]}]", "array", NULL},
        {"\"text\"", "string", NULL},
        {"\"{\\\"a\\\": 1}\"", "string", NULL}, /* a string that looks like an object */
        {"\"\"", "string", NULL},
        {"\"\\u00e4\\ud83d\\ude00\"", "string", "\"ä😀\""},
        {"\"ä😀\"", "string", NULL},
        {"\"quote ' and \\\\ and \\n\"", "string", NULL},
        {"0", "number", NULL},
        {"-1.50", "number", NULL},
        {"12345678901234567890.123", "number", NULL},
        {"true", "boolean", NULL},
        {"false", "boolean", NULL},
        {"null", "null", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct one o;
        struct pg_param p = pg_jsonb(&f->arena, str_of(table[i].json));
        assert_int_equal(one_run(f, &o, "SELECT jsonb_typeof($1)", &p, 1), 0);
        assert_string_equal(o.text, table[i].type);
        assert_int_equal(one_run(f, &o, "SELECT $1::jsonb", &p, 1), 0);
        assert_int_equal(o.oid, PG_OID_JSONB);
        assert_string_equal(o.text, table[i].back ? table[i].back : table[i].json);
        /* in text form: the server reads it as jsonb, or json, exactly once, too */
        p = pg_text(str_of(table[i].json));
        assert_int_equal(one_run(f, &o, "SELECT jsonb_typeof($1::jsonb)", &p, 1), 0);
        assert_string_equal(o.text, table[i].type);
        assert_int_equal(one_run(f, &o, "SELECT $1::json", &p, 1), 0);
        assert_int_equal(o.oid, PG_OID_JSON);
        assert_string_equal(o.text, table[i].json);
    }
    struct one o;
    struct pg_param p = pg_null(PG_OID_JSONB); /* SQL's NULL is not JSON's */
    assert_int_equal(one_run(f, &o, "SELECT ($1::jsonb IS NULL)::int", &p, 1), 0);
    assert_int_equal(o.number, 1);
}

/* --- numbers, times, ids --------------------------------------------------------------------- */

static int scalars_back(struct pg_work *w, size_t index, const struct pg_result *r,
                        struct err *err) {
    struct id *id = w->ctx;
    (void)index;
    (void)err;
    assert_int_equal(pg_row_count(r), 1);
    assert_int_equal(pg_column_count(r), 12);
    assert_int_equal(pg_cell_int(r, 0, 0), 1);
    assert_int_equal(pg_cell_int(r, 0, 1), INT16_MIN);
    assert_int_equal(pg_cell_int(r, 0, 2), INT32_MIN);
    assert_int_equal(pg_cell_int(r, 0, 3), INT64_MAX);
    assert_true(pg_cell_float(r, 0, 4) == -0.1);
    assert_int_equal(pg_cell_int(r, 0, 5), 1764084000123456);
    assert_true(id_eq(pg_cell_uuid(r, 0, 6), *id));
    assert_true(str_eq(pg_cell_text(r, 0, 7), STR("2025-11-25 15:20:00.123456+00")));
    assert_int_equal(pg_cell_int(r, 0, 8), INT64_MAX);
    assert_int_equal(pg_cell_int(r, 0, 9), -1);
    assert_true(pg_cell_null(r, 0, 10));
    assert_true(str_eq(pg_cell_text(r, 0, 11), STR("")));
    return 0;
}

static void scalars(struct fixture *f) {
    struct id id = id_v7();
    struct pg_param p[] = {
        pg_bool(true),        pg_int2(INT16_MIN),        pg_int4(INT32_MIN),
        pg_int8(INT64_MAX),   pg_float8(-0.1),           pg_timestamptz(1764084000123456),
        pg_uuid(id),          pg_timestamptz(INT64_MAX), pg_timestamptz(-1),
        pg_null(PG_OID_TEXT), pg_text(STR(""))};
    struct pg_call call = {NULL,
                           "SELECT $1, $2, $3, $4, $5, $6, $7, ($6 AT TIME ZONE 'UTC')::text || "
                           "'+00', $8, $9, $10, $11::text",
                           p, ARRAY_COUNT(p)};
    struct pg_work w;
    assert_int_equal(run1(f, &w, &call, scalars_back, &id), 0);
}

/* --- arrays ---------------------------------------------------------------------------------- */

struct arrays_want {
    struct fixture *f;
    const char *const *items; /* NULL: a NULL element */
    size_t count;
};

static int texts_back(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct arrays_want *want = w->ctx;
    struct pg_elements got;
    (void)index;
    int rc = pg_cell_array(r, 0, 0, &want->f->arena, &got, err);
    assert_int_equal(rc, 0);
    assert_int_equal(got.oid, want->count ? PG_OID_TEXT : got.oid);
    assert_int_equal(got.count, want->count);
    for (size_t i = 0; i < got.count; i++) {
        assert_int_equal(got.items[i].p == NULL, want->items[i] == NULL);
        if (want->items[i])
            assert_true(str_eq(got.items[i], str_of(want->items[i])));
    }
    assert_int_equal(pg_cell_int(r, 0, 1), (int64_t)want->count);
    assert_int_equal(pg_cell_array(r, 0, 1, &want->f->arena, &got, NULL), ERR_INVALID);
    return 0;
}

static void arrays(struct fixture *f) {
    static const char *const items[] = {"a", NULL, "", "{\"x\",NULL}", "ä, \"q\" \\"};
    struct pg_param e[ARRAY_COUNT(items)];
    for (size_t i = 0; i < ARRAY_COUNT(items); i++)
        e[i] = items[i] ? pg_text(str_of(items[i])) : pg_null(PG_OID_TEXT);
    for (size_t count = 0; count <= ARRAY_COUNT(items); count++) {
        struct pg_param p = pg_array(&f->arena, PG_OID_TEXT, e, count);
        struct pg_call call = {NULL, "SELECT $1, cardinality($1)", &p, 1};
        struct arrays_want want = {f, items, count};
        struct pg_work w;
        assert_int_equal(run1(f, &w, &call, texts_back, &want), 0);
    }
    struct pg_param ints[] = {pg_int8(5), pg_null(PG_OID_INT8), pg_int8(7)};
    struct pg_param p = pg_array(&f->arena, PG_OID_INT8, ints, 3);
    struct one o;
    assert_int_equal(one_run(f, &o, "SELECT sum(x)::int8 FROM unnest($1) x", &p, 1), 0);
    assert_int_equal(o.number, 12);
    assert_int_equal(one_run(f, &o,
                             "SELECT count(*) FROM generate_series(1, 9) x "
                             "WHERE x = ANY($1)",
                             &p, 1),
                     0);
    assert_int_equal(o.number, 2);
    struct pg_param docs[] = {pg_jsonb(&f->arena, STR("{}")), pg_null(PG_OID_JSONB),
                              pg_jsonb(&f->arena, STR("\"{}\""))};
    p = pg_array(&f->arena, PG_OID_JSONB, docs, 3);
    assert_int_equal(one_run(f, &o,
                             "SELECT string_agg(coalesce(jsonb_typeof(x), '-'), ',') "
                             "FROM unnest($1) x",
                             &p, 1),
                     0);
    assert_string_equal(o.text, "object,-,string");
    struct pg_param ids[] = {pg_uuid(id_v7()), pg_uuid(ID_NIL)};
    p = pg_array(&f->arena, PG_OID_UUID, ids, 2);
    assert_int_equal(one_run(f, &o, "SELECT ($1)[2]::text", &p, 1), 0);
    assert_string_equal(o.text, "00000000-0000-0000-0000-000000000000");
}

/* --- bytes ----------------------------------------------------------------------------------- */

struct bytes {
    str sent;
    bool same;
};

static int bytes_back(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct bytes *b = w->ctx;
    (void)index;
    (void)err;
    b->same = str_eq(pg_cell_text(r, 0, 0), b->sent);
    assert_int_equal(pg_cell_int(r, 0, 1), (int64_t)b->sent.len);
    return 0;
}

static void blobs(struct fixture *f) {
    size_t sizes[] = {0, 1, 16384, 16u << 20};
    char *bytes = arena_alloc(&f->arena, 16u << 20);
    rand_bytes(bytes, 16u << 20);
    script(f, "CREATE TABLE b(id int PRIMARY KEY, data bytea)");
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct pg_param p[] = {pg_int4((int32_t)i), pg_bytea(str_n(bytes, sizes[i]))};
        struct one o;
        assert_int_equal(one_run(f, &o, "INSERT INTO b VALUES ($1, $2)", p, 2), 0);
        assert_int_equal(o.changed, 1);
        struct pg_call call = {NULL, "SELECT data, octet_length(data) FROM b WHERE id = $1", p, 1};
        struct bytes b = {str_n(bytes, sizes[i]), false};
        struct pg_work w;
        assert_int_equal(run1(f, &w, &call, bytes_back, &b), 0);
        assert_true(b.same);
    }
    unsigned char hash[HASH_SHA256_BYTES];
    hash_sha256(str_n(bytes, 16u << 20), hash);
    struct pg_param p = pg_bytea(str_n((const char *)hash, sizeof(hash)));
    struct one o;
    assert_int_equal(one_run(f, &o, "SELECT count(*) FROM b WHERE sha256(data) = $1", &p, 1), 0);
    assert_int_equal(o.number, 1);
    script(f, "DROP TABLE b");
}

/* --- many rows ------------------------------------------------------------------------------- */

static int sum_back(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    int64_t *sum = w->ctx;
    (void)index;
    (void)err;
    for (size_t i = 0; i < pg_row_count(r); i++)
        *sum += pg_cell_int(r, i, 0) + (int64_t)pg_cell_text(r, i, 1).len;
    assert_int_equal(pg_changed(r), (int64_t)pg_row_count(r));
    return 0;
}

static void rows(struct fixture *f) {
    struct pg_call call = {NULL,
                           "SELECT x, repeat('y', x % 50), NULL FROM generate_series(1, $1) x",
                           (struct pg_param[]){pg_int4(200000)}, 1};
    int64_t sum = 0;
    struct pg_work w;
    assert_int_equal(run1(f, &w, &call, sum_back, &sum), 0);
    assert_int_equal(sum, 20000100000 + 4000 * 49 * 25);
    assert_int_equal(number_of(f, "SELECT 1 WHERE false"), 0);
}

static void described(struct fixture *f) {
    static const char *const sqls[] = {"SELECT $1::int + 1, 'x'::text",
                                       "CREATE TEMP TABLE x(a int)",
                                       "SELECT 1 WHERE $1 = 'a'::text AND $2 > now()"};
    struct pg_described d[3];
    size_t failed_at = 99;
    struct err err = {0};
    assert_int_equal(pg_pool_describe(f->pool, sqls, 3, &f->arena, d, &failed_at, &err), 0);
    assert_int_equal(d[0].param_count, 1);
    assert_int_equal(d[0].param_oids[0], PG_OID_INT4);
    assert_int_equal(d[0].column_count, 2);
    assert_int_equal(d[0].column_oids[1], PG_OID_TEXT);
    assert_int_equal(d[1].param_count + d[1].column_count, 0);
    assert_int_equal(d[2].param_oids[0], PG_OID_TEXT);
    assert_int_equal(d[2].param_oids[1], PG_OID_TIMESTAMPTZ);
    static const char *const bad[] = {"SELECT 1", "SELECT nothing", "SELECT 2"};
    assert_int_equal(pg_pool_describe(f->pool, bad, 3, &f->arena, d, &failed_at, &err),
                     ERR_INTERNAL);
    assert_int_equal(failed_at, 1);
    assert_non_null(strstr(err.message, "nothing"));
    assert_int_equal(pg_pool_describe(f->pool, NULL, 0, &f->arena, d, NULL, NULL), 0);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        fixture_run(name, NULL);                                                                   \
    }
TEST(json_kinds)
TEST(scalars)
TEST(arrays)
TEST(blobs)
TEST(rows)
TEST(described)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_kinds), cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_arrays),     cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_described),
    };
    return cmocka_run_group_tests_name("pg/types", tests, NULL, NULL);
}
