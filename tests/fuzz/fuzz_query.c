/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_query.c - query strings, percent-encoding and route look-up. Properties: what is decoded is
 * UTF-8 without NUL and survives encoding and decoding; look-ups end and give decoded parameters.
 * Input: a query string; also used as a path. */
#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_route routes[] = {
    {HTTP_GET, "/", 0},         {HTTP_GET, "/a/{x}", 1},       {HTTP_GET, "/a/b", 2},
    {HTTP_POST, "/a/b/{y}", 3}, {HTTP_PUT, "/{x}/{y}/{z}", 4},
};

static void check_text(struct arena *a, str text) {
    struct buf out;
    str back;
    ASSERT(str_is_utf8(text) && str_find_char(text, '\0') < 0);
    buf_init(&out, 1u << 20);
    http_percent_encode(&out, text);
    int rc = http_percent_decode(a, str_n(out.p ? out.p : "", out.len), false, &back);
    ASSERT(rc == 0 && str_eq(back, text));
    buf_deinit(&out);
}

static void check_route(struct arena *a, str path) {
    struct http_router *r = http_router_new(routes, ARRAY_COUNT(routes));
    for (int m = HTTP_GET; m <= HTTP_OPTIONS; m++) {
        struct http_request req = {.arena = a, .method = (enum http_method)m, .path = path};
        struct http_match match;
        str allow = STR_NULL;
        int rc = http_router_match(r, &req, &match, &allow);
        ASSERT(rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_UNSUPPORTED);
        ASSERT((rc == ERR_UNSUPPORTED) == (allow.len > 0));
        for (size_t i = 0; rc == 0 && i < match.param_count; i++)
            ASSERT(match.params[i].len > 0);
    }
    http_router_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 16384)
        return 0;
    str in = {(const char *)data, size};
    struct arena a;
    struct http_query q;
    arena_init(&a, 64u << 20);
    if (http_query_parse(&a, size ? in : STR(""), &q, NULL) == 0) {
        ASSERT(q.count <= 256);
        for (size_t i = 0; i < q.count; i++) {
            check_text(&a, q.pairs[i].name);
            check_text(&a, q.pairs[i].value);
        }
        str *items;
        size_t count;
        if (http_query_list(&a, &q, "s", true, &items, &count, NULL) == 0)
            ASSERT(count <= size + 1);
        (void)http_query_bool(&q, "b", true);
    }
    check_route(&a, size ? in : STR(""));
    arena_deinit(&a);
    return 0;
}
