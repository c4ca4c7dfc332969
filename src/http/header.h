/* SPDX-License-Identifier: Apache-2.0 */
/* header.h - one header field of a request or response, as plain data.
 *
 * Apart from server.h so that the parser can be compiled without the names of the server, which
 * collide with llhttp's. Memory: points into the message it belongs to. Suspends: never.
 * Tests: with its users. */
#ifndef HF_HTTP_HEADER_H
#define HF_HTTP_HEADER_H

#include "base/str.h"

struct http_header {
    str name, value;
};

#endif
