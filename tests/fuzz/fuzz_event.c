/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_event.c - what is due to a webhook, made into CloudEvents: any text is refused or gives
 * parts that are JSON. */
#include <stddef.h>
#include <stdint.h>

#include "plans/outbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    arena_init(&a, (size_t)256 << 20);
    str text = arena_dup(&a, str_n((const char *)data, size));
    for (int mode = WEBHOOK_BATCH; mode <= WEBHOOK_SINGLE; mode++) {
        struct webhook w = {.mode = (enum webhook_mode)mode, .types = STR("[\"*\"]")};
        struct parcel out = {0};
        if (plans_parcel_make(&w, STR("id"), text.p ? text : STR(""), &a, &out, NULL) < 0)
            continue;
        for (size_t i = 0; i < out.count; i++) {
            yyjson_val *v;
            ASSERT(json_parse(&a, out.parts[i].body, &v, NULL) == 0);
        }
    }
    (void)plans_event_pattern_ok(text);
    arena_deinit(&a);
    return 0;
}
