/* SPDX-License-Identifier: Apache-2.0 */
/* template.h - texts with expressions in them: "Write about {{ state.topic }}."
 *
 * A string is put in as it is, null as nothing, every other value as compact JSON. What is put in
 * is not looked at again.
 * Memory: the arena of the compilation, of the rendering. Errors: those of expressions.
 * Suspends: never. Tests: tests/unit/graphs/test_template.c */
#ifndef HF_GRAPHS_TEMPLATE_H
#define HF_GRAPHS_TEMPLATE_H

#include "model/expr.h"

struct template;
MUST_CHECK int template_compile(struct arena *a, str text, const struct template **out,
                                struct err *err);
MUST_CHECK int template_render(const struct template *t, const struct expr_value *root,
                               struct arena *a, size_t bytes_max, str *out, struct err *err);

#endif
