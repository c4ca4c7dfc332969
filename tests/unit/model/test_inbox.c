/* SPDX-License-Identifier: Apache-2.0 */
/* test_inbox.c - proofs and keys of deliveries.
 *
 * Goal: the examples of the schemes' own documents are proved; another body, time or secret is not;
 * what names a delivery is looked for in its order, and two kinds of names never meet. Method:
 * published vectors; tables of requests. */
#include "model/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

struct pairs {
    const char *text[8][2];
};

static bool header_at(void *ctx, size_t n, str *out_name, str *out_value) {
    const struct pairs *p = ctx;
    if (n >= ARRAY_COUNT(p->text) || !p->text[n][0])
        return false;
    *out_name = str_of(p->text[n][0]);
    *out_value = str_of(p->text[n][1]);
    return true;
}

static bool proved(struct inbox_rule rule, struct pairs headers, const char *body, int64_t now_s) {
    struct inbox_request q = {
        .header = header_at, .ctx = &headers, .body = str_of(body), .now_s = now_s};
    return inbox_proved(&rule, &q, &arena);
}

/* The examples of Standard Webhooks' libraries and of GitHub's documentation. */
static void test_published(void **state) {
    (void)state;
    struct inbox_rule standard = {.secret = STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")};
    struct pairs h = {{{"Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
                       {"Webhook-Timestamp", "1614265330"},
                       {"Webhook-Signature",
                        "v2,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}}};
    const char *body = "{\"test\": 2432232314}";
    assert_true(proved(standard, h, body, 1614265330));
    assert_true(proved(standard, h, body, 1614265330 + INBOX_LATE_S));
    assert_false(proved(standard, h, body, 1614265330 + INBOX_LATE_S + 1));
    assert_false(proved(standard, h, body, 1614265330 - INBOX_LATE_S - 1));
    assert_false(proved(standard, h, "{\"test\": 2432232315}", 1614265330));
    h.text[0][1] = "msg_p5jXN8AQM9LWM0D4loKWxJel";
    assert_false(proved(standard, h, body, 1614265330));
    struct inbox_rule github = {.scheme = INBOX_GITHUB,
                                .secret = STR("It's a Secret to Everybody")};
    struct pairs g = {{{"x-hub-signature-256",
                        "sha256="
                        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}}};
    assert_true(proved(github, g, "Hello, World!", 0));
    assert_false(proved(github, g, "Hello, World?", 0));
    assert_false(proved(github, (struct pairs){{{"x-hub-signature-256", ""}}}, "", 0));
}

static str key_of(enum inbox_scheme scheme, const char *key_header, struct pairs headers,
                  const char *body) {
    struct inbox_rule rule = {.scheme = scheme, .key_header = str_of(key_header)};
    struct inbox_request q = {.header = header_at, .ctx = &headers, .body = str_of(body)};
    struct inbox_event *events;
    size_t count;
    bool batch;
    assert_int_equal(inbox_events_read(&rule, &q, &arena, &events, &count, &batch, NULL), 0);
    assert_int_equal(count, 1);
    return events[0].key;
}

static void test_keys(void **state) {
    (void)state;
    struct pairs both = {{{"webhook-id", "a"}, {"idempotency-key", "a"}, {"x-key", "a"}}};
    struct pairs second = {{{"idempotency-key", "a"}}}, first = {{{"webhook-id", "a"}}};
    struct pairs none = {{{NULL, NULL}}};
    struct pairs cloud = {{{"ce-specversion", "1.0"}, {"ce-id", "a"}, {"ce-source", "s"},
                           {"ce-type", "t"}}};
    str k[] = {key_of(INBOX_STANDARD, NULL, first, "1"), key_of(INBOX_STANDARD, NULL, second, "1"),
               key_of(INBOX_STANDARD, NULL, none, "1"), key_of(INBOX_STANDARD, NULL, none, "2"),
               key_of(INBOX_STANDARD, "x-key", both, "1"), key_of(INBOX_STANDARD, NULL, cloud, "1"),
               key_of(INBOX_STRIPE, NULL, none, "{\"id\":\"a\"}")};
    for (size_t i = 0; i < ARRAY_COUNT(k); i++)
        for (size_t j = 0; j < i; j++)
            assert_false(str_eq(k[i], k[j]));
    assert_true(str_eq(k[0], key_of(INBOX_STANDARD, NULL, both, "2")));
    assert_true(str_eq(k[5], key_of(INBOX_STANDARD, NULL, cloud, "2")));
    assert_true(str_eq(k[6], key_of(INBOX_STRIPE, NULL, none, "{\"id\":\"a\",\"x\":1}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published),
                                       cmocka_unit_test(test_keys)};
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests_name("inbox", tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
