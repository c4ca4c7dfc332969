/* SPDX-License-Identifier: Apache-2.0 */
/* heap.c - the queues of a plan: steps that are ready, by priority and position, and steps that
 * wait for their next attempt, by time.
 *
 * Steps are not taken out of the middle: who takes the first one looks whether it is still to be
 * done. */
#include "plans/heap.h"

static void swap(struct step_heap_item *a, struct step_heap_item *b) {
    struct step_heap_item t = *a;
    *a = *b;
    *b = t;
}

void step_heap_push(struct step_heap *h, int64_t rank, uint32_t position) {
    struct step_heap_item item = {rank, position};
    vec_push(&h->items, item);
    size_t i = h->items.count - 1;
    while (i > 0 && h->items.p[(i - 1) / 2].rank > h->items.p[i].rank) {
        swap(&h->items.p[(i - 1) / 2], &h->items.p[i]);
        i = (i - 1) / 2;
    }
}

bool step_heap_pop(struct step_heap *h, struct step_heap_item *out) {
    struct step_heap_item *p = h->items.p;
    size_t n = h->items.count, i = 0;
    if (n == 0)
        return false;
    *out = p[0];
    p[0] = p[--n];
    h->items.count = n;
    for (;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < n && p[left].rank < p[least].rank)
            least = left;
        if (right < n && p[right].rank < p[least].rank)
            least = right;
        if (least == i)
            return true;
        swap(&p[i], &p[least]);
        i = least;
    }
}

void step_heap_deinit(struct step_heap *h) { vec_deinit(&h->items); }
