/* SPDX-License-Identifier: Apache-2.0 */
/* runner.c - the life of a runner's process.
 *
 *   DOWN ── start ─▶ STARTING ── hello answered ─▶ READY
 *    ▲ pause           │ late, wrong, dead           │ dead, garbage, a line too long, unstoppable
 *    └──── CLOSING ◀───┴─────────────────────────────┘
 *              └── stopping ─▶ OVER
 *
 * The first start must succeed: what is wrong with the command ends the server's start. Later the
 * pause doubles with each failure, and begins anew once a process has done something. A process
 * that describes its graphs differently after a restart replaces them: runs that have begun keep
 * what they began with. What it writes to stderr goes to the log, so many lines at a time.
 * A process that cannot be understood is killed at once: after one wrong line nothing that it says
 * can be trusted. */
#include "runner/runner.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "runner/runner_int.h"

#define PAUSE_US_MIN       100000
#define PAUSE_US_MAX       10000000
#define STOP_US            1000000 /* from the end of its input to its own end */
#define STATUS_US          1000000 /* from the end of its output to its status */
#define ERROR_LINE_BYTES   4096
#define ERROR_LINES_MAX    100 /* in a window */
#define ERROR_WINDOW_US    10000000
#define UNREAD_MESSAGES    4 /* of the greatest length, not taken by the process yet */

static void start_process(struct runner *r);

static void set_state(struct runner *r, enum runner_state to) {
    static const unsigned legal[] = {
        [RUNNER_DOWN] = 1u << RUNNER_STARTING | 1u << RUNNER_OVER,
        [RUNNER_STARTING] = 1u << RUNNER_READY | 1u << RUNNER_CLOSING,
        [RUNNER_READY] = 1u << RUNNER_CLOSING,
        [RUNNER_CLOSING] = 1u << RUNNER_DOWN | 1u << RUNNER_OVER,
        [RUNNER_OVER] = 0,
    };
    ASSERT(legal[r->state] & 1u << to);
    r->state = to;
    fiber_event_wake_all(&r->changed);
}

struct runner *runner_new(struct rt *rt, struct registry *registry,
                          const struct runner_options *o) {
    struct runner *r = NEW(struct runner);
    r->rt = rt;
    r->registry = registry;
    r->o = *o;
    r->name = mem_alloc(o->name.len + 1);
    r->command = mem_alloc(o->command.len + 1);
    memcpy(r->name, o->name.p, o->name.len);
    memcpy(r->command, o->command.p, o->command.len);
    r->name[o->name.len] = r->command[o->command.len] = '\0';
    r->pause_us = PAUSE_US_MIN;
    list_init(&r->calls);
    fiber_event_init(&r->changed);
    lines_init(&r->output, o->message_bytes_max);
    lines_init(&r->errors, ERROR_LINE_BYTES);
    r->starts = metric_counter("holdfast_runner_starts_total", "Processes of runners started",
                               NULL);
    r->failures = metric_counter("holdfast_runner_failures_total",
                                 "Processes of runners that ended or were killed", NULL);
    r->tasks = metric_counter("holdfast_runner_calls_total", "Requests to runners", NULL);
    return r;
}

void runner_free(struct runner *r) {
    if (!r)
        return;
    ASSERT(list_empty(&r->calls) && !r->process);
    lines_deinit(&r->output);
    lines_deinit(&r->errors);
    mem_free(r->described);
    mem_free(r->name);
    mem_free(r->command);
    mem_free(r);
}

/* --- the end of a process --- */

static void on_pause_over(struct rt_timer *t) {
    start_process(CONTAINER_OF(t, struct runner, timer));
}

static void pause_then_start(struct runner *r) {
    if (r->stopping || !r->described)
        return;
    rt_timer_start(r->rt, &r->timer, r->pause_us, on_pause_over);
    r->pause_us = r->pause_us * 2 > PAUSE_US_MAX ? PAUSE_US_MAX : r->pause_us * 2;
}

static void on_closed(void *arg) {
    struct runner *r = arg;
    r->process = NULL;
    set_state(r, r->stopping ? RUNNER_OVER : RUNNER_DOWN);
    pause_then_start(r);
}

static void close_process(struct runner *r) {
    rt_timer_stop(r->rt, &r->timer);
    set_state(r, RUNNER_CLOSING);
    rt_process_close(r->process, on_closed, r);
}

void runner_fail(struct runner *r, int code, const char *why) {
    if (r->state != RUNNER_STARTING && r->state != RUNNER_READY)
        return;
    (void)err_set(&r->why, code, "the runner %.40s: %.180s", r->name, why);
    if (r->useful)
        r->pause_us = PAUSE_US_MIN;
    if (!r->stopping) {
        metric_add(r->failures, 1);
        log_event(LOG_WARN, "runner.failed", why, LOG_Z("runner", r->name),
                  LOG_INT("pid", rt_process_pid(r->process)), LOG_Z("code", err_name(code)));
    }
    close_process(r);
    calls_fail(r, code, &r->why);
}

static void on_ended(void *arg, int status, int signum) {
    char text[80];
    if (signum)
        (void)snprintf(text, sizeof(text), "its process was ended by signal %d", signum);
    else
        (void)snprintf(text, sizeof(text), "its process ended with status %d", status);
    runner_fail(arg, ERR_UNAVAILABLE, text);
}

static void on_start_late(struct rt_timer *t) {
    struct runner *r = CONTAINER_OF(t, struct runner, timer);
    runner_fail(r, ERR_TIMEOUT, "it did not answer hello in time");
}

static void on_silence(struct rt_timer *t) {
    runner_fail(CONTAINER_OF(t, struct runner, timer), ERR_UNAVAILABLE, "its output has ended");
}

/* --- what it says --- */

static int check_names(struct runner *r, const struct runner_description *d, struct err *err) {
    for (size_t i = 0; i < d->count; i++) {
        const struct graph_def *old = registry_find(r->registry, str_of(d->graphs[i]->def.id));
        bool mine = old && old->runner == &RUNNER_PORT && runner_graph_of(old)->runner == r;
        if (old && !mine)
            return err_set(err, ERR_EXISTS, "there is a graph \"%s\" already",
                           d->graphs[i]->def.id);
    }
    return 0;
}

static bool describes(const struct runner_description *d, const char *id) {
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->graphs[i]->def.id, id) == 0)
            return true;
    return false;
}

static void replace_graphs(struct runner *r, const struct runner_description *d) {
    for (size_t i = registry_count(r->registry); i-- > 0;) {
        const struct graph_def *g = registry_at(r->registry, i);
        bool mine = g->runner == &RUNNER_PORT && runner_graph_of(g)->runner == r;
        if (mine && !describes(d, g->id))
            (void)registry_remove(r->registry, str_of(g->id));
    }
    for (size_t i = 0; i < d->count; i++)
        registry_add(r->registry, &d->graphs[i]->def);
}

static int take_description(struct runner *r, yyjson_val *answer, struct arena *a,
                            struct err *err) {
    struct runner_description *d = NEW(struct runner_description);
    str text = json_canonical(a, answer);
    int rc = 0;
    if (!r->described || !str_eq(str_of(r->described), text)) {
        rc = runner_describe(answer, &RUNNER_PORT, r, r->registry, d, err);
        if (rc == 0)
            rc = check_names(r, d, err);
        if (rc == 0) {
            replace_graphs(r, d);
            mem_free(r->described);
            r->described = mem_strdup(arena_z(a, text));
        }
        runner_description_unref(d);
    }
    mem_free(d);
    return rc;
}

static int take_hello(struct runner *r, str line, struct err *err) {
    struct arena a;
    yyjson_val *root;
    struct jsonrpc_message m = {0};
    arena_init(&a, SIZE_MAX / 2); /* a line is capped */
    int rc = json_parse(&a, line, &root, err);
    if (rc == 0)
        rc = jsonrpc_read(root, &m, err);
    bool answer = rc == 0 && yyjson_is_int(m.id) && jsonrpc_answers(&m, r->hello_id);
    if (answer && m.kind == JSONRPC_ERROR)
        rc = err_set(err, ERR_UNAVAILABLE, "it refused hello: " STR_FMT,
                     STR_ARG(str_slice(m.text, 0, 120)));
    else if (answer)
        rc = take_description(r, m.result, &a, err);
    arena_deinit(&a);
    if (rc < 0 || !answer)
        return rc;
    rt_timer_stop(r->rt, &r->timer);
    log_event(LOG_INFO, "runner.ready", "its graphs are served", LOG_Z("runner", r->name),
              LOG_INT("pid", rt_process_pid(r->process)));
    set_state(r, RUNNER_READY);
    return 0;
}

static int on_line(void *arg, str line, struct err *err) {
    struct runner *r = arg;
    return r->state == RUNNER_STARTING ? take_hello(r, line, err) : runner_take_line(r, line, err);
}

static int on_error_line(void *arg, str line, struct err *err) {
    struct runner *r = arg;
    int64_t now = rt_mono_us(r->rt);
    (void)err;
    if (now - r->errors_us >= ERROR_WINDOW_US) {
        r->errors_us = now;
        r->error_lines = 0;
    }
    if (++r->error_lines > ERROR_LINES_MAX)
        return 0;
    char text[ERROR_LINE_BYTES + 1];
    size_t len = str_utf8_prefix(line);
    memcpy(text, line.p, len);
    text[len] = '\0';
    log_event(LOG_INFO, "runner.stderr", text, LOG_Z("runner", r->name));
    return 0;
}

static void on_stderr(struct runner *r, str bytes) {
    if (bytes.p && lines_feed(&r->errors, bytes, on_error_line, r, NULL) < 0)
        lines_reset(&r->errors); /* a long line is cut where it was too long */
}

static void on_output(void *arg, enum rt_process_stream stream, str bytes) {
    struct runner *r = arg;
    struct err err = {0};
    if (stream == RT_PROCESS_STDERR) {
        on_stderr(r, bytes);
        return;
    }
    if (!bytes.p) { /* most likely it has ended, which says more */
        rt_timer_start(r->rt, &r->timer, STATUS_US, on_silence);
        return;
    }
    int rc = lines_feed(&r->output, bytes, on_line, r, &err);
    if (rc < 0)
        runner_fail(r, rc, err.message);
}

/* --- what it is told --- */

int runner_send(struct runner *r, struct buf *message, struct err *err) {
    if (!buf_ok(message))
        return err_set(err, ERR_TOO_LARGE,
                       "the runner %.40s takes messages of at most %zu bytes", r->name,
                       r->o.message_bytes_max);
    if (!r->process || r->state == RUNNER_CLOSING)
        return err_set(err, ERR_UNAVAILABLE, "the runner %.40s has no process", r->name);
    /* Outside of texts a line end is white space, inside there is none. */
    for (char *p = message->p; (p = memchr(p, '\n', message->len - (size_t)(p - message->p)));)
        *p = ' ';
    message->max_bytes++;
    buf_char(message, '\n');
    int rc = rt_process_write(r->process, buf_view(message), err);
    if (rc < 0) {
        (void)err_context(err, "the runner %.40s", r->name);
        return ERR_UNAVAILABLE;
    }
    return 0;
}

static int send_hello(struct runner *r, struct err *err) {
    struct buf b;
    buf_init(&b, 4096);
    r->hello_id = ++r->id_last;
    buf_printf(&b,
               "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"method\":\"hello\",\"params\":{\"protocol\":%d,"
               "\"server\":\"holdfast\",\"version\":\"" HF_VERSION
               "\",\"message_bytes_max\":%zu}}",
               (long long)r->hello_id, RUNNER_PROTOCOL, r->o.message_bytes_max);
    int rc = runner_send(r, &b, err);
    buf_deinit(&b);
    return rc;
}

/* --- the start --- */

static void start_process(struct runner *r) {
    char shell[] = "/bin/sh", flag[] = "-c";
    char *argv[] = {shell, flag, r->command, NULL};
    struct err err = {0};
    size_t unread = (r->o.message_bytes_max + 1) * UNREAD_MESSAGES;
    struct rt_process_options o = {.argv = argv,
                                   .env = r->o.env,
                                   .input_bytes_max = unread < UINT32_MAX ? unread : UINT32_MAX,
                                   .output = on_output,
                                   .ended = on_ended,
                                   .ctx = r};
    lines_reset(&r->output);
    lines_reset(&r->errors);
    r->useful = false;
    int rc = rt_process_open(r->rt, &o, &r->process, &err);
    if (rc < 0) {
        (void)err_set(&r->why, rc, "the runner %.40s: %.180s", r->name, err.message);
        log_event(LOG_WARN, "runner.failed", err.message, LOG_Z("runner", r->name));
        pause_then_start(r);
        return;
    }
    metric_add(r->starts, 1);
    set_state(r, RUNNER_STARTING);
    rt_timer_start(r->rt, &r->timer, r->o.start_timeout_us, on_start_late);
    if (send_hello(r, &err) < 0)
        runner_fail(r, ERR_UNAVAILABLE, err.message);
}

int runner_start(struct runner *r, struct err *err) {
    int rc = 0;
    ASSERT(r->state == RUNNER_DOWN && !r->described);
    start_process(r);
    while (rc == 0 && (r->state == RUNNER_STARTING || r->state == RUNNER_CLOSING))
        rc = fiber_event_wait(&r->changed, FIBER_NO_DEADLINE);
    if (rc == 0 && r->state == RUNNER_READY)
        return 0;
    r->stopping = true;
    if (rc == 0 && err)
        *err = r->why;
    return rc < 0 ? err_set(err, rc, "the start of the runner %.40s was cut off", r->name)
                  : r->why.code;
}

int runner_wait(struct runner *r, struct err *err) {
    int64_t deadline = rt_mono_us(r->rt) + r->o.start_timeout_us;
    int rc = 0;
    while (r->state != RUNNER_READY && !r->stopping && rc == 0)
        rc = fiber_event_wait(&r->changed, deadline);
    if (r->state == RUNNER_READY)
        return 0;
    if (rc == ERR_CANCELLED)
        return err_set(err, rc, "the task was cancelled");
    if (err)
        *err = r->why;
    return r->why.code ? err_set(err, ERR_UNAVAILABLE, "%s", r->why.message)
                       : err_set(err, ERR_UNAVAILABLE, "the runner %.40s is not there", r->name);
}

void runner_stop(struct runner *r) {
    int64_t deadline = rt_mono_us(r->rt) + STOP_US;
    r->stopping = true;
    rt_timer_stop(r->rt, &r->timer);
    if (r->state == RUNNER_DOWN)
        set_state(r, RUNNER_OVER);
    if (r->process && r->state != RUNNER_CLOSING)
        rt_process_end_input(r->process);
    while (r->state != RUNNER_OVER && fiber_event_wait(&r->changed, deadline) == 0)
        ;
    if (r->state == RUNNER_STARTING || r->state == RUNNER_READY)
        close_process(r);
    while (r->state != RUNNER_OVER && fiber_event_wait(&r->changed, FIBER_NO_DEADLINE) == 0)
        ;
}
