/* SPDX-License-Identifier: Apache-2.0 */
/* claims.c - times, issuer, audience; owner, tenant, scope.
 *
 * A claim is looked up by its whole name first (names such as "https://example.org/org" contain
 * dots), then as a path through objects. A claim of another type than expected refuses the token:
 * nothing is converted and nothing guessed.
 *
 * Scope: of a list of words only holdfast:read and holdfast:write mean something here; write
 * includes read. A token with neither may do both, unless a scope is demanded, since most
 * authorities know nothing of these words. */
#include "auth/claims.h"

#define MEMBERS_MAX 256
#define DEPTH_MAX   16
#define TIME_MAX    253402300799.0 /* the end of the year 9999 */

static yyjson_val *find(yyjson_val *claims, str name) {
    yyjson_val *v = json_get_str(claims, name);
    str part;
    if (v || name.len == 0)
        return v;
    v = claims;
    for (str rest = name; v && str_split_next(&rest, '.', &part);)
        v = json_get_str(v, part);
    return v;
}

static int refuse(struct err *err, const char *text) {
    return err_set(err, ERR_UNAUTHORISED, "%s", text);
}

/* 0 when the claim is missing or a time. */
static int read_time(yyjson_val *claims, const char *name, bool *out_given, double *out,
                     struct err *err) {
    yyjson_val *v = json_get(claims, name);
    *out_given = v != NULL;
    *out = v ? yyjson_get_num(v) : 0;
    if (v && (!yyjson_is_num(v) || !(*out >= 0 && *out <= TIME_MAX)))
        return err_set(err, ERR_UNAUTHORISED, "The token's %s is no time", name);
    return 0;
}

static bool audience_fits(yyjson_val *aud, str wanted) {
    for (str rest = wanted, one; str_split_next(&rest, ',', &one);) {
        size_t i, n;
        yyjson_val *item;
        one = str_trim(one);
        if (one.len == 0)
            continue;
        if (yyjson_is_str(aud) && str_eq(json_str(aud), one))
            return true;
        yyjson_arr_foreach(aud, i, n, item) {
            if (str_eq(json_str(item), one))
                return true;
        }
    }
    return false;
}

int claims_check(yyjson_val *claims, const struct claim_rules *rules, int64_t now_s,
                 int64_t *out_expires_s, struct err *err) {
    bool has_exp, has_nbf, has_iat;
    double exp, nbf, iat, now = (double)now_s, skew = (double)rules->skew_s;
    int rc = read_time(claims, "exp", &has_exp, &exp, err);
    if (rc == 0)
        rc = read_time(claims, "nbf", &has_nbf, &nbf, err);
    if (rc == 0)
        rc = read_time(claims, "iat", &has_iat, &iat, err);
    if (rc < 0)
        return rc;
    if (!has_exp && !rules->exp_optional)
        return refuse(err, "The token has no exp");
    if (has_exp && now >= exp + skew)
        return refuse(err, "The token has expired");
    if (has_nbf && now < nbf - skew)
        return refuse(err, "The token is not valid yet");
    if (has_iat && (now < iat - skew || (has_exp && iat > exp)))
        return refuse(err, "The token's iat cannot be");
    if (rules->issuer.len && !str_eq(json_str(json_get(claims, "iss")), rules->issuer))
        return refuse(err, "The token has another issuer");
    if (rules->audiences.len && !audience_fits(json_get(claims, "aud"), rules->audiences))
        return refuse(err, "The token is for another audience");
    *out_expires_s = (int64_t)exp; /* 0 without one */
    return 0;
}

bool identity_owner_valid(str owner) {
    if (owner.len == 0 || owner.len > IDENTITY_OWNER_BYTES_MAX || !str_is_utf8(owner))
        return false;
    for (size_t i = 0; i < owner.len; i++)
        if ((unsigned char)owner.p[i] < 0x20 || owner.p[i] == 0x7f)
            return false;
    return true;
}

/* Names that mean somebody in the database: what belongs to `system` is read by everybody, and
 * other runtimes keep the items of nobody under `anonymous`. */
static bool is_reserved(str owner) {
    return str_eq(owner, STR("system")) || str_eq(owner, STR("anonymous"));
}

bool identity_owner_make(struct arena *a, str tenant, str owner, str *out) {
    if (!identity_owner_valid(owner))
        return false;
    if (tenant.len == 0) {
        *out = owner;
        return !is_reserved(owner);
    }
    if (!identity_owner_valid(tenant) || str_find_char(tenant, ':') >= 0)
        return false;
    str joined = arena_printf(a, STR_FMT ":" STR_FMT, STR_ARG(tenant), STR_ARG(owner));
    *out = joined;
    return identity_owner_valid(joined);
}

static bool word_is(str words, str word) {
    for (str rest = words, one; str_split_next(&rest, ' ', &one);)
        if (str_eq(one, word))
            return true;
    return false;
}

static bool scope_has(yyjson_val *scope, str word) {
    size_t i, n;
    yyjson_val *item;
    if (yyjson_is_str(scope))
        return word_is(json_str(scope), word);
    yyjson_arr_foreach(scope, i, n, item) {
        if (str_eq(json_str(item), word))
            return true;
    }
    return false;
}

int claims_identity(struct arena *a, yyjson_val *claims, const struct claim_rules *rules,
                    struct identity *out, struct err *err) {
    str owner = json_str(find(claims, rules->owner)), tenant = STR("");
    if (rules->tenant.len) {
        tenant = json_str(find(claims, rules->tenant));
        if (tenant.len == 0)
            return refuse(err, "The token names no tenant");
    }
    str whole;
    if (!identity_owner_make(a, tenant, owner, &whole))
        return refuse(err, "The token names no user");
    yyjson_val *scope = find(claims, rules->scope);
    bool read = scope_has(scope, STR("holdfast:read")),
         write = scope_has(scope, STR("holdfast:write")),
         graphs = scope_has(scope, STR("holdfast:graphs")),
         operate = scope_has(scope, STR("holdfast:operate"));
    if (rules->scope_required && !read && !write && !graphs && !operate)
        return err_set(err, ERR_FORBIDDEN, "The token has no scope of this server");
    out->owner = whole;
    out->read_only = read && !write && !graphs && !operate;
    out->graphs = graphs;   /* never of itself: what is registered is there for everybody */
    out->operate = operate; /* likewise: the server is everybody's */
    return 0;
}

/* Members come in pairs from the first one on, without memory of their own. */
static bool key_is_alone(yyjson_val *object, yyjson_val *key) {
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *k; (k = yyjson_obj_iter_next(&it)) != key;)
        if (str_eq(json_str(k), json_str(key)))
            return false;
    return true;
}

static bool unique_down_to(yyjson_val *v, int depth) {
    size_t i, n;
    yyjson_val *key, *value;
    if (depth == 0)
        return !yyjson_is_ctn(v);
    if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, n, value) {
            if (!unique_down_to(value, depth - 1))
                return false;
        }
        return true;
    }
    if (yyjson_obj_size(v) > MEMBERS_MAX)
        return false;
    yyjson_obj_foreach(v, i, n, key, value) {
        if (!key_is_alone(v, key) || !unique_down_to(value, depth - 1))
            return false;
    }
    return true;
}

bool claims_unique(yyjson_val *v) { return unique_down_to(v, DEPTH_MAX); }
