/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - many files, few descriptors: a file is open while it is used, and as long as there is
 * room.
 *
 * Whoever reads pins the file, which opens it when it is closed; of those that nobody has pinned
 * the one that was not used for longest is closed when another one needs the place. The bound is
 * passed only by as many files as are pinned at once.
 *
 * Memory: a file's place is its owner's, who closes it before it goes. Errors: what open() gives;
 * when the process has no descriptor left, those that are not in use are closed first.
 * Suspends: never, but blocks as open() does. Any thread may call. Tests:
 * tests/unit/rt/test_files.c */
#ifndef HF_RT_FILES_H
#define HF_RT_FILES_H

#include <stdint.h>

#include "base/list.h"

struct rt_file { /* begins as zeros, with fd -1 */
    struct list node;
    int fd;
    uint32_t pins;
};
struct rt_files;
struct rt_files_options {
    size_t open_max; /* 0: a quarter of what the process may have, at most 4,096 */
    int (*open)(void *ctx, struct rt_file *f); /* a descriptor, or -errno */
    void (*close)(void *ctx, int fd);
    void *ctx;
};
struct rt_files *rt_files_new(const struct rt_files_options *o);
void rt_files_free(struct rt_files *files); /* NULL is fine; every file was closed */

/* Its descriptor until rt_files_unpin(), or -errno. */
int rt_files_pin(struct rt_files *files, struct rt_file *f);
void rt_files_unpin(struct rt_files *files, struct rt_file *f);
/* Takes an open descriptor over: as rt_files_pin() and rt_files_unpin(). */
void rt_files_add(struct rt_files *files, struct rt_file *f, int fd);
/* Nobody else uses it any more; also of one that is not open. */
void rt_files_close(struct rt_files *files, struct rt_file *f);
size_t rt_files_open_count(struct rt_files *files);
/* How many descriptors the process may have. */
size_t rt_files_limit(void);

#endif
