/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - channels and reducers of a graph's state.
 *
 * Message lists follow add_messages: a message with a known id replaces in place, "remove" deletes
 * the one of that id (or all), others append. Other lists only grow, so they share everything with
 * messages but the ids. What lives for one step (ephemeral channels, topics that do not accumulate)
 * goes with the end of the next step that does not write it. A new kind of channel: its case in
 * state_apply, in channel_is_list and in state_step_end. */
#include "engine/state.h"

#include "engine/reduce.h"

static void free_values(void *values_json) { buf_deinit(values_json); }

static const struct channel_def SENDS = {.name = "__pregel_tasks", .kind = CHANNEL_LAST_VALUE};

static void hidden_init(struct graph_view *s) {
    const struct graph_def *g = s->graph;
    for (size_t i = 0; i < g->join_count; i++) {
        struct channel_def *def = ARENA_NEW(s->arena, struct channel_def);
        def->name = arena_z(s->arena, plan_join_channel(s->arena, g, &g->joins[i]));
        s->channels[g->channel_count + i].def = def;
    }
    s->channels[s->channel_count - 1].def = &SENDS;
}

void state_init(struct graph_view *s, const struct graph_def *graph, enum checkpoint_layout layout,
                struct arena *a) {
    *s = (struct graph_view){.arena = a,
                             .graph = graph,
                             .layout = layout,
                             .channel_count = graph->channel_count + graph->join_count + 1,
                             .values_json = ARENA_NEW(a, struct buf)};
    buf_init(s->values_json, SIZE_MAX / 2);
    arena_on_deinit(a, free_values, s->values_json);
    s->channels = ARENA_ARRAY(a, struct state_channel, s->channel_count);
    for (size_t i = 0; i < graph->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        c->def = &graph->channels[i];
        c->present = channel_is_list(c->def); /* an empty list */
        if (!c->present && c->def->initial) {
            c->present = true;
            c->value = str_of(c->def->initial);
        }
    }
    hidden_init(s);
}

struct state_channel *state_sends(struct graph_view *s) {
    return &s->channels[s->channel_count - 1];
}

struct state_channel *state_join(struct graph_view *s, size_t index) {
    return &s->channels[s->graph->channel_count + index];
}

struct state_channel *state_channel_of(const struct graph_view *s, str name) {
    for (size_t i = 0; i < s->channel_count; i++)
        if (str_eq(str_of(s->channels[i].def->name), name))
            return &s->channels[i];
    return NULL;
}

void state_items_push(struct graph_view *s, struct state_channel *c, const struct message *m) {
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 8;
        struct message *grown = arena_alloc(s->arena, cap * sizeof(*grown));
        if (c->count)
            memcpy(grown, c->messages, c->count * sizeof(*grown));
        c->messages = grown;
        c->cap = cap;
    }
    c->messages[c->count++] = *m;
}

static ptrdiff_t message_index(const struct state_channel *c, str id) {
    for (size_t i = c->count; i > 0; i--)
        if (str_eq(c->messages[i - 1].id, id))
            return (ptrdiff_t)i - 1;
    return -1;
}

/* The list in the store no longer matches: the next checkpoint writes a new one. */
static void forget_list(struct state_channel *c) {
    c->list_id = 0;
    c->list_added = false;
    c->stored_count = c->added_count = 0;
}

static void apply_message(struct graph_view *s, struct state_channel *c, const struct message *m) {
    ptrdiff_t at = message_index(c, m->id);
    c->value = STR_NULL;
    if (m->type == MESSAGE_REMOVE || (at >= 0 && (size_t)at < c->lc_count))
        c->lc_count = 0;
    if (m->type == MESSAGE_REMOVE) {
        if (str_eq(m->id, STR(MESSAGE_REMOVE_ALL)))
            c->count = 0;
        else if (at >= 0) {
            memmove(&c->messages[at], &c->messages[at + 1],
                    (c->count - (size_t)at - 1) * sizeof(*c->messages));
            c->count--;
        } else
            return;
        if (c->added_count > 0)
            forget_list(c);
        return;
    }
    if (at < 0) {
        state_items_push(s, c, m);
        return;
    }
    c->messages[at] = *m;
    if ((size_t)at < c->added_count)
        forget_list(c);
}

void state_set(struct graph_view *s, struct state_channel *c, str value) {
    c->present = value.p != NULL;
    c->value = value;
    c->hash = STR_NULL;
    c->value_stored = c->value_added = false;
    s->values_fresh = false;
}

/* The items of an array, or one item. */
static int apply_items(struct graph_view *s, struct state_channel *c, str json, struct err *err) {
    yyjson_val *v, *item;
    size_t i, n;
    int rc = json_parse(s->arena, json, &v, err);
    if (rc < 0)
        return rc;
    c->value = STR_NULL;
    if (!yyjson_is_arr(v)) {
        state_items_push(s, c, &(struct message){.json = json});
        return 0;
    }
    yyjson_arr_foreach(v, i, n, item)
        state_items_push(s, c, &(struct message){.json = json_text(s->arena, item)});
    return 0;
}

/* A topic's list of one step. */
static int apply_topic(struct graph_view *s, struct state_channel *c, str json, struct err *err) {
    struct state_channel items = {.def = c->def};
    struct buf b;
    int rc = 0;
    if (c->written)
        rc = apply_items(s, &items, c->value, err);
    if (rc == 0)
        rc = apply_items(s, &items, json, err);
    if (rc < 0)
        return rc;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    state_items_write(&w, &items, 0);
    jw_array_end(&w);
    state_set(s, c, arena_dup(s->arena, buf_view(&b)));
    buf_deinit(&b);
    return 0;
}

static int apply_binary(struct graph_view *s, struct state_channel *c, str json, struct err *err) {
    yyjson_val *old, *add;
    str value = json;
    int rc = json_parse(s->arena, json, &add, err);
    if (rc == 0 && c->present) {
        rc = json_parse(s->arena, c->value, &old, err);
        if (rc == 0)
            rc = reduce_values(s->arena, c->def->reducer, old, add, &value, err);
        if (rc == ERR_INVALID_UPDATE)
            (void)err_context(err, "At key '%s'", c->def->name);
    }
    if (rc == 0)
        state_set(s, c, value);
    return rc;
}

static int apply_value(struct graph_view *s, struct state_channel *c, str json, struct err *err) {
    switch (c->def->kind) {
    case CHANNEL_LIST:
        return apply_items(s, c, json, err);
    case CHANNEL_TOPIC:
        return c->def->accumulate ? apply_items(s, c, json, err) : apply_topic(s, c, json, err);
    case CHANNEL_BINARY:
        return apply_binary(s, c, json, err);
    default:
        break;
    }
    if (c->written && c->def->kind != CHANNEL_ANY)
        return err_set(err, ERR_INVALID_UPDATE,
                       "At key '%s': Can receive only one value per step. Use an Annotated key to "
                       "handle multiple values.",
                       c->def->name);
    state_set(s, c, json);
    return 0;
}

int state_apply(struct graph_view *s, const struct state_write *w, struct err *err) {
    struct state_channel *c = state_channel_of(s, str_of(w->channel));
    int rc = 0;
    ASSERT(c && w->is_message == (c->def->kind == CHANNEL_MESSAGES));
    if (w->is_message)
        apply_message(s, c, &w->message);
    else
        rc = apply_value(s, c, w->value, err);
    c->present = rc == 0 || c->present;
    c->written = true;
    s->values_fresh = false;
    return rc;
}

void state_step_begin(struct graph_view *s) {
    for (size_t i = 0; i < s->graph->channel_count; i++)
        s->channels[i].written = false;
}

void state_step_end(struct graph_view *s) {
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        bool passing = c->def->kind == CHANNEL_EPHEMERAL ||
                       (c->def->kind == CHANNEL_TOPIC && !c->def->accumulate);
        if (passing && c->present && !c->written)
            state_set(s, c, STR_NULL);
    }
}

int state_with(const struct graph_view *s, const struct state_write *writes, size_t count,
               struct graph_view *out, struct err *err) {
    *out = *s;
    out->channels = ARENA_ARRAY(s->arena, struct state_channel, s->channel_count);
    memcpy(out->channels, s->channels, s->channel_count * sizeof(*out->channels));
    out->values_json = ARENA_NEW(s->arena, struct buf);
    buf_init(out->values_json, SIZE_MAX / 2);
    arena_on_deinit(s->arena, free_values, out->values_json);
    out->values_fresh = false;
    state_step_begin(out);
    for (size_t i = 0; i < count; i++) {
        struct state_channel *c = state_channel_of(out, str_of(writes[i].channel));
        if (c->messages && !c->written) { /* the list of `s` stays as it is */
            struct message *own = ARENA_ARRAY(s->arena, struct message, c->count + count + 1);
            memcpy(own, c->messages, c->count * sizeof(*own));
            c->messages = own;
            c->cap = c->count + count + 1;
        }
        int rc = state_apply(out, &writes[i], err);
        if (rc < 0)
            return rc;
    }
    state_step_end(out);
    return 0;
}

int state_read_values(const struct graph_view *s, yyjson_val *values, bool input,
                      struct state_write **out, size_t *out_count, struct err *err) {
    if (!yyjson_is_obj(values))
        return err_set(err, ERR_INVALID, "%s: must be an object of channel values",
                       input ? "input" : "values");
    struct state_write *writes = NULL;
    size_t count = 0;
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        const struct channel_def *def = s->channels[i].def;
        yyjson_val *v = json_get(values, def->name);
        if (!v || (input && !def->in_input))
            continue;
        struct message *messages = NULL;
        size_t n = 1;
        if (def->kind == CHANNEL_MESSAGES) {
            int rc = message_normalise_list(s->arena, v, &messages, &n, err);
            if (rc < 0)
                return rc;
        }
        struct state_write *grown = ARENA_ARRAY(s->arena, struct state_write, count + n + 1);
        if (count)
            memcpy(grown, writes, count * sizeof(*grown));
        writes = grown;
        for (size_t j = 0; j < n; j++) {
            writes[count] = (struct state_write){.channel = def->name,
                                                 .is_message = def->kind == CHANNEL_MESSAGES};
            if (writes[count].is_message)
                writes[count].message = messages[j];
            else
                writes[count].value = json_text(s->arena, v);
            count++;
        }
    }
    *out = writes;
    *out_count = count;
    return 0;
}

void state_items_write(struct json_writer *w, const struct state_channel *c, size_t from) {
    for (size_t i = from; i < c->count; i++)
        jw_raw(w, c->messages[i].json);
}

static void write_values(struct json_writer *w, const struct graph_view *s, bool all) {
    jw_object(w);
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        const struct state_channel *c = &s->channels[i];
        if (!c->present || !(all || c->def->in_output))
            continue;
        jw_key(w, c->def->name);
        if (!channel_is_list(c->def)) {
            jw_raw(w, c->value);
            continue;
        }
        jw_array(w);
        state_items_write(w, c, 0);
        jw_array_end(w);
    }
    jw_object_end(w);
}

str state_values_json(struct graph_view *s) {
    if (s->values_fresh)
        return buf_view(s->values_json);
    buf_reset(s->values_json);
    struct json_writer w = json_writer(s->values_json);
    write_values(&w, s, false);
    s->values_fresh = true;
    return buf_view(s->values_json);
}

str state_all_json(const struct graph_view *s) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    write_values(&w, s, true);
    return arena_take(s->arena, &b);
}

str state_hidden_names(const struct graph_view *s) {
    struct buf b;
    bool any = false;
    for (size_t i = 0; i < s->graph->channel_count && !any; i++)
        any = s->channels[i].present && !s->channels[i].def->in_output;
    if (!any)
        return STR_NULL;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < s->graph->channel_count; i++)
        if (s->channels[i].present && !s->channels[i].def->in_output)
            jw_z(&w, s->channels[i].def->name);
    jw_array_end(&w);
    return arena_take(s->arena, &b);
}

/* --- what routes and nodes see --- */

void graph_view_write(const struct graph_view *v, struct json_writer *w) {
    write_values(w, v, true);
}

size_t graph_view_message_count(const struct graph_view *v, const char *channel) {
    const struct state_channel *c = state_channel_of(v, str_of(channel));
    return c ? c->count : 0;
}

const struct message *graph_view_message(const struct graph_view *v, const char *channel,
                                         size_t index) {
    struct state_channel *c = state_channel_of(v, str_of(channel));
    ASSERT(c && index < c->count);
    struct message *m = &c->messages[index];
    if (!m->root && message_load(v->arena, m, NULL) < 0)
        UNREACHABLE(); /* it was valid when it was written */
    return m;
}

str graph_view_value(const struct graph_view *v, const char *channel) {
    struct state_channel *c = state_channel_of(v, str_of(channel));
    if (!c || !c->present)
        return STR_NULL;
    if (channel_is_list(c->def) && !c->value.p) {
        struct buf b;
        buf_init(&b, SIZE_MAX / 2);
        struct json_writer w = json_writer(&b);
        jw_array(&w);
        state_items_write(&w, c, 0);
        jw_array_end(&w);
        c->value = arena_take(v->arena, &b);
    }
    return c->value;
}
