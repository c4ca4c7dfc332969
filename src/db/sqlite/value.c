/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - values between the port and SQLite.
 *
 * In: strings are bound in place (SQLITE_STATIC): the fiber that owns them waits until the reply,
 * and every execution binds all parameters, so a pointer of an earlier one is never read. Ids are
 * written as 32 hex digits to memory of the connection.
 *
 * Out: texts and blobs are copied to the arena with a NUL behind them. An empty blob comes from
 * SQLite as NULL; it goes out as empty, since absent means SQL NULL. A cell is looked up once and
 * then asked for type, bytes and length (a page of a thousand rows has some ten thousand cells);
 * that needs no lock, as a connection belongs to one thread at a time. */
#include "db/sqlite/conn.h"

static int bind_one(sqlite3_stmt *s, int at, const struct db_value *v, char id[ID_HEX_LEN]) {
    switch (v->type) {
    case DB_NULL:
        return sqlite3_bind_null(s, at);
    case DB_INT:
        return sqlite3_bind_int64(s, at, v->i);
    case DB_REAL:
        return sqlite3_bind_double(s, at, v->d);
    case DB_TEXT:
        return sqlite3_bind_text64(s, at, v->s.p, v->s.len, SQLITE_STATIC, SQLITE_UTF8);
    case DB_BLOB:
        return sqlite3_bind_blob64(s, at, v->s.p, v->s.len, SQLITE_STATIC);
    case DB_ID:
        id_write_hex(v->id, id);
        return sqlite3_bind_text64(s, at, id, ID_HEX_LEN, SQLITE_STATIC, SQLITE_UTF8);
    }
    UNREACHABLE();
}

int lite_bind(sqlite3_stmt *s, const struct lite_call *call, char ids[DB_PARAMS_MAX][ID_HEX_LEN]) {
    ASSERT(call->param_count <= DB_PARAMS_MAX);
    for (size_t i = 0; i < call->param_count; i++) {
        int rc = bind_one(s, (int)i + 1, &call->params[i], ids[i]);
        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

static int copy_bytes(struct arena *a, const void *p, int len, str *out) {
    char *to = arena_try_alloc(a, (size_t)len + 1);
    if (!to)
        return ERR_TOO_LARGE;
    if (len > 0)
        memcpy(to, p, (size_t)len);
    to[len] = '\0';
    *out = str_n(to, (size_t)len);
    return 0;
}

int lite_copy_row(sqlite3_stmt *s, struct arena *a, struct db_value *cells, size_t col_count) {
    for (size_t i = 0; i < col_count; i++) {
        sqlite3_value *v = sqlite3_column_value(s, (int)i);
        int code = 0;
        switch (sqlite3_value_type(v)) {
        case SQLITE_INTEGER:
            cells[i] = DB_I(sqlite3_value_int64(v));
            break;
        case SQLITE_FLOAT:
            cells[i] = DB_D(sqlite3_value_double(v));
            break;
        case SQLITE_TEXT: {
            const void *p = sqlite3_value_text(v);
            cells[i].type = DB_TEXT;
            code = copy_bytes(a, p, sqlite3_value_bytes(v), &cells[i].s);
            break;
        }
        case SQLITE_BLOB: {
            const void *p = sqlite3_value_blob(v);
            cells[i].type = DB_BLOB;
            code = copy_bytes(a, p, sqlite3_value_bytes(v), &cells[i].s);
            break;
        }
        default:
            cells[i] = DB_NIL;
        }
        if (code < 0)
            return code;
    }
    return 0;
}
