/* SPDX-License-Identifier: Apache-2.0 */
/* address.h - what may be asked of URLs that come from outside: their parts, read strictly, and
 * whether an address is a public one.
 *
 * Memory: results point into the text. Errors: a text that says why. Suspends: never.
 * Tests: tests/unit/graphs/test_tools.c, tests/unit/delivery/ */
#ifndef HF_HTTP_ADDRESS_H
#define HF_HTTP_ADDRESS_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct http_url {
    str host; /* without brackets */
    str port; /* as digits */
    bool usual_port, numeric, https;
};
/* NULL, or why the URL is refused: not http or https, a user, control characters, too long. */
const char *http_url_split(str url, struct http_url *out);
/* "host", "host:port", "[v6]:port"; the port is absent when there is none. */
bool http_authority_split(str authority, str *out_host, str *out_port);
/* A numeric address: 4 bytes, or 16 of IPv6. */
bool http_address_parse(str text, uint8_t out[16], bool *out_v6);
bool http_address_is_public(str address); /* numeric IPv4 or IPv6 */

#endif
