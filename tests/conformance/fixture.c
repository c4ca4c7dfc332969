/* SPDX-License-Identifier: Apache-2.0 */
/* fixture.c - a loop, a database in a folder of its own, and one fiber to test on. */
#include "fixture.h"

#include <ftw.h>
#include <string.h>
#include <unistd.h>

#include "rt/loop.h"

#define ARENA_MAX ((size_t)256 << 20)

void fixture_fail(struct fixture *f, const char *format, ...) {
    if (f->failure[0])
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->failure, sizeof(f->failure), format, args);
    va_end(args);
}

void fixture_open(struct fixture *f, const struct db_sqlite_options *given) {
    struct db_sqlite_options o;
    struct err err = {0};
    db_sqlite_options_default(&o);
    if (given)
        o = *given;
    o.path = f->in_memory ? NULL : f->path;
    int code = db_sqlite_open(f->rt, &o, &f->db, &err);
    if (code < 0) {
        fixture_fail(f, "db_sqlite_open: %s: %s", err_name(code), err.message);
        return;
    }
    if (f->behind_fault)
        f->db = db_fault_wrap(f->db);
}

void fixture_close_db(struct fixture *f) {
    db_close(f->db);
    f->db = NULL;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fixture_init(struct fixture *f, bool in_memory, bool behind_fault) {
    *f = (struct fixture){.in_memory = in_memory, .behind_fault = behind_fault};
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-db-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/data.db", f->dir);
    arena_init(&f->arena, ARENA_MAX);
    assert_int_equal(rt_open(&f->rt, NULL), 0);
}

void fixture_deinit(struct fixture *f) {
    fixture_close_db(f);
    rt_close(f->rt);
    arena_deinit(&f->arena);
    (void)nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS); /* only disk space is lost */
    if (f->failure[0])
        fail_msg("%s", f->failure);
}

static void fiber_main(void *arg) {
    struct fixture *f = arg;
    f->fn(f);
    rt_stop(f->rt);
}

void fixture_on_fiber(struct fixture *f, fixture_fn fn) {
    f->fn = fn;
    struct fiber *fiber = fiber_spawn(f->rt, "test", fiber_main, f, NULL);
    assert_non_null(fiber);
    rt_run(f->rt);
}

void fixture_run(bool in_memory, bool behind_fault, fixture_fn fn) {
    struct fixture f;
    fixture_init(&f, in_memory, behind_fault);
    fixture_open(&f, NULL);
    if (!f.failure[0])
        fixture_on_fiber(&f, fn);
    fixture_deinit(&f);
}
