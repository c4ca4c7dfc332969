/* SPDX-License-Identifier: Apache-2.0 */
/* test_workers.c - leases of processes and of periodic work. Goal: a lease that is over stays over;
 * one leader at a time, the next when its lease is over. Method: times given by the test. */
#include "store/workers.h"

#include "fixture.h"

/* Of those that are alive and have one, but not one's own. */
static void addresses(struct fixture *f, struct id me) {
    struct store *s = &f->store;
    struct worker mute = {.id = id_v7(), .host = STR("h"), .pid = 2}, b = mute, gone = mute;
    str *found;
    size_t count;
    b.id = id_v7();
    gone.id = id_v7();
    b.address = STR("127.0.0.1 7 0123456789abcdef");
    gone.address = STR("127.0.0.1 8 0123456789abcdef");
    CHECK_INT(worker_register(s, &mute, 300, 100, &f->arena, &f->err), 0);
    CHECK_INT(worker_register(s, &b, 300, 100, &f->arena, &f->err), 0);
    CHECK_INT(worker_register(s, &gone, 100, 100, &f->arena, &f->err), 0);
    CHECK_INT(worker_addresses(s, me, 300, 64, &f->arena, &found, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK(str_eq(found[0], b.address));
    CHECK_INT(worker_addresses(s, b.id, 300, 64, &f->arena, &found, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(worker_remove(s, mute.id, &f->arena, &f->err), 0);
    CHECK_INT(worker_remove(s, b.id, &f->arena, &f->err), 0);
}

static void leases(struct fixture *f) {
    struct store *s = &f->store;
    struct worker a = {.id = id_v7(), .host = STR("h"), .pid = 1}, b = a;
    int64_t others = -1;
    b.id = id_v7();
    CHECK_INT(worker_register(s, &a, 0, 100, &f->arena, &f->err), 0);
    CHECK_INT(worker_renew(s, a.id, 99, 100, &f->arena, &others, &f->err), 0);
    CHECK_INT(others, 0);
    CHECK_INT(worker_register(s, &b, 100, 100, &f->arena, &f->err), 0);
    CHECK_INT(worker_renew(s, a.id, 198, 100, &f->arena, &others, &f->err), 0);
    CHECK_INT(others, 1);
    CHECK_INT(worker_renew(s, b.id, 200, 100, &f->arena, &others, &f->err), ERR_FENCED);
    CHECK_INT(worker_renew(s, a.id, 297, 100, &f->arena, &others, &f->err), 0);
    CHECK_INT(others, 0);
    CHECK_INT(worker_sweep(s, 201, &f->arena, &others, &f->err), 0);
    addresses(f, a.id);
    CHECK_INT(worker_register(s, &b, 300, 100, &f->arena, &f->err), 0); /* its row was gone */
    CHECK_INT(worker_remove(s, a.id, &f->arena, &f->err), 0);
    CHECK_INT(worker_renew(s, a.id, 301, 100, &f->arena, &others, &f->err), ERR_FENCED);
}

static void leaders(struct fixture *f) {
    struct store *s = &f->store;
    struct id a = id_v7(), b = id_v7();
    bool leads = false;
    CHECK_INT(leader_take(s, STR("sweep"), a, 0, 100, &f->arena, &leads, &f->err), 0);
    CHECK(leads);
    CHECK_INT(leader_take(s, STR("sweep"), b, 99, 100, &f->arena, &leads, &f->err), 0);
    CHECK(!leads);
    CHECK_INT(leader_take(s, STR("other"), b, 99, 100, &f->arena, &leads, &f->err), 0);
    CHECK(leads);
    CHECK_INT(leader_take(s, STR("sweep"), a, 99, 100, &f->arena, &leads, &f->err), 0);
    CHECK(leads);
    CHECK_INT(leader_take(s, STR("sweep"), b, 199, 100, &f->arena, &leads, &f->err), 0);
    CHECK(leads);
    CHECK_INT(worker_remove(s, b, &f->arena, &f->err), 0);
    CHECK_INT(leader_take(s, STR("sweep"), a, 200, 100, &f->arena, &leads, &f->err), 0);
    CHECK(leads);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(leases)
TEST(leaders)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_leases),
                                       cmocka_unit_test(test_leaders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
