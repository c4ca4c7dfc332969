/* SPDX-License-Identifier: Apache-2.0 */
/* test_history.c - the contract of history/port.h, over every adapter.
 *
 * Goal: appends are all or nothing, numbered without gaps and told apart by id; reads give what was
 * asked for; nothing is lost by closing; equal contents have equal digests.
 * Method: directed cases, then generated ones that are compared with the model (history_cases.h).
 * HF_TEST_FULL=1 generates more. */
#include "history_fixture.h"

#include <stdlib.h>

#include "base/clock.h"
#include "history_cases.h"

static const struct history_kind *kind;

static const struct history_key KEY = {{"ann", 3}, {"talk", 4}};

static struct history_event event(str id, str payload) {
    return (struct history_event){.id = id,
                                  .type = STR("message"),
                                  .payload_kind = HISTORY_JSON,
                                  .payload = payload,
                                  .occurred_at = 1700000000000000};
}

static int append(struct scene *s, str id, str payload, struct history_result *out,
                  struct err *err) {
    struct history_event e = event(id, payload);
    struct history_append a = {.key = KEY, .events = &e, .count = 1, .results = out};
    return history_append(s->h, &a, err);
}

/* --- one caller --- */

static void duplicates_are_acknowledged(struct scene *s) {
    struct fixture *f = s->f;
    struct history_result r;
    struct err err = {0};
    CHECK_CODE(append(s, STR("a"), STR("{\"n\":1}"), &r, &err), 0);
    CHECK_INT(r.seq, 1);
    CHECK(!r.duplicate);
    CHECK_CODE(append(s, STR("b"), STR("2"), &r, &err), 0);
    CHECK_INT(r.seq, 2);
    CHECK_CODE(append(s, STR("a"), STR("{\"n\":1}"), &r, &err), 0);
    CHECK_INT(r.seq, 1);
    CHECK(r.duplicate);
    CHECK_CODE(append(s, STR("a"), STR("{\"n\":2}"), &r, &err), ERR_CONFLICT);
    struct history_session session;
    CHECK_CODE(history_session_get(s->h, &KEY, &f->arena, &session, &err), 0);
    CHECK_INT(session.last_seq, 2);
    CHECK_INT(session.payload_bytes, 8);
}

static void an_append_is_all_or_nothing(struct scene *s) {
    struct fixture *f = s->f;
    struct history_result r[3];
    struct err err = {0};
    CHECK_CODE(append(s, STR("b"), STR("1"), r, &err), 0);
    struct history_event events[3] = {event(STR("a"), STR("1")), event(STR("b"), STR("2")),
                                      event(STR("c"), STR("3"))};
    struct history_append a = {.key = KEY, .events = events, .count = 3, .results = r};
    CHECK_CODE(history_append(s->h, &a, &err), ERR_CONFLICT);
    struct history_range range = HISTORY_RANGE_ALL(KEY);
    struct history_page page;
    CHECK_CODE(history_read(s->h, &range, &f->arena, &page, &err), 0);
    CHECK_INT(page.count, 1);
    /* To several sessions; the same id twice in one of them is a duplicate of itself. */
    const str sessions[3] = {STR("x"), STR("y"), STR("x")};
    events[1] = event(STR("b"), STR("1"));
    events[2] = events[0];
    a.sessions = sessions;
    CHECK_CODE(history_append(s->h, &a, &err), 0);
    CHECK_INT(r[0].seq, 1);
    CHECK_INT(r[1].seq, 1);
    CHECK_INT(r[2].seq, 1);
    CHECK(!r[0].duplicate && !r[1].duplicate && r[2].duplicate);
}

static void bad_events_are_refused(struct scene *s) {
    struct fixture *f = s->f;
    struct history_result r;
    struct err err = {0};
    struct history_event e = event(STR("a"), STR("1"));
    struct history_append a = {.key = KEY, .events = &e, .count = 1, .results = &r};
    e.id = STR("");
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    e = event(STR("a\0b"), STR("1"));
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    e = event(STR("\xff"), STR("1"));
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    e = event(STR("a"), STR_NULL);
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    e = event(STR("a"), STR("1"));
    e.occurred_at = INT64_MAX;
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    e = event(STR("a"), str_n("", HISTORY_PAYLOAD_BYTES_MAX + 1));
    CHECK_CODE(history_append(s->h, &a, &err), ERR_TOO_LARGE);
    e = event(STR("a"), STR("1"));
    a.count = 0;
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    a.count = 1;
    a.key.session = STR("");
    CHECK_CODE(history_append(s->h, &a, &err), ERR_INVALID);
    struct history_session session;
    CHECK_CODE(history_session_get(s->h, &KEY, &f->arena, &session, &err), ERR_NOT_FOUND);
}

static void large_payloads_come_back(struct scene *s) {
    struct fixture *f = s->f;
    struct history_result r;
    struct err err = {0};
    size_t len = 3u << 20;
    char *p = arena_alloc(&f->arena, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    for (int i = 0; i < 3; i++) {
        struct history_event e = event(arena_printf(&f->arena, "e%d", i), str_n(p, len));
        e.payload_kind = HISTORY_BYTES;
        struct history_append a = {.key = KEY, .events = &e, .count = 1, .results = &r};
        CHECK_CODE(history_append(s->h, &a, &err), 0);
    }
    struct history_range range = HISTORY_RANGE_ALL(KEY);
    struct history_page page;
    CHECK_CODE(history_read(s->h, &range, &f->arena, &page, &err), 0);
    CHECK_INT(page.count, 2); /* a page has a bound of bytes */
    CHECK(page.more);
    CHECK(str_eq(page.events[1].payload, str_n(p, len)));
    range.seq_min = 3;
    CHECK_CODE(history_read(s->h, &range, &f->arena, &page, &err), 0);
    CHECK_INT(page.count, 1);
    CHECK(str_eq(page.events[0].payload, str_n(p, len)));
}

static void pages_follow_each_other(struct scene *s) {
    struct fixture *f = s->f;
    struct history_event events[100];
    struct history_result r[100];
    struct err err = {0};
    for (int i = 0; i < 100; i++) {
        events[i] = event(arena_printf(&f->arena, "e%d", i), STR("1"));
        events[i].occurred_at += (i * 37 % 10) * 1000000; /* ties, and not in order */
    }
    struct history_append a = {.key = KEY, .events = events, .count = 100, .results = r};
    CHECK_CODE(history_append(s->h, &a, &err), 0);
    for (int way = 0; way < 4; way++) {
        struct history_range range = HISTORY_RANGE_ALL(KEY);
        struct history_position at = {0};
        struct history_page page;
        size_t count = 0;
        bool seen[101] = {false};
        range.by_time = way & 1;
        range.newest_first = way & 2;
        range.limit = 7;
        do {
            CHECK_CODE(history_read(s->h, &range, &f->arena, &page, &err), 0);
            for (size_t i = 0; i < page.count; i++) {
                const struct history_event *e = &page.events[i];
                bool in_order = range.newest_first ? e->occurred_at <= at.occurred_at
                                                   : e->occurred_at >= at.occurred_at;
                CHECK(!range.by_time || count == 0 || in_order);
                CHECK(!seen[e->seq]);
                seen[e->seq] = true;
                count++;
                at = (struct history_position){e->occurred_at, e->seq};
                range.after = &at;
            }
        } while (page.more);
        CHECK_INT(count, 100);
    }
}

static void old_events_go(struct scene *s) {
    struct fixture *f = s->f;
    struct history_retention r = {.age_ms_max = 86400000};
    struct history_result result;
    struct history_session session;
    struct err err = {0};
    size_t removed, all = 0;
    CHECK_CODE(append(s, STR("a"), STR("1"), &result, &err), 0);
    CHECK_CODE(append(s, STR("b"), STR("2"), &result, &err), 0);
    CHECK_CODE(history_retention_set(s->h, KEY.owner, &r, &err), 0);
    CHECK_CODE(history_sweep(s->h, clock_wall_us(), 100, &removed, &err), 0);
    CHECK_INT(removed, 0);
    do {
        CHECK_CODE(history_sweep(s->h, clock_wall_us() + 90000000000, 100, &removed, &err), 0);
        all += removed;
    } while (removed > 0);
    CHECK_INT(all, 2);
    CHECK_CODE(history_session_get(s->h, &KEY, &f->arena, &session, &err), 0);
    CHECK_INT(session.first_seq, 3);
    CHECK_INT(session.last_seq, 2);
    CHECK_CODE(append(s, STR("a"), STR("another"), &result, &err), 0); /* its id is free again */
    CHECK_INT(result.seq, 3);
}

static void closing_loses_nothing(struct scene *s) {
    struct fixture *f = s->f;
    struct history_result r;
    struct history_checkpoint c = {.payload_kind = HISTORY_JSON, .payload = STR("{}")}, got;
    struct err err = {0};
    int64_t acked;
    char before[HISTORY_DIGEST_LEN + 1], after[HISTORY_DIGEST_LEN + 1];
    if (!s->kind->keeps)
        return;
    for (int i = 0; i < 50; i++)
        CHECK_CODE(append(s, arena_printf(&f->arena, "%d", i), STR("true"), &r, &err), 0);
    CHECK_CODE(history_checkpoint_put(s->h, &KEY, &c, &f->arena, &err), 0);
    CHECK_CODE(history_consumer_ack(s->h, &KEY, STR("one"), 7, &acked, &err), 0);
    CHECK_CODE(history_digest(s->h, before, &err), 0);
    CHECK(scene_reopen(s));
    CHECK_CODE(history_digest(s->h, after, &err), 0);
    CHECK(strcmp(before, after) == 0);
    CHECK_CODE(history_checkpoint_get(s->h, &KEY, ID_NIL, &f->arena, &got, &err), 0);
    CHECK(id_eq(got.id, c.id) && got.seq == 50);
    CHECK_CODE(append(s, STR("next"), STR("1"), &r, &err), 0);
    CHECK_INT(r.seq, 51);
}

/* --- many callers --- */

#define WRITERS 64
#define EACH    20

struct crowd {
    struct scene *s;
    int number;
    int64_t seqs[EACH];
};

static void writer(void *arg) {
    struct crowd *c = arg;
    for (int i = 0; i < EACH; i++) {
        char id[32];
        int len = snprintf(id, sizeof id, "%d-%d", c->number, i);
        struct history_result r;
        struct err err = {0};
        if (append(c->s, str_n(id, (size_t)len), STR("[1,2,3]"), &r, &err) < 0)
            fixture_fail(c->s->f, "append: %s", err.message);
        c->seqs[i] = r.seq;
    }
}

static void crowds_are_numbered_without_gaps(struct scene *s) {
    struct fixture *f = s->f;
    struct crowd *crowd = ARENA_ARRAY(&f->arena, struct crowd, WRITERS);
    struct fiber_group group;
    fiber_group_init(&group);
    for (int i = 0; i < WRITERS; i++) {
        crowd[i] = (struct crowd){.s = s, .number = i};
        CHECK(fiber_group_spawn(&group, f->rt, "writer", writer, &crowd[i], NULL) == 0);
    }
    fiber_group_wait(&group);
    bool seen[WRITERS * EACH + 1] = {false};
    for (int i = 0; i < WRITERS; i++) {
        for (int k = 0; k < EACH; k++) {
            int64_t seq = crowd[i].seqs[k];
            CHECK(seq >= 1 && seq <= WRITERS * EACH && !seen[seq]);
            CHECK(k == 0 || seq > crowd[i].seqs[k - 1]);
            seen[seq] = true;
        }
    }
}

static void late_writer(void *arg) {
    struct crowd *c = arg;
    struct history_result r;
    (void)fiber_sleep_us(20000);
    if (append(c->s, STR("late"), STR("1"), &r, NULL) < 0)
        fixture_fail(c->s->f, "%s", "the late append failed");
}

static void waiters_hear_of_appends(struct scene *s) {
    struct fixture *f = s->f;
    struct crowd late = {.s = s};
    struct fiber_group group;
    struct err err = {0};
    int64_t last = 0;
    fiber_group_init(&group);
    CHECK(fiber_group_spawn(&group, f->rt, "late", late_writer, &late, NULL) == 0);
    CHECK_CODE(history_wait(s->h, &KEY, 0, rt_mono_us(f->rt) + 30000000, &last, &err), 0);
    CHECK_INT(last, 1);
    CHECK_CODE(history_wait(s->h, &KEY, 1, rt_mono_us(f->rt) + 1000, &last, &err), ERR_TIMEOUT);
    fiber_group_wait(&group);
}

/* --- generated --- */

static uint64_t current_seed;
static size_t current_calls;

static void generated(struct scene *s) { history_cases_run(s, current_seed, current_calls); }

static void test_generated(void **state) {
    bool full = getenv("HF_TEST_FULL") != NULL;
    (void)state;
    current_calls = full ? 3000 : 400;
    for (current_seed = 1; current_seed <= (full ? 20 : 3); current_seed++)
        scene_run(kind, generated);
    print_message("%s: seeds 1 to %d, %zu calls each\n", kind->name, full ? 20 : 3, current_calls);
}

#define DIRECTED(fn)                                                                               \
    static void test_##fn(void **state) {                                                          \
        (void)state;                                                                               \
        scene_run(kind, fn);                                                                       \
    }
DIRECTED(duplicates_are_acknowledged)
DIRECTED(an_append_is_all_or_nothing)
DIRECTED(bad_events_are_refused)
DIRECTED(large_payloads_come_back)
DIRECTED(pages_follow_each_other)
DIRECTED(old_events_go)
DIRECTED(closing_loses_nothing)
DIRECTED(crowds_are_numbered_without_gaps)
DIRECTED(waiters_hear_of_appends)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duplicates_are_acknowledged),
        cmocka_unit_test(test_an_append_is_all_or_nothing),
        cmocka_unit_test(test_bad_events_are_refused),
        cmocka_unit_test(test_large_payloads_come_back),
        cmocka_unit_test(test_pages_follow_each_other),
        cmocka_unit_test(test_old_events_go),
        cmocka_unit_test(test_closing_loses_nothing),
        cmocka_unit_test(test_crowds_are_numbered_without_gaps),
        cmocka_unit_test(test_waiters_hear_of_appends),
        cmocka_unit_test(test_generated),
    };
    int failed = 0;
    for (size_t i = 0; i < history_kind_count; i++) {
        kind = &history_kinds[i];
        failed += cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
    }
    return failed;
}
