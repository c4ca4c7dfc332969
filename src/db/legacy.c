/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.c - what all readers of older stores share: which store a mark belongs to.
 *
 * A digest and not the address, since addresses may hold passwords and marks are stored. */
#include "db/legacy.h"

#include "base/hash.h"
#include "base/hex.h"

void db_legacy_identify(struct db_legacy *l, str address) {
    unsigned char digest[HASH_XXH3_BYTES];
    hash_xxh3(address, digest);
    STATIC_ASSERT(2 * HASH_XXH3_BYTES == DB_LEGACY_IDENTITY_LEN, "two digits a byte");
    hex_write(digest, sizeof digest, l->identity);
    l->identity[DB_LEGACY_IDENTITY_LEN] = 0;
}
