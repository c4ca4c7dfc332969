/* SPDX-License-Identifier: Apache-2.0 */
/* test_coding.c - gzip and zstd. Goal: what is packed comes back as it was, whole and in pieces; a
 * flush lets the reader see everything; a body that unpacks to too much ends at the cap; one that
 * is cut, damaged or followed by something is refused. Method: there and back, and every cut. */
#include "http/coding.h"

#include "base/mem.h"
#include "check.h"

static const enum http_coding CODINGS[] = {HTTP_GZIP, HTTP_ZSTD};

static struct buf text_of(size_t n) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (unsigned i = 0; b.len < n; i++)
        buf_printf(&b, "{\"id\":\"%08x\",\"role\":\"user\",\"text\":\"line %u\"}\n",
                   i * 2654435761u, i);
    b.len = n;
    return b;
}

static int decode(enum http_coding c, str in, size_t max, size_t step, struct buf *out) {
    struct http_decoder *d = http_decoder_new(c, in, max);
    struct err err = {0};
    int rc;
    buf_init(out, max + 1);
    while ((rc = http_decode(d, step, out, &err)) == 0)
        continue;
    http_decoder_free(d);
    assert_true(rc == 1 || err.code == rc);
    return rc;
}

static void comes_back(enum http_coding c, str packed, str text) {
    struct buf out;
    assert_int_equal(decode(c, packed, text.len, 1000, &out), 1);
    assert_true(str_eq(buf_view(&out), text));
    buf_deinit(&out);
}

static void test_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 65536, 1000000};
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++)
        for (int level = 1; level <= HTTP_LEVEL_MAX; level += 4) {
            struct http_packer *p = http_packer_new(level);
            for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
                struct buf text = text_of(sizes[i]);
                char *out = mem_alloc(sizes[i] + 100);
                size_t n = http_pack(p, CODINGS[c], buf_view(&text), out, sizes[i] + 100);
                assert_true(n > 0 && (sizes[i] < 1000 || n < sizes[i] / 3));
                comes_back(CODINGS[c], str_n(out, n), buf_view(&text));
                assert_int_equal(http_pack(p, CODINGS[c], buf_view(&text), out, n - 1), 0);
                mem_free(out);
                buf_deinit(&text);
            }
            http_packer_free(p);
        }
    http_packer_free(NULL);
}

static void test_pieces(void **state) {
    (void)state;
    static const size_t pieces[] = {1, 77, 4096, 200000};
    struct buf text = text_of(200000);
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++)
        for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
            struct http_encoder *e = http_encoder_new(CODINGS[c], 1);
            struct buf out;
            size_t step = pieces[i], n = step == 1 ? 300 : text.len;
            buf_init(&out, SIZE_MAX / 2);
            for (size_t at = 0; at < n; at += step)
                http_encode(e, str_slice(str_n(text.p, n), at, at + step),
                            at / step % 3 == 0 ? HTTP_ENCODE_FLUSH : HTTP_ENCODE_MORE, &out);
            http_encode(e, STR(""), HTTP_ENCODE_END, &out);
            comes_back(CODINGS[c], buf_view(&out), str_n(text.p, n));
            http_encoder_free(e);
            buf_deinit(&out);
        }
    buf_deinit(&text);
}

/* All that was written before a flush can be read though the stream goes on. */
static void test_flush(void **state) {
    (void)state;
    struct buf text = text_of(3000);
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++) {
        struct http_encoder *e = http_encoder_new(CODINGS[c], 1);
        struct buf out, back;
        buf_init(&out, SIZE_MAX / 2);
        http_encode(e, buf_view(&text), HTTP_ENCODE_MORE, &out);
        http_encode(e, STR(""), HTTP_ENCODE_FLUSH, &out);
        struct http_decoder *d = http_decoder_new(CODINGS[c], buf_view(&out), 10000);
        buf_init(&back, 10001);
        assert_int_equal(http_decode(d, SIZE_MAX, &back, NULL), ERR_MALFORMED); /* no end yet */
        assert_true(str_eq(buf_view(&back), buf_view(&text)));
        http_decoder_free(d);
        http_encoder_free(e);
        buf_deinit(&out);
        buf_deinit(&back);
    }
    buf_deinit(&text);
}

static struct buf packed_of(enum http_coding c, str text) {
    struct http_encoder *e = http_encoder_new(c, 1);
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    http_encode(e, text, HTTP_ENCODE_END, &out);
    http_encoder_free(e);
    return out;
}

static void test_cap(void **state) {
    (void)state;
    struct buf zeros, out;
    buf_init(&zeros, SIZE_MAX / 2);
    assert_non_null(buf_reserve(&zeros, 10000000));
    memset(zeros.p, 'x', 10000000);
    zeros.len = 10000000;
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++) {
        struct buf bomb = packed_of(CODINGS[c], buf_view(&zeros));
        assert_true(bomb.len < 100000);
        assert_int_equal(decode(CODINGS[c], buf_view(&bomb), 10000000, 1000, &out), 1);
        buf_deinit(&out);
        static const size_t caps[] = {0, 1, 16384, 32768, 9999999};
        for (size_t i = 0; i < ARRAY_COUNT(caps); i++) {
            assert_int_equal(decode(CODINGS[c], buf_view(&bomb), caps[i], SIZE_MAX, &out),
                             ERR_TOO_LARGE);
            assert_true(out.len <= caps[i] + 1 && buf_ok(&out));
            buf_deinit(&out);
        }
        buf_deinit(&bomb);
    }
    buf_deinit(&zeros);
}

/* Members that unpack to nothing are work, too: the steps end in between. */
static void test_steps(void **state) {
    (void)state;
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++) {
        struct buf one = packed_of(CODINGS[c], STR("")), many, out;
        int steps = 0;
        buf_init(&many, SIZE_MAX / 2);
        for (int i = 0; i < 1000; i++)
            buf_str(&many, buf_view(&one));
        struct http_decoder *d = http_decoder_new(CODINGS[c], buf_view(&many), 100);
        buf_init(&out, 101);
        while (http_decode(d, 500, &out, NULL) == 0)
            steps++;
        assert_true(steps > 10);
        assert_int_equal(out.len, 0);
        http_decoder_free(d);
        buf_deinit(&one);
        buf_deinit(&many);
        buf_deinit(&out);
    }
}

static void test_damage(void **state) {
    (void)state;
    struct buf text = text_of(2000), out;
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++) {
        struct buf packed = packed_of(CODINGS[c], buf_view(&text));
        for (size_t n = 0; n < packed.len; n++) {
            assert_int_equal(decode(CODINGS[c], str_n(packed.p, n), 4000, SIZE_MAX, &out),
                             ERR_MALFORMED);
            buf_deinit(&out);
        }
        buf_str(&packed, STR("and more"));
        assert_int_equal(decode(CODINGS[c], buf_view(&packed), 4000, SIZE_MAX, &out),
                         ERR_MALFORMED);
        buf_deinit(&out);
        buf_deinit(&packed);
    }
    assert_int_equal(decode(HTTP_GZIP, STR("{\"plain\": 1}"), 4000, SIZE_MAX, &out), ERR_MALFORMED);
    buf_deinit(&out);
    assert_int_equal(decode(HTTP_ZSTD, STR("{\"plain\": 1}"), 4000, SIZE_MAX, &out), ERR_MALFORMED);
    buf_deinit(&out);
    buf_deinit(&text);
}

/* cat a.gz b.gz */
static void test_members(void **state) {
    (void)state;
    for (size_t c = 0; c < ARRAY_COUNT(CODINGS); c++) {
        struct buf a = packed_of(CODINGS[c], STR("one ")), b = packed_of(CODINGS[c], STR("two"));
        buf_str(&a, buf_view(&b));
        comes_back(CODINGS[c], buf_view(&a), STR("one two"));
        buf_deinit(&a);
        buf_deinit(&b);
    }
}

/* A window of 128 MB, as `zstd --long=27` has it. */
static void test_large_window(void **state) {
    (void)state;
    static const char head[] = "\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00";
    struct buf out;
    assert_int_equal(decode(HTTP_ZSTD, str_n(head, sizeof head - 1), 4000, SIZE_MAX, &out),
                     ERR_MALFORMED);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_flush),   cmocka_unit_test(test_cap),
        cmocka_unit_test(test_steps),   cmocka_unit_test(test_damage),
        cmocka_unit_test(test_members), cmocka_unit_test(test_large_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
