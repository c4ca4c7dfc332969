/* SPDX-License-Identifier: Apache-2.0 */
/* begin.c - the first transition of a run: state, input or command, checkpoints.
 *
 * The thread of a temporary run goes with it, so its two input checkpoints are not stored: their
 * log entries carry the values, and after a crash the next attempt begins with the input again. The
 * checkpoints of later steps are stored, so no step runs twice.
 *
 * A run with an input writes two checkpoints, as LangGraph does: the state before it (source input)
 * and the one with the input applied (source loop), from which the first tasks are planned. A run
 * without input, or with a command, goes on where a checkpoint says: the thread's newest, or the
 * one that it names. What it finds there of tasks that ended is not run again, except from an older
 * checkpoint: such a run makes a checkpoint of its own first (source fork), a new branch. What a
 * command writes stands beside the checkpoint, as writes of nobody, until the step is over; where
 * nothing is next it makes a new one (source update). */
#include "engine/engine_int.h"

#include "base/clock.h"

/* The root's checkpoint. Of one inside of a subgraph it is the one that its map names, if any: as
 * in the libraries a run always begins at the root. */
static struct id addressed(yyjson_val *kwargs) {
    yyjson_val *at = json_get(kwargs, "checkpoint");
    struct id id;
    str text = json_str(json_get(at, "checkpoint_id"));
    if (!text.p)
        text = json_str(json_get(kwargs, "checkpoint_id"));
    if (!str_empty(json_str(json_get(at, "checkpoint_ns"))) || !text.p)
        text = json_str(json_get(json_get(at, "checkpoint_map"), ""));
    return text.p && id_parse(text, &id) ? id : ID_NIL;
}

struct origin {
    struct checkpoint c;
    bool found, addressed, superseded;
};

static int find_origin(struct live_run *run, const struct thread *thread, struct origin *o,
                       struct err *err) {
    struct store *store = run->engine->store;
    struct id named = addressed(run->kwargs);
    struct arena *a = &run->arena;
    struct checkpoint head;
    *o = (struct origin){.c = {.source = STR("loop"), .next = STR("[]")}};
    if (id_is_nil(thread->checkpoint_id) && id_is_nil(named))
        return 0;
    int rc = 0;
    if (run->ahead)
        head = *run->ahead;
    else
        rc = checkpoint_head(store, thread->id, thread->checkpoint_id, a, &head, err);
    if (rc == ERR_NOT_FOUND && id_is_nil(named)) {
        err_reset(err);
        return 0;
    }
    bool mine = rc == 0 && id_eq(head.run_id, run->row.id); /* of an attempt before this one */
    if (rc == 0 && !id_is_nil(named) && !mine && !id_eq(named, head.id)) {
        o->addressed = o->superseded = true;
        rc = checkpoint_get(store, thread->id, STR(""), named, a, &o->c, err);
    } else {
        o->addressed = !id_is_nil(named) && !mine;
        o->c = head;
    }
    o->found = rc == 0;
    return rc;
}

static int load(struct live_run *run, const struct thread *thread, struct origin *o,
                struct err *err) {
    struct frame *f = &run->root;
    int64_t t0 = clock_mono_us();
    frame_init(f, run, NULL, run->def, STR(""));
    f->compiled = run->compiled;
    int rc = find_origin(run, thread, o, err);
    if (rc == 0 && o->found)
        rc = frame_take(f, &o->c, o->superseded || run->new_lists, err);
    metric_observe_us(run->engine->metrics.phase_read, clock_mono_us() - t0);
    return rc;
}

static void add_checkpoint(struct frame *f, const char *source, bool stored, struct db_batch *b,
                           struct begin *out) {
    checkpoint_make(f, source, stored, b, &out->entries[out->entry_count]);
    out->entries[out->entry_count++].state = &f->view;
}

/* --- commands --- */

static int read_target(struct frame *f, yyjson_val *target, struct command *out, struct err *err) {
    yyjson_val *name = yyjson_is_obj(target) ? json_get(target, "node") : target;
    int node = graph_node_find(f->def, json_str(name));
    if (yyjson_is_str(name) && str_eq(json_str(name), STR("__end__")))
        return 0;
    if (node < 0)
        return err_set(err, ERR_INVALID, "command.goto: the graph has no node %.*s",
                       (int)(json_str(name).len < 60 ? json_str(name).len : 60),
                       json_str(name).p ? json_str(name).p : "");
    if (target == name) {
        route_to(&out->route, node);
        return 0;
    }
    yyjson_val *input = json_get(target, "input"), *args = json_get(target, "args");
    route_send(&out->route, node, json_text(&f->run->arena, input ? input : args));
    return 0;
}

static int read_goto(struct frame *f, struct command *out, struct err *err) {
    yyjson_val *item;
    size_t i, n;
    int rc = 0;
    if (!yyjson_is_arr(out->go))
        return read_target(f, out->go, out, err);
    yyjson_arr_foreach(out->go, i, n, item) {
        if (rc == 0)
            rc = read_target(f, item, out, err);
    }
    return rc;
}

/* An object, or a list of [key, value]. */
static int read_update(struct frame *f, struct command *out, struct err *err) {
    struct arena *a = &f->run->arena;
    yyjson_val *update = out->update, *pair;
    size_t i, n;
    if (yyjson_is_arr(update)) {
        struct buf b;
        buf_init(&b, SIZE_MAX / 2);
        struct json_writer w = json_writer(&b);
        jw_object(&w);
        yyjson_arr_foreach(update, i, n, pair) {
            str key = json_str(yyjson_arr_get(pair, 0));
            if (!key.p)
                continue;
            jw_key_str(&w, key);
            jw_val(&w, yyjson_arr_get(pair, 1));
        }
        jw_object_end(&w);
        str text = arena_take(a, &b);
        int rc = json_parse(a, text, &update, err);
        if (rc < 0)
            return rc;
    }
    return state_read_values(&f->view, update, false, &out->writes, &out->count, err);
}

static yyjson_val *given(yyjson_val *obj, const char *key) {
    yyjson_val *v = json_get(obj, key);
    return v && !yyjson_is_null(v) ? v : NULL;
}

int command_read(struct frame *f, yyjson_val *command, struct command *out, struct err *err) {
    *out = (struct command){.resume = given(command, "resume"),
                            .update = given(command, "update"),
                            .go = given(command, "goto"),
                            .route = {.arena = &f->run->arena, .graph = f->def}};
    if (!yyjson_is_obj(command) || (!out->resume && !out->update && !out->go))
        return err_set(err, ERR_INVALID, "Received empty Command input");
    int rc = out->go ? read_goto(f, out, err) : 0;
    return rc == 0 && out->update ? read_update(f, out, err) : rc;
}

static int apply_command(struct frame *f, const struct command *c, struct db_batch *b,
                         struct begin *out, struct err *err) {
    str path = id_dashed(&f->run->arena, f->run->row.id);
    if (!c->count && route_is_empty(&c->route))
        return 0;
    if (pending_has_null(&f->pending, path)) /* by an attempt before this one */
        return 0;
    bool beside = f->plan.count > 0;
    if (beside)
        pending_add_null(f, b, c->writes, c->count, &c->route, path);
    state_step_begin(&f->view);
    for (size_t i = 0; i < c->count; i++) {
        int rc = state_apply(&f->view, &c->writes[i], err);
        if (rc < 0)
            return rc;
    }
    int rc = plan_extend(&f->view, &c->route, &f->plan, err);
    if (rc == 0 && !beside)
        add_checkpoint(f, "update", true, b, out);
    return rc;
}

/* --- going on --- */

static int resume(struct live_run *run, const struct origin *o, yyjson_val *command,
                  struct db_batch *b, struct begin *out, struct err *err) {
    struct frame *f = &run->root;
    struct command c = {0};
    size_t shown = out->entry_count;
    if (id_is_nil(f->checkpoint_id) || !o->found)
        return err_set(err, ERR_INVALID, "Received no input for __start__");
    bool travels = o->addressed && !given(command, "resume");
    bool fork = travels && (o->superseded || !(str_eq(o->c.source, STR("update")) ||
                                               str_eq(o->c.source, STR("fork"))));
    f->resumed = true;
    f->replayed = travels || o->superseded;
    int rc = f->plan.count ? frame_pending(f, err) : 0;
    if (rc == 0 && fork) {
        add_checkpoint(f, "fork", true, b, out);
        f->pending.count = 0;
    } else if (travels) {
        f->pending.count = 0;
    }
    if (rc == 0 && command)
        rc = command_read(f, command, &c, err);
    if (rc == 0 && c.resume)
        rc = answers_take(f, c.resume, o->superseded, err);
    if (rc == 0 && command && !run->refusal.p)
        rc = apply_command(f, &c, b, out, err);
    if (rc == 0 && out->entry_count == shown) {
        bool changed = f->pending.count > 0 || c.count > 0;
        out->entries[out->entry_count++] = resumed_entry(f, o->c.source, changed);
    }
    return rc;
}

static int take_input(struct live_run *run, yyjson_val *input, struct db_batch *b,
                      struct begin *out, struct err *err) {
    struct frame *f = &run->root;
    struct state_write *writes;
    size_t count;
    bool stored = !run->temporary && !run->exit_only;
    int rc = f->plan.count && !id_is_nil(f->stored_id) ? frame_pending(f, err) : 0;
    if (rc == 0)
        rc = state_read_values(&f->view, input, true, &writes, &count, err);
    if (rc < 0)
        return rc;
    f->pending.count = 0;
    f->input = input;
    /* Only these two modes show the state before the input. */
    str before =
        run->modes & (STREAM_DEBUG | STREAM_CHECKPOINTS)
            ? arena_dup(&run->arena, state_values_json(&f->view))
            : STR_NULL;
    checkpoint_make(f, "input", stored, b, &out->entries[1]);
    out->entries[1].values = before;
    out->entries[1].stored = !before.p && stored;
    rc = frame_input(f, writes, count, err);
    if (rc < 0)
        return rc;
    out->entry_count = 2;
    /* A run that ends here at once has to leave its state. */
    add_checkpoint(f, "loop", stored || (!run->temporary && f->plan.count == 0), b, out);
    return 0;
}

/* What a begin that was not stored has left: the thread may have moved on since, so that the
 * command was carried out already. */
static void forget(struct live_run *run) {
    run->resume_one = run->resume_map = NULL;
    run->resume_id = run->refusal = STR_NULL;
    run->taken_count = 0;
    run->made_id = ID_NIL;
}

int live_run_begin(struct live_run *run, const struct thread *thread, struct db_batch *b,
                   struct begin *out, struct err *err) {
    struct origin o;
    *out = (struct begin){.entry_count = 1};
    forget(run);
    run->started_at = rt_now_us(run->engine->rt);
    run->waiting = arena_dup(&run->arena, thread->interrupts);
    int rc = load(run, thread, &o, err);
    if (rc < 0)
        return rc;
    out->entries[0] = start_entry(run);
    yyjson_val *input = given(run->kwargs, "input"), *command = given(run->kwargs, "command");
    /* A later execution goes on from the last checkpoint that an earlier one made. */
    if (o.found && id_eq(o.c.run_id, run->row.id))
        return resume(run, &o, NULL, b, out, err);
    if (command || !input)
        return resume(run, &o, command, b, out, err);
    return take_input(run, input, b, out, err);
}
