/* SPDX-License-Identifier: Apache-2.0 */
/* file_scene.h - a file history on a disk in memory, called on a fiber: what its tests share.
 *
 * Checks are noted on the fiber and asserted on the main stack. Events follow from their session
 * and number, so that each can be told to be what was written. */
#ifndef HF_TESTS_FILE_SCENE_H
#define HF_TESTS_FILE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../support/history_disk.h"
#include "history/file/file.h"

#define SESSIONS 4

struct scene {
    struct rt *rt;
    struct disk *disk;
    struct history *h;
    struct arena arena;
    uint64_t seed;
    bool no_sync;
    int64_t acked[SESSIONS], tried[SESSIONS];
    void (*fn)(struct scene *s);
    char failure[512];
};
#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        bool check_ok = (cond);                                                                    \
        if (!check_ok && !s->failure[0]) {                                                         \
            int check_len =                                                                        \
                snprintf(s->failure, sizeof s->failure, "line %d: %s: ", __LINE__, #cond);         \
            (void)snprintf(s->failure + check_len, sizeof s->failure - (size_t)check_len,          \
                           __VA_ARGS__);                                                           \
        }                                                                                          \
        if (!check_ok)                                                                             \
            return;                                                                                \
    } while (0)

static inline void on_fiber(void *arg) {
    struct scene *s = arg;
    s->fn(s);
    history_close(s->h);
    rt_stop(s->rt);
}

/* Whether it failed; *out_failure says how. */
static inline bool try_run(void (*fn)(struct scene *), uint64_t seed, bool no_sync,
                           char out_failure[512]) {
    struct scene s = {.disk = disk_new(seed), .seed = seed, .fn = fn, .no_sync = no_sync};
    arena_init(&s.arena, 256u << 20);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_non_null(fiber_spawn(s.rt, "test", on_fiber, &s, NULL));
    rt_run(s.rt);
    rt_close(s.rt);
    arena_deinit(&s.arena);
    disk_free(s.disk);
    memcpy(out_failure, s.failure, sizeof s.failure);
    return s.failure[0] != 0;
}

static inline void run(void (*fn)(struct scene *), uint64_t seed) {
    char failure[512];
    if (try_run(fn, seed, false, failure))
        fail_msg("seed %llu: %s", (unsigned long long)seed, failure);
}

static inline int open_with(struct scene *s, struct history_file_options o, struct err *err) {
    o.io = &s->disk->io;
    o.no_sync = s->no_sync;
    if (o.segment_bytes == 0)
        o.segment_bytes = 8192;
    s->h = NULL;
    return history_file_open(s->rt, &o, &s->h, err);
}

static inline struct history_key key_of(int i) {
    static const str names[SESSIONS] = {{"a", 1}, {"../b", 4}, {"c c", 3}, {"d", 1}};
    return (struct history_key){STR("ann"), names[i]};
}

static inline str payload_of(struct scene *s, int session, int64_t n) {
    return arena_printf(&s->arena, "\"%d/%lld %0*d\"", session, (long long)n,
                        (int)(n * 37 % 400) + 1, 0);
}

/* The session's next event, whose id and payload follow from its number. */
static inline int append(struct scene *s, int session, int64_t n, struct history_result *out) {
    struct history_event e = {.id = arena_printf(&s->arena, "id-%lld", (long long)n),
                              .type = STR("t"),
                              .payload_kind = HISTORY_JSON,
                              .payload = payload_of(s, session, n),
                              .occurred_at = 1700000000000000 + n};
    struct history_append a = {.key = key_of(session), .events = &e, .count = 1, .results = out};
    return history_append(s->h, &a, NULL);
}

/* All events from first_seq on are what they were. */
static inline void check_session(struct scene *s, int i) {
    struct history_key key = key_of(i);
    struct history_session session = {.first_seq = 1};
    struct err err = {0};
    int rc = history_session_get(s->h, &key, &s->arena, &session, &err);
    CHECK(rc == 0 || (rc == ERR_NOT_FOUND && s->acked[i] == 0), "%s", err.message);
    CHECK(session.last_seq >= s->acked[i], "session %d ends at %lld, %lld were acknowledged", i,
          (long long)session.last_seq, (long long)s->acked[i]);
    CHECK(session.last_seq <= s->tried[i], "session %d ends at %lld", i,
          (long long)session.last_seq);
    struct history_range r = HISTORY_RANGE_ALL(key);
    struct history_page page = {.more = rc == 0};
    int64_t next = session.first_seq;
    while (page.more) {
        r.seq_min = next;
        rc = history_read(s->h, &r, &s->arena, &page, &err);
        CHECK(rc == 0, "%s", err.message);
        for (size_t k = 0; k < page.count; k++, next++) {
            CHECK(page.events[k].seq == next, "%lld after %lld", (long long)page.events[k].seq,
                  (long long)next - 1);
            CHECK(str_eq(page.events[k].payload, payload_of(s, i, next)), "a payload");
        }
    }
    CHECK(next == session.last_seq + 1, "%lld of %lld", (long long)next,
          (long long)session.last_seq);
    s->acked[i] = session.last_seq; /* what was seen may not go either */
}

static inline void finding(void *ctx, const char *text) {
    struct scene *s = ctx;
    CHECK(false, "%s", text);
}

static inline void check_verify(struct scene *s) {
    struct history_file_report report;
    struct err err = {0};
    int rc = history_file_verify("", &s->disk->io, finding, s, &report, &err);
    CHECK(rc == 0, "verify: %s", err.message);
}

#endif
