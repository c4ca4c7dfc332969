/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - what is remembered of sessions, and how it ends everywhere at once.
 *
 *   token ─▶ digest ─▶ remembered? ─ yes ─▶ principal
 *                          │ no
 *                       row by its digest ─▶ remembered for cache_us from before the read on
 *                          │ last used a minute ago
 *                       noted ─▶ after a second one statement for all that were
 *
 * The end. Who ends a session deletes its row, forgets here what was remembered, and, when other
 * processes may remember it, waits for cache_us before it answers. What another process knows, it
 * has read before the row was gone, and its time began before that read; so it is over then. That
 * holds without a message that could be lost, and with clocks that agree about nothing but the
 * length of a moment. A read here that was under way while a row went is not remembered (`ends`).
 *
 * Invariant: nothing that was read before the last sessions_ended() is in the cache. */
#include "auth/sessions.h"

#include "auth/random_token.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define TOUCH_PART    4 /* a use counts when so much of the idle time is over, or a minute */
#define TOUCH_US_MAX  INT64_C(60000000)
#define TOUCH_WAIT_US INT64_C(1000000)
#define US_PER_S      1000000
#define RETRY_MS      1000
#define WAIT_MORE_US  10000 /* a turn of the loop, whose time may be older than the answer */

struct sessions {
    struct session_options o;
    struct auth_cache *known;
    uint64_t ends;
    struct id used[SESSION_TOUCH_COUNT_MAX]; /* to be written */
    size_t used_count;
    bool writing; /* a fiber of it lives */
};

struct sessions *sessions_new(const struct session_options *o) {
    struct sessions *s = NEW(struct sessions);
    s->o = *o;
    s->known = auth_cache_new(o->cache_count_max, o->cache_us);
    return s;
}

void sessions_free(struct sessions *s) {
    if (!s)
        return;
    ASSERT(!s->writing);
    auth_cache_free(s->known);
    mem_free(s);
}

bool session_token_is_one(str text) {
    STATIC_ASSERT(SESSION_TOKEN_BYTES == sizeof(SESSION_TOKEN_PREFIX) - 1 + RANDOM_TOKEN_TEXT_BYTES,
                  "the text");
    return random_token_is_one(text, STR(SESSION_TOKEN_PREFIX));
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* --- use --- */

static void write_used(struct sessions *s) {
    struct arena a;
    struct err err = {0};
    int64_t now = clock_wall_us();
    arena_init(&a, SIZE_MAX / 2);
    struct id *ids = ARENA_ARRAY(&a, struct id, s->used_count + 1);
    size_t count = s->used_count;
    memcpy(ids, s->used, count * sizeof(*ids));
    s->used_count = 0;
    int rc = session_touch(s->o.store, ids, count, now, now + s->o.idle_us, &a, &err);
    if (rc < 0) /* they are noted again by their next use */
        log_event(LOG_WARN, "auth.sessions.failed", "the use of sessions could not be written",
                  LOG_Z("cause", err.message), LOG_INT("count", count));
    arena_deinit(&a);
}

/* A server that stops writes what it knows. */
static void touch_fiber(void *arg) {
    struct sessions *s = arg;
    while (s->used_count > 0) {
        (void)fiber_sleep_us(TOUCH_WAIT_US); /* cancelled: at once */
        write_used(s);
        if (fiber_cancelled())
            break;
    }
    s->writing = false;
}

static void note_use(struct sessions *s, const struct session *row, int64_t now_us) {
    if (now_us - row->last_used_at < least(TOUCH_US_MAX, s->o.idle_us / TOUCH_PART) ||
        row->expires_at == row->ends_at || s->used_count == SESSION_TOUCH_COUNT_MAX)
        return;
    for (size_t i = 0; i < s->used_count; i++)
        if (id_eq(s->used[i], row->id))
            return;
    s->used[s->used_count++] = row->id;
    if (!s->writing)
        s->writing =
            fiber_group_spawn(s->o.fibers, s->o.rt, "auth.sessions", touch_fiber, s, NULL) == 0;
    if (!s->writing) /* no fiber is to be had: a later use asks again */
        s->used_count = 0;
}

/* --- who --- */

static void set_scope(struct principal *p, enum session_scope scope) {
    p->read_only = scope == SESSION_READS;
    p->graphs = scope == SESSION_GRAPHS;
}

static enum session_scope scope_of(const struct principal *p) {
    return p->read_only ? SESSION_READS : p->graphs ? SESSION_GRAPHS : SESSION_WRITES;
}

static bool remembered(struct sessions *s, const struct auth_digest *digest, struct auth_times now,
                       struct arena *a, struct principal *out) {
    struct auth_cached found;
    if (!auth_cache_get(s->known, digest, now, a, &found))
        return false;
    *out = (struct principal){.owner = found.text,
                              .read_only = found.read_only,
                              .graphs = found.graphs,
                              .session = found.session,
                              .by = found.by};
    return true;
}

int sessions_identify(struct sessions *s, const struct auth_digest *digest, struct arena *a,
                      struct principal *out, bool *out_cached, struct err *err) {
    struct auth_times before = {clock_mono_us(), clock_wall_us()};
    struct session row;
    *out_cached = remembered(s, digest, before, a, out);
    if (*out_cached)
        return 0;
    uint64_t ends = s->ends;
    int rc = session_find(s->o.store, auth_digest_view(digest), before.wall_us, a, &row, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_UNAUTHORISED, "The session is over, or not known");
    if (rc == ERR_CANCELLED)
        return rc;
    if (rc < 0) {
        rc = err_set(err, ERR_UNAVAILABLE, "The sessions cannot be read now");
        if (err)
            err->retry_after_ms = RETRY_MS;
        return rc;
    }
    if (row.owner.len == 0)
        return err_set(err, ERR_CORRUPT, "the row of a session names nobody");
    *out = (struct principal){.owner = row.owner, .session = row.id, .by = "session"};
    set_scope(out, row.scope);
    if (ends == s->ends) {
        struct auth_cached value = {.text = row.owner,
                                    .read_only = out->read_only,
                                    .graphs = out->graphs,
                                    .session = row.id,
                                    .by = out->by,
                                    .expires_s = row.expires_at / US_PER_S};
        auth_cache_put(s->known, digest, before, &value);
    }
    note_use(s, &row, before.wall_us);
    return 0;
}

/* --- begin and end --- */

/* At most so many bytes, and no half of a character. */
static str cut(str text, size_t bytes_max) {
    if (text.len > bytes_max)
        text = str_slice(text, 0, bytes_max);
    while (text.len > 0 && !str_is_utf8(text))
        text.len--;
    return text.len ? text : STR_NULL;
}

static void make(struct sessions *s, const struct session_wish *wish, struct arena *a,
                 struct session *out, str *out_token, struct auth_digest *digest) {
    int64_t now = clock_wall_us();
    int64_t life = wish->lifetime_us > 0 ? least(wish->lifetime_us, s->o.max_us) : s->o.max_us;
    char *text = arena_alloc(a, SESSION_TOKEN_BYTES);
    random_token_make(STR(SESSION_TOKEN_PREFIX), text);
    *out_token = str_n(text, SESSION_TOKEN_BYTES);
    hash_sha256(*out_token, digest->bytes);
    *out = (struct session){.id = id_v7(),
                            .label = cut(wish->label, SESSION_LABEL_BYTES_MAX),
                            .user_agent = cut(wish->user_agent, SESSION_AGENT_BYTES_MAX),
                            .address = wish->address.p ? wish->address : STR(""),
                            .created_at = now,
                            .last_used_at = now,
                            .expires_at = now + least(life, s->o.idle_us),
                            .ends_at = now + life};
}

int sessions_begin(struct sessions *s, const struct principal *who, const struct session_wish *wish,
                   struct arena *a, struct session *out, str *out_token, struct err *err) {
    struct session mother, made;
    struct auth_digest digest;
    str token;
    if (principal_owner(who).len == 0)
        return err_set(err, ERR_CONFLICT, "There is nobody: requests do not show who they are");
    make(s, wish, a, &made, &token, &digest);
    made.owner = who->owner;
    made.scope = scope_of(who);
    if (!id_is_nil(who->session)) {
        int rc = session_get(s->o.store, who, who->session, a, &mother, err);
        if (rc == ERR_NOT_FOUND)
            return err_set(err, ERR_UNAUTHORISED, "The session is over, or not known");
        if (rc < 0)
            return rc;
        made.ends_at = least(made.ends_at, mother.ends_at);
        made.expires_at = least(made.expires_at, made.ends_at);
    }
    int rc = session_insert(s->o.store, &made, auth_digest_view(&digest), s->o.count_max, a, err);
    if (rc < 0)
        return rc;
    *out = made;
    *out_token = token;
    return 0;
}

int sessions_login(struct sessions *s, const struct account *account, enum session_scope scope,
                   const struct session_wish *wish, struct arena *a, struct session *out,
                   str *out_token, struct err *err) {
    struct session made;
    struct auth_digest digest;
    str token;
    make(s, wish, a, &made, &token, &digest);
    made.scope = scope;
    int rc = account_login(s->o.store, account, auth_digest_view(&digest), s->o.count_max, a, &made,
                           err);
    if (rc < 0)
        return rc;
    *out = made;
    *out_token = token;
    return 0;
}

void sessions_ended(struct sessions *s) {
    s->ends++;
    auth_cache_clear(s->known);
    if (s->o.shared && s->o.cache_us > 0)
        fiber_sleep_shielded_us(s->o.cache_us + WAIT_MORE_US);
}
