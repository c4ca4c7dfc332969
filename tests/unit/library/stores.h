/* SPDX-License-Identifier: Apache-2.0 */
/* stores.h - the stores that the tests of the library open: a folder, a file of SQLite, and, when
 * HF_TEST_DATABASE_URL names one, a database of PostgreSQL instead.
 * Owner: the test that includes it. Memory: static. Errors: fail the test. Suspends: never. */
#ifndef HF_TESTS_UNIT_LIBRARY_STORES_H
#define HF_TESTS_UNIT_LIBRARY_STORES_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <holdfast.h>

#include "base/id.h"

#define STORES_MAX 2
struct stores {
    char folder[64];
    char urls[STORES_MAX][512];
    size_t count;
};

static inline void stores_make(struct stores *s) {
    const char *postgres = getenv("HF_TEST_DATABASE_URL");
    (void)snprintf(s->folder, sizeof s->folder, "/tmp/hf-library-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    if (postgres) {
        (void)snprintf(s->urls[0], sizeof s->urls[0], "%s", postgres);
        s->count = 1;
        return;
    }
    (void)snprintf(s->urls[0], sizeof s->urls[0], "file:%s/folder", s->folder);
    (void)snprintf(s->urls[1], sizeof s->urls[1], "sqlite:%s/file.db", s->folder);
    s->count = 2;
}

static inline void stores_clear(const char *folder) {
    DIR *dir = opendir(folder);
    const struct dirent *e;
    while (dir && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = NULL;
        assert_true(asprintf(&path, "%s/%s", folder, e->d_name) > 0);
        if (unlink(path) != 0)
            stores_clear(path);
        free(path);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(folder);
}

/* An owner of its own for each test: a database is not made anew between them. */
static inline const char *stores_owner(char out[ID_HEX_LEN + 1]) {
    id_write_hex(id_v7(), out);
    out[ID_HEX_LEN] = '\0';
    return out;
}

static inline struct hf_history *stores_open(const char *url) {
    struct hf_history *h = NULL;
    struct hf_error error;
    if (hf_open(url, NULL, &h, &error) != HF_OK)
        fail_msg("%s: %s", url, error.message);
    return h;
}

/* The code of a call, with its text when it is another one than is wanted. */
#define check_code(call, want)                                                                     \
    do {                                                                                           \
        struct hf_error check_error = {0}, *error = &check_error;                                  \
        int check_got = (call);                                                                    \
        if (check_got != (want))                                                                   \
            fail_msg("line %d: %s: %s, %s", __LINE__, #call, hf_code_name(check_got),              \
                     check_error.message);                                                         \
        assert_int_equal(check_error.code, (want));                                                \
        if ((want) != HF_OK)                                                                       \
            assert_true(check_error.message[0] != '\0');                                           \
    } while (0)
#define check_ok(call) check_code(call, HF_OK)

static inline struct hf_event stores_event(const char *id, const char *payload) {
    return (struct hf_event){.struct_size = sizeof(struct hf_event),
                             .id = id,
                             .type = "t",
                             .payload = payload,
                             .payload_size = strlen(payload)};
}

#endif
