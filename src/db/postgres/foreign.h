/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - db/foreign.h for databases of PostgreSQL. Suspends: as there. */
#ifndef HF_DB_POSTGRES_FOREIGN_H
#define HF_DB_POSTGRES_FOREIGN_H

#include "db/foreign.h"

/* It is connected to by the first write; the text must outlive it. */
struct db_foreign *db_foreign_postgres(struct rt *rt, const char *url);

#endif
