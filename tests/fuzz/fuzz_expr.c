/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_expr.c - any bytes as an expression, on a document and on itself as a string.
 *
 * The bytes up to the first NUL are the expression, what follows is the document when it is JSON.
 * Checks: it ends, within the limits; the result is JSON and the same the second time; a refusal
 * has a code and a text. */
#include "model/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char DOCUMENT[] =
    "{\"a\":[{\"b\":1,\"c\":\"x\"},{\"b\":2,\"c\":\"y\"},[3,[4]],null,true],\"d\":{\"e\":\"text "
    "{\\\"f\\\":1}\",\"g\":-1.5e3,\"h\":[]},\"n\":[3,1,2],\"s\":[\"z\",\"\xc3\xa9\",\"\"]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    const struct expr *e;
    struct expr_value value, again;
    struct expr_limits limits = {.steps_max = 20000, .bytes_max = 1 << 20};
    yyjson_val *v;
    str text, second;
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    arena_init(&a, (size_t)64 << 20);
    str document = end ? str_n((const char *)end + 1, size - len - 1) : STR_NULL;
    if (!document.len || json_parse(&a, document, &v, NULL) < 0)
        ASSERT(json_parse(&a, str_of(DOCUMENT), &v, NULL) == 0);
    struct expr_value root = expr_of_json(v);
    int rc = expr_compile(&a, str_n((const char *)data, len), &e, &err);
    if (rc == 0)
        rc = expr_eval(e, &root, &a, &limits, &value, &err);
    if (rc == 0)
        rc = expr_json(&a, &value, 1 << 20, &text, &err);
    if (rc == 0) {
        ASSERT(expr_eval(e, &root, &a, &limits, &again, NULL) == 0);
        ASSERT(expr_json(&a, &again, 1 << 20, &second, NULL) == 0 && str_eq(text, second));
        int parsed = json_parse(&a, text, &v, NULL);
        ASSERT(parsed == 0 || parsed == ERR_TOO_LARGE); /* too deep, when the document was */
    } else {
        ASSERT((rc == ERR_MALFORMED || rc == ERR_INVALID || rc == ERR_TOO_LARGE) &&
               err.code == rc && err.message[0]);
    }
    arena_deinit(&a);
    return 0;
}
