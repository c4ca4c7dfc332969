/* SPDX-License-Identifier: Apache-2.0 */
/* local.c - blobs as files of a folder: FOLDER/ab/cdef…, the name's first two digits apart.
 *
 * A file appears whole or not at all: it is written under a name of its own, synced, renamed, and
 * the folder is synced. What is there already is not written again, only synced: another process
 * may have put it and not come so far. All of it happens on the offload pool.
 *
 * Files that a crash left half-written begin with ".new-", are never read, and go when they are old
 * (blob_tidy). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "blobs/blobs_int.h"
#include "rt/worker.h"

#define PATH_BYTES  4200
#define FOLDER_MAX  4000
#define LEFT_OVER_S 86400 /* a file of that age that has no name yet is a crash's */

struct local {
    struct blob_place base;
    struct rt *rt;
    char *folder;
};

/* What the pool does; the fiber waits for it. */
struct job {
    const struct local *place;
    str name, data;
    uint64_t from, count;
    char *into; /* of get: `count` bytes */
    size_t len;
    uint64_t size;
    int code, system;
};

static struct local *local_of(struct blob_place *p) { return CONTAINER_OF(p, struct local, base); }

static int job_end(struct job *j, int fd, bool failed) {
    if (failed) {
        j->system = errno;
        j->code = errno == ENOENT                      ? ERR_NOT_FOUND
                  : errno == ENOSPC || errno == EDQUOT ? ERR_UNAVAILABLE
                                                       : ERR_IO;
    }
    if (fd >= 0)
        (void)close(fd); /* what matters was synced */
    return failed ? -1 : 0;
}

static void path_of(const struct local *p, str name, char out[PATH_BYTES]) {
    snprintf(out, PATH_BYTES, "%s/%.2s/%.*s", p->folder, name.p, (int)name.len - 2, name.p + 2);
}

static int folder_sync(struct job *j, const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return job_end(j, fd, fd < 0 || fsync(fd) != 0);
}

/* The folder of the name, there after a crash as well. */
static int shelf_make(struct job *j, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, "%s/%.2s", j->place->folder, j->name.p);
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : job_end(j, -1, true);
    return folder_sync(j, j->place->folder);
}

static int write_all(int fd, str data) {
    for (size_t at = 0; at < data.len;) {
        ssize_t n = write(fd, data.p + at, data.len - at);
        if (n < 0 && errno != EINTR)
            return -1;
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static void put_job(void *arg) {
    struct job *j = arg;
    char shelf[PATH_BYTES], path[PATH_BYTES], fresh[PATH_BYTES + 64], text[ID_HEX_LEN + 1] = "";
    struct stat st;
    if (shelf_make(j, shelf) < 0)
        return;
    path_of(j->place, j->name, path);
    if (stat(path, &st) == 0 && (size_t)st.st_size == j->data.len) {
        (void)folder_sync(j, shelf);
        return;
    }
    id_write_hex(id_v7(), text);
    snprintf(fresh, sizeof(fresh), "%s/.new-%s", shelf, text);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (job_end(j, fd, fd < 0 || write_all(fd, j->data) < 0 || fsync(fd) != 0) < 0 ||
        job_end(j, -1, rename(fresh, path) != 0) < 0) {
        if (fd >= 0)
            (void)unlink(fresh); /* it would go later */
        return;
    }
    (void)folder_sync(j, shelf);
}

static void get_job(void *arg) {
    struct job *j = arg;
    char path[PATH_BYTES];
    struct stat st;
    path_of(j->place, j->name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        (void)job_end(j, fd, true);
        return;
    }
    j->size = (uint64_t)st.st_size;
    while (j->len < j->count && j->from + j->len < j->size) {
        ssize_t n = pread(fd, j->into + j->len, j->count - j->len, (off_t)(j->from + j->len));
        if (n == 0)
            break; /* cut meanwhile: the digest tells */
        if (n < 0 && errno != EINTR) {
            (void)job_end(j, fd, true);
            return;
        }
        j->len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd); /* only read */
}

static void size_job(void *arg) {
    struct job *j = arg;
    char path[PATH_BYTES];
    struct stat st;
    path_of(j->place, j->name, path);
    if (job_end(j, -1, stat(path, &st) != 0) == 0)
        j->size = (uint64_t)st.st_size;
}

static void remove_job(void *arg) {
    struct job *j = arg;
    char path[PATH_BYTES];
    path_of(j->place, j->name, path);
    (void)job_end(j, -1, unlink(path) != 0);
}

static int run(struct local *p, void (*fn)(void *arg), struct job *j, const char *what,
               struct err *err) {
    j->place = p;
    int rc = rt_offload(p->rt, fn, j);
    if (rc < 0 && rc != ERR_CANCELLED)
        return err_set(err, ERR_UNAVAILABLE, "too much is being read and written");
    if (j->code == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "there is nothing under this digest");
    if (j->code < 0)
        return err_set_system(err, j->code, j->system, "a blob cannot be %s: %s", what,
                              strerror(j->system));
    return rc < 0 ? err_set(err, rc, "cancelled") : 0;
}

static int local_put(struct blob_place *base, str name, str data, struct err *err) {
    struct job j = {.name = name, .data = data};
    int rc = run(local_of(base), put_job, &j, "written", err);
    return rc == ERR_NOT_FOUND ? err_set(err, ERR_IO, "the folder of blobs is gone") : rc;
}

static int local_get(struct blob_place *base, str name, uint64_t from, uint64_t count,
                     struct arena *a, str *out, uint64_t *out_size, struct err *err) {
    struct job j = {.name = name, .from = from};
    int rc = run(local_of(base), size_job, &j, "read", err);
    if (rc < 0)
        return rc;
    uint64_t rest = from < j.size ? j.size - from : 0;
    j.count = count < rest ? count : rest;
    j.into = arena_try_alloc(a, (size_t)j.count + 1);
    if (!j.into)
        return err_set(err, ERR_TOO_LARGE, "%llu bytes are too many to be read at once",
                       (unsigned long long)j.count);
    rc = run(local_of(base), get_job, &j, "read", err);
    if (rc < 0)
        return rc;
    *out = str_n(j.into, j.len);
    *out_size = j.size;
    return 0;
}

static int local_remove(struct blob_place *base, str name, struct err *err) {
    struct job j = {.name = name};
    return run(local_of(base), remove_job, &j, "removed", err);
}

/* One shelf: what crashes left half-written. */
static void tidy_job(void *arg) {
    struct job *j = arg;
    char path[PATH_BYTES], file[PATH_BYTES + 300];
    snprintf(path, sizeof(path), "%s/%02x", j->place->folder, (unsigned)j->from & 0xff);
    DIR *d = opendir(path);
    if (!d)
        return; /* none was put there yet */
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
        if (strncmp(e->d_name, ".new-", 5) == 0 && stat(file, &st) == 0 &&
            clock_wall_us() / 1000000 - st.st_mtime > LEFT_OVER_S)
            j->count += unlink(file) == 0; /* only disk space is lost */
    }
    (void)closedir(d); /* only read */
}

static int local_tidy(struct blob_place *base, size_t part, int64_t *out_removed, struct err *err) {
    struct job j = {.from = part};
    int rc = run(local_of(base), tidy_job, &j, "looked for", err);
    *out_removed = (int64_t)j.count;
    return rc;
}

static void local_close(struct blob_place *base) {
    struct local *p = local_of(base);
    mem_free(p->folder);
    mem_free(p);
}

int blob_local_open(struct rt *rt, const struct blob_store_options *o, struct blob_place **out,
                    struct err *err) {
    static const struct blob_place_ops ops = {.put = local_put,
                                              .get = local_get,
                                              .remove = local_remove,
                                              .tidy = local_tidy,
                                              .close = local_close};
    size_t len = strlen(o->folder);
    if (len == 0 || len > FOLDER_MAX)
        return err_set(err, ERR_INVALID, "the folder of blobs has no usable name");
    if (mkdir(o->folder, 0700) < 0 && errno != EEXIST)
        return err_set_system(err, ERR_IO, errno, "cannot make the folder of blobs %s", o->folder);
    if (access(o->folder, R_OK | W_OK | X_OK) != 0)
        return err_set_system(err, ERR_IO, errno, "cannot write to the folder of blobs %s",
                              o->folder);
    struct local *p = NEW(struct local);
    p->base.ops = &ops;
    p->rt = rt;
    p->folder = mem_strdup(o->folder);
    *out = &p->base;
    return 0;
}
