/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_lg_msgpack.c - lg_value_read() on any MessagePack.
 *
 * Checks: whatever is accepted is one JSON value, and as such is its own view or has one. */
#include "model/lg_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    str text;
    yyjson_val *root;
    struct err err = {0};
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    int rc = lg_value_read(&a, STR("msgpack"), str_n((const char *)data, size), &text, &err);
    if (rc == 0) {
        ASSERT(json_parse(&a, text, &root, NULL) == 0);
        ASSERT(str_is_utf8(text));
    } else {
        ASSERT((rc == ERR_CORRUPT || rc == ERR_TOO_LARGE) && err.code == rc && err.message[0]);
    }
    arena_deinit(&a);
    return 0;
}
