/* SPDX-License-Identifier: Apache-2.0 */
/* test_response.c - heads and bodies of complete responses. Goal: HEAD, 204 and 304 have no body,
 * gzip obeys q-values, types and sizes, headers of handlers cannot break the framing, CORS and
 * preflights. Method: one raw request per case. */
#include "http/server.h"

#include <libdeflate.h>

#include "loopback.h"

#define HOST "Host: a\r\n"

static str text_of(struct arena *a, size_t n) {
    char *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = "{\"key\": \"value\"} "[i % 17];
    return str_n(p, n);
}

static void handle(struct http_request *req, void *ctx) {
    (void)ctx;
    str json = STR("application/json");
    if (str_eq(req->path, STR("/none"))) {
        http_reply(req, 204, STR_NULL, STR(""));
    } else if (str_eq(req->path, STR("/same"))) {
        http_reply(req, 304, STR_NULL, STR("dropped"));
    } else if (str_eq(req->path, STR("/small"))) {
        http_reply(req, 200, json, text_of(req->arena, 999));
    } else if (str_eq(req->path, STR("/large"))) {
        http_reply(req, 200, json, text_of(req->arena, 100000));
    } else if (str_eq(req->path, STR("/image"))) {
        http_reply(req, 200, STR("image/png"), text_of(req->arena, 100000));
    } else if (str_eq(req->path, STR("/type"))) {
        http_reply(req, 200, STR("text/plain\r\nX-Evil: 1"), STR("body"));
    } else if (str_eq(req->path, STR("/encoded"))) {
        http_reply_header(req, STR("Content-Encoding"), STR("br"));
        http_reply(req, 200, json, text_of(req->arena, 100000));
    } else {
        http_reply_header(req, STR("Location"), STR("/x"));
        http_reply_header(req, STR("X-Evil"), STR("a\r\nSet-Cookie: b=c"));
        http_reply_header(req, STR("X-Nul"), STR("a\0b"));
        http_reply_header(req, STR("X-Bad\r\nY"), STR("a"));
        http_reply_header(req, STR("X Space"), STR("a"));
        http_reply_header(req, STR("Content-Length"), STR("1"));
        http_reply_header(req, STR("transfer-encoding"), STR("chunked"));
        assert_false(http_replied(req));
        http_reply(req, 201, json, STR("{}"));
        assert_true(http_replied(req));
    }
}

static void script_bodiless(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, STR("HEAD /small HTTP/1.1\r\n" HOST "\r\n")));
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT(sc, r.status == 200);
    EXPECT_STR(sc, reply_header(&r, "Content-Length"), "999");
    EXPECT(sc, peer_send(&p, STR("GET /none HTTP/1.1\r\n" HOST "\r\n")));
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT(sc, r.status == 204 && !reply_header(&r, "Content-Length").p);
    EXPECT(sc, peer_send(&p, STR("GET /same HTTP/1.1\r\n" HOST "\r\n")));
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT(sc, r.status == 304 && !reply_header(&r, "Content-Length").p);
    EXPECT(sc, peer_ask(&p, STR("GET /small HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.body.len == 999);
    peer_close(&p);
}

static void test_bodiless(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_bodiless);
}

static bool unpack(str packed, str want) {
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    char *p = mem_alloc(want.len);
    size_t n = 0;
    bool good = libdeflate_gzip_decompress(d, packed.p, packed.len, p, want.len, &n) == 0 &&
                str_eq(str_n(p, n), want);
    mem_free(p);
    libdeflate_free_decompressor(d);
    return good;
}

static void script_gzip(struct scene *sc) {
    static const struct {
        const char *path, *accept;
        bool packed, varies;
    } cases[] = {
        {"/large", "gzip", true, true},
        {"/large", "br;q=1.0, gzip;q=0.8, *;q=0.1", true, true},
        {"/large", "GZIP ; q=0.001", true, true},
        {"/large", "*", true, true},
        {"/large", "br, *;q=0.5", true, true},
        {"/large", "gzip;q=0", false, true},
        {"/large", "*;q=1, gzip;q=0.0", false, true},
        {"/large", "*;q=0", false, true},
        {"/large", "gzip;q=2", false, true},
        {"/large", "identity, br", false, true},
        {"/large", "", false, true},
        {"/small", "gzip", false, false},
        {"/image", "gzip", false, false},
        {"/encoded", "gzip", false, false},
    };
    struct peer p = peer_open(sc);
    struct arena a;
    arena_init(&a, 1 << 20);
    str text = text_of(&a, 100000);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char request[256];
        struct reply r;
        int n = snprintf(request, sizeof request,
                         "GET %s HTTP/1.1\r\n" HOST "Accept-Encoding: %s\r\n\r\n", cases[i].path,
                         cases[i].accept);
        EXPECT(sc, peer_ask(&p, str_n(request, (size_t)n), &r));
        str coding = reply_header(&r, "Content-Encoding");
        bool packed = coding.p && str_eq(coding, STR("gzip"));
        if (packed != cases[i].packed)
            scene_failed(sc, __FILE__, __LINE__, cases[i].accept, coding);
        EXPECT(sc, (reply_header(&r, "Vary").p != NULL) == cases[i].varies);
        if (packed)
            EXPECT(sc, r.body.len < 20000 && unpack(r.body, text));
        else
            EXPECT(sc, r.body.len == (i == 11 ? 999 : 100000));
    }
    arena_deinit(&a);
    peer_close(&p);
}

static void test_gzip(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.compress.bytes_min = 1000;
    sc.o.compress.codings = HTTP_COMPRESS_GZIP;
    play(&sc, script_gzip);
}

static void script_headers(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET /headers HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 201);
    EXPECT_STR(sc, reply_header(&r, "Location"), "/x");
    EXPECT_STR(sc, reply_header(&r, "Content-Length"), "2");
    EXPECT(sc, !reply_header(&r, "X-Evil").p && !reply_header(&r, "Set-Cookie").p);
    EXPECT(sc, !reply_header(&r, "X-Nul").p && !strstr(r.head, "X Space"));
    EXPECT(sc, !strstr(r.head, "X-Bad") && !strstr(r.head, "chunked"));
    EXPECT(sc, !reply_header(&r, "Access-Control-Allow-Origin").p);
    EXPECT_STR(sc, r.body, "{}");
    EXPECT(sc, peer_ask(&p, STR("GET /type HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, reply_header(&r, "Content-Type"), "application/octet-stream");
    EXPECT(sc, !reply_header(&r, "X-Evil").p);
    EXPECT_STR(sc, r.body, "body");
    peer_close(&p);
}

static void test_headers_of_handlers(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_headers);
}

#define PREFLIGHT                                                                                  \
    "OPTIONS /headers HTTP/1.1\r\n" HOST "Origin: https://o\r\n"                                   \
    "Access-Control-Request-Method: PATCH\r\n"

static void script_cors(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc,
           peer_send(&p, STR(PREFLIGHT "Access-Control-Request-Headers: x-a,x-b\r\n\r\n" PREFLIGHT
                                       "\r\n")));
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT(sc, r.status == 204);
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Origin"), "*");
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Headers"), "x-a,x-b");
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Methods"),
               "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    EXPECT(sc, !reply_header(&r, "Access-Control-Allow-Credentials").p);
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Headers"), "*");
    EXPECT(sc, peer_ask(&p, STR("OPTIONS /headers HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 201); /* no preflight: the handler's */
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Expose-Headers"),
               "Content-Location, ETag, Location, X-Pagination-Total, X-Pagination-Next");
    EXPECT(sc, peer_ask(&p, STR("bad\r\n\r\n"), &r));
    EXPECT(sc, r.status == 400);
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Origin"), "*");
    peer_close(&p);
}

static void test_cors_any(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.cors_allow_origin = "*";
    play(&sc, script_cors);
}

static void script_cors_one(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET /headers HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Origin"), "https://o");
    EXPECT_STR(sc, reply_header(&r, "Access-Control-Allow-Credentials"), "true");
    EXPECT_STR(sc, reply_header(&r, "Vary"), "Origin");
    peer_close(&p);
}

static void test_cors_one_origin(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.cors_allow_origin = "https://o";
    play(&sc, script_cors_one);
}

/* Thousands of preflights in one burst must not nest. */
static void script_preflight_burst(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf all;
    buf_init(&all, 4 << 20);
    for (int i = 0; i < 5000; i++)
        buf_str(&all, STR(PREFLIGHT "\r\n"));
    EXPECT(sc, peer_send(&p, buf_view(&all)));
    for (int i = 0; i < 5000; i++)
        EXPECT(sc, peer_reply(&p, true, &r) && r.status == 204);
    buf_deinit(&all);
    peer_close(&p);
}

static void test_preflight_burst(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.cors_allow_origin = "*";
    play(&sc, script_preflight_burst);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodiless),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_headers_of_handlers),
        cmocka_unit_test(test_cors_any),
        cmocka_unit_test(test_cors_one_origin),
        cmocka_unit_test(test_preflight_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
