/* SPDX-License-Identifier: Apache-2.0 */
/* test_source.c - Goal: a text is read once for all who wait, at most once an interval, whatever
 * is asked; a failure leaves the last text in use; files are read likewise, and only files.
 * Method: an authority in the same loop; intervals that are over at once or never. */
#include "auth/source.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "authority.h"

#define NEVER_US INT64_C(3600000000)

struct taker {
    str text;
    int takes;
    int rc;
    struct arena a;
};

static int take(void *ctx, str text, struct err *err) {
    struct taker *t = ctx;
    t->takes++;
    if (t->rc < 0)
        return err_set(err, t->rc, "not this one");
    t->text = arena_dup(&t->a, text);
    return 0;
}

static struct source *make(struct scene *s, struct taker *t, str location, int64_t interval_us,
                           int64_t age_us) {
    struct source_options o = {.rt = s->rt,
                               .client = s->client,
                               .fibers = &s->fibers,
                               .what = "the test",
                               .location = location,
                               .bytes_max = 1000,
                               .interval_us = interval_us,
                               .retry_us = 0,
                               .age_us = age_us,
                               .timeout_us = 500000,
                               .take = take,
                               .ctx = t};
    *t = (struct taker){.rc = 0};
    arena_init(&t->a, 1 << 20);
    return source_new(&o);
}

struct asker {
    struct source *source;
    int rc;
};
static void ask(void *arg) {
    struct asker *a = arg;
    a->rc = source_refresh(a->source, NULL);
}

static void body_single_flight(struct scene *s) {
    struct taker t;
    struct source *source = make(s, &t, s->url, NEVER_US, NEVER_US);
    struct asker askers[50];
    struct fiber_group group;
    s->answer = STR("one");
    s->delay_us = 20000;
    fiber_group_init(&group);
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++) {
        askers[i] = (struct asker){source, 1};
        assert_int_equal(fiber_group_spawn(&group, s->rt, "ask", ask, &askers[i], NULL), 0);
    }
    fiber_group_wait(&group);
    for (size_t i = 0; i < ARRAY_COUNT(askers); i++)
        assert_int_equal(askers[i].rc, 0);
    assert_int_equal(s->asked, 1);
    assert_true(source_taken(source) && str_eq(t.text, STR("one")));
    struct err err = {0};
    for (int i = 0; i < 100; i++)
        assert_int_equal(source_refresh(source, &err), ERR_LIMIT);
    assert_true(err.retry_after_ms > 0);
    source_touch(source);
    fiber_yield();
    assert_int_equal(s->asked, 1);
    source_free(source);
    arena_deinit(&t.a);
}

static void body_failures(struct scene *s) {
    struct taker t;
    struct err err = {0};
    struct source *source = make(s, &t, s->url, 0, NEVER_US);
    s->status = 500;
    assert_int_equal(source_refresh(source, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "500"));
    assert_false(source_taken(source));
    s->status = 200;
    t.rc = ERR_INVALID;
    assert_int_equal(source_refresh(source, &err), ERR_INVALID);
    assert_false(source_taken(source));
    t.rc = 0;
    s->answer = STR("one");
    assert_int_equal(source_refresh(source, &err), 0);
    assert_int_equal(source_refresh(source, &err), 0);
    assert_int_equal(t.takes, 2); /* the same text is taken once */
    s->answer = STR("two");
    t.rc = ERR_INVALID;
    assert_int_equal(source_refresh(source, &err), ERR_INVALID);
    assert_true(str_eq(t.text, STR("one")));
    t.rc = 0;
    assert_int_equal(source_refresh(source, &err), 0);
    assert_true(str_eq(t.text, STR("two")));
    char *large = arena_zalloc(&s->a, 1001);
    s->answer = str_n(large, 1001);
    assert_true(source_refresh(source, &err) < 0);
    s->status = 0; /* it hangs */
    assert_true(source_refresh(source, &err) < 0);
    assert_true(str_eq(t.text, STR("two")));
    source_free(source);
    arena_deinit(&t.a);
}

static void body_touch(struct scene *s) {
    struct taker t;
    struct source *source = make(s, &t, s->url, 0, 0);
    source_touch(source);
    source_touch(source);
    while (!source_taken(source))
        assert_int_equal(fiber_sleep_us(1000), 0);
    assert_int_equal(s->asked, 1);
    source_free(source);
    arena_deinit(&t.a);
}

static void body_cancelled(struct scene *s) {
    struct taker t;
    struct source *source = make(s, &t, s->url, 0, 0);
    struct asker asker = {source, 1};
    struct fiber_group group;
    s->delay_us = 20000;
    fiber_group_init(&group);
    assert_int_equal(fiber_group_spawn(&group, s->rt, "ask", ask, &asker, NULL), 0);
    fiber_yield();
    fiber_group_cancel(&group);
    fiber_group_wait(&group);
    assert_int_equal(asker.rc, ERR_CANCELLED);
    assert_int_equal(source_refresh(source, NULL), 0); /* the read goes on */
    assert_int_equal(s->asked, 1);
    source_free(source);
    arena_deinit(&t.a);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void body_files(struct scene *s) {
    struct taker t;
    struct err err = {0};
    char folder[] = "/tmp/holdfast-source-XXXXXX";
    assert_non_null(mkdtemp(folder));
    str path = arena_printf(&s->a, "%s/keys", folder);
    struct source *source = make(s, &t, path, 0, 0);
    assert_int_equal(source_load(source, &err), ERR_IO);
    write_file(path.p, "one");
    assert_int_equal(source_load(source, &err), 0);
    assert_true(str_eq(t.text, STR("one")));
    write_file(path.p, "two");
    assert_int_equal(source_refresh(source, &err), 0);
    assert_true(str_eq(t.text, STR("two")));
    assert_int_equal(unlink(path.p), 0);
    assert_int_equal(source_refresh(source, &err), ERR_IO);
    assert_true(str_eq(t.text, STR("two")));
    write_file(path.p, arena_printf(&s->a, "%1001s", "x").p);
    assert_int_equal(source_refresh(source, &err), ERR_TOO_LARGE);
    assert_int_equal(unlink(path.p), 0);
    assert_int_equal(mkfifo(path.p, 0600), 0);
    assert_int_equal(source_refresh(source, &err), ERR_INVALID);
    assert_int_equal(unlink(path.p), 0);
    source_free(source);
    arena_deinit(&t.a);
    source = make(s, &t, str_of(folder), 0, 0);
    assert_int_equal(source_load(source, &err), ERR_INVALID);
    source_free(source);
    arena_deinit(&t.a);
    assert_int_equal(rmdir(folder), 0);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        scene_run(body_##name);                                                                    \
    }
TEST(single_flight)
TEST(failures)
TEST(touch)
TEST(cancelled)
TEST(files)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_flight), cmocka_unit_test(test_failures),
        cmocka_unit_test(test_touch), cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
