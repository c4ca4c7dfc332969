/* SPDX-License-Identifier: Apache-2.0 */
/* test_runs.c - the thread as the slot of its runs. Goal: one run at a time, oldest first; a writer
 * that lost the thread, the attempt or the worker writes nothing and takes no log number; runs of
 * workers that are gone go to others, with their slot. Method: batches on a database in memory. */
#include "store/runs.h"

#include "fixture.h"
#include "store/workers.h"

#define LEASE_US 1000000

struct actor {
    struct fixture *f;
    struct id thread, worker;
    int64_t now;
};

static struct id thread_of(struct fixture *f) {
    struct id id = id_v7();
    struct thread t;
    int rc = thread_create(&f->store, &ALICE, id, STR("{}"), STR("{}"), false, &f->arena, &t,
                           &f->err);
    return rc == 0 ? id : ID_NIL;
}

static struct id run_make(struct actor *a, enum run_status status, int64_t at) {
    struct db_batch b;
    struct run run = {.id = id_v7(),
                      .thread_id = a->thread,
                      .assistant_id = id_v7(),
                      .status = status,
                      .metadata = STR("{}"),
                      .kwargs = STR("{}"),
                      .multitask_strategy = STR("enqueue"),
                      .attempt = status == RUN_RUNNING,
                      .created_at = at};
    db_batch_init(&b, &a->f->arena);
    run_insert_add(&b, &run, a->worker);
    return db_commit(a->f->store.db, &b, &a->f->err) == 0 ? run.id : ID_NIL;
}

static struct run_hold hold_of(const struct actor *a, struct id run, int64_t attempt) {
    return (struct run_hold){
        .thread_id = a->thread, .run_id = run, .attempt = attempt, .worker = a->worker};
}

static int begin(struct actor *a, struct id run, int64_t from, int64_t to, int64_t at) {
    struct db_batch b;
    struct run_hold hold = hold_of(a, run, to);
    db_batch_init(&b, &a->f->arena);
    run_claim_add(&b, &hold, from, a->now);
    thread_begin_add(&b, &hold, at, ID_NIL, NULL, ID_NIL, 1, a->now);
    return db_commit(a->f->store.db, &b, &a->f->err);
}

static int settle(struct actor *a, struct run_hold hold) {
    struct db_batch b;
    db_batch_init(&b, &a->f->arena);
    run_finish_add(&b, hold.run_id, hold.attempt, RUN_SUCCESS, STR_NULL, STR_NULL, a->now);
    thread_settle_add(&b, &hold, THREAD_IDLE, STR("{}"), STR_NULL, ID_NIL, 1, a->now);
    return db_commit(a->f->store.db, &b, &a->f->err);
}

static int64_t seq_of(struct actor *a) {
    struct thread t;
    int rc = thread_get(&a->f->store, &ALICE, a->thread, &a->f->arena, &t, &a->f->err);
    return rc == 0 ? t.seq : -1;
}

static void slot(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100}, other = a;
    other.worker = id_v7();
    struct id first = run_make(&a, RUN_PENDING, 10), second = run_make(&other, RUN_PENDING, 20);
    struct run_context ctx;
    struct run_context_key key = {.thread_id = a.thread, .run_id = second, .time_us = 20};
    CHECK_INT(run_context_read(&f->store, &ALICE, &key, &f->arena, &ctx, &f->err), 0);
    CHECK(ctx.has_thread && ctx.has_older && id_is_nil(ctx.slot_run));
    CHECK_INT(begin(&other, second, 0, 1, 20), ERR_CONFLICT); /* the older waits */
    CHECK_INT(begin(&other, first, 0, 1, 10), ERR_FENCED);    /* given to another worker */
    CHECK_INT(begin(&a, first, 0, 1, 10), 0);
    CHECK_INT(begin(&other, second, 0, 1, 20), ERR_CONFLICT); /* taken */
    CHECK_INT(begin(&a, first, 0, 1, 10), ERR_FENCED);        /* claimed already */
    CHECK_INT(seq_of(&a), 1);
    CHECK_INT(run_context_read(&f->store, &ALICE, &key, &f->arena, &ctx, &f->err), 0);
    CHECK(ctx.has_older && id_eq(ctx.slot_run, first));
    CHECK_INT(settle(&a, hold_of(&a, first, 1)), 0);
    struct thread t;
    CHECK_INT(thread_get(&f->store, &ALICE, a.thread, &f->arena, &t, &f->err), 0);
    CHECK_INT(t.status, THREAD_BUSY); /* the other waits */
    CHECK_INT(begin(&other, second, 0, 1, 20), 0);
    CHECK_INT(settle(&other, hold_of(&other, second, 1)), 0);
    CHECK_INT(thread_get(&f->store, &ALICE, a.thread, &f->arena, &t, &f->err), 0);
    CHECK_INT(t.status, THREAD_IDLE);
    CHECK_INT(t.seq, 4);
}

/* A run that was prepared from a state that is no longer the newest must not begin from it. */
static void stale(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100};
    struct id first = run_make(&a, RUN_PENDING, 10), second = run_make(&a, RUN_PENDING, 20);
    struct run_context ctx;
    struct run_context_key key = {.thread_id = a.thread, .run_id = second, .time_us = 20};
    struct id newest = id_v6(1);
    CHECK_INT(run_context_read(&f->store, &ALICE, &key, &f->arena, &ctx, &f->err), 0);
    CHECK(id_is_nil(ctx.head));
    CHECK_INT(begin(&a, first, 0, 1, 10), 0);
    struct run_hold hold = hold_of(&a, first, 1);
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    run_finish_add(&b, first, 1, RUN_SUCCESS, STR_NULL, STR_NULL, a.now);
    thread_settle_add(&b, &hold, THREAD_IDLE, STR("{}"), STR_NULL, newest, 1, a.now);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
    CHECK_INT(begin(&a, second, 0, 1, 20), ERR_CONFLICT); /* from the state before the first */
    CHECK_INT(run_context_read(&f->store, &ALICE, &key, &f->arena, &ctx, &f->err), 0);
    CHECK(id_eq(ctx.head, newest));
    hold = hold_of(&a, second, 1);
    db_batch_init(&b, &f->arena);
    run_claim_add(&b, &hold, 0, a.now);
    thread_begin_add(&b, &hold, 20, ctx.head, NULL, ID_NIL, 1, a.now);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
    CHECK_INT(settle(&a, hold), 0);
}

/* One statement of each kind of write, with a hold that is not the present one. */
static int write_with(struct actor *a, int kind, const struct run_hold *hold) {
    struct db_batch b;
    db_batch_init(&b, &a->f->arena);
    switch (kind) {
    case 0:
        thread_log_add(&b, hold, 1);
        break;
    case 1:
        thread_checkpoint_add(&b, hold, id_v6(1), 1, a->now);
        break;
    case 2:
        thread_settle_add(&b, hold, THREAD_IDLE, STR("{}"), STR_NULL, ID_NIL, 1, a->now);
        break;
    default:
        thread_delete_held_add(&a->f->store, &b, hold);
        break;
    }
    return db_commit(a->f->store.db, &b, &a->f->err);
}

static void fences(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100};
    struct id run = run_make(&a, RUN_PENDING, 10);
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    struct run_hold good = hold_of(&a, run, 1), bad[3] = {good, good, good};
    bad[0].attempt = 2;
    bad[1].worker = id_v7();
    bad[2].run_id = id_v7();
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
            CHECK_INT(write_with(&a, kind, &bad[i]), ERR_FENCED);
    CHECK_INT(seq_of(&a), 1);
    CHECK_INT(write_with(&a, 1, &good), 0);
}

static void register_worker(struct fixture *f, struct id id, int64_t now) {
    struct worker w = {.id = id, .host = STR("here"), .pid = 1};
    CHECK_INT(worker_register(&f->store, &w, now, LEASE_US, &f->arena, &f->err), 0);
}

static void adoption(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100}, heir = a;
    heir.worker = id_v7();
    register_worker(f, a.worker, 0);
    register_worker(f, heir.worker, LEASE_US);
    struct id run = run_make(&a, RUN_PENDING, 10), waiting = run_make(&a, RUN_PENDING, 11);
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    int64_t count = -1;
    CHECK_INT(run_adopt(&f->store, heir.worker, LEASE_US - 1, 10, &f->arena, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(run_adopt(&f->store, heir.worker, LEASE_US, 1, &f->arena, &count, &f->err), 0);
    CHECK_INT(count, 1); /* as many as asked for, oldest first */
    struct run *mine;
    size_t mine_count;
    CHECK_INT(run_list_of_worker(&f->store, heir.worker, ID_NIL, 10, &f->arena, &mine, &mine_count,
                                 &f->err),
              0);
    CHECK_INT(mine_count, 1);
    CHECK(id_eq(mine[0].id, run) && mine[0].status == RUN_RUNNING && mine[0].attempt == 1);
    CHECK_INT(begin(&heir, run, 1, 2, 10), 0);
    CHECK_INT(settle(&a, hold_of(&a, run, 1)), ERR_FENCED);
    CHECK_INT(settle(&heir, hold_of(&heir, run, 2)), 0);
    CHECK_INT(run_adopt(&f->store, heir.worker, LEASE_US, 10, &f->arena, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK_INT(begin(&heir, waiting, 0, 1, 11), 0);
}

/* A run that has the thread goes on with it, also when an older one was accepted after it began. */
static void late_elder(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100};
    struct id run = run_make(&a, RUN_PENDING, 10);
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    struct id elder = run_make(&a, RUN_PENDING, 9);
    CHECK_INT(begin(&a, elder, 0, 1, 9), ERR_CONFLICT);
    CHECK_INT(begin(&a, run, 1, 2, 10), 0);
    CHECK_INT(settle(&a, hold_of(&a, run, 2)), 0);
    CHECK_INT(begin(&a, elder, 0, 1, 9), 0);
}

static void hand_back(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100}, heir = a;
    heir.worker = id_v7();
    struct id run = run_make(&a, RUN_PENDING, 10);
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    struct db_batch b;
    struct run_hold hold = hold_of(&a, run, 1), old = hold;
    old.attempt = 7;
    db_batch_init(&b, &f->arena);
    run_hand_back_add(&b, &old, a.now); /* changes nothing */
    run_hand_back_add(&b, &hold, a.now);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
    struct run_place place;
    CHECK_INT(run_place_get(&f->store, run, &f->arena, &place, &f->err), 0);
    CHECK(place.status == RUN_PENDING && place.attempt == -1 && id_is_nil(place.worker));
    CHECK(id_is_nil(place.slot_run));
    int64_t count;
    CHECK_INT(run_adopt(&f->store, heir.worker, a.now, 10, &f->arena, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK_INT(begin(&heir, run, -1, run_next_attempt(-1), 10), 0);
    CHECK_INT(settle(&a, hold), ERR_FENCED); /* the same attempt, another worker */
    CHECK_INT(settle(&heir, hold_of(&heir, run, 1)), 0);
}

/* What another worker has spent is not given back by one that adopted the run and goes before it
 * has begun it. */
static void adopted_and_left(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100}, heir = a;
    heir.worker = id_v7();
    struct id run = run_make(&a, RUN_PENDING, 10);
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    int64_t count;
    CHECK_INT(run_adopt(&f->store, heir.worker, a.now, 10, &f->arena, &count, &f->err), 0);
    CHECK_INT(count, 1);
    struct db_batch b;
    struct run_hold hold = hold_of(&heir, run, 1);
    db_batch_init(&b, &f->arena);
    run_hand_back_add(&b, &hold, a.now);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
    struct run_place place;
    CHECK_INT(run_place_get(&f->store, run, &f->arena, &place, &f->err), 0);
    CHECK(place.status == RUN_RUNNING && place.attempt == 1 && id_eq(place.worker, heir.worker));
    CHECK(id_eq(place.slot_run, run));
    CHECK_INT(begin(&heir, run, 1, 2, 10), 0);
    CHECK_INT(settle(&heir, hold_of(&heir, run, 2)), 0);
}

static void wishes(struct fixture *f) {
    struct actor a = {.f = f, .thread = thread_of(f), .worker = id_v7(), .now = 100};
    struct id run = run_make(&a, RUN_PENDING, 10);
    struct run_wish *list;
    size_t count;
    bool live = false;
    CHECK_INT(begin(&a, run, 0, 1, 10), 0);
    CHECK_INT(run_wishes(&f->store, a.worker, 10, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(run_ask_cancel(&f->store, run, CANCEL_ROLLBACK, STR("enough"), 5, &f->arena, &live,
                             &f->err),
              0);
    CHECK(live);
    CHECK_INT(run_ask_cancel(&f->store, run, CANCEL_INTERRUPT, STR_NULL, 6, &f->arena, &live,
                             &f->err),
              0);
    CHECK_INT(run_wishes(&f->store, a.worker, 10, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK(id_eq(list[0].run_id, run) && list[0].action == CANCEL_ROLLBACK);
    CHECK_STR(list[0].reason, STR("enough"));
    CHECK_INT(settle(&a, hold_of(&a, run, 1)), 0);
    CHECK_INT(run_wishes(&f->store, a.worker, 10, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(run_ask_cancel(&f->store, run, CANCEL_INTERRUPT, STR_NULL, 6, &f->arena, &live,
                             &f->err),
              0);
    CHECK(!live);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(slot)
TEST(stale)
TEST(fences)
TEST(adoption)
TEST(late_elder)
TEST(hand_back)
TEST(adopted_and_left)
TEST(wishes)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot),      cmocka_unit_test(test_stale),
        cmocka_unit_test(test_fences),
        cmocka_unit_test(test_adoption),  cmocka_unit_test(test_hand_back),
        cmocka_unit_test(test_adopted_and_left),
        cmocka_unit_test(test_wishes),    cmocka_unit_test(test_late_elder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
