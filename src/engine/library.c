/* SPDX-License-Identifier: Apache-2.0 */
/* library.c - registered graphs: from the database to the registry.
 *
 * An entry is a stored document and, when it could be built, a graph in the registry. A document
 * that cannot be built (its subgraph is gone, it was written for another version of the server) is
 * kept and tried again with every change; until then its name is unknown.
 *
 * Graphs never contain themselves: that is refused when a document is put, by the names of the
 * subgraphs. Two processes may still each put one half of a circle at the same moment; building
 * goes at most SUBGRAPH_DEPTH_MAX deep then. */
#include "engine/library.h"

#include "base/log.h"
#include "base/map.h"
#include "base/vec.h"
#include "store/assistants.h"

#define POLL_US            1000000
#define PAGE               50
#define SUBGRAPH_DEPTH_MAX 16
#define BUILD_BYTES_MAX    ((size_t)256 << 20)

struct library_entry {
    char *id, *owner, *document; /* heap */
    int64_t version, revision, created_at, updated_at;
};
struct graph_library {
    struct rt *rt;
    struct store *store;
    struct registry *registry;
    const struct graph_documents *documents;
    VEC(char *) own;    /* names of what comes with the server */
    struct map entries; /* id → struct library_entry */
    int64_t revision;
    bool poll, stop, polling, syncing;
    struct fiber_event wake, over, synced;
};

struct graph_library *graph_library_new(struct rt *rt, struct store *store, struct registry *r,
                                        const struct graph_documents *documents) {
    struct graph_library *l = NEW(struct graph_library);
    l->rt = rt;
    l->store = store;
    l->registry = r;
    l->documents = documents;
    map_init(&l->entries);
    fiber_event_init(&l->wake);
    fiber_event_init(&l->over);
    fiber_event_init(&l->synced);
    return l;
}

static void entry_free(struct library_entry *e) {
    if (!e)
        return;
    mem_free(e->id);
    mem_free(e->owner);
    mem_free(e->document);
    mem_free(e);
}

void graph_library_free(struct graph_library *l) {
    size_t at = 0;
    str key;
    void *e;
    if (!l)
        return;
    while (map_next(&l->entries, &at, &key, &e))
        entry_free(e);
    map_deinit(&l->entries);
    for (size_t i = 0; i < l->own.count; i++)
        mem_free(l->own.p[i]);
    vec_deinit(&l->own);
    mem_free(l);
}

static bool is_own(const struct graph_library *l, str id) {
    for (size_t i = 0; i < l->own.count; i++)
        if (str_eq(str_of(l->own.p[i]), id))
            return true;
    return false;
}

/* --- building --- */

static const struct graph_def *find(void *ctx, str id) {
    return registry_find(((struct graph_library *)ctx)->registry, id);
}

static int build(struct graph_library *l, yyjson_val *root, str id, struct graph_faults *faults,
                 const struct graph_def **out, struct err *err) {
    struct graph_finder finder = {find, l};
    return l->documents->build(root, id, &finder, faults, out, err);
}

static size_t subgraphs_of(struct graph_library *l, struct arena *a, const struct library_entry *e,
                           str *out) {
    yyjson_val *root;
    if (json_parse(a, str_of(e->document), &root, NULL) < 0)
        return 0;
    return l->documents->subgraphs(root, out, GRAPH_SUBGRAPHS_MAX);
}

static void entry_build(struct graph_library *l, const struct library_entry *e) {
    struct arena a;
    yyjson_val *root;
    const struct graph_def *g;
    struct err err = {0};
    arena_init(&a, BUILD_BYTES_MAX);
    struct graph_faults *faults = ARENA_NEW(&a, struct graph_faults);
    faults->a = &a;
    int rc = json_parse(&a, str_of(e->document), &root, &err);
    if (rc == 0)
        rc = build(l, root, str_of(e->id), faults, &g, &err);
    if (rc == 0) {
        registry_add(l->registry, g);
        graph_def_unref(g);
    } else {
        (void)registry_remove(l->registry, str_of(e->id));
        log_event(LOG_WARN, "graph.unusable", err.message, LOG_Z("graph_id", e->id));
    }
    arena_deinit(&a);
}

/* Makes those anew that have the graph as a subgraph, and those that have them. */
static void rebuild_users(struct graph_library *l, str id, int depth) {
    struct arena a;
    size_t at = 0;
    str key;
    void *value;
    if (depth == SUBGRAPH_DEPTH_MAX)
        return;
    arena_init(&a, BUILD_BYTES_MAX);
    while (map_next(&l->entries, &at, &key, &value)) {
        str names[GRAPH_SUBGRAPHS_MAX];
        size_t count = subgraphs_of(l, &a, value, names);
        bool uses = false;
        for (size_t i = 0; i < count; i++)
            uses = uses || str_eq(names[i], id);
        if (uses) {
            entry_build(l, value);
            rebuild_users(l, key, depth + 1);
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
}

/* Would a graph of this id be inside of what these names have as subgraphs? */
static bool contains(struct graph_library *l, struct arena *a, const str *names, size_t count,
                     str id, int depth) {
    for (size_t i = 0; i < count; i++) {
        str inner[GRAPH_SUBGRAPHS_MAX];
        const struct library_entry *e = map_get(&l->entries, names[i]);
        if (str_eq(names[i], id) || depth == SUBGRAPH_DEPTH_MAX)
            return true;
        if (e && contains(l, a, inner, subgraphs_of(l, a, e, inner), id, depth + 1))
            return true;
    }
    return false;
}

/* --- what is stored --- */

static char *heap_z(str s) {
    char *p = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return p;
}

static void entry_take(struct graph_library *l, const struct stored_graph *g) {
    struct library_entry *old = map_get(&l->entries, g->graph_id);
    if (is_own(l, g->graph_id) || (old && old->revision >= g->revision))
        return;
    if (old)
        entry_free(map_remove(&l->entries, g->graph_id));
    if (g->deleted) {
        (void)registry_remove(l->registry, g->graph_id);
    } else {
        struct library_entry *e = NEW(struct library_entry);
        *e = (struct library_entry){.version = g->version,
                                    .revision = g->revision,
                                    .created_at = g->created_at,
                                    .updated_at = g->updated_at};
        e->id = heap_z(g->graph_id);
        e->owner = heap_z(g->owner);
        e->document = heap_z(g->document);
        map_put(&l->entries, str_of(e->id), e);
        entry_build(l, e);
    }
    rebuild_users(l, g->graph_id, 0);
}

static int sync_pages(struct graph_library *l, struct err *err) {
    for (;;) {
        struct arena a;
        struct stored_graph *list;
        size_t count = 0;
        arena_init(&a, SIZE_MAX / 2);
        int rc = graph_since(l->store, l->revision, PAGE, &a, &list, &count, err);
        for (size_t i = 0; i < count && rc == 0; i++) {
            entry_take(l, &list[i]);
            l->revision = list[i].revision;
        }
        arena_deinit(&a);
        if (rc < 0 || count < PAGE)
            return rc;
    }
}

int graph_library_sync(struct graph_library *l, struct err *err) {
    while (l->syncing) {
        int rc = fiber_event_wait(&l->synced, FIBER_NO_DEADLINE);
        if (rc < 0)
            return rc;
    }
    l->syncing = true;
    int rc = sync_pages(l, err);
    l->syncing = false;
    fiber_event_wake_all(&l->synced);
    return rc;
}

static void poll_fiber(void *arg) {
    struct graph_library *l = arg;
    bool well = true;
    while (!l->stop) {
        struct err err = {0};
        (void)fiber_event_wait(&l->wake, rt_mono_us(l->rt) + POLL_US); /* the time is the reason */
        if (l->stop)
            break;
        int rc = graph_library_sync(l, &err);
        if (rc < 0 && well)
            log_event(LOG_WARN, "graph.sync.failed", err.message, LOG_Z("code", err_name(rc)));
        well = rc == 0;
    }
    l->polling = false;
    fiber_event_wake_all(&l->over);
}

int graph_library_start(struct graph_library *l, bool poll, struct err *err) {
    for (size_t i = 0; i < registry_count(l->registry); i++) {
        const char *id = registry_at(l->registry, i)->id;
        vec_push(&l->own, mem_strdup(id));
    }
    if (!l->documents)
        return 0;
    int rc = graph_library_sync(l, err);
    if (rc == 0 && poll) {
        l->polling = fiber_spawn(l->rt, "graph.library", poll_fiber, l, err) != NULL;
        rc = l->polling ? 0 : ERR_LIMIT;
    }
    return rc;
}

void graph_library_stop(struct graph_library *l) {
    l->stop = true;
    fiber_event_wake_all(&l->wake);
    while (l->polling)
        if (fiber_event_wait(&l->over, FIBER_NO_DEADLINE) < 0)
            return; /* the drain itself was cut off */
}

const struct graph_def *graph_library_find(struct graph_library *l, str graph_id) {
    const struct graph_def *g = registry_find(l->registry, graph_id);
    struct err err;
    if (g || !l->documents || !l->polling || !l->documents->name_is_valid(graph_id))
        return g;
    if (graph_library_sync(l, &err) < 0)
        return NULL; /* the poll reports it */
    return registry_find(l->registry, graph_id);
}

/* --- changing --- */

static int may_be_put(const struct graph_library *l, str id, struct err *err) {
    if (!l->documents)
        return err_set(err, ERR_UNSUPPORTED, "this server takes no graphs");
    if (id.p && !l->documents->name_is_valid(id))
        return err_set(err, ERR_INVALID,
                       "graph_id: must be letters, digits, _ and -, beginning with a letter");
    if (id.p && is_own(l, id))
        return err_set(err, ERR_EXISTS, "the graph \"%.*s\" comes with the server", STR_ARG(id));
    return 0;
}

int graph_library_check(struct graph_library *l, str graph_id, yyjson_val *document,
                        struct graph_faults *faults, struct err *err) {
    const struct graph_def *g;
    str id = graph_id.p ? graph_id : json_str(json_get(document, "id"));
    str names[GRAPH_SUBGRAPHS_MAX];
    faults->count = 0;
    int rc = may_be_put(l, graph_id, err);
    if (rc == 0)
        rc = build(l, document, graph_id, faults, &g, err);
    if (rc < 0)
        return rc;
    graph_def_unref(g);
    size_t count = l->documents->subgraphs(document, names, GRAPH_SUBGRAPHS_MAX);
    if (contains(l, faults->a, names, count, id, 0)) {
        faults->list[0] =
            (struct graph_fault){STR("/nodes"), STR("a graph must not contain itself")};
        faults->count = 1;
        return err_set(err, ERR_INVALID, "/nodes: a graph must not contain itself");
    }
    return 0;
}

int graph_library_put(struct graph_library *l, const struct principal *who, str graph_id,
                      yyjson_val *document, struct graph_faults *faults, struct stored_graph *out,
                      struct err *err) {
    struct stored_graph stored;
    int rc = graph_library_check(l, graph_id, document, faults, err);
    if (rc == 0)
        rc = graph_put(l->store, who, graph_id, json_text(faults->a, document), faults->a, &stored,
                       err);
    if (rc < 0)
        return rc;
    const char *id = arena_z(faults->a, graph_id);
    rc = assistant_seed(l->store, &id, 1, faults->a, err);
    if (rc == 0)
        rc = graph_library_sync(l, err);
    if (rc == 0)
        *out = stored;
    return rc;
}

int graph_library_delete(struct graph_library *l, const struct principal *who, str graph_id,
                         struct arena *a, struct err *err) {
    struct principal server = {.all = true};
    int rc = may_be_put(l, graph_id, err);
    if (rc == 0)
        rc = graph_delete(l->store, who, graph_id, a, err);
    if (rc < 0)
        return rc;
    rc = assistant_delete(l->store, &server, assistant_id_of_graph(graph_id), false, a, err);
    if (rc < 0 && rc != ERR_NOT_FOUND) /* somebody deleted it before */
        return rc;
    return graph_library_sync(l, err);
}

bool graph_library_get(const struct graph_library *l, str graph_id, struct stored_graph *out) {
    const struct library_entry *e = map_get(&l->entries, graph_id);
    if (!e)
        return false;
    *out = (struct stored_graph){.graph_id = str_of(e->id),
                                 .owner = str_of(e->owner),
                                 .document = str_of(e->document),
                                 .version = e->version,
                                 .revision = e->revision,
                                 .created_at = e->created_at,
                                 .updated_at = e->updated_at};
    return true;
}
