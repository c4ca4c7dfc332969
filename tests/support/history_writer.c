/* SPDX-License-Identifier: Apache-2.0 */
/* history_writer.c - writes to a history until it is killed, or looks at what is there.
 *
 * usage: history_writer write STORE    prints "SESSION SEQ" for each event that was acknowledged
 *        history_writer insist STORE   the same, but an append that fails is tried again until it
 *                                      does not; prints "! ERROR TEXT" for each failure
 *        history_writer check STORE    takes such lines on the standard input; each of those
 *                                      events, and none twice, must be there, and verify of a
 *                                      folder must find nothing; prints "ok SEQ SEQ …", how far
 *                                      each session goes
 * STORE is file:FOLDER, sqlite:FILE or postgres://…. Sessions are "s0" to "s7"; each writer appends
 * to its own, one or several events at a time, with ids and payloads that follow from their number;
 * sweeps and deletions of another session go on, so that segments are made anew and merged. Every
 * other life compresses what it closes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "history/file/file.h"
#include "library/source.h"

#define WRITERS  8
#define AT_ONCE  5
#define AGAIN_US 20000

struct program {
    struct rt *rt;
    struct history *h;
    struct library_source source; /* of a database */
    str folder;                   /* absent: it is a database */
    bool check, insists;
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

/* Whether to try again. */
static bool failed(struct program *p, const char *what, int number, const struct err *err) {
    char line[320];
    if (!p->insists)
        return complain(p, what, number, err) == 0;
    int len = snprintf(line, sizeof line, "! %s %.256s\n", err_name(err->code), err->message);
    if (write(STDOUT_FILENO, line, (size_t)len) != len)
        ASSERT(false); /* the test is gone */
    return fiber_sleep_us(AGAIN_US) == 0;
}

static void write_some(struct writer *w, int64_t *seq, struct arena *a) {
    struct program *p = w->p;
    struct history_event events[AT_ONCE];
    struct history_result results[AT_ONCE];
    struct err err = {0};
    size_t count = 1 + (size_t)rand_below(AT_ONCE);
    for (size_t i = 0; i < count; i++)
        events[i] = event_of(a, w->number, *seq + 1 + (int64_t)i);
    struct history_append append = {
        .key = key_of(a, w->number), .events = events, .count = count, .results = results};
    while (history_append(p->h, &append, &err) < 0) {
        if (!failed(p, "append", w->number, &err))
            return;
    }
    if (results[count - 1].seq != *seq + (int64_t)count)
        complain(p, "a number is not the next one", w->number, NULL);
    else
        ack(w->number, *seq += (int64_t)count);
}

static void write_on(void *arg) {
    struct writer *w = arg;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int64_t seq = last_of(w->p, w->number, &a); w->p->result == 0;) {
        write_some(w, &seq, &a);
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
            (void)failed(p, "visitor", -1, &err); /* it comes again anyway */
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
    if (p->folder.p) {
        history_close(p->h);
        p->h = NULL;
        if (history_file_verify(p->folder.p, NULL, finding, p, &report, &err) < 0)
            finding(p, err.message);
    }
    printf("ok");
    for (int i = 0; i < WRITERS; i++)
        printf(" %lld", (long long)p->acked[i]);
    printf("\n");
}

static enum library_use use_of(const struct program *p) {
    return p->check ? LIBRARY_READS : LIBRARY_MANY;
}

static int open_store(struct program *p, struct err *err) {
    struct history_file_options o = {.dir = p->folder.p,
                                     .segment_bytes = 64 << 10,
                                     .compress = rand_below(2), /* both kinds in one folder */
                                     .files_max = 8};
    if (p->folder.p)
        return history_file_open(p->rt, &o, &p->h, err);
    int rc = library_source_start(p->rt, use_of(p), &p->source, err);
    p->h = p->source.h;
    p->source.h = NULL;
    return rc;
}

static void run_writers(struct program *p) {
    struct writer writers[WRITERS];
    struct fiber_group group;
    struct err err = {0};
    fiber_group_init(&group);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){p, i};
        p->result |= fiber_group_spawn(&group, p->rt, "writer", write_on, &writers[i], &err);
    }
    p->result |= fiber_group_spawn(&group, p->rt, "visitor", come_and_go, p, &err);
    fiber_group_wait(&group);
}

static void main_fiber(void *arg) {
    struct program *p = arg;
    struct err err = {0};
    if (open_store(p, &err) < 0)
        complain(p, "opening", -1, &err);
    else if (p->check)
        check(p);
    else
        run_writers(p);
    history_close(p->h);
    rt_stop(p->rt);
}

static int run(struct program *p, str store) {
    struct err err = {0};
    if (rt_open(&p->rt, &err) < 0)
        return 2;
    p->folder = library_source_folder(store);
    if (!p->folder.p && library_source_open(p->rt, store, use_of(p), &p->source, &err) < 0)
        complain(p, "opening", -1, &err);
    else if (fiber_spawn(p->rt, "main", main_fiber, p, &err))
        rt_run(p->rt);
    else
        p->result = 1;
    library_source_close(&p->source);
    rt_close(p->rt);
    return p->result ? 1 : 0;
}

int main(int argc, char **argv) {
    const char *mode = argc == 3 ? argv[1] : "";
    struct program p = {.check = strcmp(mode, "check") == 0,
                        .insists = strcmp(mode, "insist") == 0};
    int number;
    long long seq;
    if (!p.check && !p.insists && strcmp(mode, "write") != 0) {
        fprintf(stderr, "usage: history_writer write|insist|check STORE\n");
        return 2;
    }
    while (p.check && scanf("%d %lld", &number, &seq) == 2) {
        if (number >= 0 && number < WRITERS && seq > p.acked[number])
            p.acked[number] = seq;
    }
    return run(&p, str_of(argv[2]));
}
