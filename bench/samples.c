/* SPDX-License-Identifier: Apache-2.0 */
/* samples.c - latencies with percentiles, and CPU and memory of the processes that are watched.
 *
 * Every sample is kept (4 bytes each) and sorted at the end: exact percentiles, and nothing but an
 * append inside the timed window. CPU is utime + stime of /proc/PID/stat, all threads, in ticks of
 * 10 ms: windows are seconds long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/load.h"

void samples_add(struct samples *s, int64_t us) {
    uint32_t value = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    vec_push(&s->us, value);
}

void samples_deinit(struct samples *s) { vec_deinit(&s->us); }

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(const struct samples *s, double part) {
    size_t at = (size_t)((double)s->us.count * part);
    return s->us.p[at < s->us.count ? at : s->us.count - 1];
}

void samples_write(struct samples *s, struct buf *out) {
    size_t count = s->us.count;
    if (count == 0) {
        buf_z(out, "null");
        return;
    }
    qsort(s->us.p, count, sizeof(uint32_t), compare);
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += s->us.p[i];
    buf_printf(out, "{\"count\":%zu,\"p50\":%u,\"p95\":%u,\"p99\":%u,\"max\":%u,\"mean\":%.1f}",
               count, percentile(s, 0.50), percentile(s, 0.95), percentile(s, 0.99),
               s->us.p[count - 1], sum / (double)count);
}

static bool read_proc(int pid, const char *name, char *text, size_t size) {
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(text, 1, size - 1, f);
    text[n] = 0;
    (void)fclose(f); /* read only */
    return n > 0;
}

static int64_t own_cpu_us(int pid, bool with_ended) {
    char text[2048];
    if (!read_proc(pid, "stat", text, sizeof(text)))
        return -1;
    const char *p = strrchr(text, ')'); /* the name may hold blanks */
    long utime, stime, ended_utime, ended_stime;
    if (!p || sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld", &utime,
                     &stime, &ended_utime, &ended_stime) != 4)
        return -1;
    long ticks = utime + stime + (with_ended ? ended_utime + ended_stime : 0);
    return (int64_t)ticks * (1000000 / sysconf(_SC_CLK_TCK));
}

int64_t watch_cpu_us(int pid, bool tree) {
    int64_t sum_us = own_cpu_us(pid, tree);
    if (!tree || sum_us < 0)
        return sum_us;
    char name[64], text[16384];
    (void)snprintf(name, sizeof(name), "task/%d/children", pid);
    if (!read_proc(pid, name, text, sizeof(text)))
        return sum_us; /* no children now */
    str rest = str_of(text), part;
    while (str_split_next(&rest, ' ', &part)) {
        int64_t child, us = 0;
        if (str_to_i64(part, &child))
            us = own_cpu_us((int)child, false);
        sum_us += us > 0 ? us : 0;
    }
    return sum_us;
}

int64_t watch_rss_bytes(int pid) {
    char text[4096];
    if (!read_proc(pid, "status", text, sizeof(text)))
        return -1;
    const char *p = strstr(text, "VmRSS:");
    long kb;
    if (!p || sscanf(p + 6, "%ld", &kb) != 1)
        return -1;
    return (int64_t)kb * 1024;
}

int64_t watch_self_cpu_us(void) {
    struct rusage r;
    if (getrusage(RUSAGE_SELF, &r) != 0)
        return -1;
    return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * INT64_C(1000000) + r.ru_utime.tv_usec +
           r.ru_stime.tv_usec;
}
