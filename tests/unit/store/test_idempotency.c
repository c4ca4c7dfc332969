/* SPDX-License-Identifier: Apache-2.0 */
/* test_idempotency.c - kept answers. Goal: the first batch under a key is the only one that creates
 * until the key has expired; owners are apart; what has expired goes, and no more than asked.
 * Method: a database in memory, times given. */
#include "store/idempotency.h"

#include "fixture.h"
#include "store/threads.h"

#define NOW INT64_C(1000000000)

static int keep(struct fixture *f, const struct principal *who, const char *key, const char *body,
                int64_t now) {
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    thread_insert_add(&b, who, &(struct thread_new){id_v7(), str_of("{\"m\":1}"), STR("{}")}, now);
    idempotency_add(
        &b, who,
        &(struct idempotency){.key = str_of(key), .request = STR("r"), .body = str_of(body)}, now);
    return db_commit(f->store.db, &b, &f->err);
}

static size_t threads(struct fixture *f) {
    int64_t count = -1;
    struct thread_filter filter = {0};
    if (thread_count(&f->store, &(struct principal){.all = true}, &filter, &f->arena, &count,
                     &f->err) < 0)
        return SIZE_MAX;
    return (size_t)count;
}

static void one_creates(struct fixture *f) {
    struct idempotency i;
    bool found = true;
    CHECK_INT(idempotency_get(&f->store, &ALICE, STR("k"), NOW, &f->arena, &found, &i, &f->err), 0);
    CHECK(!found);
    CHECK_INT(keep(f, &ALICE, "k", "first", NOW), 0);
    CHECK_INT(keep(f, &ALICE, "k", "second", NOW + 1), ERR_REPEATED);
    CHECK_INT(keep(f, &BOB, "k", "his", NOW + 1), 0);
    CHECK_INT(threads(f), 2);
    CHECK_INT(idempotency_get(&f->store, &ALICE, STR("k"), NOW, &f->arena, &found, &i, &f->err), 0);
    CHECK(found);
    CHECK_STR(i.body, STR("first"));
    CHECK_STR(i.request, STR("r"));
    CHECK(id_is_nil(i.run_id));
}

static void expiry(struct fixture *f) {
    struct idempotency i;
    bool found = true;
    int64_t deleted, later = NOW + IDEMPOTENCY_KEEP_US;
    CHECK_INT(keep(f, &ALICE, "a", "1", NOW), 0);
    CHECK_INT(keep(f, &ALICE, "b", "1", NOW), 0);
    CHECK_INT(keep(f, &ALICE, "c", "1", NOW + 1), 0);
    CHECK_INT(idempotency_get(&f->store, &ALICE, STR("a"), later, &f->arena, &found, &i, &f->err),
              0);
    CHECK(!found);
    CHECK_INT(keep(f, &ALICE, "a", "2", later), 0);
    CHECK_INT(idempotency_get(&f->store, &ALICE, STR("a"), later, &f->arena, &found, &i, &f->err),
              0);
    CHECK(found);
    CHECK_STR(i.body, STR("2"));
    CHECK_INT(idempotency_sweep(&f->store, later + 1, 1, &f->arena, &deleted, &f->err), 0);
    CHECK_INT(deleted, 1);
    CHECK_INT(idempotency_sweep(&f->store, later + 1, 10, &f->arena, &deleted, &f->err), 0);
    CHECK_INT(deleted, 1);
    CHECK_INT(idempotency_get(&f->store, &ALICE, STR("a"), later, &f->arena, &found, &i, &f->err),
              0);
    CHECK(found);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(one_creates)
TEST(expiry)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_creates),
        cmocka_unit_test(test_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
