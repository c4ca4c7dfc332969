/* SPDX-License-Identifier: Apache-2.0 */
/* manifest.c - which segments there are, and which logs they replace.
 *
 * One small file, always replaced as a whole: what it does not name is not there. Written by the
 * sealer only, but for the first one. */
#include <errno.h>
#include <fcntl.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define SEGMENTS_MAX ((size_t)1 << 20)

static uint32_t manifest_crc(str all) {
    return hfile_crc(str_slice(all, offsetof(struct hfile_manifest, sealed_log), all.len));
}

int hfile_manifest_write(struct hfile_io *io, uint32_t sealed_log, uint32_t next,
                         const uint32_t *numbers, size_t count, struct err *err) {
    struct hfile_manifest m = {
        .sealed_log = sealed_log, .segment_next = next, .segment_count = (uint32_t)count};
    struct buf b;
    memcpy(m.magic, HFILE_MANIFEST_MAGIC, sizeof m.magic);
    buf_init(&b, sizeof m + SEGMENTS_MAX * sizeof *numbers);
    buf_append(&b, &m, sizeof m);
    if (count)
        buf_append(&b, numbers, count * sizeof *numbers);
    if (!buf_ok(&b)) {
        buf_deinit(&b);
        return err_set(err, ERR_TOO_LARGE, "history: more than %zu segments", SEGMENTS_MAX);
    }
    m.crc = manifest_crc(buf_view(&b));
    memcpy(b.p, &m, sizeof m);
    int rc = hfile_replace(io, "manifest", b.p, b.len, err);
    buf_deinit(&b);
    return rc;
}

static int manifest_take(str all, struct hfile_manifest *out, uint32_t **out_numbers,
                         struct err *err) {
    struct hfile_manifest m;
    if (all.len < sizeof m)
        return hfile_corrupt(err, "the manifest");
    memcpy(&m, all.p, sizeof m);
    if (memcmp(m.magic, HFILE_MANIFEST_MAGIC, sizeof m.magic) != 0 || m.crc != manifest_crc(all) ||
        all.len - sizeof m != m.segment_count * sizeof(uint32_t))
        return hfile_corrupt(err, "the manifest");
    *out = m;
    *out_numbers = mem_dup(all.p + sizeof m, all.len - sizeof m + 1);
    return 0;
}

int hfile_manifest_read(struct hfile_io *io, struct hfile_manifest *out, uint32_t **out_numbers,
                        struct err *err) {
    int fd = io->open(io, "manifest", O_RDONLY);
    *out = (struct hfile_manifest){.segment_next = 1};
    *out_numbers = NULL;
    if (fd == -ENOENT)
        return 0;
    if (fd < 0)
        return hfile_error(err, fd, "opening the manifest");
    int64_t size = io->size(io, fd);
    struct buf b;
    buf_init(&b, sizeof *out + SEGMENTS_MAX * sizeof(uint32_t) + 1);
    char *p = size < 0 ? NULL : buf_reserve(&b, (size_t)size + 1);
    int rc = p ? hfile_read(io, fd, p, (size_t)size, 0, err) : hfile_corrupt(err, "the manifest");
    if (rc == 0) {
        p[size] = 0; /* one byte more, so that no empty block is copied */
        rc = manifest_take(str_n(p, (size_t)size), out, out_numbers, err);
    }
    buf_deinit(&b);
    io->close_file(io, fd);
    return rc;
}
