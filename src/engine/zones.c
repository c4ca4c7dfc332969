/* SPDX-License-Identifier: Apache-2.0 */
/* zones.c - a cache of what the offload pool reads.
 *
 * Only names that a file stands for get an entry, so the database bounds the cache. A zone that
 * cannot be read again stays as it was. */
#include "engine/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "rt/worker.h"

#define FRESH_US INT64_C(3600000000)

struct entry {
    char name[TIME_ZONE_NAME_MAX + 1];
    struct time_zone *zone;
    int64_t read_us; /* monotonic */
};

struct zones {
    struct rt *rt;
    char *folder;
    struct time_zone *utc;
    struct map entries; /* name → struct entry */
};

struct zones *zones_new(struct rt *rt, const char *folder) {
    struct zones *z = NEW(struct zones);
    size_t len = strlen(folder);
    z->rt = rt;
    z->folder = mem_alloc(len + 1);
    memcpy(z->folder, folder, len + 1);
    z->utc = time_zone_utc();
    map_init(&z->entries);
    return z;
}

void zones_free(struct zones *z) {
    if (!z)
        return;
    size_t at = 0;
    str key;
    void *value;
    while (map_next(&z->entries, &at, &key, &value)) {
        struct entry *e = value;
        time_zone_free(e->zone);
        mem_free(e);
    }
    map_deinit(&z->entries);
    time_zone_free(z->utc);
    mem_free(z->folder);
    mem_free(z);
}

struct reading {
    const char *path;
    struct time_zone *zone;
    int rc;
    struct err err;
};

static int read_file(int fd, struct reading *r) {
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)TIME_ZONE_BYTES_MAX)
        return err_set(&r->err, ERR_INVALID, "is no time zone");
    size_t len = 0, size = (size_t)st.st_size;
    char *data = mem_alloc(size + 1);
    for (ssize_t n; len < size && (n = read(fd, data + len, size - len)) > 0;)
        len += (size_t)n;
    int rc = time_zone_parse(str_n(data, len), &r->zone, &r->err);
    mem_free(data);
    return rc;
}

/* On a thread of the pool. */
static void read_zone(void *arg) {
    struct reading *r = arg;
    int fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        r->rc = err_set_system(&r->err, missing ? ERR_INVALID : ERR_UNAVAILABLE, errno,
                               missing ? "is no time zone that is known here"
                                       : "The time zone's data cannot be read");
        return;
    }
    r->rc = read_file(fd, r);
    close(fd);
}

static void keep(struct zones *z, str name, struct time_zone *zone) {
    struct entry *e = map_get(&z->entries, name);
    if (!e) {
        e = NEW(struct entry);
        memcpy(e->name, name.p, name.len);
        map_put(&z->entries, str_n(e->name, name.len), e);
    }
    time_zone_free(e->zone);
    e->zone = zone;
    e->read_us = rt_mono_us(z->rt);
}

int zones_get(struct zones *z, str name, const struct time_zone **out, struct err *err) {
    *out = z->utc;
    if (name.len == 0 || str_eq(name, STR("UTC")))
        return 0;
    if (!time_zone_name_ok(name))
        return err_set(err, ERR_INVALID, "must be the name of a time zone, such as Europe/Berlin");
    struct entry *e = map_get(&z->entries, name);
    if (!e || rt_mono_us(z->rt) - e->read_us > FRESH_US) {
        struct arena a;
        arena_init(&a, 1 << 16);
        struct reading r = {.path = arena_printf(&a, "%s/" STR_FMT, z->folder, STR_ARG(name)).p};
        int rc = rt_offload(z->rt, read_zone, &r);
        arena_deinit(&a);
        if (rc < 0)
            return err_set(err, ERR_UNAVAILABLE, "The time zone's data cannot be read now");
        if (r.rc == 0)
            keep(z, name, r.zone);
        e = map_get(&z->entries, name);
        if (!e) {
            if (err)
                *err = r.err;
            return r.rc;
        }
        e->read_us = rt_mono_us(z->rt);
    }
    *out = e->zone;
    return 0;
}
