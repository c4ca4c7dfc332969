/* SPDX-License-Identifier: Apache-2.0 */
/* segment.c - reading sealed segments: nothing of them stays in memory but the footer.
 *
 * Rows, entries and hashes are arrays in the file, searched by halving with pread(): a dozen reads
 * of the system's cache; hashes with one or two. Callable from every thread; a segment never
 * changes. Its file is opened when it is read, and stays open as long as there are descriptors for
 * it (rt/files.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define LOAD_BYTES_MAX ((size_t)4 << 30)
#define HASHES_AT_ONCE 512

void hfile_segment_name(uint32_t number, char out[HFILE_NAME_BYTES]) {
    int len = snprintf(out, HFILE_NAME_BYTES, "seg-%u", number);
    ASSERT(len > 0 && len < HFILE_NAME_BYTES);
}

/* --- descriptors --- */

static int file_open(void *ctx, struct rt_file *f) {
    struct hfile_io *io = ctx;
    char name[HFILE_NAME_BYTES];
    hfile_segment_name(CONTAINER_OF(f, struct hfile_segment_file, file)->number, name);
    return io->open(io, name, O_RDONLY);
}

static void file_close(void *ctx, int fd) {
    struct hfile_io *io = ctx;
    io->close_file(io, fd);
}

struct rt_files *hfile_files_new(struct hfile_io *io, size_t files_max) {
    return rt_files_new(&(struct rt_files_options){files_max, file_open, file_close, io});
}

static int file_pin(const struct hfile_segment *s, struct err *err) {
    char name[HFILE_NAME_BYTES];
    int fd = rt_files_pin(s->files, &s->file->file);
    if (fd == -EMFILE || fd == -ENFILE)
        return err_set(err, ERR_UNAVAILABLE,
                       "history: no descriptor is left to read with; the process may have %zu "
                       "(ulimit -n)",
                       rt_files_limit());
    hfile_segment_name(s->number, name);
    return fd < 0 ? hfile_error(err, fd, name) : fd;
}

void hfile_segment_keep(const struct hfile_segment *s) {
    (void)rt_files_pin(s->files, &s->file->file); /* else its readers are told that it is gone */
}

int hfile_segment_read(struct hfile_io *io, const struct hfile_segment *s, void *to, size_t bytes,
                       uint64_t at, struct err *err) {
    int fd = file_pin(s, err);
    if (fd < 0)
        return fd;
    int rc = hfile_read(io, fd, to, bytes, at, err);
    rt_files_unpin(s->files, &s->file->file);
    return rc;
}

/* --- opening --- */

/* Records, a table of frames if they are compressed, the sections: one behind the other, and they
 * fit each other. */
static bool footer_fits(const struct hfile_footer *f, uint32_t number, uint64_t size) {
    static const size_t item[HFILE_SECTIONS] = {
        8, sizeof(struct hfile_row),  sizeof(struct hfile_entry), 4, 8,
        4, sizeof(struct hfile_place)};
    uint64_t at = f->frame_bytes ? f->sections[0].at : f->data_bytes;
    if (memcmp(f->magic, HFILE_SEGMENT_MAGIC, sizeof f->magic) != 0 || f->number != number ||
        f->number == 0 || at > size || f->frame_bytes > HFILE_FRAME_BYTES_MAX ||
        f->data_bytes > (uint64_t)1 << 62 || hfile_frame_count(f) > at / sizeof(struct hfile_frame))
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

static int footer_read(struct hfile_io *io, struct hfile_segment *s, int fd, struct err *err) {
    struct hfile_footer *f = &s->footer;
    int64_t size = io->size(io, fd);
    if (size < 0)
        return hfile_error(err, (int)size, "a segment");
    if ((size_t)size < sizeof *f)
        return hfile_corrupt(err, "a segment without its end");
    int rc = hfile_read(io, fd, f, sizeof *f, (uint64_t)size - sizeof *f, err);
    if (rc == 0 &&
        (hfile_crc(str_n((const char *)f, offsetof(struct hfile_footer, crc))) != f->crc ||
         !footer_fits(f, s->number, (uint64_t)size)))
        rc = hfile_corrupt(err, "the end of a segment");
    s->bytes = (uint64_t)size;
    s->frames_at = f->sections[0].at - hfile_frame_count(f) * sizeof(struct hfile_frame);
    return rc;
}

int hfile_segment_open(struct hfile_io *io, struct rt_files *files, uint32_t number,
                       struct hfile_segment **out, struct err *err) {
    struct hfile_segment *s = NEW(struct hfile_segment);
    s->number = number;
    s->refs = 1;
    s->files = files;
    s->file = NEW(struct hfile_segment_file);
    s->file->file.fd = -1;
    s->file->number = number;
    int fd = file_pin(s, err);
    int rc = fd < 0 ? fd : footer_read(io, s, fd, err);
    if (fd >= 0)
        rt_files_unpin(files, &s->file->file);
    if (rc < 0)
        hfile_segment_unref(s);
    else
        *out = s;
    return rc;
}

void hfile_segment_unref(struct hfile_segment *s) {
    if (!s || --s->refs > 0)
        return;
    rt_files_close(s->files, &s->file->file);
    mem_free(s->file);
    mem_free(s);
}

/* --- sections --- */

int hfile_section_read(struct hfile_io *io, const struct hfile_segment *s, enum hfile_section what,
                       size_t item_bytes, size_t first, size_t count, void *to, struct err *err) {
    size_t there = hfile_section_count(s, what, item_bytes);
    if (first > there || count > there - first)
        return hfile_corrupt(err, "an index that points beyond its end");
    return count == 0 ? 0
                      : hfile_segment_read(io, s, to, count * item_bytes,
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
    int rc = bytes ? hfile_segment_read(io, s, p, bytes, s->footer.sections[what].at, err) : 0;
    out->len = bytes;
    if (rc == 0 && hfile_crc(buf_view(out)) != s->footer.sections[what].crc)
        rc = hfile_corrupt(err, "a section of a segment");
    if (rc < 0)
        buf_deinit(out);
    return rc;
}

bool hfile_record_lies_in(const struct hfile_segment *s, uint64_t at, uint64_t bytes) {
    return bytes >= sizeof(struct hfile_record) && bytes <= HFILE_RECORD_BYTES_MAX &&
           at <= s->footer.data_bytes && bytes <= s->footer.data_bytes - at;
}

/* Entries as they stand, each with a record that can be there: its bytes are memory to be taken. */
static int entries_read(struct hfile_io *io, const struct hfile_segment *s, size_t first,
                        size_t count, struct hfile_entry *out, struct err *err) {
    int rc = hfile_section_read(io, s, HFILE_ENTRIES, sizeof *out, first, count, out, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!hfile_record_lies_in(s, out[i].at, out[i].bytes) ||
            out[i].payload_bytes > out[i].bytes)
            rc = hfile_corrupt(err, "the place of an event");
    }
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
    return rc < 0 ? rc : entries_read(io, s, (size_t)row->entry_first + place, 1, out, err);
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
        return entries_read(io, s, row->entry_first + first, count, out, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = entry_at(io, s, row, true, first + i, &out[i], err);
    return rc;
}

/* The first one of the row that is not below. Hashes are spread evenly, so where one stands is
 * known but for a few hundred: one read nearly always, then halving. */
static int hash_search(struct hfile_io *io, const struct hfile_segment *s,
                       const struct hfile_row *row, uint64_t hash, size_t *out, struct err *err) {
    uint64_t near[HASHES_AT_ONCE];
    size_t lo = 0, hi = row->entry_count;
    size_t guess = (size_t)((unsigned __int128)hash * row->entry_count >> 64);
    while (lo < hi) {
        size_t from = guess > lo + HASHES_AT_ONCE / 2 ? guess - HASHES_AT_ONCE / 2 : lo;
        size_t n = hi - from < HASHES_AT_ONCE ? hi - from : HASHES_AT_ONCE, i = 0;
        int rc = hfile_section_read(io, s, HFILE_HASHES, 8, row->entry_first + from, n, near, err);
        if (rc < 0)
            return rc;
        while (i < n && near[i] < hash)
            i++;
        if (i == n)
            lo = from + n;
        else if (i == 0)
            hi = from;
        else
            lo = hi = from + i;
        guess = lo + (hi - lo) / 2;
    }
    *out = lo;
    return 0;
}

int hfile_row_hash(struct hfile_io *io, const struct hfile_segment *s, const struct hfile_row *row,
                   uint64_t hash, size_t *step, struct hfile_entry *out, bool *out_found,
                   struct err *err) {
    size_t first = 0;
    uint64_t there = 0;
    uint32_t place;
    int rc = *step ? 0 : hash_search(io, s, row, hash, &first, err);
    if (*step == 0)
        *step = first + 1;
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
