/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_schema.c - any JSON as the schema of a template's parameters, and as parameters.
 *
 * Checks: a refusal has a code and a text; defaults make an object of an object, once and for all;
 * a value that fits is told so the second time. Input: {"schema", "value"}; of other JSON, itself
 * for both. */
#include "model/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    yyjson_val *root, *v;
    arena_init(&a, (size_t)64 << 20);
    if (size <= 16384 && json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0) {
        yyjson_val *schema = json_get(root, "schema"), *value = json_get(root, "value");
        schema = schema ? schema : root;
        value = value ? value : root;
        int rc = schema_check(schema, &err);
        ASSERT(rc == 0 || (rc == ERR_INVALID && err.message[0]));
        if (rc == 0) {
            err_reset(&err);
            rc = schema_validate(schema, value, "params", &err);
            ASSERT(rc == 0 || (rc == ERR_INVALID && err.message[0]));
            ASSERT(schema_validate(schema, value, "params", NULL) == rc);
        }
        if (rc == 0 && yyjson_is_obj(value)) {
            str full = schema_with_defaults(&a, schema, json_text(&a, value));
            ASSERT(json_parse(&a, full, &v, NULL) == 0 && yyjson_is_obj(v));
            ASSERT(str_eq(schema_with_defaults(&a, schema, full), full));
        }
    }
    arena_deinit(&a);
    return 0;
}
