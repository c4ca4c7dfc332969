/* SPDX-License-Identifier: Apache-2.0 */
/* mock_llm.h - `holdfast mock-llm`: a stand-in for a model server, OpenAI-compatible.
 *
 * POST /v1/chat/completions (streamed and not), also as Anthropic's /v1/messages and Google's
 * …:generateContent; POST /v1/embeddings; GET /v1/models, /health, /stats. What it answers
 * can be scripted by marks in the last human message: see mock_script.c.
 * Owner: the caller of mock_llm_open. Memory: returns when mock_llm_close's done has run.
 * Errors: as returned. Suspends: never. Tests: tests/unit/app/test_mock_llm.c */
#ifndef HF_APP_MOCK_LLM_H
#define HF_APP_MOCK_LLM_H

#include "base/buf.h"
#include "rt/loop.h"

enum mock_fail {
    MOCK_FAIL_NONE,
    MOCK_FAIL_500,
    MOCK_FAIL_401,
    MOCK_FAIL_429,
    MOCK_FAIL_REFUSE,  /* the connection ends before any byte of an answer */
    MOCK_FAIL_CUT,     /* … in the middle of the answer */
    MOCK_FAIL_GARBAGE, /* status 200, but no JSON */
    MOCK_FAIL_SLOW     /* slow_ms before the first token */
};

struct mock_llm_options {
    char host[64];            /* 127.0.0.1 */
    int port;                 /* 11434; 0: any free one */
    int delay_ms;             /* 10: before the answer */
    int token_delay_ms;       /* 5: before each token; 0: all at once, still one frame a token */
    int answer_tokens;        /* 0: the fixed answer of 34 words in 67 tokens */
    int concurrency;          /* 0: no limit; beyond it 429 with Retry-After */
    double fail_rate;         /* 0..1 of the requests get fail_kind */
    int fail_first;           /* this many requests get fail_kind, whatever the rate */
    enum mock_fail fail_kind; /* 500 */
    int retry_after_s;        /* 1: sent with 429; 0: not sent */
    int slow_ms;              /* 5000 */
    bool help_wanted;
};

struct mock_llm_stats {
    uint64_t requests;     /* chat completions received */
    uint64_t active, peak; /* being answered: now, and the most at once */
    uint64_t tokens_sent;
    uint64_t errors_injected;
    uint64_t embeddings; /* requests for them */
    uint64_t rejected;   /* by the limit of concurrency, or malformed */
    uint64_t cancelled;  /* the client went away before the end */
};

void mock_llm_options_default(struct mock_llm_options *o);
/* argv[0] is skipped. ERR_INVALID with a text that names the option at fault. */
MUST_CHECK int mock_llm_options_parse(int argc, char **argv, struct mock_llm_options *out,
                                      struct err *err);
void mock_llm_help(struct buf *out);

struct mock_llm;
MUST_CHECK int mock_llm_open(struct rt *rt, const struct mock_llm_options *o, struct mock_llm **out,
                             struct err *err);
int mock_llm_port(const struct mock_llm *m);
void mock_llm_stats(const struct mock_llm *m, struct mock_llm_stats *out);
/* Cuts what is left; done (may be NULL) runs later on the loop. */
void mock_llm_close(struct mock_llm *m, void (*done)(void *arg), void *arg);

/* The command: parses, serves until SIGINT or SIGTERM; returns the exit status. */
int mock_llm_run(int argc, char **argv);

#endif
