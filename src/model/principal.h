/* SPDX-License-Identifier: Apache-2.0 */
/* principal.h - who is asking: carried by value through every call, never global.
 *
 * Without authentication every request acts as the owner "", and what it makes belongs to "".
 * `all` is for the server's own work (recovery, default assistants): no owner filter. */
#ifndef HF_MODEL_PRINCIPAL_H
#define HF_MODEL_PRINCIPAL_H

#include "base/id.h"
#include "base/str.h"

struct principal {
    str owner;
    bool all;
    bool read_only;    /* may call what changes nothing */
    bool graphs;       /* may register graphs, which everybody can run */
    bool operate;      /* may look after the server: /admin */
    struct id session; /* that the request showed; nil: none */
    bool cookie;       /* and did so by a cookie: no script has seen it */
    /* What proved it, for the log: "token", "authority", "key", "session"; NULL: nothing. */
    const char *by;
};
/* As rows have it: never absent. */
static inline str principal_owner(const struct principal *p) {
    return p->owner.p ? p->owner : STR("");
}
/* Bounds for `owner BETWEEN $lo AND $hi` of look-ups by key: exact, or everything for `all`. */
static inline str principal_owner_low(const struct principal *p) {
    return p->all ? STR("") : p->owner;
}
static inline str principal_owner_high(const struct principal *p) {
    return p->all ? STR_LAST : p->owner;
}

#endif
