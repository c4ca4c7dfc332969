/* SPDX-License-Identifier: Apache-2.0 */
/* blob_settings.c - options of the store of blobs: a bucket when one is named, else a folder, which
 * is "blobs" in the data folder unless said. A server that keeps everything in memory has no place
 * for them unless one is named. */
#include "app/blob_settings.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int blob_settings_open(struct config *c, struct rt *rt, struct http_client *client,
                       struct blob_store **out, struct err *err) {
    struct blob_store_options o = {.endpoint = c->blob_s3_endpoint,
                                   .bucket = c->blob_s3_bucket,
                                   .prefix = c->blob_s3_prefix,
                                   .region = c->blob_s3_region,
                                   .key_id = c->blob_s3_key_id,
                                   .secret = secret_reveal(c->blob_s3_secret)};
    struct err why = {0};
    *out = NULL;
    if (!c->blob_s3_bucket.len && c->blob_folder.len) {
        o.folder = c->blob_folder.p;
    } else if (!c->blob_s3_bucket.len && !c->ephemeral) {
        if (mkdir(c->data.p, 0700) < 0 && errno != EEXIST)
            return err_set_system(err, ERR_IO, errno, "cannot make the folder %s: %s", c->data.p,
                                  strerror(errno));
        o.folder = arena_printf(&c->memory, STR_FMT "/blobs", STR_ARG(c->data)).p;
    } else if (!c->blob_s3_bucket.len) {
        return 0;
    }
    int rc = blob_store_open(rt, client, &o, out, &why);
    return rc < 0 ? err_set(err, rc, "--blob-*: %s", why.message) : 0;
}
