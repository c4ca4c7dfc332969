/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each action does what it says, from the hit it says, and a bad specification changes
 * nothing. Method: set, hit and list; the crash in a child. Release builds: nothing is there. */
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#ifdef HF_DEBUG

static void errors_and_counts(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(FAILPOINT("a.b"), 0);
    assert_int_equal(failpoint_set(STR("a.b=error(14); c.d = error(limit)@3 ;"), &err), ERR_OK);
    assert_int_equal(FAILPOINT("a.b"), ERR_IO);
    assert_int_equal(FAILPOINT("a.b"), ERR_IO);
    assert_int_equal(FAILPOINT("c.d"), 0);
    assert_int_equal(FAILPOINT("c.d"), 0);
    assert_int_equal(FAILPOINT("c.d"), ERR_LIMIT);
    assert_int_equal(FAILPOINT("c.d"), ERR_LIMIT);
    assert_int_equal(failpoint_set(STR("c.d=error(-8)@2"), &err), ERR_OK); /* counts anew */
    assert_int_equal(FAILPOINT("c.d"), 0);
    assert_int_equal(FAILPOINT("c.d"), ERR_UNAVAILABLE);
    assert_int_equal(failpoint_set(STR("a.b=off"), &err), ERR_OK);
    assert_int_equal(FAILPOINT("a.b"), 0);
    struct buf b;
    buf_init(&b, 1 << 16);
    failpoint_list(&b);
    check_str(buf_view(&b), "[{\"name\":\"a.b\",\"hits\":4,\"action\":\"off\"},"
                            "{\"name\":\"c.d\",\"hits\":6,\"action\":\"error(UNAVAILABLE)@2\"}]");
    buf_deinit(&b);
}

static void bad_specifications(void **state) {
    (void)state;
    static const char *const bad[] = {
        "x", "=off", "x=", "x=boom", "x=error", "x=error()", "x=error(0)", "x=error(999)",
        "x=error(14", "x=delay(-1)", "x=delay(ten)", "x=delay(99999999)", "x=off@0", "x=off@",
        "x=crash@-1", "x=crash()"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct err err = {0};
        char both[80];
        snprintf(both, sizeof both, "e.f=error(14);%s", bad[i]);
        if (failpoint_set(str_of(both), &err) != ERR_INVALID || err.code != ERR_INVALID)
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(FAILPOINT("e.f"), 0);
    }
}

static void delay_waits(void **state) {
    (void)state;
    assert_int_equal(failpoint_set(STR("slow=delay(20)"), NULL), ERR_OK);
    int64_t from = clock_mono_us();
    assert_int_equal(FAILPOINT("slow"), 0);
    assert_true(clock_mono_us() - from >= 20000); /* a lower bound only: nothing can be faster */
    assert_int_equal(failpoint_set(STR("slow=off"), NULL), ERR_OK);
}

static void crash_kills(void **state) {
    (void)state;
    assert_int_equal(failpoint_set(STR("die=crash@2"), NULL), ERR_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)FAILPOINT("die");
        (void)FAILPOINT("die");
        _exit(7);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void environment(void **state) {
    (void)state;
    assert_int_equal(setenv("HF_FAILPOINTS", "from.env=error(NOT_FOUND)", 1), 0);
    failpoint_init_from_env();
    assert_int_equal(FAILPOINT("from.env"), ERR_NOT_FOUND);
    assert_int_equal(setenv("HF_FAILPOINTS", "from.env=nonsense", 1), 0);
    int ends[2];
    char line[400] = "";
    assert_int_equal(pipe(ends), 0);
    log_init(LOG_INFO, ends[1], false);
    failpoint_init_from_env();
    log_init(LOG_INFO, STDERR_FILENO, false);
    log_flush();
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "failpoint.invalid"));
    assert_int_equal(FAILPOINT("from.env"), ERR_NOT_FOUND);
    assert_int_equal(unsetenv("HF_FAILPOINTS"), 0);
    failpoint_init_from_env();
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_and_counts), cmocka_unit_test(bad_specifications),
        cmocka_unit_test(delay_waits),       cmocka_unit_test(crash_kills),
        cmocka_unit_test(environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void release_has_none(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(FAILPOINT("a"), 0);
    assert_int_equal(failpoint_set(STR("a=crash"), &err), ERR_UNSUPPORTED);
    struct buf b;
    buf_init(&b, 64);
    failpoint_list(&b);
    check_str(buf_view(&b), "[]");
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(release_has_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
