/* SPDX-License-Identifier: Apache-2.0 */
/* lg_delta.c - values of delta channels, and sends that stand with the parent.
 *
 * A state of a thread whose graph has delta channels counts, in its metadata, the steps since each
 * of them was written whole. A channel counted there that has neither a blob nor an inline value is
 * made here: from the nearest state before that has one, and all writes on the way. */
#include "store/lg_delta.h"

#include "base/map.h"
#include "base/vec.h"
#include "model/lg_value.h"
#include "model/message.h"
#include "store/saved_rows.h"

/* --- folding --- */

struct part {
    str id; /* of a message; absent: none */
    yyjson_val *value;
    bool gone;
};
struct fold {
    struct arena *a;
    VEC(struct part) parts;
    struct map by_id; /* number of the part, from 1 */
};

static bool is_message(yyjson_val *v) {
    static const char *const types[] = {"human", "ai", "system", "tool", "function", "chat",
                                        "remove", "generic", "developer"};
    str type = json_str(json_get(v, "type"));
    if (!yyjson_is_obj(v))
        return false;
    if (!type.p)
        return json_str(json_get(v, "role")).p && json_has(v, "content");
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (str_eq(type, str_of(types[i])))
            return json_has(v, "content") || str_eq(type, STR("remove"));
    return false;
}

static void add_message(struct fold *f, yyjson_val *v) {
    str id = json_str(json_get(v, "id"));
    bool removes = str_eq(json_str(json_get(v, "type")), STR("remove"));
    size_t at = id.p ? (size_t)(uintptr_t)map_get(&f->by_id, id) : 0;
    if (removes && str_eq(id, STR(MESSAGE_REMOVE_ALL))) {
        f->parts.count = 0;
        map_deinit(&f->by_id);
        map_init(&f->by_id);
    } else if (removes) {
        if (at) {
            f->parts.p[at - 1].gone = true;
            (void)map_remove(&f->by_id, id);
        }
    } else if (at) {
        f->parts.p[at - 1].value = v;
    } else {
        struct part part = {id, v, false};
        vec_push(&f->parts, part);
        if (id.p)
            (void)map_put(&f->by_id, id, (void *)(uintptr_t)f->parts.count);
    }
}

static void add_item(struct fold *f, yyjson_val *v, bool messages) {
    struct part part = {STR_NULL, v, false};
    if (messages)
        add_message(f, v);
    else
        vec_push(&f->parts, part);
}

static str list_text(struct fold *f) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < f->parts.count; i++)
        if (!f->parts.p[i].gone)
            jw_val(&w, f->parts.p[i].value);
    jw_array_end(&w);
    return arena_take(f->a, &b);
}

static str fold_list(struct arena *a, yyjson_val *const *values, size_t count, bool messages) {
    struct fold f = {.a = a};
    map_init(&f.by_id);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *item;
        size_t k, n;
        if (!yyjson_is_arr(values[i]))
            add_item(&f, values[i], messages);
        yyjson_arr_foreach(values[i], k, n, item) add_item(&f, item, messages);
    }
    str text = list_text(&f);
    map_deinit(&f.by_id);
    vec_deinit(&f.parts);
    return text;
}

static str fold_objects(struct arena *a, yyjson_val *const *values, size_t count) {
    str all = STR("{}");
    for (size_t i = 0; i < count; i++)
        all = json_merge(a, all, json_text(a, values[i]));
    return all;
}

struct forms {
    size_t lists, objects, messages, items; /* items: of lists, and values that are none */
};

static struct forms forms_of(yyjson_val *const *values, size_t count) {
    struct forms f = {0};
    for (size_t i = 0; i < count; i++) {
        yyjson_val *item;
        size_t k, n;
        f.lists += yyjson_is_arr(values[i]);
        f.objects += yyjson_is_obj(values[i]);
        if (!yyjson_is_arr(values[i])) {
            f.items++;
            f.messages += is_message(values[i]);
        }
        yyjson_arr_foreach(values[i], k, n, item) {
            f.items++;
            f.messages += is_message(item);
        }
    }
    return f;
}

int lg_delta_fold(struct arena *a, const str *parts, size_t count, str *out, struct err *err) {
    yyjson_val **values = ARENA_ARRAY(a, yyjson_val *, count + 1);
    size_t n = 0;
    *out = STR_NULL;
    for (size_t i = 0; i < count; i++) {
        yyjson_val *v, *over;
        if (json_parse(a, parts[i], &v, err) < 0)
            return err_set(err, ERR_CORRUPT, "a write of a delta channel cannot be read");
        over = yyjson_is_obj(v) && yyjson_obj_size(v) == 1 ? json_get(v, "__overwrite__") : NULL;
        if (over)
            n = 0;
        v = over ? over : v;
        if (!yyjson_is_null(v))
            values[n++] = v;
    }
    struct forms f = forms_of(values, n);
    if (n && f.messages == f.items && f.messages)
        *out = fold_list(a, values, n, true);
    else if (f.lists)
        *out = fold_list(a, values, n, false);
    else if (n && f.objects == n)
        *out = fold_objects(a, values, n);
    return 0;
}

/* --- reading --- */

static bool has_value(const struct checkpoint *c, str name) {
    for (size_t i = 0; i < c->value_count; i++)
        if (str_eq(c->values[i].name, name))
            return true;
    return false;
}

/* The bytes of a row of the history; in the native layout they are text. */
static int row_bytes(const struct checkpoint *c, const struct db_rows *r, size_t row,
                     struct arena *a, str *out, struct err *err) {
    *out = db_str(r, row, 6);
    if (c->lg->native && !saved_decode(a, db_str(r, row, 5), *out, out))
        return err_set(err, ERR_CORRUPT, "a value of a delta channel cannot be read");
    return 0;
}

static int read_history(struct store *s, const struct checkpoint *c, str channel, struct arena *a,
                        str *out, struct err *err) {
    struct db_rows r;
    int rc = db_read(s->db, c->lg->native ? SQL_SAVED_DELTA_HISTORY : SQL_LG_DELTA_HISTORY,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id),
                               DB_T(channel)),
                     a, &r, err);
    if (rc < 0)
        return rc;
    str *parts = ARENA_ARRAY(a, str, r.row_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < r.row_count; i++) {
        str bytes;
        rc = row_bytes(c, &r, i, a, &bytes, err);
        if (rc == 0)
            rc = lg_value_read(a, db_str(&r, i, 5), bytes, &parts[count], err);
        if (rc < 0)
            return err_context(err, "channel %.*s", (int)(channel.len < 60 ? channel.len : 60),
                               channel.p);
        count += parts[count].p != NULL;
    }
    return lg_delta_fold(a, parts, count, out, err);
}

int lg_delta_load(struct store *s, struct checkpoint *c, struct arena *a, struct err *err) {
    yyjson_val *metadata, *counters, *key, *value;
    size_t i, count;
    if (json_parse(a, c->metadata, &metadata, err) < 0)
        return ERR_CORRUPT;
    counters = json_get(metadata, "counters_since_delta_snapshot");
    if (!yyjson_is_obj(counters) || yyjson_obj_size(counters) == 0)
        return 0;
    struct checkpoint_channel *all =
        ARENA_ARRAY(a, struct checkpoint_channel, c->value_count + yyjson_obj_size(counters));
    for (i = 0; i < c->value_count; i++)
        all[i] = c->values[i];
    c->values = all;
    yyjson_obj_foreach(counters, i, count, key, value) {
        str name = json_str(key);
        struct checkpoint_channel v = {.name = name, .whole = true, .made = true};
        if (has_value(c, name) || checkpoint_is_hidden(name))
            continue;
        int rc = read_history(s, c, name, a, &v.value, err);
        if (rc < 0)
            return rc;
        if (v.value.p)
            c->values[c->value_count++] = v;
    }
    return 0;
}

int lg_sends_load(struct store *s, const struct checkpoint *c, struct arena *a, str *out,
                  struct err *err) {
    yyjson_val *version = json_get(c->lg->root, "v");
    struct db_rows r;
    struct buf b;
    *out = STR_NULL;
    if (!yyjson_is_int(version) || yyjson_get_sint(version) >= 4 || id_is_nil(c->parent_id))
        return 0;
    int rc = db_read(s->db, SQL_LG_SENDS_OF,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->parent_id)),
                     a, &r, err);
    if (rc < 0 || r.row_count == 0)
        return rc;
    buf_init(&b, LG_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; rc == 0 && i < r.row_count; i++) {
        str send;
        rc = lg_value_read(a, db_str(&r, i, 0), db_str(&r, i, 1), &send, err);
        if (rc == 0 && send.p)
            jw_raw(&w, send);
    }
    jw_array_end(&w);
    if (rc == 0)
        *out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return rc;
}
