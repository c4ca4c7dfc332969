/* SPDX-License-Identifier: Apache-2.0 */
/* truncate.c - POST /internal/truncate: developers begin anew.
 *
 * Each member of the body that is true clears one kind of things, whosever they are: runs, threads,
 * assistants (but the server's own), checkpointer (or checkpoint: the states of threads), store,
 * agent_logs, histories (of the database), inbox, plan_templates, preferences, projects (with
 * settings), webhooks (with what is to be told).
 * Only with --dev, and only for those on the same machine; for others the route is not there. A
 * page of another site is refused, as its requests come from this machine, too.
 *
 * Runs are stopped before anything of their thread goes, and who reads its streams is told. What
 * begins while the request works may stay. */
#include "store/truncate.h"

#include "api/api_int.h"
#include "engine/engine.h"

#define TRIES_MAX 20 /* to find a thread between two runs */

struct kinds {
    bool runs, threads, assistants, states, store;
};
/* Those that nothing runs of. */
static const struct {
    const char *name;
    int (*clear)(struct store *s, struct err *err);
} PLAIN[] = {{"agent_logs", truncate_agent_logs},
             {"histories", truncate_histories},
             {"inbox", truncate_inbox},
             {"plan_templates", truncate_plan_templates},
             {"preferences", truncate_preferences},
             {"projects", truncate_projects},
             {"webhooks", truncate_webhooks}};

static int forget_states(struct api_request *r, struct id id, struct arena *a, struct err *err) {
    int rc = ERR_CONFLICT;
    for (int i = 0; rc == ERR_CONFLICT && i < TRIES_MAX; i++) {
        struct principal server = {.all = true};
        struct thread t;
        err_reset(err);
        rc = truncate_states(r->store, id, a, err);
        if (rc != ERR_CONFLICT)
            break;
        err_reset(err);
        rc = thread_get(r->store, &server, id, a, &t, err);
        if (rc == 0) {
            engine_stop_thread(r->engine, id, true);
            rc = ERR_CONFLICT;
        }
    }
    return rc;
}

static int clear_thread(struct api_request *r, const struct kinds *k,
                        const struct truncate_thread *t, struct arena *a, struct err *err) {
    struct principal server = {.all = true};
    int rc = 0;
    engine_stop_thread(r->engine, t->id, t->busy);
    if (k->threads)
        rc = thread_delete(r->store, &server, t->id, a, err);
    else if (k->states)
        rc = forget_states(r, t->id, a, err);
    hub_thread_gone(engine_hub(r->engine), t->id);
    if (rc == ERR_NOT_FOUND) { /* of a temporary run, which took it along */
        err_reset(err);
        rc = 0;
    }
    return rc;
}

static int clear_threads(struct api_request *r, const struct kinds *k, struct err *err) {
    struct truncate_page *page = arena_alloc(r->arena, sizeof(*page));
    struct arena a;
    int rc;
    *page = (struct truncate_page){.after = ID_NIL};
    arena_init(&a, SIZE_MAX / 2);
    do {
        arena_reset(&a);
        rc = truncate_walk(r->store, &a, page, err);
        for (size_t i = 0; rc == 0 && i < page->count; i++) {
            arena_reset(&a);
            rc = clear_thread(r, k, &page->threads[i], &a, err);
        }
    } while (rc == 0 && page->count == TRUNCATE_PAGE);
    arena_deinit(&a);
    return rc;
}

static int clear(struct api_request *r, const struct kinds *k, struct err *err) {
    int rc = k->runs || k->threads || k->states ? clear_threads(r, k, err) : 0;
    if (rc == 0 && (k->runs || k->threads))
        rc = truncate_runs(r->store, err);
    if (rc == 0 && k->threads)
        rc = truncate_rest_of_threads(r->store, err);
    if (rc == 0 && k->states)
        rc = truncate_loose_states(r->store, err);
    if (rc == 0 && k->assistants)
        rc = truncate_assistants(r->store, err);
    return rc == 0 && k->store ? truncate_items(r->store, err) : rc;
}

int api_internal_truncate(struct api_request *r, struct err *err) {
    struct body b;
    struct kinds k;
    bool plain[ARRAY_COUNT(PLAIN)];
    if (!api_options_of(r->api)->dev || !http_peer_is_local(r->http))
        return err_set(err, ERR_NOT_FOUND, "Not Found");
    if (!api_origin_is_fine(r))
        return err_set(err, ERR_FORBIDDEN, "Pages of other sites may not do this");
    body_init(&b, r->arena, r->body);
    k.runs = body_bool(&b, "runs", false);
    k.threads = body_bool(&b, "threads", false);
    k.assistants = body_bool(&b, "assistants", false);
    k.states = body_bool(&b, "checkpointer", false);
    k.states = body_bool(&b, "checkpoint", false) || k.states;
    k.store = body_bool(&b, "store", false);
    for (size_t i = 0; i < ARRAY_COUNT(PLAIN); i++)
        plain[i] = body_bool(&b, PLAIN[i].name, false);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = clear(r, &k, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(PLAIN); i++)
        rc = plain[i] ? PLAIN[i].clear(r->store, err) : 0;
    return rc < 0 ? rc : api_reply_text(r, 200, STR("{\"ok\":true}"));
}
