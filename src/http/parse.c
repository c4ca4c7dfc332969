/* SPDX-License-Identifier: Apache-2.0 */
/* parse.c - llhttp on one contiguous head.
 *
 * Design: the guard has found the end of the head, so the parser always sees all of it at once: it
 * lives on the stack for the length of this call, every name and value comes as one span, and no
 * byte is copied. It is paused where the body would begin; bodies are framed by chunked.c and by
 * the Content-Length read here.
 *
 * Invariant: guard and parser must agree on version, length and coding. Where they do not, one of
 * them has a hole, and the request is refused.
 *
 * The only file that sees llhttp.h: its HTTP_GET and the server's are different enumerators. */
#include "http/parse.h"

#include <llhttp.h>

#define TEXT(x)  TEXT_(x)
#define TEXT_(x) #x

const char *http_parser_version(void) {
    return TEXT(LLHTTP_VERSION_MAJOR) "." TEXT(LLHTTP_VERSION_MINOR) "." TEXT(LLHTTP_VERSION_PATCH);
}

struct sink {
    struct http_header *fields;
    size_t cap, count;
    str method, target;
    bool done, too_many;
};

static int on_method(llhttp_t *p, const char *at, size_t len) {
    ((struct sink *)p->data)->method = str_n(at, len);
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len) {
    ((struct sink *)p->data)->target = str_n(at, len);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len) {
    struct sink *s = p->data;
    if (s->count == s->cap) {
        s->too_many = true;
        return HPE_USER;
    }
    s->fields[s->count++] = (struct http_header){str_n(at, len), str_n(at + len, 0)};
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len) {
    struct sink *s = p->data;
    while (len && (at[len - 1] == ' ' || at[len - 1] == '\t'))
        len--;
    s->fields[s->count - 1].value = str_n(at, len);
    return 0;
}

static int on_head(llhttp_t *p) {
    ((struct sink *)p->data)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
};

static int refuse(struct err *err, const char *why) {
    return err_set_system(err, ERR_MALFORMED, 400, "%s", why);
}

int http_parse_head(str head, const struct http_guard *g, struct http_header *fields, size_t cap,
                    struct http_head *out, struct err *err) {
    struct sink s = {.fields = fields, .cap = cap};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = &s;
    llhttp_errno_t rc = llhttp_execute(&parser, head.p, head.len);
    if (s.too_many)
        return err_set_system(err, ERR_TOO_LARGE, 431, "more than %zu header fields", cap);
    if (rc == HPE_INVALID_METHOD)
        return err_set_system(err, ERR_UNSUPPORTED, 501, "unknown method");
    if (rc != HPE_PAUSED || !s.done)
        return refuse(err, "malformed request head");
    /* Paused on the last byte of the head or behind it, never before. */
    const char *at = llhttp_get_error_pos(&parser);
    if (!at || at < head.p + head.len - 1)
        return refuse(err, "malformed request head");
    bool chunked = (parser.flags & F_CHUNKED) != 0;
    bool coded = chunked || (parser.flags & F_TRANSFER_ENCODING) != 0;
    bool has_length = (parser.flags & F_CONTENT_LENGTH) != 0;
    if (parser.http_major != 1 || parser.http_minor != g->version_minor ||
        chunked != (g->coding_count == 1) || coded != chunked ||
        has_length != (g->length_count == 1))
        return refuse(err, "ambiguous request head");
    *out = (struct http_head){
        .method = s.method,
        .target = s.target,
        .content_length = has_length ? parser.content_length : 0,
        .header_count = s.count,
        .version_minor = parser.http_minor,
        .chunked = chunked,
        .has_length = has_length,
        .keep_alive = llhttp_should_keep_alive(&parser) != 0,
    };
    return 0;
}
