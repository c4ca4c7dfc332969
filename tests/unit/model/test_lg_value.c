/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: values that LangGraph's savers wrote become the JSON that states show, and messages go back
 * as constructors; nothing hostile passes.
 * Method: bytes that the Python library wrote (langgraph-checkpoint 4), texts of the JavaScript
 * one, and inputs broken on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/lg_value.h"
#include "model/message.h"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* {"t":(1,2),"s":{3},"d":datetime,"date":…,"td":timedelta,"b":b"\x00\xff","u":UUID,"dec":Decimal,
 * 5:"intkey","p":model,"dc":dataclass,"f":1.5,"big":2**63,"nan":nan,"none":None,"fs":frozenset,
 * "tuplekey":{(1,2):3}} */
static const char EXTRA[] =
    "de0011a174920102a173d80093a86275696c74696e73a37365749103a164c73b0394a86461746574696d65"
    "a86461746574696d65b9323032342d30312d30325430333a30343a30352b30303a3030ad66726f6d69736f"
    "666f726d6174a464617465c7150193a86461746574696d65a46461746593cd07e80102a27464c7180193a8"
    "6461746574696d65a974696d6564656c746193010203a162c40200ffa175c72d0093a475756964a4555549"
    "44d9203030303030303030303030303030303030303030303030303030303030303035a3646563c7150093"
    "a7646563696d616ca7446563696d616ca3312e3505a6696e746b6579a170c7280594a85f5f6d61696e5f5f"
    "a15082a16101a162a178b36d6f64656c5f76616c69646174655f6a736f6ea26463d80293a85f5f6d61696e"
    "5f5fa14481a17801a166cb3ff8000000000000a3626967cf8000000000000000a36e616ecb7ff800000000"
    "0000a46e6f6e65c0a26673c7160093a86275696c74696e73a966726f7a656e7365749101a87475706c656b"
    "65798192010203";

/* human, ai with a tool call, tool, system, ai with parts */
static const char MESSAGES[] =
    "95c7890594bd6c616e67636861696e5f636f72652e6d657373616765732e68756d616eac48756d616e4d65"
    "737361676586a7636f6e74656e74a26869b16164646974696f6e616c5f6b776172677380b1726573706f6e"
    "73655f6d6574616461746180a474797065a568756d616ea46e616d65c0a26964a26831b36d6f64656c5f76"
    "616c69646174655f6a736f6ec801050594ba6c616e67636861696e5f636f72652e6d657373616765732e61"
    "69a941494d65737361676589a7636f6e74656e74a0b16164646974696f6e616c5f6b776172677380b17265"
    "73706f6e73655f6d6574616461746180a474797065a26169a46e616d65c0a26964a26131aa746f6f6c5f63"
    "616c6c739184a46e616d65a463616c63a46172677381a165a3362a37a26964a26331a474797065a9746f6f"
    "6c5f63616c6cb2696e76616c69645f746f6f6c5f63616c6c7390ae75736167655f6d6574616461746183ac"
    "696e7075745f746f6b656e7301ad6f75747075745f746f6b656e7302ac746f74616c5f746f6b656e7303b3"
    "6d6f64656c5f76616c69646174655f6a736f6ec7b60594bc6c616e67636861696e5f636f72652e6d657373"
    "616765732e746f6f6cab546f6f6c4d65737361676589a7636f6e74656e74a23432b16164646974696f6e61"
    "6c5f6b776172677380b1726573706f6e73655f6d6574616461746180a474797065a4746f6f6ca46e616d65"
    "a463616c63a26964a27431ac746f6f6c5f63616c6c5f6964a26331a8617274696661637481a16b01a67374"
    "61747573a773756363657373b36d6f64656c5f76616c69646174655f6a736f6ec78d0594be6c616e676368"
    "61696e5f636f72652e6d657373616765732e73797374656dad53797374656d4d65737361676586a7636f6e"
    "74656e74a3737973b16164646974696f6e616c5f6b776172677380b1726573706f6e73655f6d6574616461"
    "746180a474797065a673797374656da46e616d65c0a26964a27331b36d6f64656c5f76616c69646174655f"
    "6a736f6ec7c10594ba6c616e67636861696e5f636f72652e6d657373616765732e6169a941494d65737361"
    "676589a7636f6e74656e749182a474797065a474657874a474657874a23432b16164646974696f6e616c5f"
    "6b776172677380b1726573706f6e73655f6d6574616461746180a474797065a26169a46e616d65c0a26964"
    "a26132aa746f6f6c5f63616c6c7390b2696e76616c69645f746f6f6c5f63616c6c7390ae75736167655f6d"
    "65746164617461c0b36d6f64656c5f76616c69646174655f6a736f6e";

static int digit_of(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static str from_hex(const char *hex) {
    size_t n = strlen(hex) / 2;
    char *p = arena_alloc(&arena, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
    return str_n(p, n);
}

static void expect(const char *type, str bytes, const char *wanted) {
    str text;
    struct err err = {0};
    int rc = lg_value_read(&arena, str_of(type), bytes, &text, &err);
    if (rc < 0)
        fail_msg("%s: %s", type, err.message);
    assert_string_equal(arena_z(&arena, text), wanted);
}

static void expect_rc(const char *type, str bytes, int wanted) {
    str text;
    struct err err = {0};
    assert_int_equal(lg_value_read(&arena, str_of(type), bytes, &text, &err), wanted);
    assert_int_equal(err.code, wanted);
    assert_true(err.message[0] != 0);
}

static void test_python_values(void **state) {
    (void)state;
    expect("msgpack", from_hex(EXTRA),
           "{\"t\":[1,2],\"s\":[3],\"d\":\"2024-01-02T03:04:05+00:00\",\"date\":[2024,1,2],"
           "\"td\":[1,2,3],\"b\":\"AP8=\",\"u\":\"00000000000000000000000000000005\","
           "\"dec\":\"1.5\",\"5\":\"intkey\",\"p\":{\"a\":1,\"b\":\"x\"},\"dc\":{\"x\":1},"
           "\"f\":1.5,\"big\":9223372036854775808,\"nan\":null,\"none\":null,\"fs\":[1],"
           "\"tuplekey\":{\"[1,2]\":3}}");
    expect("null", STR(""), "null");
    expect("bytes", STR("\0\1\2\3"), "\"AAECAw==\"");
    expect("bytearray", STR(""), "\"\"");
    str none = STR("x");
    assert_int_equal(lg_value_read(&arena, STR("empty"), STR_NULL, &none, NULL), 0);
    assert_null(none.p);
}

static void test_python_messages(void **state) {
    (void)state;
    str text;
    yyjson_val *root;
    struct message *list;
    size_t count;
    assert_int_equal(lg_value_read(&arena, STR("msgpack"), from_hex(MESSAGES), &text, NULL), 0);
    assert_int_equal(json_parse(&arena, text, &root, NULL), 0);
    assert_int_equal(message_normalise_list(&arena, root, &list, &count, NULL), 0);
    assert_int_equal(count, 5);
    static const char *const wanted[] = {
        "{\"content\":\"hi\",\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"h1\","
        "\"type\":\"human\"}",
        "{\"content\":\"\",\"tool_calls\":[{\"name\":\"calc\",\"args\":{\"e\":\"6*7\"},\"id\":"
        "\"c1\",\"type\":\"tool_call\"}],\"invalid_tool_calls\":[],\"usage_metadata\":"
        "{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3},\"additional_kwargs\":{},"
        "\"response_metadata\":{},\"id\":\"a1\",\"type\":\"ai\"}",
        NULL,
        "{\"content\":\"sys\",\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"s1\","
        "\"type\":\"system\"}",
        "{\"content\":[{\"type\":\"text\",\"text\":\"42\"}],\"tool_calls\":[],"
        "\"invalid_tool_calls\":[],\"additional_kwargs\":{},\"response_metadata\":{},\"id\":"
        "\"a2\",\"type\":\"ai\"}",
    };
    for (size_t i = 0; i < count; i++) {
        str shown = json_text(&arena, yyjson_arr_get(root, i));
        assert_string_equal(arena_z(&arena, shown), arena_z(&arena, list[i].json));
        if (wanted[i])
            assert_string_equal(arena_z(&arena, shown), wanted[i]);
    }
    yyjson_val *tool = yyjson_arr_get(root, 2);
    assert_true(str_eq(json_str(json_get(tool, "tool_call_id")), STR("c1")));
    assert_int_equal(yyjson_get_int(json_get(json_get(tool, "artifact"), "k")), 1);
}

static void test_lc_forms(void **state) {
    (void)state;
    expect("json",
           STR("{\"u\":{\"lc\":2,\"type\":\"undefined\"},\"l\":[{\"lc\":2,\"type\":\"undefined\"}],"
               "\"s\":{\"lc\":2,\"type\":\"constructor\",\"id\":[\"Set\"],\"method\":null,\"args\":"
               "[[1]],\"kwargs\":{}},\"m\":{\"lc\":2,\"type\":\"constructor\",\"id\":[\"Map\"],"
               "\"args\":[[[\"a\",{\"b\":1}]]]},\"m2\":{\"lc\":2,\"type\":\"constructor\",\"id\":"
               "[\"Map\"],\"args\":[[[1,2]]]},\"r\":{\"lc\":2,\"type\":\"constructor\",\"id\":"
               "[\"RegExp\"],\"args\":[\"x\",\"g\"]},\"e\":{\"lc\":2,\"type\":\"constructor\","
               "\"id\":[\"Error\"],\"args\":[\"bad\"]},\"b\":{\"lc\":2,\"type\":\"constructor\","
               "\"id\":[\"Uint8Array\"],\"method\":\"from\",\"args\":[[0,255]]},\"n\":null}"),
           "{\"l\":[null],\"s\":[1],\"m\":{\"a\":{\"b\":1}},\"m2\":[[1,2]],\"r\":\"/x/g\","
           "\"e\":\"bad\",\"b\":\"AP8=\",\"n\":null}");
    expect("json",
           STR("[{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain_core\",\"messages\","
               "\"HumanMessage\"],\"kwargs\":{\"content\":\"hi\"}},{\"lc\":1,\"type\":"
               "\"constructor\",\"id\":[\"x\",\"Document\"],\"kwargs\":{\"page\":1}},{\"lc\":1,"
               "\"type\":\"secret\",\"id\":[\"KEY\"]},{\"lc\":\"3\"}]"),
           "[{\"content\":\"hi\",\"additional_kwargs\":{},\"response_metadata\":{},\"id\":null,"
           "\"type\":\"human\"},{\"page\":1},{\"lc\":1,\"type\":\"secret\",\"id\":[\"KEY\"]},"
           "{\"lc\":\"3\"}]");
    expect("json", STR(" [1, 2]"), " [1, 2]");
}

static void test_messages_round_trip(void **state) {
    (void)state;
    static const str flats[] = {
        STR("{\"content\":\"a\\u0001\\\"\",\"additional_kwargs\":{\"k\":[1]},"
            "\"response_metadata\":{},\"id\":\"1\",\"name\":\"n\",\"type\":\"human\"}"),
        STR("{\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":{},\"id\":\"c\",\"type\":"
            "\"tool_call\"}],\"invalid_tool_calls\":[],\"additional_kwargs\":{},"
            "\"response_metadata\":{},\"id\":\"2\",\"type\":\"ai\"}"),
        STR("{\"content\":\"r\",\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"3\","
            "\"name\":\"f\",\"type\":\"tool\",\"tool_call_id\":\"c\",\"status\":\"error\"}"),
        STR("{\"content\":\"\",\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"4\","
            "\"type\":\"remove\"}"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(flats); i++) {
        yyjson_val *root;
        struct buf b;
        str back;
        assert_int_equal(json_parse(&arena, flats[i], &root, NULL), 0);
        buf_init(&b, 1 << 20);
        struct json_writer w = json_writer(&b);
        lg_message_write(&w, root);
        assert_true(str_find(buf_view(&b), STR("\"langchain_core\",\"messages\"")) > 0);
        assert_int_equal(lg_json_view(&arena, arena_dup(&arena, buf_view(&b)), &back, NULL), 0);
        assert_string_equal(arena_z(&arena, back), arena_z(&arena, flats[i]));
        buf_deinit(&b);
    }
}

static void test_hostile(void **state) {
    (void)state;
    str lists = arena_dup(&arena, STR(""));
    char *deep = arena_alloc(&arena, 1000);
    memset(deep, 0x91, 999);
    deep[999] = 0x01;
    lists = str_n(deep, 1000);
    expect_rc("msgpack", lists, ERR_TOO_LARGE);
    expect_rc("msgpack", STR(""), ERR_CORRUPT);
    expect_rc("msgpack", STR("\x01\x01"), ERR_CORRUPT);
    expect_rc("msgpack", STR("\xdd\xff\xff\xff\xff\x01"), ERR_CORRUPT);
    expect_rc("msgpack", STR("\xc7\x03\x05\x91\x01\x01"), ERR_CORRUPT);
    expect_rc("msgpack", STR("\x81\x81\x91\x01\x01\x01"), ERR_CORRUPT); /* a key in a key */
    expect("msgpack",
           STR("\xa3"
               "a\xff\0"),
           "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    expect("msgpack", STR("\xd4\x63\x01"), "\"AQ==\""); /* an unknown extension */
    expect_rc("json", STR("{\"lc\":"), ERR_CORRUPT);
    expect_rc("pickle", STR("x"), ERR_UNSUPPORTED);
    expect_rc("json+aes", STR("x"), ERR_UNSUPPORTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_python_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_python_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lc_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
