/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - graphs by id and the cache of their compiled forms.
 *
 * Graphs come and go while runs use them: who needs one holds a reference. The key is graph id, a
 * NUL, the canonical JSON of the configuration that compile() may see, and which definition it is:
 * secrets (names that end in key, token, secret, password … at any depth), the server's runtime
 * keys, identity and request headers are left out, so two users with the same settings share an
 * entry and no entry holds anything of either. While an entry is being built the others of that key
 * wait for its outcome; a failed build is not kept. */
#include "engine/registry.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "engine/runner.h"

struct entry {
    struct list node; /* oldest first */
    str key;
    struct compiled_graph *graph; /* NULL while it is built */
    int64_t expires_us;
    bool building, dead; /* dead: out of the map, freed by its builder */
    int rc;
    struct err err;
    struct fiber_event built;
    int waiters;
};
struct registry {
    struct graph_services services;
    struct registry_options o;
    VEC(const struct graph_def *) graphs;
    struct map entries;
    struct list order;
    struct metric *hits, *misses, *size, *build_seconds;
};

struct registry *registry_new(const struct graph_services *services,
                              const struct registry_options *o) {
    struct registry *r = NEW(struct registry);
    r->services = *services;
    r->o = *o;
    map_init(&r->entries);
    list_init(&r->order);
    r->hits = metric_counter("holdfast_graph_cache_hits_total", "Compiled graphs reused", NULL);
    r->misses = metric_counter("holdfast_graph_cache_misses_total", "Compiled graphs built", NULL);
    r->size = metric_gauge("holdfast_graph_cache_entries", "Compiled graphs kept", NULL);
    r->build_seconds =
        metric_histogram("holdfast_graph_build_seconds", "Time to build a graph", NULL);
    return r;
}

void compiled_graph_ref(struct compiled_graph *g) { g->refs++; }

void compiled_graph_unref(struct compiled_graph *g) {
    ASSERT(g->refs > 0);
    if (--g->refs > 0)
        return;
    graph_runner_of(g->def)->free_compiled(g->def, g->object);
    graph_def_unref(g->def);
    mem_free(g);
}

static void entry_free(struct entry *e) {
    if (e->graph)
        compiled_graph_unref(e->graph);
    mem_free((char *)(uintptr_t)e->key.p);
    mem_free(e);
}

static void entry_drop(struct registry *r, struct entry *e) {
    map_remove(&r->entries, e->key);
    list_remove(&e->node);
    metric_set(r->size, (int64_t)r->entries.count);
    e->dead = true;
    if (!e->building && e->waiters == 0)
        entry_free(e);
}

void registry_invalidate(struct registry *r) {
    LIST_EACH (&r->order, n)
        entry_drop(r, LIST_ENTRY(n, struct entry, node));
}

void registry_free(struct registry *r) {
    if (!r)
        return;
    registry_invalidate(r);
    map_deinit(&r->entries);
    for (size_t i = 0; i < r->graphs.count; i++)
        graph_def_unref(r->graphs.p[i]);
    vec_deinit(&r->graphs);
    mem_free(r);
}

static ptrdiff_t index_of(const struct registry *r, str graph_id) {
    for (size_t i = 0; i < r->graphs.count; i++)
        if (str_eq(str_of(r->graphs.p[i]->id), graph_id))
            return (ptrdiff_t)i;
    return -1;
}

static void drop_compiled(struct registry *r, str graph_id) {
    for (struct list *n = r->order.next, *next; n != &r->order; n = next) {
        struct entry *e = LIST_ENTRY(n, struct entry, node);
        next = n->next;
        if (e->key.len > graph_id.len && str_starts(e->key, graph_id) &&
            e->key.p[graph_id.len] == '\0')
            entry_drop(r, e);
    }
}

void registry_add(struct registry *r, const struct graph_def *def) {
    ptrdiff_t at = index_of(r, str_of(def->id));
    graph_def_ref(def);
    if (at < 0) {
        vec_push(&r->graphs, def);
        return;
    }
    const struct graph_def *old = r->graphs.p[at];
    drop_compiled(r, str_of(old->id));
    r->graphs.p[at] = def;
    graph_def_unref(old);
}

bool registry_remove(struct registry *r, str graph_id) {
    ptrdiff_t at = index_of(r, graph_id);
    if (at < 0)
        return false;
    const struct graph_def *old = r->graphs.p[at];
    drop_compiled(r, graph_id);
    memmove(&r->graphs.p[at], &r->graphs.p[at + 1],
            (r->graphs.count - (size_t)at - 1) * sizeof(*r->graphs.p));
    r->graphs.count--;
    graph_def_unref(old);
    return true;
}

const struct graph_def *registry_find(const struct registry *r, str graph_id) {
    ptrdiff_t at = index_of(r, graph_id);
    return at < 0 ? NULL : r->graphs.p[at];
}

size_t registry_count(const struct registry *r) { return r->graphs.count; }

const struct graph_def *registry_at(const struct registry *r, size_t index) {
    ASSERT(index < r->graphs.count);
    return r->graphs.p[index];
}

/* --- the key --- */

static bool ends_in(str key, const char *word) {
    str w = str_of(word);
    return key.len >= w.len && str_ieq(str_slice(key, key.len - w.len, key.len), w);
}

/* "tokens" is none: max_tokens. */
static bool is_secret(str key) {
    static const char *const secret[] = {"key",           "token", "secret",  "password",
                                         "authorization", "keys",  "secrets", "passwords",
                                         "credentials",   "cookie"};
    for (size_t i = 0; i < ARRAY_COUNT(secret); i++)
        if (ends_in(key, secret[i]))
            return true;
    return false;
}

/* May compile() see this member of configurable? */
static bool visible(str key) {
    static const char *const runtime[] = {
        "run_id",     "thread_id",     "graph_id",      "assistant_id",   "user_id",    "owner",
        "user-agent", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "preferences"};
    for (size_t i = 0; i < ARRAY_COUNT(runtime); i++)
        if (str_eq(key, str_of(runtime[i])))
            return false;
    return !is_secret(key) && !str_starts(key, STR("x-")) &&
           !str_starts(key, STR("langgraph_auth_")) && !str_starts(key, STR("__"));
}

/* Also inside: a server's headers in the middle of a configuration hold secrets like any other. */
static void write_visible(struct json_writer *w, yyjson_val *v, bool top) {
    size_t i, n;
    yyjson_val *key, *value;
    if (yyjson_is_obj(v)) {
        jw_object(w);
        yyjson_obj_foreach(v, i, n, key, value) {
            if (top ? !visible(json_str(key)) : is_secret(json_str(key)))
                continue;
            jw_key_str(w, json_str(key));
            write_visible(w, value, false);
        }
        jw_object_end(w);
    } else if (yyjson_is_arr(v)) {
        jw_array(w);
        yyjson_arr_foreach(v, i, n, value) { write_visible(w, value, false); }
        jw_array_end(w);
    } else {
        jw_val(w, v);
    }
}

static int visible_config(struct arena *a, yyjson_val *configurable, yyjson_val **out,
                          struct err *err) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    if (yyjson_is_obj(configurable))
        write_visible(&w, configurable, true);
    else
        jw_raw(&w, STR("{}"));
    str text = arena_take(a, &b);
    return json_parse(a, text, out, err);
}

static str key_of(struct arena *a, const struct graph_def *def, yyjson_val *config) {
    str canonical = json_canonical(a, config);
    size_t id_len = strlen(def->id) + 1; /* with its NUL, which no id contains */
    char *p = mem_alloc(id_len + canonical.len + sizeof(def));
    memcpy(p, def->id, id_len);
    memcpy(p + id_len, canonical.p, canonical.len);
    /* A run goes on with a definition that was replaced. */
    memcpy(p + id_len + canonical.len, &def, sizeof(def));
    return str_n(p, id_len + canonical.len + sizeof(def));
}

/* --- getting --- */

static int wait_for(struct entry *e, struct compiled_graph **out, struct err *err) {
    int rc = 0;
    e->waiters++;
    while (e->building && rc == 0)
        rc = fiber_event_wait(&e->built, FIBER_NO_DEADLINE);
    e->waiters--;
    if (rc == 0)
        rc = e->rc;
    if (rc == 0) {
        compiled_graph_ref(e->graph);
        *out = e->graph;
    } else if (e->rc < 0 && err) {
        *err = e->err;
    }
    if (e->dead && !e->building && e->waiters == 0)
        entry_free(e);
    return rc;
}

static int build(struct registry *r, struct entry *e, const struct graph_def *def,
                 yyjson_val *config, struct compiled_graph **out, struct err *err) {
    struct compiled_graph *g = NEW(struct compiled_graph);
    g->def = graph_def_ref(def);
    g->refs = 1;
    e->building = true;
    struct graph_config c = {.graph = def, .configurable = config};
    int64_t t0 = clock_mono_us();
    int rc = graph_runner_of(def)->compile(&r->services, &c, &g->object, &e->err);
    metric_observe_us(r->build_seconds, clock_mono_us() - t0);
    e->building = false;
    e->rc = rc;
    fiber_event_wake_all(&e->built);
    if (rc < 0) {
        graph_def_unref(g->def);
        mem_free(g);
        if (err)
            *err = e->err;
        if (!e->dead)
            entry_drop(r, e);
        else if (e->waiters == 0)
            entry_free(e);
        return rc;
    }
    e->graph = g;
    e->expires_us = clock_mono_us() + r->o.ttl_us;
    compiled_graph_ref(g);
    *out = g;
    if (e->dead && e->waiters == 0)
        entry_free(e);
    return 0;
}

int registry_compile(struct registry *r, const struct graph_def *def, yyjson_val *configurable,
                     struct compiled_graph **out, struct err *err) {
    struct arena a;
    yyjson_val *config;
    arena_init(&a, SIZE_MAX / 2);
    int rc = visible_config(&a, configurable, &config, err);
    if (rc < 0) {
        arena_deinit(&a);
        return rc;
    }
    str key = key_of(&a, def, config);
    struct entry *e = map_get(&r->entries, key);
    if (e && !e->building && e->expires_us <= clock_mono_us()) {
        entry_drop(r, e);
        e = NULL;
    }
    if (e) {
        metric_add(r->hits, 1);
        mem_free((char *)(uintptr_t)key.p);
        rc = wait_for(e, out, err);
        arena_deinit(&a);
        return rc;
    }
    metric_add(r->misses, 1);
    e = NEW(struct entry);
    e->key = key;
    fiber_event_init(&e->built);
    map_put(&r->entries, e->key, e);
    list_push_back(&r->order, &e->node);
    if (r->entries.count > r->o.entries_max)
        entry_drop(r, LIST_ENTRY(list_first(&r->order), struct entry, node));
    metric_set(r->size, (int64_t)r->entries.count);
    rc = build(r, e, def, config, out, err);
    arena_deinit(&a);
    return rc;
}
