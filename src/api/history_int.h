/* SPDX-License-Identifier: Apache-2.0 */
/* history_int.h - what the handlers of /history share.
 *
 * A session belongs to the principal's owner; another owner's is not found. Memory: the request's
 * arena. Suspends: what is marked so. Tests: tests/integration/run-history */
#ifndef HF_API_HISTORY_INT_H
#define HF_API_HISTORY_INT_H

#include "api/api_int.h"
#include "history/incoming.h"

/* The history, and the session that the first path parameter names. ERR_UNSUPPORTED without one. */
MUST_CHECK int api_history_of(struct api_request *r, struct history **out_h,
                              struct history_key *out_key, struct err *err);
/* `next` of a page, as a position; *out_given when there is one. */
MUST_CHECK int api_history_position(str after, struct history_position *out, bool *out_given,
                                    struct err *err);
/* The members of HistoryCheckpointPut; faults are noted in b. */
void api_history_read_checkpoint(struct body *b, struct history_checkpoint *c);
void api_history_write_checkpoint(struct json_writer *w, struct arena *a,
                                  const struct history_checkpoint *c);

/* --- history_events.c --- */
/* For the envelopes of a request, in its arena; all of one session. */
struct history_incoming api_history_incoming(struct api_request *r, str session);
MUST_CHECK MAY_SUSPEND int api_history_store(struct api_request *r, struct history *h,
                                             const struct history_key *key,
                                             const struct history_incoming *in,
                                             struct history_result **out, struct err *err);
void api_history_write_results(struct json_writer *w, const struct history_incoming *in,
                               const struct history_result *results);
void api_history_write_page(struct json_writer *w, struct arena *a, str session,
                            const struct history_page *page);

/* --- history_stream.c --- */
/* The answer becomes a stream of the range's events: lines of JSON until its end, or server-sent
 * events that go on with what is appended. count_max 0: all. */
void api_history_stream_lines(struct api_request *r, struct history *h,
                              const struct history_range *range, size_t count_max);
void api_history_stream_events(struct api_request *r, struct history *h,
                               const struct history_range *range);

#endif
