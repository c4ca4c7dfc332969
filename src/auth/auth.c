/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - from a request to its principal.
 *
 *   credentials ─▶ digest ─▶ cache of who was let in ─▶ cache of who was refused
 *                               │ unknown
 *        ┌──────────────────────┼───────────────────────────┐
 *   API key: file,         JWT: signature and claims,   else: the authority
 *   then database          keys here
 *
 * The order of checks does not depend on what a credential says, except by its form: "hfk_…" is an
 * API key, "hfs_…" is a session (sessions.c, with a cache of its own), three parts with dots are a
 * JWT when there is anything to verify one with. A JWT that was refused here is not asked about
 * elsewhere. A cookie counts when there is neither of the headers, and for less (cookie.c).
 *
 * Invariants: every way out without a principal is an error; a principal has a non-empty owner, and
 * never `all`; what is configured and broken stops the start. A way of authenticating that is added
 * must add itself to auth->enabled in auth_open or auth_start. */
#include "auth/auth.h"

#include "auth/api_key.h"
#include "auth/cache.h"
#include "auth/cookie.h"
#include "auth/jwt.h"
#include "auth/remote.h"
#include "auth/source.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "store/api_keys.h"

#define REFUSED_COUNT_MAX 1024
#define REFUSED_TTL_US    INT64_C(5000000)
#define SOURCE_RETRY_US   INT64_C(5000000)
#define SOURCE_AGE_US     INT64_C(600000000)
#define KEYS_INTERVAL_US  INT64_C(1000000)
#define WAITING_MAX       1024
#define CREDENTIALS_MAX   JWT_BYTES_MAX
#define RETRY_MS          5000
#define LOOK_INTERVAL_US  INT64_C(5000000)

struct auth {
    struct rt *rt;
    struct store *store;
    struct auth_options o;
    struct arena memory; /* of the options' texts */
    bool enabled, local; /* local: JWTs are verified here */
    bool stored_keys;
    bool looking; /* for the first key of the database */
    int64_t looked_us;
    struct jwt_crypto *crypto;
    struct jwt_keys keys;
    struct jwk_set *set;
    struct source *jwks;
    struct source *key_file;
    struct api_key_set *file_keys;
    struct remote *remote;
    struct auth_cache *let_in, *refused;
    struct sessions *sessions;
    struct cookie_site site;
    struct oidc *oidc; /* NULL: no providers */
    struct fiber_group fibers;
    struct metric *hits, *checks, *refusals, *failures, *seconds;
};

/* --- opening --- */

static int take_jwks(void *ctx, str text, struct err *err) {
    struct auth *auth = ctx;
    struct jwk_set *set;
    int rc = jwk_set_parse(text, &set, err);
    if (rc < 0)
        return rc;
    log_event(LOG_INFO, "auth.keys", "public keys are read", LOG_INT("count", jwk_set_count(set)));
    jwk_set_free(auth->set);
    auth->set = set;
    auth->keys.set = set;
    auth_cache_clear(auth->let_in); /* by keys that may be gone */
    auth_cache_clear(auth->refused);
    return 0;
}

static int take_api_keys(void *ctx, str text, struct err *err) {
    struct auth *auth = ctx;
    struct api_key_set *set;
    int rc = api_key_set_parse(text, &set, err);
    if (rc < 0)
        return rc;
    api_key_set_free(auth->file_keys);
    auth->file_keys = set;
    auth_cache_clear(auth->refused);
    return 0;
}

static int open_secrets(struct auth *auth, struct err *err) {
    const str secrets[JWT_SECRETS_MAX] = {auth->o.jwt_secret, auth->o.jwt_secret_previous};
    static const char *const names[] = {"jwt-secret", "jwt-secret-previous"};
    if (secrets[1].len && !secrets[0].len)
        return err_set(err, ERR_INVALID, "jwt-secret-previous: there is no jwt-secret");
    for (size_t i = 0; i < JWT_SECRETS_MAX; i++) {
        if (!secrets[i].len)
            continue;
        int rc = jwt_secret_new(auth->crypto, secrets[i], &auth->keys.secrets[i], err);
        if (rc < 0)
            return err_context(err, "%s", names[i]), rc;
    }
    return 0;
}

static int open_algorithms(struct auth *auth, struct err *err) {
    unsigned possible =
        (auth->o.jwt_secret.len ? JWT_ALGS_SECRET : 0) | (auth->o.jwks.len ? ~JWT_ALGS_SECRET : 0);
    unsigned algs = 1u << JWT_HS256 | 1u << JWT_RS256 | 1u << JWT_ES256 | 1u << JWT_EDDSA;
    if (auth->o.algorithms.len) {
        int rc = jwt_algs_parse(auth->o.algorithms, &algs, err);
        if (rc < 0)
            return err_context(err, "jwt-algorithms"), rc;
        if (algs & ~possible)
            return err_set(err, ERR_INVALID,
                           "jwt-algorithms: HS256 needs jwt-secret, the others need jwks");
        if (auth->o.jwt_secret.len && !(algs & JWT_ALGS_SECRET))
            return err_set(err, ERR_INVALID, "jwt-secret: HS256 is not among jwt-algorithms");
        if (auth->o.jwks.len && !(algs & ~JWT_ALGS_SECRET))
            return err_set(err, ERR_INVALID, "jwks: no algorithm of it is among jwt-algorithms");
    }
    auth->keys.algs = algs & possible;
    return 0;
}

static struct source *open_source(struct auth *auth, struct http_client *client, str location,
                                  const char *what) {
    struct source_options o = {.rt = auth->rt,
                               .client = client,
                               .fibers = &auth->fibers,
                               .what = what,
                               .location = location,
                               .retry_us = SOURCE_RETRY_US,
                               .timeout_us = auth->o.timeout_us,
                               .ctx = auth};
    if (str_eq(location, auth->o.jwks)) {
        o.bytes_max = JWK_SET_BYTES_MAX;
        o.take = take_jwks;
        o.interval_us = auth->o.jwks_interval_us;
        o.age_us = SOURCE_AGE_US;
    } else {
        o.bytes_max = API_KEY_FILE_BYTES_MAX;
        o.take = take_api_keys;
        o.interval_us = o.age_us = KEYS_INTERVAL_US;
    }
    if (o.retry_us > o.interval_us)
        o.retry_us = o.interval_us;
    return source_new(&o);
}

static int open_sources(struct auth *auth, struct http_client *client, struct err *err) {
    int rc = 0;
    if (auth->o.jwks.len) {
        auth->jwks = open_source(auth, client, auth->o.jwks, "the key set");
        if (!source_is_url(auth->o.jwks))
            rc = source_load(auth->jwks, err);
        else if (str_starts(auth->o.jwks, STR("http://")))
            log_plain(LOG_WARN, "auth.insecure",
                      "jwks is read without TLS: whoever stands between "
                      "can let everybody in");
        if (rc < 0)
            return err_context(err, "jwks"), rc;
    }
    if (auth->o.api_keys_file.len) {
        auth->key_file = open_source(auth, NULL, auth->o.api_keys_file, "the file of API keys");
        rc = source_load(auth->key_file, err);
        if (rc < 0)
            return err_context(err, "api-keys-file"), rc;
    }
    return 0;
}

static int open_remote(struct auth *auth, struct http_client *client, struct err *err) {
    const struct auth_options *o = &auth->o;
    struct remote_options r = {.rt = auth->rt,
                               .client = client,
                               .fibers = &auth->fibers,
                               .timeout_us = o->timeout_us,
                               .concurrency_max = o->remote_concurrency_max,
                               .waiting_max = WAITING_MAX,
                               .rules = &o->rules};
    if (!o->supabase_url.len && o->supabase_key.len)
        return err_set(err, ERR_INVALID, "supabase-key: there is no supabase-url");
    if (!o->introspection_url.len && (o->introspection_id.len || o->introspection_secret.len))
        return err_set(err, ERR_INVALID, "introspection-id: there is no introspection-url");
    if (o->introspection_url.len) {
        r.kind = REMOTE_INTROSPECTION;
        r.url = o->introspection_url;
        r.client_id = o->introspection_id;
        r.client_secret = o->introspection_secret;
    } else if (o->supabase_url.len && !auth->local) {
        if (!o->supabase_key.len)
            return err_set(err, ERR_INVALID,
                           "supabase-url: needs jwt-secret or jwks to verify tokens here, or "
                           "supabase-key to ask there");
        r.kind = REMOTE_SUPABASE;
        r.url = o->supabase_url;
        r.api_key = o->supabase_key;
    } else {
        return 0;
    }
    auth->remote = remote_new(&r);
    return 0;
}

static void keep_texts(struct auth *auth) {
    struct auth_options *o = &auth->o;
    str *const texts[] = {&o->jwt_secret,        &o->jwt_secret_previous, &o->jwks,
                          &o->algorithms,        &o->rules.issuer,        &o->rules.audiences,
                          &o->rules.owner,       &o->rules.tenant,        &o->rules.scope,
                          &o->api_keys_file,     &o->supabase_url,        &o->supabase_key,
                          &o->introspection_url, &o->introspection_id,    &o->introspection_secret,
                          &o->oidc_providers,    &o->public_url,          &o->cors_origin};
    arena_init(&auth->memory, SIZE_MAX / 2);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        *texts[i] = arena_dup(&auth->memory, *texts[i]);
}

static void open_sessions(struct auth *auth) {
    const struct auth_options *o = &auth->o;
    struct session_options s = {.rt = auth->rt,
                                .store = auth->store,
                                .fibers = &auth->fibers,
                                .idle_us = o->session_idle_us,
                                .max_us = o->session_max_us,
                                .cache_us = o->session_cache_us,
                                .count_max = o->session_count_max,
                                .cache_count_max = o->cache_count_max,
                                .shared = o->shared};
    auth->sessions = sessions_new(&s);
    auth->site = cookie_site(o->public_url, o->cors_origin);
}

static int open_oidc(struct auth *auth, struct http_client *client, struct err *err) {
    const struct auth_options *o = &auth->o;
    struct oidc_options p = {.rt = auth->rt,
                             .client = client,
                             .store = auth->store,
                             .fibers = &auth->fibers,
                             .crypto = auth->crypto,
                             .providers = o->oidc_providers,
                             .interval_us = o->jwks_interval_us,
                             .timeout_us = o->timeout_us,
                             .skew_s = o->rules.skew_s,
                             .concurrency_max = o->remote_concurrency_max};
    return o->oidc_providers.len ? oidc_open(&p, &auth->oidc, err) : 0;
}

static void open_metrics(struct auth *auth) {
    static const char *const name = "holdfast_auth_total", *const help = "Credentials seen, by end";
    auth->hits = metric_counter(name, help, "end=\"cached\"");
    auth->checks = metric_counter(name, help, "end=\"checked\"");
    auth->refusals = metric_counter(name, help, "end=\"refused\"");
    auth->failures = metric_counter(name, help, "end=\"unavailable\"");
    auth->seconds = metric_histogram("holdfast_auth_seconds", "Finding out who asks", NULL);
}

int auth_open(struct rt *rt, struct http_client *client, struct store *store,
              const struct auth_options *o, struct auth **out, struct err *err) {
    struct auth *auth = NEW(struct auth);
    auth->rt = rt;
    auth->store = store;
    auth->o = *o;
    keep_texts(auth);
    fiber_group_init(&auth->fibers);
    auth->let_in = auth_cache_new(o->cache_count_max, o->cache_ttl_us);
    auth->refused = auth_cache_new(
        REFUSED_COUNT_MAX, o->cache_ttl_us < REFUSED_TTL_US ? o->cache_ttl_us : REFUSED_TTL_US);
    open_metrics(auth);
    open_sessions(auth);
    auth->local = o->jwt_secret.len || o->jwks.len;
    int rc = jwt_crypto_open(&auth->crypto, err);
    auth->keys.crypto = auth->crypto;
    if (rc == 0)
        rc = open_secrets(auth, err);
    if (rc == 0)
        rc = open_algorithms(auth, err);
    if (rc == 0)
        rc = open_sources(auth, client, err);
    if (rc == 0)
        rc = open_remote(auth, client, err);
    if (rc == 0)
        rc = open_oidc(auth, client, err);
    if (rc < 0) {
        auth_free(auth);
        return rc;
    }
    auth->stored_keys = o->stored_keys == AUTH_STORED_ON;
    auth->enabled =
        auth->local || auth->remote || auth->key_file || auth->stored_keys || auth->oidc;
    *out = auth;
    return 0;
}

int auth_start(struct auth *auth, struct err *err) {
    struct arena a;
    struct api_key_row *rows;
    size_t count = 0;
    int rc = 0;
    arena_init(&a, SIZE_MAX / 2);
    if (auth->o.stored_keys == AUTH_STORED_AUTO)
        rc = api_keys_list(auth->store, STR(""), 1, &a, &rows, &count, err);
    arena_deinit(&a);
    if (rc < 0)
        return rc;
    auth->looked_us = rt_mono_us(auth->rt);
    auth->stored_keys = auth->stored_keys || count > 0;
    auth->enabled = auth->enabled || auth->stored_keys;
    if (auth->o.required && !auth->enabled)
        return err_set(err, ERR_INVALID,
                       "auth-required: no way of authenticating is configured, and the database "
                       "holds no API key");
    struct err failed = {0};
    if (auth->jwks && !source_taken(auth->jwks) && source_refresh(auth->jwks, &failed) < 0)
        log_event(LOG_ERROR, "auth.keys.missing",
                  "no token can be verified by public keys until they can be read",
                  LOG_Z("cause", failed.message));
    return 0;
}

void auth_stop(struct auth *auth) {
    if (!auth)
        return;
    fiber_group_cancel(&auth->fibers);
    fiber_group_wait(&auth->fibers);
}

void auth_free(struct auth *auth) {
    if (!auth)
        return;
    ASSERT(auth->fibers.live == 0);
    remote_free(auth->remote);
    oidc_free(auth->oidc);
    source_free(auth->jwks);
    source_free(auth->key_file);
    api_key_set_free(auth->file_keys);
    jwk_set_free(auth->set);
    for (size_t i = 0; i < JWT_SECRETS_MAX; i++)
        jwt_secret_free(auth->keys.secrets[i]);
    jwt_crypto_free(auth->crypto);
    auth_cache_free(auth->let_in);
    auth_cache_free(auth->refused);
    sessions_free(auth->sessions);
    arena_deinit(&auth->memory);
    mem_free(auth);
}

bool auth_enabled(const struct auth *auth) { return auth && auth->enabled; }

/* --- the first key --- */

static void look_fiber(void *arg) {
    struct auth *auth = arg;
    struct api_key_row *rows;
    size_t count = 0;
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = api_keys_list(auth->store, STR(""), 1, &a, &rows, &count, NULL);
    arena_deinit(&a);
    auth->looking = false;
    if (rc < 0 || count == 0)
        return; /* a later request looks again */
    auth->stored_keys = auth->enabled = true;
    log_plain(LOG_WARN, "auth.on", "the database has got an API key: requests must show one now");
}

/* Nothing is configured, and keys of the database would count: another process may have made the
 * first one, and processes that start from now on ask for it. */
static void look_for_keys(struct auth *auth) {
    int64_t now_us = rt_mono_us(auth->rt);
    if (auth->o.stored_keys != AUTH_STORED_AUTO || auth->looking ||
        now_us - auth->looked_us < LOOK_INTERVAL_US)
        return;
    auth->looked_us = now_us;
    auth->looking =
        fiber_group_spawn(&auth->fibers, auth->rt, "auth.look", look_fiber, auth, NULL) == 0;
}

/* --- what a request shows --- */

static int refuse(struct err *err, const char *text) {
    return err_set(err, ERR_UNAUTHORISED, "%s", text);
}

struct shown {
    str text;
    bool key, cookie; /* by x-api-key; in a cookie */
};

/* Of a page that may not do what it asks for: what it shows is not even looked at. */
static int read_cookie(struct auth *auth, const struct http_request *req, struct shown *out,
                       struct err *err) {
    str value;
    int rc = cookie_get(req, &auth->site, COOKIE_NAME_SESSION, &value, err);
    if (rc < 0)
        return rc;
    if (value.len == 0)
        return refuse(err, err_text(ERR_UNAUTHORISED));
    *out = (struct shown){.text = value, .cookie = true};
    if (cookie_may(req, &auth->site) == COOKIE_MAY_NOTHING)
        return err_set(err, ERR_FORBIDDEN,
                       "A cookie counts only with an Origin that is this server's");
    return session_token_is_one(value) ? 0 : refuse(err, "The session is over, or not known");
}

/* Authorization wins over x-api-key, and both over a cookie; each of them twice is none. */
static int read_credentials(struct auth *auth, const struct http_request *req, struct shown *out,
                            struct err *err) {
    str authorization = STR_NULL, key = STR_NULL;
    for (size_t i = 0; i < req->header_count; i++) {
        const struct http_header *h = &req->headers[i];
        str *at = str_ieq(h->name, STR("authorization")) ? &authorization
                  : str_ieq(h->name, STR("x-api-key"))   ? &key
                                                         : NULL;
        if (!at)
            continue;
        if (at->p)
            return refuse(err, "The request has credentials twice");
        *at = h->value;
    }
    out->key = !authorization.p;
    if (!authorization.p && !key.p)
        return read_cookie(auth, req, out, err);
    if (authorization.p) {
        if (authorization.len < 7 || !str_ieq(str_slice(authorization, 0, 7), STR("Bearer ")))
            return refuse(err, "Only Bearer credentials are accepted");
        out->text = str_trim(str_slice(authorization, 7, authorization.len));
    } else {
        out->text = str_trim(key);
    }
    if (out->text.len == 0 || out->text.len > CREDENTIALS_MAX)
        return refuse(err, "The credentials cannot be read");
    if (out->key && !api_key_is_one(out->text)) /* what the caches know of it does not count here */
        return refuse(err, "The API key is not known");
    return 0;
}

/* --- the ways --- */

struct check {
    struct auth *auth;
    str token;
    struct auth_digest digest;
    struct arena *a;
    struct identity identity;
    bool cacheable; /* its result, good or bad */
};

static int unavailable(struct err *err, int ms, const char *text) {
    int rc = err_set(err, ERR_UNAVAILABLE, "%s", text);
    if (err)
        err->retry_after_ms = ms;
    return rc;
}

static int check_jwt(struct check *c, struct err *err) {
    struct auth *auth = c->auth;
    struct jwt t;
    int rc = jwt_parse(c->a, c->token, auth->keys.algs, &t, err);
    if (rc == 0)
        rc = jwt_verify(&t, &auth->keys, err);
    if (rc == ERR_NOT_FOUND) {
        c->cacheable = false;
        struct err failed = {0};
        int fresh = auth->jwks ? source_refresh(auth->jwks, &failed) : ERR_LIMIT;
        if (fresh == ERR_CANCELLED)
            return fresh;
        if (!auth->set)
            return unavailable(err, failed.retry_after_ms ? failed.retry_after_ms : RETRY_MS,
                               "The keys that verify tokens cannot be read now");
        rc = jwt_verify(&t, &auth->keys, err);
        if (rc == ERR_NOT_FOUND)
            return refuse(err, "The token was signed with a key that is not known");
        c->cacheable = rc == 0;
    } else if (auth->jwks) {
        source_touch(auth->jwks);
    }
    if (rc == 0)
        rc = jwt_identity(c->a, &t, &auth->o.rules, clock_wall_us() / 1000000, &c->identity, err);
    return rc;
}

static int check_stored_key(struct check *c, struct err *err) {
    char hex[API_KEY_HEX];
    bool found;
    str record;
    yyjson_val *parsed;
    struct api_key key;
    api_key_digest_hex(&c->digest, hex);
    int rc = api_keys_get(c->auth->store, str_n(hex, sizeof(hex)), c->a, &found, &record, err);
    if (rc < 0)
        return unavailable(err, RETRY_MS, "The API keys cannot be read now");
    if (!found)
        return refuse(err, "The API key is not known");
    if (json_parse(c->a, record, &parsed, err) < 0 || api_key_read(parsed, &key, err) < 0 ||
        memcmp(key.digest.bytes, c->digest.bytes, sizeof(key.digest.bytes)) != 0)
        return err_set(err, ERR_CORRUPT, "the record of an API key cannot be read");
    return api_key_identity(c->a, &key, clock_wall_us(), &c->identity, err);
}

static int check_api_key(struct check *c, struct err *err) {
    struct auth *auth = c->auth;
    if (!api_key_is_one(c->token))
        return refuse(err, "The API key is not known");
    const struct api_key *key = api_key_set_find(auth->file_keys, &c->digest);
    if (!key && auth->key_file) {
        int rc = source_refresh(auth->key_file, NULL); /* too early, or failed: the old ones */
        if (rc == ERR_CANCELLED)
            return rc;
        key = api_key_set_find(auth->file_keys, &c->digest);
    }
    if (key) {
        source_touch(auth->key_file);
        c->cacheable = false; /* a look-up is all there is to it, and the file may change */
        int rc = api_key_identity(c->a, key, clock_wall_us(), &c->identity, err);
        if (rc == 0) /* the set goes when the file changes */
            c->identity.owner = arena_dup(c->a, c->identity.owner);
        return rc;
    }
    c->cacheable = !auth->key_file; /* it may stand there a moment later */
    if (auth->stored_keys)
        return check_stored_key(c, err);
    return refuse(err, "The API key is not known");
}

static int check_any(struct check *c, bool api_key, const char **by, struct err *err) {
    struct auth *auth = c->auth;
    c->cacheable = true;
    if (api_key || str_starts(c->token, STR(API_KEY_PREFIX))) {
        *by = "key";
        return check_api_key(c, err);
    }
    if (auth->local && (!auth->remote || jwt_looks_like_one(c->token))) {
        *by = "token";
        return check_jwt(c, err);
    }
    *by = "authority";
    if (!auth->remote)
        return refuse(err, "The token is not one that this server knows");
    int rc = remote_ask(auth->remote, &c->digest, c->token, c->a, &c->identity, err);
    return rc;
}

/* --- all together --- */

static bool cached(struct check *c, struct auth_times now, struct principal *out, int *rc,
                   struct err *err) {
    struct auth_cached found;
    if (auth_cache_get(c->auth->let_in, &c->digest, now, c->a, &found)) {
        *out = (struct principal){.owner = found.text,
                                  .read_only = found.read_only,
                                  .graphs = found.graphs,
                                  .operate = found.operate,
                                  .by = found.by};
        *rc = 0;
        return true;
    }
    if (auth_cache_get(c->auth->refused, &c->digest, now, c->a, &found)) {
        *rc = err_set(err, found.code, STR_FMT, STR_ARG(found.text));
        return true;
    }
    return false;
}

static void remember(struct check *c, int rc, const char *by, const struct err *err) {
    struct auth_times now = {clock_mono_us(), clock_wall_us()};
    if (rc == 0) {
        struct auth_cached value = {.text = c->identity.owner,
                                    .read_only = c->identity.read_only,
                                    .graphs = c->identity.graphs,
                                    .operate = c->identity.operate,
                                    .by = by,
                                    .expires_s = c->identity.expires_s};
        auth_cache_put(c->auth->let_in, &c->digest, now, &value);
    } else if (rc == ERR_UNAUTHORISED || rc == ERR_FORBIDDEN) {
        struct auth_cached value = {.code = rc, .text = str_of(err->message)};
        auth_cache_put(c->auth->refused, &c->digest, now, &value);
    }
}

static void count_end(struct auth *auth, int rc, int64_t since_us) {
    metric_add(rc == 0 ? auth->checks : rc == ERR_UNAVAILABLE ? auth->failures : auth->refusals, 1);
    metric_observe_us(auth->seconds, clock_mono_us() - since_us);
}

static int identify_session(struct check *c, struct principal *out, struct err *err) {
    int64_t since_us = clock_mono_us();
    bool known;
    int rc = sessions_identify(c->auth->sessions, &c->digest, c->a, out, &known, err);
    if (!known) {
        count_end(c->auth, rc, since_us);
        return rc;
    }
    metric_add(c->auth->hits, 1);
    metric_observe_us(c->auth->seconds, clock_mono_us() - since_us);
    return rc;
}

static int identify(struct check *c, bool api_key, struct principal *out, struct err *err) {
    struct auth_times now = {clock_mono_us(), clock_wall_us()};
    struct err own = {0};
    const char *by = NULL;
    int rc;
    hash_sha256(c->token, c->digest.bytes);
    if (session_token_is_one(c->token))
        return identify_session(c, out, err);
    if (cached(c, now, out, &rc, err)) {
        metric_add(c->auth->hits, 1);
        metric_observe_us(c->auth->seconds, clock_mono_us() - now.mono_us);
        return rc;
    }
    rc = check_any(c, api_key, &by, &own);
    if (c->cacheable)
        remember(c, rc, by, &own);
    count_end(c->auth, rc, now.mono_us);
    if (rc == 0) {
        ASSERT(c->identity.owner.len > 0);
        *out = (struct principal){.owner = c->identity.owner,
                                  .read_only = c->identity.read_only,
                                  .graphs = c->identity.graphs,
                                  .operate = c->identity.operate,
                                  .by = by};
    } else if (err) {
        *err = own;
    }
    return rc;
}

/* RFC 6750 §3: no error code when nothing was shown. */
static void challenge(struct http_request *req, struct arena *a, int rc, bool shown, str text) {
    str value = STR("Bearer realm=\"holdfast\"");
    if (rc == ERR_FORBIDDEN)
        value = arena_printf(a,
                             "Bearer realm=\"holdfast\", error=\"insufficient_scope\", "
                             "error_description=\"" STR_FMT "\"",
                             STR_ARG(text));
    else if (shown)
        value = arena_printf(a,
                             "Bearer realm=\"holdfast\", error=\"invalid_token\", "
                             "error_description=\"" STR_FMT "\"",
                             STR_ARG(text));
    http_reply_header(req, STR("WWW-Authenticate"), value);
}

int auth_authenticate(struct auth *auth, struct http_request *req, struct arena *a,
                      struct principal *out, struct err *err) {
    if (!auth_enabled(auth)) {
        if (auth)
            look_for_keys(auth);
        *out = (struct principal){.owner = STR(""), .graphs = true, .operate = true};
        return 0;
    }
    struct check c = {.auth = auth, .a = a};
    struct principal found = {.owner = STR_NULL};
    struct err own = {0};
    struct shown credentials = {.text = STR_NULL};
    int rc = read_credentials(auth, req, &credentials, &own);
    c.token = credentials.text;
    bool shown =
        c.token.p != NULL || !str_eq(str_of(own.message), str_of(err_text(ERR_UNAUTHORISED)));
    if (rc == 0)
        rc = identify(&c, credentials.key, &found, &own);
    found.cookie = credentials.cookie;
    if (rc == 0 && credentials.cookie && cookie_may(req, &auth->site) == COOKIE_MAY_READ) {
        found.read_only = true;
        found.graphs = false;
    }
    if (rc == 0) {
        *out = found;
        return 0;
    }
    if (rc == ERR_UNAUTHORISED || (rc == ERR_FORBIDDEN && !credentials.cookie))
        challenge(req, a, rc, shown, str_of(own.message));
    if (rc == ERR_UNAUTHORISED && shown)
        log_event(LOG_WARN, "auth.refused", "credentials were refused", LOG_Z("cause", own.message),
                  LOG_Z("peer", req->peer));
    if (err)
        *err = own;
    return rc;
}

int auth_session_begin(struct auth *auth, const struct principal *who,
                       const struct session_wish *wish, struct arena *a, struct session *out,
                       str *out_token, struct err *err) {
    return sessions_begin(auth->sessions, who, wish, a, out, out_token, err);
}

void auth_sessions_ended(struct auth *auth) {
    if (auth)
        sessions_ended(auth->sessions);
}

void auth_session_cookie(struct auth *auth, struct http_request *req, struct arena *a, str token,
                         const struct session *session) {
    cookie_set(req, a, &auth->site, COOKIE_NAME_SESSION, token,
               (session->ends_at - session->created_at) / 1000000);
}

void auth_session_cookie_forget(struct auth *auth, struct http_request *req, struct arena *a) {
    cookie_set(req, a, &auth->site, COOKIE_NAME_SESSION, STR(""), 0);
}

/* --- logins --- */

/* As the provider knows it. Without --public-url the host is what the browser calls it. */
static str redirect_of(const struct auth *auth, const struct http_request *req, str provider,
                       struct arena *a) {
    str url = auth->o.public_url, host = http_header(req, STR("host"));
    if (str_ends(url, STR("/")))
        url = str_slice(url, 0, url.len - 1);
    return url.len
               ? arena_printf(a, STR_FMT "/auth/callback/" STR_FMT, STR_ARG(url), STR_ARG(provider))
               : arena_printf(a, "http://" STR_FMT "/auth/callback/" STR_FMT, STR_ARG(host),
                              STR_ARG(provider));
}

int auth_login_begin(struct auth *auth, struct http_request *req, str provider, str return_to,
                     struct arena *a, str *out_location, struct err *err) {
    str secret;
    if (!auth || !auth->oidc)
        return err_set(err, ERR_NOT_FOUND, "Provider not found");
    if (return_to.len > LOGIN_RETURN_BYTES_MAX || !cookie_return_is_fine(return_to))
        return err_set(err, ERR_INVALID, "return_to: must be a path of this server");
    int rc = oidc_begin(auth->oidc, provider, redirect_of(auth, req, provider, a), return_to, a,
                        out_location, &secret, err);
    if (rc == 0)
        cookie_set(req, a, &auth->site, COOKIE_NAME_LOGIN, secret, OIDC_LOGIN_US / 1000000);
    return rc;
}

int auth_login_finish(struct auth *auth, struct http_request *req, str provider,
                      struct oidc_answer *answer, struct arena *a, str *out_return_to,
                      struct err *err) {
    struct err own = {0};
    struct account account;
    struct session session;
    enum session_scope scope;
    str token;
    if (!auth || !auth->oidc)
        return err_set(err, ERR_NOT_FOUND, "Provider not found");
    answer->redirect = redirect_of(auth, req, provider, a);
    int rc = cookie_get(req, &auth->site, COOKIE_NAME_LOGIN, &answer->secret, &own);
    if (rc == 0)
        rc = oidc_finish(auth->oidc, provider, answer, a, &account, &scope, out_return_to, &own);
    if (rc == 0) {
        struct session_wish wish = {.address = str_of(req->peer),
                                    .user_agent = http_header(req, STR("user-agent"))};
        rc = sessions_login(auth->sessions, &account, scope, &wish, a, &session, &token, &own);
    }
    if (rc < 0) {
        if (rc != ERR_NOT_FOUND)
            log_event(LOG_WARN, "auth.login.failed", "somebody could not log in",
                      LOG_STR("provider", provider), LOG_Z("cause", own.message),
                      LOG_Z("peer", req->peer));
        if (err)
            *err = own;
        return rc;
    }
    cookie_set(req, a, &auth->site, COOKIE_NAME_LOGIN, STR(""), 0);
    auth_session_cookie(auth, req, a, token, &session);
    log_event(LOG_INFO, "auth.login", "somebody has logged in", LOG_STR("owner", session.owner),
              LOG_STR("provider", provider), LOG_Z("peer", req->peer));
    return 0;
}
static int refuse_scope(struct http_request *req, const char *challenge, const char *text,
                        struct err *err) {
    http_reply_header(req, STR("WWW-Authenticate"), str_of(challenge));
    return err_set(err, ERR_FORBIDDEN, "%s", text);
}

#define SCOPE(name)                                                                                \
    "Bearer realm=\"holdfast\", error=\"insufficient_scope\", scope=\"holdfast:" name "\""

int auth_may_write(struct http_request *req, const struct principal *who, struct err *err) {
    return who->read_only
               ? refuse_scope(req, SCOPE("write"), "These credentials may only read", err)
               : 0;
}

int auth_may_register(struct http_request *req, const struct principal *who, struct err *err) {
    return who->graphs ? 0
                       : refuse_scope(req, SCOPE("graphs"),
                                      "These credentials may not register graphs", err);
}

int auth_may_operate(struct http_request *req, const struct principal *who, struct err *err) {
    return who->operate ? 0
                        : refuse_scope(req, SCOPE("operate"),
                                       "These credentials may not operate the server", err);
}
