/* SPDX-License-Identifier: Apache-2.0 */
/* rand.c - the only source of randomness.
 *
 * Design: each thread keeps a block of the kernel's randomness, so an id costs a copy and not a
 * system call; bytes handed out are wiped. A forked child drops the block it inherited, otherwise
 * parent and child would draw the same values. For simulations a thread may be seeded; then it
 * draws from splitmix64 and everything it does repeats. */
#include "base/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

#define BLOCK_BYTES 1024

struct rand_state {
    bool seeded;
    uint64_t seed;
    size_t left; /* unused bytes at the end of block */
    uint8_t block[BLOCK_BYTES];
};

/* Per thread, so no lock; the once guards the fork handler. */
static _Thread_local struct rand_state state;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void forked(void) {
    state.left = 0;
}

static void fork_guard(void) {
    (void)pthread_atfork(NULL, NULL, forked); /* fails only out of memory; then fork is hopeless */
}

static void kernel_bytes(uint8_t *out, size_t bytes) {
    while (bytes) {
        ssize_t n = getrandom(out, bytes, 0);
        ASSERT(n > 0 || errno == EINTR);
        if (n > 0) {
            out += n;
            bytes -= (size_t)n;
        }
    }
}

static uint64_t seeded_next(void) {
    uint64_t z = state.seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void seeded_bytes(uint8_t *out, size_t bytes) {
    while (bytes) {
        uint64_t v = seeded_next();
        size_t n = bytes < sizeof v ? bytes : sizeof v;
        memcpy(out, &v, n);
        out += n;
        bytes -= n;
    }
}

void rand_bytes(void *out, size_t bytes) {
    uint8_t *to = out;
    if (bytes == 0)
        return;
    if (state.seeded) {
        seeded_bytes(to, bytes);
        return;
    }
    if (bytes > BLOCK_BYTES / 4) {
        kernel_bytes(to, bytes);
        return;
    }
    if (bytes > state.left) {
        (void)pthread_once(&fork_once, fork_guard);
        kernel_bytes(state.block, BLOCK_BYTES);
        state.left = BLOCK_BYTES;
    }
    uint8_t *from = state.block + BLOCK_BYTES - state.left;
    memcpy(to, from, bytes);
    memset(from, 0, bytes);
    state.left -= bytes;
}

uint64_t rand_u64(void) {
    uint64_t v;
    rand_bytes(&v, sizeof v);
    return v;
}

uint64_t rand_below(uint64_t bound) {
    ASSERT(bound > 0);
    /* Values below 2^64 mod bound would make small results likelier: draw again. */
    uint64_t skip = (0 - bound) % bound;
    uint64_t v;
    do
        v = rand_u64();
    while (v < skip);
    return v % bound;
}

void rand_seed(uint64_t seed) {
    state.seeded = seed != 0;
    state.seed = seed;
}
