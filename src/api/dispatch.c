/* SPDX-License-Identifier: Apache-2.0 */
/* dispatch.c - from a request to its handler, and from an error to its answer.
 *
 * Life of a request, on its fiber: match path and method in the table of spec/routes.def; make the
 * principal (unless the route is public) and see whether it may write, if the route does; parse
 * query and body; call the handler; answer what it
 * returned if that is an error; count and time it under the route's template, never under the path
 * as sent, so the number of series is bounded by the table.
 *
 * An error of the 5xx kind is logged once, here. Its text goes to the client only when it was
 * written for people (not built, overloaded, the model server); of the others the client gets the
 * table's general text.
 *
 * Scratch buffers of answers are kept in a small stock between requests, as long as they are small.
 * A new route needs a line in the table and its handler; nothing here. */
#include "api/api.h"

#include <stdio.h>

#include "api/api_int.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "http/range.h"

#define REPLY_BYTES_MAX ((size_t)256 << 20)
#define STOCK_COUNT_MAX 64
#define STOCK_BYTES_MAX ((size_t)256 << 10)
#define STATUS_CLASSES  6 /* by the first digit, 1 … 5 */

enum policy {
    POLICY_public,
    POLICY_read,
    POLICY_write,
    POLICY_create,
    POLICY_graphs,
    POLICY_operate
};

/* Labels of metrics live for ever, so they are literals: [0] of the times, [n] of status nxx. */
#define SERIES(method_, path_)          "method=\"" method_ "\",route=\"" path_ "\""
#define COUNTED(method_, path_, class_) SERIES(method_, path_) ",status=\"" class_ "xx\""
#define LABELS(m, p)                                                                               \
    {                                                                                              \
        SERIES(m, p), COUNTED(m, p, "1"), COUNTED(m, p, "2"), COUNTED(m, p, "3"),                  \
            COUNTED(m, p, "4"), COUNTED(m, p, "5")                                                 \
    }
struct route {
    struct http_route http;
    const char *method, *body;
    const char *labels[STATUS_CLASSES];
    enum policy policy;
    api_handler_fn handler;
};
static const struct route ROUTES[] = {
#define ROUTE(method_, path_, handler_, body_, policy_, response_, summary_)                       \
    {{HTTP_##method_, path_, 0}, #method_,         #body_,                                         \
     LABELS(#method_, path_),    POLICY_##policy_, api_##handler_},
#include "routes.def"
#undef ROUTE
};
static const char *const UNMATCHED_LABELS[STATUS_CLASSES] = LABELS("any", "unmatched");
#define ROUTE_COUNT ARRAY_COUNT(ROUTES)

struct route_metrics {
    struct metric *count[STATUS_CLASSES], *seconds;
};
struct api {
    struct rt *rt;
    struct store *store;
    struct engine *engine;
    struct api_options options;
    struct http_router *router;
    struct http_route table[ROUTE_COUNT];
    struct route_metrics metrics[ROUTE_COUNT + 1]; /* the last: no route */
    struct api_slow_list slow;
    struct map flights;            /* requests with an Idempotency-Key that are being worked on */
    struct metric *inbox_taken[2]; /* new, repeated */
    struct buf stock[STOCK_COUNT_MAX];
    size_t stock_count;
};

int api_open(struct rt *rt, struct store *store, struct engine *engine, const struct api_options *o,
             struct api **out, struct err *err) {
    (void)err; /* nothing can fail so far */
    struct api *api = NEW(struct api);
    api->rt = rt;
    api->store = store;
    api->engine = engine;
    api->options = *o;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        api->table[i] = ROUTES[i].http;
        api->table[i].id = (int)i;
    }
    api->router = http_router_new(api->table, ROUTE_COUNT);
    map_init(&api->flights);
    static const char *const outcomes[] = {"outcome=\"new\"", "outcome=\"repeated\""};
    for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++)
        api->inbox_taken[i] =
            metric_counter("holdfast_inbox_deliveries_total", "Deliveries taken.", outcomes[i]);
    *out = api;
    return 0;
}

void api_free(struct api *api) {
    if (!api)
        return;
    for (size_t i = 0; i < api->stock_count; i++)
        buf_deinit(&api->stock[i]);
    http_router_free(api->router);
    map_deinit(&api->flights);
    mem_free(api);
}

const struct api_options *api_options_of(const struct api *api) { return &api->options; }

void api_set_history(struct api *api, struct history *h) { api->options.history = h; }

struct map *api_flights(struct api *api) {
    return &api->flights;
}

/* --- measuring --- */

void api_inbox_count(struct api *api, bool repeated) { metric_add(api->inbox_taken[repeated], 1); }

static void note_slow(struct api *api, const struct api_request *r, int64_t us) {
    const struct route *route = r->match.route ? &ROUTES[r->match.route->id] : NULL;
    if (api->options.slow_request_us <= 0 || us < api->options.slow_request_us || !route ||
        api_route_waits(route->http.path))
        return;
    struct api_slow *slow = &api->slow.items[api->slow.count++ % API_SLOW_MAX];
    *slow = (struct api_slow){.at_us = clock_wall_us() - us,
                              .us = us,
                              .method = route->method,
                              .route = route->http.path,
                              .status = r->status ? r->status : 200};
    memcpy(slow->trace_id, r->span.at.context.trace_id, sizeof(slow->trace_id));
}

static void observe(struct api *api, const struct api_request *r) {
    size_t index = r->match.route ? (size_t)r->match.route->id : ROUTE_COUNT;
    const char *const *labels = index < ROUTE_COUNT ? ROUTES[index].labels : UNMATCHED_LABELS;
    struct route_metrics *m = &api->metrics[index];
    int class = r->status / 100;
    if (class < 1 || class >= STATUS_CLASSES)
        class = 2; /* a stream, which has begun with 200 */
    if (!m->count[class])
        m->count[class] =
            metric_counter("holdfast_http_requests_total", "Requests answered.", labels[class]);
    if (!m->seconds)
        m->seconds =
            metric_histogram("holdfast_http_request_seconds",
                             "From the complete head of a request to its answer.", labels[0]);
    metric_add(m->count[class], 1);
    int64_t us = clock_mono_us() - r->http->received_us;
    metric_observe_us(m->seconds, us);
    note_slow(api, r, us);
}

const struct api_slow_list *api_slow_requests(const struct api *api) { return &api->slow; }

/* Who did what. Public routes have nobody to name. */
void api_audit(const struct api_request *r) {
    const struct api *api = r->api;
    if (!r->match.route || api->options.audit == API_AUDIT_OFF)
        return;
    enum policy policy = ROUTES[r->match.route->id].policy;
    bool writes = policy >= POLICY_write || r->writes;
    if (policy == POLICY_public || (!writes && api->options.audit != API_AUDIT_ALL))
        return;
    if (api->options.audit == API_AUDIT_AUTO && !auth_enabled(api->options.auth))
        return;
    log_event(LOG_INFO, "audit", "a request was answered",
              LOG_STR("owner", r->who.owner.p ? r->who.owner : STR("")),
              LOG_Z("by", r->who.by ? r->who.by : "nothing"),
              LOG_STR("method", http_method_name(r->http->method)), LOG_STR("path", r->http->path),
              LOG_INT("status", r->status ? r->status : 200), LOG_Z("peer", r->http->peer),
              LOG_INT("us", clock_mono_us() - r->http->received_us));
}

/* --- replies --- */

struct json_writer api_json(struct api_request *r) {
    if (r->out.max_bytes == 0) {
        if (r->api->stock_count > 0)
            r->out = r->api->stock[--r->api->stock_count];
        else
            buf_init(&r->out, REPLY_BYTES_MAX);
    }
    buf_reset(&r->out);
    return json_writer(&r->out);
}

int api_json_read(struct api_request *r, yyjson_val **out, struct err *err) {
    if (!buf_ok(&r->out))
        return ERR_TOO_LARGE;
    return json_parse(r->arena, buf_view(&r->out), out, err);
}

void api_json_done(struct api_request *r) {
    struct api *api = r->api;
    if (r->out.cap > 0 && r->out.cap <= STOCK_BYTES_MAX && api->stock_count < STOCK_COUNT_MAX)
        api->stock[api->stock_count++] = buf_take(&r->out);
    else
        buf_deinit(&r->out);
}

int api_reply_json(struct api_request *r, int status) {
    if (!buf_ok(&r->out))
        return ERR_TOO_LARGE;
    return api_reply_text(r, status, buf_view(&r->out));
}

/* A weak tag, by the text: whoever asks again with it is told that nothing has changed. Not of
 * public routes, which are answered to probes. */
static bool is_known(struct api_request *r, str json_text) {
    unsigned char digest[HASH_XXH3_BYTES];
    char tag[] = "W/\"................................\"";
    const struct route *route = r->match.route ? &ROUTES[r->match.route->id] : NULL;
    if (!route || route->http.method != HTTP_GET || route->policy == POLICY_public)
        return false;
    hash_xxh3(json_text, digest);
    hex_write(digest, sizeof digest, tag + 3);
    str etag = str_n(tag, sizeof tag - 1);
    http_reply_header(r->http, STR("ETag"), etag);
    http_reply_header(r->http, STR("Cache-Control"), STR("private, no-cache"));
    return http_not_modified(http_header_all(r->http, STR("if-none-match")), STR_NULL, etag, 0);
}

int api_reply_text(struct api_request *r, int status, str json_text) {
    if (status == 200 && is_known(r, json_text))
        return api_reply_empty(r, 304);
    r->status = status;
    http_reply(r->http, status, STR("application/json"), json_text);
    return 0;
}

void api_reply_secret(struct api_request *r) {
    http_reply_header(r->http, STR("Cache-Control"), STR("no-store, no-transform"));
}

int api_reply_empty(struct api_request *r, int status) {
    r->status = status;
    http_reply(r->http, status, STR_NULL, STR(""));
    return 0;
}

static void reply_detail(struct api_request *r, int status, str detail, str bare) {
    /* A message that was cut to its buffer may end inside a character. */
    while (detail.len > 0 && !str_is_utf8(detail))
        detail.len--;
    if (r->api->options.error_text) {
        r->status = status;
        http_reply(r->http, status, STR("text/plain; charset=utf-8"), bare.p ? bare : detail);
        return;
    }
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "detail");
    jw_str(&w, detail);
    jw_object_end(&w);
    (void)api_reply_json(r, status); /* a message is shorter than the bound */
}

/* Texts of these were written for the client, though the status says 5xx. */
static bool text_is_public(int code) {
    return code == ERR_UNSUPPORTED || code == ERR_LIMIT || code == ERR_TIMEOUT ||
           (code <= ERR_MODEL_REFUSED && code >= ERR_MODEL_REQUEST);
}

str api_error_text(struct api_request *r, const struct err *err, int code) {
    int status = err_http_status(code);
    bool own_text = err && err->code == code && err->message[0];
    str text = str_of(own_text ? err->message : err_text(code));
    if (status >= 500 && code != ERR_UNSUPPORTED)
        log_event(LOG_ERROR, "api.failed", "a request failed", LOG_Z("code", err_name(code)),
                  LOG_STR("cause", text), LOG_STR("method", http_method_name(r->http->method)),
                  LOG_STR("path", r->http->path), LOG_INT("system", err ? err->system : 0));
    return status < 500 || text_is_public(code) ? text : str_of(err_text(code));
}

void api_reply_error(struct api_request *r, const struct err *err, int code) {
    int status = err_http_status(code);
    str text = api_error_text(r, err, code);
    if (status == 429 || status == 503) {
        int ms = err && err->retry_after_ms > 0 ? err->retry_after_ms : 1000;
        http_reply_header(r->http, STR("Retry-After"),
                          arena_printf(r->arena, "%d", (ms + 999) / 1000));
    }
    reply_detail(r, status, text, STR_NULL);
}

int api_may_write(struct api_request *r, struct err *err) {
    r->writes = true;
    return auth_may_write(r->http, &r->who, err);
}

/* --- the way to the handler --- */

static int body_parse(struct api_request *r, struct err *err) {
    struct err inner = {0};
    int rc = json_parse(r->arena, r->http->body, &r->body, &inner);
    if (rc == ERR_MALFORMED)
        return err_set(err, ERR_MALFORMED, "Malformed JSON in request body");
    if (rc == ERR_INVALID)
        return err_set(err, ERR_INVALID, "body: %s", inner.message);
    if (rc == ERR_TOO_LARGE && json_depth(r->http->body, JSON_DEPTH_MAX) > JSON_DEPTH_MAX)
        return err_set(err, ERR_MALFORMED, "%s", inner.message); /* sending less would not help */
    if (rc < 0 && err)
        *err = inner;
    return rc;
}

/* --- tracing --- */

/* What probes and browsers ask for is no part of anything that is worth a trace. */
static void span_open(struct api_request *r) {
    const struct route *route = &ROUTES[r->match.route->id];
    struct trace incoming;
    char name[SPAN_NAME_BYTES_MAX];
    if (route->policy == POLICY_public)
        return;
    str parent = http_header(r->http, STR("traceparent"));
    if (!r->api->options.tracer && !parent.p)
        return;
    trace_incoming(r->api->options.tracer, parent, http_header(r->http, STR("tracestate")),
                   &incoming);
    int len = snprintf(name, sizeof(name), "%s %.80s", route->method, route->http.path);
    span_begin(&r->span, &incoming, SPAN_SERVER, str_n(name, (size_t)len));
    if (!span_records(&r->span))
        return;
    int64_t waited_us = clock_mono_us() - r->http->received_us;
    r->span.began_us -= waited_us;
    r->span.started_us -= waited_us;
    span_z(&r->span, "http.request.method", route->method);
    span_z(&r->span, "http.route", route->http.path);
    span_z(&r->span, "url.scheme", "http");
    span_z(&r->span, "network.protocol.version", "1.1");
}

static void span_close(struct api_request *r) {
    int status = r->status ? r->status : 200; /* a stream's, which has begun */
    span_int(&r->span, "http.response.status_code", status);
    char code[8];
    snprintf(code, sizeof(code), "%d", status % 1000);
    if (status >= 500)
        span_fail(&r->span, code);
    span_end(&r->span);
}

static int handle(struct api_request *r, struct err *err) {
    const struct route *route = &ROUTES[r->match.route->id];
    int rc = 0;
    span_open(r);
    if (route->policy != POLICY_public)
        rc = auth_authenticate(r->api->options.auth, r->http, r->arena, &r->who, err);
    if (rc == 0 && route->policy == POLICY_operate)
        rc = auth_may_operate(r->http, &r->who, err);
    if (rc == 0 && route->policy >= POLICY_write)
        rc = auth_may_write(r->http, &r->who, err);
    if (rc == 0 && route->policy == POLICY_graphs)
        rc = auth_may_register(r->http, &r->who, err);
    if (rc == 0)
        rc = http_query_parse(r->arena, r->http->query, &r->query, err);
    if (rc == 0)
        rc = http_request_decode(r->http, err);
    if (rc == 0 && r->http->body.len > 0 && !str_eq(str_of(route->body), STR("none")))
        rc = body_parse(r, err);
    str key =
        route->policy == POLICY_create ? http_header(r->http, STR("idempotency-key")) : STR_NULL;
    if (rc == 0)
        rc = key.p ? api_keyed_handle(r, key, route->handler, &r->api->flights, err)
                   : route->handler(r, err);
    if (rc == 0 && !http_replied(r->http))
        rc = err_set(err, ERR_INTERNAL, "the handler of %s %s did not answer", route->method,
                     r->match.route->path);
    return rc;
}

void api_handle(struct http_request *req, void *ctx) {
    struct api *api = ctx;
    struct api_request r = {
        .api = api, .http = req, .arena = req->arena, .store = api->store, .engine = api->engine};
    struct err err = {0};
    str allow = STR_NULL;
    int rc = http_router_match(api->router, req, &r.match, &allow);
    if (rc < 0)
        r.match.route = NULL;
    if (rc == ERR_NOT_FOUND) {
        reply_detail(&r, 404, STR("Not Found"), STR("404 Not Found"));
    } else if (rc == ERR_UNSUPPORTED) {
        http_reply_header(req, STR("Allow"), allow);
        reply_detail(&r, 405, STR("Method Not Allowed"), STR("405 Method Not Allowed"));
    } else {
        if (rc == 0)
            rc = handle(&r, &err);
        if (rc < 0 && !http_replied(req))
            api_reply_error(&r, &err, rc);
    }
    observe(api, &r);
    span_close(&r);
    api_audit(&r);
    api_json_done(&r);
}
