/* SPDX-License-Identifier: Apache-2.0 */
/* test_remote.c - Goal: one question per token whoever waits, a bound on questions at once and in
 * waiting, every answer that is not a clear yes or no is ERR_UNAVAILABLE; what is sent is what the
 * two protocols say. Method: an authority in the same loop. */
#include "auth/remote.h"

#include "authority.h"

static const struct claim_rules RULES = {.owner = STR("sub"), .scope = STR("scope"), .skew_s = 60};

static struct remote *make(struct scene *s, enum remote_kind kind, size_t concurrency,
                           size_t waiting) {
    struct remote_options o = {.rt = s->rt,
                               .client = s->client,
                               .fibers = &s->fibers,
                               .kind = kind,
                               .url = s->url,
                               .client_id = STR("me:too"),
                               .client_secret = STR("p w"),
                               .api_key = STR("anon"),
                               .timeout_us = 300000,
                               .concurrency_max = concurrency,
                               .waiting_max = waiting,
                               .rules = &RULES};
    return remote_new(&o);
}

struct asker {
    struct remote *r;
    str token;
    struct arena a;
    struct identity identity;
    struct err err;
    int rc;
};

static void ask(void *arg) {
    struct asker *x = arg;
    struct auth_digest key;
    arena_init(&x->a, 1 << 20);
    hash_sha256(x->token, key.bytes);
    x->err = (struct err){0};
    x->rc = remote_ask(x->r, &key, x->token, &x->a, &x->identity, &x->err);
}

static void ask_one(struct remote *r, str token, struct asker *x) {
    *x = (struct asker){.r = r, .token = token};
    ask(x);
    if (x->rc == 0) /* as long as the test looks at it */
        x->identity.owner = x->identity.owner.p ? x->identity.owner : STR("?");
}

static void expect(struct remote *r, int rc, const char *owner) {
    struct asker x;
    ask_one(r, STR("opaque"), &x);
    if (x.rc != rc)
        fail_msg("%d (%s) instead of %d", x.rc, x.err.message, rc);
    if (owner)
        assert_true(str_eq(x.identity.owner, str_of(owner)));
    if (rc == ERR_UNAVAILABLE)
        assert_true(x.err.retry_after_ms > 0);
    arena_deinit(&x.a);
}

static void body_introspection(struct scene *s) {
    struct remote *r = make(s, REMOTE_INTROSPECTION, 4, 10);
    s->answer = STR("{\"active\":true,\"sub\":\"alice\",\"scope\":\"holdfast:read\"}");
    struct asker x;
    ask_one(r, STR("a+b/c="), &x);
    assert_int_equal(x.rc, 0);
    assert_true(str_eq(x.identity.owner, STR("alice")) && x.identity.read_only);
    assert_true(str_eq(s->last_body, STR("token=a%2Bb%2Fc%3D&token_type_hint=access_token")));
    assert_true(str_eq(s->last_authorization, STR("Basic bWUlM0F0b286cCUyMHc=")));
    arena_deinit(&x.a);
    static const struct {
        int status;
        const char *answer;
        int rc;
    } list[] = {
        {200, "{\"active\":false}", ERR_UNAUTHORISED},
        {200, "{\"active\":false,\"sub\":\"alice\"}", ERR_UNAUTHORISED},
        {200, "{\"active\":true}", ERR_UNAUTHORISED}, /* names nobody */
        {200, "{\"active\":true,\"sub\":\"alice\",\"exp\":1}", ERR_UNAUTHORISED},
        {200, "{\"active\":true,\"sub\":\"alice\",\"exp\":\"x\"}", ERR_UNAUTHORISED},
        {200, "{\"active\":\"true\",\"sub\":\"alice\"}", ERR_UNAVAILABLE},
        {200, "{\"active\":true,\"sub\":\"eve\",\"sub\":\"alice\"}", ERR_UNAVAILABLE},
        {200, "{}", ERR_UNAVAILABLE},
        {200, "[]", ERR_UNAVAILABLE},
        {200, "", ERR_UNAVAILABLE},
        {200, "<html>", ERR_UNAVAILABLE},
        {201, "{\"active\":true,\"sub\":\"alice\"}", ERR_UNAVAILABLE},
        {302, "", ERR_UNAVAILABLE},
        {400, "{}", ERR_UNAVAILABLE},
        {401, "{}", ERR_UNAVAILABLE}, /* that is about us, not about the token */
        {403, "{}", ERR_UNAVAILABLE},
        {429, "{}", ERR_UNAVAILABLE},
        {500, "{\"active\":true,\"sub\":\"alice\"}", ERR_UNAVAILABLE},
        {503, "", ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        s->status = list[i].status;
        s->answer = str_of(list[i].answer);
        expect(r, list[i].rc, NULL);
    }
    s->status = 200;
    s->answer = str_n(arena_zalloc(&s->a, 70000), 70000);
    expect(r, ERR_UNAVAILABLE, NULL);
    s->answer = STR("{\"active\":true,\"sub\":\"alice\"}");
    expect(r, 0, "alice");
    remote_free(r);
}

static void body_supabase(struct scene *s) {
    struct remote *r = make(s, REMOTE_SUPABASE, 4, 10);
    s->answer = STR("{\"id\":\"5f2b\",\"aud\":\"authenticated\",\"email\":\"a@b\"}");
    expect(r, 0, "5f2b");
    assert_true(str_eq(s->last_path, STR("/auth/v1/user")));
    assert_true(str_eq(s->last_authorization, STR("Bearer opaque")));
    assert_true(str_eq(s->last_apikey, STR("anon")));
    static const struct {
        int status;
        const char *answer;
        int rc;
    } list[] = {
        {401, "{}", ERR_UNAUTHORISED}, {403, "{\"msg\":\"invalid JWT\"}", ERR_UNAUTHORISED},
        {200, "{}", ERR_UNAUTHORISED}, {200, "{\"sub\":\"alice\"}", ERR_UNAUTHORISED},
        {404, "{}", ERR_UNAVAILABLE},  {500, "{\"id\":\"5f2b\"}", ERR_UNAVAILABLE},
        {429, "", ERR_UNAVAILABLE},    {200, "nonsense", ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        s->status = list[i].status;
        s->answer = str_of(list[i].answer);
        expect(r, list[i].rc, NULL);
    }
    remote_free(r);
}

static void ask_many(struct scene *s, struct remote *r, struct asker *list, size_t count,
                     bool same) {
    struct fiber_group group;
    fiber_group_init(&group);
    for (size_t i = 0; i < count; i++) {
        list[i] =
            (struct asker){.r = r, .token = arena_printf(&s->a, "token %zu", same ? (size_t)0 : i)};
        assert_int_equal(fiber_group_spawn(&group, s->rt, "ask", ask, &list[i], NULL), 0);
    }
    fiber_group_wait(&group);
}

static void body_single_flight(struct scene *s) {
    struct asker list[100];
    struct remote *r = make(s, REMOTE_INTROSPECTION, 4, 10);
    s->delay_us = 20000;
    s->answer = STR("{\"active\":true,\"sub\":\"alice\"}");
    ask_many(s, r, list, ARRAY_COUNT(list), true);
    assert_int_equal(s->asked, 1);
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        assert_int_equal(list[i].rc, 0);
        assert_true(str_eq(list[i].identity.owner, STR("alice")));
        arena_deinit(&list[i].a);
    }
    remote_free(r);
}

static void body_bounds(struct scene *s) {
    struct asker list[40];
    struct remote *r = make(s, REMOTE_INTROSPECTION, 4, 10);
    int good = 0, busy = 0;
    s->delay_us = 10000;
    s->answer = STR("{\"active\":true,\"sub\":\"alice\"}");
    ask_many(s, r, list, ARRAY_COUNT(list), false);
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        good += list[i].rc == 0;
        busy += list[i].rc == ERR_UNAVAILABLE && list[i].err.retry_after_ms > 0;
        arena_deinit(&list[i].a);
    }
    assert_int_equal(good + busy, ARRAY_COUNT(list));
    assert_true(s->at_once_max <= 4);
    assert_true(good >= 14 && busy > 0);
    assert_int_equal(s->asked, good);
    remote_free(r);
}

static void body_silence(struct scene *s) {
    struct asker list[6];
    struct remote *r = make(s, REMOTE_INTROSPECTION, 2, 10);
    s->status = 0; /* it takes the question and never answers: those that wait end in time, too */
    ask_many(s, r, list, ARRAY_COUNT(list), false);
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        assert_int_equal(list[i].rc, ERR_UNAVAILABLE);
        arena_deinit(&list[i].a);
    }
    s->status = 200;
    s->answer = STR("{\"active\":true,\"sub\":\"alice\"}");
    expect(r, 0, "alice");
    remote_free(r);
}

static void body_cancelled(struct scene *s) {
    struct remote *r = make(s, REMOTE_INTROSPECTION, 2, 10);
    struct asker gone = {.r = r, .token = STR("opaque")};
    struct fiber_group group;
    s->delay_us = 30000;
    s->answer = STR("{\"active\":true,\"sub\":\"alice\"}");
    fiber_group_init(&group);
    assert_int_equal(fiber_group_spawn(&group, s->rt, "ask", ask, &gone, NULL), 0);
    assert_int_equal(fiber_sleep_us(5000), 0);
    fiber_group_cancel(&group);
    fiber_group_wait(&group);
    assert_int_equal(gone.rc, ERR_CANCELLED);
    expect(r, 0, "alice"); /* whoever asks next gets the answer to the same question */
    assert_int_equal(s->asked, 1);
    arena_deinit(&gone.a);
    remote_free(r);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        scene_run(body_##name);                                                                    \
    }
TEST(introspection)
TEST(supabase)
TEST(single_flight)
TEST(bounds)
TEST(silence)
TEST(cancelled)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_introspection), cmocka_unit_test(test_supabase),
        cmocka_unit_test(test_single_flight), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_silence),       cmocka_unit_test(test_cancelled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
