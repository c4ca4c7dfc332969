/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - the database port: named statements, atomic batches, reads.
 *
 * A batch is a list of statements that commits as one transaction or not at all; db_commit returns
 * only after it is durable (SQLite: after fsync of the WAL with synchronous=FULL). Concurrent
 * batches share a commit; each keeps its own atomicity (savepoint). Statements are the named ones
 * of sql/, see db/catalogue.h (generated); C code holds no SQL.
 *
 * Memory: parameters are copied by reference: strings must live until the call returns. Rows come
 * back in the arena given. Errors: ERR_EXISTS (unique key), ERR_INVALID (check, NUL in a key),
 * ERR_UNAVAILABLE (busy, full disk, closed), ERR_IO, ERR_CORRUPT, ERR_LIMIT (queue full),
 * ERR_TOO_LARGE (result past the arena's cap), or the code that an expectation names. Never an
 * acknowledgement with an error; whether a batch that failed may be stored all the same, it says
 * (committed, in_doubt). The same batch may be committed again. A close while calls are under way
 * is a bug of the caller.
 * Suspends: db_commit and db_read; shielded from cancellation (they finish in bounded time).
 * Tests: tests/conformance/test_db_port.c, on every driver and behind fault. */
#ifndef HF_DB_PORT_H
#define HF_DB_PORT_H

#include "base/arena.h"
#include "base/id.h"
#include "base/metrics.h"
#include "db/catalogue.h" /* enum db_stmt { SQL_THREAD_GET, … }, generated from sql/ */
#include "rt/fiber.h"

enum db_type { DB_NULL, DB_INT, DB_REAL, DB_TEXT, DB_BLOB, DB_ID };

struct db_value {
    enum db_type type;
    union {
        int64_t i;
        double d;
        str s;       /* DB_TEXT, DB_BLOB */
        struct id id; /* DB_ID: parameters only; stored as 32 hex digits of text */
    };
};
#define DB_I(v) ((struct db_value){DB_INT, {.i = (v)}})
#define DB_D(v) ((struct db_value){DB_REAL, {.d = (v)}})
#define DB_T(v) db_text(v)
#define DB_B(v) ((struct db_value){DB_BLOB, {.s = (v)}})
#define DB_UUID(v) ((struct db_value){DB_ID, {.id = (v)}})
#define DB_NIL ((struct db_value){DB_NULL, {.i = 0}})
static inline struct db_value db_uuid_or_null(struct id id) {
    return id_is_nil(id) ? DB_NIL : DB_UUID(id);
}
static inline struct db_value db_time_or_null(int64_t us) { return us ? DB_I(us) : DB_NIL; }
/* An absent str (p == NULL) binds NULL. */
static inline struct db_value db_text(str s) {
    return s.p ? (struct db_value){DB_TEXT, {.s = s}} : DB_NIL;
}
/* db_read(db, SQL_X, DB_PARAMS(DB_UUID(id), DB_I(10)), …) */
#define DB_PARAMS(...)                     \
    (const struct db_value[]){__VA_ARGS__}, \
        sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#define DB_NO_PARAMS NULL, 0

struct db_rows {
    const struct db_value *cells; /* row-major; texts are NUL-terminated in the arena */
    size_t row_count, col_count;
};
static inline const struct db_value *db_cell(const struct db_rows *r, size_t row, size_t col) {
    ASSERT(row < r->row_count && col < r->col_count);
    return &r->cells[row * r->col_count + col];
}
/* Typed looks at a cell: wrong or NULL types give 0, absent, nil. */
static inline int64_t db_int(const struct db_rows *r, size_t row, size_t col) {
    const struct db_value *v = db_cell(r, row, col);
    return v->type == DB_INT ? v->i : 0;
}
static inline str db_str(const struct db_rows *r, size_t row, size_t col) {
    const struct db_value *v = db_cell(r, row, col);
    return v->type == DB_TEXT || v->type == DB_BLOB ? v->s : STR_NULL;
}
struct id db_id(const struct db_rows *r, size_t row, size_t col);
static inline bool db_is_null(const struct db_rows *r, size_t row, size_t col) {
    return db_cell(r, row, col)->type == DB_NULL;
}

/* What a statement of a batch must do; otherwise the batch rolls back with `code`. */
struct db_expect {
    enum { DB_ANY, DB_CHANGES, DB_NO_ROW } kind; /* DB_CHANGES: changes or returns at least one row;
                                                    DB_NO_ROW: returns none */
    int code;
    bool counted; /* `changed` is looked at: when it was lost with the answer, that is an error */
};
#define DB_EXPECT_NONE ((struct db_expect){DB_ANY, 0, false})
#define DB_EXPECT_COUNT ((struct db_expect){.kind = DB_ANY, .counted = true})
#define DB_EXPECT_CHANGE(error_code) ((struct db_expect){DB_CHANGES, (error_code), false})
#define DB_EXPECT_NO_ROW(error_code) ((struct db_expect){DB_NO_ROW, (error_code), false})

struct db_op {
    enum db_stmt stmt;
    const struct db_value *params;
    size_t param_count;
    struct db_expect expect;
    int64_t changed;     /* out: rows changed */
    struct db_rows rows; /* out: of RETURNING */
};
struct db_batch {
    struct arena *arena; /* ops, copies of parameter arrays (not of strings), result rows */
    struct db_op *ops;
    size_t count, cap;
    bool changes_settings; /* one of the statements does */
    size_t failed_at;    /* out: index of the statement that made it fail; SIZE_MAX otherwise */
    /* out, after an error; both false: it is not stored and never will be */
    bool committed; /* it is stored, only its results were lost */
    bool in_doubt;  /* it may be stored; a later batch of this process sees which, for good */
};
void db_batch_init(struct db_batch *b, struct arena *arena);
/* Returns the index of the statement in the batch (for its result after the commit). */
size_t db_batch_add(struct db_batch *b, enum db_stmt stmt, const struct db_value *params,
                    size_t param_count, struct db_expect expect);

struct db;
MUST_CHECK MAY_SUSPEND int db_commit(struct db *db, struct db_batch *b, struct err *err);
MUST_CHECK MAY_SUSPEND int db_read(struct db *db, enum db_stmt stmt, const struct db_value *params,
                                   size_t param_count, struct arena *a, struct db_rows *out,
                                   struct err *err);

/* --- for drivers and wrappers ---------------------------------------------------------------- */
struct db_stats {
    uint64_t batches, commits, statements, reads, errors; /* batches / commits = group size */
    size_t write_queue, read_queue;
    uint64_t reads_inline, read_fallbacks; /* done on the loop; tried there and handed on */
};
#define DB_DIGEST_LEN 32
enum db_dialect { DB_SQLITE, DB_POSTGRES };
struct db_vtable {
    const char *name; /* "sqlite", "fault" */
    enum db_dialect dialect;
    int (*commit)(struct db *db, struct db_batch *b, struct err *err);
    int (*read)(struct db *db, enum db_stmt stmt, const struct db_value *params, size_t param_count,
                struct arena *a, struct db_rows *out, struct err *err);
    int (*ping)(struct db *db, struct err *err);      /* MAY_SUSPEND: is it well? */
    int (*digest)(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err); /* MAY_SUSPEND */
    void (*stats)(struct db *db, struct db_stats *out);
    /* What is ill, in a text that clients may see; NULL: nothing is known to be. Never waits. */
    const char *(*health)(struct db *db);
    void (*close)(struct db *db);                     /* flushes; frees db */
};
struct db_metrics {
    struct metric *batches, *commits, *statements, *reads, *errors;
    struct metric *reads_inline, *read_fallbacks; /* counted by the driver, as commits are */
    struct metric *writes_waiting, *reads_waiting; /* gauges */
    struct metric *commit_seconds, *read_seconds;  /* as the fiber sees them */
};
struct db {
    const struct db_vtable *vtable;
    enum db_dialect dialect; /* the vtable's; a wrapper takes over that of the inner driver */
    struct db_metrics metrics;
    uint64_t settings_changes;
};
/* How many batches with a statement that changes settings (db_statement.changes_settings) this
 * process has committed, or tried to: also those that failed. Counted before db_commit returns, so
 * what was read at the present count holds all changes that anybody was told of here. */
static inline uint64_t db_settings_changes(const struct db *db) { return db->settings_changes; }
/* Some statements are for one database only. */
bool db_knows(const struct db *db, enum db_stmt stmt);
/* Drivers and wrappers call it when they are built. */
void db_init(struct db *db, const struct db_vtable *vtable);
MUST_CHECK MAY_SUSPEND int db_ping(struct db *db, struct err *err);
/* Hex digits over the rows of all tables, whatever their order: equal contents give equal digests
 * on every driver. Reads everything: for tests and the debug API. */
MUST_CHECK MAY_SUSPEND int db_digest(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err);
void db_stats(struct db *db, struct db_stats *out);
/* What the driver knows to be ill, without asking the database; NULL: nothing. */
const char *db_health(struct db *db);
const char *db_name(const struct db *db); /* of the driver: "sqlite", "postgres" */
void db_close(struct db *db);

#endif
