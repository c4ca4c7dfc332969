/* SPDX-License-Identifier: Apache-2.0 */
/* pending.c - what tasks wrote of a step that is not over, to rows and back.
 *
 * A task that has ended left its writes and where it leads to (branch:to:NODE, sends, joins), as
 * LangGraph's tasks do, so that a process of either can finish the step. Error, interrupts and
 * answers have numbers below zero. In LangGraph's layout messages stand as constructors, and
 * interrupts and sends as its objects where the thread has Python's versions. */
#include "engine/engine_int.h"
#include "model/lg_value.h"

#define BRANCH "branch:to:"

/* --- reading --- */

bool pending_has_ended(const struct pending *p, struct id task_id) {
    for (size_t i = 0; i < p->count; i++)
        if (id_eq(p->list[i].task_id, task_id) && write_is_output(&p->list[i]))
            return true;
    return false;
}

bool pending_has_null(const struct pending *p, str path) {
    for (size_t i = 0; i < p->count; i++)
        if (id_is_nil(p->list[i].task_id) && str_eq(p->list[i].task_path, path))
            return true;
    return false;
}

size_t pending_questions(const struct pending *p, struct arena *a, yyjson_val ***out) {
    VEC(yyjson_val *) found = {0};
    for (size_t i = 0; i < p->count; i++) {
        const struct checkpoint_write *w = &p->list[i];
        yyjson_val *list, *item;
        size_t k, n;
        if (w->idx != WRITE_INTERRUPT || pending_has_ended(p, w->task_id) ||
            json_parse(a, w->value, &list, NULL) < 0)
            continue;
        if (!yyjson_is_arr(list))
            vec_push(&found, list);
        yyjson_arr_foreach(list, k, n, item) vec_push(&found, item);
    }
    size_t count = found.count;
    *out = ARENA_ARRAY(a, yyjson_val *, count + 1);
    if (count)
        memcpy(*out, found.p, count * sizeof(**out));
    vec_deinit(&found);
    return count;
}

struct reading {
    struct graph_view *view;
    VEC(struct state_write) writes;
    struct route route;
};

static void read_send(struct reading *r, str value) {
    yyjson_val *send;
    if (json_parse(r->view->arena, value, &send, NULL) < 0)
        return;
    bool pair = yyjson_is_arr(send); /* as Python's are shown */
    yyjson_val *args = json_get(send, "args"), *arg = json_get(send, "arg");
    int node = graph_node_find(
        r->view->graph, json_str(pair ? yyjson_arr_get_first(send) : json_get(send, "node")));
    if (node >= 0)
        route_send(&r->route, node,
                   json_text(r->view->arena, pair   ? yyjson_arr_get(send, 1)
                                             : args ? args
                                                    : arg));
}

static void read_message(struct reading *r, const char *channel, yyjson_val *v) {
    struct state_write w = {.channel = channel, .is_message = true};
    if (message_normalise(r->view->arena, v, &w.message, NULL) == 0)
        vec_push(&r->writes, w);
}

static void read_write(struct reading *r, const struct checkpoint_write *row) {
    struct arena *a = r->view->arena;
    const struct state_channel *c = state_channel_of(r->view, row->channel);
    if (str_eq(row->channel, STR("__pregel_tasks"))) {
        read_send(r, row->value);
    } else if (str_starts(row->channel, STR(BRANCH))) {
        int node = graph_node_find(r->view->graph,
                                   str_slice(row->channel, sizeof(BRANCH) - 1, row->channel.len));
        if (node >= 0)
            route_to(&r->route, node);
    } else if (c && !checkpoint_is_hidden(row->channel)) {
        yyjson_val *v, *item;
        size_t i, n;
        if (c->def->kind != CHANNEL_MESSAGES) {
            struct state_write w = {.channel = c->def->name, .value = arena_dup(a, row->value)};
            vec_push(&r->writes, w);
        } else if (json_parse(a, row->value, &v, NULL) == 0) {
            if (!yyjson_is_arr(v))
                read_message(r, c->def->name, v);
            yyjson_arr_foreach(v, i, n, item) read_message(r, c->def->name, item);
        }
    }
}

static void read_task(const struct pending *p, struct id task_id, struct graph_view *view,
                      struct reading *out) {
    *out = (struct reading){.view = view, .route = {.arena = view->arena, .graph = view->graph}};
    for (size_t i = 0; i < p->count; i++)
        if (id_eq(p->list[i].task_id, task_id) && write_is_output(&p->list[i]))
            read_write(out, &p->list[i]);
}

void pending_restore(const struct pending *p, struct task *t, bool output) {
    if (output && pending_has_ended(p, t->id)) {
        struct reading r;
        read_task(p, t->id, &t->frame->view, &r);
        for (size_t i = 0; i < r.writes.count; i++)
            vec_push(&t->writes, r.writes.p[i]);
        vec_deinit(&r.writes);
        t->next = r.route;
        t->restored = t->routed = true;
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        yyjson_val *list, *item;
        size_t k, n;
        if (!id_eq(p->list[i].task_id, t->id) || p->list[i].idx != WRITE_RESUME ||
            json_parse(t->frame->view.arena, p->list[i].value, &list, NULL) < 0)
            continue;
        if (!yyjson_is_arr(list))
            vec_push(&t->answers, list);
        yyjson_arr_foreach(list, k, n, item) vec_push(&t->answers, item);
    }
}

int pending_apply_null(struct frame *f, struct err *err) {
    struct reading r;
    int rc = 0;
    read_task(&f->pending, ID_NIL, &f->view, &r);
    state_step_begin(&f->view);
    for (size_t i = 0; i < r.writes.count && rc == 0; i++)
        rc = state_apply(&f->view, &r.writes.p[i], err);
    if (rc == 0 && !route_is_empty(&r.route))
        rc = plan_extend(&f->view, &r.route, &f->plan, err);
    vec_deinit(&r.writes);
    return rc;
}

int pending_apply_ended(struct frame *f, struct err *err) {
    int rc = 0;
    state_step_begin(&f->view);
    for (size_t i = 0; i < f->plan.count && rc == 0; i++) {
        struct task t = {.frame = f, .id = frame_task_id(f, &f->plan.tasks[i])};
        pending_restore(&f->pending, &t, true);
        for (size_t k = 0; k < t.writes.count && rc == 0; k++)
            rc = state_apply(&f->view, &t.writes.p[k], err);
        vec_deinit(&t.writes);
        vec_deinit(&t.answers);
    }
    return rc;
}

/* --- writing --- */

struct writing {
    struct frame *f;
    struct db_batch *b;
    struct checkpoint_write w;
};

static bool is_lg(const struct frame *f) { return f->view.layout == CHECKPOINTS_LANGGRAPH; }

/* Python's classes: only in a thread that has its versions. */
static bool pythons(const struct frame *f) {
    return is_lg(f) && !(f->view.versions && f->view.versions->numbers);
}

static str stored_form(struct frame *f, str json) {
    str plain = json;
    if (is_lg(f) && lg_plain(f->view.arena, json, &plain, NULL) < 0)
        UNREACHABLE(); /* it is JSON that was read or made here */
    return plain;
}

/* As it stands in the rows already. */
static void add_row(struct writing *w, int idx, str channel, str value) {
    w->w.idx = idx;
    w->w.channel = channel;
    w->w.value = value;
    checkpoint_write_add(w->f->run->engine->store, w->b, w->f->run->row.thread_id, w->f->ns,
                         w->f->checkpoint_id, &w->w);
}

static void add_output(struct writing *w, str channel, str value) {
    add_row(w, w->w.idx + 1, channel, value);
}

static str message_form(struct frame *f, const struct message *m) {
    struct message copy = *m;
    struct buf b;
    if (!is_lg(f))
        return m->json;
    if (message_load(f->view.arena, &copy, NULL) < 0)
        UNREACHABLE(); /* it was valid when it was written */
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    lg_message_write(&w, copy.root);
    return arena_take(f->view.arena, &b);
}

static void add_writes(struct writing *w, const struct state_write *writes, size_t count) {
    for (size_t i = 0; i < count; i++)
        add_output(w, str_of(writes[i].channel),
                   writes[i].is_message ? message_form(w->f, &writes[i].message)
                                        : stored_form(w->f, writes[i].value));
}

static void add_route(struct writing *w, const struct route *route) {
    struct arena *a = w->f->view.arena;
    const struct graph_def *g = w->f->def;
    for (size_t i = 0; i < g->node_count; i++)
        if (route->nodes >> i & 1)
            add_output(w, arena_printf(a, BRANCH "%s", g->nodes[i].name), STR("null"));
    for (size_t i = 0; i < route->send_count; i++) {
        const struct route_send *s = &route->sends[i];
        bool python = pythons(w->f);
        str text = arena_printf(a,
                                python ? "{\"lc\":2,\"type\":\"constructor\",\"id\":[\"langgraph\","
                                         "\"types\",\"Send\"],\"kwargs\":{\"node\":\"%s\","
                                         "\"arg\":" STR_FMT "}}"
                                       : "{\"node\":\"%s\",\"args\":" STR_FMT "}",
                                g->nodes[s->node].name, STR_ARG(stored_form(w->f, s->json)));
        add_output(w, STR("__pregel_tasks"), text);
    }
}

static void add_joins(struct writing *w, int node) {
    const struct graph_def *g = w->f->def;
    struct arena *a = w->f->view.arena;
    for (size_t i = 0; i < g->join_count; i++)
        for (size_t k = 0; k < g->joins[i].count; k++)
            if (g->joins[i].from[k] == node)
                add_output(w, plan_join_channel(a, g, &g->joins[i]),
                           arena_printf(a, "\"%s\"", g->nodes[node].name));
}

static str task_path(struct task *t) {
    struct arena *a = t->frame->view.arena;
    return t->planned->send < 0
               ? arena_printf(a, "~__pregel_pull, %s", t->node->name)
               : arena_printf(a, "~__pregel_push, %010td, False", t->planned->send);
}

static str interrupts_json(struct task *t) {
    struct arena *a = t->frame->view.arena;
    bool python = pythons(t->frame);
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < t->interrupts.count; i++)
        jw_raw(&w, arena_printf(a,
                                python ? "{\"lc\":2,\"type\":\"constructor\",\"id\":[\"langgraph\","
                                         "\"types\",\"Interrupt\"],\"kwargs\":{\"id\":\"" STR_FMT
                                         "\",\"value\":" STR_FMT "}}"
                                       : "{\"id\":\"" STR_FMT "\",\"value\":" STR_FMT "}",
                                STR_ARG(t->interrupts.p[i].id),
                                STR_ARG(stored_form(t->frame, t->interrupts.p[i].value))));
    jw_array_end(&w);
    return arena_take(a, &b);
}

static str answers_json(struct task *t) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < t->answers.count; i++)
        jw_val(&w, t->answers.p[i]);
    jw_array_end(&w);
    str json = arena_take(t->frame->view.arena, &b);
    return stored_form(t->frame, json);
}

static str error_text(struct task *t) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_str(&w, arena_printf(t->frame->view.arena, "%s('%s')", error_class(t->rc),
                            t->err.message[0] ? t->err.message : err_text(t->rc)));
    return arena_take(t->frame->view.arena, &b);
}

void pending_add(struct db_batch *b, struct task *t) {
    struct writing w = {.f = t->frame, .b = b, .w = {.task_id = t->id, .task_path = task_path(t)}};
    w.w.idx = -1;
    if (t->rc == 0) {
        add_writes(&w, t->writes.p, t->writes.count);
        add_route(&w, &t->next);
        add_joins(&w, t->planned->node);
        if (w.w.idx < 0)
            add_output(&w, STR("__no_writes__"), STR("null"));
    } else if (t->rc == ERR_INTERRUPTED) {
        if (t->interrupts.count)
            add_row(&w, WRITE_INTERRUPT, STR("__interrupt__"), interrupts_json(t));
    } else {
        add_row(&w, WRITE_ERROR, STR("__error__"), error_text(t));
    }
    if (t->answered)
        add_row(&w, WRITE_RESUME, STR("__resume__"), answers_json(t));
}

void pending_add_null(struct frame *f, struct db_batch *b, const struct state_write *writes,
                      size_t count, const struct route *route, str path) {
    struct writing w = {.f = f, .b = b, .w = {.task_id = ID_NIL, .task_path = path}};
    w.w.idx = -1;
    for (size_t i = 0; i < f->pending.count; i++) /* behind those of commands before */
        if (id_is_nil(f->pending.list[i].task_id) && f->pending.list[i].idx > w.w.idx)
            w.w.idx = f->pending.list[i].idx;
    add_writes(&w, writes, count);
    add_route(&w, route);
}
