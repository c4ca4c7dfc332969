/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h - a block of a message's content, whichever client wrote it.
 *
 * Read: texts; OpenAI's image_url, input_audio and file; LangChain's standard blocks, older
 * (source_type, data) and newer (base64, url); Anthropic's image and document; media. Everything
 * else (thinking, calls, citations …) is another server's own and is no part here.
 * Memory: views into the block, or the arena. Errors: ERR_MODEL_REQUEST. Suspends: never.
 * Tests: tests/unit/llm/test_parts.c */
#ifndef HF_LLM_PARTS_H
#define HF_LLM_PARTS_H

#include "llm/port.h"

enum llm_part_kind {
    LLM_PART_NONE,
    LLM_PART_TEXT,
    LLM_PART_IMAGE,
    LLM_PART_AUDIO,
    LLM_PART_VIDEO,
    LLM_PART_FILE
};
struct llm_part {
    enum llm_part_kind kind;
    str text;         /* of a text */
    str mime, base64; /* base64 absent: at url */
    str url, name;    /* name: of a file; absent: none */
};
void llm_part_read(struct arena *a, yyjson_val *block, struct llm_part *out);

/* The messages of a request, loaded, without those that only speak to the reducer.
 * ERR_MODEL_REQUEST for one that cannot be read. */
MUST_CHECK int llm_messages_load(struct arena *a, const struct llm_request *r, struct message **out,
                                 size_t *out_count, struct err *err);
/* The tools of a request as an array of {name, description, parameters}; NULL when there are none.
 * ERR_MODEL_REQUEST when they are no array. */
MUST_CHECK int llm_tools_load(struct arena *a, const struct llm_request *r, yyjson_val **out,
                              struct err *err);
yyjson_val *llm_tool_function(yyjson_val *tool); /* also of {"type":"function","function":…} */

/* Messages as a list of {"role": …, KEY: […]}, in which neighbours of one role are one: open with
 * the role before each part, close behind the last. */
struct llm_roles {
    const char *key;  /* of the parts */
    const char *role; /* of the message being written; NULL: none */
};
void llm_roles_open(struct llm_roles *l, struct json_writer *w, const char *role);
void llm_roles_close(struct llm_roles *l, struct json_writer *w);
int llm_part_refuse(struct err *err, const struct llm_part *part, const char *server);

#endif
