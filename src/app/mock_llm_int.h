/* SPDX-License-Identifier: Apache-2.0 */
/* mock_llm_int.h - the parts of the model stand-in.
 *
 *     mock_llm.c     the server: routes, pacing, failures, statistics, options, the command
 *     mock_script.c  what a request asks for: a quick scan of the body, marks in the last message
 *     mock_frames.c  answers as ready-made frames
 *     mock_dialect.c requests and answers of other servers than OpenAI's
 *
 * Suspends: never. Tests: tests/unit/app/test_mock_llm.c */
#ifndef HF_APP_MOCK_LLM_INT_H
#define HF_APP_MOCK_LLM_INT_H

#include "app/mock_llm.h"
#include "base/arena.h"
#include "base/vec.h"

#define MOCK_ID_LEN         16
#define MOCK_TOKENS_MAX     100000
#define MOCK_FIXED_TOKENS   67
#define MOCK_TOOL_CALLS_MAX 32

/* An answer in both forms, for any number of requests: their ids are put in when it is sent. */
struct mock_frames {
    size_t refs;
    char model[128]; /* as JSON text, with quotes */
    size_t token_count;
    struct buf stream;   /* all frames but usage and [DONE] */
    VEC(uint32_t) ends;  /* of each frame: role, tokens…, finish */
    size_t stream_id_at; /* in each frame */
    struct buf whole;    /* the answer as one object, up to the numbers of its usage */
    size_t whole_id_at;
    size_t first_block; /* of Anthropic: the number of that behind the thoughts */
    bool baked;         /* made for one request, ids and usage in it */
};
enum mock_dialect { MOCK_OPENAI, MOCK_ANTHROPIC, MOCK_GOOGLE };

struct mock_tool_call {
    str name, arguments;
};

struct mock_answer {
    str text;     /* absent: the fixed answer */
    str thinking; /* before it; absent: none */
    const struct mock_tool_call *calls;
    size_t call_count;  /* with calls the text is not sent */
    size_t token_count; /* 0: the text's own number; else cut or repeated to it */
    size_t token_max;   /* 0: none; a longer answer ends with reason "length" */
};
/* model: JSON text of a string. Holds one reference. */
struct mock_frames *mock_frames_new(str model, const struct mock_answer *answer);
void mock_frames_unref(struct mock_frames *f);
/* Appends the frames from..to (exclusive) with the id in them. */
void mock_frames_write(const struct mock_frames *f, size_t from, size_t to,
                       const char id[MOCK_ID_LEN], struct buf *out);
void mock_frames_write_usage(const struct mock_frames *f, const char id[MOCK_ID_LEN],
                             size_t prompt_tokens, struct buf *out);
void mock_frames_write_whole(const struct mock_frames *f, const char id[MOCK_ID_LEN],
                             size_t prompt_tokens, struct buf *out);

/* What a request asks for. */
struct mock_script {
    str model; /* JSON text; points into the body, or a literal */
    bool stream, include_usage, has_tools;
    str effort;           /* how much it is to think, as the request says; absent: not at all */
    size_t prompt_tokens; /* a quarter of the bytes of the messages */
    /* By marks: */
    enum mock_fail fail;
    int delay_ms, token_delay_ms; /* -1: not said */
    struct mock_answer answer;
    enum mock_dialect dialect;
};
/* ERR_MALFORMED when the body is no JSON object with messages. Results live in arena or body. */
MUST_CHECK int mock_script_read(struct arena *a, str body, struct mock_script *out,
                                struct err *err);
/* mock_frames.c: the text's next token from *at on (starts over at its end), its tokens' number, a
 * piece of at least one character. */
str mock_fixed_answer(void);
str mock_next_token(str text, size_t *at);
size_t mock_count_tokens(str text);
str mock_next_piece(str *rest, size_t n);

/* mock_dialect.c: false for a path of none. */
bool mock_dialect_of(str path, enum mock_dialect *out);
MUST_CHECK int mock_dialect_read(struct arena *a, enum mock_dialect dialect, str path, str body,
                                 struct mock_script *out, struct err *err);
struct mock_frames *mock_dialect_frames(const struct mock_script *script,
                                        const struct mock_answer *answer);
/* The answer to a request for embeddings. ERR_MALFORMED, ERR_TOO_LARGE. */
MUST_CHECK int mock_embeddings_write(struct arena *a, str body, struct buf *out, struct err *err);
bool mock_fail_parse(str name, enum mock_fail *out);

#endif
