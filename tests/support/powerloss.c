/* SPDX-License-Identifier: Apache-2.0 */
/* powerloss.c - a library to preload: records what reaches the disk, and can fill the disk up.
 *
 * Goal: to know what a power loss may leave. A killed process leaves its writes in the kernel's
 * cache, so kill -9 cannot show a missing fsync. Here every write, truncation, creation, removal
 * and sync of the watched folder's files (without *-shm and *.lock, which nobody reads after a
 * restart) is appended to a log; tests/support/powerloss.py makes of any prefix of it the files
 * that a disk could hold then. A write counts as safe when a sync that began after it has ended;
 * a sync therefore carries the place in the log at which it began.
 *
 *   HF_POWER_DIR    the folder that is watched        HF_POWER_LOG   the log, appended to
 *   HF_POWER_FULL   a path; while a file is there, writes that would make a file longer fail with
 *                   ENOSPC, as they do on a full disk
 *
 * A record: 24 bytes of struct record, then `len` bytes. Writes are logged before they are made.
 * One lock orders the log like the effects. Real syncs are left out: a short sleep stands for them.
 * Only calls that SQLite's unix layer makes are covered: open, write, pwrite, ftruncate, fsync,
 * fdatasync, unlink, close. */
#undef _FILE_OFFSET_BITS /* both names of a function are defined here */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX   4096
#define FILES_MAX 64
#define NAME_MAX_BYTES 256
#define SYNC_NS   300000

enum kind { NAMED = 1, WRITTEN, TRUNCATED, SYNCED, CREATED, REMOVED, FOLDER_SYNCED };

struct record {
    uint32_t magic;
    uint16_t kind, file;
    uint32_t len, unused;
    int64_t at; /* offset, length, or the place at which a sync began */
};
#define MAGIC 0x48465057u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char folder[PATH_MAX], full_flag[PATH_MAX];
static char names[FILES_MAX][NAME_MAX_BYTES]; /* file n is names[n - 1]; "" is the folder */
static uint16_t name_count;
static uint16_t file_of_fd[FDS_MAX]; /* 0: not watched */
static uint16_t file_folder;

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static ssize_t real_write(int fd, const void *p, size_t len) {
    REAL(write);
    return real(fd, p, len);
}

static void put(enum kind kind, uint16_t file, int64_t at, const void *p, size_t len) {
    struct record r = {
        .magic = MAGIC, .kind = (uint16_t)kind, .file = file, .len = (uint32_t)len, .at = at};
    struct iovec v[2] = {{&r, sizeof(r)}, {(void *)(uintptr_t)p, len}};
    if (writev(log_fd, v, len ? 2 : 1) != (ssize_t)(sizeof(r) + len))
        abort(); /* a log with a hole would accuse the innocent */
}

static int64_t place(void) {
    return lseek(log_fd, 0, SEEK_END);
}

static uint16_t file_named(const char *name) {
    for (uint16_t i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0)
            return (uint16_t)(i + 1);
    size_t len = strlen(name);
    if (name_count == FILES_MAX || len >= NAME_MAX_BYTES)
        abort();
    memcpy(names[name_count++], name, len + 1);
    put(NAMED, name_count, 0, name, len);
    return name_count;
}

static bool ends(const char *s, const char *tail) {
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* 0 when the path is not watched. */
static uint16_t file_of_path(const char *path) {
    char full[PATH_MAX], parent[PATH_MAX];
    if (log_fd < 0 || ends(path, "-shm") || ends(path, ".lock"))
        return 0;
    if (realpath(path, full) && strcmp(full, folder) == 0)
        return file_folder;
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (!slash || len >= sizeof(parent))
        return 0;
    memcpy(parent, path, len);
    parent[len] = '\0';
    if (!realpath(parent, full) || strcmp(full, folder) != 0)
        return 0;
    return file_named(slash + 1);
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("HF_POWER_DIR"), *to = getenv("HF_POWER_LOG");
    const char *flag = getenv("HF_POWER_FULL");
    if (flag && strlen(flag) < sizeof(full_flag))
        memcpy(full_flag, flag, strlen(flag) + 1);
    if (!dir || !to || !realpath(dir, folder))
        return;
    REAL(open);
    log_fd = real(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd >= 0)
        file_folder = file_named("");
}

static uint16_t watched(int fd) {
    return fd >= 0 && fd < FDS_MAX ? file_of_fd[fd] : 0;
}

static int open_any(__typeof__(open) *real, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    uint16_t file = file_of_path(path);
    bool new = file && (flags & O_CREAT) && access(path, F_OK) != 0;
    int fd = real(path, flags, mode);
    int code = errno;
    if (fd >= 0 && fd < FDS_MAX)
        file_of_fd[fd] = file;
    if (fd >= 0 && new)
        put(CREATED, file, 0, NULL, 0);
    if (fd >= 0 && file && !new && (flags & O_TRUNC))
        put(TRUNCATED, file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = code;
    return fd;
}

EXPORT int open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    REAL(open);
    return open_any(real, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    REAL(open64);
    return open_any(real, path, flags, mode);
}

/* With the lock held. */
static bool no_space(int fd, int64_t end) {
    struct stat st;
    return full_flag[0] && access(full_flag, F_OK) == 0 && fstat(fd, &st) == 0 && end > st.st_size;
}

EXPORT ssize_t pwrite(int fd, const void *p, size_t len, off_t at) {
    REAL(pwrite);
    uint16_t file = watched(fd);
    if (!file)
        return real(fd, p, len, at);
    pthread_mutex_lock(&lock);
    ssize_t n = -1;
    if (no_space(fd, at + (int64_t)len)) {
        errno = ENOSPC;
    } else {
        put(WRITTEN, file, at, p, len);
        n = real(fd, p, len, at);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

EXPORT ssize_t pwrite64(int fd, const void *p, size_t len, off64_t at) {
    return pwrite(fd, p, len, at);
}

EXPORT ssize_t write(int fd, const void *p, size_t len) {
    uint16_t file = watched(fd);
    if (!file)
        return real_write(fd, p, len);
    pthread_mutex_lock(&lock);
    int64_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t n = -1;
    if (no_space(fd, at + (int64_t)len)) {
        errno = ENOSPC;
    } else {
        put(WRITTEN, file, at, p, len);
        n = real_write(fd, p, len);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

EXPORT int ftruncate(int fd, off_t bytes) {
    REAL(ftruncate);
    uint16_t file = watched(fd);
    if (!file)
        return real(fd, bytes);
    pthread_mutex_lock(&lock);
    put(TRUNCATED, file, bytes, NULL, 0);
    int rc = real(fd, bytes);
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int ftruncate64(int fd, off64_t bytes) {
    return ftruncate(fd, bytes);
}

static int sync_watched(int fd) {
    pthread_mutex_lock(&lock);
    uint16_t file = watched(fd);
    int64_t began = place();
    pthread_mutex_unlock(&lock);
    struct timespec t = {0, SYNC_NS};
    (void)nanosleep(&t, NULL);
    pthread_mutex_lock(&lock);
    put(file == file_folder ? FOLDER_SYNCED : SYNCED, file, began, NULL, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

EXPORT int fsync(int fd) {
    REAL(fsync);
    return watched(fd) ? sync_watched(fd) : real(fd);
}

EXPORT int fdatasync(int fd) {
    REAL(fdatasync);
    return watched(fd) ? sync_watched(fd) : real(fd);
}

EXPORT int unlink(const char *path) {
    REAL(unlink);
    pthread_mutex_lock(&lock);
    uint16_t file = file_of_path(path);
    int rc = real(path);
    int code = errno;
    if (rc == 0 && file)
        put(REMOVED, file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    errno = code;
    return rc;
}

EXPORT int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FDS_MAX)
        file_of_fd[fd] = 0;
    return real(fd);
}
