/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_lg_json.c - lg_json_view() on any text, and lg_message_write() on what it shows.
 *
 * Checks: what is accepted is JSON, and messages of the view, written as constructors, read back
 * as JSON. */
#include "model/lg_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_members(struct arena *a, yyjson_val *root) {
    size_t i, count;
    yyjson_val *item;
    yyjson_arr_foreach(root, i, count, item) {
        struct buf b;
        str back;
        if (!yyjson_is_obj(item))
            continue;
        buf_init(&b, 1 << 24);
        struct json_writer w = json_writer(&b);
        lg_message_write(&w, item);
        ASSERT(buf_ok(&b));
        /* Two levels deeper than it was, it may pass the limit of texts. */
        if (json_depth(buf_view(&b), JSON_DEPTH_MAX) <= JSON_DEPTH_MAX)
            ASSERT(lg_json_view(a, arena_dup(a, buf_view(&b)), &back, NULL) == 0);
        buf_deinit(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    str text;
    yyjson_val *root;
    struct err err = {0};
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    int rc = lg_value_read(&a, STR("json"), str_n((const char *)data, size), &text, &err);
    if (rc == 0) {
        ASSERT(json_parse(&a, text, &root, NULL) == 0);
        check_members(&a, root);
    } else {
        ASSERT(rc == ERR_CORRUPT && err.code == rc && err.message[0]);
    }
    arena_deinit(&a);
    return 0;
}
