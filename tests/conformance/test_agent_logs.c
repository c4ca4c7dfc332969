/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent_logs.c - logs of agents over every database.
 *
 * Goal: what is written comes back, whatever it holds; each way of asking finds the same rows in
 * the same order, a page after the other, and nobody else's; rows move on by their age and go;
 * counts are those of the rows. Method: one history on each driver, times given by the test. */
#include "fixture.h"

#include "store/agent_logs.h"

#define DAY   INT64_C(86400000000)
#define NOW   (INT64_C(20000) * DAY)
#define COUNT 60

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};
static const struct id ONE = {{1}}, TWO = {{2}};
static const struct id LAST = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
static const char *const LEVELS[] = {"debug", "info", "warn", "error"};

/* The i-th of them is i days old. */
static struct agent_log made(int i) {
    return (struct agent_log){.id = id_v7(),
                              .session_id = i % 3 ? ONE : TWO,
                              .level = str_of(LEVELS[i % 4]),
                              .category = i % 5 ? STR("tool") : STR("a \"b\" \xc3\xa4\\"),
                              .message = STR("line\n\"quoted\" \xf0\x9f\x98\x80"),
                              .data = i % 2 ? STR("{\"n\":[1,null,\"x\"]}") : STR_NULL,
                              .created_at = NOW - i * DAY};
}

static int put(struct store *s, const struct principal *who, const struct agent_log *logs,
               size_t count, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    agent_log_put_add(&b, who, logs, count);
    return db_commit(s->db, &b, err);
}

/* All pages of it; -1 when an order or a page is wrong. */
static int64_t count_all(struct store *s, const struct principal *who, struct agent_log_query q,
                         struct arena *a, struct err *err) {
    int64_t all = 0, before = INT64_MAX;
    struct agent_log_next next = {true, NOW + DAY, LAST};
    for (int pages = 0; next.more; pages++) {
        struct agent_log *list;
        size_t count;
        q.below_us = next.at;
        q.below_id = next.id;
        if (pages > 2 * COUNT || agent_log_list(s, who, &q, a, &list, &count, &next, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++) {
            bool fits = list[i].created_at < before && list[i].created_at >= q.since_us &&
                        (!q.level.p || str_eq(list[i].level, q.level)) &&
                        (!q.category.p || str_eq(list[i].category, q.category)) &&
                        (!q.tier.p || str_eq(list[i].tier, q.tier)) &&
                        (id_is_nil(q.session_id) || id_eq(list[i].session_id, q.session_id));
            if (!fits || list[i].message.len == 0)
                return -1;
            before = list[i].created_at;
        }
        all += (int64_t)count;
    }
    return all;
}

static void asking(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log logs[COUNT], got, hers = made(1);
    for (int i = 0; i < COUNT; i++)
        logs[i] = made(i);
    CHECK_CODE(put(s, &ANNA, logs, COUNT, a, &err), 0);
    CHECK_CODE(put(s, &BERT, &hers, 1, a, &err), 0); /* in the same session */
    CHECK_CODE(agent_log_get(s, &ANNA, logs[5].id, a, &got, &err), 0);
    CHECK(id_eq(got.id, logs[5].id) && id_eq(got.session_id, ONE));
    CHECK(str_eq(got.message, logs[5].message) && str_eq(got.category, logs[5].category));
    CHECK(str_eq(got.level, STR("info")) && str_eq(got.tier, STR("hot")));
    CHECK_INT(got.created_at, NOW - 5 * DAY);
    CHECK(got.data.len > 0 && str_find(got.data, STR("null")) > 0);
    CHECK_CODE(agent_log_get(s, &ANNA, logs[6].id, a, &got, &err), 0);
    CHECK(!got.data.p);
    CHECK_CODE(agent_log_get(s, &BERT, logs[5].id, a, &got, &err), ERR_NOT_FOUND);
    for (int64_t limit = 1; limit < 100; limit += 30) {
        struct agent_log_query q = {.limit = limit};
        CHECK_INT(count_all(s, &ANNA, q, a, &err), COUNT);
        CHECK_INT(count_all(s, &BERT, q, a, &err), 1);
        q.session_id = TWO;
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 20);
        CHECK_INT(count_all(s, &BERT, q, a, &err), 0);
        q.level = STR("warn");
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 5);
        q.session_id = ID_NIL;
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 15);
        q.category = STR("a \"b\" \xc3\xa4\\");
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 3);
        q.level = STR_NULL;
        q.since_us = NOW - 20 * DAY;
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 5);
        q.tier = STR("cold");
        CHECK_INT(count_all(s, &ANNA, q, a, &err), 0);
    }
}

static void aging(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log_counts counts;
    int64_t moved = 0, all = 0;
    bool more = true;
    CHECK_CODE(agent_log_counts(s, &ANNA, a, &counts, &err), 0);
    CHECK(counts.rows[0] == COUNT && counts.rows[1] == 0 && counts.bytes[0] > COUNT * 10);
    int64_t bytes = counts.bytes[0];
    CHECK_CODE(agent_log_age(s, NOW, 1000, a, &moved, &more, &err), 0);
    CHECK_THAT(moved == 0 && !more, "%s", "nothing says when");
    s->agent_logs = (struct agent_log_options){.hot_us = DAY / 2, .warm_us = 10 * DAY + 1};
    for (int i = 0; more || i == 0; i++, all += moved) {
        CHECK_CODE(agent_log_age(s, NOW, 7, a, &moved, &more, &err), 0);
        CHECK(i < 100 && moved <= 21);
    }
    CHECK_CODE(agent_log_counts(s, &ANNA, a, &counts, &err), 0);
    CHECK(counts.rows[0] == 1 && counts.rows[1] == 10 && counts.rows[2] == COUNT - 11);
    CHECK_INT(counts.bytes[0] + counts.bytes[1] + counts.bytes[2], bytes);
    CHECK_INT(all, COUNT + (COUNT - 11)); /* with that of the other one */
    struct agent_log_query q = {.tier = STR("warm"), .limit = 4};
    CHECK_INT(count_all(s, &ANNA, q, a, &err), 10);
    q = (struct agent_log_query){.session_id = TWO, .limit = 4};
    CHECK_INT(count_all(s, &ANNA, q, a, &err), 20); /* over all tiers, in order */
    q = (struct agent_log_query){.limit = 4};
    CHECK_INT(count_all(s, &ANNA, q, a, &err), COUNT);
    s->agent_logs.cold_us = 30 * DAY + 1;
    CHECK_CODE(agent_log_age(s, NOW, 1000, a, &moved, &more, &err), 0);
    CHECK(moved == COUNT - 31 && !more);
    CHECK_INT(count_all(s, &ANNA, q, a, &err), 31);
}

static void deleting(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log one = made(0);
    int64_t deleted;
    bool more;
    CHECK_CODE(put(s, &ANNA, &one, 1, a, &err), 0);
    CHECK_CODE(put(s, &ANNA, &one, 1, a, &err), ERR_EXISTS);
    CHECK_CODE(agent_log_delete(s, &BERT, one.id, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(agent_log_delete(s, &ANNA, one.id, a, &err), 0);
    CHECK_CODE(agent_log_delete(s, &ANNA, one.id, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(agent_log_delete_session(s, &BERT, TWO, 100, a, &deleted, &more, &err), 0);
    CHECK_INT(deleted, 0);
    CHECK_CODE(agent_log_delete_session(s, &ANNA, ONE, 7, a, &deleted, &more, &err), 0);
    CHECK_INT(deleted, 7);
    CHECK_CODE(agent_log_delete_session(s, &ANNA, ONE, 100, a, &deleted, &more, &err), 0);
    CHECK_INT(deleted, 13);
    struct agent_log_query q = {.limit = 10};
    CHECK_INT(count_all(s, &BERT, q, a, &err), 1);
    CHECK_INT(count_all(s, &ANNA, q, a, &err), 11);
}

static void history(struct fixture *f) {
    struct store s = {.db = f->db};
    asking(f, &s, &f->arena);
    aging(f, &s, &f->arena);
    deleting(f, &s, &f->arena);
}

int main(void) { return fixture_main("agent_logs", history); }
