/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - versions of SQLite.
 *
 * Here, as this module's files are the only ones that may see those headers. What runs is asked of
 * the library; what it was built with is its header's word. */
#include "db/sqlite/component.h"

#include <sqlite3.h>

void db_sqlite_components(component_fn *add, void *ctx) {
    add(ctx, &(struct component){"SQLite", sqlite3_libversion(), SQLITE_VERSION, NULL});
}
