/* SPDX-License-Identifier: Apache-2.0 */
/* database.c - which database, with which pool.
 *
 * Without a DATABASE_URL: SQLite in the data folder, or in memory. With one: PostgreSQL; when it
 * cannot be reached, the start fails, since a server that silently keeps its data elsewhere is
 * worse than none. Who wants that all the same sets --database-fallback.
 *
 * One pool serves the whole process. Its numbers come from a row of `profiles`; the row is named by
 * the configuration or found by the platform's own variable; options replace single numbers. */
#include "app/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/sqlite/sqlite.h"

#define US_PER_S INT64_C(1000000)

static const struct {
    const char *name;
    size_t max, min;
    int64_t idle_s;
} profiles[] = {
    [CONFIG_PROFILE_AUTO] = {"auto", 0, 0, 0},
    [CONFIG_PROFILE_STANDARD] = {"standard", 10, 2, 300},
    [CONFIG_PROFILE_GATEWAY] = {"gateway", 20, 0, 30},
    [CONFIG_PROFILE_SERVERLESS] = {"serverless", 1, 0, 30},
    [CONFIG_PROFILE_CHECKPOINTER] = {"checkpointer", 20, 2, 30},
};

const char *database_options(const struct config *c, struct db_postgres_options *out) {
    struct pg_pool_options *o = &out->pool;
    int profile = c->database_profile;
    if (profile == CONFIG_PROFILE_AUTO)
        profile = c->platform ? CONFIG_PROFILE_SERVERLESS : CONFIG_PROFILE_STANDARD;
    o->connections_max = profiles[profile].max;
    o->connections_min = profiles[profile].min;
    o->idle_timeout_us = profiles[profile].idle_s * US_PER_S;
    if (c->database_pool_max > 0)
        o->connections_max = (size_t)c->database_pool_max;
    if (c->database_pool_min >= 0)
        o->connections_min = (size_t)c->database_pool_min;
    if (c->database_idle_timeout_us > 0)
        o->idle_timeout_us = c->database_idle_timeout_us;
    if (c->database_connect_timeout_us > 0)
        o->connect_timeout_us = c->database_connect_timeout_us;
    if (c->database_pool_timeout_us > 0)
        o->acquire_timeout_us = c->database_pool_timeout_us;
    if (c->database_statement_timeout_us > 0)
        o->statement_timeout_us = c->database_statement_timeout_us;
    if (o->connections_min > o->connections_max)
        o->connections_min = o->connections_max;
    o->url = secret_reveal(c->database_url).p;
    o->unnamed = !c->database_prepared;
    out->checkpoint_schema = c->checkpoint_schema.p;
    out->commit_wait_us = c->database_commit_wait_us;
    out->queue_count_max = (size_t)c->db_queue_count_max;
    out->processes = (int)(c->database_processes > 0 ? c->database_processes : c->workers);
    out->migrate = c->database_migrate;
    out->log_all = c->db_log_all;
    return profiles[profile].name;
}

bool database_is_remote(const struct config *c) {
    return !str_empty(secret_reveal(c->database_url));
}

/* --- SQLite ---------------------------------------------------------------------------------- */

/* A new folder's name must be as durable as what will be written into it. */
static int data_folder_make(const char *path, struct err *err) {
    char parent[4200];
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST
                   ? 0
                   : err_set_system(err, ERR_IO, errno, "cannot make the data folder %s", path);
    int n = snprintf(parent, sizeof(parent), "%s/..", path);
    int fd = n > 0 && (size_t)n < sizeof(parent) ? open(parent, O_RDONLY | O_DIRECTORY) : -1;
    int rc = 0;
    if (fd < 0 || fsync(fd) != 0)
        rc = err_set_system(err, ERR_IO, errno, "the folder above %s cannot be synced", path);
    if (fd >= 0)
        (void)close(fd); /* nothing was written through it */
    return rc;
}

static int sqlite_open(struct rt *rt, const struct config *c, struct db **out, struct err *err) {
    struct db_sqlite_options o;
    char path[4200];
    db_sqlite_options_default(&o);
    o.synchronous_normal = c->sqlite_synchronous == CONFIG_SYNCHRONOUS_NORMAL;
    o.readers = (int)c->sqlite_readers;
    o.queue_count_max = (size_t)c->db_queue_count_max;
    o.cache_bytes = c->sqlite_cache_bytes;
    o.log_all = c->db_log_all;
    if (!c->ephemeral) {
        int rc = data_folder_make(c->data.p, err);
        if (rc < 0)
            return rc;
        int n = snprintf(path, sizeof(path), "%s/holdfast.db", c->data.p);
        if (n < 0 || (size_t)n >= sizeof(path))
            return err_set(err, ERR_INVALID, "data: the path is too long");
        o.path = path;
    }
    return db_sqlite_open(rt, &o, out, err);
}

/* --- PostgreSQL ------------------------------------------------------------------------------ */

static int postgres_open(struct rt *rt, const struct config *c, struct db **out, struct err *err) {
    struct db_postgres_options o;
    db_postgres_options_default(&o);
    const char *profile = database_options(c, &o);
    int rc = db_postgres_open(rt, &o, out, err);
    if (rc == 0)
        log_event(LOG_INFO, "db.open", "PostgreSQL is the database", LOG_Z("profile", profile),
                  LOG_INT("pool_max", (int64_t)o.pool.connections_max),
                  LOG_INT("pool_min", (int64_t)o.pool.connections_min),
                  LOG_Z("platform", c->platform ? c->platform : ""));
    return rc;
}

int database_open(struct rt *rt, const struct config *c, struct db **out, struct err *err) {
    if (!database_is_remote(c))
        return sqlite_open(rt, c, out, err);
    struct err why = {0};
    int rc = postgres_open(rt, c, out, &why);
    bool away = rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT;
    if (rc == 0 || !away || !c->database_fallback) {
        if (rc < 0 && err)
            *err = why;
        return rc;
    }
    log_event(LOG_ERROR, "db.fallback",
              "PostgreSQL cannot be reached: everything is kept in the data folder, as asked",
              LOG_Z("cause", why.message));
    return sqlite_open(rt, c, out, err);
}
