/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_webhook_url.c - URLs that clients name, and the operator's list. Properties: what is taken
 * has a host and a port of digits, and holds no byte that could end a header; the answer for an
 * address is the same for the list and for the list with an entry that names nothing.
 * Input: the URL up to a line end, then the list. */
#include "delivery/delivery_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    str all = str_n((const char *)data, size);
    ptrdiff_t end = str_find_char(all, '\n');
    str url = end < 0 ? all : str_slice(all, 0, (size_t)end);
    struct delivery_rules rules = {.allow = end < 0 ? STR("")
                                                    : str_slice(all, (size_t)end + 1, all.len)};
    struct http_url parts;
    if (rules_refuse_url(&rules, url, &parts))
        return 0;
    uint64_t port;
    ASSERT(parts.host.len > 0 && str_to_u64(parts.port, &port) && port > 0 && port < 65536);
    for (size_t i = 0; i < url.len; i++)
        ASSERT(url.p[i] > ' ' && url.p[i] < 0x7f);
    static const char *const addresses[] = {"127.0.0.1", "10.0.0.1", "::1", "93.184.216.34"};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        bool taken = rules_allow_address(&rules, &parts, str_of(addresses[i]));
        struct buf b; /* not printed: the list may hold NUL */
        buf_init(&b, size + 1);
        buf_char(&b, ',');
        buf_str(&b, rules.allow);
        struct delivery_rules more = {.allow = buf_view(&b)};
        ASSERT(rules_allow_address(&more, &parts, str_of(addresses[i])) == taken);
        buf_deinit(&b);
    }
    return 0;
}
