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

#include <stdio.h>

#include "base/clock.h"

struct id task_id(const struct live_run *run, int node_index) {
    char name[96];
    int len =
        snprintf(name, sizeof(name), "%d:%s", run->step + 1, run->def->nodes[node_index].name);
    ASSERT(len > 0);
    size_t n = (size_t)len < sizeof(name) ? (size_t)len : sizeof(name) - 1;
    return id_v5(run->checkpoint_id, str_n(name, n));
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
    for (size_t i = 0; !start && i < run->next_count; i++)
        jw_z(w, run->def->nodes[run->next[i]].name);
    jw_array_end(w);
}

static void write_tasks(struct live_run *run, struct json_writer *w, bool full) {
    jw_array(w);
    for (size_t i = 0; i < run->next_count; i++) {
        const char *name = run->def->nodes[run->next[i]].name;
        char id[ID_DASHED_LEN];
        id_write_dashed(task_id(run, run->next[i]), id);
        jw_object(w);
        jw_key(w, "id");
        jw_str(w, str_n(id, sizeof(id)));
        jw_key(w, "name");
        jw_z(w, name);
        jw_key(w, "path");
        jw_array(w);
        jw_z(w, "__pregel_pull");
        jw_z(w, name);
        jw_array_end(w);
        if (full) {
            jw_raw(w, STR("\"error\":null,\"interrupts\":[],\"checkpoint\":null,\"state\":null,"
                          "\"result\":null"));
        } else {
            jw_key(w, "triggers");
            jw_array(w);
            jw_str(w, arena_printf(&run->arena, "branch:to:%s", name));
            jw_array_end(w);
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
        str next[GRAPH_NODES_MAX];
        for (size_t i = 0; i < run->next_count; i++)
            next[i] = str_of(run->def->nodes[run->next[i]].name);
        c.tasks = input ? STR("[]") : text_of(run, write_tasks, true);
        c.metadata = checkpoint_metadata(run, source);
        state_checkpoint_add(&run->view, b, &c, next, input ? 0 : run->next_count,
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
    yyjson_arr_iter it = yyjson_arr_iter_with(next);
    run->next_count = 0;
    for (yyjson_val *v; next && (v = yyjson_arr_iter_next(&it)) != NULL;)
        for (size_t i = 0; i < run->def->node_count && run->next_count < GRAPH_NODES_MAX; i++)
            if (str_eq(json_str(v), str_of(run->def->nodes[i].name)))
                run->next[run->next_count++] = (int)i;
    if (run->next_count == 0)
        return err_set(err, ERR_INVALID, "Received no input for __start__");
    out->entries[out->entry_count++] =
        (struct hub_entry){.entry = {.run_id = run->row.id,
                                     .kind = LOG_CHECKPOINT,
                                     .at = rt_now_us(run->engine->rt),
                                     .data = checkpoint_entry(run, head, false, STR_NULL)},
                           .state = &run->view};
    return 0;
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
    struct state_write *writes;
    size_t count;
    rc = state_read_input(&run->view, input, &writes, &count, err);
    if (rc < 0)
        return rc;
    /* Only these two modes show the state before the input. */
    str before =
        run->modes & (STREAM_DEBUG | STREAM_CHECKPOINTS)
            ? arena_dup(&run->arena, state_values_json(&run->view))
            : STR_NULL;
    checkpoint_make(run, "input", !run->temporary, b, &out->entries[1]);
    out->entries[1].values = before;
    for (size_t i = 0; i < count; i++)
        state_apply(&run->view, &writes[i]);
    struct compiled_graph *g = run->compiled;
    run->next_count = run->def->route(&run->view, g->object, GRAPH_START, run->next);
    checkpoint_make(run, "loop", !run->temporary, b, &out->entries[2]);
    out->entries[2].state = &run->view;
    out->entry_count = 3;
    return 0;
}
