/* SPDX-License-Identifier: Apache-2.0 */
/* protocol_int.h - protocol v2: events of a thread, made of the frames of its runs' stream modes.
 *
 * Pure: the same frames give the same events with the same ids, live or replayed, whatever a
 * client filters. It must see a run from its start. Memory: its own. Suspends: never.
 * Tests: tests/integration/run-protocol; fuzzed. */
#ifndef HF_API_PROTOCOL_INT_H
#define HF_API_PROTOCOL_INT_H

#include "api/api_int.h"
#include "engine/engine.h"

/* What the reader of the log must show: always all of it, so that ids do not depend on filters. */
#define PROTOCOL_MODES                                                                             \
    (STREAM_VALUES | STREAM_UPDATES | STREAM_MESSAGES_TUPLE | STREAM_CUSTOM | STREAM_TASKS |       \
     STREAM_CHECKPOINTS | STREAM_LIFECYCLE)

/* A number of an event is the log's number and, below it, the place within what has that number. */
#define PROTOCOL_PLACE_BITS 22
#define PROTOCOL_PLACE_MASK ((INT64_C(1) << PROTOCOL_PLACE_BITS) - 1)
static inline int64_t protocol_seq_log(int64_t seq) { return seq >> PROTOCOL_PLACE_BITS; }
/* Everything up to this entry of the log. */
static inline int64_t protocol_seq_after(int64_t log_seq) {
    return log_seq << PROTOCOL_PLACE_BITS | PROTOCOL_PLACE_MASK;
}

struct protocol_events;
struct protocol_events_options {
    yyjson_val *request; /* {channels, namespaces, depth, since}; copied */
    int64_t behind;      /* 0, or the client has everything up to this number, too */
    int64_t now_us;      /* until the first live event */
    bool (*event)(void *ctx, str method, str id, str json); /* false: gone */
    void *ctx;
};
/* ERR_INVALID for a request that is none. */
MUST_CHECK int protocol_events_new(const struct protocol_events_options *o,
                                   struct protocol_events **out, struct err *err);
void protocol_events_free(struct protocol_events *p);
int64_t protocol_events_since(const struct protocol_events *p); /* 0: not given */
/* The number that counts everything up to the item of the last frame; 0: there was none. */
int64_t protocol_events_position(const struct protocol_events *p);
/* A frame of the reader, as it comes. */
bool protocol_events_frame(struct protocol_events *p, str event, str data, str id, int64_t now_us);

/* Executes the command that is r's body; answer sends what was written (api_json). An error is not
 * answered. */
MUST_CHECK MAY_SUSPEND int protocol_command(struct api_request *r, struct id thread_id,
                                            int (*answer)(struct api_request *r),
                                            struct err *err);

#endif
