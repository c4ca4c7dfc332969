/* SPDX-License-Identifier: Apache-2.0 */
/* lg_value.h - values as LangGraph's checkpointers store them, to plain JSON and back.
 *
 * A stored value is a type word and bytes: "json" (with LangChain's lc forms), "msgpack" (with
 * Python's extension codes), "null", "empty", "bytes", "bytearray". Read, it becomes the JSON text
 * that states show: messages flat, constructors reduced to their arguments, bytes as base64.
 * Memory: results in the arena given. Errors: ERR_CORRUPT for what cannot be read, ERR_UNSUPPORTED
 * for types of no open format (pickle, encrypted), ERR_TOO_LARGE. Suspends: never.
 * Tests: tests/unit/model/test_lg_value.c; fuzzed (lg_msgpack, lg_json). */
#ifndef HF_MODEL_LG_VALUE_H
#define HF_MODEL_LG_VALUE_H

#include "base/json.h"

#define LG_DEPTH_MAX 128                  /* of what is read; deeper is ERR_TOO_LARGE */
#define LG_BYTES_MAX ((size_t)1 << 30)    /* of one value as text */

/* *out_text is absent for "empty": the channel has no value. */
MUST_CHECK int lg_value_read(struct arena *a, str type, str bytes, str *out_text, struct err *err);
/* MessagePack to JSON in which messages stand as lc constructors. */
MUST_CHECK int lg_msgpack_to_json(str bytes, struct buf *out, struct err *err);
/* The view of a JSON text that may hold lc forms; the text itself when it holds none. */
MUST_CHECK int lg_json_view(struct arena *a, str json, str *out_text, struct err *err);

/* A flat message as {"lc":1,"type":"constructor","id":[…],"kwargs":{…}}; other values as they are.
 * Both libraries make a message of it; of nothing inside it (see lg_plain). */
void lg_message_write(struct json_writer *w, yyjson_val *flat);
/* A JSON text for a "json" blob: data that looks like a constructor gets its "lc" as text, so that
 * no library ever makes an object of what a client sent. */
MUST_CHECK int lg_plain(struct arena *a, str json, str *out, struct err *err);
/* The standard alphabet, with padding. */

#endif
