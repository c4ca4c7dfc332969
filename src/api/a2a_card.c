/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_card.c - the card of an agent: who it is, where and how it is spoken to.
 *
 * One document for both versions: 1.0 reads supportedInterfaces, 0.3 url, preferredTransport and
 * protocolVersion. Addresses are under the server's --public-url, or else under the name that the
 * request was sent to.
 *
 * Where requests show who they are, the card is also what agents ask for as the extended one: what
 * somebody may see is the same by either way. */
#include "api/a2a_int.h"
#include "auth/auth.h"

static bool is_host(str host) {
    for (size_t i = 0; i < host.len; i++) {
        int c = host.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == ':' || c == '[' || c == ']' || c == '_'))
            return false;
    }
    return host.len > 0 && host.len < 300;
}

static str address(struct api_request *r, struct id assistant_id) {
    str base = str_of(api_options_of(r->api)->public_url);
    str host = http_header(r->http, STR("host"));
    if (!base.len)
        base = arena_printf(r->arena, "http://" STR_FMT,
                            STR_ARG(is_host(host) ? host : STR("localhost")));
    return arena_printf(r->arena, STR_FMT "/a2a/" STR_FMT, STR_ARG(base),
                        STR_ARG(id_dashed(r->arena, assistant_id)));
}

static void write_interface(struct json_writer *w, str url, const char *version) {
    jw_object(w);
    jw_key(w, "url");
    jw_str(w, url);
    jw_key(w, "protocolBinding");
    jw_z(w, "JSONRPC");
    jw_key(w, "protocolVersion");
    jw_z(w, version);
    jw_object_end(w);
}

static void write_addresses(struct json_writer *w, str url) {
    jw_key(w, "supportedInterfaces");
    jw_array(w);
    write_interface(w, url, "1.0");
    write_interface(w, url, "0.3");
    jw_array_end(w);
    jw_key(w, "url");
    jw_str(w, url);
    jw_key(w, "preferredTransport");
    jw_z(w, "JSONRPC");
    jw_key(w, "protocolVersion");
    jw_z(w, "0.3.0");
}

static void write_skill(struct json_writer *w, const struct assistant *t, str description) {
    jw_key(w, "skills");
    jw_array(w);
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, t->graph_id);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "description");
    jw_str(w, description);
    jw_key(w, "tags");
    jw_raw(w, STR("[\"assistant\"]"));
    jw_object_end(w);
    jw_array_end(w);
}

bool api_a2a_has_extended_card(struct api_request *r) {
    return auth_enabled(api_options_of(r->api)->auth);
}

static void write_security(struct json_writer *w) {
    jw_key(w, "securitySchemes");
    jw_raw(w, STR("{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                  "\"apiKey\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"x-api-key\"}}"));
    jw_key(w, "security");
    jw_raw(w, STR("[{\"bearer\":[]},{\"apiKey\":[]}]"));
}

/* Version 0.3 has the extended card beside the capabilities. */
static void write_capabilities(struct json_writer *w, bool extended) {
    jw_key(w, "capabilities");
    jw_object(w);
    jw_key(w, "streaming");
    jw_bool(w, true);
    jw_key(w, "pushNotifications");
    jw_bool(w, true);
    jw_key(w, "extendedAgentCard");
    jw_bool(w, extended);
    jw_object_end(w);
    jw_key(w, "supportsAuthenticatedExtendedCard");
    jw_bool(w, extended);
}

void api_a2a_write_card(struct api_request *r, struct json_writer *w, const struct assistant *t) {
    const struct graph_def *g = graph_library_find(engine_library(r->engine), t->graph_id);
    str description = t->description;
    if (!description.len)
        description = g && g->description ? str_of(g->description) : t->name;
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "description");
    jw_str(w, description);
    jw_key(w, "version");
    jw_str(w, arena_printf(r->arena, "%lld", (long long)t->version));
    write_addresses(w, address(r, t->id));
    write_capabilities(w, api_a2a_has_extended_card(r));
    jw_key(w, "defaultInputModes");
    jw_raw(w, STR("[\"text/plain\",\"application/json\"]"));
    jw_key(w, "defaultOutputModes");
    jw_raw(w, STR("[\"text/plain\",\"application/json\"]"));
    write_skill(w, t, description);
    if (api_a2a_has_extended_card(r))
        write_security(w);
    jw_object_end(w);
}

static int reply_card(struct api_request *r, const struct assistant *t) {
    struct json_writer w = api_json(r);
    api_a2a_write_card(r, &w, t);
    return api_reply_json(r, 200);
}

int api_a2a_card(struct api_request *r, struct err *err) {
    struct id id;
    struct assistant t;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc == 0)
        rc = assistant_get(r->store, &r->who, id, r->arena, &t, err);
    return rc < 0 ? rc : reply_card(r, &t);
}

int api_a2a_card_by_query(struct api_request *r, struct err *err) {
    str name = http_query_get(&r->query, "assistant_id");
    if (!name.len)
        return err_set(err, ERR_INVALID, "assistant_id: is required");
    r->match.params[0] = name;
    r->match.param_count = 1;
    return api_a2a_card(r, err);
}
