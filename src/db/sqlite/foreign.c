/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - a write into a SQLite file that is not the server's.
 *
 * One connection for each write, on a thread of the offload pool: opened, one transaction, closed.
 * A file with the mark of the server's own data is refused, whatever its name; so is what is no
 * ordinary table. Nothing of the file's schema is trusted. The key is written down by the same
 * transaction. A timer on the loop interrupts what takes too long. */
#include "db/sqlite/foreign.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/mem.h"
#include "db/sqlite/conn.h"
#include "db/sqlite/migrate.h"
#include "rt/worker.h"

#define BUSY_MS 5000

struct foreign {
    struct db_foreign d;
    struct rt *rt;
    const char *file;
};
struct job {
    const char *file;
    const struct db_foreign_write *w;
    sqlite3 *db;
    struct rt_timer timer;
    pthread_mutex_t lock; /* of the next two, which the loop looks at */
    sqlite3 *live;        /* NULL: not open */
    bool late;
    struct db_foreign_done done;
    int rc;
    struct err err;
};

static void on_late(struct rt_timer *t) {
    struct job *j = CONTAINER_OF(t, struct job, timer);
    (void)pthread_mutex_lock(&j->lock);
    j->late = true;
    if (j->live)
        sqlite3_interrupt(j->live);
    (void)pthread_mutex_unlock(&j->lock);
}

/* False: its time is over. */
static bool set_live(struct job *j, sqlite3 *db) {
    (void)pthread_mutex_lock(&j->lock);
    j->live = db;
    bool late = j->late;
    (void)pthread_mutex_unlock(&j->lock);
    return !late;
}

static int failed(struct job *j, const char *what) {
    int code = lite_error(j->db, what, &j->err);
    if (sqlite3_errcode(j->db) == SQLITE_INTERRUPT)
        return err_set(&j->err, ERR_TIMEOUT, "the write took too long");
    bool passes = code == ERR_UNAVAILABLE || code == ERR_IO || code == ERR_LIMIT ||
                  sqlite3_errcode(j->db) == SQLITE_BUSY || sqlite3_errcode(j->db) == SQLITE_LOCKED;
    if (!passes) /* the data or the schema: the next attempt finds the same */
        j->err.code = ERR_INVALID;
    return j->err.code;
}

static void bind(sqlite3_stmt *s, int at, const struct db_foreign_value *v) {
    switch (v->kind) {
    case DB_FOREIGN_NULL:
        (void)sqlite3_bind_null(s, at);
        break;
    case DB_FOREIGN_INT:
        (void)sqlite3_bind_int64(s, at, v->i);
        break;
    case DB_FOREIGN_REAL:
        (void)sqlite3_bind_double(s, at, v->d);
        break;
    default:
        (void)sqlite3_bind_text64(s, at, v->s.p ? v->s.p : "", v->s.len, SQLITE_STATIC,
                                  SQLITE_UTF8);
    }
}

/* out: the first cell of the first row; NULL: not asked for. *out_row: was there one? */
static int run(struct job *j, const struct db_foreign_stmt *stmt, int64_t *out, bool *out_row) {
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(j->db, stmt->sql, -1, &s, NULL) != SQLITE_OK)
        return failed(j, "the write");
    for (size_t i = 0; i < stmt->param_count; i++)
        bind(s, (int)i + 1, &stmt->params[i]);
    int rc = sqlite3_step(s);
    if (out_row)
        *out_row = rc == SQLITE_ROW;
    if (out && rc == SQLITE_ROW)
        *out = sqlite3_column_int64(s, 0);
    while (rc == SQLITE_ROW)
        rc = sqlite3_step(s);
    int code = rc == SQLITE_DONE ? 0 : failed(j, "the write");
    (void)sqlite3_finalize(s);
    return code;
}

static int run_text(struct job *j, const char *sql, int64_t *out) {
    struct db_foreign_stmt s = {.sql = sql};
    return run(j, &s, out, NULL);
}

static int run_key(struct job *j, const char *sql, int64_t number, int64_t *out, bool *out_row) {
    const struct db_foreign_value params[] = {{.kind = DB_FOREIGN_STR, .s = j->w->key},
                                            {.kind = DB_FOREIGN_INT, .i = number}};
    struct db_foreign_stmt s = {sql, params, strchr(sql, '2') ? 2 : 1};
    return run(j, &s, out, out_row);
}

static int check_place(struct job *j) {
    int64_t mark = 0, plain = 0;
    bool found = false;
    const struct db_foreign_value name = {.kind = DB_FOREIGN_STR, .s = j->w->table};
    struct db_foreign_stmt table = {"SELECT type = 'table' AND rootpage > 0 FROM sqlite_schema "
                                  "WHERE name = ?1 COLLATE NOCASE",
                                  &name, 1};
    int rc = run_text(j, "PRAGMA application_id", &mark);
    if (rc == 0 && mark == LITE_APPLICATION_ID)
        rc = err_set(&j->err, ERR_INVALID, "the server's own data is never written by steps");
    if (rc == 0)
        rc = run(j, &table, &plain, &found);
    if (rc == 0 && (!found || !plain))
        rc = err_set(&j->err, ERR_INVALID, STR_FMT ": is no table of the target",
                     STR_ARG(j->w->table));
    return rc;
}

static int write_all(struct job *j) {
    const struct db_foreign_write *w = j->w;
    int64_t met = 0, rows = 0;
    int rc = w->count.sql ? run(j, &w->count, &met, NULL) : 0;
    if (rc == 0)
        rc = db_foreign_judge(w, met, false, &j->err);
    for (size_t i = 0; rc == 0 && i < w->stmt_count; i++) {
        rc = run(j, &w->stmts[i], NULL, NULL);
        rows += rc == 0 ? sqlite3_changes64(j->db) : 0;
    }
    if (rc == 0)
        rc = db_foreign_judge(w, rows, true, &j->err);
    j->done.rows = rows;
    return rc;
}

static int transact(struct job *j) {
    int64_t rows = 0;
    int rc = run_text(j, "BEGIN IMMEDIATE", NULL);
    if (rc == 0)
        rc = check_place(j);
    if (rc == 0)
        rc = run_text(j,
                      "CREATE TABLE IF NOT EXISTS " DB_FOREIGN_LEDGER
                      " (key TEXT NOT NULL PRIMARY KEY, rows INTEGER NOT NULL, at TEXT NOT NULL "
                      "DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) WITHOUT ROWID",
                      NULL);
    if (rc == 0)
        rc = run_key(j, "SELECT rows FROM " DB_FOREIGN_LEDGER " WHERE key = ?1", 0, &rows,
                     &j->done.repeated);
    if (rc == 0 && j->done.repeated)
        j->done.rows = rows;
    else if (rc == 0)
        rc = write_all(j);
    if (rc == 0 && !j->done.repeated)
        rc = run_key(j, "INSERT INTO " DB_FOREIGN_LEDGER " (key, rows) VALUES (?1, ?2)",
                     j->done.rows, NULL, NULL);
    return rc < 0 ? rc : run_text(j, "COMMIT", NULL);
}

static int set_up(struct job *j) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(j->file, &j->db, flags, NULL) != SQLITE_OK) {
        (void)lite_error(j->db, "the target cannot be opened", &j->err);
        return j->err.code = ERR_UNAVAILABLE;
    }
    (void)sqlite3_extended_result_codes(j->db, 0);
    (void)sqlite3_busy_timeout(j->db, BUSY_MS);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(j->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (!set_live(j, j->db))
        return err_set(&j->err, ERR_TIMEOUT, "the write took too long");
    return run_text(j, "PRAGMA foreign_keys = ON", NULL);
}

static void work(void *arg) {
    struct job *j = arg;
    j->rc = set_up(j);
    if (j->rc == 0)
        j->rc = transact(j);
    (void)set_live(j, NULL);
    if (j->db)
        (void)sqlite3_close(j->db); /* rolls back what was not committed */
}

static int write_once(struct db_foreign *d, const struct db_foreign_write *w, struct arena *a,
                      struct db_foreign_done *out, struct err *err) {
    struct foreign *f = CONTAINER_OF(d, struct foreign, d);
    struct job j = {.file = f->file, .w = w, .lock = PTHREAD_MUTEX_INITIALIZER};
    (void)a;
    int rc = lite_library_init(err);
    if (rc < 0)
        return rc;
    rt_timer_start(f->rt, &j.timer, w->timeout_us, on_late);
    rc = rt_offload(f->rt, work, &j);
    rt_timer_stop(f->rt, &j.timer);
    (void)pthread_mutex_destroy(&j.lock);
    if (rc < 0)
        return rc;
    *out = j.done;
    if (j.rc < 0 && err)
        *err = j.err;
    return j.rc;
}

static void close_foreign(struct db_foreign *d) { mem_free(CONTAINER_OF(d, struct foreign, d)); }

struct db_foreign *db_foreign_sqlite(struct rt *rt, const char *file) {
    struct foreign *f = NEW(struct foreign);
    *f = (struct foreign){{write_once, close_foreign}, rt, file};
    return &f->d;
}
