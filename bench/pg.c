/* SPDX-License-Identifier: Apache-2.0 */
/* pg.c - units per second through the PostgreSQL client, with N of them in flight.
 *
 * N fibers run one unit after the other. The statements are those of bench/pgbench/MODE.sql, the
 * documents and arrays those that pgbench gets. Prints one line of JSON: units per second, latency
 * percentiles, CPU time of this process for each unit.
 *
 * usage: pg select|insert|fetch|batch IN_FLIGHT SECONDS CONNECTIONS URL [DOCUMENT-FILE]
 *        pg copy 1 0 1 URL FILE */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "pg/pool.h"

#define SAMPLES_MAX ((size_t)8 << 20)
#define BATCH_ROWS  100
#define FETCH_ROWS  1000

struct bench {
    struct rt *rt;
    struct pg_pool *pool;
    const char *mode, *sql;
    struct buf document;
    int live, seconds;
    int64_t begin_us, end_us, units, rows;
    uint32_t *samples;
    size_t sample_count;
    struct rusage before;
    int failed;
};

static const struct {
    const char *mode, *sql;
} statements[] = {
    {"select", "SELECT $1::int"},
    {"insert", "INSERT INTO bench.docs (doc) VALUES ($1)"},
    {"fetch", "SELECT doc FROM bench.big WHERE id = $1"},
    {"batch", "INSERT INTO bench.rows (id, n, data) SELECT * FROM unnest($1::uuid[], $2::int[], "
              "$3::text[])"},
};

static void fail(struct bench *b, const char *what, const struct err *err) {
    if (!b->failed)
        fprintf(stderr, "pg: %s: %s\n", what, err->message);
    b->failed = 1;
    rt_stop(b->rt);
}

static int check(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    const struct bench *b = w->ctx;
    (void)index;
    bool ok = b->sql == statements[0].sql   ? pg_cell_int(r, 0, 0) == pg_cell_int(r, 0, 0)
              : b->sql == statements[2].sql ? pg_cell_text(r, 0, 0).len == b->document.len
                                            : pg_changed(r) > 0;
    return ok ? 0 : err_set(err, ERR_INTERNAL, "an answer that cannot be");
}

static size_t batch_params(struct bench *b, struct arena *a, struct pg_param out[3]) {
    struct pg_param *ids = ARENA_ARRAY(a, struct pg_param, BATCH_ROWS);
    struct pg_param *numbers = ARENA_ARRAY(a, struct pg_param, BATCH_ROWS);
    struct pg_param *texts = ARENA_ARRAY(a, struct pg_param, BATCH_ROWS);
    for (int i = 0; i < BATCH_ROWS; i++) {
        ids[i] = pg_uuid(id_v4());
        numbers[i] = pg_int4(i);
        texts[i] = pg_text(str_slice(buf_view(&b->document), 0, 200));
    }
    out[0] = pg_array(a, PG_OID_UUID, ids, BATCH_ROWS);
    out[1] = pg_array(a, PG_OID_INT4, numbers, BATCH_ROWS);
    out[2] = pg_array(a, PG_OID_TEXT, texts, BATCH_ROWS);
    return 3;
}

static size_t params(struct bench *b, struct arena *a, struct pg_param out[3]) {
    if (b->sql == statements[3].sql)
        return batch_params(b, a, out);
    if (b->sql == statements[1].sql)
        out[0] = pg_jsonb(a, buf_view(&b->document));
    else
        out[0] = pg_int4(1 + (int32_t)rand_below(FETCH_ROWS));
    return 1;
}

static void client(void *arg) {
    struct bench *b = arg;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 1u << 20);
    for (;;) {
        int64_t now = clock_mono_us();
        if (now >= b->end_us || b->failed)
            break;
        struct pg_param p[3];
        struct pg_call call = {b->mode, b->sql, p, params(b, &a, p)};
        struct pg_work w = {.calls = &call, .call_count = 1, .result = check, .ctx = b};
        if (pg_pool_run(b->pool, &w, &err) != 0)
            fail(b, b->sql, &err);
        int64_t then = clock_mono_us();
        if (now >= b->begin_us && then < b->end_us) {
            b->units++;
            if (b->sample_count < SAMPLES_MAX)
                b->samples[b->sample_count++] = (uint32_t)(then - now);
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
    if (--b->live == 0)
        rt_stop(b->rt);
}

static void copy(void *arg) {
    struct bench *b = arg;
    struct pg_copy *c;
    struct err err = {0};
    b->begin_us = clock_mono_us();
    int rc = pg_copy_begin(b->pool, "COPY bench.rows FROM STDIN", &c, &err);
    if (rc == 0) {
        for (size_t at = 0; rc == 0 && at < b->document.len; at += 65536)
            rc = pg_copy_write(c, str_slice(buf_view(&b->document), at, at + 65536), &err);
        if (rc == 0)
            rc = pg_copy_end(c, false, &b->units, &err);
    }
    b->end_us = clock_mono_us();
    if (rc != 0)
        fail(b, "copy", &err);
    rt_stop(b->rt);
}

static void start(void *arg) {
    struct bench *b = arg;
    struct err err = {0};
    if (pg_pool_await(b->pool, &err) != 0) {
        fail(b, "connect", &err);
        return;
    }
    getrusage(RUSAGE_SELF, &b->before);
    int64_t now = clock_mono_us();
    b->begin_us = now + (b->seconds > 2 ? 500000 : 200000);
    b->end_us = b->begin_us + (int64_t)b->seconds * 1000000;
    int count = b->live;
    for (int i = 0; i < count; i++)
        if (!fiber_spawn(b->rt, "client", b->sql ? client : copy, b, &err))
            fail(b, "fiber", &err);
}

static int by_value(const void *x, const void *y) {
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static double cpu_us(const struct rusage *from) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec - from->ru_utime.tv_sec + r.ru_stime.tv_sec -
                    from->ru_stime.tv_sec) *
               1e6 +
           (double)(r.ru_utime.tv_usec - from->ru_utime.tv_usec + r.ru_stime.tv_usec -
                    from->ru_stime.tv_usec);
}

static void print(struct bench *b) {
    double seconds = (double)(b->end_us - b->begin_us) / 1e6;
    size_t n = b->sample_count;
    qsort(b->samples, n, sizeof(*b->samples), by_value);
    printf("{\"per_second\":%.1f,\"cpu_us\":%.3f,\"p50_us\":%u,\"p95_us\":%u,\"p99_us\":%u}\n",
           (double)b->units / seconds, cpu_us(&b->before) / (double)(b->units ? b->units : 1),
           n ? b->samples[n / 2] : 0, n ? b->samples[n * 95 / 100] : 0,
           n ? b->samples[n * 99 / 100] : 0);
}

static int read_file(struct bench *b, const char *path) {
    FILE *f = fopen(path, "rbe");
    char part[65536];
    size_t n;
    if (!f)
        return -1;
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        buf_append(&b->document, part, n);
    return fclose(f);
}

static void closed(void *arg) { rt_stop(((struct bench *)arg)->rt); }

int main(int argc, char **argv) {
    struct bench b = {.mode = argc > 1 ? argv[1] : ""};
    struct pg_pool_options o;
    struct err err = {0};
    int64_t in_flight = 0, seconds = 0, connections = 0;
    buf_init(&b.document, 1u << 30);
    for (size_t i = 0; i < ARRAY_COUNT(statements); i++)
        if (strcmp(b.mode, statements[i].mode) == 0)
            b.sql = statements[i].sql;
    if (argc < 6 || !str_to_i64(str_of(argv[2]), &in_flight) ||
        !str_to_i64(str_of(argv[3]), &seconds) || !str_to_i64(str_of(argv[4]), &connections) ||
        (argc > 6 && read_file(&b, argv[6]) != 0) || in_flight < 1 || connections < 1) {
        fprintf(stderr, "usage: pg MODE IN_FLIGHT SECONDS CONNECTIONS URL [FILE]\n");
        return 2;
    }
    b.samples = mem_alloc(SAMPLES_MAX * sizeof(*b.samples));
    b.live = (int)in_flight;
    b.seconds = (int)seconds;
    pg_pool_options_default(&o);
    o.url = argv[5];
    o.connections_max = o.connections_min = (size_t)connections;
    if (rt_open(&b.rt, &err) != 0 || pg_pool_open(b.rt, &o, &b.pool, &err) != 0 ||
        !fiber_spawn(b.rt, "start", start, &b, &err)) {
        fprintf(stderr, "pg: %s\n", err.message);
        return 1;
    }
    rt_run(b.rt);
    if (!b.failed)
        print(&b);
    pg_pool_close(b.pool, 0, closed, &b);
    rt_run(b.rt);
    rt_close(b.rt);
    buf_deinit(&b.document);
    mem_free(b.samples);
    return b.failed;
}
