/* SPDX-License-Identifier: Apache-2.0 */
/* calls.c - requests to the process, and the way of its messages to the fibers that wait for them.
 *
 *   stdout ─▶ line ─▶ message ─┬─ answer, task.event, task.interrupt ─▶ queue of its call ─▶ fiber
 *                              └─ of no call (given up, or never made): dropped or refused
 *
 * Messages of one call keep their order. While more than QUEUED_BYTES_MAX wait, nothing is read:
 * the process waits in turn. Numbers of calls are never used twice, also not after a restart, so a
 * late answer meets nobody. */
#include "runner/runner_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

#define QUEUED_BYTES_MAX ((size_t)8 << 20)

/* --- what comes --- */

void incoming_free(struct runner *r, struct incoming *in) {
    r->queued_bytes -= in->bytes;
    if (r->process && r->queued_bytes <= QUEUED_BYTES_MAX / 2)
        rt_process_pause(r->process, false);
    arena_deinit(&in->arena);
    mem_free(in);
}

static struct call *call_of(struct runner *r, yyjson_val *id) {
    if (!yyjson_is_int(id))
        return NULL;
    LIST_EACH (&r->calls, n) {
        struct call *c = LIST_ENTRY(n, struct call, node);
        if (c->id == yyjson_get_sint(id))
            return c;
    }
    return NULL;
}

static void write_reply(struct buf *b, yyjson_val *id, str result, int code, const char *text) {
    struct json_writer w = json_writer(b);
    jw_object(&w);
    jw_key(&w, "jsonrpc");
    jw_z(&w, "2.0");
    jw_key(&w, "id");
    jw_val(&w, id);
    if (result.p) {
        jw_key(&w, "result");
        jw_raw(&w, result);
    } else {
        jw_key(&w, "error");
        jw_object(&w);
        jw_key(&w, "code");
        jw_i64(&w, code);
        jw_key(&w, "message");
        jw_z(&w, text);
        jw_object_end(&w);
    }
    jw_object_end(&w);
}

static void reply(struct runner *r, yyjson_val *id, str result, int code, const char *text) {
    struct buf b;
    struct err err = {0};
    buf_init(&b, r->o.message_bytes_max);
    write_reply(&b, id, result, code, text);
    if (runner_send(r, &b, &err) < 0)
        log_event(LOG_DEBUG, "runner.reply.lost", err.message, LOG_Z("runner", r->name));
    buf_deinit(&b);
}

void call_reply(struct call *c, yyjson_val *id, str result, int code, const char *text) {
    if (!c->dead)
        reply(c->runner, id, result, code, text);
}

/* Which call is it about? A request that is none's is refused, all else is dropped. */
static struct call *find_call(struct runner *r, const struct jsonrpc_message *m) {
    bool answer = m->kind == JSONRPC_RESULT || m->kind == JSONRPC_ERROR;
    struct call *c = call_of(r, answer ? m->id : json_get(m->params, "task"));
    if (answer || m->kind == JSONRPC_NOTIFICATION)
        return answer || str_eq(m->method, STR("task.event")) ? c : NULL;
    bool known = str_eq(m->method, STR("task.interrupt"));
    if (known && c && !c->answered)
        return c;
    reply(r, m->id, STR_NULL, known ? RUNNER_UNKNOWN_TASK : RUNNER_UNKNOWN_METHOD,
          known ? "there is no such task" : "there is no such method");
    return NULL;
}

int runner_take_line(void *arg, str line, struct err *err) {
    struct runner *r = arg;
    struct incoming *in = NEW(struct incoming);
    yyjson_val *root;
    arena_init(&in->arena, SIZE_MAX / 2); /* a line is capped */
    in->bytes = line.len;
    r->queued_bytes += in->bytes;
    int rc = json_parse(&in->arena, line, &root, err);
    if (rc == 0)
        rc = jsonrpc_read(root, &in->m, err);
    struct call *c = rc == 0 ? find_call(r, &in->m) : NULL;
    if (!c || c->answered) {
        incoming_free(r, in);
        return rc;
    }
    list_push_back(&c->queue, &in->node);
    c->answered = in->m.kind == JSONRPC_RESULT || in->m.kind == JSONRPC_ERROR;
    r->useful = r->useful || c->answered;
    fiber_unpark(c->fiber);
    if (r->queued_bytes > QUEUED_BYTES_MAX)
        rt_process_pause(r->process, true);
    return 0;
}

/* Who of several made it fail is not known: for all it is a failure that may pass. */
void calls_fail(struct runner *r, int code, const struct err *why) {
    bool alone = !list_empty(&r->calls) && r->calls.next == r->calls.prev;
    LIST_EACH (&r->calls, n) {
        struct call *c = LIST_ENTRY(n, struct call, node);
        if (c->dead || c->answered)
            continue;
        c->dead = true;
        c->err = *why;
        c->rc = alone ? code : ERR_UNAVAILABLE;
        c->err.code = c->rc;
        fiber_unpark(c->fiber);
    }
}

/* --- calls --- */

static void begin_message(struct json_writer *w, const char *method, int64_t id) {
    jw_object(w);
    jw_key(w, "jsonrpc");
    jw_z(w, "2.0");
    if (id) {
        jw_key(w, "id");
        jw_i64(w, id);
    }
    jw_key(w, "method");
    jw_z(w, method);
    jw_key(w, "params");
    jw_object(w);
}

static void end_message(struct json_writer *w) {
    jw_object_end(w);
    jw_object_end(w);
}

int call_begin(struct call *c, struct runner *r, const char *method, call_params_fn params,
               void *arg, struct err *err) {
    struct buf b;
    int rc = runner_wait(r, err);
    if (rc < 0)
        return rc;
    *c = (struct call){.runner = r, .fiber = fiber_self(), .id = ++r->id_last};
    buf_init(&b, r->o.message_bytes_max);
    struct json_writer w = json_writer(&b);
    begin_message(&w, method, c->id);
    params(arg, &w);
    end_message(&w);
    rc = runner_send(r, &b, err);
    buf_deinit(&b);
    if (rc < 0)
        return rc;
    list_init(&c->queue);
    list_push_back(&r->calls, &c->node);
    metric_add(r->tasks, 1);
    return 0;
}

int call_next(struct call *c, struct incoming **out, struct err *err) {
    if (fiber_cancelled())
        return err_set(err, ERR_CANCELLED, "the task was cancelled");
    while (list_empty(&c->queue)) {
        if (c->dead) {
            if (err)
                *err = c->err;
            return c->rc;
        }
        if (fiber_park(FIBER_NO_DEADLINE) == ERR_CANCELLED)
            return err_set(err, ERR_CANCELLED, "the task was cancelled");
    }
    *out = LIST_ENTRY(list_pop_front(&c->queue), struct incoming, node);
    return 0;
}

void call_cancel(struct call *c) {
    struct runner *r = c->runner;
    struct buf b;
    struct err err = {0};
    if (c->answered || c->dead)
        return;
    buf_init(&b, 4096);
    struct json_writer w = json_writer(&b);
    begin_message(&w, "task.cancel", 0);
    jw_key(&w, "task");
    jw_i64(&w, c->id);
    end_message(&w);
    int rc = runner_send(r, &b, &err);
    buf_deinit(&b);
    int64_t deadline_us = rt_mono_us(r->rt) + (rc < 0 ? 0 : r->o.cancel_timeout_us);
    while (!c->answered && !c->dead && fiber_park_shielded_until(deadline_us) == 0)
        ;
    if (!c->answered && !c->dead)
        runner_fail(r, ERR_TIMEOUT, "it did not stop a task that was cancelled");
}

void call_end(struct call *c) {
    struct list *n;
    list_remove(&c->node);
    while ((n = list_pop_front(&c->queue)) != NULL)
        incoming_free(c->runner, LIST_ENTRY(n, struct incoming, node));
}
