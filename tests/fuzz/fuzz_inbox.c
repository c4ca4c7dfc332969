/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_inbox.c - deliveries of anybody: a first line for a header, then the body.
 *
 * Checks: nobody proves a secret that they do not know, in any scheme; what is read as events is
 * JSON, with keys and digests of one size, and reads the same again. */
#include "model/inbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct given {
    char kind;
    str text;
};

static bool header_at(void *ctx, size_t n, str *out_name, str *out_value) {
    const struct given *g = ctx;
    static const str binary[] = {STR("ce-specversion"), STR("ce-id"), STR("ce-source"),
                                 STR("ce-type"), STR("ce-more")};
    static const str proofs[] = {STR("webhook-id"), STR("webhook-timestamp"),
                                 STR("webhook-signature"), STR("stripe-signature"),
                                 STR("x-hub-signature-256"), STR("authorization")};
    *out_value = g->text;
    if (g->kind == 'c' && n < ARRAY_COUNT(binary))
        *out_name = binary[n], *out_value = n ? g->text : STR("1.0");
    else if (g->kind == 'p' && n < ARRAY_COUNT(proofs))
        *out_name = proofs[n], *out_value = n == 1 ? STR("1764000000") : g->text;
    else if (g->kind != 'c' && g->kind != 'p' && n == 0)
        *out_name = STR("content-type");
    else
        return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct inbox_event *events, *again;
    size_t count = 0, count_again = 0;
    bool batch;
    yyjson_val *v;
    if (size < 2 || size > 65536)
        return 0;
    str rest = str_n((const char *)data + 1, size - 1), line = rest;
    ptrdiff_t end = str_find_char(rest, '\n');
    if (end >= 0)
        line = str_slice(rest, 0, (size_t)end);
    struct given g = {(char)data[0], line};
    struct inbox_request q = {.header = header_at,
                              .ctx = &g,
                              .body = str_slice(rest, line.len + 1, rest.len),
                              .now_s = 1764000000};
    arena_init(&a, 256u << 20);
    for (int scheme = INBOX_STANDARD; scheme <= INBOX_TOKEN; scheme++) {
        struct inbox_rule rule = {.scheme = (enum inbox_scheme)scheme,
                                  .header = STR("x-hub-signature-256"),
                                  .secret = STR("c2VjcmV0IHRoYXQgbm9ib2R5IGd1ZXNzZXM=")};
        ASSERT(!inbox_proved(&rule, &q, &a));
        if (inbox_events_read(&rule, &q, &a, &events, &count, &batch, NULL) < 0)
            continue;
        ASSERT(inbox_events_read(&rule, &q, &a, &again, &count_again, &batch, NULL) == 0);
        ASSERT(count == count_again && (batch || count == 1));
        for (size_t i = 0; i < count; i++) {
            ASSERT(json_parse(&a, events[i].text, &v, NULL) == 0 && yyjson_is_obj(v));
            ASSERT(events[i].key.len == 64 && str_eq(events[i].key, again[i].key));
            ASSERT(events[i].digest.len == 64 && str_eq(events[i].digest, again[i].digest));
        }
    }
    arena_deinit(&a);
    return 0;
}
