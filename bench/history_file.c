/* SPDX-License-Identifier: Apache-2.0 */
/* history_file.c - durable events per second into a file history, against the same disk's syncs.
 *
 * First one plain writer: pwrite of one event's bytes and fdatasync, in a loop: the syncs a second
 * of this disk. Then N fibers that append E events of B bytes at a time, each to its own session.
 * Then reads of 100 events from random places. Prints one line of JSON.
 *
 * usage: bench_history_file [writers 10] [events at once 100] [bytes 2000] [seconds 5]
 *        [folder ./bench-history: must not exist] */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "history/file/file.h"

#define AT_ONCE_MAX  1000
#define WRITERS_MAX  1000
#define READS        2000
#define READ_EVENTS  100
#define SYNC_SECONDS 2

struct bench {
    struct rt *rt;
    struct history *h;
    int64_t writers, at_once, bytes, seconds;
    const char *dir;
    char *payload;
    int64_t end_us, events, errors;
    double sync_rate, event_rate;
    int64_t read_us[READS];
};
struct writer {
    struct bench *b;
    int64_t number, seq;
};

static double syncs_per_second(const struct bench *b) {
    char path[256];
    int64_t count = 0, start = clock_mono_us(), now = start;
    (void)snprintf(path, sizeof path, "%s.syncs", b->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, 64 << 20) != 0)
        return 0;
    for (; now - start < SYNC_SECONDS * 1000000; count++, now = clock_mono_us()) {
        if (pwrite(fd, b->payload, (size_t)b->bytes, count * b->bytes % (60 << 20)) < 0 ||
            fdatasync(fd) < 0)
            break;
    }
    close(fd);
    (void)unlink(path);
    return (double)count * 1e6 / (double)(now - start);
}

static struct history_key key_of(char name[32], int64_t number) {
    (void)snprintf(name, 32, "s%" PRId64, number);
    return (struct history_key){STR("bench"), str_of(name)};
}

static void write_on(void *arg) {
    struct writer *w = arg;
    struct bench *b = w->b;
    struct history_event *events = mem_calloc(AT_ONCE_MAX, sizeof *events);
    struct history_result *results = mem_calloc(AT_ONCE_MAX, sizeof *results);
    char(*ids)[40] = mem_calloc(AT_ONCE_MAX, sizeof *ids);
    char name[32];
    struct history_append a = {.key = key_of(name, w->number),
                               .events = events,
                               .count = (size_t)b->at_once,
                               .results = results};
    while (clock_mono_us() < b->end_us) {
        for (int64_t i = 0; i < b->at_once; i++) {
            int len = snprintf(ids[i], sizeof ids[i], "event-%" PRId64, ++w->seq);
            events[i] = (struct history_event){.id = str_n(ids[i], (size_t)len),
                                               .type = STR("message"),
                                               .payload_kind = HISTORY_BYTES,
                                               .payload = str_n(b->payload, (size_t)b->bytes),
                                               .occurred_at = rt_now_us(b->rt)};
        }
        if (history_append(b->h, &a, NULL) < 0)
            b->errors++;
        else
            b->events += b->at_once;
    }
    mem_free(events);
    mem_free(results);
    mem_free(ids);
}

static int number_cmp(const void *a, const void *b) {
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void read_on(struct bench *b, const struct writer *writers) {
    for (int i = 0; i < READS; i++) {
        const struct writer *w = &writers[rand_below((uint64_t)b->writers)];
        char name[32];
        struct arena a;
        struct history_page page;
        struct history_range r = HISTORY_RANGE_ALL(key_of(name, w->number));
        r.limit = READ_EVENTS;
        r.seq_min = 1 + (int64_t)rand_below((uint64_t)w->seq + 1);
        arena_init(&a, 64 << 20);
        int64_t start = clock_mono_us();
        b->errors += history_read(b->h, &r, &a, &page, NULL) < 0;
        b->read_us[i] = clock_mono_us() - start;
        arena_deinit(&a);
    }
    qsort(b->read_us, READS, sizeof b->read_us[0], number_cmp);
}

static void main_fiber(void *arg) {
    struct bench *b = arg;
    struct writer *writers = mem_calloc(WRITERS_MAX, sizeof *writers);
    struct fiber_group group;
    struct history_stats stats = {0};
    struct rusage use;
    struct err err = {0};
    struct history_file_options o = {.dir = b->dir};
    if (history_file_open(b->rt, &o, &b->h, &err) < 0) {
        fprintf(stderr, "bench_history_file: %s\n", err.message);
        rt_stop(b->rt);
        return;
    }
    int64_t start = clock_mono_us();
    b->end_us = start + b->seconds * 1000000;
    fiber_group_init(&group);
    for (int64_t i = 0; i < b->writers; i++) {
        writers[i] = (struct writer){b, i, 0};
        b->errors += fiber_group_spawn(&group, b->rt, "writer", write_on, &writers[i], &err) < 0;
    }
    fiber_group_wait(&group);
    b->event_rate = (double)b->events * 1e6 / (double)(clock_mono_us() - start);
    read_on(b, writers);
    b->errors += history_stats(b->h, &stats, &err) < 0;
    history_close(b->h);
    (void)getrusage(RUSAGE_SELF, &use);
    printf("{\"writers\":%" PRId64 ",\"at_once\":%" PRId64 ",\"bytes\":%" PRId64
           ",\"fdatasync_per_s\":%.0f,\"events_per_s\":%.0f,\"groups_per_s\":%.0f"
           ",\"read100_p50_us\":%" PRId64 ",\"read100_p95_us\":%" PRId64
           ",\"rss_max_mb\":%ld,\"errors\":%" PRId64 "}\n",
           b->writers, b->at_once, b->bytes, b->sync_rate, b->event_rate,
           (double)stats.syncs / (double)b->seconds, b->read_us[READS / 2],
           b->read_us[READS * 95 / 100], use.ru_maxrss / 1024, b->errors);
    mem_free(writers);
    rt_stop(b->rt);
}

static int64_t option(int argc, char **argv, int at, int64_t fallback, int64_t max) {
    int64_t v = fallback;
    if (argc > at && (!str_to_i64(str_of(argv[at]), &v) || v < 1 || v > max))
        v = fallback;
    return v;
}

int main(int argc, char **argv) {
    struct bench *b = NEW(struct bench);
    b->writers = option(argc, argv, 1, 10, WRITERS_MAX);
    b->at_once = option(argc, argv, 2, 100, AT_ONCE_MAX);
    b->bytes = option(argc, argv, 3, 2000, 1 << 20);
    b->seconds = option(argc, argv, 4, 5, 3600);
    b->dir = argc > 5 ? argv[5] : "./bench-history";
    b->payload = mem_zalloc((size_t)b->bytes);
    rand_bytes(b->payload, (size_t)b->bytes);
    b->sync_rate = syncs_per_second(b);
    if (rt_open(&b->rt, NULL) < 0 || !fiber_spawn(b->rt, "main", main_fiber, b, NULL))
        return 1;
    rt_run(b->rt);
    rt_close(b->rt);
    mem_free(b->payload);
    mem_free(b);
    return 0;
}
