/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.h - db/legacy.h for databases of PostgreSQL with the two tables. Suspends: as there. */
#ifndef HF_DB_POSTGRES_LEGACY_H
#define HF_DB_POSTGRES_LEGACY_H

#include "db/legacy.h"

/* url: as libpq reads it; with schema=NAME among its parameters the tables stand there, else in
 * `public`. It is connected to by the first call. ERR_INVALID. */
MUST_CHECK int db_legacy_postgres(struct rt *rt, str url, struct db_legacy **out, struct err *err);

#endif
