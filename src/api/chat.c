/* SPDX-License-Identifier: Apache-2.0 */
/* chat.c - what is done in a chat: saying something, aborting, asking how it stands.
 *
 *   GET  /chat           a socket for all of it (chat_socket.c)
 *   POST /chat           a message or an abort; the answer is the socket's
 *   GET  /chat/events    what the socket shows, as server-sent events (chat_stream.c)
 *   GET  /chat/session   session:info
 *
 * A message is a run of the chat's thread, submitted as every run is: what it says is the run's
 * input, or the answer to what the thread asks. The level of thinking goes with the run's
 * configuration as configurable.thinking, for the graph to read. */
#include "api/agent_views.h"
#include "api/chat_int.h"
#include "api/runs_int.h"
#include "api/socket.h"
#include "store/checkpoints.h"

#define VALUES_BYTES_MAX (SIZE_MAX / 2)

/* --- answers --- */

static struct json_writer open_answer(struct api_request *r, const char *type, str id) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, type);
    if (id.p) {
        jw_key(&w, "ref");
        jw_str(&w, id);
    }
    return w;
}

void chat_write_error(struct api_request *r, str id, int code, const struct err *err) {
    str text = api_error_text(r, err, code);
    struct json_writer w = open_answer(r, "error", id);
    jw_key(&w, "code");
    jw_z(&w, api_socket_error_word(code));
    jw_key(&w, "status");
    jw_i64(&w, err_http_status(code));
    jw_key(&w, "message");
    jw_str(&w, text);
    jw_object_end(&w);
}

/* --- a message --- */

struct sending {
    struct api_request *r;
    const struct chat_message *m;
    struct chat_sent *sent;
};

static str word_of(struct arena *a, const struct thread *t, const char *key) {
    yyjson_val *metadata;
    return json_parse(a, t->metadata, &metadata, NULL) == 0 ? json_str(json_get(metadata, key))
                                                            : STR_NULL;
}

/* Who answers: named by the message, by the chat, or whoever did before. */
static int choose_assistant(struct api_request *r, const struct chat_state *chat,
                            const struct chat_message *m, str *out, struct err *err) {
    struct thread t;
    *out = m->assistant.p ? m->assistant : chat->assistant;
    if (out->p)
        return 0;
    int rc = thread_get(r->store, &r->who, chat->thread_id, r->arena, &t, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (rc == 0)
        *out = word_of(r->arena, &t, "assistant_id");
    if (!out->len)
        return err_set(err, ERR_INVALID, "assistant_id: is required, for nobody answered here yet");
    return 0;
}

static str object_text(struct arena *a, yyjson_val *object) {
    return yyjson_is_obj(object) ? json_text(a, object) : STR("{}");
}

/* {name: value} */
static str member_text(struct arena *a, const char *name, str value) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, name);
    jw_raw(&w, value);
    jw_object_end(&w);
    return arena_take(a, &b);
}

static str quoted(struct arena *a, str text) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_str(&w, text);
    return arena_take(a, &b);
}

/* The message's configuration; what it says of thinking stands before what the chat is set to. */
static str config_text(struct arena *a, const struct chat_state *chat,
                       const struct chat_message *m) {
    yyjson_val *config = json_get(m->root, "config");
    yyjson_val *configurable = json_get(config, "configurable");
    str level = m->thinking.p ? m->thinking : chat->thinking, text = object_text(a, config);
    bool said = !m->thinking.p && json_has(configurable, "thinking");
    if (!level.p || said || (configurable && !yyjson_is_obj(configurable)))
        return text;
    str whole =
        json_merge(a, object_text(a, configurable), member_text(a, "thinking", quoted(a, level)));
    return json_merge(a, text, member_text(a, "configurable", whole));
}

static void write_said(struct json_writer *w, const struct chat_message *m) {
    if (m->resume) {
        jw_key(w, "command");
        jw_object(w);
        jw_key(w, "resume");
        jw_val(w, m->resume);
        jw_object_end(w);
        return;
    }
    jw_key(w, "input");
    jw_object(w);
    jw_key(w, "messages");
    jw_array(w);
    jw_object(w);
    jw_key(w, "role");
    jw_z(w, "user");
    jw_key(w, "content");
    jw_val(w, m->content);
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
}

static void write_run(struct json_writer *w, struct arena *a, const struct chat_state *chat,
                      const struct chat_message *m, str assistant) {
    yyjson_val *strategy = json_get(m->root, "multitask_strategy");
    yyjson_val *context = json_get(m->root, "context");
    str metadata = object_text(a, json_get(m->root, "metadata"));
    if (m->id.p)
        metadata = json_merge(a, metadata, member_text(a, "chat_message_id", quoted(a, m->id)));
    jw_object(w);
    jw_key(w, "assistant_id");
    jw_str(w, assistant);
    write_said(w, m);
    jw_key(w, "config");
    jw_raw(w, config_text(a, chat, m));
    jw_key(w, "metadata");
    jw_raw(w, metadata);
    if (yyjson_is_obj(context)) {
        jw_key(w, "context");
        jw_val(w, context);
    }
    jw_key(w, "multitask_strategy");
    if (yyjson_is_str(strategy))
        jw_val(w, strategy);
    else
        jw_z(w, "enqueue");
    jw_raw(w, STR("\"stream_mode\":" RUN_MODES_OF_PROTOCOLS ",\"stream_subgraphs\":true,"
                  "\"stream_resumable\":true,\"if_not_exists\":\"create\""));
    jw_object_end(w);
}

static void write_ack(const struct sending *s, const struct run *run) {
    struct json_writer w = open_answer(s->r, "message:ack", s->m->id);
    jw_key(&w, "thread_id");
    api_write_id(&w, run->thread_id);
    jw_key(&w, "run_id");
    api_write_id(&w, run->id);
    jw_object_end(&w);
}

static void on_accepted(void *ctx, struct live_run *run) {
    struct sending *s = ctx;
    s->sent->run_id = live_run_id(run);
    write_ack(s, live_run_row(run));
    if (s->sent->acked)
        s->sent->acked(s->sent->ctx, s->r);
}

static void keep_ack(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct sending *s = ctx;
    const struct run *row = live_run_row(run);
    write_ack(s, row);
    api_keyed_add(s->r, b, arena_dup(s->r->arena, buf_view(&s->r->out)), row->thread_id, row->id);
}

int chat_send(struct api_request *r, const struct chat_state *chat, const struct chat_message *m,
              struct chat_sent *sent, struct err *err) {
    struct sending sending = {r, m, sent};
    struct run_submit s;
    yyjson_val *body;
    str assistant;
    int rc = api_may_write(r, err);
    if (rc == 0)
        rc = choose_assistant(r, chat, m, &assistant, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_run(&w, r->arena, chat, m, assistant);
    rc = api_json_read(r, &body, err);
    if (rc == 0)
        rc = run_submit_fill(r, body, &s, err);
    if (rc < 0)
        return rc;
    s.thread_id = chat->thread_id;
    s.accepted = on_accepted;
    s.join_batch = r->keyed ? keep_ack : NULL;
    s.ctx = &sending;
    return engine_submit(r->engine, &s, NULL, err);
}

int chat_abort(struct api_request *r, const struct chat_state *chat, const struct chat_message *m,
               struct err *err) {
    str reason = STR("the chat was aborted");
    size_t count = 1;
    int rc = api_may_write(r, err);
    if (rc == 0 && id_is_nil(m->run_id))
        rc = run_cancel_thread(r, chat->thread_id, reason, &count, err);
    else if (rc == 0)
        rc = engine_cancel(r->engine, &r->who, chat->thread_id, m->run_id, CANCEL_INTERRUPT, reason,
                           false, err);
    if (rc < 0)
        return rc;
    struct json_writer w = open_answer(r, "abort:ack", m->id);
    jw_key(&w, "thread_id");
    api_write_id(&w, chat->thread_id);
    jw_key(&w, "runs");
    jw_i64(&w, (int64_t)count);
    jw_object_end(&w);
    return 0;
}

/* --- how it stands --- */

struct session {
    int64_t input, output, total, messages;
    str model; /* in the request's arena; absent: not known */
};

static int64_t count_of(yyjson_val *usage, const char *key) {
    int64_t n = yyjson_get_sint(json_get(usage, key));
    return n > 0 && n < INT64_C(1) << 40 ? n : 0;
}

static void read_messages(struct api_request *r, yyjson_val *list, struct session *out) {
    yyjson_val *message;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, message) {
        yyjson_val *usage = json_get(message, "usage_metadata");
        str model = json_str(json_get(json_get(message, "response_metadata"), "model_name"));
        int64_t input = count_of(usage, "input_tokens"), output = count_of(usage, "output_tokens");
        int64_t total = count_of(usage, "total_tokens");
        out->messages++;
        out->input += input;
        out->output += output;
        out->total += total ? total : input + output;
        if (model.len)
            out->model = arena_dup(r->arena, model);
    }
}

static int read_state(struct api_request *r, struct id thread_id, struct session *out,
                      struct err *err) {
    struct arena a;
    yyjson_val *root = NULL;
    str values;
    arena_init(&a, VALUES_BYTES_MAX);
    int rc = checkpoint_head_values(r->store, thread_id, &a, &values, err);
    if (rc == 0 && values.len)
        rc = json_parse(&a, values, &root, err);
    if (rc == 0)
        read_messages(r, json_get(root, "messages"), out);
    arena_deinit(&a);
    return rc;
}

/* Of a chat that nobody answered in yet: what its assistant is set to. */
static int configured_model(struct api_request *r, str name, str *out, struct err *err) {
    struct assistant t;
    struct id id;
    yyjson_val *config;
    if (!name.len || (!id_parse(name, &id) && !engine_has_graph(r->engine, name)))
        return 0;
    if (!id_parse(name, &id))
        id = assistant_id_of_graph(name);
    int rc = assistant_get(r->store, &r->who, id, r->arena, &t, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? 0 : rc;
    if (json_parse(r->arena, t.config, &config, NULL) < 0)
        return 0;
    yyjson_val *configurable = json_get(config, "configurable");
    *out = json_str(json_get(configurable, "model_name"));
    if (!out->len)
        *out = json_str(json_get(configurable, "model"));
    return 0;
}

static void write_info(struct api_request *r, const struct chat_state *chat, str id, str status,
                       struct id running, str assistant, const struct session *s) {
    struct json_writer w = open_answer(r, "session:info", id);
    jw_key(&w, "thread_id");
    api_write_id(&w, chat->thread_id);
    jw_key(&w, "status");
    jw_str(&w, status);
    jw_key(&w, "running");
    jw_bool(&w, !id_is_nil(running));
    jw_key(&w, "run_id");
    api_write_id_or_null(&w, running);
    jw_key(&w, "assistant_id");
    jw_str(&w, assistant.len ? assistant : STR_NULL);
    jw_key(&w, "model");
    jw_str(&w, s->model.len ? s->model : STR_NULL);
    jw_key(&w, "thinking");
    jw_str(&w, chat->thinking);
    jw_key(&w, "messages");
    jw_i64(&w, s->messages);
    jw_key(&w, "usage");
    jw_object(&w);
    jw_key(&w, "input_tokens");
    jw_i64(&w, s->input);
    jw_key(&w, "output_tokens");
    jw_i64(&w, s->output);
    jw_key(&w, "total_tokens");
    jw_i64(&w, s->total);
    jw_object_end(&w);
    jw_object_end(&w);
}

int chat_info(struct api_request *r, const struct chat_state *chat, str id, bool must_exist,
              struct err *err) {
    struct thread t;
    struct session s = {0};
    struct id running = ID_NIL, *ids;
    enum run_status wanted = RUN_RUNNING;
    size_t count = 0;
    str assistant = chat->assistant, status = STR("new");
    int rc = thread_get(r->store, &r->who, chat->thread_id, r->arena, &t, err);
    bool there = rc == 0;
    if (there) {
        status = thread_status_name(t.status);
        if (!assistant.p)
            assistant = word_of(r->arena, &t, "assistant_id");
        rc =
            run_live_list(r->store, &r->who, t.id, &wanted, ID_NIL, 1, r->arena, &ids, &count, err);
        if (rc == 0 && count > 0)
            running = ids[0];
        if (rc == 0)
            rc = read_state(r, t.id, &s, err);
    } else if (rc == ERR_NOT_FOUND && !must_exist) {
        err_reset(err);
        rc = 0;
    }
    if (rc == 0 && !s.model.len)
        rc = configured_model(r, assistant, &s.model, err);
    if (rc == 0)
        write_info(r, chat, id, status, running, assistant, &s);
    return rc;
}

/* --- over HTTP --- */

int api_chat_post(struct api_request *r, struct err *err) {
    struct chat_message m;
    struct chat_sent sent = {0};
    int rc = chat_message_read(r->arena, r->body, &m, err);
    if (rc < 0)
        return rc;
    if (m.kind != CHAT_MESSAGE && m.kind != CHAT_ABORT)
        return err_set(err, ERR_INVALID, "type: must be message or abort; others are a socket's");
    if (m.cancel)
        return err_set(err, ERR_INVALID, "on_disconnect: is a socket's; here nothing is left open");
    if (m.kind == CHAT_ABORT && !m.has_thread)
        return err_set(err, ERR_INVALID, "thread_id: is required");
    struct chat_state chat = {.thread_id = m.has_thread ? m.thread_id : id_v7()};
    rc = m.kind == CHAT_MESSAGE ? chat_send(r, &chat, &m, &sent, err)
                                : chat_abort(r, &chat, &m, err);
    if (rc < 0)
        return rc;
    str kept = api_keyed_answer(r);
    return kept.p ? api_reply_text(r, 200, kept) : api_reply_json(r, 200);
}

int api_chat_session(struct api_request *r, struct err *err) {
    struct chat_state chat = {0};
    str text = http_query_get(&r->query, "thread_id");
    if (!id_parse(text, &chat.thread_id))
        return err_set(err, ERR_INVALID, "thread_id: is required and must be a UUID");
    int rc = chat_info(r, &chat, STR_NULL, true, err);
    return rc < 0 ? rc : api_reply_json(r, 200);
}
