/* SPDX-License-Identifier: Apache-2.0 */
/* test_zones.c - Goal: zones are read from their folder by name and nothing else is; a file that is
 * none is refused and remembered by nobody. Method: a folder made here, with a zone, a text, a
 * folder and a large file in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "engine/zones.h"

static char folder[] = "/tmp/holdfast-zones-XXXXXX";
static struct zones *zones;
static struct rt *rt;

static void write_file(const char *name, const char *data, size_t len) {
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* An offset of `hours`, without changes. */
static void write_zone(const char *name, int hours) {
    struct buf b;
    buf_init(&b, 1000);
    for (int block = 0; block < 2; block++) {
        buf_str(&b, STR("TZif2"));
        for (int i = 0; i < 39; i++)
            buf_char(&b, i == 34 ? (char)block : 0); /* types: 1 in the second block */
    }
    uint32_t offset = (uint32_t)(hours * 3600);
    for (int i = 3; i >= 0; i--)
        buf_char(&b, (char)(offset >> 8 * i & 0xff));
    buf_str(&b, str_n("\0\0\n\n", 4));
    write_file(name, b.p, b.len);
    buf_deinit(&b);
}

static int offset_of(const char *name, int64_t *out, struct err *err) {
    const struct time_zone *z;
    int rc = zones_get(zones, str_of(name), &z, err);
    if (rc == 0)
        *out = time_zone_span_at(z, 0).offset;
    return rc;
}

static void refused(const char *name, const char *text) {
    struct err err = {0};
    int64_t offset;
    int rc = offset_of(name, &offset, &err);
    if (rc != ERR_INVALID || !strstr(err.message, text))
        fail_msg("%s: %d %s", name, rc, err.message);
}

static void body(void *arg) {
    (void)arg;
    int64_t offset = -1;
    assert_int_equal(offset_of("", &offset, NULL), 0);
    assert_int_equal(offset, 0);
    assert_int_equal(offset_of("UTC", &offset, NULL), 0); /* needs no file */
    assert_int_equal(offset, 0);
    refused("Town", "is no time zone that is known here");
    write_zone("Town", 3);
    assert_int_equal(offset_of("Town", &offset, NULL), 0);
    assert_int_equal(offset, 3 * 3600);
    write_zone("Town", 4); /* is kept for an hour */
    assert_int_equal(offset_of("Town", &offset, NULL), 0);
    assert_int_equal(offset, 3 * 3600);
    write_file("Text", "no zone", 7);
    refused("Text", "it is no TZif file");
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/Land", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    refused("Land", "is no time zone");
    refused("Town/Street", "is no time zone that is known here");
    static char large[TIME_ZONE_BYTES_MAX + 1];
    write_file("Large", large, sizeof(large));
    refused("Large", "is no time zone");
    refused("../Town", "must be the name of a time zone");
    refused("/Town", "must be the name of a time zone");
    rt_stop(rt);
}

static void test_folder(void **state) {
    (void)state;
    char path[256];
    static const char *const names[] = {"Town", "Text", "Large"};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(rt_open(&rt, NULL), 0);
    zones = zones_new(rt, folder);
    assert_non_null(fiber_spawn(rt, "test", body, NULL, NULL));
    rt_run(rt);
    zones_free(zones);
    rt_close(rt);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/Land", folder);
    (void)rmdir(path);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
