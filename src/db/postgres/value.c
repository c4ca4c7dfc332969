/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - values between the port and PostgreSQL.
 *
 * In, by the parameter's type:
 *
 *   DB_ID     uuid: 16 bytes; text: the dashed form, as the shared tables keep new ids
 *   DB_INT    int2, int4, int8, oid, bool, float8, timestamptz (the port's times are unix us),
 *             numeric and text as decimal digits, jsonb as a number
 *   DB_REAL   float4, float8, numeric, jsonb
 *   DB_TEXT   text and all types without a row here as it is; jsonb once, never as a string of
 *             JSON; uuid parsed; bytea as its bytes
 *   DB_BLOB   bytea
 *
 * Out, by the column's type: integers, bool and timestamptz are DB_INT; floats DB_REAL; text, json,
 * jsonb DB_TEXT; uuid DB_TEXT of 32 hex digits, which is what id_parse takes and what SQLite keeps;
 * bytea DB_BLOB. A type that is not listed stops the start (pgdb_column_known), so a result never
 * meets one.
 *
 * Text types go in binary: the bytes are the same, and nothing has to be copied to end with NUL.
 * A new type needs a case in each switch and a line in the test. */
#include "db/postgres/value.h"

#include <stdio.h>

/* The earliest time that the server knows; its latest is beyond 64 bits of unix time. */
#define TIME_MIN_US (INT64_C(-210866803200000000))

static struct pg_param raw(uint32_t oid, str s, bool binary) {
    return (struct pg_param){
        .oid = oid, .binary = binary, .len = (uint32_t)s.len, .p = s.p ? s.p : ""};
}

static struct pg_param decimal(struct arena *a, uint32_t oid, int64_t v) {
    return raw(oid, arena_printf(a, "%lld", (long long)v), false);
}

static int range(int64_t v, struct err *err) {
    return err_set(err, ERR_INVALID, "%lld is too large for its column", (long long)v);
}

/* A bound that means "no bound" is the server's infinity. */
static struct pg_param time_param(int64_t unix_us) {
    if (unix_us > TIME_MIN_US && unix_us < INT64_MAX)
        return pg_timestamptz(unix_us);
    struct pg_param p = pg_int8(unix_us > 0 ? INT64_MAX : INT64_MIN);
    p.oid = PG_OID_TIMESTAMPTZ;
    return p;
}

static int bind_int(struct arena *a, uint32_t oid, int64_t v, struct pg_param *out,
                    struct err *err) {
    switch (oid) {
    case PG_OID_INT2:
        if (v < INT16_MIN || v > INT16_MAX)
            return range(v, err);
        *out = pg_int2((int16_t)v);
        return 0;
    case PG_OID_INT4:
        if (v < INT32_MIN || v > INT32_MAX)
            return range(v, err);
        *out = pg_int4((int32_t)v);
        return 0;
    case PG_OID_INT8:
        *out = pg_int8(v);
        return 0;
    case PG_OID_BOOL:
        *out = pg_bool(v != 0);
        return 0;
    case PG_OID_FLOAT8:
        *out = pg_float8((double)v);
        return 0;
    case PG_OID_TIMESTAMPTZ:
        *out = time_param(v);
        return 0;
    case PG_OID_JSONB:
        *out = pg_jsonb(a, arena_printf(a, "%lld", (long long)v));
        return 0;
    default:
        *out = decimal(a, oid, v);
        return 0;
    }
}

static void bind_real(struct arena *a, uint32_t oid, double v, struct pg_param *out) {
    if (oid == PG_OID_FLOAT8) {
        *out = pg_float8(v);
        return;
    }
    str text = arena_printf(a, "%.17g", v);
    *out = oid == PG_OID_JSONB ? pg_jsonb(a, text) : raw(oid, text, false);
}

static int bind_text(struct arena *a, uint32_t oid, str s, struct pg_param *out, struct err *err) {
    struct id id;
    switch (oid) {
    case PG_OID_TEXT:
    case PG_OID_VARCHAR:
    case PG_OID_JSON:
        *out = raw(oid, s, true);
        return 0;
    case PG_OID_JSONB:
        *out = pg_jsonb(a, s);
        return 0;
    case PG_OID_BYTEA:
        *out = pg_bytea(s);
        return 0;
    case PG_OID_UUID:
        if (!id_parse(s, &id))
            return err_set(err, ERR_INVALID, "a text that is no id where one is wanted");
        *out = pg_uuid(id);
        return 0;
    default:
        *out = raw(oid, s, false);
        return 0;
    }
}

int pgdb_bind(struct arena *a, uint32_t oid, const struct db_value *v, struct pg_param *out,
              struct err *err) {
    if ((v->type == DB_TEXT || v->type == DB_BLOB) && v->s.len > INT32_MAX)
        return err_set(err, ERR_TOO_LARGE, "a value of %zu bytes", v->s.len);
    switch (v->type) {
    case DB_NULL:
        *out = pg_null(oid);
        return 0;
    case DB_INT:
        return bind_int(a, oid, v->i, out, err);
    case DB_REAL:
        bind_real(a, oid, v->d, out);
        return 0;
    case DB_TEXT:
        return bind_text(a, oid, v->s, out, err);
    case DB_BLOB:
        *out = pg_bytea(v->s);
        return 0;
    case DB_ID:
        *out = oid == PG_OID_UUID ? pg_uuid(v->id) : raw(oid, id_dashed(a, v->id), oid != 0);
        return 0;
    }
    UNREACHABLE();
}

/* --- results --------------------------------------------------------------------------------- */

enum cell_kind { CELL_UNKNOWN, CELL_INT, CELL_REAL, CELL_TEXT, CELL_UUID, CELL_BLOB };

static enum cell_kind kind_of(uint32_t oid) {
    switch (oid) {
    case PG_OID_BOOL:
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_INT8:
    case PG_OID_OID:
    case PG_OID_TIMESTAMPTZ:
        return CELL_INT;
    case PG_OID_FLOAT4:
    case PG_OID_FLOAT8:
        return CELL_REAL;
    case PG_OID_TEXT:
    case PG_OID_VARCHAR:
    case PG_OID_JSON:
    case PG_OID_JSONB:
        return CELL_TEXT;
    case PG_OID_UUID:
        return CELL_UUID;
    case PG_OID_BYTEA:
        return CELL_BLOB;
    default:
        return CELL_UNKNOWN;
    }
}

bool pgdb_column_known(uint32_t oid) { return kind_of(oid) != CELL_UNKNOWN; }

static bool copy_bytes(struct arena *a, str from, str *out) {
    char *to = arena_try_alloc(a, from.len + 1);
    if (!to)
        return false;
    if (from.len > 0)
        memcpy(to, from.p, from.len);
    to[from.len] = '\0';
    *out = str_n(to, from.len);
    return true;
}

static bool copy_uuid(struct arena *a, struct id id, str *out) {
    char *to = arena_try_alloc(a, ID_HEX_LEN + 1);
    if (!to)
        return false;
    id_write_hex(id, to);
    to[ID_HEX_LEN] = '\0';
    *out = str_n(to, ID_HEX_LEN);
    return true;
}

static bool copy_cell(const struct pg_result *r, size_t row, size_t col, enum cell_kind kind,
                      struct arena *a, struct db_value *out) {
    if (pg_cell_null(r, row, col)) {
        *out = DB_NIL;
        return true;
    }
    switch (kind) {
    case CELL_INT:
        *out = DB_I(pg_cell_int(r, row, col));
        return true;
    case CELL_REAL:
        *out = DB_D(pg_cell_float(r, row, col));
        return true;
    case CELL_TEXT:
        out->type = DB_TEXT;
        return copy_bytes(a, pg_cell_text(r, row, col), &out->s);
    case CELL_UUID:
        out->type = DB_TEXT;
        return copy_uuid(a, pg_cell_uuid(r, row, col), &out->s);
    case CELL_BLOB:
        out->type = DB_BLOB;
        return copy_bytes(a, pg_cell_text(r, row, col), &out->s);
    case CELL_UNKNOWN:
        *out = DB_NIL;
        return true;
    }
    UNREACHABLE();
}

int pgdb_rows_some(const struct pg_result *r, size_t first, size_t rows, size_t skip,
                   struct arena *a, struct db_rows *out, struct err *err) {
    size_t cols = pg_column_count(r) - skip;
    if (rows == 0 || cols == 0) {
        *out = (struct db_rows){.col_count = cols};
        return 0;
    }
    struct db_value *cells = arena_try_alloc(a, rows * cols * sizeof(*cells));
    bool fits = cells != NULL;
    for (size_t col = 0; fits && col < cols; col++) {
        enum cell_kind kind = kind_of(pg_column_oid(r, skip + col));
        for (size_t row = 0; fits && row < rows; row++)
            fits = copy_cell(r, first + row, skip + col, kind, a, &cells[row * cols + col]);
    }
    if (!fits)
        return err_set(err, ERR_TOO_LARGE, "a result of %zu rows is larger than the caller takes",
                       rows);
    *out = (struct db_rows){.cells = cells, .row_count = rows, .col_count = cols};
    return 0;
}

int pgdb_rows(const struct pg_result *r, struct arena *a, struct db_rows *out, struct err *err) {
    return pgdb_rows_some(r, 0, pg_row_count(r), 0, a, out, err);
}
