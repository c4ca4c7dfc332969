/* SPDX-License-Identifier: Apache-2.0 */
/* test_assembler.c - joining deltas. Goal: whatever way a server cuts its tool calls, the same
 * calls come out, numbered in order, with ids; arguments are judged, caps hold. Method: pieces fed
 * by hand, deltas recorded as text. */
#include "llm/assembler.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct scene {
    struct arena arena;
    struct llm_assembler as;
    struct llm_response out;
    struct buf log;
};

static void on_delta(void *ctx, const struct llm_delta *d) {
    struct scene *s = ctx;
    assert_true(d->message_id.len > 0);
    if (d->content.p)
        buf_printf(&s->log, "[" STR_FMT "]", STR_ARG(d->content));
    if (d->tool_call)
        buf_printf(&s->log, "{%d " STR_FMT " " STR_FMT "}", d->tool_call->index,
                   STR_ARG(d->tool_call->name), STR_ARG(d->tool_call->arguments));
}

static int setup(void **state) {
    static struct scene scene; /* one test at a time */
    struct scene *s = &scene;
    *s = (struct scene){0};
    arena_init(&s->arena, (size_t)64 << 20);
    buf_init(&s->log, 1 << 16);
    llm_assembler_init(&s->as, &s->arena, on_delta, s);
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    llm_assembler_deinit(&s->as);
    buf_deinit(&s->log);
    arena_deinit(&s->arena);
    return 0;
}

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        assert_int_equal(got_.len, strlen(z));                                                     \
        assert_memory_equal(got_.p, z, got_.len);                                                  \
    } while (0)

/* Empty texts stand for absent members. */
static void piece(struct scene *s, int64_t index, const char *id, const char *name,
                  const char *arguments) {
    assert_int_equal(llm_assembler_tool_call(&s->as, index, str_of(*id ? id : NULL),
                                             str_of(*name ? name : NULL),
                                             str_of(*arguments ? arguments : NULL), NULL),
                     0);
}

static void expect_calls(struct scene *s, size_t count, const char *const (*calls)[3]) {
    llm_assembler_finish(&s->as, &s->out);
    assert_int_equal(s->out.tool_call_count, count);
    for (size_t i = 0; i < count; i++) {
        if (calls[i][0])
            assert_str(s->out.tool_calls[i].id, calls[i][0]);
        else
            assert_true(s->out.tool_calls[i].id.len > 10);
        assert_str(s->out.tool_calls[i].name, calls[i][1]);
        assert_str(s->out.tool_calls[i].arguments, calls[i][2]);
        assert_true(s->out.tool_calls[i].arguments_valid);
    }
    assert_str(s->out.finish_reason, "tool_calls");
}

static void test_text(void **state) {
    struct scene *s = *state;
    llm_assembler_set_id(&s->as, STR(""));
    llm_assembler_set_id(&s->as, STR("one"));
    llm_assembler_set_id(&s->as, STR("two"));
    llm_assembler_set_model(&s->as, STR("m"));
    assert_int_equal(llm_assembler_content(&s->as, STR("a"), NULL), 0);
    assert_int_equal(llm_assembler_content(&s->as, STR(""), NULL), 0);
    assert_int_equal(llm_assembler_content(&s->as, STR("bc"), NULL), 0);
    llm_assembler_set_finish_reason(&s->as, STR("length"));
    llm_assembler_finish(&s->as, &s->out);
    assert_str(buf_view(&s->log), "[a][bc]");
    assert_str(s->out.id, "one");
    assert_str(s->out.model, "m");
    assert_str(s->out.content, "abc");
    assert_str(s->out.finish_reason, "length");
    assert_int_equal(s->as.delta_count, 2);
    assert_int_equal(s->out.input_tokens, -1);
    assert_int_equal(s->out.output_tokens, -1);
}

static void test_nothing(void **state) {
    struct scene *s = *state;
    llm_assembler_finish(&s->as, &s->out);
    assert_str(s->out.content, "");
    assert_str(s->out.finish_reason, "stop");
    assert_true(s->out.id.len > 10);
    assert_int_equal(s->out.tool_call_count, 0);
}

static void test_calls_by_index(void **state) {
    struct scene *s = *state;
    piece(s, 0, "a", "add", "");
    piece(s, 0, "", "", "{\"x\"");
    piece(s, 1, "b", "sub", "");
    piece(s, 0, "", "", ":1}");
    piece(s, 1, "", "", "{}");
    const char *const calls[][3] = {{"a", "add", "{\"x\":1}"}, {"b", "sub", "{}"}};
    expect_calls(s, 2, calls);
    assert_str(buf_view(&s->log), "{0 add }{0  {\"x\"}{1 sub }{0  :1}}{1  {}}");
}

static void test_calls_without_index(void **state) {
    struct scene *s = *state;
    piece(s, -1, "a", "add", "{\"x\":");
    piece(s, -1, "", "", "1}");
    piece(s, -1, "b", "sub", "{\"y\":");
    piece(s, -1, "b", "", "2}");
    const char *const calls[][3] = {{"a", "add", "{\"x\":1}"}, {"b", "sub", "{\"y\":2}"}};
    expect_calls(s, 2, calls);
}

static void test_calls_all_with_index_zero(void **state) {
    struct scene *s = *state;
    piece(s, 0, "a", "add", "{\"x\":1}");
    piece(s, 0, "b", "sub", "{\"y\":");
    piece(s, 0, "", "", "2}");
    const char *const calls[][3] = {{"a", "add", "{\"x\":1}"}, {"b", "sub", "{\"y\":2}"}};
    expect_calls(s, 2, calls);
}

static void test_calls_without_index_and_id(void **state) {
    struct scene *s = *state;
    piece(s, -1, "", "add", "{\"x\":1}");
    piece(s, -1, "", "add", "{\"x\":2}");
    piece(s, -1, "", "sub", "");
    const char *const calls[][3] = {
        {NULL, "add", "{\"x\":1}"}, {NULL, "add", "{\"x\":2}"}, {NULL, "sub", "{}"}};
    expect_calls(s, 3, calls);
    assert_false(str_eq(s->out.tool_calls[0].id, s->out.tool_calls[1].id));
}

/* Some servers repeat id and name in every piece. */
static void test_calls_with_repeated_head(void **state) {
    struct scene *s = *state;
    piece(s, 0, "a", "add", "{\"x\"");
    piece(s, 0, "a", "add", ":1}");
    piece(s, 1, "b", "add", "{}");
    const char *const calls[][3] = {{"a", "add", "{\"x\":1}"}, {"b", "add", "{}"}};
    expect_calls(s, 2, calls);
}

static void test_arguments_are_judged(void **state) {
    struct scene *s = *state;
    static const char *const bad[] = {"{", "[1]", "1", "null", "{\"a\":1}x", "\"{}\""};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        piece(s, (int64_t)i, "", "f", bad[i]);
    llm_assembler_finish(&s->as, &s->out);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(s->out.tool_calls[i].arguments_valid);
        assert_str(s->out.tool_calls[i].arguments, bad[i]);
    }
}

static void test_caps(void **state) {
    struct scene *s = *state;
    struct err err = {0};
    for (int i = 0; i < LLM_TOOL_CALL_COUNT_MAX; i++)
        piece(s, i, "", "f", "");
    assert_int_equal(llm_assembler_tool_call(&s->as, -1, STR("new"), STR("f"), STR_NULL, &err),
                     ERR_MODEL_PROTOCOL);
    str big = {mem_zalloc(LLM_CONTENT_BYTES_MAX), LLM_CONTENT_BYTES_MAX};
    s->as.on_delta = NULL;
    assert_int_equal(llm_assembler_content(&s->as, big, &err), 0);
    assert_int_equal(llm_assembler_content(&s->as, STR("x"), &err), ERR_MODEL_PROTOCOL);
    assert_int_equal(llm_assembler_tool_call(&s->as, 0, STR_NULL, STR_NULL, big, &err),
                     ERR_MODEL_PROTOCOL);
    mem_free((char *)big.p);
}

/* Thoughts are bounded together, and in their number. */
static void test_thoughts_are_bounded(void **state) {
    (void)state;
    struct llm_assembler as;
    struct arena a;
    struct err err = {0};
    static char much[LLM_CONTENT_BYTES_MAX / 4];
    arena_init(&a, SIZE_MAX / 2);
    memset(much, 'x', sizeof(much));
    for (int way = 0; way < 3; way++) {
        int rc = 0, n = 0;
        llm_assembler_init(&as, &a, NULL, NULL);
        for (; rc == 0 && n < 1000; n++) {
            str text = way == 2 ? STR("x") : str_n(much, sizeof(much));
            rc = way == 0   ? llm_assembler_thought(&as, n % 2, text, &err)
                 : way == 1 ? llm_assembler_sign_thought(&as, n % 2, text, &err)
                            : llm_assembler_redacted(&as, n, text, &err);
        }
        assert_int_equal(rc, ERR_MODEL_PROTOCOL);
        assert_int_equal(n, way == 2 ? LLM_THOUGHT_COUNT_MAX + 1 : 5);
        llm_assembler_deinit(&as);
    }
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_by_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_without_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_all_with_index_zero, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_without_index_and_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_calls_with_repeated_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments_are_judged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
        cmocka_unit_test(test_thoughts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
