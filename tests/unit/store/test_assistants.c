/* SPDX-License-Identifier: Apache-2.0 */
/* test_assistants.c - assistants. Goal: content and versions through create, update and delete; the
 * server's own assistants readable by all and changed by none; sorts, filters, paging.
 * Method: a database in memory. */
#include "store/assistants.h"

#include "fixture.h"
#include "store/threads.h"

static struct id make(struct fixture *f, const struct principal *who, str graph, str name,
                      str metadata) {
    struct assistant in = {.id = id_v7(),
                           .graph_id = graph,
                           .name = name,
                           .config = STR("{}"),
                           .context = STR("{}"),
                           .metadata = metadata},
                     out;
    int rc = assistant_create(&f->store, who, &in, false, &f->arena, &out, &f->err);
    return rc == 0 ? out.id : ID_NIL;
}

static void life(struct fixture *f) {
    struct store *s = &f->store;
    struct assistant in = {.id = id_v7(),
                           .graph_id = STR("agent"),
                           .name = STR("n1"),
                           .config = STR("{\"tags\":[]}"),
                           .context = STR("{}"),
                           .metadata = STR("{\"k\":1}")},
                     out, again;
    CHECK_INT(assistant_create(s, &ALICE, &in, false, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 1);
    CHECK_STR(out.config, STR("{\"tags\":[]}"));
    CHECK(!out.description.p);
    CHECK_INT(assistant_create(s, &ALICE, &in, false, &f->arena, &again, &f->err), ERR_EXISTS);
    CHECK_STR(str_of(f->err.message), STR("Assistant already exists"));
    CHECK_INT(assistant_create(s, &ALICE, &in, true, &f->arena, &again, &f->err), 0);
    CHECK_STR(again.name, STR("n1"));
    struct assistant_patch patch = {.name = STR("n2"), .metadata = STR("{\"z\":2}")};
    CHECK_INT(assistant_update(s, &ALICE, in.id, &patch, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 2);
    CHECK_STR(out.name, STR("n2"));
    CHECK_STR(out.metadata, STR("{\"k\":1,\"z\":2}"));
    CHECK_STR(out.graph_id, STR("agent"));
    CHECK_STR(out.config, STR("{\"tags\":[]}"));
    struct assistant_patch text = {.description = STR("d"), .config = STR("{}")};
    CHECK_INT(assistant_update(s, &ALICE, in.id, &text, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 3);
    CHECK_STR(out.description, STR("d"));
    CHECK_STR(out.config, STR("{}"));
    CHECK_INT(assistant_get(s, &ALICE, in.id, &f->arena, &again, &f->err), 0);
    CHECK_INT(again.version, 3);
    CHECK_INT(assistant_delete(s, &ALICE, in.id, false, &f->arena, &f->err), 0);
    CHECK_INT(assistant_get(s, &ALICE, in.id, &f->arena, &again, &f->err), ERR_NOT_FOUND);
    CHECK_STR(str_of(f->err.message), STR("Assistant not found"));
    /* Its versions are gone too: the same id starts at 1 and goes on with 2. */
    CHECK_INT(assistant_create(s, &ALICE, &in, false, &f->arena, &out, &f->err), 0);
    CHECK_INT(assistant_update(s, &ALICE, in.id, &patch, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 2);
}

static void owners(struct fixture *f) {
    struct store *s = &f->store;
    static const char *const graphs[] = {"agent", "research_agent"};
    CHECK_INT(assistant_seed(s, graphs, 2, &f->arena, &f->err), 0);
    CHECK_INT(assistant_seed(s, graphs, 2, &f->arena, &f->err), 0);
    struct id system = assistant_id_of_graph(STR("agent"));
    CHECK_STR(id_dashed(&f->arena, system), STR("fe096781-5601-53d2-b2f6-0d3403f7e9ca"));
    struct id mine = make(f, &ALICE, STR("agent"), STR("mine"), STR("{}"));
    struct id theirs = make(f, &BOB, STR("agent"), STR("theirs"), STR("{}"));
    struct assistant out, *list;
    struct assistant_patch patch = {.name = STR("x")};
    struct assistant_filter any = {0};
    struct page page = {.limit = 10};
    size_t count;
    int64_t total;
    CHECK_INT(assistant_get(s, &BOB, system, &f->arena, &out, &f->err), 0);
    CHECK_STR(out.name, STR("agent"));
    CHECK_STR(out.metadata, STR("{\"created_by\":\"system\"}"));
    CHECK_INT(assistant_update(s, &BOB, system, &patch, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_delete(s, &BOB, system, false, &f->arena, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_get(s, &BOB, mine, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_update(s, &BOB, mine, &patch, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_delete(s, &BOB, mine, true, &f->arena, &f->err), ERR_NOT_FOUND);
    struct assistant same = {.id = mine,
                             .graph_id = STR("agent"),
                             .name = STR("x"),
                             .config = STR("{}"),
                             .context = STR("{}"),
                             .metadata = STR("{}")};
    CHECK_INT(assistant_create(s, &BOB, &same, true, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_search(s, &BOB, &any, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 3);
    CHECK(id_eq(list[0].id, theirs));
    CHECK_INT(assistant_count(s, &BOB, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 3);
    CHECK_INT(assistant_search(s, &SERVER, &any, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 4);
    CHECK_INT(assistant_count(s, &SERVER, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 4);
    CHECK_INT(assistant_get(s, &ALICE, mine, &f->arena, &out, &f->err), 0);
    CHECK_STR(out.name, STR("mine"));
    /* An object of the owner "" that is not the server's own stays its owner's. */
    struct principal nobody = {.owner = STR("")};
    struct id plain = make(f, &nobody, STR("agent"), STR("plain"), STR("{}"));
    CHECK_INT(assistant_get(s, &BOB, plain, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_INT(assistant_count(s, &BOB, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 3);
    CHECK_INT(assistant_search(s, &nobody, &any, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 3);
}

static void lists(struct fixture *f) {
    struct store *s = &f->store;
    struct id a = make(f, &ALICE, STR("g2"), STR("Beta One"), STR("{\"t\":1}"));
    struct id b = make(f, &ALICE, STR("g1"), STR("alpha"), STR("{\"t\":2}"));
    struct id c = make(f, &ALICE, STR("g3"), STR("Gamma beta"), STR("{\"t\":1}"));
    struct assistant_patch touch = {.name = STR("alpha")};
    struct assistant out, *list;
    CHECK_INT(assistant_update(s, &ALICE, b, &touch, &f->arena, &out, &f->err), 0);
    static const struct {
        enum assistant_sort sort;
        const char *down;
    } want[] = {
        {ASSISTANT_BY_CREATED, "cba"}, {ASSISTANT_BY_UPDATED, "bca"}, {ASSISTANT_BY_ID, "cba"},
        {ASSISTANT_BY_NAME, "bca"},    {ASSISTANT_BY_GRAPH, "cab"},
    };
    size_t count;
    int64_t total;
    for (size_t i = 0; i < ARRAY_COUNT(want) * 4; i++) {
        struct assistant_filter filter = {.sort = want[i / 4].sort};
        struct page page = {.limit = 10, .order = i & 1 ? SORT_ASC : SORT_DESC};
        CHECK_INT(assistant_search(s, i & 2 ? &SERVER : &ALICE, &filter, &page, &f->arena, &list,
                                   &count, &f->err),
                  0);
        CHECK_INT(count, 3);
        char got[4] = {0};
        for (size_t k = 0; k < 3; k++)
            got[i & 1 ? 2 - k : k] = id_eq(list[k].id, a)   ? 'a'
                                     : id_eq(list[k].id, b) ? 'b'
                                     : id_eq(list[k].id, c) ? 'c'
                                                            : '?';
        CHECK_STR(str_of(got), str_of(want[i / 4].down));
    }
    struct {
        struct assistant_filter filter;
        size_t count;
    } cases[] = {
        {{.name = STR("BETA")}, 2},
        {{.graph_id = STR("g1")}, 1},
        {{.metadata = STR("{\"t\":1}")}, 2},
        {{.metadata = STR("{\"t\":1}"), .name = STR("one")}, 1},
        {{.graph_id = STR("nope")}, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct page page = {.limit = 10};
        CHECK_INT(
            assistant_search(s, &ALICE, &cases[i].filter, &page, &f->arena, &list, &count, &f->err),
            0);
        CHECK_INT(count, cases[i].count);
        CHECK_INT(assistant_count(s, &ALICE, &cases[i].filter, &f->arena, &total, &f->err), 0);
        CHECK_INT(total, cases[i].count);
    }
    struct page second = {.limit = 1, .offset = 1};
    struct assistant_filter any = {0};
    CHECK_INT(assistant_search(s, &ALICE, &any, &second, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK(id_eq(list[0].id, b));
}

static void versions(struct fixture *f) {
    struct store *s = &f->store;
    struct id id = make(f, &ALICE, STR("agent"), STR("one"), STR("{\"k\":1}"));
    struct assistant_patch two = {
        .name = STR("two"), .config = STR("{\"tags\":[\"x\"]}"), .metadata = STR("{\"l\":2}")};
    struct assistant_patch three = {.graph_id = STR("other"), .description = STR("third")};
    struct assistant out, *list;
    struct page page = {.limit = 10};
    size_t count;
    CHECK_INT(assistant_update(s, &ALICE, id, &two, &f->arena, &out, &f->err), 0);
    CHECK_INT(assistant_update(s, &ALICE, id, &three, &f->arena, &out, &f->err), 0);
    CHECK_INT(assistant_versions(s, &ALICE, id, STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 3);
    CHECK_INT(list[0].version, 3);
    CHECK_STR(list[0].graph_id, STR("other"));
    CHECK_STR(list[1].name, STR("two"));
    CHECK_STR(list[1].metadata, STR("{\"k\":1,\"l\":2}"));
    CHECK_STR(list[2].name, STR("one"));
    CHECK_STR(list[2].config, STR("{}"));
    CHECK(!list[2].description.p);
    CHECK_INT(assistant_versions(s, &ALICE, id, STR("{\"l\":2}"), &(struct page){.limit = 1},
                                 &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 1);
    CHECK_INT(list[0].version, 3);
    CHECK_INT(assistant_versions(s, &BOB, id, STR_NULL, &page, &f->arena, &list, &count, &f->err),
              ERR_NOT_FOUND);
    /* An older one becomes the present one; the next change is a version of its own. */
    CHECK_INT(assistant_set_latest(s, &BOB, id, 1, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_STR(str_of(f->err.message), STR("Assistant not found"));
    CHECK_INT(assistant_set_latest(s, &ALICE, id, 4, &f->arena, &out, &f->err), ERR_NOT_FOUND);
    CHECK_STR(str_of(f->err.message), STR("Assistant version not found"));
    CHECK_INT(assistant_set_latest(s, &ALICE, id, 1, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 1);
    CHECK_STR(out.name, STR("one"));
    CHECK_STR(out.metadata, STR("{\"k\":1}"));
    CHECK_STR(out.graph_id, STR("agent"));
    CHECK(!out.description.p);
    CHECK_INT(assistant_update(s, &ALICE, id, &two, &f->arena, &out, &f->err), 0);
    CHECK_INT(out.version, 4);
    CHECK_INT(assistant_versions(s, &ALICE, id, STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 4);
}

static void configured_defaults(struct fixture *f) {
    struct store *s = &f->store;
    struct assistant_default d = {.graph_id = STR("agent")};
    struct id id = assistant_id_of_graph(d.graph_id);
    struct principal nobody = {.owner = STR("")};
    struct assistant out, *list;
    struct page page = {.limit = 10};
    size_t count;
    CHECK_INT(assistant_seed_configured(s, &d, 1, &f->arena, &f->err), 0);
    d.config = STR("{\"tags\":[\"a\"]}");
    d.context = STR("{\"c\":1}");
    CHECK_INT(assistant_seed_configured(s, &d, 1, &f->arena, &f->err), 0);
    CHECK_INT(assistant_get(s, &BOB, id, &f->arena, &out, &f->err), 0);
    CHECK_STR(out.config, d.config);
    CHECK_STR(out.context, d.context);
    CHECK_INT(out.version, 1);
    CHECK_INT(assistant_versions(s, &BOB, id, STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 1);
    CHECK_STR(list[0].config, d.config);
    /* Once somebody has changed it, it is theirs, also at an older version. */
    struct assistant_patch patch = {.config = STR("{\"tags\":[\"mine\"]}")};
    CHECK_INT(assistant_update(s, &nobody, id, &patch, &f->arena, &out, &f->err), 0);
    d.config = STR("{}");
    CHECK_INT(assistant_seed_configured(s, &d, 1, &f->arena, &f->err), 0);
    CHECK_INT(assistant_get(s, &BOB, id, &f->arena, &out, &f->err), 0);
    CHECK_STR(out.config, patch.config);
    CHECK_INT(assistant_set_latest(s, &nobody, id, 1, &f->arena, &out, &f->err), 0);
    CHECK_INT(assistant_seed_configured(s, &d, 1, &f->arena, &f->err), 0);
    CHECK_INT(assistant_get(s, &BOB, id, &f->arena, &out, &f->err), 0);
    CHECK_STR(out.config, STR("{\"tags\":[\"a\"]}"));
}

static void delete_with_threads(struct fixture *f) {
    struct store *s = &f->store;
    struct id mine = make(f, &ALICE, STR("agent"), STR("a"), STR("{}"));
    str metadata = arena_printf(&f->arena, "{\"assistant_id\":\"" STR_FMT "\"}",
                                STR_ARG(id_dashed(&f->arena, mine)));
    struct thread t;
    const struct principal *who[] = {&ALICE, &BOB};
    for (int i = 0; i < 240; i++)
        CHECK_INT(thread_create(s, who[i % 16 == 0], id_v7(), i % 3 ? metadata : STR("{}"),
                                STR("{}"), false, &f->arena, &t, &f->err),
                  0);
    CHECK_INT(assistant_delete(s, &ALICE, mine, true, &f->arena, &f->err), 0);
    struct thread_filter any = {0}, of_it = {.metadata = metadata};
    int64_t total;
    CHECK_INT(thread_count(s, &ALICE, &of_it, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 0);
    CHECK_INT(thread_count(s, &ALICE, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 75);
    CHECK_INT(thread_count(s, &BOB, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 15);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(life)
TEST(owners)
TEST(lists)
TEST(versions)
TEST(configured_defaults)
TEST(delete_with_threads)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_configured_defaults),
        cmocka_unit_test(test_delete_with_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
