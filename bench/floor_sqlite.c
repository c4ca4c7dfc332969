/* SPDX-License-Identifier: Apache-2.0 */
/* floor_sqlite.c - what a plain program gets out of SQLite on this disk: the floor.
 *
 * One connection, WAL, synchronous=FULL, one prepared INSERT of a 370-byte row per transaction, in
 * a loop: each row is durable before the next is sent. Prints one line of JSON.
 *
 * usage: floor_sqlite [seconds, default 5] [file, default ./floor.db; deleted before and after] */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

#define ROW_BYTES 370

static int fail(sqlite3 *db, const char *what) {
    fprintf(stderr, "floor_sqlite: %s: %s\n", what, db ? sqlite3_errmsg(db) : "no memory");
    return 1;
}

static void delete_files(const char *path) {
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[4096];
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name); /* not all are there */
    }
}

static int insert_loop(sqlite3 *db, int64_t run_us, int64_t *out_rows, int64_t *out_us) {
    char row[ROW_BYTES];
    memset(row, 'x', sizeof(row));
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v3(db, "INSERT INTO floor (id, body) VALUES (?1, ?2)", -1,
                           SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        return fail(db, "prepare");
    int64_t rows = 0, start_us = clock_mono_us(), now_us = start_us;
    int rc = SQLITE_DONE;
    while (rc == SQLITE_DONE && now_us - start_us < run_us) {
        sqlite3_bind_int64(s, 1, ++rows);
        sqlite3_bind_text(s, 2, row, sizeof(row), SQLITE_STATIC);
        rc = sqlite3_step(s);
        sqlite3_reset(s);
        now_us = clock_mono_us();
    }
    sqlite3_finalize(s);
    if (rc != SQLITE_DONE)
        return fail(db, "insert");
    *out_rows = rows;
    *out_us = now_us - start_us;
    return 0;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
    const char *path = argc > 2 ? argv[2] : "floor.db";
    sqlite3 *db = NULL;
    int64_t rows = 0, us = 1;
    if (seconds <= 0 || sqlite3_initialize() != SQLITE_OK) {
        fprintf(stderr, "usage: floor_sqlite [seconds] [file]\n");
        return 2;
    }
    delete_files(path);
    int rc = sqlite3_open(path, &db);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db,
                          "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                          "CREATE TABLE floor (id INTEGER PRIMARY KEY, body TEXT NOT NULL)",
                          NULL, NULL, NULL);
    int code = rc == SQLITE_OK ? insert_loop(db, (int64_t)(seconds * 1e6), &rows, &us)
                               : fail(db, path);
    sqlite3_close(db);
    delete_files(path);
    if (code != 0)
        return code;
    printf("{\"name\": \"floor_sqlite\", \"rows\": %" PRId64 ", \"seconds\": %.3f, "
           "\"rows_per_second\": %.1f, \"us_per_row\": %.1f}\n",
           rows, (double)us / 1e6, (double)rows * 1e6 / (double)us, (double)us / (double)rows);
    return 0;
}
