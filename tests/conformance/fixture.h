/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a loop and a database for one test, and checks that work on fibers.
 *
 * cmocka's asserts jump to the runner's stack, which a fiber must not do. On fibers CHECK notes the
 * first failure and returns; fixture_run hands it to cmocka on the main stack. */
#ifndef HF_TESTS_CONFORMANCE_FIXTURE_H
#define HF_TESTS_CONFORMANCE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "db/fault/fault.h"
#include "db/postgres/postgres.h"
#include "db/sqlite/sqlite.h"

struct fixture;
typedef void (*fixture_fn)(struct fixture *f);

/* Which database a test runs on. */
struct fixture_kind {
    bool in_memory, postgres, behind_fault;
};

struct fixture {
    struct fixture_kind kind;
    bool in_memory, postgres;
    size_t queue_count_max; /* 0: the default */
    struct db_postgres_options postgres_options; /* changed before fixture_open, when needed */
    struct rt *rt;
    struct db *db;
    struct arena arena;
    char dir[64], path[96];
    char failure[512]; /* of the first CHECK that failed */
    void *extra;       /* a test's own */
    bool emptied;
    fixture_fn fn;
};

#define CHECK(cond) CHECK_THAT(cond, "%s", "is false")
#define CHECK_THAT(cond, format, ...)                                                      \
    do {                                                                                   \
        if (!(cond)) {                                                                     \
            fixture_fail(f, "%s:%d: %s: " format, __FILE__, __LINE__, #cond, __VA_ARGS__); \
            return;                                                                        \
        }                                                                                  \
    } while (0)
#define CHECK_INT(a, b)                                                                  \
    do {                                                                                 \
        long long check_a = (long long)(a), check_b = (long long)(b);                    \
        if (check_a != check_b) {                                                        \
            fixture_fail(f, "%s:%d: %s is %lld, %s is %lld", __FILE__, __LINE__, #a,     \
                         check_a, #b, check_b);                                          \
            return;                                                                      \
        }                                                                                \
    } while (0)
#define CHECK_CODE(code, want)                                                           \
    do {                                                                                 \
        int check_code = (code);                                                         \
        if (check_code != (want)) {                                                      \
            fixture_fail(f, "%s:%d: %s gives %s (%s), not %s", __FILE__, __LINE__,       \
                         #code, err_name(check_code), err.message, err_name(want));      \
            return;                                                                      \
        }                                                                                \
    } while (0)

void fixture_fail(struct fixture *f, const char *format, ...) PRINTF_LIKE(2, 3);
/* A loop and a folder, no database yet. PostgreSQL: the one that HF_TEST_DATABASE_URL names; the
 * first fixture_open of a fixture empties it. */
void fixture_init(struct fixture *f, struct fixture_kind kind);
void fixture_open(struct fixture *f); /* not on a fiber */
void fixture_close_db(struct fixture *f);
void fixture_deinit(struct fixture *f);
/* Opens everything, runs fn on a fiber, closes everything; fails the test with what CHECK noted. */
void fixture_run(struct fixture_kind kind, fixture_fn fn);
/* main() of a program with one history: on SQLite, on SQLite behind fault, on PostgreSQL. */
int fixture_main(const char *name, fixture_fn history);
/* Runs fn on a fiber of an open fixture until it returns. */
void fixture_on_fiber(struct fixture *f, fixture_fn fn);
/* A statement for the server, on a connection of its own; on a fiber. */
void fixture_sql(struct fixture *f, const char *sql);

#endif
