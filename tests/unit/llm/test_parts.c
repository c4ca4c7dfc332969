/* SPDX-License-Identifier: Apache-2.0 */
/* test_parts.c - blocks of content. Goal: every client's way to write an image, a sound or a file
 * is the same part. Method: a table of blocks and what is read from them. */
#include "llm/parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_parts(void **state) {
    (void)state;
    static const struct {
        const char *block;
        enum llm_part_kind kind;
        const char *text, *mime, *base64, *url, *name;
    } cases[] = {
        {"\"plain\"", LLM_PART_TEXT, "plain", "", "", "", ""},
        {"{\"type\":\"text\",\"text\":\"t\"}", LLM_PART_TEXT, "t", "", "", "", ""},
        {"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/gif;base64,QUJD\"}}",
         LLM_PART_IMAGE, "", "image/gif", "QUJD", "", ""},
        {"{\"type\":\"image_url\",\"image_url\":\"http://x/y.png\"}", LLM_PART_IMAGE, "", "", "",
         "http://x/y.png", ""},
        {"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"QQ==\",\"format\":\"wav\"}}",
         LLM_PART_AUDIO, "", "audio/wav", "QQ==", "", ""},
        {"{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":"
         "\"data:application/pdf;base64,QQ==\"}}",
         LLM_PART_FILE, "", "application/pdf", "QQ==", "", "a.pdf"},
        {"{\"type\":\"image\",\"base64\":\"QQ==\",\"mime_type\":\"image/png\"}", LLM_PART_IMAGE, "",
         "image/png", "QQ==", "", ""},
        {"{\"type\":\"image\",\"source_type\":\"base64\",\"data\":\"QQ==\",\"mime_type\":"
         "\"image/png\"}",
         LLM_PART_IMAGE, "", "image/png", "QQ==", "", ""},
        {"{\"type\":\"image\",\"source_type\":\"url\",\"url\":\"https://x\"}", LLM_PART_IMAGE, "",
         "", "", "https://x", ""},
        {"{\"type\":\"file\",\"source_type\":\"text\",\"text\":\"all of it\"}", LLM_PART_TEXT,
         "all of it", "", "", "", ""},
        {"{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/webp\","
         "\"data\":\"QQ==\"}}",
         LLM_PART_IMAGE, "", "image/webp", "QQ==", "", ""},
        {"{\"type\":\"document\",\"title\":\"d\",\"source\":{\"type\":\"url\",\"url\":"
         "\"https://d\"}}",
         LLM_PART_FILE, "", "", "", "https://d", "d"},
        {"{\"type\":\"media\",\"mime_type\":\"video/mp4\",\"file_uri\":\"gs://v\"}", LLM_PART_VIDEO,
         "", "video/mp4", "", "gs://v", ""},
        {"{\"type\":\"media\",\"mime_type\":\"audio/mp3\",\"data\":\"QQ==\"}", LLM_PART_AUDIO, "",
         "audio/mp3", "QQ==", "", ""},
        /* Nothing to send. */
        {"{\"type\":\"thinking\",\"thinking\":\"z\"}", LLM_PART_NONE, "", "", "", "", ""},
        {"{\"type\":\"image\",\"id\":\"file-1\"}", LLM_PART_NONE, "", "", "", "", ""},
        {"{\"type\":\"tool_use\",\"id\":\"1\"}", LLM_PART_NONE, "", "", "", "", ""},
        {"17", LLM_PART_NONE, "", "", "", "", ""},
        {"{\"type\":\"file\",\"file\":7}", LLM_PART_NONE, "", "", "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena a;
        struct llm_part p;
        yyjson_val *block;
        arena_init(&a, 1 << 20);
        assert_int_equal(json_parse(&a, str_of(cases[i].block), &block, NULL), 0);
        llm_part_read(&a, block, &p);
        if (p.kind != cases[i].kind)
            fail_msg("%s: kind %d", cases[i].block, (int)p.kind);
        if (p.kind != LLM_PART_NONE) {
            assert_string_equal(arena_z(&a, p.text), cases[i].text);
            assert_string_equal(arena_z(&a, p.mime), cases[i].mime);
            assert_string_equal(arena_z(&a, p.base64), cases[i].base64);
            assert_string_equal(arena_z(&a, p.url), cases[i].url);
            assert_string_equal(arena_z(&a, p.name), cases[i].name);
        }
        arena_deinit(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
