/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: parameters have exactly the server's binary form, cells are read by type, and no bytes of a
 * result can make the readers leave them. Method: known byte strings of the server's send and recv
 * functions; results built by hand; every truncation of an array. */
#include "pg/value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "pg/value_int.h"

static void check_bytes(struct pg_param p, uint32_t oid, const char *want, size_t len) {
    assert_int_equal(p.oid, oid);
    assert_true(p.binary && !p.null);
    assert_int_equal(p.len, len);
    assert_memory_equal(p.own ? (const char *)p.fixed : p.p, want, len);
}
#define CHECK_BYTES(p, oid, want) check_bytes((p), (oid), (want), sizeof(want) - 1)

static void scalars(void **state) {
    (void)state;
    CHECK_BYTES(pg_bool(true), PG_OID_BOOL, "\x01");
    CHECK_BYTES(pg_bool(false), PG_OID_BOOL, "\x00");
    CHECK_BYTES(pg_int2(-2), PG_OID_INT2, "\xff\xfe");
    CHECK_BYTES(pg_int4(-2), PG_OID_INT4, "\xff\xff\xff\xfe");
    CHECK_BYTES(pg_int4(0x01020304), PG_OID_INT4, "\x01\x02\x03\x04");
    CHECK_BYTES(pg_int8(INT64_MIN), PG_OID_INT8, "\x80\0\0\0\0\0\0\0");
    CHECK_BYTES(pg_float8(1.5), PG_OID_FLOAT8, "\x3f\xf8\0\0\0\0\0\0");
    CHECK_BYTES(pg_timestamptz(946684800000001), PG_OID_TIMESTAMPTZ, "\0\0\0\0\0\0\0\x01");
    CHECK_BYTES(pg_timestamptz(0), PG_OID_TIMESTAMPTZ, "\xff\xfc\xa2\xfe\xc4\xc8\x20\x00");
    CHECK_BYTES(pg_timestamptz(INT64_MAX), PG_OID_TIMESTAMPTZ, "\x7f\xff\xff\xff\xff\xff\xff\xff");
    CHECK_BYTES(pg_timestamptz(INT64_MIN), PG_OID_TIMESTAMPTZ, "\x80\0\0\0\0\0\0\0");
    struct id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    CHECK_BYTES(pg_uuid(id), PG_OID_UUID, "\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10");
    CHECK_BYTES(pg_bytea(STR("\0\xff")), PG_OID_BYTEA, "\0\xff");
    struct arena a;
    arena_init(&a, 4096);
    CHECK_BYTES(pg_jsonb(&a, STR("{}")), PG_OID_JSONB, "\1{}");
    arena_deinit(&a);
    struct pg_param n = pg_null(PG_OID_INT4), t = pg_text(STR("x"));
    assert_true(n.null && n.oid == PG_OID_INT4);
    assert_true(!t.null && !t.binary && t.oid == 0 && t.len == 1);
}

static void arrays_out(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1u << 20);
    CHECK_BYTES(pg_array(&a, PG_OID_INT4, NULL, 0), PG_OID_INT4_ARRAY,
                "\0\0\0\0\0\0\0\0\0\0\0\x17");
    struct pg_param two[] = {pg_int4(7), pg_null(PG_OID_INT4)};
    CHECK_BYTES(pg_array(&a, PG_OID_INT4, two, 2), PG_OID_INT4_ARRAY,
                "\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\7\xff\xff\xff\xff");
    struct pg_param texts[] = {pg_text(STR("ab")), pg_text(STR(""))};
    CHECK_BYTES(pg_array(&a, PG_OID_TEXT, texts, 2), PG_OID_TEXT_ARRAY,
                "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\2ab\0\0\0\0");
    arena_deinit(&a);
}

static void array_types(void **state) {
    (void)state;
    static const uint32_t elements[] = {
        PG_OID_BOOL, PG_OID_BYTEA,  PG_OID_INT8, PG_OID_INT2,  PG_OID_INT4,        PG_OID_TEXT,
        PG_OID_JSON, PG_OID_FLOAT8, PG_OID_UUID, PG_OID_JSONB, PG_OID_TIMESTAMPTZ, PG_OID_VARCHAR};
    for (size_t i = 0; i < ARRAY_COUNT(elements); i++) {
        assert_int_not_equal(pg_array_of(elements[i]), 0);
        assert_int_equal(pg_element_of(pg_array_of(elements[i])), elements[i]);
    }
    assert_int_equal(pg_array_of(12345), 0);
    assert_int_equal(pg_element_of(PG_OID_TEXT), 0);
}

static void array_round_trip(void **state) {
    (void)state;
    struct arena a;
    struct pg_elements got;
    arena_init(&a, 1u << 20);
    struct pg_param in[] = {pg_bytea(STR("\0x")), pg_null(PG_OID_BYTEA), pg_bytea(STR(""))};
    struct pg_param p = pg_array(&a, PG_OID_BYTEA, in, 3);
    assert_int_equal(pg_array_read(str_n(p.p, p.len), &a, &got, NULL), 0);
    assert_int_equal(got.oid, PG_OID_BYTEA);
    assert_int_equal(got.count, 3);
    assert_true(str_eq(got.items[0], STR("\0x")));
    assert_null(got.items[1].p);
    assert_non_null(got.items[2].p);
    assert_int_equal(got.items[2].len, 0);
    for (size_t len = 0; len < p.len; len++) {
        char *cut = arena_alloc(&a, len ? len : 1);
        memcpy(cut, p.p, len);
        assert_int_equal(pg_array_read(str_n(cut, len), &a, &got, NULL), ERR_INVALID);
    }
    p = pg_array(&a, PG_OID_BYTEA, NULL, 0);
    assert_int_equal(pg_array_read(str_n(p.p, p.len), &a, &got, NULL), 0);
    assert_int_equal(got.count, 0);
    assert_int_equal(
        pg_array_read(STR("\0\0\0\2\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\0\0\0\0\0"), &a, &got, NULL),
        ERR_INVALID);
    assert_int_equal(
        pg_array_read(STR("\0\0\0\1\0\0\0\0\0\0\0\x17\x7f\xff\xff\xff\0\0\0\1"), &a, &got, NULL),
        ERR_INVALID);
    assert_int_equal(
        pg_array_read(STR("\0\0\0\1\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\1x"), &a, &got, NULL),
        ERR_INVALID);
    arena_deinit(&a);
}

/* One row of one cell. */
static struct pg_result one(const uint32_t *oid, struct pg_cell *cell, str bytes) {
    *cell = (struct pg_cell){0, bytes.p ? (int32_t)bytes.len : -1};
    return (struct pg_result){bytes.p, cell, oid, 1, 1, 0};
}

static int64_t int_of(uint32_t oid, str bytes) {
    struct pg_cell cell;
    struct pg_result r = one(&oid, &cell, bytes);
    return pg_cell_int(&r, 0, 0);
}

static str text_of(uint32_t oid, str bytes) {
    struct pg_cell cell;
    struct pg_result r = one(&oid, &cell, bytes);
    return pg_cell_text(&r, 0, 0);
}

static double float_of(uint32_t oid, str bytes) {
    struct pg_cell cell;
    struct pg_result r = one(&oid, &cell, bytes);
    return pg_cell_float(&r, 0, 0);
}

static void cells(void **state) {
    (void)state;
    assert_int_equal(int_of(PG_OID_BOOL, STR("\1")), 1);
    assert_int_equal(int_of(PG_OID_INT2, STR("\xff\xff")), -1);
    assert_int_equal(int_of(PG_OID_INT4, STR("\xff\xff\xff\xfe")), -2);
    assert_int_equal(int_of(PG_OID_OID, STR("\xff\xff\xff\xfe")), 4294967294);
    assert_int_equal(int_of(PG_OID_INT8, STR("\x80\0\0\0\0\0\0\0")), INT64_MIN);
    assert_int_equal(int_of(PG_OID_TIMESTAMPTZ, STR("\0\0\0\0\0\0\0\1")), 946684800000001);
    assert_int_equal(int_of(PG_OID_TIMESTAMPTZ, STR("\x7f\xff\xff\xff\xff\xff\xff\xff")),
                     INT64_MAX);
    assert_int_equal(int_of(PG_OID_TIMESTAMPTZ, STR("\x7f\xff\xff\xff\xff\xff\xff\xfe")),
                     INT64_MAX);
    assert_int_equal(int_of(PG_OID_TEXT, STR("12345678")), 0);
    assert_int_equal(int_of(PG_OID_INT4, STR_NULL), 0);
    static const uint32_t sized[] = {PG_OID_BOOL, PG_OID_INT2, PG_OID_INT4,
                                     PG_OID_INT8, PG_OID_OID,  PG_OID_TIMESTAMPTZ};
    for (size_t i = 0; i < ARRAY_COUNT(sized); i++)
        assert_int_equal(int_of(sized[i], STR("\1\1\1")), 0);
    assert_true(float_of(PG_OID_FLOAT8, STR("\x3f\xf8\0\0\0\0\0\0")) == 1.5);
    assert_true(float_of(PG_OID_FLOAT4, STR("\x3f\xc0\0\0")) == 1.5);
    assert_true(float_of(PG_OID_FLOAT8, STR("\x3f\xc0\0\0")) == 0);
    assert_true(str_eq(text_of(PG_OID_TEXT, STR("a\0b")), STR("a\0b")));
    assert_true(str_eq(text_of(PG_OID_JSON, STR("\1")), STR("\1")));
    assert_true(str_eq(text_of(PG_OID_JSONB, STR("\1{}")), STR("{}")));
    assert_null(text_of(PG_OID_JSONB, STR("\2{}")).p);
    assert_null(text_of(PG_OID_JSONB, STR("")).p);
    assert_null(text_of(PG_OID_INT4, STR("\0\0\0\0")).p);
    assert_null(text_of(PG_OID_TEXT, STR_NULL).p);
}

static void uuid_cells(void **state) {
    (void)state;
    uint32_t oid = PG_OID_UUID;
    struct pg_cell cell;
    struct id want = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    struct pg_result r = one(&oid, &cell, str_n((const char *)want.b, 16));
    assert_true(id_eq(pg_cell_uuid(&r, 0, 0), want));
    r = one(&oid, &cell, STR("short"));
    assert_true(id_is_nil(pg_cell_uuid(&r, 0, 0)));
    r = one(&oid, &cell, STR_NULL);
    assert_true(id_is_nil(pg_cell_uuid(&r, 0, 0)));
    assert_true(pg_cell_null(&r, 0, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),     cmocka_unit_test(arrays_out),
        cmocka_unit_test(array_types), cmocka_unit_test(array_round_trip),
        cmocka_unit_test(cells),       cmocka_unit_test(uuid_cells),
    };
    return cmocka_run_group_tests_name("pg/value", tests, NULL, NULL);
}
