/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c - the rows of threads.
 *
 * Design: a list of one owner in its default order is a walk along the index (owner, updated_at),
 * as far as offset and limit say; filters are functions that cost nothing when they match
 * everything. A status other than idle has an index of its own. Ids are looked up by key. Sort
 * columns and directions are variants of one statement; the tables below name them. Orders without
 * an index (an index of state_updated_at would cost every step of every run) sort up to
 * THREAD_SORTED_MAX threads, and are refused for more.
 *
 * Invariants: every statement names the owner; deleting removes all that hangs on the thread in the
 * same batch. */
#include "store/threads.h"

#include "base/clock.h"
#include "base/json.h"
#include "store/thread_ttl.h"

#define SORTS(prefix)                                                                              \
    {                                                                                              \
        [THREAD_BY_UPDATED] = {prefix##_UPDATED_AT_DESC, prefix##_UPDATED_AT_ASC},                 \
        [THREAD_BY_CREATED] = {prefix##_CREATED_AT_DESC, prefix##_CREATED_AT_ASC},                 \
        [THREAD_BY_STATE_UPDATED] = {prefix##_STATE_UPDATED_AT_DESC,                               \
                                     prefix##_STATE_UPDATED_AT_ASC},                               \
        [THREAD_BY_ID] = {prefix##_ID_DESC, prefix##_ID_ASC},                                      \
        [THREAD_BY_STATUS] = {prefix##_STATUS_DESC, prefix##_STATUS_ASC},                          \
    }
static const enum db_stmt SEARCH[][2] = {
    [THREAD_BY_UPDATED] = {SQL_THREAD_SEARCH_UPDATED_AT_DESC, SQL_THREAD_SEARCH_UPDATED_AT_ASC},
    [THREAD_BY_CREATED] = {SQL_THREAD_SEARCH_CREATED_AT_DESC, SQL_THREAD_SEARCH_CREATED_AT_ASC},
    [THREAD_BY_STATE_UPDATED] = {SQL_THREAD_SEARCH_SORTED_STATE_UPDATED_AT_DESC,
                                 SQL_THREAD_SEARCH_SORTED_STATE_UPDATED_AT_ASC},
    [THREAD_BY_ID] = {SQL_THREAD_SEARCH_SORTED_ID_DESC, SQL_THREAD_SEARCH_SORTED_ID_ASC},
    [THREAD_BY_STATUS] = {SQL_THREAD_SEARCH_SORTED_STATUS_DESC,
                          SQL_THREAD_SEARCH_SORTED_STATUS_ASC},
};
static const enum db_stmt SEARCH_IDS[][2] = SORTS(SQL_THREAD_SEARCH_IDS);
static const enum db_stmt SEARCH_ACTIVE[2] = {SQL_THREAD_SEARCH_ACTIVE_DESC,
                                              SQL_THREAD_SEARCH_ACTIVE_ASC};
STATIC_ASSERT(SORT_DESC == 0 && SORT_ASC == 1, "the order is an index of the tables above");

void thread_from_row(const struct db_rows *r, size_t row, size_t col, struct thread *out) {
    *out = (struct thread){
        .id = db_id(r, row, col),
        .owner = db_str(r, row, col + 1),
        .metadata = db_str(r, row, col + 3),
        .config = db_str(r, row, col + 4),
        .interrupts = db_str(r, row, col + 5),
        .error = db_str(r, row, col + 6),
        .seq = db_int(r, row, col + 7),
        .checkpoint_id = db_id(r, row, col + 8),
        .created_at = db_int(r, row, col + 9),
        .updated_at = db_int(r, row, col + 10),
        .state_updated_at = db_int(r, row, col + 11),
    };
    if (!thread_status_parse(db_str(r, row, col + 2), &out->status))
        out->status = THREAD_ERROR;
}

static int not_found(struct id id, struct err *err) {
    char text[ID_DASHED_LEN];
    id_write_dashed(id, text);
    return err_set(err, ERR_NOT_FOUND, "Thread with ID %.*s not found", ID_DASHED_LEN, text);
}

void thread_insert_add(struct db_batch *b, const struct principal *who, const struct thread_new *n,
                       int64_t now_us) {
    bool ends = n->ttl.us > 0;
    db_batch_add(b, SQL_THREAD_INSERT,
                 DB_PARAMS(DB_UUID(n->id), DB_T(who->owner),
                           DB_T(store_metadata(b->arena, n->metadata)), DB_T(n->config),
                           DB_I(now_us), ends ? DB_T(prune_strategy_name(n->ttl.strategy)) : DB_NIL,
                           ends ? DB_I(n->ttl.us) : DB_NIL),
                 DB_EXPECT_NONE);
}

/* The row that thread_insert makes. */
static struct thread thread_as_made(const struct principal *who, const struct thread_new *n,
                                    struct arena *a, int64_t now_us) {
    return (struct thread){.id = n->id,
                           .owner = who->owner,
                           .metadata = store_metadata(a, n->metadata),
                           .config = n->config,
                           .interrupts = STR("{}"),
                           .status = THREAD_IDLE,
                           .created_at = now_us,
                           .updated_at = now_us,
                           .state_updated_at = now_us};
}

int thread_make(struct store *s, const struct principal *who, const struct thread_new *n,
                bool do_nothing, struct arena *a, struct thread *out, struct err *err) {
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    thread_insert_add(&b, who, n, now);
    store_ride(s, &b, now);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0) {
        *out = thread_as_made(who, n, a, now);
        return 0;
    }
    if (rc != ERR_EXISTS)
        return rc;
    /* Somebody else's answers as any other use of its id does. */
    rc = thread_get(s, who, n->id, a, out, err);
    if (rc < 0 || do_nothing)
        return rc;
    return err_set(err, ERR_EXISTS, "Thread already exists");
}

int thread_create(struct store *s, const struct principal *who, struct id id, str metadata,
                  str config, bool do_nothing, struct arena *a, struct thread *out,
                  struct err *err) {
    struct thread_new n = {id, metadata, config, s->thread_ttl};
    return thread_make(s, who, &n, do_nothing, a, out, err);
}

int thread_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
               struct thread *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_THREAD_GET, who, id, "not found", a, &rows, err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? not_found(id, err) : rc;
    thread_from_row(&rows, 0, 0, out);
    return 0;
}

int thread_patch(struct store *s, const struct principal *who, struct id id, str metadata,
                 const struct thread_ttl *ttl, struct arena *a, struct thread *out,
                 struct err *err) {
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    if (ttl) /* before the row: heads are locked first */
        thread_ttl_add(&b, who, id, ttl, now);
    size_t op = db_batch_add(&b, SQL_THREAD_PATCH,
                             DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                                       DB_T(principal_owner_high(who)),
                                       DB_T(store_metadata(a, metadata)), DB_I(now)),
                             DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_NOT_FOUND)
        return not_found(id, err);
    if (rc == 0)
        thread_from_row(&b.ops[op].rows, 0, 0, out);
    return rc;
}

void thread_delete_rest_add(const struct store *s, struct db_batch *b, struct id id) {
    static const enum db_stmt rest[] = {SQL_THREAD_DELETE_RUNS,        SQL_THREAD_DELETE_EVENTS,
                                        SQL_THREAD_DELETE_CHECKPOINTS, SQL_THREAD_DELETE_WRITES,
                                        SQL_THREAD_DELETE_VALUES,      SQL_THREAD_DELETE_LISTS,
                                        SQL_THREAD_UNDOOM};
    if (db_knows(s->db, SQL_THREAD_DELETE_REST)) {
        db_batch_add(b, SQL_THREAD_DELETE_REST, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++)
        db_batch_add(b, rest[i], DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
}

static void delete_add(const struct store *s, struct db_batch *b, const struct principal *who,
                       struct id id, str unless) {
    db_batch_add(b, SQL_THREAD_DELETE,
                 DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_T(unless)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    thread_delete_rest_add(s, b, id);
}

void thread_delete_add(const struct store *s, struct db_batch *b, const struct principal *who,
                       struct id id) {
    delete_add(s, b, who, id, STR(""));
}

static int delete_now(struct store *s, const struct principal *who, struct id id, str unless,
                      struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    delete_add(s, &b, who, id, unless);
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? not_found(id, err) : rc;
}

int thread_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                  struct err *err) {
    return delete_now(s, who, id, STR(""), a, err);
}

int thread_delete_unless_busy(struct store *s, const struct principal *who, struct id id,
                              struct arena *a, struct err *err) {
    return delete_now(s, who, id, thread_status_name(THREAD_BUSY), a, err);
}

void thread_doom_add(struct db_batch *b, struct id id, int64_t due_us) {
    db_batch_add(b, SQL_THREAD_DOOM, DB_PARAMS(DB_UUID(id), DB_I(due_us)), DB_EXPECT_NONE);
}

int thread_delete_doomed(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                         int64_t *out_deleted, struct err *err) {
    static const struct principal server = {.all = true};
    struct db_rows rows;
    int rc = db_read(s->db, SQL_THREAD_DOOMED, DB_PARAMS(DB_I(now_us), DB_I(limit)), a, &rows, err);
    *out_deleted = 0;
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        struct db_batch b;
        struct id id = db_id(&rows, i, 0);
        db_batch_init(&b, a);
        thread_delete_add(s, &b, &server, id);
        b.ops[0].expect = DB_EXPECT_NONE; /* somebody may have deleted it */
        rc = db_commit(s->db, &b, err);
        *out_deleted += rc == 0;
    }
    return rc;
}

str thread_ids_json(struct arena *a, const struct id *ids, size_t count) {
    size_t each = ID_HEX_LEN + 3;
    char *p = arena_alloc(a, count * each + 2), *at = p;
    *at++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ',';
        *at++ = '"';
        id_write_hex(ids[i], at);
        at += ID_HEX_LEN;
        *at++ = '"';
    }
    *at++ = ']';
    return str_n(p, (size_t)(at - p));
}

static str status_of(const struct thread_filter *f) {
    return f->status ? thread_status_name(*f->status) : STR("");
}

static str metadata_of(const struct thread_filter *f) {
    return f->metadata.p ? f->metadata : STR("{}");
}

static int search_rows(struct store *s, const struct principal *who, const struct thread_filter *f,
                       const struct page *page, struct arena *a, struct db_rows *rows,
                       struct err *err) {
    if (f->id_count > 0)
        return db_read(s->db, SEARCH_IDS[f->sort][page->order],
                       DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who)),
                                 DB_T(thread_ids_json(a, f->ids, f->id_count)), DB_T(status_of(f)),
                                 DB_T(metadata_of(f)), DB_I(page->limit), DB_I(page->offset)),
                       a, rows, err);
    ASSERT(!who->all); /* the server itself walks (thread_walk), or names ids */
    bool sorted = f->sort != THREAD_BY_UPDATED && f->sort != THREAD_BY_CREATED;
    enum db_stmt stmt = SEARCH[f->sort][page->order];
    if (f->status && *f->status != THREAD_IDLE && f->sort == THREAD_BY_UPDATED)
        stmt = SEARCH_ACTIVE[page->order];
    const struct db_value params[] = {DB_T(who->owner),     DB_T(status_of(f)),
                                      DB_T(metadata_of(f)), DB_I(page->limit),
                                      DB_I(page->offset),   DB_I(THREAD_SORTED_MAX + 1)};
    int rc = db_read(s->db, stmt, params, sorted ? 6 : 5, a, rows, err);
    if (rc == 0 && sorted &&
        (rows->row_count > 0 ? db_int(rows, 0, THREAD_COLUMN_COUNT) > THREAD_SORTED_MAX
                             : page->offset > THREAD_SORTED_MAX))
        return err_set(err, ERR_INVALID,
                       "sort_by: more than %d threads to sort; narrow the search by metadata, "
                       "status or ids, or sort by updated_at or created_at",
                       THREAD_SORTED_MAX);
    return rc;
}

int thread_search(struct store *s, const struct principal *who, const struct thread_filter *f,
                  const struct page *page, struct arena *a, struct thread **out, size_t *out_count,
                  struct err *err) {
    struct db_rows rows;
    int rc = search_rows(s, who, f, page, a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct thread, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        thread_from_row(&rows, i, 0, &(*out)[i]);
    *out_count = rows.row_count;
    return 0;
}

int thread_count(struct store *s, const struct principal *who, const struct thread_filter *f,
                 struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    struct db_value low = DB_T(principal_owner_low(who)), high = DB_T(principal_owner_high(who));
    struct db_value status = DB_T(status_of(f)), metadata = DB_T(metadata_of(f));
    bool plain = !f->status && str_eq(metadata.s, STR("{}"));
    int rc;
    if (f->id_count > 0)
        rc = db_read(
            s->db, SQL_THREAD_COUNT_IDS,
            DB_PARAMS(low, high, DB_T(thread_ids_json(a, f->ids, f->id_count)), status, metadata),
            a, &rows, err);
    else if (plain)
        rc = db_read(s->db, who->all ? SQL_THREAD_COUNT_PLAIN_ALL : SQL_THREAD_COUNT_PLAIN_MINE,
                     DB_PARAMS(low), a, &rows, err);
    else
        rc = db_read(s->db, who->all ? SQL_THREAD_COUNT_ALL : SQL_THREAD_COUNT_MINE,
                     DB_PARAMS(low, status, metadata), a, &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}

int thread_list_ids(struct store *s, const struct principal *who, str metadata, struct id after,
                    int64_t limit, struct arena *a, struct id **out, size_t *out_count,
                    struct err *err) {
    struct db_rows rows;
    int rc = db_read(
        s->db, who->all ? SQL_THREAD_IDS_CONTAINING_ALL : SQL_THREAD_IDS_CONTAINING_MINE,
        DB_PARAMS(DB_T(principal_owner_low(who)), DB_T(metadata), DB_UUID(after), DB_I(limit)), a,
        &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct id, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_id(&rows, i, 0);
    *out_count = rows.row_count;
    return 0;
}

int thread_walk(struct store *s, struct id after, int64_t limit, struct arena *a, struct id **out,
                size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_THREAD_WALK, DB_PARAMS(DB_UUID(after), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct id, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_id(&rows, i, 0);
    *out_count = rows.row_count;
    return 0;
}
