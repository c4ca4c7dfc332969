/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - child processes over libuv: three pipes and the process handle.
 *
 *   open ──▶ handles live ── close() ──▶ killed ── exit, 3 pipes and the handle closed ──▶ freed
 *
 * The struct stays until libuv has given back all four handles and the child was waited for, so no
 * zombie is left. A write is copied into one block with its request; blocks under way count against
 * input_bytes_max, since a child that does not read must not fill this process' memory.
 * Invariant: after close() no callback of the user runs but `closed`. */
#include "rt/process.h"

#include <errno.h>
#include <signal.h>

#include "base/mem.h"
#include "rt/rt_int.h"

#define PIPES       3
#define READ_BYTES  ((size_t)64 << 10)

struct rt_process {
    struct rt *rt;
    struct rt_process_options o;
    uv_process_t process;
    uv_pipe_t pipes[PIPES];
    size_t unsent;
    int handles; /* that libuv has not given back */
    bool spawned, exited, paused, input_over, closing;
    bool over[PIPES]; /* of stdout and stderr: its end was told */
    void (*closed)(void *ctx);
    void *closed_ctx;
    char *bytes; /* what is read into */
};
struct input {
    uv_write_t write;
    struct rt_process *p;
    size_t len;
    char bytes[];
};

/* --- the end --- */

static void finish(struct rt_process *p) {
    if (p->handles > 0)
        return;
    void (*closed)(void *) = p->closed;
    void *ctx = p->closed_ctx;
    mem_free(p->bytes);
    mem_free(p);
    if (closed)
        closed(ctx);
}

static void on_handle_closed(uv_handle_t *h) {
    struct rt_process *p = h->data;
    p->handles--;
    finish(p);
}

static void close_handle(uv_handle_t *h) {
    if (!uv_is_closing(h))
        uv_close(h, on_handle_closed);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signum) {
    struct rt_process *p = process->data;
    p->exited = true;
    if (p->closing)
        close_handle((uv_handle_t *)process);
    else
        p->o.ended(p->o.ctx, (int)status, signum);
}

void rt_process_kill(struct rt_process *p, int signum) {
    /* Also after it ended: what it started may live. Its group's number is not given away while it
     * is not waited for, or while the group has members. */
    if (p->spawned && (!p->exited || kill(-p->process.pid, 0) == 0))
        (void)kill(-p->process.pid, signum); /* it may have ended meanwhile */
}

void rt_process_close(struct rt_process *p, void (*closed)(void *ctx), void *ctx) {
    ASSERT(!p->closing);
    p->closing = true;
    p->closed = closed;
    p->closed_ctx = ctx;
    rt_process_kill(p, SIGKILL);
    for (int i = 0; i < PIPES; i++)
        close_handle((uv_handle_t *)&p->pipes[i]);
    if (p->exited || !p->spawned)
        close_handle((uv_handle_t *)&p->process);
}

int rt_process_pid(const struct rt_process *p) { return p->process.pid; }

/* --- its output --- */

static void on_alloc(uv_handle_t *h, size_t wanted, uv_buf_t *out) {
    struct rt_process *p = h->data;
    (void)wanted;
    *out = uv_buf_init(p->bytes, READ_BYTES);
}

static void on_read(uv_stream_t *s, ssize_t count, const uv_buf_t *buf) {
    struct rt_process *p = s->data;
    int at = s == (uv_stream_t *)&p->pipes[1] ? 1 : 2;
    enum rt_process_stream stream = at == 1 ? RT_PROCESS_STDOUT : RT_PROCESS_STDERR;
    if (p->closing || count == 0)
        return;
    if (count > 0) {
        p->o.output(p->o.ctx, stream, str_n(buf->base, (size_t)count));
        return;
    }
    (void)uv_read_stop(s);
    p->over[at] = true;
    p->o.output(p->o.ctx, stream, STR_NULL);
}

static int start_reading(struct rt_process *p) {
    int rc = uv_read_start((uv_stream_t *)&p->pipes[1], on_alloc, on_read);
    return rc ? rc : uv_read_start((uv_stream_t *)&p->pipes[2], on_alloc, on_read);
}

void rt_process_pause(struct rt_process *p, bool paused) {
    if (p->closing || p->paused == paused || p->over[1])
        return;
    p->paused = paused;
    if (paused) {
        (void)uv_read_stop((uv_stream_t *)&p->pipes[1]);
        return;
    }
    int rc = uv_read_start((uv_stream_t *)&p->pipes[1], on_alloc, on_read);
    ASSERT(rc == 0);
}

/* --- its input --- */

static void on_written(uv_write_t *w, int status) {
    struct input *in = CONTAINER_OF(w, struct input, write);
    if (status != 0)
        in->p->input_over = true;
    in->p->unsent -= in->len;
    mem_free(in);
}

int rt_process_write(struct rt_process *p, str bytes, struct err *err) {
    if (p->closing || p->exited || p->input_over)
        return err_set(err, ERR_CLOSED, "the process takes no input any more");
    if (bytes.len > p->o.input_bytes_max || p->unsent > p->o.input_bytes_max - bytes.len)
        return err_set(err, ERR_LIMIT, "the process does not read its input: %zu bytes wait",
                       p->unsent);
    struct input *in = mem_alloc(sizeof(*in) + bytes.len);
    in->p = p;
    in->len = bytes.len;
    memcpy(in->bytes, bytes.p, bytes.len);
    uv_buf_t buf = uv_buf_init(in->bytes, (unsigned)bytes.len);
    int rc = uv_write(&in->write, (uv_stream_t *)&p->pipes[0], &buf, 1, on_written);
    if (rc < 0) {
        mem_free(in);
        p->input_over = true;
        return err_set_system(err, ERR_CLOSED, -rc, "the process takes no input any more");
    }
    p->unsent += bytes.len;
    return 0;
}

/* Closing at once would drop what is under way. */
static void on_shut(uv_shutdown_t *shut, int status) {
    (void)status;
    mem_free(shut);
}

void rt_process_end_input(struct rt_process *p) {
    if (p->closing || p->input_over)
        return;
    p->input_over = true;
    uv_shutdown_t *shut = NEW(uv_shutdown_t);
    if (uv_shutdown(shut, (uv_stream_t *)&p->pipes[0], on_shut) < 0)
        mem_free(shut);
}

/* --- the start --- */

int rt_process_open(struct rt *rt, const struct rt_process_options *o, struct rt_process **out,
                    struct err *err) {
    ASSERT_LOOP_THREAD(rt);
    ASSERT(o->argv[0] && o->output && o->ended && o->input_bytes_max <= UINT32_MAX);
    struct rt_process *p = NEW(struct rt_process);
    uv_stdio_container_t stdio[PIPES];
    p->rt = rt;
    p->o = *o;
    p->bytes = mem_alloc(READ_BYTES);
    for (int i = 0; i < PIPES; i++) {
        int rc = uv_pipe_init(&rt->uv, &p->pipes[i], 0);
        ASSERT(rc == 0); /* takes no resources */
        p->pipes[i].data = p;
        stdio[i].flags = UV_CREATE_PIPE | (i == 0 ? UV_READABLE_PIPE : UV_WRITABLE_PIPE);
        stdio[i].data.stream = (uv_stream_t *)&p->pipes[i];
    }
    p->process.data = p;
    p->handles = PIPES + 1;
    uv_process_options_t spawn = {.exit_cb = on_process_exit,
                                  .file = o->argv[0],
                                  .args = (char **)(uintptr_t)o->argv,
                                  .env = (char **)(uintptr_t)o->env,
                                  .cwd = o->folder,
                                  .flags = UV_PROCESS_DETACHED,
                                  .stdio_count = PIPES,
                                  .stdio = stdio};
    int rc = uv_spawn(&rt->uv, &p->process, &spawn);
    p->spawned = rc == 0;
    if (rc == 0)
        rc = start_reading(p);
    if (rc < 0) {
        rt_process_close(p, NULL, NULL);
        return err_set_system(err, rc == UV_ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE, -rc,
                              "%.100s cannot be started: %s", o->argv[0], uv_strerror(rc));
    }
    *out = p;
    return 0;
}
