/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - a database port that fails, delays or tears at the n-th operation.
 *
 * Commits and reads count as operations; each looks at the plan once, before it starts. With kind
 * NONE the wrapper only counts, so every conformance test also runs through it.
 *
 * TEAR shows that a batch is all or nothing: half of it goes to the inner driver with the last
 * statement expecting what cannot be (a ping that returns no row), so the inner driver itself must
 * roll the half back. A new kind is added to the enum and to both switches below. */
#include "db/fault/fault.h"

#include "base/mem.h"

struct db_fault {
    struct db db;
    struct db *inner;
    struct db_fault_plan plan;
    uint64_t count;
};

static struct db_fault *fault_of(struct db *db) { return CONTAINER_OF(db, struct db_fault, db); }

static int injected(const struct db_fault *f, struct err *err) {
    return err_set(err, f->plan.code, "injected fault at operation %llu",
                   (unsigned long long)f->count);
}

/* What happens to this operation. */
static enum db_fault_kind next_kind(struct db_fault *f) {
    f->count++;
    return f->plan.at == 0 || f->plan.at == f->count ? f->plan.kind : DB_FAULT_NONE;
}

static int tear(struct db_fault *f, struct db_batch *b, struct err *err) {
    struct db_batch half;
    db_batch_init(&half, b->arena);
    for (size_t i = 0; i < b->count / 2; i++) {
        const struct db_op *op = &b->ops[i];
        (void)db_batch_add(&half, op->stmt, op->params, op->param_count, DB_EXPECT_NONE);
    }
    (void)db_batch_add(&half, SQL_PING, DB_NO_PARAMS, DB_EXPECT_NO_ROW(f->plan.code));
    int code = f->inner->vtable->commit(f->inner, &half, NULL);
    ASSERT(code < 0);
    b->failed_at = b->count / 2;
    return injected(f, err);
}

static int fault_commit(struct db *db, struct db_batch *b, struct err *err) {
    struct db_fault *f = fault_of(db);
    switch (next_kind(f)) {
    case DB_FAULT_NONE:
        break;
    case DB_FAULT_FAIL_BEFORE:
        if (f->plan.delay_us)
            fiber_sleep_shielded_us(f->plan.delay_us);
        return injected(f, err);
    case DB_FAULT_FAIL_AFTER: {
        int code = f->inner->vtable->commit(f->inner, b, err);
        b->in_doubt = code == 0;
        return code < 0 ? code : injected(f, err);
    }
    case DB_FAULT_DELAY:
        fiber_sleep_shielded_us(f->plan.delay_us);
        break;
    case DB_FAULT_TEAR:
        return tear(f, b, err);
    }
    return f->inner->vtable->commit(f->inner, b, err);
}

static int fault_read(struct db *db, enum db_stmt stmt, const struct db_value *params,
                      size_t param_count, struct arena *a, struct db_rows *out, struct err *err) {
    struct db_fault *f = fault_of(db);
    switch (next_kind(f)) {
    case DB_FAULT_NONE:
        break;
    case DB_FAULT_FAIL_BEFORE:
    case DB_FAULT_FAIL_AFTER: /* a read changes nothing: there is no difference */
    case DB_FAULT_TEAR:
        return injected(f, err);
    case DB_FAULT_DELAY:
        fiber_sleep_shielded_us(f->plan.delay_us);
        break;
    }
    return f->inner->vtable->read(f->inner, stmt, params, param_count, a, out, err);
}

static int fault_ping(struct db *db, struct err *err) {
    struct db *inner = fault_of(db)->inner;
    return inner->vtable->ping(inner, err);
}

static int fault_digest(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err) {
    struct db *inner = fault_of(db)->inner;
    return inner->vtable->digest(inner, out, err);
}

static void fault_stats(struct db *db, struct db_stats *out) {
    struct db *inner = fault_of(db)->inner;
    inner->vtable->stats(inner, out);
}

static const char *fault_health(struct db *db) { return db_health(fault_of(db)->inner); }

static void fault_close(struct db *db) {
    struct db_fault *f = fault_of(db);
    f->inner->vtable->close(f->inner);
    mem_free(f);
}

static const struct db_vtable fault_vtable = {
    .name = "fault",
    .commit = fault_commit,
    .read = fault_read,
    .ping = fault_ping,
    .digest = fault_digest,
    .stats = fault_stats,
    .health = fault_health,
    .close = fault_close,
};

struct db *db_fault_wrap(struct db *inner) {
    struct db_fault *f = NEW(struct db_fault);
    db_init(&f->db, &fault_vtable);
    f->db.dialect = inner->dialect;
    f->inner = inner;
    return &f->db;
}

void db_fault_set(struct db *db, const struct db_fault_plan *plan) {
    ASSERT(db->vtable == &fault_vtable);
    struct db_fault *f = fault_of(db);
    ASSERT(plan->kind == DB_FAULT_NONE || plan->kind == DB_FAULT_DELAY || plan->code < 0);
    f->plan = *plan;
    f->count = 0;
}

uint64_t db_fault_count(const struct db *db) {
    ASSERT(db->vtable == &fault_vtable);
    return CONTAINER_OF(db, struct db_fault, db)->count;
}
