/* SPDX-License-Identifier: Apache-2.0 */
/* a2a.c - the server as an A2A agent: each assistant answers at POST /a2a/{assistant_id}.
 *
 *   message/send     SendMessage            a run; answers with its task when it is over
 *   message/stream   SendStreamingMessage   a run; its task's events
 *   tasks/get        GetTask                what became of a run
 *   tasks/resubscribe SubscribeToTask       the events of a task under way
 *   tasks/cancel     CancelTask             the run is cancelled
 *                    ListTasks              runs of the assistant, a2a_list.c
 *   tasks/pushNotificationConfig/…            who is told of a task's end, a2a_push.c
 *
 * A message begins a run in its context, which is made when it does not exist. When the thread asks
 * something, a message that names the task answers: with {"resume": [{id, value}, …]}, or plainly
 * when there is one question. Each run is a task of its own, so the answer's task is a new one.
 * Errors are of JSON-RPC with status 200, but for an unknown assistant and for what concerns
 * credentials. */
#include "api/a2a_int.h"
#include "api/agent_views.h"
#include "api/runs_int.h"
#include "base/clock.h"

struct call {
    struct api_request *r;
    struct assistant assistant;
    yyjson_val *id, *params;
    bool v1;
    struct api_a2a_send send;
    struct api_a2a_task task;
    struct push_config push; /* if the message has one */
};

static int refuse(const struct call *c, int64_t code, str text) {
    return rpc_reply_error(c->r, 200, c->id, &(struct rpc_error){.code = code, .text = text});
}

/* A failure that the caller can mend is told as the protocol wants it. */
static int fail(const struct call *c, int rc, const struct err *err) {
    if (rc == ERR_NOT_FOUND)
        return refuse(c, A2A_NO_TASK, STR("Task not found"));
    if (rc == ERR_INVALID || rc == ERR_INVALID_UPDATE || rc == ERR_CONFLICT ||
        rc == ERR_TOO_LARGE || rc == ERR_MALFORMED)
        return refuse(c, RPC_INVALID_PARAMS, api_error_text(c->r, err, rc));
    return rc;
}

/* wrapped: as the answer to a message, which version 1 names. */
static void write_task(const struct call *c, struct json_writer *w, bool wrapped, int64_t history) {
    struct api_a2a_writer o = {w, c->r->arena, c->v1};
    rpc_open(w, c->id);
    if (wrapped && c->v1) {
        jw_object(w);
        jw_key(w, "task");
    }
    api_a2a_write_task(&o, &c->task, history);
    if (wrapped && c->v1)
        jw_object_end(w);
    rpc_close(w);
}

static int reply_task(struct call *c, bool wrapped, int64_t history) {
    struct json_writer w = api_json(c->r);
    write_task(c, &w, wrapped, history);
    return api_reply_json(c->r, 200);
}

/* --- what a message is to the run --- */

/* {id: value, …} of [{id, value}, …]. */
static bool write_answers(struct json_writer *w, yyjson_val *interrupts, yyjson_val *resume) {
    yyjson_val *item;
    size_t i, count;
    bool known = true;
    jw_object(w);
    yyjson_arr_foreach(resume, i, count, item) {
        str id = json_str(json_get(item, "id"));
        if (!id.len && yyjson_arr_size(interrupts) == 1)
            id = json_str(json_get(yyjson_arr_get_first(interrupts), "id"));
        known = known && api_has_question(interrupts, id);
        jw_key_str(w, id.len ? id : STR(""));
        jw_val(w, json_get(item, "value"));
    }
    jw_object_end(w);
    return known;
}

/* False: no question is answered by it, e says why. */
static bool write_command(struct call *c, struct json_writer *w, yyjson_val *interrupts,
                          struct rpc_error *e) {
    bool known = true;
    *e = (struct rpc_error){RPC_INVALID_PARAMS, STR("resume: has an unknown id of a question"),
                            STR_NULL};
    jw_key(w, "command");
    jw_object(w);
    jw_key(w, "resume");
    if (c->send.resume) {
        known = write_answers(w, interrupts, c->send.resume);
    } else if (yyjson_arr_size(interrupts) > 1) {
        known = false;
        e->text = STR("there are several questions: answer with {\"resume\": [{id, value}, …]}");
    } else if (c->send.text.p) {
        jw_str(w, c->send.text);
    } else {
        jw_raw(w, c->send.data);
    }
    jw_object_end(w);
    return known;
}

static void write_input(struct call *c, struct json_writer *w) {
    str message = STR_NULL;
    if (c->send.content.p)
        message = arena_printf(c->r->arena,
                               "{\"messages\":[{\"role\":\"user\",\"content\":" STR_FMT "}]}",
                               STR_ARG(c->send.content));
    jw_key(w, "input");
    jw_raw(w, json_merge(c->r->arena, message, c->send.data));
}

/* The questions that the message answers; NULL: it begins something new. */
static int find_questions(struct call *c, yyjson_val **out, struct err *err) {
    struct thread t;
    *out = NULL;
    if (!c->send.resume && id_is_nil(c->send.run_id))
        return 0;
    if (id_is_nil(c->send.thread_id))
        return err_set(err, ERR_INVALID, "message.taskId: is needed to answer a question");
    if (!id_is_nil(c->send.run_id)) {
        struct api_a2a_task task = {.thread_id = c->send.thread_id, .run_id = c->send.run_id};
        int rc =
            api_a2a_task_load(c->r->store, &c->r->who, c->assistant.id, &task, c->r->arena, err);
        if (rc < 0)
            return rc;
    }
    int rc = thread_get(c->r->store, &c->r->who, c->send.thread_id, c->r->arena, &t, err);
    if (rc < 0)
        return rc;
    *out = api_questions_of(c->r->arena, &t);
    if (c->send.resume && !*out)
        return err_set(err, ERR_INVALID, "the task asks nothing");
    return 0;
}

/* The RunCreate. tokens: somebody may want them. out NULL afterwards: refused, e says why. */
static int make_run(struct call *c, bool tokens, yyjson_val **out, struct rpc_error *e,
                    struct err *err) {
    yyjson_val *questions;
    *out = NULL;
    int rc = find_questions(c, &questions, err);
    if (rc < 0)
        return rc;
    if (!questions && c->send.content.p && !api_graph_takes_messages(c->r, c->assistant.graph_id)) {
        *e =
            (struct rpc_error){RPC_INVALID_PARAMS,
                               STR("this assistant takes no messages: send a data part"), STR_NULL};
        return 0;
    }
    struct json_writer w = api_json(c->r);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    api_write_id(&w, c->assistant.id);
    jw_key(&w, "if_not_exists");
    jw_z(&w, "create");
    jw_key(&w, "a2a");
    jw_bool(&w, true);
    if (tokens) {
        jw_key(&w, "stream_mode");
        jw_raw(&w, STR("[\"values\",\"messages-tuple\"]"));
    }
    if (c->send.metadata.p) {
        jw_key(&w, "metadata");
        jw_raw(&w, c->send.metadata);
    }
    if (!questions)
        write_input(c, &w);
    else if (!write_command(c, &w, questions, e))
        return 0;
    jw_object_end(&w);
    return api_json_read(c->r, out, err);
}

/* --- message/send, message/stream --- */

static void write_outcome(void *ctx, struct json_writer *w, const struct run_outcome *outcome) {
    struct call *c = ctx;
    api_a2a_task_of_outcome(c->r->arena, outcome, &c->task);
    c->task.at_us = clock_wall_us();
    write_task(c, w, true, c->send.history);
}

static void take_run(struct call *c, const struct live_run *run) {
    c->task = (struct api_a2a_task){.thread_id = live_run_thread(run),
                                    .run_id = live_run_id(run),
                                    .state = A2A_SUBMITTED,
                                    .at_us = live_run_row(run)->created_at};
}

static void on_accepted(void *ctx, struct live_run *run) {
    struct call *c = ctx;
    take_run(c, run);
    api_a2a_stream_live(api_a2a_stream_open(c->r, c->id, c->v1, c->assistant.id, &c->task));
}

/* Whoever is to be told of the end stands in the batch that makes the run. */
static void join_push(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct call *c = ctx;
    struct push_config config = c->push;
    config.thread_id = live_run_thread(run);
    config.run_id = live_run_id(run);
    if (!config.id.len)
        config.id = api_a2a_task_name(c->r->arena, config.thread_id, config.run_id);
    push_config_add(b, &config, clock_wall_us());
}

static int start(struct call *c, bool stream, struct live_run **out, struct rpc_error *e,
                 struct err *err) {
    struct run_submit s;
    yyjson_val *body;
    *out = NULL;
    int rc = make_run(c, stream || c->send.returns_at_once, &body, e, err);
    if (rc < 0 || !body)
        return rc;
    rc = run_submit_fill(c->r, body, &s, err);
    if (rc < 0)
        return rc;
    s.thread_id = id_is_nil(c->send.thread_id) ? id_v7() : c->send.thread_id;
    s.ctx = c;
    if (stream)
        s.accepted = on_accepted;
    if (c->send.push)
        s.join_batch = join_push;
    s.join_refers = s.join_batch != NULL;
    return engine_submit(c->r->engine, &s, out, err);
}

static int send_message(struct call *c, bool stream, struct err *err) {
    struct rpc_error e = {0};
    struct live_run *run;
    int rc = api_may_write(c->r, err);
    if (rc < 0)
        return rc;
    if (!api_a2a_send_read(c->r->arena, c->params, &c->send, &e))
        return refuse(c, e.code, e.text);
    if (c->send.push && !api_a2a_push_read(c->r, c->send.push, c->v1, &c->push, &e))
        return refuse(c, e.code, e.text);
    rc = start(c, stream, &run, &e, err);
    if (rc < 0)
        return http_replied(c->r->http) ? rc : fail(c, rc, err);
    if (!run)
        return refuse(c, e.code, e.text);
    take_run(c, run);
    if (!stream && c->send.returns_at_once)
        rc = reply_task(c, true, 0);
    else if (!stream)
        rc = run_wait_answer(
            c->r,
            &(struct run_wait){
                .id = live_run_id(run), .live = run, .write = write_outcome, .ctx = c},
            err);
    live_run_unref(run);
    return rc;
}

static int message_send(struct call *c, struct err *err) { return send_message(c, false, err); }
static int message_stream(struct call *c, struct err *err) { return send_message(c, true, err); }

/* --- tasks --- */

static int load(struct call *c, struct err *err) {
    str id = json_str(json_get(c->params, "id"));
    if (!api_a2a_task_id_read(id, &c->task.thread_id, &c->task.run_id))
        return err_set(err, ERR_NOT_FOUND, "Task not found");
    return api_a2a_task_load(c->r->store, &c->r->who, c->assistant.id, &c->task, c->r->arena, err);
}

static int task_get(struct call *c, struct err *err) {
    int rc = load(c, err);
    return rc < 0 ? fail(c, rc, err) : reply_task(c, false, api_a2a_history_read(c->params));
}

static int task_subscribe(struct call *c, struct err *err) {
    struct run run;
    int rc = load(c, err);
    if (rc == 0)
        rc = run_get(c->r->store, &c->r->who, c->task.thread_id, c->task.run_id, c->r->arena, &run,
                     err);
    if (rc < 0)
        return fail(c, rc, err);
    if (c->task.state > A2A_WORKING)
        return refuse(c, A2A_UNSUPPORTED, STR("The task is over: get it"));
    return api_a2a_stream_join(api_a2a_stream_open(c->r, c->id, c->v1, c->assistant.id, &c->task),
                               run.first_seq, err);
}

/* Answers when the run has ended; that may have been before the wish reached it. */
static int task_cancel(struct call *c, struct err *err) {
    int rc = api_may_write(c->r, err);
    if (rc < 0)
        return rc;
    rc = load(c, err);
    if (rc == 0 && c->task.state <= A2A_WORKING)
        rc = engine_cancel(c->r->engine, &c->r->who, c->task.thread_id, c->task.run_id,
                           CANCEL_INTERRUPT, STR("cancelled by a client of A2A"), true, err);
    else if (rc == 0)
        rc = ERR_CONFLICT;
    if (rc == ERR_CONFLICT)
        return refuse(c, A2A_NO_CANCEL, STR("The task is over"));
    if (rc == 0)
        rc = load(c, err);
    return rc < 0 ? fail(c, rc, err) : reply_task(c, false, 0);
}

static int task_list(struct call *c, struct err *err) {
    struct api_a2a_list l;
    struct rpc_error e = {0};
    if (!api_a2a_list_read(c->params, &l, &e))
        return refuse(c, e.code, e.text);
    l.filter.assistant_id = c->assistant.id;
    return api_a2a_list_reply(c->r, c->id, &l, err);
}

static int push(struct call *c, enum api_a2a_push what, struct err *err) {
    struct api_a2a_push_call call = {c->r, c->id, c->params, c->v1, c->assistant.id};
    bool writes = what == A2A_PUSH_SET || what == A2A_PUSH_DELETE;
    int rc = writes ? api_may_write(c->r, err) : 0;
    if (rc < 0)
        return rc;
    rc = api_a2a_push(&call, what, err);
    return rc == ERR_LIMIT ? refuse(c, RPC_INVALID_PARAMS, api_error_text(c->r, err, rc))
           : rc < 0        ? fail(c, rc, err)
                           : 0;
}

static int push_set(struct call *c, struct err *err) { return push(c, A2A_PUSH_SET, err); }
static int push_get(struct call *c, struct err *err) { return push(c, A2A_PUSH_GET, err); }
static int push_list(struct call *c, struct err *err) { return push(c, A2A_PUSH_LIST, err); }
static int push_delete(struct call *c, struct err *err) { return push(c, A2A_PUSH_DELETE, err); }

static int extended_card(struct call *c, struct err *err) {
    (void)err;
    if (!api_a2a_has_extended_card(c->r))
        return refuse(c, A2A_NO_CARD, STR("There is no extended card"));
    struct json_writer w = api_json(c->r);
    rpc_open(&w, c->id);
    api_a2a_write_card(c->r, &w, &c->assistant);
    rpc_close(&w);
    return api_reply_json(c->r, 200);
}

static const struct method {
    const char *name, *name_v1; /* NULL: only in the other version */
    int (*answer)(struct call *c, struct err *err);
} METHODS[] = {
    {"message/send", "SendMessage", message_send},
    {"message/stream", "SendStreamingMessage", message_stream},
    {"tasks/get", "GetTask", task_get},
    {"tasks/resubscribe", "SubscribeToTask", task_subscribe},
    {"tasks/cancel", "CancelTask", task_cancel},
    {NULL, "ListTasks", task_list},
    {"tasks/pushNotificationConfig/set", "CreateTaskPushNotificationConfig", push_set},
    {"tasks/pushNotificationConfig/get", "GetTaskPushNotificationConfig", push_get},
    {"tasks/pushNotificationConfig/list", "ListTaskPushNotificationConfigs", push_list},
    {"tasks/pushNotificationConfig/delete", "DeleteTaskPushNotificationConfig", push_delete},
    {"agent/getAuthenticatedExtendedCard", "GetExtendedAgentCard", extended_card},
};

static const struct method *find(str name, bool *v1) {
    for (size_t i = 0; i < ARRAY_COUNT(METHODS); i++) {
        *v1 = METHODS[i].name_v1 && str_eq(name, str_of(METHODS[i].name_v1));
        if (*v1 || (METHODS[i].name && str_eq(name, str_of(METHODS[i].name))))
            return &METHODS[i];
    }
    return NULL;
}

int api_a2a_post(struct api_request *r, struct err *err) {
    struct call c = {.r = r};
    struct jsonrpc_message m;
    struct id id;
    struct err wrong = {0};
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc == 0)
        rc = assistant_get(r->store, &r->who, id, r->arena, &c.assistant, err);
    if (rc < 0)
        return rc;
    if (!r->body || jsonrpc_read(r->body, &m, &wrong) < 0 || m.kind != JSONRPC_REQUEST ||
        (m.params && !yyjson_is_obj(m.params)))
        return rpc_reply_error(r, 400, NULL,
                               &(struct rpc_error){.code = RPC_INVALID_REQUEST,
                                                   .text = STR("the body must be a request of "
                                                               "JSON-RPC 2.0 with an id")});
    c.id = m.id;
    c.params = m.params;
    if (!api_a2a_version_is_known(http_header(r->http, STR("a2a-version"))))
        return refuse(&c, A2A_NO_VERSION, STR("A2A-Version: must be 0.3 or 1.0"));
    const struct method *method = find(m.method, &c.v1);
    return method ? method->answer(&c, err) : refuse(&c, RPC_NO_METHOD, STR("Method not found"));
}
