/* SPDX-License-Identifier: Apache-2.0 */
/* heap.h - a binary heap of steps by a number, the smallest first.
 * Memory: heap, by the holder. Suspends: never. Tests: tests/unit/plans/test_heap.c */
#ifndef HF_PLANS_HEAP_H
#define HF_PLANS_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct step_heap_item {
    int64_t rank;
    uint32_t position;
};
struct step_heap {
    VEC(struct step_heap_item) items;
};
void step_heap_push(struct step_heap *h, int64_t rank, uint32_t position);
bool step_heap_pop(struct step_heap *h, struct step_heap_item *out); /* false: it is empty */
static inline const struct step_heap_item *step_heap_first(const struct step_heap *h) {
    return h->items.count ? &h->items.p[0] : NULL;
}
void step_heap_deinit(struct step_heap *h);

#endif
