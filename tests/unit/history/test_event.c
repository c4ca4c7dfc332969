/* SPDX-License-Identifier: Apache-2.0 */
/* test_event.c - envelopes are read, checked and written as event.h says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/event.h"

#define NOW 1700000000000000

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1u << 20);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static int read(str text, struct history_event *out, str *out_session, struct err *err) {
    yyjson_val *root;
    assert_int_equal(json_parse(&arena, text, &root, NULL), 0);
    return history_event_read(root, NOW, &arena, out, out_session, err);
}

static void check_round_trip(str text, str want) {
    struct history_event e;
    struct err err = {0};
    str session;
    int rc = read(text, &e, &session, &err);
    if (rc < 0)
        fail_msg("%s", err.message);
    struct buf b;
    buf_init(&b, 1u << 20);
    struct json_writer w = json_writer(&b);
    history_event_write(&w, &e, session);
    if (!str_eq(buf_view(&b), want))
        fail_msg("wrote " STR_FMT, STR_ARG(buf_view(&b)));
    buf_deinit(&b);
}

static void envelopes_come_back(void **state) {
    (void)state;
    check_round_trip(STR("{\"payload\":{\"b\": 1, \"a\":[ ]},\"type\":\"t\",\"id\":\"x\","
                         "\"occurredAt\":\"2023-11-15T00:13:20+02:00\",\"sessionId\":\"s\","
                         "\"source\":\"me\",\"traceId\":\"tr\",\"ttlMs\":5,"
                         "\"headers\":{\"z\":\"1\",\"a\":\"2\"},\"unknown\":1}"),
                     STR("{\"id\":\"x\",\"type\":\"t\","
                         "\"occurredAt\":\"2023-11-14T22:13:20.000000Z\",\"sessionId\":\"s\","
                         "\"source\":\"me\",\"traceId\":\"tr\",\"ttlMs\":5,"
                         "\"headers\":{\"a\":\"2\",\"z\":\"1\"},\"payload\":{\"b\":1,\"a\":[]}}"));
    check_round_trip(STR("{\"payload\":null,\"type\":\"t\",\"id\":\"x\",\"headers\":{}}"),
                     STR("{\"id\":\"x\",\"type\":\"t\","
                         "\"occurredAt\":\"2023-11-14T22:13:20.000000Z\",\"payload\":null}"));
    check_round_trip(STR("{\"payloadBase64\":\"AAEC/w==\",\"type\":\"t\",\"id\":\"x\"}"),
                     STR("{\"id\":\"x\",\"type\":\"t\","
                         "\"occurredAt\":\"2023-11-14T22:13:20.000000Z\","
                         "\"payloadBase64\":\"AAEC/w==\"}"));
    check_round_trip(STR("{\"payloadBase64\":\"\",\"type\":\"t\",\"id\":\"x\"}"),
                     STR("{\"id\":\"x\",\"type\":\"t\","
                         "\"occurredAt\":\"2023-11-14T22:13:20.000000Z\",\"payloadBase64\":\"\"}"));
}

static void missing_ids_are_made(void **state) {
    struct history_event a, b;
    str session;
    (void)state;
    assert_int_equal(read(STR("{\"type\":\"t\",\"payload\":1}"), &a, &session, NULL), 0);
    assert_int_equal(read(STR("{\"type\":\"t\",\"payload\":1}"), &b, &session, NULL), 0);
    assert_int_equal(a.id.len, 36);
    assert_false(str_eq(a.id, b.id));
    assert_null(session.p);
    assert_int_equal(a.occurred_at, NOW);
}

static void faults_name_the_member(void **state) {
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"[]", "an event must be an object"},
        {"{\"payload\":1}", "type: must have"},
        {"{\"type\":\"\",\"payload\":1}", "type: must have"},
        {"{\"type\":\"t\"}", "payload: is required"},
        {"{\"type\":1,\"payload\":1}", "type: must be a string"},
        {"{\"type\":\"t\",\"payload\":1,\"payloadBase64\":\"\"}", "payload: not together"},
        {"{\"type\":\"t\",\"payloadBase64\":\"x\"}", "payloadBase64: must be base64"},
        {"{\"type\":\"t\",\"payload\":1,\"ttlMs\":0}", "ttlMs: must be"},
        {"{\"type\":\"t\",\"payload\":1,\"ttlMs\":1.5}", "ttlMs: must be"},
        {"{\"type\":\"t\",\"payload\":1,\"ttlMs\":9223372036854775807}", "ttlMs: must be"},
        {"{\"type\":\"t\",\"payload\":1,\"occurredAt\":\"yesterday\"}", "occurredAt: must be"},
        {"{\"type\":\"t\",\"payload\":1,\"occurredAt\":7}", "occurredAt: must be a string"},
        {"{\"type\":\"t\",\"payload\":1,\"headers\":[]}", "headers: must be"},
        {"{\"type\":\"t\",\"payload\":1,\"headers\":{\"a\":1}}", "headers: must be"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct history_event e;
        struct err err = {0};
        str session;
        assert_int_equal(read(str_of(cases[i].text), &e, &session, &err), ERR_INVALID);
        if (!str_starts(str_of(err.message), str_of(cases[i].fault)))
            fail_msg("%s gives %s", cases[i].text, err.message);
    }
}

static void digests_tell_contents_apart(void **state) {
    const struct history_event base = {.id = STR("x"),
                                       .type = STR("t"),
                                       .payload = STR("1"),
                                       .payload_kind = HISTORY_JSON,
                                       .occurred_at = NOW};
    struct history_event others[8];
    unsigned char digest[HASH_XXH3_BYTES], other[HASH_XXH3_BYTES];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        others[i] = base;
    others[0].type = STR("u");
    others[1].payload = STR("2");
    others[2].payload_kind = HISTORY_BYTES;
    others[3].occurred_at++;
    others[4].source = STR("s");
    others[5].trace_id = STR("s");
    others[6].ttl_ms = 1;
    others[7].headers = STR("{\"a\":\"b\"}");
    history_event_digest(&base, digest);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        history_event_digest(&others[i], other);
        assert_memory_not_equal(digest, other, sizeof digest);
    }
    history_event_digest(&base, digest);
    others[1] = others[2] = base; /* times that the server gave are not part of it */
    others[1].occurred_at_is_ours = others[2].occurred_at_is_ours = true;
    others[2].occurred_at++;
    unsigned char another[HASH_XXH3_BYTES];
    history_event_digest(&others[1], other);
    history_event_digest(&others[2], another);
    assert_memory_equal(other, another, sizeof other);
    assert_memory_not_equal(other, digest, sizeof other);
    others[0] = base;
    others[0].id = STR("y"); /* not part of it */
    others[0].seq = 5;
    history_event_digest(&others[0], other);
    assert_memory_equal(digest, other, sizeof digest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(envelopes_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_ids_are_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_name_the_member, set_up, tear_down),
        cmocka_unit_test(digests_tell_contents_apart),
    };
    return cmocka_run_group_tests_name("history/event", tests, NULL, NULL);
}
