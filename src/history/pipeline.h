/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline.h - groups the appends of many fibers, so that one sync serves all of them.
 *
 * A wrapper over any history. While one group is being stored, the appends that come meanwhile
 * gather and are the next one; with `interval_us` a group also waits for company. All other calls
 * go straight through. An append returns when it is durable, or failed for itself.
 *
 * Order: groups are stored one after the other, appends in the order of their coming. When the
 * adapter fails (not: an append's own fault), what waits behind it fails with it, so that no later
 * event is stored before an earlier one that its sender has yet to send again.
 *
 * Memory: nothing is copied; an append's events live with its caller, who is suspended. The queue
 * is bounded by count and bytes; what does not fit waits for room or is refused, by choice.
 * Errors: ERR_LIMIT of a full queue; else the adapter's. Suspends: as port.h.
 * Tests: tests/conformance/test_history.c, tests/unit/history/test_pipeline.c */
#ifndef HF_HISTORY_PIPELINE_H
#define HF_HISTORY_PIPELINE_H

#include "history/port.h"

enum history_when_full { HISTORY_WAIT_FOR_ROOM, HISTORY_REFUSE };
struct history_pipeline_options {
    size_t group_count_max; /* events of a group; an append is never split */
    size_t group_bytes_max;
    int64_t interval_us;    /* a group waits for company so long, unless it is full; 0: never */
    size_t queue_count_max; /* events that wait; one append always fits */
    size_t queue_bytes_max;
    enum history_when_full when_full;
    const char *metric_labels; /* a literal such as "adapter=\"file\""; NULL: none */
};
void history_pipeline_options_default(struct history_pipeline_options *o);
/* The wrapper owns inner and closes it. */
struct history *history_pipeline_wrap(struct rt *rt, struct history *inner,
                                      const struct history_pipeline_options *options);

#endif
