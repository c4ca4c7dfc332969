/* SPDX-License-Identifier: Apache-2.0 */
/* test_watch.c - watches are told once of what is appended and deleted, here and elsewhere.
 *
 * Method: on a fiber, over the model; what others do is done on the inner history, of which the
 * outer one (a pipeline) is not told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "history/memory.h"
#include "history/pipeline.h"
#include "history/watch.h"

static const struct history_key KEY = {{"", 0}, {"s", 1}};

struct watcher {
    struct history_watch watch;
    struct watcher *stops; /* another one, when it is told */
    int told;
};
struct scene {
    struct rt *rt;
    struct history *h, *inner;
    void (*fn)(struct scene *s);
    char failure[256];
};
#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b && !s->failure[0])                                                  \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: %s is %lld, not %lld",         \
                           __LINE__, #a, check_a, check_b);                                        \
    } while (0)

static void on_told(struct history_watch *w) {
    struct watcher *it = CONTAINER_OF(w, struct watcher, watch);
    it->told++;
    if (it->stops)
        history_watch_stop(&it->stops->watch);
}

static void start(struct scene *s, struct watcher *w, int64_t after_seq) {
    w->watch.fn = on_told;
    w->watch.after_seq = after_seq;
    history_watch_start(s->h, &KEY, &w->watch);
}

static void append(struct scene *s, struct history *h, const char *id) {
    struct history_event e = {
        .id = str_of(id), .type = STR("t"), .payload_kind = HISTORY_JSON, .payload = STR("1")};
    struct history_result r;
    struct history_append a = {.key = KEY, .events = &e, .count = 1, .results = &r};
    CHECK_INT(history_append(h, &a, NULL), 0);
}

static void appends_are_told_once(struct scene *s) {
    struct watcher one = {0}, late = {0};
    start(s, &one, 0);
    start(s, &late, 2);
    append(s, s->h, "a");
    CHECK_INT(one.told, 1);
    append(s, s->h, "b");
    CHECK_INT(one.told, 1); /* it was not started again */
    CHECK_INT(late.told, 0);
    append(s, s->h, "c");
    CHECK_INT(late.told, 1);
    start(s, &one, 3);
    history_watch_stop(&one.watch);
    history_watch_stop(&one.watch);
    append(s, s->h, "d");
    CHECK_INT(one.told, 1);
}

static void deletion_is_told(struct scene *s) {
    struct watcher one = {0};
    append(s, s->h, "a");
    start(s, &one, 99);
    CHECK_INT(history_session_delete(s->h, &KEY, NULL), 0);
    CHECK_INT(one.told, 1);
}

static void one_may_stop_another(struct scene *s) {
    struct watcher one = {0}, two = {.stops = &one}, three = {.stops = &three};
    start(s, &two, 0);
    start(s, &one, 0); /* behind two, which stops it */
    start(s, &three, 0);
    append(s, s->h, "a");
    CHECK_INT(two.told, 1);
    CHECK_INT(one.told, 0);
    CHECK_INT(three.told, 1);
}

static void others_are_looked_at(struct scene *s) {
    struct watcher one = {0};
    history_watch_others(s->h, s->rt, 2000);
    append(s, s->inner, "a"); /* another process */
    start(s, &one, 1);
    append(s, s->inner, "b");
    for (int i = 0; i < 5000 && one.told == 0; i++)
        (void)fiber_sleep_us(1000);
    CHECK_INT(one.told, 1);
    start(s, &one, 2); /* the looking fiber outlives the last watch by one look */
    history_watch_stop(&one.watch);
}

static void scene_main(void *arg) {
    struct scene *s = arg;
    s->fn(s);
    history_close(s->h);
    rt_stop(s->rt);
}

static void run(void (*fn)(struct scene *s)) {
    struct scene s = {.fn = fn, .inner = history_memory_open()};
    struct history_pipeline_options o;
    history_pipeline_options_default(&o);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    s.h = history_pipeline_wrap(s.rt, s.inner, &o);
    assert_non_null(fiber_spawn(s.rt, "scene", scene_main, &s, NULL));
    rt_run(s.rt);
    rt_close(s.rt);
    if (s.failure[0])
        fail_msg("%s", s.failure);
}

#define TEST(fn)                                                                                   \
    static void test_##fn(void **state) {                                                          \
        (void)state;                                                                               \
        run(fn);                                                                                   \
    }
TEST(appends_are_told_once)
TEST(deletion_is_told)
TEST(one_may_stop_another)
TEST(others_are_looked_at)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_are_told_once),
        cmocka_unit_test(test_deletion_is_told),
        cmocka_unit_test(test_one_may_stop_another),
        cmocka_unit_test(test_others_are_looked_at),
    };
    return cmocka_run_group_tests_name("history/watch", tests, NULL, NULL);
}
