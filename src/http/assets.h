/* SPDX-License-Identifier: Apache-2.0 */
/* assets.h - files that lie in the binary, in several forms, of which the client gets the best one.
 *
 * Memory: tables are constants (tools/gen-assets makes them). Errors: none; what no form fits gets
 * the first one. Suspends: never. Tests: tests/unit/http/test_assets.c,
 * tests/integration/run-compression */
#ifndef HF_HTTP_ASSETS_H
#define HF_HTTP_ASSETS_H

#include "http/server.h"

struct http_asset_form {
    const char *type; /* "text/html; charset=utf-8" */
    enum http_coding coding;
    const char *etag; /* strong, with its quotes; no two forms have the same */
    const unsigned char *bytes;
    size_t length;
};

/* The first form is the original. One of another type is for those only whose Accept names it. */
struct http_asset {
    const char *name;
    const struct http_asset_form *forms;
    size_t form_count;
    int64_t modified_us;
    bool immutable; /* its name has its hash in it; others are asked for again each time */
};

const struct http_asset *http_asset_find(const struct http_asset *all, size_t count, str name);
/* Answers 200 or 304; the status. */
int http_asset_reply(struct http_request *req, const struct http_asset *asset);

#endif
