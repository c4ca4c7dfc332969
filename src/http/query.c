/* SPDX-License-Identifier: Apache-2.0 */
/* query.c - percent-encoding and query strings.
 *
 * Purpose: turns "a=1&b=%20x" into decoded pairs in the request's arena. Both '+' and %20 are
 * spaces in a query; in a path '+' is itself.
 *
 * Invariants: what comes out is UTF-8 without NUL, since it goes into JSON and into databases; a
 * broken escape is refused and not guessed at. At most HTTP_QUERY_PAIRS_MAX pairs. */
#include "base/hex.h"
#include "base/json.h"
#include "http/router.h"

#define HTTP_QUERY_PAIRS_MAX 256

int http_percent_decode(struct arena *a, str s, bool plus_is_space, str *out) {
    char *p = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_MALFORMED;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return ERR_MALFORMED;
        p[n++] = c;
    }
    p[n] = '\0';
    if (!str_is_utf8(str_n(p, n)))
        return ERR_MALFORMED;
    *out = str_n(p, n);
    return 0;
}

void http_percent_encode(struct buf *out, str s) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            buf_char(out, (char)c);
            continue;
        }
        buf_char(out, '%');
        buf_char(out, hex[c >> 4]);
        buf_char(out, hex[c & 15]);
    }
}

static int decode_pair(struct arena *a, str part, struct http_header *out, struct err *err) {
    ptrdiff_t eq = str_find_char(part, '=');
    str name = eq < 0 ? part : str_n(part.p, (size_t)eq);
    str value = eq < 0 ? STR("") : str_n(part.p + eq + 1, part.len - (size_t)eq - 1);
    if (http_percent_decode(a, name, true, &out->name) ||
        http_percent_decode(a, value, true, &out->value))
        return err_set(err, ERR_MALFORMED, "malformed query string");
    return 0;
}

int http_query_parse(struct arena *a, str query, struct http_query *out, struct err *err) {
    struct http_query q = {NULL, 0};
    size_t parts = 0;
    str rest = query, part;
    if (query.len == 0) {
        *out = q;
        return 0;
    }
    while (str_split_next(&rest, '&', &part))
        parts += part.len > 0;
    if (parts > HTTP_QUERY_PAIRS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d query parameters", HTTP_QUERY_PAIRS_MAX);
    q.pairs = ARENA_ARRAY(a, struct http_header, parts ? parts : 1);
    rest = query;
    while (str_split_next(&rest, '&', &part)) {
        if (part.len == 0)
            continue;
        int rc = decode_pair(a, part, &q.pairs[q.count], err);
        if (rc)
            return rc;
        q.count++;
    }
    *out = q;
    return 0;
}

str http_query_get(const struct http_query *q, const char *name) {
    str wanted = str_of(name);
    for (size_t i = q->count; i > 0; i--)
        if (str_eq(q->pairs[i - 1].name, wanted))
            return q->pairs[i - 1].value;
    return STR_NULL;
}

bool http_query_bool(const struct http_query *q, const char *name, bool otherwise) {
    str v = http_query_get(q, name);
    if (str_eq(v, STR("1")) || str_ieq(v, STR("true")))
        return true;
    if (str_eq(v, STR("0")) || str_ieq(v, STR("false")))
        return false;
    return otherwise;
}

/* A value that is a JSON array of strings; *out_count 0 and NULL when it is something else. */
static int list_from_json(struct arena *a, str text, str **out, size_t *out_count,
                          struct err *err) {
    yyjson_val *root;
    int rc = json_parse(a, text, &root, err);
    if (rc)
        return rc;
    size_t count = yyjson_arr_size(root), n = 0;
    str *items = ARENA_ARRAY(a, str, count ? count : 1);
    size_t at, max;
    yyjson_val *item;
    yyjson_arr_foreach(root, at, max, item) {
        str s = json_str(item);
        if (!s.p)
            return err_set(err, ERR_INVALID, "a list of strings is expected");
        items[n++] = s;
    }
    *out = items;
    *out_count = n;
    return 0;
}

static void list_from_commas(struct arena *a, str text, str **out, size_t *out_count) {
    size_t parts = 1, n = 0;
    for (size_t i = 0; i < text.len; i++)
        parts += text.p[i] == ',';
    str *items = ARENA_ARRAY(a, str, parts);
    str part;
    while (str_split_next(&text, ',', &part)) {
        part = str_trim(part);
        if (part.len)
            items[n++] = part;
    }
    *out = items;
    *out_count = n;
}

int http_query_list(struct arena *a, const struct http_query *q, const char *name, bool commas,
                    str **out, size_t *out_count, struct err *err) {
    str wanted = str_of(name);
    str *items = ARENA_ARRAY(a, str, q->count ? q->count : 1);
    size_t n = 0;
    for (size_t i = 0; i < q->count; i++)
        if (str_eq(q->pairs[i].name, wanted))
            items[n++] = q->pairs[i].value;
    if (n == 1 && str_starts(items[0], STR("[")))
        return list_from_json(a, items[0], out, out_count, err);
    if (n == 1 && commas) {
        list_from_commas(a, items[0], out, out_count);
        return 0;
    }
    *out = items;
    *out_count = n;
    return 0;
}
