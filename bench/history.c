/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - what a store of histories does in a second: the subject of ./dev bench history.
 *
 *   bench_history append STORE   writers append, each waits for its answer before the next; first
 *                                the floors: syncs of one event's bytes, and of a group's
 *   bench_history read STORE     pages of 100 events from anywhere in a session
 *
 * STORE is file:FOLDER, sqlite:FILE or postgres://…, and stays. Appends go through the pipeline, as
 * a server's do. Payloads are JSON texts that do not compress to nothing. With --fill a session
 * "large" gets every tenth event, `small` a thousand. Prints one line of JSON.
 *
 * options: --writers 16, --events 50 (an append), --bytes 2000 (a payload), --sessions 16,
 *          --seconds 5 or --fill N (events in all), --page BYTES (of a file made anew),
 *          --session NAME, --reads 2000, --within N (of pages: the N events in its middle) */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "db/postgres/postgres.h"
#include "db/sqlite/sqlite.h"
#include "history/file/file.h"
#include "history/pipeline.h"
#include "history/sql/sql.h"
#include "rt/loop.h"

#define SAMPLES_MAX  ((size_t)8 << 20)
#define PAYLOADS     64
#define PAGE_EVENTS  100
#define SMALL_EVENTS 1000
#define FILL_LARGE   10 /* one of so many writers writes to the large session */
#define FLOOR_US     1000000
#define FLOOR_BYTES  ((size_t)64 << 20)
#define FLOOR_FILE   "bench.floor"

struct bench {
    struct rt *rt;
    struct db *db;
    struct history *h;
    const char *mode, *store;
    str session;
    int64_t writers, events, bytes, sessions, seconds, fill, page, reads;
    int64_t within; /* pages are of so many events in the middle; 0: of all */
    int64_t begun, stored, errors, end_us; /* begun: events that are stored or under way */
    uint32_t *samples;                     /* latencies, us */
    size_t sample_count;
    char *payloads[PAYLOADS];
    double syncs_per_second;
    bool failed;
};
struct writer {
    struct bench *b;
    int64_t number;
};

/* --- floors --- */

/* How often a second so many bytes can be written and synced, one after the other, in a file that
 * has its size. */
static double syncs_of(size_t bytes) {
    char *data = mem_zalloc(bytes + 1);
    size_t places = FLOOR_BYTES / bytes;
    int fd = open(FLOOR_FILE, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool fine = fd >= 0 && places > 0 && posix_fallocate(fd, 0, (off_t)FLOOR_BYTES) == 0;
    int64_t count = 0, start_us = clock_mono_us(), now_us = start_us;
    while (fine && now_us < start_us + FLOOR_US) {
        off_t at = (off_t)((size_t)count % places * bytes);
        fine = pwrite(fd, data, bytes, at) == (ssize_t)bytes && fdatasync(fd) == 0;
        count++;
        now_us = clock_mono_us();
    }
    if (fd >= 0)
        (void)close(fd); /* it held nothing */
    (void)unlink(FLOOR_FILE);
    mem_free(data);
    return fine ? (double)count * 1e6 / (double)(now_us - start_us) : 0;
}

/* --- appending --- */

static str session_of(const struct writer *w, struct arena *a) {
    const struct bench *b = w->b;
    if (b->fill > 0 && w->number % FILL_LARGE == 0)
        return STR("large");
    return arena_printf(a, "session %" PRId64, w->number % b->sessions);
}

static int append_some(struct bench *b, str session, int64_t count, struct arena *a) {
    struct history_event *events = ARENA_ARRAY(a, struct history_event, count);
    struct history_result *results = ARENA_ARRAY(a, struct history_result, count);
    for (int64_t i = 0; i < count; i++) {
        events[i] =
            (struct history_event){.id = id_dashed(a, id_v7()),
                                   .type = STR("tool.result"),
                                   .payload_kind = HISTORY_JSON,
                                   .payload = str_n(b->payloads[i % PAYLOADS], (size_t)b->bytes),
                                   .occurred_at = clock_wall_us(),
                                   .source = STR("bench")};
    }
    struct history_append append = {
        .key = {STR(""), session}, .events = events, .count = (size_t)count, .results = results};
    return history_append(b->h, &append, NULL);
}

static bool ends(const struct bench *b, int64_t now_us) {
    return b->errors > 0 || (b->fill > 0 ? b->begun >= b->fill : now_us >= b->end_us);
}

static void writer_main(void *arg) {
    struct writer *w = arg;
    struct bench *b = w->b;
    struct arena a;
    arena_init(&a, 64u << 20);
    int64_t now_us = clock_mono_us();
    while (!ends(b, now_us)) {
        arena_reset(&a);
        b->begun += b->events;
        int rc = append_some(b, session_of(w, &a), b->events, &a);
        int64_t done_us = clock_mono_us();
        if (b->sample_count < SAMPLES_MAX)
            b->samples[b->sample_count++] = (uint32_t)(done_us - now_us);
        b->stored += rc == 0 ? b->events : 0;
        b->errors += rc < 0;
        now_us = done_us;
    }
    arena_deinit(&a);
}

static int by_size(const void *x, const void *y) {
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static double part(const struct bench *b, double p) {
    size_t n = b->sample_count, at = (size_t)((double)n * p);
    return n == 0 ? 0 : b->samples[at < n ? at : n - 1];
}

static void cpu_us(double *out_user, double *out_system) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail for oneself */
    *out_user = (double)u.ru_utime.tv_sec * 1e6 + (double)u.ru_utime.tv_usec;
    *out_system = (double)u.ru_stime.tv_sec * 1e6 + (double)u.ru_stime.tv_usec;
}

static int run_writers(struct bench *b, struct err *err) {
    struct writer *writers = mem_calloc((size_t)b->writers, sizeof *writers);
    struct fiber_group group;
    int rc = 0;
    b->end_us = clock_mono_us() + b->seconds * 1000000;
    fiber_group_init(&group);
    for (int64_t i = 0; rc == 0 && i < b->writers; i++) {
        writers[i] = (struct writer){b, i};
        rc = fiber_group_spawn(&group, b->rt, "writer", writer_main, &writers[i], err);
    }
    fiber_group_wait(&group);
    mem_free(writers);
    return rc;
}

static int append(struct bench *b, struct err *err) {
    struct history_stats before, after;
    struct arena a;
    double user, system, user_after, system_after;
    int rc = history_stats(b->h, &before, err);
    int64_t start_us = clock_mono_us();
    cpu_us(&user, &system);
    if (rc == 0)
        rc = run_writers(b, err);
    double seconds = (double)(clock_mono_us() - start_us) / 1e6;
    cpu_us(&user_after, &system_after);
    if (rc == 0)
        rc = history_stats(b->h, &after, err);
    arena_init(&a, 64u << 20);
    for (int64_t i = 0; rc == 0 && b->fill > 0 && i < SMALL_EVENTS; i += PAYLOADS)
        rc = append_some(b, STR("small"), PAYLOADS, &a);
    arena_deinit(&a);
    if (rc < 0)
        return rc;
    uint64_t groups = after.flushes - before.flushes;
    double each = b->stored ? (double)b->stored : 1;
    double group = groups ? each / (double)groups : 0;
    qsort(b->samples, b->sample_count, sizeof *b->samples, by_size);
    printf("{\"stored\": %" PRId64 ", \"seconds\": %.3f, \"errors\": %" PRId64
           ", \"per_second\": %.1f, \"appends_per_second\": %.1f, \"p50_us\": %.0f, "
           "\"p99_us\": %.0f, \"events_per_group\": %.1f, \"cpu_us\": %.2f, "
           "\"kernel_cpu_us\": %.2f, \"syncs_per_second\": %.1f, \"floor_per_second\": %.1f}\n",
           b->stored, seconds, b->errors, (double)b->stored / seconds,
           (double)b->stored / (double)b->events / seconds, part(b, 0.5), part(b, 0.99), group,
           (user_after - user + system_after - system) / each, (system_after - system) / each,
           b->syncs_per_second, group * syncs_of((size_t)(group * (double)b->bytes) + 1));
    return b->errors ? err_set(err, ERR_INTERNAL, "appends failed") : 0;
}

/* --- reading --- */

static int read_pages(struct bench *b, struct err *err) {
    struct history_key key = {STR(""), b->session};
    struct history_session session;
    struct rusage use;
    struct arena a;
    int64_t events = 0;
    double user, system, user_after, system_after;
    arena_init(&a, 64u << 20);
    int rc = history_session_get(b->h, &key, &a, &session, err);
    int64_t count = rc == 0 ? session.last_seq : 0;
    if (b->within && b->within < count)
        count = b->within;
    int64_t first = rc == 0 ? 1 + (session.last_seq - count) / 2 : 0;
    int64_t places = count - PAGE_EVENTS + 1;
    if (rc == 0 && places < 1)
        rc = err_set(err, ERR_INVALID, "a session of less than a page");
    cpu_us(&user, &system);
    for (int64_t i = 0; rc == 0 && i < b->reads; i++) {
        struct history_range range = HISTORY_RANGE_ALL(key);
        struct history_page page;
        arena_reset(&a);
        range.seq_min = first + (int64_t)rand_below((uint64_t)places);
        range.limit = PAGE_EVENTS;
        int64_t start_us = clock_mono_us();
        rc = history_read(b->h, &range, &a, &page, err);
        b->samples[b->sample_count++] = (uint32_t)(clock_mono_us() - start_us);
        events += rc == 0 ? (int64_t)page.count : 0;
    }
    arena_deinit(&a);
    if (rc < 0)
        return rc;
    cpu_us(&user_after, &system_after);
    (void)getrusage(RUSAGE_SELF, &use); /* cannot fail for oneself */
    qsort(b->samples, b->sample_count, sizeof *b->samples, by_size);
    printf("{\"session_events\": %" PRId64 ", \"reads\": %" PRId64 ", \"events\": %" PRId64
           ", \"p50_us\": %.0f, \"p95_us\": %.0f, \"p99_us\": %.0f, \"cpu_us\": %.1f, "
           "\"rss_max_mib\": %.1f}\n",
           session.last_seq, b->reads, events, part(b, 0.5), part(b, 0.95), part(b, 0.99),
           (user_after - user + system_after - system) / (double)b->reads,
           (double)use.ru_maxrss / 1024);
    return 0;
}

/* --- the store --- */

static const char *behind(const char *text, const char *scheme) {
    size_t len = strlen(scheme);
    return strncmp(text, scheme, len) == 0 ? text + len : NULL;
}

static bool is_postgres(const struct bench *b) { return behind(b->store, "postgres") != NULL; }

/* Before the loop runs. */
static int open_sqlite(struct bench *b, struct err *err) {
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = behind(b->store, "sqlite:");
    o.page_bytes = b->page;
    o.erases = true; /* as files that hold histories alone are opened */
    return db_sqlite_open(b->rt, &o, &b->db, err);
}

static int open_postgres(struct bench *b, struct err *err) {
    struct db_postgres_options o;
    db_postgres_options_default(&o);
    o.pool.url = b->store;
    o.migrate = true;
    return db_postgres_open(b->rt, &o, &b->db, err);
}

static int open_history(struct bench *b, struct err *err) {
    struct history_file_options file = {.dir = behind(b->store, "file:")};
    struct history_pipeline_options pipeline;
    struct history *inner = NULL;
    int rc = is_postgres(b) ? open_postgres(b, err) : 0;
    if (rc == 0 && file.dir)
        rc = history_file_open(b->rt, &file, &inner, err);
    if (rc < 0)
        return rc;
    if (!inner)
        inner = history_sql_open(b->db, &(struct history_sql_options){.shared = is_postgres(b)});
    history_pipeline_options_default(&pipeline);
    b->h = history_pipeline_wrap(b->rt, inner, &pipeline);
    return 0;
}

static void main_fiber(void *arg) {
    struct bench *b = arg;
    struct err err = {0};
    int rc = open_history(b, &err);
    if (rc == 0)
        rc = strcmp(b->mode, "append") == 0 ? append(b, &err) : read_pages(b, &err);
    if (rc < 0)
        fprintf(stderr, "bench_history: %s: %s\n", err_name(rc), err.message);
    if (b->h)
        history_close(b->h);
    b->failed = rc < 0;
    rt_stop(b->rt);
}

/* --- options --- */

static void make_payloads(struct bench *b) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";
    for (size_t i = 0; i < PAYLOADS; i++) {
        char *p = b->payloads[i] = mem_zalloc((size_t)b->bytes + 1);
        for (int64_t k = 0; k < b->bytes; k++)
            p[k] = letters[rand_below(sizeof letters - 1)];
        p[0] = p[b->bytes - 1] = '"';
    }
}

static bool read_options(struct bench *b, int argc, char **argv) {
    struct {
        struct option option;
        int64_t *to, max;
    } rows[] = {{{"writers", required_argument, NULL, 0}, &b->writers, 4096},
                {{"events", required_argument, NULL, 0}, &b->events, 10000},
                {{"bytes", required_argument, NULL, 0}, &b->bytes, 1 << 20},
                {{"sessions", required_argument, NULL, 0}, &b->sessions, 1000000},
                {{"seconds", required_argument, NULL, 0}, &b->seconds, 3600},
                {{"fill", required_argument, NULL, 0}, &b->fill, INT64_C(1) << 40},
                {{"within", required_argument, NULL, 0}, &b->within, INT64_C(1) << 40},
                {{"page", required_argument, NULL, 0}, &b->page, 65536},
                {{"reads", required_argument, NULL, 0}, &b->reads, (int64_t)SAMPLES_MAX}};
    struct option options[ARRAY_COUNT(rows) + 2] = {0};
    int at;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        options[i] = rows[i].option;
    options[ARRAY_COUNT(rows)] = (struct option){"session", required_argument, NULL, 0};
    while (getopt_long(argc, argv, "", options, &at) == 0) {
        if (at == (int)ARRAY_COUNT(rows))
            b->session = str_of(optarg);
        else if (!str_to_i64(str_of(optarg), rows[at].to) || *rows[at].to < 1 ||
                 *rows[at].to > rows[at].max)
            return false;
    }
    b->mode = optind + 2 == argc ? argv[optind] : "";
    b->store = optind + 2 == argc ? argv[optind + 1] : "";
    return b->bytes > 1 && (strcmp(b->mode, "append") == 0 || strcmp(b->mode, "read") == 0) &&
           (behind(b->store, "file:") || behind(b->store, "sqlite:") || is_postgres(b));
}

int main(int argc, char **argv) {
    static struct bench b = {.session = STR("large"),
                             .writers = 16,
                             .events = 50,
                             .bytes = 2000,
                             .sessions = 16,
                             .seconds = 5,
                             .reads = 2000};
    struct err err = {0};
    if (!read_options(&b, argc, argv)) {
        fprintf(stderr, "bench_history: wrong options; see the opening of bench/history.c\n");
        return 2;
    }
    log_init(LOG_ERROR, STDERR_FILENO, false);
    make_payloads(&b);
    b.samples = mem_calloc(SAMPLES_MAX, sizeof *b.samples);
    if (strcmp(b.mode, "append") == 0)
        b.syncs_per_second = syncs_of((size_t)b.bytes);
    int rc = rt_open(&b.rt, &err);
    if (rc == 0 && behind(b.store, "sqlite:"))
        rc = open_sqlite(&b, &err);
    if (rc == 0 && !fiber_spawn(b.rt, "main", main_fiber, &b, &err))
        rc = err.code;
    if (rc == 0)
        rt_run(b.rt);
    else
        fprintf(stderr, "bench_history: %s: %s\n", err_name(rc), err.message);
    if (b.db)
        db_close(b.db);
    if (b.rt)
        rt_close(b.rt);
    for (size_t i = 0; i < PAYLOADS; i++)
        mem_free(b.payloads[i]);
    mem_free(b.samples);
    return rc < 0 || b.failed;
}
