/* SPDX-License-Identifier: Apache-2.0 */
/* test_accept.c - Accept-Encoding and Accept. Goal: weights as RFC 9110 gives them, what cannot be
 * read is not acceptable, ties go to the server's order. Method: tables. */
#include "http/accept.h"

#include "base/err.h"

#include "check.h"

static void test_codings(void **state) {
    (void)state;
    static const struct {
        const char *value; /* NULL: there is none */
        int identity, gzip, zstd, br;
    } rows[] = {
        {NULL, 1, 0, 0, 0},
        {"", 1, 0, 0, 0},
        {"gzip", 1, 1000, 0, 0},
        {"x-gzip", 1, 1000, 0, 0},
        {"GZip , zstd;q=0.5,\tbr ; q=0.125", 1, 1000, 500, 125},
        {"*", 1, 1000, 1000, 1000},
        {"*;q=0.25, gzip", 1, 1000, 250, 250},
        {"gzip, *;q=0", 0, 1000, 0, 0},
        {"identity;q=0", 0, 0, 0, 0},
        {"identity;q=0, *", 0, 1000, 1000, 1000},
        {"identity;q=0.5, gzip;q=0.25", 500, 250, 0, 0},
        {"*;q=0, identity", 1000, 0, 0, 0},
        {"gzip;q=0, gzip", 1, 1000, 0, 0},
        {"gzip, gzip;q=0", 1, 0, 0, 0},
        {"gzip;q=1.000, zstd;q=0.001, br;q=0.", 1, 1000, 1, 0},
        {"gzip;q=1.", 1, 1000, 0, 0},
        {"gzip;q=1.001, zstd;q=2, br;q=-1", 1, 0, 0, 0},
        {"gzip;q=0.1234, zstd;q=, br;q=.5", 1, 0, 0, 0},
        {"gzip;q=0,5", 1, 0, 0, 0},
        {"gzip;q=01, zstd;q=1e3, br;q=0x1", 1, 0, 0, 0},
        {"gzip;Q=0.5", 1, 500, 0, 0},
        {"gzip;a=b;q=0.5;c", 1, 500, 0, 0},
        {"deflate, compress, gzipp, gzi", 1, 0, 0, 0},
        {",, ,gzip,", 1, 1000, 0, 0},
        {";q=0.5", 1, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int w[HTTP_CODING_COUNT];
        http_accept_codings(str_of(rows[i].value), w);
        const int want[] = {rows[i].identity, rows[i].gzip, rows[i].zstd, rows[i].br};
        for (int c = 0; c < HTTP_CODING_COUNT; c++)
            if (w[c] != want[c])
                fail_msg("row %zu, coding %d: %d, not %d", i, c, w[c], want[c]);
    }
}

static void test_choice(void **state) {
    (void)state;
    static const enum http_coding offered[] = {HTTP_ZSTD, HTTP_GZIP};
    static const struct {
        const char *value;
        enum http_coding wanted;
    } rows[] = {
        {NULL, HTTP_IDENTITY},
        {"gzip", HTTP_GZIP},
        {"gzip, deflate, br, zstd", HTTP_ZSTD},
        {"gzip, zstd;q=0.9", HTTP_GZIP},
        {"br", HTTP_IDENTITY},
        {"identity, gzip;q=0.5", HTTP_IDENTITY},
        {"identity;q=0.5, gzip;q=0.5", HTTP_GZIP},
        {"gzip;q=0.001", HTTP_GZIP},
        {"identity;q=0, br", HTTP_IDENTITY},
        {"*;q=0", HTTP_IDENTITY},
        {"*", HTTP_ZSTD},
        {"*, zstd;q=0", HTTP_GZIP},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int w[HTTP_CODING_COUNT];
        http_accept_codings(str_of(rows[i].value), w);
        assert_int_equal(http_accept_choose(w, offered, 2), rows[i].wanted);
    }
}

static void test_types(void **state) {
    (void)state;
    static const struct {
        const char *value;
        int weight, named;
    } rows[] = {
        {NULL, 1000, 0},
        {" ", 1000, 0},
        {"image/webp", 1000, 1000},
        {"IMAGE/WebP;q=0.5", 500, 500},
        {"image/*;q=0.5", 500, 0},
        {"*/*;q=0.25", 250, 0},
        {"image/webp;q=0.1, image/*;q=0.5, */*", 100, 100},
        {"*/*, image/*;q=0.5", 500, 0},
        {"image/webp;q=0, */*", 0, 0},
        {"image/png, text/*", 0, 0},
        {"image/web, image/webpx, imag/*, webp", 0, 0},
        {"image/avif,image/webp,*/*;q=0.8", 1000, 1000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(http_accept_type(str_of(rows[i].value), STR("image/webp"), false),
                         rows[i].weight);
        assert_int_equal(http_accept_type(str_of(rows[i].value), STR("image/webp"), true),
                         rows[i].named);
    }
}

static void test_names(void **state) {
    (void)state;
    enum http_coding c;
    for (int i = 0; i < HTTP_CODING_COUNT; i++) {
        assert_true(http_coding_parse(http_coding_name((enum http_coding)i), &c));
        assert_int_equal(c, i);
    }
    assert_false(http_coding_parse(STR("deflate"), &c));
    assert_false(http_coding_parse(STR(""), &c));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codings),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
