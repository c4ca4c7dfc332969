/* SPDX-License-Identifier: Apache-2.0 */
/* replay_main.c - main() of a fuzz target in builds without libFuzzer.
 *
 * Runs LLVMFuzzerTestOneInput() on the empty input, on every file of a corpus folder, and on seeded
 * mutations of them, so that each parser is exercised by every test run, under the sanitizers:
 *     fuzz_NAME FOLDER [--mutations N] [--seed S]
 *     fuzz_NAME FILE                             one input, e.g. a kept crash
 * Same seed and corpus, same inputs. When the process dies, the input at work is written to
 * ./fuzz-crash-input of the working directory. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

#define INPUT_BYTES_MAX  (1U << 20)
#define MUTANT_BYTES_MAX (1U << 16)

struct input {
    char *name;
    uint8_t *bytes;
    size_t size;
};

struct corpus {
    struct input *inputs;
    size_t count;
};

static const uint8_t *current;
static size_t current_size;

static void keep_current(void) {
    FILE *f = fopen("fuzz-crash-input", "wb");
    if (!f)
        return;
    if (current_size > 0)
        (void)fwrite(current, 1, current_size, f); /* dying: nothing to do */
    fclose(f);
    fprintf(stderr, "replay: the input at work (%zu bytes) is in ./fuzz-crash-input\n",
            current_size);
}

static void on_abort(int number) {
    (void)number;
    keep_current();
    _exit(134);
}

static void fail(const char *what, const char *name) {
    fprintf(stderr, "replay: %s: %s: %s\n", what, name, strerror(errno));
    _exit(2);
}

/* An exact-size heap copy, so that the address sanitizer sees reads past the end. */
static void run_one(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        fail("out of memory", "input");
    if (size > 0)
        memcpy(copy, bytes, size);
    current = copy;
    current_size = size;
    (void)LLVMFuzzerTestOneInput(copy, size); /* the value only steers libFuzzer's corpus */
    current = NULL;
    current_size = 0;
    free(copy);
}

static void corpus_add(struct corpus *c, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        fail("cannot open", path);
    struct input *grown = realloc(c->inputs, (c->count + 1) * sizeof(*grown));
    uint8_t *bytes = malloc(INPUT_BYTES_MAX);
    if (!grown || !bytes)
        fail("out of memory", path);
    c->inputs = grown;
    size_t size = fread(bytes, 1, INPUT_BYTES_MAX, f);
    if (ferror(f))
        fail("cannot read", path);
    fclose(f);
    uint8_t *fitting = realloc(bytes, size ? size : 1);
    c->inputs[c->count++] = (struct input){strdup(path), fitting ? fitting : bytes, size};
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static void corpus_load(struct corpus *c, const char *path) {
    struct stat st;
    if (stat(path, &st) < 0)
        fail("cannot find", path);
    if (!S_ISDIR(st.st_mode)) {
        corpus_add(c, path);
        return;
    }
    DIR *dir = opendir(path);
    if (!dir)
        fail("cannot open", path);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char full[4096];
        if (e->d_name[0] == '.')
            continue;
        int len = snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
        if (len < 0 || len >= (int)sizeof(full))
            continue;
        if (stat(full, &st) == 0 && S_ISREG(st.st_mode))
            corpus_add(c, full);
    }
    closedir(dir);
    if (c->count > 0)
        qsort(c->inputs, c->count, sizeof(*c->inputs), by_name);
}

/* xorshift64*: the same everywhere, which the C library's generator is not. */
static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1DULL;
}

static size_t below(uint64_t *state, size_t bound) {
    return bound ? (size_t)(next_random(state) % bound) : 0;
}

/* Bytes that parsers treat specially come up more often than chance would have them. */
static uint8_t telling_byte(uint64_t *state) {
    static const char TELLING[] = "\0\x7f\x80\xff\xc0\xed\"\\{}[]:,;=&%#?/ \t\r\n.-+eE019n";
    if (next_random(state) & 1)
        return (uint8_t)next_random(state);
    return (uint8_t)TELLING[below(state, sizeof(TELLING) - 1)];
}

static void insert(uint8_t *m, size_t *size, size_t at, const uint8_t *bytes, size_t count) {
    if (*size + count > MUTANT_BYTES_MAX)
        return;
    memmove(m + at + count, m + at, *size - at);
    memcpy(m + at, bytes, count);
    *size += count;
}

static void mutate_once(uint8_t *m, size_t *size, const struct corpus *c, uint64_t *state) {
    size_t at = below(state, *size + 1), count;
    const struct input *other = &c->inputs[below(state, c->count)];
    uint8_t byte = telling_byte(state);
    switch (next_random(state) % 7) {
    case 0: /* flip a bit */
        if (at < *size)
            m[at] ^= (uint8_t)(1u << below(state, 8));
        break;
    case 1: /* replace a byte */
        if (at < *size)
            m[at] = byte;
        break;
    case 2:
        insert(m, size, at, &byte, 1);
        break;
    case 3: /* cut a piece out */
        count = below(state, (*size - at < 32 ? *size - at : 32) + 1);
        memmove(m + at, m + at + count, *size - at - count);
        *size -= count;
        break;
    case 4:
        *size = at;
        break;
    case 5: /* double a piece */
        count = below(state, (*size - at < 64 ? *size - at : 64) + 1);
        if (count > 0) {
            uint8_t piece[64];
            memcpy(piece, m + at, count);
            insert(m, size, at, piece, count);
        }
        break;
    default: { /* splice a piece of another input in */
        size_t from = below(state, other->size + 1);
        size_t left = other->size - from;
        count = below(state, (left < 256 ? left : 256) + 1);
        if (count > 0)
            insert(m, size, at, other->bytes + from, count);
        break;
    }
    }
}

static void mutate(const struct corpus *c, unsigned long count, uint64_t seed) {
    uint64_t state = seed * 0x9E3779B97F4A7C15ULL + 1;
    uint8_t *m = malloc(MUTANT_BYTES_MAX);
    if (!m)
        fail("out of memory", "mutant");
    for (unsigned long i = 0; i < count; i++) {
        const struct input *base = &c->inputs[below(&state, c->count)];
        size_t size = base->size < MUTANT_BYTES_MAX / 2 ? base->size : MUTANT_BYTES_MAX / 2;
        if (size > 0)
            memcpy(m, base->bytes, size);
        for (size_t steps = 1 + below(&state, 8); steps > 0; steps--)
            mutate_once(m, &size, c, &state);
        run_one(m, size);
    }
    free(m);
}

static unsigned long number_of(const char *text) {
    char *end = NULL;
    errno = 0;
    unsigned long v = text ? strtoul(text, &end, 10) : 0;
    if (!text || errno || !end || end == text || *end)
        fail("not a number", text ? text : "(none)");
    return v;
}

int main(int argc, char **argv) {
    struct corpus corpus = {0};
    unsigned long mutations = 0, seed = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER|FILE [--mutations N] [--seed S]\n", argv[0]);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--mutations") == 0)
            mutations = number_of(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = number_of(argv[++i]);
        else
            fail("unknown option", argv[i]);
    }
    struct sigaction action = {.sa_handler = on_abort};
    if (sigaction(SIGABRT, &action, NULL) < 0)
        fail("cannot catch", "SIGABRT");
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_current);
    corpus_load(&corpus, argv[1]);
    if (corpus.count == 0)
        fail("the corpus is empty", argv[1]);
    run_one(NULL, 0);
    for (size_t i = 0; i < corpus.count; i++)
        run_one(corpus.inputs[i].bytes, corpus.inputs[i].size);
    mutate(&corpus, mutations, seed);
    printf("%zu inputs, %lu mutations, seed %lu\n", corpus.count, mutations, seed);
    for (size_t i = 0; i < corpus.count; i++) {
        free(corpus.inputs[i].name);
        free(corpus.inputs[i].bytes);
    }
    free(corpus.inputs);
    return 0;
}
