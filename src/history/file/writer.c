/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - a group on the writer's thread: one write and one sync for all its operations.
 *
 *   close a full log, plan its sealing ──▶ stage each operation ──▶ write ──▶ sync ──▶ reply
 *
 * A write that fails is cut off again, so that no byte of it can be taken for a record later; when
 * that fails, or when a sync fails, the history takes nothing more until it is opened again: the
 * system may have dropped what could not be written, and would say that it was. Opening writes what
 * it finds to a new file. A new log is made before a group, never within one. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "history/file/file_int.h"

#define OUT_BYTES_MAX ((size_t)1 << 30)

static void stage_begin(struct hfile *h) {
    struct hfile_stage *st = &h->stage;
    st->number_next = h->index.number_next;
    st->now_us = clock_wall_us();
    st->log = hfile_active(h);
    st->made = NULL;
    st->synced = false;
    st->job = NULL;
    buf_init(&st->out, OUT_BYTES_MAX);
    arena_init(&st->arena, OUT_BYTES_MAX);
    map_init(&st->sessions);
}

/* Every write begins with it: it says that all before was synced. */
static void mark_put(struct hfile *h) {
    struct hfile_stage *st = &h->stage;
    if (h->options.no_sync)
        return;
    size_t unit = hfile_record_begin(&st->out, HFILE_MARK, 0, (int64_t)st->log->tail, st->now_us);
    hfile_record_end(&st->out, unit);
    hfile_unit_end(&st->out, unit);
}

/* The log is full or shall be sealed: another one takes its place. */
static int log_switch(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_stage *st = &h->stage;
    struct hfile_log *old = st->log;
    int rc = FAILPOINT("history.file.log_switch");
    if (rc < 0)
        return err_set(err, rc, "failpoint history.file.log_switch");
    rc = hfile_plan_log(h, old, op, &st->job, err);
    if (rc == 0)
        rc = hfile_log_make(h->io, old->number + 1, h->options.segment_bytes, &st->made, err);
    if (rc < 0) {
        hfile_job_free(st->job);
        st->job = NULL;
        return rc;
    }
    (void)h->io->truncate(h->io, old->fd, old->tail); /* it only gives zeros back */
    for (size_t i = 0; i < old->ids.cap; i++) {
        if (old->ids.slots[i].at)
            hfile_filter_add(&h->filter, old->ids.slots[i].hash);
    }
    st->log = st->made;
    return 0;
}

static bool can_switch(const struct hfile *h) {
    const struct hfile_log *log = h->stage.log;
    return !h->job && !h->view->logs[(log->number + 1) & 1] && !h->stage.job && !h->failed;
}

static void before_group(struct hfile *h, struct list *group) {
    const struct hfile_log *log = h->stage.log;
    bool full = log->tail >= h->options.segment_bytes ||
                (size_t)log->event_count >= h->options.segment_events;
    LIST_EACH (group, node) {
        struct hfile_op *op = LIST_ENTRY(node, struct hfile_op, node);
        if (op->kind != HFILE_OP_SEAL && op->kind != HFILE_OP_REWRITE)
            continue;
        if (!can_switch(h))
            op->rc = err_set(&op->err, h->failed ? ERR_IO : ERR_LIMIT, "the sealer is at work");
        else if (op->kind == HFILE_OP_REWRITE)
            op->rc = hfile_plan_segments(h, op, &h->stage.job, &op->err);
        else
            op->rc = log_switch(h, op, &op->err);
    }
    if (full && !h->options.seal_never && can_switch(h)) {
        struct hfile_op none = {.now_us = INT64_MIN};
        (void)log_switch(h, &none, &none.err); /* else the next group tries again */
    }
}

static int write_out(struct hfile *h, struct err *err) {
    struct hfile_stage *st = &h->stage;
    int rc = FAILPOINT("history.file.write");
    if (rc < 0)
        err_set(err, rc, "failpoint history.file.write");
    else
        rc = hfile_write(h->io, st->log->fd, st->out.p, st->out.len, st->log->tail, err);
    if (rc == 0)
        return 0;
    uint64_t whole = st->log->tail > h->options.segment_bytes ? 0 : h->options.segment_bytes;
    if (h->io->truncate(h->io, st->log->fd, st->log->tail) < 0)
        h->failed = true;
    else if (whole)
        (void)h->io->allocate(h->io, st->log->fd, whole); /* a comfort; the next write tells */
    return rc;
}

static int commit(struct hfile *h, struct err *err) {
    struct hfile_stage *st = &h->stage;
    if (!buf_ok(&st->out))
        return err_set(err, ERR_TOO_LARGE, "history: too much at once");
    int rc = write_out(h, err);
    if (rc < 0 || h->options.no_sync)
        return rc;
    rc = FAILPOINT("history.file.sync");
    if (rc < 0)
        err_set(err, rc, "failpoint history.file.sync");
    else if ((rc = h->io->sync(h->io, st->log->fd)) < 0)
        rc = hfile_error(err, rc, "syncing the log");
    if (rc < 0)
        h->failed = true;
    return rc;
}

static void fail_one(struct hfile_op *op, int rc, const struct err *err) {
    for (size_t i = 0; i < op->append_count; i++) {
        if (op->appends[i]->rc == 0) {
            op->appends[i]->rc = rc;
            op->appends[i]->err = *err;
        }
    }
    if (op->kind != HFILE_OP_APPEND && op->rc == 0) {
        op->rc = rc;
        op->err = *err;
    }
}

static void stage_drop(struct hfile *h) {
    struct hfile_stage *st = &h->stage;
    for (size_t i = 0; i < st->ids.count; i++)
        hfile_ids_drop(&st->log->ids, st->ids.p[i].hash, st->ids.p[i].at);
    for (size_t i = 0; i < st->list.count; i++) {
        if (st->list.p[i]->extra_changed)
            hfile_extra_free(st->list.p[i]->extra);
        vec_deinit(&st->list.p[i]->entries);
    }
    st->list.count = 0;
    st->policies.count = 0;
}

static void group_fail(struct hfile *h, struct list *group, int rc, const struct err *err) {
    LIST_EACH (group, node) {
        struct hfile_op *op = LIST_ENTRY(node, struct hfile_op, node);
        if (op->kind != HFILE_OP_SEAL && op->kind != HFILE_OP_REWRITE)
            fail_one(op, rc, err);
    }
    stage_drop(h);
}

static void group_run(struct hfile *h, struct list *group) {
    struct hfile_stage *st = &h->stage;
    struct err err = {0};
    int rc = 0;
    stage_begin(h);
    before_group(h, group);
    mark_put(h);
    size_t mark = st->out.len;
    if (h->failed)
        rc = err_set(&err, ERR_IO, "history: the disk failed before: open it again");
    LIST_EACH (group, node) {
        if (rc == 0)
            hfile_stage_run(h, LIST_ENTRY(node, struct hfile_op, node));
    }
    if (rc == 0 && st->out.len > mark)
        rc = commit(h, &err);
    if (rc < 0) {
        group_fail(h, group, rc, &err);
    } else if (st->out.len > mark) {
        st->log->tail += st->out.len;
        st->synced = !h->options.no_sync;
    }
    st->ids.count = 0;
    buf_deinit(&st->out);
    map_deinit(&st->sessions);
}

void hfile_group_handle(struct rt_worker *w, struct list *batch, void *ctx) {
    struct hfile *h = ctx;
    group_run(h, &h->group);
    rt_worker_reply(w, batch);
}
