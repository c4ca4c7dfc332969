/* SPDX-License-Identifier: Apache-2.0 */
/* text_score.h - hf_text_score(item_words, size): how well a row of the full-text index fits.
 * Owner: the connection. Suspends: never. Tests: tests/unit/store/test_item_texts.c */
#ifndef HF_DB_SQLITE_TEXT_SCORE_H
#define HF_DB_SQLITE_TEXT_SCORE_H

#include <sqlite3.h>

#include "base/err.h"

/* SQLITE_OK or SQLite's code. */
MUST_CHECK int db_sqlite_text_score_register(sqlite3 *db);

#endif
