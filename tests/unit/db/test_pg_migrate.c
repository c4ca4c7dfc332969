/* SPDX-License-Identifier: Apache-2.0 */
/* test_pg_migrate.c - versions of the PostgreSQL schema, by their runner.
 *
 * Goal: up, down and up again; one runner at a time; a lease that is over is taken, a held one
 * waited for; a database of a newer program or with another history is refused; invalid indexes are
 * built again; a table that is locked delays, and its writers do not queue behind us.
 * Method: the real migrations on an empty database; damage by statements. Each test ends with all
 * versions taken back. */
#include "db/postgres/migrate.h"

#include "../pg/fixture.h"
#include "base/failpoint.h"

#define SCHEMA "check\"points" /* needs its quotes */
#define VERSIONS ((int64_t)db_postgres_migration_count)

static void up(struct fixture *f) {
    struct err err = {0};
    int rc = db_postgres_migrate(f->pool, SCHEMA, &err);
    if (rc != 0)
        print_error("up: %s\n", err.message);
    assert_int_equal(rc, 0);
}

static void down(struct fixture *f, size_t count, size_t wanted) {
    struct err err = {0};
    size_t done = 0;
    int rc = db_postgres_migrate_down(f->pool, SCHEMA, count, &done, &err);
    if (rc != 0)
        print_error("down: %s\n", err.message);
    assert_int_equal(rc, 0);
    assert_int_equal(done, wanted);
}

static int64_t version_count(struct fixture *f) {
    return number_of(f, "SELECT count(*) FROM holdfast.schema_migrations");
}

static int64_t things(struct fixture *f) {
    return number_of(f, "SELECT count(*) FROM pg_class WHERE relname LIKE 'holdfast%' OR "
                        "relnamespace = to_regnamespace('holdfast')");
}

static void body_up_down_up(struct fixture *f) {
    struct db_postgres_version *versions;
    struct err err = {0};
    assert_int_equal(db_postgres_versions(f->pool, &f->arena, &versions, &err), 0);
    assert_false(versions[0].applied);
    up(f);
    assert_int_equal(version_count(f), VERSIONS);
    int64_t all = things(f);
    assert_int_equal(db_postgres_versions(f->pool, &f->arena, &versions, &err), 0);
    assert_true(versions[VERSIONS - 1].applied && versions[VERSIONS - 1].applied_at > 0);
    int64_t old = number_of(f, "SELECT txid_current()");
    up(f); /* nothing to do, nothing written */
    assert_true(number_of(f, "SELECT txid_current()") == old + 1);
    assert_int_equal(number_of(f, "SELECT max(v) FROM \"check\"\"points\".checkpoint_migrations"),
                     9);
    down(f, 2, 2);
    assert_int_equal(version_count(f), VERSIONS - 2);
    up(f);
    assert_int_equal(things(f), all);
    down(f, 1000, db_postgres_migration_count);
    assert_int_equal(things(f), 0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM pg_namespace WHERE nspname = 'holdfast'"),
                     0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM langgraph_server.threads"), 0);
    down(f, 1, 0);
}
static void test_up_down_up(void **state) {
    (void)state;
    fixture_run(body_up_down_up, NULL);
}

static void body_refusals(struct fixture *f) {
    struct err err = {0};
    up(f);
    script(f, "INSERT INTO holdfast.schema_migrations VALUES (99, 'later', 'x', now(), 0)");
    assert_int_equal(db_postgres_migrate(f->pool, SCHEMA, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "start a newer holdfast"));
    size_t done = 0;
    assert_int_equal(db_postgres_migrate_down(f->pool, SCHEMA, 1, &done, &err), ERR_UNSUPPORTED);
    script(f, "DELETE FROM holdfast.schema_migrations WHERE version = 99;"
              "UPDATE holdfast.schema_migrations SET sha256 = 'other' WHERE version = 2");
    assert_int_equal(db_postgres_migrate(f->pool, SCHEMA, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "another text"));
    assert_int_equal(db_postgres_migrate(f->pool, "it's", &err), ERR_INVALID);
    struct pg_param digest = pg_text(str_of(db_postgres_migrations[1].sha256));
    struct one o;
    assert_int_equal(one_run(f, &o, "UPDATE holdfast.schema_migrations SET sha256 = $1 "
                                    "WHERE version = 2", &digest, 1), 0);
    down(f, 1000, db_postgres_migration_count);
}
static void test_refusals(void **state) {
    (void)state;
    fixture_run(body_refusals, NULL);
}

/* Several at once, as processes that start together are. */
struct runner {
    struct fixture *f;
    int code;
};
static void runner_main(void *arg) {
    struct runner *r = arg;
    struct err err = {0};
    r->code = db_postgres_migrate(r->f->pool, SCHEMA, &err);
    if (r->code != 0)
        print_error("runner: %s\n", err.message);
}

static void run_together(struct fixture *f) {
    struct runner all[4];
    struct fiber_group g;
    fiber_group_init(&g);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        all[i] = (struct runner){f, 1};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "runner", runner_main, &all[i], NULL), 0);
    }
    fiber_group_wait(&g);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        assert_int_equal(all[i].code, 0);
}

static void body_one_at_a_time(struct fixture *f) {
    run_together(f);
    assert_int_equal(version_count(f), VERSIONS);
    down(f, 2, 2);
    /* A runner that was killed: its lease is waited for, and taken when it is over. */
    script(f, "UPDATE holdfast.schema_lease SET holder = gen_random_uuid(), "
              "expires_at = clock_timestamp() + interval '1 second'");
    run_together(f);
    assert_int_equal(version_count(f), VERSIONS);
    down(f, 1000, db_postgres_migration_count);
}
static void test_one_at_a_time(void **state) {
    (void)state;
    fixture_run(body_one_at_a_time, NULL);
}

static void body_invalid_indexes(struct fixture *f) {
    static const char damage[] =
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN "
        "('langgraph_server.holdfast_threads_updated'::regclass, "
        "'\"check\"\"points\".checkpoint_writes_thread_id_idx'::regclass)";
    static const char count[] = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
    up(f);
    script(f, damage);
    script(f, "CREATE INDEX another ON langgraph_server.threads (status);"
              "UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
              "'langgraph_server.another'::regclass");
    struct db_postgres_index *found;
    size_t found_count;
    assert_int_equal(db_postgres_invalid_read(f->pool, SCHEMA, &f->arena, &found, &found_count,
                                              NULL), 0);
    assert_int_equal(found_count, 3);
    up(f);
    assert_int_equal(number_of(f, count), 1); /* another's: not ours to touch */
    script(f, "DROP INDEX langgraph_server.another");
    /* a version that is not recorded yet finds what a killed runner left */
    down(f, db_postgres_migration_count - 5, db_postgres_migration_count - 5);
    script(f, damage);
    script(f, "DELETE FROM holdfast.schema_migrations WHERE version = 5");
    up(f);
    assert_int_equal(number_of(f, count), 0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM pg_class "
                                  "WHERE relname = 'holdfast_threads_updated'"), 1);
    down(f, 1000, db_postgres_migration_count);
}
static void test_invalid_indexes(void **state) {
    (void)state;
    fixture_run(body_invalid_indexes, NULL);
}

/* Somebody reads for four seconds; an ALTER TABLE must let writers pass meanwhile. */
static void reader_main(void *arg) {
    struct runner *r = arg;
    struct pg_tx *tx;
    struct pg_call call = {.sql = "SELECT count(*), pg_sleep(4) "
                                  "FROM \"check\"\"points\".checkpoint_blobs"};
    struct pg_work w = {.calls = &call, .call_count = 1};
    r->code = pg_tx_begin(r->f->pool, &tx, NULL);
    if (r->code < 0)
        return;
    r->code = pg_tx_run(tx, &w, NULL);
    if (pg_tx_commit(tx, NULL) < 0)
        r->code = -1;
}

static void writer_main(void *arg) {
    struct runner *r = arg;
    static const char insert[] = "INSERT INTO \"check\"\"points\".checkpoint_blobs "
                                 "VALUES (gen_random_uuid(), '', 'c', '1', 'json', '\\x00')";
    for (int i = 0; i < 40 && r->code == 0; i++) {
        struct one o;
        if (one_run(r->f, &o, insert, NULL, 0) != 0 || o.w.run_us > 3500000)
            r->code = -1;
        (void)fiber_sleep_us(100000);
    }
}

static void body_locked_table(struct fixture *f) {
    up(f);
    down(f, 1000, db_postgres_migration_count);
    script(f, "ALTER TABLE \"check\"\"points\".checkpoint_blobs ALTER COLUMN blob SET NOT NULL");
    struct runner runners[] = {{f, 0}, {f, 0}, {f, 1}};
    struct fiber_group g;
    fiber_group_init(&g);
    assert_int_equal(fiber_group_spawn(&g, f->rt, "reader", reader_main, &runners[0], NULL), 0);
    assert_int_equal(fiber_sleep_us(200000), 0);
    assert_int_equal(fiber_group_spawn(&g, f->rt, "writer", writer_main, &runners[1], NULL), 0);
    assert_int_equal(fiber_group_spawn(&g, f->rt, "runner", runner_main, &runners[2], NULL), 0);
    fiber_group_wait(&g);
    for (size_t i = 0; i < ARRAY_COUNT(runners); i++)
        assert_int_equal(runners[i].code, 0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM \"check\"\"points\".checkpoint_blobs"),
                     40);
    script(f, "TRUNCATE \"check\"\"points\".checkpoint_blobs");
    down(f, 1000, db_postgres_migration_count);
}
static void test_locked_table(void **state) {
    (void)state;
    fixture_run(body_locked_table, NULL);
}

static void body_broken_step(struct fixture *f) {
#ifdef HF_DEBUG
    struct err err = {0};
    assert_int_equal(failpoint_set(STR("db.migrate.commit=error(io)@3"), &err), 0);
    assert_int_equal(db_postgres_migrate(f->pool, SCHEMA, &err), ERR_CONFLICT);
    assert_non_null(strstr(err.message, "schema migration 3 (checkpoint_indexes) up"));
    assert_int_equal(version_count(f), 2);
    assert_int_equal(failpoint_set(STR("db.migrate.commit=off"), &err), 0);
    up(f);
    down(f, 1000, db_postgres_migration_count);
#else
    (void)f;
#endif
}
static void test_broken_step(void **state) {
    (void)state;
    fixture_run(body_broken_step, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_down_up),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_at_a_time),    cmocka_unit_test(test_invalid_indexes),
        cmocka_unit_test(test_locked_table),     cmocka_unit_test(test_broken_step),
    };
    return cmocka_run_group_tests_name("schema versions of PostgreSQL", tests, NULL, NULL);
}
