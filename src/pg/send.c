/* SPDX-License-Identifier: Apache-2.0 */
/* send.c - units as messages of the protocol (version 3), into the connection's buffer.
 *
 * A unit:   { Bind, Execute }…, Sync                        named, prepared here before
 *           { Parse, Bind, Describe portal, Execute }…, Sync  unnamed
 * A statement that is new on the connection goes before the unit with a Sync of its own
 * (Parse, Describe statement, Sync): were it part of the unit, the failure of an earlier statement
 * would skip it, and units that are already on their way would find no such statement. When the
 * server refuses it, the units that use it fail with its error. */
#include "pg/pg_int.h"

static const char SYNC[] = {'S', 0, 0, 0, 4};
static const char EXECUTE[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0};
static const char DESCRIBE_PORTAL[] = {'D', 0, 0, 0, 6, 'P', 0};

static char *room(struct pg_conn *c, size_t bytes) {
    char *p = buf_reserve(&c->out, bytes);
    ASSERT(p); /* pg_send_check bounds a unit, PG_OUT_BYTES_FULL what stands before it */
    c->out_total += bytes;
    return p;
}

static void put(struct pg_conn *c, const void *p, size_t len) {
    memcpy(room(c, len), p, len);
    c->out.len += len;
}

static char *put_text(char *at, const char *text, size_t len) {
    memcpy(at, text, len);
    at[len] = '\0';
    return at + len + 1;
}

static void put_parse(struct pg_conn *c, const char *name, const char *sql, size_t sql_len,
                      const struct pg_param *params, const uint32_t *oids, size_t count) {
    size_t name_len = strlen(name);
    size_t len = 4 + name_len + 1 + sql_len + 1 + 2 + count * 4;
    char *at = room(c, len + 1);
    *at++ = 'P';
    pg_put32(at, (uint32_t)len);
    at = put_text(at + 4, name, name_len);
    at = put_text(at, sql, sql_len);
    pg_put16(at, (uint16_t)count);
    at += 2;
    for (size_t i = 0; i < count; i++, at += 4)
        pg_put32(at, oids ? oids[i] : params[i].oid);
    c->out.len += len + 1;
}

static size_t bind_bytes(const struct pg_param *params, size_t count) {
    size_t bytes = 2 + 2 + 2 + count * 2 + 2 + 2;
    for (size_t i = 0; i < count; i++)
        bytes += 4 + (params[i].null ? 0 : params[i].len);
    return bytes;
}

static void put_bind(struct pg_conn *c, const char *name, const struct pg_param *params,
                     size_t count) {
    size_t name_len = strlen(name);
    size_t len = 4 + name_len + bind_bytes(params, count);
    char *at = room(c, len + 1), *begin = at;
    *at++ = 'B';
    pg_put32(at, (uint32_t)len);
    at[4] = '\0'; /* the portal */
    at = put_text(at + 5, name, name_len);
    pg_put16(at, (uint16_t)count);
    at += 2;
    for (size_t i = 0; i < count; i++, at += 2)
        pg_put16(at, params[i].binary);
    pg_put16(at, (uint16_t)count);
    at += 2;
    for (size_t i = 0; i < count; i++) {
        const struct pg_param *p = &params[i];
        pg_put32(at, p->null ? UINT32_MAX : p->len);
        at += 4;
        if (p->null || !p->len)
            continue;
        memcpy(at, p->own ? (const char *)p->fixed : p->p, p->len);
        at += p->len;
    }
    pg_put16(at, 1);     /* every result column … */
    pg_put16(at + 2, 1); /* … in binary */
    ASSERT(at + 4 == begin + len + 1);
    c->out.len += len + 1;
}

static void put_named(struct pg_conn *c, char type, char kind, const char *name) {
    size_t name_len = strlen(name), len = 4 + 1 + name_len + 1;
    char *at = room(c, len + 1);
    *at++ = type;
    pg_put32(at, (uint32_t)len);
    at[4] = kind;
    put_text(at + 5, name, name_len);
    c->out.len += len + 1;
}

/* --- jobs ------------------------------------------------------------------------------------ */

static void begin_job(struct pg_conn *c, struct pg_work *w) {
    w->conn = c;
    w->state = PG_WORK_SENT;
    w->sent_us = rt_mono_us(c->pool->rt);
    w->out_at = c->out_total;
    w->next_result = 0;
    w->tries++;
    list_push_back(&c->jobs, &w->node);
    if (c->load++ == 0)
        c->moved_us = w->sent_us;
    c->backlog_ns += w->cost_ns;
}

static void on_prepared(struct pg_work *w) {
    struct pg_prepare *job = CONTAINER_OF(w, struct pg_prepare, w);
    struct pg_prepared *e = w->conn ? &w->conn->prepared[job->stmt->id] : NULL;
    job->stmt->refs--;
    if (e && w->code == 0) {
        mem_free(e->failed);
        e->failed = NULL;
        e->state = PG_PREPARED_READY;
    } else if (e) {
        e->state = PG_PREPARED_FAILED;
        if (!e->failed)
            e->failed = NEW(struct err);
        *e->failed = w->err;
        memcpy(e->sqlstate, w->sqlstate, sizeof(e->sqlstate));
    }
    mem_free(job);
}

/* As late as the unit it is for. */
static void prepare(struct pg_conn *c, struct pg_stmt *t, int64_t deadline_us) {
    struct pg_prepare *job = NEW(struct pg_prepare);
    job->stmt = t;
    job->call = (struct pg_call){.name = "pg_prepare", .sql = t->sql};
    job->w = (struct pg_work){.calls = &job->call,
                              .call_count = 1,
                              .done = on_prepared,
                              .pool = c->pool,
                              .kind = PG_KIND_PREPARE,

                              .deadline_us = deadline_us,
                              .submitted_us = rt_mono_us(c->pool->rt)};
    t->refs++;
    c->prepared[t->id].state = PG_PREPARED_SENT;
    begin_job(c, &job->w);
    put_parse(c, t->name, t->sql, t->sql_len, NULL, t->oids, t->param_count);
    put_named(c, 'D', 'S', t->name);
    put(c, SYNC, sizeof(SYNC));
}

/* The statement of a call, prepared on this connection; NULL: send it without a name. */
static struct pg_stmt *statement(struct pg_conn *c, struct pg_work *w, const struct pg_call *call) {
    if (w->unnamed)
        return NULL;
    struct pg_stmt *t = pg_statement_of(c->pool, call);
    if (!t)
        return NULL;
    if (!c->prepared)
        c->prepared = mem_calloc(PG_STATEMENTS_MAX, sizeof(*c->prepared));
    enum pg_prepared_state state = c->prepared[t->id].state;
    if (state == PG_PREPARED_NONE || state == PG_PREPARED_FAILED)
        prepare(c, t, w->deadline_us);
    t->refs++;
    return t;
}

static void send_unit(struct pg_conn *c, struct pg_work *w) {
    struct pg_stmt *few[16], **stmts = few;
    size_t count = w->call_count;
    if (count > ARRAY_COUNT(few))
        stmts = mem_calloc(count, sizeof(*stmts));
    w->unnamed |= c->pool->stats.unnamed;
    for (size_t i = 0; i < count; i++)
        stmts[i] = statement(c, w, &w->calls[i]);
    begin_job(c, w);
    for (size_t i = 0; i < count; i++) {
        const struct pg_call *call = &w->calls[i];
        const struct pg_stmt *t = stmts[i];
        if (!t)
            put_parse(c, "", call->sql, strlen(call->sql), call->params, NULL, call->param_count);
        put_bind(c, t ? t->name : "", call->params, call->param_count);
        if (!t)
            put(c, DESCRIBE_PORTAL, sizeof(DESCRIBE_PORTAL));
        put(c, EXECUTE, sizeof(EXECUTE));
        vec_push(&c->stmts, stmts[i]);
        enum pg_class class = t ? t->class : pg_class_of(str_of(call->sql));
        metric_add(c->pool->m.by_class[class], 1);
    }
    c->pool->stats.statements += count;
    put(c, SYNC, sizeof(SYNC));
    if (stmts != few)
        mem_free(stmts);
}

static void send_simple(struct pg_conn *c, struct pg_work *w) {
    size_t sql_len = strlen(w->calls[0].sql);
    begin_job(c, w);
    char *at = room(c, sql_len + 6);
    at[0] = 'Q';
    pg_put32(at + 1, (uint32_t)sql_len + 5);
    put_text(at + 5, w->calls[0].sql, sql_len);
    c->out.len += sql_len + 6;
    c->pool->stats.statements++;
    metric_add(c->pool->m.by_class[pg_class_of(str_of(w->calls[0].sql))], 1);
}

static void send_describe(struct pg_conn *c, struct pg_work *w) {
    begin_job(c, w);
    put_parse(c, "", w->calls[0].sql, strlen(w->calls[0].sql), NULL, NULL, 0);
    put_named(c, 'D', 'S', "");
    put(c, SYNC, sizeof(SYNC));
}

void pg_send(struct pg_conn *c, struct pg_work *w) {
    switch ((enum pg_kind)w->kind) {
    case PG_KIND_UNIT:
        send_unit(c, w);
        break;
    case PG_KIND_SIMPLE:
    case PG_KIND_COPY:
        send_simple(c, w);
        break;
    case PG_KIND_DESCRIBE:
        send_describe(c, w);
        break;
    case PG_KIND_PREPARE:
        UNREACHABLE();
    }
    if (w->at_once)
        pg_conn_flush_now(c);
    else
        pg_conn_flush_later(c);
}

void pg_send_close(struct pg_conn *c, const struct pg_stmt *t) {
    put_named(c, 'C', 'S', t->name);
    pg_conn_flush_later(c);
}

void pg_send_copy_data(struct pg_conn *c, str bytes) {
    char head[5] = {'d'};
    pg_put32(head + 1, (uint32_t)bytes.len + 4);
    put(c, head, sizeof(head));
    put(c, bytes.p, bytes.len);
    pg_conn_flush_later(c);
}

void pg_send_copy_end(struct pg_conn *c, const char *failed) {
    if (failed) {
        size_t text_len = strlen(failed);
        char *at = room(c, text_len + 6);
        at[0] = 'f';
        pg_put32(at + 1, (uint32_t)text_len + 5);
        put_text(at + 5, failed, text_len);
        c->out.len += text_len + 6;
    } else {
        put(c, (const char[]){'c', 0, 0, 0, 4}, 5);
    }
    pg_conn_flush_later(c);
}

int pg_send_check(const struct pg_work *w, struct err *err) {
    size_t bytes = 0;
    for (size_t i = 0; i < w->call_count; i++) {
        const struct pg_call *call = &w->calls[i];
        if (call->param_count > UINT16_MAX)
            return err_set(err, ERR_INVALID, "a statement with %zu parameters", call->param_count);
        size_t one = bind_bytes(call->params, call->param_count);
        bytes += one;
        if (one > PG_MESSAGE_BYTES_MAX - 65536 || bytes > PG_MESSAGE_BYTES_MAX)
            return err_set(err, ERR_TOO_LARGE, "a statement of %zu bytes", bytes);
    }
    return 0;
}
