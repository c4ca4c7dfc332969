/* SPDX-License-Identifier: Apache-2.0 */
/* segment.c - fragments of a stream as one entry of the log.
 *
 *     {"b":7,"k":1,"f":[{"t":"task","m":"message","c":"The "},"answer ","is ",{…},"4"]}
 *
 * A model's tokens differ in their text only, which is far shorter than the rest: a fragment that
 * is but for "c" like the last whole one before it is kept as that text alone. Only one whose last
 * member is "c" can be; custom values never are. */
#include "engine/hub_int.h"

/* head + text + "}" is the fragment. */
static bool cut(str fragment, str *out_head, str *out_text) {
    static const str member = STR(",\"c\":");
    ptrdiff_t at = str_find(fragment, member);
    if (at < 0)
        return false;
    size_t from = (size_t)at + member.len, i = from + 1;
    if (from >= fragment.len || fragment.p[from] != '"')
        return false;
    while (i < fragment.len && fragment.p[i] != '"')
        i += fragment.p[i] == '\\' ? 2 : 1;
    if (i + 2 != fragment.len || fragment.p[i + 1] != '}')
        return false;
    *out_head = str_slice(fragment, 0, from);
    *out_text = str_slice(fragment, from, i + 1);
    return true;
}

void segment_write(struct json_writer *w, struct segment *s, str fragment) {
    str head, text;
    bool same = cut(fragment, &head, &text);
    if (same && s->head.p && str_eq(head, s->head)) {
        jw_raw(w, text);
        return;
    }
    if (same)
        s->head = head;
    jw_raw(w, fragment);
}

int segment_read(struct segment *s, struct arena *a, yyjson_val *kept, str *out, struct err *err) {
    str head, text;
    *out = json_text(a, kept);
    if (!yyjson_is_str(kept)) {
        if (cut(*out, &head, &text))
            s->head = head;
        return 0;
    }
    if (!s->head.p)
        return err_set(err, ERR_CORRUPT, "a segment of the log begins in the middle");
    *out = arena_concat(a, (str[]){s->head, *out, STR("}")}, 3);
    return 0;
}
