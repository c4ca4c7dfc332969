/* SPDX-License-Identifier: Apache-2.0 */
/* agent_insights.c - the handlers of /logs/insights: what a model made of logs of agents.
 *
 * A list goes from the newest on and is asked as that of logs is, with the same cursors. With `q`
 * it is a search: the best ones first, and no next page. */
#include "store/agent_insights.h"

#include "api/agent_logs_int.h"

#define PAGE_MAX    200
#define Q_BYTES_MAX 4096

static void write_insight(struct json_writer *w, const struct agent_insight *n) {
    jw_object(w);
    jw_key(w, "id");
    api_write_id(w, n->id);
    jw_key(w, "session_id");
    api_write_id(w, n->session_id);
    jw_key(w, "category");
    jw_str(w, n->category);
    jw_key(w, "text");
    jw_str(w, n->text);
    jw_key(w, "logs");
    jw_i64(w, n->logs);
    api_write_time_member(w, "first_at", n->first_at);
    api_write_time_member(w, "last_at", n->last_at);
    jw_key(w, "model");
    jw_str(w, n->model);
    api_write_time_member(w, "created_at", n->created_at);
    if (n->scored) {
        jw_key(w, "score");
        jw_double(w, n->score);
    }
    jw_object_end(w);
}

int api_log_insight_list(struct api_request *r, struct err *err) {
    struct agent_log_query q;
    struct agent_insight *list;
    struct agent_log_next next = {.more = false};
    size_t count;
    str text = http_query_get(&r->query, "q");
    int rc = api_log_query(r, PAGE_MAX, &q, err);
    if (rc == 0 && text.len > Q_BYTES_MAX)
        rc = err_set(err, ERR_INVALID, "q: has more than %d bytes", Q_BYTES_MAX);
    if (rc == 0)
        rc = text.len
                 ? agent_insight_search(r->store, &r->who, text, &q, r->arena, &list, &count, err)
                 : agent_insight_list(r->store, &r->who, &q, r->arena, &list, &count, &next, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "insights");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_insight(&w, &list[i]);
    jw_array_end(&w);
    api_write_log_place(&w, r->arena, &next);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_log_insight_get(struct api_request *r, struct err *err) {
    struct agent_insight n;
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Insight not found");
    if (rc == 0)
        rc = agent_insight_get(r->store, &r->who, id, r->arena, &n, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_insight(&w, &n);
    return api_reply_json(r, 200);
}

int api_log_insight_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Insight not found");
    if (rc == 0)
        rc = agent_insight_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
