/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_list.c - ListTasks: an assistant's tasks, the last changed first.
 *
 * A page's token is "time.run" of its last task. A task that changes while somebody turns pages
 * comes first again, behind the reader's back; none that stays as it is is left out. Each task is
 * read and written by itself, so that a page's memory is that of its answer. */
#include "api/a2a_int.h"
#include "base/clock.h"

#define PAGE_DEFAULT  50
#define PAGE_MAX      100
#define TOKEN_LEN_MAX 80

static bool refuse(struct rpc_error *e, str text) {
    *e = (struct rpc_error){.code = RPC_INVALID_PARAMS, .text = text};
    return false;
}

static bool token_read(str token, struct run_task_filter *f) {
    ptrdiff_t at = str_find_char(token, '.');
    return token.len <= TOKEN_LEN_MAX && at > 0 &&
           str_to_i64(str_slice(token, 0, (size_t)at), &f->before_us) && f->before_us > 0 &&
           id_parse(str_slice(token, (size_t)at + 1, token.len), &f->before);
}

/* Statuses of runs in a state of tasks. */
static bool status_read(str name, struct run_task_filter *f, struct rpc_error *e) {
    static const bool yes = true, no = false;
    static const char *const statuses[] = {
        [A2A_SUBMITTED] = "pending",      [A2A_WORKING] = "running",
        [A2A_INPUT_REQUIRED] = "success", [A2A_COMPLETED] = "success",
        [A2A_CANCELED] = "interrupted",   [A2A_FAILED] = "error,timeout"};
    enum api_a2a_state state;
    if (!name.len || str_eq(name, STR("TASK_STATE_UNSPECIFIED")))
        return true;
    if (str_eq(name, STR("TASK_STATE_REJECTED")) || str_eq(name, STR("TASK_STATE_AUTH_REQUIRED"))) {
        f->statuses = STR("none");
        return true;
    }
    if (!api_a2a_state_parse(name, &state))
        return refuse(e, STR("status: is no state of tasks"));
    f->statuses = str_of(statuses[state]);
    f->asks = state == A2A_INPUT_REQUIRED ? &yes : state == A2A_COMPLETED ? &no : NULL;
    return true;
}

bool api_a2a_list_read(yyjson_val *params, struct api_a2a_list *out, struct rpc_error *e) {
    yyjson_val *size = json_get(params, "pageSize");
    str context = json_str(json_get(params, "contextId"));
    str token = json_str(json_get(params, "pageToken"));
    str since = json_str(json_get(params, "statusTimestampAfter"));
    struct run_task_filter *f = &out->filter;
    *out = (struct api_a2a_list){.filter = {.statuses = STR(""), .limit = PAGE_DEFAULT},
                                 .history = api_a2a_history_read(params),
                                 .artifacts = yyjson_is_true(json_get(params, "includeArtifacts"))};
    if (size &&
        (!yyjson_is_int(size) || yyjson_get_sint(size) < 0 || yyjson_get_sint(size) > PAGE_MAX))
        return refuse(e, STR("pageSize: must be from 1 to 100"));
    if (yyjson_get_sint(size) > 0)
        f->limit = yyjson_get_sint(size);
    if (context.len && !id_parse(context, &f->thread_id))
        return refuse(e, STR("contextId: must be a UUID"));
    if (token.len && !token_read(token, f))
        return refuse(e, STR("pageToken: is not of this list"));
    if (since.len && !time_parse_iso(since, &f->since_us))
        return refuse(e, STR("statusTimestampAfter: must be a time"));
    return status_read(json_str(json_get(params, "status")), f, e);
}

static int write_one(struct api_request *r, struct json_writer *w, const struct api_a2a_list *l,
                     const struct run *run, struct arena *a, struct err *err) {
    struct api_a2a_writer o = {.w = w, .a = a, .v1 = true, .bare = !l->artifacts};
    struct api_a2a_task task = {.thread_id = run->thread_id, .run_id = run->id};
    int rc = api_a2a_task_load(r->store, &r->who, l->filter.assistant_id, &task, a, err);
    if (rc == 0)
        api_a2a_write_task(&o, &task, l->history);
    if (rc == ERR_NOT_FOUND) { /* it was deleted meanwhile */
        err_reset(err);
        rc = 0;
    }
    return rc;
}

static int write_tasks(struct api_request *r, struct json_writer *w, const struct api_a2a_list *l,
                       const struct run *runs, size_t count, struct err *err) {
    struct arena a;
    int rc = 0;
    arena_init(&a, API_STATE_BYTES_MAX);
    jw_key(w, "tasks");
    jw_array(w);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        arena_reset(&a);
        rc = write_one(r, w, l, &runs[i], &a, err);
    }
    jw_array_end(w);
    arena_deinit(&a);
    return rc;
}

int api_a2a_list_reply(struct api_request *r, yyjson_val *id, const struct api_a2a_list *l,
                       struct err *err) {
    struct run_task_filter wider = l->filter;
    struct run *runs;
    size_t count;
    int64_t total;
    wider.limit++;
    int rc = run_task_list(r->store, &r->who, &wider, r->arena, &runs, &count, &total, err);
    if (rc < 0)
        return rc;
    bool more = count > (size_t)l->filter.limit;
    count -= more;
    struct json_writer w = api_json(r);
    rpc_open(&w, id);
    jw_object(&w);
    rc = write_tasks(r, &w, l, runs, count, err);
    if (rc < 0)
        return rc;
    jw_key(&w, "nextPageToken");
    jw_str(&w, more ? arena_printf(r->arena, "%lld." STR_FMT, (long long)runs[count - 1].updated_at,
                                   STR_ARG(id_dashed(r->arena, runs[count - 1].id)))
                    : STR(""));
    jw_key(&w, "pageSize");
    jw_i64(&w, l->filter.limit);
    jw_key(&w, "totalSize");
    jw_i64(&w, total);
    jw_object_end(&w);
    rpc_close(&w);
    return api_reply_json(r, 200);
}
