/* SPDX-License-Identifier: Apache-2.0 */
/* agent_logs.c - the handlers of /logs: what agents write down, one by one or many at once, and
 * asking for it.
 *
 * Many are stored by one statement, all of them or none; with an Idempotency-Key once, however
 * often they are sent. A list goes from the newest on; its cursor is the place of the last row that
 * was looked at, "time.id", and holds whatever is added or deleted meanwhile. A page may have fewer
 * rows than asked for, even none, and still say where to go on: then few rows meet all that is
 * asked. */
#include "api/agent_logs_int.h"

#include <stdio.h>

#include "base/clock.h"

#define PAGE_MAX      1000
#define PAGE          50
#define DELETE_MAX    1000 /* in one batch */
#define DELETE_ROUNDS 10
#define FUTURE_US     INT64_C(300000000) /* clocks of agents may be ahead */
#define TIME_MAX      INT64_C(253402300799000000)
#define CURSOR_DIGITS 20

static const struct id LAST = {
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

static void write_log(struct json_writer *w, const struct agent_log *l) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, l->id);
    jw_key(w, "session_id");
    api_write_id(w, l->session_id);
    jw_key(w, "level");
    jw_str(w, l->level);
    jw_key(w, "category");
    jw_str(w, l->category);
    jw_key(w, "tier");
    jw_str(w, l->tier);
    jw_key(w, "message");
    jw_str(w, l->message);
    jw_key(w, "data");
    jw_raw(w, l->data);
    api_write_time_member(w, "created_at", l->created_at);
    jw_object_end(w);
}

/* --- writing --- */

static int64_t read_time(struct body *b, int64_t now_us) {
    str text = body_str(b, "created_at", STR_NULL);
    int64_t at = now_us;
    if (text.p && (!time_parse_iso(text, &at) || at <= 0))
        body_fault(b, "created_at", "must be a time in ISO 8601");
    else if (at > now_us + FUTURE_US)
        body_fault(b, "created_at", "must not be in the future");
    return at;
}

static int read_log(struct api_request *r, yyjson_val *v, int64_t now_us, struct agent_log *out,
                    struct err *err) {
    struct body b;
    body_init(&b, r->arena, v);
    *out = (struct agent_log){.id = id_v7()};
    out->session_id = body_id_required(&b, "session_id");
    out->level =
        word_text(&AGENT_LOG_LEVELS, body_enum(&b, "level", &AGENT_LOG_LEVELS, AGENT_LOG_INFO));
    out->category = body_str_sized(&b, "category", 1, AGENT_LOG_CATEGORY_BYTES, STR("general"));
    out->message = body_str_required(&b, "message");
    out->data = body_get(&b, "data") ? body_json(&b, "data", STR_NULL) : STR_NULL;
    out->created_at = read_time(&b, now_us);
    int rc = body_done(&b, err);
    if (rc == 0 && out->message.len > AGENT_LOG_MESSAGE_BYTES_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "message: has more than %d bytes",
                     AGENT_LOG_MESSAGE_BYTES_MAX);
    if (rc == 0 && out->data.len > AGENT_LOG_DATA_BYTES_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "data: has more than %d bytes", AGENT_LOG_DATA_BYTES_MAX);
    return rc;
}

/* One object, or a list of them. */
static int read_logs(struct api_request *r, struct agent_log **out, size_t *out_count,
                     struct err *err) {
    bool many = yyjson_is_arr(r->body);
    size_t count = many ? yyjson_arr_size(r->body) : 1, i, n;
    int64_t now_us = rt_now_us(fiber_rt());
    yyjson_val *v;
    if (count > AGENT_LOG_COUNT_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu logs are more than the %d of one request", count,
                       AGENT_LOG_COUNT_MAX);
    struct agent_log *logs = ARENA_ARRAY(r->arena, struct agent_log, count + 1);
    int rc = many ? 0 : read_log(r, r->body, now_us, logs, err);
    if (many)
        yyjson_arr_foreach(r->body, i, n, v) {
            if (rc == 0)
                rc = read_log(r, v, now_us, &logs[i], err);
            if (rc < 0) {
                (void)err_context(err, "no. %zu", i);
                break;
            }
        }
    *out = logs;
    *out_count = count;
    return rc;
}

int api_log_create(struct api_request *r, struct err *err) {
    struct agent_log *logs;
    size_t count;
    struct db_batch b;
    struct json_writer w;
    int rc = read_logs(r, &logs, &count, err);
    if (rc < 0)
        return rc;
    w = api_json(r);
    jw_object(&w);
    jw_key(&w, "ids");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        api_write_id(&w, logs[i].id);
    jw_array_end(&w);
    jw_object_end(&w);
    str answer = arena_dup(r->arena, buf_view(w.b));
    db_batch_init(&b, r->arena);
    if (count > 0)
        agent_log_put_add(&b, &r->who, logs, count);
    api_keyed_add(r, &b, answer, ID_NIL, ID_NIL);
    rc = b.count ? db_commit(r->store->db, &b, err) : 0;
    return rc < 0 ? rc : api_reply_text(r, 200, answer);
}

/* --- asking --- */

static int read_word(struct api_request *r, const char *name, const struct word_set *words,
                     str *out, struct err *err) {
    int value;
    str text = http_query_get(&r->query, name);
    *out = text.len ? text : STR_NULL;
    if (!out->p || word_parse(words, text, &value))
        return 0;
    (void)word_refuse(words, err);
    (void)err_context(err, "%s", name);
    return ERR_INVALID;
}

static int read_query_time(struct api_request *r, const char *name, int64_t *out, struct err *err) {
    str text = http_query_get(&r->query, name);
    if (text.len == 0 || (time_parse_iso(text, out) && *out >= 0 && *out <= TIME_MAX))
        return 0;
    return err_set(err, ERR_INVALID, "%s: must be a time in ISO 8601", name);
}

static int read_session(struct api_request *r, struct id *out, struct err *err) {
    str text = http_query_get(&r->query, "session_id");
    if (text.len > 0 && (!id_parse(text, out) || id_is_nil(*out)))
        return err_set(err, ERR_INVALID, "session_id: must be an id");
    return 0;
}

static int read_cursor(struct api_request *r, struct agent_log_query *q, struct err *err) {
    str text = http_query_get(&r->query, "cursor");
    ptrdiff_t dot = str_find_char(text, '.');
    int64_t at;
    struct id id;
    if (text.len == 0)
        return 0;
    if (dot < 1 || dot > CURSOR_DIGITS || !str_to_i64(str_slice(text, 0, (size_t)dot), &at) ||
        at < 0 || at > TIME_MAX || !id_parse(str_slice(text, (size_t)dot + 1, text.len), &id))
        return err_set(err, ERR_INVALID, "cursor: must be the `next` of the answer before");
    if (at < q->below_us || (at == q->below_us && memcmp(id.b, q->below_id.b, sizeof(id.b)) < 0)) {
        q->below_us = at;
        q->below_id = id;
    }
    return 0;
}

int api_log_query(struct api_request *r, int64_t page_max, struct agent_log_query *q,
                  struct err *err) {
    *q = (struct agent_log_query){.below_us = TIME_MAX, .below_id = LAST};
    str category = http_query_get(&r->query, "category");
    q->category = category.len ? category : STR_NULL;
    int rc = read_session(r, &q->session_id, err);
    if (rc == 0)
        rc = read_query_time(r, "since", &q->since_us, err);
    if (rc == 0)
        rc = read_query_time(r, "until", &q->below_us, err);
    if (q->below_us < TIME_MAX)
        q->below_id = ID_NIL;
    if (rc == 0)
        rc = api_query_int(r, "limit", (struct body_range){1, page_max, PAGE}, &q->limit, err);
    return rc < 0 ? rc : read_cursor(r, q, err);
}

static int read_query(struct api_request *r, struct agent_log_query *q, struct err *err) {
    int rc = api_log_query(r, PAGE_MAX, q, err);
    if (rc == 0)
        rc = read_word(r, "level", &AGENT_LOG_LEVELS, &q->level, err);
    return rc < 0 ? rc : read_word(r, "tier", &AGENT_LOG_TIERS, &q->tier, err);
}

void api_write_log_place(struct json_writer *w, struct arena *a,
                         const struct agent_log_next *next) {
    jw_key(w, "next");
    jw_str(w, next->more ? arena_printf(a, "%lld." STR_FMT, (long long)next->at,
                                        STR_ARG(id_hex(a, next->id)))
                         : STR_NULL);
}

int api_log_list(struct api_request *r, struct err *err) {
    struct agent_log_query q;
    struct agent_log *list;
    struct agent_log_next next;
    size_t count;
    int rc = read_query(r, &q, err);
    if (rc == 0)
        rc = agent_log_list(r->store, &r->who, &q, r->arena, &list, &count, &next, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "logs");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_log(&w, &list[i]);
    jw_array_end(&w);
    api_write_log_place(&w, r->arena, &next);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_log_get(struct api_request *r, struct err *err) {
    struct agent_log l;
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Log not found");
    if (rc == 0)
        rc = agent_log_get(r->store, &r->who, id, r->arena, &l, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_log(&w, &l);
    return api_reply_json(r, 200);
}

int api_log_tiers(struct api_request *r, struct err *err) {
    struct agent_log_counts counts;
    int rc = agent_log_counts(r->store, &r->who, r->arena, &counts, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "tiers");
    jw_array(&w);
    for (size_t i = 0; i < AGENT_LOG_TIERS.count; i++) {
        jw_object(&w);
        jw_key(&w, "tier");
        jw_str(&w, AGENT_LOG_TIERS.words[i].text);
        jw_key(&w, "rows");
        jw_i64(&w, counts.rows[i]);
        jw_key(&w, "bytes");
        jw_i64(&w, counts.bytes[i]);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- deleting --- */

int api_log_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Log not found");
    if (rc == 0)
        rc = agent_log_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* A bounded number of them; the answer says whether to ask again. */
int api_log_delete_session(struct api_request *r, struct err *err) {
    struct id session = ID_NIL;
    int64_t deleted = 0, all = 0;
    bool more = true;
    int rc = read_session(r, &session, err);
    if (rc == 0 && id_is_nil(session))
        rc = err_set(err, ERR_INVALID, "session_id: is required");
    for (int i = 0; rc == 0 && more && i < DELETE_ROUNDS; i++, all += deleted)
        rc = agent_log_delete_session(r->store, &r->who, session, DELETE_MAX, r->arena, &deleted,
                                      &more, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "deleted");
    jw_i64(&w, all);
    jw_key(&w, "more");
    jw_bool(&w, more);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}
