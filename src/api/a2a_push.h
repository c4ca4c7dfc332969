/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_push.h - what the relay of the outbox sends to those who are told of a task's end.
 *
 * Memory: the arena of the attempt. Suspends: the maker does. Tests: tests/integration/run-a2a */
#ifndef HF_API_A2A_PUSH_H
#define HF_API_A2A_PUSH_H

#include "delivery/parcel.h"
#include "store/store.h"

struct parcel_maker api_push_parcel_maker(struct store *store);

#endif
