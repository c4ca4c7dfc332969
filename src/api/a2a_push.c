/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_push.c - push notifications: who is told when a task of A2A is over, or asks.
 *
 *   0.3  {"taskId", "pushNotificationConfig": {id, url, token, authentication: {schemes,
 *        credentials}}}           told: the task
 *   1    {"taskId", id, url, token, authentication: {scheme, credentials}}
 *                                 told: {"task": …}
 *
 *   config, with the message or by its method ─▶ row of the run ─▶ the run's last batch puts a
 *   delivery into the outbox ─▶ relay: this file makes the parcel ─▶ POST
 *
 * What is told is the task as it is when it is told. Token and credentials go out in headers and
 * stand in no other place: credentials are shown to nobody, for whoever may only read could use
 * them. */
#include "api/a2a_push.h"

#include "api/a2a_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "delivery/delivery.h"

#define ID_BYTES_MAX          255
#define TOKEN_BYTES_MAX       4096
#define SCHEME_BYTES_MAX      64
#define CREDENTIALS_BYTES_MAX 8192
#define BODY_BYTES_MAX        ((size_t)16 << 20)
#define HEADERS_OWN           2

str api_a2a_task_name(struct arena *a, struct id thread_id, struct id run_id) {
    return arena_printf(a, STR_FMT ":" STR_FMT, STR_ARG(id_dashed(a, thread_id)),
                        STR_ARG(id_dashed(a, run_id)));
}

/* --- reading --- */

/* May it be the value of a header? */
static bool is_visible(str text, size_t max) {
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return text.len <= max;
}

static bool is_word(str text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '_' && c != '.')
            return false;
    }
    return text.len > 0 && text.len <= SCHEME_BYTES_MAX;
}

/* Of several the first that is understood everywhere, or else the first. */
static str choose_scheme(yyjson_val *authentication) {
    yyjson_val *list = json_get(authentication, "schemes"), *item;
    size_t i, count;
    str first = json_str(json_get(authentication, "scheme"));
    yyjson_arr_foreach(list, i, count, item) {
        str scheme = json_str(item);
        if (str_ieq(scheme, STR("bearer")) || str_ieq(scheme, STR("basic")))
            return scheme;
        if (!first.len)
            first = scheme;
    }
    return first;
}

static const char *check(const struct push_config *c, bool has_authentication) {
    if (!is_visible(c->id, ID_BYTES_MAX))
        return "id: must be at most 255 visible characters";
    if (!is_visible(c->token, TOKEN_BYTES_MAX))
        return "token: must be at most 4096 visible characters";
    if (has_authentication && !is_word(c->scheme))
        return "authentication: must name a scheme";
    if (!is_visible(c->credentials, CREDENTIALS_BYTES_MAX))
        return "authentication.credentials: must be at most 8192 visible characters";
    return NULL;
}

bool api_a2a_push_read(struct api_request *r, yyjson_val *config, bool v1, struct push_config *out,
                       struct rpc_error *e) {
    struct err err = {0};
    yyjson_val *inner = json_get(config, "pushNotificationConfig");
    config = yyjson_is_obj(inner) ? inner : config;
    yyjson_val *authentication = json_get(config, "authentication");
    bool has = yyjson_is_obj(authentication);
    *out = (struct push_config){.owner = r->who.owner,
                                .id = json_str(json_get(config, "id")),
                                .v1 = v1,
                                .url = json_str(json_get(config, "url")),
                                .token = json_str(json_get(config, "token")),
                                .scheme = has ? choose_scheme(authentication) : STR_NULL,
                                .credentials = json_str(json_get(authentication, "credentials"))};
    const char *why = check(out, has);
    int rc = why ? 0 : delivery_check_target(api_options_of(r->api)->delivery, out->url, &err);
    *e = (struct rpc_error){.code = RPC_INVALID_PARAMS};
    if (why)
        e->text = str_of(why);
    else if (rc < 0)
        e->text = arena_printf(r->arena, "url: %s", err.message);
    return !why && rc == 0;
}

/* --- methods --- */

/* credentials: they are shown, to who has just sent them. */
static void write_config(struct json_writer *w, struct arena *a, const struct push_config *c,
                         bool v1, bool credentials) {
    jw_object(w);
    jw_key(w, "taskId");
    jw_str(w, api_a2a_task_name(a, c->thread_id, c->run_id));
    if (!v1) {
        jw_key(w, "pushNotificationConfig");
        jw_object(w);
    }
    jw_key(w, "id");
    jw_str(w, c->id);
    jw_key(w, "url");
    jw_str(w, c->url);
    if (c->token.len) {
        jw_key(w, "token");
        jw_str(w, c->token);
    }
    if (c->scheme.len) {
        jw_key(w, "authentication");
        jw_object(w);
        jw_key(w, v1 ? "scheme" : "schemes");
        if (!v1)
            jw_array(w);
        jw_str(w, c->scheme);
        if (!v1)
            jw_array_end(w);
        if (credentials && c->credentials.len) {
            jw_key(w, "credentials");
            jw_str(w, c->credentials);
        }
        jw_object_end(w);
    }
    if (!v1)
        jw_object_end(w);
    jw_object_end(w);
}

static int reply_config(const struct api_a2a_push_call *c, const struct push_config *config,
                        bool credentials) {
    struct json_writer w = api_json(c->r);
    rpc_open(&w, c->id);
    write_config(&w, c->r->arena, config, c->v1, credentials);
    rpc_close(&w);
    api_reply_secret(c->r);
    return api_reply_json(c->r, 200);
}

static int set(const struct api_a2a_push_call *c, const struct api_a2a_task *task,
               struct err *err) {
    struct push_config config;
    struct rpc_error e;
    if (!task->tells)
        return rpc_reply_error(c->r, 200, c->id,
                               &(struct rpc_error){.code = A2A_NO_PUSH,
                                                   .text = STR("The task was begun by no message "
                                                               "of A2A")});
    if (!api_a2a_push_read(c->r, c->params, c->v1, &config, &e))
        return rpc_reply_error(c->r, 200, c->id, &e);
    config.thread_id = task->thread_id;
    config.run_id = task->run_id;
    if (!config.id.len)
        config.id = api_a2a_task_name(c->r->arena, task->thread_id, task->run_id);
    int rc = push_config_put(c->r->store, &config, clock_wall_us(), c->r->arena, err);
    if (rc < 0)
        return rc;
    delivery_wake(api_options_of(c->r->api)->delivery);
    return reply_config(c, &config, true);
}

static int list(const struct api_a2a_push_call *c, const struct api_a2a_task *task,
                struct err *err) {
    struct push_config *configs;
    size_t count;
    int rc = push_config_list(c->r->store, task->run_id, c->r->arena, &configs, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(c->r);
    rpc_open(&w, c->id);
    if (c->v1) {
        jw_object(&w);
        jw_key(&w, "configs");
    }
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_config(&w, c->r->arena, &configs[i], c->v1, false);
    jw_array_end(&w);
    if (c->v1) {
        jw_key(&w, "nextPageToken");
        jw_z(&w, "");
        jw_object_end(&w);
    }
    rpc_close(&w);
    api_reply_secret(c->r);
    return api_reply_json(c->r, 200);
}

/* Without an id the first of them is meant, where the version lets it out. */
static int get(const struct api_a2a_push_call *c, const struct api_a2a_task *task, str id,
               struct err *err) {
    struct push_config *configs, one;
    size_t count = 1;
    int rc;
    if (id.len) {
        rc = push_config_get(c->r->store, task->run_id, id, c->r->arena, &one, err);
        configs = &one;
    } else {
        rc = push_config_list(c->r->store, task->run_id, c->r->arena, &configs, &count, err);
    }
    if (rc == 0 && count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "Configuration not found");
    return rc < 0 ? rc : reply_config(c, &configs[0], false);
}

static int drop(const struct api_a2a_push_call *c, const struct api_a2a_task *task, str id,
                struct err *err) {
    int rc = push_config_delete(c->r->store, task->run_id, id, c->r->arena, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc; /* one that is not there is gone */
    struct json_writer w = api_json(c->r);
    rpc_open(&w, c->id);
    if (c->v1) {
        jw_object(&w);
        jw_object_end(&w);
    } else {
        jw_null(&w);
    }
    rpc_close(&w);
    return api_reply_json(c->r, 200);
}

int api_a2a_push(const struct api_a2a_push_call *c, enum api_a2a_push what, struct err *err) {
    struct api_a2a_task task = {0};
    bool named = c->v1 || what == A2A_PUSH_SET; /* the task is, and `id` is the configuration's */
    str name = json_str(json_get(c->params, named ? "taskId" : "id"));
    str id = json_str(json_get(c->params, c->v1 ? "id" : "pushNotificationConfigId"));
    if (!api_a2a_task_id_read(name, &task.thread_id, &task.run_id))
        return err_set(err, ERR_NOT_FOUND, "Task not found");
    int rc = api_a2a_task_load(c->r->store, &c->r->who, c->assistant_id, &task, c->r->arena, err);
    if (rc < 0)
        return rc;
    switch (what) {
    case A2A_PUSH_SET:
        return set(c, &task, err);
    case A2A_PUSH_GET:
        return get(c, &task, id, err);
    case A2A_PUSH_LIST:
        return list(c, &task, err);
    case A2A_PUSH_DELETE:
        return drop(c, &task, id, err);
    }
    UNREACHABLE();
}

/* --- what is sent --- */

static bool read_payload(struct arena *a, str text, struct id *run_id, str *out_config) {
    yyjson_val *v;
    if (json_parse(a, text, &v, NULL) < 0)
        return false;
    *out_config = json_str(json_get(v, "config"));
    return id_parse(json_str(json_get(v, "run")), run_id) && out_config->len > 0;
}

/* False: it is too large. */
static bool write_body(struct arena *a, const struct push_config *c, const struct api_a2a_task *t,
                       bool bare, str *out) {
    struct buf b;
    buf_init(&b, BODY_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    struct api_a2a_writer o = {.w = &w, .a = a, .v1 = c->v1, .bare = bare};
    if (c->v1) {
        jw_object(&w);
        jw_key(&w, "task");
    }
    api_a2a_write_task(&o, t, 0);
    if (c->v1)
        jw_object_end(&w);
    bool fits = buf_ok(&b);
    if (fits)
        *out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return fits;
}

static void write_headers(struct arena *a, const struct push_config *c, struct parcel *out) {
    struct http_header *list = ARENA_ARRAY(a, struct http_header, HEADERS_OWN);
    if (c->token.len)
        list[out->header_count++] = (struct http_header){STR("X-A2A-Notification-Token"), c->token};
    if (c->scheme.len && c->credentials.len)
        list[out->header_count++] = (struct http_header){
            STR("Authorization"),
            arena_printf(a, STR_FMT " " STR_FMT, STR_ARG(c->scheme), STR_ARG(c->credentials))};
    out->headers = list;
}

/* What does not fit goes without its artifacts: the receiver asks for them. */
static int make(void *ctx, const struct delivery *d, struct arena *a, struct parcel *out,
                struct err *err) {
    static const struct principal server = {.all = true};
    struct push_config c;
    struct api_a2a_task task = {0};
    struct id run_id;
    str config, body;
    if (!read_payload(a, d->payload, &run_id, &config))
        return err_set(err, ERR_CORRUPT, "what is to be told cannot be read");
    int rc = push_config_get(ctx, run_id, config, a, &c, err);
    if (rc == 0) {
        task.thread_id = c.thread_id;
        task.run_id = c.run_id;
        rc = api_a2a_task_load(ctx, &server, ID_NIL, &task, a, err);
    }
    if (rc == ERR_NOT_FOUND) { /* deleted meanwhile */
        err_reset(err);
        return 0;
    }
    if (rc < 0)
        return rc;
    if (!write_body(a, &c, &task, false, &body) && !write_body(a, &c, &task, true, &body))
        return err_set(err, ERR_TOO_LARGE, "what is to be told is too large");
    struct parcel_part *part = ARENA_NEW(a, struct parcel_part);
    *part = (struct parcel_part){id_dashed(a, d->id), body};
    *out = (struct parcel){
        .target = c.url, .content_type = STR("application/json"), .parts = part, .count = 1};
    write_headers(a, &c, out);
    return 0;
}

/* Nobody is there any more. */
static void gone(void *ctx, const struct delivery *d) {
    struct arena a;
    struct id run_id;
    struct err err = {0};
    str config;
    arena_init(&a, 1 << 20);
    int rc = read_payload(&a, d->payload, &run_id, &config)
                 ? push_config_delete(ctx, run_id, config, &a, &err)
                 : 0;
    if (rc < 0 && rc != ERR_NOT_FOUND)
        log_event(LOG_WARN, "push.gone.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
}

struct parcel_maker api_push_parcel_maker(struct store *store) {
    return (struct parcel_maker){.kind = PUSH_KIND, .make = make, .gone = gone, .ctx = store};
}
