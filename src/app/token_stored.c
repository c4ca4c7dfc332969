/* SPDX-License-Identifier: Apache-2.0 */
/* token_stored.c - the API keys of the database.
 *
 * The command opens the database that the same settings give to `serve`, on a loop and a fiber of
 * its own, and closes it again. A SQLite file belongs to one process at a time, so it is done while
 * no server runs on it; PostgreSQL and a file of keys (--file) can be changed beside running
 * servers, which see it when their caches have forgotten. */
#include <stdio.h>
#include <sys/stat.h>

#include "app/database.h"
#include "app/token_int.h"
#include "base/clock.h"
#include "store/api_keys.h"

#define PAGE 100

struct job {
    struct token_options *o;
    struct rt *rt;
    struct store store;
    struct arena a;
    struct err *err;
    int rc;
};

static int put(struct job *j, const struct api_key *key) {
    char hex[API_KEY_HEX];
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    api_key_write(&w, &j->a, key);
    api_key_digest_hex(&key->digest, hex);
    int rc = api_keys_put(&j->store, str_n(hex, sizeof(hex)), buf_view(&b), &j->a, j->err);
    buf_deinit(&b);
    return rc;
}

static int create(struct job *j) {
    struct api_key key;
    char text[API_KEY_BYTES];
    int rc = token_key_make(j->o, &key, text, j->err);
    if (rc == 0)
        rc = put(j, &key);
    if (rc == 0)
        printf("%.*s\n", API_KEY_BYTES, text);
    return rc;
}

static int read_one(struct job *j, const struct api_key_row *row, struct api_key *out) {
    yyjson_val *record;
    int rc = json_parse(&j->a, row->record, &record, j->err);
    return rc < 0 ? rc : api_key_read(record, out, j->err);
}

/* Lists, or revokes the one whose digest begins with the id. */
static int walk(struct job *j, bool revoke) {
    str after = STR("");
    for (size_t count = PAGE; count == PAGE;) {
        struct api_key_row *rows;
        int rc = api_keys_list(&j->store, after, PAGE, &j->a, &rows, &count, j->err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            struct api_key key;
            after = rows[i].digest;
            rc = read_one(j, &rows[i], &key);
            if (rc == 0 && !revoke)
                token_key_print(&key);
            if (rc < 0 || !revoke || !str_starts(rows[i].digest, j->o->id))
                continue;
            if (key.revoked_us == 0)
                key.revoked_us = clock_wall_us();
            return put(j, &key);
        }
        if (rc < 0)
            return rc;
    }
    return revoke ? err_set(j->err, ERR_NOT_FOUND, "the database has no key " STR_FMT,
                            STR_ARG(j->o->id))
                  : 0;
}

static int open_store(struct job *j) {
    const struct config *c = &j->o->config;
    struct stat st;
    str path = arena_printf(&j->a, STR_FMT "/holdfast.db", STR_ARG(c->data));
    if (!database_is_remote(c) && j->o->verb != TOKEN_KEY_CREATE && stat(path.p, &st) != 0)
        return err_set(j->err, ERR_NOT_FOUND,
                       "there is no database in %s: name its folder with --data, or the file of "
                       "keys with --file",
                       c->data.p);
    return database_open(j->rt, c, &j->store.db, j->err);
}

static void job_fiber(void *arg) {
    struct job *j = arg;
    j->rc = open_store(j);
    if (j->rc == 0)
        j->rc =
            j->o->verb == TOKEN_KEY_CREATE ? create(j) : walk(j, j->o->verb == TOKEN_KEY_REVOKE);
    rt_stop(j->rt);
}

int token_stored_run(struct token_options *o, struct err *err) {
    struct job j = {.o = o, .err = err};
    log_init(LOG_WARN, 2, true);
    int rc = rt_open(&j.rt, err);
    if (rc < 0)
        return rc;
    arena_init(&j.a, (size_t)256 << 20);
    if (fiber_spawn(j.rt, "token", job_fiber, &j, err))
        rt_run(j.rt);
    else
        j.rc = ERR_LIMIT;
    if (j.store.db)
        db_close(j.store.db);
    rt_close(j.rt);
    arena_deinit(&j.a);
    return j.rc;
}
