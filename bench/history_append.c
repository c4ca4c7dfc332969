/* SPDX-License-Identifier: Apache-2.0 */
/* history_append.c - durable events per second of the history in a database, and the disk's floor.
 *
 * Each writer appends E events of B bytes to its session, one append after the other; the pipeline
 * groups them. Then pages of 100 events are read, anywhere in the sessions. Then, as the floor, as
 * many bytes as a group had are written to a file of its own and synced, again and again, for a
 * second. Prints one line of JSON.
 *
 * usage: history_append [writers 64] [seconds 5] [events 1] [bytes 2000] [sessions 16]
 *        [file ./bench.db (deleted before and after), "memory" or a URL of PostgreSQL]
 *        [page of a file, bytes 0: as the driver does] */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/postgres/postgres.h"
#include "db/sqlite/sqlite.h"
#include "history/pipeline.h"
#include "history/sql/sql.h"
#include "rt/loop.h"

#define WRITERS_MAX 4096
#define EVENTS_MAX  1000
#define BYTES_MAX   (1 << 20)
#define SAMPLES_MAX ((size_t)8 << 20)
#define READS       2000
#define PAGE_EVENTS 100

struct bench {
    struct rt *rt;
    struct db *db;
    struct history *h;
    const char *where;
    int64_t writers, seconds, events, bytes, sessions, page_bytes;
    int64_t stored, errors;
    uint32_t reads[READS]; /* latencies, us */
    uint32_t *samples;     /* latencies, us */
    size_t sample_count;
    char *payload;
    int64_t end_us;
    bool postgres, failed;
};
struct writer {
    struct bench *b;
    int64_t number, next;
};

static int append_some(struct writer *w, struct arena *a) {
    struct bench *b = w->b;
    struct history_event *events = ARENA_ARRAY(a, struct history_event, b->events);
    struct history_result *results = ARENA_ARRAY(a, struct history_result, b->events);
    for (int64_t i = 0; i < b->events; i++) {
        events[i] = (struct history_event){.id = id_dashed(a, id_v7()),
                                           .type = STR("tool.result"),
                                           .payload_kind = HISTORY_JSON,
                                           .payload = str_n(b->payload, (size_t)b->bytes),
                                           .occurred_at = clock_wall_us(),
                                           .source = STR("bench")};
    }
    struct history_append append = {
        .key = {STR("bench"), arena_printf(a, "session %" PRId64, w->number % b->sessions)},
        .events = events,
        .count = (size_t)b->events,
        .results = results};
    return history_append(b->h, &append, NULL);
}

static void writer_main(void *arg) {
    struct writer *w = arg;
    struct bench *b = w->b;
    struct arena a;
    arena_init(&a, 16u << 20);
    int64_t now_us = clock_mono_us();
    while (now_us < b->end_us) {
        arena_reset(&a);
        int rc = append_some(w, &a);
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

static double cpu_us(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail for oneself */
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Events per second when nothing is done but writing and syncing groups of `events`. */
static double floor_of(const struct bench *b, double events) {
    size_t bytes = (size_t)(events * (double)b->bytes);
    char *data = mem_zalloc(bytes + 1);
    const char *path = "bench.floor";
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int64_t start_us = clock_mono_us(), now_us = start_us, groups = 0;
    while (fd >= 0 && now_us < start_us + 1000000) {
        if (write(fd, data, bytes) != (ssize_t)bytes || fdatasync(fd) != 0)
            break;
        groups++;
        now_us = clock_mono_us();
    }
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(path);
    mem_free(data);
    return (double)groups * events * 1e6 / (double)(now_us - start_us + 1);
}

static void report(struct bench *b, double seconds, double cpu, uint64_t groups) {
    qsort(b->samples, b->sample_count, sizeof *b->samples, by_size);
    qsort(b->reads, READS, sizeof *b->reads, by_size);
    size_t n = b->sample_count;
    double group = groups > 0 ? (double)b->stored / (double)groups : 0;
    printf("{\"name\": \"history_append\", \"writers\": %" PRId64 ", \"events\": %" PRId64
           ", \"bytes\": %" PRId64 ", \"sessions\": %" PRId64 ", \"events_per_second\": %.0f, "
           "\"read_p50_us\": %u, \"read_p95_us\": %u, "
           "\"errors\": %" PRId64 ", \"p50_us\": %u, \"p99_us\": %u, \"events_per_group\": %.1f, "
           "\"cpu_us_per_event\": %.2f, \"floor_events_per_second\": %.0f}\n",
           b->writers, b->events, b->bytes, b->sessions, (double)b->stored / seconds,
           b->reads[READS / 2], b->reads[READS - READS / 20], b->errors, n ? b->samples[n / 2] : 0,
           n ? b->samples[n - 1 - n / 100] : 0, group, cpu / (double)(b->stored ? b->stored : 1),
           floor_of(b, group));
}

static int read_pages(struct bench *b, struct err *err) {
    struct arena a;
    int rc = 0;
    arena_init(&a, 64u << 20);
    for (int64_t i = 0; rc == 0 && i < READS; i++) {
        arena_reset(&a);
        struct history_key key = {STR("bench"),
                                  arena_printf(&a, "session %" PRId64, i % b->sessions)};
        struct history_range range = HISTORY_RANGE_ALL(key);
        struct history_page page;
        range.seq_min = 1 + (i * 7919) % (b->stored / b->sessions + 1);
        range.limit = PAGE_EVENTS;
        int64_t start_us = clock_mono_us();
        rc = history_read(b->h, &range, &a, &page, err);
        b->reads[i] = (uint32_t)(clock_mono_us() - start_us);
    }
    arena_deinit(&a);
    return rc;
}

static void delete_files(const char *path) {
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[4096];
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name); /* not all are there */
    }
}

static int open_db(struct bench *b, struct err *err) {
    if (b->postgres) {
        struct db_postgres_options o;
        db_postgres_options_default(&o);
        o.url = b->where;
        return db_postgres_open(b->rt, &o, &b->db, err);
    }
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = strcmp(b->where, "memory") == 0 ? NULL : b->where;
    o.page_bytes = b->page_bytes;
    return db_sqlite_open(b->rt, &o, &b->db, err);
}

static int run(struct bench *b, struct err *err) {
    struct history_sql_options sql = {.shared = false};
    struct history_pipeline_options pipeline;
    struct fiber_group group;
    struct history_stats stats;
    history_pipeline_options_default(&pipeline);
    b->h = history_pipeline_wrap(b->rt, history_sql_open(b->db, &sql), &pipeline);
    struct writer *writers = mem_calloc((size_t)b->writers, sizeof *writers);
    int64_t start_us = clock_mono_us();
    double cpu = cpu_us();
    int rc = 0;
    b->end_us = start_us + b->seconds * 1000000;
    fiber_group_init(&group);
    for (int64_t i = 0; rc == 0 && i < b->writers; i++) {
        writers[i] = (struct writer){.b = b, .number = i};
        rc = fiber_group_spawn(&group, b->rt, "writer", writer_main, &writers[i], err);
    }
    fiber_group_wait(&group);
    double took = (double)(clock_mono_us() - start_us) / 1e6;
    if (rc == 0)
        rc = history_stats(b->h, &stats, err);
    cpu = cpu_us() - cpu;
    if (rc == 0)
        rc = read_pages(b, err);
    if (rc == 0)
        report(b, took, cpu, stats.flushes);
    mem_free(writers);
    history_close(b->h);
    return rc;
}

static void main_fiber(void *arg) {
    struct bench *b = arg;
    struct err err = {0};
    int rc = b->postgres ? open_db(b, &err) : 0;
    if (rc == 0)
        rc = run(b, &err);
    if (rc < 0)
        fprintf(stderr, "history_append: %s: %s\n", err_name(rc), err.message);
    b->failed = rc < 0;
    rt_stop(b->rt);
}

static int64_t arg(int argc, char **argv, int at, int64_t otherwise) {
    int64_t v = otherwise;
    return argc > at && !str_to_i64(str_of(argv[at]), &v) ? -1 : v;
}

int main(int argc, char **argv) {
    struct bench b = {.writers = arg(argc, argv, 1, 64),
                      .seconds = arg(argc, argv, 2, 5),
                      .events = arg(argc, argv, 3, 1),
                      .bytes = arg(argc, argv, 4, 2000),
                      .sessions = arg(argc, argv, 5, 16),
                      .where = argc > 6 ? argv[6] : "bench.db",
                      .page_bytes = arg(argc, argv, 7, 0)};
    struct err err = {0};
    if (b.writers < 1 || b.writers > WRITERS_MAX || b.seconds < 1 || b.events < 1 ||
        b.events > EVENTS_MAX || b.bytes < 2 || b.bytes > BYTES_MAX || b.sessions < 1) {
        fprintf(stderr,
                "usage: history_append [writers] [seconds] [events] [bytes] [sessions] [where] "
                "[page]\n");
        return 2;
    }
    b.postgres = strncmp(b.where, "postgres", 8) == 0;
    b.payload = mem_zalloc((size_t)b.bytes + 1);
    memset(b.payload, 'x', (size_t)b.bytes);
    b.payload[0] = b.payload[b.bytes - 1] = '"';
    b.samples = mem_calloc(SAMPLES_MAX, sizeof *b.samples);
    if (!b.postgres)
        delete_files(b.where);
    int rc = rt_open(&b.rt, &err);
    if (rc == 0 && !b.postgres)
        rc = open_db(&b, &err);
    if (rc == 0 && !fiber_spawn(b.rt, "main", main_fiber, &b, &err))
        rc = err.code;
    if (rc == 0)
        rt_run(b.rt);
    else
        fprintf(stderr, "history_append: %s: %s\n", err_name(rc), err.message);
    if (b.db)
        db_close(b.db);
    if (b.rt)
        rt_close(b.rt);
    if (!b.postgres)
        delete_files(b.where);
    mem_free(b.samples);
    mem_free(b.payload);
    return rc < 0 || b.failed;
}
