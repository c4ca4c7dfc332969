/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - a database port around another that fails, delays or tears at the n-th operation.
 * Tests: tests/conformance/ */
#ifndef HF_DB_FAULT_H
#define HF_DB_FAULT_H

#include "db/port.h"

enum db_fault_kind {
    DB_FAULT_NONE,
    DB_FAULT_FAIL_BEFORE, /* error, inner not called */
    DB_FAULT_FAIL_AFTER,  /* inner called and committed, then an error: the unknown outcome */
    DB_FAULT_DELAY,       /* sleeps delay_us on the fiber first */
    DB_FAULT_TEAR         /* only the first half of the batch's statements is passed on, in a batch
                             that the inner driver must roll back; then an error */
};
struct db_fault_plan {
    enum db_fault_kind kind;
    uint64_t at;       /* the n-th operation from the plan's start, from 1; 0: every one */
    int code;          /* error to answer */
    int64_t delay_us;  /* of a batch that FAIL_BEFORE fails, too */
};
struct db *db_fault_wrap(struct db *inner); /* owns inner */
void db_fault_set(struct db *fault, const struct db_fault_plan *plan);
uint64_t db_fault_count(const struct db *fault); /* operations since the plan was set */

#endif
