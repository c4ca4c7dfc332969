/* SPDX-License-Identifier: Apache-2.0 */
/* stmt_log.h - the statement log: slow statements at a level by their latency.
 *
 * More than 500 ms: error db.query.critical-slow; 100 ms: warn db.query.slow; 50 ms, or every one
 * when all are wanted: info db.query. Fields: statement, latency_ms, rows, preview. Parameters are
 * never logged.
 * Owner: drivers. Memory: none. Errors: none. Suspends: never; callable from every thread.
 * Tests: tests/unit/db/test_stmt_log.c */
#ifndef HF_DB_STMT_LOG_H
#define HF_DB_STMT_LOG_H

#include "base/log.h"

#define STMT_LOG_INFO_US 50000
#define STMT_LOG_WARN_US 100000
#define STMT_LOG_ERROR_US 500000
#define STMT_LOG_PREVIEW_CHARS 100
#define STMT_LOG_PREVIEW_BYTES (4 * STMT_LOG_PREVIEW_CHARS + 1)

void stmt_log_write(const char *name, const char *sql, int64_t latency_us, int64_t rows);
/* One comparison for the usual, fast statement. */
static inline void stmt_log(bool all, const char *name, const char *sql, int64_t latency_us,
                            int64_t rows) {
    if (__builtin_expect(all || latency_us > STMT_LOG_INFO_US, 0))
        stmt_log_write(name, sql, latency_us, rows);
}
/* The first 100 characters (not bytes) with runs of white space as one blank; NUL-terminated. */
void stmt_log_preview(const char *sql, char out[STMT_LOG_PREVIEW_BYTES]);

#endif
