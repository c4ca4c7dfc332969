/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_command.c - `holdfast doctor`: is the database well?
 *
 * Prints what db/postgres/doctor.h finds, a section at a time, and says it with the exit status,
 * for monitoring. Options are those of `serve`, so that the pool is judged that the server would
 * open. It changes nothing. */
#include "app/doctor_command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "base/clock.h"
#include "base/mem.h"
#include "db/postgres/doctor.h"

#define EXIT_ILL 4
#define CLOSE_US 2000000

static const char HELP[] =
    "usage: holdfast doctor [options of serve]\n\n"
    "Looks the PostgreSQL database over (--database-url or DATABASE_URL): server and settings,\n"
    "the pools against max_connections, versions of the schema, invalid indexes, scans of each\n"
    "index, disk, dead rows and bloat, orphans, slow statements. Changes nothing.\n"
    "exit status: 0 well (warnings allowed), 1 cannot be asked, 4 something is ill\n\n"
    "usage: holdfast doctor --versions [--json] [--manifest FILE] [options of serve]\n\n"
    "Every component, the version that is installed and the one that is wanted, and a command\n"
    "that updates what is older. With a database: the server, its schema and extensions, too.\n"
    "FILE: a JSON object of names and versions that are wanted instead.\n"
    "exit status: 0 all as wanted, 1 cannot be asked, 3 something is older\n";

struct command {
    struct config config;
    struct rt *rt;
    struct pg_pool *pool;
    const char *section;
    size_t counts[DOCTOR_ILL + 1];
    struct db_postgres_options wanted;
    struct err err;
    int rc;
};

static void found(void *ctx, const struct db_postgres_finding *f) {
    static const char *const words[] = {"ok", "", "warn", "ILL"};
    struct command *c = ctx;
    if (!c->section || strcmp(c->section, f->section) != 0)
        printf("%s%s\n", c->section ? "\n" : "", f->section);
    c->section = f->section;
    c->counts[f->level]++;
    printf("  %-4s  %-44.*s  %.*s\n", words[f->level], STR_ARG(f->what), STR_ARG(f->detail));
}

static void on_closed(void *arg) {
    struct command *c = arg;
    c->pool = NULL;
    rt_stop(c->rt);
}

static void main_fiber(void *arg) {
    struct command *c = arg;
    struct db_postgres_doctor d = {.checkpoint_schema = c->config.checkpoint_schema.p,
                                   .connections = db_postgres_connections(&c->wanted),
                                   .found = found,
                                   .ctx = c};
    c->rc = pg_pool_await(c->pool, &c->err);
    if (c->rc == 0)
        c->rc = db_postgres_doctor(c->pool, &d, &c->err);
    pg_pool_close(c->pool, clock_mono_us() + CLOSE_US, on_closed, c);
}

static int run(struct command *c) {
    int rc = rt_open(&c->rt, &c->err);
    if (rc < 0)
        return rc;
    db_postgres_options_default(&c->wanted);
    (void)database_options(&c->config, &c->wanted); /* the profile's name */
    struct pg_pool_options o = c->wanted.pool;
    o.application_name = "holdfast doctor";
    o.connections_max = 2;
    o.connections_min = 0;
    rc = pg_pool_open(c->rt, &o, &c->pool, &c->err);
    if (rc == 0 && !fiber_spawn(c->rt, "doctor", main_fiber, c, &c->err))
        rc = ERR_LIMIT;
    if (rc == 0) {
        rt_run(c->rt);
        rc = c->rc;
    }
    rt_close(c->rt);
    return rc;
}

int doctor_run(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--versions") == 0)
            return doctor_versions(argc, argv);
    struct command *c = NEW(struct command);
    int status = 0, rc = config_load(argc, argv, &c->config, &c->err);
    if (rc == 0 && c->config.help_wanted) {
        fputs(HELP, stdout);
    } else if (rc == 0 && !database_is_remote(&c->config)) {
        fputs("holdfast doctor: needs --database-url or DATABASE_URL\n", stderr);
        status = 2;
    } else {
        log_init(LOG_WARN, STDERR_FILENO, isatty(STDERR_FILENO));
        if (rc == 0)
            rc = run(c);
        if (rc == 0)
            printf("\n%zu ill, %zu to look at, %zu well\n", c->counts[DOCTOR_ILL],
                   c->counts[DOCTOR_WARN], c->counts[DOCTOR_OK]);
        else
            fprintf(stderr, "holdfast doctor: %s\n", c->err.message);
        status = rc == ERR_INVALID ? 2 : rc < 0 ? 1 : c->counts[DOCTOR_ILL] > 0 ? EXIT_ILL : 0;
    }
    config_deinit(&c->config);
    mem_free(c);
    return status;
}
