/* SPDX-License-Identifier: Apache-2.0 */
/* compress.c - which answers are packed, as what, and where: what response.c and stream.c ask.
 *
 * Packed is what a client takes by Accept-Encoding, when its type is text, it is large enough and
 * the handler left it open: no Content-Encoding of its own, no Cache-Control: no-transform (which
 * answers with secrets say, see api/), no strong ETag (it names these very bytes). Small ones too
 * when the client refuses them as they are. 204, 206 and 304 never are.
 *
 *   whole bodies   up to OFFLOAD_BYTES by the server's one packer, on the loop: some 100 us.
 *                  Larger ones by a packer of their own on the offload pool, while the fiber waits;
 *                  when the pool is full they go as they are
 *   streams        those whose producer lets them (pack), while fewer than streams_max have an
 *                  encoder; server-sent events only with the option. Written on the loop, so
 *                  producers write pieces
 *
 * Invariants: a body is never made larger; HEAD is answered with the head that GET would have; an
 * idle connection holds nothing of all this. */
#include "base/metrics.h"
#include "http/conn_int.h"
#include "rt/worker.h"

#define OFFLOAD_BYTES  (64 * 1024)
#define PACK_BYTES_MAX (64 * 1024 * 1024)

/* What the server packs itself, the cheaper one first. */
static const enum http_coding offered[] = {HTTP_ZSTD, HTTP_GZIP};

void http_compress_open(struct http_server *s) {
    static const char *const sides[] = {"side=\"before\"", "side=\"after\""};
    static const char *const labels[HTTP_CODING_COUNT][2] = {
        [HTTP_GZIP] = {"coding=\"gzip\",side=\"before\"", "coding=\"gzip\",side=\"after\""},
        [HTTP_ZSTD] = {"coding=\"zstd\",side=\"before\"", "coding=\"zstd\",side=\"after\""},
    };
    struct http_compress *z = &s->compress;
    buf_init(&z->scratch, SIZE_MAX / 2);
    for (int side = 0; side < 2; side++)
        z->decoded[side] = metric_counter("holdfast_http_decoded_bytes_total",
                                          "Bytes of requests that came compressed, before and "
                                          "after decoding",
                                          sides[side]);
    if (s->o.compress.codings == HTTP_COMPRESS_NONE)
        return;
    z->packer = http_packer_new(s->o.compress.level);
    z->streams =
        metric_gauge("holdfast_http_compressed_streams", "Open streams that are compressed", NULL);
    for (size_t i = 0; i < ARRAY_COUNT(offered); i++)
        for (int side = 0; side < 2; side++)
            z->bytes[offered[i]][side] =
                metric_counter("holdfast_http_compressed_bytes_total",
                               "Bytes of answers that were compressed, before and after",
                               labels[offered[i]][side]);
}

void http_compress_close(struct http_server *s) {
    http_packer_free(s->compress.packer);
    buf_deinit(&s->compress.scratch);
}

static bool is_text(str type) {
    return str_starts(type, STR("text/")) || str_find(type, STR("json")) >= 0 ||
           str_find(type, STR("javascript")) >= 0 || str_find(type, STR("xml")) >= 0;
}

static enum http_coding choose(const struct http_server *s, const int *weights) {
    bool gzip_only = s->o.compress.codings == HTTP_COMPRESS_GZIP;
    return http_accept_choose(weights, offered + gzip_only, ARRAY_COUNT(offered) - gzip_only);
}

static void count(struct http_server *s, enum http_coding c, size_t before, size_t after) {
    metric_add(s->compress.bytes[c][0], (int64_t)before);
    metric_add(s->compress.bytes[c][1], (int64_t)after);
}

/* --- whole bodies --- */

struct pack_job {
    struct http_packer *packer;
    enum http_coding coding;
    str in;
    char *out;
    size_t bytes; /* written; 0: it would not be shorter */
    int level;
};

static void pack_here(struct pack_job *job) {
    job->bytes = http_pack(job->packer, job->coding, job->in, job->out, job->in.len);
}

static void pack_elsewhere(void *arg) {
    struct pack_job *job = arg;
    job->packer = http_packer_new(job->level);
    pack_here(job);
    http_packer_free(job->packer);
}

void http_compress_body(struct http_exchange *x, struct response_head *h, str *body) {
    struct http_server *s = x->conn->server;
    int weights[HTTP_CODING_COUNT];
    if (!s->compress.packer || x->as_is || h->status == 206 || !is_text(h->type) ||
        body->len > PACK_BYTES_MAX)
        return;
    http_accept_codings(http_header_all(&x->req, STR("accept-encoding")), weights);
    if (body->len < s->o.compress.bytes_min && weights[HTTP_IDENTITY] > 0)
        return;
    h->vary_encoding = true;
    struct pack_job job = {.packer = s->compress.packer,
                           .coding = choose(s, weights),
                           .in = *body,
                           .level = s->o.compress.level};
    if (job.coding == HTTP_IDENTITY || !(job.out = arena_try_alloc(&x->arena, body->len)))
        return;
    if (body->len <= OFFLOAD_BYTES || !fiber_self())
        pack_here(&job);
    else if (rt_offload(s->rt, pack_elsewhere, &job) < 0)
        return;
    if (job.bytes == 0)
        return;
    count(s, job.coding, body->len, job.bytes);
    h->coding = job.coding;
    *body = str_n(job.out, job.bytes);
}

/* --- streams --- */

enum http_coding http_compress_stream(struct http_exchange *x, struct response_head *h) {
    struct http_server *s = x->conn->server;
    int weights[HTTP_CODING_COUNT];
    bool events = str_starts(h->type, STR("text/event-stream"));
    if (!s->compress.packer || x->as_is || !is_text(h->type) || (events && !s->o.compress.events))
        return HTTP_IDENTITY;
    h->vary_encoding = true;
    http_accept_codings(http_header_all(&x->req, STR("accept-encoding")), weights);
    if (s->compress.stream_count < s->o.compress.streams_max)
        h->coding = choose(s, weights);
    return h->coding;
}

void http_compress_begin(struct http_server *s) {
    s->compress.stream_count++;
    metric_add(s->compress.streams, 1);
}

void http_compress_end(struct http_server *s) {
    s->compress.stream_count--;
    metric_add(s->compress.streams, -1);
}

str http_compress_piece(struct http_server *s, enum http_coding c, struct http_encoder *e,
                        str bytes, enum http_encode how) {
    struct buf *b = &s->compress.scratch;
    if (b->cap > HTTP_CORK_BYTES_MAX)
        buf_deinit(b);
    buf_reset(b);
    http_encode(e, bytes, how, b);
    ASSERT(buf_ok(b));
    count(s, c, bytes.len, b->len);
    return buf_view(b);
}
