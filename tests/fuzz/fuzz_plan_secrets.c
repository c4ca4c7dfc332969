/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_plan_secrets.c - secrets of steps: {"config": text, "scope": any, "text": text}.
 *
 * Checks: a configuration that is accepted gives values of the promised size; no value stands in a
 * text that they were taken out of, nor its beginning at the end of one that was cut. */
#include "plans/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *a, const struct plan_secrets *s, str text) {
    str clean = plan_secrets_redact(s, a, text, true);
    for (size_t i = 0; i < s->count; i++) {
        str value = s->items[i].value;
        ASSERT(value.len >= 8 && value.len <= 4096);
        if (str_find(STR("[secret]"), str_slice(value, 0, 1)) < 0) /* else the mark may make one */
            ASSERT(str_find(clean, value) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct plan_secrets s;
    yyjson_val *v;
    str out;
    if (size > 65536)
        return 0;
    arena_init(&a, 64u << 20);
    if (json_parse(&a, str_n((const char *)data, size), &v, NULL) == 0) {
        str config = json_str(json_get(v, "config")), text = json_str(json_get(v, "text"));
        if (plan_secrets_check(config, NULL) == 0 &&
            plan_secrets_of(&a, config, json_get(v, "scope"), STR("me"), STR("http"), &s, NULL) ==
                0) {
            check(&a, &s, text);
            if (plan_secrets_expand(&s, &a, text, STR("http://x.org/"), &out, NULL) == 0)
                check(&a, &s, out);
        }
    }
    arena_deinit(&a);
    return 0;
}
