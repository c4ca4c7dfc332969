/* SPDX-License-Identifier: Apache-2.0 */
/* auth.h - who sent a request: the one place where a principal is made.
 *
 * Without authentication configured every request acts as the owner "".
 * Memory: the principal's texts live in the arena. Errors: ERR_UNAUTHORISED, ERR_FORBIDDEN.
 * Tests: tests/unit/api/ */
#ifndef HF_AUTH_AUTH_H
#define HF_AUTH_AUTH_H

#include "http/server.h"
#include "model/principal.h"

MUST_CHECK MAY_SUSPEND int auth_authenticate(const struct http_request *req, struct arena *a,
                                             struct principal *out, struct err *err);

#endif
