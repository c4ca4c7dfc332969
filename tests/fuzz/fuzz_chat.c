/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_chat.c - what clients of chats say, where they come back, and frames as what they are shown.
 *
 * Input: lines; the first is a client's message, the second where it begins, then by turns an
 * event's name and its data. Checks: a message that is taken is what its type wants; each event is
 * JSON with its type and id, no id comes twice; who comes back with any of them is given exactly
 * those that follow. */
#include "api/chat_int.h"
#include "base/vec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX 2000

struct shown {
    struct arena *a;
    VEC(str) ids;
    struct map seen;
};

static bool on_event(void *ctx, str type, str id, str json) {
    struct shown *shown = ctx;
    struct arena a;
    yyjson_val *root;
    arena_init(&a, (size_t)64 << 20);
    ASSERT(json_parse(&a, json, &root, NULL) == 0);
    ASSERT(str_eq(json_str(json_get(root, "type")), type) && str_starts(type, STR("agent:")));
    ASSERT(str_eq(json_str(json_get(root, "id")), id) && id.len > 0);
    ASSERT(json_has(root, "thread_id") && json_has(root, "run_id"));
    arena_deinit(&a);
    str own = arena_dup(shown->a, id);
    ASSERT(!map_put(&shown->seen, own, shown));
    vec_push(&shown->ids, own);
    return shown->ids.count < EVENTS_MAX;
}

static void show(struct arena *a, str rest, const struct chat_since *since, struct shown *out) {
    str name, line;
    *out = (struct shown){.a = a};
    map_init(&out->seen);
    struct chat_events *e =
        chat_events_new(&(struct chat_events_options){.event = on_event, .ctx = out});
    chat_events_behind(e, since);
    for (int64_t i = 1; str_split_next(&rest, '\n', &name); i++) {
        if (!str_split_next(&rest, '\n', &line) || !str_is_utf8(name)) /* a graph's */
            break;
        str id = arena_printf(a, i % 3 ? "%lld.%lld" : "%lld", (long long)(i / 3 + 1),
                              (long long)(i % 3));
        if (!chat_events_frame(e, name, line, id))
            break;
    }
    chat_events_free(e);
}

static void shown_deinit(struct shown *shown) {
    map_deinit(&shown->seen);
    vec_deinit(&shown->ids);
}

static void check_message(struct arena *a, str text) {
    struct chat_message m;
    if (chat_message_parse(a, text, &m, NULL) < 0)
        return;
    ASSERT(m.id.len <= CHAT_ID_BYTES_MAX);
    if (m.kind == CHAT_MESSAGE)
        ASSERT(!m.content != !m.resume);
    if (m.kind == CHAT_THINKING)
        ASSERT(m.thinking.len > 0 && m.thinking.len < 16);
}

static void check_tails(struct arena *a, str frames, const struct shown *whole) {
    size_t step = whole->ids.count / 7 + 1;
    for (size_t i = 0; i < whole->ids.count; i += step) {
        struct chat_since since;
        struct shown tail;
        ASSERT(chat_since_parse(whole->ids.p[i], &since, NULL) == 0);
        show(a, frames, &since, &tail);
        ASSERT(whole->ids.count >= EVENTS_MAX || tail.ids.count == whole->ids.count - i - 1);
        for (size_t j = 0; j < tail.ids.count && i + 1 + j < whole->ids.count; j++)
            ASSERT(str_eq(tail.ids.p[j], whole->ids.p[i + 1 + j]));
        shown_deinit(&tail);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct chat_since since, all = {.from = CHAT_FROM_FIRST};
    struct shown shown;
    str rest = str_n((const char *)data, size), line = STR_NULL;
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)512 << 20);
    if (str_split_next(&rest, '\n', &line))
        check_message(&a, line);
    (void)str_split_next(&rest, '\n', &line);
    if (chat_since_parse(line, &since, NULL) == 0) {
        show(&a, rest, &since, &shown);
        shown_deinit(&shown);
    }
    show(&a, rest, &all, &shown);
    check_tails(&a, rest, &shown);
    shown_deinit(&shown);
    arena_deinit(&a);
    return 0;
}
