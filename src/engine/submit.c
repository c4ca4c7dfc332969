/* SPDX-License-Identifier: Apache-2.0 */
/* submit.c - accepts a run: reads the request, merges the configuration, decides what a busy thread
 * means, commits.
 *
 * A run whose thread is free begins at once: one batch holds thread, run, input checkpoints and the
 * first log entries, and the run is running when it is accepted. Otherwise the run is stored as
 * pending and waits in its thread's slot. Configuration layers, later ones win: assistant, its
 * context, thread, run, its context, x-* headers, then the server's own keys. */
#include "engine/submit_int.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "engine/crons.h"
#include "store/preferences.h"

/* How often another worker's run may take the thread just before. */
#define SLOT_TRIES_MAX 8
/* When a client that was refused for now may ask again. */
#define RETRY_AFTER_MS 1000

/* --- configuration --- */

static str member(struct arena *a, yyjson_val *obj, const char *key) {
    yyjson_val *v = json_get(obj, key);
    return yyjson_is_obj(v) ? json_text(a, v) : STR("{}");
}

static yyjson_val *parse_object(struct arena *a, str text) {
    yyjson_val *v = NULL;
    if (!text.p || json_parse(a, text, &v, NULL) < 0)
        return NULL;
    return v;
}

/* Who runs it, in every name that a graph may look under: no client's words stand there. */
static void write_identity(struct json_writer *w, str owner) {
    static const char *const names[] = {"user_id", "owner", "langgraph_auth_user_id"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        jw_key(w, names[i]);
        jw_str(w, owner);
    }
    jw_key(w, "langgraph_auth_user");
    jw_object(w);
    jw_key(w, "identity");
    jw_str(w, owner);
    jw_key(w, "display_name");
    jw_str(w, owner);
    jw_key(w, "is_authenticated");
    jw_bool(w, true);
    jw_object_end(w);
    jw_key(w, "langgraph_auth_permissions");
    jw_array(w);
    jw_array_end(w);
}

static str server_keys(struct live_run *run, const struct assistant *assistant, str preferences) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    struct arena *a = &run->arena;
    jw_object(&w);
    jw_key(&w, "run_id");
    jw_str(&w, id_dashed(a, run->row.id));
    jw_key(&w, "thread_id");
    jw_str(&w, id_dashed(a, run->row.thread_id));
    jw_key(&w, "graph_id");
    jw_str(&w, assistant->graph_id);
    jw_key(&w, "assistant_id");
    jw_str(&w, id_dashed(a, assistant->id));
    if (run->owner.len)
        write_identity(&w, run->owner);
    if (preferences.p) {
        jw_key(&w, "preferences");
        jw_raw(&w, preferences);
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

static str without_nested(struct arena *a, yyjson_val *config) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_iter it = yyjson_obj_iter_with(config);
    for (yyjson_val *k; yyjson_is_obj(config) && (k = yyjson_obj_iter_next(&it)) != NULL;) {
        str key = json_str(k);
        if (str_eq(key, STR("configurable")) || str_eq(key, STR("metadata")))
            continue;
        jw_key_str(&w, key);
        jw_val(&w, yyjson_obj_iter_get_val(k));
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

/* context is the newer name of configurable. It is the run's only: a thread keeps none. */
static str with_contexts(struct arena *a, str configurable, yyjson_val *const layers[3],
                         str assistant, str run) {
    if (assistant.len <= 2 && run.len <= 2)
        return configurable;
    str all = json_merge(a, member(a, layers[0], "configurable"), assistant);
    all = json_merge(a, all, member(a, layers[1], "configurable"));
    all = json_merge(a, all, member(a, layers[2], "configurable"));
    return json_merge(a, all, run);
}

/* Absent, when there are none but those of the configuration: these stay as they are. */
static str preferences_of(struct live_run *run, const struct run_submit *s,
                          const struct run_context *ctx) {
    struct arena *a = &run->arena;
    if (!preference_any(run->engine->store, ctx))
        return STR_NULL;
    str request = json_merge(a, member(a, json_get(s->body, "config"), "configurable"),
                             member(a, s->body, "context"));
    return preference_of_context(run->engine->store, ctx,
                                 preference_of_assistant(a, &ctx->assistant),
                                 preference_of_configurable(a, request), a);
}

static void merge(struct live_run *run, const struct run_submit *s, const struct run_context *ctx,
                  struct run_merged *out) {
    struct arena *a = &run->arena;
    yyjson_val *layers[] = {parse_object(a, ctx->assistant.config),
                            ctx->has_thread ? parse_object(a, ctx->thread.config) : NULL,
                            json_get(s->body, "config")};
    str configurable = STR("{}"), top = STR("{}"), config_metadata = STR("{}");
    for (size_t i = 0; i < ARRAY_COUNT(layers); i++) {
        if (!layers[i] || yyjson_obj_size(layers[i]) == 0)
            continue;
        configurable = json_merge(a, configurable, member(a, layers[i], "configurable"));
        config_metadata = json_merge(a, config_metadata, member(a, layers[i], "metadata"));
        top = json_merge(a, top, without_nested(a, layers[i]));
    }
    str full = with_contexts(a, configurable, layers, ctx->assistant.context,
                             member(a, s->body, "context"));
    if (s->header_configurable.p) {
        configurable = json_merge(a, configurable, s->header_configurable);
        full = json_merge(a, full, s->header_configurable);
    }
    run_take_token(run, full);
    configurable = run_without_secrets(a, configurable);
    str shown = run_without_secrets(a, full), preferences = preferences_of(run, s, ctx),
        own_keys = server_keys(run, &ctx->assistant, preferences);
    out->configurable = configurable;
    out->run_configurable = json_merge(a, shown, own_keys);
    full = run_without_token(a, full);
    if (!str_eq(full, shown))
        run->whole_configurable = json_merge(a, full, own_keys);
    out->top = top;
    out->under = json_merge(a, ctx->assistant.metadata, store_metadata(a, config_metadata));
    str metadata = out->under;
    if (ctx->has_thread)
        metadata = json_merge(a, metadata, ctx->thread.metadata);
    str own =
        arena_printf(a, "{\"graph_id\":\"" STR_FMT "\",\"assistant_id\":\"" STR_FMT "\"}",
                     STR_ARG(ctx->assistant.graph_id), STR_ARG(id_dashed(a, ctx->assistant.id)));
    out->over = json_merge(a, store_metadata(a, member(a, s->body, "metadata")), own);
    out->metadata = json_merge(a, metadata, out->over);
    out->config =
        configurable.len > 2
            ? json_merge(a, top,
                         arena_printf(a, "{\"configurable\":" STR_FMT "}", STR_ARG(configurable)))
            : top;
}

static void copy_member(struct json_writer *w, yyjson_val *body, const char *key) {
    yyjson_val *v = json_get(body, key);
    if (!v || yyjson_is_null(v))
        return;
    jw_key(w, key);
    jw_val(w, v);
}

static void write_checkpoint(struct json_writer *w, yyjson_val *at) {
    static const char *const keys[] = {"checkpoint_id", "checkpoint_ns", "checkpoint_map"};
    if (!json_get(at, keys[0]) && !json_get(at, keys[2]))
        return;
    jw_key(w, "checkpoint");
    jw_object(w);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        copy_member(w, at, keys[i]);
    jw_object_end(w);
}

static str kwargs_text(struct live_run *run, const struct run_submit *s,
                       const struct run_context *ctx, const struct run_merged *m) {
    struct arena *a = &run->arena;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "input");
    jw_val(&w, json_get(s->body, "input"));
    jw_key(&w, "config");
    jw_object(&w);
    if (m->top.len > 2)
        jw_raw(&w, str_slice(m->top, 1, m->top.len - 1));
    jw_key(&w, "configurable");
    jw_raw(&w, m->run_configurable);
    jw_key(&w, "metadata");
    jw_raw(&w, m->metadata);
    jw_object_end(&w);
    jw_key(&w, "context");
    str context = json_merge(a, ctx->assistant.context, member(a, s->body, "context"));
    jw_raw(&w, run_without_secrets(a, context));
    jw_key(&w, "stream_mode");
    stream_modes_write(&w, run->modes);
    write_checkpoint(&w, run_request_checkpoint(s->body));
    static const char *const own[] = {"command", "checkpoint_id", "durability", "checkpoint_during",
                                      "strict_resume"};
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        copy_member(&w, s->body, own[i]);
    copy_member(&w, s->body, "interrupt_before");
    copy_member(&w, s->body, "interrupt_after");
    copy_member(&w, s->body, "feedback_keys");
    copy_member(&w, s->body, "webhook");
    copy_member(&w, s->body, "a2a"); /* so others may be told of its end: outbox.c */
    spans_kwargs_write(&w, s->trace);
    jw_key(&w, "temporary");
    jw_bool(&w, run->temporary);
    if (run->kept) {
        jw_key(&w, "kept");
        jw_bool(&w, true);
    }
    jw_key(&w, "subgraphs");
    jw_bool(&w, yyjson_get_bool(json_get(s->body, "stream_subgraphs")));
    jw_key(&w, "resumable");
    jw_bool(&w, yyjson_get_bool(json_get(s->body, "stream_resumable")));
    jw_object_end(&w);
    return arena_take(a, &b);
}

void run_prepare(struct live_run *run, const struct run_submit *s, const struct run_context *ctx,
                 struct run_merged *out) {
    merge(run, s, ctx, out);
    run->row.metadata = out->metadata;
    run->row.kwargs = kwargs_text(run, s, ctx, out);
    run->row.assistant_id = ctx->assistant.id;
}

/* sync and async mean the same here: a step is stored before the next one begins. */
static bool stores_at_exit(yyjson_val *kwargs) {
    str word = json_str(json_get(kwargs, "durability"));
    yyjson_val *during = json_get(kwargs, "checkpoint_during");
    return str_eq(word, STR("exit")) || (!word.p && yyjson_is_false(during));
}

int live_run_read_kwargs(struct live_run *run, struct err *err) {
    struct engine *e = run->engine;
    struct arena *a = &run->arena;
    int rc = json_parse(a, run->row.kwargs, &run->kwargs, err);
    if (rc < 0)
        return rc;
    yyjson_val *config = json_get(run->kwargs, "config");
    run->configurable = json_get(config, "configurable");
    if (run->whole_configurable.p)
        rc = json_parse(a, run->whole_configurable, &run->configurable, err);
    if (rc < 0)
        return rc;
    run->temporary = yyjson_get_bool(json_get(run->kwargs, "temporary"));
    run->kept = yyjson_get_bool(json_get(run->kwargs, "kept"));
    run->subgraphs = yyjson_get_bool(json_get(run->kwargs, "subgraphs"));
    run->exit_only = stores_at_exit(run->kwargs);
    spans_run_read(run);
    rc = stream_modes_read(json_get(run->kwargs, "stream_mode"), STREAM_VALUES, &run->modes, err);
    if (rc < 0)
        return rc;
    str graph_id = json_str(json_get(run->configurable, "graph_id"));
    if (!run->def) {
        run->def = graph_library_find(e->library, graph_id);
        if (run->def)
            graph_def_ref(run->def);
    }
    if (!run->def)
        return err_set(err, ERR_NOT_FOUND, "Graph \"" STR_FMT "\" is not known to this server",
                       STR_ARG(graph_id));
    str metadata = run->row.metadata;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    if (metadata.len > 2)
        jw_raw(&w, str_slice(metadata, 1, metadata.len - 1));
    jw_key(&w, "run_attempt");
    jw_i64(&w, run->row.attempt);
    jw_key(&w, "langgraph_version");
    jw_z(&w, HF_VERSION);
    jw_key(&w, "langgraph_plan");
    jw_z(&w, "developer");
    jw_key(&w, "langgraph_host");
    jw_z(&w, "self-hosted");
    jw_key(&w, "langgraph_api_url");
    jw_z(&w, e->o.api_url);
    run->metadata_members = arena_take(a, &b);
    if (run->compiled) /* read when it was accepted; a run that waited keeps what it got */
        return 0;
    int64_t t0 = clock_mono_us();
    rc = registry_compile(e->registry, run->def, run->configurable, &run->compiled, err);
    metric_observe_us(e->metrics.phase_build, clock_mono_us() - t0);
    return rc;
}

/* --- accepting --- */

struct accept {
    const struct run_submit *submit;
    struct live_run *run;
};

static void on_durable(void *ctx) {
    struct accept *a = ctx;
    if (a->submit->accepted)
        a->submit->accepted(a->submit->ctx, a->run);
}

static size_t tell(void *ctx, struct db_batch *b, int64_t log_count) {
    const struct accept *a = ctx;
    return a->submit->tell(a->submit->ctx, b, log_count);
}

/* The first tasks only ask a model, or know what may not begin yet: they need not wait for the
 * disk. */
static void start_early(struct live_run *run) {
    if (!live_run_may_start_early(run))
        return;
    live_run_ref(run); /* the engine's */
    run->state = LIVE_RUNNING;
    run->early = fiber_spawn(run->engine->rt, "run", live_run_execute, run, NULL) != NULL;
    if (!run->early) {
        run->state = LIVE_NEW;
        live_run_unref(run);
    }
}

static void begin_is_over(struct live_run *run, int rc) {
    if (!run->early) {
        if (rc < 0)
            live_run_leave_topic(run);
        return;
    }
    run->begin_rc = rc;
    run->begin_over = true;
    if (rc < 0) {
        run->cancel = true;
        if (run->fiber)
            fiber_cancel(run->fiber);
    }
    LIST_EACH (&run->begin_waiters, n)
        fiber_unpark(LIST_ENTRY(n, struct begin_waiter, node)->fiber);
}

/* Its row is made as it takes the thread. What others put into the batch may refer to the row,
 * which then stands before that. */
static bool begins_whole(const struct live_run *run, const struct run_submit *s) {
    return !s->join_batch && run_begins_whole(run->engine->store);
}

/* The thread is made with its run, in the statement of its begin. */
static bool makes_first(const struct run_submit *s, const struct run_context *ctx) {
    return !ctx->has_thread && !s->join_refers;
}

static struct thread_new thread_of_run(const struct live_run *run, const struct run_merged *m) {
    return (struct thread_new){run->row.thread_id, m->metadata, m->config,
                               run->engine->store->thread_ttl};
}

int run_accept_rows(struct live_run *run, const struct run_submit *s, const struct run_context *ctx,
                    const struct run_merged *m, bool direct, struct db_batch *b, struct err *err) {
    struct engine *e = run->engine;
    bool first = direct && makes_first(s, ctx); /* both come with the run's begin */
    if (!ctx->has_thread && !first) {
        struct thread_new n = thread_of_run(run, m);
        thread_insert_add(b, s->who, &n, rt_now_us(e->rt));
    }
    run->row.status = direct ? RUN_RUNNING : RUN_PENDING;
    run->row.attempt = direct ? 1 : 0;
    int rc = live_run_read_kwargs(run, err);
    if (rc < 0)
        return rc;
    if (!first && !(direct && begins_whole(run, s)))
        run_insert_add(b, &run->row, run->worker);
    (void)preference_override_renew_add(e->store, s->who, run->row.thread_id, ctx,
                                        run->row.created_at, b);
    run->row.status = RUN_PENDING; /* what the client is told: it was just created */
    return 0;
}

struct log_entry run_queued_entry(const struct live_run *run) {
    return (struct log_entry){.run_id = run->row.id,
                              .kind = LOG_QUEUED,
                              .at = rt_now_us(run->engine->rt),
                              .data = STR("{}")};
}

struct thread_merge run_thread_merge(const struct run_context *ctx, const struct run_merged *m) {
    return (struct thread_merge){.read = ctx->has_thread ? ctx->thread.metadata : m->metadata,
                                 .metadata = m->metadata,
                                 .under = m->under,
                                 .over = m->over,
                                 .config = m->config};
}

struct queue_row {
    const struct live_run *run;
    const struct thread_merge *merge;
};

static size_t queue_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct queue_row *row = ctx;
    return thread_queue_add(b, row->run->row.thread_id, row->merge, count,
                            rt_now_us(row->run->engine->rt));
}

static void add_steps(const struct live_run *run, const struct run_submit *s, struct begin *begin) {
    if (!s->steps.p)
        return;
    ASSERT(begin->entry_count < ARRAY_COUNT(begin->entries));
    int64_t now = rt_now_us(run->engine->rt);
    begin->entries[begin->entry_count++] = (struct hub_entry){
        .entry = {.run_id = run->row.id, .kind = LOG_STEPS, .at = now, .data = s->steps}};
}

static int commit_new(struct live_run *run, const struct run_submit *s,
                      const struct run_context *ctx, const struct run_merged *m, bool direct,
                      struct arena *a, struct err *err) {
    struct engine *e = run->engine;
    struct db_batch b;
    struct begin begin = {0};
    db_batch_init(&b, a);
    int rc = run_accept_rows(run, s, ctx, m, direct, &b, err);
    if (rc < 0)
        return rc;
    if (s->join_batch)
        s->join_batch(s->ctx, run, &b);
    if (direct && s->give)
        run->given = s->give(s->ctx, &run->arena);
    if (direct)
        rc = live_run_begin(run, &ctx->thread, &b, &begin, err);
    else
        begin = (struct begin){.entries = {{.entry = run_queued_entry(run)}}, .entry_count = 1};
    if (rc < 0)
        return rc;
    add_steps(run, s, &begin);
    struct thread_merge merge = run_thread_merge(ctx, m);
    struct thread_new thread = thread_of_run(run, m);
    struct run_first first = {s->who, &thread, &run->row, run->worker, run->made_id};
    struct begin_row row = {.run = run,
                            .merge = &merge,
                            .first = makes_first(s, ctx) ? &first : NULL,
                            .head = ctx->head,
                            .checkpoint_id = run->made_id,
                            .fresh = begins_whole(run, s)};
    struct queue_row queued = {run, &merge};
    struct log_counter counter = {queue_counter, &queued};
    struct run_hold hold = live_run_hold(run);
    if (direct) {
        counter = (struct log_counter){begin_counter, &row};
        hub_topic_hold(run->topic, &hold);
        run->topic_held = true;
    }
    struct accept accept = {.submit = s, .run = run};
    struct hub_append append = {.thread_id = run->row.thread_id,
                                .batch = &b,
                                .entries = begin.entries,
                                .count = begin.entry_count,
                                .counter = &counter,
                                .held = direct,
                                .tell = s->tell ? tell : NULL,
                                .after_commit = on_durable,
                                .ctx = &accept};
    rc = FAILPOINT("engine.begin.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint engine.begin.before_commit");
    if (direct)
        start_early(run);
    rc = hub_commit(e->hub, &append, err);
    if (rc == 0)
        (void)FAILPOINT("engine.begin.after_commit"); /* for crashes: it is durable */
    if (rc == 0 && direct && !run->root.unsaved)
        state_mark_stored(&run->root.view);
    begin_is_over(run, rc);
    return rc;
}

static int thread_unknown(struct live_run *run, struct err *err) {
    return err_set(err, ERR_NOT_FOUND, "Thread with ID " STR_FMT " not found",
                   STR_ARG(id_dashed(&run->arena, run->row.thread_id)));
}

int run_context_check(const struct run_submit *s, const struct run_request *q, struct live_run *run,
                      const struct run_context *ctx, struct err *err) {
    if (!ctx->has_assistant)
        return err_set(err, ERR_NOT_FOUND,
                       "No assistant found for \"" STR_FMT
                       "\". Make sure the assistant ID is for a "
                       "valid assistant or a valid graph ID.",
                       STR_ARG(s->assistant_name));
    if (!ctx->has_thread && !q->stateless && q->if_not_exists == IF_NOT_EXISTS_REJECT)
        return thread_unknown(run, err);
    return 0;
}

/* The thread is taken: what the strategy makes of it. owned: it is there and the principal's;
 * otherwise only runs of this process are known to be. */
static int make_way(struct engine *e, struct id thread_id, const struct run_request *q, bool owned,
                    struct err *err) {
    if (q->multitask == MULTITASK_REJECT)
        return err_set(err, ERR_CONFLICT,
                       "Thread is already running a task. Wait for it to finish or choose a "
                       "different multitask strategy.");
    if (q->multitask == MULTITASK_ENQUEUE)
        return 0;
    enum cancel_action action =
        q->multitask == MULTITASK_ROLLBACK ? CANCEL_ROLLBACK : CANCEL_INTERRUPT;
    struct slot *slot;
    for (;;) {
        slot = slot_of(e, thread_id);
        struct list *n = slot ? list_first(&slot->queue) : NULL;
        struct live_run *victim = n ? LIST_ENTRY(n, struct live_run, node) : NULL;
        if (!victim)
            break;
        live_run_ref(victim);
        int rc = live_run_cancel(victim, action, STR("multitask"), err);
        live_run_unref(victim);
        if (rc < 0 && rc != ERR_CONFLICT)
            return rc;
    }
    int rc = 0;
    if (slot && slot->running && slot->running->state == LIVE_RUNNING)
        rc = live_run_cancel(slot->running, action, STR("multitask"), err);
    return rc < 0 || !owned ? rc : cancel_others(e, thread_id, action, STR("multitask"), err);
}

static bool slot_is_foreign(const struct slot *slot, const struct principal *who) {
    if (slot->running && !str_eq(slot->running->owner, who->owner))
        return true;
    LIST_EACH (&slot->queue, n) {
        if (!str_eq(LIST_ENTRY(n, struct live_run, node)->owner, who->owner))
            return true;
    }
    return false;
}

/* The thread turned out to be taken by another worker's run: this one has to queue. */
static void step_back(struct live_run *run, struct slot *slot) {
    slot->running = NULL;
    run->engine->running--;
    slot->arriving++;
}

static int accept_known(struct live_run *run, const struct run_submit *s,
                        const struct run_context *ctx, bool direct, struct err *err) {
    struct run_merged m;
    run_prepare(run, s, ctx, &m);
    /* The database fills the batch's arena while a run that started early fills its own. */
    struct arena batch;
    arena_init(&batch, RUN_ARENA_BYTES_MAX);
    int rc = commit_new(run, s, ctx, &m, direct, &batch, err);
    arena_deinit(&batch);
    if (rc == ERR_UNAVAILABLE) /* it may be stored all the same */
        engine_look_for_strays(run->engine);
    if (rc == ERR_EXISTS && !ctx->has_thread) /* the thread is somebody else's */
        rc = thread_unknown(run, err);
    else if (rc == ERR_EXISTS) /* its lists have grown since its state was read */
        rc = ERR_CONFLICT;
    run->slot_lost = direct && rc == ERR_CONFLICT;
    return rc;
}

static int accept_run(struct live_run *run, const struct run_submit *s, struct run_request *q,
                      struct err *err) {
    struct engine *e = run->engine;
    struct run_context ctx;
    /* The slot is taken before the first suspension: whoever comes meanwhile finds it busy. */
    struct slot *slot = slot_of(e, run->row.thread_id);
    bool busy = slot && (slot->running || !list_empty(&slot->queue));
    bool direct = !busy && q->after_us == 0 && engine_has_place(e);
    slot = slot_take(e, run->row.thread_id);
    run->slot = slot;
    run->topic = hub_topic_ref(e->hub, run->row.thread_id);
    if (direct) {
        slot->running = run;
        e->running++;
    } else {
        slot->arriving++;
    }
    int rc = 0;
    if (s->context)
        run_context_copy(&run->arena, s->context, &ctx);
    else
        rc = live_run_read_context(run, s->who, s->assistant_id, &ctx, err);
    if (rc == 0)
        rc = run_context_check(s, q, run, &ctx, err);
    if (rc == 0 && busy && !ctx.has_thread && slot_is_foreign(slot, s->who))
        rc = thread_unknown(run, err); /* a stranger makes nobody's runs end */
    bool elsewhere =
        rc == 0 && !busy && ctx.has_thread && (!id_is_nil(ctx.slot_run) || ctx.has_older);
    if (elsewhere && direct) {
        step_back(run, slot);
        direct = false;
    }
    if (rc == 0 && (busy || elsewhere) && q->after_us == 0)
        rc = make_way(e, run->row.thread_id, q, ctx.has_thread, err);
    if (rc == 0)
        rc = accept_known(run, s, &ctx, direct, err);
    if (!direct)
        slot->arriving--;
    if (rc < 0 && !run->early) { /* else its fiber leaves the slot */
        if (direct) {
            slot->running = NULL;
            e->running--;
        }
        run->slot = NULL;
        slot_settle(e, slot);
    }
    return rc;
}

struct live_run *run_of_request(struct engine *e, const struct run_submit *s,
                                const struct run_request *q) {
    struct live_run *run = live_run_new(e);
    run->modes = q->modes;
    run->temporary = q->stateless && q->on_completion == ON_COMPLETION_DELETE;
    run->kept = run->temporary && s->kept;
    run->cancel_on_disconnect = q->on_disconnect == ON_DISCONNECT_CANCEL;
    run->owner = arena_dup(&run->arena, s->who->owner);
    run->bearer = arena_dup(&run->arena, s->bearer);
    int64_t now = rt_now_us(e->rt);
    run->row = (struct run){.id = id_v7(),
                            .thread_id = q->stateless ? id_v7() : s->thread_id,
                            .multitask_strategy = multitask_strategy_name(q->multitask),
                            .created_at = now + q->after_us,
                            .updated_at = now + q->after_us};
    run->begun_us = clock_mono_us();
    return run;
}

void run_let_go(struct live_run *run, const struct run_request *q) {
    metric_add(run->engine->metrics.accepted, 1);
    struct engine *e = run->engine;
    bool direct = run->slot->running == run, lost = !id_eq(run->worker, e->worker);
    live_run_enter(run);
    if (run->early)
        return; /* cut short already when the lease was lost */
    live_run_ref(run);
    if (lost) { /* durable, and now for others to execute */
        run->moved = true;
        live_run_end(run);
        engine_look_for_strays(e); /* this worker, under its new name, may be who adopted it */
    } else if (direct) {
        run->state = LIVE_RUNNING;
        struct err failed = {0};
        if (!fiber_spawn(e->rt, "run", live_run_execute, run, &failed))
            live_run_abandon(run, &failed);
    } else if (q->after_us) {
        live_run_delay(run, run->row.created_at);
    } else {
        live_run_enqueue(run);
    }
}

static int refuse_for_now(struct err *err, int code, const char *why) {
    (void)err_set(err, code, "%s", why);
    if (err)
        err->retry_after_ms = RETRY_AFTER_MS;
    return code;
}

int engine_may_accept(const struct engine *e, size_t count, struct err *err) {
    if (e->draining)
        return err_set(err, ERR_UNAVAILABLE, "The server is shutting down");
    if (!engine_is_worker(e))
        return refuse_for_now(err, ERR_UNAVAILABLE, "The database is away");
    if (e->pending + e->delayed + count > e->o.pending_max)
        return refuse_for_now(err, ERR_LIMIT, "Too many runs are waiting");
    return 0;
}

int engine_submit(struct engine *e, const struct run_submit *s, struct live_run **out,
                  struct err *err) {
    struct run_request q = {0};
    struct live_run *run;
    int rc = engine_may_accept(e, 1, err);
    if (rc == 0)
        rc = run_request_read(e, s, &q, err);
    if (rc < 0)
        return rc;
    for (int tries = 0;; tries++) {
        run = run_of_request(e, s, &q);
        e->accepting++;
        list_push_back(&e->arriving, &run->arriving);
        rc = accept_run(run, s, &q, err);
        list_remove(&run->arriving);
        e->accepting--;
        if (rc == 0)
            break;
        bool again = run->slot_lost && tries < SLOT_TRIES_MAX;
        live_run_unref(run);
        if (!again)
            return rc;
    }
    run_let_go(run, &q);
    if (out)
        *out = run;
    else
        live_run_unref(run);
    return 0;
}
