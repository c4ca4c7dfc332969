/* SPDX-License-Identifier: Apache-2.0 */
/* subgraph.c - a task that is a graph: a frame inside of the task of another one.
 *
 * Its namespace is the task's ("node:task", joined to the one around by '|'), and its checkpoints
 * stand there. When the task runs again (its run was continued, or tried again) it goes on from the
 * newest of them. Channels of the same name go in, and what the graph puts out is written back as
 * an update of the node, as LangGraph does it: reducers that append see the whole list again. */
#include "engine/engine_int.h"

static str input_of(struct task *t, struct frame *f) {
    struct buf b;
    if (t->planned->send >= 0)
        return t->planned->input;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < f->def->channel_count; i++) {
        const char *name = f->def->channels[i].name;
        str value = graph_view_value(&t->frame->view, name);
        if (!value.p || checkpoint_is_hidden(str_of(name)))
            continue;
        jw_key_str(&w, str_of(name));
        jw_raw(&w, value);
    }
    jw_object_end(&w);
    return arena_take(f->view.arena, &b);
}

static int commit(struct frame *f, struct hub_entry *entries, size_t count, struct db_batch *b,
                  struct err *err) {
    struct hub_append append = {
        .thread_id = f->run->row.thread_id, .batch = b, .entries = entries, .count = count};
    int rc = hub_commit(f->run->engine->hub, &append, err);
    if (rc == 0)
        state_mark_stored(&f->view);
    return rc;
}

static int begin(struct task *t, struct frame *f, struct err *err) {
    struct live_run *run = f->run;
    yyjson_val *input;
    struct state_write *writes;
    size_t count;
    struct arena a;
    struct db_batch b;
    struct hub_entry entries[2];
    bool stored = !run->exit_only;
    int rc = json_parse(&run->arena, input_of(t, f), &input, err);
    if (rc == 0)
        rc = state_read_values(&f->view, input, true, &writes, &count, err);
    if (rc < 0)
        return rc;
    arena_init(&a, RUN_ARENA_BYTES_MAX);
    db_batch_init(&b, &a);
    f->input = input;
    str before = run->subgraphs ? arena_dup(&run->arena, state_values_json(&f->view)) : STR_NULL;
    checkpoint_make(f, "input", stored, &b, &entries[0]);
    entries[0].values = before;
    rc = frame_input(f, writes, count, err);
    if (rc == 0) {
        checkpoint_make(f, "loop", stored, &b, &entries[1]);
        entries[1].state = &f->view;
        rc = commit(f, entries, 2, &b, err);
    }
    arena_deinit(&a);
    return rc;
}

/* What an execution before this one left. */
static int resume(struct frame *f, struct checkpoint *c, struct err *err) {
    struct arena a;
    struct db_batch b;
    int rc = frame_take(f, c, false, err);
    f->resumed = true;
    if (rc == 0 && f->plan.count)
        rc = frame_pending(f, err);
    if (rc < 0)
        return rc;
    struct hub_entry entry = resumed_entry(f, c->source, f->pending.count > 0);
    arena_init(&a, RUN_ARENA_BYTES_MAX);
    db_batch_init(&b, &a);
    rc = commit(f, &entry, 1, &b, err);
    arena_deinit(&a);
    return rc;
}

/* The checkpoint of this namespace that the run's own one names beside it. */
static struct id named(const struct live_run *run, str ns) {
    yyjson_val *map = json_get(json_get(run->kwargs, "checkpoint"), "checkpoint_map");
    str text = json_str(json_get_str(map, ns));
    struct id id;
    return text.p && id_parse(text, &id) ? id : ID_NIL;
}

/* On a branch of its own, where tasks that ended run again: as the root from an older one. */
static int travel(struct frame *f, struct checkpoint *c, bool superseded, struct err *err) {
    struct arena a;
    struct db_batch b;
    struct hub_entry entry;
    int rc = frame_take(f, c, superseded, err);
    if (rc < 0)
        return rc;
    f->resumed = f->replayed = true;
    bool by_hand = str_eq(c->source, STR("update")) || str_eq(c->source, STR("fork"));
    arena_init(&a, RUN_ARENA_BYTES_MAX);
    db_batch_init(&b, &a);
    if (superseded || !by_hand)
        checkpoint_make(f, "fork", !f->run->exit_only, &b, &entry);
    else
        entry = resumed_entry(f, c->source, false);
    entry.state = &f->view;
    rc = commit(f, &entry, 1, &b, err);
    arena_deinit(&a);
    return rc;
}

/* Does it begin where the run says, and at which checkpoint? c: the newest of the namespace. */
static int find_named(struct frame *f, struct checkpoint *c, bool *travels, bool *superseded,
                      struct err *err) {
    struct live_run *run = f->run;
    struct id at = named(run, f->ns);
    bool mine = id_eq(c->run_id, run->row.id); /* of an attempt before this one */
    *travels = !id_is_nil(at) && !mine;
    *superseded = !id_eq(c->id, at);
    if (!*travels || !*superseded)
        return 0;
    return checkpoint_get(run->engine->store, run->row.thread_id, f->ns, at, &run->arena, c, err);
}

static int load_or_begin(struct task *t, struct frame *f, struct err *err) {
    struct live_run *run = f->run;
    struct checkpoint c;
    bool travels = false, superseded;
    int rc = checkpoint_get(run->engine->store, run->row.thread_id, f->ns, ID_NIL, &run->arena, &c,
                            err);
    if (rc == 0)
        rc = find_named(f, &c, &travels, &superseded, err);
    if (rc == 0 && travels)
        return travel(f, &c, superseded, err);
    if (rc == 0 && !t->frame->replayed)
        return resume(f, &c, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (rc == 0) { /* its new checkpoints are children of the old ones */
        f->checkpoint_id = f->stored_id = c.id;
        f->view.versions = NULL;
    }
    err_reset(err);
    return begin(t, f, err);
}

/* The output, as the writes of the task. */
static int give_back(struct task *t, struct frame *f, struct err *err) {
    struct state_write *writes;
    size_t count;
    yyjson_val *values;
    str json = arena_dup(f->view.arena, state_values_json(&f->view));
    int rc = json_parse(f->view.arena, json, &values, err);
    if (rc == 0)
        rc = state_read_values(&t->frame->view, values, false, &writes, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        vec_push(&t->writes, writes[i]);
    return rc;
}

static int steps(struct task *t, struct frame *f, struct err *err) {
    int64_t limit = live_run_recursion_limit(f->run);
    struct step_end end;
    for (int64_t n = 0; f->plan.count > 0; n++) {
        if (n >= limit)
            return live_run_recursed(limit, err);
        if (!frame_step(f, &end))
            continue;
        if (!end.ours) { /* nor is what the root would make of it: that could be stored */
            if (!f->run->cancel)
                live_run_cut_short(f->run);
            return err_set(err, ERR_CANCELLED, "the run is another one's by now");
        }
        for (size_t i = 0; end.rc == ERR_INTERRUPTED && i < end.interrupt_count; i++)
            vec_push(&t->interrupts, end.interrupts[i]);
        if (end.rc < 0 && err)
            *err = end.err;
        if (end.rc < 0)
            return end.rc;
    }
    return 0;
}

/* Its result holds the messages that went in, too: they are no news. */
static str seen_by(const struct task *t) {
    const struct graph_view *v = &t->frame->view;
    const struct state_channel *c = state_channel_of(v, STR("messages"));
    struct buf b;
    if (!c || c->def->kind != CHANNEL_MESSAGES)
        return STR_NULL;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < c->count; i++)
        jw_str(&w, c->messages[i].id);
    jw_array_end(&w);
    return arena_take(v->arena, &b);
}

/* That the database is away is no failure of the graph: what it has stored meanwhile is found. */
static int enter(struct task *t, struct frame *f, str ns, struct compiled_graph *compiled,
                 struct err *err) {
    for (int64_t wait_us = 0;;) {
        struct err why = {0};
        frame_init(f, t->run, t->frame, t->node->subgraph, ns);
        f->trace = &t->span.at;
        f->compiled = compiled;
        int rc = load_or_begin(t, f, &why);
        if (rc == 0 || !live_run_own_may_retry(t->run, rc)) {
            if (rc < 0 && err)
                *err = why;
            return rc;
        }
        wait_us = live_run_next_wait_us(wait_us);
        rc = fiber_sleep_us(wait_us);
        if (rc < 0)
            return err_set(err, rc, "the run was cancelled");
    }
}

int subgraph_run(struct task *t, struct err *err) {
    struct live_run *run = t->run;
    struct frame f;
    if (!live_run_has_begun(run))
        return err_set(err, ERR_CANCELLED, "the run has not begun");
    t->seen = seen_by(t);
    struct compiled_graph *compiled;
    str ns = frame_task_ns(t->frame, t->planned, t->id);
    int rc = registry_compile(run->engine->registry, t->node->subgraph, run->configurable,
                              &compiled, err);
    if (rc < 0)
        return rc;
    rc = enter(t, &f, ns, compiled, err);
    if (rc == 0)
        rc = steps(t, &f, err);
    if (rc == 0)
        rc = give_back(t, &f, err);
    compiled_graph_unref(compiled);
    return rc;
}
