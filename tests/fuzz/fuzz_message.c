/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_message.c - message_normalise_list() on any JSON.
 *
 * Checks: whatever is accepted becomes a flat form that can be read back, keeps its type and id,
 * and is a fixed point: normalising the flat form gives the same bytes. */
#include "base/json.h"
#include "model/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(struct arena *a, const struct message *m) {
    struct message read, again;
    ASSERT(message_parse_flat(a, m->json, &read, NULL) == 0);
    ASSERT(read.type == m->type);
    ASSERT(str_eq(read.id, m->id));
    ASSERT(str_eq(message_type_name(&read), message_type_name(m)));
    ASSERT(message_normalise(a, read.root, &again, NULL) == 0);
    ASSERT(str_eq(again.json, m->json));
    ASSERT(again.type == m->type);
    ASSERT(str_is_utf8(message_text(a, &read)));
    ASSERT((message_tool_calls(&read) != NULL) == yyjson_is_arr(json_get(read.root, "tool_calls")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    yyjson_val *root;
    struct message *list;
    size_t count;
    struct err err = {0};
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    if (json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0) {
        int rc = message_normalise_list(&a, root, &list, &count, &err);
        if (rc == 0) {
            for (size_t i = 0; i < count; i++)
                check_message(&a, &list[i]);
        } else {
            ASSERT(rc == ERR_INVALID && err.code == rc && err.message[0]);
        }
    }
    arena_deinit(&a);
    return 0;
}
