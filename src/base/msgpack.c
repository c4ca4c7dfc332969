/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack.c - reading MessagePack.
 *
 *   00-7f fixint   80-8f fixmap   90-9f fixarray  a0-bf fixstr   e0-ff negative fixint
 *   c0 nil  c2 false  c3 true     c4-c6 bin 8/16/32              c7-c9 ext 8/16/32
 *   ca cb float 32/64             cc-cf uint 8..64               d0-d3 int 8..64
 *   d4-d8 fixext 1,2,4,8,16       d9-db str 8/16/32  dc dd array 16/32   de df map 16/32
 *
 * Numbers are big-endian; c1 is never used. */
#include "base/msgpack.h"

static int malformed(struct err *err, const char *what) {
    return err_set(err, ERR_MALFORMED, "MessagePack: %s", what);
}

static size_t left(const struct msgpack_reader *r) { return (size_t)(r->end - r->at); }

static bool take_number(struct msgpack_reader *r, size_t bytes, uint64_t *out) {
    uint64_t v = 0;
    if (left(r) < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | r->at[i];
    r->at += bytes;
    *out = v;
    return true;
}

static int take_bytes(struct msgpack_reader *r, uint64_t count, enum msgpack_type type,
                      struct msgpack_item *out, struct err *err) {
    if (left(r) < count)
        return malformed(err, "a text or bytes are longer than the input");
    out->type = type;
    out->bytes = str_n((const char *)r->at, (size_t)count);
    r->at += count;
    return 0;
}

static int take_ext(struct msgpack_reader *r, uint64_t count, struct msgpack_item *out,
                    struct err *err) {
    uint64_t code;
    if (!take_number(r, 1, &code))
        return malformed(err, "ends early");
    out->code = (int8_t)code;
    return take_bytes(r, count, MSGPACK_EXT, out, err);
}

static int take_head(struct msgpack_reader *r, uint64_t count, enum msgpack_type type,
                     struct msgpack_item *out, struct err *err) {
    /* A member has at least one byte. */
    if (left(r) / (type == MSGPACK_MAP ? 2 : 1) < count)
        return malformed(err, "a list or map is longer than the input");
    out->type = type;
    out->count = (uint32_t)count;
    return 0;
}

static void set_signed(struct msgpack_item *out, uint64_t v, size_t bytes) {
    uint64_t sign = UINT64_C(1) << (bytes * 8 - 1);
    out->type = MSGPACK_INT;
    out->i = (int64_t)((v ^ sign) - sign);
}

static void set_float(struct msgpack_item *out, uint64_t v, size_t bytes) {
    out->type = MSGPACK_FLOAT;
    if (bytes == 8) {
        memcpy(&out->d, &v, sizeof(out->d));
        return;
    }
    float f;
    uint32_t half = (uint32_t)v;
    memcpy(&f, &half, sizeof(f));
    out->d = (double)f;
}

/* c4 to df: all but c0-c3 */
static int take_long(struct msgpack_reader *r, unsigned head, struct msgpack_item *out,
                     struct err *err) {
    static const uint8_t widths[] = {
        1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
    };
    size_t bytes = widths[head - 0xc4];
    uint64_t v = 0;
    if (!take_number(r, bytes, &v))
        return malformed(err, "ends early");
    if (head <= 0xc6)
        return take_bytes(r, v, MSGPACK_BIN, out, err);
    if (head <= 0xc9)
        return take_ext(r, v, out, err);
    if (head <= 0xcb) {
        set_float(out, v, bytes);
        return 0;
    }
    if (head <= 0xcf) {
        out->type = v > INT64_MAX ? MSGPACK_UINT : MSGPACK_INT;
        out->u = v;
        return 0;
    }
    if (head <= 0xd3) {
        set_signed(out, v, bytes);
        return 0;
    }
    if (head <= 0xd8)
        return take_ext(r, UINT64_C(1) << (head - 0xd4), out, err);
    if (head <= 0xdb)
        return take_bytes(r, v, MSGPACK_STR, out, err);
    return take_head(r, v, head <= 0xdd ? MSGPACK_ARRAY : MSGPACK_MAP, out, err);
}

int msgpack_next(struct msgpack_reader *r, struct msgpack_item *out, struct err *err) {
    *out = (struct msgpack_item){.type = MSGPACK_NIL};
    if (r->at == r->end)
        return malformed(err, "ends early");
    unsigned head = *r->at++;
    if (head <= 0x7f || head >= 0xe0) {
        set_signed(out, head, 1);
        return 0;
    }
    if (head <= 0x8f)
        return take_head(r, head & 0x0f, MSGPACK_MAP, out, err);
    if (head <= 0x9f)
        return take_head(r, head & 0x0f, MSGPACK_ARRAY, out, err);
    if (head <= 0xbf)
        return take_bytes(r, head & 0x1f, MSGPACK_STR, out, err);
    if (head == 0xc0)
        return 0;
    if (head == 0xc1)
        return malformed(err, "the byte c1 has no meaning");
    if (head <= 0xc3) {
        out->type = MSGPACK_BOOL;
        out->flag = head == 0xc3;
        return 0;
    }
    return take_long(r, head, out, err);
}
