/* SPDX-License-Identifier: Apache-2.0 */
/* assets.c - answers with files of the binary.
 *
 * A form is one type in one coding: page.html as it is, with gzip and with br; a picture as PNG, as
 * WebP and as AVIF. Each weighs what Accept says of its type times what Accept-Encoding says of its
 * coding; of those that weigh most the smallest is sent. A form of another type than the original's
 * counts only when it is named, for a range with "*" comes from clients that never saw it, too.
 *
 * Invariants: Vary names what the choice depends on, also in a 304; a strong tag belongs to the
 * bytes of one form, so nothing is packed on the way out (response.c). */
#include "http/assets.h"

#include "base/clock.h"
#include "http/range.h"

const struct http_asset *http_asset_find(const struct http_asset *all, size_t count, str name) {
    for (size_t i = 0; i < count; i++)
        if (str_eq(str_of(all[i].name), name))
            return &all[i];
    return NULL;
}

static bool same_type(const struct http_asset *asset, size_t i) {
    return strcmp(asset->forms[i].type, asset->forms[0].type) == 0;
}

/* Without its parameters. */
static str bare_type(const char *type) { return str_n(type, strcspn(type, ";")); }

static const struct http_asset_form *choose(const struct http_request *req,
                                            const struct http_asset *asset) {
    str accept = http_header_all(req, STR("accept"));
    const struct http_asset_form *best = NULL;
    int codings[HTTP_CODING_COUNT], most = 0;
    http_accept_codings(http_header_all(req, STR("accept-encoding")), codings);
    for (size_t i = 0; i < asset->form_count; i++) {
        const struct http_asset_form *f = &asset->forms[i];
        int weight =
            http_accept_type(accept, bare_type(f->type), !same_type(asset, i)) * codings[f->coding];
        if (weight > most || (weight == most && best && f->length < best->length)) {
            best = f;
            most = weight;
        }
    }
    return best ? best : &asset->forms[0];
}

static void vary_header(struct http_request *req, const struct http_asset *asset) {
    bool types = false, codings = false;
    for (size_t i = 0; i < asset->form_count; i++) {
        types = types || !same_type(asset, i);
        codings = codings || asset->forms[i].coding != HTTP_IDENTITY;
    }
    if (types || codings)
        http_reply_header(req, STR("Vary"),
                          !codings ? STR("Accept")
                          : types  ? STR("Accept, Accept-Encoding")
                                   : STR("Accept-Encoding"));
}

int http_asset_reply(struct http_request *req, const struct http_asset *asset) {
    const struct http_asset_form *f = choose(req, asset);
    char modified[TIME_HTTP_LEN];
    time_write_http(asset->modified_us, modified);
    http_reply_header(req, STR("ETag"), str_of(f->etag));
    http_reply_header(req, STR("Last-Modified"), str_n(modified, sizeof modified));
    http_reply_header(req, STR("Cache-Control"),
                      asset->immutable ? STR("public, max-age=31536000, immutable")
                                       : STR("no-cache"));
    http_reply_header(req, STR("X-Content-Type-Options"), STR("nosniff"));
    vary_header(req, asset);
    if (http_not_modified(http_header_all(req, STR("if-none-match")),
                          http_header(req, STR("if-modified-since")), str_of(f->etag),
                          asset->modified_us)) {
        http_reply(req, 304, STR_NULL, STR(""));
        return 304;
    }
    if (f->coding != HTTP_IDENTITY)
        http_reply_header(req, STR("Content-Encoding"), http_coding_name(f->coding));
    http_reply(req, 200, str_of(f->type), str_n((const char *)f->bytes, f->length));
    return 200;
}
