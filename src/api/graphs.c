/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.c - the handlers of /graphs: which graphs there are, registering documents.
 *
 * Everybody who may read sees all graphs, for everybody can run them. A document that is refused is
 * answered 422 with all its faults beside the usual detail: so an editor can mark the places. */
#include "api/api_int.h"
#include "engine/engine.h"

#define LIST_MAX 1000

static str graph_param(struct api_request *r) { return r->match.params[0]; }

static void write_text(struct json_writer *w, const char *key, const char *text) {
    jw_key(w, key);
    jw_str(w, text && text[0] ? str_of(text) : STR_NULL);
}

static void write_stored(struct json_writer *w, const struct stored_graph *g,
                         yyjson_val *document) {
    jw_key(w, "name");
    jw_str(w, json_str(json_get(document, "name")));
    jw_key(w, "source");
    jw_z(w, "registered");
    jw_key(w, "version");
    jw_i64(w, g->version);
    jw_key(w, "created_at");
    api_write_time(w, g->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, g->updated_at);
}

static void write_own(struct json_writer *w) {
    static const char *const nulls[] = {"name", "version", "created_at", "updated_at"};
    jw_key(w, "source");
    jw_z(w, "server");
    for (size_t i = 0; i < ARRAY_COUNT(nulls); i++) {
        jw_key(w, nulls[i]);
        jw_null(w);
    }
}

/* whole: with the document. */
static void write_graph(struct api_request *r, struct json_writer *w, str graph_id,
                        const char *description, const struct stored_graph *stored, bool whole) {
    yyjson_val *document = NULL;
    jw_object(w);
    jw_key(w, "graph_id");
    jw_str(w, graph_id);
    write_text(w, "description", description);
    if (stored && json_parse(r->arena, stored->document, &document, NULL) < 0)
        document = NULL;
    if (stored)
        write_stored(w, stored, document);
    else
        write_own(w);
    if (whole) {
        jw_key(w, "document");
        jw_raw(w, stored ? stored->document : STR("null"));
    }
    jw_object_end(w);
}

static int by_id(const void *a, const void *b) {
    const struct graph_def *const *x = a, *const *y = b;
    return strcmp((*x)->id, (*y)->id);
}

int api_graph_list(struct api_request *r, struct err *err) {
    int64_t limit, offset;
    int rc = api_query_int(r, "limit", (struct body_range){1, LIST_MAX, 100}, &limit, err);
    if (rc == 0)
        rc = api_query_int(r, "offset", (struct body_range){0, INT32_MAX, 0}, &offset, err);
    if (rc < 0)
        return rc;
    struct registry *registry = engine_registry(r->engine);
    size_t count = registry_count(registry);
    const struct graph_def **list = ARENA_ARRAY(r->arena, const struct graph_def *, count + 1);
    for (size_t i = 0; i < count; i++)
        list[i] = registry_at(registry, i);
    qsort(list, count, sizeof(*list), by_id);
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = (size_t)offset; i < count && i < (size_t)(offset + limit); i++) {
        struct stored_graph stored;
        str id = str_of(list[i]->id);
        bool is_stored = graph_library_get(engine_library(r->engine), id, &stored);
        write_graph(r, &w, id, list[i]->description, is_stored ? &stored : NULL, false);
    }
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

static int reply_graph(struct api_request *r, str id, const struct stored_graph *stored) {
    const struct graph_def *g = registry_find(engine_registry(r->engine), id);
    struct json_writer w = api_json(r);
    write_graph(r, &w, id, g ? g->description : NULL, stored, true);
    return api_reply_json(r, 200);
}

int api_graph_get(struct api_request *r, struct err *err) {
    struct graph_library *library = engine_library(r->engine);
    struct stored_graph stored;
    str id = graph_param(r);
    int64_t version;
    int rc = api_query_int(r, "version", (struct body_range){1, INT32_MAX, 0}, &version, err);
    if (rc < 0)
        return rc;
    const struct graph_def *known = graph_library_find(library, id);
    if (version > 0) {
        rc = graph_version_get(r->store, id, version, r->arena, &stored, err);
        return rc < 0 ? rc : reply_graph(r, id, &stored);
    }
    bool is_stored = graph_library_get(library, id, &stored);
    if (!known && !is_stored)
        return err_set(err, ERR_NOT_FOUND, "Graph \"%.100s\" not found", arena_z(r->arena, id));
    return reply_graph(r, id, is_stored ? &stored : NULL);
}

static void write_faults(struct json_writer *w, const struct graph_faults *faults) {
    jw_key(w, "faults");
    jw_array(w);
    for (size_t i = 0; i < faults->count; i++) {
        jw_object(w);
        jw_key(w, "pointer");
        jw_str(w, faults->list[i].pointer);
        jw_key(w, "message");
        jw_str(w, faults->list[i].text);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static struct graph_faults *faults_new(struct api_request *r) {
    struct graph_faults *faults = ARENA_NEW(r->arena, struct graph_faults);
    faults->a = r->arena;
    return faults;
}

int api_graph_validate(struct api_request *r, struct err *err) {
    struct graph_faults *faults = faults_new(r);
    struct err found = {0};
    int rc = graph_library_check(engine_library(r->engine), STR_NULL, r->body, faults, &found);
    if (rc < 0 && faults->count == 0) {
        *err = found;
        return rc;
    }
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "valid");
    jw_bool(&w, rc == 0);
    write_faults(&w, faults);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_graph_put(struct api_request *r, struct err *err) {
    struct graph_faults *faults = faults_new(r);
    struct stored_graph stored;
    struct err found = {0};
    str id = graph_param(r);
    int rc =
        graph_library_put(engine_library(r->engine), &r->who, id, r->body, faults, &stored, &found);
    if (rc == 0)
        return reply_graph(r, id, &stored);
    if (faults->count == 0) {
        *err = found;
        return rc;
    }
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "detail");
    jw_z(&w, found.message);
    write_faults(&w, faults);
    jw_object_end(&w);
    return api_reply_json(r, 422);
}

int api_graph_delete(struct api_request *r, struct err *err) {
    int rc =
        graph_library_delete(engine_library(r->engine), &r->who, graph_param(r), r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
