/* SPDX-License-Identifier: Apache-2.0 */
/* test_store.c - the resources over every database: the same calls give the same results.
 *
 * Goal: assistants, threads, runs, the log, checkpoints and items behave alike on every driver, up
 * to the digest of all that is stored.
 * Method: one history with fixed ids and a fixed clock runs on each driver; every result becomes a
 * line of a transcript, JSON in its canonical form; the transcripts must be equal, line by line. */
#include "store_history.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "history/log.h"
#include "store/assistants.h"
#include "store/checkpoints.h"
#include "store/crons.h"
#include "store/runs.h"
#include "store/threads.h"

static struct history *present;
static int64_t fixed_wall_us(void) { return INT64_C(1764000000000000) + 1000 * present->ticks; }

static struct id id_at(int n) {
    struct id id = {{0x01, 0x9a, 0xbc, 0xde, 0xf0, 0x12, 0x70, 0, 0x80}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

void line(struct history *h, const char *format, ...) {
    char bytes[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(bytes, sizeof(bytes), format, args);
    va_end(args);
    buf_z(&h->text, bytes);
    buf_char(&h->text, '\n');
}

/* JSON in its canonical form, other texts as they are. */
str plain(struct history *h, str s) {
    yyjson_val *root;
    if (!s.p)
        return STR("(null)");
    if (s.len > 0 && (s.p[0] == '{' || s.p[0] == '[') && json_parse(h->a, s, &root, NULL) == 0)
        return json_canonical(h->a, root);
    return s;
}
static void write_assistant(struct history *h, const struct assistant *x) {
    line(h, "  assistant %.*s %.*s %.*s %.*s %.*s %.*s %.*s %.*s v%lld %lld %lld", ID(x->id),
         P(x->owner), P(x->graph_id), P(x->name), P(x->description), P(x->config), P(x->context),
         P(x->metadata), (long long)x->version, (long long)x->created_at, (long long)x->updated_at);
}

static void write_thread(struct history *h, const struct thread *x) {
    line(h, "  thread %.*s %.*s %d %.*s %.*s %.*s %.*s seq %lld cp %.*s %lld %lld %lld", ID(x->id),
         P(x->owner), (int)x->status, P(x->metadata), P(x->config), P(x->interrupts), P(x->error),
         (long long)x->seq, ID(x->checkpoint_id), (long long)x->created_at,
         (long long)x->updated_at, (long long)x->state_updated_at);
}

static void write_run(struct history *h, const struct run *x) {
    line(h, "  run %.*s %.*s %.*s %d %.*s %.*s %.*s a%lld f%lld %.*s %.*s %lld %lld", ID(x->id),
         ID(x->thread_id), ID(x->assistant_id), (int)x->status, P(x->metadata), P(x->kwargs),
         P(x->multitask_strategy), (long long)x->attempt, (long long)x->first_seq,
         P(x->cancel_reason), P(x->error), (long long)x->created_at, (long long)x->updated_at);
}

/* --- assistants --- */

static void versions(struct history *h, const struct assistant_patch *patch) {
    struct assistant out = {0}, *list;
    size_t count;
    struct page page = {10, 0, SORT_DESC};
    CALL("versions", assistant_versions(&h->store, &ANNA, id_at(1), STR_NULL, &page, h->a, &list,
                                        &count, &h->err));
    for (size_t i = 0; i < count; i++)
        write_assistant(h, &list[i]);
    CALL("an old version",
         assistant_set_latest(&h->store, &ANNA, id_at(1), 1, h->a, &out, &h->err));
    write_assistant(h, &out);
    CALL("no version", assistant_set_latest(&h->store, &ANNA, id_at(1), 9, h->a, &out, &h->err));
    CALL("update it", assistant_update(&h->store, &ANNA, id_at(1), patch, h->a, &out, &h->err));
    write_assistant(h, &out);
    CALL("versions by metadata",
         assistant_versions(&h->store, &ANNA, id_at(1), STR("{\"team\":\"b\"}"), &page, h->a, &list,
                            &count, &h->err));
    line(h, "  %zu", count);
    struct assistant_default configured = {.graph_id = STR("agent"),
                                           .config = STR("{\"tags\":[\"t\"]}")};
    CALL("configure", assistant_seed_configured(&h->store, &configured, 1, h->a, &h->err));
}

static void assistants(struct history *h) {
    static const char *const graphs[] = {"agent", "other"};
    struct assistant out = {0}, *list;
    size_t count;
    int64_t n = 0;
    CALL("seed", assistant_seed(&h->store, graphs, 2, h->a, &h->err));
    CALL("seed again", assistant_seed(&h->store, graphs, 2, h->a, &h->err));
    struct assistant in = {.id = id_at(1),
                           .graph_id = STR("agent"),
                           .name = STR("Ännchen's"),
                           .config = STR("{\"configurable\":{\"x\":1.50,\"a\":null}}"),
                           .context = STR("{}"),
                           .metadata = STR("{\"team\":\"a\",\"n\":[1,2,{\"k\":\"v\"}]}")};
    for (int i = 0; i < 2; i++) {
        CALL("create", assistant_create(&h->store, &ANNA, &in, false, h->a, &out, &h->err));
        write_assistant(h, &out);
    }
    CALL("create or get", assistant_create(&h->store, &ANNA, &in, true, h->a, &out, &h->err));
    CALL("create or get, another's",
         assistant_create(&h->store, &BERT, &in, true, h->a, &out, &h->err));
    in.id = id_at(2);
    in.name = STR("second");
    in.description = STR("with \"quotes\" and \\ and\nlines");
    CALL("create 2", assistant_create(&h->store, &ANNA, &in, false, h->a, &out, &h->err));
    write_assistant(h, &out);
    struct assistant_patch patch = {.name = STR("renamed"),
                                    .metadata = STR("{\"team\":\"b\",\"more\":{\"deep\":true}}")};
    CALL("update", assistant_update(&h->store, &ANNA, id_at(1), &patch, h->a, &out, &h->err));
    write_assistant(h, &out);
    versions(h, &patch);
    CALL("update, another's",
         assistant_update(&h->store, &BERT, id_at(1), &patch, h->a, &out, &h->err));
    CALL("get, another's", assistant_get(&h->store, &BERT, id_at(1), h->a, &out, &h->err));
    CALL("get the server's",
         assistant_get(&h->store, &BERT, assistant_id_of_graph(STR("agent")), h->a, &out, &h->err));
    write_assistant(h, &out);
    for (int sort = 0; sort <= ASSISTANT_BY_GRAPH; sort++)
        for (int order = 0; order < 2; order++) {
            struct assistant_filter filter = {.sort = (enum assistant_sort)sort};
            struct page page = {10, 0, (enum sort_order)order};
            CALL("search", assistant_search(&h->store, order ? &ANNA : &ALL, &filter, &page, h->a,
                                            &list, &count, &h->err));
            for (size_t i = 0; i < count; i++)
                line(h, "  %.*s", ID(list[i].id));
        }
    struct assistant_filter filter = {.metadata = STR("{\"team\":\"b\"}"), .name = STR("NAM")};
    struct page page = {10, 0, SORT_DESC};
    CALL("search filtered",
         assistant_search(&h->store, &ANNA, &filter, &page, h->a, &list, &count, &h->err));
    line(h, "  %zu", count);
    CALL("count", assistant_count(&h->store, &ANNA, &filter, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
    CALL("delete, another's", assistant_delete(&h->store, &BERT, id_at(2), false, h->a, &h->err));
    CALL("delete", assistant_delete(&h->store, &ANNA, id_at(2), true, h->a, &h->err));
}

/* --- crons --- */

static void write_cron(struct history *h, const struct cron *c) {
    line(h, "  cron %.*s %.*s %.*s %.*s %.*s %.*s %lld %d %d %.*s %.*s %lld %lld", ID(c->id),
         ID(c->assistant_id), ID(c->thread_id), P(c->owner), P(c->schedule), P(c->timezone),
         (long long)c->end_us, c->enabled, c->keep, P(c->payload), P(c->metadata),
         (long long)c->next_us, (long long)c->fired_us);
}

static void cron_fired(struct history *h, const struct cron *c, struct id run, str error,
                       int64_t next_us) {
    struct db_batch b;
    db_batch_init(&b, h->a);
    cron_fire_add(&b, c, run, error, next_us, clock_wall_us());
    CALL("fire", db_commit(h->store.db, &b, &h->err));
}

static void cron_lists(struct history *h) {
    struct cron *found;
    size_t count;
    int64_t n = 0;
    for (int sort = 0; sort <= CRON_BY_END; sort++)
        for (int order = 0; order < 2; order++) {
            struct cron_filter any = {.sort = (enum cron_sort)sort};
            struct page page = {10, 0, (enum sort_order)order};
            CALL("search",
                 cron_search(&h->store, &ANNA, &any, &page, h->a, &found, &count, &h->err));
            for (size_t i = 0; i < count; i++)
                line(h, "  %.*s", ID(found[i].id));
        }
    bool off = false;
    struct cron_filter filter = {.enabled = &off};
    CALL("count", cron_count(&h->store, &ANNA, &filter, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
    filter = (struct cron_filter){.thread_id = id_at(11), .metadata = STR("{\"odd\":true}")};
    CALL("count", cron_count(&h->store, &ANNA, &filter, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
    CALL("due",
         cron_list_due(&h->store, clock_wall_us() + 100000, 10, h->a, &found, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        write_cron(h, &found[i]);
    CALL("next", cron_next_due(&h->store, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
}

static void crons(struct history *h) {
    const int64_t now = clock_wall_us();
    struct cron list[4], out;
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        struct cron c = {.id = id_at(60 + (int)i),
                         .assistant_id = id_at(i % 2 ? 1 : 5),
                         .thread_id = i < 2 ? id_at(10 + (int)i) : ID_NIL,
                         .schedule = STR("*/5 * * * *"),
                         .timezone = i ? STR_NULL : STR("Europe/Berlin"),
                         .end_us = i == 1 ? now + 77 : 0,
                         .enabled = i != 2,
                         .keep = i == 3,
                         .payload = STR("{\"input\":{\"x\":1.50},\"stream_mode\":[\"values\"]}"),
                         .metadata = i % 2 ? STR("{\"odd\":true}") : STR("{}"),
                         .next_us = i == 2 ? 0 : now + 1000 * (int64_t)(4 - i)};
        list[i] = c;
        CALL("cron", cron_create(&h->store, i == 3 ? &BERT : &ANNA, &list[i], 3, h->a, &h->err));
    }
    struct cron fourth = list[0];
    fourth.id = id_at(64);
    CALL("one too many", cron_create(&h->store, &ANNA, &fourth, 3, h->a, &h->err));
    CALL("another's", cron_get(&h->store, &BERT, list[0].id, h->a, &out, &h->err));
    CALL("get", cron_get(&h->store, &ANNA, list[0].id, h->a, &out, &h->err));
    struct cron changed = out;
    changed.metadata = STR("{\"new\":[1]}");
    changed.timezone = STR_NULL;
    CALL("change", cron_update(&h->store, &ANNA, &out, &changed, h->a, &h->err));
    CALL("change what is no more", cron_update(&h->store, &ANNA, &out, &changed, h->a, &h->err));
    cron_fired(h, &out, id_at(90), STR_NULL, now + 9000);
    cron_fired(h, &changed, id_at(90), STR_NULL, now + 9000);
    cron_fired(h, &changed, id_at(91), STR_NULL, now + 9000);
    CALL("get", cron_get(&h->store, &ANNA, list[0].id, h->a, &changed, &h->err));
    cron_fired(h, &changed, ID_NIL, STR("why"), 0);
    CALL("delete another's", cron_delete(&h->store, &BERT, list[0].id, h->a, &h->err));
    CALL("delete", cron_delete(&h->store, &ANNA, list[1].id, h->a, &h->err));
    cron_lists(h);
}

/* --- threads --- */

static void threads(struct history *h) {
    struct thread out = {0}, *list;
    size_t count;
    int64_t n = 0;
    for (int i = 0; i < 6; i++) {
        const struct principal *who = i == 5 ? &NOBODY : i == 4 ? &BERT : &ANNA;
        str metadata = arena_printf(h->a, "{\"z\":%d,\"a\":\"%c\",\"é\":\"ü\"}", i, 'a' + i % 3);
        CALL("create", thread_create(&h->store, who, id_at(10 + i), metadata,
                                     STR("{\"configurable\":{}}"), false, h->a, &out, &h->err));
        write_thread(h, &out);
    }
    CALL("again", thread_create(&h->store, &ANNA, id_at(10), STR("{}"), STR("{}"), false, h->a,
                                &out, &h->err));
    CALL("or get", thread_create(&h->store, &ANNA, id_at(10), STR("{}"), STR("{}"), true, h->a,
                                 &out, &h->err));
    write_thread(h, &out);
    CALL("get", thread_get(&h->store, &ANNA, id_at(11), h->a, &out, &h->err));
    write_thread(h, &out);
    CALL("get, another's", thread_get(&h->store, &BERT, id_at(11), h->a, &out, &h->err));
    CALL("get, nobody's", thread_get(&h->store, &NOBODY, id_at(11), h->a, &out, &h->err));
    CALL("get, all", thread_get(&h->store, &ALL, id_at(11), h->a, &out, &h->err));
    CALL("patch",
         thread_patch(&h->store, &ANNA, id_at(11), STR("{\"a\":{\"b\":[null]},\"n\":-0.5}"), NULL,
                      h->a, &out, &h->err));
    write_thread(h, &out);
    for (int sort = 0; sort <= THREAD_BY_STATUS; sort++)
        for (int order = 0; order < 2; order++) {
            struct thread_filter filter = {.sort = (enum thread_sort)sort};
            struct page page = {3, order, (enum sort_order)order};
            CALL("search", thread_search(&h->store, order ? &BERT : &ANNA, &filter, &page, h->a,
                                         &list, &count, &h->err));
            for (size_t i = 0; i < count; i++)
                line(h, "  %.*s", ID(list[i].id));
        }
    const struct id some[] = {id_at(12), id_at(14), id_at(99)};
    struct thread_filter filter = {.ids = some, .id_count = 3, .metadata = STR("{\"é\":\"ü\"}")};
    struct page page = {10, 0, SORT_DESC};
    CALL("search ids",
         thread_search(&h->store, &ANNA, &filter, &page, h->a, &list, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        write_thread(h, &list[i]);
    CALL("count ids", thread_count(&h->store, &ANNA, &filter, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
    struct thread_filter meta = {.metadata = STR("{\"a\":\"a\"}")};
    CALL("count", thread_count(&h->store, &ANNA, &meta, h->a, &n, &h->err));
    line(h, "  %lld", (long long)n);
    CALL("delete, another's", thread_delete(&h->store, &BERT, id_at(13), h->a, &h->err));
    CALL("delete", thread_delete(&h->store, &ANNA, id_at(13), h->a, &h->err));
    CALL("delete again", thread_delete(&h->store, &ANNA, id_at(13), h->a, &h->err));
}

/* --- runs with their log and checkpoints --- */

static void log_some(struct history *h, int thread, int count, struct id run) {
    struct db_batch b;
    db_batch_init(&b, h->a);
    struct log_entry entries[8];
    for (int i = 0; i < count; i++)
        entries[i] =
            (struct log_entry){.run_id = run,
                               .kind = i == 0 ? LOG_START : LOG_FRAGMENTS,
                               .at = clock_wall_us(),
                               .data = arena_printf(h->a, "{ \"b\": %d,\"t\":\"ü\\u00e9\"}", i)};
    size_t op = log_append_add(&b, id_at(thread), entries, (size_t)count, NULL);
    CALL("append", db_commit(h->store.db, &b, &h->err));
    line(h, "  last %lld", b.failed_at == SIZE_MAX ? (long long)log_last_seq(&b, op) : -1LL);
}

/* A task's entry shares its text with the segment of its batch: it is whole again when it is read,
 * and an error when the segment is gone and the entry is not. */
static void log_shares(struct history *h) {
    struct db_batch b;
    struct log_entry *read;
    size_t count = 0;
    char long_text[400];
    memset(long_text, 'x', sizeof(long_text));
    str item = arena_printf(h->a, "{\"content\":\"ü%.*s\"}", (int)sizeof(long_text), long_text);
    struct log_entry entries[] = {
        {.run_id = id_at(51),
         .kind = LOG_TASK,
         .data = arena_printf(h->a, "{\"result\":[%s],\"n\":1}", item.p)},
        {.run_id = id_at(51), .kind = LOG_TASK, .data = STR("{\"result\":[]}")},
        {.run_id = id_at(51), .kind = LOG_FRAGMENTS, .data = item}};
    int64_t seq = 0;
    for (int list = 77; list < 79; list++) {
        db_batch_init(&b, h->a);
        if (list == 77) {
            checkpoint_segment_add(&b, id_at(12), 1, 0, 1, item); /* another thread's */
            checkpoint_segment_add(&b, id_at(10), list, 4, 1, item);
        }
        size_t op = log_append_add(&b, id_at(10), entries, ARRAY_COUNT(entries), NULL);
        CALL("append", db_commit(h->store.db, &b, &h->err));
        seq = b.failed_at == SIZE_MAX ? log_last_seq(&b, op) : 0;
        CALL("shared", log_read(&h->store, id_at(10), seq - 3, 10, h->a, &read, &count, &h->err));
        for (size_t i = 0; i < count; i++)
            line(h, "  " STR_FMT, STR_ARG(read[i].data));
        for (size_t i = 0; i < count && h->err.code == 0; i++)
            if (!str_eq(read[i].data, entries[i].data))
                fixture_fail(h->f, "entry %zu: %s", i, read[i].data.p);
    }
    struct log_entry loose = {
        .run_id = id_at(51), .kind = LOG_TASK, .data = STR("@78 0 1 {}")}; /* there is none */
    db_batch_init(&b, h->a);
    log_append_add(&b, id_at(12), &loose, 1, NULL);
    CALL("append", db_commit(h->store.db, &b, &h->err));
    CALL("lost", log_read(&h->store, id_at(12), 0, 10, h->a, &read, &count, &h->err));
}

static struct run_hold hold_of(int run, int64_t attempt) {
    return (struct run_hold){id_at(10), id_at(run), attempt, id_at(900)};
}

static void checkpoint_some(struct history *h, int n, struct id run) {
    struct db_batch b;
    db_batch_init(&b, h->a);
    str value = arena_printf(h->a, "{\"b\":%d,  \"a\":1}", n);
    str hash = checkpoint_hash(h->a, value);
    struct checkpoint c = {
        .thread_id = id_at(10),
        .id = id_at(100 + n),
        .parent_id = n ? id_at(99 + n) : ID_NIL,
        .run_id = run,
        .name_space = STR(""),
        .step = n - 1,
        .source = n ? STR("loop") : STR("input"),
        .channels = arena_printf(h->a, "{\"v\":{\"h\":\"" STR_FMT "\"},\"m\":{\"l\":1,\"n\":%d}}",
                                 STR_ARG(hash), 2 * n + 2),
        .next = STR("[\"model\"]"),
        .tasks = STR("[]"),
        .metadata = arena_printf(h->a, "{\"step\":%d}", n - 1),
        .created_at = clock_wall_us()};
    checkpoint_value_add(&b, c.thread_id, hash, value);
    checkpoint_value_add(&b, c.thread_id, hash, value);
    checkpoint_segment_add(&b, c.thread_id, 1, 2 * n, 2, STR("{\"m\": \"ü\"},{\"m\":2}"));
    checkpoint_add(&b, &c);
    struct run_hold hold = hold_of(50, 1);
    size_t op = thread_checkpoint_add(&b, &hold, c.id, 0, clock_wall_us());
    CALL("checkpoint", db_commit(h->store.db, &b, &h->err));
    if (b.failed_at == SIZE_MAX)
        line(h, "  seq %lld", (long long)db_int(&b.ops[op].rows, 0, 0));
}

static void begin(struct history *h, int run, int64_t attempt) {
    struct run_hold hold = hold_of(run, run_next_attempt(attempt));
    struct db_batch b;
    struct run row = {0};
    int64_t now_us = clock_wall_us();
    CALL("get", run_get(&h->store, &ANNA, id_at(10), id_at(run), h->a, &row, &h->err));
    db_batch_init(&b, h->a);
    thread_begin_add(&b, &hold, row.created_at, ID_NIL, NULL, ID_NIL, 0, now_us);
    run_claim_add(&b, &hold, attempt, now_us);
    CALL("begin", db_commit(h->store.db, &b, &h->err));
    line(h, "  failed at %lld", b.failed_at == SIZE_MAX ? -1LL : (long long)b.failed_at);
}

static void runs(struct history *h) {
    struct run_context ctx;
    struct run out, *list;
    struct thread thread;
    size_t count;
    struct run_context_key key = {id_at(1), id_at(10), id_at(50), clock_wall_us()};
    CALL("context", run_context_read(&h->store, &ANNA, &key, h->a, &ctx, &h->err));
    line(h, "  %d %d %.*s %d", ctx.has_assistant, ctx.has_thread, ID(ctx.slot_run), ctx.has_older);
    write_assistant(h, &ctx.assistant);
    write_thread(h, &ctx.thread);
    CALL("context, another's", run_context_read(&h->store, &BERT, &key, h->a, &ctx, &h->err));
    line(h, "  %d %d", ctx.has_assistant, ctx.has_thread);
    for (int i = 0; i < 3; i++) {
        struct db_batch b;
        db_batch_init(&b, h->a);
        struct run run = {.id = id_at(50 + i),
                          .thread_id = id_at(10),
                          .assistant_id = id_at(1),
                          .status = RUN_PENDING,
                          .metadata = STR("{\"x\":1}"),
                          .kwargs = STR("{\"input\":{\"messages\":[ ]}}"),
                          .multitask_strategy = STR("enqueue"),
                          .created_at = clock_wall_us()};
        run_insert_add(&b, &run, id_at(900));
        CALL("insert", db_commit(h->store.db, &b, &h->err));
    }
    CALL("get", run_get(&h->store, &ANNA, id_at(10), id_at(50), h->a, &out, &h->err));
    write_run(h, &out);
    CALL("get, another's", run_get(&h->store, &BERT, id_at(10), id_at(50), h->a, &out, &h->err));
    begin(h, 50, 0);
    begin(h, 51, 0); /* the thread is taken */
    begin(h, 50, 0); /* that attempt is spent */
    log_some(h, 10, 3, id_at(50));
    log_some(h, 77, 1, id_at(50));
    checkpoint_some(h, 0, id_at(50));
    checkpoint_some(h, 1, id_at(50));
    checkpoint_some(h, 1, id_at(50));
    log_some(h, 10, 2, id_at(51));
    struct page page = {10, 0, SORT_DESC};
    CALL("list", run_list(&h->store, &ANNA, id_at(10), NULL, &page, h->a, &list, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        write_run(h, &list[i]);
    CALL("thread", thread_get(&h->store, &ANNA, id_at(10), h->a, &thread, &h->err));
    write_thread(h, &thread);
    key.run_id = id_at(52);
    CALL("context, taken", run_context_read(&h->store, &ANNA, &key, h->a, &ctx, &h->err));
    line(h, "  %.*s %d", ID(ctx.slot_run), ctx.has_older);
    CALL("delete, live", run_delete(&h->store, &ANNA, id_at(10), id_at(50), h->a, &h->err));
}

/* Threads that are made with the run that has them, several by one batch: as if the thread had been
 * made, then the run, then the run had begun. */
static int first_some(struct history *h, const struct principal *who, int from, int count,
                      struct id checkpoint) {
    struct db_batch b;
    size_t ops[4];
    db_batch_init(&b, h->a);
    for (int i = 0; i < count; i++) {
        struct thread_new t = {.id = id_at(from + i),
                               .metadata = STR("{\"owner\":\"carl\",\"a\":[1]}"),
                               .config = STR("{\"configurable\":{\"k\":1}}"),
                               .ttl = {i == 1 ? INT64_C(3600000000) : 0, PRUNE_DELETE}};
        struct run run = {.id = id_at(from + 10 + i),
                          .thread_id = t.id,
                          .assistant_id = id_at(i == 2 ? 999 : 1),
                          .metadata = STR("{\"x\":1}"),
                          .kwargs = STR("{\"input\":{\"messages\":[ ]}}"),
                          .multitask_strategy = STR("reject"),
                          .attempt = 1,
                          .created_at = clock_wall_us()};
        struct run_first f = {who, &t, &run, id_at(900), checkpoint};
        ops[i] = run_first_add(&h->store, &b, &f, 2 + i, clock_wall_us());
    }
    int rc = db_commit(h->store.db, &b, &h->err);
    for (int i = 0; rc == 0 && i < count; i++)
        line(h, "  last %lld", (long long)db_int(&b.ops[ops[i]].rows, 0, 0));
    return rc;
}

static void firsts(struct history *h) {
    struct run_context ctx;
    struct thread thread;
    struct run run;
    CALL("first", first_some(h, &ANNA, 230, 1, ID_NIL));
    CALL("first, nobody's", first_some(h, &NOBODY, 231, 1, id_at(77)));
    CALL("firsts", first_some(h, &ANNA, 232, 3, ID_NIL));
    CALL("first, taken", first_some(h, &BERT, 230, 1, ID_NIL));
    CALL("firsts, one taken", first_some(h, &BERT, 234, 3, ID_NIL));
    for (int i = 230; i < 237; i++) {
        struct run_context_key key = {id_at(1), id_at(i), id_at(i + 10), clock_wall_us()};
        CALL("thread", thread_get(&h->store, &ALL, id_at(i), h->a, &thread, &h->err));
        if (i < 235)
            write_thread(h, &thread);
        CALL("run", run_get(&h->store, &ALL, id_at(i), id_at(i + 10), h->a, &run, &h->err));
        if (i < 235)
            write_run(h, &run);
        CALL("context", run_context_read(&h->store, &ALL, &key, h->a, &ctx, &h->err));
        line(h, "  %.*s %.*s %d", ID(ctx.slot_run), ID(ctx.head), ctx.has_thread);
    }
}

/* The end of a run, of one that is fenced, and of one that goes away with all it left. */
static void ends(struct history *h) {
    struct thread thread;
    struct run *list;
    size_t count;
    struct page page = {10, 0, SORT_DESC};
    for (int64_t attempt = 2; attempt >= 1; attempt--) {
        struct run_hold hold = hold_of(50, attempt);
        struct db_batch b;
        db_batch_init(&b, h->a);
        thread_settle_add(&b, &hold, THREAD_IDLE, STR("{}"), STR_NULL, ID_NIL, 0, clock_wall_us());
        run_finish_add(&b, id_at(50), attempt, RUN_SUCCESS, STR_NULL, STR_NULL, clock_wall_us());
        CALL("settle", db_commit(h->store.db, &b, &h->err));
    }
    begin(h, 51, 0);
    struct db_batch b;
    db_batch_init(&b, h->a);
    run_rollback_add(&h->store, &b, id_at(10), id_at(52));
    CALL("rollback", db_commit(h->store.db, &b, &h->err));
    CALL("list", run_list(&h->store, &ANNA, id_at(10), NULL, &page, h->a, &list, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        write_run(h, &list[i]);
    CALL("thread", thread_get(&h->store, &ANNA, id_at(10), h->a, &thread, &h->err));
    write_thread(h, &thread);
}

/* --- runs that take their thread as they are made, and leave it with their end --- */

struct whole {
    struct history *h;
    int run, thread;
    int64_t attempt; /* 0: it begins, as the first one; else that attempt ends */
    struct id head;
    bool gone; /* with its thread */
    int code;
    int64_t seq;
};

static size_t whole_begin_add(struct whole *w, struct db_batch *b, const struct run_hold *hold) {
    const struct thread_merge merge = {.read = STR("{}"),
                                       .metadata = STR("{\"u\":1,\"o\":2}"),
                                       .under = STR("{\"u\":1}"),
                                       .over = STR("{\"o\":2}"),
                                       .config = STR("{\"tags\":[1]}")};
    struct run run = {.id = hold->run_id,
                      .thread_id = hold->thread_id,
                      .assistant_id = id_at(1),
                      .status = RUN_RUNNING,
                      .metadata = STR("{\"x\":1}"),
                      .kwargs = STR("{\"input\":null}"),
                      .multitask_strategy = STR("reject"),
                      .attempt = 1,
                      .created_at = clock_wall_us() + w->run};
    if (run_begins_whole(&w->h->store))
        return run_begin_add(b, &run, hold, w->head, &merge, id_at(300), 2, run.created_at);
    run_insert_add(b, &run, hold->worker);
    return thread_begin_add(b, hold, run.created_at, w->head, &merge, id_at(300), 2,
                            run.created_at);
}

static size_t whole_end_add(struct whole *w, struct db_batch *b, const struct run_hold *hold) {
    struct run_end end = {RUN_ERROR, STR("{\"e\":1}"), STR("late")};
    str interrupts = STR("{\"i\":[]}");
    int64_t now_us = clock_wall_us();
    if (run_begins_whole(&w->h->store))
        return run_settle_add(b, hold, &end, THREAD_ERROR, interrupts, end.error, id_at(301), 3,
                              now_us);
    run_finish_add(b, hold->run_id, hold->attempt, end.status, end.error, end.cancel_reason,
                   now_us);
    return thread_settle_add(b, hold, THREAD_ERROR, interrupts, end.error, id_at(301), 3, now_us);
}

static void whole_commit(void *arg) {
    struct whole *w = arg;
    struct run_hold hold = {id_at(w->thread), id_at(w->run), w->attempt ? w->attempt : 1,
                            id_at(900)};
    struct db_batch b;
    struct arena a;
    arena_init(&a, 1 << 20);
    db_batch_init(&b, &a);
    size_t op = 0;
    if (w->gone)
        thread_delete_held_add(&w->h->store, &b, &hold);
    else
        op = w->attempt ? whole_end_add(w, &b, &hold) : whole_begin_add(w, &b, &hold);
    w->code = db_commit(w->h->store.db, &b, NULL);
    w->seq = w->code == 0 && !w->gone ? db_int(&b.ops[op].rows, 0, 0) : 0;
    arena_deinit(&a);
}

static void whole_show(struct history *h, const struct whole *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct thread thread = {0};
        struct run run = {0};
        line(h, "run %d: %s, seq %lld", list[i].run, err_name(list[i].code),
             (long long)list[i].seq);
        CALL("run", run_get(&h->store, &ANNA, ID_NIL, id_at(list[i].run), h->a, &run, &h->err));
        write_run(h, &run);
        CALL("thread", thread_get(&h->store, &ANNA, id_at(list[i].thread), h->a, &thread, &h->err));
        write_thread(h, &thread);
    }
}

static void whole_runs(struct history *h, struct rt *rt) {
    struct whole alone[] = {
        {.run = 60, .thread = 20},
        {.run = 61, .thread = 20},               /* the thread is taken */
        {.run = 60, .thread = 20, .attempt = 2}, /* not that attempt */
        {.run = 60, .thread = 20, .attempt = 1}, /* another one waits then */
        {.run = 63, .thread = 20},               /* … before this one */
        {.run = 65, .thread = 21, .head = id_at(5)},
    };
    struct id newest = id_at(301); /* after an end */
    struct whole begins[] = {{.run = 70, .thread = 20},
                             {.run = 71, .thread = 21},
                             {.run = 72, .thread = 22},
                             {.run = 73, .thread = 23}};
    struct whole ends[] = {{.run = 71, .thread = 21, .attempt = 1},
                           {.run = 72, .thread = 22, .attempt = 9},
                           {.run = 73, .thread = 23, .attempt = 1}};
    struct whole more[] = {{.run = 80, .thread = 21, .head = newest},
                           {.run = 81, .thread = 23, .head = newest}};
    struct whole gone[] = {{.run = 72, .thread = 22, .attempt = 9, .gone = true},
                           {.run = 80, .thread = 21, .attempt = 1, .gone = true},
                           {.run = 81, .thread = 23, .attempt = 1, .gone = true},
                           {.run = 60, .thread = 20, .attempt = 1, .gone = true}};
    struct whole *groups[] = {begins, ends, more, gone};
    size_t counts[] = {ARRAY_COUNT(begins), ARRAY_COUNT(ends), ARRAY_COUNT(more),
                       ARRAY_COUNT(gone)};
    struct thread made;
    for (int t = 20; t < 24; t++)
        CALL("thread", thread_create(&h->store, &ANNA, id_at(t), STR("{\"t\":1,\"u\":2}"),
                                     STR("{}"), false, h->a, &made, &h->err));
    for (size_t i = 0; i < ARRAY_COUNT(alone); i++) {
        struct run waits = {.id = id_at(62),
                            .thread_id = id_at(20),
                            .assistant_id = id_at(1),
                            .metadata = STR("{}"),
                            .kwargs = STR("{}"),
                            .multitask_strategy = STR("enqueue"),
                            .created_at = clock_wall_us()};
        struct db_batch b;
        db_batch_init(&b, h->a);
        run_insert_add(&b, &waits, id_at(900));
        if (i == 3)
            CALL("insert", db_commit(h->store.db, &b, &h->err));
        alone[i].h = h;
        whole_commit(&alone[i]);
        whole_show(h, &alone[i], 1);
    }
    for (size_t i = 0; i < ARRAY_COUNT(groups); i++) {
        size_t count = counts[i];
        struct fiber_group g;
        fiber_group_init(&g);
        for (size_t k = 0; k < count; k++) {
            groups[i][k].h = h;
            if (fiber_group_spawn(&g, rt, "run", whole_commit, &groups[i][k], &h->err) < 0)
                fixture_fail(h->f, "spawn: %s", h->err.message);
        }
        fiber_group_wait(&g);
        whole_show(h, groups[i], count);
    }
}

static void log_and_states(struct history *h) {
    struct log_entry *entries;
    struct checkpoint c = {0}, *list;
    size_t count;
    int64_t start = -1;
    CALL("log", log_read(&h->store, id_at(10), 1, 10, h->a, &entries, &count, &h->err));
    for (size_t i = 0; i < count; i++)
        line(h, "  %lld %.*s %d %lld " STR_FMT, (long long)entries[i].seq, ID(entries[i].run_id),
             (int)entries[i].kind, (long long)entries[i].at, STR_ARG(entries[i].data));
    CALL("start", log_last_start(&h->store, id_at(10), 5, h->a, &start, &h->err));
    line(h, "  %lld", (long long)start);
    CALL("newest", checkpoint_get(&h->store, id_at(10), STR(""), ID_NIL, h->a, &c, &h->err));
    line(h, "  %.*s %.*s %.*s %d %.*s %.*s %.*s %.*s %.*s", ID(c.id), ID(c.parent_id), ID(c.run_id),
         c.step, P(c.source), P(c.channels), P(c.next), P(c.tasks), P(c.metadata));
    CALL("values", checkpoint_load_values(&h->store, &c, h->a, &h->err));
    if (c.values)
        line(h, "  %.*s", P(checkpoint_values_json(h->a, &c)));
    CALL("missing", checkpoint_get(&h->store, id_at(10), STR(""), id_at(222), h->a, &c, &h->err));
    CALL("page", checkpoint_list(&h->store, id_at(10), STR(""), ID_NIL, STR("{\"step\":-1}"), 10,
                                 h->a, &list, &count, &h->err));
    line(h, "  %zu", count);
    CALL("page before", checkpoint_list(&h->store, id_at(10), STR(""), id_at(101), STR_NULL, 10,
                                        h->a, &list, &count, &h->err));
    line(h, "  %zu", count);
    log_shares(h);
}

/* --- the same everywhere --- */

static struct buf first; /* of the first driver */

static void compare(struct fixture *f, const struct buf *text) {
    if (first.len == 0) {
        buf_str(&first, buf_view(text));
        return;
    }
    str a = buf_view(&first), b = buf_view(text), line_a, line_b;
    for (int number = 1; str_split_next(&a, '\n', &line_a); number++) {
        CHECK(str_split_next(&b, '\n', &line_b));
        CHECK_THAT(str_eq(line_a, line_b), "line %d:\n%.*s\nnot as on the first driver\n%.*s",
                   number, STR_ARG(line_b), STR_ARG(line_a));
    }
}

static void same_history(struct fixture *f) {
    char digest[DB_DIGEST_LEN + 1];
    struct history h = {.f = f, .store = {.db = f->db}, .a = &f->arena};
    buf_init(&h.text, 16 << 20);
    present = &h;
    clock_set_source(fixed_wall_us, NULL);
    assistants(&h);
    crons(&h);
    threads(&h);
    runs(&h);
    firsts(&h);
    log_and_states(&h);
    ends(&h);
    whole_runs(&h, f->rt);
    store_items(&h);
    clock_set_source(NULL, NULL);
    if (db_digest(f->db, digest, &h.err) == 0)
        line(&h, "digest %s", digest);
    else
        fixture_fail(f, "digest: %s", h.err.message);
    if (getenv("HF_TEST_VERBOSE"))
        (void)fwrite(h.text.p, 1, h.text.len, stdout);
    compare(f, &h.text);
    buf_deinit(&h.text);
}

static void test_sqlite_memory(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.in_memory = true}, same_history);
}
static void test_sqlite_file_behind_fault(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.behind_fault = true}, same_history);
}
static void test_postgres(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.postgres = true}, same_history);
}
static void test_postgres_behind_fault(void **state) {
    (void)state;
    fixture_run((struct fixture_kind){.postgres = true, .behind_fault = true}, same_history);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite_memory),
        cmocka_unit_test(test_sqlite_file_behind_fault),
        cmocka_unit_test(test_postgres),
        cmocka_unit_test(test_postgres_behind_fault),
    };
    buf_init(&first, 16 << 20);
    int failed = cmocka_run_group_tests_name("store", tests, NULL, NULL);
    buf_deinit(&first);
    return failed;
}
