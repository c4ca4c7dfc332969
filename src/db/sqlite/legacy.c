/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.c - the two tables of an older store in a file of SQLite.
 *
 * One read-only connection on a thread of its own, which takes one call at a time. The older tables
 * have no index by session, and nothing may be added to them: a temporary table beside them (a file
 * of SQLite's own, that goes with the connection) holds session, instant and rowid of each row, in
 * that order. It is filled by one walk over the table, and goes on from the greatest rowid: rows
 * are inserted by one writer at a time and never deleted, so none that comes later has a smaller
 * one. Should the row that it went up to have another id now, somebody has rewritten the table, and
 * it is read again from the start.
 *
 * A mark is that greatest rowid, with a digest of the id that stands there. */
#include "db/sqlite/legacy.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/mem.h"
#include "db/sqlite/conn.h"
#include "db/sqlite/migrate.h"
#include "rt/worker.h"

#define INBOX_MAX   1024
#define PAGE_ARENA  (2 * DB_LEGACY_ROW_BYTES_MAX)
#define MARK_ID_LEN (2 * HASH_XXH3_BYTES)

struct reader {
    struct db_legacy base;
    struct rt *rt;
    struct rt_worker *worker; /* NULL: not asked yet */
    char file[PATH_MAX];
    /* The thread's: */
    sqlite3 *db; /* NULL: not open */
    int64_t row_max;
    char row_id[MARK_ID_LEN + 1];
};

/* One call, on its fiber's stack. */
struct job {
    struct rt_msg msg;
    struct fiber *fiber;
    struct reader *r;
    void (*run)(struct job *j); /* on the thread; sets rc */
    bool finished;
    int rc;
    struct err err;
    struct arena *arena;
    str session, after;
    size_t limit;
    struct db_legacy_session *sessions; /* out */
    size_t count;                       /* out: of sessions or rows */
    struct db_legacy_row *rows;         /* out */
    bool more;                          /* out */
    struct db_legacy_mark mark;         /* in; out: of the row_max that upto is */
    int64_t from_row, upto, last_at, last_row;
    struct db_legacy_checkpoint *checkpoint;
};

/* --- statements, on the thread --- */

static int failed(struct job *j) {
    int rc = lite_error(j->r->db, "the older store", &j->err);
    if (rc == ERR_INTERNAL) /* a statement does not fit its tables */
        j->err.code = ERR_INVALID;
    return j->err.code;
}

static int prepare(struct job *j, const char *sql, sqlite3_stmt **out) {
    return sqlite3_prepare_v2(j->r->db, sql, -1, out, NULL) == SQLITE_OK ? 0 : failed(j);
}

static void bind_text(sqlite3_stmt *s, int at, str text) {
    (void)sqlite3_bind_text64(s, at, text.p ? text.p : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int finish(struct job *j, sqlite3_stmt *s, int rc) {
    int code = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(j);
    (void)sqlite3_finalize(s);
    return code;
}

static int run_text(struct job *j, const char *sql) {
    sqlite3_stmt *s = NULL;
    int rc = prepare(j, sql, &s);
    if (rc < 0)
        return rc;
    do
        rc = sqlite3_step(s);
    while (rc == SQLITE_ROW);
    return finish(j, s, rc);
}

static str column(sqlite3_stmt *s, int at, struct arena *a) {
    const char *p = (const char *)sqlite3_column_text(s, at);
    return p ? arena_dup(a, str_n(p, (size_t)sqlite3_column_bytes(s, at))) : STR_NULL;
}

static void digest_of(sqlite3_stmt *s, int at, char out[MARK_ID_LEN + 1]) {
    unsigned char digest[HASH_XXH3_BYTES];
    const char *p = (const char *)sqlite3_column_text(s, at);
    hash_xxh3(str_n(p ? p : "", (size_t)sqlite3_column_bytes(s, at)), digest);
    hex_write(digest, sizeof digest, out);
    out[MARK_ID_LEN] = 0;
}

/* Whether the row is there, with this id. */
static int row_is(struct job *j, int64_t row, const char *id, bool *out) {
    sqlite3_stmt *s = NULL;
    char found[MARK_ID_LEN + 1];
    int rc = prepare(j, "SELECT id FROM main.history_events WHERE rowid = ?1", &s);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, row);
    rc = sqlite3_step(s);
    *out = rc == SQLITE_ROW;
    if (*out) {
        digest_of(s, 0, found);
        *out = strcmp(found, id) == 0;
    }
    return finish(j, s, rc);
}

/* --- the table beside --- */

static int find_last(struct job *j) {
    sqlite3_stmt *s = NULL;
    int rc =
        prepare(j, "SELECT rowid, id FROM main.history_events ORDER BY rowid DESC LIMIT 1", &s);
    if (rc < 0)
        return rc;
    rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        j->r->row_max = sqlite3_column_int64(s, 0);
        digest_of(s, 1, j->r->row_id);
    }
    return finish(j, s, rc);
}

static int add_new(struct job *j) {
    sqlite3_stmt *s = NULL;
    int rc = prepare(j,
                     "INSERT OR REPLACE INTO temp.old_rows SELECT "
                     "coalesce(nullif(substr(session_id, 1, 600), ''), '" DB_LEGACY_UNKNOWN "'), "
                     "coalesce(hf_instant(occurred_at), 0), rowid "
                     "FROM main.history_events WHERE rowid > ?1",
                     &s);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, j->r->row_max);
    rc = finish(j, s, sqlite3_step(s));
    return rc < 0 ? rc : find_last(j);
}

/* In one snapshot of the file. */
static int catch_up(struct job *j) {
    bool same = true;
    int rc = run_text(j, "BEGIN");
    if (rc == 0 && j->r->row_max > 0)
        rc = row_is(j, j->r->row_max, j->r->row_id, &same);
    if (rc == 0 && !same) {
        rc = run_text(j, "DELETE FROM temp.old_rows");
        j->r->row_max = 0;
    }
    if (rc == 0)
        rc = add_new(j);
    if (rc == 0)
        return run_text(j, "COMMIT");
    if (!sqlite3_get_autocommit(j->r->db))
        (void)sqlite3_exec(j->r->db, "ROLLBACK", NULL, NULL, NULL); /* the failure counts */
    return rc;
}

/* --- opening --- */

static void instant(sqlite3_context *c, int count, sqlite3_value **values) {
    const char *p = (const char *)sqlite3_value_text(values[0]);
    int64_t at;
    (void)count;
    if (p && time_parse_iso(str_n(p, (size_t)sqlite3_value_bytes(values[0])), &at))
        sqlite3_result_int64(c, at);
    else
        sqlite3_result_null(c);
}

static int number_of(struct job *j, const char *sql, int64_t *out) {
    sqlite3_stmt *s = NULL;
    int rc = prepare(j, sql, &s);
    if (rc < 0)
        return rc;
    rc = sqlite3_step(s);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    return finish(j, s, rc);
}

static int check_tables(struct job *j) {
    int64_t mark = 0, tables = 0;
    int rc = number_of(j, "PRAGMA application_id", &mark);
    if (rc == 0 && mark == LITE_APPLICATION_ID)
        rc = err_set(&j->err, ERR_INVALID,
                     "%s is a store of the present layout: holdfast history copy takes it",
                     j->r->file);
    if (rc == 0)
        rc = number_of(j,
                       "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND "
                       "name IN ('history_events', 'history_checkpoints')",
                       &tables);
    if (rc == 0 && tables != 2)
        rc = err_set(&j->err, ERR_INVALID,
                     "%s has no tables history_events and history_checkpoints", j->r->file);
    return rc;
}

static int set_up(struct job *j) {
    struct reader *r = j->r;
    if (sqlite3_open_v2(r->file, &r->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        (void)lite_error(r->db, r->file, &j->err);
        return j->err.code = ERR_UNAVAILABLE;
    }
    (void)sqlite3_extended_result_codes(r->db, 1);
    (void)sqlite3_busy_timeout(r->db, LITE_BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(r->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_create_function(r->db, "hf_instant", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                instant, NULL, NULL) != SQLITE_OK)
        return failed(j);
    int rc = check_tables(j);
    return rc < 0 ? rc
                  : run_text(j, "CREATE TEMP TABLE old_rows(session TEXT, at INTEGER, row INTEGER, "
                                "PRIMARY KEY(session, at, row)) WITHOUT ROWID");
}

/* Before each call: open, and up to date. */
static int get_ready(struct job *j) {
    int rc = 0;
    if (!j->r->db) {
        rc = set_up(j);
        if (rc < 0) {
            (void)sqlite3_close(j->r->db);
            j->r->db = NULL;
        }
    }
    return rc < 0 ? rc : catch_up(j);
}

/* --- the calls, on the thread --- */

static void run_check(struct job *j) { j->rc = get_ready(j); }

static void run_sessions(struct job *j) {
    sqlite3_stmt *s = NULL;
    int rc = get_ready(j);
    if (rc == 0)
        rc = prepare(
            j,
            "SELECT name, max(at) FROM ("
            "SELECT * FROM (SELECT session AS name, max(at) AS at FROM temp.old_rows "
            "WHERE session > ?1 GROUP BY session ORDER BY session LIMIT ?2) UNION ALL "
            "SELECT * FROM (SELECT substr(session_id, 1, 600), 0 FROM main.history_checkpoints "
            "WHERE session_id > ?1 ORDER BY session_id LIMIT ?2)) "
            "GROUP BY name ORDER BY name LIMIT ?2",
            &s);
    if (rc == 0) {
        bind_text(s, 1, j->after);
        (void)sqlite3_bind_int64(s, 2, (int64_t)j->limit);
        int step;
        while ((step = sqlite3_step(s)) == SQLITE_ROW) {
            struct db_legacy_session *out = &j->sessions[j->count++];
            out->name = column(s, 0, j->arena);
            out->updated_at = sqlite3_column_int64(s, 1);
        }
        rc = finish(j, s, step);
    }
    j->rc = rc;
}

/* The mark as a row to go on behind; one that does not fit is none. */
static int read_mark(struct job *j) {
    str text = str_of(j->mark.text);
    ptrdiff_t colon = str_find_char(text, ':');
    bool fits = false;
    int rc = 0;
    if (colon > 0 && str_to_i64(str_slice(text, 0, (size_t)colon), &j->from_row))
        rc = row_is(j, j->from_row, text.p + colon + 1, &fits);
    if (!fits)
        j->from_row = 0;
    return rc;
}

static void run_begin(struct job *j) {
    int rc = get_ready(j);
    if (rc == 0)
        rc = read_mark(j);
    if (rc == 0) {
        j->upto = j->r->row_max;
        (void)snprintf(j->mark.text, sizeof j->mark.text, "%lld:%s", (long long)j->upto,
                       j->r->row_id);
    }
    j->rc = rc;
}

static int step_rows(struct job *j, sqlite3_stmt *s) {
    size_t bytes = 0;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct db_legacy_row *row = &j->rows[j->count++];
        j->last_at = sqlite3_column_int64(s, 0);
        j->last_row = sqlite3_column_int64(s, 1);
        *row = (struct db_legacy_row){.id = column(s, 2, j->arena),
                                      .time = column(s, 3, j->arena),
                                      .envelope = column(s, 4, j->arena)};
        bytes += row->envelope.len;
        if (j->count == DB_LEGACY_PAGE_ROWS || bytes >= DB_LEGACY_PAGE_BYTES) {
            j->more = true;
            return SQLITE_DONE;
        }
    }
    return rc;
}

static void run_rows(struct job *j) {
    sqlite3_stmt *s = NULL;
    j->rc = prepare(j,
                    "SELECT o.at, o.row, substr(e.id, 1, 1000), substr(e.occurred_at, 1, 100), "
                    "CASE WHEN octet_length(e.envelope) <= ?6 THEN e.envelope END "
                    "FROM temp.old_rows o CROSS JOIN main.history_events e ON e.rowid = o.row "
                    "WHERE o.session = ?1 AND (o.at, o.row) > (?2, ?3) AND o.row > ?4 AND "
                    "o.row <= ?5 ORDER BY o.at, o.row",
                    &s);
    if (j->rc < 0)
        return;
    bind_text(s, 1, j->session);
    (void)sqlite3_bind_int64(s, 2, j->last_at);
    (void)sqlite3_bind_int64(s, 3, j->last_row);
    (void)sqlite3_bind_int64(s, 4, j->from_row);
    (void)sqlite3_bind_int64(s, 5, j->upto);
    (void)sqlite3_bind_int64(s, 6, (int64_t)DB_LEGACY_ROW_BYTES_MAX);
    j->count = 0;
    j->more = false;
    j->rc = finish(j, s, step_rows(j, s));
}

static void run_checkpoint(struct job *j) {
    sqlite3_stmt *s = NULL;
    int rc = get_ready(j);
    if (rc == 0)
        rc = prepare(j,
                     "SELECT CASE WHEN octet_length(payload) <= ?2 THEN payload END, "
                     "substr(created_at, 1, 100) FROM main.history_checkpoints "
                     "WHERE session_id = ?1",
                     &s);
    if (rc == 0) {
        bind_text(s, 1, j->session);
        (void)sqlite3_bind_int64(s, 2, (int64_t)DB_LEGACY_ROW_BYTES_MAX);
        int step = sqlite3_step(s);
        if (step == SQLITE_ROW)
            *j->checkpoint =
                (struct db_legacy_checkpoint){column(s, 0, j->arena), column(s, 1, j->arena)};
        rc = finish(j, s, step);
        if (rc == 0 && step == SQLITE_DONE)
            rc = err_set(&j->err, ERR_NOT_FOUND, "no checkpoint");
    }
    j->rc = rc;
}

static void handle(struct rt_worker *w, struct list *batch, void *ctx) {
    (void)ctx;
    while (!list_empty(batch)) {
        struct list *node = list_pop_front(batch), one;
        struct job *j = CONTAINER_OF(LIST_ENTRY(node, struct rt_msg, node), struct job, msg);
        j->run(j);
        list_init(&one);
        list_push_back(&one, node);
        rt_worker_reply(w, &one); /* j is gone from here on */
    }
}

/* --- the loop's side --- */

static struct reader *reader_of(struct db_legacy *l) {
    return CONTAINER_OF(l, struct reader, base);
}

static void on_done(struct rt_msg *m) {
    struct job *j = CONTAINER_OF(m, struct job, msg);
    j->finished = true;
    fiber_unpark(j->fiber);
}

static int ask(struct reader *r, struct job *j, void (*run)(struct job *j), struct err *err) {
    int rc = r->worker ? 0
                       : rt_worker_open(r->rt,
                                        &(struct rt_worker_options){.name = "db-legacy",
                                                                    .inbox_count_max = INBOX_MAX,
                                                                    .handle = handle},
                                        &r->worker, err);
    if (rc < 0)
        return rc;
    j->msg = (struct rt_msg){.done = on_done};
    j->fiber = fiber_self();
    j->r = r;
    j->run = run;
    j->finished = false;
    rc = rt_worker_post(r->worker, &j->msg);
    if (rc < 0)
        return err_set(err, rc, "the older store has too many calls waiting");
    while (!j->finished)
        fiber_park_shielded();
    if (j->rc < 0 && err)
        *err = j->err;
    return j->rc;
}

static int reader_check(struct db_legacy *l, struct err *err) {
    struct job j = {0};
    return ask(reader_of(l), &j, run_check, err);
}

static int reader_session_list(struct db_legacy *l, str after, size_t limit, struct arena *a,
                               struct db_legacy_session **out, size_t *out_count, struct err *err) {
    struct job j = {.after = after, .limit = limit, .arena = a};
    j.sessions = *out = ARENA_ARRAY(a, struct db_legacy_session, limit);
    int rc = ask(reader_of(l), &j, run_sessions, err);
    *out_count = j.count;
    return rc;
}

static int reader_rows(struct db_legacy *l, str session, const struct db_legacy_mark *mark,
                       db_legacy_rows_fn fn, void *ctx, struct db_legacy_mark *out_mark,
                       struct err *err) {
    struct reader *r = reader_of(l);
    struct job j = {.session = session, .mark = *mark, .last_at = INT64_MIN};
    bool any = false;
    int rc = ask(r, &j, run_begin, err);
    j.more = rc == 0;
    while (rc == 0 && j.more) {
        struct arena a;
        arena_init(&a, PAGE_ARENA);
        j.arena = &a;
        j.rows = ARENA_ARRAY(&a, struct db_legacy_row, DB_LEGACY_PAGE_ROWS);
        rc = ask(r, &j, run_rows, err);
        any = any || j.count > 0;
        if (rc == 0 && j.count > 0)
            rc = fn(ctx, j.rows, j.count, err);
        arena_deinit(&a);
    }
    *out_mark = any ? j.mark : *mark;
    return rc;
}

static int reader_checkpoint(struct db_legacy *l, str session, struct arena *a,
                             struct db_legacy_checkpoint *out, struct err *err) {
    struct job j = {.session = session, .arena = a, .checkpoint = out};
    return ask(reader_of(l), &j, run_checkpoint, err);
}

static void reader_close(struct db_legacy *l) {
    struct reader *r = reader_of(l);
    if (r->worker)
        rt_worker_close(r->worker);
    (void)sqlite3_close(r->db); /* NULL is fine; it was only read */
    mem_free(r);
}

int db_legacy_sqlite(struct rt *rt, str file, struct db_legacy **out, struct err *err) {
    static const struct db_legacy_vtable vtable = {
        .name = "two tables, SQLite",
        .check = reader_check,
        .session_list = reader_session_list,
        .rows = reader_rows,
        .checkpoint = reader_checkpoint,
        .close = reader_close,
    };
    int rc = lite_library_init(err);
    if (rc < 0)
        return rc;
    struct reader *r = NEW(struct reader);
    if (!realpath(file.p, r->file)) {
        mem_free(r);
        return err_set(err, ERR_UNAVAILABLE, "there is no file %.200s", file.p);
    }
    r->base.vtable = &vtable;
    r->rt = rt;
    db_legacy_identify(&r->base, str_of(r->file));
    *out = &r->base;
    return 0;
}
