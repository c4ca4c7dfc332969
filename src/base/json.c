/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - reading JSON into an arena and writing single values.
 *
 * Reading: json_parse limits the depth first (yyjson itself does not recurse, but code that walks
 * documents does), then repairs escapes that cannot be stored as UTF-8 text, then lets yyjson parse
 * with an allocator on the arena. The arena's cap therefore bounds the document: past it the parse
 * ends with ERR_TOO_LARGE. The repair replaces six bytes by six, so byte positions in error texts
 * are those of the text received.
 *
 * Duplicate keys: look-ups take the last, as Python does. Comparing and sorting live in
 * json_compare.c, the writer in json_write.c. */
#include "base/json.h"

#include "base/json_int.h"

/* yyjson's allocator on an arena. It remembers the newest block, to give back its unused end. */
struct arena_source {
    struct arena *arena;
    void *newest;
    size_t newest_bytes;
};

static void *source_malloc(void *ctx, size_t bytes) {
    struct arena_source *source = ctx;
    source->newest = arena_try_alloc(source->arena, bytes);
    source->newest_bytes = bytes;
    return source->newest;
}

static void *source_realloc(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    struct arena_source *source = ctx;
    if (arena_try_resize(source->arena, p, old_bytes, bytes)) {
        source->newest_bytes = bytes;
        return p;
    }
    void *q = source_malloc(ctx, bytes);
    if (q)
        memcpy(q, p, old_bytes < bytes ? old_bytes : bytes);
    return q;
}

static void source_free(void *ctx, void *p) {
    (void)ctx, (void)p;
}

static void source_trim(struct arena_source *source, const void *end) {
    size_t used = (size_t)((const char *)end - (const char *)source->newest);
    if (used <= source->newest_bytes)
        (void)arena_try_resize(source->arena, source->newest, source->newest_bytes, used);
}

/* Index of the closing quote of a string whose content starts at i, or len. */
static size_t string_end(const char *p, size_t i, size_t len) {
    for (size_t from = i; i < len; i++) {
        const char *quote = memchr(p + i, '"', len - i);
        if (!quote)
            return len;
        i = (size_t)(quote - p);
        size_t escapes = 0;
        while (i - escapes > from && p[i - escapes - 1] == '\\')
            escapes++;
        if (escapes % 2 == 0)
            return i;
    }
    return len;
}

int json_depth(str text, int limit) {
    int depth = 0, deepest = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '"') {
            i = string_end(text.p, i + 1, text.len);
        } else if (c == '{' || c == '[') {
            if (++depth > deepest && (deepest = depth) > limit)
                break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return deepest;
}

typedef unsigned char byte_vector __attribute__((vector_size(16)));

/* Opening brackets of both kinds, in strings too: a bound of the depth that is cheap to have. */
static size_t brackets_count(str text) {
    size_t total = 0, i = 0;
    while (i + 16 <= text.len) {
        byte_vector sum = {0}; /* per lane, so at most 255 rounds */
        for (int round = 0; round < 255 && i + 16 <= text.len; round++, i += 16) {
            byte_vector x;
            memcpy(&x, text.p + i, sizeof x);
            sum -= (byte_vector)((x | 0x20) == '{'); /* '[' and '{' differ in this bit only */
        }
        for (int lane = 0; lane < 16; lane++)
            total += sum[lane];
    }
    for (; i < text.len; i++)
        total += (text.p[i] | 0x20) == '{';
    return total;
}

static bool too_deep(str text) {
    return brackets_count(text) > JSON_DEPTH_MAX &&
           json_depth(text, JSON_DEPTH_MAX) > JSON_DEPTH_MAX;
}

/* The code unit of \uXXXX at p, or -1. */
static int escape_unit(const char *p, size_t left) {
    if (left < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int v = 0;
    for (int i = 2; i < 6; i++) {
        char c = (char)(p[i] | 0x20);
        int digit = p[i] >= '0' && p[i] <= '9' ? p[i] - '0'
                    : c >= 'a' && c <= 'f'     ? c - 'a' + 10
                                               : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* Bytes of the good escape at p (which starts with a backslash), 0 for one that needs repair. */
static size_t escape_check(const char *p, size_t left) {
    int unit = escape_unit(p, left);
    if (unit < 0)
        return 2; /* another escape, or an error that the parser will report */
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        int low = escape_unit(p + 6, left - 6);
        return low >= 0xDC00 && low <= 0xDFFF ? 12 : 0;
    }
    return unit == 0 || (unit >= 0xDC00 && unit <= 0xDFFF) ? 0 : 6;
}

/* Index of the first escape from `from` on that needs repair, or -1. */
static ptrdiff_t bad_escape_find(str text, size_t from) {
    while (from < text.len) {
        const char *at = memchr(text.p + from, '\\', text.len - from);
        if (!at)
            return -1;
        size_t i = (size_t)(at - text.p);
        size_t good = escape_check(at, text.len - i);
        if (good == 0)
            return (ptrdiff_t)i;
        from = i + good;
    }
    return -1;
}

/* A copy of text, padded for parsing in place, with its bad escapes replaced. */
static char *repaired_copy(struct arena *a, str text, size_t first_bad) {
    char *copy = arena_try_alloc(a, text.len + YYJSON_PADDING_SIZE);
    if (!copy)
        return NULL;
    memcpy(copy, text.p, text.len);
    memset(copy + text.len, 0, YYJSON_PADDING_SIZE);
    for (ptrdiff_t bad = (ptrdiff_t)first_bad; bad >= 0;
         bad = bad_escape_find(str_n(copy, text.len), (size_t)bad + 6))
        memcpy(copy + bad, "\\ufffd", 6);
    return copy;
}

static int parse_failed(const yyjson_read_err *e, struct err *err) {
    if (e->code == YYJSON_READ_ERROR_MEMORY_ALLOCATION)
        return err_set(err, ERR_TOO_LARGE, "the JSON document does not fit into its memory limit");
    return err_set(err, ERR_MALFORMED, "invalid JSON at byte %zu: %s", e->pos,
                   e->msg ? e->msg : "unknown error");
}

/* The values of a document lie one behind the other. Raw ones are integers of many digits, or what
 * overflows a double. */
static int check_numbers(const yyjson_doc *doc, struct err *err) {
    const yyjson_val *end = doc->root + doc->val_read;
    for (const yyjson_val *v = doc->root; v < end; v++) {
        if (unsafe_yyjson_get_type((void *)(uintptr_t)v) != YYJSON_TYPE_RAW)
            continue;
        str text = str_n(v->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)v));
        double near;
        if (!str_to_double(text, &near))
            return err_set(err, ERR_INVALID, "the number %.*s%s is out of range",
                           (int)(text.len < 40 ? text.len : 40), text.p,
                           text.len < 40 ? "" : "…");
    }
    return ERR_OK;
}

int json_parse(struct arena *a, str text, yyjson_val **out_root, struct err *err) {
    if (text.len == 0)
        return err_set(err, ERR_MALFORMED, "invalid JSON at byte 0: the text is empty");
    if (too_deep(text))
        return err_set(err, ERR_TOO_LARGE, "the JSON text is nested deeper than %d levels",
                       JSON_DEPTH_MAX);
    yyjson_read_flag flags = YYJSON_READ_BIGNUM_AS_RAW;
    char *source = (char *)(uintptr_t)text.p; /* not written to without the in-place flag */
    ptrdiff_t bad = bad_escape_find(text, 0);
    if (bad >= 0) {
        source = repaired_copy(a, text, (size_t)bad);
        flags |= YYJSON_READ_INSITU;
        if (!source)
            return err_set(err, ERR_TOO_LARGE, "the JSON text does not fit into its memory limit");
    }
    struct arena_source memory = {.arena = a};
    yyjson_alc alc = {source_malloc, source_realloc, source_free, &memory};
    yyjson_read_err failure = {0};
    yyjson_doc *doc = yyjson_read_opts(source, text.len, flags, &alc, &failure);
    if (!doc)
        return parse_failed(&failure, err);
    /* yyjson guesses the number of values from the length of the text and guesses high. */
    if (memory.newest == (void *)doc)
        source_trim(&memory, doc->root + doc->val_read);
    int code = check_numbers(doc, err);
    if (code == ERR_OK)
        *out_root = doc->root;
    return code;
}

yyjson_val *json_get_str(yyjson_val *obj, str key) {
    if (!yyjson_is_obj(obj))
        return NULL;
    yyjson_val *found = NULL;
    yyjson_val *k = unsafe_yyjson_get_first(obj);
    for (size_t left = unsafe_yyjson_get_len(obj); left; left--) {
        if (str_eq(json_str(k), key))
            found = k + 1;
        k = unsafe_yyjson_get_next(k + 1);
    }
    return found;
}

yyjson_val *json_get(yyjson_val *obj, const char *key) {
    return json_get_str(obj, str_of(key));
}

bool json_has(yyjson_val *obj, const char *key) {
    return json_get(obj, key) != NULL;
}

str json_str(yyjson_val *v) {
    return yyjson_is_str(v) ? str_n(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v)) : STR_NULL;
}

str json_text(struct arena *a, yyjson_val *v) {
    if (!v)
        return STR("null");
    struct arena_source memory = {.arena = a};
    yyjson_alc alc = {source_malloc, source_realloc, source_free, &memory};
    size_t len = 0;
    char *p = yyjson_val_write_opts(v, YYJSON_WRITE_INF_AND_NAN_AS_NULL, &alc, &len, NULL);
    if (p) {
        if (memory.newest == (void *)p)
            source_trim(&memory, p + len + 1);
        return str_n(p, len);
    }
    /* yyjson reserves six bytes for each of a string: near the cap that is too much to ask. */
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_val(&w, v);
    return arena_take(a, &b);
}

str json_canonical(struct arena *a, yyjson_val *v) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    json_write_canonical(&b, v);
    return arena_take(a, &b);
}

/* The object a text stands for; NULL, which counts as {}, for anything else. */
static yyjson_val *object_parse(struct arena *a, str text) {
    yyjson_val *root = NULL;
    if (text.len == 0 || json_parse(a, text, &root, NULL) != ERR_OK)
        return NULL;
    return yyjson_is_obj(root) ? root : NULL;
}

str json_without(struct arena *a, str object_text, const char *key) {
    if (str_find(object_text, str_of(key)) < 0) /* letters are not escaped by any writer of ours */
        return object_text;
    yyjson_val *object = object_parse(a, object_text);
    if (!object || !json_get(object, key))
        return object_text;
    struct json_members m;
    json_members_init(&m, object);
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < m.count; i++) {
        if (str_eq(json_str(m.keys[i]), str_of(key)))
            continue;
        jw_key_str(&w, json_str(m.keys[i]));
        jw_val(&w, m.keys[i] + 1);
    }
    jw_object_end(&w);
    json_members_deinit(&m);
    return arena_take(a, &b);
}

static bool is_empty_object(str text) { return text.len == 0 || str_eq(text, STR("{}")); }
static bool begins_object(str text) { return text.len > 0 && text.p[0] == '{'; }

str json_merge(struct arena *a, str a_text, str b_text) {
    if (is_empty_object(b_text) && begins_object(a_text))
        return arena_dup(a, a_text);
    if (is_empty_object(a_text) && begins_object(b_text))
        return arena_dup(a, b_text);
    struct json_members low, high;
    json_members_init(&low, object_parse(a, a_text));
    json_members_init(&high, object_parse(a, b_text));
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    /* As Python's {**a, **b}: the places of a, then what only b has. */
    for (size_t i = 0; i < low.count; i++) {
        yyjson_val *key = low.keys[i], *other = json_members_find(&high, json_str(key));
        jw_key_str(&w, json_str(key));
        jw_val(&w, other ? other : key + 1);
    }
    for (size_t i = 0; i < high.count; i++) {
        if (json_members_find(&low, json_str(high.keys[i])))
            continue;
        jw_key_str(&w, json_str(high.keys[i]));
        jw_val(&w, high.keys[i] + 1);
    }
    jw_object_end(&w);
    json_members_deinit(&low);
    json_members_deinit(&high);
    return arena_take(a, &b);
}
