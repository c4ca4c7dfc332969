/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - schema versions of a SQLite file.
 *
 * schema_migrations has one row for each applied migration with the SHA-256 of its text. At start
 * these rows must be a prefix of the list that is built in, text by text: a file that a newer
 * program has written, or whose history differs, is refused rather than guessed at.
 *
 * Each migration and its row commit in one transaction, so a process killed on the way leaves the
 * version before. Foreign keys are off meanwhile (tables may be rebuilt) and are checked before the
 * commit; the caller's connection comes back with foreign keys on. */
#include "db/sqlite/migrate.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

static int finish(struct lite_conn *c, int code, struct err *err) {
    if (code == 0)
        code = lite_conn_own(c, LITE_COMMIT, err);
    if (code < 0)
        lite_conn_roll_back(c);
    return code;
}

/* Marks a new file as ours; refuses one that is somebody else's. */
static int claim(struct lite_conn *c, struct err *err) {
    int64_t id = 0, objects = 0;
    int code = lite_conn_pragma(c, LITE_GET_APPLICATION, 0, &id, err);
    if (code == 0)
        code = lite_conn_pragma(c, LITE_COUNT_OBJECTS, 0, &objects, err);
    if (code < 0)
        return code;
    if (id != LITE_APPLICATION_ID && (id != 0 || objects > 0))
        return err_set(err, ERR_INVALID, "this is a SQLite database, but not one of Holdfast");
    if (id == 0)
        code = lite_conn_pragma(c, LITE_SET_APPLICATION, LITE_APPLICATION_ID, NULL, err);
    if (code == 0)
        code = lite_conn_own(c, LITE_CREATE_MIGRATIONS, err);
    return code;
}

static int compare(sqlite3_stmt *row, size_t at, const struct db_migration *list, size_t count,
                   struct err *err) {
    int version = sqlite3_column_int(row, 0);
    const char *name = (const char *)sqlite3_column_text(row, 1);
    const char *sha256 = (const char *)sqlite3_column_text(row, 2);
    if (at >= count)
        return err_set(err, ERR_UNSUPPORTED,
                       "the schema has version %d (%s), this program knows versions up to %zu: "
                       "start a newer holdfast",
                       version, name ? name : "?", count);
    if (version != list[at].version || !sha256 || strcmp(sha256, list[at].sha256) != 0)
        return err_set(err, ERR_CONFLICT,
                       "schema migration %d (%s) was applied with another text than version %d "
                       "(%s) of this program has",
                       version, name ? name : "?", list[at].version, list[at].name);
    return 0;
}

static int applied(struct lite_conn *c, const struct db_migration *list, size_t count,
                   size_t *out_count, struct err *err) {
    sqlite3_stmt *s = NULL;
    const char *sql = db_sqlite_own[LITE_LIST_MIGRATIONS];
    if (sqlite3_prepare_v3(c->db, sql, -1, 0, &s, NULL) != SQLITE_OK)
        return lite_error(c->db, "schema_migrations", err);
    size_t at = 0;
    int rc, code = 0;
    while (code == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW)
        code = compare(s, at++, list, count, err);
    if (code == 0 && rc != SQLITE_DONE)
        code = lite_error(c->db, "schema_migrations", err);
    sqlite3_finalize(s);
    if (code == 0)
        *out_count = at;
    return code;
}

static int add_row(struct lite_conn *c, const struct db_migration *m, struct err *err) {
    sqlite3_stmt *s = NULL;
    const char *sql = db_sqlite_own[LITE_ADD_MIGRATION];
    bool ok = sqlite3_prepare_v3(c->db, sql, -1, 0, &s, NULL) == SQLITE_OK &&
              sqlite3_bind_int(s, 1, m->version) == SQLITE_OK &&
              sqlite3_bind_text(s, 2, m->name, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_bind_text(s, 3, m->sha256, -1, SQLITE_STATIC) == SQLITE_OK &&
              sqlite3_bind_int64(s, 4, clock_wall_us()) == SQLITE_OK &&
              sqlite3_step(s) == SQLITE_DONE;
    int code = ok ? 0 : lite_error(c->db, m->name, err);
    sqlite3_finalize(s);
    return code;
}

static int check_foreign_keys(struct lite_conn *c, struct err *err) {
    sqlite3_stmt *s = NULL;
    const char *sql = db_sqlite_own[LITE_CHECK_FOREIGN_KEYS];
    int rc = sqlite3_prepare_v3(c->db, sql, -1, 0, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int code = 0;
    if (rc == SQLITE_ROW)
        code = err_set(err, ERR_CORRUPT, "a row of table %s names one that is not there",
                       (const char *)sqlite3_column_text(s, 0));
    else if (rc != SQLITE_DONE)
        code = lite_error(c->db, "foreign keys", err);
    sqlite3_finalize(s);
    return code;
}

static int apply(struct lite_conn *c, const struct db_migration *m, struct err *err) {
    int code = lite_conn_own(c, LITE_BEGIN, err);
    if (code < 0)
        return code;
    if (sqlite3_exec(c->db, m->sql, NULL, NULL, NULL) != SQLITE_OK)
        code = lite_error(c->db, m->name, err);
    if (code == 0) {
        ASSERT(!sqlite3_get_autocommit(c->db)); /* a migration must not commit itself */
        code = check_foreign_keys(c, err);
    }
    if (code == 0)
        code = add_row(c, m, err);
    if (code == 0)
        code = FAILPOINT("db.migrate.commit") < 0
                   ? err_set(err, ERR_IO, "failpoint db.migrate.commit")
                   : 0;
    code = finish(c, code, err);
    if (code < 0)
        return err_context(err, "schema migration %d", m->version), code;
    log_event(LOG_INFO, "db.migrated", "schema migration applied", LOG_INT("version", m->version),
              LOG_Z("name", m->name));
    return 0;
}

int lite_migrate(struct lite_conn *c, const struct db_migration *list, size_t count,
                 struct err *err) {
    size_t done = 0;
    int code = lite_conn_pragma(c, LITE_SET_FOREIGN_KEYS, 0, NULL, err);
    if (code == 0)
        code = lite_conn_own(c, LITE_BEGIN, err);
    if (code == 0)
        code = finish(c, claim(c, err), err);
    if (code == 0)
        code = applied(c, list, count, &done, err);
    for (size_t i = done; code == 0 && i < count; i++)
        code = apply(c, &list[i], err);
    if (code == 0)
        code = lite_conn_pragma(c, LITE_SET_FOREIGN_KEYS, 1, NULL, err);
    return code;
}
