/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_terms.c - terms_write(), terms_query(), item paths on any bytes.
 *
 * Checks: words are UTF-8 without anything that means something to a query language, and cutting
 * them again changes nothing; a path that is accepted can be followed. */
#include "model/item_path.h"
#include "model/terms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 65536)
        return 0;
    str input = str_n((const char *)data, size);
    struct arena a;
    struct buf words, again;
    arena_init(&a, 64u << 20);
    buf_init(&words, 1u << 20);
    buf_init(&again, 1u << 20);
    size_t count = terms_write(&words, input, 0), distinct;
    ASSERT(buf_ok(&words) && str_is_utf8(buf_view(&words)) && count <= TERMS_COUNT_MAX);
    for (size_t i = 0; i < words.len; i++) {
        unsigned char c = (unsigned char)words.p[i];
        ASSERT(c == ' ' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'));
    }
    ASSERT(terms_write(&again, buf_view(&words), 0) == count);
    ASSERT(str_eq(buf_view(&words), buf_view(&again)));
    (void)terms_query(&a, input, &distinct);
    ASSERT(distinct <= TERMS_QUERY_MAX && distinct <= count);
    yyjson_val *root;
    if (item_path_check(input, NULL) == 0 &&
        json_parse(&a, STR("{\"a\":[{\"b\":1},[2]],\"b\":{\"a\":null}}"), &root, NULL) == 0) {
        struct item_places *places = ARENA_NEW(&a, struct item_places);
        item_path_select(&a, root, input, places);
        ASSERT(places->count <= ITEM_PLACES_MAX);
    }
    buf_deinit(&words);
    buf_deinit(&again);
    arena_deinit(&a);
    return 0;
}
