/* SPDX-License-Identifier: Apache-2.0 */
/* history_source.c - which adapter an address means, and how it is opened.
 *
 * A file of SQLite that is made here holds histories and nothing else: it gets larger pages, and
 * what is deleted is overwritten. The server's own file is a history, too (its data folder's
 * holdfast.db), while no server runs. */
#include "app/history_source.h"

#include <sys/stat.h>

#include "db/postgres/legacy.h"
#include "db/postgres/postgres.h"
#include "db/sqlite/legacy.h"
#include "db/sqlite/sqlite.h"
#include "history/file/file.h"
#include "history/legacy/legacy.h"
#include "history/sql/sql.h"

#define PAGE_BYTES       16384
#define SEGMENT_EVENTS   16384 /* a command stays small */
#define READ_CACHE_BYTES (INT64_C(1) << 20)

static str behind(str address, const char *scheme) {
    str s = str_of(scheme);
    return str_starts(address, s) ? str_slice(address, s.len, address.len) : STR_NULL;
}

str history_source_folder(str address) { return behind(address, "file:"); }

bool history_source_is_postgres(str address) {
    return str_starts(address, STR("postgres://")) || str_starts(address, STR("postgresql://"));
}

int history_source_open(struct rt *rt, str address, bool read_only, struct history_source *out,
                        struct err *err) {
    str path = behind(address, "sqlite:");
    *out = (struct history_source){.address = address};
    if (path.len > 0) {
        struct db_sqlite_options o;
        db_sqlite_options_default(&o);
        o.path = path.p;
        o.page_bytes = PAGE_BYTES;
        o.erases = true;
        if (read_only) { /* by one fiber, from one end to the other */
            o.readers = 1;
            o.cache_bytes = READ_CACHE_BYTES;
        }
        return db_sqlite_open(rt, &o, &out->db, err);
    }
    if (history_source_folder(address).len > 0 || history_source_is_postgres(address))
        return 0;
    return err_set(err, ERR_INVALID,
                   "'" STR_FMT "' is not file:FOLDER, sqlite:FILE or postgres://…",
                   STR_ARG(str_slice(address, 0, 60)));
}

static int connect(struct rt *rt, struct history_source *s, struct err *err) {
    struct db_postgres_options o;
    db_postgres_options_default(&o);
    o.pool.url = s->address.p;
    o.pool.application_name = "holdfast history";
    o.migrate = true;
    return db_postgres_open(rt, &o, &s->db, err);
}

int history_source_start(struct rt *rt, bool read_only, struct history_source *s, struct err *err) {
    str folder = history_source_folder(s->address);
    if (folder.len > 0) {
        struct history_file_options o = {.dir = folder.p,
                                         .segment_events = SEGMENT_EVENTS,
                                         .read_only = read_only,
                                         .compress = s->compress};
        return history_file_open(rt, &o, &s->h, err);
    }
    if (!s->db) {
        int rc = connect(rt, s, err);
        if (rc < 0)
            return rc;
    }
    bool shared = history_source_is_postgres(s->address);
    s->h = history_sql_open(s->db, &(struct history_sql_options){.shared = shared});
    return 0;
}

void history_source_close(struct history_source *s) {
    history_close(s->h);
    db_close(s->db);
    *s = (struct history_source){.address = s->address};
}

/* --- older stores --- */

bool history_source_is_legacy(str address) {
    struct stat st;
    return behind(address, "jsonl:").p || behind(address, "sqlite:").p || history_source_is_postgres(address) ||
           (stat(address.p, &st) == 0 && S_ISDIR(st.st_mode));
}

int history_source_legacy(struct rt *rt, str address, struct db_legacy **out, struct err *err) {
    str file = behind(address, "sqlite:"), folder = behind(address, "jsonl:");
    int rc;
    if (file.len > 0)
        rc = db_legacy_sqlite(rt, file, out, err);
    else if (history_source_is_postgres(address))
        rc = db_legacy_postgres(rt, address, out, err);
    else if (folder.len > 0 || history_source_is_legacy(address))
        rc = history_legacy_folder(rt, folder.len > 0 ? folder : address, out, err);
    else
        rc = err_set(err, ERR_INVALID,
                     "'" STR_FMT "' is not jsonl:FOLDER, sqlite:FILE or postgres://…",
                     STR_ARG(str_slice(address, 0, 60)));
    return rc < 0 ? rc : (*out)->vtable->check(*out, err);
}

void history_source_legacy_close(struct db_legacy *l) {
    if (l)
        l->vtable->close(l);
}
