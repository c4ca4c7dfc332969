/* SPDX-License-Identifier: Apache-2.0 */
/* checks.c - what must be true once calm has come.
 *
 *  - every accepted run reaches its end within a lease and 5 s (and the time that runs take)
 *  - a thread is not busy without a live run, and nobody has it; its log has no gap and no number
 *    twice; its runs execute one after the other, and write only while they do
 *  - what was acknowledged is there; a run that nobody stopped ended as its graph does, one that
 *    somebody did as that or interrupted, and it is gone only when it was to be rolled back
 *  - no task was applied twice or lost: `count` is the number of counting tasks whose step was
 *    committed; of a run that was rolled back neither the state nor the log has any
 *  - what a thread asks stands in its row until it is answered, and an answer that was given while
 *    it did is taken; no answer is taken twice
 *  - a stream that was cut and resumed, anywhere, equals the log's replay; the words of messages
 *    under way only in peaceful worlds */
#include "sim.h"

#include <string.h>

#define LIVE_MAX 1000

static struct store *store_of(struct sim_world *w) { return &w->current[0]->store; }

static void settle_failed(struct sim_world *w, const struct err *err) {
    sim_wrong(w, "in calm it cannot be seen which runs are live: %s", err->message);
}

/* Also those that no client was told of, because the answer to their acceptance was lost: they are
 * executed like any other, so a world that has only the others behind it still has a thread that is
 * busy, and is right to. */
static size_t live_runs(struct sim_world *w) {
    size_t count = 0;
    struct err err = {0};
    for (size_t i = 0; i < SIM_THREADS; i++) {
        struct id *ids;
        size_t live_count = 0;
        struct arena a;
        arena_init(&a, SIZE_MAX / 2);
        if (run_live_ids(store_of(w), w->threads[i].id, LIVE_MAX, &a, &ids, &live_count, &err) < 0)
            settle_failed(w, &err);
        count += live_count;
        arena_deinit(&a);
    }
    return count;
}

/* Of threads that were made for plans, by crons or as copies: a client that was not told does not
 * know where it is. */
static size_t live_elsewhere(struct sim_world *w) {
    struct id *ids;
    size_t count = 0;
    struct arena a;
    struct err err = {0};
    if (!w->planning && !w->firing && !w->sweeping && !w->stateless)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    if (run_live_list(store_of(w), &w->who, ID_NIL, NULL, ID_NIL, LIVE_MAX, &a, &ids, &count,
                      &err) < 0)
        settle_failed(w, &err);
    arena_deinit(&a);
    return count;
}

void sim_settle(struct sim_world *w) {
    size_t left;
    int64_t begun_us = rt_mono_us(w->rt);
    while ((left = live_runs(w)) > 0 || (left = live_elsewhere(w)) > 0) {
        if (rt_mono_us(w->rt) - begun_us > SIM_SETTLE_US) {
            sim_wrong(w, "%zu runs have not ended %d s after the last call", left,
                      SIM_SETTLE_US / 1000000);
            return;
        }
        fiber_sleep_shielded_us(200000);
    }
    sim_note(w, "settled");
}

/* --- questions --- */

static bool asks(struct sim_world *w, const struct sim_thread *t) {
    struct thread row;
    struct err err = {0};
    if (thread_get(store_of(w), &w->who, t->id, &w->arena, &row, &err) < 0) {
        sim_wrong(w, "a thread is gone: %s", err.message);
        return false;
    }
    bool question = str_find(row.interrupts, STR("\"question\"")) >= 0;
    if (question != (row.status == THREAD_INTERRUPTED) && !t->rolled_back && !t->interrupted)
        sim_wrong(w, "a thread is " STR_FMT " and asks " STR_FMT,
                  STR_ARG(thread_status_name(row.status)), STR_ARG(row.interrupts));
    return question;
}

/* How often the number stands in the thread's answers. */
static int times_taken(struct sim_world *w, const struct sim_thread *t, int64_t number) {
    str values;
    yyjson_val *root, *item;
    size_t i, n;
    int times = 0;
    if (checkpoint_head_values(store_of(w), t->id, &w->arena, &values, NULL) < 0 || !values.p ||
        json_parse(&w->arena, values, &root, NULL) < 0)
        return 0;
    yyjson_arr_foreach(json_get(root, "answers"), i, n, item) times +=
        yyjson_get_sint(item) == number;
    return times;
}

/* A server that has lost its lease takes nothing until it has a new one: another one is asked, as
 * clients do, then all of them again. */
static bool answer_is_accepted(struct sim_world *w, struct sim_thread *t) {
    int64_t begun_us = rt_mono_us(w->rt);
    while (rt_mono_us(w->rt) - begun_us < SIM_LEASE_US + 5000000) {
        for (size_t i = 0; i < SIM_SERVERS; i++) {
            int rc = sim_answer(w, w->current[i], t);
            if (rc != ERR_UNAVAILABLE)
                return rc == 0;
            w->answers--; /* in calm, refused means that nothing was written */
        }
        fiber_sleep_shielded_us(500000);
    }
    return false;
}

/* A graph asks twice at most. */
void sim_answer_all(struct sim_world *w) {
    struct sim_thread *t = &w->threads[SIM_THREADS - 1];
    int64_t before = w->answers;
    for (int i = 0; w->why.len == 0 && i < 2 && asks(w, t); i++) {
        if (!answer_is_accepted(w, t))
            sim_wrong(w, "an answer was refused in calm");
        sim_settle(w);
    }
    if (w->why.len == 0 && asks(w, t))
        sim_wrong(w, "a thread asks what was answered");
    for (int64_t n = 1; w->why.len == 0 && n <= w->answers; n++) {
        int times = times_taken(w, t, n);
        w->taken += times;
        if (times > 1 || (n > before && times == 0))
            sim_wrong(w, "answer %lld was taken %d times", (long long)n, times);
    }
}

/* --- threads --- */

struct log_walk {
    int64_t seq, counted, open; /* open: counting tasks whose step is not committed yet */
    struct id running;
};

static void walk_entry(struct sim_world *w, const struct sim_thread *t, struct log_walk *walk,
                       const struct log_entry *e) {
    bool gaps = t->rolled_back || w->sweeping;
    if (e->seq != walk->seq + 1 && !(gaps && e->seq > walk->seq))
        sim_wrong(w, "a log goes from %lld to %lld", (long long)walk->seq, (long long)e->seq);
    walk->seq = e->seq;
    if ((e->kind == LOG_TASK || e->kind == LOG_CHECKPOINT) && !id_eq(walk->running, e->run_id) &&
        !t->rolled_back)
        sim_wrong(w, "a run writes that does not run, at %lld", (long long)e->seq);
    switch (e->kind) {
    case LOG_START:
        if (!id_is_nil(walk->running) && !id_eq(walk->running, e->run_id) && !t->rolled_back)
            sim_wrong(w, "a run begins while another one runs, at %lld", (long long)e->seq);
        walk->running = e->run_id;
        walk->open = 0;
        break;
    case LOG_END: /* also of a run that has not begun */
        if (id_eq(walk->running, e->run_id))
            walk->running = ID_NIL;
        walk->open = 0;
        break;
    case LOG_TASK:
        walk->open += str_find(e->data, STR("\"result\":{\"count\":")) >= 0;
        break;
    case LOG_CHECKPOINT:
        walk->counted += walk->open;
        walk->open = 0;
        break;
    default:
        break;
    }
}

/* For whoever looks for the cause. */
void sim_describe_log(struct sim_world *w, struct id thread) {
    struct log_entry *log;
    size_t count;
    for (int64_t seq = 0; w->verbose; seq = log[count - 1].seq) {
        if (log_read(store_of(w), thread, seq, LOG_PAGE_MAX, &w->arena, &log, &count, NULL) < 0 ||
            count == 0)
            return;
        for (size_t i = 0; i < count; i++)
            sim_note(w, "%lld, kind %d of run %02x%02x: %.*s", (long long)log[i].seq,
                     (int)log[i].kind, log[i].run_id.b[14], log[i].run_id.b[15],
                     log[i].data.len < 300 ? (int)log[i].data.len : 300, log[i].data.p);
    }
}

static int64_t count_of(struct sim_world *w, struct id thread) {
    str values;
    struct err err = {0};
    yyjson_val *root;
    if (checkpoint_head_values(store_of(w), thread, &w->arena, &values, &err) < 0) {
        sim_wrong(w, "a state cannot be read: %s", err.message);
        return -1;
    }
    if (!values.p)
        return 0;
    if (json_parse(&w->arena, values, &root, &err) < 0)
        return -1;
    return yyjson_get_sint(json_get(root, "count"));
}

void sim_check_thread(struct sim_world *w, const struct sim_thread *t) {
    struct thread row;
    struct err err = {0};
    struct log_walk walk = {0};
    struct log_entry *log;
    size_t count;
    if (thread_get(store_of(w), &w->who, t->id, &w->arena, &row, &err) < 0) {
        sim_wrong(w, "a thread is gone: %s", err.message);
        return;
    }
    if (row.status == THREAD_BUSY)
        sim_wrong(w, "a thread is busy without a live run");
    do {
        if (log_read(store_of(w), t->id, walk.seq, LOG_PAGE_MAX, &w->arena, &log, &count, &err) <
            0) {
            sim_wrong(w, "a log cannot be read: %s", err.message);
            return;
        }
        for (size_t i = 0; i < count; i++)
            walk_entry(w, t, &walk, &log[i]);
    } while (count);
    if (row.seq != walk.seq && !t->rolled_back && !w->sweeping)
        sim_wrong(w, "a thread counts %lld, its log ends at %lld", (long long)row.seq,
                  (long long)walk.seq);
    struct sim_held *held = sim_held(w, t->id);
    if (!id_is_nil(held->hold.run_id))
        sim_wrong(w, "a run has a thread still");
    if (row.seq != held->entries)
        sim_wrong(w, "a thread counts %lld entries, its log was given %lld", (long long)row.seq,
                  (long long)held->entries);
    int64_t state = count_of(w, t->id);
    if (state != walk.counted && !w->sweeping) {
        sim_wrong(w, "%lld tasks are in the state of thread %02x%02x, %lld in the log",
                  (long long)state, t->id.b[14], t->id.b[15], (long long)walk.counted);
        sim_describe_log(w, t->id);
    }
}

/* --- runs --- */

static const struct sim_thread *thread_of(struct sim_world *w, struct id id) {
    for (size_t i = 0; i < SIM_THREADS; i++)
        if (id_eq(w->threads[i].id, id))
            return &w->threads[i];
    UNREACHABLE();
}

static void check_run(struct sim_world *w, const struct sim_run *r) {
    struct run row;
    struct err err = {0};
    const struct sim_thread *t = thread_of(w, r->thread_id);
    bool by_others = r->asked_us <= t->stopped_us; /* some call stopped all that the thread had */
    bool undone = r->undone || (t->rolled_back && by_others);
    bool stopped = r->stopped || (t->interrupted && by_others) || undone;
    int rc = run_get(store_of(w), &w->who, r->thread_id, r->id, &w->arena, &row, &err);
    if (rc < 0) {
        if (rc != ERR_NOT_FOUND || !undone)
            sim_wrong(w, "a run that was accepted: %s", err.message);
        return;
    }
    if (row.status == RUN_INTERRUPTED && stopped)
        return;
    enum run_status wanted = strcmp(r->graph, "fail") == 0 ? RUN_ERROR : RUN_SUCCESS;
    if (row.status == RUN_ERROR && t->asking && str_find(row.error, STR("no input for")) >= 0)
        return; /* an answer before any question */
    if (row.status != wanted)
        sim_wrong(w, "a run of %s that nobody stopped ended as " STR_FMT ": " STR_FMT, r->graph,
                  STR_ARG(run_status_name(row.status)), STR_ARG(row.error));
}

/* --- streams --- */

/* Of a message under way. In a peaceful world every one of them is in the log; else those of a dead
 * attempt were seen and are not, or were stored behind later ones and are not shown again. */
static bool is_word(const struct sim_world *w, const struct sim_frame *f) {
    return !w->peaceful && strchr(f->id, '.') != NULL;
}

/* The next frame that counts; NULL: none. */
static const struct sim_frame *next_frame(const struct sim_world *w, const struct sim_stream *s,
                                          size_t *at) {
    while (*at < s->frames.count && is_word(w, &s->frames.p[*at]))
        ++*at;
    return *at < s->frames.count ? &s->frames.p[(*at)++] : NULL;
}

/* For whoever looks for the cause. */
static void describe_stream(struct sim_world *w, const char *name, const struct sim_stream *s) {
    for (size_t i = 0; w->verbose && i < s->frames.count; i++)
        sim_note(w, "%s has %s: %.200s", name, s->frames.p[i].id, s->frames.p[i].text);
}

static void check_stream(struct sim_world *w, const struct sim_stream *s) {
    struct run row;
    if (!s->complete || w->sweeping ||
        run_get(store_of(w), &w->who, s->thread_id, s->run_id, &w->arena, &row, NULL) < 0)
        return;
    struct sim_stream *whole = NEW(struct sim_stream);
    *whole = (struct sim_stream){.run_id = s->run_id, .thread_id = s->thread_id};
    sim_replay(w->current[0], whole);
    size_t at = 0, whole_at = 0;
    for (;;) {
        const struct sim_frame *want = next_frame(w, whole, &whole_at);
        const struct sim_frame *has = next_frame(w, s, &at);
        if (!want && !has)
            break;
        if (want && has && strcmp(has->id, want->id) == 0 && strcmp(has->text, want->text) == 0)
            continue;
        sim_wrong(w, "a stream lacks %s (%.700s) and has %s (%.700s)", want ? want->id : "nothing",
                  want ? want->text : "", has ? has->id : "nothing", has ? has->text : "");
        describe_stream(w, "the replay", whole);
        describe_stream(w, "the stream", s);
        break;
    }
    sim_stream_free(whole);
}

static bool told_of(const struct sim_world *w, struct id run) {
    for (size_t i = 0; i < w->runs.count; i++)
        if (id_eq(w->runs.p[i].id, run))
            return true;
    return id_is_nil(run);
}

/* For whoever looks for the cause. */
static void describe_run(struct sim_world *w, struct id id) {
    struct run_place p;
    if (run_place_get(store_of(w), id, &w->arena, &p, NULL) < 0)
        return;
    sim_note(w,
             "run %02x%02x of thread %02x%02x: " STR_FMT
             ", attempt %d, worker %02x%02x, the thread is of %02x%02x",
             id.b[14], id.b[15], p.thread_id.b[14], p.thread_id.b[15],
             STR_ARG(run_status_name(p.status)), (int)p.attempt, p.worker.b[14], p.worker.b[15],
             p.slot_run.b[14], p.slot_run.b[15]);
    if (!told_of(w, p.slot_run) && !id_eq(p.slot_run, id))
        describe_run(w, p.slot_run);
}

static void describe(struct sim_world *w) {
    for (size_t i = 0; i < SIM_SERVERS; i++) {
        struct engine_stats s;
        engine_stats(w->current[i]->engine, &s);
        sim_note(w,
                 "server %zu: worker %02x%02x registered %d, running %zu, pending %zu, "
                 "blocked %zu",
                 i, s.worker.b[14], s.worker.b[15], s.registered, s.running, s.pending, s.blocked);
    }
    for (size_t i = 0; i < w->runs.count; i++)
        describe_run(w, w->runs.p[i].id);
}

void sim_check(struct sim_world *w) {
    for (size_t i = 0; i < SIM_THREADS; i++)
        sim_check_thread(w, &w->threads[i]);
    for (size_t i = 0; i < w->runs.count; i++)
        check_run(w, &w->runs.p[i]);
    for (size_t i = 0; i < w->streams.count; i++)
        check_stream(w, w->streams.p[i]);
    if (w->updating)
        sim_check_updates(w);
    if (w->deleting)
        sim_check_gone(w);
    if (w->firing)
        sim_check_crons(w);
    if (w->stateless)
        sim_check_passers(w);
    if (w->sweeping) {
        sim_check_gone(w);
        sim_check_swept(w);
    }
    if (w->planning) {
        sim_check_plans(w);
        if (w->delivering)
            sim_check_received(w);
        else
            sim_check_told(w);
    }
    if (w->why.len && w->verbose)
        describe(w);
}
