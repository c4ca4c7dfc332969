/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_filter.c - json_filter_check() and json_filter_meets() on any JSON.
 *
 * Input: a line with a value, then the filter. Checks: the negation of a filter that passes holds
 * exactly when it does not itself; one that is refused has a text. */
#include "base/json_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX 65536
#define ARENA_BYTES     (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    str rest = str_n((const char *)data, size), value_text;
    if (size == 0 || size > INPUT_BYTES_MAX || !str_split_next(&rest, '\n', &value_text))
        return 0;
    struct arena a;
    arena_init(&a, ARENA_BYTES);
    yyjson_val *value, *filter;
    struct err err = {0};
    if (rest.p && json_parse(&a, value_text, &value, NULL) == 0 &&
        json_parse(&a, rest, &filter, NULL) == 0) {
        if (json_filter_check(filter, &err) == 0) {
            str text = arena_printf(&a, "{\"$not\":" STR_FMT "}", STR_ARG(json_text(&a, filter)));
            yyjson_val *negated = NULL;
            if (json_parse(&a, text, &negated, NULL) == 0)
                ASSERT(json_filter_meets(value, filter) != json_filter_meets(value, negated));
            (void)json_filter_meets(NULL, filter); /* must only not crash */
        } else {
            ASSERT(err.code == ERR_INVALID && err.message[0]);
        }
    }
    arena_deinit(&a);
    return 0;
}
