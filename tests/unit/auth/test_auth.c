/* SPDX-License-Identifier: Apache-2.0 */
/* test_auth.c - Goal: when authentication is on, and whom it lets in by keys of the database; what
 * is remembered and for how long. Refusals go over the wire in tests/integration/run-auth.
 * Method: a database in memory, requests without a connection. */
#include "auth/auth.h"

#include "auth/api_key.h"
#include "base/clock.h"
#include "db/fault/fault.h"
#include "db/sqlite/sqlite.h"
#include "keys.h"
#include "store/api_keys.h"

struct scene {
    struct rt *rt;
    struct store store;
    struct arena a;
    struct auth *auth;
    struct auth_options o;
    void (*body)(struct scene *s);
};

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    s->body(s);
    rt_stop(s->rt);
}

static void scene_run(void (*body)(struct scene *s)) {
    struct scene s = {.body = body};
    struct db_sqlite_options o;
    db_sqlite_options_default(&o);
    arena_init(&s.a, 64 << 20);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(db_sqlite_open(s.rt, &o, &s.store.db, NULL), 0);
    s.store.db = db_fault_wrap(s.store.db);
    s.o = (struct auth_options){
        .rules = {.owner = STR("sub"), .scope = STR("scope"), .skew_s = 60},
        .cache_ttl_us = 60000000,
        .cache_count_max = 100,
        .jwks_interval_us = 60000000,
        .timeout_us = 1000000,
        .remote_concurrency_max = 4,
    };
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    rt_run(s.rt);
    auth_free(s.auth);
    db_close(s.store.db);
    rt_close(s.rt);
    arena_deinit(&s.a);
}

static int restart(struct scene *s, struct err *err) {
    auth_free(s->auth);
    s->auth = NULL;
    int rc = auth_open(s->rt, NULL, &s->store, &s->o, &s->auth, err);
    return rc < 0 ? rc : auth_start(s->auth, err);
}

static int ask(struct scene *s, const char *header, str value, struct principal *out) {
    struct http_header h = {str_of(header), value};
    struct http_request req = {.headers = &h, .header_count = 1};
    return auth_authenticate(s->auth, &req, &s->a, out, NULL);
}

static str key_make(struct scene *s, bool read_only) {
    char *text = arena_alloc(&s->a, API_KEY_BYTES), hex[API_KEY_HEX];
    struct api_key key = {.owner = STR("alice"), .tenant = STR("acme"), .read_only = read_only};
    struct buf b;
    api_key_make(text);
    hash_sha256(str_n(text, API_KEY_BYTES), key.digest.bytes);
    api_key_digest_hex(&key.digest, hex);
    buf_init(&b, 1 << 16);
    struct json_writer w = json_writer(&b);
    api_key_write(&w, &s->a, &key);
    assert_int_equal(api_keys_put(&s->store, str_n(hex, sizeof(hex)), buf_view(&b), &s->a, NULL),
                     0);
    buf_deinit(&b);
    return str_n(text, API_KEY_BYTES);
}

static void body_off(struct scene *s) {
    struct principal who = {.all = true};
    assert_int_equal(restart(s, NULL), 0);
    assert_false(auth_enabled(s->auth));
    assert_int_equal(ask(s, "Authorization", STR("Bearer x"), &who), 0);
    assert_true(str_eq(who.owner, STR("")) && !who.all && !who.read_only && !who.by);
    assert_false(auth_enabled(NULL));
    s->o.required = true;
    struct err err = {0};
    assert_int_equal(restart(s, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "auth-required"));
}

static void body_stored_keys(struct scene *s) {
    struct principal who;
    str key = key_make(s, false), reader = key_make(s, true);
    s->o.required = true;
    assert_int_equal(restart(s, NULL), 0);
    assert_true(auth_enabled(s->auth)); /* the database has some */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(s, "x-api-key", key, &who), 0);
        assert_true(str_eq(who.owner, STR("acme:alice")) && !who.read_only && !who.all);
        assert_string_equal(who.by, "key");
    }
    str bearer = arena_printf(&s->a, "Bearer " STR_FMT, STR_ARG(reader));
    assert_int_equal(ask(s, "AUTHORIZATION", bearer, &who), 0);
    assert_true(who.read_only);
    s->o.stored_keys = AUTH_STORED_OFF;
    assert_int_equal(restart(s, NULL), ERR_INVALID);
    s->o.required = false;
    assert_int_equal(restart(s, NULL), 0);
    assert_false(auth_enabled(s->auth));
}

static void body_on_without_keys(struct scene *s) {
    s->o.stored_keys = AUTH_STORED_ON;
    assert_int_equal(restart(s, NULL), 0);
    assert_true(auth_enabled(s->auth));
    struct principal who;
    str key = key_make(s, false); /* made while it serves */
    assert_int_equal(ask(s, "x-api-key", key, &who), 0);
}

/* A database that fails lets nobody in, and says that it may be tried again; nor does the server
 * start when it cannot say whether there are keys. */
static void body_ill_database(struct scene *s) {
    static const char *const records[] = {
        "", "{", "{}",
        "{\"owner\":\"alice\","
        "\"sha256\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}"};
    struct principal who;
    struct auth_digest d;
    char hex[API_KEY_HEX];
    str key = key_make(s, false);
    assert_int_equal(restart(s, NULL), 0);
    hash_sha256(key, d.bytes);
    api_key_digest_hex(&d, hex);
    struct db_fault_plan fail = {.kind = DB_FAULT_FAIL_BEFORE, .code = ERR_IO};
    db_fault_set(s->store.db, &fail);
    assert_int_equal(ask(s, "x-api-key", key, &who), ERR_UNAVAILABLE);
    assert_int_equal(restart(s, NULL), ERR_IO);
    db_fault_set(s->store.db, &(struct db_fault_plan){.kind = DB_FAULT_NONE});
    assert_int_equal(restart(s, NULL), 0);
    assert_int_equal(ask(s, "x-api-key", key, &who), 0);
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        assert_int_equal(
            api_keys_put(&s->store, str_n(hex, sizeof(hex)), str_of(records[i]), &s->a, NULL), 0);
        assert_int_equal(restart(s, NULL), 0);
        assert_int_equal(ask(s, "x-api-key", key, &who), ERR_CORRUPT);
    }
}

static void body_token(struct scene *s) {
    struct principal who;
    struct jwt_crypto *crypto;
    struct jwt_secret *secret;
    s->o.jwt_secret = STR("a secret of more than thirty-two bytes");
    assert_int_equal(restart(s, NULL), 0);
    assert_int_equal(jwt_crypto_open(&crypto, NULL), 0);
    assert_int_equal(jwt_secret_new(crypto, s->o.jwt_secret, &secret, NULL), 0);
    long long now_s = clock_wall_us() / 1000000;
    str token = jwt_make(&s->a, secret,
                         arena_printf(&s->a,
                                      "{\"sub\":\"alice\",\"exp\":%lld,\"scope\":"
                                      "\"holdfast:read\"}",
                                      now_s + 100));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            ask(s, "Authorization", arena_printf(&s->a, "Bearer " STR_FMT, STR_ARG(token)), &who),
            0);
        assert_true(str_eq(who.owner, STR("alice")) && who.read_only && !who.all);
        assert_string_equal(who.by, "token");
    }
    jwt_secret_free(secret);
    jwt_crypto_free(crypto);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        scene_run(body_##name);                                                                    \
    }
TEST(off)
TEST(stored_keys)
TEST(on_without_keys)
TEST(ill_database)
TEST(token)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off), cmocka_unit_test(test_stored_keys),
        cmocka_unit_test(test_on_without_keys), cmocka_unit_test(test_ill_database),
        cmocka_unit_test(test_token)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
