/* SPDX-License-Identifier: Apache-2.0 */
/* gate.h - what a step of a plan waits for besides other steps: somebody's word, or evidence.
 *
 * {"name", "kind": "manual" | "quality", "prompt", "rule": [{"metric", "at_least" | "at_most" |
 * "equals"}], "on_miss": "wait" | "fail", "expires_in", "on_expiry": "fail" | "waive", "waivable"}
 *
 * A manual gate is passed by an approval. A quality gate is passed when evidence meets every
 * condition of its rule; nobody approves it, but it can be waived.
 * Memory: in the arena; texts may point into the document. Errors: ERR_INVALID, ERR_CONFLICT.
 * Suspends: never. Tests: tests/unit/model/test_gate.c, tests/fuzz/fuzz_gate.c */
#ifndef HF_MODEL_GATE_H
#define HF_MODEL_GATE_H

#include "model/words.h"

#define GATES_PER_STEP_MAX      8
#define GATE_CONDITIONS_MAX     16
#define GATE_NAME_BYTES_MAX     200
#define GATE_TEXT_BYTES_MAX     2000
#define GATE_EVIDENCE_BYTES_MAX ((size_t)64 * 1024)

enum gate_kind { GATE_MANUAL, GATE_QUALITY };
enum gate_status { GATE_PENDING, GATE_PASSED, GATE_FAILED, GATE_WAIVED };
enum gate_op { GATE_AT_LEAST, GATE_AT_MOST, GATE_EQUALS };
enum gate_decision { GATE_APPROVE, GATE_REJECT, GATE_WAIVE };
extern const struct word_set GATE_KIND_WORDS, GATE_STATUS_WORDS, GATE_DECISION_WORDS;
bool gate_status_parse(str text, enum gate_status *out);
str gate_status_name(enum gate_status status);

struct gate_condition {
    str metric;
    enum gate_op op;
    yyjson_val *value;
};
struct gate {
    str name, prompt; /* prompt absent: none */
    enum gate_kind kind;
    struct gate_condition *conditions;
    size_t condition_count;
    bool fails_on_miss, waived_on_expiry, waivable;
    int64_t expires_us; /* after it opened; 0: never */
    str text;           /* canonical JSON of all of it */
};
/* v: a list; NULL or null: none. */
MUST_CHECK int gates_read(struct arena *a, yyjson_val *v, struct gate **out, size_t *out_count,
                          struct err *err);
MUST_CHECK int gate_read_text(struct arena *a, str text, struct gate *out, struct err *err);

/* What evidence says to a quality gate. */
enum gate_verdict { GATE_OPEN, GATE_MET, GATE_MISSED };
/* out_why: what is missing, for people. */
enum gate_verdict gate_judge(struct arena *a, const struct gate *g, str evidence, str *out_why);
/* {"metrics": {name: number, text or boolean}, "uri", "note"}, put over what came before (absent:
 * nothing): of a metric the newest value counts. */
MUST_CHECK int gate_evidence_merge(struct arena *a, str before, yyjson_val *v, str *out,
                                   struct err *err);

/* Somebody's word. */
struct gate_answer {
    enum gate_decision decision;
    str reason, actor;    /* absent: not said */
    yyjson_val *evidence; /* instead of a decision; NULL: a decision */
};
/* true, "approve", {"decision", "reason"}, {"evidence": {…}}: what resumes a run. */
MUST_CHECK int gate_answer_read(struct arena *a, yyjson_val *v, struct gate_answer *out,
                                struct err *err);
/* ERR_CONFLICT: this gate is not decided so. */
MUST_CHECK int gate_decide(const struct gate *g, enum gate_decision decision,
                           enum gate_status *out, struct err *err);

#endif
