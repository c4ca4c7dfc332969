/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - which adapter an address means, and how it is opened.
 *
 * A file of SQLite that is made here holds histories and nothing else: it gets larger pages, and
 * what is deleted is overwritten. The server's own file is a history, too (its data folder's
 * holdfast.db), while no server runs. */
#include "library/source.h"

#include "db/postgres/postgres.h"
#include "db/sqlite/sqlite.h"
#include "history/file/file.h"
#include "history/sql/sql.h"

#define PAGE_BYTES     16384
#define SEGMENT_EVENTS 8192 /* it stays small */

/* Of each connection; what is read once, from end to end, needs none. */
static const int64_t cache_bytes[] = {[LIBRARY_MANY] = INT64_C(8) << 20,
                                      [LIBRARY_ONE] = INT64_C(2) << 20,
                                      [LIBRARY_READS] = INT64_C(1) << 20};

static str behind(str address, const char *scheme) {
    str s = str_of(scheme);
    return str_starts(address, s) ? str_slice(address, s.len, address.len) : STR_NULL;
}

str library_source_folder(str address) { return behind(address, "file:"); }

bool library_source_is_postgres(str address) {
    return str_starts(address, STR("postgres://")) || str_starts(address, STR("postgresql://"));
}

int library_source_open(struct rt *rt, str address, enum library_use use,
                        struct library_source *out, struct err *err) {
    str path = behind(address, "sqlite:");
    *out = (struct library_source){.address = address};
    if (path.len > 0) {
        struct db_sqlite_options o;
        db_sqlite_options_default(&o);
        o.path = path.p;
        o.page_bytes = PAGE_BYTES;
        o.erases = true;
        o.readers = use == LIBRARY_MANY ? o.readers : 1;
        o.cache_bytes = cache_bytes[use];
        return db_sqlite_open(rt, &o, &out->db, err);
    }
    if (library_source_folder(address).len > 0 || library_source_is_postgres(address))
        return 0;
    return err_set(err, ERR_INVALID,
                   "'" STR_FMT "' is not file:FOLDER, sqlite:FILE or postgres://…",
                   STR_ARG(str_slice(address, 0, 60)));
}

static int connect(struct rt *rt, struct library_source *s, struct err *err) {
    struct db_postgres_options o;
    db_postgres_options_default(&o);
    o.pool.url = s->address.p;
    o.pool.application_name = "holdfast history";
    o.pool.unscraped = true;
    o.migrate = true;
    return db_postgres_open(rt, &o, &s->db, err);
}

int library_source_start(struct rt *rt, enum library_use use, struct library_source *s,
                         struct err *err) {
    str folder = library_source_folder(s->address);
    if (folder.len > 0) {
        struct history_file_options o = {.dir = folder.p,
                                         .segment_events = SEGMENT_EVENTS,
                                         .read_only = use == LIBRARY_READS,
                                         .compress = s->compress};
        return history_file_open(rt, &o, &s->h, err);
    }
    if (!s->db) {
        int rc = connect(rt, s, err);
        if (rc < 0)
            return rc;
    }
    bool shared = library_source_is_postgres(s->address);
    s->h = history_sql_open(s->db, &(struct history_sql_options){.shared = shared});
    return 0;
}

void library_source_close(struct library_source *s) {
    history_close(s->h);
    db_close(s->db);
    *s = (struct library_source){.address = s->address};
}
