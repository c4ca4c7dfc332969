/* SPDX-License-Identifier: Apache-2.0 */
/* test_many.c - several workers on one database. Goal: a run is seen, awaited, cancelled and
 * followed from a worker that does not execute it; a thread has one run at a time whoever took it;
 * what a worker had goes on elsewhere when it dies, sleeps or drains, and its late writes are
 * refused. Method: the engines of many.h; most tests run with hints between them and without. */
#include "got_graphs.h"
#include "many.h"

#include "history/log.h"

static const char hello[] =
    "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"id\":\"m1\"}]},"
    "\"stream_mode\":[\"values\",\"updates\",\"messages\",\"messages-tuple\","
    "\"tasks\",\"checkpoints\",\"debug\",\"events\"]}";
#define ALL_MODES 0x1ffu

static const char *with(const char *member, char out[700]) {
    (void)snprintf(out, 700, "{%s,%s", member, hello + 1);
    return out;
}

static struct live_run *start(struct peer *p, const char *graph, struct id thread,
                              const char *body) {
    struct live_run *run;
    struct err err = {0};
    if (fx_submit(&p->f, graph, thread, body, NULL, NULL, &run, &err) < 0)
        fail_msg("submit: %s", err.message);
    return run;
}

static struct run_outcome wait_at(struct peer *p, struct id run_id, struct live_run *run) {
    struct run_outcome out;
    struct err err = {0};
    if (engine_wait(p->f.engine, run_id, run, FIBER_NO_DEADLINE, &p->f.a, &out, &err) < 0)
        fail_msg("wait: %s", err.message);
    return out;
}

static struct run row_of(struct many *m, struct id run_id) {
    struct run row;
    struct principal all = {.all = true};
    assert_int_equal(run_get(&m->base.store, &all, ID_NIL, run_id, &m->base.a, &row, NULL), 0);
    return row;
}

static void until_status(struct many *m, struct id run_id, enum run_status status) {
    while (row_of(m, run_id).status != status)
        assert_int_equal(fiber_sleep_us(2000), 0);
}

/* The log has no gap and no number twice; runs begin and end one after the other. */
static void check_log(struct many *m, struct id thread, size_t starts_wanted, size_t ends_wanted) {
    struct log_entry *log;
    size_t count, starts = 0, ends = 0;
    struct id running = ID_NIL;
    assert_int_equal(log_read(&m->base.store, thread, 0, 10000, &m->base.a, &log, &count, NULL), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(log[i].seq, i + 1);
        if (log[i].kind == LOG_START) {
            assert_true(id_is_nil(running) || id_eq(running, log[i].run_id));
            running = log[i].run_id;
            starts++;
        } else if (log[i].kind == LOG_END) {
            ends++;
            if (id_eq(running, log[i].run_id))
                running = ID_NIL;
        } else if (log[i].kind != LOG_QUEUED) {
            assert_true(id_eq(running, log[i].run_id));
        }
    }
    assert_int_equal(starts, starts_wanted);
    assert_int_equal(ends, ends_wanted);
    struct thread t;
    struct principal all = {.all = true};
    assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    assert_int_not_equal(t.status, THREAD_BUSY);
}

struct frames {
    struct buf text;
    VEC(char *) ids;
    bool finished;
    struct hub_reader *reader;
    struct peer *peer;
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

static void follow(struct frames *fr, struct peer *p, struct id thread, struct id run,
                   const char *cursor) {
    struct hub_cursor c = {0};
    *fr = (struct frames){.peer = p};
    buf_init(&fr->text, 1 << 20);
    if (cursor)
        assert_true(hub_cursor_parse(str_of(cursor), &c));
    struct hub_reader_options o = {.thread_id = thread,
                                   .run_id = run,
                                   .modes = ALL_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = fr};
    int64_t first = row_of(p->m, run).first_seq;
    assert_int_equal(
        hub_reader_replay(engine_hub(p->f.engine), &o, first, &c, NULL, &fr->reader, NULL), 0);
}
static void frames_deinit(struct frames *fr) {
    hub_reader_close(fr->reader);
    buf_deinit(&fr->text);
    for (size_t i = 0; i < fr->ids.count; i++)
        mem_free(fr->ids.p[i]);
    vec_deinit(&fr->ids);
}
static const char *text_of(struct frames *fr) {
    buf_char(&fr->text, '\0');
    fr->text.len--;
    return fr->text.p;
}
static void until_finished(struct frames *fr) {
    while (!fr->finished)
        assert_int_equal(fiber_sleep_us(2000), 0);
}

/* --- tests --- */

/* Readers on another worker see the run as readers beside it do, whenever they come. */
static void body_stream(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, "gate", thread, hello);
    struct id id = live_run_id(run);
    struct frames here, there, late;
    follow(&here, a, thread, id, NULL);
    follow(&there, b, thread, id, NULL);
    while (there.ids.count < here.ids.count || !strstr(text_of(&there), "waiting"))
        assert_int_equal(fiber_sleep_us(2000), 0);
    fx_gate_open = true;
    until_finished(&here);
    until_finished(&there);
    assert_string_equal(text_of(&here), text_of(&there));
    follow(&late, b, thread, id, NULL);
    assert_true(late.finished);
    assert_string_equal(text_of(&here), text_of(&late));
    frames_deinit(&late);
    /* Cut anywhere here, gone on with there. */
    const char *rest = text_of(&here);
    for (size_t cut = 0; cut < here.ids.count; cut++) {
        rest = strchr(rest, '\n') + 1;
        follow(&late, b, thread, id, here.ids.p[cut]);
        assert_string_equal(text_of(&late), rest);
        frames_deinit(&late);
    }
    struct run_outcome out = wait_at(b, id, NULL);
    assert_int_equal(out.status, RUN_SUCCESS);
    assert_true(str_eq(out.values, live_run_values(run)));
    frames_deinit(&here);
    frames_deinit(&there);
    live_run_unref(run);
    check_log(m, thread, 1, 1);
}
static void test_stream(void **state) {
    (void)state;
    many_both(2, body_stream);
}

/* An entry of another worker comes between the fragments and entries of a run here. */
static void body_between(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, "gate", thread, hello), *next;
    struct frames here, again;
    follow(&here, a, thread, live_run_id(run), NULL);
    next = start(b, "echo", thread, hello); /* appends that it is queued */
    fx_gate_open = true;
    until_finished(&here);
    assert_int_equal(wait_at(b, live_run_id(next), next).status, RUN_SUCCESS);
    follow(&again, a, thread, live_run_id(run), NULL);
    assert_string_equal(text_of(&here), text_of(&again));
    frames_deinit(&again);
    follow(&again, b, thread, live_run_id(run), NULL);
    assert_string_equal(text_of(&here), text_of(&again));
    frames_deinit(&again);
    frames_deinit(&here);
    live_run_unref(run);
    live_run_unref(next);
    check_log(m, thread, 2, 2);
}
static void test_between(void **state) {
    (void)state;
    many_both(2, body_between);
}

static void body_cancel(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *slow = start(a, "slow", thread, hello);
    struct live_run *queued = start(a, "echo", thread, hello);
    struct live_run *last = start(b, "echo", thread, hello);
    /* A pending one is ended here; its worker lets go of it. */
    assert_int_equal(engine_cancel(b->f.engine, &b->f.who, thread, live_run_id(queued),
                                   CANCEL_INTERRUPT, STR("no"), true, NULL),
                     0);
    assert_int_equal(row_of(m, live_run_id(queued)).status, RUN_INTERRUPTED);
    /* A running one is ended by its worker. */
    assert_int_equal(engine_cancel(b->f.engine, &b->f.who, thread, live_run_id(slow),
                                   CANCEL_INTERRUPT, STR("enough"), true, NULL),
                     0);
    struct run row = row_of(m, live_run_id(slow));
    assert_int_equal(row.status, RUN_INTERRUPTED);
    assert_true(str_eq(row.cancel_reason, STR("enough")));
    assert_int_equal(engine_cancel(b->f.engine, &b->f.who, thread, live_run_id(slow),
                                   CANCEL_INTERRUPT, STR_NULL, false, NULL),
                     ERR_CONFLICT);
    assert_int_equal(wait_at(a, live_run_id(queued), queued).status, RUN_INTERRUPTED);
    assert_int_equal(wait_at(a, live_run_id(last), NULL).status, RUN_SUCCESS);
    live_run_unref(slow);
    live_run_unref(queued);
    live_run_unref(last);
    check_log(m, thread, 2, 3);
}
static void test_cancel(void **state) {
    (void)state;
    many_both(2, body_cancel);
}

static void body_multitask(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    char body[700];
    struct err err = {0};
    struct live_run *slow = start(a, "slow", thread, hello), *next;
    assert_int_equal(fx_submit(&b->f, "echo", thread,
                               with("\"multitask_strategy\":\"reject\"", body), NULL, NULL, NULL,
                               &err),
                     ERR_CONFLICT);
    next = start(b, "echo", thread, with("\"multitask_strategy\":\"interrupt\"", body));
    assert_int_equal(wait_at(b, live_run_id(next), next).status, RUN_SUCCESS);
    assert_int_equal(row_of(m, live_run_id(slow)).status, RUN_INTERRUPTED);
    live_run_unref(slow);
    live_run_unref(next);

    slow = start(a, "slow", thread, hello);
    next = start(b, "echo", thread, with("\"multitask_strategy\":\"rollback\"", body));
    assert_int_equal(wait_at(b, live_run_id(next), next).status, RUN_SUCCESS);
    struct run row;
    assert_int_equal(
        run_get(&m->base.store, &b->f.who, thread, live_run_id(slow), &m->base.a, &row, NULL),
        ERR_NOT_FOUND);
    assert_int_equal(wait_at(a, live_run_id(slow), slow).status, RUN_INTERRUPTED);
    live_run_unref(slow);
    live_run_unref(next);
}
static void test_multitask(void **state) {
    (void)state;
    many_both(2, body_multitask);
}

/* Two workers take runs of the same threads at the same time. */
struct crowd {
    struct many *m;
    struct id threads[3];
    size_t left;
};
struct crowd_member {
    struct crowd *c;
    struct peer *p;
};
static void crowd_fiber(void *arg) {
    struct crowd_member *me = arg;
    for (int i = 0; i < 12; i++) {
        struct id thread = me->c->threads[i % 3];
        struct live_run *run = start(me->p, i % 2 ? "echo" : "pair", thread, hello);
        if (i % 4 == 3)
            assert_int_equal(wait_at(me->p, live_run_id(run), run).status, RUN_SUCCESS);
        live_run_unref(run);
    }
    me->c->left--;
}
static void body_crowd(struct many *m) {
    struct crowd c = {.m = m, .left = 2 * m->count};
    struct crowd_member members[2 * PEERS];
    for (size_t i = 0; i < 3; i++)
        c.threads[i] = fx_thread(&m->peers[0].f);
    for (size_t i = 0; i < 2 * m->count; i++) {
        members[i] = (struct crowd_member){&c, &m->peers[i % m->count]};
        assert_non_null(fiber_spawn(m->rt, "crowd", crowd_fiber, &members[i], NULL));
    }
    while (c.left)
        assert_int_equal(fiber_sleep_us(2000), 0);
    for (size_t i = 0; i < 3; i++) {
        struct run *runs;
        size_t count, live;
        do {
            assert_int_equal(fiber_sleep_us(2000), 0);
            assert_int_equal(run_list(&m->base.store, &m->base.who, c.threads[i], NULL,
                                      &(struct page){.limit = 1000}, &m->base.a, &runs, &count,
                                      NULL),
                             0);
            live = 0;
            for (size_t j = 0; j < count; j++)
                live += runs[j].status == RUN_PENDING || runs[j].status == RUN_RUNNING;
        } while (live);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(runs[j].status, RUN_SUCCESS);
            assert_int_equal(runs[j].attempt, 1);
        }
        assert_int_equal(count, 8 * m->count);
        check_log(m, c.threads[i], count, count);
    }
}
static void test_crowd(void **state) {
    (void)state;
    many_both(3, body_crowd);
}

/* A worker that cannot reach the database any more. */
static void body_death(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, "gate", thread, hello);
    struct live_run *queued = start(a, "echo", thread, hello);
    struct live_run *mine = start(b, "echo", thread, hello); /* waits behind what b will adopt */
    struct id id = live_run_id(run);
    struct frames there;
    follow(&there, b, thread, id, NULL);
    peer_fault(a, DB_FAULT_FAIL_BEFORE, 0);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0); /* by its own clock */
    assert_true(live_run_moved(run));
    struct err err = {0};
    assert_int_equal(fx_submit(&a->f, "echo", ID_NIL, hello, NULL, NULL, NULL, &err),
                     ERR_UNAVAILABLE);
    while (row_of(m, id).attempt < 2)
        assert_int_equal(fiber_sleep_us(2000), 0);
    fx_gate_open = true;
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    assert_int_equal(wait_at(b, live_run_id(queued), NULL).status, RUN_SUCCESS);
    assert_int_equal(wait_at(b, live_run_id(mine), mine).status, RUN_SUCCESS);
    live_run_unref(mine);
    until_finished(&there);
    assert_non_null(strstr(text_of(&there), "\"run_attempt\":2"));
    peer_fault(a, DB_FAULT_NONE, 0);
    assert_int_equal(wait_at(a, id, run).status, RUN_SUCCESS);
    struct engine_stats s;
    do {
        assert_int_equal(fiber_sleep_us(2000), 0);
        engine_stats(a->f.engine, &s);
    } while (!s.registered);
    assert_int_equal(s.leases_lost, 1);
    live_run_unref(run);
    run = start(a, "echo", thread, hello); /* it works again */
    assert_int_equal(wait_at(a, live_run_id(run), run).status, RUN_SUCCESS);
    live_run_unref(run);
    live_run_unref(queued);
    frames_deinit(&there);
    check_log(m, thread, 5, 4);
}
static void test_death(void **state) {
    (void)state;
    many_both(2, body_death);
}

/* A commit that arrives after the lease: the end of the first attempt is refused. */
static void body_late(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, "gate", thread, hello);
    struct id id = live_run_id(run);
    assert_int_equal(fiber_sleep_us(40000), 0); /* its tokens are in the log */
    peer_fault(a, DB_FAULT_DELAY, 4 * LEASE_US);
    fx_gate_open = true; /* now it commits its end, and the commit is on its way for long */
    while (row_of(m, id).attempt < 2)
        assert_int_equal(fiber_sleep_us(2000), 0);
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    peer_fault(a, DB_FAULT_NONE, 0);
    assert_int_equal(wait_at(a, id, run).status, RUN_SUCCESS);
    assert_int_equal(row_of(m, id).attempt, 2);
    live_run_unref(run);
    check_log(m, thread, 2, 1);
}
static void test_late(void **state) {
    (void)state;
    many_both(2, body_late);
}

static void body_drain(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, "gate", thread, hello);
    struct live_run *queued = start(a, "echo", thread, hello);
    struct id id = live_run_id(run), queued_id = live_run_id(queued);
    live_run_unref(run);
    live_run_unref(queued);
    peer_down(a);
    until_status(m, id, RUN_RUNNING);
    fx_gate_open = true;
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    assert_int_equal(wait_at(b, queued_id, NULL).status, RUN_SUCCESS);
    assert_int_equal(row_of(m, id).attempt, 1); /* not spent */
    check_log(m, thread, 3, 2);
}
static void test_drain(void **state) {
    (void)state;
    many_both(2, body_drain);
}

static void body_delete(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *slow = start(a, "slow", thread, hello);
    struct live_run *queued = start(a, "echo", thread, hello);
    struct frames here;
    follow(&here, a, thread, live_run_id(slow), NULL);
    engine_stop_thread(b->f.engine, thread, true);
    assert_int_equal(thread_delete(&b->f.store, &b->f.who, thread, &b->f.a, NULL), 0);
    assert_int_equal(live_run_wait(slow, FIBER_NO_DEADLINE), 0);
    assert_int_equal(live_run_wait(queued, FIBER_NO_DEADLINE), 0);
    until_finished(&here);
    frames_deinit(&here);
    live_run_unref(slow);
    live_run_unref(queued);
}
static void test_delete(void **state) {
    (void)state;
    many_both(2, body_delete);
}

/* A stateless run has its readers elsewhere, too; its thread goes later. */
static void body_stateless(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct live_run *run = start(a, "gate", ID_NIL, hello);
    struct id id = live_run_id(run), thread = live_run_thread(run);
    struct frames here, there;
    follow(&here, a, thread, id, NULL);
    follow(&there, b, thread, id, NULL);
    fx_gate_open = true;
    until_finished(&here);
    until_finished(&there);
    assert_non_null(strstr(text_of(&there), "\"count\":1"));
    assert_string_equal(text_of(&here), text_of(&there));
    struct run_outcome out = wait_at(b, id, NULL);
    assert_int_equal(out.status, RUN_SUCCESS);
    assert_true(str_eq(out.values, live_run_values(run)));
    frames_deinit(&here);
    frames_deinit(&there);
    live_run_unref(run);
    struct thread t;
    int64_t deleted = 0;
    assert_int_equal(thread_get(&m->base.store, &m->base.who, thread, &m->base.a, &t, NULL), 0);
    int rc = thread_delete_doomed(&m->base.store, INT64_MAX, 10, &m->base.a, &deleted, NULL);
    assert_int_equal(rc, 0);
    assert_int_equal(deleted, 1);
    assert_int_equal(thread_get(&m->base.store, &m->base.who, thread, &m->base.a, &t, NULL),
                     ERR_NOT_FOUND);
}
static void test_stateless(void **state) {
    (void)state;
    many_both(2, body_stateless);
}

/* Runs of a later time wait with their worker, and go on with another one. */
static void body_delayed(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    char body[700];
    struct live_run *run = start(a, "echo", thread, with("\"after_seconds\":0.3", body));
    struct id id = live_run_id(run);
    live_run_unref(run);
    struct live_run *now = start(b, "echo", thread, hello); /* does not wait for the other */
    assert_int_equal(wait_at(b, live_run_id(now), now).status, RUN_SUCCESS);
    live_run_unref(now);
    assert_int_equal(row_of(m, id).status, RUN_PENDING);
    peer_down(a);
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    check_log(m, thread, 2, 2);
}
static void test_delayed(void **state) {
    (void)state;
    many_both(2, body_delayed);
}

/* Whichever answer of the database a worker loses while it claims and executes what waited. */
static void body_doubt(struct many *m) {
    struct peer *a = &m->peers[0];
    for (uint64_t at = 1; at <= 16; at++) {
        struct id thread = fx_thread(&a->f);
        fx_gate_open = false;
        struct live_run *first = start(a, "gate", thread, hello),
                        *second = start(a, "pair", thread, hello);
        db_fault_set(a->f.db, &(struct db_fault_plan){
                                  .kind = DB_FAULT_FAIL_AFTER, .at = at, .code = ERR_UNAVAILABLE});
        fx_gate_open = true;
        assert_int_equal(wait_at(a, live_run_id(first), first).status, RUN_SUCCESS);
        assert_int_equal(wait_at(a, live_run_id(second), second).status, RUN_SUCCESS);
        peer_fault(a, DB_FAULT_NONE, 0);
        assert_int_equal(row_of(m, live_run_id(first)).attempt, 1);
        assert_int_equal(row_of(m, live_run_id(second)).attempt, 1);
        live_run_unref(first);
        live_run_unref(second);
        check_log(m, thread, 2, 2);
    }
}
static void test_doubt(void **state) {
    (void)state;
    many_run(1, false, body_doubt);
}

/* While a run is accepted its worker loses its lease, and under its next name it adopts the run. */
static void submit_fiber(void *arg) {
    struct peer *p = arg;
    live_run_unref(start(p, "pair", fx_thread(&p->f), hello));
}
static void body_renamed(struct many *m) {
    struct peer *a = &m->peers[0];
    struct run *runs;
    size_t count;
    struct id old = stats_of(a).worker;
    hold_answer(a, SQL_RUN_INSERT);
    assert_non_null(fiber_spawn(m->rt, "submit", submit_fiber, a, NULL));
    until_held(a);
    assert_int_equal(
        run_list_of_worker(&m->base.store, old, ID_NIL, 10, &m->base.a, &runs, &count, NULL), 0);
    assert_int_equal(count, 1);
    struct id id = runs[0].id;
    size_t lists = a->share->lists_of_worker;
    a->share->no_renewal = true;
    while (stats_of(a).leases_lost == 0)
        assert_int_equal(fiber_sleep_us(2000), 0);
    a->share->no_renewal = false;
    while (a->share->lists_of_worker == lists) /* after it has adopted something */
        assert_int_equal(fiber_sleep_us(2000), 0);
    let_answer_go(a);
    assert_int_equal(wait_at(a, id, NULL).status, RUN_SUCCESS);
}
static void test_renamed(void **state) {
    (void)state;
    many_run(1, false, body_renamed);
}

/* While a run tries to take its thread, an older one comes, from a worker that is gone. The one
 * that was refused must not stand before it: the database lets only the older one begin. */
static void body_older(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct id thread = fx_thread(&a->f);
    struct live_run *holder = start(b, "gate", thread, hello);
    struct live_run *older = start(b, "echo", thread, hello);
    struct id holder_id = live_run_id(holder), older_id = live_run_id(older);
    live_run_unref(holder);
    live_run_unref(older);
    struct live_run *newer = start(a, "echo", thread, hello);
    hold_answer(a, SQL_RUN_CONTEXT);
    until_held(a);
    peer_down(b);
    while (stats_of(a).pending < 2)
        assert_int_equal(fiber_sleep_us(2000), 0);
    let_answer_go(a);
    fx_gate_open = true;
    assert_int_equal(wait_at(a, holder_id, NULL).status, RUN_SUCCESS);
    assert_int_equal(wait_at(a, older_id, NULL).status, RUN_SUCCESS);
    assert_int_equal(wait_at(a, live_run_id(newer), newer).status, RUN_SUCCESS);
    live_run_unref(newer);
}
static void test_older(void **state) {
    (void)state;
    many_both(2, body_older);
}

/* --- an answer is given once --- */

static void expect_got(struct many *m, struct id thread, const char *want) {
    str values;
    assert_int_equal(checkpoint_head_values(&m->base.store, thread, &m->base.a, &values, NULL), 0);
    assert_string_equal(arena_printf(&m->base.a, STR_FMT, STR_ARG(values)).p, want);
}

static size_t questions(struct many *m, struct id thread, str ids[2]) {
    struct thread t;
    struct principal all = {.all = true};
    assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    return got_questions(&m->base.a, t.interrupts, ids);
}

/* The run has stored what its first task made of its answer when its worker dies; another one goes
 * on with it. */
static void dies_between(struct many *m, struct id thread, const char *graph, const char *body) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct live_run *run = start(a, graph, thread, body);
    struct id id = live_run_id(run);
    assert_int_equal(fiber_sleep_us(LEASE_US / 8), 0); /* by then it waits at the gate */
    peer_fault(a, DB_FAULT_FAIL_BEFORE, 0);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    assert_true(live_run_moved(run));
    while (row_of(m, id).attempt < 2)
        assert_int_equal(fiber_sleep_us(2000), 0);
    fx_gate_open = true;
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    live_run_unref(run);
    peer_fault(a, DB_FAULT_NONE, 0);
    while (!stats_of(a).registered)
        assert_int_equal(fiber_sleep_us(2000), 0);
}

static struct id asking_thread(struct many *m, const char *graph, size_t wanted, str ids[2]) {
    struct peer *a = &m->peers[0];
    struct id thread = fx_thread(&a->f);
    struct live_run *run = start(a, graph, thread, "{\"input\":{}}");
    assert_int_equal(wait_at(a, live_run_id(run), run).status, RUN_SUCCESS);
    live_run_unref(run);
    assert_int_equal(questions(m, thread, ids), wanted);
    fx_gate_open = false;
    return thread;
}

static void answer_last(struct many *m, const char *graph, struct id thread) {
    struct peer *b = &m->peers[1];
    struct live_run *run = start(b, graph, thread, "{\"command\":{\"resume\":2}}");
    assert_int_equal(wait_at(b, live_run_id(run), run).status, RUN_SUCCESS);
    live_run_unref(run);
}

/* Below the root, whose checkpoint is still the one with the question: the next question of the
 * subgraph is asked, not answered with the same. */
static void body_answer_below(struct many *m) {
    got_graphs_add(&m->base);
    for (int i = 0; i < 4; i++) { /* one or by id, as it comes or strict */
        char body[200];
        str ids[2], then[2];
        struct id thread = asking_thread(m, "around", 1, ids);
        const char *strict = i % 2 ? "true" : "false";
        if (i < 2)
            (void)snprintf(body, sizeof(body), "{\"command\":{\"resume\":1},\"strict_resume\":%s}",
                           strict);
        else
            (void)snprintf(body, sizeof(body),
                           "{\"command\":{\"resume\":{\"%.*s\":1}},\"strict_resume\":%s}",
                           (int)ids[0].len, ids[0].p, strict);
        dies_between(m, thread, "around", body);
        assert_int_equal(questions(m, thread, then), 1);
        assert_true(!str_eq(ids[0], then[0]));
        expect_got(m, thread, "{\"got\":[]}");
        answer_last(m, "around", thread);
        assert_int_equal(questions(m, thread, then), 0);
        expect_got(m, thread, "{\"got\":[1,2]}");
    }
}
static void test_answer_below(void **state) {
    (void)state;
    many_both(2, body_answer_below);
}

/* From an older checkpoint an execution begins the subgraph anew, with its first question; so what
 * an execution before it made of the answer does not count, and the answer is given again. */
static void body_answer_replayed(struct many *m) {
    char body[200];
    str ids[2];
    struct thread t;
    struct principal all = {.all = true};
    got_graphs_add(&m->base);
    struct id thread = asking_thread(m, "around", 1, ids);
    assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    fx_gate_open = true;
    answer_last(m, "around", thread);
    answer_last(m, "around", thread);
    expect_got(m, thread, "{\"got\":[2,2]}");
    fx_gate_open = false;
    str at = id_dashed(&m->base.a, t.checkpoint_id);
    (void)snprintf(body, sizeof(body), "{\"command\":{\"resume\":5},\"checkpoint_id\":\"%.*s\"}",
                   (int)at.len, at.p);
    dies_between(m, thread, "around", body);
    assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    assert_true(str_find(t.interrupts, STR("\"second?\"")) >= 0);
}
static void test_answer_replayed(void **state) {
    (void)state;
    many_both(2, body_answer_replayed);
}

/* Of two tasks that got answers by id one has ended; the other one still gets its own, also when
 * the answers have to fit: what was answered is not asked any more. */
static void body_answers_beside(struct many *m) {
    got_graphs_add(&m->base);
    for (int strict = 0; strict < 2; strict++) {
        char body[300];
        str ids[2];
        fx_gate_open = true;
        struct id thread = asking_thread(m, "beside", 2, ids);
        (void)snprintf(body, sizeof(body),
                       "{\"command\":{\"resume\":{\"%.*s\":1,\"%.*s\":1}},\"strict_resume\":%s}",
                       (int)ids[0].len, ids[0].p, (int)ids[1].len, ids[1].p,
                       strict ? "true" : "false");
        dies_between(m, thread, "beside", body);
        assert_int_equal(questions(m, thread, ids), 0);
        expect_got(m, thread, "{\"got\":[1,1]}");
    }
}
static void test_answers_beside(void **state) {
    (void)state;
    many_both(2, body_answers_beside);
}

/* An execution has read the thread before the one that lost its lease stored the step with the
 * answer: its begin is refused, and the next one does not give the same answer to the question that
 * came of it. */
static void body_answer_overtaken(struct many *m) {
    struct peer *a = &m->peers[0], *b = &m->peers[1];
    struct thread t;
    struct principal all = {.all = true};
    str ids[2], then[2];
    got_graphs_add(&m->base);
    fx_gate_open = true;
    struct id thread = asking_thread(m, "twice", 1, ids);
    assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    struct id asked = t.checkpoint_id;
    hold_answer(b, SQL_RUN_CONTEXT);
    struct live_run *run = start(a, "twice", thread, "{\"command\":{\"resume\":1}}");
    struct id id = live_run_id(run);
    assert_int_equal(fiber_sleep_us(LEASE_US / 8), 0); /* by then it waits at the gate */
    peer_fault(a, DB_FAULT_DELAY, 4 * LEASE_US);
    fx_gate_open = true; /* its step is on its way for long */
    until_held(b);
    while (id_eq(t.checkpoint_id, asked)) {
        assert_int_equal(fiber_sleep_us(2000), 0);
        assert_int_equal(thread_get(&m->base.store, &all, thread, &m->base.a, &t, NULL), 0);
    }
    assert_int_equal(row_of(m, id).attempt, 1);
    let_answer_go(b);
    assert_int_equal(wait_at(b, id, NULL).status, RUN_SUCCESS);
    assert_int_equal(row_of(m, id).attempt, 2);
    assert_int_equal(questions(m, thread, then), 1);
    assert_false(str_eq(ids[0], then[0]));
    expect_got(m, thread, "{\"got\":[1]}");
    peer_fault(a, DB_FAULT_NONE, 0);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    live_run_unref(run);
    answer_last(m, "twice", thread);
    expect_got(m, thread, "{\"got\":[1,2]}");
}
static void test_answer_overtaken(void **state) {
    (void)state;
    many_both(2, body_answer_overtaken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_multitask),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_death),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_delayed),
        cmocka_unit_test(test_stateless),
        cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_renamed),
        cmocka_unit_test(test_older),
        cmocka_unit_test(test_answer_below),
        cmocka_unit_test(test_answers_beside),
        cmocka_unit_test(test_answer_replayed),
        cmocka_unit_test(test_answer_overtaken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
