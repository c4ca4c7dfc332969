/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_plan.c - plan_parse() on any JSON.
 *
 * Checks: what is accepted has steps whose dependencies are other steps, in order and without a
 * circle; what is kept of a step reads back the same. */
#include "model/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *tool_check(str tool) {
    return str_starts(tool, STR("test:")) ? NULL : "is not a tool of this server";
}

static void check_step(struct arena *a, const struct plan_spec *p, size_t i) {
    const struct plan_step *s = &p->steps[i];
    struct plan_step again = {0};
    yyjson_val *inputs;
    ASSERT(json_parse(a, s->inputs, &inputs, NULL) == 0 && yyjson_is_obj(inputs));
    for (size_t k = 0; k < s->depend_count; k++) {
        ASSERT(s->depends[k] < p->step_count && s->depends[k] != i);
        ASSERT(k == 0 || s->depends[k - 1] < s->depends[k]);
    }
    ASSERT(plan_step_spec_read(a, plan_step_spec(a, s), p->step_count, &again, NULL) == 0);
    ASSERT(again.depend_count == s->depend_count && again.priority == s->priority &&
           again.timeout_us == s->timeout_us && str_eq(again.policy, s->policy) &&
           again.retry.attempts_max == s->retry.attempts_max);
    for (int n = 1; n < 5; n++) {
        int64_t us = plan_retry_wait_us(&s->retry, n, UINT64_MAX);
        ASSERT(us >= 0 && us <= s->retry.max_us);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct plan_spec p;
    yyjson_val *v;
    if (size > 65536)
        return 0;
    arena_init(&a, 256u << 20);
    str text = str_n((const char *)data, size);
    if (json_parse(&a, text, &v, NULL) == 0 && plan_parse(&a, v, tool_check, &p, NULL) == 0) {
        size_t faults = 0;
        ASSERT(p.step_count > 0 && p.step_count <= PLAN_STEPS_MAX);
        for (size_t i = 0; i < p.step_count; i++) {
            faults += p.steps[i].fault.p != NULL;
            check_step(&a, &p, i);
        }
        ASSERT(faults == p.fault_count && p.hash.len == 64);
    }
    struct plan_step kept;
    if (plan_step_spec_read(&a, text, 3, &kept, NULL) == 0)
        for (size_t i = 0; i < kept.depend_count; i++)
            ASSERT(kept.depends[i] < 3);
    arena_deinit(&a);
    return 0;
}
