/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - JSON lines, or readable lines on a terminal.
 *
 * Design: one lock, one line buffer, one write(2) a line, so that lines of several threads and
 * processes do not mix. Text is made valid UTF-8 and cut at TEXT_MAX bytes; both forms escape
 * control characters, so a value can neither forge a line nor drive a terminal.
 *
 * Repetition: a warning or error with the event and message of an earlier one is counted, not
 * written, for REPEAT_PERIOD_US after that one; the next line of any kind after the period, or
 * log_flush(), reports the count as "repeated". The table has REPEAT_SLOTS places; when all are
 * taken, the oldest is reported early and reused. What varies belongs into fields, not messages.
 *
 * Sinks: a thread may have its lines sent elsewhere; neither the lock nor the table is touched
 * then. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#define TEXT_MAX         8192
#define FIELDS_MAX       32
#define LINE_MAX_BYTES   ((FIELDS_MAX + 4) * (TEXT_MAX * 6 + 256))
#define LINE_KEEP_BYTES  65536
#define REPEAT_SLOTS     64
#define REPEAT_PERIOD_US INT64_C(10000000)
#define EVENT_BYTES      64
#define MESSAGE_BYTES    192

struct repeat {
    enum log_level level;
    int64_t since_us; /* monotonic time of the line that was written; 0: the place is free */
    int64_t count;    /* suppressed since then */
    char event[EVENT_BYTES];
    char message[MESSAGE_BYTES]; /* both cut to their places, also for comparing */
};

/* Process-wide: there is one log. Everything below is guarded by the lock, except `min`. */
static _Atomic int min = LOG_INFO;
static struct {
    pthread_mutex_t lock;
    int fd;
    bool pretty;
    struct buf line;
    struct repeat repeats[REPEAT_SLOTS];
} logger = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .line = {.max_bytes = LINE_MAX_BYTES}};

/* NULL: the process's log. */
static _Thread_local const struct log_sink *redirected;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_init(enum log_level lowest, int fd, bool pretty) {
    pthread_mutex_lock(&logger.lock);
    logger.fd = fd;
    logger.pretty = pretty;
    memset(logger.repeats, 0, sizeof logger.repeats);
    pthread_mutex_unlock(&logger.lock);
    atomic_store_explicit(&min, lowest, memory_order_relaxed);
}

void log_redirect(const struct log_sink *sink) { redirected = sink; }

const struct log_sink *log_redirected(void) { return redirected; }

const char *log_level_name(enum log_level level) { return level_names[level]; }

bool log_enabled(enum log_level level) {
    if (redirected)
        return level >= redirected->min;
    return (int)level >= atomic_load_explicit(&min, memory_order_relaxed);
}

bool log_level_parse(str s, enum log_level *out) {
    if (str_ieq(s, STR("warning"))) {
        *out = LOG_WARN;
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(level_names); i++) {
        if (str_ieq(s, str_of(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Appends s escaped, cut at TEXT_MAX, each byte that is no UTF-8 as U+FFFD. */
static void text_put(struct buf *b, str s) {
    bool cut = s.len > TEXT_MAX;
    if (cut)
        s.len = TEXT_MAX;
    while (s.len) {
        size_t good = str_utf8_prefix(s);
        json_escape(b, str_n(s.p, good));
        s = str_n(s.p + good, s.len - good);
        if (s.len == 0 || (cut && s.len < 4))
            break; /* what is left was split by the cut */
        buf_z(b, "\xEF\xBF\xBD");
        s = str_n(s.p + 1, s.len - 1);
    }
    if (cut)
        buf_z(b, "\xE2\x80\xA6");
}

static void field_put_json(struct json_writer *w, const struct log_field *f) {
    jw_key(w, f->key);
    if (f->kind == LOG_FIELD_INT) {
        jw_i64(w, f->i);
    } else if (f->kind == LOG_FIELD_DOUBLE) {
        jw_double(w, f->d);
    } else if (!f->s.p) {
        jw_null(w);
    } else {
        buf_char(w->b, '"');
        text_put(w->b, f->s);
        buf_char(w->b, '"');
        w->comma = true;
    }
}

void log_fields_write(struct json_writer *w, const struct log_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++)
        field_put_json(w, &fields[i]);
}

static void line_json(struct buf *b, enum log_level level, str event, str message,
                      const struct log_field *fields, size_t count) {
    char now[TIME_ISO_LEN];
    time_write_iso(clock_wall_us(), now);
    buf_z(b, "{\"time\":\"");
    buf_append(b, now, sizeof now);
    buf_z(b, "\",\"level\":\"");
    buf_z(b, level_names[level]);
    buf_z(b, "\",\"event\":\"");
    text_put(b, event);
    buf_z(b, "\",\"msg\":\"");
    text_put(b, message);
    buf_char(b, '"');
    struct json_writer w = {b, true, 0};
    log_fields_write(&w, fields, count);
    buf_z(b, "}\n");
}

static void field_put_pretty(struct buf *b, const struct log_field *f) {
    struct json_writer w = json_writer(b);
    buf_printf(b, " \x1b[2m%s=\x1b[0m", f->key);
    if (f->kind == LOG_FIELD_INT) {
        jw_i64(&w, f->i);
    } else if (f->kind == LOG_FIELD_DOUBLE) {
        jw_double(&w, f->d);
    } else {
        bool quotes = f->s.len == 0 || str_find_char(f->s, ' ') >= 0;
        buf_z(b, quotes ? "\"" : "");
        text_put(b, f->s);
        buf_z(b, quotes ? "\"" : "");
    }
}

static void line_pretty(struct buf *b, enum log_level level, str event, str message,
                        const struct log_field *fields, size_t count) {
    static const char *const colours[] = {"\x1b[2mDEBUG", "\x1b[32mINFO ", "\x1b[33mWARN ",
                                          "\x1b[31mERROR"};
    char now[TIME_ISO_LEN];
    time_write_iso(clock_wall_us(), now);
    buf_append(b, now + 11, 12); /* hh:mm:ss.mmm */
    buf_printf(b, " %s\x1b[0m ", colours[level]);
    text_put(b, message);
    buf_z(b, " \x1b[2m(");
    text_put(b, event);
    buf_z(b, ")\x1b[0m");
    for (size_t i = 0; i < count; i++)
        field_put_pretty(b, &fields[i]);
    buf_char(b, '\n');
}

static void write_all(int fd, str s) {
    while (s.len) {
        ssize_t n = write(fd, s.p, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a log that cannot be written has nowhere to say so */
        s = str_n(s.p + n, s.len - (size_t)n);
    }
}

static void line_write(enum log_level level, str event, str message, const struct log_field *fields,
                       size_t count) {
    struct buf *b = &logger.line;
    buf_reset(b);
    (logger.pretty ? line_pretty : line_json)(b, level, event, message, fields, count);
    write_all(logger.fd, buf_view(b));
    if (b->cap > LINE_KEEP_BYTES)
        buf_deinit(b);
}

static void repeat_report(struct repeat *r) {
    if (r->count)
        line_write(r->level, str_of(r->event), str_of(r->message),
                   (struct log_field[]){LOG_INT("repeated", r->count)}, 1);
    *r = (struct repeat){0};
}

static bool cut_equal(const char *kept, size_t bytes, const char *z) {
    size_t len = strnlen(z, bytes - 1);
    return strlen(kept) == len && memcmp(kept, z, len) == 0;
}

static void cut_copy(char *to, size_t bytes, const char *z) {
    size_t len = strnlen(z, bytes - 1);
    memcpy(to, z, len);
    to[len] = '\0';
}

/* Reports what has run out; says whether this line is a repetition, else remembers it. */
static bool repeat_check(enum log_level level, const char *event, const char *message) {
    int64_t now = clock_mono_us();
    struct repeat *place = NULL, *oldest = &logger.repeats[0];
    for (struct repeat *r = logger.repeats; r < logger.repeats + REPEAT_SLOTS; r++) {
        if (r->since_us && (now - r->since_us >= REPEAT_PERIOD_US || now < r->since_us))
            repeat_report(r);
        if (r->since_us == 0) {
            place = r;
            continue;
        }
        if (r->since_us < oldest->since_us)
            oldest = r;
        if (r->level == level && cut_equal(r->event, EVENT_BYTES, event) &&
            cut_equal(r->message, MESSAGE_BYTES, message)) {
            r->count++;
            return true;
        }
    }
    if (level < LOG_WARN)
        return false;
    if (!place) {
        repeat_report(oldest);
        place = oldest;
    }
    place->level = level;
    place->since_us = now ? now : 1;
    cut_copy(place->event, EVENT_BYTES, event);
    cut_copy(place->message, MESSAGE_BYTES, message);
    return false;
}

void log_fields(enum log_level level, const char *event, const char *message,
                const struct log_field *fields, size_t count) {
    if (!log_enabled(level))
        return;
    if (count > FIELDS_MAX)
        count = FIELDS_MAX;
    if (redirected) {
        redirected->write(redirected->ctx, level, event, message, fields, count);
        return;
    }
    pthread_mutex_lock(&logger.lock);
    if (!repeat_check(level, event, message))
        line_write(level, str_of(event), str_of(message), fields, count);
    pthread_mutex_unlock(&logger.lock);
}

void log_flush(void) {
    pthread_mutex_lock(&logger.lock);
    for (size_t i = 0; i < REPEAT_SLOTS; i++)
        repeat_report(&logger.repeats[i]);
    buf_deinit(&logger.line);
    pthread_mutex_unlock(&logger.lock);
}
