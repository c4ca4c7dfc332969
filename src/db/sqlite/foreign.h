/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - db/foreign.h for files of SQLite. Suspends: as there. */
#ifndef HF_DB_SQLITE_FOREIGN_H
#define HF_DB_SQLITE_FOREIGN_H

#include "db/foreign.h"

/* The file is opened by each write; the text must outlive it. */
struct db_foreign *db_foreign_sqlite(struct rt *rt, const char *file);

#endif
