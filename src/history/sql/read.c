/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - ranges of events.
 *
 * There is a statement for each order and direction, with payloads and without: what is not asked
 * for is not read. Bounds that do not bind are the ends of their type, so that a plan for any
 * parameters reads a range of an index. A page is one statement, which asks for one event more than
 * wanted; in a session with large payloads it gives fewer of them than asked for (it knows the
 * largest), and the page goes on with the next. */
#include "history/sql/sql_int.h"

#define COLUMN_BYTES    10
#define COLUMN_PAYLOAD  11
#define COLUMN_LARGEST  12
#define STATEMENT_BYTES ((int64_t)HISTORY_PAYLOAD_BYTES_MAX)

struct reader {
    struct hsql *s;
    const struct history_range *range;
    struct id key;
    struct history_position from; /* by time: exclusive */
    int64_t seq_min, seq_max;
    struct arena *arena;
};

static int64_t clip(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

static int position_cmp(struct history_position a, struct history_position b) {
    int c = (a.occurred_at > b.occurred_at) - (a.occurred_at < b.occurred_at);
    return c ? c : (a.seq > b.seq) - (a.seq < b.seq);
}

/* Goes on behind a position. */
static void move(struct reader *r, struct history_position at) {
    bool down = r->range->newest_first;
    if (r->range->by_time) {
        at.seq = clip(at.seq, 0, HSQL_SEQ_MAX);
        int c = position_cmp(at, r->from);
        if (down ? c < 0 : c > 0)
            r->from = at;
        return;
    }
    at.seq = clip(at.seq, 0, HSQL_SEQ_MAX + 1);
    if (down && at.seq - 1 < r->seq_max)
        r->seq_max = at.seq - 1;
    if (!down && at.seq + 1 > r->seq_min)
        r->seq_min = at.seq + 1;
}

static void reader_init(struct reader *r, struct hsql *s, const struct history_range *range,
                        struct arena *a) {
    *r = (struct reader){.s = s, .range = range, .key = hsql_key(&range->key), .arena = a};
    r->seq_min = clip(range->seq_min, 1, HSQL_SEQ_MAX + 1);
    r->seq_max = clip(range->seq_max, 0, HSQL_SEQ_MAX);
    r->from.occurred_at = range->newest_first ? range->time_max : range->time_min;
    if (range->after)
        move(r, *range->after);
}

static int read_by_seq(struct reader *r, size_t limit, int64_t bytes, struct db_rows *out,
                       struct err *err) {
    static const enum db_stmt stmts[2][2] = {
        {SQL_HISTORY_BY_SEQ_UP_HEADS, SQL_HISTORY_BY_SEQ_UP_FULL},
        {SQL_HISTORY_BY_SEQ_DOWN_HEADS, SQL_HISTORY_BY_SEQ_DOWN_FULL}};
    const struct history_range *g = r->range;
    return db_read(r->s->db, stmts[g->newest_first][g->payloads],
                   DB_PARAMS(DB_UUID(r->key), DB_I(r->seq_min), DB_I(r->seq_max), DB_I(g->time_min),
                             DB_I(g->time_max), DB_I(g->now_us), DB_I((int64_t)limit), DB_I(bytes)),
                   r->arena, out, err);
}

static int read_by_time(struct reader *r, size_t limit, int64_t bytes, struct db_rows *out,
                        struct err *err) {
    static const enum db_stmt stmts[2][2] = {
        {SQL_HISTORY_BY_TIME_UP_HEADS, SQL_HISTORY_BY_TIME_UP_FULL},
        {SQL_HISTORY_BY_TIME_DOWN_HEADS, SQL_HISTORY_BY_TIME_DOWN_FULL}};
    const struct history_range *g = r->range;
    return db_read(r->s->db, stmts[g->newest_first][g->payloads],
                   DB_PARAMS(DB_UUID(r->key), DB_I(r->from.occurred_at), DB_I(r->from.seq),
                             DB_I(g->newest_first ? g->time_min : g->time_max), DB_I(r->seq_min),
                             DB_I(r->seq_max), DB_I(g->now_us), DB_I((int64_t)limit), DB_I(bytes)),
                   r->arena, out, err);
}

/* Its length is not said when it follows from the payload. */
static size_t payload_bytes(const struct db_rows *rows, size_t i) {
    return db_is_null(rows, i, COLUMN_BYTES) ? db_str(rows, i, COLUMN_PAYLOAD).len
                                             : (size_t)db_int(rows, i, COLUMN_BYTES);
}

static struct history_event event_of(const struct db_rows *rows, size_t i) {
    return (struct history_event){
        .seq = db_int(rows, i, 0),
        .id = db_str(rows, i, 1),
        .type = db_str(rows, i, 2),
        .occurred_at = db_int(rows, i, 3),
        .stored_at = db_int(rows, i, 4),
        .source = db_str(rows, i, 5),
        .trace_id = db_str(rows, i, 6),
        .ttl_ms = db_int(rows, i, 7),
        .headers = db_str(rows, i, 8),
        .payload_kind = (enum history_payload)db_int(rows, i, 9),
        .payload_bytes = payload_bytes(rows, i),
        .payload = db_str(rows, i, COLUMN_PAYLOAD),
    };
}

/* How many the statement gives at most: its last column is absent when nothing bounds it. */
static size_t statement_limit(const struct db_rows *rows, size_t limit, int64_t bytes) {
    int64_t largest = rows->row_count > 0 ? db_int(rows, 0, COLUMN_LARGEST) : 0;
    int64_t most = bytes / (largest > 1 ? largest : 1);
    most = most > 1 ? most : 1;
    return most < (int64_t)limit ? (size_t)most : limit;
}

static int fill(struct reader *r, struct history_page *page, struct err *err) {
    const struct history_range *g = r->range;
    const int64_t budget = g->payloads ? STATEMENT_BYTES : INT64_MAX;
    size_t bytes = 0;
    for (;;) {
        struct db_rows rows;
        size_t limit = g->limit + 1 - page->count;
        int rc = g->by_time ? read_by_time(r, limit, budget, &rows, err)
                            : read_by_seq(r, limit, budget, &rows, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < rows.row_count; i++) {
            page->more = page->count == g->limit || bytes > HISTORY_PAGE_BYTES_MAX;
            if (page->more)
                return 0;
            page->events[page->count] = event_of(&rows, i);
            bytes += page->events[page->count++].payload.len;
        }
        if (rows.row_count == 0 || rows.row_count < statement_limit(&rows, limit, budget))
            return 0;
        const struct history_event *last = &page->events[page->count - 1];
        move(r, (struct history_position){last->occurred_at, last->seq});
    }
}

int hsql_read(struct history *h, const struct history_range *range, struct arena *a,
              struct history_page *out, struct err *err) {
    struct reader r;
    struct history_page page = {ARENA_ARRAY(a, struct history_event, range->limit), 0, false};
    reader_init(&r, hsql_of(h), range, a);
    int rc = fill(&r, &page, err);
    if (rc == 0 && page.count == 0)
        rc = hsql_need(r.s, r.key, err);
    if (rc == 0)
        *out = page;
    return rc;
}
