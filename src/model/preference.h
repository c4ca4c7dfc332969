/* SPDX-License-Identifier: Apache-2.0 */
/* preference.h - preferences: their keys, what the platform says of them, and which layer wins.
 *
 *   platform's defaults ◀ assistant ◀ owner ◀ thread ◀ request ◀ the platform's immutable ones
 *
 * Each layer is an object; of a key that several have, the last one's value counts, whole.
 * Memory: the arena given. Errors: ERR_INVALID with a text that names the member.
 * Suspends: never. Tests: tests/unit/model/test_preference.c */
#ifndef HF_MODEL_PREFERENCE_H
#define HF_MODEL_PREFERENCE_H

#include "base/json.h"

#define PREFERENCE_KEY_BYTES_MAX   100
#define PREFERENCE_VALUE_BYTES_MAX 16384
#define PREFERENCE_COUNT_MAX       500 /* of one owner, of one thread, of the platform */

/* Objects as texts; absent: none. */
struct preference_platform {
    str defaults;
    str immutable; /* those of the defaults that nobody changes */
};
/* {"defaults": {key: value}, "immutable": [key]}; each immutable one has a default. */
MUST_CHECK int preference_platform_read(struct arena *a, str text, struct preference_platform *out,
                                        struct err *err);
bool preference_is_immutable(const struct preference_platform *p, str key);

bool preference_is_key(str key); /* "effective" is none: it is a word of the paths */
/* ERR_INVALID for a key or a value that is none, ERR_TOO_LARGE, ERR_CONFLICT for what the platform
 * keeps. *out_value: its text. */
MUST_CHECK int preference_check(const struct preference_platform *p, struct arena *a, str key,
                                yyjson_val *value, str *out_value, struct err *err);
/* What holds: layers as texts of objects, each over those before it; absent ones are none. */
str preference_effective(const struct preference_platform *p, struct arena *a, const str *layers,
                         size_t count);

#endif
