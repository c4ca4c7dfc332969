/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_history.c - histories as tools of MCP: history_append, history_read, history_checkpoint.
 *
 * Arguments and results are those of the HTTP routes, with the session among the arguments. What
 * the caller can mend is a result with isError, which a model can read. */
#include "api/history_int.h"
#include "api/mcp_int.h"

#define LIMIT_USUAL 50

struct tool {
    str name;
    const char *text; /* its entry of tools/list */
    /* Writes the result into r->out; an error is the call's. */
    int (*fn)(struct api_request *r, struct history *h, struct body *b, struct err *err);
};

static struct history_key key_of(struct api_request *r, struct body *b) {
    return (struct history_key){principal_owner(&r->who), body_str_required(b, "session")};
}

static int append(struct api_request *r, struct history *h, struct body *b, struct err *err) {
    yyjson_val *events = body_array(b, "events"), *item;
    struct history_key key = key_of(r, b);
    struct history_incoming in = api_history_incoming(r, key.session);
    struct history_result *results;
    size_t i, count;
    int rc = body_done(b, err);
    yyjson_arr_foreach(events, i, count, item) {
        if (rc == 0)
            rc = history_incoming_take(&in, item, err);
    }
    if (rc == 0)
        rc = api_history_store(r, h, &key, &in, &results, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    api_history_write_results(&w, &in, results);
    return 0;
}

static int read(struct api_request *r, struct history *h, struct body *b, struct err *err) {
    struct history_range range = HISTORY_RANGE_ALL(key_of(r, b));
    struct history_position after;
    struct history_page page;
    bool given;
    str next = body_str(b, "after", STR_NULL);
    range.seq_min = body_int(b, "from_seq", (struct body_range){0, INT64_MAX, 1});
    range.newest_first = body_bool(b, "newest_first", false);
    range.payloads = body_bool(b, "payload", true);
    range.limit =
        (size_t)body_int(b, "limit", (struct body_range){1, HISTORY_PAGE_MAX, LIMIT_USUAL});
    int rc = body_done(b, err);
    if (rc == 0)
        rc = api_history_position(next, &after, &given, err);
    if (rc < 0)
        return rc;
    range.after = given ? &after : NULL;
    rc = history_read(h, &range, r->arena, &page, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    api_history_write_page(&w, r->arena, range.key.session, &page);
    return 0;
}

static int checkpoint(struct api_request *r, struct history *h, struct body *b, struct err *err) {
    struct history_key key = key_of(r, b);
    struct history_checkpoint c = {.id = ID_NIL};
    bool puts = body_has(b, "payload") || body_has(b, "payloadBase64");
    if (puts)
        api_history_read_checkpoint(b, &c);
    else
        (void)body_id(b, "checkpoint_id", &c.id);
    int rc = body_done(b, err);
    if (rc == 0)
        rc = puts ? history_checkpoint_put(h, &key, &c, r->arena, err)
                  : history_checkpoint_get(h, &key, c.id, r->arena, &c, err);
    if (rc < 0)
        return rc;
    if (puts)
        c.payload = STR_NULL;
    struct json_writer w = api_json(r);
    api_history_write_checkpoint(&w, r->arena, &c);
    return 0;
}

#define SESSION "\"session\":{\"type\":\"string\",\"description\":\"Name of the session.\"}"
static const struct tool tools[] = {
    {{"history_append", 14},
     "{\"name\":\"history_append\",\"title\":\"Append events to a session\",\"description\":"
     "\"Appends events to a session of the history: all of them or none. An event with an id that "
     "is "
     "there already is acknowledged again.\",\"inputSchema\":{\"type\":\"object\",\"required\":"
     "[\"session\",\"events\"],\"properties\":{" SESSION
     ",\"events\":{\"type\":\"array\",\"items\":"
     "{\"type\":\"object\",\"required\":[\"type\",\"payload\"],\"properties\":{\"id\":{\"type\":"
     "\"string\"},\"type\":{\"type\":\"string\"},\"occurredAt\":{\"type\":\"string\"},\"payload\":"
     "{}}}}}}}",
     append},
    {{"history_read", 12},
     "{\"name\":\"history_read\",\"title\":\"Read events of a session\",\"description\":\"Reads "
     "events of a session by number, oldest or newest first; next, given as after, goes on.\","
     "\"inputSchema\":{\"type\":\"object\",\"required\":[\"session\"],\"properties\":{" SESSION
     ",\"from_seq\":{\"type\":\"integer\"},\"limit\":{\"type\":\"integer\",\"maximum\":1000},"
     "\"after\":{\"type\":\"string\"},\"newest_first\":{\"type\":\"boolean\"},\"payload\":{"
     "\"type\":"
     "\"boolean\"}}},\"annotations\":{\"readOnlyHint\":true}}",
     read},
    {{"history_checkpoint", 18},
     "{\"name\":\"history_checkpoint\",\"title\":\"Put or get a checkpoint of a session\","
     "\"description\":\"With a payload: puts a checkpoint behind the session's last event. "
     "Without: "
     "gets the latest one, or that of an id.\",\"inputSchema\":{\"type\":\"object\",\"required\":"
     "[\"session\"],\"properties\":{" SESSION ",\"payload\":{},\"label\":{\"type\":\"string\"},"
     "\"checkpoint_id\":{\"type\":\"string\"}}}}",
     checkpoint},
};

void api_mcp_history_names(struct map *taken) {
    for (size_t i = 0; i < ARRAY_COUNT(tools); i++)
        (void)map_put(taken, tools[i].name, (void *)(uintptr_t)&tools[i]);
}

void api_mcp_history_write_tools(struct api_request *r, struct json_writer *w) {
    for (size_t i = 0; api_options_of(r->api)->history && i < ARRAY_COUNT(tools); i++)
        jw_raw(w, str_of(tools[i].text));
}

int api_mcp_history_call(struct api_request *r, const struct api_mcp_request *q, str name,
                         yyjson_val *arguments, bool *out_called, struct err *err) {
    struct history *h = api_options_of(r->api)->history;
    const struct tool *tool = NULL;
    struct body b;
    for (size_t i = 0; h && i < ARRAY_COUNT(tools); i++) {
        if (str_eq(tools[i].name, name))
            tool = &tools[i];
    }
    *out_called = tool != NULL;
    if (!tool)
        return 0;
    body_init(&b, r->arena, arguments);
    int rc = tool->fn(r, h, &b, err);
    if (rc < 0 && !api_mcp_is_callers(rc) && rc != ERR_TOO_LARGE)
        return rc;
    str text = rc < 0 ? api_error_text(r, err, rc) : arena_dup(r->arena, buf_view(&r->out));
    struct json_writer w = api_json(r);
    api_mcp_write_result(&w, q, text, rc < 0 ? STR_NULL : text, rc < 0);
    return api_reply_json(r, 200);
}
