/* SPDX-License-Identifier: Apache-2.0 */
/* clients.c - what is asked of the servers: runs in all strategies, answers (also where nothing is
 * asked), cancels, streams that are cut and go on at another server. A call that fails for the
 * database's sake may or may not have happened; whatever it acknowledged must have. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define CALLS_MAX     12
#define STREAM_US_MAX (2 * SIM_SETTLE_US)
#define ALL_MODES     0x1ffu
#define INPUT         "\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define MODES \
    "\"stream_mode\":[\"values\",\"updates\",\"messages-tuple\",\"tasks\",\"custom\"]"

static const char *const strategies[] = {"enqueue", "enqueue", "reject", "interrupt", "rollback"};

/* --- streams --- */

struct following {
    struct sim_stream *stream;
    bool finished, cut;
    size_t left; /* frames until the connection is cut */
};

static char *dup_text(str s) {
    char *z = mem_zalloc(s.len + 1);
    if (s.len)
        memcpy(z, s.p, s.len);
    return z;
}

static bool on_frame(void *ctx, str event, str data, str id) {
    struct following *f = ctx;
    if (!id.p) /* the server says that it goes: no part of the stream */
        f->cut = true;
    if (f->cut)
        return false;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_printf(&b, STR_FMT " " STR_FMT, STR_ARG(event), STR_ARG(data));
    struct sim_frame frame = {.id = dup_text(id), .text = dup_text(buf_view(&b))};
    buf_deinit(&b);
    vec_push(&f->stream->frames, frame);
    f->cut = f->left > 0 && --f->left == 0;
    return !f->cut;
}
static void on_finished(void *ctx) { ((struct following *)ctx)->finished = true; }

/* One connection: until the run's end, a cut, or the death of the server. */
static bool connect_once(struct sim_server *s, struct sim_stream *stream, size_t frames_max) {
    struct sim_world *w = s->world;
    struct hub_cursor cursor = {0};
    struct hub_reader *reader = NULL;
    struct following f = {.stream = stream, .left = frames_max};
    struct arena a;
    struct run row;
    arena_init(&a, SIZE_MAX / 2);
    if (stream->frames.count &&
        !hub_cursor_parse(str_of(stream->frames.p[stream->frames.count - 1].id), &cursor))
        sim_wrong(w, "a frame's id is no cursor");
    int rc = run_get(&s->store, &w->who, stream->thread_id, stream->run_id, &a, &row, NULL);
    if (rc == 0) {
        struct hub_reader_options o = {.thread_id = stream->thread_id,
                                       .run_id = stream->run_id,
                                       .modes = ALL_MODES,
                                       .alive =
                                           row.status == RUN_PENDING || row.status == RUN_RUNNING,
                                       .frame = on_frame,
                                       .finished = on_finished,
                                       .ctx = &f};
        rc = hub_reader_replay(engine_hub(s->engine), &o, row.first_seq, &cursor, NULL, &reader,
                               NULL);
    }
    sim_note(w, "server %d.%d streams run %02x%02x after %zu frames: %d", s->number, s->life,
             stream->run_id.b[14], stream->run_id.b[15], stream->frames.count, rc);
    int64_t begun_us = rt_mono_us(w->rt);
    while (rc == 0 && reader && !f.finished && !f.cut && !s->dead && s->up) {
        fiber_sleep_shielded_us(20000);
        if (!w->trouble && rt_mono_us(w->rt) - begun_us > STREAM_US_MAX) {
            sim_wrong(w, "a stream of run %02x%02x does not come to its end", stream->run_id.b[14],
                      stream->run_id.b[15]);
            f.finished = true;
        }
    }
    bool over = rc == 0 && !f.cut && s->up && !s->dead && (f.finished || !reader);
    if (reader)
        hub_reader_close(reader);
    arena_deinit(&a);
    return over;
}

void sim_replay(struct sim_server *s, struct sim_stream *out) {
    out->complete = connect_once(s, out, 0);
}

void sim_stream_free(struct sim_stream *s) {
    for (size_t i = 0; i < s->frames.count; i++) {
        mem_free(s->frames.p[i].id);
        mem_free(s->frames.p[i].text);
    }
    vec_deinit(&s->frames);
    mem_free(s);
}

void sim_follow(struct sim_world *w, const struct sim_run *run) {
    struct sim_stream *stream = NEW(struct sim_stream);
    *stream = (struct sim_stream){.run_id = run->id, .thread_id = run->thread_id};
    vec_push(&w->streams, stream);
    for (int tries = 0; tries < 200 && !stream->complete; tries++) {
        struct sim_server *s = sim_enter(w);
        if (s) {
            stream->complete = connect_once(s, stream, sim_chance(w, 60) ? 1 + sim_below(w, 6) : 0);
            sim_leave(s);
        }
        fiber_sleep_shielded_us(1000 + (int64_t)sim_below(w, 300000));
    }
    sim_note(w, "a stream of %zu frames%s", stream->frames.count,
             stream->complete ? "" : " that was given up");
}

/* --- calls --- */

const char *sim_strategy(struct sim_world *w) {
    if (w->sweeping) /* where nothing is undone, or stopped before it begins */
        return strategies[sim_below(w, 3)];
    return strategies[sim_below(w, ARRAY_COUNT(strategies))];
}

int sim_submit(struct sim_world *w, struct sim_server *s, struct id thread_id, const char *graph,
               str body, struct id *out_run, struct err *err) {
    struct arena a;
    struct live_run *live;
    struct run_submit submit = {.who = &w->who,
                                .assistant_id = id_v5(ID_NAMESPACE_GRAPH, str_of(graph)),
                                .assistant_name = str_of(graph),
                                .thread_id = thread_id};
    arena_init(&a, SIZE_MAX / 2);
    if (json_parse(&a, body, &submit.body, NULL) < 0)
        UNREACHABLE();
    int rc = engine_submit(s->engine, &submit, &live, err);
    if (rc == 0) {
        *out_run = live_run_id(live);
        live_run_unref(live);
    }
    arena_deinit(&a);
    return rc;
}

static int submit(struct sim_world *w, struct sim_server *s, struct sim_thread *thread,
                  const char *what, const char *strategy, const char *after) {
    char body[400];
    struct err err = {0};
    struct id id;
    const char *graph =
        thread->asking ? thread->asking : sim_graphs[sim_below(w, SIM_PLAIN_GRAPHS)].id;
    bool webhook = w->planning && w->runs.count % 3 == 0;
    (void)snprintf(body, sizeof(body), "{%s," MODES ",\"multitask_strategy\":\"%s\"%s%s}", what,
                   strategy, after, webhook ? ",\"webhook\":\"" SIM_WEBHOOK "\"" : "");
    int64_t asked_us = rt_mono_us(w->rt);
    bool undoes = strcmp(strategy, "rollback") == 0, stops = strcmp(strategy, "interrupt") == 0;
    thread->rolled_back = thread->rolled_back || undoes;
    thread->interrupted = thread->interrupted || stops;
    int rc = sim_submit(w, s, thread->id, graph, str_of(body), &id, &err);
    if (undoes || stops) /* whatever was asked for until now, be it just being accepted */
        thread->stopped_us = rt_mono_us(w->rt);
    if (rc == 0) {
        struct sim_run run = {.id = id,
                              .thread_id = thread->id,
                              .graph = graph,
                              .asked_us = asked_us,
                              .webhook = webhook};
        vec_push(&w->runs, run);
        sim_note(w, "server %d.%d accepts run %02x%02x of %s, %s: %.20s", s->number, s->life,
                 run.id.b[14], run.id.b[15], graph, strategy, what);
    } else if (rc != ERR_UNAVAILABLE && rc != ERR_CONFLICT && rc != ERR_NOT_FOUND &&
               rc != ERR_LIMIT && rc != ERR_TIMEOUT &&
               !(thread->asking && strstr(err.message, "no input for"))) {
        sim_wrong(w, "a run was refused with %s: %s", err_name(rc), err.message);
    }
    return rc;
}

static int answer(struct sim_world *w, struct sim_server *s, struct sim_thread *thread,
                  const char *strategy, const char *after) {
    char command[60];
    (void)snprintf(command, sizeof(command), "\"command\":{\"resume\":%lld}",
                   (long long)++w->answers);
    return submit(w, s, thread, command, strategy, after);
}

int sim_answer(struct sim_world *w, struct sim_server *s, struct sim_thread *thread) {
    return answer(w, s, thread, "enqueue", "");
}

static void submit_any(struct sim_world *w, struct sim_server *s, struct sim_thread *thread) {
    char after[40] = "";
    const char *strategy = sim_strategy(w);
    if (sim_chance(w, 10))
        (void)snprintf(after, sizeof(after), ",\"after_seconds\":%d", (int)sim_below(w, 5));
    if (thread->asking && sim_chance(w, 60))
        (void)answer(w, s, thread, strategy, after);
    else
        (void)submit(w, s, thread, INPUT, strategy, after);
}

static void cancel(struct sim_world *w, struct sim_server *s, const struct sim_run *run) {
    struct err err = {0};
    enum cancel_action action =
        !w->sweeping && sim_chance(w, 30) ? CANCEL_ROLLBACK : CANCEL_INTERRUPT;
    for (size_t i = 0; i < w->runs.count; i++)
        if (id_eq(w->runs.p[i].id, run->id))
            *(action == CANCEL_ROLLBACK ? &w->runs.p[i].undone : &w->runs.p[i].stopped) = true;
    for (size_t i = 0; i < SIM_THREADS; i++)
        if (id_eq(w->threads[i].id, run->thread_id))
            *(action == CANCEL_ROLLBACK ? &w->threads[i].rolled_back : &w->threads[i].interrupted) =
                true;
    int rc =
        engine_cancel(s->engine, &w->who, run->thread_id, run->id, action, STR("sim"), false, &err);
    sim_note(w, "server %d.%d cancels: %d", s->number, s->life, rc);
    if (rc < 0 && rc != ERR_UNAVAILABLE && rc != ERR_CONFLICT && rc != ERR_NOT_FOUND &&
        rc != ERR_TIMEOUT)
        sim_wrong(w, "a cancel was refused with %s: %s", err_name(rc), err.message);
}

void sim_await(struct sim_world *w, struct sim_server *s, struct id run) {
    struct arena a;
    struct run_outcome out;
    struct err err = {0};
    arena_init(&a, SIZE_MAX / 2);
    int rc = engine_wait(s->engine, run, NULL, rt_mono_us(w->rt) + 30000000, &a, &out, &err);
    if (rc == 0 && s->up && (out.status == RUN_PENDING || out.status == RUN_RUNNING))
        sim_wrong(w, "a wait ended before the run");
    sim_note(w, "server %d.%d waited: %d", s->number, s->life, rc);
    arena_deinit(&a);
}

static void call(struct sim_world *w, struct sim_server *s) {
    struct sim_thread *thread = &w->threads[sim_below(w, SIM_THREADS)];
    uint64_t what = sim_below(w, 100);
    if (what < 55 || w->runs.count == 0) {
        submit_any(w, s, thread);
        return;
    }
    struct sim_run run = w->runs.p[sim_below(w, w->runs.count)];
    if (what < 75)
        cancel(w, s, &run);
    else
        sim_await(w, s, run.id);
}

void sim_calls(struct sim_world *w, int calls, uint64_t pause_us,
               void (*each)(struct sim_world *w, struct sim_server *s)) {
    for (int i = 0; i < calls; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, pause_us));
        struct sim_server *s = sim_enter(w);
        if (!s)
            continue;
        each(w, s);
        sim_leave(s);
    }
    w->clients--;
}

void sim_client(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 3000000));
        if (w->runs.count && sim_chance(w, 20)) {
            struct sim_run run = w->runs.p[sim_below(w, w->runs.count)];
            sim_follow(w, &run);
            continue;
        }
        struct sim_server *s = sim_enter(w);
        if (!s)
            continue;
        call(w, s);
        sim_leave(s);
    }
    w->clients--;
}
