/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - the server's messages: results to the units under way, in the order of sending.
 *
 * Each ReadyForQuery ends the first unit under way. Rows are not copied: their cells are offsets
 * into the receive buffer, valid while result() runs. What a message claims is checked against its
 * length; a message that cannot be here ends the connection (ERR_UNAVAILABLE, "protocol").
 *
 * Run again by itself, once and only when no result was handed out: a unit that met a pooler which
 * does not know its statement, a statement whose result type changed under it, and a unit hit by a
 * cancel request that was meant for the one before it. All three were rolled back. */
#include "base/log.h"
#include "pg/copy_int.h"

#define CANCEL_STRAY_US 1000000 /* how long after a cancel request it may still hit a neighbour */

struct reader {
    const char *at, *end;
    bool bad;
};

static uint16_t get16(struct reader *r) {
    if (r->end - r->at < 2) {
        r->bad = true;
        return 0;
    }
    r->at += 2;
    return pg_get16(r->at - 2);
}

static uint32_t get32(struct reader *r) {
    if (r->end - r->at < 4) {
        r->bad = true;
        return 0;
    }
    r->at += 4;
    return pg_get32(r->at - 4);
}

static str get_text(struct reader *r) {
    const char *nul = r->at < r->end ? memchr(r->at, 0, (size_t)(r->end - r->at)) : NULL;
    if (!nul) {
        r->bad = true;
        return STR("");
    }
    str s = str_n(r->at, (size_t)(nul - r->at));
    r->at = nul + 1;
    return s;
}

static int malformed(struct err *err, char type) {
    return err_set(err, ERR_UNAVAILABLE, "protocol: a message %c (0x%02x) that cannot be here",
                   type >= ' ' && type <= '~' ? type : '?', (unsigned)(unsigned char)type);
}

static struct pg_work *head(const struct pg_conn *c) {
    struct list *n = list_first(&c->jobs);
    return n ? LIST_ENTRY(n, struct pg_work, node) : NULL;
}

static struct pg_stmt *current_stmt(const struct pg_conn *c) {
    return c->stmts_at < c->stmts.count ? c->stmts.p[c->stmts_at] : NULL;
}

static void pop_stmt(struct pg_conn *c) {
    if (c->stmts.p[c->stmts_at])
        c->stmts.p[c->stmts_at]->refs--;
    if (++c->stmts_at == c->stmts.count) {
        c->stmts_at = c->stmts.count = 0;
    } else if (c->stmts_at == 4096) {
        memmove(c->stmts.p, c->stmts.p + 4096, (c->stmts.count - 4096) * sizeof(*c->stmts.p));
        c->stmts.count -= 4096;
        c->stmts_at = 0;
    }
}

/* --- ends of units --------------------------------------------------------------------------- */

void pg_work_finish(struct pg_work *w, int code, enum pg_outcome outcome) {
    struct pg_pool *p = w->pool;
    w->code = code;
    w->outcome = outcome;
    w->state = PG_WORK_DONE;
    if (w->sent_us)
        w->run_us = rt_mono_us(p->rt) - w->sent_us;
    if (code != 0)
        w->err.code = code;
    if (code != 0 && w->kind != PG_KIND_PREPARE) { /* that one counts with the unit it is for */
        p->stats.errors++;
        metric_add(p->m.errors, 1);
        if (code == ERR_TIMEOUT) {
            p->stats.timeouts++;
            metric_add(p->m.timeouts, 1);
        }
    }
    if (w->kind == PG_KIND_UNIT) {
        p->stats.units++;
        metric_observe_us(p->m.run, w->run_us);
        if (p->o.log_all)
            log_event(LOG_INFO, "pg.unit", "done",
                      LOG_Z("statement", w->calls[0].name ? w->calls[0].name : ""),
                      LOG_INT("statements", w->call_count), LOG_INT("us", w->run_us),
                      LOG_Z("sqlstate", w->sqlstate));
    }
    w->done(w);
}

static void now_unnamed(struct pg_pool *p, const char *sqlstate) {
    if (p->stats.unnamed)
        return;
    p->stats.unnamed = true;
    log_event(LOG_WARN, "pg.pooler",
              "prepared statements get lost: statements are sent without names from now on",
              LOG_Z("sqlstate", sqlstate));
}

/* The error of a unit whose statement was refused while it was prepared. */
static bool take_prepare_error(struct pg_conn *c, struct pg_work *w, const struct pg_stmt *t) {
    const struct pg_prepared *e = t ? &c->prepared[t->id] : NULL;
    if (!e || !e->failed || strcmp(e->sqlstate, "42P05") == 0)
        return false;
    w->err = *e->failed;
    memcpy(w->sqlstate, e->sqlstate, sizeof(w->sqlstate));
    return true;
}

/* Whether a cancel request hit a unit that it was not meant for. One whose own deadline is over has
 * had what it would have got. */
static bool cancelled_astray(const struct pg_conn *c, const struct pg_work *w) {
    int64_t now = rt_mono_us(c->pool->rt);
    return w->state != PG_WORK_CANCELLED && w->deadline_us > now &&
           (c->cancel || (c->cancelled_us && now - c->cancelled_us < CANCEL_STRAY_US));
}

/* Whether the unit that failed runs again. */
static bool again(struct pg_conn *c, struct pg_work *w, struct pg_stmt *t) {
    struct pg_pool *p = c->pool;
    bool may = !w->pinned && w->tries < 2 && w->next_result == 0 && p->state == PG_POOL_OPEN;
    bool lost = strcmp(w->sqlstate, "26000") == 0 || strcmp(w->sqlstate, "42P05") == 0;
    if (lost && !w->unnamed && !take_prepare_error(c, w, t)) {
        now_unnamed(p, w->sqlstate);
        return may;
    }
    if (strcmp(w->sqlstate, "08P01") == 0 && !w->unnamed && may) {
        w->unnamed = w->suspect = true; /* a pooler's, or a wrong unit: the second try tells */
        return true;
    }
    if (strcmp(w->sqlstate, "0A000") == 0 && !w->unnamed)
        return may;
    return strcmp(w->sqlstate, "57014") == 0 && may && cancelled_astray(c, w);
}

/* What the statement took: the time since the connection's last answer. Several answers of one turn
 * share it unevenly; the mean is right. */
static void learn_cost(struct pg_conn *c, const struct pg_work *w) {
    struct pg_stmt *t =
        c->answered < PG_STATEMENTS_MAX ? c->pool->statements.by_id[c->answered] : NULL;
    int64_t now = rt_mono_us(c->pool->rt);
    if (t && w->call_count == 1 && w->code == 0) {
        int64_t took_ns = (now - c->moved_us) * 1000;
        t->cost_ns = t->cost_ns ? t->cost_ns + (took_ns - t->cost_ns) / 16 : took_ns + 1;
    }
    c->moved_us = now;
}

static void end_unit(struct pg_conn *c, struct pg_work *w) {
    struct pg_stmt *t = w->next_result < w->call_count ? current_stmt(c) : NULL;
    learn_cost(c, w);
    bool failed = w->sqlstate[0] != '\0', rerun = failed && again(c, w, t);
    for (size_t i = w->next_result; i < w->call_count; i++)
        pop_stmt(c);
    if (rerun) {
        w->sqlstate[0] = '\0';
        err_reset(&w->err);
        pg_pool_requeue(w);
    } else if (failed) {
        bool wrong = w->suspect && strcmp(w->sqlstate, "08P01") == 0; /* no pooler's fault */
        pg_work_finish(w, wrong ? ERR_INTERNAL : pg_sqlstate_code(w->sqlstate), PG_ROLLED_BACK);
    } else {
        if (w->suspect)
            now_unnamed(c->pool, "08P01");
        pg_work_finish(w, w->code, PG_COMMITTED);
    }
}

static int on_ready(struct pg_conn *c, struct reader *r, struct err *err) {
    struct pg_work *w = head(c);
    if (!w || r->end - r->at != 1)
        return malformed(err, 'Z');
    c->tx_status = r->at[0];
    list_remove(&w->node);
    c->load--;
    c->backlog_ns -= w->cost_ns;
    c->rows = 0;
    c->cells.count = 0;
    if (c->up_us)
        c->idle_since_us = rt_mono_us(c->pool->rt);
    bool release = c->state == PG_CONN_PINNED && !w->pinned && list_empty(&c->jobs);
    if (w->kind == PG_KIND_UNIT)
        end_unit(c, w);
    else
        pg_work_finish(w, w->sqlstate[0] ? pg_sqlstate_code(w->sqlstate) : w->code,
                       w->sqlstate[0] ? PG_ROLLED_BACK : PG_COMMITTED);
    if (c->state == PG_CONN_CLOSED)
        return 0;
    if (c->state != PG_CONN_PINNED && c->tx_status != 'I')
        return err_set(err, ERR_INTERNAL, "a unit left its transaction open");
    if (release)
        pg_pool_released(c);
    pg_pool_dispatch_later(c->pool);
    return 0;
}

/* --- errors and notices ---------------------------------------------------------------------- */

struct report {
    str severity, sqlstate, message, routine;
};

static int read_report(struct reader *r, char type, struct report *out, struct err *err) {
    *out = (struct report){.message = STR("no text")};
    while (r->at < r->end && *r->at) {
        char field = *r->at++;
        str text = get_text(r);
        if (field == 'V')
            out->severity = text;
        else if (field == 'C')
            out->sqlstate = text;
        else if (field == 'M')
            out->message = text;
        else if (field == 'R')
            out->routine = text;
    }
    return r->bad || out->sqlstate.len != 5 ? malformed(err, type) : 0;
}

static void farewell(struct pg_conn *c, const struct report *e) {
    memcpy(c->fatal, e->sqlstate.p, 5);
    err_set(&c->fatal_err, pg_sqlstate_code(c->fatal),
            "the database ended the connection: " STR_FMT " (%s)", STR_ARG(e->message), c->fatal);
}

static int on_notice(struct pg_conn *c, struct reader *r, struct err *err) {
    struct report e;
    int rc = read_report(r, 'N', &e, err);
    if (rc == 0 && str_starts(e.sqlstate, STR("57P0")) && str_eq(e.severity, STR("WARNING")))
        farewell(c, &e); /* an immediate shutdown says no more than this */
    return rc;
}

/* A statement whose plan changed its columns is prepared anew. */
static void forget_plan(struct pg_conn *c, struct pg_work *w) {
    struct pg_stmt *t = current_stmt(c);
    if (w->kind != PG_KIND_UNIT || w->unnamed || !t ||
        c->prepared[t->id].state != PG_PREPARED_READY)
        return;
    pg_send_close(c, t);
    pg_prepared_reset(&c->prepared[t->id]);
    c->columns = NULL;
    c->column_count = 0;
}

static int on_error(struct pg_conn *c, struct reader *r, struct err *err) {
    struct report e;
    struct pg_work *w = head(c);
    int rc = read_report(r, 'E', &e, err);
    if (rc != 0)
        return rc;
    if (str_eq(e.severity, STR("FATAL")) || str_eq(e.severity, STR("PANIC"))) {
        farewell(c, &e);
        return 0; /* the socket closes next */
    }
    if (!w)
        return malformed(err, 'E');
    if (w->sqlstate[0])
        return 0;
    memcpy(w->sqlstate, e.sqlstate.p, 5);
    size_t failed_at = w->next_result < w->call_count ? w->next_result : SIZE_MAX;
    w->failed_at = failed_at;
    const char *name = failed_at == SIZE_MAX ? NULL : w->calls[failed_at].name;
    err_set(&w->err, pg_sqlstate_code(w->sqlstate), "%s%s" STR_FMT " (%s)", name ? name : "",
            name ? ": " : "", STR_ARG(e.message), w->sqlstate);
    if (str_eq(e.routine, STR("RevalidateCachedQuery")))
        forget_plan(c, w);
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------ */

static int read_columns(struct reader *r, uint32_t **out, size_t *out_count, struct err *err) {
    size_t count = get16(r);
    uint32_t *oids = mem_calloc(count ? count : 1, sizeof(*oids));
    for (size_t i = 0; i < count && !r->bad; i++) {
        (void)get_text(r);
        (void)get32(r);
        (void)get16(r);
        oids[i] = get32(r);
        (void)get16(r);
        (void)get32(r);
        (void)get16(r);
    }
    if (r->bad) {
        mem_free(oids);
        return malformed(err, 'T');
    }
    *out = oids;
    *out_count = count;
    return 0;
}

static int on_columns(struct pg_conn *c, struct reader *r, bool none, struct err *err) {
    struct pg_work *w = head(c);
    uint32_t *oids = NULL;
    size_t count = 0;
    if (!w)
        return malformed(err, 'T');
    int rc = none ? 0 : read_columns(r, &oids, &count, err);
    if (rc != 0)
        return rc;
    if (w->kind == PG_KIND_PREPARE) {
        struct pg_prepare *job = CONTAINER_OF(w, struct pg_prepare, w);
        struct pg_prepared *e = &c->prepared[job->stmt->id];
        mem_free(e->column_oids);
        e->column_oids = oids;
        e->column_count = count;
        return 0;
    }
    if (w->kind == PG_KIND_DESCRIBE) {
        struct pg_describe *d = CONTAINER_OF(w, struct pg_describe, w);
        d->out->column_oids = ARENA_ARRAY(d->arena, uint32_t, count ? count : 1);
        d->out->column_count = count;
        memcpy(d->out->column_oids, oids ? oids : d->out->column_oids, count * sizeof(*oids));
    } else {
        c->own_columns.count = 0;
        for (size_t i = 0; i < count; i++)
            vec_push(&c->own_columns, oids[i]);
        c->columns = c->own_columns.p;
        c->column_count = count;
    }
    mem_free(oids);
    return 0;
}

static int on_parameters(struct pg_conn *c, struct reader *r, struct err *err) {
    struct pg_work *w = head(c);
    size_t count = get16(r);
    if (!w || (size_t)(r->end - r->at) != count * 4)
        return malformed(err, 't');
    if (w->kind != PG_KIND_DESCRIBE)
        return 0;
    struct pg_describe *d = CONTAINER_OF(w, struct pg_describe, w);
    d->out->param_oids = ARENA_ARRAY(d->arena, uint32_t, count ? count : 1);
    d->out->param_count = count;
    for (size_t i = 0; i < count; i++)
        d->out->param_oids[i] = get32(r);
    return 0;
}

static int on_bound(struct pg_conn *c, struct err *err) {
    struct pg_work *w = head(c);
    if (!w || w->kind != PG_KIND_UNIT || w->next_result >= w->call_count)
        return malformed(err, '2');
    const struct pg_stmt *t = current_stmt(c);
    c->columns = t ? c->prepared[t->id].column_oids : NULL;
    c->column_count = t ? c->prepared[t->id].column_count : 0;
    c->rows = 0;
    c->cells.count = 0;
    return 0;
}

static int on_row(struct pg_conn *c, const char *at, size_t len, struct err *err) {
    struct pg_work *w = head(c);
    if (!w)
        return malformed(err, 'D');
    if (w->kind != PG_KIND_UNIT)
        return 0; /* of a script */
    size_t count = len >= 2 ? pg_get16(at) : 0;
    if (len < 2 || count != c->column_count || w->next_result >= w->call_count)
        return malformed(err, 'D');
    const char *begin = c->in + c->in_start, *end = at + len;
    at += 2;
    for (size_t i = 0; i < count; i++) {
        if (end - at < 4)
            return malformed(err, 'D');
        int32_t cell_len = (int32_t)pg_get32(at);
        at += 4;
        if (cell_len > end - at || cell_len < -1)
            return malformed(err, 'D');
        vec_push(&c->cells, ((struct pg_cell){(uint32_t)(at - begin), cell_len}));
        at += cell_len > 0 ? cell_len : 0;
    }
    c->rows++;
    return at == end ? 0 : malformed(err, 'D');
}

/* The number at the end of "INSERT 0 5", "SELECT 3"; 0 of others. */
static int64_t changed_of(str tag) {
    size_t at = tag.len;
    int64_t n = 0;
    while (at > 0 && tag.p[at - 1] >= '0' && tag.p[at - 1] <= '9')
        at--;
    return at > 0 && at < tag.len && str_to_i64(str_slice(tag, at, tag.len), &n) ? n : 0;
}

static int on_complete(struct pg_conn *c, struct reader *r, bool empty, struct err *err) {
    struct pg_work *w = head(c);
    if (!w || w->sqlstate[0])
        return malformed(err, 'C');
    struct pg_result result = {.bytes = c->in + c->in_start,
                               .cells = c->cells.p,
                               .column_oids = c->columns,
                               .column_count = c->column_count,
                               .row_count = c->rows};
    result.changed = empty ? 0 : changed_of(get_text(r));
    if (r->bad)
        return malformed(err, 'C');
    size_t index = w->next_result;
    if (w->kind == PG_KIND_UNIT) {
        if (w->next_result >= w->call_count)
            return malformed(err, 'C');
        const struct pg_stmt *t = current_stmt(c);
        c->answered = t ? t->id : PG_STATEMENTS_MAX;
        pop_stmt(c);
        w->next_result++;
    } else {
        result.row_count = result.column_count = 0;
    }
    if (w->result && w->code == 0)
        w->code = w->result(w, index, &result, &w->err);
    c->rows = 0;
    c->cells.count = 0;
    return 0;
}

/* --- copy, notifications --------------------------------------------------------------------- */

static int on_copy_in(struct pg_conn *c, struct err *err) {
    struct pg_work *w = head(c);
    if (!w || w->kind == PG_KIND_UNIT || w->kind == PG_KIND_PREPARE)
        return err_set(err, ERR_INTERNAL, "COPY inside of a unit");
    if (w->kind == PG_KIND_COPY)
        pg_copy_asked(w);
    else
        pg_send_copy_end(c, "no rows here");
    return 0;
}

static int on_notification(struct pg_conn *c, struct reader *r, struct err *err) {
    (void)get32(r);
    str channel = get_text(r), payload = get_text(r);
    if (r->bad)
        return malformed(err, 'A');
    if (c->notified)
        c->notified(c, channel, payload);
    return 0;
}

static int on_message(struct pg_conn *c, char type, const char *at, size_t len, struct err *err) {
    struct reader r = {at, at + len, false};
    switch (type) {
    case 'D':
        return on_row(c, at, len, err);
    case 'C':
    case 'I':
        return on_complete(c, &r, type == 'I', err);
    case 'Z':
        return on_ready(c, &r, err);
    case '2':
        return on_bound(c, err);
    case 'T':
    case 'n':
        return on_columns(c, &r, type == 'n', err);
    case 't':
        return on_parameters(c, &r, err);
    case 'E':
        return on_error(c, &r, err);
    case 'N':
        return on_notice(c, &r, err);
    case 'A':
        return on_notification(c, &r, err);
    case 'G':
        return on_copy_in(c, err);
    case '1': /* parsed */
    case '3': /* closed */
    case 'S': /* a setting changed */
    case 'K': /* the cancel key: libpq has it */
        return 0;
    case 'H': /* COPY TO STDOUT in a script: its rows are not wanted */
    case 'd':
    case 'c':
        if (head(c) && head(c)->kind == PG_KIND_SIMPLE)
            return 0;
        return malformed(err, type);
    default:
        return malformed(err, type);
    }
}

int pg_reply_read(struct pg_conn *c, struct err *err) {
    while (c->in_len - c->in_at >= 5) {
        const char *at = c->in + c->in_at;
        size_t len = pg_get32(at + 1);
        if (len < 4 || len > PG_MESSAGE_BYTES_MAX + 65536)
            return malformed(err, at[0]);
        if (len + 1 > c->in_len - c->in_at)
            break;
        c->in_at += len + 1;
        int rc = on_message(c, at[0], at + 5, len - 4, err);
        if (rc != 0 || c->state == PG_CONN_CLOSED)
            return rc;
        if (c->rows == 0)
            c->in_start = c->in_at;
        else if (c->in_at - c->in_start > PG_RESULT_BYTES_MAX)
            return err_set(err, ERR_TOO_LARGE, "a result of more than %u bytes",
                           PG_RESULT_BYTES_MAX);
    }
    return 0;
}
