/* SPDX-License-Identifier: Apache-2.0 */
/* frames.c - the records of a segment, as they are or compressed, by where they would stand.
 *
 *   records    0 ······ frame 0 ······ 16 KiB ······ frame 1 ······ 32 KiB ······ data_bytes
 *   the file   zstd of frame 0, zstd of frame 1, … , a struct hfile_frame for each, the sections
 *
 * A record's place is a number of bytes among all records, so nothing but this file knows whether
 * they are compressed. A frame is compressed for itself and has a checksum, so a page anywhere
 * costs the two or three frames that its records lie in. A frame that does not become smaller
 * stands as it is. Who reads keeps the last frames, of any segments; who writes has a packer. */
#include <zstd.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define SLOTS 8
#define LEVEL 1

/* --- reading --- */

struct slot {
    uint32_t segment; /* 0: nothing is in it */
    uint64_t frame, used;
    size_t cap;
    char *p;
};
struct hfile_frames {
    struct slot slots[SLOTS];
    uint64_t uses;
    char *packed;
    size_t packed_cap;
    ZSTD_DCtx *zstd;
};

struct hfile_frames *hfile_frames_new(void) {
    return NEW(struct hfile_frames);
}

void hfile_frames_free(struct hfile_frames *f) {
    for (int i = 0; f && i < SLOTS; i++)
        mem_free(f->slots[i].p);
    if (f) {
        mem_free(f->packed);
        ZSTD_freeDCtx(f->zstd);
    }
    mem_free(f);
}

static size_t frame_len(const struct hfile_footer *f, uint64_t frame) {
    uint64_t left = f->data_bytes - frame * f->frame_bytes;
    return left < f->frame_bytes ? left : f->frame_bytes;
}

/* Takes frame `i` of the segment into the slot. */
static int slot_fill(struct hfile_io *io, struct hfile_frames *f, struct slot *slot,
                     const struct hfile_segment *s, uint64_t i, struct err *err) {
    struct hfile_frame at;
    size_t len = frame_len(&s->footer, i);
    slot->segment = 0;
    int rc = hfile_segment_read(io, s, &at, sizeof at, s->frames_at + i * sizeof at, err);
    if (rc == 0 && (at.bytes > len || at.at > s->frames_at || at.bytes > s->frames_at - at.at))
        rc = hfile_corrupt(err, "the frames of a segment");
    if (rc < 0)
        return rc;
    if (slot->cap < len) {
        slot->p = mem_realloc(slot->p, s->footer.frame_bytes);
        slot->cap = s->footer.frame_bytes;
    }
    if (f->packed_cap < at.bytes) {
        f->packed = mem_realloc(f->packed, s->footer.frame_bytes);
        f->packed_cap = s->footer.frame_bytes;
    }
    if (!f->zstd)
        f->zstd = ZSTD_createDCtx();
    ASSERT(f->zstd);
    char *to = at.bytes == len ? slot->p : f->packed;
    rc = hfile_segment_read(io, s, to, at.bytes, at.at, err);
    if (rc == 0 && hfile_crc(str_n(to, at.bytes)) != at.crc)
        rc = hfile_corrupt(err, "a frame of a segment");
    if (rc == 0 && at.bytes < len &&
        ZSTD_decompressDCtx(f->zstd, slot->p, len, f->packed, at.bytes) != len)
        rc = hfile_corrupt(err, "the contents of a frame");
    if (rc < 0)
        return rc;
    slot->segment = s->number;
    slot->frame = i;
    return 0;
}

static int slot_get(struct hfile_io *io, struct hfile_frames *f, const struct hfile_segment *s,
                    uint64_t frame, const struct slot **out, struct err *err) {
    struct slot *oldest = &f->slots[0];
    int rc = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &f->slots[i];
        if (slot->segment == s->number && slot->frame == frame) {
            oldest = slot;
            break;
        }
        oldest = slot->used < oldest->used ? slot : oldest;
    }
    if (oldest->segment != s->number || oldest->frame != frame)
        rc = slot_fill(io, f, oldest, s, frame, err);
    oldest->used = ++f->uses;
    *out = oldest;
    return rc;
}

int hfile_records_read(struct hfile_io *io, struct hfile_frames *f, const struct hfile_segment *s,
                       void *to, size_t bytes, uint64_t at, struct err *err) {
    uint32_t frame_bytes = s->footer.frame_bytes;
    const struct slot *slot;
    if (at > s->footer.data_bytes || bytes > s->footer.data_bytes - at)
        return hfile_corrupt(err, "an index that points beyond the records");
    if (frame_bytes == 0)
        return hfile_segment_read(io, s, to, bytes, at, err);
    for (size_t done = 0, n; done < bytes; done += n) {
        size_t from = (at + done) % frame_bytes;
        int rc = slot_get(io, f, s, (at + done) / frame_bytes, &slot, err);
        if (rc < 0)
            return rc;
        n = frame_bytes - from < bytes - done ? frame_bytes - from : bytes - done;
        memcpy((char *)to + done, slot->p + from, n);
    }
    return 0;
}

/* --- writing --- */

struct hfile_packer {
    struct buf in, out;
    size_t taken; /* of in */
    uint64_t at;
    VEC(struct hfile_frame) frames;
    ZSTD_CCtx *zstd;
};

struct hfile_packer *hfile_packer_new(void) {
    struct hfile_packer *p = NEW(struct hfile_packer);
    buf_init(&p->in, HFILE_RECORD_BYTES_MAX + HFILE_FRAME_BYTES);
    buf_init(&p->out, ZSTD_compressBound(HFILE_FRAME_BYTES));
    p->zstd = ZSTD_createCCtx();
    ASSERT(p->zstd);
    return p;
}

void hfile_packer_free(struct hfile_packer *p) {
    if (!p)
        return;
    buf_deinit(&p->in);
    buf_deinit(&p->out);
    vec_deinit(&p->frames);
    ZSTD_freeCCtx(p->zstd);
    mem_free(p);
}

void hfile_packer_add(struct hfile_packer *p, str data) {
    size_t left = p->in.len - p->taken;
    if (left > 0)
        memmove(p->in.p, p->in.p + p->taken, left);
    p->in.len = left;
    p->taken = 0;
    buf_str(&p->in, data);
    ASSERT(buf_ok(&p->in));
}

bool hfile_packer_next(struct hfile_packer *p, bool end, str *out) {
    size_t left = p->in.len - p->taken;
    size_t len = left < HFILE_FRAME_BYTES ? left : HFILE_FRAME_BYTES;
    if (len == 0 || (!end && len < HFILE_FRAME_BYTES))
        return false;
    str plain = str_n(p->in.p + p->taken, len);
    buf_reset(&p->out);
    char *to = buf_reserve(&p->out, ZSTD_compressBound(len));
    ASSERT(to);
    size_t n = ZSTD_compressCCtx(p->zstd, to, ZSTD_compressBound(len), plain.p, len, LEVEL);
    *out = ZSTD_isError(n) || n >= len ? plain : str_n(to, n);
    struct hfile_frame frame = {p->at, (uint32_t)out->len, hfile_crc(*out)};
    vec_push(&p->frames, frame);
    p->at += out->len;
    p->taken += len;
    return true;
}

str hfile_packer_table(const struct hfile_packer *p) {
    return str_n((const char *)p->frames.p, p->frames.count * sizeof *p->frames.p);
}
