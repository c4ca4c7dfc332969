/* SPDX-License-Identifier: Apache-2.0 */
/* history_legacy.c - `holdfast history import` from an older store.
 *
 * What there was to say about each row that cannot be taken goes to standard error, up to a number;
 * the last lines there count everything. */
#include <stdio.h>

#include "app/history_command_int.h"
#include "history/legacy/legacy.h"

#define NAMED_MAX 1000 /* rows; the rest is only counted */

struct report {
    struct history_progress progress;
    int64_t named;
};

static void on_bad(void *ctx, str session, str row, const char *why) {
    struct report *r = ctx;
    if (r->named++ < NAMED_MAX)
        fprintf(stderr, "not taken: session '" STR_FMT "', row '" STR_FMT "': %s\n",
                STR_ARG(str_slice(session, 0, 200)), STR_ARG(str_slice(row, 0, 200)), why);
}

static void on_progress(void *ctx, int64_t rows) {
    struct report *r = ctx;
    history_progress_add(&r->progress, rows);
}

static void tell(const struct history_taking *t, const struct report *r) {
    if (r->named > NAMED_MAX)
        fprintf(stderr, "not taken: %lld rows more\n", (long long)(r->named - NAMED_MAX));
    fprintf(stderr,
            "%lld sessions: %lld events stored, %lld there already, %lld past their time, "
            "%lld not taken; %lld checkpoints\n%lld events read again and compared\n",
            (long long)t->sessions, (long long)t->stored, (long long)t->duplicates,
            (long long)t->expired, (long long)t->bad_rows, (long long)t->checkpoints,
            (long long)t->compared);
}

int history_legacy_import(struct rt *rt, struct history *h, const struct history_args *a,
                          struct db_legacy **out, struct err *err) {
    struct report r = {.named = 0};
    int rc = older_store_open(rt, a->path, out, err);
    if (rc < 0)
        return rc;
    struct history_taking t = {.h = h,
                               .from = *out,
                               .owner = a->owner,
                               .strict = a->strict,
                               .again = a->again,
                               .compare = true,
                               .bad = on_bad,
                               .progress = on_progress,
                               .ctx = &r};
    history_progress_begin(&r.progress, "read");
    rc = a->session.p ? history_legacy_take(&t, a->session, err) : history_legacy_take_all(&t, err);
    history_progress_end(&r.progress);
    tell(&t, &r);
    return rc;
}
