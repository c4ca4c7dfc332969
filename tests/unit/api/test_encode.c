/* SPDX-License-Identifier: Apache-2.0 */
/* test_encode.c - rows as JSON. Goal: the exact text of each object, with field lists and absent
 * values; `extract` paths. Method: rows built by hand, no database. */
#include "api/api_int.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

struct scene {
    struct arena arena;
    struct buf out;
};

static int setup(void **state) {
    struct scene *s = NEW(struct scene);
    arena_init(&s->arena, (size_t)16 << 20);
    buf_init(&s->out, (size_t)1 << 20);
    *state = s;
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    arena_deinit(&s->arena);
    buf_deinit(&s->out);
    mem_free(s);
    return 0;
}

static struct json_writer writer(struct scene *s) {
    buf_reset(&s->out);
    return json_writer(&s->out);
}

static void assert_text(struct scene *s, const char *want) {
    assert_string_equal(arena_z(&s->arena, buf_view(&s->out)), want);
}

static struct id id_of(const char *text) {
    struct id id;
    assert_true(id_parse(str_of(text), &id));
    return id;
}
#define ID_TEXT "01a1fbe9-cdaa-7562-a0cc-b4852f832f6d"
#define AT      INT64_C(1795000000123456)
#define AT_TEXT "2026-11-18T11:06:40.123456Z"

static void test_assistant(void **state) {
    struct scene *s = *state;
    struct assistant t = {.id = id_of(ID_TEXT),
                          .graph_id = STR("g\"1"),
                          .name = STR("n"),
                          .config = STR("{\"a\":[1]}"),
                          .context = STR("{}"),
                          .metadata = STR("{\"k\":1}"),
                          .version = 3,
                          .created_at = AT,
                          .updated_at = AT};
    struct json_writer w = writer(s);
    api_write_assistant(&w, &t, API_ASSISTANT_ALL);
    assert_text(s, "{\"assistant_id\":\"" ID_TEXT "\",\"version\":3,\"config\":{\"a\":[1]},"
                   "\"context\":{},\"created_at\":\"" AT_TEXT "\",\"updated_at\":\"" AT_TEXT "\","
                   "\"graph_id\":\"g\\\"1\",\"metadata\":{\"k\":1},\"name\":\"n\","
                   "\"description\":null}");
    w = writer(s);
    api_write_assistant(&w, &t, 1u << API_ASSISTANT_VERSION | 1u << API_ASSISTANT_GRAPH);
    assert_text(s, "{\"version\":3,\"graph_id\":\"g\\\"1\"}");
}

static void test_thread(void **state) {
    struct scene *s = *state;
    struct thread t = {.id = id_of(ID_TEXT),
                       .status = THREAD_INTERRUPTED,
                       .metadata = STR("{}"),
                       .config = STR("{}"),
                       .interrupts = STR("{\"t\":[]}"),
                       .created_at = AT,
                       .updated_at = AT,
                       .state_updated_at = AT};
    struct json_writer w = writer(s);
    api_write_thread(&w, &t, STR("{\"x\":1}"), STR_NULL, API_THREAD_ALL);
    assert_text(s, "{\"thread_id\":\"" ID_TEXT "\",\"created_at\":\"" AT_TEXT
                   "\",\"updated_at\":\"" AT_TEXT "\",\"state_updated_at\":\"" AT_TEXT
                   "\",\"metadata\":{},"
                   "\"status\":\"interrupted\",\"config\":{},\"values\":{\"x\":1},"
                   "\"interrupts\":{\"t\":[]}}");
    t.error = STR("{\"message\":\"m\"}");
    w = writer(s);
    api_write_thread(&w, &t, STR_NULL, STR("{\"a\":1}"),
                     1u << API_THREAD_ERROR | 1u << API_THREAD_VALUES);
    assert_text(s, "{\"values\":null,\"error\":{\"message\":\"m\"},\"extracted\":{\"a\":1}}");
}

static void test_item(void **state) {
    struct scene *s = *state;
    struct item item = {.name_space = STR("a.b c.d"),
                        .key = STR("k/1"),
                        .value = STR("{\"v\":null}"),
                        .created_at = AT,
                        .updated_at = AT};
    struct json_writer w = writer(s);
    api_write_item(&w, &item);
    assert_text(s, "{\"value\":{\"v\":null},\"key\":\"k/1\",\"namespace\":[\"a\",\"b c\",\"d\"],"
                   "\"created_at\":\"" AT_TEXT "\",\"updated_at\":\"" AT_TEXT "\"}");
    w = writer(s);
    api_write_labels(&w, STR(""));
    assert_text(s, "[]");
}

/* Interrupts are gathered from all tasks. */
static void test_state_interrupts(void **state) {
    struct scene *s = *state;
    struct checkpoint c = {.thread_id = id_of(ID_TEXT),
                           .id = id_of(ID_TEXT),
                           .name_space = STR("n:1"),
                           .next = STR("[]"),
                           .metadata = STR("{}"),
                           .created_at = AT,
                           .tasks = STR("[{\"interrupts\":[{\"id\":\"1\"}]},{},"
                                        "{\"interrupts\":[{\"id\":\"2\"},{\"id\":\"3\"}]}]")};
    struct json_writer w = writer(s);
    api_write_state(&w, &s->arena, &c, STR("{}"), API_STATE_ALL);
    str text = buf_view(&s->out);
    assert_true(str_ends(text, STR("\"parent_checkpoint\":null,\"interrupts\":[{\"id\":\"1\"},"
                                   "{\"id\":\"2\"},{\"id\":\"3\"}]}")));
    assert_true(str_find(text, STR("\"checkpoint_ns\":\"n:1\"")) > 0);
}

static void test_extract(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *path, *want; /* want NULL: refused */
    } cases[] = {
        {"values", "{\"m\":[{\"c\":1},{\"c\":2}],\"a.b\":3}"},
        {"values.m[0].c", "1"},
        {"values.m[-1]", "{\"c\":2}"},
        {"values.m[2]", "null"},
        {"values.m[-3].c", "null"},
        {"values.m.c", "null"},
        {"metadata.user", "\"u\""},
        {"config", "{}"},
        {"interrupts.x", "null"},
        {"values.", NULL},
        {"values..m", NULL},
        {"values.m[", NULL},
        {"values.m[x]", NULL},
        {"values.m[1]c", NULL},
        {"other.m", NULL},
        {"", NULL},
        {"valuesx", NULL},
        {"values.m[99999999999999999999]", NULL},
    };
    struct thread t = {
        .metadata = STR("{\"user\":\"u\"}"), .config = STR("{}"), .interrupts = STR("{}")};
    str values = STR("{\"m\":[{\"c\":1},{\"c\":2}],\"a.b\":3}");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        yyjson_val *root;
        struct body b;
        struct api_extract x;
        struct err err = {0};
        str text = arena_printf(&s->arena, "{\"extract\":{\"p\":\"%s\"}}", cases[i].path);
        assert_int_equal(json_parse(&s->arena, text, &root, NULL), 0);
        body_init(&b, &s->arena, root);
        api_extract_read(&b, &x);
        int rc = body_done(&b, &err);
        if (!cases[i].want) {
            if (rc != ERR_INVALID)
                fail_msg("%s was accepted", cases[i].path);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_string_equal(
            arena_z(&s->arena, api_extract_make(&s->arena, &x, &t, values)),
            arena_z(&s->arena, arena_printf(&s->arena, "{\"p\":%s}", cases[i].want)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_assistant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(test_item, setup, teardown),
        cmocka_unit_test_setup_teardown(test_state_interrupts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_extract, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
