/* SPDX-License-Identifier: Apache-2.0 */
/* test_inbox.c - the inbox, templates, projects and settings over every database.
 *
 * Goal: a key lets one delivery in until it has expired, whatever else the batch does; failed ones
 * are done again once; lists are an owner's, newest first; a source goes with what it brought;
 * names are their owner's; a change names the version that was read; settings change whole;
 * what is remembered of them is forgotten when they change.
 * Method: one history on each driver. */
#include "fixture.h"

#include "store/inbox.h"
#include "store/plan_templates.h"
#include "store/preferences.h"
#include "store/projects.h"
#include "store/remembered.h"

#define NOW INT64_C(1764000000000000)

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};

static struct id id_at(int n) {
    struct id id = {{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x70, 0, 0x80}};
    id.b[15] = (uint8_t)n;
    return id;
}

static struct inbox_source source_of(const struct principal *who, int n, const char *name) {
    return (struct inbox_source){.id = id_at(n),
                                 .owner = who->owner,
                                 .name = str_of(name),
                                 .rule = {.scheme = INBOX_HMAC,
                                          .header = STR("x-sign"),
                                          .secret = STR("s")},
                                 .action = STR("{\"kind\":\"keep\"}"),
                                 .retention_us = 1000,
                                 .created_at = NOW,
                                 .updated_at = NOW};
}

static struct inbox_delivery delivery_of(int source, int n, const char *key) {
    return (struct inbox_delivery){.id = id_at(n),
                                   .source_id = id_at(source),
                                   .key = str_of(key),
                                   .digest = STR("d"),
                                   .event = STR("{}"),
                                   .status = INBOX_KEPT,
                                   .received_at = NOW,
                                   .expires_at = NOW + 1000};
}

static int put(struct store *s, int source, int n, const char *key, int64_t at, struct arena *a,
               struct err *err) {
    struct inbox_delivery d = delivery_of(source, n, key);
    d.received_at = at;
    d.expires_at = at + 1000;
    return inbox_put(s, &d, a, err);
}

static void sources(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct inbox_source one = source_of(&ANNA, 1, "one"), *list;
    struct inbox_source other = source_of(&BERT, 2, "one"), twice = source_of(&ANNA, 3, "one");
    size_t count;
    CHECK_CODE(inbox_source_create(s, &one, a, &err), 0);
    CHECK_CODE(inbox_source_create(s, &other, a, &err), 0);
    CHECK_CODE(inbox_source_create(s, &twice, a, &err), ERR_EXISTS);
    CHECK_CODE(inbox_source_get(s, &BERT, id_at(1), a, &one, &err), ERR_NOT_FOUND);
    CHECK_CODE(inbox_source_get(s, &ANNA, id_at(1), a, &one, &err), 0);
    CHECK(one.rule.scheme == INBOX_HMAC && str_eq(one.rule.header, STR("x-sign")));
    CHECK(!one.rule.key_header.p && one.version == 1 && one.retention_us == 1000);
    struct inbox_source late = one;
    CHECK_CODE(inbox_source_update(s, &BERT, &late, a, &err), ERR_CONFLICT);
    one.name = STR("uno");
    CHECK_CODE(inbox_source_update(s, &ANNA, &one, a, &err), 0);
    CHECK(one.version == 2);
    CHECK_CODE(inbox_source_update(s, &ANNA, &late, a, &err), ERR_CONFLICT);
    CHECK_CODE(inbox_source_list(s, &ANNA, a, &list, &count, &err), 0);
    CHECK(count == 1 && str_eq(list[0].name, STR("uno")));
}

static void deliveries(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct inbox_delivery d, *list;
    size_t count;
    int64_t swept = 0;
    bool found;
    CHECK_CODE(put(s, 1, 10, "k", NOW, a, &err), 0);
    CHECK_CODE(put(s, 1, 11, "k", NOW + 999, a, &err), ERR_REPEATED);
    CHECK_CODE(put(s, 2, 12, "k", NOW, a, &err), 0);
    CHECK_CODE(put(s, 9, 13, "k", NOW, a, &err), ERR_REPEATED); /* there is no such source */
    err_reset(&err);
    CHECK_CODE(inbox_find(s, id_at(1), STR("k"), NOW, a, &found, &d, &err), 0);
    CHECK(found && id_eq(d.id, id_at(10)) && str_eq(d.digest, STR("d")));
    CHECK_CODE(inbox_find(s, id_at(1), STR("k"), NOW + 1000, a, &found, &d, &err), 0);
    CHECK(!found);
    CHECK_CODE(put(s, 1, 14, "k", NOW + 1000, a, &err), 0); /* in the old one's place */
    CHECK_CODE(inbox_get(s, &ANNA, id_at(10), a, &d, &err), ERR_NOT_FOUND);
    CHECK_CODE(inbox_get(s, &BERT, id_at(14), a, &d, &err), ERR_NOT_FOUND);
    CHECK_CODE(inbox_get(s, &ANNA, id_at(14), a, &d, &err), 0);
    CHECK(str_eq(d.owner, ANNA.owner) && d.status == INBOX_KEPT && id_is_nil(d.run_id));
    CHECK_CODE(inbox_again(s, &d, a, &err), ERR_REPEATED); /* it has not failed */
    d = delivery_of(1, 15, "failed");
    d.status = INBOX_FAILED;
    d.error = STR("why");
    CHECK_CODE(inbox_put(s, &d, a, &err), 0);
    struct inbox_filter any = {.limit = 10}, failed = {.failed = true, .limit = 10};
    struct inbox_filter page = {.source_id = id_at(1), .before = id_at(15), .limit = 10};
    CHECK_CODE(inbox_list(s, &ANNA, &failed, a, &list, &count, &err), 0);
    CHECK(count == 1 && str_eq(list[0].error, STR("why")));
    CHECK_CODE(inbox_list(s, &ANNA, &any, a, &list, &count, &err), 0);
    CHECK(count == 2 && id_eq(list[0].id, id_at(15)) && id_eq(list[1].id, id_at(14)));
    CHECK_CODE(inbox_list(s, &ANNA, &page, a, &list, &count, &err), 0);
    CHECK(count == 1 && id_eq(list[0].id, id_at(14)));
    CHECK_CODE(inbox_list(s, &BERT, &page, a, &list, &count, &err), 0);
    CHECK(count == 0);
    d.status = INBOX_STARTED;
    d.run_id = d.thread_id = id_at(99);
    d.error = STR_NULL;
    CHECK_CODE(inbox_again(s, &d, a, &err), 0);
    CHECK_CODE(inbox_again(s, &d, a, &err), ERR_REPEATED);
    CHECK_CODE(inbox_get(s, &ANNA, id_at(15), a, &d, &err), 0);
    CHECK(d.status == INBOX_STARTED && id_eq(d.run_id, id_at(99)) && !d.error.p);
    CHECK_CODE(inbox_sweep(s, NOW + 1000, 1, a, &swept, &err), 0);
    CHECK(swept == 1);
    CHECK_CODE(inbox_sweep(s, NOW + 1000, 10, a, &swept, &err), 0);
    CHECK(swept == 1); /* 14 came later */
    CHECK_CODE(inbox_source_delete(s, &BERT, id_at(1), a, &err), ERR_NOT_FOUND);
    CHECK_CODE(inbox_source_delete(s, &ANNA, id_at(1), a, &err), 0);
    CHECK_CODE(inbox_get(s, &ANNA, id_at(14), a, &d, &err), ERR_NOT_FOUND);
}

static void templates(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct plan_template t = {.id = id_at(20), .owner = ANNA.owner, .name = STR("t"),
                              .description = STR(""), .parameters = STR("{}"), .plan = STR("{}"),
                              .created_at = NOW, .updated_at = NOW};
    struct plan_template other = t, late, *list;
    size_t count;
    CHECK_CODE(plan_template_create(s, &t, a, &err), 0);
    other.id = id_at(21);
    CHECK_CODE(plan_template_create(s, &other, a, &err), ERR_EXISTS);
    other.owner = BERT.owner;
    CHECK_CODE(plan_template_create(s, &other, a, &err), 0);
    CHECK_CODE(plan_template_find(s, &BERT, STR("t"), a, &late, &err), 0);
    CHECK(id_eq(late.id, id_at(21)));
    CHECK_CODE(plan_template_find(s, &BERT, id_hex(a, id_at(20)), a, &late, &err), ERR_NOT_FOUND);
    late = t;
    t.plan = STR("{\"x\":1}");
    CHECK_CODE(plan_template_update(s, &ANNA, &t, a, &err), 0);
    CHECK_CODE(plan_template_update(s, &ANNA, &late, a, &err), ERR_CONFLICT);
    CHECK_CODE(plan_template_get(s, &ANNA, id_at(20), a, &late, &err), 0);
    CHECK(late.version == 2 && str_eq(late.plan, STR("{\"x\":1}")));
    CHECK_CODE(plan_template_list(s, &ANNA, STR(""), 10, a, &list, &count, &err), 0);
    CHECK(count == 1 && !list[0].plan.p);
    CHECK_CODE(plan_template_list(s, &ANNA, STR("t"), 10, a, &list, &count, &err), 0);
    CHECK(count == 0);
    CHECK_CODE(plan_template_delete(s, &BERT, id_at(20), a, &err), ERR_NOT_FOUND);
    CHECK_CODE(plan_template_delete(s, &ANNA, id_at(20), a, &err), 0);
}

/* A plan that names no project is of the one that its owner's setting names, else of "default"; a
 * stranger sees neither settings nor the project, and the run sees no thread. */
static void plan_contexts(struct fixture *f, struct store *s, struct arena *a, str settings) {
    struct setting usual = {STR("plan.project_id"), STR("\"p\"")}, none = {usual.key, STR_NULL};
    struct setting hook = {STR("plan.webhook"), STR("\"https://hooks.example\"")};
    struct assistant plain = {.id = id_at(31),
                              .owner = ANNA.owner,
                              .graph_id = STR("plan"),
                              .name = STR("n"),
                              .config = STR("{\"k\":1}"),
                              .context = STR("{}"),
                              .metadata = STR("{}"),
                              .created_at = NOW,
                              .updated_at = NOW},
                     made;
    struct plan_context ctx;
    struct err err = {0};
    CHECK_CODE(assistant_create(s, &ANNA, &plain, false, a, &made, &err), 0);
    CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), plain.id, a, &ctx, &err), 0);
    CHECK(str_eq(ctx.of_project, settings) && str_eq(ctx.concurrency, STR("2")));
    CHECK(!ctx.webhook.p && !ctx.project.p);
    CHECK(ctx.run.has_assistant && str_find(ctx.run.assistant.config, STR("\"k\"")) == 1);
    CHECK(!ctx.run.has_thread && id_is_nil(ctx.run.slot_run) && id_is_nil(ctx.run.head));
    CHECK_CODE(plan_context_read(s, &ANNA, STR_NULL, plain.id, a, &ctx, &err), 0);
    CHECK(!ctx.of_project.p);
    CHECK_CODE(setting_change(s, &ANNA, &usual, 1, 0, NOW, a, &err), 0);
    CHECK_CODE(setting_change(s, &ANNA, &hook, 1, 0, NOW, a, &err), 0);
    CHECK_CODE(plan_context_read(s, &ANNA, STR_NULL, plain.id, a, &ctx, &err), 0);
    CHECK(str_eq(ctx.of_project, settings) && str_eq(ctx.project, usual.value));
    CHECK(str_eq(ctx.webhook, hook.value));
    CHECK_CODE(plan_context_read(s, &ANNA, STR("other"), plain.id, a, &ctx, &err), 0);
    CHECK(!ctx.of_project.p);
    CHECK_CODE(plan_context_read(s, &BERT, STR("p"), plain.id, a, &ctx, &err), 0);
    CHECK(!ctx.of_project.p && !ctx.concurrency.p && !ctx.run.has_assistant);
    hook.value = STR_NULL;
    CHECK_CODE(setting_change(s, &ANNA, &none, 1, 0, NOW, a, &err), 0);
    CHECK_CODE(setting_change(s, &ANNA, &hook, 1, 0, NOW, a, &err), 0);
}

static void settings(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct project p = {.id = id_at(30), .owner = ANNA.owner, .name = STR("p"),
                        .description = STR(""), .metadata = STR("{}"), .settings = STR("{\"x\":1}"),
                        .created_at = NOW, .updated_at = NOW};
    struct setting both[] = {{STR("plan.concurrency"), STR("2")}, {STR("z"), STR("null")}}, *list;
    struct setting mixed[] = {{STR("new"), STR("1")}, {STR("none"), STR_NULL}};
    size_t count;
    CHECK_CODE(project_create(s, &p, a, &err), 0);
    CHECK_CODE(setting_change(s, &ANNA, both, 2, 0, NOW, a, &err), 0);
    CHECK_CODE(setting_change(s, &ANNA, mixed, 2, ERR_NOT_FOUND, NOW, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(setting_list(s, &ANNA, a, &list, &count, &err), 0);
    CHECK(count == 2 && str_eq(list[1].value, STR("null")));
    plan_contexts(f, s, a, p.settings);
    CHECK_CODE(project_update(s, &ANNA, &p, a, &err), 0);
    p.version--;
    CHECK_CODE(project_update(s, &ANNA, &p, a, &err), ERR_CONFLICT);
    CHECK_CODE(project_delete(s, &BERT, p.id, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(project_delete(s, &ANNA, p.id, a, &err), 0);
}

static uint64_t reads(struct fixture *f) {
    struct db_stats stats;
    db_stats(f->db, &stats);
    return stats.reads;
}

/* The change is seen by who reads next, which the one after him need not do. */
#define CHECK_SEEN(change)                                                              \
    do {                                                                                \
        uint64_t seen_before;                                                           \
        CHECK_CODE((change), 0);                                                        \
        seen_before = reads(f);                                                         \
        CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), mine, a, &ctx, &err), 0);      \
        CHECK_INT(reads(f) - seen_before, 1);                                           \
        CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), mine, a, &ctx, &err), 0);      \
        CHECK_INT(reads(f) - seen_before, 1);                                           \
    } while (0)

static void remembered_settings(struct fixture *f, struct store *s, struct arena *a) {
    struct id mine = id_at(31); /* made by plan_contexts */
    struct setting two[] = {{STR("plan.concurrency"), STR("7")}, {STR("z"), STR_NULL}};
    struct setting gone = {STR("plan.concurrency"), STR_NULL}, none = {STR("none"), STR_NULL};
    struct project p = {.id = id_at(40), .owner = ANNA.owner, .name = STR("p"),
                        .description = STR(""), .metadata = STR("{}"), .settings = STR("{\"y\":1}"),
                        .created_at = NOW, .updated_at = NOW};
    struct inbox_source source = source_of(&ANNA, 41, "other");
    struct plan_context ctx;
    struct err err = {0};
    CHECK_SEEN(setting_change(s, &ANNA, two, 2, 0, NOW, a, &err));
    CHECK(str_eq(ctx.concurrency, STR("7")) && !ctx.of_project.p);
    CHECK_SEEN(project_create(s, &p, a, &err));
    CHECK(str_eq(ctx.of_project, p.settings));
    p.settings = STR("{}");
    CHECK_SEEN(project_update(s, &ANNA, &p, a, &err));
    CHECK(str_eq(ctx.of_project, p.settings));
    uint64_t before = reads(f);
    CHECK_CODE(inbox_source_create(s, &source, a, &err), 0); /* it is no setting */
    CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), mine, a, &ctx, &err), 0);
    CHECK_INT(reads(f) - before, 0);
    CHECK_CODE(setting_change(s, &ANNA, &none, 1, ERR_NOT_FOUND, NOW, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), mine, a, &ctx, &err), 0);
    CHECK_INT(reads(f) - before, 1); /* a change that failed may be one that is stored */
    /* Others have their own. */
    CHECK_CODE(plan_context_read(s, &BERT, STR("p"), mine, a, &ctx, &err), 0);
    CHECK(!ctx.of_project.p && !ctx.concurrency.p && !ctx.run.has_assistant);
    CHECK_CODE(plan_context_read(s, &ANNA, STR_NULL, mine, a, &ctx, &err), 0);
    CHECK(!ctx.of_project.p && ctx.run.has_assistant);
    CHECK_CODE(plan_context_read(s, &ANNA, STR("p"), id_at(99), a, &ctx, &err), 0);
    CHECK(ctx.of_project.p && !ctx.run.has_assistant);
    CHECK_INT(reads(f) - before, 4);
    CHECK_SEEN(project_delete(s, &ANNA, p.id, a, &err));
    CHECK(!ctx.of_project.p);
    CHECK_SEEN(setting_change(s, &ANNA, &gone, 1, 0, NOW, a, &err));
    CHECK(!ctx.concurrency.p);
}

static int preference_item(struct store *s, const char *value, struct arena *a, struct err *err) {
    struct item_change c = {.name_space = STR("anna.preferences"), .key = STR("k"),
                            .value = str_of(value)};
    struct db_batch b;
    db_batch_init(&b, a);
    if (!value)
        preference_item_delete_add(&ANNA, c.key, &b);
    else if (preference_item_put_add(s, &ANNA, &c, &b, err) < 0)
        return ERR_INVALID;
    return item_commit(s, &b, err);
}

static void remembered_preferences(struct fixture *f, struct store *s, struct arena *a) {
    struct id mine = id_at(31);
    struct preference_actor by = {.owner = ANNA.owner};
    struct preference made, *all;
    struct plan_context ctx;
    struct err err = {0};
    yyjson_val *object;
    size_t count;
    CHECK_CODE(json_parse(a, STR("{\"k\":22,\"l\":3}"), &object, &err), 0);
    CHECK_SEEN(preference_put(s, &by, STR("k"), STR("11"), a, &made, &err));
    CHECK(str_find(ctx.run.preferences, STR("11")) >= 0);
    CHECK_SEEN(preference_put_all(s, &by, object, a, &all, &count, &err));
    CHECK(str_find(ctx.run.preferences, STR("22")) >= 0);
    CHECK_SEEN(preference_item(s, "{\"value\":33}", a, &err));
    CHECK(str_find(ctx.run.preferences, STR("33")) >= 0);
    CHECK_SEEN(preference_item(s, NULL, a, &err));
    CHECK(str_find(ctx.run.preferences, STR("33")) < 0);
    CHECK_SEEN(preference_delete(s, &by, STR("l"), a, &err));
    CHECK(str_find(ctx.run.preferences, STR("\"l\"")) < 0);
}

static void remembered_assistants(struct fixture *f, struct store *s, struct arena *a) {
    struct id mine = id_at(31);
    struct assistant_patch patch = {.name = STR("new")};
    struct assistant made, again = {.id = mine,
                                    .owner = ANNA.owner,
                                    .graph_id = STR("plan"),
                                    .name = STR("again"),
                                    .config = STR("{}"),
                                    .context = STR("{}"),
                                    .metadata = STR("{}"),
                                    .created_at = NOW,
                                    .updated_at = NOW};
    struct plan_context ctx;
    struct err err = {0};
    CHECK_SEEN(assistant_update(s, &ANNA, mine, &patch, a, &made, &err));
    CHECK(str_eq(ctx.run.assistant.name, STR("new")) && ctx.run.assistant.version == 2);
    CHECK_SEEN(assistant_set_latest(s, &ANNA, mine, 1, a, &made, &err));
    CHECK(str_eq(ctx.run.assistant.name, STR("n")) && ctx.run.assistant.version == 1);
    CHECK_SEEN(assistant_delete(s, &ANNA, mine, false, a, &err));
    CHECK(!ctx.run.has_assistant);
    CHECK_SEEN(assistant_create(s, &ANNA, &again, false, a, &made, &err));
    CHECK(str_eq(ctx.run.assistant.name, STR("again")));
}

/* Whoever was told of a change sees it, though what was read a moment ago is remembered. */
static void remembered(struct fixture *f) {
    struct remembered_options o = {
        .hold_us = INT64_C(3600000000), .count_max = 16, .bytes_max = 16384};
    struct store store = {.db = f->db, .remembered = remembered_new(&o)};
    remembered_settings(f, &store, &f->arena);
    remembered_preferences(f, &store, &f->arena);
    remembered_assistants(f, &store, &f->arena);
    remembered_free(store.remembered);
}

static void history(struct fixture *f) {
    struct store store = {.db = f->db};
    sources(f, &store, &f->arena);
    deliveries(f, &store, &f->arena);
    templates(f, &store, &f->arena);
    settings(f, &store, &f->arena);
    remembered(f);
}

int main(void) { return fixture_main("inbox", history); }
