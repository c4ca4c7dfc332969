/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - what all resources share.
 *
 * Metadata comes from clients with any keys but one. In PostgreSQL `owner` says whose a row is, in
 * the tables that other runtimes read; so it is taken out on every database, at creating, changing
 * and merging, and a client cannot give a row away or take one. */
#include "store/store.h"

#include "base/json.h"

str store_metadata(struct arena *a, str metadata) {
    return json_without(a, metadata, "owner");
}
