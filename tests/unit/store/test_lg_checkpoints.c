/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: checkpoints of LangGraph's tables are read as its own libraries understand them (values,
 * what is next, interrupts), whoever wrote them; and the rows written follow its rules of versions.
 * Method: a database that answers reads with rows given by the test and keeps the batches. The rows
 * are those that the Python and JavaScript savers wrote for small graphs. PostgreSQL's part is
 * tests/integration/run-rows. */
#include "store/lg_checkpoints.h"

#include "base/json.h"
#include "fixture.h"

#define ID1 "1f1e8ea1-f02c-6887-8004-5e15263efdd8"
#define ID2 "1f1e8ea1-f030-6ef1-8005-702d82be1291"
#define V(n, fraction) "0000000000000000000000000000000" #n "." fraction

struct row {
    int kind;
    str id, a, b, c, blob, path;
};
struct fake {
    struct db db;
    const struct row *rows;
    size_t count;
    int reads;
};

static int fake_read(struct db *db, enum db_stmt stmt, const struct db_value *params,
                     size_t param_count, struct arena *a, struct db_rows *out, struct err *err) {
    struct fake *fake = CONTAINER_OF(db, struct fake, db);
    (void)params;
    (void)param_count;
    (void)err;
    fake->reads++;
    if (stmt == SQL_LG_LEGACY_STATES) {
        *out = (struct db_rows){.col_count = 8};
        return 0;
    }
    struct db_value *cells = ARENA_ARRAY(a, struct db_value, fake->count * 7 + 1);
    for (size_t i = 0; i < fake->count; i++) {
        const struct row *r = &fake->rows[i];
        struct db_value row[] = {DB_I(r->kind), DB_T(r->id), DB_T(r->a),   DB_T(r->b),
                                 DB_T(r->c),    DB_NIL,      DB_T(r->path)};
        if (r->blob.p)
            row[5] = DB_B(r->blob);
        memcpy(cells + i * 7, row, sizeof(row));
    }
    *out = (struct db_rows){.cells = cells, .row_count = fake->count, .col_count = 7};
    return 0;
}

static struct store fake_store(struct fake *fake, const struct row *rows, size_t count) {
    static const struct db_vtable vtable = {.name = "fake", .read = fake_read};
    db_init(&fake->db, &vtable);
    fake->rows = rows;
    fake->count = count;
    return (struct store){.db = &fake->db, .layout = CHECKPOINTS_LANGGRAPH};
}

static const struct row PYTHON[] = {
    {0, STR(ID2),
     STR("{\"v\":4,\"id\":\"" ID2 "\",\"ts\":\"2026-11-25T16:06:06.548131+00:00\","
         "\"versions_seen\":{\"fan\":{\"branch:to:fan\":\"" V(5, "0.5") "\"},\"__start__\":"
         "{\"__start__\":\"" V(1, "0.3") "\"}},\"channel_values\":{\"note\":null,\"count\":2,"
         "\"branch:to:sub\":null},\"channel_versions\":{\"note\":\"" V(4, "0.9") "\",\"count\":\""
         V(4, "0.9") "\",\"parts\":\"" V(7, "0.1") "\",\"messages\":\"" V(5, "0.5")
         "\",\"__start__\":\"" V(2, "0.9") "\",\"branch:to:fan\":\"" V(6, "0.3")
         "\",\"branch:to:sub\":\"" V(7, "0.1") "\",\"__pregel_tasks\":\"" V(7, "0.1") "\"}}"),
     STR("{\"step\":5,\"owner\":\"o\",\"source\":\"loop\",\"parents\":{}}"), STR(ID1), {0}, {0}},
    {1, STR(""), STR("__pregel_tasks"), STR(V(7, "0.1")), STR("msgpack"), STR("\x90"), {0}},
    {1, STR(""), STR("parts"), STR(V(7, "0.1")), STR("msgpack"), STR("\x92\x01\x02"), {0}},
    {1, STR(""), STR("messages"), STR(V(5, "0.5")), STR("json"),
     STR("[{\"lc\":1,\"type\":\"constructor\",\"id\":[\"langchain_core\",\"messages\","
         "\"HumanMessage\"],\"kwargs\":{\"content\":\"hi\",\"id\":\"h1\"}}]"), {0}},
    {2, STR(ID2), STR("b25c42c4-145c-5c37-e000-10a6acf48a4a"), STR("__interrupt__"), STR("msgpack"),
     STR("\x91\x81\xa5value\x01"), STR("~__pregel_pull, sub")},
};

static void python_head(struct fixture *f) {
    struct fake fake = {0};
    struct store s = fake_store(&fake, PYTHON, ARRAY_COUNT(PYTHON));
    struct checkpoint c;
    CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &c, &f->err), 0);
    CHECK_STR(id_dashed(&f->arena, c.id), STR(ID2));
    CHECK_STR(id_dashed(&f->arena, c.parent_id), STR(ID1));
    CHECK_INT(c.step, 5);
    CHECK_STR(c.source, STR("loop"));
    CHECK_INT(c.created_at, INT64_C(1795622766548131));
    CHECK_INT(checkpoint_load_values(&s, &c, &f->arena, &f->err), 0);
    CHECK_STR(checkpoint_values_json(&f->arena, &c),
              STR("{\"note\":null,\"count\":2,\"parts\":[1,2],\"messages\":[{\"content\":\"hi\","
                  "\"additional_kwargs\":{},\"response_metadata\":{},\"id\":\"h1\",\"type\":"
                  "\"human\"}]}"));
    CHECK_STR(c.next, STR("[\"sub\"]"));
    yyjson_val *tasks;
    CHECK_INT(json_parse(&f->arena, c.tasks, &tasks, &f->err), 0);
    CHECK_INT(yyjson_arr_size(tasks), 1);
    yyjson_val *task = yyjson_arr_get_first(tasks);
    CHECK_STR(json_str(json_get(task, "id")), STR("b25c42c4-145c-5c37-e000-10a6acf48a4a"));
    CHECK_STR(json_text(&f->arena, json_get(task, "interrupts")), STR("[{\"value\":1}]"));
    CHECK_INT(fake.reads, 1);
}

/* Numbers as versions; a trigger with a later version but without a value is not next; sends; two
 * nodes that must both come; a task that has ended already. */
static void javascript_next(struct fixture *f) {
    static const struct row rows[] = {
        {0, STR(ID2),
         STR("{\"v\":4,\"ts\":\"2026-11-25T16:06:35.610Z\",\"versions_seen\":{\"a\":"
             "{\"branch:to:a\":4},\"b\":{\"branch:to:b\":5}},\"channel_versions\":{\"n\":3,"
             "\"branch:to:a\":5,\"branch:to:b\":5,\"branch:to:c\":7,\"branch:to:d\":10,"
             "\"join:x+y:z\":7,\"join:x+w:v\":7,\"__pregel_tasks\":7}}"),
         STR("{\"step\":5,\"source\":\"loop\",\"run_id\":\"" ID1 "\"}"), STR_NULL, {0}, {0}},
        {1, STR(""), STR("n"), STR("3"), STR("json"), STR("\"h\""), {0}},
        {1, STR(""), STR("branch:to:a"), STR("5"), STR("empty"), {0}, {0}},
        {1, STR(""), STR("branch:to:b"), STR("5"), STR("json"), STR("null"), {0}},
        {1, STR(""), STR("branch:to:c"), STR("7"), STR("json"), STR("\"a\""), {0}},
        {1, STR(""), STR("branch:to:d"), STR("10"), STR("json"), STR("null"), {0}},
        {1, STR(""), STR("join:x+y:z"), STR("7"), STR("json"), STR("[\"y\",\"x\"]"), {0}},
        {1, STR(""), STR("join:x+w:v"), STR("7"), STR("json"), STR("[\"x\"]"), {0}},
        {1, STR(""), STR("__pregel_tasks"), STR("7"), STR("json"),
         STR("[{\"node\":\"worker\",\"args\":{\"n\":1}}]"), {0}},
        {2, STR(ID2), STR("t1"), STR("n"), STR("json"), {0}, STR("~__pregel_pull, c")},
        {2, STR(ID2), STR("t2"), STR("__error__"), STR("json"), STR("\"broken\""),
         STR("~__pregel_pull, d")},
    };
    struct fake fake = {0};
    struct store s = fake_store(&fake, rows, ARRAY_COUNT(rows));
    struct checkpoint c;
    CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &c, &f->err), 0);
    CHECK_STR(id_dashed(&f->arena, c.run_id), STR(ID1));
    CHECK_INT(checkpoint_load_values(&s, &c, &f->arena, &f->err), 0);
    CHECK_STR(checkpoint_values_json(&f->arena, &c), STR("{\"n\":\"h\"}"));
    CHECK_STR(c.next, STR("[\"worker\",\"d\",\"z\"]"));
    yyjson_val *tasks;
    CHECK_INT(json_parse(&f->arena, c.tasks, &tasks, &f->err), 0);
    CHECK_INT(yyjson_arr_size(tasks), 4);
    CHECK_STR(json_str(json_get(yyjson_arr_get(tasks, 2), "error")), STR("broken"));
}

/* Rows of any form are no reason to fail, but for values that cannot be shown. */
static void strange_rows(struct fixture *f) {
    static const str checkpoints[] = {
        STR("null"), STR("[]"), STR("{\"channel_versions\":[1]}"),
        STR("{\"channel_versions\":{\"a\":null,\"branch:to:\":{},\"join:\":1,\"join:+:\":[]},"
            "\"versions_seen\":7,\"channel_values\":[],\"holdfast\":3,\"ts\":1}"),
        STR("{\"channel_versions\":{\"branch:to:x\":1},\"versions_seen\":{\"x\":{\"branch:to:x\":"
            "\"1\"}},\"channel_values\":{\"branch:to:x\":0}}"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(checkpoints); i++) {
        struct row rows[] = {
            {0, STR(ID2), checkpoints[i], STR("7"), STR("no id"), {0}, {0}},
            {1, STR(""), STR("a"), STR("null"), STR_NULL, {0}, {0}},
        };
        struct fake fake = {0};
        struct store s = fake_store(&fake, rows, 1);
        struct checkpoint c;
        CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &c, &f->err), 0);
        CHECK(id_is_nil(c.parent_id));
        CHECK_INT(checkpoint_load_values(&s, &c, &f->arena, &f->err), 0);
        CHECK_INT(c.value_count, 0);
        (void)lg_versions_read(&f->arena, &c);
    }
    static const struct row pickled[] = {
        {0, STR(ID2), STR("{\"channel_versions\":{\"a\":1}}"), STR("{}"), STR_NULL, {0}, {0}},
        {1, STR(""), STR("a"), STR("1"), STR("pickle"), STR("x"), {0}},
    };
    struct fake fake = {0};
    struct store s = fake_store(&fake, pickled, ARRAY_COUNT(pickled));
    struct checkpoint c;
    CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &c, &f->err), 0);
    CHECK_INT(checkpoint_load_values(&s, &c, &f->arena, &f->err), ERR_UNSUPPORTED);
    fake.count = 0;
    CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &c, &f->err), ERR_NOT_FOUND);
}

/* The blobs of a batch: "channel=type:text …", and its checkpoint as JSON. */
static str blobs_of(struct fixture *f, const struct db_batch *b, yyjson_val **checkpoint) {
    struct buf text;
    buf_init(&text, 1 << 16);
    *checkpoint = NULL;
    for (size_t i = 0; i < b->count; i++) {
        const struct db_value *p = b->ops[i].params;
        if (b->ops[i].stmt == SQL_LG_BLOB_INSERT)
            buf_printf(&text, STR_FMT "=" STR_FMT ":" STR_FMT " ", STR_ARG(p[2].s),
                       STR_ARG(p[4].s), STR_ARG(p[5].type == DB_NULL ? STR("-") : p[5].s));
        else if (json_parse(&f->arena, p[4].s, checkpoint, NULL) < 0)
            *checkpoint = NULL;
    }
    str out = arena_dup(&f->arena, buf_view(&text));
    buf_deinit(&text);
    return out;
}

static struct checkpoint made(int step) {
    return (struct checkpoint){.thread_id = id_v7(),
                               .id = id_v6(step),
                               .name_space = STR(""),
                               .next = STR("[\"agent\"]"),
                               .tasks = STR("[]"),
                               .metadata = STR("{}"),
                               .created_at = 1};
}

static str version_at(yyjson_val *c, const char *in, const char *channel) {
    return json_str(json_get(json_get(c, in), channel));
}

static void written(struct fixture *f) {
    struct checkpoint c = made(-1);
    struct db_batch b;
    yyjson_val *json;
    db_batch_init(&b, &f->arena);
    struct lg_step step = {.c = &c, .input = STR("{\"messages\":[]}")};
    struct lg_versions *v1 = lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_STR(blobs_of(f, &b, &json), STR("__start__=json:{\"messages\":[]} "));
    str start = version_at(json, "channel_versions", "__start__");
    CHECK(str_starts(start, STR("00000000000000000000000000000001.0.")));
    CHECK_STR(json_text(&f->arena, json_get(json, "updated_channels")), STR("[\"__start__\"]"));

    str next = STR("agent");
    struct lg_change change = {STR("messages"), STR("[1]")};
    db_batch_init(&b, &f->arena);
    step = (struct lg_step){.c = &c, .before = v1, .changes = &change, .change_count = 1,
                            .next = &next, .next_count = 1};
    struct lg_versions *v2 = lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_STR(blobs_of(f, &b, &json),
              STR("messages=json:[1] branch:to:agent=json:null "));
    CHECK_STR(json_str(json_get(json_get(json_get(json, "versions_seen"), "__start__"),
                                "__start__")),
              start);
    str version = version_at(json, "channel_versions", "messages");
    CHECK(str_cmp(version, start) > 0);
    CHECK_STR(version_at(json, "channel_versions", "__start__"), version);
    CHECK_STR(json_text(&f->arena, json_get(json_get(json, "holdfast"), "next")),
              STR("[\"agent\"]"));

    /* agent again, then nothing: its trigger is seen and empty */
    db_batch_init(&b, &f->arena);
    step.before = v2;
    struct lg_versions *v3 = lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_STR(blobs_of(f, &b, &json), STR("messages=json:[1] branch:to:agent=json:null "));
    db_batch_init(&b, &f->arena);
    step.before = v3;
    step.next_count = 0;
    (void)lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_STR(blobs_of(f, &b, &json), STR("messages=json:[1] "));
    CHECK_INT(v2->newest, 2); /* what was made does not change */

    /* two checkpoints of one batch stand side by side */
    db_batch_init(&b, &f->arena);
    step.before = lg_checkpoint_add(&b, &f->arena, &step);
    (void)lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_INT(b.count, 4);
    CHECK(b.ops[1].stmt == SQL_LG_CHECKPOINT_INSERT && b.ops[2].stmt == SQL_LG_CHECKPOINT_INSERT);
}

static void numbers_stay_numbers(struct fixture *f) {
    static const struct row rows[] = {
        {0, STR(ID2), STR("{\"channel_versions\":{\"n\":3,\"__pregel_tasks\":9,\"branch:to:a\":9},"
                          "\"versions_seen\":{\"a\":{\"branch:to:a\":4}}}"),
         STR("{}"), STR_NULL, {0}, {0}},
        {1, STR(""), STR("__pregel_tasks"), STR("9"), STR("json"),
         STR("[{\"node\":\"a\",\"args\":1}]"), {0}},
        {1, STR(""), STR("branch:to:a"), STR("9"), STR("json"), STR("null"), {0}},
    };
    struct fake fake = {0};
    struct store s = fake_store(&fake, rows, ARRAY_COUNT(rows));
    struct checkpoint head, c = made(3);
    struct db_batch b;
    yyjson_val *json;
    CHECK_INT(checkpoint_get(&s, id_v7(), STR(""), ID_NIL, &f->arena, &head, &f->err), 0);
    CHECK_INT(checkpoint_load_values(&s, &head, &f->arena, &f->err), 0);
    struct lg_change change = {STR("n"), STR("1")};
    struct lg_step step = {.c = &c, .before = lg_versions_read(&f->arena, &head),
                           .changes = &change, .change_count = 1};
    db_batch_init(&b, &f->arena);
    (void)lg_checkpoint_add(&b, &f->arena, &step);
    CHECK_STR(blobs_of(f, &b, &json),
              STR("__pregel_tasks=json:[] n=json:1 "));
    CHECK_STR(json_text(&f->arena, json_get(json, "channel_versions")),
              STR("{\"n\":10,\"__pregel_tasks\":10,\"branch:to:a\":10}"));
    CHECK_STR(json_text(&f->arena, json_get(json, "versions_seen")),
              STR("{\"a\":{\"branch:to:a\":9}}"));
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(python_head)
TEST(javascript_next)
TEST(strange_rows)
TEST(written)
TEST(numbers_stay_numbers)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python_head),      cmocka_unit_test(test_javascript_next),
        cmocka_unit_test(test_strange_rows),     cmocka_unit_test(test_written),
        cmocka_unit_test(test_numbers_stay_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
