/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pg_value.c - arrays and cells of PostgreSQL's binary format. Properties: readers stay inside
 * their bytes whatever the type says; an array that was read gives the same bytes when written
 * again. Input: a byte that picks the column's type, then the cell. */
#include "base/mem.h"
#include "pg/value_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t types[] = {
    PG_OID_BOOL,       PG_OID_BYTEA,       PG_OID_INT8,        PG_OID_INT2,
    PG_OID_INT4,       PG_OID_TEXT,        PG_OID_OID,         PG_OID_JSON,
    PG_OID_FLOAT4,     PG_OID_FLOAT8,      PG_OID_VARCHAR,     PG_OID_TIMESTAMPTZ,
    PG_OID_NUMERIC,    PG_OID_UUID,        PG_OID_JSONB,       PG_OID_BYTEA_ARRAY,
    PG_OID_INT4_ARRAY, PG_OID_TEXT_ARRAY,  PG_OID_INT8_ARRAY,  PG_OID_UUID_ARRAY,
    PG_OID_BOOL_ARRAY, PG_OID_JSONB_ARRAY, PG_OID_FLOAT8_ARRAY};

static void check_inside(str part, str whole) {
    ASSERT(!part.p || part.len == 0 ||
           (part.p >= whole.p && part.p + part.len <= whole.p + whole.len));
}

/* Reads it again from what pg_array makes of it. */
static void check_again(struct arena *a, const struct pg_elements *e) {
    if (!pg_array_of(e->oid) || e->count == 0)
        return;
    struct pg_param *params = ARENA_ARRAY(a, struct pg_param, e->count);
    for (size_t i = 0; i < e->count; i++) {
        params[i] = e->items[i].p ? pg_bytea(e->items[i]) : pg_null(e->oid);
        params[i].oid = e->oid;
    }
    struct pg_param p = pg_array(a, e->oid, params, e->count);
    struct pg_elements back;
    int rc = pg_array_read(str_n(p.p, p.len), a, &back, NULL);
    ASSERT(rc == 0 && back.count == e->count && back.oid == e->oid);
    for (size_t i = 0; i < e->count; i++) {
        ASSERT(!back.items[i].p == !e->items[i].p);
        ASSERT(str_eq(back.items[i], e->items[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 65536)
        return 0;
    struct arena a;
    struct pg_elements e;
    char *bytes = mem_dup(data + 1, size - 1); /* so that a reader past the end is noticed */
    str cell = str_n(bytes, size - 1);
    uint32_t oid = types[data[0] % ARRAY_COUNT(types)];
    struct pg_cell at = {0, data[0] == 255 ? -1 : (int32_t)cell.len};
    struct pg_result r = {cell.p, &at, &oid, 1, 1, 0};
    arena_init(&a, 64u << 20);
    (void)pg_cell_int(&r, 0, 0);
    (void)pg_cell_float(&r, 0, 0);
    (void)pg_cell_uuid(&r, 0, 0);
    check_inside(pg_cell_text(&r, 0, 0), cell);
    if (pg_cell_array(&r, 0, 0, &a, &e, NULL) == 0 || pg_array_read(cell, &a, &e, NULL) == 0) {
        for (size_t i = 0; i < e.count; i++)
            check_inside(e.items[i], cell);
        check_again(&a, &e);
    }
    arena_deinit(&a);
    mem_free(bytes);
    return 0;
}
