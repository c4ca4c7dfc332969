/* SPDX-License-Identifier: Apache-2.0 */
/* test_hub.c - Goal: a stream that was cut after any frame and taken up with the id of that frame
 * equals the uncut one, while the run goes on and after its end, for runs that succeed, fail and
 * have parallel nodes. Method: real runs in the engine of the fixture; a reader that hangs up after
 * n frames and comes back through the log, for every n. */
#include "engine_fixture.h"

#include "base/mem.h"
#include "store/thread_prune.h"

#define ALL_MODES   0x1ffu
#define TALK_TOKENS 30

/* --- a graph that talks for longer than a segment lasts ----------------------------------------
 */

static int talk(struct node_ctx *ctx, struct err *err) {
    (void)err;
    str id = arena_printf(ctx->arena, "run-" STR_FMT, STR_ARG(id_dashed(ctx->arena, id_v7())));
    struct buf whole;
    buf_init(&whole, 1 << 20);
    for (int i = 0; i < TALK_TOKENS; i++) {
        str token = arena_printf(ctx->arena, "t%d ", i);
        node_emit_chunk(ctx, &(struct node_chunk){.message_id = id, .content = token});
        buf_str(&whole, token);
        if (i % 10 == 5)
            node_emit_custom(ctx, arena_printf(ctx->arena, "{\"at\":%d}", i));
        int rc = fiber_sleep_us(2000);
        if (rc < 0) {
            buf_deinit(&whole);
            return rc;
        }
    }
    struct message m;
    message_make_ai(
        ctx->arena,
        &(struct message_ai){
            .id = id, .content = buf_view(&whole), .input_tokens = -1, .output_tokens = -1},
        &m);
    buf_deinit(&whole);
    node_write_message(ctx, "messages", &m);
    return 0;
}
static void talk_twice(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)compiled;
    (void)from;
    if (graph_view_message_count(v, "messages") < 3)
        route_to(out, 0);
}
static const struct node_def talk_nodes[] = {{"talk", talk}};
static const struct graph_def talk_graph = FX_GRAPH("talk", talk_nodes, talk_twice);

static void add_talk(struct fx *f) {
    const char *ids[] = {"talk"};
    registry_add(f->registry, &talk_graph);
    assert_int_equal(assistant_seed(&f->store, ids, 1, &f->a, NULL), 0);
}

/* --- readers -----------------------------------------------------------------------------------
 */

struct reader {
    struct fx *f;
    struct id thread, run;
    unsigned modes;
    struct hub_reader *hub;
    struct buf text;  /* "event data id\n" */
    VEC(size_t) ends; /* of the frames in text */
    size_t stop_at;   /* frames: hangs up then; 0: never */
    char last[HUB_CURSOR_TEXT_MAX];
    size_t last_len;
    bool finished;
};

static bool on_frame(void *ctx, str event, str data, str id) {
    struct reader *r = ctx;
    buf_printf(&r->text, STR_FMT " " STR_FMT " " STR_FMT "\n", STR_ARG(event), STR_ARG(data),
               STR_ARG(id));
    vec_push(&r->ends, r->text.len);
    assert_true(id.len > 0 && id.len <= HUB_CURSOR_TEXT_MAX);
    memcpy(r->last, id.p, id.len);
    r->last_len = id.len;
    if (r->stop_at == 0 || r->ends.count < r->stop_at)
        return true;
    hub_reader_close(r->hub);
    r->hub = NULL;
    return false;
}
static void on_finished(void *ctx) {
    struct reader *r = ctx;
    assert_false(r->finished);
    r->finished = true;
}

static void reader_init(struct reader *r, struct fx *f, unsigned modes, size_t stop_at) {
    *r = (struct reader){.f = f, .modes = modes, .stop_at = stop_at};
    buf_init(&r->text, 8 << 20);
}
static void reader_deinit(struct reader *r) {
    hub_reader_close(r->hub);
    buf_deinit(&r->text);
    vec_deinit(&r->ends);
}
static struct hub_reader_options options_of(struct reader *r) {
    return (struct hub_reader_options){.thread_id = r->thread,
                                       .run_id = r->run,
                                       .modes = r->modes,
                                       .frame = on_frame,
                                       .finished = on_finished,
                                       .ctx = r};
}
static void attach(void *ctx, struct live_run *run) {
    struct reader *list = ctx;
    for (struct reader *r = list; r->f; r++) { /* up to the zeroed one */
        r->thread = live_run_thread(run);
        r->run = live_run_id(run);
        struct hub_reader_options o = options_of(r);
        r->hub = hub_reader_live(engine_hub(r->f->engine), &o);
    }
}
/* Takes the stream up where `from` has left it. */
static void resume(struct reader *r, const struct reader *from) {
    struct run row;
    struct hub_cursor c = {0};
    struct err err = {0};
    r->thread = from->thread;
    r->run = from->run;
    assert_int_equal(run_get(&r->f->store, &r->f->who, r->thread, r->run, &r->f->a, &row, NULL), 0);
    if (from->last_len)
        assert_true(hub_cursor_parse(str_n(from->last, from->last_len), &c));
    struct hub_reader_options o = options_of(r);
    if (hub_reader_replay(engine_hub(r->f->engine), &o, row.first_seq, &c, NULL, &r->hub, &err) < 0)
        fail_msg("%s", err.message);
}

static void assert_tail(const struct reader *whole, const struct reader *tail, size_t seen) {
    str rest =
        str_slice(buf_view(&whole->text), seen ? whole->ends.p[seen - 1] : 0, whole->text.len);
    if (!str_eq(buf_view(&tail->text), rest))
        fail_msg("after %zu frames\n" STR_FMT "\nis not\n" STR_FMT, seen,
                 STR_ARG(buf_view(&tail->text)), STR_ARG(rest));
}

static const char hello[] =
    "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"id\":\"m1\"}]},"
    "\"stream_mode\":[\"values\",\"updates\",\"messages\",\"messages-tuple\",\"custom\","
    "\"tasks\",\"checkpoints\",\"debug\",\"events\"]}";

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_cursor(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct hub_cursor c;
        const char *written; /* NULL: as text */
    } good[] = {
        {"0", {0, 0, 1}, NULL},
        {"17", {17, 0, 1}, NULL},
        {"17.4", {17, 4, 1}, NULL},
        {"17-3", {17, 0, 3}, NULL},
        {"17.4-3", {17, 4, 3}, NULL},
        {"17-1", {17, 0, 1}, "17"},
        {"17.4~19", {17, 4, 1, 19}, NULL},
        {"17.4-3~19", {17, 4, 3, 19}, NULL},
        {"9223372036854775806.9223372036854775807-9223372036854775807~9223372036854775807",
         {INT64_MAX - 1, INT64_MAX, INT64_MAX, INT64_MAX},
         NULL},
    };
    static const char *const bad[] = {"",
                                      "-1",
                                      "-",
                                      "x",
                                      "1.",
                                      "1.0",
                                      "1.-2",
                                      "1-0",
                                      "1-",
                                      "1~2",
                                      "1.1~",
                                      "1.1~1",
                                      "1.1~x",
                                      "~2",
                                      "1.1~2~3",
                                      "2.1~1",
                                      ".5",
                                      "1.2.3",
                                      "1-2-3",
                                      "1 ",
                                      "+1",
                                      "1-2.3",
                                      "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct hub_cursor c;
        char text[HUB_CURSOR_TEXT_MAX];
        if (!hub_cursor_parse(str_of(good[i].text), &c))
            fail_msg("%s is a cursor", good[i].text);
        assert_true(c.seq == good[i].c.seq && c.k == good[i].c.k && c.frames == good[i].c.frames &&
                    c.after == good[i].c.after);
        size_t len = hub_cursor_write(&c, text);
        assert_true(
            str_eq(str_n(text, len), str_of(good[i].written ? good[i].written : good[i].text)));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct hub_cursor c = {7, 7, 7};
        if (hub_cursor_parse(str_of(bad[i]), &c))
            fail_msg("\"%s\" is no cursor", bad[i]);
        assert_true(c.seq == 7 && c.k == 7 && c.frames == 7);
    }
}

static void check_cuts(struct fx *f, const char *graph, unsigned modes) {
    struct reader live[2] = {{0}}, tail;
    struct live_run *run;
    reader_init(&live[0], f, modes, 0);
    assert_int_equal(fx_submit(f, graph, fx_thread(f), hello, attach, live, &run, NULL), 0);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    live_run_unref(run);
    assert_true(live[0].finished);
    assert_true(live[0].ends.count > 1);
    for (size_t cut = 0; cut <= live[0].ends.count; cut++) {
        /* Replayed up to the cut, hung up, and replayed from there: both halves from the log. */
        struct reader head, nothing = {.thread = live[0].thread, .run = live[0].run};
        reader_init(&head, f, modes, cut);
        if (cut)
            resume(&head, &nothing);
        assert_true(
            str_eq(buf_view(&head.text), str_slice(buf_view(&live[0].text), 0, head.text.len)));
        assert_int_equal(head.ends.count, cut);
        head.thread = live[0].thread;
        head.run = live[0].run;
        reader_init(&tail, f, modes, 0);
        resume(&tail, &head);
        assert_tail(&live[0], &tail, cut);
        assert_true(tail.finished);
        reader_deinit(&tail);
        reader_deinit(&head);
    }
    reader_deinit(&live[0]);
}

static void body_after_the_end(struct fx *f) {
    static const char *const graphs[] = {"echo", "pair", "fail", "loop"};
    for (size_t i = 0; i < ARRAY_COUNT(graphs); i++) {
        check_cuts(f, graphs[i], ALL_MODES);
        check_cuts(f, graphs[i], STREAM_MESSAGES | STREAM_UPDATES);
        check_cuts(f, graphs[i], STREAM_EVENTS);
    }
}
static void test_after_the_end(void **state) {
    (void)state;
    fx_run(body_after_the_end);
}

/* Many readers of one run: each hangs up after another frame and comes back at once, in the middle
 * of the run, when what it missed may be in the log, in a batch under way or only in memory. */
struct comeback {
    struct reader *head, tail;
};
static void comeback_fiber(void *arg) {
    struct comeback *c = arg;
    while (c->head->ends.count < c->head->stop_at)
        assert_int_equal(fiber_sleep_us(500), 0);
    resume(&c->tail, c->head);
}

static void body_while_it_runs(struct fx *f) {
    enum { READERS = 60 };
    struct reader *live = ARENA_ARRAY(&f->a, struct reader, READERS + 2);
    struct comeback *back = ARENA_ARRAY(&f->a, struct comeback, READERS + 1);
    struct fiber_group group;
    struct live_run *run;
    unsigned modes = STREAM_MESSAGES_TUPLE | STREAM_VALUES | STREAM_CUSTOM | STREAM_MESSAGES;
    add_talk(f);
    for (size_t i = 0; i <= READERS; i++) /* the first never hangs up */
        reader_init(&live[i], f, modes, i * 2);
    assert_int_equal(fx_submit(f, "talk", fx_thread(f), hello, attach, live, &run, NULL), 0);
    fiber_group_init(&group);
    for (size_t i = 1; i <= READERS; i++) {
        back[i].head = &live[i];
        reader_init(&back[i].tail, f, modes, 0);
        assert_int_equal(fiber_group_spawn(&group, f->rt, "back", comeback_fiber, &back[i], NULL),
                         0);
    }
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    live_run_unref(run);
    fiber_group_wait(&group);
    assert_true(live[0].ends.count > 2 * READERS);
    for (size_t i = 1; i <= READERS; i++) {
        assert_int_equal(live[i].ends.count, i * 2);
        assert_true(str_eq(buf_view(&live[i].text),
                           str_slice(buf_view(&live[0].text), 0, live[i].text.len)));
        assert_tail(&live[0], &back[i].tail, i * 2);
        assert_true(back[i].tail.finished);
        reader_deinit(&back[i].tail);
        reader_deinit(&live[i]);
    }
    assert_true(live[0].finished);
    reader_deinit(&live[0]);
    assert_int_equal(hub_reader_count(engine_hub(f->engine)), 0);
}
static void test_while_it_runs(void **state) {
    (void)state;
    fx_run(body_while_it_runs);
}

/* A reader of a thread sees its runs one after the other and does not end with them. */
static void body_thread_reader(struct fx *f) {
    struct reader r, again;
    struct live_run *run;
    struct hub_cursor none = {0};
    struct id thread = fx_thread(f);
    reader_init(&r, f, HUB_MODES_OF_RUN, 0);
    r.thread = thread;
    struct hub_reader_options o = options_of(&r);
    assert_int_equal(hub_reader_replay(engine_hub(f->engine), &o, 0, &none, NULL, &r.hub, NULL), 0);
    assert_non_null(r.hub);
    static const char *const modes[] = {"\"updates\"", "[\"values\",\"tasks\"]"};
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        char body[200];
        snprintf(body, sizeof(body), "{\"input\":{\"messages\":\"hi\"},\"stream_mode\":%s}",
                 modes[i]);
        assert_int_equal(fx_submit(f, "echo", thread, body, NULL, NULL, &run, NULL), 0);
        assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
        live_run_unref(run);
    }
    assert_false(r.finished);
    str text = buf_view(&r.text);
    ptrdiff_t second = str_find(str_slice(text, 9, text.len), STR("metadata {\"run_id\""));
    assert_true(second > 0);
    str first_run = str_slice(text, 0, (size_t)second + 9);
    str second_run = str_slice(text, (size_t)second + 9, text.len);
    assert_true(str_find(first_run, STR("\nupdates ")) > 0);
    assert_true(str_find(first_run, STR("\nvalues ")) < 0);
    assert_true(str_find(second_run, STR("\nupdates ")) < 0);
    assert_true(str_find(second_run, STR("\nvalues ")) > 0);
    assert_true(str_find(second_run, STR("\ntasks ")) > 0);
    /* The same from the log. */
    reader_init(&again, f, HUB_MODES_OF_RUN, 0);
    again.thread = thread;
    o = options_of(&again);
    assert_int_equal(hub_reader_replay(engine_hub(f->engine), &o, 0, &none, NULL, &again.hub, NULL),
                     0);
    assert_true(str_eq(buf_view(&again.text), text));
    reader_deinit(&again);
    reader_deinit(&r);
}
static void test_thread_reader(void **state) {
    (void)state;
    fx_run(body_thread_reader);
}

/* Words whose commit failed and was tried again stand in the log behind an entry that came after
 * them. Whoever saw the entry, then the words, is shown neither of them again. */
static void append(struct fx *f, struct id thread, struct id run) {
    static const char TASK[] = "74a72590-2991-8386-e7d8-23c79090b3e1";
    struct db_batch b;
    struct err err = {0};
    db_batch_init(&b, &f->a);
    str texts[] = {
        STR("{\"attempt\":1,\"graph_id\":\"pair\",\"modes\":[\"tasks\"],\"metadata\":{}}"),
        arena_printf(&f->a,
                     "{\"id\":\"1eedb371-6b7e-6fe4-8004-7b07c3ecf027\",\"parent\":null,\"ns\":"
                     "\"\",\"step\":0,\"source\":\"loop\",\"next\":[\"left\"],\"tasks\":[{\"id\":"
                     "\"%s\",\"name\":\"left\",\"path\":[\"__pregel_pull\",\"left\"],\"triggers\":"
                     "[\"branch:to:left\"]}],\"values\":{}}",
                     TASK),
        arena_printf(&f->a, "{\"b\":2,\"k\":1,\"f\":[{\"t\":\"%s\",\"m\":\"m1\",\"c\":\"one\"}]}",
                     TASK),
        arena_printf(&f->a, "{\"id\":\"%s\",\"name\":\"left\",\"result\":{\"count\":1}}", TASK),
        arena_printf(&f->a,
                     "{\"b\":2,\"k\":2,\"f\":[{\"t\":\"%s\",\"m\":\"m1\",\"c\":\"two\"},"
                     "{\"t\":\"%s\",\"m\":\"m1\",\"c\":\"three\"}]}",
                     TASK, TASK),
        STR("{\"status\":\"success\",\"graph_id\":\"pair\",\"error\":null}")};
    static const enum log_kind kinds[] = {LOG_START, LOG_CHECKPOINT, LOG_FRAGMENTS,
                                          LOG_TASK,  LOG_FRAGMENTS,  LOG_END};
    struct hub_entry entries[ARRAY_COUNT(kinds)];
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        entries[i] = (struct hub_entry){
            .entry = {.run_id = run, .kind = kinds[i], .at = 1, .data = texts[i]}};
    struct hub_append a = {
        .thread_id = thread, .batch = &b, .entries = entries, .count = ARRAY_COUNT(entries)};
    if (hub_commit(engine_hub(f->engine), &a, &err) < 0)
        fail_msg("%s", err.message);
}

static void replay_thread(struct reader *r, const struct reader *from) {
    struct hub_cursor c = {0};
    if (from && from->last_len)
        assert_true(hub_cursor_parse(str_n(from->last, from->last_len), &c));
    struct hub_reader_options o = options_of(r);
    assert_int_equal(hub_reader_replay(engine_hub(r->f->engine), &o, 0, &c, NULL, &r->hub, NULL),
                     0);
}

static void body_late_words(struct fx *f) {
    struct reader whole, head, tail;
    struct id thread = fx_thread(f);
    unsigned modes = STREAM_MESSAGES_TUPLE | STREAM_MESSAGES | STREAM_TASKS | STREAM_EVENTS;
    append(f, thread, id_v7());
    reader_init(&whole, f, modes, 0);
    whole.thread = thread;
    replay_thread(&whole, NULL);
    assert_true(str_find(buf_view(&whole.text), STR(" 2.2-2~4\n")) > 0);
    assert_true(str_find(buf_view(&whole.text), STR(" 2.1\n")) > 0);
    size_t checked = 0;
    for (size_t cut = 0; cut <= whole.ends.count; cut++) {
        reader_init(&head, f, modes, cut);
        head.thread = thread;
        if (cut)
            replay_thread(&head, NULL);
        reader_init(&tail, f, modes, 0);
        tail.thread = thread;
        replay_thread(&tail, &head);
        bool at_entry = head.last_len && head.last[0] == '4';
        if (!at_entry) /* there the words count as seen: most were shown them before it */
            assert_tail(&whole, &tail, cut);
        assert_true(!at_entry || str_find(buf_view(&tail.text), STR(" 2.")) < 0);
        checked += !at_entry;
        reader_deinit(&tail);
        reader_deinit(&head);
    }
    assert_true(checked > 10);
    reader_deinit(&whole);
}
static void test_late_words(void **state) {
    (void)state;
    fx_run(body_late_words);
}

/* A reader whose client is slow has read the log up to some entry; another process appends two
 * more, and a second reader, which has read these too, is live first. The slow one lacks none. */
static struct reader *joins_first;

static void append_beside(struct fx *f, struct id thread) {
    struct db_batch b;
    struct log_entry entries[2];
    struct id run = id_v7();
    for (size_t i = 0; i < ARRAY_COUNT(entries); i++)
        entries[i] = (struct log_entry){
            .run_id = run,
            .kind = LOG_TASK,
            .at = 2,
            .data = arena_printf(
                &f->a, "{\"id\":\"t%zu\",\"name\":\"left\",\"result\":{\"count\":1}}", i)};
    db_batch_init(&b, &f->a);
    (void)log_append_add(&b, thread, entries, ARRAY_COUNT(entries), NULL);
    assert_int_equal(db_commit(f->db, &b, NULL), 0);
}

static void slow_room(void *ctx, size_t bytes) {
    struct reader *first = joins_first;
    (void)ctx;
    (void)bytes;
    joins_first = NULL;
    if (!first)
        return;
    append_beside(first->f, first->thread);
    replay_thread(first, NULL);
    assert_non_null(first->hub);
}

static void body_slow_join(struct fx *f) {
    struct reader first, slow;
    struct hub_cursor none = {0};
    struct id thread = fx_thread(f);
    append(f, thread, id_v7());
    reader_init(&first, f, STREAM_TASKS, 0);
    reader_init(&slow, f, STREAM_TASKS, 0);
    first.thread = slow.thread = thread;
    joins_first = &first;
    struct hub_reader_options o = options_of(&slow);
    assert_int_equal(
        hub_reader_replay(engine_hub(f->engine), &o, 0, &none, slow_room, &slow.hub, NULL), 0);
    assert_non_null(slow.hub);
    assert_true(str_find(buf_view(&first.text), STR("\"id\":\"t1\"")) > 0);
    assert_tail(&first, &slow, 0);
    reader_deinit(&slow);
    reader_deinit(&first);
}
static void test_slow_join(void **state) {
    (void)state;
    fx_run(body_slow_join);
}

/* Another run queues while a run says its last word, then enters its task: whoever reads live is
 * told the word first. */
struct commit_beside {
    struct fx *f;
    struct id thread;
    bool done;
};

static void queue_fiber(void *arg) {
    struct commit_beside *c = arg;
    struct db_batch b;
    struct arena a;
    struct hub_entry entry = {
        .entry = {.run_id = id_v7(), .kind = LOG_QUEUED, .at = 3, .data = STR("{}")}};
    arena_init(&a, 1 << 20);
    db_batch_init(&b, &a);
    struct hub_append append = {
        .thread_id = c->thread, .batch = &b, .entries = &entry, .count = 1};
    assert_int_equal(hub_commit(engine_hub(c->f->engine), &append, NULL), 0);
    arena_deinit(&a);
    c->done = true;
}

static void body_words_first(struct fx *f) {
    struct hub *h = engine_hub(f->engine);
    struct commit_beside beside = {.f = f, .thread = fx_thread(f)};
    struct id run = id_v7();
    struct reader r;
    struct db_batch b;
    db_batch_init(&b, &f->a);
    struct hub_topic *t = hub_topic_ref(h, beside.thread);
    append(f, beside.thread, run);
    reader_init(&r, f, STREAM_MESSAGES_TUPLE | STREAM_TASKS, 0);
    r.thread = beside.thread;
    replay_thread(&r, NULL);
    size_t before = r.text.len;
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_DELAY, .delay_us = 20000});
    assert_non_null(fiber_spawn(f->rt, "test.queue", queue_fiber, &beside, NULL));
    fiber_yield();
    assert_false(beside.done);
    hub_fragment(h, t, run, STR("{\"t\":\"t\",\"m\":\"m9\",\"c\":\"last\"}"));
    assert_int_equal(r.text.len, before); /* held */
    struct hub_entry entry = {.entry = {.run_id = run,
                                        .kind = LOG_TASK,
                                        .at = 4,
                                        .data = STR("{\"id\":\"t9\",\"result\":{}}")}};
    struct hub_append own = {
        .thread_id = beside.thread, .batch = &b, .entries = &entry, .count = 1};
    assert_int_equal(hub_commit(h, &own, NULL), 0);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    str told = str_slice(buf_view(&r.text), before, r.text.len);
    assert_true(beside.done);
    assert_true(str_find(told, STR("\"last\"")) > 0);
    assert_true(str_find(told, STR("\"t9\"")) > str_find(told, STR("\"last\"")));
    reader_deinit(&r);
    hub_topic_unref(h, t);
}
static void test_words_first(void **state) {
    (void)state;
    fx_run(body_words_first);
}

/* Of a server that stops while the database is away: somebody who is being replayed has the topic
 * still, with words that could not be stored. Nothing of the hub is under way once it has settled.
 */
static void body_settled(struct fx *f) {
    struct hub *h = hub_new(f->rt, &f->store);
    struct hub_topic *t = hub_topic_ref(h, fx_thread(f));
    db_fault_set(f->db,
                 &(struct db_fault_plan){.kind = DB_FAULT_FAIL_BEFORE, .code = ERR_UNAVAILABLE});
    hub_fragment(h, t, id_v7(), STR("{\"t\":\"t\",\"m\":\"m\",\"c\":\"word\"}"));
    while (db_fault_count(f->db) < 3) /* it is tried again */
        assert_int_equal(fiber_sleep_us(1000), 0);
    hub_settle(h);
    uint64_t before = db_fault_count(f->db);
    assert_int_equal(fiber_sleep_us(150000), 0);
    assert_int_equal(db_fault_count(f->db), before);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    hub_topic_unref(h, t);
    hub_free(h);
}
static void test_settled(void **state) {
    (void)state;
    fx_run(body_settled);
}

static struct id run_of(struct fx *f, struct id thread, struct live_run **out) {
    assert_int_equal(fx_submit(f, "talk", thread, hello, NULL, NULL, out, NULL), 0);
    return live_run_id(*out);
}

/* Elsewhere a run is followed whose log goes with older states before its end was shown. */
static void body_pruned(struct fx *f) {
    struct live_run *first, *second, *third;
    struct hub *h = hub_new(f->rt, &f->store);
    struct id thread = fx_thread(f);
    struct reader early = {.thread = thread}, late = {.thread = thread};
    struct thread row;
    int64_t removed;
    add_talk(f);
    reader_init(&early, f, ALL_MODES, 0);
    reader_init(&late, f, ALL_MODES, 0);
    (void)run_of(f, thread, &first);
    early.run = late.run = run_of(f, thread, &second); /* it waits for the first */
    early.thread = late.thread = thread;
    struct hub_reader_options o = options_of(&early);
    struct hub_cursor none = {0};
    o.alive = true;
    assert_int_equal(hub_reader_replay(h, &o, 0, &none, NULL, &early.hub, NULL), 0);
    assert_non_null(early.hub);
    assert_false(early.finished);
    (void)run_of(f, thread, &third);
    struct live_run *runs[] = {first, second, third};
    for (size_t i = 0; i < ARRAY_COUNT(runs); i++) {
        assert_int_equal(live_run_wait(runs[i], FIBER_NO_DEADLINE), 0);
        live_run_unref(runs[i]);
    }
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &row, NULL), 0);
    assert_int_equal(thread_prune(&f->store, &row, &PRUNE_TO_LATEST, &f->a, &removed, NULL), 0);
    assert_true(removed > 0);
    assert_int_equal(hub_tail_start(h, &(struct hub_events){0}, NULL), 0);
    while (!early.finished)
        assert_int_equal(fiber_sleep_us(1000), 0);
    o = options_of(&late);
    o.alive = true; /* as it was when it was looked up */
    assert_int_equal(hub_reader_replay(h, &o, 0, &none, NULL, &late.hub, NULL), 0);
    assert_true(late.finished);
    reader_deinit(&early);
    reader_deinit(&late);
    hub_tail_stop(h);
    hub_settle(h);
    hub_free(h);
}
static void test_pruned(void **state) {
    (void)state;
    fx_run(body_pruned);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor),        cmocka_unit_test(test_after_the_end),
        cmocka_unit_test(test_while_it_runs), cmocka_unit_test(test_thread_reader),
        cmocka_unit_test(test_late_words),    cmocka_unit_test(test_slow_join),
        cmocka_unit_test(test_settled),       cmocka_unit_test(test_words_first),
        cmocka_unit_test(test_pruned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
