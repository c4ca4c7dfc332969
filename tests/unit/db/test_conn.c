/* SPDX-License-Identifier: Apache-2.0 */
/* test_conn.c - one connection. Goal: a statement is prepared once, whatever is bound later.
 * Method: every reading statement of the catalogue runs three times with different parameters over
 * the real schema; SQLite's own counter says how often it was prepared again. */
#include "db/sqlite/conn.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "db/sqlite/migrate.h"

static void run_with(struct lite_conn *c, enum db_stmt stmt, struct db_value value) {
    struct db_value params[DB_PARAMS_MAX];
    struct arena a;
    struct db_rows rows;
    struct err err = {0};
    for (size_t i = 0; i < DB_PARAMS_MAX; i++)
        params[i] = value;
    arena_init(&a, 1 << 20);
    const struct lite_call call = {.stmt = stmt,
                                   .params = params,
                                   .param_count = (size_t)db_catalogue[stmt].param_count,
                                   .arena = &a};
    int code = lite_conn_run(c, &call, &rows, NULL, &err);
    /* Text where a LIMIT wants a number is refused when it runs; it was bound all the same. */
    if (code < 0 && code != ERR_INVALID)
        fail_msg("%s: %s", db_catalogue[stmt].name, err.message);
    arena_deinit(&a);
}

static void test_parameters_do_not_prepare_again(void **state) {
    (void)state;
    struct lite_conn c;
    const struct lite_conn_options o = {.cache_bytes = 1 << 20};
    assert_int_equal(lite_library_init(NULL), 0);
    assert_int_equal(lite_conn_open(&c, &o, NULL), 0);
    assert_int_equal(lite_migrate(&c, db_sqlite_migrations, db_sqlite_migration_count, NULL), 0);
    for (size_t i = 0; i < SQL_COUNT; i++) {
        if (db_catalogue[i].writes || !db_catalogue[i].sqlite)
            continue;
        run_with(&c, (enum db_stmt)i, DB_I(1));
        run_with(&c, (enum db_stmt)i, DB_NIL);
        run_with(&c, (enum db_stmt)i, DB_T(STR("[]")));
        if (sqlite3_stmt_status(c.stmts[i], SQLITE_STMTSTATUS_REPREPARE, 0) != 0)
            fail_msg("%s was prepared again", db_catalogue[i].name);
    }
    lite_conn_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_do_not_prepare_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
