/* SPDX-License-Identifier: Apache-2.0 */
/* extract.c - finds JSON among prose: "Here is the plan:\n```json\n[…]\n```\nGood luck!"
 *
 * Brackets are matched outside of strings only. A place whose brackets do not match or whose text
 * is no JSON is passed over as a whole when its brackets matched, else by its first character, so
 * that "[see below] {…}" finds the object. */
#include "model/extract.h"

static yyjson_val *parsed(struct arena *a, str text, bool any_kind) {
    yyjson_val *v;
    text = str_trim(text);
    if (text.len == 0 || json_parse(a, text, &v, NULL) < 0)
        return NULL;
    return any_kind || yyjson_is_ctn(v) ? v : NULL;
}

static yyjson_val *in_fences(struct arena *a, str text, int *tries) {
    for (;;) {
        ptrdiff_t open = str_find(text, STR("```"));
        if (open < 0 || --*tries < 0)
            return NULL;
        text = str_slice(text, (size_t)open + 3, text.len);
        ptrdiff_t close = str_find(text, STR("```"));
        str inside = close < 0 ? text : str_slice(text, 0, (size_t)close);
        size_t at = 0; /* behind the word for the language */
        while (at < inside.len && ((inside.p[at] | 0x20) >= 'a' && (inside.p[at] | 0x20) <= 'z'))
            at++;
        yyjson_val *v = parsed(a, str_slice(inside, at, inside.len), false);
        if (v || close < 0)
            return v;
        text = str_slice(text, (size_t)close + 3, text.len);
    }
}

/* Bytes up to and including the bracket that closes the first one; 0: none does. */
static size_t matched(str text) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

yyjson_val *extract_json(struct arena *a, str text) {
    int tries = EXTRACT_TRIES_MAX;
    yyjson_val *v = parsed(a, text, true);
    if (!v)
        v = in_fences(a, text, &tries);
    for (size_t at = 0; !v && at < text.len;) {
        if (text.p[at] != '{' && text.p[at] != '[') {
            at++;
            continue;
        }
        if (--tries < 0)
            return NULL;
        size_t len = matched(str_slice(text, at, text.len));
        v = len ? parsed(a, str_slice(text, at, at + len), false) : NULL;
        at += len ? len : 1;
    }
    return v;
}
