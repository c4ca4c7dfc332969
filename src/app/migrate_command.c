/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_command.c - `holdfast migrate`: the schema in PostgreSQL, by hand.
 *
 *   holdfast migrate status          versions, and when they were applied; 3 when some are missing
 *   holdfast migrate plan            the SQL that `up` would run
 *   holdfast migrate up              what the server does at its start
 *   holdfast migrate down [N]        takes the newest N versions back (1)
 *
 * Options are those of `serve` (--database-url, --checkpoint-schema, …). */
#include "app/migrate_command.h"

#include <stdio.h>
#include <unistd.h>

#include "app/pool_command.h"
#include "base/clock.h"
#include "base/mem.h"
#include "db/postgres/migrate.h"
#include "pg/pool.h"

#define EXIT_MISSING   3
#define PLAN_BYTES_MAX ((size_t)64 << 20)

static const char HELP[] =
    "usage: holdfast migrate status|plan|up|down [N] [options of serve]\n\n"
    "status  versions of the schema and when they were applied; exit status 3: some are missing\n"
    "plan    prints the SQL that `up` would run\n"
    "up      brings the schema up to date, as the server does at its start\n"
    "down    takes the newest N versions back (1); tables that other programs share, and data in\n"
    "        them, stay\n";

struct command {
    struct config config;
    str verb;
    int64_t count;
    struct err err;
    int status;
};

static void print_status(struct command *c, const struct db_postgres_version *versions) {
    for (size_t i = 0; i < db_postgres_migration_count; i++) {
        const struct db_postgres_version *v = &versions[i];
        char at[TIME_ISO_LEN + 1] = "missing";
        if (v->applied)
            time_write_iso(v->applied_at, at);
        else
            c->status = EXIT_MISSING;
        printf("%04d  %-28s  %s%s\n", v->migration->version, v->migration->name, at,
               v->migration->transaction ? "" : "  (without locks, outside of a transaction)");
    }
}

static void print_plan(struct command *c, struct arena *a,
                       const struct db_postgres_version *versions) {
    size_t missing = 0;
    for (size_t i = 0; i < db_postgres_migration_count; i++) {
        const struct db_postgres_migration *m = versions[i].migration;
        if (versions[i].applied)
            continue;
        missing++;
        printf("-- %04d_%s%s\n", m->version, m->name,
               m->transaction ? ", one transaction" : ", each statement by itself");
        for (size_t j = 0; m->up[j]; j++)
            printf("%s;\n", db_postgres_with_schema(a, m->up[j], c->config.checkpoint_schema.p));
    }
    if (missing == 0)
        printf("-- nothing to do\n");
}

static int look(struct command *c, struct pg_pool *pool, struct err *err) {
    struct arena a;
    struct db_postgres_version *versions;
    arena_init(&a, PLAN_BYTES_MAX);
    int rc = db_postgres_versions(pool, &a, &versions, err);
    if (rc == 0 && str_eq(c->verb, STR("plan")))
        print_plan(c, &a, versions);
    else if (rc == 0)
        print_status(c, versions);
    arena_deinit(&a);
    return rc;
}

static int carry_out(void *ctx, struct pg_pool *pool, struct err *err) {
    struct command *c = ctx;
    const char *schema = c->config.checkpoint_schema.p;
    size_t done = 0;
    int rc;
    if (str_eq(c->verb, STR("up")))
        rc = db_postgres_migrate(pool, schema, err);
    else if (str_eq(c->verb, STR("down")))
        rc = db_postgres_migrate_down(pool, schema, (size_t)c->count, &done, err);
    else
        rc = look(c, pool, err);
    if (rc == 0 && str_eq(c->verb, STR("down")))
        printf("%zu taken back\n", done);
    return rc;
}

static int run(struct command *c) {
    return pool_command_run(
        &c->config,
        &(struct pool_command){
            .name = "holdfast migrate", .connections_max = 3, .fn = carry_out, .ctx = c},
        &c->err);
}

/* The verb and the number in front; the rest are options. */
static int parse(struct command *c, int argc, char **argv) {
    int at = 1;
    c->verb = at < argc ? str_of(argv[at++]) : STR_NULL;
    c->count = 1;
    bool down = str_eq(c->verb, STR("down"));
    if (down && at < argc && argv[at][0] != '-' && !str_to_i64(str_of(argv[at++]), &c->count))
        c->count = 0;
    if (c->count < 1 || !(down || str_eq(c->verb, STR("up")) || str_eq(c->verb, STR("status")) ||
                          str_eq(c->verb, STR("plan"))))
        return err_set(&c->err, ERR_INVALID, "migrate: status, plan, up or down [N]");
    argv[at - 1] = argv[0];
    int rc = config_load(argc - at + 1, argv + at - 1, &c->config, &c->err);
    if (rc == 0 && str_empty(secret_reveal(c->config.database_url)))
        rc = err_set(&c->err, ERR_INVALID,
                     "migrate: needs --database-url or DATABASE_URL (SQLite's schema is brought up "
                     "to date at every start)");
    return rc;
}

int migrate_run(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(HELP, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    struct command *c = NEW(struct command);
    int rc = parse(c, argc, argv);
    log_init((enum log_level)c->config.log_level, STDERR_FILENO, isatty(STDERR_FILENO));
    if (rc == 0)
        rc = run(c);
    if (rc < 0)
        fprintf(stderr, "holdfast: %s\n", c->err.message);
    int status = rc < 0 ? 1 : c->status;
    config_deinit(&c->config);
    mem_free(c);
    return status;
}
