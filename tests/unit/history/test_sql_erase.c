/* SPDX-License-Identifier: Apache-2.0 */
/* test_sql_erase.c - what a sweep leaves of deleted events in a file of SQLite that erases.
 *
 * Goal: no byte of a deleted session stays, whatever the size of its payloads: with its pages
 * freed, shared with another session, or both; the file has the pages that were asked for.
 * Method: two sessions take turns; one is deleted, in sweeps; the closed file is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "db/sqlite/sqlite.h"
#include "history/sql/sql.h"
#include "rt/loop.h"

#define EVENTS 1200
#define PAGE   16384

struct scene {
    struct rt *rt;
    struct db *db;
    bool done;
};

static int append(struct history *h, struct arena *a, str session, int n) {
    size_t bytes = n % 100 == 0 ? 40000 : 30;
    char *payload = arena_alloc(a, bytes);
    memset(payload, '1', bytes);
    memcpy(payload, session.p, session.len);
    struct history_event e = {.id = arena_printf(a, STR_FMT " %d", STR_ARG(session), n),
                              .type = session,
                              .payload_kind = HISTORY_BYTES,
                              .payload = str_n(payload, bytes),
                              .occurred_at = 1700000000000000,
                              .headers =
                                  arena_printf(a, "{\"name\":\"" STR_FMT "\"}", STR_ARG(session))};
    struct history_result r;
    struct history_append append = {
        .key = {STR("ann"), session}, .events = &e, .count = 1, .results = &r};
    return history_append(h, &append, NULL);
}

static void scene_main(void *arg) {
    struct scene *s = arg;
    struct history_sql_options o = {.shared = false};
    struct history *h = history_sql_open(s->db, &o);
    struct arena a;
    struct history_key key = {STR("ann"), STR("zyxwvu")};
    struct history_checkpoint c = {.payload_kind = HISTORY_BYTES, .payload = STR("zyxwvu")};
    size_t removed = 0, sum = 0;
    arena_init(&a, 64u << 20);
    int rc = history_checkpoint_put(h, &key, &c, &a, NULL);
    for (int i = 0; rc == 0 && i < EVENTS; i++) {
        rc = append(h, &a, STR("zyxwvu"), i);
        if (rc == 0)
            rc = append(h, &a, STR("public"), i);
    }
    if (rc == 0)
        rc = history_session_delete(h, &key, NULL);
    do {
        if (rc == 0)
            rc = history_sweep(h, clock_wall_us(), 70, &removed, NULL);
        sum += removed;
    } while (rc == 0 && removed > 0);
    s->done = rc == 0 && sum == EVENTS - 1000;
    arena_deinit(&a);
    history_close(h);
    rt_stop(s->rt);
}

static size_t count_of(str text, const char *word) {
    size_t count = 0, len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        count += memcmp(text.p + i, word, len) == 0;
    return count;
}

static str file_of(const char *path, char *to, size_t cap) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(to, 1, cap, f);
    assert_int_equal(fclose(f), 0);
    assert_true(len < cap);
    return str_n(to, len);
}

static void test_nothing_stays(void **state) {
    char dir[] = "/tmp/holdfast-erase-XXXXXX", path[64], more[80];
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    static char bytes[32u << 20];
    struct db_sqlite_options o;
    struct scene s = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/data.db", dir);
    db_sqlite_options_default(&o);
    o.path = path;
    o.synchronous_normal = true;
    o.erases = true;
    o.page_bytes = PAGE;
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(db_sqlite_open(s.rt, &o, &s.db, NULL), 0);
    assert_non_null(fiber_spawn(s.rt, "scene", scene_main, &s, NULL));
    rt_run(s.rt);
    db_close(s.db);
    rt_close(s.rt);
    assert_true(s.done);
    str file = file_of(path, bytes, sizeof bytes);
    assert_int_equal((unsigned char)file.p[16] << 8 | (unsigned char)file.p[17], PAGE);
    assert_true(count_of(file, "public") > EVENTS);
    assert_int_equal(count_of(file, "zyxwvu"), 0);
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(more, sizeof more, "%s%s", path, ends[i]);
        (void)unlink(more); /* not all are there */
    }
    assert_int_equal(rmdir(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing_stays)};
    return cmocka_run_group_tests_name("history/sql_erase", tests, NULL, NULL);
}
