/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - hf-load, the load generator of the benchmarks: options, the timed window, the report.
 *
 *   hf-load http  --port P [--path P] [--method M] [--body JSON] …   one request over and over
 *   hf-load flow  --port P --connections USERS …                     the agent flow, see flow.c
 *   hf-load idle  --port P --connections READERS …                   open streams that wait
 *
 * A run has a warm-up, then a window of --seconds in which completions count and the CPU time of
 * the processes given by --watch NAME=PID is taken (PID+: with its children), then the rest of what
 * is under way, untimed. It prints one JSON object; its status is 1 when anything failed. bench/run
 * drives it. A new mode: a row of `modes` and a file. */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/load.h"

enum { EVENTS_MAX = 256, REST_SECONDS_MAX = 60 };

void load_fail(struct load *l, const char *format, ...) {
    if (l->failures < FAILURE_TEXTS_MAX) {
        va_list args;
        va_start(args, format);
        char *text = l->failure_texts[l->failures];
        (void)vsnprintf(text, sizeof(l->failure_texts[0]), format, args);
        va_end(args);
    }
    l->failures++;
}

/* --- the window ------------------------------------------------------------------------------ */

static void window_begin(struct load *l) {
    for (size_t i = 0; i < l->watch_count; i++) {
        l->watches[i].before_us = watch_cpu_us(l->watches[i].pid, l->watches[i].tree);
        l->watches[i].rss_before_bytes = watch_rss_bytes(l->watches[i].pid);
    }
    l->self_before_us = watch_self_cpu_us();
    l->begin_us = clock_mono_us();
    l->measuring = true;
}

static void window_end(struct load *l) {
    l->end_us = clock_mono_us();
    l->self_after_us = watch_self_cpu_us();
    for (size_t i = 0; i < l->watch_count; i++) {
        l->watches[i].after_us = watch_cpu_us(l->watches[i].pid, l->watches[i].tree);
        l->watches[i].rss_after_bytes = watch_rss_bytes(l->watches[i].pid);
    }
    l->measuring = false;
    l->stopping = true;
}

static int wait_ms(int64_t us) {
    return us <= 0 ? 0 : us > 1000000 ? 1000 : (int)((us + 999) / 1000);
}

static void dispatch(struct load *l, int timeout_ms) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++)
        client_on_ready(events[i].data.ptr, events[i].events);
}

void load_run(struct load *l) {
    int64_t now = clock_mono_us();
    int64_t begin = now + (int64_t)(l->o.warmup_seconds * 1e6);
    int64_t end = begin + (int64_t)(l->o.seconds * 1e6);
    bool ended = false;
    while (!ended || l->active > 0) {
        int64_t next = !l->begin_us ? begin : end;
        if (ended)
            next = end + REST_SECONDS_MAX * INT64_C(1000000);
        if (l->tick && !ended) {
            int64_t wish = now + l->tick(l);
            next = wish < next ? wish : next;
        }
        dispatch(l, wait_ms(next - now));
        now = clock_mono_us();
        if (!l->begin_us && now >= begin)
            window_begin(l);
        if (!ended && (l->stopping || (l->begin_us && now >= end))) {
            window_end(l);
            ended = true;
            end = now;
        }
        if (ended && now > end + REST_SECONDS_MAX * INT64_C(1000000)) {
            load_fail(l, "%zu still under way %d s after the end", l->active, REST_SECONDS_MAX);
            return;
        }
    }
}

static void write_text(struct buf *out, const char *text) {
    buf_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_char(out, '\\');
        buf_char(out, (unsigned char)*text < 32 || (unsigned char)*text > 126 ? ' ' : *text);
    }
    buf_char(out, '"');
}

static void write_cpu(struct buf *out, const char *name, int64_t us, uint64_t work) {
    buf_printf(out, "\"%s\":{\"ms\":%.1f,\"us_each\":%.2f}", name, (double)us / 1000,
               work > 0 ? (double)us / (double)work : 0);
}

void load_write(const struct load *l, uint64_t work, struct buf *out) {
    buf_printf(out,
               "\"seconds\":%.3f,\"failures\":%" PRIu64 ",\"reconnects\":%" PRIu64 ",\"errors\":[",
               (double)(l->end_us - l->begin_us) / 1e6, l->failures, l->reconnects);
    for (size_t i = 0; i < l->failures && i < FAILURE_TEXTS_MAX; i++) {
        buf_z(out, i > 0 ? "," : "");
        write_text(out, l->failure_texts[i]);
    }
    buf_z(out, "],\"cpu\":{");
    write_cpu(out, "generator", l->self_after_us - l->self_before_us, work);
    for (size_t i = 0; i < l->watch_count; i++) {
        buf_char(out, ',');
        write_cpu(out, l->watches[i].name, l->watches[i].after_us - l->watches[i].before_us, work);
    }
    buf_char(out, '}');
}

/* --- options --------------------------------------------------------------------------------- */

static const struct option long_options[] = {
    {"port", required_argument, NULL, 'p'},
    {"connections", required_argument, NULL, 'c'},
    {"seconds", required_argument, NULL, 's'},
    {"warmup", required_argument, NULL, 'w'},
    {"count", required_argument, NULL, 'n'},
    {"method", required_argument, NULL, 'm'},
    {"path", required_argument, NULL, 'u'},
    {"body", required_argument, NULL, 'b'},
    {"ids", required_argument, NULL, 'i'},
    {"save-field", required_argument, NULL, 'f'},
    {"save-to", required_argument, NULL, 'o'},
    {"first-event", required_argument, NULL, 'e'},
    {"first-data", required_argument, NULL, 'D'},
    {"stream-mode", required_argument, NULL, 'd'},
    {"expect", required_argument, NULL, 'x'},
    {"pause-ms", required_argument, NULL, 'z'},
    {"rate", required_argument, NULL, 'r'},
    {"watch", required_argument, NULL, 'W'},
    {"status", required_argument, NULL, 'S'},
    {"token", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

static int64_t number(const char *text) {
    int64_t n;
    return str_to_i64(str_of(text), &n) ? n : -1;
}

static bool add_watch(struct load *l, const char *text) {
    const char *eq = strchr(text, '=');
    if (!eq || l->watch_count == WATCH_MAX)
        return false;
    struct watch *w = &l->watches[l->watch_count++];
    (void)snprintf(w->name, sizeof(w->name), "%.*s", (int)(eq - text), text);
    str pid = str_of(eq + 1);
    w->tree = pid.len > 0 && pid.p[pid.len - 1] == '+';
    int64_t n;
    if (!str_to_i64(str_slice(pid, 0, pid.len - w->tree), &n))
        return false;
    w->pid = (int)n;
    return watch_cpu_us(w->pid, w->tree) >= 0;
}

static bool option_set(struct load *l, int option, const char *text) {
    struct options *o = &l->o;
    switch (option) {
    case 'p':
        o->port = (int)number(text);
        return o->port > 0;
    case 'c':
        o->connections = (int)number(text);
        return o->connections > 0;
    case 's':
        o->seconds = strtod(text, NULL);
        return o->seconds > 0;
    case 'w':
        o->warmup_seconds = strtod(text, NULL);
        return o->warmup_seconds >= 0;
    case 'n':
        o->count = (uint64_t)number(text);
        return number(text) > 0;
    case 'm':
        o->method = text;
        return true;
    case 'u':
        o->path = text;
        return true;
    case 'b':
        o->body = text;
        return true;
    case 'i':
        o->ids_file = text;
        return true;
    case 'f':
        o->save_field = text;
        return true;
    case 'o':
        o->save_file = text;
        return true;
    case 'e':
        o->first_event = text;
        return true;
    case 'D':
        o->first_data = text;
        return true;
    case 'd':
        o->stream_mode = text;
        return true;
    case 'x':
        o->expect = text;
        return true;
    case 'z':
        o->pause_ms = (int)number(text);
        return o->pause_ms >= 0;
    case 'r':
        o->rate = strtod(text, NULL);
        return o->rate > 0;
    case 'S':
        o->status = (int)number(text);
        return o->status > 0;
    case 't':
        o->token = text;
        return true;
    case 'W':
        return add_watch(l, text);
    default:
        return false;
    }
}

static bool read_ids(struct load *l) {
    FILE *f = fopen(l->o.ids_file, "re");
    if (!f)
        return false;
    char line[256];
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0]) {
            char *id = mem_strdup(line);
            vec_push(&l->ids, id);
        }
    }
    (void)fclose(f); /* read only */
    return l->ids.count > 0;
}

static const struct {
    const char *name;
    int (*run)(struct load *l, struct buf *out);
} modes[] = {{"http", http_mode}, {"flow", flow_mode}, {"idle", idle_mode}};

int main(int argc, char **argv) {
    static struct load l = {.o = {.host = "127.0.0.1",
                                  .connections = 1,
                                  .seconds = 2,
                                  .warmup_seconds = 0.2,
                                  .method = "GET",
                                  .path = "/ok",
                                  .stream_mode = "values",
                                  .status = 200}};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        if (!option_set(&l, option, optarg)) {
            fprintf(stderr, "hf-load: bad option or value near %s\n", argv[optind - 1]);
            return 2;
        }
    }
    l.o.mode = optind < argc ? argv[optind] : "";
    struct rlimit files = {0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* too few show up as failed connections */
    }
    l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l.epoll_fd < 0 || (l.o.ids_file && !read_ids(&l))) {
        fprintf(stderr, "hf-load: cannot start: %s\n", strerror(errno));
        return 2;
    }
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(modes); i++) {
        if (strcmp(modes[i].name, l.o.mode) == 0) {
            int rc = modes[i].run(&l, &out);
            printf("{\"mode\":\"%s\",\"connections\":%d,", l.o.mode, l.o.connections);
            printf(STR_FMT "}\n", STR_ARG(buf_view(&out)));
            return rc < 0 || l.failures > 0;
        }
    }
    fprintf(stderr, "hf-load: unknown mode '%s'; see the opening of bench/load.c\n", l.o.mode);
    return 2;
}
