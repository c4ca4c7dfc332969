/* SPDX-License-Identifier: Apache-2.0 */
/* coding.c - gzip and zstd by their libraries; the only file that sees them.
 *
 * Whole bodies go through libdeflate, which is more than twice as fast as zlib at the same size;
 * it has no streams, so those are zlib's. Streams use smaller windows than the libraries' own, for
 * many may be open at once: 16 KB and hashes to match for gzip, 64 KB for zstd.
 *
 * A decoder is asked in steps, so that who runs on the loop can stop after the first one and leave
 * the rest to another thread. It never writes more than bytes_max + 1 bytes: the one that is too
 * many tells that there are more. Frames of zstd with a window above 8 MB are refused, as RFC 9659
 * allows, for the window is memory that the frame asks for.
 *
 * Invariants: an encoder that has ended takes nothing more; a decoder's last member or frame is
 * whole, and nothing stands behind it. A new coding: each switch here, accept.c's names. */
#include "http/coding.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"

#define GZIP_WINDOW_BITS  14
#define GZIP_MEMORY       7
#define GZIP_WRAPPED      16 /* added to the window's bits: with gzip's head and end */
#define ZSTD_WINDOW_BITS  16
#define ZSTD_HASH_BITS    15
#define ZSTD_WINDOW_LIMIT 23
#define ROOM_BYTES        (16 * 1024)

/* --- whole bodies --- */

struct http_packer {
    int level;
    struct libdeflate_compressor *gzip; /* made when first used, like the other */
    ZSTD_CCtx *zstd;
};

struct http_packer *http_packer_new(int level) {
    struct http_packer *p = NEW(struct http_packer);
    ASSERT(level >= 1 && level <= HTTP_LEVEL_MAX);
    p->level = level;
    return p;
}

void http_packer_free(struct http_packer *p) {
    if (!p)
        return;
    libdeflate_free_compressor(p->gzip);
    ZSTD_freeCCtx(p->zstd);
    mem_free(p);
}

size_t http_pack(struct http_packer *p, enum http_coding c, str in, char *out, size_t cap) {
    if (c == HTTP_GZIP) {
        if (!p->gzip)
            p->gzip = libdeflate_alloc_compressor(p->level);
        return p->gzip ? libdeflate_gzip_compress(p->gzip, in.p, in.len, out, cap) : 0;
    }
    ASSERT(c == HTTP_ZSTD);
    if (!p->zstd)
        p->zstd = ZSTD_createCCtx();
    size_t n = p->zstd ? ZSTD_compressCCtx(p->zstd, out, cap, in.p, in.len, p->level) : 0;
    return ZSTD_isError(n) ? 0 : n;
}

/* --- streams --- */

struct http_encoder {
    enum http_coding coding;
    bool ended;
    z_stream gzip;
    ZSTD_CCtx *zstd;
};

static void *z_take(void *opaque, unsigned count, unsigned bytes) {
    (void)opaque;
    return mem_calloc(count, bytes);
}

static void z_give(void *opaque, void *p) {
    (void)opaque;
    mem_free(p);
}

static void zstd_begin(struct http_encoder *e, int level) {
    e->zstd = ZSTD_createCCtx();
    ASSERT(e->zstd);
    size_t bad = ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, level);
    ASSERT(!ZSTD_isError(bad));
    bad = ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_BITS);
    ASSERT(!ZSTD_isError(bad));
    bad = ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_hashLog, ZSTD_HASH_BITS);
    ASSERT(!ZSTD_isError(bad));
}

struct http_encoder *http_encoder_new(enum http_coding c, int level) {
    struct http_encoder *e = NEW(struct http_encoder);
    ASSERT(level >= 1 && level <= HTTP_LEVEL_MAX);
    e->coding = c;
    if (c == HTTP_ZSTD) {
        zstd_begin(e, level);
        return e;
    }
    ASSERT(c == HTTP_GZIP);
    e->gzip.zalloc = z_take;
    e->gzip.zfree = z_give;
    int rc = deflateInit2(&e->gzip, level, Z_DEFLATED, GZIP_WINDOW_BITS + GZIP_WRAPPED, GZIP_MEMORY,
                          Z_DEFAULT_STRATEGY);
    ASSERT(rc == Z_OK);
    return e;
}

void http_encoder_free(struct http_encoder *e) {
    if (!e)
        return;
    if (e->coding == HTTP_GZIP)
        (void)deflateEnd(&e->gzip); /* Z_DATA_ERROR: it was not ended; that is fine */
    ZSTD_freeCCtx(e->zstd);
    mem_free(e);
}

static void gzip_put(struct http_encoder *e, str in, enum http_encode how, struct buf *out) {
    static const int flush[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = &e->gzip;
    z->next_in = (unsigned char *)in.p;
    z->avail_in = (unsigned)in.len;
    ASSERT(in.len <= UINT32_MAX);
    do {
        char *to = buf_reserve(out, ROOM_BYTES);
        ASSERT(to);
        z->next_out = (unsigned char *)to;
        z->avail_out = ROOM_BYTES;
        int rc = deflate(z, flush[how]);
        ASSERT(rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR);
        out->len += ROOM_BYTES - z->avail_out;
    } while (z->avail_out == 0);
    ASSERT(z->avail_in == 0);
}

static void zstd_put(struct http_encoder *e, str in, enum http_encode how, struct buf *out) {
    static const ZSTD_EndDirective end[] = {ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end};
    ZSTD_inBuffer from = {in.p, in.len, 0};
    for (;;) {
        char *to = buf_reserve(out, ROOM_BYTES);
        ASSERT(to);
        ZSTD_outBuffer room = {to, ROOM_BYTES, 0};
        size_t left = ZSTD_compressStream2(e->zstd, &room, &from, end[how]);
        ASSERT(!ZSTD_isError(left));
        out->len += room.pos;
        if (how == HTTP_ENCODE_MORE ? from.pos == from.size : left == 0)
            return;
    }
}

void http_encode(struct http_encoder *e, str in, enum http_encode how, struct buf *out) {
    ASSERT(!e->ended);
    e->ended = how == HTTP_ENCODE_END;
    if (e->coding == HTTP_GZIP)
        gzip_put(e, in, how, out);
    else
        zstd_put(e, in, how, out);
}

/* --- the way back --- */

struct http_decoder {
    enum http_coding coding;
    str in; /* what is still to be read */
    size_t bytes_max;
    bool whole; /* a member or frame has just ended */
    z_stream gzip;
    ZSTD_DCtx *zstd;
};

struct http_decoder *http_decoder_new(enum http_coding c, str in, size_t bytes_max) {
    struct http_decoder *d = NEW(struct http_decoder);
    d->coding = c;
    d->in = in;
    d->bytes_max = bytes_max;
    if (c == HTTP_ZSTD) {
        d->zstd = ZSTD_createDCtx();
        ASSERT(d->zstd);
        size_t bad = ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LIMIT);
        ASSERT(!ZSTD_isError(bad));
        return d;
    }
    ASSERT(c == HTTP_GZIP && in.len <= UINT32_MAX);
    d->gzip.zalloc = z_take;
    d->gzip.zfree = z_give;
    int rc = inflateInit2(&d->gzip, MAX_WBITS + GZIP_WRAPPED);
    ASSERT(rc == Z_OK);
    return d;
}

void http_decoder_free(struct http_decoder *d) {
    if (!d)
        return;
    if (d->coding == HTTP_GZIP)
        (void)inflateEnd(&d->gzip); /* fails for no stream of ours */
    ZSTD_freeDCtx(d->zstd);
    mem_free(d);
}

/* Each takes input and fills the room: bytes written, or negative for what is damaged. */
static ptrdiff_t gzip_step(struct http_decoder *d, char *to, size_t room) {
    z_stream *z = &d->gzip;
    if (d->whole && inflateReset(z) != Z_OK)
        return ERR_MALFORMED;
    z->next_in = (unsigned char *)d->in.p;
    z->avail_in = (unsigned)d->in.len;
    z->next_out = (unsigned char *)to;
    z->avail_out = (unsigned)room;
    int rc = inflate(z, Z_NO_FLUSH);
    d->whole = rc == Z_STREAM_END;
    d->in = str_n((const char *)z->next_in, z->avail_in);
    return d->whole || rc == Z_OK || rc == Z_BUF_ERROR ? (ptrdiff_t)(room - z->avail_out)
                                                       : ERR_MALFORMED;
}

static ptrdiff_t zstd_step(struct http_decoder *d, char *to, size_t room) {
    ZSTD_inBuffer from = {d->in.p, d->in.len, 0};
    ZSTD_outBuffer out = {to, room, 0};
    size_t rc = ZSTD_decompressStream(d->zstd, &out, &from);
    if (ZSTD_isError(rc))
        return ERR_MALFORMED;
    d->whole = rc == 0;
    d->in = str_slice(d->in, from.pos, d->in.len);
    return (ptrdiff_t)out.pos;
}

int http_decode(struct http_decoder *d, size_t step_bytes, struct buf *out, struct err *err) {
    size_t done = 0;
    while (!(d->whole && d->in.len == 0)) {
        if (done >= step_bytes)
            return 0;
        size_t left = d->bytes_max + 1 - out->len, room = left < ROOM_BYTES ? left : ROOM_BYTES;
        if (left == 0)
            return err_set(err, ERR_TOO_LARGE, "the decoded body is larger than %zu bytes",
                           d->bytes_max);
        char *to = buf_reserve(out, room);
        ASSERT(to);
        size_t before = d->in.len;
        ptrdiff_t n = d->coding == HTTP_GZIP ? gzip_step(d, to, room) : zstd_step(d, to, room);
        if (n < 0 || (n == 0 && d->in.len == before && !d->whole))
            return err_set(err, ERR_MALFORMED, "the body is no whole " STR_FMT,
                           STR_ARG(http_coding_name(d->coding)));
        out->len += (size_t)n;
        done += (size_t)n + before - d->in.len;
    }
    if (out->len > d->bytes_max)
        return err_set(err, ERR_TOO_LARGE, "the decoded body is larger than %zu bytes",
                       d->bytes_max);
    return 1;
}
