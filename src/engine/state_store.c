/* SPDX-License-Identifier: Apache-2.0 */
/* state_store.c - a state from a checkpoint, and the rows of a new one.
 *
 * Appending keeps the stored prefix of a list, so a checkpoint costs one segment; a replacement or
 * removal inside the stored prefix starts a new list, because older checkpoints still name the old
 * one. In LangGraph's layout every change of a list writes it whole, as a new version. */
#include "base/rand.h"
#include "engine/state.h"
#include "model/lg_value.h"

static int take_items(struct graph_view *s, struct state_channel *c, str items, struct err *err) {
    str list = arena_concat(s->arena, (str[]){STR("["), items, STR("]")}, 3);
    yyjson_val *root;
    if (json_parse(s->arena, list, &root, err) < 0 || !yyjson_is_arr(root))
        return err_set(err, ERR_CORRUPT, "stored messages cannot be read");
    yyjson_arr_iter it = yyjson_arr_iter_with(root);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&it)) != NULL;) {
        struct message m = {.json = json_text(s->arena, v)};
        int rc =
            c->def->kind == CHANNEL_MESSAGES ? message_parse_flat(s->arena, m.json, &m, err) : 0;
        if (rc < 0)
            return rc;
        state_items_push(s, c, &m);
    }
    return 0;
}

static int take_item(struct graph_view *s, const struct state_channel *c, yyjson_val *item,
                     struct message *out, bool *same, struct err *err) {
    *out = (struct message){.json = json_text(s->arena, item)};
    if (c->def->kind != CHANNEL_MESSAGES)
        return 0;
    bool flat =
        !str_empty(json_str(json_get(item, "id"))) && !str_empty(json_str(json_get(item, "type")));
    *same = *same && flat;
    return flat ? message_parse_flat(s->arena, out->json, out, err)
                : message_normalise(s->arena, item, out, err);
}

/* The list of a blob, which others may have written in their own forms. */
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
        if (take_item(s, c, item, &m, &same, err) < 0)
            return err_set(err, ERR_CORRUPT, "the channel %s holds what is no message",
                           c->def->name);
        state_items_push(s, c, &m);
    }
    /* A message got its id now; it was put together; or the tables, which are the other layout's,
     * have nothing. */
    if (!same || v->made || !s->versions->count || s->layout == CHECKPOINTS_NATIVE)
        return 0;
    c->list_id = 1;
    c->stored_count = c->added_count = c->count;
    if (v->stored.len >= 2 && v->stored.p[0] == '[') {
        c->lc = str_trim(arena_dup(s->arena, str_slice(v->stored, 1, v->stored.len - 1)));
        c->lc_count = c->count;
    }
    return 0;
}

/* What the checkpoint lacks has no value, whatever a channel begins with. */
static void forget_initial(struct graph_view *s) {
    for (size_t i = 0; i < s->graph->channel_count; i++)
        if (!channel_is_list(s->channels[i].def))
            s->channels[i].present = false;
}

static int take_lg(struct graph_view *s, const struct checkpoint *cp, struct err *err) {
    s->versions = lg_versions_read(s->arena, cp);
    forget_initial(s);
    for (size_t i = 0; i < cp->value_count; i++) {
        struct state_channel *c = state_channel_of(s, cp->values[i].name);
        if (!c)
            continue;
        c->present = c->stored_present = true;
        if (channel_is_list(c->def)) {
            int rc = take_whole(s, c, &cp->values[i], err);
            if (rc < 0)
                return rc;
            continue;
        }
        c->value = arena_dup(s->arena, cp->values[i].value);
        c->value_stored = c->value_added = s->versions->count > 0 && !cp->values[i].made &&
                                           s->layout == CHECKPOINTS_LANGGRAPH;
    }
    s->values_fresh = false;
    return 0;
}

int state_take_checkpoint(struct graph_view *s, const struct checkpoint *cp, bool shared,
                          struct err *err) {
    if (cp->lg)
        return take_lg(s, cp, err);
    forget_initial(s);
    for (size_t i = 0; i < cp->value_count; i++) {
        const struct checkpoint_channel *v = &cp->values[i];
        struct state_channel *c = state_channel_of(s, v->name);
        if (!c || v->is_list != channel_is_list(c->def))
            continue;
        c->present = true;
        if (!v->is_list) {
            c->value = arena_dup(s->arena, v->value);
            c->hash = arena_dup(s->arena, v->hash);
            c->value_stored = c->value_added = true;
            continue;
        }
        int rc = take_items(s, c, v->value, err);
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

static void persist_list_add(struct graph_view *s, struct state_channel *c, struct db_batch *b,
                             struct id thread_id) {
    if (c->list_id == 0) {
        /* Unique among the few lists of a thread; a clash would fail the commit, not mix lists. */
        c->list_id = (int64_t)(rand_u64() >> 11) | 1;
        c->stored_count = c->added_count = 0;
    }
    size_t from = c->added_count; /* behind what the batch adds already */
    c->added_count = c->count;
    if (c->count == from)
        return;
    struct buf items;
    buf_init(&items, SIZE_MAX / 2);
    struct json_writer w = json_writer(&items);
    state_items_write(&w, c, from);
    checkpoint_segment_add(b, thread_id, c->list_id, (int64_t)from, (int64_t)(c->count - from),
                           arena_dup(s->arena, buf_view(&items)));
    buf_deinit(&items);
}

static str references_add(struct graph_view *s, struct db_batch *b, struct id thread_id) {
    struct buf refs;
    buf_init(&refs, 64 * 1024);
    struct json_writer w = json_writer(&refs);
    jw_object(&w);
    for (size_t i = 0; i < s->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        if (!c->present)
            continue;
        jw_key(&w, c->def->name);
        jw_object(&w);
        if (channel_is_list(c->def)) {
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
    return arena_take(s->arena, &refs);
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
        str plain;
        if (c->def->kind != CHANNEL_MESSAGES) {
            if (lg_plain(s->arena, m->json, &plain, NULL) < 0)
                UNREACHABLE(); /* it is JSON that was read or made here */
            jw_raw(&w, plain);
            continue;
        }
        if (message_load(s->arena, m, NULL) < 0)
            UNREACHABLE(); /* it was valid when it was written */
        lg_message_write(&w, m->root);
    }
    jw_array_end(&w);
    str json = arena_take(s->arena, &items);
    c->lc = str_slice(json, 1, json.len - 1);
    c->lc_count = c->count;
    return json;
}

/* A list that is new is written even when it is empty: what a stream shows of a state and what is
 * read of it later must be equal. */
static bool list_changed(const struct state_channel *c) {
    return c->list_id == 0 || c->count != c->stored_count;
}

static str plain_json(struct graph_view *s, str json) {
    str plain;
    if (lg_plain(s->arena, json, &plain, NULL) < 0)
        UNREACHABLE(); /* it is JSON that was read or made here */
    return plain;
}

static str constructor(struct graph_view *s, const char *id, const char *key, str value) {
    return arena_printf(s->arena,
                        "{\"lc\":2,\"type\":\"constructor\",\"id\":[%s],\"%s\":" STR_FMT "}", id,
                        key, STR_ARG(value));
}

static str send_json(struct graph_view *s, yyjson_val *send) {
    str value = arena_printf(s->arena, "{\"node\":" STR_FMT ",\"arg\":" STR_FMT "}",
                             STR_ARG(json_text(s->arena, json_get(send, "node"))),
                             STR_ARG(json_text(s->arena, json_get(send, "args"))));
    return constructor(s, "\"langgraph\",\"types\",\"Send\"", "kwargs", value);
}

/* Sends and joins: objects of Python's classes in a thread that has its versions; JavaScript's are
 * plain. */
static str hidden_json(struct graph_view *s, const struct state_channel *c, bool *open) {
    const struct lg_versions *v = s->versions_added ? s->versions_added : s->versions;
    bool sends = c == state_sends(s), numbers = v && v->numbers;
    str json = plain_json(s, c->value);
    yyjson_val *list, *item;
    size_t i, n;
    if (json_parse(s->arena, json, &list, NULL) < 0)
        UNREACHABLE(); /* it was made here, or read */
    n = yyjson_arr_size(list);
    *open = sends || n == s->graph->joins[c - state_join(s, 0)].count;
    if (numbers)
        return json;
    if (!sends)
        return constructor(s, "\"builtins\",\"set\"", "args",
                           arena_printf(s->arena, "[" STR_FMT "]", STR_ARG(json)));
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_arr_foreach(list, i, n, item) jw_raw(&w, send_json(s, item));
    jw_array_end(&w);
    json = arena_take(s->arena, &b);
    return json;
}

static size_t changes_of(struct graph_view *s, struct lg_change *out) {
    size_t count = 0;
    for (size_t i = 0; i < s->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        bool list = channel_is_list(c->def), hidden = i >= s->graph->channel_count, open = false;
        str json = STR_NULL; /* gone: a version without a value */
        if (!c->present && (!c->stored_present || hidden))
            continue;
        if (c->present && !(list ? list_changed(c) : !c->value_stored))
            continue;
        if (c->present)
            json = list     ? list_json(s, c)
                   : hidden ? hidden_json(s, c, &open)
                            : plain_json(s, c->value);
        c->list_added = list;
        c->added_count = c->count;
        c->value_added = true;
        out[count++] =
            (struct lg_change){.channel = str_of(c->def->name), .json = json, .open = open};
    }
    return count;
}

void state_checkpoint_add(struct graph_view *s, struct db_batch *b, struct checkpoint *c,
                          const str *edges, size_t edge_count, str input) {
    if (s->layout == CHECKPOINTS_NATIVE) {
        c->channels = references_add(s, b, c->thread_id);
        checkpoint_add(b, c);
        return;
    }
    struct lg_change *changes = ARENA_ARRAY(s->arena, struct lg_change, s->channel_count + 1);
    struct lg_step step = {.c = c,
                           .before = s->versions_added ? s->versions_added : s->versions,
                           .changes = changes,
                           .change_count = changes_of(s, changes),
                           .next = edges,
                           .next_count = edge_count,
                           .input = input};
    if (input.p && lg_plain(s->arena, input, &step.input, NULL) < 0)
        UNREACHABLE();
    s->versions_added = lg_checkpoint_add(b, s->arena, &step);
}

void state_unstage(struct graph_view *s) {
    s->versions_added = NULL;
    for (size_t i = 0; i < s->channel_count; i++)
        s->channels[i].added_count = s->channels[i].stored_count;
}

void state_mark_stored(struct graph_view *s) {
    for (size_t i = 0; i < s->channel_count; i++) {
        struct state_channel *c = &s->channels[i];
        c->value_stored = c->value_added;
        c->stored_count = c->added_count;
        c->stored_present = c->present;
        if (c->list_added)
            c->list_id = 1;
    }
    if (s->versions_added)
        s->versions = s->versions_added;
    s->versions_added = NULL;
}
