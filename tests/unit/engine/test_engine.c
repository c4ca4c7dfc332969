/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - Goal: runs begin, stream, queue, fail and end as the API promises, and a replay
 * equals the live stream wherever it was cut. Method: a real engine and store on an in-memory
 * database, graphs of a few lines, everything on one loop. */
#include "engine_fixture.h"

#include "engine/engine_int.h"

#include "base/mem.h"
#include "history/log.h"

struct frames {
    struct fx *f;
    struct buf text; /* "event data id\n" */
    VEC(char *) ids;
    bool finished;
    unsigned modes;
    struct hub_reader *reader;
};

static bool on_frame(void *ctx, str event, str data, str id) {
    struct frames *fr = ctx;
    buf_printf(&fr->text, STR_FMT " " STR_FMT " " STR_FMT "\n", STR_ARG(event), STR_ARG(data),
               STR_ARG(id));
    char *z = mem_zalloc(id.len + 1);
    if (id.len)
        memcpy(z, id.p, id.len);
    vec_push(&fr->ids, z);
    return true;
}
static void on_finished(void *ctx) { ((struct frames *)ctx)->finished = true; }

static void frames_init(struct frames *fr, struct fx *f, unsigned modes) {
    *fr = (struct frames){.f = f, .modes = modes};
    buf_init(&fr->text, 1 << 20);
}
static void frames_deinit(struct frames *fr) {
    hub_reader_close(fr->reader);
    buf_deinit(&fr->text);
    for (size_t i = 0; i < fr->ids.count; i++)
        mem_free(fr->ids.p[i]);
    vec_deinit(&fr->ids);
}
static struct hub_reader_options options_of(struct frames *fr, struct id thread, struct id run) {
    return (struct hub_reader_options){.thread_id = thread,
                                       .run_id = run,
                                       .modes = fr->modes,
                                       .frame = on_frame,
                                       .finished = on_finished,
                                       .ctx = fr};
}
static void attach(void *ctx, struct live_run *run) {
    struct frames *fr = ctx;
    struct hub_reader_options o = options_of(fr, live_run_thread(run), live_run_id(run));
    fr->reader = hub_reader_live(engine_hub(fr->f->engine), &o);
}

static const char hello[] =
    "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"id\":\"m1\"}]},"
    "\"stream_mode\":[\"values\",\"updates\",\"messages\",\"messages-tuple\","
    "\"tasks\",\"checkpoints\",\"debug\",\"events\"]}";
#define ALL_MODES 0x1ffu

static void wait_done(struct live_run *run) {
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
}

static void body_wait(struct fx *f) {
    struct live_run *run;
    struct id thread = fx_thread(f);
    assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, &run, NULL), 0);
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    str values = live_run_values(run);
    assert_true(str_find(values, STR("echo: hi")) > 0);
    struct thread t;
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    assert_int_equal(t.status, THREAD_IDLE);
    str stored;
    assert_int_equal(checkpoint_head_values(&f->store, thread, &f->a, &stored, NULL), 0);
    assert_true(str_eq(stored, values));
    live_run_unref(run);
    /* A second turn goes on from the first. */
    assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, &run, NULL), 0);
    wait_done(run);
    struct checkpoint *list;
    size_t count;
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 10, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(count, 6);
    assert_int_equal(list[0].step, 4);
    assert_int_equal(list[5].step, -1);
    live_run_unref(run);
}
static void test_wait(void **state) {
    (void)state;
    fx_run(body_wait);
}

static void replay_from(struct fx *f, struct id thread, struct id run, const char *cursor,
                        unsigned modes, struct frames *out) {
    struct run row;
    struct hub_cursor c = {0};
    frames_init(out, f, modes);
    assert_int_equal(run_get(&f->store, &f->who, thread, run, &f->a, &row, NULL), 0);
    if (cursor)
        assert_true(hub_cursor_parse(str_of(cursor), &c));
    struct hub_reader_options o = options_of(out, thread, run);
    assert_int_equal(
        hub_reader_replay(engine_hub(f->engine), &o, row.first_seq, &c, NULL, &out->reader, NULL),
        0);
}

static void body_replay(struct fx *f) {
    static const unsigned sets[] = {STREAM_VALUES,         STREAM_MESSAGES,
                                    STREAM_MESSAGES_TUPLE, STREAM_UPDATES | STREAM_TASKS,
                                    STREAM_EVENTS,         ALL_MODES};
    for (size_t i = 0; i < ARRAY_COUNT(sets); i++) {
        struct frames live;
        struct live_run *run;
        struct id thread = fx_thread(f);
        frames_init(&live, f, sets[i]);
        assert_int_equal(fx_submit(f, "echo", thread, hello, attach, &live, &run, NULL), 0);
        wait_done(run);
        assert_true(live.finished);
        assert_true(live.ids.count > 1);
        struct frames all;
        replay_from(f, thread, live_run_id(run), NULL, sets[i], &all);
        assert_true(all.finished);
        assert_string_equal((live.text.p[live.text.len - 1] = 0, live.text.p),
                            (all.text.p[all.text.len - 1] = 0, all.text.p));
        frames_deinit(&all);
        const char *rest = live.text.p;
        for (size_t cut = 0; cut < live.ids.count; cut++) {
            const char *line_end = strchr(rest, '\n');
            rest = line_end ? line_end + 1 : rest + strlen(rest);
            struct frames tail;
            replay_from(f, thread, live_run_id(run), live.ids.p[cut], sets[i], &tail);
            if (tail.text.len)
                tail.text.p[tail.text.len - 1] = 0;
            assert_string_equal(tail.text.len ? tail.text.p : "", rest);
            frames_deinit(&tail);
        }
        live_run_unref(run);
        frames_deinit(&live);
    }
}
static void test_replay(void **state) {
    (void)state;
    fx_run(body_replay);
}

static void body_errors(struct fx *f) {
    struct err err = {0};
    struct live_run *run;
    struct id thread = fx_thread(f);
    assert_int_equal(fx_submit(f, "nope", thread, hello, NULL, NULL, NULL, &err), ERR_NOT_FOUND);
    assert_int_equal(fx_submit(f, "echo", id_v7(), hello, NULL, NULL, NULL, &err), ERR_NOT_FOUND);
    assert_int_equal(fx_submit(f, "echo", thread, "{\"input\":7}", NULL, NULL, NULL, &err),
                     ERR_INVALID);
    assert_int_equal(fx_submit(f, "echo", thread, "{\"input\":null}", NULL, NULL, NULL, &err),
                     ERR_INVALID);
    assert_int_equal(fx_submit(f, "fail", thread, hello, NULL, NULL, &run, &err), 0);
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_ERROR);
    assert_true(str_find(live_run_error(run), STR("said 500")) > 0);
    live_run_unref(run);
    struct thread t;
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    assert_int_equal(t.status, THREAD_ERROR);
    assert_int_equal(fx_submit(f, "loop", thread, hello, NULL, NULL, &run, &err), 0);
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_ERROR);
    assert_true(str_find(live_run_error(run), STR("Recursion limit of 5")) > 0);
    live_run_unref(run);
}
static void test_errors(void **state) {
    (void)state;
    fx_run(body_errors);
}

static void body_multitask(struct fx *f) {
    struct live_run *slow, *next;
    struct err err = {0};
    struct id thread = fx_thread(f);
    char busy[600];
    assert_int_equal(fx_submit(f, "slow", thread, hello, NULL, NULL, &slow, NULL), 0);
    snprintf(busy, sizeof(busy), "{\"multitask_strategy\":\"reject\",%s", hello + 1);
    assert_int_equal(fx_submit(f, "echo", thread, busy, NULL, NULL, NULL, &err), ERR_CONFLICT);
    assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, &next, NULL), 0);
    fiber_yield();
    assert_false(live_run_done(next));
    assert_int_equal(engine_cancel(f->engine, &f->who, thread, live_run_id(slow), CANCEL_INTERRUPT,
                                   STR("test"), true, NULL),
                     0);
    wait_done(next);
    assert_int_equal(live_run_status(slow), RUN_INTERRUPTED);
    assert_int_equal(live_run_status(next), RUN_SUCCESS);
    struct run row;
    assert_int_equal(run_get(&f->store, &f->who, thread, live_run_id(slow), &f->a, &row, NULL), 0);
    assert_int_equal(row.status, RUN_INTERRUPTED);
    assert_true(str_eq(row.cancel_reason, STR("test")));
    live_run_unref(slow);
    live_run_unref(next);

    struct id other = fx_thread(f);
    assert_int_equal(fx_submit(f, "slow", other, hello, NULL, NULL, &slow, NULL), 0);
    snprintf(busy, sizeof(busy), "{\"multitask_strategy\":\"rollback\",%s", hello + 1);
    assert_int_equal(fx_submit(f, "echo", other, busy, NULL, NULL, &next, NULL), 0);
    wait_done(next);
    assert_int_equal(run_get(&f->store, &f->who, other, live_run_id(slow), &f->a, &row, NULL),
                     ERR_NOT_FOUND);
    struct checkpoint *list;
    size_t count;
    assert_int_equal(checkpoint_list(&f->store, other, STR(""), ID_NIL, STR_NULL, 10, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(count, 3); /* only those of the run that stayed */
    live_run_unref(slow);
    live_run_unref(next);
}
static void test_multitask(void **state) {
    (void)state;
    fx_run(body_multitask);
}

/* Goal: whoever submits to a thread of somebody else gets what an unknown thread gets, by every
 * strategy, and no run of the owner ends by it. */
static void body_strangers(struct fx *f) {
    static const char *const bodies[] = {
        "\"multitask_strategy\":\"enqueue\"",
        "\"multitask_strategy\":\"reject\"",
        "\"multitask_strategy\":\"interrupt\"",
        "\"multitask_strategy\":\"rollback\"",
        "\"multitask_strategy\":\"reject\",\"if_not_exists\":\"create\"",
        "\"multitask_strategy\":\"rollback\",\"if_not_exists\":\"create\""};
    struct live_run *slow;
    f->who.owner = STR("alice");
    struct id thread = fx_thread(f);
    str text = arena_printf(&f->a, "Thread with ID " STR_FMT " not found",
                            STR_ARG(id_dashed(&f->a, thread)));
    assert_int_equal(fx_submit(f, "slow", thread, hello, NULL, NULL, &slow, NULL), 0);
    f->who.owner = STR("bob");
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
        struct err err = {0};
        const char *body = arena_printf(&f->a, "{%s,%s", bodies[i], hello + 1).p;
        assert_int_equal(fx_submit(f, "echo", thread, body, NULL, NULL, NULL, &err), ERR_NOT_FOUND);
        assert_string_equal(err.message, text.p);
    }
    fiber_yield();
    assert_false(live_run_done(slow));
    f->who.owner = STR("alice");
    assert_int_equal(engine_cancel(f->engine, &f->who, thread, live_run_id(slow), CANCEL_INTERRUPT,
                                   STR("test"), true, NULL),
                     0);
    live_run_unref(slow);
}
static void test_strangers(void **state) {
    (void)state;
    fx_run(body_strangers);
}

/* Goal: who runs it is said by the server alone, whatever the configuration and context claim. */
static void body_identity(struct fx *f) {
    static const char *const claim =
        "\"config\":{\"configurable\":{\"user_id\":\"eve\",\"owner\":\"eve\",\"thread_id\":\"t\","
        "\"run_id\":\"r\",\"langgraph_auth_user_id\":\"eve\","
        "\"langgraph_auth_permissions\":[\"all\"],"
        "\"langgraph_auth_user\":{\"identity\":\"eve\"}}},\"context\":{\"user_id\":\"eve\","
        "\"langgraph_auth_user\":{\"identity\":\"eve\"}}";
    struct live_run *run;
    struct run row;
    yyjson_val *kwargs;
    f->who.owner = STR("alice");
    struct id thread = fx_thread(f);
    const char *body = arena_printf(&f->a, "{%s,%s", claim, hello + 1).p;
    assert_int_equal(fx_submit(f, "echo", thread, body, NULL, NULL, &run, NULL), 0);
    wait_done(run);
    assert_int_equal(run_get(&f->store, &f->who, thread, live_run_id(run), &f->a, &row, NULL), 0);
    assert_int_equal(json_parse(&f->a, row.kwargs, &kwargs, NULL), 0);
    yyjson_val *c = json_get(json_get(kwargs, "config"), "configurable");
    assert_true(str_eq(json_str(json_get(c, "user_id")), STR("alice")));
    assert_true(str_eq(json_str(json_get(c, "owner")), STR("alice")));
    assert_true(str_eq(json_str(json_get(c, "langgraph_auth_user_id")), STR("alice")));
    assert_true(
        str_eq(json_str(json_get(json_get(c, "langgraph_auth_user"), "identity")), STR("alice")));
    assert_int_equal(yyjson_arr_size(json_get(c, "langgraph_auth_permissions")), 0);
    assert_true(str_eq(json_str(json_get(c, "thread_id")), id_dashed(&f->a, thread)));
    assert_true(str_eq(json_str(json_get(c, "run_id")), id_dashed(&f->a, live_run_id(run))));
    live_run_unref(run);
}
static void test_identity(void **state) {
    (void)state;
    fx_run(body_identity);
}

static void body_stateless(struct fx *f) {
    struct live_run *run;
    assert_int_equal(fx_submit(f, "pair", ID_NIL, hello, NULL, NULL, &run, NULL), 0);
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    assert_true(str_find(live_run_values(run), STR("\"count\":1")) > 0);
    struct thread t;
    assert_int_equal(thread_get(&f->store, &f->who, live_run_thread(run), &f->a, &t, NULL),
                     ERR_NOT_FOUND);
    live_run_unref(run);
    assert_int_equal(fx_submit(f, "echo", ID_NIL,
                               "{\"input\":{\"messages\":\"x\"},\"on_completion\":\"keep\"}", NULL,
                               NULL, &run, NULL),
                     0);
    wait_done(run);
    assert_int_equal(thread_get(&f->store, &f->who, live_run_thread(run), &f->a, &t, NULL), 0);
    live_run_unref(run);
}
static void test_stateless(void **state) {
    (void)state;
    fx_run(body_stateless);
}

/* A second engine on the same database stands for the restarted process. */
static void body_recover(struct fx *f) {
    struct live_run *slow, *later;
    struct id thread = fx_thread(f);
    assert_int_equal(fx_submit(f, "slow", thread, hello, NULL, NULL, &slow, NULL), 0);
    assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, &later, NULL), 0);
    struct id later_id = live_run_id(later), slow_id = live_run_id(slow);
    fiber_yield();
    engine_drain(f->engine, rt_mono_us(f->rt));
    live_run_unref(slow);
    live_run_unref(later);
    engine_close(f->engine);
    struct run row;
    assert_int_equal(run_get(&f->store, &f->who, thread, slow_id, &f->a, &row, NULL), 0);
    assert_int_equal(row.status, RUN_PENDING);
    fx_open_engine(f);
    assert_int_equal(engine_start(f->engine, NULL), 0);
    assert_int_equal(
        engine_cancel(f->engine, &f->who, thread, slow_id, CANCEL_INTERRUPT, STR_NULL, true, NULL),
        0);
    later = engine_find(f->engine, later_id);
    if (later) {
        wait_done(later);
        live_run_unref(later);
    }
    assert_int_equal(run_get(&f->store, &f->who, thread, later_id, &f->a, &row, NULL), 0);
    assert_int_equal(row.status, RUN_SUCCESS);
}
static void test_recover(void **state) {
    (void)state;
    fx_run(body_recover);
}

/* Whatever operation of the database fails while a run is accepted, its client hears it and the
 * thread is free again; a run that had started early leaves no trace. */
static void body_faults(struct fx *f) {
    struct id thread = fx_thread(f);
    for (uint64_t at = 1; at <= 2; at++) {
        struct db_fault_plan plan = {
            .kind = DB_FAULT_FAIL_BEFORE, .at = at, .code = ERR_UNAVAILABLE};
        db_fault_set(f->db, &plan);
        struct err err = {0};
        assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, NULL, &err),
                         ERR_UNAVAILABLE);
        db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
        for (int i = 0; i < 10; i++)
            fiber_yield();
        struct engine_stats stats;
        engine_stats(f->engine, &stats);
        assert_int_equal(stats.running, 0);
        struct run *runs;
        size_t count;
        assert_int_equal(run_list(&f->store, &f->who, thread, NULL, &(struct page){.limit = 10},
                                  &f->a, &runs, &count, NULL),
                         0);
        assert_int_equal(count, 0);
    }
    struct live_run *run;
    assert_int_equal(fx_submit(f, "echo", thread, hello, NULL, NULL, &run, NULL), 0);
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    live_run_unref(run);
}
static void test_faults(void **state) {
    (void)state;
    fx_run(body_faults);
}

/* The run's end waits for the database when a rollback is asked for: nothing of its last step
 * stays, and its end says that it was stopped. */
static void body_late_rollback(struct fx *f) {
    struct live_run *run;
    struct run row;
    struct id thread = fx_thread(f);
    struct log_entry *log;
    size_t count;
    str values;
    fx_gate_open = false;
    assert_int_equal(
        fx_submit(f, "gate", thread, "{\"input\":{\"count\":5}}", NULL, NULL, &run, NULL), 0);
    db_fault_set(f->db,
                 &(struct db_fault_plan){.kind = DB_FAULT_FAIL_BEFORE, .code = ERR_UNAVAILABLE});
    fx_gate_open = true;
    while (db_fault_count(f->db) == 0) /* its end was tried to be stored */
        assert_int_equal(fiber_sleep_us(1000), 0);
    assert_false(live_run_done(run));
    assert_int_equal(live_run_cancel(run, CANCEL_ROLLBACK, STR("test"), NULL), 0);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_INTERRUPTED);
    assert_int_equal(run_get(&f->store, &f->who, thread, live_run_id(run), &f->a, &row, NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(log_read(&f->store, thread, 0, 100, &f->a, &log, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(log[0].kind, LOG_END);
    assert_true(str_find(log[0].data, STR("interrupted")) > 0);
    assert_int_equal(checkpoint_head_values(&f->store, thread, &f->a, &values, NULL), 0);
    assert_null(values.p);
    live_run_unref(run);
}
static void test_late_rollback(void **state) {
    (void)state;
    fx_run(body_late_rollback);
}

struct behind {
    struct fx *f;
    struct id thread;
    struct live_run *run;
    bool submitted;
};

static void submit_behind(void *arg) {
    struct behind *b = arg;
    char body[256];
    snprintf(body, sizeof(body), "{\"multitask_strategy\":\"enqueue\",%s", hello + 1);
    assert_int_equal(fx_submit(b->f, "echo", b->thread, body, NULL, NULL, &b->run, NULL), 0);
    b->submitted = true;
}

/* The run's end is put together and waits for its turn, behind its last word and an entry of a run
 * that is accepted, when a rollback is asked for: too late for all of it. The thread has the run's
 * last state, from which the next one begins. */
static void body_too_late_rollback(struct fx *f) {
    struct behind b = {.f = f, .thread = fx_thread(f)};
    struct live_run *run;
    struct run row;
    str values;
    fx_gate_open = false;
    assert_int_equal(fx_submit(f, "parting", b.thread,
                               "{\"input\":{\"count\":5},\"stream_mode\":\"messages-tuple\"}", NULL,
                               NULL, &run, NULL),
                     0);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_DELAY, .delay_us = 300000});
    assert_non_null(fiber_spawn(f->rt, "test.behind", submit_behind, &b, NULL));
    while (db_fault_count(f->db) < 2) /* it was looked up; its row and entry are under way */
        assert_int_equal(fiber_sleep_us(1000), 0);
    fx_gate_open = true;
    while (live_run_status(run) != RUN_SUCCESS) /* it has come to its end, which is not stored */
        assert_int_equal(fiber_sleep_us(1000), 0);
    assert_false(b.submitted || live_run_done(run));
    assert_int_equal(live_run_cancel(run, CANCEL_ROLLBACK, STR("test"), NULL), 0);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    wait_done(run);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    assert_int_equal(run_get(&f->store, &f->who, b.thread, live_run_id(run), &f->a, &row, NULL), 0);
    assert_int_equal(row.status, RUN_SUCCESS);
    while (!b.submitted)
        assert_int_equal(fiber_sleep_us(1000), 0);
    wait_done(b.run);
    assert_int_equal(checkpoint_head_values(&f->store, b.thread, &f->a, &values, NULL), 0);
    assert_true(str_find(values, STR("\"count\":6")) >= 0);
    live_run_unref(b.run);
    live_run_unref(run);
}
static void test_too_late_rollback(void **state) {
    (void)state;
    fx_run(body_too_late_rollback);
}

/* Whichever commit of a run loses its answer: the run goes on as if it had come, and nothing of it
 * stands twice. */
static void body_doubt(struct fx *f) {
    bool refused = false;
    for (uint64_t at = 1; at <= 8; at++) {
        struct live_run *run = NULL;
        struct err err = {0};
        struct id thread = fx_thread(f);
        db_fault_set(f->db, &(struct db_fault_plan){
                                .kind = DB_FAULT_FAIL_AFTER, .at = at, .code = ERR_UNAVAILABLE});
        int rc = fx_submit(f, "pair", thread, hello, NULL, NULL, &run, &err);
        if (rc == 0)
            wait_done(run);
        db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
        struct run *runs;
        size_t count;
        assert_int_equal(run_list(&f->store, &f->who, thread, NULL, &(struct page){.limit = 10},
                                  &f->a, &runs, &count, NULL),
                         0);
        assert_int_equal(count, rc == 0);
        refused = refused || rc < 0;
        if (rc < 0)
            continue;
        assert_int_equal(runs[0].status, RUN_SUCCESS);
        assert_int_equal(runs[0].attempt, 1);
        assert_true(str_find(live_run_values(run), STR("\"count\":1")) > 0);
        live_run_unref(run);
        struct log_entry *log;
        assert_int_equal(log_read(&f->store, thread, 0, 100, &f->a, &log, &count, NULL), 0);
        size_t starts = 0, checkpoints = 0, ends = 0;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(log[i].seq, i + 1);
            starts += log[i].kind == LOG_START;
            checkpoints += log[i].kind == LOG_CHECKPOINT;
            ends += log[i].kind == LOG_END;
        }
        assert_int_equal(starts, 1);
        assert_int_equal(checkpoints, 4);
        assert_int_equal(ends, 1);
    }
    assert_true(refused); /* the first read of all */
}
static void test_doubt(void **state) {
    (void)state;
    fx_run(body_doubt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait),      cmocka_unit_test(test_replay),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_multitask),
        cmocka_unit_test(test_strangers), cmocka_unit_test(test_identity),
        cmocka_unit_test(test_stateless), cmocka_unit_test(test_recover),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_late_rollback),
        cmocka_unit_test(test_too_late_rollback),
        cmocka_unit_test(test_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
