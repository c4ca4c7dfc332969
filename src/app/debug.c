/* SPDX-License-Identifier: Apache-2.0 */
/* debug.c - the debug API.
 *
 *   GET /debug/fibers       live fibers with state and age
 *   GET /debug/connections  connections by state
 *   GET /debug/engine       runs, readers, slots; the worker and its lease; the tail reader
 *   GET /debug/loop         turns, switches, lag
 *   GET /debug/digest       hex digest of all stored data
 *   GET /debug/failpoints   name, hits, action; PUT with a body "name=action" sets (debug builds)
 */
#include "app/debug.h"

#include "base/failpoint.h"
#include "base/json.h"

bool debug_matches(const struct http_request *req) {
    return http_peer_is_local(req) && str_starts(req->path, STR("/debug/"));
}

static void write_worker(struct json_writer *w, const struct engine_stats *s) {
    char id[ID_DASHED_LEN];
    id_write_dashed(s->worker, id);
    jw_key(w, "worker");
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, str_n(id, sizeof(id)));
    jw_key(w, "registered");
    jw_bool(w, s->registered);
    jw_key(w, "leads");
    jw_bool(w, s->leads);
    jw_key(w, "others");
    jw_i64(w, s->others);
    jw_key(w, "lease_left_us");
    jw_i64(w, s->lease_left_us);
    jw_key(w, "adopted");
    jw_i64(w, (int64_t)s->adopted);
    jw_key(w, "leases_lost");
    jw_i64(w, (int64_t)s->leases_lost);
    jw_key(w, "hints_sent");
    jw_i64(w, (int64_t)s->hints_sent);
    jw_key(w, "hints_got");
    jw_i64(w, (int64_t)s->hints_got);
    jw_object_end(w);
}

static void write_tail(struct json_writer *w, const struct hub_tail_stats *s) {
    jw_key(w, "tail");
    jw_object(w);
    jw_key(w, "topics");
    jw_i64(w, (int64_t)s->topics);
    jw_key(w, "tailed");
    jw_i64(w, (int64_t)s->tailed);
    jw_key(w, "behind");
    jw_i64(w, (int64_t)s->behind);
    jw_key(w, "polls");
    jw_i64(w, (int64_t)s->polls);
    jw_key(w, "fills");
    jw_i64(w, (int64_t)s->fills);
    jw_object_end(w);
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
    jw_key(w, "slots");
    jw_i64(w, (int64_t)s.slots);
    jw_key(w, "blocked");
    jw_i64(w, (int64_t)s.blocked);
    write_worker(w, &s);
    write_tail(w, &s.tail);
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
