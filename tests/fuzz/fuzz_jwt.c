/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_jwt.c - tokens, key sets, claims, records of API keys. Properties: nothing crashes or reads
 * beyond its input; a token that is not exactly the one that was signed is never accepted;
 * base64url has one text for each sequence of bytes; who is let in has an owner.
 * Input: JSON is read as a key set, as claims and as a file of keys; anything else as a token, also
 * as a change of a good one: the bytes are laid over it. */
#include "auth/api_key.h"
#include "auth/base64url.h"
#include "auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1800000000)

static const char JWKS[] =
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"e\","
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"},"
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"o\","
    "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static void check_token(struct arena *a, const struct jwt_keys *keys,
                        const struct claim_rules *rules, str token, str good) {
    struct jwt t;
    struct identity id;
    struct err err = {0};
    int rc = jwt_parse(a, token, keys->algs, &t, &err);
    if (rc == 0)
        rc = jwt_verify(&t, keys, &err);
    if (rc == 0)
        rc = jwt_identity(a, &t, rules, NOW, &id, &err);
    ASSERT(rc < 0 || str_eq(token, good));
    ASSERT(rc == 0 || err.message[0]);
}

static void check_base64url(struct arena *a, str text) {
    str bytes;
    struct buf back;
    if (!base64url_decode_arena(a, text, &bytes))
        return;
    buf_init(&back, 1u << 20);
    base64url_encode(&back, bytes.p, bytes.len);
    ASSERT(str_eq(text, str_n(back.p ? back.p : "", back.len)));
    buf_deinit(&back);
}

static void check_json(struct arena *a, const struct claim_rules *rules, str text) {
    struct jwk_set *set;
    struct api_key_set *keys;
    yyjson_val *v;
    int64_t expires;
    struct identity id;
    if (jwk_set_parse(text, &set, NULL) == 0) {
        ASSERT(jwk_set_count(set) > 0 && jwk_set_count(set) <= JWK_SET_KEYS_MAX);
        jwk_set_free(set);
    }
    if (api_key_set_parse(text, &keys, NULL) == 0)
        api_key_set_free(keys);
    if (json_parse(a, text, &v, NULL) < 0)
        return;
    (void)claims_unique(v);
    if (claims_check(v, rules, NOW, &expires, NULL) == 0)
        ASSERT(expires > NOW - rules->skew_s);
    if (claims_identity(a, v, rules, &id, NULL) == 0)
        ASSERT(identity_owner_valid(id.owner));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 16384)
        return 0;
    str in = size ? str_n((const char *)data, size) : STR("");
    struct claim_rules rules = {
        .owner = STR("sub"), .scope = STR("app.roles"), .skew_s = 60, .tenant = STR("")};
    struct arena a;
    struct jwt_crypto *crypto;
    struct jwt_keys keys = {.algs = (1u << JWT_ALG_COUNT) - 1};
    struct jwk_set *set;
    arena_init(&a, 64u << 20);
    int rc = jwt_crypto_open(&crypto, NULL);
    ASSERT(rc == 0);
    rc = jwt_secret_new(crypto, STR("thirty-two bytes, known to nobody"), &keys.secrets[0], NULL);
    ASSERT(rc == 0);
    rc = jwk_set_parse(str_of(JWKS), &set, NULL);
    ASSERT(rc == 0);
    keys.crypto = crypto;
    keys.set = set;
    str good = jwt_make(&a, keys.secrets[0], STR("{\"sub\":\"a\",\"exp\":1800000100}"));
    check_base64url(&a, in);
    check_token(&a, &keys, &rules, in, good);
    char *laid = arena_z(&a, good);
    if (size > 2) {
        size_t at = data[0] % good.len, count = size - 1 < good.len - at ? size - 1 : good.len - at;
        memcpy(laid + at, data + 1, count);
        check_token(&a, &keys, &rules, str_n(laid, good.len), good);
    }
    check_json(&a, &rules, in);
    jwk_set_free(set);
    jwt_secret_free(keys.secrets[0]);
    jwt_crypto_free(crypto);
    arena_deinit(&a);
    return 0;
}
