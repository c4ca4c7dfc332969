/* SPDX-License-Identifier: Apache-2.0 */
/* history_writer.c - writes to a file history until it is killed, or looks at what is there.
 *
 * usage: history_writer write DIR    prints "SESSION SEQ" for each event that was acknowledged
 *        history_writer check DIR    takes such lines on the standard input; each of those events,
 *                                    and none twice, must be there, and verify must find nothing;
 *                                    prints "ok SEQ SEQ …", how far each session goes
 * Sessions are "s0" to "s7"; each writer appends to its own, one or several events at a time, with
 * ids and payloads that follow from their number; sweeps and deletions of another session go on, so
 * that segments are made anew and merged. Every other life compresses what it closes. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "history/file/file.h"

#define WRITERS 8
#define AT_ONCE 5

struct program {
    struct rt *rt;
    struct history *h;
    const char *dir;
    bool check;
    int result;
    int64_t acked[WRITERS];
};
struct writer {
    struct program *p;
    int number;
};

static struct history_key key_of(struct arena *a, int number) {
    return (struct history_key){STR("owner"), arena_printf(a, "s%d", number)};
}

static struct history_event event_of(struct arena *a, int number, int64_t seq) {
    return (struct history_event){
        .id = arena_printf(a, "%d-%lld", number, (long long)seq),
        .type = STR("t"),
        .payload_kind = HISTORY_JSON,
        .payload = arena_printf(a, "\"%lld %0*d\"", (long long)seq, (int)(seq * 31 % 700) + 1, 0),
        .occurred_at = 1700000000000000 + seq};
}

static int complain(struct program *p, const char *what, int number, const struct err *err) {
    fprintf(stderr, "history_writer: s%d: %s: %s\n", number, what, err ? err->message : "");
    p->result = 1;
    return -1;
}

static int64_t last_of(struct program *p, int number, struct arena *a) {
    struct history_key key = key_of(a, number);
    struct history_session s;
    int rc = history_session_get(p->h, &key, a, &s, NULL);
    return rc == 0 ? s.last_seq : 0;
}

/* --- writing --- */

static void ack(int number, int64_t seq) {
    char line[48];
    int len = snprintf(line, sizeof line, "%d %lld\n", number, (long long)seq);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        ASSERT(false); /* the test is gone */
}

static void write_on(void *arg) {
    struct writer *w = arg;
    struct program *p = w->p;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    for (int64_t seq = last_of(p, w->number, &a); p->result == 0;) {
        struct history_event events[AT_ONCE];
        struct history_result results[AT_ONCE];
        size_t count = 1 + (size_t)rand_below(AT_ONCE);
        for (size_t i = 0; i < count; i++)
            events[i] = event_of(&a, w->number, seq + 1 + (int64_t)i);
        struct history_append append = {
            .key = key_of(&a, w->number), .events = events, .count = count, .results = results};
        if (history_append(p->h, &append, &err) < 0)
            complain(p, "append", w->number, &err);
        else if (results[count - 1].seq != seq + (int64_t)count)
            complain(p, "a number is not the next one", w->number, NULL);
        else
            ack(w->number, seq += (int64_t)count);
        arena_reset(&a);
    }
    arena_deinit(&a);
}

/* A session that comes and goes, so that segments are made anew. */
static void come_and_go(void *arg) {
    struct program *p = arg;
    struct arena a;
    struct err err = {0};
    size_t removed;
    arena_init(&a, 1 << 20);
    while (p->result == 0) {
        struct history_key key = {STR("owner"), STR("visitor")};
        struct history_checkpoint c = {.payload_kind = HISTORY_JSON, .payload = STR("{}")};
        int rc = history_checkpoint_put(p->h, &key, &c, &a, &err);
        (void)fiber_sleep_us(20000); /* others write meanwhile */
        if (rc == 0)
            rc = history_session_delete(p->h, &key, &err);
        if (rc == 0)
            rc = history_sweep(p->h, clock_wall_us(), 1000, &removed, &err);
        if (rc < 0)
            complain(p, "visitor", -1, &err);
        arena_reset(&a);
    }
    arena_deinit(&a);
}

/* --- checking --- */

static int check_session(struct program *p, int number) {
    struct arena a;
    struct history_page page = {.more = true};
    struct err err = {0};
    int64_t seq = 0;
    int rc = 0;
    arena_init(&a, 64 << 20);
    struct history_range r = HISTORY_RANGE_ALL(key_of(&a, number));
    char name[16];
    (void)snprintf(name, sizeof name, "s%d", number);
    r.key.session = str_of(name);
    while (rc == 0 && page.more && (last_of(p, number, &a) > 0)) {
        r.seq_min = seq + 1;
        rc = history_read(p->h, &r, &a, &page, &err);
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            struct history_event want = event_of(&a, number, ++seq);
            const struct history_event *e = &page.events[i];
            if (e->seq != seq || !str_eq(e->id, want.id) || !str_eq(e->payload, want.payload))
                rc = complain(p, "an event is not what was written", number, NULL);
        }
        arena_reset(&a);
    }
    arena_deinit(&a);
    if (rc < 0)
        return complain(p, "reading", number, &err);
    if (seq < p->acked[number])
        return complain(p, "acknowledged events are missing", number, NULL);
    p->acked[number] = seq;
    return 0;
}

static void finding(void *ctx, const char *text) {
    struct program *p = ctx;
    fprintf(stderr, "history_writer: verify: %s\n", text);
    p->result = 1;
}

static void check(struct program *p) {
    struct history_file_report report;
    struct err err = {0};
    for (int i = 0; i < WRITERS && p->result == 0; i++)
        (void)check_session(p, i); /* it sets the result */
    history_close(p->h);
    p->h = NULL;
    if (history_file_verify(p->dir, NULL, finding, p, &report, &err) < 0)
        finding(p, err.message);
    printf("ok");
    for (int i = 0; i < WRITERS; i++)
        printf(" %lld", (long long)p->acked[i]);
    printf("\n");
}

static void main_fiber(void *arg) {
    struct program *p = arg;
    struct writer writers[WRITERS];
    struct fiber_group group;
    struct err err = {0};
    struct history_file_options o = {.dir = p->dir,
                                     .segment_bytes = 64 << 10,
                                     .compress = rand_below(2), /* both kinds in one folder */
                                     .files_max = 8};
    if (history_file_open(p->rt, &o, &p->h, &err) < 0) {
        complain(p, "opening", -1, &err);
    } else if (p->check) {
        check(p);
    } else {
        fiber_group_init(&group);
        for (int i = 0; i < WRITERS; i++) {
            writers[i] = (struct writer){p, i};
            p->result |= fiber_group_spawn(&group, p->rt, "writer", write_on, &writers[i], &err);
        }
        p->result |= fiber_group_spawn(&group, p->rt, "visitor", come_and_go, p, &err);
        fiber_group_wait(&group);
    }
    history_close(p->h);
    rt_stop(p->rt);
}

int main(int argc, char **argv) {
    struct program p = {.check = argc == 3 && strcmp(argv[1], "check") == 0};
    int number;
    long long seq;
    if (argc != 3 || (!p.check && strcmp(argv[1], "write") != 0)) {
        fprintf(stderr, "usage: history_writer write|check DIR\n");
        return 2;
    }
    p.dir = argv[2];
    while (p.check && scanf("%d %lld", &number, &seq) == 2) {
        if (number >= 0 && number < WRITERS && seq > p.acked[number])
            p.acked[number] = seq;
    }
    if (rt_open(&p.rt, NULL) < 0 || !fiber_spawn(p.rt, "main", main_fiber, &p, NULL))
        return 2;
    rt_run(p.rt);
    rt_close(p.rt);
    return p.result ? 1 : 0;
}
