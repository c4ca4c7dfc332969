/* SPDX-License-Identifier: Apache-2.0 */
/* test_stmt_log.c - the statement log. Goal: the event and level of each latency, one blank for
 * white space, previews that end between characters. Method: the logger writes to a pipe. */
#include "db/stmt_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char line[8192];

/* The line logged for a statement of this latency; empty when there is none. */
static const char *logged(bool all, const char *sql, int64_t latency_us) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log_init(LOG_DEBUG, ends[1], false);
    stmt_log(all, "thing_get", sql, latency_us, 3);
    log_init(LOG_DEBUG, STDERR_FILENO, false);
    assert_int_equal(close(ends[1]), 0);
    ssize_t n = read(ends[0], line, sizeof(line) - 1);
    assert_true(n >= 0);
    line[n] = '\0';
    assert_int_equal(close(ends[0]), 0);
    return line;
}

static void assert_has(const char *text, const char *part) {
    if (strstr(text, part))
        return;
    print_error("no %s in %s", part, *text ? text : "an empty text");
    fail();
}

static void level_follows_latency(void **state) {
    (void)state;
    assert_string_equal(logged(false, "SELECT 1", 49999), "");
    assert_string_equal(logged(false, "SELECT 1", 50000), "");
    const char *text = logged(false, "SELECT 1", 50001);
    assert_has(text, "\"db.query\"");
    assert_has(text, "\"info\"");
    assert_has(logged(false, "SELECT 2", 100000), "\"db.query\"");
    text = logged(false, "SELECT 3", 100001);
    assert_has(text, "\"db.query.slow\"");
    assert_has(text, "\"warn\"");
    assert_has(logged(false, "SELECT 4", 500000), "\"db.query.slow\"");
    text = logged(false, "SELECT 5", 500001);
    assert_has(text, "\"db.query.critical-slow\"");
    assert_has(text, "\"error\"");
}

static void all_are_logged_when_wanted(void **state) {
    (void)state;
    const char *text = logged(true, "SELECT\n  a,\tb  FROM t", 1500);
    assert_has(text, "\"db.query\"");
    assert_has(text, "\"info\"");
    assert_has(text, "\"statement\":\"thing_get\"");
    assert_has(text, "\"latency_ms\":1.5");
    assert_has(text, "\"rows\":3");
    assert_has(text, "\"preview\":\"SELECT a, b FROM t\"");
    assert_has(logged(true, "SELECT 1", 600000), "\"db.query.critical-slow\"");
}

static void preview_is_a_hundred_characters(void **state) {
    (void)state;
    char out[STMT_LOG_PREVIEW_BYTES], sql[1024];
    stmt_log_preview("", out);
    assert_string_equal(out, "");
    stmt_log_preview(" \n\t ", out);
    assert_string_equal(out, "");
    stmt_log_preview("\n a \r\n b ", out);
    assert_string_equal(out, "a b");
    memset(sql, 'x', 100);
    sql[100] = '\0';
    stmt_log_preview(sql, out);
    assert_string_equal(out, sql);
    memcpy(sql + 100, "yz", 3);
    stmt_log_preview(sql, out);
    assert_int_equal(strlen(out), 100);
    for (int i = 0; i < 150; i++)
        memcpy(sql + 3 * i, "界", 3);
    sql[450] = '\0';
    stmt_log_preview(sql, out);
    assert_int_equal(strlen(out), 300);
    assert_memory_equal(out, sql, 300);
    memset(sql, 0xbf, 1023); /* no character starts anywhere */
    sql[1023] = '\0';
    stmt_log_preview(sql, out);
    assert_true(strlen(out) < STMT_LOG_PREVIEW_BYTES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_follows_latency),
        cmocka_unit_test(all_are_logged_when_wanted),
        cmocka_unit_test(preview_is_a_hundred_characters),
    };
    return cmocka_run_group_tests_name("stmt_log", tests, NULL, NULL);
}
