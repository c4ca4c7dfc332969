/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - versions of libuv.
 *
 * Here, as this module's files are the only ones that may see those headers. What runs is asked of
 * the library; what it was built with is its header's word. */
#include "rt/component.h"

#include <uv.h>

#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x

void rt_components(component_fn *add, void *ctx) {
    add(ctx, &(struct component){
                 "libuv", uv_version_string(),
                 TEXT(UV_VERSION_MAJOR) "." TEXT(UV_VERSION_MINOR) "." TEXT(UV_VERSION_PATCH),
                 "libuv1"});
}
