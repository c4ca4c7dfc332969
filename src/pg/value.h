/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - values on the wire: parameters in text or binary, cells of results.
 *
 * Binary formats are those of the server's send/recv functions: integers and floats big-endian,
 * timestamptz microseconds since 2000-01-01 UTC, uuid 16 bytes, jsonb a version byte 1 and the
 * text, arrays {int32 dimensions, int32 has_null, uint32 oid, {int32 count, int32 lower},
 * {int32 len, bytes}…}. Times here are microseconds since 1970.
 *
 * Memory: parameters refer to the caller's bytes; fixed-size ones carry their bytes themselves.
 * Cells refer to the result. Errors: ERR_INVALID. Suspends: never.
 * Tests: tests/unit/pg/test_value.c */
#ifndef HF_PG_VALUE_H
#define HF_PG_VALUE_H

#include "base/arena.h"
#include "base/id.h"

enum pg_oid {
    PG_OID_BOOL = 16,
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT2 = 21,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_OID = 26,
    PG_OID_JSON = 114,
    PG_OID_FLOAT4 = 700,
    PG_OID_FLOAT8 = 701,
    PG_OID_VARCHAR = 1043,
    PG_OID_TIMESTAMPTZ = 1184,
    PG_OID_NUMERIC = 1700,
    PG_OID_UUID = 2950,
    PG_OID_JSONB = 3802,
    PG_OID_JSON_ARRAY = 199,
    PG_OID_BOOL_ARRAY = 1000,
    PG_OID_BYTEA_ARRAY = 1001,
    PG_OID_INT2_ARRAY = 1005,
    PG_OID_INT4_ARRAY = 1007,
    PG_OID_TEXT_ARRAY = 1009,
    PG_OID_VARCHAR_ARRAY = 1015,
    PG_OID_INT8_ARRAY = 1016,
    PG_OID_FLOAT8_ARRAY = 1022,
    PG_OID_TIMESTAMPTZ_ARRAY = 1185,
    PG_OID_UUID_ARRAY = 2951,
    PG_OID_JSONB_ARRAY = 3807
};
uint32_t pg_array_of(uint32_t element_oid); /* 0: not one of the above */
uint32_t pg_element_of(uint32_t array_oid); /* 0: not an array */

struct pg_param {
    uint32_t oid; /* 0: let the server infer */
    bool null, binary;
    bool own; /* the bytes are in fixed[], else at p */
    uint32_t len;
    const char *p; /* text need not be NUL-terminated */
    unsigned char fixed[16];
};
struct pg_param pg_null(uint32_t oid);
struct pg_param pg_text(str s); /* any type, in its text form; oid 0 */
struct pg_param pg_bytea(str s);
struct pg_param pg_bool(bool v);
struct pg_param pg_int2(int16_t v);
struct pg_param pg_int4(int32_t v);
struct pg_param pg_int8(int64_t v);
struct pg_param pg_float8(double v);
struct pg_param pg_timestamptz(int64_t unix_us); /* INT64_MAX, INT64_MIN: ±infinity */
struct pg_param pg_uuid(struct id id);
/* A JSON text, bound as jsonb once: never as a string of JSON. The text is not checked here. */
struct pg_param pg_jsonb(struct arena *a, str json);
/* A one-dimensional array in binary. elements[i].null gives NULL elements; the others must be
 * binary or, for text types, text. All together below 2 GiB (asserted). */
struct pg_param pg_array(struct arena *a, uint32_t element_oid, const struct pg_param *elements,
                         size_t count);

/* --- results: always asked for in binary ---------------------------------------------------- */
struct pg_result;
size_t pg_row_count(const struct pg_result *r);
size_t pg_column_count(const struct pg_result *r);
uint32_t pg_column_oid(const struct pg_result *r, size_t col);
int64_t pg_changed(const struct pg_result *r); /* rows of INSERT, UPDATE, DELETE, SELECT */
bool pg_cell_null(const struct pg_result *r, size_t row, size_t col);
str pg_cell(const struct pg_result *r, size_t row, size_t col); /* raw bytes; NULL: absent */
/* By the column's type; wrong types and NULL give 0, absent, nil. */
int64_t pg_cell_int(const struct pg_result *r, size_t row, size_t col); /* int2/4/8, bool, oid,
                                                                            timestamptz (unix us) */
double pg_cell_float(const struct pg_result *r, size_t row, size_t col);
str pg_cell_text(const struct pg_result *r, size_t row, size_t col); /* text, json, jsonb, bytea */
struct id pg_cell_uuid(const struct pg_result *r, size_t row, size_t col);
/* Elements of a one-dimensional array cell. ERR_INVALID for what is no such array. */
struct pg_elements {
    uint32_t oid;
    size_t count;
    const str *items; /* raw bytes; p NULL: NULL */
};
MUST_CHECK int pg_cell_array(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                             struct pg_elements *out, struct err *err);

#endif
