/* SPDX-License-Identifier: Apache-2.0 */
/* debug.h - the debug API: what lives in the process, failpoints, the digest of the data.
 * Loopback only, and only with --debug-api. Suspends: the digest reads all data. */
#ifndef HF_APP_DEBUG_H
#define HF_APP_DEBUG_H

#include "db/port.h"
#include "engine/engine.h"
#include "http/server.h"

struct debug_context {
    struct rt *rt;
    struct db *db;
    struct engine *engine;
    struct http_server *http;
};
bool debug_matches(const struct http_request *req);
MAY_SUSPEND void debug_handle(struct http_request *req, const struct debug_context *ctx);

#endif
