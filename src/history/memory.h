/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - a history in memory: the model that the other adapters are compared with, and what is
 * used when nothing shall be kept.
 *
 * Memory: heap, freed by history_close(). Errors: as port.h; never ERR_IO. Suspends: only waits.
 * Tests: tests/conformance/test_history.c */
#ifndef HF_HISTORY_MEMORY_H
#define HF_HISTORY_MEMORY_H

#include "history/port.h"

struct history *history_memory_open(void);

#endif
