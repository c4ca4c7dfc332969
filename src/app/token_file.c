/* SPDX-License-Identifier: Apache-2.0 */
/* token_file.c - a file of API keys: {"keys": [record, …]}, which a running server reads again.
 *
 * A change writes the whole file anew beside the old one and takes its place, synced, so that a
 * reader sees either; the file is readable by its owner only. A file that cannot be read as a whole
 * is not touched. Two changes at the same time are not guarded against: one person keeps it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "app/token_int.h"
#include "auth/source.h"
#include "base/clock.h"

/* The records of the file; none when it is not there. */
static int read_records(struct token_options *o, yyjson_val **out, struct err *err) {
    struct buf text;
    yyjson_val *root = NULL;
    struct api_key_set *set;
    *out = NULL;
    if (access(o->file.p, F_OK) != 0 && errno == ENOENT)
        return 0;
    buf_init(&text, API_KEY_FILE_BYTES_MAX);
    int rc = source_read_file(o->file.p, &text, err);
    str json = text.len ? arena_dup(&o->a, buf_view(&text)) : STR("");
    buf_deinit(&text);
    if (rc == 0)
        rc = api_key_set_parse(json, &set, err);
    if (rc < 0)
        return err_context(err, "%s", o->file.p), rc;
    api_key_set_free(set);
    rc = json_parse(&o->a, json, &root, err);
    *out = json_get(root, "keys");
    return rc;
}

static int write_all(int fd, str text) {
    while (text.len > 0) {
        ssize_t n = write(fd, text.p, text.len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0)
            text = str_slice(text, (size_t)n, text.len);
    }
    return fsync(fd);
}

static int write_file(struct token_options *o, str text, struct err *err) {
    char *beside = arena_z(&o->a, arena_printf(&o->a, "%s.new", o->file.p));
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set_system(err, ERR_IO, errno, "%s cannot be made", beside);
    int rc = 0;
    if (write_all(fd, text) != 0)
        rc = err_set_system(err, ERR_IO, errno, "%s cannot be written", beside);
    if (close(fd) != 0 && rc == 0)
        rc = err_set_system(err, ERR_IO, errno, "%s cannot be written", beside);
    if (rc == 0 && rename(beside, o->file.p) != 0)
        rc = err_set_system(err, ERR_IO, errno, "%s cannot be replaced", o->file.p);
    if (rc < 0)
        (void)unlink(beside); /* the old one stays */
    return rc;
}

/* All records but those that `changed` takes the place of, then `changed`. */
static int write_records(struct token_options *o, yyjson_val *records,
                         const struct api_key *changed, struct err *err) {
    struct buf b;
    size_t i, n;
    yyjson_val *record;
    buf_init(&b, API_KEY_FILE_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "keys");
    jw_array(&w);
    yyjson_arr_foreach(records, i, n, record) {
        struct api_key key;
        if (api_key_read(record, &key, err) == 0 &&
            memcmp(&key.digest, &changed->digest, sizeof(key.digest)) != 0)
            jw_val(&w, record);
    }
    api_key_write(&w, &o->a, changed);
    jw_array_end(&w);
    jw_object_end(&w);
    buf_char(&b, '\n');
    int rc = buf_ok(&b) ? write_file(o, buf_view(&b), err)
                        : err_set(err, ERR_TOO_LARGE, "%s has become too large", o->file.p);
    buf_deinit(&b);
    return rc;
}

int token_file_create(struct token_options *o, struct err *err) {
    yyjson_val *records;
    struct api_key key;
    char text[API_KEY_BYTES];
    int rc = read_records(o, &records, err);
    if (rc == 0)
        rc = token_key_make(o, &key, text, err);
    if (rc == 0)
        rc = write_records(o, records, &key, err);
    if (rc == 0)
        printf("%.*s\n", API_KEY_BYTES, text);
    return rc;
}

int token_file_list(struct token_options *o, struct err *err) {
    yyjson_val *records, *record;
    size_t i, n;
    int rc = read_records(o, &records, err);
    yyjson_arr_foreach(records, i, n, record) {
        struct api_key key;
        if (rc == 0 && api_key_read(record, &key, err) == 0)
            token_key_print(&key);
    }
    return rc;
}

int token_file_revoke(struct token_options *o, struct err *err) {
    yyjson_val *records, *record;
    size_t i, n;
    struct api_key key;
    int rc = read_records(o, &records, err);
    if (rc < 0)
        return rc;
    yyjson_arr_foreach(records, i, n, record) {
        char hex[API_KEY_HEX];
        if (api_key_read(record, &key, err) < 0)
            continue;
        api_key_digest_hex(&key.digest, hex);
        if (!str_starts(str_n(hex, sizeof(hex)), o->id))
            continue;
        key.revoked_us = clock_wall_us();
        return write_records(o, records, &key, err);
    }
    return err_set(err, ERR_NOT_FOUND, "%s has no key " STR_FMT, o->file.p, STR_ARG(o->id));
}
