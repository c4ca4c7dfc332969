/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - a write into a PostgreSQL database.
 *
 * One transaction over a few round trips. Where a table's name leads to is asked first: what lies
 * in a schema of the server, or beside one and is a table of LangGraph's savers, is refused, and so
 * is what is no table. The key is written down first: who comes with it at the same time waits
 * there, and then sees that it is done. */
#include "db/postgres/foreign.h"

#include "base/clock.h"
#include "base/mem.h"
#include "pg/pool.h"
#include "rt/loop.h"

#define CONNECTIONS_MAX 4
#define CLOSE_US        2000000

struct asking {
    int64_t changed, number;
    size_t rows;
    bool null;
};

static int on_result(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct asking *x = w->ctx;
    (void)index;
    (void)err;
    x->rows = pg_row_count(r);
    x->changed = pg_changed(r);
    if (x->rows && pg_column_count(r)) {
        x->null = pg_cell_null(r, 0, 0);
        x->number = pg_cell_int(r, 0, 0);
    }
    return 0;
}

/* Data and schema: the next attempt finds the same. */
static int refused(int rc, struct err *err) {
    if (rc == ERR_EXISTS || rc == ERR_INTERNAL || rc == ERR_INVALID)
        err->code = ERR_INVALID;
    return err->code;
}

static int run(struct pg_tx *tx, const char *sql, const struct pg_param *params, size_t count,
               int64_t deadline_us, struct asking *out, struct err *err) {
    struct pg_call call = {.sql = sql, .params = params, .param_count = count};
    int64_t left = deadline_us - clock_mono_us();
    struct pg_work w = {.calls = &call,
                        .call_count = 1,
                        .timeout_us = left > 0 ? left : 1,
                        .result = on_result,
                        .ctx = out};
    *out = (struct asking){0};
    int rc = fiber_cancelled() ? ERR_CANCELLED : pg_tx_run(tx, &w, err);
    return rc < 0 && rc != ERR_CANCELLED ? refused(rc, err) : rc;
}

struct foreign {
    struct db_foreign d;
    struct rt *rt;
    const char *url;
    struct pg_pool *pool; /* NULL: not used yet */
};
struct job {
    struct pg_tx *tx;
    const struct db_foreign_write *w;
    struct arena *a;
    int64_t deadline_us;
};

static int run_stmt(struct job *j, const struct db_foreign_stmt *s, struct asking *out,
                    struct err *err) {
    struct pg_param *params = ARENA_ARRAY(j->a, struct pg_param, s->param_count + 1);
    for (size_t i = 0; i < s->param_count; i++)
        params[i] = s->params[i].kind == DB_FOREIGN_NULL ? pg_null(0) : pg_text(s->params[i].s);
    return run(j->tx, s->sql, params, s->param_count, j->deadline_us, out, err);
}

static int check_place(struct job *j, struct err *err) {
    struct asking found;
    const struct pg_param name[] = {pg_text(j->w->table_sql)};
    int rc = run(j->tx,
                 "SELECT (c.relkind IN ('r', 'p') AND n.nspname NOT IN "
                 "('holdfast', 'langgraph_server', 'information_schema') AND "
                 "n.nspname NOT LIKE 'pg\\_%' AND NOT (c.relname LIKE 'checkpoint%' AND "
                 "to_regnamespace('holdfast') IS NOT NULL))::int::bigint "
                 "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                 "ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1::text)",
                 name, 1, j->deadline_us, &found, err);
    if (rc < 0)
        return rc;
    return found.rows && found.number
               ? 0
               : err_set(err, ERR_INVALID, STR_FMT ": is no table of the target for steps",
                         STR_ARG(j->w->table));
}

static int open_ledger(struct job *j, struct err *err) {
    struct asking found;
    int rc = run(j->tx, "SELECT (to_regclass('" DB_FOREIGN_LEDGER "') IS NOT NULL)::int::bigint",
                 NULL, 0, j->deadline_us, &found, err);
    if (rc < 0 || found.number)
        return rc;
    rc = run(j->tx,
             "CREATE TABLE IF NOT EXISTS " DB_FOREIGN_LEDGER " (key text PRIMARY KEY, "
             "rows bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())",
             NULL, 0, j->deadline_us, &found, err);
    if (rc == ERR_INVALID) /* somebody else makes it just now, or it is not allowed */
        err->code = ERR_UNAVAILABLE;
    return rc < 0 ? err->code : 0;
}

static int write_all(struct job *j, int64_t *out_rows, struct err *err) {
    struct asking done;
    int64_t rows = 0;
    int rc = 0;
    if (j->w->count.sql) {
        rc = run_stmt(j, &j->w->count, &done, err);
        if (rc == 0)
            rc = db_foreign_judge(j->w, done.number, false, err);
    }
    for (size_t i = 0; rc == 0 && i < j->w->stmt_count; i++) {
        rc = run_stmt(j, &j->w->stmts[i], &done, err);
        rows += done.changed;
    }
    *out_rows = rows;
    return rc < 0 ? rc : db_foreign_judge(j->w, rows, true, err);
}

static int transact(struct job *j, struct db_foreign_done *out, struct err *err) {
    struct asking done;
    const struct pg_param key[] = {pg_text(j->w->key), pg_int8(0)};
    int rc = check_place(j, err);
    if (rc == 0)
        rc = open_ledger(j, err);
    if (rc == 0)
        rc = run(j->tx,
                 "INSERT INTO " DB_FOREIGN_LEDGER
                 " (key, rows) VALUES ($1::text, $2::bigint) ON CONFLICT DO NOTHING",
                 key, 2, j->deadline_us, &done, err);
    if (rc < 0)
        return rc;
    out->repeated = done.changed == 0;
    if (out->repeated) {
        rc = run(j->tx, "SELECT rows FROM " DB_FOREIGN_LEDGER " WHERE key = $1::text", key, 1,
                 j->deadline_us, &done, err);
        out->rows = done.number;
        return rc;
    }
    rc = write_all(j, &out->rows, err);
    const struct pg_param counted[] = {pg_text(j->w->key), pg_int8(out->rows)};
    if (rc == 0)
        rc = run(j->tx, "UPDATE " DB_FOREIGN_LEDGER " SET rows = $2::bigint WHERE key = $1::text",
                 counted, 2, j->deadline_us, &done, err);
    return rc;
}

static int open_pool(struct foreign *f, struct err *err) {
    struct pg_pool_options o;
    if (f->pool)
        return 0;
    pg_pool_options_default(&o);
    o.url = f->url;
    o.application_name = "holdfast-steps";
    o.connections_max = CONNECTIONS_MAX;
    o.connections_min = 0;
    return pg_pool_open(f->rt, &o, &f->pool, err);
}

static int write_once(struct db_foreign *d, const struct db_foreign_write *w, struct arena *a,
                      struct db_foreign_done *out, struct err *err) {
    struct foreign *f = CONTAINER_OF(d, struct foreign, d);
    struct job j = {.w = w, .a = a, .deadline_us = clock_mono_us() + w->timeout_us};
    *out = (struct db_foreign_done){0};
    int rc = open_pool(f, err);
    if (rc == 0)
        rc = pg_tx_begin(f->pool, &j.tx, err);
    if (rc < 0)
        return rc;
    rc = transact(&j, out, err);
    if (rc == 0)
        return pg_tx_commit(j.tx, err);
    pg_tx_rollback(j.tx);
    return rc;
}

/* --- closing --- */

static void close_foreign(struct db_foreign *d) {
    struct foreign *f = CONTAINER_OF(d, struct foreign, d);
    pg_pool_close_wait(f->pool, clock_mono_us() + CLOSE_US);
    mem_free(f);
}

struct db_foreign *db_foreign_postgres(struct rt *rt, const char *url) {
    struct foreign *f = NEW(struct foreign);
    *f = (struct foreign){.d = {write_once, close_foreign}, .rt = rt, .url = url};
    return &f->d;
}
