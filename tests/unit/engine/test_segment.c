/* SPDX-License-Identifier: Apache-2.0 */
/* test_segment.c - Goal: fragments come out of an entry of the log as they went in, and tokens of
 * one message take little more than their text. Method: series of fragments of all kinds, written
 * and read back; entries that no series gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json.h"
#include "engine/hub_int.h"

static str write_all(struct arena *a, const str *fragments, size_t count) {
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    struct segment s = {0};
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        segment_write(&w, &s, fragments[i]);
    jw_array_end(&w);
    str out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return out;
}

static void there_and_back(void **state) {
    (void)state;
    static const str fragments[] = {
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"The \"}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"\\\"quoted\\\\\\\"\"}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"\"}"),
        STR("{\"t\":\"1\",\"x\":{\"a\":1,\"c\":\"The \"}}"),
        STR("{\"t\":\"1\",\"x\":\",\\\"c\\\":\\\"\"}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"ü\"}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"\",\"tc\":{\"index\":0,\"c\":\"x\"}}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"again\"}"),
        STR("{\"t\":\"1\",\"m\":\"b\",\"c\":\"another's\"}"),
        STR("{\"t\":\"1\",\"m\":\"b\",\"c\":\"more\"}"),
        STR("{\"t\":\"1\",\"m\":\"a\",\"c\":\"back\"}"),
        STR("{\"t\":\"1\",\"n\":\"x:1\",\"m\":\"a\",\"c\":\"within\"}"),
        STR("{\"t\":\"1\",\"m\":\"a\"}")};
    struct arena a;
    arena_init(&a, 1 << 20);
    yyjson_val *list, *kept;
    size_t i, count;
    str text = write_all(&a, fragments, ARRAY_COUNT(fragments));
    struct segment s = {0};
    size_t short_ones = 0;
    assert_int_equal(json_parse(&a, text, &list, NULL), 0);
    assert_int_equal(yyjson_arr_size(list), ARRAY_COUNT(fragments));
    yyjson_arr_foreach(list, i, count, kept) {
        str got;
        assert_int_equal(segment_read(&s, &a, kept, &got, NULL), 0);
        assert_string_equal(arena_z(&a, got), fragments[i].p);
        short_ones += yyjson_is_str(kept);
    }
    assert_int_equal(short_ones, 5);
    arena_deinit(&a);
}

static void what_no_writer_makes(void **state) {
    (void)state;
    static const char *const entries[] = {"[\"text\"]", "[{\"t\":\"1\"},\"text\"]",
                                          "[{\"t\":\"1\",\"c\":1},\"text\"]"};
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++) {
        yyjson_val *list;
        struct segment s = {0};
        int rc = 0;
        str out;
        assert_int_equal(json_parse(&a, str_of(entries[i]), &list, NULL), 0);
        for (size_t j = 0; rc == 0 && j < yyjson_arr_size(list); j++)
            rc = segment_read(&s, &a, yyjson_arr_get(list, j), &out, NULL);
        assert_int_equal(rc, ERR_CORRUPT);
    }
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(what_no_writer_makes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
