/* SPDX-License-Identifier: Apache-2.0 */
/* thread_state.c - the handlers that read states: the newest, one by id, and the history.
 *
 * A state is a checkpoint's row, the values it refers to, and what its tasks wrote. The thread is
 * looked up first, with the principal: whoever may not see it gets the 404 of a thread that does
 * not exist. Each state of a history is loaded into memory that is used again and written at once.
 * The newest state is shown as it stands now; others as their step began. */
#include "api/api_int.h"
#include "engine/inspect.h"
#include "store/checkpoint_ahead.h"

#define HISTORY_LIMIT_DEFAULT 10
#define SUBGRAPH_DEPTH_MAX    16
#define SELECT_MAX            64

/* How states are written. */
struct state_view {
    str graph_id; /* of the thread; absent: none */
    bool live, subgraphs;
    unsigned fields; /* of the state */
    str *select;     /* names of values; none: all */
    size_t select_count;
};

static str graph_of(struct api_request *r, const struct thread *t) {
    yyjson_val *metadata;
    if (json_parse(r->arena, t->metadata, &metadata, NULL) < 0)
        return STR_NULL;
    return json_str(json_get(metadata, "graph_id"));
}

static int write_state(struct api_request *r, struct json_writer *w, struct arena *a,
                       struct checkpoint *c, const struct state_view *view, int depth,
                       struct err *err);

/* The newest state of a task's subgraph; null when it has none. */
static int write_subgraph(struct api_request *r, struct json_writer *w, struct arena *a,
                          const struct checkpoint *parent, yyjson_val *at,
                          const struct state_view *view, int depth, struct err *err) {
    struct checkpoint c;
    int rc = checkpoint_get(r->store, parent->thread_id, json_str(json_get(at, "checkpoint_ns")),
                            ID_NIL, a, &c, err);
    if (rc == 0)
        return write_state(r, w, a, &c, view, depth + 1, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    err_reset(err);
    jw_null(w);
    return 0;
}

/* With the states of subgraphs in the tasks, instead of where they are. */
static int nest(struct api_request *r, struct arena *a, const struct checkpoint *c, str *tasks,
                const struct state_view *view, int depth, struct err *err) {
    yyjson_val *list, *task, *key, *value;
    size_t i, k, n, m;
    struct buf b;
    int rc = json_parse(a, *tasks, &list, err);
    if (rc < 0)
        return rc;
    buf_init(&b, API_STATE_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_arr_foreach(list, i, n, task) {
        yyjson_val *at = json_get(task, "checkpoint");
        jw_object(&w);
        yyjson_obj_foreach(task, k, m, key, value) {
            jw_key_str(&w, json_str(key));
            if (!yyjson_is_obj(at) || rc < 0)
                jw_val(&w, value);
            else if (str_eq(json_str(key), STR("state")))
                rc = write_subgraph(r, &w, a, c, at, view, depth, err);
            else if (str_eq(json_str(key), STR("checkpoint")))
                jw_null(&w);
            else
                jw_val(&w, value);
        }
        jw_object_end(&w);
    }
    jw_array_end(&w);
    if (rc == 0)
        *tasks = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return rc;
}

static str selected(struct arena *a, str values, const struct state_view *view) {
    yyjson_val *root, *key, *value;
    size_t i, n;
    struct buf b;
    if (!view->select_count || json_parse(a, values, &root, NULL) < 0)
        return values;
    buf_init(&b, API_STATE_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(root, i, n, key, value) {
        for (size_t k = 0; k < view->select_count; k++) {
            if (!str_eq(json_str(key), view->select[k]))
                continue;
            jw_key_str(&w, json_str(key));
            jw_val(&w, value);
            break;
        }
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

static int write_state(struct api_request *r, struct json_writer *w, struct arena *a,
                       struct checkpoint *c, const struct state_view *view, int depth,
                       struct err *err) {
    struct state_shown shown;
    int rc = engine_state_show(r->engine, c, view->graph_id, view->live, a, &shown, err);
    if (rc == 0 && view->subgraphs && depth < SUBGRAPH_DEPTH_MAX &&
        !str_eq(shown.tasks, STR("[]")))
        rc = nest(r, a, c, &shown.tasks, view, depth, err);
    if (rc < 0)
        return rc;
    c->next = shown.next;
    c->tasks = shown.tasks;
    unsigned fields = depth == 0 ? view->fields : API_STATE_ALL;
    api_write_state(w, a, c, depth == 0 ? selected(a, shown.values, view) : shown.values, fields);
    return buf_ok(&r->out) ? 0 : ERR_TOO_LARGE;
}

static int reply_state(struct api_request *r, struct checkpoint *c, const struct state_view *view,
                       struct err *err) {
    struct arena scratch;
    arena_init(&scratch, API_STATE_BYTES_MAX);
    struct json_writer w = api_json(r);
    int rc = write_state(r, &w, &scratch, c, view, 0, err);
    arena_deinit(&scratch);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

/* What is shown of the state: "next" a member, "values.name" one of the values. */
static int select_names(struct state_view *view, const str *names, size_t count, struct arena *a,
                        struct err *err) {
    unsigned fields = 0;
    bool whole = false;
    if (count > SELECT_MAX)
        return err_set(err, ERR_INVALID, "select: at most %d", SELECT_MAX);
    view->select = ARENA_ARRAY(a, str, count + 1);
    view->select_count = 0;
    for (size_t i = 0; i < count; i++) {
        int field = API_STATE_VALUES;
        bool of_values = str_starts(names[i], STR("values."));
        if (of_values)
            view->select[view->select_count++] = str_slice(names[i], 7, names[i].len);
        else if (!word_parse(&API_STATE_FIELDS, names[i], &field))
            return err_set(err, ERR_INVALID, "select: unknown field " STR_FMT,
                           STR_ARG(str_slice(names[i], 0, 40)));
        whole = whole || (!of_values && field == API_STATE_VALUES);
        fields |= 1u << field;
    }
    if (whole)
        view->select_count = 0;
    view->fields = fields ? fields : API_STATE_ALL;
    return 0;
}

static int select_read(struct api_request *r, struct state_view *view, struct err *err) {
    str *names;
    size_t count;
    int rc = http_query_list(r->arena, &r->query, "select", true, &names, &count, err);
    return rc < 0 ? rc : select_names(view, names, count, r->arena, err);
}

/* Of a body; without it what the query said stays. */
static int select_of_body(struct api_request *r, yyjson_val *list, struct state_view *view,
                          struct err *err) {
    size_t i, n, count = yyjson_arr_size(list);
    yyjson_val *name;
    if (count == 0)
        return 0;
    str *names = ARENA_ARRAY(r->arena, str, count);
    yyjson_arr_foreach(list, i, n, name) names[i] = json_str(name);
    return select_names(view, names, count, r->arena, err);
}

static int view_of(struct api_request *r, struct thread *t, struct state_view *view,
                   struct err *err) {
    int rc = api_param_thread(r, t, err);
    if (rc < 0)
        return rc;
    *view = (struct state_view){.graph_id = graph_of(r, t),
                                .subgraphs = http_query_bool(&r->query, "subgraphs", false)};
    return select_read(r, view, err);
}

int api_thread_state(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c;
    struct state_view view;
    struct id id;
    struct checkpoint_ahead ahead = {0};
    /* The newest state does not depend on the thread's row. Whether it may be shown does. */
    if (api_param_thread_id(r, &id, NULL) == 0)
        checkpoint_ahead_ask(&ahead, r->store, fiber_rt(), id, r->arena);
    int rc = view_of(r, &t, &view, err);
    checkpoint_ahead_wait(&ahead);
    if (rc < 0)
        return rc;
    view.live = true;
    rc = ERR_NOT_FOUND;
    if (ahead.asked) {
        rc = ahead.rc;
        c = ahead.c;
        if (rc < 0)
            *err = ahead.err;
    } else if (!id_is_nil(t.checkpoint_id) || r->store->layout == CHECKPOINTS_LANGGRAPH) {
        rc = checkpoint_head(r->store, t.id, t.checkpoint_id, r->arena, &c, err);
    }
    if (rc == ERR_NOT_FOUND) {
        struct json_writer w = api_json(r);
        err_reset(err);
        api_write_state(&w, r->arena, NULL, STR_NULL, view.fields);
        return api_reply_json(r, 200);
    }
    return rc < 0 ? rc : reply_state(r, &c, &view, err);
}

int api_thread_state_at(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c;
    struct id id;
    struct state_view view;
    int rc = view_of(r, &t, &view, err);
    if (rc == 0)
        rc = api_param_id(r, 1, &id, err, "Checkpoint not found");
    if (rc == 0 && id_is_nil(id))
        rc = err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
    if (rc == 0)
        rc = checkpoint_get(r->store, t.id, STR(""), id, r->arena, &c, err);
    return rc < 0 ? rc : reply_state(r, &c, &view, err);
}

struct id api_checkpoint_id_read(struct body *b, const char *key) {
    struct id id = ID_NIL;
    yyjson_val *v = body_get(b, key);
    yyjson_val *inner = json_get(v, "configurable");
    if (yyjson_is_obj(v))
        v = json_get(inner ? inner : v, "checkpoint_id");
    if (v && !yyjson_is_null(v) && !id_parse(json_str(v), &id))
        body_fault(b, key, "must name a checkpoint");
    return id;
}

str api_checkpoint_ns_read(struct body *b) {
    str ns = json_str(json_get(body_object_val(b, "checkpoint"), "checkpoint_ns"));
    return ns.p ? ns : STR("");
}

int api_thread_state_checkpoint(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c;
    struct body b;
    struct state_view view;
    int rc = view_of(r, &t, &view, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    if (!body_get(&b, "checkpoint"))
        body_fault(&b, "checkpoint", "is required");
    struct id id = api_checkpoint_id_read(&b, "checkpoint");
    str ns = api_checkpoint_ns_read(&b);
    view.subgraphs = body_bool(&b, "subgraphs", view.subgraphs);
    view.live = id_is_nil(id);
    yyjson_val *select = body_str_array(&b, "select");
    rc = body_done(&b, err);
    if (rc == 0)
        rc = select_of_body(r, select, &view, err);
    if (rc == 0)
        rc = checkpoint_get(r->store, t.id, ns, id, r->arena, &c, err);
    if (rc == ERR_NOT_FOUND && id_is_nil(id)) {
        struct json_writer w = api_json(r);
        err_reset(err);
        api_write_state(&w, r->arena, NULL, STR_NULL, view.fields);
        return api_reply_json(r, 200);
    }
    return rc < 0 ? rc : reply_state(r, &c, &view, err);
}

/* --- history --- */

struct history {
    str name_space, metadata;
    struct id before, only; /* nil: none */
    int64_t limit;
    yyjson_val *select;
};

static struct id id_after(struct id id) {
    for (size_t i = sizeof(id.b); i-- > 0 && ++id.b[i] == 0;)
        ;
    return id;
}

/* As the savers do: a checkpoint that is named is the only one, when it is older than `before` and
 * has the metadata. */
static int list_only(struct api_request *r, const struct thread *t, const struct history *h,
                     struct checkpoint **out, size_t *out_count, struct err *err) {
    *out_count = 0;
    if (!id_is_nil(h->before) && memcmp(h->only.b, h->before.b, sizeof(h->only.b)) >= 0)
        return 0;
    int rc = checkpoint_list(r->store, t->id, h->name_space, id_after(h->only), h->metadata, 1,
                             r->arena, out, out_count, err);
    if (rc == 0 && *out_count == 1 && !id_eq((*out)[0].id, h->only))
        *out_count = 0;
    return rc;
}

static int reply_history(struct api_request *r, const struct history *h, struct err *err) {
    struct thread t;
    struct checkpoint *list;
    size_t count, i;
    struct state_view view;
    int rc = view_of(r, &t, &view, err);
    if (rc == 0)
        rc = select_of_body(r, h->select, &view, err);
    if (rc == 0 && !id_is_nil(h->only))
        rc = list_only(r, &t, h, &list, &count, err);
    else if (rc == 0)
        rc = checkpoint_list(r->store, t.id, h->name_space, h->before, h->metadata, h->limit,
                             r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct arena scratch;
    arena_init(&scratch, API_STATE_BYTES_MAX);
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (i = 0; rc == 0 && i < count; i++) {
        arena_reset(&scratch);
        rc = write_state(r, &w, &scratch, &list[i], &view, 0, err);
    }
    jw_array_end(&w);
    arena_deinit(&scratch);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

int api_thread_history(struct api_request *r, struct err *err) {
    struct history h = {.name_space = STR(""), .metadata = STR_NULL};
    struct body_range limits = {1, 1000, HISTORY_LIMIT_DEFAULT};
    int rc = api_query_int(r, "limit", limits, &h.limit, err);
    if (rc < 0)
        return rc;
    str before = http_query_get(&r->query, "before");
    if (before.len > 0 && !id_parse(before, &h.before))
        return err_set(err, ERR_INVALID, "before: must be the id of a checkpoint");
    return reply_history(r, &h, err);
}

int api_thread_history_search(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct body_range limits = {1, 1000, 1}; /* the reference's; clients send theirs */
    struct history h = {
        .metadata = api_filter_read(&b, "metadata"),
        .before = api_checkpoint_id_read(&b, "before"),
        .only = api_checkpoint_id_read(&b, "checkpoint"),
        .limit = body_int(&b, "limit", limits),
        .select = body_str_array(&b, "select"),
    };
    h.name_space = api_checkpoint_ns_read(&b);
    int rc = body_done(&b, err);
    return rc < 0 ? rc : reply_history(r, &h, err);
}
