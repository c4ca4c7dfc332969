/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.h - a loop, a fiber and a pool on the database of HF_TEST_DATABASE_URL, for one test.
 *
 * Owner: the test. A body runs on a fiber; when it returns the pool is closed, the loop runs until
 * nothing is left, and the heap must hold what it held before. Suspends: bodies do. */
#ifndef HF_TESTS_UNIT_PG_FIXTURE_H
#define HF_TESTS_UNIT_PG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pg/pool.h"

struct fixture {
    struct rt *rt;
    struct pg_pool *pool; /* NULL: the body opens its own */
    struct pg_pool_options o;
    struct arena arena;
    void (*body)(struct fixture *f);
    bool closed;
    char url[1024];
};

static inline void fixture_closed(void *ctx) {
    struct fixture *f = ctx;
    f->closed = true;
    rt_stop(f->rt);
}

static inline void fixture_close(struct fixture *f) {
    pg_pool_close(f->pool, rt_mono_us(f->rt) + 5000000, fixture_closed, f);
}

static inline void fixture_fiber(void *arg) {
    struct fixture *f = arg;
    f->body(f);
    if (f->pool)
        fixture_close(f);
    else
        rt_stop(f->rt);
}

/* change: adjusts the options before the pool is opened; may be NULL. */
static inline void fixture_run(void (*body)(struct fixture *), void (*change)(struct fixture *)) {
    struct fixture f = {.body = body};
    const char *url = getenv("HF_TEST_DATABASE_URL");
    assert_non_null(url);
    snprintf(f.url, sizeof(f.url), "%s", url);
    pg_pool_options_default(&f.o);
    f.o.url = f.url;
    if (change)
        change(&f);
    assert_int_equal(rt_open(&f.rt, NULL), 0);
    arena_init(&f.arena, 256u << 20);
    if (f.o.url) {
        struct err err = {0};
        int rc = pg_pool_open(f.rt, &f.o, &f.pool, &err);
        if (rc != 0)
            print_error("open: %s\n", err.message);
        assert_int_equal(rc, 0);
    }
    assert_non_null(fiber_spawn(f.rt, "test", fixture_fiber, &f, NULL));
    rt_run(f.rt);
    assert_true(!f.pool || f.closed);
    rt_close(f.rt);
    arena_deinit(&f.arena);
}

/* One statement; the result of the first row and column as a number, or the error. */
struct one {
    int64_t number;
    int64_t changed;
    size_t rows;
    char text[256];
    uint32_t oid;
    struct pg_work w;
};

static inline int one_result(struct pg_work *w, size_t index, const struct pg_result *r,
                             struct err *err) {
    struct one *o = w->ctx;
    (void)index;
    (void)err;
    o->rows = pg_row_count(r);
    o->changed = pg_changed(r);
    o->oid = pg_column_oid(r, 0);
    if (o->rows && pg_column_count(r)) {
        str s = pg_cell_text(r, 0, 0);
        o->number = pg_cell_int(r, 0, 0);
        snprintf(o->text, sizeof(o->text), STR_FMT, STR_ARG(s));
    }
    return 0;
}

static inline int one_run(struct fixture *f, struct one *o, const char *sql,
                          const struct pg_param *params, size_t count) {
    struct pg_call call = {.name = "one", .sql = sql, .params = params, .param_count = count};
    struct err err = {0};
    *o = (struct one){.number = 0};
    o->w = (struct pg_work){.calls = &call, .call_count = 1, .result = one_result, .ctx = o};
    int rc = pg_pool_run(f->pool, &o->w, &err);
    assert_int_equal(rc, o->w.code);
    o->w.calls = NULL;
    if (rc != 0)
        o->w.err = err;
    return rc;
}

static inline int64_t number_of(struct fixture *f, const char *sql) {
    struct one o;
    int rc = one_run(f, &o, sql, NULL, 0);
    if (rc != 0)
        print_error("%s: %s\n", sql, o.w.err.message);
    assert_int_equal(rc, 0);
    return o.number;
}

static inline void script(struct fixture *f, const char *sql) {
    struct err err = {0};
    int rc = pg_pool_script(f->pool, sql, 0, &err);
    if (rc != 0)
        print_error("%s: %s\n", sql, err.message);
    assert_int_equal(rc, 0);
}

#endif
