/* SPDX-License-Identifier: Apache-2.0 */
/* pg_int.h - the inside of the client: connections, statements, the pool.
 *
 * Who calls whom: pool.c decides which connection a unit takes; send.c writes it; conn.c moves
 * bytes; reply.c reads the answers and ends units; connect.c brings connections up; deadline.c
 * ends what takes too long. statement.c knows the texts.
 *
 * Owner: the loop thread. Memory: a pool owns its connections and statements; a connection is freed
 * at the end of the turn in which it closed. Suspends: never, unless marked. */
#ifndef HF_PG_PG_INT_H
#define HF_PG_PG_INT_H

#include <libpq-fe.h>
#include <uv.h>

#include "base/metrics.h"
#include "base/vec.h"
#include "pg/conninfo_int.h"
#include "pg/pool.h"
#include "pg/value_int.h"
#include "rt/worker.h"

#define PG_STATEMENTS_MAX    1024u      /* texts that a pool remembers; of others: unnamed */
#define PG_RESULT_BYTES_MAX  (1u << 30) /* of one statement */
#define PG_MESSAGE_BYTES_MAX (1u << 30) /* the server takes no longer ones */
#define PG_OUT_BYTES_FULL    (1u << 20) /* no further unit is written behind so many bytes */
#define PG_CANCEL_GRACE_US   2000000    /* from a statement's deadline to closing the connection */

/* --- statements ------------------------------------------------------------------------------ */
enum pg_class { PG_CLASS_READ, PG_CLASS_WRITE, PG_CLASS_DDL, PG_CLASS_COUNT };
#define PG_NAME_BYTES 36 /* "hf_", 32 hex digits of the text's hash, NUL */

struct pg_stmt {
    struct list node; /* of the pool's statements, longest unused first */
    struct pg_stmt *next;
    uint64_t hash[2];
    size_t sql_len, param_count;
    char *sql;
    uint32_t *oids; /* of the parameters, as declared by the caller; 0: inferred */
    enum pg_class class;
    int64_t cost_ns; /* of one execution on the server, learned; 0: not known */
    unsigned id;     /* index into pg_conn.prepared */
    unsigned refs;   /* calls under way that use it */
    char name[PG_NAME_BYTES];
};

/* What a connection knows of a statement. */
enum pg_prepared_state {
    PG_PREPARED_NONE,
    PG_PREPARED_SENT,
    PG_PREPARED_READY,
    PG_PREPARED_FAILED
};
struct pg_prepared {
    enum pg_prepared_state state;
    uint32_t *column_oids;
    size_t column_count;
    struct err *failed; /* why the server refused it */
    char sqlstate[6];
};

#define PG_BUCKETS 1024u
struct pg_statements {
    struct list lru;
    struct pg_stmt *buckets[PG_BUCKETS];
    struct pg_stmt *by_id[PG_STATEMENTS_MAX];
    size_t count;
};

/* --- connections ----------------------------------------------------------------------------- */
enum pg_conn_state {
    PG_CONN_NEW,
    PG_CONN_RESOLVING,  /* a fiber looks names up */
    PG_CONN_CONNECTING, /* libpq: TCP, TLS, authentication */
    PG_CONN_CHECKING,   /* is that a server or a pooler? */
    PG_CONN_READY,      /* takes units */
    PG_CONN_RESERVED,   /* finishes its units, then belongs to the first of the SLOW lane */
    PG_CONN_PINNED,     /* belongs to a slow unit, a transaction, a copy or a listener */
    PG_CONN_CLOSED,     /* no socket; freed at the end of the turn */
    PG_CONN_STATE_COUNT
};

enum pg_kind {
    PG_KIND_UNIT,     /* calls, one Sync */
    PG_KIND_PREPARE,  /* Parse and Describe of one statement: struct pg_prepare */
    PG_KIND_DESCRIBE, /* the same without a name: struct pg_describe */
    PG_KIND_SIMPLE,   /* calls[0].sql as a simple query */
    PG_KIND_COPY      /* the same, but it may copy in */
};
enum pg_work_state {
    PG_WORK_WAITING,
    PG_WORK_SENT,
    PG_WORK_EXPIRED,   /* past its deadline, others stand before it */
    PG_WORK_CANCELLED, /* a cancel request is or was under way */
    PG_WORK_DONE
};

struct pg_prepare {
    struct pg_work w;
    struct pg_call call;
    struct pg_stmt *stmt;
    struct pg_conn *conn;
};
struct pg_describe {
    struct pg_work w;
    struct arena *arena;
    struct pg_described *out;
};

struct pg_poll { /* outlives its connection until libuv lets go */
    uv_poll_t handle;
    struct pg_conn *conn;
    struct pg_pool *pool;
    int events;
};

struct pg_cancel {
    struct pg_pool *pool;
    struct pg_conn *conn; /* NULL: gone meanwhile */
    PGcancel *handle;
};

struct pg_conn {
    struct list node; /* of pool->conns, pool->others or pool->dead */
    struct pg_pool *pool;
    enum pg_conn_state state;
    PGconn *pq;
    void *ssl; /* SSL *, or NULL */
    struct pg_poll *poll;
    struct pg_target *target; /* while connecting */
    struct fiber *resolver;
    struct rt_timer timer; /* connect timeout */
    struct rt_defer flush;
    struct pg_cancel *cancel;
    int64_t started_us;
    int64_t up_us; /* when it became ready; 0: never was */
    int64_t idle_since_us, cancelled_us;
    /* out */
    struct buf out;
    uint64_t out_total, written_total;
    /* in: [in_start, in_at) belongs to the result being received, [in_at, in_len) is not read */
    char *in;
    size_t in_cap, in_len, in_at, in_start;
    VEC(struct pg_cell) cells;
    size_t rows;
    const uint32_t *columns;
    size_t column_count;
    VEC(uint32_t) own_columns; /* of an unnamed statement */
    /* under way, in order of sending */
    struct list jobs; /* pg_work.node */
    size_t load;
    int64_t backlog_ns, moved_us; /* cost of the jobs; when one last ended or the first began */
    VEC(struct pg_stmt *) stmts;  /* one for each call of the units in jobs; NULL: unnamed */
    size_t stmts_at;
    unsigned answered; /* id of the statement that was answered last; PG_STATEMENTS_MAX: none */
    struct pg_prepared *prepared; /* PG_STATEMENTS_MAX of them, or NULL */
    char tx_status;               /* of the last ReadyForQuery: I, T, E */
    char fatal[6];                /* SQLSTATE with which the server said goodbye */
    struct err fatal_err;
    /* hooks of the owner: the pool, or a listener */
    void (*ready)(struct pg_conn *c);
    void (*lost)(struct pg_conn *c, const struct err *why);
    void (*notified)(struct pg_conn *c, str channel, str payload);
    void *owner; /* of a pinned connection: struct pg_conn **, set to NULL when it is lost */
};

struct pg_metrics {
    struct metric *in_use, *idle, *waiting, *wait, *run, *by_class[PG_CLASS_COUNT];
    struct metric *connects, *connect_failures, *errors, *timeouts, *retries;
};

struct pg_pool {
    struct rt *rt;
    struct pg_pool_options o;
    struct pg_conninfo *info;
    char *application_name;
    enum { PG_POOL_OPEN, PG_POOL_DRAINING, PG_POOL_CLOSED } state;
    struct list conns, dead, listeners;
    size_t conn_count, connecting, handles, operations;
    struct pg_conn *order;           /* takes the ORDER lane */
    struct list read, ordered, slow; /* waiting units */
    size_t waiting, awaiting;
    struct pg_statements statements;
    struct rt_timer retry, deadline, idle, drain;
    int64_t deadline_at_us, idle_at_us;
    struct rt_defer reap, dispatch;
    unsigned failures; /* connections that failed or fell at once, since one that did not */
    struct err last_error;
    bool refused; /* it would be for good: a wrong password, no such database, no TLS */
    struct fiber_event changed;
    void (*closed)(void *ctx);
    void *closed_ctx;
    struct pg_stats stats;
    struct pg_metrics m;
    struct {
        int64_t in_use, idle, waiting;
    } shown; /* of it in the gauges */
};

/* --- conn.c */
struct pg_conn *pg_conn_new(struct pg_pool *p);
void pg_conn_set_state(struct pg_conn *c, enum pg_conn_state next);
void pg_conn_watch(struct pg_conn *c, int events); /* a fresh poll handle on libpq's socket */
void pg_conn_unwatch(struct pg_conn *c);
void pg_conn_established(struct pg_conn *c); /* from libpq's hands into ours */
void pg_conn_flush_later(struct pg_conn *c);
/* Now, as far as the socket takes it; else at the end of the turn. */
void pg_conn_flush_now(struct pg_conn *c);
/* Ends it: units under way are retried or end. why NULL: orderly, nothing is under way. */
void pg_conn_close(struct pg_conn *c, const struct err *why);
void pg_conn_free(struct pg_conn *c);

/* --- connect.c */
#define PG_AWAIT_PERCENT                                                                           \
    90 /* of the connect timeout, for the first connection and who waits for it */
void pg_conn_start(struct pg_conn *c);
/* libpq's text without the codes in it. True: the same would happen again, however often. */
bool pg_connect_refused(const char *text, struct buf *out);
void pg_conn_on_connecting(struct pg_conn *c);

/* --- send.c: into the buffer; the socket gets it at the end of the turn */
void pg_send(struct pg_conn *c, struct pg_work *w);
/* Forgets a prepared statement on the server. */
void pg_send_close(struct pg_conn *c, const struct pg_stmt *t);
void pg_send_copy_data(struct pg_conn *c, str bytes);
void pg_send_copy_end(struct pg_conn *c, const char *failed); /* NULL: done */
MUST_CHECK int pg_send_check(const struct pg_work *w, struct err *err);

/* --- reply.c */
MUST_CHECK int pg_reply_read(struct pg_conn *c, struct err *err); /* all whole messages in c->in */
void pg_work_finish(struct pg_work *w, int code, enum pg_outcome outcome);

/* --- statement.c */
void pg_statements_init(struct pg_statements *s);
void pg_statements_deinit(struct pg_statements *s);
/* The entry of a text with its declared types; NULL when all entries are in use. */
struct pg_stmt *pg_statement_of(struct pg_pool *p, const struct pg_call *call);
void pg_prepared_reset(struct pg_prepared *e);
enum pg_class pg_class_of(str sql);

/* --- pool.c */
void pg_pool_conn_ready(struct pg_conn *c);
void pg_pool_conn_lost(struct pg_conn *c, const struct err *why);
void pg_pool_dispatch_later(struct pg_pool *p);
void pg_pool_reap_later(struct pg_pool *p); /* open.c */
void pg_pool_maintain(struct pg_pool *p);   /* opens what is wanted */
void pg_pool_requeue(struct pg_work *w);    /* in front of its lane */
void pg_pool_released(struct pg_conn *c);   /* a pinned connection is free again */
int64_t pg_pool_backoff_us(const struct pg_pool *p, unsigned failures);
MUST_CHECK int pg_pool_submit_kind(struct pg_pool *p, struct pg_work *w, enum pg_kind kind,
                                   struct err *err);
MUST_CHECK MAY_SUSPEND int pg_pool_run_kind(struct pg_pool *p, struct pg_work *w, enum pg_kind kind,
                                            struct err *err);
/* On a pinned connection. */
MUST_CHECK MAY_SUSPEND int pg_conn_run(struct pg_conn *c, struct pg_work *w, enum pg_kind kind,
                                       struct err *err);
struct pg_listener *pg_listener_of(struct list *node);

/* --- deadline.c */
void pg_deadline_of(struct pg_pool *p, struct pg_work *w);
void pg_deadline_check(struct rt_timer *t);

/* --- sqlstate.c */
int pg_sqlstate_code(const char sqlstate[6]);

#endif
