/* SPDX-License-Identifier: Apache-2.0 */
/* test_file.c - the file history on a disk that loses, fails and fills, and torn at every byte.
 *
 * Goal: what was acknowledged is there, whole and once; what was not leaves no trace that harms; a
 * deleted session leaves no byte; damage is told, never taken for an end.
 * Method: a disk in memory (history_disk.h). Each scene runs on a fiber; checks are noted there and
 * asserted on the main stack. HF_TEST_FULL=1: more seeds. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "file_scene.h"
#include "history/file/crc32c.h"
#include "history/file/format.h"

/* --- power losses --- */

/* What else is called in between; any of it may meet the end of the power. */
static int other_calls(struct scene *s, int i, struct history_key key) {
    struct history_checkpoint c = {.payload_kind = HISTORY_JSON, .payload = STR("[1]")};
    struct history_retention keep = {.count_max = 30};
    size_t removed;
    int64_t acked;
    int rc = 0;
    if (i % 40 == 7)
        rc = history_checkpoint_put(s->h, &key, &c, &s->arena, NULL);
    if (i % 30 == 3)
        rc = history_consumer_ack(s->h, &key, STR("x"), 1, &acked, NULL);
    if (i % 90 == 50)
        rc = history_retention_set(s->h, key.owner, &keep, NULL);
    if (i % 60 == 59)
        rc = history_sweep(s->h, clock_wall_us(), 50, &removed, NULL);
    return rc;
}

/* Calls until the power goes. */
static void live(struct scene *s) {
    struct history_result r;
    for (int i = 0; !s->disk->off && i < 3000; i++) {
        int k = (int)disk_random(s->disk, SESSIONS);
        s->tried[k] = s->acked[k] + 1;
        if (append(s, k, s->tried[k], &r) == 0) {
            CHECK(r.seq == s->tried[k], "%lld is %lld", (long long)s->tried[k], (long long)r.seq);
            s->acked[k] = r.seq;
        }
        int rc = other_calls(s, i, key_of(k));
        CHECK(rc == 0 || rc == ERR_NOT_FOUND || s->disk->off, "call %d: %s", i, err_name(rc));
    }
}

static void power_losses(struct scene *s) {
    for (int life = 0; life < 6 && !s->failure[0]; life++) {
        struct err err = {0};
        s->disk->calls_left = 1 + (int64_t)disk_random(s->disk, life % 2 ? 60 : 900);
        int rc = open_with(s, (struct history_file_options){.compress = s->seed % 2}, &err);
        CHECK(rc == 0 || s->disk->off, "open: %s", err.message);
        if (rc == 0)
            live(s);
        history_close(s->h);
        s->h = NULL;
        disk_lose_power(s->disk);
        rc = open_with(s, (struct history_file_options){0}, &err);
        CHECK(rc == 0, "life %d: open: %s", life, err.message);
        for (int i = 0; i < SESSIONS; i++)
            check_session(s, i);
        history_close(s->h);
        s->h = NULL;
        check_verify(s);
        arena_reset(&s->arena);
    }
}

static void test_power_losses(void **state) {
    uint64_t seeds = getenv("HF_TEST_FULL") ? 2000 : 60;
    (void)state;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run(power_losses, seed);
}

/* Without the syncs the same must be seen to fail, or the method could not see a missing one. */
static void test_missing_syncs_are_seen(void **state) {
    char failure[512];
    int failed = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        failed += try_run(power_losses, seed, true, failure);
    assert_true(failed > 5);
}

/* --- disks that fail --- */

static void disk_full(struct scene *s) {
    struct history_result r;
    struct err err = {0};
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    for (int64_t n = 1; n <= 100; n++) {
        if (n % 10 == 5) { /* not even the half of it fits, or only a part */
            s->disk->room = 20;
            s->disk->fills = n % 20 == 15;
            s->tried[0] = n;
            int rc = append(s, 0, n, &r);
            CHECK(rc == ERR_UNAVAILABLE, "event %lld: %s", (long long)n, err_name(rc));
            s->disk->room = -1;
        }
        CHECK(append(s, 0, n, &r) == 0 && r.seq == n && !r.duplicate, "event %lld", (long long)n);
        s->acked[0] = s->tried[0] = n;
    }
    check_session(s, 0);
    history_close(s->h);
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    check_session(s, 0);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void failed_sync(struct scene *s) {
    struct history_result r;
    struct err err = {0};
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    CHECK(append(s, 0, 1, &r) == 0, "the first");
    s->acked[0] = 1;
    s->tried[0] = 2;
    s->disk->fail_sync = EIO;
    CHECK(append(s, 0, 2, &r) == ERR_IO, "the one whose sync fails");
    CHECK(append(s, 0, 2, &r) == ERR_IO, "not trusted again");
    history_close(s->h);
    disk_lose_power(s->disk);
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    check_session(s, 0);
    CHECK(append(s, 0, 2, &r) == 0 && r.seq == 2, "again");
    s->acked[0] = 2;
    check_session(s, 0);
}

static void test_disk_full(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++)
        run(disk_full, seed);
}

static void test_failed_sync(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        run(failed_sync, seed);
}

/* --- failpoints --- */

static void failpoint(struct scene *s, const char *name, const char *action) {
    struct err err = {0};
    str spec = arena_printf(&s->arena, "%s=%s", name, action);
    CHECK(failpoint_set(spec, &err) == 0, "%s", err.message);
}

/* Whatever fails in the middle: what was acknowledged stays, and other tries go well. */
static void failpoints(struct scene *s) {
    static const char *const names[] = {"history.file.log_switch", "history.file.write",
                                        "history.file.sync", "history.file.segment_made",
                                        "history.file.manifest_switched"};
    const char *name = names[s->seed % 5];
    bool is_write = s->seed % 5 == 1, is_sync = s->seed % 5 == 2, compress = s->seed >= 5;
    struct history_result r;
    struct err err = {0};
    CHECK(open_with(s, (struct history_file_options){.segment_events = 10, .compress = compress},
                    &err) == 0,
          "%s", err.message);
    for (int64_t n = 1; n <= 60; n++) {
        if (n == 20)
            failpoint(s, name, "error(14)");
        s->tried[0] = n;
        int rc = append(s, 0, n, &r);
        if (n >= 20 && (is_write || is_sync)) {
            CHECK(rc == ERR_IO, "%s: event %lld: %s", name, (long long)n, err_name(rc));
            break;
        }
        CHECK(rc == 0, "%s: event %lld: %s", name, (long long)n, err_name(rc));
        s->acked[0] = n;
    }
    failpoint(s, name, "off");
    CHECK(append(s, 0, s->acked[0] + 1, &r) == (is_sync ? ERR_IO : 0), "%s: after it", name);
    s->tried[0] = s->acked[0] + 1;
    s->acked[0] += !is_sync;
    history_close(s->h);
    s->h = NULL;
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s: %s", name, err.message);
    check_session(s, 0);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_failpoints(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        run(failpoints, i);
}

/* --- torn tails --- */

/* Two appends that were acknowledged, then one of three events: where it begins, where it ends. */
static void write_three(struct scene *s, size_t *out_begin, size_t *out_end) {
    struct history_file_options o = {.segment_bytes = 1 << 16, .seal_never = true};
    struct history_event e[3];
    struct history_result r[3];
    struct err err = {0};
    CHECK(open_with(s, o, &err) == 0, "%s", err.message);
    CHECK(append(s, 0, 1, r) == 0 && append(s, 0, 2, r) == 0, "appends");
    *out_begin = 0;
    for (size_t at = sizeof(struct hfile_log_head), n;; at += n) {
        str log = disk_text(s->disk, "log-1");
        n = hfile_record_check(log.p + at, log.len - at);
        *out_begin = at;
        if (n == 0)
            break;
    }
    for (int i = 0; i < 3; i++)
        e[i] = (struct history_event){.id = arena_printf(&s->arena, "three-%d", i),
                                      .type = STR("t"),
                                      .payload_kind = HISTORY_BYTES,
                                      .payload = STR("0123456789"),
                                      .occurred_at = 1};
    struct history_append a = {.key = key_of(0), .events = e, .count = 3, .results = r};
    CHECK(history_append(s->h, &a, &err) == 0, "%s", err.message);
    str log = disk_text(s->disk, "log-1");
    *out_end = log.len;
    while (*out_end > 0 && log.p[*out_end - 1] == 0)
        --*out_end;
    *out_end = (*out_end + 7) & ~(size_t)7;
}

static int64_t events_there(struct scene *s, int64_t *out_torn) {
    struct history_file_report report = {.events = -1};
    struct err err = {0};
    if (history_file_verify("", &s->disk->io, finding, s, &report, &err) < 0)
        return -1;
    *out_torn = report.torn_bytes;
    return report.events;
}

static void torn_at(struct scene *s, str whole, size_t cut, int how) {
    int64_t torn = 0, cut_bytes = 0;
    char *p = mem_dup(whole.p, whole.len);
    if (how == 2)
        p[cut] = (char)~p[cut];
    else
        memset(p + cut, 0, whole.len - cut);
    disk_put(s->disk, "log-1", str_n(p, how == 1 ? cut : whole.len));
    mem_free(p);
    int64_t events = events_there(s, &torn);
    CHECK(events == 2, "cut at %zu (%d): %lld events", cut, how, (long long)events);
    CHECK(history_file_repair("", &s->disk->io, &cut_bytes, NULL) == 0, "repair");
    CHECK(cut_bytes == torn, "repair cuts %lld of %lld", (long long)cut_bytes, (long long)torn);
    events = events_there(s, &torn);
    CHECK(events == 2 && torn == 0, "after repair: %lld events", (long long)events);
}

static void torn_tails(struct scene *s) {
    size_t begin = 0, end = 0;
    struct err err = {0};
    struct history_result r;
    write_three(s, &begin, &end);
    str log = disk_text(s->disk, "log-1");
    CHECK(!s->failure[0] && begin > 0 && end > begin + 100, "%zu to %zu", begin, end);
    str whole = arena_dup(&s->arena, str_slice(log, 0, end));
    history_close(s->h);
    s->h = NULL;
    for (size_t cut = begin; cut < end && !s->failure[0]; cut++) {
        bool pad = true; /* zeros that are cut off are no change: they are what is behind */
        for (size_t i = cut; i < end; i++)
            pad = pad && whole.p[i] == 0;
        if (!pad)
            torn_at(s, whole, cut, 0);
        torn_at(s, whole, cut, 1);
        torn_at(s, whole, cut, 2);
    }
    disk_put(s->disk, "log-1", str_slice(whole, 0, end - 9));
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    CHECK(append(s, 0, 3, &r) == 0 && r.seq == 3, "%lld", (long long)r.seq);
}

static void test_torn_tails(void **state) {
    (void)state;
    run(torn_tails, 1);
}

static void damage_is_no_end(struct scene *s) {
    size_t begin = 0, end = 0;
    struct err err = {0};
    int64_t cut = 0;
    write_three(s, &begin, &end);
    history_close(s->h);
    s->h = NULL;
    str log = disk_text(s->disk, "log-1");
    char *p = mem_dup(log.p, log.len);
    for (size_t at = sizeof(struct hfile_log_head); at < begin && !s->failure[0]; at += 13) {
        p[at] ^= 4;
        disk_put(s->disk, "log-1", str_n(p, log.len));
        p[at] ^= 4;
        int rc = open_with(s, (struct history_file_options){0}, &err);
        if (rc == ERR_CORRUPT)
            rc = history_file_repair("", &s->disk->io, &cut, &err);
        if (rc != ERR_CORRUPT)
            (void)snprintf(s->failure, sizeof s->failure, "damage at %zu: %s", at, err_name(rc));
    }
    mem_free(p);
}

static void test_damage_is_no_end(void **state) {
    (void)state;
    run(damage_is_no_end, 1);
}

/* --- deletion --- */

#define CANARY "canary-0xfeed"

static bool somewhere(struct scene *s, str text) {
    for (size_t i = 0; i < s->disk->names.count; i++) {
        if (str_find(disk_text(s->disk, s->disk->names.p[i].name), text) >= 0)
            return true;
    }
    return false;
}

static void deletion_leaves_no_byte(struct scene *s) {
    struct history_key gone = {STR("ann"), STR(CANARY "-name")};
    struct history_result r;
    struct err err = {0};
    size_t removed;
    int64_t acked;
    CHECK(open_with(s, (struct history_file_options){.segment_events = 15}, &err) == 0, "%s",
          err.message);
    for (int64_t n = 1; n <= 200; n++) {
        struct history_event e = {.id = arena_printf(&s->arena, CANARY "%lld", (long long)n),
                                  .type = STR("t"),
                                  .payload_kind = HISTORY_BYTES,
                                  .payload = STR(CANARY "-payload"),
                                  .occurred_at = n};
        struct history_append a = {.key = gone, .events = &e, .count = 1, .results = &r};
        struct history_checkpoint c = {.payload_kind = HISTORY_BYTES, .payload = STR(CANARY)};
        CHECK(append(s, 1, n, &r) == 0, "append");
        CHECK(n > 100 || history_append(s->h, &a, &err) == 0, "%s", err.message);
        CHECK(history_consumer_ack(s->h, &gone, STR(CANARY "-consumer"), n / 2, &acked, &err) == 0,
              "%s", err.message);
        CHECK(n % 30 || history_checkpoint_put(s->h, &gone, &c, &s->arena, &err) == 0, "%s",
              err.message);
        s->acked[1] = s->tried[1] = n;
    }
    CHECK(somewhere(s, STR(CANARY)), "it is looked for where it is");
    CHECK(history_session_delete(s->h, &gone, &err) == 0, "%s", err.message);
    do {
        int rc = history_sweep(s->h, clock_wall_us(), 40, &removed, &err);
        CHECK(rc == 0, "%s", err.message);
    } while (removed > 0);
    CHECK(!somewhere(s, STR(CANARY)), "bytes are left");
    check_session(s, 1);
    history_close(s->h);
    CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
    check_session(s, 1);
    history_close(s->h);
    s->h = NULL;
    check_verify(s);
}

static void test_deletion_leaves_no_byte(void **state) {
    (void)state;
    run(deletion_leaves_no_byte, 1);
}

/* A session that was deleted begins again, in the segment that tells of the deletion. */
static void begun_again(struct scene *s) {
    struct history_key key = key_of(0);
    struct history_result r;
    struct err err = {0};
    CHECK(open_with(s, (struct history_file_options){.segment_events = 5}, &err) == 0, "%s",
          err.message);
    for (int round = 0; round < 5; round++) {
        for (int64_t n = 1; n <= 4 + round; n++)
            CHECK(append(s, 0, n, &r) == 0 && r.seq == n, "event %lld", (long long)n);
        s->acked[0] = s->tried[0] = 4 + round;
        if (round < 4)
            CHECK(history_session_delete(s->h, &key, &err) == 0, "%s", err.message);
        for (int64_t n = 1; n <= 12; n++) /* so that logs are sealed */
            CHECK(append(s, 1, round * 12 + n, &r) == 0, "the other session");
        s->acked[1] = s->tried[1] = round * 12 + 12;
    }
    for (int i = 0; i < 2; i++) {
        history_close(s->h);
        CHECK(open_with(s, (struct history_file_options){0}, &err) == 0, "%s", err.message);
        check_session(s, 0);
        check_session(s, 1);
    }
}

static void test_begun_again(void **state) {
    (void)state;
    run(begun_again, 1);
}

/* --- a real folder --- */

static void one_writes(struct scene *s) {
    char dir[] = "/tmp/holdfast-history-XXXXXX", path[64], command[96];
    struct history_file_options o = {.dir = path};
    struct history_file_options reading = {.dir = path, .read_only = true};
    struct history *second = NULL;
    struct history_result r;
    struct history_session session;
    struct history_key key = key_of(0);
    struct err err = {0};
    CHECK(mkdtemp(dir) != NULL, "mkdtemp");
    (void)snprintf(path, sizeof path, "%s/history", dir);
    CHECK(history_file_open(s->rt, &o, &s->h, &err) == 0, "%s", err.message);
    CHECK(append(s, 0, 1, &r) == 0, "append");
    int rc = history_file_open(s->rt, &o, &second, &err);
    CHECK(rc == ERR_UNAVAILABLE, "the second gets %s", err_name(rc));
    CHECK(str_find(str_of(err.message), STR("another process")) >= 0, "%s", err.message);
    CHECK(history_file_open(s->rt, &reading, &second, &err) == 0, "%s", err.message);
    rc = history_session_get(second, &key, &s->arena, &session, &err);
    struct history *first = s->h;
    s->h = second;
    int written = append(s, 0, 2, &r);
    s->h = first;
    history_close(second);
    CHECK(rc == 0 && session.last_seq == 1, "the reader sees %s", err_name(rc));
    CHECK(written == ERR_UNAVAILABLE, "the reader writes: %s", err_name(written));
    history_close(s->h);
    s->h = NULL;
    static const char *const names[] = {"holdfast-history", "lock", "log-1", ""};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        (void)snprintf(command, sizeof command, "%s/%s", path, names[i]);
        CHECK((names[i][0] ? unlink(command) : rmdir(path)) == 0, "%s is not there", command);
    }
    (void)rmdir(dir);
}

static void test_one_writes(void **state) {
    (void)state;
    run(one_writes, 1);
}

/* --- checksums --- */

static void test_crc(void **state) {
    char data[300];
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 131 + 7);
    assert_int_equal(hfile_crc(STR("123456789")), 0xe3069283);
    assert_int_equal(hfile_crc_plain(0, STR("123456789")), 0xe3069283);
    for (size_t len = 0; len < 200; len++) {
        str s = str_n(data + len % 13, len);
        assert_int_equal(hfile_crc(s), hfile_crc_plain(0, s));
        assert_int_equal(
            hfile_crc_more(hfile_crc(str_slice(s, 0, len / 3)), str_slice(s, len / 3, len)),
            hfile_crc(s));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_torn_tails),
        cmocka_unit_test(test_damage_is_no_end),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_failed_sync),
        cmocka_unit_test(test_failpoints),
        cmocka_unit_test(test_power_losses),
        cmocka_unit_test(test_missing_syncs_are_seen),
        cmocka_unit_test(test_deletion_leaves_no_byte),
        cmocka_unit_test(test_begun_again),
        cmocka_unit_test(test_one_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
