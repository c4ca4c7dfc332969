/* SPDX-License-Identifier: Apache-2.0 */
/* api_key.h - keys that this server itself gives out: the text, and the record that is kept.
 *
 * A key is "hfk_" and 43 characters of base64url: 256 random bits. Only its SHA-256 is kept; with
 * that many bits a slow hash would add nothing. A record is a JSON object, the same in the database
 * and in a file of keys ({"keys": [record, …]}):
 *   {"id", "sha256", "name", "owner", "tenant", "scope": "read" | "write",
 *    "created_at", "expires_at", "revoked_at"}
 *
 * Memory: texts of a record point into its document. Errors: ERR_INVALID. Suspends: never.
 * Tests: tests/unit/auth/test_api_key.c */
#ifndef HF_AUTH_API_KEY_H
#define HF_AUTH_API_KEY_H

#include "auth/cache.h"
#include "auth/claims.h"

#define API_KEY_PREFIX   "hfk_"
#define API_KEY_BYTES    47 /* of the text */
#define API_KEY_HEX      (2 * HASH_SHA256_BYTES)
#define API_KEY_ID_BYTES 12

struct api_key {
    str id, name, owner, tenant; /* id: begin of the digest, for people */
    struct auth_digest digest;
    bool read_only, graphs, operate; /* the last two: writes, too */
    int64_t created_us, expires_us, revoked_us; /* 0: never */
};

bool api_key_is_one(str text); /* it has the form */
/* A new one. Its text is shown once, to whoever asked for it, and kept nowhere. */
void api_key_make(char out[API_KEY_BYTES]);
void api_key_digest_hex(const struct auth_digest *d, char out[API_KEY_HEX]);

/* read, write, graphs, operate: false for another word. */
bool api_key_scope(str word, struct api_key *out);
const char *api_key_scope_name(const struct api_key *key);
MUST_CHECK int api_key_read(yyjson_val *record, struct api_key *out, struct err *err);
void api_key_write(struct json_writer *w, struct arena *a, const struct api_key *key);
/* Who it is for. ERR_UNAUTHORISED when it has expired, was revoked or names no owner. */
MUST_CHECK int api_key_identity(struct arena *a, const struct api_key *key, int64_t now_us,
                                struct identity *out, struct err *err);

/* --- the keys of a file --- */
#define API_KEY_FILE_BYTES_MAX ((size_t)16 << 20)
struct api_key_set;
/* One record that cannot be read refuses the whole text. */
MUST_CHECK int api_key_set_parse(str json, struct api_key_set **out, struct err *err);
void api_key_set_free(struct api_key_set *set); /* NULL is fine */
const struct api_key *api_key_set_find(const struct api_key_set *set, const struct auth_digest *d);

#endif
