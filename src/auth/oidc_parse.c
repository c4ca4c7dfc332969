/* SPDX-License-Identifier: Apache-2.0 */
/* oidc_parse.c - providers as operators write them, what providers say of themselves, ID tokens.
 *
 *   secret ── SHA-256("state"), ("nonce"), ("verifier") ─▶ words ── SHA-256 ─▶ challenge
 *
 * The words of a login are digests of one secret, each under its own label, so the database holds
 * none of them but the digest of the state, and a server that restarts in between, or another one,
 * goes on with the login.
 *
 * An ID token is checked as OpenID Connect Core §3.1.3.7 says: issuer, audience, azp, times, nonce;
 * its algorithm is one of public keys. A sub is unique at its provider only, so the owner has the
 * provider's name before it, unless the operator says otherwise. */
#include <openssl/crypto.h>

#include "auth/base64url.h"
#include "auth/oidc.h"
#include "base/clock.h"
#include "base/hash.h"

#define NAME_BYTES_MAX 32
#define URL_BYTES_MAX  2000
#define TEXT_BYTES_MAX 1000

/* --- providers --- */

static bool is_name(str name) {
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

/* Absolute, without a fragment or anything that a header or a browser takes amiss. */
static bool is_url(str url) {
    bool scheme = str_starts(url, STR("https://")) || str_starts(url, STR("http://"));
    if (!scheme || url.len > URL_BYTES_MAX)
        return false;
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("#\\\"<>", c))
            return false;
    }
    ptrdiff_t at = str_find(url, STR("://"));
    char first = (size_t)at + 3 < url.len ? url.p[at + 3] : '/';
    return first != '/' && first != '?';
}

static bool has_word(str words, str word) {
    for (str rest = words, one; str_split_next(&rest, ' ', &one);)
        if (str_eq(one, word))
            return true;
    return false;
}

/* A text of the object; absent stays what it is. */
static bool take_text(yyjson_val *v, const char *key, str *out) {
    yyjson_val *member = json_get(v, key);
    if (!member)
        return true;
    str text = json_str(member);
    if (!text.p || text.len > TEXT_BYTES_MAX || !str_is_utf8(text))
        return false;
    *out = text;
    return true;
}

static int fault(struct err *err, const struct oidc_config *c, const char *text) {
    return err_set(err, ERR_INVALID, STR_FMT ": %s", STR_ARG(c->name), text);
}

static int known_members(yyjson_val *v, const struct oidc_config *c, struct err *err) {
    static const char *const names[] = {"issuer", "client_id", "client_secret", "scopes",
                                        "tenant", "scope",     "claims"};
    yyjson_val *key, *value;
    size_t i, n;
    yyjson_obj_foreach(v, i, n, key, value) {
        bool known = false;
        (void)value;
        for (size_t k = 0; k < ARRAY_COUNT(names); k++)
            known = known || str_eq(json_str(key), str_of(names[k]));
        if (!known)
            return fault(err, c, "a member is not known");
    }
    return 0;
}

static int read_provider(yyjson_val *v, struct oidc_config *c, struct err *err) {
    str scope = STR("write");
    c->scopes = STR("openid email profile");
    c->tenant = c->name;
    if (!yyjson_is_obj(v))
        return fault(err, c, "must be an object");
    int rc = known_members(v, c, err);
    if (rc < 0)
        return rc;
    if (!take_text(v, "issuer", &c->issuer) || !take_text(v, "client_id", &c->client_id) ||
        !take_text(v, "client_secret", &c->client_secret) || !take_text(v, "scopes", &c->scopes) ||
        !take_text(v, "tenant", &c->tenant) || !take_text(v, "scope", &scope))
        return fault(err, c, "a member is no text of at most 1000 bytes");
    if (!is_url(c->issuer) || str_find_char(c->issuer, '?') >= 0)
        return fault(err, c, "issuer must be an address");
    if (c->client_id.len == 0 || str_find_char(c->client_id, ',') >= 0)
        return fault(err, c, "client_id must be there, and has no comma");
    if (!has_word(c->scopes, STR("openid")))
        return fault(err, c, "scopes must have the word openid");
    if (c->tenant.len && (!identity_owner_valid(c->tenant) || str_find_char(c->tenant, ':') >= 0))
        return fault(err, c, "tenant can be no part of an owner");
    if (!str_eq(scope, STR("read")) && !str_eq(scope, STR("write")) &&
        !str_eq(scope, STR("graphs")))
        return fault(err, c, "scope must be read, write or graphs");
    c->scope = str_eq(scope, STR("read"))     ? SESSION_READS
               : str_eq(scope, STR("graphs")) ? SESSION_GRAPHS
                                              : SESSION_WRITES;
    c->claims = json_get(v, "claims");
    if (c->claims && !yyjson_is_obj(c->claims))
        return fault(err, c, "claims must be an object");
    return 0;
}

int oidc_config_read(struct arena *a, str json, struct oidc_config *out, size_t *out_count,
                     struct err *err) {
    yyjson_val *root, *key, *value;
    size_t i, n, count = 0;
    int rc = json_parse(a, json, &root, err);
    if (rc < 0)
        return rc;
    if (!yyjson_is_obj(root) || yyjson_obj_size(root) > OIDC_PROVIDERS_MAX || !claims_unique(root))
        return err_set(err, ERR_INVALID, "must be an object of at most %d providers by their names",
                       OIDC_PROVIDERS_MAX);
    yyjson_obj_foreach(root, i, n, key, value) {
        struct oidc_config *c = &out[count];
        *c = (struct oidc_config){.name = json_str(key)};
        if (!is_name(c->name))
            return err_set(err, ERR_INVALID,
                           "a provider's name is of a-z, 0-9, - and _, at most %d", NAME_BYTES_MAX);
        rc = read_provider(value, c, err);
        if (rc < 0)
            return rc;
        count++;
    }
    *out_count = count;
    return 0;
}

/* --- metadata --- */

/* A provider behind TLS does not send anybody out of it. */
static bool take_url(yyjson_val *v, const char *key, bool tls, str *out) {
    *out = json_str(json_get(v, key));
    return is_url(*out) && (!tls || str_starts(*out, STR("https://")));
}

/* Basic is what counts when nothing is said. */
static bool wants_post(yyjson_val *methods) {
    bool post = false;
    size_t i, n;
    yyjson_val *m;
    if (!yyjson_is_arr(methods))
        return false;
    yyjson_arr_foreach(methods, i, n, m) {
        if (str_eq(json_str(m), STR("client_secret_basic")))
            return false;
        post = post || str_eq(json_str(m), STR("client_secret_post"));
    }
    return post;
}

int oidc_metadata_read(struct arena *a, str json, str issuer, struct oidc_metadata *out,
                       struct err *err) {
    struct oidc_metadata m;
    yyjson_val *root;
    bool tls = str_starts(issuer, STR("https://"));
    if (json_parse(a, json, &root, NULL) < 0 || !yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "the provider's document cannot be read");
    if (!str_eq(json_str(json_get(root, "issuer")), issuer))
        return err_set(err, ERR_INVALID, "the provider's document is of another issuer");
    if (!take_url(root, "authorization_endpoint", tls, &m.authorization) ||
        !take_url(root, "token_endpoint", tls, &m.token) ||
        !take_url(root, "jwks_uri", tls, &m.jwks))
        return err_set(err, ERR_INVALID,
                       "the provider's document lacks an endpoint, or one of them is no address "
                       "(with https, when the issuer has it)");
    m.post = wants_post(json_get(root, "token_endpoint_auth_methods_supported"));
    *out = m;
    return 0;
}

/* --- the words of a login --- */

static void digest_word(str label, str text, char out[OIDC_WORD_BYTES]) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    buf_init(&b, 4096);
    buf_str(&b, label);
    buf_str(&b, text);
    ASSERT(buf_ok(&b));
    hash_sha256(buf_view(&b), digest);
    OPENSSL_cleanse(b.p, b.len);
    buf_reset(&b);
    base64url_encode(&b, digest, sizeof(digest));
    ASSERT(b.len == OIDC_WORD_BYTES);
    memcpy(out, b.p, OIDC_WORD_BYTES);
    buf_deinit(&b);
}

void oidc_words_make(str secret, struct oidc_words *out) {
    digest_word(STR("state\n"), secret, out->state);
    digest_word(STR("nonce\n"), secret, out->nonce);
    digest_word(STR("verifier\n"), secret, out->verifier);
    digest_word(STR(""), oidc_word(out->verifier), out->challenge);
}

/* --- ID tokens --- */

static int refuse(struct err *err, const char *text) {
    return err_set(err, ERR_UNAUTHORISED, "%s", text);
}

static bool same(str a, str b) { return a.len == b.len && CRYPTO_memcmp(a.p, b.p, a.len) == 0; }

/* Who asked for it, when it is for several, or says so. */
static bool party_fits(yyjson_val *claims, str client_id) {
    yyjson_val *azp = json_get(claims, "azp"), *aud = json_get(claims, "aud");
    if (yyjson_is_arr(aud) && yyjson_arr_size(aud) > 1 && !azp)
        return false;
    return !azp || str_eq(json_str(azp), client_id);
}

static bool has_claims(yyjson_val *claims, yyjson_val *wanted) {
    yyjson_val *key, *value;
    size_t i, n;
    if (!wanted) /* the loop would count from a null pointer */
        return true;
    yyjson_obj_foreach(wanted, i, n, key, value) {
        yyjson_val *got = json_get_str(claims, json_str(key));
        if (!got || !yyjson_equals(got, value))
            return false;
    }
    return true;
}

/* What lists of accounts show of the user. */
static str profile_of(struct arena *a, yyjson_val *claims) {
    static const char *const texts[] = {"email", "name", "preferred_username"};
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        str text = json_str(json_get(claims, texts[i]));
        if (!text.len || text.len > TEXT_BYTES_MAX || memchr(text.p, 0, text.len))
            continue;
        jw_key(&w, texts[i]);
        jw_str(&w, text);
    }
    yyjson_val *verified = json_get(claims, "email_verified");
    if (yyjson_is_bool(verified)) {
        jw_key(&w, "email_verified");
        jw_bool(&w, yyjson_get_bool(verified));
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

int oidc_claims_read(struct arena *a, str payload, const struct oidc_config *c, str nonce,
                     int64_t skew_s, struct account *out, struct err *err) {
    struct claim_rules rules = {.issuer = c->issuer, .audiences = c->client_id, .skew_s = skew_s};
    struct account found = {.provider = c->name};
    yyjson_val *claims;
    int64_t expires_s;
    str text;
    if (!base64url_decode_arena(a, payload, &text) || json_parse(a, text, &claims, NULL) < 0 ||
        !yyjson_is_obj(claims) || !claims_unique(claims))
        return refuse(err, "The token's claims cannot be read");
    int rc = claims_check(claims, &rules, clock_wall_us() / 1000000, &expires_s, err);
    if (rc < 0)
        return rc;
    if (!party_fits(claims, c->client_id))
        return refuse(err, "The token was made for another client");
    str got = json_str(json_get(claims, "nonce"));
    if (got.len == 0 || !same(got, nonce))
        return refuse(err, "The token is of another login");
    found.account = json_str(json_get(claims, "sub"));
    if (found.account.len == 0 || found.account.len > ACCOUNT_ID_BYTES_MAX ||
        !identity_owner_make(a, c->tenant, found.account, &found.owner))
        return refuse(err, "The token names no user");
    if (!has_claims(claims, c->claims))
        return err_set(err, ERR_FORBIDDEN, "This account may not log in here");
    found.profile = profile_of(a, claims);
    *out = found;
    return 0;
}
