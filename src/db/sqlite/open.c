/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - the SQLite driver: opening, the loop's side of each call, closing.
 *
 * One process owns the file: <path>.lock is held with flock() from open to close, so a second
 * holdfast on it is refused at start. (SQLite's own locks would let it in, and two writers without
 * common queues would only wait for each other.) The lock file stays; the kernel drops the lock
 * whatever way the process ends.
 *
 * Opening runs on the caller's thread: lock, writer's connection, migrations, check of all
 * statements, then the readers' connections and the threads. From then on a connection belongs to
 * its thread until rt_worker_close has joined it.
 *
 * A call puts a task on its fiber's stack, posts it and parks shielded: the worker may hold
 * pointers into the fiber's arena until the reply. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite/lite_int.h"
#include "db/sqlite/migrate.h"

#define READERS_MAX  64
#define TURN_LONG_US 1000 /* then pages are read by the threads */

void db_sqlite_options_default(struct db_sqlite_options *o) {
    *o = (struct db_sqlite_options){
        .readers = 2, .queue_count_max = 65536, .cache_bytes = INT64_C(8) << 20};
}

/* --- the loop's side of a call --------------------------------------------------------------- */

static struct lite *lite_of(struct db *db) { return CONTAINER_OF(db, struct lite, db); }

static void on_done(struct rt_msg *m) {
    struct lite_task *t = CONTAINER_OF(m, struct lite_task, msg);
    (*t->waiting)--;
    if (t->kind == LITE_WRITE)
        lite_checkpoint_consider(t->checkpoint);
    t->finished = true;
    fiber_unpark(t->fiber);
}

/* Returns the task's code. */
static int task_run(struct lite *l, struct lite_task *t, struct rt_worker *worker, size_t *waiting,
                    struct err *err) {
    if (*waiting >= l->queue_count_max)
        return err_set(err, ERR_LIMIT, "the database has %zu operations waiting", *waiting);
    t->msg.done = on_done;
    t->fiber = fiber_self();
    t->waiting = waiting;
    t->checkpoint = &l->checkpoint;
    int code = rt_worker_post_late(worker, &t->msg);
    if (code < 0)
        return err_set(err, code, "the database has too many operations waiting");
    (*waiting)++;
    while (!t->finished)
        fiber_park_shielded();
    if (t->code < 0 && err)
        *err = t->err;
    return t->code;
}

static int lite_commit(struct db *db, struct db_batch *b, struct err *err) {
    struct lite *l = lite_of(db);
    struct lite_task t;
    t.kind = LITE_WRITE;
    t.msg.node = (struct list){0};
    t.finished = false;
    t.batch = b;
    return task_run(l, &t, l->writer.worker, &l->writer.waiting, err);
}

static int read_task(struct lite *l, struct lite_task *t, struct err *err) {
    t->msg.node = (struct list){0};
    t->finished = false;
    t->code = 0;
    err_reset(&t->err);
    if (l->reader_count == 0)
        return task_run(l, t, l->writer.worker, &l->shared.waiting, err);
    struct lite_reader *r = &l->readers[0];
    for (size_t i = 1; i < l->reader_count; i++)
        if (l->readers[i].waiting < r->waiting)
            r = &l->readers[i];
    return task_run(l, t, r->worker, &r->waiting, err);
}

/* A reading thread is at work, or the loop has worked for long without a look at its clients. */
static bool is_busy(const struct lite *l) {
    for (size_t i = 0; i < l->reader_count; i++)
        if (l->readers[i].waiting > 0)
            return true;
    return clock_mono_us() - rt_mono_us(l->rt) > TURN_LONG_US;
}

static int lite_read(struct db *db, enum db_stmt stmt, const struct db_value *params,
                     size_t param_count, struct arena *a, struct db_rows *out, struct err *err) {
    struct lite *l = lite_of(db);
    struct lite_task t;
    t.kind = LITE_READ;
    t.call =
        (struct lite_call){.stmt = stmt, .params = params, .param_count = param_count, .arena = a};
    if (lite_inline_read(&l->inline_reads, &t.call, db_catalogue[stmt].page && is_busy(l), out))
        return 0;
    int code = read_task(l, &t, err);
    if (code == 0)
        *out = t.rows;
    return code;
}

static int lite_ping(struct db *db, struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 4096);
    int code = lite_read(db, SQL_PING, DB_NO_PARAMS, &a, &rows, err);
    arena_deinit(&a);
    return code;
}

static int lite_db_digest(struct db *db, char out[DB_DIGEST_LEN + 1], struct err *err) {
    struct lite_task t;
    t.kind = LITE_DIGEST;
    int code = read_task(lite_of(db), &t, err);
    if (code == 0)
        memcpy(out, t.digest, sizeof(t.digest));
    return code;
}

static uint64_t load(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add_reader_stats(const struct lite_reader *r, struct db_stats *out) {
    out->reads += load(&r->reads);
    out->errors += load(&r->errors);
    out->read_queue += r->waiting;
}

static void lite_stats(struct db *db, struct db_stats *out) {
    struct lite *l = lite_of(db);
    const struct lite_writer *w = &l->writer;
    *out = (struct db_stats){.batches = load(&w->batches),
                             .commits = load(&w->commits),
                             .statements = load(&w->statements),
                             .errors = load(&w->errors),
                             .write_queue = w->waiting};
    add_reader_stats(&l->shared, out);
    for (size_t i = 0; i < l->reader_count; i++)
        add_reader_stats(&l->readers[i], out);
    out->reads_inline = l->inline_reads.reads;
    out->read_fallbacks = l->inline_reads.fallbacks;
    out->reads += out->reads_inline;
    out->statements += out->reads;
}

/* --- opening and closing --------------------------------------------------------------------- */

static void lite_close(struct db *db) {
    struct lite *l = lite_of(db);
    if (l->checkpoint.worker)
        rt_worker_close(l->checkpoint.worker);
    l->checkpoint.worker = NULL;
    if (l->checkpoint.conn.db)
        lite_conn_close(&l->checkpoint.conn);
    for (size_t i = 0; i < l->reader_count; i++) {
        if (l->readers[i].worker)
            rt_worker_close(l->readers[i].worker);
        if (l->readers[i].conn.db)
            lite_conn_close(&l->readers[i].conn);
    }
    lite_inline_close(&l->inline_reads);
    bool started = l->writer.worker != NULL;
    if (started)
        rt_worker_close(l->writer.worker);
    if (l->writer.conn.db) {
        if (started)
            lite_writer_finish(&l->writer);
        lite_conn_close(&l->writer.conn);
    }
    lite_inline_close_files(&l->inline_reads);
    if (l->lock_fd >= 0)
        (void)close(l->lock_fd); /* drops the lock; nothing was written that matters */
    mem_free(l->readers);
    mem_free(l);
}

static const struct db_vtable lite_vtable = {
    .name = "sqlite",
    .dialect = DB_SQLITE,
    .commit = lite_commit,
    .read = lite_read,
    .ping = lite_ping,
    .digest = lite_db_digest,
    .stats = lite_stats,
    .close = lite_close,
};

/* Also creates the database file, so that nobody but its owner can read it. */
static int lock_file(const char *path, int *out_fd, struct err *err) {
    char lock_path[4096];
    int len = snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    if (len < 0 || (size_t)len >= sizeof(lock_path))
        return err_set(err, ERR_INVALID, "database %s: the path is too long", path);
    int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_system(err, ERR_IO, errno, "database %s: %s cannot be opened (errno %d)",
                              path, lock_path, errno);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int system = errno;
        char owner[32] = {0};
        ssize_t n = system == EWOULDBLOCK ? pread(fd, owner, sizeof(owner) - 1, 0) : 0;
        (void)close(fd); /* it was only looked at */
        if (system != EWOULDBLOCK)
            return err_set_system(err, ERR_IO, system, "database %s: %s cannot be locked", path,
                                  lock_path);
        return err_set_system(err, ERR_UNAVAILABLE, system,
                              "database %s: another process%s%s has it open", path,
                              n > 0 ? " with id " : "", owner);
    }
    int data = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (data < 0) {
        int system = errno;
        (void)close(fd); /* nothing was written */
        return err_set_system(err, ERR_IO, system, "database %s cannot be opened (errno %d)", path,
                              system);
    }
    (void)close(data); /* SQLite opens it again */
    /* The number is for people; a lock without it works as well. */
    if (ftruncate(fd, 0) == 0 && dprintf(fd, "%d", (int)getpid()) < 0)
        log_plain(LOG_WARN, "db.lock", "the lock file cannot be written");
    *out_fd = fd;
    return 0;
}

static int open_writer(struct lite *l, const struct db_sqlite_options *o, struct err *err) {
    struct lite_writer *w = &l->writer;
    const struct lite_conn_options options = {.path = o->path,
                                              .synchronous_normal = o->synchronous_normal,
                                              .log_all = o->log_all,
                                              .erases = o->erases,
                                              .cache_bytes = o->cache_bytes,
                                              .page_bytes = o->page_bytes};
    int code = lite_conn_open(&w->conn, &options, err);
    if (code < 0)
        return code;
    code = lite_migrate(&w->conn, db_sqlite_migrations, db_sqlite_migration_count, err);
    if (code == 0)
        code = lite_conn_check(&w->conn, err);
    if (code < 0)
        return err_context(err, "database %s", o->path ? o->path : "in memory"), code;
    lite_writer_set_up(l, o->path == NULL);
    return rt_worker_open(l->rt,
                          &(struct rt_worker_options){.name = "db-writer",
                                                      .inbox_count_max = 2 * o->queue_count_max,
                                                      .handle = lite_writer_handle,
                                                      .idle = lite_writer_idle,
                                                      .ctx = l},
                          &w->worker, err);
}

static void open_inline(struct lite *l, const struct db_sqlite_options *o) {
    struct lite_inline *n = &l->inline_reads;
    n->read_count = l->db.metrics.reads_inline;
    n->fallback_count = l->db.metrics.read_fallbacks;
    lite_inline_open(n, &(struct lite_conn_options){.path = o->path,
                                                    .read_only = true,
                                                    .log_all = o->log_all,
                                                    .cache_bytes = o->cache_bytes});
}

static int open_readers(struct lite *l, const struct db_sqlite_options *o, struct err *err) {
    const struct lite_conn_options options = {.path = o->path,
                                              .read_only = true,
                                              .log_all = o->log_all,
                                              .cache_bytes = o->cache_bytes,
                                              .mmap_bytes = o->mmap_bytes};
    int code = 0;
    for (size_t i = 0; code == 0 && i < l->reader_count; i++) {
        struct lite_reader *r = &l->readers[i];
        code = lite_conn_open(&r->conn, &options, err);
        if (code == 0)
            code = rt_worker_open(l->rt,
                                  &(struct rt_worker_options){.name = "db-reader",
                                                              .inbox_count_max = o->queue_count_max,
                                                              .handle = lite_reader_handle,
                                                              .ctx = r},
                                  &r->worker, err);
    }
    return code;
}

static int open_checkpoint(struct lite *l, const struct db_sqlite_options *o, struct err *err) {
    struct lite_checkpoint *k = &l->checkpoint;
    /* A checkpoint syncs with either setting; this one has no gathered log, which it only reads. */
    const struct lite_conn_options options = {.path = o->path, .synchronous_normal = true};
    int code = lite_conn_open(&k->conn, &options, err);
    if (code == 0)
        code = lite_checkpoint_set_up(k, err);
    if (code < 0)
        return code;
    return rt_worker_open(l->rt,
                          &(struct rt_worker_options){.name = "db-checkpoint",
                                                      .inbox_count_max = 1,
                                                      .handle = lite_checkpoint_handle,
                                                      .ctx = k},
                          &k->worker, err);
}

int db_sqlite_open(struct rt *rt, const struct db_sqlite_options *o, struct db **out,
                   struct err *err) {
    if (o->path && (o->readers < 1 || o->readers > READERS_MAX))
        return err_set(err, ERR_INVALID, "database readers: 1 to %d, not %d", READERS_MAX,
                       o->readers);
    int code = lite_library_init(err);
    if (code < 0)
        return code;
    struct lite *l = NEW(struct lite);
    db_init(&l->db, &lite_vtable);
    l->rt = rt;
    l->lock_fd = -1;
    l->queue_count_max = o->queue_count_max;
    l->reader_count = o->path ? (size_t)o->readers : 0;
    l->readers = mem_calloc(l->reader_count + 1, sizeof(*l->readers));
    if (o->path)
        code = lock_file(o->path, &l->lock_fd, err);
    if (code == 0)
        code = open_writer(l, o, err);
    if (code == 0)
        code = open_readers(l, o, err);
    if (code == 0 && o->path)
        code = open_checkpoint(l, o, err);
    if (code == 0 && o->path)
        open_inline(l, o);
    if (code < 0) {
        lite_close(&l->db);
        return code;
    }
    *out = &l->db;
    return 0;
}
