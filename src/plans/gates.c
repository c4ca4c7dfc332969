/* SPDX-License-Identifier: Apache-2.0 */
/* gates.c - gates of the steps of a plan whose run is under way.
 *
 *   step waits for no step ─▶ its gates open (rows, with the step's move to blocked)
 *        ─▶ decided: a batch of its own, by whoever decides ─▶ seen here ─▶ queued, or failed
 *
 * The coordinator keeps what it knows of each gate and never decides in memory: a decision of its
 * own (an answer that the run was resumed with, a gate whose time is over) is a batch like that of
 * anybody else, under the gate's version, and what became of it is read back. So two who decide at
 * once get one decision, and the log has it once.
 *
 * Gates of a step that is over without them (cancelled, given up) are closed with that move. */
#include "plans/plans_int.h"

#include "base/failpoint.h"
#include "base/mem.h"

#define TRIES_MAX 8

static struct gate_state *of_step(struct coordinator *c, uint32_t position, size_t *out_count) {
    *out_count = c->gate_at ? c->gate_at[position + 1] - c->gate_at[position] : 0;
    return *out_count ? &c->gates[c->gate_at[position]] : NULL;
}

static void note_expiry(struct coordinator *c, const struct gate_state *g) {
    if (!g->expires_at)
        return;
    step_heap_push(&c->expiring, g->expires_at, (uint32_t)(g - c->gates));
    expiry_note(c->plans, g->expires_at);
}

static str keep(struct coordinator *c, str text) {
    return text.p ? arena_dup(c->a, text) : STR_NULL;
}

/* --- from rows --- */

static int read_rows(struct coordinator *c, struct arena *a, struct gate_row **out, size_t *count,
                     struct err *err) {
    struct principal who = {.owner = c->row.owner, .all = true};
    struct gate_filter f = {.plan_id = c->row.id, .limit = PLAN_GATES_MAX};
    int64_t wait_us = 0;
    int rc;
    do
        rc = gate_list(c->plans->store, &who, &f, a, out, count, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    return rc;
}

static struct gate_state *gate_at(struct coordinator *c, const struct gate_row *row) {
    size_t count = 0;
    struct gate_state *list = NULL;
    if (row->position >= 0 && (size_t)row->position < c->count)
        list = of_step(c, (uint32_t)row->position, &count);
    return row->number >= 0 && (size_t)row->number < count ? &list[row->number] : NULL;
}

int coordinator_gates_load(struct coordinator *c, struct err *err) {
    struct gate_row *rows;
    size_t count = 0, at = 0;
    for (size_t i = 0; i < c->count; i++)
        c->gate_count += c->specs[i].gate_count;
    if (!c->gate_count)
        return 0;
    c->gates = ARENA_ARRAY(c->a, struct gate_state, c->gate_count);
    c->gate_at = ARENA_ARRAY(c->a, uint32_t, c->count + 1);
    for (uint32_t i = 0; i < c->count; i++) {
        c->gate_at[i] = (uint32_t)at;
        for (size_t k = 0; k < c->specs[i].gate_count; k++)
            c->gates[at++] = (struct gate_state){
                .position = i, .number = (int)k, .spec = &c->specs[i].gates[k]};
    }
    c->gate_at[c->count] = (uint32_t)at;
    int rc = c->fresh ? 0 : read_rows(c, c->a, &rows, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct gate_state *g = gate_at(c, &rows[i]);
        if (!g)
            return err_set(err, ERR_CORRUPT, "a gate of a plan is of no step");
        g->id = rows[i].id;
        g->status = rows[i].status;
        g->version = rows[i].version;
        g->expires_at = rows[i].expires_at;
        g->evidence = rows[i].evidence;
        g->reason = rows[i].reason;
        if (g->status != GATE_PENDING)
            continue;
        c->gates_pending++;
        note_expiry(c, g);
    }
    return rc;
}

void coordinator_gates_deinit(struct coordinator *c) {
    step_heap_deinit(&c->expiring);
    vec_deinit(&c->opens);
}

/* --- opening and closing --- */

static void open_gate(struct coordinator *c, struct gate_state *g) {
    g->id = id_v7();
    g->version = 1;
    g->expires_at = g->spec->expires_us ? rt_now_us(c->plans->rt) + g->spec->expires_us : 0;
    c->gates_pending++;
    vec_push(&c->opens, (uint32_t)(g - c->gates));
    note_expiry(c, g);
    gate_count(c->plans, GATE_PENDING);
}

enum gates_state coordinator_gates_of(struct coordinator *c, uint32_t position) {
    enum gates_state state = GATES_CLEAR;
    size_t count;
    struct gate_state *list = of_step(c, position, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i].status == GATE_FAILED) {
            str why = list[i].reason.len ? list[i].reason : STR("it was rejected");
            step_set_error(&c->steps[position],
                           arena_printf(c->a, "gate " STR_FMT ": " STR_FMT,
                                        STR_ARG(list[i].spec->name), STR_ARG(why)));
            return GATES_FAILED;
        }
    for (size_t i = 0; i < count; i++) {
        if (list[i].status != GATE_PENDING)
            continue;
        state = GATES_WAIT;
        if (id_is_nil(list[i].id))
            open_gate(c, &list[i]);
    }
    return state;
}

void coordinator_gates_over(struct coordinator *c, uint32_t position) {
    size_t count;
    struct gate_state *list = of_step(c, position, &count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].status != GATE_PENDING || id_is_nil(list[i].id))
            continue;
        list[i].status = GATE_FAILED;
        c->gates_pending--;
        c->gates_close = true;
    }
}

void coordinator_gates_take(struct coordinator *c, struct arena *a, struct gate_flush *out) {
    int64_t now = rt_now_us(c->plans->rt);
    *out = (struct gate_flush){.opens = ARENA_ARRAY(a, struct gate_open, c->opens.count + 1),
                               .events = ARENA_ARRAY(a, struct gate_event, c->opens.count + 1),
                               .count = c->opens.count,
                               .close = c->gates_close};
    for (size_t i = 0; i < out->count; i++) {
        const struct gate_state *g = &c->gates[c->opens.p[i]];
        int64_t left = g->expires_at > now ? g->expires_at - now : 1;
        out->opens[i] = (struct gate_open){.id = g->id,
                                           .position = g->position,
                                           .number = g->number,
                                           .spec = g->spec->text,
                                           .expires_us = g->expires_at ? left : 0};
        struct gate_row row = {.id = g->id, .position = g->position, .number = g->number};
        out->events[i] = gate_event_of(g->spec, &row, now);
    }
    c->opens.count = 0;
    c->gates_close = false;
}

void coordinator_gates_add(const struct coordinator *c, struct db_batch *b,
                           const struct gate_flush *f, int64_t now_us) {
    if (f->count)
        gates_open_add(b, c->row.id, c->row.owner, f->opens, f->count, now_us);
    if (f->close)
        gates_close_add(b, c->row.id, now_us);
}

/* --- decisions --- */

static void decided(struct coordinator *c, struct gate_state *g, const struct gate_row *row) {
    g->status = row->status;
    g->reason = keep(c, row->reason);
    c->gates_pending--;
    if (c->steps[g->position].state == RUN_STATE_BLOCKED)
        coordinator_ready(c, g->position);
}

int coordinator_gates_look(struct coordinator *c, struct err *err) {
    struct arena a;
    struct gate_row *rows;
    size_t count = 0;
    if (!c->gates_pending)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = read_rows(c, &a, &rows, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct gate_state *g = gate_at(c, &rows[i]);
        if (!g || !id_eq(g->id, rows[i].id) || g->status != GATE_PENDING ||
            g->version == rows[i].version)
            continue;
        g->version = rows[i].version;
        g->evidence = keep(c, rows[i].evidence);
        if (rows[i].status != GATE_PENDING)
            decided(c, g, &rows[i]);
    }
    arena_deinit(&a);
    return rc;
}

static struct gate_row row_of(const struct coordinator *c, const struct gate_state *g) {
    return (struct gate_row){.id = g->id,
                             .plan_id = c->row.id,
                             .position = g->position,
                             .number = g->number,
                             .owner = c->row.owner,
                             .spec = g->spec->text,
                             .status = g->status,
                             .version = g->version,
                             .evidence = g->evidence,
                             .expires_at = g->expires_at};
}

/* While the run has its thread. ERR_CONFLICT: somebody else wrote the gate meanwhile. */
static int commit(struct coordinator *c, const struct gate_state *g, const struct gate_row *row,
                  struct arena *a, struct err *err) {
    struct db_batch b;
    struct gate_event e = gate_event_of(g->spec, row, rt_now_us(c->plans->rt));
    if (row->status == GATE_PENDING)
        e.status = STR("evidence");
    str entry = plan_gate_entry(a, &e);
    db_batch_init(&b, a);
    gate_write_add(&b, row, ERR_CONFLICT);
    int rc = FAILPOINT("plans.gate.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint plans.gate.before_commit");
    rc = node_commit(c->ctx, &b, &entry, 1, err);
    if (rc == 0) {
        (void)FAILPOINT("plans.gate.after_commit"); /* for crashes: it is durable */
        gate_count(c->plans, row->status);
    }
    return rc;
}

/* An answer that is none for this gate is written down, and the gate is asked for again. */
static int refuse(struct coordinator *c, const struct gate_state *g, str why, struct arena *a,
                  struct err *err) {
    struct db_batch b;
    struct gate_row row = row_of(c, g);
    struct gate_event e = gate_event_of(g->spec, &row, rt_now_us(c->plans->rt));
    e.status = STR("refused");
    e.reason = why;
    str entry = plan_gate_entry(a, &e);
    db_batch_init(&b, a);
    return node_commit(c->ctx, &b, &entry, 1, err);
}

static int answer(struct coordinator *c, struct gate_state *g, yyjson_val *v, struct err *err) {
    struct arena a;
    struct gate_answer said;
    int rc = ERR_CONFLICT;
    arena_init(&a, SIZE_MAX / 2);
    for (int i = 0; i < TRIES_MAX && rc == ERR_CONFLICT && g->status == GATE_PENDING; i++) {
        struct gate_row row = row_of(c, g);
        struct err why = {0};
        rc = gate_answer_read(&a, v, &said, &why);
        if (rc == 0) /* whom the run belongs to has said it */
            rc = gate_row_answer(&a, g->spec, &row, &said,
                                 c->row.owner.len ? c->row.owner : said.actor,
                                 rt_now_us(c->plans->rt), &why);
        if (rc < 0) {
            rc = refuse(c, g, arena_dup(&a, str_of(why.message)), &a, err);
            break;
        }
        rc = commit(c, g, &row, &a, err);
        int seen = rc == 0 || rc == ERR_CONFLICT ? coordinator_gates_look(c, err) : 0;
        rc = seen < 0 ? seen : rc;
    }
    arena_deinit(&a);
    return rc == ERR_CONFLICT ? 0 : rc; /* it was decided otherwise */
}

int coordinator_gates_answer(struct coordinator *c, struct err *err) {
    int rc = 0;
    c->answered = true;
    for (size_t i = 0; rc == 0 && i < c->gate_count; i++) {
        struct gate_state *g = &c->gates[i];
        struct arena *a = c->a;
        if (g->status != GATE_PENDING || id_is_nil(g->id))
            continue;
        yyjson_val *v = node_answer(c->ctx, id_hex(a, g->id));
        if (v)
            rc = answer(c, g, v, err);
    }
    return rc;
}

int coordinator_gates_expire(struct coordinator *c, struct err *err) {
    struct step_heap_item item;
    struct arena a;
    int rc = 0;
    int64_t now = rt_now_us(c->plans->rt);
    if (!step_heap_pop(&c->expiring, &item))
        return 0;
    struct gate_state *g = &c->gates[item.position];
    arena_init(&a, SIZE_MAX / 2);
    for (int i = 0; i < TRIES_MAX && rc == 0 && g->status == GATE_PENDING; i++) {
        struct gate_row row = row_of(c, g);
        gate_row_expire(g->spec, &row, now);
        rc = commit(c, g, &row, &a, err);
        if (rc == 0 || rc == ERR_CONFLICT)
            rc = coordinator_gates_look(c, err);
    }
    arena_deinit(&a);
    return rc;
}

/* --- asking --- */

static str question(const struct coordinator *c, const struct gate_state *g) {
    struct arena *a = c->ctx->arena;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "gate_id");
    jw_str(&w, id_dashed(a, g->id));
    jw_key(&w, "plan_id");
    jw_str(&w, id_dashed(a, c->row.id));
    jw_key(&w, "position");
    jw_i64(&w, g->position);
    jw_key(&w, "step");
    jw_str(&w, c->specs[g->position].name);
    jw_key(&w, "gate");
    jw_str(&w, g->spec->name);
    jw_key(&w, "kind");
    jw_str(&w, word_text(&GATE_KIND_WORDS, (int)g->spec->kind));
    jw_key(&w, "prompt");
    jw_str(&w, g->spec->prompt);
    jw_object_end(&w);
    return arena_take(a, &b);
}

int coordinator_gates_ask(struct coordinator *c, struct err *err) {
    int rc = ERR_INTERRUPTED;
    for (size_t i = 0; i < c->gate_count; i++) {
        const struct gate_state *g = &c->gates[i];
        if (g->status == GATE_PENDING && !id_is_nil(g->id))
            rc = node_ask(c->ctx, id_hex(c->ctx->arena, g->id), question(c, g), err);
    }
    return rc;
}
