/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: draws differ, a seed repeats them, bounds hold evenly, a forked child draws its own.
 * Method: short statistics with wide margins under a fixed seed; a child reporting by pipe. */
#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

#include "base/rand.h"

static void draws_differ(void **state) {
    (void)state;
    uint64_t last = rand_u64();
    for (int i = 0; i < 1000; i++) {
        uint64_t v = rand_u64();
        assert_true(v != last);
        last = v;
    }
    unsigned char bytes[5000] = {0}, seen[256] = {0};
    rand_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        seen[bytes[i]] = 1;
    int kinds = 0;
    for (int i = 0; i < 256; i++)
        kinds += seen[i];
    assert_in_range(kinds, 250, 256);
    rand_bytes(NULL, 0);
}

static void a_seed_repeats(void **state) {
    (void)state;
    uint64_t one[20], two[20];
    rand_seed(5);
    for (int i = 0; i < 20; i++)
        one[i] = rand_u64();
    rand_seed(5);
    for (int i = 0; i < 20; i++)
        two[i] = rand_u64();
    assert_memory_equal(one, two, sizeof one);
    rand_seed(6);
    assert_true(rand_u64() != one[0]);
    rand_seed(0);
    uint64_t kernel = rand_u64();
    rand_seed(5);
    assert_true(rand_u64() == one[0] && kernel != one[0]);
    rand_seed(0);
}

static void bounds(void **state) {
    (void)state;
    rand_seed(9);
    int hits[7] = {0};
    for (int i = 0; i < 70000; i++)
        hits[rand_below(7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(hits[i], 9500, 10500);
    uint64_t bound = UINT64_C(1) << 63 | 1, above_half = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = rand_below(bound);
        assert_true(v < bound);
        above_half += v > bound / 2;
    }
    assert_in_range(above_half, 400, 600);
    assert_int_equal(rand_below(1), 0);
    rand_seed(0);
}

static void a_child_draws_its_own(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)rand_u64(); /* the block is filled before the fork */
    pid_t child = fork();
    assert_true(child >= 0);
    uint64_t mine = rand_u64(), theirs = 0;
    if (child == 0)
        _exit(write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
    assert_int_equal(read(ends[0], &theirs, sizeof theirs), sizeof theirs);
    assert_true(mine != theirs);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_differ),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(bounds),
        cmocka_unit_test(a_child_draws_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
