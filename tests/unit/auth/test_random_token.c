/* SPDX-License-Identifier: Apache-2.0 */
/* test_random_token.c - Goal: two of them differ, each has the form and no other text has. Method:
 * a table of changes. */
#include "auth/random_token.h"

#include "auth/sessions.h"
#include "keys.h"

#define PREFIX STR("abc_")
#define BYTES  (4 + RANDOM_TOKEN_TEXT_BYTES)

static void test_form(void **state) {
    (void)state;
    char one[BYTES], two[BYTES];
    random_token_make(PREFIX, one);
    random_token_make(PREFIX, two);
    assert_memory_not_equal(one + 4, two + 4, RANDOM_TOKEN_TEXT_BYTES);
    assert_true(random_token_is_one(str_n(one, BYTES), PREFIX));
    assert_false(random_token_is_one(str_n(one, BYTES - 1), PREFIX));
    assert_false(random_token_is_one(str_n(one, BYTES), STR("abd_")));
    assert_false(random_token_is_one(str_n(one, BYTES), STR("abc")));
    assert_false(random_token_is_one(STR(""), PREFIX));
    assert_false(random_token_is_one(STR_NULL, PREFIX));
    for (size_t at = 0; at < BYTES; at++) {
        char kept = one[at];
        one[at] = at % 2 ? '+' : '=';
        assert_false(random_token_is_one(str_n(one, BYTES), PREFIX));
        one[at] = kept;
    }
    one[BYTES - 1] = one[BYTES - 1] == 'B' ? 'C' : 'B'; /* bits behind the last byte */
    assert_false(random_token_is_one(str_n(one, BYTES), PREFIX));
}

static void test_session(void **state) {
    (void)state;
    char text[SESSION_TOKEN_BYTES];
    random_token_make(STR(SESSION_TOKEN_PREFIX), text);
    assert_true(session_token_is_one(str_n(text, sizeof text)));
    text[2] = 'k'; /* an API key */
    assert_false(session_token_is_one(str_n(text, sizeof text)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_form), cmocka_unit_test(test_session)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
