/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent_insights.c - insights of agents' logs over every database.
 *
 * Goal: logs wait for an insight when they leave hot and the store says so, session by session; an
 * insight is stored where all of its logs still wait, and then none of them waits any more; it is
 * listed, found by its words and deleted by its owner alone, with its session, or by its age.
 * Method: one history on each driver, times given by the test. */
#include "fixture.h"

#include "store/agent_insights.h"

#define DAY   INT64_C(86400000000)
#define NOW   (INT64_C(20000) * DAY)
#define COUNT 12

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};
static const struct id ONE = {{1}}, TWO = {{2}};
static const struct agent_log_place START = {.owner = {"", 0}};
static const struct id LAST = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

static int put_logs(struct store *s, const struct principal *who, size_t count, struct arena *a,
                    struct err *err) {
    struct agent_log logs[COUNT];
    struct db_batch b;
    for (size_t i = 0; i < count; i++)
        logs[i] = (struct agent_log){.id = id_v7(),
                                     .session_id = i % 3 ? ONE : TWO,
                                     .level = STR("info"),
                                     .category = STR("tool"),
                                     .message = STR("\xc3\xa4\xc3\xa4\xc3\xa4"),
                                     .data = i == 1 ? STR("[1, 2, 3, 4]") : STR_NULL,
                                     .created_at = NOW - (int64_t)(i + 1) * DAY};
    db_batch_init(&b, a);
    agent_log_put_add(&b, who, logs, count);
    return db_commit(s->db, &b, err);
}

/* -1: it failed. */
static int64_t pending(struct store *s, struct agent_log_place at, int64_t limit, struct arena *a,
                       struct agent_log_pending **out, struct err *err) {
    size_t count;
    int rc = agent_log_pending_list(s, &at, limit, 2, a, out, &count, err);
    return rc < 0 ? -1 : (int64_t)count;
}

static struct agent_insight made(const struct agent_log_pending *logs, int64_t count, str text) {
    return (struct agent_insight){.id = id_v7(),
                                  .session_id = logs->session_id,
                                  .category = STR("tool"),
                                  .text = text,
                                  .model = STR("openai:m"),
                                  .logs = count,
                                  .first_at = logs->created_at,
                                  .last_at = logs[count - 1].created_at,
                                  .created_at = NOW};
}

static void waiting(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log_pending *logs;
    int64_t moved;
    bool more;
    CHECK_CODE(put_logs(s, &ANNA, COUNT, a, &err), 0);
    s->agent_logs = (struct agent_log_options){.hot_us = 2 * DAY + 1};
    s->agent_logs.insights = true;
    CHECK_INT(pending(s, START, 100, a, &logs, &err), 0);
    CHECK_CODE(agent_log_age(s, NOW, 1000, a, &moved, &more, &err), 0);
    CHECK_INT(moved, COUNT - 2);
    /* Bert's go on as without insights. */
    CHECK_CODE(put_logs(s, &BERT, COUNT, a, &err), 0);
    s->agent_logs.insights = false;
    CHECK_CODE(agent_log_age(s, NOW, 1000, a, &moved, &more, &err), 0);
    CHECK_INT(moved, COUNT - 2);
    CHECK_INT(pending(s, START, 100, a, &logs, &err), COUNT - 2);
    for (size_t i = 0; i < COUNT - 2; i++) {
        CHECK(str_eq(logs[i].owner, STR("anna")));
        CHECK(id_eq(logs[i].session_id, i < 7 ? ONE : TWO));
        CHECK(i == 0 || i == 7 || logs[i].created_at > logs[i - 1].created_at);
        CHECK(str_eq(logs[i].message, STR("\xc3\xa4\xc3\xa4")) && !logs[i].data.p);
    }
    CHECK_INT(pending(s, START, 3, a, &logs, &err), 3);
    struct agent_log_place behind = {.owner = STR("anna"), .session_id = ONE, .at = NOW};
    CHECK_INT(pending(s, behind, 100, a, &logs, &err), 3);
    CHECK(id_eq(logs->session_id, TWO));
}

static void once(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log_pending *logs, *rest;
    struct agent_insight got, n, *list;
    size_t count;
    CHECK_INT(pending(s, START, 100, a, &logs, &err), COUNT - 2);
    n = made(logs, 4, STR("green apples"));
    CHECK_CODE(agent_insight_put(s, &n, logs, NULL, a, &err), 0);
    CHECK_INT(pending(s, START, 100, a, &rest, &err), COUNT - 6);
    CHECK(id_eq(rest->id, logs[4].id));
    /* Again, and one that has some of them. */
    n.id = id_v7();
    CHECK_CODE(agent_insight_put(s, &n, logs, NULL, a, &err), ERR_CONFLICT);
    n = made(logs + 3, 4, STR("red apples"));
    CHECK_CODE(agent_insight_put(s, &n, logs + 3, NULL, a, &err), ERR_CONFLICT);
    CHECK_INT(pending(s, START, 100, a, &rest, &err), COUNT - 6);
    /* A log goes meanwhile. */
    CHECK_CODE(agent_log_delete(s, &ANNA, logs[5].id, a, &err), 0);
    n = made(logs + 4, 3, STR("red apples"));
    CHECK_CODE(agent_insight_put(s, &n, logs + 4, NULL, a, &err), ERR_CONFLICT);
    CHECK_INT(pending(s, START, 2, a, &rest, &err), 2);
    n = made(rest, 2, STR("green apples, red apples"));
    n.category = STR_NULL;
    n.created_at = NOW + 1;
    CHECK_CODE(agent_insight_put(s, &n, rest, NULL, a, &err), 0);
    CHECK_INT(pending(s, START, 100, a, &rest, &err), 3);
    CHECK_CODE(agent_insight_get(s, &ANNA, n.id, a, &got, &err), 0);
    CHECK(str_eq(got.text, n.text) && str_eq(got.model, n.model) && !got.category.p);
    CHECK(id_eq(got.session_id, ONE) && got.logs == 2 && got.first_at == n.first_at);
    CHECK(got.last_at == n.last_at && got.created_at == NOW + 1);
    CHECK_CODE(agent_insight_get(s, &BERT, n.id, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(agent_insight_delete(s, &BERT, n.id, a, &err), ERR_NOT_FOUND);
    struct agent_log_query q = {.below_us = NOW + DAY, .below_id = LAST, .limit = 10};
    CHECK_CODE(agent_insight_search(s, &ANNA, STR("red apples"), &q, a, &list, &count, &err), 0);
    CHECK_THAT(count == 2 && id_eq(list[0].id, n.id), "%zu", count);
    CHECK(list[0].score > list[1].score);
    q.category = STR("tool");
    CHECK_CODE(agent_insight_search(s, &ANNA, STR("red apples"), &q, a, &list, &count, &err), 0);
    CHECK_INT(count, 1);
    q.category = STR_NULL;
    CHECK_CODE(agent_insight_search(s, &BERT, STR("apples"), &q, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
}

static void listed(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct agent_log_query q = {.below_us = NOW + DAY, .below_id = LAST, .limit = 1};
    struct agent_log_next next;
    struct agent_insight *list;
    int64_t deleted, moved;
    size_t count;
    bool more = true;
    for (int i = 0; i < 2; i++) {
        CHECK_CODE(agent_insight_list(s, &ANNA, &q, a, &list, &count, &next, &err), 0);
        CHECK(count == 1 && next.more && list->created_at == NOW + 1 - i);
        q.below_us = next.at;
        q.below_id = next.id;
    }
    q = (struct agent_log_query){
        .session_id = ONE, .category = STR("tool"), .below_us = NOW + DAY, .limit = 10};
    CHECK_CODE(agent_insight_list(s, &ANNA, &q, a, &list, &count, &next, &err), 0);
    CHECK(count == 1 && !next.more && list->created_at == NOW);
    s->agent_logs = (struct agent_log_options){.insights_us = DAY};
    CHECK_CODE(agent_log_age(s, NOW + DAY + 1, 1000, a, &moved, &more, &err), 0);
    CHECK_INT(moved, 1); /* that of NOW */
    q = (struct agent_log_query){.below_us = NOW + DAY, .limit = 10};
    CHECK_CODE(agent_log_delete_session(s, &BERT, ONE, 100, a, &deleted, &more, &err), 0);
    CHECK_CODE(agent_insight_search(s, &ANNA, STR("apples"), &q, a, &list, &count, &err), 0);
    CHECK_INT(count, 1);
    CHECK_CODE(agent_log_delete_session(s, &ANNA, ONE, 100, a, &deleted, &more, &err), 0);
    CHECK_CODE(agent_insight_search(s, &ANNA, STR("apples"), &q, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
}

static void history(struct fixture *f) {
    struct store s = {.db = f->db};
    waiting(f, &s, &f->arena);
    once(f, &s, &f->arena);
    listed(f, &s, &f->arena);
}

int main(void) { return fixture_main("agent_insights", history); }
