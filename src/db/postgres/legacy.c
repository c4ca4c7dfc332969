/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.c - the two tables of an older store in PostgreSQL.
 *
 * Envelopes and payloads may be text, json or jsonb, times text or timestamps: all are asked for as
 * text. Each call is a read-only transaction. The rows of a session come by a cursor over ids and
 * sizes, so the server sorts once, and then by id in parts that are no larger than a page.
 *
 * A mark is the oldest transaction that was under way when the session was read (the xmin of the
 * reading's snapshot): what was not visible then was written by that one or a later one. So rows
 * are new when their own xmin is not older than the mark. Numbers of transactions come again after
 * four thousand million; then old rows may look new, never the other way round.
 *
 * Without an index that begins with session_id each session is a walk over the table. Nothing is
 * added to a store that is only read, so check() tells who can. */
#include "db/postgres/legacy.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pg/pool.h"

#define CONNECTIONS_MAX 4
#define CLOSE_US        2000000
#define SQL_BYTES_MAX   16384
#define NAME_BYTES_MAX  63
#define PAGE_ARENA      (2 * DB_LEGACY_ROW_BYTES_MAX)
#define ROW_OVERHEAD    4096 /* of a row: its id and time, cut */

/* ISO-8601, its parts. */
#define INSTANT                                                                                    \
    "'^(\\d{4})-(\\d\\d)-(\\d\\d)[T ](\\d\\d):(\\d\\d)(?::(\\d\\d(?:\\.\\d{1,9})?))?"              \
    "(?:Z|([+-]\\d\\d):?(\\d\\d)?)?$'"

struct reader {
    struct db_legacy base;
    struct rt *rt;
    struct pg_pool *pool; /* NULL: not used yet */
    char *url, *schema;   /* without the parameter; its value */
    struct buf sql;       /* the texts, one after the other, each with its NUL */
    const char *sessions, *rows, *rows_unknown, *envelopes, *checkpoint;
};

static struct reader *reader_of(struct db_legacy *l) {
    return CONTAINER_OF(l, struct reader, base);
}

/* --- statements --- */

static void write_rows(struct buf *b, const char *schema, const char *also) {
    /* A time that is none never fails here: its parts are added up as an interval. */
    buf_printf(b,
               "DECLARE old_rows NO SCROLL CURSOR FOR SELECT e.id::text, "
               "octet_length(e.envelope::text)::bigint FROM \"%s\".history_events e "
               "LEFT JOIN LATERAL regexp_match(to_json(e.occurred_at) #>> '{}', " INSTANT
               ") AS t(m) ON true WHERE (e.session_id = $1::text%s) AND ($2::text = '' OR "
               "age(e.xmin) <= age((coalesce(nullif($2::text, ''), '3')::bigint %% "
               "4294967296)::text::xid)) ORDER BY timestamp '1970-01-01' + make_interval("
               "m[1]::int - 1970, m[2]::int - 1, 0, m[3]::int - 1, m[4]::int, m[5]::int, "
               "coalesce(m[6], '0')::float8) - make_interval(0, 0, 0, 0, coalesce(m[7], '0')::int, "
               "(coalesce(left(m[7], 1), '') || coalesce(m[8], '0'))::int) NULLS FIRST, e.id",
               schema, also);
    buf_char(b, 0);
}

static void write_statements(struct reader *r) {
    size_t at[5];
    struct buf *b = &r->sql;
    buf_init(b, SQL_BYTES_MAX);
    at[0] = b->len;
    buf_printf(b,
               "SELECT name, max(at) FROM (SELECT coalesce(nullif(left(session_id, 600), ''), "
               "'" DB_LEGACY_UNKNOWN
               "') COLLATE \"C\" AS name, to_json(occurred_at) #>> '{}' AS at "
               "FROM \"%s\".history_events UNION ALL SELECT left(session_id, 600) COLLATE \"C\", "
               "NULL FROM \"%s\".history_checkpoints) s WHERE name > $1::text COLLATE \"C\" "
               "GROUP BY name ORDER BY name LIMIT $2::bigint",
               r->schema, r->schema);
    buf_char(b, 0);
    at[1] = b->len;
    write_rows(b, r->schema, "");
    at[2] = b->len;
    write_rows(b, r->schema, " OR e.session_id IS NULL OR e.session_id = ''");
    at[3] = b->len;
    buf_printf(b,
               "SELECT r.* FROM unnest($1::text[]) WITH ORDINALITY AS w(id, n), LATERAL ("
               "SELECT left(e.id::text, 1000), left(to_json(e.occurred_at) #>> '{}', 100), "
               "e.envelope::text FROM \"%s\".history_events e WHERE e.id = w.id LIMIT 1) r "
               "ORDER BY w.n",
               r->schema);
    buf_char(b, 0);
    at[4] = b->len;
    buf_printf(b,
               "SELECT CASE WHEN octet_length(payload::text) <= %zu THEN payload::text END, "
               "left(to_json(created_at) #>> '{}', 100) FROM \"%s\".history_checkpoints "
               "WHERE session_id = $1::text LIMIT 1",
               DB_LEGACY_ROW_BYTES_MAX, r->schema);
    buf_char(b, 0);
    ASSERT(buf_ok(b));
    r->sessions = b->p + at[0];
    r->rows = b->p + at[1];
    r->rows_unknown = b->p + at[2];
    r->envelopes = b->p + at[3];
    r->checkpoint = b->p + at[4];
}

/* --- running one --- */

static int open_pool(struct reader *r, struct err *err) {
    struct pg_pool_options o;
    if (r->pool)
        return 0;
    pg_pool_options_default(&o);
    o.url = r->url;
    o.application_name = "holdfast-legacy";
    o.connections_max = CONNECTIONS_MAX;
    o.connections_min = 0;
    return pg_pool_open(r->rt, &o, &r->pool, err);
}

/* Statements that do not fit the tables are the store's fault, here. */
static int refused(int rc, struct err *err) {
    if (rc != ERR_INTERNAL || !err)
        return rc;
    err->code = ERR_INVALID;
    return ERR_INVALID;
}

typedef int (*result_fn)(struct pg_work *w, size_t index, const struct pg_result *r,
                         struct err *err);

static int run(struct pg_tx *tx, const char *sql, const struct pg_param *params, size_t count,
               result_fn fn, void *ctx, struct err *err) {
    struct pg_call call = {.sql = sql, .params = params, .param_count = count};
    struct pg_work w = {
        .calls = &call, .call_count = 1, .timeout_us = -1, .result = fn, .ctx = ctx};
    return refused(pg_tx_run(tx, &w, err), err);
}

/* One snapshot, in which nothing can be changed. */
static int begin(struct reader *r, struct pg_tx **out, struct err *err) {
    int rc = open_pool(r, err);
    if (rc == 0)
        rc = pg_tx_begin(r->pool, out, err);
    if (rc < 0)
        return rc;
    rc = run(*out, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", NULL, 0, NULL,
             NULL, err);
    if (rc < 0)
        pg_tx_rollback(*out);
    return rc;
}

/* One statement in a transaction of its own. */
static int ask(struct reader *r, const char *sql, const struct pg_param *params, size_t count,
               result_fn fn, void *ctx, struct err *err) {
    struct pg_tx *tx;
    int rc = begin(r, &tx, err);
    if (rc < 0)
        return rc;
    rc = run(tx, sql, params, count, fn, ctx, err);
    pg_tx_rollback(tx);
    return rc;
}

static str cell(const struct pg_result *r, size_t row, size_t col, struct arena *a) {
    return pg_cell_null(r, row, col) ? STR_NULL : arena_dup(a, pg_cell_text(r, row, col));
}

/* --- checking --- */

struct found {
    int64_t tables, indexed;
};

static int on_found(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct found *f = w->ctx;
    (void)index;
    (void)err;
    f->tables = pg_cell_int(r, 0, 0);
    f->indexed = pg_cell_int(r, 0, 1);
    return 0;
}

static int reader_check(struct db_legacy *l, struct err *err) {
    struct reader *r = reader_of(l);
    struct found f = {0};
    const struct pg_param schema[] = {pg_text(str_of(r->schema))};
    int rc = ask(r,
                 "SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM pg_index i "
                 "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
                 "WHERE i.indrelid = c.oid AND a.attname = 'session_id' AND i.indpred IS NULL)) "
                 "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                 "WHERE n.nspname = $1::text AND c.relname IN ('history_events', "
                 "'history_checkpoints') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
                 schema, 1, on_found, &f, err);
    if (rc == 0 && f.tables != 2)
        rc = err_set(err, ERR_INVALID,
                     "schema %s has no tables history_events and history_checkpoints", r->schema);
    if (rc == 0 && f.indexed != 2)
        log_event(LOG_WARN, "history.legacy.index",
                  "no index of the older table history_events begins with session_id: each "
                  "session that is read is a walk over the table",
                  LOG_Z("schema", r->schema));
    return rc;
}

/* --- sessions, checkpoints --- */

struct listing {
    struct arena *a;
    struct db_legacy_session *list;
    size_t count;
};

static int on_sessions(struct pg_work *w, size_t index, const struct pg_result *r,
                       struct err *err) {
    struct listing *l = w->ctx;
    (void)index;
    (void)err;
    l->count = pg_row_count(r);
    for (size_t i = 0; i < l->count; i++) {
        l->list[i].name = cell(r, i, 0, l->a);
        if (!time_parse_iso(pg_cell_text(r, i, 1), &l->list[i].updated_at))
            l->list[i].updated_at = 0;
    }
    return 0;
}

static int reader_session_list(struct db_legacy *l, str after, size_t limit, struct arena *a,
                               struct db_legacy_session **out, size_t *out_count, struct err *err) {
    struct reader *r = reader_of(l);
    struct listing found = {a, ARENA_ARRAY(a, struct db_legacy_session, limit), 0};
    const struct pg_param params[] = {pg_text(after), pg_int8((int64_t)limit)};
    int rc = ask(r, r->sessions, params, 2, on_sessions, &found, err);
    *out = found.list;
    *out_count = found.count;
    return rc;
}

struct checkpoint {
    struct arena *a;
    struct db_legacy_checkpoint *out;
    bool found;
};

static int on_checkpoint(struct pg_work *w, size_t index, const struct pg_result *r,
                         struct err *err) {
    struct checkpoint *c = w->ctx;
    (void)index;
    (void)err;
    c->found = pg_row_count(r) > 0;
    if (c->found)
        *c->out = (struct db_legacy_checkpoint){cell(r, 0, 0, c->a), cell(r, 0, 1, c->a)};
    return 0;
}

static int reader_checkpoint(struct db_legacy *l, str session, struct arena *a,
                             struct db_legacy_checkpoint *out, struct err *err) {
    struct reader *r = reader_of(l);
    struct checkpoint c = {a, out, false};
    const struct pg_param params[] = {pg_text(session)};
    int rc = ask(r, r->checkpoint, params, 1, on_checkpoint, &c, err);
    return rc == 0 && !c.found ? err_set(err, ERR_NOT_FOUND, "no checkpoint") : rc;
}

/* --- rows --- */

/* What the cursor gave: ids, and how large their envelopes are. */
struct batch {
    struct arena a;
    str ids[DB_LEGACY_PAGE_ROWS];
    int64_t sizes[DB_LEGACY_PAGE_ROWS];
    size_t count;
};
struct rows {
    struct arena a;
    struct db_legacy_row list[DB_LEGACY_PAGE_ROWS];
    size_t count;
};

static int on_batch(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct batch *b = w->ctx;
    (void)index;
    b->count = pg_row_count(r);
    for (size_t i = 0; i < b->count; i++) {
        str id = pg_cell_text(r, i, 0);
        char *p = arena_try_alloc(&b->a, id.len + 1);
        if (!p)
            return err_set(err, ERR_TOO_LARGE, "the ids of the older rows are too long");
        memcpy(p, id.p, id.len);
        b->ids[i] = str_n(p, id.len);
        b->sizes[i] = pg_cell_int(r, i, 1);
    }
    return 0;
}

static int on_rows(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct rows *rows = w->ctx;
    (void)index;
    (void)err;
    rows->count = pg_row_count(r);
    for (size_t i = 0; i < rows->count; i++)
        rows->list[i] = (struct db_legacy_row){.id = cell(r, i, 0, &rows->a),
                                               .time = cell(r, i, 1, &rows->a),
                                               .envelope = cell(r, i, 2, &rows->a)};
    return 0;
}

/* Rows from `from` on that make a page; at least one. */
static size_t part_of(const struct batch *b, size_t from) {
    size_t bytes = 0, at = from;
    while (at < b->count && bytes < DB_LEGACY_PAGE_BYTES) {
        if (b->sizes[at] > (int64_t)DB_LEGACY_ROW_BYTES_MAX)
            break;
        bytes += (size_t)b->sizes[at++] + ROW_OVERHEAD;
    }
    return at - from;
}

static int give_part(struct reader *r, struct pg_tx *tx, struct batch *b, size_t from, size_t count,
                     struct rows *rows, struct err *err) {
    struct pg_param *ids = ARENA_ARRAY(&rows->a, struct pg_param, count);
    for (size_t i = 0; i < count; i++)
        ids[i] = pg_text(b->ids[from + i]);
    const struct pg_param params[] = {pg_array(&rows->a, PG_OID_TEXT, ids, count)};
    return run(tx, r->envelopes, params, 1, on_rows, rows, err);
}

/* What one FETCH gave, in parts. */
static int give(struct reader *r, struct pg_tx *tx, struct batch *b, struct rows *rows,
                db_legacy_rows_fn fn, void *ctx, struct err *err) {
    int rc = 0;
    for (size_t at = 0, count; rc == 0 && at < b->count; at += count) {
        count = part_of(b, at);
        arena_init(&rows->a, PAGE_ARENA);
        if (count == 0) { /* one that is too large */
            count = rows->count = 1;
            rows->list[0] = (struct db_legacy_row){.id = str_slice(b->ids[at], 0, 1000)};
        } else {
            rc = give_part(r, tx, b, at, count, rows, err);
        }
        if (rc == 0 && rows->count > 0)
            rc = fn(ctx, rows->list, rows->count, err);
        arena_deinit(&rows->a);
    }
    return rc;
}

static int on_mark(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct db_legacy_mark *m = w->ctx;
    str text = pg_cell_text(r, 0, 0);
    (void)index;
    (void)err;
    (void)snprintf(m->text, sizeof m->text, STR_FMT, STR_ARG(text));
    return 0;
}

static int declare(struct reader *r, struct pg_tx *tx, str session,
                   const struct db_legacy_mark *mark, struct db_legacy_mark *now, struct err *err) {
    int64_t number;
    bool fits = str_to_i64(str_of(mark->text), &number) && number > 0;
    const struct pg_param params[] = {pg_text(session),
                                      pg_text(fits ? str_of(mark->text) : STR(""))};
    bool unknown = str_eq(session, STR(DB_LEGACY_UNKNOWN));
    int rc =
        run(tx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text", NULL, 0, on_mark, now, err);
    return rc < 0 ? rc : run(tx, unknown ? r->rows_unknown : r->rows, params, 2, NULL, NULL, err);
}

#define TEXT_OF(n)  TEXT_OF_(n)
#define TEXT_OF_(n) #n

static int reader_rows(struct db_legacy *l, str session, const struct db_legacy_mark *mark,
                       db_legacy_rows_fn fn, void *ctx, struct db_legacy_mark *out_mark,
                       struct err *err) {
    struct reader *r = reader_of(l);
    struct db_legacy_mark now = {""};
    struct pg_tx *tx;
    bool any = false;
    int rc = begin(r, &tx, err);
    if (rc < 0)
        return rc;
    struct batch *b = mem_zalloc(sizeof *b);
    struct rows *rows = mem_zalloc(sizeof *rows);
    rc = declare(r, tx, session, mark, &now, err);
    do {
        arena_init(&b->a, DB_LEGACY_ROW_BYTES_MAX);
        b->count = 0;
        if (rc == 0)
            rc = run(tx, "FETCH FORWARD " TEXT_OF(DB_LEGACY_PAGE_ROWS) " FROM old_rows", NULL, 0,
                     on_batch, b, err);
        any = any || b->count > 0;
        if (rc == 0)
            rc = give(r, tx, b, rows, fn, ctx, err);
        arena_deinit(&b->a);
    } while (rc == 0 && b->count > 0);
    mem_free(rows);
    mem_free(b);
    pg_tx_rollback(tx);
    *out_mark = any ? now : *mark;
    return rc;
}

/* --- opening, closing --- */

static void reader_close(struct db_legacy *l) {
    struct reader *r = reader_of(l);
    pg_pool_close_wait(r->pool, clock_mono_us() + CLOSE_US);
    buf_deinit(&r->sql);
    mem_free(r->url);
    mem_free(r->schema);
    mem_free(r);
}

/* Takes schema=NAME out of the parameters. */
static int split_url(struct reader *r, str url, struct err *err) {
    ptrdiff_t mark = str_find_char(url, '?');
    str base = mark < 0 ? url : str_slice(url, 0, (size_t)mark), part;
    str rest = mark < 0 ? STR("") : str_slice(url, (size_t)mark + 1, url.len);
    str schema = STR("public");
    struct buf b;
    buf_init(&b, url.len + 2);
    buf_str(&b, base);
    for (char sign = '?'; rest.len > 0 && str_split_next(&rest, '&', &part);) {
        if (str_starts(part, STR("schema="))) {
            schema = str_slice(part, strlen("schema="), part.len);
            continue;
        }
        buf_char(&b, sign);
        buf_str(&b, part);
        sign = '&';
    }
    buf_char(&b, 0);
    r->url = mem_alloc(b.len);
    memcpy(r->url, b.p, b.len);
    buf_deinit(&b);
    if (schema.len == 0 || schema.len > NAME_BYTES_MAX || str_find_char(schema, '"') >= 0 ||
        str_find_char(schema, '%') >= 0 || !str_is_utf8(schema))
        return err_set(err, ERR_INVALID, "schema: must be the plain name of a schema");
    r->schema = mem_zalloc(schema.len + 1);
    memcpy(r->schema, schema.p, schema.len);
    return 0;
}

int db_legacy_postgres(struct rt *rt, str url, struct db_legacy **out, struct err *err) {
    static const struct db_legacy_vtable vtable = {
        .name = "two tables, PostgreSQL",
        .check = reader_check,
        .session_list = reader_session_list,
        .rows = reader_rows,
        .checkpoint = reader_checkpoint,
        .close = reader_close,
    };
    struct reader *r = NEW(struct reader);
    r->base.vtable = &vtable;
    r->rt = rt;
    int rc = split_url(r, url, err);
    if (rc < 0) {
        reader_close(&r->base);
        return rc;
    }
    write_statements(r);
    db_legacy_identify(&r->base, url);
    *out = &r->base;
    return 0;
}
