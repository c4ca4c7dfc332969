/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - reads by a fiber of their own, so that no client's disconnect ends them.
 *
 *   IDLE ── refresh, touch (when not too early) ─▶ READING ── text taken or failed ─▶ IDLE
 *
 * Whoever needs the result waits for `done`. A failed read counts for the interval like any other;
 * as long as there has been no text at all the shorter retry time counts instead, since nobody can
 * be served meanwhile. A text that equals the last one is not handed on. */
#include "auth/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "rt/worker.h"

enum state { IDLE, READING };

struct source {
    struct source_options o;
    enum state state;
    bool taken, tried;
    int64_t read_us; /* monotonic: begin of the last read */
    unsigned char digest[HASH_SHA256_BYTES];
    struct fiber_event done;
    uint64_t reads; /* that have ended */
    int rc;         /* of the last one */
    struct err err;
    char *path; /* NUL-terminated location */
    char *next; /* where it has moved to; NULL: nowhere */
};

bool source_is_url(str location) {
    return str_starts(location, STR("http://")) || str_starts(location, STR("https://"));
}

static char *text_of(str s) {
    char *text = mem_alloc(s.len + 1);
    memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    return text;
}

struct source *source_new(const struct source_options *o) {
    struct source *s = NEW(struct source);
    s->o = *o;
    s->path = text_of(o->location);
    s->o.location = str_n(s->path, o->location.len);
    fiber_event_init(&s->done);
    return s;
}

void source_free(struct source *s) {
    if (!s)
        return;
    ASSERT(s->state == IDLE);
    mem_free(s->path);
    mem_free(s->next);
    mem_free(s);
}

void source_move(struct source *s, str location) {
    mem_free(s->next);
    s->next = str_eq(location, str_of(s->path)) ? NULL : text_of(location);
}

/* A read that is under way keeps its place. */
static void move_now(struct source *s) {
    if (!s->next)
        return;
    mem_free(s->path);
    s->path = s->next;
    s->next = NULL;
    s->o.location = str_of(s->path);
    s->tried = false;
}

bool source_taken(const struct source *s) { return s->taken; }

/* --- reading --- */

int source_read_file(const char *path, struct buf *out, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set_system(err, ERR_IO, errno, "%s cannot be opened", path);
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(err, ERR_INVALID, "%s is no file", path);
    for (ssize_t n = 1; rc == 0 && n > 0 && buf_ok(out);) {
        char part[4096];
        n = read(fd, part, sizeof(part));
        if (n < 0 && errno != EINTR)
            rc = err_set_system(err, ERR_IO, errno, "%s cannot be read", path);
        if (n < 0)
            n = 1; /* interrupted: again */
        else
            buf_append(out, part, (size_t)n);
    }
    if (rc == 0 && !buf_ok(out))
        rc = err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, out->max_bytes);
    (void)close(fd); /* nothing was written */
    return rc;
}

static int take(struct source *s, str text, struct err *err) {
    unsigned char digest[HASH_SHA256_BYTES];
    hash_sha256(text, digest);
    if (s->taken && memcmp(digest, s->digest, sizeof(digest)) == 0)
        return 0;
    int rc = s->o.take(s->o.ctx, text, err);
    if (rc == 0) {
        memcpy(s->digest, digest, sizeof(digest));
        s->taken = true;
    }
    return rc;
}

int source_load(struct source *s, struct err *err) {
    struct buf text;
    buf_init(&text, s->o.bytes_max);
    s->tried = true;
    s->read_us = rt_mono_us(s->o.rt);
    int rc = source_read_file(s->path, &text, err);
    if (rc == 0)
        rc = take(s, text.len ? buf_view(&text) : STR(""), err);
    buf_deinit(&text);
    return rc;
}

struct file_job {
    const char *path;
    struct buf text;
    int rc;
    struct err err;
};

static void file_run(void *arg) {
    struct file_job *job = arg;
    job->rc = source_read_file(job->path, &job->text, &job->err);
}

static int read_file(struct source *s, struct err *err) {
    struct file_job job = {.path = s->path};
    buf_init(&job.text, s->o.bytes_max);
    int rc = rt_offload(s->o.rt, file_run, &job);
    if (rc < 0)
        rc = err_set(err, rc, "no thread to read %s", s->path);
    else if (job.rc < 0 && err)
        *err = job.err;
    if (rc == 0)
        rc = job.rc;
    if (rc == 0)
        rc = take(s, job.text.len ? buf_view(&job.text) : STR(""), err);
    buf_deinit(&job.text);
    return rc;
}

static int read_url(struct source *s, struct err *err) {
    struct http_header accept = {STR("Accept"), STR("application/json")};
    struct http_call_options o = {.method = HTTP_GET,
                                  .url = s->o.location,
                                  .headers = &accept,
                                  .header_count = 1,
                                  .connect_timeout_us = s->o.timeout_us,
                                  .head_timeout_us = s->o.timeout_us,
                                  .idle_timeout_us = s->o.timeout_us};
    struct http_call *call;
    struct arena a;
    str body;
    int rc = http_call_open(s->o.client, &o, &call, err);
    if (rc < 0)
        return rc;
    arena_init(&a, SIZE_MAX / 2);
    int status = http_call_status(call);
    rc = http_call_read_all(call, &a, s->o.bytes_max, &body, err);
    http_call_close(call);
    if (rc == 0 && status != 200)
        rc = err_set(err, ERR_UNAVAILABLE, "the answer has status %d", status);
    if (rc == 0)
        rc = take(s, body, err);
    arena_deinit(&a);
    return rc;
}

static void read_fiber(void *arg) {
    struct source *s = arg;
    s->err = (struct err){0};
    s->rc = source_is_url(s->o.location) ? read_url(s, &s->err) : read_file(s, &s->err);
    if (s->rc < 0 && s->rc != ERR_CANCELLED)
        log_event(LOG_WARN, "auth.source.failed", "keys cannot be read; the last ones stay in use",
                  LOG_Z("what", s->o.what), LOG_Z("cause", s->err.message));
    s->state = IDLE;
    s->reads++;
    fiber_event_wake_all(&s->done);
}

/* 0 when a read is under way now. */
static int start(struct source *s, struct err *err) {
    if (s->state == READING)
        return 0;
    move_now(s);
    int64_t now = rt_mono_us(s->o.rt);
    int64_t wait_us =
        s->tried ? s->read_us + (s->taken ? s->o.interval_us : s->o.retry_us) - now : 0;
    if (wait_us > 0) {
        int rc = err_set(err, ERR_LIMIT, "%s: it is too early to read it again", s->o.what);
        if (err)
            err->retry_after_ms = (int)((wait_us + 999) / 1000);
        return rc;
    }
    if (fiber_group_spawn(s->o.fibers, s->o.rt, "auth.source", read_fiber, s, err) < 0)
        return ERR_LIMIT;
    s->state = READING;
    s->tried = true;
    s->read_us = now;
    return 0;
}

int source_refresh(struct source *s, struct err *err) {
    int rc = start(s, err);
    if (rc < 0)
        return rc;
    uint64_t before = s->reads;
    while (rc == 0 && s->reads == before)
        rc = fiber_event_wait(&s->done, FIBER_NO_DEADLINE);
    if (rc < 0)
        return rc;
    if (s->rc < 0)
        return err_set(err, s->rc, "%s: %s", s->o.what, s->err.message);
    return 0;
}

void source_touch(struct source *s) {
    if (s->state == IDLE && rt_mono_us(s->o.rt) - s->read_us >= s->o.age_us)
        (void)start(s, NULL); /* too early, or no fiber: a later use tries again */
}
