/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.h - what steps may use without anybody reading it: values by scope and name.
 *
 *   {"SCOPE": {"values": {"NAME": "value"}, "owners": ["alice"], "tools": ["http"],
 *              "hosts": "api.example.org, internal:8443"}}
 *
 * owners, tools and hosts narrow down who may use a scope, in which tools, and where its values may
 * be sent; what is left out allows any. A step names its scopes; texts of its inputs that a tool
 * says so for may hold {{secret.NAME}}. Values have 8 to 4096 bytes, so that one that comes back
 * in an answer can be told from other text, and taken out.
 * Memory: the arena given. Errors: ERR_INVALID; texts name scopes and names, never a value.
 * Suspends: never. Tests: tests/unit/plans/test_secrets.c, tests/fuzz/fuzz_plan_secrets.c */
#ifndef HF_PLANS_SECRETS_H
#define HF_PLANS_SECRETS_H

#include "base/json.h"

#define PLAN_SECRET_FORMS 3
struct plan_secret {
    str name, value;
    str hosts;                    /* absent: any */
    str forms[PLAN_SECRET_FORMS]; /* as it may come back: plain, in JSON, in Base64 */
};
struct plan_secrets { /* those of a step */
    struct plan_secret *items;
    size_t count;
};

/* Looks at the whole configuration. text empty: none. */
MUST_CHECK int plan_secrets_check(str text, struct err *err);
/* config: checked, or empty. scope: a name or a list of names; NULL: none. */
MUST_CHECK int plan_secrets_of(struct arena *a, str config, yyjson_val *scope, str owner, str tool,
                               struct plan_secrets *out, struct err *err);
/* url: where it goes; absent: nowhere outside. */
MUST_CHECK int plan_secrets_expand(const struct plan_secrets *s, struct arena *a, str text, str url,
                                   str *out, struct err *err);
/* Without the values. cut: the text was longer, so the beginning of one may stand at its end. */
str plan_secrets_redact(const struct plan_secrets *s, struct arena *a, str text, bool cut);

#endif
