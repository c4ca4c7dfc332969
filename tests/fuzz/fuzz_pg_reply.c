/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pg_reply.c - what a PostgreSQL server may say to units under way. Properties: a unit ends
 * exactly once, results stay inside the received bytes, an error closes the connection. Input: a
 * byte that says what is under way, a byte that says in which pieces the rest arrives. */
#include "base/log.h"
#include "pg/pg_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNITS 4

struct unit {
    struct pg_work w;
    int ended;
};

static int on_result(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    ASSERT(index < w->call_count);
    for (size_t i = 0; i < pg_row_count(r); i++)
        for (size_t k = 0; k < pg_column_count(r); k++) {
            str s = pg_cell(r, i, k);
            for (size_t n = 0; n < s.len; n++)
                if (s.p[n] == 'E' && index == 1)
                    return err_set(err, ERR_CONFLICT, "not wanted");
        }
    return 0;
}

static void on_done(struct pg_work *w) {
    struct unit *u = CONTAINER_OF(w, struct unit, w);
    ASSERT(u->ended++ == 0);
}

static void on_lost(struct pg_conn *c, const struct err *why) {
    (void)c;
    (void)why;
}

static void feed(struct pg_conn *c, const uint8_t *data, size_t size, size_t piece) {
    struct err err = {0};
    while (size > 0 && c->state != PG_CONN_CLOSED) {
        size_t n = piece < size ? piece : size;
        c->in =
            mem_realloc(c->in, c->in_len + n); /* exactly, so that a reader past it is noticed */
        memcpy(c->in + c->in_len, data, n);
        c->in_len += n;
        data += n;
        size -= n;
        if (pg_reply_read(c, &err) != 0)
            pg_conn_close(c, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rt *rt;
    static struct pg_pool *p;
    if (!rt) {
        struct pg_pool_options o;
        pg_pool_options_default(&o);
        o.url = "host=/nowhere";
        int rc = rt_open(&rt, NULL);
        ASSERT(rc == 0);
        rc = pg_pool_open(rt, &o, &p, NULL);
        ASSERT(rc == 0);
        log_init(LOG_ERROR, 2, false);
    }
    if (size < 2 || size > 65536)
        return 0;
    struct pg_conn *c = pg_conn_new(p);
    c->lost = on_lost;
    pg_conn_set_state(c, PG_CONN_CONNECTING);
    pg_conn_set_state(c, PG_CONN_READY);
    static const struct pg_call calls[] = {{"a", "SELECT 1", NULL, 0}, {"b", "SELECT 2", NULL, 0}};
    struct unit units[UNITS];
    for (int i = 0; i < UNITS; i++) {
        units[i] = (struct unit){.w = {.calls = calls,
                                       .call_count = 1 + (data[0] >> i & 1),
                                       .result = on_result,
                                       .done = on_done,
                                       .pool = p,
                                       .deadline_us = INT64_MAX,
                                       .pinned = true,
                                       .unnamed = data[0] & 64,
                                       .kind = PG_KIND_UNIT}};
        if (i == 3 && data[0] & 16)
            units[i].w.kind = PG_KIND_SIMPLE;
        pg_send(c, &units[i].w);
    }
    feed(c, data + 2, size - 2, data[1] ? data[1] : SIZE_MAX);
    if (c->state != PG_CONN_CLOSED) {
        struct err why = {.code = ERR_UNAVAILABLE, .message = "the end"};
        pg_conn_close(c, &why);
    }
    for (int i = 0; i < UNITS; i++)
        ASSERT(units[i].ended == 1);
    pg_conn_free(c);
    return 0;
}
