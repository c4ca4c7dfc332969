/* SPDX-License-Identifier: Apache-2.0 */
/* test_compress.c - which answers are packed. Goal: whole bodies on the loop and beside it, streams
 * with everything readable after each turn, HEAD as GET, what handlers keep from being packed, the
 * bound of packed streams. Method: one raw request per case. */
#include "http/server.h"

#include "base/hex.h"
#include "base/metrics.h"
#include "loopback.h"

#define HOST        "Host: a\r\n"
#define LARGE_BYTES 1000000
#define LINES       3000

static str text_of(struct arena *a, size_t n) {
    char *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = "{\"key\": \"value\"} "[i % 17];
    return str_n(p, n);
}

/* --- a stream of lines, each in a turn of its own --- */

struct lines {
    int left;
};

static void lines_more(struct http_stream *s, void *ctx) {
    struct lines *l = ctx;
    char line[64];
    if (l->left == 0) {
        http_stream_end(s);
        return;
    }
    int n = snprintf(line, sizeof line, "{\"line\": %d}\n", l->left--);
    (void)http_stream_write(s, str_n(line, (size_t)n));
}

static void lines_closed(struct http_stream *s, void *ctx) {
    (void)s;
    mem_free(ctx);
}

static void reply_lines(struct http_request *req, str type, int count, bool pack) {
    struct lines *l = NEW(struct lines);
    l->left = count;
    struct http_stream_ops ops = {
        .writable = lines_more, .closed = lines_closed, .ctx = l, .pack = pack};
    (void)http_reply_stream(req, 200, type, &ops);
}

/* Says one thing and then nothing. */
static void quiet_more(struct http_stream *s, void *ctx) {
    if (!*(bool *)ctx)
        (void)http_stream_write(s, STR("first\n"));
    *(bool *)ctx = true;
}

static void reply_quiet(struct http_request *req) {
    struct http_stream_ops ops = {
        .writable = quiet_more, .closed = lines_closed, .ctx = mem_zalloc(1), .pack = true};
    (void)http_reply_stream(req, 200, STR("application/x-ndjson"), &ops);
}

static void handle(struct http_request *req, void *ctx) {
    (void)ctx;
    str json = STR("application/json");
    if (str_eq(req->path, STR("/large"))) {
        http_reply(req, 200, json, text_of(req->arena, LARGE_BYTES));
    } else if (str_eq(req->path, STR("/part"))) {
        http_reply(req, 206, json, text_of(req->arena, 5000));
    } else if (str_eq(req->path, STR("/secret"))) {
        http_reply_header(req, STR("Cache-Control"), STR("no-store, no-transform"));
        http_reply(req, 200, json, text_of(req->arena, 5000));
    } else if (str_eq(req->path, STR("/tagged"))) {
        http_reply_header(req, STR("ETag"), STR("\"strong\""));
        http_reply(req, 200, json, text_of(req->arena, 5000));
    } else if (str_eq(req->path, STR("/weak"))) {
        http_reply_header(req, STR("ETag"), STR("W/\"weak\""));
        http_reply(req, 200, json, text_of(req->arena, 5000));
    } else if (str_eq(req->path, STR("/small"))) {
        http_reply(req, 200, json, STR("{}"));
    } else if (str_eq(req->path, STR("/lines"))) {
        reply_lines(req, STR("application/x-ndjson"), LINES, true);
    } else if (str_eq(req->path, STR("/plain-lines"))) {
        reply_lines(req, STR("application/x-ndjson"), LINES, false);
    } else if (str_eq(req->path, STR("/no-lines"))) {
        reply_lines(req, STR("application/x-ndjson"), 0, true);
    } else if (str_eq(req->path, STR("/events"))) {
        reply_lines(req, STR("text/event-stream"), 1, true);
    } else if (str_eq(req->path, STR("/quiet"))) {
        reply_quiet(req);
    }
}

static bool send_get(struct peer *p, const char *method, const char *path, const char *accept) {
    char request[256];
    int n = snprintf(request, sizeof request, "%s %s HTTP/1.1\r\n" HOST "%s%s\r\n\r\n", method,
                     path, accept ? "Accept-Encoding: " : "X-None:", accept ? accept : "");
    return peer_send(p, str_n(request, (size_t)n));
}

static bool unpacks_to(const struct reply *r, str want) {
    enum http_coding c;
    struct buf out;
    if (!http_coding_parse(reply_header(r, "Content-Encoding"), &c))
        return false;
    buf_init(&out, want.len + 1);
    struct http_decoder *d = http_decoder_new(c, r->body, want.len);
    bool good = http_decode(d, SIZE_MAX, &out, NULL) == 1 && str_eq(buf_view(&out), want);
    http_decoder_free(d);
    buf_deinit(&out);
    return good;
}

static void script_whole(struct scene *sc) {
    static const struct {
        const char *path, *accept, *coding;
        bool varies;
    } cases[] = {
        {"/large", "gzip", "gzip", true},       {"/large", "zstd", "zstd", true},
        {"/large", "gzip, zstd", "zstd", true}, {"/large", "gzip, zstd;q=0.5", "gzip", true},
        {"/large", "br", NULL, true},           {"/large", NULL, NULL, true},
        {"/part", "gzip", NULL, false},         {"/secret", "gzip", NULL, false},
        {"/tagged", "gzip", NULL, false},       {"/weak", "gzip", "gzip", true},
        {"/small", "gzip", NULL, false},        {"/small", "gzip, identity;q=0", NULL, true},
    };
    struct peer p = peer_open(sc);
    struct arena a;
    arena_init(&a, 4 << 20);
    str all = text_of(&a, LARGE_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct reply r;
        bool small = str_eq(str_of(cases[i].path), STR("/small"));
        bool large = str_eq(str_of(cases[i].path), STR("/large"));
        EXPECT(sc, send_get(&p, "GET", cases[i].path, cases[i].accept));
        EXPECT(sc, peer_reply(&p, false, &r));
        str coding = reply_header(&r, "Content-Encoding");
        if (!str_eq(coding, str_of(cases[i].coding)))
            scene_failed(sc, __FILE__, __LINE__, cases[i].path, coding);
        EXPECT(sc, (reply_header(&r, "Vary").p != NULL) == cases[i].varies);
        str want = small ? STR("{}") : str_slice(all, 0, large ? LARGE_BYTES : 5000);
        EXPECT(sc, coding.p ? unpacks_to(&r, want) : str_eq(r.body, want));
        char length[32];
        (void)snprintf(length, sizeof length, STR_FMT, STR_ARG(reply_header(&r, "Content-Length")));
        EXPECT(sc, send_get(&p, "HEAD", cases[i].path, cases[i].accept));
        EXPECT(sc, peer_reply(&p, true, &r));
        EXPECT_STR(sc, reply_header(&r, "Content-Length"), length);
        EXPECT(sc, str_eq(reply_header(&r, "Content-Encoding"), str_of(cases[i].coding)));
    }
    arena_deinit(&a);
    peer_close(&p);
}

static void test_whole(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_whole);
}

/* Of "1a\r\n". */
static size_t chunk_size(str line) {
    size_t n = 0;
    for (size_t i = 0; i < line.len && hex_digit(line.p[i]) >= 0; i++)
        n = 16 * n + (size_t)hex_digit(line.p[i]);
    return n;
}

/* The next response, its chunks put together in the reply's body. */
static bool chunked_reply(struct peer *p, struct reply *r, struct buf *body) {
    buf_reset(body);
    if (!peer_reply(p, true, r))
        return false;
    for (;;) {
        str line = peer_until(p, "\r\n");
        size_t n = line.p ? chunk_size(line) : 0;
        str data = peer_exactly(p, n + 2);
        if (!line.p || !data.p)
            return false;
        buf_str(body, str_slice(data, 0, n));
        if (n == 0)
            break;
    }
    r->body = buf_view(body);
    return true;
}

static str all_lines(struct buf *b, int count) {
    for (int i = count; i > 0; i--)
        buf_printf(b, "{\"line\": %d}\n", i);
    return buf_view(b);
}

static void script_streams(struct scene *sc) {
    static const struct {
        const char *path, *accept, *coding;
        int lines;
    } cases[] = {
        {"/lines", "gzip", "gzip", LINES},  {"/lines", "zstd, gzip", "zstd", LINES},
        {"/lines", NULL, NULL, LINES},      {"/plain-lines", "gzip", NULL, LINES},
        {"/no-lines", "gzip", "gzip", 0},   {"/no-lines", "zstd", "zstd", 0},
        {"/events", "gzip, zstd", NULL, 1},
    };
    struct peer p = peer_open(sc);
    struct buf body, want;
    buf_init(&body, SIZE_MAX / 2);
    buf_init(&want, SIZE_MAX / 2);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct reply r;
        EXPECT(sc, send_get(&p, "GET", cases[i].path, cases[i].accept));
        EXPECT(sc, chunked_reply(&p, &r, &body));
        str coding = reply_header(&r, "Content-Encoding");
        EXPECT(sc, str_eq(coding, str_of(cases[i].coding)));
        buf_reset(&want);
        str lines = all_lines(&want, cases[i].lines);
        EXPECT(sc, coding.p ? unpacks_to(&r, lines) : str_eq(r.body, lines));
        EXPECT(sc, send_get(&p, "HEAD", cases[i].path, cases[i].accept));
        EXPECT(sc, peer_reply(&p, true, &r));
        EXPECT(sc, str_eq(reply_header(&r, "Content-Encoding"), str_of(cases[i].coding)));
    }
    buf_deinit(&body);
    buf_deinit(&want);
    peer_close(&p);
}

static int64_t streams_open(void) {
    return metric_value(metric_gauge("holdfast_http_compressed_streams", "", NULL));
}

static void test_streams(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_streams);
    assert_int_equal(streams_open(), 0);
}

/* What can be read of a stream that is open, from its first chunks on. */
static bool begins_with(struct peer *p, const char *coding, str want) {
    struct buf in, out;
    bool good = false;
    buf_init(&in, SIZE_MAX / 2);
    while (!good && in.len < 1000) {
        str line = peer_until(p, "\r\n");
        size_t n = line.p ? chunk_size(line) : 0;
        str data = peer_exactly(p, n + 2);
        if (n == 0 || !data.p)
            break;
        buf_str(&in, str_slice(data, 0, n));
        if (!coding) {
            good = str_eq(buf_view(&in), want);
            continue;
        }
        buf_init(&out, want.len + 1);
        enum http_coding c = coding[0] == 'z' ? HTTP_ZSTD : HTTP_GZIP;
        struct http_decoder *d = http_decoder_new(c, buf_view(&in), want.len);
        bool open = http_decode(d, SIZE_MAX, &out, NULL) == ERR_MALFORMED; /* no end yet */
        good = open && str_eq(buf_view(&out), want);
        http_decoder_free(d);
        buf_deinit(&out);
    }
    buf_deinit(&in);
    return good;
}

/* What was written can be read though the stream is open; one more than may be is sent as it is;
 * one that is cut makes room for another. */
static void script_open(struct scene *sc) {
    static const char *const codings[] = {"gzip", "zstd", NULL};
    struct peer peers[3], more;
    struct reply r;
    for (int i = 0; i < 3; i++) {
        peers[i] = peer_open(sc);
        EXPECT(sc, send_get(&peers[i], "GET", "/quiet", i == 1 ? "zstd" : "gzip"));
        EXPECT(sc, peer_reply(&peers[i], true, &r));
        EXPECT(sc, str_eq(reply_header(&r, "Content-Encoding"), str_of(codings[i])));
        EXPECT(sc, begins_with(&peers[i], codings[i], STR("first\n")));
    }
    EXPECT(sc, streams_open() == 2);
    peer_close(&peers[0]);
    bool packed = false;
    for (int i = 0; i < 1000 && !packed; i++) {
        more = peer_open(sc);
        EXPECT(sc, send_get(&more, "HEAD", "/quiet", "gzip"));
        EXPECT(sc, peer_reply(&more, true, &r));
        packed = reply_header(&r, "Content-Encoding").p != NULL;
        peer_close(&more);
    }
    EXPECT(sc, packed);
    peer_close(&peers[1]);
    peer_close(&peers[2]);
}

static void test_open(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.compress.streams_max = 2;
    play(&sc, script_open);
    assert_int_equal(streams_open(), 0);
}

static void script_events(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf body;
    buf_init(&body, SIZE_MAX / 2);
    EXPECT(sc, send_get(&p, "GET", "/events", "gzip, zstd"));
    EXPECT(sc, chunked_reply(&p, &r, &body));
    EXPECT_STR(sc, reply_header(&r, "Content-Encoding"), "gzip");
    EXPECT(sc, unpacks_to(&r, STR("{\"line\": 1}\n")));
    EXPECT(sc, send_get(&p, "GET", "/large", "zstd"));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, !reply_header(&r, "Content-Encoding").p);
    buf_deinit(&body);
    peer_close(&p);
}

/* Server-sent events where that is wanted; gzip alone. */
static void test_events(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.compress.events = true;
    sc.o.compress.codings = HTTP_COMPRESS_GZIP;
    play(&sc, script_events);
}

static void script_off(struct scene *sc) {
    static const char *const paths[] = {"/large", "/weak"};
    struct peer p = peer_open(sc);
    struct reply r;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        EXPECT(sc, send_get(&p, "GET", paths[i], "gzip, zstd"));
        EXPECT(sc, peer_reply(&p, false, &r));
        EXPECT(sc, !reply_header(&r, "Content-Encoding").p && !reply_header(&r, "Vary").p);
    }
    peer_close(&p);
}

static void test_off(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.compress.codings = HTTP_COMPRESS_NONE;
    play(&sc, script_off);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),  cmocka_unit_test(test_streams), cmocka_unit_test(test_open),
        cmocka_unit_test(test_events), cmocka_unit_test(test_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
