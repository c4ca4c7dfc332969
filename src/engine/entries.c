/* SPDX-License-Identifier: Apache-2.0 */
/* entries.c - what a run writes down: entries of the log, and its checkpoints.
 *
 * An entry says the same as the row beside it, so that a renderer needs the log only, but for the
 * values of a state, which stand in its checkpoint. A checkpoint that is not stored (of a temporary
 * run's input, or when the durability is exit) carries them in its entry. */
#include "engine/engine_int.h"

static str dup_buf(struct arena *a, struct buf *b) {
    ASSERT(buf_ok(b));
    str s = arena_dup(a, buf_view(b));
    buf_deinit(b);
    return s;
}

const char *error_class(int code) {
    switch (code) {
    case ERR_MODEL_REFUSED:
        return "ModelConnectionError";
    case ERR_MODEL_AUTH:
        return "ModelAuthenticationError";
    case ERR_MODEL_RATE:
        return "ModelRateLimitError";
    case ERR_MODEL_FAILED:
        return "ModelServerError";
    case ERR_MODEL_PROTOCOL:
        return "ModelProtocolError";
    case ERR_MODEL_REQUEST:
        return "ModelRequestError";
    case ERR_TIMEOUT:
        return "TimeoutError";
    case ERR_INVALID:
        return "InvalidInputError";
    case ERR_INVALID_UPDATE:
        return "InvalidUpdateError";
    case ERR_LIMIT:
        return "GraphRecursionError";
    case ERR_TOO_LARGE:
        return "RunTooLargeError";
    default:
        return "GraphError";
    }
}

str error_json(struct arena *a, int code, const char *message) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "error");
    jw_z(&w, error_class(code));
    jw_key(&w, "message");
    jw_z(&w, message && message[0] ? message : err_text(code));
    jw_object_end(&w);
    return dup_buf(a, &b);
}

static struct hub_entry entry_of(struct live_run *run, enum log_kind kind, struct buf *b) {
    return (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = kind,
                                        .at = rt_now_us(run->engine->rt),
                                        .data = dup_buf(&run->arena, b)}};
}

/* --- start and end --- */

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
    if (run->subgraphs) {
        jw_key(&w, "subgraphs");
        jw_bool(&w, true);
    }
    jw_key(&w, "metadata");
    jw_object(&w);
    if (run->metadata_members.p)
        jw_raw(&w, run->metadata_members);
    jw_object_end(&w);
    jw_object_end(&w);
    return entry_of(run, LOG_START, &b);
}

/* Where to say what one thinks of the run: {key: address}. */
static void write_feedback(struct live_run *run, struct json_writer *w) {
    yyjson_val *keys = json_get(run->kwargs, "feedback_keys"), *key;
    size_t i, count;
    if (run->status != RUN_SUCCESS || yyjson_arr_size(keys) == 0)
        return;
    jw_key(w, "feedback");
    jw_object(w);
    yyjson_arr_foreach(keys, i, count, key) {
        if (!yyjson_is_str(key))
            continue;
        jw_key_str(w, json_str(key));
        jw_str(w, arena_printf(&run->arena, "%s/runs/" STR_FMT "/feedback/" STR_FMT,
                               run->engine->o.api_url, STR_ARG(id_dashed(&run->arena, run->row.id)),
                               STR_ARG(json_str(key))));
    }
    jw_object_end(w);
}

struct hub_entry end_entry(struct live_run *run) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "status");
    jw_str(&w, run_status_name(run->status));
    jw_key(&w, "graph_id");
    jw_str(&w, run->def ? str_of(run->def->id) : STR_NULL);
    jw_key(&w, "error");
    jw_raw(&w, run->error);
    if (run->interrupted && !run->interrupts.p) { /* tasks tell theirs */
        jw_key(&w, "interrupts");
        jw_raw(&w, STR("[]"));
    }
    write_feedback(run, &w);
    jw_object_end(&w);
    return entry_of(run, LOG_END, &b);
}

/* --- tasks --- */

static void write_result(struct json_writer *w, const struct task *t) {
    jw_object(w);
    for (size_t i = 0; i < t->frame->def->channel_count; i++) {
        const struct channel_def *def = &t->frame->def->channels[i];
        size_t n = 0;
        for (size_t j = 0; j < t->writes.count; j++) {
            const struct state_write *wr = &t->writes.p[j];
            if (strcmp(wr->channel, def->name) != 0 || (n > 0 && !wr->is_message))
                continue;
            if (n++ == 0) {
                jw_key(w, def->name);
                if (wr->is_message)
                    jw_array(w);
            }
            jw_raw(w, wr->is_message ? wr->message.json : wr->value);
        }
        if (n && def->kind == CHANNEL_MESSAGES)
            jw_array_end(w);
    }
    jw_object_end(w);
}

void interrupts_write(struct json_writer *w, const struct interrupt *list, size_t count) {
    jw_array(w);
    for (size_t i = 0; i < count; i++) {
        jw_object(w);
        jw_key(w, "value");
        jw_raw(w, list[i].value);
        jw_key(w, "id");
        jw_str(w, list[i].id);
        jw_object_end(w);
    }
    jw_array_end(w);
}

struct hub_entry task_entry(struct task *t) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "id");
    jw_str(&w, id_dashed(&t->run->arena, t->id));
    jw_key(&w, "name");
    jw_z(&w, t->node->name);
    if (t->frame->ns.len) {
        jw_key(&w, "ns");
        jw_str(&w, t->frame->ns);
    }
    if (t->seen.p && t->rc == 0) {
        jw_key(&w, "seen");
        jw_raw(&w, t->seen);
    }
    if (t->rc == ERR_INTERRUPTED) {
        jw_key(&w, "interrupts");
        interrupts_write(&w, t->interrupts.p, t->interrupts.count);
    } else if (t->rc < 0) {
        jw_key(&w, "error");
        jw_raw(&w, error_json(&t->run->arena, t->rc, t->err.message));
    } else {
        jw_key(&w, "result");
        write_result(&w, t);
    }
    jw_object_end(&w);
    return entry_of(t->run, LOG_TASK, &b);
}

/* --- checkpoints --- */

static void write_next(struct frame *f, struct json_writer *w) {
    jw_array(w);
    if (f->from_input)
        jw_z(w, "__start__");
    for (size_t i = 0; !f->from_input && i < f->plan.count; i++)
        jw_z(w, f->def->nodes[f->plan.tasks[i].node].name);
    jw_array_end(w);
}

static void write_path(struct frame *f, struct json_writer *w, const struct planned *t) {
    jw_array(w);
    if (t->send >= 0) {
        jw_z(w, "__pregel_push");
        jw_i64(w, t->send);
        jw_bool(w, false);
    } else {
        jw_z(w, "__pregel_pull");
        jw_z(w, f->def->nodes[t->node].name);
    }
    jw_array_end(w);
}

static void write_triggers(struct frame *f, struct json_writer *w, const struct planned *t) {
    str *triggers = ARENA_ARRAY(f->view.arena, str, f->def->join_count + 1);
    size_t count = 0;
    jw_array(w);
    if (t->send >= 0)
        jw_z(w, "__pregel_push");
    else
        count = plan_triggers(f->view.arena, f->def, t->node, triggers);
    for (size_t i = 0; i < count; i++)
        jw_str(w, triggers[i]);
    jw_array_end(w);
}

/* As the log and the renderer want it, or (full) as a thread's state shows it. */
static void write_task(struct frame *f, struct json_writer *w, const struct planned *t, bool full) {
    struct arena *a = f->view.arena;
    struct id id = frame_task_id(f, t);
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, id_dashed(a, id));
    jw_key(w, "name");
    jw_z(w, f->def->nodes[t->node].name);
    jw_key(w, "path");
    write_path(f, w, t);
    if (!full) {
        jw_key(w, "triggers");
        write_triggers(f, w, t);
        if (t->send >= 0) {
            jw_key(w, "input");
            jw_raw(w, t->input);
        }
    } else {
        jw_raw(w, STR("\"error\":null,\"interrupts\":[]"));
        jw_key(w, "checkpoint");
        if (f->def->nodes[t->node].subgraph)
            jw_raw(w, arena_printf(a,
                                   "{\"thread_id\":\"" STR_FMT "\",\"checkpoint_ns\":\"" STR_FMT
                                   "\"}",
                                   STR_ARG(id_dashed(a, f->thread_id)),
                                   STR_ARG(frame_task_ns(f, t, id))));
        else
            jw_null(w);
        jw_raw(w, STR("\"state\":null,\"result\":null"));
    }
    jw_object_end(w);
}

static str tasks_text(struct frame *f, bool full) {
    struct buf b;
    if (f->from_input || f->plan.count == 0)
        return STR("[]");
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < f->plan.count; i++)
        write_task(f, &w, &f->plan.tasks[i], full);
    jw_array_end(&w);
    return dup_buf(f->view.arena, &b);
}

str frame_tasks_text(struct frame *f) { return tasks_text(f, true); }

static str next_text(struct frame *f) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    write_next(f, &w);
    return dup_buf(f->view.arena, &b);
}

static str checkpoint_metadata(struct frame *f, str source) {
    struct live_run *run = f->run;
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
    if (!id_is_nil(run->row.id)) {
        jw_key(&w, "run_id");
        jw_str(&w, str_n(id, sizeof(id)));
    }
    jw_key(&w, "source");
    jw_str(&w, source);
    jw_key(&w, "step");
    jw_i64(&w, f->step);
    jw_key(&w, "parents");
    jw_raw(&w, f->parents);
    jw_object_end(&w);
    return dup_buf(f->view.arena, &b);
}

static struct hub_entry checkpoint_entry(struct frame *f, struct id parent, str source,
                                         bool stored) {
    struct arena *a = f->view.arena;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    str hidden = state_hidden_names(&f->view);
    jw_object(&w);
    jw_key(&w, "id");
    jw_str(&w, id_dashed(a, f->checkpoint_id));
    jw_key(&w, "parent");
    jw_str(&w, id_is_nil(parent) ? STR_NULL : id_dashed(a, parent));
    jw_key(&w, "ns");
    jw_str(&w, f->ns);
    jw_key(&w, "step");
    jw_i64(&w, f->step);
    jw_key(&w, "source");
    jw_str(&w, source);
    jw_key(&w, "next");
    write_next(f, &w);
    jw_key(&w, "tasks");
    jw_raw(&w, tasks_text(f, false));
    if (hidden.p) {
        jw_key(&w, "hide");
        jw_raw(&w, hidden);
    }
    if (!stored) {
        jw_key(&w, "values");
        jw_raw(&w, state_values_json(&f->view));
    }
    jw_object_end(&w);
    return entry_of(f->run, LOG_CHECKPOINT, &b);
}

struct hub_entry resumed_entry(struct frame *f, str source, bool changed) {
    struct hub_entry e = checkpoint_entry(f, ID_NIL, source, !changed);
    e.state = &f->view;
    return e;
}

static void save(struct frame *f, str source, struct db_batch *b) {
    struct live_run *run = f->run;
    struct checkpoint c = {
        .thread_id = run->row.thread_id,
        .name_space = f->ns,
        .id = f->checkpoint_id,
        .parent_id = f->stored_id,
        .run_id = run->row.id,
        .step = f->step,
        .source = source,
        .created_at = rt_now_us(run->engine->rt),
        .next = next_text(f),
        .tasks = tasks_text(f, true),
        .metadata = checkpoint_metadata(f, source),
    };
    str edges[GRAPH_NODES_MAX];
    size_t edge_count = 0;
    for (size_t i = 0; i < f->def->node_count && !f->from_input; i++)
        if (f->plan.edges >> i & 1)
            edges[edge_count++] = str_of(f->def->nodes[i].name);
    str input = f->from_input ? json_text(&run->arena, f->input) : STR_NULL;
    state_checkpoint_add(&f->view, b, &c, edges, edge_count, input);
    f->stored_id = f->checkpoint_id;
    f->unsaved = false;
    if (!f->ns.len)
        run->made_id = f->checkpoint_id;
}

void checkpoint_save(struct frame *f, struct db_batch *b) { save(f, STR("loop"), b); }

void checkpoint_make(struct frame *f, const char *source, bool stored, struct db_batch *b,
                     struct hub_entry *out) {
    struct id parent = f->checkpoint_id;
    f->from_input = source[0] == 'i';
    f->checkpoint_id = id_v6_after(++f->step, f->checkpoint_id);
    f->unsaved = true;
    if (stored)
        save(f, str_of(source), b);
    *out = checkpoint_entry(f, parent, str_of(source), stored);
    f->from_input = false;
}
