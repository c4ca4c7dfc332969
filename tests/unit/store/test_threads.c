/* SPDX-License-Identifier: Apache-2.0 */
/* test_threads.c - thread rows. Goal: the whole life of a thread, every sort and filter with
 * paging, and that another owner sees and changes nothing. Method: a database in memory; rows whose
 * times and states differ are made through the statements that the engine uses. */
#include "store/threads.h"

#include "fixture.h"
#include "store/checkpoints.h"
#include "store/runs.h"

static struct id make(struct fixture *f, const struct principal *who, str metadata) {
    struct id id = id_v7();
    struct thread t;
    int rc = thread_create(&f->store, who, id, metadata, STR("{}"), false, &f->arena, &t, &f->err);
    return rc == 0 && id_eq(t.id, id) ? id : ID_NIL;
}

static void settle(struct fixture *f, struct id id, enum thread_status status, int64_t now_us) {
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    struct run_hold hold = {.thread_id = id, .run_id = id_v7(), .attempt = 1, .worker = id_v7()};
    thread_begin_add(&b, &hold, now_us, ID_NIL, NULL, ID_NIL, 0, now_us);
    thread_settle_add(&b, &hold, status, STR("{}"), STR_NULL, id_v6(0), 0, now_us);
    CHECK_INT(db_commit(f->store.db, &b, &f->err), 0);
}

static void life(struct fixture *f) {
    struct store *s = &f->store;
    struct thread t, u;
    struct id id = id_v7();
    CHECK_INT(thread_create(s, &ALICE, id, STR("{\"a\":1,\"b\":{\"x\":1}}"), STR("{}"), false,
                            &f->arena, &t, &f->err),
              0);
    CHECK_STR(t.metadata, STR("{\"a\":1,\"b\":{\"x\":1}}"));
    CHECK_STR(t.owner, STR("alice"));
    CHECK_INT(t.status, THREAD_IDLE);
    CHECK_INT(t.seq, 0);
    CHECK(id_is_nil(t.checkpoint_id) && !t.error.p && t.created_at > 0);
    CHECK_INT(thread_create(s, &ALICE, id, STR("{}"), STR("{}"), false, &f->arena, &u, &f->err),
              ERR_EXISTS);
    CHECK_STR(str_of(f->err.message), STR("Thread already exists"));
    CHECK_INT(thread_create(s, &ALICE, id, STR("{}"), STR("{}"), true, &f->arena, &u, &f->err), 0);
    CHECK_STR(u.metadata, t.metadata);
    CHECK_INT(
        thread_patch(s, &ALICE, id, STR("{\"b\":2,\"c\":null}"), NULL, &f->arena, &u, &f->err), 0);
    CHECK_STR(u.metadata, STR("{\"a\":1,\"b\":2,\"c\":null}"));
    CHECK(u.updated_at > t.updated_at && u.created_at == t.created_at);
    CHECK_INT(thread_get(s, &ALICE, id, &f->arena, &t, &f->err), 0);
    CHECK_STR(t.metadata, u.metadata);
    CHECK_INT(thread_delete(s, &ALICE, id, &f->arena, &f->err), 0);
    CHECK_INT(thread_get(s, &ALICE, id, &f->arena, &t, &f->err), ERR_NOT_FOUND);
    CHECK_STR(str_of(f->err.message),
              arena_printf(&f->arena, "Thread with ID " STR_FMT " not found",
                           STR_ARG(id_dashed(&f->arena, id))));
    CHECK_INT(thread_delete(s, &ALICE, id, &f->arena, &f->err), ERR_NOT_FOUND);
    CHECK_INT(thread_patch(s, &ALICE, id, STR("{}"), NULL, &f->arena, &t, &f->err), ERR_NOT_FOUND);
}

/* Metadata cannot say whose a thread is, however it comes in. */
static void owner_is_no_metadata(struct fixture *f) {
    struct store *s = &f->store;
    struct thread t, *list;
    size_t count;
    struct id id = id_v7();
    CHECK_INT(thread_create(s, &ALICE, id, STR("{\"owner\":\"bob\",\"a\":{\"owner\":1}}"),
                            STR("{}"), false, &f->arena, &t, &f->err),
              0);
    CHECK_STR(t.metadata, STR("{\"a\":{\"owner\":1}}"));
    CHECK_STR(t.owner, STR("alice"));
    CHECK_INT(
        thread_patch(s, &ALICE, id, STR("{\"b\":1,\"owner\":null}"), NULL, &f->arena, &t, &f->err),
        0);
    CHECK_STR(t.metadata, STR("{\"a\":{\"owner\":1},\"b\":1}"));
    CHECK_INT(thread_get(s, &BOB, id, &f->arena, &t, &f->err), ERR_NOT_FOUND);
    CHECK_INT(thread_get(s, &ALICE, id, &f->arena, &t, &f->err), 0);
    CHECK_STR(t.owner, STR("alice"));
    struct thread_filter by = {.metadata = STR("{\"owner\":\"alice\"}")};
    struct page page = {.limit = 10};
    CHECK_INT(thread_search(s, &ALICE, &by, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 0);
}

static void owners(struct fixture *f) {
    struct store *s = &f->store;
    struct thread t, *list;
    size_t count;
    int64_t total;
    struct thread_filter any = {0};
    struct page page = {.limit = 10};
    struct id mine = make(f, &ALICE, STR("{}")), theirs = make(f, &BOB, STR("{}"));
    CHECK(!id_is_nil(mine) && !id_is_nil(theirs));
    CHECK_INT(thread_get(s, &BOB, mine, &f->arena, &t, &f->err), ERR_NOT_FOUND);
    CHECK_INT(thread_patch(s, &BOB, mine, STR("{\"x\":1}"), NULL, &f->arena, &t, &f->err),
              ERR_NOT_FOUND);
    CHECK_INT(thread_delete(s, &BOB, mine, &f->arena, &f->err), ERR_NOT_FOUND);
    for (int do_nothing = 0; do_nothing < 2; do_nothing++) {
        CHECK_INT(
            thread_create(s, &BOB, mine, STR("{}"), STR("{}"), do_nothing, &f->arena, &t, &f->err),
            ERR_NOT_FOUND);
        CHECK(str_starts(str_of(f->err.message), STR("Thread with ID ")));
    }
    CHECK_INT(thread_search(s, &BOB, &any, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK(id_eq(list[0].id, theirs));
    CHECK_INT(thread_count(s, &BOB, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 1);
    struct thread_filter by_id = {.ids = &mine, .id_count = 1};
    CHECK_INT(thread_search(s, &BOB, &by_id, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 0);
    CHECK_INT(thread_count(s, &BOB, &by_id, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 0);
    CHECK_INT(thread_get(s, &ALICE, mine, &f->arena, &t, &f->err), 0);
    CHECK_STR(t.metadata, STR("{}"));
    struct id *walked;
    CHECK_INT(thread_walk(s, ID_NIL, 10, &f->arena, &walked, &count, &f->err), 0);
    CHECK_INT(count, 2);
    CHECK_INT(thread_count(s, &SERVER, &any, &f->arena, &total, &f->err), 0);
    CHECK_INT(total, 2);
    CHECK_INT(thread_search(s, &SERVER, &by_id, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK_INT(thread_get(s, &SERVER, theirs, &f->arena, &t, &f->err), 0);
    CHECK_INT(thread_delete(s, &SERVER, theirs, &f->arena, &f->err), 0);
}

/* Status, sort keys and ids differ in their order. */
static void sorts(struct fixture *f) {
    struct store *s = &f->store;
    struct id a = make(f, &ALICE, STR("{}")), b = make(f, &ALICE, STR("{}")),
              c = make(f, &ALICE, STR("{}"));
    settle(f, b, THREAD_INTERRUPTED, INT64_C(4000000000000000));
    settle(f, a, THREAD_ERROR, INT64_C(4100000000000000));
    settle(f, c, THREAD_IDLE, INT64_C(3900000000000000));
    static const struct {
        enum thread_sort sort;
        const char *down;
    } want[] = {
        {THREAD_BY_UPDATED, "abc"}, {THREAD_BY_CREATED, "cba"}, {THREAD_BY_STATE_UPDATED, "abc"},
        {THREAD_BY_ID, "cba"},      {THREAD_BY_STATUS, "bca"},
    };
    struct id ids[3] = {a, b, c};
    for (size_t i = 0; i < ARRAY_COUNT(want) * 4; i++) {
        struct thread_filter filter = {.sort = want[i / 4].sort};
        if (i & 2) {
            filter.ids = ids;
            filter.id_count = 3;
        }
        struct page page = {.limit = 10, .order = i & 1 ? SORT_ASC : SORT_DESC};
        struct thread *list;
        size_t count;
        for (int all = 0; all <= (i & 2 ? 1 : 0); all++) { /* the server names ids */
            CHECK_INT(thread_search(s, all ? &SERVER : &ALICE, &filter, &page, &f->arena, &list,
                                    &count, &f->err),
                      0);
            CHECK_INT(count, 3);
            char got[4] = {0};
            for (size_t k = 0; k < 3; k++)
                got[i & 1 ? 2 - k : k] = id_eq(list[k].id, a)   ? 'a'
                                         : id_eq(list[k].id, b) ? 'b'
                                         : id_eq(list[k].id, c) ? 'c'
                                                                : '?';
            CHECK_STR(str_of(got), str_of(want[i / 4].down));
        }
    }
}

/* Orders without an index have a limit; those with one do not. */
static void too_many_to_sort(struct fixture *f) {
    struct store *s = &f->store;
    struct page page = {.limit = 1};
    struct thread *list;
    size_t count;
    for (int more = 0; more < 2; more++) {
        struct db_batch b;
        db_batch_init(&b, &f->arena);
        for (int i = 0; i < (more ? 1 : THREAD_SORTED_MAX); i++) {
            struct thread_new n = {.id = id_v7(), .metadata = STR("{}"), .config = STR("{}")};
            thread_insert_add(&b, &ALICE, &n, i);
        }
        CHECK_INT(db_commit(s->db, &b, &f->err), 0);
        for (int sort = 0; sort <= THREAD_BY_STATUS; sort++) {
            struct thread_filter filter = {.sort = (enum thread_sort)sort};
            bool indexed = sort == THREAD_BY_UPDATED || sort == THREAD_BY_CREATED;
            CHECK_INT(thread_search(s, &ALICE, &filter, &page, &f->arena, &list, &count, &f->err),
                      more && !indexed ? ERR_INVALID : 0);
            CHECK_INT(count, 1);
        }
    }
}

static void filters(struct fixture *f) {
    struct store *s = &f->store;
    struct id ids[12];
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        ids[i] = make(f, &ALICE,
                      arena_printf(&f->arena, "{\"n\":%zu,\"user\":{\"id\":\"u%zu\"}}", i, i % 3));
        CHECK(!id_is_nil(ids[i]));
    }
    settle(f, ids[1], THREAD_INTERRUPTED, INT64_C(4000000000000000));
    settle(f, ids[2], THREAD_INTERRUPTED, INT64_C(4100000000000000));
    enum thread_status interrupted = THREAD_INTERRUPTED, idle = THREAD_IDLE;
    struct {
        struct thread_filter filter;
        size_t count;
    } cases[] = {
        {{.metadata = STR("{\"user\":{\"id\":\"u1\"}}")}, 4},
        {{.metadata = STR("{\"n\":7}")}, 1},
        {{.metadata = STR("{\"n\":70}")}, 0},
        {{.status = &interrupted}, 2},
        {{.status = &interrupted, .sort = THREAD_BY_CREATED}, 2},
        {{.status = &interrupted, .metadata = STR("{\"n\":2}")}, 1},
        {{.status = &idle}, 10},
        {{.ids = ids, .id_count = 3}, 3},
        {{.ids = ids, .id_count = 3, .status = &interrupted}, 2},
        {{.ids = ids, .id_count = 3, .metadata = STR("{\"n\":0}")}, 1},
    };
    struct page page = {.limit = 100};
    struct thread *list;
    size_t count;
    int64_t total;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        CHECK_INT(
            thread_search(s, &ALICE, &cases[i].filter, &page, &f->arena, &list, &count, &f->err),
            0);
        CHECK_INT(count, cases[i].count);
        CHECK_INT(thread_count(s, &ALICE, &cases[i].filter, &f->arena, &total, &f->err), 0);
        CHECK_INT(total, cases[i].count);
    }
    struct thread_filter active = {.status = &interrupted};
    CHECK_INT(thread_search(s, &ALICE, &active, &page, &f->arena, &list, &count, &f->err), 0);
    CHECK(id_eq(list[0].id, ids[2]) && id_eq(list[1].id, ids[1]));
}

static void paging(struct fixture *f) {
    struct store *s = &f->store;
    struct id ids[7], seen[7];
    for (size_t i = 0; i < 7; i++)
        ids[i] = make(f, &ALICE, STR("{}"));
    struct thread_filter any = {.sort = THREAD_BY_CREATED};
    struct thread *list;
    size_t count, at = 0;
    for (int64_t offset = 0; offset < 9; offset += 3) {
        struct page page = {.limit = 3, .offset = offset, .order = SORT_ASC};
        CHECK_INT(thread_search(s, &ALICE, &any, &page, &f->arena, &list, &count, &f->err), 0);
        CHECK_INT(count, offset < 6 ? 3 : 1);
        for (size_t i = 0; i < count; i++)
            seen[at++] = list[i].id;
    }
    for (size_t i = 0; i < 7; i++)
        CHECK(id_eq(seen[i], ids[i]));
}

/* All that hangs on a thread goes with it, and nothing of its neighbour. */
static void delete_removes_all(struct fixture *f) {
    struct store *s = &f->store;
    struct id gone = make(f, &ALICE, STR("{}")), stays = make(f, &ALICE, STR("{}"));
    struct id both[] = {gone, stays}, worker = id_v7();
    for (size_t i = 0; i < 2; i++) {
        struct db_batch b;
        db_batch_init(&b, &f->arena);
        struct run run = {.id = id_v7(),
                          .thread_id = both[i],
                          .assistant_id = id_v7(),
                          .metadata = STR("{}"),
                          .kwargs = STR("{}"),
                          .multitask_strategy = STR("enqueue"),
                          .created_at = 1};
        run_insert_add(&b, &run, worker);
        checkpoint_value_add(&b, both[i], STR("00"), STR("1"));
        checkpoint_segment_add(&b, both[i], 1, 0, 1, STR("1"));
        struct checkpoint c = {.thread_id = both[i],
                               .id = id_v6(0),
                               .name_space = STR(""),
                               .source = STR("input"),
                               .channels = STR("{\"x\":{\"h\":\"00\"}}"),
                               .next = STR("[]"),
                               .tasks = STR("[]"),
                               .metadata = STR("{}")};
        checkpoint_add(&b, &c);
        CHECK_INT(db_commit(s->db, &b, &f->err), 0);
    }
    CHECK_INT(thread_delete(s, &ALICE, gone, &f->arena, &f->err), 0);
    struct checkpoint c;
    CHECK_INT(checkpoint_get(s, gone, STR(""), ID_NIL, &f->arena, &c, &f->err), ERR_NOT_FOUND);
    str values;
    CHECK_INT(checkpoint_head_values(s, stays, &f->arena, &values, &f->err), 0);
    CHECK_STR(values, STR("{\"x\":1}"));
    struct run *runs;
    size_t count;
    CHECK_INT(run_list_of_worker(s, worker, ID_NIL, 10, &f->arena, &runs, &count, &f->err), 0);
    CHECK_INT(count, 1);
    CHECK(id_eq(runs[0].thread_id, stays));
    /* The same keys are free again. */
    struct thread t;
    CHECK_INT(thread_create(s, &ALICE, gone, STR("{}"), STR("{}"), false, &f->arena, &t, &f->err),
              0);
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    checkpoint_segment_add(&b, gone, 1, 0, 1, STR("2"));
    CHECK_INT(db_commit(s->db, &b, &f->err), 0);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(life)
TEST(owner_is_no_metadata)
TEST(owners)
TEST(sorts)
TEST(too_many_to_sort)
TEST(filters)
TEST(paging)
TEST(delete_removes_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_owner_is_no_metadata),
        cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_too_many_to_sort),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_paging),
        cmocka_unit_test(test_delete_removes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
