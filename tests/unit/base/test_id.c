/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: ids have the layout of their version, grow strictly, and survive every spelling.
 * Method: known answers of Python's uuid5; a clock set by hand that stands still and steps back;
 * several threads drawing at once. */
#include "check.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"

static int64_t fake_us;

static int64_t fake_now(void) {
    return fake_us;
}

static const char *dashed(struct id v) {
    static char text[ID_DASHED_LEN + 1];
    id_write_dashed(v, text);
    return text;
}

static void spellings(void **state) {
    (void)state;
    struct id v, w;
    assert_true(id_parse(STR("6ba7b821-9dad-11d1-80b4-00c04fd430c8"), &v));
    assert_true(id_eq(v, ID_NAMESPACE_GRAPH));
    assert_true(id_parse(STR("6BA7B8219DAD11D180B400C04FD430C8"), &w));
    assert_true(id_eq(v, w));
    assert_string_equal(dashed(v), "6ba7b821-9dad-11d1-80b4-00c04fd430c8");
    struct arena a;
    arena_init(&a, 4096);
    check_str(id_hex(&a, v), "6ba7b8219dad11d180b400c04fd430c8");
    check_str(id_dashed(&a, v), "6ba7b821-9dad-11d1-80b4-00c04fd430c8");
    arena_deinit(&a);
    static const char *const bad[] = {
        "", "6ba7b821", "6ba7b821-9dad-11d1-80b4-00c04fd430c",
        "6ba7b8219-dad-11d1-80b4-00c04fd430c8",
        "6ba7b821-9dad-11d1-80b4-00c04fd430cg", "6ba7b8219dad11d180b400c04fd430c8 ",
        "6ba7b8219dad11d180b400c04fd430c", "{ba7b8219dad11d180b400c04fd430c8",
        "6ba7b821_9dad_11d1_80b4_00c04fd430c8", "6ba7b821-9dad-11d1-80b400c04fd430c8--"};
    w = v;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(id_parse(str_of(bad[i]), &w));
    assert_true(id_eq(v, w));
    assert_true(id_is_nil(ID_NIL));
    assert_false(id_is_nil(v));
}

static void v5_known_answers(void **state) {
    (void)state;
    struct id dns;
    assert_true(id_parse(STR("6ba7b810-9dad-11d1-80b4-00c04fd430c8"), &dns));
    assert_string_equal(dashed(id_v5(dns, STR("python.org"))),
                        "886313e1-3b8a-5372-9b90-0c9aee199e5d");
    assert_string_equal(dashed(id_v5(ID_NAMESPACE_GRAPH, STR("agent"))),
                        "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
    assert_string_equal(dashed(id_v5(ID_NAMESPACE_GRAPH, STR_NULL)),
                        "e0e91d1a-dcd6-5d9c-bf2e-f544030263cf");
    char longer[1000];
    memset(longer, 'x', sizeof longer);
    assert_string_equal(dashed(id_v5(ID_NAMESPACE_GRAPH, str_n(longer, sizeof longer))),
                        "61c16bea-b880-503b-9b71-00c28effd743");
}

static void v7_layout_and_order(void **state) {
    (void)state;
    fake_us = INT64_C(4102444800123456); /* 2100: later than any id drawn before */
    clock_set_source(fake_now, NULL);
    struct id last = id_v7();
    assert_int_equal(strncmp(dashed(last), "03bb2cc3-d87b-7000-", 19), 0);
    for (int i = 0; i < 10000; i++) { /* more than the counter has room for */
        if (i == 5000)
            fake_us -= 1000000;
        struct id v = id_v7();
        assert_true(memcmp(last.b, v.b, 16) < 0);
        assert_int_equal(v.b[6] >> 4, 7);
        assert_int_equal(v.b[8] >> 6, 2);
        last = v;
    }
    clock_set_source(NULL, NULL);
}

static uint64_t v6_time(struct id v) {
    uint64_t t = 0;
    for (int i = 0; i < 6; i++)
        t = t << 8 | v.b[i];
    return t << 12 | (uint64_t)(v.b[6] & 0x0F) << 8 | v.b[7];
}

static void v6_layout_and_order(void **state) {
    (void)state;
    fake_us = INT64_C(4102444800123456);
    clock_set_source(fake_now, NULL);
    struct id last = id_v6(-1);
    assert_int_equal(v6_time(last), UINT64_C(4102444800123456) * 10 + 0x01B21DD213814000u);
    assert_int_equal(last.b[8], 0xBF); /* variant and the high bits of -1 & 0x3fff */
    assert_int_equal(last.b[9], 0xFF);
    for (int i = 0; i < 1000; i++) {
        if (i == 500)
            fake_us -= 1000000;
        struct id v = id_v6(i * 40);
        assert_int_equal(v6_time(v), v6_time(last) + 1);
        assert_true(memcmp(last.b, v.b, 8) < 0);
        assert_int_equal(v.b[6] >> 4, 6);
        assert_int_equal((v.b[8] & 0x3F) << 8 | v.b[9], i * 40 & 0x3FFF);
        assert_int_equal(v.b[8] >> 6, 2);
        last = v;
    }
    clock_set_source(NULL, NULL);
}

static void v4_is_random(void **state) {
    (void)state;
    struct id a = id_v4(), b = id_v4();
    assert_false(id_eq(a, b));
    assert_int_equal(a.b[6] >> 4, 4);
    assert_int_equal(a.b[8] >> 6, 2);
}

enum { DRAWS = 5000, THREADS = 4 };
static struct id drawn[THREADS][DRAWS];

static void *draw(void *arg) {
    struct id *out = arg;
    for (int i = 0; i < DRAWS; i++)
        out[i] = i % 2 ? id_v7() : id_v6(1);
    return NULL;
}

static int id_order(const void *a, const void *b) {
    return memcmp(a, b, 16);
}

static void threads_never_share_an_id(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, drawn[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++)
        for (int k = 2; k < DRAWS; k++)
            assert_true(memcmp(drawn[i][k - 2].b, drawn[i][k].b, 8) < 0);
    struct id *all = &drawn[0][0];
    qsort(all, (size_t)THREADS * DRAWS, sizeof *all, id_order);
    for (int i = 1; i < THREADS * DRAWS; i++)
        assert_memory_not_equal(all[i - 1].b, all[i].b, 8);
}

/* Greater than another's, also when its clock is ahead; ids of other kinds do not matter. */
static void v6_after_another(void **state) {
    (void)state;
    struct id ahead, v, other = id_v4();
    memset(other.b, 0xff, 6);
    assert_true(id_parse(str_of("2fffffff-ffff-6fff-8005-702d82be1291"), &ahead));
    for (int i = 0; i < 3; i++) {
        v = id_v6_after(7, ahead);
        assert_true(memcmp(v.b, ahead.b, 16) > 0);
        assert_int_equal(v.b[6] >> 4, 6);
        assert_int_equal((v.b[8] & 0x3f) << 8 | v.b[9], 7);
        ahead = v;
    }
    struct id before = id_v6(0);
    v = id_v6_after(0, other);
    assert_memory_equal(v.b, before.b, 2); /* of this hour */
    assert_true(memcmp(id_v6_after(0, v).b, v.b, 16) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings),           cmocka_unit_test(v5_known_answers),
        cmocka_unit_test(v7_layout_and_order), cmocka_unit_test(v6_layout_and_order),
        cmocka_unit_test(v6_after_another),
        cmocka_unit_test(v4_is_random),        cmocka_unit_test(threads_never_share_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
