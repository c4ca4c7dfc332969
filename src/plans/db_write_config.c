/* SPDX-License-Identifier: Apache-2.0 */
/* db_write_config.c - the operator's list of what steps may write.
 *
 * Everything is checked when the server starts: names are plain identifiers, schemas of the server
 * and of the database itself are refused, operations and types are words of a list. */
#include "model/validate.h"
#include "model/words.h"
#include "plans/db_write_int.h"

#define TARGETS_MAX  32
#define TABLES_MAX   200
#define COLUMNS_MAX  200
#define NAME_MAX_LEN 63
#define ROWS_DEFAULT 100

static const struct word OPS[] = {{{"insert", 6}, DB_WRITE_INSERT},
                                  {{"update", 6}, DB_WRITE_UPDATE},
                                  {{"delete", 6}, DB_WRITE_DELETE},
                                  {{"upsert", 6}, DB_WRITE_UPSERT}};
static const struct word TYPES[] = {
    {{"text", 4}, DB_WRITE_TEXT},       {{"integer", 7}, DB_WRITE_INTEGER},
    {{"number", 6}, DB_WRITE_NUMBER},   {{"boolean", 7}, DB_WRITE_BOOLEAN},
    {{"json", 4}, DB_WRITE_JSON},       {{"timestamp", 9}, DB_WRITE_TIMESTAMP},
    {{"uuid", 4}, DB_WRITE_UUID}};
const struct word_set DB_WRITE_OPS = {OPS, ARRAY_COUNT(OPS)};
static const struct word_set TYPE_WORDS = {TYPES, ARRAY_COUNT(TYPES)};

static bool is_name(str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0 && s.len <= NAME_MAX_LEN;
}

static bool is_own(str schema, str name) {
    static const char *const schemas[] = {"holdfast", "langgraph_server", "information_schema"};
    for (size_t i = 0; i < ARRAY_COUNT(schemas); i++)
        if (str_ieq(schema, str_of(schemas[i])))
            return true;
    return str_ieq(str_slice(schema, 0, 3), STR("pg_")) ||
           str_ieq(str_slice(name, 0, 3), STR("pg_")) ||
           str_ieq(str_slice(name, 0, 7), STR("sqlite_")) ||
           str_ieq(str_slice(name, 0, 9), STR("holdfast_"));
}

static int read_ops(yyjson_val *list, unsigned *out, struct err *err) {
    yyjson_val *item;
    size_t i, n;
    int op;
    *out = 0;
    if (!yyjson_is_arr(list))
        return err_set(err, ERR_INVALID, "must be a list of operations");
    yyjson_arr_foreach(list, i, n, item) {
        if (!word_parse(&DB_WRITE_OPS, json_str(item), &op))
            return word_refuse(&DB_WRITE_OPS, err);
        *out |= 1u << op;
    }
    return 0;
}

static int read_columns(struct arena *a, yyjson_val *v, struct db_write_table *t,
                        struct err *err) {
    yyjson_val *key, *type;
    size_t i, n;
    int word;
    if (!yyjson_is_obj(v) || yyjson_obj_size(v) == 0 || yyjson_obj_size(v) > COLUMNS_MAX)
        return err_set(err, ERR_INVALID, "columns: must be an object of 1 to %d types",
                       COLUMNS_MAX);
    struct db_write_column *list = ARENA_ARRAY(a, struct db_write_column, yyjson_obj_size(v));
    yyjson_obj_foreach(v, i, n, key, type) {
        str name = json_str(key);
        if (!is_name(name))
            return err_set(err, ERR_INVALID, "columns: " STR_FMT " is no identifier",
                           STR_ARG(str_slice(name, 0, 60)));
        if (!word_parse(&TYPE_WORDS, json_str(type), &word)) {
            (void)word_refuse(&TYPE_WORDS, err);
            return err_context(err, "columns.%.60s", name.p);
        }
        list[i] = (struct db_write_column){.name = name, .type = (enum db_write_type)word};
    }
    t->columns = list;
    t->column_count = yyjson_obj_size(v);
    return 0;
}

static int read_key(yyjson_val *v, struct db_write_table *t, struct err *err) {
    yyjson_val *item;
    size_t i, n;
    if (v && !yyjson_is_arr(v))
        return err_set(err, ERR_INVALID, "key: must be a list of columns");
    yyjson_arr_foreach(v, i, n, item) {
        struct db_write_column *c =
            (struct db_write_column *)db_write_column(t, json_str(item));
        if (!c || c->key)
            return err_set(err, ERR_INVALID, "key: must name columns of the table");
        c->key = true;
        t->key_count++;
    }
    if ((t->ops & 1u << DB_WRITE_UPSERT) && !t->key_count)
        return err_set(err, ERR_INVALID, "key: an upsert needs one");
    return 0;
}

const struct db_write_column *db_write_column(const struct db_write_table *t, str name) {
    for (size_t i = 0; i < t->column_count; i++)
        if (str_eq(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

static int read_name(str name, struct db_write_table *t, struct err *err) {
    ptrdiff_t dot = str_find_char(name, '.');
    t->schema = dot < 0 ? STR_NULL : str_slice(name, 0, (size_t)dot);
    t->name = dot < 0 ? name : str_slice(name, (size_t)dot + 1, name.len);
    if (!is_name(t->name) || (dot >= 0 && !is_name(t->schema)))
        return err_set(err, ERR_INVALID, "is no identifier");
    return is_own(t->schema, t->name) ? err_set(err, ERR_INVALID, "is never written by steps") : 0;
}

static int read_table(struct arena *a, str name, yyjson_val *v, struct db_write_table *t,
                      struct err *err) {
    struct body b;
    *t = (struct db_write_table){0};
    int rc = read_name(name, t, err);
    if (rc < 0)
        return rc;
    body_init(&b, a, v);
    t->rows_max =
        body_int(&b, "rows_max", (struct body_range){1, DB_WRITE_ROWS_MAX, ROWS_DEFAULT});
    t->without_where = body_bool(&b, "without_where", false);
    yyjson_val *approval = body_get(&b, "approval");
    rc = body_done(&b, err);
    if (rc == 0) {
        rc = read_ops(json_get(v, "operations"), &t->ops, err);
        if (rc < 0)
            return err_context(err, "operations");
    }
    if (rc == 0)
        rc = read_columns(a, json_get(v, "columns"), t, err);
    if (rc == 0)
        rc = read_key(json_get(v, "key"), t, err);
    if (rc < 0 || !approval)
        return rc;
    if (yyjson_is_bool(approval)) {
        t->approval = yyjson_get_bool(approval) ? ~0u : 0;
        return 0;
    }
    rc = read_ops(approval, &t->approval, err);
    return rc < 0 ? err_context(err, "approval") : 0;
}

static int read_place(struct arena *a, yyjson_val *v, db_write_env_fn env,
                      struct db_write_target *t, struct err *err) {
    str file = json_str(json_get(v, "file")), variable = json_str(json_get(v, "url_env"));
    if ((file.len > 0) == (variable.len > 0))
        return err_set(err, ERR_INVALID, "must have one of file and url_env");
    if (file.len) {
        t->file = arena_z(a, file);
        return 0;
    }
    str url;
    if (!env(a, variable, &url) || !url.len)
        return err_set(err, ERR_INVALID, "url_env: the variable " STR_FMT " is not set",
                       STR_ARG(str_slice(variable, 0, 60)));
    if (!str_starts(url, STR("postgres://")) && !str_starts(url, STR("postgresql://")))
        return err_set(err, ERR_INVALID, "url_env: must hold a URL of PostgreSQL");
    t->url = arena_z(a, url);
    return 0;
}

static int read_target(struct arena *a, str name, yyjson_val *v, db_write_env_fn env,
                       struct db_write_target *t, struct err *err) {
    yyjson_val *tables = json_get(v, "tables"), *key, *value;
    size_t i, n;
    *t = (struct db_write_target){.name = name, .owners = json_get(v, "owners")};
    if (!is_name(name))
        return err_set(err, ERR_INVALID, "is no identifier");
    if (t->owners && !yyjson_is_arr(t->owners))
        return err_set(err, ERR_INVALID, "owners: must be a list of texts");
    int rc = read_place(a, v, env, t, err);
    if (rc == 0 && (!yyjson_is_obj(tables) || yyjson_obj_size(tables) > TABLES_MAX))
        rc = err_set(err, ERR_INVALID, "tables: must be an object of at most %d", TABLES_MAX);
    if (rc < 0)
        return rc;
    t->tables = ARENA_ARRAY(a, struct db_write_table, yyjson_obj_size(tables) + 1);
    yyjson_obj_foreach(tables, i, n, key, value) {
        rc = read_table(a, json_str(key), value, &t->tables[t->table_count++], err);
        if (rc < 0)
            return err_context(err, "table %.60s", json_str(key).p);
        if (t->file && t->tables[i].schema.p)
            return err_set(err, ERR_INVALID, "table %.60s: a SQLite file has no schemas",
                           json_str(key).p);
    }
    return 0;
}

int db_writes_parse(struct arena *a, str text, db_write_env_fn env, struct db_writes *out,
                    struct err *err) {
    yyjson_val *root, *key, *value;
    size_t i, n;
    *out = (struct db_writes){0};
    int rc = json_parse(a, arena_dup(a, text), &root, err);
    yyjson_val *targets = rc == 0 ? json_get(root, "targets") : NULL;
    if (rc == 0 && (!yyjson_is_obj(targets) || yyjson_obj_size(targets) > TARGETS_MAX))
        rc = err_set(err, ERR_INVALID, "targets: must be an object of at most %d", TARGETS_MAX);
    if (rc < 0)
        return rc;
    out->targets = ARENA_ARRAY(a, struct db_write_target, yyjson_obj_size(targets) + 1);
    yyjson_obj_foreach(targets, i, n, key, value) {
        rc = read_target(a, json_str(key), value, env, &out->targets[out->target_count++], err);
        if (rc < 0)
            return err_context(err, "target %.60s", json_str(key).p);
    }
    return 0;
}

void db_writes_close(struct db_writes *w) {
    for (size_t i = 0; w && i < w->target_count; i++)
        if (w->targets[i].db)
            w->targets[i].db->close(w->targets[i].db);
}
