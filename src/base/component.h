/* SPDX-License-Identifier: Apache-2.0 */
/* component.h - the libraries that this program stands on, and their versions.
 *
 * Each module that includes a library's header tells of it: base_components(), rt_components(), and
 * so on. `wanted` is the version whose headers it was built with; a shared library that is older
 * lacks what was tested. Memory: texts live inside the call. Errors, suspends: none.
 * Tests: tests/integration/run-doctor */
#ifndef HF_BASE_COMPONENT_H
#define HF_BASE_COMPONENT_H

#include <stddef.h> /* NULL: what has none */

struct component {
    const char *name;
    const char *installed; /* the one that runs */
    const char *wanted;
    const char *package; /* of Debian; NULL: it is built into the program, or see: */
    const char *command; /* that updates it; NULL: none of its own */
};
typedef void component_fn(void *ctx, const struct component *c);

/* OpenSSL, xxHash, yyjson. */
void base_components(component_fn *add, void *ctx);

#endif
