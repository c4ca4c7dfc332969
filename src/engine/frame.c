/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c - what a frame goes on from: a checkpoint, an input, what was pending.
 *
 * Ids of tasks are made as LangGraph makes them, for JavaScript in a thread that has its versions,
 * else for Python: so a process of either finds the other's pending writes. */
#include "engine/frame.h"

#include "base/hash.h"
#include "engine/engine_int.h"
#include "engine/runner.h"

void frame_init(struct frame *f, struct live_run *run, struct frame *parent,
                const struct graph_def *def, str ns) {
    *f = (struct frame){.run = run,
                        .parent = parent,
                        .trace = parent ? parent->trace : &run->inside,
                        .thread_id = run->row.thread_id,
                        .def = def,
                        .ns = ns,
                        .parents = STR("{}"),
                        .step = -2};
    if (parent) {
        str id = id_dashed(&run->arena, parent->checkpoint_id);
        str own = arena_printf(&run->arena, "{\"" STR_FMT "\":\"" STR_FMT "\"}",
                               STR_ARG(parent->ns), STR_ARG(id));
        f->parents = json_merge(&run->arena, parent->parents, own);
    }
    state_init(&f->view, def, run->engine->store->layout, &run->arena);
}

static void add_ns(struct buf *b, const struct frame *f, str name) {
    if (f->ns.len) {
        buf_str(b, f->ns);
        buf_char(b, '|');
    }
    buf_str(b, name);
}

/* JavaScript's: of the JSON of namespace, step, name, kind, and trigger or number. */
static struct id script_task_id(struct frame *f, const struct planned *t) {
    str name = str_of(f->def->nodes[t->node].name);
    struct buf b, ns;
    buf_init(&b, SIZE_MAX / 2);
    buf_init(&ns, SIZE_MAX / 2);
    add_ns(&ns, f, name);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    jw_str(&w, buf_view(&ns));
    jw_str(&w, arena_printf(f->view.arena, "%d", f->step + 1));
    jw_str(&w, name);
    jw_z(&w, t->send < 0 ? "__pregel_pull" : "__pregel_push");
    if (t->send >= 0) {
        jw_str(&w, arena_printf(f->view.arena, "%td", t->send));
    } else {
        jw_array(&w);
        jw_str(&w, plan_trigger_of(&f->view, &f->plan, t->node));
        jw_array_end(&w);
    }
    jw_array_end(&w);
    struct id id = id_v5(f->checkpoint_id, buf_view(&b));
    buf_deinit(&b);
    buf_deinit(&ns);
    return id;
}

struct id frame_task_id(struct frame *f, const struct planned *t) {
    if (f->view.layout == CHECKPOINTS_LANGGRAPH && f->view.versions && f->view.versions->numbers)
        return script_task_id(f, t);
    struct arena *a = f->view.arena;
    str name = str_of(f->def->nodes[t->node].name);
    str *triggers = ARENA_ARRAY(a, str, f->def->join_count + 1);
    struct buf b;
    struct id id;
    buf_init(&b, SIZE_MAX / 2);
    buf_str(&b, str_n((const char *)f->checkpoint_id.b, sizeof(f->checkpoint_id.b)));
    add_ns(&b, f, name);
    buf_i64(&b, f->step + 1);
    buf_str(&b, name);
    buf_str(&b, t->send < 0 ? STR("__pregel_pull") : STR("__pregel_push"));
    if (t->send >= 0)
        buf_i64(&b, t->send);
    size_t count = t->send < 0 ? plan_triggers(a, f->def, t->node, triggers) : 0;
    for (size_t i = 0; i < count; i++)
        buf_str(&b, triggers[i]);
    hash_xxh3(buf_view(&b), id.b);
    buf_deinit(&b);
    return id;
}

str frame_task_ns(struct frame *f, const struct planned *t, struct id task_id) {
    struct arena *a = f->view.arena;
    return arena_printf(a, STR_FMT "%s%s:" STR_FMT, STR_ARG(f->ns), f->ns.len ? "|" : "",
                        f->def->nodes[t->node].name, STR_ARG(id_dashed(a, task_id)));
}

str interrupt_id(struct arena *a, str ns, size_t answered) {
    struct id id;
    str text = answered ? arena_printf(a, STR_FMT "|%zu", STR_ARG(ns), answered) : ns;
    hash_xxh3(text, id.b);
    return id_hex(a, id);
}

int frame_take(struct frame *f, struct checkpoint *c, bool shared, struct err *err) {
    struct store *store = f->run->engine->store;
    yyjson_val *next = NULL;
    if (c->lg) /* the whole step counts, also what of it has ended */
        c->lg->newest = false;
    int rc = checkpoint_load_values(store, c, &f->run->arena, err);
    if (rc == 0)
        rc = state_take_checkpoint(&f->view, c, shared, err);
    if (rc == 0 && c->next.p && json_parse(&f->run->arena, c->next, &next, err) < 0)
        rc = ERR_CORRUPT;
    if (rc < 0)
        return rc;
    plan_read(&f->view, next, &f->plan);
    if (c->lg && !c->lg->root)
        return 0; /* a state beside the checkpoints: nothing can be its child */
    f->checkpoint_id = f->stored_id = c->id;
    f->step = c->step;
    return 0;
}

void frame_route(const struct frame *f, const struct graph_view *view, int from,
                 struct route *out) {
    const struct graph_runner *runner = graph_runner_of(f->def);
    struct graph_question q = {.graph = f->def,
                               .state = view,
                               .compiled = f->compiled->object,
                               .from = from,
                               .configurable = f->run->configurable};
    if (runner->has_routes(f->def))
        runner->route(&q, out);
}

/* What waited of the state before gives way to the input. */
int frame_input(struct frame *f, const struct state_write *writes, size_t count, struct err *err) {
    const int start = GRAPH_START;
    struct route route = {.arena = f->view.arena, .graph = f->def};
    plan_consume(&f->view);
    state_step_begin(&f->view);
    for (size_t i = 0; i < count; i++) {
        int rc = state_apply(&f->view, &writes[i], err);
        if (rc < 0)
            return rc;
    }
    state_step_end(&f->view);
    frame_route(f, &f->view, GRAPH_START, &route);
    return plan_after(&f->view, &start, &route, 1, &f->plan, err);
}

int frame_pending(struct frame *f, struct err *err) {
    struct live_run *run = f->run;
    int rc = checkpoint_writes_read(run->engine->store, run->row.thread_id, f->ns, f->checkpoint_id,
                                    &run->arena, &f->pending.list, &f->pending.count, err);
    return rc < 0 || !f->pending.count ? rc : pending_apply_null(f, err);
}
