/* SPDX-License-Identifier: Apache-2.0 */
/* plans_int.h - what the handlers of plans and of the inbox share: a plan as it is asked for. */
#ifndef HF_API_PLANS_INT_H
#define HF_API_PLANS_INT_H

#include "api/api_int.h"
#include "model/plan.h"
#include "store/runs.h"

struct plan_asked {
    struct plan_spec plan;
    yyjson_val *webhook; /* NULL: none */
    yyjson_val *body;    /* what was read: of a template the plan that it makes */
    struct run_context context; /* of its first run */
};
/* A body of POST /plans/runs: a plan, or the name of a template and parameters. project: when it
 * names none; absent: none. Checks everything, the webhook too. */
MUST_CHECK MAY_SUSPEND int api_plan_read(struct api_request *r, const struct principal *who,
                                         yyjson_val *body, str project, struct plan_asked *out,
                                         struct err *err);

/* --- plan_templates.c --- */
/* *out: the plan that the body's template makes with its parameters, and what the body says of it
 * besides. ERR_NOT_FOUND, ERR_INVALID. */
MUST_CHECK MAY_SUSPEND int api_template_fill(struct api_request *r, const struct principal *who,
                                             yyjson_val *body, yyjson_val **out, struct err *err);

/* --- projects.c --- */
/* Fills in what the plan does not say and its project or its owner's settings do. */
MUST_CHECK MAY_SUSPEND int api_plan_defaults(struct api_request *r, const struct principal *who,
                                             struct plan_asked *asked, struct err *err);

#endif
