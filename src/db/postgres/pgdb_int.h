/* SPDX-License-Identifier: Apache-2.0 */
/* pgdb_int.h - the PostgreSQL driver's inside. Everything here belongs to the loop thread.
 *
 * A task lives on its fiber's stack; from pgdb_writer_submit to its end it is the writer's. */
#ifndef HF_DB_POSTGRES_PGDB_INT_H
#define HF_DB_POSTGRES_PGDB_INT_H

#include "db/postgres/postgres.h"
#include "db/postgres/value.h"
#include "pg/pool.h"

/* One text of a statement, with the types that the server inferred. */
struct pgdb_text {
    const char *sql; /* NULL: there is none */
    const uint32_t *param_oids;
    size_t column_count;
    const char *witnessed; /* it with the group's witness; NULL: not asked for, or it cannot */
};

enum pgdb_form {
    PGDB_PLAIN,
    PGDB_CHANGES,
    PGDB_NO_ROW,
    PGDB_TOGETHER, /* parameters are arrays: many look-ups at once; see gather.c */
    PGDB_ARRAYS,   /* parameters are arrays, beside a text for one: see group.c */
    PGDB_ARRAYS_CHANGES,
    PGDB_FORM_COUNT
};

/* Do all its texts take arrays? */
static inline bool pgdb_only_many(const struct db_statement *s) {
    return s->many && !s->postgres_arrays;
}

/* Statement texts by number, ready to be sent. */
struct pgdb_texts {
    struct arena arena;
    struct pgdb_text of[SQL_COUNT][PGDB_FORM_COUNT]; /* by expectation */
};

struct pgdb_task {
    struct list node;
    struct fiber *fiber;
    struct db_batch *batch;
    int64_t deadline_us; /* monotonic */
    unsigned tries;      /* executions that failed for a passing reason */
    bool alone;          /* must be a group of its own */
    bool finished;
    int code;       /* out */
    struct err err; /* out */
};
#define PGDB_TASK(node_ptr) LIST_ENTRY(node_ptr, struct pgdb_task, node)

#define PGDB_UNANSWERED (-1) /* db_op.changed until the operation's result has come */

/* The statements of a group as one unit of work; see group.c. */
struct pgdb_op_ref {
    struct pgdb_task *task;
    size_t op;
};
struct pgdb_call_span {
    size_t first, count; /* of refs */
};
/* An operation with its values as the server takes them. */
struct pgdb_bound_op {
    struct pgdb_op_ref ref;
    struct pg_param *params;
    struct pgdb_bound_op *next; /* of the same call */
};
/* What one execution does; see group_plan.c. */
struct pgdb_planned_call {
    struct pgdb_bound_op *first;
    size_t count;
    size_t level, before; /* of group_plan.c alone */
};
struct pgdb_group {
    struct arena arena;
    struct pg_call *calls;        /* [0] is the witness, or carries it */
    struct pgdb_call_span *spans; /* of calls; those of the driver's own are empty */
    struct pgdb_op_ref *refs;
    size_t call_count, task_count, statement_count;
};

enum pgdb_writer_state {
    PGDB_IDLE,
    PGDB_GROUP,     /* a group is under way */
    PGDB_RESOLVING, /* what became of the group is being asked */
    PGDB_EVICTING,  /* the connection that was lost still holds the witness row: it is ended */
    PGDB_PAUSED,    /* a moment until the next attempt */
    PGDB_CLOSED
};

struct pgdb_writer {
    struct pgdb *driver;
    enum pgdb_writer_state state;
    struct list waiting; /* tasks in order of submission */
    struct list group;   /* those of the unit under way, or in doubt */
    size_t count;        /* tasks in both lists */
    struct id id;        /* of the row in holdfast.writers */
    int64_t epoch, group_no;
    bool resolve;              /* before the next group: a connection was lost */
    void (*closed)(void *ctx); /* set: it closes when nothing is under way */
    void *closed_ctx;
    struct pgdb_group unit;
    struct pg_work work;
    struct pg_call call; /* of the writer's own statements */
    struct pg_param params[3];
    bool answered; /* a row of the writer's own statement has come */
    int64_t answer[2];
    struct rt_defer kick;
    struct rt_timer timer;
    int64_t pause_us;
    uint64_t batches, commits, statements, errors, in_doubt, reruns;
};

struct pgdb_metrics {
    struct metric *up, *in_doubt, *reruns;
};

struct pgdb {
    struct db db;
    struct rt *rt;
    struct pg_pool *pool;
    struct db_postgres_options options; /* its strings are the arena's of texts */
    struct pgdb_texts texts;
    struct pgdb_writer writer;
    struct pgdb_gather *gathers; /* SQL_COUNT of them */
    struct pgdb_metrics metrics;
    bool registered; /* the writer has its row, the metrics are on */
    size_t reads_waiting;
    uint64_t reads, read_errors;
};

/* texts.c */
MUST_CHECK MAY_SUSPEND int pgdb_texts_open(struct pgdb *d, struct err *err);
void pgdb_texts_close(struct pgdb_texts *t);
#define PGDB_WITNESS_PARAMS 3 /* behind the text's own: id, number, epoch */
/* The text with the group's witness; NULL: this one cannot carry it. */
const char *pgdb_text_witnessed(struct pgdb_texts *t, struct pgdb_text *text, size_t param_count);

/* group.c */
void pgdb_group_init(struct pgdb_group *g);
void pgdb_group_deinit(struct pgdb_group *g);
/* Takes tasks from the front of `waiting` to `group` and makes the calls. Tasks whose values cannot
 * be bound go to `refused` with their error. False when nothing is left to send. */
bool pgdb_group_build(struct pgdb_writer *w, struct list *refused);
/* The operations as calls, in the order in which they have to go; at most one for each. */
size_t pgdb_group_plan(struct arena *a, struct pgdb_bound_op *ops, size_t count,
                       const struct pgdb_planned_call **out);
const struct db_op *pgdb_op_of(const struct pgdb_op_ref *ref);
enum pgdb_form pgdb_form_of(const struct db_op *op);
/* Marks the tasks alone that the server's message about a call for many names; false: it does not
 * say which. */
bool pgdb_group_failed(const struct pgdb_group *g, size_t call, const char *message);
/* Hands a call's result to the operations that it stands for. */
void pgdb_group_result(struct pgdb_group *g, size_t call, const struct pg_result *r);
/* The operation behind a failed call: out_task NULL when it is none's. */
void pgdb_group_at(const struct pgdb_group *g, size_t call, struct pgdb_task **out_task,
                   size_t *out_op);

/* writer.c */
void pgdb_writer_init(struct pgdb_writer *w, struct pgdb *d);
MUST_CHECK MAY_SUSPEND int pgdb_writer_open(struct pgdb_writer *w, struct err *err);
/* Returns when the task is finished: its code. */
MUST_CHECK MAY_SUSPEND int pgdb_writer_run(struct pgdb_writer *w, struct db_batch *b,
                                           struct err *err);
/* Removes the writer's row, when the database is there; then closed(ctx). No task is left. */
void pgdb_writer_close(struct pgdb_writer *w, void (*closed)(void *ctx), void *ctx);
void pgdb_writer_deinit(struct pgdb_writer *w);

/* gather.c */
void pgdb_gathers_init(struct pgdb *d);
void pgdb_gathers_deinit(struct pgdb *d);
/* NULL: the statement has no text for many look-ups. */
struct pgdb_gather *pgdb_gather_of(struct pgdb *d, enum db_stmt stmt);
/* False: the look-up has to be made by the caller, who then leaves. True: it was made with others;
 * out_code says how. */
MUST_CHECK MAY_SUSPEND bool pgdb_gather_read(struct pgdb_gather *g, const struct pg_param *params,
                                             struct arena *a, struct db_rows *out, int *out_code,
                                             struct err *err);
void pgdb_gather_leave(struct pgdb_gather *g);

/* reader.c */
MUST_CHECK MAY_SUSPEND int pgdb_read(struct pgdb *d, enum db_stmt stmt,
                                     const struct db_value *params, size_t param_count,
                                     struct arena *a, struct db_rows *out, struct err *err);
/* Own statements of the driver on the read lane; rows in a. */
MUST_CHECK MAY_SUSPEND int pgdb_ask(struct pgdb *d, const struct pg_call *call, int64_t timeout_us,
                                    struct arena *a, struct db_rows *out, struct err *err);

/* metrics.c */
void pgdb_metrics_open(struct pgdb *d);
void pgdb_metrics_close(struct pgdb *d);

/* digest.c */
MUST_CHECK MAY_SUSPEND int pgdb_digest(struct pgdb *d, char out[DB_DIGEST_LEN + 1],
                                       struct err *err);

#define PGDB_SQLSTATE_EXPECTATION "HF001"
#define PGDB_EXPECTATION_TEXT     "an expectation does not hold: " /* numbers of elements follow */
#define PGDB_SQLSTATE_WITNESS     "22012" /* the witness divides by whether the epoch is its own */

/* A lost or overloaded database, as callers see it. */
int pgdb_unavailable(struct err *err, const struct err *why);
/* A statement whose time is over: what the server said is logged, callers get the general text. */
int pgdb_too_late(struct err *err, const char *statement, const struct err *why);
#define PGDB_RETRY_AFTER_MS 1000

#endif
