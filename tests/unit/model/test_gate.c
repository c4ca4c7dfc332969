/* SPDX-License-Identifier: Apache-2.0 */
/* test_gate.c - gates, evidence and answers.
 *
 * Goal: a gate that says what it cannot mean is refused; evidence passes a gate when every
 * condition holds, in whatever order it came, and fails it only when the gate says so; answers mean
 * what people mean by them. Method: tables of texts. */
#include "model/gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static yyjson_val *value(const char *text) {
    yyjson_val *v;
    assert_int_equal(json_parse(&arena, str_of(text), &v, NULL), 0);
    return v;
}

static void test_gates(void **state) {
    (void)state;
    static const struct {
        const char *text, *why; /* NULL: it is fine */
    } rows[] = {
        {"[]", NULL},
        {"null", NULL},
        {"[{\"kind\":\"manual\"},{\"kind\":\"manual\",\"name\":\"b\",\"expires_in\":2}]", NULL},
        {"[{\"kind\":\"quality\",\"rule\":[{\"metric\":\"x\",\"equals\":\"ok\"}]}]", NULL},
        {"{}", "list"},
        {"[7]", "object"},
        {"[{}]", "kind: is required"},
        {"[{\"kind\":\"other\"}]", "kind"},
        {"[{\"kind\":\"quality\"}]", "rule"},
        {"[{\"kind\":\"quality\",\"rule\":[]}]", "rule"},
        {"[{\"kind\":\"manual\",\"rule\":[{\"metric\":\"x\",\"equals\":1}]}]", "rule"},
        {"[{\"kind\":\"quality\",\"rule\":[{\"equals\":1}]}]", "metric"},
        {"[{\"kind\":\"quality\",\"rule\":[{\"metric\":\"x\"}]}]", "one of"},
        {"[{\"kind\":\"quality\",\"rule\":[{\"metric\":\"x\",\"equals\":1,\"at_most\":1}]}]",
         "one of"},
        {"[{\"kind\":\"quality\",\"rule\":[{\"metric\":\"x\",\"at_most\":\"1\"}]}]", "number"},
        {"[{\"kind\":\"quality\",\"rule\":[{\"metric\":\"x\",\"equals\":[]}]}]", "boolean"},
        {"[{\"kind\":\"manual\",\"expires_in\":0}]", "expires_in"},
        {"[{\"kind\":\"manual\",\"on_expiry\":\"pass\"}]", "on_expiry"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct gate *list;
        struct err err = {0};
        size_t count;
        int rc = gates_read(&arena, value(rows[i].text), &list, &count, &err);
        if (rc < 0 ? !rows[i].why || !strstr(err.message, rows[i].why) : rows[i].why != NULL)
            fail_msg("%s: %d, \"%s\"", rows[i].text, rc, err.message);
    }
}

#define RULE                                                                             \
    "[{\"kind\":\"quality\",\"on_miss\":\"%s\",\"rule\":[{\"metric\":\"cov\",\"at_least\":0.9}," \
    "{\"metric\":\"bugs\",\"at_most\":0},{\"metric\":\"lint\",\"equals\":\"ok\"}]}]"

static struct gate quality(const char *on_miss) {
    struct gate *list;
    char text[512];
    size_t count;
    snprintf(text, sizeof(text), RULE, on_miss);
    assert_int_equal(gates_read(&arena, value(text), &list, &count, NULL), 0);
    return list[0];
}

static void test_evidence(void **state) {
    (void)state;
    static const struct {
        const char *parts[3];
        enum gate_verdict waits, fails; /* as the gate says of a miss */
    } rows[] = {
        {{"{\"metrics\":{\"cov\":0.9,\"bugs\":0,\"lint\":\"ok\",\"more\":true}}"}, GATE_MET,
         GATE_MET},
        {{"{\"metrics\":{\"lint\":\"ok\"}}", "{\"metrics\":{\"bugs\":0.0}}",
          "{\"metrics\":{\"cov\":1}}"}, GATE_MET, GATE_MET},
        {{"{\"metrics\":{\"cov\":0.9,\"bugs\":0}}"}, GATE_OPEN, GATE_OPEN},
        {{"{\"uri\":\"s3://x\"}"}, GATE_OPEN, GATE_OPEN},
        {{"{\"metrics\":{\"cov\":0.89}}"}, GATE_OPEN, GATE_MISSED},
        {{"{\"metrics\":{\"cov\":\"1\"}}"}, GATE_OPEN, GATE_MISSED},
        {{"{\"metrics\":{\"lint\":\"no\"}}"}, GATE_OPEN, GATE_MISSED},
        {{"{\"metrics\":{\"cov\":0.1,\"bugs\":0,\"lint\":\"ok\"}}", "{\"metrics\":{\"cov\":2}}"},
         GATE_MET, GATE_MET},
    };
    struct gate waits = quality("wait"), fails = quality("fail");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        str all = STR_NULL, why;
        for (size_t k = 0; k < 3 && rows[i].parts[k]; k++)
            assert_int_equal(
                gate_evidence_merge(&arena, all, value(rows[i].parts[k]), &all, NULL), 0);
        assert_int_equal(gate_judge(&arena, &waits, all, &why), rows[i].waits);
        assert_int_equal(why.p == NULL, rows[i].waits == GATE_MET);
        assert_int_equal(gate_judge(&arena, &fails, all, &why), rows[i].fails);
    }
    str out;
    struct err err = {0};
    assert_int_equal(gate_evidence_merge(&arena, STR_NULL, value("{}"), &out, &err), ERR_INVALID);
    assert_int_equal(
        gate_evidence_merge(&arena, STR_NULL, value("{\"metrics\":{\"x\":[]}}"), &out, &err),
        ERR_INVALID);
    assert_int_equal(gate_evidence_merge(&arena, STR("{\"metrics\":{\"x\":1},\"uri\":\"a\"}"),
                                         value("{\"note\":\"n\",\"actor\":\"me\"}"), &out, &err),
                     0);
    assert_true(str_eq(out, STR("{\"metrics\":{\"x\":1},\"note\":\"n\",\"uri\":\"a\"}")));
}

static void test_answers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int rc;
        enum gate_decision decision;
    } rows[] = {
        {"true", 0, GATE_APPROVE},
        {"false", 0, GATE_REJECT},
        {"\"waive\"", 0, GATE_WAIVE},
        {"{\"decision\":\"reject\",\"reason\":\"no\"}", 0, GATE_REJECT},
        {"{\"evidence\":{\"metrics\":{}}}", 0, GATE_APPROVE},
        {"\"yes\"", ERR_INVALID, 0},
        {"{}", ERR_INVALID, 0},
        {"null", ERR_INVALID, 0},
        {"7", ERR_INVALID, 0},
        {"{\"decision\":\"approve\",\"evidence\":{}}", ERR_INVALID, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct gate_answer answer;
        int rc = gate_answer_read(&arena, value(rows[i].text), &answer, NULL);
        if (rc != rows[i].rc || (rc == 0 && answer.decision != rows[i].decision))
            fail_msg("%s: %d", rows[i].text, rc);
    }
    struct gate manual = {.kind = GATE_MANUAL, .waivable = true}, q = quality("wait");
    enum gate_status status;
    assert_int_equal(gate_decide(&manual, GATE_APPROVE, &status, NULL), 0);
    assert_int_equal(status, GATE_PASSED);
    assert_int_equal(gate_decide(&q, GATE_APPROVE, &status, NULL), ERR_CONFLICT);
    assert_int_equal(gate_decide(&q, GATE_WAIVE, &status, NULL), 0);
    assert_int_equal(status, GATE_WAIVED);
    manual.waivable = false;
    assert_int_equal(gate_decide(&manual, GATE_WAIVE, &status, NULL), ERR_CONFLICT);
    assert_int_equal(gate_decide(&manual, GATE_REJECT, &status, NULL), 0);
    assert_int_equal(status, GATE_FAILED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates),
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_answers),
    };
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests_name("gate", tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
