/* SPDX-License-Identifier: Apache-2.0 */
/* lg_write.c - versions of channels, and the rows of a new checkpoint in LangGraph's tables.
 *
 * A checkpoint follows from the one before it as LangGraph's loop does it:
 *   1. every open trigger is taken: the node has seen its version, the channel becomes empty;
 *   2. changed channels get the next version, and a blob each;
 *   3. the channel branch:to:NODE of each node that is next gets that version with the value null.
 * The next version is one more than the greatest there is: a number when the thread has numbers
 * (JavaScript wrote it), else 32 digits and a random fraction, which sorts as text (Python's).
 *
 * Invariants: a version is never used twice with different content (a fraction is random, a number
 * is greater than all); blobs are only added. */
#include "store/lg_checkpoints.h"

#include "base/clock.h"
#include "base/rand.h"
#include "model/lg_value.h"

#define BRANCH "branch:to:"

/* --- reading them --- */

static str key_str(yyjson_val *key) { return str_n(yyjson_get_str(key), yyjson_get_len(key)); }

static bool is_trigger(str channel) {
    return str_starts(channel, STR(BRANCH)) || str_eq(channel, STR("__start__"));
}

/* Sends and joins: does their value lead to tasks? "join:A+B:NODE" waits for all of A and B. */
static bool leads_on(struct arena *a, const struct checkpoint *c, str channel) {
    yyjson_val *list;
    size_t wanted = 1;
    for (size_t i = 0; i < c->value_count; i++) {
        const struct checkpoint_channel *v = &c->values[i];
        if (!v->hidden || !str_eq(v->name, channel) || json_parse(a, v->value, &list, NULL) < 0)
            continue;
        if (!str_starts(channel, STR("join:")))
            return yyjson_arr_size(list) > 0;
        for (size_t k = 0; k < channel.len; k++)
            wanted += channel.p[k] == '+';
        return yyjson_arr_size(list) == wanted;
    }
    return false;
}

/* The number before the fraction. */
static uint64_t number_of(yyjson_val *version) {
    if (yyjson_is_num(version)) {
        double d = yyjson_get_num(version);
        return d > 0 && d < 9e15 ? (uint64_t)d : 0;
    }
    str digits = json_str(version);
    ptrdiff_t dot = str_find_char(digits, '.');
    uint64_t number = 0;
    while (digits.len > 1 && digits.p[0] == '0' && dot != 1) {
        digits = str_slice(digits, 1, digits.len);
        dot--;
    }
    if (dot >= 0)
        digits = str_slice(digits, 0, (size_t)dot);
    return str_to_u64(digits, &number) ? number : 0;
}

static str text_of(struct arena *a, yyjson_val *version) {
    return yyjson_is_str(version) ? arena_dup(a, json_str(version)) : json_text(a, version);
}

/* A trigger with a value: inline, or in a blob that is not empty. */
static bool has_value(const struct checkpoint *c, str channel, str version) {
    const struct db_rows *r = c->lg->rows;
    if (json_get_str(json_get(c->lg->root, "channel_values"), channel))
        return true;
    for (size_t i = 0; r && i < r->row_count; i++)
        if (db_int(r, i, 0) == 1 && str_eq(db_str(r, i, 2), channel) &&
            str_eq(db_str(r, i, 3), version))
            return !str_eq(db_str(r, i, 4), STR("empty"));
    return false;
}

static void read_seen(struct arena *a, yyjson_val *all, struct lg_versions *out) {
    size_t i, k, nodes, count, n = 0;
    yyjson_val *node, *key, *seen, *version;
    yyjson_obj_foreach(all, i, nodes, node, seen) n += yyjson_obj_size(seen);
    out->seen = ARENA_ARRAY(a, struct lg_seen, n + 1);
    yyjson_obj_foreach(all, i, nodes, node, seen) {
        yyjson_obj_foreach(seen, k, count, key, version) {
            out->seen[out->seen_count++] = (struct lg_seen){.node = arena_dup(a, key_str(node)),
                                                            .channel = arena_dup(a, key_str(key)),
                                                            .version = text_of(a, version)};
        }
    }
}

struct lg_versions *lg_versions_read(struct arena *a, const struct checkpoint *c) {
    struct lg_versions *out = ARENA_NEW(a, struct lg_versions);
    yyjson_val *versions = c->lg ? json_get(c->lg->root, "channel_versions") : NULL;
    yyjson_val *key, *version;
    size_t i, count;
    out->channels = ARENA_ARRAY(a, struct lg_version, yyjson_obj_size(versions) + 1);
    yyjson_obj_foreach(versions, i, count, key, version) {
        struct lg_version *v = &out->channels[out->count++];
        *v = (struct lg_version){.channel = arena_dup(a, key_str(key)),
                                 .version = text_of(a, version)};
        v->open = is_trigger(v->channel) ? has_value(c, v->channel, v->version)
                                         : checkpoint_is_hidden(v->channel) &&
                                               leads_on(a, c, v->channel);
        out->numbers = out->numbers || yyjson_is_num(version);
        uint64_t number = number_of(version);
        out->newest = number > out->newest ? number : out->newest;
    }
    if (c->lg)
        read_seen(a, json_get(c->lg->root, "versions_seen"), out);
    return out;
}

/* --- the next ones --- */

struct making {
    struct arena *a;
    struct db_batch *b;
    const struct lg_step *step;
    struct lg_versions *v;
    str version;
    size_t channel_cap, seen_cap;
};

static struct lg_version *channel_of(struct lg_versions *v, str channel) {
    for (size_t i = 0; i < v->count; i++)
        if (str_eq(v->channels[i].channel, channel))
            return &v->channels[i];
    return NULL;
}

static void see(struct making *m, str node, str channel, str version) {
    for (size_t i = 0; i < m->v->seen_count; i++) {
        struct lg_seen *s = &m->v->seen[i];
        if (str_eq(s->node, node) && str_eq(s->channel, channel)) {
            s->version = version;
            return;
        }
    }
    ASSERT(m->v->seen_count < m->seen_cap);
    m->v->seen[m->v->seen_count++] =
        (struct lg_seen){.node = node, .channel = channel, .version = version};
}

static void blob_add(struct making *m, str channel, str json) {
    const struct checkpoint *c = m->step->c;
    db_batch_add(m->b, SQL_LG_BLOB_INSERT,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_T(channel),
                           DB_T(m->version), DB_T(STR("json")), DB_B(json)),
                 DB_EXPECT_NONE);
}

static void put(struct making *m, str channel, str json, bool open) {
    struct lg_version *v = channel_of(m->v, channel);
    if (!v) {
        ASSERT(m->v->count < m->channel_cap);
        v = &m->v->channels[m->v->count++];
    }
    *v = (struct lg_version){.channel = channel, .version = m->version, .open = open};
    if (json.p)
        blob_add(m, channel, json);
}

/* The node that a trigger leads to: what stands behind its last colon. */
static str node_of(str channel) {
    for (size_t k = channel.len; k > 0 && !str_starts(channel, STR("__")); k--)
        if (channel.p[k - 1] == ':')
            return str_slice(channel, k, channel.len);
    return channel;
}

static bool is_changed(const struct making *m, str channel) {
    for (size_t i = 0; i < m->step->change_count; i++)
        if (str_eq(m->step->changes[i].channel, channel))
            return true;
    return false;
}

/* Triggers that were open are seen, and empty: a version without a blob. */
static void take_triggers(struct making *m) {
    for (size_t i = 0; i < m->v->count; i++) {
        struct lg_version *v = &m->v->channels[i];
        if (!v->open)
            continue;
        bool sends = str_eq(v->channel, STR("__pregel_tasks"));
        if (!sends)
            see(m, node_of(v->channel), v->channel, v->version);
        v->version = m->version;
        v->open = false;
        if (sends && !is_changed(m, v->channel))
            blob_add(m, v->channel, STR("[]"));
    }
}

/* Side by side with the checkpoint before it in the batch, so that one execution takes both. */
static void move_to_sibling(struct db_batch *b, size_t start) {
    if (start == 0 || b->ops[start - 1].stmt != SQL_LG_CHECKPOINT_INSERT)
        return;
    struct db_op last = b->ops[b->count - 1];
    memmove(&b->ops[start + 1], &b->ops[start], (b->count - 1 - start) * sizeof(last));
    b->ops[start] = last;
}

static struct lg_versions *copy_of(struct making *m) {
    static const struct lg_versions none;
    const struct lg_versions *from = m->step->before ? m->step->before : &none;
    struct lg_versions *to = ARENA_NEW(m->a, struct lg_versions);
    *to = *from;
    m->channel_cap = from->count + m->step->change_count + m->step->next_count + 1;
    m->seen_cap = from->seen_count + from->count;
    to->channels = ARENA_ARRAY(m->a, struct lg_version, m->channel_cap);
    to->seen = ARENA_ARRAY(m->a, struct lg_seen, m->seen_cap + 1);
    if (from->count)
        memcpy(to->channels, from->channels, from->count * sizeof(*to->channels));
    if (from->seen_count)
        memcpy(to->seen, from->seen, from->seen_count * sizeof(*to->seen));
    to->newest++;
    return to;
}

static str version_make(struct arena *a, const struct lg_versions *v) {
    if (v->numbers)
        return arena_printf(a, "%llu", (unsigned long long)v->newest);
    return arena_printf(a, "%032llu.0.%016llu", (unsigned long long)v->newest,
                        (unsigned long long)(rand_u64() % UINT64_C(10000000000000000)));
}

/* --- the checkpoint's JSON --- */

static void write_version(struct json_writer *w, const struct lg_versions *v, str version) {
    uint64_t number;
    if (v->numbers && str_to_u64(version, &number))
        jw_raw(w, version);
    else
        jw_str(w, version);
}

static void write_seen(struct json_writer *w, const struct lg_versions *v) {
    jw_object(w);
    for (size_t i = 0; i < v->seen_count; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++)
            first = first && !str_eq(v->seen[k].node, v->seen[i].node);
        if (!first)
            continue;
        jw_key_str(w, v->seen[i].node);
        jw_object(w);
        for (size_t k = i; k < v->seen_count; k++) {
            if (!str_eq(v->seen[k].node, v->seen[i].node))
                continue;
            jw_key_str(w, v->seen[k].channel);
            write_version(w, v, v->seen[k].version);
        }
        jw_object_end(w);
    }
    jw_object_end(w);
}

static str checkpoint_json(struct making *m) {
    const struct checkpoint *c = m->step->c;
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "v");
    jw_i64(&w, 4);
    jw_key(&w, "id");
    jw_str(&w, id_dashed(m->a, c->id));
    jw_key(&w, "ts");
    jw_str(&w, time_iso(m->a, c->created_at));
    jw_key(&w, "channel_values");
    jw_raw(&w, STR("{}"));
    jw_key(&w, "channel_versions");
    jw_object(&w);
    for (size_t i = 0; i < m->v->count; i++) {
        jw_key_str(&w, m->v->channels[i].channel);
        write_version(&w, m->v, m->v->channels[i].version);
    }
    jw_object_end(&w);
    jw_key(&w, "versions_seen");
    write_seen(&w, m->v);
    jw_key(&w, "updated_channels");
    jw_array(&w);
    for (size_t i = 0; i < m->step->change_count; i++)
        if (m->step->changes[i].json.p && !m->step->changes[i].open)
            jw_str(&w, m->step->changes[i].channel);
    for (size_t i = 0; i < m->v->count; i++)
        if (m->v->channels[i].open && str_eq(m->v->channels[i].version, m->version))
            jw_str(&w, m->v->channels[i].channel);
    jw_array_end(&w);
    jw_key(&w, "holdfast");
    jw_object(&w);
    jw_key(&w, "next");
    jw_raw(&w, c->next);
    jw_key(&w, "tasks");
    jw_raw(&w, c->tasks);
    jw_object_end(&w);
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    return arena_take(m->a, &b);
}

struct lg_versions *lg_checkpoint_add(struct db_batch *b, struct arena *a,
                                      const struct lg_step *step) {
    struct making m = {.a = a, .b = b, .step = step};
    const struct checkpoint *c = step->c;
    size_t start = b->count;
    m.v = copy_of(&m);
    m.version = version_make(a, m.v);
    take_triggers(&m);
    for (size_t i = 0; i < step->change_count; i++)
        put(&m, step->changes[i].channel, step->changes[i].json, step->changes[i].open);
    if (step->input.p)
        put(&m, STR("__start__"), step->input, true);
    for (size_t i = 0; !step->input.p && i < step->next_count; i++)
        put(&m, arena_printf(a, BRANCH STR_FMT, STR_ARG(step->next[i])), STR("null"), true);
    struct db_value parent = id_is_nil(c->parent_id) ? DB_NIL : DB_UUID(c->parent_id);
    db_batch_add(b, SQL_LG_CHECKPOINT_INSERT,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id), parent,
                           DB_T(checkpoint_json(&m)), DB_T(c->metadata)),
                 DB_EXPECT_NONE);
    move_to_sibling(b, start);
    return m.v;
}
