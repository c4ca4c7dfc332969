/* SPDX-License-Identifier: Apache-2.0 */
/* jwk.c - algorithms, secrets and public keys over OpenSSL 3.
 *
 *   algorithm               key                           signature
 *   HS256                   secret of 32 bytes or more    32 bytes
 *   RS256, RS384, RS512     RSA, 2048 to 8192 bits        as long as the modulus, PKCS #1 v1.5
 *   ES256                   EC, curve P-256               64 bytes: r, s
 *   EdDSA                   OKP, Ed25519                  64 bytes
 *
 * Digests and the MAC are fetched when the process starts: an implicit fetch at each call costs
 * more than the check. A secret is kept as a MAC that has taken its key already; each use starts it
 * again. Nothing here suspends, so one context serves all fibers.
 *
 * A new algorithm: its row in ALGS, its kind of key in key_read(). */
#include "auth/jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "auth/base64url.h"
#include "base/json.h"
#include "base/mem.h"

#define RSA_BITS_MIN   2048
#define RSA_BITS_MAX   8192
#define RSA_E_BYTES    8
#define POINT_BYTES    32 /* a coordinate of P-256, a point of Ed25519 */
#define SIGNATURE_PAIR (2 * POINT_BYTES)
#define DER_BYTES_MAX  80

enum kind { KIND_SECRET, KIND_RSA, KIND_EC, KIND_OKP };
static const struct {
    str name;
    enum kind kind;
    const char *digest; /* NULL: the algorithm has its own */
} ALGS[JWT_ALG_COUNT] = {
    [JWT_HS256] = {STR("HS256"), KIND_SECRET, "SHA256"},
    [JWT_RS256] = {STR("RS256"), KIND_RSA, "SHA256"},
    [JWT_RS384] = {STR("RS384"), KIND_RSA, "SHA384"},
    [JWT_RS512] = {STR("RS512"), KIND_RSA, "SHA512"},
    [JWT_ES256] = {STR("ES256"), KIND_EC, "SHA256"},
    [JWT_EDDSA] = {STR("EdDSA"), KIND_OKP, NULL},
};

bool jwt_alg_parse(str name, enum jwt_alg *out) {
    for (int i = 0; i < JWT_ALG_COUNT; i++) {
        if (str_eq(name, ALGS[i].name)) {
            *out = (enum jwt_alg)i;
            return true;
        }
    }
    return false;
}

str jwt_alg_name(enum jwt_alg alg) { return ALGS[alg].name; }

int jwt_algs_parse(str list, unsigned *out, struct err *err) {
    unsigned bits = 0;
    for (str rest = list, one; str_split_next(&rest, ',', &one);) {
        enum jwt_alg alg;
        one = str_trim(one);
        if (!jwt_alg_parse(one, &alg))
            return err_set(err, ERR_INVALID,
                           "unknown algorithm \"%.*s\"; there are HS256, RS256, RS384, RS512, "
                           "ES256 and EdDSA",
                           (int)(one.len < 40 ? one.len : 40), one.len ? one.p : "");
        bits |= 1u << alg;
    }
    *out = bits;
    return 0;
}

struct jwt_crypto {
    EVP_MAC *hmac;
    EVP_MD *digests[JWT_ALG_COUNT];
};

int jwt_crypto_open(struct jwt_crypto **out, struct err *err) {
    struct jwt_crypto *c = NEW(struct jwt_crypto);
    c->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    bool ok = c->hmac != NULL;
    for (int i = 0; i < JWT_ALG_COUNT; i++) {
        c->digests[i] = ALGS[i].digest ? EVP_MD_fetch(NULL, ALGS[i].digest, NULL) : NULL;
        ok = ok && (c->digests[i] || !ALGS[i].digest);
    }
    if (!ok) {
        jwt_crypto_free(c);
        return err_set(err, ERR_INTERNAL, "OpenSSL lacks an algorithm for tokens");
    }
    *out = c;
    return 0;
}

void jwt_crypto_free(struct jwt_crypto *c) {
    if (!c)
        return;
    EVP_MAC_free(c->hmac);
    for (int i = 0; i < JWT_ALG_COUNT; i++)
        EVP_MD_free(c->digests[i]);
    mem_free(c);
}

/* --- shared secrets --- */

struct jwt_secret {
    EVP_MAC_CTX *mac;
};

int jwt_secret_new(const struct jwt_crypto *c, str secret, struct jwt_secret **out,
                   struct err *err) {
    if (secret.len < JWT_SECRET_BYTES_MIN)
        return err_set(err, ERR_INVALID, "the secret has %zu bytes; at least %d are needed",
                       secret.len, JWT_SECRET_BYTES_MIN);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(c->hmac);
    if (!mac || EVP_MAC_init(mac, (const unsigned char *)secret.p, secret.len, params) != 1) {
        EVP_MAC_CTX_free(mac);
        return err_set(err, ERR_INTERNAL, "OpenSSL cannot use the secret");
    }
    struct jwt_secret *s = NEW(struct jwt_secret);
    s->mac = mac;
    *out = s;
    return 0;
}

void jwt_secret_free(struct jwt_secret *s) {
    if (!s)
        return;
    EVP_MAC_CTX_free(s->mac); /* clears the key */
    mem_free(s);
}

void jwt_secret_sign(struct jwt_secret *s, str data, unsigned char out[JWT_MAC_BYTES]) {
    size_t bytes = 0;
    bool ok = EVP_MAC_init(s->mac, NULL, 0, NULL) == 1 &&
              EVP_MAC_update(s->mac, (const unsigned char *)data.p, data.len) == 1 &&
              EVP_MAC_final(s->mac, out, &bytes, JWT_MAC_BYTES) == 1;
    ASSERT(ok && bytes == JWT_MAC_BYTES);
}

bool jwt_secret_verify(struct jwt_secret *s, str data, str signature) {
    unsigned char mac[JWT_MAC_BYTES];
    jwt_secret_sign(s, data, mac);
    return signature.len == JWT_MAC_BYTES && CRYPTO_memcmp(mac, signature.p, JWT_MAC_BYTES) == 0;
}

/* --- public keys --- */

struct jwk {
    enum kind kind;
    int alg; /* the only one it is for; -1: any of its kind */
    str kid; /* absent: for tokens with any */
    EVP_PKEY *pkey;
};
struct jwk_set {
    struct arena memory;
    struct jwk *keys;
    size_t count;
};

void jwk_set_free(struct jwk_set *set) {
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        EVP_PKEY_free(set->keys[i].pkey);
    arena_deinit(&set->memory);
    mem_free(set);
}

size_t jwk_set_count(const struct jwk_set *set) { return set->count; }

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *builder) {
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* A key that does not pass OpenSSL's own check of public keys is none. */
static EVP_PKEY *checked(EVP_PKEY *pkey) {
    EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
    bool ok = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    if (ok)
        return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

static bool member_bytes(yyjson_val *jwk, const char *name, unsigned char *out, size_t cap,
                         size_t *out_bytes) {
    str text = json_str(json_get(jwk, name));
    return text.len > 0 && base64url_decode(text, out, cap, out_bytes) && *out_bytes > 0;
}

static EVP_PKEY *read_rsa(yyjson_val *jwk) {
    unsigned char n[RSA_BITS_MAX / 8], e[RSA_E_BYTES];
    size_t n_bytes, e_bytes;
    if (!member_bytes(jwk, "n", n, sizeof(n), &n_bytes) ||
        !member_bytes(jwk, "e", e, sizeof(e), &e_bytes) || !(e[e_bytes - 1] & 1) ||
        (e_bytes == 1 && e[0] < 3))
        return NULL;
    BIGNUM *bn = BN_bin2bn(n, (int)n_bytes, NULL), *be = BN_bin2bn(e, (int)e_bytes, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (bn && be && builder && BN_num_bits(bn) >= RSA_BITS_MIN && BN_is_odd(bn) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, bn) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        pkey = from_params("RSA", builder);
    OSSL_PARAM_BLD_free(builder);
    BN_free(bn);
    BN_free(be);
    return pkey;
}

static EVP_PKEY *read_ec(yyjson_val *jwk) {
    unsigned char point[1 + 2 * POINT_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t x, y;
    if (!str_eq(json_str(json_get(jwk, "crv")), STR("P-256")) ||
        !member_bytes(jwk, "x", point + 1, POINT_BYTES, &x) || x != POINT_BYTES ||
        !member_bytes(jwk, "y", point + 1 + POINT_BYTES, POINT_BYTES, &y) || y != POINT_BYTES)
        return NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *pkey = NULL;
    if (builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) ==
            1)
        pkey = checked(from_params("EC", builder));
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

static EVP_PKEY *read_okp(yyjson_val *jwk) {
    unsigned char point[POINT_BYTES];
    size_t bytes;
    if (!str_eq(json_str(json_get(jwk, "crv")), STR("Ed25519")) ||
        !member_bytes(jwk, "x", point, sizeof(point), &bytes) || bytes != POINT_BYTES)
        return NULL;
    return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, point, bytes);
}

static bool for_signatures(yyjson_val *jwk) {
    yyjson_val *use = json_get(jwk, "use"), *ops = json_get(jwk, "key_ops"), *op;
    if (use && !str_eq(json_str(use), STR("sig")))
        return false;
    if (!ops)
        return true;
    size_t i, n;
    yyjson_arr_foreach(ops, i, n, op) {
        if (str_eq(json_str(op), STR("verify")))
            return true;
    }
    return false;
}

static bool key_read(struct arena *a, yyjson_val *jwk, struct jwk *out) {
    static const struct {
        str kty;
        enum kind kind;
        EVP_PKEY *(*read)(yyjson_val *jwk);
    } kinds[] = {{STR("RSA"), KIND_RSA, read_rsa},
                 {STR("EC"), KIND_EC, read_ec},
                 {STR("OKP"), KIND_OKP, read_okp}};
    *out = (struct jwk){.alg = -1, .kid = arena_dup(a, json_str(json_get(jwk, "kid")))};
    str kty = json_str(json_get(jwk, "kty"));
    yyjson_val *named = json_get(jwk, "alg");
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (!str_eq(kty, kinds[i].kty) || !for_signatures(jwk))
            continue;
        enum jwt_alg alg;
        out->kind = kinds[i].kind;
        if (named && !jwt_alg_parse(json_str(named), &alg))
            return false;
        if (named && ALGS[alg].kind != out->kind)
            return false;
        if (named)
            out->alg = (int)alg;
        out->pkey = kinds[i].read(jwk);
        return out->pkey != NULL;
    }
    return false;
}

int jwk_set_parse(str json, struct jwk_set **out, struct err *err) {
    struct arena scratch;
    yyjson_val *root = NULL, *list, *one;
    if (json.len > JWK_SET_BYTES_MAX)
        return err_set(err, ERR_INVALID, "a key set of %zu bytes; at most %zu", json.len,
                       JWK_SET_BYTES_MAX);
    arena_init(&scratch, SIZE_MAX / 2);
    int rc = json_parse(&scratch, json, &root, err);
    list = json_get(root, "keys");
    size_t i, n = yyjson_arr_size(list);
    if (rc < 0 || !yyjson_is_arr(list) || n > JWK_SET_KEYS_MAX) {
        arena_deinit(&scratch);
        return err_set(err, ERR_INVALID,
                       "this is no key set: a JSON object with at most %d \"keys\"",
                       JWK_SET_KEYS_MAX);
    }
    struct jwk_set *set = NEW(struct jwk_set);
    arena_init(&set->memory, SIZE_MAX / 2);
    set->keys = ARENA_ARRAY(&set->memory, struct jwk, n + 1);
    yyjson_arr_foreach(list, i, n, one) {
        if (key_read(&set->memory, one, &set->keys[set->count]))
            set->count++;
    }
    arena_deinit(&scratch);
    ERR_clear_error(); /* of keys that were left out */
    if (set->count == 0) {
        jwk_set_free(set);
        return err_set(err, ERR_INVALID, "the key set has no key that can verify a token");
    }
    *out = set;
    return 0;
}

/* --- verifying --- */

/* r and s side by side, as OpenSSL wants them: a DER sequence. 0 when they are none. */
static size_t pair_to_der(str signature, unsigned char out[DER_BYTES_MAX]) {
    if (signature.len != SIGNATURE_PAIR)
        return 0;
    const unsigned char *p = (const unsigned char *)signature.p;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(p, POINT_BYTES, NULL), *s = BN_bin2bn(p + POINT_BYTES, POINT_BYTES, NULL);
    int bytes = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* they are the signature's now */
        unsigned char *at = out;
        int wanted = i2d_ECDSA_SIG(sig, NULL);
        if (wanted > 0 && wanted <= DER_BYTES_MAX)
            bytes = i2d_ECDSA_SIG(sig, &at);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return bytes > 0 ? (size_t)bytes : 0;
}

static bool verify(const struct jwt_crypto *c, const struct jwk *key,
                   const struct jwk_question *q) {
    unsigned char der[DER_BYTES_MAX];
    const unsigned char *signature = (const unsigned char *)q->signature.p;
    size_t bytes = q->signature.len;
    if (key->kind == KIND_EC) {
        bytes = pair_to_der(q->signature, der);
        signature = der;
    } else if (bytes != (size_t)EVP_PKEY_get_size(key->pkey)) {
        return false;
    }
    if (bytes == 0)
        return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        ctx && EVP_DigestVerifyInit(ctx, NULL, c->digests[q->alg], NULL, key->pkey) == 1 &&
        EVP_DigestVerify(ctx, signature, bytes, (const unsigned char *)q->data.p, q->data.len) == 1;
    EVP_MD_CTX_free(ctx);
    if (!ok)
        ERR_clear_error(); /* the queue is the thread's: TLS reads it too */
    return ok;
}

int jwk_set_verify(const struct jwt_crypto *c, const struct jwk_set *set,
                   const struct jwk_question *q) {
    int rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < set->count; i++) {
        const struct jwk *key = &set->keys[i];
        if (key->kind != ALGS[q->alg].kind || (key->alg >= 0 && key->alg != (int)q->alg) ||
            (q->kid.p && key->kid.p && !str_eq(q->kid, key->kid)))
            continue;
        if (verify(c, key, q))
            return 0;
        if (q->kid.p && key->kid.p)
            rc = ERR_UNAUTHORISED; /* it names this key */
    }
    return rc;
}
