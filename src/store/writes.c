/* SPDX-License-Identifier: Apache-2.0 */
/* writes.c - the rows of checkpoint_writes, in either layout.
 *
 * In LangGraph's the bytes are what its savers read; what others wrote there in formats that only
 * they can read is left out: then its task counts as one that has not ended. */
#include "store/writes.h"

#include "base/json.h"
#include "model/lg_value.h"
#include "store/saved_rows.h"

/* The bytes of a native row: see store/saved_rows.h. */
static str bytes_of(const struct store *s, struct arena *a, str type, str value) {
    str bytes = value;
    if (s->layout == CHECKPOINTS_NATIVE && !saved_decode(a, type, value, &bytes))
        return STR("");
    return bytes;
}

static int read_rows(struct store *s, struct id thread_id, str name_space, struct id checkpoint_id,
                     struct arena *a, struct db_rows *rows, struct err *err) {
    return db_read(
        s->db, s->layout == CHECKPOINTS_LANGGRAPH ? SQL_LG_WRITES_OF : SQL_CHECKPOINT_WRITES_OF,
        DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), DB_UUID(checkpoint_id)), a, rows, err);
}

int checkpoint_writes_read(struct store *s, struct id thread_id, str name_space,
                           struct id checkpoint_id, struct arena *a, struct checkpoint_write **out,
                           size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = read_rows(s, thread_id, name_space, checkpoint_id, a, &rows, err);
    if (rc < 0)
        return rc;
    struct checkpoint_write *list = ARENA_ARRAY(a, struct checkpoint_write, rows.row_count + 1);
    size_t count = 0;
    for (size_t i = 0; i < rows.row_count; i++) {
        struct checkpoint_write *w = &list[count];
        str type = db_str(&rows, i, 3), value = bytes_of(s, a, type, db_str(&rows, i, 4));
        *w = (struct checkpoint_write){.idx = (int)db_int(&rows, i, 1),
                                       .channel = db_str(&rows, i, 2),
                                       .task_path = db_str(&rows, i, 5)};
        if (!id_parse(db_str(&rows, i, 0), &w->task_id) ||
            lg_value_read(a, type, value, &w->value, NULL) < 0)
            continue;
        if (!w->value.p)
            w->value = STR("null");
        count++;
    }
    *out = list;
    *out_count = count;
    return 0;
}

void checkpoint_write_add(struct store *s, struct db_batch *b, struct id thread_id, str name_space,
                          struct id checkpoint_id, const struct checkpoint_write *w) {
    bool lg = s->layout == CHECKPOINTS_LANGGRAPH;
    db_batch_add(b, lg ? SQL_LG_WRITE_INSERT : SQL_CHECKPOINT_WRITE_INSERT,
                 DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), DB_UUID(checkpoint_id),
                           DB_UUID(w->task_id), DB_I(w->idx), DB_T(w->channel), DB_T(STR("json")),
                           lg ? DB_B(w->value) : DB_T(w->value),
                           DB_T(w->task_path.p ? w->task_path : STR(""))),
                 DB_EXPECT_NONE);
}
