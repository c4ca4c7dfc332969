/* SPDX-License-Identifier: Apache-2.0 */
/* test_state.c - Goal: reducers give what LangGraph's add_messages gives, a checkpoint costs only
 * what is new, and what was persisted reads back the same, older checkpoints included. Method: a
 * state changed step by step, each step committed to a store in memory and loaded into another
 * state; the statements of each batch are counted. */
#include "engine_fixture.h"

#include "engine/state.h"

static const struct graph_def def = {
    .id = "state", .channels = fx_channels, .channel_count = ARRAY_COUNT(fx_channels)};
static const struct channel_def hidden_channels[] = {
    {"messages", CHANNEL_MESSAGES, .in_output = true, .in_input = true},
    {"count", CHANNEL_LAST_VALUE, .in_input = true}};
static const struct graph_def hidden_def = {
    .id = "hidden", .channels = hidden_channels, .channel_count = ARRAY_COUNT(hidden_channels)};

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

static void put(struct graph_view *s, const char *input) {
    struct state_write *writes;
    size_t count;
    yyjson_val *v;
    struct err err = {0};
    assert_int_equal(json_parse(s->arena, str_of(input), &v, NULL), 0);
    if (state_read_values(s, v, true, &writes, &count, &err) < 0)
        fail_msg("%s: %s", input, err.message);
    state_step_begin(s);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(state_apply(s, &writes[i], NULL), 0);
    state_step_end(s);
}

/* "id=content id=content" */
static str listed(const struct graph_view *s) {
    str all = STR("");
    for (size_t i = 0; i < graph_view_message_count(s, "messages"); i++) {
        const struct message *m = graph_view_message(s, "messages", i);
        all = arena_printf(s->arena, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(all), i ? " " : "",
                           STR_ARG(m->id), STR_ARG(message_text(s->arena, m)));
    }
    return all;
}

#define M(id, text) "{\"type\":\"human\",\"id\":\"" id "\",\"content\":\"" text "\"}"
#define GONE(id)    "{\"type\":\"remove\",\"id\":\"" id "\",\"content\":\"\"}"

static void test_reducers(void **state) {
    (void)state;
    static const struct {
        const char *input, *after;
    } steps[] = {
        {"{\"messages\":[" M("a", "1") "," M("b", "2") "]}", "a=1 b=2"},
        {"{\"messages\":" M("c", "3") "}", "a=1 b=2 c=3"},
        {"{\"messages\":[" M("b", "two") "]}", "a=1 b=two c=3"},
        {"{\"messages\":[" M("d", "4") "," M("d", "four") "]}", "a=1 b=two c=3 d=four"},
        {"{\"messages\":[" GONE("b") "," M("e", "5") "]}", "a=1 c=3 d=four e=5"},
        {"{\"messages\":[" GONE("nobody") "]}", "a=1 c=3 d=four e=5"},
        {"{\"messages\":[]}", "a=1 c=3 d=four e=5"},
        {"{\"messages\":[" M("f", "x") "," GONE("__remove_all__") "," M("g", "7") "]}", "g=7"},
        {"{\"messages\":[" GONE("__remove_all__") "]}", ""},
        {"{\"messages\":[" M("a", "again") "]}", "a=again"},
    };
    struct arena a;
    struct graph_view s;
    arena_init(&a, 16 << 20);
    state_init(&s, &def, CHECKPOINTS_NATIVE, &a);
    assert_str(state_values_json(&s), "{\"messages\":[]}");
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        put(&s, steps[i].input);
        assert_str(listed(&s), steps[i].after);
    }
    assert_null(graph_view_value(&s, "count").p);
    put(&s, "{\"count\":{\"n\":1},\"stranger\":1}");
    put(&s, "{\"count\":[2, null]}");
    assert_str(graph_view_value(&s, "count"), "[2,null]");
    assert_true(str_ends(state_values_json(&s), STR("],\"count\":[2,null]}")));
    arena_deinit(&a);
}

static void test_input(void **state) {
    (void)state;
    static const struct {
        const char *input, *why;
    } cases[] = {
        {"7", "input: must be an object of channel values"},
        {"[1]", "input: must be an object of channel values"},
        {"{\"messages\":[7]}", "messages[0]"},
        {"{\"messages\":[\"ok\",{\"type\":\"remove\"}]}", "messages[1]: id: is required"},
    };
    struct arena a;
    struct graph_view s;
    struct state_write *writes;
    size_t count;
    yyjson_val *v;
    arena_init(&a, 16 << 20);
    state_init(&s, &def, CHECKPOINTS_NATIVE, &a);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct err err = {0};
        assert_int_equal(json_parse(&a, str_of(cases[i].input), &v, NULL), 0);
        assert_int_equal(state_read_values(&s, v, true, &writes, &count, &err), ERR_INVALID);
        if (!strstr(err.message, cases[i].why))
            fail_msg("%s gives %s", cases[i].input, err.message);
    }
    /* The forms that clients send, and a message without an id gets one. */
    put(&s, "{\"messages\":[\"x\",[\"ai\",\"y\"],{\"role\":\"user\",\"content\":\"z\"}]}");
    assert_int_equal(graph_view_message_count(&s, "messages"), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(graph_view_message(&s, "messages", i)->id.len > 0);
    assert_int_equal(graph_view_message(&s, "messages", 1)->type, MESSAGE_AI);
    arena_deinit(&a);
}

static void test_hidden_channel(void **state) {
    (void)state;
    struct arena a;
    struct graph_view s;
    arena_init(&a, 1 << 20);
    state_init(&s, &hidden_def, CHECKPOINTS_NATIVE, &a);
    put(&s, "{\"count\":1}");
    assert_str(state_values_json(&s), "{\"messages\":[]}");
    assert_str(graph_view_value(&s, "count"), "1");
    arena_deinit(&a);
}

/* --- the store ---------------------------------------------------------------------------------
 */

/* Commits what is new as a checkpoint; *out_rows: the statements that took. */
static struct id keep(struct fx *f, struct graph_view *s, struct id thread, int step,
                      size_t *out_rows) {
    struct db_batch b;
    struct err err = {0};
    db_batch_init(&b, &f->a);
    struct checkpoint c = {.thread_id = thread,
                           .name_space = STR(""),
                           .id = id_v6(step),
                           .step = step,
                           .source = STR("loop"),
                           .next = STR("[]"),
                           .tasks = STR("[]"),
                           .metadata = STR("{}"),
                           .created_at = 1 + step};
    state_checkpoint_add(s, &b, &c, NULL, 0, STR_NULL);
    *out_rows = b.count - 1;
    if (db_commit(f->db, &b, &err) < 0)
        fail_msg("%s", err.message);
    state_mark_stored(s);
    return c.id;
}

static void load(struct fx *f, struct id thread, struct id id, bool shared,
                 struct graph_view *out) {
    struct checkpoint c;
    assert_int_equal(checkpoint_get(&f->store, thread, STR(""), id, &f->a, &c, NULL), 0);
    assert_int_equal(checkpoint_load_values(&f->store, &c, &f->a, NULL), 0);
    state_init(out, &def, CHECKPOINTS_NATIVE, &f->a);
    assert_int_equal(state_take_checkpoint(out, &c, shared, NULL), 0);
}

static void body_persist(struct fx *f) {
    static const struct {
        const char *input;
        size_t rows; /* segments and values that the step costs */
    } steps[] = {
        {"{}", 0},
        {"{\"messages\":[" M("a", "1") "," M("b", "2") "],\"count\":1}", 2},
        {"{}", 0},
        {"{\"messages\":[" M("c", "3") "]}", 1},
        {"{\"count\":2}", 1},
        {"{\"messages\":[" M("a", "one") "]}", 1}, /* a new list, written whole */
        {"{\"messages\":[" M("d", "4") "]}", 1},
        {"{\"messages\":[" GONE("b") "," M("e", "5") "]}", 1},
        {"{\"messages\":[" GONE("__remove_all__") "],\"count\":1}", 1},
        {"{\"messages\":[" M("z", "last") "]}", 1},
    };
    struct id thread = fx_thread(f), ids[ARRAY_COUNT(steps)];
    str values[ARRAY_COUNT(steps)];
    struct graph_view s;
    state_init(&s, &def, CHECKPOINTS_NATIVE, &f->a);
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        size_t rows;
        put(&s, steps[i].input);
        ids[i] = keep(f, &s, thread, (int)i, &rows);
        values[i] = arena_dup(&f->a, state_values_json(&s));
        if (rows != steps[i].rows)
            fail_msg("step %zu took %zu rows, not %zu", i, rows, steps[i].rows);
    }
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) { /* all of time is still there */
        struct graph_view other;
        load(f, thread, ids[i], true, &other);
        assert_true(str_eq(state_values_json(&other), values[i]));
    }
    str head;
    assert_int_equal(checkpoint_head_values(&f->store, thread, &f->a, &head, NULL), 0);
    assert_true(str_eq(head, values[ARRAY_COUNT(steps) - 1]));
}
static void test_persist(void **state) {
    (void)state;
    fx_run(body_persist);
}

static void body_go_on(struct fx *f) {
    struct id thread = fx_thread(f);
    struct graph_view s, next, fork;
    size_t rows;
    state_init(&s, &def, CHECKPOINTS_NATIVE, &f->a);
    put(&s, "{\"messages\":[" M("a", "1") "],\"count\":1}");
    struct id first = keep(f, &s, thread, 0, &rows);
    /* The newest checkpoint's list is gone on with: one segment, nothing written again. */
    load(f, thread, first, false, &next);
    put(&next, "{\"messages\":[" M("b", "2") "]}");
    struct id second = keep(f, &next, thread, 1, &rows);
    assert_int_equal(rows, 1);
    assert_true(next.channels[0].list_id == s.channels[0].list_id);
    /* From an older one the list belongs to others: a new one, older states stay as they were. */
    load(f, thread, first, true, &fork);
    put(&fork, "{\"messages\":[" M("c", "3") "]}");
    struct id third = keep(f, &fork, thread, 2, &rows);
    assert_int_equal(rows, 1);
    assert_true(fork.channels[0].list_id != s.channels[0].list_id);
    const struct {
        struct id id;
        const char *listed;
    } all[] = {{first, "a=1"}, {second, "a=1 b=2"}, {third, "a=1 c=3"}};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct graph_view seen;
        load(f, thread, all[i].id, true, &seen);
        assert_str(listed(&seen), all[i].listed);
        assert_str(graph_view_value(&seen, "count"), "1");
    }
}
static void test_go_on(void **state) {
    (void)state;
    fx_run(body_go_on);
}

/* A batch that failed changed nothing: the next one carries everything again. A mark without a
 * batch since the last change marks nothing. */
static void body_failed_commit(struct fx *f) {
    struct id thread = fx_thread(f);
    struct graph_view s, seen;
    struct db_batch b;
    size_t rows;
    state_init(&s, &def, CHECKPOINTS_NATIVE, &f->a);
    put(&s, "{\"messages\":[" M("a", "1") "],\"count\":1}");
    db_batch_init(&b, &f->a);
    struct checkpoint lost = {.thread_id = thread, .id = id_v6(0)};
    state_checkpoint_add(&s, &b, &lost, NULL, 0, STR_NULL);
    assert_int_equal(b.count, 3); /* … and thrown away */
    state_unstage(&s);
    put(&s, "{\"messages\":[" M("b", "2") "]}");
    (void)keep(f, &s, thread, 0, &rows);
    assert_int_equal(rows, 2);
    put(&s, "{\"messages\":[" M("a", "one") "," M("c", "3") "],\"count\":2}");
    state_mark_stored(&s);
    struct id last = keep(f, &s, thread, 1, &rows);
    assert_int_equal(rows, 2);
    load(f, thread, last, true, &seen);
    assert_str(listed(&seen), "a=one b=2 c=3");
    assert_str(graph_view_value(&seen, "count"), "2");
}
static void test_failed_commit(void **state) {
    (void)state;
    fx_run(body_failed_commit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reducers),       cmocka_unit_test(test_input),
        cmocka_unit_test(test_hidden_channel), cmocka_unit_test(test_persist),
        cmocka_unit_test(test_go_on),          cmocka_unit_test(test_failed_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
