/* SPDX-License-Identifier: Apache-2.0 */
/* lg_value.c - lc forms and typed bytes to plain JSON, and messages back to constructors.
 *
 *   {"lc":1,"type":"constructor","id":[…,class],"kwargs":{…}}   a message: its flat form;
 *                                                               else kwargs
 *   {"lc":2,"type":"undefined"}                                 no member; null in a list
 *   {"lc":2,"type":"constructor","id":[…,class],"method":…,"args":[…],"kwargs":{…}}
 *        Set → list; Map → object (pairs, when a key is no text); Error → its text;
 *        RegExp → "/source/flags"; Uint8Array → base64; delta_snapshot → its value;
 *        others: the one argument, or the arguments, or kwargs
 *
 * A message without an id is shown with null, and not with a new one each time. What looks like an
 * lc form and is none stays as it is.
 *
 * Written: {"lc":1,"type":"constructor","id":["langchain_core","messages",class],"kwargs":{…}},
 * where kwargs are the flat form's members but for "type" (and nulls that the libraries' classes
 * refuse). Both libraries make a message of it. */
#include "model/lg_value.h"

#include "base/base64.h"
#include "model/message.h"

static void view(struct arena *a, struct json_writer *w, yyjson_val *v, int depth);

/* --- lc forms --- */

static int lc_kind(yyjson_val *v) {
    yyjson_val *lc = yyjson_is_obj(v) ? json_get(v, "lc") : NULL;
    return lc && yyjson_is_int(lc) ? yyjson_get_int(lc) : 0;
}

static bool is_undefined(yyjson_val *v) {
    return lc_kind(v) == 2 && str_eq(json_str(json_get(v, "type")), STR("undefined"));
}

/* Of a delta channel, by JavaScript. */
static bool is_snapshot(yyjson_val *v) {
    return str_eq(json_str(json_get(v, "type")), STR("delta_snapshot")) && json_has(v, "value");
}

static bool is_constructor(yyjson_val *v) {
    return str_eq(json_str(json_get(v, "type")), STR("constructor")) &&
           yyjson_is_arr(json_get(v, "id"));
}

static str key_str(yyjson_val *key) { return str_n(yyjson_get_str(key), yyjson_get_len(key)); }

static void view_plain(struct arena *a, struct json_writer *w, yyjson_val *v, int depth) {
    size_t i, count;
    yyjson_val *key, *item;
    if (yyjson_is_arr(v)) {
        jw_array(w);
        yyjson_arr_foreach(v, i, count, item) view(a, w, item, depth + 1);
        jw_array_end(w);
    } else if (yyjson_is_obj(v)) {
        jw_object(w);
        yyjson_obj_foreach(v, i, count, key, item) {
            if (is_undefined(item))
                continue;
            jw_key_str(w, key_str(key));
            view(a, w, item, depth + 1);
        }
        jw_object_end(w);
    } else {
        jw_val(w, v);
    }
}

/* The flat form, in which an id that was missing is null. */
static bool view_message(struct arena *a, struct json_writer *w, yyjson_val *v) {
    struct message m;
    bool has_id = !str_empty(json_str(json_get(json_get(v, "kwargs"), "id")));
    if (message_normalise(a, v, &m, NULL) < 0)
        return false;
    if (has_id) {
        jw_raw(w, m.json);
        return true;
    }
    str made = arena_printf(a, "\"id\":\"" STR_FMT "\"", STR_ARG(m.id));
    ptrdiff_t at = str_find(m.json, made);
    if (NEVER(at < 0))
        return false;
    jw_raw(w, arena_printf(a, STR_FMT "\"id\":null" STR_FMT, (int)at, m.json.p,
                           STR_ARG(str_slice(m.json, (size_t)at + made.len, m.json.len))));
    return true;
}

static void view_map(struct arena *a, struct json_writer *w, yyjson_val *pairs, int depth) {
    size_t i, count;
    yyjson_val *pair;
    bool plain = true;
    yyjson_arr_foreach(pairs, i, count, pair) plain =
        plain && yyjson_arr_size(pair) == 2 && yyjson_is_str(yyjson_arr_get_first(pair));
    if (!plain) {
        view_plain(a, w, pairs, depth);
        return;
    }
    jw_object(w);
    yyjson_arr_foreach(pairs, i, count, pair) {
        jw_key_str(w, json_str(yyjson_arr_get_first(pair)));
        view(a, w, yyjson_arr_get_last(pair), depth + 1);
    }
    jw_object_end(w);
}

static void view_bytes(struct arena *a, struct json_writer *w, yyjson_val *numbers) {
    size_t i, count, n = yyjson_arr_size(numbers);
    yyjson_val *number;
    char *p = arena_alloc(a, n + 1);
    yyjson_arr_foreach(numbers, i, count, number) p[i] = (char)(yyjson_get_uint(number) & 0xff);
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    base64_write(&b, str_n(p, n));
    jw_str(w, b.len ? buf_view(&b) : STR(""));
    buf_deinit(&b);
}

static void view_regexp(struct arena *a, struct json_writer *w, yyjson_val *args) {
    str source = json_str(yyjson_arr_get(args, 0)), flags = json_str(yyjson_arr_get(args, 1));
    jw_str(w, arena_printf(a, "/" STR_FMT "/" STR_FMT, STR_ARG(source), STR_ARG(flags)));
}

/* {"lc":2,"type":"constructor",…} */
static void view_object(struct arena *a, struct json_writer *w, yyjson_val *v, int depth) {
    yyjson_val *args = json_get(v, "args"), *kwargs = json_get(v, "kwargs");
    yyjson_val *first = yyjson_arr_get_first(args);
    str name = json_str(yyjson_arr_get_last(json_get(v, "id")));
    if (str_eq(name, STR("Map")) && yyjson_is_arr(first))
        view_map(a, w, first, depth);
    else if (str_eq(name, STR("Uint8Array")) && yyjson_is_arr(first))
        view_bytes(a, w, first);
    else if (str_eq(name, STR("RegExp")) && yyjson_is_str(first))
        view_regexp(a, w, args);
    else if (yyjson_arr_size(args) == 1)
        view(a, w, first, depth + 1);
    else if (yyjson_arr_size(args) > 1 || !yyjson_is_obj(kwargs))
        view_plain(a, w, args ? args : v, args ? depth + 1 : LG_DEPTH_MAX);
    else
        view_plain(a, w, kwargs, depth + 1);
}

static void view(struct arena *a, struct json_writer *w, yyjson_val *v, int depth) {
    int lc = depth < LG_DEPTH_MAX ? lc_kind(v) : 0;
    if (depth >= LG_DEPTH_MAX)
        jw_val(w, v);
    else if (lc == 2 && is_undefined(v))
        jw_null(w);
    else if (lc == 2 && is_snapshot(v))
        view(a, w, json_get(v, "value"), depth + 1);
    else if (lc == 2 && is_constructor(v))
        view_object(a, w, v, depth);
    else if (lc != 1 || !is_constructor(v) || !yyjson_is_obj(json_get(v, "kwargs")))
        view_plain(a, w, v, depth);
    else if (!view_message(a, w, v))
        view_plain(a, w, json_get(v, "kwargs"), depth + 1);
}

static int dup_checked(struct arena *a, struct buf *b, str *out, struct err *err) {
    char *p = buf_ok(b) ? arena_try_alloc(a, b->len + 1) : NULL;
    if (!p)
        return err_set(err, ERR_TOO_LARGE, "a stored value is too large to show");
    memcpy(p, b->p, b->len);
    p[b->len] = '\0';
    *out = str_n(p, b->len);
    return 0;
}

int lg_json_view(struct arena *a, str json, str *out_text, struct err *err) {
    yyjson_val *root;
    struct err cause = {0};
    if (json_parse(a, json, &root, &cause) < 0)
        return err_set(err, ERR_CORRUPT, "a stored value is no JSON: %s", cause.message);
    if (str_find(json, STR("\"lc\"")) < 0) {
        *out_text = json;
        return 0;
    }
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    view(a, &w, root, 0);
    int rc = dup_checked(a, &b, out_text, err);
    buf_deinit(&b);
    return rc;
}

/* --- typed bytes --- */

static int read_bytes(struct arena *a, str bytes, str *out, struct err *err) {
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    buf_char(&b, '"');
    base64_write(&b, bytes);
    buf_char(&b, '"');
    int rc = dup_checked(a, &b, out, err);
    buf_deinit(&b);
    return rc;
}

static int read_msgpack(struct arena *a, str bytes, str *out, struct err *err) {
    struct buf b;
    str text;
    buf_init(&b, LG_BYTES_MAX);
    int rc = lg_msgpack_to_json(bytes, &b, err);
    if (rc == 0)
        rc = dup_checked(a, &b, &text, err);
    buf_deinit(&b);
    return rc < 0 ? rc : lg_json_view(a, text, out, err);
}

int lg_value_read(struct arena *a, str type, str bytes, str *out_text, struct err *err) {
    if (str_eq(type, STR("json")))
        return lg_json_view(a, bytes, out_text, err);
    if (str_eq(type, STR("msgpack")))
        return read_msgpack(a, bytes, out_text, err);
    if (str_eq(type, STR("bytes")) || str_eq(type, STR("bytearray")))
        return read_bytes(a, bytes, out_text, err);
    if (str_eq(type, STR("null"))) {
        *out_text = STR("null");
        return 0;
    }
    if (str_eq(type, STR("empty"))) {
        *out_text = STR_NULL;
        return 0;
    }
    return err_set(err, ERR_UNSUPPORTED, "a stored value of the type \"%.*s\" cannot be read",
                   (int)(type.len < 40 ? type.len : 40), type.p ? type.p : "");
}

/* --- writing --- */

static const char *class_of(str type) {
    static const struct {
        str type;
        const char *class_name;
    } classes[] = {
        {{"human", 5}, "HumanMessage"},   {{"ai", 2}, "AIMessage"},
        {{"system", 6}, "SystemMessage"}, {{"tool", 4}, "ToolMessage"},
        {{"remove", 6}, "RemoveMessage"}, {{"function", 8}, "FunctionMessage"},
        {{"chat", 4}, "ChatMessage"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(classes); i++)
        if (str_eq(type, classes[i].type))
            return classes[i].class_name;
    return NULL;
}

/* What the libraries would revive: any object with a number as "lc". */
static void write_plain(struct json_writer *w, yyjson_val *v, int depth) {
    size_t i, count;
    yyjson_val *key, *item;
    if (yyjson_is_arr(v) && depth < JSON_DEPTH_MAX) {
        jw_array(w);
        yyjson_arr_foreach(v, i, count, item) write_plain(w, item, depth + 1);
        jw_array_end(w);
    } else if (yyjson_is_obj(v) && depth < JSON_DEPTH_MAX) {
        jw_object(w);
        yyjson_obj_foreach(v, i, count, key, item) {
            jw_key_str(w, key_str(key));
            if (str_eq(key_str(key), STR("lc")) && yyjson_is_num(item))
                jw_z(w, yyjson_get_num(item) == 2 ? "2" : "1");
            else
                write_plain(w, item, depth + 1);
        }
        jw_object_end(w);
    } else {
        jw_val(w, v);
    }
}

int lg_plain(struct arena *a, str json, str *out, struct err *err) {
    yyjson_val *root;
    /* A key may be spelt with escapes. */
    if (str_find(json, STR("\"lc\"")) < 0 && str_find(json, STR("\\u00")) < 0) {
        *out = json;
        return 0;
    }
    int rc = json_parse(a, json, &root, err);
    if (rc < 0)
        return rc;
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    write_plain(&w, root, 0);
    rc = dup_checked(a, &b, out, err);
    buf_deinit(&b);
    return rc;
}

void lg_message_write(struct json_writer *w, yyjson_val *flat) {
    const char *class_name = class_of(json_str(json_get(flat, "type")));
    if (!class_name) {
        write_plain(w, flat, 0);
        return;
    }
    size_t i, count;
    yyjson_val *key, *value;
    jw_object(w);
    jw_key(w, "lc");
    jw_i64(w, 1);
    jw_key(w, "type");
    jw_z(w, "constructor");
    jw_key(w, "id");
    jw_array(w);
    jw_z(w, "langchain_core");
    jw_z(w, "messages");
    jw_z(w, class_name);
    jw_array_end(w);
    jw_key(w, "kwargs");
    jw_object(w);
    yyjson_obj_foreach(flat, i, count, key, value) {
        if (yyjson_is_null(value) || str_eq(key_str(key), STR("type")))
            continue;
        jw_key_str(w, key_str(key));
        write_plain(w, value, 0);
    }
    jw_object_end(w);
    jw_object_end(w);
}
