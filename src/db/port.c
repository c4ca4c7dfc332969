/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - what all drivers of the database port share: batches, dispatch, metrics.
 *
 * A batch is an array in its arena. Adding checks the statement against the catalogue, so that a
 * driver can bind without looking. Parameter arrays are copied, the strings inside are not: they
 * belong to the caller, who waits until the commit returns.
 *
 * Metrics are taken here once, around the outermost db: a wrapper calls its inner driver through
 * the vtable, so nothing counts twice. Only commits (one per group) are counted by the driver. */
#include "db/port.h"

#include "base/clock.h"

void db_init(struct db *db, const struct db_vtable *vtable) {
    db->vtable = vtable;
    db->dialect = vtable->dialect;
    struct db_metrics *m = &db->metrics;
    m->batches = metric_counter("holdfast_db_batches_total", "Batches handed in.", NULL);
    m->commits = metric_counter("holdfast_db_commits_total",
                                "Transactions committed; batches share them.", NULL);
    m->statements = metric_counter("holdfast_db_statements_total",
                                   "Statements of batches handed in, and reads.", NULL);
    m->reads = metric_counter("holdfast_db_reads_total", "Reads handed in.", NULL);
    m->reads_inline = metric_counter("holdfast_db_reads_inline_total",
                                     "Reads done on the loop thread.", NULL);
    m->read_fallbacks = metric_counter("holdfast_db_read_fallbacks_total",
                                       "Reads tried on the loop thread and handed on.", NULL);
    m->errors = metric_counter("holdfast_db_errors_total",
                               "Batches and reads that ended with an error.", NULL);
    m->writes_waiting = metric_gauge("holdfast_db_writes_waiting",
                                     "Batches handed in and not yet durable.", NULL);
    m->reads_waiting = metric_gauge("holdfast_db_reads_waiting",
                                    "Reads handed in and not yet answered.", NULL);
    m->commit_seconds = metric_histogram("holdfast_db_commit_seconds",
                                         "From handing a batch in until it is durable.", NULL);
    m->read_seconds = metric_histogram("holdfast_db_read_seconds",
                                       "From handing a read in until its rows are there.", NULL);
}

struct id db_id(const struct db_rows *r, size_t row, size_t col) {
    struct id id;
    const struct db_value *v = db_cell(r, row, col);
    if (v->type == DB_TEXT && id_parse(v->s, &id))
        return id;
    return ID_NIL;
}

void db_batch_init(struct db_batch *b, struct arena *arena) {
    *b = (struct db_batch){.arena = arena, .failed_at = SIZE_MAX};
}

size_t db_batch_add(struct db_batch *b, enum db_stmt stmt, const struct db_value *params,
                    size_t param_count, struct db_expect expect) {
    ASSERT(stmt >= 0 && stmt < SQL_COUNT);
    ASSERT(param_count == (size_t)db_catalogue[stmt].param_count);
    if (b->count == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct db_op *ops = arena_alloc(b->arena, cap * sizeof(*ops));
        if (b->count > 0)
            memcpy(ops, b->ops, b->count * sizeof(*ops));
        b->ops = ops;
        b->cap = cap;
    }
    struct db_value *copy = NULL;
    if (param_count > 0) {
        copy = arena_alloc(b->arena, param_count * sizeof(*copy));
        memcpy(copy, params, param_count * sizeof(*copy));
    }
    b->changes_settings = b->changes_settings || db_catalogue[stmt].changes_settings;
    b->ops[b->count] = (struct db_op){
        .stmt = stmt, .params = copy, .param_count = param_count, .expect = expect};
    return b->count++;
}

int db_commit(struct db *db, struct db_batch *b, struct err *err) {
    fiber_assert_inside();
    b->failed_at = SIZE_MAX;
    b->committed = b->in_doubt = false;
    if (b->count == 0)
        return 0;
    const struct db_metrics *m = &db->metrics;
    int64_t start_us = clock_mono_us();
    metric_add(m->batches, 1);
    metric_add(m->statements, (int64_t)b->count);
    metric_add(m->writes_waiting, 1);
    int code = db->vtable->commit(db, b, err);
    db->settings_changes += b->changes_settings; /* also in doubt: it may be stored */
    metric_add(m->writes_waiting, -1);
    metric_observe_us(m->commit_seconds, clock_mono_us() - start_us);
    if (code < 0)
        metric_add(m->errors, 1);
    return code;
}

int db_read(struct db *db, enum db_stmt stmt, const struct db_value *params, size_t param_count,
            struct arena *a, struct db_rows *out, struct err *err) {
    fiber_assert_inside();
    ASSERT(stmt >= 0 && stmt < SQL_COUNT);
    ASSERT(param_count == (size_t)db_catalogue[stmt].param_count);
    ASSERT(!db_catalogue[stmt].writes);
    const struct db_metrics *m = &db->metrics;
    int64_t start_us = clock_mono_us();
    metric_add(m->reads, 1);
    metric_add(m->statements, 1);
    metric_add(m->reads_waiting, 1);
    int code = db->vtable->read(db, stmt, params, param_count, a, out, err);
    metric_add(m->reads_waiting, -1);
    metric_observe_us(m->read_seconds, clock_mono_us() - start_us);
    if (code < 0)
        metric_add(m->errors, 1);
    return code;
}

int db_ping(struct db *db, struct err *err) {
    fiber_assert_inside();
    return db->vtable->ping(db, err);
}

int db_digest(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err) {
    fiber_assert_inside();
    return db->vtable->digest(db, out, err);
}

void db_stats(struct db *db, struct db_stats *out) {
    db->vtable->stats(db, out);
}

const char *db_health(struct db *db) {
    return db->vtable->health ? db->vtable->health(db) : NULL;
}

bool db_knows(const struct db *db, enum db_stmt stmt) {
    const struct db_statement *s = &db_catalogue[stmt];
    return (db->dialect == DB_POSTGRES ? s->postgres : s->sqlite) != NULL;
}

const char *db_name(const struct db *db) {
    return db->vtable->name;
}

void db_close(struct db *db) {
    if (db)
        db->vtable->close(db);
}
