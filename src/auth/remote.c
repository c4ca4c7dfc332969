/* SPDX-License-Identifier: Apache-2.0 */
/* remote.c - questions as fibers: a requester that goes away does not take the answer from others.
 *
 *   remote_ask ─▶ question of this token, made when there is none ─▶ waits for its end
 *   question:  waits for a place ─▶ asks ─▶ judges the answer ─▶ wakes all who wait
 *
 * A timer ends a question that takes longer than its time, in whatever state it is. What the
 * authority answers decides only in two cases: it knows the token (200, active), or it clearly does
 * not (200 and not active; for Supabase 401, 403). Everything else says nothing about the token and
 * is 503 with Retry-After for the client, never a success and never a 500.
 *
 * A new kind of authority: its call in make_call(), its answers in judge(). */
#include "auth/remote.h"

#include "auth/form.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 10)
#define RETRY_MS         1000
#define HEADERS_MAX      4

struct remote {
    struct remote_options o;
    struct arena memory; /* of its texts */
    str url, authorization;
    struct map questions; /* by digest */
    size_t running;
    struct fiber_event place;
};

struct question {
    struct remote *r;
    struct auth_digest key;
    struct arena memory; /* token, answer, identity */
    str token;
    struct fiber *fiber; /* its own, once it runs */
    struct rt_timer timer;
    bool late, ended;
    struct fiber_event done;
    int refs; /* its fiber, and who waits */
    int rc;
    struct err err;
    struct identity identity;
};

struct remote *remote_new(const struct remote_options *o) {
    struct remote *r = NEW(struct remote);
    r->o = *o;
    arena_init(&r->memory, SIZE_MAX / 2);
    map_init(&r->questions);
    fiber_event_init(&r->place);
    r->url = o->kind == REMOTE_SUPABASE
                 ? arena_printf(&r->memory, STR_FMT "/auth/v1/user", STR_ARG(o->url))
                 : arena_dup(&r->memory, o->url);
    r->o.api_key = arena_dup(&r->memory, o->api_key);
    if (o->client_id.len)
        r->authorization = form_basic(&r->memory, o->client_id, o->client_secret);
    return r;
}

void remote_free(struct remote *r) {
    if (!r)
        return;
    ASSERT(r->questions.count == 0);
    map_deinit(&r->questions);
    arena_deinit(&r->memory);
    mem_free(r);
}

/* --- a question --- */

static void unref(struct question *q) {
    if (--q->refs > 0)
        return;
    arena_deinit(&q->memory);
    mem_free(q);
}

static int not_now(struct err *err, const char *text) {
    int rc = err_set(err, ERR_UNAVAILABLE, "%s", text);
    if (err)
        err->retry_after_ms = RETRY_MS;
    return rc;
}

static void make_call(struct question *q, struct http_call_options *o,
                      struct http_header *headers) {
    struct remote *r = q->r;
    struct arena *a = &q->memory;
    *o = (struct http_call_options){.method = HTTP_POST,
                                    .url = r->url,
                                    .headers = headers,
                                    .connect_timeout_us = r->o.timeout_us,
                                    .head_timeout_us = r->o.timeout_us,
                                    .idle_timeout_us = r->o.timeout_us};
    headers[o->header_count++] = (struct http_header){STR("Accept"), STR("application/json")};
    if (r->o.kind == REMOTE_SUPABASE) {
        o->method = HTTP_GET;
        headers[o->header_count++] = (struct http_header){STR("apikey"), r->o.api_key};
        headers[o->header_count++] = (struct http_header){
            STR("Authorization"), arena_printf(a, "Bearer " STR_FMT, STR_ARG(q->token))};
        return;
    }
    struct buf body;
    buf_init(&body, SIZE_MAX / 2);
    form_add(&body, "token", q->token);
    form_add(&body, "token_type_hint", STR("access_token"));
    o->body = arena_take(a, &body);
    headers[o->header_count++] =
        (struct http_header){STR("Content-Type"), STR("application/x-www-form-urlencoded")};
    if (r->authorization.p)
        headers[o->header_count++] = (struct http_header){STR("Authorization"), r->authorization};
}

/* What a user of Supabase is: its id is the token's sub; times were checked there. */
static int judge_user(struct question *q, yyjson_val *user, struct err *err) {
    struct claim_rules rules = *q->r->o.rules;
    if (str_eq(rules.owner, STR("sub")))
        rules.owner = STR("id");
    return claims_identity(&q->memory, user, &rules, &q->identity, err);
}

static int judge_introspection(struct question *q, yyjson_val *answer, struct err *err) {
    yyjson_val *active = json_get(answer, "active");
    if (!yyjson_is_bool(active))
        return not_now(err, "The authority's answer cannot be understood");
    if (!yyjson_get_bool(active))
        return err_set(err, ERR_UNAUTHORISED, "The token is not active");
    struct claim_rules rules = *q->r->o.rules;
    rules.exp_optional = true;
    int64_t now_s = rt_now_us(q->r->o.rt) / 1000000;
    int rc = claims_check(answer, &rules, now_s, &q->identity.expires_s, err);
    return rc < 0 ? rc : claims_identity(&q->memory, answer, &rules, &q->identity, err);
}

static int judge(struct question *q, int status, str body, struct err *err) {
    yyjson_val *answer;
    bool user = q->r->o.kind == REMOTE_SUPABASE;
    if (user && (status == 401 || status == 403))
        return err_set(err, ERR_UNAUTHORISED, "The token is not valid");
    if (status != 200) {
        log_event(LOG_WARN, "auth.remote.failed", "the authority gives no answer",
                  LOG_INT("status", status));
        return not_now(err, "The authority cannot answer now");
    }
    if (json_parse(&q->memory, body, &answer, NULL) < 0 || !yyjson_is_obj(answer) ||
        !claims_unique(answer))
        return not_now(err, "The authority's answer cannot be understood");
    return user ? judge_user(q, answer, err) : judge_introspection(q, answer, err);
}

static int ask(struct question *q, struct err *err) {
    struct http_call_options o;
    struct http_header headers[HEADERS_MAX];
    struct http_call *call;
    struct err cause = {0};
    str body = STR("");
    make_call(q, &o, headers);
    int rc = http_call_open(q->r->o.client, &o, &call, &cause);
    if (rc == 0) {
        int status = http_call_status(call);
        rc = http_call_read_all(call, &q->memory, ANSWER_BYTES_MAX, &body, &cause);
        http_call_close(call);
        if (rc == 0)
            return judge(q, status, body, err);
    }
    log_event(LOG_WARN, "auth.remote.failed", "the authority cannot be reached",
              LOG_Z("cause", q->late ? "it takes too long" : cause.message));
    return not_now(err, "The authority cannot be reached");
}

static int take_place(struct question *q, struct err *err) {
    struct remote *r = q->r;
    int rc = 0;
    while (rc == 0 && r->running >= r->o.concurrency_max)
        rc = fiber_event_wait(&r->place, FIBER_NO_DEADLINE);
    if (rc < 0)
        return not_now(err, "The authority cannot answer now");
    r->running++;
    return 0;
}

static void question_fiber(void *arg) {
    struct question *q = arg;
    struct remote *r = q->r;
    q->fiber = fiber_self();
    q->rc = take_place(q, &q->err);
    if (q->rc == 0) {
        q->rc = ask(q, &q->err);
        r->running--;
    }
    fiber_event_wake_one(&r->place); /* also when this one was woken and is cancelled */
    rt_timer_stop(r->o.rt, &q->timer);
    (void)map_remove(&r->questions, auth_digest_view(&q->key)); /* it is q */
    q->ended = true;
    fiber_event_wake_all(&q->done);
    unref(q);
}

static void on_late(struct rt_timer *t) {
    struct question *q = CONTAINER_OF(t, struct question, timer);
    q->late = true;
    if (q->fiber)
        fiber_cancel(q->fiber);
}

static int begin(struct remote *r, const struct auth_digest *key, str token, struct question **out,
                 struct err *err) {
    if (r->questions.count >= r->o.concurrency_max + r->o.waiting_max)
        return not_now(err, "Too many requests wait for the authority");
    struct question *q = NEW(struct question);
    q->r = r;
    q->key = *key;
    arena_init(&q->memory, SIZE_MAX / 2);
    q->token = arena_dup(&q->memory, token);
    q->refs = 1;
    fiber_event_init(&q->done);
    if (fiber_group_spawn(r->o.fibers, r->o.rt, "auth.remote", question_fiber, q, err) < 0) {
        unref(q);
        return not_now(err, "Too many requests wait for the authority");
    }
    rt_timer_start(r->o.rt, &q->timer, r->o.timeout_us, on_late);
    (void)map_put(&r->questions, auth_digest_view(&q->key), q); /* there was none */
    *out = q;
    return 0;
}

int remote_ask(struct remote *r, const struct auth_digest *key, str token, struct arena *a,
               struct identity *out, struct err *err) {
    struct question *q = map_get(&r->questions, auth_digest_view(key));
    int rc = q ? 0 : begin(r, key, token, &q, err);
    if (rc < 0)
        return rc;
    q->refs++;
    while (rc == 0 && !q->ended)
        rc = fiber_event_wait(&q->done, FIBER_NO_DEADLINE);
    if (rc == 0)
        rc = q->rc;
    if (rc == 0) {
        *out = q->identity;
        out->owner = arena_dup(a, q->identity.owner);
    } else if (q->ended && err) {
        *err = q->err;
    }
    unref(q);
    return rc;
}
