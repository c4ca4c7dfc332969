/* SPDX-License-Identifier: Apache-2.0 */
/* document_model.c - a model node: the conversation, the turns, the result.
 *
 * The conversation is what `messages` gives, then the prompt; with neither it is the channel's.
 * With `iterations` the node goes on by itself: calls are run and the model is asked again, at most
 * so often; the last time it is offered no tools, so that it answers. Without it is asked once,
 * and its calls are another node's work. */
#include "graphs/document_int.h"
#include "graphs/mcp_tools.h"
#include "graphs/tool_calls.h"
#include "model/extract.h"

#define PROMPT_BYTES_MAX ((size_t)4 << 20)
#define ITERATIONS_MAX   100

struct dialogue {
    struct node_ctx *ctx;
    struct scope *scope;
    const struct doc_node *node;
    struct conversation c;
    size_t cap, begun; /* begun: messages that were there before the model spoke */
};

static void dialogue_add(struct dialogue *d, const struct message *m) {
    if (d->c.count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 16;
        struct message *grown = ARENA_ARRAY(d->ctx->arena, struct message, cap);
        if (d->c.count)
            memcpy(grown, d->c.messages, d->c.count * sizeof(*grown));
        d->c.messages = grown;
        d->cap = cap;
    }
    d->c.messages[d->c.count++] = *m;
}

static int add_given(struct dialogue *d, struct err *err) {
    struct arena *a = d->ctx->arena;
    struct expr_value v;
    struct message *list;
    size_t count = 0;
    str json;
    yyjson_val *root;
    int rc = scope_eval(d->scope, d->node->messages, &v, err);
    if (rc < 0 || v.kind == EXPR_NULL)
        return rc;
    rc = expr_json(a, &v, (size_t)256 << 20, &json, err);
    if (rc == 0)
        rc = json_parse(a, json, &root, err);
    if (rc == 0)
        rc = message_normalise_list(a, root, &list, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = message_load(a, &list[i], err);
        if (rc == 0)
            dialogue_add(d, &list[i]);
    }
    return rc;
}

static int begin(struct dialogue *d, struct llm_request *request, struct err *err) {
    const struct doc_node *n = d->node;
    struct arena *a = d->ctx->arena;
    struct expr_value root = scope_root(d->scope);
    int rc = 0;
    str text;
    if (n->messages) {
        rc = add_given(d, err);
    } else if (!n->prompt && n->channel) {
        d->c = conversation_of(d->ctx, n->channel, 0);
        d->cap = d->c.count;
    }
    if (rc == 0 && n->prompt) {
        rc = template_render(n->prompt, &root, a, PROMPT_BYTES_MAX, &text, err);
        struct message m;
        if (rc == 0) {
            message_make_human(a, STR_NULL, text, &m);
            rc = message_load(a, &m, err);
        }
        if (rc == 0)
            dialogue_add(d, &m);
    }
    if (rc == 0 && n->system)
        rc = template_render(n->system, &root, a, PROMPT_BYTES_MAX, &request->system_prompt, err);
    d->begun = d->c.count;
    return rc;
}

static int turn(struct dialogue *d, struct llm_request *request, bool offer, struct err *err) {
    const struct agent_config *config = document_compiled(d->ctx)->models[d->node->index];
    struct conversation whole = tool_calls_complete(d->ctx->arena, &d->c);
    struct message answer;
    request->messages = whole.messages;
    request->message_count = whole.count;
    int rc = agent_turn(d->ctx, config, request, offer, &answer, err);
    if (rc == 0)
        rc = message_load(d->ctx->arena, &answer, err);
    if (rc == 0)
        dialogue_add(d, &answer);
    return rc;
}

static int iterations(struct dialogue *d, int64_t *out, struct err *err) {
    struct expr_value v = expr_of_int(1);
    int rc = d->node->iterations ? scope_eval(d->scope, d->node->iterations, &v, err) : 0;
    if (rc == 0 && (v.kind != EXPR_NUMBER || !v.integer || v.whole < 1 || v.whole > ITERATIONS_MAX))
        return err_set(err, ERR_INVALID, "iterations: must be a whole number between 1 and %d",
                       ITERATIONS_MAX);
    *out = rc == 0 ? v.whole : 0;
    return rc;
}

/* Turns of the model and its tools, until it calls none. */
static int converse(struct dialogue *d, struct llm_request *request, struct err *err) {
    const struct agent_config *config = document_compiled(d->ctx)->models[d->node->index];
    int64_t left;
    int rc = iterations(d, &left, err);
    bool loops = d->node->iterations != NULL;
    while (rc == 0) {
        rc = turn(d, request, !loops || left > 1, err);
        const struct message *last = d->c.count ? &d->c.messages[d->c.count - 1] : NULL;
        if (rc < 0 || --left == 0 || tool_calls_count(last) == 0)
            return rc;
        struct message *answers;
        size_t count;
        rc = tool_calls_run(d->ctx, config, &d->c, &answers, &count, err);
        for (size_t i = 0; i < count && rc == 0; i++) {
            rc = message_load(d->ctx->arena, &answers[i], err);
            if (rc == 0)
                dialogue_add(d, &answers[i]);
        }
    }
    return rc;
}

/* --- the result --- */

struct lazy_extract {
    struct arena *a;
    str text;
    yyjson_val *found;
    bool done;
};

static struct expr_value load_extract(void *ctx, str key) {
    struct lazy_extract *l = ctx;
    (void)key;
    if (!l->done)
        l->found = extract_json(l->a, l->text);
    l->done = true;
    return expr_of_json(l->found);
}

static struct expr_value result_of(struct dialogue *d) {
    struct arena *a = d->ctx->arena;
    size_t count = d->c.count - d->begun;
    const struct message *last = &d->c.messages[d->c.count - 1];
    struct expr_value *list = ARENA_ARRAY(a, struct expr_value, count + 1);
    struct expr_member *r = ARENA_ARRAY(a, struct expr_member, 4);
    struct lazy_extract *l = ARENA_NEW(a, struct lazy_extract);
    *l = (struct lazy_extract){.a = a, .text = message_text(a, last)};
    for (size_t i = 0; i < count; i++)
        list[i] = expr_of_json(d->c.messages[d->begun + i].root);
    struct expr_value messages = {.kind = EXPR_ARRAY, .items = list, .count = count};
    r[0] = (struct expr_member){STR("text"), expr_of_str(l->text)};
    r[1] = (struct expr_member){STR("json"), expr_of_lazy(load_extract, l)};
    r[2] = (struct expr_member){STR("message"), expr_of_json(last->root)};
    r[3] = (struct expr_member){STR("messages"), messages};
    return expr_of_members(r, 4);
}

int document_run_model(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    const struct agent_config *config = document_compiled(ctx)->models[n->index];
    struct scope s;
    struct llm_request request;
    struct dialogue d = {.ctx = ctx, .scope = &s, .node = n};
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    int rc =
        agent_config_request(config, ctx->services->settings, ctx->configurable, &request, err);
    if (rc == 0)
        rc = begin(&d, &request, err);
    if (rc == 0)
        rc = converse(&d, &request, err);
    if (rc < 0)
        return rc;
    for (size_t i = d.begun; i < d.c.count && !n->has_writes; i++)
        node_write_message(ctx, n->channel, &d.c.messages[i]);
    s.result = result_of(&d);
    return document_write(ctx, &s, err);
}
