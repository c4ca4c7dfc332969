/* SPDX-License-Identifier: Apache-2.0 */
/* system.c - the handlers about the server itself.
 *
 * The page of GET /docs reads /openapi.json in the browser and needs nothing from elsewhere, so it
 * works offline and under a strict content policy. It lies in the binary with its script and style
 * (src/api/assets/, tools/gen-assets), packed in advance. */
#include "api/api_int.h"
#include "base/log.h"
#include "base/metrics.h"
#include "http/assets.h"

extern const struct http_asset api_assets[]; /* made by tools/gen-assets */
extern const size_t api_assets_count;

int api_root(struct api_request *r, struct err *err) {
    (void)err; /* writes constants */
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "name");
    jw_z(&w, "Holdfast");
    jw_key(&w, "version");
    jw_z(&w, HF_VERSION);
    jw_key(&w, "docs");
    jw_z(&w, "/docs");
    jw_key(&w, "openapi");
    jw_z(&w, "/openapi.json");
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* Which part is ill; a load balancer takes the server out of service meanwhile. */
static int reply_unwell(struct api_request *r, const char *database) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "ok");
    jw_bool(&w, false);
    jw_key(&w, "database");
    jw_z(&w, database);
    jw_key(&w, "services");
    jw_raw(&w, STR("{\"database\":\"unhealthy\"}"));
    jw_object_end(&w);
    http_reply_header(r->http, STR("Retry-After"), STR("1"));
    return api_reply_json(r, 503);
}

int api_ok(struct api_request *r, struct err *err) {
    (void)err; /* the answer tells what is wrong */
    struct err failure = {0};
    const char *ill = db_health(r->store->db);
    if (ill)
        return reply_unwell(r, ill);
    if (!http_query_bool(&r->query, "check_db", false))
        return api_reply_text(r, 200, STR("{\"ok\":true}"));
    if (db_ping(r->store->db, &failure) == 0)
        return api_reply_text(r, 200, STR("{\"ok\":true,\"services\":{\"database\":\"healthy\"}}"));
    log_event(LOG_ERROR, "api.unwell", "the database does not answer",
              LOG_Z("cause", failure.message));
    return reply_unwell(r, "the database does not answer");
}

int api_info(struct api_request *r, struct err *err) {
    (void)err; /* writes constants */
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "version");
    jw_z(&w, HF_VERSION);
    jw_key(&w, "context");
    jw_z(&w, "holdfast");
    jw_key(&w, "flags");
    jw_raw(&w, STR("{\"assistants\":true,\"crons\":true,\"langsmith\":false,"
                   "\"langsmith_tracing_replicas\":false,\"strict_resume\":true,"
                   "\"stream_namespaces\":true}"));
    jw_key(&w, "metadata");
    jw_object(&w);
    jw_key(&w, "database");
    jw_z(&w, db_name(r->store->db));
    jw_object_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_metrics(struct api_request *r, struct err *err) {
    str format = http_query_get(&r->query, "format");
    bool json = str_eq(format, STR("json"));
    if (format.len > 0 && !json && !str_eq(format, STR("prometheus")))
        return err_set(err, ERR_INVALID, "format: must be one of prometheus, json");
    struct json_writer w = api_json(r);
    if (json) {
        metrics_write_json(w.b);
        return api_reply_json(r, 200);
    }
    metrics_write_prometheus(w.b);
    r->status = 200;
    http_reply(r->http, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_view(w.b));
    return 0;
}

/* --- what lies in the binary --- */

static int reply_asset(struct api_request *r, str name, struct err *err) {
    const struct http_asset *asset = http_asset_find(api_assets, api_assets_count, name);
    if (!asset)
        return err_set(err, ERR_NOT_FOUND, "Asset not found");
    r->status = http_asset_reply(r->http, asset);
    return 0;
}

int api_openapi(struct api_request *r, struct err *err) {
    return reply_asset(r, STR("openapi.json"), err);
}

int api_asset(struct api_request *r, struct err *err) {
    return reply_asset(r, r->match.params[0], err);
}

int api_docs(struct api_request *r, struct err *err) {
    http_reply_header(
        r->http, STR("Content-Security-Policy"),
        STR("default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"));
    return reply_asset(r, STR("docs.html"), err);
}
