/* SPDX-License-Identifier: Apache-2.0 */
/* update.c - a state changed without a run, as if nodes had written.
 *
 *   values as a node    its writes, then where it leads to: what was next before is forgotten
 *   null as __end__     what ended of the step is applied, nothing is next
 *   as __start__        as an input: its writes, then the first tasks (also __input__)
 *   as __copy__         the same state again beside it; then, if told, writes on that
 *
 * Each super-step makes a checkpoint; all stand in one batch, which fails when a run of the thread
 * is live, or the thread has moved on since its state was read. Who wrote last is told by what the
 * checkpoint before said was next; when that were several it is ambiguous, as in the libraries. */
#include "engine/engine_int.h"
#include "engine/inspect.h"

#define ANCESTORS_MAX 1000

/* --- who wrote last --- */

static bool is_written_by_hand(str source) {
    return str_eq(source, STR("update")) || str_eq(source, STR("fork"));
}

static int last_of(struct frame *f, str next, str *out, struct err *err) {
    yyjson_val *list, *item;
    size_t i, n;
    if (json_parse(&f->run->arena, next, &list, err) < 0)
        return ERR_CORRUPT;
    *out = json_str(yyjson_arr_get_first(list));
    yyjson_arr_foreach(list, i, n, item) {
        if (!str_eq(json_str(item), *out))
            *out = STR_NULL;
    }
    return out->p ? 0
                  : err_set(err, ERR_INVALID_UPDATE, "Ambiguous update, specify as_node");
}

static int who_wrote_last(struct frame *f, const struct checkpoint *from, str *out,
                          struct err *err) {
    struct store *store = f->run->engine->store;
    struct checkpoint c = *from;
    for (int i = 0; i < ANCESTORS_MAX; i++) {
        bool by_hand = is_written_by_hand(c.source);
        if (id_is_nil(c.parent_id) || str_eq(c.source, STR("input"))) {
            *out = STR("__start__");
            return 0;
        }
        int rc = checkpoint_get(store, f->run->row.thread_id, f->ns, c.parent_id, &f->run->arena,
                                &c, err);
        if (rc < 0)
            return rc == ERR_NOT_FOUND
                       ? err_set(err, ERR_INVALID_UPDATE, "Ambiguous update, specify as_node")
                       : rc;
        if (by_hand)
            continue;
        if (c.lg && !json_has(c.lg->root, "holdfast"))
            rc = checkpoint_load_values(store, &c, &f->run->arena, err);
        return rc < 0 ? rc : last_of(f, c.next, out, err);
    }
    return err_set(err, ERR_INVALID_UPDATE, "Ambiguous update, specify as_node");
}

/* --- super-steps --- */

struct changing {
    struct frame *f;
    struct db_batch *b;
    const struct checkpoint *origin; /* NULL: there is none, or it is not the newest any more */
    str last;                        /* who wrote last, once a super-step was applied */
};

static void make(struct changing *c, const char *source) {
    struct hub_entry unused;
    checkpoint_make(c->f, source, true, c->b, &unused);
    c->f->pending.count = 0;
    c->origin = NULL;
}

static int read_writes(struct frame *f, const struct state_update *u, struct state_write **writes,
                       size_t *count, struct route *route, struct err *err) {
    yyjson_val *update = u->values;
    *writes = NULL;
    *count = 0;
    if (u->command) {
        struct command c;
        int rc = command_read(f, u->command, &c, err);
        if (rc < 0)
            return rc;
        *writes = c.writes;
        *count = c.count;
        route_add(route, &c.route);
        return 0;
    }
    if (!update || yyjson_is_null(update))
        return 0;
    return state_read_values(&f->view, update, false, writes, count, err);
}

static int node_of(struct frame *f, str as_node, int *out, struct err *err) {
    bool start = str_eq(as_node, STR("__start__")) || str_eq(as_node, STR("__input__"));
    *out = start ? GRAPH_START : graph_node_find(f->def, as_node);
    if (!start && *out < 0)
        return err_set(err, ERR_INVALID_UPDATE, "Node %.*s does not exist",
                       (int)(as_node.len < 100 ? as_node.len : 100), as_node.p);
    return 0;
}

static int as_nodes(struct changing *c, const struct state_update *updates, size_t count,
                    struct err *err) {
    struct frame *f = c->f;
    int *done = ARENA_ARRAY(f->view.arena, int, count);
    struct route *routes = ARENA_ARRAY(f->view.arena, struct route, count);
    if (state_sends(&f->view)->present)
        state_set(&f->view, state_sends(&f->view), STR_NULL);
    struct state_write **writes = ARENA_ARRAY(f->view.arena, struct state_write *, count);
    size_t *counts = ARENA_ARRAY(f->view.arena, size_t, count);
    for (size_t i = 0; i < count; i++) {
        routes[i] = (struct route){.arena = f->view.arena, .graph = f->def};
        int rc = node_of(f, updates[i].as_node, &done[i], err);
        if (rc == 0)
            rc = read_writes(f, &updates[i], &writes[i], &counts[i], &routes[i], err);
        if (rc == 0 && count > 1) {
            struct graph_view seen;
            rc = state_with(&f->view, writes[i], counts[i], &seen, err);
            if (rc == 0)
                frame_route(f, &seen, done[i], &routes[i]);
        }
        if (rc < 0)
            return rc;
    }
    state_step_begin(&f->view);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < counts[i]; k++) {
            int rc = state_apply(&f->view, &writes[i][k], err);
            if (rc < 0)
                return rc;
        }
    state_step_end(&f->view);
    if (count == 1)
        frame_route(f, &f->view, done[0], &routes[0]);
    int rc = plan_after(&f->view, done, routes, count, &f->plan, err);
    if (rc == 0)
        make(c, count == 1 && str_eq(updates[0].as_node, STR("__input__")) ? "loop" : "update");
    return rc;
}

/* What ended of the step counts, the rest of it is given up. */
static int as_end(struct changing *c, struct err *err) {
    struct frame *f = c->f;
    int rc = f->pending.count ? pending_apply_ended(f, err) : 0;
    if (rc < 0)
        return rc;
    plan_consume(&f->view);
    f->plan = (struct plan){.tasks = f->plan.tasks};
    make(c, "update");
    return 0;
}

static int as_copy(struct changing *c, const struct state_update *u, struct err *err) {
    struct frame *f = c->f;
    yyjson_val *item;
    size_t i, n, count = yyjson_arr_size(u->values);
    if (id_is_nil(f->checkpoint_id))
        return err_set(err, ERR_INVALID_UPDATE, "Cannot copy a non-existent checkpoint");
    if (c->origin)
        f->stored_id = c->origin->parent_id;
    make(c, "fork");
    if (!count)
        return 0;
    struct state_update *updates = ARENA_ARRAY(f->view.arena, struct state_update, count);
    yyjson_arr_foreach(u->values, i, n, item) {
        if (!yyjson_is_arr(item))
            return err_set(err, ERR_INVALID_UPDATE,
                           "Invalid update item when copying checkpoint");
        updates[i] = (struct state_update){.values = yyjson_arr_get(item, 0),
                                           .as_node = json_str(yyjson_arr_get(item, 1))};
        if (!updates[i].as_node.p)
            return err_set(err, ERR_INVALID_UPDATE,
                           "as_node is required when applying multiple updates");
    }
    return as_nodes(c, updates, count, err);
}

static int alone(const struct state_superstep *s, const char *why, struct err *err) {
    return s->count == 1 ? 0 : err_set(err, ERR_INVALID_UPDATE, "%s", why);
}

static int superstep(struct changing *c, const struct state_superstep *s, struct err *err) {
    struct state_update first = s->updates[0];
    bool null = (!first.values || yyjson_is_null(first.values)) && !first.command;
    int rc = 0;
    if (null && str_eq(first.as_node, STR("__end__"))) {
        rc = alone(s, "Cannot apply multiple updates when clearing state", err);
        return rc < 0 ? rc : as_end(c, err);
    }
    if (str_eq(first.as_node, STR("__copy__"))) {
        rc = alone(s, "Cannot copy checkpoint with multiple updates", err);
        return rc < 0 ? rc : as_copy(c, &first, err);
    }
    if (str_eq(first.as_node, STR("__input__")))
        rc = alone(s, "Cannot apply multiple updates when updating as input", err);
    for (size_t i = 0; rc == 0 && i < s->count && s->count > 1; i++)
        if (!s->updates[i].as_node.p)
            rc = err_set(err, ERR_INVALID_UPDATE,
                         "as_node is required when applying multiple updates");
    if (rc == 0 && s->count == 1 && !first.as_node.p) {
        if (c->last.p)
            first.as_node = c->last;
        else if (!c->origin)
            first.as_node = STR("__start__");
        else
            rc = who_wrote_last(c->f, c->origin, &first.as_node, err);
    }
    if (rc < 0)
        return rc;
    if (s->count == 1)
        c->last = first.as_node;
    return as_nodes(c, s->count == 1 ? &first : s->updates, s->count, err);
}

/* --- the whole --- */

static int load(struct frame *f, const struct state_change *change, struct checkpoint *c,
                bool *found, struct err *err) {
    struct store *store = f->run->engine->store;
    struct arena *a = &f->run->arena;
    struct id head = ID_NIL;
    bool root = f->ns.len == 0;
    int rc = checkpoint_get(store, change->thread->id, f->ns, ID_NIL, a, c, err);
    *found = rc == 0;
    if (rc == 0)
        head = c->id;
    if (!id_is_nil(change->checkpoint_id) && !id_eq(change->checkpoint_id, head)) {
        rc = checkpoint_get(store, change->thread->id, f->ns, change->checkpoint_id, a, c, err);
        *found = rc == 0;
    } else if (rc == ERR_NOT_FOUND && root) {
        err_reset(err);
        return 0;
    }
    if (rc == 0)
        rc = frame_take(f, c, !id_eq(c->id, head), err);
    yyjson_val *metadata;
    if (rc == 0 && json_parse(a, c->metadata, &metadata, NULL) == 0 &&
        yyjson_is_obj(json_get(metadata, "parents")))
        f->parents = json_text(a, json_get(metadata, "parents"));
    return rc == 0 && f->plan.count ? frame_pending(f, err) : rc;
}

static int commit(struct live_run *run, const struct state_change *change, struct db_batch *b,
                  struct err *err) {
    struct engine *e = run->engine;
    enum thread_status status = run->root.plan.count ? THREAD_INTERRUPTED : THREAD_IDLE;
    thread_update_add(b, change->thread, run->made_id, status, rt_now_us(e->rt));
    struct slot *slot = slot_of(e, change->thread->id);
    int rc = slot && (slot->running || !list_empty(&slot->queue)) ? ERR_CONFLICT : 0;
    if (rc == 0)
        rc = db_commit(e->store->db, b, err);
    if (rc == ERR_CONFLICT || rc == ERR_EXISTS) /* others have put items behind the same list */
        return err_set(err, ERR_CONFLICT,
                       "Thread is already running a task. Wait for it to finish or choose a "
                       "different multitask strategy.");
    return rc;
}

static int change_all(struct live_run *run, const struct state_change *change, struct err *err) {
    struct frame *f = &run->root;
    struct checkpoint c;
    struct db_batch b;
    bool found;
    int rc = load(f, change, &c, &found, err);
    if (rc < 0)
        return rc;
    db_batch_init(&b, &run->arena);
    struct changing changing = {.f = f, .b = &b, .origin = found ? &c : NULL};
    if (!found)
        f->step = -1;
    for (size_t i = 0; rc == 0 && i < change->count; i++)
        rc = superstep(&changing, &change->steps[i], err);
    return rc < 0 ? rc : commit(run, change, &b, err);
}

/* A frame of no run: what the store takes of a run is absent. */
int engine_state_update(struct engine *e, const struct state_change *change,
                        struct id *out_checkpoint, struct err *err) {
    const struct graph_def *root = graph_library_find(e->library, change->graph_id);
    const struct graph_def *def = graph_of_namespace(root, change->name_space);
    if (!def)
        return err_set(err, ERR_NOT_FOUND, "Graph \"%.*s\" is not known to this server",
                       (int)(change->graph_id.len < 100 ? change->graph_id.len : 100),
                       change->graph_id.p);
    struct live_run *run = live_run_new(e);
    run->row.thread_id = change->thread->id;
    run->def = graph_def_ref(root);
    run->metadata_members =
        arena_printf(&run->arena, "\"graph_id\":\"" STR_FMT "\"", STR_ARG(change->graph_id));
    str ns = arena_dup(&run->arena, change->name_space);
    frame_init(&run->root, run, NULL, def, ns.p ? ns : STR(""));
    int rc = registry_compile(e->registry, def, NULL, &run->compiled, err);
    run->root.compiled = run->compiled;
    if (rc == 0)
        rc = change_all(run, change, err);
    if (rc == 0)
        *out_checkpoint = run->root.checkpoint_id;
    live_run_unref(run);
    return rc;
}
