/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - a bounded set of open files.
 *
 * Open files that nobody has pinned stand in a list, the one used last at its end; a pinned one is
 * in no list. One mutex guards list and counts, also while a file is opened: that is a look-up in
 * the system's memory, and rare where the bound is not too low. */
#include "rt/files.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/mem.h"

#define OPEN_MAX ((size_t)4096)
#define OPEN_MIN ((size_t)4)

struct rt_files {
    struct rt_files_options options;
    pthread_mutex_t lock;
    struct list idle; /* longest unused first */
    size_t open_count;
};

static void lock(struct rt_files *files) { ASSERT(pthread_mutex_lock(&files->lock) == 0); }
static void unlock(struct rt_files *files) { ASSERT(pthread_mutex_unlock(&files->lock) == 0); }

size_t rt_files_limit(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)r.rlim_cur;
}

struct rt_files *rt_files_new(const struct rt_files_options *o) {
    struct rt_files *files = NEW(struct rt_files);
    size_t quarter = rt_files_limit() / 4;
    files->options = *o;
    if (o->open_max == 0)
        files->options.open_max = quarter < OPEN_MIN   ? OPEN_MIN
                                  : quarter > OPEN_MAX ? OPEN_MAX
                                                       : quarter;
    ASSERT(pthread_mutex_init(&files->lock, NULL) == 0);
    list_init(&files->idle);
    return files;
}

void rt_files_free(struct rt_files *files) {
    if (!files)
        return;
    ASSERT(files->open_count == 0);
    ASSERT(pthread_mutex_destroy(&files->lock) == 0);
    mem_free(files);
}

static void close_one(struct rt_files *files, struct rt_file *f) {
    if (list_linked(&f->node))
        list_remove(&f->node);
    files->options.close(files->options.ctx, f->fd);
    files->open_count--;
    f->fd = -1;
}

/* Closes files that nobody uses until no more than `count` are open. */
static bool shrink(struct rt_files *files, size_t count) {
    bool any = false;
    while (files->open_count > count && !list_empty(&files->idle)) {
        close_one(files, LIST_ENTRY(list_first(&files->idle), struct rt_file, node));
        any = true;
    }
    return any;
}

static int open_one(struct rt_files *files, struct rt_file *f) {
    (void)shrink(files, files->options.open_max - 1); /* what is pinned stays */
    int fd = files->options.open(files->options.ctx, f);
    while ((fd == -EMFILE || fd == -ENFILE) && shrink(files, files->open_count / 2))
        fd = files->options.open(files->options.ctx, f);
    if (fd >= 0) {
        f->fd = fd;
        files->open_count++;
    }
    return fd;
}

int rt_files_pin(struct rt_files *files, struct rt_file *f) {
    lock(files);
    int fd = f->fd >= 0 ? f->fd : open_one(files, f);
    if (fd >= 0 && f->pins++ == 0 && list_linked(&f->node))
        list_remove(&f->node);
    unlock(files);
    return fd;
}

void rt_files_unpin(struct rt_files *files, struct rt_file *f) {
    lock(files);
    ASSERT(f->pins > 0);
    if (--f->pins == 0) {
        list_push_back(&files->idle, &f->node);
        (void)shrink(files, files->options.open_max); /* more were pinned at once */
    }
    unlock(files);
}

void rt_files_add(struct rt_files *files, struct rt_file *f, int fd) {
    lock(files);
    ASSERT(f->fd < 0);
    (void)shrink(files, files->options.open_max - 1); /* what is pinned stays */
    f->fd = fd;
    files->open_count++;
    list_push_back(&files->idle, &f->node);
    unlock(files);
}

void rt_files_close(struct rt_files *files, struct rt_file *f) {
    lock(files);
    f->pins = 0;
    if (f->fd >= 0)
        close_one(files, f);
    unlock(files);
}

size_t rt_files_open_count(struct rt_files *files) {
    lock(files);
    size_t count = files->open_count;
    unlock(files);
    return count;
}
