/* SPDX-License-Identifier: Apache-2.0 */
/* test_plans.c - plans and their steps over every database: the same calls give the same results.
 *
 * Goal: creating and changing a plan takes the same number of statements for one step and for
 * hundreds; an old version changes nothing; texts of every kind come back as they were; lists page
 * by keyset and show no other owner's; nothing is left when the thread goes.
 * Method: one history with fixed ids and times on each driver, checked as it goes; what is stored
 * must have one digest. */
#include "fixture.h"

#include <string.h>

#include "base/json.h"
#include "store/gates.h"
#include "store/plans.h"
#include "store/threads.h"

#define NOW   INT64_C(1764000000000000)
#define STEPS 300

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};

static struct id id_at(int n) {
    struct id id = {{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x70, 0, 0x80}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static struct plan_spec make_plan(struct arena *a, size_t count, const char *project) {
    struct buf b;
    struct plan_spec plan = {0};
    yyjson_val *v;
    buf_init(&b, 1 << 20);
    buf_printf(&b, "{\"goal\":\"ship \\\"it\\\" \xc3\xa4\",\"project_id\":\"%s\",\"steps\":[",
               project);
    for (size_t i = 0; i < count; i++)
        buf_printf(&b,
                   "%s{\"name\":\"s%zu\",\"tool\":\"%s\","
                   "\"inputs\":{\"b\":\"x'\\\\\\n\",\"a\":%zu},\"depends_on\":[%s]}",
                   i ? "," : "", i, i == 2 ? "" : "test:echo", i, i == 1 ? "0" : "");
    buf_z(&b, "]}");
    ASSERT(json_parse(a, arena_dup(a, buf_view(&b)), &v, NULL) == 0);
    ASSERT(plan_parse(a, v, NULL, &plan, NULL) == 0);
    buf_deinit(&b);
    return plan;
}

static int insert(struct store *s, const struct principal *who, int n, size_t count,
                  const char *project, size_t *out_statements, struct arena *a, struct err *err) {
    struct db_batch b;
    struct plan_rows rows;
    struct plan_spec plan = make_plan(a, count, project);
    struct thread_new t = {.id = id_at(1000 + n), .metadata = STR("{}"), .config = STR("{}")};
    struct plan_place place = {id_at(n), id_at(1000 + n), id_at(2000 + n), who->owner};
    db_batch_init(&b, a);
    thread_insert_add(&b, who, &t, NOW);
    size_t before = b.count;
    plan_rows_make(a, &place, &plan, NOW + n, &rows);
    plan_rows_add(s, &b, &rows, 0, 0);
    *out_statements = b.count - before;
    return db_commit(s->db, &b, err);
}

static int change(struct store *s, int64_t version, size_t count, size_t *out_statements,
                  struct arena *a, struct err *err) {
    struct db_batch b;
    struct plan_step_change *steps = ARENA_ARRAY(a, struct plan_step_change, count);
    for (size_t i = 0; i < count; i++)
        steps[i] = (struct plan_step_change){
            .position = i,
            .status = i % 2 ? RUN_STATE_FAILED : RUN_STATE_SUCCEEDED,
            .attempt = 1,
            .started_at = NOW + 10,
            .ended_at = NOW + 20,
            .output = i % 2 ? STR_NULL : STR("{\"a\":[1,\"\xc3\xa4\"]}"),
            .error = i % 2 ? STR("it's \"broken\"") : STR_NULL};
    struct plan_change c = {.plan_id = id_at(1), .run_id = id_at(2001), .version = version,
                            .status = RUN_STATE_RUNNING, .succeeded = (int64_t)(count + 1) / 2,
                            .failed = (int64_t)count / 2, .steps = steps, .step_count = count};
    db_batch_init(&b, a);
    plan_change_add(&b, &c, NOW + 30);
    *out_statements = b.count;
    return db_commit(s->db, &b, err);
}

static void creation(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct plan_row p = {0};
    struct plan_step_row *steps;
    size_t count, few, many;
    CHECK_CODE(insert(s, &ANNA, 1, STEPS, "p1", &many, a, &err), 0);
    CHECK_CODE(insert(s, &ANNA, 2, 3, "p2", &few, a, &err), 0);
    CHECK_CODE(insert(s, &BERT, 3, 3, "p1", &few, a, &err), 0);
    CHECK_CODE(insert(s, &ANNA, 4, 4, "p1", &few, a, &err), 0);
    CHECK_INT(few, db_knows(s->db, SQL_PLAN_NEW) ? 1 : 3);
    CHECK_INT(many, few);
    CHECK_CODE(plan_get(s, &BERT, id_at(1), 10, a, &p, &steps, &count, &err), ERR_NOT_FOUND);
    CHECK_CODE(plan_get(s, &ANNA, id_at(1), 10, a, &p, &steps, &count, &err), 0);
    CHECK(str_eq(p.goal, STR("ship \"it\" \xc3\xa4")) && str_eq(p.project, STR("p1")));
    CHECK_INT(p.status, RUN_STATE_QUEUED);
    CHECK_INT(p.step_count, STEPS);
    CHECK_INT(p.fault_count, 1);
    CHECK_INT(plan_row_incomplete(&p), STEPS - 1);
    CHECK_INT(p.created_at, NOW + 1);
    CHECK_INT(count, 10);
    CHECK(str_eq(steps[1].spec, STR("{\"depends_on\":[0]}")));
    CHECK(str_eq(steps[7].inputs, STR("{\"a\":7,\"b\":\"x'\\\\\\n\"}")));
    CHECK_INT(steps[7].key.len, PLAN_KEY_LEN);
    CHECK_INT(steps[2].status, RUN_STATE_FAILED); /* it has a fault */
    CHECK(steps[2].error.p && !steps[3].error.p);
    CHECK_INT(steps[2].ended_at, NOW + 1);
}

static void changes(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct plan_row p = {0};
    struct plan_step_row *steps;
    enum run_state failed = RUN_STATE_FAILED;
    size_t count, few, many;
    bool found;
    CHECK_CODE(change(s, 1, STEPS - 1, &many, a, &err), 0);
    CHECK_CODE(change(s, 1, 2, &few, a, &err), ERR_CONFLICT); /* as it was seen before */
    CHECK_INT(few, many);
    CHECK_CODE(plan_of_thread(s, id_at(1001), a, &p, &found, &err), 0);
    CHECK(found && p.version == 2 && p.status == RUN_STATE_RUNNING);
    CHECK_INT(p.started_at, NOW + 30);
    CHECK_INT(plan_row_incomplete(&p), 1);
    CHECK_CODE(plan_steps(s, id_at(1), 100, &failed, 3, a, &steps, &count, &err), 0);
    CHECK_INT(count, 3);
    CHECK_INT(steps[0].position, 101);
    CHECK(str_eq(steps[0].error, STR("it's \"broken\"")) && !steps[0].output.p);
    CHECK_INT(steps[0].started_at, NOW + 10);
    CHECK_INT(steps[0].ended_at, NOW + 20);
    CHECK_CODE(plan_steps(s, id_at(1), -1, NULL, 10000, a, &steps, &count, &err), 0);
    CHECK_INT(count, STEPS);
    CHECK(str_eq(steps[0].output, STR("{\"a\":[1,\"\xc3\xa4\"]}")));
    CHECK_INT(steps[STEPS - 1].status, RUN_STATE_QUEUED);
}

static void wishes(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct plan_wishes seen;
    struct db_batch b;
    size_t unused;
    db_batch_init(&b, a);
    plan_touch_live_add(&b, id_at(9), ERR_FENCED, NOW); /* nobody has it */
    CHECK_CODE(db_commit(s->db, &b, &err), ERR_FENCED);
    db_batch_init(&b, a);
    plan_touch_live_add(&b, id_at(1), ERR_FENCED, NOW);
    plan_step_wish_add(&b, id_at(1), 0, STR("cancel")); /* that one is over */
    CHECK_CODE(db_commit(s->db, &b, &err), ERR_CONFLICT);
    CHECK_CODE(plan_wishes(s, id_at(1), a, &seen, &err), 0);
    CHECK(seen.version == 2 && seen.count == 0);
    db_batch_init(&b, a);
    plan_touch_live_add(&b, id_at(1), ERR_FENCED, NOW);
    plan_step_wish_add(&b, id_at(1), STEPS - 1, STR("cancel"));
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(plan_wishes(s, id_at(1), a, &seen, &err), 0);
    CHECK(seen.version == 3 && seen.count == 1 && seen.list[0].position == STEPS - 1);
    CHECK(str_eq(seen.list[0].wish, STR("cancel")));
    CHECK_CODE(change(s, 2, 1, &unused, a, &err), ERR_CONFLICT); /* it has to look first */
    CHECK_CODE(plan_wishes(s, id_at(9), a, &seen, &err), ERR_NOT_FOUND);
}

/* Three gates of the first plan's last step, and one of Bert's. */
static void open_gates(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct db_batch b;
    struct gate_open gates[3];
    str spec = STR("{\"kind\":\"manual\",\"prompt\":\"it's \xc3\xa4\"}");
    for (int i = 0; i < 3; i++)
        gates[i] = (struct gate_open){.id = id_at(100 + i),
                                      .position = STEPS - 1,
                                      .number = i,
                                      .spec = spec,
                                      .expires_us = i * 1000};
    db_batch_init(&b, a);
    gates_open_add(&b, id_at(1), ANNA.owner, gates, 3, NOW + 40);
    CHECK_INT(b.count, 1);
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    db_batch_init(&b, a);
    gates[0].id = id_at(103);
    gates_open_add(&b, id_at(3), BERT.owner, gates, 1, NOW + 40);
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
}

static int write_gate(struct store *s, struct gate_row row, enum gate_status status,
                      struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    row.status = status;
    row.evidence = STR("{\"metrics\":{\"x\":1}}");
    row.actor = STR("a\"n'na");
    row.decided_at = status == GATE_PENDING ? 0 : NOW + 50;
    gate_write_add(&b, &row, ERR_FENCED);
    return db_commit(s->db, &b, err);
}

static void gates(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct gate_row *list, row = {0}, old;
    struct db_batch b;
    enum gate_status pending = GATE_PENDING;
    size_t count;
    open_gates(f, s);
    struct gate_filter mine = {.status = &pending, .limit = 2}, its = {.plan_id = id_at(1),
                                                                       .limit = 10};
    CHECK_CODE(gate_list(s, &ANNA, &mine, a, &list, &count, &err), 0);
    CHECK(count == 2 && id_eq(list[0].id, id_at(100)) && id_eq(list[1].id, id_at(101)));
    CHECK_INT(list[0].expires_at, 0);
    CHECK_INT(list[1].expires_at, NOW + 1040);
    mine.after = list[1].id;
    CHECK_CODE(gate_list(s, &ANNA, &mine, a, &list, &count, &err), 0);
    CHECK(count == 1 && id_eq(list[0].id, id_at(102)));
    CHECK_CODE(gate_list(s, &BERT, &its, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(gate_get(s, &BERT, id_at(100), a, &row, &err), ERR_NOT_FOUND);
    CHECK_CODE(gate_get(s, &ANNA, id_at(100), a, &row, &err), 0);
    CHECK(str_eq(row.spec, STR("{\"kind\":\"manual\",\"prompt\":\"it's \xc3\xa4\"}")));
    old = row;
    CHECK_CODE(write_gate(s, row, GATE_PENDING, a, &err), 0);
    CHECK_CODE(write_gate(s, old, GATE_PASSED, a, &err), ERR_FENCED); /* as it was before */
    CHECK_CODE(gate_get(s, &ANNA, id_at(100), a, &row, &err), 0);
    CHECK(row.version == 2 && row.decided_at == 0);
    CHECK_CODE(write_gate(s, row, GATE_PASSED, a, &err), 0);
    CHECK_CODE(gate_get(s, &ANNA, id_at(100), a, &row, &err), 0);
    CHECK(row.status == GATE_PASSED && row.version == 3 && row.decided_at == NOW + 50);
    CHECK(str_eq(row.actor, STR("a\"n'na")) && !row.reason.p);
    CHECK_CODE(write_gate(s, row, GATE_FAILED, a, &err), ERR_FENCED); /* it is decided */
    db_batch_init(&b, a);
    gates_close_add(&b, id_at(1), NOW + 60); /* the step is not over */
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(gate_get(s, &ANNA, id_at(101), a, &row, &err), 0);
    CHECK_INT(row.status, GATE_PENDING);
    CHECK_CODE(gates_expiring(s, 10, a, &list, &count, &err), 0);
    CHECK_INT(count, 0); /* a run has the plan */
    CHECK_CODE(write_gate(s, row, GATE_FAILED, a, &err), 0);
    db_batch_init(&b, a);
    gates_forget_add(&b, id_at(1), STR("[0]"));
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(gate_get(s, &ANNA, id_at(101), a, &row, &err), 0);
    db_batch_init(&b, a);
    gates_forget_add(&b, id_at(1), STR("[0,299]"));
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(gate_list(s, &ANNA, &its, a, &list, &count, &err), 0);
    CHECK(count == 2 && list[0].status == GATE_PASSED && list[1].status == GATE_PENDING);
}

static void lists(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct plan_row *list;
    enum run_state queued = RUN_STATE_QUEUED, running = RUN_STATE_RUNNING;
    size_t count;
    const struct {
        struct plan_filter filter;
        int ids[4]; /* 0: the end */
    } rows[] = {
        {{.limit = 10}, {4, 2, 1}},
        {{.limit = 2}, {4, 2}},
        {{.limit = 2, .before = id_at(2)}, {1}},
        {{.limit = 10, .project = STR("p1")}, {4, 1}},
        {{.limit = 10, .project = STR("p1"), .status = &queued}, {4}},
        {{.limit = 10, .status = &queued}, {4, 2}},
        {{.limit = 1, .status = &queued, .before = id_at(4)}, {2}},
        {{.limit = 10, .status = &running}, {1}},
        {{.limit = 10, .project = STR("p9")}, {0}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CHECK_CODE(plan_list(s, &ANNA, &rows[i].filter, a, &list, &count, &err), 0);
        size_t k = 0;
        for (; k < count && rows[i].ids[k]; k++)
            CHECK_THAT(id_eq(list[k].id, id_at(rows[i].ids[k])), "row %zu of list %zu", k, i);
        CHECK_THAT(k == count && !rows[i].ids[k], "list %zu has %zu", i, count);
    }
}

static void ends(struct fixture *f, struct store *s) {
    struct arena *a = &f->arena;
    struct err err = {0};
    struct plan_row p = {0};
    struct plan_step_row *steps;
    struct db_batch b;
    size_t count;
    bool found;
    db_batch_init(&b, a); /* the end of a run that does not have it (any more) leaves it as it is */
    plan_end_add(&b, id_at(1002), id_at(9), true, RUN_STATE_FAILED, STR("a run was"), NOW + 40);
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(plan_get(s, &ANNA, id_at(2), 10, a, &p, &steps, &count, &err), 0);
    CHECK_INT(p.status, RUN_STATE_QUEUED);
    CHECK_INT(steps[0].status, RUN_STATE_QUEUED);
    db_batch_init(&b, a);
    plan_end_add(&b, id_at(1002), id_at(2002), false, RUN_STATE_CANCELLED, STR("its run was"),
                 NOW + 50);
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    db_batch_init(&b, a); /* it is over: this changes nothing */
    plan_end_add(&b, id_at(1002), id_at(2002), true, RUN_STATE_FAILED, STR("again"), NOW + 60);
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    CHECK_CODE(plan_get(s, &ANNA, id_at(2), 10, a, &p, &steps, &count, &err), 0);
    CHECK_INT(p.status, RUN_STATE_CANCELLED);
    CHECK_INT(p.ended_at, NOW + 50);
    CHECK_INT(p.cancelled, 2);
    CHECK_INT(plan_row_incomplete(&p), 0);
    CHECK_INT(steps[0].status, RUN_STATE_CANCELLED);
    CHECK_INT(steps[2].status, RUN_STATE_FAILED);
    for (int n = 1; n <= 3; n++)
        CHECK_CODE(thread_delete(s, n == 3 ? &BERT : &ANNA, id_at(1000 + n), a, &err), 0);
    CHECK_CODE(plan_of_thread(s, id_at(1001), a, &p, &found, &err), 0);
    CHECK(!found);
    CHECK_CODE(plan_steps(s, id_at(1), -1, NULL, 10, a, &steps, &count, &err), 0);
    CHECK_INT(count, 0);
    struct gate_row row;
    CHECK_CODE(gate_get(s, &ANNA, id_at(102), a, &row, &err), ERR_NOT_FOUND);
}

static char first[DB_DIGEST_LEN + 1];

static void history(struct fixture *f) {
    struct store s = {.db = f->db};
    struct err err = {0};
    char digest[DB_DIGEST_LEN + 1];
    static void (*const parts[])(struct fixture *, struct store *) = {creation, changes, wishes,
                                                                     gates,    lists,   ends};
    for (size_t i = 0; i < ARRAY_COUNT(parts) && !f->failure[0]; i++)
        parts[i](f, &s);
    if (f->failure[0])
        return;
    CHECK_CODE(db_digest(f->db, digest, &err), 0);
    if (!first[0])
        memcpy(first, digest, sizeof(first));
    CHECK_THAT(strcmp(first, digest) == 0, "%s, not %s", digest, first);
}

int main(void) { return fixture_main("plans", history); }
