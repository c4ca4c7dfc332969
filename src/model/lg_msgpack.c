/* SPDX-License-Identifier: Apache-2.0 */
/* lg_msgpack.c - what LangGraph's Python serializer writes as MessagePack, as JSON.
 *
 * Extension codes, whose payload is MessagePack again:
 *
 *   0 constructor [module, name, arg]        → arg      (UUID, Decimal, set, deque, …)
 *   1 constructor [module, name, [args]]     → [args]   (date, timedelta, Send, …)
 *   2 constructor [module, name, {kwargs}]   → {kwargs} (dataclasses, Interrupt, named tuples)
 *   3 method      [module, name, arg, method] → arg     (datetime in ISO-8601)
 *   4, 5 pydantic [module, name, dump, …]    → dump; of a message the lc constructor with it
 *   6 numpy       [dtype, shape, order, bytes] → that list
 *   7 delta       value                      → value
 *
 * This is the reduction that the library itself uses for JSON. Keys that are no texts become their
 * JSON as text, bytes become base64, numbers that JSON cannot hold become null, and bytes of a text
 * that are no UTF-8 (and NUL) become U+FFFD.
 *
 * Invariant: what is written is one JSON value, however hostile the input, or the call fails. */
#include "base/base64.h"
#include "base/msgpack.h"
#include "model/lg_value.h"

struct reading {
    struct err *err;
    int depth;
    bool in_key; /* a key as text escapes what is in it, so keys in keys would grow without bound */
};

static int write_item(struct reading *c, struct msgpack_reader *r, struct json_writer *w);

static int too_deep(struct reading *c) {
    return err_set(c->err, ERR_TOO_LARGE, "a stored value nests deeper than %d", LG_DEPTH_MAX);
}

static void append_clean(struct buf *b, str part) {
    for (const char *nul; part.len && (nul = memchr(part.p, 0, part.len)) != NULL;) {
        size_t n = (size_t)(nul - part.p);
        buf_append(b, part.p, n);
        buf_z(b, "\xef\xbf\xbd");
        part = str_n(nul + 1, part.len - n - 1);
    }
    buf_append(b, part.p, part.len);
}

/* Well-formed text without NUL; s itself when it is so already. */
static str clean_text(str s, struct buf *b) {
    if (str_is_utf8(s) && (s.len == 0 || !memchr(s.p, 0, s.len)))
        return s;
    buf_init(b, LG_BYTES_MAX);
    while (s.len) {
        size_t good = str_utf8_prefix(s);
        append_clean(b, str_n(s.p, good));
        s = str_n(s.p + good, s.len - good);
        if (s.len) {
            buf_z(b, "\xef\xbf\xbd");
            s = str_n(s.p + 1, s.len - 1);
        }
    }
    return buf_view(b);
}

static void write_text(struct json_writer *w, str s, bool as_key) {
    struct buf b = {0};
    str text = clean_text(s, &b);
    if (!text.p)
        text = STR("");
    if (as_key)
        jw_key_str(w, text);
    else
        jw_str(w, text);
    if (b.p)
        buf_deinit(&b);
}

static void write_base64(struct json_writer *w, str bytes) {
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    buf_char(&b, '"');
    base64_write(&b, bytes);
    buf_char(&b, '"');
    if (buf_ok(&b))
        jw_raw(w, buf_view(&b));
    else
        jw_null(w);
    buf_deinit(&b);
}

static void write_unsigned(struct json_writer *w, uint64_t v) {
    struct buf b;
    buf_init(&b, 64);
    buf_u64(&b, v);
    jw_raw(w, buf_view(&b));
    buf_deinit(&b);
}

static int write_key(struct reading *c, struct msgpack_reader *r, struct json_writer *w) {
    struct msgpack_reader before = *r;
    struct msgpack_item key;
    int rc = msgpack_next(r, &key, c->err);
    if (rc < 0)
        return rc;
    if (key.type == MSGPACK_STR) {
        write_text(w, key.bytes, true);
        return 0;
    }
    if (c->in_key)
        return err_set(c->err, ERR_CORRUPT, "a stored map has a key that cannot be shown");
    struct buf b;
    buf_init(&b, LG_BYTES_MAX);
    struct json_writer inner = json_writer(&b);
    *r = before;
    c->in_key = true;
    rc = write_item(c, r, &inner);
    c->in_key = false;
    if (rc == 0 && !buf_ok(&b))
        rc = ERR_TOO_LARGE;
    if (rc == 0) {
        str text = buf_view(&b);
        bool quoted = text.len >= 2 && text.p[0] == '"';
        jw_key_str(w, quoted ? str_n(text.p + 1, text.len - 2) : text);
    }
    buf_deinit(&b);
    return rc;
}

static int write_members(struct reading *c, struct msgpack_reader *r, struct json_writer *w,
                         const struct msgpack_item *head) {
    int rc = 0;
    if (head->type == MSGPACK_ARRAY)
        jw_array(w);
    else
        jw_object(w);
    for (uint32_t i = 0; rc == 0 && i < head->count; i++) {
        if (head->type == MSGPACK_MAP)
            rc = write_key(c, r, w);
        if (rc == 0)
            rc = write_item(c, r, w);
    }
    if (head->type == MSGPACK_ARRAY)
        jw_array_end(w);
    else
        jw_object_end(w);
    return rc;
}

static bool is_message(str module, str name) {
    return str_starts(module, STR("langchain_core.messages")) &&
           (str_ends(name, STR("Message")) || str_ends(name, STR("MessageChunk")));
}

static int next_text(struct reading *c, struct msgpack_reader *r, str *out) {
    struct msgpack_item item;
    int rc = msgpack_next(r, &item, c->err);
    if (rc < 0)
        return rc;
    if (item.type != MSGPACK_STR)
        return err_set(c->err, ERR_CORRUPT, "a stored object has no name");
    *out = item.bytes;
    return 0;
}

/* [module, name, what stays, …] */
static int write_object(struct reading *c, str payload, bool model, struct json_writer *w) {
    struct msgpack_reader r = msgpack_reader(payload);
    struct msgpack_item head;
    str module, name;
    int rc = msgpack_next(&r, &head, c->err);
    if (rc == 0 && (head.type != MSGPACK_ARRAY || head.count < 3))
        rc = err_set(c->err, ERR_CORRUPT, "a stored object has an unknown form");
    if (rc == 0)
        rc = next_text(c, &r, &module);
    if (rc == 0)
        rc = next_text(c, &r, &name);
    if (rc < 0)
        return rc;
    if (!model || !is_message(module, name))
        return write_item(c, &r, w);
    jw_object(w);
    jw_key(w, "lc");
    jw_i64(w, 1);
    jw_key(w, "type");
    jw_z(w, "constructor");
    jw_key(w, "id");
    jw_array(w);
    jw_z(w, "langchain_core");
    jw_z(w, "messages");
    write_text(w, name, false);
    jw_array_end(w);
    jw_key(w, "kwargs");
    rc = write_item(c, &r, w);
    jw_object_end(w);
    return rc;
}

static int write_ext(struct reading *c, const struct msgpack_item *item, struct json_writer *w) {
    struct msgpack_reader r = msgpack_reader(item->bytes);
    if (item->code >= 0 && item->code <= 5)
        return write_object(c, item->bytes, item->code == 5, w);
    if (item->code == 6 || item->code == 7)
        return write_item(c, &r, w);
    write_base64(w, item->bytes);
    return 0;
}

static int write_nested(struct reading *c, struct msgpack_reader *r, struct json_writer *w,
                        const struct msgpack_item *item) {
    if (c->depth >= LG_DEPTH_MAX)
        return too_deep(c);
    c->depth++;
    int rc = item->type == MSGPACK_EXT ? write_ext(c, item, w) : write_members(c, r, w, item);
    c->depth--;
    return rc;
}

static int write_item(struct reading *c, struct msgpack_reader *r, struct json_writer *w) {
    struct msgpack_item item;
    int rc = msgpack_next(r, &item, c->err);
    if (rc < 0)
        return rc;
    switch (item.type) {
    case MSGPACK_NIL:
        jw_null(w);
        return 0;
    case MSGPACK_BOOL:
        jw_bool(w, item.flag);
        return 0;
    case MSGPACK_INT:
        jw_i64(w, item.i);
        return 0;
    case MSGPACK_UINT:
        write_unsigned(w, item.u);
        return 0;
    case MSGPACK_FLOAT:
        jw_double(w, item.d);
        return 0;
    case MSGPACK_STR:
        write_text(w, item.bytes, false);
        return 0;
    case MSGPACK_BIN:
        write_base64(w, item.bytes);
        return 0;
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
    case MSGPACK_EXT:
        return write_nested(c, r, w, &item);
    }
    UNREACHABLE();
}

int lg_msgpack_to_json(str bytes, struct buf *out, struct err *err) {
    struct reading c = {.err = err};
    struct msgpack_reader r = msgpack_reader(bytes);
    struct json_writer w = json_writer(out);
    int rc = write_item(&c, &r, &w);
    if (rc == ERR_MALFORMED || (rc == 0 && !msgpack_at_end(&r)))
        return err_set(err, ERR_CORRUPT, "a stored MessagePack value cannot be read");
    if (rc == 0 && !buf_ok(out))
        return err_set(err, ERR_TOO_LARGE, "a stored value is too large to show");
    return rc;
}
