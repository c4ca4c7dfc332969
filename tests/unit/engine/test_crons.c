/* SPDX-License-Identifier: Apache-2.0 */
/* test_crons.c - crons under a clock that the test sets.
 *
 * Goal: an instant is fired once, whoever looks and whatever fails; clocks that jump repeat
 * nothing; missed instants are treated as configured. Method: engines on a database in memory,
 * the wall clock is the real one plus an offset; waits are for states. */
#include "engine_fixture.h"

#include "engine/crons.h"
#include "engine/engine_int.h"
#include "store/crons.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
/* Half past some hour far ahead, a minute's beginning. */
#define BEGIN INT64_C(2000000040) * SECOND

static int64_t clock_us;

static int64_t test_wall(void) { return clock_us; }

/* The clock stands still but for the test. */
static void clock_to(struct fx *f, int64_t us) {
    clock_us = us;
    assert_int_equal(fiber_sleep_us(2000), 0); /* a turn of the loop sees it */
    engine_crons_changed(f->engine);
}

static struct cron cron_make(struct fx *f, const char *schedule, const char *timezone) {
    struct cron c = {.assistant_id = id_v5(ID_NAMESPACE_GRAPH, STR("echo")),
                     .schedule = str_of(schedule),
                     .timezone = str_of(timezone),
                     .enabled = true,
                     .keep = true,
                     .payload = STR("{\"input\":{\"messages\":[]}}"),
                     .metadata = STR("{\"m\":1}")};
    assert_int_equal(
        engine_cron_next(f->engine, c.schedule, c.timezone, clock_us, &c.next_us, NULL), 0);
    assert_int_equal(cron_create(&f->store, &f->who, &c, 100, &f->a, NULL), 0);
    engine_crons_changed(f->engine);
    return c;
}

/* Until everything before that instant is decided. */
static void await_next(struct fx *f, struct id id, int64_t wanted_us) {
    struct cron c;
    do {
        assert_int_equal(fiber_sleep_us(1000), 0);
        assert_int_equal(cron_get(&f->store, &f->who, id, &f->a, &c, NULL), 0);
        assert_true(c.next_us <= wanted_us);
    } while (c.next_us != wanted_us);
}

/* Its decided instants, oldest first: "+0 +60" in seconds from BEGIN; ! for those without a run.
 * Each run is there, and says which it is. */
static void expect_firings(struct fx *f, struct id id, const char *wanted) {
    struct cron_firing *list;
    size_t count;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(cron_firings(&f->store, id, 100, &f->a, &list, &count, NULL), 0);
    for (size_t i = count; i-- > 0;) {
        buf_printf(&b, "%s%+lld%s", b.len ? " " : "",
                   (long long)(list[i].scheduled_us - BEGIN) / SECOND,
                   id_is_nil(list[i].run_id) ? "!" : "");
        if (id_is_nil(list[i].run_id))
            continue;
        struct run run;
        assert_int_equal(run_get(&f->store, &f->who, ID_NIL, list[i].run_id, &f->a, &run, NULL), 0);
        str said = arena_printf(&f->a, "\"cron_scheduled_at\":\"" STR_FMT "\"",
                                STR_ARG(time_iso(&f->a, list[i].scheduled_us)));
        assert_true(str_find(run.metadata, said) > 0);
        assert_true(str_find(run.metadata, id_dashed(&f->a, id)) > 0);
        assert_true(str_find(run.metadata, STR("\"m\":1")) > 0);
    }
    str got = buf_view(&b);
    if (!str_eq(got, str_of(wanted)))
        fail_msg("fired at " STR_FMT ", not %s", STR_ARG(got), wanted);
    struct thread_filter any = {0};
    int64_t threads, runs = 0;
    for (size_t i = 0; i < count; i++)
        runs += !id_is_nil(list[i].run_id);
    assert_int_equal(thread_count(&f->store, &f->who, &any, &f->a, &threads, NULL), 0);
    assert_int_equal(threads, runs);
    buf_deinit(&b);
}

static void begin(struct fx *f) {
    clock_us = BEGIN - 30 * SECOND;
    clock_set_source(test_wall, NULL);
    f->engine->o.crons.late_us = MINUTE;
    assert_int_equal(engine_start(f->engine, NULL), 0);
}

static void body_each_once(struct fx *f) {
    begin(f);
    struct cron c = cron_make(f, "* * * * *", NULL);
    int64_t next = c.next_us;
    assert_int_equal(next, BEGIN);
    for (int i = 0; i < 3; i++) {
        clock_to(f, next);
        next += MINUTE;
        await_next(f, c.id, next);
    }
    clock_to(f, next - 1);
    engine_crons_changed(f->engine);
    clock_to(f, next - 1);
    expect_firings(f, c.id, "+0 +60 +120");
    /* Two that come late, but not too late, are both fired. */
    clock_to(f, next + MINUTE + SECOND);
    await_next(f, c.id, next + 2 * MINUTE);
    expect_firings(f, c.id, "+0 +60 +120 +180 +240");
}

static void body_clock_jumps(struct fx *f) {
    begin(f);
    struct cron c = cron_make(f, "* * * * *", NULL);
    clock_to(f, BEGIN);
    await_next(f, c.id, BEGIN + MINUTE);
    clock_to(f, BEGIN - HOUR); /* what has been fired does not come again */
    clock_to(f, BEGIN - HOUR + MINUTE);
    clock_to(f, BEGIN);
    expect_firings(f, c.id, "+0");
    /* Changed while the clock is behind: not before the last one that was decided. */
    struct cron read, changed;
    clock_to(f, BEGIN - HOUR);
    assert_int_equal(cron_get(&f->store, &f->who, c.id, &f->a, &read, NULL), 0);
    assert_int_equal(read.fired_us, BEGIN);
    changed = read;
    changed.metadata = STR("{\"m\":1,\"n\":2}");
    assert_int_equal(cron_update(&f->store, &f->who, &read, &changed, &f->a, NULL), 0);
    clock_to(f, BEGIN + MINUTE);
    await_next(f, c.id, BEGIN + 2 * MINUTE);
    expect_firings(f, c.id, "+0 +60");
    /* An hour ahead: one run for the many that were missed, and those of the last minute. */
    clock_to(f, BEGIN + HOUR + 30 * SECOND);
    await_next(f, c.id, BEGIN + HOUR + MINUTE);
    expect_firings(f, c.id, "+0 +60 +120 +3600");
}

static void body_missed_skipped(struct fx *f) {
    begin(f);
    f->engine->o.crons.missed = CRONS_MISSED_SKIP;
    struct cron c = cron_make(f, "*/10 * * * *", NULL);
    int64_t first = c.next_us;
    clock_to(f, first + HOUR + 5 * MINUTE);
    await_next(f, c.id, first + HOUR + 10 * MINUTE);
    clock_to(f, first + HOUR + 10 * MINUTE + 59 * SECOND); /* late, not missed */
    await_next(f, c.id, first + HOUR + 20 * MINUTE);
    struct cron_firing *list;
    size_t count;
    assert_int_equal(cron_firings(&f->store, c.id, 10, &f->a, &list, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(!id_is_nil(list[0].run_id) && id_is_nil(list[1].run_id));
    assert_true(str_eq(list[1].error, STR("missed")));
}

/* Two that both think that they fire. */
static void body_two(struct fx *f) {
    begin(f);
    struct fx g = *f;
    fx_open_engine(&g);
    g.engine->o.crons.late_us = MINUTE;
    assert_int_equal(engine_start(g.engine, NULL), 0);
    struct cron crons[12];
    for (size_t i = 0; i < ARRAY_COUNT(crons); i++)
        crons[i] = cron_make(f, "* * * * *", NULL);
    for (int round = 0; round < 4; round++) {
        clock_to(f, BEGIN + round * MINUTE);
        engine_crons_changed(g.engine);
        for (size_t i = 0; i < ARRAY_COUNT(crons); i++)
            await_next(f, crons[i].id, BEGIN + (round + 1) * MINUTE);
    }
    engine_drain(g.engine, rt_mono_us(f->rt));
    engine_close(g.engine);
    struct thread_filter any = {0};
    int64_t threads;
    assert_int_equal(thread_count(&f->store, &f->who, &any, &f->a, &threads, NULL), 0);
    assert_int_equal(threads, 4 * ARRAY_COUNT(crons));
}

/* The database fails before or after what it does, at each operation in turn. */
static void body_faults(struct fx *f) {
    static const enum db_fault_kind kinds[] = {DB_FAULT_FAIL_BEFORE, DB_FAULT_FAIL_AFTER};
    begin(f);
    struct cron c = cron_make(f, "* * * * *", NULL);
    int64_t next = c.next_us;
    for (size_t kind = 0; kind < ARRAY_COUNT(kinds); kind++)
        for (uint64_t at = 1; at <= 4; at++) {
            db_fault_set(f->db, &(struct db_fault_plan){
                                    .kind = kinds[kind], .at = at, .code = ERR_UNAVAILABLE});
            clock_to(f, next);
            while (db_fault_count(f->db) < at + 2)
                assert_int_equal(fiber_sleep_us(1000), 0);
            db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
            next += MINUTE;
            await_next(f, c.id, next);
        }
    expect_firings(f, c.id, "+0 +60 +120 +180 +240 +300 +360 +420");
}

/* 2026-03-29 in Berlin has no 2:30; 2026-10-25 has two. */
static void body_clock_changes(struct fx *f) {
    begin(f);
    int64_t at;
    assert_true(time_parse_iso(STR("2026-03-28T12:00Z"), &clock_us));
    assert_true(time_parse_iso(STR("2026-03-29T01:00Z"), &at));
    struct cron c = cron_make(f, "30 2 * * *", "Europe/Berlin");
    assert_int_equal(c.next_us, at);
    clock_to(f, at);
    assert_true(time_parse_iso(STR("2026-03-30T00:30Z"), &at));
    await_next(f, c.id, at);
}

static void body_refusals(struct fx *f) {
    begin(f);
    int64_t next;
    struct err err = {0};
    assert_int_equal(engine_cron_next(f->engine, STR("* * * *"), STR_NULL, 0, &next, &err),
                     ERR_INVALID);
    assert_string_equal(err.message, "schedule: must have five or six fields, it has 4");
    assert_int_equal(engine_cron_next(f->engine, STR("0 0 30 2 *"), STR_NULL, 0, &next, &err),
                     ERR_INVALID);
    assert_string_equal(err.message, "schedule: it never fires");
    assert_int_equal(engine_cron_next(f->engine, STR("* * * * *"), STR("No/Where"), 0, &next, &err),
                     ERR_INVALID);
    assert_string_equal(err.message, "timezone: is no time zone that is known here");
    assert_int_equal(engine_cron_next(f->engine, STR("* * * * *"), STR("../x"), 0, &next, &err),
                     ERR_INVALID);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        fx_run(body_##name);                                                                       \
        clock_set_source(NULL, NULL);                                                              \
    }
TEST(each_once)
TEST(clock_jumps)
TEST(missed_skipped)
TEST(two)
TEST(faults)
TEST(clock_changes)
TEST(refusals)

int main(void) {
    log_init(LOG_ERROR, 2, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),      cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_missed_skipped), cmocka_unit_test(test_two),
        cmocka_unit_test(test_faults),         cmocka_unit_test(test_clock_changes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
