/* SPDX-License-Identifier: Apache-2.0 */
/* saved_checkpoints.c - what savers write, in either layout.
 *
 * A saver gives only the values of channels that changed. In LangGraph's layout the others are
 * found by (channel, version). In the native layout a checkpoint names all of its values: those
 * that it does not bring are its parent's, as far as their versions are the same; when the parent
 * is gone, those of the newest one before. So a fork whose versions repeat those of another branch
 * has its own values, which LangGraph's layout cannot tell apart. */
#include "store/saved_checkpoints.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/lg_checkpoints.h"
#include "store/saved_rows.h"
#include "store/thread_ttl.h"

#define THREADS_MAX     1000 /* that a search without a thread looks at */
#define RUN_THREADS_MAX 100  /* of one look */
#define NAME_KEY        "saver_thread_id"

static const struct id NAMES = {{0x6f, 0x1d, 0x2c, 0x60, 0x8a, 0x35, 0x5e, 0x0b, 0x9c, 0x41, 0x73,
                                 0x1e, 0x52, 0xd4, 0xaf, 0x08}};
struct id saved_thread_id(const struct principal *who, str given, str *out_name) {
    struct id id;
    *out_name = STR_NULL;
    if (id_parse(given, &id))
        return id;
    *out_name = given;
    /* Two steps, so that no owner and name read together are another owner and name. */
    return id_v5(id_v5(NAMES, who->owner), given);
}

/* --- writing --- */

static int thread_ensure(struct store *s, const struct principal *who,
                         const struct saved_checkpoint *c, struct arena *a, struct err *err) {
    struct thread t;
    struct err none = {0};
    int rc = thread_get(s, who, c->thread_id, a, &t, &none);
    if (rc != ERR_NOT_FOUND) {
        if (rc < 0 && err)
            *err = none;
        return rc;
    }
    struct buf b;
    buf_init(&b, 8192);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    if (c->thread_name.p) {
        jw_key(&w, NAME_KEY);
        jw_str(&w, c->thread_name);
    }
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    str metadata = arena_take(a, &b);
    return thread_create(s, who, c->thread_id, metadata, STR("{}"), true, a, &t, err);
}

static void touch_add(struct db_batch *b, const struct principal *who,
                      const struct saved_checkpoint *c, bool head) {
    db_batch_add(b, SQL_SAVED_TOUCH,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)),
                           head && c->name_space.len == 0 ? DB_UUID(c->id) : DB_NIL,
                           DB_I(clock_wall_us())),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

/* Without what is ours, or stands elsewhere. */
static str root_text(const struct saved_checkpoint *c, struct arena *a) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    yyjson_val *key, *value;
    size_t i, count;
    jw_object(&w);
    yyjson_obj_foreach(c->root, i, count, key, value) {
        str name = json_str(key);
        if (str_eq(name, STR("holdfast")) || str_eq(name, STR("channel_values")))
            continue;
        jw_key_str(&w, name);
        jw_val(&w, value);
    }
    jw_key(&w, "channel_values");
    jw_object(&w);
    jw_object_end(&w);
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    return arena_take(a, &b);
}

static const struct saved_value *value_of(const struct saved_checkpoint *c, str channel) {
    for (size_t i = 0; i < c->value_count; i++)
        if (str_eq(c->values[i].channel, channel))
            return &c->values[i];
    return NULL;
}

/* The checkpoint whose values go on; *out NULL when there is none. */
static int read_base(struct store *s, const struct saved_checkpoint *c, struct arena *a,
                     struct checkpoint **out, struct err *err) {
    struct checkpoint *base = ARENA_NEW(a, struct checkpoint);
    struct err none = {0};
    struct db_rows rows;
    *out = NULL;
    int rc = ERR_NOT_FOUND;
    if (!id_is_nil(c->parent_id))
        rc = checkpoint_get(s, c->thread_id, c->name_space, c->parent_id, a, base, &none);
    if (rc == ERR_NOT_FOUND) {
        err_reset(&none);
        rc = db_read(s->db, SQL_SAVED_BASE,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id)), a,
                     &rows, &none);
        if (rc == 0 && rows.row_count == 0)
            return 0;
        if (rc == 0)
            rc = checkpoint_get(s, c->thread_id, c->name_space, db_id(&rows, 0, 0), a, base, &none);
    }
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc < 0 && err)
        *err = none;
    *out = rc == 0 && base->lg ? base : NULL;
    return rc;
}

/* {"channel": {"h": hash, "t": type}}, with the rows of the values that are new. */
static int native_channels(struct store *s, const struct saved_checkpoint *c, struct db_batch *b,
                           struct arena *a, str *out, struct err *err) {
    struct checkpoint *base;
    yyjson_val *versions = json_get(c->root, "channel_versions"), *key, *version, *old = NULL;
    yyjson_val *old_versions = NULL;
    size_t i, count;
    int rc = read_base(s, c, a, &base, err);
    if (rc == 0 && base) {
        old_versions = json_get(base->lg->root, "channel_versions");
        rc = json_parse(a, base->channels, &old, err);
    }
    if (rc < 0)
        return rc;
    struct buf refs;
    buf_init(&refs, SIZE_MAX / 2);
    struct json_writer w = json_writer(&refs);
    jw_object(&w);
    yyjson_obj_foreach(versions, i, count, key, version) {
        const struct saved_value *v = value_of(c, json_str(key));
        yyjson_val *ref = json_get_str(old, json_str(key));
        yyjson_val *before = json_get_str(old_versions, json_str(key));
        if (v && !str_eq(v->type, STR("empty"))) {
            str text = saved_encode(a, v->type, v->bytes), hash = checkpoint_hash(a, text);
            checkpoint_value_add(b, c->thread_id, hash, text);
            jw_key_str(&w, v->channel);
            jw_object(&w);
            jw_key(&w, "h");
            jw_str(&w, hash);
            jw_key(&w, "t");
            jw_str(&w, v->type);
            jw_object_end(&w);
        } else if (!v && ref && before &&
                   str_eq(lg_version_text(a, before), lg_version_text(a, version))) {
            jw_key_str(&w, json_str(key));
            jw_val(&w, ref);
        }
    }
    jw_object_end(&w);
    ASSERT(buf_ok(&refs));
    *out = arena_take(a, &refs);
    return 0;
}

static int native_add(struct store *s, const struct saved_checkpoint *c, yyjson_val *metadata,
                      struct db_batch *b, struct arena *a, struct err *err) {
    yyjson_val *step;
    str channels;
    struct id run;
    int64_t now = clock_wall_us(), made;
    int rc = native_channels(s, c, b, a, &channels, err);
    if (rc < 0)
        return rc;
    step = json_get(metadata, "step");
    str source = json_str(json_get(metadata, "source"));
    str run_text = json_str(json_get(metadata, "run_id")), ts = json_str(json_get(c->root, "ts"));
    bool has_run = run_text.p && id_parse(run_text, &run);
    if (!ts.p || !time_parse_iso(ts, &made))
        made = now;
    db_batch_add(b, SQL_SAVED_INSERT,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id),
                           id_is_nil(c->parent_id) ? DB_NIL : DB_UUID(c->parent_id),
                           has_run ? DB_UUID(run) : DB_NIL,
                           DB_I(yyjson_is_int(step) ? yyjson_get_int(step) : -1),
                           DB_T(source.p ? source : STR("loop")), DB_T(channels), DB_T(c->metadata),
                           DB_I(made), DB_T(root_text(c, a))),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    return 0;
}

static void lg_add(const struct saved_checkpoint *c, struct db_batch *b, struct arena *a) {
    for (size_t i = 0; i < c->value_count; i++) {
        const struct saved_value *v = &c->values[i];
        bool none = str_eq(v->type, STR("empty"));
        db_batch_add(b, SQL_SAVED_LG_BLOB,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_T(v->channel),
                               DB_T(v->version), DB_T(v->type), none ? DB_NIL : DB_B(v->bytes)),
                     DB_EXPECT_NONE);
    }
    db_batch_add(b, SQL_SAVED_LG_INSERT,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id),
                           id_is_nil(c->parent_id) ? DB_NIL : DB_UUID(c->parent_id),
                           DB_T(root_text(c, a)), DB_T(c->metadata)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

static int commit(struct store *s, struct db_batch *b, struct err *err) {
    int rc = db_commit(s->db, b, err);
    if (rc != ERR_CONFLICT)
        return rc;
    return err_set(err, ERR_CONFLICT,
                   b->failed_at == 0 ? "a run of this server has the thread"
                                     : "the checkpoint is one of this server's own");
}

int saved_put(struct store *s, const struct principal *who, const struct saved_checkpoint *c,
              struct arena *a, struct err *err) {
    struct db_batch b;
    yyjson_val *metadata;
    db_batch_init(&b, a);
    int rc = thread_ensure(s, who, c, a, err);
    if (rc == 0)
        rc = json_parse(a, c->metadata, &metadata, err);
    if (rc < 0)
        return rc;
    str run = json_str(json_get(metadata, "run_id"));
    touch_add(&b, who, c, true);
    if (run.p && run.len <= SAVED_RUN_BYTES_MAX)
        db_batch_add(&b, SQL_SAVED_RUN, DB_PARAMS(DB_UUID(c->thread_id), DB_T(run)),
                     DB_EXPECT_NONE);
    if (s->layout == CHECKPOINTS_LANGGRAPH)
        lg_add(c, &b, a);
    else
        rc = native_add(s, c, metadata, &b, a, err);
    return rc < 0 ? rc : commit(s, &b, err);
}

int saved_put_writes(struct store *s, const struct principal *who, const struct saved_checkpoint *c,
                     bool replace, struct arena *a, struct err *err) {
    bool lg = s->layout == CHECKPOINTS_LANGGRAPH;
    struct db_batch b;
    db_batch_init(&b, a);
    int rc = thread_ensure(s, who, c, a, err);
    if (rc < 0)
        return rc;
    touch_add(&b, who, c, false);
    for (size_t i = 0; i < c->write_count; i++) {
        const struct saved_write *v = &c->writes[i];
        struct id task;
        /* In the native layout ids stand as the database keeps ids. */
        bool is_id = !lg && v->task_id.len == ID_DASHED_LEN && id_parse(v->task_id, &task);
        db_batch_add(&b, lg ? SQL_SAVED_LG_WRITE : SQL_SAVED_WRITE,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id),
                               is_id ? DB_UUID(task) : DB_T(v->task_id), DB_I(v->idx),
                               DB_T(v->channel), DB_T(v->type),
                               lg ? DB_B(v->bytes) : DB_T(saved_encode(a, v->type, v->bytes)),
                               DB_T(v->task_path), DB_I(replace)),
                     DB_EXPECT_NONE);
    }
    return commit(s, &b, err);
}

/* --- reading --- */

static int by_path(const void *one, const void *other) {
    const struct saved_write *x = one, *y = other;
    int c = str_cmp(x->task_path, y->task_path);
    if (c == 0)
        c = str_cmp(x->task_id, y->task_id);
    if (c == 0)
        c = (x->idx > y->idx) - (x->idx < y->idx);
    return c;
}

static int read_writes(struct store *s, struct saved_checkpoint *c, struct arena *a,
                       struct err *err) {
    bool lg = s->layout == CHECKPOINTS_LANGGRAPH;
    struct db_rows rows;
    int rc = db_read(s->db, lg ? SQL_LG_WRITES_OF : SQL_CHECKPOINT_WRITES_OF,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    struct saved_write *list = ARENA_ARRAY(a, struct saved_write, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++) {
        struct saved_write *w = &list[i];
        struct id task;
        *w = (struct saved_write){.task_id = db_str(&rows, i, 0),
                                  .idx = db_int(&rows, i, 1),
                                  .channel = db_str(&rows, i, 2),
                                  .type = db_str(&rows, i, 3),
                                  .bytes = db_str(&rows, i, 4),
                                  .task_path = db_str(&rows, i, 5)};
        if (!w->type.p)
            w->type = STR("null"); /* the column may be NULL */
        if (lg)
            continue;
        if (id_parse(w->task_id, &task))
            w->task_id = id_dashed(a, task);
        if (!saved_decode(a, w->type, w->bytes, &w->bytes))
            return err_set(err, ERR_CORRUPT, "a write of the checkpoint cannot be read");
    }
    qsort(list, rows.row_count, sizeof(*list), by_path);
    c->writes = list;
    c->write_count = rows.row_count;
    return 0;
}

static void take_values(const struct db_rows *rows, struct saved_checkpoint *c, struct arena *a) {
    struct saved_value *values = ARENA_ARRAY(a, struct saved_value, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        if (db_int(rows, i, 0) == 1)
            values[c->value_count++] = (struct saved_value){.channel = db_str(rows, i, 2),
                                                            .version = db_str(rows, i, 3),
                                                            .type = db_str(rows, i, 4),
                                                            .bytes = db_str(rows, i, 5)};
    c->values = values;
}

int saved_get(struct store *s, struct id thread_id, str name_space, struct id id, struct arena *a,
              struct saved_checkpoint *out, struct err *err) {
    struct checkpoint c;
    struct db_rows native;
    int rc = checkpoint_get(s, thread_id, name_space, id, a, &c, err);
    if (rc == 0 && c.lg && !c.lg->root) /* a state that is no checkpoint */
        return err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
    if (rc == 0 && !c.lg)
        return err_set(err, ERR_UNSUPPORTED,
                       "the checkpoint is this server's own, in its native layout, which savers "
                       "cannot read");
    const struct db_rows *rows = rc == 0 ? c.lg->rows : NULL;
    if (rc == 0 && !rows) {
        rc = saved_rows_read(s, &c, a, &native, err);
        rows = &native;
    }
    if (rc < 0)
        return rc;
    *out = (struct saved_checkpoint){.thread_id = thread_id,
                                     .name_space = name_space,
                                     .id = c.id,
                                     .parent_id = c.parent_id,
                                     .root = c.lg->root,
                                     .metadata = c.metadata};
    take_values(rows, out, a);
    return read_writes(s, out, a, err);
}

static enum db_stmt keys_stmt(const struct store *s, const struct saved_filter *f) {
    static const enum db_stmt stmts[2][2][2] = {
        {{SQL_SAVED_KEYS_ONE, SQL_SAVED_KEYS_ANY},
         {SQL_SAVED_KEYS_ALL_ONE, SQL_SAVED_KEYS_ALL_ANY}},
        {{SQL_SAVED_LG_KEYS_ONE, SQL_SAVED_LG_KEYS_ANY},
         {SQL_SAVED_LG_KEYS_ALL_ONE, SQL_SAVED_LG_KEYS_ALL_ANY}}};
    return stmts[s->layout == CHECKPOINTS_LANGGRAPH][id_is_nil(f->thread_id)][!f->name_space.p];
}

int saved_list(struct store *s, const struct principal *who, const struct saved_filter *f,
               struct arena *a, struct saved_key **out, size_t *out_count, struct err *err) {
    bool all = id_is_nil(f->thread_id);
    struct db_rows rows;
    const struct db_value params[] = {all ? DB_T(who->owner) : DB_UUID(f->thread_id),
                                      DB_T(f->name_space.p ? f->name_space : STR("")),
                                      DB_UUID(id_is_nil(f->before) ? ID_LAST : f->before),
                                      DB_T(f->metadata.p ? f->metadata : STR("{}")),
                                      DB_I(f->limit),
                                      DB_I(THREADS_MAX)};
    int rc = db_read(s->db, keys_stmt(s, f), params, all ? 6 : 5, a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct saved_key, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = (struct saved_key){.thread_id = all ? db_id(&rows, i, 0) : f->thread_id,
                                       .thread_name = db_str(&rows, i, 1),
                                       .name_space = db_str(&rows, i, 2),
                                       .id = db_id(&rows, i, 3)};
    *out_count = rows.row_count;
    return 0;
}

/* --- removing --- */

static int delete_in(struct store *s, struct id thread_id, str run, struct arena *a,
                     struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    thread_hold_idle_add(&b, thread_id, INT64_MAX);
    store_add_known(s, &b, SQL_SAVED_RUN_DELETE_WRITES, DB_PARAMS(DB_UUID(thread_id), DB_T(run)));
    db_batch_add(&b, SQL_SAVED_RUN_DELETE, DB_PARAMS(DB_UUID(thread_id), DB_T(run)),
                 DB_EXPECT_NONE);
    db_batch_add(&b, SQL_SAVED_RUN_FORGET, DB_PARAMS(DB_UUID(thread_id), DB_T(run)),
                 DB_EXPECT_NONE);
    db_batch_add(&b, SQL_THREAD_CHECKPOINT_RESET, DB_PARAMS(DB_UUID(thread_id)), DB_EXPECT_NONE);
    return commit(s, &b, err);
}

int saved_delete_run(struct store *s, const struct principal *who, str run, struct arena *a,
                     struct err *err) {
    struct db_rows rows;
    do {
        int rc = db_read(s->db, SQL_SAVED_RUN_THREADS,
                         DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who)),
                                   DB_T(run), DB_I(RUN_THREADS_MAX)),
                         a, &rows, err);
        for (size_t i = 0; rc == 0 && i < rows.row_count; i++)
            rc = delete_in(s, db_id(&rows, i, 0), run, a, err);
        if (rc < 0)
            return rc;
    } while (rows.row_count == RUN_THREADS_MAX);
    return 0;
}
