/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every form of message that clients send becomes the one flat form, byte for byte, and wrong
 * ones are refused with the place named.
 * Method: each case is a JSON text with the exact flat text expected ("@" stands for a new id). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/id.h"
#include "model/message.h"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static yyjson_val *parse(const char *text) {
    yyjson_val *root = NULL;
    struct err err = {0};
    int rc = json_parse(&arena, str_of(text), &root, &err);
    if (rc < 0)
        fail_msg("test input is not JSON: %s: %s", text, err.message);
    return root;
}

static struct message normal(const char *text) {
    struct message m;
    struct err err = {0};
    if (message_normalise(&arena, parse(text), &m, &err) < 0)
        fail_msg("refused: %s: %s", text, err.message);
    assert_null(m.root);
    return m;
}

/* A "@" in the expectation stands for the message's id. */
static void expect(const char *in, const char *flat) {
    struct message m = normal(in), again;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (const char *p = flat; *p; p++) {
        if (*p == '@')
            buf_str(&b, m.id);
        else
            buf_char(&b, *p);
    }
    buf_char(&b, '\0');
    assert_string_equal(m.json.p, b.p);
    buf_deinit(&b);
    assert_int_equal(message_normalise(&arena, parse(m.json.p), &again, NULL), 0);
    assert_string_equal(again.json.p, m.json.p);
    assert_int_equal(again.type, m.type);
}

static void expect_refused(const char *in, const char *message) {
    struct message m = {.type = MESSAGE_TOOL};
    struct err err = {0};
    assert_int_equal(message_normalise(&arena, parse(in), &m, &err), ERR_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(m.type, MESSAGE_TOOL); /* outputs only on success */
}

#define TAIL     "\"additional_kwargs\":{},\"response_metadata\":{},\"id\":"
#define NO_CALLS "\"tool_calls\":[],\"invalid_tool_calls\":[],"

static void test_roles_and_types(void **state) {
    (void)state;
    expect("{\"role\":\"user\",\"content\":\"hi\",\"id\":\"1\"}",
           "{\"content\":\"hi\"," TAIL "\"1\",\"type\":\"human\"}");
    expect("{\"type\":\"human\",\"content\":\"hi\",\"id\":\"1\"}",
           "{\"content\":\"hi\"," TAIL "\"1\",\"type\":\"human\"}");
    expect("{\"role\":\"assistant\",\"content\":\"hi\"}",
           "{\"content\":\"hi\"," NO_CALLS TAIL "\"@\",\"type\":\"ai\"}");
    expect("{\"type\":\"AIMessageChunk\",\"content\":\"hi\"}",
           "{\"content\":\"hi\"," NO_CALLS TAIL "\"@\",\"type\":\"ai\"}");
    expect("{\"role\":\"system\",\"content\":\"s\"}",
           "{\"content\":\"s\"," TAIL "\"@\",\"type\":\"system\"}");
    expect("{\"type\":\"message\",\"role\":\"user\",\"content\":\"s\"}",
           "{\"content\":\"s\"," TAIL "\"@\",\"type\":\"human\"}");
    expect("{\"role\":\"critic\",\"content\":\"s\"}",
           "{\"content\":\"s\"," TAIL "\"@\",\"type\":\"chat\",\"role\":\"critic\"}");
    expect("{\"type\":\"mine\",\"content\":[]}",
           "{\"content\":[]," TAIL "\"@\",\"type\":\"mine\"}");
    expect("{\"type\":\"remove\",\"id\":\"m\"}",
           "{\"content\":\"\"," TAIL "\"m\",\"type\":\"remove\"}");
}

static void test_developer_is_marked_system(void **state) {
    (void)state;
    expect("{\"role\":\"developer\",\"content\":\"s\",\"additional_kwargs\":{\"k\":1}}",
           "{\"content\":\"s\",\"additional_kwargs\":{\"k\":1,\"__openai_role__\":\"developer\"},"
           "\"response_metadata\":{},\"id\":\"@\",\"type\":\"system\"}");
    expect("{\"role\":\"developer\",\"content\":\"s\"}",
           "{\"content\":\"s\",\"additional_kwargs\":{\"__openai_role__\":\"developer\"},"
           "\"response_metadata\":{},\"id\":\"@\",\"type\":\"system\"}");
}

static void test_short_forms(void **state) {
    (void)state;
    expect("\"just \\\"text\\\"\"",
           "{\"content\":\"just \\\"text\\\"\"," TAIL "\"@\",\"type\":\"human\"}");
    expect("[\"human\",\"t\"]", "{\"content\":\"t\"," TAIL "\"@\",\"type\":\"human\"}");
    expect("[\"assistant\",\"t\"]", "{\"content\":\"t\"," NO_CALLS TAIL "\"@\",\"type\":\"ai\"}");
    expect("[\"critic\",\"t\"]",
           "{\"content\":\"t\"," TAIL "\"@\",\"type\":\"chat\",\"role\":\"critic\"}");
}

static void test_constructor_forms(void **state) {
    (void)state;
    expect("{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain_core\",\"messages\","
           "\"HumanMessage\"],\"kwargs\":{\"content\":\"hi\",\"id\":\"7\",\"type\":\"human\"}}",
           "{\"content\":\"hi\"," TAIL "\"7\",\"type\":\"human\"}");
    expect("{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain\",\"schema\",\"messages\","
           "\"AIMessageChunk\"],\"kwargs\":{\"tool_calls\":[{\"name\":\"f\",\"args\":{\"a\":1},"
           "\"id\":\"c\"}]}}",
           "{\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{\"a\":1},\"id\":\"c\","
           "\"type\":\"tool_call\"}],\"invalid_tool_calls\":[]," TAIL "\"@\",\"type\":\"ai\"}");
    expect("{\"type\":\"human\",\"data\":{\"content\":\"hi\",\"id\":null,\"name\":null}}",
           "{\"content\":\"hi\"," TAIL "\"@\",\"type\":\"human\"}");
    expect("{\"type\":\"human\",\"content\":\"x\",\"lc\":1,\"data\":{}}",
           "{\"content\":\"x\"," TAIL "\"@\",\"type\":\"human\",\"lc\":1,\"data\":{}}");
}

static void test_members_are_kept(void **state) {
    (void)state;
    expect("{\"mine\":[1,{}],\"type\":\"human\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
           "\"b\"],\"name\":\"ann\",\"tool_calls\":[],\"response_metadata\":{\"m\":1}}",
           "{\"content\":[{\"type\":\"text\",\"text\":\"a\"},\"b\"],\"additional_kwargs\":{},"
           "\"response_metadata\":{\"m\":1},\"id\":\"@\",\"name\":\"ann\",\"type\":\"human\","
           "\"mine\":[1,{}],\"tool_calls\":[]}");
    expect("{\"role\":\"assistant\",\"content\":\"x\",\"refusal\":null,\"usage_metadata\":"
           "{\"input_tokens\":1}}",
           "{\"content\":\"x\"," NO_CALLS "\"usage_metadata\":{\"input_tokens\":1}," TAIL
           "\"@\",\"type\":\"ai\",\"refusal\":null}");
}

static void test_openai_tool_calls(void **state) {
    (void)state;
    expect("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":"
           "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{ \\\"a\\\": [1, 2] }\"}},"
           "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"
           "\"\"}}]}",
           "{\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{\"a\":[1,2]},\"id\":\"c1\","
           "\"type\":\"tool_call\"},{\"name\":\"g\",\"args\":{},\"id\":\"c2\",\"type\":"
           "\"tool_call\"}],\"invalid_tool_calls\":[]," TAIL "\"@\",\"type\":\"ai\"}");
    expect("{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
           "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}]}",
           "{\"content\":\"\",\"tool_calls\":[],\"invalid_tool_calls\":[{\"name\":\"f\",\"args\":"
           "\"[1]\",\"id\":\"c\",\"error\":\"The arguments of the call are not valid: must be a "
           "JSON object\",\"type\":\"invalid_tool_call\"}]," TAIL "\"@\",\"type\":\"ai\"}");
    /* Older clients repeat the calls in additional_kwargs only. */
    expect("{\"type\":\"ai\",\"content\":\"\",\"tool_calls\":[],\"additional_kwargs\":"
           "{\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}",
           "{\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{},\"id\":\"c\",\"type\":"
           "\"tool_call\"}],\"invalid_tool_calls\":[],\"additional_kwargs\":{\"tool_calls\":"
           "[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
           "\"response_metadata\":{},\"id\":\"@\",\"type\":\"ai\"}");
}

static void test_deep_arguments_are_invalid(void **state) {
    (void)state;
    char in[2048];
    size_t at = (size_t)snprintf(in, sizeof(in), "%s",
                                 "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":"
                                 "\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"");
    memset(in + at, '[', MESSAGE_ARGUMENTS_DEPTH_MAX + 1);
    at += MESSAGE_ARGUMENTS_DEPTH_MAX + 1;
    (void)snprintf(in + at, sizeof(in) - at, "\"}}]}");
    struct message m = normal(in);
    assert_int_equal(message_load(&arena, &m, NULL), 0);
    assert_int_equal(yyjson_arr_size(message_tool_calls(&m)), 0);
    yyjson_val *invalid = json_get(m.root, "invalid_tool_calls");
    assert_int_equal(yyjson_arr_size(invalid), 1);
    str error = json_str(json_get(yyjson_arr_get_first(invalid), "error"));
    assert_true(str_ends(error, STR("nested too deep")));
}

static void test_tool_messages(void **state) {
    (void)state;
    expect("{\"role\":\"tool\",\"content\":\"2\",\"tool_call_id\":\"c\",\"name\":\"f\"}",
           "{\"content\":\"2\"," TAIL "\"@\",\"name\":\"f\",\"type\":\"tool\",\"tool_call_id\":"
           "\"c\",\"status\":\"success\"}");
    expect("{\"type\":\"tool\",\"content\":{\"a\":1},\"tool_call_id\":5,\"status\":\"error\","
           "\"artifact\":[1],\"id\":9}",
           "{\"content\":\"{\\\"a\\\":1}\"," TAIL "\"9\",\"type\":\"tool\",\"tool_call_id\":\"5\","
           "\"status\":\"error\",\"artifact\":[1]}");
}

static void test_refusals(void **state) {
    (void)state;
    expect_refused("{\"content\":\"x\"}", "must have a \"role\" or a \"type\"");
    expect_refused("{\"role\":\"user\"}", "content: is required");
    expect_refused("{\"role\":\"user\",\"content\":{}}",
                   "content: must be a string or an array of content parts");
    expect_refused("{\"role\":\"user\",\"content\":[1]}",
                   "content: must be a string or an array of content parts");
    expect_refused("{\"role\":3,\"content\":\"\"}", "role: must be a string that is not empty");
    expect_refused("{\"type\":\"\",\"content\":\"\"}", "type: must be a string that is not empty");
    expect_refused("{\"type\":\"message\",\"content\":\"\"}", "role: is required");
    expect_refused("{\"type\":\"tool\",\"content\":\"\"}", "tool_call_id: is required");
    expect_refused("{\"type\":\"tool\",\"content\":\"\",\"tool_call_id\":\"c\",\"status\":\"bad\"}",
                   "status: must be success or error");
    expect_refused("{\"type\":\"remove\"}", "id: is required");
    expect_refused("{\"type\":\"human\",\"content\":\"\",\"id\":{}}", "id: must be a string");
    expect_refused("{\"type\":\"human\",\"content\":\"\",\"name\":1}", "name: must be a string");
    expect_refused("{\"type\":\"human\",\"content\":\"\",\"additional_kwargs\":[]}",
                   "additional_kwargs: must be an object");
    expect_refused("{\"type\":\"ai\",\"content\":\"\",\"tool_calls\":{}}",
                   "tool_calls: must be an array");
    expect_refused("{\"type\":\"ai\",\"tool_calls\":[{\"name\":\"f\"},{}]}",
                   "tool_calls[1]: name: must be a string");
    expect_refused("5", "must be a message object, a [role, content] pair or a string");
    expect_refused("[\"human\"]", "a pair must be [role, content]");
    expect_refused("{\"lc\":1,\"type\":\"constructor\",\"id\":[\"x\",\"Document\"],\"kwargs\":{}}",
                   "id: must end with the class name of a message");
    expect_refused("{\"lc\":1,\"type\":\"not_implemented\",\"id\":[\"x\",\"AIMessage\"]}",
                   "type: of an lc object must be \"constructor\"");
}

static void test_lists(void **state) {
    (void)state;
    struct message *list;
    size_t count;
    struct err err = {0};
    yyjson_val *in = parse("[\"a\",[\"ai\",\"b\"],{\"role\":\"user\",\"content\":\"c\"}]");
    assert_int_equal(message_normalise_list(&arena, in, &list, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_int_equal(list[0].type, MESSAGE_HUMAN);
    assert_int_equal(list[1].type, MESSAGE_AI);
    assert_int_equal(list[2].type, MESSAGE_HUMAN);
    assert_string_not_equal(list[0].id.p, list[2].id.p);
    struct id id;
    assert_true(id_parse(list[0].id, &id));
    assert_int_equal(message_normalise_list(&arena, parse("\"one\""), &list, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(message_normalise_list(&arena, parse("[]"), &list, &count, &err), 0);
    assert_int_equal(count, 0);
    in = parse("[\"a\",\"b\",{\"role\":\"user\"}]");
    assert_int_equal(message_normalise_list(&arena, in, &list, &count, &err), ERR_INVALID);
    assert_string_equal(err.message, "messages[2]: content: is required");
}

static void test_result_outlives_its_input(void **state) {
    (void)state;
    struct arena other;
    struct message m;
    yyjson_val *in = NULL;
    arena_init(&other, 1 << 20);
    str text = STR("{\"type\":\"mine\",\"id\":\"i\",\"content\":\"c\"}");
    assert_int_equal(json_parse(&other, text, &in, NULL), 0);
    assert_int_equal(message_normalise(&arena, in, &m, NULL), 0);
    arena_deinit(&other);
    assert_string_equal(m.id.p, "i");
    assert_true(str_eq(message_type_name(&m), STR("mine")));
    assert_true(str_eq(message_text(&arena, &m), STR("c")));
}

static void test_full_arena_is_refused(void **state) {
    (void)state;
    struct arena small;
    struct message m, *list;
    size_t count, bytes = 200000;
    char *text = arena_alloc(&arena, bytes + 3);
    memset(text, 'x', bytes + 2);
    text[0] = text[bytes + 1] = '"';
    text[bytes + 2] = '\0';
    yyjson_val *in = parse(text);
    arena_init(&small, 100000);
    assert_int_equal(message_normalise(&small, in, &m, NULL), ERR_TOO_LARGE);
    arena_deinit(&small);
    arena_init(&small, 4096);
    char many[4098] = "[";
    for (size_t i = 1; i < 4096; i++)
        many[i] = i % 2 ? '0' : ',';
    many[4096] = ']';
    in = parse(many);
    assert_int_equal(message_normalise_list(&small, in, &list, &count, NULL), ERR_TOO_LARGE);
    arena_deinit(&small);
}

static void test_parse_flat(void **state) {
    (void)state;
    struct message m;
    struct err err = {0};
    str flat = STR("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\"},"
                   "\"b\",{\"type\":\"output_text\",\"text\":\"c\"}],"
                   "\"tool_calls\":[{\"name\":\"f\"}],\"id\":\"1\",\"type\":\"ai\"}");
    assert_int_equal(message_parse_flat(&arena, flat, &m, &err), 0);
    assert_int_equal(m.type, MESSAGE_AI);
    assert_ptr_equal(m.json.p, flat.p);
    assert_string_equal(message_text(&arena, &m).p, "abc");
    assert_int_equal(yyjson_arr_size(message_tool_calls(&m)), 1);
    assert_int_equal(message_parse_flat(&arena, STR("{\"type\":\"ai\"}"), &m, &err), ERR_CORRUPT);
    assert_int_equal(message_parse_flat(&arena, STR("[]"), &m, &err), ERR_CORRUPT);
    assert_int_equal(message_parse_flat(&arena, STR("{"), &m, &err), ERR_CORRUPT);
    flat = STR("{\"content\":\"\",\"id\":\"1\",\"type\":\"user\"}");
    assert_int_equal(message_parse_flat(&arena, flat, &m, &err), 0);
    assert_int_equal(m.type, MESSAGE_OTHER); /* a flat form never says user */
    assert_null(message_tool_calls(&m));
}

static void expect_made(struct message *m, const char *flat) {
    struct message again;
    assert_string_equal(m->json.p, flat);
    assert_int_equal(message_normalise(&arena, parse(m->json.p), &again, NULL), 0);
    assert_string_equal(again.json.p, flat);
    assert_int_equal(again.type, m->type);
}

static void test_made_messages_are_flat(void **state) {
    (void)state;
    struct message m;
    message_make_human(&arena, STR("h"), STR("a\"b"), &m);
    expect_made(&m, "{\"content\":\"a\\\"b\"," TAIL "\"h\",\"type\":\"human\"}");
    message_make_tool(&arena, STR("t"), STR("c"), STR("f"), STR("boom"), true, &m);
    expect_made(&m, "{\"content\":\"boom\"," TAIL "\"t\",\"name\":\"f\",\"type\":\"tool\","
                    "\"tool_call_id\":\"c\",\"status\":\"error\"}");
    struct message_ai ai = {.id = STR("a"),
                            .tool_calls = STR("[{\"name\":\"f\",\"args\":{},\"id\":\"c\","
                                              "\"type\":\"tool_call\"}]"),
                            .response_metadata = STR("{\"model\":\"x\"}"),
                            .input_tokens = 3,
                            .output_tokens = 4};
    message_make_ai(&arena, &ai, &m);
    expect_made(&m, "{\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{},\"id\":\"c\","
                    "\"type\":\"tool_call\"}],\"invalid_tool_calls\":[],\"usage_metadata\":"
                    "{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7},"
                    "\"additional_kwargs\":{},\"response_metadata\":{\"model\":\"x\"},\"id\":\"a\","
                    "\"type\":\"ai\"}");
    ai = (struct message_ai){.content = STR("x"), .input_tokens = -1, .output_tokens = -1};
    message_make_ai(&arena, &ai, &m);
    struct id id;
    assert_true(id_parse(m.id, &id));
    assert_int_equal(message_load(&arena, &m, NULL), 0);
    assert_null(json_get(m.root, "usage_metadata"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_roles_and_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_developer_is_marked_system, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_constructor_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_members_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_openai_tool_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep_arguments_are_invalid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tool_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_result_outlives_its_input, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_arena_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parse_flat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_made_messages_are_flat, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
