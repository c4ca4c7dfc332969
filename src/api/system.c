/* SPDX-License-Identifier: Apache-2.0 */
/* system.c - the handlers about the server itself.
 *
 * The page of GET /docs is one self-contained document: it reads /openapi.json in the browser and
 * needs nothing from elsewhere, so it works offline and under a strict content policy. */
#include "api/api_int.h"
#include "base/log.h"
#include "base/metrics.h"

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
        return api_reply_text(r, 200,
                              STR("{\"ok\":true,\"services\":{\"database\":\"healthy\"}}"));
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

int api_openapi(struct api_request *r, struct err *err) {
    (void)err; /* writes a constant */
    return api_reply_text(r, 200, str_n(api_openapi_json, api_openapi_json_len));
}

static const char DOCS_PAGE[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Holdfast API</title>"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "summary{cursor:pointer;padding:.25rem 0}code,pre{font-family:ui-monospace,monospace}"
    "pre{background:#f4f4f4;color:#222;padding:.75rem;overflow:auto}"
    ".m{display:inline-block;min-width:4.5rem;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}"
    "pre{background:#23262b;color:#ddd}a{color:#8ab4f8}}</style></head><body>"
    "<h1>Holdfast API</h1><p>The same as a document: <a href=\"openapi.json\">openapi.json</a></p>"
    "<div id=\"list\">Loading …</div><script>"
    "fetch('openapi.json').then(r=>r.json()).then(d=>{const at=document.getElementById('list');"
    "at.textContent='';const add=(p,n,t,c)=>{const "
    "e=document.createElement(n);if(t)e.textContent=t;"
    "if(c)e.className=c;p.append(e);return e};let tag='';"
    "for(const[path,ops]of Object.entries(d.paths))for(const[m,o]of Object.entries(ops)){"
    "if(o.tags[0]!==tag)add(at,'h2',tag=o.tags[0]);const x=add(at,'details'),s=add(x,'summary');"
    "add(s,'code',m.toUpperCase(),'m');add(s,'code',path);add(s,'span',' '+o.summary);"
    "const show=(t,v)=>{if(v){add(x,'h4',t);add(x,'pre',JSON.stringify(v,null,2))}};"
    "const named=v=>v&&v.$ref?d.components.schemas[v.$ref.split('/').pop()]:v;"
    "show('Parameters',o.parameters);"
    "show('Body',o.requestBody&&named(o.requestBody.content['application/json'].schema));"
    "for(const[c,a]of Object.entries(o.responses))if(a.content)"
    "show(c,named(Object.values(a.content)[0].schema))}})"
    ".catch(e=>{document.getElementById('list').textContent='The document cannot be read: '+e});"
    "</script></body></html>\n";

int api_docs(struct api_request *r, struct err *err) {
    (void)err; /* writes a constant */
    r->status = 200;
    http_reply(r->http, 200, STR("text/html; charset=utf-8"),
               str_n(DOCS_PAGE, sizeof(DOCS_PAGE) - 1));
    return 0;
}
