/* SPDX-License-Identifier: Apache-2.0 */
/* assistants.c - assistants and the history of their contents.
 *
 * Design: the row holds the present content, assistant_versions every content it ever had. Creating
 * and changing write both in one batch: the second statement copies the row as it then is, so the
 * two cannot differ. A new version is one more than the greatest kept, also after an older one was
 * made the present one.
 *
 * Invariant: who may read is decided in the statement: the owner, and everybody for the server's
 * own (owner "", metadata.created_by system). Changing and deleting take the owner. */
#include "store/assistants.h"

#include "base/clock.h"
#include "store/threads.h"

#define DELETE_THREADS_BATCH 100

#define SORTS(prefix)                                                                              \
    {                                                                                              \
        [ASSISTANT_BY_CREATED] = {prefix##_CREATED_AT_DESC, prefix##_CREATED_AT_ASC},              \
        [ASSISTANT_BY_UPDATED] = {prefix##_UPDATED_AT_DESC, prefix##_UPDATED_AT_ASC},              \
        [ASSISTANT_BY_ID] = {prefix##_ID_DESC, prefix##_ID_ASC},                                   \
        [ASSISTANT_BY_NAME] = {prefix##_NAME_DESC, prefix##_NAME_ASC},                             \
        [ASSISTANT_BY_GRAPH] = {prefix##_GRAPH_ID_DESC, prefix##_GRAPH_ID_ASC},                    \
    }
static const enum db_stmt SEARCH_MINE[][2] = SORTS(SQL_ASSISTANT_SEARCH);
static const enum db_stmt SEARCH_ALL[][2] = SORTS(SQL_ASSISTANT_SEARCH_ALL);
STATIC_ASSERT(SORT_DESC == 0 && SORT_ASC == 1, "the order is an index of the tables above");

void assistant_from_row(const struct db_rows *r, size_t row, size_t col, struct assistant *out) {
    *out = (struct assistant){
        .id = db_id(r, row, col),
        .owner = db_str(r, row, col + 1),
        .graph_id = db_str(r, row, col + 2),
        .name = db_str(r, row, col + 3),
        .description = db_str(r, row, col + 4),
        .config = db_str(r, row, col + 5),
        .context = db_str(r, row, col + 6),
        .metadata = db_str(r, row, col + 7),
        .version = db_int(r, row, col + 8),
        .created_at = db_int(r, row, col + 9),
        .updated_at = db_int(r, row, col + 10),
    };
}

static void list_from_rows(const struct db_rows *rows, struct arena *a, struct assistant **out,
                           size_t *out_count) {
    *out = ARENA_ARRAY(a, struct assistant, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        assistant_from_row(rows, i, 0, &(*out)[i]);
    *out_count = rows->row_count;
}

/* An absent part of a filter matches everything. */
static struct db_value any_or(str s, const char *any) { return DB_T(s.p ? s : str_of(any)); }

static int not_found(struct err *err) { return err_set(err, ERR_NOT_FOUND, "Assistant not found"); }

static void row_add(struct db_batch *b, enum db_stmt stmt, str owner, const struct assistant *in,
                    int64_t now_us) {
    db_batch_add(b, stmt,
                 DB_PARAMS(DB_UUID(in->id), DB_T(owner), DB_T(in->graph_id), DB_T(in->name),
                           DB_T(in->description), DB_T(in->config), DB_T(in->context),
                           DB_T(store_metadata(b->arena, in->metadata)), DB_I(now_us)),
                 DB_EXPECT_NONE);
}

static void version_keep_add(struct db_batch *b, struct id id) {
    db_batch_add(b, SQL_ASSISTANT_VERSION_KEEP, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
}

/* Row and first version. */
static void insert_add(const struct store *s, struct db_batch *b, str owner,
                       const struct assistant *in, int64_t now_us) {
    if (db_knows(s->db, SQL_ASSISTANT_MAKE)) {
        row_add(b, SQL_ASSISTANT_MAKE, owner, in, now_us);
        return;
    }
    row_add(b, SQL_ASSISTANT_INSERT, owner, in, now_us);
    version_keep_add(b, in->id);
}

int assistant_create(struct store *s, const struct principal *who, const struct assistant *in,
                     bool do_nothing, struct arena *a, struct assistant *out, struct err *err) {
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    insert_add(s, &b, who->owner, in, now);
    store_ride(s, &b, now);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0) {
        *out = *in; /* the row is what was put */
        out->owner = who->owner;
        out->metadata = store_metadata(a, in->metadata);
        out->version = 1;
        out->created_at = out->updated_at = now;
        return 0;
    }
    if (rc != ERR_EXISTS)
        return rc;
    /* Somebody else's answers as any other use of its id does. */
    rc = assistant_get(s, who, in->id, a, out, err);
    if (rc < 0 || do_nothing)
        return rc;
    return err_set(err, ERR_EXISTS, "Assistant already exists");
}

int assistant_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                  struct assistant *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(
        s->db, SQL_ASSISTANT_GET,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))), a,
        &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return not_found(err);
    assistant_from_row(&rows, 0, 0, out);
    return 0;
}

int assistant_update(struct store *s, const struct principal *who, struct id id,
                     const struct assistant_patch *patch, struct arena *a, struct assistant *out,
                     struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    /* Another program may have made it, or changed it: that is a version as well. */
    version_keep_add(&b, id);
    size_t update = db_batch_add(
        &b, SQL_ASSISTANT_UPDATE,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who)),
                  DB_T(patch->graph_id), DB_T(patch->name), DB_T(patch->description),
                  DB_T(patch->config), DB_T(patch->context),
                  DB_T(store_metadata(a, patch->metadata)), DB_I(clock_wall_us())),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    version_keep_add(&b, id);
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_NOT_FOUND)
        return not_found(err);
    if (rc == 0)
        assistant_from_row(&b.ops[update].rows, 0, 0, out);
    return rc;
}

int assistant_versions(struct store *s, const struct principal *who, struct id id, str metadata,
                       const struct page *page, struct arena *a, struct assistant **out,
                       size_t *out_count, struct err *err) {
    struct assistant present;
    struct db_rows rows;
    int rc = assistant_get(s, who, id, a, &present, err);
    if (rc == 0)
        rc = db_read(
            s->db, SQL_ASSISTANT_VERSIONS,
            DB_PARAMS(DB_UUID(id), any_or(metadata, "{}"), DB_I(page->limit), DB_I(page->offset)),
            a, &rows, err);
    if (rc < 0)
        return rc;
    list_from_rows(&rows, a, out, out_count);
    return 0;
}

int assistant_set_latest(struct store *s, const struct principal *who, struct id id,
                         int64_t version, struct arena *a, struct assistant *out, struct err *err) {
    struct db_rows rows;
    struct db_value low = DB_T(principal_owner_low(who)), high = DB_T(principal_owner_high(who));
    int rc = db_read(s->db, SQL_ASSISTANT_OWNED, DB_PARAMS(DB_UUID(id), low, high), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return not_found(err);
    struct db_batch b;
    db_batch_init(&b, a);
    version_keep_add(&b, id);
    size_t set =
        db_batch_add(&b, SQL_ASSISTANT_SET_LATEST,
                     DB_PARAMS(DB_UUID(id), low, high, DB_I(version), DB_I(clock_wall_us())),
                     DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    rc = db_commit(s->db, &b, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "Assistant version not found");
    if (rc == 0)
        assistant_from_row(&b.ops[set].rows, 0, 0, out);
    return rc;
}

/* The principal's threads of the assistant, a batch at a time: there may be many. */
static int delete_threads_of(struct store *s, const struct principal *who, struct id id,
                             struct arena *a, struct err *err) {
    str metadata = arena_printf(a, "{\"assistant_id\":\"" STR_FMT "\"}", STR_ARG(id_dashed(a, id)));
    struct id after = ID_NIL;
    for (;;) {
        struct id *ids;
        size_t count;
        int rc =
            thread_list_ids(s, who, metadata, after, DELETE_THREADS_BATCH, a, &ids, &count, err);
        if (rc < 0 || count == 0)
            return rc;
        struct db_batch b;
        db_batch_init(&b, a);
        for (size_t i = 0; i < count; i++)
            thread_delete_add(s, &b, who, ids[i]);
        rc = db_commit(s->db, &b, err);
        if (rc < 0 && rc != ERR_NOT_FOUND)
            return rc;
        /* One of them went away meanwhile: the page is read again without it. */
        if (rc == 0)
            after = ids[count - 1];
    }
}

int assistant_delete(struct store *s, const struct principal *who, struct id id,
                     bool delete_threads, struct arena *a, struct err *err) {
    struct db_rows rows;
    struct db_value low = DB_T(principal_owner_low(who)), high = DB_T(principal_owner_high(who));
    int rc = 0;
    if (delete_threads) { /* none goes for the sake of an assistant that is not there */
        rc = db_read(s->db, SQL_ASSISTANT_OWNED, DB_PARAMS(DB_UUID(id), low, high), a, &rows, err);
        if (rc == 0 && rows.row_count == 0)
            return not_found(err);
        if (rc == 0)
            rc = delete_threads_of(s, who, id, a, err);
    }
    if (rc < 0)
        return rc;
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ASSISTANT_DELETE, DB_PARAMS(DB_UUID(id), low, high),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    if (db_knows(s->db, SQL_ASSISTANT_DELETE_REST)) {
        db_batch_add(&b, SQL_ASSISTANT_DELETE_REST, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    } else {
        db_batch_add(&b, SQL_ASSISTANT_DELETE_VERSIONS, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    }
    rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(err) : rc;
}

int assistant_search(struct store *s, const struct principal *who, const struct assistant_filter *f,
                     const struct page *page, struct arena *a, struct assistant **out,
                     size_t *out_count, struct err *err) {
    struct db_rows rows;
    struct db_value graph = any_or(f->graph_id, ""), name = any_or(f->name, "");
    struct db_value metadata = any_or(f->metadata, "{}");
    struct db_value limit = DB_I(page->limit), offset = DB_I(page->offset);
    int rc;
    if (who->all)
        rc = db_read(s->db, SEARCH_ALL[f->sort][page->order],
                     DB_PARAMS(graph, name, metadata, limit, offset), a, &rows, err);
    else
        rc = db_read(s->db, SEARCH_MINE[f->sort][page->order],
                     DB_PARAMS(DB_T(who->owner), graph, name, metadata, limit, offset), a, &rows,
                     err);
    if (rc < 0)
        return rc;
    list_from_rows(&rows, a, out, out_count);
    return 0;
}

int assistant_count(struct store *s, const struct principal *who, const struct assistant_filter *f,
                    struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    struct db_value graph = any_or(f->graph_id, ""), name = any_or(f->name, "");
    struct db_value metadata = any_or(f->metadata, "{}");
    int rc;
    if (who->all)
        rc = db_read(s->db, SQL_ASSISTANT_COUNT_ALL, DB_PARAMS(graph, name, metadata), a, &rows,
                     err);
    else
        rc = db_read(s->db, SQL_ASSISTANT_COUNT, DB_PARAMS(DB_T(who->owner), graph, name, metadata),
                     a, &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}

struct id assistant_id_of_graph(str graph_id) {
    return id_v5(ID_NAMESPACE_GRAPH, graph_id);
}

static str object_or_empty(str s) { return s.p ? s : STR("{}"); }

int assistant_seed_configured(struct store *s, const struct assistant_default *defaults,
                              size_t count, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    int64_t now_us = clock_wall_us();
    for (size_t i = 0; i < count; i++) {
        struct assistant in = {
            .id = assistant_id_of_graph(defaults[i].graph_id),
            .graph_id = defaults[i].graph_id,
            .name = defaults[i].graph_id,
            .config = object_or_empty(defaults[i].config),
            .context = object_or_empty(defaults[i].context),
            .metadata = STR("{\"created_by\":\"system\"}"),
        };
        row_add(&b, SQL_ASSISTANT_INSERT_MISSING, STR(""), &in, now_us);
        version_keep_add(&b, in.id);
        db_batch_add(&b, SQL_ASSISTANT_DEFAULT_REFRESH,
                     DB_PARAMS(DB_UUID(in.id), DB_T(in.config), DB_T(in.context), DB_I(now_us)),
                     DB_EXPECT_NONE);
        db_batch_add(&b, SQL_ASSISTANT_DEFAULT_VERSION, DB_PARAMS(DB_UUID(in.id)), DB_EXPECT_NONE);
    }
    return count == 0 ? 0 : db_commit(s->db, &b, err);
}

int assistant_seed(struct store *s, const char *const *graph_ids, size_t count, struct arena *a,
                   struct err *err) {
    struct assistant_default *defaults = ARENA_ARRAY(a, struct assistant_default, count + 1);
    for (size_t i = 0; i < count; i++)
        defaults[i] = (struct assistant_default){.graph_id = str_of(graph_ids[i])};
    return assistant_seed_configured(s, defaults, count, a, err);
}
