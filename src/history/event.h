/* SPDX-License-Identifier: Apache-2.0 */
/* event.h - one event of a history, and its envelope as JSON.
 *
 * The envelope on the wire, members in this order, absent ones left out:
 *   {"id","type","occurredAt","sessionId","source","traceId","ttlMs","headers","payload"}
 * occurredAt is ISO-8601 with an offset (read with any, written in UTC). A payload of bytes is
 * written as "payloadBase64" instead of "payload".
 *
 * Memory: texts are the caller's, or in the arena that a function takes. Errors: ERR_INVALID names
 * the member. Suspends: never. Tests: tests/unit/history/test_event.c */
#ifndef HF_HISTORY_EVENT_H
#define HF_HISTORY_EVENT_H

#include "base/hash.h"
#include "base/json.h"

#define HISTORY_NAME_BYTES_MAX    512 /* of owners, sessions, labels, names of consumers */
#define HISTORY_ID_BYTES_MAX      200 /* of ids, types, sources and trace ids, too */
#define HISTORY_HEADERS_BYTES_MAX 65536
#define HISTORY_PAYLOAD_BYTES_MAX (16u << 20)
#define HISTORY_TTL_MS_MAX        (100LL * 366 * 86400 * 1000)

enum history_payload { HISTORY_JSON = 1, HISTORY_BYTES };

struct history_event {
    str id; /* unique within its session */
    str type;
    enum history_payload payload_kind; /* HISTORY_JSON: a compact JSON text */
    str payload;                       /* absent when it was not asked for */
    int64_t occurred_at;               /* wall clock, us */
    bool occurred_at_is_ours;          /* the sender gave none: it is not part of the content */
    str source, trace_id;              /* absent or not empty */
    int64_t ttl_ms;                    /* 0: for ever; counts from occurred_at */
    str headers;                       /* a JSON object of texts; absent when empty */
    /* Out, of events that were read: */
    int64_t seq;          /* from 1, without gaps in its session */
    int64_t stored_at;    /* wall clock, us */
    size_t payload_bytes; /* also when the payload was not asked for */
};

/* Whether it can be stored: lengths, UTF-8, times. The payload's JSON is taken as valid. */
MUST_CHECK int history_event_check(const struct history_event *e, struct err *err);
/* The same content gives the same digest: all that the sender gave but the id. It is to be stored:
 * of an event that was read, occurred_at counts whoever gave it. */
void history_event_digest(const struct history_event *e, unsigned char out[HASH_XXH3_BYTES]);
/* When it goes by its own ttl_ms: us; INT64_MAX: never. */
int64_t history_event_expires_at(const struct history_event *e);

/* Reads an envelope. A missing id becomes a new UUIDv7, a missing occurredAt `now_us`;
 * *out_session is absent when it names none. */
MUST_CHECK int history_event_read(yyjson_val *envelope, int64_t now_us, struct arena *a,
                                  struct history_event *out, str *out_session, struct err *err);
/* `headers` of an envelope: canonical text, absent when there are none. NULL, null or an object. */
MUST_CHECK int history_event_read_headers(yyjson_val *headers, struct arena *a, str *out,
                                          struct err *err);
/* The envelope as an object, with "seq" in front when it has one. session may be absent. */
void history_event_write(struct json_writer *w, const struct history_event *e, str session);

#endif
