/* SPDX-License-Identifier: Apache-2.0 */
/* thread_copy.c - a copy of a thread.
 *
 * One batch of statements that move rows inside the database: nothing of a large thread comes
 * through this process. The first one makes the copy's row from the source's, under the owner's
 * condition; when there is no source the batch fails before anything is moved. */
#include "base/clock.h"
#include "store/thread_ops.h"

int thread_copy(struct store *s, const struct principal *who, struct id source, struct id id,
                struct arena *a, struct err *err) {
    static const enum db_stmt rest[] = {SQL_THREAD_COPY_VALUES, SQL_THREAD_COPY_LISTS,
                                        SQL_THREAD_COPY_WRITES, SQL_SAVED_RUNS_COPY};
    str named = arena_printf(a, "{\"thread_id\":\"" STR_FMT "\"}", STR_ARG(id_dashed(a, id)));
    struct db_batch b;
    int64_t now = clock_wall_us();
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_THREAD_COPY,
                 DB_PARAMS(DB_UUID(id), DB_UUID(source), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)), DB_T(named), DB_I(now)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&b, SQL_THREAD_COPY_CHECKPOINTS,
                 DB_PARAMS(DB_UUID(id), DB_UUID(source), DB_T(named)), DB_EXPECT_NONE);
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++)
        db_batch_add(&b, rest[i], DB_PARAMS(DB_UUID(id), DB_UUID(source)), DB_EXPECT_NONE);
    store_ride(s, &b, now);
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND, "Thread not found") : rc;
}
