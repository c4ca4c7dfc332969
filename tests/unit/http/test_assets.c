/* SPDX-License-Identifier: Apache-2.0 */
/* test_assets.c - files of the binary in several forms. Goal: the best form by Accept and
 * Accept-Encoding, newer pictures only for who names them, conditions, caching, Vary. Method: a
 * table of a page, a script and a picture; one raw request per case. */
#include "http/assets.h"

#include "loopback.h"

#define FORM(type_, coding_, text_)                                                                \
    { type_, coding_, "\"" text_ "\"", (const unsigned char *)text_, sizeof(text_) - 1 }

static const struct http_asset_form PAGE[] = {
    FORM("text/html; charset=utf-8", HTTP_IDENTITY, "the page as it is"),
    FORM("text/html; charset=utf-8", HTTP_GZIP, "the page gzip"),
    FORM("text/html; charset=utf-8", HTTP_BROTLI, "the page br"),
};
static const struct http_asset_form SCRIPT[] = {FORM("text/javascript", HTTP_IDENTITY, "script")};
static const struct http_asset_form PICTURE[] = {
    FORM("image/png", HTTP_IDENTITY, "a picture of many bytes"),
    FORM("image/webp", HTTP_IDENTITY, "a picture of some"),
    FORM("image/avif", HTTP_IDENTITY, "a picture"),
};
static const struct http_asset_form DRAWING[] = {
    FORM("image/svg+xml", HTTP_IDENTITY, "a drawing as it is"),
    FORM("image/svg+xml", HTTP_GZIP, "a drawing, gzip"),
    FORM("image/avif", HTTP_IDENTITY, "avif"),
};
static const struct http_asset ASSETS[] = {
    {"page.html", PAGE, ARRAY_COUNT(PAGE), INT64_C(784111777000000), false},
    {"script.0123.js", SCRIPT, ARRAY_COUNT(SCRIPT), INT64_C(784111777500000), true},
    {"picture.0123.png", PICTURE, ARRAY_COUNT(PICTURE), INT64_C(784111777000000), true},
    {"drawing.0123.svg", DRAWING, ARRAY_COUNT(DRAWING), INT64_C(784111777000000), true},
};

static void handle(struct http_request *req, void *ctx) {
    (void)ctx;
    str name = str_slice(req->path, 1, req->path.len);
    const struct http_asset *asset = http_asset_find(ASSETS, ARRAY_COUNT(ASSETS), name);
    if (asset)
        (void)http_asset_reply(req, asset);
    else
        http_reply(req, 404, STR_NULL, STR(""));
}

static bool get(struct peer *p, const char *path, const char *headers, struct reply *out) {
    char request[512];
    int n =
        snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, headers);
    return peer_ask(p, str_n(request, (size_t)n), out);
}

static void script_forms(struct scene *sc) {
    static const struct {
        const char *path, *headers, *body, *coding, *type;
    } cases[] = {
        {"page.html", "", "the page as it is", NULL, "text/html; charset=utf-8"},
        {"page.html", "Accept-Encoding: gzip, deflate, br, zstd\r\n", "the page br", "br", NULL},
        {"page.html", "Accept-Encoding: gzip\r\n", "the page gzip", "gzip", NULL},
        {"page.html", "Accept-Encoding: br;q=0.5\r\nAccept-Encoding: gzip\r\n", "the page gzip",
         "gzip", NULL},
        {"page.html", "Accept-Encoding: zstd\r\n", "the page as it is", NULL, NULL},
        {"page.html", "Accept-Encoding: *;q=0\r\n", "the page as it is", NULL, NULL},
        {"page.html", "Accept: image/png\r\n", "the page as it is", NULL, NULL},
        {"page.html", "Accept: text/*;q=0.1\r\nAccept-Encoding: *\r\n", "the page br", "br", NULL},
        {"script.0123.js", "Accept-Encoding: gzip\r\n", "script", NULL, "text/javascript"},
        {"picture.0123.png", "", "a picture of many bytes", NULL, "image/png"},
        {"picture.0123.png", "Accept: */*\r\n", "a picture of many bytes", NULL, "image/png"},
        {"picture.0123.png", "Accept: image/*\r\n", "a picture of many bytes", NULL, "image/png"},
        {"picture.0123.png", "Accept: image/webp,image/png,*/*;q=0.5\r\n", "a picture of some",
         NULL, "image/webp"},
        {"picture.0123.png", "Accept: image/avif,image/webp,image/apng,*/*;q=0.8\r\n", "a picture",
         NULL, "image/avif"},
        {"picture.0123.png", "Accept: image/avif;q=0.5, image/webp\r\n", "a picture of some", NULL,
         "image/webp"},
        {"picture.0123.png", "Accept: image/avif;q=0, image/*\r\n", "a picture of many bytes", NULL,
         "image/png"},
        {"drawing.0123.svg", "Accept-Encoding: gzip\r\n", "a drawing, gzip", "gzip",
         "image/svg+xml"},
        {"drawing.0123.svg", "Accept: image/avif, image/svg+xml;q=0.9\r\n", "avif", NULL,
         "image/avif"},
    };
    struct peer p = peer_open(sc);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct reply r;
        EXPECT(sc, get(&p, cases[i].path, cases[i].headers, &r));
        EXPECT_STR(sc, r.body, cases[i].body);
        EXPECT(sc, str_eq(reply_header(&r, "Content-Encoding"), str_of(cases[i].coding)));
        if (cases[i].type)
            EXPECT_STR(sc, reply_header(&r, "Content-Type"), cases[i].type);
        str tag = reply_header(&r, "ETag");
        EXPECT_STR(sc, str_slice(tag, 1, tag.len - 1), cases[i].body);
    }
    peer_close(&p);
}

static void script_caching(struct scene *sc) {
    static const char *const same[] = {
        "If-None-Match: \"the page as it is\"\r\n",
        "If-None-Match: \"x\", W/\"the page as it is\"\r\n",
        "If-None-Match: *\r\n",
        "If-None-Match: \"the page br\"\r\nAccept-Encoding: br\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n",
    };
    static const char *const other[] = {
        "If-None-Match: \"the page br\"\r\n",
        "If-None-Match: \"the page as it is\"\r\nAccept-Encoding: gzip\r\n",
        "If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n",
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
        "If-Modified-Since: Mon, 06 Nov 1994 08:49:37 GMT\r\n",
    };
    struct peer p = peer_open(sc);
    struct reply r;
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        EXPECT(sc, get(&p, "page.html", same[i], &r));
        EXPECT(sc, r.status == 304 && !reply_header(&r, "Content-Encoding").p);
        EXPECT_STR(sc, reply_header(&r, "Vary"), "Accept-Encoding");
        EXPECT_STR(sc, reply_header(&r, "Cache-Control"), "no-cache");
        EXPECT(sc, reply_header(&r, "ETag").p);
    }
    for (size_t i = 0; i < ARRAY_COUNT(other); i++) {
        EXPECT(sc, get(&p, "page.html", other[i], &r));
        EXPECT(sc, r.status == 200);
        EXPECT_STR(sc, reply_header(&r, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
    /* Its time of change has a fraction, dates of HTTP have none. */
    EXPECT(sc,
           get(&p, "script.0123.js", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", &r));
    EXPECT(sc, r.status == 304 && !reply_header(&r, "Vary").p);
    EXPECT_STR(sc, reply_header(&r, "Cache-Control"), "public, max-age=31536000, immutable");
    EXPECT(sc, get(&p, "picture.0123.png", "", &r));
    EXPECT_STR(sc, reply_header(&r, "Vary"), "Accept");
    EXPECT(sc, get(&p, "drawing.0123.svg", "", &r));
    EXPECT_STR(sc, reply_header(&r, "Vary"), "Accept, Accept-Encoding");
    EXPECT(sc, get(&p, "script.js", "", &r));
    EXPECT(sc, r.status == 404);
    peer_close(&p);
}

static void test_forms(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.compress.bytes_min = 1; /* what has a strong tag is not packed on the way */
    play(&sc, script_forms);
}

static void test_caching(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_caching);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms),
                                       cmocka_unit_test(test_caching)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
