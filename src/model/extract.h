/* SPDX-License-Identifier: Apache-2.0 */
/* extract.h - the JSON value in a text that a model wrote.
 *
 * Tried in this order: the whole text; what stands between code fences; the first object or array
 * in brackets that match, wherever it begins. At most EXTRACT_TRIES_MAX places are tried.
 * Memory: in the arena. Errors: NULL when there is none. Suspends: never.
 * Tests: tests/unit/model/test_extract.c */
#ifndef HF_MODEL_EXTRACT_H
#define HF_MODEL_EXTRACT_H

#include "base/json.h"

#define EXTRACT_TRIES_MAX 32

yyjson_val *extract_json(struct arena *a, str text);

#endif
