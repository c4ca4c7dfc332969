/* SPDX-License-Identifier: Apache-2.0 */
/* item_path.h - the places of a store item that are indexed: "$", "a.b", "a[*].b", "a[0]", "a[-1]".
 *
 * Memory: results point into the document; their names lie in the arena. Errors: ERR_INVALID with a
 * text that names the path. Suspends: never. Tests: tests/unit/model/test_item_path.c; fuzzed */
#ifndef HF_MODEL_ITEM_PATH_H
#define HF_MODEL_ITEM_PATH_H

#include "base/json.h"
#include "base/vec.h"

#define ITEM_PATHS_MAX      32
#define ITEM_PATH_BYTES_MAX 256
#define ITEM_PLACES_MAX     256 /* of an item; further ones are not indexed */

struct item_place {
    str name; /* the path; ".0", ".1" … behind it when it leads to several places */
    yyjson_val *value;
};
struct item_places {
    struct item_place list[ITEM_PLACES_MAX];
    size_t count;
};
MUST_CHECK int item_path_check(str path, struct err *err);
/* Appends what a checked path leads to; null and missing are no places. */
void item_path_select(struct arena *a, yyjson_val *root, str path, struct item_places *out);
/* A place as text: strings as they are, everything else as canonical JSON. */
str item_place_text(struct arena *a, yyjson_val *value);

#endif
