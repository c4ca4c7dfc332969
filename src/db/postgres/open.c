/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - the PostgreSQL driver: opening, the port's functions, closing.
 *
 * Opening runs on a fiber: connect, look at the server (version, how many connections it takes),
 * bring the schema up to date, have every statement described, register the writer. Everything
 * belongs to the loop thread; there are no threads here.
 *
 * Closing happens when no call is under way: the writer's row is removed, the connections end, and
 * the memory goes when the last of them has. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/postgres/migrate.h"
#include "db/postgres/pgdb_int.h"

#define OPTIONS_BYTES_MAX ((size_t)64 << 20)
#define OWN_UNITS_MAX     4096 /* of the driver itself: statements are described all at once */
#define PING_TIMEOUT_US   2000000
#define CLOSE_TIMEOUT_US  3000000
#define BACKOFF_US_MAX    1000000 /* a database that is back serves within a second or two */
#define LISTENERS         1       /* of a process, beside its pool */

void db_postgres_options_default(struct db_postgres_options *o) {
    *o = (struct db_postgres_options){.checkpoint_schema = "public",
                                      .commit_wait_us = 30000000,
                                      .queue_count_max = 65536,
                                      .processes = 1,
                                      .migrate = true};
    pg_pool_options_default(&o->pool);
    o->pool.acquire_timeout_us = 10000000;
    o->pool.backoff_us_max = BACKOFF_US_MAX;
}

int64_t db_postgres_connections(const struct db_postgres_options *o) {
    return ((int64_t)o->pool.connections_max + LISTENERS) * o->processes;
}

static struct pgdb *pgdb_of(struct db *db) { return CONTAINER_OF(db, struct pgdb, db); }

/* --- the port's functions -------------------------------------------------------------------- */

/* A batch of one statement that only reads needs no commit. */
static bool is_read(const struct db_batch *b) {
    return b->count == 1 && !db_catalogue[b->ops[0].stmt].writes && b->ops[0].expect.kind == DB_ANY;
}

static int commit(struct db *db, struct db_batch *b, struct err *err) {
    struct pgdb *d = pgdb_of(db);
    if (!is_read(b))
        return pgdb_writer_run(&d->writer, b, err);
    struct db_op *op = &b->ops[0];
    int code = pgdb_read(d, op->stmt, op->params, op->param_count, b->arena, &op->rows, err);
    op->changed = 0;
    if (code < 0)
        b->failed_at = 0;
    return code;
}

static int read_rows(struct db *db, enum db_stmt stmt, const struct db_value *params,
                     size_t param_count, struct arena *a, struct db_rows *out, struct err *err) {
    return pgdb_read(pgdb_of(db), stmt, params, param_count, a, out, err);
}

static int ping(struct db *db, struct err *err) {
    struct pgdb *d = pgdb_of(db);
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 4096);
    struct pg_call call = {.name = "ping", .sql = d->texts.of[SQL_PING][PGDB_PLAIN].sql};
    d->reads++;
    int code = pgdb_ask(d, &call, PING_TIMEOUT_US, &a, &rows, err);
    d->read_errors += code < 0;
    arena_deinit(&a);
    return code;
}

static int digest(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err) {
    return pgdb_digest(pgdb_of(db), out, err);
}

static void stats(struct db *db, struct db_stats *out) {
    const struct pgdb *d = pgdb_of(db);
    const struct pgdb_writer *w = &d->writer;
    *out = (struct db_stats){.batches = w->batches,
                             .commits = w->commits,
                             .statements = w->statements + d->reads,
                             .reads = d->reads,
                             .errors = w->errors + d->read_errors,
                             .write_queue = w->count,
                             .read_queue = d->reads_waiting};
}

static const char *health(struct db *db) {
    struct pg_stats s;
    pg_pool_stats(pgdb_of(db)->pool, &s);
    return s.health == PG_DOWN ? "PostgreSQL cannot be reached" : NULL;
}

/* --- closing --------------------------------------------------------------------------------- */

struct closing {
    struct pgdb *d;
    struct fiber *fiber;
    bool done;
};

static void on_pool_closed(void *ctx) {
    struct closing *c = ctx;
    c->done = true;
    if (c->fiber)
        fiber_unpark(c->fiber);
    else
        rt_stop(c->d->rt);
}

static void on_writer_closed(void *ctx) {
    struct closing *c = ctx;
    pg_pool_close(c->d->pool, clock_mono_us() + CLOSE_TIMEOUT_US, on_pool_closed, c);
}

/* Off a fiber it runs the loop until the connections are gone. */
static void close_driver(struct db *db) {
    struct pgdb *d = pgdb_of(db);
    struct closing c = {.d = d, .fiber = fiber_self()};
    if (d->registered)
        pgdb_metrics_close(d);
    if (d->pool) {
        pgdb_writer_close(&d->writer, on_writer_closed, &c);
        while (!c.done && c.fiber)
            fiber_park_shielded();
        if (!c.done)
            rt_run(d->rt);
        ASSERT(c.done);
    }
    pgdb_writer_deinit(&d->writer);
    pgdb_gathers_deinit(d);
    pgdb_texts_close(&d->texts);
    mem_free(d);
}

static const struct db_vtable vtable = {
    .name = "postgres",
    .dialect = DB_POSTGRES,
    .commit = commit,
    .read = read_rows,
    .ping = ping,
    .digest = digest,
    .stats = stats,
    .health = health,
    .close = close_driver,
};

struct pg_pool *db_postgres_pool(struct db *db) {
    return db->vtable == &vtable ? pgdb_of(db)->pool : NULL;
}

/* --- opening --------------------------------------------------------------------------------- */

static void copy_options(struct pgdb *d, const struct db_postgres_options *o) {
    struct arena *a = &d->texts.arena;
    d->options = *o;
    d->options.pool.url = arena_z(a, str_of(o->pool.url));
    d->options.pool.application_name = arena_z(a, str_of(o->pool.application_name));
    d->options.pool.waiting_max = 2 * o->queue_count_max + OWN_UNITS_MAX;
    d->options.pool.session_setup = db_postgres_own[PGDB_SESSION_SETUP];
    d->options.checkpoint_schema = arena_z(a, str_of(o->checkpoint_schema));
}

static int open_pool(struct pgdb *d, struct err *err) {
    int code = pg_pool_open(d->rt, &d->options.pool, &d->pool, err);
    return code < 0 ? code : pg_pool_await(d->pool, err);
}

/* Are there connections enough for all processes? Advice, no refusal: others may use fewer. */
static void check_budget(const struct pgdb *d, int64_t server_max, int64_t reserved,
                         int64_t in_use) {
    const struct db_postgres_options *o = &d->options;
    int64_t wanted = db_postgres_connections(o), free = server_max - reserved;
    int64_t advised = free / o->processes - LISTENERS;
    if (wanted <= free)
        return;
    log_event(LOG_WARN, "db.connections",
              "the pools of all processes together may open more connections than the server "
              "takes: lower the pool's size or raise max_connections",
              LOG_INT("pool_max", (int64_t)o->pool.connections_max),
              LOG_INT("processes", o->processes), LOG_INT("wanted", wanted),
              LOG_INT("max_connections", server_max), LOG_INT("reserved", reserved),
              LOG_INT("in_use", in_use), LOG_INT("pool_max_advised", advised > 0 ? advised : 1));
}

static int check_server(struct pgdb *d, struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 65536);
    struct pg_call call = {.name = "server_facts", .sql = db_postgres_own[PGDB_SERVER_FACTS]};
    int code = pgdb_ask(d, &call, d->options.pool.connect_timeout_us, &a, &rows, err);
    if (code == 0) {
        int64_t version = db_int(&rows, 0, 0);
        if (version < DB_POSTGRES_VERSION_MIN)
            code = err_set(err, ERR_UNSUPPORTED,
                           "PostgreSQL %lld.%lld is too old: version %d or newer is needed",
                           (long long)version / 10000, (long long)version % 10000,
                           DB_POSTGRES_VERSION_MIN / 10000);
        else
            check_budget(d, db_int(&rows, 0, 1), db_int(&rows, 0, 2), db_int(&rows, 0, 3));
    }
    arena_deinit(&a);
    return code;
}

int db_postgres_open(struct rt *rt, const struct db_postgres_options *o, struct db **out,
                     struct err *err) {
    fiber_assert_inside();
    struct pgdb *d = NEW(struct pgdb);
    arena_init(&d->texts.arena, OPTIONS_BYTES_MAX);
    db_init(&d->db, &vtable);
    d->rt = rt;
    copy_options(d, o);
    pgdb_writer_init(&d->writer, d);
    pgdb_gathers_init(d);
    int code = open_pool(d, err);
    if (code == 0)
        code = check_server(d, err);
    if (code == 0 && o->migrate)
        code = db_postgres_migrate(d->pool, d->options.checkpoint_schema, err);
    if (code == 0)
        code = pgdb_texts_open(d, err);
    if (code == 0)
        code = pgdb_writer_open(&d->writer, err);
    if (code < 0) {
        err_context(err, "database");
        close_driver(&d->db);
        return code;
    }
    d->registered = !o->pool.unscraped;
    if (d->registered)
        pgdb_metrics_open(d);
    *out = &d->db;
    return 0;
}
