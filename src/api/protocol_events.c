/* SPDX-License-Identifier: Apache-2.0 */
/* protocol_events.c - from the frames of the stream modes to the events of protocol v2.
 *
 *   metadata, lifecycle    lifecycle running … completed, failed, interrupted (of the root)
 *   checkpoints            checkpoints {id, parent_id, step, source}
 *   values                 values
 *   messages (tuples)      messages: message-start, content-block-start, -delta, …
 *   updates                messages: …-finish, of those that it has; updates, with the node beside
 *                          it; tools: tool-started, tool-finished, tool-error;
 *                          input.requested of __interrupt__
 *   tasks                  tasks; lifecycle of the subgraph that the task was
 *   custom                 custom
 *   any with a namespace   first lifecycle started of that subgraph
 *
 * Messages have the namespace of the graph that their node is of. The id of an event is the place
 * of its item in the log and its number within: SEQ.K.N; clients tell by it what they have seen. */
#include "api/agent_views.h"
#include "api/protocol_int.h"
#include "base/mem.h"
#include "base/vec.h"

#define ARENA_BYTES    ((size_t)256 << 20)
#define EVENT_BYTES    (SIZE_MAX / 2)
#define CHANNELS_MAX   100
#define NAMESPACES_MAX 1000
#define PLACES_OF_ITEM 64

enum channel {
    CHANNEL_OF_VALUES,
    CHANNEL_OF_UPDATES,
    CHANNEL_OF_MESSAGES,
    CHANNEL_OF_TOOLS,
    CHANNEL_OF_LIFECYCLE,
    CHANNEL_OF_INPUT,
    CHANNEL_OF_TASKS,
    CHANNEL_OF_CHECKPOINTS,
    CHANNEL_OF_CUSTOM
};
static const struct word CHANNEL_WORDS[] = {
    {STR("values"), CHANNEL_OF_VALUES},       {STR("updates"), CHANNEL_OF_UPDATES},
    {STR("messages"), CHANNEL_OF_MESSAGES},   {STR("tools"), CHANNEL_OF_TOOLS},
    {STR("lifecycle"), CHANNEL_OF_LIFECYCLE}, {STR("input"), CHANNEL_OF_INPUT},
    {STR("tasks"), CHANNEL_OF_TASKS},         {STR("checkpoints"), CHANNEL_OF_CHECKPOINTS},
    {STR("custom"), CHANNEL_OF_CUSTOM},
};
static const struct word_set CHANNELS = {CHANNEL_WORDS, ARRAY_COUNT(CHANNEL_WORDS)};

struct tool_block {
    int64_t index; /* of the model's */
    int block;
    str id, name;
    struct buf args;
};
struct open_message {
    str id, ns;
    struct buf text;
    int text_block; /* -1: none */
    int blocks;
    VEC(struct tool_block) tools;
    str reason, usage; /* JSON usage; absent: none */
};
struct protocol_events {
    struct protocol_events_options o;
    struct arena own, run, frame;
    yyjson_val *request;
    unsigned channels;
    int64_t depth, since; /* depth -1: any */
    /* of the run */
    VEC(struct open_message *) messages;
    struct map seen, subgraphs; /* ids of messages that are over; open namespaces */
    bool asks;
    str run_id, graph, error;
    /* of the item */
    struct hub_cursor at;
    int64_t place;
    int64_t now_us;
    bool gone;
};

/* --- the request --- */

static int read_channels(struct protocol_events *p, struct err *err) {
    yyjson_val *list = json_get(p->request, "channels"), *item;
    size_t i, count;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > CHANNELS_MAX)
        return err_set(err, ERR_INVALID, "channels: must be a list that is not empty");
    yyjson_arr_foreach(list, i, count, item) {
        int channel;
        if (word_parse(&CHANNELS, json_str(item), &channel))
            p->channels |= 1u << channel;
        else if (!str_starts(json_str(item), STR("custom:")))
            return err_set(err, ERR_INVALID, "channels: unknown channel");
    }
    return 0;
}

static int read_namespaces(yyjson_val *list, struct err *err) {
    yyjson_val *ns, *segment;
    size_t i, j, count, parts;
    if (!list || yyjson_is_null(list))
        return 0;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > NAMESPACES_MAX)
        return err_set(err, ERR_INVALID, "namespaces: must be a list of lists");
    yyjson_arr_foreach(list, i, count, ns) {
        if (!yyjson_is_arr(ns))
            return err_set(err, ERR_INVALID, "namespaces: must be a list of lists");
        yyjson_arr_foreach(ns, j, parts, segment) {
            if (!yyjson_is_str(segment))
                return err_set(err, ERR_INVALID, "namespaces: must be lists of texts");
        }
    }
    return 0;
}

static int read_number(yyjson_val *v, const char *name, int64_t *out, struct err *err) {
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_int(v) || yyjson_get_sint(v) < 0)
        return err_set(err, ERR_INVALID, "%s: must be an integer of at least 0", name);
    *out = yyjson_get_sint(v);
    return 0;
}

int protocol_events_new(const struct protocol_events_options *o, struct protocol_events **out,
                        struct err *err) {
    struct protocol_events *p = NEW(struct protocol_events);
    p->o = *o;
    p->depth = -1;
    p->now_us = o->now_us;
    arena_init(&p->own, ARENA_BYTES);
    arena_init(&p->run, ARENA_BYTES);
    arena_init(&p->frame, ARENA_BYTES);
    map_init(&p->seen);
    map_init(&p->subgraphs);
    int rc = json_parse(&p->own, json_text(&p->own, o->request), &p->request, err);
    if (rc == 0 && !yyjson_is_obj(p->request))
        rc = err_set(err, ERR_INVALID, "body: must be a JSON object");
    if (rc == 0)
        rc = read_channels(p, err);
    if (rc == 0)
        rc = read_namespaces(json_get(p->request, "namespaces"), err);
    if (rc == 0)
        rc = read_number(json_get(p->request, "depth"), "depth", &p->depth, err);
    if (rc == 0)
        rc = read_number(json_get(p->request, "since"), "since", &p->since, err);
    if (o->behind > p->since)
        p->since = o->behind;
    if (rc < 0)
        protocol_events_free(p);
    else
        *out = p;
    return rc;
}

int64_t protocol_events_since(const struct protocol_events *p) { return p->since; }

static int64_t number_of(const struct hub_cursor *at, int64_t place) {
    int64_t below = at->k * PLACES_OF_ITEM + place;
    return at->seq << PROTOCOL_PLACE_BITS |
           (below < PROTOCOL_PLACE_MASK ? below : PROTOCOL_PLACE_MASK - 1);
}

int64_t protocol_events_position(const struct protocol_events *p) {
    return p->at.seq ? number_of(&p->at, PLACES_OF_ITEM - 1) : 0;
}

static void message_free(struct open_message *m) {
    for (size_t i = 0; i < m->tools.count; i++)
        buf_deinit(&m->tools.p[i].args);
    vec_deinit(&m->tools);
    buf_deinit(&m->text);
}

static void run_reset(struct protocol_events *p) {
    for (size_t i = 0; i < p->messages.count; i++)
        message_free(p->messages.p[i]);
    vec_deinit(&p->messages);
    map_deinit(&p->seen);
    map_deinit(&p->subgraphs);
    map_init(&p->seen);
    map_init(&p->subgraphs);
    arena_reset(&p->run);
    p->asks = false;
    p->run_id = p->graph = p->error = STR_NULL;
}

void protocol_events_free(struct protocol_events *p) {
    if (!p)
        return;
    run_reset(p);
    map_deinit(&p->seen);
    map_deinit(&p->subgraphs);
    arena_deinit(&p->frame);
    arena_deinit(&p->run);
    arena_deinit(&p->own);
    mem_free(p);
}

/* --- filters --- */

static bool next_segment(str *ns, str *out) { return ns->len > 0 && str_split_next(ns, '|', out); }

static size_t segments(str ns) {
    size_t n = 0;
    for (str part; next_segment(&ns, &part);)
        n++;
    return n;
}

static str node_of(str segment) {
    ptrdiff_t colon = str_find_char(segment, ':');
    return colon < 0 ? segment : str_slice(segment, 0, (size_t)colon);
}

/* A segment of a filter without ":task" stands for any task of that node. */
static bool has_prefix(str ns, yyjson_val *prefix) {
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(prefix, i, count, item) {
        str wanted = json_str(item), part;
        if (!next_segment(&ns, &part))
            return false;
        bool whole = str_find_char(wanted, ':') >= 0;
        if (!str_eq(whole ? part : node_of(part), wanted))
            return false;
    }
    return true;
}

static bool ns_wanted(const struct protocol_events *p, str ns) {
    yyjson_val *list = json_get(p->request, "namespaces"), *prefix;
    size_t i, count, own = segments(ns);
    if (yyjson_arr_size(list) == 0)
        return p->depth < 0 || own <= (size_t)p->depth || !list;
    yyjson_arr_foreach(list, i, count, prefix) {
        if (has_prefix(ns, prefix) &&
            (p->depth < 0 || own - yyjson_arr_size(prefix) <= (size_t)p->depth))
            return true;
    }
    return false;
}

static bool channel_wanted(const struct protocol_events *p, enum channel channel, str name) {
    if (p->channels & 1u << channel)
        return true;
    yyjson_val *list = json_get(p->request, "channels"), *item;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) {
        str wanted = json_str(item);
        if (name.p && str_starts(wanted, STR("custom:")) &&
            str_eq(str_slice(wanted, 7, wanted.len), name))
            return true;
    }
    return false;
}

/* --- events --- */

struct event {
    struct protocol_events *p;
    struct buf b;
    struct json_writer w;
    str method, id;
    bool wanted;
};

static void write_ns(struct json_writer *w, str ns) {
    jw_key(w, "namespace");
    jw_array(w);
    for (str part; next_segment(&ns, &part);)
        jw_str(w, part);
    jw_array_end(w);
}

/* False: nobody wants it. After true the caller writes the data and calls event_close. */
static bool event_open(struct protocol_events *p, struct event *e, enum channel channel, str method,
                       str ns, str node, str name) {
    int64_t place = p->place < PLACES_OF_ITEM - 1 ? p->place : PLACES_OF_ITEM - 1;
    int64_t seq = number_of(&p->at, place);
    *e = (struct event){.p = p, .method = method};
    e->id = arena_printf(&p->frame, "%lld.%lld.%lld", (long long)p->at.seq, (long long)p->at.k,
                         (long long)p->place++);
    if (p->gone || seq <= p->since || !channel_wanted(p, channel, name) || !ns_wanted(p, ns))
        return false;
    buf_init(&e->b, EVENT_BYTES);
    e->w = json_writer(&e->b);
    jw_object(&e->w);
    jw_key(&e->w, "type");
    jw_z(&e->w, "event");
    jw_key(&e->w, "event_id");
    jw_str(&e->w, e->id);
    jw_key(&e->w, "seq");
    jw_i64(&e->w, seq);
    jw_key(&e->w, "method");
    jw_str(&e->w, method);
    jw_key(&e->w, "params");
    jw_object(&e->w);
    write_ns(&e->w, ns);
    jw_key(&e->w, "timestamp");
    jw_i64(&e->w, p->now_us / 1000);
    if (node.p) {
        jw_key(&e->w, "node");
        jw_str(&e->w, node);
    }
    jw_key(&e->w, "data");
    return true;
}

static void event_close(struct event *e) {
    jw_object_end(&e->w);
    jw_object_end(&e->w);
    if (!e->p->gone)
        e->p->gone = !e->p->o.event(e->p->o.ctx, e->method, e->id, buf_view(&e->b));
    buf_deinit(&e->b);
}

static void send_value(struct protocol_events *p, enum channel channel, str method, str ns,
                       str node, yyjson_val *data) {
    struct event e;
    if (!event_open(p, &e, channel, method, ns, node, STR_NULL))
        return;
    jw_val(&e.w, data);
    event_close(&e);
}

static void send_lifecycle(struct protocol_events *p, str ns, str what, str graph, str error) {
    struct event e;
    if (!event_open(p, &e, CHANNEL_OF_LIFECYCLE, STR("lifecycle"), ns, STR_NULL, STR_NULL))
        return;
    jw_object(&e.w);
    jw_key(&e.w, "event");
    jw_str(&e.w, what);
    jw_key(&e.w, "graph_name");
    jw_str(&e.w, graph);
    if (error.p) {
        jw_key(&e.w, "error");
        jw_str(&e.w, error);
    }
    jw_object_end(&e.w);
    event_close(&e);
}

/* --- messages --- */

static bool message_event(struct protocol_events *p, struct event *e, const struct open_message *m,
                          const char *what) {
    if (!event_open(p, e, CHANNEL_OF_MESSAGES, STR("messages"), m->ns, STR_NULL, STR_NULL))
        return false;
    jw_object(&e->w);
    jw_key(&e->w, "event");
    jw_z(&e->w, what);
    jw_key(&e->w, "id");
    jw_str(&e->w, m->id);
    jw_key(&e->w, "run_id"); /* of the model's call: clients keep messages apart by it */
    jw_str(&e->w, m->id);
    return true;
}

static void message_event_close(struct event *e) {
    jw_object_end(&e->w);
    event_close(e);
}

static struct open_message *find_message(struct protocol_events *p, str id, size_t *index) {
    for (size_t i = 0; i < p->messages.count; i++)
        if (str_eq(p->messages.p[i]->id, id)) {
            *index = i;
            return p->messages.p[i];
        }
    return NULL;
}

static struct open_message *open_message(struct protocol_events *p, str id, str ns) {
    struct event e;
    size_t index;
    struct open_message *m = find_message(p, id, &index);
    if (m || map_get(&p->seen, id))
        return m;
    m = ARENA_NEW(&p->run, struct open_message);
    *m = (struct open_message){
        .id = arena_dup(&p->run, id), .ns = arena_dup(&p->run, ns), .text_block = -1};
    buf_init(&m->text, EVENT_BYTES);
    vec_push(&p->messages, m);
    if (message_event(p, &e, m, "message-start")) {
        jw_key(&e.w, "role");
        jw_z(&e.w, "ai");
        message_event_close(&e);
    }
    return m;
}

static void write_tool(struct json_writer *w, const struct tool_block *t, bool whole) {
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, whole ? "tool_call" : "tool_call_chunk");
    jw_key(w, "id");
    jw_str(w, t->id);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "args");
    if (!whole)
        jw_z(w, "");
    else
        jw_raw(w, t->args.len ? buf_view(&t->args) : STR("{}"));
    jw_object_end(w);
}

static bool block_event(struct protocol_events *p, struct event *e, const struct open_message *m,
                        const char *what, int block, const char *key) {
    if (!message_event(p, e, m, what))
        return false;
    jw_key(&e->w, "index");
    jw_i64(&e->w, block);
    jw_key(&e->w, key);
    return true;
}

static void write_text(struct json_writer *w, const char *type, str text) {
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, type);
    jw_key(w, "text");
    jw_str(w, text);
    jw_object_end(w);
}

static void add_text(struct protocol_events *p, struct open_message *m, str text) {
    struct event e;
    if (m->text_block < 0) {
        m->text_block = m->blocks++;
        if (block_event(p, &e, m, "content-block-start", m->text_block, "content")) {
            write_text(&e.w, "text", STR(""));
            message_event_close(&e);
        }
    }
    buf_str(&m->text, text);
    if (block_event(p, &e, m, "content-block-delta", m->text_block, "delta")) {
        write_text(&e.w, "text-delta", text);
        message_event_close(&e);
    }
}

static struct tool_block *tool_block(struct protocol_events *p, struct open_message *m,
                                     int64_t index, yyjson_val *call) {
    struct event e;
    for (size_t i = 0; i < m->tools.count; i++)
        if (m->tools.p[i].index == index)
            return &m->tools.p[i];
    struct tool_block t = {.index = index, .block = m->blocks++};
    t.id = arena_dup(&p->run, json_str(json_get(call, "id")));
    t.name = arena_dup(&p->run, json_str(json_get(call, "name")));
    buf_init(&t.args, EVENT_BYTES);
    vec_push(&m->tools, t);
    if (block_event(p, &e, m, "content-block-start", t.block, "content")) {
        write_tool(&e.w, &t, false);
        message_event_close(&e);
    }
    return &m->tools.p[m->tools.count - 1];
}

static void add_tool(struct protocol_events *p, struct open_message *m, int64_t index,
                     yyjson_val *call, str args) {
    struct event e;
    struct tool_block *t = tool_block(p, m, index, call);
    if (!args.len)
        return;
    buf_str(&t->args, args);
    if (block_event(p, &e, m, "content-block-delta", t->block, "delta")) {
        jw_object(&e.w);
        jw_key(&e.w, "type");
        jw_z(&e.w, "tool-call-delta");
        jw_key(&e.w, "args");
        jw_str(&e.w, args);
        jw_object_end(&e.w);
        message_event_close(&e);
    }
}

/* A message comes in chunks, or whole: then its calls are complete and no chunks. */
static void add_chunk(struct protocol_events *p, struct open_message *m, yyjson_val *chunk) {
    yyjson_val *call, *chunks = json_get(chunk, "tool_call_chunks");
    yyjson_val *usage = json_get(chunk, "usage_metadata");
    size_t i, count;
    str text = api_message_text(&p->frame, chunk);
    str reason = json_str(json_get(json_get(chunk, "response_metadata"), "finish_reason"));
    if (text.len)
        add_text(p, m, text);
    yyjson_arr_foreach(chunks, i, count, call) {
        add_tool(p, m, yyjson_get_sint(json_get(call, "index")), call,
                 json_str(json_get(call, "args")));
    }
    if (yyjson_arr_size(chunks) == 0 && m->tools.count == 0) {
        yyjson_arr_foreach(json_get(chunk, "tool_calls"), i, count, call) {
            add_tool(p, m, (int64_t)i, call, json_text(&p->frame, json_get(call, "args")));
        }
    }
    if (reason.len)
        m->reason = arena_dup(&p->run, reason);
    if (yyjson_is_obj(usage))
        m->usage = json_text(&p->run, usage);
}

static void finish_blocks(struct protocol_events *p, struct open_message *m) {
    struct event e;
    if (m->text_block >= 0 &&
        block_event(p, &e, m, "content-block-finish", m->text_block, "content")) {
        write_text(&e.w, "text", buf_view(&m->text));
        message_event_close(&e);
    }
    for (size_t i = 0; i < m->tools.count; i++) {
        struct tool_block *t = &m->tools.p[i];
        yyjson_val *args;
        if (t->args.len && json_parse(&p->frame, buf_view(&t->args), &args, NULL) < 0)
            buf_reset(&t->args); /* cut short, or never JSON */
        if (block_event(p, &e, m, "content-block-finish", t->block, "content")) {
            write_tool(&e.w, t, true);
            message_event_close(&e);
        }
    }
}

static void finish_message(struct protocol_events *p, size_t index) {
    struct open_message *m = p->messages.p[index];
    struct event e;
    finish_blocks(p, m);
    if (message_event(p, &e, m, "message-finish")) {
        jw_key(&e.w, "reason");
        jw_str(&e.w, m->reason.len ? m->reason : STR("stop"));
        if (m->usage.p) {
            jw_key(&e.w, "usage");
            jw_raw(&e.w, m->usage);
        }
        message_event_close(&e);
    }
    (void)map_put(&p->seen, m->id, m);
    message_free(m);
    p->messages.p[index] = p->messages.p[p->messages.count - 1];
    p->messages.count--;
}

static void take_message(struct protocol_events *p, yyjson_val *data, str ns) {
    yyjson_val *chunk = yyjson_arr_get_first(data);
    str id = json_str(json_get(chunk, "id"));
    if (!id.len || !api_message_is_ai(chunk))
        return;
    struct open_message *m = open_message(p, id, ns);
    if (m)
        add_chunk(p, m, chunk);
}

/* --- updates --- */

static void send_tool(struct protocol_events *p, str ns, const char *what, yyjson_val *id,
                      const char *key, yyjson_val *value, yyjson_val *input) {
    struct event e;
    if (!event_open(p, &e, CHANNEL_OF_TOOLS, STR("tools"), ns, STR_NULL, STR_NULL))
        return;
    jw_object(&e.w);
    jw_key(&e.w, "event");
    jw_z(&e.w, what);
    jw_key(&e.w, "tool_call_id");
    jw_val(&e.w, id);
    jw_key(&e.w, key);
    jw_val(&e.w, value);
    if (input) {
        jw_key(&e.w, "input");
        jw_val(&e.w, input);
    }
    jw_object_end(&e.w);
    event_close(&e);
}

static void message_is_over(struct protocol_events *p, yyjson_val *message, str ns) {
    size_t index;
    str id = json_str(json_get(message, "id"));
    if (!id.len || !api_message_is_ai(message))
        return;
    if (!find_message(p, id, &index) && !map_get(&p->seen, id)) {
        struct open_message *m = open_message(p, id, ns);
        add_chunk(p, m, message);
    }
    if (find_message(p, id, &index))
        finish_message(p, index);
}

static void message_tools(struct protocol_events *p, yyjson_val *message, str ns) {
    yyjson_val *call, *id = json_get(message, "tool_call_id");
    size_t i, count;
    if (api_message_is_ai(message)) {
        yyjson_arr_foreach(json_get(message, "tool_calls"), i, count, call) {
            send_tool(p, ns, "tool-started", json_get(call, "id"), "tool_name",
                      json_get(call, "name"), json_get(call, "args"));
        }
    } else if (yyjson_is_str(id)) {
        bool failed = str_eq(json_str(json_get(message, "status")), STR("error"));
        if (failed)
            send_tool(p, ns, "tool-error", id, "message", json_get(message, "content"), NULL);
        else
            send_tool(p, ns, "tool-finished", id, "output", message, NULL);
    }
}

static void send_questions(struct protocol_events *p, yyjson_val *list, str ns) {
    yyjson_val *item;
    size_t i, count;
    p->asks = true;
    yyjson_arr_foreach(list, i, count, item) {
        struct event e;
        if (!event_open(p, &e, CHANNEL_OF_INPUT, STR("input.requested"), ns, STR_NULL, STR_NULL))
            continue;
        jw_object(&e.w);
        jw_key(&e.w, "interrupt_id");
        jw_val(&e.w, json_get(item, "id"));
        jw_key(&e.w, "payload");
        jw_val(&e.w, json_get(item, "value"));
        jw_key(&e.w, "value");
        jw_val(&e.w, json_get(item, "value"));
        jw_object_end(&e.w);
        event_close(&e);
    }
}

/* {node: what it wrote}, or {"__interrupt__": […]}. */
static void take_update(struct protocol_events *p, yyjson_val *data, str ns) {
    yyjson_val *key, *update, *message;
    size_t i, count, j, messages;
    yyjson_obj_foreach(data, i, count, key, update) {
        if (str_eq(json_str(key), STR("__interrupt__"))) {
            send_questions(p, update, ns);
            continue;
        }
        yyjson_val *list = json_get(update, "messages");
        yyjson_arr_foreach(list, j, messages, message) { message_is_over(p, message, ns); }
        send_value(p, CHANNEL_OF_UPDATES, STR("updates"), ns, json_str(key), update);
        yyjson_arr_foreach(list, j, messages, message) { message_tools(p, message, ns); }
    }
}

/* --- the rest --- */

static void take_checkpoint(struct protocol_events *p, yyjson_val *data, str ns) {
    yyjson_val *metadata = json_get(data, "metadata");
    yyjson_val *config = json_get(json_get(data, "config"), "configurable");
    yyjson_val *parent = json_get(json_get(data, "parent_config"), "configurable");
    struct event e;
    if (str_eq(json_str(json_get(metadata, "source")), STR("input")) ||
        !event_open(p, &e, CHANNEL_OF_CHECKPOINTS, STR("checkpoints"), ns, STR_NULL, STR_NULL))
        return;
    jw_object(&e.w);
    jw_key(&e.w, "id");
    jw_str(&e.w, json_str(json_get(config, "checkpoint_id")));
    jw_key(&e.w, "parent_id");
    jw_str(&e.w, json_str(json_get(parent, "checkpoint_id")));
    jw_key(&e.w, "step");
    jw_i64(&e.w, yyjson_get_sint(json_get(metadata, "step")));
    jw_key(&e.w, "source");
    jw_str(&e.w, json_str(json_get(metadata, "source")));
    jw_object_end(&e.w);
    event_close(&e);
}

static str last_segment(str ns) {
    str part = STR("");
    while (next_segment(&ns, &part))
        continue;
    return part;
}

/* Each namespace on the way is a graph that has begun. */
static void note_subgraph(struct protocol_events *p, str ns) {
    str rest = ns, part;
    while (next_segment(&rest, &part)) {
        str path = str_n(ns.p, (size_t)(part.p + part.len - ns.p));
        if (map_get(&p->subgraphs, path))
            continue;
        str own = arena_dup(&p->run, path);
        (void)map_put(&p->subgraphs, own, p);
        send_lifecycle(p, own, STR("started"), node_of(part), STR_NULL);
    }
}

/* The end of a task that was a graph. */
static void take_task(struct protocol_events *p, yyjson_val *data, str ns) {
    send_value(p, CHANNEL_OF_TASKS, STR("tasks"), ns, STR_NULL, data);
    bool failed = json_has(data, "error");
    if (!failed && !json_has(data, "result"))
        return;
    str name = json_str(json_get(data, "name"));
    str path =
        arena_printf(&p->frame, STR_FMT "%s" STR_FMT ":" STR_FMT, STR_ARG(ns), ns.len ? "|" : "",
                     STR_ARG(name), STR_ARG(json_str(json_get(data, "id"))));
    if (!map_remove(&p->subgraphs, path))
        return;
    bool asks = yyjson_arr_size(json_get(data, "interrupts")) > 0;
    str what = failed ? STR("failed") : asks ? STR("interrupted") : STR("completed");
    send_lifecycle(p, path, what, node_of(last_segment(path)),
                   failed ? json_text(&p->frame, json_get(data, "error")) : STR_NULL);
}

static void take_end(struct protocol_events *p, str status) {
    while (p->messages.count > 0)
        finish_message(p, 0);
    str what = str_eq(status, STR("success"))       ? STR("completed")
               : str_eq(status, STR("interrupted")) ? STR("interrupted")
                                                    : STR("failed");
    if (p->asks)
        what = STR("interrupted");
    send_lifecycle(p, STR(""), what, p->graph,
                   str_eq(what, STR("failed")) ? (p->error.p ? p->error : status) : STR_NULL);
}

/* A run that was cancelled while it waited does not end the one that is under way. */
static void take_lifecycle(struct protocol_events *p, yyjson_val *data) {
    str status = json_str(json_get(data, "status")), run = json_str(json_get(data, "run_id"));
    if (status.p) {
        if (p->run_id.len > 0 && !str_eq(run, p->run_id))
            return;
        take_end(p, status);
        p->run_id = STR_NULL;
        return;
    }
    p->run_id = arena_dup(&p->run, run);
    p->graph = arena_dup(&p->run, json_str(json_get(data, "graph_id")));
    send_lifecycle(p, STR(""), STR("running"), p->graph, STR_NULL);
}

static void take(struct protocol_events *p, str kind, str ns, yyjson_val *data) {
    if (str_eq(kind, STR("metadata")))
        run_reset(p);
    else if (str_eq(kind, STR("lifecycle")))
        take_lifecycle(p, data);
    else if (str_eq(kind, STR("messages")))
        take_message(p, data, ns);
    else if (str_eq(kind, STR("updates")))
        take_update(p, data, ns);
    else if (str_eq(kind, STR("tasks")))
        take_task(p, data, ns);
    else if (str_eq(kind, STR("checkpoints")))
        take_checkpoint(p, data, ns);
    else if (str_eq(kind, STR("values")) && !json_has(data, "__interrupt__"))
        send_value(p, CHANNEL_OF_VALUES, STR("values"), ns, STR_NULL, data);
    else if (str_eq(kind, STR("error")))
        p->error = arena_dup(&p->run, json_str(json_get(data, "message")));
}

static void take_custom(struct protocol_events *p, str ns, yyjson_val *data) {
    struct event e;
    str name = json_str(json_get(data, "name"));
    if (!event_open(p, &e, CHANNEL_OF_CUSTOM, STR("custom"), ns, STR_NULL, name))
        return;
    jw_val(&e.w, data);
    event_close(&e);
}

bool protocol_events_frame(struct protocol_events *p, str event, str data, str id, int64_t now_us) {
    struct hub_cursor at;
    yyjson_val *root;
    if (p->gone || !hub_cursor_parse(id, &at))
        return !p->gone;
    if (at.seq != p->at.seq || at.k != p->at.k)
        p->place = 0;
    p->at = at;
    p->now_us = now_us;
    arena_reset(&p->frame);
    if (json_parse(&p->frame, data, &root, NULL) < 0)
        return true;
    ptrdiff_t bar = str_find_char(event, '|');
    str kind = bar < 0 ? event : str_slice(event, 0, (size_t)bar);
    str ns = bar < 0 ? STR("") : str_slice(event, (size_t)bar + 1, event.len);
    note_subgraph(p, ns);
    if (str_eq(kind, STR("custom")))
        take_custom(p, ns, root);
    else
        take(p, kind, ns, root);
    return !p->gone;
}
