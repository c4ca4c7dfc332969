/* SPDX-License-Identifier: Apache-2.0 */
/* vectors.h - the index of the store's vectors, for databases that have pgvector.
 *
 * Owner: the caller's pool. Suspends: yes, as long as an index of what is stored takes to build;
 * the server works meanwhile. Tests: tests/integration/run-vectors */
#ifndef HF_DB_POSTGRES_VECTORS_H
#define HF_DB_POSTGRES_VECTORS_H

#include "pg/pool.h"

/* Makes the index of vectors of so many numbers, unless it is there or cannot be; what it does and
 * what prevents it is logged. Several processes may come at once. Returns when the index is ready,
 * when there can be none, or when the fiber is cancelled. */
MAY_SUSPEND void db_postgres_vector_index(struct pg_pool *p, size_t numbers);

#endif
