/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_http_request.c - guard, parser and chunk decoder on one request. Properties: the result does
 * not depend on how the bytes are split; what the guard lets through names one length of body;
 * where our decoder and llhttp both take a chunked body, they agree on its bytes and on its end.
 * Input: one byte that seeds the splits, then the stream. */
#include <llhttp.h>

#include "base/buf.h"
#include "http/chunked.h"
#include "http/parse.h"

#define BODY_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Length of the next piece: 1..16 from a small generator. */
static size_t next_piece(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 24) % 16 + 1;
}

static int guard_split(str in, uint32_t seed, struct http_guard *g, size_t *out_head) {
    http_guard_init(g);
    *out_head = 0;
    for (size_t n = 0; n < in.len && *out_head == 0;) {
        n += next_piece(&seed);
        if (n > in.len)
            n = in.len;
        int rc = http_guard_scan(g, str_n(in.p, n), out_head, NULL);
        if (rc)
            return rc;
    }
    return 0;
}

/* Bytes of `in` up to the end of the body, 0 when it is not whole, negative when refused. */
static int64_t decode_split(str in, uint32_t seed, struct buf *out) {
    struct http_chunked c;
    size_t at = 0;
    http_chunked_init(&c);
    while (at < in.len && !http_chunked_ended(&c)) {
        str piece = str_slice(in, at, at + next_piece(&seed));
        str rest = piece;
        while (rest.len && !http_chunked_ended(&c)) {
            str part;
            int rc = http_chunked_next(&c, &rest, BODY_BYTES_MAX, &part, NULL);
            if (rc)
                return rc;
            buf_str(out, part);
        }
        at += piece.len - rest.len;
    }
    return http_chunked_ended(&c) ? (int64_t)at : 0;
}

struct oracle {
    struct buf body;
    bool complete;
};

static int on_body(llhttp_t *p, const char *at, size_t len) {
    buf_append(&((struct oracle *)p->data)->body, at, len);
    return 0;
}

static int on_complete(llhttp_t *p) {
    ((struct oracle *)p->data)->complete = true;
    return HPE_PAUSED;
}

static void compare_with_llhttp(str whole, size_t used, const struct buf *body) {
    struct oracle o = {.complete = false};
    llhttp_settings_t settings;
    llhttp_t p;
    buf_init(&o.body, BODY_BYTES_MAX);
    llhttp_settings_init(&settings);
    settings.on_body = on_body;
    settings.on_message_complete = on_complete;
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = &o;
    llhttp_errno_t rc = llhttp_execute(&p, whole.p, whole.len);
    if (rc == HPE_PAUSED && o.complete) {
        size_t at = (size_t)(llhttp_get_error_pos(&p) - whole.p);
        ASSERT(at == used || at + 1 == used);
        ASSERT(str_eq(buf_view(&o.body), buf_view(body)));
    } else {
        ASSERT(rc != HPE_OK); /* it does not wait for more where we have seen the end */
    }
    buf_deinit(&o.body);
}

static void check_head(str head, const struct http_guard *g, struct http_head *out,
                       struct http_header *fields) {
    ASSERT(out->method.p > head.p - 1 && out->method.len > 0 && out->target.len > 0);
    ASSERT(out->header_count == g->field_count);
    ASSERT(!(out->chunked && out->has_length));
    for (size_t i = 0; i < out->header_count; i++) {
        ASSERT(fields[i].name.len > 0 && str_find_char(fields[i].name, ' ') < 0);
        for (size_t at = 0; at < fields[i].value.len; at++)
            ASSERT(!strchr("\r\n", fields[i].value.p[at])); /* also finds NUL */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 32768)
        return 0;
    uint32_t seed = data[0];
    str in = {(const char *)data + 1, size - 1};
    struct http_guard whole, split;
    size_t head_whole = 0, head_split;
    http_guard_init(&whole);
    int rc = http_guard_scan(&whole, in, &head_whole, NULL);
    ASSERT(guard_split(in, seed, &split, &head_split) == rc);
    ASSERT(rc || head_whole == head_split);
    if (rc || head_whole == 0)
        return 0;
    struct http_header fields[HTTP_HEADER_COUNT_MAX];
    struct http_head head;
    str text = str_n(in.p, head_whole);
    if (http_parse_head(text, &whole, fields, HTTP_HEADER_COUNT_MAX, &head, NULL))
        return 0;
    check_head(text, &whole, &head, fields);
    if (!head.chunked)
        return 0;
    struct buf once, pieces;
    buf_init(&once, BODY_BYTES_MAX);
    buf_init(&pieces, BODY_BYTES_MAX);
    str body = str_n(in.p + head_whole, in.len - head_whole);
    int64_t used = decode_split(body, seed, &once);
    ASSERT(decode_split(body, seed + 1, &pieces) == used);
    ASSERT(str_eq(buf_view(&once), buf_view(&pieces)));
    if (used > 0)
        compare_with_llhttp(in, head_whole + (size_t)used, &once);
    buf_deinit(&once);
    buf_deinit(&pieces);
    return 0;
}
