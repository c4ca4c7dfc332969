/* SPDX-License-Identifier: Apache-2.0 */
/* auth_settings.c - the options of authentication.
 *
 * Names differ where an option is known under another name elsewhere (SUPABASE_JWT_SECRET); what
 * options mean together is checked by src/auth, which also finds out whether they work. */
#include "app/auth_settings.h"

#include <arpa/inet.h>

#include "app/database.h"

#define PROVIDERS_BYTES_MAX ((size_t)1 << 16)

/* JSON, or the name of a file that holds it. */
static int read_providers(struct config *c, str *out, struct err *err) {
    str text = str_trim(secret_reveal(c->oidc_providers));
    int rc = text.len == 0 || str_starts(text, STR("{"))
                 ? 0
                 : config_file(&c->memory, text, PROVIDERS_BYTES_MAX, &text, err);
    if (rc < 0)
        return err_context(err, "oidc-providers"), rc;
    *out = text;
    return 0;
}

int auth_settings(struct config *c, struct auth_options *out, struct err *err) {
    str providers;
    int rc = read_providers(c, &providers, err);
    if (rc < 0)
        return rc;
    static const enum auth_stored_keys stored[] = {
        [CONFIG_API_KEYS_AUTO] = AUTH_STORED_AUTO,
        [CONFIG_API_KEYS_ON] = AUTH_STORED_ON,
        [CONFIG_API_KEYS_OFF] = AUTH_STORED_OFF,
    };
    *out = (struct auth_options){
        .jwt_secret = secret_reveal(c->jwt_secret),
        .jwt_secret_previous = secret_reveal(c->jwt_secret_previous),
        .jwks = c->jwks,
        .algorithms = c->jwt_algorithms,
        .rules = {.issuer = c->jwt_issuer,
                  .audiences = c->jwt_audience,
                  .skew_s = c->jwt_skew_us / 1000000,
                  .owner = c->jwt_owner_claim,
                  .tenant = c->jwt_tenant_claim,
                  .scope = c->jwt_scope_claim,
                  .scope_required = c->jwt_scope_required},
        .api_keys_file = c->api_keys_file,
        .stored_keys = stored[c->api_keys],
        .supabase_url = c->supabase_url,
        .supabase_key = secret_reveal(c->supabase_key),
        .introspection_url = c->introspection_url,
        .introspection_id = c->introspection_id,
        .introspection_secret = secret_reveal(c->introspection_secret),
        .cache_ttl_us = c->auth_cache_ttl_us,
        .cache_count_max = (size_t)c->auth_cache_count_max,
        .jwks_interval_us = c->jwks_interval_us,
        .timeout_us = c->auth_timeout_us,
        .remote_concurrency_max = (size_t)c->auth_concurrency_max,
        .oidc_providers = providers,
        .public_url = c->public_url,
        .cors_origin = c->cors_origin,
        .session_idle_us = c->session_idle_us,
        .session_max_us = c->session_max_us,
        .session_cache_us = c->session_cache_us,
        .session_count_max = c->session_count_max,
        .shared = database_is_remote(c),
        .required = c->auth_required,
    };
    return 0;
}

bool auth_host_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}
