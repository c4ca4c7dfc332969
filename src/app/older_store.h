/* SPDX-License-Identifier: Apache-2.0 */
/* older_store.h - a store of events in an older layout, by its address: jsonl:FOLDER, or
 * sqlite:FILE and postgres://… with the two tables.
 *
 * Memory: the store is the caller's to close, after the loop has run and the histories over it are
 * closed; the address must outlive it. Errors: ERR_INVALID for an address of another kind; else as
 * the reader's. Suspends: older_store_open. Tests: tests/integration/run-history-legacy */
#ifndef HF_APP_OLDER_STORE_H
#define HF_APP_OLDER_STORE_H

#include "db/legacy.h"

/* Looks whether it is one, too. */
MUST_CHECK MAY_SUSPEND int older_store_open(struct rt *rt, str address, struct db_legacy **out,
                                            struct err *err);
/* NULL is fine. */
void older_store_close(struct db_legacy *l);
/* Whether the address names an older store, and not a file of lines. */
bool older_store_is(str address);

#endif
