/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - the HTTP API: dispatch from the one route table (spec/routes.def) to handlers.
 *
 * A handler parses, calls and encodes; it returns 0 after it has replied, or an error that the
 * dispatcher answers ({"detail": text} with the table's status). Memory: the request's arena.
 * Suspends: handlers run on the request's fiber. Tests: tests/unit/api/, tests/integration/ */
#ifndef HF_API_API_H
#define HF_API_API_H

#include "base/json.h"
#include "http/router.h"
#include "model/principal.h"
#include "store/store.h"
#include "trace/trace.h"

struct engine;
struct auth;
struct delivery_relay;
struct plans;
struct artifacts;
struct jobs;
struct history;

/* Which requests get a line in the log that says who asked: auto is writes when requests show who
 * they are, else off. */
enum api_audit { API_AUDIT_AUTO, API_AUDIT_OFF, API_AUDIT_WRITES, API_AUDIT_ALL };

struct api_options {
    struct auth *auth;               /* NULL: every request acts as the owner "" */
    struct delivery_relay *delivery; /* knows which webhooks may be asked for */
    struct plans *plans;
    struct artifacts *artifacts; /* NULL: none are kept */
    struct jobs *jobs;           /* background work */
    struct history *history;     /* NULL: none are kept, or api_set_history() follows */
    enum api_audit audit;
    bool error_text; /* --error-format=text */
    bool debug_api;
    bool dev; /* POST /internal/truncate is served */
    int64_t cron_count_max;  /* of one owner */
    const char *public_url;  /* of this server; "" unknown */
    int64_t slow_request_us; /* so slow requests are kept for /perf; 0: none */
    struct tracer *tracer;   /* NULL: no spans are made */
    const char *cors_origin; /* whose pages may read answers; "*": all */
};
struct api;
MUST_CHECK int api_open(struct rt *rt, struct store *store, struct engine *engine,
                        const struct api_options *o, struct api **out, struct err *err);
void api_free(struct api *api);
/* Before the first request, by who opens the database later. */
void api_set_history(struct api *api, struct history *h);
void api_handle(struct http_request *req, void *api); /* the server's handler */

/* --- for handlers --- */
struct api_request {
    struct api *api;
    struct http_request *http;
    struct arena *arena;
    struct principal who;
    struct http_match match; /* path parameters in the template's order */
    struct http_query query;
    yyjson_val *body; /* parsed JSON body; NULL when the route has none or it was empty */
    struct store *store;
    struct engine *engine;
    struct buf out;          /* scratch memory of replies */
    struct api_keyed *keyed; /* NULL: no Idempotency-Key */
    int status;              /* of the reply that was sent; 0: a stream's, or none */
    bool writes;             /* though the route's policy is read */
    struct span span;        /* of the request; of public routes none */
};
typedef int (*api_handler_fn)(struct api_request *r, struct err *err);

/* Replies: JSON from the scratch buffer of the request (api_json → write → api_reply_json). */
struct json_writer api_json(struct api_request *r);    /* empties the buffer */
/* What was written, as a value in the request's arena. ERR_TOO_LARGE when it overflowed. */
MUST_CHECK int api_json_read(struct api_request *r, yyjson_val **out, struct err *err);
void api_json_done(struct api_request *r); /* the buffer goes back to the stock */
int api_reply_json(struct api_request *r, int status); /* 0, or ERR_TOO_LARGE when it overflowed */
/* The same of a text. What a GET reads has a tag, and is 304 to who names it. */
int api_reply_text(struct api_request *r, int status, str json_text);
/* The coming answer has secrets beside what others may have written: it is neither compressed,
 * since its size would tell of them, nor kept by anybody. */
void api_reply_secret(struct api_request *r);
int api_reply_empty(struct api_request *r, int status); /* 204, 202 */
/* Path parameter as an id; `not_found` is the 404 text for a malformed one ("Run not found"). */
MUST_CHECK int api_param_id(struct api_request *r, size_t index, struct id *out, struct err *err,
                            const char *not_found_format, ...) PRINTF_LIKE(5, 6);
/* Path parameter as an assistant: its id, or the name of a graph. 404 "Assistant not found". */
MUST_CHECK int api_param_assistant(struct api_request *r, size_t index, struct id *out,
                                   struct err *err);
MUST_CHECK int api_body_object(struct api_request *r,
                               struct err *err); /* 422 unless body is an object */
/* {"detail": text} with the status of the code, or the bare text, as configured. */
void api_reply_error(struct api_request *r, const struct err *err, int code);

/* Handlers, named in spec/routes.def. */
#define ROUTE(method, path, handler, body, policy, response, summary)                              \
    int api_##handler(struct api_request *r, struct err *err);
#include "routes.def"
#undef ROUTE

#endif
