/* SPDX-License-Identifier: Apache-2.0 */
/* test_trace_context.c - traceparent as W3C Trace Context has it.
 * Goal: what is valid is read and written back, all else is refused. Method: a table, and every
 * text that differs from a valid one in one place. */
#include "base/trace_context.h"

#include "base/err.h"

#include "check.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void round_trip(void **state) {
    (void)state;
    struct trace_context c;
    char out[TRACE_PARENT_LEN];
    assert_true(trace_context_parse(STR(GOOD), STR("a=1,b=2"), &c));
    trace_context_write(&c, out);
    assert_memory_equal(out, GOOD, sizeof(out));
    assert_true(str_eq(c.state, STR("a=1,b=2")));
    assert_int_equal(c.flags, TRACE_SAMPLED);
    assert_true(trace_context_known(&c));
    assert_false(trace_context_known(NULL));
    assert_false(trace_context_known(&(struct trace_context){0}));
}

static void what_is_valid(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"", false},
        {GOOD "-more", false},
        {"01"
         "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
         true},
        {"01"
         "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
         false},
        {"ff"
         "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
         false},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct trace_context c = {.flags = 0x55};
        bool valid = trace_context_parse(str_of(cases[i].text), STR_NULL, &c);
        if (valid != cases[i].valid)
            fail_msg("%s: %d", cases[i].text, valid);
        if (!valid)
            assert_int_equal(c.flags, 0x55); /* untouched */
    }
    assert_false(trace_context_parse(STR_NULL, STR_NULL, &(struct trace_context){0}));
}

static void one_place_differs(void **state) {
    (void)state;
    static const char other[] = {'g', ' ', '/', ':', '@', '`', 'A', '\0', '\x7f'};
    for (size_t at = 0; at < TRACE_PARENT_LEN; at++)
        for (size_t k = 0; k < sizeof(other); k++) {
            char text[] = GOOD;
            struct trace_context c;
            text[at] = other[k];
            assert_false(trace_context_parse(str_n(text, TRACE_PARENT_LEN), STR_NULL, &c));
        }
    for (size_t len = 0; len < TRACE_PARENT_LEN; len++)
        assert_false(trace_context_parse(str_n(GOOD, len), STR_NULL, &(struct trace_context){0}));
}

static void states(void **state) {
    (void)state;
    struct trace_context c;
    char large[TRACE_STATE_BYTES_MAX + 1];
    memset(large, 'a', sizeof(large));
    large[1] = '=';
    assert_true(trace_context_parse(STR(GOOD), str_n(large, sizeof(large) - 1), &c));
    assert_int_equal(c.state.len, TRACE_STATE_BYTES_MAX);
    assert_true(trace_context_parse(STR(GOOD), str_n(large, sizeof(large)), &c));
    assert_null(c.state.p);
    assert_true(trace_context_parse(STR(GOOD), STR("a=\r\nx: y"), &c));
    assert_null(c.state.p);
    assert_true(trace_context_parse(STR(GOOD), STR("nothing"), &c));
    assert_null(c.state.p);
    assert_true(trace_context_parse(STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe"),
                                    STR_NULL, &c));
    assert_int_equal(c.flags, TRACE_RANDOM); /* what is not known is not handed on */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(what_is_valid),
        cmocka_unit_test(one_place_differs),
        cmocka_unit_test(states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
