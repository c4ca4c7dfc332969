/* SPDX-License-Identifier: Apache-2.0 */
/* encode.c - rows as the JSON of the API.
 *
 * Design: rows hold JSON texts as they go over the wire, so encoding is concatenation; nothing
 * stored is parsed again, except the tasks of a state that has some, for the list of its
 * interrupts. Times are ISO-8601 with Z, ids have dashes. Field lists (`select`) are bits. */
#include "api/api_int.h"
#include "base/clock.h"

static const struct word ASSISTANT_WORDS[] = {
    {STR("assistant_id"), API_ASSISTANT_ID},    {STR("graph_id"), API_ASSISTANT_GRAPH},
    {STR("name"), API_ASSISTANT_NAME},          {STR("description"), API_ASSISTANT_DESCRIPTION},
    {STR("config"), API_ASSISTANT_CONFIG},      {STR("context"), API_ASSISTANT_CONTEXT},
    {STR("metadata"), API_ASSISTANT_METADATA},  {STR("version"), API_ASSISTANT_VERSION},
    {STR("created_at"), API_ASSISTANT_CREATED}, {STR("updated_at"), API_ASSISTANT_UPDATED},
};
const struct word_set API_ASSISTANT_FIELDS = {ASSISTANT_WORDS, ARRAY_COUNT(ASSISTANT_WORDS)};

static const struct word THREAD_WORDS[] = {
    {STR("thread_id"), API_THREAD_ID},          {STR("created_at"), API_THREAD_CREATED},
    {STR("updated_at"), API_THREAD_UPDATED},    {STR("state_updated_at"), API_THREAD_STATE_UPDATED},
    {STR("metadata"), API_THREAD_METADATA},     {STR("status"), API_THREAD_STATUS},
    {STR("config"), API_THREAD_CONFIG},         {STR("values"), API_THREAD_VALUES},
    {STR("interrupts"), API_THREAD_INTERRUPTS}, {STR("error"), API_THREAD_ERROR},
    {STR("context"), API_THREAD_CONTEXT},
};
const struct word_set API_THREAD_FIELDS = {THREAD_WORDS, ARRAY_COUNT(THREAD_WORDS)};

static const struct word RUN_WORDS[] = {
    {STR("run_id"), API_RUN_ID},
    {STR("thread_id"), API_RUN_THREAD},
    {STR("assistant_id"), API_RUN_ASSISTANT},
    {STR("created_at"), API_RUN_CREATED},
    {STR("updated_at"), API_RUN_UPDATED},
    {STR("status"), API_RUN_STATUS},
    {STR("metadata"), API_RUN_METADATA},
    {STR("kwargs"), API_RUN_KWARGS},
    {STR("multitask_strategy"), API_RUN_MULTITASK},
    {STR("cancel_reason"), API_RUN_CANCEL_REASON},
};
const struct word_set API_RUN_FIELDS = {RUN_WORDS, ARRAY_COUNT(RUN_WORDS)};

static const struct word STATE_WORDS[] = {
    {STR("values"), API_STATE_VALUES},
    {STR("next"), API_STATE_NEXT},
    {STR("tasks"), API_STATE_TASKS},
    {STR("metadata"), API_STATE_METADATA},
    {STR("created_at"), API_STATE_CREATED},
    {STR("checkpoint"), API_STATE_CHECKPOINT},
    {STR("parent_checkpoint"), API_STATE_PARENT},
    {STR("interrupts"), API_STATE_INTERRUPTS},
};
const struct word_set API_STATE_FIELDS = {STATE_WORDS, ARRAY_COUNT(STATE_WORDS)};

void api_write_id(struct json_writer *w, struct id id) {
    char text[ID_DASHED_LEN + 2];
    text[0] = text[sizeof(text) - 1] = '"';
    id_write_dashed(id, text + 1);
    jw_raw(w, str_n(text, sizeof(text)));
}

void api_write_id_or_null(struct json_writer *w, struct id id) {
    if (id_is_nil(id))
        jw_null(w);
    else
        api_write_id(w, id);
}

void api_write_time(struct json_writer *w, int64_t wall_us) {
    char text[TIME_ISO_LEN + 2];
    text[0] = text[sizeof(text) - 1] = '"';
    time_write_iso(wall_us, text + 1);
    jw_raw(w, str_n(text, sizeof(text)));
}

void api_write_time_or_null(struct json_writer *w, int64_t wall_us) {
    if (wall_us)
        api_write_time(w, wall_us);
    else
        jw_null(w);
}

void api_write_time_member(struct json_writer *w, const char *key, int64_t wall_us) {
    jw_key(w, key);
    api_write_time_or_null(w, wall_us);
}

/* True and the key written when the field is wanted. */
static bool wants(struct json_writer *w, unsigned fields, int field, const char *key) {
    if (!(fields & 1u << field))
        return false;
    jw_key(w, key);
    return true;
}

void api_write_assistant(struct json_writer *w, const struct assistant *t, unsigned fields) {
    jw_object(w);
    if (wants(w, fields, API_ASSISTANT_ID, "assistant_id"))
        api_write_id(w, t->id);
    if (wants(w, fields, API_ASSISTANT_VERSION, "version"))
        jw_i64(w, t->version);
    if (wants(w, fields, API_ASSISTANT_CONFIG, "config"))
        jw_raw(w, t->config);
    if (wants(w, fields, API_ASSISTANT_CONTEXT, "context"))
        jw_raw(w, t->context);
    if (wants(w, fields, API_ASSISTANT_CREATED, "created_at"))
        api_write_time(w, t->created_at);
    if (wants(w, fields, API_ASSISTANT_UPDATED, "updated_at"))
        api_write_time(w, t->updated_at);
    if (wants(w, fields, API_ASSISTANT_GRAPH, "graph_id"))
        jw_str(w, t->graph_id);
    if (wants(w, fields, API_ASSISTANT_METADATA, "metadata"))
        jw_raw(w, t->metadata);
    if (wants(w, fields, API_ASSISTANT_NAME, "name"))
        jw_str(w, t->name);
    if (wants(w, fields, API_ASSISTANT_DESCRIPTION, "description"))
        jw_str(w, t->description);
    jw_object_end(w);
}

void api_write_run(struct json_writer *w, const struct run *run, unsigned fields) {
    jw_object(w);
    if (wants(w, fields, API_RUN_ID, "run_id"))
        api_write_id(w, run->id);
    if (wants(w, fields, API_RUN_THREAD, "thread_id"))
        api_write_id(w, run->thread_id);
    if (wants(w, fields, API_RUN_ASSISTANT, "assistant_id"))
        api_write_id(w, run->assistant_id);
    if (wants(w, fields, API_RUN_CREATED, "created_at"))
        api_write_time(w, run->created_at);
    if (wants(w, fields, API_RUN_UPDATED, "updated_at"))
        api_write_time(w, run->updated_at);
    if (wants(w, fields, API_RUN_STATUS, "status"))
        jw_str(w, run_status_name(run->status));
    if (wants(w, fields, API_RUN_METADATA, "metadata"))
        jw_raw(w, run->metadata);
    if (wants(w, fields, API_RUN_KWARGS, "kwargs"))
        jw_raw(w, run->kwargs);
    if (wants(w, fields, API_RUN_MULTITASK, "multitask_strategy"))
        jw_str(w, run->multitask_strategy);
    if (run->cancel_reason.p && wants(w, fields, API_RUN_CANCEL_REASON, "cancel_reason"))
        jw_str(w, run->cancel_reason);
    jw_object_end(w);
}

static void write_ttl(struct json_writer *w, const struct thread *t) {
    jw_key(w, "ttl");
    jw_object(w);
    jw_key(w, "strategy");
    jw_str(w, prune_strategy_name(t->ttl.strategy));
    jw_key(w, "ttl_minutes");
    if (t->ttl.us % API_MINUTE_US == 0)
        jw_i64(w, t->ttl.us / API_MINUTE_US);
    else
        jw_double(w, (double)t->ttl.us / API_MINUTE_US);
    jw_key(w, "expires_at");
    api_write_time(w, t->updated_at + t->ttl.us);
    jw_object_end(w);
}

void api_write_thread(struct json_writer *w, const struct thread *t, str values, str extracted,
                      unsigned fields) {
    jw_object(w);
    if (wants(w, fields, API_THREAD_ID, "thread_id"))
        api_write_id(w, t->id);
    if (wants(w, fields, API_THREAD_CREATED, "created_at"))
        api_write_time(w, t->created_at);
    if (wants(w, fields, API_THREAD_UPDATED, "updated_at"))
        api_write_time(w, t->updated_at);
    if (wants(w, fields, API_THREAD_STATE_UPDATED, "state_updated_at"))
        api_write_time(w, t->state_updated_at);
    if (wants(w, fields, API_THREAD_METADATA, "metadata"))
        jw_raw(w, t->metadata);
    if (wants(w, fields, API_THREAD_STATUS, "status"))
        jw_str(w, thread_status_name(t->status));
    if (wants(w, fields, API_THREAD_CONFIG, "config"))
        jw_raw(w, t->config);
    if (wants(w, fields, API_THREAD_VALUES, "values"))
        jw_raw(w, values);
    if (wants(w, fields, API_THREAD_INTERRUPTS, "interrupts"))
        jw_raw(w, t->interrupts);
    if (t->error.p && wants(w, fields, API_THREAD_ERROR, "error"))
        jw_raw(w, t->error);
    if (t->ttl.us > 0)
        write_ttl(w, t);
    if (extracted.p) {
        jw_key(w, "extracted");
        jw_raw(w, extracted);
    }
    jw_object_end(w);
}

/* Of a subgraph: where it and the graphs around it are. */
static void write_checkpoint_map(struct json_writer *w, const struct checkpoint *c, struct id id) {
    struct arena a;
    yyjson_val *metadata, *key, *value;
    size_t i, n;
    arena_init(&a, SIZE_MAX / 2);
    jw_object(w);
    if (json_parse(&a, c->metadata, &metadata, NULL) == 0) {
        yyjson_obj_foreach(json_get(metadata, "parents"), i, n, key, value) {
            jw_key_str(w, json_str(key));
            jw_val(w, value);
        }
    }
    jw_key_str(w, c->name_space);
    api_write_id(w, id);
    jw_object_end(w);
    arena_deinit(&a);
}

void api_write_checkpoint(struct json_writer *w, const struct checkpoint *c, struct id id) {
    if (id_is_nil(id)) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key(w, "thread_id");
    api_write_id(w, c->thread_id);
    jw_key(w, "checkpoint_id");
    api_write_id(w, id);
    jw_key(w, "checkpoint_ns");
    jw_str(w, c->name_space);
    jw_key(w, "checkpoint_map");
    if (c->name_space.len == 0)
        jw_null(w);
    else
        write_checkpoint_map(w, c, id);
    jw_object_end(w);
}

/* The interrupts of all tasks as one list. */
static void write_interrupts(struct json_writer *w, struct arena *a, str tasks) {
    yyjson_val *list = NULL, *task, *interrupt;
    size_t i, k, count;
    jw_array(w);
    if (!str_eq(tasks, STR("[]")) && json_parse(a, tasks, &list, NULL) == 0) {
        yyjson_arr_foreach(list, i, count, task) {
            yyjson_val *interrupts = json_get(task, "interrupts");
            size_t many;
            yyjson_arr_foreach(interrupts, k, many, interrupt) jw_val(w, interrupt);
        }
    }
    jw_array_end(w);
}

/* What a thread without a state shows. */
static void write_no_state(struct json_writer *w, unsigned fields) {
    static const struct {
        int field;
        str text;
    } parts[] = {
        {API_STATE_VALUES, STR("{}")},    {API_STATE_NEXT, STR("[]")},
        {API_STATE_TASKS, STR("[]")},     {API_STATE_METADATA, STR("{}")},
        {API_STATE_CREATED, STR("null")}, {API_STATE_CHECKPOINT, STR("null")},
        {API_STATE_PARENT, STR("null")},  {API_STATE_INTERRUPTS, STR("[]")},
    };
    jw_object(w);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        if (!(fields & 1u << parts[i].field))
            continue;
        jw_key_str(w, word_text(&API_STATE_FIELDS, parts[i].field));
        jw_raw(w, parts[i].text);
    }
    jw_object_end(w);
}

void api_write_state(struct json_writer *w, struct arena *a, const struct checkpoint *c, str values,
                     unsigned fields) {
    if (!c) {
        write_no_state(w, fields);
        return;
    }
    jw_object(w);
    if (wants(w, fields, API_STATE_VALUES, "values"))
        jw_raw(w, values);
    if (wants(w, fields, API_STATE_NEXT, "next"))
        jw_raw(w, c->next);
    if (wants(w, fields, API_STATE_TASKS, "tasks"))
        jw_raw(w, c->tasks);
    if (wants(w, fields, API_STATE_METADATA, "metadata"))
        jw_raw(w, c->metadata);
    if (wants(w, fields, API_STATE_CREATED, "created_at"))
        api_write_time(w, c->created_at);
    if (wants(w, fields, API_STATE_CHECKPOINT, "checkpoint"))
        api_write_checkpoint(w, c, c->id);
    if (wants(w, fields, API_STATE_PARENT, "parent_checkpoint"))
        api_write_checkpoint(w, c, c->parent_id);
    if (wants(w, fields, API_STATE_INTERRUPTS, "interrupts"))
        write_interrupts(w, a, c->tasks);
    jw_object_end(w);
}

void api_write_labels(struct json_writer *w, str joined) {
    str label;
    jw_array(w);
    while (joined.len > 0 && str_split_next(&joined, '.', &label))
        jw_str(w, label);
    jw_array_end(w);
}

void api_write_item(struct json_writer *w, const struct item *item) {
    jw_object(w);
    jw_key(w, "value");
    jw_raw(w, item->value);
    jw_key(w, "key");
    jw_str(w, item->key);
    jw_key(w, "namespace");
    api_write_labels(w, item->name_space);
    jw_key(w, "created_at");
    api_write_time(w, item->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, item->updated_at);
    if (item->scored) {
        jw_key(w, "score");
        jw_double(w, item->score);
    }
    jw_object_end(w);
}
