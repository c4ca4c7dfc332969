/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_gate.c - gates, evidence and answers from any JSON.
 *
 * Checks: what is accepted as a gate reads back from what is kept of it; evidence that is taken is
 * kept in a form that is taken again and changes nothing, and is judged. */
#include "model/gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_gate(struct arena *a, const struct gate *g, str evidence) {
    struct gate again;
    str why;
    ASSERT(gate_read_text(a, g->text, &again, NULL) == 0);
    ASSERT(again.kind == g->kind && again.condition_count == g->condition_count &&
           again.expires_us == g->expires_us && again.waivable == g->waivable &&
           str_eq(again.name, g->name) && str_eq(again.text, g->text));
    enum gate_verdict verdict = gate_judge(a, g, evidence, &why);
    ASSERT(verdict != GATE_MET || (g->kind == GATE_QUALITY && !why.p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct gate *gates;
    struct gate_answer answer;
    yyjson_val *v, *kept;
    size_t count = 0;
    str evidence = STR_NULL, again;
    if (size > 65536)
        return 0;
    arena_init(&a, 256u << 20);
    if (json_parse(&a, str_n((const char *)data, size), &v, NULL) == 0) {
        if (gate_evidence_merge(&a, STR_NULL, v, &evidence, NULL) == 0) {
            ASSERT(json_parse(&a, evidence, &kept, NULL) == 0);
            if (yyjson_obj_size(json_get(kept, "metrics")) || json_get(kept, "uri") ||
                json_get(kept, "note"))
                ASSERT(gate_evidence_merge(&a, evidence, kept, &again, NULL) == 0 &&
                       str_eq(again, evidence));
        }
        if (gates_read(&a, v, &gates, &count, NULL) == 0)
            for (size_t i = 0; i < count; i++)
                check_gate(&a, &gates[i], evidence);
        if (gate_answer_read(&a, v, &answer, NULL) == 0)
            ASSERT(answer.decision <= GATE_WAIVE);
    }
    arena_deinit(&a);
    return 0;
}
