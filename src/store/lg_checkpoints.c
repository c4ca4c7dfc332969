/* SPDX-License-Identifier: Apache-2.0 */
/* lg_checkpoints.c - reading LangGraph's checkpoint tables.
 *
 * One statement brings a checkpoint, its blobs and, of what others wrote, the writes that wait for
 * the next one (interrupts, errors, results of tasks whose siblings have not finished): rows of
 * three kinds, see sql/postgres/lg_checkpoints.sql. A page brings the blobs of all its checkpoints,
 * each once; a long page leaves them out, and each state fetches its own.
 *
 * Everything here was written by other programs: what has another form than expected counts as
 * absent, and only a value that cannot be shown is an error. */
#include "store/lg_checkpoints.h"

#include "base/clock.h"
#include "model/lg_value.h"
#include "store/lg_delta.h"
#include "store/saved_rows.h"

#define PAGE_WITH_VALUES_MAX 32
#define BRANCH               "branch:to:"

enum row_kind { ROW_CHECKPOINT, ROW_BLOB, ROW_WRITE };

static str key_str(yyjson_val *key) { return str_n(yyjson_get_str(key), yyjson_get_len(key)); }

/* --- rows to checkpoints --- */

static struct id id_of(str text) {
    struct id id;
    return text.p && id_parse(text, &id) ? id : ID_NIL;
}

static int checkpoint_from_row(const struct db_rows *r, size_t row, struct id thread_id,
                               str name_space, struct arena *a, struct checkpoint *out,
                               struct err *err) {
    yyjson_val *root, *metadata;
    if (json_parse(a, db_str(r, row, 2), &root, err) < 0 ||
        json_parse(a, db_str(r, row, 3), &metadata, err) < 0)
        return err_set(err, ERR_CORRUPT, "a checkpoint cannot be read");
    struct lg_row *lg = ARENA_NEW(a, struct lg_row);
    *lg = (struct lg_row){.root = root, .id = db_str(r, row, 1)};
    yyjson_val *own = json_get(root, "holdfast"), *step = json_get(metadata, "step");
    yyjson_val *next = json_get(own, "next"), *tasks = json_get(own, "tasks");
    str source = json_str(json_get(metadata, "source"));
    *out = (struct checkpoint){
        .thread_id = thread_id,
        .name_space = name_space,
        .id = id_of(lg->id),
        .parent_id = id_of(db_str(r, row, 4)),
        .run_id = id_of(json_str(json_get(metadata, "run_id"))),
        .step = yyjson_is_int(step) ? yyjson_get_int(step) : -1,
        .source = source.p ? source : STR("loop"),
        .channels = STR("{}"),
        .next = yyjson_is_arr(next) ? json_text(a, next) : STR("[]"),
        .tasks = yyjson_is_arr(tasks) ? json_text(a, tasks) : STR("[]"),
        .metadata = yyjson_is_obj(metadata) ? db_str(r, row, 3) : STR("{}"),
        .lg = lg,
    };
    str ts = json_str(json_get(root, "ts"));
    if (!ts.p || !time_parse_iso(ts, &out->created_at))
        out->created_at = 0;
    return id_is_nil(out->id) ? err_set(err, ERR_CORRUPT, "a checkpoint's id is no UUID") : 0;
}

static void keep_rows(struct arena *a, const struct db_rows *rows, struct checkpoint *list,
                      size_t count) {
    struct db_rows *kept = ARENA_NEW(a, struct db_rows);
    *kept = *rows;
    for (size_t i = 0; i < count; i++)
        list[i].lg->rows = kept;
}

static int from_rows(const struct db_rows *rows, struct id thread_id, str name_space,
                     struct arena *a, struct checkpoint **out, size_t *out_count,
                     struct err *err) {
    size_t count = 0;
    struct checkpoint *list = ARENA_ARRAY(a, struct checkpoint, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++) {
        if (db_int(rows, i, 0) != ROW_CHECKPOINT)
            continue;
        int rc = checkpoint_from_row(rows, i, thread_id, name_space, a, &list[count++], err);
        if (rc < 0)
            return rc;
    }
    *out = list;
    *out_count = count;
    return 0;
}

static int read_one(struct store *s, struct id thread_id, str name_space, struct id id,
                    struct arena *a, struct db_rows *out, struct err *err) {
    if (id_is_nil(id))
        return db_read(s->db, SQL_LG_CHECKPOINT_NEWEST,
                       DB_PARAMS(DB_UUID(thread_id), DB_T(name_space)), a, out, err);
    return db_read(s->db, SQL_LG_CHECKPOINT_GET,
                   DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), DB_UUID(id)), a, out, err);
}

int lg_checkpoint_get(struct store *s, struct id thread_id, str name_space, struct id id,
                      struct arena *a, struct checkpoint *out, struct err *err) {
    struct db_rows rows;
    struct checkpoint *list;
    size_t count;
    int rc = read_one(s, thread_id, name_space, id, a, &rows, err);
    if (rc == 0)
        rc = from_rows(&rows, thread_id, name_space, a, &list, &count, err);
    if (rc < 0)
        return rc;
    if (count > 0) {
        keep_rows(a, &rows, list, count);
        *out = list[0];
        out->lg->newest = id_is_nil(id);
        return 0;
    }
    if (name_space.len == 0) {
        rc = lg_legacy_list(s, thread_id, id_is_nil(id) ? 1 : 1000, a, &list, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            if (!id_is_nil(id) && !id_eq(id, list[i].id))
                continue;
            *out = list[i];
            return 0;
        }
    }
    return rc < 0 ? rc : err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
}

int lg_checkpoint_list(struct store *s, struct id thread_id, str name_space, struct id before,
                       str metadata, int64_t limit, struct arena *a, struct checkpoint **out,
                       size_t *out_count, struct err *err) {
    struct db_rows rows;
    bool values = limit <= PAGE_WITH_VALUES_MAX;
    /* 'g' follows every digit. */
    str bound = id_is_nil(before) ? STR("g") : id_dashed(a, before);
    str part = metadata.p ? metadata : STR("{}");
    int rc;
    for (;; values = false) {
        rc = db_read(s->db, SQL_LG_CHECKPOINT_PAGE,
                     DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), DB_T(bound), DB_T(part),
                               DB_I(limit), DB_I(values)),
                     a, &rows, err);
        if (rc != ERR_TOO_LARGE || !values)
            break;
        err_reset(err);
    }
    if (rc == 0)
        rc = from_rows(&rows, thread_id, name_space, a, out, out_count, err);
    if (rc < 0)
        return rc;
    if (*out_count == 0 && id_is_nil(before) && name_space.len == 0 && !metadata.p)
        return lg_legacy_list(s, thread_id, limit, a, out, out_count, err);
    if (values)
        keep_rows(a, &rows, *out, *out_count);
    return 0;
}

/* --- values --- */

static yyjson_val *versions_of(const struct lg_row *lg) {
    yyjson_val *versions = json_get(lg->root, "channel_versions");
    return yyjson_is_obj(versions) ? versions : NULL;
}

str lg_version_text(struct arena *a, yyjson_val *version) {
    return yyjson_is_str(version) ? json_str(version) : json_text(a, version);
}

/* The row of the channel's blob, or -1. */
static ptrdiff_t blob_row(const struct db_rows *rows, str channel, str version) {
    for (size_t i = 0; i < rows->row_count; i++)
        if (db_int(rows, i, 0) == ROW_BLOB && str_eq(db_str(rows, i, 2), channel) &&
            str_eq(db_str(rows, i, 3), version))
            return (ptrdiff_t)i;
    return -1;
}

/* Absent: the channel has no value. */
static int read_channel(const struct checkpoint *c, str channel, yyjson_val *version,
                        struct arena *a, str *out, str *stored, struct err *err) {
    yyjson_val *inline_value = json_get_str(json_get(c->lg->root, "channel_values"), channel);
    *out = *stored = STR_NULL;
    if (str_eq(channel, STR("__pregel_tasks")) && c->lg->sends.p) {
        *out = c->lg->sends;
        return 0;
    }
    /* true may stand for a delta channel that was written whole. */
    bool marker = inline_value && yyjson_is_true(inline_value);
    ptrdiff_t row = inline_value && !marker
                        ? -1
                        : blob_row(c->lg->rows, channel, lg_version_text(a, version));
    if (row < 0 && inline_value)
        *out = json_text(a, inline_value);
    if (row < 0)
        return 0;
    str type = db_str(c->lg->rows, (size_t)row, 4), blob = db_str(c->lg->rows, (size_t)row, 5);
    int rc = lg_value_read(a, type, blob, out, err);
    if (rc < 0) {
        (void)err_context(err, "channel %.*s", (int)(channel.len < 60 ? channel.len : 60),
                          channel.p);
        return rc;
    }
    if (str_eq(type, STR("json")))
        *stored = blob;
    return 0;
}

/* Channels that a state shows, or that going on needs. */
static bool is_wanted(str channel) {
    return !checkpoint_is_hidden(channel) || str_eq(channel, STR("__pregel_tasks")) ||
           str_starts(channel, STR("join:"));
}

static int load_values(struct checkpoint *c, struct arena *a, struct err *err) {
    yyjson_val *versions = versions_of(c->lg), *key, *version;
    size_t i, count, n = 0;
    struct checkpoint_channel *values =
        ARENA_ARRAY(a, struct checkpoint_channel, yyjson_obj_size(versions) + 2);
    yyjson_obj_foreach(versions, i, count, key, version) {
        struct checkpoint_channel *v = &values[n];
        *v = (struct checkpoint_channel){.name = key_str(key), .whole = true};
        v->hidden = checkpoint_is_hidden(v->name);
        if (!is_wanted(v->name))
            continue;
        int rc = read_channel(c, v->name, version, a, &v->value, &v->stored, err);
        if (rc < 0 && v->hidden)
            continue; /* others' own: it says only what is next */
        if (rc < 0)
            return rc;
        if (v->value.p)
            n++;
    }
    if (c->lg->sends.p && !json_get(versions, "__pregel_tasks"))
        values[n++] = (struct checkpoint_channel){.name = STR("__pregel_tasks"),
                                                  .whole = true,
                                                  .hidden = true,
                                                  .made = true,
                                                  .value = c->lg->sends};
    c->values = values;
    c->value_count = n;
    return 0;
}

/* --- what is next, of checkpoints that others wrote --- */

struct plan {
    struct checkpoint *c;
    struct arena *a;
    struct json_writer next, tasks;
    uint8_t *taken; /* rows of writes whose task has been found */
    bool probing;   /* only looks whether ids as JavaScript makes them are there */
    bool by_id;     /* they are */
};
struct planned {
    str node, trigger;
    ptrdiff_t send; /* its number; -1: none */
};

/* The channel has a value that the node has not seen. */
static bool is_triggered(const struct checkpoint *c, str node, str channel, yyjson_val *version,
                         struct arena *a) {
    yyjson_val *seen =
        json_get_str(json_get_str(json_get(c->lg->root, "versions_seen"), node), channel);
    str value, stored;
    if (seen && yyjson_get_tag(seen) == yyjson_get_tag(version)) {
        if (yyjson_is_str(seen) ? str_cmp(json_str(version), json_str(seen)) <= 0
                                : yyjson_get_num(version) <= yyjson_get_num(seen))
            return false;
    }
    return read_channel(c, channel, version, a, &value, &stored,
                        NULL) == 0 &&
           value.p;
}

/* The id of a task as JavaScript makes it. */
static str script_task_id(const struct plan *p, const struct planned *t) {
    const struct checkpoint *c = p->c;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    jw_str(&w, c->name_space.len ? arena_printf(p->a, STR_FMT "|" STR_FMT, STR_ARG(c->name_space),
                                                STR_ARG(t->node))
                                 : t->node);
    jw_str(&w, arena_printf(p->a, "%d", c->step + 1));
    jw_str(&w, t->node);
    jw_z(&w, t->send < 0 ? "__pregel_pull" : "__pregel_push");
    if (t->send < 0) {
        jw_array(&w);
        jw_str(&w, t->trigger);
        jw_array_end(&w);
    } else {
        jw_str(&w, arena_printf(p->a, "%td", t->send));
    }
    jw_array_end(&w);
    str id = id_dashed(p->a, id_v5(c->id, buf_view(&b)));
    buf_deinit(&b);
    return id;
}

/* Python notes the node in the path of a task. JavaScript does not: then the id decides, or, of
 * versions that made it otherwise, the order. */
static bool path_fits(str path, str node) {
    if (path.len == 0)
        return true;
    ptrdiff_t at = str_find(path, STR("__pregel_pull, "));
    if (at < 0)
        return str_find(path, STR("__pregel_push")) >= 0;
    str rest = str_slice(path, (size_t)at + 15, path.len);
    return str_starts(rest, node) && (rest.len == node.len || rest.p[node.len] == ',');
}

static bool has_writes(const struct plan *p, str task) {
    const struct db_rows *r = p->c->lg->rows;
    for (size_t i = 0; i < r->row_count; i++)
        if (db_int(r, i, 0) == ROW_WRITE && str_eq(db_str(r, i, 1), p->c->lg->id) &&
            str_eq(db_str(r, i, 2), task))
            return true;
    return false;
}

/* Task id of the first waiting write that may be this node's; absent when there is none. */
static str take_task(struct plan *p, str node) {
    const struct db_rows *r = p->c->lg->rows;
    str task = STR_NULL;
    for (size_t i = 0; i < r->row_count; i++) {
        if (db_int(r, i, 0) != ROW_WRITE || !str_eq(db_str(r, i, 1), p->c->lg->id))
            continue;
        if (!task.p && !p->taken[i] && path_fits(db_str(r, i, 6), node))
            task = db_str(r, i, 2);
        if (task.p && str_eq(db_str(r, i, 2), task))
            p->taken[i] = 1;
    }
    return task;
}

/* Values of a special channel among the task's writes, as a list (interrupts) or one (error). */
static bool write_special(struct plan *p, str task, const char *channel, bool list) {
    const struct db_rows *r = p->c->lg->rows;
    bool any = false;
    for (size_t i = 0; task.p && i < r->row_count; i++) {
        str text;
        yyjson_val *v, *item;
        size_t k, count;
        if (db_int(r, i, 0) != ROW_WRITE || !str_eq(db_str(r, i, 2), task) ||
            !str_eq(db_str(r, i, 3), str_of(channel)) || (any && !list))
            continue;
        if (lg_value_read(p->a, db_str(r, i, 4), db_str(r, i, 5), &text, NULL) < 0 || !text.p ||
            json_parse(p->a, text, &v, NULL) < 0)
            continue;
        any = true;
        if (list && yyjson_is_arr(v)) {
            yyjson_arr_foreach(v, k, count, item) jw_val(&p->tasks, item);
        } else {
            jw_val(&p->tasks, v);
        }
    }
    return any;
}

/* Has it ended already, and waits for its siblings only? */
static bool has_ended(const struct plan *p, str task) {
    const struct db_rows *r = p->c->lg->rows;
    for (size_t i = 0; task.p && i < r->row_count; i++)
        if (db_int(r, i, 0) == ROW_WRITE && str_eq(db_str(r, i, 2), task) &&
            (!str_starts(db_str(r, i, 3), STR("__")) ||
             str_eq(db_str(r, i, 3), STR("__no_writes__")) ||
             str_eq(db_str(r, i, 3), STR("__pregel_tasks"))))
            return true;
    return false;
}

static void plan_task(struct plan *p, const struct planned *t) {
    str node = t->node, id = script_task_id(p, t);
    bool push = t->send >= 0;
    if (p->probing) {
        p->by_id = p->by_id || has_writes(p, id);
        return;
    }
    str task = p->by_id ? id : take_task(p, node);
    if (task.p)
        id = task;
    if (!p->c->lg->newest || !has_ended(p, task))
        jw_str(&p->next, node);
    if (str_eq(node, STR("__start__")))
        return;
    jw_object(&p->tasks);
    jw_key(&p->tasks, "id");
    jw_str(&p->tasks, id);
    jw_key(&p->tasks, "name");
    jw_str(&p->tasks, node);
    jw_key(&p->tasks, "path");
    jw_array(&p->tasks);
    jw_z(&p->tasks, push ? "__pregel_push" : "__pregel_pull");
    jw_str(&p->tasks, node);
    jw_array_end(&p->tasks);
    jw_key(&p->tasks, "error");
    if (!write_special(p, task, "__error__", false))
        jw_null(&p->tasks);
    jw_key(&p->tasks, "interrupts");
    jw_array(&p->tasks);
    (void)write_special(p, task, "__interrupt__", true);
    jw_array_end(&p->tasks);
    jw_key(&p->tasks, "checkpoint");
    jw_null(&p->tasks);
    jw_key(&p->tasks, "state");
    jw_null(&p->tasks);
    jw_key(&p->tasks, "result");
    jw_null(&p->tasks);
    jw_object_end(&p->tasks);
}

/* Sends: [node, argument] of Python, {"node","args"} of JavaScript. */
static void plan_sends(struct plan *p, yyjson_val *version) {
    str text, stored;
    yyjson_val *list, *send;
    size_t i, count;
    if (read_channel(p->c, STR("__pregel_tasks"), version, p->a, &text, &stored, NULL) < 0 ||
        !text.p || json_parse(p->a, text, &list, NULL) < 0)
        return;
    yyjson_arr_foreach(list, i, count, send) {
        str node = json_str(yyjson_is_arr(send) ? yyjson_arr_get_first(send)
                                                : json_get(send, "node"));
        if (node.p)
            plan_task(p, &(struct planned){node, STR("__pregel_push"), (ptrdiff_t)i});
    }
}

/* "join:A+B:NODE" waits for all of A and B; its value is the list of those that came. */
static bool join_node(const struct checkpoint *c, str channel, yyjson_val *version,
                      struct arena *a, str *node) {
    str rest = str_slice(channel, 5, channel.len), names, part, text, stored;
    yyjson_val *came;
    size_t wanted = 0;
    ptrdiff_t colon = -1;
    for (size_t i = 0; i < rest.len; i++)
        colon = rest.p[i] == ':' ? (ptrdiff_t)i : colon;
    if (colon < 0)
        return false;
    names = str_slice(rest, 0, (size_t)colon);
    *node = str_slice(rest, (size_t)colon + 1, rest.len);
    while (str_split_next(&names, '+', &part))
        wanted++;
    return is_triggered(c, *node, channel, version, a) &&
           read_channel(c, channel, version, a, &text, &stored,
                        NULL) == 0 &&
           text.p && json_parse(a, text, &came, NULL) == 0 && yyjson_arr_size(came) == wanted;
}

/* Before version 3: "start:NODE", "branch:FROM:CONDITION:NODE". */
static bool old_trigger(const struct checkpoint *c, str channel, str *node) {
    yyjson_val *version = json_get(c->lg->root, "v");
    size_t colons = 0, last = 0;
    for (size_t i = 0; i < channel.len; i++)
        if (channel.p[i] == ':') {
            colons++;
            last = i;
        }
    if (!yyjson_is_int(version) || yyjson_get_sint(version) >= 3 ||
        !((colons == 1 && str_starts(channel, STR("start:"))) ||
          (colons == 3 && str_starts(channel, STR("branch:")))))
        return false;
    *node = str_slice(channel, last + 1, channel.len);
    return true;
}

static void plan_next(struct plan *p) {
    yyjson_val *versions = versions_of(p->c->lg), *key, *version;
    size_t i, count;
    version = json_get(versions, "__pregel_tasks");
    if (version || p->c->lg->sends.p)
        plan_sends(p, version);
    yyjson_obj_foreach(versions, i, count, key, version) {
        str channel = key_str(key), node = channel;
        bool next = false;
        if (old_trigger(p->c, channel, &node)) {
            next = is_triggered(p->c, node, channel, version, p->a);
        } else if (str_starts(channel, STR(BRANCH))) {
            node = str_slice(channel, sizeof(BRANCH) - 1, channel.len);
            next = is_triggered(p->c, node, channel, version, p->a);
        } else if (str_starts(channel, STR("join:"))) {
            next = join_node(p->c, channel, version, p->a, &node);
        } else if (str_eq(channel, STR("__start__"))) {
            next = is_triggered(p->c, node, channel, version, p->a);
        }
        if (next)
            plan_task(p, &(struct planned){node, channel, -1});
    }
}

static int load_next(struct checkpoint *c, struct arena *a, struct err *err) {
    struct buf next, tasks;
    buf_init(&next, LG_BYTES_MAX);
    buf_init(&tasks, LG_BYTES_MAX);
    struct plan p = {.c = c,
                     .a = a,
                     .probing = true,
                     .next = json_writer(&next),
                     .tasks = json_writer(&tasks),
                     .taken = arena_zalloc(a, c->lg->rows->row_count + 1)};
    plan_next(&p);
    p.probing = false;
    jw_array(&p.next);
    jw_array(&p.tasks);
    plan_next(&p);
    jw_array_end(&p.next);
    jw_array_end(&p.tasks);
    int rc = buf_ok(&next) && buf_ok(&tasks)
                 ? 0
                 : err_set(err, ERR_TOO_LARGE, "the tasks of a checkpoint are too large to show");
    if (rc == 0) {
        c->next = arena_dup(a, buf_view(&next));
        c->tasks = arena_dup(a, buf_view(&tasks));
    }
    buf_deinit(&next);
    buf_deinit(&tasks);
    return rc;
}

int lg_checkpoint_load(struct store *s, struct checkpoint *c, struct arena *a, struct err *err) {
    struct lg_row fetched = *c->lg;
    int rc = 0;
    if (c->values && !c->lg->rows)
        return 0; /* of a thread without checkpoints */
    if (!c->lg->rows) {
        struct db_rows *rows = ARENA_NEW(a, struct db_rows);
        rc = c->lg->native ? saved_rows_read(s, c, a, rows, err)
                           : read_one(s, c->thread_id, c->name_space, c->id, a, rows, err);
        fetched.rows = rows;
    }
    struct lg_row *kept = c->lg;
    c->lg = &fetched;
    bool others = !json_has(fetched.root, "holdfast"), shared = others && !kept->native;
    if (rc == 0 && shared)
        rc = lg_sends_load(s, c, a, &fetched.sends, err);
    if (rc == 0)
        rc = load_values(c, a, err);
    if (rc == 0 && others)
        rc = lg_delta_load(s, c, a, err);
    if (rc == 0 && others)
        rc = load_next(c, a, err);
    c->lg = kept;
    return rc;
}

/* --- threads without checkpoints --- */

static int legacy_from_row(const struct db_rows *r, size_t row, struct id thread_id,
                           struct arena *a, struct checkpoint *out, struct err *err) {
    yyjson_val *values, *metadata, *key, *value;
    size_t i, count;
    if (json_parse(a, db_str(r, row, 1), &values, err) < 0 ||
        json_parse(a, db_str(r, row, 4), &metadata, err) < 0)
        return err_set(err, ERR_CORRUPT, "a state of the thread cannot be read");
    str name = db_str(r, row, 0), tasks = db_str(r, row, 3), next = db_str(r, row, 2);
    struct id id = id_of(name);
    yyjson_val *step = json_get(metadata, "step");
    str source = json_str(json_get(metadata, "source"));
    *out = (struct checkpoint){
        .thread_id = thread_id,
        .name_space = STR(""),
        /* Some are no UUIDs; a thread that has values only has no id at all. */
        .id = id_is_nil(id) ? id_v5(thread_id, name.p ? name : STR("values")) : id,
        .parent_id = id_of(db_str(r, row, 5)),
        .run_id = id_of(json_str(json_get(metadata, "run_id"))),
        .step = yyjson_is_int(step) ? yyjson_get_int(step) : -1,
        .source = source.p ? source : STR("update"),
        .channels = STR("{}"),
        .next = next.p ? next : STR("[]"),
        .tasks = tasks.len && tasks.p[0] == '[' ? tasks : STR("[]"),
        .metadata = yyjson_is_obj(metadata) ? db_str(r, row, 4) : STR("{}"),
        .created_at = db_int(r, row, 6),
        .lg = ARENA_NEW(a, struct lg_row),
        .values = ARENA_ARRAY(a, struct checkpoint_channel, yyjson_obj_size(values) + 1),
    };
    yyjson_obj_foreach(values, i, count, key, value) {
        struct checkpoint_channel *v = &out->values[out->value_count++];
        *v = (struct checkpoint_channel){.name = key_str(key), .whole = true};
        int rc = lg_json_view(a, json_text(a, value), &v->value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int lg_legacy_list(struct store *s, struct id thread_id, int64_t limit, struct arena *a,
                   struct checkpoint **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_LG_LEGACY_STATES, DB_PARAMS(DB_UUID(thread_id), DB_I(limit)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct checkpoint, rows.row_count + 1);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++)
        rc = legacy_from_row(&rows, i, thread_id, a, &(*out)[i], err);
    *out_count = rows.row_count;
    return rc;
}
