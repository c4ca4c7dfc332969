/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_embeddings.c - answers of embedding servers. Checks: what is taken fills every vector with
 * finite numbers and writes nothing beside them; a refusal has a code and a text. Input: one byte
 * that says how many vectors of how many numbers are due, then the answer. */
#include <math.h>

#include "llm/embeddings.h"

#define COUNT_MAX 4
#define DIMS_MAX  4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    float out[COUNT_MAX * DIMS_MAX + 1];
    struct err err = {0};
    if (size < 1 || size > 65536)
        return 0;
    size_t count = data[0] % COUNT_MAX + 1, dims = data[0] / COUNT_MAX % DIMS_MAX + 1;
    for (size_t i = 0; i < ARRAY_COUNT(out); i++)
        out[i] = NAN;
    str body = str_n((const char *)data + 1, size - 1);
    int rc = embeddings_read_answer(body, count, dims, out, STR("host"), &err);
    ASSERT(rc == 0 || (rc == ERR_MODEL_PROTOCOL && err.message[0]));
    for (size_t i = 0; i < count * dims; i++)
        ASSERT(rc < 0 || isfinite(out[i]));
    for (size_t i = count * dims; i < ARRAY_COUNT(out); i++)
        ASSERT(isnan(out[i]));
    return 0;
}
