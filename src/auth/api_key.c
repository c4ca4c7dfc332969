/* SPDX-License-Identifier: Apache-2.0 */
/* api_key.c - making, writing and reading keys.
 *
 * A key is found by the digest of what was sent, in a table whose hash is keyed, and the digests
 * are then compared in constant time; so the time that a look-up takes tells nothing of a key. */
#include "auth/api_key.h"

#include <openssl/crypto.h>

#include "auth/random_token.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/map.h"
#include "base/mem.h"

bool api_key_is_one(str text) { return random_token_is_one(text, STR(API_KEY_PREFIX)); }

void api_key_make(char out[API_KEY_BYTES]) {
    STATIC_ASSERT(API_KEY_BYTES == sizeof(API_KEY_PREFIX) - 1 + RANDOM_TOKEN_TEXT_BYTES,
                  "the text");
    random_token_make(STR(API_KEY_PREFIX), out);
}

void api_key_digest_hex(const struct auth_digest *d, char out[API_KEY_HEX]) {
    hex_write(d->bytes, sizeof(d->bytes), out);
}

/* --- records --- */

static bool digest_parse(str hex, struct auth_digest *out) {
    if (hex.len != API_KEY_HEX)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        int v = hex_digit_lower(hex.p[i]);
        if (v < 0)
            return false;
        unsigned char *byte = &out->bytes[i / 2];
        *byte = (unsigned char)(i % 2 ? *byte | v : v << 4);
    }
    return true;
}

static bool read_time(yyjson_val *record, const char *name, int64_t *out) {
    yyjson_val *v = json_get(record, name);
    *out = 0;
    return !v || yyjson_is_null(v) || (time_parse_iso(json_str(v), out) && *out > 0);
}

/* A word that is not known is no permission. */
bool api_key_scope(str word, struct api_key *out) {
    out->read_only = str_eq(word, STR("read"));
    out->graphs = str_eq(word, STR("graphs"));
    out->operate = str_eq(word, STR("operate"));
    return out->read_only || out->graphs || out->operate || str_eq(word, STR("write"));
}

const char *api_key_scope_name(const struct api_key *key) {
    return key->read_only ? "read" : key->graphs ? "graphs" : key->operate ? "operate" : "write";
}

static bool read_scope(yyjson_val *record, struct api_key *out) {
    yyjson_val *v = json_get(record, "scope");
    return api_key_scope(v && !yyjson_is_null(v) ? json_str(v) : STR("write"), out);
}

int api_key_read(yyjson_val *record, struct api_key *out, struct err *err) {
    struct api_key k = {
        .id = json_str(json_get(record, "id")),
        .name = json_str(json_get(record, "name")),
        .owner = json_str(json_get(record, "owner")),
        .tenant = json_str(json_get(record, "tenant")),
    };
    if (!digest_parse(json_str(json_get(record, "sha256")), &k.digest))
        return err_set(err, ERR_INVALID, "a key's sha256 must be 64 hexadecimal digits");
    if (!identity_owner_valid(k.owner))
        return err_set(err, ERR_INVALID, "a key must have an owner");
    if (!read_scope(record, &k))
        return err_set(err, ERR_INVALID, "a key's scope must be read, write, graphs or operate");
    if (!read_time(record, "created_at", &k.created_us) ||
        !read_time(record, "expires_at", &k.expires_us) ||
        !read_time(record, "revoked_at", &k.revoked_us))
        return err_set(err, ERR_INVALID, "a key's times must be ISO 8601");
    *out = k;
    return 0;
}

static void write_time(struct json_writer *w, const char *name, struct arena *a, int64_t us) {
    if (us == 0)
        return;
    jw_key(w, name);
    jw_str(w, time_iso(a, us));
}

static void write_text(struct json_writer *w, const char *name, str text) {
    if (text.len == 0)
        return;
    jw_key(w, name);
    jw_str(w, text);
}

void api_key_write(struct json_writer *w, struct arena *a, const struct api_key *key) {
    char hex[API_KEY_HEX];
    api_key_digest_hex(&key->digest, hex);
    jw_object(w);
    write_text(w, "id", str_n(hex, API_KEY_ID_BYTES));
    write_text(w, "sha256", str_n(hex, API_KEY_HEX));
    write_text(w, "name", key->name);
    write_text(w, "owner", key->owner);
    write_text(w, "tenant", key->tenant);
    write_text(w, "scope", str_of(api_key_scope_name(key)));
    write_time(w, "created_at", a, key->created_us);
    write_time(w, "expires_at", a, key->expires_us);
    write_time(w, "revoked_at", a, key->revoked_us);
    jw_object_end(w);
}

int api_key_identity(struct arena *a, const struct api_key *key, int64_t now_us,
                     struct identity *out, struct err *err) {
    str owner;
    if (key->revoked_us)
        return err_set(err, ERR_UNAUTHORISED, "The API key was revoked");
    if (key->expires_us && now_us >= key->expires_us)
        return err_set(err, ERR_UNAUTHORISED, "The API key has expired");
    if (!identity_owner_make(a, key->tenant, key->owner, &owner))
        return err_set(err, ERR_UNAUTHORISED, "The API key names no user");
    *out = (struct identity){.owner = owner,
                             .read_only = key->read_only,
                             .graphs = key->graphs,
                             .operate = key->operate,
                             .expires_s = key->expires_us / 1000000};
    return 0;
}

/* --- the keys of a file --- */

struct api_key_set {
    struct arena memory;
    struct map map; /* by digest */
};

void api_key_set_free(struct api_key_set *set) {
    if (!set)
        return;
    map_deinit(&set->map);
    arena_deinit(&set->memory);
    mem_free(set);
}

int api_key_set_parse(str json, struct api_key_set **out, struct err *err) {
    yyjson_val *root, *list = NULL, *record;
    struct api_key_set *set = NEW(struct api_key_set);
    arena_init(&set->memory, SIZE_MAX / 2);
    map_init(&set->map);
    int rc = json_parse(&set->memory, json, &root, err);
    if (rc == 0)
        list = json_get(root, "keys");
    if (rc == 0 && !yyjson_is_arr(list))
        rc = err_set(err, ERR_INVALID, "no JSON object with a list of \"keys\"");
    size_t i, n;
    yyjson_arr_foreach(list, i, n, record) {
        struct api_key *key = ARENA_NEW(&set->memory, struct api_key);
        if (rc == 0)
            rc = api_key_read(record, key, err);
        if (rc == 0)
            (void)map_put(&set->map, auth_digest_view(&key->digest), key); /* the last one wins */
    }
    if (rc < 0) {
        api_key_set_free(set);
        return rc;
    }
    *out = set;
    return 0;
}

const struct api_key *api_key_set_find(const struct api_key_set *set, const struct auth_digest *d) {
    const struct api_key *key = set ? map_get(&set->map, auth_digest_view(d)) : NULL;
    bool same = key && CRYPTO_memcmp(key->digest.bytes, d->bytes, sizeof(d->bytes)) == 0;
    return same ? key : NULL;
}
