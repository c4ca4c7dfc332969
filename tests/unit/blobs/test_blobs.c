/* SPDX-License-Identifier: Apache-2.0 */
/* test_blobs.c - blobs on disk and in a bucket. Goal: both places keep the same promises: bytes
 * come back as they were, in parts, too; what is changed under its name is noticed; refusals have
 * their codes. Method: a temporary folder, and a server on the test's own loop that keeps objects,
 * checks each request's AWS signature by itself (Signature Version 4, "single chunk") and fails
 * when told to. */
#include "blobs/blobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../support/raw_server.h"
#include "base/map.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define DATE   (sizeof("20260101") - 1)

struct scene {
    struct rt *rt;
    struct raw_server server;
    struct http_client *client;
    struct blob_store *store;
    struct arena arena;
    struct map objects; /* path: struct buf */
    int fail;           /* so many requests are answered 503 */
    size_t puts;
    char folder[64];
    void (*body)(struct scene *s);
};

/* --- the bucket ------------------------------------------------------------------------------ */

static str header(str head, const char *name) { /* curl writes some names in lower case */
    str line, wanted = str_of(name);
    while (str_split_next(&head, '\n', &line))
        if (line.len > wanted.len && line.p[wanted.len] == ':' &&
            str_ieq(str_slice(line, 0, wanted.len), wanted))
            return str_trim(str_slice(line, wanted.len + 1, line.len));
    return STR("");
}

static str hmac(struct arena *a, str key, str data) {
    unsigned char out[HASH_SHA256_BYTES];
    hash_hmac_sha256(key, data, out);
    return arena_dup(a, str_n((char *)out, sizeof(out)));
}

static str hex(struct arena *a, str bytes) {
    struct blob_name name;
    memcpy(name.sha256, bytes.p, sizeof(name.sha256));
    return blob_name_hex(&name, a);
}

static str part(str text, const char *from, char to) { /* what stands between them */
    ptrdiff_t at = str_find(text, str_of(from));
    assert_true(at >= 0);
    str rest = str_slice(text, (size_t)at + strlen(from), text.len);
    ptrdiff_t end = str_find_char(rest, to);
    return end < 0 ? rest : str_slice(rest, 0, (size_t)end);
}

/* As the specification of the signature says; nothing of it is curl's. */
static void check_signature(struct scene *s, str method, str path, str head, str body) {
    struct arena *a = &s->arena;
    str authorization = header(head, "Authorization"), date = header(head, "x-amz-date");
    str digest = header(head, "x-amz-content-sha256");
    struct blob_name is = blob_name_of(body);
    assert_true(str_eq(digest, blob_name_hex(&is, a)));
    str names = part(authorization, "SignedHeaders=", ','), rest = names, name;
    str canonical = STR("");
    while (str_split_next(&rest, ';', &name))
        canonical = arena_printf(a, "%.*s%.*s:%.*s\n", STR_ARG(canonical), STR_ARG(name),
                                 STR_ARG(header(head, arena_z(a, name))));
    assert_true(str_find(names, STR("host")) >= 0);
    assert_true(str_find(names, STR("x-amz-content-sha256")) >= 0);
    str request = arena_printf(a, "%.*s\n%.*s\n\n%.*s\n%.*s\n%.*s", STR_ARG(method), STR_ARG(path),
                               STR_ARG(canonical), STR_ARG(names), STR_ARG(digest));
    struct blob_name hashed = blob_name_of(request);
    str day = str_slice(date, 0, DATE);
    str scope = arena_printf(a, "%.*s/eu-test-1/s3/aws4_request", STR_ARG(day));
    assert_true(str_find(authorization, arena_printf(a, "Credential=KEYID/%.*s", STR_ARG(scope))) >
                0);
    str to_sign = arena_printf(a, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n%.*s", STR_ARG(date),
                               STR_ARG(scope), STR_ARG(blob_name_hex(&hashed, a)));
    str key = hmac(a, STR("AWS4" SECRET), day);
    key = hmac(a, hmac(a, hmac(a, key, STR("eu-test-1")), STR("s3")), STR("aws4_request"));
    str wanted = hex(a, hmac(a, key, to_sign));
    assert_true(str_eq(part(authorization, "Signature=", ','), wanted));
}

static void answer_get(struct raw_conn *conn, str head, const struct buf *object) {
    str data = buf_view(object), range = header(head, "Range");
    char line[128] = "";
    if (range.len == 0) {
        raw_reply(conn, 200, "", data);
        return;
    }
    uint64_t from, to;
    assert_true(str_to_u64(part(range, "bytes=", '-'), &from));
    assert_true(str_to_u64(part(range, "-", ';'), &to));
    if (from >= data.len) {
        snprintf(line, sizeof(line), "Content-Range: bytes */%zu\r\n", data.len);
        raw_reply(conn, 416, line, STR("no"));
        return;
    }
    if (to >= data.len)
        to = data.len - 1;
    snprintf(line, sizeof(line), "Content-Range: bytes %d-%d/%zu\r\n", (int)from, (int)to,
             data.len);
    raw_reply(conn, 206, line, str_slice(data, (size_t)from, (size_t)to + 1));
}

static void answer(struct raw_conn *conn, str request, void *ctx) {
    struct scene *s = ctx;
    str rest = request, method = STR_NULL, path = STR_NULL;
    assert_true(str_split_next(&rest, ' ', &method) && str_split_next(&rest, ' ', &path));
    size_t end = (size_t)str_find(request, STR("\r\n\r\n")) + 4;
    str head = str_slice(request, 0, end), body = str_slice(request, end, request.len);
    check_signature(s, method, path, head, body);
    assert_true(str_starts(path, STR("/bucket/some/where/")));
    struct buf *object = map_get(&s->objects, path);
    if (s->fail > 0 && s->fail--) {
        raw_reply(conn, 503, "", STR("<Error><Code>SlowDown</Code></Error>"));
    } else if (str_eq(method, STR("PUT"))) {
        s->puts++;
        if (!object) {
            object = NEW(struct buf);
            buf_init(object, (size_t)16 << 20);
            map_put(&s->objects, arena_dup(&s->arena, path), object);
        }
        buf_reset(object);
        buf_str(object, body);
        raw_reply(conn, 200, "", STR(""));
    } else if (str_eq(method, STR("DELETE"))) {
        if (object) {
            buf_deinit(object);
            mem_free(object);
            map_remove(&s->objects, path);
        }
        raw_send(conn, STR("HTTP/1.1 204 No Content\r\n\r\n"));
    } else if (object) {
        answer_get(conn, head, object);
    } else {
        raw_reply(conn, 404, "", STR("<Error><Code>NoSuchKey</Code></Error>"));
    }
}

/* --- scenes ---------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void stop(void *arg) {
    struct scene *s = arg;
    raw_server_close(&s->server);
    rt_stop(s->rt);
}

static void run_body(void *arg) {
    struct scene *s = arg;
    s->body(s);
    blob_store_close(s->store);
    http_client_close(s->client, stop, s);
}

static void run(void (*body)(struct scene *s), bool local) {
    struct scene s = {.body = body, .folder = "/tmp/holdfast-blobs-XXXXXX"};
    size_t at = 0;
    str key;
    void *object;
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(raw_server_open(&s.server, s.rt, answer, &s), 0);
    assert_int_equal(http_client_open(s.rt, &(struct http_client_options){0}, &s.client, NULL), 0);
    arena_init(&s.arena, (size_t)64 << 20);
    map_init(&s.objects);
    assert_non_null(mkdtemp(s.folder));
    struct blob_store_options o = {.endpoint =
                                       arena_printf(&s.arena, "http://127.0.0.1:%d", s.server.port),
                                   .bucket = STR("bucket"),
                                   .prefix = STR("some/where/"),
                                   .region = STR("eu-test-1"),
                                   .key_id = STR("KEYID"),
                                   .secret = STR(SECRET),
                                   .folder = local ? s.folder : NULL,
                                   .blob_bytes_max = (size_t)1 << 20};
    assert_int_equal(blob_store_open(s.rt, s.client, &o, &s.store, NULL), 0);
    assert_non_null(fiber_spawn(s.rt, "test", run_body, &s, NULL));
    rt_run(s.rt);
    while (map_next(&s.objects, &at, &key, &object)) {
        buf_deinit(object);
        mem_free(object);
    }
    map_deinit(&s.objects);
    arena_deinit(&s.arena);
    rt_close(s.rt);
    assert_int_equal(nftw(s.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static str bytes_of(struct scene *s, size_t count) {
    char *p = arena_alloc(&s->arena, count + 1);
    for (size_t i = 0; i < count; i++)
        p[i] = (char)(i * 31 + i / 256);
    return str_n(p, count);
}

static void expect(struct scene *s, const struct blob_name *name, uint64_t from, uint64_t count,
                   str wanted, uint64_t size) {
    str got;
    uint64_t got_size;
    struct err err = {0};
    assert_int_equal(blob_get(s->store, name, from, count, &s->arena, &got, &got_size, &err), 0);
    assert_int_equal(got_size, size);
    assert_true(str_eq(got, wanted));
}

/* --- what both places do --------------------------------------------------------------------- */

static void parts_and_whole(struct scene *s) {
    static const size_t sizes[] = {0, 1, 5, 70000, (size_t)1 << 20};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        str data = bytes_of(s, sizes[i]);
        struct blob_name name, other;
        struct err err = {0};
        assert_int_equal(blob_put(s->store, data, &name, &err), 0);
        other = blob_name_of(data);
        assert_memory_equal(&name, &other, sizeof(name));
        assert_int_equal(blob_put(s->store, data, &other, &err), 0); /* the same, again */
        expect(s, &name, 0, UINT64_MAX, data, data.len);
        expect(s, &name, 0, 3, str_slice(data, 0, data.len < 3 ? data.len : 3), data.len);
        expect(s, &name, data.len, 10, STR(""), data.len);
        if (data.len > 4)
            expect(s, &name, 2, 3, str_slice(data, 2, 5), data.len);
        if (data.len > 4)
            expect(s, &name, data.len - 2, 1000, str_slice(data, data.len - 2, data.len), data.len);
        str got;
        uint64_t size;
        assert_int_equal(blob_get(s->store, &name, data.len + 1, 1, &s->arena, &got, &size, &err),
                         ERR_INVALID);
        assert_int_equal(blob_delete(s->store, &name, &err), 0);
        assert_int_equal(blob_delete(s->store, &name, &err), 0);
        assert_int_equal(blob_get(s->store, &name, 0, 1, &s->arena, &got, &size, &err),
                         ERR_NOT_FOUND);
    }
    struct blob_name name;
    struct err err = {0};
    str large = bytes_of(s, ((size_t)1 << 20) + 1);
    assert_int_equal(blob_put(s->store, large, &name, &err), ERR_TOO_LARGE);
}

static void test_parts_and_whole(void **state) {
    (void)state;
    run(parts_and_whole, true);
    run(parts_and_whole, false);
}

/* --- on disk --------------------------------------------------------------------------------- */

static void changed_on_disk(struct scene *s) {
    struct blob_name name;
    struct err err = {0};
    str got, data = STR("what it was");
    uint64_t size;
    assert_int_equal(blob_put(s->store, data, &name, &err), 0);
    str hex_name = blob_name_hex(&name, &s->arena);
    str path = arena_printf(&s->arena, "%s/%.2s/%s", s->folder, hex_name.p, hex_name.p + 2);
    int fd = open(path.p, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "W", 1), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(blob_get(s->store, &name, 0, 100, &s->arena, &got, &size, &err), ERR_CORRUPT);
    assert_int_equal(truncate(path.p, 3), 0); /* a cut one is put anew */
    assert_int_equal(blob_put(s->store, data, &name, &err), 0);
    expect(s, &name, 0, 100, data, data.len);
    DIR *d = opendir(arena_printf(&s->arena, "%s/%.2s", s->folder, hex_name.p).p);
    size_t files = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        files += e->d_name[0] != '.' || strncmp(e->d_name, ".new-", 5) == 0;
    assert_int_equal(closedir(d), 0);
    assert_int_equal(files, 1); /* nothing is left of the writing */
    assert_int_equal(nftw(s->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(blob_put(s->store, data, &name, &err), ERR_IO);
    assert_int_equal(mkdir(s->folder, 0700), 0);
}

/* What a crash left goes when it is old; blobs, and what is just being written, stay. */
static void left_by_a_crash(struct scene *s) {
    static const char *const files[] = {".new-old", ".new-young"};
    struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct blob_name name;
    struct err err = {0};
    str data = STR("a blob");
    int64_t removed = -1, all = 0;
    assert_int_equal(blob_put(s->store, data, &name, &err), 0);
    str hex = blob_name_hex(&name, &s->arena);
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        const char *path = arena_printf(&s->arena, "%s/%.2s/%s", s->folder, hex.p, files[i]).p;
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
        if (i == 0)
            assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    }
    const char *blob = arena_printf(&s->arena, "%s/%.2s/%s", s->folder, hex.p, hex.p + 2).p;
    assert_int_equal(utimensat(AT_FDCWD, blob, long_ago, 0), 0);
    assert_int_equal(blob_parts(s->store), BLOB_PARTS);
    for (size_t part = 0; part < BLOB_PARTS; part++, all += removed)
        assert_int_equal(blob_tidy(s->store, part, &removed, &err), 0);
    assert_int_equal(all, 1);
    expect(s, &name, 0, 100, data, data.len);
    assert_int_equal(
        access(arena_printf(&s->arena, "%s/%.2s/.new-young", s->folder, hex.p).p, F_OK), 0);
}

static void test_left_by_a_crash(void **state) {
    (void)state;
    run(left_by_a_crash, true);
}

static void test_changed_on_disk(void **state) {
    (void)state;
    run(changed_on_disk, true);
}

/* --- in a bucket ----------------------------------------------------------------------------- */

static void trouble_in_the_bucket(struct scene *s) {
    struct blob_name name;
    struct err err = {0};
    str got, data = STR("object");
    uint64_t size;
    s->fail = 2; /* passes */
    assert_int_equal(blob_put(s->store, data, &name, &err), 0);
    assert_int_equal(s->puts, 1);
    s->fail = 4; /* does not */
    assert_int_equal(blob_get(s->store, &name, 0, 100, &s->arena, &got, &size, &err),
                     ERR_UNAVAILABLE);
    assert_int_equal(err.system, 503);
    assert_null(strstr(err.message, SECRET));
    expect(s, &name, 0, 100, data, data.len);
    struct buf *object = map_get(&s->objects, arena_printf(&s->arena, "/bucket/some/where/%s",
                                                           blob_name_hex(&name, &s->arena).p));
    object->p[0] = 'O';
    assert_int_equal(blob_get(s->store, &name, 0, 100, &s->arena, &got, &size, &err), ERR_CORRUPT);
}

static void test_trouble_in_the_bucket(void **state) {
    (void)state;
    run(trouble_in_the_bucket, false);
}

/* --- options, names -------------------------------------------------------------------------- */

static void test_refused_options(void **state) {
    (void)state;
    static const struct blob_store_options good = {
        .endpoint = {"https://s3.test", 15},
        .bucket = {"b", 1},
        .key_id = {"k", 1},
        .secret = {"s", 1},
    };
    struct blob_store_options all[8];
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        all[i] = good;
    all[0].endpoint = STR("ftp://s3.test");
    all[1].endpoint = STR("https://s3.test/path");
    all[2].endpoint = STR("https://user@s3.test");
    all[3].bucket = STR("a/b");
    all[4].prefix = STR("a b");
    all[5].secret = STR("");
    all[6].folder = "";
    all[7].folder = "/nowhere/at/all";
    struct blob_store *s;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct err err = {0};
        int rc = blob_store_open(NULL, NULL, &all[i], &s, &err);
        assert_int_equal(rc, i == 7 ? ERR_IO : ERR_INVALID);
    }
    assert_int_equal(blob_store_open(NULL, NULL, &good, &s, NULL), 0);
    blob_store_close(s);
}

static void test_names(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    struct blob_name name = blob_name_of(STR("abc")), back;
    str text = blob_name_hex(&name, &a);
    assert_string_equal(text.p, /* FIPS 180-4 */
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(blob_name_parse(text, &back));
    assert_memory_equal(&name, &back, sizeof(name));
    assert_false(blob_name_parse(str_slice(text, 0, 63), &back));
    char *wrong = arena_z(&a, text);
    wrong[5] = 'G';
    assert_false(blob_name_parse(str_of(wrong), &back));
    wrong[5] = 'A'; /* one spelling only */
    assert_false(blob_name_parse(str_of(wrong), &back));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_and_whole), cmocka_unit_test(test_changed_on_disk),
        cmocka_unit_test(test_left_by_a_crash), cmocka_unit_test(test_trouble_in_the_bucket),
        cmocka_unit_test(test_refused_options), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
