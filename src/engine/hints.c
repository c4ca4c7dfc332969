/* SPDX-License-Identifier: Apache-2.0 */
/* hints.c - what workers of one database tell each other to save waiting: that a thread's log has
 * grown, that there are runs to be adopted, a pass of a job wanted. Nothing depends on them.
 *
 * A text is who sent it, a colon, and words joined by commas: a thread (32 hex digits), "!" for
 * work, "c" for crons, "j" for jobs, "*" for more threads than fit. They are collected for 10 ms,
 * so that many commits make one, and sent only while other workers are alive; of crons and jobs
 * always, since they are seldom, and a worker that began a moment ago, which nobody knows of yet,
 * may lead already. */
#include "base/log.h"
#include "engine/engine_int.h"

#define HINT_WAIT_US 10000
#define HINT_TAG_LEN 8
#define HINTS_MAX    ((ENGINE_HINT_MAX - HINT_TAG_LEN - 8) / (ID_HEX_LEN + 1))

/* The end of the id is random; its beginning is the time. */
static str tag_of(const struct engine *e, char hex[ID_HEX_LEN]) {
    id_write_hex(e->worker, hex);
    return str_n(hex + ID_HEX_LEN - HINT_TAG_LEN, HINT_TAG_LEN);
}

void hints_flush(struct engine *e) {
    struct worker_state *w = &e->w;
    rt_timer_stop(e->rt, &w->hint_timer);
    bool words = w->hint_work || w->hint_crons || w->hint_jobs;
    if (!w->hints.send || (!words && w->hint_threads.count == 0))
        return;
    struct buf b;
    char hex[ID_HEX_LEN];
    buf_init(&b, ENGINE_HINT_MAX);
    buf_str(&b, tag_of(e, hex));
    buf_char(&b, ':');
    if (w->hint_work)
        buf_str(&b, STR("!,"));
    if (w->hint_crons)
        buf_str(&b, STR("c,"));
    if (w->hint_jobs)
        buf_str(&b, STR("j,"));
    if (w->hint_threads.count > HINTS_MAX)
        buf_str(&b, STR("*,"));
    for (size_t i = 0; i < w->hint_threads.count && w->hint_threads.count <= HINTS_MAX; i++) {
        id_write_hex(w->hint_threads.p[i], hex);
        buf_str(&b, str_n(hex, ID_HEX_LEN));
        buf_char(&b, ',');
    }
    ASSERT(buf_ok(&b));
    w->hint_threads.count = 0;
    w->hint_work = w->hint_crons = w->hint_jobs = false;
    w->hints_sent++;
    w->hints.send(w->hints.ctx, buf_view(&b));
    buf_deinit(&b);
}

/* A voice counts for a lease: it is heard several times in one. */
void hints_peers(struct engine *e) {
    struct worker_state *w = &e->w;
    struct arena a;
    struct err err = {0};
    char hex[ID_HEX_LEN];
    str *addresses = NULL;
    size_t count = 0;
    if (!w->hints.peers || !e->o.address)
        return;
    arena_init(&a, 1 << 20);
    int rc = w->others > 0 ? worker_addresses(e->store, e->worker, rt_now_us(e->rt),
                                              ENGINE_PEERS_MAX, &a, &addresses, &count, &err)
                           : 0;
    if (rc < 0)
        log_event(LOG_DEBUG, "hints.peers.failed", err.message, LOG_Z("code", err_name(rc)));
    else if (w->hints.peers) /* it may have ended meanwhile */
        w->hints.peers(w->hints.ctx, addresses, count, (size_t)w->others,
                       arena_printf(&a, STR_FMT ":", STR_ARG(tag_of(e, hex))), e->o.lease_us);
    arena_deinit(&a);
}

static void on_hint_due(struct rt_timer *t) {
    hints_flush(CONTAINER_OF(t, struct engine, w.hint_timer));
}

static bool wanted(const struct engine *e) {
    return e->w.hints.send && e->o.shared && e->w.others > 0;
}

static void soon(struct engine *e) {
    if (!e->w.hint_timer.slot)
        rt_timer_start(e->rt, &e->w.hint_timer, HINT_WAIT_US, on_hint_due);
}

void hint_thread(struct engine *e, struct id thread_id) {
    struct worker_state *w = &e->w;
    if (!wanted(e) || w->hint_threads.count > HINTS_MAX)
        return;
    for (size_t i = 0; i < w->hint_threads.count; i++)
        if (id_eq(w->hint_threads.p[i], thread_id))
            return;
    vec_push(&w->hint_threads, thread_id);
    soon(e);
}

void hint_work(struct engine *e) {
    if (!wanted(e))
        return;
    e->w.hint_work = true;
    soon(e);
}

void hint_crons(struct engine *e) {
    if (!e->w.hints.send || !e->o.shared)
        return;
    e->w.hint_crons = true;
    soon(e);
}

void hint_jobs(struct engine *e) {
    if (!e->w.hints.send || !e->o.shared)
        return;
    e->w.hint_jobs = true;
    soon(e);
}

static void work_wanted(struct engine *e) {
    e->w.adopt_due_us = 0;
    fiber_event_wake_all(&e->w.chore_wake);
}

static void all_threads(struct engine *e) {
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct id *ids = ARENA_ARRAY(&a, struct id, e->slots.count + 1);
    size_t count = 0, at = 0;
    str key;
    void *value;
    while (map_next(&e->slots, &at, &key, &value))
        ids[count++] = ((struct slot *)value)->thread_id;
    for (size_t i = 0; i < count; i++) { /* unblocking may end a slot */
        struct slot *s = slot_of(e, ids[i]);
        if (s)
            slot_unblock(s);
    }
    arena_deinit(&a);
    hub_hint(e->hub, ID_NIL);
    worker_wishes_soon(e);
}

static void one_thread(struct engine *e, struct id thread_id) {
    hub_hint(e->hub, thread_id);
    struct slot *s = slot_of(e, thread_id);
    if (!s)
        return;
    worker_wishes_soon(e);
    slot_unblock(s);
}

void engine_hinted(struct engine *e, str text) {
    char hex[ID_HEX_LEN];
    ptrdiff_t colon = str_find_char(text, ':');
    if (colon < 0 || e->draining || str_eq(str_slice(text, 0, (size_t)colon), tag_of(e, hex)))
        return;
    e->w.hints_got++;
    str rest = str_slice(text, (size_t)colon + 1, text.len);
    while (rest.len) {
        ptrdiff_t comma = str_find_char(rest, ',');
        size_t len = comma < 0 ? rest.len : (size_t)comma;
        str word = str_slice(rest, 0, len);
        struct id id;
        if (str_eq(word, STR("!")))
            work_wanted(e);
        else if (str_eq(word, STR("c")))
            crons_wake(e);
        else if (str_eq(word, STR("j")) && e->jobs)
            jobs_wake(e->jobs);
        else if (str_eq(word, STR("*")))
            all_threads(e);
        else if (id_parse(word, &id))
            one_thread(e, id);
        rest = str_slice(rest, len < rest.len ? len + 1 : len, rest.len);
    }
}

void engine_hints_set(struct engine *e, const struct engine_hints *hints) { e->w.hints = *hints; }

void engine_hints_up(struct engine *e, bool up) {
    e->w.hints_up = up;
    hub_hints_up(e->hub, up);
    crons_wake(e);
}
