/* SPDX-License-Identifier: Apache-2.0 */
/* history.c - the handlers of /history but for events: sessions, checkpoints, consumers, retention.
 *
 * Every session is looked for under the principal's owner, so that another owner's is as one that
 * does not exist. */
#include "api/history_int.h"
#include "base/base64.h"
#include "base/hex.h"

#define LIMIT_USUAL 100

static int history_of(struct api_request *r, struct history **out, struct err *err) {
    *out = api_options_of(r->api)->history;
    return *out ? 0 : err_set(err, ERR_UNSUPPORTED, "This server keeps no histories");
}

int api_history_of(struct api_request *r, struct history **out_h, struct history_key *out_key,
                   struct err *err) {
    *out_key = (struct history_key){principal_owner(&r->who), r->match.params[0]};
    return history_of(r, out_h, err);
}

int api_history_position(str after, struct history_position *out, bool *out_given,
                         struct err *err) {
    ptrdiff_t colon = str_find_char(after, ':');
    *out_given = after.p != NULL;
    if (!after.p)
        return 0;
    if (colon < 0 || !str_to_i64(str_slice(after, 0, (size_t)colon), &out->occurred_at) ||
        !str_to_i64(str_slice(after, (size_t)colon + 1, after.len), &out->seq))
        return err_set(err, ERR_INVALID, "after: must be the next of a page");
    return 0;
}

static int query_limit(struct api_request *r, size_t *out, struct err *err) {
    int64_t limit = 0;
    int rc = api_query_int(r, "limit", (struct body_range){1, HISTORY_PAGE_MAX, LIMIT_USUAL},
                           &limit, err);
    *out = (size_t)limit;
    return rc;
}

/* --- sessions --- */

int api_history_session_list(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_session *list;
    size_t limit, count;
    str after = http_query_get(&r->query, "after");
    int rc = history_of(r, &h, err);
    if (rc == 0)
        rc = query_limit(r, &limit, err);
    if (rc == 0)
        rc = history_session_list(h, principal_owner(&r->who), after.p ? after : STR(""), limit,
                                  r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "sessions");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        history_session_write(&w, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    jw_str(&w, count == limit ? list[count - 1].name : STR_NULL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_history_session_get(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_session session;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = history_session_get(h, &key, r->arena, &session, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    history_session_write(&w, &session);
    return api_reply_json(r, 200);
}

int api_history_session_delete(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = history_session_delete(h, &key, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- checkpoints --- */

void api_history_write_checkpoint(struct json_writer *w, struct arena *a,
                                  const struct history_checkpoint *c) {
    jw_object(w);
    jw_key(w, "checkpoint_id");
    api_write_id(w, c->id);
    jw_key(w, "parent_id");
    api_write_id_or_null(w, c->parent);
    jw_key(w, "label");
    jw_str(w, c->label);
    jw_key(w, "seq");
    jw_i64(w, c->seq);
    jw_key(w, "sha256");
    jw_str(w, hex_text(a, c->digest, sizeof c->digest));
    jw_key(w, "created_at");
    api_write_time(w, c->created_at);
    if (c->payload.p) {
        bool json = c->payload_kind == HISTORY_JSON;
        jw_key(w, json ? "payload" : "payloadBase64");
        if (json)
            jw_raw(w, c->payload);
        else
            jw_str(w, base64_encode(a, c->payload));
    }
    jw_object_end(w);
}

static int reply_checkpoint(struct api_request *r, int status, const struct history_checkpoint *c) {
    struct json_writer w = api_json(r);
    api_history_write_checkpoint(&w, r->arena, c);
    return api_reply_json(r, status);
}

void api_history_read_checkpoint(struct body *b, struct history_checkpoint *c) {
    str bytes = body_str(b, "payloadBase64", STR_NULL);
    (void)body_id(b, "checkpoint_id", &c->id);
    (void)body_id(b, "parent_id", &c->parent);
    c->label = body_str_sized(b, "label", 1, HISTORY_NAME_BYTES_MAX, STR_NULL);
    c->seq = body_int(b, "seq", (struct body_range){0, INT64_MAX, 0});
    c->payload_kind = bytes.p ? HISTORY_BYTES : HISTORY_JSON;
    if (bytes.p && body_has(b, "payload"))
        body_fault(b, "payload", "not together with payloadBase64");
    if (bytes.p) {
        c->payload = STR("");
        if (bytes.len > 0 && !base64_decode(b->a, bytes, &c->payload))
            body_fault(b, "payloadBase64", "must be base64");
    } else if (!body_has(b, "payload")) {
        body_fault(b, "payload", "is required");
    } else {
        c->payload = body_json(b, "payload", STR("null"));
    }
}

int api_history_checkpoint_put(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_checkpoint c = {.id = ID_NIL};
    struct body b;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    api_history_read_checkpoint(&b, &c);
    rc = body_done(&b, err);
    if (rc == 0)
        rc = history_checkpoint_put(h, &key, &c, r->arena, err);
    if (rc < 0)
        return rc;
    c.payload = STR_NULL; /* who put it has it */
    return reply_checkpoint(r, 200, &c);
}

int api_history_checkpoint_list(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_checkpoint *list;
    size_t limit, count;
    struct id after = ID_NIL;
    str text = http_query_get(&r->query, "after");
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = query_limit(r, &limit, err);
    if (rc == 0 && text.p && !id_parse(text, &after))
        rc = err_set(err, ERR_INVALID, "after: must be the id of a checkpoint");
    if (rc == 0)
        rc = history_checkpoint_list(h, &key, after, limit, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "checkpoints");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        api_history_write_checkpoint(&w, r->arena, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    api_write_id_or_null(&w, count == limit ? list[count - 1].id : ID_NIL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* The same words whether it is the session that is missing or the checkpoint. */
static int no_checkpoint(int rc, struct err *err) {
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Checkpoint not found") : rc;
}

/* back: it becomes the latest first; then it is named by its id. */
static int one_checkpoint(struct api_request *r, bool back, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_checkpoint c;
    struct id id;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0 && !back && str_eq(r->match.params[1], STR("latest")))
        id = ID_NIL;
    else if (rc == 0)
        rc = api_param_id(r, 1, &id, err, "Checkpoint not found");
    if (rc == 0 && back)
        rc = history_checkpoint_rollback(h, &key, id, err);
    if (rc == 0)
        rc = history_checkpoint_get(h, &key, id, r->arena, &c, err);
    return rc < 0 ? no_checkpoint(rc, err) : reply_checkpoint(r, 200, &c);
}

int api_history_checkpoint_get(struct api_request *r, struct err *err) {
    return one_checkpoint(r, false, err);
}

int api_history_checkpoint_rollback(struct api_request *r, struct err *err) {
    return one_checkpoint(r, true, err);
}

/* --- consumers --- */

int api_history_consumer_list(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_session session;
    struct history_consumer *list;
    size_t count;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = history_session_get(h, &key, r->arena, &session, err);
    if (rc == 0)
        rc = history_consumer_list(h, &key, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "consumers");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "name");
        jw_str(&w, list[i].name);
        jw_key(&w, "acked_seq");
        jw_i64(&w, list[i].acked_seq);
        jw_key(&w, "lag");
        jw_i64(&w, session.last_seq > list[i].acked_seq ? session.last_seq - list[i].acked_seq : 0);
        jw_key(&w, "updated_at");
        api_write_time(&w, list[i].updated_at);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_history_consumer_ack(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct body b;
    int64_t acked = 0;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    int64_t seq = body_int(&b, "seq", (struct body_range){0, INT64_MAX, -1});
    if (seq < 0)
        body_fault(&b, "seq", "is required");
    rc = body_done(&b, err);
    if (rc == 0)
        rc = history_consumer_ack(h, &key, r->match.params[1], seq, &acked, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "name");
    jw_str(&w, r->match.params[1]);
    jw_key(&w, "acked_seq");
    jw_i64(&w, acked);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_history_consumer_delete(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    int rc = api_history_of(r, &h, &key, err);
    if (rc == 0)
        rc = history_consumer_delete(h, &key, r->match.params[1], err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- retention --- */

static int reply_retention(struct api_request *r, const struct history_retention *p) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "max_age_ms");
    p->age_ms_max ? jw_i64(&w, p->age_ms_max) : jw_null(&w);
    jw_key(&w, "max_events");
    p->count_max ? jw_i64(&w, p->count_max) : jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_history_retention_get(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_retention p;
    int rc = history_of(r, &h, err);
    if (rc == 0)
        rc = history_retention_get(h, principal_owner(&r->who), &p, err);
    return rc < 0 ? rc : reply_retention(r, &p);
}

int api_history_retention_put(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_retention p;
    struct body b;
    int rc = history_of(r, &h, err);
    if (rc == 0)
        rc = api_body_object(r, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    p.age_ms_max = body_int(&b, "max_age_ms", (struct body_range){1, HISTORY_TTL_MS_MAX, 0});
    p.count_max = body_int(&b, "max_events", (struct body_range){1, INT64_MAX, 0});
    rc = body_done(&b, err);
    if (rc == 0)
        rc = history_retention_set(h, principal_owner(&r->who), &p, err);
    return rc < 0 ? rc : reply_retention(r, &p);
}
