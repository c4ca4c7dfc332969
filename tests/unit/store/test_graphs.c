/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphs.c - Goal: what is left of a deleted graph goes when its time has come, and no
 * number of a change ever comes twice. Method: graphs put and deleted, sweeps at times that the
 * test gives. */
#include "store/graphs.h"

#include "base/clock.h"
#include "fixture.h"

static const struct principal ANNA = {.owner = {"anna", 4}};

static void sweep(struct fixture *f) {
    struct store *s = &f->store;
    struct arena *a = &f->arena;
    struct stored_graph g, *list;
    size_t count;
    int64_t gone;
    for (const char *id = "abc"; *id; id++)
        CHECK_INT(graph_put(s, &ANNA, str_n(id, 1), STR("{}"), a, &g, &f->err), 0);
    CHECK_INT(graph_delete(s, &ANNA, STR("a"), a, &f->err), 0);
    CHECK_INT(graph_delete(s, &ANNA, STR("b"), a, &f->err), 0);
    int64_t later = clock_wall_us() + 1;
    CHECK_INT(graph_sweep(s, 1, a, &gone, &f->err), 0);
    CHECK_INT(graph_since(s, 0, 10, a, &list, &count, &f->err), 0);
    CHECK_INT(count, 3); /* not yet */
    CHECK_INT(graph_sweep(s, later, a, &gone, &f->err), 0);
    CHECK_INT(graph_since(s, 0, 10, a, &list, &count, &f->err), 0);
    CHECK_INT(count, 2);
    CHECK_STR(list[0].graph_id, STR("c"));
    CHECK_STR(list[1].graph_id, STR("b")); /* the last change stays */
    CHECK(list[1].deleted);
    CHECK_INT(graph_version_get(s, STR("a"), 1, a, &g, &f->err), ERR_NOT_FOUND);
    CHECK_INT(graph_version_get(s, STR("c"), 1, a, &g, &f->err), 0);
    int64_t last = list[1].revision;
    CHECK_INT(graph_put(s, &ANNA, STR("a"), STR("{}"), a, &g, &f->err), 0);
    CHECK_INT(g.revision, last + 1);
    CHECK_INT(g.version, 1);
    CHECK_INT(graph_sweep(s, clock_wall_us() + 1, a, &gone, &f->err), 0);
    CHECK_INT(graph_since(s, 0, 10, a, &list, &count, &f->err), 0);
    CHECK_INT(count, 2);
    CHECK_STR(list[0].graph_id, STR("c"));
    CHECK_STR(list[1].graph_id, STR("a"));
}

static void test_sweep(void **state) {
    (void)state;
    store_test(sweep);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
