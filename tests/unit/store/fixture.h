/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a store on a database in memory, and checks that work on fibers.
 *
 * cmocka's asserts jump to the runner's stack, which a fiber must not do: CHECK notes the first
 * failure and returns from the test; store_test() hands it to cmocka on the main stack. */
#ifndef HF_TESTS_STORE_FIXTURE_H
#define HF_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "db/sqlite/sqlite.h"
#include "store/store.h"

struct fixture {
    struct rt *rt;
    struct store store;
    struct arena arena;
    struct err err;
    char failure[512];
    void (*fn)(struct fixture *f);
};
typedef void (*fixture_fn)(struct fixture *f);

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)snprintf(f->failure, sizeof(f->failure), "%s:%d: not so: %s (error: %s)",        \
                           __FILE__, __LINE__, #cond, f->err.message);                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b) {                                                                  \
            (void)snprintf(f->failure, sizeof(f->failure),                                         \
                           "%s:%d: %s is %lld, %s is %lld (error: %s)", __FILE__, __LINE__, #a,    \
                           check_a, #b, check_b, f->err.message);                                  \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        str check_a = (a), check_b = (b);                                                          \
        if (!str_eq(check_a, check_b)) {                                                           \
            (void)snprintf(f->failure, sizeof(f->failure), "%s:%d: %s is \"%.*s\", not \"%.*s\"",  \
                           __FILE__, __LINE__, #a, STR_ARG(check_a), STR_ARG(check_b));            \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static void fixture_fiber(void *arg) {
    struct fixture *f = arg;
    f->fn(f);
    rt_stop(f->rt);
}

static void store_test(fixture_fn fn) {
    struct fixture f = {.fn = fn};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = NULL;
    arena_init(&f.arena, (size_t)256 << 20);
    assert_int_equal(rt_open(&f.rt, NULL), 0);
    if (db_sqlite_open(f.rt, &o, &f.store.db, &f.err) < 0)
        fail_msg("db_sqlite_open: %s", f.err.message);
    assert_non_null(fiber_spawn(f.rt, "test", fixture_fiber, &f, NULL));
    rt_run(f.rt);
    db_close(f.store.db);
    rt_close(f.rt);
    arena_deinit(&f.arena);
    if (f.failure[0])
        fail_msg("%s", f.failure);
}

static const struct principal ALICE = {.owner = {"alice", 5}};
static const struct principal BOB = {.owner = {"bob", 3}};
static const struct principal SERVER = {.owner = {"", 0}, .all = true};

#endif
