/* SPDX-License-Identifier: Apache-2.0 */
/* test_legacy.c - taking sessions over from an older store, and reading from both.
 *
 * Goal: every row once, in order, whatever is new, torn or damaged; what was deleted stays deleted;
 * of many callers one looks; a store that cannot be read stops only what it must.
 * Method: a folder of the older layout, written by the test, or a reader that fails and waits on
 * demand; a history in memory. Each test runs on a fiber; checks are asserted on the main stack. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "history/legacy/legacy.h"
#include "history/memory.h"
#include "history/watch.h"

#define CALLERS 20
#define OWNER   STR("ann")

struct scene {
    struct rt *rt;
    char dir[64];
    struct db_legacy *old;
    struct history *h; /* in memory; wrap() puts the wrapper here */
    struct arena a;
    struct history_taking t;
    char told[4096]; /* what is said of bad rows */
    void (*fn)(struct scene *s);
    char failure[256];
};
#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b && !s->failure[0])                                                  \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: %s is %lld, not %lld",         \
                           __LINE__, #a, check_a, check_b);                                        \
    } while (0)
#define CHECK_TOLD(text)                                                                           \
    do {                                                                                           \
        if (!strstr(s->told, (text)) && !s->failure[0])                                            \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: nobody said %s but %.150s",    \
                           __LINE__, (text), s->told);                                             \
    } while (0)

static void on_bad(void *ctx, str session, str row, const char *why) {
    struct scene *s = ctx;
    size_t len = strlen(s->told);
    (void)snprintf(s->told + len, sizeof s->told - len, "[" STR_FMT "/" STR_FMT ": %s]",
                   STR_ARG(str_slice(session, 0, 40)), STR_ARG(row), why);
}

/* mode "w": anew; "a": behind what is there. */
static void put(struct scene *s, const char *name, const char *mode, const char *text) {
    char path[sizeof s->dir + 300];
    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    FILE *f = fopen(path, mode);
    CHECK_INT(f != NULL, 1);
    if (!f)
        return;
    CHECK_INT(fputs(text, f) >= 0, 1);
    CHECK_INT(fclose(f), 0);
}

static void put_events(struct scene *s, const char *name, int from, int to) {
    for (int i = from; i < to; i++)
        put(s, name, "a",
            arena_printf(
                &s->a,
                "{\"id\":\"e%d\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:%02d:%02dZ\","
                "\"payload\":{\"n\":%d}}\n",
                i, i / 60 % 60, i % 60, i)
                .p);
}

static int take(struct scene *s, const char *session) {
    s->t = (struct history_taking){.h = s->h,
                                   .from = s->old,
                                   .owner = OWNER,
                                   .strict = s->t.strict,
                                   .again = s->t.again,
                                   .compare = true,
                                   .bad = on_bad,
                                   .ctx = s};
    s->told[0] = 0;
    return history_legacy_take(&s->t, str_of(session), NULL);
}

static struct history_key key_of(const char *session) {
    return (struct history_key){OWNER, str_of(session)};
}

/* The ids, each with a blank behind it. */
static const char *ids(struct scene *s, const char *session) {
    struct history_range r = HISTORY_RANGE_ALL(key_of(session));
    struct history_page page;
    struct buf b;
    if (history_read(s->h, &r, &s->a, &page, NULL) < 0)
        return "none";
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < page.count; i++) {
        CHECK_INT(page.events[i].seq, i + 1);
        buf_printf(&b, STR_FMT " ", STR_ARG(page.events[i].id));
    }
    str text = arena_take(&s->a, &b);
    return text.p ? arena_z(&s->a, text) : "";
}
#define CHECK_IDS(session, want)                                                                   \
    do {                                                                                           \
        const char *check_ids = ids(s, session);                                                   \
        if (strcmp(check_ids, want) != 0 && !s->failure[0])                                        \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: %.100s", __LINE__, check_ids); \
    } while (0)

/* --- taking over --- */

static void takes_what_is_new(struct scene *s) {
    put_events(s, "s.jsonl", 0, 3);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 3);
    CHECK_INT(s->t.compared, 3);
    CHECK_INT(s->t.last_seq, 3);
    CHECK_INT(s->t.known, false);
    put_events(s, "s.jsonl", 3, 5);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 2);
    CHECK_INT(s->t.duplicates, 0); /* they were not read again */
    CHECK_INT(s->t.known, true);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored + s->t.duplicates, 0);
    CHECK_IDS("s", "e0 e1 e2 e3 e4 ");
    s->t.again = true;
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.duplicates, 5);
    CHECK_INT(take(s, "other"), 0); /* there is none, and none is made */
    CHECK_IDS("other", "none");
}

/* Somebody has rewritten the file: what is there counts. */
static void a_mark_that_does_not_fit(struct scene *s) {
    put_events(s, "s.jsonl", 0, 3);
    CHECK_INT(take(s, "s"), 0);
    put(s, "s.jsonl", "w", "\n\n"); /* shorter */
    put_events(s, "s.jsonl", 2, 4);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 1);
    CHECK_IDS("s", "e0 e1 e2 e3 ");
    put(s, "s.jsonl", "w", "                                                        \n");
    put_events(s, "s.jsonl", 1, 9); /* longer, and no line ends at the mark */
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 5);
    CHECK_IDS("s", "e0 e1 e2 e3 e4 e5 e6 e7 e8 ");
}

static void a_line_that_is_being_written(struct scene *s) {
    put_events(s, "s.jsonl", 0, 1);
    put(s, "s.jsonl", "a", "{\"id\":\"e1\",\"type\":\"t\",\"occurr");
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.bad_rows, 1);
    put(s, "s.jsonl", "a", "edAt\":\"2026-01-01T00:00:00Z\",\"payload\":1}");
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 1);
    CHECK_INT(s->t.bad_rows, 0);
    put(s, "s.jsonl", "a", "\n");
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.duplicates, 1);
    CHECK_IDS("s", "e0 e1 ");
}

static void bad_rows_are_named(struct scene *s) {
    put_events(s, "s.jsonl", 0, 1);
    put(s, "s.jsonl", "a",
        "{\"id\":\"torn\",\n"
        "{\"id\":\"zone\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00\",\"payload\":1}\n"
        "{\"id\":\"day\",\"type\":\"t\",\"occurredAt\":\"2026-01-01\",\"payload\":1}\n"
        "{\"id\":\"never\",\"type\":\"t\",\"payload\":1}\n"
        "{\"id\":\"ttl\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\",\"payload\":1,"
        "\"ttlMs\":-1}\n"
        "{\"id\":\"e0\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\",\"payload\":\"x\"}\n"
        "{\"id\":\"past\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\",\"payload\":1,"
        "\"ttlMs\":1000}\n"
        "{\"id\":\"far\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T02:00:00+02:00\","
        "\"payload\":1}\n"
        "{\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\",\"payload\":1}\n"
        "{\"createdAt\":\"2026-01-01T00:00:00Z\",\"id\":\"outer\",\"envelope\":{\"type\":\"t\","
        "\"payload\":1}}\n");
    put(s, "s.jsonl", "a",
        arena_printf(&s->a,
                     "{\"id\":\"%0250d\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\","
                     "\"payload\":1}\n",
                     0)
            .p);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 4);
    CHECK_INT(s->t.expired, 1);
    CHECK_INT(s->t.bad_rows, 7);
    CHECK_TOLD("[s/byte ");
    CHECK_TOLD("[s/zone: occurredAt: must be ISO-8601 with an offset]");
    CHECK_TOLD("[s/day: ");
    CHECK_TOLD("[s/never: occurredAt: is required]");
    CHECK_TOLD("[s/ttl: ttlMs");
    CHECK_TOLD("[s/e0: "); /* it is there with another content */
    CHECK_TOLD("[s/000");
    struct history_range r = HISTORY_RANGE_ALL(key_of("s"));
    struct history_page page = {0};
    CHECK_INT(history_read(s->h, &r, &s->a, &page, NULL), 0);
    CHECK_INT(page.count, 4);
    CHECK_INT(page.count == 4 ? page.events[1].occurred_at : 0, 1767225600000000);
    s->t.again = true;
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 0); /* also the one without an id */
    s->t.strict = true;
    CHECK_INT(take(s, "s"), ERR_INVALID);
}

static void names_that_are_no_sessions(struct scene *s) {
    CHECK_INT(mkdir(arena_printf(&s->a, "%s/x", s->dir).p, 0700), 0);
    put_events(s, "x/inner.jsonl", 0, 1);
    put(s, "not\xff.jsonl", "w", "");
    put(s, ".jsonl", "w", "");
    put(s, "only.checkpoint.json", "w",
        "{\"payload\":{\"at\":1},\"createdAt\":\"2026-01-01T00:00:00Z\"}");
    CHECK_INT(take(s, "x/inner"), 0);
    CHECK_INT(take(s, "../x/inner"), 0);
    CHECK_IDS("x/inner", "none");
    CHECK_INT(history_legacy_take_all(&s->t, NULL), 0);
    CHECK_INT(s->t.bad_rows, 1);
    CHECK_TOLD("the name of the session");
    CHECK_IDS("only", "");
    struct history_legacy_left left;
    CHECK_INT(history_legacy_count(s->h, s->old, OWNER, &left, NULL), 0);
    CHECK_INT(left.sessions, 2);
    CHECK_INT(left.left, 1); /* the one that nobody can take */
}

static int64_t at_of(struct scene *s) {
    struct history_key key = key_of("s");
    struct history_checkpoint c = {.payload = STR_NULL};
    int64_t at = -1;
    if (history_checkpoint_get(s->h, &key, ID_NIL, &s->a, &c, NULL) == 0)
        (void)str_to_i64(c.payload, &at);
    return at;
}

static void checkpoints_follow(struct scene *s) {
    struct history_key key = key_of("s");
    put_events(s, "s.jsonl", 0, 1);
    put(s, "s.checkpoint.json", "w", "{\"payload\":1,\"createdAt\":\"2026-01-01T00:00:00Z\"}");
    for (int i = 0; i < 2; i++) {
        CHECK_INT(take(s, "s"), 0);
        CHECK_INT(s->t.checkpoints, i == 0);
    }
    CHECK_INT(at_of(s), 1);
    put(s, "s.checkpoint.json", "w", "{\"payload\":2,\"createdAt\":\"2026-01-02T00:00:00Z\"}");
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(at_of(s), 2);
    struct history_checkpoint own = {.payload_kind = HISTORY_JSON, .payload = STR("3")};
    CHECK_INT(history_checkpoint_put(s->h, &key, &own, &s->a, NULL), 0);
    put(s, "s.checkpoint.json", "w", "{\"payload\":4,\"createdAt\":\"2026-01-03T00:00:00Z\"}");
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.checkpoints, 1);
    CHECK_INT(at_of(s), 3); /* ours is newer */
    put(s, "s.checkpoint.json", "w", "{\"payload\":5,\"created");
    CHECK_INT(take(s, "s"), 0);
    CHECK_TOLD("[s/checkpoint: ");
    CHECK_INT(at_of(s), 3);
    put(s, "s.checkpoint.json", "w", "6"); /* a bare payload occurred now */
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(at_of(s), 6);
}

static void pages_and_long_lines(struct scene *s) {
    char path[sizeof s->dir + 16];
    (void)snprintf(path, sizeof path, "%s/s.jsonl", s->dir);
    FILE *f = fopen(path, "w");
    CHECK_INT(f != NULL, 1);
    for (int i = 0; f && i < 1200; i++) {
        if (i == 600) {
            for (size_t k = 0; k < DB_LEGACY_ROW_BYTES_MAX + (1u << 20); k += 64)
                (void)fputs("                                                              no", f);
            (void)fputc('\n', f);
        }
        (void)fprintf(f,
                      "{\"id\":\"e%d\",\"type\":\"t\",\"occurredAt\":\"2026-01-01T00:00:00Z\","
                      "\"payload\":\"%04000d\"}\n",
                      i, i);
    }
    CHECK_INT(f ? fclose(f) : 0, 0);
    CHECK_INT(take(s, "s"), 0);
    CHECK_INT(s->t.stored, 1200);
    CHECK_INT(s->t.compared, 1200);
    CHECK_INT(s->t.bad_rows, 1);
    CHECK_TOLD("is larger than");
}

/* --- reading from both --- */

static void wrap(struct scene *s, struct db_legacy *from, int64_t every_us) {
    struct history_legacy_options o = {from, OWNER, every_us};
    CHECK_INT(history_legacy_wrap(s->h, &o, &s->h, NULL), 0);
}

static int append_one(struct scene *s, const char *session, const char *id) {
    struct history_event e = {.id = str_of(id),
                              .type = STR("t"),
                              .payload_kind = HISTORY_JSON,
                              .payload = STR("1"),
                              .occurred_at = 1};
    struct history_result r;
    struct history_append a = {.key = key_of(session), .events = &e, .count = 1, .results = &r};
    return history_append(s->h, &a, NULL);
}

static void a_touch_takes_over(struct scene *s) {
    put_events(s, "s.jsonl", 0, 2);
    put_events(s, "u.jsonl", 0, 1);
    wrap(s, s->old, 0);
    CHECK_INT(append_one(s, "s", "own"), 0);
    CHECK_IDS("s", "e0 e1 own "); /* behind the old ones */
    put_events(s, "s.jsonl", 2, 3);
    CHECK_IDS("s", "e0 e1 own e2 ");
    struct history_key other = {STR("bob"), STR("u")};
    struct history_session found;
    CHECK_INT(history_session_get(s->h, &other, &s->a, &found, NULL), ERR_NOT_FOUND);
    struct history_key u = key_of("u");
    int64_t last = 0;
    CHECK_INT(history_wait(s->h, &u, 0, FIBER_NO_DEADLINE, &last, NULL), 0);
    CHECK_INT(last, 1);
    CHECK_INT(history_wait(s->h, &u, 1, clock_mono_us() + 1000, &last, NULL), ERR_TIMEOUT);
}

static const char *names(struct scene *s, const char *after, size_t limit) {
    struct history_session *list;
    size_t count;
    struct buf b;
    buf_init(&b, 4096);
    CHECK_INT(history_session_list(s->h, OWNER, str_of(after), limit, &s->a, &list, &count, NULL),
              0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&b, STR_FMT ":%lld ", STR_ARG(list[i].name), (long long)list[i].last_seq);
    str text = arena_take(&s->a, &b);
    return text.p ? arena_z(&s->a, text) : "";
}
#define CHECK_NAMES(after, limit, want)                                                            \
    do {                                                                                           \
        const char *check_names = names(s, after, limit);                                          \
        if (strcmp(check_names, want) != 0 && !s->failure[0])                                      \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: %.100s", __LINE__,             \
                           check_names);                                                           \
    } while (0)

static void lists_show_both(struct scene *s) {
    put_events(s, "b.jsonl", 0, 2);
    put_events(s, "d.jsonl", 0, 2);
    put_events(s, "f.jsonl", 0, 2);
    CHECK_INT(append_one(s, "a", "x"), 0);
    CHECK_INT(append_one(s, "c", "x"), 0);
    CHECK_INT(append_one(s, "e", "x"), 0);
    wrap(s, s->old, 0);
    CHECK_NAMES("", 10, "a:1 b:0 c:1 d:0 e:1 f:0 ");
    CHECK_NAMES("", 3, "a:1 b:0 c:1 ");
    CHECK_NAMES("c", 2, "d:0 e:1 ");
    CHECK_NAMES("e", 1, "f:0 ");
    CHECK_NAMES("f", 1, "");
    CHECK_IDS("b", "e0 e1 ");
    CHECK_NAMES("", 10, "a:1 b:2 c:1 d:0 e:1 f:0 ");
    /* Deleted, it does not come back; but what is put there later does. */
    struct history_key b = key_of("b"), d = key_of("d");
    CHECK_INT(history_session_delete(s->h, &b, NULL), 0);
    CHECK_INT(history_session_delete(s->h, &d, NULL), 0); /* never touched before */
    CHECK_NAMES("", 10, "a:1 c:1 e:1 f:0 ");
    CHECK_IDS("b", "none");
    put_events(s, "b.jsonl", 7, 8);
    CHECK_IDS("b", "e7 ");
    str *owners;
    size_t count;
    CHECK_INT(s->h->vtable->owner_list(s->h, STR_NULL, 1, &s->a, &owners, &count, NULL), 0);
    CHECK_INT(count, 1); /* the books are nobody's */
    CHECK_INT(count == 1 && str_eq(owners[0], OWNER), 1);
}

/* The owner's only sessions may be old ones. */
static void owners_show_both(struct scene *s) {
    str *owners;
    size_t count;
    put_events(s, "b.jsonl", 0, 2);
    wrap(s, s->old, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(s->h->vtable->owner_list(s->h, STR_NULL, 10, &s->a, &owners, &count, NULL), 0);
        CHECK_INT(count, 1);
        CHECK_IDS("b", "e0 e1 ");
    }
}

struct told {
    struct history_watch w;
    int times;
};
static void on_told(struct history_watch *w) { CONTAINER_OF(w, struct told, w)->times++; }

static void watches_are_told(struct scene *s) {
    struct told told = {.w = {.fn = on_told}};
    struct history_key key = key_of("s");
    put_events(s, "s.jsonl", 0, 1);
    wrap(s, s->old, 0);
    history_watch_start(s->h, &key, &told.w);
    CHECK_IDS("s", "e0 ");
    CHECK_INT(told.times, 1);
    history_watch_stop(&told.w);
}

/* --- a reader on demand --- */

struct fake {
    struct db_legacy base;
    struct fiber_event go;
    bool held, broken;
    int reads;
};

static int fake_list(struct db_legacy *l, str after, size_t limit, struct arena *a,
                     struct db_legacy_session **out, size_t *out_count, struct err *err) {
    (void)l, (void)after, (void)limit, (void)a, (void)err;
    *out = NULL;
    *out_count = 0;
    return 0;
}

static int fake_rows(struct db_legacy *l, str session, const struct db_legacy_mark *mark,
                     db_legacy_rows_fn fn, void *ctx, struct db_legacy_mark *out_mark,
                     struct err *err) {
    struct fake *f = CONTAINER_OF(l, struct fake, base);
    const struct db_legacy_row row = {
        .id = STR("old"),
        .envelope = STR("{\"type\":\"t\",\"payload\":1,\"occurredAt\":\"2026-01-01T00:00:00Z\"}")};
    (void)session;
    f->reads++;
    *out_mark = *mark;
    while (f->held)
        (void)fiber_event_wait(&f->go, FIBER_NO_DEADLINE);
    if (f->broken)
        return err_set(err, ERR_UNAVAILABLE, "it is gone");
    (void)snprintf(out_mark->text, sizeof out_mark->text, "1");
    return mark->text[0] ? 0 : fn(ctx, &row, 1, err);
}

static int fake_checkpoint(struct db_legacy *l, str session, struct arena *a,
                           struct db_legacy_checkpoint *out, struct err *err) {
    (void)l, (void)session, (void)a, (void)out;
    return err_set(err, ERR_NOT_FOUND, "none");
}

static const struct db_legacy_vtable fake_vtable = {
    .name = "fake", .session_list = fake_list, .rows = fake_rows, .checkpoint = fake_checkpoint};

struct caller {
    struct scene *s;
    int rc;
};
static void call(void *arg) {
    struct caller *c = arg;
    c->rc = append_one(c->s, "s", "own");
}

static void one_of_many_looks(struct scene *s) {
    struct fake fake = {.base = {.vtable = &fake_vtable}, .held = true};
    struct caller callers[CALLERS];
    struct fiber_group g;
    fiber_event_init(&fake.go);
    fiber_group_init(&g);
    wrap(s, &fake.base, 3600000000);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.s = s, .rc = 1};
        CHECK_INT(fiber_group_spawn(&g, s->rt, "caller", call, &callers[i], NULL), 0);
    }
    (void)fiber_sleep_us(1000);
    fake.held = false;
    fiber_event_wake_all(&fake.go);
    fiber_group_wait(&g);
    CHECK_INT(fake.reads, 1);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(callers[i].rc, 0);
    CHECK_IDS("s", "old own ");
    CHECK_INT(fake.reads, 1); /* it was looked at a moment ago */
    history_close(s->h);      /* before the reader goes */
    s->h = history_memory_open();
}

static void a_store_that_is_gone(struct scene *s) {
    struct fake fake = {.base = {.vtable = &fake_vtable}, .broken = true};
    fiber_event_init(&fake.go);
    wrap(s, &fake.base, 0);
    CHECK_INT(append_one(s, "s", "own"), ERR_UNAVAILABLE); /* nobody knows what was before */
    fake.broken = false;
    CHECK_IDS("s", "old ");
    fake.broken = true;
    CHECK_INT(append_one(s, "s", "own"), 0); /* it was taken before */
    CHECK_IDS("s", "old own ");
    history_close(s->h);
    s->h = history_memory_open();
}

static void an_owner_has_a_length(struct scene *s) {
    struct history *h = NULL;
    char name[HISTORY_LEGACY_OWNER_BYTES_MAX + 1];
    memset(name, 'x', sizeof name);
    struct history_legacy_options o = {s->old, str_n(name, sizeof name), 0};
    CHECK_INT(history_legacy_wrap(s->h, &o, &h, NULL), ERR_INVALID);
}

/* --- running --- */

static void scene_main(void *arg) {
    struct scene *s = arg;
    s->fn(s);
    rt_stop(s->rt);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void run(void (*fn)(struct scene *s)) {
    struct scene *s = calloc(1, sizeof *s);
    s->fn = fn;
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/holdfast-legacy-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    arena_init(&s->a, 256u << 20);
    s->h = history_memory_open();
    assert_int_equal(history_legacy_folder(s->rt, str_of(s->dir), &s->old, NULL), 0);
    assert_non_null(fiber_spawn(s->rt, "test", scene_main, s, NULL));
    rt_run(s->rt);
    history_close(s->h);
    s->old->vtable->close(s->old);
    arena_deinit(&s->a);
    rt_close(s->rt);
    assert_int_equal(nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    char failure[sizeof s->failure];
    memcpy(failure, s->failure, sizeof failure);
    free(s);
    if (failure[0])
        fail_msg("%s", failure);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run(name);                                                                                 \
    }
TEST(takes_what_is_new)
TEST(a_mark_that_does_not_fit)
TEST(a_line_that_is_being_written)
TEST(bad_rows_are_named)
TEST(names_that_are_no_sessions)
TEST(checkpoints_follow)
TEST(pages_and_long_lines)
TEST(a_touch_takes_over)
TEST(lists_show_both)
TEST(owners_show_both)
TEST(watches_are_told)
TEST(one_of_many_looks)
TEST(a_store_that_is_gone)
TEST(an_owner_has_a_length)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_is_new),
        cmocka_unit_test(test_a_mark_that_does_not_fit),
        cmocka_unit_test(test_a_line_that_is_being_written),
        cmocka_unit_test(test_bad_rows_are_named),
        cmocka_unit_test(test_names_that_are_no_sessions),
        cmocka_unit_test(test_checkpoints_follow),
        cmocka_unit_test(test_pages_and_long_lines),
        cmocka_unit_test(test_a_touch_takes_over),
        cmocka_unit_test(test_lists_show_both),
        cmocka_unit_test(test_owners_show_both),
        cmocka_unit_test(test_watches_are_told),
        cmocka_unit_test(test_one_of_many_looks),
        cmocka_unit_test(test_a_store_that_is_gone),
        cmocka_unit_test(test_an_owner_has_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
