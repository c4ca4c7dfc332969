/* SPDX-License-Identifier: Apache-2.0 */
/* oidc.c - a login, from the begin here to the return from the provider.
 *
 *   begin ── secret into the browser's cookie, digest of the state into the database ─▶ provider
 *   provider ── state, code ─▶ finish: the cookie's secret gives the state, or it is another
 *     browser's login ─▶ the row of the state is taken, once ─▶ code and verifier go to the
 *     provider ─▶ ID token: signature, claims, nonce ─▶ account
 *
 * Nothing of a login is used before its row has been taken, so what comes a second time meets
 * nothing, on whatever process. A login that fails at the provider is begun anew.
 *
 * What providers publish is read by source.c: when somebody wants to log in, again after an hour,
 * and keys also when a token names one that is not known; never more often than once an interval,
 * whatever clients send. Questions about codes are bounded in number and time. */
#include "auth/oidc.h"

#include <openssl/crypto.h>

#include "auth/form.h"
#include "auth/random_token.h"
#include "auth/source.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#define ALGS_PUBLIC                                                                                \
    (1u << JWT_RS256 | 1u << JWT_RS384 | 1u << JWT_RS512 | 1u << JWT_ES256 | 1u << JWT_EDDSA)
#define ANSWER_BYTES_MAX ((size_t)64 << 10)
#define AGE_US           INT64_C(3600000000)
#define RETRY_US         INT64_C(5000000)
#define RETRY_MS         5000
#define BUSY_MS          1000
#define ERROR_BYTES_MAX  64

struct provider {
    struct oidc *o;
    struct oidc_config config;
    struct arena memory; /* of the metadata, which is replaced as a whole */
    struct oidc_metadata metadata;
    struct source *document, *jwks; /* jwks NULL: the document has not been read */
    struct jwk_set *set;
};
struct oidc {
    struct oidc_options options;
    struct arena memory; /* of the configuration */
    struct provider providers[OIDC_PROVIDERS_MAX];
    size_t count, asking;
};

static int not_now(struct err *err, int ms, const char *text) {
    int rc = err_set(err, ERR_UNAVAILABLE, "%s", text);
    if (err)
        err->retry_after_ms = ms;
    return rc;
}

static int refuse(struct err *err, const char *text) {
    return err_set(err, ERR_UNAUTHORISED, "%s", text);
}

/* --- what providers publish --- */

static int take_jwks(void *ctx, str text, struct err *err) {
    struct provider *p = ctx;
    struct jwk_set *set;
    int rc = jwk_set_parse(text, &set, err);
    if (rc < 0)
        return rc;
    jwk_set_free(p->set);
    p->set = set;
    return 0;
}

static struct source *open_source(struct provider *p, str location,
                                  int (*take)(void *, str, struct err *), const char *what,
                                  size_t bytes_max) {
    const struct oidc_options *o = &p->o->options;
    struct source_options s = {.rt = o->rt,
                               .client = o->client,
                               .fibers = o->fibers,
                               .what = what,
                               .location = location,
                               .bytes_max = bytes_max,
                               .interval_us = o->interval_us,
                               .retry_us = o->interval_us < RETRY_US ? o->interval_us : RETRY_US,
                               .age_us = AGE_US,
                               .timeout_us = o->timeout_us,
                               .take = take,
                               .ctx = p};
    return source_new(&s);
}

static int take_document(void *ctx, str text, struct err *err) {
    struct provider *p = ctx;
    struct oidc_metadata m;
    struct arena memory;
    arena_init(&memory, SIZE_MAX / 2);
    int rc = oidc_metadata_read(&memory, arena_dup(&memory, text), p->config.issuer, &m, err);
    if (rc < 0) {
        arena_deinit(&memory);
        return rc;
    }
    if (p->jwks)
        source_move(p->jwks, m.jwks);
    else
        p->jwks = open_source(p, m.jwks, take_jwks, "a provider's keys", JWK_SET_BYTES_MAX);
    arena_deinit(&p->memory);
    p->memory = memory;
    p->metadata = m;
    return 0;
}

/* The metadata as they were last read. Copied: they may be replaced while somebody waits. */
static int metadata_of(struct provider *p, struct arena *a, struct oidc_metadata *out,
                       struct err *err) {
    struct err failed = {0};
    if (source_taken(p->document)) {
        source_touch(p->document);
    } else {
        int rc = source_refresh(p->document, &failed);
        if (rc == ERR_CANCELLED)
            return rc;
        if (!source_taken(p->document))
            return not_now(err, failed.retry_after_ms ? failed.retry_after_ms : RETRY_MS,
                           "The provider cannot be reached now");
    }
    *out = (struct oidc_metadata){.authorization = arena_dup(a, p->metadata.authorization),
                                  .token = arena_dup(a, p->metadata.token),
                                  .post = p->metadata.post};
    return 0;
}

/* --- opening --- */

int oidc_open(const struct oidc_options *options, struct oidc **out, struct err *err) {
    struct oidc *o = NEW(struct oidc);
    struct oidc_config configs[OIDC_PROVIDERS_MAX];
    size_t count = 0;
    o->options = *options;
    arena_init(&o->memory, SIZE_MAX / 2);
    int rc = oidc_config_read(&o->memory, arena_dup(&o->memory, options->providers), configs,
                              &count, err);
    if (rc < 0) {
        oidc_free(o);
        return err_context(err, "oidc-providers"), rc;
    }
    for (size_t i = 0; i < count; i++) {
        struct provider *p = &o->providers[o->count++];
        p->o = o;
        p->config = configs[i];
        arena_init(&p->memory, SIZE_MAX / 2);
        str issuer = p->config.issuer;
        if (str_ends(issuer, STR("/")))
            issuer = str_slice(issuer, 0, issuer.len - 1);
        if (str_starts(issuer, STR("http://")))
            log_event(LOG_WARN, "auth.insecure",
                      "a provider is asked without TLS: whoever stands between can log in as "
                      "anybody",
                      LOG_STR("provider", p->config.name));
        p->document = open_source(
            p,
            arena_printf(&o->memory, STR_FMT "/.well-known/openid-configuration", STR_ARG(issuer)),
            take_document, "a provider's document", OIDC_METADATA_BYTES_MAX);
    }
    *out = o;
    return 0;
}

void oidc_free(struct oidc *o) {
    if (!o)
        return;
    for (size_t i = 0; i < o->count; i++) {
        source_free(o->providers[i].document);
        source_free(o->providers[i].jwks);
        jwk_set_free(o->providers[i].set);
        arena_deinit(&o->providers[i].memory);
    }
    arena_deinit(&o->memory);
    mem_free(o);
}

static struct provider *find(struct oidc *o, str name, struct err *err) {
    for (size_t i = 0; o && i < o->count; i++)
        if (str_eq(o->providers[i].config.name, name))
            return &o->providers[i];
    (void)err_set(err, ERR_NOT_FOUND, "Provider not found");
    return NULL;
}

/* --- the begin --- */

static str state_digest(struct arena *a, str state) {
    unsigned char *digest = arena_alloc(a, HASH_SHA256_BYTES);
    hash_sha256(state, digest);
    return str_n((const char *)digest, HASH_SHA256_BYTES);
}

static str location_of(const struct provider *p, const struct oidc_metadata *m,
                       const struct oidc_words *words, str redirect, struct arena *a) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_str(&b, m->authorization);
    if (str_find_char(m->authorization, '?') < 0)
        buf_char(&b, '?');
    form_add(&b, "response_type", STR("code"));
    form_add(&b, "client_id", p->config.client_id);
    form_add(&b, "redirect_uri", redirect);
    form_add(&b, "scope", p->config.scopes);
    form_add(&b, "state", oidc_word(words->state));
    form_add(&b, "nonce", oidc_word(words->nonce));
    form_add(&b, "code_challenge", oidc_word(words->challenge));
    form_add(&b, "code_challenge_method", STR("S256"));
    return arena_take(a, &b);
}

int oidc_begin(struct oidc *o, str provider, str redirect, str return_to, struct arena *a,
               str *out_location, str *out_secret, struct err *err) {
    struct provider *p = find(o, provider, err);
    struct oidc_metadata m;
    struct oidc_words words;
    if (!p)
        return ERR_NOT_FOUND;
    int rc = metadata_of(p, a, &m, err);
    if (rc < 0)
        return rc;
    char *secret = arena_alloc(a, RANDOM_TOKEN_TEXT_BYTES);
    random_token_make(STR(""), secret);
    oidc_words_make(str_n(secret, RANDOM_TOKEN_TEXT_BYTES), &words);
    rc = login_put(o->options.store, state_digest(a, oidc_word(words.state)), p->config.name,
                   return_to, clock_wall_us() + OIDC_LOGIN_US, a, err);
    if (rc < 0)
        return rc;
    *out_location = location_of(p, &m, &words, redirect, a);
    *out_secret = str_n(secret, RANDOM_TOKEN_TEXT_BYTES);
    return 0;
}

/* --- the end --- */

static bool same(str a, str b) { return a.len == b.len && CRYPTO_memcmp(a.p, b.p, a.len) == 0; }

static str exchange_body(const struct provider *p, const struct oidc_metadata *m, str code,
                         const struct oidc_words *words, str redirect, struct arena *a) {
    const struct oidc_config *c = &p->config;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    form_add(&b, "grant_type", STR("authorization_code"));
    form_add(&b, "code", code);
    form_add(&b, "redirect_uri", redirect);
    form_add(&b, "code_verifier", oidc_word(words->verifier));
    if (m->post || !c->client_secret.len)
        form_add(&b, "client_id", c->client_id);
    if (m->post && c->client_secret.len)
        form_add(&b, "client_secret", c->client_secret);
    return arena_take(a, &b);
}

static int read_answer(struct http_call *call, struct arena *a, str *out_token, struct err *err) {
    int status = http_call_status(call);
    yyjson_val *root;
    str body;
    int rc = http_call_read_all(call, a, ANSWER_BYTES_MAX, &body, err);
    if (rc < 0)
        return rc;
    if (status == 400 || status == 401 || status == 403)
        return refuse(err, "The provider does not know of this login");
    if (status != 200 || json_parse(a, body, &root, NULL) < 0)
        return not_now(err, RETRY_MS, "The provider's answer cannot be understood");
    *out_token = json_str(json_get(root, "id_token"));
    return out_token->len ? 0 : refuse(err, "The provider has sent no ID token");
}

static int exchange(struct provider *p, const struct oidc_metadata *m, str body, struct arena *a,
                    str *out_token, struct err *err) {
    const struct oidc_options *o = &p->o->options;
    struct http_header headers[3] = {
        {STR("Accept"), STR("application/json")},
        {STR("Content-Type"), STR("application/x-www-form-urlencoded")}};
    struct http_call_options call_options = {.method = HTTP_POST,
                                             .url = m->token,
                                             .headers = headers,
                                             .header_count = 2,
                                             .body = body,
                                             .connect_timeout_us = o->timeout_us,
                                             .head_timeout_us = o->timeout_us,
                                             .idle_timeout_us = o->timeout_us};
    struct http_call *call;
    struct err failed = {0};
    if (!m->post && p->config.client_secret.len)
        headers[call_options.header_count++] = (struct http_header){
            STR("Authorization"), form_basic(a, p->config.client_id, p->config.client_secret)};
    int rc = http_call_open(o->client, &call_options, &call, &failed);
    if (rc == 0) {
        rc = read_answer(call, a, out_token, &failed);
        http_call_close(call);
    }
    if (rc == 0 || rc == ERR_CANCELLED)
        return rc;
    if (rc != ERR_UNAUTHORISED && rc != ERR_UNAVAILABLE)
        return not_now(err, RETRY_MS, "The provider cannot be asked now");
    if (err)
        *err = failed;
    if (rc == ERR_UNAVAILABLE && err && !err->retry_after_ms)
        err->retry_after_ms = RETRY_MS;
    return rc;
}

/* The keys are read when there are none, or the token names one that is not among them. */
static int verify(struct provider *p, const struct jwt *t, struct err *err) {
    struct jwt_keys keys = {.crypto = p->o->options.crypto, .set = p->set, .algs = ALGS_PUBLIC};
    struct err failed = {0};
    int rc = jwt_verify(t, &keys, err);
    if (rc != ERR_NOT_FOUND) {
        source_touch(p->jwks);
        return rc;
    }
    if (source_refresh(p->jwks, &failed) == ERR_CANCELLED)
        return ERR_CANCELLED;
    keys.set = p->set;
    if (!keys.set)
        return not_now(err, failed.retry_after_ms ? failed.retry_after_ms : RETRY_MS,
                       "The provider's keys cannot be read now");
    rc = jwt_verify(t, &keys, err);
    return rc == ERR_NOT_FOUND ? refuse(err, "The token was signed with a key that is not known")
                               : rc;
}

static int ask(struct provider *p, const struct oidc_answer *answer, const struct oidc_words *words,
               struct arena *a, struct account *out, struct err *err) {
    struct oidc_metadata m;
    struct jwt t;
    str token;
    int rc = metadata_of(p, a, &m, err);
    if (rc == 0)
        rc = exchange(p, &m, exchange_body(p, &m, answer->code, words, answer->redirect, a), a,
                      &token, err);
    if (rc == 0)
        rc = jwt_parse(a, token, ALGS_PUBLIC, &t, err);
    if (rc == 0)
        rc = verify(p, &t, err);
    if (rc == 0)
        rc = oidc_claims_read(a, t.payload, &p->config, oidc_word(words->nonce),
                              p->o->options.skew_s, out, err);
    return rc;
}

/* What the browser brings, against what it took along. */
static int check_answer(const struct provider *p, const struct oidc_answer *answer,
                        struct oidc_words *words, struct err *err) {
    if (!random_token_is_one(answer->secret, STR("")))
        return refuse(err, "This browser has begun no login, or another one since");
    oidc_words_make(answer->secret, words);
    if (!same(answer->state, oidc_word(words->state)))
        return refuse(err, "This browser has begun no login, or another one since");
    if (answer->issuer.p && !str_eq(answer->issuer, p->config.issuer))
        return refuse(err, "The answer is another provider's");
    return 0;
}

/* Of an error the provider's code, when it is a word as RFC 6749 has them. */
static int declined(str error, struct err *err) {
    bool word = error.len <= ERROR_BYTES_MAX;
    for (size_t i = 0; word && i < error.len; i++)
        word = (error.p[i] >= 'a' && error.p[i] <= 'z') || error.p[i] == '_';
    return err_set(err, ERR_FORBIDDEN, "The provider did not log in: " STR_FMT,
                   STR_ARG(word ? error : STR("error")));
}

int oidc_finish(struct oidc *o, str provider, const struct oidc_answer *answer, struct arena *a,
                struct account *out, enum session_scope *out_scope, str *out_return_to,
                struct err *err) {
    struct provider *p = find(o, provider, err);
    struct oidc_words words;
    str return_to;
    if (!p)
        return ERR_NOT_FOUND;
    int rc = check_answer(p, answer, &words, err);
    if (rc == 0)
        rc = login_take(o->options.store, state_digest(a, answer->state), p->config.name,
                        clock_wall_us(), a, &return_to, err);
    if (rc == ERR_NOT_FOUND)
        return refuse(err, "The login has taken too long, or was finished before");
    if (rc < 0)
        return rc;
    if (answer->error.p)
        return declined(answer->error, err);
    if (answer->code.len == 0 || answer->code.len > OIDC_CODE_BYTES_MAX)
        return refuse(err, "The provider has sent no code");
    if (o->asking >= o->options.concurrency_max)
        return not_now(err, BUSY_MS, "Too many logins at once");
    o->asking++;
    rc = ask(p, answer, &words, a, out, err);
    o->asking--;
    if (rc < 0)
        return rc;
    out->id = id_v7();
    *out_scope = p->config.scope;
    *out_return_to = return_to;
    return 0;
}
