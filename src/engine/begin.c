/* SPDX-License-Identifier: Apache-2.0 */
/* begin.c - the first transition of a run: state, input, checkpoints.
 *
 * The thread of a temporary run goes with it, so its two input checkpoints are not stored: their
 * log entries carry the values, and after a crash the next attempt begins with the input again. The
 * checkpoints of later steps are stored, so no step runs twice.
 *
 * A run with an input writes two checkpoints, as LangGraph does: the state before it (source input)
 * and the one with the input applied (source loop), from which the first tasks are planned. A run
 * without input goes on where the thread's newest checkpoint says. */
#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/hash.h"

/* As LangGraph for Python makes them: so a process of either finds the other's pending writes. */
struct id task_id(const struct live_run *run, const struct planned *t) {
    struct arena *a = run->view.arena;
    str name = str_of(run->def->nodes[t->node].name);
    str *triggers = ARENA_ARRAY(a, str, run->def->join_count + 1);
    struct buf b;
    struct id id;
    buf_init(&b, SIZE_MAX / 2);
    buf_str(&b, str_n((const char *)run->checkpoint_id.b, sizeof(run->checkpoint_id.b)));
    buf_str(&b, name);
    buf_i64(&b, run->step + 1);
    buf_str(&b, name);
    buf_str(&b, t->send < 0 ? STR("__pregel_pull") : STR("__pregel_push"));
    if (t->send >= 0)
        buf_i64(&b, t->send);
    size_t count = t->send < 0 ? plan_triggers(a, run->def, t->node, triggers) : 0;
    for (size_t i = 0; i < count; i++)
        buf_str(&b, triggers[i]);
    hash_xxh3(buf_view(&b), id.b);
    buf_deinit(&b);
    return id;
}

static str dup_buf(struct live_run *run, struct buf *b) {
    ASSERT(buf_ok(b));
    str s = arena_dup(&run->arena, buf_view(b));
    buf_deinit(b);
    return s;
}

struct hub_entry start_entry(struct live_run *run) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "attempt");
    jw_i64(&w, run->row.attempt);
    jw_key(&w, "graph_id");
    jw_z(&w, run->def ? run->def->id : ""); /* unknown to this server: it fails at once */
    jw_key(&w, "modes");
    stream_modes_write(&w, run->modes);
    jw_key(&w, "metadata");
    jw_object(&w);
    if (run->metadata_members.p)
        jw_raw(&w, run->metadata_members);
    jw_object_end(&w);
    jw_object_end(&w);
    return (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = LOG_START,
                                        .at = rt_now_us(run->engine->rt),
                                        .data = dup_buf(run, &b)}};
}

/* next and tasks: as the log and the renderer want them, and as a thread's state shows them. */
static void write_next(struct live_run *run, struct json_writer *w, bool start) {
    jw_array(w);
    if (start)
        jw_z(w, "__start__");
    for (size_t i = 0; !start && i < run->plan.count; i++)
        jw_z(w, run->def->nodes[run->plan.tasks[i].node].name);
    jw_array_end(w);
}

static void write_path(struct live_run *run, struct json_writer *w, const struct planned *t) {
    jw_array(w);
    if (t->send >= 0) {
        jw_z(w, "__pregel_push");
        jw_i64(w, t->send);
        jw_bool(w, false);
    } else {
        jw_z(w, "__pregel_pull");
        jw_z(w, run->def->nodes[t->node].name);
    }
    jw_array_end(w);
}

static void write_triggers(struct live_run *run, struct json_writer *w, const struct planned *t) {
    str *triggers = ARENA_ARRAY(&run->arena, str, run->def->join_count + 1);
    size_t count = 0;
    jw_array(w);
    if (t->send >= 0)
        jw_z(w, "__pregel_push");
    else
        count = plan_triggers(&run->arena, run->def, t->node, triggers);
    for (size_t i = 0; i < count; i++)
        jw_str(w, triggers[i]);
    jw_array_end(w);
}

static void write_tasks(struct live_run *run, struct json_writer *w, bool full) {
    jw_array(w);
    for (size_t i = 0; i < run->plan.count; i++) {
        const struct planned *t = &run->plan.tasks[i];
        char id[ID_DASHED_LEN];
        id_write_dashed(task_id(run, t), id);
        jw_object(w);
        jw_key(w, "id");
        jw_str(w, str_n(id, sizeof(id)));
        jw_key(w, "name");
        jw_z(w, run->def->nodes[t->node].name);
        jw_key(w, "path");
        write_path(run, w, t);
        if (full) {
            jw_raw(w, STR("\"error\":null,\"interrupts\":[],\"checkpoint\":null,\"state\":null,"
                          "\"result\":null"));
        } else {
            jw_key(w, "triggers");
            write_triggers(run, w, t);
            if (t->send >= 0) {
                jw_key(w, "input");
                jw_raw(w, t->input);
            }
        }
        jw_object_end(w);
    }
    jw_array_end(w);
}

static str text_of(struct live_run *run,
                   void (*write)(struct live_run *, struct json_writer *, bool), bool flag) {
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    write(run, &w, flag);
    return dup_buf(run, &b);
}

static str checkpoint_metadata(struct live_run *run, const char *source) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    char thread[ID_DASHED_LEN], id[ID_DASHED_LEN];
    id_write_dashed(run->row.thread_id, thread);
    id_write_dashed(run->row.id, id);
    jw_object(&w);
    jw_raw(&w, run->metadata_members);
    jw_key(&w, "thread_id");
    jw_str(&w, str_n(thread, sizeof(thread)));
    jw_key(&w, "run_id");
    jw_str(&w, str_n(id, sizeof(id)));
    jw_key(&w, "source");
    jw_z(&w, source);
    jw_key(&w, "step");
    jw_i64(&w, run->step);
    jw_key(&w, "parents");
    jw_raw(&w, STR("{}"));
    jw_object_end(&w);
    return dup_buf(run, &b);
}

/* values: of a checkpoint that is not stored; absent else. */
static str checkpoint_entry(struct live_run *run, const struct checkpoint *c, bool input,
                            str values) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "id");
    jw_str(&w, id_dashed(&run->arena, c->id));
    jw_key(&w, "parent");
    jw_str(&w, id_is_nil(c->parent_id) ? STR_NULL : id_dashed(&run->arena, c->parent_id));
    jw_key(&w, "ns");
    jw_z(&w, "");
    jw_key(&w, "step");
    jw_i64(&w, c->step);
    jw_key(&w, "source");
    jw_str(&w, c->source);
    jw_key(&w, "next");
    jw_raw(&w, c->next);
    jw_key(&w, "tasks");
    if (input)
        jw_raw(&w, STR("[]"));
    else
        write_tasks(run, &w, false);
    if (values.p) {
        jw_key(&w, "values");
        jw_raw(&w, values);
    }
    jw_object_end(&w);
    return dup_buf(run, &b);
}

void checkpoint_make(struct live_run *run, const char *source, bool stored, struct db_batch *b,
                     struct hub_entry *out) {
    bool input = source[0] == 'i';
    struct checkpoint c = {
        .thread_id = run->row.thread_id,
        .name_space = STR(""),
        .id = id_v6_after(++run->step, run->checkpoint_id),
        .parent_id = run->checkpoint_id,
        .run_id = run->row.id,
        .step = run->step,
        .source = str_of(source),
        .created_at = rt_now_us(run->engine->rt),
    };
    run->checkpoint_id = c.id;
    c.next = text_of(run, write_next, input);
    if (stored) {
        str edges[GRAPH_NODES_MAX];
        size_t edge_count = 0;
        for (size_t i = 0; i < run->def->node_count; i++)
            if (run->plan.edges >> i & 1)
                edges[edge_count++] = str_of(run->def->nodes[i].name);
        c.tasks = input ? STR("[]") : text_of(run, write_tasks, true);
        c.metadata = checkpoint_metadata(run, source);
        state_checkpoint_add(&run->view, b, &c, edges, input ? 0 : edge_count,
                             input ? json_text(&run->arena, json_get(run->kwargs, "input"))
                                   : STR_NULL);
    }
    str values = stored ? STR_NULL : state_values_json(&run->view);
    *out = (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = LOG_CHECKPOINT,
                                        .at = c.created_at,
                                        .data = checkpoint_entry(run, &c, input, values)}};
}

static int load_head(struct live_run *run, const struct thread *thread, struct checkpoint *out,
                     struct err *err) {
    struct engine *e = run->engine;
    run->step = -2;
    run->checkpoint_id = ID_NIL;
    state_init(&run->view, run->def, e->store->layout, &run->arena);
    if (id_is_nil(thread->checkpoint_id))
        return 0;
    int64_t t0 = clock_mono_us();
    int rc = checkpoint_head(e->store, thread->id, thread->checkpoint_id, &run->arena, out, err);
    if (rc == ERR_NOT_FOUND) {
        err_reset(err);
        return 0;
    }
    if (rc == 0)
        rc = checkpoint_load_values(e->store, out, &run->arena, err);
    if (rc == 0)
        rc = state_take_checkpoint(&run->view, out, false, err);
    metric_observe_us(e->metrics.phase_read, clock_mono_us() - t0);
    if (rc < 0)
        return rc;
    if (out->lg && !out->lg->root)
        return 0; /* a state beside the checkpoints: nothing can be its child */
    run->checkpoint_id = out->id;
    run->step = out->step;
    return 0;
}

static int resume_head(struct live_run *run, const struct checkpoint *head, struct begin *out,
                       struct err *err) {
    yyjson_val *next = NULL;
    if (head->next.p && json_parse(&run->arena, head->next, &next, err) < 0)
        return ERR_CORRUPT;
    plan_read(&run->view, next, &run->plan);
    if (run->plan.count == 0)
        return err_set(err, ERR_INVALID, "Received no input for __start__");
    out->entries[out->entry_count++] =
        (struct hub_entry){.entry = {.run_id = run->row.id,
                                     .kind = LOG_CHECKPOINT,
                                     .at = rt_now_us(run->engine->rt),
                                     .data = checkpoint_entry(run, head, false, STR_NULL)},
                           .state = &run->view};
    return 0;
}

/* What waited of the state before gives way to the input. */
static int apply_input(struct live_run *run, const struct state_write *writes, size_t count,
                       struct err *err) {
    const int start = GRAPH_START;
    struct route route = {.arena = &run->arena, .graph = run->def};
    plan_consume(&run->view);
    state_step_begin(&run->view);
    for (size_t i = 0; i < count; i++) {
        int rc = state_apply(&run->view, &writes[i], err);
        if (rc < 0)
            return rc;
    }
    state_step_end(&run->view);
    if (run->def->route)
        run->def->route(&run->view, run->compiled->object, GRAPH_START, &route);
    return plan_after(&run->view, &start, &route, 1, &run->plan, err);
}

static int take_input(struct live_run *run, yyjson_val *input, struct db_batch *b,
                      struct begin *out, struct err *err) {
    struct state_write *writes;
    size_t count;
    int rc = state_read_values(&run->view, input, true, &writes, &count, err);
    if (rc < 0)
        return rc;
    /* Only these two modes show the state before the input. */
    str before = run->modes & (STREAM_DEBUG | STREAM_CHECKPOINTS)
                     ? arena_dup(&run->arena, state_values_json(&run->view))
                     : STR_NULL;
    checkpoint_make(run, "input", !run->temporary, b, &out->entries[1]);
    out->entries[1].values = before;
    return apply_input(run, writes, count, err);
}

int live_run_begin(struct live_run *run, const struct thread *thread, struct db_batch *b,
                   struct begin *out, struct err *err) {
    struct checkpoint head = {.source = STR("loop"), .next = STR("[]")};
    *out = (struct begin){.entry_count = 1};
    int rc = load_head(run, thread, &head, err);
    if (rc < 0)
        return rc;
    out->entries[0] = start_entry(run);
    yyjson_val *input = json_get(run->kwargs, "input");
    /* A later execution goes on from the last checkpoint that an earlier one made. */
    bool made_before = id_eq(head.run_id, run->row.id);
    if (made_before || !input || yyjson_is_null(input))
        return resume_head(run, &head, out, err);
    rc = take_input(run, input, b, out, err);
    if (rc < 0)
        return rc;
    checkpoint_make(run, "loop", !run->temporary, b, &out->entries[2]);
    out->entries[2].state = &run->view;
    out->entry_count = 3;
    return 0;
}
