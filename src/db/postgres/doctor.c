/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.c - looks a PostgreSQL database over.
 *
 * Each section is one statement of sql/postgres/driver/doctor.sql, whose rows are findings as they
 * are printed. A new check: a statement there and a row of `sections`; or a function, when it is
 * more than a statement, as versions and invalid indexes are. Sections that look at our own tables
 * are left out while versions are missing. */
#include "db/postgres/doctor.h"

#include "db/postgres/migrate.h"

#define TIMEOUT_US INT64_C(600000000)
#define SCRATCH_BYTES_MAX ((size_t)16 << 20)

enum parameter { NONE, CONNECTIONS, SCHEMA };

static const struct {
    const char *title;
    enum db_postgres_own text;
    enum parameter parameter;
    bool needs_schema; /* reads tables of ours */
} sections[] = {
    {"server", PGDB_DOCTOR_SERVER, CONNECTIONS, false},
    {"activity", PGDB_DOCTOR_ACTIVITY, NONE, false},
    {"indexes: scans, tuples read, size", PGDB_DOCTOR_INDEXES, SCHEMA, false},
    {"disk", PGDB_DOCTOR_SIZES, SCHEMA, false},
    {"dead rows", PGDB_DOCTOR_DEAD_ROWS, SCHEMA, false},
    {"bloat, estimated", PGDB_DOCTOR_BLOAT, SCHEMA, false},
    {"orphans", PGDB_DOCTOR_ORPHANS, NONE, true},
};

struct asking {
    const struct db_postgres_doctor *d;
    const char *title;
    bool yes; /* of a question whose answer is a boolean */
    size_t findings;
};

static void tell(const struct db_postgres_doctor *d, const char *section,
                 enum db_postgres_level level, str what, str detail) {
    d->found(d->ctx, &(struct db_postgres_finding){section, level, what, detail});
}

static enum db_postgres_level level_of(str word) {
    return str_eq(word, STR("ill"))    ? DOCTOR_ILL
           : str_eq(word, STR("warn")) ? DOCTOR_WARN
           : str_eq(word, STR("ok"))   ? DOCTOR_OK
                                       : DOCTOR_INFO;
}

static int take(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct asking *a = w->ctx;
    (void)index;
    (void)err;
    if (pg_column_count(r) == 1) {
        a->yes = pg_row_count(r) > 0 && pg_cell_int(r, 0, 0) != 0;
        return 0;
    }
    a->findings += pg_row_count(r);
    for (size_t i = 0; i < pg_row_count(r); i++)
        tell(a->d, a->title, level_of(pg_cell_text(r, i, 0)), pg_cell_text(r, i, 1),
             pg_cell_text(r, i, 2));
    return 0;
}

static int ask(struct pg_pool *p, const struct db_postgres_doctor *d, const char *title,
               enum db_postgres_own text, enum parameter parameter, bool *yes, struct err *err) {
    struct asking a = {.d = d, .title = title};
    struct pg_param param = parameter == CONNECTIONS ? pg_int8(d->connections)
                                                     : pg_text(str_of(d->checkpoint_schema));
    struct pg_call call = {.name = "doctor",
                           .sql = db_postgres_own[text],
                           .params = &param,
                           .param_count = parameter != NONE};
    struct pg_work w = {.lane = PG_LANE_SLOW,
                        .calls = &call,
                        .call_count = 1,
                        .timeout_us = TIMEOUT_US,
                        .result = take,
                        .ctx = &a};
    int code = pg_pool_run(p, &w, err);
    if (yes)
        *yes = a.yes;
    else if (code == 0 && a.findings == 0)
        tell(d, title, DOCTOR_OK, STR("none"), STR(""));
    return code < 0 ? (err_context(err, "%s", title), code) : 0;
}

/* Whether our tables are those of this program. */
static int look_at_versions(struct pg_pool *p, const struct db_postgres_doctor *d, struct arena *a,
                            bool *out_complete, struct err *err) {
    struct db_postgres_version *versions;
    struct err why = {0};
    size_t missing = 0;
    int code = db_postgres_versions(p, a, &versions, &why);
    *out_complete = false;
    if (code == ERR_UNSUPPORTED || code == ERR_CONFLICT) {
        tell(d, "schema", DOCTOR_ILL, STR("versions"), str_of(why.message));
        return 0;
    }
    if (code < 0) {
        if (err)
            *err = why;
        return code;
    }
    for (size_t i = 0; i < db_postgres_migration_count; i++)
        missing += !versions[i].applied;
    *out_complete = missing == 0;
    tell(d, "schema", missing ? DOCTOR_ILL : DOCTOR_OK, STR("versions"),
         missing ? arena_printf(a, "%zu of %zu are missing: holdfast migrate up", missing,
                                db_postgres_migration_count)
                 : arena_printf(a, "all %zu are applied", db_postgres_migration_count));
    return 0;
}

static int look_at_invalid(struct pg_pool *p, const struct db_postgres_doctor *d, struct arena *a,
                           struct err *err) {
    struct db_postgres_index *found;
    size_t count;
    int code = db_postgres_invalid_read(p, d->checkpoint_schema, a, &found, &count, err);
    for (size_t i = 0; code == 0 && i < count; i++)
        tell(d, "schema", found[i].ours ? DOCTOR_ILL : DOCTOR_WARN, found[i].written,
             found[i].ours ? STR("is invalid: holdfast migrate up builds it again")
                           : STR("is invalid, and not one of ours: drop it or build it again"));
    if (code == 0 && count == 0)
        tell(d, "schema", DOCTOR_OK, STR("invalid indexes"), STR("none"));
    return code;
}

static int look_at_statements(struct pg_pool *p, const struct db_postgres_doctor *d,
                              struct err *err) {
    static const char title[] = "statements with a mean above 100 ms";
    bool there = false;
    int code = ask(p, d, title, PGDB_DOCTOR_HAS_STATEMENTS, NONE, &there, err);
    if (code == 0 && !there)
        tell(d, title, DOCTOR_INFO, STR("pg_stat_statements"),
             STR("is not installed in this database: nothing is known"));
    return code == 0 && there ? ask(p, d, title, PGDB_DOCTOR_SLOW, NONE, NULL, err) : code;
}

int db_postgres_doctor(struct pg_pool *p, const struct db_postgres_doctor *d, struct err *err) {
    struct arena a;
    bool complete = false;
    arena_init(&a, SCRATCH_BYTES_MAX);
    int code = look_at_versions(p, d, &a, &complete, err);
    if (code == 0)
        code = look_at_invalid(p, d, &a, err);
    for (size_t i = 0; code == 0 && i < ARRAY_COUNT(sections); i++)
        if (complete || !sections[i].needs_schema)
            code = ask(p, d, sections[i].title, sections[i].text, sections[i].parameter, NULL, err);
    if (code == 0)
        code = look_at_statements(p, d, err);
    arena_deinit(&a);
    return code;
}
