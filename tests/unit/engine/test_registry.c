/* SPDX-License-Identifier: Apache-2.0 */
/* test_registry.c - Goal: equal settings share one compiled graph, different ones never do, no
 * secret or identity reaches compile(), concurrent misses build once, entries end by time, number
 * and invalidation, and a graph in use outlives its entry. Method: a graph whose compile() counts,
 * keeps what it saw, and suspends or fails when asked; the clock is the test's own. */
#include "engine/registry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

static int64_t now_us;
static int builds, frees;

static int64_t mono(void) { return now_us; }

static int compile(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err) {
    (void)s;
    struct arena a;
    arena_init(&a, 1 << 20);
    str seen = json_text(&a, c->configurable);
    builds++;
    if (json_has(c->configurable, "slow"))
        fiber_yield();
    int rc = json_has(c->configurable, "bad")
                 ? err_set(err, ERR_INVALID, "configurable.bad: is bad")
                 : 0;
    if (rc == 0) {
        char *copy = mem_alloc(seen.len + 1);
        memcpy(copy, seen.p, seen.len);
        copy[seen.len] = '\0';
        *out = copy;
    }
    arena_deinit(&a);
    return rc;
}
static void free_compiled(void *object) {
    frees++;
    mem_free(object);
}
static const struct graph_def one = {
    .id = "one", .compile = compile, .free_compiled = free_compiled};
static const struct graph_def two = {
    .id = "two", .compile = compile, .free_compiled = free_compiled};
static const struct graph_def bare = {.id = "bare"};

struct scene {
    struct rt *rt;
    struct graph_services services;
    struct registry *registry;
    struct arena a;
    void (*body)(struct scene *s);
};

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    s->body(s);
    rt_stop(s->rt);
}

static void run(void (*body)(struct scene *s), int64_t ttl_us, size_t entries_max) {
    struct scene s = {.body = body};
    now_us = 1000;
    builds = frees = 0;
    arena_init(&s.a, 16 << 20);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    s.services.rt = s.rt;
    s.registry = registry_new(&s.services, &(struct registry_options){ttl_us, entries_max});
    registry_add(s.registry, &one);
    registry_add(s.registry, &two);
    registry_add(s.registry, &bare);
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    clock_set_source(NULL, mono);
    rt_run(s.rt);
    clock_set_source(NULL, NULL);
    registry_free(s.registry);
    assert_int_equal(frees, builds); /* what was built was freed; the failing tests count theirs */
    rt_close(s.rt);
    arena_deinit(&s.a);
}

static struct compiled_graph *get(struct scene *s, const struct graph_def *def, const char *json) {
    struct compiled_graph *g;
    yyjson_val *v = NULL;
    struct err err = {0};
    if (json)
        assert_int_equal(json_parse(&s->a, str_of(json), &v, NULL), 0);
    if (registry_compile(s->registry, def, v, &g, &err) < 0)
        fail_msg("%s: %s", json, err.message);
    return g;
}

static void use(struct scene *s, const struct graph_def *def, const char *json) {
    compiled_graph_unref(get(s, def, json));
}

static void body_list(struct scene *s) {
    assert_int_equal(registry_count(s->registry), 3);
    assert_ptr_equal(registry_find(s->registry, STR("two")), &two);
    assert_ptr_equal(registry_at(s->registry, 0), &one);
    assert_null(registry_find(s->registry, STR("tw")));
    assert_null(registry_find(s->registry, STR("")));
    struct compiled_graph *g = get(s, &bare, NULL);
    assert_null(g->object);
    assert_ptr_equal(g->def, &bare);
    compiled_graph_unref(g);
}
static void test_list(void **state) {
    (void)state;
    run(body_list, 1000, 10);
}

static void body_keys(struct scene *s) {
    struct compiled_graph *a = get(s, &one, "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":2}");
    /* The order of members, secrets, runtime keys and identity make no difference. */
    static const char *const same[] = {
        "{\"n\":2,\"m\":{\"y\":[1,2],\"x\":1}}",
        "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":2,\"custom_api_key\":\"k\",\"apiKeys\":{\"A\":\"k\"},"
        "\"run_id\":\"r\",\"thread_id\":\"t\",\"user_id\":\"u\",\"owner\":\"o\",\"x-header\":\"h\","
        "\"langgraph_auth_user_id\":\"u\",\"checkpoint_id\":\"c\",\"__pregel\":1,"
        "\"access_TOKEN\":\"k\",\"password\":\"k\",\"assistant_id\":\"a\",\"graph_id\":\"g\"}",
        "{\"m\":{\"x\":1,\"y\":[1,2],\"Authorization\":\"Bearer k\"},\"n\":2}"};
    for (size_t i = 0; i < ARRAY_COUNT(same); i++) {
        struct compiled_graph *b = get(s, &one, same[i]);
        assert_ptr_equal(a, b);
        compiled_graph_unref(b);
    }
    assert_int_equal(builds, 1);
    /* These do: nested values, another graph, max_tokens (no secret), a null. */
    static const char *const other[] = {"{\"m\":{\"x\":1,\"y\":[2,1]},\"n\":2}",
                                        "{\"m\":{\"x\":2,\"y\":[1,2]},\"n\":2}",
                                        "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":\"2\"}",
                                        "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":2,\"z\":null}",
                                        "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":2,\"max_tokens\":5}",
                                        "{}"};
    for (size_t i = 0; i < ARRAY_COUNT(other); i++)
        use(s, &one, other[i]);
    assert_int_equal(builds, 1 + (int)ARRAY_COUNT(other));
    use(s, &two, "{\"m\":{\"x\":1,\"y\":[1,2]},\"n\":2}");
    assert_int_equal(builds, 2 + (int)ARRAY_COUNT(other));
    use(s, &one, NULL); /* none is {} */
    assert_int_equal(builds, 2 + (int)ARRAY_COUNT(other));
    compiled_graph_unref(a);
}
static void test_keys(void **state) {
    (void)state;
    run(body_keys, 1000000, 100);
}

static void body_secrets(struct scene *s) {
    struct compiled_graph *g =
        get(s, &one,
            "{\"model\":\"m\",\"max_tokens\":7,\"openai_api_key\":\"SECRET\",\"apiKeys\":{\"X\":"
            "\"SECRET\"},\"token\":\"SECRET\",\"x-api\":\"SECRET\",\"user_id\":\"SECRET\","
            "\"mcp\":{\"servers\":[{\"url\":\"u\",\"headers\":{\"Authorization\":\"SECRET\","
            "\"Cookie\":\"SECRET\"},\"client_secret\":\"SECRET\"}]}}");
    assert_string_equal(g->object, "{\"model\":\"m\",\"max_tokens\":7,\"mcp\":{\"servers\":[{"
                                   "\"url\":\"u\",\"headers\":{}}]}}");
    compiled_graph_unref(g);
}
static void test_secrets(void **state) {
    (void)state;
    run(body_secrets, 1000000, 100);
}

static void body_ends(struct scene *s) {
    struct compiled_graph *held = get(s, &one, "{\"n\":1}");
    now_us += 999;
    use(s, &one, "{\"n\":1}");
    assert_int_equal(builds, 1);
    now_us += 1; /* its time is over, counted from the build */
    use(s, &one, "{\"n\":1}");
    assert_int_equal(builds, 2);
    assert_int_equal(frees, 0); /* the first is still held */
    assert_string_equal(held->object, "{\"n\":1}");
    compiled_graph_unref(held);
    assert_int_equal(frees, 1);
    /* More than two entries: the oldest goes. */
    use(s, &one, "{\"n\":2}");
    use(s, &one, "{\"n\":3}");
    assert_int_equal(frees, 2);
    use(s, &one, "{\"n\":2}");
    use(s, &one, "{\"n\":3}");
    assert_int_equal(builds, 4);
    held = get(s, &one, "{\"n\":3}");
    registry_invalidate(s->registry);
    assert_int_equal(frees, 3);
    compiled_graph_unref(held);
    assert_int_equal(frees, 4);
    use(s, &one, "{\"n\":3}");
    assert_int_equal(builds, 5);
}
static void test_ends(void **state) {
    (void)state;
    run(body_ends, 1000, 2);
}

/* --- concurrent builds -------------------------------------------------------------------------
 */

struct getter {
    struct scene *s;
    const char *json;
    struct compiled_graph *graph;
    int rc;
    struct err err;
};

static void getter_fiber(void *arg) {
    struct getter *g = arg;
    yyjson_val *v;
    assert_int_equal(json_parse(&g->s->a, str_of(g->json), &v, NULL), 0);
    g->rc = registry_compile(g->s->registry, &one, v, &g->graph, &g->err);
}

static void get_at_once(struct scene *s, struct getter *all, size_t count, const char *json,
                        struct fiber_group *group) {
    fiber_group_init(group);
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct getter){.s = s, .json = json};
        assert_int_equal(fiber_group_spawn(group, s->rt, "get", getter_fiber, &all[i], NULL), 0);
    }
}

static void body_single_flight(struct scene *s) {
    struct getter all[5];
    struct fiber_group group;
    get_at_once(s, all, 5, "{\"slow\":1}", &group);
    fiber_group_wait(&group);
    assert_int_equal(builds, 1);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(all[i].rc, 0);
        assert_ptr_equal(all[i].graph, all[0].graph);
        compiled_graph_unref(all[i].graph);
    }
    /* The entry is dropped while it is built: who waits still gets it, nobody later does. */
    get_at_once(s, all, 3, "{\"slow\":2}", &group);
    fiber_yield();
    registry_invalidate(s->registry);
    fiber_group_wait(&group);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(all[i].rc, 0);
        compiled_graph_unref(all[i].graph);
    }
    assert_int_equal(frees, builds);
}
static void test_single_flight(void **state) {
    (void)state;
    run(body_single_flight, 1000000, 10);
}

static void body_failure(struct scene *s) {
    struct getter all[4];
    struct fiber_group group;
    get_at_once(s, all, 4, "{\"slow\":1,\"bad\":1}", &group);
    fiber_group_wait(&group);
    assert_int_equal(builds, 1);
    for (size_t i = 0; i < 4; i++) { /* every one is told why */
        assert_int_equal(all[i].rc, ERR_INVALID);
        assert_string_equal(all[i].err.message, "configurable.bad: is bad");
    }
    get_at_once(s, all, 1, "{\"bad\":1}", &group);
    fiber_group_wait(&group);
    get_at_once(s, all, 1, "{\"bad\":1}", &group);
    fiber_group_wait(&group);
    assert_int_equal(builds, 3); /* a failure is not kept */
    /* Dropped and failed at once. */
    get_at_once(s, all, 3, "{\"slow\":2,\"bad\":1}", &group);
    fiber_yield();
    registry_invalidate(s->registry);
    fiber_group_wait(&group);
    assert_int_equal(all[2].rc, ERR_INVALID);
    /* A waiter that is cancelled leaves the others alone. */
    get_at_once(s, all, 3, "{\"slow\":3}", &group);
    fiber_group_cancel(&group);
    fiber_group_wait(&group);
    assert_int_equal(all[0].rc, 0); /* the builder finishes */
    assert_int_equal(all[1].rc, ERR_CANCELLED);
    compiled_graph_unref(all[0].graph);
    use(s, &one, "{\"slow\":3}");
    assert_int_equal(builds, 5);
    builds -= 4; /* those that gave nothing to free */
}
static void test_failure(void **state) {
    (void)state;
    run(body_failure, 1000000, 10);
}

/* --- graphs made at run time --- */

static int uses;
static void count_use(const struct graph_def *g) {
    (void)g;
    uses++;
}
static void count_unuse(const struct graph_def *g) {
    (void)g;
    uses--;
}
static const struct graph_def made = {
    .id = "made", .compile = compile, .free_compiled = free_compiled, .ref = count_use,
    .unref = count_unuse};
static const struct graph_def made_again = {
    .id = "made", .compile = compile, .free_compiled = free_compiled, .ref = count_use,
    .unref = count_unuse};

static void body_replaced(struct scene *s) {
    registry_add(s->registry, &made);
    struct compiled_graph *g = get(s, &made, "{}");
    assert_int_equal(uses, 2);
    registry_add(s->registry, &made_again);
    assert_int_equal(registry_count(s->registry), 4);
    assert_ptr_equal(registry_find(s->registry, STR("made")), &made_again);
    assert_int_equal(uses, 2); /* the old one by its user, the new one by the registry */
    struct compiled_graph *old = get(s, &made, "{}"), *new = get(s, &made_again, "{}");
    assert_ptr_equal(old->def, &made);
    assert_ptr_equal(new->def, &made_again);
    compiled_graph_unref(g);
    compiled_graph_unref(old);
    compiled_graph_unref(new);
    assert_true(registry_remove(s->registry, STR("made")));
    assert_false(registry_remove(s->registry, STR("made")));
    assert_null(registry_find(s->registry, STR("made")));
    assert_int_equal(uses, 0);
}
static void test_replaced(void **state) {
    (void)state;
    run(body_replaced, 1000, 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),          cmocka_unit_test(test_keys),
        cmocka_unit_test(test_secrets),       cmocka_unit_test(test_ends),
        cmocka_unit_test(test_single_flight), cmocka_unit_test(test_failure),
        cmocka_unit_test(test_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
