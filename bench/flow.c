/* SPDX-License-Identifier: Apache-2.0 */
/* flow.c - mode flow of the load generator: what a user of an agent does, over and over.
 *
 *   create assistant -> create thread -> runs/wait -> runs/stream -> state -> stateless runs/wait
 *   -> store: put, get, search, delete -> delete thread -> delete assistant [-> pause]
 *
 * Each user has a connection of its own. Every answer is checked for what it must hold; a wrong
 * status, an `error` event, an answer of the model that is missing or cut short is a failure, and
 * the user starts over. An operation counts when it ends inside the window, an iteration when its
 * last operation does. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench/load.h"

enum op {
    OP_CREATE_ASSISTANT,
    OP_CREATE_THREAD,
    OP_RUN_WAIT,
    OP_RUN_STREAM,
    OP_STATE,
    OP_STATELESS_WAIT,
    OP_STORE_PUT,
    OP_STORE_GET,
    OP_STORE_SEARCH,
    OP_STORE_DELETE,
    OP_DELETE_THREAD,
    OP_DELETE_ASSISTANT,
    OP_COUNT
};
static const char *const op_names[OP_COUNT] = {
    "create_assistant", "create_thread",   "run_wait",  "run_stream",   "state",
    "stateless_wait",   "store_put",       "store_get", "store_search", "store_delete",
    "delete_thread",    "delete_assistant"};

struct flow;
struct user {
    struct flow *flow;
    struct client client;
    enum op op;
    uint64_t iteration;
    int64_t begun_us, wake_us; /* wake: when a pause ends; 0: none */
    char assistant[64], thread[64];
    uint32_t events, answers; /* of the stream */
    bool error_event, answer_seen;
    char error_text[200];
};

struct flow {
    struct load *l;
    struct user *users;
    struct samples ops[OP_COUNT], iteration, first_event, first_answer;
    uint64_t iterations;
    struct buf path, body;
};

/* --- requests -------------------------------------------------------------------------------- */

static void write_run(struct flow *f, const struct user *u, const char *words, bool stream) {
    buf_printf(&f->body,
               "{\"assistant_id\":\"%s\",\"input\":{\"messages\":[{\"role\":\"user\",\"content\":"
               "\"%s, user %zu, round %" PRIu64 "\"}]}",
               u->assistant, words, u->client.index, u->iteration);
    if (stream)
        buf_printf(&f->body, ",\"stream_mode\":[\"%s\"]", f->l->o.stream_mode);
    buf_char(&f->body, '}');
}

static const char *build_run(struct flow *f, const struct user *u) {
    switch (u->op) {
    case OP_RUN_WAIT:
        buf_printf(&f->path, "/threads/%s/runs/wait", u->thread);
        write_run(f, u, "What should a benchmark measure?", false);
        return "POST";
    case OP_RUN_STREAM:
        buf_printf(&f->path, "/threads/%s/runs/stream", u->thread);
        write_run(f, u, "And what should it leave alone?", true);
        return "POST";
    default:
        buf_z(&f->path, "/runs/wait");
        write_run(f, u, "Is this a question?", false);
        return "POST";
    }
}

static const char *build_store(struct flow *f, const struct user *u) {
    size_t n = u->client.index;
    uint64_t key = u->iteration;
    switch (u->op) {
    case OP_STORE_PUT:
        buf_z(&f->path, "/store/items");
        buf_printf(&f->body,
                   "{\"namespace\":[\"bench\",\"user-%zu\"],\"key\":\"note-%" PRIu64
                   "\",\"value\":{\"text\":\"a note of user %zu\",\"round\":%" PRIu64 "}}",
                   n, key, n, key);
        return "PUT";
    case OP_STORE_GET:
        buf_printf(&f->path, "/store/items?namespace=bench.user-%zu&key=note-%" PRIu64, n, key);
        return "GET";
    case OP_STORE_SEARCH:
        buf_z(&f->path, "/store/items/search");
        buf_printf(&f->body, "{\"namespace_prefix\":[\"bench\",\"user-%zu\"],\"limit\":10}", n);
        return "POST";
    default:
        buf_z(&f->path, "/store/items");
        buf_printf(&f->body,
                   "{\"namespace\":[\"bench\",\"user-%zu\"],\"key\":\"note-%" PRIu64 "\"}", n, key);
        return "DELETE";
    }
}

/* Path and body of the user's next request; returns the method. */
static const char *build(struct flow *f, const struct user *u) {
    switch (u->op) {
    case OP_CREATE_ASSISTANT:
        buf_z(&f->path, "/assistants");
        buf_z(&f->body, "{\"graph_id\":\"agent\",\"name\":\"bench\"}");
        return "POST";
    case OP_CREATE_THREAD:
        buf_z(&f->path, "/threads");
        buf_z(&f->body, "{}");
        return "POST";
    case OP_STATE:
        buf_printf(&f->path, "/threads/%s/state", u->thread);
        return "GET";
    case OP_DELETE_THREAD:
        buf_printf(&f->path, "/threads/%s", u->thread);
        return "DELETE";
    case OP_DELETE_ASSISTANT:
        buf_printf(&f->path, "/assistants/%s", u->assistant);
        return "DELETE";
    case OP_RUN_WAIT:
    case OP_RUN_STREAM:
    case OP_STATELESS_WAIT:
        return build_run(f, u);
    default:
        return build_store(f, u);
    }
}

static void send_next(struct user *u) {
    struct flow *f = u->flow;
    buf_reset(&f->path);
    buf_reset(&f->body);
    const char *method = build(f, u);
    u->events = u->answers = 0;
    u->error_event = u->answer_seen = false;
    client_request(&u->client, method, buf_view(&f->path),
                   f->body.len > 0 ? buf_view(&f->body) : STR_NULL);
    client_send(&u->client);
}

static void begin(struct user *u) {
    u->op = OP_CREATE_ASSISTANT;
    u->iteration++;
    u->wake_us = 0;
    u->flow->l->active++;
    u->begun_us = clock_mono_us();
    send_next(u);
}

/* --- answers --------------------------------------------------------------------------------- */

static bool holds(str text, const char *wanted) {
    return text.p && memmem(text.p, text.len, wanted, strlen(wanted));
}

/* Messages of type ai; each must have been followed by the model's words. */
static size_t count_answers(const struct flow *f, str text) {
    size_t count = 0, n = strlen(f->l->o.expect);
    for (const char *p = text.p; p; count++) {
        p = memmem(p, text.len - (size_t)(p - text.p), f->l->o.expect, n);
        if (!p)
            break;
        p += n;
    }
    return count;
}

static const char *save_id(str body, const char *key, char out[64]) {
    str id = client_json_text(body, key);
    if (!id.p || id.len == 0 || id.len > 63)
        return "no id in the answer";
    memcpy(out, id.p, id.len);
    out[id.len] = 0;
    return NULL;
}

static const char *check_values(const struct flow *f, str body, size_t answers) {
    if (holds(body, "__error__"))
        return "__error__ in the answer";
    return count_answers(f, body) == answers ? NULL : "wrong number of answers of the model";
}

static const char *check_stream(const struct user *u, const struct client *c) {
    if (!c->is_sse)
        return "not an event stream";
    if (u->error_event)
        return u->error_text;
    bool tuples = strcmp(u->flow->l->o.stream_mode, "messages-tuple") == 0;
    if (tuples)
        return u->answers >= 30 ? NULL : "too few pieces of the answer";
    return u->answer_seen ? NULL : "a stream without the model's answer";
}

static const char *check(struct user *u, struct client *c) {
    str body = buf_view(&c->body);
    int status = c->status;
    bool no_content = u->op == OP_STORE_PUT || u->op == OP_STORE_DELETE ||
                      u->op == OP_DELETE_THREAD || u->op == OP_DELETE_ASSISTANT;
    if (status != 200 && !(no_content && status == 204))
        return "unexpected status";
    switch (u->op) {
    case OP_CREATE_ASSISTANT:
        return save_id(body, "assistant_id", u->assistant);
    case OP_CREATE_THREAD:
        return save_id(body, "thread_id", u->thread);
    case OP_RUN_WAIT:
    case OP_STATELESS_WAIT:
        return check_values(u->flow, body, 1);
    case OP_STATE:
        return check_values(u->flow, body, 2);
    case OP_RUN_STREAM:
        return check_stream(u, c);
    case OP_STORE_GET:
        return holds(body, "a note of user") ? NULL : "no value";
    case OP_STORE_SEARCH:
        return holds(body, "a note of user") ? NULL : "nothing found";
    default:
        return NULL;
    }
}

static void on_event(struct client *c, str name, str data) {
    struct user *u = c->user;
    struct flow *f = u->flow;
    if (u->op != OP_RUN_STREAM)
        return;
    if (str_eq(name, STR("error"))) {
        u->error_event = true;
        (void)snprintf(u->error_text, sizeof(u->error_text), "event error: %.*s",
                       (int)(data.len < 150 ? data.len : 150), data.p);
    }
    if (u->events++ == 0 && f->l->measuring)
        samples_add(&f->first_event, clock_mono_us() - c->sent_us);
    if (str_starts(name, STR("messages"))) {
        if (u->answers++ == 0 && f->l->measuring)
            samples_add(&f->first_answer, clock_mono_us() - c->sent_us);
    } else if (str_eq(name, STR("values")) && count_answers(f, data) == 2) {
        u->answer_seen = true;
    }
}

static void end_iteration(struct user *u, int64_t now, bool good) {
    struct flow *f = u->flow;
    struct load *l = f->l;
    l->active--;
    if (good && l->measuring) {
        samples_add(&f->iteration, now - u->begun_us);
        f->iterations++;
    }
    if (l->stopping)
        return;
    /* After a failure too: a server that refuses everything must not make this recurse. */
    if (l->o.pause_ms > 0 || !good)
        u->wake_us = now + (good ? l->o.pause_ms : 20) * INT64_C(1000);
    else
        begin(u);
}

static void on_done(struct client *c, const char *error) {
    struct user *u = c->user;
    struct flow *f = u->flow;
    int64_t now = clock_mono_us();
    if (!error)
        error = check(u, c);
    if (error) {
        load_fail(f->l, "%s: %s, status %d: %.*s", op_names[u->op], error, c->status,
                  (int)(c->body.len < 200 ? c->body.len : 200), c->body.p ? c->body.p : "");
        end_iteration(u, now, false);
        return;
    }
    if (f->l->measuring)
        samples_add(&f->ops[u->op], now - c->sent_us);
    if (u->op == OP_DELETE_ASSISTANT) {
        end_iteration(u, now, true);
        return;
    }
    u->op++;
    send_next(u);
}

static int64_t tick(struct load *l) {
    struct flow *f = l->mode;
    int64_t now = clock_mono_us(), next = INT64_C(1000000);
    for (size_t i = 0; i < (size_t)l->o.connections; i++) {
        struct user *u = &f->users[i];
        if (u->wake_us == 0)
            continue;
        if (u->wake_us <= now)
            begin(u);
        else if (u->wake_us - now < next)
            next = u->wake_us - now;
    }
    return next;
}

/* --- the mode -------------------------------------------------------------------------------- */

static void write_report(struct flow *f, struct buf *out) {
    struct load *l = f->l;
    load_write(l, f->iterations, out);
    buf_printf(out,
               ",\"pause_ms\":%d,\"stream_mode\":\"%s\",\"iterations\":%" PRIu64
               ",\"per_second\":%.2f,\"iteration_us\":",
               l->o.pause_ms, l->o.stream_mode, f->iterations,
               (double)f->iterations * 1e6 / (double)(l->end_us - l->begin_us));
    samples_write(&f->iteration, out);
    buf_z(out, ",\"first_event_us\":");
    samples_write(&f->first_event, out);
    buf_z(out, ",\"first_answer_us\":");
    samples_write(&f->first_answer, out);
    buf_z(out, ",\"operations_us\":{");
    for (size_t i = 0; i < OP_COUNT; i++) {
        buf_printf(out, "%s\"%s\":", i > 0 ? "," : "", op_names[i]);
        samples_write(&f->ops[i], out);
    }
    buf_char(out, '}');
}

int flow_mode(struct load *l, struct buf *out) {
    struct flow f = {.l = l};
    size_t n = (size_t)l->o.connections;
    if (!l->o.expect) {
        load_fail(l, "flow needs --expect: words of the model's answer");
        load_write(l, 0, out);
        return -1;
    }
    f.users = mem_calloc(n, sizeof(*f.users));
    buf_init(&f.path, 4096);
    buf_init(&f.body, 1 << 16);
    l->mode = &f;
    l->done = on_done;
    l->event = on_event;
    l->tick = tick;
    int64_t now = clock_mono_us();
    for (size_t i = 0; i < n; i++) {
        struct user *u = &f.users[i];
        u->flow = &f;
        u->client = (struct client){.load = l, .index = i, .user = u, .want_body = true};
        /* Not all in step: spread over an iteration's time. */
        u->wake_us = now + 1 + (int64_t)(i * 37000 / n);
    }
    load_run(l);
    if (f.iterations == 0)
        load_fail(l, "no iteration ended inside the window");
    write_report(&f, out);
    for (size_t i = 0; i < n; i++)
        client_deinit(&f.users[i].client);
    mem_free(f.users);
    buf_deinit(&f.path);
    buf_deinit(&f.body);
    for (size_t i = 0; i < OP_COUNT; i++)
        samples_deinit(&f.ops[i]);
    samples_deinit(&f.iteration);
    samples_deinit(&f.first_event);
    samples_deinit(&f.first_answer);
    return 0;
}
