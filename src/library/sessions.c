/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - hf_session_get(), _list(), _delete(); hf_consumer_ack(), _list(), _delete().
 *
 * A list comes as an array of pointers, so that rows can grow in later versions. */
#include "library/library_int.h"

/* --- sessions --- */

static struct hf_session session_out(struct arena *a, const struct history_session *s) {
    return (struct hf_session){.name = library_z(a, s->name),
                               .first_seq = s->first_seq,
                               .last_seq = s->last_seq,
                               .payload_bytes = s->payload_bytes,
                               .created_at = s->created_at,
                               .updated_at = s->updated_at};
}

static int run_get(struct library_call *c) {
    struct history_session s;
    int rc = history_session_get(c->h->history, &c->key, &c->result->arena, &s, &c->err);
    if (rc == 0)
        *(struct hf_session *)library_object(c) = session_out(&c->result->arena, &s);
    return rc;
}

static int run_list(struct library_call *c) {
    struct arena *a = &c->result->arena;
    struct history_session *list;
    size_t count;
    int rc = history_session_list(c->h->history, c->key.owner, c->named.name, c->named.limit, a,
                                  &list, &count, &c->err);
    if (rc < 0)
        return rc;
    struct hf_session *rows = ARENA_ARRAY(a, struct hf_session, count + 1);
    const struct hf_session **items = ARENA_ARRAY(a, const struct hf_session *, count + 1);
    for (size_t i = 0; i < count; i++) {
        rows[i] = session_out(a, &list[i]);
        items[i] = &rows[i];
    }
    *(struct hf_sessions *)library_object(c) = (struct hf_sessions){.count = count, .items = items};
    return 0;
}

static int run_delete(struct library_call *c) {
    return history_session_delete(c->h->history, &c->key, &c->err);
}

static struct library_call *of_session(struct hf_history *h, const char *owner, const char *session,
                                       library_run_fn run, size_t object_bytes, bool async) {
    struct library_call *c = library_call_new(h, run, object_bytes, async);
    library_take_key(c, owner, session);
    return c;
}

static struct library_call *list(struct hf_history *h, const char *owner, const char *after,
                                 size_t limit, bool async) {
    struct library_call *c = library_call_new(h, run_list, sizeof(struct hf_sessions), async);
    c->key.owner = library_text(c, owner ? owner : "", HISTORY_NAME_BYTES_MAX, "owner");
    c->named.name = library_text(c, after ? after : "", HISTORY_NAME_BYTES_MAX, "after");
    c->named.limit = library_limit(limit);
    return c;
}

int hf_session_get(struct hf_history *h, const char *owner, const char *session,
                   struct hf_session **out, struct hf_error *error) {
    return library_wait(of_session(h, owner, session, run_get, sizeof **out, false), (void **)out,
                        error);
}

int hf_session_get_async(struct hf_history *h, const char *owner, const char *session,
                         hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(of_session(h, owner, session, run_get, sizeof(struct hf_session), true),
                         done, ctx, error);
}

int hf_session_list(struct hf_history *h, const char *owner, const char *after, size_t limit,
                    struct hf_sessions **out, struct hf_error *error) {
    return library_wait(list(h, owner, after, limit, false), (void **)out, error);
}

int hf_session_list_async(struct hf_history *h, const char *owner, const char *after, size_t limit,
                          hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(list(h, owner, after, limit, true), done, ctx, error);
}

int hf_session_delete(struct hf_history *h, const char *owner, const char *session,
                      struct hf_error *error) {
    return library_wait(of_session(h, owner, session, run_delete, 0, false), NULL, error);
}

int hf_session_delete_async(struct hf_history *h, const char *owner, const char *session,
                            hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(of_session(h, owner, session, run_delete, 0, true), done, ctx, error);
}

/* --- consumers --- */

static int run_ack(struct library_call *c) {
    return history_consumer_ack(c->h->history, &c->key, c->named.name, c->named.seq,
                                library_object(c), &c->err);
}

static int run_consumers(struct library_call *c) {
    struct arena *a = &c->result->arena;
    struct history_consumer *list;
    size_t count;
    int rc = history_consumer_list(c->h->history, &c->key, a, &list, &count, &c->err);
    if (rc < 0)
        return rc;
    struct hf_consumer *rows = ARENA_ARRAY(a, struct hf_consumer, count + 1);
    const struct hf_consumer **items = ARENA_ARRAY(a, const struct hf_consumer *, count + 1);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct hf_consumer){.name = library_z(a, list[i].name),
                                       .acked_seq = list[i].acked_seq,
                                       .updated_at = list[i].updated_at};
        items[i] = &rows[i];
    }
    *(struct hf_consumers *)library_object(c) =
        (struct hf_consumers){.count = count, .items = items};
    return 0;
}

static int run_forget(struct library_call *c) {
    return history_consumer_delete(c->h->history, &c->key, c->named.name, &c->err);
}

static struct library_call *ack(struct hf_history *h, const char *owner, const char *session,
                                const char *name, int64_t seq, bool async) {
    struct library_call *c = of_session(h, owner, session, run_ack, sizeof(int64_t), async);
    c->named.name = library_text(c, name, HISTORY_NAME_BYTES_MAX, "name");
    c->named.seq = seq;
    return c;
}

static struct library_call *forget(struct hf_history *h, const char *owner, const char *session,
                                   const char *name, bool async) {
    struct library_call *c = of_session(h, owner, session, run_forget, 0, async);
    c->named.name = library_text(c, name, HISTORY_NAME_BYTES_MAX, "name");
    return c;
}

int hf_consumer_ack(struct hf_history *h, const char *owner, const char *session, const char *name,
                    int64_t seq, int64_t *out_acked_seq, struct hf_error *error) {
    return library_wait_number(ack(h, owner, session, name, seq, false), out_acked_seq, error);
}

int hf_consumer_ack_async(struct hf_history *h, const char *owner, const char *session,
                          const char *name, int64_t seq, hf_done_fn done, void *ctx,
                          struct hf_error *error) {
    return library_start(ack(h, owner, session, name, seq, true), done, ctx, error);
}

int hf_consumer_list(struct hf_history *h, const char *owner, const char *session,
                     struct hf_consumers **out, struct hf_error *error) {
    return library_wait(of_session(h, owner, session, run_consumers, sizeof **out, false),
                        (void **)out, error);
}

int hf_consumer_list_async(struct hf_history *h, const char *owner, const char *session,
                           hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(
        of_session(h, owner, session, run_consumers, sizeof(struct hf_consumers), true), done, ctx,
        error);
}

int hf_consumer_delete(struct hf_history *h, const char *owner, const char *session,
                       const char *name, struct hf_error *error) {
    return library_wait(forget(h, owner, session, name, false), NULL, error);
}

int hf_consumer_delete_async(struct hf_history *h, const char *owner, const char *session,
                             const char *name, hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(forget(h, owner, session, name, true), done, ctx, error);
}
