/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cookie.c - the Cookie header, and places to return to. Properties: what is found stands in
 * the header, behind the name and no other pair; a place that is fine begins with one slash and has
 * no character that a browser drops or reads as another.
 * Input: the header; the same bytes as a place. */
#include "auth/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    str in = size ? str_n((const char *)data, size) : STR("");
    struct http_header h = {STR("Cookie"), in};
    struct http_request req = {.headers = &h, .header_count = 1};
    const struct cookie_site sites[] = {cookie_site(STR(""), STR("*")),
                                        cookie_site(STR("https://h"), STR(""))};
    for (size_t i = 0; i < ARRAY_COUNT(sites); i++) {
        str value = STR_NULL, name = i ? STR("__Host-n=") : STR("n=");
        int rc = cookie_get(&req, &sites[i], "n", &value, NULL);
        ASSERT(rc == 0 || rc == ERR_UNAUTHORISED);
        if (rc < 0 || !value.p)
            continue;
        ASSERT(value.p >= in.p + name.len && value.p + value.len <= in.p + in.len);
        ASSERT(str_eq(str_n(value.p - name.len, name.len), name));
        ASSERT(str_find_char(value, ';') < 0);
    }
    if (cookie_return_is_fine(in)) {
        ASSERT(in.p[0] == '/' && (in.len == 1 || in.p[1] != '/'));
        ASSERT(str_find_char(in, '\\') < 0 && str_find_char(in, '\n') < 0);
    }
    (void)cookie_origin_of(in);
    return 0;
}
