/* SPDX-License-Identifier: Apache-2.0 */
/* older_store.c - a store of events in an older layout, by its address.
 *
 * A folder may be named without its scheme: an address that is a folder is one of JSONL, for what
 * is imported otherwise is a file of lines. */
#include "app/older_store.h"

#include <sys/stat.h>

#include "db/postgres/legacy.h"
#include "db/sqlite/legacy.h"
#include "history/legacy/legacy.h"
#include "library/source.h"

static str behind(str address, str scheme) {
    return str_starts(address, scheme) ? str_slice(address, scheme.len, address.len) : STR_NULL;
}

bool older_store_is(str address) {
    struct stat st;
    return behind(address, STR("jsonl:")).p || behind(address, STR("sqlite:")).p ||
           library_source_is_postgres(address) ||
           (stat(address.p, &st) == 0 && S_ISDIR(st.st_mode));
}

int older_store_open(struct rt *rt, str address, struct db_legacy **out, struct err *err) {
    str file = behind(address, STR("sqlite:")), folder = behind(address, STR("jsonl:"));
    int rc;
    if (file.len > 0)
        rc = db_legacy_sqlite(rt, file, out, err);
    else if (library_source_is_postgres(address))
        rc = db_legacy_postgres(rt, address, out, err);
    else if (folder.len > 0 || older_store_is(address))
        rc = history_legacy_folder(rt, folder.len > 0 ? folder : address, out, err);
    else
        rc = err_set(err, ERR_INVALID,
                     "'" STR_FMT "' is not jsonl:FOLDER, sqlite:FILE or postgres://…",
                     STR_ARG(str_slice(address, 0, 60)));
    return rc < 0 ? rc : (*out)->vtable->check(*out, err);
}

void older_store_close(struct db_legacy *l) {
    if (l)
        l->vtable->close(l);
}
