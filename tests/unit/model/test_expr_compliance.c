/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: expressions are JMESPath, as its official compliance suite has it.
 * Method: every case of every file of the suite (fetched with the test packages): results compared
 * as JSON; an error must come, of the right class, from compiling for what can be told by then. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "model/expr.h"

static struct arena arena;
static const char *folder;
static int cases_count, faults_count;

static void note(const char *file, str expression, const char *what, str got) {
    faults_count++;
    print_error("%s: %.*s: %s: %.*s\n", file, STR_ARG(expression), what, STR_ARG(got));
}

static void run_error(const char *file, str expression, int compiled, int rc, str wanted) {
    bool syntax = str_eq(wanted, STR("syntax"));
    if (syntax && compiled != ERR_MALFORMED)
        note(file, expression, "a syntax error is not found", STR(""));
    else if (!syntax && rc != ERR_INVALID)
        note(file, expression, "no error of the class", wanted);
    else if (compiled == 0 && !str_eq(wanted, STR("invalid-type")))
        note(file, expression, "is found too late", wanted);
}

static void run_case(const char *file, yyjson_val *given, yyjson_val *c) {
    str expression = json_str(json_get(c, "expression")), text = STR("nothing");
    str wanted = json_str(json_get(c, "error"));
    struct expr_value root = expr_of_json(given), value;
    struct err err = {0};
    const struct expr *e;
    yyjson_val *got;
    cases_count++;
    int compiled = expr_compile(&arena, expression, &e, &err), rc = compiled;
    if (rc == 0)
        rc = expr_eval(e, &root, &arena, NULL, &value, &err);
    if (rc < 0)
        assert_true(err.code == rc && err.message[0]);
    if (wanted.p) {
        run_error(file, expression, compiled, rc, wanted);
        return;
    }
    if (rc < 0 || expr_json(&arena, &value, 1 << 20, &text, NULL) < 0) {
        note(file, expression, "fails", str_of(err.message));
        return;
    }
    assert_int_equal(json_parse(&arena, text, &got, NULL), 0);
    if (!json_equal(got, json_get(c, "result")))
        note(file, expression, "has another result", text);
}

static char *read_file(const char *path, size_t *out_bytes) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *p = arena_alloc(&arena, 1 << 20);
    *out_bytes = fread(p, 1, (1 << 20) - 1, f);
    fclose(f);
    return p;
}

static void run_file(const char *name) {
    char path[1024];
    yyjson_val *groups, *group, *c;
    size_t i, n, j, m, bytes;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    arena_init(&arena, (size_t)256 << 20);
    char *text = read_file(path, &bytes);
    assert_int_equal(json_parse(&arena, str_n(text, bytes), &groups, NULL), 0);
    yyjson_arr_foreach(groups, i, n, group) {
        yyjson_arr_foreach(json_get(group, "cases"), j, m, c) {
            run_case(name, json_get(group, "given"), c);
        }
    }
    arena_deinit(&arena);
}

static void test_suite(void **state) {
    (void)state;
    DIR *d = opendir(folder);
    if (!d)
        fail_msg("the suite is not in %s: tools/setup test fetches it", folder);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (str_ends(str_of(e->d_name), STR(".json")))
            run_file(e->d_name);
    closedir(d);
    print_message("%d cases\n", cases_count);
    assert_int_equal(faults_count, 0);
    assert_true(cases_count > 800);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_suite)};
    /* From the folder of a build, where the tests run. */
    folder = argc > 1 ? argv[1] : "../node/node_modules/jmespath/test/compliance";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
