/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor.c - one thread, one poll(): signals come as bytes of a signalfd, readiness as the
 * first byte of a pipe.
 *
 *   ENDED ── pause over ─▶ STARTING ── ready ─▶ SERVING ── died ─▶ ENDED (pause, again)
 *                             └── died before the first one was ready ─▶ all stop, its status
 *
 * The first process is started alone: it migrates the database, and what is wrong with the
 * configuration is said once. A process that dies later is started again after a pause that doubles
 * while it keeps dying young. SIGTERM and SIGINT are handed on, a second one too (it shortens the
 * drain); the processes have process groups of their own, so that Ctrl-C reaches them once. A
 * process whose supervisor is gone gets SIGTERM from the kernel.
 *
 * Invariant: a process leaves this file with the signal mask that the supervisor began with, and
 * without its descriptors. */
#include "app/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum state { ENDED, STARTING, SERVING };

struct child {
    enum state state;
    pid_t pid;
    int fd; /* its readiness; -1 */
    int64_t started_us, due_us, pause_us;
};
struct supervisor {
    const struct supervisor_options *o;
    struct child children[SUPERVISOR_WORKERS_MAX];
    sigset_t before;
    int signals;
    bool any_ready, stopping;
    int64_t kill_us;
    int status;
};

static int64_t now_us(void) { return clock_mono_us(); }

/* In the new process: everything of the supervisor goes. */
static void become_worker(struct supervisor *s, int index, int ready_fd, pid_t parent,
                          struct supervisor_worker *out) {
    for (int i = 0; i < s->o->count; i++)
        if (s->children[i].fd >= 0)
            (void)close(s->children[i].fd);
    (void)close(s->signals);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &s->before, NULL);
    if (getppid() != parent) /* it is gone already */
        (void)kill(getpid(), SIGTERM);
    *out = (struct supervisor_worker){.index = index, .ready_fd = ready_fd};
}

/* 1 in the new process, 0 in the supervisor. */
static int start(struct supervisor *s, int index, struct supervisor_worker *out, struct err *err) {
    struct child *c = &s->children[index - 1];
    int ends[2];
    pid_t parent = getpid();
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_set_system(err, ERR_IO, errno, "no pipe for a process");
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        become_worker(s, index, ends[1], parent, out);
        return 1;
    }
    int code = errno;
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return err_set_system(err, ERR_IO, code, "no further process");
    }
    *c = (struct child){.state = STARTING,
                        .pid = pid,
                        .fd = ends[0],
                        .started_us = now_us(),
                        .pause_us = c->pause_us};
    return 0;
}

static void signal_all(struct supervisor *s, int signum) {
    for (int i = 0; i < s->o->count; i++)
        if (s->children[i].state != ENDED)
            (void)kill(s->children[i].pid, signum);
}

static void stop(struct supervisor *s, int signum) {
    if (!s->stopping)
        s->kill_us = now_us() + s->o->stop_us;
    s->stopping = true;
    signal_all(s, signum);
}

static bool is_ready(struct child *c) {
    char byte;
    if (c->state == STARTING && read(c->fd, &byte, 1) == 1)
        c->state = SERVING;
    return c->state == SERVING;
}

static void ended(struct supervisor *s, struct child *c, int how) {
    bool ready = is_ready(c);
    int status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    int64_t now = now_us(), lived_us = now - c->started_us;
    s->any_ready = s->any_ready || ready;
    (void)close(c->fd);
    c->fd = -1;
    c->state = ENDED;
    if (s->stopping || !s->any_ready) {
        if (status != 0 && s->status == 0)
            s->status = status;
        if (!s->stopping)
            stop(s, SIGTERM);
        return;
    }
    if (lived_us >= s->o->pause_us_max || c->pause_us == 0)
        c->pause_us = s->o->pause_us_min;
    else
        c->pause_us = c->pause_us * 2 < s->o->pause_us_max ? c->pause_us * 2 : s->o->pause_us_max;
    c->due_us = now + c->pause_us;
    log_event(LOG_ERROR, "worker.ended", "a process ended; it is started again",
              LOG_INT("worker", c - s->children + 1), LOG_INT("pid", c->pid),
              LOG_INT("status", status), LOG_INT("lived_ms", lived_us / 1000),
              LOG_INT("pause_ms", c->pause_us / 1000));
}

static void reap(struct supervisor *s) {
    int how;
    for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
        for (int i = 0; i < s->o->count; i++)
            if (s->children[i].state != ENDED && s->children[i].pid == pid)
                ended(s, &s->children[i], how);
}

static void take_signals(struct supervisor *s) {
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo != SIGCHLD)
            stop(s, (int)info.ssi_signo);
    reap(s);
}

/* 1: a new process returns. Starts what is due; the first one alone. */
static int start_due(struct supervisor *s, struct supervisor_worker *out, struct err *err) {
    for (int i = 0; i < s->o->count && !s->stopping; i++) {
        struct child *c = &s->children[i];
        if (c->state != ENDED || now_us() < c->due_us || (i > 0 && !s->any_ready))
            continue;
        int rc = start(s, i + 1, out, err);
        if (rc < 0 && !s->any_ready)
            return rc;
        if (rc < 0) {
            c->due_us = now_us() + s->o->pause_us_max;
            log_event(LOG_ERROR, "worker.failed", "a process cannot be started",
                      LOG_Z("cause", err ? err->message : ""));
        }
        if (rc == 1)
            return 1;
    }
    return 0;
}

/* Until a signal, a process that became ready, or the next thing that is due. */
static void await(struct supervisor *s) {
    struct pollfd fds[SUPERVISOR_WORKERS_MAX + 1] = {{.fd = s->signals, .events = POLLIN}};
    nfds_t count = 1;
    int64_t wake_us = s->stopping ? s->kill_us : INT64_MAX, now = now_us();
    for (int i = 0; i < s->o->count; i++) {
        struct child *c = &s->children[i];
        if (c->state == STARTING)
            fds[count++] = (struct pollfd){.fd = c->fd, .events = POLLIN};
        if (c->state == ENDED && !s->stopping && s->any_ready && c->due_us < wake_us)
            wake_us = c->due_us;
    }
    int64_t ms = wake_us == INT64_MAX ? -1 : wake_us <= now ? 0 : (wake_us - now) / 1000 + 1;
    (void)poll(fds, count, (int)(ms > 60000 ? 60000 : ms)); /* what it found is looked at below */
    for (int i = 0; i < s->o->count; i++)
        if (is_ready(&s->children[i]))
            s->any_ready = true;
    take_signals(s);
}

static bool any_lives(const struct supervisor *s) {
    for (int i = 0; i < s->o->count; i++)
        if (s->children[i].state != ENDED)
            return true;
    return false;
}

static int supervise(struct supervisor *s, struct supervisor_worker *out, struct err *err) {
    for (;;) {
        int rc = start_due(s, out, err);
        if (rc != 0)
            return rc;
        if (s->stopping && !any_lives(s))
            return 0;
        if (s->stopping && now_us() >= s->kill_us) {
            log_plain(LOG_ERROR, "worker.killed", "processes that did not end were killed");
            signal_all(s, SIGKILL);
            s->kill_us = now_us() + s->o->stop_us;
        }
        await(s);
    }
}

int supervisor_run(const struct supervisor_options *o, struct supervisor_worker *out,
                   int *out_status, struct err *err) {
    struct supervisor s = {.o = o};
    sigset_t wanted;
    ASSERT(o->count >= 1 && o->count <= SUPERVISOR_WORKERS_MAX);
    for (int i = 0; i < o->count; i++)
        s.children[i].fd = -1;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &wanted, &s.before);
    s.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = s.signals < 0 ? err_set_system(err, ERR_IO, errno, "no descriptor for signals")
                           : supervise(&s, out, err);
    if (rc == 1)
        return 0;
    if (s.signals >= 0)
        (void)close(s.signals);
    (void)sigprocmask(SIG_SETMASK, &s.before, NULL);
    if (rc < 0)
        return rc;
    *out = (struct supervisor_worker){.index = 0, .ready_fd = -1};
    *out_status = s.status;
    return 0;
}

void supervisor_ready(struct supervisor_worker *w) {
    if (w->index == 0 || w->ready_fd < 0)
        return;
    (void)!write(w->ready_fd, "1", 1); /* the supervisor may be gone: then nobody waits */
    (void)close(w->ready_fd);
    w->ready_fd = -1;
}
