/* SPDX-License-Identifier: Apache-2.0 */
/* test_preferences.c - preferences of owners and of threads over every database.
 *
 * Goal: a write answers what is stored, and whether a row may be changed is said once; many are
 * stored or none; each owner has their own; those of a thread end, are renewed when a good part of
 * their time is over, and go with it; in the store they are items. Method: one history on each
 * driver. */
#include "fixture.h"

#include "base/clock.h"
#include "store/preferences.h"

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};
static const struct preference_actor HER = {.owner = {"anna", 4}}, HIS = {.owner = {"bert", 4}},
                                     SERVICE = {.owner = {"anna", 4}, .service = true},
                                     FIXES = {.owner = {"anna", 4}, .service = true, .fixes = true};

static yyjson_val *json(struct arena *a, const char *text) {
    yyjson_val *v = NULL;
    return json_parse(a, str_of(text), &v, NULL) == 0 ? v : NULL;
}

static bool is(struct arena *a, str text, const char *want) {
    yyjson_val *v;
    return json_parse(a, text, &v, NULL) == 0 && json_equal(v, json(a, want));
}

static void rows(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct preference p, *list;
    size_t count;
    CHECK_CODE(preference_get(s, HER.owner, STR("k"), a, &p, &err), ERR_NOT_FOUND);
    CHECK_CODE(preference_put(s, &HER, STR("k"), STR("[1,true]"), a, &p, &err), 0);
    CHECK(is(a, p.value, "[1,true]") && p.mutable && p.updated_at > 0);
    CHECK_CODE(preference_put(s, &FIXES, STR("k"), STR("\"x\""), a, &p, &err), 0);
    CHECK_THAT(is(a, p.value, "\"x\"") && p.mutable, "%s", "only the first write says mutable");
    CHECK_CODE(preference_put(s, &FIXES, STR("f"), STR("1.5"), a, &p, &err), 0);
    CHECK(!p.mutable);
    CHECK_CODE(preference_put(s, &HER, STR("f"), STR("2"), a, &p, &err), ERR_CONFLICT);
    CHECK_CODE(preference_delete(s, &HER, STR("f"), a, &err), ERR_CONFLICT);
    CHECK_CODE(preference_get(s, HER.owner, STR("f"), a, &p, &err), 0);
    CHECK(is(a, p.value, "1.5") && !p.mutable);
    CHECK_CODE(preference_put(s, &SERVICE, STR("f"), STR("3"), a, &p, &err), 0);
    CHECK(is(a, p.value, "3") && !p.mutable);
    CHECK_CODE(preference_list(s, HIS.owner, STR_NULL, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(preference_put(s, &HIS, STR("f"), STR("true"), a, &p, &err), 0);
    CHECK_CODE(preference_list(s, HER.owner, STR("[\"f\",\"none\"]"), a, &list, &count, &err), 0);
    CHECK(count == 1 && is(a, list[0].value, "3"));
    CHECK_CODE(preference_delete(s, &HIS, STR("k"), a, &err), ERR_NOT_FOUND);
}

static void many(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct preference *list;
    size_t count;
    const char *all = "{\"b\":\"\\\"q\\\"\",\"a.b\":{\"x\":[null]},\"c\":true,\"d\":-2.25,\"k\":7}";
    CHECK_CODE(preference_put_all(s, &HER, json(a, all), a, &list, &count, &err), 0);
    CHECK_INT(count, 5);
    CHECK_CODE(preference_list(s, HER.owner, STR_NULL, a, &list, &count, &err), 0);
    CHECK_INT(count, 6);
    CHECK(str_eq(list[0].key, STR("a.b")) && is(a, list[0].value, "{\"x\":[null]}"));
    CHECK(is(a, list[1].value, "\"\\\"q\\\"\"") && is(a, list[2].value, "true"));
    CHECK(is(a, list[3].value, "-2.25") && is(a, list[5].value, "7"));
    CHECK_CODE(
        preference_put_all(s, &HER, json(a, "{\"k\":8,\"f\":8,\"new\":8}"), a, &list, &count, &err),
        ERR_CONFLICT);
    CHECK_CODE(preference_list(s, HER.owner, STR_NULL, a, &list, &count, &err), 0);
    CHECK_THAT(count == 6 && is(a, list[5].value, "7"), "%s", "all or none");
    CHECK_CODE(
        preference_put_all(s, &SERVICE, json(a, "{\"k\":8,\"f\":8}"), a, &list, &count, &err), 0);
    CHECK_CODE(preference_put_all(s, &HER, json(a, "{}"), a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
}

static void limits(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct preference *list, p;
    size_t count;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (int i = 0; i < PREFERENCE_COUNT_MAX; i++) {
        jw_key_str(&w, arena_printf(a, "n%d", i));
        jw_i64(&w, i);
    }
    jw_object_end(&w);
    yyjson_val *full = json(a, arena_take(a, &b).p);
    struct preference_actor carl = {.owner = STR("carl")};
    CHECK_CODE(preference_put_all(s, &carl, full, a, &list, &count, &err), 0);
    CHECK_INT(count, PREFERENCE_COUNT_MAX);
    CHECK_CODE(preference_put(s, &carl, STR("n1"), STR("0"), a, &p, &err), 0);
    CHECK_CODE(preference_put_all(s, &carl, full, a, &list, &count, &err), 0);
    CHECK_CODE(preference_put(s, &carl, STR("more"), STR("0"), a, &p, &err), ERR_LIMIT);
    CHECK_CODE(
        preference_put_all(s, &carl, json(a, "{\"n1\":1,\"more\":1}"), a, &list, &count, &err),
        ERR_LIMIT);
    CHECK_CODE(preference_delete(s, &carl, STR("n0"), a, &err), 0);
    CHECK_CODE(preference_put(s, &carl, STR("more"), STR("0"), a, &p, &err), 0);
}

static void of_threads(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct thread t;
    struct thread_new n = {.id = id_v7(), .metadata = STR("{}"), .config = STR("{}")};
    struct preference_override o;
    struct run_context ctx;
    struct db_batch b;
    int64_t gone;
    CHECK_CODE(thread_make(s, &ANNA, &n, false, a, &t, &err), 0);
    CHECK_CODE(preference_override_put(s, &ANNA, n.id, STR("k"), STR("9"), a, &o, &err), 0);
    CHECK(is(a, o.value, "9"));
    CHECK_CODE(preference_override_put(s, &BERT, n.id, STR("k"), STR("9"), a, &o, &err),
               ERR_NOT_FOUND);
    int64_t made = clock_wall_us(), whole = s->preferences.override_us;
    struct run_context_key key = {.thread_id = n.id, .time_us = made};
    CHECK_CODE(run_context_read(s, &ANNA, &key, a, &ctx, &err), 0);
    CHECK(ctx.has_thread && is(a, ctx.overrides, "{\"k\":9}"));
    CHECK(is(a, preference_of_context(s, &ctx, STR("{\"k\":0,\"z\":0}"), STR_NULL, a),
             "{\"z\":0,\"a.b\":{\"x\":[null]},\"b\":\"\\\"q\\\"\",\"c\":true,\"d\":-2.25,\"f\":8,"
             "\"k\":9}"));
    CHECK_CODE(run_context_read(s, &BERT, &key, a, &ctx, &err), 0);
    CHECK(!ctx.has_thread && ctx.overrides.len <= 2 && is(a, ctx.preferences, "{\"f\":true}"));
    CHECK_CODE(run_context_read(s, &ANNA, &key, a, &ctx, &err), 0);
    db_batch_init(&b, a);
    CHECK(!preference_override_renew_add(s, &ANNA, n.id, &ctx, made, &b));
    CHECK(preference_override_renew_add(s, &ANNA, n.id, &ctx, made + whole / 2, &b));
    CHECK_CODE(db_commit(s->db, &b, &err), 0);
    key.time_us = made + whole + whole / 4;
    CHECK_CODE(run_context_read(s, &ANNA, &key, a, &ctx, &err), 0);
    CHECK_INT(ctx.overrides_until, made + whole / 2 + whole);
    key.time_us = ctx.overrides_until;
    CHECK_CODE(run_context_read(s, &ANNA, &key, a, &ctx, &err), 0);
    CHECK_THAT(ctx.overrides.len <= 2 && !ctx.overrides_until, "%s", "it is over");
    CHECK_CODE(preference_override_put(s, &ANNA, n.id, STR("j"), STR("1"), a, &o, &err), 0);
    CHECK_CODE(preference_override_delete(s, &BERT, n.id, STR("j"), a, &err), ERR_NOT_FOUND);
    CHECK_CODE(preference_override_delete(s, &ANNA, n.id, STR("j"), a, &err), 0);
    CHECK_CODE(preference_override_delete(s, &ANNA, n.id, STR("j"), a, &err), ERR_NOT_FOUND);
    CHECK_CODE(preference_override_sweep(s, key.time_us - 1, 10, a, &gone, &err), 0);
    CHECK_INT(gone, 0);
    CHECK_CODE(preference_override_sweep(s, key.time_us, 10, a, &gone, &err), 0);
    CHECK_INT(gone, 1);
    CHECK_CODE(preference_override_put(s, &ANNA, n.id, STR("j"), STR("1"), a, &o, &err), 0);
    CHECK_CODE(thread_delete(s, &ANNA, n.id, a, &err), 0);
    CHECK_CODE(preference_override_sweep(s, INT64_C(1) << 52, 10, a, &gone, &err), 0);
    CHECK_THAT(gone == 0, "%s", "it went with its thread");
}

static void as_items(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    struct item item, *list;
    struct preference p;
    size_t count;
    bool found;
    struct page page = {.limit = 2, .offset = 1, .order = SORT_ASC};
    str ns = STR("bert.preferences");
    struct item_change put = {.name_space = ns, .key = STR("o"), .value = STR("{\"a\":1}")};
    CHECK_CODE(item_put(s, &BERT, &put, a, &err), 0);
    CHECK_CODE(preference_get(s, HIS.owner, STR("o"), a, &p, &err), 0);
    CHECK(is(a, p.value, "{\"a\":1}"));
    put.key = STR("n");
    put.value = STR("{\"value\":[2]}");
    CHECK_CODE(item_put(s, &BERT, &put, a, &err), 0);
    CHECK_CODE(preference_get(s, HIS.owner, STR("n"), a, &p, &err), 0);
    CHECK(is(a, p.value, "[2]"));
    CHECK_CODE(item_get(s, &BERT, ns, STR("n"), true, a, &found, &item, &err), 0);
    CHECK(found && is(a, item.value, "{\"value\":[2]}") && str_eq(item.name_space, ns));
    CHECK_CODE(item_get(s, &ANNA, ns, STR("n"), true, a, &found, &item, &err), 0);
    CHECK_THAT(!found, "%s", "to her it is a namespace like others");
    CHECK_CODE(item_search(s, &BERT, ns, STR_NULL, &page, a, &list, &count, &err), 0);
    CHECK(count == 2 && str_eq(list[0].key, STR("o")) && str_eq(list[1].key, STR("n")));
    page.offset = 0;
    CHECK_CODE(item_search(s, &BERT, ns, STR("{\"a\":{\"$gt\":0}}"), &page, a, &list, &count, &err),
               0);
    CHECK(count == 1 && str_eq(list[0].key, STR("o")));
    CHECK_CODE(item_search(s, &BERT, ns, STR("{\"$what\":0}"), &page, a, &list, &count, &err),
               ERR_INVALID);
    put.key = STR("a key");
    CHECK_CODE(item_put(s, &BERT, &put, a, &err), ERR_INVALID);
    CHECK_CODE(item_delete(s, &BERT, ns, STR("n"), a, &err), 0);
    CHECK_CODE(item_delete(s, &BERT, ns, STR("n"), a, &err), 0);
    CHECK_CODE(preference_get(s, HIS.owner, STR("n"), a, &p, &err), ERR_NOT_FOUND);
    struct item_change hers = {
        .name_space = STR("anna.preferences"), .key = STR("f"), .value = STR("{\"value\":1}")};
    CHECK_CODE(item_put(s, &ANNA, &hers, a, &err), ERR_CONFLICT);
    CHECK_CODE(item_delete(s, &ANNA, hers.name_space, STR("f"), a, &err), ERR_CONFLICT);
    CHECK_CODE(preference_get(s, HER.owner, STR("f"), a, &p, &err), 0);
    CHECK(is(a, p.value, "8"));
}

static void history(struct fixture *f) {
    struct store store = {.db = f->db, .preferences = {.override_us = 60000000}};
    rows(f, &store, &f->arena);
    many(f, &store, &f->arena);
    limits(f, &store, &f->arena);
    of_threads(f, &store, &f->arena);
    as_items(f, &store, &f->arena);
}

int main(void) { return fixture_main("preferences", history); }
