/* SPDX-License-Identifier: Apache-2.0 */
/* saved_rows.c - rows of LangGraph's tables, made of what the native layout has.
 *
 * The rows are those of sql/postgres/lg_checkpoints.sql: values (kind 1) and writes (kind 2), of
 * one checkpoint, which itself is not among them. A value that is missing is ERR_CORRUPT. */
#include "store/saved_rows.h"

#include "base/base64.h"
#include "base/json.h"
#include "store/lg_checkpoints.h"

#define COLUMNS 7

str saved_encode(struct arena *a, str type, str bytes) {
    return str_eq(type, STR("json")) || bytes.len == 0 ? bytes : base64_encode(a, bytes);
}

bool saved_decode(struct arena *a, str type, str text, str *out_bytes) {
    if (str_eq(type, STR("json")) || text.len == 0) {
        *out_bytes = text;
        return true;
    }
    return base64_decode(a, text, out_bytes);
}

/* 1, '', channel, version, type, blob */
static int value_row(struct store *s, const struct checkpoint *c, yyjson_val *key,
                     struct db_value *cells, struct arena *a, struct err *err) {
    yyjson_val *ref = yyjson_obj_iter_get_val(key);
    str channel = json_str(key), type = json_str(json_get(ref, "t")), bytes;
    str hash = json_str(json_get(ref, "h"));
    yyjson_val *version = json_get_str(json_get(c->lg->root, "channel_versions"), channel);
    struct db_rows rows;
    int rc = db_read(s->db, SQL_CHECKPOINT_VALUE_GET, DB_PARAMS(DB_UUID(c->thread_id), DB_T(hash)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0 || !version || !saved_decode(a, type, db_str(&rows, 0, 0), &bytes))
        return err_set(err, ERR_CORRUPT, "a value of the checkpoint is missing");
    const struct db_value row[COLUMNS] = {DB_I(1),     DB_T(STR("")), DB_T(channel),
                                          DB_T(lg_version_text(a, version)), DB_T(type),
                                          DB_B(bytes), DB_NIL};
    memcpy(cells, row, sizeof(row));
    return 0;
}

/* 2, checkpoint, task, channel, type, blob, path */
static void write_row(const struct checkpoint *c, const struct db_rows *writes, size_t i,
                      struct db_value *cells, struct arena *a) {
    str type = db_str(writes, i, 3), task = db_str(writes, i, 0), bytes;
    struct id id;
    if (id_parse(task, &id))
        task = id_dashed(a, id);
    if (!saved_decode(a, type, db_str(writes, i, 4), &bytes))
        bytes = STR("");
    const struct db_value row[COLUMNS] = {DB_I(2),
                                          DB_T(c->lg->id),
                                          DB_T(task),
                                          DB_T(db_str(writes, i, 2)),
                                          DB_T(type),
                                          DB_B(bytes),
                                          DB_T(db_str(writes, i, 5))};
    memcpy(cells, row, sizeof(row));
}

int saved_rows_read(struct store *s, const struct checkpoint *c, struct arena *a,
                    struct db_rows *out, struct err *err) {
    yyjson_val *refs;
    struct db_rows writes;
    if (json_parse(a, c->channels, &refs, err) < 0)
        return err_set(err, ERR_CORRUPT, "the references of a checkpoint cannot be read");
    int rc = db_read(s->db, SQL_CHECKPOINT_WRITES_OF,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id)), a,
                     &writes, err);
    if (rc < 0)
        return rc;
    size_t count = yyjson_obj_size(refs) + writes.row_count, n = 0;
    struct db_value *cells = ARENA_ARRAY(a, struct db_value, count * COLUMNS + 1);
    yyjson_obj_iter it = yyjson_obj_iter_with(refs);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL; n++) {
        rc = value_row(s, c, key, cells + n * COLUMNS, a, err);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < writes.row_count; i++)
        write_row(c, &writes, i, cells + (n + i) * COLUMNS, a);
    *out = (struct db_rows){.cells = cells, .row_count = count, .col_count = COLUMNS};
    return 0;
}
