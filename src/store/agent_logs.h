/* SPDX-License-Identifier: Apache-2.0 */
/* agent_logs.h - what agents write down of their work: by session, in tiers by age.
 *
 * A log is written once, as hot, and never changed but for its tier, which a job moves on: hot,
 * warm, cold, gone. Memory: rows lie in the arena given. Errors: typed, texts for clients.
 * Suspends: what has an err. Tests: tests/conformance/test_agent_logs.c,
 * tests/integration/run-agent-logs */
#ifndef HF_STORE_AGENT_LOGS_H
#define HF_STORE_AGENT_LOGS_H

#include "model/words.h"
#include "store/store.h"

#define AGENT_LOG_COUNT_MAX         1000 /* of one batch */
#define AGENT_LOG_CATEGORY_BYTES    100
#define AGENT_LOG_MESSAGE_BYTES_MAX 16384
#define AGENT_LOG_DATA_BYTES_MAX    65536
#define AGENT_LOG_SCAN_MAX          1000 /* rows that a list looks at */

enum agent_log_level { AGENT_LOG_DEBUG, AGENT_LOG_INFO, AGENT_LOG_WARN, AGENT_LOG_ERROR };
extern const struct word_set AGENT_LOG_LEVELS;
enum agent_log_tier { AGENT_LOG_HOT, AGENT_LOG_WARM, AGENT_LOG_COLD };
extern const struct word_set AGENT_LOG_TIERS;

struct agent_log {
    struct id id, session_id;
    str level, category, tier;
    str message, data; /* data: JSON; absent: none */
    int64_t created_at;
};
/* All of them or none, in one statement; ids are the caller's, new ones. */
void agent_log_put_add(struct db_batch *b, const struct principal *who,
                       const struct agent_log *logs, size_t count);

struct agent_log_query {
    struct id session_id;      /* nil: any */
    str tier, level, category; /* absent: any */
    int64_t since_us;          /* at or after */
    /* Below this place: the newest of before it come first. */
    int64_t below_us;
    struct id below_id;
    int64_t limit;
};
/* more: others may follow, below `at` and `id` (also when the page is not full: a list looks at
 * AGENT_LOG_SCAN_MAX rows at most). */
struct agent_log_next {
    bool more;
    int64_t at;
    struct id id;
};
/* Of rows that were scanned for a page, those that meet what is asked for, in the arena: their
 * numbers. The first column is the id, `meets` and `at` are those of the answer and of the time. */
size_t *agent_log_page(const struct db_rows *rows, const struct agent_log_query *q, int64_t scan,
                       size_t meets, size_t at, struct arena *a, size_t *out_count,
                       struct agent_log_next *next);
MUST_CHECK int agent_log_list(struct store *s, const struct principal *who,
                              const struct agent_log_query *q, struct arena *a,
                              struct agent_log **out, size_t *out_count,
                              struct agent_log_next *next, struct err *err);
MUST_CHECK int agent_log_get(struct store *s, const struct principal *who, struct id id,
                             struct arena *a, struct agent_log *out, struct err *err);
MUST_CHECK int agent_log_delete(struct store *s, const struct principal *who, struct id id,
                                struct arena *a, struct err *err); /* ERR_NOT_FOUND */
/* Of a session, at most `limit`, and as many of its insights. *out_more: others may be left. */
MUST_CHECK int agent_log_delete_session(struct store *s, const struct principal *who,
                                        struct id session_id, int64_t limit, struct arena *a,
                                        int64_t *out_deleted, bool *out_more, struct err *err);

struct agent_log_counts {
    int64_t rows[3], bytes[3]; /* by tier; bytes of messages and data */
};
MUST_CHECK int agent_log_counts(struct store *s, const struct principal *who, struct arena *a,
                                struct agent_log_counts *out, struct err *err);

/* Moves on what is older than the store's options say, at most `limit` of each tier, in one batch,
 * and deletes as many insights that are past their age.
 * *out_more: others wait. */
MUST_CHECK int agent_log_age(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                             int64_t *out_moved, bool *out_more, struct err *err);

#endif
