/* SPDX-License-Identifier: Apache-2.0 */
/* test_sessions.c - sessions, accounts and logins over every database.
 *
 * Goal: a session is found by its digest until it ends, its use moves its end on and never past the
 * last one, owners do not see each other's, there is a bound on their number; an account keeps the
 * owner of its first login, and its sessions go with it; a login under way is taken once; the sweep
 * takes what is over, in slices. Method: one history on each driver. */
#include "fixture.h"

#include "base/clock.h"
#include "store/sessions.h"

#define S(n) ((int64_t)(n)*1000000)

static const struct principal ANNA = {.owner = {"anna", 4}}, BERT = {.owner = {"bert", 4}};

static str digest(struct arena *a, char fill) {
    char bytes[SESSION_DIGEST_BYTES];
    memset(bytes, fill, sizeof bytes);
    return arena_dup(a, str_n(bytes, sizeof bytes));
}

static struct session make(str owner, int64_t created_us, int64_t idle_s, int64_t max_s) {
    return (struct session){.id = id_v7(),
                            .owner = owner,
                            .scope = SESSION_WRITES,
                            .label = STR("a label"),
                            .user_agent = STR("an agent"),
                            .address = STR("127.0.0.1"),
                            .created_at = created_us,
                            .last_used_at = created_us,
                            .expires_at = created_us + S(idle_s),
                            .ends_at = created_us + S(max_s)};
}

static void found(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    int64_t now = clock_wall_us();
    struct session her = make(ANNA.owner, now, 100, 1000), got;
    CHECK_CODE(session_find(s, digest(a, 'a'), now, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_insert(s, &her, digest(a, 'a'), 3, a, &err), 0);
    CHECK_CODE(session_find(s, digest(a, 'a'), now, a, &got, &err), 0);
    CHECK(id_eq(got.id, her.id) && str_eq(got.owner, her.owner) && got.scope == SESSION_WRITES);
    CHECK(got.last_used_at == now && got.expires_at == now + S(100) &&
          got.ends_at == now + S(1000));
    CHECK_CODE(session_find(s, digest(a, 'b'), now, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_find(s, digest(a, 'a'), now + S(100) - 1, a, &got, &err), 0);
    CHECK_CODE(session_find(s, digest(a, 'a'), now + S(100), a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_get(s, &ANNA, her.id, a, &got, &err), 0);
    CHECK(str_eq(got.label, her.label) && str_eq(got.user_agent, her.user_agent) &&
          str_eq(got.address, her.address) && id_is_nil(got.account) && got.created_at == now);
    CHECK_CODE(session_get(s, &BERT, her.id, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_delete(s, &BERT, her.id, a, &err), ERR_NOT_FOUND);
    struct session twin = make(ANNA.owner, now, 100, 1000);
    int rc = session_insert(s, &twin, digest(a, 'a'), 3, a, &err);
    CHECK_THAT(rc < 0, "%s", "a digest is one session's");
    CHECK_CODE(session_find(s, digest(a, 'a'), now, a, &got, &err), 0);
    CHECK(id_eq(got.id, her.id));
    CHECK_CODE(session_delete(s, &ANNA, her.id, a, &err), 0);
    CHECK_CODE(session_find(s, digest(a, 'a'), now, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_delete(s, &ANNA, her.id, a, &err), ERR_NOT_FOUND);
}

static void used(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    int64_t now = clock_wall_us();
    struct session one = make(ANNA.owner, now, 100, 250), two = make(ANNA.owner, now, 100, 1000),
                   over = make(BERT.owner, now - S(200), 100, 1000), got;
    struct id ids[] = {one.id, two.id, over.id, id_v7()};
    CHECK_CODE(session_insert(s, &one, digest(a, '1'), 9, a, &err), 0);
    CHECK_CODE(session_insert(s, &two, digest(a, '2'), 9, a, &err), 0);
    CHECK_CODE(session_insert(s, &over, digest(a, '3'), 9, a, &err), 0);
    CHECK_CODE(session_touch(s, ids, 4, now + S(50), now + S(150), a, &err), 0);
    CHECK_CODE(session_find(s, digest(a, '1'), now + S(149), a, &got, &err), 0);
    CHECK(got.last_used_at == now + S(50) && got.expires_at == now + S(150));
    CHECK_CODE(session_find(s, digest(a, '2'), now + S(149), a, &got, &err), 0);
    CHECK_THAT(session_find(s, digest(a, '3'), now, a, &got, &err) == ERR_NOT_FOUND, "%s",
               "what is over does not come back");
    CHECK_CODE(session_touch(s, ids, 1, now + S(40), now + S(140), a, &err), 0);
    CHECK_CODE(session_find(s, digest(a, '1'), now, a, &got, &err), 0);
    CHECK_THAT(got.expires_at == now + S(150), "%s", "an older use changes nothing");
    CHECK_CODE(session_touch(s, ids, 1, now + S(149), now + S(9999), a, &err), 0);
    CHECK_CODE(session_find(s, digest(a, '1'), now, a, &got, &err), 0);
    CHECK_THAT(got.expires_at == now + S(250), "%s", "never past the end");
    CHECK_CODE(session_touch(s, ids, 0, now, now, a, &err), 0);
    int64_t deleted;
    CHECK_CODE(session_delete_all(s, ANNA.owner, a, &deleted, &err), 0);
    CHECK_INT(deleted, 2);
    CHECK_CODE(session_delete_all(s, BERT.owner, a, &deleted, &err), 0);
    CHECK_INT(deleted, 1);
}

static void listed(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    int64_t now = clock_wall_us(), deleted;
    struct session list[4], *got, over = make(ANNA.owner, now - S(200), 100, 1000);
    size_t count;
    CHECK_CODE(session_insert(s, &over, digest(a, 'o'), 3, a, &err), 0);
    for (int i = 0; i < 4; i++) {
        list[i] = make(ANNA.owner, now, 100, 1000);
        int rc = session_insert(s, &list[i], digest(a, (char)('0' + i)), 3, a, &err);
        CHECK_THAT(rc == (i < 3 ? 0 : ERR_LIMIT), "no. %d: %d", i, rc);
    }
    struct session his = make(BERT.owner, now, 100, 1000);
    CHECK_CODE(session_insert(s, &his, digest(a, 'h'), 3, a, &err), 0);
    CHECK_CODE(session_list(s, ANNA.owner, ID_NIL, 2, a, &got, &count, &err), 0);
    CHECK(count == 2 && id_eq(got[0].id, list[2].id) && id_eq(got[1].id, list[1].id));
    CHECK_CODE(session_list(s, ANNA.owner, got[1].id, 2, a, &got, &count, &err), 0);
    CHECK(count == 1 && id_eq(got[0].id, list[0].id));
    for (int i = 0; i < 2; i++) { /* the one that is over, then nothing */
        CHECK_CODE(session_sweep(s, now, 1, a, &deleted, &err), 0);
        CHECK_INT(deleted, 1 - i);
    }
    CHECK_CODE(session_sweep(s, now + S(100), 2, a, &deleted, &err), 0);
    CHECK_THAT(deleted == 2, "%lld: a slice", (long long)deleted);
    CHECK_CODE(session_sweep(s, now + S(100), 1000, a, &deleted, &err), 0);
    CHECK_INT(deleted, 2);
}

static void accounts(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    int64_t now = clock_wall_us();
    struct account who = {.id = id_v7(),
                          .owner = ANNA.owner,
                          .provider = STR("p"),
                          .account = STR("17"),
                          .profile = STR("{\"email\":\"a@example\"}")},
                   *list;
    struct session got, made[4];
    size_t count;
    for (int i = 0; i < 4; i++) {
        made[i] = make(STR("nobody"), now + i, 100, 1000);
        CHECK_CODE(account_login(s, &who, digest(a, (char)('0' + i)), 3, a, &made[i], &err), 0);
        CHECK(str_eq(made[i].owner, ANNA.owner));
        who.owner = STR("mallory"); /* the first one said whose it is */
        who.profile = STR("{\"email\":\"b@example\"}");
        who.id = id_v7();
    }
    CHECK_THAT(session_find(s, digest(a, '0'), now, a, &got, &err) == ERR_NOT_FOUND, "%s",
               "the one used longest ago made room");
    CHECK_CODE(session_find(s, digest(a, '1'), now, a, &got, &err), 0);
    CHECK_CODE(account_list(s, STR("mallory"), ID_NIL, 10, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(account_list(s, ANNA.owner, ID_NIL, 10, a, &list, &count, &err), 0);
    CHECK(count == 1 && str_eq(list[0].provider, STR("p")) && str_eq(list[0].account, STR("17")));
    CHECK(str_eq(list[0].profile, who.profile) && list[0].updated_at == now + 3);
    CHECK_CODE(session_get(s, &ANNA, made[3].id, a, &got, &err), 0);
    CHECK(id_eq(got.account, list[0].id) && id_eq(made[3].account, list[0].id));
    struct account other = who;
    other.id = id_v7();
    other.provider = STR("q"); /* of the same name there: somebody else */
    other.owner = BERT.owner;
    struct session his = make(STR("nobody"), now, 100, 1000);
    CHECK_CODE(account_login(s, &other, digest(a, 'q'), 3, a, &his, &err), 0);
    CHECK(str_eq(his.owner, BERT.owner));
    CHECK_CODE(account_delete(s, &BERT, list[0].id, a, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_find(s, digest(a, '3'), now, a, &got, &err), 0);
    CHECK_CODE(account_delete(s, &ANNA, list[0].id, a, &err), 0);
    for (char c = '1'; c <= '3'; c++)
        CHECK_CODE(session_find(s, digest(a, c), now, a, &got, &err), ERR_NOT_FOUND);
    CHECK_CODE(session_find(s, digest(a, 'q'), now, a, &got, &err), 0);
    CHECK_CODE(account_list(s, ANNA.owner, ID_NIL, 10, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
}

static void logins(struct fixture *f, struct store *s, struct arena *a) {
    struct err err = {0};
    int64_t now = clock_wall_us(), deleted;
    str to;
    CHECK_CODE(login_put(s, digest(a, 'l'), STR("p"), STR("/a?b"), now + S(600), a, &err), 0);
    CHECK_CODE(login_put(s, digest(a, 'm'), STR("p"), STR("/"), now + S(600), a, &err), 0);
    CHECK_CODE(login_take(s, digest(a, 'l'), STR("q"), now, a, &to, &err), ERR_NOT_FOUND);
    CHECK_CODE(login_take(s, digest(a, 'x'), STR("p"), now, a, &to, &err), ERR_NOT_FOUND);
    CHECK_CODE(login_take(s, digest(a, 'l'), STR("p"), now + S(600), a, &to, &err), ERR_NOT_FOUND);
    CHECK_CODE(login_take(s, digest(a, 'l'), STR("p"), now, a, &to, &err), 0);
    CHECK(str_eq(to, STR("/a?b")));
    CHECK_CODE(login_take(s, digest(a, 'l'), STR("p"), now, a, &to, &err), ERR_NOT_FOUND);
    CHECK_CODE(login_sweep(s, now, 10, a, &deleted, &err), 0);
    CHECK_INT(deleted, 0);
    CHECK_CODE(login_sweep(s, now + S(600), 10, a, &deleted, &err), 0);
    CHECK_INT(deleted, 1);
}

static void history(struct fixture *f) {
    struct store store = {.db = f->db};
    found(f, &store, &f->arena);
    used(f, &store, &f->arena);
    listed(f, &store, &f->arena);
    accounts(f, &store, &f->arena);
    logins(f, &store, &f->arena);
}

int main(void) { return fixture_main("sessions", history); }
