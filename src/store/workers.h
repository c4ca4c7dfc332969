/* SPDX-License-Identifier: Apache-2.0 */
/* workers.h - processes that execute runs: registration, leases, who does the periodic work.
 *
 * A worker is alive while its lease runs by the database's clock (the process's on SQLite). A lease
 * that is over is never renewed: its process takes a new id. Tests: tests/unit/store/ */
#ifndef HF_STORE_WORKERS_H
#define HF_STORE_WORKERS_H

#include "store/store.h"

struct worker {
    struct id id;
    str host;
    int64_t pid;
    str address; /* where it hears datagrams; absent: nowhere */
};
MUST_CHECK int worker_register(struct store *s, const struct worker *w, int64_t now_us,
                               int64_t lease_us, struct arena *a, struct err *err);
/* ERR_FENCED when the lease was over. *out_others: how many others are alive. */
MUST_CHECK int worker_renew(struct store *s, struct id id, int64_t now_us, int64_t lease_us,
                            struct arena *a, int64_t *out_others, struct err *err);
/* Of the others that are alive and hear datagrams; at most `max`, in a. */
MUST_CHECK int worker_addresses(struct store *s, struct id id, int64_t now_us, size_t max,
                                struct arena *a, str **out, size_t *out_count, struct err *err);
/* Its leases of periodic work end, too. */
MUST_CHECK int worker_remove(struct store *s, struct id id, struct arena *a, struct err *err);
/* Forgets workers that were gone before `before_us`. */
MUST_CHECK int worker_sweep(struct store *s, int64_t before_us, struct arena *a,
                            int64_t *out_deleted, struct err *err);

/* Takes or keeps the lease `name`. */
MUST_CHECK int leader_take(struct store *s, str name, struct id worker, int64_t now_us,
                           int64_t lease_us, struct arena *a, bool *out_leads, struct err *err);

#endif
