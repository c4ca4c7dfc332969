/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_messages.c - the handlers that read messages, say something, and say it differently.
 *
 * Messages are those of the thread's newest state, or of another one that is named. To say
 * something is an input: by a run, which then answers, or by an update of the state as LangGraph
 * knows it (as __start__). To say something else instead is the same at an older state, the last
 * one of the branch that did not have the message yet: what came after it stays, on its own branch.
 *
 * That state is looked for along the parents. A state whose messages are the same as its child's
 * (by their version) is not read. */
#include "api/conversations_int.h"
#include "api/runs_int.h"
#include "base/clock.h"
#include "engine/inspect.h"
#include "model/message.h"
#include "store/lg_checkpoints.h"

#define LIMIT_USUAL       50
#define ANCESTORS_MAX     1000
#define MESSAGE_ID_MAX    1000
#define CONTENT_BYTES_MAX ((size_t)8 << 20)
#define UUID_V7_MS_BYTES  6

/* --- as they are shown --- */

static str role_of(yyjson_val *message) {
    static const struct {
        str type, role;
    } roles[] = {{STR("human"), STR("user")}, {STR("ai"), STR("assistant")}};
    str type = json_str(json_get(message, "type"));
    for (size_t i = 0; i < ARRAY_COUNT(roles); i++)
        if (str_eq(type, roles[i].type))
            return roles[i].role;
    return type;
}

/* Ids that are made here, and by many clients, say when (UUIDv7, maybe behind a word and '-'). */
static int64_t time_of_id(str id) {
    struct id uuid;
    uint64_t ms = 0;
    if (id.len < ID_DASHED_LEN || !id_parse(str_slice(id, id.len - ID_DASHED_LEN, id.len), &uuid) ||
        uuid.b[UUID_V7_MS_BYTES] >> 4 != 7)
        return 0;
    for (size_t i = 0; i < UUID_V7_MS_BYTES; i++)
        ms = ms << 8 | uuid.b[i];
    return ms * 1000 <= (uint64_t)CONVERSATION_NEWEST.updated_at ? (int64_t)(ms * 1000) : 0;
}

static void write_created(struct json_writer *w, yyjson_val *message) {
    static const char *const places[] = {"additional_kwargs", "response_metadata"};
    str said = STR_NULL;
    for (size_t i = 0; i < ARRAY_COUNT(places) && !said.p; i++)
        said = json_str(json_get(json_get(message, places[i]), "created_at"));
    int64_t us = time_of_id(json_str(json_get(message, "id")));
    jw_key(w, "created_at");
    if (said.p && time_parse_iso(said, &us))
        api_write_time(w, us);
    else
        api_write_time_or_null(w, us);
}

static void write_some(struct json_writer *w, const char *key, yyjson_val *v) {
    if (!v || yyjson_is_null(v) || (yyjson_is_arr(v) && yyjson_arr_size(v) == 0))
        return;
    jw_key(w, key);
    jw_val(w, v);
}

static void write_metadata(struct json_writer *w, yyjson_val *message) {
    static const char *const members[] = {"tool_calls", "invalid_tool_calls", "tool_call_id",
                                          "name", "status"};
    yyjson_val *response = json_get(message, "response_metadata");
    yyjson_val *model = json_get(response, "model_name");
    jw_key(w, "metadata");
    jw_object(w);
    write_some(w, "model", model ? model : json_get(response, "model"));
    write_some(w, "provider", json_get(response, "model_provider"));
    write_some(w, "finish_reason", json_get(response, "finish_reason"));
    write_some(w, "tokens", json_get(message, "usage_metadata"));
    for (size_t i = 0; i < ARRAY_COUNT(members); i++)
        write_some(w, members[i], json_get(message, members[i]));
    jw_object_end(w);
}

void api_write_message(struct json_writer *w, yyjson_val *message, str parent) {
    yyjson_val *content = json_get(message, "content");
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, json_str(json_get(message, "id")));
    jw_key(w, "role");
    jw_str(w, role_of(message));
    jw_key(w, "content");
    if (content)
        jw_val(w, content);
    else
        jw_null(w);
    jw_key(w, "parent");
    jw_str(w, parent);
    write_created(w, message);
    write_metadata(w, message);
    jw_object_end(w);
}

int api_message_missing(struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "Message not found");
}

int api_conversation_thread(struct api_request *r, struct thread *out, struct err *err) {
    struct id id;
    str name = r->match.params[0];
    int shown = (int)(name.len < 100 ? name.len : 100);
    int rc = api_param_id(r, 0, &id, err, "Conversation with ID %.*s not found", shown, name.p);
    if (rc == 0)
        rc = thread_get(r->store, &r->who, id, r->arena, out, err);
    return rc == ERR_NOT_FOUND
               ? err_set(err, rc, "Conversation with ID %.*s not found", shown, name.p)
               : rc;
}

int api_reply_changed(struct api_request *r, const struct conversation_changed *c) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "checkpoint_id");
    api_write_id_or_null(&w, c->checkpoint_id);
    jw_key(&w, "message_id");
    jw_str(&w, c->message_id);
    jw_key(&w, "run");
    if (c->run)
        api_write_run(&w, c->run, API_RUN_ALL);
    else
        jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- reading --- */

static int read_place(str text, const char *name, struct message_place *out, struct err *err) {
    struct conversation_place p; /* of the same form: a number and an id */
    if (!conversation_place_read(text, &p))
        return err_set(err, ERR_INVALID, "%s: must be that of a page", name);
    *out = (struct message_place){p.updated_at, p.id};
    return 0;
}

static int read_window(struct api_request *r, struct message_window *out, struct err *err) {
    str before = http_query_get(&r->query, "before"), after = http_query_get(&r->query, "after");
    struct body_range range = {1, CONVERSATION_MESSAGES_MAX, LIMIT_USUAL};
    *out = (struct message_window){.side = MESSAGES_NEWEST};
    int rc = api_query_int(r, "limit", range, &out->limit, err);
    if (rc == 0 && before.p && after.p)
        rc = err_set(err, ERR_INVALID, "before, after: only one of them");
    if (rc == 0 && before.p) {
        out->side = MESSAGES_BEFORE;
        rc = read_place(before, "before", &out->from, err);
    }
    if (rc == 0 && after.p) {
        out->side = MESSAGES_AFTER;
        rc = read_place(after, "after", &out->from, err);
    }
    return rc;
}

static void write_place(struct json_writer *w, struct arena *a, const char *key, bool there,
                        const struct message_list *list, int64_t number) {
    jw_key(w, key);
    if (!there) {
        jw_null(w);
        return;
    }
    struct message_place p = message_place_of(number, message_id_at(list, number));
    struct conversation_place as = {p.number, p.hash};
    jw_str(w, conversation_place_write(a, &as));
}

static int reply_messages(struct api_request *r, const struct message_list *list,
                          struct id checkpoint_id, str asked_after) {
    struct json_writer w = api_json(r);
    str parent = list->parent;
    jw_object(&w);
    jw_key(&w, "messages");
    jw_array(&w);
    for (int64_t i = 0; i < list->count; i++) {
        api_write_message(&w, list->items[i], parent);
        parent = json_str(json_get(list->items[i], "id"));
    }
    jw_array_end(&w);
    write_place(&w, r->arena, "before", list->count > 0 && list->first > 0, list, list->first);
    if (list->count == 0 && asked_after.p) {
        jw_key(&w, "after");
        jw_str(&w, asked_after);
    } else {
        write_place(&w, r->arena, "after", list->count > 0, list, list->first + list->count - 1);
    }
    jw_key(&w, "total");
    jw_i64(&w, list->total);
    jw_key(&w, "checkpoint_id");
    api_write_id_or_null(&w, checkpoint_id);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_conversation_message_list(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c = {.id = ID_NIL};
    struct message_window window;
    struct message_list list = {.count = 0};
    struct id named = ID_NIL;
    str at = http_query_get(&r->query, "checkpoint_id");
    int rc = api_conversation_thread(r, &t, err);
    if (rc == 0)
        rc = read_window(r, &window, err);
    if (rc == 0 && at.p && !id_parse(at, &named))
        rc = err_set(err, ERR_INVALID, "checkpoint_id: must be a UUID");
    if (rc < 0)
        return rc;
    rc = at.p ? checkpoint_get(r->store, t.id, STR(""), named, r->arena, &c, err)
              : checkpoint_head(r->store, t.id, t.checkpoint_id, r->arena, &c, err);
    if (rc == ERR_NOT_FOUND && !at.p && window.side == MESSAGES_NEWEST) {
        err_reset(err);
        return reply_messages(r, &list, ID_NIL, STR_NULL);
    }
    if (rc == 0)
        rc = conversation_messages(r->store, &c, &window, r->arena, &list, err);
    return rc < 0 ? rc : reply_messages(r, &list, c.id, http_query_get(&r->query, "after"));
}

/* --- saying something --- */

/* What a request says. */
struct saying {
    struct thread t;
    yyjson_val *root; /* the body */
    str message, id;  /* JSON and its id; absent: nothing is said */
    str assistant;    /* who answers; absent: nobody is known */
    bool run;
    struct id at; /* where; nil: at the newest state */
    bool anew;    /* instead of all that there is */
};

static str metadata_text(struct api_request *r, const struct thread *t, const char *key) {
    yyjson_val *metadata;
    if (json_parse(r->arena, t->metadata, &metadata, NULL) < 0)
        return STR_NULL;
    return json_str(json_get(metadata, key));
}

/* A message of the type, with a new id unless the client gives one. */
static int make_message(struct api_request *r, struct saying *s, const char *type, str id,
                        struct err *err) {
    yyjson_val *content = json_get(s->root, "content"), *in;
    struct message m;
    struct buf b;
    if (!content || yyjson_is_null(content))
        return err_set(err, ERR_INVALID, "content: is required");
    buf_init(&b, CONTENT_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, type);
    jw_key(&w, "content");
    jw_val(&w, content);
    jw_key(&w, "id");
    jw_str(&w, id.len ? id : id_dashed(r->arena, id_v7()));
    jw_object_end(&w);
    if (!buf_ok(&b)) {
        buf_deinit(&b);
        return err_set(err, ERR_TOO_LARGE, "content: at most %zu bytes", CONTENT_BYTES_MAX);
    }
    int rc = json_parse(r->arena, arena_take(r->arena, &b), &in, err);
    if (rc == 0)
        rc = message_normalise(r->arena, in, &m, err);
    if (rc < 0)
        return rc;
    s->message = m.json;
    s->id = m.id;
    return 0;
}

static int read_saying(struct api_request *r, struct saying *s, str *out_id, struct err *err) {
    struct body b;
    int rc = api_conversation_thread(r, &s->t, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    s->root = r->body;
    s->run = body_bool(&b, "run", false);
    s->assistant = body_str(&b, "assistant_id", STR_NULL);
    *out_id = body_str_sized(&b, "id", 0, MESSAGE_ID_MAX, STR_NULL);
    (void)body_object(&b, "config");
    if (!s->assistant.p)
        s->assistant = metadata_text(r, &s->t, "assistant_id");
    return body_done(&b, err);
}

static int no_assistant(struct err *err) {
    return err_set(err, ERR_INVALID,
                   "assistant_id: is required, as nobody has answered in this conversation");
}

static void write_messages(struct json_writer *w, const struct saying *s) {
    jw_object(w);
    jw_key(w, "messages");
    jw_array(w);
    if (s->anew)
        jw_raw(w, STR("{\"type\":\"remove\",\"content\":\"\",\"id\":\"" MESSAGE_REMOVE_ALL "\"}"));
    jw_raw(w, s->message);
    jw_array_end(w);
    jw_object_end(w);
}

/* By a run: it has the message as its input, or none and goes on. */
static int say_by_run(struct api_request *r, const struct saying *s, struct err *err) {
    static const char *const handed_on[] = {"config", "stream_mode", "multitask_strategy",
                                            "metadata"};
    yyjson_val *create;
    struct run_submit submit;
    struct live_run *run;
    if (!s->assistant.p)
        return no_assistant(err);
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    jw_str(&w, s->assistant);
    jw_key(&w, "input");
    if (s->message.p)
        write_messages(&w, s);
    else
        jw_null(&w);
    if (!id_is_nil(s->at)) {
        jw_key(&w, "checkpoint_id");
        api_write_id(&w, s->at);
    }
    for (size_t i = 0; i < ARRAY_COUNT(handed_on); i++)
        write_some(&w, handed_on[i], json_get(s->root, handed_on[i]));
    jw_object_end(&w);
    int rc = api_json_read(r, &create, err);
    if (rc == 0)
        rc = run_submit_fill(r, create, &submit, err);
    if (rc < 0)
        return rc;
    submit.thread_id = s->t.id;
    rc = engine_submit(r->engine, &submit, &run, err);
    if (rc < 0)
        return rc;
    struct conversation_changed changed = {.message_id = s->id, .run = live_run_row(run)};
    run_headers(r, changed.run, NULL);
    rc = api_reply_changed(r, &changed);
    live_run_unref(run);
    return rc;
}

static int graph_of(struct api_request *r, const struct saying *s, str *out, struct err *err) {
    struct assistant assistant;
    struct id id;
    *out = metadata_text(r, &s->t, "graph_id");
    if (out->p)
        return 0;
    if (!s->assistant.p)
        return no_assistant(err);
    if (!id_parse(s->assistant, &id)) {
        *out = s->assistant;
        return engine_has_graph(r->engine, s->assistant) ? 0
                                                         : api_assistant_unknown(s->assistant, err);
    }
    int rc = assistant_get(r->store, &r->who, id, r->arena, &assistant, err);
    *out = assistant.graph_id;
    return rc == ERR_NOT_FOUND ? api_assistant_unknown(s->assistant, err) : rc;
}

/* By an update of the state: nobody answers yet. */
static int say_by_update(struct api_request *r, const struct saying *s, str as_node,
                         struct id *out_made, struct err *err) {
    struct state_update update = {.as_node = as_node};
    struct state_superstep step = {&update, 1};
    struct state_change change = {.thread = &s->t,
                                  .checkpoint_id = s->at,
                                  .name_space = STR(""),
                                  .steps = &step,
                                  .count = 1};
    struct json_writer w = api_json(r);
    write_messages(&w, s);
    int rc = api_json_read(r, &update.values, err);
    if (rc == 0)
        rc = graph_of(r, s, &change.graph_id, err);
    return rc < 0 ? rc : engine_state_update(r->engine, &change, out_made, err);
}

static int say_silently(struct api_request *r, const struct saying *s, str as_node,
                        struct err *err) {
    struct conversation_changed changed = {.message_id = s->id};
    int rc = say_by_update(r, s, as_node, &changed.checkpoint_id, err);
    return rc < 0 ? rc : api_reply_changed(r, &changed);
}

int api_conversation_message_post(struct api_request *r, struct err *err) {
    struct saying s = {.run = false};
    str id;
    int rc = api_body_object(r, err);
    if (rc == 0)
        rc = read_saying(r, &s, &id, err);
    /* Without anything new the assistant answers what was said last. */
    yyjson_val *content = rc == 0 ? json_get(s.root, "content") : NULL;
    if (rc == 0 && !(s.run && (!content || yyjson_is_null(content))))
        rc = make_message(r, &s, "human", id, err);
    if (rc < 0)
        return rc;
    return s.run ? say_by_run(r, &s, err) : say_silently(r, &s, STR("__start__"), err);
}

/* --- saying something else instead --- */

/* Does a state have the message? version: of the last one that had it. */
static int has_message(struct api_request *r, struct checkpoint *c, str id, str version,
                       struct arena *a, bool *out, struct err *err) {
    struct message_list list;
    str own = conversation_messages_version(a, c);
    if (own.p && version.p && str_eq(own, version)) {
        *out = true;
        return 0;
    }
    int rc = conversation_messages_all(r->store, c, a, &list, err);
    *out = rc == 0 && message_find(&list, id) >= 0;
    return rc;
}

/* The last state before the message, from one that has it. *at nil: *first, the first, has it. */
static int find_before(struct api_request *r, const struct checkpoint *from, str id, struct id *at,
                       struct id *first, struct err *err) {
    struct arena a;
    struct checkpoint c;
    str version = conversation_messages_version(r->arena, from);
    bool has = true;
    int rc = 0, n = 0;
    *at = from->parent_id;
    *first = from->id;
    arena_init(&a, API_STATE_BYTES_MAX);
    for (; rc == 0 && !id_is_nil(*at); n++) {
        arena_reset(&a);
        if (n == ANCESTORS_MAX)
            rc = err_set(err, ERR_TOO_LARGE, "the message is more than %d states back",
                         ANCESTORS_MAX);
        if (rc == 0)
            rc = checkpoint_get(r->store, from->thread_id, STR(""), *at, &a, &c, err);
        if (rc == ERR_NOT_FOUND) { /* pruned */
            err_reset(err);
            *at = ID_NIL;
            rc = 0;
            break;
        }
        if (rc == 0)
            rc = has_message(r, &c, id, version, &a, &has, err);
        if (rc < 0 || !has)
            break;
        str own = conversation_messages_version(&a, &c);
        version = own.p ? arena_dup(r->arena, own) : STR_NULL;
        *first = c.id;
        *at = c.parent_id;
    }
    arena_deinit(&a);
    return rc;
}

/* Who would have said it: the node that was next. */
static int node_before(struct api_request *r, const struct saying *s, str *out, struct err *err) {
    struct checkpoint c;
    yyjson_val *next = NULL;
    int rc = checkpoint_get(r->store, s->t.id, STR(""), s->at, r->arena, &c, err);
    if (rc == 0 && c.lg && !json_has(c.lg->root, "holdfast"))
        rc = checkpoint_load_values(r->store, &c, r->arena, err);
    if (rc == 0 && json_parse(r->arena, c.next, &next, NULL) == 0)
        *out = json_str(yyjson_arr_get_first(next));
    if (rc == 0 && !out->p)
        return err_set(err, ERR_CONFLICT, "it is not known who would say it instead");
    return rc;
}

static int edit(struct api_request *r, struct saying *s, yyjson_val *old, str id, struct id first,
                struct err *err) {
    str type = json_str(json_get(old, "type")), node = STR("__start__");
    bool human = str_eq(type, STR("human"));
    bool said = json_get(s->root, "content") && !yyjson_is_null(json_get(s->root, "content"));
    if (!human && !str_eq(type, STR("ai")))
        return err_set(err, ERR_INVALID, "only messages of the user or the assistant are edited");
    if (!human && said == s->run)
        return err_set(err, ERR_INVALID,
                       "an assistant's message is edited with content, or by a run without");
    if (human || said) {
        int rc = make_message(r, s, human ? "human" : "ai", id, err);
        if (rc < 0)
            return rc;
    }
    s->anew = id_is_nil(s->at);
    if (!s->anew && !human && said) {
        int rc = node_before(r, s, &node, err);
        if (rc < 0)
            return rc;
    }
    if (s->anew && !s->message.p)
        return err_set(err, ERR_CONFLICT, "there is no state before the message");
    if (s->anew)
        s->at = first;
    return s->run ? say_by_run(r, s, err) : say_silently(r, s, node, err);
}

int api_conversation_message_edit(struct api_request *r, struct err *err) {
    struct saying s = {.run = false};
    struct checkpoint head;
    struct message_list list;
    struct id first;
    str id, old = r->match.params[1];
    int rc = api_body_object(r, err);
    if (rc == 0)
        rc = read_saying(r, &s, &id, err);
    if (rc < 0)
        return rc;
    rc = checkpoint_head(r->store, s.t.id, s.t.checkpoint_id, r->arena, &head, err);
    if (rc == ERR_NOT_FOUND)
        return api_message_missing(err);
    if (rc == 0)
        rc = conversation_messages_all(r->store, &head, r->arena, &list, err);
    if (rc < 0)
        return rc;
    int64_t number = message_find(&list, old);
    if (number < 0)
        return api_message_missing(err);
    rc = find_before(r, &head, old, &s.at, &first, err);
    return rc < 0 ? rc : edit(r, &s, list.items[number], id, first, err);
}
