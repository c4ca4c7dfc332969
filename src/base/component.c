/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - versions of OpenSSL, xxHash and yyjson.
 *
 * Here, as this module's files are the only ones that may see those headers. What runs is asked of
 * the library; what it was built with is its header's word. */
#include "base/component.h"

#include <openssl/crypto.h>
#include <openssl/opensslv.h>
#include <stdio.h>
#include <xxhash.h>
#include <yyjson.h>

static void xxhash_text(char out[24], unsigned number) { /* 801 is 0.8.1 */
    (void)snprintf(out, 24, "%u.%u.%u", number / 10000, number / 100 % 100, number % 100);
}

void base_components(component_fn *add, void *ctx) {
    char installed[24], wanted[24];
    xxhash_text(installed, XXH_versionNumber());
    xxhash_text(wanted, XXH_VERSION_NUMBER);
    add(ctx, &(struct component){"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING),
                                 OPENSSL_VERSION_STR, "libssl3"});
    add(ctx, &(struct component){"xxHash", installed, wanted, "libxxhash0"});
    (void)snprintf(installed, sizeof(installed), "%u.%u.%u", yyjson_version() >> 16,
                   yyjson_version() >> 8 & 0xff, yyjson_version() & 0xff);
    add(ctx, &(struct component){"yyjson", installed, YYJSON_VERSION_STRING, NULL});
}
