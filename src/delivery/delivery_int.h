/* SPDX-License-Identifier: Apache-2.0 */
/* delivery_int.h - what the files of the relay share. */
#ifndef HF_DELIVERY_DELIVERY_INT_H
#define HF_DELIVERY_DELIVERY_INT_H

#include "base/list.h"
#include "base/map.h"
#include "base/metrics.h"
#include "delivery/delivery.h"
#include "http/address.h"
#include "store/deliveries.h"

#define SECRETS_MAX  4
#define TARGET_SHARE 4 /* of the places, how many one target may have: a quarter */

struct delivery_relay {
    struct rt *rt;
    struct http_client *client;
    struct store *store;
    struct arena memory; /* of the options */
    struct delivery_options o;
    str secrets[SECRETS_MAX]; /* bytes */
    size_t secret_count;
    str self; /* "http://127.0.0.1:2024" */
    struct fiber_event wake, idle;
    struct fiber_group jobs;
    size_t under_way;
    struct list live;    /* jobs under way */
    struct map consents; /* of targets that were asked: handshake.c */
    bool running, stop;  /* the loop's fiber lives; it is to end */
    struct metric *delivered, *failed, *dead, *lag;
    struct metric *dead_count, *pending_count, *oldest_age_ms;
    bool counting;
    int64_t count_due_us;
};

/* rules.c: what a target may be. A text says why not; NULL: it may. */
const char *rules_refuse_url(const struct delivery_rules *rules, str url, struct http_url *out);
/* May a connection go to this numeric address, which the URL's host has? */
bool rules_allow_address(const struct delivery_rules *rules, const struct http_url *url,
                         str address);
bool rules_allow_self(const struct delivery_rules *rules);

/* Who makes the parcel of a delivery; NULL: its payload is what is sent. */
const struct parcel_maker *attempt_maker(const struct delivery_relay *d,
                                         const struct delivery *what);

/* attempt.c: the POSTs of one delivery. What could not be over by the end of its claim (due_at) is
 * not begun. 0: taken. Else *out says what is to become of it: due_at 0: the relay's pause.
 * ERR_LIMIT: its time is over before its parts are; no failure. */
MUST_CHECK MAY_SUSPEND int attempt_make(struct delivery_relay *d, const struct delivery *what,
                                        struct arena *a, struct delivery_failure *out);
/* handshake.c: may the target be POSTed to now? Asks it when that is not known. rate: requests a
 * minute to ask for; 0: none. ERR_LIMIT: not before out->due_at; else it failed, as an attempt. */
struct place {
    str target, address; /* where the connection goes: a numeric address, or the host */
};
MUST_CHECK MAY_SUSPEND int handshake_pass(struct delivery_relay *d, const struct place *to,
                                          int64_t rate, struct arena *a,
                                          struct delivery_failure *out);
void handshake_deinit(struct delivery_relay *d);

/* "v1,<base64> v1,…" of Standard Webhooks. */
str attempt_signatures(const struct delivery_relay *d, struct arena *a, str id, str timestamp,
                       str body);

#endif
