/* SPDX-License-Identifier: Apache-2.0 */
/* segment.c - reading sealed segments: nothing of them stays in memory but the footer.
 *
 * Rows, entries and hashes are arrays in the file, searched by halving with pread(): a dozen reads
 * of the system's cache. Callable from every thread; a segment never changes. */
#include <fcntl.h>
#include <stdio.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define LOAD_BYTES_MAX ((size_t)4 << 30)

void hfile_segment_name(uint32_t number, char out[HFILE_NAME_BYTES]) {
    int len = snprintf(out, HFILE_NAME_BYTES, "seg-%u", number);
    ASSERT(len > 0 && len < HFILE_NAME_BYTES);
}

/* Sections lie in the file one behind the other, and fit each other. */
static bool footer_fits(const struct hfile_footer *f, uint32_t number, uint64_t size) {
    static const size_t item[HFILE_SECTIONS] = {
        8, sizeof(struct hfile_row),  sizeof(struct hfile_entry), 4, 8,
        4, sizeof(struct hfile_place)};
    uint64_t at = f->data_bytes;
    if (memcmp(f->magic, HFILE_SEGMENT_MAGIC, sizeof f->magic) != 0 || f->number != number ||
        f->data_bytes > size)
        return false;
    for (int i = 0; i < HFILE_SECTIONS; i++) {
        if (f->sections[i].at != at || f->sections[i].bytes > size - at ||
            f->sections[i].bytes % item[i])
            return false;
        at += f->sections[i].bytes;
    }
    uint64_t entries = f->sections[HFILE_ENTRIES].bytes / sizeof(struct hfile_entry);
    return f->sections[HFILE_ORDER].bytes == 4 * entries &&
           f->sections[HFILE_HASHES].bytes == 8 * entries &&
           f->sections[HFILE_PLACES].bytes == 4 * entries && at + sizeof *f <= size;
}

int hfile_segment_open(struct hfile_io *io, uint32_t number, struct hfile_segment **out,
                       struct err *err) {
    char name[HFILE_NAME_BYTES];
    hfile_segment_name(number, name);
    int fd = io->open(io, name, O_RDONLY);
    if (fd < 0)
        return hfile_error(err, fd, name);
    struct hfile_segment s = {.number = number, .fd = fd, .refs = 1};
    struct hfile_footer *f = &s.footer;
    int64_t size = io->size(io, fd);
    int rc = size < 0 ? hfile_error(err, (int)size, name) : 0;
    if (rc == 0 && (size_t)size < sizeof *f)
        rc = hfile_corrupt(err, "a segment without its end");
    if (rc == 0)
        rc = hfile_read(io, fd, f, sizeof *f, (uint64_t)size - sizeof *f, err);
    if (rc == 0 &&
        (hfile_crc(str_n((const char *)f, offsetof(struct hfile_footer, crc))) != f->crc ||
         !footer_fits(f, number, (uint64_t)size)))
        rc = hfile_corrupt(err, "the end of a segment");
    if (rc < 0) {
        io->close_file(io, fd);
        return rc;
    }
    s.bytes = (uint64_t)size;
    *out = mem_dup(&s, sizeof s);
    return 0;
}

void hfile_segment_unref(struct hfile_io *io, struct hfile_segment *s) {
    if (!s || --s->refs > 0)
        return;
    io->close_file(io, s->fd);
    mem_free(s);
}

int hfile_section_read(struct hfile_io *io, const struct hfile_segment *s, enum hfile_section what,
                       size_t item_bytes, size_t first, size_t count, void *to, struct err *err) {
    size_t there = hfile_section_count(s, what, item_bytes);
    if (first > there || count > there - first)
        return hfile_corrupt(err, "an index that points beyond its end");
    return count == 0 ? 0
                      : hfile_read(io, s->fd, to, count * item_bytes,
                                   s->footer.sections[what].at + first * item_bytes, err);
}

int hfile_row_read(struct hfile_io *io, const struct hfile_segment *s, size_t row,
                   struct hfile_row *out, struct err *err) {
    return hfile_section_read(io, s, HFILE_ROWS, sizeof *out, row, 1, out, err);
}

int hfile_section_load(struct hfile_io *io, const struct hfile_segment *s, enum hfile_section what,
                       struct buf *out, struct err *err) {
    size_t bytes = s->footer.sections[what].bytes;
    buf_init(out, LOAD_BYTES_MAX);
    char *p = buf_reserve(out, bytes + 1);
    if (!p)
        return hfile_corrupt(err, "a section that is too long");
    int rc = bytes ? hfile_read(io, s->fd, p, bytes, s->footer.sections[what].at, err) : 0;
    out->len = bytes;
    if (rc == 0 && hfile_crc(buf_view(out)) != s->footer.sections[what].crc)
        rc = hfile_corrupt(err, "a section of a segment");
    if (rc < 0)
        buf_deinit(out);
    return rc;
}

/* The entry at place i of the row, in the order of seq or of time. */
static int entry_at(struct hfile_io *io, const struct hfile_segment *s, const struct hfile_row *row,
                    bool by_time, size_t i, struct hfile_entry *out, struct err *err) {
    uint32_t place = (uint32_t)i;
    int rc = 0;
    if (by_time && !row->by_time)
        rc = hfile_section_read(io, s, HFILE_ORDER, 4, row->entry_first + i, 1, &place, err);
    if (rc == 0 && place >= row->entry_count)
        rc = hfile_corrupt(err, "the order of a segment");
    return rc < 0 ? rc
                  : hfile_section_read(io, s, HFILE_ENTRIES, sizeof *out,
                                       (size_t)row->entry_first + place, 1, out, err);
}

int hfile_row_search(struct hfile_io *io, const struct hfile_segment *s,
                     const struct hfile_row *row, bool by_time, const struct hfile_key *key,
                     size_t *out, struct err *err) {
    size_t lo = 0, hi = row->entry_count;
    struct hfile_entry e;
    if (!by_time && row->seq_max - row->seq_min + 1 == (int64_t)row->entry_count) {
        int64_t at = key->seq <= row->seq_min ? 0 : key->seq - row->seq_min;
        *out = at > (int64_t)hi ? hi : (size_t)at;
        return 0;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int rc = entry_at(io, s, row, by_time, mid, &e, err);
        if (rc < 0)
            return rc;
        bool before = by_time && e.occurred_at != key->occurred_at
                          ? e.occurred_at < key->occurred_at
                          : e.seq < key->seq;
        if (before)
            lo = mid + 1;
        else
            hi = mid;
    }
    *out = lo;
    return 0;
}

int hfile_row_entries(struct hfile_io *io, const struct hfile_segment *s,
                      const struct hfile_row *row, bool by_time, size_t first, size_t count,
                      struct hfile_entry *out, struct err *err) {
    int rc = 0;
    if (first + count > row->entry_count)
        return hfile_corrupt(err, "a row of a segment");
    if (!by_time || row->by_time)
        return hfile_section_read(io, s, HFILE_ENTRIES, sizeof *out, row->entry_first + first,
                                  count, out, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = entry_at(io, s, row, true, first + i, &out[i], err);
    return rc;
}

int hfile_row_hash(struct hfile_io *io, const struct hfile_segment *s, const struct hfile_row *row,
                   uint64_t hash, size_t *step, struct hfile_entry *out, bool *out_found,
                   struct err *err) {
    size_t lo = 0, hi = *step ? 0 : row->entry_count;
    uint64_t there = 0;
    uint32_t place;
    int rc = 0;
    while (rc == 0 && lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        rc = hfile_section_read(io, s, HFILE_HASHES, 8, row->entry_first + mid, 1, &there, err);
        if (there < hash)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (*step == 0)
        *step = lo + 1;
    size_t at = (*step)++ - 1;
    *out_found = false;
    if (rc < 0 || at >= row->entry_count)
        return rc;
    rc = hfile_section_read(io, s, HFILE_HASHES, 8, row->entry_first + at, 1, &there, err);
    if (rc < 0 || there != hash)
        return rc;
    rc = hfile_section_read(io, s, HFILE_PLACES, 4, row->entry_first + at, 1, &place, err);
    if (rc == 0)
        rc = entry_at(io, s, row, false, place, out, err);
    *out_found = rc == 0;
    return rc;
}
