/* SPDX-License-Identifier: Apache-2.0 */
/* test_stream.c - streamed responses. Goal: chunk framing, the pull contract, the bound on unsent
 * bytes, heartbeats, ends of every kind with closed exactly once, the connection used again.
 * Method: producers chosen by the path, raw sockets that read fast, slowly or not at all. */
#include "http/server.h"

#include "loopback.h"

#define HOST      "Host: a\r\n"
#define GET(path) STR("GET " path " HTTP/1.1\r\n" HOST "\r\n")

/* What all producers of a test share; the loop thread's until the script has played. */
struct stage {
    struct scene sc;
    int opened, closed, asked;
    size_t refused_at; /* bytes written when write said false */
    size_t bound;      /* most unsent bytes seen */
};

struct producer {
    struct stage *stage;
    struct http_stream *stream;
    struct fiber *waiter;
    size_t left, written;
    int closed;
    struct rt_timer timer;
};

static void on_closed(struct http_stream *stream, void *ctx) {
    struct producer *p = ctx;
    (void)stream;
    assert_int_equal(p->closed++, 0);
    p->stage->closed++;
    rt_timer_stop(p->stage->sc.rt, &p->timer);
    if (p->waiter)
        fiber_unpark(p->waiter);
    else
        mem_free(p);
}

static void count_down(struct http_stream *stream, void *ctx) {
    struct producer *p = ctx;
    p->stage->asked++;
    if (p->left == 0) {
        http_stream_end(stream);
        assert_false(http_stream_write(stream, STR("late")));
        return;
    }
    char line[32];
    int n = snprintf(line, sizeof line, "event %zu\n", p->left--);
    assert_true(http_stream_write(stream, str_n(line, (size_t)n)));
}

/* Writes until told to stop, 16 KiB each time it is asked. */
static void fire_hose(struct http_stream *stream, void *ctx) {
    struct producer *p = ctx;
    static char block[16384];
    if (block[0] == 0)
        memset(block, 'z', sizeof block);
    if (p->left == 0) {
        http_stream_end(stream);
        return;
    }
    size_t n = p->left < sizeof block ? p->left : sizeof block;
    assert_int_equal(http_stream_pending(stream), 0);
    if (http_stream_write(stream, str_n(block, n))) {
        p->left -= n;
        p->written += n;
    }
}

/* Ignores the pull contract: pushes from a timer whether the peer reads or not. */
static void push(struct rt_timer *t) {
    struct producer *p = CONTAINER_OF(t, struct producer, timer);
    static char block[16384];
    for (int i = 0; i < 8; i++) {
        if (!http_stream_write(p->stream, str_n(block, sizeof block))) {
            p->stage->refused_at = p->written;
            return;
        }
        p->written += sizeof block;
        if (http_stream_pending(p->stream) > p->stage->bound)
            p->stage->bound = http_stream_pending(p->stream);
    }
    rt_timer_start(p->stage->sc.rt, t, 1000, push);
}

static void produce_nothing(struct http_stream *stream, void *ctx) {
    struct producer *p = ctx;
    (void)stream;
    p->stage->asked++;
}

static void tell_once(struct rt_timer *t) {
    struct producer *p = CONTAINER_OF(t, struct producer, timer);
    p->left = 1;
    http_stream_want(p->stream);
}

static void produce_when_told(struct http_stream *stream, void *ctx) {
    struct producer *p = ctx;
    p->stage->asked++;
    if (p->left) {
        p->left = 0;
        (void)http_stream_write(stream, STR("told\n"));
        http_stream_end(stream);
    } else if (p->written++ == 0) {
        rt_timer_start(p->stage->sc.rt, &p->timer, 20000, tell_once);
    }
}

static void abort_at_once(struct http_stream *stream, void *ctx) {
    (void)ctx;
    http_stream_abort(stream);
}

static void handle(struct http_request *req, void *ctx) {
    struct stage *stage = CONTAINER_OF((struct scene *)ctx, struct stage, sc);
    if (str_eq(req->path, STR("/hello"))) {
        http_reply(req, 200, STR("text/plain"), STR("hello"));
        return;
    }
    if (str_eq(req->path, STR("/closed"))) {
        http_reply(req, 200, STR("text/plain"), stage->closed ? STR("yes") : STR("no"));
        return;
    }
    struct producer *p = NEW(struct producer);
    p->stage = stage;
    struct http_stream_ops ops = {.writable = produce_nothing, .closed = on_closed, .ctx = p};
    if (str_eq(req->path, STR("/count"))) {
        p->left = 30;
        ops.writable = count_down;
    } else if (str_eq(req->path, STR("/hose"))) {
        p->left = 20 << 20;
        ops.writable = fire_hose;
    } else if (str_eq(req->path, STR("/told"))) {
        ops.writable = produce_when_told;
    } else if (str_eq(req->path, STR("/abort"))) {
        ops.writable = abort_at_once;
    } else if (str_eq(req->path, STR("/beat"))) {
        ops.heartbeat = STR(": heartbeat\n");
    }
    stage->opened++;
    http_reply_header(req, STR("Cache-Control"), STR("no-cache"));
    p->stream = http_reply_stream(req, 200, STR("text/event-stream"), &ops);
    if (str_eq(req->path, STR("/push"))) {
        rt_timer_start(stage->sc.rt, &p->timer, 1000, push);
    } else if (str_eq(req->path, STR("/inside"))) {
        p->waiter = fiber_self(); /* the whole stream happens while the handler still runs */
        (void)http_stream_write(p->stream, STR("inside"));
        (void)fiber_sleep_us(5000);
        if (!p->closed) /* the peer may have gone, and the stream with it */
            http_stream_end(p->stream);
        while (!p->closed)
            fiber_park_shielded();
        mem_free(p);
    } else if (str_eq(req->path, STR("/big-event"))) {
        char *big = arena_alloc(req->arena, 300000);
        memset(big, 'e', 300000);
        assert_true(http_stream_write(p->stream, str_n(big, 300000)));
        http_stream_end(p->stream);
    }
}

static void stage_play(struct stage *stage, void (*script)(struct scene *)) {
    play(&stage->sc, script);
    assert_int_equal(stage->opened, stage->closed);
}

static void stage_init(struct stage *stage) {
    *stage = (struct stage){.opened = 0};
    scene_init(&stage->sc, handle);
}

/* Reads a chunked body up to its end, or up to EOF when it is cut; false then. */
static bool read_chunks(struct peer *p, struct buf *out) {
    for (;;) {
        str line = peer_until(p, "\r\n");
        if (!line.p)
            return false;
        size_t n = 0;
        for (size_t i = 0; i + 2 < line.len; i++)
            n = n * 16 + (size_t)(line.p[i] <= '9' ? line.p[i] - '0' : line.p[i] - 'a' + 10);
        str data = peer_exactly(p, n + 2);
        if (!data.p || !str_ends(data, STR("\r\n")))
            return false;
        if (n == 0)
            return true;
        buf_append(out, data.p, n);
    }
}

static bool read_stream(struct peer *p, struct buf *out, struct reply *r) {
    buf_reset(out);
    return peer_reply(p, false, r) && read_chunks(p, out);
}

static void script_count(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&p, STR("GET /count HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST
                                 "\r\n")));
    EXPECT(sc, read_stream(&p, &got, &r));
    EXPECT_STR(sc, reply_header(&r, "Transfer-Encoding"), "chunked");
    EXPECT_STR(sc, reply_header(&r, "Cache-Control"), "no-cache");
    EXPECT(sc, !reply_header(&r, "Content-Length").p);
    EXPECT(sc, str_starts(buf_view(&got), STR("event 30\nevent 29\n")));
    EXPECT(sc, str_ends(buf_view(&got), STR("event 2\nevent 1\n")));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello");
    buf_deinit(&got);
    peer_close(&p);
}

static void test_framing_and_reuse(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_count);
    assert_int_equal(stage.asked, 31);
}

static void script_old_client(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, STR("GET /count HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, !reply_header(&r, "Transfer-Encoding").p);
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, str_starts(peer_until(&p, "event 1\n"), STR("event 30\nevent 29\n")));
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_old_client(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_old_client);
}

static void script_head(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, STR("HEAD /count HTTP/1.1\r\n" HOST "\r\n")));
    EXPECT(sc, peer_reply(&p, true, &r));
    EXPECT(sc, r.status == 200);
    EXPECT(sc, peer_ask(&p, GET("/hello"), &r));
    EXPECT_STR(sc, r.body, "hello");
    peer_close(&p);
}

static void test_head(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_head);
    assert_int_equal(stage.asked, 0);
}

static void script_want(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&p, GET("/told")));
    EXPECT(sc, read_stream(&p, &got, &r));
    EXPECT_STR(sc, buf_view(&got), "told\n");
    buf_deinit(&got);
    peer_close(&p);
}

static void test_want(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_want);
    assert_int_equal(stage.asked, 2); /* at the start, and when told */
}

static void script_inside(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&p, STR("GET /inside HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST
                                 "\r\n")));
    EXPECT(sc, read_stream(&p, &got, &r));
    EXPECT_STR(sc, buf_view(&got), "inside");
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello");
    buf_deinit(&got);
    peer_close(&p);
}

static void test_ends_while_handler_runs(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_inside);
}

static void script_hose(struct scene *sc) {
    struct peer p = peer_open(sc), other = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 64 << 20);
    EXPECT(sc, peer_send(&p, GET("/hose")));
    usleep(20000);
    EXPECT(sc, peer_ask(&other, GET("/hello"), &r)); /* the loop is not held up */
    EXPECT(sc, read_stream(&p, &got, &r));
    EXPECT(sc, got.len == 20 << 20);
    for (size_t i = 0; i < got.len; i += 4099)
        EXPECT(sc, got.p[i] == 'z');
    buf_deinit(&got);
    peer_close(&p);
    peer_close(&other);
}

static void test_pull_follows_the_reader(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage.sc.o.stream_buffer_bytes_max = 32768; /* the producer never has more unsent */
    stage_play(&stage, script_hose);
}

static void script_big_event(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&p, GET("/big-event")));
    EXPECT(sc, read_stream(&p, &got, &r));
    EXPECT(sc, got.len == 300000);
    buf_deinit(&got);
    peer_close(&p);
}

static void test_one_event_beyond_the_bound(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage.sc.o.stream_buffer_bytes_max = 65536;
    stage_play(&stage, script_big_event);
}

static void script_push(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 64 << 20);
    EXPECT(sc, peer_send(&p, GET("/push")));
    usleep(400000);
    EXPECT(sc, !read_stream(&p, &got, &r)); /* cut without an end mark */
    buf_deinit(&got);
    peer_close(&p);
}

static void test_bound_cuts_a_pushed_stream(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage.sc.o.stream_buffer_bytes_max = 256 * 1024;
    stage_play(&stage, script_push);
    assert_true(stage.refused_at > 0);
    assert_in_range(stage.bound, 1, 256 * 1024 + 64);
}

static void script_beat(struct scene *sc) {
    struct peer p = peer_open(sc), quiet = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&quiet, GET("/quiet")));
    EXPECT(sc, peer_reply(&quiet, false, &r));
    EXPECT(sc, peer_send(&p, GET("/beat")));
    EXPECT(sc, peer_reply(&p, false, &r));
    for (int i = 0; i < 4; i++)
        EXPECT_STR(sc, peer_until(&p, "\n\r\n"), "c\r\n: heartbeat\n\r\n");
    EXPECT(sc, quiet.in.len == 0 && peer_fill(&quiet, 0) == -1);
    buf_deinit(&got);
    peer_close(&p);
    peer_close(&quiet);
}

static void test_heartbeats(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage.sc.o.heartbeat_us = 30000;
    stage_play(&stage, script_beat);
}

/* A reader that stands still is cut although the producer keeps to the contract. */
static void script_stuck(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    bool closed = false;
    EXPECT(sc, peer_send(&p, GET("/hose")));
    for (int i = 0; !closed; i++) {
        struct peer other = peer_open(sc);
        EXPECT(sc, i < 1000 && peer_ask(&other, GET("/closed"), &r));
        closed = str_eq(r.body, STR("yes"));
        peer_close(&other);
        usleep(10000);
    }
    peer_close(&p);
}

static void test_stuck_reader(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage.sc.o.heartbeat_us = 20000;
    stage.sc.o.idle_timeout_us = 100000;
    stage_play(&stage, script_stuck);
}

static void script_abort(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf got;
    buf_init(&got, 1 << 20);
    EXPECT(sc, peer_send(&p, GET("/abort")));
    EXPECT(sc, !read_stream(&p, &got, &r));
    buf_deinit(&got);
    peer_close(&p);
}

static void test_abort(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_abort);
}

static void script_disconnect(struct scene *sc) {
    static const str targets[] = {GET("/quiet"), GET("/beat"), GET("/hose"), GET("/push"),
                                  GET("/inside")};
    struct reply r;
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++)
        for (int how = 0; how < 3; how++) {
            struct peer p = peer_open(sc);
            EXPECT(sc, peer_send(&p, targets[i]));
            if (how > 0)
                EXPECT(sc, peer_reply(&p, false, &r));
            if (how == 2) {
                struct linger reset = {.l_onoff = 1};
                EXPECT(sc, setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
            }
            peer_close(&p);
        }
}

static void test_disconnect_closes_once(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_disconnect);
    assert_true(stage.opened >= 10);
}

static void script_many(struct scene *sc) {
    struct peer peers[100];
    struct reply r;
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = peer_open(sc);
        EXPECT(sc, peer_send(&peers[i], GET("/quiet")));
        EXPECT(sc, peer_reply(&peers[i], false, &r));
    }
    for (size_t i = 0; i < ARRAY_COUNT(peers); i += 2)
        peer_close(&peers[i]);
    for (size_t i = 1; i < ARRAY_COUNT(peers); i += 2) {
        buf_deinit(&peers[i].in); /* the sockets stay open: the server cuts them */
        buf_deinit(&peers[i].taken);
    }
}

static void test_server_close_cuts_streams(void **state) {
    struct stage stage;
    (void)state;
    stage_init(&stage);
    stage_play(&stage, script_many);
    assert_int_equal(stage.opened, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing_and_reuse),
        cmocka_unit_test(test_old_client),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_want),
        cmocka_unit_test(test_ends_while_handler_runs),
        cmocka_unit_test(test_pull_follows_the_reader),
        cmocka_unit_test(test_one_event_beyond_the_bound),
        cmocka_unit_test(test_bound_cuts_a_pushed_stream),
        cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_stuck_reader),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_disconnect_closes_once),
        cmocka_unit_test(test_server_close_cuts_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
