/* SPDX-License-Identifier: Apache-2.0 */
/* history_command_int.h - what the parts of `holdfast history` share. Memory: the command's.
 * Suspends: what is marked so. */
#ifndef HF_APP_HISTORY_COMMAND_INT_H
#define HF_APP_HISTORY_COMMAND_INT_H

#include "app/older_store.h"
#include "library/source.h"

struct history_args {
    str store, to, owner, session, path; /* path: "-" or a name */
    str legacy;                          /* an older store; absent: none */
    int64_t from_seq, limit;             /* limit 0: all */
    bool follow, headers, strict, again, compress, help;
};
/* What has been done so far, on a terminal: a line that is written over. */
struct history_progress {
    const char *what;
    int64_t events, begun_us, shown_us;
    bool terminal;
};
void history_progress_begin(struct history_progress *p, const char *what);
void history_progress_add(struct history_progress *p, int64_t events);
void history_progress_end(struct history_progress *p); /* "N events in T s, R/s" on stderr */

/* --- history_lines.c: events as lines of JSON --- */
/* The JSON of a file, "-": of standard input. ERR_TOO_LARGE past bytes_max. */
MUST_CHECK int history_read_json(str path, size_t bytes_max, struct arena *a, yyjson_val **out,
                                 struct err *err);
/* Standard input, or a file: envelopes, or records {"envelope": {…}, "sessionId"} of older files,
 * a line each. session: of those that name none. */
MUST_CHECK MAY_SUSPEND int history_lines_append(struct history *h, const struct history_args *a,
                                                str path, str session, struct history_progress *p,
                                                struct err *err);
/* Events of a session on standard output; *out_last: the number of the last one. */
MUST_CHECK MAY_SUSPEND int history_lines_print(struct history *h, const struct history_range *range,
                                               int64_t limit, int64_t *out_last, struct err *err);

/* --- history_legacy.c: taking an older store over --- */
/* The store that a->path names, all of it or a->session; *out is open then, for the caller to
 * close. Rows that cannot be taken are named on standard error. */
MUST_CHECK MAY_SUSPEND int history_legacy_import(struct rt *rt, struct history *h,
                                                 const struct history_args *a,
                                                 struct db_legacy **out, struct err *err);

/* --- history_copy.c --- */
/* All sessions of an owner, or one of them; each is compared afterwards. */
MUST_CHECK MAY_SUSPEND int history_copy(struct history *from, struct history *to,
                                        const struct history_args *a, struct err *err);
/* fn for each session of the owner, or for the one that is named. */
typedef int (*history_session_fn)(void *ctx, const struct history_session *s, struct err *err);
MUST_CHECK MAY_SUSPEND int history_each_session(struct history *h, const struct history_args *a,
                                                history_session_fn fn, void *ctx, struct err *err);

#endif
