/* SPDX-License-Identifier: Apache-2.0 */
/* truncate.h - everything of a kind goes, whosever it is: for developers who begin anew.
 *
 * Every function works in batches of bounded size; what is live meanwhile stays whole.
 * Memory: an arena of its own, or the one given. Suspends: every function.
 * Tests: tests/integration/run-truncate */
#ifndef HF_STORE_TRUNCATE_H
#define HF_STORE_TRUNCATE_H

#include "store/store.h"

#define TRUNCATE_PAGE 500

/* The next page of all threads, in the order of their ids. Begins with {0} and is over when count
 * is less than TRUNCATE_PAGE. */
struct truncate_page {
    struct id after;
    struct truncate_thread {
        struct id id;
        bool busy;
    } threads[TRUNCATE_PAGE];
    size_t count;
};
MUST_CHECK int truncate_walk(struct store *s, struct arena *a, struct truncate_page *page,
                             struct err *err);
/* The thread's states in every namespace and both layouts, with the log, which shows them.
 * ERR_CONFLICT: a run is live, or there is no thread. */
MUST_CHECK int truncate_states(struct store *s, struct id thread_id, struct arena *a,
                               struct err *err);
/* What the kinds have beside the threads above: runs that are over, with their logs and plans;
 * threads whose name is no UUID, and how far searches have looked through threads; states of
 * threads that have no row. */
MUST_CHECK int truncate_runs(struct store *s, struct err *err);
MUST_CHECK int truncate_rest_of_threads(struct store *s, struct err *err);
MUST_CHECK int truncate_loose_states(struct store *s, struct err *err);
/* With their versions and crons; those that the server made itself stay. */
MUST_CHECK int truncate_assistants(struct store *s, struct err *err);
/* Items of the long-term store, with what queries look at. */
MUST_CHECK int truncate_items(struct store *s, struct err *err);
/* Logs of agents; sources and what they brought; templates of plans; projects and settings;
 * webhooks and what is to be told, also of runs. */
MUST_CHECK int truncate_agent_logs(struct store *s, struct err *err);
MUST_CHECK int truncate_inbox(struct store *s, struct err *err);
MUST_CHECK int truncate_plan_templates(struct store *s, struct err *err);
MUST_CHECK int truncate_preferences(struct store *s, struct err *err); /* also of threads */
MUST_CHECK int truncate_projects(struct store *s, struct err *err);
MUST_CHECK int truncate_webhooks(struct store *s, struct err *err);
/* Histories in the database: sessions with their events, and what owners keep of them. */
MUST_CHECK int truncate_histories(struct store *s, struct err *err);

#endif
