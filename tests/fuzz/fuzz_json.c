/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_json.c - json_parse() and everything that walks or writes its documents, on any bytes.
 *
 * Checks: what is accepted becomes UTF-8 text that parses to an equal value and is a fixed point;
 * both writers agree by value; the canonical text does not depend on the way there; a value equals
 * and contains itself; a small arena ends in an error, never in a crash; escaping and parsing any
 * UTF-8 text gives the text back. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX 65536
#define ARENA_BYTES (64u << 20)

static yyjson_val *parse_again(struct arena *a, str text) {
    yyjson_val *v = NULL;
    struct err err = {0};
    ASSERT(str_is_utf8(text));
    ASSERT(json_parse(a, text, &v, &err) == ERR_OK);
    return v;
}

static void check_accepted(struct arena *a, yyjson_val *v, str input) {
    str text = json_text(a, v);
    yyjson_val *again = parse_again(a, text);
    ASSERT(json_equal(v, again) && json_equal(again, v));
    ASSERT(str_eq(json_text(a, again), text));
    ASSERT(json_depth(text, JSON_DEPTH_MAX) <= JSON_DEPTH_MAX);
    ASSERT(json_depth(input, JSON_DEPTH_MAX) == json_depth(text, JSON_DEPTH_MAX));
    struct buf b;
    buf_init(&b, ARENA_BYTES);
    struct json_writer w = json_writer(&b);
    jw_val(&w, v);
    ASSERT(buf_ok(&b) && w.depth == 0);
    ASSERT(json_equal(parse_again(a, buf_view(&b)), v));
    buf_deinit(&b);
    str canonical = json_canonical(a, v);
    yyjson_val *sorted = parse_again(a, canonical);
    ASSERT(json_equal(sorted, v));
    ASSERT(str_eq(json_canonical(a, sorted), canonical));
    if (input.len < 2000) /* containment of arrays is quadratic */
        ASSERT(json_contains(v, sorted) && json_contains(sorted, v));
    if (yyjson_is_obj(v))
        ASSERT(json_equal(parse_again(a, json_merge(a, text, text)), v));
}

static void check_small_arena(str input) {
    struct arena small;
    arena_init(&small, 2 * input.len + 64);
    yyjson_val *v = NULL;
    struct err err = {0};
    int rc = json_parse(&small, input, &v, &err);
    ASSERT(rc == err.code && (rc == ERR_OK) == (v != NULL));
    arena_deinit(&small);
}

static void check_escape(struct arena *a, str input) {
    if (!str_is_utf8(input) || str_find_char(input, '\0') >= 0)
        return;
    struct buf b;
    buf_init(&b, ARENA_BYTES);
    struct json_writer w = json_writer(&b);
    jw_str(&w, input.p ? input : STR(""));
    ASSERT(str_eq(json_str(parse_again(a, buf_view(&b))), input));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > INPUT_BYTES_MAX)
        return 0;
    str input = str_n((const char *)data, size);
    struct arena a;
    arena_init(&a, ARENA_BYTES);
    yyjson_val *v = NULL;
    struct err err = {0};
    int rc = json_parse(&a, input, &v, &err);
    if (rc == ERR_OK)
        check_accepted(&a, v, input);
    else
        ASSERT((rc == ERR_MALFORMED || rc == ERR_TOO_LARGE || rc == ERR_INVALID) &&
               err.code == rc && err.message[0]);
    check_small_arena(input);
    check_escape(&a, input);
    arena_deinit(&a);
    return 0;
}
