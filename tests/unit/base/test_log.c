/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: one valid JSON object a line whatever is logged, levels are respected, repetitions are
 * counted. Method: log into a pipe under a hand-set clock and parse what comes out. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

static struct arena a;
static int ends[2];
static int64_t mono_us;

static int64_t mono_now(void) { return mono_us; }

static int64_t wall_now(void) { return INT64_C(1795227766334123); }

static int setup(void **state) {
    (void)state;
    arena_init(&a, 64 << 20);
    mono_us = 1000;
    clock_set_source(wall_now, mono_now);
    if (pipe(ends) != 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return -1;
    (void)fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    log_init(LOG_DEBUG, ends[1], false);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    log_flush();
    log_init(LOG_INFO, STDERR_FILENO, false);
    clock_set_source(NULL, NULL);
    close(ends[0]);
    close(ends[1]);
    arena_deinit(&a);
    return 0;
}

/* Everything written since the last call. */
static str written(void) {
    char *p = arena_alloc(&a, 1 << 20);
    ssize_t n = read(ends[0], p, 1 << 20);
    return str_n(p, n > 0 ? (size_t)n : 0);
}

static yyjson_val *line_parse(str line) {
    yyjson_val *v = NULL;
    struct err err;
    if (json_parse(&a, line, &v, &err) != ERR_OK)
        fail_msg("%s: " STR_FMT, err.message, STR_ARG(line));
    return v;
}

static yyjson_val *line_next(str *rest) {
    str line;
    assert_true(str_split_next(rest, '\n', &line));
    return line_parse(line);
}

static void one_line(void **state) {
    (void)state;
    log_event(LOG_INFO, "db.query.slow", "took too long", LOG_INT("latency_ms", 120),
              LOG_STR("sql", STR("a\nb\"c")), LOG_DOUBLE("ratio", 0.5), LOG_Z("none", NULL));
    check_str(written(), "{\"time\":\"2026-11-21T02:22:46.334123Z\",\"level\":\"info\","
                         "\"event\":\"db.query.slow\",\"msg\":\"took too long\",\"latency_ms\":120,"
                         "\"sql\":\"a\\nb\\\"c\",\"ratio\":0.5,\"none\":null}\n");
    log_plain(LOG_DEBUG, "x", "y");
    str rest = written();
    yyjson_val *v = line_next(&rest);
    check_str(json_str(json_get(v, "level")), "debug");
    check_str(json_str(json_get(v, "msg")), "y");
}

static int evaluated;

static int64_t evaluate(void) { return ++evaluated; }

static void levels(void **state) {
    (void)state;
    log_init(LOG_WARN, ends[1], false);
    log_event(LOG_INFO, "quiet", "quiet", LOG_INT("n", evaluate()));
    log_plain(LOG_INFO, "quiet", "quiet");
    assert_int_equal(written().len, 0);
    assert_int_equal(evaluated, 0); /* fields of a line that is not written cost nothing */
    assert_true(log_enabled(LOG_ERROR));
    assert_false(log_enabled(LOG_DEBUG));
    enum log_level level = LOG_ERROR;
    assert_true(log_level_parse(STR("Debug"), &level) && level == LOG_DEBUG);
    assert_true(log_level_parse(STR("warning"), &level) && level == LOG_WARN);
    assert_true(log_level_parse(STR("error"), &level) && level == LOG_ERROR);
    assert_false(log_level_parse(STR("loud"), &level));
    assert_int_equal(level, LOG_ERROR);
}

static void hostile_text(void **state) {
    (void)state;
    char big[20000];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(big, 'x', sizeof big);
        for (size_t i = shift; i + 3 <= sizeof big; i += 3)
            memcpy(big + i, "\xE2\x82\xAC", 3);
        log_event(LOG_INFO, "big", "big", LOG_STR("text", str_n(big, sizeof big)));
        str rest = written();
        yyjson_val *v = line_next(&rest);
        assert_in_range(json_str(json_get(v, "text")).len, 8000, 8200);
    }
    log_event(LOG_INFO, "bad", "bad\x1b[2J\n{\"forged\":1}",
              LOG_STR("text", STR("a\xFF"
                                  "b\xC3\xA9\xE2\x82")));
    str rest = written();
    assert_int_equal(str_find_char(rest, '\x1b'), -1);
    yyjson_val *v = line_next(&rest);
    check_str(json_str(json_get(v, "text")), "a\xEF\xBF\xBD"
                                             "b\xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_int_equal(rest.len, 0);
}

static void repetitions_are_counted(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++)
        log_event(LOG_WARN, "peer.down", "no answer", LOG_INT("i", i));
    log_plain(LOG_WARN, "peer.down", "another text");
    log_plain(LOG_ERROR, "peer.down", "no answer");
    log_plain(LOG_INFO, "same", "same");
    log_plain(LOG_INFO, "same", "same");
    str rest = written();
    assert_int_equal(yyjson_get_int(json_get(line_next(&rest), "i")), 0);
    check_str(json_str(json_get(line_next(&rest), "msg")), "another text");
    check_str(json_str(json_get(line_next(&rest), "level")), "error");
    check_str(json_str(json_get(line_next(&rest), "level")), "info");
    check_str(json_str(json_get(line_next(&rest), "level")), "info");
    assert_int_equal(rest.len, 0);
    mono_us += 10000000;
    log_plain(LOG_INFO, "tick", "tick");
    rest = written();
    yyjson_val *v = line_next(&rest);
    check_str(json_str(json_get(v, "event")), "peer.down");
    check_str(json_str(json_get(v, "msg")), "no answer");
    assert_int_equal(yyjson_get_int(json_get(v, "repeated")), 4);
    check_str(json_str(json_get(line_next(&rest), "event")), "tick");
    log_plain(LOG_WARN, "peer.down", "no answer"); /* a new period */
    log_plain(LOG_WARN, "peer.down", "no answer");
    rest = written();
    assert_null(json_get(line_next(&rest), "repeated"));
    assert_int_equal(rest.len, 0);
    log_flush();
    rest = written();
    assert_int_equal(yyjson_get_int(json_get(line_next(&rest), "repeated")), 1);
}

static void more_events_than_places(void **state) {
    (void)state;
    char name[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof name, "event.%d", i);
            mono_us++;
            log_plain(LOG_WARN, name, "x");
            log_plain(LOG_WARN, name, "x");
        }
    log_flush();
    str rest = written();
    int64_t lines = 0, repeated = 0;
    while (rest.len) {
        int64_t n = yyjson_get_int(json_get(line_next(&rest), "repeated"));
        lines += n == 0;
        repeated += n;
    }
    assert_int_equal(lines + repeated, 400); /* nothing is lost */
    assert_int_equal(repeated, 200);
}

static void pretty_lines(void **state) {
    (void)state;
    log_init(LOG_DEBUG, ends[1], true);
    log_event(LOG_WARN, "a.b", "hello\nworld", LOG_Z("k", "two words"), LOG_INT("n", 5));
    str text = written();
    assert_true(str_starts(text, STR("02:22:46.334 ")));
    assert_true(str_find(text, STR("hello\\nworld")) > 0);
    assert_true(str_find(text, STR("\"two words\"")) > 0);
    assert_int_equal(str_find_char(text, '\n'), text.len - 1);
}

static void *many_lines(void *arg) {
    for (int i = 0; i < 500; i++)
        log_event(LOG_INFO, arg, "line", LOG_INT("i", i));
    return NULL;
}

static void threads_do_not_mix_lines(void **state) {
    (void)state;
    pthread_t threads[3];
    char names[3][4] = {"t0", "t1", "t2"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_lines, names[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    str rest = written();
    int lines = 0, next[3] = {0};
    while (rest.len) {
        yyjson_val *v = line_next(&rest);
        int who = json_str(json_get(v, "event")).p[1] - '0';
        assert_in_range(who, 0, 2);
        assert_int_equal(yyjson_get_int(json_get(v, "i")), next[who]++);
        lines++;
    }
    assert_int_equal(lines, 1500);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- sinks --- */

struct sunk {
    int lines;
    char last[256];
};

static void sink_write(void *ctx, enum log_level level, const char *event, const char *message,
                       const struct log_field *fields, size_t count) {
    struct sunk *s = ctx;
    struct buf b;
    buf_init(&b, sizeof s->last);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    log_fields_write(&w, fields, count);
    jw_object_end(&w);
    s->lines++;
    (void)snprintf(s->last, sizeof s->last, "%s %s %s " STR_FMT, log_level_name(level), event,
                   message, STR_ARG(buf_view(&b)));
    buf_deinit(&b);
}

static void *log_elsewhere(void *arg) {
    (void)arg;
    assert_null(log_redirected());
    log_plain(LOG_WARN, "from.elsewhere", "another thread");
    return NULL;
}

/* A thread's lines go to its sink, each of them; others' stay where they were. */
static void sinks(void **state) {
    struct sunk sunk = {0};
    const struct log_sink sink = {LOG_INFO, sink_write, &sunk}, off = {LOG_OFF, sink_write, &sunk};
    pthread_t other;
    (void)state;
    log_redirect(&sink);
    assert_false(log_enabled(LOG_DEBUG));
    log_event(LOG_DEBUG, "a.b", "too low", LOG_INT("n", 1));
    for (int i = 0; i < 3; i++)
        log_event(LOG_WARN, "a.b", "again", LOG_INT("n", i), LOG_Z("s", "x\"y"),
                  LOG_DOUBLE("d", 0.5));
    assert_int_equal(sunk.lines, 3);
    assert_string_equal(sunk.last, "warn a.b again {\"n\":2,\"s\":\"x\\\"y\",\"d\":0.5}");
    assert_int_equal(pthread_create(&other, NULL, log_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    log_redirect(&off);
    log_plain(LOG_ERROR, "a.b", "nowhere");
    assert_int_equal(sunk.lines, 3);
    log_redirect(NULL);
    str text = written();
    assert_true(str_find(text, STR("from.elsewhere")) >= 0);
    assert_true(str_find(text, STR("a.b")) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(one_line),
        LOG_TEST(levels),
        LOG_TEST(hostile_text),
        LOG_TEST(repetitions_are_counted),
        LOG_TEST(more_events_than_places),
        LOG_TEST(pretty_lines),
        LOG_TEST(threads_do_not_mix_lines),
        LOG_TEST(sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
