/* SPDX-License-Identifier: Apache-2.0 */
/* protocol.c - the commands of protocol v2: POST /threads/{thread_id}/commands, or one after the
 * other over a WebSocket (protocol_socket.c).
 *
 *   run.start      a run on the thread, which is made when it does not exist; when the thread asks
 *                  and the input has the questions' ids as its keys, the input answers them
 *   input.respond  answers one question, or several
 *   input.inject   a message for the graph: input of a run that waits for the one under way
 *   state.get      the newest values, also of a subgraph
 *   state.listCheckpoints  what states there are
 *   state.fork     a run that goes on from one of them
 *   agent.getTree  what the thread runs
 *
 * An answer is {"type": "success", id, result, meta} or {"type": "error", id, error, message,
 * meta}, both with status 200; a command that is none is refused with 400. What concerns
 * credentials, and a thread that does not exist, is answered as everywhere else. */
#include "api/agent_views.h"
#include "api/protocol_int.h"
#include "api/runs_int.h"
#include "store/checkpoints.h"

#define LIST_COUNT     10
#define LIST_COUNT_MAX 1000

struct command {
    struct api_request *r;
    yyjson_val *id, *params;
    struct id thread_id;
    int (*answer)(struct api_request *r); /* with what was written */
};

static void write_meta(const struct command *c, struct json_writer *w, int64_t seq) {
    jw_key(w, "meta");
    jw_object(w);
    jw_key(w, "thread_id");
    api_write_id(w, c->thread_id);
    if (seq >= 0) {
        jw_key(w, "applied_through_seq");
        jw_i64(w, seq);
    }
    jw_object_end(w);
}

static struct json_writer open_answer(const struct command *c, const char *type) {
    struct json_writer w = api_json(c->r);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, type);
    jw_key(&w, "id");
    jw_val(&w, c->id);
    return w;
}

static struct json_writer open_result(const struct command *c) {
    struct json_writer w = open_answer(c, "success");
    jw_key(&w, "result");
    jw_object(&w);
    return w;
}

/* seq: everything up to it was known before; negative: not said. */
static int close_result(const struct command *c, struct json_writer *w, int64_t seq) {
    jw_object_end(w);
    write_meta(c, w, seq);
    jw_object_end(w);
    return c->answer(c->r);
}

static int refuse(const struct command *c, const char *code, str text) {
    struct json_writer w = open_answer(c, "error");
    jw_key(&w, "error");
    jw_z(&w, code);
    jw_key(&w, "message");
    jw_str(&w, text);
    write_meta(c, &w, -1);
    jw_object_end(&w);
    return c->answer(c->r);
}

/* What the client can mend is the command's error. */
static int fail(const struct command *c, int rc, const struct err *err) {
    if (rc != ERR_INVALID && rc != ERR_INVALID_UPDATE && rc != ERR_CONFLICT && rc != ERR_MALFORMED)
        return rc;
    return refuse(c, "invalid_argument", api_error_text(c->r, err, rc));
}

/* --- runs --- */

static void copy(struct json_writer *w, yyjson_val *params, const char *key) {
    yyjson_val *value = json_get(params, key);
    if (!value || yyjson_is_null(value))
        return;
    jw_key(w, key);
    jw_val(w, value);
}

static struct json_writer open_run(const struct command *c, str assistant) {
    struct json_writer w = api_json(c->r);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    jw_str(&w, assistant);
    copy(&w, c->params, "config");
    copy(&w, c->params, "context");
    copy(&w, c->params, "metadata");
    copy(&w, c->params, "strict_resume");
    jw_key(&w, "stream_mode");
    jw_raw(&w, STR(RUN_MODES_OF_PROTOCOLS));
    jw_key(&w, "stream_subgraphs");
    jw_bool(&w, true);
    jw_key(&w, "stream_resumable");
    jw_bool(&w, true);
    jw_key(&w, "if_not_exists");
    jw_z(&w, "create");
    return w;
}

/* Starts what was written; a reference. */
static int start(const struct command *c, struct json_writer *w, struct live_run **out,
                 struct err *err) {
    struct run_submit s;
    yyjson_val *body;
    jw_object_end(w);
    int rc = api_json_read(c->r, &body, err);
    if (rc == 0)
        rc = run_submit_fill(c->r, body, &s, err);
    if (rc < 0)
        return rc;
    s.thread_id = c->thread_id;
    return engine_submit(c->r->engine, &s, out, err);
}

/* The questions of the thread; NULL: it asks nothing, or is not there yet. */
static int questions(const struct command *c, bool must_exist, struct thread *t, yyjson_val **out,
                     struct err *err) {
    *out = NULL;
    int rc = thread_get(c->r->store, &c->r->who, c->thread_id, c->r->arena, t, err);
    if (rc == ERR_NOT_FOUND && !must_exist)
        return 0; /* or another's: then the run is refused */
    if (rc == 0)
        *out = api_questions_of(c->r->arena, t);
    return rc;
}

static bool answers(yyjson_val *list, yyjson_val *input) {
    yyjson_val *key, *value;
    size_t i, count;
    bool all = yyjson_obj_size(input) > 0;
    yyjson_obj_foreach(input, i, count, key, value) {
        all = all && api_has_question(list, json_str(key));
    }
    return all;
}

static void write_strategy(const struct command *c, struct json_writer *w) {
    yyjson_val *strategy = json_get(c->params, "multitask_strategy");
    if (!strategy)
        strategy = json_get(c->params, "multitaskStrategy");
    jw_key(w, "multitask_strategy");
    if (strategy && !yyjson_is_null(strategy))
        jw_val(w, strategy);
    else
        jw_z(w, "enqueue");
}

/* A text of the thread's metadata; absent: none. */
static str word_of(const struct command *c, const struct thread *t, const char *key) {
    yyjson_val *metadata;
    return json_parse(c->r->arena, t->metadata, &metadata, NULL) == 0
               ? json_str(json_get(metadata, key))
               : STR_NULL;
}

/* What was known before the run; lets go of it. */
static int settle(const struct command *c, struct live_run *run, int64_t *out_seq,
                  struct err *err) {
    struct run row;
    struct id id = live_run_id(run);
    live_run_unref(run);
    int rc = run_get(c->r->store, &c->r->who, c->thread_id, id, c->r->arena, &row, err);
    *out_seq = rc == 0 && row.first_seq > 0 ? protocol_seq_after(row.first_seq) : 0;
    return rc == ERR_NOT_FOUND ? 0 : rc; /* rolled back meanwhile */
}

static int reply_run(const struct command *c, struct id run_id, int64_t before) {
    struct json_writer w = open_result(c);
    jw_key(&w, "run_id");
    api_write_id(&w, run_id);
    jw_key(&w, "thread_id");
    api_write_id(&w, c->thread_id);
    return close_result(c, &w, before);
}

static int run_start(struct command *c, struct err *err) {
    struct thread t;
    struct live_run *run;
    int64_t before;
    yyjson_val *asked, *input = json_get(c->params, "input");
    str assistant = json_str(json_get(c->params, "assistant_id"));
    int rc = api_may_write(c->r, err);
    if (rc < 0)
        return rc;
    if (!assistant.len)
        return refuse(c, "invalid_argument", STR("assistant_id: is required"));
    rc = questions(c, false, &t, &asked, err);
    if (rc < 0)
        return rc;
    struct json_writer w = open_run(c, assistant);
    write_strategy(c, &w);
    if (asked && answers(asked, input)) {
        jw_key(&w, "command");
        jw_object(&w);
        jw_key(&w, "resume");
        jw_val(&w, input);
        jw_object_end(&w);
    } else {
        jw_key(&w, "input");
        jw_raw(&w, json_text(c->r->arena, input));
    }
    rc = start(c, &w, &run, err);
    if (rc < 0)
        return fail(c, rc, err);
    struct id run_id = live_run_id(run);
    rc = settle(c, run, &before, err);
    if (rc < 0)
        return rc;
    return reply_run(c, run_id, before);
}

/* {interrupt_id: response}; false: an unknown one. */
static bool write_responses(const struct command *c, struct json_writer *w, yyjson_val *asked) {
    yyjson_val *list = json_get(c->params, "responses"), *item;
    size_t i, count;
    bool known = true;
    jw_object(w);
    if (!yyjson_is_arr(list)) {
        str id = json_str(json_get(c->params, "interrupt_id"));
        known = api_has_question(asked, id);
        jw_key_str(w, known ? id : STR(""));
        jw_raw(w, json_text(c->r->arena, json_get(c->params, "response")));
    }
    yyjson_arr_foreach(list, i, count, item) {
        str id = json_str(json_get(item, "interrupt_id"));
        known = known && api_has_question(asked, id);
        jw_key_str(w, known ? id : STR(""));
        jw_raw(w, json_text(c->r->arena, json_get(item, "response")));
    }
    jw_object_end(w);
    return known && (!list || yyjson_arr_size(list) > 0);
}

static int input_respond(struct command *c, struct err *err) {
    struct thread t;
    struct live_run *run;
    int64_t before;
    yyjson_val *asked;
    int rc = api_may_write(c->r, err);
    if (rc == 0)
        rc = questions(c, true, &t, &asked, err);
    if (rc < 0)
        return rc;
    str assistant = word_of(c, &t, "assistant_id");
    if (!asked || !assistant.len)
        return refuse(c, "no_such_interrupt", STR("the thread asks nothing"));
    struct json_writer w = open_run(c, assistant);
    jw_key(&w, "command");
    jw_object(&w);
    jw_key(&w, "resume");
    bool known = write_responses(c, &w, asked);
    copy(&w, c->params, "update");
    copy(&w, c->params, "goto");
    jw_object_end(&w);
    if (!known)
        return refuse(c, "no_such_interrupt", STR("the thread has no question of this id"));
    rc = start(c, &w, &run, err);
    if (rc < 0)
        return fail(c, rc, err);
    rc = settle(c, run, &before, err);
    if (rc < 0)
        return rc;
    w = open_result(c);
    return close_result(c, &w, before);
}

/* {"messages": [message]}; false: it is none. */
static bool write_injected(struct json_writer *w, yyjson_val *message) {
    str role = json_str(json_get(message, "role")), name = json_str(json_get(message, "name"));
    yyjson_val *content = json_get(message, "content");
    bool well = yyjson_is_str(content) &&
                (str_eq(role, STR("user")) || str_eq(role, STR("system")));
    jw_key(w, "input");
    jw_object(w);
    jw_key(w, "messages");
    jw_array(w);
    jw_object(w);
    jw_key(w, "role");
    jw_str(w, well ? role : STR("user"));
    jw_key(w, "content");
    jw_str(w, well ? json_str(content) : STR(""));
    if (name.len) {
        jw_key(w, "name");
        jw_str(w, name);
    }
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
    return well;
}

/* A run takes no input in its middle: the next one does, at once when none is under way. */
static int input_inject(struct command *c, struct err *err) {
    struct thread t;
    struct live_run *run;
    int64_t before;
    yyjson_val *asked;
    int rc = api_may_write(c->r, err);
    if (rc == 0)
        rc = questions(c, true, &t, &asked, err);
    if (rc < 0)
        return rc;
    str assistant = word_of(c, &t, "assistant_id");
    if (yyjson_arr_size(json_get(c->params, "namespace")) > 0)
        return refuse(c, "no_such_namespace", STR("only the thread's own graph takes messages"));
    if (!assistant.len)
        return refuse(c, "no_such_run", STR("the thread has had no run: begin with run.start"));
    if (asked)
        return refuse(c, "invalid_argument", STR("the thread asks: answer with input.respond"));
    if (!api_graph_takes_messages(c->r, word_of(c, &t, "graph_id")))
        return refuse(c, "invalid_argument", STR("this graph takes no messages"));
    struct json_writer w = open_run(c, assistant);
    jw_key(&w, "multitask_strategy");
    jw_z(&w, "enqueue");
    if (!write_injected(&w, json_get(c->params, "message")))
        return refuse(c, "invalid_argument",
                      STR("message: must have a role (user, system) and a text as content"));
    rc = start(c, &w, &run, err);
    if (rc < 0)
        return fail(c, rc, err);
    rc = settle(c, run, &before, err);
    if (rc < 0)
        return rc;
    w = open_result(c);
    return close_result(c, &w, before);
}

/* --- looking --- */

/* The graph that is meant, as checkpoints name it; false: params.namespace is no list of texts. */
static bool read_namespace(const struct command *c, str *out) {
    yyjson_val *list = json_get(c->params, "namespace"), *item;
    size_t i, count;
    *out = STR("");
    if (!list || yyjson_is_null(list))
        return true;
    bool well = yyjson_is_arr(list);
    yyjson_arr_foreach(list, i, count, item) {
        well = well && yyjson_is_str(item);
        if (well)
            *out = arena_printf(c->r->arena, STR_FMT "%s" STR_FMT, STR_ARG(*out), i ? "|" : "",
                                STR_ARG(json_str(item)));
    }
    return well;
}

static bool is_named(yyjson_val *keys, str name) {
    yyjson_val *key;
    size_t i, count;
    if (!yyjson_is_arr(keys))
        return true;
    yyjson_arr_foreach(keys, i, count, key) {
        if (str_eq(json_str(key), name))
            return true;
    }
    return false;
}

static void write_values(const struct command *c, struct json_writer *w, str values) {
    yyjson_val *root = NULL, *key, *value, *keys = json_get(c->params, "keys");
    size_t i, count;
    if (values.len && json_parse(c->r->arena, values, &root, NULL) < 0)
        root = NULL;
    jw_key(w, "values");
    jw_object(w);
    yyjson_obj_foreach(root, i, count, key, value) {
        if (!is_named(keys, json_str(key)))
            continue;
        jw_key_str(w, json_str(key));
        jw_val(w, value);
    }
    jw_object_end(w);
}

/* The newest state of a subgraph; id nil: it has none. */
static int inner_values(const struct command *c, str name_space, struct id *out_id, str *out,
                        struct err *err) {
    struct checkpoint *list;
    size_t count;
    *out_id = ID_NIL;
    *out = STR_NULL;
    int rc = checkpoint_list(c->r->store, c->thread_id, name_space, ID_NIL, STR_NULL, 1,
                             c->r->arena, &list, &count, err);
    if (rc < 0 || count == 0)
        return rc;
    rc = checkpoint_load_values(c->r->store, &list[0], c->r->arena, err);
    if (rc < 0)
        return rc;
    *out_id = list[0].id;
    *out = checkpoint_values_json(c->r->arena, &list[0]);
    return 0;
}

static int state_get(struct command *c, struct err *err) {
    struct thread t;
    str values, ns;
    int rc = thread_get(c->r->store, &c->r->who, c->thread_id, c->r->arena, &t, err);
    if (rc < 0)
        return rc;
    if (!read_namespace(c, &ns))
        return refuse(c, "invalid_argument", STR("namespace: must be a list of texts"));
    struct id at = t.checkpoint_id;
    if (ns.len)
        rc = inner_values(c, ns, &at, &values, err);
    else
        rc = checkpoint_head_values(c->r->store, c->thread_id, c->r->arena, &values, err);
    if (rc < 0)
        return rc;
    if (ns.len && id_is_nil(at))
        return refuse(c, "no_such_namespace", STR("the thread has no state of this namespace"));
    struct json_writer w = open_result(c);
    write_values(c, &w, values);
    if (!id_is_nil(at)) {
        jw_key(&w, "checkpoint");
        jw_object(&w);
        jw_key(&w, "id");
        api_write_id(&w, at);
        jw_key(&w, "ns");
        jw_str(&w, ns);
        jw_object_end(&w);
    }
    return close_result(c, &w, t.seq > 0 ? protocol_seq_after(t.seq) : 0);
}

static void write_summary(struct json_writer *w, const struct checkpoint *at) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, at->id);
    jw_key(w, "timestamp");
    api_write_time(w, at->created_at);
    jw_key(w, "step");
    jw_i64(w, at->step);
    jw_key(w, "metadata");
    jw_raw(w, at->metadata);
    jw_object_end(w);
}

static int list_checkpoints(struct command *c, struct err *err) {
    struct thread t;
    struct checkpoint *list;
    size_t count;
    str ns;
    struct id before = ID_NIL;
    yyjson_val *limit = json_get(c->params, "limit"), *cursor = json_get(c->params, "before");
    int rc = thread_get(c->r->store, &c->r->who, c->thread_id, c->r->arena, &t, err);
    if (rc < 0)
        return rc;
    if (!read_namespace(c, &ns))
        return refuse(c, "invalid_argument", STR("namespace: must be a list of texts"));
    if (limit && (!yyjson_is_int(limit) || yyjson_get_sint(limit) < 1 ||
                  yyjson_get_sint(limit) > LIST_COUNT_MAX))
        return refuse(c, "invalid_argument", STR("limit: must be between 1 and 1000"));
    if (cursor && !yyjson_is_null(cursor) && !id_parse(json_str(cursor), &before))
        return refuse(c, "no_such_checkpoint", STR("before: must be a checkpoint's id"));
    rc = checkpoint_list(c->r->store, c->thread_id, ns, before, STR_NULL,
                         limit ? yyjson_get_sint(limit) : LIST_COUNT, c->r->arena, &list, &count,
                         err);
    if (rc < 0)
        return rc;
    struct json_writer w = open_result(c);
    jw_key(&w, "checkpoints");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_summary(&w, &list[i]);
    jw_array_end(&w);
    return close_result(c, &w, -1);
}

/* The same thread goes on from there; without input, with what was next. */
static int state_fork(struct command *c, struct err *err) {
    struct thread t;
    struct checkpoint at;
    struct live_run *run;
    struct id id;
    int64_t before;
    int rc = api_may_write(c->r, err);
    if (rc == 0)
        rc = thread_get(c->r->store, &c->r->who, c->thread_id, c->r->arena, &t, err);
    if (rc < 0)
        return rc;
    bool known = id_parse(json_str(json_get(c->params, "checkpoint_id")), &id) && !id_is_nil(id);
    if (known)
        rc = checkpoint_get(c->r->store, c->thread_id, STR(""), id, c->r->arena, &at, err);
    if (!known || rc == ERR_NOT_FOUND)
        return refuse(c, "no_such_checkpoint", STR("the thread has no checkpoint of this id"));
    if (rc < 0)
        return rc;
    str assistant = word_of(c, &t, "assistant_id");
    if (!assistant.len)
        return refuse(c, "no_such_run", STR("the thread has had no run: begin with run.start"));
    struct json_writer w = open_run(c, assistant);
    jw_key(&w, "checkpoint_id");
    api_write_id(&w, id);
    jw_key(&w, "multitask_strategy");
    jw_z(&w, "enqueue");
    jw_key(&w, "input");
    jw_raw(&w, json_text(c->r->arena, json_get(c->params, "input")));
    rc = start(c, &w, &run, err);
    if (rc < 0)
        return fail(c, rc, err);
    struct id run_id = live_run_id(run);
    rc = settle(c, run, &before, err);
    return rc < 0 ? rc : reply_run(c, run_id, before);
}

static int get_tree(struct command *c, struct err *err) {
    static const char *const words[] = {[THREAD_IDLE] = "completed",
                                        [THREAD_BUSY] = "running",
                                        [THREAD_INTERRUPTED] = "interrupted",
                                        [THREAD_ERROR] = "failed"};
    struct thread t;
    int rc = thread_get(c->r->store, &c->r->who, c->thread_id, c->r->arena, &t, err);
    if (rc < 0)
        return rc;
    str graph = word_of(c, &t, "graph_id");
    struct json_writer w = open_result(c);
    jw_key(&w, "tree");
    jw_object(&w);
    jw_key(&w, "namespace");
    jw_raw(&w, STR("[]"));
    jw_key(&w, "status");
    jw_z(&w, words[t.status]);
    jw_key(&w, "graph_name");
    jw_str(&w, graph.p ? graph : STR(""));
    jw_key(&w, "children");
    jw_raw(&w, STR("[]"));
    jw_object_end(&w);
    return close_result(c, &w, -1);
}

static int not_supported(struct command *c, struct err *err) {
    (void)err;
    return refuse(c, "not_supported", STR("this command is not supported here"));
}

static const struct method {
    const char *name;
    int (*answer)(struct command *c, struct err *err);
} METHODS[] = {
    {"run.start", run_start},
    {"input.respond", input_respond},
    {"state.get", state_get},
    {"agent.getTree", get_tree},
    {"input.inject", input_inject},
    {"state.listCheckpoints", list_checkpoints},
    {"state.fork", state_fork},
    {"subscription.subscribe", not_supported},
    {"subscription.unsubscribe", not_supported},
    {"subscription.reconnect", not_supported},
};

int protocol_command(struct api_request *r, struct id thread_id,
                     int (*answer)(struct api_request *r), struct err *err) {
    struct command c = {.r = r,
                        .id = json_get(r->body, "id"),
                        .params = json_get(r->body, "params"),
                        .thread_id = thread_id,
                        .answer = answer};
    str method = json_str(json_get(r->body, "method"));
    if (!yyjson_is_int(c.id) || yyjson_get_sint(c.id) < 0 || !method.len ||
        (c.params && !yyjson_is_obj(c.params)))
        return err_set(err, ERR_MALFORMED,
                       "a command must have an id (an integer), a method and params (an object)");
    for (size_t i = 0; i < ARRAY_COUNT(METHODS); i++)
        if (str_eq(method, str_of(METHODS[i].name)))
            return METHODS[i].answer(&c, err);
    return refuse(&c, "unknown_command", STR("unknown command"));
}

static int reply(struct api_request *r) { return api_reply_json(r, 200); }

int api_protocol_command(struct api_request *r, struct err *err) {
    struct id thread_id;
    int rc = api_param_id(r, 0, &thread_id, err, "Thread with ID " STR_FMT " not found",
                          STR_ARG(r->match.params[0]));
    return rc < 0 ? rc : protocol_command(r, thread_id, reply, err);
}
