/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - runs worlds of the simulation, one seed after the other.
 *
 * usage: simulation [--first N] [--count N] [--step N] [--twice N] [--harsh] [--verbose]
 *   --first    the first seed (default 1)      --count   how many (120; HF_TEST_FULL: 10000)
 *   --step     from one seed to the next (1; worlds of a kind: see sim_run_world)
 *   --twice    every N-th seed is run twice and must be the same, step by step (20)
 *   --harsh    with many more troubles: other worlds under the same seeds
 * Without --first, worlds that once went wrong come before.
 * A seed that fails is printed with what was wrong; --first SEED --count 1 --verbose shows it all.
 * Ends with "N passed, N failed". */
#include "sim.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define WORLD_SECONDS_MAX 60 /* nothing waits for real time: one that takes long hangs */

/* A change of the simulation makes other worlds of them; then they are seeds like any other. */
static const uint64_t once_wrong[] = {
    45, 82, 117, 221, 226, 247, 367, 446, 490, 541,
    557, 562, 577, 802, 838, 1066, 1153, 1357, 1397, 1450,
    2005, 2538, 2797, 2866, 2921, 2987, 3230, 3389, 3675, 3801, 4757,
    4758, 5089, 5337, 5962, 6493, 6581, 6981, 7735, 7777, 8122,
    8135, 8517, 8542, 8873, 9674, 9885, 9994, 18369, 34843, 40205,
    500013,
};

struct options {
    uint64_t first, count, step, twice;
    bool harsh, verbose, named; /* named: --first was given */
};

static void read_options(int argc, char **argv, struct options *o) {
    *o = (struct options){
        .first = 1, .count = getenv("HF_TEST_FULL") ? 10000 : 120, .step = 1, .twice = 20};
    for (int i = 1; i < argc; i++) {
        uint64_t *to = strcmp(argv[i], "--first") == 0   ? &o->first
                       : strcmp(argv[i], "--count") == 0 ? &o->count
                       : strcmp(argv[i], "--step") == 0  ? &o->step
                       : strcmp(argv[i], "--twice") == 0 ? &o->twice
                                                         : NULL;
        if (strcmp(argv[i], "--verbose") == 0)
            o->verbose = true;
        else if (strcmp(argv[i], "--harsh") == 0)
            o->harsh = true;
        else if (!to || ++i == argc || !str_to_u64(str_of(argv[i]), to)) {
            (void)fprintf(stderr, "simulation: bad option %s\n", argv[i < argc ? i : argc - 1]);
            exit(2);
        }
        o->named = o->named || to == &o->first;
    }
}

struct result {
    uint64_t trace; /* hash of everything that happened */
    size_t runs;
    int64_t answers;
    bool good;
};

/* In a process of its own: nothing is left of the world before, and a crash is one world's. */
static struct result world(uint64_t seed, const struct options *o, bool verbose) {
    struct result r = {0};
    int ends[2];
    if (pipe(ends) < 0)
        abort();
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct sim_world w;
        (void)alarm(WORLD_SECONDS_MAX);
        sim_run_world(seed, o->harsh, verbose, &w);
        r = (struct result){
            .trace = w.trace, .runs = w.runs.count, .answers = w.taken, .good = w.why.len == 0};
        if (!r.good)
            printf("seed %llu: " STR_FMT "\n", (unsigned long long)seed, STR_ARG(buf_view(&w.why)));
        sim_world_deinit(&w);
        r.good = write(ends[1], &r, sizeof(r)) == (ssize_t)sizeof(r) && r.good;
        exit(0);
    }
    (void)close(ends[1]);
    int status = 0;
    bool told = child > 0 && read(ends[0], &r, sizeof(r)) == (ssize_t)sizeof(r);
    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || !told) {
        printf("seed %llu: the process ended with status %d%s\n", (unsigned long long)seed, status,
               WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
        r.good = false;
    }
    return r;
}

int main(int argc, char **argv) {
    struct options o;
    uint64_t passed = 0, failed = 0;
    size_t runs = 0;
    int64_t answers = 0;
    read_options(argc, argv, &o);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a world that crashes has told its way there */
    log_init(o.verbose ? LOG_INFO : LOG_ERROR, o.verbose ? 1 : open("/dev/null", O_WRONLY), false);
    size_t before = o.named ? 0 : ARRAY_COUNT(once_wrong);
    for (uint64_t i = 0; i < before + o.count; i++) {
        uint64_t seed = i < before ? once_wrong[i] : o.first + (i - before) * o.step;
        struct result r = world(seed, &o, o.verbose);
        if (r.good && o.twice && i % o.twice == 0 && world(seed, &o, false).trace != r.trace) {
            printf("seed %llu: the same seed made another world\n", (unsigned long long)seed);
            r.good = false;
        }
        runs += r.runs;
        answers += r.answers;
        passed += r.good;
        failed += !r.good;
    }
    printf("%zu runs and %lld answers in %llu worlds, first seed %llu\n%llu passed, %llu failed\n",
           runs, (long long)answers, (unsigned long long)(before + o.count),
           (unsigned long long)o.first, (unsigned long long)passed, (unsigned long long)failed);
    return failed ? 1 : 0;
}
