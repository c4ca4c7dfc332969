/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_calculator.c - calculator_eval() on any bytes.
 *
 * Checks: a result is finite, is the same the second time and with brackets around the expression,
 * and its text reads back as the same number; a refusal has a text. */
#include <math.h>

#include "graphs/calculator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    double value, again;
    if (size > CALCULATOR_BYTES_MAX + 10)
        return 0;
    str text = str_n((const char *)data, size);
    arena_init(&a, 1 << 20);
    int rc = calculator_eval(text, &value, &err);
    if (rc == 0) {
        ASSERT(isfinite(value));
        str shown = calculator_format(&a, value);
        ASSERT(calculator_eval(shown, &again, NULL) == 0 && again == value);
        if (size + 2 <= CALCULATOR_BYTES_MAX) {
            str wrapped = arena_printf(&a, "(" STR_FMT ")", STR_ARG(text));
            int wrapped_rc = calculator_eval(wrapped, &again, NULL);
            /* One level deeper may be one too many. */
            ASSERT(wrapped_rc == ERR_INVALID || again == value);
        }
    } else {
        ASSERT(rc == ERR_INVALID && err.code == rc && err.message[0]);
    }
    arena_deinit(&a);
    return 0;
}
