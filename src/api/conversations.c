/* SPDX-License-Identifier: Apache-2.0 */
/* conversations.c - the handlers of /conversations: list, search, create, get, change, delete.
 *
 * A conversation is a thread (store/conversations.h), so whatever is done to the one is done to
 * the other. A list pages both ways by keyset: `before` goes on with older ones, `after` brings
 * what was added to since; both stand in every answer, and pages are newest first whatever is asked
 * for. */
#include "store/conversations.h"
#include "api/api_int.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "engine/texts.h"

#define LIMIT_USUAL      50
#define QUERY_BYTES_MAX  1000
#define MORE_BYTES_MAX   65536
#define SEARCH_BUDGET_US 200000

/* --- answers --- */

static str member_text(yyjson_val *metadata, const char *key) {
    return json_str(json_get(metadata, key));
}

static void write_members(struct json_writer *w, struct arena *a, const struct conversation *c) {
    yyjson_val *metadata = NULL;
    if (json_parse(a, c->metadata, &metadata, NULL) < 0)
        metadata = NULL;
    yyjson_val *archived = json_get(metadata, CONVERSATION_ARCHIVED);
    jw_key(w, "conversation_id");
    api_write_id(w, c->id);
    jw_key(w, "title");
    jw_str(w, c->title);
    jw_key(w, "archived");
    jw_bool(w, archived && !yyjson_is_null(archived));
    jw_key(w, CONVERSATION_ARCHIVED);
    jw_str(w, json_str(archived));
    jw_key(w, "status");
    jw_str(w, thread_status_name(c->status));
    jw_key(w, "assistant_id");
    jw_str(w, member_text(metadata, "assistant_id"));
    jw_key(w, "metadata");
    jw_raw(w, c->metadata);
    jw_key(w, "created_at");
    api_write_time(w, c->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, c->updated_at);
}

static void write_whole(struct json_writer *w, struct arena *a, const struct conversation *c) {
    jw_object(w);
    write_members(w, a, c);
    jw_key(w, "config");
    jw_raw(w, c->config);
    jw_key(w, "summary");
    jw_str(w, c->summary);
    jw_key(w, "summary_upto");
    jw_str(w, c->summary_upto);
    api_write_time_member(w, "summary_at", c->summary_at);
    jw_object_end(w);
}

/* c of the statement's order; backwards: it was oldest first. */
static void write_list(struct json_writer *w, struct arena *a, const struct conversation *list,
                       size_t count, bool backwards) {
    jw_key(w, "conversations");
    jw_array(w);
    for (size_t i = 0; i < count; i++) {
        jw_object(w);
        write_members(w, a, &list[backwards ? count - 1 - i : i]);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static int reply_one(struct api_request *r, const struct conversation *c) {
    struct json_writer w = api_json(r);
    write_whole(&w, r->arena, c);
    return api_reply_json(r, 200);
}

static void write_place(struct json_writer *w, struct arena *a, const char *key,
                        const struct conversation_place *p) {
    jw_key(w, key);
    jw_str(w, p ? conversation_place_write(a, p) : STR_NULL);
}

/* --- lists --- */

static int read_page(struct api_request *r, struct conversation_page *out, struct err *err) {
    str before = http_query_get(&r->query, "before"), after = http_query_get(&r->query, "after");
    struct body_range range = {1, CONVERSATION_PAGE_MAX, LIMIT_USUAL};
    *out = (struct conversation_page){
        .from = CONVERSATION_NEWEST,
        .newer = after.p != NULL,
        .archived = http_query_bool(&r->query, "archived", false),
    };
    if (before.p && after.p)
        return err_set(err, ERR_INVALID, "before, after: only one of them");
    if (before.p && !conversation_place_read(before, &out->from))
        return err_set(err, ERR_INVALID, "before: must be that of a page");
    if (after.p && !conversation_place_read(after, &out->from))
        return err_set(err, ERR_INVALID, "after: must be that of a page");
    return api_query_int(r, "limit", range, &out->limit, err);
}

static struct conversation_place place_of(const struct conversation *c) {
    return (struct conversation_place){c->updated_at, c->id};
}

int api_conversation_list(struct api_request *r, struct err *err) {
    struct conversation_page page, wider;
    struct conversation *list;
    size_t count;
    int rc = read_page(r, &page, err);
    if (rc < 0)
        return rc;
    wider = page;
    wider.limit++; /* the one after the page tells whether more follow */
    rc = conversation_list(r->store, &r->who, &wider, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = count > (size_t)page.limit;
    count -= more;
    /* Where an answer without any leaves off is where the question was. */
    bool asked = http_query_get(&r->query, "before").p || page.newer;
    struct conversation_place oldest = page.from, newest = page.from;
    if (count > 0) {
        oldest = place_of(&list[page.newer ? 0 : count - 1]);
        newest = place_of(&list[page.newer ? count - 1 : 0]);
    }
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_list(&w, r->arena, list, count, page.newer);
    write_place(&w, r->arena, "before", more || (page.newer && count > 0) ? &oldest : NULL);
    write_place(&w, r->arena, "after", count > 0 || asked ? &newest : NULL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* What was added since is looked at first; of who has more than fits into a while, later. */
static int search(struct api_request *r, str q, const struct conversation_hit *from, int64_t limit,
                  struct conversation **list, size_t *count, bool *complete, struct err *err) {
    str owner = principal_owner(&r->who);
    int rc = conversation_texts_update(r->store, owner, SEARCH_BUDGET_US, complete, err);
    if (rc == 0 && !*complete)
        engine_texts_wanted(r->engine, owner, r->arena);
    return rc < 0
               ? rc
               : conversation_search(r->store, &r->who, q, from, limit, r->arena, list, count, err);
}

int api_conversation_search(struct api_request *r, struct err *err) {
    struct body_range range = {1, CONVERSATION_PAGE_MAX, LIMIT_USUAL};
    struct conversation_hit from = CONVERSATION_BEST;
    struct conversation *list = NULL;
    size_t count = 0;
    int64_t limit;
    bool complete;
    str q = http_query_get(&r->query, "q"), before = http_query_get(&r->query, "before");
    int rc = api_query_int(r, "limit", range, &limit, err);
    if (rc == 0 && (q.len == 0 || q.len > QUERY_BYTES_MAX || !str_is_utf8(q)))
        rc = err_set(err, ERR_INVALID, "q: must be words, of at most %d bytes", QUERY_BYTES_MAX);
    if (rc == 0 && before.p && !conversation_hit_read(before, &from))
        rc = err_set(err, ERR_INVALID, "before: must be that of a page");
    if (rc == 0)
        rc = search(r, q, &from, limit + 1, &list, &count, &complete, err);
    if (rc < 0)
        return rc;
    bool more = count > (size_t)limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_list(&w, r->arena, list, count, false);
    jw_key(&w, "before");
    if (more)
        from = (struct conversation_hit){list[count - 1].rank, place_of(&list[count - 1])};
    jw_str(&w, more ? conversation_hit_write(r->arena, &from) : STR_NULL);
    jw_key(&w, "complete");
    jw_bool(&w, complete);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- one --- */

static int param(struct api_request *r, struct conversation *out, struct err *err) {
    struct id id;
    str name = r->match.params[0];
    int rc = api_param_id(r, 0, &id, err, "Conversation with ID %.*s not found",
                          (int)(name.len < 100 ? name.len : 100), name.p);
    return rc < 0 ? rc : conversation_get(r->store, &r->who, id, r->arena, out, err);
}

/* What a run would merge into the thread's metadata: who answers. */
static int with_assistant(struct api_request *r, str name, str *metadata, struct err *err) {
    struct assistant assistant;
    struct id id;
    if (!name.p)
        return 0;
    if (!id_parse(name, &id)) {
        if (!engine_has_graph(r->engine, name))
            return api_assistant_unknown(name, err);
        id = assistant_id_of_graph(name);
    }
    int rc = assistant_get(r->store, &r->who, id, r->arena, &assistant, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? api_assistant_unknown(name, err) : rc;
    struct buf b;
    buf_init(&b, MORE_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    api_write_id(&w, id);
    jw_key(&w, "graph_id");
    jw_str(&w, assistant.graph_id);
    jw_object_end(&w);
    str more = arena_take(r->arena, &b);
    *metadata = json_merge(r->arena, *metadata, more);
    return 0;
}

struct creating {
    struct api_request *r;
    struct conversation c;
};

/* What the answer will be, kept by the batch that creates it. */
static void keep(void *ctx, struct db_batch *b, int64_t now_us) {
    struct creating *creating = ctx;
    struct json_writer w = api_json(creating->r);
    creating->c.created_at = creating->c.updated_at = now_us;
    write_whole(&w, creating->r->arena, &creating->c);
    str text = arena_dup(creating->r->arena, buf_view(w.b));
    if (creating->r->keyed)
        api_keyed_add(creating->r, b, text, ID_NIL, ID_NIL);
}

int api_conversation_create(struct api_request *r, struct err *err) {
    struct body b;
    struct thread_new n = {.ttl = r->store->thread_ttl};
    body_init(&b, r->arena, r->body);
    if (!body_id(&b, "conversation_id", &n.id))
        n.id = id_v7();
    n.metadata = body_object(&b, "metadata");
    n.config = body_object(&b, "config");
    str title = body_str_sized(&b, "title", 0, CONVERSATION_TITLE_BYTES_MAX, STR_NULL);
    str assistant = body_str(&b, "assistant_id", STR_NULL);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = with_assistant(r, assistant, &n.metadata, err);
    if (rc < 0)
        return rc;
    struct creating creating = {r, {.id = n.id,
                                    .metadata = store_metadata(r->arena, n.metadata),
                                    .status = THREAD_IDLE,
                                    .title = title.len ? title : STR_NULL,
                                    .config = n.config}};
    struct store_rider rider = {keep, &creating};
    struct store store = *r->store;
    store.with = &rider;
    rc = conversation_create(&store, &r->who, &n, title, r->arena, err);
    if (rc < 0)
        return rc;
    str kept = api_keyed_answer(r);
    if (kept.p)
        return api_reply_text(r, 200, kept);
    return reply_one(r, &creating.c);
}

int api_conversation_get(struct api_request *r, struct err *err) {
    struct conversation c;
    int rc = param(r, &c, err);
    return rc < 0 ? rc : reply_one(r, &c);
}

static bool is_archived(struct api_request *r, const struct conversation *c) {
    yyjson_val *metadata;
    if (json_parse(r->arena, c->metadata, &metadata, NULL) < 0)
        return false;
    yyjson_val *at = json_get(metadata, CONVERSATION_ARCHIVED);
    return at && !yyjson_is_null(at);
}

static str archived_now(struct arena *a) {
    char time[TIME_ISO_LEN];
    time_write_iso(clock_wall_us(), time);
    return arena_printf(a, "{\"" CONVERSATION_ARCHIVED "\":\"%.*s\"}", TIME_ISO_LEN, time);
}

int api_conversation_patch(struct api_request *r, struct err *err) {
    struct conversation c;
    struct body b;
    int rc = param(r, &c, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    bool was = is_archived(r, &c), archived = body_bool(&b, "archived", was);
    struct conversation_change change = {
        .titled = body_has(&b, "title"),
        .title = body_str_sized(&b, "title", 0, CONVERSATION_TITLE_BYTES_MAX, STR_NULL),
        .opened = was && !archived,
    };
    if (body_get(&b, "metadata"))
        change.metadata = body_object(&b, "metadata");
    rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (archived && !was)
        change.metadata = json_merge(r->arena, change.metadata, archived_now(r->arena));
    rc = conversation_change(r->store, &r->who, &c, &change, r->arena, err);
    if (rc == 0)
        rc = conversation_get(r->store, &r->who, c.id, r->arena, &c, err);
    return rc < 0 ? rc : reply_one(r, &c);
}

int api_conversation_delete(struct api_request *r, struct err *err) {
    struct conversation c;
    int rc = param(r, &c, err);
    if (rc == 0)
        rc = api_thread_remove(r, c.id, c.status == THREAD_BUSY, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
