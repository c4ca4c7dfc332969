/* SPDX-License-Identifier: Apache-2.0 */
/* store.h - what all resources share: the handle and paging.
 * One file per resource: assistants, threads, runs, checkpoints, items. Every state change is one
 * batch; functions named *_add append statements to a caller's batch instead of committing.
 * Memory: results in the caller's arena. Suspends: every function with an err, except *_add. */
#ifndef HF_STORE_STORE_H
#define HF_STORE_STORE_H

#include "db/port.h"
#include "model/preference.h"
#include "model/principal.h"
#include "model/state.h"

/* How checkpoints are kept. LangGraph's: in the tables that its own savers use (PostgreSQL only),
 * so that LangGraph processes read and continue a thread. */
enum checkpoint_layout { CHECKPOINTS_NATIVE, CHECKPOINTS_LANGGRAPH };

/* Statements that join the batch in which an assistant or a thread is created, at now_us. */
struct store_rider {
    void (*add)(void *ctx, struct db_batch *b, int64_t now_us);
    void *ctx;
};

/* What requests about items leave open. */
struct item_options {
    double ttl_minutes;                   /* of new items; 0: they stay */
    bool keep_ttl;                        /* reading an item does not move its end on */
    const struct item_embedder *embedder; /* NULL: queries look for words */
};

/* What the server says of preferences. */
struct preference_options {
    struct preference_platform platform;
    int64_t override_us; /* those of a thread hold so long after their last use */
};

/* Ages at which logs of agents leave a tier; 0: they stay. */
struct agent_log_options {
    int64_t hot_us, warm_us, cold_us;
    bool insights;       /* what leaves hot waits for one */
    int64_t insights_us; /* the age at which those go; 0: never */
};

struct remembered;

/* When a thread ends: so long after its last use. */
struct thread_ttl {
    enum prune_strategy strategy;
    int64_t us; /* 0: never */
};

struct store {
    struct db *db;
    enum checkpoint_layout layout;
    const struct store_rider *with; /* NULL: none */
    struct item_options items;
    struct preference_options preferences;
    struct agent_log_options agent_logs;
    bool shared; /* with other runtimes, which add and delete rows of their own accord */
    struct thread_ttl thread_ttl; /* of threads that are made without one of their own */
    struct remembered *remembered; /* what new plans begin with; NULL: nothing is remembered */
};
static inline void store_ride(const struct store *s, struct db_batch *b, int64_t now_us) {
    if (s->with)
        s->with->add(s->with->ctx, b, now_us);
}

/* What one database does by itself, and the other by a statement: adds it where there is one. */
static inline void store_add_known(const struct store *s, struct db_batch *b, enum db_stmt stmt,
                                   const struct db_value *params, size_t param_count) {
    if (db_knows(s->db, stmt))
        db_batch_add(b, stmt, params, param_count, DB_EXPECT_NONE);
}

enum sort_order { SORT_DESC, SORT_ASC };

struct page {
    int64_t limit, offset;
    enum sort_order order;
};

/* The row of this id, if the principal may see it: what the statement reads by $1 id, $2 and $3
 * bounds of the owner. ERR_NOT_FOUND with that text. */
MUST_CHECK int store_get_owned(struct store *s, enum db_stmt stmt, const struct principal *who,
                               struct id id, const char *missing, struct arena *a,
                               struct db_rows *out, struct err *err);
/* Deletes it, by a statement with the same parameters. */
MUST_CHECK int store_delete_owned(struct store *s, enum db_stmt stmt, const struct principal *who,
                                  struct id id, const char *missing, struct arena *a,
                                  struct err *err);

/* Metadata as it is kept: the key `owner` is the database's, which shows other runtimes there whose
 * the row is; a client cannot set it. */
str store_metadata(struct arena *a, str metadata);

#endif
