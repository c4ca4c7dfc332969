/* SPDX-License-Identifier: Apache-2.0 */
/* s3.c - blobs as objects of a bucket, by the HTTP API of Amazon S3 (path style), which others
 * speak as well. Signed with AWS Signature Version 4 by libcurl.
 *
 * A name is the SHA-256 of its object, so it is also the digest of the payload that the signature
 * wants, and putting twice does no harm: what fails in a way that may pass is tried again. */
#include <stdio.h>

#include "base/mem.h"
#include "blobs/blobs_int.h"

#define TIMEOUT_US 30000000
#define TRIES_MAX  4
#define PAUSE_US   100000 /* before the second try, then three times as long each */
#define ANSWER_MAX ((size_t)64 << 10)
#define TEXT_MAX   1024

struct s3 {
    struct blob_place base;
    struct http_client *client;
    str root; /* "https://host/bucket/prefix" */
    struct http_signing signing;
    int64_t timeout_us;
    size_t blob_bytes_max;
    struct arena texts;
};

struct request {
    enum http_method method;
    str name, body;
    uint64_t from, count; /* of GET; count 0: the whole */
    /* the answer */
    int status;
    str data;
    uint64_t size;
};

static struct s3 *s3_of(struct blob_place *p) { return CONTAINER_OF(p, struct s3, base); }

/* "bytes 0-9/100", "bytes * /100" (without the space). */
static bool range_size(str range, uint64_t *out) {
    ptrdiff_t slash = str_find_char(range, '/');
    return slash >= 0 && str_to_u64(str_slice(range, (size_t)slash + 1, range.len), out);
}

static bool may_pass(int rc, int status) {
    return rc == 0 ? status == 429 || status >= 500
                   : rc == ERR_UNAVAILABLE || rc == ERR_CLOSED || rc == ERR_TIMEOUT;
}

static int answer_read(struct s3 *p, struct http_call *call, struct request *q, struct arena *a,
                       struct err *err) {
    bool wanted = q->method == HTTP_GET && (q->status == 200 || q->status == 206);
    int rc = http_call_read_all(call, a, wanted ? p->blob_bytes_max : ANSWER_MAX, &q->data, err);
    if (rc < 0)
        return rc;
    q->size = q->data.len;
    if (q->status == 200 && q->count) { /* a server that knows no ranges */
        size_t from = q->from < q->data.len ? (size_t)q->from : q->data.len;
        q->data = str_slice(q->data, from, q->data.len);
    }
    if ((q->status == 206 || q->status == 416) &&
        !range_size(http_call_header(call, STR("content-range")), &q->size))
        return err_set(err, ERR_MALFORMED, "the storage of blobs tells no size of an object");
    if (q->status == 416)
        q->data = STR("");
    return 0;
}

static int try_once(struct s3 *p, struct request *q, struct arena *a, struct err *err) {
    struct blob_name empty = blob_name_of(STR(""));
    struct http_header headers[3] = {
        {STR("x-amz-content-sha256"), q->method == HTTP_PUT ? q->name : blob_name_hex(&empty, a)},
        {STR("Content-Type"), STR("application/octet-stream")}};
    struct http_call_options o = {
        .method = q->method,
        .url = arena_printf(a, "%.*s%.*s", STR_ARG(p->root), STR_ARG(q->name)),
        .headers = headers,
        .header_count = 2,
        .body = q->body,
        .head_timeout_us = p->timeout_us,
        .idle_timeout_us = p->timeout_us,
        .signing = &p->signing};
    if (q->count)
        headers[o.header_count++] = (struct http_header){
            STR("Range"), arena_printf(a, "bytes=%llu-%llu", (unsigned long long)q->from,
                                       (unsigned long long)(q->from + q->count - 1))};
    struct http_call *call;
    int rc = http_call_open(p->client, &o, &call, err);
    if (rc < 0)
        return rc;
    q->status = http_call_status(call);
    rc = answer_read(p, call, q, a, err);
    http_call_close(call);
    return rc;
}

static int refused(const struct request *q, struct err *err) {
    switch (q->status) {
    case 200:
    case 204:
    case 206:
    case 416:
        return 0;
    case 404:
        return err_set(err, ERR_NOT_FOUND, "there is nothing under this digest");
    case 401:
    case 403:
        return err_set_system(err, ERR_UNAVAILABLE, q->status,
                              "the storage of blobs refuses our credentials");
    default:
        return err_set_system(err, ERR_UNAVAILABLE, q->status, "the storage of blobs answers %d",
                              q->status);
    }
}

static int request(struct s3 *p, struct request *q, struct arena *a, struct err *err) {
    int64_t pause_us = PAUSE_US;
    for (int tries = 1;; tries++, pause_us *= 3) {
        err_reset(err);
        int rc = try_once(p, q, a, err);
        if (may_pass(rc, q->status) && tries < TRIES_MAX) {
            rc = fiber_sleep_us(pause_us);
            if (rc < 0)
                return err_set(err, rc, "cancelled");
            continue;
        }
        if (rc == ERR_CLOSED || rc == ERR_TIMEOUT)
            return err_set(err, ERR_UNAVAILABLE, "the storage of blobs does not answer");
        return rc < 0 ? rc : refused(q, err);
    }
}

static int s3_put(struct blob_place *base, str name, str data, struct err *err) {
    struct arena a;
    struct request q = {.method = HTTP_PUT, .name = name, .body = data};
    arena_init(&a, (size_t)1 << 20);
    int rc = request(s3_of(base), &q, &a, err);
    arena_deinit(&a);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_UNAVAILABLE, "the bucket of blobs does not exist");
    return rc;
}

static int s3_get(struct blob_place *base, str name, uint64_t from, uint64_t count, struct arena *a,
                  str *out, uint64_t *out_size, struct err *err) {
    struct s3 *p = s3_of(base);
    bool whole = from == 0 && count >= p->blob_bytes_max;
    struct request q = {.method = HTTP_GET, .name = name, .from = from, .count = whole ? 0 : count};
    int rc = request(p, &q, a, err);
    if (rc < 0)
        return rc;
    *out = q.data;
    *out_size = q.size;
    return 0;
}

static int s3_remove(struct blob_place *base, str name, struct err *err) {
    struct arena a;
    struct request q = {.method = HTTP_DELETE, .name = name};
    arena_init(&a, (size_t)1 << 20);
    int rc = request(s3_of(base), &q, &a, err);
    arena_deinit(&a);
    return rc;
}

static void s3_close(struct blob_place *base) {
    struct s3 *p = s3_of(base);
    arena_deinit(&p->texts);
    mem_free(p);
}

/* Parts of a path: letters, digits and what needs no escape; '/' in the prefix only. */
static bool is_plain(str s, bool slashes) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || (slashes && c == '/');
        if (!plain)
            return false;
    }
    return true;
}

static int check(const struct blob_store_options *o, struct err *err) {
    str host = o->endpoint;
    if (str_starts(host, STR("https://")))
        host = str_slice(host, 8, host.len);
    else if (str_starts(host, STR("http://")))
        host = str_slice(host, 7, host.len);
    else
        return err_set(err, ERR_INVALID, "the endpoint must begin with https:// or http://");
    if (host.len == 0 || host.len > TEXT_MAX || str_find_char(host, '/') >= 0 ||
        str_find_char(host, '@') >= 0)
        return err_set(err, ERR_INVALID, "the endpoint must be a host, with a port if need be");
    if (o->bucket.len == 0 || o->bucket.len > TEXT_MAX || !is_plain(o->bucket, false))
        return err_set(err, ERR_INVALID, "the bucket has no usable name");
    if (o->prefix.len > TEXT_MAX || !is_plain(o->prefix, true))
        return err_set(err, ERR_INVALID, "the prefix must be of letters, digits, - _ . /");
    if (o->key_id.len == 0 || o->secret.len == 0)
        return err_set(err, ERR_INVALID, "the key of the bucket, or its secret, is missing");
    return 0;
}

int blob_s3_open(struct http_client *client, const struct blob_store_options *o,
                 struct blob_place **out, struct err *err) {
    static const struct blob_place_ops ops = {
        .put = s3_put, .get = s3_get, .remove = s3_remove, .close = s3_close};
    int rc = check(o, err);
    if (rc < 0)
        return rc;
    struct s3 *p = NEW(struct s3);
    p->base.ops = &ops;
    p->client = client;
    p->timeout_us = o->timeout_us ? o->timeout_us : TIMEOUT_US;
    p->blob_bytes_max = o->blob_bytes_max;
    arena_init(&p->texts, (size_t)64 << 10);
    p->root = arena_printf(&p->texts, "%.*s/%.*s/%.*s", STR_ARG(o->endpoint), STR_ARG(o->bucket),
                           STR_ARG(o->prefix));
    p->signing = (struct http_signing){
        .scheme = arena_printf(&p->texts, "aws:amz:%.*s:s3",
                               STR_ARG(o->region.len ? o->region : STR("us-east-1"))),
        .key_id = arena_dup(&p->texts, o->key_id),
        .secret = arena_dup(&p->texts, o->secret)};
    *out = &p->base;
    return 0;
}
