/* SPDX-License-Identifier: Apache-2.0 */
/* copy_int.h - what the connection tells a copy; w is that of kind PG_KIND_COPY.
 * Owner: copy.c. Memory: none. Suspends: never. */
#ifndef HF_PG_COPY_INT_H
#define HF_PG_COPY_INT_H

#include "pg/pg_int.h"

void pg_copy_asked(struct pg_work *w);   /* the server takes rows now */
void pg_copy_drained(struct pg_work *w); /* the buffer is empty */

#endif
