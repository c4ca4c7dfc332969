/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - reading (yyjson documents in an arena) and writing (straight into a buf) JSON.
 *
 * Memory: documents live in the arena given. Errors: ERR_MALFORMED with the byte position,
 * ERR_TOO_LARGE past the limits, ERR_INVALID for a number that no double comes near (1e400): not
 * every database and client has one. Suspends: never. Tests: tests/unit/base/test_json.c; fuzzed.
 *
 * Ingress rules (json_parse): UTF-8 only; depth limited before parsing; \u0000 and lone surrogate
 * escapes become U+FFFD, as in the servers we are compatible with; duplicate keys: the last wins in
 * json_get(). Integers beyond 64 bits are kept as raw text. */
#ifndef HF_BASE_JSON_H
#define HF_BASE_JSON_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"

#define JSON_DEPTH_MAX 512

MUST_CHECK int json_parse(struct arena *a, str text, yyjson_val **out_root, struct err *err);
/* Depth of nesting of a text that need not be valid; stops counting at limit + 1. */
int json_depth(str text, int limit);

/* Object members; NULL when obj is NULL, no object, or has no such key. */
yyjson_val *json_get(yyjson_val *obj, const char *key);
yyjson_val *json_get_str(yyjson_val *obj, str key);
bool json_has(yyjson_val *obj, const char *key); /* present, maybe null */
str json_str(yyjson_val *v);                     /* absent unless a string */
str json_text(struct arena *a, yyjson_val *v);   /* compact text; "null" for NULL */
bool json_equal(yyjson_val *a, yyjson_val *b);   /* objects regardless of key order */
/* -1, 0, 1 of two numbers by value or two strings by their bytes; false: there is no order. */
bool json_order(yyjson_val *a, yyjson_val *b, int *out);
bool json_contains(yyjson_val *whole, yyjson_val *part); /* Postgres' @> */
/* Canonical text: keys sorted by bytes at every level; for hashes and cache keys. */
str json_canonical(struct arena *a, yyjson_val *v);
/* Shallow merge of objects given as texts: keys of b win. NULL or "" count as {}. */
str json_merge(struct arena *a, str a_text, str b_text);
/* The object without this member; the text itself when it has none. key: letters only. */
str json_without(struct arena *a, str object_text, const char *key);

/* Writer: commas are placed by it; nesting is the caller's duty (asserted in debug). */
struct json_writer {
    struct buf *b;
    bool comma;
    int depth; /* open brackets of this writer */
};
static inline struct json_writer json_writer(struct buf *b) {
    return (struct json_writer){b, false, 0};
}
void jw_object(struct json_writer *w); /* { */
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w); /* [ */
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key); /* a literal that needs no escaping */
void jw_key_str(struct json_writer *w, str key);
void jw_str(struct json_writer *w, str s); /* escaped; absent writes null */
void jw_z(struct json_writer *w, const char *z);
void jw_raw(struct json_writer *w, str json); /* a JSON text as it is; null when absent or empty */
void jw_val(struct json_writer *w, yyjson_val *v);
void jw_i64(struct json_writer *w, int64_t v);
void jw_double(struct json_writer *w, double v); /* shortest round-trip; inf and nan write null */
void jw_bool(struct json_writer *w, bool v);
void jw_null(struct json_writer *w);
/* Appends s escaped, without quotes. */
void json_escape(struct buf *b, str s);

#endif
