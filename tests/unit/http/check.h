/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - cmocka and asserts on str for the tests of http.
 * Owner: the including test. Memory: none. Errors: fail the test. Suspends: never.
 * Tests: itself. */
#ifndef HF_TESTS_UNIT_HTTP_CHECK_H
#define HF_TESTS_UNIT_HTTP_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

/* Prints both values when they differ. */
static inline void check_str_at(str got, const char *want, const char *file, int line) {
    if (got.p && want && str_eq(got, str_of(want)))
        return;
    if (!got.p && !want)
        return;
    print_error("got  [" STR_FMT "]\nwant [%s]\n", STR_ARG(got), want ? want : "(absent)");
    _fail(file, line);
}
#define check_str(got, want) check_str_at((got), (want), __FILE__, __LINE__)

#endif
