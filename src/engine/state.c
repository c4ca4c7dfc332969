/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - channels and reducers of a run.
 *
 * Message lists follow add_messages: a message with a known id replaces in place, "remove" deletes
 * the one of that id (or all), others append. Appending keeps the stored prefix, so a checkpoint
 * costs one segment; a replacement or removal inside the stored prefix starts a new list, because
 * older checkpoints still name the old one. In LangGraph's layout every change of a list writes it
 * whole, as a new version. */
#include "engine/state.h"

#include "base/rand.h"
#include "model/lg_value.h"

static void free_values(void *values_json) { buf_deinit(values_json); }

void state_init(struct graph_view *s, const struct graph_def *graph, enum checkpoint_layout layout,
                struct arena *a) {
    *s = (struct graph_view){.arena = a,
                             .graph = graph,
                             .layout = layout,
                             .values_json = ARENA_NEW(a, struct buf)};
    buf_init(s->values_json, SIZE_MAX / 2);
    arena_on_deinit(a, free_values, s->values_json);
    s->channels = ARENA_ARRAY(a, struct state_channel, graph->channel_count);
    for (size_t i = 0; i < graph->channel_count; i++) {
        s->channels[i].def = &graph->channels[i];
        s->channels[i].present = graph->channels[i].kind == CHANNEL_MESSAGES; /* an empty list */
    }
}

static struct state_channel *channel_of(const struct graph_view *s, str name) {
    for (size_t i = 0; i < s->graph->channel_count; i++)
        if (str_eq(str_of(s->channels[i].def->name), name))
            return &s->channels[i];
    return NULL;
}

static void messages_push(struct graph_view *s, struct state_channel *c, const struct message *m) {
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

static int take_messages(struct graph_view *s, struct state_channel *c, str items,
                         struct err *err) {
    str list = arena_printf(s->arena, "[" STR_FMT "]", STR_ARG(items));
    yyjson_val *root;
    if (json_parse(s->arena, list, &root, err) < 0 || !yyjson_is_arr(root))
        return err_set(err, ERR_CORRUPT, "stored messages cannot be read");
    yyjson_arr_iter it = yyjson_arr_iter_with(root);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&it)) != NULL;) {
        struct message m;
        int rc = message_parse_flat(s->arena, json_text(s->arena, v), &m, err);
        if (rc < 0)
            return rc;
        messages_push(s, c, &m);
    }
    return 0;
}

/* Messages of a blob, which others may have written in their own forms. */
static int take_whole(struct graph_view *s, struct state_channel *c,
                      const struct checkpoint_channel *v, struct err *err) {
    yyjson_val *root, *item;
    size_t i, count;
    bool same = true;
    if (json_parse(s->arena, v->value, &root, err) < 0)
        return err_set(err, ERR_CORRUPT, "stored messages cannot be read");
    if (!yyjson_is_arr(root))
        return 0;
    yyjson_arr_foreach(root, i, count, item) {
        struct message m;
        bool flat = !str_empty(json_str(json_get(item, "id"))) &&
                    !str_empty(json_str(json_get(item, "type")));
        int rc = flat ? message_parse_flat(s->arena, json_text(s->arena, item), &m, err)
                      : message_normalise(s->arena, item, &m, err);
        if (rc < 0)
            return err_set(err, ERR_CORRUPT, "the channel %s holds what is no message",
                           c->def->name);
        same = same && flat;
        messages_push(s, c, &m);
    }
    if (!same || !s->versions->count) /* a message got its id now; or nothing is in the tables */
        return 0;
    c->list_id = 1;
    c->stored_count = c->added_count = c->count;
    if (v->stored.len >= 2 && v->stored.p[0] == '[') {
        c->lc = str_trim(arena_dup(s->arena, str_slice(v->stored, 1, v->stored.len - 1)));
        c->lc_count = c->count;
    }
    return 0;
}

static int take_lg(struct graph_view *s, const struct checkpoint *cp, struct err *err) {
    s->versions = lg_versions_read(s->arena, cp);
    for (size_t i = 0; i < cp->value_count; i++) {
        struct state_channel *c = channel_of(s, cp->values[i].name);
        if (!c)
            continue;
        c->present = true;
        if (c->def->kind == CHANNEL_MESSAGES) {
            int rc = take_whole(s, c, &cp->values[i], err);
            if (rc < 0)
                return rc;
            continue;
        }
        c->value = arena_dup(s->arena, cp->values[i].value);
        c->value_stored = c->value_added = s->versions->count > 0;
    }
    s->values_fresh = false;
    return 0;
}

int state_take_checkpoint(struct graph_view *s, const struct checkpoint *cp, bool shared,
                          struct err *err) {
    if (cp->lg)
        return take_lg(s, cp, err);
    for (size_t i = 0; i < cp->value_count; i++) {
        const struct checkpoint_channel *v = &cp->values[i];
        struct state_channel *c = channel_of(s, v->name);
        if (!c || v->is_list != (c->def->kind == CHANNEL_MESSAGES))
            continue;
        c->present = true;
        if (!v->is_list) {
            c->value = arena_dup(s->arena, v->value);
            c->hash = arena_dup(s->arena, v->hash);
            c->value_stored = c->value_added = true;
            continue;
        }
        int rc = take_messages(s, c, v->value, err);
        if (rc < 0)
            return rc;
        if (!shared) {
            c->list_id = v->list_id;
            c->stored_count = c->added_count = c->count;
        }
    }
    s->values_fresh = false;
    return 0;
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
        if (c->stored_count > 0)
            forget_list(c);
        return;
    }
    if (at < 0) {
        messages_push(s, c, m);
        return;
    }
    c->messages[at] = *m;
    if ((size_t)at < c->stored_count)
        forget_list(c);
}

void state_apply(struct graph_view *s, const struct state_write *w) {
    struct state_channel *c = channel_of(s, str_of(w->channel));
    ASSERT(c && w->is_message == (c->def->kind == CHANNEL_MESSAGES));
    c->present = true;
    s->values_fresh = false;
    if (w->is_message) {
        apply_message(s, c, &w->message);
        return;
    }
    c->value = w->value;
    c->hash = STR_NULL;
    c->value_stored = c->value_added = false;
}

int state_read_input(const struct graph_view *s, yyjson_val *input, struct state_write **out,
                     size_t *out_count, struct err *err) {
    if (!yyjson_is_obj(input))
        return err_set(err, ERR_INVALID, "input: must be an object of channel values");
    struct state_write *writes = NULL;
    size_t count = 0;
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        const struct channel_def *def = s->channels[i].def;
        yyjson_val *v = json_get(input, def->name);
        if (!v)
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

static void write_items(struct json_writer *w, const struct state_channel *c, size_t from) {
    for (size_t i = from; i < c->count; i++)
        jw_raw(w, c->messages[i].json);
}

str state_values_json(struct graph_view *s) {
    if (s->values_fresh)
        return buf_view(s->values_json);
    buf_reset(s->values_json);
    struct json_writer w = json_writer(s->values_json);
    jw_object(&w);
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        const struct state_channel *c = &s->channels[i];
        if (!c->present || !c->def->in_output)
            continue;
        jw_key(&w, c->def->name);
        if (c->def->kind == CHANNEL_LAST_VALUE) {
            jw_raw(&w, c->value);
            continue;
        }
        jw_array(&w);
        write_items(&w, c, 0);
        jw_array_end(&w);
    }
    jw_object_end(&w);
    s->values_fresh = true;
    return buf_view(s->values_json);
}

static void persist_list_add(struct graph_view *s, struct state_channel *c, struct db_batch *b,
                             struct id thread_id) {
    if (c->list_id == 0) {
        /* Unique among the few lists of a thread; a clash would fail the commit, not mix lists. */
        c->list_id = (int64_t)(rand_u64() >> 11) | 1;
        c->stored_count = 0;
    }
    c->added_count = c->count;
    if (c->count == c->stored_count)
        return;
    struct buf items;
    buf_init(&items, SIZE_MAX / 2);
    struct json_writer w = json_writer(&items);
    write_items(&w, c, c->stored_count);
    checkpoint_segment_add(b, thread_id, c->list_id, (int64_t)c->stored_count,
                           (int64_t)(c->count - c->stored_count),
                           arena_dup(s->arena, buf_view(&items)));
    buf_deinit(&items);
}

static str references_add(struct graph_view *s, struct db_batch *b, struct id thread_id) {
    struct buf refs;
    buf_init(&refs, 64 * 1024);
    struct json_writer w = json_writer(&refs);
    jw_object(&w);
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        if (!c->present)
            continue;
        jw_key(&w, c->def->name);
        jw_object(&w);
        if (c->def->kind == CHANNEL_MESSAGES) {
            persist_list_add(s, c, b, thread_id);
            jw_key(&w, "l");
            jw_i64(&w, c->list_id);
            jw_key(&w, "n");
            jw_i64(&w, (int64_t)c->count);
        } else {
            if (!c->hash.p)
                c->hash = checkpoint_hash(s->arena, c->value);
            if (!c->value_stored)
                checkpoint_value_add(b, thread_id, c->hash, c->value);
            c->value_added = true;
            jw_key(&w, "h");
            jw_str(&w, c->hash);
        }
        jw_object_end(&w);
    }
    jw_object_end(&w);
    ASSERT(buf_ok(&refs));
    str out = arena_dup(s->arena, buf_view(&refs));
    buf_deinit(&refs);
    return out;
}

/* The list as constructors; those of the messages before are kept. */
static str list_json(struct graph_view *s, struct state_channel *c) {
    struct buf items;
    buf_init(&items, SIZE_MAX / 2);
    struct json_writer w = json_writer(&items);
    jw_array(&w);
    if (c->lc_count > 0)
        jw_raw(&w, c->lc);
    for (size_t i = c->lc_count; i < c->count; i++) {
        struct message *m = &c->messages[i];
        if (message_load(s->arena, m, NULL) < 0)
            UNREACHABLE(); /* it was valid when it was written */
        lg_message_write(&w, m->root);
    }
    jw_array_end(&w);
    str json = arena_dup(s->arena, buf_view(&items));
    buf_deinit(&items);
    c->lc = str_slice(json, 1, json.len - 1);
    c->lc_count = c->count;
    return json;
}

/* A list that is new is written even when it is empty: what a stream shows of a state and what is
 * read of it later must be equal. */
static bool list_changed(const struct state_channel *c) {
    return c->list_id == 0 || c->count != c->stored_count;
}

static size_t changes_of(struct graph_view *s, struct lg_change *out) {
    size_t count = 0;
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        bool messages = c->def->kind == CHANNEL_MESSAGES;
        if (!c->present || !(messages ? list_changed(c) : !c->value_stored))
            continue;
        str json = c->value;
        if (messages)
            json = list_json(s, c);
        else if (lg_plain(s->arena, json, &json, NULL) < 0)
            UNREACHABLE(); /* it is JSON that was read or made here */
        c->list_added = messages;
        c->added_count = c->count;
        c->value_added = true;
        out[count++] = (struct lg_change){.channel = str_of(c->def->name), .json = json};
    }
    return count;
}

void state_checkpoint_add(struct graph_view *s, struct db_batch *b, struct checkpoint *c,
                          const str *next, size_t next_count, str input) {
    if (s->layout == CHECKPOINTS_NATIVE) {
        c->channels = references_add(s, b, c->thread_id);
        checkpoint_add(b, c);
        return;
    }
    struct lg_change *changes =
        ARENA_ARRAY(s->arena, struct lg_change, s->graph->channel_count + 1);
    struct lg_step step = {.c = c,
                           .before = s->versions_added ? s->versions_added : s->versions,
                           .changes = changes,
                           .change_count = changes_of(s, changes),
                           .next = next,
                           .next_count = next_count,
                           .input = input};
    if (input.p && lg_plain(s->arena, input, &step.input, NULL) < 0)
        UNREACHABLE();
    s->versions_added = lg_checkpoint_add(b, s->arena, &step);
}

void state_unstage(struct graph_view *s) { s->versions_added = NULL; }

void state_mark_stored(struct graph_view *s) {
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        c->value_stored = c->value_added;
        c->stored_count = c->added_count;
        if (c->list_added)
            c->list_id = 1;
    }
    if (s->versions_added)
        s->versions = s->versions_added;
    s->versions_added = NULL;
}

/* --- what routes and nodes see --- */

size_t graph_view_message_count(const struct graph_view *v, const char *channel) {
    const struct state_channel *c = channel_of(v, str_of(channel));
    return c ? c->count : 0;
}

const struct message *graph_view_message(const struct graph_view *v, const char *channel,
                                         size_t index) {
    struct state_channel *c = channel_of(v, str_of(channel));
    ASSERT(c && index < c->count);
    struct message *m = &c->messages[index];
    if (!m->root && message_load(v->arena, m, NULL) < 0)
        UNREACHABLE(); /* it was valid when it was written */
    return m;
}

str graph_view_value(const struct graph_view *v, const char *channel) {
    const struct state_channel *c = channel_of(v, str_of(channel));
    return c && c->present ? c->value : STR_NULL;
}
