/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_protocol.c - requests of event streams, and frames as the events of protocol v2.
 *
 * Input: lines; the first is the request, then by turns an event's name and its data. Checks: each
 * event is JSON with its members, ids are never repeated, numbers never fall. */
#include "api/protocol_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    int64_t seq;
    size_t count;
};

static bool on_event(void *ctx, str method, str id, str json) {
    struct seen *seen = ctx;
    struct arena a;
    yyjson_val *root;
    arena_init(&a, (size_t)64 << 20);
    ASSERT(json_parse(&a, json, &root, NULL) == 0);
    ASSERT(str_eq(json_str(json_get(root, "method")), method));
    ASSERT(str_eq(json_str(json_get(root, "event_id")), id) && id.len > 0);
    ASSERT(yyjson_is_arr(json_get(json_get(root, "params"), "namespace")));
    ASSERT(json_has(json_get(root, "params"), "data"));
    int64_t seq = yyjson_get_sint(json_get(root, "seq"));
    ASSERT(seq >= seen->seq);
    seen->seq = seq;
    arena_deinit(&a);
    return ++seen->count < 10000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct protocol_events *p;
    struct seen seen = {0};
    str rest = str_n((const char *)data, size), line = STR_NULL, name, id;
    yyjson_val *root = NULL;
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    (void)str_split_next(&rest, '\n', &line);
    if (json_parse(&a, line, &root, NULL) < 0)
        root = NULL;
    struct protocol_events_options o = {.request = root, .event = on_event, .ctx = &seen};
    if (protocol_events_new(&o, &p, NULL) == 0) {
        for (int64_t i = 1; str_split_next(&rest, '\n', &name); i++) {
            if (!str_split_next(&rest, '\n', &line) || !str_is_utf8(name)) /* a graph's */
                break;
            id = arena_printf(&a, i % 3 ? "%lld.%lld" : "%lld", (long long)(i / 3 + 1),
                              (long long)(i % 3));
            if (!protocol_events_frame(p, name, line, id, i))
                break;
        }
        protocol_events_free(p);
    }
    arena_deinit(&a);
    return 0;
}
