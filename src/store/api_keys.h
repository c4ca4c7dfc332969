/* SPDX-License-Identifier: Apache-2.0 */
/* api_keys.h - records of API keys, as JSON texts under the hexadecimal digest of the key.
 *
 * They are settings of the server, not data of an owner: no principal reads them through the API.
 * What a record holds is known to src/auth. Memory: results in the arena. Errors: as the port's.
 * Suspends: all. Tests: tests/unit/store/test_api_keys.c */
#ifndef HF_STORE_API_KEYS_H
#define HF_STORE_API_KEYS_H

#include "store/store.h"

struct api_key_row {
    str digest, record;
};
/* Inserts or replaces. */
MUST_CHECK int api_keys_put(struct store *s, str digest, str record, struct arena *a,
                            struct err *err);
MUST_CHECK int api_keys_get(struct store *s, str digest, struct arena *a, bool *out_found,
                            str *out_record, struct err *err);
/* In the order of the digests, from the one after `after` on. */
MUST_CHECK int api_keys_list(struct store *s, str after, int64_t limit, struct arena *a,
                             struct api_key_row **out, size_t *out_count, struct err *err);

#endif
