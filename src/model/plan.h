/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - plans as clients send them: a goal and steps that depend on each other.
 *
 * What is wrong with the plan as a whole (no steps, too many, a circle) refuses it. What is wrong
 * with one step is noted in that step, which then never runs; the others do.
 * Memory: everything in the arena; texts may point into the document. Errors: ERR_INVALID,
 * ERR_TOO_LARGE. Suspends: never. Tests: tests/unit/model/test_plan.c, tests/fuzz/fuzz_plan.c */
#ifndef HF_MODEL_PLAN_H
#define HF_MODEL_PLAN_H

#include "base/hash.h"
#include "base/id.h"
#include "base/json.h"
#include "model/gate.h"
#include "model/state.h"

#define PLAN_STEPS_MAX       10000
#define PLAN_DEPENDS_MAX     100000 /* of all steps together */
#define PLAN_NAME_BYTES_MAX  200
#define PLAN_GOAL_BYTES_MAX  10000
#define PLAN_ATTEMPTS_MAX    100
#define PLAN_PRIORITY_MAX    1000
#define PLAN_CONCURRENCY_MAX 1000
#define PLAN_GATES_MAX       1000 /* of all steps together */

/* Which tools there are. NULL: the tool can be used; else what is to be said about it. */
typedef const char *(*plan_tool_fn)(str tool);

struct plan_retry {
    int attempts_max;         /* at least 1 */
    int64_t initial_us, max_us; /* before the second attempt, and at most */
    double factor;
    bool jitter; /* between half of the wait and the whole */
};

struct plan_step {
    str name, tool;
    str inputs; /* canonical JSON object */
    str policy; /* canonical JSON object: tools_allowed, env_allowed, secrets_scope, if given */
    const uint32_t *depends; /* positions, ascending, each once */
    size_t depend_count;
    int64_t timeout_us; /* of an attempt */
    struct plan_retry retry;
    int priority; /* higher first */
    const struct gate *gates; /* it begins when all are passed or waived */
    size_t gate_count;
    str fault;    /* why it cannot run; absent: it can */
    str output;   /* JSON, of one that is done already; absent: it is not */
};

struct plan_spec {
    str goal, project; /* project absent: none named */
    str metadata;      /* JSON object */
    str hash;          /* hex SHA-256 of the canonical text of goal and steps */
    int concurrency;   /* steps at once; 0: as the server has it */
    struct plan_step *steps;
    size_t step_count, fault_count;
    const uint32_t *order; /* positions, each after those that it waits for */
};

MUST_CHECK int plan_parse(struct arena *a, yyjson_val *v, plan_tool_fn tool_check,
                          struct plan_spec *out, struct err *err);

/* What of a step is kept beside its name, tool and inputs, as JSON; and read again. */
str plan_step_spec(struct arena *a, const struct plan_step *s);
/* ERR_CORRUPT. step_count: positions are below it. */
MUST_CHECK int plan_step_spec_read(struct arena *a, str spec, size_t step_count,
                                   struct plan_step *out, struct err *err);

/* Names one step of one run for ever: who gets it twice does its work once. Two steps that are
 * equal but for their place have different ones; how the inputs were written does not matter. */
#define PLAN_KEY_LEN 32
void plan_step_key(struct id run, size_t position, str name, str inputs, char out[PLAN_KEY_LEN]);

/* Before attempt `attempt` + 1, when `attempt` has failed. dice: any number, for the jitter. */
int64_t plan_retry_wait_us(const struct plan_retry *r, int attempt, uint64_t dice);

#endif
