/* SPDX-License-Identifier: Apache-2.0 */
/* pool_command.c - runs a function on a fiber, with a pool to the configured database.
 *
 * The loop is the command's own and ends when the pool has closed, whatever fn said. */
#include "app/pool_command.h"

#include "app/database.h"
#include "base/clock.h"

#define CLOSE_US 2000000

struct running {
    const struct pool_command *command;
    struct rt *rt;
    struct pg_pool *pool;
    struct err *err;
    int rc;
};

static void on_closed(void *arg) { rt_stop(((struct running *)arg)->rt); }

static void main_fiber(void *arg) {
    struct running *r = arg;
    r->rc = pg_pool_await(r->pool, r->err);
    if (r->rc == 0)
        r->rc = r->command->fn(r->command->ctx, r->pool, r->err);
    pg_pool_close(r->pool, clock_mono_us() + CLOSE_US, on_closed, r);
}

int pool_command_run(const struct config *c, const struct pool_command *command, struct err *err) {
    struct running r = {.command = command, .err = err};
    struct db_postgres_options o;
    int rc = rt_open(&r.rt, err);
    if (rc < 0)
        return rc;
    db_postgres_options_default(&o);
    (void)database_options(c, &o); /* the profile's name */
    o.pool.application_name = command->name;
    o.pool.connections_max = command->connections_max;
    o.pool.connections_min = 0;
    rc = pg_pool_open(r.rt, &o.pool, &r.pool, err);
    if (rc == 0 && !fiber_spawn(r.rt, "command", main_fiber, &r, err))
        rc = ERR_LIMIT;
    if (rc == 0) {
        rt_run(r.rt);
        rc = r.rc;
    }
    rt_close(r.rt);
    return rc;
}
