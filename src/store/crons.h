/* SPDX-License-Identifier: Apache-2.0 */
/* crons.h - rows of crons, and the rows that decide which run belongs to which instant.
 *
 * A cron's payload is a RunCreate object. Times are instants; what they mean on a clock of some
 * place is model/cron_expr.h.
 * Tests: tests/conformance/test_store.c, tests/unit/engine/test_crons.c */
#ifndef HF_STORE_CRONS_H
#define HF_STORE_CRONS_H

#include "store/store.h"

struct cron {
    struct id id, assistant_id, thread_id; /* thread nil: a new one for each run */
    str owner, schedule;
    str timezone;          /* absent: UTC */
    int64_t end_us;        /* 0: none */
    bool enabled, keep;    /* keep: threads of runs that have ended stay */
    str payload, metadata; /* object texts */
    int64_t next_us;       /* 0: it does not fire any more */
    int64_t fired_us;      /* the last instant that was decided; 0: none */
    int64_t created_at, updated_at;
};

enum cron_sort {
    CRON_BY_CREATED,
    CRON_BY_UPDATED,
    CRON_BY_ID,
    CRON_BY_ASSISTANT,
    CRON_BY_THREAD,
    CRON_BY_NEXT,
    CRON_BY_END
};
struct cron_filter {
    struct id assistant_id, thread_id; /* nil: any */
    const bool *enabled;               /* NULL: any */
    str metadata;                      /* containment; absent: any */
    enum cron_sort sort;
};

/* owner, created_at, updated_at of *c are set here, and its id when that is nil. ERR_LIMIT: the
 * owner has count_max. */
MUST_CHECK int cron_create(struct store *s, const struct principal *who, struct cron *c,
                           int64_t count_max, struct arena *a, struct err *err);
MUST_CHECK int cron_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                        struct cron *out, struct err *err); /* "Cron not found" */
/* Writes *c over the row as `read` says it was. ERR_CONFLICT: it is another by now. */
MUST_CHECK int cron_update(struct store *s, const struct principal *who, const struct cron *read,
                           struct cron *c, struct arena *a, struct err *err);
MUST_CHECK int cron_delete(struct store *s, const struct principal *who, struct id id,
                           struct arena *a, struct err *err);
MUST_CHECK int cron_search(struct store *s, const struct principal *who,
                           const struct cron_filter *f, const struct page *page, struct arena *a,
                           struct cron **out, size_t *out_count, struct err *err);
MUST_CHECK int cron_count(struct store *s, const struct principal *who, const struct cron_filter *f,
                          struct arena *a, int64_t *out, struct err *err);

/* --- firing: of all owners --- */
/* Those whose next instant is not after now_us, the longest overdue first. */
MUST_CHECK int cron_list_due(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                             struct cron **out, size_t *out_count, struct err *err);
/* The next instant of all; 0: none. */
MUST_CHECK int cron_next_due(struct store *s, struct arena *a, int64_t *out, struct err *err);
/* Those that other programs made and nobody has adopted. */
MUST_CHECK int cron_list_strangers(struct store *s, int64_t limit, struct arena *a,
                                   struct cron **out, size_t *out_count, struct err *err);
MUST_CHECK int cron_adopt(struct store *s, struct id id, int64_t next_us, struct arena *a,
                          struct err *err);
/* Decides the cron's next instant: the run (nil: none, for the reason given), and the instant after
 * it (0: none). ERR_FENCED when it is decided already, or the cron is not the one that was read. */
void cron_fire_add(struct db_batch *b, const struct cron *c, struct id run_id, str error,
                   int64_t next_us, int64_t now_us);
/* Goes on to the next instant when somebody has decided this one. */
MUST_CHECK int cron_move_on(struct store *s, const struct cron *c, int64_t next_us, struct arena *a,
                            struct err *err);

struct cron_firing {
    int64_t scheduled_us, decided_us;
    struct id run_id; /* nil: there is none */
    str error;        /* absent: none */
};
/* Newest first. */
MUST_CHECK int cron_firings(struct store *s, struct id id, int64_t limit, struct arena *a,
                            struct cron_firing **out, size_t *out_count, struct err *err);

#endif
