/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - one SQLite connection.
 *
 * The writer's connection sets the file up (WAL, synchronous); readers open read-only. Statements
 * are prepared when first used and kept; before that lite_conn_check has prepared each once, so a
 * bad one stops the start and not a request.
 *
 * Result codes: constraint on a key is ERR_EXISTS, any other constraint ERR_INVALID; a full disk
 * and a busy file are ERR_UNAVAILABLE (may pass); I/O errors ERR_IO; a damaged file ERR_CORRUPT. */
#include "db/sqlite/conn.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite/functions.h"
#include "db/sqlite/wal_vfs.h"
#include "db/stmt_log.h"

#define CACHE_PAGES_KEPT 64
#define CELLS_KEPT_MAX   4096 /* a larger result's scratch memory is given back */

/* SQLite's own remarks. Failed constraints and changed schemas are ordinary; the rest is rare. */
static void on_sqlite_log(void *arg, int code, const char *message) {
    (void)arg;
    int primary = code & 0xff;
    bool grave = primary == SQLITE_CORRUPT || primary == SQLITE_IOERR || primary == SQLITE_FULL ||
                 primary == SQLITE_NOTADB;
    log_event(grave ? LOG_WARN : LOG_DEBUG, "db.sqlite", message, LOG_INT("code", code));
}

/* SQLite is one for the process, and configured before its first use; threads of several loops may
 * come at once. */
static int init_rc = SQLITE_ERROR;
static pthread_once_t init_once = PTHREAD_ONCE_INIT;

static void library_init(void) {
    /* None of these fails here. Statement journals stay in memory: a savepoint of a batch must not
     * cost temporary files. */
    (void)sqlite3_config(SQLITE_CONFIG_LOG, on_sqlite_log, NULL);
    (void)sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
    /* Pages that each connection keeps for its cache: a reader drops all of its pages at each new
     * snapshot, and the heap is slow at taking and giving them. */
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, CACHE_PAGES_KEPT);
    init_rc = sqlite3_initialize();
    if (init_rc == SQLITE_OK)
        init_rc = lite_wal_vfs_register();
}

int lite_library_init(struct err *err) {
    (void)pthread_once(&init_once, library_init);
    if (init_rc != SQLITE_OK)
        return err_set_system(err, ERR_INTERNAL, init_rc, "SQLite does not start: %s",
                              sqlite3_errstr(init_rc));
    return 0;
}

int lite_error_code(int extended) {
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return ERR_EXISTS;
    default:
        break;
    }
    switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
        return ERR_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_NOMEM:
        return ERR_UNAVAILABLE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    default:
        return ERR_INTERNAL;
    }
}

int lite_error(sqlite3 *db, const char *what, struct err *err) {
    int rc = sqlite3_extended_errcode(db);
    return err_set_system(err, lite_error_code(rc), rc, "%s: %s", what, sqlite3_errmsg(db));
}

/* Behind the size of pages: SQLite takes it for a number of pages of the size that they have then,
 * so the cache of a file that was made with larger ones was four times as large. */
static int set_cache(struct lite_conn *c, int64_t bytes, struct err *err) {
    int64_t kib = bytes / 1024;
    return lite_conn_pragma(c, LITE_SET_CACHE_KIB, kib > 0 ? kib : 1, NULL, err);
}

static int set_up(struct lite_conn *c, const struct lite_conn_options *o, struct err *err) {
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, o->never_wait ? 0 : LITE_BUSY_TIMEOUT_MS);
    /* Plans do not depend on parameters. Otherwise a statement whose parameter could be compared
     * with the condition of a partial index is prepared anew whenever it is bound. */
    int rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
    if (rc == SQLITE_OK)
        rc = db_sqlite_functions_register(c->db, &c->returned);
    if (rc != SQLITE_OK)
        return lite_error(c->db, "connection", err);
    int code = lite_conn_own(c, LITE_SET_TEMP_MEMORY, err);
    if (code == 0)
        code = lite_conn_own(c, LITE_SET_UNTRUSTED_SCHEMA, err);
    if (code == 0 && o->mmap_bytes > 0)
        code = lite_conn_pragma(c, LITE_SET_MMAP_BYTES, o->mmap_bytes, NULL, err);
    if (code == 0 && o->erases)
        code = lite_conn_own(c, LITE_SET_ERASE, err);
    if (code == 0 && o->page_bytes > 0)
        code = lite_conn_pragma(c, LITE_SET_PAGE_BYTES, o->page_bytes, NULL, err);
    if (code == 0 && !o->read_only && o->path)
        code = lite_conn_own(c, LITE_SET_WAL, err);
    if (code == 0 && !o->read_only)
        code = lite_conn_own(c, o->synchronous_normal ? LITE_SET_SYNC_NORMAL : LITE_SET_SYNC_FULL,
                             err);
    return code == 0 ? set_cache(c, o->cache_bytes, err) : code;
}

int lite_conn_open(struct lite_conn *c, const struct lite_conn_options *o, struct err *err) {
    *c = (struct lite_conn){.log_all = o->log_all};
    int flags = SQLITE_OPEN_NOMUTEX |
                (o->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    /* Gathered writes of the log rely on the sync at each commit; see wal_vfs.c. */
    bool gather = o->path && !o->read_only && !o->synchronous_normal;
    int rc = sqlite3_open_v2(o->path ? o->path : ":memory:", &c->db, flags,
                             o->vfs   ? o->vfs
                             : gather ? LITE_WAL_VFS
                                      : NULL);
    int code = rc == SQLITE_OK ? set_up(c, o, err) : lite_error(c->db, "cannot be opened", err);
    if (code < 0) {
        (void)err_context(err, "database %s", o->path ? o->path : "in memory");
        lite_conn_close(c);
    }
    return code;
}

void lite_conn_close(struct lite_conn *c) {
    for (size_t i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(c->stmts[i]);
    for (size_t i = 0; i < LITE_COUNT; i++)
        sqlite3_finalize(c->own[i]);
    int rc = sqlite3_close(c->db);
    ASSERT(rc == SQLITE_OK); /* all statements are finalized */
    vec_deinit(&c->cells);
    *c = (struct lite_conn){0};
}

int lite_conn_check(struct lite_conn *c, struct err *err) {
    for (size_t i = 0; i < SQL_COUNT; i++) {
        const struct db_statement *d = &db_catalogue[i];
        sqlite3_stmt *s = NULL;
        if (!d->sqlite) /* the other database's only */
            continue;
        if (sqlite3_prepare_v3(c->db, d->sqlite, -1, 0, &s, NULL) != SQLITE_OK) {
            int code = lite_error(c->db, d->name, err);
            err_context(err, "statement");
            return code;
        }
        bool same = sqlite3_bind_parameter_count(s) == d->param_count &&
                    (sqlite3_stmt_readonly(s) == 0) == d->writes;
        sqlite3_finalize(s);
        if (!same)
            return err_set(err, ERR_INTERNAL, "statement %s: not as the catalogue says", d->name);
    }
    return 0;
}

static int prepared(struct lite_conn *c, sqlite3_stmt **slot, const char *name, const char *sql,
                    sqlite3_stmt **out, struct err *err) {
    if (__builtin_expect(*slot == NULL, 0)) {
        int rc = sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
        if (rc != SQLITE_OK)
            return lite_error(c->db, name, err);
    }
    *out = *slot;
    return 0;
}

int lite_conn_prepare(struct lite_conn *c, enum db_stmt stmt, struct err *err) {
    sqlite3_stmt *s = NULL;
    const struct db_statement *d = &db_catalogue[stmt];
    ASSERT(d->sqlite);
    return prepared(c, &c->stmts[stmt], d->name, d->sqlite, &s, err);
}

static bool within_bounds(const struct lite_call *call, size_t row_count, size_t used_before) {
    return (call->row_count_max == 0 || row_count <= call->row_count_max) &&
           (call->copy_bytes_max == 0 ||
            call->arena->used_bytes - used_before <= call->copy_bytes_max);
}

/* Steps s to its end and gathers its rows. Reset is the caller's. */
static int gather(struct lite_conn *c, sqlite3_stmt *s, const struct lite_call *call,
                  struct db_rows *out, struct err *err) {
    const char *name = db_catalogue[call->stmt].name;
    size_t col_count = (size_t)sqlite3_column_count(s), row_count = 0;
    size_t used_before = call->arena->used_bytes;
    c->cells.count = 0;
    c->returned.given = false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        size_t need = c->cells.count + col_count;
        if (need > c->cells.cap)
            c->cells.p = vec_grow(c->cells.p, &c->cells.cap, need, sizeof(*c->cells.p));
        int code = lite_copy_row(s, call->arena, c->cells.p + c->cells.count, col_count);
        if (code < 0)
            return err_set(err, code, "statement %s: the result is too large", name);
        c->cells.count = need;
        row_count++;
        if (!within_bounds(call, row_count, used_before))
            return err_set(err, ERR_LIMIT, "statement %s: over the bounds of this call", name);
    }
    if (rc != SQLITE_DONE)
        return lite_error(c->db, name, err);
    if (row_count == 0 && c->returned.given) {
        vec_push(&c->cells, DB_I(c->returned.n));
        row_count = col_count = 1;
    }
    struct db_value *cells = NULL;
    if (row_count > 0) {
        size_t bytes = c->cells.count * sizeof(*cells);
        cells = arena_try_alloc(call->arena, bytes);
        if (!cells)
            return err_set(err, ERR_TOO_LARGE, "statement %s: the result is too large", name);
        memcpy(cells, c->cells.p, bytes);
    }
    *out = (struct db_rows){cells, row_count, col_count};
    return 0;
}

int lite_conn_run(struct lite_conn *c, const struct lite_call *call, struct db_rows *out_rows,
                  int64_t *out_changed, struct err *err) {
    const struct db_statement *d = &db_catalogue[call->stmt];
    sqlite3_stmt *s = NULL;
    int code = prepared(c, &c->stmts[call->stmt], d->name, d->sqlite, &s, err);
    if (code < 0)
        return code;
    int64_t start_us = clock_mono_us();
    if (lite_bind(s, call, c->ids) != SQLITE_OK)
        code = lite_error(c->db, d->name, err);
    else
        code = gather(c, s, call, out_rows, err);
    if (code == 0 && out_changed)
        *out_changed = d->writes ? sqlite3_changes64(c->db) : 0;
    (void)sqlite3_reset(s); /* repeats the error that step gave */
    if (c->cells.cap > CELLS_KEPT_MAX)
        vec_deinit(&c->cells);
    stmt_log(c->log_all, d->name, d->sqlite, clock_mono_us() - start_us,
             code == 0 ? (int64_t)out_rows->row_count : 0);
    return code;
}

int lite_conn_own(struct lite_conn *c, enum db_sqlite_own own, struct err *err) {
    sqlite3_stmt *s = NULL;
    const char *sql = db_sqlite_own[own];
    int code = prepared(c, &c->own[own], sql, sql, &s, err);
    if (code < 0)
        return code;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {}
    if (rc != SQLITE_DONE)
        code = lite_error(c->db, sql, err);
    (void)sqlite3_reset(s); /* repeats the error that step gave */
    return code;
}

void lite_conn_roll_back(struct lite_conn *c) {
    struct err err = {0};
    if (!sqlite3_get_autocommit(c->db) && lite_conn_own(c, LITE_ROLLBACK, &err) < 0)
        log_event(LOG_WARN, "db.rollback.failed", err.message, LOG_INT("code", err.system));
}

int lite_conn_pragma(struct lite_conn *c, enum db_sqlite_own own, int64_t value, int64_t *out,
                     struct err *err) {
    char sql[128];
    const char *text = db_sqlite_own[own], *mark = strstr(text, "?1");
    int head = mark ? (int)(mark - text) : (int)strlen(text);
    int len = mark ? snprintf(sql, sizeof(sql), "%.*s%" PRId64 "%s", head, text, value, mark + 2)
                   : snprintf(sql, sizeof(sql), "%s", text);
    ASSERT(len > 0 && (size_t)len < sizeof(sql));
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v3(c->db, sql, len, 0, &s, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW && out)
            *out = sqlite3_column_int64(s, 0);
    }
    int code = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : lite_error(c->db, sql, err);
    sqlite3_finalize(s);
    return code;
}
