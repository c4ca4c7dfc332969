/* SPDX-License-Identifier: Apache-2.0 */
/* test_embeddings.c - answers of embedding servers.
 *
 * Goal: vectors stand where their index says; what is no such answer is an error with a reason.
 * Method: a table of bodies. Calls, repetitions and failures: tests/integration/run-store. */
#include "llm/embeddings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_order(void **state) {
    (void)state;
    float out[4] = {0};
    str body = STR("{\"data\":[{\"index\":1,\"embedding\":[3,-4.5]},"
                   "{\"index\":0,\"embedding\":[1e-3,2]}],\"model\":\"m\"}");
    assert_int_equal(embeddings_read_answer(body, 2, 2, out, STR("h"), NULL), 0);
    assert_true(out[0] == 1e-3f && out[1] == 2 && out[2] == 3 && out[3] == -4.5f);
}

static void test_wrong(void **state) {
    (void)state;
    static const struct {
        const char *body, *reason;
    } rows[] = {
        {"<html>", "cannot be understood"},
        {"{}", "number of vectors"},
        {"{\"data\":[{}]}", "no index"},
        {"{\"data\":[{\"index\":1,\"embedding\":[1,2]}]}", "no index"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1]}]}", "vectors of 1 numbers, not 2"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1,\"x\"]}]}", "else than numbers"},
        {"{\"data\":[{\"index\":0,\"embedding\":[1,1e39]}]}", "else than numbers"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        float out[2];
        struct err err = {0};
        assert_int_equal(embeddings_read_answer(str_of(rows[i].body), 1, 2, out, STR("h"), &err),
                         ERR_MODEL_PROTOCOL);
        assert_non_null(strstr(err.message, rows[i].reason));
    }
    float out[2];
    str twice = STR("{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}");
    assert_int_equal(embeddings_read_answer(twice, 2, 1, out, STR("h"), NULL), ERR_MODEL_PROTOCOL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
