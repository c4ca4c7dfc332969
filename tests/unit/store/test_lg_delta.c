/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the value of a delta channel is made of what was written, by the forms that are met.
 * Method: parts as the libraries keep them, and the value that their reducers give; whole threads
 * of both libraries are in tests/integration/run-rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/lg_delta.h"

#define PARTS(...) (const str[]){__VA_ARGS__}, sizeof((const str[]){__VA_ARGS__}) / sizeof(str)
#define M(id, text) "{\"type\":\"human\",\"content\":\"" text "\",\"id\":\"" id "\"}"
#define GONE(id)    "{\"type\":\"remove\",\"id\":\"" id "\"}"

static void expect(const str *parts, size_t count, const char *value) {
    struct arena a;
    str got;
    arena_init(&a, 1 << 22);
    assert_int_equal(lg_delta_fold(&a, parts, count, &got, NULL), 0);
    str wanted = value ? str_of(value) : STR_NULL;
    if (!str_eq(got, wanted) || !got.p != !wanted.p)
        fail_msg("got " STR_FMT ", not " STR_FMT, STR_ARG(got), STR_ARG(wanted));
    arena_deinit(&a);
}

static void test_messages(void **state) {
    (void)state;
    expect(PARTS(STR("[" M("1", "a") "]"), STR(M("2", "b")), STR("[" M("1", "c") "]")),
           "[" M("1", "c") "," M("2", "b") "]");
    expect(PARTS(STR("[" M("1", "a") "," M("2", "b") "]"), STR(GONE("1")), STR(GONE("9"))),
           "[" M("2", "b") "]");
    expect(PARTS(STR(M("1", "a")), STR(GONE("1")), STR(M("1", "again"))),
           "[" M("1", "again") "]");
    expect(PARTS(STR(M("1", "a")), STR(GONE("__remove_all__")), STR(M("2", "b"))),
           "[" M("2", "b") "]");
    expect(PARTS(STR("{\"role\":\"user\",\"content\":\"x\"}"),
                 STR("{\"role\":\"user\",\"content\":\"x\"}")),
           "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\",\"content\":\"x\"}]");
}

static void test_others(void **state) {
    (void)state;
    expect(PARTS(STR("[1]"), STR("[2,[3]]"), STR("[]")), "[1,2,[3]]");
    expect(PARTS(STR("[]")), "[]");
    expect(PARTS(STR("{\"a\":1}"), STR("{\"b\":2,\"a\":3}")), "{\"a\":3,\"b\":2}");
    expect(PARTS(STR("[1]"), STR("{\"__overwrite__\":[9]}"), STR("[2]")), "[9,2]");
    expect(PARTS(STR("[1]"), STR("{\"__overwrite__\":null}"), STR("[2]")), "[2]");
    expect(PARTS(STR("[" M("1", "a") "]"), STR("[5]")), "[" M("1", "a") ",5]");
    expect(NULL, 0, NULL);
    expect(PARTS(STR("1"), STR("2")), NULL); /* a sum? the last? nobody knows */
    expect(PARTS(STR("null")), NULL);
}

static void test_wrong(void **state) {
    (void)state;
    struct arena a;
    str got;
    arena_init(&a, 1 << 20);
    assert_int_equal(lg_delta_fold(&a, PARTS(STR("[1]"), STR("{")), &got, NULL), ERR_CORRUPT);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
