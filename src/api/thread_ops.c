/* SPDX-License-Identifier: Apache-2.0 */
/* thread_ops.c - the handlers that deal with a thread as a whole: copy, storage, prune.
 *
 * The work is the database's (store/thread_ops.h); here requests are read and answers written.
 * docs/internals/threads.md says what each operation promises. */
#include "store/thread_ops.h"

#include "api/api_int.h"
#include "engine/engine.h"
#include "store/thread_prune.h"

#define PRUNE_IDS_MAX 1000

struct copy_answer {
    struct api_request *r;
    struct id id;
};

/* The repeated request is answered with the copy as it is by then: its values may be large. */
static void keep_copy(void *ctx, struct db_batch *b, int64_t now_us) {
    const struct copy_answer *answer = ctx;
    (void)now_us;
    api_keyed_add(answer->r, b, STR(""), answer->id, ID_NIL);
}

int api_thread_copy(struct api_request *r, struct err *err) {
    struct id source, id = id_v7();
    struct thread t;
    struct copy_answer answer = {r, id};
    struct store_rider rider = {keep_copy, &answer};
    struct store store = *r->store;
    store.with = r->keyed ? &rider : NULL;
    int rc = api_param_id(r, 0, &source, err, "Thread not found");
    if (rc == 0)
        rc = thread_copy(&store, &r->who, source, id, true, r->arena, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_CONFLICT, "Thread not found");
    if (rc == 0)
        rc = thread_get(r->store, &r->who, id, r->arena, &t, err);
    return rc < 0 ? rc : api_reply_thread(r, &t, err);
}

static void write_part(struct json_writer *w, const char *key, const struct storage_part *p) {
    jw_key(w, key);
    jw_object(w);
    jw_key(w, "count");
    jw_i64(w, p->count);
    jw_key(w, "bytes");
    jw_i64(w, p->bytes);
    jw_object_end(w);
}

static void write_values(struct json_writer *w, const struct thread_storage *t) {
    jw_key(w, "channel_values");
    jw_object(w);
    jw_key(w, "count");
    jw_i64(w, t->values.count);
    jw_key(w, "bytes");
    jw_i64(w, t->values.bytes);
    jw_key(w, "by_channel");
    jw_object(w);
    for (size_t i = 0; i < t->channel_count; i++) {
        jw_key_str(w, t->channels[i].name);
        jw_object(w);
        jw_key(w, "versions");
        jw_i64(w, t->channels[i].part.count);
        jw_key(w, "bytes");
        jw_i64(w, t->channels[i].part.bytes);
        jw_object_end(w);
    }
    jw_object_end(w);
    jw_object_end(w);
}

/* log and runs are this server's own parts of the answer; total_bytes has them, too. */
int api_thread_storage(struct api_request *r, struct err *err) {
    struct thread t;
    struct thread_storage s;
    int rc = api_param_thread(r, &t, err);
    if (rc == 0)
        rc = thread_storage(r->store, t.id, r->arena, &s, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "thread_id");
    api_write_id(&w, t.id);
    jw_key(&w, "total_bytes");
    jw_i64(&w, s.checkpoints.bytes + s.values.bytes + s.writes.bytes + s.log.bytes + s.runs.bytes);
    write_part(&w, "checkpoints", &s.checkpoints);
    write_values(&w, &s);
    write_part(&w, "pending_writes", &s.writes);
    write_part(&w, "log", &s.log);
    write_part(&w, "runs", &s.runs);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- prune --- */

/* Each id once. */
static struct id *prune_ids(struct body *b, size_t *out_count) {
    yyjson_val *list = body_str_array(b, "thread_ids"), *item;
    size_t i, count, n = 0;
    if (!list)
        body_fault(b, "thread_ids", "is required");
    if (yyjson_arr_size(list) > PRUNE_IDS_MAX) {
        body_fault(b, "thread_ids", "at most %d", PRUNE_IDS_MAX);
        list = NULL;
    }
    struct id *ids = ARENA_ARRAY(b->a, struct id, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) {
        bool known = false;
        if (!id_parse(json_str(item), &ids[n])) {
            body_fault(b, "thread_ids", "must be UUIDs");
            break;
        }
        for (size_t k = 0; k < n && !known; k++)
            known = id_eq(ids[k], ids[n]);
        n += !known;
    }
    *out_count = n;
    return ids;
}

int api_thread_prune_one(struct api_request *r, struct id id, int strategy, struct arena *a,
                         struct err *err) {
    static const struct prune_policy latest = {.count = 1, .thorough = true};
    struct thread t;
    int64_t removed;
    int rc = thread_get(r->store, &r->who, id, a, &t, err);
    if (rc < 0)
        return rc;
    if (strategy == PRUNE_KEEP_LATEST)
        return thread_prune(r->store, &t, &latest, a, &removed, err);
    rc = thread_delete_idle(r->store, &t, a, err);
    if (rc == 0)
        hub_thread_gone(engine_hub(r->engine), id);
    return rc;
}

/* What is not there, is somebody else's or has a live run is left out of the count. */
int api_threads_prune(struct api_request *r, const struct id *ids, size_t count, int strategy,
                      struct err *err) {
    struct arena each;
    size_t pruned = 0;
    int rc = 0;
    arena_init(&each, SIZE_MAX / 2);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        arena_reset(&each);
        rc = api_thread_prune_one(r, ids[i], strategy, &each, err);
        pruned += rc == 0;
        if (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT) {
            err_reset(err);
            rc = 0;
        }
    }
    arena_deinit(&each);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "pruned_count");
    jw_i64(&w, (int64_t)pruned);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_thread_prune(struct api_request *r, struct err *err) {
    struct body b;
    size_t count;
    body_init(&b, r->arena, r->body);
    struct id *ids = prune_ids(&b, &count);
    int strategy = body_enum(&b, "strategy", &PRUNE_STRATEGY_WORDS, PRUNE_DELETE);
    int rc = body_done(&b, err);
    return rc < 0 ? rc : api_threads_prune(r, ids, count, strategy, err);
}
