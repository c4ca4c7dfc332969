/* SPDX-License-Identifier: Apache-2.0 */
/* db_write_read.c - what a step asks to have written, as statements.
 *
 *   {"target", "table", "operation", "values": {column: value} or a list of them,
 *    "where": [{"column", "op", "value"}], "expect_rows": n}
 *
 * A statement holds keywords, identifiers of the configuration in quotes, and places for values;
 * nothing of the step. A value is bound with the type of its column and refused when it is none. */
#include "base/id.h"
#include "model/validate.h"
#include "plans/db_write_int.h"

#define CONDITIONS_MAX 32
#define AMONG_MAX      100
#define PARAMS_MAX     10000 /* of one statement */
#define TEXT_MAX       ((size_t)1 << 20)

enum where_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_IS_NULL };
static const struct word WHERE_OPS[] = {{{"eq", 2}, OP_EQ}, {{"ne", 2}, OP_NE},
                                        {{"lt", 2}, OP_LT}, {{"le", 2}, OP_LE},
                                        {{"gt", 2}, OP_GT}, {{"ge", 2}, OP_GE},
                                        {{"in", 2}, OP_IN}, {{"is_null", 7}, OP_IS_NULL}};
static const struct word_set WHERE_WORDS = {WHERE_OPS, ARRAY_COUNT(WHERE_OPS)};

struct making {
    struct arena *a;
    const struct db_write_table *table;
    bool postgres;
    struct buf sql;
    struct db_foreign_value *params;
    size_t count, cap;
};

static void begin(struct making *m, size_t cap) {
    buf_init(&m->sql, SIZE_MAX / 2);
    m->cap = cap;
    m->count = 0;
    m->params = ARENA_ARRAY(m->a, struct db_foreign_value, cap + 1);
}

static struct db_foreign_stmt finish(struct making *m) {
    buf_char(&m->sql, '\0');
    struct db_foreign_stmt s = {arena_dup(m->a, buf_view(&m->sql)).p, m->params, m->count};
    buf_deinit(&m->sql);
    return s;
}

/* Names of the configuration have letters, digits and underscores alone. */
static void put_name(struct making *m, str name) {
    buf_char(&m->sql, '"');
    buf_str(&m->sql, name);
    buf_char(&m->sql, '"');
}

static str table_sql(struct arena *a, const struct db_write_table *t) {
    if (t->schema.p)
        return arena_printf(a, "\"" STR_FMT "\".\"" STR_FMT "\"", STR_ARG(t->schema),
                            STR_ARG(t->name));
    return arena_printf(a, "\"" STR_FMT "\"", STR_ARG(t->name));
}

/* --- values --- */

static int read_text(str s, size_t max, struct db_foreign_value *out) {
    if (s.len > max || (s.len && memchr(s.p, 0, s.len)))
        return ERR_INVALID;
    out->kind = DB_FOREIGN_STR;
    out->s = s;
    return 0;
}

static int read_number(struct making *m, yyjson_val *v, struct db_foreign_value *out) {
    if (!yyjson_is_num(v))
        return ERR_INVALID;
    out->kind = DB_FOREIGN_REAL;
    out->d = yyjson_get_num(v);
    out->s = json_text(m->a, v);
    return 0;
}

static int read_int(struct making *m, yyjson_val *v, struct db_foreign_value *out) {
    if (!yyjson_is_int(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX))
        return ERR_INVALID;
    out->kind = DB_FOREIGN_INT;
    out->i = yyjson_get_sint(v);
    out->s = json_text(m->a, v);
    return 0;
}

static int read_uuid(struct making *m, yyjson_val *v, struct db_foreign_value *out) {
    struct id id;
    if (!id_parse(json_str(v), &id))
        return ERR_INVALID;
    out->kind = DB_FOREIGN_STR;
    out->s = id_dashed(m->a, id);
    return 0;
}

static int read_kind(struct making *m, enum db_write_type type, yyjson_val *v,
                     struct db_foreign_value *out) {
    switch (type) {
    case DB_WRITE_INTEGER:
        return read_int(m, v, out);
    case DB_WRITE_NUMBER:
        return read_number(m, v, out);
    case DB_WRITE_BOOLEAN:
        out->kind = DB_FOREIGN_INT;
        out->i = yyjson_get_bool(v);
        out->s = out->i ? STR("true") : STR("false");
        return yyjson_is_bool(v) ? 0 : ERR_INVALID;
    case DB_WRITE_JSON:
        return read_text(json_text(m->a, v), TEXT_MAX, out);
    case DB_WRITE_UUID:
        return read_uuid(m, v, out);
    case DB_WRITE_TIMESTAMP:
        return yyjson_is_str(v) ? read_text(json_str(v), 64, out) : ERR_INVALID;
    default:
        return yyjson_is_str(v) ? read_text(json_str(v), TEXT_MAX, out) : ERR_INVALID;
    }
}

static int put_value(struct making *m, const struct db_write_column *c, yyjson_val *v,
                     struct err *err) {
    static const char *const types[] = {"text",    "bigint", "double precision", "boolean",
                                        "jsonb", "timestamptz", "uuid"};
    static const char *const kinds[] = {"a text",    "an integer", "a number", "true or false",
                                        "JSON", "a time", "a UUID"};
    struct db_foreign_value value = {.kind = DB_FOREIGN_NULL};
    if (m->count == m->cap)
        return err_set(err, ERR_INVALID, "there are too many values");
    if (!yyjson_is_null(v) && read_kind(m, c->type, v, &value) < 0)
        return err_set(err, ERR_INVALID, STR_FMT ": must be %s", STR_ARG(c->name),
                       kinds[c->type]);
    m->params[m->count++] = value;
    buf_z(&m->sql, arena_printf(m->a, m->postgres ? "$%zu" : "?%zu", m->count).p);
    if (m->postgres) {
        buf_z(&m->sql, "::");
        buf_z(&m->sql, types[c->type]);
    }
    return 0;
}

static const struct db_write_column *column_of(struct making *m, str name, struct err *err) {
    const struct db_write_column *c = db_write_column(m->table, name);
    if (!c)
        (void)err_set(err, ERR_INVALID, "column " STR_FMT " is not one that may be used",
                      STR_ARG(str_slice(name, 0, 60)));
    return c;
}

/* --- where --- */

static int put_among(struct making *m, const struct db_write_column *c, yyjson_val *list,
                     struct err *err) {
    yyjson_val *item;
    size_t i, n;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > AMONG_MAX)
        return err_set(err, ERR_INVALID, "in: must be a list of 1 to %d values", AMONG_MAX);
    buf_z(&m->sql, " IN (");
    yyjson_arr_foreach(list, i, n, item) {
        if (yyjson_is_null(item))
            return err_set(err, ERR_INVALID, "in: null is asked for by is_null");
        if (i)
            buf_z(&m->sql, ", ");
        int rc = put_value(m, c, item, err);
        if (rc < 0)
            return rc;
    }
    buf_char(&m->sql, ')');
    return 0;
}

static int put_condition(struct making *m, yyjson_val *v, struct err *err) {
    static const char *const signs[] = {" = ", " <> ", " < ", " <= ", " > ", " >= "};
    yyjson_val *value = json_get(v, "value");
    int op;
    const struct db_write_column *c = column_of(m, json_str(json_get(v, "column")), err);
    if (!c)
        return ERR_INVALID;
    if (!word_parse(&WHERE_WORDS, json_str(json_get(v, "op")), &op))
        return word_refuse(&WHERE_WORDS, err);
    put_name(m, c->name);
    if (op == OP_IN)
        return put_among(m, c, value, err);
    if (op == OP_IS_NULL) {
        if (value && !yyjson_is_bool(value))
            return err_set(err, ERR_INVALID, "is_null: must be true or false");
        buf_z(&m->sql, value && !yyjson_get_bool(value) ? " IS NOT NULL" : " IS NULL");
        return 0;
    }
    if (!value || yyjson_is_null(value))
        return err_set(err, ERR_INVALID, "value: null is asked for by is_null");
    buf_z(&m->sql, signs[op]);
    return put_value(m, c, value, err);
}

static int put_where(struct making *m, yyjson_val *where, struct err *err) {
    yyjson_val *item;
    size_t i, n;
    if (yyjson_arr_size(where) == 0)
        return m->table->without_where
                   ? 0
                   : err_set(err, ERR_INVALID, "where: this operation needs a condition");
    yyjson_arr_foreach(where, i, n, item) {
        buf_z(&m->sql, i ? " AND " : " WHERE ");
        int rc = put_condition(m, item, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- statements --- */

static int put_columns(struct making *m, yyjson_val *row, struct err *err) {
    yyjson_val *key, *value;
    size_t i, n;
    yyjson_obj_foreach(row, i, n, key, value) {
        const struct db_write_column *c = column_of(m, json_str(key), err);
        if (!c)
            return ERR_INVALID;
        if (i)
            buf_z(&m->sql, ", ");
        put_name(m, c->name);
    }
    return 0;
}

static void put_conflict(struct making *m, yyjson_val *row) {
    yyjson_val *key, *value;
    size_t i, n, keys = 0, others = 0;
    buf_z(&m->sql, " ON CONFLICT (");
    for (i = 0; i < m->table->column_count; i++) {
        if (!m->table->columns[i].key)
            continue;
        if (keys++)
            buf_z(&m->sql, ", ");
        put_name(m, m->table->columns[i].name);
    }
    buf_z(&m->sql, ") DO ");
    yyjson_obj_foreach(row, i, n, key, value) {
        const struct db_write_column *c = db_write_column(m->table, json_str(key));
        if (c->key)
            continue;
        buf_z(&m->sql, others++ ? ", " : "UPDATE SET ");
        put_name(m, c->name);
        buf_z(&m->sql, " = excluded.");
        put_name(m, c->name);
    }
    if (!others)
        buf_z(&m->sql, "NOTHING");
}

static int make_insert(struct making *m, yyjson_val *row, bool upsert, struct db_foreign_stmt *out,
                       struct err *err) {
    yyjson_val *key, *value;
    size_t i, n;
    begin(m, yyjson_obj_size(row));
    buf_z(&m->sql, "INSERT INTO ");
    buf_str(&m->sql, table_sql(m->a, m->table));
    buf_z(&m->sql, " (");
    int rc = put_columns(m, row, err);
    buf_z(&m->sql, ") VALUES (");
    yyjson_obj_foreach(row, i, n, key, value) {
        if (rc == 0 && i)
            buf_z(&m->sql, ", ");
        if (rc == 0)
            rc = put_value(m, db_write_column(m->table, json_str(key)), value, err);
    }
    buf_char(&m->sql, ')');
    for (i = 0; rc == 0 && upsert && i < m->table->column_count; i++)
        if (m->table->columns[i].key && !yyjson_obj_getn(row, m->table->columns[i].name.p,
                                                         m->table->columns[i].name.len))
            rc = err_set(err, ERR_INVALID, "values: an upsert needs " STR_FMT,
                         STR_ARG(m->table->columns[i].name));
    if (rc == 0 && upsert)
        put_conflict(m, row);
    *out = finish(m);
    return rc;
}

static int make_change(struct making *m, yyjson_val *row, yyjson_val *where,
                       struct db_foreign_stmt *out, struct err *err) {
    yyjson_val *key, *value;
    size_t i, n;
    int rc = 0;
    begin(m, PARAMS_MAX);
    buf_z(&m->sql, row ? "UPDATE " : "DELETE FROM ");
    buf_str(&m->sql, table_sql(m->a, m->table));
    yyjson_obj_foreach(row, i, n, key, value) {
        const struct db_write_column *c = rc == 0 ? column_of(m, json_str(key), err) : NULL;
        if (!c)
            rc = ERR_INVALID;
        if (rc < 0)
            break;
        buf_z(&m->sql, i ? ", " : " SET ");
        put_name(m, c->name);
        buf_z(&m->sql, " = ");
        rc = put_value(m, c, value, err);
    }
    if (rc == 0)
        rc = put_where(m, where, err);
    *out = finish(m);
    return rc;
}

/* So that a table of millions of rows is not changed and changed back. */
static int make_count(struct making *m, yyjson_val *where, int64_t rows_max,
                      struct db_foreign_stmt *out, struct err *err) {
    begin(m, PARAMS_MAX);
    buf_z(&m->sql, "SELECT count(*) FROM (SELECT 1 FROM ");
    buf_str(&m->sql, table_sql(m->a, m->table));
    int rc = put_where(m, where, err);
    buf_z(&m->sql, arena_printf(m->a, " LIMIT %lld) AS met", (long long)rows_max + 1).p);
    *out = finish(m);
    return rc;
}

static int make_rows(struct making *m, yyjson_val *values, struct db_write *out,
                     struct err *err) {
    yyjson_val *row;
    size_t i, n, count = yyjson_is_arr(values) ? yyjson_arr_size(values) : 1;
    if (count == 0 || (int64_t)count > out->job.rows_max)
        return err_set(err, ERR_INVALID, "values: must be 1 to %lld rows",
                       (long long)out->job.rows_max);
    struct db_foreign_stmt *list = ARENA_ARRAY(m->a, struct db_foreign_stmt, count);
    bool upsert = out->op == DB_WRITE_UPSERT;
    out->job.stmts = list;
    out->job.stmt_count = count;
    if (!yyjson_is_arr(values))
        return make_insert(m, values, upsert, &list[0], err);
    yyjson_arr_foreach(values, i, n, row) {
        if (!yyjson_is_obj(row) || yyjson_obj_size(row) == 0)
            return err_set(err, ERR_INVALID, "values: must be objects of columns");
        int rc = make_insert(m, row, upsert, &list[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- the step --- */

static bool may(const struct db_write_target *t, str owner) {
    yyjson_val *item;
    size_t i, n;
    if (!t->owners)
        return true;
    yyjson_arr_foreach(t->owners, i, n, item) {
        if (str_eq(json_str(item), owner))
            return true;
    }
    return false;
}

static int find(const struct db_writes *w, struct arena *a, str owner, str target, str table,
                struct db_write *out, struct err *err) {
    for (size_t i = 0; w && i < w->target_count; i++)
        if (str_eq(w->targets[i].name, target) && may(&w->targets[i], owner))
            out->target = &w->targets[i];
    if (!out->target)
        return err_set(err, ERR_INVALID, "target: is not one that the server allows");
    for (size_t i = 0; i < out->target->table_count; i++) {
        const struct db_write_table *t = &out->target->tables[i];
        str name = t->schema.p ? arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(t->schema),
                                              STR_ARG(t->name))
                               : t->name;
        if (str_eq(name, table))
            out->table = t;
    }
    return out->table ? 0 : err_set(err, ERR_INVALID, "table: is not one that may be written");
}

static int check_members(yyjson_val *input, struct err *err) {
    static const char *const known[] = {"target", "table", "operation",  "values",
                                        "where",  "expect_rows", "_dependsOn"};
    yyjson_val *key, *value;
    size_t i, n;
    yyjson_obj_foreach(input, i, n, key, value) {
        bool found = false;
        for (size_t k = 0; k < ARRAY_COUNT(known); k++)
            found = found || str_eq(json_str(key), str_of(known[k]));
        if (!found)
            return err_set(err, ERR_INVALID, STR_FMT ": is not a member of a write",
                           STR_ARG(str_slice(json_str(key), 0, 60)));
    }
    return 0;
}

static int make(struct making *m, yyjson_val *values, yyjson_val *where, struct db_write *out,
                struct err *err) {
    bool rows = out->op == DB_WRITE_INSERT || out->op == DB_WRITE_UPSERT;
    bool object = yyjson_is_obj(values) && yyjson_obj_size(values) > 0;
    if (rows && where)
        return err_set(err, ERR_INVALID, "where: is not for this operation");
    if (rows && (object || yyjson_is_arr(values)))
        return make_rows(m, values, out, err);
    if (out->op == DB_WRITE_DELETE ? values != NULL : !object)
        return err_set(err, ERR_INVALID, out->op == DB_WRITE_DELETE
                                             ? "values: are not for this operation"
                                             : "values: must be an object of columns");
    if (where && (!yyjson_is_arr(where) || yyjson_arr_size(where) > CONDITIONS_MAX))
        return err_set(err, ERR_INVALID, "where: must be a list of at most %d conditions",
                       CONDITIONS_MAX);
    struct db_foreign_stmt *one = ARENA_NEW(m->a, struct db_foreign_stmt);
    out->job.stmts = one;
    out->job.stmt_count = 1;
    int rc = make_change(m, out->op == DB_WRITE_UPDATE ? values : NULL, where, one, err);
    return rc < 0 ? rc : make_count(m, where, out->job.rows_max, &out->job.count, err);
}

int db_write_read(const struct db_writes *w, struct arena *a, str owner, yyjson_val *input,
                  struct db_write *out, struct err *err) {
    struct body b;
    int op;
    *out = (struct db_write){0};
    body_init(&b, a, input);
    str target = body_str_required(&b, "target"), table = body_str_required(&b, "table");
    str operation = body_str_required(&b, "operation");
    out->job.expect_rows =
        body_int(&b, "expect_rows", (struct body_range){0, DB_WRITE_ROWS_MAX, -1});
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = check_members(input, err);
    if (rc == 0)
        rc = find(w, a, owner, target, table, out, err);
    if (rc == 0 && (!word_parse(&DB_WRITE_OPS, operation, &op) || !(out->table->ops & 1u << op)))
        rc = err_set(err, ERR_INVALID, "operation: is not one that this table allows");
    if (rc < 0)
        return rc;
    out->op = (enum db_write_op)op;
    out->needs_approval = (out->table->approval & 1u << op) != 0;
    out->job.rows_max = out->table->rows_max;
    out->job.table = out->table->name;
    out->job.table_sql = table_sql(a, out->table);
    struct making m = {.a = a, .table = out->table, .postgres = !out->target->file};
    return make(&m, json_get(input, "values"), json_get(input, "where"), out, err);
}
