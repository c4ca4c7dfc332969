/* SPDX-License-Identifier: Apache-2.0 */
/* gate.c - reads gates, evidence and answers, and says what they come to.
 *
 * The rule of a quality gate is a list of conditions over named metrics. Evidence may come in
 * parts; of each metric the newest value counts. All conditions met: it is passed. A value that
 * does not meet its condition leaves it open for better evidence, or fails it ("on_miss": "fail").
 * A metric that nobody has reported yet never fails it. */
#include "model/gate.h"

#include "model/validate.h"

#define SECOND_US    INT64_C(1000000)
#define EXPIRY_MAX_S 31536000.0 /* a year */

static const struct word KINDS[] = {{{"manual", 6}, GATE_MANUAL},
                                    {{"quality", 7}, GATE_QUALITY}};
static const struct word STATUSES[] = {{{"pending", 7}, GATE_PENDING},
                                       {{"passed", 6}, GATE_PASSED},
                                       {{"failed", 6}, GATE_FAILED},
                                       {{"waived", 6}, GATE_WAIVED}};
static const struct word DECISIONS[] = {{{"approve", 7}, GATE_APPROVE},
                                        {{"reject", 6}, GATE_REJECT},
                                        {{"waive", 5}, GATE_WAIVE}};
static const struct word MISSES[] = {{{"wait", 4}, 0}, {{"fail", 4}, 1}};
static const struct word EXPIRIES[] = {{{"fail", 4}, 0}, {{"waive", 5}, 1}};
const struct word_set GATE_KIND_WORDS = {KINDS, ARRAY_COUNT(KINDS)};
const struct word_set GATE_STATUS_WORDS = {STATUSES, ARRAY_COUNT(STATUSES)};
const struct word_set GATE_DECISION_WORDS = {DECISIONS, ARRAY_COUNT(DECISIONS)};
static const struct word_set MISS_WORDS = {MISSES, ARRAY_COUNT(MISSES)};
static const struct word_set EXPIRY_WORDS = {EXPIRIES, ARRAY_COUNT(EXPIRIES)};
static const char *const OPS[] = {
    [GATE_AT_LEAST] = "at_least", [GATE_AT_MOST] = "at_most", [GATE_EQUALS] = "equals"};

bool gate_status_parse(str text, enum gate_status *out) {
    int value;
    if (!word_parse(&GATE_STATUS_WORDS, text, &value))
        return false;
    *out = (enum gate_status)value;
    return true;
}

str gate_status_name(enum gate_status status) {
    return word_text(&GATE_STATUS_WORDS, (int)status);
}

static bool is_scalar(yyjson_val *v) {
    return yyjson_is_num(v) || yyjson_is_str(v) || yyjson_is_bool(v);
}

/* --- gates --- */

static void read_condition(struct body *b, yyjson_val *v, struct gate_condition *out) {
    size_t ops = 0;
    *out = (struct gate_condition){.metric = json_str(json_get(v, "metric"))};
    for (size_t i = 0; i < ARRAY_COUNT(OPS); i++) {
        yyjson_val *value = json_get(v, OPS[i]);
        if (!value)
            continue;
        ops++;
        out->op = (enum gate_op)i;
        out->value = value;
    }
    if (!out->metric.len || out->metric.len > GATE_NAME_BYTES_MAX)
        body_fault(b, "rule", "each condition names a metric of 1 to %d bytes",
                   GATE_NAME_BYTES_MAX);
    else if (ops != 1)
        body_fault(b, "rule", "each condition says one of at_least, at_most, equals");
    else if (out->op == GATE_EQUALS ? !is_scalar(out->value) : !yyjson_is_num(out->value))
        body_fault(b, "rule", "%s: must be a %s", OPS[out->op],
                   out->op == GATE_EQUALS ? "number, a text or a boolean" : "number");
}

static void read_rule(struct body *b, struct gate *out) {
    yyjson_val *rule = body_array(b, "rule"), *item;
    size_t i, count, n = yyjson_arr_size(rule);
    if (out->kind == GATE_MANUAL && rule)
        body_fault(b, "rule", "is a quality gate's");
    if (out->kind == GATE_QUALITY && (n == 0 || n > GATE_CONDITIONS_MAX))
        body_fault(b, "rule", "must be a list of 1 to %d conditions", GATE_CONDITIONS_MAX);
    if (n > GATE_CONDITIONS_MAX)
        return;
    out->conditions = ARENA_ARRAY(b->a, struct gate_condition, n + 1);
    out->condition_count = n;
    yyjson_arr_foreach(rule, i, count, item) read_condition(b, item, &out->conditions[i]);
}

static int read_gate(struct arena *a, yyjson_val *v, struct gate *out, struct err *err) {
    struct body b;
    struct gate g = {0};
    body_init(&b, a, v);
    if (!body_get(&b, "kind"))
        body_fault(&b, "kind", "is required");
    g.kind = (enum gate_kind)body_enum(&b, "kind", &GATE_KIND_WORDS, GATE_MANUAL);
    g.name = body_str_sized(&b, "name", 1, GATE_NAME_BYTES_MAX,
                            word_text(&GATE_KIND_WORDS, (int)g.kind));
    g.prompt = body_str_sized(&b, "prompt", 0, GATE_TEXT_BYTES_MAX, STR_NULL);
    read_rule(&b, &g);
    g.fails_on_miss = body_enum(&b, "on_miss", &MISS_WORDS, 0) == 1;
    g.waived_on_expiry = body_enum(&b, "on_expiry", &EXPIRY_WORDS, 0) == 1;
    g.waivable = body_bool(&b, "waivable", true);
    double s = body_double(&b, "expires_in", 0.001, EXPIRY_MAX_S, 0);
    g.expires_us = (int64_t)(s * (double)SECOND_US);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    g.text = json_canonical(a, v);
    *out = g;
    return 0;
}

int gates_read(struct arena *a, yyjson_val *v, struct gate **out, size_t *out_count,
               struct err *err) {
    yyjson_val *item;
    size_t i, count;
    *out = NULL;
    *out_count = 0;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) > GATES_PER_STEP_MAX)
        return err_set(err, ERR_INVALID, "must be a list of at most %d gates",
                       GATES_PER_STEP_MAX);
    struct gate *list = ARENA_ARRAY(a, struct gate, yyjson_arr_size(v) + 1);
    yyjson_arr_foreach(v, i, count, item) {
        int rc = read_gate(a, item, &list[i], err);
        if (rc < 0)
            return rc;
    }
    *out = list;
    *out_count = yyjson_arr_size(v);
    return 0;
}

int gate_read_text(struct arena *a, str text, struct gate *out, struct err *err) {
    yyjson_val *v;
    if (json_parse(a, text, &v, NULL) < 0 || read_gate(a, v, out, NULL) < 0)
        return err_set(err, ERR_CORRUPT, "a gate of a plan cannot be read");
    return 0;
}

/* --- evidence --- */

static bool holds(const struct gate_condition *c, yyjson_val *v) {
    if (yyjson_is_num(c->value) && yyjson_is_num(v)) {
        double want = yyjson_get_num(c->value), got = yyjson_get_num(v);
        return c->op == GATE_AT_LEAST ? got >= want : c->op == GATE_AT_MOST ? got <= want
                                                                           : got == want;
    }
    return c->op == GATE_EQUALS && json_equal(c->value, v);
}

enum gate_verdict gate_judge(struct arena *a, const struct gate *g, str evidence, str *out_why) {
    yyjson_val *v = NULL;
    *out_why = STR_NULL;
    if (evidence.p && json_parse(a, evidence, &v, NULL) < 0)
        v = NULL;
    yyjson_val *metrics = json_get(v, "metrics");
    bool missed = false;
    for (size_t i = 0; i < g->condition_count; i++) {
        const struct gate_condition *c = &g->conditions[i];
        yyjson_val *got = json_get_str(metrics, c->metric);
        if (got && holds(c, got))
            continue;
        if (!out_why->p || (got && !missed)) /* what does not hold before what is not there */
            *out_why = arena_printf(a, STR_FMT " must be %s " STR_FMT ", and is " STR_FMT,
                                    STR_ARG(c->metric),
                                    c->op == GATE_AT_LEAST  ? "at least"
                                    : c->op == GATE_AT_MOST ? "at most"
                                                            : "equal to",
                                    STR_ARG(json_text(a, c->value)),
                                    STR_ARG(got ? json_text(a, got) : STR("not reported")));
        missed = missed || got != NULL;
    }
    if (g->kind == GATE_QUALITY && !out_why->p)
        return GATE_MET;
    return missed && g->fails_on_miss ? GATE_MISSED : GATE_OPEN;
}

int gate_evidence_merge(struct arena *a, str before, yyjson_val *v, str *out, struct err *err) {
    struct body b;
    yyjson_val *old = NULL, *key, *value;
    size_t i, n;
    body_init(&b, a, v);
    yyjson_val *metrics = body_object_val(&b, "metrics");
    (void)body_str_sized(&b, "uri", 1, GATE_TEXT_BYTES_MAX, STR_NULL);
    (void)body_str_sized(&b, "note", 1, GATE_TEXT_BYTES_MAX, STR_NULL);
    yyjson_obj_foreach(metrics, i, n, key, value) {
        if (!is_scalar(value))
            body_fault(&b, "metrics", "each must be a number, a text or a boolean");
    }
    if (!metrics && !body_get(&b, "uri") && !body_get(&b, "note"))
        body_fault(&b, "metrics", "there is no evidence; say metrics, uri or note");
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (before.p && json_parse(a, before, &old, NULL) < 0)
        return err_set(err, ERR_CORRUPT, "the evidence of a gate cannot be read");
    yyjson_val *had = json_get(old, "metrics");
    str all = json_merge(a, had ? json_text(a, had) : STR("{}"),
                         metrics ? json_text(a, metrics) : STR("{}"));
    str text = json_without(a, json_text(a, v), "metrics");
    text = json_merge(a, before.p ? before : STR("{}"), json_without(a, text, "actor"));
    text = json_merge(a, text, arena_printf(a, "{\"metrics\":" STR_FMT "}", STR_ARG(all)));
    yyjson_val *merged;
    rc = json_parse(a, text, &merged, err);
    if (rc < 0)
        return rc;
    *out = json_canonical(a, merged);
    if (out->len > GATE_EVIDENCE_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "the evidence of a gate is larger than %zu KiB",
                       GATE_EVIDENCE_BYTES_MAX >> 10);
    return 0;
}

/* --- answers --- */

static int read_word(str word, enum gate_decision *out, struct err *err) {
    int value;
    if (!word_parse(&GATE_DECISION_WORDS, word, &value)) {
        int rc = word_refuse(&GATE_DECISION_WORDS, err);
        (void)err_context(err, "decision");
        return rc;
    }
    *out = (enum gate_decision)value;
    return 0;
}

int gate_answer_read(struct arena *a, yyjson_val *v, struct gate_answer *out, struct err *err) {
    struct body b;
    *out = (struct gate_answer){.decision = GATE_APPROVE};
    if (yyjson_is_bool(v)) {
        out->decision = yyjson_get_bool(v) ? GATE_APPROVE : GATE_REJECT;
        return 0;
    }
    if (yyjson_is_str(v))
        return read_word(json_str(v), &out->decision, err);
    body_init(&b, a, v);
    out->reason = body_str_sized(&b, "reason", 0, GATE_TEXT_BYTES_MAX, STR_NULL);
    out->actor = body_str_sized(&b, "actor", 1, GATE_NAME_BYTES_MAX, STR_NULL);
    out->evidence = body_object_val(&b, "evidence");
    str word = body_str(&b, "decision", STR_NULL);
    int rc = body_done(&b, err);
    if (rc < 0 || (out->evidence && !word.p))
        return rc;
    if (out->evidence)
        return err_set(err, ERR_INVALID, "say a decision or evidence, not both");
    return read_word(word, &out->decision, err);
}

int gate_decide(const struct gate *g, enum gate_decision decision, enum gate_status *out,
                struct err *err) {
    if (decision == GATE_APPROVE && g->kind == GATE_QUALITY)
        return err_set(err, ERR_CONFLICT,
                       "A quality gate is passed by evidence; it can be waived or rejected");
    if (decision == GATE_WAIVE && !g->waivable)
        return err_set(err, ERR_CONFLICT, "This gate cannot be waived");
    *out = decision == GATE_APPROVE  ? GATE_PASSED
           : decision == GATE_REJECT ? GATE_FAILED
                                     : GATE_WAIVED;
    return 0;
}
