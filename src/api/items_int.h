/* SPDX-License-Identifier: Apache-2.0 */
/* items_int.h - what the handlers of single items share with the batch: reading what is asked for,
 * writing what is answered.
 *
 * Memory: the request's arena. Errors: as of the routes.
 * Suspends: items_search, items_namespaces. */
#ifndef HF_API_ITEMS_INT_H
#define HF_API_ITEMS_INT_H

#include "api/api_int.h"

/* These read their members and call body_done(). */
MUST_CHECK int items_read_key(struct body *b, str *out_namespace, str *out_key, struct err *err);
MUST_CHECK int items_read_put(const struct store *s, struct body *b, struct item_change *out,
                              struct err *err);
/* Write the answer's object. */
MUST_CHECK int items_search(struct api_request *r, struct body *b, struct json_writer *w,
                            struct err *err);
MUST_CHECK int items_namespaces(struct api_request *r, struct body *b, struct json_writer *w,
                                struct err *err);

#endif
