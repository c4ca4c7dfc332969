/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - LISTEN on a connection beside the pool's, made again with back-off when it is lost.
 *
 * Notifications are hints: while there is no connection they are lost, and state(false) says so.
 * Behind a pooler that shares the server's connections between clients nothing would ever arrive;
 * such a listener stays without a connection. */
#include "pg/pg_int.h"

#include "base/log.h"

struct pg_listener {
    struct list node; /* of pool->listeners */
    struct pg_pool *pool;
    struct pg_listener_options o;
    char *channel, *sql;
    struct pg_conn *conn; /* NULL: none now */
    struct rt_timer retry;
    unsigned failures;
    bool listening;
};

/* One LISTEN; apart from the listener, which may be closed meanwhile. */
struct subscribe {
    struct pg_work w;
    struct pg_call call;
    char *sql;
};

static void tell(struct pg_listener *l, bool listening) {
    if (l->listening == listening)
        return;
    l->listening = listening;
    if (l->o.state)
        l->o.state(l->o.ctx, listening);
}

static void on_subscribed(struct pg_work *w) {
    struct subscribe *s = CONTAINER_OF(w, struct subscribe, w);
    struct pg_conn *c = w->conn;
    struct pg_listener *l = c->owner;
    if (w->code == 0 && l && c->state == PG_CONN_PINNED) {
        l->failures = 0;
        tell(l, true);
    } else if (c->state == PG_CONN_PINNED) {
        pg_conn_close(c, &w->err);
    }
    mem_free(s->sql);
    mem_free(s);
}

static void on_up(struct pg_conn *c) {
    struct pg_listener *l = c->owner;
    c->up_us = rt_mono_us(c->pool->rt);
    pg_conn_set_state(c, PG_CONN_PINNED);
    if (c->pool->stats.unnamed) {
        log_plain(LOG_INFO, "pg.listen", "no notifications behind a pooler");
        l->failures = UINT32_MAX; /* never again */
        pg_conn_close(c, NULL);
        return;
    }
    struct subscribe *s = NEW(struct subscribe);
    s->sql = mem_strdup(l->sql);
    s->call = (struct pg_call){.name = "pg_listen", .sql = s->sql};
    s->w = (struct pg_work){.calls = &s->call,
                            .call_count = 1,
                            .done = on_subscribed,
                            .pool = c->pool,
                            .kind = PG_KIND_SIMPLE,
                            .pinned = true,
                            .deadline_us = INT64_MAX};
    pg_send(c, &s->w);
}

static void on_notified(struct pg_conn *c, str channel, str payload) {
    struct pg_listener *l = c->owner;
    if (l && str_eq(channel, str_of(l->channel)))
        l->o.notified(l->o.ctx, payload);
}

static void on_retry(struct rt_timer *t);

static void on_lost(struct pg_conn *c, const struct err *why) {
    struct pg_listener *l = c->owner;
    (void)why;
    list_push_back(&c->pool->dead, &c->node);
    pg_pool_reap_later(c->pool);
    if (!l)
        return;
    c->owner = NULL;
    l->conn = NULL;
    if (l->failures != UINT32_MAX)
        rt_timer_start(l->pool->rt, &l->retry, pg_pool_backoff_us(l->pool, ++l->failures),
                       on_retry);
    tell(l, false);
}

static void start(struct pg_listener *l) {
    struct pg_conn *c = pg_conn_new(l->pool);
    c->owner = l;
    c->ready = on_up;
    c->lost = on_lost;
    c->notified = on_notified;
    l->conn = c;
    pg_conn_start(c);
}

static void on_retry(struct rt_timer *t) { start(CONTAINER_OF(t, struct pg_listener, retry)); }

int pg_listen(struct pg_pool *p, const struct pg_listener_options *o, struct pg_listener **out,
              struct err *err) {
    struct buf sql;
    if (p->state != PG_POOL_OPEN)
        return err_set(err, ERR_UNAVAILABLE, "the database client is shutting down");
    if (!*o->channel || strlen(o->channel) > 63)
        return err_set(err, ERR_INVALID, "a channel's name has 1 to 63 bytes");
    struct pg_listener *l = NEW(struct pg_listener);
    l->pool = p;
    l->o = *o;
    l->channel = mem_strdup(o->channel);
    buf_init(&sql, 256);
    buf_z(&sql, "LISTEN \"");
    for (const char *c = o->channel; *c; c++)
        buf_z(&sql, *c == '"' ? "\"\"" : (char[]){*c, 0});
    buf_char(&sql, '"');
    buf_char(&sql, '\0');
    l->sql = mem_strdup(sql.p);
    buf_deinit(&sql);
    list_push_back(&p->listeners, &l->node);
    start(l);
    *out = l;
    return 0;
}

void pg_listener_close(struct pg_listener *l) {
    if (!l)
        return;
    struct pg_conn *c = l->conn;
    rt_timer_stop(l->pool->rt, &l->retry);
    list_remove(&l->node);
    pg_pool_reap_later(l->pool);
    if (c) {
        struct err why = {0};
        err_set(&why, ERR_UNAVAILABLE, "the listener was closed");
        c->owner = NULL;
        pg_conn_close(c, c->load > 0 ? &why : NULL);
    }
    mem_free(l->channel);
    mem_free(l->sql);
    mem_free(l);
}

struct pg_listener *pg_listener_of(struct list *n) {
    return LIST_ENTRY(n, struct pg_listener, node);
}
