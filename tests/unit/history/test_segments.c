/* SPDX-License-Identifier: Apache-2.0 */
/* test_segments.c - closed segments: compressed, merged, and more of them than descriptors.
 *
 * Goal: compressed or not, a segment gives the same pages, small pages cost no more than their
 * frames, damage at any byte is told; small neighbours become one, whatever goes on meanwhile and
 * wherever it ends; no more files are open than may be.
 * Method: a disk in memory (history_disk.h), whose files are counted, measured and damaged. */
#include "file_scene.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "history/file/format.h"

/* Without syncs, which copy files here; for scenes whose power stays on. */
static void run_fast(void (*fn)(struct scene *), uint64_t seed) {
    char failure[512];
    if (try_run(fn, seed, true, failure))
        fail_msg("seed %llu: %s", (unsigned long long)seed, failure);
}

static void reopen(struct scene *s, struct history_file_options o) {
    struct err err = {0};
    history_close(s->h);
    int rc = open_with(s, o, &err);
    CHECK(rc == 0, "open: %s", err.message);
}

static void append_many(struct scene *s, int session, int64_t count) {
    struct history_result r;
    for (int64_t i = 0; i < count; i++) {
        int64_t n = ++s->tried[session];
        int rc = append(s, session, n, &r);
        CHECK(rc == 0 && r.seq == n, "event %lld: %s", (long long)n, err_name(rc));
        s->acked[session] = n;
    }
}

static size_t segments_there(struct scene *s, uint64_t *out_bytes) {
    size_t count = 0;
    *out_bytes = 0;
    for (size_t i = 0; i < s->disk->names.count; i++) {
        const char *name = s->disk->names.p[i].name;
        if (!str_starts(str_of(name), STR("seg-")))
            continue;
        count++;
        *out_bytes += disk_text(s->disk, name).len;
    }
    return count;
}

/* What is closed afterwards: everything. */
static void seal(struct scene *s) {
    struct history_key gone = {STR("ann"), STR("gone")};
    struct history_checkpoint c = {.payload_kind = HISTORY_JSON, .payload = STR("1")};
    struct err err = {0};
    size_t removed;
    int rc = history_checkpoint_put(s->h, &gone, &c, &s->arena, &err);
    if (rc == 0)
        rc = history_session_delete(s->h, &gone, &err);
    if (rc == 0) /* so small a budget that nothing is merged */
        rc = history_sweep(s->h, clock_wall_us(), 1, &removed, &err);
    CHECK(rc == 0, "seal: %s", err.message);
}

/* --- compression --- */

static const struct history_file_options PACKED = {
    .segment_bytes = 1 << 20, .segment_events = 1000, .compress = true};

/* Payloads that are small, larger than a frame, and of chance. */
static str odd_payload(struct scene *s, int64_t n) {
    size_t len = n % 7 == 3 ? 200000 : n % 5 == 1 ? 70000 : (size_t)(n * 37 % 300) + 1;
    char *p = arena_alloc(&s->arena, len);
    uint64_t x = (uint64_t)n * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        p[i] = n % 2 ? (char)(x >> 56) : (char)('a' + i / 100 % 20);
    }
    return str_n(p, len);
}

static int odd_append(struct scene *s, int64_t n) {
    struct history_result r;
    struct history_event e = {.id = arena_printf(&s->arena, "odd-%lld", (long long)n),
                              .type = STR("t"),
                              .payload_kind = HISTORY_BYTES,
                              .payload = odd_payload(s, n),
                              .occurred_at = 1700000000000000 + n % 50};
    struct history_append a = {.key = key_of(2), .events = &e, .count = 1, .results = &r};
    return history_append(s->h, &a, NULL);
}

static void odd_page(struct scene *s, struct history_range r) {
    struct history_page page;
    struct err err = {0};
    int rc = history_read(s->h, &r, &s->arena, &page, &err);
    CHECK(rc == 0 && page.count > 0, "%s", err.message);
    for (size_t i = 0; i < page.count; i++) {
        str want = odd_payload(s, page.events[i].seq);
        CHECK(page.events[i].payload_bytes == want.len, "event %lld",
              (long long)page.events[i].seq);
        CHECK(!r.payloads || str_eq(page.events[i].payload, want), "event %lld",
              (long long)page.events[i].seq);
    }
}

static void odd_pages(struct scene *s) {
    struct err err = {0};
    CHECK(open_with(s, PACKED, &err) == 0, "%s", err.message);
    for (int64_t n = 1; n <= 90; n++)
        CHECK(odd_append(s, n) == 0, "event %lld", (long long)n);
    seal(s);
    for (int64_t n = 1; n <= 90 && !s->failure[0]; n++) {
        struct history_range r = HISTORY_RANGE_ALL(key_of(2));
        r.seq_min = n;
        r.limit = 1 + (size_t)(n % 9);
        r.by_time = n % 3 == 1;
        r.newest_first = n % 4 == 1;
        r.payloads = n % 5 != 1;
        odd_page(s, r);
    }
    CHECK(odd_append(s, 7) == 0, "one that is there"); /* by its record in the segment */
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_odd_pages(void **state) {
    (void)state;
    run_fast(odd_pages, 1);
}

/* The same events, compressed: less than half, and the same digest. */
static void smaller(struct scene *s) {
    char plain[HISTORY_DIGEST_LEN + 1], packed[HISTORY_DIGEST_LEN + 1];
    struct history_file_options o = PACKED;
    uint64_t bytes[2];
    struct err err = {0};
    o.compress = false;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    append_many(s, 0, 900);
    seal(s);
    CHECK(segments_there(s, &bytes[0]) == 1, "one segment");
    CHECK(history_digest(s->h, plain, &err) == 0, "%s", err.message);
    reopen(s, PACKED);
    seal(s);
    CHECK(history_session_delete(s->h, &(struct history_key){STR("ann"), STR("gone")}, NULL) < 0,
          "it is gone");
    append_many(s, 1, 1);
    /* Half of it is trimmed: the segment is made anew, compressed now. */
    struct history_retention keep = {.count_max = 400};
    size_t removed;
    CHECK(history_retention_set(s->h, STR("ann"), &keep, &err) == 0, "%s", err.message);
    for (int i = 0; i < 3; i++)
        CHECK(history_sweep(s->h, clock_wall_us(), 10000, &removed, &err) == 0, "%s", err.message);
    check_session(s, 0);
    CHECK(history_digest(s->h, packed, &err) == 0, "%s", err.message);
    CHECK(strcmp(plain, packed) != 0, "there are fewer events");
    CHECK(segments_there(s, &bytes[1]) >= 1 && bytes[1] * 4 < bytes[0], "%llu of %llu",
          (unsigned long long)bytes[1], (unsigned long long)bytes[0]);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_smaller(void **state) {
    (void)state;
    run_fast(smaller, 1);
}

static void count_finding(void *ctx, const char *text) {
    (void)text;
    ++*(int *)ctx;
}

/* Whatever byte of a compressed segment changes: it is told, and no page is wrong. */
static void damaged_at(struct scene *s, str whole, size_t at) {
    struct history_file_report report;
    struct err err = {0};
    int findings = 0;
    char *p = mem_dup(whole.p, whole.len);
    p[at] ^= 0x21;
    disk_put(s->disk, "seg-1", str_n(p, whole.len));
    mem_free(p);
    int rc = history_file_verify("", &s->disk->io, count_finding, &findings, &report, &err);
    CHECK(rc == 0 && findings > 0, "damage at %zu of %zu: %s", at, whole.len, err.message);
    rc = open_with(s, (struct history_file_options){.read_only = true}, &err);
    CHECK(rc == 0 || rc == ERR_CORRUPT, "damage at %zu: %s", at, err_name(rc));
    struct history_range r = HISTORY_RANGE_ALL(key_of(0));
    struct history_page page = {0};
    rc = rc == 0 ? history_read(s->h, &r, &s->arena, &page, &err) : rc;
    for (size_t i = 0; rc == 0 && i < page.count; i++)
        CHECK(str_eq(page.events[i].payload, payload_of(s, 0, page.events[i].seq)), "damage at %zu",
              at);
    history_close(s->h);
    s->h = NULL;
    arena_reset(&s->arena);
}

static void damaged(struct scene *s) {
    struct err err = {0};
    CHECK(open_with(s, PACKED, &err) == 0, "%s", err.message);
    append_many(s, 0, 400);
    seal(s);
    history_close(s->h);
    s->h = NULL;
    size_t step = getenv("HF_TEST_FULL") ? 7 : 251;
    str text = disk_text(s->disk, "seg-1");
    char *copy = mem_dup(text.p, text.len);
    str whole = str_n(copy, text.len);
    for (size_t at = 0; at < whole.len && !s->failure[0]; at += step)
        damaged_at(s, whole, at);
    mem_free(copy);
}

static void test_damaged(void **state) {
    (void)state;
    run_fast(damaged, 1);
}

/* Of a deleted session no record is left in compressed segments either: verify counts them all. */
static void deletion(struct scene *s) {
    struct history_file_report report;
    struct history_file_options o = PACKED;
    struct history_key gone = key_of(1);
    struct err err = {0};
    size_t removed;
    o.segment_events = 50;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    for (int i = 0; i < 20; i++) {
        append_many(s, 0, 11);
        append_many(s, 1, 12);
    }
    CHECK(history_session_delete(s->h, &gone, &err) == 0, "%s", err.message);
    s->acked[1] = s->tried[1] = 0;
    do {
        CHECK(history_sweep(s->h, clock_wall_us(), 40, &removed, &err) == 0, "%s", err.message);
    } while (removed > 0);
    check_session(s, 0);
    history_close(s->h);
    s->h = NULL;
    CHECK(history_file_verify("", &s->disk->io, finding, s, &report, &err) == 0, "%s", err.message);
    CHECK(report.events == 220, "%lld events", (long long)report.events);
}

static void test_deletion(void **state) {
    (void)state;
    run_fast(deletion, 1);
}

/* --- merging --- */

static const struct history_file_options SMALL = {.segment_bytes = 256 << 10,
                                                  .segment_events = 300};

/* Segments of a few events each, with all that a session may have. */
static void make_small_ones(struct scene *s, int count) {
    struct err err = {0};
    int64_t acked;
    for (int i = 0; i < count && !s->failure[0]; i++) {
        struct history_key key = key_of(i % 3);
        struct history_checkpoint c = {.payload_kind = HISTORY_JSON,
                                       .payload = arena_printf(&s->arena, "%d", i)};
        append_many(s, i % 3, 1 + i % 5);
        append_many(s, (i + 1) % 3, 2);
        int rc = i % 4 ? 0 : history_checkpoint_put(s->h, &key, &c, &s->arena, &err);
        if (rc == 0 && i % 3 == 0)
            rc = history_consumer_ack(s->h, &key, STR("x"), s->acked[i % 3], &acked, &err);
        CHECK(rc == 0, "%s", err.message);
        seal(s);
    }
}

static void merge_all(struct scene *s, int sweeps) {
    struct err err = {0};
    size_t removed;
    for (int i = 0; i < sweeps; i++)
        CHECK(history_sweep(s->h, clock_wall_us(), 100000, &removed, &err) == 0, "%s", err.message);
}

static void merging(struct scene *s) {
    char before[HISTORY_DIGEST_LEN + 1], after[HISTORY_DIGEST_LEN + 1];
    struct history_file_options o = SMALL;
    struct history_retention keep = {.count_max = 1000};
    struct err err = {0};
    uint64_t bytes;
    o.compress = s->seed % 2;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    CHECK(history_retention_set(s->h, STR("ann"), &keep, &err) == 0, "%s", err.message);
    make_small_ones(s, 70);
    size_t many = segments_there(s, &bytes);
    CHECK(many >= 60, "%zu segments", many);
    CHECK(history_digest(s->h, before, &err) == 0, "%s", err.message);
    merge_all(s, 8);
    size_t few = segments_there(s, &bytes);
    CHECK(few <= 3, "%zu segments of %zu are left", few, many);
    for (int again = 0; again < 2; again++) {
        CHECK(history_digest(s->h, after, &err) == 0, "%s", err.message);
        CHECK(strcmp(before, after) == 0, "%s is %s", before, after);
        for (int i = 0; i < 3; i++)
            check_session(s, i);
        CHECK(history_retention_get(s->h, STR("ann"), &keep, &err) == 0 && keep.count_max == 1000,
              "the policy");
        reopen(s, o);
    }
    merge_all(s, 3);
    CHECK(segments_there(s, &bytes) == few, "what was merged stays");
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_merging(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++)
        run_fast(merging, seed);
}

/* Sessions that were deleted leave no byte by way of a merge, and do not come back. */
static void merging_deletions(struct scene *s) {
    struct history_file_report report;
    struct history_session session;
    struct err err = {0};
    struct history_key gone = key_of(1);
    size_t removed;
    CHECK(open_with(s, SMALL, &err) == 0, "%s", err.message);
    make_small_ones(s, 12);
    CHECK(history_session_delete(s->h, &gone, &err) == 0, "%s", err.message);
    int64_t left = s->acked[0] + s->acked[2];
    s->acked[1] = s->tried[1] = 0;
    do {
        CHECK(history_sweep(s->h, clock_wall_us(), 7, &removed, &err) == 0, "%s", err.message);
    } while (removed > 0);
    merge_all(s, 4);
    reopen(s, SMALL);
    CHECK(history_session_get(s->h, &gone, &s->arena, &session, &err) == ERR_NOT_FOUND,
          "it is gone");
    check_session(s, 0);
    check_session(s, 2);
    history_close(s->h);
    s->h = NULL;
    CHECK(history_file_verify("", &s->disk->io, finding, s, &report, &err) == 0, "%s", err.message);
    CHECK(report.events == left, "%lld events, not %lld", (long long)report.events,
          (long long)left);
}

static void test_merging_deletions(void **state) {
    (void)state;
    run_fast(merging_deletions, 1);
}

/* The power goes at any call while segments are merged. */
static void merging_cut(struct scene *s) {
    struct err err = {0};
    size_t removed;
    struct history_file_options o = SMALL;
    o.compress = s->seed % 2;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    make_small_ones(s, 8);
    for (int life = 0; life < 3 && !s->failure[0]; life++) {
        s->disk->calls_left = 1 + (int64_t)disk_random(s->disk, life ? 1500 : 200);
        int rc = history_sweep(s->h, clock_wall_us(), 100000, &removed, &err);
        CHECK(rc == 0 || s->disk->off, "%s", err.message);
        history_close(s->h);
        s->h = NULL;
        disk_lose_power(s->disk);
        CHECK(open_with(s, o, &err) == 0, "life %d: %s", life, err.message);
        for (int i = 0; i < 3; i++)
            check_session(s, i);
    }
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_merging_cut(void **state) {
    uint64_t seeds = getenv("HF_TEST_FULL") ? 1000 : 40;
    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run(merging_cut, seed);
}

static void merging_fails(struct scene *s) {
    static const char *const points[] = {"history.file.segment_made=error(14)",
                                         "history.file.manifest_switched=error(14)"};
    struct err err = {0};
    uint64_t bytes;
    size_t removed;
    CHECK(open_with(s, SMALL, &err) == 0, "%s", err.message);
    make_small_ones(s, 9);
    CHECK(failpoint_set(str_of(points[s->seed]), &err) == 0, "%s", err.message);
    int rc = history_sweep(s->h, clock_wall_us(), 100000, &removed, &err);
    CHECK(rc == (s->seed ? 0 : ERR_UNAVAILABLE), "%s", err_name(rc));
    CHECK(failpoint_set(STR("history.file.segment_made=off"), &err) == 0 &&
              failpoint_set(STR("history.file.manifest_switched=off"), &err) == 0,
          "%s", err.message);
    append_many(s, 0, 3);
    merge_all(s, 2);
    reopen(s, SMALL); /* what lost its place in the manifest goes */
    CHECK(segments_there(s, &bytes) <= 2, "segments are left");
    for (int i = 0; i < 3; i++)
        check_session(s, i);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_merging_fails(void **state) {
    (void)state;
    run_fast(merging_fails, 0);
    run_fast(merging_fails, 1);
}

/* --- descriptors --- */

#define FEW 3

static void few_descriptors(struct scene *s) {
    struct history_file_options o = {
        .segment_bytes = 1 << 20, .segment_events = 10, .files_max = FEW};
    struct history_page page;
    struct err err = {0};
    uint64_t bytes;
    o.compress = s->seed % 2;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    append_many(s, 0, 400);
    append_many(s, 1, 20);
    CHECK(segments_there(s, &bytes) > 30, "there are many");
    reopen(s, o);
    s->disk->open_peak = s->disk->open_count;
    check_session(s, 0);
    struct history_range r = HISTORY_RANGE_ALL(key_of(0));
    r.by_time = true;
    CHECK(history_read(s->h, &r, &s->arena, &page, &err) == 0 && page.count == 400, "%s",
          err.message);
    CHECK(s->disk->open_peak <= FEW + 4, "%d were open", s->disk->open_peak);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
    CHECK(s->disk->open_count == 0, "%d are open", s->disk->open_count);
}

static void test_few_descriptors(void **state) {
    (void)state;
    run_fast(few_descriptors, 0);
    run_fast(few_descriptors, 1);
}

/* The process has fewer than the history counts on; none at all is told in words that help. */
static void no_descriptor(struct scene *s) {
    struct history_file_options o = {.segment_bytes = 1 << 20, .segment_events = 10};
    struct history_page page;
    struct err err = {0};
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    append_many(s, 0, 200);
    reopen(s, o);
    s->disk->open_max = s->disk->open_count;
    check_session(s, 0);
    CHECK(!s->failure[0], "with what it has");
    s->disk->open_max = 0;
    o.files_max = 1;
    reopen(s, o);
    struct history_range r = HISTORY_RANGE_ALL(key_of(0));
    s->disk->open_max = 1; /* others took all there were, but the log's */
    int rc = history_read(s->h, &r, &s->arena, &page, &err);
    CHECK(rc == ERR_UNAVAILABLE && str_find(str_of(err.message), STR("ulimit -n")) >= 0, "%s: %s",
          err_name(rc), err.message);
    s->disk->open_max = 0;
    check_session(s, 0);
}

static void test_no_descriptor(void **state) {
    (void)state;
    run_fast(no_descriptor, 1);
}

/* Reads go on while what they read from is made anew and loses its name. */
struct reader {
    struct scene *s;
    bool *over;
};

static void read_on(void *arg) {
    const struct reader *reader = arg;
    struct scene *s = reader->s;
    struct history_page page;
    while (!*reader->over && !s->failure[0]) {
        struct history_range r = HISTORY_RANGE_ALL(key_of(0));
        struct arena a;
        struct err err = {0};
        arena_init(&a, 64 << 20);
        r.by_time = true;
        int rc = history_read(s->h, &r, &a, &page, &err);
        size_t count = rc == 0 ? page.count : 0;
        arena_deinit(&a);
        CHECK(rc == 0 && count == 60, "%zu events: %s", count, err.message);
    }
}

static void reading_meanwhile(struct scene *s) {
    struct history_file_options o = SMALL;
    struct fiber_group group;
    struct err err = {0};
    bool over = false;
    struct reader reader = {s, &over};
    o.files_max = 1;
    o.compress = true;
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    append_many(s, 0, 60);
    fiber_group_init(&group);
    for (int i = 0; i < 3; i++)
        CHECK(fiber_group_spawn(&group, s->rt, "reader", read_on, &reader, &err) == 0, "%s",
              err.message);
    for (int i = 0; i < 10 && !s->failure[0]; i++) {
        append_many(s, 1, 20);
        seal(s);
        merge_all(s, 1);
    }
    over = true;
    fiber_group_wait(&group);
}

static void test_reading_meanwhile(void **state) {
    (void)state;
    run_fast(reading_meanwhile, 1);
}

/* --- read by the loop itself --- */

/* One page by seq from the middle; by time when it says so. */
static void middle(struct scene *s, bool by_time, int *out_away, int *out_here) {
    struct history_range r = HISTORY_RANGE_ALL(key_of(0));
    struct history_page page;
    struct err err = {0};
    int away = s->disk->reads, here = s->disk->warm_reads;
    r.by_time = by_time;
    r.seq_min = 20;
    r.limit = 10;
    int rc = history_read(s->h, &r, &s->arena, &page, &err);
    CHECK(rc == 0 && page.count == 10 && page.more, "%s", err.message);
    for (int i = 0; i < 10; i++)
        CHECK(page.events[i].seq == 20 + i &&
                  str_eq(page.events[i].payload, payload_of(s, 0, 20 + i)),
              "event %d", i);
    *out_away = s->disk->reads - away;
    *out_here = s->disk->warm_reads - here;
}

static void reading_here(struct scene *s) {
    int away, here;
    struct err err = {0};
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    append_many(s, 0, 60);
    seal(s);
    s->disk->cold_each = 0;
    middle(s, false, &away, &here);
    CHECK(away == 0 && here > 0, "what is in memory: %d, %d", away, here);
    middle(s, true, &away, &here);
    CHECK(away > 0 && here == 0, "by time: %d, %d", away, here);
    s->disk->cold_each = 1;
    middle(s, false, &away, &here);
    CHECK(away > 0 && here == 0 && s->disk->cold_reads == 1, "not in memory");
    s->disk->cold_each = 0;
    middle(s, false, &away, &here);
    CHECK(away > 0 && here == 0, "left out after one in vain");
    middle(s, false, &away, &here);
    CHECK(away == 0 && here > 0, "and tried again");
    struct history_file_options packed = {.compress = true, .segment_bytes = 1 << 20};
    reopen(s, packed);
    append_many(s, 0, 60);
    seal(s);
    struct history_range r = HISTORY_RANGE_ALL(key_of(0));
    struct history_page page;
    r.seq_min = 100;
    r.limit = 10;
    away = s->disk->reads;
    CHECK(history_read(s->h, &r, &s->arena, &page, &err) == 0 && page.count == 10 &&
              s->disk->reads > away,
          "compressed: by the pool");
}

static void test_reading_here(void **state) {
    (void)state;
    run_fast(reading_here, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_pages),         cmocka_unit_test(test_smaller),
        cmocka_unit_test(test_damaged),           cmocka_unit_test(test_deletion),
        cmocka_unit_test(test_merging),           cmocka_unit_test(test_merging_deletions),
        cmocka_unit_test(test_merging_cut),       cmocka_unit_test(test_merging_fails),
        cmocka_unit_test(test_few_descriptors),   cmocka_unit_test(test_no_descriptor),
        cmocka_unit_test(test_reading_meanwhile), cmocka_unit_test(test_reading_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
