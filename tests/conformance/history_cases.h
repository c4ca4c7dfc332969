/* SPDX-License-Identifier: Apache-2.0 */
/* history_cases.h - generated cases: an adapter and the model in memory are told the same. */
#ifndef HF_TESTS_CONFORMANCE_HISTORY_CASES_H
#define HF_TESTS_CONFORMANCE_HISTORY_CASES_H

#include "history_fixture.h"

/* One seed: a sequence of calls; the first difference is noted with the seed and the call. */
void history_cases_run(struct scene *s, uint64_t seed, size_t calls);

#endif
