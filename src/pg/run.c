/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the client for fibers: one unit, one transaction, one script at a time, written straight.
 *
 * A fiber that waits here is deaf to cancellation: a unit that is under way refers to the fiber's
 * memory, and its outcome must be known. Deadlines end the wait.
 *
 * A transaction is its connection. When that dies the handle stays and answers errors, so nothing
 * of a transaction can ever run elsewhere. */
#include "pg/pg_int.h"

struct pg_tx {
    struct pg_pool *pool;
    struct pg_conn *conn; /* NULL: lost */
    struct pg_work w;
    struct pg_call call;
};

static void wake(struct pg_work *w) { fiber_unpark(w->waiter); }

static int wait(struct pg_work *w, struct err *err) {
    while (w->state != PG_WORK_DONE)
        fiber_park_shielded();
    if (w->code != 0 && err)
        *err = w->err;
    return w->code;
}

static int refused(struct pg_work *w, int rc) {
    w->code = rc;
    w->outcome = PG_NOT_SENT;
    return rc;
}

int pg_pool_run_kind(struct pg_pool *p, struct pg_work *w, enum pg_kind kind, struct err *err) {
    fiber_assert_inside();
    w->done = wake;
    w->waiter = fiber_self();
    int rc = pg_pool_submit_kind(p, w, kind, err);
    return rc != 0 ? refused(w, rc) : wait(w, err);
}

int pg_pool_run(struct pg_pool *p, struct pg_work *w, struct err *err) {
    w->pinned = false;
    ASSERT(w->call_count > 0);
    return pg_pool_run_kind(p, w, PG_KIND_UNIT, err);
}

int pg_conn_run(struct pg_conn *c, struct pg_work *w, enum pg_kind kind, struct err *err) {
    struct pg_pool *p = c->pool;
    fiber_assert_inside();
    int rc = pg_send_check(w, err);
    if (rc != 0)
        return refused(w, rc);
    int64_t now = rt_mono_us(p->rt);
    int64_t timeout = w->timeout_us ? w->timeout_us : p->o.statement_timeout_us;
    w->pool = p;
    w->kind = (unsigned char)kind;
    w->pinned = true;
    w->unnamed = w->suspect = false;
    w->tries = 0;
    w->code = 0;
    w->err = (struct err){0};
    w->sqlstate[0] = '\0';
    w->failed_at = SIZE_MAX;
    w->outcome = PG_NOT_SENT;
    w->submitted_us = now;
    w->deadline_us = timeout > 0 ? now + timeout : INT64_MAX;
    w->done = wake;
    w->waiter = fiber_self();
    pg_send(c, w);
    pg_deadline_of(p, w);
    return wait(w, err);
}

/* --- scripts, types -------------------------------------------------------------------------- */

int pg_pool_script(struct pg_pool *p, const char *sql, int64_t timeout_us, struct err *err) {
    struct pg_call call = {.sql = sql};
    struct pg_work w = {
        .lane = PG_LANE_SLOW, .calls = &call, .call_count = 1, .timeout_us = timeout_us};
    if (strlen(sql) > PG_MESSAGE_BYTES_MAX / 2)
        return err_set(err, ERR_TOO_LARGE, "a script of %zu bytes", strlen(sql));
    return pg_pool_run_kind(p, &w, PG_KIND_SIMPLE, err);
}

struct described {
    struct pg_describe d;
    struct pg_call call;
    size_t *left;
};

static void on_described(struct pg_work *w) {
    struct described *one =
        CONTAINER_OF(CONTAINER_OF(w, struct pg_describe, w), struct described, d);
    if (--*one->left == 0)
        fiber_unpark(w->waiter);
}

int pg_pool_describe(struct pg_pool *p, const char *const *sqls, size_t count, struct arena *a,
                     struct pg_described *out, size_t *failed_at, struct err *err) {
    fiber_assert_inside();
    struct described *all = mem_calloc(count ? count : 1, sizeof(*all));
    size_t left = count, sent = 0;
    int rc = 0;
    for (; sent < count && rc == 0; sent++) {
        struct described *one = &all[sent];
        one->call = (struct pg_call){.sql = sqls[sent]};
        one->left = &left;
        one->d = (struct pg_describe){.arena = a, .out = &out[sent]};
        one->d.w = (struct pg_work){.lane = PG_LANE_READ,
                                    .calls = &one->call,
                                    .call_count = 1,
                                    .done = on_described,
                                    .waiter = fiber_self()};
        out[sent] = (struct pg_described){.param_count = 0};
        rc = pg_pool_submit_kind(p, &one->d.w, PG_KIND_DESCRIBE, err);
    }
    if (rc != 0) {
        sent--; /* the last one was not taken */
        left -= count - sent;
    }
    while (left > 0)
        fiber_park_shielded();
    for (size_t i = 0; i < sent; i++) {
        if (all[i].d.w.code == 0)
            continue;
        rc = all[i].d.w.code;
        if (err)
            *err = all[i].d.w.err;
        if (failed_at)
            *failed_at = i;
        break;
    }
    if (rc != 0 && sent < count && failed_at)
        *failed_at = sent;
    mem_free(all);
    return rc;
}

/* --- transactions ---------------------------------------------------------------------------- */

static int tx_run(struct pg_tx *tx, struct pg_work *w, enum pg_kind kind, struct err *err) {
    if (!tx->conn)
        return refused(w, err_set(err, ERR_UNAVAILABLE, "the transaction's connection was lost"));
    return pg_conn_run(tx->conn, w, kind, err);
}

/* Gives the connection back; one whose state is not clean is closed. */
static void tx_end(struct pg_tx *tx) {
    struct pg_conn *c = tx->conn;
    if (c) {
        c->owner = NULL;
        if (c->tx_status == 'I') {
            pg_pool_released(c);
        } else {
            struct err why = {0};
            err_set(&why, ERR_UNAVAILABLE, "a transaction did not end");
            pg_conn_close(c, &why);
        }
    }
    mem_free(tx);
}

int pg_tx_begin(struct pg_pool *p, struct pg_tx **out, struct err *err) {
    struct pg_tx *tx = NEW(struct pg_tx);
    tx->pool = p;
    tx->call = (struct pg_call){.name = "pg_begin", .sql = "BEGIN"};
    tx->w = (struct pg_work){.lane = PG_LANE_SLOW,
                             .calls = &tx->call,
                             .call_count = 1,
                             .pinned = true,
                             .ctx = &tx->conn};
    int rc = pg_pool_run_kind(p, &tx->w, PG_KIND_SIMPLE, err);
    if (rc == 0 && !tx->conn)
        rc = err_set(err, ERR_UNAVAILABLE, "the transaction's connection was lost");
    if (rc != 0)
        tx_end(tx);
    else
        *out = tx;
    return rc;
}

int pg_tx_run(struct pg_tx *tx, struct pg_work *w, struct err *err) {
    ASSERT(w->call_count > 0);
    return tx_run(tx, w, PG_KIND_UNIT, err);
}

static int say(struct pg_tx *tx, const char *name, const char *sql, struct err *err) {
    tx->call = (struct pg_call){.name = name, .sql = sql};
    tx->w = (struct pg_work){.calls = &tx->call, .call_count = 1};
    return tx_run(tx, &tx->w, PG_KIND_SIMPLE, err);
}

int pg_tx_commit(struct pg_tx *tx, struct err *err) {
    bool broken = tx->conn && tx->conn->tx_status == 'E';
    int rc = say(tx, "pg_commit", "COMMIT", err);
    if (rc == 0 && broken) /* the server answers ROLLBACK, without an error */
        rc = err_set(err, ERR_CONFLICT, "the transaction had failed and was rolled back");
    tx_end(tx);
    return rc;
}

void pg_tx_rollback(struct pg_tx *tx) {
    if (tx->conn && tx->conn->tx_status != 'I')
        (void)say(tx, "pg_rollback", "ROLLBACK", NULL); /* whatever it says, it is over */
    tx_end(tx);
}

/* --- closing --- */

struct closing {
    struct rt *rt;
    bool done;
};

static void on_closed(void *ctx) {
    struct closing *c = ctx;
    c->done = true;
    rt_stop(c->rt);
}

void pg_pool_close_wait(struct pg_pool *p, int64_t deadline_us) {
    if (!p)
        return;
    struct closing c = {.rt = p->rt};
    pg_pool_close(p, deadline_us, on_closed, &c);
    while (!c.done)
        rt_run(c.rt);
}
