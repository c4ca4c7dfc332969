/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.h - brings a SQLite file to the newest schema.
 *
 * Owner: the caller's connection. Memory: none kept. Errors: ERR_INVALID (a database of something
 * else), ERR_UNSUPPORTED (newer than this program), ERR_CONFLICT (an applied migration differs from
 * the one built in), ERR_CORRUPT, ERR_IO, ERR_UNAVAILABLE. Suspends: never; blocks.
 * Tests: tests/unit/db/test_migrate.c */
#ifndef HF_DB_SQLITE_MIGRATE_H
#define HF_DB_SQLITE_MIGRATE_H

#include "db/sqlite/conn.h"

#define LITE_APPLICATION_ID 0x48466462 /* "HFdb", in the file's header */

MUST_CHECK int lite_migrate(struct lite_conn *c, const struct db_migration *list, size_t count,
                            struct err *err);

#endif
