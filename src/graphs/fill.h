/* SPDX-License-Identifier: Apache-2.0 */
/* fill.h - JSON whose texts hold expressions: {"about": "On {{ params.topic }}", "n": "{{ x }}"}.
 *
 * A text that is one expression becomes its value, of whatever kind; another text is a text
 * (template.h). Keys stay as they are. {{secret.NAME}} stays, too, for who expands secrets; what is
 * put in can never become one.
 * Memory: the arena given. Errors: those of expressions; ERR_INVALID for a value that would be a
 * secret's name, ERR_TOO_LARGE. Suspends: never. Tests: tests/unit/graphs/test_fill.c */
#ifndef HF_GRAPHS_FILL_H
#define HF_GRAPHS_FILL_H

#include "model/expr.h"

#define FILL_DEPTH_MAX 64

/* Are all expressions whole? */
MUST_CHECK int fill_check(struct arena *a, yyjson_val *v, struct err *err);
/* *out: JSON text of at most bytes_max. */
MUST_CHECK int fill(struct arena *a, yyjson_val *v, const struct expr_value *root,
                    size_t bytes_max, str *out, struct err *err);

#endif
