/* SPDX-License-Identifier: Apache-2.0 */
/* delivery.h - the relay of the outbox: POSTs what is due, until it is taken or given up.
 *
 * Several processes relay the same outbox; each claims what it delivers. A receiver answers 2xx,
 * or is asked again with growing pauses; after the last attempt the delivery is dead and stays
 * visible. Signed as Standard Webhooks says when there is a secret. Addresses are those that the
 * rules allow.
 *
 * Owner: the composition root. Memory: texts of the options are copied. Errors: typed. Suspends: as
 * marked. Tests: tests/unit/delivery/, tests/integration/run-webhooks */
#ifndef HF_DELIVERY_DELIVERY_H
#define HF_DELIVERY_DELIVERY_H

#include "delivery/parcel.h"
#include "http/client.h"
#include "http/header.h"
#include "jobs/jobs.h"
#include "store/store.h"

struct delivery_rules {
    str allow;           /* comma list: hosts, host:port, addresses, networks a.b.c.d/n that may be
                            private; "self" for relative addresses, which lead to this server */
    str allowed_domains; /* comma list, "*.example.org" with subdomains; empty: any */
    str allowed_ports;   /* comma list; empty: any */
    bool require_https;
    size_t url_bytes_max; /* 0: 65536 */
};
#define DELIVERY_MAKERS_MAX 2
struct delivery_options {
    struct delivery_rules rules;
    str secrets; /* "whsec_<base64>" or base64, a space between several; empty: unsigned */
    str origin;  /* DNS name that targets are asked for consent in; empty: none can be asked */
    const struct http_header *headers;
    size_t header_count;
    int64_t attempts_max;   /* 10 */
    int64_t retry_us;       /* 5 s, tripled each time up to 6 h, give or take a fifth */
    int64_t timeout_us;     /* of an attempt: 10 s */
    size_t concurrency_max; /* 32 */
    struct parcel_maker makers[DELIVERY_MAKERS_MAX]; /* kind NULL: none */
    bool shared; /* other processes may leave work behind: look for it from time to time */
};

struct delivery_relay;
/* ERR_INVALID for a secret that is none. */
MUST_CHECK int delivery_open(struct rt *rt, struct http_client *client, struct store *store,
                             const struct delivery_options *o, struct delivery_relay **out,
                             struct err *err);
/* port: where this server listens, for relative addresses. */
MUST_CHECK int delivery_start(struct delivery_relay *d, int port, struct err *err);
void delivery_add_jobs(struct delivery_relay *d, struct jobs *jobs);
void delivery_wake(void *relay); /* something may be due */
/* Claims nothing more; waits until deadline_us for what is under way, gives the rest back. */
MAY_SUSPEND void delivery_stop(struct delivery_relay *d, int64_t deadline_us);
void delivery_free(struct delivery_relay *d); /* NULL is fine */

/* Has the server a name to ask for consent in? */
bool delivery_has_origin(const struct delivery_relay *d);
/* May this be a target? ERR_INVALID with the reason. Names are not resolved yet. */
MUST_CHECK int delivery_check_target(const struct delivery_relay *d, str url, struct err *err);

#endif
