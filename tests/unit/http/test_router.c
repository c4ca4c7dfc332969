/* SPDX-License-Identifier: Apache-2.0 */
/* test_router.c - route look-up. Goal: literals win, parameters are decoded and kept apart, 404 and
 * 405 with its list are told, HEAD uses GET. Method: one small table in the shape of the API's. */
#include "http/router.h"

#include "check.h"

enum {
    ROOT,
    OK,
    SEARCH,
    CREATE,
    GET_THREAD,
    PATCH_THREAD,
    DELETE_THREAD,
    RUNS,
    RUN,
    STREAM,
    FIXED
};
static const struct http_route table[] = {
    {HTTP_GET, "/", ROOT},
    {HTTP_GET, "/ok", OK},
    {HTTP_POST, "/threads/search", SEARCH},
    {HTTP_POST, "/threads", CREATE},
    {HTTP_GET, "/threads/{thread_id}", GET_THREAD},
    {HTTP_PATCH, "/threads/{thread_id}", PATCH_THREAD},
    {HTTP_DELETE, "/threads/{thread_id}", DELETE_THREAD},
    {HTTP_GET, "/threads/{thread_id}/runs", RUNS},
    {HTTP_GET, "/threads/{thread_id}/runs/{run_id}", RUN},
    {HTTP_GET, "/threads/{thread_id}/runs/{run_id}/stream", STREAM},
    {HTTP_GET, "/threads/fixed/runs/{run_id}", FIXED},
};
static struct http_router *router;
static struct arena arena;
static struct http_match match;
static str allow;

static int look_up(enum http_method method, str path) {
    struct http_request req = {.arena = &arena, .method = method, .path = path};
    match = (struct http_match){0};
    allow = STR_NULL;
    return http_router_match(router, &req, &match, &allow);
}

static int id_of(enum http_method method, str path) {
    assert_int_equal(look_up(method, path), 0);
    return match.route->id;
}

static void test_literals_and_parameters(void **state) {
    (void)state;
    assert_int_equal(id_of(HTTP_GET, STR("/")), ROOT);
    assert_int_equal(id_of(HTTP_GET, STR("/ok")), OK);
    assert_int_equal(match.param_count, 0);
    assert_int_equal(id_of(HTTP_POST, STR("/threads/search")), SEARCH);
    assert_int_equal(id_of(HTTP_GET, STR("/threads/abc")), GET_THREAD);
    assert_int_equal(match.param_count, 1);
    check_str(match.params[0], "abc");
    assert_int_equal(id_of(HTTP_GET, STR("/threads/a/runs/b/stream")), STREAM);
    assert_int_equal(match.param_count, 2);
    check_str(match.params[0], "a");
    check_str(match.params[1], "b");
}

static void test_trailing_slash(void **state) {
    (void)state;
    assert_int_equal(id_of(HTTP_GET, STR("/ok/")), OK);
    assert_int_equal(id_of(HTTP_GET, STR("/threads/abc/")), GET_THREAD);
    check_str(match.params[0], "abc");
}

static void test_falls_back_to_the_parameter(void **state) {
    (void)state;
    assert_int_equal(id_of(HTTP_GET, STR("/threads/search")), GET_THREAD);
    check_str(match.params[0], "search");
    assert_int_equal(id_of(HTTP_GET, STR("/threads/fixed/runs/1")), FIXED);
    assert_int_equal(match.param_count, 1);
    assert_int_equal(id_of(HTTP_GET, STR("/threads/fixed/runs/1/stream")), STREAM);
    assert_int_equal(match.param_count, 2);
    check_str(match.params[0], "fixed");
}

static void test_decoding(void **state) {
    (void)state;
    assert_int_equal(id_of(HTTP_GET, STR("/%74hreads/a%2Fb%20c+d")), GET_THREAD);
    check_str(match.params[0], "a/b c+d");
    assert_int_equal(look_up(HTTP_GET, STR("/threads/%zz")), ERR_NOT_FOUND);
    assert_int_equal(look_up(HTTP_GET, STR("/threads/%00")), ERR_NOT_FOUND);
    assert_int_equal(look_up(HTTP_GET, STR("/threads/%ff")), ERR_NOT_FOUND);
    assert_int_equal(look_up(HTTP_GET, STR("/threads/%4")), ERR_NOT_FOUND);
}

static void test_not_found(void **state) {
    (void)state;
    static const char *const paths[] = {"/none", "/threads/a/b",
                                        "//",    "/threads//runs",
                                        "//ok",  "*",
                                        "",      "/ok//",
                                        "/OK",   "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        assert_int_equal(look_up(HTTP_GET, str_of(paths[i])), ERR_NOT_FOUND);
}

static void test_methods(void **state) {
    (void)state;
    assert_int_equal(look_up(HTTP_PUT, STR("/threads/x")), ERR_UNSUPPORTED);
    check_str(allow, "GET, HEAD, PATCH, DELETE");
    assert_int_equal(look_up(HTTP_DELETE, STR("/ok")), ERR_UNSUPPORTED);
    check_str(allow, "GET, HEAD");
    assert_int_equal(look_up(HTTP_PUT, STR("/threads/search")), ERR_UNSUPPORTED);
    check_str(allow, "GET, HEAD, POST, PATCH, DELETE");
    assert_int_equal(look_up(HTTP_HEAD, STR("/threads")), ERR_UNSUPPORTED);
    check_str(allow, "POST");
    assert_int_equal(id_of(HTTP_HEAD, STR("/ok")), OK);
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    router = http_router_new(table, ARRAY_COUNT(table));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    http_router_free(router);
    http_router_free(NULL);
    arena_deinit(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_and_parameters),
        cmocka_unit_test(test_trailing_slash),
        cmocka_unit_test(test_falls_back_to_the_parameter),
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
