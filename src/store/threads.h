/* SPDX-License-Identifier: Apache-2.0 */
/* threads.h - threads: the conversation's row. Its log is history's, its state the checkpoints'.
 * Tests: tests/unit/store/ */
#ifndef HF_STORE_THREADS_H
#define HF_STORE_THREADS_H

#include "model/state.h"
#include "store/store.h"

struct thread {
    struct id id;
    str owner;
    enum thread_status status;
    str metadata, config, interrupts; /* object texts */
    str error;                        /* JSON or absent */
    int64_t seq;                      /* last number of the log */
    struct id checkpoint_id;          /* nil: no checkpoint yet */
    int64_t created_at, updated_at, state_updated_at;
    struct thread_ttl ttl; /* filled by thread_ttl_read; 0: none, or not asked for */
};
enum thread_sort {
    THREAD_BY_UPDATED,
    THREAD_BY_CREATED,
    THREAD_BY_STATE_UPDATED,
    THREAD_BY_ID,
    THREAD_BY_STATUS
};
struct thread_filter {
    str metadata;                     /* containment; absent: any */
    const enum thread_status *status; /* NULL: any */
    const struct id *ids;
    size_t id_count; /* 0: any */
    enum thread_sort sort;
};

struct thread_new {
    struct id id;
    str metadata, config; /* object texts */
    struct thread_ttl ttl;
};
MUST_CHECK int thread_make(struct store *s, const struct principal *who, const struct thread_new *n,
                           bool do_nothing, struct arena *a, struct thread *out,
                           struct err *err); /* ERR_EXISTS "Thread already exists" */
/* The same, with the store's ttl. */
MUST_CHECK int thread_create(struct store *s, const struct principal *who, struct id id,
                             str metadata, str config, bool do_nothing, struct arena *a,
                             struct thread *out, struct err *err);
/* Inserts an idle thread in the caller's batch; fails the batch with ERR_EXISTS. */
void thread_insert_add(struct db_batch *b, const struct principal *who, const struct thread_new *n,
                       int64_t now_us);
MUST_CHECK int thread_get(struct store *s, const struct principal *who, struct id id,
                          struct arena *a, struct thread *out,
                          struct err *err); /* "Thread with ID {id} not found" */
/* Merges metadata; ttl NULL: as it is. */
MUST_CHECK int thread_patch(struct store *s, const struct principal *who, struct id id,
                            str metadata, const struct thread_ttl *ttl, struct arena *a,
                            struct thread *out, struct err *err);
/* Removes the thread with its runs, events, checkpoints, values and lists. */
MUST_CHECK int thread_delete(struct store *s, const struct principal *who, struct id id,
                             struct arena *a, struct err *err);
/* The same; ERR_NOT_FOUND also when it is busy: runs of it may be live. */
MUST_CHECK int thread_delete_unless_busy(struct store *s, const struct principal *who, struct id id,
                                         struct arena *a, struct err *err);
void thread_delete_add(const struct store *s, struct db_batch *b, const struct principal *who,
                       struct id id); /* same, ERR_NOT_FOUND */
/* All but its row and head; behind the statement that deletes these. */
void thread_delete_rest_add(const struct store *s, struct db_batch *b, struct id id);
/* The thread goes some time after due_us, with the periodic work. */
void thread_doom_add(struct db_batch *b, struct id id, int64_t due_us);
/* Deletes up to `limit` threads whose time has come. */
MUST_CHECK int thread_delete_doomed(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                                    int64_t *out_deleted, struct err *err);
/* Of one owner, or of ids. ERR_INVALID when more than THREAD_SORTED_MAX threads would have to be
 * sorted: by state_updated_at, id or status. */
#define THREAD_SORTED_MAX 10000
MUST_CHECK int thread_search(struct store *s, const struct principal *who,
                             const struct thread_filter *f, const struct page *page,
                             struct arena *a, struct thread **out, size_t *out_count,
                             struct err *err);
MUST_CHECK int thread_count(struct store *s, const struct principal *who,
                            const struct thread_filter *f, struct arena *a, int64_t *out,
                            struct err *err);
/* Ids greater than `after` of threads whose metadata contains `metadata`, in their order. */
MUST_CHECK int thread_list_ids(struct store *s, const struct principal *who, str metadata,
                               struct id after, int64_t limit, struct arena *a, struct id **out,
                               size_t *out_count, struct err *err);
/* Ids greater than `after`, of all owners, in their order: for the server's own work. */
MUST_CHECK int thread_walk(struct store *s, struct id after, int64_t limit, struct arena *a,
                           struct id **out, size_t *out_count, struct err *err);
/* ["0123…", …]: ids as a parameter of statements that take many. */
str thread_ids_json(struct arena *a, const struct id *ids, size_t count);
/* Reads the columns that the statements thread_* select, from column `col` on. */
#define THREAD_COLUMN_COUNT 12
void thread_from_row(const struct db_rows *r, size_t row, size_t col, struct thread *out);

#endif
