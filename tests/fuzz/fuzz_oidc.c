/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_oidc.c - what operators, providers and ID tokens say. Properties: nothing crashes; addresses
 * of an https issuer are https and have nothing that ends a line; who is named has an owner with
 * the provider's name before it.
 * Input: JSON, read as the providers, as a document, and as the claims of a token. */
#include "auth/base64url.h"
#include "auth/oidc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(str url) {
    ASSERT(str_starts(url, STR("https://")) && str_find_char(url, '\n') < 0 &&
           str_find_char(url, '\r') < 0 && str_find_char(url, ' ') < 0);
}

static void check_claims(struct arena *a, str in) {
    struct oidc_config c = {
        .name = STR("p"), .issuer = STR("https://h"), .client_id = STR("c"), .tenant = STR("p")};
    struct account got;
    struct buf b;
    buf_init(&b, 1 << 20);
    base64url_encode(&b, in.p, in.len);
    str payload = arena_take(a, &b);
    if (oidc_claims_read(a, payload, &c, STR("n"), 60, &got, NULL) == 0)
        ASSERT(str_starts(got.owner, STR("p:")) && got.account.len > 0 &&
               got.account.len <= ACCOUNT_ID_BYTES_MAX && str_starts(got.profile, STR("{")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct oidc_config providers[OIDC_PROVIDERS_MAX];
    struct oidc_metadata m;
    struct arena a;
    size_t count = 0;
    if (size > 16384)
        return 0;
    str in = size ? str_n((const char *)data, size) : STR("");
    arena_init(&a, 64u << 20);
    if (oidc_config_read(&a, in, providers, &count, NULL) == 0)
        ASSERT(count <= OIDC_PROVIDERS_MAX);
    for (size_t i = 0; i < count; i++)
        ASSERT(providers[i].name.len > 0 && providers[i].client_id.len > 0);
    if (oidc_metadata_read(&a, in, STR("https://h"), &m, NULL) == 0) {
        check_url(m.authorization);
        check_url(m.token);
        check_url(m.jwks);
    }
    check_claims(&a, in);
    arena_deinit(&a);
    return 0;
}
