/* SPDX-License-Identifier: Apache-2.0 */
/* test_deliveries.c - the outbox. Goal: a claim is a lease that nobody else gets meanwhile; late
 * results change nothing; those of one order key go one after the other; what is dead shows to its
 * owner, is revived once and swept in time. Method: a database in memory, times given. */
#include "store/deliveries.h"

#include "fixture.h"

#define NOW   INT64_C(1000000000)
#define LEASE INT64_C(60000000)

static struct id put(struct fixture *f, const char *order_key, int64_t now) {
    struct db_batch b;
    struct delivery d = {.id = id_v7(),
                         .owner = ALICE.owner,
                         .kind = STR("webhook"),
                         .order_key = str_of(order_key),
                         .target = STR("http://x/"),
                         .payload = STR("{}")};
    db_batch_init(&b, &f->arena);
    delivery_add(&b, &d, now);
    return db_commit(f->store.db, &b, &f->err) == 0 ? d.id : ID_NIL;
}

static size_t claim(struct fixture *f, int64_t now, struct delivery **out) {
    size_t count;
    int rc = delivery_claim(&f->store, now, LEASE, 10, &f->arena, out, &count, &f->err);
    return rc == 0 ? count : SIZE_MAX;
}

static size_t shown(struct fixture *f, const struct principal *who, bool dead,
                    struct delivery **out) {
    size_t count;
    struct page page = {.limit = 10};
    int rc = delivery_list(&f->store, who, &dead, &page, &f->arena, out, &count, &f->err);
    return rc == 0 ? count : SIZE_MAX;
}

static void leases(struct fixture *f) {
    struct delivery *list;
    int64_t due;
    struct id id = put(f, "", NOW);
    CHECK_INT(claim(f, NOW - 1, &list), 0);
    CHECK_INT(claim(f, NOW, &list), 1);
    CHECK(id_eq(list[0].id, id));
    CHECK_INT(list[0].attempt, 1);
    CHECK_STR(list[0].payload, STR("{}"));
    CHECK_INT(claim(f, NOW + LEASE - 1, &list), 0);
    CHECK_INT(delivery_next_due(&f->store, &f->arena, &due, &f->err), 0);
    CHECK_INT(due, NOW + LEASE);
    CHECK_INT(claim(f, NOW + LEASE, &list), 1); /* its process died */
    CHECK_INT(list[0].attempt, 2);
    CHECK_INT(delivery_done(&f->store, id, 1, &f->arena, &f->err), 0); /* it did not */
    CHECK_INT(shown(f, &ALICE, false, &list), 1);
    struct delivery mine = list[0];
    CHECK_INT(delivery_give_back(&f->store, &mine, 0, NOW, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, NOW, &list), 1);
    CHECK_INT(list[0].attempt, 2);
    CHECK_INT(delivery_give_back(&f->store, &mine, 0, NOW, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, NOW, &list), 0); /* once more, and it is another's by now */
    CHECK_INT(delivery_done(&f->store, id, 2, &f->arena, &f->err), 0);
    CHECK_INT(shown(f, &ALICE, false, &list), 0);
    CHECK_INT(delivery_next_due(&f->store, &f->arena, &due, &f->err), 0);
    CHECK_INT(due, INT64_MAX);
}

static void order(struct fixture *f) {
    struct delivery *list;
    struct id first = put(f, "thread", NOW), second = put(f, "thread", NOW),
              other = put(f, "u", NOW);
    CHECK_INT(claim(f, NOW, &list), 2);
    CHECK(id_eq(list[0].id, first) || id_eq(list[1].id, first));
    CHECK(id_eq(list[0].id, other) || id_eq(list[1].id, other));
    CHECK_INT(claim(f, NOW + 1, &list), 0);
    CHECK_INT(delivery_done(&f->store, first, 1, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, NOW + 2, &list), 1);
    CHECK(id_eq(list[0].id, second));
}

static void dead(struct fixture *f) {
    struct delivery *list;
    int64_t gone;
    struct id id = put(f, "", NOW);
    struct delivery_failure again = {.due_at = NOW + 5, .http_status = 500, .error = STR("no")};
    struct delivery_failure over = {.dead = true, .http_status = 410, .error = STR("gone")};
    CHECK_INT(claim(f, NOW, &list), 1);
    CHECK_INT(delivery_failed(&f->store, &list[0], &again, NOW + 1, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, NOW + 4, &list), 0);
    CHECK_INT(claim(f, NOW + 5, &list), 1);
    CHECK_INT(delivery_failed(&f->store, &list[0], &over, NOW + 6, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, INT64_MAX / 2, &list), 0);
    CHECK_INT(shown(f, &BOB, true, &list), 0);
    CHECK_INT(shown(f, &ALICE, true, &list), 1);
    CHECK_INT(list[0].http_status, 410);
    CHECK_STR(list[0].error, STR("gone"));
    CHECK_INT(delivery_revive(&f->store, &BOB, id, NOW, &f->arena, &f->err), ERR_NOT_FOUND);
    CHECK_INT(delivery_revive(&f->store, &ALICE, id, NOW + 7, &f->arena, &f->err), 0);
    CHECK_INT(delivery_revive(&f->store, &ALICE, id, NOW + 7, &f->arena, &f->err), ERR_NOT_FOUND);
    CHECK_INT(claim(f, NOW + 7, &list), 1);
    CHECK_INT(list[0].attempt, 1);
    CHECK_INT(delivery_failed(&f->store, &list[0], &over, NOW + 8, &f->arena, &f->err), 0);
    CHECK_INT(delivery_sweep(&f->store, NOW + 8, 10, &f->arena, &gone, &f->err), 0);
    CHECK_INT(shown(f, &ALICE, true, &list), 1);
    CHECK_INT(delivery_sweep(&f->store, NOW + 9, 10, &f->arena, &gone, &f->err), 0);
    CHECK_INT(shown(f, &ALICE, true, &list), 0);
}

/* What was taken gives the next of its order; taken in part, attempts count anew. */
static void series(struct fixture *f) {
    struct delivery *list, next;
    bool found;
    struct delivery_failure half = {.due_at = NOW + 9, .progress = 2, .error = STR("no")};
    struct id first = put(f, "k", NOW), second = put(f, "k", NOW);
    (void)put(f, "other", NOW);
    CHECK_INT(claim(f, NOW, &list), 2);
    struct delivery mine = id_eq(list[0].id, first) ? list[0] : list[1];
    CHECK_INT(delivery_done_next(&f->store, &mine, NOW, LEASE, &f->arena, &next, &found, &f->err),
              0);
    CHECK(found && id_eq(next.id, second));
    CHECK_STR(next.order_key, STR("k"));
    CHECK_INT(next.attempt, 1);
    CHECK_INT(claim(f, NOW + 1, &list), 0);
    for (int i = 2; i < 4; i++) {
        CHECK_INT(delivery_give_back(&f->store, &next, 0, NOW, &f->arena, &f->err), 0);
        CHECK_INT(claim(f, NOW, &list), 1);
        CHECK_INT(delivery_failed(&f->store, &list[0], &(struct delivery_failure){.due_at = NOW},
                                  NOW, &f->arena, &f->err),
                  0);
        CHECK_INT(claim(f, NOW, &list), 1);
        CHECK_INT(list[0].attempt, i);
        next = list[0];
    }
    CHECK_INT(delivery_failed(&f->store, &next, &half, NOW, &f->arena, &f->err), 0);
    CHECK_INT(claim(f, NOW + 9, &list), 1);
    CHECK_INT(list[0].progress, 2);
    CHECK_INT(list[0].attempt, 2);
    CHECK_INT(
        delivery_done_next(&f->store, &list[0], NOW, LEASE, &f->arena, &next, &found, &f->err), 0);
    CHECK(!found);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(leases)
TEST(order)
TEST(dead)
TEST(series)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leases),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
