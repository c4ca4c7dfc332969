/* SPDX-License-Identifier: Apache-2.0 */
/* json_int.h - what the JSON files share: the members of an object without duplicates.
 *
 * Owner: the caller's stack. Memory: heap, until json_members_deinit. Errors: none.
 * Suspends: never. Tests: through tests/unit/base/test_json.c */
#ifndef HF_BASE_JSON_INT_H
#define HF_BASE_JSON_INT_H

#include "base/json.h"
#include "base/map.h"

/* Members of an object, each key once (the last value of it, at its first place), in the order of
 * the text. Small objects are searched one by one, larger ones through a map. */
struct json_members {
    yyjson_val **keys; /* the value of key k is k + 1 */
    size_t count;
    struct map index; /* key text to key; empty for small objects */
};

void json_members_init(struct json_members *m, yyjson_val *obj); /* NULL or no object: no members */
void json_members_deinit(struct json_members *m);
yyjson_val *json_members_find(const struct json_members *m, str key); /* the value, or NULL */
void json_members_sort(struct json_members *m); /* by the bytes of the keys */

void json_write_canonical(struct buf *b, yyjson_val *v);

#endif
