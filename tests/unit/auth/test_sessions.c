/* SPDX-License-Identifier: Apache-2.0 */
/* test_sessions.c - Goal: what was read of a session holds for its time and no longer, and nothing
 * that was read before an end holds after it; with other processes the end waits so long; a
 * database that fails lets nobody in; scopes are kept; what is made in a session ends with it.
 * Method: a database in memory that fails and delays as it is told. */
#include "auth/sessions.h"

#include "base/clock.h"
#include "db/fault/fault.h"
#include "db/sqlite/sqlite.h"
#include "keys.h"

#define S INT64_C(1000000)

struct scene {
    struct rt *rt;
    struct store store;
    struct arena a;
    struct fiber_group fibers;
    struct session_options o;
    struct sessions *sessions;
    void (*body)(struct scene *s);
};
static const struct principal ANNA = {.owner = {"anna", 4}};
static const struct session_wish PLAIN = {.address = {"1.2.3.4", 7}};

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    s->sessions = sessions_new(&s->o);
    s->body(s);
    fiber_group_cancel(&s->fibers);
    fiber_group_wait(&s->fibers);
    sessions_free(s->sessions);
    rt_stop(s->rt);
}

static void scene_run(void (*body)(struct scene *s), int64_t cache_us, bool shared) {
    struct scene s = {.body = body};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    arena_init(&s.a, 64 << 20);
    fiber_group_init(&s.fibers);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(db_sqlite_open(s.rt, &o, &s.store.db, NULL), 0);
    s.store.db = db_fault_wrap(s.store.db);
    s.o = (struct session_options){.rt = s.rt,
                                   .store = &s.store,
                                   .fibers = &s.fibers,
                                   .idle_us = 1000 * S,
                                   .max_us = 10000 * S,
                                   .cache_us = cache_us,
                                   .count_max = 10,
                                   .cache_count_max = 10,
                                   .shared = shared};
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    rt_run(s.rt);
    db_close(s.store.db);
    rt_close(s.rt);
    arena_deinit(&s.a);
}

static str begin(struct scene *s, const struct principal *who, const struct session_wish *wish,
                 struct session *out) {
    str token;
    assert_int_equal(sessions_begin(s->sessions, who, wish, &s->a, out, &token, NULL), 0);
    assert_true(session_token_is_one(token));
    return token;
}

static int identify(struct scene *s, str token, struct principal *out, bool *known) {
    struct auth_digest d;
    hash_sha256(token, d.bytes);
    return sessions_identify(s->sessions, &d, &s->a, out, known, NULL);
}

static void expect(struct scene *s, str token, int code, bool known) {
    struct principal who = {.all = true};
    bool got;
    assert_int_equal(identify(s, token, &who, &got), code);
    assert_true(got == known);
    if (code == 0) {
        assert_true(str_eq(who.owner, ANNA.owner) && !who.all && !id_is_nil(who.session));
        assert_string_equal(who.by, "session");
    }
}

static void body_remembered(struct scene *s) {
    struct session one, two;
    str first = begin(s, &ANNA, &PLAIN, &one), second = begin(s, &ANNA, &PLAIN, &two);
    expect(s, first, 0, false);
    expect(s, first, 0, true);
    assert_int_equal(session_delete(&s->store, &ANNA, one.id, &s->a, NULL), 0);
    expect(s, first, 0, true); /* nobody has said so yet */
    int64_t before = clock_mono_us();
    sessions_ended(s->sessions);
    int64_t waited = clock_mono_us() - before;
    if (s->o.shared)
        assert_true(waited >= s->o.cache_us);
    expect(s, first, ERR_UNAUTHORISED, false);
    expect(s, second, 0, false);
    assert_int_equal(session_delete(&s->store, &ANNA, two.id, &s->a, NULL), 0);
    (void)fiber_sleep_us(s->o.cache_us);
    expect(s, second, ERR_UNAUTHORISED, false);
}

static void body_not_remembered(struct scene *s) {
    struct session one;
    str token = begin(s, &ANNA, &PLAIN, &one);
    expect(s, token, 0, false);
    expect(s, token, 0, false);
    sessions_ended(s->sessions);
    expect(s, token, 0, false);
}

struct reader {
    struct scene *s;
    str token;
    int code;
};
static void reader_fiber(void *arg) {
    struct reader *r = arg;
    struct principal who;
    bool known;
    r->code = identify(r->s, r->token, &who, &known);
}

/* A read that is under way while the row goes: its answer is not remembered. */
static void body_read_meanwhile(struct scene *s) {
    struct session one;
    struct reader r = {.s = s, .token = begin(s, &ANNA, &PLAIN, &one), .code = 1};
    struct db_fault_plan slow = {.kind = DB_FAULT_DELAY, .delay_us = 50000};
    db_fault_set(s->store.db, &slow);
    assert_int_equal(fiber_group_spawn(&s->fibers, s->rt, "reader", reader_fiber, &r, NULL), 0);
    (void)fiber_sleep_us(1000);
    assert_int_equal(r.code, 1);
    sessions_ended(s->sessions);
    db_fault_set(s->store.db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    fiber_group_wait(&s->fibers);
    assert_int_equal(r.code, 0);
    expect(s, r.token, 0, false);
    expect(s, r.token, 0, true);
}

static void body_ill_database(struct scene *s) {
    struct session one;
    struct principal who;
    struct err err = {0};
    bool known;
    str token = begin(s, &ANNA, &PLAIN, &one), other;
    struct auth_digest d;
    struct db_fault_plan fail = {.kind = DB_FAULT_FAIL_BEFORE, .code = ERR_IO};
    db_fault_set(s->store.db, &fail);
    hash_sha256(token, d.bytes);
    assert_int_equal(sessions_identify(s->sessions, &d, &s->a, &who, &known, &err),
                     ERR_UNAVAILABLE);
    assert_true(err.retry_after_ms > 0);
    assert_int_equal(sessions_begin(s->sessions, &ANNA, &PLAIN, &s->a, &one, &other, NULL), ERR_IO);
    db_fault_set(s->store.db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    expect(s, token, 0, false);
}

static void body_what_it_may(struct scene *s) {
    static const struct principal makers[] = {
        {.owner = {"anna", 4}, .read_only = true},
        {.owner = {"anna", 4}},
        {.owner = {"anna", 4}, .graphs = true},
    };
    struct session made, child;
    struct principal who;
    struct err err = {0};
    bool known;
    str token;
    for (size_t i = 0; i < ARRAY_COUNT(makers); i++) {
        token = begin(s, &makers[i], &PLAIN, &made);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(identify(s, token, &who, &known), 0);
            assert_true(who.read_only == makers[i].read_only && who.graphs == makers[i].graphs);
        }
    }
    assert_int_equal(sessions_begin(s->sessions, &(struct principal){.owner = STR("")}, &PLAIN,
                                    &s->a, &made, &token, &err),
                     ERR_CONFLICT);
    struct session_wish shorter = {.lifetime_us = 5 * S}, longer = {.lifetime_us = INT64_MAX};
    token = begin(s, &ANNA, &longer, &made);
    assert_true(made.ends_at - made.created_at == s->o.max_us);
    assert_true(made.expires_at - made.created_at == s->o.idle_us);
    token = begin(s, &ANNA, &shorter, &made);
    assert_true(made.ends_at == made.expires_at && made.ends_at - made.created_at == 5 * S);
    assert_int_equal(identify(s, token, &who, &known), 0);
    (void)begin(s, &who, &longer, &child);
    assert_true(child.ends_at == made.ends_at && child.expires_at == made.ends_at);
    assert_int_equal(session_delete(&s->store, &ANNA, made.id, &s->a, NULL), 0);
    assert_int_equal(sessions_begin(s->sessions, &who, &PLAIN, &s->a, &child, &token, NULL),
                     ERR_UNAUTHORISED); /* remembered, but not there any more */
}

#define TEST(name, body, cache_us, shared)                                                         \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        scene_run(body_##body, cache_us, shared);                                                  \
    }
TEST(alone, remembered, S, false)
TEST(with_others, remembered, S, true)
TEST(not_remembered, not_remembered, 0, true)
TEST(read_meanwhile, read_meanwhile, 10 * S, false)
TEST(ill_database, ill_database, 10 * S, false)
TEST(what_it_may, what_it_may, 10 * S, false)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),          cmocka_unit_test(test_with_others),
        cmocka_unit_test(test_not_remembered), cmocka_unit_test(test_read_meanwhile),
        cmocka_unit_test(test_ill_database),   cmocka_unit_test(test_what_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
