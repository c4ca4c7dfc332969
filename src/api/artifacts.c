/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts.c - the handlers of artifacts: listing them, putting one into a plan run, reading it.
 *
 * The content is answered as what it was put as, but as a download that no browser interprets: who
 * may put artifacts must not write pages of this server. Its tag is its digest, so a reader that
 * has it already is told so, and one that was cut goes on where it was. Content is never
 * compressed: ranges would be of something else then. */
#include "api/api_int.h"
#include "http/range.h"
#include "plans/artifacts.h"
#include "store/plans.h"

#define PAGE_USUAL 100
#define PAGE_MAX   1000

static int artifacts_of(struct api_request *r, struct artifacts **out, struct err *err) {
    *out = api_options_of(r->api)->artifacts;
    return *out ? 0 : err_set(err, ERR_UNSUPPORTED, "This server keeps no artifacts");
}

static void write_artifact(struct json_writer *w, const struct artifact *it) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, it->id);
    jw_key(w, "plan_id");
    api_write_id(w, it->plan_id);
    jw_key(w, "step");
    if (it->position >= 0)
        jw_i64(w, it->position);
    else
        jw_null(w);
    jw_key(w, "name");
    jw_str(w, it->name);
    jw_key(w, "type");
    jw_str(w, it->type);
    jw_key(w, "sha256");
    jw_str(w, it->sha256);
    jw_key(w, "bytes");
    jw_i64(w, it->bytes);
    jw_key(w, "created_at");
    api_write_time(w, it->created_at);
    jw_object_end(w);
}

/* --- lists --- */

/* "POSITION:NAME", as `next` was. */
static int read_after(struct api_request *r, struct artifact_page *page, struct err *err) {
    str after = http_query_get(&r->query, "after");
    ptrdiff_t colon = str_find_char(after, ':');
    if (!after.p)
        return 0;
    if (colon < 0 || !str_to_i64(str_slice(after, 0, (size_t)colon), &page->after_position) ||
        page->after_position < ARTIFACT_OF_RUN || page->after_position > PLAN_STEPS_MAX)
        return err_set(err, ERR_INVALID, "after: must be the next of a page");
    page->after_name = str_slice(after, (size_t)colon + 1, after.len);
    return 0;
}

static void write_next(struct json_writer *w, struct arena *a, const struct artifact *last) {
    jw_key(w, "next");
    if (last)
        jw_str(w, arena_printf(a, "%lld:" STR_FMT, (long long)last->position, STR_ARG(last->name)));
    else
        jw_null(w);
}

static int reply_list(struct api_request *r, struct id plan, struct artifact_page *page,
                      struct err *err) {
    struct plan_row row;
    struct plan_step_row *steps;
    struct artifact *list;
    size_t count;
    int64_t limit = 0;
    int rc = api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, PAGE_USUAL}, &limit, err);
    if (rc == 0)
        rc = plan_get(r->store, &r->who, plan, 0, r->arena, &row, &steps, &count, err);
    if (rc == 0 && page->last_position >= row.step_count && page->last_position < PLAN_STEPS_MAX)
        rc = err_set(err, ERR_NOT_FOUND, "Step not found");
    if (rc == 0)
        rc = read_after(r, page, err);
    page->limit = limit + 1;
    if (rc == 0)
        rc = artifact_list(r->store, plan, page, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "artifacts");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_artifact(&w, &list[i]);
    jw_array_end(&w);
    write_next(&w, r->arena, more ? &list[count - 1] : NULL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_artifact_list(struct api_request *r, struct err *err) {
    struct id plan;
    struct artifact_page page = {.after_position = ARTIFACT_OF_RUN - 1,
                                 .last_position = PLAN_STEPS_MAX};
    int rc = api_param_id(r, 0, &plan, err, "Plan run not found");
    return rc < 0 ? rc : reply_list(r, plan, &page, err);
}

int api_artifact_list_step(struct api_request *r, struct err *err) {
    struct id plan;
    int64_t at = 0;
    int rc = api_param_id(r, 0, &plan, err, "Plan run not found");
    if (rc == 0 && (!str_to_i64(r->match.params[1], &at) || at < 0 || at >= PLAN_STEPS_MAX))
        rc = err_set(err, ERR_NOT_FOUND, "Plan run not found");
    struct artifact_page page = {
        .after_position = at, .after_name = STR(""), .last_position = at};
    return rc < 0 ? rc : reply_list(r, plan, &page, err);
}

/* --- one --- */

int api_artifact_create(struct api_request *r, struct err *err) {
    struct artifacts *all;
    struct artifact it = {.position = ARTIFACT_OF_RUN};
    str type = http_header(r->http, STR("content-type"));
    it.name = http_query_get(&r->query, "name");
    it.type = type.len ? type : STR("application/octet-stream");
    int rc = artifacts_of(r, &all, err);
    if (rc == 0)
        rc = api_param_id(r, 0, &it.plan_id, err, "Plan run not found");
    if (rc == 0 && http_query_get(&r->query, "step").p)
        rc = api_query_int(r, "step", (struct body_range){0, PLAN_STEPS_MAX - 1, 0}, &it.position,
                           err);
    if (rc == 0)
        rc = artifact_add(all, &r->who, &it, r->http->body, r->arena, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_artifact(&w, &it);
    return api_reply_json(r, 201);
}

static int find(struct api_request *r, struct artifact *out, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Artifact not found");
    return rc < 0 ? rc : artifact_get(r->store, &r->who, id, r->arena, out, err);
}

int api_artifact_get(struct api_request *r, struct err *err) {
    struct artifact it;
    int rc = find(r, &it, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_artifact(&w, &it);
    return api_reply_json(r, 200);
}

static void reply_beyond(struct api_request *r, const struct artifact *it) {
    http_reply_header(r->http, STR("Content-Range"),
                      arena_printf(r->arena, "bytes */%lld", (long long)it->bytes));
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "detail");
    jw_z(&w, "Range Not Satisfiable");
    jw_object_end(&w);
    (void)api_reply_json(r, 416); /* shorter than the bound */
}

static int reply_content(struct api_request *r, const struct artifact *it, uint64_t from,
                         uint64_t count, int status, struct err *err) {
    struct artifacts *all;
    struct arena a;
    str data = STR("");
    int rc = artifacts_of(r, &all, err);
    if (rc < 0)
        return rc;
    arena_init(&a, (size_t)count + ((size_t)1 << 20));
    if (r->http->method != HTTP_HEAD && count > 0)
        rc = artifact_read(all, it, from, count, &a, &data, err);
    if (rc == 0 && status == 206)
        http_reply_header(r->http, STR("Content-Range"),
                          arena_printf(r->arena, "bytes %llu-%llu/%lld", (unsigned long long)from,
                                       (unsigned long long)(from + count - 1),
                                       (long long)it->bytes));
    if (rc == 0) {
        http_reply_header(r->http, STR("Content-Encoding"), STR("identity"));
        r->status = status;
        http_reply(r->http, status, it->type, data);
    }
    arena_deinit(&a);
    return rc;
}

int api_artifact_content(struct api_request *r, struct err *err) {
    struct artifact it;
    int rc = find(r, &it, err);
    if (rc < 0)
        return rc;
    uint64_t from = 0, count = (uint64_t)it.bytes;
    str tag = arena_printf(r->arena, "\"" STR_FMT "\"", STR_ARG(it.sha256));
    str none = http_header(r->http, STR("if-none-match"));
    str same = http_header(r->http, STR("if-range")), range = http_header(r->http, STR("range"));
    http_reply_header(r->http, STR("ETag"), tag);
    http_reply_header(r->http, STR("Accept-Ranges"), STR("bytes"));
    http_reply_header(r->http, STR("Cache-Control"), STR("private, no-cache"));
    http_reply_header(r->http, STR("X-Content-Type-Options"), STR("nosniff"));
    http_reply_header(r->http, STR("Content-Disposition"), STR("attachment"));
    http_reply_header(r->http, STR("Content-Security-Policy"), STR("sandbox"));
    if (none.p && http_etag_listed(none, tag))
        return api_reply_empty(r, 304);
    enum http_range how = HTTP_RANGE_ALL;
    if (range.p && (!same.p || str_eq(str_trim(same), tag)))
        how = http_range_parse(range, (uint64_t)it.bytes, &from, &count);
    if (how == HTTP_RANGE_BEYOND) {
        reply_beyond(r, &it);
        return 0;
    }
    return reply_content(r, &it, from, count, how == HTTP_RANGE_PART ? 206 : 200, err);
}
