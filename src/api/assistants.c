/* SPDX-License-Identifier: Apache-2.0 */
/* assistants.c - the handlers of /assistants.
 *
 * Wherever a path names an assistant, a graph's name stands for the graph's own assistant. A graph
 * must be known to be given to an assistant. What the graph looks like: assistant_graph.c. */
#include "api/api_int.h"
#include "engine/engine.h"

static const struct word SORT_LIST[] = {
    {STR("assistant_id"), ASSISTANT_BY_ID},    {STR("created_at"), ASSISTANT_BY_CREATED},
    {STR("updated_at"), ASSISTANT_BY_UPDATED}, {STR("name"), ASSISTANT_BY_NAME},
    {STR("graph_id"), ASSISTANT_BY_GRAPH},
};
static const struct word_set SORTS = {SORT_LIST, ARRAY_COUNT(SORT_LIST)};

static int reply_assistant(struct api_request *r, const struct assistant *assistant) {
    struct json_writer w = api_json(r);
    api_write_assistant(&w, assistant, API_ASSISTANT_ALL);
    return api_reply_json(r, 200);
}

struct assistant_answer {
    struct api_request *r;
    struct assistant t;
};

/* What the answer will be, kept by the batch that creates the assistant. */
static void keep_assistant(void *ctx, struct db_batch *b, int64_t now_us) {
    struct assistant_answer *answer = ctx;
    struct assistant *t = &answer->t;
    struct json_writer w = api_json(answer->r);
    t->created_at = t->updated_at = now_us;
    t->version = 1;
    t->metadata = store_metadata(answer->r->arena, t->metadata);
    api_write_assistant(&w, t, API_ASSISTANT_ALL);
    api_keyed_add(answer->r, b, arena_dup(answer->r->arena, buf_view(w.b)), ID_NIL, ID_NIL);
}

int api_assistant_create(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct assistant in = {
        .graph_id = body_str_required(&b, "graph_id"),
        .name = body_str(&b, "name", STR("Untitled")),
        .description = body_str(&b, "description", STR_NULL),
        .config = body_object(&b, "config"),
        .context = body_object(&b, "context"),
        .metadata = body_object(&b, "metadata"),
    };
    if (!body_id(&b, "assistant_id", &in.id))
        in.id = id_v7();
    int if_exists = body_enum(&b, "if_exists", &IF_EXISTS_WORDS, IF_EXISTS_RAISE);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (!engine_has_graph(r->engine, in.graph_id))
        return api_assistant_unknown(in.graph_id, err);
    struct assistant out;
    struct assistant_answer answer = {r, in};
    struct store_rider rider = {keep_assistant, &answer};
    struct store store = *r->store;
    store.with = r->keyed ? &rider : NULL;
    rc = assistant_create(&store, &r->who, &in, if_exists == IF_EXISTS_DO_NOTHING, r->arena, &out,
                          err);
    if (rc < 0)
        return rc;
    str kept = api_keyed_answer(r);
    return kept.p ? api_reply_text(r, 200, kept) : reply_assistant(r, &out);
}

int api_assistant_get(struct api_request *r, struct err *err) {
    struct id id;
    struct assistant out;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc == 0)
        rc = assistant_get(r->store, &r->who, id, r->arena, &out, err);
    return rc < 0 ? rc : reply_assistant(r, &out);
}

int api_assistant_patch(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc < 0)
        return rc;
    struct body b;
    body_init(&b, r->arena, r->body);
    struct assistant_patch patch = {
        .graph_id = body_str_sized(&b, "graph_id", 1, 1024, STR_NULL),
        .name = body_str(&b, "name", STR_NULL),
        .description = body_str(&b, "description", STR_NULL),
        .config = body_get(&b, "config") ? body_object(&b, "config") : STR_NULL,
        .context = body_get(&b, "context") ? body_object(&b, "context") : STR_NULL,
        .metadata = body_get(&b, "metadata") ? body_object(&b, "metadata") : STR_NULL,
    };
    rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (patch.graph_id.p && !engine_has_graph(r->engine, patch.graph_id))
        return api_assistant_unknown(patch.graph_id, err);
    struct assistant out;
    rc = assistant_update(r->store, &r->who, id, &patch, r->arena, &out, err);
    return rc < 0 ? rc : reply_assistant(r, &out);
}

#define THREADS_PAGE 500

/* The threads that go with an assistant: their runs end before, their readers after. */
static int assistant_threads(struct api_request *r, struct id id, struct id **out,
                             size_t *out_count, struct err *err) {
    str filter = arena_printf(r->arena, "{\"assistant_id\":\"" STR_FMT "\"}",
                              STR_ARG(id_dashed(r->arena, id)));
    struct id after = ID_NIL, *all = NULL, *page;
    size_t total = 0, count;
    do {
        int rc = thread_list_ids(r->store, &r->who, filter, after, THREADS_PAGE, r->arena, &page,
                                 &count, err);
        if (rc < 0)
            return rc;
        struct id *grown = ARENA_ARRAY(r->arena, struct id, total + count + 1);
        if (total)
            memcpy(grown, all, total * sizeof(*grown));
        for (size_t i = 0; i < count; i++) {
            after = grown[total++] = page[i];
            engine_stop_thread(r->engine, after, true);
        }
        all = grown;
    } while (count == THREADS_PAGE);
    *out = all;
    *out_count = total;
    return 0;
}

int api_assistant_delete(struct api_request *r, struct err *err) {
    struct id id, *gone = NULL;
    struct assistant t;
    size_t gone_count = 0;
    int rc = api_param_assistant(r, 0, &id, err);
    bool threads = http_query_bool(&r->query, "delete_threads", false);
    if (rc == 0 && threads) /* no run ends for the sake of an assistant that is not there */
        rc = assistant_get(r->store, &r->who, id, r->arena, &t, err);
    if (rc == 0 && threads)
        rc = assistant_threads(r, id, &gone, &gone_count, err);
    if (rc == 0)
        rc = assistant_delete(r->store, &r->who, id, threads, r->arena, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < gone_count; i++)
        hub_thread_gone(engine_hub(r->engine), gone[i]);
    struct json_writer w = api_json(r);
    jw_array(&w);
    api_write_id(&w, id);
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

static struct assistant_filter filter_read(struct body *b) {
    return (struct assistant_filter){
        .metadata = api_filter_read(b, "metadata"),
        .graph_id = body_str(b, "graph_id", STR_NULL),
        .name = body_str(b, "name", STR_NULL),
        .sort = (enum assistant_sort)body_enum(b, "sort_by", &SORTS, ASSISTANT_BY_CREATED),
    };
}

/* count: of the page and one row more, which tells whether more follow. */
static int reply_page(struct api_request *r, const struct assistant *list, size_t count,
                      const struct page *page, unsigned fields) {
    bool more = count > (size_t)page->limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        api_write_assistant(&w, &list[i], fields);
    jw_array_end(&w);
    api_page_headers(r, page, count, more);
    return api_reply_json(r, 200);
}

int api_assistant_search(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct assistant_filter filter = filter_read(&b);
    struct page page = api_page_read(&b, 10);
    unsigned fields = api_fields_read(&b, "select", &API_ASSISTANT_FIELDS, API_ASSISTANT_ALL);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    struct page wider = page;
    wider.limit++;
    struct assistant *list;
    size_t count;
    rc = assistant_search(r->store, &r->who, &filter, &wider, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    return reply_page(r, list, count, &page, fields);
}

int api_assistant_count(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct assistant_filter filter = filter_read(&b);
    int64_t count;
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = assistant_count(r->store, &r->who, &filter, r->arena, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_i64(&w, count);
    return api_reply_json(r, 200);
}

int api_assistant_versions(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc < 0)
        return rc;
    struct body b;
    body_init(&b, r->arena, r->body);
    str metadata = api_filter_read(&b, "metadata");
    struct page page = api_page_read(&b, 10), wider = page;
    wider.limit++;
    struct assistant *list;
    size_t count;
    rc = body_done(&b, err);
    if (rc == 0)
        rc = assistant_versions(r->store, &r->who, id, metadata, &wider, r->arena, &list, &count,
                                err);
    return rc < 0 ? rc : reply_page(r, list, count, &page, API_ASSISTANT_ALL);
}

int api_assistant_latest(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc < 0)
        return rc;
    struct body b;
    body_init(&b, r->arena, r->body);
    struct body_range versions = {1, INT32_MAX, 0};
    int64_t version, of_query;
    rc = api_query_int(r, "version", versions, &of_query, err);
    if (rc < 0)
        return rc;
    versions.fallback = of_query;
    version = body_int(&b, "version", versions);
    if (version == 0)
        body_fault(&b, "version", "is required and must be an integer");
    struct assistant out;
    rc = body_done(&b, err);
    if (rc == 0)
        rc = assistant_set_latest(r->store, &r->who, id, version, r->arena, &out, err);
    return rc < 0 ? rc : reply_assistant(r, &out);
}
