/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.c - the table of registered graphs.
 *
 * A revision is one more than the greatest; its index is unique, so of two processes that change
 * graphs at the same moment one begins again. Whoever has seen revision N has seen all up to N. */
#include "store/graphs.h"

#include "base/clock.h"

#define TRIES_MAX 5

static struct stored_graph from_row(const struct db_rows *r, size_t row) {
    return (struct stored_graph){
        .graph_id = db_str(r, row, 0),
        .owner = db_str(r, row, 1),
        .version = db_int(r, row, 2),
        .document = db_str(r, row, 3),
        .revision = db_int(r, row, 4),
        .deleted = db_int(r, row, 5) != 0,
        .created_at = db_int(r, row, 6),
        .updated_at = db_int(r, row, 7),
    };
}

static int check_count(struct store *s, struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_GRAPH_COUNT, DB_NO_PARAMS, a, &rows, err);
    if (rc == 0 && db_int(&rows, 0, 0) >= GRAPHS_MAX)
        rc = err_set(err, ERR_LIMIT, "there are %d graphs already", GRAPHS_MAX);
    return rc;
}

int graph_put(struct store *s, const struct principal *who, str graph_id, str document,
              struct arena *a, struct stored_graph *out, struct err *err) {
    int rc = check_count(s, a, err);
    for (int i = 0; i < TRIES_MAX && rc == 0; i++) {
        struct db_batch b;
        db_batch_init(&b, a);
        db_batch_add(
            &b, SQL_GRAPH_PUT,
            DB_PARAMS(DB_T(graph_id), DB_T(who->owner), DB_T(document), DB_I(clock_wall_us())),
            DB_EXPECT_CHANGE(ERR_CONFLICT));
        db_batch_add(&b, SQL_GRAPH_VERSION_KEEP, DB_PARAMS(DB_T(graph_id)), DB_EXPECT_NONE);
        db_batch_add(&b, SQL_GRAPH_VERSIONS_TRIM,
                     DB_PARAMS(DB_T(graph_id), DB_I(GRAPH_VERSIONS_MAX)), DB_EXPECT_NONE);
        rc = db_commit(s->db, &b, err);
        if (rc == 0) {
            *out = from_row(&b.ops[0].rows, 0);
            return 0;
        }
        if (rc == ERR_EXISTS && i + 1 < TRIES_MAX)
            rc = 0; /* another process took the revision */
    }
    if (rc == ERR_CONFLICT)
        return err_set(err, ERR_EXISTS, "another user has a graph of this name");
    return rc;
}

int graph_delete(struct store *s, const struct principal *who, str graph_id, struct arena *a,
                 struct err *err) {
    int rc = 0;
    for (int i = 0; i < TRIES_MAX; i++) {
        struct db_batch b;
        db_batch_init(&b, a);
        db_batch_add(&b, SQL_GRAPH_DELETE,
                     DB_PARAMS(DB_T(graph_id), DB_T(who->owner), DB_I(clock_wall_us())),
                     DB_EXPECT_CHANGE(ERR_NOT_FOUND));
        rc = db_commit(s->db, &b, err);
        if (rc != ERR_EXISTS)
            break;
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "Graph \"%.100s\" not found", arena_z(a, graph_id));
    return rc;
}

int graph_version_get(struct store *s, str graph_id, int64_t version, struct arena *a,
                      struct stored_graph *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_GRAPH_VERSION_GET, DB_PARAMS(DB_T(graph_id), DB_I(version)), a,
                     &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Graph \"%.100s\" has no version %lld",
                       arena_z(a, graph_id), (long long)version);
    *out = from_row(&rows, 0);
    return 0;
}

int graph_since(struct store *s, int64_t revision, int64_t limit, struct arena *a,
                struct stored_graph **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_GRAPH_SINCE, DB_PARAMS(DB_I(revision), DB_I(limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    struct stored_graph *list = ARENA_ARRAY(a, struct stored_graph, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int graph_sweep(struct store *s, int64_t before_us, struct arena *a, int64_t *out_deleted,
                struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_GRAPH_SWEEP_VERSIONS, DB_PARAMS(DB_I(before_us)), DB_EXPECT_NONE);
    db_batch_add(&b, SQL_GRAPH_SWEEP, DB_PARAMS(DB_I(before_us)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[1].changed;
    return rc;
}
