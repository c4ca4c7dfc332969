/* SPDX-License-Identifier: Apache-2.0 */
/* component.h - the libraries behind the embedded database; see base/component.h. */
#ifndef HF_DB_SQLITE_COMPONENT_H
#define HF_DB_SQLITE_COMPONENT_H

#include "base/component.h"

/* SQLite. */
void db_sqlite_components(component_fn *add, void *ctx);

#endif
