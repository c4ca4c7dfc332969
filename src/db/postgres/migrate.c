/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - the schema's versions in PostgreSQL.
 *
 * holdfast.schema_migrations holds what was applied, with the digest of its text: a database whose
 * history differs from the program's is refused, and so is one that is newer.
 *
 * A version is a transaction: its text and its row are one script, under an advisory lock that
 * belongs to that transaction (sessions are not ours behind a transaction pooler). Versions with
 * `-- transaction: no` build indexes concurrently, which the server allows only outside of one:
 * each of their statements runs by itself and can be repeated (IF NOT EXISTS), the row comes last.
 * So that two runners do not do that at once, a runner holds a lease (migration_lease), renewed
 * every 20 s by a fiber, valid for 60 s; each script checks that it is still held.
 *
 * A concurrent build that was cut short leaves an invalid index, which IF NOT EXISTS would take for
 * a good one. So invalid indexes are looked for at every start, dropped, and the statements that
 * name them run again.
 *
 * A new version: sql/postgres/migrations/NNNN_name.sql, both ways. */
#include "db/postgres/migrate.h"

#include "base/clock.h"
#include "base/log.h"
#include "pg/pool.h"

#define SCRIPT_BYTES_MAX ((size_t)16 << 20)
#define LEASE_WAIT_US 120000000
#define LEASE_POLL_US 250000
#define LEASE_RENEW_US 20000000
#define SCRIPT_TIMEOUT_US INT64_C(3600000000)
#define ASK_TIMEOUT_US 10000000
#define SCHEMA_MARK "lg_checkpoints."

/* --- texts --- */

/* What stands in a quoted name or literal, the quote doubled. */
static void write_quoted(struct buf *out, char quote, str text) {
    buf_char(out, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == quote)
            buf_char(out, quote);
        buf_char(out, text.p[i]);
    }
    buf_char(out, quote);
}

static const char *take_text(struct arena *a, struct buf *b) {
    ASSERT(buf_ok(b));
    const char *text = arena_z(a, buf_view(b));
    buf_deinit(b);
    return text;
}

const char *db_postgres_with_schema(struct arena *a, const char *sql, const char *schema) {
    str rest = str_of(sql);
    ptrdiff_t at = str_find(rest, STR(SCHEMA_MARK));
    if (at < 0)
        return sql;
    struct buf b;
    buf_init(&b, SCRIPT_BYTES_MAX);
    for (; at >= 0; at = str_find(rest, STR(SCHEMA_MARK))) {
        buf_str(&b, str_slice(rest, 0, (size_t)at));
        write_quoted(&b, '"', str_of(schema));
        buf_char(&b, '.');
        rest = str_slice(rest, (size_t)at + sizeof(SCHEMA_MARK) - 1, rest.len);
    }
    buf_str(&b, rest);
    return take_text(a, &b);
}

/* One of the driver's own statements with $1 … $9 as literals (or as they are: raw), and ";". */
static void write_own(struct buf *out, enum db_postgres_own which, const str *values, bool raw) {
    for (const char *p = db_postgres_own[which]; *p; p++) {
        if (*p != '$') {
            buf_char(out, *p);
            continue;
        }
        str value = values[*++p - '1'];
        if (raw)
            buf_str(out, value);
        else
            write_quoted(out, '\'', value);
    }
    buf_z(out, ";\n");
}

/* --- asking --- */

struct answer {
    struct arena *a;
    int (*row)(struct answer *, const struct pg_result *r, size_t row);
    void *ctx;
    size_t rows;
};

static int on_result(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    (void)index;
    (void)err;
    struct answer *answer = w->ctx;
    answer->rows = pg_row_count(r);
    int rc = 0;
    for (size_t i = 0; rc == 0 && answer->row && i < answer->rows; i++)
        rc = answer->row(answer, r, i);
    return rc;
}

static int ask(struct pg_pool *pool, enum db_postgres_own which, const struct pg_param *params,
               size_t param_count, struct answer *answer, struct err *err) {
    struct pg_call call = {.name = "migrate",
                           .sql = db_postgres_own[which],
                           .params = params,
                           .param_count = param_count};
    struct pg_work w = {.lane = PG_LANE_READ,
                        .calls = &call,
                        .call_count = 1,
                        .timeout_us = ASK_TIMEOUT_US,
                        .result = on_result,
                        .ctx = answer};
    return pg_pool_run(pool, &w, err);
}

static int take_bool(struct answer *answer, const struct pg_result *r, size_t row) {
    *(bool *)answer->ctx = pg_cell_int(r, row, 0) != 0;
    return 0;
}

static int take_version(struct answer *answer, const struct pg_result *r, size_t row) {
    struct db_postgres_version *versions = answer->ctx;
    int64_t version = pg_cell_int(r, row, 0);
    size_t count = db_postgres_migration_count;
    if (version < 1 || version > (int64_t)count) {
        log_event(LOG_ERROR, "db.migrate.newer", "the database has a version of the schema that "
                  "this program does not know", LOG_INT("version", version),
                  LOG_INT("newest_known", (int64_t)count));
        return ERR_CONFLICT;
    }
    struct db_postgres_version *v = &versions[version - 1];
    if (!str_eq(pg_cell_text(r, row, 2), str_of(v->migration->sha256))) {
        log_event(LOG_ERROR, "db.migrate.changed",
                  "a version of the schema was applied from another text",
                  LOG_INT("version", version), LOG_Z("name", v->migration->name));
        return ERR_CONFLICT;
    }
    v->applied = true;
    v->applied_at = pg_cell_int(r, row, 3);
    return 0;
}

int db_postgres_versions(struct pg_pool *pool, struct arena *a, struct db_postgres_version **out,
                         struct err *err) {
    struct db_postgres_version *versions =
        ARENA_ARRAY(a, struct db_postgres_version, db_postgres_migration_count + 1);
    for (size_t i = 0; i < db_postgres_migration_count; i++)
        versions[i].migration = &db_postgres_migrations[i];
    bool exists = false;
    struct answer there = {.row = take_bool, .ctx = &exists};
    struct answer applied = {.row = take_version, .ctx = versions};
    int rc = ask(pool, PGDB_MIGRATE_EXISTS, NULL, 0, &there, err);
    if (rc == 0 && exists)
        rc = ask(pool, PGDB_MIGRATE_APPLIED, NULL, 0, &applied, err);
    if (rc == ERR_CONFLICT)
        return err_set(err, rc,
                       "the schema in the database is newer than this program, or was made from "
                       "other migrations: run the program that made it, or restore a backup");
    *out = versions;
    return rc;
}

/* --- the lease --- */

struct runner {
    struct pg_pool *pool;
    const char *schema;
    struct arena a;
    struct id holder;
    str holder_text;
    bool renewing, stop;
    struct fiber *renewer;
    struct fiber_event over;
};

static int lease_take(struct runner *r, bool *held, struct err *err) {
    struct pg_param holder = pg_uuid(r->holder);
    struct answer taken = {0};
    int rc = ask(r->pool, PGDB_MIGRATE_LEASE_TAKE, &holder, 1, &taken, err);
    *held = rc == 0 && taken.rows > 0;
    return rc;
}

static void renew_fiber(void *arg) {
    struct runner *r = arg;
    while (!r->stop && fiber_sleep_us(LEASE_RENEW_US) == 0 && !r->stop) {
        struct err err = {0};
        bool held;
        int rc = lease_take(r, &held, &err);
        if (rc < 0 || !held) /* the next script notices */
            log_event(LOG_WARN, "db.migrate.lease", "the lease could not be renewed",
                      LOG_Z("cause", rc < 0 ? err.message : "another runner has it"));
    }
    r->renewing = false;
    fiber_event_wake_all(&r->over);
}

static int script(struct runner *r, struct buf *text, struct err *err) {
    int rc = buf_ok(text) ? 0 : err_set(err, ERR_TOO_LARGE, "a migration is too long");
    buf_char(text, '\0');
    if (rc == 0)
        rc = pg_pool_script(r->pool, db_postgres_with_schema(&r->a, text->p, r->schema),
                            SCRIPT_TIMEOUT_US, err);
    buf_deinit(text);
    return rc;
}

/* The runner's own tables. */
static int prepare(struct runner *r, struct err *err) {
    static const enum db_postgres_own texts[] = {PGDB_MIGRATE_SERIALISE, PGDB_MIGRATE_SCHEMA,
                                                 PGDB_MIGRATE_TABLE, PGDB_MIGRATE_LEASE_TABLE,
                                                 PGDB_MIGRATE_LEASE_ROW};
    struct buf b;
    buf_init(&b, SCRIPT_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        write_own(&b, texts[i], NULL, false);
    return script(r, &b, err);
}

static int runner_open(struct runner *r, struct pg_pool *pool, const char *schema,
                       struct err *err) {
    *r = (struct runner){.pool = pool, .schema = schema, .holder = id_v7()};
    arena_init(&r->a, SCRIPT_BYTES_MAX * 4);
    fiber_event_init(&r->over);
    r->holder_text = id_dashed(&r->a, r->holder);
    int rc = prepare(r, err);
    int64_t until_us = clock_mono_us() + LEASE_WAIT_US;
    for (bool held = false, told = false; rc == 0 && !held; told = true) {
        rc = lease_take(r, &held, err);
        if (rc < 0 || held)
            break;
        if (!told)
            log_plain(LOG_INFO, "db.migrate.wait", "another process migrates the schema");
        if (clock_mono_us() > until_us)
            rc = err_set(err, ERR_UNAVAILABLE, "another process migrates the schema for too long");
        else
            rc = fiber_sleep_us(LEASE_POLL_US);
    }
    if (rc < 0)
        return rc;
    r->renewer = fiber_spawn(fiber_rt(), "db.migrate.lease", renew_fiber, r, err);
    r->renewing = r->renewer != NULL;
    return r->renewer ? 0 : ERR_LIMIT;
}

static void runner_close(struct runner *r) {
    r->stop = true;
    if (r->renewing)
        fiber_cancel(r->renewer);
    while (r->renewing)
        if (fiber_event_wait(&r->over, FIBER_NO_DEADLINE) < 0)
            fiber_yield();
    struct pg_param holder = pg_uuid(r->holder);
    struct err err = {0};
    struct answer none = {0};
    if (ask(r->pool, PGDB_MIGRATE_LEASE_END, &holder, 1, &none, &err) < 0)
        log_event(LOG_WARN, "db.migrate.lease", "the lease stays until it is over",
                  LOG_Z("cause", err.message));
    arena_deinit(&r->a);
}

/* --- versions --- */

static void write_record(struct runner *r, struct buf *b, const struct db_postgres_migration *m,
                         bool up) {
    const str values[] = {arena_printf(&r->a, "%d", m->version), str_of(m->name),
                          str_of(m->sha256)};
    write_own(b, up ? PGDB_MIGRATE_RECORD : PGDB_MIGRATE_FORGET, values, false);
}

static void write_start(struct runner *r, struct buf *b) {
    buf_init(b, SCRIPT_BYTES_MAX);
    write_own(b, PGDB_MIGRATE_SERIALISE, NULL, false);
    write_own(b, PGDB_MIGRATE_LEASE_HELD, &r->holder_text, false);
}

static int run_texts_alone(struct runner *r, const char *const *texts, struct err *err) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && texts[i]; i++)
        rc = pg_pool_script(r->pool, db_postgres_with_schema(&r->a, texts[i], r->schema),
                            SCRIPT_TIMEOUT_US, err);
    return rc;
}

static int move(struct runner *r, const struct db_postgres_migration *m, bool up,
                struct err *err) {
    const char *const *texts = up ? m->up : m->down;
    int64_t start_us = clock_mono_us();
    int rc = m->transaction ? 0 : run_texts_alone(r, texts, err);
    struct buf b;
    write_start(r, &b);
    if (!up) /* before its table goes */
        write_record(r, &b, m, up);
    for (size_t i = 0; m->transaction && texts[i]; i++) {
        buf_z(&b, texts[i]);
        buf_z(&b, "\n;\n");
    }
    if (up)
        write_record(r, &b, m, up);
    if (rc == 0)
        rc = script(r, &b, err);
    else
        buf_deinit(&b);
    if (rc < 0)
        return err_context(err, "migration %04d_%s", m->version, m->name), rc;
    log_event(LOG_INFO, up ? "db.migrate.up" : "db.migrate.down", m->name,
              LOG_INT("version", m->version), LOG_INT("ms", (clock_mono_us() - start_us) / 1000));
    return 0;
}

/* --- invalid indexes --- */

struct invalid {
    str qualified, name;
    struct invalid *next;
};

static int take_invalid(struct answer *answer, const struct pg_result *r, size_t row) {
    struct invalid **list = answer->ctx, *one = ARENA_NEW(answer->a, struct invalid);
    *one = (struct invalid){arena_dup(answer->a, pg_cell_text(r, row, 0)),
                            arena_dup(answer->a, pg_cell_text(r, row, 1)), *list};
    *list = one;
    return 0;
}

static int find_invalid(struct pg_pool *pool, const char *schema, struct arena *a,
                        struct invalid **out, struct err *err) {
    struct pg_param param = pg_text(str_of(schema));
    struct answer found = {.a = a, .row = take_invalid, .ctx = out};
    *out = NULL;
    return ask(pool, PGDB_MIGRATE_INVALID_INDEXES, &param, 1, &found, err);
}

/* Drops it and runs the statements of applied versions that make it. */
static int rebuild(struct runner *r, const struct invalid *index,
                   const struct db_postgres_version *versions, struct err *err) {
    log_event(LOG_WARN, "db.migrate.invalid", "an index was left invalid: it is built again",
              LOG_STR("index", index->qualified));
    struct buf b;
    buf_init(&b, SCRIPT_BYTES_MAX);
    write_own(&b, PGDB_MIGRATE_DROP_INDEX, &index->qualified, true);
    int rc = script(r, &b, err);
    for (size_t i = 0; i < db_postgres_migration_count; i++) {
        const struct db_postgres_migration *m = versions[i].migration;
        for (size_t j = 0; rc == 0 && versions[i].applied && !m->transaction && m->up[j]; j++) {
            const char *one[] = {m->up[j], NULL};
            if (str_find(str_of(m->up[j]), index->name) >= 0)
                rc = run_texts_alone(r, one, err);
        }
    }
    return rc;
}

/* --- up and down --- */

static bool up_to_date(const struct db_postgres_version *versions) {
    for (size_t i = 0; i < db_postgres_migration_count; i++)
        if (!versions[i].applied)
            return false;
    return true;
}

static int run_up(struct runner *r, struct err *err) {
    struct db_postgres_version *versions;
    struct invalid *invalid;
    int rc = db_postgres_versions(r->pool, &r->a, &versions, err);
    if (rc == 0)
        rc = find_invalid(r->pool, r->schema, &r->a, &invalid, err);
    for (; rc == 0 && invalid; invalid = invalid->next)
        rc = rebuild(r, invalid, versions, err);
    for (size_t i = 0; rc == 0 && i < db_postgres_migration_count; i++)
        if (!versions[i].applied)
            rc = move(r, versions[i].migration, true, err);
    return rc;
}

int db_postgres_migrate(struct pg_pool *pool, const char *checkpoint_schema, struct err *err) {
    struct arena a;
    struct db_postgres_version *versions;
    struct invalid *invalid = NULL;
    arena_init(&a, SCRIPT_BYTES_MAX);
    int rc = db_postgres_versions(pool, &a, &versions, err);
    if (rc == 0)
        rc = find_invalid(pool, checkpoint_schema, &a, &invalid, err);
    bool done = rc == 0 && up_to_date(versions) && !invalid;
    arena_deinit(&a);
    if (rc < 0 || done)
        return rc;
    struct runner r;
    rc = runner_open(&r, pool, checkpoint_schema, err);
    if (rc == 0)
        rc = run_up(&r, err);
    runner_close(&r);
    return rc;
}

int db_postgres_migrate_down(struct pg_pool *pool, const char *checkpoint_schema, size_t count,
                             size_t *out_done, struct err *err) {
    struct runner r;
    struct db_postgres_version *versions;
    *out_done = 0;
    int rc = runner_open(&r, pool, checkpoint_schema, err);
    if (rc == 0)
        rc = db_postgres_versions(pool, &r.a, &versions, err);
    for (size_t i = db_postgres_migration_count; rc == 0 && i-- > 0 && *out_done < count;) {
        if (!versions[i].applied)
            continue;
        rc = move(&r, versions[i].migration, false, err);
        *out_done += rc == 0;
    }
    runner_close(&r);
    return rc;
}
