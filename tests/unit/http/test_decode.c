/* SPDX-License-Identifier: Apache-2.0 */
/* test_decode.c - bodies of requests with a Content-Encoding. Goal: small and large ones arrive as
 * they were, with a length and in chunks; too much, damage and unknown codings have their status,
 * and the connection goes on. Method: raw requests to a handler that tells what it got. */
#include "http/server.h"

#include "loopback.h"

#define BYTES_MAX (1 << 20)

static void handle(struct http_request *req, void *ctx) {
    (void)ctx;
    struct err err = {0};
    int rc = http_request_decode(req, &err);
    if (rc < 0) {
        http_reply(req, err_http_status(rc), STR("text/plain"), str_of(err.message));
        return;
    }
    unsigned sum = 0;
    for (size_t i = 0; i < req->body.len; i++)
        sum = sum * 31 + (unsigned char)req->body.p[i];
    http_reply(req, 200, STR("text/plain"), arena_printf(req->arena, "%zu %u", req->body.len, sum));
}

static str text_of(struct buf *b, size_t n) {
    buf_reset(b);
    for (size_t i = 0; b->len < n; i++)
        buf_printf(b, "{\"id\": %zu, \"text\": \"words of event %zu\"}\n", i, i * 7919);
    return str_n(b->p, n);
}

static bool put(struct peer *p, const char *coding, str body, bool chunked, struct reply *out) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_printf(&b, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Encoding: %s\r\n", coding);
    if (chunked)
        buf_printf(&b, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", body.len);
    else
        buf_printf(&b, "Content-Length: %zu\r\n\r\n", body.len);
    buf_str(&b, body);
    if (chunked)
        buf_str(&b, STR("\r\n0\r\n\r\n"));
    bool sent = peer_send(p, buf_view(&b));
    buf_deinit(&b);
    return sent && peer_reply(p, false, out);
}

static str packed_of(struct buf *b, enum http_coding c, str text) {
    struct http_encoder *e = http_encoder_new(c, 1);
    buf_reset(b);
    http_encode(e, text, HTTP_ENCODE_END, b);
    http_encoder_free(e);
    return buf_view(b);
}

static void told(char out[64], str text) {
    unsigned sum = 0;
    for (size_t i = 0; i < text.len; i++)
        sum = sum * 31 + (unsigned char)text.p[i];
    (void)snprintf(out, 64, "%zu %u", text.len, sum);
}

static void script_bodies(struct scene *sc) {
    static const size_t sizes[] = {1, 300, 70000, 500000, BYTES_MAX};
    static const struct {
        const char *name;
        enum http_coding coding;
    } codings[] = {{"gzip", HTTP_GZIP}, {"X-GZIP", HTTP_GZIP}, {" zstd ", HTTP_ZSTD}};
    struct peer p = peer_open(sc);
    struct buf text, packed;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&packed, SIZE_MAX / 2);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t c = 0; c < ARRAY_COUNT(codings); c++) {
            char want[64];
            struct reply r;
            str body = text_of(&text, sizes[i]);
            told(want, body);
            str sent = packed_of(&packed, codings[c].coding, body);
            EXPECT(sc, put(&p, codings[c].name, sent, c == 1, &r));
            EXPECT_STR(sc, r.body, want);
            EXPECT(sc, put(&p, "identity", str_slice(body, 0, 1000), false, &r));
            EXPECT(sc, r.status == 200);
        }
    buf_deinit(&text);
    buf_deinit(&packed);
    peer_close(&p);
}

static void test_bodies(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.body_bytes_max = BYTES_MAX;
    play(&sc, script_bodies);
}

static void script_refused(struct scene *sc) {
    static const char *const unknown[] = {"br", "deflate", "gzip, gzip", "gzip, zstd", "x"};
    struct peer p = peer_open(sc);
    struct buf text, packed;
    struct reply r;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&packed, SIZE_MAX / 2);
    for (int c = HTTP_GZIP; c <= HTTP_ZSTD; c++) {
        const char *name = c == HTTP_GZIP ? "gzip" : "zstd";
        str bomb = packed_of(&packed, (enum http_coding)c, text_of(&text, BYTES_MAX + 1));
        EXPECT(sc, put(&p, name, bomb, false, &r));
        EXPECT(sc, r.status == 413);
        EXPECT(sc, put(&p, name, str_slice(bomb, 0, 100), false, &r));
        EXPECT(sc, r.status == 400);
        EXPECT(sc, put(&p, name, STR("{}"), true, &r));
        EXPECT(sc, r.status == 400);
        EXPECT(sc, put(&p, name, STR(""), false, &r));
        EXPECT_STR(sc, r.body, "0 0");
        EXPECT(sc, put(&p, name, packed_of(&packed, (enum http_coding)c, STR("")), false, &r));
        EXPECT_STR(sc, r.body, "0 0");
    }
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        EXPECT(sc, put(&p, unknown[i], STR("{}"), false, &r));
        EXPECT(sc, r.status == 415);
        EXPECT_STR(sc, reply_header(&r, "Accept-Encoding"), "gzip, zstd");
    }
    buf_deinit(&text);
    buf_deinit(&packed);
    peer_close(&p);
}

static void test_refused(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.body_bytes_max = BYTES_MAX;
    play(&sc, script_refused);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bodies),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
