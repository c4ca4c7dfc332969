/* SPDX-License-Identifier: Apache-2.0 */
/* assembler.h - puts the deltas of one answer together, whatever provider they came from.
 *
 * Owner: the attempt of a call. Memory: results in the arena given at init, growing parts in heap
 * buffers with caps, freed by deinit. Errors: ERR_MODEL_PROTOCOL past a cap.
 * Suspends: never (the delta callback must not). Tests: tests/unit/llm/test_assembler.c; fuzzed */
#ifndef HF_LLM_ASSEMBLER_H
#define HF_LLM_ASSEMBLER_H

#include "base/buf.h"
#include "base/vec.h"
#include "llm/port.h"

#define LLM_CONTENT_BYTES_MAX   ((size_t)16 << 20)
#define LLM_ARGUMENTS_BYTES_MAX ((size_t)4 << 20)
#define LLM_TOOL_CALL_COUNT_MAX 256
#define LLM_THOUGHT_COUNT_MAX   256

struct llm_tool_call_part {
    int64_t key; /* the server's index; -1 when it gave none */
    str id, name;
    str signature; /* of the server, to be sent back; absent: none */
    struct buf arguments;
};

struct llm_thought_part {
    int64_t key; /* the server's index */
    struct buf text, signature;
    str redacted;
};

struct llm_assembler {
    struct arena *arena;
    llm_delta_fn on_delta; /* may be NULL */
    void *ctx;
    str id, model, finish_reason; /* absent until known */
    struct buf content;
    VEC(struct llm_tool_call_part) calls;
    VEC(struct llm_thought_part) thoughts;
    size_t thought_bytes;
    int64_t input_tokens, output_tokens; /* -1 unknown */
    size_t delta_count;                  /* those handed to on_delta */
};

void llm_assembler_init(struct llm_assembler *as, struct arena *arena, llm_delta_fn on_delta,
                        void *ctx);
void llm_assembler_deinit(struct llm_assembler *as);

/* The first non-empty one stays; copies. */
void llm_assembler_set_id(struct llm_assembler *as, str id);
void llm_assembler_set_model(struct llm_assembler *as, str model);
void llm_assembler_set_finish_reason(struct llm_assembler *as, str reason); /* the last one stays */
MUST_CHECK int llm_assembler_content(struct llm_assembler *as, str text, struct err *err);
/* A piece of what the model thinks, by the server's index of the thought; its signature; one that
 * is told in cipher alone. */
MUST_CHECK int llm_assembler_thought(struct llm_assembler *as, int64_t index, str text,
                                     struct err *err);
MUST_CHECK int llm_assembler_sign_thought(struct llm_assembler *as, int64_t index, str signature,
                                          struct err *err);
MUST_CHECK int llm_assembler_redacted(struct llm_assembler *as, int64_t index, str data,
                                      struct err *err);
/* One piece of a tool call. index -1: the server gave none. id, name, arguments may be absent. */
MUST_CHECK int llm_assembler_tool_call(struct llm_assembler *as, int64_t index, str id, str name,
                                       str arguments, struct err *err);
bool llm_assembler_has_call(const struct llm_assembler *as, int64_t index);
/* A signature of the newest call. Copies. */
void llm_assembler_sign(struct llm_assembler *as, str signature);
/* Fills the answer's fields of out; calls without an id get one, arguments are validated. */
void llm_assembler_finish(struct llm_assembler *as, struct llm_response *out);

#endif
