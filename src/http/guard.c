/* SPDX-License-Identifier: Apache-2.0 */
/* guard.c - refuses request heads that two HTTP implementations could read differently.
 *
 * Purpose: request smuggling needs a head that a proxy and we understand in two ways. The parser
 * behind this guard is general and has had such holes; the guard knows only the one way a head is
 * written and refuses the rest, before the parser runs:
 *
 *     request line    method SP target SP "HTTP/1." ("0" | "1") CRLF
 *     field lines     first byte no SP, HTAB, ':' ; a ':' in it ; no control byte but HTAB ; CRLF
 *     end             CRLF
 *
 * Refused by that: a CR without LF, an LF without CR, obs-fold, an empty name, NUL, versions other
 * than 1.0 and 1.1. Over the whole head: in 1.1 exactly one Host, in 1.0 at most one; at most one
 * Content-Length; at most one Transfer-Encoding, whose value is "chunked" and nothing else, never
 * in 1.0 and never beside Content-Length. One empty line before the request line is skipped, as
 * RFC 9112 2.2 asks.
 *
 * Design: works line by line on a prefix that grows; positions are kept so that a head that drips
 * in byte by byte costs linear time. What a new rule must also change: test_guard.c's vectors. */
#include "http/guard.h"

enum { BYTE_TOKEN = 1, BYTE_TARGET = 2, BYTE_HOST = 4 };
#define EVERYWHERE (BYTE_TOKEN | BYTE_TARGET | BYTE_HOST)

/* What a byte may be part of: a token (RFC 9110 5.6.2), a target without '#', a Host value. */
static const uint8_t byte_kinds[256] = {
    ['0' ... '9'] = EVERYWHERE,
    ['A' ... 'Z'] = EVERYWHERE,
    ['a' ... 'z'] = EVERYWHERE,
    ['!'] = EVERYWHERE,
    ['$'] = EVERYWHERE,
    ['%'] = EVERYWHERE,
    ['&'] = EVERYWHERE,
    ['\''] = EVERYWHERE,
    ['*'] = EVERYWHERE,
    ['+'] = EVERYWHERE,
    ['-'] = EVERYWHERE,
    ['.'] = EVERYWHERE,
    ['_'] = EVERYWHERE,
    ['~'] = EVERYWHERE,
    ['#'] = BYTE_TOKEN,
    ['^'] = BYTE_TOKEN | BYTE_TARGET,
    ['`'] = BYTE_TOKEN | BYTE_TARGET,
    ['|'] = BYTE_TOKEN | BYTE_TARGET,
    ['('] = BYTE_TARGET | BYTE_HOST,
    [')'] = BYTE_TARGET | BYTE_HOST,
    [','] = BYTE_TARGET | BYTE_HOST,
    [';'] = BYTE_TARGET | BYTE_HOST,
    ['='] = BYTE_TARGET | BYTE_HOST,
    [':'] = BYTE_TARGET | BYTE_HOST,
    ['['] = BYTE_TARGET | BYTE_HOST,
    [']'] = BYTE_TARGET | BYTE_HOST,
    ['"'] = BYTE_TARGET,
    ['/'] = BYTE_TARGET,
    ['<'] = BYTE_TARGET,
    ['>'] = BYTE_TARGET,
    ['?'] = BYTE_TARGET,
    ['@'] = BYTE_TARGET,
    ['\\'] = BYTE_TARGET,
    ['{'] = BYTE_TARGET,
    ['}'] = BYTE_TARGET,
};

static bool all_bytes(str s, int kind) {
    for (size_t i = 0; i < s.len; i++)
        if (!(byte_kinds[(unsigned char)s.p[i]] & kind))
            return false;
    return true;
}

void http_guard_init(struct http_guard *g) { *g = (struct http_guard){0}; }

static int refuse(struct err *err, const char *why) {
    return err_set_system(err, ERR_MALFORMED, 400, "%s", why);
}

static int check_version(struct http_guard *g, str version, struct err *err) {
    bool shaped = version.len == 8 && memcmp(version.p, "HTTP/", 5) == 0 && version.p[6] == '.' &&
                  version.p[5] >= '0' && version.p[5] <= '9' && version.p[7] >= '0' &&
                  version.p[7] <= '9';
    if (!shaped)
        return refuse(err, "malformed request line");
    if (version.p[5] != '1' || version.p[7] > '1')
        return err_set_system(err, ERR_UNSUPPORTED, 505, "HTTP version not supported");
    g->version_minor = (uint8_t)(version.p[7] - '0');
    return 0;
}

static int check_request_line(struct http_guard *g, str line, struct err *err) {
    const char *method_end = memchr(line.p, ' ', line.len);
    if (!method_end)
        return refuse(err, "malformed request line");
    str method = {line.p, (size_t)(method_end - line.p)};
    const char *target_at = method_end + 1;
    size_t rest = line.len - method.len - 1;
    const char *target_end = memchr(target_at, ' ', rest);
    if (!target_end)
        return refuse(err, "malformed request line");
    str target = {target_at, (size_t)(target_end - target_at)};
    if (method.len == 0 || method.len > 32 || !all_bytes(method, BYTE_TOKEN))
        return refuse(err, "malformed method");
    if (target.len == 0 || !all_bytes(target, BYTE_TARGET))
        return refuse(err, "malformed target");
    g->has_request_line = true;
    return check_version(g, str_n(target_end + 1, rest - target.len - 1), err);
}

/* The value when `line` is the field `name` (lower case, with its colon), else absent. */
static str field_value(str line, str name) {
    if (line.len < name.len || !str_ieq(str_n(line.p, name.len), name))
        return STR_NULL;
    str v = {line.p + name.len, line.len - name.len};
    while (v.len && (v.p[0] == ' ' || v.p[0] == '\t'))
        v.p++, v.len--;
    while (v.len && (v.p[v.len - 1] == ' ' || v.p[v.len - 1] == '\t'))
        v.len--;
    return v;
}

static uint8_t count_up(uint8_t n) { return n < 2 ? (uint8_t)(n + 1) : n; }

static int check_field(struct http_guard *g, str line, struct err *err) {
    unsigned char first = (unsigned char)line.p[0];
    if (first == ' ' || first == '\t' || first == ':')
        return refuse(err, "malformed header line");
    const char *colon = memchr(line.p, ':', line.len);
    if (!colon)
        return refuse(err, "header line without a colon");
    g->field_count++;
    str v;
    switch (first | 0x20) {
    case 'h':
        if ((v = field_value(line, STR("host:"))).p) {
            g->host_count = count_up(g->host_count);
            if (!all_bytes(v, BYTE_HOST))
                return refuse(err, "malformed Host");
        }
        break;
    case 't':
        if ((v = field_value(line, STR("transfer-encoding:"))).p) {
            g->coding_count = count_up(g->coding_count);
            if (!str_ieq(v, STR("chunked")))
                return refuse(err, "unsupported Transfer-Encoding");
        }
        break;
    case 'c':
        if ((v = field_value(line, STR("content-length:"))).p) {
            g->length_count = count_up(g->length_count);
            uint64_t n;
            if (!str_to_u64(v, &n))
                return refuse(err, "malformed Content-Length");
        }
        break;
    default:
        break;
    }
    return 0;
}

static int check_whole(const struct http_guard *g, struct err *err) {
    if (g->host_count > 1 || (g->version_minor == 1 && g->host_count != 1))
        return refuse(err, "exactly one Host header is required");
    if (g->length_count > 1)
        return refuse(err, "repeated Content-Length");
    if (g->coding_count > 1 || (g->coding_count && g->length_count))
        return refuse(err, "ambiguous body length");
    if (g->coding_count && g->version_minor == 0)
        return refuse(err, "Transfer-Encoding in HTTP/1.0");
    return 0;
}

/* `line` is without its CRLF. */
static bool has_control(str line) {
    unsigned found = 0;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.p[i];
        found |= (unsigned)((c < 0x20) & (c != '\t')) | (unsigned)(c == 0x7f);
    }
    return found != 0;
}

/* One line with its LF; *out_end is set on the empty line that ends the head. */
static int check_line(struct http_guard *g, str line, bool *out_end, struct err *err) {
    if (line.len < 2 || line.p[line.len - 2] != '\r')
        return refuse(err, "line not ended by CRLF");
    line.len -= 2;
    if (line.len == 0) {
        if (g->has_request_line) {
            *out_end = true;
            return check_whole(g, err);
        }
        return g->line_at == 0 ? 0 : refuse(err, "no request line");
    }
    if (has_control(line))
        return refuse(err, "control character in the head");
    return g->has_request_line ? check_field(g, line, err) : check_request_line(g, line, err);
}

int http_guard_scan(struct http_guard *g, str input, size_t *out_head_bytes, struct err *err) {
    ASSERT(input.len < UINT32_MAX && g->scanned_at <= input.len);
    for (;;) {
        const char *from = input.p + g->scanned_at;
        const char *lf =
            input.len > g->scanned_at ? memchr(from, '\n', input.len - g->scanned_at) : NULL;
        if (!lf) {
            g->scanned_at = (uint32_t)input.len;
            *out_head_bytes = 0;
            return 0;
        }
        str line = {input.p + g->line_at, (size_t)(lf + 1 - input.p) - g->line_at};
        bool end = false;
        int rc = check_line(g, line, &end, err);
        if (rc)
            return rc;
        g->line_at = g->scanned_at = (uint32_t)(lf + 1 - input.p);
        if (end) {
            *out_head_bytes = g->line_at;
            return 0;
        }
    }
}
