/* SPDX-License-Identifier: Apache-2.0 */
/* debug.c - the debug API.
 *
 *   GET /debug/fibers       live fibers with state and age
 *   GET /debug/connections  connections by state
 *   GET /debug/engine       runs and readers
 *   GET /debug/loop         turns, switches, lag
 *   GET /debug/digest       hex digest of all stored data
 *   GET /debug/failpoints   name, hits, action; PUT with a body "name=action" sets (debug builds)
 */
#include "app/debug.h"

#include "base/failpoint.h"
#include "base/json.h"

bool debug_matches(const struct http_request *req) {
    bool local = strncmp(req->peer, "127.", 4) == 0 || strcmp(req->peer, "::1") == 0;
    return local && str_starts(req->path, STR("/debug/"));
}

static void write_engine(struct json_writer *w, struct engine *e) {
    struct engine_stats s;
    engine_stats(e, &s);
    jw_object(w);
    jw_key(w, "running");
    jw_i64(w, (int64_t)s.running);
    jw_key(w, "pending");
    jw_i64(w, (int64_t)s.pending);
    jw_key(w, "delayed");
    jw_i64(w, (int64_t)s.delayed);
    jw_key(w, "readers");
    jw_i64(w, (int64_t)s.readers);
    jw_object_end(w);
}

static void write_loop(struct json_writer *w, struct rt *rt) {
    struct rt_stats s;
    rt_stats(rt, &s);
    jw_object(w);
    jw_key(w, "turns");
    jw_i64(w, (int64_t)s.turns);
    jw_key(w, "fiber_switches");
    jw_i64(w, (int64_t)s.fiber_switches);
    jw_key(w, "timers_fired");
    jw_i64(w, (int64_t)s.timers_fired);
    jw_key(w, "timers");
    jw_i64(w, (int64_t)s.timers);
    jw_key(w, "fibers");
    jw_i64(w, (int64_t)s.fibers);
    jw_key(w, "lag_us_max");
    jw_i64(w, s.lag_us_max);
    jw_object_end(w);
}

static int answer(struct http_request *req, const struct debug_context *ctx, struct buf *b,
                  struct err *err) {
    struct json_writer w = json_writer(b);
    str what = str_slice(req->path, strlen("/debug/"), req->path.len);
    if (str_eq(what, STR("fibers"))) {
        fiber_list(ctx->rt, b);
    } else if (str_eq(what, STR("connections"))) {
        http_server_list(ctx->http, b);
    } else if (str_eq(what, STR("engine"))) {
        write_engine(&w, ctx->engine);
    } else if (str_eq(what, STR("loop"))) {
        write_loop(&w, ctx->rt);
    } else if (str_eq(what, STR("digest"))) {
        char digest[DB_DIGEST_LEN + 1];
        int rc = db_digest(ctx->db, digest, err);
        if (rc < 0)
            return rc;
        jw_z(&w, digest);
    } else if (str_eq(what, STR("failpoints"))) {
        int rc = req->method == HTTP_PUT ? failpoint_set(req->body, err) : 0;
        if (rc < 0)
            return rc;
        failpoint_list(b);
    } else {
        return err_set(err, ERR_NOT_FOUND, "Not found.");
    }
    return 0;
}

void debug_handle(struct http_request *req, const struct debug_context *ctx) {
    struct buf b;
    struct err err = {0};
    buf_init(&b, 64 << 20);
    int rc = answer(req, ctx, &b, &err);
    if (rc < 0) {
        struct json_writer w = json_writer(&b);
        jw_object(&w);
        jw_key(&w, "detail");
        jw_z(&w, err.message);
        jw_object_end(&w);
    }
    http_reply(req, err_http_status(rc), STR("application/json"), buf_view(&b));
    buf_deinit(&b);
}
