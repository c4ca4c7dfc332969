/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - the writing thread: group commit.
 *
 * While one commit waits for the disk, batches gather in the inbox; the next round takes them all
 * into one transaction, so one fsync serves many fibers and nobody waits on purpose. A group ends
 * at GROUP_BATCHES_MAX batches or when it has run for GROUP_RUN_US, which bounds what a batch waits
 * for others. Nothing is answered before COMMIT has returned.
 *
 * A failing batch must not sink its group. The group runs first without savepoints (each would
 * journal every page it touches). When a batch fails, the transaction rolls back and the same
 * batches run again, each in a savepoint; the next CAREFUL_GROUPS groups do so at once. Batches
 * have no effect but on the database, so running one twice is as running it once; its results are
 * written over (an arena may hold the first ones unused).
 *
 *   begin ── batch ok ──▶ next … ──▶ commit ──▶ reply all
 *     │        └ fails, alone ──▶ rollback ──▶ reply
 *     │        └ fails, plain ──▶ rollback ──▶ again with savepoints
 *     │        └ fails, savepoint ──▶ rollback to it ──▶ next …
 *     └ transaction lost (disk, memory, damage), or commit fails ──▶ rollback, all get the error
 *
 * The end of a checkpoint is done between groups; see checkpoint.c. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "db/sqlite/lite_int.h"
#include "db/sqlite/wal_vfs.h"
#include "db/stmt_log.h"

#define GROUP_BATCHES_MAX 512
#define GROUP_RUN_US 20000
#define CAREFUL_GROUPS 16

enum group_state {
    GROUP_READY, /* to be committed */
    GROUP_AGAIN, /* rolled back; the tasks are back in the queue */
    GROUP_LOST   /* rolled back; all tasks have their error */
};

static int check_expectation(const struct db_op *op, struct err *err) {
    bool met = true;
    switch (op->expect.kind) {
    case DB_ANY:
        break;
    case DB_CHANGES:
        met = op->changed > 0 || op->rows.row_count > 0;
        break;
    case DB_NO_ROW:
        met = op->rows.row_count == 0;
        break;
    }
    return met ? 0 : err_set(err, op->expect.code, "%s", err_text(op->expect.code));
}

static int batch_run(struct lite_writer *w, struct db_batch *b, struct err *err) {
    for (size_t i = 0; i < b->count; i++) {
        struct db_op *op = &b->ops[i];
        struct lite_call call = {.stmt = op->stmt,
                                 .params = op->params,
                                 .param_count = op->param_count,
                                 .arena = b->arena};
        op->rows = (struct db_rows){0};
        op->changed = 0;
        int code = FAILPOINT("db.write.statement");
        if (code < 0)
            err_set(err, code, "failpoint db.write.statement");
        else
            code = lite_conn_run(&w->conn, &call, &op->rows, &op->changed, err);
        if (code == 0)
            code = check_expectation(op, err);
        if (code < 0) {
            b->failed_at = i;
            return code;
        }
    }
    return 0;
}

/* Did this failure take, or must it take, the whole transaction with it? */
static bool is_lost(const struct lite_writer *w, const struct lite_task *t) {
    if (sqlite3_get_autocommit(w->conn.db))
        return true;
    switch (t->err.system & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
        return true;
    default:
        return false;
    }
}

/* The tasks that had gone well share the group's error. */
static enum group_state group_lose(struct lite_writer *w, struct list *group, int code,
                                   const struct err *err) {
    struct err why = *err; /* it may be one of the group's own */
    lite_conn_roll_back(&w->conn);
    LIST_EACH(group, node) {
        struct lite_task *t = LITE_TASK(node);
        if (t->code == 0) {
            t->code = code;
            t->err = why;
        }
    }
    return GROUP_LOST;
}

static void task_reset(struct lite_task *t) {
    t->code = 0;
    err_reset(&t->err);
    t->batch->failed_at = SIZE_MAX;
}

static int run_nested(struct lite_writer *w, struct lite_task *t) {
    t->code = lite_conn_own(&w->conn, LITE_SAVEPOINT, &t->err);
    if (t->code < 0)
        return t->code;
    t->code = batch_run(w, t->batch, &t->err);
    if (t->code < 0 && is_lost(w, t))
        return t->code;
    int code = t->code < 0 ? lite_conn_own(&w->conn, LITE_ROLLBACK_TO, NULL) : 0;
    if (code == 0)
        code = lite_conn_own(&w->conn, LITE_RELEASE, t->code < 0 ? NULL : &t->err);
    if (code < 0 && t->code == 0)
        t->code = code;
    return code;
}

/* Moves tasks from the queue to the group as it runs them in one transaction. */
static enum group_state group_run(struct lite_writer *w, struct list *tasks, struct list *group) {
    bool nested = w->careful > 0;
    size_t count = 0;
    int64_t until_us = clock_mono_us() + GROUP_RUN_US;
    struct err begin_err = {0};
    int begin = lite_conn_own(&w->conn, LITE_BEGIN, &begin_err);
    do {
        struct list *node = list_pop_front(tasks);
        struct lite_task *t = LITE_TASK(node);
        bool alone = count == 0 && list_empty(tasks);
        list_push_back(group, node);
        task_reset(t);
        count++;
        if (begin < 0)
            continue;
        if (nested && !alone) {
            if (run_nested(w, t) < 0)
                return group_lose(w, group, t->code, &t->err);
            continue;
        }
        t->code = batch_run(w, t->batch, &t->err);
        if (t->code == 0)
            continue;
        if (alone || is_lost(w, t))
            return group_lose(w, group, t->code, &t->err);
        lite_conn_roll_back(&w->conn);
        w->careful = CAREFUL_GROUPS + 1;
        list_splice(group, tasks);
        list_splice(tasks, group);
        return GROUP_AGAIN;
    } while (!list_empty(tasks) && count < GROUP_BATCHES_MAX && clock_mono_us() < until_us);
    return begin < 0 ? group_lose(w, group, begin, &begin_err) : GROUP_READY;
}

static int commit(struct lite_writer *w, bool *in_doubt, struct err *err) {
    int code = FAILPOINT("db.commit.before");
    if (code < 0)
        return err_set(err, code, "failpoint db.commit.before");
    int64_t start_us = clock_mono_us();
    code = lite_conn_own(&w->conn, LITE_COMMIT, err);
    stmt_log(w->conn.log_all, "commit", db_sqlite_own[LITE_COMMIT], clock_mono_us() - start_us, 0);
    if (code < 0)
        return code;
    atomic_fetch_add_explicit(&w->commits, 1, memory_order_relaxed);
    metric_add(w->commit_count, 1);
    code = FAILPOINT("db.commit.after");
    *in_doubt = code < 0;
    return code < 0 ? err_set(err, code, "failpoint db.commit.after") : 0;
}

static void count_group(struct lite_writer *w, const struct list *group) {
    uint64_t batches = 0, statements = 0, errors = 0;
    LIST_EACH(group, node) {
        const struct lite_task *t = LITE_TASK(node);
        batches++;
        statements += t->batch->count;
        errors += t->code < 0;
    }
    atomic_fetch_add_explicit(&w->batches, batches, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->statements, statements, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->errors, errors, memory_order_relaxed);
}

static void write_next_group(struct lite_writer *w, struct rt_worker *worker, struct list *tasks) {
    struct list group;
    list_init(&group);
    enum group_state state = group_run(w, tasks, &group);
    if (state == GROUP_AGAIN)
        return;
    if (state == GROUP_READY) {
        struct err err = {0};
        bool in_doubt = false;
        int code = commit(w, &in_doubt, &err);
        if (code < 0)
            (void)group_lose(w, &group, code, &err); /* the tasks have it now */
        LIST_EACH(&group, node)
            LITE_TASK(node)->batch->in_doubt = in_doubt;
    }
    if (w->careful > 0)
        w->careful--;
    count_group(w, &group);
    rt_worker_reply(worker, &group); /* the tasks are gone from here on */
}

static int on_wal_commit(void *ctx, sqlite3 *db, const char *name, int pages) {
    (void)name;
    struct lite_checkpoint *k = ctx;
    ASSERT(lite_wal_vfs_pending(db) == 0); /* what is published must be in the file */
    atomic_store_explicit(&k->wal_pages, pages, memory_order_relaxed);
    return SQLITE_OK;
}

void lite_writer_handle(struct rt_worker *worker, struct list *batch, void *ctx) {
    struct lite *l = ctx;
    struct lite_writer *w = &l->writer;
    struct list reads;
    list_init(&reads);
    if (w->in_memory) {
        LIST_EACH(batch, node) {
            if (LITE_TASK(node)->kind == LITE_WRITE)
                continue;
            list_remove(node);
            list_push_back(&reads, node);
        }
        lite_reads_run(&w->conn, &l->shared, worker, &reads);
    }
    while (!list_empty(batch)) {
        write_next_group(w, worker, batch);
        lite_checkpoint_finish(&l->checkpoint, &w->conn);
    }
}

void lite_writer_idle(void *ctx) {
    struct lite *l = ctx;
    lite_checkpoint_finish(&l->checkpoint, &l->writer.conn);
}

void lite_writer_set_up(struct lite *l, bool in_memory) {
    l->writer.in_memory = in_memory;
    l->writer.commit_count = l->db.metrics.commits;
    if (!in_memory) /* returns the earlier argument; also ends automatic checkpoints */
        (void)sqlite3_wal_hook(l->writer.conn.db, on_wal_commit, &l->checkpoint);
}

void lite_writer_finish(struct lite_writer *w) {
    if (w->in_memory)
        return;
    int rc = sqlite3_wal_checkpoint_v2(w->conn.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc != SQLITE_OK) /* nothing is lost: the next start reads the log */
        log_event(LOG_WARN, "db.checkpoint.failed", sqlite3_errmsg(w->conn.db),
                  LOG_INT("code", rc));
}
