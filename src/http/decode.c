/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c - bodies of requests that came with a Content-Encoding.
 *
 * Design: a body is received as it is sent, within body_bytes_max, and decoded when somebody asks
 * for it: on the handler's fiber, after it was found out who sent it. So a stranger makes nobody
 * unpack anything. The first STEP_BYTES are done on the loop; what is left of a larger one goes to
 * the offload pool, for a few kilobytes may unpack to all that is allowed, which takes a while.
 *
 * Invariants: what is decoded has at most body_bytes_max bytes, and is never held in memory beyond
 * that (413); one coding at a time, and only those that http/coding.h reads (415); a body that is
 * not whole, or is followed by something, is none (400). */
#include "base/metrics.h"
#include "http/conn_int.h"
#include "rt/worker.h"

#define STEP_BYTES (128 * 1024) /* read and written: some 300 us */

struct job {
    struct http_decoder *decoder;
    struct buf *out;
    struct err *err;
    int rc;
};

static void decode_rest(void *arg) {
    struct job *job = arg;
    job->rc = http_decode(job->decoder, SIZE_MAX, job->out, job->err);
}

static int decode(struct http_server *s, enum http_coding coding, str body, struct buf *out,
                  struct err *err) {
    struct job job = {
        .decoder = http_decoder_new(coding, body, s->o.body_bytes_max), .out = out, .err = err};
    int rc = http_decode(job.decoder, STEP_BYTES, out, err);
    if (rc == 0) {
        rc = rt_offload(s->rt, decode_rest, &job);
        if (rc < 0)
            err_set(err, rc, "%s", err_text(rc));
        else
            rc = job.rc;
    }
    http_decoder_free(job.decoder);
    return rc < 0 ? rc : 0;
}

int http_request_decode(struct http_request *req, struct err *err) {
    struct http_exchange *x = req->conn;
    struct http_server *s = x->conn->server;
    str name = str_trim(http_header_all(req, STR("content-encoding")));
    enum http_coding coding;
    if (name.len == 0 || str_ieq(name, STR("identity")) || req->body.len == 0)
        return 0;
    if (!http_coding_parse(name, &coding) || (coding != HTTP_GZIP && coding != HTTP_ZSTD)) {
        http_reply_header(req, STR("Accept-Encoding"), STR("gzip, zstd"));
        return err_set(err, ERR_MEDIA, "Content-Encoding: gzip and zstd are read here");
    }
    struct buf out;
    buf_init(&out, s->o.body_bytes_max + 1);
    int rc = decode(s, coding, req->body, &out, err);
    if (rc < 0) {
        buf_deinit(&out);
        return rc;
    }
    metric_add(s->compress.decoded[0], (int64_t)req->body.len);
    metric_add(s->compress.decoded[1], (int64_t)out.len);
    buf_deinit(&x->body);
    x->body = out;
    req->body = out.len ? buf_view(&out) : STR("");
    return 0;
}
