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
#include "app/pool_command.h"
#include "base/mem.h"
#include "db/postgres/doctor.h"

#define EXIT_ILL 4

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
    const char *section;
    size_t counts[DOCTOR_ILL + 1];
    struct err err;
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

static int look(void *ctx, struct pg_pool *pool, struct err *err) {
    struct command *c = ctx;
    struct db_postgres_options wanted;
    db_postgres_options_default(&wanted);
    (void)database_options(&c->config, &wanted); /* the profile's name */
    struct db_postgres_doctor d = {.checkpoint_schema = c->config.checkpoint_schema.p,
                                   .connections = db_postgres_connections(&wanted),
                                   .found = found,
                                   .ctx = c};
    return db_postgres_doctor(pool, &d, err);
}

static int run(struct command *c) {
    return pool_command_run(
        &c->config,
        &(struct pool_command){
            .name = "holdfast doctor", .connections_max = 2, .fn = look, .ctx = c},
        &c->err);
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
