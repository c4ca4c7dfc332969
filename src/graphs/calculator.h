/* SPDX-License-Identifier: Apache-2.0 */
/* calculator.h - the calculator tool: evaluates one arithmetic expression, nothing else.
 *
 * Grammar: numbers (12, .5, 1e-3); + - * / % and ^ (also **); parentheses; unary + and -; constants
 * pi, e; functions sqrt abs floor ceil exp ln sin cos tan (radians), round(x) or round(x, digits),
 * log(x) base 10 or log(x, base), min and max of 1 to 32 values. ^ binds tighter than unary minus
 * and associates to the right: -2^2 is -4. % has the sign of its left side. Names in either case.
 * Memory: the text in the arena. Errors: ERR_INVALID with a text for the model that called it.
 * Suspends: never. Tests: tests/unit/graphs/test_calculator.c; fuzzed. */
#ifndef HF_GRAPHS_CALCULATOR_H
#define HF_GRAPHS_CALCULATOR_H

#include "base/arena.h"

#define CALCULATOR_BYTES_MAX     1000
#define CALCULATOR_DEPTH_MAX     64
#define CALCULATOR_ARGUMENTS_MAX 32

/* *out is finite. */
MUST_CHECK int calculator_eval(str expression, double *out, struct err *err);
/* Shortest text that reads back as the same number; whole numbers below 1e15 without fraction. */
str calculator_format(struct arena *a, double value);
/* The tool's answer: the result, or "Error: …" with *out_failed set. */
str calculator_answer(struct arena *a, str expression, bool *out_failed);

#endif
