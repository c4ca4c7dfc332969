/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - rows of the inbox: who may deliver, and what was delivered.
 *
 * A delivery is made by the batch that also makes what comes of it, under its source and key; the
 * unique index lets one batch through. What has expired gives way to what comes again.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_inbox.c, tests/integration/run-plan-inbox */
#ifndef HF_STORE_INBOX_H
#define HF_STORE_INBOX_H

#include "model/inbox.h"
#include "store/store.h"

#define INBOX_SOURCE_COUNT_MAX 100 /* of one owner */

struct inbox_source {
    struct id id;
    str owner, name;
    struct inbox_rule rule;
    str action;  /* JSON object */
    str origins; /* JSON list: who may ask whether it agrees to be delivered to; absent: nobody */
    int64_t retention_us, version, created_at, updated_at;
};

/* ERR_LIMIT: the owner has INBOX_SOURCE_COUNT_MAX; ERR_EXISTS: one of this name. */
MUST_CHECK int inbox_source_create(struct store *s, struct inbox_source *h, struct arena *a,
                                   struct err *err);
MUST_CHECK int inbox_source_list(struct store *s, const struct principal *who, struct arena *a,
                                 struct inbox_source **out, size_t *out_count, struct err *err);
MUST_CHECK int inbox_source_get(struct store *s, const struct principal *who, struct id id,
                                struct arena *a, struct inbox_source *out, struct err *err);
/* Over the version that was read. ERR_CONFLICT: it is another by now. */
MUST_CHECK int inbox_source_update(struct store *s, const struct principal *who,
                                   struct inbox_source *h, struct arena *a, struct err *err);
/* With what it brought. */
MUST_CHECK int inbox_source_delete(struct store *s, const struct principal *who, struct id id,
                                   struct arena *a, struct err *err);

enum inbox_status { INBOX_KEPT, INBOX_STARTED, INBOX_FAILED };
extern const struct word_set INBOX_STATUSES;

struct inbox_delivery {
    struct id id, source_id;
    str owner, key, digest; /* of what was delivered: another digest is another delivery */
    str event;              /* JSON object */
    enum inbox_status status;
    struct id thread_id, run_id; /* nil: nothing was started */
    str error;                   /* absent: none */
    int64_t received_at, expires_at;
};

/* Fails the batch with ERR_REPEATED when the key is in use, or the source is gone. */
void inbox_put_add(struct db_batch *b, const struct inbox_delivery *d);
MUST_CHECK int inbox_put(struct store *s, const struct inbox_delivery *d, struct arena *a,
                         struct err *err);
/* One that had failed. Fails the batch with ERR_REPEATED when it has not (any more). */
void inbox_again_add(struct db_batch *b, const struct inbox_delivery *d);
MUST_CHECK int inbox_again(struct store *s, const struct inbox_delivery *d, struct arena *a,
                           struct err *err);
/* out_found false: the key is free. Only id and digest are filled. */
MUST_CHECK int inbox_find(struct store *s, struct id source_id, str key, int64_t now_us,
                          struct arena *a, bool *out_found, struct inbox_delivery *out,
                          struct err *err);
MUST_CHECK int inbox_get(struct store *s, const struct principal *who, struct id id,
                         struct arena *a, struct inbox_delivery *out, struct err *err);
struct inbox_filter {
    struct id source_id, before; /* nil: any, from the newest on */
    bool failed;                 /* only those; source_id is then not looked at */
    int64_t limit;
};
/* Of one owner, newest first. */
MUST_CHECK int inbox_list(struct store *s, const struct principal *who,
                          const struct inbox_filter *f, struct arena *a,
                          struct inbox_delivery **out, size_t *out_count, struct err *err);
MUST_CHECK int inbox_delete(struct store *s, const struct principal *who, struct id id,
                            struct arena *a, struct err *err);
/* Deletes up to `limit` that have expired. */
MUST_CHECK int inbox_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                           int64_t *out_deleted, struct err *err);

#endif
