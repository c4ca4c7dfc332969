/* SPDX-License-Identifier: Apache-2.0 */
/* nowait.c - the disk as it is read without waiting for it: for pages that the loop reads itself.
 *
 * A page of a hundred events of 2 kB is a copy of some ten microseconds when the kernel holds it in
 * memory, and handing it to the pool and back costs more than that. So the loop tries; what is not
 * in memory, or more than the budget, ends the try, and the pool reads the page from its beginning.
 * A try in vain was work for nothing: then the next ones are left out (base/holdoff.h). */
#include <errno.h>

#include "history/file/file_int.h"

#define CALL_BYTES 1024 /* what a call costs beside its bytes, in bytes */

static ssize_t nowait_pread(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at) {
    struct hfile_nowait *n = CONTAINER_OF(io, struct hfile_nowait, io);
    if (n->budget_bytes < bytes + CALL_BYTES)
        return -EAGAIN;
    n->budget_bytes -= bytes + CALL_BYTES;
    ssize_t got = n->disk->pread_cached(n->disk, fd, to, bytes, at);
    n->unsupported |= got == -EOPNOTSUPP || got == -ENOSYS || got == -EINVAL;
    return got;
}

void hfile_nowait_init(struct hfile_nowait *n, struct hfile_io *disk) {
    *n = (struct hfile_nowait){
        .io.pread = nowait_pread, .disk = disk, .unsupported = !disk->pread_cached};
}

struct hfile_io *hfile_nowait_begin(struct hfile_nowait *n, size_t budget_bytes) {
    if (n->unsupported || holdoff_skips(&n->tries))
        return NULL;
    n->budget_bytes = budget_bytes;
    return &n->io;
}

void hfile_nowait_end(struct hfile_nowait *n, bool in_vain) { holdoff_tried(&n->tries, in_vain); }
