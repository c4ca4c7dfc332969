/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - JSON Schema for parameters: the part of 2020-12 that says what a value looks like.
 *
 * type, properties, required, additionalProperties (true, false), items, enum, const, minimum,
 * maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems. title,
 * description, default, examples, format, deprecated, $schema and $id mean nothing here. A schema
 * with any other word is refused, so that nobody relies on what is not looked at.
 * Memory: none of its own. Errors: ERR_INVALID, which names the place. Suspends: never.
 * Tests: tests/unit/model/test_schema.c */
#ifndef HF_MODEL_SCHEMA_H
#define HF_MODEL_SCHEMA_H

#include "base/json.h"

#define SCHEMA_DEPTH_MAX 32

/* Is it a schema, of such words? */
MUST_CHECK int schema_check(yyjson_val *schema, struct err *err);
/* Is the value as a schema says that was checked? name: what the value is called in errors. */
MUST_CHECK int schema_validate(yyjson_val *schema, yyjson_val *value, const char *name,
                               struct err *err);
/* The object with the defaults of the schema's properties that it lacks; as text. */
str schema_with_defaults(struct arena *a, yyjson_val *schema, str object);

#endif
