/* SPDX-License-Identifier: Apache-2.0 */
/* terms.c - cuts texts into words.
 *
 * Ranges instead of the whole Unicode database: what is not named here (ideographs aside) is a
 * letter from U+00C0 on, so an unknown script is found by its runs of characters. A word has ASCII
 * letters and digits and of characters beyond ASCII: nothing that means anything to a query
 * language of a database. */
#include "model/terms.h"

#include "base/hash.h"
#include "base/hex.h"

#define WORDS_BYTES_MAX   ((size_t)TERMS_COUNT_MAX * (TERM_BYTES_MAX + 1))
#define OWNER_WORD_DIGITS 32

struct range {
    uint32_t from, to;
};

static bool inside(const struct range *list, size_t count, uint32_t c) {
    for (size_t i = 0; i < count; i++)
        if (c >= list[i].from && c <= list[i].to)
            return true;
    return false;
}

static bool is_letter(uint32_t c) {
    static const struct range gaps[] = {
        {0xd7, 0xd7},     {0xf7, 0xf7},     {0x2000, 0x206f}, {0x20a0, 0x20cf},  {0x2190, 0x2bff},
        {0x3000, 0x303f}, {0xe000, 0xf8ff}, {0xfe10, 0xfe6f}, {0xff00, 0xff0f},  {0xff1a, 0xff20},
        {0xff3b, 0xff40}, {0xff5b, 0xff65}, {0xfff0, 0xffff}, {0x1f000, 0x1faff}};
    if (c < 0x80)
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    return c >= 0xc0 && !inside(gaps, ARRAY_COUNT(gaps), c);
}

static bool stands_alone(uint32_t c) {
    static const struct range list[] = {
        {0x3041, 0x30ff}, {0x3400, 0x9fff}, {0xac00, 0xd7a3}, {0xf900, 0xfaff}, {0x20000, 0x3ffff}};
    return c >= 0x3041 && inside(list, ARRAY_COUNT(list), c);
}

static uint32_t lower(uint32_t c) {
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if ((c >= 0xc0 && c <= 0xde) || (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f))
        return c + 32;
    if (c >= 0x400 && c <= 0x40f)
        return c + 80;
    if (c == 0x178)
        return 0xff;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c & 1 ? c + 1 : c;
    if ((c >= 0x100 && c <= 0x12f) || (c >= 0x132 && c <= 0x137) || (c >= 0x14a && c <= 0x177) ||
        (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
        return c & 1 ? c : c + 1;
    return c;
}

/* The text is well-formed. */
static uint32_t next_char(str *rest) {
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = len == 1 ? p[0] : (uint32_t)p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3fu);
    *rest = str_n(rest->p + len, rest->len - len);
    return c;
}

static size_t encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> len & 0xf0u) | c);
    return len;
}

struct word {
    char p[TERM_BYTES_MAX];
    size_t len;
};

static void word_end(struct word *w, struct buf *out, size_t *count) {
    if (w->len > 0 && *count < TERMS_COUNT_MAX) {
        buf_append(out, w->p, w->len);
        buf_char(out, ' ');
        ++*count;
    }
    w->len = 0;
}

size_t terms_write(struct buf *out, str text, size_t count) {
    struct word w = {.len = 0};
    str rest = str_n(text.p, str_utf8_prefix(text));
    while (rest.len > 0 && count < TERMS_COUNT_MAX) {
        uint32_t c = next_char(&rest);
        char bytes[4];
        bool alone = stands_alone(c);
        if (alone || !is_letter(c))
            word_end(&w, out, &count);
        if (!is_letter(c))
            continue;
        size_t len = encode(lower(c), bytes);
        if (w.len + len <= TERM_BYTES_MAX) {
            memcpy(w.p + w.len, bytes, len);
            w.len += len;
        }
        if (alone)
            word_end(&w, out, &count);
    }
    word_end(&w, out, &count);
    return count;
}

/* Depth is bounded: the value comes from json_parse. */
size_t terms_write_json(struct buf *out, yyjson_val *v, size_t count) {
    if (yyjson_is_str(v))
        return terms_write(out, json_str(v), count);
    if (yyjson_is_num(v) || yyjson_is_raw(v)) {
        struct json_writer w = json_writer(out);
        size_t at = out->len;
        jw_val(&w, v);
        char text[64];
        size_t len = out->len - at < sizeof(text) ? out->len - at : sizeof(text);
        memcpy(text, out->p + at, len);
        out->len = at;
        return terms_write(out, str_n(text, len), count);
    }
    yyjson_arr_iter list = yyjson_arr_iter_with(v);
    for (yyjson_val *x; count < TERMS_COUNT_MAX && (x = yyjson_arr_iter_next(&list)) != NULL;)
        count = terms_write_json(out, x, count);
    yyjson_obj_iter members = yyjson_obj_iter_with(v);
    for (yyjson_val *key; count < TERMS_COUNT_MAX && (key = yyjson_obj_iter_next(&members));)
        count = terms_write_json(out, yyjson_obj_iter_get_val(key), count);
    return count;
}

str terms_query(struct arena *a, str text, size_t *out_count) {
    struct buf words, json;
    str seen[TERMS_QUERY_MAX], word;
    size_t count = 0;
    buf_init(&words, WORDS_BYTES_MAX);
    buf_init(&json, 2 * WORDS_BYTES_MAX);
    (void)terms_write(&words, text, 0);
    struct json_writer w = json_writer(&json);
    jw_array(&w);
    for (str rest = buf_view(&words); rest.len > 0 && count < TERMS_QUERY_MAX;) {
        bool known = !str_split_next(&rest, ' ', &word) || word.len == 0;
        for (size_t i = 0; !known && i < count; i++)
            known = str_eq(seen[i], word);
        if (known)
            continue;
        seen[count++] = word;
        jw_str(&w, word);
    }
    jw_array_end(&w);
    str out = arena_dup(a, buf_view(&json));
    buf_deinit(&words);
    buf_deinit(&json);
    *out_count = count;
    return out;
}

str terms_owner(struct arena *a, str owner) {
    unsigned char hash[HASH_SHA256_BYTES];
    char *p = arena_alloc(a, OWNER_WORD_DIGITS + 2);
    hash_sha256(owner, hash);
    p[0] = 'o';
    hex_write(hash, OWNER_WORD_DIGITS / 2, p + 1);
    return str_n(p, OWNER_WORD_DIGITS + 1);
}
