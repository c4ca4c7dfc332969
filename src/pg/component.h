/* SPDX-License-Identifier: Apache-2.0 */
/* component.h - the libraries behind the PostgreSQL client; see base/component.h. */
#ifndef HF_PG_COMPONENT_H
#define HF_PG_COMPONENT_H

#include "base/component.h"

/* libpq. */
void pg_components(component_fn *add, void *ctx);

#endif
