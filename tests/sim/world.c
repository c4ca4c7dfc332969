/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - simulated time, servers and the database between them.
 *
 * Time: the loop's (rt_simulate); it leaps from timer to timer. The database is SQLite in memory,
 * behind one door: an operation waits for its turn, is done while time stands still, and its result
 * is seen only after a delay of at least a microsecond, so nothing depends on how fast a thread
 * was. Commits of one server go one after the other, as the port promises; reads do not wait for
 * them. In times of trouble an operation may be late (also later than a lease), refused, or done
 * and reported as failed. A dead server's operations are refused before they are done. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "store/assistants.h"

#define WORKERS    3
#define TROUBLE_US 40000000
#define SWEEP_US   2000000
#define START_US   INT64_C(1700000000000000)

/* --- time --- */

static int64_t now_us, wall_offset_us;

static int64_t read_mono(void) { return now_us; }
static int64_t read_wall(void) { return now_us + wall_offset_us; }
static void leap(void *ctx, int64_t mono_us) {
    (void)ctx;
    now_us = mono_us;
}

/* --- notes --- */

static void trace(struct sim_world *w, const char *text) {
    for (; *text; text++)
        w->trace = (w->trace ^ (unsigned char)*text) * 0x100000001b3u;
}

static void note(struct sim_world *w, const char *mark, const char *format, va_list args) {
    char line[400];
    int len = snprintf(line, sizeof(line), "%s%12.6f ", mark, (double)(now_us - START_US) / 1e6);
    (void)vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
    trace(w, line);
    if (w->verbose)
        printf("%s\n", line);
}

void sim_note(struct sim_world *w, const char *format, ...) {
    va_list args;
    va_start(args, format);
    note(w, "", format, args);
    va_end(args);
}

void sim_wrong(struct sim_world *w, const char *format, ...) {
    va_list args;
    char text[3000];
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    sim_note(w, "WRONG: %s", text);
    if (w->why.len == 0)
        buf_z(&w->why, text);
}

uint64_t sim_below(struct sim_world *w, uint64_t bound) {
    (void)w;
    return rand_below(bound);
}

bool sim_chance(struct sim_world *w, unsigned percent) { return sim_below(w, 100) < percent; }

/* --- the database --- */

struct way {
    struct db db;
    struct sim_server *server;
};

/* Waits are deaf to cancellation: the port says that an operation comes to its end. */
static int64_t delay_us(struct sim_world *w) {
    if (!w->trouble || sim_chance(w, w->harsh ? 60 : 90))
        return 1 + (int64_t)sim_below(w, 800);
    if (sim_chance(w, w->harsh ? 90 : 95))
        return 1 + (int64_t)sim_below(w, 200000);
    return 1 + (int64_t)sim_below(w, 2 * SIM_LEASE_US);
}

static unsigned trouble_percent(const struct sim_world *w) { return w->harsh ? 10 : 2; }

/* Before an operation: does it reach the database at all? */
static int reach(struct sim_server *s, struct err *err) {
    struct sim_world *w = s->world;
    fiber_sleep_shielded_us(delay_us(w));
    if (s->dead)
        return err_set(err, ERR_UNAVAILABLE, "the server is dead");
    if (w->trouble && sim_chance(w, trouble_percent(w)))
        return err_set(err, ERR_UNAVAILABLE, "the database cannot be reached");
    return 0;
}

static int way_commit(struct db *db, struct db_batch *b, struct err *err) {
    struct sim_server *s = CONTAINER_OF(db, struct way, db)->server;
    struct sim_world *w = s->world;
    lane_enter(&s->commits);
    int rc = reach(s, err);
    if (rc == 0) {
        lane_enter(&w->door);
        rc = s->dead ? err_set(err, ERR_UNAVAILABLE, "the server is dead")
                     : w->db->vtable->commit(w->db, b, err);
        if (rc == 0)
            sim_stored(w, b);
        sim_note(w, "server %d.%d commits %zu from %d: %d", s->number, s->life, b->count,
                 b->count ? (int)b->ops[0].stmt : -1, rc);
        lane_leave(&w->door);
    }
    lane_leave(&s->commits);
    fiber_sleep_shielded_us(delay_us(w));
    if (rc == 0 && (s->dead || (w->trouble && sim_chance(w, trouble_percent(w))))) {
        b->in_doubt = true;
        return err_set(err, ERR_UNAVAILABLE, "the answer was lost");
    }
    return rc;
}

static int way_read(struct db *db, enum db_stmt stmt, const struct db_value *params, size_t count,
                    struct arena *a, struct db_rows *out, struct err *err) {
    struct sim_server *s = CONTAINER_OF(db, struct way, db)->server;
    struct sim_world *w = s->world;
    int rc = reach(s, err);
    if (rc < 0)
        return rc;
    struct db_rows rows;
    lane_enter(&w->door);
    rc = w->db->vtable->read(w->db, stmt, params, count, a, &rows, err);
    lane_leave(&w->door);
    fiber_sleep_shielded_us(delay_us(w));
    if (rc == 0)
        *out = rows;
    return rc;
}

static void way_stats(struct db *db, struct db_stats *out) {
    struct sim_world *w = CONTAINER_OF(db, struct way, db)->server->world;
    w->db->vtable->stats(w->db, out);
}
static void way_close(struct db *db) { mem_free(CONTAINER_OF(db, struct way, db)); }
static const struct db_vtable way_vtable = {
    .name = "sim", .commit = way_commit, .read = way_read, .stats = way_stats, .close = way_close};

/* --- servers --- */

static void on_hint(void *ctx, str text) {
    struct sim_server *from = ctx;
    struct sim_world *w = from->world;
    for (size_t i = 0; i < SIM_SERVERS && !from->dead; i++)
        if (w->current[i] && w->current[i]->up && !(w->trouble && sim_chance(w, 20)))
            engine_hinted(w->current[i]->engine, text);
}

/* As the composition root does: what a server knows of graphs and plans is its own. */
static void server_graphs(struct sim_server *s) {
    struct sim_world *w = s->world;
    struct plans_options o = {
        .concurrency_default = 3, .concurrency_max = 10, .look_us = 250000,
        .waiting_max = 1000000, .notes = -1};
    s->registry = registry_new(&w->services, &(struct registry_options){60000000, 16});
    for (size_t i = 0; i < sim_graph_count; i++)
        registry_add(s->registry, &sim_graphs[i]);
    if (w->planning)
        s->plans = plans_open(w->rt, &s->store, s->registry, &o);
}

/* What has to be gone before a new one is in its place; the rest goes with the world. */
static void server_close(struct sim_server *s) {
    engine_close(s->engine);
    s->closed = true;
    delivery_free(s->relay);
    s->relay = NULL;
}

static void server_free(struct sim_server *s) {
    if (!s->closed)
        server_close(s);
    jobs_free(s->jobs);
    registry_free(s->registry); /* it has the plans' graph */
    plans_free(s->plans);
    db_close(s->store.db);
    mem_free(s);
}

static struct sim_server *server_new(struct sim_world *w, int number, int life) {
    struct sim_server *s = NEW(struct sim_server);
    struct engine_options o = {.running_max = w->stateless ? 2 : 8,
                               .pending_max = 1000,
                               .attempts_max = 1000,
                               .recursion_limit = 25,
                               .multitask_default = MULTITASK_ENQUEUE,
                               .api_url = "",
                               .shared = true,
                               .lease_us = SIM_LEASE_US,
                               .host = "sim",
                               .pid = number + 1};
    if (w->sweeping) {
        o.keep_states = 2;
        o.sweep_us = o.thread_sweep_us = SWEEP_US;
    }
    struct way *way = NEW(struct way);
    *s = (struct sim_server){.world = w, .number = number, .life = life};
    lane_init(&s->commits);
    db_init(&way->db, &way_vtable);
    way->server = s;
    s->store.db = &way->db;
    vec_push(&w->servers, s);
    w->current[number] = s;
    server_graphs(s);
    if (engine_open(w->rt, &s->store, s->registry, &w->services, &o, &s->engine, NULL) < 0)
        UNREACHABLE(); /* takes no resource that could be missing */
    if (s->plans)
        plans_set_engine(s->plans, s->engine);
    if (w->sweeping) {
        struct jobs_port port = engine_jobs_port(s->engine);
        s->jobs = jobs_new(w->rt, &s->store, &port);
        engine_add_jobs(s->engine, s->jobs);
    }
    if (w->delivering)
        sim_relay_open(s);
    if (w->seed % 2) {
        engine_hints_set(s->engine, &(struct engine_hints){.send = on_hint, .ctx = s});
        engine_hints_up(s->engine, true);
    }
    return s;
}

static void server_stop(struct sim_server *s, bool politely) {
    struct sim_world *w = s->world;
    if (w->gating)
        plans_stop(s->plans);
    jobs_stop(s->jobs);
    delivery_stop(s->relay, rt_mono_us(w->rt) + (politely ? 1000000 : 0));
    engine_drain(s->engine, rt_mono_us(w->rt) + (politely ? (int64_t)sim_below(w, 2000000) : 0));
}

/* A start that fails ends the process, as it does for real; somebody starts it anew. */
static void server_start(struct sim_world *w, int number, int life) {
    struct err err = {0};
    struct sim_server *s = server_new(w, number, life);
    while (engine_start(s->engine, &err) < 0) {
        sim_note(w, "server %d.%d cannot start: %s", number, life, err.message);
        engine_drain(s->engine, rt_mono_us(w->rt));
        server_close(s);
        fiber_sleep_shielded_us(500000);
        s = server_new(w, number, ++life);
    }
    if ((w->gating && plans_start(s->plans, NULL) < 0) ||
        (w->sweeping && jobs_start(s->jobs, NULL) < 0) ||
        (w->delivering && delivery_start(s->relay, 0, NULL) < 0))
        UNREACHABLE(); /* takes fibers alone */
    s->up = true;
    sim_note(w, "server %d.%d is up", number, life);
}

struct sim_server *sim_enter(struct sim_world *w) {
    struct sim_server *s = w->current[sim_below(w, SIM_SERVERS)];
    if (!s->up)
        return NULL;
    s->users++;
    return s;
}

void sim_leave(struct sim_server *s) { s->users--; }

void sim_kill(struct sim_server *s, bool politely) {
    struct sim_world *w = s->world;
    sim_note(w, "server %d.%d %s", s->number, s->life, politely ? "drains" : "dies");
    s->up = false;
    s->dead = !politely;
    server_stop(s, politely);
    while (s->users) /* their calls fail soon */
        fiber_sleep_shielded_us(10000);
    server_close(s);
    if (!politely) /* the machine is gone for a while */
        fiber_sleep_shielded_us(1 + (int64_t)sim_below(w, 2 * SIM_LEASE_US));
    server_start(w, s->number, s->life + 1);
}

/* --- the world --- */

static void troubles(void *arg) {
    struct sim_world *w = arg;
    w->trouble = !w->peaceful;
    int64_t end = rt_mono_us(w->rt) + (int64_t)sim_below(w, TROUBLE_US);
    while (w->trouble && rt_mono_us(w->rt) < end) {
        fiber_sleep_shielded_us(1 + (int64_t)sim_below(w, 5000000));
        if (sim_chance(w, w->harsh ? 60 : 30))
            sim_kill(w->current[sim_below(w, SIM_SERVERS)], sim_chance(w, 30));
    }
    w->trouble = false;
    sim_note(w, "calm");
    w->clients--;
}

static void make_threads(struct sim_world *w) {
    struct err err = {0};
    for (size_t i = 0; i < SIM_THREADS; i++) {
        struct thread t;
        w->threads[i].id = id_v7();
        if (i == SIM_THREADS - 1)
            w->threads[i].asking = sim_graphs[SIM_PLAIN_GRAPHS + w->seed / 4 % 2].id;
        if (thread_create(&w->current[0]->store, &w->who, w->threads[i].id, STR("{}"), STR("{}"),
                          false, &w->arena, &t, &err) < 0)
            sim_wrong(w, "a thread: %s", err.message);
    }
}

static void enter(struct sim_world *w, size_t count, void (*client)(void *world)) {
    for (size_t i = 0; i < count; i++) {
        if (!fiber_spawn(w->rt, "sim", client, w, NULL))
            UNREACHABLE();
        w->clients++;
    }
}

static void enter_all(struct sim_world *w, size_t clients) {
    enter(w, 1, troubles);
    enter(w, clients, sim_client);
    enter(w, w->planning, sim_planner);
    enter(w, w->redoing, sim_redoer);
    enter(w, w->gating, sim_decider);
    enter(w, w->working ? WORKERS : 0, sim_worker);
    enter(w, w->firing, sim_keeper);
    enter(w, w->sweeping, sim_sweeper);
    enter(w, w->stateless ? 2 : 0, sim_passers);
    enter(w, w->stateless, sim_onlooker);
    enter(w, w->updating ? 2 : 0, sim_updater);
    enter(w, w->deleting, sim_deleter);
    enter(w, w->deleting || w->sweeping ? 2 : 0, sim_unaware);
}

static void world_fiber(void *arg) {
    struct sim_world *w = arg;
    const char *ids[16] = {PLAN_GRAPH};
    size_t clients = 2 + sim_below(w, 4);
    size_t first = w->planning ? 1 : 0;
    ASSERT(sim_graph_count < ARRAY_COUNT(ids));
    for (size_t i = 0; i < sim_graph_count; i++)
        ids[first + i] = sim_graphs[i].id;
    struct err err = {0};
    struct store store = {.db = w->db};
    if (assistant_seed(&store, ids, first + sim_graph_count, &w->arena, &err) < 0)
        sim_wrong(w, "the start: %s", err.message);
    if (w->planning)
        sim_subscribe(w);
    for (int i = 0; i < SIM_SERVERS; i++)
        server_start(w, i, 1);
    make_threads(w);
    enter_all(w, clients);
    while (w->clients)
        fiber_sleep_shielded_us(50000);
    if (w->deleting)
        sim_delete_all(w);
    sim_settle(w);
    sim_answer_all(w);
    if (w->gating)
        sim_finish_plans(w);
    if (w->sweeping) {
        sim_sweep_all(w);
        sim_settle(w);
    }
    if (w->delivering)
        sim_deliver_all(w);
    sim_check(w);
    for (size_t i = 0; i < SIM_SERVERS; i++) {
        server_stop(w->current[i], false);
        w->current[i]->up = false;
    }
    rt_stop(w->rt);
}

void sim_run_world(uint64_t seed, bool harsh, bool verbose, struct sim_world *w) {
    struct db_sqlite_options o;
    *w = (struct sim_world){
        .seed = seed, .harsh = harsh, .verbose = verbose, .who = {.owner = STR("")}};
    w->peaceful = seed % 4 == 0;
    w->planning = seed % 3 == 1;
    w->gating = seed % 12 == 1;
    w->working = seed % 24 == 13;
    w->redoing = seed % 24 == 19;
    w->deleting = seed % 24 == 11;
    w->updating = seed % 24 == 9;
    w->firing = seed % 24 == 17;
    w->sweeping = seed % 24 == 5;
    w->stateless = seed % 24 == 21;
    w->delivering = seed % 24 == 10;
    w->trace = 0xcbf29ce484222325u;
    buf_init(&w->why, 4096);
    arena_init(&w->arena, SIZE_MAX / 2);
    lane_init(&w->door);
    now_us = START_US;
    wall_offset_us = (int64_t)seed * 1000000000; /* ids go up from world to world */
    rand_seed(seed * 2 + 1);
    clock_set_source(read_wall, read_mono);
    if (rt_open(&w->rt, NULL) < 0)
        UNREACHABLE();
    rt_simulate(w->rt, leap, NULL);
    db_sqlite_options_default(&o);
    struct err err = {0};
    if (db_sqlite_open(w->rt, &o, &w->db, &err) < 0)
        sim_wrong(w, "the database: %s", err.message);
    w->services = (struct graph_services){.rt = w->rt};
    if (!fiber_spawn(w->rt, "world", world_fiber, w, NULL))
        UNREACHABLE();
    rt_run(w->rt);
    for (size_t i = 0; i < w->servers.count; i++)
        server_free(w->servers.p[i]);
    db_close(w->db);
    rt_close(w->rt);
    clock_set_source(NULL, NULL);
    rand_seed(0);
}

void sim_world_deinit(struct sim_world *w) {
    for (size_t i = 0; i < w->streams.count; i++)
        sim_stream_free(w->streams.p[i]);
    vec_deinit(&w->streams);
    vec_deinit(&w->servers);
    vec_deinit(&w->runs);
    vec_deinit(&w->plans);
    vec_deinit(&w->gates);
    vec_deinit(&w->works);
    vec_deinit(&w->updates);
    vec_deinit(&w->doomed);
    vec_deinit(&w->doomed_runs);
    vec_deinit(&w->copies);
    vec_deinit(&w->passers);
    vec_deinit(&w->messages);
    vec_deinit(&w->crons);
    vec_deinit(&w->firings);
    vec_deinit(&w->leases);
    vec_deinit(&w->held);
    vec_deinit(&w->begun);
    buf_deinit(&w->why);
    arena_deinit(&w->arena);
}
