/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the JSON in a model's answer is found, whatever stands around it, and nothing is invented.
 * Method: texts as models write them, and what must be found in each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/extract.h"

static void expect(const char *text, const char *found) {
    struct arena a;
    arena_init(&a, 1 << 22);
    yyjson_val *v = extract_json(&a, str_of(text));
    str got = v ? json_text(&a, v) : STR("(none)");
    if (!str_eq(got, str_of(found)))
        fail_msg("%s: found %.*s, not %s", text, STR_ARG(got), found);
    arena_deinit(&a);
}

static void test_found(void **state) {
    (void)state;
    expect("{\"a\": 1}", "{\"a\":1}");
    expect("  [1, 2]\n", "[1,2]");
    expect("17", "17");
    expect("Sure!\n```json\n[{\"a\": 1}]\n```\nAnything else?", "[{\"a\":1}]");
    expect("```\n{\"a\": 1}\n```", "{\"a\":1}");
    expect("```json\n{\"a\": 1}", "{\"a\":1}"); /* cut off behind the value */
    expect("```sh\nls [a]\n``` and ```json\n{\"b\": 2}\n```", "{\"b\":2}");
    expect("The plan: {\"a\": \"}{\"} as wanted", "{\"a\":\"}{\"}");
    expect("[see below] {\"a\": \"\\\"[\"}", "{\"a\":\"\\\"[\"}");
    expect("(]) }{ [1]", "[1]");
}

static void test_nothing(void **state) {
    (void)state;
    expect("", "(none)");
    expect("no value here, \"quoted\" only", "(none)");
    expect("{\"a\": 1", "(none)");
    expect("``` no json ```", "(none)");
    expect("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ {\"a\":1}", "(none)"); /* too many tries */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_found),
                                       cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
