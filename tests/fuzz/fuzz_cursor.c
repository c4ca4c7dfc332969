/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cursor.c - texts by which clients name a place or an object: Last-Event-ID, ids, base64,
 * places in lists of conversations.
 * Checks: what is taken is written again, and that reads the same. Input: the text. */
#include "base/base64.h"
#include "base/id.h"
#include "engine/hub.h"
#include "store/conversations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cursor(str in) {
    struct hub_cursor c, again;
    char text[HUB_CURSOR_TEXT_MAX];
    if (!hub_cursor_parse(in, &c))
        return;
    ASSERT(c.seq >= 0 && c.k >= 0 && c.frames >= 0 && c.after >= 0);
    size_t len = hub_cursor_write(&c, text);
    ASSERT(len < sizeof(text) && hub_cursor_parse(str_n(text, len), &again));
    ASSERT(c.seq == again.seq && c.k == again.k && c.frames == again.frames &&
           c.after == again.after);
}

static void check_id(str in) {
    struct id id, again;
    char dashed[ID_DASHED_LEN], hex[ID_HEX_LEN];
    if (!id_parse(in, &id))
        return;
    id_write_dashed(id, dashed);
    ASSERT(id_parse(str_n(dashed, sizeof(dashed)), &again) && id_eq(id, again));
    id_write_hex(id, hex);
    ASSERT(id_parse(str_n(hex, sizeof(hex)), &again) && id_eq(id, again));
}

static void check_place(str in, struct arena *a) {
    struct conversation_place p, again;
    if (!conversation_place_read(in, &p))
        return;
    ASSERT(p.updated_at >= 0);
    str text = conversation_place_write(a, &p);
    ASSERT(text.len <= CONVERSATION_PLACE_LEN && conversation_place_read(text, &again));
    ASSERT(p.updated_at == again.updated_at && id_eq(p.id, again.id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    str bytes, again;
    if (size > 65536)
        return 0;
    str in = size ? str_n((const char *)data, size) : STR("");
    arena_init(&a, 1u << 20);
    check_cursor(in);
    check_place(in, &a);
    check_id(in);
    if (base64_decode(&a, in, &bytes)) {
        str text = base64_encode(&a, bytes);
        ASSERT(text.len == in.len && base64_decode(&a, text, &again) && str_eq(bytes, again));
    }
    arena_deinit(&a);
    return 0;
}
