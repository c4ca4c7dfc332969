/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - copying the log into the file, beside the writer.
 *
 * A checkpoint of a large log takes many milliseconds of reading, writing and two syncs; done by
 * the writer it would stall every commit. So a thread of its own, with its own connection, copies
 * (passively: it waits for nobody) while the writer goes on appending. That alone never ends under
 * load: the log can start anew only when all of it is in the file. Hence the last step is the
 * writer's: told that the bulk is copied, it copies the few pages that came since, and its next
 * transaction starts the log anew.
 *
 *   loop: log beyond next_pages ─▶ checkpointer: copy, copy ─▶ writer: copy the rest ─▶ log anew
 *                                                                  └ readers hold it back: the
 *                                                                    loop tries again, later
 *
 * A log of START_BYTES stays in the kernel's memory and is written over again and again, whatever
 * the size of its pages: a longer one takes new blocks of the disk and new memory for longer.
 *
 * The writer's step waits up to RESTART_WAIT_MS for readers, so that readers that overlap for ever
 * cannot make the log grow for ever. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "db/sqlite/lite_int.h"

#define START_BYTES     (INT64_C(32) << 20) /* of log */
#define AGAIN_BYTES     (INT64_C(8) << 20)  /* growth until the next try, when it did not work */
#define COPY_PASSES     2                  /* the second one takes what came during the first */
#define RESTART_WAIT_MS 2

static int copy(sqlite3 *db, int mode, const char *who) {
    if (FAILPOINT("db.checkpoint.copy") < 0) {
        log_plain(LOG_WARN, "db.checkpoint.failed", "failpoint db.checkpoint.copy");
        return SQLITE_IOERR;
    }
    int64_t start_us = clock_mono_us();
    int log_pages = 0, done_pages = 0;
    int rc = sqlite3_wal_checkpoint_v2(db, NULL, mode, &log_pages, &done_pages);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        struct err err = {0};
        (void)lite_error(db, "checkpoint", &err); /* commits still reach the log */
        log_event(LOG_WARN, "db.checkpoint.failed", err.message, LOG_INT("code", rc));
        return rc;
    }
    log_event(LOG_DEBUG, "db.checkpoint", "log copied into the file", LOG_Z("by", who),
              LOG_INT("latency_us", clock_mono_us() - start_us), LOG_INT("log_pages", log_pages),
              LOG_INT("done_pages", done_pages));
    return SQLITE_OK;
}

void lite_checkpoint_handle(struct rt_worker *w, struct list *batch, void *ctx) {
    struct lite_checkpoint *k = ctx;
    int rc = SQLITE_OK;
    for (int i = 0; i < COPY_PASSES && rc == SQLITE_OK; i++)
        rc = copy(k->conn.db, SQLITE_CHECKPOINT_PASSIVE, "checkpointer");
    (void)FAILPOINT("db.checkpoint.copied"); /* for crashes: the log is not anew yet */
    if (rc == SQLITE_OK)
        atomic_store_explicit(&k->copied, true, memory_order_release);
    rt_worker_reply(w, batch);
}

void lite_checkpoint_finish(struct lite_checkpoint *k, struct lite_conn *writer) {
    if (!atomic_load_explicit(&k->copied, memory_order_acquire))
        return;
    atomic_store_explicit(&k->copied, false, memory_order_relaxed);
    (void)sqlite3_busy_timeout(writer->db, RESTART_WAIT_MS);     /* cannot fail on an open one */
    (void)copy(writer->db, SQLITE_CHECKPOINT_RESTART, "writer"); /* it has logged why */
    (void)sqlite3_busy_timeout(writer->db, LITE_BUSY_TIMEOUT_MS);
}

static void on_copied(struct rt_msg *m) {
    struct lite_checkpoint *k = CONTAINER_OF(m, struct lite_checkpoint, msg);
    k->running = false;
    k->next_pages = atomic_load_explicit(&k->wal_pages, memory_order_relaxed) + k->again_pages;
}

int lite_checkpoint_set_up(struct lite_checkpoint *k, struct err *err) {
    int64_t page_bytes = 0;
    int code = lite_conn_pragma(&k->conn, LITE_GET_PAGE_BYTES, 0, &page_bytes, err);
    if (code < 0)
        return code;
    if (page_bytes < 1)
        return err_set(err, ERR_CORRUPT, "pages of %lld bytes", (long long)page_bytes);
    k->start_pages = (int)(START_BYTES / page_bytes);
    k->again_pages = (int)(AGAIN_BYTES / page_bytes);
    return 0;
}

void lite_checkpoint_consider(struct lite_checkpoint *k) {
    int pages = atomic_load_explicit(&k->wal_pages, memory_order_relaxed);
    if (k->running || !k->worker)
        return;
    if (pages < k->start_pages)
        k->next_pages = k->start_pages; /* the log has started anew */
    if (pages < k->next_pages)
        return;
    k->msg.done = on_copied;
    k->running = rt_worker_post(k->worker, &k->msg) == 0;
}
