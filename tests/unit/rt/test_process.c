/* SPDX-License-Identifier: Apache-2.0 */
/* test_process.c - child processes. Goal: what is written arrives and what it answers comes back
 * whole, its end is told once with its status, a group is killed whole, limits of unread input,
 * backpressure, a program that is missing, no callback and no zombie after closing.
 * Method: real children of the shell; each test runs the loop until its own condition. */
#include "rt/process.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

struct child {
    struct rt *rt;
    struct rt_process *p;
    struct buf out, errors;
    int ends, status, signum, stream_ends, closes;
    size_t stop_bytes; /* of out: the loop ends */
    bool pause;        /* after the first output */
};

static void check_over(struct child *c) {
    bool enough = c->stop_bytes && c->out.len >= c->stop_bytes;
    if (enough || (c->ends == 1 && c->stream_ends == 2) || (c->pause && c->out.len))
        rt_stop(c->rt);
}

static void on_output(void *ctx, enum rt_process_stream stream, str bytes) {
    struct child *c = ctx;
    assert_int_equal(c->closes, 0);
    if (!bytes.p)
        c->stream_ends++;
    else
        buf_str(stream == RT_PROCESS_STDOUT ? &c->out : &c->errors, bytes);
    if (c->pause && bytes.p)
        rt_process_pause(c->p, true);
    check_over(c);
}

static void on_end(void *ctx, int status, int signum) {
    struct child *c = ctx;
    c->ends++;
    c->status = status;
    c->signum = signum;
    check_over(c);
}

static void on_closed(void *ctx) {
    struct child *c = ctx;
    c->closes++;
    rt_stop(c->rt);
}

static int open_child(struct child *c, const char *script, size_t input_bytes_max,
                      struct err *err) {
    char *argv[] = {(char *)(uintptr_t)"/bin/sh", (char *)(uintptr_t)"-c",
                    (char *)(uintptr_t)script, NULL};
    struct rt_process_options o = {.argv = argv,
                                   .input_bytes_max = input_bytes_max,
                                   .output = on_output,
                                   .ended = on_end,
                                   .ctx = c};
    *c = (struct child){0};
    buf_init(&c->out, 64u << 20);
    buf_init(&c->errors, 1u << 20);
    assert_int_equal(rt_open(&c->rt, NULL), 0);
    return rt_process_open(c->rt, &o, &c->p, err);
}

static void start(struct child *c, const char *script, size_t input_bytes_max) {
    assert_int_equal(open_child(c, script, input_bytes_max, NULL), 0);
}

static void write_all(struct child *c, str text) {
    struct err err = {0};
    if (rt_process_write(c->p, text, &err) < 0)
        fail_msg("%s", err.message);
}

static void finish(struct child *c) {
    if (c->p) {
        rt_process_close(c->p, on_closed, c);
        rt_run(c->rt);
        assert_int_equal(c->closes, 1);
    }
    rt_close(c->rt);
    buf_deinit(&c->out);
    buf_deinit(&c->errors);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all were waited for */
    assert_int_equal(errno, ECHILD);
}

static void expect_out(const struct child *c, const char *text) {
    assert_int_equal(c->out.len, strlen(text));
    assert_memory_equal(c->out.p, text, strlen(text));
}

static void test_echo(void **state) {
    (void)state;
    struct child c;
    start(&c, "cat; echo done >&2; exit 7", 1 << 20);
    write_all(&c, STR("one\n"));
    write_all(&c, STR("two\n"));
    rt_process_end_input(c.p);
    rt_run(c.rt);
    expect_out(&c, "one\ntwo\n");
    assert_int_equal(c.errors.len, 5);
    assert_int_equal(c.status, 7);
    assert_int_equal(c.signum, 0);
    assert_int_equal(rt_process_write(c.p, STR("late"), NULL), ERR_CLOSED);
    finish(&c);
}

static void test_much(void **state) {
    (void)state;
    struct child c;
    size_t size = 4u << 20;
    char *bytes = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)('a' + i % 23);
    start(&c, "exec cat", 8u << 20);
    write_all(&c, str_n(bytes, size));
    rt_process_end_input(c.p);
    rt_run(c.rt);
    assert_int_equal(c.out.len, size);
    assert_memory_equal(c.out.p, bytes, size);
    mem_free(bytes);
    finish(&c);
}

static void test_kill_reaches_the_group(void **state) {
    (void)state;
    struct child c;
    start(&c, "sleep 1000 & echo $!; wait", 1 << 20);
    c.stop_bytes = 2;
    rt_run(c.rt);
    int64_t grandchild = 0;
    assert_true(str_to_i64(str_trim(buf_view(&c.out)), &grandchild) && grandchild > 1);
    assert_int_equal(kill((pid_t)grandchild, 0), 0);
    c.stop_bytes = 0;
    rt_process_kill(c.p, SIGTERM);
    rt_run(c.rt); /* both streams end only when the grandchild is gone, too */
    assert_int_equal(c.signum, SIGTERM);
    finish(&c);
}

static void test_close_kills(void **state) {
    (void)state;
    struct child c;
    start(&c, "trap '' TERM; echo up; while :; do sleep 1000; done", 1 << 20);
    c.stop_bytes = 3;
    rt_run(c.rt);
    finish(&c);
    assert_int_equal(c.ends, 0); /* nothing is told after closing */
}

static void test_unread_input(void **state) {
    (void)state;
    struct child c;
    char bytes[4096];
    int rc = 0;
    struct err err = {0};
    memset(bytes, 'x', sizeof(bytes));
    start(&c, "echo up; exec sleep 1000", 1 << 20);
    for (size_t i = 0; i < 1024 && rc == 0; i++)
        rc = rt_process_write(c.p, str_n(bytes, sizeof(bytes)), &err);
    assert_int_equal(rc, ERR_LIMIT);
    assert_non_null(strstr(err.message, "does not read"));
    finish(&c);
}

static void test_pause(void **state) {
    (void)state;
    struct child c;
    start(&c, "dd if=/dev/zero bs=65536 count=64 2>/dev/null", 1 << 20);
    c.pause = true;
    rt_run(c.rt);
    size_t first = c.out.len;
    assert_true(first > 0 && first <= 64u << 10);
    c.pause = false;
    rt_process_pause(c.p, false);
    rt_run(c.rt);
    assert_int_equal(c.out.len, 64 * 65536);
    assert_int_equal(c.ends, 1);
    finish(&c);
}

static void test_missing(void **state) {
    (void)state;
    struct child c = {0};
    struct err err = {0};
    char *argv[] = {(char *)(uintptr_t)"/nowhere/program", NULL};
    struct rt_process_options o = {
        .argv = argv, .input_bytes_max = 1, .output = on_output, .ended = on_end, .ctx = &c};
    buf_init(&c.out, 1);
    buf_init(&c.errors, 1);
    assert_int_equal(rt_open(&c.rt, NULL), 0);
    assert_int_equal(rt_process_open(c.rt, &o, &c.p, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/program"));
    assert_null(c.p);
    finish(&c);
    assert_int_equal(c.ends, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_kill_reaches_the_group),
        cmocka_unit_test(test_close_kills),
        cmocka_unit_test(test_unread_input),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
