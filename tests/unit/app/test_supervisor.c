/* SPDX-License-Identifier: Apache-2.0 */
/* test_supervisor.c - Goal: N processes are started, the first one alone; one that dies is started
 * again with growing pauses; a start that fails ends it all; signals are handed on; processes do
 * not outlive their supervisor. Method: the supervisor in a process of its own; its processes are a
 * stand-in that listens on the shared port and tells its number to whoever connects. */
#include "app/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PATIENCE_US INT64_C(20000000)

/* What the stand-in does. */
enum habit { HABIT_SERVE, HABIT_FAIL, HABIT_LATER_FAIL, HABIT_DEAF };

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons((uint16_t)port)};
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 64) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static int free_port(void) {
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    int fd = listen_on(0);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

static void on_term(int signum) {
    (void)signum;
    _exit(0);
}

static void worker(struct supervisor_worker *w, int port, enum habit habit) {
    struct sigaction action = {.sa_handler = habit == HABIT_DEAF ? SIG_IGN : on_term};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    if (habit == HABIT_FAIL)
        _exit(7);
    int fd = listen_on(port);
    if (fd < 0)
        _exit(8);
    supervisor_ready(w);
    if (habit == HABIT_LATER_FAIL && w->index == 2)
        _exit(9);
    for (;;) {
        int32_t told[2] = {w->index, (int32_t)getpid()};
        int c = accept(fd, NULL, NULL);
        if (c >= 0) {
            ssize_t n = write(c, told, sizeof(told));
            (void)n;
            (void)close(c);
        }
    }
}

/* The supervisor as a child of the test. */
static pid_t begin(int count, int port, enum habit habit, int64_t stop_us) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct supervisor_options o = {
        .count = count, .stop_us = stop_us, .pause_us_min = 20000, .pause_us_max = 200000};
    struct supervisor_worker w;
    int status = 0;
    struct err err = {0};
    if (supervisor_run(&o, &w, &status, &err) < 0)
        _exit(99);
    if (w.index > 0)
        worker(&w, port, habit);
    _exit(status);
}

/* Who answers at the port: its number and its process. False when nobody does. */
static bool ask(int port, int32_t told[2]) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)},
                             .sin_port = htons((uint16_t)port)};
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
              read(fd, told, 2 * sizeof(int32_t)) == 2 * (ssize_t)sizeof(int32_t);
    (void)close(fd);
    return ok;
}

/* Asks until every number has answered with a process that is not `not_pid`. */
static void await_all(int port, int count, int32_t pids[], int32_t not_pid) {
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    for (int seen = 0; seen < count;) {
        int32_t told[2];
        if (clock_mono_us() > until_us)
            fail_msg("only %d of %d answer", seen, count);
        if (!ask(port, told)) {
            (void)usleep(2000);
            continue;
        }
        assert_true(told[0] >= 1 && told[0] <= count);
        if (told[1] == not_pid)
            continue;
        pids[told[0] - 1] = told[1];
        seen = 0;
        for (int i = 0; i < count; i++)
            seen += pids[i] != 0;
    }
}

static int end(pid_t pid) {
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
}

static void await_gone(pid_t pid) {
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    while (kill(pid, 0) == 0) {
        assert_true(clock_mono_us() < until_us);
        (void)usleep(2000);
    }
}

static void test_shared_port(void **state) {
    (void)state;
    int port = free_port();
    int32_t pids[4] = {0};
    pid_t supervisor = begin(4, port, HABIT_SERVE, PATIENCE_US);
    await_all(port, 4, pids, 0);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            assert_int_not_equal(pids[i], pids[j]);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(end(supervisor), 0);
    for (int i = 0; i < 4; i++)
        await_gone(pids[i]);
}

static void test_starts_again(void **state) {
    (void)state;
    int port = free_port();
    int32_t pids[3] = {0};
    pid_t supervisor = begin(3, port, HABIT_SERVE, PATIENCE_US);
    await_all(port, 3, pids, 0);
    for (int round = 0; round < 5; round++) {
        int32_t victim = pids[round % 3];
        assert_int_equal(kill(victim, SIGKILL), 0);
        pids[round % 3] = 0;
        await_all(port, 3, pids, victim);
        assert_int_not_equal(pids[round % 3], victim);
    }
    assert_int_equal(kill(supervisor, SIGINT), 0);
    assert_int_equal(end(supervisor), 0);
}

static void test_failing_start(void **state) {
    (void)state;
    assert_int_equal(end(begin(3, free_port(), HABIT_FAIL, PATIENCE_US)), 7);
}

/* The second one dies again and again; the others serve, and the end is in order. */
static void test_failing_later(void **state) {
    (void)state;
    int port = free_port();
    int32_t told[2];
    pid_t supervisor = begin(2, port, HABIT_LATER_FAIL, PATIENCE_US);
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    while (!ask(port, told) || told[0] != 1)
        assert_true(clock_mono_us() < until_us);
    (void)usleep(300000);
    int status;
    assert_int_equal(waitpid(supervisor, &status, WNOHANG), 0); /* it lives */
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    int code = end(supervisor);
    assert_true(code == 0 || code == 9); /* the second may have died while all ended */
}

static void test_deaf(void **state) {
    (void)state;
    int port = free_port();
    int32_t pids[2] = {0};
    pid_t supervisor = begin(2, port, HABIT_DEAF, 100000);
    await_all(port, 2, pids, 0);
    assert_int_equal(kill(supervisor, SIGTERM), 0);
    assert_int_equal(end(supervisor), 128 + SIGKILL);
    await_gone(pids[0]);
    await_gone(pids[1]);
}

static void test_orphans(void **state) {
    (void)state;
    int port = free_port();
    int32_t pids[2] = {0};
    pid_t supervisor = begin(2, port, HABIT_SERVE, PATIENCE_US);
    await_all(port, 2, pids, 0);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    assert_int_equal(end(supervisor), 128 + SIGKILL);
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    int32_t told[2];
    while (ask(port, told))
        assert_true(clock_mono_us() < until_us);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_port),   cmocka_unit_test(test_starts_again),
        cmocka_unit_test(test_failing_start), cmocka_unit_test(test_failing_later),
        cmocka_unit_test(test_deaf),          cmocka_unit_test(test_orphans),
    };
    log_init(LOG_ERROR, STDERR_FILENO, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
