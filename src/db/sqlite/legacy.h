/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.h - db/legacy.h for files of SQLite with the two tables. Suspends: as there. */
#ifndef HF_DB_SQLITE_LEGACY_H
#define HF_DB_SQLITE_LEGACY_H

#include "db/legacy.h"

/* The file is opened by the first call, for reading only; a thread of its own reads it. */
MUST_CHECK int db_legacy_sqlite(struct rt *rt, str file, struct db_legacy **out, struct err *err);

#endif
