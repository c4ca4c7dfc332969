/* SPDX-License-Identifier: Apache-2.0 */
/* store_items.c - what the store's history says of items: filters, words, vectors, ends.
 *
 * See test_store.c: the same calls on every database give the same transcript. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "store/items.h"
#include "store_history.h"

static int put(struct history *h, const char *space, str value, double minutes) {
    struct item_change c = {str_of(space), STR("key"), value, .ttl_minutes = minutes};
    return item_put(&h->store, &ANNA, &c, h->a, &h->err);
}

/* What a filter finds must not depend on the database. */
static void item_filters(struct history *h) {
    static const char *const values[] = {
        "{\"n\":1,\"s\":\"a%b\",\"o\":{\"p\":{\"q\":[10,{\"r\":null}]}},\"z\":null,\"t\":true}",
        "{\"n\":9007199254740993,\"s\":\"a_b\",\"o\":{\"p\":5},\"o.p\":6,\"t\":false}",
        "{\"n\":-1.5,\"s\":\"ab\",\"z\":0,\"l\":[1,\"x\",null]}",
        "{\"n\":\"1\",\"s\":\"Ä\",\"z\":\"\",\"l\":[],\"o\":{}}",
        "{\"n\":123456789012345,\"s\":\"\",\"z\":[null],\"o\":null,\"l\":{\"0\":1}}",
    };
    static const char *const filters[] = {
        "{\"n\":1.0}",
        "{\"n\":9007199254740992}",
        "{\"n\":{\"$gt\":9007199254740992}}",
        "{\"n\":{\"$lt\":9007199254740993}}",
        "{\"n\":{\"$gte\":\"0\"}}",
        "{\"n\":{\"$lte\":1e14}}",
        "{\"z\":null}",
        "{\"z\":{\"$ne\":null}}",
        "{\"z\":{\"$exists\":false}}",
        "{\"z\":{\"$in\":[null,0]}}",
        "{\"z\":{\"$nin\":[null,0]}}",
        "{\"z\":{\"$not\":{\"$eq\":null}}}",
        "{\"s\":\"a%b\"}",
        "{\"s\":\"%\"}",
        "{\"s\":{\"$gte\":\"a_\"}}",
        "{\"s\":{\"$gt\":\"z\"}}",
        "{\"s\":{\"$lt\":\"a\"}}",
        "{\"o.p\":6}",
        "{\"o.p.q.0\":10}",
        "{\"o.p.q.1.r\":null}",
        "{\"o.p.q.01\":{\"$exists\":true}}",
        "{\"o.p.q.-1\":{\"$exists\":true}}",
        "{\"o..p\":{\"$exists\":true}}",
        "{\"l.0\":1}",
        "{\"l\":[1,\"x\",null]}",
        "{\"l\":{\"$ne\":[]}}",
        "{\"o\":{}}",
        "{\"o\":{\"p\":{\"$ne\":5}}}",
        "{\"t\":true,\"n\":1}",
        "{\"t\":{\"$ne\":true}}",
        "{\"$or\":[{\"n\":1},{\"s\":\"ab\"}]}",
        "{\"$or\":[]}",
        "{\"$and\":[]}",
        "{\"$not\":{\"$or\":[{\"n\":{\"$gt\":0}},{\"t\":false}]},\"s\":{\"$ne\":\"x\"}}",
        "{\"n\":{\"$and\":[{\"$gt\":0},{\"$not\":{\"$gt\":5}}]}}",
        "{\"n\":1,\"n\":-1.5}",
    };
    struct page page = {10, 0, SORT_ASC};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        CALL("put", put(h, arena_printf(h->a, "f.%zu", i).p, str_of(values[i]), 0));
    for (size_t i = 0; i < ARRAY_COUNT(filters); i++) {
        struct item *list;
        size_t count;
        CALL(filters[i], item_search(&h->store, &ANNA, STR("f"), str_of(filters[i]), &page, h->a,
                                     &list, &count, &h->err));
        for (size_t k = 0; k < count; k++)
            line(h, "  %.*s", P(list[k].name_space));
    }
}

/* What a question finds, and how well it fits, must not depend on the database either. */
static void item_texts(struct history *h) {
    static const char *const values[] = {
        "{\"text\":\"The quick brown fox jumps over the lazy dog\",\"tag\":\"pangram\"}",
        "{\"text\":\"A fox, a FOX, a fox!\",\"n\":42}",
        "{\"text\":\"\\u00c4pfel und Stra\\u00dfe; it's 3.14 'quoted' \\\\ OR NOT \\\"x\\\"\"}",
        "{\"deep\":[{\"text\":\"dog\"},{\"text\":[\"\\u6771\\u4eac\",\"dog\"]}],\"fox\":true}",
        "{\"text\":\"secret fox\"}",
    };
    static const str path = STR("deep[*].text");
    static const char *const queries[] = {
        "fox", "FOX dog",        "\u00c4PFEL", "\u4eac",         "3.14",      "42",   "'",
        "\"",  "fox\" OR \"dog", "NEAR(fox)",  "owner : x",      "words:fox", "fox*", "it's",
        "\\",  "&|!:*",          "pangram",    "nothing at all", "or not",
    };
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct item_change c = {arena_printf(h->a, "w.%zu", i),
                                STR("key"),
                                str_of(values[i]),
                                .unindexed = i == 4,
                                .paths = &path,
                                .path_count = i == 3};
        CALL("put", item_put(&h->store, &ANNA, &c, h->a, &h->err));
        if (i == 1)
            CALL("put of another", item_put(&h->store, &BERT, &c, h->a, &h->err));
    }
    for (size_t i = 0; i < ARRAY_COUNT(queries) + 4; i++) {
        struct item *list;
        size_t count, n = ARRAY_COUNT(queries);
        struct item_query q = {STR("w"), STR_NULL, STR("fox dog"), {10, 0, SORT_DESC}};
        if (i < n)
            q.text = str_of(queries[i]);
        q.prefix = i == n ? STR("w.1") : q.prefix;
        q.filter = i == n + 1 ? STR("{\"n\":{\"$exists\":false}}") : q.filter;
        q.page.offset = i == n + 2;
        CALL(q.text.p, item_search_text(&h->store, i == n + 3 ? &ALL : &ANNA, &q, h->a, &list,
                                        &count, &h->err));
        for (size_t k = 0; k < count; k++)
            line(h, "  %.*s %.6f", P(list[k].name_space), list[k].score);
    }
}

/* Words follow their item, whether an index has them already (a search was made) or not. */
static void item_words_follow(struct history *h) {
    enum { PUT, DELETE, NONE };
    static const struct {
        int act;
        const char *value, *query;
    } steps[] = {
        {PUT, "{\"text\":\"one two\"}", NULL}, /* changed before anyone asked */
        {PUT, "{\"text\":\"two three\"}", "one"},
        {NONE, NULL, "three"},
        {PUT, "{\"text\":\"four\"}", "three"},
        {NONE, NULL, "four"},
        {DELETE, NULL, "four"},
        {PUT, "{\"text\":\"five\"}", NULL},
        {DELETE, NULL, "five"},
        {PUT, "{\"text\":\"six\"}", "six"},
        {PUT, "{\"text\":\"six seven\"}", "six"},
        {DELETE, NULL, "seven"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        struct item_change c = {STR("follow"), STR("key"), str_of(steps[i].value)};
        struct item_query q = {STR("follow"), STR_NULL, str_of(steps[i].query), {10, 0, SORT_DESC}};
        struct item *list;
        size_t count;
        if (steps[i].act == PUT)
            CALL("put", item_put(&h->store, &ANNA, &c, h->a, &h->err));
        else if (steps[i].act == DELETE)
            CALL("delete", item_delete(&h->store, &ANNA, c.name_space, c.key, h->a, &h->err));
        if (!steps[i].query)
            continue;
        CALL(q.text.p, item_search_text(&h->store, &ANNA, &q, h->a, &list, &count, &h->err));
        for (size_t k = 0; k < count; k++)
            line(h, "  %.*s %.6f", P(list[k].value), list[k].score);
    }
}

/* The digits of a text are its vector. */
static int embed(void *ctx, const str *texts, size_t count, struct arena *a, float **out,
                 struct err *err) {
    (void)ctx;
    (void)err;
    float *v = ARENA_ARRAY(a, float, count * 3 + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0, d = 0; k < texts[i].len && d < 3; k++)
            if (texts[i].p[k] >= '0' && texts[i].p[k] <= '9')
                v[i * 3 + d++] = (float)(texts[i].p[k] - '0');
    *out = v;
    return 0;
}

static void item_vectors(struct history *h, struct rt *rt) {
    static const char *const values[] = {
        "{\"t\":\"1 0 0\",\"u\":\"0 1 0\"}",
        "{\"t\":\"1 1 0\"}",
        "{\"t\":\"0 0 5\"}",
        "{\"t\":\"0 0 0\"}",
        "{\"u\":\"3 4 0\"}",
        "{\"t\":\"9 0 0\"}",
    };
    static const str paths[] = {STR("t"), STR("u")};
    struct item_embedder e = {.embed = embed,
                              .rt = rt,
                              .model = STR("digits"),
                              .dims = 3,
                              .paths = paths,
                              .path_count = 2,
                              .scan_max = 8,
                              .cache = vector_cache_new(200)};
    h->store.items.embedder = &e;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct item_change c = {arena_printf(h->a, "v.%zu", i), STR("key"), str_of(values[i]),
                                .unindexed = i == 5};
        CALL("put", item_put(&h->store, &ANNA, &c, h->a, &h->err));
        if (i < 2)
            CALL("put of another", item_put(&h->store, &BERT, &c, h->a, &h->err));
    }
    for (size_t i = 0; i < 8; i++) {
        struct item *list;
        size_t count;
        struct item_query q = {STR("v"), STR_NULL, STR("1 0 0"), {10, 0, SORT_DESC}};
        q.text = i == 1 ? STR("0 1 0") : i == 2 ? STR("0 0 0") : q.text;
        q.prefix = i == 3 ? STR("v.0") : q.prefix;
        q.filter = i == 4 ? STR("{\"u\":{\"$exists\":true}}") : q.filter;
        q.page.offset = i == 5;
        q.page.limit = i == 6 ? 1 : 10;
        e.scan_max = i == 7 ? 5 : 8;
        CALL(q.text.p,
             item_search_near(&h->store, i == 3 ? &ALL : &ANNA, &q, h->a, &list, &count, &h->err));
        for (size_t k = 0; i < 7 && k < count; k++)
            line(h, "  %.*s %.6f", P(list[k].name_space), list[k].score);
    }
    h->store.items.embedder = NULL;
    vector_cache_free(e.cache);
}

/* Hundreds at the same time, every seventh with an end; one commit. */
static int put_many(struct history *h, size_t from, size_t count) {
    struct db_batch b;
    int rc = 0;
    db_batch_init(&b, h->a);
    for (size_t i = from; rc == 0 && i < from + count; i++) {
        struct item_change c = {arena_printf(h->a, "m.%zu", i % 3),
                                arena_printf(h->a, "%zu", i * 7919 % 1400),
                                arena_printf(h->a, "{\"n\":%zu,\"s\":\"x\"}", i % 100),
                                .ttl_minutes = i % 7 == 0,
                                .unindexed = true};
        rc = item_put_add(&h->store, &ANNA, &c, &b, &h->err);
    }
    return rc < 0 ? rc : item_commit(&h->store, &b, &h->err);
}

/* Many are gone through in order where a database has that, few are sorted: the same are found. */
static void items_many(struct history *h) {
    static const struct {
        const char *prefix, *filter;
        struct page page;
    } searches[] = {
        {"m", "{}", {5, 0, SORT_DESC}},          {"m", "{}", {5, 298, SORT_DESC}},
        {"m", "{}", {5, 298, SORT_ASC}},         {"m", "{}", {5, 1198, SORT_ASC}},
        {"m", "{}", {5, 2000, SORT_DESC}},       {"m.1", "{}", {5, 3, SORT_DESC}},
        {"", "{}", {5, 1, SORT_ASC}},            {"m", "{\"n\":7}", {4, 1, SORT_DESC}},
        {"m", "{\"n\":{\"$lt\":2}}", {4, 2, SORT_ASC}},
        {"m", "{\"s\":\"x\",\"$or\":[{\"n\":1},{\"n.o\":1}]}", {4, 0, SORT_ASC}},
        {"m", "{\"n\":null}", {4, 0, SORT_ASC}},
    };
    for (size_t i = 0; i < 1400; i += 350)
        CALL("put many", put_many(h, i, 350));
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(searches); i++) {
            struct item *list;
            size_t count;
            CALL(searches[i].filter,
                 item_search(&h->store, &ANNA, str_of(searches[i].prefix),
                             str_of(searches[i].filter), &searches[i].page, h->a, &list, &count,
                             &h->err));
            for (size_t k = 0; k < count; k++)
                line(h, "  %.*s %.*s", P(list[k].name_space), P(list[k].key));
        }
        h->ticks += 61000; /* a minute and a second: those with an end are over */
    }
}

static void items(struct history *h) {
    struct item item = {0}, *list;
    size_t count;
    str *names;
    bool found = false;
    struct page page = {10, 0, SORT_DESC};
    static const char *const spaces[] = {"a", "a.b", "a.b.c", "a-b", "b", "ä.ö"};
    for (size_t i = 0; i < ARRAY_COUNT(spaces); i++)
        CALL("put", put(h, spaces[i],
                        arena_printf(h->a, "{\"n\":%zu,\"s\":\"x\",\"o\":{\"b\":1,\"a\":2}}", i),
                        i == 4 ? 0.5 : 0));
    CALL("put again", put(h, "a.b", STR("{\"n\":10}"), 0));
    CALL("get",
         item_get(&h->store, &ANNA, STR("a.b"), STR("key"), false, h->a, &found, &item, &h->err));
    line(h, "  %d %.*s %lld %lld %lld", found, P(item.value), (long long)item.created_at,
         (long long)item.updated_at, (long long)item.expires_at);
    CALL("get with an end",
         item_get(&h->store, &ANNA, STR("b"), STR("key"), true, h->a, &found, &item, &h->err));
    line(h, "  %d %lld", found, (long long)item.expires_at);
    CALL("get, another's",
         item_get(&h->store, &BERT, STR("a.b"), STR("key"), false, h->a, &found, &item, &h->err));
    line(h, "  %d", found);
    static const char *const filters[] = {"{}", "{\"n\":{\"$gt\":1}}", "{\"s\":\"x\"}",
                                          "{\"o\":{\"a\":2,\"b\":1}}", "{\"n\":{\"$ne\":10}}"};
    for (size_t i = 0; i < ARRAY_COUNT(filters); i++) {
        CALL("search", item_search(&h->store, &ANNA, STR("a"), str_of(filters[i]), &page, h->a,
                                   &list, &count, &h->err));
        for (size_t k = 0; k < count; k++)
            line(h, "  %.*s %.*s", P(list[k].name_space), P(list[k].value));
    }
    CALL("search everything",
         item_search(&h->store, &ALL, STR(""), STR_NULL, &page, h->a, &list, &count, &h->err));
    line(h, "  %zu", count);
    CALL("namespaces", item_namespaces(&h->store, &ANNA, STR("a"), STR(""), 2, &page, h->a, &names,
                                       &count, &h->err));
    for (size_t i = 0; i < count; i++)
        line(h, "  %.*s", P(names[i]));
    CALL("namespaces by suffix", item_namespaces(&h->store, &ANNA, STR("*.b"), STR("c"), 0, &page,
                                                 h->a, &names, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        line(h, "  %.*s", P(names[i]));
    CALL("delete", item_delete(&h->store, &ANNA, STR("a"), STR("key"), h->a, &h->err));
    CALL("delete again", item_delete(&h->store, &ANNA, STR("a"), STR("key"), h->a, &h->err));
    int64_t swept = -1;
    CALL("sweep",
         item_sweep(&h->store, clock_wall_us() + INT64_C(120000000), 1000, h->a, &swept, &h->err));
    line(h, "  %lld", (long long)swept);
}

void store_items(struct history *h) {
    items(h);
    item_filters(h);
    item_texts(h);
    item_words_follow(h);
    item_vectors(h, h->f->rt);
    items_many(h);
}
