/* SPDX-License-Identifier: Apache-2.0 */
/* test_jsonrpc.c - messages of JSON-RPC. Goal: each kind is told apart, what is none is refused,
 * and an answer belongs to the request it names. Method: tables. */
#include "mcp/jsonrpc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int read_text(struct arena *a, const char *text, struct jsonrpc_message *out,
                     struct err *err) {
    yyjson_val *root;
    assert_int_equal(json_parse(a, str_of(text), &root, NULL), 0);
    return jsonrpc_read(root, out, err);
}

#define V "{\"jsonrpc\":\"2.0\","

static void test_kinds(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum jsonrpc_kind kind;
        bool answers_7;
    } rows[] = {
        {V "\"id\":7,\"result\":{}}", JSONRPC_RESULT, true},
        {V "\"id\":\"7\",\"result\":{},\"error\":null}", JSONRPC_RESULT, true},
        {V "\"id\":8,\"result\":{}}", JSONRPC_RESULT, false},
        {V "\"id\":\"seven\",\"result\":{}}", JSONRPC_RESULT, false},
        {V "\"id\":7,\"error\":{\"code\":-32601,\"message\":\"no\"}}", JSONRPC_ERROR, true},
        {V "\"id\":null,\"error\":{\"code\":-32700}}", JSONRPC_ERROR, true},
        {V "\"error\":{\"code\":1e300,\"message\":7}}", JSONRPC_ERROR, true},
        {V "\"method\":\"ping\",\"id\":7}", JSONRPC_REQUEST, false},
        {V "\"method\":\"notifications/progress\",\"params\":{}}", JSONRPC_NOTIFICATION, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena a;
        struct jsonrpc_message m;
        struct err err = {0};
        arena_init(&a, 1 << 20);
        if (read_text(&a, rows[i].text, &m, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.message);
        assert_int_equal(m.kind, rows[i].kind);
        assert_int_equal(jsonrpc_answers(&m, 7), rows[i].answers_7);
        arena_deinit(&a);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "[]",
        "7",
        "{}",
        "{\"jsonrpc\":\"1.0\",\"id\":7,\"result\":{}}",
        V "\"id\":7}",
        V "\"id\":7,\"result\":[]}",
        V "\"result\":{}}",
        V "\"id\":{},\"result\":{}}",
        V "\"id\":1.5,\"result\":{}}",
        V "\"id\":7,\"error\":\"text\"}",
        V "\"id\":7,\"error\":{\"message\":\"no code\"}}",
        V "\"method\":\"\"}",
        V "\"method\":7,\"id\":7}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena a;
        struct jsonrpc_message m;
        struct err err = {0};
        arena_init(&a, 1 << 20);
        if (read_text(&a, rows[i], &m, &err) != ERR_MALFORMED)
            fail_msg("%s is accepted", rows[i]);
        assert_true(err.message[0] != '\0');
        arena_deinit(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
