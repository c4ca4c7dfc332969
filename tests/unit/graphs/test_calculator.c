/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the calculator tool computes what its header promises and refuses everything else with a
 * text that a model can act on.
 * Method: tables of expression and exact answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "graphs/calculator.h"

struct sample {
    const char *expression, *answer;
};

static void check(const struct sample *samples, size_t count, bool failing) {
    for (size_t i = 0; i < count; i++) {
        struct arena a;
        bool failed = !failing;
        arena_init(&a, 1 << 20);
        str answer = calculator_answer(&a, str_of(samples[i].expression), &failed);
        if (failed != failing || !str_eq(answer, str_of(samples[i].answer)))
            fail_msg("%s gave %s, not %s", samples[i].expression, answer.p, samples[i].answer);
        arena_deinit(&a);
    }
}

static void test_results(void **state) {
    (void)state;
    static const struct sample SAMPLES[] = {
        {"1 + 2 * 3", "7"},
        {"(1 + 2) * 3", "9"},
        {" 10 - 4 - 3 ", "3"},
        {"2 * 3 % 4", "2"},
        {"-7 % 3", "-1"},
        {"7.5 % 2", "1.5"},
        {"1 / 4", "0.25"},
        {"0.1 + 0.2", "0.30000000000000004"},
        {"-2 ^ 2", "-4"},
        {"(-2) ^ 2", "4"},
        {"2 ^ 3 ^ 2", "512"},
        {"2 ** 10", "1024"},
        {"2 ^ -1", "0.5"},
        {"4 ^ 0.5", "2"},
        {"--3", "3"},
        {"-+-+3", "3"},
        {"3 - -3", "6"},
        {".5 + 5.", "5.5"},
        {"1e3 + 1E-3", "1000.001"},
        {"123456789 * 987654321", "121932631112635260"},
        {"2 ^ 40", "1099511627776"},
        {"0 * -1", "0"},
        {"sqrt(16)", "4"},
        {"SQRT (2)", "1.4142135623730951"},
        {"abs(-3.5)", "3.5"},
        {"round(2.5)", "3"},
        {"round(-2.5)", "-3"},
        {"round(2.34567, 2)", "2.35"},
        {"round(1234, -2)", "1200"},
        {"floor(-1.5)", "-2"},
        {"ceil(1.2)", "2"},
        {"min(3, 1, 2)", "1"},
        {"max(3, 1, 2)", "3"},
        {"max(-1)", "-1"},
        {"log(1000)", "3"},
        {"log(8, 2)", "3"},
        {"ln(e)", "1"},
        {"exp(0)", "1"},
        {"sin(0) + cos(0) + tan(0)", "1"},
        {"pi", "3.141592653589793"},
        {"PI", "3.141592653589793"},
        {"2*e", "5.43656365691809"},
        {"((((1))))", "1"},
    };
    check(SAMPLES, ARRAY_COUNT(SAMPLES), false);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct sample SAMPLES[] = {
        {"", "Error: the expression is empty"},
        {" \t\n", "Error: the expression is empty"},
        {"1 +", "Error: expected a number, a name or '(', found the end"},
        {"1 + ,", "Error: expected a number, a name or '(', found ',' at position 5"},
        {"(1 + 2", "Error: expected an operator or ')', found the end"},
        {"1 2", "Error: expected an operator or the end, found '2' at position 3"},
        {"1)", "Error: expected an operator or the end, found ')' at position 2"},
        {"2e", "Error: expected an operator or the end, found 'e' at position 2"},
        {".", "Error: expected a digit, found the end"},
        {"1,000", "Error: expected an operator or the end, found ',' at position 2"},
        {"\xc3\xa9", "Error: expected a number, a name or '(', found byte 0xc3 at position 1"},
        {"x + 1", "Error: unknown name 'x' at position 1"},
        {"__import__('os')", "Error: unknown name '__import__' at position 1"},
        {"sqrt 4", "Error: expected '(' after the name of a function, found '4' at position 6"},
        {"sqrt()", "Error: expected a number, a name or '(', found ')' at position 6"},
        {"sqrt(1, 2)", "Error: sqrt takes at most 1 values"},
        {"max(1 2)", "Error: expected ',' or ')', found '2' at position 7"},
        {"1 / 0", "Error: division by zero"},
        {"1 % (2 - 2)", "Error: division by zero"},
        {"0 ^ -1", "Error: division by zero"},
        {"(-8) ^ (1/3)", "Error: a fractional power of a negative number"},
        {"sqrt(-1)", "Error: sqrt of a negative number"},
        {"ln(0)", "Error: ln needs a number above 0"},
        {"log(2, 1)", "Error: the base of log must be above 0 and not 1"},
        {"round(1, 0.5)", "Error: round takes from -15 to 15 digits"},
        {"10 ^ 400", "Error: the result is too large"},
        {"1e308 * 10", "Error: the result is too large"},
        {"exp(1000)", "Error: the result is too large"},
    };
    check(SAMPLES, ARRAY_COUNT(SAMPLES), true);
}

/* prefix repeated, then "1", then suffix repeated. */
static int eval_nested(size_t depth, const char *prefix, const char *suffix, double *out,
                       struct err *err) {
    char text[CALCULATOR_BYTES_MAX * 2];
    size_t at = 0;
    for (size_t i = 0; i < depth; i++)
        for (const char *p = prefix; *p; p++)
            text[at++] = *p;
    text[at++] = '1';
    for (size_t i = 0; i < depth; i++)
        for (const char *p = suffix; *p; p++)
            text[at++] = *p;
    return calculator_eval(str_n(text, at), out, err);
}

static void test_limits(void **state) {
    (void)state;
    double v = 0;
    struct err err = {0};
    assert_int_equal(eval_nested(CALCULATOR_DEPTH_MAX - 1, "(", ")", &v, &err), 0);
    assert_true(v == 1);
    assert_int_equal(eval_nested(CALCULATOR_DEPTH_MAX, "(", ")", &v, &err), ERR_INVALID);
    assert_string_equal(err.message, "the expression is nested too deep");
    assert_int_equal(eval_nested(CALCULATOR_DEPTH_MAX + 1, "1^", "", &v, &err), ERR_INVALID);
    assert_string_equal(err.message, "the expression is nested too deep");
    /* Signs and sums do not nest. */
    assert_int_equal(eval_nested(CALCULATOR_BYTES_MAX - 1, "-", "", &v, &err), 0);
    assert_true(v == -1);
    assert_int_equal(eval_nested(CALCULATOR_BYTES_MAX / 2 - 1, "1+", "", &v, &err), 0);
    assert_true(v == CALCULATOR_BYTES_MAX / 2);
    assert_int_equal(eval_nested(CALCULATOR_BYTES_MAX, "-", "", &v, &err), ERR_INVALID);
    assert_string_equal(err.message, "the expression is longer than 1000 bytes");
    assert_int_equal(eval_nested(200, "9", "", &v, &err), ERR_INVALID);
    assert_string_equal(err.message, "the number at position 1 is too long");
    assert_true(v == CALCULATOR_BYTES_MAX / 2); /* outputs only on success */
}

static void test_many_arguments(void **state) {
    (void)state;
    char text[200] = "max(";
    size_t at = 4;
    double v = 0;
    struct err err = {0};
    for (int i = 0; i < CALCULATOR_ARGUMENTS_MAX; i++) {
        text[at++] = (char)('0' + i % 10);
        text[at++] = ',';
    }
    text[at - 1] = ')';
    assert_int_equal(calculator_eval(str_n(text, at), &v, &err), 0);
    assert_true(v == 9);
    text[at - 1] = ',';
    text[at] = '1';
    assert_int_equal(calculator_eval(str_n(text, at + 1), &v, &err), ERR_INVALID);
    assert_string_equal(err.message, "max takes at most 32 values");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
