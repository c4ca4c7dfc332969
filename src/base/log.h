/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - JSON-lines logger (pretty on a terminal).
 *
 * log_event(LOG_INFO, "db.query.slow", "took too long", LOG_INT("latency_ms", 120), …) writes one
 * line: time, level, event, msg, fields. Callable from every thread (one lock, one write(2)).
 * Values of type struct secret cannot be passed: there is no constructor for them.
 * Repeated warnings and errors of one event and message are counted and reported once per period
 * (10 s); put what varies into fields.
 * Suspends: never. Tests: tests/unit/base/test_log.c */
#ifndef HF_BASE_LOG_H
#define HF_BASE_LOG_H

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log_field {
    const char *key;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_DOUBLE } kind;
    union {
        str s;
        int64_t i;
        double d;
    };
};
#define LOG_STR(key, value)    ((struct log_field){key, LOG_FIELD_STR, {.s = (value)}})
#define LOG_Z(key, value)      ((struct log_field){key, LOG_FIELD_STR, {.s = str_of(value)}})
#define LOG_INT(key, value)    ((struct log_field){key, LOG_FIELD_INT, {.i = (int64_t)(value)}})
#define LOG_DOUBLE(key, value) ((struct log_field){key, LOG_FIELD_DOUBLE, {.d = (value)}})

void log_init(enum log_level min, int fd, bool pretty);
/* Where the lines of a thread go instead of the process's log, each as it comes: repetitions are
 * not counted. Threads that rt starts take the sink of the thread that starts them. */
struct log_sink {
    enum log_level min; /* LOG_OFF: nothing goes anywhere */
    void (*write)(void *ctx, enum log_level level, const char *event, const char *message,
                  const struct log_field *fields, size_t count);
    void *ctx;
};
void log_redirect(const struct log_sink *sink); /* of this thread; NULL: the process's log again */
const struct log_sink *log_redirected(void);
const char *log_level_name(enum log_level level);
/* The fields as members of an object that is being written. */
struct json_writer;
void log_fields_write(struct json_writer *w, const struct log_field *fields, size_t count);
/* Reports repetitions still being counted, returns the line's memory; at the end of a process. */
void log_flush(void);
bool log_enabled(enum log_level level);
bool log_level_parse(str s, enum log_level *out);
void log_fields(enum log_level level, const char *event, const char *message,
                const struct log_field *fields, size_t count);
/* log_event(level, event, message, fields…): at least one field. log_plain: none. */
#define log_event(level, event, message, ...)                                                      \
    (log_enabled(level)                                                                            \
         ? log_fields(level, event, message, (struct log_field[]){__VA_ARGS__},                    \
                      sizeof((struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))        \
         : (void)0)
#define log_plain(level, event, message) log_fields(level, event, message, NULL, 0)

#endif
