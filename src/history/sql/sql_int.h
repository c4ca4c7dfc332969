/* SPDX-License-Identifier: Apache-2.0 */
/* sql_int.h - what the parts of the adapter share.
 *
 * Memory: as history/port.h. Errors: as history/port.h. Suspends: as history/port.h.
 * Tests: tests/conformance/test_history.c */
#ifndef HF_HISTORY_SQL_INT_H
#define HF_HISTORY_SQL_INT_H

#include "history/sql/sql.h"

#define HSQL_SEQ_MAX  4294967295 /* of a session: SQLite keeps it in 32 bits */
#define HSQL_BELLS    64         /* a power of two */
#define HSQL_TRIES    16         /* when others write the same rows meanwhile */
#define HSQL_CUT_ROWS 1000       /* of one commit */

/* Rung when events came to one of the sessions that share it. */
struct hsql_bell {
    struct fiber_event rung;
    uint64_t count;
};
struct hsql {
    struct history base;
    struct history_vtable vtable; /* with the database's name */
    struct db *db;
    struct history_sql_options options;
    struct hsql_bell bells[HSQL_BELLS];
    uint64_t appends, appended_events, flushes, syncs;
};
static inline struct hsql *hsql_of(struct history *h) { return CONTAINER_OF(h, struct hsql, base); }

/* By which a session is found: the first half of SHA-256 over owner and name. */
struct id hsql_key(const struct history_key *key);
struct hsql_bell *hsql_bell_of(struct hsql *s, struct id key);
/* *out_last_seq: -1 when there is no such session. */
MUST_CHECK MAY_SUSPEND int hsql_last_seq(struct hsql *s, struct id key, int64_t *out_last_seq,
                                         struct err *err);
/* ERR_NOT_FOUND when there is none. */
MUST_CHECK MAY_SUSPEND int hsql_need(struct hsql *s, struct id key, struct err *err);
/* One statement that commits alone. */
MUST_CHECK MAY_SUSPEND int hsql_write(struct hsql *s, enum db_stmt stmt,
                                      const struct db_value *params, size_t param_count,
                                      struct db_expect expect, struct arena *a,
                                      struct db_rows *out_rows, struct err *err);

/* append.c */
void hsql_append(struct history *h, struct history_append *const *appends, size_t count);
/* read.c */
int hsql_read(struct history *h, const struct history_range *range, struct arena *a,
              struct history_page *out, struct err *err);
/* checkpoints.c */
int hsql_checkpoint_put(struct history *h, const struct history_key *key,
                        struct history_checkpoint *c, struct arena *a, struct err *err);
int hsql_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                        struct arena *a, struct history_checkpoint *out, struct err *err);
int hsql_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                         size_t limit, struct arena *a, struct history_checkpoint **out,
                         size_t *out_count, struct err *err);
int hsql_checkpoint_rollback(struct history *h, const struct history_key *key, struct id id,
                             struct err *err);
/* sessions.c */
int hsql_session_get(struct history *h, const struct history_key *key, struct arena *a,
                     struct history_session *out, struct err *err);
int hsql_session_list(struct history *h, str owner, str after, size_t limit, struct arena *a,
                      struct history_session **out, size_t *out_count, struct err *err);
int hsql_owner_list(struct history *h, str after, size_t limit, struct arena *a, str **out,
                    size_t *out_count, struct err *err);
int hsql_consumer_ack(struct history *h, const struct history_key *key, str name, int64_t seq,
                      int64_t *out_acked_seq, struct err *err);
int hsql_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                       struct history_consumer **out, size_t *out_count, struct err *err);
int hsql_consumer_delete(struct history *h, const struct history_key *key, str name,
                         struct err *err);
/* sweep.c */
int hsql_session_delete(struct history *h, const struct history_key *key, struct err *err);
int hsql_retention_set(struct history *h, str owner, const struct history_retention *r,
                       struct err *err);
int hsql_retention_get(struct history *h, str owner, struct history_retention *out,
                       struct err *err);
int hsql_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
               struct err *err);

#endif
