/* SPDX-License-Identifier: Apache-2.0 */
/* waiting_words.c - gives a full-text index the words that wait for it, some at a time.
 *
 * Each time is a batch of its own, so that the writer is never held for long. A search takes all
 * that waited when it began, and no more: what comes meanwhile could go on for ever. */
#include "store/waiting_words.h"

#define BATCH 200 /* texts: the writer is held for some milliseconds */

static int last_waiting(struct store *s, const struct waiting_words *w, struct arena *a,
                        int64_t *out, struct err *err) {
    struct db_rows rows;
    *out = 0;
    if (!db_knows(s->db, w->take))
        return 0;
    int rc = db_read(s->db, w->waiting, NULL, 0, a, &rows, err);
    if (rc == 0)
        *out = db_int(&rows, 0, 0);
    return rc;
}

static int take_some(struct store *s, const struct waiting_words *w, int64_t last, int64_t limit,
                     struct arena *a, int64_t *out_done, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, w->take, DB_PARAMS(DB_I(last), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    *out_done = rc == 0 ? b.ops[0].changed : 0;
    return rc;
}

int waiting_words_take(struct store *s, const struct waiting_words *w, int64_t limit,
                       struct arena *a, int64_t *out_done, struct err *err) {
    int64_t last;
    *out_done = 0;
    int rc = last_waiting(s, w, a, &last, err);
    return rc == 0 && last > 0 ? take_some(s, w, last, limit, a, out_done, err) : rc;
}

int waiting_words_take_all(struct store *s, const struct waiting_words *w, struct arena *a,
                           struct err *err) {
    int64_t last, done = BATCH;
    int rc = last_waiting(s, w, a, &last, err);
    while (rc == 0 && last > 0 && done == BATCH)
        rc = take_some(s, w, last, BATCH, a, &done, err);
    return rc;
}
