/* SPDX-License-Identifier: Apache-2.0 */
/* reader_stream.h - a reader of a thread's log, as an answer of server-sent events.
 *
 *   handler: head sent ─▶ reader live (or replay on the handler's fiber, then live) ─▶ handler ends
 *   hub: frame ─▶ stream buffer ─▶ socket           client gone ─▶ reader closed
 *
 * It lies in the caller's struct, which is freed with the last reference: the stream holds one
 * until it is closed. The reader's ctx (struct hub_reader_options) is the reader_stream. An idle
 * stream is that struct, its reader and the connection; no fiber. Frames are copied into the
 * connection's bounded buffer; a client that does not take them is cut and can resume by cursor.
 * Suspends: reader_stream_replay. Tests: tests/integration/run-wire, run-resume, run-cuts */
#ifndef HF_API_READER_STREAM_H
#define HF_API_READER_STREAM_H

#include "api/api.h"
#include "engine/engine.h"

struct reader_stream {
    struct http_stream *http; /* NULL before it is opened and once it is closed */
    struct hub_reader *reader;
    struct fiber_event drained;
    struct buf *events; /* that the frame becomes which is being converted; NULL: none is */
    int refs;
    void (*closed)(struct reader_stream *s); /* the client is gone; may be NULL */
    void (*free)(struct reader_stream *s);
};
/* One reference, the stream's; until it is opened the caller lets go of it. */
void reader_stream_init(struct reader_stream *s, void (*closed)(struct reader_stream *s),
                        void (*free)(struct reader_stream *s));
static inline void reader_stream_ref(struct reader_stream *s) { s->refs++; }
void reader_stream_unref(struct reader_stream *s);
void reader_stream_open(struct reader_stream *s, struct api_request *r); /* sends the head */
/* False: the client is gone. */
bool reader_stream_send(struct reader_stream *s, str event, str data, str id);
/* The same of frames that are written already (http/sse.h): all of them, or the client is cut. */
bool reader_stream_send_text(struct reader_stream *s, str frames);
/* For frames that become events of another protocol: convert hands each one to _add(), and they go
 * out as one, however large: room was made for the frame. */
typedef bool reader_stream_convert_fn(struct reader_stream *s, str event, str data, str id);
bool reader_stream_convert(struct reader_stream *s, reader_stream_convert_fn *convert, str event,
                           str data, str id);
bool reader_stream_add(struct reader_stream *s, str event, str data, str id);
void reader_stream_end(struct reader_stream *s);
/* For a run whose first entry is still to come. */
void reader_stream_live(struct reader_stream *s, struct hub *h, const struct hub_reader_options *o);
/* From the log, and live from its end on; the client sets the pace. Always 0: the head is sent. */
MAY_SUSPEND int reader_stream_replay(struct reader_stream *s, struct hub *h,
                                     const struct hub_reader_options *o, int64_t first_seq,
                                     const struct hub_cursor *cursor, struct err *err);

#endif
