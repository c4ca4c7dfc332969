/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - the file adapter: opening, closing, and the calls that need the index only.
 *
 * Everything that changes something is an operation: see group.c for how it becomes durable. */
#include "history/file/file.h"

#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "history/file/file_int.h"

#define SEGMENT_BYTES  ((size_t)64 << 20)
#define SEGMENT_EVENTS 32768
#define MARKER         "holdfast-history"

/* --- calls --- */

static void file_append(struct history *base, struct history_append *const *appends, size_t count) {
    struct hfile *h = hfile_of(base);
    struct err err = {0};
    struct hfile_op op = {.kind = HFILE_OP_APPEND, .appends = appends, .append_count = count};
    int rc = hfile_op_run(h, &op, &err);
    for (size_t i = 0; i < count; i++) {
        if (rc < 0) {
            appends[i]->rc = rc;
            appends[i]->err = err;
        }
        h->appends++;
        h->appended_events += appends[i]->rc == 0 ? appends[i]->count : 0;
    }
}

static int file_wait(struct history *base, const struct history_key *key, int64_t after_seq,
                     int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    struct hfile *h = hfile_of(base);
    for (;;) {
        const struct hfile_session *s = hfile_index_find(&h->index, key->owner, key->session);
        if (s && s->state.last_seq > after_seq) {
            *out_last_seq = s->state.last_seq;
            return 0;
        }
        int rc = fiber_event_wait(&h->appended, deadline_us);
        if (rc < 0)
            return err_set(err, rc, "no event came");
    }
}

static int file_checkpoint_put(struct history *base, const struct history_key *key,
                               struct history_checkpoint *c, struct arena *a, struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_CHECKPOINT, .key = *key, .checkpoint = c};
    (void)a; /* nothing that c does not have already */
    return hfile_op_run(hfile_of(base), &op, err);
}

static int file_checkpoint_rollback(struct history *base, const struct history_key *key,
                                    struct id id, struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_ROLLBACK, .key = *key, .id = id};
    return hfile_op_run(hfile_of(base), &op, err);
}

static int session_need(const struct hfile *h, const struct history_key *key,
                        const struct hfile_session **out, struct err *err) {
    *out = hfile_index_find(&h->index, key->owner, key->session);
    return *out ? 0 : err_set(err, ERR_NOT_FOUND, "no such session");
}

static struct history_session session_out(const struct hfile_session *s, struct arena *a) {
    return (struct history_session){.name = arena_dup(a, hfile_name(s)),
                                    .first_seq = hfile_first_seq(s),
                                    .last_seq = s->state.last_seq,
                                    .payload_bytes = s->state.payload_bytes,
                                    .created_at = s->state.created_at,
                                    .updated_at = s->state.updated_at};
}

static int file_session_get(struct history *base, const struct history_key *key, struct arena *a,
                            struct history_session *out, struct err *err) {
    const struct hfile_session *s;
    int rc = session_need(hfile_of(base), key, &s, err);
    if (rc == 0)
        *out = session_out(s, a);
    return rc;
}

static int file_session_list(struct history *base, str owner, str after, size_t limit,
                             struct arena *a, struct history_session **out, size_t *out_count,
                             struct err *err) {
    const struct hfile_index *x = &hfile_of(base)->index;
    struct hfile_cursor c = hfile_index_seek(x, owner, after, true);
    (void)err;
    *out = ARENA_ARRAY(a, struct history_session, limit);
    *out_count = 0;
    for (const struct hfile_session *s; *out_count < limit && (s = hfile_index_next(x, &c));) {
        if (!str_eq(hfile_owner(s), owner))
            break;
        if (!str_eq(hfile_name(s), after))
            (*out)[(*out_count)++] = session_out(s, a);
    }
    return 0;
}

static int file_session_delete(struct history *base, const struct history_key *key,
                               struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_DELETE, .key = *key};
    return hfile_op_run(hfile_of(base), &op, err);
}

static int file_owner_list(struct history *base, str after, size_t limit, struct arena *a,
                           str **out, size_t *out_count, struct err *err) {
    const struct hfile_index *x = &hfile_of(base)->index;
    struct hfile_cursor c = {0};
    (void)err;
    *out = ARENA_ARRAY(a, str, limit);
    *out_count = 0;
    if (after.p)
        c = hfile_index_seek(x, after, STR_NULL, false);
    for (const struct hfile_session *s; *out_count < limit && (s = hfile_index_next(x, &c));) {
        (*out)[(*out_count)++] = arena_dup(a, hfile_owner(s));
        c = hfile_index_seek(x, hfile_owner(s), STR_NULL, false);
    }
    return 0;
}

static int file_retention_set(struct history *base, str owner, const struct history_retention *r,
                              struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_RETENTION, .key.owner = owner, .retention = *r};
    return hfile_op_run(hfile_of(base), &op, err);
}

static int file_retention_get(struct history *base, str owner, struct history_retention *out,
                              struct err *err) {
    (void)err;
    *out = hfile_policy_of(&hfile_of(base)->index, owner);
    return 0;
}

static int file_consumer_ack(struct history *base, const struct history_key *key, str name,
                             int64_t seq, int64_t *out_acked_seq, struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_ACK, .key = *key, .name = name, .seq = seq};
    int rc = hfile_op_run(hfile_of(base), &op, err);
    if (rc == 0)
        *out_acked_seq = op.seq;
    return rc;
}

static int file_consumer_list(struct history *base, const struct history_key *key, struct arena *a,
                              struct history_consumer **out, size_t *out_count, struct err *err) {
    const struct hfile_session *s;
    int rc = session_need(hfile_of(base), key, &s, err);
    if (rc < 0)
        return rc;
    *out_count = s->extra ? s->extra->consumers.count : 0;
    *out = ARENA_ARRAY(a, struct history_consumer, *out_count + 1);
    for (size_t i = 0; i < *out_count; i++) {
        const struct hfile_consumer *c = &s->extra->consumers.p[i];
        (*out)[i] = (struct history_consumer){arena_dup(a, c->name), c->acked_seq, c->updated_at};
    }
    return 0;
}

static int file_consumer_delete(struct history *base, const struct history_key *key, str name,
                                struct err *err) {
    struct hfile_op op = {.kind = HFILE_OP_CONSUMER_DELETE, .key = *key, .name = name};
    return hfile_op_run(hfile_of(base), &op, err);
}

static int file_stats(struct history *base, struct history_stats *out, struct err *err) {
    const struct hfile *h = hfile_of(base);
    (void)err;
    *out = (struct history_stats){.sessions = (int64_t)h->index.count,
                                  .events = h->index.event_count,
                                  .payload_bytes = h->index.payload_bytes,
                                  .appends = h->appends,
                                  .appended_events = h->appended_events,
                                  .flushes = h->flushes,
                                  .syncs = h->syncs};
    return 0;
}

/* --- opening and closing --- */

/* A mark as the last record: all before it was synced, and the next open need not write it anew. */
static void mark_closed(struct hfile *h) {
    struct hfile_log *log = h->view ? hfile_active(h) : NULL;
    struct buf b;
    if (!log || h->options.read_only || h->options.no_sync || h->failed)
        return;
    buf_init(&b, sizeof(struct hfile_record));
    size_t unit = hfile_record_begin(&b, HFILE_MARK, 0, (int64_t)log->tail, clock_wall_us());
    hfile_record_end(&b, unit);
    hfile_unit_end(&b, unit);
    /* When it fails the next open writes the log anew. */
    if (hfile_write(h->io, log->fd, b.p, b.len, log->tail, NULL) == 0)
        (void)h->io->sync(h->io, log->fd);
    buf_deinit(&b);
}

void hfile_unload(struct hfile *h) {
    hfile_index_deinit(&h->index);
    hfile_view_unref(h, h->view);
    rt_files_free(h->files);
    h->files = NULL;
    for (size_t i = 0; i < h->frames.count; i++)
        hfile_frames_free(h->frames.p[i]);
    vec_deinit(&h->frames);
    hfile_frames_free(h->stage.frames);
    hfile_filter_deinit(&h->filter);
    vec_deinit(&h->stage.list);
    vec_deinit(&h->stage.policies);
    vec_deinit(&h->stage.ids);
    h->view = NULL;
}

static void file_close(struct history *base) {
    struct hfile *h = hfile_of(base);
    if (list_linked(&h->start.node))
        list_remove(&h->start.node);
    struct rt_worker *sealer = h->sealer;
    rt_worker_close(h->writer);
    h->sealer = NULL; /* what it hands back now is closed here */
    rt_worker_close(sealer);
    if (h->writer)
        mark_closed(h);
    hfile_job_free(h->job);
    hfile_unload(h);
    if (h->io)
        h->io->close(h->io);
    mem_free(h);
}

static const struct history_vtable vtable = {
    .name = "file",
    .append = file_append,
    .read = hfile_call_read,
    .wait = file_wait,
    .checkpoint_put = file_checkpoint_put,
    .checkpoint_get = hfile_call_checkpoint_get,
    .checkpoint_list = hfile_call_checkpoint_list,
    .checkpoint_rollback = file_checkpoint_rollback,
    .session_get = file_session_get,
    .session_list = file_session_list,
    .session_delete = file_session_delete,
    .retention_set = file_retention_set,
    .retention_get = file_retention_get,
    .sweep = hfile_call_sweep,
    .consumer_ack = file_consumer_ack,
    .consumer_list = file_consumer_list,
    .consumer_delete = file_consumer_delete,
    .stats = file_stats,
    .owner_list = file_owner_list,
    .close = file_close,
};

static int other_file(void *ctx, const char *name) {
    (void)ctx;
    return strcmp(name, "lock") != 0 && !str_ends(str_of(name), STR(".new"));
}

static int marker_make(struct hfile *h, struct err *err) {
    int rc = h->io->list(h->io, other_file, NULL);
    if (rc < 0)
        return hfile_error(err, rc, "listing the folder");
    if (rc > 0)
        return err_set(err, ERR_INVALID, "history: the folder is not empty and holds no history");
    return hfile_replace(h->io, MARKER, HFILE_MARKER, sizeof HFILE_MARKER - 1, err);
}

int hfile_marker(struct hfile *h, struct err *err) {
    char text[sizeof HFILE_MARKER - 1];
    int fd = h->io->open(h->io, MARKER, O_RDONLY);
    if (fd == -ENOENT && !h->options.read_only)
        return marker_make(h, err);
    if (fd == -ENOENT)
        return err_set(err, ERR_NOT_FOUND, "history: the folder holds none");
    if (fd < 0)
        return hfile_error(err, fd, "opening the folder");
    int rc = hfile_read(h->io, fd, text, sizeof text, 0, err);
    h->io->close_file(h->io, fd);
    if (rc == 0 && memcmp(text, HFILE_MARKER, sizeof text) != 0)
        rc = err_set(err, ERR_UNSUPPORTED, "history: a format that this version does not know");
    return rc;
}

int hfile_lock(struct hfile_io *io, struct err *err) {
    int rc = io->lock(io, "lock");
    if (rc == -EWOULDBLOCK)
        return err_set(err, ERR_UNAVAILABLE, "history: another process has the folder open");
    return rc < 0 ? hfile_error(err, rc, "locking the folder") : 0;
}

static int sync_nothing(struct hfile_io *io, int fd) {
    (void)io, (void)fd;
    return 0;
}

static int sync_no_folder(struct hfile_io *io) {
    (void)io;
    return 0;
}

static void on_start(struct rt_defer *d) {
    hfile_group_start(CONTAINER_OF(d, struct hfile, start));
}

static void sealer_handle(struct rt_worker *w, struct list *batch, void *ctx) {
    struct hfile *h = ctx;
    LIST_EACH (batch, node) {
        struct rt_msg *m = LIST_ENTRY(node, struct rt_msg, node);
        if (hfile_is_log(m))
            hfile_log_close(h->io, CONTAINER_OF(m, struct hfile_log, msg));
        else
            hfile_job_run(h->io, CONTAINER_OF(m, struct hfile_job, msg));
    }
    rt_worker_reply(w, batch);
}

static int workers_open(struct hfile *h, struct err *err) {
    struct rt_worker_options writer = {
        .name = "history-write", .inbox_count_max = 4, .handle = hfile_group_handle, .ctx = h};
    struct rt_worker_options sealer = {
        .name = "history-seal", .inbox_count_max = 16, .handle = sealer_handle, .ctx = h};
    int rc = rt_worker_open(h->rt, &sealer, &h->sealer, err);
    return rc < 0 ? rc : rt_worker_open(h->rt, &writer, &h->writer, err);
}

struct hfile *hfile_new(struct rt *rt, const struct history_file_options *o) {
    struct hfile *h = NEW(struct hfile);
    h->base.vtable = &vtable;
    h->rt = rt;
    h->options = *o;
    h->io = o->io;
    if (h->options.segment_bytes == 0)
        h->options.segment_bytes = SEGMENT_BYTES;
    if (h->options.segment_events == 0)
        h->options.segment_events = SEGMENT_EVENTS;
    map_init(&h->index.policies);
    fiber_event_init(&h->appended);
    fiber_event_init(&h->idle);
    list_init(&h->waiting);
    list_init(&h->group);
    h->start.fn = on_start;
    return h;
}

int history_file_open(struct rt *rt, const struct history_file_options *o, struct history **out,
                      struct err *err) {
    struct hfile *h = hfile_new(rt, o);
    uint64_t torn;
    int rc = h->io ? 0 : hfile_io_folder(o->dir, !o->read_only, &h->io, err);
    if (rc == 0)
        hfile_nowait_init(&h->nowait, h->io);
    if (rc == 0 && !o->read_only)
        rc = hfile_lock(h->io, err);
    if (rc == 0 && o->no_sync) {
        h->io->sync = sync_nothing;
        h->io->sync_folder = sync_no_folder;
    }
    if (rc == 0)
        rc = hfile_marker(h, err);
    if (rc == 0)
        rc = hfile_load(h, &torn, err);
    if (rc == 0 && !o->read_only)
        rc = workers_open(h, err);
    if (rc < 0) {
        if (!h->writer)
            file_close(&h->base);
        return rc;
    }
    *out = &h->base;
    return 0;
}
