/* SPDX-License-Identifier: Apache-2.0 */
/* test_files.c - a bounded set of open files. Goal: no more are open than may be, but for those
 * that are pinned; what was not used for longest goes first; threads agree. Method: descriptors
 * that are numbers of the test's own, with a limit that the process seems to have. */
#include "rt/files.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"

#define FILES   16
#define THREADS 4

struct scene {
    struct rt_files *files;
    struct rt_file file[FILES];
    atomic_int there, opened; /* descriptors now; ever */
    int limit;
};

static int open_file(void *ctx, struct rt_file *f) {
    struct scene *s = ctx;
    if (s->there >= s->limit)
        return -EMFILE;
    s->there++;
    s->opened++;
    return 100 + (int)(f - s->file);
}

static void close_file(void *ctx, int fd) {
    struct scene *s = ctx;
    assert_in_range(fd, 100, 100 + FILES - 1);
    s->there--;
}

static void begin(struct scene *s, size_t open_max, int limit) {
    *s = (struct scene){.limit = limit};
    for (int i = 0; i < FILES; i++)
        s->file[i].fd = -1;
    s->files = rt_files_new(&(struct rt_files_options){open_max, open_file, close_file, s});
}

static void end(struct scene *s) {
    for (int i = 0; i < FILES; i++)
        rt_files_close(s->files, &s->file[i]);
    assert_int_equal(s->there, 0);
    rt_files_free(s->files);
}

static void use(struct scene *s, int i) {
    assert_int_equal(rt_files_pin(s->files, &s->file[i]), 100 + i);
    rt_files_unpin(s->files, &s->file[i]);
}

static void test_the_oldest_goes(void **state) {
    struct scene s;
    (void)state;
    begin(&s, 3, FILES);
    for (int i = 0; i < 3; i++)
        use(&s, i);
    use(&s, 0);
    assert_int_equal(s.opened, 3);
    use(&s, 3); /* in place of 1 */
    assert_int_equal(rt_files_open_count(s.files), 3);
    use(&s, 0);
    use(&s, 2);
    assert_int_equal(s.opened, 4);
    use(&s, 1);
    assert_int_equal(s.opened, 5);
    end(&s);
}

static void test_pinned_ones_stay(void **state) {
    struct scene s;
    (void)state;
    begin(&s, 2, FILES);
    for (int i = 0; i < 5; i++)
        assert_int_equal(rt_files_pin(s.files, &s.file[i]), 100 + i);
    assert_int_equal(rt_files_open_count(s.files), 5);
    assert_int_equal(rt_files_pin(s.files, &s.file[0]), 100);
    for (int i = 0; i < 5; i++)
        rt_files_unpin(s.files, &s.file[i]);
    assert_int_equal(s.file[0].fd, 100); /* still pinned once */
    assert_int_equal(rt_files_open_count(s.files), 2);
    rt_files_unpin(s.files, &s.file[0]);
    assert_int_equal(rt_files_open_count(s.files), 2);
    end(&s);
}

/* The process has fewer descriptors than were counted on. */
static void test_no_descriptor_left(void **state) {
    struct scene s;
    (void)state;
    begin(&s, 12, 4);
    for (int i = 0; i < 8; i++)
        use(&s, i);
    for (int i = 0; i < 4; i++)
        assert_true(rt_files_pin(s.files, &s.file[i]) >= 0);
    assert_int_equal(rt_files_pin(s.files, &s.file[9]), -EMFILE);
    rt_files_unpin(s.files, &s.file[2]);
    assert_int_equal(rt_files_pin(s.files, &s.file[9]), 109);
    end(&s);
}

static void test_adding(void **state) {
    struct scene s;
    (void)state;
    begin(&s, 2, FILES);
    for (int i = 0; i < 4; i++) {
        s.there++;
        rt_files_add(s.files, &s.file[i], 100 + i);
    }
    assert_int_equal(rt_files_open_count(s.files), 2);
    use(&s, 3);
    assert_int_equal(s.opened, 0);
    end(&s);
}

static void test_usual_bound(void **state) {
    struct scene s;
    (void)state;
    begin(&s, 0, FILES);
    for (int i = 0; i < FILES; i++)
        use(&s, i);
    assert_in_range(rt_files_open_count(s.files), 4, FILES);
    assert_true(rt_files_limit() >= 4);
    end(&s);
}

static void *use_all(void *arg) {
    struct scene *s = arg;
    uint64_t x = (uintptr_t)&x; /* each thread in its own order */
    for (int i = 0; i < 20000; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        int k = (int)(x >> 33) % FILES;
        int fd = rt_files_pin(s->files, &s->file[k]);
        if (fd != 100 + k)
            return s; /* a wrong descriptor */
        rt_files_unpin(s->files, &s->file[k]);
    }
    return NULL;
}

static void test_threads(void **state) {
    struct scene s;
    pthread_t threads[THREADS];
    void *complaint;
    (void)state;
    begin(&s, 3, FILES);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_all, &s), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &complaint), 0);
        assert_null(complaint);
    }
    assert_int_equal(rt_files_open_count(s.files), 3);
    assert_int_equal(s.there, 3);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_oldest_goes),    cmocka_unit_test(test_pinned_ones_stay),
        cmocka_unit_test(test_no_descriptor_left), cmocka_unit_test(test_adding),
        cmocka_unit_test(test_usual_bound),        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
