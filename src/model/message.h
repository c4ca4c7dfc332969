/* SPDX-License-Identifier: Apache-2.0 */
/* message.h - chat messages: accepted in every form that clients send, kept and sent flat.
 *
 * Accepted: {"role","content",…} (OpenAI words: user, assistant, system, developer, tool),
 * {"type": "human"|"ai"|…, …}, LangChain's {"lc":1,"type":"constructor","id":[…,"HumanMessage"],
 * "kwargs":{…}}, ["human", "text"] pairs, and plain strings (human). Tool calls in OpenAI's or
 * LangChain's form. Kept: the flat form of spec §4.2 (type, content, id, additional_kwargs,
 * response_metadata, tool_calls, invalid_tool_calls, usage_metadata, name, tool_call_id …); unknown
 * members are kept as they came. A message without an id gets a new one.
 * Memory: in the arena. Errors: ERR_INVALID with the position ("messages[2]: …").
 * Suspends: never. Tests: tests/unit/model/test_message.c; fuzzed. */
#ifndef HF_MODEL_MESSAGE_H
#define HF_MODEL_MESSAGE_H

#include "base/json.h"

enum message_type {
    MESSAGE_HUMAN,
    MESSAGE_AI,
    MESSAGE_SYSTEM,
    MESSAGE_TOOL,
    MESSAGE_REMOVE, /* deletes the message of that id from the list; "__remove_all__" all */
    MESSAGE_OTHER   /* function, chat, developer-defined */
};

struct message {
    enum message_type type;
    str id;
    str json;         /* the flat form, complete */
    yyjson_val *root; /* json parsed, or NULL: message_parse_flat() and message_load() fill it */
    str type_name;    /* the word of "type"; for MESSAGE_OTHER the only place that knows it */
};

#define MESSAGE_BYTES_MAX           ((size_t)1 << 30) /* flat form; past it ERR_TOO_LARGE */
#define MESSAGE_ARGUMENTS_DEPTH_MAX 256               /* of tool arguments that come as text */
#define MESSAGE_REMOVE_ALL          "__remove_all__"  /* the id that empties the list */

/* root stays NULL; *out is independent of the document of in. */
MUST_CHECK int message_normalise(struct arena *a, yyjson_val *in, struct message *out,
                                 struct err *err);
/* in: one message or an array of them. */
MUST_CHECK int message_normalise_list(struct arena *a, yyjson_val *in, struct message **out,
                                      size_t *out_count, struct err *err);
/* A stored flat form back into a struct (json is not copied). ERR_CORRUPT when it is none. */
MUST_CHECK int message_parse_flat(struct arena *a, str json, struct message *out, struct err *err);
/* Parses json into root unless that is done; for messages that were normalised or made here. */
MUST_CHECK int message_load(struct arena *a, struct message *m, struct err *err);

/* Views. message_text parses when root is NULL; message_tool_calls needs root (message_load). */
str message_text(struct arena *a, const struct message *m); /* as plain text; parts joined */
yyjson_val *message_tool_calls(const struct message *m);    /* array or NULL */
str message_type_name(const struct message *m);

/* Building. tool_calls: JSON array text of {name, args, id, type:"tool_call"}; absent: []. An
 * absent id: a new one. Sizes are the caller's duty: past MESSAGE_BYTES_MAX is a bug. */
struct message_ai {
    str id, content, tool_calls, invalid_tool_calls;
    str response_metadata;               /* JSON object or absent */
    str additional_kwargs;               /* JSON object or absent */
    int64_t input_tokens, output_tokens; /* -1: no usage_metadata */
};
void message_make_ai(struct arena *a, const struct message_ai *in, struct message *out);
void message_make_tool(struct arena *a, str id, str tool_call_id, str name, str content, bool error,
                       struct message *out);
struct message_tool {
    str id, tool_call_id, name, content;
    str blocks;   /* JSON array of content blocks in place of content; absent: none */
    str artifact; /* JSON value; absent: none */
    bool error;
};
void message_make_tool_answer(struct arena *a, const struct message_tool *in, struct message *out);
void message_make_human(struct arena *a, str id, str content, struct message *out);

#endif
