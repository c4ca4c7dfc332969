/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_write.c - tasks, messages and events of A2A, in the words of either version.
 *
 * What a completed task made is one artifact: the last message if that is of the agent, its id the
 * artifact's; of a graph without messages its values, as data. A task that asks shows each question
 * in its status: as text for people, and all of them as data {"interrupts": [{id, value}, …]}. */
#include "api/a2a_int.h"

static const char *const STATES[][2] = {
    [A2A_SUBMITTED] = {"submitted", "TASK_STATE_SUBMITTED"},
    [A2A_WORKING] = {"working", "TASK_STATE_WORKING"},
    [A2A_INPUT_REQUIRED] = {"input-required", "TASK_STATE_INPUT_REQUIRED"},
    [A2A_COMPLETED] = {"completed", "TASK_STATE_COMPLETED"},
    [A2A_CANCELED] = {"canceled", "TASK_STATE_CANCELED"},
    [A2A_FAILED] = {"failed", "TASK_STATE_FAILED"},
};

bool api_a2a_state_parse(str name, enum api_a2a_state *out) {
    for (size_t i = 0; i < ARRAY_COUNT(STATES); i++)
        if (str_eq(name, str_of(STATES[i][0])) || str_eq(name, str_of(STATES[i][1]))) {
            *out = (enum api_a2a_state)i;
            return true;
        }
    return false;
}

static void write_kind(const struct api_a2a_writer *o, const char *kind) {
    if (o->v1)
        return;
    jw_key(o->w, "kind");
    jw_z(o->w, kind);
}

static void write_text(const struct api_a2a_writer *o, str text) {
    jw_object(o->w);
    write_kind(o, "text");
    jw_key(o->w, "text");
    jw_str(o->w, text);
    jw_object_end(o->w);
}

/* key NULL: the value itself. */
static void write_data(const struct api_a2a_writer *o, const char *key, yyjson_val *value) {
    jw_object(o->w);
    write_kind(o, "data");
    jw_key(o->w, "data");
    if (key) {
        jw_object(o->w);
        jw_key(o->w, key);
        jw_val(o->w, value);
        jw_object_end(o->w);
    } else {
        jw_val(o->w, value);
    }
    jw_object_end(o->w);
}

static void write_ids(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                      const char *task_key) {
    jw_key(o->w, task_key);
    jw_str(o->w, api_a2a_task_name(o->a, t->thread_id, t->run_id));
    jw_key(o->w, "contextId");
    api_write_id(o->w, t->thread_id);
}

static void open_message(const struct api_a2a_writer *o, const struct api_a2a_task *t, bool user,
                         str id) {
    jw_object(o->w);
    write_kind(o, "message");
    jw_key(o->w, "role");
    jw_z(o->w, o->v1 ? (user ? "ROLE_USER" : "ROLE_AGENT") : (user ? "user" : "agent"));
    jw_key(o->w, "messageId");
    jw_str(o->w, id);
    write_ids(o, t, "taskId");
    jw_key(o->w, "parts");
    jw_array(o->w);
}

static void close_message(const struct api_a2a_writer *o) {
    jw_array_end(o->w);
    jw_object_end(o->w);
}

static void write_questions(const struct api_a2a_writer *o, yyjson_val *interrupts) {
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(interrupts, i, count, item) {
        yyjson_val *value = json_get(item, "value");
        write_text(o, yyjson_is_str(value) ? json_str(value) : json_text(o->a, value));
    }
    write_data(o, "interrupts", interrupts);
}

static void write_status(const struct api_a2a_writer *o, const struct api_a2a_task *t) {
    jw_key(o->w, "status");
    jw_object(o->w);
    jw_key(o->w, "state");
    jw_z(o->w, STATES[t->state][o->v1]);
    jw_key(o->w, "timestamp");
    api_write_time(o->w, t->at_us);
    if (t->state == A2A_INPUT_REQUIRED || t->state == A2A_FAILED) {
        jw_key(o->w, "message");
        open_message(o, t, false, id_dashed(o->a, t->run_id));
        if (t->state == A2A_FAILED)
            write_text(o, t->error);
        else
            write_questions(o, t->interrupts);
        close_message(o);
    }
    jw_object_end(o->w);
}

/* --- artifacts --- */

static bool parse_message(const struct api_a2a_writer *o, yyjson_val *v, struct message *out) {
    return yyjson_is_obj(v) && message_parse_flat(o->a, json_text(o->a, v), out, NULL) == 0;
}

static void open_artifact(const struct api_a2a_writer *o, str id) {
    jw_object(o->w);
    jw_key(o->w, "artifactId");
    jw_str(o->w, id);
    jw_key(o->w, "parts");
    jw_array(o->w);
}

static void close_artifact(const struct api_a2a_writer *o) {
    jw_array_end(o->w);
    jw_object_end(o->w);
}

static bool has_artifact(const struct api_a2a_task *t) {
    return t->state == A2A_COMPLETED && yyjson_is_obj(t->values);
}

static void write_artifact(const struct api_a2a_writer *o, const struct api_a2a_task *t) {
    struct message m;
    yyjson_val *messages = json_get(t->values, "messages");
    if (yyjson_is_arr(messages) && parse_message(o, yyjson_arr_get_last(messages), &m) &&
        m.type == MESSAGE_AI) {
        open_artifact(o, m.id);
        write_text(o, message_text(o->a, &m));
    } else {
        open_artifact(o, id_dashed(o->a, t->run_id));
        write_data(o, NULL, t->values);
    }
    close_artifact(o);
}

static void write_history(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                          int64_t history) {
    yyjson_val *messages = json_get(t->values, "messages"), *item;
    size_t i, count, total = yyjson_arr_size(messages);
    jw_key(o->w, "history");
    jw_array(o->w);
    yyjson_arr_foreach(messages, i, count, item) {
        struct message m;
        if (i + (size_t)history < total || !parse_message(o, item, &m) ||
            (m.type != MESSAGE_HUMAN && m.type != MESSAGE_AI))
            continue;
        open_message(o, t, m.type == MESSAGE_HUMAN, m.id);
        write_text(o, message_text(o->a, &m));
        close_message(o);
    }
    jw_array_end(o->w);
}

void api_a2a_write_task(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                        int64_t history) {
    jw_object(o->w);
    write_kind(o, "task");
    write_ids(o, t, "id");
    write_status(o, t);
    if (has_artifact(t) && !o->bare) {
        jw_key(o->w, "artifacts");
        jw_array(o->w);
        write_artifact(o, t);
        jw_array_end(o->w);
    }
    if (history > 0 && t->values)
        write_history(o, t, history);
    jw_object_end(o->w);
}

/* --- events --- */

void api_a2a_write_status_update(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                                 bool final) {
    jw_object(o->w);
    write_kind(o, "status-update");
    write_ids(o, t, "taskId");
    write_status(o, t);
    if (!o->v1) {
        jw_key(o->w, "final");
        jw_bool(o->w, final);
    }
    jw_object_end(o->w);
}

static void open_update(const struct api_a2a_writer *o, const struct api_a2a_task *t) {
    jw_object(o->w);
    write_kind(o, "artifact-update");
    write_ids(o, t, "taskId");
    jw_key(o->w, "artifact");
}

static void close_update(const struct api_a2a_writer *o, bool append, bool last) {
    jw_key(o->w, "append");
    jw_bool(o->w, append);
    jw_key(o->w, "lastChunk");
    jw_bool(o->w, last);
    jw_object_end(o->w);
}

void api_a2a_write_chunk(const struct api_a2a_writer *o, const struct api_a2a_task *t,
                         const struct api_a2a_chunk *chunk) {
    open_update(o, t);
    open_artifact(o, chunk->artifact_id);
    write_text(o, chunk->text);
    close_artifact(o);
    close_update(o, chunk->append, false);
}

bool api_a2a_write_last_chunk(const struct api_a2a_writer *o, const struct api_a2a_task *t) {
    if (!has_artifact(t))
        return false;
    open_update(o, t);
    write_artifact(o, t);
    close_update(o, false, true);
    return true;
}
