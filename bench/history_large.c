/* SPDX-License-Identifier: Apache-2.0 */
/* history_large.c - pages of a history of millions of events in a folder, as it grows.
 *
 * As many fibers as there are sessions append events of some 200 bytes of JSON, 1,000 at a time.
 * When there are 1, 3 and 10 million (or as many as are asked for): 5,000 pages of 100 events from
 * random places of random sessions. Prints a line of JSON each, with the time that a page took and
 * its CPU time, which other work on the machine changes less. What was there is used again.
 *
 * usage: bench_history_large FOLDER [millions 10] [sessions 10] [none|zstd] */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "history/file/file.h"

#define SESSIONS_MAX 1000
#define AT_ONCE      1000
#define READS        5000
#define READ_EVENTS  100
#define PAYLOAD_MAX  512

struct bench {
    struct rt *rt;
    struct history *h;
    const char *dir;
    int64_t millions, sessions, target; /* target: events of each session */
    bool compress;
    int64_t errors;
    int64_t read_us[READS];
    double read_cpu_us;
};
struct writer {
    struct bench *b;
    int64_t number;
};

static struct history_key key_of(char name[32], int64_t number) {
    (void)snprintf(name, 32, "s%" PRId64, number);
    return (struct history_key){STR(""), str_of(name)};
}

/* As a conversation's: the same keys, words of a language, numbers of chance. */
static str payload_make(char to[PAYLOAD_MAX], int64_t seq) {
    static const char *const words[] = {
        "the",    "order",   "was",     "sent",  "on",      "Monday", "and",      "will",
        "arrive", "within",  "three",   "days",  "please",  "check",  "your",     "address",
        "number", "account", "because", "a",     "payment", "failed", "question", "about",
        "it",     "we",      "can",     "offer", "another", "size",   "tomorrow", "thanks"};
    int len = snprintf(to, PAYLOAD_MAX, "{\"role\":\"%s\",\"turn\":%" PRId64 ",\"content\":\"",
                       seq % 2 ? "user" : "assistant", seq);
    while (len < 160)
        len += snprintf(to + len, PAYLOAD_MAX - (size_t)len, "%s ",
                        words[rand_below(ARRAY_COUNT(words))]);
    len += snprintf(to + len, PAYLOAD_MAX - (size_t)len, "\",\"score\":%u.%04u}",
                    (unsigned)rand_below(100), (unsigned)rand_below(10000));
    return str_n(to, (size_t)len);
}

static int64_t last_seq(struct bench *b, const struct history_key *key) {
    struct history_session s;
    struct arena a;
    arena_init(&a, 1 << 20);
    int rc = history_session_get(b->h, key, &a, &s, NULL);
    int64_t seq = rc == 0 ? s.last_seq : 0;
    arena_deinit(&a);
    return seq;
}

static void write_on(void *arg) {
    struct writer *w = arg;
    struct bench *b = w->b;
    struct history_event *events = mem_calloc(AT_ONCE, sizeof *events);
    struct history_result *results = mem_calloc(AT_ONCE, sizeof *results);
    char(*ids)[40] = mem_calloc(AT_ONCE, sizeof *ids);
    char(*payloads)[PAYLOAD_MAX] = mem_calloc(AT_ONCE, sizeof *payloads);
    char name[32];
    struct history_append a = {
        .key = key_of(name, w->number), .events = events, .count = AT_ONCE, .results = results};
    for (int64_t seq = last_seq(b, &a.key); seq < b->target && b->errors == 0;) {
        for (int64_t i = 0; i < AT_ONCE; i++) {
            int len = snprintf(ids[i], sizeof ids[i], "%016" PRIx64, (uint64_t)++seq);
            events[i] = (struct history_event){.id = str_n(ids[i], (size_t)len),
                                               .type = STR("message"),
                                               .payload_kind = HISTORY_JSON,
                                               .payload = payload_make(payloads[i], seq),
                                               .occurred_at = rt_now_us(b->rt)};
        }
        b->errors += history_append(b->h, &a, NULL) < 0;
    }
    mem_free(events);
    mem_free(results);
    mem_free(ids);
    mem_free(payloads);
}

static int number_cmp(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double cpu_seconds(void) {
    struct rusage use;
    (void)getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void read_all(struct bench *b) {
    double before = cpu_seconds();
    for (int i = 0; i < READS; i++) {
        char name[32];
        struct arena a;
        struct history_page page;
        struct history_range r =
            HISTORY_RANGE_ALL(key_of(name, (int64_t)rand_below((uint64_t)b->sessions)));
        r.limit = READ_EVENTS;
        r.seq_min = 1 + (int64_t)rand_below((uint64_t)b->target - READ_EVENTS);
        arena_init(&a, 64 << 20);
        int64_t start = clock_mono_us();
        b->errors += history_read(b->h, &r, &a, &page, NULL) < 0 || page.count != READ_EVENTS;
        b->read_us[i] = clock_mono_us() - start;
        arena_deinit(&a);
    }
    b->read_cpu_us = (cpu_seconds() - before) * 1e6 / READS;
    qsort(b->read_us, READS, sizeof b->read_us[0], number_cmp);
}

static int64_t folder_bytes(const char *path, int64_t *out_segments) {
    DIR *dir = opendir(path);
    int64_t bytes = 0;
    struct stat st;
    *out_segments = 0;
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        if (strncmp(e->d_name, "seg-", 4) != 0 || fstatat(dirfd(dir), e->d_name, &st, 0) < 0)
            continue;
        bytes += st.st_size;
        ++*out_segments;
    }
    if (dir)
        (void)closedir(dir);
    return bytes;
}

static void step(struct bench *b, int64_t millions) {
    struct writer *writers = mem_calloc(SESSIONS_MAX, sizeof *writers);
    struct fiber_group group;
    struct history_stats stats = {0};
    struct rusage use;
    int64_t start = clock_mono_us(), segments;
    b->target = millions * 1000000 / b->sessions;
    fiber_group_init(&group);
    for (int64_t i = 0; i < b->sessions; i++) {
        writers[i] = (struct writer){b, i};
        b->errors += fiber_group_spawn(&group, b->rt, "writer", write_on, &writers[i], NULL) < 0;
    }
    fiber_group_wait(&group);
    double seconds = (double)(clock_mono_us() - start) / 1e6;
    read_all(b);
    b->errors += history_stats(b->h, &stats, NULL) < 0;
    (void)getrusage(RUSAGE_SELF, &use);
    int64_t bytes = folder_bytes(b->dir, &segments);
    printf("{\"events\":%" PRId64 ",\"sessions\":%" PRId64 ",\"zstd\":%d,\"append_s\":%.1f"
           ",\"payload_mb\":%" PRId64 ",\"segments\":%" PRId64 ",\"segments_mb\":%" PRId64
           ",\"read100_p50_us\":%" PRId64 ",\"read100_p95_us\":%" PRId64
           ",\"read100_p99_us\":%" PRId64
           ",\"read100_cpu_us\":%.1f,\"cpu_s\":%.1f,\"rss_max_mb\":%ld,\"errors\":%" PRId64 "}\n",
           stats.events, b->sessions, b->compress, seconds, stats.payload_bytes / 1000000, segments,
           bytes / 1000000, b->read_us[READS / 2], b->read_us[READS * 95 / 100],
           b->read_us[READS * 99 / 100], b->read_cpu_us, cpu_seconds(), use.ru_maxrss / 1024,
           b->errors);
    (void)fflush(stdout);
    mem_free(writers);
}

static void main_fiber(void *arg) {
    struct bench *b = arg;
    struct err err = {0};
    struct history_file_options o = {.dir = b->dir, .compress = b->compress};
    if (history_file_open(b->rt, &o, &b->h, &err) < 0) {
        fprintf(stderr, "bench_history_large: %s\n", err.message);
        b->errors++;
    } else {
        static const int64_t steps[] = {1, 3, 10, 30, 100};
        for (size_t i = 0; i < ARRAY_COUNT(steps) && steps[i] < b->millions; i++)
            step(b, steps[i]);
        step(b, b->millions);
    }
    history_close(b->h);
    rt_stop(b->rt);
}

int main(int argc, char **argv) {
    struct bench *b = NEW(struct bench);
    b->millions = b->sessions = 10;
    b->dir = argc > 1 ? argv[1] : NULL;
    if (argc > 2 && !str_to_i64(str_of(argv[2]), &b->millions))
        b->dir = NULL;
    if (argc > 3 && !str_to_i64(str_of(argv[3]), &b->sessions))
        b->dir = NULL;
    b->compress = argc > 4 && strcmp(argv[4], "zstd") == 0;
    if (!b->dir || b->millions < 1 || b->sessions < 1 || b->sessions > SESSIONS_MAX) {
        fprintf(stderr, "usage: bench_history_large FOLDER [millions] [sessions] [none|zstd]\n");
        return 2;
    }
    if (rt_open(&b->rt, NULL) < 0 || !fiber_spawn(b->rt, "main", main_fiber, b, NULL))
        return 1;
    rt_run(b->rt);
    rt_close(b->rt);
    int status = b->errors ? 1 : 0;
    mem_free(b);
    return status;
}
