/* SPDX-License-Identifier: Apache-2.0 */
/* blobs.c - names of blobs, limits, and the check that what is read is what was put.
 *
 * A place that keeps the bytes (local.c, s3.c) is behind the port of blobs_int.h. */
#include "blobs/blobs.h"

#include "base/hex.h"
#include "base/mem.h"
#include "blobs/blobs_int.h"

struct blob_store {
    struct blob_place *place;
    size_t blob_bytes_max;
};

/* --- names ----------------------------------------------------------------------------------- */

struct blob_name blob_name_of(str data) {
    struct blob_name name;
    hash_sha256(data, name.sha256);
    return name;
}

str blob_name_hex(const struct blob_name *name, struct arena *a) {
    return hex_text(a, name->sha256, sizeof(name->sha256));
}

bool blob_name_parse(str hex, struct blob_name *out) {
    if (hex.len != BLOB_NAME_HEX)
        return false;
    for (size_t i = 0; i < HASH_SHA256_BYTES; i++) {
        int high = hex_digit_lower(hex.p[2 * i]), low = hex_digit_lower(hex.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out->sha256[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* --- the store ------------------------------------------------------------------------------- */

int blob_store_open(struct rt *rt, struct http_client *client, const struct blob_store_options *o,
                    struct blob_store **out, struct err *err) {
    struct blob_store_options full = *o;
    if (full.blob_bytes_max == 0)
        full.blob_bytes_max = BLOB_BYTES_MAX;
    struct blob_place *place;
    int rc = full.folder ? blob_local_open(rt, &full, &place, err)
                         : blob_s3_open(client, &full, &place, err);
    if (rc < 0)
        return rc;
    struct blob_store *s = NEW(struct blob_store);
    s->place = place;
    s->blob_bytes_max = full.blob_bytes_max;
    *out = s;
    return 0;
}

void blob_store_close(struct blob_store *s) {
    if (!s)
        return;
    s->place->ops->close(s->place);
    mem_free(s);
}

int blob_put(struct blob_store *s, str data, struct blob_name *out, struct err *err) {
    if (data.len > s->blob_bytes_max)
        return err_set(err, ERR_TOO_LARGE, "%zu bytes are more than the %zu that are kept in one",
                       data.len, s->blob_bytes_max);
    struct arena a;
    *out = blob_name_of(data);
    arena_init(&a, 4096);
    int rc = s->place->ops->put(s->place, blob_name_hex(out, &a), data, err);
    arena_deinit(&a);
    return rc;
}

int blob_get(struct blob_store *s, const struct blob_name *name, uint64_t from, uint64_t count,
             struct arena *a, str *out, uint64_t *out_size, struct err *err) {
    if (count > s->blob_bytes_max)
        count = s->blob_bytes_max;
    int rc = s->place->ops->get(s->place, blob_name_hex(name, a), from, count ? count : 1, a, out,
                                out_size, err);
    if (rc < 0)
        return rc;
    if (from > *out_size)
        return err_set(err, ERR_INVALID, "it has only %llu bytes", (unsigned long long)*out_size);
    *out = str_slice(*out, 0, count < out->len ? (size_t)count : out->len);
    struct blob_name found = *name;
    if (out->len == *out_size)
        found = blob_name_of(*out);
    if (memcmp(found.sha256, name->sha256, HASH_SHA256_BYTES) != 0)
        return err_set(err, ERR_CORRUPT, "what is kept under this digest has another one");
    return 0;
}

int blob_delete(struct blob_store *s, const struct blob_name *name, struct err *err) {
    struct arena a;
    arena_init(&a, 4096);
    int rc = s->place->ops->remove(s->place, blob_name_hex(name, &a), err);
    arena_deinit(&a);
    if (rc == ERR_NOT_FOUND) {
        err_reset(err);
        rc = 0;
    }
    return rc;
}

size_t blob_parts(const struct blob_store *s) { return s->place->ops->tidy ? BLOB_PARTS : 0; }

int blob_tidy(struct blob_store *s, size_t part, int64_t *out_removed, struct err *err) {
    ASSERT(part < blob_parts(s));
    *out_removed = 0;
    return s->place->ops->tidy(s->place, part, out_removed, err);
}
