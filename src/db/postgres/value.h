/* SPDX-License-Identifier: Apache-2.0 */
/* value.h - values between the port and PostgreSQL, by the types that the server inferred.
 *
 * Memory: bound parameters refer to the port's strings or to the arena; rows are copies in the
 * arena given. Errors: ERR_INVALID (a value that the type cannot hold), ERR_TOO_LARGE (past the
 * arena's cap). Suspends: never. Tests: tests/unit/db/test_pg_value.c, tests/conformance/ */
#ifndef HF_DB_POSTGRES_VALUE_H
#define HF_DB_POSTGRES_VALUE_H

#include "db/port.h"
#include "pg/value.h"

/* One parameter of the type oid (of an array parameter: its element's). */
MUST_CHECK int pgdb_bind(struct arena *a, uint32_t oid, const struct db_value *v,
                         struct pg_param *out, struct err *err);
/* Can results have such a column, parameters such a type? For the check at the start. */
bool pgdb_column_known(uint32_t oid);
/* All rows of a result. */
MUST_CHECK int pgdb_rows(const struct pg_result *r, struct arena *a, struct db_rows *out,
                         struct err *err);
/* Of some rows only, without the first `skip` columns. */
MUST_CHECK int pgdb_rows_some(const struct pg_result *r, size_t first, size_t rows, size_t skip,
                              struct arena *a, struct db_rows *out, struct err *err);

#endif
