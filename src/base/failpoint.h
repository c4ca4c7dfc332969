/* SPDX-License-Identifier: Apache-2.0 */
/* failpoint.h - named places where a debug build can be told to fail, wait or die.
 *
 * Set by HF_FAILPOINTS="store.batch.after_commit=crash@3;db.write=error(14)" or failpoint_set().
 * Actions: off, error(code), delay(ms), crash (SIGKILL to itself); @n: only from the n-th hit on.
 * Release builds compile them to nothing. Suspends: delay blocks the calling thread.
 * Tests: tests/unit/base/test_failpoint.c */
#ifndef HF_BASE_FAILPOINT_H
#define HF_BASE_FAILPOINT_H

#include "base/buf.h"
#include "base/err.h"

#ifdef HF_DEBUG
int failpoint_hit(const char *name); /* 0, or the negative error to return */
#define FAILPOINT(name) failpoint_hit(name)
#else
#define FAILPOINT(name) 0
#endif
MUST_CHECK int failpoint_set(str spec, struct err *err); /* same syntax as the variable */
void failpoint_init_from_env(void);
void failpoint_list(struct buf *out); /* JSON array of {name, hits, action} */

#endif
