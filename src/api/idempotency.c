/* SPDX-License-Identifier: Apache-2.0 */
/* idempotency.c - Idempotency-Key: a request that comes again gets the first answer.
 *
 *   key under way in this process ─▶ 409          key stored, same request  ─▶ the stored answer
 *   key free ─▶ the handler, whose batch          key stored, other request ─▶ 422
 *     creates the object and stores the key ─▶ another process was first: as stored
 *
 * The key is stored by the very batch that creates, so a process that dies leaves both or neither;
 * nothing "under way" outlives it. An answer that created nothing (an error, an object that was
 * there) is not kept: asking again can do no harm. What a stream or a wait answers is not a text
 * but a run, and the repeated request reads that run's log.
 *
 * A new creating route needs the policy `create` in spec/routes.def and a call of
 * api_keyed_add in the batch that creates. */
#include "api/api_int.h"
#include "api/runs_int.h"
#include "base/hash.h"
#include "base/hex.h"
#include "engine/engine.h"
#include "plans/plans.h"

#define KEY_BYTES_MAX 255

struct api_keyed {
    str key;     /* as the client gave it */
    str request; /* hex digest of what is asked */
    str flight;  /* owner and key */
    str answer;  /* the text that was stored; absent: none */
};

static void append(struct buf *b, str s) { buf_append(b, s.p, s.len); }

static str request_digest(struct api_request *r) {
    struct buf b;
    unsigned char digest[HASH_SHA256_BYTES];
    buf_init(&b, SIZE_MAX / 2);
    append(&b, http_method_name(r->http->method));
    append(&b, STR(" "));
    append(&b, r->http->target);
    append(&b, STR("\n"));
    append(&b, r->http->body);
    hash_sha256(buf_view(&b), digest);
    buf_deinit(&b);
    return hex_text(r->arena, digest, sizeof(digest));
}

static int read_key(struct api_request *r, str text, struct api_keyed *out, struct err *err) {
    if (text.len == 0 || text.len > KEY_BYTES_MAX)
        return err_set(err, ERR_INVALID, "Idempotency-Key: must have 1 to %d characters",
                       KEY_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return err_set(err, ERR_INVALID, "Idempotency-Key: must be printable ASCII");
    out->key = text;
    out->request = request_digest(r);
    out->flight =
        arena_printf(r->arena, STR_FMT "\n" STR_FMT, STR_ARG(text), STR_ARG(r->who.owner));
    return 0;
}

void api_keyed_add(struct api_request *r, struct db_batch *b, str body, struct id thread_id,
                   struct id run_id) {
    struct api_keyed *k = r->keyed;
    if (!k)
        return;
    k->answer = body;
    idempotency_add(b, &r->who,
                    &(struct idempotency){.key = k->key,
                                          .request = k->request,
                                          .body = body,
                                          .thread_id = thread_id,
                                          .run_id = run_id},
                    rt_now_us(fiber_rt()));
}

str api_keyed_answer(const struct api_request *r) { return r->keyed ? r->keyed->answer : STR_NULL; }

static int answer_again(struct api_request *r, const struct idempotency *i, struct err *err) {
    http_reply_header(r->http, STR("Idempotency-Replayed"), STR("true"));
    if (str_eq(str_of(r->match.route->path), STR("/plans/runs")))
        plans_note_repeated(api_options_of(r->api)->plans, i->thread_id);
    if (i->body.len == 0 && id_is_nil(i->run_id)) {
        struct thread t;
        int rc = thread_get(r->store, &r->who, i->thread_id, r->arena, &t, err);
        return rc < 0 ? rc : api_reply_thread(r, &t, err);
    }
    if (i->body.len == 0)
        return run_answer_again(r, i->thread_id, i->run_id, err);
    if (!id_is_nil(i->run_id)) {
        struct run run = {.id = i->run_id, .thread_id = i->thread_id};
        run_headers(r, &run, NULL);
    }
    return api_reply_text(r, 200, i->body);
}

static int find(struct api_request *r, bool *out_found, struct idempotency *out, struct err *err) {
    int rc = idempotency_get(r->store, &r->who, r->keyed->key, rt_now_us(fiber_rt()), r->arena,
                             out_found, out, err);
    if (rc == 0 && *out_found && !str_eq(out->request, r->keyed->request))
        rc = err_set(err, ERR_INVALID,
                     "This Idempotency-Key was used for another request, with another address or "
                     "body.");
    return rc;
}

/* 1: it was answered; 0: the key is free. */
static int look(struct api_request *r, struct err *err) {
    struct idempotency i;
    bool found = false;
    int rc = find(r, &found, &i, err);
    if (rc < 0 || !found)
        return rc;
    rc = answer_again(r, &i, err);
    return rc < 0 ? rc : 1;
}

int api_keyed_handle(struct api_request *r, str key, api_handler_fn handler, struct map *flights,
                     struct err *err) {
    struct api_keyed keyed = {0};
    int rc = read_key(r, key, &keyed, err);
    if (rc < 0)
        return rc;
    if (map_get(flights, keyed.flight))
        return err_set(err, ERR_REPEATED, "%s", err_text(ERR_REPEATED));
    map_put(flights, keyed.flight, r);
    r->keyed = &keyed;
    rc = look(r, err);
    if (rc == 0)
        rc = handler(r, err);
    if (rc == ERR_REPEATED) { /* another process was faster */
        rc = look(r, err);
        if (rc == 0)
            rc = err_set(err, ERR_REPEATED, "%s", err_text(ERR_REPEATED));
    }
    map_remove(flights, keyed.flight);
    r->keyed = NULL;
    return rc < 0 ? rc : 0;
}
