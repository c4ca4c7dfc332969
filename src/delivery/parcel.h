/* SPDX-License-Identifier: Apache-2.0 */
/* parcel.h - how a kind of deliveries says what is sent: for those whose rows hold less than that.
 *
 * A parcel has parts that are POSTed one after the other; what was taken is not sent again.
 * Memory: the arena given. Suspends: `make` and `gone` may.
 * Tests: tests/unit/plans/test_outbox.c */
#ifndef HF_DELIVERY_PARCEL_H
#define HF_DELIVERY_PARCEL_H

#include "http/header.h"
#include "store/deliveries.h"

struct parcel_part {
    str id; /* of the message, the same at each attempt */
    str body;
};
struct parcel {
    str target, content_type;
    str secret; /* that signs it: its bytes; empty: those of the relay */
    const struct http_header *headers;
    size_t header_count; /* few; the relay's own of these names are left out */
    const struct parcel_part *parts;
    size_t count;   /* 0: nobody wants it any more */
    bool handshake; /* the target is asked for consent before */
    int64_t rate;   /* requests a minute that it is asked for; 0: none */
};
struct parcel_maker {
    const char *kind;
    int (*make)(void *ctx, const struct delivery *d, struct arena *a, struct parcel *out,
                struct err *err);
    void (*gone)(void *ctx, const struct delivery *d); /* the receiver said that it is no more */
    void *ctx;
};

#endif
