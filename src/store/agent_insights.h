/* SPDX-License-Identifier: Apache-2.0 */
/* agent_insights.h - what a model makes of logs of agents: a text for many logs of a session.
 *
 * An insight and the mark of the logs that it covers are one batch: each log is covered by one at
 * most. Memory: rows lie in the arena given. Errors: typed, texts for clients. Suspends: what has
 * an err. Tests: tests/conformance/test_agent_logs.c, tests/integration/run-agent-logs */
#ifndef HF_STORE_AGENT_INSIGHTS_H
#define HF_STORE_AGENT_INSIGHTS_H

#include "store/agent_logs.h"

#define AGENT_INSIGHT_BYTES_MAX 16384 /* of a text */
#define AGENT_INSIGHT_SCAN_MAX  10000 /* vectors that a search looks at */

struct agent_insight {
    struct id id, session_id;
    str category; /* absent: its logs have several */
    str text, model;
    int64_t logs; /* it covers so many */
    int64_t first_at, last_at, created_at;
    bool scored;
    double score; /* of a search: the higher, the nearer */
};

/* --- making them --- */

/* A log that no insight covers. */
struct agent_log_pending {
    str owner;
    struct id session_id, id;
    int64_t created_at;
    str level, category, message, data; /* data: absent: none */
};
/* Behind which owner, session and time; "", nil and 0: the first ones. */
struct agent_log_place {
    str owner;
    struct id session_id;
    int64_t at;
};
/* By owner, session and time; of messages and of data chars_max characters. */
MUST_CHECK int agent_log_pending_list(struct store *s, const struct agent_log_place *behind,
                                      int64_t limit, int64_t chars_max, struct arena *a,
                                      struct agent_log_pending **out, size_t *out_count,
                                      struct err *err);
/* The vector of a text, where the store has an embedder; else NULL. */
MUST_CHECK int agent_insight_embed(struct store *s, str text, struct arena *a, float **out,
                                   struct err *err);
/* In one batch with the mark of the logs, which are all that lie in `logs`. ERR_CONFLICT: one of
 * them is gone, or another insight covers it; nothing is stored then. vector: of the text, or
 * NULL. */
MUST_CHECK int agent_insight_put(struct store *s, const struct agent_insight *n,
                                 const struct agent_log_pending *logs, const float *vector,
                                 struct arena *a, struct err *err);

/* --- asking --- */

/* As agent_log_list(), of session_id, category and times; level and tier are not looked at. */
MUST_CHECK int agent_insight_list(struct store *s, const struct principal *who,
                                  const struct agent_log_query *q, struct arena *a,
                                  struct agent_insight **out, size_t *out_count,
                                  struct agent_log_next *next, struct err *err);
/* The best q->limit of them first: by meaning with an embedder, else by words. ERR_INVALID: there
 * are too many to be compared. */
MUST_CHECK int agent_insight_search(struct store *s, const struct principal *who, str text,
                                    const struct agent_log_query *q, struct arena *a,
                                    struct agent_insight **out, size_t *out_count,
                                    struct err *err);
MUST_CHECK int agent_insight_get(struct store *s, const struct principal *who, struct id id,
                                 struct arena *a, struct agent_insight *out, struct err *err);
MUST_CHECK int agent_insight_delete(struct store *s, const struct principal *who, struct id id,
                                    struct arena *a, struct err *err); /* ERR_NOT_FOUND */

#endif
