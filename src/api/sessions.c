/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - the handlers of /sessions, /accounts and /auth: what somebody is logged in with.
 *
 * A token is in one answer only, that of the request that made its session, and nowhere when it was
 * asked for as a cookie: then no script of the page has seen it, and none gets another one by it.
 * Whatever takes a session away answers when no process lets it in any more (auth/sessions.c).
 *
 * Ending one's own session is no write: who may only read may log out. */
#include "api/api_int.h"
#include "auth/auth.h"

#define PAGE_MAX   100
#define PAGE_COUNT 20
#define US_PER_S   1000000

static struct auth *auth_of(const struct api_request *r) { return api_options_of(r->api)->auth; }

static const char *scope_name(enum session_scope scope) {
    return scope == SESSION_READS ? "read" : scope == SESSION_GRAPHS ? "graphs" : "write";
}

static void write_text(struct json_writer *w, const char *key, str text) {
    jw_key(w, key);
    if (text.p)
        jw_str(w, text);
    else
        jw_null(w);
}

static void write_session(struct api_request *r, struct json_writer *w, const struct session *s) {
    jw_key(w, "session_id");
    api_write_id(w, s->id);
    jw_key(w, "current");
    jw_bool(w, id_eq(s->id, r->who.session));
    jw_key(w, "scope");
    jw_str(w, str_of(scope_name(s->scope)));
    jw_key(w, "account_id");
    api_write_id_or_null(w, s->account);
    write_text(w, "label", s->label);
    write_text(w, "address", s->address);
    write_text(w, "user_agent", s->user_agent);
    api_write_time_member(w, "created_at", s->created_at);
    api_write_time_member(w, "last_used_at", s->last_used_at);
    api_write_time_member(w, "expires_at", s->expires_at);
    api_write_time_member(w, "ends_at", s->ends_at);
}

/* `limit` and `before` of a list, newest first. */
static int read_page(struct api_request *r, struct id *out_before, int64_t *out_limit,
                     struct err *err) {
    str before = http_query_get(&r->query, "before");
    *out_before = ID_NIL;
    if (before.len && !id_parse(before, out_before))
        return err_set(err, ERR_INVALID, "before: must be an id");
    return api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, PAGE_COUNT}, out_limit, err);
}

static void write_next(struct json_writer *w, bool more, struct id last) {
    jw_key(w, "next");
    api_write_id_or_null(w, more ? last : ID_NIL);
}

int api_session_list(struct api_request *r, struct err *err) {
    struct session *list;
    struct id before;
    int64_t limit;
    size_t count;
    int rc = read_page(r, &before, &limit, err);
    if (rc == 0)
        rc = session_list(r->store, principal_owner(&r->who), before, limit + 1, r->arena, &list,
                          &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "sessions");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        write_session(r, &w, &list[i]);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    write_next(&w, more, count ? list[count - 1].id : ID_NIL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_session_current(struct api_request *r, struct err *err) {
    struct session s;
    if (id_is_nil(r->who.session))
        return err_set(err, ERR_NOT_FOUND, "The request shows no session");
    int rc = session_get(r->store, &r->who, r->who.session, r->arena, &s, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_session(r, &w, &s);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_session_create(struct api_request *r, struct err *err) {
    struct body b;
    struct session s;
    str token;
    body_init(&b, r->arena, r->body);
    struct session_wish wish = {
        .label = body_str_sized(&b, "label", 1, SESSION_LABEL_BYTES_MAX, STR_NULL),
        .lifetime_us = body_int(&b, "lifetime_s", (struct body_range){0, INT32_MAX, 0}) * US_PER_S,
        .address = str_of(r->http->peer),
        .user_agent = http_header(r->http, STR("user-agent"))};
    bool cookie = body_bool(&b, "cookie", false);
    int rc = body_done(&b, err);
    if (rc == 0 && !auth_enabled(auth_of(r)))
        rc = err_set(err, ERR_CONFLICT, "There is nobody: requests do not show who they are");
    if (rc == 0 && r->who.cookie && !cookie)
        rc = err_set(err, ERR_FORBIDDEN, "cookie: who shows a cookie gets a cookie");
    if (rc == 0)
        rc = auth_session_begin(auth_of(r), &r->who, &wish, r->arena, &s, &token, err);
    if (rc < 0)
        return rc;
    if (cookie)
        auth_session_cookie(auth_of(r), r->http, r->arena, token, &s);
    api_reply_secret(r);
    struct json_writer w = api_json(r);
    jw_object(&w);
    write_session(r, &w, &s);
    write_text(&w, "token", cookie ? STR_NULL : token);
    jw_object_end(&w);
    return api_reply_json(r, 201);
}

static int end_session(struct api_request *r, struct id id, struct err *err) {
    int rc = session_delete(r->store, &r->who, id, r->arena, err);
    if (rc < 0)
        return rc;
    auth_sessions_ended(auth_of(r));
    if (id_eq(id, r->who.session))
        auth_session_cookie_forget(auth_of(r), r->http, r->arena);
    return api_reply_empty(r, 204);
}

int api_session_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Session not found");
    return rc < 0 ? rc : end_session(r, id, err);
}

int api_session_delete_current(struct api_request *r, struct err *err) {
    r->writes = true;
    if (id_is_nil(r->who.session))
        return err_set(err, ERR_NOT_FOUND, "The request shows no session");
    return end_session(r, r->who.session, err);
}

int api_session_delete_all(struct api_request *r, struct err *err) {
    int64_t deleted;
    int rc = session_delete_all(r->store, principal_owner(&r->who), r->arena, &deleted, err);
    if (rc < 0)
        return rc;
    auth_sessions_ended(auth_of(r));
    if (!id_is_nil(r->who.session))
        auth_session_cookie_forget(auth_of(r), r->http, r->arena);
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "deleted");
    jw_i64(&w, deleted);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- logins --- */

static int go_to(struct api_request *r, str location) {
    http_reply_header(r->http, STR("Location"), location);
    http_reply_header(r->http, STR("Cache-Control"), STR("no-store"));
    http_reply_header(r->http, STR("Referrer-Policy"), STR("no-referrer"));
    return api_reply_empty(r, 302);
}

int api_login_begin(struct api_request *r, struct err *err) {
    str to = http_query_get(&r->query, "return_to"), location;
    int rc = auth_login_begin(auth_of(r), r->http, r->match.params[0], to.p ? to : STR("/"),
                              r->arena, &location, err);
    return rc < 0 ? rc : go_to(r, location);
}

int api_login_finish(struct api_request *r, struct err *err) {
    struct oidc_answer answer = {.state = http_query_get(&r->query, "state"),
                                 .code = http_query_get(&r->query, "code"),
                                 .error = http_query_get(&r->query, "error"),
                                 .issuer = http_query_get(&r->query, "iss")};
    str to;
    int rc =
        auth_login_finish(auth_of(r), r->http, r->match.params[0], &answer, r->arena, &to, err);
    return rc < 0 ? rc : go_to(r, to);
}

/* --- accounts --- */

int api_account_list(struct api_request *r, struct err *err) {
    struct account *list;
    struct id before;
    int64_t limit;
    size_t count;
    int rc = read_page(r, &before, &limit, err);
    if (rc == 0)
        rc = account_list(r->store, principal_owner(&r->who), before, limit + 1, r->arena, &list,
                          &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "accounts");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        jw_object(&w);
        jw_key(&w, "account_id");
        api_write_id(&w, list[i].id);
        write_text(&w, "provider", list[i].provider);
        write_text(&w, "subject", list[i].account);
        jw_key(&w, "profile");
        jw_raw(&w, list[i].profile);
        api_write_time_member(&w, "created_at", list[i].created_at);
        api_write_time_member(&w, "last_login_at", list[i].updated_at);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    write_next(&w, more, count ? list[count - 1].id : ID_NIL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_account_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Account not found");
    if (rc == 0)
        rc = account_delete(r->store, &r->who, id, r->arena, err);
    if (rc < 0)
        return rc;
    auth_sessions_ended(auth_of(r));
    return api_reply_empty(r, 204);
}
