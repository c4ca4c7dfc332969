/* SPDX-License-Identifier: Apache-2.0 */
/* task.c - what a node may do: write channels, emit tokens, report time.
 *
 * Writes are collected per task and applied together after the step, in task order, so the result
 * does not depend on which task finished first. */
#include "engine/engine_int.h"

static const struct channel_def *channel_def_of(const struct task *t, const char *name) {
    const struct graph_def *g = t->frame->def;
    for (size_t i = 0; i < g->channel_count; i++)
        if (strcmp(g->channels[i].name, name) == 0)
            return &g->channels[i];
    return NULL;
}

void node_write_value(struct node_ctx *ctx, const char *channel, str json) {
    struct task *t = ctx->task;
    const struct channel_def *def = channel_def_of(t, channel);
    ASSERT(def && def->kind != CHANNEL_MESSAGES);
    struct state_write w = {.channel = def->name, .value = arena_dup(&t->run->arena, json)};
    vec_push(&t->writes, w);
}

void node_write_message(struct node_ctx *ctx, const char *channel, const struct message *m) {
    struct task *t = ctx->task;
    const struct channel_def *def = channel_def_of(t, channel);
    ASSERT(def && def->kind == CHANNEL_MESSAGES);
    struct state_write w = {.channel = def->name, .is_message = true, .message = *m};
    w.message.id = arena_dup(&t->run->arena, m->id);
    w.message.json = arena_dup(&t->run->arena, m->json);
    w.message.type_name = arena_dup(&t->run->arena, m->type_name);
    w.message.root = NULL;
    vec_push(&t->writes, w);
}

void node_routed(struct node_ctx *ctx) { ((struct task *)ctx->task)->routed = true; }

struct id node_task_id(const struct node_ctx *ctx) { return ((const struct task *)ctx->task)->id; }

str node_name_space(const struct node_ctx *ctx) {
    const struct task *t = ctx->task;
    return frame_task_ns(t->frame, t->planned, t->id);
}

void node_goto(struct node_ctx *ctx, int node) {
    route_to(&((struct task *)ctx->task)->next, node);
}

void node_send(struct node_ctx *ctx, int node, str json) {
    route_send(&((struct task *)ctx->task)->next, node, json);
}

int node_interrupt(struct node_ctx *ctx, str value_json, yyjson_val **out_resume,
                   struct err *err) {
    struct task *t = ctx->task;
    struct live_run *run = t->run;
    size_t index = t->asked++;
    if (index >= t->answers.count && run->resume_one) {
        vec_push(&t->answers, run->resume_one);
        run->resume_one = NULL; /* it is one question's */
        t->answered = true;
        t->answered_id =
            interrupt_id(&run->arena, frame_task_ns(t->frame, t->planned, t->id), index);
    }
    if (index < t->answers.count) {
        *out_resume = t->answers.p[index];
        return 0;
    }
    str ns = frame_task_ns(t->frame, t->planned, t->id);
    struct interrupt asked = {.id = interrupt_id(&run->arena, ns, t->answers.count),
                              .value = arena_dup(&run->arena, value_json)};
    vec_push(&t->interrupts, asked);
    return err_set(err, ERR_INTERRUPTED, "%s waits for an answer", ctx->node->name);
}

yyjson_val *node_answer(const struct node_ctx *ctx, str id) {
    const struct live_run *run = ((const struct task *)ctx->task)->run;
    if (run->resume_map)
        return json_get_str(run->resume_map, id);
    return run->resume_id.p && str_eq(run->resume_id, id) ? run->resume_one : NULL;
}

int node_ask(struct node_ctx *ctx, str id, str value_json, struct err *err) {
    struct task *t = ctx->task;
    struct interrupt asked = {.id = arena_dup(&t->run->arena, id),
                              .value = arena_dup(&t->run->arena, value_json)};
    vec_push(&t->interrupts, asked);
    return err_set(err, ERR_INTERRUPTED, "%s waits for an answer", ctx->node->name);
}

bool node_run_is_cancelled(const struct node_ctx *ctx) {
    const struct live_run *run = ((const struct task *)ctx->task)->run;
    return run->cancel && !run->hand_back;
}

bool node_run_has_begun(const struct node_ctx *ctx) {
    return live_run_has_begun(((const struct task *)ctx->task)->run);
}

int node_commit(struct node_ctx *ctx, struct db_batch *b, const str *entries, size_t count,
                struct err *err) {
    return live_run_commit_own(((struct task *)ctx->task)->run, b, entries, count, err);
}

int node_keep_state(struct node_ctx *ctx, struct err *err) {
    struct task *t = ctx->task;
    return live_run_keep_state(t->frame, err);
}

/* Also while this process drains: a failure would end the run, being handed back does not. */
bool node_try_again(struct node_ctx *ctx, int rc, int64_t *wait_us) {
    const struct live_run *run = ((const struct task *)ctx->task)->run;
    if (!live_run_own_may_retry(run, rc))
        return false;
    *wait_us = live_run_next_wait_us(*wait_us);
    fiber_sleep_shielded_us(*wait_us);
    return true;
}

static void write_task_id(struct json_writer *w, const struct task *t) {
    char id[ID_DASHED_LEN];
    id_write_dashed(t->id, id);
    jw_object(w);
    jw_key(w, "t");
    jw_str(w, str_n(id, sizeof(id)));
    if (t->frame->ns.len) {
        jw_key(w, "n");
        jw_str(w, t->frame->ns);
    }
}

static void emit(struct task *t, struct buf *b) {
    if (buf_ok(b))
        hub_fragment(t->run->engine->hub, t->run->topic, t->run->row.id, buf_view(b));
    buf_deinit(b);
}

void node_emit_chunk(struct node_ctx *ctx, const struct node_chunk *c) {
    if (!ctx->want_tokens)
        return;
    struct task *t = ctx->task;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    write_task_id(&w, t);
    jw_key(&w, "m");
    jw_str(&w, c->message_id);
    bool thinks = c->thinking.len > 0;
    if (thinks) {
        jw_key(&w, "r");
        jw_bool(&w, true);
    }
    if (thinks || c->content.p) {
        jw_key(&w, "c");
        jw_str(&w, thinks ? c->thinking : c->content);
    }
    if (c->has_tool_call) {
        jw_key(&w, "tc");
        jw_object(&w);
        jw_key(&w, "index");
        jw_i64(&w, c->tool_index);
        jw_key(&w, "id");
        jw_str(&w, c->tool_id);
        jw_key(&w, "name");
        jw_str(&w, c->tool_name);
        jw_key(&w, "args");
        jw_str(&w, c->tool_arguments);
        jw_object_end(&w);
    }
    jw_object_end(&w);
    emit(t, &b);
}

void node_emit_custom(struct node_ctx *ctx, str json) {
    struct task *t = ctx->task;
    if (!(t->run->modes & STREAM_CUSTOM) || (t->frame->parent && !t->run->subgraphs))
        return;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    write_task_id(&w, t);
    jw_key(&w, "x");
    jw_raw(&w, json);
    jw_object_end(&w);
    emit(t, &b);
}

void node_observe(struct node_ctx *ctx, const char *phase, int64_t us) {
    struct engine *e = ((struct task *)ctx->task)->run->engine;
    metric_observe_us(strcmp(phase, "llm") == 0 ? e->metrics.phase_llm : e->metrics.phase_tool, us);
}
