/* SPDX-License-Identifier: Apache-2.0 */
/* projects.h - rows of projects, and the settings of an owner.
 *
 * A plan's project_id is any text; when its owner has a project of that name, the plan is one of
 * that project and takes its settings.
 * Memory: results in the arena given. Suspends: every function with an err.
 * Tests: tests/integration/run-plan-projects */
#ifndef HF_STORE_PROJECTS_H
#define HF_STORE_PROJECTS_H

#include "store/runs.h"

#define PROJECT_COUNT_MAX 1000 /* of one owner */
#define SETTING_COUNT_MAX 200  /* of one owner */

struct project {
    struct id id;
    str owner, name, description;
    str metadata, settings; /* JSON objects */
    int64_t version, created_at, updated_at;
};

/* ERR_LIMIT: the owner has PROJECT_COUNT_MAX; ERR_EXISTS: one of this name. */
MUST_CHECK int project_create(struct store *s, struct project *p, struct arena *a,
                              struct err *err);
/* By name, after this one. */
MUST_CHECK int project_list(struct store *s, const struct principal *who, str after, int64_t limit,
                            struct arena *a, struct project **out, size_t *out_count,
                            struct err *err);
MUST_CHECK int project_get(struct store *s, const struct principal *who, struct id id,
                           struct arena *a, struct project *out, struct err *err);
/* Over the version that was read. ERR_CONFLICT: it is another by now. */
MUST_CHECK int project_update(struct store *s, const struct principal *who, struct project *p,
                              struct arena *a, struct err *err);
MUST_CHECK int project_delete(struct store *s, const struct principal *who, struct id id,
                              struct arena *a, struct err *err);

struct setting {
    str key;
    str value; /* JSON; absent: it goes */
};
MUST_CHECK int setting_list(struct store *s, const struct principal *who, struct arena *a,
                            struct setting **out, size_t *out_count, struct err *err);
MUST_CHECK int setting_get(struct store *s, const struct principal *who, str key, struct arena *a,
                           struct setting *out, struct err *err); /* "Setting not found" */
/* All of them, or none. ERR_LIMIT: the owner has SETTING_COUNT_MAX. gone_is: the error for one that
 * goes and is not there; 0: none. */
MUST_CHECK int setting_change(struct store *s, const struct principal *who,
                              const struct setting *list, size_t count, int gone_is, int64_t now_us,
                              struct arena *a, struct err *err);

/* What a new plan and its first run begin with. Settings are JSON; absent: there is none. */
struct plan_context {
    struct run_context run; /* of a thread that is not there yet */
    str concurrency, webhook, project; /* of the owner */
    str of_project; /* all of its project's, an object */
};
/* project: the one that the plan names; absent: that of the owner's setting. */
MUST_CHECK int plan_context_read(struct store *s, const struct principal *who, str project,
                                 struct id assistant_id, struct arena *a, struct plan_context *out,
                                 struct err *err);

#endif
