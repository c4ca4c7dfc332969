/* SPDX-License-Identifier: Apache-2.0 */
/* test_webhooks.c - webhooks and the outbox over every database.
 *
 * Goal: what a batch appends to the log of a plan's thread is due to exactly those webhooks that
 * want it, with the log's numbers, in the same batch; a batch that fails leaves nothing; nobody
 * else's webhook is found; what waits goes with its webhook; a replay is bounded and in order.
 * Method: one history on each driver; claims say what there is. */
#include "fixture.h"

#include "base/json.h"
#include "history/log.h"
#include "store/gates.h"
#include "store/plans.h"
#include "store/threads.h"
#include "store/webhooks.h"

#define NOW INT64_C(1764000000000000)

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};
static const int64_t KINDS[] = {LOG_STEPS, LOG_END};

static struct id id_at(int n) {
    struct id id = {{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x70, 0, 0x80}};
    id.b[15] = (uint8_t)n;
    return id;
}

static int subscribe(struct store *s, const struct principal *who, int n, const char *project,
                     bool steps, struct arena *a, struct err *err) {
    struct webhook w = {.id = id_at(n),
                        .owner = who->owner,
                        .project = str_of(project),
                        .url = STR("http://x/"),
                        .types = steps ? STR("[\"*\"]") : STR("[\"plan.*\"]"),
                        .steps = steps,
                        .mode = WEBHOOK_SINGLE,
                        .secret = STR("whsec_AA=="),
                        .created_at = NOW};
    return webhook_create(s, &w, a, err);
}

static int make_plan(struct store *s, struct arena *a, struct err *err) {
    struct db_batch b;
    struct plan_rows rows;
    struct plan_spec plan = {0};
    yyjson_val *v;
    struct thread_new t = {.id = id_at(100), .metadata = STR("{}"), .config = STR("{}")};
    struct plan_place place = {id_at(101), id_at(100), id_at(102), ANNA.owner};
    ASSERT(json_parse(a,
                      STR("{\"goal\":\"g\",\"project_id\":\"p\",\"steps\":[{\"name\":\"a\","
                          "\"tool\":\"test:echo\"}]}"),
                      &v, NULL) == 0);
    ASSERT(plan_parse(a, v, NULL, &plan, NULL) == 0);
    db_batch_init(&b, a);
    thread_insert_add(&b, &ANNA, &t, NOW);
    plan_rows_make(a, &place, &plan, NOW, &rows);
    plan_rows_add(s, &b, &rows, 0, 0);
    return db_commit(s->db, &b, err);
}

/* Entries of steps, one that says what the plan has become, and the run's end. */
static int append(struct store *s, bool fails, int64_t *out_changed, struct arena *a,
                  struct err *err) {
    struct db_batch b;
    struct log_entry e[] = {
        {.run_id = id_at(102), .kind = LOG_STEPS, .at = NOW, .data = STR("{\"e\":[]}")},
        {.run_id = id_at(102), .kind = LOG_TASK, .at = NOW, .data = STR("{\"n\":1}")},
        {.run_id = id_at(102), .kind = LOG_STEPS, .at = NOW, .data = STR("{\"status\":\"x\"}")},
        {.run_id = id_at(102), .kind = LOG_END, .at = NOW, .data = STR("{\"status\":\"y\"}")}};
    db_batch_init(&b, a);
    (void)log_append_add(&b, id_at(100), e, ARRAY_COUNT(e), NULL);
    size_t op = webhook_outbox_add(&b, id_at(100), ARRAY_COUNT(e), KINDS, NOW);
    if (fails)
        plan_touch_live_add(&b, id_at(999), ERR_NOT_FOUND, NOW); /* there is none */
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_changed = b.ops[op].changed;
    return rc;
}

static size_t claim(struct store *s, struct delivery **out, struct arena *a, struct err *err) {
    size_t count = 0;
    int rc = delivery_claim(s, NOW, 1000000, 100, a, out, &count, err);
    return rc == 0 ? count : SIZE_MAX;
}

static int64_t seq_of(struct arena *a, const struct delivery *d) {
    yyjson_val *v;
    return json_parse(a, d->payload, &v, NULL) == 0 ? yyjson_get_sint(json_get(v, "seq")) : -1;
}

/* Takes all; how many there were, each order's numbers growing. */
static int take_all(struct store *s, struct arena *a, size_t *out_count, struct err *err) {
    struct delivery *list, next;
    size_t count;
    *out_count = 0;
    while ((count = claim(s, &list, a, err)) > 0 && count != SIZE_MAX)
        for (size_t i = 0; i < count; i++) {
            bool found = true;
            int64_t last = 0;
            for (next = list[i]; found; ++*out_count) {
                struct delivery now = next;
                if (seq_of(a, &now) <= last)
                    return err_set(err, ERR_INTERNAL, "the order of a series");
                last = seq_of(a, &now);
                int rc = delivery_done_next(s, &now, NOW, 1000000, a, &next, &found, err);
                if (rc < 0)
                    return rc;
            }
        }
    return count == SIZE_MAX ? ERR_INTERNAL : 0;
}

/* Plans of ids from n on, by one batch; each with two entries, the last of which is told. */
static int make_told(struct store *s, int n, int count, int64_t *out_changed, struct arena *a,
                     struct err *err) {
    struct db_batch b;
    size_t ops[4];
    struct plan_rows rows;
    struct plan_step step = {
        .name = STR("a"), .tool = STR("t"), .inputs = STR("{}"), .fault = STR("none")};
    struct plan_spec plan = {.goal = STR("g"),
                             .project = STR("p"),
                             .hash = STR("h"),
                             .metadata = STR("{}"),
                             .steps = &step,
                             .step_count = 1,
                             .fault_count = 1};
    db_batch_init(&b, a);
    for (int i = 0; i < count; i++) {
        struct thread_new t = {
            .id = id_at(n + 10 + i), .metadata = STR("{}"), .config = STR("{}")};
        struct plan_place place = {id_at(n + i), t.id, id_at(n + i), ANNA.owner};
        struct log_entry e[] = {
            {.run_id = place.run_id, .kind = LOG_TASK, .at = NOW, .data = STR("{\"n\":1}")},
            {.run_id = place.run_id, .kind = LOG_STEPS, .at = NOW, .data = STR("{\"status\":1}")}};
        thread_insert_add(&b, &ANNA, &t, NOW);
        (void)log_append_add(&b, t.id, e, ARRAY_COUNT(e), NULL);
        plan_rows_make(a, &place, &plan, NOW, &rows);
        ops[i] = plan_rows_add(s, &b, &rows, ARRAY_COUNT(e), LOG_STEPS);
    }
    int rc = db_commit(s->db, &b, err);
    *out_changed = 0;
    for (int i = 0; rc == 0 && i < count; i++)
        *out_changed += b.ops[ops[i]].changed > 0;
    return rc;
}

/* A new plan is told of by the statement that makes it, whether one is made or several. */
static void new_plans(struct fixture *f, struct store *s, struct arena *a) {
    struct delivery *due;
    struct err err = {0};
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    int64_t changed;
    CHECK_CODE(make_told(s, 120, 1, &changed, a, &err), 0);
    CHECK(changed == 1);
    CHECK_CODE(make_told(s, 121, 3, &changed, a, &err), 0);
    CHECK(changed == 3);
    CHECK_CODE(plan_get(s, &ANNA, id_at(123), 10, a, &row, &steps, &count, &err), 0);
    CHECK(count == 1 && row.failed == 1 && str_eq(steps[0].error, STR("none")));
    size_t told = 0;
    for (size_t n; (n = claim(s, &due, a, &err)) > 0; told += n)
        for (size_t i = 0; i < n; i++) {
            bool more;
            struct delivery next;
            CHECK(seq_of(a, &due[i]) == 2);
            CHECK_CODE(delivery_done_next(s, &due[i], NOW, 1000000, a, &next, &more, &err), 0);
            CHECK(!more);
        }
    CHECK(told == 4); /* the webhook of the project, once of each plan */
}

static void outbox(struct fixture *f) {
    struct store store = {.db = f->db}, *s = &store;
    struct arena *a = &f->arena;
    struct err err = {0};
    struct webhook *list, one;
    struct delivery *due;
    size_t count;
    int64_t changed = -1, last;
    CHECK_CODE(make_plan(s, a, &err), 0);
    CHECK_CODE(append(s, false, &changed, a, &err), 0);
    CHECK(changed == 0);
    CHECK_CODE(subscribe(s, &ANNA, 1, "", true, a, &err), 0);
    CHECK_CODE(subscribe(s, &ANNA, 2, "p", false, a, &err), 0);
    CHECK_CODE(subscribe(s, &ANNA, 3, "q", true, a, &err), 0);
    CHECK_CODE(subscribe(s, &BERT, 4, "", true, a, &err), 0);
    CHECK_CODE(append(s, true, &changed, a, &err), ERR_NOT_FOUND);
    err_reset(&err);
    CHECK(claim(s, &due, a, &err) == 0);
    CHECK_CODE(append(s, false, &changed, a, &err), 0);
    CHECK(changed == 5); /* 1: all three; 2: those that tell a status */
    CHECK_CODE(take_all(s, a, &count, &err), 0);
    CHECK(count == 5);
    CHECK_CODE(webhook_get(s, &BERT, id_at(1), a, &one, &err), ERR_NOT_FOUND);
    CHECK_CODE(webhook_delete(s, &BERT, id_at(1), a, &err), ERR_NOT_FOUND);
    err_reset(&err);
    CHECK_CODE(webhook_list(s, &ANNA, a, &list, &count, &err), 0);
    CHECK(count == 3 && list[0].steps && !list[1].steps && list[1].mode == WEBHOOK_SINGLE);
    CHECK(str_eq(list[1].project, STR("p")) && str_eq(list[0].secret, STR("whsec_AA==")));
    struct webhook_replay r = {.webhook = id_at(1), .plan = id_at(101), .kind = LOG_STEPS,
                               .until = INT64_MAX, .only = -1, .limit = 3};
    CHECK_CODE(webhook_replay(s, &r, NOW, a, &count, &last, &err), 0);
    CHECK(count == 3 && last == 5);
    CHECK_CODE(webhook_gone(s, id_at(2), NOW, a, &err), 0);
    CHECK_CODE(append(s, false, &changed, a, &err), 0);
    CHECK(changed == 3); /* the one that is gone is left out */
    CHECK_CODE(webhook_delete(s, &ANNA, id_at(1), a, &err), 0);
    CHECK(claim(s, &due, a, &err) == 0);
    CHECK_CODE(webhook_enable(s, &ANNA, id_at(2), NOW, a, &err), 0);
    CHECK_CODE(append(s, false, &changed, a, &err), 0);
    CHECK(changed == 2);
    CHECK_CODE(take_all(s, a, &count, &err), 0);
    new_plans(f, s, a);
}

int main(void) { return fixture_main("webhooks", outbox); }
