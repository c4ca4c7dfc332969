/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.c - a stored state with what its tasks wrote.
 *
 * The row of a checkpoint says which tasks come next; what became of them stands in the rows of
 * checkpoint_writes. Where a command wrote (or, of the newest state, a task has ended) the values
 * are no longer those of the checkpoint: then the graph's reducers are asked, if the graph is known
 * here. Checkpoints without tasks, the most, cost nothing. */
#include "engine/inspect.h"

#include "engine/engine_int.h"

/* "node:task|node:task" leads down. */
const struct graph_def *graph_of_namespace(const struct graph_def *g, str ns) {
    str part;
    while (g && ns.len > 0 && str_split_next(&ns, '|', &part)) {
        ptrdiff_t colon = str_find_char(part, ':');
        int node = graph_node_find(g, colon < 0 ? part : str_slice(part, 0, (size_t)colon));
        g = node < 0 ? NULL : g->nodes[node].subgraph;
    }
    return g;
}

static str graph_of_metadata(const struct checkpoint *c, struct arena *a, str otherwise) {
    yyjson_val *metadata;
    if (json_parse(a, c->metadata, &metadata, NULL) < 0)
        return otherwise;
    str id = json_str(json_get(metadata, "graph_id"));
    return id.p ? id : otherwise;
}

/* --- tasks --- */

static bool is_task(const struct checkpoint_write *w, str id) {
    struct id parsed;
    return id_parse(id, &parsed) && id_eq(parsed, w->task_id);
}

/* The rows of one channel: a list for messages, else the last value. */
static void write_channel(struct json_writer *w, const struct pending *p, str id, size_t first) {
    str channel = p->list[first].channel, last = STR_NULL;
    size_t count = 0;
    for (size_t i = first; i < p->count; i++)
        if (is_task(&p->list[i], id) && str_eq(p->list[i].channel, channel)) {
            last = p->list[i].value;
            count++;
        }
    bool list = count > 1 || str_find(last, STR("\"additional_kwargs\"")) > 0;
    jw_key_str(w, channel);
    if (!list || (last.len && last.p[0] == '[')) {
        jw_raw(w, last);
        return;
    }
    jw_array(w);
    for (size_t i = first; i < p->count; i++)
        if (is_task(&p->list[i], id) && str_eq(p->list[i].channel, channel))
            jw_raw(w, p->list[i].value);
    jw_array_end(w);
}

static void write_result(struct json_writer *w, const struct pending *p, str id) {
    jw_object(w);
    for (size_t i = 0; i < p->count; i++) {
        bool first = is_task(&p->list[i], id) && !checkpoint_is_hidden(p->list[i].channel);
        for (size_t k = 0; k < i && first; k++)
            first = !is_task(&p->list[k], id) || !str_eq(p->list[k].channel, p->list[i].channel);
        if (first)
            write_channel(w, p, id, i);
    }
    jw_object_end(w);
}

static str special(const struct pending *p, str id, int idx) {
    for (size_t i = 0; i < p->count; i++)
        if (is_task(&p->list[i], id) && p->list[i].idx == idx)
            return p->list[i].value;
    return STR_NULL;
}

static void write_shown_task(struct json_writer *w, const struct pending *p, yyjson_val *task,
                             bool live) {
    static const char *const same[] = {"id", "name", "path", "checkpoint", "state"};
    str id = json_str(json_get(task, "id"));
    struct id parsed;
    bool ended = id_parse(id, &parsed) && pending_has_ended(p, parsed);
    str error = special(p, id, WRITE_ERROR), interrupts = special(p, id, WRITE_INTERRUPT);
    jw_object(w);
    for (size_t i = 0; i < 3; i++) {
        jw_key(w, same[i]);
        jw_val(w, json_get(task, same[i]));
    }
    jw_key(w, "error");
    jw_raw(w, ended ? STR("null") : error);
    jw_key(w, "interrupts");
    if (!interrupts.p || (ended && live))
        jw_raw(w, STR("[]"));
    else if (interrupts.len && interrupts.p[0] == '[')
        jw_raw(w, interrupts);
    else {
        jw_array(w);
        jw_raw(w, interrupts);
        jw_array_end(w);
    }
    for (size_t i = 3; i < ARRAY_COUNT(same); i++) {
        jw_key(w, same[i]);
        jw_val(w, json_get(task, same[i]));
    }
    jw_key(w, "result");
    if (ended)
        write_result(w, p, id);
    else
        jw_null(w);
    jw_object_end(w);
}

static int decorate(struct arena *a, const struct pending *p, str tasks, bool live,
                    struct state_shown *out, struct err *err) {
    yyjson_val *list, *task;
    size_t i, n;
    struct buf text, next;
    int rc = json_parse(a, tasks, &list, err);
    if (rc < 0)
        return rc;
    buf_init(&text, SIZE_MAX / 2);
    buf_init(&next, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text), names = json_writer(&next);
    jw_array(&w);
    jw_array(&names);
    yyjson_arr_foreach(list, i, n, task) {
        struct id id;
        write_shown_task(&w, p, task, live);
        bool ended = id_parse(json_str(json_get(task, "id")), &id) && pending_has_ended(p, id);
        if (!live || !ended)
            jw_val(&names, json_get(task, "name"));
    }
    jw_array_end(&w);
    jw_array_end(&names);
    out->tasks = arena_dup(a, buf_view(&text));
    out->next = arena_dup(a, buf_view(&next));
    buf_deinit(&text);
    buf_deinit(&next);
    return 0;
}

/* --- values --- */

static bool has_rows_of(const struct pending *p, bool null_task) {
    for (size_t i = 0; i < p->count; i++)
        if (id_is_nil(p->list[i].task_id) == null_task && write_is_output(&p->list[i]))
            return true;
    return false;
}

static int show_changed(struct engine *e, const struct graph_def *def, struct checkpoint *c,
                        const struct pending *p, bool live, struct arena *a, str *tasks,
                        struct state_shown *out, struct err *err) {
    struct frame f = {.def = def,
                      .ns = c->name_space,
                      .thread_id = c->thread_id,
                      .checkpoint_id = c->id,
                      .step = c->step,
                      .pending = *p};
    yyjson_val *next;
    state_init(&f.view, def, e->store->layout, a);
    int rc = state_take_checkpoint(&f.view, c, true, err);
    if (rc == 0)
        rc = json_parse(a, c->next, &next, err);
    if (rc < 0)
        return rc;
    plan_read(&f.view, next, &f.plan);
    rc = pending_apply_null(&f, err);
    if (rc == 0 && live)
        rc = pending_apply_ended(&f, err);
    if (rc < 0)
        return rc;
    *tasks = frame_tasks_text(&f);
    out->values = state_all_json(&f.view);
    return 0;
}

int engine_state_show(struct engine *e, struct checkpoint *c, str graph_id, bool live,
                      struct arena *a, struct state_shown *out, struct err *err) {
    struct pending p = {0};
    int rc = checkpoint_load_values(e->store, c, a, err);
    if (rc < 0)
        return rc;
    *out = (struct state_shown){
        .values = checkpoint_values_json(a, c), .next = c->next, .tasks = c->tasks};
    bool root = !c->lg || c->lg->root;
    if (str_eq(c->tasks, STR("[]")) || !root)
        return 0;
    rc = checkpoint_writes_read(e->store, c->thread_id, c->name_space, c->id, a, &p.list, &p.count,
                                err);
    if (rc < 0 || p.count == 0)
        return rc;
    str tasks = c->tasks;
    const struct graph_def *def = graph_of_namespace(
        graph_library_find(e->library, graph_of_metadata(c, a, graph_id)), c->name_space);
    if (def && (has_rows_of(&p, true) || (live && has_rows_of(&p, false))))
        rc = show_changed(e, def, c, &p, live, a, &tasks, out, err);
    return rc < 0 ? rc : decorate(a, &p, tasks, live, out, err);
}
