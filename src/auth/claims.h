/* SPDX-License-Identifier: Apache-2.0 */
/* claims.h - what a verified token, or an authority's answer, says about its bearer.
 *
 * Memory: texts point into the document or the arena. Errors: ERR_UNAUTHORISED with a text for the
 * bearer, ERR_FORBIDDEN when a scope is demanded and missing. Suspends: never.
 * Tests: tests/unit/auth/test_claims.c */
#ifndef HF_AUTH_CLAIMS_H
#define HF_AUTH_CLAIMS_H

#include "base/json.h"

struct claim_rules {
    str issuer;    /* absent or empty: any */
    str audiences; /* comma list, one of which must be there; empty: any */
    int64_t skew_s;
    str owner;  /* name of the claim: "sub", "app_metadata.org_id" */
    str tenant; /* likewise; empty: none */
    str scope;  /* likewise; its words holdfast:read and holdfast:write count */
    bool scope_required;
    bool exp_optional; /* an authority that was asked has looked at it */
};

#define IDENTITY_OWNER_BYTES_MAX 512
struct identity {
    str owner; /* never empty; "tenant:owner" when there are tenants */
    bool read_only, graphs, operate;
    int64_t expires_s; /* 0: never */
};

/* exp, nbf, iat, iss, aud. *out_expires_s is 0 when there is no exp. */
MUST_CHECK int claims_check(yyjson_val *claims, const struct claim_rules *rules, int64_t now_s,
                            int64_t *out_expires_s, struct err *err);
/* owner, tenant, scope. expires_s is left alone. */
MUST_CHECK int claims_identity(struct arena *a, yyjson_val *claims, const struct claim_rules *rules,
                               struct identity *out, struct err *err);
/* An owner that may be one: not empty, not too long, no control characters. */
bool identity_owner_valid(str owner);
/* "tenant:owner"; the owner alone when tenant is empty. False when it is none, when a ':' stands in
 * the tenant, and for `system` and `anonymous` alone, which the database knows. */
bool identity_owner_make(struct arena *a, str tenant, str owner, str *out);
/* False when a key of an object occurs twice at any depth, or there are too many or too deep. */
bool claims_unique(yyjson_val *v);

#endif
