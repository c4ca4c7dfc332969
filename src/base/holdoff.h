/* SPDX-License-Identifier: Apache-2.0 */
/* holdoff.h - leaving out what was lately tried in vain.
 *
 * After a try in vain one turn is left out, after the next such try three, then seven, up to
 * HOLDOFF_MAX; a try that succeeds ends that. For tries that cost little and save much as long as
 * they mostly succeed. Zeroed is ready; owned by one thread. */
#ifndef HF_BASE_HOLDOFF_H
#define HF_BASE_HOLDOFF_H

#include <stdbool.h>

#define HOLDOFF_MAX 63

struct holdoff {
    unsigned length, left; /* turns to leave out after one in vain; of them, still */
};

/* Whether this turn is to be left out; it is counted. */
static inline bool holdoff_skips(struct holdoff *h) {
    bool skips = h->left > 0;
    h->left -= skips;
    return skips;
}

static inline void holdoff_tried(struct holdoff *h, bool in_vain) {
    h->length = in_vain ? 2 * h->length + 1 : 0;
    if (h->length > HOLDOFF_MAX)
        h->length = HOLDOFF_MAX;
    h->left = h->length;
}

#endif
