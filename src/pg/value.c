/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - parameters into the server's binary formats, and cells out of them.
 *
 * Fixed-size values are kept inside the parameter, so that binding a number takes no memory; texts
 * and blobs are referred to. A cell is read by the type of its column and its length is checked
 * against that type: what the server sends is input like any other. An array of another shape than
 * one dimension is refused, not flattened.
 *
 * A new type: its number in value.h, its row in `arrays` when it has an array type, and the
 * reader that it belongs to. */
#include "pg/value.h"

#include "pg/value_int.h"

#define EPOCH_US              946684800000000LL /* 2000-01-01 UTC, the server's zero */
#define ARRAY_HEAD_BYTES      12
#define ARRAY_DIMENSION_BYTES 8

enum { OID_CHAR = 18, OID_NAME = 19, OID_UNKNOWN = 705, OID_BPCHAR = 1042, OID_TIMESTAMP = 1114 };

static const struct {
    uint32_t element, array;
} arrays[] = {
    {PG_OID_BYTEA, PG_OID_BYTEA_ARRAY}, {PG_OID_INT2, PG_OID_INT2_ARRAY},
    {PG_OID_INT4, PG_OID_INT4_ARRAY},   {PG_OID_TEXT, PG_OID_TEXT_ARRAY},
    {PG_OID_INT8, PG_OID_INT8_ARRAY},   {PG_OID_FLOAT8, PG_OID_FLOAT8_ARRAY},
    {PG_OID_UUID, PG_OID_UUID_ARRAY},   {PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ_ARRAY},
    {PG_OID_JSONB, PG_OID_JSONB_ARRAY}, {PG_OID_BOOL, PG_OID_BOOL_ARRAY},
    {PG_OID_JSON, PG_OID_JSON_ARRAY},   {PG_OID_VARCHAR, PG_OID_VARCHAR_ARRAY},
};

uint32_t pg_array_of(uint32_t element_oid) {
    for (size_t i = 0; i < ARRAY_COUNT(arrays); i++)
        if (arrays[i].element == element_oid)
            return arrays[i].array;
    return 0;
}

uint32_t pg_element_of(uint32_t array_oid) {
    for (size_t i = 0; i < ARRAY_COUNT(arrays); i++)
        if (arrays[i].array == array_oid)
            return arrays[i].element;
    return 0;
}

/* --- parameters ------------------------------------------------------------------------------ */

static struct pg_param fixed(uint32_t oid, uint64_t value, uint32_t len) {
    struct pg_param p = {.oid = oid, .binary = true, .own = true, .len = len};
    char word[8];
    pg_put64(word, value);
    memcpy(p.fixed, word + 8 - len, len);
    return p;
}

struct pg_param pg_null(uint32_t oid) {
    return (struct pg_param){.oid = oid, .null = true};
}

struct pg_param pg_text(str s) {
    ASSERT(s.len <= INT32_MAX);
    return (struct pg_param){.p = s.p, .len = (uint32_t)s.len};
}

struct pg_param pg_bytea(str s) {
    ASSERT(s.len <= INT32_MAX);
    return (struct pg_param){.oid = PG_OID_BYTEA, .binary = true, .p = s.p, .len = (uint32_t)s.len};
}

struct pg_param pg_bool(bool v) {
    return fixed(PG_OID_BOOL, v, 1);
}
struct pg_param pg_int2(int16_t v) {
    return fixed(PG_OID_INT2, (uint64_t)v, 2);
}
struct pg_param pg_int4(int32_t v) {
    return fixed(PG_OID_INT4, (uint64_t)v, 4);
}
struct pg_param pg_int8(int64_t v) {
    return fixed(PG_OID_INT8, (uint64_t)v, 8);
}

struct pg_param pg_float8(double v) {
    uint64_t bits;
    memcpy(&bits, &v, 8);
    return fixed(PG_OID_FLOAT8, bits, 8);
}

struct pg_param pg_timestamptz(int64_t unix_us) {
    int64_t v;
    if (unix_us == INT64_MAX)
        v = INT64_MAX; /* the server's infinity */
    else if (__builtin_sub_overflow(unix_us, EPOCH_US, &v))
        v = INT64_MIN;
    return fixed(PG_OID_TIMESTAMPTZ, (uint64_t)v, 8);
}

struct pg_param pg_uuid(struct id id) {
    struct pg_param p = {.oid = PG_OID_UUID, .binary = true, .own = true, .len = 16};
    memcpy(p.fixed, id.b, 16);
    return p;
}

struct pg_param pg_jsonb(struct arena *a, str json) {
    ASSERT(json.len < INT32_MAX);
    char *bytes = arena_alloc(a, json.len + 1);
    bytes[0] = 1;
    if (json.len)
        memcpy(bytes + 1, json.p, json.len);
    return (struct pg_param){
        .oid = PG_OID_JSONB, .binary = true, .p = bytes, .len = (uint32_t)json.len + 1};
}

static bool is_text(uint32_t oid) {
    return oid == PG_OID_TEXT || oid == PG_OID_VARCHAR || oid == PG_OID_JSON;
}

struct pg_param pg_array(struct arena *a, uint32_t element_oid, const struct pg_param *elements,
                         size_t count) {
    uint32_t oid = pg_array_of(element_oid);
    ASSERT(oid && count <= INT32_MAX);
    size_t bytes = ARRAY_HEAD_BYTES + (count ? ARRAY_DIMENSION_BYTES : 0);
    bool nulls = false;
    for (size_t i = 0; i < count; i++) {
        ASSERT(elements[i].null || elements[i].binary || is_text(element_oid));
        bytes += 4 + (elements[i].null ? 0 : elements[i].len);
        nulls |= elements[i].null;
    }
    ASSERT(bytes <= INT32_MAX);
    char *p = arena_alloc(a, bytes), *at = p;
    pg_put32(at, count ? 1 : 0);
    pg_put32(at + 4, nulls);
    pg_put32(at + 8, element_oid);
    at += ARRAY_HEAD_BYTES;
    if (count) {
        pg_put32(at, (uint32_t)count);
        pg_put32(at + 4, 1);
        at += ARRAY_DIMENSION_BYTES;
    }
    for (size_t i = 0; i < count; i++) {
        const struct pg_param *e = &elements[i];
        pg_put32(at, e->null ? UINT32_MAX : e->len);
        at += 4;
        if (e->null || !e->len)
            continue;
        memcpy(at, e->own ? (const char *)e->fixed : e->p, e->len);
        at += e->len;
    }
    return (struct pg_param){.oid = oid, .binary = true, .p = p, .len = (uint32_t)bytes};
}

/* --- results --------------------------------------------------------------------------------- */

size_t pg_row_count(const struct pg_result *r) { return r->row_count; }
size_t pg_column_count(const struct pg_result *r) { return r->column_count; }
int64_t pg_changed(const struct pg_result *r) { return r->changed; }

uint32_t pg_column_oid(const struct pg_result *r, size_t col) {
    return col < r->column_count ? r->column_oids[col] : 0;
}

str pg_cell(const struct pg_result *r, size_t row, size_t col) {
    ASSERT(row < r->row_count && col < r->column_count);
    const struct pg_cell *c = &r->cells[row * r->column_count + col];
    return c->len < 0 ? STR_NULL : str_n(r->bytes + c->at, (size_t)c->len);
}

bool pg_cell_null(const struct pg_result *r, size_t row, size_t col) {
    return pg_cell(r, row, col).p == NULL;
}

static int64_t unix_us(int64_t v) {
    if (v == INT64_MAX || v == INT64_MIN)
        return v; /* infinity */
    return __builtin_add_overflow(v, EPOCH_US, &v) ? INT64_MAX : v;
}

int64_t pg_cell_int(const struct pg_result *r, size_t row, size_t col) {
    str s = pg_cell(r, row, col);
    uint32_t oid = r->column_oids[col];
    switch (s.p ? oid : 0) {
    case PG_OID_BOOL:
        return s.len == 1 ? s.p[0] != 0 : 0;
    case PG_OID_INT2:
        return s.len == 2 ? (int16_t)pg_get16(s.p) : 0;
    case PG_OID_INT4:
        return s.len == 4 ? (int32_t)pg_get32(s.p) : 0;
    case PG_OID_OID:
        return s.len == 4 ? (int64_t)pg_get32(s.p) : 0;
    case PG_OID_INT8:
        return s.len == 8 ? (int64_t)pg_get64(s.p) : 0;
    case PG_OID_TIMESTAMPTZ:
    case OID_TIMESTAMP:
        return s.len == 8 ? unix_us((int64_t)pg_get64(s.p)) : 0;
    default:
        return 0;
    }
}

double pg_cell_float(const struct pg_result *r, size_t row, size_t col) {
    str s = pg_cell(r, row, col);
    if (s.len == 8 && r->column_oids[col] == PG_OID_FLOAT8) {
        uint64_t bits = pg_get64(s.p);
        double v;
        memcpy(&v, &bits, 8);
        return v;
    }
    if (s.len == 4 && r->column_oids[col] == PG_OID_FLOAT4) {
        uint32_t bits = pg_get32(s.p);
        float v;
        memcpy(&v, &bits, 4);
        return (double)v;
    }
    return 0;
}

str pg_cell_text(const struct pg_result *r, size_t row, size_t col) {
    str s = pg_cell(r, row, col);
    switch (s.p ? r->column_oids[col] : 0) {
    case PG_OID_TEXT:
    case PG_OID_VARCHAR:
    case PG_OID_JSON:
    case PG_OID_BYTEA:
    case OID_BPCHAR:
    case OID_NAME:
    case OID_CHAR:
    case OID_UNKNOWN:
        return s;
    case PG_OID_JSONB:
        return s.len && s.p[0] == 1 ? str_n(s.p + 1, s.len - 1) : STR_NULL;
    default:
        return STR_NULL;
    }
}

struct id pg_cell_uuid(const struct pg_result *r, size_t row, size_t col) {
    str s = pg_cell(r, row, col);
    struct id id = ID_NIL;
    if (s.len == 16 && r->column_oids[col] == PG_OID_UUID)
        memcpy(id.b, s.p, 16);
    return id;
}

int pg_array_read(str s, struct arena *a, struct pg_elements *out, struct err *err) {
    if (s.len < ARRAY_HEAD_BYTES)
        return err_set(err, ERR_INVALID, "an array of %zu bytes", s.len);
    uint32_t dimensions = pg_get32(s.p), oid = pg_get32(s.p + 8);
    if (dimensions == 0) {
        *out = (struct pg_elements){.oid = oid};
        return 0;
    }
    if (dimensions != 1 || s.len < ARRAY_HEAD_BYTES + ARRAY_DIMENSION_BYTES)
        return err_set(err, ERR_INVALID, "an array of %u dimensions", dimensions);
    size_t count = pg_get32(s.p + ARRAY_HEAD_BYTES);
    size_t at = ARRAY_HEAD_BYTES + ARRAY_DIMENSION_BYTES;
    if (count > (s.len - at) / 4)
        return err_set(err, ERR_INVALID, "an array of %zu elements in %zu bytes", count, s.len);
    str *items = ARENA_ARRAY(a, str, count ? count : 1);
    for (size_t i = 0; i < count; i++) {
        if (s.len - at < 4)
            return err_set(err, ERR_INVALID, "an array that ends early");
        uint32_t len = pg_get32(s.p + at);
        at += 4;
        if (len == UINT32_MAX)
            continue;
        if (len > s.len - at)
            return err_set(err, ERR_INVALID, "an array that ends early");
        items[i] = str_n(s.p + at, len);
        at += len;
    }
    if (at != s.len)
        return err_set(err, ERR_INVALID, "an array with bytes behind its end");
    *out = (struct pg_elements){.oid = oid, .count = count, .items = items};
    return 0;
}

int pg_cell_array(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                  struct pg_elements *out, struct err *err) {
    str s = pg_cell(r, row, col);
    if (!s.p || !pg_element_of(r->column_oids[col]))
        return err_set(err, ERR_INVALID, "column %zu holds no array", col + 1);
    return pg_array_read(s, a, out, err);
}
