/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.h - for tests of dialects: bodies from flat messages, answers from bytes. */
#ifndef HF_TESTS_LLM_DIALECT_H
#define HF_TESTS_LLM_DIALECT_H

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "llm/fault.h"
#include "llm/provider.h"

#define KEY "sk-very-secret"
#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

static inline void expect_body(const struct llm_provider *provider, struct llm_request *r,
                               const char *const *flat, size_t count, const char *wanted) {
    struct arena a;
    struct buf body;
    struct err err = {0};
    struct message messages[16];
    arena_init(&a, 1 << 24);
    buf_init(&body, 1 << 20);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(message_parse_flat(&a, str_of(flat[i]), &messages[i], NULL), 0);
    r->messages = messages;
    r->message_count = count;
    if (llm_write_body(provider, r, &body, &err) < 0)
        fail_msg("%s", err.message);
    buf_char(&body, '\0');
    assert_string_equal(body.p, wanted);
    buf_deinit(&body);
    arena_deinit(&a);
}

struct parsed {
    struct arena arena;
    struct llm_assembler as;
    struct llm_response out;
    struct err err;
    struct buf shown; /* "text", "~thought", "#0 id name", "#0+ arguments", one a line */
    int rc;
};

static inline void parsed_delta(void *ctx, const struct llm_delta *d) {
    struct parsed *p = ctx;
    if (d->content.p)
        buf_printf(&p->shown, STR_FMT "\n", STR_ARG(d->content));
    if (d->thinking.p)
        buf_printf(&p->shown, "~" STR_FMT "\n", STR_ARG(d->thinking));
    if (d->tool_call && d->tool_call->name.len)
        buf_printf(&p->shown, "#%d " STR_FMT " " STR_FMT "\n", d->tool_call->index,
                   STR_ARG(d->tool_call->id), STR_ARG(d->tool_call->name));
    if (d->tool_call && d->tool_call->arguments.len)
        buf_printf(&p->shown, "#%d+ " STR_FMT "\n", d->tool_call->index,
                   STR_ARG(d->tool_call->arguments));
}

static inline void parsed_init(struct parsed *p) {
    *p = (struct parsed){0};
    arena_init(&p->arena, 1 << 24);
    buf_init(&p->shown, 1 << 20);
    llm_assembler_init(&p->as, &p->arena, parsed_delta, p);
}

static inline void parse_stream(struct parsed *p, const struct llm_provider *provider,
                                const char *stream, size_t step) {
    struct llm_stream s;
    str all = str_of(stream);
    parsed_init(p);
    llm_stream_init(&s, provider, &p->as, STR("host:1"), STR(KEY));
    for (size_t at = 0; p->rc == 0 && at < all.len; at += step)
        p->rc = llm_stream_feed(&s, str_slice(all, at, at + step), &p->err);
    if (p->rc == 0)
        p->rc = llm_stream_end(&s, &p->err);
    if (p->rc == 0)
        llm_assembler_finish(&p->as, &p->out);
    llm_stream_deinit(&s);
}

static inline void parse_whole(struct parsed *p, const struct llm_provider *provider,
                               const char *body) {
    parsed_init(p);
    p->rc = llm_read_answer(provider, &p->as, str_of(body), STR("host:1"), STR(KEY), &p->err);
    if (p->rc == 0)
        llm_assembler_finish(&p->as, &p->out);
}

static inline void parsed_free(struct parsed *p) {
    llm_assembler_deinit(&p->as);
    buf_deinit(&p->shown);
    arena_deinit(&p->arena);
}

static inline void expect_refused(struct parsed *p, int code, const char *words) {
    if (p->rc != code || str_find(str_of(p->err.message), str_of(words)) < 0)
        fail_msg("%s: %s", err_name(p->rc), p->err.message);
    assert_int_equal(p->err.code, p->rc);
    assert_true(str_find(str_of(p->err.message), STR(KEY)) < 0);
    parsed_free(p);
}

#endif
