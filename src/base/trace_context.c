/* SPDX-License-Identifier: Apache-2.0 */
/* trace_context.c - reads and writes traceparent.
 *
 *   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *   │  trace id                         span id          flags
 *   version; a later one may have more behind another '-', which is not looked at
 *
 * Of the flags, the two that are known are carried on. */
#include "base/trace_context.h"

#include "base/hex.h"

static bool read_hex(const char *p, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit_lower(p[2 * i]), low = hex_digit_lower(p[2 * i + 1]);
        if (high < 0 || low < 0) /* capitals are not valid */
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t count) {
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

static bool state_is_fine(str s) {
    if (s.len == 0 || s.len > TRACE_STATE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return str_find_char(s, '=') > 0;
}

bool trace_context_parse(str parent, str state, struct trace_context *out) {
    struct trace_context c = {0};
    uint8_t version;
    const char *p = parent.p;
    if (parent.len < TRACE_PARENT_LEN || !read_hex(p, 1, &version) || version == 0xff)
        return false;
    if (parent.len > TRACE_PARENT_LEN && (version == 0 || p[TRACE_PARENT_LEN] != '-'))
        return false;
    if (p[2] != '-' || p[35] != '-' || p[52] != '-')
        return false;
    if (!read_hex(p + 3, 16, c.trace_id) || !read_hex(p + 36, 8, c.span_id) ||
        !read_hex(p + 53, 1, &c.flags))
        return false;
    if (!trace_context_known(&c))
        return false;
    c.flags &= TRACE_SAMPLED | TRACE_RANDOM;
    if (state_is_fine(state))
        c.state = state;
    *out = c;
    return true;
}

bool trace_context_known(const struct trace_context *c) {
    return c && !all_zero(c->trace_id, sizeof(c->trace_id)) &&
           !all_zero(c->span_id, sizeof(c->span_id));
}

void trace_context_write(const struct trace_context *c, char out[TRACE_PARENT_LEN]) {
    out[0] = out[1] = '0';
    out[2] = out[35] = out[52] = '-';
    hex_write(c->trace_id, sizeof(c->trace_id), out + 3);
    hex_write(c->span_id, sizeof(c->span_id), out + 36);
    hex_write(&c->flags, 1, out + 53);
}
