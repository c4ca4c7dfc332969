/* SPDX-License-Identifier: Apache-2.0 */
/* component.c - versions of libcurl, libdeflate, zlib, zstd and llhttp.
 *
 * Here, as this module's files are the only ones that may see those headers. What runs is asked of
 * the library; what it was built with is its header's word. */
#include "http/component.h"

#include <curl/curl.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "http/parse.h"

void http_components(component_fn *add, void *ctx) {
    add(ctx, &(struct component){"libcurl", curl_version_info(CURLVERSION_NOW)->version,
                                 LIBCURL_VERSION, "libcurl4"});
    /* It cannot be asked what runs. */
    add(ctx, &(struct component){"libdeflate", LIBDEFLATE_VERSION_STRING, LIBDEFLATE_VERSION_STRING,
                                 "libdeflate0"});
    add(ctx, &(struct component){"zlib", zlibVersion(), ZLIB_VERSION, "zlib1g"});
    add(ctx, &(struct component){"zstd", ZSTD_versionString(), ZSTD_VERSION_STRING, "libzstd1"});
    add(ctx, &(struct component){"llhttp", http_parser_version(), http_parser_version(), NULL});
}
