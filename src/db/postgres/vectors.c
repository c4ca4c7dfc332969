/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.c - makes the index of the store's vectors.
 *
 * The database says what is to be done next (holdfast.vector_index_step, migration vector_index): a
 * statement at a time, since an index that is built while others write cannot be in a transaction.
 * Whoever loses a race for a step sees an error, waits and asks again, as after any other error. */
#include "db/postgres/vectors.h"

#include "base/log.h"
#include "db/catalogue.h"
#include "rt/fiber.h"

#define ASK_TIMEOUT_US    INT64_C(60000000)
#define NO_TIMEOUT        0
#define PAUSE_US          INT64_C(2000000)
#define PAUSE_US_MAX      INT64_C(300000000)
#define SCRATCH_BYTES_MAX ((size_t)1 << 20)

struct step {
    struct arena arena;
    str name, what;
};

static int keep(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct step *s = w->ctx;
    (void)index;
    (void)err;
    if (pg_row_count(r) == 1) {
        s->name = arena_dup(&s->arena, pg_cell_text(r, 0, 0));
        s->what = arena_dup(&s->arena, pg_cell_text(r, 0, 1));
    }
    return 0;
}

static int ask(struct pg_pool *p, size_t numbers, struct step *out, struct err *err) {
    struct pg_param param = pg_int8((int64_t)numbers);
    struct pg_call call = {.name = "vector_index",
                           .sql = db_postgres_own[PGDB_VECTOR_INDEX_STEP],
                           .params = &param,
                           .param_count = 1};
    struct pg_work w = {.lane = PG_LANE_SLOW,
                        .calls = &call,
                        .call_count = 1,
                        .timeout_us = ASK_TIMEOUT_US,
                        .result = keep,
                        .ctx = out};
    return pg_pool_run(p, &w, err);
}

static bool is(const struct step *s, const char *name) { return str_eq(s->name, str_of(name)); }

/* One step. *out_done: there is nothing more to do. */
static int take_step(struct pg_pool *p, size_t numbers, bool *out_done, struct err *err) {
    struct step s = {.name = {0}};
    arena_init(&s.arena, SCRATCH_BYTES_MAX);
    int code = ask(p, numbers, &s, err);
    *out_done = code == 0 && (is(&s, "ready") || is(&s, "none"));
    if (code == 0 && is(&s, "ready"))
        log_event(LOG_INFO, "store.vectors.index", "queries by meaning have an index",
                  LOG_INT("numbers", (int64_t)numbers));
    else if (code == 0 && is(&s, "none"))
        log_event(LOG_INFO, "store.vectors.no_index", "queries by meaning look at every vector",
                  LOG_STR("why", s.what));
    else if (code == 0 && is(&s, "script")) {
        log_event(LOG_INFO, "store.vectors.step", "towards an index of vectors",
                  LOG_STR("statement", s.what));
        code = pg_pool_script(p, arena_z(&s.arena, s.what), NO_TIMEOUT, err);
    } else if (code == 0)
        code = err_set(err, ERR_CONFLICT, "another process builds it");
    arena_deinit(&s.arena);
    return code;
}

void db_postgres_vector_index(struct pg_pool *p, size_t numbers) {
    int64_t pause_us = PAUSE_US;
    for (bool done = false; !done && !fiber_cancelled();) {
        struct err err = {0};
        int code = take_step(p, numbers, &done, &err);
        if (code == 0) {
            pause_us = PAUSE_US;
            continue;
        }
        log_event(code == ERR_CONFLICT ? LOG_DEBUG : LOG_WARN, "store.vectors.later",
                  "the index of vectors is not made yet", LOG_Z("error", err.message));
        if (fiber_sleep_us(pause_us) < 0)
            return;
        pause_us = 2 * pause_us < PAUSE_US_MAX ? 2 * pause_us : PAUSE_US_MAX;
    }
}
