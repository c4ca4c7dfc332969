/* SPDX-License-Identifier: Apache-2.0 */
/* test_api_keys.c - records of API keys. Goal: put, replace, get, list by pages; settings of the
 * server are none. Method: a database in memory. */
#include "store/api_keys.h"

#include "fixture.h"

static void life(struct fixture *f) {
    struct store *s = &f->store;
    struct api_key_row *rows;
    size_t count;
    bool found;
    str record;
    CHECK_INT(api_keys_list(s, STR(""), 10, &f->arena, &rows, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(api_keys_get(s, STR("aa"), &f->arena, &found, &record, &f->err), 0);
    CHECK(!found && !record.p);
    CHECK_INT(api_keys_put(s, STR("bb"), STR("{\"n\":2}"), &f->arena, &f->err), 0);
    CHECK_INT(api_keys_put(s, STR("aa"), STR("{\"n\":1}"), &f->arena, &f->err), 0);
    CHECK_INT(api_keys_put(s, STR("cc"), STR("{\"n\":3}"), &f->arena, &f->err), 0);
    CHECK_INT(api_keys_put(s, STR("aa"), STR("{\"n\":4}"), &f->arena, &f->err), 0);
    CHECK_INT(api_keys_get(s, STR("aa"), &f->arena, &found, &record, &f->err), 0);
    CHECK(found);
    CHECK_STR(record, STR("{\"n\":4}"));
    CHECK_INT(api_keys_list(s, STR(""), 2, &f->arena, &rows, &count, &f->err), 0);
    CHECK_INT(count, 2);
    CHECK_STR(rows[0].digest, STR("aa"));
    CHECK_STR(rows[1].record, STR("{\"n\":2}"));
    CHECK_INT(api_keys_list(s, rows[1].digest, 2, &f->arena, &rows, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK_STR(rows[0].digest, STR("cc"));
}

static void settings_are_none(struct fixture *f) {
    struct db_batch b;
    struct api_key_row *rows;
    size_t count;
    bool found;
    str record;
    db_batch_init(&b, &f->arena);
    db_batch_add(&b, SQL_KV_PUT, DB_PARAMS(DB_T(STR("")), DB_T(STR("aa")), DB_T(STR("x")), DB_I(1)),
                 DB_EXPECT_NONE);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
    CHECK_INT(api_keys_get(&f->store, STR("aa"), &f->arena, &found, &record, &f->err), 0);
    CHECK(!found);
    CHECK_INT(api_keys_list(&f->store, STR(""), 10, &f->arena, &rows, &count, &f->err), 0);
    CHECK_INT(count, 0);
}

static void test_life(void **state) {
    (void)state;
    store_test(life);
}
static void test_settings(void **state) {
    (void)state;
    store_test(settings_are_none);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_life),
                                       cmocka_unit_test(test_settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
