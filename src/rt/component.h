/* SPDX-License-Identifier: Apache-2.0 */
/* component.h - the libraries behind the loop; see base/component.h. */
#ifndef HF_RT_COMPONENT_H
#define HF_RT_COMPONENT_H

#include "base/component.h"

/* libuv. */
void rt_components(component_fn *add, void *ctx);

#endif
