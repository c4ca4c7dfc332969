/* SPDX-License-Identifier: Apache-2.0 */
/* db_commit.c - durable batches per second through the database port, with N fibers as clients.
 *
 * Each client commits batches of S statements (inserts of a 370-byte row, one update with
 * RETURNING) one after the other, and reads one row after each R-th. Prints one line of JSON with
 * throughput, latency percentiles, batches per commit, and CPU time per batch of all threads.
 *
 * usage: db_commit [clients 64] [seconds 5] [statements 3] [reads per batch 0] [file ./bench.db,
 *        "memory"; files are deleted before and after] */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "db/sqlite/sqlite.h"
#include "rt/loop.h"

#define ROW_BYTES 370
#define CLIENTS_MAX 4096
#define SAMPLES_MAX ((size_t)8 << 20)

struct bench {
    struct rt *rt;
    struct db *db;
    int clients, statements, reads, live;
    int64_t end_us, batches, errors;
    uint32_t *samples; /* latencies, us */
    size_t sample_count;
    char row[ROW_BYTES];
};
struct client {
    struct bench *b;
    struct id id;
    int64_t next;
};

static int commit_one(struct client *c, struct arena *a) {
    struct bench *b = c->b;
    struct db_batch batch;
    db_batch_init(&batch, a);
    struct db_value row = DB_T(str_n(b->row, ROW_BYTES));
    for (int i = 0; i + 1 < b->statements; i++) {
        struct db_value key = DB_T(arena_printf(a, "k%012" PRId64, c->next++));
        db_batch_add(&batch, SQL_KV_INSERT, DB_PARAMS(DB_UUID(c->id), key, row, DB_I(1)),
                     DB_EXPECT_NONE);
    }
    struct db_value one = b->statements > 1 ? DB_T(STR("a")) : row;
    db_batch_add(&batch, SQL_KV_PUT, DB_PARAMS(DB_UUID(c->id), DB_T(STR("head")), one, DB_I(1)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(b->db, &batch, NULL);
}

static void client_main(void *arg) {
    struct client *c = arg;
    struct bench *b = c->b;
    struct arena a;
    arena_init(&a, 1 << 20);
    int64_t now_us = clock_mono_us();
    while (now_us < b->end_us) {
        arena_reset(&a);
        int code = commit_one(c, &a);
        int64_t done_us = clock_mono_us();
        if (b->sample_count < SAMPLES_MAX)
            b->samples[b->sample_count++] = (uint32_t)(done_us - now_us);
        b->batches += code == 0;
        for (int i = 0; code == 0 && i < b->reads; i++) {
            struct db_rows rows;
            code = db_read(b->db, SQL_KV_GET, DB_PARAMS(DB_UUID(c->id), DB_T(STR("head"))), &a,
                           &rows, NULL);
        }
        b->errors += code < 0;
        now_us = clock_mono_us();
    }
    arena_deinit(&a);
    if (--b->live == 0)
        rt_stop(b->rt);
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

static void report(struct bench *b, double seconds, double cpu, const struct db_stats *stats) {
    qsort(b->samples, b->sample_count, sizeof(*b->samples), by_size);
    size_t n = b->sample_count;
    printf("{\"name\": \"db_commit\", \"clients\": %d, \"statements\": %d, \"batches\": %" PRId64
           ", \"errors\": %" PRId64 ", \"batches_per_second\": %.0f, \"p50_us\": %u, "
           "\"p99_us\": %u, \"max_us\": %u, \"batches_per_commit\": %.1f, "
           "\"cpu_us_per_batch\": %.1f}\n",
           b->clients, b->statements, b->batches, b->errors, (double)b->batches / seconds,
           n ? b->samples[n / 2] : 0, n ? b->samples[n - 1 - n / 100] : 0,
           n ? b->samples[n - 1] : 0,
           (double)stats->batches / (double)(stats->commits ? stats->commits : 1),
           cpu / (double)b->batches);
}

static void delete_files(const char *path) {
    static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
    char name[4096];
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name); /* not all are there */
    }
}

static int run(struct bench *b, double seconds, struct client *clients, struct err *err) {
    for (int i = 0; i < b->clients; i++) {
        clients[i] = (struct client){.b = b, .id = id_v7()};
        if (!fiber_spawn(b->rt, "client", client_main, &clients[i], err))
            return err ? err->code : ERR_LIMIT;
    }
    b->live = b->clients;
    int64_t start_us = clock_mono_us();
    double cpu = cpu_us();
    b->end_us = start_us + (int64_t)(seconds * 1e6);
    rt_run(b->rt);
    double took = (double)(clock_mono_us() - start_us) / 1e6;
    struct db_stats stats;
    db_stats(b->db, &stats);
    report(b, took, cpu_us() - cpu, &stats);
    return 0;
}

static int64_t arg(int argc, char **argv, int at, int64_t otherwise) {
    int64_t v = otherwise;
    return argc > at && !str_to_i64(str_of(argv[at]), &v) ? -1 : v;
}

int main(int argc, char **argv) {
    struct bench b = {.clients = (int)arg(argc, argv, 1, 64),
                      .statements = (int)arg(argc, argv, 3, 3),
                      .reads = (int)arg(argc, argv, 4, 0)};
    int64_t seconds = arg(argc, argv, 2, 5);
    const char *path = argc > 5 ? argv[5] : "bench.db";
    if (b.clients < 1 || b.clients > CLIENTS_MAX || seconds < 1 || b.statements < 1 ||
        b.reads < 0) {
        fprintf(stderr, "usage: db_commit [clients] [seconds] [statements] [reads] [file]\n");
        return 2;
    }
    struct err err = {0};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    o.path = strcmp(path, "memory") == 0 ? NULL : path;
    memset(b.row, 'x', sizeof(b.row));
    delete_files(path);
    int code = rt_open(&b.rt, &err);
    if (code == 0)
        code = db_sqlite_open(b.rt, &o, &b.db, &err);
    if (code == 0) {
        struct client *clients = mem_calloc((size_t)b.clients, sizeof(*clients));
        b.samples = mem_calloc(SAMPLES_MAX, sizeof(*b.samples));
        code = run(&b, (double)seconds, clients, &err);
        mem_free(clients);
        mem_free(b.samples);
        db_close(b.db);
        rt_close(b.rt);
    }
    delete_files(path);
    if (code < 0)
        fprintf(stderr, "db_commit: %s: %s\n", err_name(code), err.message);
    return code < 0;
}
