/* SPDX-License-Identifier: Apache-2.0 */
/* conninfo_int.h - connection strings: libpq's reading of them, with our defaults and addresses.
 *
 * libpq resolves names blockingly, so each named host is looked up by the runtime and handed to
 * libpq with its addresses (hostaddr); the name stays, for TLS and for texts.
 * Owner: the pool has one pg_conninfo; a connection makes a pg_target of it for each attempt.
 * Memory: heap, freed by the functions named so. Errors: ERR_INVALID, ERR_UNAVAILABLE; texts never
 * show a password. Suspends: as marked. Tests: tests/unit/pg/test_conninfo.c */
#ifndef HF_PG_CONNINFO_INT_H
#define HF_PG_CONNINFO_INT_H

#include "base/arena.h"
#include "base/buf.h"
#include "rt/worker.h"

#define PG_HOSTS_MAX 32 /* of one connection string, addresses counted */

struct pg_conninfo;
MUST_CHECK int pg_conninfo_parse(const char *url, const char *application_name,
                                 struct pg_conninfo **out, struct err *err);
void pg_conninfo_free(struct pg_conninfo *i);
bool pg_conninfo_names(const struct pg_conninfo *i); /* some host must be looked up */
const char *pg_conninfo_get(const struct pg_conninfo *i, const char *keyword); /* NULL: not set */
/* Replaces the password, should a text hold it, and line ends. */
void pg_conninfo_redact(const struct pg_conninfo *i, const char *text, struct err *err);

/* What PQconnectStartParams takes: parallel arrays, NULL at the end. */
struct pg_target {
    const char *const *keywords;
    const char *const *values;
    struct arena arena;
};
typedef int (*pg_resolve_fn)(struct rt *rt, str host, struct rt_address *out, size_t cap,
                             size_t *out_count, struct err *err);
/* resolve: rt_resolve, or NULL when no host has a name. */
MUST_CHECK MAY_SUSPEND int pg_conninfo_target(const struct pg_conninfo *i, struct rt *rt,
                                              pg_resolve_fn resolve, struct pg_target **out,
                                              struct err *err);
void pg_target_free(struct pg_target *t);

#endif
