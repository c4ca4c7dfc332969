/* SPDX-License-Identifier: Apache-2.0 */
/* app.c - the composition root: config → loop → database → engine → API → HTTP server.
 *
 * Start: opening SQLite, which may block, happens before the loop runs; then a fiber opens
 * PostgreSQL, when that is the database, makes the default assistants, takes up the runs of an
 * earlier process and opens the port, so the first answer comes from a complete server. Stop
 * (SIGTERM, SIGINT): no new connections, running runs end or are handed back within the drain
 * timeout, streams end, connections close, the database is flushed, the loop ends. A second signal
 * shortens the wait to nothing.
 */
#include "app/app.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "api/a2a_push.h"
#include "api/api.h"
#include "app/auth_settings.h"
#include "app/blob_settings.h"
#include "app/config.h"
#include "app/database.h"
#include "app/debug.h"
#include "app/graph_config.h"
#include "app/graph_files.h"
#include "app/hints.h"
#include "app/history_settings.h"
#include "app/older_store.h"
#include "app/plan_settings.h"
#include "app/runners.h"
#include "app/store_settings.h"
#include "app/summary_settings.h"
#include "app/supervisor.h"
#include "app/thread_settings.h"
#include "app/trace_settings.h"
#include "app/webhook_settings.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "db/postgres/vectors.h"
#include "engine/engine.h"
#include "engine/insights.h"
#include "graphs/document.h"
#include "graphs/graphs.h"
#include "http/client.h"
#include "jobs/jobs.h"
#include "library/source.h"
#include "llm/port.h"
#include "mcp/port.h"
#include "plans/artifacts.h"
#include "plans/outbox.h"
#include "plans/plans.h"
#include "store/assistants.h"
#include "store/items.h"
#include "store/remembered.h"

#define STOP_GRACE_US        15000000 /* beyond the drain: the last answers, the database */
#define WORKER_PAUSE_US_MIN  100000
#define WORKER_PAUSE_US_MAX  10000000
#define TRACE_FLUSH_US       3000000 /* for the spans that wait */
#define SUMMARIES_SLICE_US   1000000
#define LAST_ANSWERS_US      1000000
#define LAST_ANSWERS_POLL_US 5000
#define PLAN_LOOK_US         500000 /* for what other processes ask of a plan */

/* What new plans take from their owners: other processes' changes are seen so much later. */
static const struct remembered_options REMEMBERED = {
    .hold_us = 250000, .count_max = 256, .bytes_max = 16384};

struct app {
    struct config config;
    struct rt *rt;
    struct db *db;
    struct store store;
    struct http_client *client;
    struct llm *llm;
    struct embeddings *embeddings; /* NULL: queries of the store find words */
    struct item_embedder embedder;
    struct mcp *mcp;
    struct tracer *tracer; /* NULL: no spans are made */
    struct graphs_settings graphs;
    struct graph_services services;
    struct registry *registry;
    struct runners *runners;
    struct engine *engine;
    struct plans *plans;
    struct blob_store *blobs;             /* NULL: there is no place for them */
    struct artifacts *artifacts;          /* NULL: the same */
    struct library_source history_source; /* of one in a store of its own */
    struct history *history;              /* NULL: none are kept */
    struct db_legacy *history_legacy;     /* NULL: there is no older store */
    struct history_legacy_reporter history_reporter;
    struct hints *hints; /* NULL with SQLite */
    struct peers *peers; /* NULL: no datagrams are wanted */
    struct fiber_group background;
    struct summaries *summaries; /* NULL: none are made */
    struct insights *insights;   /* the same */
    bool summing_up;             /* its fiber is at work */
    struct auth *auth;
    struct delivery_relay *delivery;
    struct jobs *jobs;
    struct api *api;
    struct http_server *http;
    struct metric *connections, *streams, *lag;
    struct supervisor_worker worker; /* index 0: the only process */
    char host[256];
    int64_t started_us, drain_until_us;
    bool starting; /* the first fiber is at work */
    bool stopping;
    int status; /* exit status */
};

static void handle(struct http_request *req, void *ctx) {
    struct app *app = ctx;
    if (app->config.debug_api && debug_matches(req)) {
        struct debug_context d = {
            .rt = app->rt, .db = app->db, .engine = app->engine, .http = app->http};
        debug_handle(req, &d);
        return;
    }
    api_handle(req, app->api);
}

/* --- stop --- */

static void on_client_closed(void *arg) {
    struct app *app = arg;
    app->client = NULL;
    rt_stop(app->rt);
}

static void on_http_closed(void *arg) {
    struct app *app = arg;
    app->http = NULL;
    http_client_close(app->client, on_client_closed, app);
}

static void stop_fiber(void *arg) {
    struct app *app = arg;
    log_plain(LOG_INFO, "server.drain", "finishing what is under way");
    while (app->starting)
        (void)fiber_sleep_us(LAST_ANSWERS_POLL_US);
    if (app->http)
        http_server_stop_accepting(app->http);
    plans_stop(app->plans);
    engine_drain(app->engine, app->drain_until_us);
    runners_stop(app->runners);
    delivery_stop(app->delivery, app->drain_until_us);
    jobs_stop(app->jobs);
    /* The last answers and the ends of the streams are on their way: closing would cut them. */
    int64_t until_us = rt_mono_us(app->rt) + LAST_ANSWERS_US;
    while (app->http && http_server_connections(app->http) > 0 && rt_mono_us(app->rt) < until_us)
        (void)fiber_sleep_us(LAST_ANSWERS_POLL_US);
    auth_stop(app->auth);
    tracer_stop(app->tracer, rt_mono_us(app->rt) + TRACE_FLUSH_US);
    fiber_group_cancel(&app->background);
    fiber_group_wait(&app->background);
    if (app->http)
        http_server_close(app->http, on_http_closed, app);
    else
        on_http_closed(app);
}

static void stop(struct app *app) {
    if (app->stopping) {
        engine_drain_now(app->engine);
        return;
    }
    app->stopping = true;
    app->drain_until_us = rt_mono_us(app->rt) + app->config.drain_timeout_us;
    if (!fiber_spawn(app->rt, "app.stop", stop_fiber, app, NULL))
        rt_stop(app->rt);
}

static void on_signal(void *arg, int signum) {
    (void)signum;
    stop(arg);
}

/* --- start --- */

static int listen_open(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    struct http_server_options o;
    http_server_options_default(&o);
    o.host = c->listen_host;
    o.port = c->listen_port;
    o.header_bytes_max = (size_t)c->header_bytes_max;
    o.body_bytes_max = (size_t)c->body_bytes_max;
    o.connections_max = (size_t)c->connections_max;
    o.stream_buffer_bytes_max = (size_t)c->stream_buffer_bytes_max;
    o.header_timeout_us = c->header_timeout_us;
    o.body_idle_timeout_us = c->body_idle_timeout_us;
    o.idle_timeout_us = c->idle_timeout_us;
    o.heartbeat_us = c->heartbeat_us;
    o.compress = (struct http_compress_options){
        .codings = (enum http_compress_codings)c->compress, /* in the option's order */
        .bytes_min = (size_t)c->compress_bytes_min,
        .level = (int)c->compress_level,
        .events = c->compress_events,
        .streams_max = (size_t)c->compress_streams_max};
    o.cors_allow_origin = c->cors_origin.len ? c->cors_origin.p : NULL;
    o.reuse_port = app->worker.index > 0;
    o.handler = handle;
    o.ctx = app;
    return http_server_open(app->rt, &o, &app->http, err);
}

static int seed_assistants(struct app *app, struct err *err) {
    struct arena a;
    str unknown;
    arena_init(&a, 64 << 20);
    size_t count = registry_count(app->registry);
    struct assistant_default *defaults = ARENA_ARRAY(&a, struct assistant_default, count + 1);
    for (size_t i = 0; i < count; i++)
        defaults[i].graph_id = str_of(registry_at(app->registry, i)->id);
    int rc = graph_config_read(&a, app->config.graph_config, defaults, count, &unknown, err);
    if (rc == 0 && unknown.p)
        log_event(LOG_WARN, "graphs.config.unknown", "LANGGRAPH_CONFIG names a graph that is none",
                  LOG_STR("graph", unknown));
    if (rc == 0)
        rc = assistant_seed_configured(&app->store, defaults, count, &a, err);
    arena_deinit(&a);
    return rc;
}

static void warn_if_open(const struct app *app) {
    if (!auth_enabled(app->auth) && !auth_host_is_loopback(app->config.listen_host))
        log_event(LOG_WARN, "auth.none",
                  "everybody who reaches this address may do everything: nothing is configured "
                  "that says who asks",
                  LOG_Z("host", app->config.listen_host[0] ? app->config.listen_host : "*"));
}

static void vector_index_main(void *arg) {
    struct app *app = arg;
    db_postgres_vector_index(db_postgres_pool(app->db), app->embedder.dims);
}

static int history_start(struct app *app, struct err *err) {
    int rc = history_settings_open(&app->config, app->rt, app->db, &app->history_source,
                                   &app->history, &app->history_legacy, err);
    if (rc < 0 || !app->history)
        return rc;
    api_set_history(app->api, app->history);
    history_add_jobs(&app->config, app->history, app->jobs);
    if (!app->history_legacy)
        return 0;
    app->history_reporter = (struct history_legacy_reporter){app->history, app->history_legacy,
                                                             app->config.history_legacy_owner};
    return fiber_group_spawn(&app->background, app->rt, "history.legacy",
                             history_legacy_reporter_main, &app->history_reporter, err);
}

/* After routing is built, before listening. */
static int start(struct app *app, struct err *err) {
    int rc = 0;
    if (!app->db) {
        rc = database_open(app->rt, &app->config, &app->db, err);
        app->store.db = app->db;
    }
    app->store.shared = rc == 0 && db_postgres_pool(app->db);
    if (app->store.shared && app->config.checkpoints == CONFIG_CHECKPOINTS_LANGGRAPH)
        app->store.layout = CHECKPOINTS_LANGGRAPH;
    if (rc == 0 && !app->stopping && app->tracer)
        rc = tracer_start(app->tracer, err);
    if (rc == 0 && !app->stopping)
        rc = runners_start(app->runners, err);
    if (rc == 0 && !app->stopping)
        rc = seed_assistants(app, err);
    if (rc == 0 && !app->stopping)
        rc = engine_start(app->engine, err);
    if (rc == 0 && db_postgres_pool(app->db))
        rc = hints_open(db_postgres_pool(app->db), app->engine, app->peers, &app->hints, err);
    if (rc == 0 && !app->stopping && db_postgres_pool(app->db) && app->embeddings)
        rc = fiber_group_spawn(&app->background, app->rt, "app.vectors", vector_index_main, app,
                               err);
    if (rc == 0 && !app->stopping)
        rc = auth_start(app->auth, err);
    if (rc == 0 && !app->stopping)
        rc = history_start(app, err);
    if (rc == 0 && !app->stopping)
        rc = listen_open(app, err);
    if (rc == 0 && app->http)
        rc = delivery_start(app->delivery, http_server_port(app->http), err);
    if (rc == 0 && app->http)
        rc = plans_start(app->plans, err);
    if (rc == 0 && app->http)
        rc = jobs_start(app->jobs, err);
    return rc;
}

static void start_fiber(void *arg) {
    struct app *app = arg;
    struct err err = {0};
    app->starting = true;
    int rc = start(app, &err);
    app->starting = false;
    if (rc == 0 && !app->http)
        return; /* stopped meanwhile */
    if (rc < 0) {
        fprintf(stderr, "holdfast: %s\n", err.message);
        app->status = 1;
        stop(app);
        return;
    }
    warn_if_open(app);
    supervisor_ready(&app->worker);
    log_event(LOG_INFO, "server.listening", "ready", LOG_Z("host", app->config.listen_host),
              LOG_INT("port", http_server_port(app->http)), LOG_Z("version", HF_VERSION),
              LOG_INT("start_ms", (clock_mono_us() - app->started_us) / 1000));
}

static void on_collect(void *arg) {
    struct app *app = arg;
    struct rt_stats s;
    rt_stats(app->rt, &s);
    metric_set(app->lag, s.lag_us_max);
    metric_set(app->connections, app->http ? (int64_t)http_server_connections(app->http) : 0);
    metric_set(app->streams, (int64_t)hub_reader_count(engine_hub(app->engine)));
}

static void graph_settings(const struct config *c, struct graphs_settings *out) {
    graphs_settings_default(out);
    out->model_name = c->model_name;
    out->openai = (struct graphs_provider){c->openai_base_url, secret_reveal(c->openai_api_key)};
    out->anthropic =
        (struct graphs_provider){c->anthropic_base_url, secret_reveal(c->anthropic_api_key)};
    out->google = (struct graphs_provider){c->google_base_url, secret_reveal(c->google_api_key)};
    out->vertexai =
        (struct graphs_provider){c->vertexai_base_url, secret_reveal(c->vertexai_api_key)};
    out->custom_api_key = secret_reveal(c->custom_api_key);
    out->model_connect_timeout_us = c->model_connect_timeout_us;
    out->model_head_timeout_us = c->model_head_timeout_us;
    out->model_idle_timeout_us = c->model_idle_timeout_us;
    out->model_retries_max = (int)c->model_retries_max;
    out->http_get_hosts = c->http_tool_allow;
    out->mcp_hosts = c->mcp_hosts;
    out->mcp_timeout_us = c->mcp_timeout_us;
}

/* For people who look at the workers' rows. */
static const char *host_name(struct app *app) {
    if (gethostname(app->host, sizeof(app->host) - 1) < 0)
        app->host[0] = '\0';
    return app->host;
}

static struct engine_options engine_settings(struct app *app, int64_t sweep_us) {
    const struct config *c = &app->config;
    static const enum multitask_strategy multitask[] = {MULTITASK_ENQUEUE, MULTITASK_REJECT,
                                                        MULTITASK_INTERRUPT, MULTITASK_ROLLBACK};
    static const enum crons_missed missed[] = {
        [CONFIG_CRON_MISSED_ONCE] = CRONS_MISSED_ONCE,
        [CONFIG_CRON_MISSED_SKIP] = CRONS_MISSED_SKIP,
    };
    return (struct engine_options){.running_max = (size_t)c->n_jobs,
                                   .pending_max = (size_t)c->run_queue_count_max,
                                   .attempts_max = (int)c->run_attempts_max,
                                   .recursion_limit = (int)c->recursion_limit,
                                   .multitask_default = multitask[c->multitask_default],
                                   .api_url = c->public_url.len ? c->public_url.p : "",
                                   .crons = {.missed = missed[c->cron_missed],
                                             .late_us = c->cron_late_us,
                                             .zones_folder = c->zoneinfo.p},
                                   .shared = database_is_remote(c),
                                   .lease_us = c->worker_lease_us,
                                   .sweep_us = sweep_us,
                                   .documents = &GRAPH_DOCUMENTS,
                                   .host = host_name(app),
                                   .address = app->peers ? peers_address(app->peers) : NULL,
                                   .pid = getpid()};
}

static enum api_audit audit_of(const struct config *c) {
    static const enum api_audit audit[] = {
        [CONFIG_AUDIT_AUTO] = API_AUDIT_AUTO,
        [CONFIG_AUDIT_OFF] = API_AUDIT_OFF,
        [CONFIG_AUDIT_WRITES] = API_AUDIT_WRITES,
        [CONFIG_AUDIT_ALL] = API_AUDIT_ALL,
    };
    return audit[c->audit];
}

static int webhooks_open(struct app *app, struct err *err) {
    struct delivery_options o;
    struct arena a;
    arena_init(&a, 1 << 20);
    int rc = webhook_settings(&app->config, &a, &o, err);
    o.shared = database_is_remote(&app->config);
    o.makers[0] = plans_parcel_maker(&app->store);
    o.makers[1] = api_push_parcel_maker(&app->store);
    if (rc == 0)
        rc = delivery_open(app->rt, app->client, &app->store, &o, &app->delivery, err);
    if (rc == 0)
        engine_outbox_set(app->engine, delivery_wake, app->delivery);
    if (rc == 0)
        delivery_add_jobs(app->delivery, app->jobs);
    arena_deinit(&a);
    return rc;
}

static int tracer_setup(struct app *app, struct err *err) {
    struct tracer_options o;
    bool on;
    int rc = trace_settings(&app->config, host_name(app), &app->config.memory, &o, &on, err);
    if (rc == 0 && on)
        app->tracer = tracer_open(app->rt, app->client, &o);
    return rc;
}

/* What graphs ask of the world. */
static int services_open(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    struct http_client_options client = {.connections_max = (size_t)c->model_connections_max,
                                         .connections_per_host_max =
                                             (size_t)c->model_connections_per_host_max,
                                         .buffer_bytes_max = 256 * 1024};
    int rc = http_client_open(app->rt, &client, &app->client, err);
    if (rc < 0)
        return rc;
    rc = tracer_setup(app, err);
    if (rc < 0)
        return rc;
    app->llm = llm_new(app->rt, app->client);
    app->mcp = mcp_new(app->rt, app->client, NULL);
    graph_settings(c, &app->graphs);
    app->services = (struct graph_services){.rt = app->rt,
                                            .llm = app->llm,
                                            .http = app->client,
                                            .mcp = app->mcp,
                                            .tracer = app->tracer,
                                            .settings = &app->graphs};
    return 0;
}

static int embed(void *ctx, const str *texts, size_t count, struct arena *a, float **out,
                 struct err *err) {
    return embeddings_make(ctx, texts, count, a, out, err);
}

static void embedder_open(struct app *app, const struct store_settings *s) {
    if (s->embed.model.len == 0)
        return;
    app->embeddings = embeddings_new(app->client, &s->embed);
    app->embedder =
        (struct item_embedder){.embed = embed,
                               .ctx = app->embeddings,
                               .rt = app->rt,
                               .model = s->embed.model,
                               .dims = s->embed.dims,
                               .paths = s->paths,
                               .path_count = s->path_count,
                               .scan_max = (size_t)app->config.store_scan_max,
                               .cache = vector_cache_new((size_t)app->config.store_cache_bytes)};
    app->store.items.embedder = &app->embedder;
}

static void store_setup(struct app *app, const struct store_settings *s) {
    app->store.items = s->items;
    app->store.preferences = s->preferences;
    app->store.agent_logs = s->agent_logs;
    embedder_open(app, s);
}

static void summaries_main(void *arg) {
    struct app *app = arg;
    bool more = true;
    while (more && !app->stopping) {
        struct err err = {0};
        if (summaries_slice(app->summaries, SUMMARIES_SLICE_US, &more, &err) < 0)
            break;
    }
    app->summing_up = false;
}

static void on_run_ended(void *ctx, struct id thread_id) {
    struct app *app = ctx;
    if (app->stopping)
        return;
    summaries_note(app->summaries, thread_id);
    if (!app->summing_up)
        app->summing_up = fiber_group_spawn(&app->background, app->rt, "app.summaries",
                                            summaries_main, app, NULL) == 0;
}

static int summaries_open(struct app *app, struct err *err) {
    struct summaries_options o;
    if (app->config.summary_model.len == 0)
        return 0;
    int rc = summary_settings(&app->config, &o, err);
    if (rc < 0)
        return rc;
    app->summaries = summaries_new(app->rt, &app->store, app->llm, &o);
    engine_ended_set(app->engine, on_run_ended, app);
    return 0;
}

/* Before the engine: its graph is one that assistants are seeded for. */
static int plans_settings_open(struct app *app, struct err *err) {
    struct plans_options o = {.concurrency_default = (size_t)app->config.plan_concurrency,
                              .concurrency_max = PLAN_CONCURRENCY_MAX,
                              .losses_max = app->config.plan_losses_max,
                              .process_max = (size_t)app->config.plan_steps_per_process,
                              .owner_max = (size_t)app->config.plan_steps_per_owner,
                              .waiting_max = app->config.plan_steps_waiting_max,
                              .age_max_us = app->config.backpressure_age_ms * 1000,
                              .look_us = database_is_remote(&app->config) ? PLAN_LOOK_US : 0};
    static const int notes[] = {[CONFIG_TRACE_LOG_OFF] = -1,
                                [CONFIG_TRACE_LOG_DEBUG] = LOG_DEBUG,
                                [CONFIG_TRACE_LOG_INFO] = LOG_INFO};
    o.notes = notes[app->config.trace_log];
    struct plan_tools_options tools;
    int rc = plans_limits_read(&app->config.memory, app->config.plan_steps_per_tool, &o, err);
    if (rc < 0)
        return rc;
    app->plans = plans_open(app->rt, &app->store, app->registry, &o);
    rc = plan_settings(&app->config, app->rt, &app->config.memory, &tools, err);
    return rc < 0 ? rc : plans_set_tools(app->plans, &tools, err);
}

static int artifacts_open(struct app *app, struct err *err) {
    struct artifacts_options o = {.bytes_max = (size_t)app->config.artifact_bytes_max,
                                  .grace_us = app->config.blob_grace_us};
    int rc = blob_settings_open(&app->config, app->rt, app->client, &app->blobs, err);
    if (rc < 0 || !app->blobs)
        return rc;
    app->artifacts = artifacts_new(app->rt, &app->store, app->blobs, &o);
    plans_set_artifacts(app->plans, app->artifacts);
    return 0;
}

/* What dashboards know by these names, whatever the metrics are called: docs/operations.md. */
static void fixed_names(void) {
    metrics_view("http_request_duration_ms", "holdfast_http_request_seconds, in milliseconds.",
                 "holdfast_http_request_seconds", NULL);
    metrics_view("step_duration_ms", "holdfast_plan_step_seconds, in milliseconds.",
                 "holdfast_plan_step_seconds", NULL);
    metrics_view("db_query_duration_ms", "Reads and commits of the database, in milliseconds.",
                 "holdfast_db_read_seconds", "kind=\"read\"");
    metrics_view("db_query_duration_ms", "Reads and commits of the database, in milliseconds.",
                 "holdfast_db_commit_seconds", "kind=\"commit\"");
    metrics_view("steps_total", "holdfast_plan_steps_total.", "holdfast_plan_steps_total", NULL);
    metrics_view("retries_total", "holdfast_plan_step_retries_total.",
                 "holdfast_plan_step_retries_total", NULL);
}

static int peers_setup(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    bool wanted = c->peer_address.len > 0 && database_is_remote(c);
    return wanted ? peers_open(app->rt, c->peer_address, &app->peers, err) : 0;
}

static int insights_open(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    struct text_model m;
    if (c->log_insight_model.len == 0)
        return 0;
    int rc = text_model_settings(c, "log_insight_model", c->log_insight_model, &m, err);
    if (rc == 0)
        app->insights = insights_new(&app->store, app->llm, &m);
    return rc;
}

/* What is done beside requests; more are added by what opens later, all before jobs_start(). */
static void jobs_setup(struct app *app) {
    struct jobs_port port = engine_jobs_port(app->engine);
    app->jobs = jobs_new(app->rt, &app->store, &port);
    engine_add_jobs(app->engine, app->jobs);
    if (app->insights)
        insights_add_job(app->insights, app->jobs, app->config.log_insight_interval_us);
    if (app->artifacts)
        artifacts_add_jobs(app->artifacts, app->jobs);
}

static int auth_setup(struct app *app, struct err *err) {
    struct auth_options auth;
    int rc = auth_settings(&app->config, &auth, err);
    if (rc == 0)
        rc = auth_open(app->rt, app->client, &app->store, &auth, &app->auth, err);
    return rc;
}

static int parts_open(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    int rc = services_open(app, err);
    if (rc < 0)
        return rc;
    struct registry_options registry = {.ttl_us = c->graph_cache_ttl_ms * 1000,
                                        .entries_max = (size_t)c->graph_cache_count_max};
    struct store_settings store;
    rc = store_settings(&app->config, &store, err);
    if (rc < 0)
        return rc;
    store_setup(app, &store);
    app->registry = registry_new(&app->services, &registry);
    graphs_register(app->registry);
    rc = peers_setup(app, err);
    if (rc < 0)
        return rc;
    struct engine_options engine = engine_settings(app, store.sweep_us);
    rc = plans_settings_open(app, err);
    if (rc == 0)
        rc = artifacts_open(app, err);
    if (rc == 0)
        rc = graph_files_load(c->graphs.p, app->registry, err);
    if (rc == 0)
        rc = runners_new(app->rt, c, app->registry, &app->runners, err);
    if (rc == 0)
        rc = thread_settings(c, &engine, &app->store.thread_ttl, err);
    if (rc == 0)
        rc = engine_open(app->rt, &app->store, app->registry, &app->services, &engine, &app->engine,
                         err);
    if (rc < 0)
        return rc;
    plans_set_engine(app->plans, app->engine);
    rc = summaries_open(app, err);
    if (rc == 0)
        rc = insights_open(app, err);
    if (rc < 0)
        return rc;
    jobs_setup(app);
    rc = auth_setup(app, err);
    if (rc == 0)
        rc = webhooks_open(app, err);
    if (rc < 0)
        return rc;
    struct api_options api = {.auth = app->auth,
                              .delivery = app->delivery,
                              .plans = app->plans,
                              .artifacts = app->artifacts,
                              .jobs = app->jobs,
                              .audit = audit_of(c),
                              .error_text = c->error_format == CONFIG_ERROR_TEXT,
                              .debug_api = c->debug_api,
                              .dev = c->dev,
                              .cron_count_max = c->cron_count_max,
                              .public_url = engine.api_url,
                              .slow_request_us = c->slow_request_us,
                              .tracer = app->tracer,
                              .cors_origin = c->cors_origin.p};
    rc = api_open(app->rt, &app->store, app->engine, &api, &app->api, err);
    if (rc < 0)
        return rc;
    app->connections = metric_gauge("holdfast_http_connections", "Open connections", NULL);
    app->streams = metric_gauge("holdfast_stream_readers", "Open event streams", NULL);
    app->lag =
        metric_gauge("holdfast_loop_turn_microseconds_max", "Longest turn of the loop", NULL);
    metrics_on_collect(on_collect, app);
    fixed_names();
    return 0;
}

static int open_all(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    int rc = rt_open(&app->rt, err);
    if (rc < 0)
        return rc;
    fiber_set_limit(app->rt, (size_t)c->fibers_max);
    fiber_group_init(&app->background);
    if (!database_is_remote(c))
        rc = database_open(app->rt, c, &app->db, err);
    if (rc == 0)
        rc = history_settings_prepare(c, app->rt, &app->history_source, err);
    if (rc < 0)
        return rc;
    app->store.db = app->db;
    app->store.remembered = remembered_new(&REMEMBERED);
    rc = parts_open(app, err);
    if (rc == 0)
        rc = rt_on_signal(app->rt, SIGTERM, on_signal, app, err);
    if (rc == 0)
        rc = rt_on_signal(app->rt, SIGINT, on_signal, app, err);
    if (rc == 0 && !fiber_spawn(app->rt, "app.start", start_fiber, app, err))
        rc = ERR_LIMIT;
    return rc;
}

/* Also of a server that was opened in part. */
static void close_all(struct app *app) {
    metrics_off_collect(on_collect, app);
    api_free(app->api);
    history_close(app->history);
    older_store_close(app->history_legacy);
    library_source_close(&app->history_source);
    hints_close(app->hints);
    delivery_free(app->delivery);
    engine_close(app->engine);
    jobs_free(app->jobs);
    peers_close(app->peers);
    registry_free(app->registry);
    plans_free(app->plans);
    artifacts_free(app->artifacts);
    blob_store_close(app->blobs);
    runners_free(app->runners);
    summaries_free(app->summaries);
    insights_free(app->insights);
    llm_free(app->llm);
    embeddings_free(app->embeddings);
    vector_cache_free(app->embedder.cache);
    remembered_free(app->store.remembered);
    mcp_free(app->mcp);
    tracer_free(app->tracer);
    if (app->client) {
        http_client_close(app->client, on_client_closed, app);
        rt_run(app->rt);
    }
    if (app->db)
        db_close(app->db);
    if (app->rt)
        rt_close(app->rt);
    auth_free(app->auth); /* fibers that asked for it have ended */
}

static void log_open(const struct config *c) {
    bool pretty = c->log_format == CONFIG_LOG_PRETTY ||
                  (c->log_format == CONFIG_LOG_AUTO && isatty(STDERR_FILENO));
    log_init((enum log_level)c->log_level, STDERR_FILENO, pretty);
}

static int serve(struct app *app, struct err *err) {
    const struct config *c = &app->config;
    log_open(c);
    if (c->workers > 1) {
        struct supervisor_options o = {.count = (int)c->workers,
                                       .stop_us = c->drain_timeout_us + STOP_GRACE_US,
                                       .pause_us_min = WORKER_PAUSE_US_MIN,
                                       .pause_us_max = WORKER_PAUSE_US_MAX};
        int rc = supervisor_run(&o, &app->worker, &app->status, err);
        if (rc < 0 || app->worker.index == 0)
            return rc;
        app->started_us = clock_mono_us(); /* this process, maybe long after the first */
    }
    failpoint_init_from_env();
    int rc = open_all(app, err);
    if (rc == 0)
        rt_run(app->rt);
    close_all(app);
    if (rc == 0)
        log_plain(LOG_INFO, "server.stopped", "bye");
    return rc;
}

int app_serve(int argc, char **argv) {
    struct app *app = NEW(struct app);
    struct err err = {0};
    app->started_us = clock_mono_us();
    int rc = config_load(argc, argv, &app->config, &err);
    if (rc == 0 && app->config.help_wanted) {
        struct buf help;
        buf_init(&help, 1 << 20);
        config_help(&help);
        fwrite(help.p, 1, help.len, stdout);
        buf_deinit(&help);
    } else if (rc == 0) {
        rc = serve(app, &err);
    }
    if (rc < 0)
        fprintf(stderr, "holdfast: %s\n", err.message);
    int status = rc < 0 ? 1 : app->status;
    config_deinit(&app->config);
    mem_free(app);
    return status;
}
