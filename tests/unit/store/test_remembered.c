/* SPDX-License-Identifier: Apache-2.0 */
/* test_remembered.c - rows that were read a moment ago. Goal: an entry is given while its time runs
 * and its version is the present one, else never; the number of entries and the bytes of each are
 * bounded, the one put first goes first; what is put and what is given are copies.
 * Method: times and versions given, rows made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/remembered.h"

#define HOLD 250

static const struct remembered_options OPTIONS = {
    .hold_us = HOLD, .count_max = 3, .bytes_max = 1024};

/* A row of all types of cells, the text given. */
static struct db_rows row_of(struct db_value cells[5], str text) {
    cells[0] = DB_T(text);
    cells[1] = DB_I(-7);
    cells[2] = DB_NIL;
    cells[3] = DB_D(2.5);
    cells[4] = DB_B(str_n("\0\1", 2));
    return (struct db_rows){cells, 1, 5};
}

static void put(struct remembered *r, str key, int64_t at, uint64_t version, str text) {
    struct db_value cells[5];
    struct db_rows rows = row_of(cells, text);
    remembered_put(r, key, at, version, &rows);
}

static bool has(struct remembered *r, str key, int64_t at, uint64_t version, str text) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 1 << 20);
    bool found = remembered_get(r, key, at, version, &a, &rows);
    if (found) {
        assert_int_equal(rows.row_count, 1);
        assert_int_equal(rows.col_count, 5);
        assert_true(str_eq(db_str(&rows, 0, 0), text));
        assert_int_equal(db_str(&rows, 0, 0).p[text.len], 0);
        assert_int_equal(db_int(&rows, 0, 1), -7);
        assert_true(db_is_null(&rows, 0, 2));
        assert_true(db_cell(&rows, 0, 3)->d == 2.5);
        assert_true(str_eq(db_str(&rows, 0, 4), str_n("\0\1", 2)));
    }
    arena_deinit(&a);
    return found;
}

static void its_time(void **state) {
    (void)state;
    struct remembered *r = remembered_new(&OPTIONS);
    assert_false(has(r, STR("k"), 0, 0, STR("")));
    put(r, STR("k"), 1000, 0, STR("a"));
    assert_true(has(r, STR("k"), 1000, 0, STR("a")));
    assert_true(has(r, STR("k"), 1000 + HOLD - 1, 0, STR("a")));
    assert_false(has(r, STR("other"), 1000, 0, STR("a")));
    assert_false(has(r, STR("k"), 1000 + HOLD, 0, STR("a")));
    assert_false(has(r, STR("k"), 1000, 0, STR("a"))); /* it has gone */
    remembered_free(r);
}

static void its_version(void **state) {
    (void)state;
    struct remembered *r = remembered_new(&OPTIONS);
    put(r, STR("k"), 0, 4, STR("a"));
    assert_true(has(r, STR("k"), 1, 4, STR("a")));
    assert_false(has(r, STR("k"), 1, 5, STR("a")));
    put(r, STR("k"), 1, 4, STR("a")); /* its read had begun before the change */
    assert_false(has(r, STR("k"), 1, 5, STR("a")));
    put(r, STR("k"), 1, 5, STR("b"));
    assert_true(has(r, STR("k"), 1, 5, STR("b")));
    remembered_free(r);
}

static void its_number(void **state) {
    (void)state;
    struct remembered *r = remembered_new(&OPTIONS);
    put(r, STR("a"), 0, 0, STR("1"));
    put(r, STR("b"), 0, 0, STR("2"));
    put(r, STR("c"), 0, 0, STR("3"));
    put(r, STR("a"), 0, 0, STR("new")); /* in its own place, as the newest */
    assert_true(has(r, STR("b"), 0, 0, STR("2")));
    put(r, STR("d"), 0, 0, STR("4"));
    assert_false(has(r, STR("b"), 0, 0, STR("")));
    assert_true(has(r, STR("a"), 0, 0, STR("new")));
    assert_true(has(r, STR("c"), 0, 0, STR("3")));
    assert_true(has(r, STR("d"), 0, 0, STR("4")));
    remembered_free(r);
}

/* They take no memory until somebody asks for them. */
static void what_is_over_goes(void **state) {
    (void)state;
    struct remembered *r = remembered_new(&OPTIONS);
    put(r, STR("x"), HOLD, 0, STR("1"));
    int64_t one = mem_live_count();
    put(r, STR("a"), 0, 0, STR("1"));
    put(r, STR("b"), 0, 0, STR("2"));
    put(r, STR("y"), 2 * HOLD, 0, STR("3"));
    assert_int_equal(mem_live_count(), one);
    assert_true(has(r, STR("y"), 2 * HOLD, 0, STR("3")));
    remembered_free(r);
}

static void its_size(void **state) {
    (void)state;
    char large[2048];
    memset(large, 'x', sizeof(large));
    struct remembered *r = remembered_new(&OPTIONS);
    put(r, STR("k"), 0, 0, str_n(large, 500));
    assert_true(has(r, STR("k"), 0, 0, str_n(large, 500)));
    put(r, STR("k"), 0, 0, str_n(large, 1024));
    assert_false(has(r, STR("k"), 0, 0, STR(""))); /* nor what was there before */
    put(r, str_n(large, 1024), 0, 0, STR("a"));
    assert_false(has(r, str_n(large, 1024), 0, 0, STR("a")));
    remembered_free(r);
}

static void all_is_copied(void **state) {
    (void)state;
    char key[] = "key", text[] = "text";
    struct arena a;
    struct db_rows given;
    struct remembered *r = remembered_new(&OPTIONS);
    arena_init(&a, 1 << 20);
    put(r, str_of(key), 0, 0, str_of(text));
    memset(key, '?', sizeof(key) - 1);
    memset(text, '?', sizeof(text) - 1);
    assert_true(remembered_get(r, STR("key"), 0, 0, &a, &given));
    put(r, STR("key"), 0, 0, STR("another"));
    remembered_free(r);
    assert_true(str_eq(db_str(&given, 0, 0), STR("text")));
    arena_deinit(&a);
}

static void no_rows(void **state) {
    (void)state;
    struct arena a;
    struct db_rows none = {NULL, 0, 3}, given;
    struct remembered *r = remembered_new(&OPTIONS);
    arena_init(&a, 1 << 20);
    remembered_put(r, STR(""), 0, 0, &none);
    assert_true(remembered_get(r, STR(""), 0, 0, &a, &given));
    assert_int_equal(given.row_count, 0);
    arena_deinit(&a);
    remembered_free(r);
    remembered_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_time),          cmocka_unit_test(its_version),
        cmocka_unit_test(its_number),        cmocka_unit_test(what_is_over_goes),
        cmocka_unit_test(its_size),          cmocka_unit_test(all_is_copied),
        cmocka_unit_test(no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
