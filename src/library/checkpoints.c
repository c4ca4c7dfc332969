/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.c - hf_checkpoint_put(), _get(), _list(), _rollback().
 *
 * Ids are UUIDs as text outside and 16 bytes inside; no id at all is the nil one, which the port
 * takes for "the latest", or "a new one". */
#include "library/library_int.h"

#define CHECKPOINT_MIN LIBRARY_UP_TO(struct hf_checkpoint, created_at)

static void take_id(struct library_call *c, const char *z, const char *what, struct id *out) {
    *out = ID_NIL;
    if (!z || c->rc < 0)
        return;
    if (!id_parse(str_n(z, strnlen(z, ID_DASHED_LEN + 1)), out) || id_is_nil(*out))
        library_fault(c, ERR_INVALID, "%s: must be a UUID", what);
}

static const char *id_out(struct arena *a, struct id id) {
    return id_is_nil(id) ? NULL : id_dashed(a, id).p;
}

static void checkpoint_out(struct arena *a, const struct history_checkpoint *in, bool payload,
                           struct hf_checkpoint *out) {
    *out = (struct hf_checkpoint){.struct_size = sizeof *out,
                                  .id = id_out(a, in->id),
                                  .parent = id_out(a, in->parent),
                                  .label = library_z(a, in->label),
                                  .seq = in->seq,
                                  .payload_kind =
                                      in->payload_kind == HISTORY_JSON ? HF_JSON : HF_BYTES,
                                  .payload = payload ? in->payload.p : NULL,
                                  .payload_size = in->payload.len,
                                  .created_at = in->created_at};
    STATIC_ASSERT(sizeof out->sha256 == sizeof in->digest, "SHA-256 has 32 bytes");
    memcpy(out->sha256, in->digest, sizeof out->sha256);
}

/* --- put --- */

static int run_put(struct library_call *c) {
    int rc =
        history_checkpoint_put(c->h->history, &c->key, &c->checkpoint, &c->result->arena, &c->err);
    if (rc == 0)
        checkpoint_out(&c->result->arena, &c->checkpoint, false, library_object(c));
    return rc;
}

static struct library_call *put(struct hf_history *h, const char *owner, const char *session,
                                const struct hf_checkpoint *in, bool async) {
    struct library_call *c = library_call_new(h, run_put, sizeof(struct hf_checkpoint), async);
    struct history_checkpoint *to = &c->checkpoint;
    struct hf_checkpoint p;
    library_take_key(c, owner, session);
    library_take_struct(c, in, CHECKPOINT_MIN, &p, sizeof p, "checkpoint");
    take_id(c, p.id, "id", &to->id);
    take_id(c, p.parent, "parent", &to->parent);
    to->label = library_text(c, p.label, HISTORY_NAME_BYTES_MAX, "label");
    to->seq = p.seq;
    to->created_at = p.created_at;
    if (p.payload_size > HISTORY_PAYLOAD_BYTES_MAX)
        library_fault(c, ERR_TOO_LARGE, "payload: at most %u bytes", HISTORY_PAYLOAD_BYTES_MAX);
    library_reserve(c, sizeof p + p.payload_size);
    to->payload = library_payload(c, p.payload_kind, p.payload, p.payload_size, &to->payload_kind);
    return c;
}

int hf_checkpoint_put(struct hf_history *h, const char *owner, const char *session,
                      const struct hf_checkpoint *checkpoint, struct hf_checkpoint **out,
                      struct hf_error *error) {
    return library_wait(put(h, owner, session, checkpoint, false), (void **)out, error);
}

int hf_checkpoint_put_async(struct hf_history *h, const char *owner, const char *session,
                            const struct hf_checkpoint *checkpoint, hf_done_fn done, void *ctx,
                            struct hf_error *error) {
    return library_start(put(h, owner, session, checkpoint, true), done, ctx, error);
}

/* --- get --- */

static int run_get(struct library_call *c) {
    struct history_checkpoint got;
    int rc = history_checkpoint_get(c->h->history, &c->key, c->named.id, &c->result->arena, &got,
                                    &c->err);
    if (rc == 0)
        checkpoint_out(&c->result->arena, &got, true, library_object(c));
    return rc;
}

static struct library_call *get(struct hf_history *h, const char *owner, const char *session,
                                const char *id, bool async) {
    struct library_call *c = library_call_new(h, run_get, sizeof(struct hf_checkpoint), async);
    library_take_key(c, owner, session);
    take_id(c, id, "id", &c->named.id);
    return c;
}

int hf_checkpoint_get(struct hf_history *h, const char *owner, const char *session, const char *id,
                      struct hf_checkpoint **out, struct hf_error *error) {
    return library_wait(get(h, owner, session, id, false), (void **)out, error);
}

int hf_checkpoint_get_async(struct hf_history *h, const char *owner, const char *session,
                            const char *id, hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(get(h, owner, session, id, true), done, ctx, error);
}

/* --- list --- */

static int run_list(struct library_call *c) {
    struct arena *a = &c->result->arena;
    struct history_checkpoint *list;
    size_t count;
    int rc = history_checkpoint_list(c->h->history, &c->key, c->named.id, c->named.limit, a, &list,
                                     &count, &c->err);
    if (rc < 0)
        return rc;
    struct hf_checkpoint *rows = ARENA_ARRAY(a, struct hf_checkpoint, count + 1);
    const struct hf_checkpoint **items = ARENA_ARRAY(a, const struct hf_checkpoint *, count + 1);
    for (size_t i = 0; i < count; i++) {
        checkpoint_out(a, &list[i], false, &rows[i]);
        items[i] = &rows[i];
    }
    *(struct hf_checkpoints *)library_object(c) =
        (struct hf_checkpoints){.count = count, .items = items};
    return 0;
}

static struct library_call *list(struct hf_history *h, const char *owner, const char *session,
                                 const char *after, size_t limit, bool async) {
    struct library_call *c = library_call_new(h, run_list, sizeof(struct hf_checkpoints), async);
    library_take_key(c, owner, session);
    take_id(c, after, "after", &c->named.id);
    c->named.limit = library_limit(limit);
    return c;
}

int hf_checkpoint_list(struct hf_history *h, const char *owner, const char *session,
                       const char *after, size_t limit, struct hf_checkpoints **out,
                       struct hf_error *error) {
    return library_wait(list(h, owner, session, after, limit, false), (void **)out, error);
}

int hf_checkpoint_list_async(struct hf_history *h, const char *owner, const char *session,
                             const char *after, size_t limit, hf_done_fn done, void *ctx,
                             struct hf_error *error) {
    return library_start(list(h, owner, session, after, limit, true), done, ctx, error);
}

/* --- rollback --- */

static int run_rollback(struct library_call *c) {
    return history_checkpoint_rollback(c->h->history, &c->key, c->named.id, &c->err);
}

static struct library_call *rollback(struct hf_history *h, const char *owner, const char *session,
                                     const char *id, bool async) {
    struct library_call *c = library_call_new(h, run_rollback, 0, async);
    library_take_key(c, owner, session);
    if (!id)
        library_fault(c, ERR_INVALID, "id: is required");
    take_id(c, id, "id", &c->named.id);
    return c;
}

int hf_checkpoint_rollback(struct hf_history *h, const char *owner, const char *session,
                           const char *id, struct hf_error *error) {
    return library_wait(rollback(h, owner, session, id, false), NULL, error);
}

int hf_checkpoint_rollback_async(struct hf_history *h, const char *owner, const char *session,
                                 const char *id, hf_done_fn done, void *ctx,
                                 struct hf_error *error) {
    return library_start(rollback(h, owner, session, id, true), done, ctx, error);
}
