/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - an asynchronous PostgreSQL client: units of work, many at a time over few connections.
 *
 * A unit of work (struct pg_work) is a list of statements that the server runs as one transaction:
 * they are sent together, followed by one synchronisation point, so a unit costs one round trip and
 * either all of it is committed or nothing. Units of many callers share connections by pipelining;
 * a unit that is pinned (struct pg_tx) has its socket alone until it ends.
 *
 * The client knows nothing of what it stores. libpq reads the URL, connects, does TLS and the
 * authentication, and cancels; the messages after that are our own (see
 * docs/internals/postgres-client.md).
 *
 * Owner: the loop thread, all of it. Memory: a unit, its statements, parameters and their bytes are
 * the caller's until done() runs; results are valid inside result() only.
 * Errors: ERR_UNAVAILABLE (not connected, lost, shutting down, 53xxx, 57Pxx), ERR_TIMEOUT
 * (statement or acquire time over), ERR_LIMIT (too many wait), ERR_EXISTS (23505), ERR_INVALID
 * (22xxx, other 23xxx), ERR_CONFLICT (40001, 40P01, 55P03), ERR_INTERNAL (42xxx: a bug), ERR_IO.
 * The five characters of SQLSTATE stand in work->sqlstate.
 * Suspends: as marked. Tests: tests/unit/pg/ */
#ifndef HF_PG_POOL_H
#define HF_PG_POOL_H

#include "base/buf.h"
#include "pg/value.h"
#include "rt/fiber.h"

struct pg_pool;

/* One statement of a unit. */
struct pg_call {
    const char *name; /* for logs and metrics; NULL: none */
    const char *sql;  /* one statement, $1 …; texts are compared, not pointers */
    const struct pg_param *params;
    size_t param_count;
};

enum pg_lane {
    PG_LANE_READ,  /* any connection, the least busy; units overtake each other */
    PG_LANE_ORDER, /* units commit in the order of their submission, on one connection */
    PG_LANE_SLOW   /* long ones: not in a pipeline in which others wait */
};

enum pg_outcome {
    PG_COMMITTED,   /* code is 0 */
    PG_ROLLED_BACK, /* the server says that nothing of it happened */
    PG_NOT_SENT,    /* no server ran any of it: may be tried again */
    PG_UNKNOWN      /* the connection was lost while it was under way */
};

struct pg_result; /* a view; pg/value.h reads cells */

struct pg_work {
    /* set by the caller */
    enum pg_lane lane;
    const struct pg_call *calls;
    size_t call_count;
    bool at_once;       /* its bytes do not wait for others of this turn */
    int64_t timeout_us; /* from submission to done; 0: the pool's statement timeout; <0: none */
    /* For each statement that succeeded, in order; may be NULL. A negative code stops the delivery
     * of further results and becomes the unit's code; it does not undo the unit. */
    int (*result)(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err);
    void (*done)(struct pg_work *w); /* exactly once, never inside pg_pool_submit */
    void *ctx;
    /* set before done() */
    int code;
    struct err err;
    enum pg_outcome outcome;
    size_t failed_at; /* index of the statement that failed; SIZE_MAX: none in particular */
    char sqlstate[6]; /* "" when the server said nothing */
    int64_t run_us;   /* from the first byte sent to the last result */
    bool crowded;     /* it is late because others stood before it for most of its time */
    /* the pool's own */
    struct list node;
    struct pg_pool *pool;
    struct pg_conn *conn;
    struct fiber *waiter;
    int64_t submitted_us, sent_us, deadline_us;
    uint64_t out_at; /* place of its first byte in what was ever put into the connection's buffer */
    size_t next_result;
    int64_t cost_ns; /* what it should take the server */
    unsigned char kind, state, tries;
    bool unnamed, pinned, suspect;
};

struct pg_pool_options {
    const char *url; /* URI or keyword/value, as libpq reads it; several hosts allowed */
    const char *application_name;
    size_t connections_max, connections_min;
    int64_t connect_timeout_us; /* each attempt over all hosts */
    int64_t idle_timeout_us;    /* connections above the minimum are closed after it; 0: never */
    int64_t acquire_timeout_us; /* until a unit is sent */
    int64_t statement_timeout_us;
    int64_t backoff_us_max;    /* between attempts to connect; they double from 100 ms */
    size_t waiting_max;        /* units that wait to be sent; beyond: ERR_LIMIT */
    size_t pipeline_depth_max; /* units under way on one connection */
    size_t pooled_depth_max;   /* the same behind a pooler; more than one is not safe: see pool.c */
    const char *session_setup; /* a statement that each new session runs, such as settings; only
                                  where no pooler gives the session to others; NULL: none */
    bool unnamed;              /* never use named prepared statements (a transaction pooler) */
    bool log_all;              /* every statement, not only slow ones */
    bool unscraped;            /* nobody scrapes: gauges are not refreshed, several loops may be */
};
void pg_pool_options_default(struct pg_pool_options *o);

/* Makes the pool; connects in the background. url is checked here (ERR_INVALID). */
MUST_CHECK int pg_pool_open(struct rt *rt, const struct pg_pool_options *o, struct pg_pool **out,
                            struct err *err);
/* Until one connection stands, or the connect timeout is nearly over, or the server refuses for
 * good (password, role, database, TLS): the last error, with the host but never the password. */
MUST_CHECK MAY_SUSPEND int pg_pool_await(struct pg_pool *p, struct err *err);
/* Units under way are finished until deadline_us (monotonic), the rest end with ERR_UNAVAILABLE;
 * closed() runs when all memory is returned. Listeners are closed with it. */
void pg_pool_close(struct pg_pool *p, int64_t deadline_us, void (*closed)(void *ctx), void *ctx);

/* The same off fibers, while the loop does not run: runs it until all is returned. NULL is fine. */
void pg_pool_close_wait(struct pg_pool *p, int64_t deadline_us);

/* Queues a unit; it goes out with the others of this turn, in one write per connection. A full
 * queue fails here with ERR_LIMIT and done() never runs. */
MUST_CHECK int pg_pool_submit(struct pg_pool *p, struct pg_work *w, struct err *err);
/* The same for a fiber; returns when it is done (shielded from cancellation). done is set here. */
MUST_CHECK MAY_SUSPEND int pg_pool_run(struct pg_pool *p, struct pg_work *w, struct err *err);

/* Types that the server infers for a statement: for callers that bind by type. The arrays live in
 * the arena. */
struct pg_described {
    uint32_t *param_oids, *column_oids;
    size_t param_count, column_count;
};
MUST_CHECK MAY_SUSPEND int pg_pool_describe(struct pg_pool *p, const char *const *sqls,
                                            size_t count, struct arena *a,
                                            struct pg_described *out /* count of them */,
                                            size_t *failed_at, struct err *err);

/* Several statements in one text, simple protocol, own connection (PG_LANE_SLOW): DDL. Whether it
 * is one transaction is up to the text (a text without BEGIN is one; CREATE INDEX CONCURRENTLY must
 * stand alone in a text). */
MUST_CHECK MAY_SUSPEND int pg_pool_script(struct pg_pool *p, const char *sql, int64_t timeout_us,
                                          struct err *err);

/* --- a transaction over several round trips: its socket is its own until it ends -------------- */
struct pg_tx;
MUST_CHECK MAY_SUSPEND int pg_tx_begin(struct pg_pool *p, struct pg_tx **out, struct err *err);
/* One statement or several, in one round trip. When the connection dies, this and every later call
 * answers ERR_UNAVAILABLE: nothing of the transaction ever runs elsewhere. */
MUST_CHECK MAY_SUSPEND int pg_tx_run(struct pg_tx *tx, struct pg_work *w, struct err *err);
/* Both end it and give the connection back, whatever they return. */
MUST_CHECK MAY_SUSPEND int pg_tx_commit(struct pg_tx *tx, struct err *err);
MAY_SUSPEND void pg_tx_rollback(struct pg_tx *tx);

/* --- COPY … FROM STDIN: rows in the server's text or binary format ---------------------------- */
struct pg_copy;
MUST_CHECK MAY_SUSPEND int pg_copy_begin(struct pg_pool *p, const char *sql, struct pg_copy **out,
                                         struct err *err);
/* Suspends while the socket is full. */
MUST_CHECK MAY_SUSPEND int pg_copy_write(struct pg_copy *c, str bytes, struct err *err);
/* Ends it; abort: with an error, nothing is stored. */
MUST_CHECK MAY_SUSPEND int pg_copy_end(struct pg_copy *c, bool abort, int64_t *out_rows,
                                       struct err *err);

/* --- LISTEN, on a connection of its own; re-established with back-off --------------------- */
struct pg_listener;
struct pg_listener_options {
    const char *channel;
    void (*notified)(void *ctx, str payload);
    void (*state)(void *ctx, bool listening); /* false: hints may be lost now; may be NULL */
    void *ctx;
};
MUST_CHECK int pg_listen(struct pg_pool *p, const struct pg_listener_options *o,
                         struct pg_listener **out, struct err *err);
void pg_listener_close(struct pg_listener *l);

enum pg_health { PG_UP, PG_CONNECTING, PG_DOWN };
struct pg_stats {
    enum pg_health health;
    bool unnamed; /* a transaction pooler was noticed (or configured) */
    size_t connections, in_use, idle, waiting;
    uint64_t connects, connect_failures, units, statements, errors, timeouts, retries;
    uint64_t writes;    /* calls that gave bytes to a socket */
    int server_version; /* 150004; 0 unknown yet */
};
void pg_pool_stats(const struct pg_pool *p, struct pg_stats *out);

#endif
