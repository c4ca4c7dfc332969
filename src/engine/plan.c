/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - from the routes of a step's tasks to the tasks of the next one.
 *
 * Joins and sends are hidden channels of the state: a join's value is the list of names that came,
 * the sends' one is [{"node", "args"}, …]. So a checkpoint says what is next, in both layouts, and
 * plan_read finds it again. */
#include "engine/plan.h"

#include "engine/state.h"

int graph_node_find(const struct graph_def *g, str name) {
    for (size_t i = 0; i < g->node_count; i++)
        if (str_eq(str_of(g->nodes[i].name), name))
            return (int)i;
    return -1;
}

void route_to(struct route *r, int node) {
    if (node == GRAPH_END)
        return;
    ASSERT(node >= 0 && (size_t)node < r->graph->node_count && node < GRAPH_NODES_MAX);
    r->nodes |= UINT64_C(1) << node;
}

static void send_push(struct route *r, int node, str json) {
    if (r->send_count == r->send_cap) {
        size_t cap = r->send_cap ? r->send_cap * 2 : 8;
        struct route_send *grown = ARENA_ARRAY(r->arena, struct route_send, cap);
        if (r->send_count)
            memcpy(grown, r->sends, r->send_count * sizeof(*grown));
        r->sends = grown;
        r->send_cap = cap;
    }
    r->sends[r->send_count++] = (struct route_send){node, json};
}

void route_send(struct route *r, int node, str json) {
    ASSERT(node >= 0 && (size_t)node < r->graph->node_count);
    if (r->send_count <= GRAPH_SENDS_MAX) /* one more says that there are too many */
        send_push(r, node, arena_dup(r->arena, json));
}

void route_fail(struct route *r, int code, const struct err *err) {
    if (r->rc < 0)
        return;
    r->rc = code;
    r->err = *err;
}

void route_add(struct route *to, const struct route *from) {
    if (from->rc < 0)
        route_fail(to, from->rc, &from->err);
    to->nodes |= from->nodes;
    for (size_t i = 0; i < from->send_count; i++)
        send_push(to, from->sends[i].node, from->sends[i].json);
}

str plan_join_channel(struct arena *a, const struct graph_def *g, const struct graph_join *j) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    buf_str(&b, STR("join:"));
    for (size_t i = 0; i < j->count; i++) {
        if (i > 0)
            buf_char(&b, '+');
        buf_str(&b, str_of(g->nodes[j->from[i]].name));
    }
    buf_char(&b, ':');
    buf_str(&b, str_of(g->nodes[j->node].name));
    ASSERT(buf_ok(&b));
    return arena_take(a, &b);
}

size_t plan_triggers(struct arena *a, const struct graph_def *g, int node, str *out) {
    size_t count = 0;
    out[count++] = arena_printf(a, "branch:to:%s", g->nodes[node].name);
    for (size_t i = 0; i < g->join_count; i++)
        if (g->joins[i].node == node)
            out[count++] = plan_join_channel(a, g, &g->joins[i]);
    for (size_t i = 1; i < count; i++) /* few */
        for (size_t k = i; k > 0 && str_cmp(out[k], out[k - 1]) < 0; k--) {
            str t = out[k];
            out[k] = out[k - 1];
            out[k - 1] = t;
        }
    return count;
}

/* --- joins --- */

static yyjson_val *came_list(struct graph_view *v, const struct state_channel *c) {
    yyjson_val *list = NULL;
    if (!c->present || json_parse(v->arena, c->value, &list, NULL) < 0)
        return NULL;
    return list;
}

static bool has_come(yyjson_val *list, const char *name) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item) {
        if (str_eq(json_str(item), str_of(name)))
            return true;
    }
    return false;
}

static bool join_complete(struct graph_view *v, size_t index) {
    const struct graph_join *j = &v->graph->joins[index];
    yyjson_val *list = came_list(v, state_join(v, index));
    for (size_t i = 0; i < j->count; i++)
        if (!has_come(list, v->graph->nodes[j->from[i]].name))
            return false;
    return j->count > 0;
}

static void join_note(struct graph_view *v, size_t index, const char *name) {
    struct state_channel *c = state_join(v, index);
    yyjson_val *list = came_list(v, c), *item;
    if (has_come(list, name))
        return;
    struct buf b;
    size_t i, n;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_arr_foreach(list, i, n, item) jw_val(&w, item);
    jw_z(&w, name);
    jw_array_end(&w);
    state_set(v, c, arena_dup(v->arena, buf_view(&b)));
    buf_deinit(&b);
}

static uint64_t joins_note(struct graph_view *v, const int *done, size_t count) {
    const struct graph_def *g = v->graph;
    uint64_t next = 0;
    for (size_t i = 0; i < g->join_count; i++) {
        for (size_t t = 0; t < count; t++)
            for (size_t k = 0; done[t] >= 0 && k < g->joins[i].count; k++)
                if (g->joins[i].from[k] == done[t])
                    join_note(v, i, g->nodes[done[t]].name);
        if (join_complete(v, i))
            next |= UINT64_C(1) << g->joins[i].node;
    }
    return next;
}

void plan_consume(struct graph_view *v) {
    for (size_t i = 0; i < v->graph->join_count; i++)
        if (state_join(v, i)->present && join_complete(v, i))
            state_set(v, state_join(v, i), STR_NULL);
    if (state_sends(v)->present)
        state_set(v, state_sends(v), STR_NULL);
}

/* --- tasks --- */

static str sends_json(struct graph_view *v, const struct route *all) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < all->send_count; i++) {
        jw_object(&w);
        jw_key(&w, "node");
        jw_z(&w, v->graph->nodes[all->sends[i].node].name);
        jw_key(&w, "args");
        jw_raw(&w, all->sends[i].json);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    return arena_take(v->arena, &b);
}

static void push_nodes(const struct graph_def *g, uint64_t nodes, struct plan *p) {
    size_t first = p->count;
    for (size_t i = 0; i < g->node_count; i++) {
        if (!(nodes >> i & 1))
            continue;
        size_t at = p->count++;
        for (; at > first &&
               str_cmp(str_of(g->nodes[i].name), str_of(g->nodes[p->tasks[at - 1].node].name)) < 0;
             at--)
            p->tasks[at] = p->tasks[at - 1];
        p->tasks[at] = (struct planned){.node = (int)i, .send = -1};
    }
}

static void plan_fill(struct graph_view *v, const struct route *all, uint64_t joined,
                      struct plan *out) {
    size_t room = all->send_count + GRAPH_NODES_MAX;
    *out = (struct plan){.tasks = ARENA_ARRAY(v->arena, struct planned, room),
                         .send_count = all->send_count,
                         .edges = all->nodes};
    for (size_t i = 0; i < all->send_count; i++)
        out->tasks[out->count++] = (struct planned){
            .node = all->sends[i].node, .send = (ptrdiff_t)i, .input = all->sends[i].json};
    push_nodes(v->graph, all->nodes | joined, out);
}

static int check_route(const struct route *all, struct err *err) {
    if (all->rc < 0 && err)
        *err = all->err;
    if (all->rc < 0)
        return all->rc;
    if (all->send_count > GRAPH_SENDS_MAX)
        return err_set(err, ERR_INVALID_UPDATE, "A step can have at most %d sends",
                       GRAPH_SENDS_MAX);
    return 0;
}

int plan_after(struct graph_view *v, const int *done, const struct route *routes, size_t count,
               struct plan *out, struct err *err) {
    struct route all = {.arena = v->arena, .graph = v->graph};
    for (size_t i = 0; i < count; i++)
        route_add(&all, &routes[i]);
    int rc = check_route(&all, err);
    if (rc < 0)
        return rc;
    uint64_t joined = joins_note(v, done, count);
    if (all.send_count)
        state_set(v, state_sends(v), sends_json(v, &all));
    plan_fill(v, &all, joined, out);
    return 0;
}

int plan_extend(struct graph_view *v, const struct route *more, struct plan *plan,
                struct err *err) {
    struct route all = {.arena = v->arena, .graph = v->graph, .nodes = plan->edges};
    uint64_t nodes = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->tasks[i].send >= 0)
            send_push(&all, plan->tasks[i].node, plan->tasks[i].input);
        else
            nodes |= UINT64_C(1) << plan->tasks[i].node;
    }
    route_add(&all, more);
    int rc = check_route(&all, err);
    if (rc < 0)
        return rc;
    if (more->send_count)
        state_set(v, state_sends(v), sends_json(v, &all));
    plan_fill(v, &all, nodes, plan);
    return 0;
}

static void read_sends(struct graph_view *v, struct route *all) {
    yyjson_val *list = NULL, *send;
    size_t i, n;
    struct state_channel *c = state_sends(v);
    if (!c->present || json_parse(v->arena, c->value, &list, NULL) < 0)
        return;
    yyjson_arr_foreach(list, i, n, send) {
        bool pair = yyjson_is_arr(send); /* as Python's are shown */
        yyjson_val *args = json_get(send, "args"), *arg = json_get(send, "arg");
        int node = graph_node_find(
            v->graph, json_str(pair ? yyjson_arr_get_first(send) : json_get(send, "node")));
        if (node >= 0 && all->send_count < GRAPH_SENDS_MAX)
            send_push(all, node,
                      json_text(v->arena, pair   ? yyjson_arr_get(send, 1)
                                          : args ? args
                                                 : arg));
    }
}

str plan_trigger_of(struct graph_view *v, const struct plan *p, int node) {
    const struct graph_def *g = v->graph;
    bool edge = p->edges >> node & 1;
    for (size_t i = 0; !edge && i < g->join_count; i++)
        if (g->joins[i].node == node && join_complete(v, i))
            return plan_join_channel(v->arena, g, &g->joins[i]);
    return arena_printf(v->arena, "branch:to:%s", g->nodes[node].name);
}

void plan_read(struct graph_view *v, yyjson_val *next, struct plan *out) {
    struct route all = {.arena = v->arena, .graph = v->graph};
    uint64_t nodes = 0;
    yyjson_val *item;
    size_t i, n, skip;
    read_sends(v, &all);
    skip = all.send_count; /* the names of sends come first */
    yyjson_arr_foreach(next, i, n, item) {
        int node = graph_node_find(v->graph, json_str(item));
        if (i >= skip && node >= 0)
            nodes |= UINT64_C(1) << node;
    }
    all.nodes = nodes;
    for (i = 0; i < v->graph->join_count; i++)
        if (join_complete(v, i))
            all.nodes &= ~(UINT64_C(1) << v->graph->joins[i].node);
    plan_fill(v, &all, nodes, out);
}
