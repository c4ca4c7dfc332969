/* SPDX-License-Identifier: Apache-2.0 */
/* test_terms.c - texts as words, and the places of items that are indexed.
 *
 * Goal: words of several scripts, folding, bounds; a question's words are distinct; paths lead to
 * what they say, wrong ones are refused.
 * Method: tables. */
#include "model/terms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/item_path.h"

static struct arena arena;

static void test_words(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"", ""},
        {"Hello, World! it's 3.14", "hello world it s 3 14 "},
        {"\xc3\x84pfel \xc3\x9f", "\xc3\xa4pfel \xc3\x9f "},
        {"\xd0\x9c\xd0\x98\xd0\xa0 \xce\x91\xce\xa9", "\xd0\xbc\xd0\xb8\xd1\x80 \xce\xb1\xcf\x89 "},
        {"\xe6\x9d\xb1\xe4\xba\xacx", "\xe6\x9d\xb1 \xe4\xba\xac x "},
        {"a\xe2\x80\x9c"
         "b\xf0\x9f\x98\x80"
         "c",
         "a b c "},
        {"\" OR NEAR(a*) ^\\ ' & | ! :", "or near a "},
        {"good\xff bad", "good "},
    };
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_reset(&b);
        (void)terms_write(&b, str_of(rows[i].text), 0);
        buf_char(&b, '\0');
        assert_string_equal(b.p, rows[i].words);
    }
    buf_reset(&b);
    for (int i = 0; i < 5000; i++)
        buf_z(&b, "w ");
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(terms_write(&out, buf_view(&b), 1), TERMS_COUNT_MAX);
    assert_int_equal(out.len, (TERMS_COUNT_MAX - 1) * 2);
    buf_reset(&b);
    for (int i = 0; i < 100; i++)
        buf_z(&b, "\xc3\xa4");
    buf_reset(&out);
    assert_int_equal(terms_write(&out, buf_view(&b), 0), 1);
    assert_int_equal(out.len, TERM_BYTES_MAX + 1);
    buf_deinit(&out);
    buf_deinit(&b);
}

static void test_question(void **state) {
    (void)state;
    size_t count;
    str words = terms_query(&arena, STR("fox Fox \"dog' fox"), &count);
    assert_int_equal(count, 2);
    assert_string_equal(words.p, "[\"fox\",\"dog\"]");
    assert_string_equal(terms_query(&arena, STR("?!"), &count).p, "[]");
    assert_int_equal(count, 0);
}

static void test_paths(void **state) {
    (void)state;
    static const struct {
        const char *path, *found;
    } rows[] = {
        {"a.b", "a.b=1;"},
        {"l[*].t", "l[*].t.0=x;l[*].t.1=[\"y\"];"},
        {"l[0].t", "l[0].t=x;"},
        {"l[-1].t[0]", "l[-1].t[0]=y;"},
        {"l[7]", ""},
        {"l.t", ""},
        {"none", ""},
        {"z", ""},
        {"a.*", "a.*=1;"},
        {"$", "$={\"a\":{\"b\":1},\"l\":[{\"t\":\"x\"},{\"t\":[\"y\"]}],\"z\":null};"},
    };
    yyjson_val *root;
    str text = STR("{\"l\":[{\"t\":\"x\"},{\"t\":[\"y\"]}],\"a\":{\"b\":1},\"z\":null}");
    assert_int_equal(json_parse(&arena, text, &root, NULL), 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct item_places places = {.count = 0};
        str all = STR("");
        assert_int_equal(item_path_check(str_of(rows[i].path), NULL), 0);
        item_path_select(&arena, root, str_of(rows[i].path), &places);
        for (size_t k = 0; k < places.count; k++)
            all = arena_printf(&arena, STR_FMT STR_FMT "=" STR_FMT ";", STR_ARG(all),
                               STR_ARG(places.list[k].name),
                               STR_ARG(item_place_text(&arena, places.list[k].value)));
        assert_string_equal(all.p, rows[i].found);
    }
    static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (item_path_check(str_of(bad[i]), NULL) == 0)
            fail_msg("%s was accepted", bad[i]);
}

/* One word to every database, another one for each owner. */
static void test_owner(void **state) {
    static const char *const owners[] = {"", "anna", "Anna", "a b", "\" OR *", "anna\n"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(owners); i++) {
        struct buf b;
        str word = terms_owner(&arena, str_of(owners[i]));
        buf_init(&b, 1 << 16);
        assert_int_equal(terms_write(&b, word, 0), 1);
        assert_true(b.len == word.len + 1 && str_starts(buf_view(&b), word));
        buf_deinit(&b);
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(word, terms_owner(&arena, str_of(owners[k]))));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_owner),
    };
    arena_init(&arena, (size_t)64 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
