/* SPDX-License-Identifier: Apache-2.0 */
/* db_write_int.h - what the files of the tool "db_write" share. */
#ifndef HF_PLANS_DB_WRITE_INT_H
#define HF_PLANS_DB_WRITE_INT_H

#include "model/words.h"
#include "plans/db_write.h"

extern const struct word_set DB_WRITE_OPS;
/* NULL: the table has none of that name. */
const struct db_write_column *db_write_column(const struct db_write_table *t, str name);

#endif
