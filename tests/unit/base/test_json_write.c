/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the writer's text is exact JSON for every byte, length and alignment, and a full buffer is
 * noticed. Method: compare with a byte-by-byte reference, and parse what was written. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rand.h"

static void structures(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "a");
    jw_array(&w);
    jw_i64(&w, -5);
    jw_object(&w);
    jw_object_end(&w);
    jw_array(&w);
    jw_array_end(&w);
    jw_double(&w, 0.1);
    jw_array_end(&w);
    jw_key_str(&w, STR("k\"\n"));
    jw_str(&w, STR("x\ty"));
    jw_key(&w, "n");
    jw_str(&w, STR_NULL);
    jw_key(&w, "e");
    jw_str(&w, STR(""));
    jw_key(&w, "z");
    jw_z(&w, NULL);
    jw_key(&w, "r");
    jw_raw(&w, STR("[1, 2]"));
    jw_key(&w, "r0");
    jw_raw(&w, STR_NULL);
    jw_key(&w, "t");
    jw_bool(&w, true);
    jw_key(&w, "f");
    jw_bool(&w, false);
    jw_key(&w, "v");
    jw_val(&w, NULL);
    jw_object_end(&w);
    check_str(buf_view(&b),
              "{\"a\":[-5,{},[],0.1],\"k\\\"\\n\":\"x\\ty\",\"n\":null,\"e\":\"\",\"z\":null,"
              "\"r\":[1, 2],\"r0\":null,\"t\":true,\"f\":false,\"v\":null}");
    assert_int_equal(w.depth, 0);
    buf_deinit(&b);
}

static void reference_escape(struct buf *b, str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *found = c ? strchr("\"\"\\\\\nn\rr\tt\bb\ff", c) : NULL;
        if (c >= 0x20 && c != '"' && c != '\\')
            buf_char(b, s.p[i]);
        else if (found)
            buf_printf(b, "\\%c", c < 0x20 ? found[1] : c);
        else
            buf_printf(b, "\\u%04X", c);
    }
}

static void escaping_equals_the_reference(void **state) {
    (void)state;
    struct buf got, want;
    buf_init(&got, 1 << 20);
    buf_init(&want, 1 << 20);
    rand_seed(3);
    char text[80];
    for (int round = 0; round < 60000; round++) {
        size_t from = (size_t)rand_below(9), len = (size_t)rand_below(sizeof text - 9);
        uint64_t density = rand_below(4);
        for (size_t i = 0; i < sizeof text; i++) {
            uint64_t kind = rand_below(density == 0 ? 1000 : density * 6);
            text[i] = (char)(kind == 0   ? (int)rand_below(0x20)
                             : kind == 1 ? '"'
                             : kind == 2 ? '\\'
                             : kind == 3 ? (int)(0x80 + rand_below(0x80))
                                         : (int)(0x20 + rand_below(0x60)));
        }
        if (round % 100 == 0)
            buf_deinit(&got), buf_deinit(&want);
        buf_reset(&got);
        buf_reset(&want);
        json_escape(&got, str_n(text + from, len));
        reference_escape(&want, str_n(text + from, len));
        assert_int_equal(got.len, want.len);
        if (want.len)
            assert_memory_equal(got.p, want.p, want.len);
    }
    rand_seed(0);
    buf_deinit(&got);
    buf_deinit(&want);
}

static void every_byte(void **state) {
    (void)state;
    struct buf got, want;
    buf_init(&got, 4096);
    buf_init(&want, 4096);
    for (int c = 0; c < 256; c++) {
        for (size_t i = 0; i < 20 * 20; i++) { /* each length, each place in it */
            size_t len = 1 + i / 20, at = i % 20 % len;
            char *text = mem_alloc(len); /* so that reading on is noticed */
            memset(text, 'a', len);
            text[at] = (char)c;
            buf_reset(&got);
            buf_reset(&want);
            json_escape(&got, str_n(text, len));
            reference_escape(&want, str_n(text, len));
            mem_free(text);
            assert_int_equal(got.len, want.len);
            assert_memory_equal(got.p, want.p, want.len);
        }
    }
    buf_deinit(&got);
    buf_deinit(&want);
}

static void a_full_buffer_is_noticed(void **state) {
    (void)state;
    for (size_t max = 0; max < 40; max++) {
        struct buf b;
        buf_init(&b, max);
        struct json_writer w = json_writer(&b);
        jw_array(&w);
        jw_str(&w, STR("ab\x01" "cdefghijk\n"));
        jw_i64(&w, 123);
        jw_double(&w, 1.5);
        jw_array_end(&w);
        assert_in_range(b.len, 0, max);
        const char *whole = "[\"ab\\u0001cdefghijk\\n\",123,1.5]";
        assert_int_equal(strncmp(b.p ? b.p : "", whole, b.len), 0); /* whole parts, no half value */
        if (max < strlen(whole))
            assert_false(buf_ok(&b));
        buf_deinit(&b);
    }
}

static void doubles_round_trip(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0, "0.0"},  {-0.0, "-0.0"}, {1, "1.0"},         {0.1, "0.1"}, {1e300, "1e300"},
                {NAN, "null"}, {INFINITY, "null"}, {-INFINITY, "null"}, {123456.789, "123456.789"},
                {5e-324, "5e-324"}, {DBL_MAX, "1.7976931348623157e308"}};
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_reset(&b);
        struct json_writer w = json_writer(&b);
        jw_double(&w, rows[i].v);
        check_str(buf_view(&b), rows[i].text);
    }
    rand_seed(4);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rand_u64();
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        buf_reset(&b);
        struct json_writer w = json_writer(&b);
        jw_double(&w, v);
        assert_true(str_to_double(buf_view(&b), &back));
        assert_true(back == v);
    }
    rand_seed(0);
    buf_deinit(&b);
}

static void values_copy(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    static const char text[] = "{\"a\":[1,-2,3.5,true,false,null,\"q\\\"\"],\"\":{},"
                               "\"big\":123456789012345678901234567890,\"u\":18446744073709551615}";
    yyjson_val *v;
    assert_int_equal(json_parse(&a, str_of(text), &v, NULL), ERR_OK);
    struct buf b;
    buf_init(&b, 4096);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    jw_val(&w, v);
    jw_val(&w, v);
    jw_array_end(&w);
    check_str(buf_view(&b), arena_printf(&a, "[%s,%s]", text, text).p);
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures),  cmocka_unit_test(escaping_equals_the_reference),
        cmocka_unit_test(every_byte),  cmocka_unit_test(a_full_buffer_is_noticed),
        cmocka_unit_test(values_copy), cmocka_unit_test(doubles_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
