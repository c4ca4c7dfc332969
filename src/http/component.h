/* SPDX-License-Identifier: Apache-2.0 */
/* component.h - the libraries behind HTTP; see base/component.h. */
#ifndef HF_HTTP_COMPONENT_H
#define HF_HTTP_COMPONENT_H

#include "base/component.h"

/* libcurl, libdeflate, zlib, zstd, llhttp. */
void http_components(component_fn *add, void *ctx);

#endif
