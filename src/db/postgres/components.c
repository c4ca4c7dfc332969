/* SPDX-License-Identifier: Apache-2.0 */
/* components.c - versions of what a database consists of: the server, extensions, our schema.
 *
 * Server and extensions are rows of one statement (doctor_components), as they are told; the
 * schema's version is how many of this program's migrations are applied. */
#include "db/postgres/doctor.h"
#include "db/postgres/migrate.h"

#define TIMEOUT_US        INT64_C(10000000)
#define SCRATCH_BYTES_MAX ((size_t)1 << 20)

struct asking {
    struct arena *arena;
    component_fn *add;
    void *ctx;
};

static const char *text_at(struct asking *a, const struct pg_result *r, size_t row, size_t col) {
    return arena_z(a->arena, pg_cell_text(r, row, col));
}

static int take(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct asking *a = w->ctx;
    (void)index;
    (void)err; /* nothing here fails */
    for (size_t i = 0; i < pg_row_count(r); i++) {
        const char *command = text_at(a, r, i, 3);
        a->add(a->ctx, &(struct component){.name = text_at(a, r, i, 0),
                                           .installed = text_at(a, r, i, 1),
                                           .wanted = text_at(a, r, i, 2),
                                           .command = command[0] ? command : NULL});
    }
    return 0;
}

static int ask(struct pg_pool *p, struct asking *a, struct err *err) {
    struct pg_call call = {.name = "components", .sql = db_postgres_own[PGDB_DOCTOR_COMPONENTS]};
    struct pg_work w = {.lane = PG_LANE_SLOW,
                        .calls = &call,
                        .call_count = 1,
                        .timeout_us = TIMEOUT_US,
                        .result = take,
                        .ctx = a};
    return pg_pool_run(p, &w, err);
}

static int add_schema(struct pg_pool *p, struct asking *a, struct err *err) {
    struct db_postgres_version *versions;
    size_t applied = 0;
    int code = db_postgres_versions(p, a->arena, &versions, err);
    if (code < 0)
        return code;
    for (size_t i = 0; i < db_postgres_migration_count; i++)
        applied += versions[i].applied;
    a->add(a->ctx, &(struct component){
                       .name = "schema",
                       .installed = arena_printf(a->arena, "%zu", applied).p,
                       .wanted = arena_printf(a->arena, "%zu", db_postgres_migration_count).p,
                       .command = "holdfast migrate up"});
    return 0;
}

int db_postgres_components(struct pg_pool *p, component_fn *add, void *ctx, struct err *err) {
    struct arena arena;
    arena_init(&arena, SCRATCH_BYTES_MAX);
    struct asking a = {&arena, add, ctx};
    int code = ask(p, &a, err);
    if (code == 0)
        code = add_schema(p, &a, err);
    arena_deinit(&arena);
    return code;
}
