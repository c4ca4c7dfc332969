/* SPDX-License-Identifier: Apache-2.0 */
/* digest.h - one number for the contents of all tables, the same on every driver.
 *
 * Owner: the driver that computes one. Memory: freed by db_digest_end. Errors: none.
 * Suspends: never; callable from every thread. Tests: tests/conformance/test_db_port.c */
#ifndef HF_DB_DIGEST_H
#define HF_DB_DIGEST_H

#include "db/port.h"

struct db_digest_sum {
    struct XXH3_state_s *state;
    struct arena arena; /* of one cell's JSON */
    uint64_t high, low;
};
void db_digest_begin(struct db_digest_sum *d);
/* A row is its table's name and its cells in the order of the columns. */
void db_digest_row(struct db_digest_sum *d, const char *table);
void db_digest_cell(struct db_digest_sum *d, const struct db_value *v);
void db_digest_row_end(struct db_digest_sum *d);
void db_digest_end(struct db_digest_sum *d, char out[DB_DIGEST_LEN + 1]);

#endif
