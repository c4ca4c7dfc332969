/* SPDX-License-Identifier: Apache-2.0 */
/* test_pg_value.c - values between the port and PostgreSQL.
 *
 * Goal: each kind of value becomes a parameter of the type that the server inferred, in the form
 * that the server reads; what a type cannot hold is refused with a text.
 * Method: a table of (value, type, bytes); results are covered by the conformance suite. */
#include "db/postgres/value.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    struct db_value in;
    uint32_t oid;
    bool binary;
    const char *bytes;
    size_t len;
};
#define B(literal) true, literal, sizeof(literal) - 1
#define T(literal) false, literal, sizeof(literal) - 1
#define UUID \
    ((struct id){{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x7f, 0x34, 0x80, 1, 2, 3, 4, 5, 6, 7}})

static void check(const struct row *row, struct arena *a) {
    struct pg_param p = {0};
    struct err err = {0};
    assert_int_equal(pgdb_bind(a, row->oid, &row->in, &p, &err), 0);
    assert_false(p.null);
    assert_int_equal(p.binary, row->binary);
    assert_int_equal(p.oid, row->oid);
    assert_int_equal(p.len, row->len);
    assert_memory_equal(p.own ? (const char *)p.fixed : p.p, row->bytes, row->len);
}

static void test_parameters(void **state) {
    (void)state;
    const struct row rows[] = {
        {DB_I(258), PG_OID_INT2, B("\x01\x02")},
        {DB_I(-2), PG_OID_INT4, B("\xff\xff\xff\xfe")},
        {DB_I(INT64_MIN), PG_OID_INT8, B("\x80\0\0\0\0\0\0\0")},
        {DB_I(7), PG_OID_BOOL, B("\x01")},
        {DB_I(0), PG_OID_BOOL, B("\0")},
        {DB_I(1), PG_OID_FLOAT8, B("\x3f\xf0\0\0\0\0\0\0")},
        /* 2000-01-01 and a microsecond; what stands for "no bound" */
        {DB_I(INT64_C(946684800000001)), PG_OID_TIMESTAMPTZ, B("\0\0\0\0\0\0\0\x01")},
        {DB_I(INT64_MAX), PG_OID_TIMESTAMPTZ, B("\x7f\xff\xff\xff\xff\xff\xff\xff")},
        {DB_I(INT64_MIN), PG_OID_TIMESTAMPTZ, B("\x80\0\0\0\0\0\0\0")},
        {DB_I(-12), PG_OID_TEXT, T("-12")},
        {DB_I(12), PG_OID_NUMERIC, T("12")},
        {DB_I(12), PG_OID_JSONB, B("\x01" "12")},
        {DB_D(0.5), PG_OID_FLOAT8, B("\x3f\xe0\0\0\0\0\0\0")},
        {DB_D(0.5), PG_OID_JSONB, B("\x01" "0.5")},
        {DB_T(STR("")), PG_OID_TEXT, B("")},
        {DB_T(STR("Grüße")), PG_OID_TEXT, B("Grüße")},
        {DB_T(STR("{\"a\":\"\\\"\"}")), PG_OID_JSONB, B("\x01{\"a\":\"\\\"\"}")},
        {DB_T(STR("\"text\"")), PG_OID_JSONB, B("\x01\"text\"")},
        {DB_T(STR("x")), PG_OID_BYTEA, B("x")},
        {DB_B(STR("\0\xff")), PG_OID_BYTEA, B("\0\xff")},
        {DB_T(STR("019abcdef0127f348001020304050607")), PG_OID_UUID,
         B("\x01\x9a\xbc\xde\xf0\x12\x7f\x34\x80\x01\x02\x03\x04\x05\x06\x07")},
        {DB_UUID(UUID), PG_OID_UUID,
         B("\x01\x9a\xbc\xde\xf0\x12\x7f\x34\x80\x01\x02\x03\x04\x05\x06\x07")},
        {DB_UUID(UUID), PG_OID_TEXT, B("019abcde-f012-7f34-8001-020304050607")},
    };
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        print_message("row %zu\n", i);
        check(&rows[i], &a);
    }
    struct pg_param p;
    assert_int_equal(pgdb_bind(&a, PG_OID_JSONB, &DB_NIL, &p, NULL), 0);
    assert_true(p.null);
    assert_int_equal(p.oid, PG_OID_JSONB);
    arena_deinit(&a);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        struct db_value in;
        uint32_t oid;
    } rows[] = {{DB_I(32768), PG_OID_INT2},
                {DB_I(INT64_C(-2147483649)), PG_OID_INT4},
                {{DB_TEXT, {.s = {"no id", 5}}}, PG_OID_UUID}};
    struct arena a;
    struct pg_param p;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct err err = {0};
        assert_int_equal(pgdb_bind(&a, rows[i].oid, &rows[i].in, &p, &err), ERR_INVALID);
        assert_true(err.message[0]);
    }
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("pg_value", tests, NULL, NULL);
}
