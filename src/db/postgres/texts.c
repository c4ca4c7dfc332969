/* SPDX-License-Identifier: Apache-2.0 */
/* texts.c - the catalogue's statements, ready to be sent: schema named, types known.
 *
 * Each statement has up to six texts: plain, for many look-ups at once (gather.c), for many
 * executions at once (group.c), and for the expectations "must change" and "no row", which the
 * server checks (the commit rides along with the statements, so nobody here could). The server
 * describes every one of them at the start: a wrong statement stops the start by its name, and
 * values are bound by the types that it says.
 *
 * A text can carry the group's witness (writer.c), as a part of its WITH list that nothing else
 * looks at: one execution less for each group. Its parameters follow the text's own. Which of the
 * two parts runs first does not matter: both are done, or neither.
 *
 * LangGraph's checkpoint tables stand in a schema of the operator's choice: statements write
 * `lg_checkpoints.`, which is replaced by the quoted name. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/postgres/migrate.h"
#include "db/postgres/pgdb_int.h"

#define TEXTS_BYTES_MAX ((size_t)64 << 20)

static const char *catalogue_text(size_t stmt, enum pgdb_form form) {
    const struct db_statement *s = &db_catalogue[stmt];
    switch (form) {
    case PGDB_PLAIN:
        return s->postgres;
    case PGDB_CHANGES:
        return s->postgres_changes;
    case PGDB_NO_ROW:
        return s->postgres_no_row;
    case PGDB_TOGETHER:
        return s->postgres_together;
    case PGDB_ARRAYS:
        return s->postgres_arrays;
    case PGDB_ARRAYS_CHANGES:
        return s->postgres_arrays_changes;
    case PGDB_FORM_COUNT:
        break;
    }
    UNREACHABLE();
}

static int check(const char *name, const struct pg_described *d, struct err *err) {
    for (size_t i = 0; i < d->column_count; i++)
        if (!pgdb_column_known(d->column_oids[i]))
            return err_set(err, ERR_INTERNAL,
                           "statement %s: column %zu has type %u, which the driver does not read",
                           name, i + 1, d->column_oids[i]);
    return 0;
}

static int keep(struct pgdb_texts *t, size_t stmt, enum pgdb_form form,
                const struct pg_described *d, struct err *err) {
    const struct db_statement *s = &db_catalogue[stmt];
    struct pgdb_text *text = &t->of[stmt][form];
    if (d->param_count != (size_t)s->param_count)
        return err_set(err, ERR_INTERNAL, "statement %s: the server sees %zu parameters, not %d",
                       s->name, d->param_count, s->param_count);
    for (size_t i = 0; pgdb_only_many(s) && i < d->param_count; i++)
        if (pg_element_of(d->param_oids[i]) == 0)
            return err_set(err, ERR_INTERNAL,
                           "statement %s: parameter %zu of a statement for many is no array",
                           s->name, i + 1);
    const uint32_t *one = t->of[stmt][PGDB_PLAIN].param_oids;
    for (size_t i = 0; form >= PGDB_TOGETHER && i < d->param_count; i++)
        if (pg_element_of(d->param_oids[i]) != one[i])
            return err_set(err, ERR_INTERNAL, "statement %s: parameter %zu has type %u, not %u",
                           s->name, i + 1, one[i], pg_element_of(d->param_oids[i]));
    text->param_oids = d->param_oids;
    text->column_count = d->column_count;
    return check(s->name, d, err);
}

int pgdb_texts_open(struct pgdb *d, struct err *err) {
    struct pgdb_texts *t = &d->texts;
    const char *schema = d->options.checkpoint_schema;
    size_t count = 0, failed_at = SIZE_MAX;
    const char **sqls = ARENA_ARRAY(&t->arena, const char *, SQL_COUNT *PGDB_FORM_COUNT);
    size_t *places = ARENA_ARRAY(&t->arena, size_t, SQL_COUNT * PGDB_FORM_COUNT);
    for (size_t s = 0; s < SQL_COUNT; s++)
        for (size_t f = 0; f < PGDB_FORM_COUNT; f++) {
            const char *sql = catalogue_text(s, (enum pgdb_form)f);
            if (!sql)
                continue;
            t->of[s][f].sql = db_postgres_with_schema(&t->arena, sql, schema);
            places[count] = s * PGDB_FORM_COUNT + f;
            sqls[count++] = t->of[s][f].sql;
        }
    struct pg_described *described = ARENA_ARRAY(&t->arena, struct pg_described, count + 1);
    int64_t start_us = clock_mono_us();
    int code = pg_pool_describe(d->pool, sqls, count, &t->arena, described, &failed_at, err);
    if (code < 0 && failed_at < count)
        return err_context(err, "statement %s",
                           db_catalogue[places[failed_at] / PGDB_FORM_COUNT].name),
               code;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = keep(t, places[i] / PGDB_FORM_COUNT, (enum pgdb_form)(places[i] % PGDB_FORM_COUNT),
                    &described[i], err);
    if (code == 0)
        log_event(LOG_DEBUG, "db.statements", "all statements are known to the server",
                  LOG_INT("count", (int64_t)count), LOG_INT("us", clock_mono_us() - start_us));
    return code;
}

/* The witness with its parameters moved behind `own` others. */
static void write_witness(struct buf *b, size_t own) {
    for (const char *p = db_postgres_own[PGDB_WRITER_ADVANCE]; *p; p++) {
        if (*p != '$') {
            buf_char(b, *p);
            continue;
        }
        p++; /* it has less than ten */
        buf_printf(b, "$%zu", own + (size_t)(*p - '0'));
    }
}

/* One that divides could fail as the witness does. */
static bool can_carry(const char *sql) {
    return !strpbrk(sql, "/%") && !str_starts(str_of(sql), STR("WITH RECURSIVE"));
}

const char *pgdb_text_witnessed(struct pgdb_texts *t, struct pgdb_text *text, size_t param_count) {
    if (!text->witnessed && can_carry(text->sql)) {
        bool list = str_starts(str_of(text->sql), STR("WITH "));
        struct buf b;
        buf_init(&b, TEXTS_BYTES_MAX);
        buf_z(&b, "WITH hf_witness AS (");
        write_witness(&b, param_count);
        buf_z(&b, list ? "), " : ") ");
        buf_z(&b, list ? text->sql + strlen("WITH ") : text->sql);
        text->witnessed = arena_take(&t->arena, &b).p;
    }
    return text->witnessed;
}

void pgdb_texts_close(struct pgdb_texts *t) { arena_deinit(&t->arena); }
