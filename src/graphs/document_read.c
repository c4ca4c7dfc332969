/* SPDX-License-Identifier: Apache-2.0 */
/* document_read.c - faults of a document and the readers of its members.
 *
 * A reader notes what is wrong and gives a fallback, so that one pass finds all faults; a graph
 * with a fault is never finished. A fault says where (a JSON pointer) and what to change. */
#include <stdarg.h>
#include <stdio.h>

#include "graphs/document_int.h"

static void write_pointer(struct buf *b, const struct doc_at *at) {
    if (!at)
        return;
    write_pointer(b, at->up);
    if (!at->up && !at->key.p)
        return; /* the document */
    buf_char(b, '/');
    if (!at->key.p) {
        buf_u64(b, at->index);
        return;
    }
    for (size_t i = 0; i < at->key.len; i++) {
        if (at->key.p[i] == '~')
            buf_str(b, STR("~0"));
        else if (at->key.p[i] == '/')
            buf_str(b, STR("~1"));
        else
            buf_char(b, at->key.p[i]);
    }
}

PRINTF_LIKE(3, 0)
static void note(struct doc_reader *r, const struct doc_at *at, const char *format, va_list args) {
    struct graph_faults *f = r->faults;
    char text[400];
    struct buf b;
    if (f->count == GRAPH_FAULTS_MAX)
        return;
    vsnprintf(text, sizeof(text), format, args);
    buf_init(&b, 4096);
    write_pointer(&b, at);
    str whole = str_of(text);
    whole.len = str_utf8_prefix(whole);
    f->list[f->count++] = (struct graph_fault){
        .pointer = arena_dup(f->a, b.len ? buf_view(&b) : STR("")), .text = arena_dup(f->a, whole)};
    buf_deinit(&b);
}

void doc_fault(struct doc_reader *r, const struct doc_at *at, const char *format, ...) {
    va_list args;
    va_start(args, format);
    note(r, at, format, args);
    va_end(args);
}

void doc_member_fault(const struct doc_object *o, const char *key, const char *format, ...) {
    struct doc_at at = {.up = &o->at, .key = str_of(key)};
    va_list args;
    va_start(args, format);
    note(o->r, &at, format, args);
    va_end(args);
}

static bool is_among(str word, const char *words) {
    str rest = str_of(words), one;
    while (str_split_next(&rest, ' ', &one))
        if (str_eq(one, word))
            return true;
    return false;
}

void doc_known(const struct doc_object *o, const char *known) {
    size_t i, n;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(o->v)) {
        doc_fault(o->r, &o->at, "must be an object");
        return;
    }
    yyjson_obj_foreach(o->v, i, n, key, value) {
        struct doc_at at = {.up = &o->at, .key = str_slice(json_str(key), 0, 200)};
        if (known && !is_among(json_str(key), known))
            doc_fault(o->r, &at, "is not known here; known are: %s", known);
        else if (json_get_str(o->v, json_str(key)) != value)
            doc_fault(o->r, &at, "appears twice");
    }
}

str doc_str(const struct doc_object *o, const char *key, size_t bytes_max) {
    yyjson_val *v = json_get(o->v, key);
    if (!v)
        return STR_NULL;
    if (!yyjson_is_str(v) || json_str(v).len == 0) {
        doc_member_fault(o, key, "must be a string that is not empty");
        return STR_NULL;
    }
    if (json_str(v).len > bytes_max) {
        doc_member_fault(o, key, "must be at most %zu bytes long", bytes_max);
        return STR_NULL;
    }
    return json_str(v);
}

bool doc_bool(const struct doc_object *o, const char *key, bool fallback) {
    yyjson_val *v = json_get(o->v, key);
    if (!v)
        return fallback;
    if (!yyjson_is_bool(v))
        doc_member_fault(o, key, "must be true or false");
    return yyjson_get_bool(v);
}

double doc_number(const struct doc_object *o, const char *key, double min, double max,
                  double fallback) {
    yyjson_val *v = json_get(o->v, key);
    if (!v)
        return fallback;
    double n = yyjson_get_num(v);
    if (!yyjson_is_num(v) || !(n >= min && n <= max)) {
        doc_member_fault(o, key, "must be a number between %g and %g", min, max);
        return fallback;
    }
    return n;
}

const struct expr *doc_expr_at(struct doc_reader *r, yyjson_val *v, const struct doc_at *at) {
    const struct expr *e = NULL;
    struct err err = {0};
    if (!yyjson_is_str(v))
        doc_fault(r, at, "must be a string that holds an expression");
    else if (expr_compile(r->a, json_str(v), &e, &err) < 0)
        doc_fault(r, at, "%s", err.message);
    return e;
}

const struct template *doc_template_at(struct doc_reader *r, yyjson_val *v,
                                       const struct doc_at *at) {
    const struct template *t = NULL;
    struct err err = {0};
    if (!yyjson_is_str(v))
        doc_fault(r, at, "must be a string, with {{ expressions }} in it");
    else if (template_compile(r->a, json_str(v), &t, &err) < 0)
        doc_fault(r, at, "%s", err.message);
    return t;
}

const struct expr *doc_expr(const struct doc_object *o, const char *key, bool required) {
    yyjson_val *v = json_get(o->v, key);
    struct doc_at at = {.up = &o->at, .key = str_of(key)};
    if (v)
        return doc_expr_at(o->r, v, &at);
    if (required)
        doc_fault(o->r, &at, "is missing: an expression");
    return NULL;
}

const struct template *doc_template(const struct doc_object *o, const char *key, bool required) {
    yyjson_val *v = json_get(o->v, key);
    struct doc_at at = {.up = &o->at, .key = str_of(key)};
    if (v)
        return doc_template_at(o->r, v, &at);
    if (required)
        doc_fault(o->r, &at, "is missing: a text");
    return NULL;
}

const struct channel_def *doc_channel(const struct doc_reader *r, str name) {
    for (size_t i = 0; i < r->channel_count; i++)
        if (str_eq(str_of(r->channels[i].name), name))
            return &r->channels[i];
    return NULL;
}

int doc_node_of(struct doc_reader *r, yyjson_val *v, const struct doc_at *at, bool start,
                bool end) {
    str name = json_str(v);
    if (start && (str_eq(name, STR("START")) || str_eq(name, STR("__start__"))))
        return GRAPH_START;
    if (end && (str_eq(name, STR("END")) || str_eq(name, STR("__end__"))))
        return GRAPH_END;
    for (size_t i = 0; i < r->name_count && name.p; i++)
        if (str_eq(r->names[i], name))
            return (int)i;
    if (!v)
        doc_fault(r, at, "is missing: the name of a node");
    else if (!name.p)
        doc_fault(r, at, "must be the name of a node");
    else
        doc_fault(r, at, "there is no node \"%.*s\"", STR_ARG(str_slice(name, 0, 100)));
    return DOC_NO_NODE;
}

void doc_leads(struct doc_reader *r, int from, int to) {
    if (from == DOC_NO_NODE || to == DOC_NO_NODE)
        return;
    size_t at = from == GRAPH_START ? GRAPH_NODES_MAX : (size_t)from;
    if (from >= 0)
        r->ends[from] = true;
    if (to >= 0)
        r->leads[at] |= UINT64_C(1) << to;
}
