/* SPDX-License-Identifier: Apache-2.0 */
/* test_history_sql.c - what only a history in a database can meet, on every database.
 *
 * Goal: an append whose answer was lost is told apart when it comes again; processes that append
 * the same events at the same time store each of them once, without gaps; who waits hears of what
 * others append; a large session that was deleted is gone at once, its rows by sweeps, and its name
 * begins anew meanwhile; small pages are read on the loop, where the database can do that, and
 * large ones are not tried there for long. Method: two adapters on one database, as two processes
 * would have them. */
#include "fixture.h"

#include <stdio.h>

#include "base/clock.h"
#include "history/sql/sql.h"

#define EVENTS      60
#define LARGE       2500
#define PAGES       24 /* reads of one */
#define PAGE        100
#define LARGE_BYTES 8000

static const struct history_key KEY = {{"ann", 3}, {"talk", 4}};

static struct history_event event(struct arena *a, int n) {
    return (struct history_event){.id = arena_printf(a, "event %d", n),
                                  .type = STR("message"),
                                  .payload_kind = HISTORY_JSON,
                                  .payload = STR("{\"a\":1}"),
                                  .occurred_at = 1700000000000000 + n};
}

static int append(struct history *h, struct arena *a, int first, int count,
                  struct history_result *results, struct err *err) {
    struct history_event *events = ARENA_ARRAY(a, struct history_event, count);
    for (int i = 0; i < count; i++)
        events[i] = event(a, first + i);
    struct history_append append = {
        .key = KEY, .events = events, .count = (size_t)count, .results = results};
    return history_append(h, &append, err);
}

static void answers_that_are_lost(struct fixture *f, struct history *h) {
    struct err err = {0};
    struct history_result r[3];
    struct db_fault_plan lost = {.kind = DB_FAULT_FAIL_AFTER, .at = 1, .code = ERR_UNAVAILABLE};
    if (!f->kind.behind_fault)
        return;
    db_fault_set(f->db, &lost);
    CHECK_CODE(append(h, &f->arena, 0, 2, r, &err), ERR_UNAVAILABLE);
    db_fault_set(f->db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    CHECK_CODE(append(h, &f->arena, 0, 3, r, &err), 0);
    CHECK(r[0].duplicate && r[1].duplicate && !r[2].duplicate);
    CHECK_INT(r[2].seq, 3);
    CHECK_CODE(history_session_delete(h, &KEY, &err), 0);
}

struct side {
    struct fixture *f;
    struct history *h;
    struct history_result results[EVENTS];
};

/* Each in another order of groups. */
static void side_main(void *arg) {
    struct side *s = arg;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 1u << 20);
    for (int i = 0; i < EVENTS; i += 3) {
        if (append(s->h, &a, i, 3, &s->results[i], &err) < 0)
            fixture_fail(s->f, "append: %s", err.message);
    }
    arena_deinit(&a);
}

static void same_events_from_two(struct fixture *f, struct history *h, struct history *other) {
    struct side sides[2] = {{.f = f, .h = h}, {.f = f, .h = other}};
    struct fiber_group group;
    struct history_range range = HISTORY_RANGE_ALL(KEY);
    struct history_page page;
    struct err err = {0};
    fiber_group_init(&group);
    for (int i = 0; i < 2; i++)
        CHECK(fiber_group_spawn(&group, f->rt, "side", side_main, &sides[i], NULL) == 0);
    fiber_group_wait(&group);
    for (int i = 0; i < EVENTS; i++) {
        CHECK_INT(sides[0].results[i].seq, i + 1);
        CHECK_INT(sides[1].results[i].seq, i + 1);
        CHECK(sides[0].results[i].duplicate != sides[1].results[i].duplicate);
    }
    CHECK_CODE(history_read(h, &range, &f->arena, &page, &err), 0);
    CHECK_INT(page.count, EVENTS);
}

static void late_main(void *arg) {
    struct side *s = arg;
    struct arena a;
    arena_init(&a, 1u << 20);
    (void)fiber_sleep_us(20000);
    if (append(s->h, &a, EVENTS, 1, s->results, NULL) < 0)
        fixture_fail(s->f, "%s", "the late append failed");
    arena_deinit(&a);
}

static void others_are_heard_of(struct fixture *f, struct history *h, struct history *other) {
    struct side late = {.f = f, .h = other};
    struct fiber_group group;
    struct err err = {0};
    int64_t last = 0;
    fiber_group_init(&group);
    CHECK(fiber_group_spawn(&group, f->rt, "late", late_main, &late, NULL) == 0);
    CHECK_CODE(history_wait(h, &KEY, EVENTS, clock_mono_us() + 30000000, &last, &err), 0);
    CHECK_INT(last, EVENTS + 1);
    fiber_group_wait(&group);
}

static void large_sessions_go_by_sweeps(struct fixture *f, struct history *h) {
    struct history_result *r = ARENA_ARRAY(&f->arena, struct history_result, LARGE);
    struct history_session session;
    struct history_stats stats;
    struct err err = {0};
    size_t removed, sum = 0;
    CHECK_CODE(history_session_delete(h, &KEY, &err), 0);
    CHECK_CODE(append(h, &f->arena, 0, LARGE, r, &err), 0);
    CHECK_INT(r[LARGE - 1].seq, LARGE);
    CHECK_CODE(history_session_delete(h, &KEY, &err), 0);
    CHECK_CODE(history_session_get(h, &KEY, &f->arena, &session, &err), ERR_NOT_FOUND);
    CHECK_CODE(append(h, &f->arena, 7, 1, r, &err), 0);
    CHECK_INT(r[0].seq, 1);
    CHECK(!r[0].duplicate);
    do {
        CHECK_CODE(history_sweep(h, clock_wall_us(), 700, &removed, &err), 0);
        sum += removed;
    } while (removed > 0);
    CHECK_INT(sum, LARGE - 1000); /* those went with the session */
    CHECK_CODE(history_stats(h, &stats, &err), 0);
    CHECK_INT(stats.sessions, 1);
    CHECK_INT(stats.events, 1);
    CHECK_INT(stats.payload_bytes, 7);
    CHECK_CODE(history_session_get(h, &KEY, &f->arena, &session, &err), 0);
    CHECK_INT(session.first_seq, 1);
    CHECK_INT(session.last_seq, 1);
}

/* Of so many pages of events from anywhere: the reads on the loop, and those that were tried there
 * in vain. A turn of the loop that is long already takes none, hence a new turn for each. */
static void read_pages(struct fixture *f, struct history *h, const struct history_range *range,
                       size_t count, struct db_stats *out) {
    struct history_page page;
    struct db_stats before, after;
    struct err err = {0};
    db_stats(f->db, &before);
    for (int i = 0; i < PAGES; i++) {
        struct arena a;
        arena_init(&a, 64u << 20);
        fiber_yield();
        int rc = history_read(h, range, &a, &page, &err);
        size_t got = rc == 0 ? page.count : 0;
        arena_deinit(&a);
        CHECK_CODE(rc, 0);
        CHECK_INT(got, count);
    }
    db_stats(f->db, &after);
    *out = (struct db_stats){.reads_inline = after.reads_inline - before.reads_inline,
                             .read_fallbacks = after.read_fallbacks - before.read_fallbacks};
}

static void small_pages_need_no_thread(struct fixture *f, struct history *h) {
    struct history_range range = HISTORY_RANGE_ALL(KEY);
    struct history_result r[PAGE];
    struct history_event *large = ARENA_ARRAY(&f->arena, struct history_event, PAGE);
    char *payload = arena_alloc(&f->arena, LARGE_BYTES);
    struct db_stats reads;
    struct err err = {0};
    bool on_loop = !f->in_memory && !f->postgres;
    memset(payload, '1', LARGE_BYTES);
    range.limit = 10;
    read_pages(f, h, &range, 10, &reads);
    CHECK_THAT(on_loop ? reads.reads_inline > 0 : reads.reads_inline == 0, "%d of %d on the loop",
               (int)reads.reads_inline, PAGES);
    CHECK_INT(reads.read_fallbacks, 0);
    range.limit = HISTORY_PAGE_MAX;
    read_pages(f, h, &range, EVENTS + 1, &reads);
    CHECK_INT(reads.reads_inline + reads.read_fallbacks, 0);
    for (int i = 0; i < PAGE; i++) {
        large[i] = event(&f->arena, LARGE + i);
        large[i].payload = str_n(payload, LARGE_BYTES);
    }
    struct history_append append = {.key = KEY, .events = large, .count = PAGE, .results = r};
    CHECK_CODE(history_append(h, &append, &err), 0);
    range.limit = PAGE;
    range.seq_min = EVENTS + 2;
    read_pages(f, h, &range, PAGE, &reads);
    CHECK_INT(reads.reads_inline, 0);
    CHECK_THAT(reads.read_fallbacks <= PAGES / 4, "%d of %d were tried", (int)reads.read_fallbacks,
               PAGES);
}

static void history(struct fixture *f) {
    struct history_sql_options o = {.shared = true};
    struct history *h = history_sql_open(f->db, &o), *other = history_sql_open(f->db, &o);
    answers_that_are_lost(f, h);
    if (!f->failure[0])
        same_events_from_two(f, h, other);
    if (!f->failure[0])
        others_are_heard_of(f, h, other);
    if (!f->failure[0])
        small_pages_need_no_thread(f, h);
    if (!f->failure[0])
        large_sessions_go_by_sweeps(f, h);
    history_close(other);
    history_close(h);
}

int main(void) { return fixture_main("history in a database", history); }
