/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - looks a PostgreSQL database over: what is ill, what costs, what is used.
 *
 * Owner: the caller's pool. Memory: findings live inside the call of found(). Errors: when the
 * database cannot be asked at all; an illness is a finding. Suspends: yes.
 * Tests: tests/integration/run-doctor */
#ifndef HF_DB_POSTGRES_DOCTOR_H
#define HF_DB_POSTGRES_DOCTOR_H

#include "base/component.h"
#include "pg/pool.h"

enum db_postgres_level { DOCTOR_OK, DOCTOR_INFO, DOCTOR_WARN, DOCTOR_ILL };

struct db_postgres_finding {
    const char *section;
    enum db_postgres_level level;
    str what, detail;
};
struct db_postgres_doctor {
    const char *checkpoint_schema;
    int64_t connections; /* that all processes together may open */
    void (*found)(void *ctx, const struct db_postgres_finding *f);
    void *ctx;
};
/* The server, its extensions that are used, and the schema. */
MUST_CHECK MAY_SUSPEND int db_postgres_components(struct pg_pool *p, component_fn *add, void *ctx,
                                                  struct err *err);
MUST_CHECK MAY_SUSPEND int db_postgres_doctor(struct pg_pool *p, const struct db_postgres_doctor *d,
                                              struct err *err);

#endif
