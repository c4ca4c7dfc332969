/* SPDX-License-Identifier: Apache-2.0 */
/* jwt.c - the compact form.
 *
 *   base64url(header) . base64url(claims) . base64url(signature)
 *   └────────── what is signed ─────────┘
 *
 * Order: size and form; the header, of which only alg, kid, typ and crit are looked at (jku, x5u,
 * jwk and x5c would let the token choose its own key: they are ignored); the signature; only then
 * the claims. An algorithm that is not allowed is refused before a key is looked for, and the
 * algorithm decides which keys come into question, so a public key never serves as a secret. */
#include "auth/jwt.h"

#include "auth/base64url.h"

#define SIGNATURE_BYTES_MAX 1024 /* of RSA with 8192 bits */
#define HEADER_MEMBERS_MAX  32

static int refuse(struct err *err, const char *text) {
    return err_set(err, ERR_UNAUTHORISED, "%s", text);
}

static bool split(str token, str out[3]) {
    size_t n = 0;
    for (str rest = token, part; str_split_next(&rest, '.', &part); n++) {
        if (n == 3 || part.len == 0)
            return false;
        out[n] = part;
    }
    return n == 3;
}

bool jwt_looks_like_one(str token) {
    str parts[3];
    return split(token, parts);
}

static bool type_fits(yyjson_val *typ) {
    str name = json_str(typ);
    if (!typ)
        return true;
    if (str_starts(name, STR("application/")))
        name = str_slice(name, 12, name.len);
    return str_ieq(name, STR("JWT")) || str_ieq(name, STR("at+jwt"));
}

static int read_header(yyjson_val *header, unsigned algs, struct jwt *out, struct err *err) {
    if (!yyjson_is_obj(header) || yyjson_obj_size(header) > HEADER_MEMBERS_MAX ||
        !claims_unique(header))
        return refuse(err, "The token's header cannot be read");
    if (!jwt_alg_parse(json_str(json_get(header, "alg")), &out->alg) || !(algs & 1u << out->alg))
        return refuse(err, "The token's algorithm is not allowed");
    if (json_has(header, "crit")) /* it must be understood, and nothing is */
        return refuse(err, "The token has a critical header that is not known");
    if (!type_fits(json_get(header, "typ")) || json_has(header, "cty"))
        return refuse(err, "The token is of another type");
    yyjson_val *kid = json_get(header, "kid");
    if (kid && !yyjson_is_str(kid))
        return refuse(err, "The token's header cannot be read");
    out->kid = json_str(kid);
    return 0;
}

int jwt_parse(struct arena *a, str token, unsigned algs, struct jwt *out, struct err *err) {
    str parts[3], header, signature;
    yyjson_val *root;
    if (token.len > JWT_BYTES_MAX)
        return refuse(err, "The token is too long");
    if (!split(token, parts) || !base64url_decode_arena(a, parts[0], &header) ||
        json_parse(a, header, &root, NULL) < 0)
        return refuse(err, "The token cannot be read");
    int rc = read_header(root, algs, out, err);
    if (rc < 0)
        return rc;
    if (!base64url_decode_arena(a, parts[2], &signature) || signature.len > SIGNATURE_BYTES_MAX)
        return refuse(err, "The token cannot be read");
    out->data = str_n(token.p, parts[0].len + 1 + parts[1].len);
    out->payload = parts[1];
    out->signature = signature;
    return 0;
}

int jwt_verify(const struct jwt *t, const struct jwt_keys *keys, struct err *err) {
    bool verified = false;
    if (JWT_ALGS_SECRET & 1u << t->alg) {
        for (size_t i = 0; i < JWT_SECRETS_MAX; i++)
            if (keys->secrets[i] && jwt_secret_verify(keys->secrets[i], t->data, t->signature))
                verified = true;
    } else {
        struct jwk_question q = {
            .alg = t->alg, .kid = t->kid, .data = t->data, .signature = t->signature};
        int rc = keys->set ? jwk_set_verify(keys->crypto, keys->set, &q) : ERR_NOT_FOUND;
        if (rc == ERR_NOT_FOUND)
            return err_set(err, rc, "The token was signed with a key that is not known");
        verified = rc == 0;
    }
    return verified ? 0 : refuse(err, "The token's signature is wrong");
}

int jwt_identity(struct arena *a, const struct jwt *t, const struct claim_rules *rules,
                 int64_t now_s, struct identity *out, struct err *err) {
    str text;
    yyjson_val *claims;
    struct identity id = {.expires_s = 0};
    if (!base64url_decode_arena(a, t->payload, &text) || json_parse(a, text, &claims, NULL) < 0 ||
        !yyjson_is_obj(claims) || !claims_unique(claims))
        return refuse(err, "The token's claims cannot be read");
    int rc = claims_check(claims, rules, now_s, &id.expires_s, err);
    if (rc == 0)
        rc = claims_identity(a, claims, rules, &id, err);
    if (rc == 0)
        *out = id;
    return rc;
}

str jwt_make(struct arena *a, struct jwt_secret *secret, str claims) {
    static const str header = STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}");
    unsigned char mac[JWT_MAC_BYTES];
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    base64url_encode(&b, header.p, header.len);
    buf_char(&b, '.');
    base64url_encode(&b, claims.p, claims.len);
    jwt_secret_sign(secret, buf_view(&b), mac);
    buf_char(&b, '.');
    base64url_encode(&b, mac, sizeof(mac));
    return arena_take(a, &b);
}
