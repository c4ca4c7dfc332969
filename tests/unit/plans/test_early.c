/* SPDX-License-Identifier: Apache-2.0 */
/* test_early.c - plans whose steps begin while the plan itself is being committed.
 *
 * Goal: a step whose tool changes nothing outside begins, and may be over, before the commit is;
 * the plan ends as ever. A commit that fails then leaves no row at all, nothing that goes on, and
 * no line in the log. A step that changes something outside waits until that it begins is stored.
 * One that began early is cancelled like any other.
 * Method: a database that is told to be slow, then to fail; digests of all tables before and after;
 * the coordinator's own memory. */
#include "../engine/engine_fixture.h"

#include "base/failpoint.h"
#include "plans/plans_int.h"
#include "plans/tools.h"

#define SLOW_US 100000
#define BEGIN   2 /* the batch that makes a plan: behind the read of what it begins with */

static const char echo[] = "{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:echo\"},"
                           "{\"name\":\"b\",\"tool\":\"test:echo\",\"depends_on\":[\"a\"]}]}";
static const char sleeps[] = "{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:sleep\","
                             "\"inputs\":{\"ms\":3600000}}]}";
static const char outside[] = "{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"http\","
                              "\"inputs\":{\"url\":\"http://127.0.0.1:1/\"}}]}";

static struct plans *plans;
static int warnings;

static void count_warning(void *ctx, enum log_level level, const char *event, const char *message,
                          const struct log_field *fields, size_t count) {
    (void)ctx;
    (void)fields;
    (void)count;
    warnings++;
    print_message("# %s %s: %s\n", log_level_name(level), event, message);
}

/* Somebody makes a plan. */
struct making {
    struct fx *f;
    struct arena a;
    struct plan_spec spec;
    struct plans_made made;
    struct err err;
    int rc;
    bool over;
};

static void making_main(void *arg) {
    struct making *m = arg;
    struct plans_create c = {
        .who = &m->f->who, .plan = &m->spec, .received_us = rt_mono_us(m->f->rt)};
    m->rc = plans_create(plans, &c, &m->a, &m->made, &m->err);
    m->over = true;
}

static void make(struct making *m, struct fx *f, const char *body,
                 const struct db_fault_plan *trouble) {
    yyjson_val *v;
    *m = (struct making){.f = f};
    arena_init(&m->a, SIZE_MAX / 2);
    assert_int_equal(json_parse(&m->a, str_of(body), &v, NULL), 0);
    assert_int_equal(plan_parse(&m->a, v, plans_tool_check, &m->spec, NULL), 0);
    db_fault_set(f->db, trouble);
    assert_non_null(fiber_spawn(f->rt, "making", making_main, m, NULL));
}

static void made(struct making *m) {
    while (!m->over)
        assert_int_equal(fiber_sleep_us(1000), 0);
    db_fault_set(m->f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
}

/* The only plan that a run has here; NULL: there is none. */
static struct coordinator *live(void) {
    size_t at = 0;
    str key;
    void *value = NULL;
    return map_next(&plans->live, &at, &key, &value) ? value : NULL;
}

/* Its first step gets there before the plan is made. */
static void step_is(struct making *m, enum run_state state) {
    while (!live() || live()->steps[0].state != state) {
        if (m->over)
            fail_msg("it is over: %d %s", m->rc, m->err.message);
        fiber_yield();
    }
    assert_false(m->over);
}

static struct plan_row ended(struct making *m, struct plan_step_row **steps) {
    struct plan_row row;
    size_t count;
    do {
        assert_int_equal(fiber_sleep_us(1000), 0);
        assert_int_equal(plan_get(&m->f->store, &m->f->who, m->made.id, 10, &m->a, &row, steps,
                                  &count, NULL),
                         0);
    } while (!run_state_final(row.status));
    return row;
}

static void nothing_runs(struct fx *f) {
    struct engine_stats stats;
    do {
        assert_int_equal(fiber_sleep_us(1000), 0);
        engine_stats(f->engine, &stats);
    } while (stats.running || live());
    assert_true(list_empty(&plans->turns.waiting));
}

static void a_step_is_over_before(struct fx *f) {
    struct making m;
    struct plan_step_row *steps;
    make(&m, f, echo,
         &(struct db_fault_plan){.kind = DB_FAULT_DELAY, .at = BEGIN, .delay_us = SLOW_US});
    step_is(&m, RUN_STATE_SUCCEEDED);
    assert_int_equal(live()->steps[1].attempt, 0); /* it waits until that is durable */
    made(&m);
    assert_int_equal(m.rc, 0);
    assert_int_equal(ended(&m, &steps).status, RUN_STATE_SUCCEEDED);
    assert_int_equal(steps[0].attempt, 1);
    assert_int_equal(steps[1].status, RUN_STATE_SUCCEEDED);
    nothing_runs(f);
    arena_deinit(&m.a);
}

static void a_failed_commit_leaves_nothing(struct fx *f) {
    static const struct {
        const char *body;
        enum run_state state;
    } cases[] = {{echo, RUN_STATE_SUCCEEDED}, {sleeps, RUN_STATE_RUNNING},
                 {outside, RUN_STATE_RUNNING}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char before[DB_DIGEST_LEN + 1], after[DB_DIGEST_LEN + 1];
        struct making m;
        assert_int_equal(db_digest(f->db, before, NULL), 0);
        make(&m, f, cases[i].body,
             &(struct db_fault_plan){.kind = DB_FAULT_FAIL_BEFORE,
                                     .at = BEGIN,
                                     .code = ERR_UNAVAILABLE,
                                     .delay_us = SLOW_US});
        step_is(&m, cases[i].state);
        made(&m);
        assert_int_equal(m.rc, ERR_UNAVAILABLE);
        nothing_runs(f);
        assert_int_equal(db_digest(f->db, after, NULL), 0);
        assert_string_equal(after, before);
        arena_deinit(&m.a);
    }
}

static int64_t begun(struct fx *f) {
    struct buf b;
    yyjson_val *list, *v;
    size_t i, n;
    int64_t hits = 0;
    buf_init(&b, 1 << 20);
    failpoint_list(&b);
    assert_int_equal(json_parse(&f->a, arena_take(&f->a, &b), &list, NULL), 0);
    yyjson_arr_foreach(list, i, n, v)
        if (str_eq(json_str(json_get(v, "name")), STR("plans.step.begun")))
            hits = yyjson_get_sint(json_get(v, "hits"));
    return hits;
}

/* What it begins is told by the place that all tools pass; an address that is not allowed, which
 * fails at once, will do. */
static void outside_waits(struct fx *f) {
    struct making m;
    struct plan_step_row *steps;
    make(&m, f, outside,
         &(struct db_fault_plan){.kind = DB_FAULT_DELAY, .at = BEGIN, .delay_us = SLOW_US});
    int64_t before = begun(f);
    step_is(&m, RUN_STATE_RUNNING);
    while (!m.over) {
        assert_int_equal(begun(f), before);
        assert_int_equal(fiber_sleep_us(1000), 0);
    }
    made(&m);
    assert_int_equal(m.rc, 0);
    assert_int_equal(ended(&m, &steps).status, RUN_STATE_FAILED);
    assert_int_equal(begun(f), before + 1);
    nothing_runs(f);
    arena_deinit(&m.a);
}

/* Nobody finds it before it is stored; from then on it can be cancelled. */
static void cancelled_at_once(struct fx *f) {
    struct making m;
    struct plan_step_row *steps;
    make(&m, f, sleeps,
         &(struct db_fault_plan){.kind = DB_FAULT_DELAY, .at = BEGIN, .delay_us = SLOW_US});
    step_is(&m, RUN_STATE_RUNNING);
    assert_null(engine_find(f->engine, live()->ctx->run_id));
    made(&m);
    assert_int_equal(m.rc, 0);
    assert_int_equal(plans_cancel(plans, &f->who, m.made.id, &m.a, NULL), 0);
    assert_int_equal(ended(&m, &steps).status, RUN_STATE_CANCELLED);
    assert_int_equal(steps[0].status, RUN_STATE_CANCELLED);
    nothing_runs(f);
    arena_deinit(&m.a);
}

static void body(struct fx *f) {
    static const char *const ids[] = {PLAN_GRAPH};
    struct plans_options o = {
        .concurrency_default = 3, .concurrency_max = 10, .waiting_max = 100, .notes = -1};
    struct log_sink sink = {.min = LOG_WARN, .write = count_warning};
    plans = plans_open(f->rt, &f->store, f->registry, &o);
    plans_set_engine(plans, f->engine);
    assert_int_equal(assistant_seed(&f->store, ids, 1, &f->a, NULL), 0);
    log_redirect(&sink);
    a_step_is_over_before(f);
    a_failed_commit_leaves_nothing(f);
    outside_waits(f);
    cancelled_at_once(f);
    log_redirect(NULL);
    assert_int_equal(warnings, 0);
}

static void test_early(void **state) {
    (void)state;
    fx_run(body);
    plans_free(plans);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_early)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
