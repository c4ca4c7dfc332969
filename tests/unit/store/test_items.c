/* SPDX-License-Identifier: Apache-2.0 */
/* test_items.c - the long-term store. Goal: put, get, delete, expiry and its refresh; prefixes that
 * respect labels; every filter operator; namespaces with wildcards and depth; owners kept apart.
 * Method: a database in memory and a clock that the test moves. */
#include "store/items.h"

#include <math.h>

#include "base/clock.h"
#include "fixture.h"

#define MINUTE_US INT64_C(60000000)

static int64_t test_now_us; /* what the clock of this test says */

static int64_t test_wall(void) { return test_now_us; }
static int64_t test_mono(void) { return test_now_us; }

static int put(struct fixture *f, const struct principal *who, const char *ns, const char *key,
               const char *value) {
    test_now_us++;
    struct item_change c = {.name_space = str_of(ns), .key = str_of(key), .value = str_of(value)};
    return item_put(&f->store, who, &c, &f->arena, &f->err);
}

static void life(struct fixture *f) {
    struct store *s = &f->store;
    struct item item, again;
    bool found = true;
    CHECK_INT(item_get(s, &ALICE, STR("a.b"), STR("k"), false, &f->arena, &found, &item, &f->err),
              0);
    CHECK(!found);
    CHECK_INT(put(f, &ALICE, "a.b", "k", "{\"x\":1}"), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a.b"), STR("k"), false, &f->arena, &found, &item, &f->err),
              0);
    CHECK(found);
    CHECK_STR(item.value, STR("{\"x\":1}"));
    CHECK_STR(item.name_space, STR("a.b"));
    CHECK_INT(item.expires_at, 0);
    CHECK_INT(put(f, &ALICE, "a.b", "k", "{\"x\":2}"), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a.b"), STR("k"), false, &f->arena, &found, &again, &f->err),
              0);
    CHECK_STR(again.value, STR("{\"x\":2}"));
    CHECK_INT(again.created_at, item.created_at);
    CHECK(again.updated_at > item.updated_at);
    CHECK_INT(item_delete(s, &ALICE, STR("a.b"), STR("k"), &f->arena, &f->err), 0);
    CHECK_INT(item_delete(s, &ALICE, STR("a.b"), STR("k"), &f->arena, &f->err), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a.b"), STR("k"), false, &f->arena, &found, &item, &f->err),
              0);
    CHECK(!found);
}

static int put_ttl(struct fixture *f, const char *key, double minutes) {
    struct item_change c = {STR("a"), str_of(key), STR("{}"), .ttl_minutes = minutes};
    return item_put(&f->store, &ALICE, &c, &f->arena, &f->err);
}

static void expiry(struct fixture *f) {
    struct store *s = &f->store;
    struct item item, *list;
    bool found;
    size_t count;
    int64_t start = test_now_us, deleted;
    struct page page = {.limit = 10};
    CHECK_INT(put_ttl(f, "k", 2), 0);
    CHECK_INT(put_ttl(f, "for ever", 0), 0);
    test_now_us = start + MINUTE_US;
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("k"), true, &f->arena, &found, &item, &f->err), 0);
    CHECK(found);
    test_now_us = start + 2 * MINUTE_US + 1; /* alive by the refresh */
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("k"), false, &f->arena, &found, &item, &f->err), 0);
    CHECK(found);
    CHECK_INT(item.expires_at, start + 3 * MINUTE_US);
    CHECK_INT(item_search(s, &ALICE, STR("a"), STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 2);
    CHECK_INT(item_refresh(s, &ALICE, list, count, &f->arena, &f->err), 0);
    test_now_us = start + 5 * MINUTE_US;
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("k"), true, &f->arena, &found, &item, &f->err), 0);
    CHECK(!found);
    CHECK_INT(item_search(s, &ALICE, STR("a"), STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 1);
    CHECK_INT(item_sweep(s, test_now_us, 1000, &f->arena, &deleted, &f->err), 0);
    CHECK_INT(deleted, 1);
    CHECK_INT(item_sweep(s, test_now_us, 1000, &f->arena, &deleted, &f->err), 0);
    CHECK_INT(deleted, 0);
    /* An expired item that is put again is a new one. */
    CHECK_INT(put_ttl(f, "k", 1), 0);
    test_now_us += 2 * MINUTE_US;
    CHECK_INT(put_ttl(f, "k", 1), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("k"), false, &f->arena, &found, &item, &f->err), 0);
    CHECK_INT(item.created_at, test_now_us);
    /* A part of a minute counts at first; a refresh gives the whole one. */
    CHECK_INT(put_ttl(f, "part", 0.25), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("part"), true, &f->arena, &found, &item, &f->err),
              0);
    CHECK_INT(item.expires_at, test_now_us + MINUTE_US / 4);
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("part"), false, &f->arena, &found, &item, &f->err),
              0);
    CHECK_INT(item.expires_at, test_now_us + MINUTE_US);
    CHECK_INT(put_ttl(f, "k", NAN), ERR_INVALID);
    CHECK_INT(put_ttl(f, "k", -1), ERR_INVALID);
    CHECK_INT(put_ttl(f, "k", 1e12), ERR_INVALID);
}

static void prefixes(struct fixture *f) {
    static const char *const names[] = {"a", "a.b", "a.b.c", "a-b", "a/b", "ab", "b", "b.a"};
    static const struct {
        const char *prefix;
        size_t count;
    } want[] = {
        {"", 8}, {"a", 3}, {"a.b", 2}, {"a.b.c", 1}, {"ab", 1}, {"b", 2}, {"a-b", 1}, {"c", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        CHECK_INT(put(f, &ALICE, names[i], "k", "{}"), 0);
    struct item *list;
    size_t count;
    struct page page = {.limit = 100};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        CHECK_INT(item_search(&f->store, &ALICE, str_of(want[i].prefix), STR_NULL, &page, &f->arena,
                              &list, &count, &f->err),
                  0);
        CHECK_INT(count, want[i].count);
    }
    struct page second = {.limit = 3, .offset = 2};
    CHECK_INT(item_search(&f->store, &ALICE, STR(""), STR_NULL, &second, &f->arena, &list, &count,
                          &f->err),
              0);
    CHECK_INT(count, 3);
    CHECK_STR(list[0].name_space, STR("ab")); /* newest update first */
}

static void filters(struct fixture *f) {
    static const struct {
        const char *filter;
        const char *keys;
    } want[] = {
        {"{}", "abcd"},
        {"{\"n\":2}", "b"},
        {"{\"n\":{\"$eq\":2}}", "b"},
        {"{\"n\":2.0}", "b"},
        {"{\"n\":{\"$ne\":2}}", "acd"},
        {"{\"n\":{\"$gt\":1}}", "bc"},
        {"{\"n\":{\"$gte\":2,\"$lt\":3}}", "b"},
        {"{\"n\":{\"$lte\":2}}", "ab"},
        {"{\"s\":{\"$gt\":\"x\"}}", "b"},
        {"{\"o\":{\"p\":1}}", "a"},
        {"{\"o\":{\"p\":{\"$gt\":1}}}", "b"},
        {"{\"n\":1,\"s\":\"x\"}", "a"},
        {"{\"l\":[1,2]}", "d"},
        {"{\"n\":\"2\"}", ""},
        {"{\"n\":{\"$gt\":\"1\"}}", ""},
    };
    CHECK_INT(put(f, &ALICE, "n", "a", "{\"n\":1,\"s\":\"x\",\"o\":{\"p\":1,\"q\":2}}"), 0);
    CHECK_INT(put(f, &ALICE, "n", "b", "{\"n\":2,\"s\":\"y\",\"o\":{\"p\":2}}"), 0);
    CHECK_INT(put(f, &ALICE, "n", "c", "{\"n\":3.5}"), 0);
    CHECK_INT(put(f, &ALICE, "n", "d", "{\"l\":[1,2]}"), 0);
    struct page page = {.limit = 100, .order = SORT_ASC};
    struct item *list;
    size_t count;
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        CHECK_INT(item_search(&f->store, &ALICE, STR("n"), str_of(want[i].filter), &page, &f->arena,
                              &list, &count, &f->err),
                  0);
        char got[8] = {0};
        for (size_t k = 0; k < count && k < 7; k++)
            got[k] = list[k].key.p[0];
        CHECK_STR(str_of(got), str_of(want[i].keys));
    }
    static const char *const bad[] = {"{\"n\":{\"$in\":1}}", "{\"$gt\":1,\"n\":1}", "[]",
                                      "{\"n\":{\"$gt\":1,\"m\":2}}"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_INT(item_search(&f->store, &ALICE, STR("n"), str_of(bad[i]), &page, &f->arena, &list,
                              &count, &f->err),
                  ERR_INVALID);
}

static void namespaces(struct fixture *f) {
    static const char *const names[] = {"users.u1.notes", "users.u1.files", "users.u2.notes", "org",
                                        "users.u2.notes.old"};
    static const struct {
        const char *prefix, *suffix;
        int depth;
        const char *found;
    } want[] = {
        {"", "", 0, "org users.u1.files users.u1.notes users.u2.notes users.u2.notes.old"},
        {"", "", 2, "org users.u1 users.u2"},
        {"", "", 1, "org users"},
        {"users.u1", "", 0, "users.u1.files users.u1.notes"},
        {"", "notes", 0, "users.u1.notes users.u2.notes"},
        {"users.*.notes", "", 0, "users.u1.notes users.u2.notes users.u2.notes.old"},
        {"users", "*.notes", 0, "users.u1.notes users.u2.notes"},
        {"*", "*.*.*.*", 0, "users.u2.notes.old"},
        {"nope", "", 0, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        for (int k = 0; k < 2; k++)
            CHECK_INT(put(f, &ALICE, names[i], k ? "k1" : "k2", "{}"), 0);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        struct page page = {.limit = 100};
        str *list, all = STR("");
        size_t count;
        CHECK_INT(item_namespaces(&f->store, &ALICE, str_of(want[i].prefix), str_of(want[i].suffix),
                                  want[i].depth, &page, &f->arena, &list, &count, &f->err),
                  0);
        for (size_t k = 0; k < count; k++)
            all = arena_printf(&f->arena, STR_FMT "%s" STR_FMT, STR_ARG(all), k ? " " : "",
                               STR_ARG(list[k]));
        CHECK_STR(all, str_of(want[i].found));
    }
    struct page second = {.limit = 2, .offset = 1};
    str *list;
    size_t count;
    CHECK_INT(item_namespaces(&f->store, &ALICE, STR(""), STR(""), 0, &second, &f->arena, &list,
                              &count, &f->err),
              0);
    CHECK_INT(count, 2);
    CHECK_STR(list[0], STR("users.u1.files"));
}

static void owners(struct fixture *f) {
    struct store *s = &f->store;
    struct item item, *list;
    str *names;
    bool found;
    size_t count;
    struct page page = {.limit = 10};
    CHECK_INT(put(f, &ALICE, "a", "k", "{\"v\":1}"), 0);
    CHECK_INT(item_get(s, &BOB, STR("a"), STR("k"), true, &f->arena, &found, &item, &f->err), 0);
    CHECK(!found);
    CHECK_INT(item_delete(s, &BOB, STR("a"), STR("k"), &f->arena, &f->err), 0);
    CHECK_INT(put(f, &BOB, "a", "k", "{\"v\":2}"), 0);
    CHECK_INT(item_get(s, &ALICE, STR("a"), STR("k"), false, &f->arena, &found, &item, &f->err), 0);
    CHECK_STR(item.value, STR("{\"v\":1}"));
    CHECK_INT(put(f, &BOB, "only.bob", "k", "{}"), 0);
    CHECK_INT(item_search(s, &ALICE, STR(""), STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 1);
    CHECK_INT(
        item_namespaces(s, &ALICE, STR(""), STR(""), 0, &page, &f->arena, &names, &count, &f->err),
        0);
    CHECK_INT(count, 1);
    CHECK_INT(item_search(s, &SERVER, STR(""), STR_NULL, &page, &f->arena, &list, &count, &f->err),
              0);
    CHECK_INT(count, 3);
    CHECK_INT(
        item_namespaces(s, &SERVER, STR(""), STR(""), 0, &page, &f->arena, &names, &count, &f->err),
        0);
    CHECK_INT(count, 2);
}

static void run_with_clock(fixture_fn fn) {
    test_now_us = INT64_C(1800000000000000);
    clock_set_source(test_wall, test_mono);
    store_test(fn);
    clock_set_source(NULL, NULL);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_with_clock(name);                                                                      \
    }
TEST(life)
TEST(expiry)
TEST(prefixes)
TEST(filters)
TEST(namespaces)
TEST(owners)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),       cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_prefixes),   cmocka_unit_test(test_filters),
        cmocka_unit_test(test_namespaces), cmocka_unit_test(test_owners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
