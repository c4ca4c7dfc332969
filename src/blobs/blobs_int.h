/* SPDX-License-Identifier: Apache-2.0 */
/* blobs_int.h - the port between the store of blobs and the places where they lie.
 *
 * For the files of this folder only. A place gets bytes under a name and gives them back; that the
 * bytes are what the name says is seen to by blobs.c. */
#ifndef HF_BLOBS_BLOBS_INT_H
#define HF_BLOBS_BLOBS_INT_H

#include "blobs/blobs.h"

struct blob_place;
struct blob_place_ops {
    MAY_SUSPEND int (*put)(struct blob_place *p, str name, str data, struct err *err);
    /* As blob_get; `count` is at least 1. */
    MAY_SUSPEND int (*get)(struct blob_place *p, str name, uint64_t from, uint64_t count,
                           struct arena *a, str *out, uint64_t *out_size, struct err *err);
    MAY_SUSPEND int (*remove)(struct blob_place *p, str name, struct err *err); /* or NOT_FOUND */
    /* As blob_tidy; NULL: nothing is ever half-written. */
    MAY_SUSPEND int (*tidy)(struct blob_place *p, size_t part, int64_t *out_removed,
                            struct err *err);
    void (*close)(struct blob_place *p);
};
struct blob_place {
    const struct blob_place_ops *ops;
};

int blob_local_open(struct rt *rt, const struct blob_store_options *o, struct blob_place **out,
                    struct err *err);
int blob_s3_open(struct http_client *client, const struct blob_store_options *o,
                 struct blob_place **out, struct err *err);

#endif
