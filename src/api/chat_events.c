/* SPDX-License-Identifier: Apache-2.0 */
/* chat_events.c - from the frames of the stream modes to what the client of a chat is shown.
 *
 *   lifecycle (start)      agent:start
 *   messages (tuples)      agent:text, agent:thinking
 *   updates                agent:tool:start, agent:tool:end; questions of __interrupt__ are kept
 *   lifecycle (end)        agent:end, with usage, the error, the questions
 *
 * Pure: the same frames give the same events with the same ids, live or replayed. It must see a run
 * from its start; what the client has seen is left out, not what it is made of. The id of an event
 * is its frame's cursor and its number within: what hub_cursor_covers says of frames holds of
 * events, and of those of one frame the number decides.
 *
 * A message that was there before the run comes again when a node returns the whole list: its calls
 * and usage count only when the run has told it. A new event: behind the others of its frame. */
#include "api/agent_views.h"
#include "api/chat_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "history/log.h"

#define ARENA_BYTES ((size_t)256 << 20)
#define EVENT_BYTES (SIZE_MAX / 2)

struct usage {
    int64_t input, output, total;
};
struct chat_events {
    struct chat_events_options o;
    struct chat_since since;
    struct arena run, frame;
    /* of the run */
    str run_id; /* absent: none is under way */
    int64_t attempt;
    struct map told;      /* ids of messages of this run; value: whether they were complete */
    struct map calls;     /* ids of calls → their name */
    struct usage usage;   /* of its messages */
    int64_t context;      /* tokens of the last one with all before it */
    str error, questions; /* JSON; absent: none */
    /* of the frame */
    struct hub_cursor at;
    int64_t number;
    bool gone;
};

/* --- where to begin --- */

int chat_since_parse(str text, struct chat_since *out, struct err *err) {
    ptrdiff_t slash = str_find_char(text, '/');
    *out = (struct chat_since){.from = CHAT_FROM_RUN};
    if (!text.len)
        return 0;
    if (str_eq(text, STR("0")))
        out->from = CHAT_FROM_FIRST;
    else if (str_eq(text, STR("now")))
        out->from = CHAT_FROM_NOW;
    else if (slash > 0 && hub_cursor_parse(str_slice(text, 0, (size_t)slash), &out->at) &&
             str_to_i64(str_slice(text, (size_t)slash + 1, text.len), &out->n) && out->n > 0)
        out->from = CHAT_FROM_BEHIND;
    else
        return err_set(err, ERR_INVALID, "since: must be the id of an event, 0, or now");
    return 0;
}

int chat_since_first(struct store *store, const struct thread *t, struct chat_since *since,
                     struct arena *a, int64_t *out_seq, struct err *err) {
    int64_t seq = t->seq;
    *out_seq = 0;
    if (since->from == CHAT_FROM_NOW) {
        /* A message that is being told comes from its beginning. */
        since->at = (struct hub_cursor){.seq = t->seq, .frames = INT64_MAX};
        since->n = INT64_MAX;
        since->from = CHAT_FROM_BEHIND;
    } else if (since->from == CHAT_FROM_BEHIND && since->at.seq < seq) {
        seq = since->at.seq;
    }
    if (since->from == CHAT_FROM_FIRST || seq == 0)
        return 0;
    return log_last_start(store, t->id, seq, a, out_seq, err);
}

static bool is_seen(const struct chat_events *e) {
    const struct chat_since *s = &e->since;
    if (s->from != CHAT_FROM_BEHIND || hub_cursor_cmp(&e->at, &s->at) > 0)
        return false;
    return hub_cursor_cmp(&e->at, &s->at) < 0 || e->number <= s->n;
}

/* --- life --- */

static void maps_init(struct chat_events *e) {
    map_init(&e->told);
    map_init(&e->calls);
}

struct chat_events *chat_events_new(const struct chat_events_options *o) {
    struct chat_events *e = NEW(struct chat_events);
    e->o = *o;
    arena_init(&e->run, ARENA_BYTES);
    arena_init(&e->frame, ARENA_BYTES);
    maps_init(e);
    return e;
}

static void run_reset(struct chat_events *e) {
    map_deinit(&e->told);
    map_deinit(&e->calls);
    maps_init(e);
    arena_reset(&e->run);
    e->run_id = e->error = e->questions = STR_NULL;
    e->usage = (struct usage){0};
    e->context = 0;
}

void chat_events_free(struct chat_events *e) {
    if (!e)
        return;
    map_deinit(&e->told);
    map_deinit(&e->calls);
    arena_deinit(&e->frame);
    arena_deinit(&e->run);
    mem_free(e);
}

void chat_events_behind(struct chat_events *e, const struct chat_since *since) {
    e->since = *since;
}

/* --- events --- */

struct event {
    struct chat_events *e;
    struct buf b;
    struct json_writer w;
    const char *type;
    str id;
};

static void write_namespace(struct json_writer *w, str ns) {
    str part;
    if (!ns.len)
        return;
    jw_key(w, "namespace");
    jw_array(w);
    while (ns.len > 0 && str_split_next(&ns, '|', &part))
        jw_str(w, part);
    jw_array_end(w);
}

/* False: the client has it. After true the caller writes more members and calls event_close. */
static bool event_open(struct chat_events *e, struct event *v, const char *type, str run_id,
                       str ns) {
    char cursor[HUB_CURSOR_TEXT_MAX];
    e->number++;
    if (e->gone || is_seen(e))
        return false;
    *v = (struct event){.e = e, .type = type};
    size_t len = hub_cursor_write(&e->at, cursor);
    v->id =
        arena_printf(&e->frame, STR_FMT "/%lld", STR_ARG(str_n(cursor, len)), (long long)e->number);
    buf_init(&v->b, EVENT_BYTES);
    v->w = json_writer(&v->b);
    jw_object(&v->w);
    jw_key(&v->w, "type");
    jw_z(&v->w, type);
    jw_key(&v->w, "id");
    jw_str(&v->w, v->id);
    jw_key(&v->w, "thread_id");
    api_write_id(&v->w, e->o.thread_id);
    jw_key(&v->w, "run_id");
    jw_str(&v->w, run_id);
    write_namespace(&v->w, ns);
    return true;
}

static void event_close(struct event *v) {
    struct chat_events *e = v->e;
    jw_object_end(&v->w);
    if (!e->gone)
        e->gone = !e->o.event(e->o.ctx, str_of(v->type), v->id, buf_view(&v->b));
    buf_deinit(&v->b);
}

static void write_member(struct json_writer *w, const char *key, str value) {
    jw_key(w, key);
    jw_str(w, value);
}

/* --- messages --- */

static void send_text(struct chat_events *e, const char *type, str message_id, str text, str ns) {
    struct event v;
    if (!text.len || !event_open(e, &v, type, e->run_id, ns))
        return;
    write_member(&v.w, "message_id", message_id);
    write_member(&v.w, "text", text);
    event_close(&v);
}

/* Models tell what they think in blocks, in words of their own. */
static str thought_of(yyjson_val *block) {
    str type = json_str(json_get(block, "type"));
    if (str_eq(type, STR("thinking")))
        return json_str(json_get(block, "thinking"));
    if (str_eq(type, STR("reasoning")))
        return json_str(json_get(block, "reasoning"));
    return STR_NULL;
}

static void take_message(struct chat_events *e, yyjson_val *data, str ns) {
    yyjson_val *message = yyjson_arr_get_first(data), *content, *block;
    size_t i, count;
    str id = json_str(json_get(message, "id"));
    if (id.len && !map_get(&e->told, id))
        (void)map_put(&e->told, arena_dup(&e->run, id), e);
    if (!api_message_is_ai(message))
        return;
    content = json_get(message, "content");
    send_text(e, "agent:thinking", id,
              json_str(json_get(json_get(message, "additional_kwargs"), "reasoning_content")), ns);
    send_text(e, "agent:text", id, json_str(content), ns);
    yyjson_arr_foreach(content, i, count, block) {
        send_text(e, "agent:thinking", id, thought_of(block), ns);
        send_text(e, "agent:text", id,
                  yyjson_is_str(block) ? json_str(block) : json_str(json_get(block, "text")), ns);
    }
}

/* --- updates --- */

static void tools_begin(struct chat_events *e, yyjson_val *message, str ns) {
    yyjson_val *call;
    size_t i, count;
    yyjson_arr_foreach(json_get(message, "tool_calls"), i, count, call) {
        struct event v;
        str id = json_str(json_get(call, "id")), name = json_str(json_get(call, "name"));
        if (id.len && map_get(&e->calls, id))
            continue;
        if (id.len) {
            str *kept = ARENA_NEW(&e->run, str);
            *kept = arena_dup(&e->run, name);
            (void)map_put(&e->calls, arena_dup(&e->run, id), kept);
        }
        if (!event_open(e, &v, "agent:tool:start", e->run_id, ns))
            continue;
        write_member(&v.w, "message_id", json_str(json_get(message, "id")));
        write_member(&v.w, "tool_call_id", id);
        write_member(&v.w, "name", name);
        jw_key(&v.w, "args");
        jw_raw(&v.w, json_text(&e->frame, json_get(call, "args")));
        event_close(&v);
    }
}

static void tool_ends(struct chat_events *e, yyjson_val *message, str ns) {
    struct event v;
    str id = json_str(json_get(message, "tool_call_id"));
    str name = json_str(json_get(message, "name"));
    const str *called = id.len ? map_get(&e->calls, id) : NULL;
    bool failed = str_eq(json_str(json_get(message, "status")), STR("error"));
    if (!event_open(e, &v, "agent:tool:end", e->run_id, ns))
        return;
    write_member(&v.w, "message_id", json_str(json_get(message, "id")));
    write_member(&v.w, "tool_call_id", id);
    write_member(&v.w, "name", name.len || !called ? name : *called);
    write_member(&v.w, "status", failed ? STR("error") : STR("success"));
    jw_key(&v.w, failed ? "error" : "output");
    jw_raw(&v.w, json_text(&e->frame, json_get(message, "content")));
    event_close(&v);
}

static int64_t tokens(yyjson_val *usage, const char *key) {
    int64_t n = yyjson_get_sint(json_get(usage, key));
    return n > 0 && n < INT64_MAX / 1024 ? n : 0;
}

static void count_usage(struct chat_events *e, yyjson_val *message) {
    yyjson_val *usage = json_get(message, "usage_metadata");
    int64_t input = tokens(usage, "input_tokens"), output = tokens(usage, "output_tokens");
    int64_t total = tokens(usage, "total_tokens");
    if (!total)
        total = input + output;
    if (!total || e->usage.total > INT64_MAX / 2)
        return;
    e->usage.input += input;
    e->usage.output += output;
    e->usage.total += total;
    e->context = total;
}

/* A message that the run has told, for the first time; what has no name is new each time. */
static bool is_new(struct chat_events *e, str id) {
    if (!id.len)
        return true;
    if (map_get(&e->told, id) != e)
        return false;
    (void)map_put(&e->told, arena_dup(&e->run, id), &e->told);
    return true;
}

static void take_updated(struct chat_events *e, yyjson_val *message, str ns) {
    if (!is_new(e, json_str(json_get(message, "id"))))
        return;
    if (api_message_is_ai(message)) {
        count_usage(e, message);
        tools_begin(e, message, ns);
    } else if (yyjson_is_str(json_get(message, "tool_call_id"))) {
        tool_ends(e, message, ns);
    }
}

/* {node: what it wrote}, or {"__interrupt__": […]}. */
static void take_update(struct chat_events *e, yyjson_val *data, str ns) {
    yyjson_val *key, *update, *message;
    size_t i, count, j, messages;
    yyjson_obj_foreach(data, i, count, key, update) {
        if (str_eq(json_str(key), STR("__interrupt__"))) {
            if (yyjson_arr_size(update) > 0)
                e->questions = json_text(&e->run, update);
            continue;
        }
        yyjson_arr_foreach(json_get(update, "messages"), j, messages, message) {
            take_updated(e, message, ns);
        }
    }
}

/* --- runs --- */

static void begin(struct chat_events *e, yyjson_val *data) {
    struct event v;
    str message = json_str(json_get(json_get(data, "metadata"), "chat_message_id"));
    e->run_id = arena_dup(&e->run, json_str(json_get(data, "run_id")));
    if (!event_open(e, &v, "agent:start", e->run_id, STR("")))
        return;
    write_member(&v.w, "graph_id", json_str(json_get(data, "graph_id")));
    jw_key(&v.w, "attempt");
    jw_i64(&v.w, e->attempt);
    if (message.p)
        write_member(&v.w, "ref", message);
    event_close(&v);
}

static void write_usage(struct json_writer *w, const struct chat_events *e) {
    jw_key(w, "usage");
    jw_object(w);
    jw_key(w, "input_tokens");
    jw_i64(w, e->usage.input);
    jw_key(w, "output_tokens");
    jw_i64(w, e->usage.output);
    jw_key(w, "total_tokens");
    jw_i64(w, e->usage.total);
    jw_object_end(w);
    jw_key(w, "context_tokens");
    jw_i64(w, e->context);
}

/* A run that was cancelled while it waited ends beside the one that is under way. */
static void end(struct chat_events *e, yyjson_val *data) {
    struct event v;
    struct id id;
    str run_id = json_str(json_get(data, "run_id"));
    bool own = str_eq(run_id, e->run_id);
    if (event_open(e, &v, "agent:end", run_id, STR(""))) {
        write_member(&v.w, "status", json_str(json_get(data, "status")));
        if (own) {
            write_usage(&v.w, e);
            if (e->error.p) {
                jw_key(&v.w, "error");
                jw_raw(&v.w, e->error);
            }
            if (e->questions.p) {
                jw_key(&v.w, "questions");
                jw_raw(&v.w, e->questions);
            }
        }
        event_close(&v);
    }
    if (e->o.ended && id_parse(run_id, &id))
        e->o.ended(e->o.ctx, id);
    if (own)
        run_reset(e);
}

static void take(struct chat_events *e, str kind, str ns, yyjson_val *data) {
    if (str_eq(kind, STR("metadata"))) {
        run_reset(e);
        e->attempt = yyjson_get_sint(json_get(data, "attempt"));
    } else if (str_eq(kind, STR("lifecycle"))) {
        if (json_has(data, "status"))
            end(e, data);
        else
            begin(e, data);
    } else if (str_eq(kind, STR("messages"))) {
        take_message(e, data, ns);
    } else if (str_eq(kind, STR("updates"))) {
        take_update(e, data, ns);
    } else if (str_eq(kind, STR("error"))) {
        e->error = json_text(&e->run, data);
    }
}

bool chat_events_frame(struct chat_events *e, str event, str data, str id) {
    yyjson_val *root;
    if (e->gone || !hub_cursor_parse(id, &e->at)) /* of no item: the server goes */
        return !e->gone;
    e->number = 0;
    arena_reset(&e->frame);
    if (json_parse(&e->frame, data, &root, NULL) < 0)
        return true;
    ptrdiff_t bar = str_find_char(event, '|');
    str kind = bar < 0 ? event : str_slice(event, 0, (size_t)bar);
    str ns = bar < 0 ? STR("") : str_slice(event, (size_t)bar + 1, event.len);
    take(e, kind, ns, root);
    return !e->gone;
}
