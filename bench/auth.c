/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - what it costs to find out who sent a request.
 *
 * The calls that the server makes for each request, on a fiber of a loop, one after the other: a
 * token of a shared secret that is verified each time (nothing is cached), the same one from the
 * cache, one of as many as the cache holds, and one of twice as many, so that each is verified and
 * takes another's place. Then the signatures of RFC 7515 and 8037 alone, each verified with its
 * key. Prints one line of JSON: microseconds each.
 *
 * usage: bench_auth [seconds for each 0.5] */
#include <stdio.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "auth/jwt.h"
#include "base/clock.h"
#include "rt/fiber.h"

#define TOKENS 20000
#define CACHE  10000
#define SECRET "a secret of the benchmark, of 32 bytes or more"
#define RFC_CLAIMS                                                                                 \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

struct bench {
    struct rt *rt;
    struct arena a;
    double seconds;
    struct http_request *requests; /* one a token */
    const char *sep;
};

/* As Supabase makes them: some 500 bytes. */
static str token_make(struct bench *b, struct jwt_secret *secret, int n) {
    int64_t now_s = clock_wall_us() / 1000000;
    return jwt_make(
        &b->a, secret,
        arena_printf(
            &b->a,
            "{\"iss\":\"https://project.supabase.co/auth/v1\",\"sub\":\"%08d-7c7b-4f3e-9d"
            "2a-2f1b6c9e0a11\",\"aud\":\"authenticated\",\"exp\":%lld,\"iat\":%lld,"
            "\"email\":\"someone@example.org\",\"role\":\"authenticated\",\"aal\":\"aal1\","
            "\"session_id\":\"0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0\",\"is_anonymous\":"
            "false,\"app_metadata\":{\"provider\":\"email\"}}",
            n, (long long)now_s + 3600, (long long)now_s));
}

static void requests_make(struct bench *b) {
    struct jwt_crypto *crypto;
    struct jwt_secret *secret;
    ASSERT(jwt_crypto_open(&crypto, NULL) == 0);
    ASSERT(jwt_secret_new(crypto, STR(SECRET), &secret, NULL) == 0);
    b->requests = ARENA_ARRAY(&b->a, struct http_request, TOKENS);
    for (int i = 0; i < TOKENS; i++) {
        struct http_header *h = ARENA_ARRAY(&b->a, struct http_header, 4);
        str value = arena_printf(&b->a, "Bearer " STR_FMT, STR_ARG(token_make(b, secret, i)));
        h[0] = (struct http_header){STR("Host"), STR("127.0.0.1:2024")};
        h[1] = (struct http_header){STR("Authorization"), value};
        h[2] = (struct http_header){STR("Content-Type"), STR("application/json")};
        h[3] = (struct http_header){STR("Content-Length"), STR("2")};
        b->requests[i] = (struct http_request){.headers = h, .header_count = 4};
    }
    jwt_secret_free(secret);
    jwt_crypto_free(crypto);
}

static void report(struct bench *b, const char *name, int64_t us, int64_t count) {
    printf("%s\"%s\": %.4f", b->sep, name, (double)us / (double)count);
    b->sep = ", ";
}

/* distinct: that many tokens in turns. */
static void requests_run(struct bench *b, const char *name, size_t cache, int distinct) {
    struct auth_options o = {.jwt_secret = STR(SECRET),
                             .stored_keys = AUTH_STORED_OFF,
                             .rules = {.owner = STR("sub"), .scope = STR("scope"), .skew_s = 60},
                             .cache_ttl_us = INT64_C(3600000000),
                             .cache_count_max = cache,
                             .timeout_us = 5000000,
                             .remote_concurrency_max = 1};
    struct auth *auth;
    struct arena a;
    int64_t count = 0, begun_us = clock_mono_us(), us = 0;
    ASSERT(auth_open(b->rt, NULL, NULL, &o, &auth, NULL) == 0);
    arena_init(&a, 1 << 20);
    while ((double)us < b->seconds * 1e6) {
        for (int i = 0; i < 1000; i++) {
            struct principal who;
            int rc = auth_authenticate(auth, &b->requests[count++ % distinct], &a, &who, NULL);
            ASSERT(rc == 0 && who.owner.len == 36);
            arena_reset(&a);
        }
        us = clock_mono_us() - begun_us;
    }
    report(b, name, us, count);
    arena_deinit(&a);
    auth_stop(auth);
    auth_free(auth);
}

static void signature_run(struct bench *b, const char *name, const char *keys, const char *token) {
    struct jwt_crypto *crypto;
    struct jwk_set *set;
    struct arena a;
    int64_t count = 0, begun_us = clock_mono_us(), us = 0;
    ASSERT(jwt_crypto_open(&crypto, NULL) == 0);
    ASSERT(jwk_set_parse(str_of(keys), &set, NULL) == 0);
    struct jwt_keys k = {.crypto = crypto, .set = set, .algs = (1u << JWT_ALG_COUNT) - 1};
    arena_init(&a, 1 << 20);
    while ((double)us < b->seconds * 1e6) {
        for (int i = 0; i < 100; i++, count++) {
            struct jwt t;
            int rc = jwt_parse(&a, str_of(token), k.algs, &t, NULL);
            ASSERT(rc == 0);
            rc = jwt_verify(&t, &k, NULL);
            ASSERT(rc == 0);
            arena_reset(&a);
        }
        us = clock_mono_us() - begun_us;
    }
    report(b, name, us, count);
    arena_deinit(&a);
    jwk_set_free(set);
    jwt_crypto_free(crypto);
}

static void signatures_run(struct bench *b) {
    signature_run(b, "rs256_us",
                  "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""
                  "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
                  "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
                  "LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD"
                  "Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
                  "PAcDTW9gb54h4FRWyuXpoQ\"}]}",
                  "eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2V"
                  "tQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbK"
                  "BYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eS"
                  "N9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUT"
                  "I8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw");
    signature_run(b, "es256_us",
                  "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
                  "eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4Gawxaep"
                  "mXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    signature_run(b, "eddsa_us",
                  "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}",
                  "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLW"
                  "G1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
}

static void run(void *arg) {
    struct bench *b = arg;
    requests_make(b);
    printf("{\"token_bytes\": %zu", b->requests[0].headers[1].value.len - 7);
    b->sep = ", ";
    requests_run(b, "checked_us", 0, 1);
    requests_run(b, "cached_us", CACHE, 1);
    requests_run(b, "cached_of_many_us", CACHE, CACHE);
    requests_run(b, "full_us", CACHE, TOKENS);
    signatures_run(b);
    printf("}\n");
    rt_stop(b->rt);
}

int main(int argc, char **argv) {
    struct bench b = {.seconds = 0.5};
    if (argc > 1 && (!str_to_double(str_of(argv[1]), &b.seconds) || b.seconds <= 0))
        return 2;
    arena_init(&b.a, (size_t)1 << 30);
    if (rt_open(&b.rt, NULL) < 0 || !fiber_spawn(b.rt, "bench", run, &b, NULL))
        return 1;
    rt_run(b.rt);
    rt_close(b.rt);
    arena_deinit(&b.a);
    return 0;
}
