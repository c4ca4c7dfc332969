/* SPDX-License-Identifier: Apache-2.0 */
/* reader.c - the reading threads.
 *
 * A reader takes all reads that wait for it and runs them in one transaction: one snapshot, one
 * pair of lock calls. The snapshot is taken after the reads arrived, so each sees every commit that
 * was answered before it was asked. A group is bounded, since an open snapshot holds back the
 * checkpoint. Each read is answered as soon as it has run.
 *
 * For a database in memory the writer's connection does this between its transactions. */
#include "base/failpoint.h"
#include "db/sqlite/lite_int.h"

#define READ_GROUP_MAX 64

static void run_one(struct lite_conn *c, struct lite_task *t) {
    if (FAILPOINT("db.read") < 0)
        t->code = err_set(&t->err, ERR_IO, "failpoint db.read");
    else if (t->kind == LITE_DIGEST)
        t->code = lite_digest(c, t->digest, &t->err);
    else
        t->code = lite_conn_run(c, &t->call, &t->rows, NULL, &t->err);
}

static void run_group(struct lite_conn *c, struct lite_reader *counts, struct rt_worker *w,
                      struct list *tasks) {
    /* Without the transaction each read takes its own snapshot: slower, as right. */
    bool whole = tasks->next->next != tasks || LITE_TASK(tasks->next)->kind == LITE_DIGEST;
    bool shared = whole && lite_conn_own(c, LITE_BEGIN_READ, NULL) == 0;
    for (int i = 0; i < READ_GROUP_MAX && !list_empty(tasks); i++) {
        struct list *node = list_pop_front(tasks), one;
        struct lite_task *t = LITE_TASK(node);
        run_one(c, t);
        atomic_fetch_add_explicit(&counts->reads, 1, memory_order_relaxed);
        if (t->code < 0)
            atomic_fetch_add_explicit(&counts->errors, 1, memory_order_relaxed);
        list_init(&one);
        list_push_back(&one, node);
        rt_worker_reply(w, &one); /* t is gone from here on */
    }
    if (shared && !sqlite3_get_autocommit(c->db) && lite_conn_own(c, LITE_COMMIT, NULL) < 0)
        lite_conn_roll_back(c); /* nothing was changed */
}

void lite_reads_run(struct lite_conn *c, struct lite_reader *counts, struct rt_worker *w,
                    struct list *tasks) {
    while (!list_empty(tasks))
        run_group(c, counts, w, tasks);
}

void lite_reader_handle(struct rt_worker *w, struct list *batch, void *ctx) {
    struct lite_reader *r = ctx;
    lite_reads_run(&r->conn, r, w, batch);
}
