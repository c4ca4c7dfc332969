/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - versions of the PostgreSQL schema.
 *
 * holdfast.schema_migrations has a row for each applied migration with the SHA-256 of its text. The
 * rows must be a prefix of the list that is built in, text by text: a database that a newer program
 * has migrated, or whose history differs, is refused rather than guessed at.
 *
 * One process at a time: a lease in holdfast.schema_lease, a row and not a lock of the session,
 * since behind a transaction pooler there is no session. A fiber renews it while a long index build
 * runs. Whoever finds it taken waits, and often finds everything done.
 *
 *   transactional     patience; fence; text; row            one script, all or nothing
 *   not transactional each text alone; then fence; row      each text may be repeated
 *
 * The fence holds the lease's row until the commit, so a process that lost its lease commits no
 * version. A script that waits for a table's lock for more than two seconds gives up, lets the
 * writers through that queued behind it, and tries again.
 *
 * CREATE INDEX CONCURRENTLY that fails leaves an invalid index, which costs writes and serves
 * nobody: such ones are dropped and built again, at the start and before each text by itself. */
#include "db/postgres/migrate.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#define LEASE_US        INT64_C(30000000)
#define LEASE_POLL_US   INT64_C(200000)
#define LEASE_WAIT_US   INT64_C(600000000)
#define ASK_TIMEOUT_US  INT64_C(60000000)
#define NO_TIMEOUT      INT64_C(-1)
#define LOCK_TRIES_MAX  30
#define LOCK_PAUSE_US   INT64_C(500000)
#define TEXT_BYTES_MAX  ((size_t)1 << 20)
#define ARENA_BYTES_MAX ((size_t)64 << 20)
#define SCHEMA_MARK     "lg_checkpoints_schema"
#define TABLE_MARK      "lg_checkpoints."
#define ANY_MARK        "lg_checkpoints"

struct runner {
    struct pg_pool *pool;
    const char *schema; /* of the checkpoints */
    struct arena arena;
    struct db_postgres_version *versions;
    struct id holder;
    struct fiber_group renewal;
    bool lease_lost;
};

/* --- texts ----------------------------------------------------------------------------------- */

static void write_quoted(struct buf *out, const char *name) {
    buf_char(out, '"');
    for (; *name; name++) {
        if (*name == '"')
            buf_char(out, '"');
        buf_char(out, *name);
    }
    buf_char(out, '"');
}

const char *db_postgres_with_schema(struct arena *a, const char *sql, const char *schema) {
    if (str_find(str_of(sql), STR(ANY_MARK)) < 0)
        return sql;
    struct buf b;
    buf_init(&b, TEXT_BYTES_MAX);
    for (str rest = str_of(sql); rest.len > 0;) {
        bool name = str_starts(rest, STR(SCHEMA_MARK)), table = str_starts(rest, STR(TABLE_MARK));
        if (name || table) {
            write_quoted(&b, schema);
            if (table)
                buf_char(&b, '.');
            size_t len = name ? sizeof(SCHEMA_MARK) - 1 : sizeof(TABLE_MARK) - 1;
            rest = str_slice(rest, len, rest.len);
        } else {
            buf_char(&b, rest.p[0]);
            rest = str_slice(rest, 1, rest.len);
        }
    }
    ASSERT(buf_ok(&b));
    const char *out = arena_z(a, buf_view(&b));
    buf_deinit(&b);
    return out;
}

/* A text of our own with words in place of $1, $2, …; none of them comes from outside. */
static const char *filled(struct arena *a, enum db_postgres_own text, const str *words,
                          size_t count) {
    struct buf b;
    buf_init(&b, TEXT_BYTES_MAX);
    for (const char *p = db_postgres_own[text]; *p; p++) {
        if (p[0] == '$' && p[1] >= '1' && p[1] <= '9') {
            size_t at = (size_t)(p[1] - '1');
            ASSERT(at < count);
            buf_str(&b, words[at]);
            p++;
        } else {
            buf_char(&b, *p);
        }
    }
    ASSERT(buf_ok(&b));
    const char *out = arena_z(a, buf_view(&b));
    buf_deinit(&b);
    return out;
}

/* --- questions ------------------------------------------------------------------------------- */

struct answer {
    struct arena *arena;
    str *cells; /* copies, row-major; of integers and times their number in `numbers` */
    int64_t *numbers;
    size_t row_count, col_count;
};

static int keep(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct answer *out = w->ctx;
    (void)index;
    (void)err;
    if (!out)
        return 0;
    size_t rows = pg_row_count(r), cols = pg_column_count(r);
    out->cells = ARENA_ARRAY(out->arena, str, rows * cols + 1);
    out->numbers = ARENA_ARRAY(out->arena, int64_t, rows * cols + 1);
    for (size_t i = 0; i < rows * cols; i++) {
        out->cells[i] = arena_dup(out->arena, pg_cell_text(r, i / cols, i % cols));
        out->numbers[i] = pg_cell_int(r, i / cols, i % cols);
    }
    out->row_count = rows;
    out->col_count = cols;
    return 0;
}

static int ask(struct pg_pool *p, enum db_postgres_own text, const struct pg_param *params,
               size_t count, struct answer *out, struct err *err) {
    struct pg_call call = {
        .name = "migrate", .sql = db_postgres_own[text], .params = params, .param_count = count};
    struct pg_work w = {.lane = PG_LANE_SLOW,
                        .calls = &call,
                        .call_count = 1,
                        .timeout_us = ASK_TIMEOUT_US,
                        .result = keep,
                        .ctx = out};
    return pg_pool_run(p, &w, err);
}

static int is_ready(struct pg_pool *p, struct arena *a, bool *out, struct err *err) {
    struct answer answer = {.arena = a};
    int code = ask(p, PGDB_MIGRATE_READY, NULL, 0, &answer, err);
    if (code == 0)
        *out = answer.row_count == 1 && answer.numbers[0] != 0;
    return code;
}

/* The tables of versions and of the lease; safe when several processes come at once. A server that
 * has them need not allow us to make any. */
static int prepare(struct runner *r, struct err *err) {
    struct arena *a = &r->arena;
    bool ready = false;
    int code = is_ready(r->pool, a, &ready, err);
    if (code < 0 || ready)
        return code;
    return pg_pool_script(
        r->pool,
        arena_printf(
            a, "%s;\n%s;\n%s;\n%s;\n%s;\n", db_postgres_own[PGDB_MIGRATE_LOCK],
            db_postgres_own[PGDB_MIGRATE_MAKE_SCHEMA], db_postgres_own[PGDB_MIGRATE_MAKE_VERSIONS],
            db_postgres_own[PGDB_MIGRATE_MAKE_LEASE], db_postgres_own[PGDB_MIGRATE_FILL_LEASE])
            .p,
        ASK_TIMEOUT_US, err);
}

static int compare(const struct answer *rows, size_t at, struct err *err) {
    int64_t version = rows->numbers[at * rows->col_count];
    str name = rows->cells[at * rows->col_count + 1];
    if (at >= db_postgres_migration_count)
        return err_set(err, ERR_UNSUPPORTED,
                       "the schema has version %lld (" STR_FMT "), this program knows versions up "
                       "to %zu: start a newer holdfast, or let that one migrate down first",
                       (long long)version, STR_ARG(name), db_postgres_migration_count);
    const struct db_postgres_migration *m = &db_postgres_migrations[at];
    if (version != m->version || !str_eq(rows->cells[at * rows->col_count + 2], str_of(m->sha256)))
        return err_set(err, ERR_CONFLICT,
                       "schema migration %lld (" STR_FMT ") was applied with another text than "
                       "version %d (%s) of this program has",
                       (long long)version, STR_ARG(name), m->version, m->name);
    return 0;
}

int db_postgres_versions(struct pg_pool *p, struct arena *a, struct db_postgres_version **out,
                         struct err *err) {
    struct answer rows = {.arena = a};
    bool ready = false;
    int code = is_ready(p, a, &ready, err);
    if (code == 0 && ready)
        code = ask(p, PGDB_MIGRATE_LIST, NULL, 0, &rows, err);
    struct db_postgres_version *all =
        ARENA_ARRAY(a, struct db_postgres_version, db_postgres_migration_count + 1);
    for (size_t i = 0; i < db_postgres_migration_count; i++)
        all[i] = (struct db_postgres_version){.migration = &db_postgres_migrations[i]};
    for (size_t i = 0; code == 0 && i < rows.row_count; i++) {
        code = compare(&rows, i, err);
        if (code < 0)
            break;
        const int64_t *numbers = rows.numbers + i * rows.col_count;
        all[i].applied = true;
        all[i].applied_at = numbers[3];
        all[i].ms = numbers[4];
    }
    if (code == 0)
        *out = all;
    return code;
}

/* They are a prefix. */
static size_t applied_count(const struct db_postgres_version *versions) {
    size_t count = 0;
    while (count < db_postgres_migration_count && versions[count].applied)
        count++;
    return count;
}

/* --- invalid indexes ------------------------------------------------------------------------- */

static bool is_word(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/* "… INDEX [CONCURRENTLY] [IF NOT EXISTS] name …" */
static bool makes_index(const char *text, str name) {
    for (str rest = str_of(text); rest.len >= name.len;) {
        ptrdiff_t at = str_find(rest, name);
        if (at < 0)
            return false;
        str before = str_slice(rest, 0, (size_t)at);
        size_t end = before.len + name.len;
        if ((str_ends(before, STR("INDEX ")) || str_ends(before, STR("IF NOT EXISTS "))) &&
            (end == rest.len || !is_word(rest.p[end])))
            return true;
        rest = str_slice(rest, before.len + 1, rest.len);
    }
    return false;
}

static bool is_ours(str name) {
    for (size_t i = 0; name.len > 0 && i < db_postgres_migration_count; i++)
        for (const char *const *t = db_postgres_migrations[i].up; *t; t++)
            if (makes_index(*t, name))
                return true;
    return false;
}

int db_postgres_invalid_read(struct pg_pool *p, const char *checkpoint_schema, struct arena *a,
                             struct db_postgres_index **out, size_t *out_count, struct err *err) {
    struct answer answer = {.arena = a};
    struct pg_param schema = pg_text(str_of(checkpoint_schema));
    int code = ask(p, PGDB_INVALID_INDEXES, &schema, 1, &answer, err);
    if (code < 0)
        return code;
    *out = ARENA_ARRAY(a, struct db_postgres_index, answer.row_count + 1);
    for (size_t i = 0; i < answer.row_count; i++) {
        const str *cells = answer.cells + i * answer.col_count;
        (*out)[i] = (struct db_postgres_index){cells[0], cells[1], cells[2], is_ours(cells[0])};
    }
    *out_count = answer.row_count;
    return 0;
}

static int repair(struct runner *r, struct err *err) {
    struct db_postgres_index *found = NULL;
    size_t count = 0;
    int code = db_postgres_invalid_read(r->pool, r->schema, &r->arena, &found, &count, err);
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (!found[i].ours)
            continue;
        log_event(LOG_WARN, "db.index.rebuild", "an index is invalid: it is built again",
                  LOG_STR("index", found[i].written));
        code = pg_pool_script(r->pool, filled(&r->arena, PGDB_INDEX_DROP, &found[i].written, 1),
                              NO_TIMEOUT, err);
        if (code == 0)
            code = pg_pool_script(r->pool, arena_z(&r->arena, found[i].create), NO_TIMEOUT, err);
        if (code < 0)
            err_context(err, "index " STR_FMT, STR_ARG(found[i].name));
    }
    return code;
}

/* --- the lease ------------------------------------------------------------------------------- */

static int lease_take(struct runner *r, bool *out, struct err *err) {
    struct answer answer = {.arena = &r->arena};
    struct pg_param params[] = {pg_uuid(r->holder), pg_int8(LEASE_US)};
    int code = ask(r->pool, PGDB_MIGRATE_TAKE, params, ARRAY_COUNT(params), &answer, err);
    if (code == 0)
        *out = answer.row_count == 1;
    return code;
}

static void renew_main(void *arg) {
    struct runner *r = arg;
    while (!r->lease_lost && fiber_sleep_us(LEASE_US / 3) == 0) {
        bool mine = true;
        /* A failed question is asked again: the lease outlives two of them. */
        if (lease_take(r, &mine, NULL) == 0 && !mine)
            r->lease_lost = true;
    }
}

static int lease_await(struct runner *r, struct err *err) {
    int64_t deadline_us = clock_mono_us() + LEASE_WAIT_US;
    for (bool told = false;;) {
        bool mine = false;
        int code = lease_take(r, &mine, err);
        if (code < 0 || mine)
            return code;
        if (!told)
            log_event(LOG_INFO, "db.migrate.wait", "another process migrates the schema");
        told = true;
        if (clock_mono_us() >= deadline_us)
            return err_set(err, ERR_TIMEOUT, "another process migrates the schema; waited %lld s",
                           (long long)(LEASE_WAIT_US / 1000000));
        code = fiber_sleep_us(LEASE_POLL_US);
        if (code < 0)
            return err_set(err, code, "cancelled while another process migrates the schema");
    }
}

static void lease_leave(struct runner *r) {
    struct pg_param holder = pg_uuid(r->holder);
    (void)ask(r->pool, PGDB_MIGRATE_LEAVE, &holder, 1, NULL, NULL); /* else it expires */
}

/* --- steps ----------------------------------------------------------------------------------- */

/* Tries again while a lock is not to be had. */
static int run_script(struct runner *r, const char *sql, struct err *err) {
    for (int tries = 0;; tries++) {
        struct err why = {0};
        int code = pg_pool_script(r->pool, sql, NO_TIMEOUT, &why);
        if (code == ERR_CONFLICT && tries < LOCK_TRIES_MAX && !r->lease_lost &&
            fiber_sleep_us(LOCK_PAUSE_US) == 0)
            continue;
        if (code < 0 && err)
            *err = why;
        return code;
    }
}

static const char *row_text(struct runner *r, const struct db_postgres_migration *m, bool up,
                            int64_t before_ms) {
    struct arena *a = &r->arena;
    str words[] = {arena_printf(a, "%d", m->version), str_of(m->name), str_of(m->sha256),
                   arena_printf(a, "%lld", (long long)before_ms)};
    return up ? filled(a, PGDB_MIGRATE_RECORD, words, 4)
              : filled(a, PGDB_MIGRATE_UNRECORD, words, 1);
}

/* "patience; fence; text; row" as one script. */
static const char *script(struct runner *r, const char *text, const char *row) {
    str holder = id_dashed(&r->arena, r->holder);
    return arena_printf(&r->arena, "%s;\n%s;\n%s\n;\n%s;\n", db_postgres_own[PGDB_MIGRATE_PATIENCE],
                        filled(&r->arena, PGDB_MIGRATE_FENCE, &holder, 1), text, row)
        .p;
}

static int step(struct runner *r, const struct db_postgres_migration *m, bool up, struct err *err) {
    int64_t start_us = clock_mono_us();
    const char *const *texts = up ? m->up : m->down, *last = "";
    int code = 0;
    if (m->transaction && texts[0]) {
        last = db_postgres_with_schema(&r->arena, texts[0], r->schema);
    } else {
        code = up && texts[0] ? repair(r, err) : 0;
        for (; code == 0 && *texts; texts++)
            code = run_script(r, db_postgres_with_schema(&r->arena, *texts, r->schema), err);
    }
    if (code == 0 && (r->lease_lost || FAILPOINT("db.migrate.commit") < 0))
        code = err_set(err, ERR_CONFLICT, "another process has taken over the migration");
    int64_t before_ms = (clock_mono_us() - start_us) / 1000;
    if (code == 0)
        code = run_script(r, script(r, last, row_text(r, m, up, before_ms)), err);
    int64_t us = clock_mono_us() - start_us;
    if (code < 0)
        return err_context(err, "schema migration %d (%s) %s", m->version, m->name,
                           up ? "up" : "down"),
               code;
    log_event(LOG_INFO, up ? "db.migrated" : "db.migrated.down",
              up ? "schema migration applied" : "schema migration undone",
              LOG_INT("version", m->version), LOG_Z("name", m->name), LOG_INT("ms", us / 1000));
    return 0;
}

/* Under the lease; down: how many versions are taken back, 0: all are applied. */
static int steps(struct runner *r, size_t down, size_t *out_done, struct err *err) {
    int code = db_postgres_versions(r->pool, &r->arena, &r->versions, err);
    if (code < 0)
        return code;
    size_t have = applied_count(r->versions);
    if (down > 0) {
        for (; code == 0 && have > 0 && *out_done < down; have--) {
            code = step(r, &db_postgres_migrations[have - 1], false, err);
            *out_done += code == 0;
        }
        return code;
    }
    for (; code == 0 && have < db_postgres_migration_count; have++)
        code = step(r, &db_postgres_migrations[have], true, err);
    return code == 0 ? repair(r, err) : code;
}

static int run(struct runner *r, size_t down, size_t *out_done, struct err *err) {
    int code = prepare(r, err);
    if (code == 0)
        code = lease_await(r, err);
    if (code < 0)
        return code;
    fiber_group_init(&r->renewal);
    code = fiber_group_spawn(&r->renewal, fiber_rt(), "db.migrate.lease", renew_main, r, err);
    if (code == 0)
        code = steps(r, down, out_done, err);
    fiber_group_cancel(&r->renewal);
    fiber_group_wait(&r->renewal);
    lease_leave(r);
    if (code == 0 && down > 0)
        code = ask(r->pool, PGDB_MIGRATE_FORGET, NULL, 0, NULL, err);
    return code;
}

static int runner_init(struct runner *r, struct pg_pool *p, const char *schema, struct err *err) {
    fiber_assert_inside();
    if (str_find_char(str_of(schema), '\'') >= 0)
        return err_set(err, ERR_INVALID, "the name of the checkpoints' schema has an apostrophe");
    *r = (struct runner){.pool = p, .schema = schema, .holder = id_v7()};
    arena_init(&r->arena, ARENA_BYTES_MAX);
    return 0;
}

/* That nothing is to be done is found out without writing anything. */
static int is_current(struct runner *r, bool *out, struct err *err) {
    struct db_postgres_index *invalid = NULL;
    size_t count = 0;
    int code = db_postgres_versions(r->pool, &r->arena, &r->versions, err);
    if (code == 0)
        code = db_postgres_invalid_read(r->pool, r->schema, &r->arena, &invalid, &count, err);
    if (code < 0)
        return code;
    *out = applied_count(r->versions) == db_postgres_migration_count;
    for (size_t i = 0; i < count; i++)
        *out = *out && !invalid[i].ours;
    return 0;
}

int db_postgres_migrate(struct pg_pool *p, const char *checkpoint_schema, struct err *err) {
    struct runner r;
    bool current = false;
    size_t none = 0;
    int code = runner_init(&r, p, checkpoint_schema, err);
    if (code < 0)
        return code;
    code = is_current(&r, &current, err);
    if (code == 0 && !current)
        code = run(&r, 0, &none, err);
    arena_deinit(&r.arena);
    return code;
}

int db_postgres_migrate_down(struct pg_pool *p, const char *checkpoint_schema, size_t count,
                             size_t *out_done, struct err *err) {
    struct runner r;
    *out_done = 0;
    int code = runner_init(&r, p, checkpoint_schema, err);
    if (code < 0)
        return code;
    if (count > 0)
        code = run(&r, count, out_done, err);
    arena_deinit(&r.arena);
    return code;
}
