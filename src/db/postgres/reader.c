/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - reads: one statement, one round trip, pipelined with those of other fibers.
 *
 * A read goes out with the others of its turn. Look-ups by key share connections, and executions
 * (gather.c); statements that may take longer go where nobody waits behind them. A read changes
 * nothing, so one whose connection was lost is asked again, until the time that a call may wait
 * for the database is over.
 *
 * A read sees every commit that was answered before it was asked: the server makes a transaction
 * visible before it answers it. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "db/postgres/pgdb_int.h"
#include "db/stmt_log.h"

#define AGAIN_AFTER_US 20000

struct read {
    struct pg_work work;
    struct arena *arena;
    struct db_rows *out;
};

static int on_result(struct pg_work *work, size_t index, const struct pg_result *r,
                     struct err *err) {
    (void)index;
    const struct read *read = CONTAINER_OF(work, struct read, work);
    return pgdb_rows(r, read->arena, read->out, err);
}

/* Also when the connections were so busy that the statement had no time of its own. */
static bool is_away(const struct pg_work *work) {
    return work->outcome == PG_UNKNOWN || work->outcome == PG_NOT_SENT ||
           work->code == ERR_UNAVAILABLE || (work->code == ERR_TIMEOUT && work->crowded);
}

/* Asks until it is answered, for as long as the database is away, at most until until_us. */
static int run(struct pgdb *d, const struct pg_call *call, enum pg_lane lane, int64_t until_us,
               struct arena *a, struct db_rows *out, struct err *err) {
    struct err why = {0};
    for (;;) {
        struct db_rows rows = {0};
        struct read r = {.arena = a, .out = &rows};
        r.work =
            (struct pg_work){.lane = lane, .calls = call, .call_count = 1, .result = on_result};
        int code = pg_pool_run(d->pool, &r.work, &why);
        stmt_log(d->options.log_all, call->name, call->sql, r.work.run_us, (int64_t)rows.row_count);
        if (code == 0) {
            *out = rows;
            return 0;
        }
        if (code == ERR_LIMIT || code == ERR_TOO_LARGE || !is_away(&r.work)) {
            if (code == ERR_TIMEOUT)
                return pgdb_too_late(err, call->name, &why);
            if (err)
                *err = why;
            return code;
        }
        if (clock_mono_us() + AGAIN_AFTER_US >= until_us || fiber_sleep_us(AGAIN_AFTER_US) < 0)
            return pgdb_unavailable(err, &why);
    }
}

int pgdb_ask(struct pgdb *d, const struct pg_call *call, int64_t wait_us, struct arena *a,
             struct db_rows *out, struct err *err) {
    return run(d, call, PG_LANE_SLOW, clock_mono_us() + wait_us, a, out, err);
}

static int bind(const struct pgdb_text *text, const char *name, const struct db_value *params,
                size_t count, struct arena *a, struct pg_param *out, struct err *err) {
    for (size_t i = 0; i < count; i++) {
        int code = pgdb_bind(a, text->param_oids[i], &params[i], &out[i], err);
        if (code < 0)
            return err_context(err, "statement %s, parameter %zu", name, i + 1), code;
    }
    return 0;
}

static int look_up(struct pgdb *d, enum db_stmt stmt, const struct pg_call *call, struct arena *a,
                   struct db_rows *out, struct err *err) {
    enum pg_lane lane = db_catalogue[stmt].point ? PG_LANE_READ : PG_LANE_SLOW;
    struct pgdb_gather *g = pgdb_gather_of(d, stmt);
    int64_t until_us = clock_mono_us() + d->options.pool.acquire_timeout_us;
    int code = 0;
    if (!g)
        return run(d, call, lane, until_us, a, out, err);
    if (pgdb_gather_read(g, call->params, a, out, &code, err))
        return code;
    code = clock_mono_us() < until_us ? run(d, call, lane, until_us, a, out, err)
                                      : pgdb_unavailable(err, NULL);
    pgdb_gather_leave(g);
    return code;
}

int pgdb_read(struct pgdb *d, enum db_stmt stmt, const struct db_value *params, size_t count,
              struct arena *a, struct db_rows *out, struct err *err) {
    const struct pgdb_text *text = &d->texts.of[stmt][PGDB_PLAIN];
    const struct db_statement *s = &db_catalogue[stmt];
    struct pg_param bound[DB_PARAMS_MAX];
    ASSERT(text->sql && count <= DB_PARAMS_MAX);
    if (d->reads_waiting >= d->options.queue_count_max)
        return err_set(err, ERR_LIMIT, "the database has %zu operations waiting", d->reads_waiting);
    struct arena scratch;
    arena_init(&scratch, (size_t)1 << 30);
    d->reads_waiting++;
    int code = FAILPOINT("db.read");
    if (code < 0)
        err_set(err, ERR_IO, "failpoint db.read"), code = ERR_IO;
    else
        code = bind(text, s->name, params, count, &scratch, bound, err);
    struct pg_call call = {
        .name = s->name, .sql = text->sql, .params = bound, .param_count = count};
    if (code == 0)
        code = look_up(d, stmt, &call, a, out, err);
    d->reads_waiting--;
    d->reads++;
    d->read_errors += code < 0;
    arena_deinit(&scratch);
    return code;
}
