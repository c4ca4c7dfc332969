/* SPDX-License-Identifier: Apache-2.0 */
/* connect.c - bringing a connection up: names, libpq's own states, the check for a pooler.
 *
 * Names are looked up on a fiber by the offload pool, then libpq connects to addresses. Between
 * two calls of PQconnectPoll the socket may have been replaced, so it is watched anew each time.
 *
 * A pooler that hands the server's connection to somebody else after each transaction breaks named
 * statements. It is noticed before the first unit: the process id that came with the cancel key is
 * the pooler's invention, pg_backend_pid() is the server's. Without a pooler the session belongs to
 * this connection, and the pool's session_setup is run in it. */
#include "pg/pg_int.h"

#include "base/log.h"

static void fail(struct pg_conn *c, const char *text) {
    struct err err = {0};
    struct buf plain;
    buf_init(&plain, 1 << 16);
    c->pool->refused = pg_connect_refused(text, &plain);
    buf_char(&plain, '\0');
    pg_conninfo_redact(c->pool->info, plain.p, &err);
    buf_deinit(&plain);
    pg_conn_close(c, &err);
}

/* --- refusals -------------------------------------------------------------------------------- */

/* "28P01: " at the beginning? */
static bool is_sqlstate(str s) {
    for (size_t i = 0; i < 5; i++)
        if (i >= s.len || !((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'A' && s.p[i] <= 'Z')))
            return false;
    return s.len > 6 && s.p[5] == ':' && s.p[6] == ' ';
}

/* Authorization, no such database, rights, a database that takes nobody, a protocol or feature. */
static bool is_final(str sqlstate) {
    static const char *const classes[] = {"28", "3D", "42", "55", "0A"};
    for (size_t i = 0; i < ARRAY_COUNT(classes); i++)
        if (str_starts(sqlstate, str_of(classes[i])))
            return true;
    return false;
}

/* What libpq itself finds wrong with the other side, or with what it was told. */
static bool is_final_text(str line) {
    static const char *const texts[] = {"server does not support SSL, but SSL was required",
                                        "certificate verify failed",
                                        "server certificate for",
                                        "root certificate file",
                                        "no password supplied",
                                        "certificate file"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        if (str_find(line, str_of(texts[i])) >= 0)
            return true;
    return false;
}

/* libpq says for each host that it tried: "connection to server at …: FATAL:  28P01: text", and on
 * a line of its own where in the server's source that is. */
bool pg_connect_refused(const char *text, struct buf *out) {
    size_t failures = 0, final = 0;
    str rest = str_of(text);
    while (rest.len) {
        ptrdiff_t end = str_find_char(rest, '\n');
        str line = str_slice(rest, 0, end < 0 ? rest.len : (size_t)end);
        rest = end < 0 ? STR("") : str_slice(rest, (size_t)end + 1, rest.len);
        if (str_starts(line, STR("LOCATION:")))
            continue;
        ptrdiff_t code = str_find(line, STR(":  "));
        bool coded = code >= 0 && is_sqlstate(str_slice(line, (size_t)code + 3, line.len));
        failures += coded || str_starts(line, STR("connection to server"));
        if (coded) {
            final += is_final(str_slice(line, (size_t)code + 3, line.len));
            buf_str(out, str_slice(line, 0, (size_t)code + 2));
            line = str_slice(line, (size_t)code + 10, line.len);
        } else {
            final += is_final_text(line);
        }
        buf_str(out, line);
        buf_char(out, '\n');
    }
    return final > 0 && final >= failures;
}

/* --- the check ------------------------------------------------------------------------------- */

struct check {
    struct pg_work w;
    struct pg_call call;
    int64_t pid;
    bool set_up;
};

static int on_pid(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct check *k = w->ctx;
    (void)index;
    (void)err;
    if (!k->set_up && pg_row_count(r) == 1 && pg_column_count(r) == 1)
        k->pid = pg_cell_int(r, 0, 0);
    return 0;
}

static void on_checked(struct pg_work *w);

static void check_send(struct pg_conn *c, struct check *k) {
    k->w = (struct pg_work){.calls = &k->call,
                            .call_count = 1,
                            .result = on_pid,
                            .done = on_checked,
                            .ctx = k,
                            .unnamed = true,
                            .deadline_us = INT64_MAX,
                            .pool = c->pool,
                            .kind = PG_KIND_UNIT};
    pg_send(c, &k->w);
}

/* The session is ours alone: it may have settings. */
static bool set_up(struct pg_conn *c, struct check *k) {
    if (k->set_up || !c->pool->o.session_setup || k->pid != PQbackendPID(c->pq))
        return false;
    k->set_up = true;
    k->call = (struct pg_call){.name = "pg_setup", .sql = c->pool->o.session_setup};
    check_send(c, k);
    return true;
}

static void on_checked(struct pg_work *w) {
    struct check *k = w->ctx;
    struct pg_conn *c = w->conn;
    if (w->code == 0 && c && c->state == PG_CONN_CHECKING) {
        if (set_up(c, k))
            return;
        if (k->pid != PQbackendPID(c->pq) && !c->pool->stats.unnamed) {
            log_plain(LOG_INFO, "pg.pooler",
                      "the database is behind a pooler: statements are sent without names");
            c->pool->stats.unnamed = true;
        }
        rt_timer_stop(c->pool->rt, &c->timer);
        pg_conn_set_state(c, PG_CONN_READY);
        c->ready(c);
    } else if (c && c->state == PG_CONN_CHECKING) {
        fail(c, w->err.message);
    }
    mem_free(k);
}

static void start_check(struct pg_conn *c) {
    struct check *k = NEW(struct check);
    k->call = (struct pg_call){.name = "pg_check", .sql = "SELECT pg_backend_pid()"};
    check_send(c, k);
}

static void on_authenticated(struct pg_conn *c) {
    struct pg_pool *p = c->pool;
    pg_target_free(c->target);
    c->target = NULL;
    if (PQsslInUse(c->pq) && !PQsslStruct(c->pq, "OpenSSL")) {
        fail(c, "libpq uses a TLS library other than OpenSSL");
        return;
    }
    p->stats.server_version = PQserverVersion(c->pq);
    pg_conn_established(c);
    if (p->stats.unnamed) {
        rt_timer_stop(p->rt, &c->timer);
        pg_conn_set_state(c, PG_CONN_READY);
        c->ready(c);
    } else {
        pg_conn_set_state(c, PG_CONN_CHECKING);
        start_check(c);
    }
}

/* --- libpq's states -------------------------------------------------------------------------- */

void pg_conn_on_connecting(struct pg_conn *c) {
    pg_conn_unwatch(c);
    switch (PQconnectPoll(c->pq)) {
    case PGRES_POLLING_READING:
        pg_conn_watch(c, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        pg_conn_watch(c, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        on_authenticated(c);
        break;
    default:
        fail(c, PQerrorMessage(c->pq));
    }
}

static void ignore_notice(void *arg, const PGresult *r) {
    (void)arg;
    (void)r;
}

static void connect_to(struct pg_conn *c) {
    pg_conn_set_state(c, PG_CONN_CONNECTING);
    c->pq = PQconnectStartParams(c->target->keywords, c->target->values, 0);
    if (!c->pq) {
        fail(c, "out of memory");
    } else if (PQstatus(c->pq) == CONNECTION_BAD) {
        fail(c, PQerrorMessage(c->pq));
    } else {
        PQsetNoticeReceiver(c->pq, ignore_notice, NULL);
        PQsetErrorVerbosity(c->pq, PQERRORS_VERBOSE); /* the text then says the SQLSTATE */
        pg_conn_watch(c, UV_WRITABLE);
    }
}

static void resolve_fiber(void *arg) {
    struct pg_conn *c = arg;
    struct pg_target *target = NULL;
    struct err err = {0};
    int rc = pg_conninfo_target(c->pool->info, c->pool->rt, rt_resolve, &target, &err);
    c->resolver = NULL;
    if (c->state == PG_CONN_CLOSED) { /* too late */
        pg_target_free(target);
        pg_pool_reap_later(c->pool);
    } else if (rc != 0) {
        pg_conn_close(c, &err);
    } else {
        c->target = target;
        connect_to(c);
    }
}

/* Who waits for the first connection hears why there is none before the connect timeout is over. */
static int64_t timeout_us(const struct pg_pool *p) {
    int64_t us = p->o.connect_timeout_us;
    return p->awaiting ? us / 100 * PG_AWAIT_PERCENT : us;
}

static void on_connect_timeout(struct rt_timer *t) {
    struct pg_conn *c = CONTAINER_OF(t, struct pg_conn, timer);
    c->pool->refused = false;
    char text[300] = "";
    if (c->pq)
        snprintf(text, sizeof(text), "%s", PQerrorMessage(c->pq));
    struct err err = {0};
    const char *host = c->pq ? PQhost(c->pq) : NULL;
    if (!host || !*host)
        host = pg_conninfo_get(c->pool->info, "host");
    snprintf(text + strlen(text), sizeof(text) - strlen(text),
             "the database on %s does not answer within %lld ms", host ? host : "this machine",
             (long long)((rt_mono_us(c->pool->rt) - c->started_us) / 1000));
    pg_conninfo_redact(c->pool->info, text, &err);
    pg_conn_close(c, &err);
}

static void start_deferred(struct rt_defer *d) {
    struct pg_conn *c = CONTAINER_OF(d, struct pg_conn, flush);
    struct pg_pool *p = c->pool;
    struct err err = {0};
    if (pg_conninfo_names(p->info)) {
        pg_conn_set_state(c, PG_CONN_RESOLVING);
        c->resolver = fiber_spawn(p->rt, "pg_resolve", resolve_fiber, c, &err);
        if (!c->resolver)
            pg_conn_close(c, &err);
        return;
    }
    int rc = pg_conninfo_target(p->info, p->rt, NULL, &c->target, &err);
    if (rc != 0)
        pg_conn_close(c, &err);
    else
        connect_to(c);
}

/* Never inside the call: what opened it may still be in the middle of something. */
void pg_conn_start(struct pg_conn *c) {
    c->started_us = rt_mono_us(c->pool->rt);
    rt_timer_start(c->pool->rt, &c->timer, timeout_us(c->pool), on_connect_timeout);
    c->flush.fn = start_deferred;
    rt_defer(c->pool->rt, &c->flush);
}
