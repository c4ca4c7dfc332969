/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c - the handlers of /threads that deal with the row: create, get, change, delete, search.
 *
 * Values come from the newest checkpoint, by reference; they are read only when they are asked for,
 * one thread after the other into memory that is used again, and go straight into the answer.
 *
 * A search for values has no index: it reads threads in their order, a page at a time, and
 * compares; it ends when the asked page is full, and refuses to read more than VALUES_SCAN_MAX
 * threads. */
#include "api/api_int.h"
#include "engine/engine.h"
#include "store/thread_ttl.h"

#define VALUES_SCAN_MAX  10000
#define VALUES_SCAN_PAGE 100
#define SEARCH_IDS_MAX   1000

static const struct word SORT_LIST[] = {
    {STR("thread_id"), THREAD_BY_ID},
    {STR("status"), THREAD_BY_STATUS},
    {STR("created_at"), THREAD_BY_CREATED},
    {STR("updated_at"), THREAD_BY_UPDATED},
    {STR("state_updated_at"), THREAD_BY_STATE_UPDATED},
};
static const struct word_set SORTS = {SORT_LIST, ARRAY_COUNT(SORT_LIST)};

static int values_of(struct store *s, const struct thread *t, struct arena *a, str *out,
                     struct err *err) {
    *out = STR_NULL;
    if (id_is_nil(t->checkpoint_id))
        return 0;
    return checkpoint_head_values(s, t->id, a, out, err);
}

int api_reply_thread(struct api_request *r, const struct thread *t, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, API_STATE_BYTES_MAX);
    str values;
    int rc = values_of(r->store, t, &scratch, &values, err);
    if (rc == 0) {
        struct json_writer w = api_json(r);
        api_write_thread(&w, t, values, STR_NULL, API_THREAD_ALL);
        rc = api_reply_json(r, 200);
    }
    arena_deinit(&scratch);
    return rc;
}

int api_param_thread_id(struct api_request *r, struct id *out, struct err *err) {
    str name = r->match.params[0];
    return api_param_id(r, 0, out, err, "Thread with ID %.*s not found",
                        (int)(name.len < 100 ? name.len : 100), name.p);
}

int api_param_thread(struct api_request *r, struct thread *out, struct err *err) {
    struct id id;
    int rc = api_param_thread_id(r, &id, err);
    return rc < 0 ? rc : thread_get(r->store, &r->who, id, r->arena, out, err);
}

/* ttl: minutes, or {"strategy", "ttl": minutes}; that ttl may be null, for none. Returns false when
 * there is nothing. */
static bool ttl_read(struct body *b, struct thread_ttl *out) {
    yyjson_val *v = body_get(b, "ttl"), *minutes = yyjson_is_obj(v) ? json_get(v, "ttl") : v;
    int strategy = PRUNE_DELETE;
    if (!v || (yyjson_is_obj(v) && yyjson_obj_size(v) == 0))
        return false;
    double most = (double)(THREAD_TTL_US_MAX / API_MINUTE_US), value = yyjson_get_num(minutes);
    yyjson_val *named = yyjson_is_obj(v) ? json_get(v, "strategy") : NULL;
    if (named && !yyjson_is_null(named) &&
        !(yyjson_is_str(named) && word_parse(&PRUNE_STRATEGY_WORDS, json_str(named), &strategy)))
        body_fault(b, "ttl", "strategy must be one of delete, keep_latest");
    bool none = yyjson_is_obj(v) && minutes && yyjson_is_null(minutes);
    if (!none && !(yyjson_is_num(minutes) && value > 0 && value <= most))
        body_fault(b, "ttl", "must be minutes, more than 0 and at most %.0f", most);
    *out = (struct thread_ttl){(enum prune_strategy)strategy,
                               none ? 0 : (int64_t)(value * API_MINUTE_US)};
    if (!none && out->us == 0)
        out->us = 1;
    return true;
}

struct thread_answer {
    struct api_request *r;
    struct thread t;
};

/* What the answer will be, kept by the batch that creates the thread. */
static void keep_thread(void *ctx, struct db_batch *b, int64_t now_us) {
    struct thread_answer *answer = ctx;
    struct thread *t = &answer->t;
    struct json_writer w = api_json(answer->r);
    t->created_at = t->updated_at = t->state_updated_at = now_us;
    api_write_thread(&w, t, STR_NULL, STR_NULL, API_THREAD_ALL);
    api_keyed_add(answer->r, b, arena_dup(answer->r->arena, buf_view(w.b)), ID_NIL, ID_NIL);
}

/* The thread's first state; a thread that cannot have it is not made. */
static int apply_supersteps(struct api_request *r, struct thread *t,
                            const struct state_superstep *steps, size_t count, struct err *err) {
    int rc = api_supersteps_apply(r, t, steps, count, err);
    if (rc < 0) {
        struct err deleting = {0};
        if (thread_delete(r->store, &r->who, t->id, r->arena, &deleting) < 0)
            (void)err_context(err, "(and the thread stays: %.80s)", deleting.message);
        return rc;
    }
    return thread_get(r->store, &r->who, t->id, r->arena, t, err);
}

int api_thread_create(struct api_request *r, struct err *err) {
    struct body b;
    struct thread_new n = {.config = STR("{}"), .ttl = r->store->thread_ttl};
    body_init(&b, r->arena, r->body);
    if (!body_id(&b, "thread_id", &n.id))
        n.id = id_v7();
    n.metadata = body_object(&b, "metadata");
    (void)ttl_read(&b, &n.ttl);
    int if_exists = body_enum(&b, "if_exists", &IF_EXISTS_WORDS, IF_EXISTS_RAISE);
    int rc = body_done(&b, err);
    struct state_superstep *steps;
    size_t step_count;
    if (rc == 0)
        rc = api_supersteps_read(r, &b, &steps, &step_count, err);
    if (rc < 0)
        return rc;
    struct thread t;
    struct thread_answer answer = {r, {.id = n.id,
                                       .metadata = store_metadata(r->arena, n.metadata),
                                       .status = THREAD_IDLE,
                                       .config = STR("{}"),
                                       .interrupts = STR("{}")}};
    struct store_rider rider = {keep_thread, &answer};
    struct store store = *r->store;
    store.with = r->keyed ? &rider : NULL;
    rc = thread_make(&store, &r->who, &n, if_exists == IF_EXISTS_DO_NOTHING, r->arena, &t, err);
    if (rc < 0)
        return rc;
    if (step_count && id_is_nil(t.checkpoint_id)) {
        rc = apply_supersteps(r, &t, steps, step_count, err);
        if (rc < 0)
            return rc;
    }
    str kept = api_keyed_answer(r);
    return kept.p ? api_reply_text(r, 200, kept) : api_reply_thread(r, &t, err);
}

int api_thread_get(struct api_request *r, struct err *err) {
    static const struct word words[] = {{STR("ttl"), 0}};
    static const struct word_set includes = {words, ARRAY_COUNT(words)};
    struct thread t;
    unsigned included;
    int rc = api_query_fields(r, "include", &includes, 0, &included, err);
    if (rc == 0)
        rc = api_param_thread(r, &t, err);
    if (rc == 0 && included)
        rc = thread_ttl_read(r->store, &t, r->arena, err);
    return rc < 0 ? rc : api_reply_thread(r, &t, err);
}

int api_thread_patch(struct api_request *r, struct err *err) {
    struct id id;
    struct thread t;
    struct body b;
    int rc = api_param_thread_id(r, &id, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    struct thread_ttl ttl;
    str metadata = body_object(&b, "metadata");
    bool ends = ttl_read(&b, &ttl);
    rc = body_done(&b, err);
    if (rc == 0)
        rc = thread_patch(r->store, &r->who, id, metadata, ends ? &ttl : NULL, r->arena, &t, err);
    if (rc < 0)
        return rc;
    if (str_find(http_header(r->http, STR("prefer")), STR("return=minimal")) >= 0)
        return api_reply_empty(r, 204);
    return api_reply_thread(r, &t, err);
}

int api_thread_remove(struct api_request *r, struct id id, bool busy, struct err *err) {
    engine_stop_thread(r->engine, id, busy);
    int rc = thread_delete(r->store, &r->who, id, r->arena, err);
    if (rc == 0)
        hub_thread_gone(engine_hub(r->engine), id);
    return rc;
}

/* One that nobody is known to use goes without being read before. */
static int delete_unused(struct api_request *r, struct id id, struct err *err) {
    if (engine_has_thread(r->engine, id))
        return ERR_NOT_FOUND;
    int rc = thread_delete_unless_busy(r->store, &r->who, id, r->arena, err);
    if (rc == 0)
        hub_thread_gone(engine_hub(r->engine), id);
    return rc;
}

int api_thread_delete(struct api_request *r, struct err *err) {
    struct id id;
    struct thread t;
    int rc = api_param_thread_id(r, &id, err);
    if (rc < 0)
        return rc;
    rc = delete_unused(r, id, err);
    if (rc == ERR_NOT_FOUND) { /* or it is busy: then its runs are stopped first */
        err_reset(err);
        rc = thread_get(r->store, &r->who, id, r->arena, &t, err);
        if (rc == 0)
            rc = api_thread_remove(r, id, t.status == THREAD_BUSY, err);
    }
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- search --- */

struct search {
    struct thread_filter filter;
    enum thread_status status;
    yyjson_val *values; /* to be contained; NULL: any */
    struct page page;
    unsigned fields;
    struct api_extract extract;
    struct json_writer writer;
    struct arena scratch; /* one thread's values */
    int64_t matched;      /* by values, so far */
    size_t written;
};

static void ids_read(struct body *b, struct thread_filter *f) {
    yyjson_val *list = body_str_array(b, "ids"), *item;
    size_t i, count, n = yyjson_arr_size(list);
    if (n > SEARCH_IDS_MAX) {
        body_fault(b, "ids", "at most %d", SEARCH_IDS_MAX);
        return;
    }
    struct id *ids = ARENA_ARRAY(b->a, struct id, n + 1);
    yyjson_arr_foreach(list, i, count, item) {
        if (!id_parse(json_str(item), &ids[i])) {
            body_fault(b, "ids", "must be UUIDs");
            return;
        }
    }
    f->ids = ids;
    f->id_count = n;
}

static void filter_read(struct body *b, struct search *s) {
    s->filter.metadata = api_filter_read(b, "metadata");
    s->filter.sort = (enum thread_sort)body_enum(b, "sort_by", &SORTS, THREAD_BY_UPDATED);
    s->values = body_object_val(b, "values");
    if (yyjson_obj_size(s->values) == 0)
        s->values = NULL;
    if (body_get(b, "status")) {
        s->status = (enum thread_status)body_enum(b, "status", &THREAD_STATUS_WORDS, THREAD_IDLE);
        s->filter.status = &s->status;
    }
    ids_read(b, &s->filter);
}

static int write_one(struct api_request *r, struct search *s, const struct thread *t, str values) {
    str extracted = api_extract_make(&s->scratch, &s->extract, t, values);
    api_write_thread(&s->writer, t, values, extracted, s->fields);
    s->written++;
    return buf_ok(&r->out) ? 0 : ERR_TOO_LARGE;
}

static int search_plain(struct api_request *r, struct search *s, bool *more, struct err *err) {
    struct page wider = s->page;
    wider.limit++; /* the row after the page tells whether more follow */
    struct thread *list;
    size_t count;
    int rc = thread_search(r->store, &r->who, &s->filter, &wider, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    *more = count > (size_t)s->page.limit;
    count -= *more;
    bool values_wanted = s->extract.values || (s->fields & 1u << API_THREAD_VALUES);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        str values = STR_NULL;
        arena_reset(&s->scratch);
        if (values_wanted)
            rc = values_of(r->store, &list[i], &s->scratch, &values, err);
        if (rc == 0)
            rc = write_one(r, s, &list[i], values);
    }
    return rc;
}

/* One thread of a scan: counts it when its values match and writes it when it is on the page. */
static int scan_one(struct api_request *r, struct search *s, const struct thread *t, bool write,
                    struct err *err) {
    str values;
    yyjson_val *parsed = NULL;
    arena_reset(&s->scratch);
    int rc = values_of(r->store, t, &s->scratch, &values, err);
    if (rc == 0 && values.p)
        rc = json_parse(&s->scratch, values, &parsed, err);
    if (rc < 0 || !json_contains(parsed, s->values))
        return rc;
    int64_t place = s->matched++;
    if (!write || place < s->page.offset || place >= s->page.offset + s->page.limit)
        return 0;
    return write_one(r, s, t, values);
}

/* Ends early when the page is full and one more was found. */
static int scan_values(struct api_request *r, struct search *s, bool write, struct err *err) {
    struct page at = {.limit = VALUES_SCAN_PAGE, .order = s->page.order};
    struct arena rows;
    int rc = 0;
    arena_init(&rows, API_STATE_BYTES_MAX);
    for (bool ended = false; rc == 0 && !ended; at.offset += VALUES_SCAN_PAGE) {
        struct thread *list;
        size_t count = 0;
        arena_reset(&rows);
        if (at.offset >= VALUES_SCAN_MAX)
            rc = err_set(err, ERR_INVALID,
                         "values: more than %d threads to look through; narrow "
                         "the search by metadata, status or ids",
                         VALUES_SCAN_MAX);
        if (rc == 0)
            rc = thread_search(r->store, &r->who, &s->filter, &at, &rows, &list, &count, err);
        for (size_t i = 0; rc == 0 && !ended && i < count; i++) {
            rc = scan_one(r, s, &list[i], write, err);
            ended = write && s->matched > s->page.offset + s->page.limit;
        }
        ended = ended || count < VALUES_SCAN_PAGE;
    }
    arena_deinit(&rows);
    return rc;
}

int api_thread_search(struct api_request *r, struct err *err) {
    struct search s = {.written = 0};
    struct body b;
    body_init(&b, r->arena, r->body);
    filter_read(&b, &s);
    s.page = api_page_read(&b, 10);
    s.fields = api_fields_read(&b, "select", &API_THREAD_FIELDS, API_THREAD_ALL);
    api_extract_read(&b, &s.extract);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    bool more = false;
    arena_init(&s.scratch, API_STATE_BYTES_MAX);
    s.writer = api_json(r);
    jw_array(&s.writer);
    if (s.values) {
        rc = scan_values(r, &s, true, err);
        more = s.matched > s.page.offset + s.page.limit;
    } else {
        rc = search_plain(r, &s, &more, err);
    }
    arena_deinit(&s.scratch);
    if (rc < 0)
        return rc;
    jw_array_end(&s.writer);
    api_page_headers(r, &s.page, s.written, more);
    return api_reply_json(r, 200);
}

int api_thread_count(struct api_request *r, struct err *err) {
    struct search s = {.written = 0};
    struct body b;
    int64_t count = 0;
    body_init(&b, r->arena, r->body);
    filter_read(&b, &s);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    if (s.values) {
        arena_init(&s.scratch, API_STATE_BYTES_MAX);
        rc = scan_values(r, &s, false, err);
        arena_deinit(&s.scratch);
        count = s.matched;
    } else {
        rc = thread_count(r->store, &r->who, &s.filter, r->arena, &count, err);
    }
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_i64(&w, count);
    return api_reply_json(r, 200);
}
