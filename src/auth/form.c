/* SPDX-License-Identifier: Apache-2.0 */
/* form.c - application/x-www-form-urlencoded, and credentials of clients.
 *
 * Everything but unreserved characters is encoded, also what a form would leave: no reader takes
 * that amiss, and the same text serves in a query. */
#include "auth/form.h"

#include "auth/base64url.h"
#include "http/router.h"

void form_add(struct buf *out, const char *name, str value) {
    if (out->len && out->p[out->len - 1] != '?')
        buf_char(out, '&');
    buf_z(out, name);
    buf_char(out, '=');
    http_percent_encode(out, value);
}

/* Base64 with padding. */
str form_basic(struct arena *a, str id, str secret) {
    struct buf pair, out;
    buf_init(&pair, SIZE_MAX / 2);
    buf_init(&out, SIZE_MAX / 2);
    http_percent_encode(&pair, id);
    buf_char(&pair, ':');
    http_percent_encode(&pair, secret);
    buf_z(&out, "Basic ");
    base64url_encode(&out, pair.p, pair.len);
    for (size_t i = 6; i < out.len; i++)
        out.p[i] = out.p[i] == '-' ? '+' : out.p[i] == '_' ? '/' : out.p[i];
    for (size_t i = pair.len % 3; i > 0 && i < 3; i++)
        buf_char(&out, '=');
    str text = arena_dup(a, buf_view(&out));
    buf_deinit(&pair);
    buf_deinit(&out);
    return text;
}
