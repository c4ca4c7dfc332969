/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c - reads the configured scopes, puts values into texts, and takes them out again.
 *
 * The configuration stays one JSON text; a step reads of it what it may have. What comes back from
 * a tool is searched for each value as it is, as JSON escapes it, and in Base64: what a peer makes
 * of it beyond that (encrypts it, turns it round) nobody can find. Overlapping finds: the one that
 * begins first goes, the longest of those that begin there. */
#include "plans/secrets.h"

#include "base/base64.h"
#include "http/address.h"

#define VALUE_BYTES_MIN 8
#define VALUE_BYTES_MAX 4096
#define NAME_BYTES_MAX  64
#define SECRETS_MAX     64 /* of a step */
#define TEXT_BYTES_MAX  ((size_t)16 << 20)
#define OPENING         "{{secret."
#define HIDDEN          "[secret]"

static bool is_name(str s) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.len > 0 && s.len <= NAME_BYTES_MAX;
}

/* --- the configuration --- */

static bool is_list(yyjson_val *v) {
    yyjson_val *item;
    size_t i, n;
    if (!v)
        return true;
    bool good = yyjson_is_arr(v);
    yyjson_arr_foreach(v, i, n, item) good = good && yyjson_is_str(item);
    return good;
}

static int check_scope(str name, yyjson_val *scope, struct err *err) {
    yyjson_val *values = json_get(scope, "values"), *hosts = json_get(scope, "hosts"), *key, *value;
    size_t i, n;
    if (!yyjson_is_obj(values) || !is_list(json_get(scope, "owners")) ||
        !is_list(json_get(scope, "tools")) || (hosts && !yyjson_is_str(hosts)))
        return err_set(err, ERR_INVALID,
                       "scope " STR_FMT ": {\"values\", \"owners\", \"tools\", \"hosts\"} is "
                       "expected",
                       STR_ARG(str_slice(name, 0, NAME_BYTES_MAX)));
    yyjson_obj_foreach(values, i, n, key, value) {
        str text = json_str(value);
        if (!is_name(json_str(key)) || text.len < VALUE_BYTES_MIN || text.len > VALUE_BYTES_MAX ||
            memchr(text.p, '\0', text.len))
            return err_set(err, ERR_INVALID,
                           "scope " STR_FMT ": names are of A-Z a-z 0-9 _, values texts of %d to "
                           "%d bytes",
                           STR_ARG(str_slice(name, 0, NAME_BYTES_MAX)), VALUE_BYTES_MIN,
                           VALUE_BYTES_MAX);
    }
    return 0;
}

int plan_secrets_check(str text, struct err *err) {
    struct arena a;
    yyjson_val *root, *key, *scope;
    size_t i, n;
    if (!text.len)
        return 0;
    arena_init(&a, TEXT_BYTES_MAX);
    int rc = json_parse(&a, text, &root, NULL);
    if (rc < 0 || !yyjson_is_obj(root))
        rc = err_set(err, ERR_INVALID, "an object of scopes is expected");
    if (rc == 0) {
        yyjson_obj_foreach(root, i, n, key, scope) {
            if (rc == 0)
                rc = check_scope(json_str(key), scope, err);
        }
    }
    arena_deinit(&a);
    return rc;
}

/* --- of a step --- */

static bool among(yyjson_val *list, str word) {
    yyjson_val *item;
    size_t i, n;
    if (!list)
        return true;
    yyjson_arr_foreach(list, i, n, item) {
        if (str_eq(json_str(item), word))
            return true;
    }
    return false;
}

static str json_inside(struct arena *a, str value) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    json_escape(&b, value);
    return arena_take(a, &b);
}

static int add_scope(struct arena *a, str name, yyjson_val *scope, str owner, str tool,
                     struct plan_secrets *out, struct err *err) {
    yyjson_val *key, *value;
    size_t i, n;
    if (!scope || !among(json_get(scope, "owners"), owner) ||
        !among(json_get(scope, "tools"), tool))
        return err_set(err, ERR_INVALID, "secrets_scope: " STR_FMT " is not for this step",
                       STR_ARG(str_slice(name, 0, NAME_BYTES_MAX)));
    yyjson_obj_foreach(json_get(scope, "values"), i, n, key, value) {
        if (out->count == SECRETS_MAX)
            return err_set(err, ERR_INVALID, "secrets_scope: there are more than %d secrets",
                           SECRETS_MAX);
        str text = json_str(value), bits = base64_encode(a, text);
        while (bits.len && bits.p[bits.len - 1] == '=')
            bits.len--;
        out->items[out->count++] = (struct plan_secret){
            .name = json_str(key),
            .value = text,
            .hosts = json_str(json_get(scope, "hosts")),
            .forms = {text, json_inside(a, text), bits},
        };
    }
    return 0;
}

int plan_secrets_of(struct arena *a, str config, yyjson_val *scope, str owner, str tool,
                    struct plan_secrets *out, struct err *err) {
    yyjson_val *root = NULL, *item;
    size_t i, n;
    *out = (struct plan_secrets){0};
    if (!scope || (yyjson_is_arr(scope) && yyjson_arr_size(scope) == 0))
        return 0;
    if (config.len && json_parse(a, config, &root, NULL) < 0)
        return err_set(err, ERR_INVALID, "secrets_scope: there are none");
    out->items = ARENA_ARRAY(a, struct plan_secret, SECRETS_MAX);
    if (yyjson_is_str(scope))
        return add_scope(a, json_str(scope), json_get_str(root, json_str(scope)), owner, tool, out,
                         err);
    int rc = 0;
    yyjson_arr_foreach(scope, i, n, item) {
        if (rc == 0)
            rc = add_scope(a, json_str(item), json_get_str(root, json_str(item)), owner, tool, out,
                           err);
    }
    return rc;
}

/* --- in and out --- */

static bool goes_to(const struct plan_secret *s, str url) {
    struct http_url t;
    str rest = s->hosts, entry, host, port;
    if (!s->hosts.p || !url.p)
        return true;
    if (http_url_split(url, &t))
        return false;
    while (str_split_next(&rest, ',', &entry))
        if (http_authority_split(str_trim(entry), &host, &port) && str_ieq(host, t.host) &&
            (port.p ? str_eq(port, t.port) : t.usual_port))
            return true;
    return false;
}

static const struct plan_secret *find(const struct plan_secrets *s, str name) {
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(s->items[i].name, name))
            return &s->items[i];
    return NULL;
}

int plan_secrets_expand(const struct plan_secrets *s, struct arena *a, str text, str url, str *out,
                        struct err *err) {
    struct buf b;
    ptrdiff_t at;
    int rc = 0;
    *out = text;
    if (str_find(text, STR(OPENING)) < 0)
        return 0;
    buf_init(&b, TEXT_BYTES_MAX);
    while (rc == 0 && (at = str_find(text, STR(OPENING))) >= 0) {
        buf_str(&b, str_slice(text, 0, (size_t)at));
        text = str_slice(text, (size_t)at + sizeof(OPENING) - 1, text.len);
        ptrdiff_t end = str_find(text, STR("}}"));
        str name = str_slice(text, 0, end < 0 ? 0 : (size_t)end);
        const struct plan_secret *secret = find(s, name);
        if (!secret || !is_name(name))
            rc = err_set(err, ERR_INVALID, "secrets_scope: has no secret " STR_FMT,
                         STR_ARG(str_slice(name, 0, is_name(name) ? name.len : 0)));
        else if (!goes_to(secret, url))
            rc = err_set(err, ERR_INVALID, "secret " STR_FMT " may not be sent to this host",
                         STR_ARG(name));
        else
            buf_str(&b, secret->value);
        if (rc == 0)
            text = str_slice(text, (size_t)end + 2, text.len);
    }
    buf_str(&b, text);
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_TOO_LARGE, "a text with its secrets is too long");
    if (rc == 0)
        *out = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return rc;
}

/* The place and the length of the first value; -1: there is none. */
static ptrdiff_t first_value(const struct plan_secrets *s, str text, size_t *out_len) {
    ptrdiff_t best = -1;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < PLAN_SECRET_FORMS; k++) {
            str form = s->items[i].forms[k];
            ptrdiff_t at = str_find(text, form);
            if (at >= 0 && (best < 0 || at < best || (at == best && form.len > *out_len))) {
                best = at;
                *out_len = form.len;
            }
        }
    return best;
}

/* Bytes at the end that may be the beginning of a value. */
static size_t begun_at_end(const struct plan_secrets *s, str text) {
    size_t most = 0;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < PLAN_SECRET_FORMS; k++) {
            str form = s->items[i].forms[k];
            size_t n = form.len - 1 < text.len ? form.len - 1 : text.len;
            while (n > most && memcmp(text.p + text.len - n, form.p, n) != 0)
                n--;
            most = n > most ? n : most;
        }
    return most;
}

str plan_secrets_redact(const struct plan_secrets *s, struct arena *a, str text, bool cut) {
    struct buf b;
    size_t len = 0;
    ptrdiff_t at = s->count && text.len ? first_value(s, text, &len) : -1;
    if (at >= 0) {
        buf_init(&b, SIZE_MAX / 2);
        for (; at >= 0; at = first_value(s, text, &len)) {
            buf_str(&b, str_slice(text, 0, (size_t)at));
            buf_z(&b, HIDDEN);
            text = str_slice(text, (size_t)at + len, text.len);
        }
        buf_str(&b, text);
        text = arena_take(a, &b);
    }
    return cut && s->count && text.len ? str_slice(text, 0, text.len - begun_at_end(s, text))
                                       : text;
}
