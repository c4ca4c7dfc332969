/* SPDX-License-Identifier: Apache-2.0 */
/* token.c - `holdfast token`: its command line; tokens for development.
 *
 *   holdfast token --sub alice                       a JWT signed with the configured secret
 *   holdfast token key create --owner alice          an API key: printed once, kept as a digest
 *   holdfast token key list | revoke ID
 *
 * Options that are not its own are those of `serve` (--jwt-secret, --data, …), so that a token fits
 * the server that has the same settings. A new option: a row of `texts` or `numbers`, a line of the
 * help. */
#include "app/token.h"

#include <stdio.h>

#include "app/token_int.h"
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/mem.h"

#define TTL_S_MAX    (INT64_C(10) * 366 * 86400)
#define DAYS_MAX     (INT64_C(100) * 366)
#define US_PER_DAY   INT64_C(86400000000)
#define ID_CHARS_MIN 8

static const char HELP[] =
    "usage: holdfast token --sub ID [options]\n"
    "       holdfast token key create --owner ID [options]\n"
    "       holdfast token key list [options]\n"
    "       holdfast token key revoke ID [options]\n\n"
    "token: prints a JWT (HS256) of the configured secret, for development.\n"
    "  --sub ID           whose it is\n"
    "  --ttl SECONDS      time until it expires (3600)\n"
    "  --scope WORDS      such as holdfast:read\n"
    "  --claim NAME=VALUE one more claim; VALUE is JSON, or else a text; may be repeated\n"
    "token key: API keys, in the database or in a file (--api-keys-file of serve).\n"
    "  --owner ID         whose data the key is for\n"
    "  --tenant ID        its tenant\n"
    "  --scope WORD       read, write; graphs: write and register graphs; operate: write and\n"
    "                     look after the server (write)\n"
    "  --name TEXT        for people\n"
    "  --days N           time until it expires (0: never)\n"
    "  --file FILE        the keys of this file instead of those of the database\n\n"
    "All other options are those of holdfast serve, and so are the variables.\n";

/* --- the command line --- */

static const struct {
    str flag;
    size_t offset;
} texts[] = {
    {STR("--sub"), offsetof(struct token_options, sub)},
    {STR("--owner"), offsetof(struct token_options, owner)},
    {STR("--tenant"), offsetof(struct token_options, tenant)},
    {STR("--scope"), offsetof(struct token_options, scope)},
    {STR("--name"), offsetof(struct token_options, name)},
    {STR("--file"), offsetof(struct token_options, file)},
};
static const struct {
    str flag;
    size_t offset;
    int64_t max;
} numbers[] = {
    {STR("--ttl"), offsetof(struct token_options, ttl_s), TTL_S_MAX},
    {STR("--days"), offsetof(struct token_options, days), DAYS_MAX},
};

/* 1: it was one of ours; 0: it was none. */
static int take_option(struct token_options *o, str flag, str value, struct err *err) {
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (str_eq(flag, texts[i].flag)) {
            *(str *)(void *)((char *)o + texts[i].offset) = value;
            return 1;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (!str_eq(flag, numbers[i].flag))
            continue;
        int64_t *n = (int64_t *)(void *)((char *)o + numbers[i].offset);
        if (!str_to_i64(value, n) || *n < 0 || *n > numbers[i].max)
            return err_set(err, ERR_INVALID, STR_FMT ": must be a number from 0 to %lld",
                           STR_ARG(flag), (long long)numbers[i].max);
        return 1;
    }
    if (!str_eq(flag, STR("--claim")))
        return 0;
    if (o->claim_count == TOKEN_CLAIMS_MAX || str_find_char(value, '=') <= 0)
        return err_set(err, ERR_INVALID, "--claim: must be NAME=VALUE, at most %d times",
                       TOKEN_CLAIMS_MAX);
    o->claims[o->claim_count++] = value;
    return 1;
}

/* "key create" and its like in front; *at is behind them. */
static int take_verb(struct token_options *o, int argc, char **argv, int *at, struct err *err) {
    static const struct {
        const char *word;
        enum token_verb verb;
    } verbs[] = {
        {"create", TOKEN_KEY_CREATE}, {"list", TOKEN_KEY_LIST}, {"revoke", TOKEN_KEY_REVOKE}};
    if (*at >= argc || strcmp(argv[*at], "key") != 0)
        return 0;
    ++*at;
    for (size_t i = 0; *at < argc && i < ARRAY_COUNT(verbs); i++) {
        if (strcmp(argv[*at], verbs[i].word) != 0)
            continue;
        ++*at;
        o->verb = verbs[i].verb;
        if (o->verb == TOKEN_KEY_REVOKE && *at < argc && argv[*at][0] != '-')
            o->id = str_of(argv[(*at)++]);
        return 0;
    }
    return err_set(err, ERR_INVALID, "token key: create, list or revoke");
}

/* What is left goes to the options of serve. */
static int parse(struct token_options *o, int argc, char **argv, struct err *err) {
    char **rest = ARENA_ARRAY(&o->a, char *, argc + 1);
    int rest_count = 0, at = 1;
    rest[rest_count++] = argv[0];
    int rc = take_verb(o, argc, argv, &at, err);
    for (; rc == 0 && at < argc; at++) {
        str flag = str_of(argv[at]), value = STR_NULL;
        ptrdiff_t equals = str_find_char(flag, '=');
        if (str_eq(flag, STR("--help"))) {
            o->help_wanted = true;
            return 0;
        }
        if (equals > 0) {
            value = str_slice(flag, (size_t)equals + 1, flag.len);
            flag = str_slice(flag, 0, (size_t)equals);
        } else if (at + 1 < argc) {
            value = str_of(argv[at + 1]);
        }
        int taken = value.p ? take_option(o, flag, value, err) : 0;
        if (taken < 0)
            rc = taken;
        else if (taken == 0)
            rest[rest_count++] = argv[at];
        else if (equals < 0)
            at++;
    }
    return rc < 0 ? rc : config_load(rest_count, rest, &o->config, err);
}

/* --- tokens --- */

static void write_text(struct json_writer *w, const char *key, str text) {
    if (text.len == 0)
        return;
    jw_key(w, key);
    jw_str(w, text);
}

static void write_claim(struct json_writer *w, struct arena *a, str claim) {
    size_t equals = (size_t)str_find_char(claim, '=');
    str value = str_slice(claim, equals + 1, claim.len);
    yyjson_val *json;
    jw_key_str(w, str_slice(claim, 0, equals));
    if (json_parse(a, value, &json, NULL) == 0)
        jw_val(w, json);
    else
        jw_str(w, value);
}

static str claims_of(struct token_options *o) {
    const struct config *c = &o->config;
    str audience = STR("");
    for (str rest = c->jwt_audience; audience.len == 0 && str_split_next(&rest, ',', &audience);)
        audience = str_trim(audience);
    int64_t now_s = clock_wall_us() / 1000000;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "sub");
    jw_str(&w, o->sub);
    jw_key(&w, "iat");
    jw_i64(&w, now_s);
    jw_key(&w, "exp");
    jw_i64(&w, now_s + o->ttl_s);
    write_text(&w, "iss", c->jwt_issuer);
    write_text(&w, "aud", audience);
    write_text(&w, "scope", o->scope);
    for (size_t i = 0; i < o->claim_count; i++)
        write_claim(&w, &o->a, o->claims[i]);
    jw_object_end(&w);
    return arena_take(&o->a, &b);
}

static int mint(struct token_options *o, struct err *err) {
    struct jwt_crypto *crypto = NULL;
    struct jwt_secret *secret = NULL;
    str key = secret_reveal(o->config.jwt_secret);
    if (o->sub.len == 0)
        return err_set(err, ERR_INVALID, "--sub is required; --help lists the options");
    if (key.len == 0)
        return err_set(err, ERR_INVALID, "there is no secret: set SUPABASE_JWT_SECRET");
    int rc = jwt_crypto_open(&crypto, err);
    if (rc == 0)
        rc = jwt_secret_new(crypto, key, &secret, err);
    if (rc == 0)
        printf(STR_FMT "\n", STR_ARG(jwt_make(&o->a, secret, claims_of(o))));
    jwt_secret_free(secret);
    jwt_crypto_free(crypto);
    return rc;
}

/* --- keys --- */

int token_key_make(struct token_options *o, struct api_key *out, char text[API_KEY_BYTES],
                   struct err *err) {
    str owner, scope = o->scope.len ? o->scope : STR("write");
    if (!identity_owner_make(&o->a, o->tenant, o->owner, &owner))
        return err_set(err, ERR_INVALID,
                       "--owner is required; it has up to %d bytes, a tenant no ':'; system and "
                       "anonymous are nobody's",
                       IDENTITY_OWNER_BYTES_MAX);
    struct api_key scoped = {0};
    if (!api_key_scope(scope, &scoped))
        return err_set(err, ERR_INVALID, "--scope: must be read, write, graphs or operate");
    int64_t now_us = clock_wall_us();
    api_key_make(text);
    *out = (struct api_key){.name = o->name,
                            .owner = o->owner,
                            .tenant = o->tenant,
                            .read_only = scoped.read_only,
                            .graphs = scoped.graphs,
                            .operate = scoped.operate,
                            .created_us = now_us,
                            .expires_us = o->days ? now_us + o->days * US_PER_DAY : 0};
    hash_sha256(str_n(text, API_KEY_BYTES), out->digest.bytes);
    return 0;
}

void token_key_print(const struct api_key *key) {
    struct arena a;
    char hex[API_KEY_HEX];
    arena_init(&a, 1 << 16);
    api_key_digest_hex(&key->digest, hex);
    const char *state = key->revoked_us ? "revoked" : api_key_scope_name(key);
    printf(
        "%.*s  %-7s  " STR_FMT "  " STR_FMT "%s" STR_FMT "  " STR_FMT "\n", API_KEY_ID_BYTES, hex,
        state, STR_ARG(key->expires_us ? time_iso(&a, key->expires_us) : STR("never expires")),
        STR_ARG(key->tenant), key->tenant.len ? ":" : "", STR_ARG(key->owner), STR_ARG(key->name));
    arena_deinit(&a);
}

static int run(struct token_options *o, struct err *err) {
    if (o->verb == TOKEN_MINT)
        return mint(o, err);
    if (o->verb == TOKEN_KEY_REVOKE && o->id.len < ID_CHARS_MIN)
        return err_set(err, ERR_INVALID, "token key revoke: name the key by its ID, see list");
    if (o->file.len == 0)
        return token_stored_run(o, err);
    o->file = arena_dup(&o->a, o->file);
    return o->verb == TOKEN_KEY_CREATE ? token_file_create(o, err)
           : o->verb == TOKEN_KEY_LIST ? token_file_list(o, err)
                                       : token_file_revoke(o, err);
}

int token_run(int argc, char **argv) {
    struct token_options *o = NEW(struct token_options);
    struct err err = {0};
    o->ttl_s = 3600;
    arena_init(&o->a, (size_t)64 << 20);
    int rc = parse(o, argc, argv, &err);
    if (rc == 0 && o->help_wanted)
        fputs(HELP, stdout);
    else if (rc == 0)
        rc = run(o, &err);
    if (rc < 0)
        fprintf(stderr, "holdfast token: %s\n", err.message);
    if (!o->help_wanted)
        config_deinit(&o->config); /* of a failed load it is empty */
    arena_deinit(&o->a);
    mem_free(o);
    return rc == 0 ? 0 : rc == ERR_INVALID ? 2 : 1;
}
