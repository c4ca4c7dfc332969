/* SPDX-License-Identifier: Apache-2.0 */
/* plan_templates.h - rows of templates: plans with parameters.
 *
 * Memory: results in the arena given. Suspends: every function with an err.
 * Tests: tests/integration/run-plan-templates */
#ifndef HF_STORE_PLAN_TEMPLATES_H
#define HF_STORE_PLAN_TEMPLATES_H

#include "store/store.h"

#define PLAN_TEMPLATE_COUNT_MAX 1000 /* of one owner */

struct plan_template {
    struct id id;
    str owner, name, description;
    str parameters; /* JSON Schema */
    str plan;       /* JSON object; absent in lists */
    int64_t version, created_at, updated_at;
};

/* ERR_LIMIT: the owner has PLAN_TEMPLATE_COUNT_MAX; ERR_EXISTS: one of this name. */
MUST_CHECK int plan_template_create(struct store *s, struct plan_template *t, struct arena *a,
                                    struct err *err);
/* By name, after this one. */
MUST_CHECK int plan_template_list(struct store *s, const struct principal *who, str after,
                                  int64_t limit, struct arena *a, struct plan_template **out,
                                  size_t *out_count, struct err *err);
MUST_CHECK int plan_template_get(struct store *s, const struct principal *who, struct id id,
                                 struct arena *a, struct plan_template *out, struct err *err);
/* By its id or its name. */
MUST_CHECK int plan_template_find(struct store *s, const struct principal *who, str name,
                                  struct arena *a, struct plan_template *out, struct err *err);
/* Over the version that was read. ERR_CONFLICT: it is another by now. */
MUST_CHECK int plan_template_update(struct store *s, const struct principal *who,
                                    struct plan_template *t, struct arena *a, struct err *err);
MUST_CHECK int plan_template_delete(struct store *s, const struct principal *who, struct id id,
                                    struct arena *a, struct err *err);

#endif
