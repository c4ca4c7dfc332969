/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.h - events of plans for the outside: which ones a webhook wants, and what it is sent.
 *
 * Memory: the arena given. Errors: typed. Suspends: as marked.
 * Tests: tests/unit/plans/test_outbox.c, tests/fuzz/fuzz_event.c */
#ifndef HF_PLANS_OUTBOX_H
#define HF_PLANS_OUTBOX_H

#include "delivery/parcel.h"
#include "plans/plans.h"
#include "store/webhooks.h"

/* The maker of what is sent; store: for as long as it is used. */
struct parcel_maker plans_parcel_maker(struct store *store);

/* Patterns: "plan.failed", "step.*", "*". */
#define EVENT_TYPES_MAX 50
bool plans_event_pattern_ok(str pattern);
bool plans_event_wanted(yyjson_val *patterns, str type);

/* What one delivery says: CloudEvents of an entry of the log, those that the webhook wants. id:
 * prefix of the messages' ids. ERR_CORRUPT. */
MUST_CHECK int plans_parcel_make(const struct webhook *w, str id, str payload, struct arena *a,
                                 struct parcel *out, struct err *err);

#endif
