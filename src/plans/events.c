/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - what of a plan stands in its thread's log, in entries of kind LOG_STEPS.
 *
 *   {"v": version, "began": true, "status": of the plan, "created": steps, "faults": of them,
 *    "error": text, "e": [[position, status, attempt, time in us, error], …],
 *    "g": [[gate's id, position, number, status, time in us, name, actor, reason], …],
 *    "p": [[position, attempt, time in us, a worker's message, its data], …],
 *    "b": [[position, time in us, tool or queue, how long it waits, in ms], …]}
 *
 * One entry carries up to EVENTS_PER_ENTRY changes of steps, so that a wave of a thousand steps is
 * some sixteen rows; what comes with a new run of the plan is one entry, however many they are. A
 * plan that has begun since the last entry says so, whatever it is now. Members that say nothing
 * are left out; so is an event's error. The time is that of the change, the entry's that of its
 * commit. */
#include "plans/plans_int.h"

static void entry_begin(struct json_writer *w, int64_t version, bool began,
                        const enum run_state *status) {
    jw_object(w);
    jw_key(w, "v");
    jw_i64(w, version);
    if (began) {
        jw_key(w, "began");
        jw_bool(w, true);
    }
    if (status) {
        jw_key(w, "status");
        jw_str(w, run_state_name(*status));
    }
}

static void write_event(struct json_writer *w, const struct step_event *e) {
    jw_array(w);
    jw_i64(w, e->position);
    jw_str(w, run_state_name(e->state));
    jw_i64(w, e->attempt);
    jw_i64(w, e->at);
    if (e->error.p)
        jw_str(w, e->error);
    jw_array_end(w);
}

static void write_gate(struct json_writer *w, struct arena *a, const struct gate_event *e) {
    jw_array(w);
    jw_str(w, id_hex(a, e->id));
    jw_i64(w, e->position);
    jw_i64(w, e->number);
    jw_str(w, e->status);
    jw_i64(w, e->at);
    jw_str(w, e->name);
    jw_str(w, e->actor);
    jw_str(w, e->reason);
    jw_array_end(w);
}

static void write_gates(struct json_writer *w, struct arena *a, const struct gate_event *gates,
                        size_t count) {
    jw_key(w, "g");
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        write_gate(w, a, &gates[i]);
    jw_array_end(w);
}

str plan_gate_entry(struct arena *a, const struct gate_event *e) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    write_gates(&w, a, e, 1);
    jw_object_end(&w);
    return arena_take(a, &b);
}

str plan_steps_entry(struct arena *a, const struct step_event *events, size_t count) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "e");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_event(&w, &events[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return arena_take(a, &b);
}

str plan_progress_entry(struct arena *a, const struct progress_event *events, size_t count) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "p");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_array(&w);
        jw_i64(&w, events[i].position);
        jw_i64(&w, events[i].attempt);
        jw_i64(&w, events[i].at);
        jw_str(&w, events[i].message);
        jw_raw(&w, events[i].data);
        jw_array_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return arena_take(a, &b);
}

str plan_queue_entry(struct arena *a, const struct queue_event *e) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "b");
    jw_array(&w);
    jw_array(&w);
    jw_i64(&w, e->position);
    jw_i64(&w, e->at);
    jw_str(&w, e->queue);
    jw_i64(&w, e->age_ms);
    jw_array_end(&w);
    jw_array_end(&w);
    jw_object_end(&w);
    return arena_take(a, &b);
}

struct gate_event gate_event_of(const struct gate *g, const struct gate_row *row, int64_t at) {
    return (struct gate_event){.id = row->id,
                               .position = row->position,
                               .number = row->number,
                               .status = gate_status_name(row->status),
                               .at = at,
                               .name = g->name,
                               .actor = row->actor,
                               .reason = row->reason};
}

size_t plan_entries_write(struct arena *a, const struct plan_news *news,
                          const struct step_event *events, size_t count, str **out) {
    const enum run_state *status = news->status;
    size_t each = news->whole ? SIZE_MAX : EVENTS_PER_ENTRY;
    size_t entries = count / each + (count % each > 0);
    if (entries == 0)
        entries = status || news->began || news->gate_count ? 1 : 0;
    str *list = ARENA_ARRAY(a, str, entries + 1);
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0, at = 0; i < entries; i++) {
        buf_reset(&b);
        struct json_writer w = json_writer(&b);
        bool last = i + 1 == entries;
        entry_begin(&w, news->version, i == 0 && news->began, last ? status : NULL);
        if (last && status && news->error.p) {
            jw_key(&w, "error");
            jw_str(&w, news->error);
        }
        jw_key(&w, "e");
        jw_array(&w);
        for (size_t k = 0; k < each && at < count; k++)
            write_event(&w, &events[at++]);
        jw_array_end(&w);
        if (last && news->gate_count)
            write_gates(&w, a, news->gates, news->gate_count);
        jw_object_end(&w);
        list[i] = arena_dup(a, buf_view(&b));
    }
    buf_deinit(&b);
    *out = list;
    return entries;
}

str plan_created_entry(struct arena *a, const struct plan_spec *plan) {
    return arena_printf(a, "{\"v\":1,\"status\":\"queued\",\"created\":%zu,\"faults\":%zu}",
                        plan->step_count, plan->fault_count);
}

static bool read_event(const struct plan_event_row *row, size_t index, yyjson_val *v,
                       struct plan_event *out) {
    *out = (struct plan_event){.seq = row->seq,
                               .index = (int64_t)index,
                               .position = yyjson_get_sint(yyjson_arr_get(v, 0)),
                               .status = json_str(yyjson_arr_get(v, 1)),
                               .attempt = yyjson_get_sint(yyjson_arr_get(v, 2)),
                               .at = yyjson_get_sint(yyjson_arr_get(v, 3)),
                               .error = json_str(yyjson_arr_get(v, 4))};
    return out->status.p != NULL;
}

static bool read_gate(const struct plan_event_row *row, size_t index, yyjson_val *v,
                      struct plan_event *out) {
    *out = (struct plan_event){.seq = row->seq,
                               .index = (int64_t)index,
                               .position = yyjson_get_sint(yyjson_arr_get(v, 1)),
                               .gate = yyjson_get_sint(yyjson_arr_get(v, 2)),
                               .status = json_str(yyjson_arr_get(v, 3)),
                               .at = yyjson_get_sint(yyjson_arr_get(v, 4)),
                               .gate_name = json_str(yyjson_arr_get(v, 5)),
                               .actor = json_str(yyjson_arr_get(v, 6)),
                               .reason = json_str(yyjson_arr_get(v, 7))};
    return out->status.p != NULL && id_parse(json_str(yyjson_arr_get_first(v)), &out->gate_id);
}

static void read_progress(struct arena *a, const struct plan_event_row *row, size_t index,
                          yyjson_val *v, struct plan_event *out) {
    yyjson_val *data = yyjson_arr_get(v, 4);
    *out = (struct plan_event){.seq = row->seq,
                               .index = (int64_t)index,
                               .status = STR("progress"),
                               .position = yyjson_get_sint(yyjson_arr_get(v, 0)),
                               .attempt = yyjson_get_sint(yyjson_arr_get(v, 1)),
                               .at = yyjson_get_sint(yyjson_arr_get(v, 2)),
                               .message = json_str(yyjson_arr_get(v, 3))};
    if (data && !yyjson_is_null(data))
        out->data = json_text(a, data);
}

static void read_queue(const struct plan_event_row *row, size_t index, yyjson_val *v,
                       struct plan_event *out) {
    *out = (struct plan_event){.seq = row->seq,
                               .index = (int64_t)index,
                               .status = STR("backpressure"),
                               .position = yyjson_get_sint(yyjson_arr_get(v, 0)),
                               .at = yyjson_get_sint(yyjson_arr_get(v, 1)),
                               .queue = json_str(yyjson_arr_get(v, 2)),
                               .age_ms = yyjson_get_sint(yyjson_arr_get(v, 3))};
}

static void about_plan(const struct plan_event_row *row, struct plan_event *out, size_t index,
                       str status, str error) {
    *out = (struct plan_event){.seq = row->seq,
                               .index = (int64_t)index,
                               .at = row->at,
                               .status = status,
                               .position = -1,
                               .error = error};
}

int plan_events_read(struct arena *a, const struct plan_event_row *row, struct plan_event **out,
                     size_t *out_count, struct err *err) {
    yyjson_val *v, *item;
    size_t i, n, count = 0;
    if (json_parse(a, row->data, &v, NULL) < 0)
        return err_set(err, ERR_CORRUPT, "an event of a plan cannot be read");
    yyjson_val *events = json_get(v, "e"), *status = json_get(v, "status");
    yyjson_val *gates = json_get(v, "g"), *progress = json_get(v, "p");
    yyjson_val *queues = json_get(v, "b");
    struct plan_event *list =
        ARENA_ARRAY(a, struct plan_event, yyjson_arr_size(events) + yyjson_arr_size(gates) +
                                              yyjson_arr_size(progress) +
                                              yyjson_arr_size(queues) + 2);
    if (yyjson_get_bool(json_get(v, "began")))
        about_plan(row, &list[count++], 0, run_state_name(RUN_STATE_RUNNING), STR_NULL);
    yyjson_arr_foreach(events, i, n, item) {
        if (!read_event(row, count, item, &list[count]))
            return err_set(err, ERR_CORRUPT, "an event of a plan cannot be read");
        count++;
    }
    yyjson_arr_foreach(gates, i, n, item) {
        if (!read_gate(row, count, item, &list[count]))
            return err_set(err, ERR_CORRUPT, "an event of a plan cannot be read");
        count++;
    }
    yyjson_arr_foreach(progress, i, n, item) {
        read_progress(a, row, count, item, &list[count]);
        count++;
    }
    yyjson_arr_foreach(queues, i, n, item) {
        read_queue(row, count, item, &list[count]);
        count++;
    }
    if (status) {
        about_plan(row, &list[count], count, json_str(status), json_str(json_get(v, "error")));
        count++;
    }
    *out = list;
    *out_count = count;
    return 0;
}
