/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_fill.c - plans of templates: JSON with expressions in its texts, filled from parameters.
 *
 * Checks: what was checked is filled or refused with a code and a text; what comes of it is JSON
 * within the limit, and names no secret that the template did not. Input: {"plan", "params"}; of
 * other JSON, itself for both. */
#include "graphs/fill.h"

#define BYTES_MAX ((size_t)1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t secrets_of(str text) {
    size_t count = 0;
    for (ptrdiff_t at; (at = str_find(text, STR("{{secret."))) >= 0; count++)
        text = str_slice(text, (size_t)at + 1, text.len);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    yyjson_val *root, *v;
    str out;
    arena_init(&a, (size_t)256 << 20);
    if (size <= 4096 && json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0) {
        yyjson_val *plan = json_get(root, "plan"), *params = json_get(root, "params");
        plan = plan ? plan : root;
        struct expr_value from = expr_of_json(params ? params : root);
        int rc = fill_check(&a, plan, &err);
        ASSERT(rc == 0 || err.message[0]);
        if (rc == 0)
            rc = fill(&a, plan, &from, BYTES_MAX, &out, &err);
        if (rc == 0) {
            int parsed = json_parse(&a, out, &v, NULL);
            ASSERT(out.len <= BYTES_MAX && (parsed == 0 || parsed == ERR_TOO_LARGE));
            ASSERT(secrets_of(out) <= secrets_of(json_text(&a, plan)));
        } else {
            ASSERT(err.code == rc && err.message[0]);
        }
    }
    arena_deinit(&a);
    return 0;
}
