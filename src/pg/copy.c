/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - COPY … FROM STDIN on a connection of its own.
 *
 * The statement is a job like any other; between the server's "send" and its answer the job stays
 * the first of its connection and rows go into the buffer. The writer is held back while the buffer
 * is long, and woken when it is empty. An error of the server ends the job early: later writes
 * answer it. */
#include "pg/copy_int.h"

#define BUFFER_BYTES_MAX (512u << 10)
#define CHUNK_BYTES      (128u << 10)

struct pg_copy {
    struct pg_work w; /* first: copy_int.h */
    struct pg_call call;
    struct pg_conn *conn; /* NULL: lost */
    bool asked;
    int64_t rows;
};

static void on_done(struct pg_work *w) { fiber_unpark(w->waiter); }

static int on_tag(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct pg_copy *c = CONTAINER_OF(w, struct pg_copy, w);
    (void)index;
    (void)err;
    c->rows = pg_changed(r);
    return 0;
}

void pg_copy_asked(struct pg_work *w) {
    struct pg_copy *c = CONTAINER_OF(w, struct pg_copy, w);
    c->asked = true;
    fiber_unpark(w->waiter);
}

void pg_copy_drained(struct pg_work *w) { fiber_unpark(w->waiter); }

static int fault(const struct pg_copy *c, struct err *err) {
    if (err)
        *err = c->w.err;
    return c->w.code;
}

static void release(struct pg_copy *c) {
    if (c->conn) {
        c->conn->owner = NULL;
        pg_pool_released(c->conn);
    }
    mem_free(c);
}

int pg_copy_begin(struct pg_pool *p, const char *sql, struct pg_copy **out, struct err *err) {
    struct pg_copy *c = NEW(struct pg_copy);
    fiber_assert_inside();
    c->call = (struct pg_call){.name = "pg_copy", .sql = sql};
    c->w = (struct pg_work){.lane = PG_LANE_SLOW,
                            .calls = &c->call,
                            .call_count = 1,
                            .timeout_us = -1,
                            .result = on_tag,
                            .done = on_done,
                            .pinned = true,
                            .ctx = &c->conn,
                            .waiter = fiber_self()};
    int rc = pg_pool_submit_kind(p, &c->w, PG_KIND_COPY, err);
    if (rc != 0) {
        mem_free(c);
        return rc;
    }
    while (!c->asked && c->w.state != PG_WORK_DONE)
        fiber_park_shielded();
    if (!c->asked) {
        rc = c->w.code ? fault(c, err) : err_set(err, ERR_INVALID, "the statement copies nothing");
        release(c);
        return rc;
    }
    *out = c;
    return 0;
}

int pg_copy_write(struct pg_copy *c, str bytes, struct err *err) {
    fiber_assert_inside();
    c->w.waiter = fiber_self();
    while (bytes.len > 0) {
        while (c->w.state != PG_WORK_DONE && c->conn->out.len > BUFFER_BYTES_MAX)
            fiber_park_shielded();
        if (c->w.state == PG_WORK_DONE)
            return c->w.code ? fault(c, err) : err_set(err, ERR_UNAVAILABLE, "the copy has ended");
        str part = str_slice(bytes, 0, CHUNK_BYTES);
        pg_send_copy_data(c->conn, part);
        bytes = str_slice(bytes, part.len, bytes.len);
    }
    return 0;
}

int pg_copy_end(struct pg_copy *c, bool abort, int64_t *out_rows, struct err *err) {
    fiber_assert_inside();
    c->w.waiter = fiber_self();
    if (c->w.state != PG_WORK_DONE)
        pg_send_copy_end(c->conn, abort ? "ended by the client" : NULL);
    while (c->w.state != PG_WORK_DONE)
        fiber_park_shielded();
    int rc = abort ? 0 : c->w.code;
    if (rc != 0)
        rc = fault(c, err);
    else if (out_rows)
        *out_rows = c->rows;
    release(c);
    return rc;
}
