/* SPDX-License-Identifier: Apache-2.0 */
/* failpoint.c - named places where a debug build can be told to fail, wait or die.
 *
 * Design: a table of every name that was hit or set, with its count of hits; a lock guards it, as
 * hits come from the loop and from the offload pool. A wait or a crash happens after the lock is
 * given back. A specification is a list "name=action[@n]" separated by semicolons; it takes effect
 * as a whole or not at all. Actions: off, error(number or name of errors.def), delay(ms), crash.
 * @n counts hits from the moment of setting. Release builds contain none of this. */
#include "base/failpoint.h"

#ifdef HF_DEBUG

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"

#define POINTS_MAX 256
#define NAME_BYTES 64
#define SPEC_ITEMS_MAX 32
#define DELAY_MS_MAX 600000

enum action { ACTION_OFF, ACTION_ERROR, ACTION_DELAY, ACTION_CRASH };

struct rule {
    enum action action;
    int64_t arg;   /* error: the negative code; delay: milliseconds */
    uint64_t from; /* first hit since setting that acts; from 1 */
};

struct point {
    char name[NAME_BYTES];
    uint64_t hits; /* in all */
    uint64_t hits_at_set;
    struct rule rule;
};

struct item {
    str name;
    struct rule rule;
};

/* Process-wide by purpose: a failpoint is found by its name from anywhere. */
static struct point points[POINTS_MAX];
static size_t point_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct point *point_find(str name) {
    for (size_t i = 0; i < point_count; i++)
        if (str_eq(str_of(points[i].name), name))
            return &points[i];
    if (point_count == POINTS_MAX)
        return NULL;
    struct point *p = &points[point_count++];
    memcpy(p->name, name.p, name.len);
    p->name[name.len] = '\0';
    return p;
}

int failpoint_hit(const char *name) {
    struct rule due = {0};
    str s = str_of(name);
    ASSERT(s.len > 0 && s.len < NAME_BYTES);
    pthread_mutex_lock(&lock);
    struct point *p = point_find(s);
    if (p && ++p->hits - p->hits_at_set >= p->rule.from)
        due = p->rule;
    pthread_mutex_unlock(&lock);
    if (due.action == ACTION_ERROR)
        return (int)due.arg;
    if (due.action == ACTION_DELAY) {
        struct timespec left = {due.arg / 1000, due.arg % 1000 * 1000000};
        while (nanosleep(&left, &left) < 0 && errno == EINTR)
            continue;
    } else if (due.action == ACTION_CRASH) {
        (void)kill(getpid(), SIGKILL); /* ends here */
    }
    return 0;
}

static bool code_parse(str s, int64_t *out) {
#define ERR(name, number, status, retryable, text)                              \
    if (str_eq(s, STR(#number)) || str_eq(s, STR("-" #number)) ||               \
        str_ieq(s, STR(#name))) {                                               \
        *out = ERR_##name;                                                      \
        return true;                                                            \
    }
#include "errors.def"
#undef ERR
    return false;
}

/* "word(arg)" gives arg. */
static bool call_parse(str s, str word, str *out_arg) {
    if (!str_starts(s, word) || !str_ends(s, STR(")")) || s.len < word.len + 2 ||
        s.p[word.len] != '(')
        return false;
    *out_arg = str_trim(str_slice(s, word.len + 1, s.len - 1));
    return true;
}

static bool action_parse(str s, struct rule *out) {
    str arg;
    struct rule r = {.from = 1};
    ptrdiff_t at = str_find_char(s, '@');
    if (at >= 0) {
        if (!str_to_u64(str_trim(str_slice(s, (size_t)at + 1, s.len)), &r.from) || r.from == 0)
            return false;
        s = str_trim(str_slice(s, 0, (size_t)at));
    }
    if (str_eq(s, STR("off"))) {
        r.action = ACTION_OFF;
    } else if (str_eq(s, STR("crash"))) {
        r.action = ACTION_CRASH;
    } else if (call_parse(s, STR("error"), &arg)) {
        r.action = ACTION_ERROR;
        if (!code_parse(arg, &r.arg))
            return false;
    } else if (call_parse(s, STR("delay"), &arg)) {
        r.action = ACTION_DELAY;
        if (!str_to_i64(arg, &r.arg) || r.arg < 0 || r.arg > DELAY_MS_MAX)
            return false;
    } else {
        return false;
    }
    *out = r;
    return true;
}

static int item_parse(str part, struct item *out, struct err *err) {
    ptrdiff_t at = str_find_char(part, '=');
    str name = str_trim(str_slice(part, 0, at < 0 ? 0 : (size_t)at));
    if (name.len == 0 || name.len >= NAME_BYTES)
        return err_set(err, ERR_INVALID, "failpoint: \"" STR_FMT "\" is not name=action",
                       STR_ARG(part));
    if (!action_parse(str_trim(str_slice(part, (size_t)at + 1, part.len)), &out->rule))
        return err_set(err, ERR_INVALID, "failpoint: \"" STR_FMT "\" has no action known here",
                       STR_ARG(part));
    out->name = name;
    return ERR_OK;
}

static int items_apply(const struct item *items, size_t count, struct err *err) {
    int rc = ERR_OK;
    pthread_mutex_lock(&lock);
    if (point_count + count > POINTS_MAX)
        rc = err_set(err, ERR_LIMIT, "failpoint: more than %d names", POINTS_MAX);
    for (size_t i = 0; rc == ERR_OK && i < count; i++) {
        struct point *p = point_find(items[i].name);
        p->rule = items[i].rule;
        p->hits_at_set = p->hits;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int failpoint_set(str spec, struct err *err) {
    struct item items[SPEC_ITEMS_MAX];
    size_t count = 0;
    str part;
    while (str_split_next(&spec, ';', &part)) {
        part = str_trim(part);
        if (part.len == 0)
            continue;
        if (count == SPEC_ITEMS_MAX)
            return err_set(err, ERR_LIMIT, "failpoint: more than %d at once", SPEC_ITEMS_MAX);
        int rc = item_parse(part, &items[count], err);
        if (rc != ERR_OK)
            return rc;
        count++;
    }
    return items_apply(items, count, err);
}

void failpoint_init_from_env(void) {
    struct err err = {0};
    if (failpoint_set(str_of(getenv("HF_FAILPOINTS")), &err) != ERR_OK)
        log_event(LOG_ERROR, "failpoint.invalid", "HF_FAILPOINTS is ignored",
                  LOG_Z("error", err.message));
}

static void action_put(struct json_writer *w, const struct rule *r) {
    char text[80];
    static const char *const words[] = {"off", "error", "delay", "crash"};
    int n = snprintf(text, sizeof text, "%s", words[r->action]);
    if (r->action == ACTION_ERROR)
        n = snprintf(text, sizeof text, "error(%s)", err_name((int)r->arg));
    else if (r->action == ACTION_DELAY)
        n = snprintf(text, sizeof text, "delay(%lld)", (long long)r->arg);
    if (r->from > 1)
        (void)snprintf(text + n, sizeof text - (size_t)n, "@%llu", (unsigned long long)r->from);
    jw_z(w, text);
}

void failpoint_list(struct buf *out) {
    struct json_writer w = json_writer(out);
    jw_array(&w);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < point_count; i++) {
        jw_object(&w);
        jw_key(&w, "name");
        jw_z(&w, points[i].name);
        jw_key(&w, "hits");
        jw_i64(&w, (int64_t)points[i].hits);
        jw_key(&w, "action");
        action_put(&w, &points[i].rule);
        jw_object_end(&w);
    }
    pthread_mutex_unlock(&lock);
    jw_array_end(&w);
}

#else

int failpoint_set(str spec, struct err *err) {
    (void)spec;
    return err_set(err, ERR_UNSUPPORTED, "failpoints exist in debug builds only");
}

void failpoint_init_from_env(void) {
}

void failpoint_list(struct buf *out) {
    buf_z(out, "[]");
}

#endif
