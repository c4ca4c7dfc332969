/* SPDX-License-Identifier: Apache-2.0 */
/* thread_storage.c - what a thread takes up.
 *
 * The database counts: rows (part, name, count, bytes), those of channels under their names. A part
 * that it does not have is missing and counts nothing. Nothing large is read: lengths come from the
 * heads of rows, on PostgreSQL as they are stored. */
#include "store/thread_ops.h"

static struct storage_part *part_of(struct thread_storage *t, str name) {
    const struct {
        str name;
        struct storage_part *part;
    } parts[] = {
        {STR("checkpoints"), &t->checkpoints},
        {STR("values"), &t->values},
        {STR("writes"), &t->writes},
        {STR("log"), &t->log},
        {STR("runs"), &t->runs},
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        if (str_eq(parts[i].name, name))
            return parts[i].part;
    UNREACHABLE();
}

int thread_storage(struct store *s, struct id id, struct arena *a, struct thread_storage *out,
                   struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_THREAD_STORAGE, DB_PARAMS(DB_UUID(id)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = (struct thread_storage){
        .channels = ARENA_ARRAY(a, struct storage_channel, rows.row_count + 1)};
    for (size_t i = 0; i < rows.row_count; i++) {
        str part = db_str(&rows, i, 0), name = db_str(&rows, i, 1);
        struct storage_part counted = {db_int(&rows, i, 2), db_int(&rows, i, 3)};
        if (str_eq(part, STR("channel")))
            out->channels[out->channel_count++] = (struct storage_channel){name, counted};
        else
            *part_of(out, part) = counted;
    }
    return 0;
}
