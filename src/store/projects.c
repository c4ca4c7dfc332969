/* SPDX-License-Identifier: Apache-2.0 */
/* projects.c - rows of projects, and the settings of an owner.
 *
 * No plan points to a project: its name is looked up when a plan is made, in the same query as the
 * settings that plans read. So a project may come later than its plans, and go before them. */
#include "store/projects.h"

#include "base/buf.h"
#include "base/clock.h"
#include "store/remembered.h"

static struct project from_row(const struct db_rows *r, size_t row) {
    return (struct project){.id = db_id(r, row, 0),
                            .owner = db_str(r, row, 1),
                            .name = db_str(r, row, 2),
                            .description = db_str(r, row, 3),
                            .metadata = db_str(r, row, 4),
                            .settings = db_str(r, row, 5),
                            .version = db_int(r, row, 6),
                            .created_at = db_int(r, row, 7),
                            .updated_at = db_int(r, row, 8)};
}

static int taken(int rc, struct err *err) {
    return rc == ERR_EXISTS ? err_set(err, rc, "There is a project of this name") : rc;
}

int project_create(struct store *s, struct project *p, struct arena *a, struct err *err) {
    struct db_batch b;
    p->version = 1;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PROJECT_INSERT,
                 DB_PARAMS(DB_UUID(p->id), DB_T(p->owner.p ? p->owner : STR("")), DB_T(p->name),
                           DB_T(p->description), DB_T(p->metadata), DB_T(p->settings),
                           DB_I(p->created_at), DB_I(PROJECT_COUNT_MAX)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "There can be at most %d projects", PROJECT_COUNT_MAX);
    return taken(rc, err);
}

int project_list(struct store *s, const struct principal *who, str after, int64_t limit,
                 struct arena *a, struct project **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_PROJECT_LIST,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_T(after.p ? after : STR("")),
                               DB_I(limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct project *list = ARENA_ARRAY(a, struct project, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int project_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                struct project *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_PROJECT_GET, who, id, "Project not found", a, &rows, err);
    if (rc < 0)
        return rc;
    *out = from_row(&rows, 0);
    return 0;
}

int project_update(struct store *s, const struct principal *who, struct project *p,
                   struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_PROJECT_UPDATE,
                 DB_PARAMS(DB_UUID(p->id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_I(p->version), DB_T(p->name),
                           DB_T(p->description), DB_T(p->metadata), DB_T(p->settings),
                           DB_I(p->updated_at)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_CONFLICT)
        return err_set(err, rc, "The project was changed meanwhile");
    p->version += rc == 0;
    return taken(rc, err);
}

int project_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                   struct err *err) {
    return store_delete_owned(s, SQL_PROJECT_DELETE, who, id, "Project not found", a, err);
}

/* --- settings --- */

static void settings_of(const struct db_rows *rows, struct arena *a, struct setting **out,
                        size_t *out_count) {
    struct setting *list = ARENA_ARRAY(a, struct setting, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = (struct setting){db_str(rows, i, 0), db_str(rows, i, 1)};
    *out = list;
    *out_count = rows->row_count;
}

int setting_list(struct store *s, const struct principal *who, struct arena *a,
                 struct setting **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_SETTING_LIST,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_I(SETTING_COUNT_MAX)), a, &rows, err);
    if (rc == 0)
        settings_of(&rows, a, out, out_count);
    return rc;
}

int setting_get(struct store *s, const struct principal *who, str key, struct arena *a,
                struct setting *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_SETTING_GET,
                     DB_PARAMS(DB_T(principal_owner(who)), DB_T(key)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Setting not found");
    *out = (struct setting){db_str(&rows, 0, 0), db_str(&rows, 0, 1)};
    return 0;
}

int setting_change(struct store *s, const struct principal *who, const struct setting *list,
                   size_t count, int gone_is, int64_t now_us, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    for (size_t i = 0; i < count; i++) {
        if (list[i].value.p)
            db_batch_add(&b, SQL_SETTING_PUT,
                         DB_PARAMS(DB_T(principal_owner(who)), DB_T(list[i].key),
                                   DB_T(list[i].value), DB_I(now_us), DB_I(SETTING_COUNT_MAX)),
                         DB_EXPECT_CHANGE(ERR_LIMIT));
        else
            db_batch_add(&b, SQL_SETTING_DELETE,
                         DB_PARAMS(DB_T(principal_owner(who)), DB_T(list[i].key)),
                         gone_is ? DB_EXPECT_CHANGE(gone_is) : DB_EXPECT_NONE);
    }
    int rc = count ? db_commit(s->db, &b, err) : 0;
    if (rc == ERR_LIMIT && b.failed_at < count)
        return err_set(err, rc, "There can be at most %d settings", SETTING_COUNT_MAX);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "Setting not found");
    return rc;
}

/* --- what plans begin with --- */

/* One text of the values: equal only where they are. */
static str key_of(const struct db_value *values, size_t count, struct arena *a) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        const struct db_value *v = &values[i];
        str bytes = v->type == DB_ID     ? str_n((const char *)v->id.b, sizeof(v->id.b))
                    : v->type == DB_TEXT ? v->s
                                         : STR_NULL;
        ASSERT(bytes.p || v->type == DB_NULL);
        buf_i64(&b, bytes.p ? (int64_t)bytes.len : -1);
        buf_char(&b, ':');
        buf_append(&b, bytes.p, bytes.len);
    }
    return arena_take(a, &b);
}

/* As db_read of a statement whose rows are an owner's settings alone. Those that this process
 * changes are read anew; of other processes' changes one hears when an entry is over. */
static int read_remembered(struct store *s, enum db_stmt stmt, const struct db_value *values,
                           size_t count, struct arena *a, struct db_rows *out, struct err *err) {
    if (!s->remembered)
        return db_read(s->db, stmt, values, count, a, out, err);
    str key = key_of(values, count, a);
    int64_t now_us = clock_mono_us();
    uint64_t changes = db_settings_changes(s->db);
    if (remembered_get(s->remembered, key, now_us, changes, a, out))
        return 0;
    int rc = db_read(s->db, stmt, values, count, a, out, err);
    if (rc == 0)
        remembered_put(s->remembered, key, now_us, changes, out);
    return rc;
}

int plan_context_read(struct store *s, const struct principal *who, str project,
                      struct id assistant_id, struct arena *a, struct plan_context *out,
                      struct err *err) {
    struct db_rows rows;
    int rc = read_remembered(
        s, SQL_PLAN_CONTEXT,
        DB_PARAMS(DB_T(principal_owner(who)), DB_T(project), DB_UUID(assistant_id),
                  DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        a, &rows, err);
    if (rc < 0)
        return rc;
    size_t rest = ASSISTANT_COLUMN_COUNT;
    *out = (struct plan_context){.run = {.has_assistant = !db_is_null(&rows, 0, 0),
                                         .preferences = db_str(&rows, 0, rest)},
                                 .concurrency = db_str(&rows, 0, rest + 1),
                                 .webhook = db_str(&rows, 0, rest + 2),
                                 .project = db_str(&rows, 0, rest + 3),
                                 .of_project = db_str(&rows, 0, rest + 4)};
    if (out->run.has_assistant)
        assistant_from_row(&rows, 0, 0, &out->run.assistant);
    return 0;
}
