/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - operating errors: negative codes for logic, a text for people.
 *
 * Owner: the caller keeps a struct err on its stack; every function takes it last and accepts NULL.
 * Memory: none. Errors: this is them. Suspends: never. Tests: tests/unit/base/test_err.c */
#ifndef HF_BASE_ERR_H
#define HF_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum err_code {
    ERR_OK = 0,
#define ERR(name, number, status, retryable, text) ERR_##name = -(number),
#include "errors.def"
#undef ERR
};

#define ERR_MESSAGE_BYTES 256

struct err {
    int code;                        /* enum err_code; 0 when nothing failed */
    int system;                      /* errno, SQLite or HTTP status of the cause; 0 when none */
    int retry_after_ms;              /* from the peer's Retry-After; 0 when unknown */
    char message[ERR_MESSAGE_BYTES]; /* for people; no secrets */
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Fills e (may be NULL) and returns code, so that a function ends with `return err_set(…)`. */
int err_set(struct err *e, int code, const char *format, ...) PRINTF_LIKE(3, 4);
int err_set_system(struct err *e, int code, int system, const char *format, ...) PRINTF_LIKE(4, 5);
/* Puts "prefix: " before the message once; keeps the code, returns it (ERR_INTERNAL without e: then
 * return the code at hand instead). */
int err_context(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);
void err_reset(struct err *e);

const char *err_name(int code);      /* "NOT_FOUND"; "OK"; "UNKNOWN" */
const char *err_text(int code);      /* the table's default text */
int err_http_status(int code);       /* 200 for OK, 500 for unknown codes */
bool err_retryable(int code);

/* ASSERT stays in release builds: it reports expression, place and stops the process. Never on
 * input from outside. DASSERT is for costly checks of the debug build. */
_Noreturn void assert_failed(const char *expression, const char *file, int line);
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
#ifdef HF_DEBUG
#define DASSERT(cond) ASSERT(cond)
#else
#define DASSERT(cond) ((void)sizeof(!(cond)))
#endif
#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)
#define STATIC_ASSERT(cond, text) _Static_assert(cond, text)
/* A branch that correct code cannot take but that costs nothing to defend: asserts in debug. */
#ifdef HF_DEBUG
#define NEVER(cond) ((cond) ? (assert_failed("never: " #cond, __FILE__, __LINE__), true) : false)
#else
#define NEVER(cond) (cond)
#endif

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
