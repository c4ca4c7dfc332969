/* SPDX-License-Identifier: Apache-2.0 */
/* test_ws_frame.c - frames of WebSocket. Goal: messages and control frames come out as they were
 * sent, in every split; each rule that a client can break has its close code; lengths are bounded.
 * Method: literal frames (those of RFC 6455 §5.7 among them), whole, cut everywhere and byte by
 * byte; events rendered as text and compared. */
#include "http/ws_frame.h"

#include <stdio.h>

#include "check.h"

#define BYTES_MAX 70000

static char frames[2 * BYTES_MAX + 64];
static size_t frames_len;

static void begin(void) { frames_len = 0; }
static void byte(int b) { frames[frames_len++] = (char)b; }

/* A masked frame whose length field has `bytes` bytes (0: within the second byte). */
static void frame_of(int first, str payload, size_t bytes, uint64_t length) {
    static const unsigned char mask[] = {0x37, 0xfa, 0x21, 0x3d};
    byte(first);
    byte(128 | (bytes == 0 ? (int)length : bytes == 2 ? 126 : 127));
    for (size_t i = 0; i < bytes; i++)
        byte((int)(length >> 8 * (bytes - 1 - i) & 255));
    for (size_t i = 0; i < 4; i++)
        byte(mask[i]);
    for (size_t i = 0; i < payload.len; i++)
        byte((unsigned char)payload.p[i] ^ mask[i % 4]);
}

static void frame(int first, str payload) {
    size_t bytes = payload.len < 126 ? 0 : payload.len < 65536 ? 2 : 8;
    frame_of(first, payload, bytes, payload.len);
}

static int feed(struct http_ws_reader *r, str input, struct buf *out) {
    struct http_ws_event e;
    struct err err = {0};
    int rc;
    while ((rc = http_ws_next(r, &input, &e, &err)) == 1) {
        if (e.data.len > 100)
            buf_printf(out, "<%d %d %zu>", e.kind, e.code, e.data.len);
        else
            buf_printf(out, "<%d %d " STR_FMT ">", e.kind, e.code, STR_ARG(e.data));
    }
    if (rc < 0)
        buf_printf(out, "<error %d>", err.system);
    else
        assert_int_equal(input.len, 0);
    return rc;
}

static void check_cut(size_t cut, const char *want) {
    struct http_ws_reader r;
    struct buf out;
    buf_init(&out, 65536);
    http_ws_reader_init(&r, BYTES_MAX);
    if (feed(&r, str_n(frames, cut), &out) == 0)
        (void)feed(&r, str_n(frames + cut, frames_len - cut), &out);
    check_str(out.len ? buf_view(&out) : STR(""), want);
    http_ws_reader_deinit(&r);
    buf_deinit(&out);
}

static void check_frames(const char *want) {
    struct http_ws_reader r;
    struct buf out;
    for (size_t cut = 0; cut <= frames_len; cut += frames_len > 2000 ? 997 : 1)
        check_cut(cut, want);
    buf_init(&out, 65536);
    http_ws_reader_init(&r, BYTES_MAX);
    for (size_t i = 0; i < frames_len; i++)
        if (feed(&r, str_n(frames + i, 1), &out) < 0)
            break;
    check_str(out.len ? buf_view(&out) : STR(""), want);
    http_ws_reader_deinit(&r);
    buf_deinit(&out);
}

static void test_messages(void **state) {
    static char long_text[BYTES_MAX];
    (void)state;
    begin();
    frame(0x81, STR("Hello"));
    assert_memory_equal(frames, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11); /* the RFC's */
    check_frames("<1 0 Hello>");
    begin();
    frame(0x01, STR("Hel"));
    frame(0x89, STR("are you there"));
    frame(0x00, STR(""));
    frame(0x8a, STR(""));
    frame(0x80, STR("lo"));
    frame(0x81, STR(""));
    frame(0x81, STR("next"));
    check_frames("<9 0 are you there><10 0 ><1 0 Hello><1 0 ><1 0 next>");
    begin();
    frame(0x01, STR("\xe2\x82"));
    frame(0x80, STR("\xac"));
    check_frames("<1 0 \xe2\x82\xac>"); /* a character in two pieces */
    memset(long_text, 'x', sizeof(long_text));
    for (size_t i = 0; i < 5; i++) {
        static const size_t lengths[] = {125, 126, 65535, 65536, BYTES_MAX};
        char want[64];
        begin();
        frame(0x81, str_n(long_text, lengths[i]));
        (void)snprintf(want, sizeof(want), "<1 0 %zu>", lengths[i]);
        check_frames(want);
    }
}

static void test_closes(void **state) {
    (void)state;
    begin();
    frame(0x88, STR(""));
    check_frames("<8 0 >");
    begin();
    frame(0x88, STR("\x03\xe8" "bye"));
    check_frames("<8 1000 bye>");
    static const struct {
        int code;
        bool valid;
    } codes[] = {{999, false},  {1003, true},  {1004, false}, {1005, false}, {1006, false},
                 {1014, true},  {1015, false}, {2999, false}, {3000, true},  {4999, true},
                 {5000, false}};
    for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
        char payload[] = {(char)(codes[i].code >> 8), (char)(codes[i].code & 255)}, want[32];
        begin();
        frame(0x88, str_n(payload, 2));
        (void)snprintf(want, sizeof(want), "<8 %d >", codes[i].code);
        check_frames(codes[i].valid ? want : "<error 1002>");
    }
    begin();
    frame(0x88, STR("\x03"));
    check_frames("<error 1002>");
    begin();
    frame(0x88, STR("\x03\xe8\xff"));
    check_frames("<error 1007>");
}

static void check_refused(int first, str payload, size_t bytes, uint64_t length, int code) {
    char want[32];
    begin();
    frame_of(first, payload, bytes, length);
    (void)snprintf(want, sizeof(want), "<error %d>", code);
    check_frames(want);
}

static void test_broken_rules(void **state) {
    (void)state;
    for (int opcode = 3; opcode < 16; opcode++)
        if (opcode < 8 || opcode > 10)
            check_refused(0x80 | opcode, STR(""), 0, 0, 1002);
    for (int bit = 0x10; bit <= 0x40; bit <<= 1)
        check_refused(0x81 | bit, STR(""), 0, 0, 1002);
    check_refused(0x82, STR("x"), 0, 1, 1003);
    check_refused(0x02, STR("x"), 0, 1, 1003);
    check_refused(0x80, STR("x"), 0, 1, 1002); /* nothing to go on with */
    check_refused(0x09, STR("x"), 0, 1, 1002); /* a ping in pieces */
    check_refused(0x89, STR(""), 2, 126, 1002);
    check_refused(0x81, STR("x"), 2, 1, 1002); /* longer than it need be */
    check_refused(0x81, STR("x"), 2, 125, 1002);
    check_refused(0x81, STR("x"), 8, 65535, 1002);
    check_refused(0x81, STR("x"), 8, UINT64_C(1) << 63, 1002);
    check_refused(0x81, STR("x"), 8, BYTES_MAX + 1, 1009);
    check_refused(0x81, STR("x"), 8, INT64_MAX, 1009);
    check_refused(0x81, STR("\xc3"), 0, 1, 1007);
    check_refused(0x81, STR("\xed\xa0\x80"), 0, 3, 1007); /* half of a surrogate pair */
    begin();
    frame(0x01, STR("a"));
    frame(0x81, STR("b"));
    check_frames("<error 1002>"); /* a message within a message */
    begin();
    byte(0x81);
    byte(0x05);
    check_frames("<error 1002>"); /* not masked */
}

/* The bound is that of a message, however many pieces it has. */
static void test_pieces_are_bounded(void **state) {
    static char half[BYTES_MAX / 2 + 1];
    (void)state;
    memset(half, 'y', sizeof(half));
    begin();
    frame(0x01, str_n(half, sizeof(half)));
    frame(0x80, str_n(half, sizeof(half)));
    check_frames("<error 1009>");
}

static void test_written(void **state) {
    struct buf out;
    (void)state;
    buf_init(&out, 200000);
    http_ws_write(&out, HTTP_WS_TEXT, STR("Hello"));
    check_str(buf_view(&out), "\x81\x05Hello");
    static const struct {
        size_t length, head;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}};
    static char text[65536];
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        buf_reset(&out);
        http_ws_write(&out, HTTP_WS_TEXT, str_n(text, cases[i].length));
        assert_int_equal(out.len, cases[i].head + cases[i].length);
    }
    assert_memory_equal(out.p, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),           cmocka_unit_test(test_closes),
        cmocka_unit_test(test_broken_rules),       cmocka_unit_test(test_pieces_are_bounded),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
