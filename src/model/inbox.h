/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.h - what other programs deliver: is it from whom it says, what is it, has it come before?
 *
 * Signatures of Standard Webhooks (https://www.standardwebhooks.com/), of GitHub and Stripe, a
 * HMAC-SHA256 in any header, or a token. Deliveries are CloudEvents 1.0 (binary, structured,
 * batched), or any other body. Nothing is parsed before it is known who sent it.
 * Memory: the arena given; results may point into the request. Errors: ERR_INVALID, ERR_MALFORMED,
 * ERR_TOO_LARGE. Suspends: never.
 * Tests: tests/unit/model/test_inbox.c, tests/fuzz/fuzz_inbox.c */
#ifndef HF_MODEL_INBOX_H
#define HF_MODEL_INBOX_H

#include "base/json.h"
#include "model/words.h"

#define INBOX_BYTES_MAX  ((size_t)1 << 20) /* of a request's body */
#define INBOX_EVENTS_MAX 100               /* in a batch */
#define INBOX_DEPTH_MAX  256               /* of JSON */
#define INBOX_LATE_S     300               /* a signed time may be off by so much */

enum inbox_scheme { INBOX_STANDARD, INBOX_GITHUB, INBOX_STRIPE, INBOX_HMAC, INBOX_TOKEN };
extern const struct word_set INBOX_SCHEMES;

struct inbox_rule {
    enum inbox_scheme scheme;
    str header;     /* lower case: of the signature (hmac) or the token; absent: the usual one */
    str key_header; /* lower case: of what names a delivery; absent: the usual ones */
    str secret;
};

/* A request as it came. */
struct inbox_request {
    /* The n-th header; false: there are no more. */
    bool (*header)(void *ctx, size_t n, str *out_name, str *out_value);
    void *ctx;
    str body;
    str token; /* of the address; absent: none */
    int64_t now_s;
};

/* Whether who sent this knows the secret; in a time that does not depend on how nearly. */
bool inbox_proved(const struct inbox_rule *rule, const struct inbox_request *q, struct arena *a);

struct inbox_event {
    str key;    /* hex; equal for what is the same delivery */
    str digest; /* hex, of the data */
    str text;   /* JSON object: id, source, type, …, datacontenttype, data (or data_base64) */
};
/* All that one request delivers. out_batch: it came as a list. */
MUST_CHECK int inbox_events_read(const struct inbox_rule *rule, const struct inbox_request *q,
                                 struct arena *a, struct inbox_event **out, size_t *out_count,
                                 bool *out_batch, struct err *err);

#endif
