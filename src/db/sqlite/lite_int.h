/* SPDX-License-Identifier: Apache-2.0 */
/* lite_int.h - the SQLite driver's inside: who runs on which thread.
 *
 *   loop thread   struct lite, its counts of waiting tasks; struct lite_inline: its own connection
 *   writer        struct lite_writer: the only connection that changes the file
 *   readers       struct lite_reader: read-only connections
 *   checkpointer  struct lite_checkpoint: copies the log into the file while the writer goes on
 *
 * A task lives on its fiber's stack; from post to reply it is the worker's. */
#ifndef HF_DB_SQLITE_LITE_INT_H
#define HF_DB_SQLITE_LITE_INT_H

#include <stdatomic.h>

#include "base/holdoff.h"
#include "db/sqlite/conn.h"
#include "db/sqlite/nowait_vfs.h"
#include "db/sqlite/sqlite.h"
#include "rt/worker.h"

enum lite_task_kind { LITE_WRITE, LITE_READ, LITE_DIGEST };

struct lite_task {
    struct rt_msg msg;
    enum lite_task_kind kind;
    struct fiber *fiber;
    size_t *waiting;          /* the count it is in */
    struct lite_checkpoint *checkpoint;
    bool finished;            /* set on the loop */
    int code;                 /* out */
    struct err err;           /* out */
    struct db_batch *batch;   /* write */
    struct lite_call call;    /* read */
    struct db_rows rows;      /* out: read */
    char digest[DB_DIGEST_LEN + 1]; /* out: digest */
};
#define LITE_TASK(node_ptr) \
    CONTAINER_OF(LIST_ENTRY(node_ptr, struct rt_msg, node), struct lite_task, msg)

struct lite_writer {
    struct rt_worker *worker;
    struct lite_conn conn;
    size_t waiting;              /* loop: writes under way */
    bool in_memory;
    int careful;                 /* groups to come that run with a savepoint for each batch */
    struct metric *commit_count;
    _Atomic uint64_t batches, commits, statements, errors;
};

struct lite_reader {
    struct rt_worker *worker;
    struct lite_conn conn;
    size_t waiting;              /* loop: reads under way */
    _Atomic uint64_t reads, errors;
};

struct lite_checkpoint {
    struct rt_worker *worker;    /* NULL in memory */
    struct lite_conn conn;
    struct rt_msg msg;
    bool running;                /* loop */
    int start_pages, again_pages;
    int next_pages;              /* loop: length of the log that starts the next one */
    _Atomic int wal_pages;       /* set by the writer */
    _Atomic bool copied;         /* set by the checkpointer, taken by the writer */
};

struct lite_inline {
    struct lite_nowait layer;
    struct lite_conn conn;
    bool layer_open, on;
    struct holdoff pages; /* that are not tried, after one that was in vain */
    uint64_t reads, fallbacks;
    struct metric *read_count, *fallback_count;
};

struct lite {
    struct db db;
    struct rt *rt;
    int lock_fd;                 /* -1 in memory */
    size_t queue_count_max;
    struct lite_writer writer;
    struct lite_reader *readers;
    size_t reader_count;         /* 0 in memory: the writer's connection reads */
    struct lite_checkpoint checkpoint;
    struct lite_inline inline_reads; /* off in memory */
    struct lite_reader shared;   /* counts of reads on the writer's connection */
};

/* writer.c */
void lite_writer_handle(struct rt_worker *w, struct list *batch, void *ctx); /* ctx: struct lite */
void lite_writer_idle(void *ctx);
void lite_writer_set_up(struct lite *l, bool in_memory);
void lite_writer_finish(struct lite_writer *w); /* empties the log into the file */

/* checkpoint.c */
void lite_checkpoint_handle(struct rt_worker *w, struct list *batch, void *ctx);
MUST_CHECK int lite_checkpoint_set_up(struct lite_checkpoint *k, struct err *err);
void lite_checkpoint_consider(struct lite_checkpoint *k); /* loop thread, after each commit */
void lite_checkpoint_finish(struct lite_checkpoint *k, struct lite_conn *writer); /* writer */

/* reader.c */
void lite_reader_handle(struct rt_worker *w, struct list *batch, void *ctx); /* lite_reader */
/* Runs reads in one snapshot and replies each. */
void lite_reads_run(struct lite_conn *c, struct lite_reader *counts, struct rt_worker *w,
                    struct list *tasks);

/* inline.c, loop thread */
void lite_inline_open(struct lite_inline *n, const struct lite_conn_options *o); /* or stays off */
void lite_inline_close(struct lite_inline *n);
void lite_inline_close_files(struct lite_inline *n); /* after all connections to the file */
/* False when a reading thread must do it. busy: reads of pages are better done there. */
MUST_CHECK bool lite_inline_read(struct lite_inline *n, const struct lite_call *call, bool busy,
                                 struct db_rows *out);

/* digest.c */
MUST_CHECK int lite_digest(struct lite_conn *c, char out[DB_DIGEST_LEN + 1], struct err *err);

#endif
