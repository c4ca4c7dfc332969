/* SPDX-License-Identifier: Apache-2.0 */
/* webhooks.h - who subscribed to the events of plans, and what is put into the outbox for them.
 *
 * What a batch appends to the log of a plan's thread goes, by one statement of the same batch, into
 * `deliveries`: a row for each entry and webhook, none when nobody subscribed. The payload is the
 * entry as it stands in the log and whose it is; what is sent is made of it when it is sent.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_webhooks.c, tests/integration/run-plan-outbox */
#ifndef HF_STORE_WEBHOOKS_H
#define HF_STORE_WEBHOOKS_H

#include "store/deliveries.h"

#define WEBHOOK_KIND      "events" /* of its deliveries */
#define WEBHOOK_COUNT_MAX 100      /* of one owner */

enum webhook_mode { WEBHOOK_BATCH, WEBHOOK_SINGLE };
extern const struct word_set WEBHOOK_MODES;

struct webhook {
    struct id id;
    str owner;
    str project; /* "": any */
    str url;
    str types;  /* JSON: ["plan.*", …] */
    bool steps; /* some type is one of steps */
    enum webhook_mode mode;
    str secret;     /* whsec_… */
    bool gone;      /* the receiver said so; nothing is made for it any more */
    bool handshake; /* its target is asked for consent before it is told anything */
    int64_t rate;   /* requests a minute that it is asked for; 0: none */
    int64_t created_at, updated_at;
};

/* ERR_LIMIT when the owner has WEBHOOK_COUNT_MAX. */
MUST_CHECK int webhook_create(struct store *s, const struct webhook *w, struct arena *a,
                              struct err *err);
MUST_CHECK int webhook_list(struct store *s, const struct principal *who, struct arena *a,
                            struct webhook **out, size_t *out_count, struct err *err);
MUST_CHECK int webhook_get(struct store *s, const struct principal *who, struct id id,
                           struct arena *a, struct webhook *out, struct err *err);
/* With what waits for it. */
MUST_CHECK int webhook_delete(struct store *s, const struct principal *who, struct id id,
                              struct arena *a, struct err *err);
MUST_CHECK int webhook_enable(struct store *s, const struct principal *who, struct id id,
                              int64_t now_us, struct arena *a, struct err *err);
/* Nothing more is made for it, what waits is dead. */
MUST_CHECK int webhook_gone(struct store *s, struct id id, int64_t now_us, struct arena *a,
                            struct err *err);

/* For the last `count` entries of the thread's log, of these kinds; after those that append them.
 * Returns the operation, which changed something when there are rows. */
size_t webhook_outbox_add(struct db_batch *b, struct id thread_id, int64_t count,
                          const int64_t kinds[2], int64_t now_us);
struct webhook_replay {
    struct id webhook, plan;
    int64_t kind, after, until; /* of the log's entries: numbers */
    int64_t only;               /* the event of this index; -1: all */
    int64_t limit;
};
/* *out_last: the number of the last one. */
MUST_CHECK int webhook_replay(struct store *s, const struct webhook_replay *r, int64_t now_us,
                              struct arena *a, size_t *out_count, int64_t *out_last,
                              struct err *err);

#endif
